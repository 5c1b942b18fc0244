/*
 * spent_table.h
 *		Tables of which no row is needed any more: see spent_table.c.
 */
#ifndef MT_SPENT_TABLE_H
#define MT_SPENT_TABLE_H

#include "mindtickle.h"

#include "datatype/timestamp.h"
#include "utils/snapshot.h"

extern void mt_request_spent_table_memory(void);
extern bool mt_table_spent(Oid relation);
extern void mt_table_filled(Oid relation);
extern void mt_forget_spent_tables(void);
extern bool mt_table_known_spent(Oid relation, Snapshot snapshot);
extern TimestampTz mt_table_spent_since(Oid relation);

#endif							/* MT_SPENT_TABLE_H */
