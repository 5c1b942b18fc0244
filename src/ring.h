/*
 * ring.h
 *		Rings of tables that are appended to and emptied as a whole: see ring.c.
 */
#ifndef MT_RING_H
#define MT_RING_H

#include "tenant_table.h"

#include "storage/block.h"
#include "storage/lockdefs.h"

/* What is kept in rings of tables. */
typedef enum MtTableKind
{
	MT_DELTAS,
	MT_SUMMARIES,
	MT_DETAILS,					/* the figures of users and courses */
	MT_OUTBOX,
	MT_EVENTS,
	MT_OVERFLOW,
	MT_POSITIONS,
	MT_CONSUMERS,
	MT_TABLE_KINDS
} MtTableKind;

/* True when rows of the table are still needed. */
typedef bool (*MtRowsNeeded) (Relation relation, void *argument);

extern void mt_request_ring_memory(void);
extern void mt_forget_tables(Oid database);
extern bool mt_use_table(MtTableKind kind, int table);
extern int	mt_table_in_use(MtTableKind kind);
extern bool mt_table_chosen(MtTableKind kind);
extern int	mt_table_of_transaction(MtTableKind kind);

extern BlockNumber mt_blocks_of(MtTenantTable *table);
extern BlockNumber mt_all_blocks_of(MtTenantTable *table);
extern char *mt_change_grown_table(MtTableKind kind, MtTenantTable *tables, int count, BlockNumber limit);
extern bool mt_lock_table_at_once(MtTenantTable *table, LOCKMODE mode);
extern void mt_truncate_table(MtTenantTable *table);
extern bool mt_lock_unneeded_table(MtTenantTable *table, MtRowsNeeded needed, void *argument, bool patient);
extern void mt_unlock_unneeded_table(MtTenantTable *table);
extern bool mt_empty_table(MtTenantTable *table, MtRowsNeeded needed, void *argument, bool patient);

#endif							/* MT_RING_H */
