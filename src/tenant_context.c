/*
 * tenant_context.c
 *		The tenant in force: what mt_current_tenant() answers, how it is set, and the check of functions with a tenant argument.
 *
 * The context is the setting mindtickle.tenant, or where it is empty the role's default grant. It is decided for GetUserId(), the role in
 * force at that moment, on purpose: a pooled application uses SET ROLE, and the session's own role must then not count. The answer is kept
 * for the same settings, role and access generation (access.c), so a policy costs a few comparisons a call.
 *
 * A refusal is one text and SQLSTATE, whether the tenant exists or not, and leaves an alert (alert.c).
 */
#include "tenant_context.h"

#include "access.h"
#include "alert.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "log_redaction.h"
#include "service_call.h"
#include "token.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

/* The last answer of mt_tenant_in_force. */
static struct
{
	uint64		generation;
	uint64		changes;
	Oid			role;
	TimestampTz valid_until;	/* DT_NOEND: no token in it ends */
	bool		present;
	bool		invalid;		/* a tenant is named that the role may not act for */
	char		tenant[MT_TENANT_MAX + 1];
} in_force;

PG_FUNCTION_INFO_V1(mt_current_tenant);
PG_FUNCTION_INFO_V1(mt_set_tenant);
PG_FUNCTION_INFO_V1(mt_enter_tenant);
PG_FUNCTION_INFO_V1(mt_whoami);
PG_FUNCTION_INFO_V1(mt_refuse_tenant_sql);
PG_FUNCTION_INFO_V1(mt_row_allowed);
PG_FUNCTION_INFO_V1(mt_acting_as_service);
PG_FUNCTION_INFO_V1(mt_visible_tenants);
PG_FUNCTION_INFO_V1(mt_tenant_exists_sql);

/*
 * The tenant of the role's default grant. Its own grants go before inherited ones; among several inherited ones without a single default
 * there is none. Fills tenant; false where there is no default.
 */
static bool
default_tenant(Oid role, char *tenant)
{
	int			count;
	MtGrant    *grants;
	const MtGrant *chosen = NULL;
	bool		has_own = false;
	int			candidates = 0;

	if (superuser_arg(role))
		return false;
	grants = mt_role_grants(role, &count);
	for (int i = 0; i < count; i++)
		has_own |= grants[i].direct;
	for (int i = 0; i < count; i++)
	{
		if (!grants[i].is_default || grants[i].token_required || grants[i].direct != has_own)
			continue;
		chosen = &grants[i];
		candidates++;
	}
	if (candidates != 1 || !mt_tenant_exists(chosen->tenant))
		return false;
	strlcpy(tenant, chosen->tenant, MT_TENANT_MAX + 1);
	return true;
}

/* Works out in_force anew. */
static void
find_tenant_in_force(uint64 generation, Oid role)
{
	const char *setting = mt_setting_tenant ? mt_setting_tenant : "";

	in_force.generation = 0;
	in_force.valid_until = DT_NOEND;
	in_force.invalid = false;
	if (setting[0] == '\0')
		in_force.present = default_tenant(role, in_force.tenant);
	else if (mt_tenant_name_valid(setting) &&
			 mt_role_access(role, setting, false, &in_force.valid_until) != MT_ACCESS_NONE)
	{
		strlcpy(in_force.tenant, setting, sizeof(in_force.tenant));
		in_force.present = true;
	}
	else
	{
		in_force.present = false;
		in_force.invalid = !mt_is_owner(role);
	}
	in_force.role = role;
	in_force.changes = mt_context_changes;
	in_force.generation = generation;
}

/*
 * The tenant in force for the current role, or NULL; makes no alert. The text is good until the next call.
 */
const char *
mt_tenant_in_force_quietly(void)
{
	uint64		generation = mt_access_generation();
	Oid			role = GetUserId();

	if (in_force.generation != generation || in_force.changes != mt_context_changes || in_force.role != role ||
		(in_force.valid_until != DT_NOEND && in_force.valid_until <= GetCurrentTimestamp()))
		find_tenant_in_force(generation, role);
	return in_force.present ? in_force.tenant : NULL;
}

/*
 * The tenant in force for the current role, or NULL. One that is named without a right to it makes an alert, once a transaction. The text is
 * good until the next call.
 */
