/*
 * publisher.c
 *		The publisher: numbers the changes that transactions have left in the outbox, stores alerts, and notifies those who listen.
 *
 * Started by the launcher, one in each database. A commit that leaves changes marks its tenant and sets this worker's latch. The publisher then
 * publishes one batch of each marked tenant in turn, until none has a full batch left: a tenant with much delays the others by a batch, not by
 * all it has. Each batch is a transaction of its own. Once a minute all tenants are visited, in case a mark was lost with a process; once an
 * hour each is trimmed to its retention.
 *
 * A refused attempt to reach a tenant sets the latch too. Alerts are stored at once, but in a flood only every second, when they have been
 * added up, and once more before the process ends.
 *
 * Its commits wait for the disk: a number that somebody has seen must not be given to another event after a crash.
 */
#include "process.h"

#include "clock.h"
#include "fmgr.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "statements.h"
#include "storage/latch.h"
#include "tenant.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

PGDLLEXPORT void mt_publisher_main(Datum argument);

/* Changes published in one transaction. */
#define BATCH_ROWS		1000
#define SWEEP_PAUSE		MT_MINUTE
#define TRIM_PAUSE		MT_HOUR
#define ALERT_PAUSE		MT_SECOND
/* How long a tenant rests after a failure, at first and at most. */
#define FIRST_PAUSE		MT_SECOND
#define LAST_PAUSE		MT_MINUTE

/* A tenant that has been seen to have something to publish or to trim. */
typedef struct Outlet
{
	char		tenant_id[MT_TENANT_ID_SIZE];	/* the key of the hash table */
	bool		listed;			/* by the last sweep, or marked since */
	bool		queued;
	dlist_node	node;			/* in the queue */
	int			failures;		/* in a row */
	int64		not_before;
	int64		trim_at;
} Outlet;

typedef struct OutletWork
{
	Outlet	   *outlet;
	int			published;
} OutletWork;

static HTAB *outlets;
static dlist_head queue = DLIST_STATIC_INIT(queue);
static MemoryContext turn_context;
static int	last_alerts;

/* Queues the tenant, as one that may have something to publish. */
static void
enqueue(const char *tenant_id)
{
	Outlet	   *outlet;
	bool		found;

	if (strlen(tenant_id) >= MT_TENANT_ID_SIZE)
		return;
	outlet = hash_search(outlets, tenant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) outlet + MT_TENANT_ID_SIZE, 0, sizeof(Outlet) - MT_TENANT_ID_SIZE);
		/* Not all at once an hour after the start. */
		outlet->trim_at = mt_now() + mt_jitter(TRIM_PAUSE) - TRIM_PAUSE / 2;
	}
	outlet->listed = true;
	if (!outlet->queued)
		dlist_push_tail(&queue, &outlet->node);
	outlet->queued = true;
}

static void
take_work(void *argument)
{
	char	  **names;
	int			count = mt_sql_take_dirty_tenants(turn_context, &names);

	for (int i = 0; i < count; i++)
		enqueue(names[i]);
}

static void
alert_work(void *argument)
{
	int		   *recorded = argument;

	*recorded = mt_sql_record_alerts();
	if (*recorded > 0)
	{
		mt_sql_worker_report("storing alerts", -1);
		mt_sql_worker_report(NULL, *recorded);
	}
}

static void
see_tenant(const MtTenantRow *row, void *argument)
{
	enqueue(row->tenant_id);
}

static void
sweep_work(void *argument)
{
	mt_sql_overview(see_tenant, NULL);
}

/* Shows in mt_stat_worker what is being done, and for whom. */
static void
report_step(const char *what, const Outlet *outlet)
{
	char		step[100];

	snprintf(step, sizeof(step), "%s %s", what, outlet->tenant_id);
	mt_sql_worker_report(step, -1);
}

static void
publish_work(void *argument)
{
	OutletWork *work = argument;

	report_step("publishing for", work->outlet);
	mt_sql_enter_tenant(work->outlet->tenant_id);
	work->published = mt_sql_publish(work->outlet->tenant_id, BATCH_ROWS);
	mt_sql_worker_report(NULL, work->published);
}

static void
trim_work(void *argument)
{
	OutletWork *work = argument;

	report_step("removing old rows of", work->outlet);
	mt_sql_enter_tenant(work->outlet->tenant_id);
	mt_sql_trim_tenant(work->outlet->tenant_id);
	mt_sql_worker_report(NULL, 0);
}

/* Runs a transaction that concerns no tenant in particular. False, and logged once, when it failed. */
static bool
general_work(MtWork work, void *argument, bool *failing)
{
	MtFailure	failure;

	if (mt_in_transaction(work, argument, &failure))
	{
		*failing = false;
		return true;
	}
	mt_worker_judge(&failure);
	if (!*failing)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("mindtickle publisher could not look for work: %s", failure.text),
				 errdetail("It tries again. Repetitions are not logged.")));
	*failing = true;
	return false;
}

