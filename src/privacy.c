/*
 * privacy.c
 *		Privacy requests: everything that there is about one user, and its erasure. For a tenant's admin.
 *
 * What is where, is SQL (sql/privacy.sql). Here is the right to ask, and who is kept waiting: an erasure waits for those who write for the tenant and
 * for those who are about to commit a rendered document, and keeps others from beginning, so that nothing about the user comes back from a
 * transaction that had begun before.
 */
#include "mindtickle.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "field.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_erase_user);
PG_FUNCTION_INFO_V1(mt_export_user);

/* ERROR P0002 for somebody of whom there is nothing. */
static void
report_unknown_user(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("there is nothing about such a user"),
			 errdetail("user_id is matched with user_id, mindtickle_id and scim_external_id of mt_users.")));
}

/*
 * mt_erase_user(tenant, user_id) -> bigint: how many rows were removed or changed. ERROR P0002 where there is nothing about the user, 25001 where the
 * transaction's snapshot may be older than what has been committed.
 */
Datum
mt_erase_user(PG_FUNCTION_ARGS)
{
	static MtPlan erase = {"SELECT mindtickle.erase_user($1, $2)", 2, {TEXTOID, TEXTOID}};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		values[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	MtServiceCall call;
	int64		rows;
	bool		isnull;

	PreventCommandIfReadOnly("mt_erase_user()");
	mt_require_access(fcinfo, tenant, MT_ACCESS_ADMIN);
	mt_check_argument_id("user_id", PG_GETARG_TEXT_PP(1));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("mt_erase_user must see every row that has been committed"),
				 errhint("Call it in a transaction with the isolation level READ COMMITTED.")));
	mt_lock_tenant(tenant, AccessExclusiveLock);
	mt_wait_for_cache(tenant);
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_ADMIN, true);
	mt_plan_run(&erase, values, NULL, SPI_OK_SELECT);
	rows = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull)
		report_unknown_user();
	mt_service_leave(&call);
	PG_RETURN_INT64(rows);
}

/*
 * mt_export_user(tenant, user_id) -> jsonb. ERROR P0002 where there is nothing about the user.
 */
Datum
mt_export_user(PG_FUNCTION_ARGS)
{
	static MtPlan export_user = {"SELECT mindtickle.export_user($1, $2)", 2, {TEXTOID, TEXTOID},.read_only = true};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		values[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	MtServiceCall call;
	Datum		document;
	bool		isnull;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_ADMIN, false);
	mt_check_argument_id("user_id", PG_GETARG_TEXT_PP(1));
	mt_plan_run(&export_user, values, NULL, SPI_OK_SELECT);
	document = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		report_unknown_user();
	MemoryContextSwitchTo(call.context);
	document = PointerGetDatum(PG_DETOAST_DATUM_COPY(document));
	mt_service_leave(&call);
	PG_RETURN_DATUM(document);
}
