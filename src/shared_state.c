/*
 * shared_state.c
 *		Shared memory of mindtickle: for each database with workers, who they are and which tenants have unpublished events.
 *
 * One LWLock guards all of it; it is held for a few assignments and never while another lock is taken. A worker is known by pid and by the
 * number of its PGPROC, through which its latch is set; nothing that means something in one process only is kept here. A number that has
 * gone stale sets another process's latch, which is harmless.
 *
 * A transaction that leaves work notes it in local memory and passes it on once it has committed. What gets lost on the way (a crash, a
 * prepared transaction) is found by the workers' sweep, so marks are a hint and the tables the truth.
 *
 * Without shared_preload_libraries there is no shared memory and no worker; then all of this does nothing.
 */
#include "shared_state.h"

#include <signal.h>

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#if PG_VERSION_NUM >= 170000
#define MY_PROC_NUMBER	MyProcNumber
#else
#define MY_PROC_NUMBER	(MyProc->pgprocno)
#endif

/* How long a database command waits for our workers to leave, in milliseconds. */
#define LEAVE_TIMEOUT	5000

typedef struct WorkerSlot
{
	pid_t		pid;
	int			proc_number;
	uint64		attached;
} WorkerSlot;

typedef struct DatabaseSlot
{
	Oid			database;
	int			barred;			/* how many commands keep the workers out */
	WorkerSlot	workers[MT_WORKER_KINDS];
	bool		all_marked;
	int			mark_count;
	char		marks[MT_MARKS_MAX][MT_TENANT_MAX + 1];
} DatabaseSlot;

typedef struct SharedState
{
	LWLock	   *lock;
	int			launcher_proc_number;	/* -1: no launcher */
	uint64		wake_generation;	/* moves when the launcher must look at everything again */
	DatabaseSlot databases[MT_DATABASES_MAX];
} SharedState;

static SharedState *shared = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* What the current transaction passes on when it commits. */
static struct
{
	bool		registered;		/* the callback is in place */
	List	   *tenants;		/* of char *, in TopTransactionContext */
	bool		wake[MT_WORKER_KINDS];
	bool		wake_launcher;
} pending;

static const char *const worker_kind_names[MT_WORKER_KINDS] = {"publisher", "sync"};

PG_FUNCTION_INFO_V1(mt_worker_attach);
PG_FUNCTION_INFO_V1(mt_take_dirty_tenants);
PG_FUNCTION_INFO_V1(mt_wake_sync);
PG_FUNCTION_INFO_V1(mt_wake_launcher);

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
	RequestNamedLWLockTranche("mindtickle", 1);
}

static void
start_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("mindtickle", sizeof(SharedState), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(SharedState));
		shared->lock = &(GetNamedLWLockTranche("mindtickle"))->lock;
		shared->launcher_proc_number = -1;
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_shared_state(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* The slot of a database, taken into use where make is set; NULL when there is none (left). The lock is held by the caller. */
static DatabaseSlot *
find_database(Oid database, bool make)
{
	DatabaseSlot *unused = NULL;

	for (int i = 0; i < MT_DATABASES_MAX; i++)
	{
		DatabaseSlot *slot = &shared->databases[i];

		if (slot->database == database)
			return slot;
		if (unused == NULL && !OidIsValid(slot->database))
			unused = slot;
	}
	if (!make || unused == NULL)
		return NULL;
	memset(unused, 0, sizeof(DatabaseSlot));
	unused->database = database;
	unused->all_marked = true;
	return unused;
}

static void
set_latch_of(int proc_number)
{
	SetLatch(&ProcGlobal->allProcs[proc_number].procLatch);
}

static void
wake_launcher_locked(void)
{
	shared->wake_generation++;
	if (shared->launcher_proc_number >= 0)
		set_latch_of(shared->launcher_proc_number);
}

static void
detach_launcher(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (shared->launcher_proc_number == MY_PROC_NUMBER)
		shared->launcher_proc_number = -1;
	LWLockRelease(shared->lock);
}

/*
 * Makes this process the launcher that is woken, until it exits.
 */
void
mt_launcher_attach(void)
{
	before_shmem_exit(detach_launcher, (Datum) 0);
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher_proc_number = MY_PROC_NUMBER;
	LWLockRelease(shared->lock);
}

/*
 * Moves whenever the launcher was told to look again.
 */
uint64
mt_wake_generation(void)
{
	uint64		generation;

	LWLockAcquire(shared->lock, LW_SHARED);
	generation = shared->wake_generation;
	LWLockRelease(shared->lock);
	return generation;
}

/*
 * What is known of a worker. False where all slots are taken by other databases.
 */
bool
mt_worker_view(Oid database, MtWorkerKind kind, MtWorkerView *view)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database, true);
	if (slot != NULL)
	{
		view->pid = slot->workers[kind].pid;
		view->attached = slot->workers[kind].attached;
	}
	LWLockRelease(shared->lock);
	return slot != NULL;
}

