/*
 * dead_letter.c
 *		Keeps what could not be processed, with its reason and its bytes as they came.
 *
 * The same bytes for the same resource and reason are kept once while they wait: a record that is wrong upstream is met at every pull. Of a long input only the
 * begin is kept; then the reason ends with how much that is, and the letter cannot be replayed (replay.c).
 */
#include "dead_letter.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "service_call.h"
#include "utils/builtins.h"

/* Most bytes that are kept of one input. */
#define RAW_MAX		65536

PG_FUNCTION_INFO_V1(mt_keep_dead_letter_sql);

/* The letters of the same bytes are found by an index on their hash. */
static void
keep(const char *tenant, const char *source, const char *resource, const char *reason, const char *bytes, int length)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) "
		"SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM mindtickle.dead_letter AS d WHERE d.tenant_id = $1 "
		"AND sha256(d.raw) = sha256($5) AND d.source = $2 AND d.resource = $3 AND d.reason = $4 AND d.raw = $5 AND d.replayed_at IS NULL)",
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
	mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
}

/*
 * Keeps one input that had a fault; resource is what it was to become. Within mt_service_enter/leave.
 */
void
mt_keep_dead_letter(const char *tenant, const char *source, const char *resource, const MtFault *fault, const char *bytes, int length)
{
	keep(tenant, source, resource, psprintf("%s %s", fault->field, fault->message), bytes, length);
}

/*
 * mindtickle.keep_dead_letter(tenant, source, resource, reason, raw): for the gateway, when the transaction that met the fault has rolled back.
 */
Datum
mt_keep_dead_letter_sql(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *source = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *resource = text_to_cstring(PG_GETARG_TEXT_PP(2));
	char	   *reason = text_to_cstring(PG_GETARG_TEXT_PP(3));
	bytea	   *raw = PG_GETARG_BYTEA_PP(4);
	MtServiceCall call;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	keep(tenant, source, resource, reason, VARDATA_ANY(raw), (int) VARSIZE_ANY_EXHDR(raw));
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
