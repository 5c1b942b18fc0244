/*
 * access.h
 *		Which role may act for which tenant: see access.c.
 */
#ifndef MT_ACCESS_H
#define MT_ACCESS_H

#include "mindtickle.h"

#include "utils/array.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

/* One row of tenant_grant as far as a role is concerned. */
typedef struct MtGrant
{
	char		tenant[MT_TENANT_MAX + 1];
	MtAccess	access;
	bool		token_required;
	bool		is_default;
	bool		direct;			/* granted to the role itself, not to one it inherits */
	bool		tenant_seen;	/* there is such a tenant: grants may outlive it in a partial restore */
} MtGrant;

/* Whether something is so of a tenant, in a snapshot. */
typedef bool (*MtTenantTest) (const char *tenant, Snapshot snapshot);

extern void mt_watch_access(void);
extern void mt_forget_access_here(void);
extern uint64 mt_access_generation(void);

extern bool mt_tenant_name_valid(const char *tenant);
extern bool mt_tenant_exists(const char *tenant);
extern ArrayType *mt_all_tenants(void);
extern Datum mt_return_tenants(FunctionCallInfo fcinfo, MtTenantTest test);
extern Oid	mt_service_role(bool missing_ok);
extern bool mt_service_role_ready(void);
extern bool mt_is_owner(Oid role);
extern MtAccess mt_role_access(Oid role, const char *tenant, bool ignore_tokens, TimestampTz *valid_until);
extern MtGrant *mt_role_grants(Oid role, int *count);
extern bool mt_role_needs_token(Oid role);
extern Oid	mt_relation(const char *name);
extern const char *mt_access_name(MtAccess access);

#endif							/* MT_ACCESS_H */