const char *
mt_tenant_in_force(void)
{
	const char *tenant = mt_tenant_in_force_quietly();

	if (tenant == NULL && in_force.invalid)
		mt_alert_context(mt_setting_tenant);
	return tenant;
}

/*
 * The one refusal: ERROR 42501, the same whether the tenant exists or not, and an alert. object is what was called or written.
 */
void
mt_refuse_tenant(const char *tenant, const char *object)
{
	int			length = pg_mbcliplen(tenant, (int) strlen(tenant), MT_TENANT_MAX);

	mt_alert(tenant, object);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for tenant \"%.*s\"", length, tenant),
			 errhint("SELECT * FROM mt_whoami() shows the tenants that your role may act for.")));
}

/* The name of the SQL function that is running. */
static const char *
function_name(FunctionCallInfo fcinfo)
{
	return get_func_name(fcinfo->flinfo->fn_oid);
}

static void
require_valid_name(FunctionCallInfo fcinfo, const char *tenant)
{
	if (mt_tenant_name_valid(tenant))
		return;
	mt_alert(tenant, function_name(fcinfo));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid tenant id"),
			 errdetail("A tenant id has 1 to %d characters of a-z, 0-9, \"_\" and \"-\", and begins with a letter or digit.",
					   MT_TENANT_MAX)));
}

/* For those who may know: ERROR 42704. */
static void
report_absent_tenant(const char *tenant)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("tenant \"%s\" does not exist", tenant)));
}

/*
 * Where a token was entered, a function must be in its scope. What functions call in turn is their own affair: they run for the service call
 * that has been checked.
 */
static void
require_scope(FunctionCallInfo fcinfo, MtAccess needed)
{
	Oid			role;
	int			security_context;

	if (!mt_token_entered())
		return;
	GetUserIdAndSecContext(&role, &security_context);
	if ((security_context & SECURITY_RESTRICTED_OPERATION) != 0 || mt_token_scope_allows(function_name(fcinfo), needed))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s is not in the scope \"%s\" of the token", function_name(fcinfo), mt_setting_token_scope)));
}

/*
 * Checks that the current role may go as far as needed for the tenant, and that a context, where one is set, is of the same tenant. fcinfo is
 * that of the SQL function. ERROR 22023 for a name that cannot be a tenant's, 42501 where the right is missing, 42704 for the owner and the
 * service role where there is no such tenant.
 */
void
mt_require_access(FunctionCallInfo fcinfo, const char *tenant, MtAccess needed)
{
	Oid			role = GetUserId();
	MtAccess	access;
	TimestampTz valid_until;

	require_valid_name(fcinfo, tenant);
	access = mt_role_access(role, tenant, false, &valid_until);
	if (mt_setting_tenant && mt_setting_tenant[0] != '\0' && strcmp(mt_setting_tenant, tenant) != 0)
		mt_refuse_tenant(tenant, function_name(fcinfo));
	require_scope(fcinfo, needed);
	if (access >= needed)
		return;
	if (access == MT_ACCESS_NONE && (mt_is_owner(role) || role == mt_service_role(true)))
		report_absent_tenant(tenant);
	if (access == MT_ACCESS_NONE)
		mt_refuse_tenant(tenant, function_name(fcinfo));
	mt_alert(tenant, function_name(fcinfo));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for tenant \"%s\"", tenant),
			 errdetail("Your role has access level \"%s\"; this needs \"%s\".", mt_access_name(access), mt_access_name(needed)),
			 errhint("The owner of the extension gives it with mt_grant_tenant.")));
}

/*
 * Checks that the current role has the rights of the extension's owner. ERROR 42501, with an alert, where it has not.
 */
void
mt_require_owner(FunctionCallInfo fcinfo)
{
	if (mt_is_owner(GetUserId()))
		return;
	mt_alert("", function_name(fcinfo));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied: %s without a tenant is for the owner of the extension", function_name(fcinfo))));
}

/*
 * Checks that the current role has the rights of pg_monitor, or of the extension's owner. ERROR 42501 where it has not.
 */
