/*
 * plan.h
 *		Kept plans: see plan.c.
 */
#ifndef MT_PLAN_H
#define MT_PLAN_H

#include "mindtickle.h"

#include "executor/spi.h"

#define MT_PLAN_ARGUMENTS_MAX	24

/* A statement and its plan, prepared at first use and kept for the life of the backend. */
typedef struct MtPlan
{
	const char *query;
	int			argument_count;
	Oid			arguments[MT_PLAN_ARGUMENTS_MAX];
	int			cursor_options;
	bool		read_only;		/* runs in the snapshot of the calling query */
	SPIPlanPtr	plan;
} MtPlan;

extern uint64 mt_plan_run(MtPlan *plan, Datum *values, const char *nulls, int expected);
extern Portal mt_plan_open(MtPlan *plan, Datum *values, const char *nulls);
extern uint64 mt_plan_run_text(const char *query, int argument_count, Oid *arguments, Datum *values, int cursor_options, int expected);
extern uint64 mt_plan_run_in(MtPlan *plan, Datum *values, const char *nulls, int expected, Snapshot snapshot);

#endif							/* MT_PLAN_H */
