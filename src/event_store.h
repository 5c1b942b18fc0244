/*
 * event_store.h
 *		Where events are kept on their way, and how far each tenant's have come: see event_store.c.
 */
#ifndef MT_EVENT_STORE_H
#define MT_EVENT_STORE_H

#include "cursor.h"
#include "ring.h"

#include "datatype/timestamp.h"

#define MT_OUTBOX_TABLES	4
#define MT_EVENT_TABLES		4
#define MT_OVERFLOW_TABLES	2
#define MT_POSITION_TABLES	2
#define MT_CONSUMER_TABLES	2

/* Columns of the tables, in the order of sql/event_tables.sql. The outbox and the overflow have topic, payload and created_at in the same places. */
#define MT_OUTBOX_XID			2
#define MT_OUTBOX_POSITION		3
#define MT_WAITING_TOPIC		4
#define MT_WAITING_PAYLOAD		5
#define MT_WAITING_CREATED_AT	6
#define MT_OUTBOX_COLUMNS		6
#define MT_OVERFLOW_ROUND		2
#define MT_OVERFLOW_POSITION	3
#define MT_OVERFLOW_COLUMNS		6
#define MT_EVENT_SEQ			2
#define MT_EVENT_TOPIC			3
#define MT_EVENT_PAYLOAD		4
#define MT_EVENT_CREATED_AT		5
#define MT_EVENT_PUBLISHED_AT	6
#define MT_EVENT_COLUMNS		6

extern MtTenantTable mt_outbox_tables[MT_OUTBOX_TABLES];
extern MtTenantTable mt_event_tables[MT_EVENT_TABLES];
extern MtTenantTable mt_overflow_tables[MT_OVERFLOW_TABLES];
extern MtTenantTable mt_position_tables[MT_POSITION_TABLES];
extern MtTenantTable mt_consumer_tables[MT_CONSUMER_TABLES];

/*
 * How far a tenant's events have come. What a transaction of the cursor wrote has been taken from the outbox. Of what the batch shows beyond that,
 * those events are taken whose position is not above batch_position; or, while spilling, those up to (batch_table, batch_xid, batch_position), in
 * which order they go to the overflow, to come back in the order of round and position.
 */
typedef struct MtEventPosition
{
	int			table;			/* where it was read; -1: the tenant has had no event yet */
	int64		number;			/* higher for a later one */
	int64		first_seq;		/* the first that is kept */
	int64		last_seq;		/* the last number given out */
	Datum		cursor;			/* pg_snapshot; 0: nothing is taken */
	Datum		batch;			/* pg_snapshot; 0: none is under way */
	int			batch_table;
	uint64		batch_xid;
	int64		batch_position;
	int64		round;			/* the last of the overflow */
	bool		spilling;		/* and it is not complete */
	int64		drain_round;
	int64		drain_position;
	int64		overflow;		/* events in the overflow */
	MtCursor	taken;			/* cursor, taken apart; without meaning where that is 0 */
	MtCursor	taking;			/* batch, likewise */
} MtEventPosition;

extern void mt_push_event_position(const char *tenant, MtEventPosition *position);
extern bool mt_read_event_position(const char *tenant, Snapshot snapshot, MtEventPosition *position);
extern void mt_write_event_position(const char *tenant, MtEventPosition *position);
extern bool mt_event_position_foreign(const MtEventPosition *position);
extern bool mt_event_taken(const MtEventPosition *position, int table, uint64 xid, int64 number);
extern const MtCursor *mt_events_since(const MtEventPosition *position);
extern bool mt_any_emptied(MtTenantTable *tables, int count, Snapshot snapshot);
extern void mt_report_old_event_snapshot(void);
extern bool mt_find_event(MtTenantScan *scan, const char *tenant, int64 seq, Snapshot snapshot);
extern int64 mt_next_event(const char *tenant, int64 seq, Snapshot snapshot);
extern int64 mt_count_waiting(const char *tenant, const MtEventPosition *position, Snapshot snapshot, int64 limit, TimestampTz *oldest);

/* event_consumer.c */
extern int	mt_count_consumers(const char *tenant, int64 *longest_lag);
extern int	mt_move_consumers(const char *tenant, int from, int max);

/* event_flush.c */
extern void mt_commit_events_early(void);
extern void mt_flush_events(void);

#endif							/* MT_EVENT_STORE_H */
