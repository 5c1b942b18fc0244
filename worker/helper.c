/*
 * helper.c
 *		A helper: does one thing that takes long in a process of its own, so that the worker that has it done goes on with all else. For the aggregator
 *		it counts the rows of a large tenant anew, or moves the figures of its users and courses; for the publisher it empties a large table of events.
 *
 * A worker has one at a time and takes it along when it ends: so whatever sends the workers of a database away, as DROP DATABASE and DROP EXTENSION
 * do, sends the helper away too. It does one transaction and ends. What it could not do is found by the worker, to whom it is still to be done.
 *
 * It has no slot in shared memory and shows in pg_stat_activity; that it has failed again is told by the worker in mt_stat_worker.
 */
#include "helper.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "process.h"
#include "statements.h"
#include "storage/ipc.h"
#include "tenant.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define TITLE	"mindtickle helper"

PGDLLEXPORT void mt_helper_main(Datum argument);

/* What a helper is told, in bgw_extra. */
typedef struct HelperOrder
{
	MtHelperTask task;
	char		object[MT_TENANT_ID_SIZE];	/* a tenant, or a table, whose names are shorter */
	bool		again;			/* one before it has told already what was wrong */
} HelperOrder;

StaticAssertDecl(sizeof(HelperOrder) <= BGW_EXTRALEN, "what a helper is told must fit");

/* In a worker: the helper that it has started last; NULL: it has ended. */
static BackgroundWorkerHandle *helper = NULL;

/*
 * True while the helper that this process has started is at it. The latch is set when it ends.
 */
bool
mt_helper_running(void)
{
	pid_t		pid;

	if (helper == NULL)
		return false;
	if (GetBackgroundWorkerPid(helper, &pid) != BGWH_STOPPED)
		return true;
	pfree(helper);
	helper = NULL;
	return false;
}

static void
end_helper(int code, Datum argument)
{
	if (helper != NULL)
		TerminateBackgroundWorker(helper);
}

/*
 * Has a helper do something in this database, again where that was in vain the last time. False where no slot for a background worker is free. Only
 * while none is running.
 */
bool
mt_helper_start(MtHelperTask task, const char *object, bool again)
{
	HelperOrder order = {.task = task, .again = again};
	static bool watched = false;
	BackgroundWorker registration = {0};
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
	bool		started;

	if (!watched)
		before_shmem_exit(end_helper, (Datum) 0);
	watched = true;
	registration.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(registration.bgw_library_name, "mindtickle_worker", sizeof(registration.bgw_library_name));
	strlcpy(registration.bgw_function_name, "mt_helper_main", sizeof(registration.bgw_function_name));
	strlcpy(registration.bgw_name, TITLE, sizeof(registration.bgw_name));
	strlcpy(registration.bgw_type, TITLE, sizeof(registration.bgw_type));
	registration.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	strlcpy(order.object, object, sizeof(order.object));
	memcpy(registration.bgw_extra, &order, sizeof(order));
	registration.bgw_notify_pid = MyProcPid;
	started = RegisterDynamicBackgroundWorker(&registration, &helper);
	MemoryContextSwitchTo(previous);
	if (!started)
		helper = NULL;
	return started;
}

static void
helper_work(void *argument)
{
	const HelperOrder *order = argument;

	if (order->task == MT_EMPTY_TABLE)
	{
		mt_sql_empty_event_table(order->object);
		return;
	}
	if (!mt_sql_tenant_exists(order->object))
		return;
	mt_sql_enter_tenant(order->object);
	if (order->task == MT_MOVE_DETAILS)
		mt_sql_move_readiness(order->object);
	else
		mt_sql_rebuild_readiness(order->object);
}

/* Logs that it has failed. */
static void
report_failure(const HelperOrder *order, const MtFailure *failure)
{
	static const char *const what[] = {
		[MT_COUNT_ANEW] = "readiness of tenant \"%s\" could not be counted anew: %s",
		[MT_MOVE_DETAILS] = "figures of users and courses of tenant \"%s\" could not be moved: %s",
		[MT_EMPTY_TABLE] = "table \"%s\" could not be emptied: %s"
	};

	ereport(order->again ? DEBUG1 : LOG,
			(errcode(failure->sqlstate),
			 errmsg_internal(what[order->task], order->object, failure->text),
			 errdetail("It is tried again. Repetitions are logged at DEBUG1.")));
}

/*
 * The helper of a worker, for what is in bgw_extra.
 */
void
mt_helper_main(Datum argument)
{
	static const char *const activities[] = {
		[MT_COUNT_ANEW] = "counting a tenant anew",
		[MT_MOVE_DETAILS] = "moving figures of a tenant",
		[MT_EMPTY_TABLE] = "emptying a table of events"
	};
	HelperOrder order;
	MtFailure	failure;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	mt_worker_start(DatumGetObjectId(argument), NULL, TITLE);
	/* What is lost in a crash is done again. */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_SESSION);
	/* Others wait for the table meanwhile, the publisher for 200 ms. */
	if (order.task == MT_EMPTY_TABLE)
		SetConfigOption("lock_timeout", "100ms", PGC_USERSET, PGC_S_SESSION);
	mt_worker_busy(activities[order.task]);
	if (!mt_try_transaction(helper_work, &order, &failure))
		report_failure(&order, &failure);
	proc_exit(0);
}
