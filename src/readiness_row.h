/*
 * readiness_row.h
 *		Rows as entries of readiness: see readiness_row.c.
 */
#ifndef MT_READINESS_ROW_H
#define MT_READINESS_ROW_H

#include "readiness_entry.h"

#include "executor/tuptable.h"

/* Columns that the three tables have in common. */
#define MT_ROW_TENANT_ID	1
#define MT_ROW_USER_ID		2

/* Reads a row into an entry, which is empty before; factor is 1 for a row that came or is there, -1 for one that went. */
typedef void (*MtReadRow) (TupleTableSlot *row, MtEntry *entry, int factor);

extern MtId mt_id_of_row(TupleTableSlot *row, int column, const MtId *known);
extern void mt_read_user_row(TupleTableSlot *row, MtEntry *entry, int factor);
extern void mt_read_progress_row(TupleTableSlot *row, MtEntry *entry, int factor);
extern void mt_read_quiz_row(TupleTableSlot *row, MtEntry *entry, int factor);

#endif							/* MT_READINESS_ROW_H */
