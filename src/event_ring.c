/*
 * event_ring.c
 *		Keeps the tables of events small: goes over to another table where one has grown, and empties those that nobody needs any more.
 *
 * The outbox needs a row until it is taken, the overflow until it has come back, the events until no tenant keeps it. Positions and consumers need
 * the newest row of each, which is appended to the table in use before the other one is emptied. Tables of events are changed by time, so that each
 * holds about half of the longest retain_events: then a row outlives its tenant's retention by half of the longest one at most. Where no table is
 * empty when one is needed, the few events that keep one from being emptied are carried over.
 *
 * What is moved or carried over is a tenant's, so no tenant is dropped meanwhile (mt_keep_all_tenants).
 *
 * To remove large files takes a while, most of it after the locks have been given back. So that events do not wait for that, the publisher has another
 * process empty large tables; but for one of which something was carried over.
 *
 * Called by the publisher through mindtickle.tend_events, one bounded step a transaction, and by its helper. Like readiness_ring.c it looks at the
 * rows of all tenants, and shows names of tables to nobody but these.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "event_store.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"

/*
 * Blocks, with what is kept out of line, after which another table is taken; of positions and consumers over so often what they had at first. A table
 * that has so many is a large one. The smaller they are the more often they are emptied, which delays who publishes by milliseconds.
 */
#define GROWN_BLOCKS	2048
#define GROWTH			3
/* Rows of positions or consumers that one step moves, and events that it carries over. */
#define MOVED_MAX		100
#define CARRIED_MAX		5000

/* Blocks of the tables of positions and of consumers when they were taken into use, as far as this process knows. */
static BlockNumber first_position_blocks = 0;
static BlockNumber first_consumer_blocks = 0;
/* The large table that a call of mindtickle.tend_events tells of: the first one behind the last that was told, or the first of all. */
static MtTenantTable *last_large = NULL;
static MtTenantTable *large = NULL;
static bool large_is_behind = false;
static bool last_passed = false;

PG_FUNCTION_INFO_V1(mt_tend_events);
PG_FUNCTION_INFO_V1(mt_empty_event_table);
PG_FUNCTION_INFO_V1(mt_tenants_to_publish);

/* All tenants, as text. */
static Datum *
all_tenants(int *count)
{
	Datum	   *tenants;

	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, count);
	return tenants;
}

/* A tenant's position in the latest snapshot. */
static void
read_position(const char *tenant, MtEventPosition *position)
{
	mt_push_event_position(tenant, position);
	PopActiveSnapshot();
}

/* True when a table of the outbox holds something of a tenant that its cursor has not. While a batch is under way, what was taken of it counts, too. */
static bool
tenant_waits(int table, const char *tenant)
{
	MtEventPosition position;
	const MtCursor *since;
	MtNewScan	scan;
	bool		waits;

	/* What a dropped tenant has left is nobody's. */
	if (!mt_tenant_exists(tenant))
		return false;
	mt_push_event_position(tenant, &position);
	since = mt_events_since(&position);
	/* Such a position tells nothing of this outbox. */
	if (mt_event_position_foreign(&position))
		since = NULL;
	/* What goes to the overflow does so table by table. */
	else if (position.batch != (Datum) 0 && position.spilling && table < position.batch_table)
		since = &position.taking;
	mt_new_scan_open(&scan, &mt_outbox_tables[table], tenant, since, GetActiveSnapshot());
	waits = mt_new_scan_next(&scan);
	mt_new_scan_close(&scan);
	PopActiveSnapshot();
	return waits;
}

/*
 * True when a table of the outbox, the argument, holds an event that waits. Goes from tenant to tenant by the index, however many rows each has, also
 * by rows that nobody sees; so it takes as long as there are tenants.
 */
