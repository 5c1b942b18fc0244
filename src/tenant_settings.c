/*
 * tenant_settings.c
 *		mt_configure_tenant: merges settings into a tenant's.
 *
 * What settings there are, their forms, and which of them the tenant's own admin may change is written in sql/tenant_admin.sql; here is only
 * the right to do it and the switch to the service role.
 */
#include "mindtickle.h"

#include "access.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "shared_state.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(mt_configure_tenant);

/*
 * mt_configure_tenant(tenant, settings jsonb) -> jsonb: the settings as they are afterwards. ERROR 22023 for a key or value that is none, 42501
 * for a key that only the owner may set.
 */
Datum
mt_configure_tenant(PG_FUNCTION_ARGS)
{
	static MtPlan merge = {
		"UPDATE mindtickle.tenant SET settings = mindtickle.merge_settings(settings, $2, $3) WHERE tenant_id = $1 RETURNING settings",
		3, {TEXTOID, JSONBOID, BOOLOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	Datum		values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), BoolGetDatum(mt_is_owner(GetUserId()))};
	Datum		settings;
	bool		isnull;

	mt_service_enter(&call, tenant, MT_ACCESS_ADMIN, true);
	mt_plan_run(&merge, values, NULL, SPI_OK_UPDATE_RETURNING);
	settings = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(call.context);
	settings = PointerGetDatum(PG_DETOAST_DATUM_COPY(settings));
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_service_leave(&call);
	PG_RETURN_DATUM(settings);
}