void
mt_require_monitor(FunctionCallInfo fcinfo)
{
	if (has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) || mt_is_owner(GetUserId()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied: %s is for members of pg_monitor", function_name(fcinfo))));
}

/*
 * mt_current_tenant() -> text
 */
Datum
mt_current_tenant(PG_FUNCTION_ARGS)
{
	const char *tenant = mt_tenant_in_force();

	if (tenant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(tenant));
}

/*
 * mindtickle.row_allowed(tenant_id, relation DEFAULT NULL) -> bool: the WITH CHECK side of every policy. Never false: ERROR 42501 instead, with
 * an alert that names the relation.
 */
Datum
mt_row_allowed(PG_FUNCTION_ARGS)
{
	const char *tenant = mt_tenant_in_force();
	text	   *row_tenant;
	char	   *relation = NULL;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("a row needs a tenant_id")));
	row_tenant = PG_GETARG_TEXT_PP(0);
	if (tenant != NULL && VARSIZE_ANY_EXHDR(row_tenant) == strlen(tenant) &&
		memcmp(VARDATA_ANY(row_tenant), tenant, strlen(tenant)) == 0)
		PG_RETURN_BOOL(true);

	if (!PG_ARGISNULL(1))
		relation = get_rel_name(PG_GETARG_OID(1));
	mt_refuse_tenant(text_to_cstring(row_tenant), relation == NULL ? "row_allowed" : psprintf("mindtickle.%s", relation));
	PG_RETURN_BOOL(false);
}

/* Not where a token bounds what the service role may do. */
static bool
acting_as_service(void)
{
	return GetUserId() == mt_service_role(true) && !mt_token_entered();
}

/*
 * mindtickle.acting_as_service() -> bool: the current role is the service role, and no token is entered.
 */
Datum
mt_acting_as_service(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(acting_as_service());
}

/*
 * mindtickle.visible_tenants() -> text[]: of which tenants the table tenant shows rows: the one in force; while none is, all of them to the
 * service role. The policy compares with this, and not with either of two conditions, because the second one would be a filter behind an
 * index scan, whose count in EXPLAIN ANALYZE tells whether a tenant exists.
 */
Datum
mt_visible_tenants(PG_FUNCTION_ARGS)
{
	const char *tenant = mt_tenant_in_force();
	Datum		element;

	if (tenant != NULL)
	{
		element = CStringGetTextDatum(tenant);
		PG_RETURN_ARRAYTYPE_P(construct_array(&element, 1, TEXTOID, -1, false, TYPALIGN_INT));
	}
	if (acting_as_service())
		PG_RETURN_ARRAYTYPE_P(mt_all_tenants());
	PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
}

/*
 * mindtickle.tenant_exists(tenant) -> bool: for the workers, to whom the tenant that a mark names may be gone. A tenant that is there stays until the
 * transaction ends.
 */
Datum
mt_tenant_exists_sql(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));

	mt_lock_tenant(tenant, AccessShareLock);
	PG_RETURN_BOOL(mt_tenant_exists(tenant));
}

static void
set_for_transaction(const char *name, const char *value)
{
	set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
}

/*
 * mt_set_tenant(tenant, token DEFAULT NULL): the context until the end of the transaction. ERROR 42501 where the role has no right to it, or
 * the token is not a living one of the tenant with scope sql.
 *
 * An older context does not count: going over from one tenant to another is what this function is for.
 */
Datum
mt_set_tenant(PG_FUNCTION_ARGS)
{
	Oid			role = GetUserId();
	char	   *tenant;
	char		proof[MT_TOKEN_ID_SIZE] = "";
	TimestampTz valid_until;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the tenant must not be null")));
	tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	require_valid_name(fcinfo, tenant);
	if (!PG_ARGISNULL(1))
		mt_hide_tokens_of_statement();
	if (strcmp(mt_setting_token_id, "") != 0 && PG_ARGISNULL(1))
		set_for_transaction("mindtickle.token_id", "");

	/* Tokens are looked at only for who has a grant: to others the tenant is like one that does not exist. */
	if (mt_role_access(role, tenant, !PG_ARGISNULL(1), &valid_until) == MT_ACCESS_NONE)
	{
		if (mt_is_owner(role))
			report_absent_tenant(tenant);
		mt_refuse_tenant(tenant, function_name(fcinfo));
	}
	if (!PG_ARGISNULL(1))
	{
		text	   *token = PG_GETARG_TEXT_PP(1);

		if (!mt_token_valid(tenant, VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), "sql", proof))
			mt_refuse_tenant(tenant, function_name(fcinfo));
		if (strcmp(mt_setting_token_id, proof) != 0)
			set_for_transaction("mindtickle.token_id", proof);
	}
	set_for_transaction("mindtickle.tenant", tenant);
	PG_RETURN_VOID();
}

