/*
 * readiness_people.h
 *		Whether users are there and active: see readiness_people.c.
 */
#ifndef MT_READINESS_PEOPLE_H
#define MT_READINESS_PEOPLE_H

#include "readiness_store.h"

/* A user as a snapshot shows him. */
typedef struct MtUserState
{
	bool		present;
	bool		active;
	bool		had_rows;		/* it is remembered that he had rows before the deltas */
} MtUserState;

/* Users of one tenant, in one snapshot, as long as they are looked up. */
typedef struct MtPeople
{
	const char *tenant;
	Snapshot	snapshot;
	uint64		since;			/* what is remembered holds for this; 0: nothing does */
	int64		fold;			/* of the summary */
	bool		open;
	MtTenantScan scan;
} MtPeople;

extern MtTenantTable mt_users_table;

extern void mt_people_begin(MtPeople *people, const char *tenant, Snapshot snapshot, const MtSummary *summary, bool changed);
extern MtUserState mt_look_up_user(MtPeople *people, MtId user);
extern void mt_remember_rows(MtPeople *people, MtId user);
extern void mt_people_end(MtPeople *people);

#endif							/* MT_READINESS_PEOPLE_H */