static bool
outbox_needed(Relation relation, void *argument)
{
	int			table = (int) ((MtTenantTable *) argument - mt_outbox_tables);
	Relation	index = index_open(mt_tenant_table_index(relation), AccessShareLock);
	IndexScanDesc scan = mt_index_beginscan(relation, index, SnapshotAny, 1);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	char	   *tenant = "";
	bool		needed = false;

	while (!needed)
	{
		ScanKeyData key;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		mt_tenant_key(&key, 1, BTGreaterStrategyNumber, F_TEXT_GT, CStringGetTextDatum(tenant));
		index_rescan(scan, &key, 1, NULL, 0);
		if (!index_getnext_slot(scan, ForwardScanDirection, slot))
			break;
		tenant = TextDatumGetCString(slot_getattr(slot, 1, &isnull));
		needed = tenant_waits(table, tenant);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_endscan(scan);
	index_close(index, AccessShareLock);
	return needed;
}

/* True when some tenant has events in the overflow. */
static bool
overflow_needed(Relation relation, void *argument)
{
	int			count;
	Datum	   *tenants = all_tenants(&count);

	for (int i = 0; i < count; i++)
	{
		MtEventPosition position;

		CHECK_FOR_INTERRUPTS();
		read_position(TextDatumGetCString(tenants[i]), &position);
		if (position.overflow > 0 || position.spilling)
			return true;
	}
	return false;
}

/* Appends positions that stand in the table that was left, up to max, and returns how many; max 0: it only looks whether there is one. */
static int
move_positions(int left, int max)
{
	int			count;
	Datum	   *tenants = all_tenants(&count);
	int			found = 0;

	for (int i = 0; i < count && found < Max(max, 1); i++)
	{
		char	   *tenant = TextDatumGetCString(tenants[i]);
		MtEventPosition position;

		CHECK_FOR_INTERRUPTS();
		read_position(tenant, &position);
		/* One that somebody is busy with has its turn later. */
		if (position.table != left || (max > 0 && !mt_lock_events(tenant, false)))
			continue;
		found++;
		if (max == 0)
			continue;
		read_position(tenant, &position);
		mt_write_event_position(tenant, &position);
	}
	return found;
}

static int
move_consumers(int left, int max)
{
	int			count;
	Datum	   *tenants = all_tenants(&count);
	int			found = 0;

	for (int i = 0; i < count && found < Max(max, 1); i++)
	{
		CHECK_FOR_INTERRUPTS();
		found += mt_move_consumers(TextDatumGetCString(tenants[i]), left, max == 0 ? 0 : max - found);
	}
	return found;
}

static bool
positions_needed(Relation relation, void *argument)
{
	return move_positions((MtTenantTable *) argument - mt_position_tables, 0) > 0;
}

static bool
consumers_needed(Relation relation, void *argument)
{
	return move_consumers((MtTenantTable *) argument - mt_consumer_tables, 0) > 0;
}

static bool
is_large(MtTenantTable *table)
{
	return mt_all_blocks_of(table) >= GROWN_BLOCKS;
}

/* Empties a table that nobody needs. In words, or NULL; a large one is only noted. */
static char *
empty_table(MtTenantTable *table, MtRowsNeeded needed)
{
	bool		behind = last_passed;

	if (!is_large(table))
		return mt_empty_table(table, needed, table, false) ? psprintf("emptied %s", table->table.name) : NULL;
	last_passed = last_passed || table == last_large;
	if ((large != NULL && (large_is_behind || !behind)) || !mt_lock_unneeded_table(table, needed, table, false))
		return NULL;
	/* What else is done in this transaction keeps nobody from it. */
	mt_unlock_unneeded_table(table);
	large = table;
	large_is_behind = behind;
	return NULL;
}

/* A step for tables of which the newest row of each is needed: positions or consumers. */
static char *
tend_ledger(MtTableKind kind, MtTenantTable *tables, BlockNumber *first_blocks, int (*move) (int left, int max), MtRowsNeeded needed)
{
	int			in_use = mt_table_in_use(kind);
	int			left = 1 - in_use;
	int			moved;

	if (mt_blocks_of(&tables[left]) == 0)
	{
		char	   *step = mt_change_grown_table(kind, tables, 2, GROWTH * *first_blocks + GROWN_BLOCKS);

		if (step != NULL)
			*first_blocks = 0;
		return step;
	}
	moved = mt_keep_all_tenants() ? move(left, MOVED_MAX) : 0;
	if (moved == 0)
		return empty_table(&tables[left], needed);
	*first_blocks = mt_all_blocks_of(&tables[in_use]);
	return psprintf("moved %d rows to %s", moved, tables[in_use].table.name);
}

/* When the first or the last event of a table was published; 0 where there is none. */
static TimestampTz
event_moment(MtTenantTable *table, ScanDirection direction)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan_strat(relation, snapshot, 0, NULL, true, false);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TimestampTz moment = 0;
	bool		isnull;

	if (table_scan_getnextslot(scan, direction, slot))
		moment = DatumGetTimestampTz(slot_getattr(slot, MT_EVENT_PUBLISHED_AT, &isnull));
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, AccessShareLock);
	return moment;
}

/* Goes on with the table that was written to last, which a server that has just started does not know. */
static void
find_table_of_events(void)
{
	TimestampTz latest = 0;
	int			table = 0;

	if (mt_table_chosen(MT_EVENTS))
		return;
	for (int i = 0; i < MT_EVENT_TABLES; i++)
	{
		TimestampTz moment = event_moment(&mt_event_tables[i], BackwardScanDirection);

		if (moment <= latest)
			continue;
		latest = moment;
		table = i;
	}
	(void) mt_use_table(MT_EVENTS, table);
}

