/*
 * launcher.c
 *		The one process that is always there: starts the workers of each database and starts them again when they end.
 *
 * It is connected to no database, so it can read pg_database but not whether the extension is in one. It finds out by starting the publisher:
 * a worker that finds the extension attaches itself (shared_state.c), one that does not ends at once, and is tried again ever more rarely;
 * CREATE EXTENSION says when it is worth another try. Once the publisher is attached, the others follow.
 *
 * The HTTP gateway serves one database: the one that mindtickle.gateway_database names, else the only one that has the extension. Which that is
 * can be said once every database has been tried; then it stays, also when another one gets the extension. Processes of the gateway that a
 * changed setting makes superfluous end by themselves.
 *
 * The workers' code is in the library mindtickle_worker, so that no backend loads what they need. The launcher itself needs none of it, and
 * having no database it could not reach this library by SQL; hence it is here.
 */
#include "mindtickle.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "alert.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "ring.h"
#include "shared_state.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "tenant_cache.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* Milliseconds before a worker that had attached is started again, and the first and last pause of one that had not. */
#define RESTART_PAUSE		1000
#define FIRST_ABSENT_PAUSE	5000
#define LAST_ABSENT_PAUSE	600000

/* A worker as the launcher sees it. */
typedef struct LaunchedWorker
{
	BackgroundWorkerHandle *handle; /* NULL: none under way */
	uint64		attached_before;	/* the slot's counter when it was started */
	int			pause;			/* milliseconds */
	TimestampTz start_at;
} LaunchedWorker;

typedef struct LaunchedDatabase
{
	Oid			database;
	NameData	name;
	bool		present;		/* still in pg_database and wanted */
	LaunchedWorker workers[MT_WORKER_KINDS];
} LaunchedDatabase;

/* The kinds of which a database has one each, and the gateway, of which there are more. */
static const struct
{
	const char *name;
	const char *function;
}			worker_kinds[MT_WORKER_GATEWAY + 1] = {
	[MT_WORKER_PUBLISHER] = {"mindtickle publisher", "mt_publisher_main"},
	[MT_WORKER_AGGREGATOR] = {"mindtickle aggregator", "mt_aggregator_main"},
	[MT_WORKER_SYNC] = {"mindtickle sync", "mt_sync_main"},
	[MT_WORKER_GATEWAY] = {"mindtickle gateway", "mt_gateway_main"},
};

static LaunchedDatabase databases[MT_DATABASES_MAX];
static int	database_count = 0;
static bool slots_exhausted = false;

/* The database that the gateway serves, and whether it was told that there is none to choose. */
static Oid	served_database = InvalidOid;
static bool told_of_choice = false;

PGDLLEXPORT void mt_launcher_main(Datum argument);

/*
 * Registers the launcher with the postmaster. By _PG_init.
 */
void
mt_register_launcher(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "mindtickle", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "mt_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "mindtickle launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "mindtickle launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* True when mindtickle.databases is empty or names the database. */
static bool
database_wanted(const char *name)
{
	char	   *list = pstrdup(mt_setting_databases);
	List	   *names;
	ListCell   *cell;

	if (!SplitIdentifierString(list, ',', &names))
		return false;
	if (names == NIL)
		return true;
	foreach(cell, names)
		if (strcmp((const char *) lfirst(cell), name) == 0)
			return true;
	return false;
}

static LaunchedDatabase *
find_or_add_database(Oid database)
{
	for (int i = 0; i < database_count; i++)
		if (databases[i].database == database)
			return &databases[i];
	if (database_count == MT_DATABASES_MAX)
	{
		ereport(LOG,
				(errmsg("mindtickle runs workers in at most %d databases", MT_DATABASES_MAX),
				 errhint("Name the databases that need them in mindtickle.databases.")));
		return NULL;
	}
	memset(&databases[database_count], 0, sizeof(LaunchedDatabase));
	databases[database_count].database = database;
	return &databases[database_count++];
}

/* Reads pg_database into the list; a worker that was waiting for a long pause to end is tried at once. */
static void
list_databases(void)
{
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < database_count; i++)
		databases[i].present = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database row = (Form_pg_database) GETSTRUCT(tuple);
		LaunchedDatabase *entry;

		if (row->datistemplate || !row->datallowconn || !database_wanted(NameStr(row->datname)))
			continue;
		entry = find_or_add_database(row->oid);
		if (entry == NULL)
			break;
		entry->present = true;
		entry->name = row->datname;
		for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
			if (entry->workers[kind].pause > RESTART_PAUSE)
				entry->workers[kind].pause = entry->workers[kind].start_at = 0;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	mt_forget_alerts_of_dropped();
	CommitTransactionCommand();

	/* Forget those that are gone, whose workers ended with them, and those that are not wanted any more, whose workers end now. */
	for (int i = database_count - 1; i >= 0; i--)
		if (!databases[i].present)
		{
			(void) mt_send_workers_away(databases[i].database);
			mt_forget_database(databases[i].database);
			mt_forget_tables(databases[i].database);
			mt_forget_cache_counts(databases[i].database);
			databases[i] = databases[--database_count];
		}
}

