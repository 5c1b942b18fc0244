/*
 * gateway_sql.c
 *		The SQL of the gateway, one function a statement.
 *
 * Called inside a transaction of process.c. As in statements.c: each statement calls one function of the schema mindtickle, values are parameters,
 * and results are copied into the context that the caller names.
 */
#include "gateway.h"

#include "catalog/pg_type.h"
#include "statement.h"
#include "statements.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* The bytes of a body; empty where there was none. */
static Datum
body_datum(const StringInfo body)
{
	return PointerGetDatum(cstring_to_text_with_len(body == NULL ? "" : body->data, body == NULL ? 0 : body->len));
}

/*
 * How many other processes of the gateway listen there.
 */
int
mt_sql_gateway_peers(const char *address, int port)
{
	static MtStatement statement = {"SELECT mindtickle.gateway_peers($1, $2)", 2, {TEXTOID, INT4OID}};
	Datum		values[2] = {CStringGetTextDatum(address), Int32GetDatum(port)};
	bool		isnull;

	mt_run_for_row(&statement, values, NULL);
	return DatumGetInt32(mt_column(0, 1, &isnull));
}

/*
 * Says that this process listens there.
 */
void
mt_sql_gateway_listens(const char *address, int port)
{
	static MtStatement statement = {"SELECT mindtickle.gateway_listens($1, $2)", 2, {TEXTOID, INT4OID}};
	Datum		values[2] = {CStringGetTextDatum(address), Int32GetDatum(port)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Adds to counts (text, int8).
 */
void
mt_sql_gateway_count(Datum *names, Datum *amounts, int count)
{
	static MtStatement statement = {"SELECT mindtickle.gateway_count($1, $2)", 2, {TEXTARRAYOID, INT8ARRAYOID}};
	Datum		values[2];

	values[0] = PointerGetDatum(construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(amounts, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	mt_run_for_row(&statement, values, NULL);
}

/*
 * Shows in mt_stat_worker that so many requests have been served.
 */
void
mt_sql_gateway_report(int64 requests)
{
	mt_sql_worker_report(NULL, requests);
}

/* Shows a token for a scope, NULL: for any; refused is for the one statement that takes it. tenant, of MT_TENANT_ID_SIZE bytes, gets whose it is. */
static void
show_token(MtStatement *statement, const char *token, const char *scope, bool refused, char *tenant)
{
	Datum		values[3] = {CStringGetTextDatum(token), scope == NULL ? (Datum) 0 : CStringGetTextDatum(scope), BoolGetDatum(refused)};
	char	   *result;

	mt_run_for_row(statement, values, scope == NULL ? " n " : NULL);
	result = mt_column_text(0, 1, CurrentMemoryContext);
	if (result == NULL)
		elog(ERROR, "a token has no tenant");
	strlcpy(tenant, result, MT_TENANT_ID_SIZE);
	explicit_bzero(DatumGetPointer(values[0]), VARSIZE_ANY(DatumGetPointer(values[0])));
}

/*
 * Raises the error of a token that is not valid, or lacks the scope; NULL: no scope is asked for. A request that is refused anyhow counts against the
 * tenant's budget, which may be spent. tenant has MT_TENANT_ID_SIZE bytes.
 */
void
mt_sql_check_token(const char *token, const char *scope, bool refused, char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.check_token($1, $2, $3)", 3, {TEXTOID, TEXTOID, BOOLOID}};

	show_token(&statement, token, scope, refused, tenant);
}

/*
 * Enters with a token: from here on the transaction may do what it may, in the scope. tenant has MT_TENANT_ID_SIZE bytes.
 */
void
mt_sql_enter_token(const char *token, const char *scope, char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.enter_token($1, $2)", 2, {TEXTOID, TEXTOID}};

	show_token(&statement, token, scope, false, tenant);
}

/*
 * Raises the refusal of a tenant that the address names, with an alert.
 */
void
mt_sql_refuse_tenant(const char *tenant)
{
	static MtStatement statement = {"SELECT mindtickle.refuse_tenant($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * Keeps a body that could not be processed.
 */
void
mt_sql_keep_dead_letter(const char *tenant, const char *resource, const char *reason, const StringInfo body)
{
	static MtStatement statement = {
		"SELECT mindtickle.keep_dead_letter($1, 'http', $2, $3, $4)", 4, {TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	Datum		values[4] = {
		CStringGetTextDatum(tenant), CStringGetTextDatum(resource), CStringGetTextDatum(reason), body_datum(body)
	};

	mt_run_for_row(&statement, values, NULL);
}

/*
 * The body of /metrics.
 */
char *
mt_sql_metrics(MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.metrics()"};

	mt_run_for_row(&statement, NULL, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * The tenant's readiness as JSON; aggregate: as a report that is stored.
 */
char *
mt_sql_readiness(const char *tenant, bool aggregate, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.readiness_as_json($1, $2)", 2, {TEXTOID, BOOLOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), BoolGetDatum(aggregate)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * Where a user stands in each course, as JSON; NULL: there is no such user.
 */
char *
mt_sql_user_courses(const char *tenant, const char *user, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.user_courses($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * Records a quiz result; false: it was there already.
 */
bool
mt_sql_record_quiz_result(const char *tenant, const StringInfo body)
{
	static MtStatement statement = {"SELECT mindtickle.quiz_result_from_body($1, $2)", 2, {TEXTOID, BYTEAOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), body_datum(body)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_bool(0, 1);
}

/*
 * Applies an event of the webhook form; whose it was as JSON.
 */
char *
mt_sql_scim_event(const StringInfo body, MemoryContext context)
{
	static MtStatement statement = {"SELECT mindtickle.scim_event_from_body($1)", 1, {BYTEAOID}};
	Datum		values[1] = {body_datum(body)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_text(0, 1, context);
}

/*
 * Asks for a pull of a user, which may take so long; returns its number.
 */
int64
mt_sql_request_pull(const char *tenant, const char *user, int64 seconds)
{
	static MtStatement statement = {
		"SELECT mindtickle.request_pull($1, $2, pg_catalog.make_interval(secs => $3))", 3, {TEXTOID, TEXTOID, INT8OID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user), Int64GetDatum(seconds)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, 0);
}

/*
 * How a pull of the tenant in force stands: waiting, running, done, failed, unknown. *user is our id when it is done, *failure why it failed,
 * *detail what it waits for; NULL where that is not known.
 */
char *
mt_sql_pull_result(int64 ticket, MemoryContext context, char **user, MtFailure *failure, char **detail)
{
	static MtStatement statement = {
		"SELECT state, user_id, sqlstate, message, detail, hint FROM mindtickle.pull_result($1)", 1, {INT8OID}
	};
	Datum		values[1] = {Int64GetDatum(ticket)};
	char	   *sqlstate;
	char	   *message;
	char	   *hint;

	mt_run_for_row(&statement, values, NULL);
	*user = mt_column_text(0, 2, context);
	*detail = mt_column_text(0, 5, context);
	sqlstate = mt_column_text(0, 3, context);
	message = mt_column_text(0, 4, context);
	hint = mt_column_text(0, 6, context);
	memset(failure, 0, sizeof(MtFailure));
	if (sqlstate != NULL && strlen(sqlstate) == 5)
		failure->sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	strlcpy(failure->message, message == NULL ? "" : message, sizeof(failure->message));
	strlcpy(failure->text, failure->message, sizeof(failure->text));
	strlcpy(failure->hint, hint == NULL ? "" : hint, sizeof(failure->hint));
	return mt_column_text(0, 1, context);
}

/*
 * The version of a document that is right now; -1: not known without rendering it.
 */
int64
mt_sql_cache_version(const char *tenant, const char *resource)
{
	static MtStatement statement = {"SELECT mindtickle.cache_version($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(resource)};

	mt_run_for_row(&statement, values, NULL);
	return mt_column_int64(0, 1, -1);
}

/*
 * A document and its version.
 */
char *
mt_sql_cache_document(const char *tenant, const char *resource, int64 *version, MemoryContext context)
{
	static MtStatement statement = {"SELECT version, body FROM mindtickle.cache_document($1, $2)", 2, {TEXTOID, TEXTOID}};
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(resource)};
	char	   *body;

	mt_run_for_row(&statement, values, NULL);
	*version = mt_column_int64(0, 1, -1);
	body = mt_column_text(0, 2, context);
	if (body == NULL)
		elog(ERROR, "mindtickle.cache_document gave no document");
	return body;
}

/*
 * Carries a request of SCIM, and makes its answer the request's, but for the type of its body.
 */
void
mt_sql_scim_request(MtHttpRequest *request, const char *if_match, const char *if_none_match, const char *content_type)
{
	static MtStatement statement = {
		"SELECT status, location, etag, allow, answer_body FROM mindtickle.scim_request($1, $2, $3, $4, $5, $6, $7, $8)", 8,
		{TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	static const char *const names[] = {"Location", "ETag", "Allow"};
	const char *texts[] = {request->tenant, request->method, request->rest, request->query, if_match, if_none_match, content_type};
	MtHttpAnswer *answer = &request->answer;
	Datum		values[8];
	char		nulls[9] = "        ";
	bool		isnull;

	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		values[i] = texts[i] == NULL ? (Datum) 0 : CStringGetTextDatum(texts[i]);
		nulls[i] = texts[i] == NULL ? 'n' : ' ';
	}
	values[7] = body_datum(request->body);
	mt_run_for_row(&statement, values, nulls);
	answer->status = DatumGetInt32(mt_column(0, 1, &isnull));
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		char	   *value = mt_column_text(0, i + 2, request->context);

		if (value != NULL)
			mt_answer_header(request, names[i], value);
	}
	answer->body = mt_column_text(0, 5, request->context);
	answer->length = answer->body == NULL ? 0 : strlen(answer->body);
}

/*
 * Waits until everything that is visible now is on the disk.
 */
void
mt_sql_flush_wal(void)
{
	static MtStatement statement = {"SELECT mindtickle.flush_wal()"};

	mt_run_for_row(&statement, NULL, NULL);
}