/* Adds events that are still kept to the table in use, or only counts them where writer is NULL; stops when there are more than max. */
static int
carry_events(MtTenantTable *table, MtTenantWriter *writer, int max)
{
	int			count;
	Datum	   *tenants = all_tenants(&count);
	int			kept = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	for (int i = 0; i < count && kept <= max; i++)
	{
		char	   *tenant = TextDatumGetCString(tenants[i]);
		MtEventPosition position;
		MtTenantScan scan;
		ScanKeyData key;

		read_position(tenant, &position);
		mt_tenant_scan_open(&scan, table, tenant, GetActiveSnapshot(), 1);
		mt_tenant_key(&key, MT_EVENT_SEQ, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(position.first_seq));
		mt_tenant_scan_start(&scan, &key, 1);
		while (kept <= max && mt_tenant_scan_next(&scan, ForwardScanDirection))
		{
			CHECK_FOR_INTERRUPTS();
			kept++;
			if (writer == NULL)
				continue;
			slot_getallattrs(scan.slot);
			mt_tenant_writer_add(writer, scan.slot->tts_values, scan.slot->tts_isnull);
		}
		mt_tenant_scan_close(&scan);
	}
	PopActiveSnapshot();
	return kept;
}

/* True when a table of events holds one that its tenant keeps. */
static bool
events_needed(Relation relation, void *argument)
{
	return carry_events(argument, NULL, 0) > 0;
}

/* Empties the table that has the fewest events which are still kept, having carried these over to the one in use; no more than CARRIED_MAX. */
static char *
empty_by_carrying(void)
{
	int			in_use = mt_table_in_use(MT_EVENTS);
	MtTenantTable *best = NULL;
	int			fewest = CARRIED_MAX + 1;
	MtTenantWriter writer;

	for (int i = 1; i < MT_EVENT_TABLES; i++)
	{
		MtTenantTable *table = &mt_event_tables[(in_use + i) % MT_EVENT_TABLES];
		int			kept = carry_events(table, NULL, fewest - 1);

		/* A large one of which nothing is kept is left to others. */
		if (kept >= fewest || (kept == 0 && is_large(table)))
			continue;
		fewest = kept;
		best = table;
	}
	if (best == NULL || !mt_keep_all_tenants() || !mt_lock_table_at_once(best, AccessExclusiveLock))
		return NULL;
	mt_tenant_writer_open(&writer, &mt_event_tables[in_use]);
	fewest = carry_events(best, &writer, INT_MAX - 1);
	mt_tenant_writer_close(&writer);
	mt_truncate_table(best);
	return psprintf("emptied %s of all but %d events", best->table.name, fewest);
}

/* A step for the tables of events. */
static char *
tend_table_of_events(void)
{
	static MtPlan moment = {"SELECT pg_catalog.now() - mindtickle.longest_event_retention() / 2", 0};
	int			in_use;
	TimestampTz oldest;
	bool		isnull;

	find_table_of_events();
	in_use = mt_table_in_use(MT_EVENTS);
	for (int i = 0; i < MT_EVENT_TABLES; i++)
	{
		char	   *step = i == in_use ? NULL : empty_table(&mt_event_tables[i], events_needed);

		if (step != NULL)
			return step;
	}
	oldest = event_moment(&mt_event_tables[in_use], ForwardScanDirection);
	if (oldest == 0)
		return NULL;
	if (mt_plan_run(&moment, NULL, NULL, SPI_OK_SELECT) != 1 ||
		oldest > DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)) || isnull)
		return NULL;
	for (int i = 0; i < MT_EVENT_TABLES; i++)
		if (mt_blocks_of(&mt_event_tables[i]) == 0)
			return mt_change_grown_table(MT_EVENTS, mt_event_tables, MT_EVENT_TABLES, 0);
	return empty_by_carrying();
}

static char *
tend_outbox(void)
{
	char	   *step = mt_change_grown_table(MT_OUTBOX, mt_outbox_tables, MT_OUTBOX_TABLES, GROWN_BLOCKS);

	for (int i = 0; i < MT_OUTBOX_TABLES && step == NULL; i++)
		if (i != mt_table_in_use(MT_OUTBOX))
			step = empty_table(&mt_outbox_tables[i], outbox_needed);
	return step;
}

