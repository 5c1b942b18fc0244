/*
 * statements.c
 *		The SQL of the workers, all of it but the two questions of a worker's start, and what the gateway asks (gateway_sql.c).
 *
 * Called inside mt_in_transaction. Each statement calls one function of the schema mindtickle; its plan is prepared at the first use and kept
 * for the life of the process. Values are parameters, always. Results are copied into the context that the caller names, for the others die
 * with the transaction. Mind that SPI leaves its own memory context as the current one, whichever it was before.
 */
#include "statements.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "statement.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

typedef MtStatement Statement;

static const char *const phase_names[] = {
	[MT_PHASE_ROSTER] = "roster",
	[MT_PHASE_CATALOG] = "catalog",
	[MT_PHASE_PROGRESS] = "progress",
	[MT_PHASE_QUIZ_RESULTS] = "quiz_results",
};

/*
 * A phase's name in the database.
 */
const char *
mt_phase_name(MtPhase phase)
{
	return phase_names[phase];
}

/*
 * The phase of a name; MT_PHASE_END when there is none.
 */
MtPhase
mt_phase_find(const char *name)
{
	for (int i = 0; i < (int) lengthof(phase_names); i++)
		if (strcmp(phase_names[i], name) == 0)
			return (MtPhase) i;
	return MT_PHASE_END;
}

/* Runs the statement; the result is in SPI_tuptable, SPI_processed. */
static void
run(Statement *statement, Datum *values, const char *nulls)
{
	int			result;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->argument_count, statement->arguments);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		statement->plan = plan;
	}
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(result));
}

/* Runs a statement that returns one row. */
static void
run_for_row(Statement *statement, Datum *values, const char *nulls)
{
	run(statement, values, nulls);
	if (SPI_processed != 1)
		elog(ERROR, "a function of mindtickle gave " UINT64_FORMAT " rows instead of one", (uint64) SPI_processed);
}

/* A column of a result's row; *isnull may be of no interest. */
static Datum
column(uint64 row, int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, isnull);
}

static bool
column_bool(uint64 row, int number)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return !isnull && DatumGetBool(value);
}

static int64
column_int64(uint64 row, int number, int64 absent)
{
	bool		isnull;
	Datum		value = column(row, number, &isnull);

	return isnull ? absent : DatumGetInt64(value);
}

/* The column's text form in the given context; NULL when it is null. */
static char *
column_text(uint64 row, int number, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
	char	   *copy;

	if (value == NULL)
		return NULL;
	copy = MemoryContextStrdup(context, value);
	pfree(value);
	return copy;
}

/*
 * Runs a statement of another file; the result is in SPI_tuptable, SPI_processed.
 */
void
mt_statement_run(MtStatement *statement, Datum *values, const char *nulls)
{
	run(statement, values, nulls);
}

/*
 * The text form of a column of the first row, in the given context; NULL when it is null or there is no row.
 */
char *
mt_statement_text(int number, MemoryContext context)
{
	return SPI_processed == 0 ? NULL : column_text(0, number, context);
}

