/*
 * budget.h
 *		Pacing of one tenant's requests: see budget.c.
 */
#ifndef MT_BUDGET_H
#define MT_BUDGET_H

#include "postgres.h"

/* What is known of a request that was taken from the budget. */
typedef struct MtBudgetEntry
{
	int64		sent;			/* when it went out; 0: not yet */
	int64		settled;		/* when its answer or its failure was here; 0: not yet */
} MtBudgetEntry;

typedef struct MtBudget
{
	int64		interval;		/* between two requests */
	int			per_second;		/* the most requests of any second, and of any minute */
	int			per_minute;
	int64		next_at;		/* before this no request is due */
	int64		latency_floor;	/* shortest time an answer takes, slowly forgotten */
	uint64		taken;			/* requests so far; also the next one's ticket */
	int			capacity;		/* of the ring */
	MtBudgetEntry *ring;		/* the last requests, by ticket modulo capacity */
} MtBudget;

extern void mt_budget_limit(MtBudget *budget, double per_second, double per_minute, double per_hour);
extern void mt_budget_hold(MtBudget *budget, int64 until);
extern int64 mt_budget_next(const MtBudget *budget, int64 now);
extern uint64 mt_budget_take(MtBudget *budget, int64 now);
extern void mt_budget_sent(MtBudget *budget, uint64 ticket, int64 now);
extern void mt_budget_settled(MtBudget *budget, uint64 ticket, int64 now);
extern void mt_budget_free(MtBudget *budget);

#endif							/* MT_BUDGET_H */
