/*
 * service_call.c
 *		The steps of every function that acts for a tenant on behalf of a caller who may not touch the tables himself.
 *
 * (1) check the caller's right, (2) put the tenant in force and the search_path out of his hands for the length of the call, (3) become the
 * service role, (4) the function runs its kept plans, (5) everything as before. Without (2) operators from the caller's search_path would
 * run as the service role. An error needs no cleaning up here: the end of the (sub)transaction restores role and settings.
 *
 * Called by every SQL function in src/ that reads or writes a tenant's rows.
 */
#include "service_call.h"

#include "access.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tenant_context.h"
#include "tenant_table.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* "pg_catalog, pg_temp": nothing of the caller's is looked at. */
#define SAFE_SEARCH_PATH	"pg_catalog, pg_temp"
/* A column of tenant, in the order of sql/tenant.sql. */
#define TENANT_CREATED_AT	5

PG_FUNCTION_INFO_V1(mt_lock_tenant_for_write);
PG_FUNCTION_INFO_V1(mt_lock_tenant_for_drop);

/*
 * What stands for a tenant in the lock table. Everyone may read pg_locks, so the hash begins with a secret of the cluster, or names could be guessed
 * and tried. Two tenants may have the same, which costs a wait and nothing else.
 */
uint64
mt_lock_hash(const char *tenant)
{
	uint64		secret;

	memcpy(&secret, GetMockAuthenticationNonce(), sizeof(secret));
	return hash_bytes_extended((const unsigned char *) tenant, (int) strlen(tenant), secret);
}

/* What stands for a tenant's share of a table in the lock table: a hash of the name, as an object of the table. */
static void
set_share_tag(LOCKTAG *tag, const char *table, const char *tenant)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, mt_relation(table), (Oid) mt_lock_hash(tenant), 0);
}

/*
 * Locks a tenant's share of a table until the end of the transaction. False where wait is not set and somebody is in the way.
 */
static bool
lock_share(const char *table, const char *tenant, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;

	set_share_tag(&tag, table, tenant);
	if (LockAcquire(&tag, mode, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	/* As LockDatabaseObject does. */
	AcceptInvalidationMessages();
	return true;
}

/*
 * Locks a tenant against mt_drop_tenant (AccessShareLock), or for it (AccessExclusiveLock).
 */
void
mt_lock_tenant(const char *tenant, LOCKMODE mode)
{
	(void) lock_share("tenant", tenant, mode, true);
}

/*
 * Makes those who add tokens to a tenant, or to none, do so one after the other.
 */
void
mt_lock_tokens(const char *tenant)
{
	(void) lock_share("api_token", tenant, ExclusiveLock, true);
}

/*
 * Locks who is in which of a tenant's teams: ShareLock for those who put users into teams, ExclusiveLock for whoever takes a user out of all. To be
 * taken before rows of users and team are locked.
 */
void
mt_lock_members(const char *tenant, LOCKMODE mode)
{
	(void) lock_share("team_member", tenant, mode, true);
}

/*
 * Makes those who fold a tenant's readiness do so one after the other. False where wait is not set and another one does.
 */
bool
mt_lock_fold(const char *tenant, bool wait)
{
	return lock_share("readiness_summary_0", tenant, ExclusiveLock, wait);
}

/*
 * Makes those who write the figures of a tenant's users and courses do so one after the other. Who waits for it has not got the lock of mt_lock_fold
 * yet. As mt_lock_fold.
 */
bool
mt_lock_details(const char *tenant, bool wait)
{
	return lock_share("readiness_user_0", tenant, ExclusiveLock, wait);
}

/*
 * ShareLock: a provisional report of the tenant is stored, which waits for whoever renews reports. ExclusiveLock: the tenant's report is renewed; false
 * where a provisional one is being stored.
 */
bool
mt_lock_reruns(const char *tenant, LOCKMODE mode)
{
	return lock_share("readiness_rerun", tenant, mode, mode == ShareLock);
}

/*
 * Makes those who number a tenant's events, or move what it keeps of them, do so one after the other. As mt_lock_fold.
 */
bool
mt_lock_events(const char *tenant, bool wait)
{
	return lock_share("event_position_0", tenant, ExclusiveLock, wait);
}

/*
 * The same for those who move on one consumer of a tenant.
 */
bool
mt_lock_consumer(const char *tenant, const char *consumer, bool wait)
{
	return lock_share("event_consumer_0", psprintf("%s %s", tenant, consumer), ExclusiveLock, wait);
}

/*
 * The locks on a tenant's cache. AccessShareLock, to the end of the transaction: there is a document that has not committed yet.
 * ShareUpdateExclusiveLock: storing one. AccessExclusiveLock: removing what is behind. False where somebody is in the way.
 */
bool
mt_lock_cache(const char *tenant, LOCKMODE mode)
{
	return lock_share("cache_entry", tenant, mode, false);
}

/*
 * Waits for those who have stored a document and not committed yet, and keeps others from storing one until the end of the transaction.
 */
void
mt_wait_for_cache(const char *tenant)
{
	(void) lock_share("cache_entry", tenant, AccessExclusiveLock, true);
}

/*
 * Gives one of the locks on the cache back before the transaction ends.
 */
void
mt_unlock_cache(const char *tenant, LOCKMODE mode)
{
	LOCKTAG		tag;

	set_share_tag(&tag, "cache_entry", tenant);
	(void) LockRelease(&tag, mode, false);
}

/*
 * Keeps mt_drop_tenant waiting to the end of the transaction, where it is not at work already and has not been since the caller's right was
 * checked; generation is what mt_access_generation gave then.
 */
bool
mt_keep_tenant(const char *tenant, uint64 generation)
{
	return lock_share("tenant", tenant, AccessShareLock, false) && mt_access_generation() == generation;
}

/*
 * Keeps every mt_drop_tenant waiting to the end of the transaction, where none is at work. For upkeep, which moves rows of many tenants: a drop would
 * not see what has been moved and is not committed, and leave it to the next tenant of the name. One lock, however many tenants there are.
 */
bool
mt_keep_all_tenants(void)
{
	return lock_share("tenant", "", ShareLock, false);
}

/* When the tenant that a snapshot shows was made; 0: it shows none. */
static TimestampTz
tenant_made_at(const char *tenant, Snapshot snapshot)
{
	static MtTenantTable table = {.table = {"tenant"}};
	MtTenantScan scan;
	TimestampTz made_at = 0;
	bool		isnull;

	mt_tenant_scan_open(&scan, &table, tenant, snapshot, 0);
	mt_tenant_scan_start(&scan, NULL, 0);
	if (mt_tenant_scan_next(&scan, ForwardScanDirection))
		made_at = DatumGetTimestampTz(slot_getattr(scan.slot, TENANT_CREATED_AT, &isnull));
	mt_tenant_scan_close(&scan);
	return made_at;
}

/*
 * For those who store for a tenant what a snapshot shows that was taken before mt_drop_tenant was kept waiting: ERROR 40001 where that shows another
 * tenant of this name, which has been dropped since, or none. Where each query has a snapshot of its own only the first is such a one.
 */
void
mt_require_same_tenant(const char *tenant, Snapshot snapshot)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	bool		same = tenant_made_at(tenant, snapshot) == tenant_made_at(tenant, latest);

	UnregisterSnapshot(latest);
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access: tenant \"%s\" was made after the snapshot of this query was taken", tenant),
				 errhint("Run the transaction again.")));
}

