/*
 * tenant.c
 *		The tenants: who they are, their data, limits, faults and counters.
 *
 * Filled by the options; looked up by the contracts for every request and by
 * the control endpoints. It never removes a tenant while the program serves.
 */
#include "tenant.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const char *(*TextOf) (const Tenant *tenant);

/* An open hash table over one text of the tenants. */
typedef struct TenantIndex
{
	TextOf		text_of;
	Tenant	  **slots;
	size_t		capacity;		/* a power of two, at least twice the tenants */
} TenantIndex;

static const char *name_of(const Tenant *tenant);
static const char *key_of(const Tenant *tenant);
static const char *site_of(const Tenant *tenant);

static Tenant **tenants = NULL;
static int	tenant_count = 0;
static int	tenant_capacity = 0;
static TenantIndex by_name = {name_of, NULL, 0};
static TenantIndex by_key = {key_of, NULL, 0};
static TenantIndex by_site = {site_of, NULL, 0};

static const char *
name_of(const Tenant *tenant)
{
	return tenant->name;
}

static const char *
key_of(const Tenant *tenant)
{
	return tenant->key;
}

static const char *
site_of(const Tenant *tenant)
{
	return tenant->site;
}

/* Writes the site's host name. Two names may meet in one: then the later tenant is refused. */
static void
make_site(const char *name, char *site)
{
	size_t		length = strlen(name);
	size_t		i;

	for (i = 0; i < length; i++)
		site[i] = name[i] == '_' ? '-' : (char) tolower((unsigned char) name[i]);
	snprintf(site + length, SITE_SIZE - length, ".mindtickle.example");
}

/* The slot of that text, or the free one where it belongs. */
static Tenant **
find_slot(const TenantIndex *index, const char *text)
{
	size_t		at = mt_hash_text(0, text) & (index->capacity - 1);

	while (index->slots[at] != NULL && strcmp(index->text_of(index->slots[at]), text) != 0)
		at = (at + 1) & (index->capacity - 1);
	return &index->slots[at];
}

static void
rebuild(TenantIndex *index)
{
	int			i;

	free(index->slots);
	index->capacity = (size_t) tenant_capacity * 2;
	index->slots = mt_allocate(index->capacity, sizeof(Tenant *));
	for (i = 0; i < tenant_count; i++)
		*find_slot(index, index->text_of(tenants[i])) = tenants[i];
}

Tenant *
mt_tenant_add(char *name, char *key, char *company)
{
	char		site[SITE_SIZE];
	Tenant	   *tenant;

	if (tenant_count == tenant_capacity)
	{
		Tenant	  **larger;

		tenant_capacity = tenant_capacity == 0 ? 16 : tenant_capacity * 2;
		larger = mt_allocate((size_t) tenant_capacity, sizeof(Tenant *));
		if (tenant_count > 0)
			memcpy(larger, tenants, (size_t) tenant_count * sizeof(Tenant *));
		free(tenants);
		tenants = larger;
		rebuild(&by_name);
		rebuild(&by_key);
		rebuild(&by_site);
	}
	make_site(name, site);
	if (*find_slot(&by_name, name) != NULL || *find_slot(&by_key, key) != NULL || *find_slot(&by_site, site) != NULL)
		return NULL;
	tenant = mt_allocate(1, sizeof(Tenant));
	tenant->number = tenant_count;
	tenant->name = name;
	strcpy(tenant->site, site);
	tenant->key = key;
	tenant->company = company;
	tenant->data.name = name;
	pthread_mutex_init(&tenant->lock, NULL);
	mt_listing_init(&tenant->listing);
	mt_scim_init(&tenant->scim);
	*find_slot(&by_name, name) = tenant;
	*find_slot(&by_key, key) = tenant;
	*find_slot(&by_site, site) = tenant;
	tenants[tenant_count++] = tenant;
	return tenant;
}

static int
compare_prefixes(const void *a, const void *b)
{
	uint32_t	left = *(const uint32_t *) a;
	uint32_t	right = *(const uint32_t *) b;

	return (left > right) - (left < right);
}

void
mt_tenants_prepare(uint64_t seed)
{
	uint32_t   *prefixes = mt_allocate((size_t) tenant_count + 1, sizeof(uint32_t));
	int			i;

	for (i = 0; i < tenant_count; i++)
	{
		Tenant	   *tenant = tenants[i];
		uint64_t	key = mt_hash_text(seed, tenant->name);
		uint32_t	prefix = 100000000 + (uint32_t) (key % 900000000);

		/* Two names may meet in one prefix: the later one steps aside. */
		while (bsearch(&prefix, prefixes, (size_t) i, sizeof(uint32_t), compare_prefixes) != NULL)
			prefix = prefix == 999999999 ? 100000000 : prefix + 1;
		prefixes[i] = prefix;
		qsort(prefixes, (size_t) i + 1, sizeof(uint32_t), compare_prefixes);
		tenant->data.key = key;
		tenant->data.id_prefix = prefix;
		mt_listing_move(&tenant->listing, &tenant->data, 0);
	}
	free(prefixes);
}

Tenant *
mt_tenant_by_name(const char *name)
{
	return *find_slot(&by_name, name);
}

Tenant *
mt_tenant_by_key(const char *key)
{
	return *find_slot(&by_key, key);
}

Tenant *
mt_tenant_by_site(const char *site)
{
	return *find_slot(&by_site, site);
}

bool
mt_tenants_live(void)
{
	int			i;

	for (i = 0; i < tenant_count; i++)
		if (tenants[i]->live)
			return true;
	return false;
}

int
mt_tenant_count(void)
{
	return tenant_count;
}

Tenant *
mt_tenant_at(int number)
{
	return tenants[number];
}

void
mt_tenants_free(void)
{
	int			i;

	for (i = 0; i < tenant_count; i++)
	{
		int			selection;

		for (selection = 0; selection < SELECTIONS; selection++)
			free(tenants[i]->selections[selection].users);
		mt_scim_free(&tenants[i]->scim);
		free(tenants[i]->name);
		free(tenants[i]->key);
		free(tenants[i]->company);
		free(tenants[i]->listing.user_at);
		free(tenants[i]->listing.results_before);
		free(tenants[i]->rate.arrivals);
		free(tenants[i]);
	}
	free(tenants);
	free(by_name.slots);
	free(by_key.slots);
	free(by_site.slots);
}