static void
start_worker(LaunchedDatabase *entry, int kind)
{
	LaunchedWorker *worker = &entry->workers[kind];
	BackgroundWorker registration = {0};
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
	bool		started;

	registration.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(registration.bgw_library_name, "mindtickle_worker", sizeof(registration.bgw_library_name));
	strlcpy(registration.bgw_function_name, worker_kinds[Min(kind, MT_WORKER_GATEWAY)].function, sizeof(registration.bgw_function_name));
	strlcpy(registration.bgw_name, worker_kinds[Min(kind, MT_WORKER_GATEWAY)].name, sizeof(registration.bgw_name));
	strlcpy(registration.bgw_type, worker_kinds[Min(kind, MT_WORKER_GATEWAY)].name, sizeof(registration.bgw_type));
	registration.bgw_main_arg = ObjectIdGetDatum(entry->database);
	strlcpy(registration.bgw_extra, mt_worker_kind_name(kind), sizeof(registration.bgw_extra));
	registration.bgw_notify_pid = MyProcPid;

	started = RegisterDynamicBackgroundWorker(&registration, &worker->handle);
	MemoryContextSwitchTo(previous);
	if (!started)
	{
		worker->handle = NULL;
		worker->start_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FIRST_ABSENT_PAUSE);
		if (!slots_exhausted)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("mindtickle could not start its workers: no background worker slot is free"),
					 errhint("Raise max_worker_processes: mindtickle needs one, five more for each database that has it, and mindtickle.gateway_workers.")));
	}
	slots_exhausted = !started;
}

/*
 * Looks at one worker: notices that it has ended, and starts it when its time has come. Returns the milliseconds until it wants to be looked
 * at again, -1 when an event will tell.
 */
static long
tend_worker(LaunchedDatabase *entry, int kind, const MtWorkerView *view)
{
	LaunchedWorker *worker = &entry->workers[kind];
	TimestampTz now = GetCurrentTimestamp();
	pid_t		pid;

	if (worker->handle != NULL)
	{
		if (GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			return -1;
		pfree(worker->handle);
		worker->handle = NULL;
		if (view->attached != worker->attached_before)
			worker->pause = RESTART_PAUSE;
		else
			worker->pause = Min(Max(worker->pause * 2, FIRST_ABSENT_PAUSE), LAST_ABSENT_PAUSE);
		worker->start_at = TimestampTzPlusMilliseconds(now, worker->pause);
	}
	/* One that an earlier launcher started needs no other. */
	if (view->pid != 0)
		return -1;
	if (worker->start_at > now)
		return TimestampDifferenceMilliseconds(now, worker->start_at) + 1;
	worker->attached_before = view->attached;
	start_worker(entry, kind);
	return worker->handle != NULL ? -1 : FIRST_ABSENT_PAUSE;
}

/* The sooner of two looks, each -1 for never. */
static long
sooner(long left, long right)
{
	if (left < 0 || right < 0)
		return Max(left, right);
	return Min(left, right);
}

/* Chooses the database that the gateway serves; NULL where there is none, or it cannot be told yet. */
static LaunchedDatabase *
find_served_database(void)
{
	LaunchedDatabase *served = NULL;
	int			candidates = 0;

	for (int i = 0; i < database_count; i++)
	{
		LaunchedDatabase *entry = &databases[i];
		const LaunchedWorker *publisher = &entry->workers[MT_WORKER_PUBLISHER];
		MtWorkerView view;
		bool		attached = mt_worker_view(entry->database, MT_WORKER_PUBLISHER, &view) && view.pid != 0;

		if (mt_setting_gateway_database[0] != '\0')
		{
			if (attached && strcmp(NameStr(entry->name), mt_setting_gateway_database) == 0)
				return entry;
			continue;
		}
		/* One whose publisher has just ended has the extension nevertheless. */
		if (entry->database == served_database && publisher->pause <= RESTART_PAUSE)
			return attached ? entry : NULL;
		if (publisher->handle != NULL && !attached)
			return NULL;
		if (attached)
		{
			served = entry;
			candidates++;
		}
	}
	if (candidates > 1 && !told_of_choice)
		ereport(LOG,
				(errmsg("the HTTP gateway of mindtickle does not start: %d databases have the extension", candidates),
				 errhint("Name the one that it serves in mindtickle.gateway_database, or set mindtickle.gateway_port to 0.")));
	told_of_choice = candidates > 1;
	return candidates == 1 ? served : NULL;
}

/* Looks at the gateway's processes; returns the milliseconds until the next look. */
static long
tend_gateway(void)
{
	LaunchedDatabase *served;
	long		timeout = -1;

	if (mt_setting_gateway_port == 0)
		return -1;
	served = find_served_database();
	if (served == NULL || mt_database_barred(served->database))
		return -1;
	served_database = served->database;
	for (int i = 0; i < mt_setting_gateway_workers; i++)
	{
		MtWorkerView view;

		if (mt_worker_view(served->database, MT_WORKER_GATEWAY + i, &view))
			timeout = sooner(timeout, tend_worker(served, MT_WORKER_GATEWAY + i, &view));
	}
	return timeout;
}

/* Looks at all workers of all databases; returns the milliseconds until the next look. */
static long
tend_workers(void)
{
	long		timeout = -1;

	for (int i = 0; i < database_count; i++)
	{
		bool		extension_found = false;

		if (mt_database_barred(databases[i].database))
			continue;
		for (int kind = 0; kind < MT_WORKER_GATEWAY; kind++)
		{
			MtWorkerView view;

			if (!mt_worker_view(databases[i].database, kind, &view))
				break;
			if (kind == MT_WORKER_PUBLISHER)
				extension_found = view.pid != 0;
			else if (!extension_found)
				break;
			timeout = sooner(timeout, tend_worker(&databases[i], kind, &view));
		}
	}
	return sooner(timeout, tend_gateway());
}

/*
 * Main function of the launcher.
 */
void
mt_launcher_main(Datum argument)
{
	uint64		seen_generation = 0;
	bool		first = true;

	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	mt_launcher_attach();
	pgstat_report_activity(STATE_IDLE, "starts and watches the workers of each database");

	for (;;)
	{
		uint64		generation = mt_wake_generation();
		long		timeout;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			first = true;
		}
		if (first || generation != seen_generation)
			list_databases();
		first = false;
		seen_generation = generation;

		timeout = tend_workers();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0), timeout, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
