/*
 * tenant_context.h
 *		The tenant in force and the check that every function with a tenant argument makes: see tenant_context.c.
 */
#ifndef MT_TENANT_CONTEXT_H
#define MT_TENANT_CONTEXT_H

#include "mindtickle.h"

extern const char *mt_tenant_in_force(void);
extern const char *mt_tenant_in_force_quietly(void);
extern void mt_require_access(FunctionCallInfo fcinfo, const char *tenant, MtAccess needed);
extern void mt_require_owner(FunctionCallInfo fcinfo);
extern void mt_require_monitor(FunctionCallInfo fcinfo);
extern void mt_refuse_tenant(const char *tenant, const char *object) pg_attribute_noreturn();

#endif							/* MT_TENANT_CONTEXT_H */
