/*
 * service_call.h
 *		The five steps of every function that acts for a tenant: see service_call.c.
 */
#ifndef MT_SERVICE_CALL_H
#define MT_SERVICE_CALL_H

#include "mindtickle.h"

#include "storage/lockdefs.h"
#include "utils/snapshot.h"

/* What mt_service_enter changed and mt_service_leave puts back. */
typedef struct MtServiceCall
{
	const char *tenant;
	Oid			role;			/* of the caller */
	int			security_context;
	int			guc_nest_level;
	MemoryContext context;		/* of the caller; results belong there */
} MtServiceCall;

extern void mt_service_enter(MtServiceCall *call, FunctionCallInfo fcinfo, const char *tenant, MtAccess needed, bool writes);
extern void mt_service_enter_as_owner(MtServiceCall *call, FunctionCallInfo fcinfo);
extern bool mt_service_enter_as_monitor(MtServiceCall *call, FunctionCallInfo fcinfo, const char *tenant);
extern void mt_service_leave(MtServiceCall *call);
extern uint64 mt_lock_hash(const char *tenant);
extern void mt_lock_tenant(const char *tenant, LOCKMODE mode);
extern void mt_lock_tokens(const char *tenant);
extern void mt_lock_members(const char *tenant, LOCKMODE mode);
extern bool mt_lock_reruns(const char *tenant, LOCKMODE mode);
extern bool mt_lock_fold(const char *tenant, bool wait);
extern bool mt_lock_details(const char *tenant, bool wait);
extern bool mt_lock_events(const char *tenant, bool wait);
extern bool mt_lock_consumer(const char *tenant, const char *consumer, bool wait);
extern bool mt_lock_cache(const char *tenant, LOCKMODE mode);
extern void mt_wait_for_cache(const char *tenant);
extern void mt_unlock_cache(const char *tenant, LOCKMODE mode);
extern bool mt_keep_tenant(const char *tenant, uint64 generation);
extern bool mt_keep_all_tenants(void);
extern void mt_require_same_tenant(const char *tenant, Snapshot snapshot);

#endif							/* MT_SERVICE_CALL_H */
