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

/* Most bytes of settings in one call. */
#define SETTINGS_MAX	65536

PG_FUNCTION_INFO_V1(mt_configure_tenant);

/*
 * mt_configure_tenant(tenant, settings jsonb) -> jsonb: the settings as they are afterwards. ERROR 22023 for a key or value that is none, 42501
 * for a key that only the owner may set, 40001 where the tenant is newer than the transaction's snapshot.
 */
Datum
mt_configure_tenant(PG_FUNCTION_ARGS)
{
	static MtPlan forget = {
		"SELECT mindtickle.forget_listings($1)", 1, {TEXTOID}
	};
	static MtPlan merge = {
		"UPDATE mindtickle.tenant AS t SET settings = m.settings, source_version = t.source_version + (m.settings <> t.settings)::int4 "
		"FROM (SELECT mindtickle.merge_settings(o.settings, $2, $3) AS settings FROM mindtickle.tenant AS o WHERE o.tenant_id = $1) AS m "
		"WHERE t.tenant_id = $1 RETURNING t.settings",
		3, {TEXTOID, JSONBOID, BOOLOID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	Datum		values[3] = {PG_GETARG_DATUM(0), PointerGetDatum(PG_GETARG_JSONB_P(1)), BoolGetDatum(mt_is_owner(GetUserId()))};
	Datum		settings;
	bool		isnull;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_ADMIN, true);
	if (VARSIZE_ANY(DatumGetPointer(values[1])) > SETTINGS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("settings must not be larger than %d bytes", SETTINGS_MAX)));
	mt_plan_run(&forget, values, NULL, SPI_OK_SELECT);
	if (mt_plan_run(&merge, values, NULL, SPI_OK_UPDATE_RETURNING) == 0)
		elog(ERROR, "tenant \"%s\" has no row", tenant);
	settings = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	MemoryContextSwitchTo(call.context);
	settings = PointerGetDatum(PG_DETOAST_DATUM_COPY(settings));
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_mark_readiness(MT_MARK_DAYS);
	mt_mark_readiness(MT_MARK_RERUNS);
	mt_service_leave(&call);
	PG_RETURN_DATUM(settings);
}
