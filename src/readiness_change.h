/*
 * readiness_change.h
 *		What deltas make of the figures: see readiness_change.c.
 */
#ifndef MT_READINESS_CHANGE_H
#define MT_READINESS_CHANGE_H

#include "readiness_store.h"

/* The change of the totals. */
typedef struct MtChange
{
	int64		learners;
	MtFigures	figures;
	bool		people_changed; /* who is there and active; or rows went */
} MtChange;

/* The change of users and courses, as entries with no course or no user. */
typedef struct MtDetails
{
	MtEntries	users;			/* figures of all their rows; lost later than gained: gained is the latest activity there is */
	MtEntries	courses;		/* figures of the rows that count; present is the change of their learners */
} MtDetails;

extern bool mt_readiness_totals(const char *tenant, Snapshot snapshot, MtTotals *totals);
extern bool mt_has_more_rows(const char *tenant, Snapshot snapshot, int64 limit);
extern void mt_count_totals(const char *tenant, MtTotals *totals, Snapshot snapshot);
extern int64 mt_readiness_since(const char *tenant, const MtSummary *summary, Snapshot snapshot, MtChange *change, MtDetails *details);
extern void mt_add_change(MtTotals *totals, const MtChange *change);

#endif							/* MT_READINESS_CHANGE_H */