/* Runs a transaction of a tenant. False when it failed: then the tenant rests for a while, and the first time is logged. */
static bool
outlet_work(MtWork work, OutletWork *argument)
{
	Outlet	   *outlet = argument->outlet;
	MtFailure	failure;

	if (mt_in_transaction(work, argument, &failure))
	{
		if (outlet->failures > 0)
			ereport(LOG, (errmsg("publishing for tenant \"%s\" works again", outlet->tenant_id)));
		outlet->failures = 0;
		return true;
	}
	if (failure.sqlstate == ERRCODE_UNDEFINED_SCHEMA || failure.sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	outlet->not_before = mt_now() + mt_jitter(Min(FIRST_PAUSE << Min(outlet->failures, 10), LAST_PAUSE));
	if (outlet->failures++ == 0)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("publishing for tenant \"%s\" failed: %s", outlet->tenant_id, failure.text),
				 errdetail("It is tried again. Repetitions are not logged.")));
	return false;
}

/* Queues every tenant, and forgets those that do not exist any more. */
static void
sweep(bool *failing)
{
	HASH_SEQ_STATUS status;
	Outlet	   *outlet;

	hash_seq_init(&status, outlets);
	while ((outlet = hash_seq_search(&status)) != NULL)
		outlet->listed = false;
	if (!general_work(sweep_work, NULL, failing))
		return;
	hash_seq_init(&status, outlets);
	while ((outlet = hash_seq_search(&status)) != NULL)
	{
		if (outlet->listed)
			continue;
		if (outlet->queued)
			dlist_delete(&outlet->node);
		hash_search(outlets, outlet->tenant_id, HASH_REMOVE, NULL);
	}
}

/* Gives the queued tenant a turn: one batch. True when it has more. */
static bool
serve(Outlet *outlet)
{
	OutletWork	work = {.outlet = outlet};
	int64		now = mt_now();

	if (!outlet_work(publish_work, &work))
		return true;
	if (work.published >= BATCH_ROWS)
		return true;
	if (outlet->trim_at <= now && outlet_work(trim_work, &work))
		outlet->trim_at = now + TRIM_PAUSE;
	return false;
}

/* Gives every queued tenant that does not rest one turn. Returns when the next one is due: MT_NEVER when the queue is empty. */
static int64
serve_queue(bool *worked)
{
	int64		next = MT_NEVER;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &queue)
	{
		Outlet	   *outlet = dlist_container(Outlet, node, iter.cur);

		mt_worker_service();
		if (outlet->not_before <= mt_now())
		{
			*worked = true;
			if (!serve(outlet))
			{
				dlist_delete(&outlet->node);
				outlet->queued = false;
				continue;
			}
		}
		next = Min(next, outlet->not_before);
	}
	return next;
}

/* Stores alerts when their time has come. Returns when it comes next: MT_NEVER when the latch will tell. */
static int64
serve_alerts(int64 *alerts_at, bool *failing)
{
	int			recorded = 0;

	if (*alerts_at > mt_now())
		return *alerts_at;
	if (general_work(alert_work, &recorded, failing) && recorded == 0)
		return MT_NEVER;
	*alerts_at = mt_now() + ALERT_PAUSE;
	return *alerts_at;
}

static void
start(Oid database)
{
	HASHCTL		control = {.keysize = MT_TENANT_ID_SIZE, .entrysize = sizeof(Outlet)};

	mt_worker_start(database, "publisher", "mindtickle publisher");
	MemoryContextSwitchTo(TopMemoryContext);
	outlets = hash_create("mindtickle outlets", 256, &control, HASH_ELEM | HASH_STRINGS);
	mt_worker_do_last(alert_work, &last_alerts);
	turn_context = AllocSetContextCreate(TopMemoryContext, "mindtickle publisher turn", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(turn_context);
}

/*
 * The publisher of a database.
 */
void
mt_publisher_main(Datum argument)
{
	int64		sweep_at = 0;
	int64		alerts_at = 0;
	bool		alerts_failing = false;
	bool		take_failing = false;
	bool		sweep_failing = false;

	start(DatumGetObjectId(argument));
	for (;;)
	{
		int64		next;
		bool		worked = false;

		MemoryContextReset(turn_context);
		mt_worker_service();
		/* Reset before looking: a mark that comes later sets it again. */
		ResetLatch(MyLatch);
		mt_worker_busy("publishing");
		next = general_work(take_work, NULL, &take_failing) ? MT_NEVER : mt_now() + FIRST_PAUSE;
		if (sweep_at <= mt_now())
		{
			sweep(&sweep_failing);
			sweep_at = mt_now() + (sweep_failing ? FIRST_PAUSE : SWEEP_PAUSE);
		}
		next = Min(Min(next, serve_queue(&worked)), sweep_at);
		next = Min(next, serve_alerts(&alerts_at, &alerts_failing));

		/* A lock wait may have taken a wake-up for its own, so one look finds nothing before a sleep. */
		if (worked)
			continue;
		mt_worker_idle("waiting: nothing to publish");
		next = Max(next - mt_now(), 0);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) (next / MT_MILLISECOND) + 1,
						 PG_WAIT_EXTENSION);
	}
}
