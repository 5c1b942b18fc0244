/*
 * readiness_ring.c
 *		Keeps the tables of readiness small: goes over to another table where one has grown, and empties those that nobody needs any more.
 *
 * A delta table may be emptied when every delta in it has been taken in, into the totals and into the figures of users and courses. That is noted
 * first (spent_table.c), under a lock that keeps nobody but late writers out, and done a second later. Summaries and the figures of users and courses
 * go over to their other table tenant by tenant, when each is folded: the figures where most of what is in a table is dead, for to copy them takes
 * long.
 *
 * Called by the aggregator through mindtickle.tend_readiness, one bounded step a transaction. This is the one place that looks at the rows of all
 * tenants: it reads their names and their deltas' xids, and shows names to nobody but the aggregator.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "readiness_change.h"
#include "service_call.h"
#include "spent_table.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/* Blocks after which another table is taken: of deltas; of summaries over what they had when the last tenant had come, so often. */
#define DELTA_BLOCKS	1024
#define SUMMARY_BLOCKS	192
#define GROWTH			3
/* Figures of users and courses move when fewer than one in so many bytes are of rows that are there. Smaller tables stay where they are. */
#define DETAIL_BLOCKS	2048
#define DETAIL_SHARE	3
/* To find that out, so many blocks at so many places are looked at; once more when there are a quarter more of them. */
#define SAMPLE_PLACES	16
#define SAMPLE_BLOCKS	4
/* Tenants that one call asks to be folded. */
#define ASKED_MAX		100
/* A table that is not needed any more is emptied so much later: a reader with a snapshot from before that has to count rows where it is. */
#define SPENT_PAUSE		USECS_PER_SEC
/* What tend_readiness tells when there is something to do, but not yet. */
#define NOT_YET			"later"
/* Tables that tenants move away from: of summaries, users and courses. */
#define LEFT_TABLES		3

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

/* Blocks of the table of summaries when the last tenant had moved to it, as far as this process knows. */
static BlockNumber first_summary_blocks;
/* Blocks of the tables of users and of courses when they were looked at last. */
static BlockNumber sampled_user_blocks;
static BlockNumber sampled_course_blocks;
/* Since when no tenant needs the tables that are left, as far as this process knows; 0: some do, or there is nothing in them. */
static TimestampTz left_since = 0;

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

/* True while a delta is needed. *step is then what has to be done first: NULL, it is done anyway. */
static bool
deltas_needed(MtTenantTable *table, char **step)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	char		tenant[MT_TENANT_MAX + 1];
	Obstacle	obstacle = obstacle_to_empty(relation, tenant);

	table_close(relation, AccessShareLock);
	*step = obstacle == OBSTACLE_DETAILS ? psprintf("details:%s", tenant) : NULL;
	return obstacle != OBSTACLE_NONE;
}

/* True while a table that is spent since then is not to be emptied yet. The clock may have been set. */
static bool
too_early(TimestampTz spent_since)
{
	TimestampTz now = GetCurrentTimestamp();

	return now >= spent_since && now < spent_since + SPENT_PAUSE;
}

/* Notes of a table that it is spent, be it empty, with a lock that keeps writers away. NULL: they are there, or it is needed. */
static char *
note_spent_deltas(MtTenantTable *table)
{
	char	   *step;

	if (deltas_needed(table, &step))
		return step;
	if (!mt_lock_table_at_once(table, ShareLock) || deltas_needed(table, &step) || !mt_table_spent(mt_relation_oid(&table->table)))
		return NULL;
	return psprintf("%s is not needed any more", table->table.name);
}

/* Takes the next step to empty a delta table, or says what has to be done first. */
static char *
empty_delta_table(MtTenantTable *table)
{
	Oid			relation = mt_relation_oid(&table->table);
	TimestampTz spent_since = mt_table_spent_since(relation);

	if (spent_since == 0)
		return note_spent_deltas(table);
	if (mt_blocks_of(table) == 0)
		return NULL;
	if (too_early(spent_since))
		return NOT_YET;
	if (!mt_lock_table_at_once(table, AccessExclusiveLock) || mt_table_spent_since(relation) == 0)
		return NULL;
	mt_truncate_table(table);
	return psprintf("emptied %s", table->table.name);
}

