/*
 * plan.c
 *		Kept plans: a statement is parsed and planned once a backend, not once a call.
 *
 * Called by the files that hold statements, inside mt_service_enter/leave, so that search_path and role are the same each time and the plan
 * stays valid. The plan cache notices dropped and altered tables by itself.
 */
#include "plan.h"

/*
 * Runs the plan, preparing it first where need be, and returns the number of rows. expected is the SPI result code that the statement must
 * give (SPI_OK_SELECT and so on); rows are in SPI_tuptable.
 */
uint64
mt_plan_run(MtPlan *plan, Datum *values, const char *nulls, int expected)
{
	int			result;

	if (plan->plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare_cursor(plan->query, plan->argument_count, plan->arguments, plan->cursor_options);

		if (prepared == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", plan->query, SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		plan->plan = prepared;
	}
	result = SPI_execute_plan(plan->plan, values, nulls, plan->read_only, 0);
	if (result != expected)
		elog(ERROR, "\"%s\" gave %s", plan->query, SPI_result_code_string(result));
	return SPI_processed;
}
