/*
 * counter.c
 *		The counter: counts the rows of a large tenant anew, or moves the figures of its users and courses, in a process of its own, so that the aggregator goes
 *		on folding all the others.
 *
 * Started by the aggregator, which has one at a time and takes it along when it ends: so whatever sends the workers of a database away, as DROP
 * DATABASE and DROP EXTENSION do, sends the counter away too. It does one transaction and ends. What it could not do is found by the aggregator, to
 * whom the tenant is still one to be folded.
 *
 * It has no slot in shared memory and shows in pg_stat_activity; that it has failed is told by the aggregator in mt_stat_worker.
 */
#include "counter.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "process.h"
#include "statements.h"
#include "storage/ipc.h"
#include "tenant.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define TITLE	"mindtickle counter"

PGDLLEXPORT void mt_counter_main(Datum argument);

/* What a counter is told, in bgw_extra. */
typedef struct CounterOrder
{
	char		tenant_id[MT_TENANT_ID_SIZE];
	MtCounterTask task;
	bool		again;			/* one before it has told already what was wrong */
} CounterOrder;

StaticAssertDecl(sizeof(CounterOrder) <= BGW_EXTRALEN, "what a counter is told must fit");

/* In the aggregator: the counter that it has started last; NULL: it has ended. */
static BackgroundWorkerHandle *counter = NULL;

/*
 * True while the counter that this process has started is at it. The latch is set when it ends.
 */
bool
mt_counter_running(void)
{
	pid_t		pid;

	if (counter == NULL)
		return false;
	if (GetBackgroundWorkerPid(counter, &pid) != BGWH_STOPPED)
		return true;
	pfree(counter);
	counter = NULL;
	return false;
}

static void
end_counter(int code, Datum argument)
{
	if (counter != NULL)
		TerminateBackgroundWorker(counter);
}

/*
 * Has a counter do something for a tenant of this database, again where that was in vain the last time. False where no slot for a background worker
 * is free. Only while none is running.
 */
bool
mt_counter_start(const char *tenant_id, MtCounterTask task, bool again)
{
	CounterOrder order = {.task = task, .again = again};
	static bool watched = false;
	BackgroundWorker registration = {0};
	MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
	bool		started;

	if (!watched)
		before_shmem_exit(end_counter, (Datum) 0);
	watched = true;
	registration.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(registration.bgw_library_name, "mindtickle_worker", sizeof(registration.bgw_library_name));
	strlcpy(registration.bgw_function_name, "mt_counter_main", sizeof(registration.bgw_function_name));
	strlcpy(registration.bgw_name, TITLE, sizeof(registration.bgw_name));
	strlcpy(registration.bgw_type, TITLE, sizeof(registration.bgw_type));
	registration.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
	strlcpy(order.tenant_id, tenant_id, sizeof(order.tenant_id));
	memcpy(registration.bgw_extra, &order, sizeof(order));
	registration.bgw_notify_pid = MyProcPid;
	started = RegisterDynamicBackgroundWorker(&registration, &counter);
	MemoryContextSwitchTo(previous);
	if (!started)
		counter = NULL;
	return started;
}

static void
counter_work(void *argument)
{
	const CounterOrder *order = argument;

	if (!mt_sql_tenant_exists(order->tenant_id))
		return;
	mt_sql_enter_tenant(order->tenant_id);
	if (order->task == MT_MOVE_DETAILS)
		mt_sql_move_readiness(order->tenant_id);
	else
		mt_sql_rebuild_readiness(order->tenant_id);
}

/*
 * The counter of a database, for the tenant in bgw_extra.
 */
void
mt_counter_main(Datum argument)
{
	CounterOrder order;
	MtFailure	failure;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	mt_worker_start(DatumGetObjectId(argument), NULL, TITLE);
	/* What is lost in a crash is done again. */
	SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_SESSION);
	mt_worker_busy(order.task == MT_MOVE_DETAILS ? "moving figures of a tenant" : "counting a tenant anew");
	if (!mt_try_transaction(counter_work, &order, &failure))
		ereport(order.again ? DEBUG1 : LOG,
				(errcode(failure.sqlstate),
				 order.task == MT_MOVE_DETAILS ?
				 errmsg("figures of users and courses of tenant \"%s\" could not be moved: %s", order.tenant_id, failure.text) :
				 errmsg("readiness of tenant \"%s\" could not be counted anew: %s", order.tenant_id, failure.text),
				 errdetail("It is tried again. Repetitions are logged at DEBUG1.")));
	proc_exit(0);
}
