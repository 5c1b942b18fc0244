/*
 * tenant_statistics.c
 *		The function behind mt_stat_tenant: figures of every tenant's sync, for those who watch the server.
 *
 * Called by members of pg_monitor, who need no right to any tenant. It asks mindtickle.tenant_stat (sql/sync_state.sql) tenant by tenant, as the
 * service role with that tenant in force, and gives out that row and nothing else: numbers, moments, and texts that hold no personal data.
 */
#include "mindtickle.h"

#include "access.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mt_tenant_stats);

/* Adds the tenant's row; none where it is dropped just now. */
static void
add_tenant(FunctionCallInfo fcinfo, char *tenant)
{
	static MtPlan stat = {
		"SELECT * FROM mindtickle.tenant_stat($1) WHERE tenant_id IS NOT NULL", 1, {TEXTOID}
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[1] = {CStringGetTextDatum(tenant)};
	MtServiceCall call;

	if (!mt_service_enter_as_monitor(&call, fcinfo, tenant))
		return;
	mt_plan_run(&stat, values, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	mt_service_leave(&call);
}

/*
 * mindtickle.tenant_stats() -> setof record: a row for each tenant. ERROR 42501 for those who are no members of pg_monitor.
 */
Datum
mt_tenant_stats(PG_FUNCTION_ARGS)
{
	Datum	   *tenants;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		add_tenant(fcinfo, TextDatumGetCString(tenants[i]));
	}
	return (Datum) 0;
}
