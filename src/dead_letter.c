/*
 * dead_letter.c
 *		Keeps what could not be processed, with its reason and its bytes as they came.
 *
 * The same bytes for the same resource and reason are kept once while they wait: a record that is wrong upstream is met at every pull.
 */
#include "dead_letter.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "utils/builtins.h"

/* Most bytes that are kept of one input. */
#define RAW_MAX		65536

/*
 * Keeps one input that had a fault; resource is what it was to become. Within mt_service_enter/leave.
 */
void
mt_keep_dead_letter(const char *tenant, const char *source, const char *resource, const MtFault *fault, const char *bytes, int length)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) "
		"SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM mindtickle.dead_letter AS d WHERE d.tenant_id = $1 "
		"AND d.source = $2 AND d.resource = $3 AND d.reason = $4 AND d.raw = $5 AND d.replayed_at IS NULL)",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	Datum		values[5];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = CStringGetTextDatum(source);
	values[2] = CStringGetTextDatum(resource);
	values[3] = CStringGetTextDatum(psprintf("%s %s", fault->field, fault->message));
	values[4] = PointerGetDatum(cstring_to_text_with_len(bytes, Min(length, RAW_MAX)));
	mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
}
