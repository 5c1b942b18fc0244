/*
 * cursor.h
 *		Cursors that are whole snapshots, and scans of what is new since one: see cursor.c.
 */
#ifndef MT_CURSOR_H
#define MT_CURSOR_H

#include "tenant_table.h"

/* A pg_snapshot taken apart: which transactions have been taken in. */
typedef struct MtCursor
{
	uint64		xmin;
	uint64		xmax;
	int			count;
	uint64	   *in_progress;	/* in ascending order */
} MtCursor;

/*
 * A scan of a tenant's rows that a cursor has not taken in. The table's key is (tenant_id, xid, number), where xid is the top transaction that
 * wrote the row; rows come in that order. Filled in by mt_new_scan_open but for before, from_xid and from_number, which the caller may set then.
 */
typedef struct MtNewScan
{
	MtTenantScan scan;
	const MtCursor *since;		/* NULL: everything is new */
	uint64		before;			/* only xids below this */
	uint64		from_xid;		/* only rows behind this one; 0: from the first on */
	int64		from_number;
	int			single;			/* so many of the first transactions that were in progress are looked up one by one */
	uint64		range;			/* from here on all transactions are looked through */
	uint64		next_xid;		/* above all transactions when the scan was opened */
	int			leg;
	bool		started;
	uint64		xid;			/* of the row */
} MtNewScan;

extern void mt_read_cursor(Datum snapshot, MtCursor *cursor);
extern bool mt_cursor_has(const MtCursor *cursor, uint64 xid);
extern bool mt_cursor_worn(const MtCursor *cursor, Snapshot snapshot);
extern void mt_new_scan_open(MtNewScan *scan, MtTenantTable *table, const char *tenant, const MtCursor *since, Snapshot snapshot);
extern bool mt_new_scan_next(MtNewScan *scan);
extern void mt_new_scan_close(MtNewScan *scan);

#endif							/* MT_CURSOR_H */
