/*
 * position.h
 *		How far a pull has come, as it is saved with the job: see position.c.
 */
#ifndef MT_POSITION_H
#define MT_POSITION_H

#include "postgres.h"

#include "contract.h"
#include "datatype/timestamp.h"

/* Items that could not be read at first and are asked for again at the end of the phase; more than these are given up at once. */
#define MT_AGAIN_MAX 500

typedef struct MtPosition
{
	char	   *stage;			/* how the phase is done; "": not chosen yet */
	uint64		origin;			/* hash of where and as whom it was begun */

	/* of a listing */
	MtCursor	cursor;			/* the next page; of items only since when */
	int64		pages;			/* read so far */
	int64		total;			/* how many there are, as the pages say: of a continued listing the least; -1: none has said so */
	int64		most;			/* the most that a page has said; -1: likewise */
	int64		seen;			/* records of different ids, and those without a readable one */
	int			barren;			/* pages in a row that brought no new id */
	TimestampTz latest;			/* of the records' own moments; 0: none */
	bool		unsteady;		/* the total has changed while reading, so records may have moved between pages */

	/* of items */
	char	   *after;			/* the last one up to whom all are done */
	MtItem	   *again;			/* to be asked for again; NULL until there are some */
	int			again_count;
	int			round;			/* how often that was done */
	int64		lost;			/* items given up */

	/* of the whole pull */
	char	   *error;			/* why it will count as failed; NULL: it will not */
	char	   *scores;			/* why there are none, though there should be; NULL: they are pulled, or nobody can bring them */
} MtPosition;

extern void mt_position_start(MtPosition *position);
extern void mt_position_read(MtPosition *position, const char *json);
extern char *mt_position_write(const MtPosition *position);
extern bool mt_position_again(MtPosition *position, const MtItem *item);
extern void mt_position_not_again(MtPosition *position, const char *key);

#endif							/* MT_POSITION_H */
