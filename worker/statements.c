/*
 * statements.c
 *		The SQL of the workers: all of it but that of requests and pushes (errand_statements.c), that of the gateway (gateway_sql.c), and the two questions of a worker's start.
 *
 * Called inside mt_in_transaction. Each statement calls one function of the schema mindtickle. Values are parameters, always. Results are copied
 * into the context that the caller names, for the others die with the transaction.
 */
#include "statements.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "statement.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

static const char *const phase_names[] = {
	[MT_PHASE_ROSTER] = "roster",
	[MT_PHASE_TEAMS] = "teams",
	[MT_PHASE_TEAM_MEMBERS] = "team_members",
	[MT_PHASE_SERIES] = "series",
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

/*
 * Shows in mt_stat_worker what this worker is at; step NULL: it has ended that. With items, from 0 on, a round has ended well.
 */
void
mt_sql_worker_report(const char *step, int64 items)
{
	static MtStatement statement = {"SELECT mindtickle.worker_report($1, $2)", 2, {TEXTOID, INT8OID}};
	Datum		values[2];
	char		nulls[2];

	values[0] = step == NULL ? (Datum) 0 : CStringGetTextDatum(step);
	values[1] = Int64GetDatum(items);
	nulls[0] = step == NULL ? 'n' : ' ';
	nulls[1] = items < 0 ? 'n' : ' ';
	mt_run_for_row(&statement, values, nulls);
}

/*
 * Shows in mt_stat_worker that what this worker did last was rolled back.
 */
void
mt_sql_worker_failed(const char *message)
{
	static MtStatement statement = {"SELECT mindtickle.worker_failed($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(message)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * True when there is such a tenant. Before a tenant is put in force.
 */
bool
mt_sql_tenant_exists(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.tenant_exists($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_bool(0, 1);
}

/*
 * Shows every tenant to the visitor, which must keep nothing of the row.
 */
void
mt_sql_overview(MtTenantVisitor visitor, void *argument)
{
	static MtStatement statement = {
		"SELECT tenant_id, suspended, source_configured, open_job_id, next_sync_at, backoff_until, budget_until,"
		" (pg_catalog.date_part('epoch', sync_interval) * 1000000)::pg_catalog.int8, push_users, source_version"
		" FROM mindtickle.sync_overview()"
	};

	mt_run(&statement, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MtTenantRow row = {
			.tenant_id = mt_column_text(i, 1, CurrentMemoryContext),
			.suspended = mt_column_bool(i, 2),
			.source_configured = mt_column_bool(i, 3),
			.open_job_id = mt_column_int64(i, 4, 0),
			.next_sync_at = mt_column_int64(i, 5, 0),
			.backoff_until = mt_column_int64(i, 6, 0),
			.budget_until = mt_column_int64(i, 7, 0),
			.interval = mt_column_int64(i, 8, 0),
			.push_users = mt_column_bool(i, 9),
			.source_version = mt_column_int64(i, 10, 0),
		};

		visitor(&row, argument);
		pfree(row.tenant_id);
	}
}

/* An array of elements of a type, some of which are null where nulls is given. */
static Datum
array_of(Datum *elements, bool *nulls, int count, Oid type)
{
	int			lower = 1;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &count, &lower, type, length, by_value, align));
}

/*
 * Stores how far the budgets of these tenants are accounted for, but for those whose rows another transaction holds.
 */
void
mt_sql_reserve_budget(MtReservation *reservations, int count)
{
	static MtStatement statement = {
		"SELECT * FROM mindtickle.reserve_budget($1, $2, $3, $4, $5) AS r (place)", 5,
		{TEXTARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID}
	};
	static const Oid types[5] = {TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID};
	Datum		values[5];
	Datum	   *elements[5];
	bool	   *no_minutes = palloc(sizeof(bool) * (Size) count);
	bool	   *no_hour = palloc(sizeof(bool) * (Size) count);

	for (int i = 0; i < 5; i++)
		elements[i] = palloc0(sizeof(Datum) * (Size) count);
	for (int i = 0; i < count; i++)
	{
		const MtReservation *reservation = &reservations[i];

		elements[0][i] = CStringGetTextDatum(reservation->tenant);
		elements[1][i] = TimestampTzGetDatum(reservation->until);
		no_minutes[i] = reservation->minutes == NULL;
		if (reservation->minutes != NULL)
			elements[2][i] = CStringGetTextDatum(reservation->minutes);
		elements[3][i] = Int32GetDatum(reservation->left.of_minute);
		elements[4][i] = Int32GetDatum(reservation->left.of_hour);
		no_hour[i] = reservation->left.of_hour < 0;
	}
	for (int i = 0; i < 5; i++)
		values[i] = array_of(elements[i], i == 2 ? no_minutes : i == 4 ? no_hour : NULL, count, types[i]);
	mt_run(&statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		reservations[DatumGetInt32(mt_column(i, 1, &isnull)) - 1].stored = true;
	}
}

/*
 * What an earlier process has counted for the tenant's hour: requests of minutes, in minutes[MT_BUDGET_MINUTES], and how long ago it noted them.
 * Returns how many minutes.
 */
int
mt_sql_budget_of(const char *tenant, int *minutes, int64 *age)
{
	static MtStatement statement = {"SELECT age, minutes FROM mindtickle.budget_of($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};
	Datum		array;
	Datum	   *elements;
	bool		isnull;
	int			count;

	mt_run_for_row(&statement, values, NULL);
	*age = mt_column_int64(0, 1, 0);
	array = mt_column(0, 2, &isnull);
	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, sizeof(int32), true, TYPALIGN_INT, &elements, NULL, &count);
	count = Min(count, MT_BUDGET_MINUTES);
	for (int i = 0; i < count; i++)
		minutes[i] = DatumGetInt32(elements[i]);
	return count;
}

/*
 * Acts for the tenant until the end of the transaction.
 */
void
mt_sql_enter_tenant(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.enter_tenant($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * The same, and shows in mt_stat_worker what this worker is at for the tenant.
 */
void
mt_sql_enter_tenant_for(const char *tenant, const char *step)
{
	static MtStatement statement = {"SELECT mindtickle.worker_report($2, NULL), mindtickle.enter_tenant($1)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(step)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Claims the tenant's open job, or creates the periodic one that is due. False when there is nothing to do.
 */
bool
mt_sql_sync_open(const char *tenant, MemoryContext context, MtJobRow *row)
{
	static MtStatement statement = {
		"SELECT job_id, kind, phase, position, settings, credential, done, total, stored_at, unreadable, key_unreadable,"
		" scores_unreadable FROM mindtickle.sync_open($1)", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run(&statement, values, NULL);
	if (SPI_processed == 0)
		return false;
	row->job_id = mt_column_int64(0, 1, 0);
	row->kind = mt_column_text(0, 2, context);
	row->phase = mt_column_text(0, 3, context);
	row->position = mt_column_text(0, 4, context);
	row->settings = mt_column_text(0, 5, context);
	row->credential = mt_column_text(0, 6, context);
	row->done = mt_column_int64(0, 7, 0);
	row->total = mt_column_int64(0, 8, -1);
	row->stored_at = mt_column_int64(0, 9, 0);
	row->unreadable = mt_column_text(0, 10, context);
	row->key_unreadable = mt_column_bool(0, 11);
	row->scores_unreadable = mt_column_bool(0, 12);
	return true;
}

/* Adds what a store function has returned. */
static void
add_counts(MtStoreCounts *counts)
{
	bool		isnull;

	counts->received += DatumGetInt32(mt_column(0, 1, &isnull));
	counts->changed += DatumGetInt32(mt_column(0, 2, &isnull));
	counts->rejected += DatumGetInt32(mt_column(0, 3, &isnull));
	counts->fresh += DatumGetInt32(mt_column(0, 4, &isnull));
	counts->latest = Max(counts->latest, mt_column_int64(0, 5, 0));
}

#define STORE(function, latest) \
	{"SELECT received, changed, rejected, fresh, " latest " FROM mindtickle." function "($1, $2, $3)", 3, {TEXTOID, INT8OID, BYTEAARRAYOID}}
#define STORE_OF(function, latest) \
	{"SELECT received, changed, rejected, fresh, " latest " FROM mindtickle." function "($1, $2, $4, $3)", 4, {TEXTOID, INT8OID, BYTEAARRAYOID, TEXTOID}}
/* Those of which changes can be asked for tell how new they are. */
#define NO_MOMENT "NULL::pg_catalog.timestamptz"

/*
 * Stores records (bytea), and adds to counts what became of them. key is that of the item they are of, NULL where they are of a listing.
 */
void
mt_sql_store(MtRecordKind kind, const char *tenant, int64 job_id, const char *key, Datum *records, int count, MtStoreCounts *counts)
{
	static MtStatement statements[] = {
		[MT_RECORDS_USERS] = STORE("store_users", NO_MOMENT),
		[MT_RECORDS_TEAMS] = STORE("store_teams", NO_MOMENT),
		[MT_RECORDS_TEAM_MEMBERS] = STORE_OF("store_team_members", NO_MOMENT),
		[MT_RECORDS_SERIES] = STORE("store_series", NO_MOMENT),
		[MT_RECORDS_MODULES] = STORE_OF("store_modules", NO_MOMENT),
		[MT_RECORDS_COURSES] = STORE("store_courses", NO_MOMENT),
		[MT_RECORDS_PROGRESS] = STORE_OF("store_progress", "latest"),
		[MT_RECORDS_HISTORY] = STORE_OF("store_history", NO_MOMENT),
		[MT_RECORDS_REPORTS] = STORE_OF("store_reports", NO_MOMENT),
		[MT_RECORDS_QUIZ_RESULTS] = STORE("store_quiz_results", "latest"),
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = PointerGetDatum(construct_array(records, count, BYTEAOID, -1, false, TYPALIGN_INT));
	values[3] = key == NULL ? (Datum) 0 : CStringGetTextDatum(key);
	mt_run_for_row(&statements[kind], values, NULL);
	add_counts(counts);
}

/* What a stage goes over, as mindtickle.sync_items names it. */
static const char *const over_names[] = {
	[MT_OVER_USERS] = "users",
	[MT_OVER_EMAILS] = "emails",
	[MT_OVER_TEAMS] = "teams",
	[MT_OVER_SERIES] = "series",
	[MT_OVER_REPORTS] = "reports",
};

/*
 * The next items behind the given key, in order. Returns how many; *items is in the given context.
 */
int
mt_sql_next_items(MtOver over, const char *tenant, int64 job_id, const char *after, int limit, MemoryContext context, MtItem **items)
{
	static MtStatement statement = {
		"SELECT key, upstream_id, known FROM mindtickle.sync_items($1, $2, $3, $4, $5)", 5, {TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID}
	};
	Datum		values[5];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(over_names[over]);
	values[3] = CStringGetTextDatum(after);
	values[4] = Int32GetDatum(limit);
	mt_run(&statement, values, NULL);
	*items = MemoryContextAlloc(context, sizeof(MtItem) * (Size) Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *upstream_id = mt_column_text(i, 2, CurrentMemoryContext);
		MtItem	   *item = &(*items)[i];

		item->key = mt_column_text(i, 1, context);
		item->known = mt_column_bool(i, 3);
		/* Most of ours are theirs. */
		item->upstream_id = strcmp(item->key, upstream_id) == 0 ? item->key : MemoryContextStrdup(context, upstream_id);
	}
	return (int) SPI_processed;
}

/*
 * How many items mt_sql_next_items will give altogether.
 */
int64
mt_sql_count_items(MtOver over, const char *tenant, int64 job_id)
{
	static MtStatement statement = {
		"SELECT pg_catalog.count(*) FROM mindtickle.sync_items($1, $2, $3, '', 2147483647)", 3, {TEXTOID, INT8OID, TEXTOID}
	};
	Datum		values[3];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(over_names[over]);
	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, 0);
}

/*
 * By what the costs of the ways to pull progress are estimated.
 */
void
mt_sql_count_costs(const char *tenant, MtCounts *counts)
{
	static MtStatement statement = {"SELECT users, reports FROM mindtickle.sync_costs($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	counts->users = mt_column_int64(0, 1, 0);
	counts->reports = mt_column_int64(0, 2, 0);
}

/*
 * Remembers which base URL knows the tenant's site.
 */
void
mt_sql_note_site(const char *tenant, const char *base_url)
{
	static MtStatement statement = {"SELECT mindtickle.note_site($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(base_url)};

	mt_run_for_row(&statement, values, NULL);
}

/* Runs a statement whose arguments are a tenant, a job and a phase. */
static void
run_for_phase(MtStatement *statement, const char *tenant, int64 job_id, MtPhase phase)
{
	Datum		values[3] = {CStringGetTextDatum(tenant), Int64GetDatum(job_id), CStringGetTextDatum(mt_phase_name(phase))};

	mt_run_for_row(statement, values, NULL);
}

/*
 * Passes over a phase for which there is nothing to ask.
 */
void
mt_sql_sync_pass_phase(const char *tenant, int64 job_id, MtPhase phase)
{
	static MtStatement statement = {"SELECT mindtickle.sync_pass_phase($1, $2, $3)", 3, {TEXTOID, INT8OID, TEXTOID}};

	run_for_phase(&statement, tenant, job_id, phase);
}

/*
 * Forgets what the running listing has shown, for it is begun anew.
 */
void
mt_sql_sync_forget_seen(const char *tenant, int64 job_id, MtPhase phase)
{
	static MtStatement statement = {"SELECT mindtickle.sync_forget_seen($1, $2, $3)", 3, {TEXTOID, INT8OID, TEXTOID}};

	run_for_phase(&statement, tenant, job_id, phase);
}

/*
 * Saves how far the job is, adds to its figures what was stored, and shows that in mt_stat_worker. False when it was cancelled. A total below 0 is not
 * known.
 */
bool
mt_sql_sync_advance(const char *tenant, int64 job_id, MtPhase phase, const char *position, int64 done, int64 total, const MtStoreCounts *counts)
{
	static MtStatement statement = {
		"SELECT mindtickle.sync_advance($1, $2, $3, $4::pg_catalog.text::pg_catalog.jsonb, $5, $6, $7, $8), mindtickle.worker_report('pulling', $9)", 9,
		{TEXTOID, INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}
	};
	Datum		values[9];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(mt_phase_name(phase));
	values[3] = CStringGetTextDatum(position);
	values[4] = Int64GetDatum(done);
	values[5] = Int64GetDatum(total);
	values[6] = Int64GetDatum(counts->changed);
	values[7] = Int64GetDatum(counts->rejected);
	values[8] = Int64GetDatum(counts->received);
	mt_run_for_row(&statement, values, total < 0 ? "     n   " : NULL);
	return mt_column_bool(0, 1);
}

/*
 * Since when changes of a resource are to be asked for, in the given context; NULL: everything is.
 */
char *
mt_sql_sync_since(const char *tenant, int64 job_id, MtPhase phase, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.sync_since($1, $2, $3)", 3, {TEXTOID, INT8OID, TEXTOID}};

	run_for_phase(&statement, tenant, job_id, phase);
	return mt_column_text(0, 1, context);
}

/*
 * Records how the pull of a resource ended, which was at this position; whole: nobody can have been missed.
 */
void
mt_sql_sync_finish_phase(const char *tenant, int64 job_id, MtPhase phase, bool complete, bool whole, const char *error, const MtPosition *position)
{
	static MtStatement statement = {
		"SELECT mindtickle.sync_finish_phase($1, $2, $3, $4, $5, $6, $7, $8)", 8,
		{TEXTOID, INT8OID, TEXTOID, BOOLOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, BOOLOID}
	};
	Datum		values[8];
	char		nulls[8] = "        ";

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(mt_phase_name(phase));
	values[3] = BoolGetDatum(complete);
	values[4] = error == NULL ? (Datum) 0 : CStringGetTextDatum(error);
	values[5] = BoolGetDatum(position->cursor.since == NULL);
	values[6] = TimestampTzGetDatum(position->latest);
	values[7] = BoolGetDatum(whole);
	nulls[4] = error == NULL ? 'n' : ' ';
	nulls[6] = position->latest == 0 ? 'n' : ' ';
	mt_run_for_row(&statement, values, nulls);
}

/*
 * Ends the job: state is done or failed.
 */
void
mt_sql_sync_close(const char *tenant, int64 job_id, const char *state, const char *error)
{
	static MtStatement statement = {
		"SELECT mindtickle.sync_close($1, $2, $3, $4)", 4, {TEXTOID, INT8OID, TEXTOID, TEXTOID}
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	values[2] = CStringGetTextDatum(state);
	values[3] = error == NULL ? (Datum) 0 : CStringGetTextDatum(error);
	mt_run_for_row(&statement, values, error == NULL ? "   n" : NULL);
}

/*
 * Makes it known that nothing is sent for the tenant before the given moment, and why.
 */
void
mt_sql_sync_back_off(const char *tenant, TimestampTz until, const char *error)
{
	static MtStatement statement = {"SELECT mindtickle.sync_back_off($1, $2, $3)", 3, {TEXTOID, TIMESTAMPTZOID, TEXTOID}};
	Datum		values[3];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = TimestampTzGetDatum(until);
	values[2] = CStringGetTextDatum(error);
	mt_run_for_row(&statement, values, NULL);
}

/*
 * Adds to the figures of the tenant and of a job, 0 for none: the requests, and how they ended, in the order of MtTally.
 */
void
mt_sql_sync_count(const char *tenant, int64 job_id, const int64 *tally, int count)
{
	static MtStatement statement = {
		"SELECT mindtickle.sync_count($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", 10,
		{TEXTOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID}
	};
	Datum		values[10];

	Assert(count == 8);
	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int64GetDatum(job_id);
	for (int i = 0; i < count; i++)
		values[2 + i] = Int64GetDatum(tally[i]);
	mt_run_for_row(&statement, values, NULL);
}

/*
 * The tenants that have written events since the last call; one NULL: any. None: the next mark sets our latch. Returns how many; *tenants is in the
 * given context.
 */
int
mt_sql_take_marks(MemoryContext context, char ***tenants)
{
	static MtStatement statement = {"SELECT mindtickle.take_marks()"};

	return mt_run_for_texts(&statement, context, tenants);
}

/*
 * All tenants with events that wait. Returns how many; *tenants is in the given context.
 */
int
mt_sql_tenants_to_publish(MemoryContext context, char ***tenants)
{
	static MtStatement statement = {"SELECT mindtickle.tenants_to_publish()"};

	return mt_run_for_texts(&statement, context, tenants);
}

/*
 * Stores the refusals that wait in shared memory. Returns how many kinds there were.
 */
int
mt_sql_record_alerts(void)
{
	static MtStatement statement = {"SELECT mindtickle.record_alerts()"};
	bool		isnull;

	mt_run_for_row(&statement, NULL, NULL);
	return DatumGetInt32(mt_column(0, 1, &isnull));
}

/*
 * Publishes up to max_rows events of the tenant, with NOTIFY where announce says so. Returns how many, MT_PUBLISH_NOBODY where there is no such
 * tenant, MT_PUBLISH_HELD where somebody else has its events in hand and it is not to wait; *more: there is more to do for it.
 */
int
mt_sql_publish(const char *tenant, int max_rows, bool announce, bool wait, bool *more)
{
	static MtStatement statement = {"SELECT mindtickle.publish($1, $2, $3, $4)", 4, {TEXTOID, INT4OID, BOOLOID, BOOLOID}};
	Datum		values[4];
	HeapTupleHeader result;
	bool		isnull;

	values[0] = CStringGetTextDatum(tenant);
	values[1] = Int32GetDatum(max_rows);
	values[2] = BoolGetDatum(announce);
	values[3] = BoolGetDatum(wait);
	mt_run_for_row(&statement, values, NULL);
	/* As a row, which takes the executor less than a table of one. */
	result = DatumGetHeapTupleHeader(mt_column(0, 1, &isnull));
	*more = DatumGetBool(GetAttributeByName(result, "more", &isnull));
	values[0] = GetAttributeByName(result, "published", &isnull);
	return isnull ? MT_PUBLISH_NOBODY : DatumGetInt32(values[0]);
}

/*
 * How full the server's queue of notifications is, 0 to 1.
 */
double
mt_sql_notification_usage(void)
{
	static MtStatement statement = {"SELECT mindtickle.notification_usage()"};
	bool		isnull;

	mt_run_for_row(&statement, NULL, NULL);
	return DatumGetFloat8(mt_column(0, 1, &isnull));
}

/*
 * A step towards small tables of events, also of those that are published where events_too says so. In words, in the given context, MT_TEND_LARGE and a
 * name for a table that is left to mt_sql_empty_event_table; NULL: there is nothing to do.
 */
char *
mt_sql_tend_events(bool events_too, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.tend_events($1)", 1, {BOOLOID}};
	Datum		values[1] = {BoolGetDatum(events_too)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * The number of the file of a table of events, which is another one when the table has been emptied.
 */
int64
mt_sql_file_of_event_table(const char *name)
{
	static MtStatement statement = {"SELECT pg_catalog.int8(pg_catalog.pg_relation_filenode(('mindtickle.' || $1)::pg_catalog.regclass))", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(name)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, 0);
}

/*
 * Empties a large table of events, unless it is needed, or somebody is in the way.
 */
void
mt_sql_empty_event_table(const char *name)
{
	static MtStatement statement = {"SELECT mindtickle.empty_event_table($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(name)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Removes what the tenant's retention no longer covers.
 */
void
mt_sql_trim_tenant(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.trim_tenant($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * What has been marked for the aggregator since the last call: tenants, NULL for any of them, and names that are no tenant's. None: the next mark
 * sets our latch. Returns how many; *names is in the given context.
 */
int
mt_sql_take_readiness_marks(MemoryContext context, char ***names)
{
	static MtStatement statement = {"SELECT mindtickle.take_readiness_marks()"};

	return mt_run_for_texts(&statement, context, names);
}

/*
 * All tenants of whose readiness something is not folded. Returns how many; *tenants is in the given context.
 */
int
mt_sql_tenants_to_fold(MemoryContext context, char ***tenants)
{
	static MtStatement statement = {"SELECT mindtickle.tenants_to_fold()"};

	return mt_run_for_texts(&statement, context, tenants);
}

/*
 * Folds what has been added to the tenant's readiness: its totals, or the summaries of users and courses too. Returns how much that was, MT_FOLD_BUSY
 * where somebody else is at it, MT_FOLD_TOO_LARGE where more rows must be counted than one step counts, MT_FOLD_TO_MOVE where it has
 * folded what there was, and more must be moved than one step moves.
 */
int64
mt_sql_fold_readiness(const char *tenant, bool details)
{
	static MtStatement statement = {"SELECT mindtickle.fold_readiness($1, $2)", 2, {TEXTOID, BOOLOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), BoolGetDatum(details)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, 0);
}

/*
 * Counts all rows of a tenant for its readiness.
 */
void
mt_sql_rebuild_readiness(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.rebuild_readiness($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Moves the figures of a tenant's users and courses to the tables in use.
 */
void
mt_sql_move_readiness(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.move_readiness($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * One step of the upkeep of what is folded. Says in words what was done, in the given context; NULL: there is nothing to do.
 */
char *
mt_sql_tend_readiness(MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.tend_readiness()"};

	mt_run_for_row(&statement, NULL, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * Shows the visitor when the current day of each tenant ends.
 */
void
mt_sql_readiness_days(TimestampTz at, MtDayVisitor visitor, void *argument)
{
	static MtStatement statement = {"SELECT tenant_id, next_at FROM mindtickle.readiness_days_due($1)", 1, {TIMESTAMPTZOID}};
	Datum		values[1] = {TimestampTzGetDatum(at)};

	mt_run(&statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *tenant = mt_column_text(i, 1, CurrentMemoryContext);

		visitor(tenant, mt_column_int64(i, 2, PG_INT64_MAX), argument);
		pfree(tenant);
	}
}

/*
 * Closes the days of the tenant that have ended. Returns how many.
 */
int
mt_sql_close_readiness_day(const char *tenant, TimestampTz at)
{
	static MtStatement statement = {"SELECT mindtickle.close_readiness_day($1, $2)", 2, {TEXTOID, TIMESTAMPTZOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), TimestampTzGetDatum(at)};
	bool		isnull;

	mt_run_for_row(&statement, values, NULL);
	return DatumGetInt32(mt_column(0, 1, &isnull));
}

/*
 * The tenants whose provisional report can be renewed. Returns how many; *tenants is in the given context.
 */
int
mt_sql_readiness_reruns(MemoryContext context, char ***tenants)
{
	static MtStatement statement = {"SELECT mindtickle.readiness_reruns_due()"};

	return mt_run_for_texts(&statement, context, tenants);
}

/*
 * Renews the tenant's provisional report. False where that was not needed any more.
 */
bool
mt_sql_rerun_readiness(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.rerun_readiness($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_bool(0, 1);
}
