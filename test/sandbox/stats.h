/*
 * stats.h
 *		What is counted per tenant and for the whole sandbox, and its report.
 */
#ifndef SANDBOX_STATS_H
#define SANDBOX_STATS_H

#include "buffer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAX_ROUTES 48
#define LATENCY_STEPS 24			/* powers of two of microseconds */

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
	int64_t		last_arrival;	/* monotonic nanoseconds */
	int64_t		longest_gap;	/* between two arrivals, nanoseconds */
	uint64_t	connections;
	uint64_t	served;			/* replies that were delivered whole */
	uint64_t	under_way;
	uint64_t	max_under_way;
	int64_t		service_time;	/* of all requests, nanoseconds */
	int64_t		longest_service;
	uint64_t	by_latency[LATENCY_STEPS];	/* requests below 2^n microseconds, not below 2^(n-1) */

	/* Of the live contract. */
	uint64_t	sign_ins;		/* that gave a token */
	uint64_t	needless_sign_ins;	/* while the last token was good */
	uint64_t	refused_sign_ins;
	uint64_t	wrong_hosts;	/* requests that this tenant's token made where it does not belong */
	uint64_t	foreign_credentials;	/* another tenant's secret, site or address with these credentials */
	uint64_t	stale_tokens;	/* requests with an expired or revoked token */
	uint64_t	bad_requests;	/* that no correct client makes */
	uint64_t	filtered;		/* of the reference contract, for what is later than a moment */
} TenantStats;

/* Of requests that belong to no tenant. */
typedef struct GlobalStats
{
	atomic_ullong missing_keys;
	atomic_ullong wrong_keys;
	atomic_ullong unrouted;		/* under no contract's path */
	atomic_ullong elsewhere;	/* at the host where no call may arrive */
	atomic_ullong shared_connections;	/* connections that carried more than one tenant's requests */
} GlobalStats;

extern GlobalStats mt_global_stats;

struct Tenant;

/* Count a request that arrives, and one that ends after so many nanoseconds. The caller holds the tenant's lock. */
extern void mt_stats_arrive(TenantStats *stats, int route, int64_t now, int64_t wall_micros);
extern void mt_stats_leave(TenantStats *stats, int64_t nanoseconds, bool served);

/* Appends the report of all tenants, or of one. */
extern void mt_stats_write(Buffer *buffer, struct Tenant *only);

#endif							/* SANDBOX_STATS_H */