/*
 * mindtickle.refuse_tenant(tenant): the refusal, with its alert, for a request whose address names another tenant than its token is of.
 */
Datum
mt_refuse_tenant_sql(PG_FUNCTION_ARGS)
{
	mt_refuse_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0)), "gateway");
	PG_RETURN_VOID();
}

/*
 * mindtickle.enter_tenant(tenant): mt_set_tenant for the workers, which also keeps mt_drop_tenant waiting until the transaction ends.
 */
Datum
mt_enter_tenant(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));

	set_for_transaction("mindtickle.tenant", "");
	mt_require_access(fcinfo, tenant, MT_ACCESS_OWNER);
	mt_lock_tenant(tenant, AccessShareLock);
	mt_require_access(fcinfo, tenant, MT_ACCESS_OWNER);
	set_for_transaction("mindtickle.tenant", tenant);
	PG_RETURN_VOID();
}

static JsonbValue *
push_pair(JsonbParseState **state, char *key, JsonbValue *value)
{
	JsonbValue	name = {.type = jbvString, .val.string = {.len = (int) strlen(key), .val = key}};

	pushJsonbValue(state, WJB_KEY, &name);
	return pushJsonbValue(state, WJB_VALUE, value);
}

static JsonbValue
string_value(const char *string)
{
	return (JsonbValue) {.type = jbvString,.val.string = {.len = (int) strlen(string),.val = pstrdup(string)}};
}

static JsonbValue
bool_value(bool boolean)
{
	return (JsonbValue) {.type = jbvBool,.val.boolean = boolean};
}

/* The role's grants as [{"tenant", "access", "tokenRequired", "default"}]. */
static Jsonb *
grants_as_json(const MtGrant *grants, int count)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < count; i++)
	{
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		value = string_value(grants[i].tenant);
		push_pair(&state, "tenant", &value);
		value = string_value(mt_access_name(grants[i].access));
		push_pair(&state, "access", &value);
		value = bool_value(grants[i].token_required);
		push_pair(&state, "tokenRequired", &value);
		value = bool_value(grants[i].is_default);
		push_pair(&state, "default", &value);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* In words, why the role has no tenant in force. */
static const char *
reason_for_no_tenant(Oid role, const MtGrant *grants, int grant_count)
{
	bool		all_need_token = true;

	for (int i = 0; i < grant_count; i++)
		all_need_token &= grants[i].token_required;
	if (mt_setting_tenant && mt_setting_tenant[0] != '\0')
		return "the setting mindtickle.tenant names no tenant that this role may act for without a token";
	if (superuser_arg(role))
		return "a superuser has no default tenant; set mindtickle.tenant";
	if (grant_count == 0)
		return "this role has no grant; the owner of the extension gives one with mt_grant_tenant";
	if (all_need_token)
		return "this role's grants need a token; call mt_set_tenant with the tenant and its token in each transaction";
	return "none of this role's grants is its one default; set mindtickle.tenant";
}

/*
 * mt_whoami() -> (role_name, tenant_id, access, grants, reason)
 */
Datum
mt_whoami(PG_FUNCTION_ARGS)
{
	Oid			role = GetUserId();
	const char *tenant = mt_tenant_in_force();
	int			count;
	MtGrant    *grants = mt_role_grants(role, &count);
	const char *reason = reason_for_no_tenant(role, grants, count);
	TimestampTz valid_until;
	TupleDesc	descriptor;
	Datum		values[5];
	bool		nulls[5] = {false};
	NameData	role_name;

	/* First of all, as the grants are good until they are looked up again. */
	values[3] = JsonbPGetDatum(grants_as_json(grants, count));

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "mt_whoami must return a row");
	descriptor = BlessTupleDesc(descriptor);

	namestrcpy(&role_name, GetUserNameFromId(role, false));
	values[0] = NameGetDatum(&role_name);
	if (tenant != NULL)
	{
		values[1] = CStringGetTextDatum(tenant);
		values[2] = CStringGetTextDatum(mt_access_name(mt_role_access(role, tenant, false, &valid_until)));
		nulls[4] = true;
	}
	else
	{
		nulls[1] = nulls[2] = true;
		values[4] = CStringGetTextDatum(reason);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}