/* Bytes of the rows that are there now in some blocks. */
static uint64
bytes_in_use(Relation relation, Snapshot snapshot, BlockNumber first, BlockNumber count)
{
	TableScanDesc scan = table_beginscan_strat(relation, snapshot, 0, NULL, true, false);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	uint64		bytes = 0;

	heap_setscanlimits(scan, first, count);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		bytes += ExecFetchSlotHeapTuple(slot, false, NULL)->t_len;
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	return bytes;
}

/* True when a table of figures has grown, and what is in it is dead for the most part. */
static bool
details_worn(MtTenantTable *table, BlockNumber *sampled)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	bool		grown = blocks >= Max(DETAIL_BLOCKS, *sampled + *sampled / 4);
	uint64		bytes = 0;

	if (grown)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		for (int i = 0; i < SAMPLE_PLACES; i++)
			bytes += bytes_in_use(relation, snapshot, (BlockNumber) ((uint64) (blocks - SAMPLE_BLOCKS) * i / (SAMPLE_PLACES - 1)), SAMPLE_BLOCKS);
		UnregisterSnapshot(snapshot);
		*sampled = blocks;
	}
	table_close(relation, AccessShareLock);
	return grown && bytes < (uint64) SAMPLE_PLACES * SAMPLE_BLOCKS * BLCKSZ / DETAIL_SHARE;
}

/* Goes over to the other tables of figures of users and of courses, both, where one of them is worn and the others are empty. */
static char *
change_detail_tables(void)
{
	int			in_use = mt_table_in_use(MT_DETAILS);

	if (mt_blocks_of(&mt_user_tables[1 - in_use]) > 0 || mt_blocks_of(&mt_course_tables[1 - in_use]) > 0)
		return NULL;
	if (!details_worn(&mt_user_tables[in_use], &sampled_user_blocks) && !details_worn(&mt_course_tables[in_use], &sampled_course_blocks))
		return NULL;
	sampled_user_blocks = sampled_course_blocks = 0;
	return mt_use_table(MT_DETAILS, 1 - in_use) ? psprintf("figures go to %s", mt_user_tables[1 - in_use].table.name) : NULL;
}

/* Tenants that are not yet in these tables of summaries and of details, as 'details:' and their names, or NULL. */
static char *
tenants_elsewhere(int summaries, int details)
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
		if (mt_read_summary(tenant, snapshot, &summary) &&
			(!summary.found || (summary.table == summaries && (summary.detail_table < 0 || summary.detail_table == details))))
			continue;
		appendStringInfo(&asked, "%s%s", found++ == 0 ? "details:" : ",", tenant);
	}
	UnregisterSnapshot(snapshot);
	return found == 0 ? NULL : asked.data;
}

/* Locks all the tables that are left. False: somebody is in the way. */
static bool
lock_left_tables(MtTenantTable **left, LOCKMODE mode)
{
	for (int i = 0; i < LEFT_TABLES; i++)
		if (!mt_lock_table_at_once(left[i], mode))
			return false;
	return true;
}

