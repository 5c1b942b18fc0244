/*
 * dead_letter.c
 *		Keeps what could not be processed, with its reason and its bytes as they came; of SCIM without the secrets in them.
 *
 * The same bytes for the same resource and reason are kept once while they wait: a record that is wrong upstream is met at every pull. Of a long
 * input only the begin is kept; then the reason ends with how much that is, and the letter cannot be replayed (replay.c).
 *
 * Whoever may send input may send input that is at fault, as much as he likes; so a tenant has no more than MT_LETTERS_MAX letters. For a new one the
 * oldest go that have been replayed. What waits never does: where all of them wait, nothing is kept, and who has the input is told to keep it
 * himself.
 */
#include "dead_letter.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "plan.h"
#include "scim_request.h"
#include "service_call.h"
#include "utils/builtins.h"

/* Most bytes that are kept of one input. */
#define RAW_MAX		65536
/* The resource of documents of the SCIM webhook, which may have passwords in them. */
#define SCIM_EVENTS	"scim_events"
/* So many replayed letters go at once. */
#define PUSHED_OUT_MAX	100

/* For how many more letters of a tenant there was room when this transaction last counted, and that there was none in a statement, as all wait. */
static struct
{
	char		tenant[MT_TENANT_MAX + 1];
	FullTransactionId transaction;
	int64		room;
	bool		full;
	TimestampTz statement;
} counted;

PG_FUNCTION_INFO_V1(mt_keep_dead_letter_sql);

/* True when the bytes wait already. They are found by an index on their hash. */
static bool
is_kept(Datum *letter)
{
	static MtPlan look = {
		"SELECT FROM mindtickle.dead_letter WHERE tenant_id = $1 AND sha256(raw) = sha256($5) AND source = $2 AND resource = $3 AND reason = $4 "
		"AND raw = $5 AND replayed_at IS NULL LIMIT 1",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	bool		found = mt_plan_run(&look, letter, NULL, SPI_OK_SELECT) > 0;

	/* Of many letters in a row each would leave a table of rows behind. */
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* Runs a query that counts the tenant's letters, up to MT_LETTERS_MAX. */
static int64
count_letters(MtPlan *query, Datum *tenant)
{
	bool		isnull;

	(void) mt_plan_run(query, tenant, NULL, SPI_OK_SELECT);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * True when the tenant may have another letter; where it has as many as there may be, after removing some that have been replayed. Transactions do
 * not see what others are about to keep, so there may be a few more.
 */
static bool
make_room(const char *tenant)
{
	static MtPlan all = {
		"SELECT count(*) FROM (SELECT FROM mindtickle.dead_letter WHERE tenant_id = $1 LIMIT " CppAsString2(MT_LETTERS_MAX) ") AS d", 1, {TEXTOID}
	};
	static MtPlan waiting = {
		"SELECT count(*) FROM (SELECT FROM mindtickle.dead_letter WHERE tenant_id = $1 AND replayed_at IS NULL LIMIT " CppAsString2(MT_LETTERS_MAX) ") AS d",
		1, {TEXTOID}
	};
	static MtPlan push_out = {
		/* An array: a join could run the inner query again for each row, and skip what it has locked before. */
		"DELETE FROM mindtickle.dead_letter AS d WHERE d.tenant_id = $1 AND d.letter_id = ANY (ARRAY(SELECT o.letter_id FROM mindtickle.dead_letter AS o "
		"WHERE o.tenant_id = $1 AND o.replayed_at IS NOT NULL ORDER BY o.letter_id LIMIT " CppAsString2(PUSHED_OUT_MAX) " FOR UPDATE SKIP LOCKED))",
		1, {TEXTOID}
	};
	Datum		values[1] = {CStringGetTextDatum(tenant)};
	FullTransactionId transaction = GetTopFullTransactionId();
	TimestampTz statement = GetCurrentStatementStartTimestamp();
	bool		known = FullTransactionIdEquals(counted.transaction, transaction) && strcmp(counted.tenant, tenant) == 0;

	/* Every record of a long report may be at fault: where there is no room for one there is none for the next. */
	if (known && counted.full && counted.statement == statement)
		return false;
	if (!known || counted.room <= 0)
	{
		strlcpy(counted.tenant, tenant, sizeof(counted.tenant));
		counted.transaction = transaction;
		counted.statement = statement;
		counted.room = MT_LETTERS_MAX - count_letters(&all, values);
		counted.full = counted.room <= 0 && count_letters(&waiting, values) == MT_LETTERS_MAX;
		if (counted.full)
			return false;
		if (counted.room <= 0)
			counted.room = (int64) mt_plan_run(&push_out, values, NULL, SPI_OK_DELETE);
	}
	counted.room--;
	return true;
}

/* False: there is no room for it. */
static bool
keep(const char *tenant, const char *source, const char *resource, const char *reason, const char *bytes, int length)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES ($1, $2, $3, $4, $5)",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	Datum		values[5];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = CStringGetTextDatum(source);
	values[2] = CStringGetTextDatum(resource);
	if (length > RAW_MAX)
		reason = psprintf("%s (only the first %d of %d bytes are kept)", reason, RAW_MAX, length);
	values[3] = CStringGetTextDatum(reason);
	values[4] = PointerGetDatum(cstring_to_text_with_len(bytes, Min(length, RAW_MAX)));
	if (is_kept(values))
		return true;
	if (!make_room(tenant))
		return false;
	mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
	return true;
}

/*
 * Keeps one input that had a fault; resource is what it was to become. Within mt_service_enter/leave. False: it is not kept, as the tenant has
 * MT_LETTERS_MAX that wait.
 */
bool
mt_keep_dead_letter(const char *tenant, const char *source, const char *resource, const MtFault *fault, const char *bytes, int length)
{
	return keep(tenant, source, resource, psprintf("%s %s", fault->field, fault->message), bytes, length);
}

/*
 * ERROR 53400 for who has sent input that is at fault and cannot be kept.
 */
void
mt_refuse_dead_letter(const char *tenant)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the input is at fault, and tenant \"%s\" has %d dead letters that wait already", tenant, MT_LETTERS_MAX),
			 errhint("Replay dead letters, or lower retain_dead_letters.")));
}

/*
 * mindtickle.keep_dead_letter(tenant, source, resource, reason, raw): for the gateway, when the transaction that met the fault has rolled back, and
 * for pushes. ERROR 53400 where there is no room for it.
 */
Datum
mt_keep_dead_letter_sql(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *source = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *resource = text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *reason = text_to_cstring(PG_GETARG_TEXT_PP(3));
	bytea	   *raw = PG_GETARG_BYTEA_PP(4);
	const char *bytes = VARDATA_ANY(raw);
	int			length = (int) VARSIZE_ANY_EXHDR(raw);
	MtServiceCall call;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	if (strcmp(resource, SCIM_EVENTS) == 0)
		reason = mt_scim_conceal_event(&bytes, &length, reason);
	if (!keep(tenant, source, resource, reason, bytes, length))
		mt_refuse_dead_letter(tenant);
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