/* Runs a statement that returns one column of texts. Returns how many; *texts is in the given context, NULL for what is null. */
static int
run_for_texts(Statement *statement, MemoryContext context, char ***texts)
{
	run(statement, NULL, NULL);
	*texts = MemoryContextAlloc(context, sizeof(char *) * (Size) Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
		(*texts)[i] = column_text(i, 1, context);
	return (int) SPI_processed;
}

/*
 * Shows in mt_stat_worker what this worker is at; step NULL: it has ended that. With items, from 0 on, a round has ended well.
 */
void
mt_sql_worker_report(const char *step, int64 items)
{
	static Statement statement = {"SELECT mindtickle.worker_report($1, $2)", 2, {TEXTOID, INT8OID}};
	Datum		values[2];
	char		nulls[2];

	values[0] = step == NULL ? (Datum) 0 : CStringGetTextDatum(step);
	values[1] = Int64GetDatum(items);
	nulls[0] = step == NULL ? 'n' : ' ';
	nulls[1] = items < 0 ? 'n' : ' ';
	run_for_row(&statement, values, nulls);
}

/*
 * Shows in mt_stat_worker that what this worker did last was rolled back.
 */
void
mt_sql_worker_failed(const char *message)
{
	static Statement statement = {"SELECT mindtickle.worker_failed($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(message)};

	run_for_row(&statement, values, NULL);
}

/*
 * True when there is such a tenant. Before a tenant is put in force.
 */
bool
mt_sql_tenant_exists(const char *tenant)
{
	static Statement statement = {"SELECT mindtickle.tenant_exists($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	run_for_row(&statement, values, NULL);
	return column_bool(0, 1);
}

/*
 * Shows every tenant to the visitor, which must keep nothing of the row.
 */
void
mt_sql_overview(MtTenantVisitor visitor, void *argument)
{
	static Statement statement = {
		"SELECT tenant_id, suspended, source_configured, open_jobs, next_sync_at, backoff_until, budget_until"
		" FROM mindtickle.sync_overview()"
	};

	run(&statement, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MtTenantRow row = {
			.tenant_id = column_text(i, 1, CurrentMemoryContext),
			.suspended = column_bool(i, 2),
			.source_configured = column_bool(i, 3),
			.open_jobs = column_bool(i, 4),
			.next_sync_at = column_int64(i, 5, 0),
			.backoff_until = column_int64(i, 6, 0),
			.budget_until = column_int64(i, 7, 0),
		};

		visitor(&row, argument);
		pfree(row.tenant_id);
	}
}

/*
 * Stores for each tenant (text) the moment (timestamptz) up to which its requests are accounted for.
 */
void
mt_sql_reserve_budget(Datum *tenants, Datum *until, int count)
{
	static Statement statement = {"SELECT mindtickle.reserve_budget($1, $2)", 2, {TEXTARRAYOID, TIMESTAMPTZARRAYOID}};
	Datum		values[2];

	values[0] = PointerGetDatum(construct_array(tenants, count, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(until, count, TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	run_for_row(&statement, values, NULL);
}

/*
 * Acts for the tenant until the end of the transaction.
 */
void
mt_sql_enter_tenant(const char *tenant)
{
	static Statement statement = {"SELECT mindtickle.enter_tenant($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	run_for_row(&statement, values, NULL);
}

/*
 * Claims the tenant's open job, or creates the periodic one that is due. False when there is nothing to do.
 */
bool
mt_sql_sync_open(const char *tenant, MemoryContext context, MtJobRow *row)
{
	static Statement statement = {
		"SELECT job_id, kind, phase, position, settings, credential, done, total FROM mindtickle.sync_open($1)", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	run(&statement, values, NULL);
	if (SPI_processed == 0)
		return false;
	row->job_id = column_int64(0, 1, 0);
	row->kind = column_text(0, 2, context);
	row->phase = column_text(0, 3, context);
	row->position = column_text(0, 4, context);
	row->settings = column_text(0, 5, context);
	row->credential = column_text(0, 6, context);
	row->done = column_int64(0, 7, 0);
	row->total = column_int64(0, 8, -1);
	return true;
}

/*
 * Stores records (bytea) of a phase, and adds to counts what became of them. user_id is for progress only.
 */
void
mt_sql_store(MtPhase phase, const char *tenant, int64 job_id, const char *user_id, Datum *records, int count, MtStoreCounts *counts)
{
	static Statement statements[] = {
		[MT_PHASE_ROSTER] = {
			"SELECT received, changed, rejected, fresh FROM mindtickle.store_users($1, $2, $3)", 3,
			{TEXTOID, INT8OID, BYTEAARRAYOID}
		},
		[MT_PHASE_CATALOG] = {
			"SELECT received, changed, rejected, fresh FROM mindtickle.store_courses($1, $2, $3)", 3,
			{TEXTOID, INT8OID, BYTEAARRAYOID}
		},
		[MT_PHASE_PROGRESS] = {
			"SELECT received, changed, rejected, fresh FROM mindtickle.store_progress($1, $2, $4, $3)", 4,
			{TEXTOID, INT8OID, BYTEAARRAYOID, TEXTOID}
		},
		[MT_PHASE_QUIZ_RESULTS] = {
			"SELECT received, changed, rejected, fresh FROM mindtickle.store_quiz_results($1, $2, $3)", 3,
			{TEXTOID, INT8OID, BYTEAARRAYOID}
		},
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = PointerGetDatum(construct_array(records, count, BYTEAOID, -1, false, TYPALIGN_INT));
	values[3] = user_id == NULL ? (Datum) 0 : CStringGetTextDatum(user_id);
	run_for_row(&statements[phase], values, NULL);
	for (int i = 0; i < 4; i++)
	{
		bool		isnull;
		Datum		value = column(0, i + 1, &isnull);
		int64		number = 0;

		if (!isnull)
			number = SPI_gettypeid(SPI_tuptable->tupdesc, i + 1) == INT8OID ? DatumGetInt64(value) : DatumGetInt32(value);
		*(i == 0 ? &counts->received : i == 1 ? &counts->changed : i == 2 ? &counts->rejected : &counts->fresh) += number;
	}
}

/*
 * The next active users behind the given one, in order. Returns how many; *users is in the given context.
 */
int
mt_sql_next_users(const char *tenant, int64 job_id, const char *after, int limit, MemoryContext context, MtUserRef **users)
{
	static Statement statement = {
		"SELECT user_id, mindtickle_id FROM mindtickle.sync_next_users($1, $2, $3, $4)", 4, {TEXTOID, INT8OID, TEXTOID, INT4OID}
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(after);
	values[3] = Int32GetDatum(limit);
	run(&statement, values, NULL);
	*users = MemoryContextAlloc(context, sizeof(MtUserRef) * (Size) Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		(*users)[i].user_id = column_text(i, 1, context);
		(*users)[i].mindtickle_id = column_text(i, 2, context);
	}
	return (int) SPI_processed;
}

/*
 * How many users mt_sql_next_users will give altogether.
 */
int64
mt_sql_count_users(const char *tenant, int64 job_id)
{
	static Statement statement = {
		"SELECT pg_catalog.count(*) FROM mindtickle.sync_next_users($1, $2, '', 2147483647)", 2, {TEXTOID, INT8OID}
	};
	Datum		values[2];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	run_for_row(&statement, values, NULL);
	return column_int64(0, 1, 0);
}

/*
 * Saves how far the job is. False when it was cancelled. A total below 0 is not known.
 */
bool
mt_sql_sync_advance(const char *tenant, int64 job_id, MtPhase phase, const char *position, int64 done, int64 total)
{
	static Statement statement = {
		"SELECT mindtickle.sync_advance($1, $2, $3, $4::pg_catalog.text::pg_catalog.jsonb, $5, $6)", 6,
		{TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID}
	};
	Datum		values[6];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(mt_phase_name(phase));
	values[3] = CStringGetTextDatum(position);
	values[4] = Int64GetDatum(done);
	values[5] = Int64GetDatum(total);
	run_for_row(&statement, values, total < 0 ? "     n" : NULL);
	return column_bool(0, 1);
}

/*
 * Records how the pull of a resource ended.
 */
void
mt_sql_sync_finish_phase(const char *tenant, int64 job_id, MtPhase phase, bool complete, const char *error)
{
	static Statement statement = {
		"SELECT mindtickle.sync_finish_phase($1, $2, $3, $4, $5)", 5, {TEXTOID, INT8OID, TEXTOID, BOOLOID, TEXTOID}
	};
	Datum		values[5];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(mt_phase_name(phase));
	values[3] = BoolGetDatum(complete);
	values[4] = error == NULL ? (Datum) 0 : CStringGetTextDatum(error);
	run_for_row(&statement, values, error == NULL ? "    n" : NULL);
}

/*
 * Ends the job: state is done or failed.
 */
void
mt_sql_sync_close(const char *tenant, int64 job_id, const char *state, const char *error)
{
	static Statement statement = {
		"SELECT mindtickle.sync_close($1, $2, $3, $4)", 4, {TEXTOID, INT8OID, TEXTOID, TEXTOID}
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(state);
	values[3] = error == NULL ? (Datum) 0 : CStringGetTextDatum(error);
	run_for_row(&statement, values, error == NULL ? "   n" : NULL);
}

/*
 * Makes it known that nothing is sent for the tenant before the given moment, and why.
 */
void
mt_sql_sync_back_off(const char *tenant, TimestampTz until, const char *error)
{
	static Statement statement = {"SELECT mindtickle.sync_back_off($1, $2, $3)", 3, {TEXTOID, TIMESTAMPTZOID, TEXTOID}};
	Datum		values[3];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = TimestampTzGetDatum(until);
	values[2] = CStringGetTextDatum(error);
	run_for_row(&statement, values, NULL);
}

/*
 * Adds to the job's counters.
 */
void
mt_sql_sync_count(const char *tenant, int64 job_id, int64 requests, int64 throttled, int64 errors)
{
	static Statement statement = {
		"SELECT mindtickle.sync_count($1, $2, $3, $4, $5)", 5, {TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID}
	};
	Datum		values[5];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = Int64GetDatum(requests);
	values[3] = Int64GetDatum(throttled);
	values[4] = Int64GetDatum(errors);
	run_for_row(&statement, values, NULL);
}

/*
 * The tenants that have written since the last call. Returns how many; *tenants is in the given context.
 */
int
mt_sql_take_dirty_tenants(MemoryContext context, char ***tenants)
{
	static Statement statement = {"SELECT mindtickle.take_dirty_tenants()"};

	return run_for_texts(&statement, context, tenants);
}

/*
 * Stores the refusals that wait in shared memory. Returns how many kinds there were.
 */
int
mt_sql_record_alerts(void)
{
	static Statement statement = {"SELECT mindtickle.record_alerts()"};
	bool		isnull;

	run_for_row(&statement, NULL, NULL);
	return DatumGetInt32(column(0, 1, &isnull));
}

/*
 * Publishes up to max_rows changes of the tenant. Returns how many.
 */
int
mt_sql_publish(const char *tenant, int max_rows)
{
	static Statement statement = {"SELECT mindtickle.publish($1, $2)", 2, {TEXTOID, INT4OID}};
	Datum		values[2];
	bool		isnull;

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int32GetDatum(max_rows);
	run_for_row(&statement, values, NULL);
	return DatumGetInt32(column(0, 1, &isnull));
}

/*
 * Removes what the tenant's retention no longer covers.
 */
void
mt_sql_trim_tenant(const char *tenant)
{
	static Statement statement = {"SELECT mindtickle.trim_tenant($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	run_for_row(&statement, values, NULL);
}

/*
 * What has been marked for the aggregator since the last call: tenants, NULL for any of them, and names that are no tenant's. None: the next mark
 * sets our latch. Returns how many; *names is in the given context.
 */
int
mt_sql_take_readiness_marks(MemoryContext context, char ***names)
{
	static Statement statement = {"SELECT mindtickle.take_readiness_marks()"};

	return run_for_texts(&statement, context, names);
}

/*
 * All tenants of whose readiness something is not folded. Returns how many; *tenants is in the given context.
 */
int
mt_sql_tenants_to_fold(MemoryContext context, char ***tenants)
{
	static Statement statement = {"SELECT mindtickle.tenants_to_fold()"};

	return run_for_texts(&statement, context, tenants);
}

/*
 * Folds what has been added to the tenant's readiness: its totals, or the summaries of users and courses too. Returns how much that was; -1:
 * somebody else is at it.
 */
int64
mt_sql_fold_readiness(const char *tenant, bool details)
{
	static Statement statement = {"SELECT mindtickle.fold_readiness($1, $2)", 2, {TEXTOID, BOOLOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), BoolGetDatum(details)};

	run_for_row(&statement, values, NULL);
	return column_int64(0, 1, 0);
}

/*
 * One step of the upkeep of what is folded. Says in words what was done, in the given context; NULL: there is nothing to do.
 */
char *
mt_sql_tend_readiness(MemoryContext context)
{
	static Statement statement = {"SELECT mindtickle.tend_readiness()"};

	run_for_row(&statement, NULL, NULL);
	return column_text(0, 1, context);
}

/*
 * Shows the visitor when the current day of each tenant ends.
 */
void
mt_sql_readiness_days(TimestampTz at, MtDayVisitor visitor, void *argument)
{
	static Statement statement = {"SELECT tenant_id, next_at FROM mindtickle.readiness_days_due($1)", 1, {TIMESTAMPTZOID}};
	Datum		values[1] = {TimestampTzGetDatum(at)};

	run(&statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *tenant = column_text(i, 1, CurrentMemoryContext);

		visitor(tenant, column_int64(i, 2, PG_INT64_MAX), argument);
		pfree(tenant);
	}
}

/*
 * Closes the days of the tenant that have ended. Returns how many.
 */
int
mt_sql_close_readiness_day(const char *tenant, TimestampTz at)
{
	static Statement statement = {"SELECT mindtickle.close_readiness_day($1, $2)", 2, {TEXTOID, TIMESTAMPTZOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), TimestampTzGetDatum(at)};
	bool		isnull;

	run_for_row(&statement, values, NULL);
	return DatumGetInt32(column(0, 1, &isnull));
}

/*
 * The tenants whose provisional report can be renewed. Returns how many; *tenants is in the given context.
 */
int
mt_sql_readiness_reruns(MemoryContext context, char ***tenants)
{
	static Statement statement = {"SELECT mindtickle.readiness_reruns_due()"};

	return run_for_texts(&statement, context, tenants);
}

/*
 * Renews the tenant's provisional report. False where that was not needed any more.
 */
bool
mt_sql_rerun_readiness(const char *tenant)
{
	static Statement statement = {"SELECT mindtickle.rerun_readiness($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	run_for_row(&statement, values, NULL);
	return column_bool(0, 1);
}
