/*
 * readiness_ring.c
 *		Keeps the tables of readiness small: goes over to another table where one has grown, and empties those that nobody needs any more.
 *
 * A delta table may be emptied when every delta in it has been taken in, into the totals and into the figures of users and courses (ring.c says
 * how that is done). Summaries and the figures of users and courses go over to their other table tenant by tenant, when each is folded.
 *
 * Called by the aggregator through mindtickle.tend_readiness, one bounded step a transaction. This is the one place that looks at the rows of all
 * tenants: it reads their names and their deltas' xids, and shows names to nobody but the aggregator.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/table.h"
#include "access/tableam.h"
#include "empty_table.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "readiness_change.h"
#include "service_call.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/* Blocks after which another table is taken: of deltas; of summaries and figures over what they had when they were taken into use, so often. */
#define DELTA_BLOCKS	1024
#define SUMMARY_BLOCKS	256
#define DETAIL_BLOCKS	2048
#define GROWTH			3
/* Tenants that one call asks to be folded. */
#define ASKED_MAX		100

/* What a delta table says of a tenant, looked up once a check. */
typedef struct TenantCursors
{
	char		tenant[MT_TENANT_MAX + 1];	/* the key */
	bool		exists;
	bool		taken_in;		/* there is a summary */
	bool		detailed;		/* and figures of users and courses */
	MtCursor	totals;
	MtCursor	details;
} TenantCursors;

/* What stands in the way of emptying a delta table. */
typedef enum Obstacle
{
	OBSTACLE_NONE,
	OBSTACLE_TOTALS,			/* a tenant's deltas are not in its totals yet */
	OBSTACLE_DETAILS			/* or not in the figures of its users and courses */
} Obstacle;

/* Blocks of the tables of summaries, users and courses when they were taken into use, as far as this process knows. */
static BlockNumber first_summary_blocks;
static BlockNumber first_user_blocks;
static BlockNumber first_course_blocks;

PG_FUNCTION_INFO_V1(mt_tend_readiness);
PG_FUNCTION_INFO_V1(mt_tenants_to_fold);

static HTAB *
new_cursors(void)
{
	HASHCTL		control = {.keysize = MT_TENANT_MAX + 1,.entrysize = sizeof(TenantCursors),.hcxt = CurrentMemoryContext};

	return hash_create("cursors of tenants", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

static TenantCursors *
cursors_of(HTAB *cursors, const char *tenant, Snapshot snapshot)
{
	bool		found;
	TenantCursors *entry = hash_search(cursors, tenant, HASH_ENTER, &found);
	MtSummary	summary;

	if (found)
		return entry;
	entry->exists = mt_tenant_exists(tenant);
	(void) mt_read_summary(tenant, snapshot, &summary);
	entry->taken_in = summary.found;
	entry->detailed = summary.found && summary.detail_cursor != (Datum) 0;
	if (entry->taken_in)
		mt_read_cursor(summary.cursor, &entry->totals);
	if (entry->detailed)
		mt_read_cursor(summary.detail_cursor, &entry->details);
	return entry;
}

/* Looks through a delta table, which is locked by the caller. tenant is then the one in the way. */
static Obstacle
obstacle_to_empty(Relation relation, char *tenant)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	HTAB	   *cursors = new_cursors();
	Obstacle	obstacle = OBSTACLE_NONE;

	while (obstacle != OBSTACLE_TOTALS && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		char		name[MT_TENANT_MAX + 1];
		uint64		xid = U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(slot, 2, &isnull)));
		TenantCursors *entry;

		CHECK_FOR_INTERRUPTS();
		text_to_cstring_buffer(DatumGetTextPP(slot_getattr(slot, 1, &isnull)), name, sizeof(name));
		entry = cursors_of(cursors, name, snapshot);
		/* What a dropped tenant has left is nobody's. */
		if (!entry->exists)
			continue;
		if (!entry->taken_in || !mt_cursor_has(&entry->totals, xid))
			obstacle = OBSTACLE_TOTALS;
		else if (obstacle == OBSTACLE_NONE && (!entry->detailed || !mt_cursor_has(&entry->details, xid)))
			obstacle = OBSTACLE_DETAILS;
		else
			continue;
		strcpy(tenant, name);
	}
	hash_destroy(cursors);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return obstacle;
}

/* What empty_delta_table finds in the way. */
typedef struct FoundObstacle
{
	Obstacle	obstacle;
	char		tenant[MT_TENANT_MAX + 1];
} FoundObstacle;

static bool
deltas_needed(Relation relation, void *argument)
{
	FoundObstacle *found = argument;

	found->obstacle = obstacle_to_empty(relation, found->tenant);
	return found->obstacle != OBSTACLE_NONE;
}

/* Empties a delta table, or says what has to be done first. */
static char *
empty_delta_table(MtTenantTable *table)
{
	FoundObstacle found = {OBSTACLE_NONE};

	if (mt_empty_table(table, deltas_needed, &found))
	{
		(void) mt_table_emptied(mt_relation_oid(&table->table));
		return psprintf("emptied %s", table->table.name);
	}
	return found.obstacle == OBSTACLE_DETAILS ? psprintf("details:%s", found.tenant) : NULL;
}

/*
 * Makes known which of the tables that are not written to are empty: since the server has started nobody may have emptied them. A step a table.
 */
static char *
note_empty_tables(MtTableKind kind, MtTenantTable *tables, int count)
{
	for (int i = 0; i < count; i++)
	{
		Oid			relation = mt_relation_oid(&tables[i].table);

		if (i == mt_table_in_use(kind) || mt_table_known_empty(relation, GetActiveSnapshot()) || mt_blocks_of(&tables[i]) > 0 ||
			!mt_lock_table_at_once(&tables[i]))
			continue;
		if (mt_blocks_of(&tables[i]) == 0 && mt_table_emptied(relation))
			return psprintf("found that %s is empty", tables[i].table.name);
	}
	return NULL;
}

