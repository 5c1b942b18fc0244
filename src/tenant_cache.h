/*
 * tenant_cache.h
 *		The tenant cache: see tenant_cache.c for the documents, cache_change.c for the log of changes under them.
 */
#ifndef MT_TENANT_CACHE_H
#define MT_TENANT_CACHE_H

#include "mindtickle.h"

#include "readiness_store.h"

/* The documents of a tenant. */
typedef enum MtCacheResource
{
	MT_CACHE_ROSTER,
	MT_CACHE_CATALOG,
	MT_CACHE_RESOURCES
} MtCacheResource;

/* cache_change.c */
extern const char *mt_cache_resource_name(MtCacheResource resource);
extern bool mt_cache_resource_by_name(const char *name, MtCacheResource *resource);
extern void mt_cache_log_change(const char *tenant, int length, MtCacheResource resource);
extern bool mt_cache_changed_since(const char *tenant, MtCacheResource resource, const MtCursor *cursor, Snapshot snapshot);
extern bool mt_cache_changed_here(MtCacheResource resource);
extern int64 mt_cache_forget_changes(const char *tenant, MtCacheResource resource, int64 most);

#endif							/* MT_TENANT_CACHE_H */
