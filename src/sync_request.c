/*
 * sync_request.c
 *		Asking for pulls: mt_sync_tenant queues one of everything, mt_cancel_job ends one, mt_sync_course_progress has one user pulled now.
 *
 * The job of a full pull is written by mindtickle.request_sync (sql/sync_api.sql); here is the right to ask, and the wake-up of the worker. A
 * user's pull is a request to the worker (request_slot.c), because somebody waits for it: a backend in mt_sync_course_progress, or
 * the gateway, which must not wait, between request_pull and pull_result.
 */
#include "mindtickle.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "field.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "request_slot.h"
#include "service_call.h"
#include "shared_state.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mt_sync_tenant);
PG_FUNCTION_INFO_V1(mt_cancel_job);
PG_FUNCTION_INFO_V1(mt_sync_course_progress);
PG_FUNCTION_INFO_V1(mt_request_pull);
PG_FUNCTION_INFO_V1(mt_pull_result);

/*
 * mt_sync_tenant(tenant) -> bigint: the job; one that waits or runs already is not doubled.
 */
Datum
mt_sync_tenant(PG_FUNCTION_ARGS)
{
	static MtPlan request = {
		"SELECT mindtickle.request_sync($1, $2)", 2, {TEXTOID, NAMEOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	NameData	role;
	Datum		values[2] = {PG_GETARG_DATUM(0), NameGetDatum(&role)};
	Datum		job_id;
	bool		isnull;

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	mt_plan_run(&request, values, NULL, SPI_OK_SELECT);
	job_id = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_service_leave(&call);
	PG_RETURN_DATUM(job_id);
}

/*
 * mt_cancel_job(tenant, job_id) -> boolean: true when the job was waiting or running and is ended.
 */
Datum
mt_cancel_job(PG_FUNCTION_ARGS)
{
	static MtPlan cancel = {
		"SELECT mindtickle.cancel_job($1, $2, $3)", 3, {TEXTOID, INT8OID, NAMEOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	NameData	role;
	Datum		values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), NameGetDatum(&role)};
	bool		cancelled;
	bool		isnull;

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	mt_plan_run(&cancel, values, NULL, SPI_OK_SELECT);
	cancelled = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (cancelled)
		mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_service_leave(&call);
	PG_RETURN_BOOL(cancelled);
}

/* Checks the right to ask for a pull of a user, and that the tenant can be pulled: ERROR 55000 where it cannot. */
static void
require_pullable(FunctionCallInfo fcinfo, const char *tenant, text *user_id)
{
	static MtPlan require = {
		"SELECT mindtickle.require_source($1)", 1, {TEXTOID}
	};
	MtServiceCall call;
	Datum		values[1] = {CStringGetTextDatum(tenant)};

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, false);
	mt_check_argument_id("user_id", user_id);
	mt_plan_run(&require, values, NULL, SPI_OK_SELECT);
	mt_service_leave(&call);
}

/* Returns the user's rows as they are now, as the result of a function that returns setof course_progress. user_id is ours. */
static void
return_progress(FunctionCallInfo fcinfo, const char *tenant, const char *user_id)
{
	static MtPlan progress = {
		"SELECT p.* FROM mindtickle.course_progress AS p WHERE p.tenant_id = $1 AND p.user_id = $2 ORDER BY p.course_id",
		2, {TEXTOID, TEXTOID}
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[2] = {CStringGetTextDatum(tenant), CStringGetTextDatum(user_id)};
	MtServiceCall call;

	InitMaterializedSRF(fcinfo, 0);
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, false);
	mt_plan_run(&progress, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	mt_service_leave(&call);
}

/*
 * mt_sync_course_progress(tenant, user_id, timeout) -> setof course_progress: has the worker pull the user now, waits until that is committed, and
 * returns his rows. No lock of the tenant's is held meanwhile. Errors are those of mt_require_open_transaction and mt_request_ask.
 */
Datum
mt_sync_course_progress(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *user_id = PG_GETARG_TEXT_PP(1);
	char	   *found;

	mt_require_access(fcinfo, tenant, MT_ACCESS_WRITER);
	mt_require_open_transaction("mt_sync_course_progress");
	require_pullable(fcinfo, tenant, user_id);
	found = mt_request_ask(tenant, MT_REQUEST_PULL, text_to_cstring(user_id), PG_GETARG_INTERVAL_P(2));
	return_progress(fcinfo, tenant, found);
	return (Datum) 0;
}

/*
 * mindtickle.request_pull(tenant, user_id, timeout) -> int8: the same without waiting; the ticket is for pull_result. Who asks has his latch set
 * when it is done.
 */
Datum
mt_request_pull(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *user_id = PG_GETARG_TEXT_PP(1);

	require_pullable(fcinfo, tenant, user_id);
	PG_RETURN_INT64(mt_request_post(tenant, MT_REQUEST_PULL, text_to_cstring(user_id), mt_request_end(PG_GETARG_INTERVAL_P(2))));
}

/*
 * mindtickle.pull_result(ticket) -> (state, user_id, sqlstate, message, detail, hint): how a request of the tenant in force stands. state is waiting,
 * running, done or failed, and unknown where there is no such request; user_id is ours.
 */
Datum
mt_pull_result(PG_FUNCTION_ARGS)
{
	static const char *const states[] = {
		[MT_REQUEST_UNKNOWN] = "unknown",[MT_REQUEST_WAITING] = "waiting",[MT_REQUEST_TAKEN] = "running",[MT_REQUEST_DONE] = "done"
	};
	const char *tenant = mt_tenant_in_force_quietly();
	MtRequestView *view = palloc0(sizeof(MtRequestView));
	TupleDesc	descriptor;
	const char *texts[6] = {NULL};
	Datum		values[6] = {0};
	bool		nulls[6];

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "pull_result must return a row");
	if (tenant != NULL)
		mt_request_view(tenant, PG_GETARG_INT64(0), view);
	texts[0] = states[view->state];
	texts[4] = view->step;
	if (view->state == MT_REQUEST_DONE && view->sqlstate == 0)
		texts[1] = view->answer;
	else if (view->state == MT_REQUEST_DONE)
	{
		texts[0] = "failed";
		texts[2] = unpack_sql_state(view->sqlstate);
		texts[3] = view->message;
		texts[5] = view->hint;
	}
	for (int i = 0; i < 6; i++)
	{
		nulls[i] = texts[i] == NULL || texts[i][0] == '\0';
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
