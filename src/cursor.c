/*
 * cursor.c
 *		Cursors that are whole snapshots: which transactions' rows have been taken in, and scans of the rows that have not.
 *
 * A cursor is a pg_snapshot of the moment at which somebody took in what was visible. New since then is what a later snapshot shows of transactions
 * that the cursor does not: those at or above its xmax, and those that were in progress. So a transaction that stays open, of whichever database, keeps
 * nobody else's rows from being taken in, and its own are found when it has committed.
 *
 * Called by readiness_store.c for deltas and by the files of events for the outbox. Checks no right.
 */
#include "cursor.h"

#include "access/relscan.h"
#include "access/transam.h"
#include "access/xact.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/*
 * So many transactions below a cursor's xmax are looked through as a range, with all that came after them. Those further below that were in progress
 * are looked up one by one.
 */
#define NARROW_RANGE	64
/* So many transactions that are looked up one by one, for nothing, are not worth a new cursor. */
#define LOOKUPS_MAX		4
/* Transaction ids of so many in a row can be told apart by their lower halves. */
#define COMPARABLE_IDS	(UINT64CONST(1) << 31)

/* Columns of the tables. */
#define ROW_XID		2
#define ROW_NUMBER	3

/*
 * Takes a pg_snapshot apart, in its binary form, which is the public one.
 */
void
mt_read_cursor(Datum snapshot, MtCursor *cursor)
{
	bytea	   *binary = DatumGetByteaPP(DirectFunctionCall1(pg_snapshot_send, snapshot));
	StringInfoData message = {.data = VARDATA_ANY(binary),.len = VARSIZE_ANY_EXHDR(binary),.maxlen = VARSIZE_ANY_EXHDR(binary)};

	cursor->count = pq_getmsgint(&message, 4);
	cursor->xmin = pq_getmsgint64(&message);
	cursor->xmax = pq_getmsgint64(&message);
	cursor->in_progress = palloc(sizeof(uint64) * Max(cursor->count, 1));
	for (int i = 0; i < cursor->count; i++)
		cursor->in_progress[i] = pq_getmsgint64(&message);
}

/*
 * True when what a transaction wrote has been taken in.
 */
bool
mt_cursor_has(const MtCursor *cursor, uint64 xid)
{
	int			low = 0;
	int			high = cursor->count;

	if (xid < cursor->xmin)
		return true;
	if (xid >= cursor->xmax)
		return false;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (cursor->in_progress[middle] < xid)
			low = middle + 1;
		else
			high = middle;
	}
	return low == cursor->count || cursor->in_progress[low] != xid;
}

/* True when a transaction, below next_xid, is still in progress, for all that the snapshot knows: then there is nothing of it to be found. */
static bool
hidden(uint64 xid, uint64 next_xid, Snapshot snapshot)
{
	TransactionId short_xid = (TransactionId) xid;

	return next_xid - xid < COMPARABLE_IDS && !TransactionIdIsCurrentTransactionId(short_xid) && XidInMVCCSnapshot(short_xid, snapshot);
}

/* How many transactions a cursor that is this snapshot, of now, would have looked up one by one. */
static int
lookups_behind(Snapshot snapshot)
{
	int			lookups = 0;

	for (uint32 i = 0; i < snapshot->xcnt; i++)
		if (snapshot->xmax - snapshot->xip[i] > NARROW_RANGE)
			lookups++;
	return lookups;
}

/*
 * True when each scan looks up many transactions of which there will never be anything new, since they were in progress then and have ended, and what
 * is taken in anew, be it nothing, has a cursor that is better: while many others are long under way it would be worn itself as soon as they end.
 */
bool
mt_cursor_worn(const MtCursor *cursor, Snapshot snapshot)
{
	uint64		next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	int			lookups = 0;

	for (int i = 0; i < cursor->count && cursor->in_progress[i] + NARROW_RANGE < cursor->xmax; i++)
		if (!hidden(cursor->in_progress[i], next_xid, snapshot))
			lookups++;
	return lookups > LOOKUPS_MAX && lookups_behind(snapshot) <= LOOKUPS_MAX;
}

/*
 * Opens a scan of what is new since a cursor, NULL for none, as the snapshot shows it.
 */
void
mt_new_scan_open(MtNewScan *scan, MtTenantTable *table, const char *tenant, const MtCursor *since, Snapshot snapshot)
{
	memset(scan, 0, sizeof(MtNewScan));
	mt_tenant_scan_open(&scan->scan, table, tenant, snapshot, 2);
	scan->since = since;
	scan->before = PG_UINT64_MAX;
	if (since == NULL)
		return;
	while (scan->single < since->count && since->in_progress[scan->single] + NARROW_RANGE < since->xmax)
		scan->single++;
	scan->range = scan->single < since->count ? since->in_progress[scan->single] : since->xmax;
	scan->next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
}

static void
start_range(MtNewScan *scan, AttrNumber column, StrategyNumber strategy, RegProcedure function, Datum value, uint64 xid, bool only)
{
	ScanKeyData keys[2];

	mt_tenant_key(&keys[0], ROW_XID, only ? BTEqualStrategyNumber : BTGreaterEqualStrategyNumber, only ? F_XID8EQ : F_XID8GE,
				  FullTransactionIdGetDatum(FullTransactionIdFromU64(xid)));
	mt_tenant_key(&keys[1], column, strategy, function, value);
	mt_tenant_scan_start(&scan->scan, keys, 2);
}

/* Transactions from one on, or it alone. */
static void
start_transactions(MtNewScan *scan, uint64 xid, bool only)
{
	start_range(scan, ROW_XID, BTLessStrategyNumber, F_XID8LT, FullTransactionIdGetDatum(FullTransactionIdFromU64(scan->before)), xid, only);
}

/*
 * Begins with the next part of the scan: the rest of the transaction at which to go on, each transaction far below the cursor's xmax that was in
 * progress, and the range from there on. False: there is none.
 */
static bool
start_next_leg(MtNewScan *scan)
{
	while (scan->leg <= scan->single + 1)
	{
		int			leg = scan->leg++;

		if (leg == 0)
		{
			if (scan->from_xid == 0)
				continue;
			start_range(scan, ROW_NUMBER, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(scan->from_number), scan->from_xid, true);
			return true;
		}
		if (leg <= scan->single)
		{
			uint64		xid = scan->since->in_progress[leg - 1];

			if (xid <= scan->from_xid || hidden(xid, scan->next_xid, scan->scan.scan->xs_snapshot))
				continue;
			start_transactions(scan, xid, true);
			return true;
		}
		start_transactions(scan, Max(scan->from_xid + 1, scan->range), false);
		return true;
	}
	return false;
}

/*
 * The next new row, in scan->scan.slot, with its xid in scan->xid. False: there is none.
 */
bool
mt_new_scan_next(MtNewScan *scan)
{
	for (;;)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (!scan->started && !start_next_leg(scan))
			return false;
		scan->started = mt_tenant_scan_next(&scan->scan, ForwardScanDirection);
		if (!scan->started)
			continue;
		scan->xid = U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(scan->scan.slot, ROW_XID, &isnull)));
		if (scan->since == NULL || !mt_cursor_has(scan->since, scan->xid))
			return true;
		/* All of that transaction was taken, which may be very many rows; of the range it is one of NARROW_RANGE at most. */
		if (scan->leg > scan->single + 1)
			start_transactions(scan, scan->xid + 1, false);
	}
}

/*
 * Ends the scan and gives back its locks.
 */
void
mt_new_scan_close(MtNewScan *scan)
{
	mt_tenant_scan_close(&scan->scan);
}
