/*
 * shared_state.c
 *		Shared memory of mindtickle: for each database with workers, who they are and whether they are wanted there.
 *
 * Called by the launcher, by the hook on database commands, and by each worker at its start. What the workers are told is in wake_up.c, what
 * they tell in worker_report.c; shared_layout.h has the layout.
 *
 * One LWLock guards all of it; it is held for a few assignments and never while another lock is taken. A worker is known by pid and by the
 * number of its PGPROC, through which its latch is set; nothing that means something in one process only is kept here. A number that has
 * gone stale sets another process's latch, which is harmless.
 *
 * Without shared_preload_libraries there is no shared memory and no worker; then all of this does nothing.
 */
#include "shared_layout.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "request_slot.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 170000
#define MY_PROC_NUMBER	MyProcNumber
#else
#define MY_PROC_NUMBER	(MyProc->pgprocno)
#endif

/* How long a database command waits for our workers to leave, in milliseconds. */
#define LEAVE_TIMEOUT	5000

SharedState *mt_shared = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static const char *const worker_kind_names[MT_WORKER_KINDS] = {
	[MT_WORKER_PUBLISHER] = "publisher",
	[MT_WORKER_AGGREGATOR] = "aggregator",
	[MT_WORKER_SYNC] = "sync",
	[MT_WORKER_GATEWAY] = "gateway 1", "gateway 2", "gateway 3", "gateway 4", "gateway 5", "gateway 6", "gateway 7", "gateway 8",
};

