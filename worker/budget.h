/*
 * budget.h
 *		Pacing of one tenant's requests: see budget.c.
 */
#ifndef MT_BUDGET_H
#define MT_BUDGET_H

#include "postgres.h"

/* Minutes of which the requests are counted for the hour: those that a window of an hour can touch, and what may be seen late. */
#define MT_BUDGET_MINUTES 62

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
	int			per_hour;		/* 0: no limit */
	int64		next_at;		/* before this no request is due */
	int64		latency_floor;	/* shortest time an answer takes, slowly forgotten */
	uint64		taken;			/* requests so far; also the next one's ticket */
	int			capacity;		/* of the ring */
	MtBudgetEntry *ring;		/* the last requests, by ticket modulo capacity */
	int64		minute;			/* of the clock, that was counted last */
	int			minutes[MT_BUDGET_MINUTES]; /* requests of each of the last minutes, by minute modulo their number */
} MtBudget;

/* How much of a budget is left; -1: there is no such limit. */
typedef struct MtBudgetLeft
{
	int			of_minute;
	int			of_hour;
} MtBudgetLeft;

extern void mt_budget_limit(MtBudget *budget, double per_second, double per_minute, double per_hour);
extern void mt_budget_hold(MtBudget *budget, int64 until);
extern int64 mt_budget_next(MtBudget *budget, int64 now, bool urgent);
extern uint64 mt_budget_take(MtBudget *budget, int64 now);
extern void mt_budget_recall(MtBudget *budget, int64 now, int64 age, const int *minutes, int count);
extern int	mt_budget_recount(MtBudget *budget, int64 now, int64 ahead, int *minutes);
extern MtBudgetLeft mt_budget_left(MtBudget *budget, int64 now);
extern void mt_budget_sent(MtBudget *budget, uint64 ticket, int64 now);
extern void mt_budget_settled(MtBudget *budget, uint64 ticket, int64 now);
extern void mt_budget_free(MtBudget *budget);

#endif							/* MT_BUDGET_H */