/* Takes the next step to empty the tables that tenants have moved away from, all of them, or says what has to be done first. */
static char *
empty_left_tables(void)
{
	int			summaries = mt_table_in_use(MT_SUMMARIES);
	int			details = mt_table_in_use(MT_DETAILS);
	MtTenantTable *left[LEFT_TABLES] = {&mt_summary_tables[1 - summaries], &mt_user_tables[1 - details], &mt_course_tables[1 - details]};
	char	   *asked;

	if (mt_blocks_of(left[0]) == 0 && mt_blocks_of(left[1]) == 0 && mt_blocks_of(left[2]) == 0)
		return NULL;
	asked = tenants_elsewhere(summaries, details);
	if (asked != NULL)
	{
		left_since = 0;
		return asked;
	}
	if (left_since == 0)
	{
		/* Once more with the locks, here and below: a new count may have gone to one of them. */
		if (!lock_left_tables(left, ShareLock) || tenants_elsewhere(summaries, details) != NULL)
			return NULL;
		(void) mt_table_spent(mt_relation_oid(&left[0]->table));
		left_since = GetCurrentTimestamp();
		first_summary_blocks = mt_all_blocks_of(&mt_summary_tables[summaries]);
		return "tenants have moved away from tables";
	}
	if (too_early(left_since))
		return NOT_YET;
	if (!lock_left_tables(left, AccessExclusiveLock) || tenants_elsewhere(summaries, details) != NULL)
		return NULL;
	for (int i = 0; i < LEFT_TABLES; i++)
		if (mt_blocks_of(left[i]) > 0)
			mt_truncate_table(left[i]);
	left_since = 0;
	return "emptied what tenants have moved away from";
}

/* Notes that the other table of summaries is spent where it is empty: since the server has started nobody may have emptied it. */
static char *
note_empty_summaries(void)
{
	MtTenantTable *other = &mt_summary_tables[1 - mt_table_in_use(MT_SUMMARIES)];
	Oid			relation = mt_relation_oid(&other->table);

	if (mt_table_spent_since(relation) != 0 || mt_blocks_of(other) > 0 || !mt_lock_table_at_once(other, ShareLock) || mt_blocks_of(other) > 0 ||
		!mt_table_spent(relation))
		return NULL;
	return psprintf("%s is empty", other->table.name);
}

/* Goes on with the table that has more in it, which a server that has just started does not know. */
static void
find_table_in_use(MtTableKind kind, MtTenantTable *tables)
{
	if (!mt_table_chosen(kind))
		(void) mt_use_table(kind, mt_blocks_of(&tables[1]) > mt_blocks_of(&tables[0]) ? 1 : 0);
}

/* The first step that is due, or that there will be one; NULL: there is none. */
static char *
next_step(void)
{
	char	   *step = mt_change_grown_table(MT_DELTAS, mt_delta_tables, MT_DELTA_TABLES, DELTA_BLOCKS);
	char	   *later = NULL;

	find_table_in_use(MT_SUMMARIES, mt_summary_tables);
	find_table_in_use(MT_DETAILS, mt_user_tables);
	for (int table = 0; table <= MT_DELTA_TABLES && step == NULL; table++)
	{
		if (table == mt_table_in_use(MT_DELTAS))
			continue;
		step = table < MT_DELTA_TABLES ? empty_delta_table(&mt_delta_tables[table]) : empty_left_tables();
		if (step != NULL && strcmp(step, NOT_YET) == 0)
		{
			later = step;
			step = NULL;
		}
	}
	if (step == NULL)
		step = note_empty_summaries();
	if (step == NULL)
		step = mt_change_grown_table(MT_SUMMARIES, mt_summary_tables, MT_SUMMARY_TABLES, GROWTH * first_summary_blocks + SUMMARY_BLOCKS + 1);
	if (step == NULL)
		step = change_detail_tables();
	return step != NULL ? step : later;
}

/*
 * mindtickle.tend_readiness() -> text: one step, in words; details: and names of tenants, separated by commas, when these must be folded with their
 * details before the next step; later: there will be something to do in a second; NULL: there is nothing to do, or somebody is in the way.
 */
Datum
mt_tend_readiness(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *step;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	step = next_step();
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
 * mindtickle.tenants_to_fold() -> setof text: tenants without totals, or with deltas that are not in them yet, or whose totals are worn
 * (mt_summary_worn).
 */
Datum
mt_tenants_to_fold(PG_FUNCTION_ARGS)
{
	return mt_return_tenants(fcinfo, to_be_folded);
}