PG_FUNCTION_INFO_V1(mt_worker_attach);

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
	mt_shared = ShmemInitStruct("mindtickle", sizeof(SharedState), &found);
	if (!found)
	{
		memset(mt_shared, 0, sizeof(SharedState));
		mt_shared->lock = &(GetNamedLWLockTranche("mindtickle"))->lock;
		mt_shared->launcher_proc_number = -1;
		pg_atomic_init_u32(&mt_shared->publishing, 0);
		pg_atomic_init_u64(&mt_shared->published_up_to, 0);
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

/*
 * The name of a kind of worker.
 */
const char *
mt_worker_kind_name(MtWorkerKind kind)
{
	return worker_kind_names[kind];
}

/*
 * The slot of a database, taken into use where make is set; NULL when there is none (left). The lock is held by the caller.
 */
DatabaseSlot *
mt_find_database(Oid database, bool make)
{
	DatabaseSlot *unused = NULL;

	for (int i = 0; i < MT_DATABASES_MAX; i++)
	{
		DatabaseSlot *slot = &mt_shared->databases[i];

		if (slot->database == database)
			return slot;
		if (unused == NULL && !OidIsValid(slot->database))
			unused = slot;
	}
	if (!make || unused == NULL)
		return NULL;
	memset(unused, 0, sizeof(DatabaseSlot));
	unused->database = database;
	for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
		unused->marks[kind].all = true;
	return unused;
}

/*
 * The number by which mt_set_latch_of knows this process.
 */
int
mt_my_proc_number(void)
{
	return MY_PROC_NUMBER;
}

/*
 * Sets the latch of the process with this number.
 */
void
mt_set_latch_of(int proc_number)
{
	SetLatch(&ProcGlobal->allProcs[proc_number].procLatch);
}

/*
 * Makes the launcher look at everything again. The lock is held by the caller.
 */
void
mt_wake_launcher_locked(void)
{
	mt_shared->wake_generation++;
	if (mt_shared->launcher_proc_number >= 0)
		mt_set_latch_of(mt_shared->launcher_proc_number);
}

static void
detach_launcher(int code, Datum arg)
{
	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	if (mt_shared->launcher_proc_number == MY_PROC_NUMBER)
		mt_shared->launcher_proc_number = -1;
	LWLockRelease(mt_shared->lock);
}

/*
 * Makes this process the launcher that is woken, until it exits.
 */
void
mt_launcher_attach(void)
{
	before_shmem_exit(detach_launcher, (Datum) 0);
	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	mt_shared->launcher_proc_number = MY_PROC_NUMBER;
	LWLockRelease(mt_shared->lock);
}

/*
 * Moves whenever the launcher was told to look again.
 */
uint64
mt_wake_generation(void)
{
	uint64		generation;

	LWLockAcquire(mt_shared->lock, LW_SHARED);
	generation = mt_shared->wake_generation;
	LWLockRelease(mt_shared->lock);
	return generation;
}

/*
 * What is known of a worker. False where all slots are taken by other databases.
 */
bool
mt_worker_view(Oid database, MtWorkerKind kind, MtWorkerView *view)
{
	DatabaseSlot *slot;

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(database, true);
	if (slot != NULL)
	{
		view->pid = slot->workers[kind].pid;
		view->attached = slot->workers[kind].attached;
	}
	LWLockRelease(mt_shared->lock);
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

	LWLockAcquire(mt_shared->lock, LW_SHARED);
	slot = mt_find_database(database, false);
	barred = slot != NULL && slot->barred > 0;
	LWLockRelease(mt_shared->lock);
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

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(database, false);
	if (slot != NULL)
	{
		for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
			in_use |= slot->workers[kind].pid != 0;
		if (!in_use && slot->barred == 0)
			slot->database = InvalidOid;
	}
	LWLockRelease(mt_shared->lock);
}

/*
 * Ends the workers of a database; true when none is left.
 */
bool
mt_send_workers_away(Oid database)
{
	DatabaseSlot *slot;
	bool		gone = true;

	LWLockAcquire(mt_shared->lock, LW_SHARED);
	slot = mt_find_database(database, false);
	for (int kind = 0; slot != NULL && kind < MT_WORKER_KINDS; kind++)
		if (slot->workers[kind].pid != 0)
		{
			gone = false;
			kill(slot->workers[kind].pid, SIGTERM);
		}
	LWLockRelease(mt_shared->lock);
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

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(database, true);
	if (slot != NULL)
		slot->barred++;
	LWLockRelease(mt_shared->lock);

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

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(database, false);
	if (slot != NULL && slot->barred > 0)
		slot->barred--;
	mt_wake_launcher_locked();
	LWLockRelease(mt_shared->lock);
}

static void
detach_worker(int code, Datum kind)
{
	DatabaseSlot *slot;

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(MyDatabaseId, false);
	if (slot != NULL && slot->workers[DatumGetInt32(kind)].pid == MyProcPid)
		slot->workers[DatumGetInt32(kind)].pid = 0;
	if (mt_shared->launcher_proc_number >= 0)
		mt_set_latch_of(mt_shared->launcher_proc_number);
	LWLockRelease(mt_shared->lock);
	if (DatumGetInt32(kind) == MT_WORKER_SYNC)
		mt_requests_return(MyDatabaseId);
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
	TimestampTz now = GetCurrentTimestamp();
	int			kind;

	for (kind = 0; kind < MT_WORKER_KINDS; kind++)
		if (strcmp(name, worker_kind_names[kind]) == 0)
			break;
	if (kind == MT_WORKER_KINDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no worker of kind \"%s\"", name)));
	if (mt_shared == NULL)
		PG_RETURN_BOOL(false);

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(MyDatabaseId, true);
	if (slot != NULL && slot->barred == 0 && (slot->workers[kind].pid == 0 || slot->workers[kind].pid == MyProcPid))
	{
		attached = true;
		slot->workers[kind].pid = MyProcPid;
		slot->workers[kind].proc_number = MY_PROC_NUMBER;
		slot->workers[kind].attached++;
		slot->workers[kind].report.started_at = now;
		slot->workers[kind].report.working = slot->workers[kind].report.failing = false;
		if (mt_shared->launcher_proc_number >= 0)
			mt_set_latch_of(mt_shared->launcher_proc_number);
	}
	LWLockRelease(mt_shared->lock);
	if (attached)
		before_shmem_exit(detach_worker, Int32GetDatum(kind));
	PG_RETURN_BOOL(attached);
}