/*
 * mindtickle.lock_tenant(tenant): keeps mt_drop_tenant waiting until the end of the transaction.
 */
Datum
mt_lock_tenant_for_write(PG_FUNCTION_ARGS)
{
	mt_lock_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessShareLock);
	PG_RETURN_VOID();
}

/*
 * mindtickle.lock_tenant_for_drop(tenant): waits for all who write for the tenant, and for who moves rows of all (mt_keep_all_tenants), and keeps
 * others from beginning.
 */
Datum
mt_lock_tenant_for_drop(PG_FUNCTION_ARGS)
{
	mt_lock_tenant(text_to_cstring(PG_GETARG_TEXT_PP(0)), AccessExclusiveLock);
	/* Not an exclusive one: drops do not wait for each other. */
	(void) lock_share("tenant", "", RowExclusiveLock, true);
	PG_RETURN_VOID();
}

static void
set_for_call(const char *name, const char *value)
{
	set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false);
}

/* Steps 2 and 3. */
static void
service_begin(MtServiceCall *call, Oid service_role, const char *tenant)
{
	call->tenant = tenant;
	call->context = CurrentMemoryContext;
	call->guc_nest_level = NewGUCNestLevel();
	set_for_call("mindtickle.tenant", tenant);
	set_for_call("search_path", SAFE_SEARCH_PATH);
	if (!row_security)
		set_for_call("row_security", "on");

	GetUserIdAndSecContext(&call->role, &call->security_context);
	SetUserIdAndSecContext(service_role,
						   call->security_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
}

/*
 * Steps 1 to 3, and a connection to SPI. fcinfo is the SQL function's own; writes: it changes rows, so the tenant must not be dropped under
 * it. Errors are those of mt_require_access, 42704 where the service role does not exist, and 40001 where the transaction writes in a snapshot that is
 * older than the tenant.
 */
void
mt_service_enter(MtServiceCall *call, FunctionCallInfo fcinfo, const char *tenant, MtAccess needed, bool writes)
{
	Oid			service_role;

	mt_require_access(fcinfo, tenant, needed);
	service_role = mt_service_role(false);
	if (writes)
	{
		uint64		generation = mt_access_generation();

		mt_lock_tenant(tenant, AccessShareLock);
		/* Having waited for a drop means that there is nothing left to write to. */
		if (mt_access_generation() != generation)
			mt_require_access(fcinfo, tenant, needed);
		if (IsolationUsesXactSnapshot())
			mt_require_same_tenant(tenant, GetTransactionSnapshot());
	}
	service_begin(call, service_role, tenant);
}

/*
 * The same for the extension's owner and what belongs to no tenant: ERROR 42501 for anybody else.
 */
void
mt_service_enter_as_owner(MtServiceCall *call, FunctionCallInfo fcinfo)
{
	mt_require_owner(fcinfo);
	service_begin(call, mt_service_role(false), "");
}

/*
 * The same for a member of pg_monitor, who needs no right to the tenant and gets nothing but figures; the caller of this sees to that. Reads only.
 * ERROR 42501 for anybody else. False where there is no such tenant.
 */
bool
mt_service_enter_as_monitor(MtServiceCall *call, FunctionCallInfo fcinfo, const char *tenant)
{
	mt_require_monitor(fcinfo);
	if (!mt_tenant_exists(tenant))
		return false;
	service_begin(call, mt_service_role(false), tenant);
	return true;
}

/*
 * Step 5. Results must have been copied out of SPI's memory by then.
 */
void
mt_service_leave(MtServiceCall *call)
{
	SPI_finish();
	SetUserIdAndSecContext(call->role, call->security_context);
	AtEOXact_GUC(false, call->guc_nest_level);
}
