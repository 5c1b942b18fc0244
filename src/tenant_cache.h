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

/* What is counted of each. */
typedef enum MtCacheCount
{
	MT_CACHE_HIT,				/* given out, or its version told */
	MT_CACHE_RENDERED,
	MT_CACHE_KEPT,				/* rendered, and kept */
	MT_CACHE_COUNTS
} MtCacheCount;

/* tenant_cache.c */
extern bool mt_cache_kept(const char *tenant, MtCacheResource resource, Snapshot snapshot, Datum *columns);

/* cache_stats.c */
extern void mt_request_cache_memory(void);
extern void mt_cache_count(const char *tenant, MtCacheResource resource, MtCacheCount count);
extern void mt_forget_cache_counts(Oid database);

/* cache_change.c */
extern const char *mt_cache_resource_name(MtCacheResource resource);
extern bool mt_cache_resource_by_name(const char *name, MtCacheResource *resource);
extern void mt_cache_log_change(const char *tenant, int length, MtCacheResource resource);
extern bool mt_cache_changed_since(const char *tenant, MtCacheResource resource, const MtCursor *cursor, Snapshot snapshot);
extern bool mt_cache_changed_here(MtCacheResource resource);
extern int64 mt_cache_forget_changes(const char *tenant, MtCacheResource resource, int64 most);

#endif							/* MT_TENANT_CACHE_H */
