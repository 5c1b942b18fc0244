/*
 * ring.c
 *		Rings of tables that are appended to and emptied as a whole, so that nothing rots in them while somebody holds a snapshot.
 *
 * One table of a ring is written to. When it has grown, another one that is empty takes its place; when nobody needs what is in a table, it is
 * emptied by TRUNCATE. No row is updated or deleted. Whether rows are needed is looked at once without a lock and once with one that keeps writers
 * away; then readers are kept away, too. Nobody is made to wait in line behind a wish for these locks: where one is not to be had, the next call tries
 * again. A transaction that has written holds its lock to its end, so what is not visible when writers are kept away was rolled back. A reader whose
 * snapshot is older than the TRUNCATE finds that out (mt_tenant_table_newer).
 *
 * Which table is written to is no more than a habit, kept in shared memory without a lock: readers look at all of them. A transaction keeps to
 * one of each kind, so that one that stays open keeps only that one from being emptied.
 *
 * Called by what appends, and by the workers' upkeep (readiness_ring.c, event_ring.c).
 */
#include "ring.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "shared_state.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/rel.h"

/* No table has been chosen since the server started. */
#define NOT_CHOSEN	PG_UINT32_MAX
/* How often whoever is patient asks for a lock, and how many milliseconds he waits each time. */
#define LOCK_TRIES	50
#define LOCK_PAUSE	1

/* Which tables a database writes to. */
typedef struct RingPlace
{
	pg_atomic_uint32 database;	/* 0: not taken */
	pg_atomic_uint32 tables[MT_TABLE_KINDS];	/* NOT_CHOSEN: the first */
} RingPlace;

static RingPlace *places = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(sizeof(RingPlace) * MT_DATABASES_MAX);
}

static void
start_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	places = ShmemInitStruct("mindtickle rings", sizeof(RingPlace) * MT_DATABASES_MAX, &found);
	for (int i = 0; i < MT_DATABASES_MAX && !found; i++)
	{
		pg_atomic_init_u32(&places[i].database, InvalidOid);
		for (int kind = 0; kind < MT_TABLE_KINDS; kind++)
			pg_atomic_init_u32(&places[i].tables[kind], NOT_CHOSEN);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_ring_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* The place of this database, taken where there is none yet; NULL without shared memory or where all are taken. */
static RingPlace *
my_place(void)
{
	static RingPlace *place = NULL;

	for (int i = 0; place == NULL && places != NULL && i < MT_DATABASES_MAX; i++)
		if (pg_atomic_read_u32(&places[i].database) == MyDatabaseId)
			place = &places[i];
	for (int i = 0; place == NULL && places != NULL && i < MT_DATABASES_MAX; i++)
	{
		uint32		taken_by = InvalidOid;

		if (pg_atomic_compare_exchange_u32(&places[i].database, &taken_by, MyDatabaseId) || taken_by == MyDatabaseId)
			place = &places[i];
	}
	return place;
}

/*
 * Gives back the place of a database that is gone or has no workers any more. A process of it that still writes follows whoever comes next, which
 * is no more than another habit.
 */
void
mt_forget_tables(Oid database)
{
	for (int i = 0; places != NULL && i < MT_DATABASES_MAX; i++)
	{
		uint32		taken_by = database;

		(void) pg_atomic_compare_exchange_u32(&places[i].database, &taken_by, InvalidOid);
	}
}

/*
 * Has this database write to another table of a kind: transactions that have not written to one yet. False where there is no place to note it.
 */
bool
mt_use_table(MtTableKind kind, int table)
{
	RingPlace  *place = my_place();

	if (place != NULL)
		pg_atomic_write_u32(&place->tables[kind], (uint32) table);
	return place != NULL;
}

/*
 * Which table of a kind is written to.
 */
int
mt_table_in_use(MtTableKind kind)
{
	return mt_table_chosen(kind) ? (int) pg_atomic_read_u32(&my_place()->tables[kind]) : 0;
}

/*
 * False while nobody has told since the server started which table of a kind is written to.
 */
bool
mt_table_chosen(MtTableKind kind)
{
	RingPlace  *place = my_place();

	return place != NULL && pg_atomic_read_u32(&place->tables[kind]) != NOT_CHOSEN;
}

/*
 * The same for this transaction, from its first call to its end. Gives the transaction an xid.
 */
int
mt_table_of_transaction(MtTableKind kind)
{
	static FullTransactionId transactions[MT_TABLE_KINDS];
	static int	tables[MT_TABLE_KINDS];
	FullTransactionId transaction = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(transaction, transactions[kind]))
	{
		tables[kind] = mt_table_in_use(kind);
		transactions[kind] = transaction;
	}
	return tables[kind];
}

/*
 * Size of a table in blocks.
 */