/* Goes over to the other table of a kind where one of the tables in use has grown and the other is empty. */
static char *
change_table(MtTableKind kind, MtTenantTable *tables, BlockNumber first_blocks, BlockNumber allowance)
{
	return mt_change_grown_table(kind, tables, MT_SUMMARY_TABLES, GROWTH * first_blocks + allowance + 1);
}

/* The same for users and courses, which go over together, be it that only one of them has grown. */
static char *
change_detail_tables(void)
{
	int			other = 1 - mt_table_in_use(MT_DETAILS);
	char	   *step;

	if (mt_blocks_of(&mt_user_tables[other]) > 0 || mt_blocks_of(&mt_course_tables[other]) > 0)
		return NULL;
	step = change_table(MT_DETAILS, mt_user_tables, first_user_blocks, DETAIL_BLOCKS);
	return step != NULL ? step : change_table(MT_DETAILS, mt_course_tables, first_course_blocks, DETAIL_BLOCKS);
}

/* Tenants that are not yet in the tables in use, as 'details:' and their names, or NULL. */
static char *
tenants_elsewhere(void)
{
	StringInfoData asked;
	Datum	   *tenants;
	int			count;
	int			found = 0;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	initStringInfo(&asked);
	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count && found < ASKED_MAX; i++)
	{
		char	   *tenant = TextDatumGetCString(tenants[i]);
		MtSummary	summary;

		/* One that is not known may be where it must not be lost. */
		if (mt_read_summary(tenant, snapshot, &summary) && mt_summary_in_place(&summary))
			continue;
		appendStringInfo(&asked, "%s%s", found++ == 0 ? "details:" : ",", tenant);
	}
	UnregisterSnapshot(snapshot);
	return found == 0 ? NULL : asked.data;
}

/* Empties the tables that tenants have moved away from, all of them. */
static char *
empty_left_tables(void)
{
	MtTenantTable *left[3] = {
		&mt_summary_tables[1 - mt_table_in_use(MT_SUMMARIES)],
		&mt_user_tables[1 - mt_table_in_use(MT_DETAILS)],
		&mt_course_tables[1 - mt_table_in_use(MT_DETAILS)]
	};
	char	   *asked;

	if (mt_blocks_of(left[0]) == 0 && mt_blocks_of(left[1]) == 0 && mt_blocks_of(left[2]) == 0)
		return NULL;
	asked = tenants_elsewhere();
	if (asked != NULL)
		return asked;
	for (int i = 0; i < (int) lengthof(left); i++)
		if (!mt_lock_table_at_once(left[i]))
			return NULL;
	/* A new count may have gone to one of them since. */
	if (tenants_elsewhere() != NULL)
		return NULL;
	for (int i = 0; i < (int) lengthof(left); i++)
		if (mt_blocks_of(left[i]) > 0)
			mt_truncate_table(left[i]);
	(void) mt_table_emptied(mt_relation_oid(&left[0]->table));
	first_summary_blocks = mt_blocks_of(&mt_summary_tables[mt_table_in_use(MT_SUMMARIES)]);
	first_user_blocks = mt_blocks_of(&mt_user_tables[mt_table_in_use(MT_DETAILS)]);
	first_course_blocks = mt_blocks_of(&mt_course_tables[mt_table_in_use(MT_DETAILS)]);
	return "emptied what tenants have moved away from";
}

/*
 * mindtickle.tend_readiness() -> text: one step, in words; details: and names of tenants, separated by commas, when these must be folded with their
 * details before the next step; NULL: there is nothing to do, or somebody is in the way.
 */
Datum
mt_tend_readiness(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *step = mt_change_grown_table(MT_DELTAS, mt_delta_tables, MT_DELTA_TABLES, DELTA_BLOCKS);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int table = 0; table < MT_DELTA_TABLES && step == NULL; table++)
		if (table != mt_table_in_use(MT_DELTAS))
			step = empty_delta_table(&mt_delta_tables[table]);
	if (step == NULL)
		step = empty_left_tables();
	if (step == NULL)
		step = note_empty_tables(MT_DELTAS, mt_delta_tables, MT_DELTA_TABLES);
	if (step == NULL)
		step = note_empty_tables(MT_SUMMARIES, mt_summary_tables, MT_SUMMARY_TABLES);
	if (step == NULL)
		step = change_table(MT_SUMMARIES, mt_summary_tables, first_summary_blocks, SUMMARY_BLOCKS);
	if (step == NULL)
		step = change_detail_tables();
	if (step != NULL)
		step = MemoryContextStrdup(context, step);
	SPI_finish();
	if (step == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(step));
}

/* True when the tenant has no totals yet, or deltas that are not in them, or readers whom a fold spares work all the same. */
static bool
to_be_folded(const char *tenant, Snapshot snapshot)
{
	MtSummary	summary;
	MtCursor	cursor;
	MtEntries	entries = {0};
	bool		found;

	if (!mt_read_summary(tenant, snapshot, &summary) || !summary.found)
		return true;
	mt_read_cursor(summary.cursor, &cursor);
	found = mt_summary_worn(&summary, true, snapshot) || !mt_read_deltas(tenant, &cursor, snapshot, &entries) || entries.count > 0;
	if (entries.entries != NULL)
		pfree(entries.entries);
	return found;
}

/*
 * mindtickle.tenants_to_fold() -> setof text: tenants without totals, or with deltas that are not in them yet, or whose totals are worn (mt_summary_worn).
 */
Datum
mt_tenants_to_fold(PG_FUNCTION_ARGS)
{
	return mt_return_tenants(fcinfo, to_be_folded);
}
