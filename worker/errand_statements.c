/*
 * errand_statements.c
 *		The SQL for requests that somebody waits for, and for pushes; as in statements.c.
 */
#include "errand_statements.h"

#include "catalog/pg_type.h"
#include "statement.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/*
 * True when a commit has left something for the sync worker in the tables since the last call.
 */
bool
mt_sql_take_sync_look(void)
{
	static MtStatement statement = {"SELECT mindtickle.take_sync_look()"};

	mt_run_for_row(&statement, NULL, NULL);
	return mt_column_bool(0, 1);
}

/*
 * The tenants that have queued somebody to be pushed since the last call; NULL: any of them. Returns how many; *tenants is in the given context.
 */
int
mt_sql_take_push_marks(MemoryContext context, char ***tenants)
{
	static MtStatement statement = {"SELECT mindtickle.take_push_marks()"};

	return mt_run_for_texts(&statement, context, tenants);
}

/*
 * Shows the requests that wait to the visitor, in the order in which they came; they count as taken.
 */
void
mt_sql_take_requests(MtRequestVisitor visitor, void *argument)
{
	static MtStatement statement = {"SELECT ticket, tenant_id, kind, subject, ends_at FROM mindtickle.take_requests()"};
	SPITupleTable *rows;
	uint64		count;

	mt_run(&statement, NULL, NULL);
	count = SPI_processed;
	rows = SPI_tuptable;
	for (uint64 i = 0; i < count; i++)
	{
		MtRequestRow row;

		/* The visitor may run statements of its own. */
		SPI_tuptable = rows;
		row.ticket = mt_column_int64(i, 1, 0);
		row.tenant_id = mt_column_text(i, 2, CurrentMemoryContext);
		row.kind = mt_column_text(i, 3, CurrentMemoryContext);
		row.subject = mt_column_text(i, 4, CurrentMemoryContext);
		row.ends_at = mt_column_int64(i, 5, 0);
		visitor(&row, argument);
	}
}

/*
 * Says in words what a request waits for.
 */
