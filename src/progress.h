/*
 * progress.h
 *		Course progress: see progress.c.
 */
#ifndef MT_PROGRESS_H
#define MT_PROGRESS_H

#include "field.h"

/* Columns of course_progress that an item may give, in the order of the statement in progress.c. */
typedef enum MtProgressColumn
{
	MT_PROGRESS_SCORE,
	MT_PROGRESS_COMPLETED_AT,
	MT_PROGRESS_INVITED_AT,
	MT_PROGRESS_STARTED_AT,
	MT_PROGRESS_DUE_AT,
	MT_PROGRESS_IS_OVERDUE,
	MT_PROGRESS_HAS_FAILED,
	MT_PROGRESS_PERCENT_COMPLETED,
	MT_PROGRESS_MAX_SCORE,
	MT_PROGRESS_UPDATED_AT,
	MT_PROGRESS_COLUMNS
} MtProgressColumn;

/*
 * The moment of a row of course_progress: none where the row says one that is more than a day ahead. Nothing that happens is later than clocks
 * differ, and every other item would be older than such a row.
 */
#define MT_PROGRESS_MOMENT(row) "CASE WHEN " row ".updated_at <= now() + interval '24 hours' THEN " row ".updated_at END"

/* One item, read and checked. */
typedef struct MtProgressItem
{
	Datum		course_id;
	Datum		status;
	uint32		given;			/* bit per column: the key was there, be it null */
	bool		reset;
	Datum		values[MT_PROGRESS_COLUMNS];
	bool		nulls[MT_PROGRESS_COLUMNS];
	int			position;		/* in the input */
} MtProgressItem;

extern bool mt_progress_ahead(TimestampTz moment);
extern bool mt_progress_read(MtFields *fields, MtProgressItem *item);
extern bool mt_progress_same_course(const MtProgressItem *first, const MtProgressItem *second);
extern int	mt_progress_sort(MtProgressItem *items, int count);
extern int64 mt_progress_write(const char *tenant, Datum user_id, const MtProgressItem *items, int count, bool pulled);

#endif							/* MT_PROGRESS_H */
