/*
 * sync_request.c
 *		mt_sync_tenant: asks for a full pull.
 *
 * The job is written by mindtickle.request_sync (sql/sync_api.sql); here is the right to ask, and the wake-up of the worker.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_sync_tenant);

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