void
mt_sql_request_step(int64 ticket, const char *step)
{
	static MtStatement statement = {"SELECT mindtickle.request_step($1, $2)", 2, {INT8OID, TEXTOID}};
	Datum		values[2] = {Int64GetDatum(ticket), CStringGetTextDatum(step)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Which of the requests nobody wants any more: returns how many, their tickets in gone, which has room for all.
 */
int
mt_sql_requests_gone(const int64 *tickets, int count, int64 *gone)
{
	static MtStatement statement = {"SELECT mindtickle.requests_gone($1)", 1, {INT8ARRAYOID}};
	Datum	   *datums = palloc(sizeof(Datum) * (Size) Max(count, 1));
	Datum		values[1];

	for (int i = 0; i < count; i++)
		datums[i] = Int64GetDatum(tickets[i]);
	values[0] = PointerGetDatum(construct_array(datums, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	mt_run(&statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		gone[i] = mt_column_int64(i, 1, 0);
	return (int) SPI_processed;
}

/*
 * Answers a request when the transaction has committed.
 */
void
mt_sql_finish_request(int64 ticket, const MtRequestEnd *end)
{
	static MtStatement statement = {
		"SELECT mindtickle.finish_request($1, $2, $3, $4, $5)", 5, {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[5] = {Int64GetDatum(ticket)};
	char		nulls[5] = {' ', 'n', 'n', 'n', 'n'};

	if (end->sqlstate == 0)
	{
		values[1] = CStringGetTextDatum(end->text);
		nulls[1] = ' ';
	}
	else
	{
		values[2] = CStringGetTextDatum(unpack_sql_state(end->sqlstate));
		values[3] = CStringGetTextDatum(end->text);
		nulls[2] = nulls[3] = ' ';
		if (end->hint != NULL)
		{
			values[4] = CStringGetTextDatum(end->hint);
			nulls[4] = ' ';
		}
	}
	mt_run_for_row(&statement, values, nulls);
}

/*
 * The tenant's settings and credential, both JSON texts in the given context. False when nothing must be sent for it.
 */
bool
mt_sql_sync_errand(const char *tenant, MemoryContext context, MtJobRow *row)
{
	static MtStatement statement = {
		"SELECT settings, credential, stored_at, unreadable, key_unreadable, scores_unreadable FROM mindtickle.sync_errand($1)", 1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run(&statement, values, NULL);
	if (SPI_processed == 0)
		return false;
	row->settings = mt_column_text(0, 1, context);
	row->credential = mt_column_text(0, 2, context);
	row->stored_at = mt_column_int64(0, 3, 0);
	row->unreadable = mt_column_text(0, 4, context);
	row->key_unreadable = mt_column_bool(0, 5);
	row->scores_unreadable = mt_column_bool(0, 6);
	return true;
}

/*
 * What a test of the tenant's connection needs, or as *obstacle why nothing must be sent, and as *unreadable which secrets cannot be read; texts in
 * the given context, NULL where there is none.
 */
void
mt_sql_probe_source(const char *tenant, MemoryContext context, char **settings, char **credential, char **obstacle,
					char **unreadable)
{
	static MtStatement statement = {"SELECT settings, credential, obstacle, unreadable FROM mindtickle.probe_source($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	*settings = mt_column_text(0, 1, context);
	*credential = mt_column_text(0, 2, context);
	*obstacle = mt_column_text(0, 3, context);
	*unreadable = mt_column_text(0, 4, context);
}

/*
 * In words why nothing is sent for the tenant, in the current context, NULL where nothing is known; *until: 0 where it is not a matter of time.
 */
char *
mt_sql_rest_reason(const char *tenant, TimestampTz *until)
{
	static MtStatement statement = {"SELECT reason, until FROM mindtickle.rest_reason($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	*until = mt_column_int64(0, 2, 0);
	return mt_column_text(0, 1, CurrentMemoryContext);
}

/*
 * The user whom an id means, in the given context. False when there is none.
 */
bool
mt_sql_errand_user(const char *tenant, const char *id, MemoryContext context, MtErrandUser *user)
{
	static MtStatement statement = {
		"SELECT user_id, mindtickle_id, email FROM mindtickle.errand_user($1, $2)", 2, {TEXTOID, TEXTOID}
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(id)};

	mt_run(&statement, values, NULL);
	if (SPI_processed == 0)
		return false;
	user->user_id = mt_column_text(0, 1, context);
	user->mindtickle_id = mt_column_text(0, 2, context);
	user->email = mt_column_text(0, 3, context);
	return true;
}

/*
 * Announces a pull of a user that has changed nothing.
 */
void
mt_sql_progress_pulled(const char *tenant, const char *user_id)
{
	static MtStatement statement = {"SELECT mindtickle.progress_pulled($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user_id)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * The next users to be pushed, but for those under way, in the current context of the transaction. Returns how many.
 */
int
mt_sql_push_next(const char *tenant, const char *const *under_way, int under_way_count, int limit, MtPushRow **rows)
{
	static MtStatement statement = {
		"SELECT user_id, version, user_name, external_id, name, active, scim_id FROM mindtickle.push_next($1, $2, $3)", 3,
		{TEXTOID, TEXTARRAYOID, INT4OID}
	};
	Datum	   *ids = palloc(sizeof(Datum) * (Size) Max(under_way_count, 1));
	Datum		values[3];

	for (int i = 0; i < under_way_count; i++)
		ids[i] = CStringGetTextDatum(under_way[i]);
	values[0] = CStringGetTextDatum(tenant);
	values[1] = PointerGetDatum(construct_array(ids, under_way_count, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] = Int32GetDatum(limit);
	mt_run(&statement, values, NULL);
	*rows = palloc(sizeof(MtPushRow) * (Size) Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
		(*rows)[i] = (MtPushRow) {
			.user_id = mt_column_text(i, 1, CurrentMemoryContext),
			.version = mt_column_int64(i, 2, 0),
			.user_name = mt_column_text(i, 3, CurrentMemoryContext),
			.external_id = mt_column_text(i, 4, CurrentMemoryContext),
			.name = mt_column_text(i, 5, CurrentMemoryContext),
			.active = mt_column_bool(i, 6),
			.scim_id = mt_column_text(i, 7, CurrentMemoryContext)
		};
	return (int) SPI_processed;
}

/*
 * When the next user of the tenant is to be pushed; 0: none waits.
 */
TimestampTz
mt_sql_push_due(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.push_due($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, 0);
}

/*
 * Who else of ours the id upstream is, in the given context; NULL: nobody. external_id is that of upstream; NULL: it has none, or it says nothing.
 */
char *
mt_sql_push_owner(const char *tenant, const char *user_id, const char *scim_id, const char *external_id, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.push_owner($1, $2, $3, $4)", 4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}};
	Datum		values[4] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user_id), CStringGetTextDatum(scim_id)};

	if (external_id != NULL)
		values[3] = CStringGetTextDatum(external_id);
	mt_run_for_row(&statement, values, external_id == NULL ? "   n" : NULL);
	return mt_column_text(0, 1, context);
}

/*
 * The user is upstream as he was at this version, under the id, which may be NULL.
 */
void
mt_sql_push_done(const char *tenant, const char *user_id, int64 version, const char *scim_id)
{
	static MtStatement statement = {"SELECT mindtickle.push_done($1, $2, $3, $4)", 4, {TEXTOID, TEXTOID, INT8OID, TEXTOID}};
	Datum		values[4] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user_id), Int64GetDatum(version)};

	if (scim_id != NULL)
		values[3] = CStringGetTextDatum(scim_id);
	mt_run_for_row(&statement, values, scim_id == NULL ? "   n" : NULL);
}

/*
 * Nobody has the name upstream any more.
 */
void
mt_sql_push_name_freed(const char *tenant, const char *user_name)
{
	static MtStatement statement = {"SELECT mindtickle.push_name_freed($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user_name)};

	mt_run_for_row(&statement, values, NULL);
}

/* Why a user was not pushed, and what was sent. */
static void
tell_failure(MtStatement *statement, const char *tenant, const char *user_id, int64 version, const char *reason, const char *sent)
{
	Datum		values[5] = {
		CStringGetTextDatum(tenant), CStringGetTextDatum(user_id), Int64GetDatum(version), CStringGetTextDatum(reason), CStringGetTextDatum(sent)
	};

	mt_run_for_row(statement, values, NULL);
}

/*
 * The user could not be pushed as he was at this version, for a reason that may pass.
 */
void
mt_sql_push_put_off(const char *tenant, const char *user_id, int64 version, const char *error, const char *sent)
{
	static MtStatement statement = {
		"SELECT mindtickle.push_put_off($1, $2, $3, $4, $5)", 5, {TEXTOID, TEXTOID, INT8OID, TEXTOID, BYTEAOID}
	};

	tell_failure(&statement, tenant, user_id, version, error, sent);
}

/*
 * What was sent for the user is not accepted.
 */
void
mt_sql_push_reject(const char *tenant, const char *user_id, int64 version, const char *reason, const char *sent)
{
	static MtStatement statement = {
		"SELECT mindtickle.push_reject($1, $2, $3, $4, $5)", 5, {TEXTOID, TEXTOID, INT8OID, TEXTOID, BYTEAOID}
	};

	tell_failure(&statement, tenant, user_id, version, reason, sent);
}

/*
 * Makes it known why nobody of the tenant is pushed.
 */
void
mt_sql_push_refused(const char *tenant, const char *error)
{
	static MtStatement statement = {"SELECT mindtickle.push_refused($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(error)};

	mt_run_for_row(&statement, values, NULL);
}
