/*
 * stats.h
 *		What is counted per tenant and for the whole sandbox, and its report.
 */
#ifndef SANDBOX_STATS_H
#define SANDBOX_STATS_H

#include "buffer.h"

#include <stdatomic.h>
#include <stdint.h>

#define MAX_ROUTES 32

/* Guarded by the tenant's lock. */
typedef struct TenantStats
{
	uint64_t	requests;
	uint64_t	by_route[MAX_ROUTES];
	uint64_t	throttled;		/* true 429s */
	uint64_t	company_mismatches;
	uint64_t	foreign_ids;	/* another tenant's id asked for with this key */
	int64_t		first_request;	/* microseconds since 1970; 0: none */
	int64_t		last_request;
} TenantStats;

/* Of requests that belong to no tenant. */
typedef struct GlobalStats
{
	atomic_ullong missing_keys;
	atomic_ullong wrong_keys;
	atomic_ullong unrouted;		/* under no contract's path */
} GlobalStats;

extern GlobalStats mt_global_stats;

struct Tenant;

/* Appends the report of all tenants, or of one. */
extern void mt_stats_write(Buffer *buffer, struct Tenant *only);

#endif							/* SANDBOX_STATS_H */
