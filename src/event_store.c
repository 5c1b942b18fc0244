/*
 * event_store.c
 *		Where events are kept on their way, and how far each tenant's have come.
 *
 * A transaction appends its events to the outbox (event.c), with its xid and a position from one sequence. The publisher (event_publish.c) takes what
 * is new, in the order of position, and appends it to the events with the numbers that follow. How far it has come is a row that it appends with them:
 * the one with the highest number is the tenant's newest. A tenant with very much takes the way through the overflow. Nothing is updated or deleted;
 * tables are emptied when nobody needs them (event_ring.c).
 *
 * Called by the files of events, after they have checked the caller's right. Readers pass the snapshot in which they want to see it all.
 */
#include "event_store.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* Columns of the tables of positions. */
enum
{
	POSITION_TENANT,
	POSITION_NUMBER,
	POSITION_FIRST_SEQ,
	POSITION_LAST_SEQ,
	POSITION_CURSOR,
	POSITION_BATCH,
	POSITION_BATCH_TABLE,
	POSITION_BATCH_XID,
	POSITION_BATCH_POSITION,
	POSITION_ROUND,
	POSITION_SPILLING,
	POSITION_DRAIN_ROUND,
	POSITION_DRAIN_POSITION,
	POSITION_OVERFLOW,
	POSITION_COLUMNS
};

MtTenantTable mt_outbox_tables[MT_OUTBOX_TABLES] = {
	{.table = {"outbox_0"}},
	{.table = {"outbox_1"}},
	{.table = {"outbox_2"}},
	{.table = {"outbox_3"}}
};

MtTenantTable mt_event_tables[MT_EVENT_TABLES] = {
	{.table = {"event_0"}},
	{.table = {"event_1"}},
	{.table = {"event_2"}},
	{.table = {"event_3"}}
};

MtTenantTable mt_overflow_tables[MT_OVERFLOW_TABLES] = {
	{.table = {"event_overflow_0"}},
	{.table = {"event_overflow_1"}}
};

MtTenantTable mt_position_tables[MT_POSITION_TABLES] = {
	{.table = {"event_position_0"}},
	{.table = {"event_position_1"}}
};

MtTenantTable mt_consumer_tables[MT_CONSUMER_TABLES] = {
	{.table = {"event_consumer_0"}},
	{.table = {"event_consumer_1"}}
};

/*
 * How far a tenant's events have come, as the snapshot shows it. False: that is not known in this snapshot, which is too old.
 */
bool
mt_read_event_position(const char *tenant, Snapshot snapshot, MtEventPosition *position)
{
	Datum		values[POSITION_COLUMNS];
	bool		nulls[POSITION_COLUMNS];

	memset(position, 0, sizeof(MtEventPosition));
	position->first_seq = 1;
	if (!mt_read_newest(mt_position_tables, MT_POSITION_TABLES, tenant, NULL, 0, snapshot, values, nulls, &position->table, NULL))
		return false;
	if (position->table < 0)
		return true;
	position->number = DatumGetInt64(values[POSITION_NUMBER]);
	position->first_seq = DatumGetInt64(values[POSITION_FIRST_SEQ]);
	position->last_seq = DatumGetInt64(values[POSITION_LAST_SEQ]);
	position->cursor = nulls[POSITION_CURSOR] ? (Datum) 0 : values[POSITION_CURSOR];
	position->batch = nulls[POSITION_BATCH] ? (Datum) 0 : values[POSITION_BATCH];
	position->batch_table = DatumGetInt16(values[POSITION_BATCH_TABLE]);
	position->batch_xid = U64FromFullTransactionId(DatumGetFullTransactionId(values[POSITION_BATCH_XID]));
	position->batch_position = DatumGetInt64(values[POSITION_BATCH_POSITION]);
	position->round = DatumGetInt64(values[POSITION_ROUND]);
	position->spilling = DatumGetBool(values[POSITION_SPILLING]);
	position->drain_round = DatumGetInt64(values[POSITION_DRAIN_ROUND]);
	position->drain_position = DatumGetInt64(values[POSITION_DRAIN_POSITION]);
	position->overflow = DatumGetInt64(values[POSITION_OVERFLOW]);
	if (position->cursor != (Datum) 0)
		mt_read_cursor(position->cursor, &position->taken);
	if (position->batch != (Datum) 0)
		mt_read_cursor(position->batch, &position->taking);
	return true;
}

/*
 * True when one of the tables has been emptied since the snapshot. Who asks has read all of them, or holds locks on them.
 */
bool
mt_any_emptied(MtTenantTable *tables, int count, Snapshot snapshot)
{
	for (int i = 0; i < count; i++)
		if (mt_tenant_table_newer(mt_relation_oid(&tables[i].table), snapshot))
			return true;
	return false;
}

/*
 * ERROR 40001 for who keeps to a snapshot that is older than the emptying of a table of events.
 */
void
mt_report_old_event_snapshot(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access: tables of events were emptied after this transaction began"),
			 errhint("Run the transaction again.")));
}

/*
 * Makes the latest snapshot the active one and reads in it how far a tenant's events have come. Again, where a table was emptied between the two.
 */
