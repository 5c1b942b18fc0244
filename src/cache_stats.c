/*
 * cache_stats.c
 *		How often each tenant's documents were given out, rendered and kept since the server started; and what mt_stat_cache shows.
 *
 * The counts are in a hash table in shared memory, one entry for a tenant of a database, counted without a lock on the entry. Tenants for whom there
 * is no room are not counted; those that are gone make room. Without shared memory nothing is counted, and the view shows what is kept.
 *
 * Called by tenant_cache.c for each document, and by the launcher for databases that are gone.
 */
#include "tenant_cache.h"

#include "access.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

/* Tenants, of all databases together, that are counted. */
#define TENANTS_MAX	4096
/* Columns of mindtickle.cache_stats: tenant, resource, what is kept (version, bytes, rendered_at, expires_at), and the counts. */
#define KEPT_COLUMNS	4
#define STAT_COLUMNS	(2 + KEPT_COLUMNS + MT_CACHE_COUNTS)

typedef struct CountKey
{
	Oid			database;
	char		tenant[MT_TENANT_MAX + 1];
} CountKey;

typedef struct CountEntry
{
	CountKey	key;			/* must be first */
	pg_atomic_uint64 counts[MT_CACHE_RESOURCES][MT_CACHE_COUNTS];
} CountEntry;

static LWLock *lock = NULL;
static HTAB *entries = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

PG_FUNCTION_INFO_V1(mt_cache_stats);

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(hash_estimate_size(TENANTS_MAX, sizeof(CountEntry)));
	RequestNamedLWLockTranche("mindtickle cache", 1);
}

static void
start_memory(void)
{
	HASHCTL		control = {.keysize = sizeof(CountKey),.entrysize = sizeof(CountEntry)};

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	lock = &GetNamedLWLockTranche("mindtickle cache")->lock;
	entries = ShmemInitHash("mindtickle cache", TENANTS_MAX, TENANTS_MAX, &control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_cache_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

static CountKey
key_of(const char *tenant)
{
	CountKey	key;

	/* All bytes of it are compared. */
	memset(&key, 0, sizeof(CountKey));
	key.database = MyDatabaseId;
	strlcpy(key.tenant, tenant, sizeof(key.tenant));
	return key;
}

/* Adds an entry for a tenant; the lock is held exclusively. NULL: there is no room. */
static CountEntry *
add_entry(const CountKey *key)
{
	bool		found;
	CountEntry *entry;

	if (hash_get_num_entries(entries) >= TENANTS_MAX)
		return NULL;
	entry = hash_search(entries, key, HASH_ENTER_NULL, &found);
	for (int resource = 0; entry != NULL && !found && resource < MT_CACHE_RESOURCES; resource++)
		for (int count = 0; count < MT_CACHE_COUNTS; count++)
			pg_atomic_init_u64(&entry->counts[resource][count], 0);
	return entry;
}

/*
 * Counts that something happened to a tenant's document.
 */
void
mt_cache_count(const char *tenant, MtCacheResource resource, MtCacheCount count)
{
	CountKey	key = key_of(tenant);
	CountEntry *entry;

	if (entries == NULL)
		return;
	LWLockAcquire(lock, LW_SHARED);
	entry = hash_search(entries, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		LWLockRelease(lock);
		LWLockAcquire(lock, LW_EXCLUSIVE);
		entry = add_entry(&key);
	}
	if (entry != NULL)
		pg_atomic_fetch_add_u64(&entry->counts[resource][count], 1);
	LWLockRelease(lock);
}

/* Removes the entries of a database; those of tenants that are there stay where tenants is not NULL. */
static void
forget(Oid database, ArrayType *tenants)
{
	HASH_SEQ_STATUS scan;
	CountEntry *entry;
	Datum	   *names = NULL;
	int			count = 0;

	if (tenants != NULL)
		deconstruct_array(tenants, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &count);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		bool		there = false;

		for (int i = 0; i < count && !there; i++)
		{
			text	   *name = DatumGetTextPP(names[i]);

			there = VARSIZE_ANY_EXHDR(name) == strlen(entry->key.tenant) &&
				memcmp(VARDATA_ANY(name), entry->key.tenant, VARSIZE_ANY_EXHDR(name)) == 0;
		}
		if (entry->key.database == database && !there)
			hash_search(entries, &entry->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(lock);
}

/*
 * Forgets the counts of a database that is gone.
 */
void
mt_forget_cache_counts(Oid database)
{
	if (entries != NULL)
		forget(database, NULL);
}

/* Puts a row for a document into the result. */
static void
put_document(ReturnSetInfo *result, const char *tenant, MtCacheResource resource)
{
	Datum		values[STAT_COLUMNS] = {0};
	bool		nulls[STAT_COLUMNS];
	CountKey	key = key_of(tenant);
	CountEntry *entry;

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum(tenant);
	values[1] = CStringGetTextDatum(mt_cache_resource_name(resource));
	nulls[0] = nulls[1] = false;
	if (!RecoveryInProgress() && mt_cache_kept(tenant, resource, GetActiveSnapshot(), &values[2]))
		memset(&nulls[2], false, KEPT_COLUMNS);
	if (entries != NULL)
	{
		LWLockAcquire(lock, LW_SHARED);
		entry = hash_search(entries, &key, HASH_FIND, NULL);
		for (int count = 0; count < MT_CACHE_COUNTS; count++)
		{
			values[2 + KEPT_COLUMNS + count] = Int64GetDatum(entry == NULL ? 0 : (int64) pg_atomic_read_u64(&entry->counts[resource][count]));
			nulls[2 + KEPT_COLUMNS + count] = false;
		}
		LWLockRelease(lock);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * mindtickle.cache_stats() -> setof (tenant_id, resource, version, bytes, rendered_at, expires_at, hits, renders, kept): for mt_stat_cache, and so for
 * pg_monitor.
 */
Datum
mt_cache_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ArrayType  *tenants = mt_all_tenants();
	Datum	   *names;
	int			count;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (entries != NULL)
		forget(MyDatabaseId, tenants);
	deconstruct_array(tenants, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &count);
	for (int i = 0; i < count; i++)
		for (int resource = 0; resource < MT_CACHE_RESOURCES; resource++)
		{
			CHECK_FOR_INTERRUPTS();
			put_document(result, TextDatumGetCString(names[i]), (MtCacheResource) resource);
		}
	return (Datum) 0;
}