/*
 * True while a command keeps the workers out of a database.
 */
bool
mt_database_barred(Oid database)
{
	DatabaseSlot *slot;
	bool		barred;

	LWLockAcquire(shared->lock, LW_SHARED);
	slot = find_database(database, false);
	barred = slot != NULL && slot->barred > 0;
	LWLockRelease(shared->lock);
	return barred;
}

/*
 * Gives back the slot of a database that is gone or not wanted, unless workers are still in it.
 */
void
mt_forget_database(Oid database)
{
	DatabaseSlot *slot;
	bool		in_use = false;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database, false);
	if (slot != NULL)
	{
		for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
			in_use |= slot->workers[kind].pid != 0;
		if (!in_use && slot->barred == 0)
			slot->database = InvalidOid;
	}
	LWLockRelease(shared->lock);
}

/*
 * Ends the workers of a database; true when none is left.
 */
bool
mt_send_workers_away(Oid database)
{
	DatabaseSlot *slot;
	bool		gone = true;

	LWLockAcquire(shared->lock, LW_SHARED);
	slot = find_database(database, false);
	for (int kind = 0; slot != NULL && kind < MT_WORKER_KINDS; kind++)
		if (slot->workers[kind].pid != 0)
		{
			gone = false;
			kill(slot->workers[kind].pid, SIGTERM);
		}
	LWLockRelease(shared->lock);
	return gone;
}

/*
 * Keeps workers out of a database and waits until those in it have left, at most 5 s; what then happens is the command's own affair.
 */
void
mt_bar_database(Oid database)
{
	DatabaseSlot *slot;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LEAVE_TIMEOUT);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database, true);
	if (slot != NULL)
		slot->barred++;
	LWLockRelease(shared->lock);

	while (!mt_send_workers_away(database) && GetCurrentTimestamp() < give_up)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10L, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Lets workers into the database again, if it is still there.
 */
void
mt_admit_database(Oid database)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(database, false);
	if (slot != NULL && slot->barred > 0)
		slot->barred--;
	wake_launcher_locked();
	LWLockRelease(shared->lock);
}

static void
detach_worker(int code, Datum kind)
{
	DatabaseSlot *slot;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(MyDatabaseId, false);
	if (slot != NULL && slot->workers[DatumGetInt32(kind)].pid == MyProcPid)
		slot->workers[DatumGetInt32(kind)].pid = 0;
	if (shared->launcher_proc_number >= 0)
		set_latch_of(shared->launcher_proc_number);
	LWLockRelease(shared->lock);
}

/*
 * mindtickle.worker_attach(kind) -> bool: this process is the database's worker of that kind until it exits. False where another one is.
 */
Datum
mt_worker_attach(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	DatabaseSlot *slot;
	bool		attached = false;
	int			kind;

	for (kind = 0; kind < MT_WORKER_KINDS; kind++)
		if (strcmp(name, worker_kind_names[kind]) == 0)
			break;
	if (kind == MT_WORKER_KINDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no worker of kind \"%s\"", name)));
	if (shared == NULL)
		PG_RETURN_BOOL(false);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(MyDatabaseId, true);
	if (slot != NULL && slot->barred == 0 && (slot->workers[kind].pid == 0 || slot->workers[kind].pid == MyProcPid))
	{
		attached = true;
		slot->workers[kind].pid = MyProcPid;
		slot->workers[kind].proc_number = MY_PROC_NUMBER;
		slot->workers[kind].attached++;
		if (shared->launcher_proc_number >= 0)
			set_latch_of(shared->launcher_proc_number);
	}
	LWLockRelease(shared->lock);
	if (attached)
		before_shmem_exit(detach_worker, Int32GetDatum(kind));
	PG_RETURN_BOOL(attached);
}

