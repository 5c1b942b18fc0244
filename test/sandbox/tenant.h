/*
 * tenant.h
 *		The tenants: who they are, their data, limits, faults and counters.
 *
 * The table is filled before the first request and never changes after it;
 * what does change in a tenant is guarded by its lock, its listing by the
 * listing's own. Neither lock is taken while holding the other.
 */
#ifndef SANDBOX_TENANT_H
#define SANDBOX_TENANT_H

#include "data.h"
#include "faults.h"
#include "listing.h"
#include "rate_limit.h"
#include "stats.h"

#include <pthread.h>

typedef struct Tenant
{
	char	   *name;
	char	   *key;
	char	   *company;		/* NULL: none */
	DataSet		data;
	Listing		listing;

	pthread_mutex_t lock;		/* guards what follows */
	RateLimit	rate;
	FaultPlan	faults;
	TenantStats stats;
} Tenant;

/* Adds a tenant; NULL when the name or the key is taken. Takes over the strings. */
extern Tenant *mt_tenant_add(char *name, char *key, char *company);

/* Gives all tenants their data; call once, after the last was added. */
extern void mt_tenants_prepare(uint64_t seed);

/* Finds a tenant by name or by key; NULL when there is none. */
extern Tenant *mt_tenant_by_name(const char *name);
extern Tenant *mt_tenant_by_key(const char *key);

/* All tenants in the order they were added. */
extern int	mt_tenant_count(void);
extern Tenant *mt_tenant_at(int number);

/* Gives everything back. */
extern void mt_tenants_free(void);

#endif							/* SANDBOX_TENANT_H */