void
mt_push_event_position(const char *tenant, MtEventPosition *position)
{
	for (;;)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		if (mt_read_event_position(tenant, GetActiveSnapshot(), position))
			return;
		PopActiveSnapshot();
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Appends a position as the tenant's newest. ERROR 23505 where somebody else has done so since it was read.
 */
void
mt_write_event_position(const char *tenant, MtEventPosition *position)
{
	Datum		values[POSITION_COLUMNS];
	bool		nulls[POSITION_COLUMNS] = {false};

	position->number++;
	position->table = mt_table_in_use(MT_POSITIONS);
	values[POSITION_TENANT] = CStringGetTextDatum(tenant);
	values[POSITION_NUMBER] = Int64GetDatum(position->number);
	values[POSITION_FIRST_SEQ] = Int64GetDatum(position->first_seq);
	values[POSITION_LAST_SEQ] = Int64GetDatum(position->last_seq);
	values[POSITION_CURSOR] = position->cursor;
	nulls[POSITION_CURSOR] = position->cursor == (Datum) 0;
	values[POSITION_BATCH] = position->batch;
	nulls[POSITION_BATCH] = position->batch == (Datum) 0;
	values[POSITION_BATCH_TABLE] = Int16GetDatum(position->batch_table);
	values[POSITION_BATCH_XID] = FullTransactionIdGetDatum(FullTransactionIdFromU64(position->batch_xid));
	values[POSITION_BATCH_POSITION] = Int64GetDatum(position->batch_position);
	values[POSITION_ROUND] = Int64GetDatum(position->round);
	values[POSITION_SPILLING] = BoolGetDatum(position->spilling);
	values[POSITION_DRAIN_ROUND] = Int64GetDatum(position->drain_round);
	values[POSITION_DRAIN_POSITION] = Int64GetDatum(position->drain_position);
	values[POSITION_OVERFLOW] = Int64GetDatum(position->overflow);
	mt_tenant_table_append(&mt_position_tables[position->table], values, nulls);
}

/*
 * True when a position says that something was taken which is yet to come: it is another cluster's, whose transactions have other numbers.
 */
bool
mt_event_position_foreign(const MtEventPosition *position)
{
	uint64		next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());

	return (position->cursor != (Datum) 0 && position->taken.xmax > next_xid) || (position->batch != (Datum) 0 && position->taking.xmax > next_xid);
}

/*
 * What has been taken from the outbox as a whole; NULL: nothing.
 */
const MtCursor *
mt_events_since(const MtEventPosition *position)
{
	return position->cursor == (Datum) 0 ? NULL : &position->taken;
}

/*
 * True when an event of the outbox, in this table and with this xid and position, has been taken from it.
 */
bool
mt_event_taken(const MtEventPosition *position, int table, uint64 xid, int64 number)
{
	if (position->cursor != (Datum) 0 && mt_cursor_has(&position->taken, xid))
		return true;
	if (position->batch == (Datum) 0 || !mt_cursor_has(&position->taking, xid))
		return false;
	if (!position->spilling)
		return number <= position->batch_position;
	if (table != position->batch_table)
		return table < position->batch_table;
	return xid < position->batch_xid || (xid == position->batch_xid && number <= position->batch_position);
}

/*
 * Finds an event by its number and leaves the scan open behind it, to go on with those that follow in the same table; mt_tenant_scan_close ends
 * it. False, and nothing is open: there is no such event in the snapshot.
 */
bool
mt_find_event(MtTenantScan *scan, const char *tenant, int64 seq, Snapshot snapshot)
{
	int			in_use = mt_table_in_use(MT_EVENTS);
	ScanKeyData key;

	mt_tenant_key(&key, MT_EVENT_SEQ, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(seq));
	for (int i = 0; i < MT_EVENT_TABLES; i++)
	{
		bool		isnull;

		mt_tenant_scan_open(scan, &mt_event_tables[(in_use + i) % MT_EVENT_TABLES], tenant, snapshot, 1);
		mt_tenant_scan_start(scan, &key, 1);
		if (mt_tenant_scan_next(scan, ForwardScanDirection) && DatumGetInt64(slot_getattr(scan->slot, MT_EVENT_SEQ, &isnull)) == seq)
			return true;
		mt_tenant_scan_close(scan);
	}
	return false;
}

/*
 * The first number from seq on of which there is an event in the snapshot; PG_INT64_MAX: there is none.
 */
int64
mt_next_event(const char *tenant, int64 seq, Snapshot snapshot)
{
	int64		next = PG_INT64_MAX;
	ScanKeyData key;

	mt_tenant_key(&key, MT_EVENT_SEQ, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(seq));
	for (int i = 0; i < MT_EVENT_TABLES; i++)
	{
		MtTenantScan scan;
		bool		isnull;

		mt_tenant_scan_open(&scan, &mt_event_tables[i], tenant, snapshot, 1);
		mt_tenant_scan_start(&scan, &key, 1);
		if (mt_tenant_scan_next(&scan, ForwardScanDirection))
			next = Min(next, DatumGetInt64(slot_getattr(scan.slot, MT_EVENT_SEQ, &isnull)));
		mt_tenant_scan_close(&scan);
	}
	return next;
}

/*
 * How many events wait in the outbox as the snapshot shows it, where counting ends at limit; and since when the oldest of them, 0 where none does.
 */
int64
mt_count_waiting(const char *tenant, const MtEventPosition *position, Snapshot snapshot, int64 limit, TimestampTz *oldest)
{
	int64		count = 0;

	*oldest = 0;
	for (int table = 0; table < MT_OUTBOX_TABLES && count < limit; table++)
	{
		MtNewScan	scan;

		mt_new_scan_open(&scan, &mt_outbox_tables[table], tenant, mt_events_since(position), snapshot);
		while (count < limit && mt_new_scan_next(&scan))
		{
			bool		isnull;
			TimestampTz at = DatumGetTimestampTz(slot_getattr(scan.scan.slot, MT_WAITING_CREATED_AT, &isnull));

			CHECK_FOR_INTERRUPTS();
			if (mt_event_taken(position, table, scan.xid, DatumGetInt64(slot_getattr(scan.scan.slot, MT_OUTBOX_POSITION, &isnull))))
				continue;
			count++;
			*oldest = *oldest == 0 ? at : Min(*oldest, at);
		}
		mt_new_scan_close(&scan);
	}
	return count;
}
