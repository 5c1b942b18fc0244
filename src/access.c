/*
 * access.c
 *		Which role may act for which tenant.
 *
 * Answers come from mindtickle.tenant and mindtickle.tenant_grant, read by index scans under a fresh catalog snapshot. SPI would not do: a
 * row security policy that reads its own table recurses, an active snapshot keeps a revoked grant alive in REPEATABLE READ, and the latest
 * snapshot fails in parallel workers. What is found is kept by the callers under a generation number, which moves whenever the tables, role
 * memberships or roles change in any backend: triggers on these tables and on api_token send a relation cache invalidation (mt_forget_access).
 *
 * Called by tenant_context.c, service_call.c and utility_hook.c. Never raises an error that names what the caller may not know.
 */
#include "access.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "api_version.h"
#include "catalog/namespace.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "token.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

/* Columns of tenant_grant, in the order of sql/tenant.sql. */
#define GRANT_TENANT_ID			1
#define GRANT_ROLE_NAME			2
#define GRANT_ROLE_OID			3
#define GRANT_ACCESS			4
#define GRANT_TOKEN_REQUIRED	5
#define GRANT_IS_DEFAULT		6

/* Moves with every change that an answer may depend on. */
static uint64 access_generation = 1;

/* Oids of the two tables and their indexes, looked up once a generation. */
static struct
{
	uint64		generation;
	Oid			tenant;
	Oid			tenant_pkey;
	Oid			grants;
	Oid			grants_pkey;
	Oid			grants_role;
	Oid			tokens;
	Oid			service_role;
	Oid			owner;
} relations;

/* Tenants that were found last, for those who serve one after the other. */
#define SEEN_TENANTS	16
static struct
{
	uint64		generation;
	char		tenant[MT_TENANT_MAX + 1];
}			seen_tenants[SEEN_TENANTS];
static int	seen_next = 0;

/* The grants of the role that was asked for last, inherited ones too, in the order of their tenants. */
static struct
{
	uint64		generation;
	Oid			role;
	int			count;
	MtGrant    *grants;			/* in TopMemoryContext */
} role_grants;

PG_FUNCTION_INFO_V1(mt_forget_access);

static void
relation_changed(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == relations.tenant || relid == relations.grants || relid == relations.tokens)
		access_generation++;
}

static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	access_generation++;
}

/*
 * Registers the callbacks that tell of changes. Once a process, by _PG_init.
 */
void
mt_watch_access(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	/* Who owns the database is a member of pg_database_owner. */
	CacheRegisterSyscacheCallback(DATABASEOID, roles_changed, (Datum) 0);
}

/*
 * Forgets in this backend what was looked up.
 */
void
mt_forget_access_here(void)
{
	access_generation++;
}

/*
 * The generation of the answers: takes in what other backends have committed, so that a revoked grant ends with the next statement.
 */
uint64
mt_access_generation(void)
{
	AcceptInvalidationMessages();
	return access_generation;
}

/*
 * Trigger on tenant, tenant_grant and api_token: every backend looks its answers up anew once this transaction commits, this one at once.
 */
Datum
mt_forget_access(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "mt_forget_access is a trigger function");
	CacheInvalidateRelcache(trigger->tg_relation);
	access_generation++;
	PG_RETURN_POINTER(NULL);
}

/*
 * Oid of a relation of schema mindtickle; ERROR 42P01 where the extension is absent or broken.
 */
Oid
mt_relation(const char *name)
{
	Oid			schema = get_namespace_oid("mindtickle", true);
	Oid			relation = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation mindtickle.%s is missing", name),
				 errhint("Create the extension mindtickle in this database again.")));
	return relation;
}

static void
look_up_relations(void)
{
	uint64		generation = mt_access_generation();

	if (relations.generation == generation)
		return;
	mt_check_api_version();
	relations.tenant = mt_relation("tenant");
	relations.tenant_pkey = mt_relation("tenant_pkey");
	relations.grants = mt_relation("tenant_grant");
	relations.grants_pkey = mt_relation("tenant_grant_pkey");
	relations.grants_role = mt_relation("tenant_grant_role_oid_idx");
	relations.tokens = mt_relation("api_token");
	relations.service_role = get_role_oid(mt_setting_service_role, true);
	relations.owner = mt_extension_owner();
	relations.generation = generation;
}

