/*
 * large_table.h
 *		Attempts to empty large tables of events: see large_table.c.
 */
#ifndef MT_LARGE_TABLE_H
#define MT_LARGE_TABLE_H

#include "postgres.h"

extern int	mt_large_table_try(int64 file);

#endif							/* MT_LARGE_TABLE_H */
