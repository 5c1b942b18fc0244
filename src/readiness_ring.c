/*
 * readiness_ring.c
 *		Keeps the tables of readiness small: goes over to another table where one has grown, and empties those that nobody needs any more.
 *
 * A delta table may be emptied when every delta in it has been taken in, into the totals and into the figures of users and courses. That is
 * looked at once without and once with an exclusive lock, which nobody is kept waiting for: where it is not to be had at once, the next call
 * tries again. A transaction that has written deltas holds its lock to its end, so what is not visible under the lock was rolled back. Summaries
 * and the figures of users and courses go over to their other table tenant by tenant, when each is folded.
 *
 * Called by the aggregator through mindtickle.tend_readiness, one bounded step a transaction. This is the one place that looks at the rows of all
 * tenants: it reads their names and their deltas' xids, and shows names to nobody but the aggregator.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "readiness_change.h"
#include "service_call.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
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

/* Blocks of the summary and detail tables when they were taken into use, as far as this process knows. */
static BlockNumber first_blocks[MT_TABLE_KINDS];

PG_FUNCTION_INFO_V1(mt_tend_readiness);
PG_FUNCTION_INFO_V1(mt_tenants_to_fold);

static BlockNumber
blocks_of(MtTenantTable *table)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);

	table_close(relation, AccessShareLock);
	return blocks;
}

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

static void
truncate_table(const char *name)
{
	char	   *statement = psprintf("TRUNCATE mindtickle.%s", name);

	if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not empty %s", name);
}

/* Takes the lock if nobody else has one, and keeps it to the end of the transaction. */
static bool
lock_at_once(MtTenantTable *table)
{
	return ConditionalLockRelationOid(mt_relation_oid(&table->table), AccessExclusiveLock);
}

/* Goes over to an empty delta table where the one in use has grown. */
static char *
change_delta_table(void)
{
	int			in_use = mt_table_in_use(MT_DELTAS);

	if (blocks_of(&mt_delta_tables[in_use]) < DELTA_BLOCKS)
		return NULL;
	for (int i = 1; i < MT_DELTA_TABLES; i++)
	{
		int			next = (in_use + i) % MT_DELTA_TABLES;

		if (blocks_of(&mt_delta_tables[next]) > 0)
			continue;
		return mt_use_table(MT_DELTAS, next) ? psprintf("deltas go to %s", mt_delta_tables[next].table.name) : NULL;
	}
	return NULL;
}

/* Empties a delta table, or says what has to be done first. */
static char *
empty_delta_table(MtTenantTable *table)
{
	char		tenant[MT_TENANT_MAX + 1];
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	Obstacle	obstacle = RelationGetNumberOfBlocks(relation) == 0 ? OBSTACLE_TOTALS : obstacle_to_empty(relation, tenant);

	table_close(relation, AccessShareLock);
	if (obstacle == OBSTACLE_DETAILS)
		return psprintf("details:%s", tenant);
	if (obstacle == OBSTACLE_TOTALS || !lock_at_once(table))
		return NULL;
	relation = table_open(mt_relation_oid(&table->table), NoLock);
	obstacle = obstacle_to_empty(relation, tenant);
	table_close(relation, NoLock);
	if (obstacle != OBSTACLE_NONE)
		return NULL;
	truncate_table(table->table.name);
	return psprintf("emptied %s", table->table.name);
}

/* Goes over to the other table of a kind where the one in use has grown and the other is empty. */
static char *
change_table(MtTableKind kind, MtTenantTable *tables, BlockNumber allowance)
{
	int			in_use = mt_table_in_use(kind);
	BlockNumber blocks = blocks_of(&tables[in_use]);

	if (blocks <= GROWTH * first_blocks[kind] + allowance || blocks_of(&tables[1 - in_use]) > 0)
		return NULL;
	return mt_use_table(kind, 1 - in_use) ? psprintf("tenants move to %s", tables[1 - in_use].table.name) : NULL;
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

		(void) mt_read_summary(tenant, snapshot, &summary);
		if (mt_summary_in_place(&summary))
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

	if (blocks_of(left[0]) == 0 && blocks_of(left[1]) == 0 && blocks_of(left[2]) == 0)
		return NULL;
	asked = tenants_elsewhere();
	if (asked != NULL)
		return asked;
	for (int i = 0; i < (int) lengthof(left); i++)
		if (!lock_at_once(left[i]))
			return NULL;
	/* A new count may have gone to one of them since. */
	if (tenants_elsewhere() != NULL)
		return NULL;
	for (int i = 0; i < (int) lengthof(left); i++)
		if (blocks_of(left[i]) > 0)
			truncate_table(left[i]->table.name);
	first_blocks[MT_SUMMARIES] = blocks_of(&mt_summary_tables[mt_table_in_use(MT_SUMMARIES)]);
	first_blocks[MT_DETAILS] = blocks_of(&mt_user_tables[mt_table_in_use(MT_DETAILS)]);
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
	char	   *step = change_delta_table();

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int table = 0; table < MT_DELTA_TABLES && step == NULL; table++)
		if (table != mt_table_in_use(MT_DELTAS))
			step = empty_delta_table(&mt_delta_tables[table]);
	if (step == NULL)
		step = empty_left_tables();
	if (step == NULL)
		step = change_table(MT_SUMMARIES, mt_summary_tables, SUMMARY_BLOCKS);
	if (step == NULL)
		step = change_table(MT_DETAILS, mt_user_tables, DETAIL_BLOCKS);
	if (step != NULL)
		step = MemoryContextStrdup(context, step);
	SPI_finish();
	if (step == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(step));
}

/* True when the tenant has deltas that are not in its totals yet. */
static bool
to_be_folded(const char *tenant, Snapshot snapshot)
{
	MtSummary	summary;
	MtCursor	cursor;
	MtEntries	entries = {0};
	bool		found;

	if (mt_read_summary(tenant, snapshot, &summary) && summary.found)
		mt_read_cursor(summary.cursor, &cursor);
	found = !mt_read_deltas(tenant, summary.found ? &cursor : NULL, snapshot, &entries) || entries.count > 0;
	if (entries.entries != NULL)
		pfree(entries.entries);
	return found;
}

/*
 * mindtickle.tenants_to_fold() -> setof text: tenants with deltas that are not in their totals yet.
 */
Datum
mt_tenants_to_fold(PG_FUNCTION_ARGS)
{
	return mt_return_tenants(fcinfo, to_be_folded);
}
