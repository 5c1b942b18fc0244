/*
 * connection_test.c
 *		mt_test_connection: has the sync worker try what a tenant's credential is good for, step by step.
 *
 * The worker does it (worker/probe.c), because it has the HTTP client and keeps the tenant's budget; it answers with a JSON array, of which the
 * rows are made here. No lock of the tenant's is held meanwhile.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "plan.h"
#include "request_slot.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mt_test_connection);

/*
 * mt_test_connection(tenant, timeout) -> setof (step, ok, detail, remedy); ok is null where a step could not be tried. Errors are those of
 * mt_require_open_transaction and mt_request_ask.
 */
Datum
mt_test_connection(PG_FUNCTION_ARGS)
{
	static MtPlan rows = {
		"SELECT r.step, r.ok, r.detail, r.remedy FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (step text, ok bool, detail text, remedy text)) "
		"WITH ORDINALITY AS r (step, ok, detail, remedy, place) ORDER BY r.place",
		1, {TEXTOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MtServiceCall call;
	Datum		values[1];
	char	   *answer;

	mt_require_access(fcinfo, tenant, MT_ACCESS_ADMIN);
	mt_require_open_transaction("mt_test_connection");
	answer = mt_request_ask(tenant, MT_REQUEST_TEST, "all", PG_GETARG_INTERVAL_P(1));

	InitMaterializedSRF(fcinfo, 0);
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_ADMIN, false);
	values[0] = CStringGetTextDatum(answer);
	mt_plan_run(&rows, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	mt_service_leave(&call);
	return (Datum) 0;
}
