/*
 * plan.c
 *		Kept plans: a statement is parsed and planned once a backend, not once a call.
 *
 * Called by the files that hold statements, inside mt_service_enter/leave, so that search_path and role are the same each time and the plan
 * stays valid. The plan cache notices dropped and altered tables by itself.
 */
#include "plan.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

/* Plans of statements that are made at run time: so many are kept, of texts not longer than this. */
#define TEXT_PLANS			32
#define TEXT_PLAN_BYTES_MAX	8192

typedef struct TextPlan
{
	uint32		hash;
	char	   *query;			/* NULL: free */
	SPIPlanPtr	plan;
} TextPlan;

static TextPlan text_plans[TEXT_PLANS];
static int	text_plans_next = 0;

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
judge(const char *query, int result, int expected)
{
	if (result != expected)
		elog(ERROR, "\"%s\" gave %s", query, SPI_result_code_string(result));
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
	return judge(plan->query, SPI_execute_plan(plan->plan, values, nulls, plan->read_only, 0), expected);
}

/*
 * Opens a cursor on the plan's rows, for what may be too many to hold at once. SPI_cursor_close is the caller's.
 */
Portal
mt_plan_open(MtPlan *plan, Datum *values, const char *nulls)
{
	prepare(plan);
	return SPI_cursor_open(NULL, plan->plan, values, nulls, plan->read_only);
}

/*
 * Runs the plan as this snapshot shows the tables, and what the transaction itself has written.
 */
uint64
mt_plan_run_in(MtPlan *plan, Datum *values, const char *nulls, int expected, Snapshot snapshot)
{
	prepare(plan);
	return judge(plan->query, SPI_execute_snapshot(plan->plan, values, nulls, snapshot, InvalidSnapshot, plan->read_only, true, 0), expected);
}

/* The kept plan of a statement's text, prepared where there is none; the place is another one's that was kept longest. */
static SPIPlanPtr
plan_of_text(const char *query, size_t length, int argument_count, Oid *arguments, int cursor_options)
{
	uint32		hash = hash_bytes((const unsigned char *) query, (int) length);
	TextPlan   *place = &text_plans[text_plans_next];
	SPIPlanPtr	plan;

	for (int i = 0; i < TEXT_PLANS; i++)
		if (text_plans[i].query != NULL && text_plans[i].hash == hash && strcmp(text_plans[i].query, query) == 0)
			return text_plans[i].plan;
	plan = SPI_prepare_cursor(query, argument_count, arguments, cursor_options);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	if (place->query != NULL)
	{
		SPI_freeplan(place->plan);
		pfree(place->query);
		place->query = NULL;
	}
	place->query = MemoryContextStrdup(TopMemoryContext, query);
	place->hash = hash;
	place->plan = plan;
	text_plans_next = (text_plans_next + 1) % TEXT_PLANS;
	return plan;
}

/*
 * Runs a statement that is made at run time: of fixed parts and parameters, never of a client's text. The plans of the last texts are kept, with
 * the options of their first run.
 */
uint64
mt_plan_run_text(const char *query, int argument_count, Oid *arguments, Datum *values, int cursor_options, int expected)
{
	size_t		length = strlen(query);

	if (length > TEXT_PLAN_BYTES_MAX)
		return judge(query, SPI_execute_with_args(query, argument_count, arguments, values, NULL, false, 0), expected);
	return judge(query, SPI_execute_plan(plan_of_text(query, length, argument_count, arguments, cursor_options), values, NULL, false, 0), expected);
}