/* Marks one tenant; the lock is held by the caller. */
static void
mark_locked(DatabaseSlot *slot, const char *tenant)
{
	if (slot->all_marked)
		return;
	for (int i = 0; i < slot->mark_count; i++)
		if (strcmp(slot->marks[i], tenant) == 0)
			return;
	if (slot->mark_count == MT_MARKS_MAX)
	{
		slot->all_marked = true;
		return;
	}
	strlcpy(slot->marks[slot->mark_count++], tenant, MT_TENANT_MAX + 1);
}

static void
pass_on(void)
{
	DatabaseSlot *slot;
	ListCell   *cell;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_database(MyDatabaseId, true);
	if (slot != NULL)
	{
		foreach(cell, pending.tenants)
			mark_locked(slot, (const char *) lfirst(cell));
		for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
			if (pending.wake[kind] && slot->workers[kind].pid != 0)
				set_latch_of(slot->workers[kind].proc_number);
	}
	if (pending.wake_launcher)
		wake_launcher_locked();
	LWLockRelease(shared->lock);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT && (pending.tenants != NIL || pending.wake[MT_WORKER_SYNC] || pending.wake_launcher))
		pass_on();
	pending.tenants = NIL;
	memset(pending.wake, 0, sizeof(pending.wake));
	pending.wake_launcher = false;
}

/* True when there is somebody to pass work on to. */
static bool
watch_transaction_end(void)
{
	if (shared == NULL)
		return false;
	if (!pending.registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		pending.registered = true;
	}
	return true;
}

/*
 * Notes that the transaction has written an event for the tenant: at commit the publisher is told.
 */
void
mt_mark_tenant(const char *tenant)
{
	ListCell   *cell;
	MemoryContext previous;

	if (!watch_transaction_end())
		return;
	pending.wake[MT_WORKER_PUBLISHER] = true;
	foreach(cell, pending.tenants)
		if (strcmp((const char *) lfirst(cell), tenant) == 0)
			return;
	/* More than fit will be swept anyway. */
	if (list_length(pending.tenants) > MT_MARKS_MAX)
		return;
	previous = MemoryContextSwitchTo(TopTransactionContext);
	pending.tenants = lappend(pending.tenants, pstrdup(tenant));
	MemoryContextSwitchTo(previous);
}

/*
 * Wakes a worker of this database once the transaction has committed.
 */
void
mt_wake_worker_at_commit(MtWorkerKind kind)
{
	if (watch_transaction_end())
		pending.wake[kind] = true;
}

/*
 * Wakes a worker of this database at once, whatever becomes of the transaction.
 */
void
mt_wake_worker_now(MtWorkerKind kind)
{
	DatabaseSlot *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(shared->lock, LW_SHARED);
	slot = find_database(MyDatabaseId, false);
	if (slot != NULL && slot->workers[kind].pid != 0)
		set_latch_of(slot->workers[kind].proc_number);
	LWLockRelease(shared->lock);
}

/*
 * Makes the launcher look at all databases once the transaction has committed.
 */
void
mt_wake_launcher_at_commit(void)
{
	if (watch_transaction_end())
		pending.wake_launcher = true;
}

/*
 * mindtickle.wake_sync(): wakes the sync worker at commit.
 */
Datum
mt_wake_sync(PG_FUNCTION_ARGS)
{
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	PG_RETURN_VOID();
}

/*
 * mindtickle.wake_launcher(): makes the launcher look at all databases at commit, and both workers of this one at theirs.
 */
Datum
mt_wake_launcher(PG_FUNCTION_ARGS)
{
	mt_wake_launcher_at_commit();
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	mt_wake_worker_at_commit(MT_WORKER_PUBLISHER);
	PG_RETURN_VOID();
}

/*
 * mindtickle.take_dirty_tenants() -> setof text: the tenants marked since the last call. One row NULL: any tenant may have events.
 */
Datum
mt_take_dirty_tenants(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	  (*marks)[MT_TENANT_MAX + 1] = palloc(sizeof(shared->databases[0].marks));
	int			count = 0;
	bool		all = true;
	DatabaseSlot *slot;

	if (shared != NULL)
	{
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		slot = find_database(MyDatabaseId, true);
		if (slot != NULL)
		{
			all = slot->all_marked;
			count = slot->mark_count;
			memcpy(marks, slot->marks, sizeof(slot->marks));
			slot->all_marked = false;
			slot->mark_count = 0;
		}
		LWLockRelease(shared->lock);
	}

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < (all ? 1 : count); i++)
	{
		Datum		value = all ? (Datum) 0 : CStringGetTextDatum(marks[i]);

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &all);
	}
	return (Datum) 0;
}

void
mt_mark_readiness(const char *tenant)
{
}