/*
 * True when the text has the form of a tenant id: a lower-case letter or digit, then up to 31 of these, '_' and '-'.
 */
bool
mt_tenant_name_valid(const char *tenant)
{
	size_t		length = strlen(tenant);

	if (length < 1 || length > MT_TENANT_MAX)
		return false;
	if (tenant[0] == '_' || tenant[0] == '-')
		return false;
	return strspn(tenant, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static bool
look_up_tenant(const char *tenant)
{
	Relation	relation;
	SysScanDesc scan;
	ScanKeyData key;
	bool		found;

	relation = table_open(relations.tenant, AccessShareLock);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(tenant));
	scan = systable_beginscan(relation, relations.tenant_pkey, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/*
 * True when there is such a tenant. For callers that already know that the role may know.
 */
bool
mt_tenant_exists(const char *tenant)
{
	look_up_relations();
	for (int i = 0; i < SEEN_TENANTS; i++)
		if (seen_tenants[i].generation == relations.generation && strcmp(seen_tenants[i].tenant, tenant) == 0)
			return true;
	if (strlen(tenant) > MT_TENANT_MAX || !look_up_tenant(tenant))
		return false;
	strlcpy(seen_tenants[seen_next].tenant, tenant, sizeof(seen_tenants[seen_next].tenant));
	seen_tenants[seen_next].generation = relations.generation;
	seen_next = (seen_next + 1) % SEEN_TENANTS;
	return true;
}

/*
 * All tenants, as an array of text. For the service role.
 */
ArrayType *
mt_all_tenants(void)
{
	Relation	relation;
	SysScanDesc scan;
	HeapTuple	tuple;
	ArrayBuildState *tenants = initArrayResult(TEXTOID, CurrentMemoryContext, false);

	look_up_relations();
	relation = table_open(relations.tenant, AccessShareLock);
	scan = systable_beginscan(relation, relations.tenant_pkey, true, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		tenant = heap_getattr(tuple, 1, RelationGetDescr(relation), &isnull);

		accumArrayResult(tenants, tenant, false, TEXTOID, CurrentMemoryContext);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return DatumGetArrayTypeP(makeArrayResult(tenants, CurrentMemoryContext));
}

/*
 * The result of a function that returns setof text: of all tenants those that the test is true for, in the active snapshot.
 */
Datum
mt_return_tenants(FunctionCallInfo fcinfo, MtTenantTest test)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext previous;
	Datum	   *tenants;
	int			count;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	context = AllocSetContextCreate(CurrentMemoryContext, "test of a tenant", ALLOCSET_DEFAULT_SIZES);
	previous = MemoryContextSwitchTo(context);
	for (int i = 0; i < count; i++)
	{
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (test(TextDatumGetCString(tenants[i]), GetActiveSnapshot()))
			tuplestore_putvalues(result->setResult, result->setDesc, &tenants[i], &isnull);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/*
 * Oid of the role as which workers and writing functions act. ERROR 42704 where it does not exist, unless missing_ok: then InvalidOid.
 */
Oid
mt_service_role(bool missing_ok)
{
	look_up_relations();
	if (!OidIsValid(relations.service_role) && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the service role \"%s\" does not exist", mt_setting_service_role),
				 errhint("As the owner of the extension: CREATE ROLE %s NOLOGIN; SELECT mt_setup();",
						 quote_identifier(mt_setting_service_role))));
	return relations.service_role;
}

/*
 * True when the service role exists, has what mt_setup gives it, and has nothing that it must not have.
 */
bool
mt_service_role_ready(void)
{
	Oid			role = mt_service_role(true);
	HeapTuple	tuple;
	bool		harmless;
	Relation	members;
	SysScanDesc scan;
	ScanKeyData key;

	if (!OidIsValid(role))
		return false;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (!HeapTupleIsValid(tuple))
		return false;
	harmless = !((Form_pg_authid) GETSTRUCT(tuple))->rolsuper &&
		!((Form_pg_authid) GETSTRUCT(tuple))->rolbypassrls &&
		!((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);

	members = table_open(AuthMemRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_auth_members_roleid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(members, AuthMemRoleMemIndexId, true, NULL, 1, &key);
	harmless = harmless && !HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(members, AccessShareLock);

	return harmless && pg_class_aclcheck(mt_relation("outbox_0"), role, ACL_INSERT) == ACLCHECK_OK;
}

/*
 * True for the extension's owner, the members of that role, and superusers.
 */
bool
mt_is_owner(Oid role)
{
	look_up_relations();
	return superuser_arg(role) || has_privs_of_role(role, relations.owner);
}

/*
 * The name of a level as in tenant_grant.access.
 */
const char *
mt_access_name(MtAccess access)
{
	switch (access)
	{
		case MT_ACCESS_NONE:
			return "none";
		case MT_ACCESS_READER:
			return "reader";
		case MT_ACCESS_WRITER:
			return "writer";
		case MT_ACCESS_ADMIN:
			return "admin";
		case MT_ACCESS_OWNER:
			return "owner";
	}
	return "none";
}

static MtAccess
access_from_name(const char *name)
{
	if (strcmp(name, "reader") == 0)
		return MT_ACCESS_READER;
	if (strcmp(name, "writer") == 0)
		return MT_ACCESS_WRITER;
	if (strcmp(name, "admin") == 0)
		return MT_ACCESS_ADMIN;
	return MT_ACCESS_NONE;
}

/*
 * Reads a row of tenant_grant for a role. False when it does not concern the role: the grantee is neither the role nor one whose rights it
 * has, or the role it was given to is gone, even if another has taken its name since.
 */
static bool
grant_for_role(HeapTuple tuple, TupleDesc descriptor, Oid role, MtGrant *grant)
{
	Datum		values[GRANT_IS_DEFAULT];
	bool		isnull;
	Oid			grantee;
	char	   *grantee_name;

	for (int i = 0; i < GRANT_IS_DEFAULT; i++)
		values[i] = heap_getattr(tuple, i + 1, descriptor, &isnull);

	grantee = DatumGetObjectId(values[GRANT_ROLE_OID - 1]);
	if (!OidIsValid(grantee))
		return false;
	if (grantee != role && (superuser_arg(role) || !has_privs_of_role(role, grantee)))
		return false;
	grantee_name = GetUserNameFromId(grantee, true);
	if (grantee_name == NULL || strcmp(grantee_name, NameStr(*DatumGetName(values[GRANT_ROLE_NAME - 1]))) != 0)
		return false;

	memset(grant, 0, sizeof(MtGrant));
	text_to_cstring_buffer(DatumGetTextPP(values[GRANT_TENANT_ID - 1]), grant->tenant, sizeof(grant->tenant));
	grant->access = access_from_name(TextDatumGetCString(values[GRANT_ACCESS - 1]));
	grant->token_required = DatumGetBool(values[GRANT_TOKEN_REQUIRED - 1]);
	grant->is_default = DatumGetBool(values[GRANT_IS_DEFAULT - 1]);
	grant->direct = (grantee == role);
	return true;
}

/*
 * The role and all roles that it is a member of, directly or not. More than those whose rights it has, which grant_for_role sorts out.
 */
static List *
role_and_memberships(Oid role)
{
	List	   *roles = list_make1_oid(role);

	for (int i = 0; i < list_length(roles); i++)
	{
		CatCList   *memberships = SearchSysCacheList1(AUTHMEMMEMROLE, ObjectIdGetDatum(list_nth_oid(roles, i)));

		for (int j = 0; j < memberships->n_members; j++)
			roles = list_append_unique_oid(roles,
										   ((Form_pg_auth_members) GETSTRUCT(&memberships->members[j]->tuple))->roleid);
		ReleaseSysCacheList(memberships);
	}
	/* A membership that no row tells of. */
	return list_append_unique_oid(roles, ROLE_PG_DATABASE_OWNER);
}

static int
compare_grants(const void *left, const void *right)
{
	return strcmp(((const MtGrant *) left)->tenant, ((const MtGrant *) right)->tenant);
}

/* Reads the grants of a role into role_grants. */
static void
read_role_grants(Oid role)
{
	List	   *roles = role_and_memberships(role);
	Relation	relation = table_open(relations.grants, AccessShareLock);
	int			allocated = 8;
	int			count = 0;
	MtGrant    *grants = MemoryContextAlloc(TopMemoryContext, sizeof(MtGrant) * allocated);
	ListCell   *cell;

	role_grants.generation = 0;
	if (role_grants.grants != NULL)
		pfree(role_grants.grants);
	role_grants.grants = grants;
	foreach(cell, roles)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, GRANT_ROLE_OID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(lfirst_oid(cell)));
		scan = systable_beginscan(relation, relations.grants_role, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			if (count == allocated)
			{
				allocated *= 2;
				role_grants.grants = grants = repalloc(grants, sizeof(MtGrant) * allocated);
			}
			if (grant_for_role(tuple, RelationGetDescr(relation), role, &grants[count]))
				count++;
		}
		systable_endscan(scan);
	}
	table_close(relation, AccessShareLock);
	list_free(roles);
	qsort(grants, count, sizeof(MtGrant), compare_grants);
	role_grants.count = count;
	role_grants.role = role;
}

/*
 * The grants of a role, its own and those of the roles whose rights it has, in the order of their tenants. Good until the next call.
 */
MtGrant *
mt_role_grants(Oid role, int *count)
{
	uint64		generation;

	look_up_relations();
	generation = relations.generation;
	if (role_grants.generation != generation || role_grants.role != role)
	{
		read_role_grants(role);
		role_grants.generation = generation;
	}
	*count = role_grants.count;
	return role_grants.grants;
}

/*
 * How far the role may go for the tenant: the highest of its grants, where those that need a token count only while proven by one
 * (mt_token_proof), unless ignore_tokens is set. The owner and the service role reach every tenant that exists, but the service role only as far
 * as the token goes that was entered, where one was. MT_ACCESS_NONE alike, and by the same steps, for a tenant that does not exist and for one
 * that is another's. *valid_until is when the answer ends, DT_NOEND: never.
 */
MtAccess
mt_role_access(Oid role, const char *tenant, bool ignore_tokens, TimestampTz *valid_until)
{
	MtAccess	access = MT_ACCESS_NONE;
	MtAccess	proven_access = MT_ACCESS_NONE;
	MtGrant    *grants;
	int			count;
	int			low = 0;
	int			high;

	*valid_until = DT_NOEND;
	look_up_relations();
	if (role == relations.service_role && mt_token_entered())
		return mt_tenant_exists(tenant) ? mt_token_access(tenant, valid_until) : MT_ACCESS_NONE;
	if (role == relations.service_role || mt_is_owner(role))
		return mt_tenant_exists(tenant) ? MT_ACCESS_OWNER : MT_ACCESS_NONE;

	grants = mt_role_grants(role, &count);
	high = count;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(grants[middle].tenant, tenant) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && strcmp(grants[low].tenant, tenant) == 0; low++)
	{
		if (!grants[low].tenant_seen && !mt_tenant_exists(tenant))
			return MT_ACCESS_NONE;
		grants[low].tenant_seen = true;
		if (!grants[low].token_required || ignore_tokens)
			access = Max(access, grants[low].access);
		else
			proven_access = Max(proven_access, grants[low].access);
	}
	if (proven_access > access && mt_token_proof(tenant, valid_until))
		access = proven_access;
	return access;
}

/* Is there a grant that needs a token, to a role of this oid, whatever name it has now? */
static bool
grant_needs_token(Relation relation, Oid grantee)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, GRANT_ROLE_OID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(grantee));
	scan = systable_beginscan(relation, relations.grants_role, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		found = DatumGetBool(heap_getattr(tuple, GRANT_TOKEN_REQUIRED, RelationGetDescr(relation), &isnull));
	}
	systable_endscan(scan);
	return found;
}

/*
 * True when sessions of this role may serve several tenants one after the other: it has, or is a member of a role that has, a grant that needs a
 * token. Membership is enough, with or without inheritance: SET ROLE does the rest. False for superusers, and where the extension is absent.
 */
bool
mt_role_needs_token(Oid role)
{
	List	   *roles;
	Relation	relation;
	ListCell   *cell;
	bool		found = false;

	if (superuser_arg(role) || !OidIsValid(mt_extension_owner()))
		return false;
	look_up_relations();
	roles = role_and_memberships(role);
	relation = table_open(relations.grants, AccessShareLock);
	foreach(cell, roles)
		found = found || (is_member_of_role(role, lfirst_oid(cell)) && grant_needs_token(relation, lfirst_oid(cell)));
	table_close(relation, AccessShareLock);
	list_free(roles);
	return found;
}
