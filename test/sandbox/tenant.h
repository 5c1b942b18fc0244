/*
 * tenant.h
 *		The tenants: who they are, their data, limits, faults and counters.
 *
 * The table is filled before the first request and never changes after it;
 * what does change in a tenant is guarded by its lock, its listing and its
 * SCIM users by locks of their own. The tenant's lock may be taken while
 * holding one of the others; nothing else is taken while holding a lock.
 */
#ifndef SANDBOX_TENANT_H
#define SANDBOX_TENANT_H

#include "data.h"
#include "faults.h"
#include "host.h"
#include "listing.h"
#include "live_session.h"
#include "rate_limit.h"
#include "scim_store.h"
#include "stats.h"

#include <pthread.h>

#define SITE_SIZE		96
#define SELECTIONS		8

/* Users that a request of the live contract chose, for its further pages. */
typedef struct LiveSelection
{
	uint64_t	number;			/* from 1; 0: the slot is free */
	int		   *users;
	int			count;
} LiveSelection;

typedef struct Tenant
{
	int			number;			/* in the order they were added */
	char	   *name;
	char	   *key;			/* of the reference contract */
	char	   *company;		/* NULL: none */
	bool		live;			/* served by the live contract, else by the reference contract */
	bool		reporting;		/* has a reporting user */
	bool		knows_since;	/* of the reference contract: since and updated_since are no bad requests */
	Host		region;			/* the API host that knows the site */
	char		site[SITE_SIZE];
	int			token_seconds;	/* how long a token is good */
	int			report_page;	/* rows on a page of the report; 0: no pages */
	DataSet		data;
	Listing		listing;
	ScimStore	scim;

	pthread_mutex_t lock;		/* guards what follows */
	LiveAccess	access;
	LiveSelection selections[SELECTIONS];
	uint64_t	next_selection;
	RateLimit	rate;
	FaultPlan	faults;
	char		denied[ID_SIZE];	/* of the reference contract: whoever this is, the key may not see him; "": nobody */
	TenantStats stats;
} Tenant;

/* Adds a tenant; NULL when its name, key or site is taken. Takes over the strings. */
extern Tenant *mt_tenant_add(char *name, char *key, char *company);

/* Gives all tenants their data; call once, after the last was added. */
extern void mt_tenants_prepare(uint64_t seed);

/* Finds a tenant by name, by key or by the host name of its learning site; NULL when there is none. */
extern Tenant *mt_tenant_by_name(const char *name);
extern Tenant *mt_tenant_by_key(const char *key);
extern Tenant *mt_tenant_by_site(const char *site);

/* Does any speak the live contract? */
extern bool mt_tenants_live(void);

/* All tenants in the order they were added. */
extern int	mt_tenant_count(void);
extern Tenant *mt_tenant_at(int number);

/* Gives everything back. */
extern void mt_tenants_free(void);

#endif							/* SANDBOX_TENANT_H */
