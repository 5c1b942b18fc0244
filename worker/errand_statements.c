/*
 * errand_statements.c
 *		The SQL for requests that somebody waits for; as in statements.c.
 */
#include "errand_statements.h"

#include "catalog/pg_type.h"
#include "statement.h"
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
mt_sql_sync_errand(const char *tenant, MemoryContext context, char **settings, char **credential)
{
	static MtStatement statement = {"SELECT settings, credential FROM mindtickle.sync_errand($1)", 1, {TEXTOID}};
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_run(&statement, values, NULL);
	if (SPI_processed == 0)
		return false;
	*settings = mt_column_text(0, 1, context);
	*credential = mt_column_text(0, 2, context);
	return true;
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
