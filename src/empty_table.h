/*
 * empty_table.h
 *		Which tables are known to be empty: see empty_table.c.
 */
#ifndef MT_EMPTY_TABLE_H
#define MT_EMPTY_TABLE_H

#include "mindtickle.h"

#include "utils/snapshot.h"

extern void mt_request_empty_table_memory(void);
extern bool mt_table_emptied(Oid relation);
extern void mt_table_filled(Oid relation);
extern void mt_forget_empty_tables(void);
extern bool mt_table_known_empty(Oid relation, Snapshot snapshot);

#endif							/* MT_EMPTY_TABLE_H */
