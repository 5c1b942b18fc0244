/*
 * plan.c
 *		Kept plans: a statement is parsed and planned once a backend, not once a call.
 *
 * Called by the files that hold statements, inside mt_service_enter/leave, so that search_path and role are the same each time and the plan
 * stays valid. The plan cache notices dropped and altered tables by itself.
 */
#include "plan.h"

static void
prepare(MtPlan *plan)
{
	SPIPlanPtr	prepared;

	if (plan->plan != NULL)
		return;
	prepared = SPI_prepare_cursor(plan->query, plan->argument_count, plan->arguments, plan->cursor_options);
	if (prepared == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", plan->query, SPI_result_code_string(SPI_result));
	SPI_keepplan(prepared);
	plan->plan = prepared;
}

static uint64
judge(const MtPlan *plan, int result, int expected)
{
	if (result != expected)
		elog(ERROR, "\"%s\" gave %s", plan->query, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Runs the plan, preparing it first where need be, and returns the number of rows. expected is the SPI result code that the statement must
 * give (SPI_OK_SELECT and so on); rows are in SPI_tuptable.
 */
uint64
mt_plan_run(MtPlan *plan, Datum *values, const char *nulls, int expected)
{
	prepare(plan);
	return judge(plan, SPI_execute_plan(plan->plan, values, nulls, plan->read_only, 0), expected);
}

/*
 * The same as this snapshot shows the tables, and what the transaction itself has written.
 */
uint64
mt_plan_run_in(MtPlan *plan, Datum *values, const char *nulls, int expected, Snapshot snapshot)
{
	prepare(plan);
	return judge(plan, SPI_execute_snapshot(plan->plan, values, nulls, snapshot, InvalidSnapshot, plan->read_only, true, 0), expected);
}