static char *
tend_overflow(void)
{
	char	   *step = mt_change_grown_table(MT_OVERFLOW, mt_overflow_tables, MT_OVERFLOW_TABLES, GROWN_BLOCKS);

	/* The publisher writes to the one in use. It leaves a large one, once the other one is empty. */
	for (int i = 0; i < MT_OVERFLOW_TABLES && step == NULL; i++)
		if (i != mt_table_in_use(MT_OVERFLOW) || !is_large(&mt_overflow_tables[i]))
			step = empty_table(&mt_overflow_tables[i], overflow_needed);
	return step;
}

static char *
tend_positions(void)
{
	return tend_ledger(MT_POSITIONS, mt_position_tables, &first_position_blocks, move_positions, positions_needed);
}

static char *
tend_consumers(void)
{
	return tend_ledger(MT_CONSUMERS, mt_consumer_tables, &first_consumer_blocks, move_consumers, consumers_needed);
}

/*
 * mindtickle.tend_events(events_too) -> text: one step, in words; NULL: there is nothing to do, or somebody is in the way; "large: " and the name of a
 * table: nothing else is to be done, but mindtickle.empty_event_table should empty this one. events_too: also looks whether tables of published events
 * are to be changed or emptied, which takes longer. After an error the next call of the session begins with what comes behind the part that failed, so
 * that this one keeps no other from its turn.
 */
Datum
mt_tend_events(PG_FUNCTION_ARGS)
{
	static char *(*const parts[]) (void) = {tend_outbox, tend_overflow, tend_positions, tend_consumers, tend_table_of_events};
	static int	first = 0;
	static bool failed = false;
	MemoryContext context = CurrentMemoryContext;
	char	   *step = NULL;
	int			begin = first;
	bool		failed_before = failed;

	large = NULL;
	large_is_behind = last_passed = false;
	failed = true;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	for (int i = 0; i < (int) lengthof(parts) && step == NULL; i++)
	{
		int			part = (begin + i) % (int) lengthof(parts);

		if (parts[part] == tend_table_of_events && !PG_GETARG_BOOL(0))
			continue;
		/* The one that failed is the last one now, and must not keep the large table from being told. */
		if (failed_before && i == (int) lengthof(parts) - 1 && large != NULL)
			break;
		first = (part + 1) % (int) lengthof(parts);
		step = parts[part] ();
	}
	first = 0;
	failed = false;
	if (step == NULL && large != NULL)
	{
		last_large = large;
		step = psprintf("large: %s", large->table.name);
	}
	if (step != NULL)
		step = MemoryContextStrdup(context, step);
	SPI_finish();
	if (step == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(step));
}

/*
 * mindtickle.empty_event_table(name) -> bool: empties a table of events, positions or consumers that nobody needs, however large it is, and waits a
 * moment for who is in the way. False where it is empty or needed, or somebody stays in the way. ERROR 22023 for any other table.
 */
Datum
mt_empty_event_table(PG_FUNCTION_ARGS)
{
	const struct
	{
		MtTenantTable *tables;
		int			count;
		MtRowsNeeded needed;
	}			rings[] = {
		{mt_outbox_tables, MT_OUTBOX_TABLES, outbox_needed},
		{mt_overflow_tables, MT_OVERFLOW_TABLES, overflow_needed},
		{mt_position_tables, MT_POSITION_TABLES, positions_needed},
		{mt_consumer_tables, MT_CONSUMER_TABLES, consumers_needed},
		{mt_event_tables, MT_EVENT_TABLES, events_needed}
	};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (int i = 0; i < (int) lengthof(rings); i++)
		for (int j = 0; j < rings[i].count; j++)
		{
			MtTenantTable *table = &rings[i].tables[j];
			bool		emptied;

			if (strcmp(table->table.name, name) != 0)
				continue;
			if (SPI_connect() != SPI_OK_CONNECT)
				elog(ERROR, "could not connect to SPI");
			emptied = mt_empty_table(table, rings[i].needed, table, true);
			SPI_finish();
			PG_RETURN_BOOL(emptied);
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no table of events", name)));
}

/*
 * mindtickle.tenants_to_publish() -> setof text: tenants with events that wait.
 */
Datum
mt_tenants_to_publish(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			count;
	Datum	   *tenants = all_tenants(&count);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < count; i++)
	{
		char	   *tenant = TextDatumGetCString(tenants[i]);
		MtEventPosition position;
		TimestampTz oldest;
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		read_position(tenant, &position);
		if (position.spilling || position.overflow > 0 || position.batch != (Datum) 0 ||
			mt_count_waiting(tenant, &position, GetActiveSnapshot(), 1, &oldest) > 0)
			tuplestore_putvalues(result->setResult, result->setDesc, &tenants[i], &isnull);
	}
	return (Datum) 0;
}
