/*
 * dead_letter.c
 *		Keeps what could not be processed, with its reason and its bytes as they came.
 *
 * The same bytes for the same reason are kept once while they wait: a record that is wrong upstream is met at every pull.
 */
#include "dead_letter.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "utils/builtins.h"

/* Most bytes that are kept of one input. */
#define RAW_MAX		65536

/*
 * Keeps one input that had a fault. Within mt_service_enter/leave.
 */
void
mt_keep_dead_letter(const char *tenant, const char *source, const MtFault *fault, const char *bytes, int length)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.dead_letter (tenant_id, source, reason, raw) "
		"SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM mindtickle.dead_letter AS d "
		"WHERE d.tenant_id = $1 AND d.source = $2 AND d.reason = $3 AND d.raw = $4 AND d.replayed_at IS NULL)",
		4, {TEXTOID, TEXTOID, TEXTOID, BYTEAOID}
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(tenant);
	values[1] = CStringGetTextDatum(source);
	values[2] = CStringGetTextDatum(psprintf("%s %s", fault->field, fault->message));
	values[3] = PointerGetDatum(cstring_to_text_with_len(bytes, Min(length, RAW_MAX)));
	mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
}
