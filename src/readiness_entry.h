/*
 * readiness_entry.h
 *		What a change of the tables does to the figures of one user in one course: see readiness_entry.c.
 */
#ifndef MT_READINESS_ENTRY_H
#define MT_READINESS_ENTRY_H

#include "mindtickle.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* Figures that only add up. Scores are in units of 0.0001, so that sums are exact. */
typedef struct MtFigures
{
	int64		submissions;	/* rows of quiz_submission, also those without a score */
	int64		scores;			/* those with one */
	int64		score_sum;
	int64		assignments;	/* rows of course_progress */
	int64		completed;
	int64		overdue;		/* not completed, and is_overdue */
} MtFigures;

#define MT_FIGURES	((int) (sizeof(MtFigures) / sizeof(int64)))

/* An id: bytes that are not terminated. */
typedef struct MtId
{
	const char *bytes;
	int			length;
} MtId;

/* The change for a user in a course; or, where course has no bytes, of the user's own row. */
typedef struct MtEntry
{
	MtId		tenant;
	MtId		user;
	MtId		course;
	MtFigures	figures;
	int			present;		/* rows of users: 1 came, -1 went */
	int			active;			/* the same for those that are active */
	TimestampTz gained;			/* latest moment of activity that came; DT_NOBEGIN: none */
	TimestampTz lost;			/* the same of what went; later than gained: the latest of the user must be looked up */
} MtEntry;

typedef struct MtEntries
{
	MtEntry    *entries;
	int			count;
	int			allocated;
} MtEntries;

extern int64 mt_score_units(Datum score);
extern int	mt_compare_ids(MtId first, MtId second);
extern void mt_add_figures(MtFigures *sum, const MtFigures *figures, int factor);
extern bool mt_figures_empty(const MtFigures *figures);
extern void mt_reserve_entries(MtEntries *entries, int count);
extern MtEntry *mt_new_entry(MtEntries *entries);
extern void mt_merge_entries(MtEntries *entries);
extern void mt_pack_entry(StringInfo buffer, const MtEntry *entry, const MtEntry *before);
extern void mt_unpack_entries(MtEntries *entries, MtId tenant, const char *bytes, int length);

/* Longest entry in bytes: a flag, two ids with two lengths each, and the numbers. */
#define MT_PACKED_ENTRY_MAX	(1 + 2 * (20 + MT_ID_MAX) + (MT_FIGURES + 3) * 10)

#endif							/* MT_READINESS_ENTRY_H */