BlockNumber
mt_blocks_of(MtTenantTable *table)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);

	table_close(relation, AccessShareLock);
	return blocks;
}

/*
 * The same with what is kept out of line.
 */
BlockNumber
mt_all_blocks_of(MtTenantTable *table)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);

	if (OidIsValid(relation->rd_rel->reltoastrelid))
	{
		Relation	toast = table_open(relation->rd_rel->reltoastrelid, AccessShareLock);

		blocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
	}
	table_close(relation, AccessShareLock);
	return blocks;
}

/*
 * Goes over to the next empty table of a ring where the one in use has limit blocks, with what is kept out of line. What was done, in words, or NULL.
 */
char *
mt_change_grown_table(MtTableKind kind, MtTenantTable *tables, int count, BlockNumber limit)
{
	int			in_use = mt_table_in_use(kind);

	if (mt_all_blocks_of(&tables[in_use]) < limit)
		return NULL;
	for (int i = 1; i < count; i++)
	{
		int			next = (in_use + i) % count;

		if (mt_blocks_of(&tables[next]) > 0)
			continue;
		return mt_use_table(kind, next) ? psprintf("rows go to %s", tables[next].table.name) : NULL;
	}
	return NULL;
}

/* The TOAST table of a table that is locked. */
static Oid
toast_table_of(Oid oid)
{
	Relation	relation = table_open(oid, NoLock);
	Oid			toast = relation->rd_rel->reltoastrelid;

	table_close(relation, NoLock);
	return toast;
}

/*
 * Takes a lock if nobody else has one that is in the way, and keeps it to the end of the transaction. An exclusive one is for mt_truncate_table: it
 * includes the table's TOAST table, which TRUNCATE would wait for, while all others would wait for the table.
 */
bool
mt_lock_table_at_once(MtTenantTable *table, LOCKMODE mode)
{
	Oid			oid = mt_relation_oid(&table->table);
	Oid			toast;

	if (!ConditionalLockRelationOid(oid, mode))
		return false;
	if (mode != AccessExclusiveLock)
		return true;
	toast = toast_table_of(oid);
	if (!OidIsValid(toast) || ConditionalLockRelationOid(toast, mode))
		return true;
	UnlockRelationOid(oid, mode);
	return false;
}

/*
 * Empties a table. Within mt_service_enter/leave or as the service role, with SPI connected.
 */
void
mt_truncate_table(MtTenantTable *table)
{
	char	   *statement = psprintf("TRUNCATE mindtickle.%s", table->table.name);

	if (SPI_execute(statement, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not empty %s", table->table.name);
}

/* mt_lock_table_at_once with an exclusive lock, again and again for a moment. */
static bool
lock_patiently(MtTenantTable *table)
{
	for (int i = 0; i < LOCK_TRIES; i++)
	{
		if (mt_lock_table_at_once(table, AccessExclusiveLock))
			return true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOCK_PAUSE, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * Takes the locks with which a table may be emptied that has rows, none of which is needed. False where there is nothing to do, a row is needed, or
 * somebody has a lock: for longer than a moment, if it is to be patient; then none is kept. While it looks at the rows, others may read them.
 */
bool
mt_lock_unneeded_table(MtTenantTable *table, MtRowsNeeded needed, void *argument, bool patient)
{
	Oid			oid = mt_relation_oid(&table->table);
	Relation	relation = table_open(oid, AccessShareLock);
	bool		keep = RelationGetNumberOfBlocks(relation) == 0 || needed(relation, argument);

	table_close(relation, AccessShareLock);
	if (keep || !mt_lock_table_at_once(table, ShareLock))
		return false;
	relation = table_open(oid, NoLock);
	keep = needed(relation, argument);
	table_close(relation, NoLock);
	if (!keep && (patient ? lock_patiently(table) : mt_lock_table_at_once(table, AccessExclusiveLock)))
		return true;
	UnlockRelationOid(oid, ShareLock);
	return false;
}

/*
 * Gives back the locks that mt_lock_unneeded_table has taken.
 */
void
mt_unlock_unneeded_table(MtTenantTable *table)
{
	Oid			oid = mt_relation_oid(&table->table);
	Oid			toast = toast_table_of(oid);

	if (OidIsValid(toast))
		UnlockRelationOid(toast, AccessExclusiveLock);
	UnlockRelationOid(oid, AccessExclusiveLock);
	UnlockRelationOid(oid, ShareLock);
}

/*
 * Empties a table if mt_lock_unneeded_table gets its locks. False where not. As mt_truncate_table.
 */
bool
mt_empty_table(MtTenantTable *table, MtRowsNeeded needed, void *argument, bool patient)
{
	if (!mt_lock_unneeded_table(table, needed, argument, patient))
		return false;
	mt_truncate_table(table);
	return true;
}
