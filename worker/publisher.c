/*
 * publisher.c
 *		The publisher: numbers the events that transactions have left in the outbox and notifies those who listen, keeps the tables of events small,
 *		and stores alerts.
 *
 * Started by the launcher, one in each database. A commit that leaves events marks its tenant, and sets this worker's latch if it sleeps. Each marked
 * tenant gets one batch, in a transaction of its own. A tenant that has more than that is behind. While others are active it gets further turns that
 * together take a small part of the time, however many events come from others meanwhile: they hardly notice, and it does not starve. Else its turns
 * are large ones. Once a minute all tenants are looked through, in case a mark was lost with a process, and those whose time has come are trimmed to
 * what they retain.
 *
 * Where a tenant's events come very fast, one by one, rounds are kept a little apart, so that each publishes several. A tenant whose events somebody
 * else has in hand is passed by for a moment.
 *
 * A refused attempt to reach a tenant leaves a mark too. Alerts are stored at once, but in a flood only every second, when they have been
 * added up, and once more before the process ends.
 *
 * What publishing means is in the extension's functions; this file only decides when which of them is called. A queue of notifications that fills,
 * because some session listens and does not read, is met by publishing more rarely, which makes fewer notifications of the same events, and in the
 * end by none.
 */
#include "process.h"

#include "clock.h"
#include "fmgr.h"
#include "helper.h"
#include "large_table.h"
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

/* The mark that is no tenant's, as mindtickle.take_dirty_tenants gives it. */
#define MARK_ALERTS		"#alerts"

/* Events published in one transaction; and at least for a tenant that is behind, while others are active. */
#define BATCH_ROWS		1000
#define SMALL_BATCH_ROWS	50
/*
 * Others are active so long after their last event; then those that are behind rest after a turn for so many times as long as it took, and so long at
 * most. Where the rounds of the others make the rest a longer one, the next turn may be longer, too.
 */
#define ACTIVE_TIME		(10 * MT_SECOND)
#define BEHIND_REST		16
#define BEHIND_PAUSE	(50 * MT_MILLISECOND)
/*
 * Gathering: the next round comes so much later, and publishes together what would have been published one by one. It is done where that spares this
 * process about so much of its time, which writers on the same processors then have. How much it spares is found out in periods: of a tenant's events
 * those that are more than the pauses in a period, times what a publication of few events takes when nothing disturbs it, which is the shortest time
 * of a period that has so many of them. Most take three times as long, or more, so that the share is a large one. More events than so many that come
 * at once come from one transaction, and would not have been published one by one.
 */
#define GATHER_PAUSE	MT_MILLISECOND
#define GATHER_SHARE	0.125
#define GATHER_PERIOD	(100 * MT_MILLISECOND)
#define GATHERED_MAX	32
#define FEW_EVENTS		2
#define FEW_TIMES		16
#define SWEEP_PAUSE		MT_MINUTE
#define TRIM_PAUSE		(10 * MT_MINUTE)
/* How long that waits for a round in which nothing is published. */
#define TRIM_DELAY		MT_SECOND
/* Steps of upkeep in a round, and how often it is looked for while events come. */
#define UPKEEP_STEPS	4
#define UPKEEP_PAUSE	MT_SECOND
/* After so many attempts to empty a large table in vain mt_stat_worker tells of it. */
#define LARGE_PATIENCE	3
#define ALERT_PAUSE		MT_SECOND
/* How long after its last work the publisher is shown as idle: to say so takes a transaction. */
#define SHOWN_PAUSE		(100 * MT_MILLISECOND)
/*
 * How often the queue of notifications is looked at; from how full on publishing slows, to how often at most; and from how full on it is silent. From
 * there alerts are, too (sql/alert.sql).
 */
#define USAGE_PAUSE		(100 * MT_MILLISECOND)
#define USAGE_SLOW		0.5
#define USAGE_SILENT	0.9
#define SLOWEST_PAUSE	MT_SECOND
/*
 * When a tenant is looked at again whose events somebody else has in hand, as one who erases a user; and when others wait with it for once, up to
 * lock_timeout: so it has its turn also where one follows the other, or it is seen that it waits.
 */
#define HELD_PAUSE		(20 * MT_MILLISECOND)
#define HELD_PATIENCE	(10 * MT_SECOND)
/* How long a tenant rests after a failure, at first and at most. */
#define FIRST_PAUSE		MT_SECOND
#define LAST_PAUSE		MT_MINUTE

/* A tenant. */
typedef struct Outlet
{
	char		tenant_id[MT_TENANT_ID_SIZE];	/* the key of the hash table */
	bool		listed;			/* by the last sweep, or marked since */
	bool		queued;
	bool		behind;			/* it had more than one batch: queued among those */
	dlist_node	node;			/* in the queue */
	int			failures;		/* in a row */
	int64		not_before;
	int64		held_since;		/* or since it was waited for; 0: nobody has its events in hand */
	int64		trim_at;
	int64		period;			/* the last one in which something was published, and how much */
	int			period_events;
} Outlet;

typedef struct OutletWork
{
	Outlet	   *outlet;
	int			max_rows;
	bool		wait;			/* for who has its events in hand */
	int			published;		/* or MT_PUBLISH_... */
	bool		more;
} OutletWork;

/* Something that concerns no tenant in particular. */
typedef struct Chore
{
	const char *what;
	int64		at;				/* when it is due */
	bool		failing;
} Chore;

/* A step of upkeep in words, NULL for none; file: that of the large table which it leaves to others, or 0. */
typedef struct UpkeepStep
{
	char	   *words;
	int64		file;
} UpkeepStep;

static HTAB *outlets;
static dlist_head marked = DLIST_STATIC_INIT(marked);
static dlist_head behind = DLIST_STATIC_INIT(behind);
static MemoryContext turn_context;
static int	last_alerts;
static bool shown_at_work = false;
static int64 show_idle_at = 0;
static bool alerts_wait = true;
/*
 * When the period began, the publications that gathering would have spared since, how many were of few events, and the shortest of these. What a
 * publication takes, from an earlier period.
 */
static int64 period_began = 0;
static int64 spared = 0;
static int	few = 0;
static int64 few_shortest = MT_NEVER;
static int64 publication_time = 0;
static bool published_now = false;
static bool gathering = false;

static Chore taking = {"look for events"};
static Chore showing = {"show that it is idle"};
static Chore sweeping = {"look through all tenants"};
static Chore upkeep = {"tend the tables of events", MT_NEVER};
static Chore emptying = {"empty a large table of events"};
static Chore alerts = {"store alerts"};
static Chore usage_check = {"look at the queue of notifications"};

static bool tend_events_too = false;
static int64 next_trim_at = MT_NEVER;
static int64 behind_not_before = 0;
static int64 behind_served_at = 0;
static int	behind_rows = SMALL_BATCH_ROWS;
static int64 others_active_until = 0;
static int64 slow_until = 0;
static double notification_usage = 0;
static bool silent = false;

/* The tenant's outlet, made where there is none. NULL for a name that is none. */
static Outlet *
find_outlet(const char *tenant_id)
{
	Outlet	   *outlet;
	bool		found;

	if (strlen(tenant_id) >= MT_TENANT_ID_SIZE)
		return NULL;
	outlet = hash_search(outlets, tenant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) outlet + MT_TENANT_ID_SIZE, 0, sizeof(Outlet) - MT_TENANT_ID_SIZE);
		/* Not all at once after the start. */
		outlet->trim_at = mt_now() + mt_jitter(TRIM_PAUSE) - TRIM_PAUSE / 2;
	}
	outlet->listed = true;
	next_trim_at = Min(next_trim_at, outlet->trim_at);
	return outlet;
}

static void
leave_queue(Outlet *outlet)
{
	if (outlet->queued)
		dlist_delete(&outlet->node);
	outlet->queued = outlet->behind = false;
}

/* Queues the tenant, as one that may have something to publish. */
static void
enqueue(const char *tenant_id)
{
	Outlet	   *outlet = find_outlet(tenant_id);

	if (outlet == NULL || outlet->queued)
		return;
	dlist_push_tail(&marked, &outlet->node);
	outlet->queued = true;
}

static void
take_work(void *argument)
{
	int		   *taken = argument;
	char	  **names;

	*taken = mt_sql_take_marks(turn_context, &names);
	for (int i = 0; i < *taken; i++)
	{
		if (names[i] == NULL)
			sweeping.at = 0;
		else if (strcmp(names[i], MARK_ALERTS) == 0)
			alerts_wait = true;
		else
			enqueue(names[i]);
	}
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
	(void) find_outlet(row->tenant_id);
}

static void
sweep_work(void *argument)
{
	char	  **names;
	int			count;

	mt_sql_overview(see_tenant, NULL);
	count = mt_sql_tenants_to_publish(turn_context, &names);
	for (int i = 0; i < count; i++)
		enqueue(names[i]);
}

/* Shows in mt_stat_worker what has been done, and for whom. That it has ended is shown when nothing follows. */
static void
report_step(const char *what, const Outlet *outlet, int items)
{
	char		step[100];

	snprintf(step, sizeof(step), "%s %s", what, outlet->tenant_id);
	mt_sql_worker_report(step, items);
	shown_at_work = true;
	show_idle_at = mt_now() + SHOWN_PAUSE;
}

static void
rest_work(void *argument)
{
	mt_sql_worker_report(NULL, -1);
	shown_at_work = false;
}

static void
publish_work(void *argument)
{
	OutletWork *work = argument;

	work->published = mt_sql_publish(work->outlet->tenant_id, work->max_rows, !silent, work->wait, &work->more);
	if (work->published > 0)
		report_step("publishing for", work->outlet, work->published);
}

static void
trim_work(void *argument)
{
	OutletWork *work = argument;

	mt_sql_enter_tenant(work->outlet->tenant_id);
	mt_sql_trim_tenant(work->outlet->tenant_id);
	report_step("removing old rows of", work->outlet, 0);
}

static void
upkeep_work(void *argument)
{
	UpkeepStep *step = argument;

	step->words = mt_sql_tend_events(tend_events_too, turn_context);
	if (step->words != NULL && strncmp(step->words, MT_TEND_LARGE, strlen(MT_TEND_LARGE)) == 0)
		step->file = mt_sql_file_of_event_table(step->words + strlen(MT_TEND_LARGE));
}

static void
usage_work(void *argument)
{
	notification_usage = mt_sql_notification_usage();
}

/* Runs work in a transaction. False when it failed, which is not told where it is likely to have waited for a table that our helper empties. */
static bool
run(MtWork work, void *argument, MtFailure *failure, bool *waited)
{
	bool		helped = mt_helper_running();

	if (mt_try_transaction(work, argument, failure))
		return true;
	*waited = helped && failure->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
	if (!*waited)
		mt_worker_report_failure(failure);
	return false;
}

/* Runs a chore's transaction. False, and logged once, when it failed: then it is due again after a while. */
static bool
do_chore(Chore *chore, MtWork work, void *argument)
{
	MtFailure	failure;
	bool		waited;

	if (run(work, argument, &failure, &waited))
	{
		if (chore->failing)
			ereport(LOG, (errmsg("mindtickle publisher: to %s works again", chore->what)));
		chore->failing = false;
		return true;
	}
	mt_worker_judge(&failure);
	if (!chore->failing && !waited)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("mindtickle publisher could not %s: %s", chore->what, failure.text),
				 errdetail("It tries again. Repetitions are not logged.")));
	chore->failing = chore->failing || !waited;
	chore->at = mt_now() + FIRST_PAUSE;
	return false;
}

/*
 * Runs a transaction of a tenant. False when it failed: then the tenant rests for a while, and the first time is logged, unless it has only waited for
 * our helper, which counts as MT_PUBLISH_HELD.
 */
static bool
outlet_work(MtWork work, OutletWork *argument)
{
	Outlet	   *outlet = argument->outlet;
	MtFailure	failure;
	bool		waited;

	if (run(work, argument, &failure, &waited))
	{
		if (argument->published == MT_PUBLISH_HELD)
			return true;
		if (outlet->failures > 0)
			ereport(LOG, (errmsg("publishing for tenant \"%s\" works again", outlet->tenant_id)));
		outlet->failures = 0;
		return true;
	}
	if (failure.sqlstate == ERRCODE_UNDEFINED_SCHEMA || failure.sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	if (waited && !argument->wait)
	{
		argument->published = MT_PUBLISH_HELD;
		return false;
	}
	outlet->not_before = mt_now() + mt_jitter(Min(FIRST_PAUSE << Min(outlet->failures, 10), LAST_PAUSE));
	if (outlet->failures++ == 0)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("publishing for tenant \"%s\" failed: %s", outlet->tenant_id, failure.text),
				 errdetail("It is tried again. Repetitions are not logged.")));
	return false;
}

/* Finds out which tenants there are and which have something to publish, and forgets those that do not exist any more. */
static void
sweep(void)
{
	HASH_SEQ_STATUS status;
	Outlet	   *outlet;

	if (sweeping.at > mt_now())
		return;
	next_trim_at = MT_NEVER;
	hash_seq_init(&status, outlets);
	while ((outlet = hash_seq_search(&status)) != NULL)
		outlet->listed = false;
	if (!do_chore(&sweeping, sweep_work, NULL))
		return;
	sweeping.at = mt_now() + SWEEP_PAUSE;
	hash_seq_init(&status, outlets);
	while ((outlet = hash_seq_search(&status)) != NULL)
	{
		if (outlet->listed)
			continue;
		leave_queue(outlet);
		hash_search(outlets, outlet->tenant_id, HASH_REMOVE, NULL);
	}
	tend_events_too = alerts_wait = true;
	upkeep.at = Min(upkeep.at, mt_now());
}

/* Notes a publication of a tenant that is not behind, and how long it took, for what is known of gathering. */
static void
note_publication(Outlet *outlet, int events, int64 took)
{
	int			counted = Min(events, GATHERED_MAX);

	published_now = true;
	if (outlet->period != period_began)
		outlet->period_events = 0;
	outlet->period = period_began;
	outlet->period_events += counted;
	spared += Max(Min(counted, outlet->period_events - (int) (GATHER_PERIOD / GATHER_PAUSE)), 0);
	if (events > FEW_EVENTS)
		return;
	few++;
	few_shortest = Min(few_shortest, took);
}

/* At the end of a round: lets events gather where that is worth it, unless nothing was published. */
static void
gather(void)
{
	int64		now = mt_now();

	if (!published_now)
		return;
	published_now = false;
	if (now - period_began >= GATHER_PERIOD)
	{
		if (few >= FEW_TIMES)
			publication_time = few_shortest;
		gathering = (double) (spared * publication_time) > (double) (now - period_began) * GATHER_SHARE;
		period_began = now;
		spared = few = 0;
		few_shortest = MT_NEVER;
	}
	if (gathering)
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) (GATHER_PAUSE / MT_MILLISECOND), PG_WAIT_EXTENSION);
}

/* Publishes a batch of the tenant, and takes it from its queue, or queues it among those that are behind. */
static void
serve(Outlet *outlet, int max_rows)
{
	OutletWork	work = {.outlet = outlet, .max_rows = max_rows};
	bool		was_behind = outlet->behind;
	int64		began = mt_now();
	bool		done;

	work.wait = outlet->held_since > 0 && began - outlet->held_since > HELD_PATIENCE;
	done = outlet_work(publish_work, &work);
	if (work.published == MT_PUBLISH_HELD || (work.wait && !done))
	{
		outlet->not_before = mt_now() + HELD_PAUSE;
		if (outlet->held_since == 0 || work.wait)
			outlet->held_since = mt_now();
		return;
	}
	outlet->held_since = 0;
	if (!done)
		return;
	if (work.published > 0)
		upkeep.at = Min(upkeep.at, mt_now() + UPKEEP_PAUSE);
	if (work.published > 0 && !was_behind && !work.more)
	{
		others_active_until = mt_now() + ACTIVE_TIME;
		note_publication(outlet, work.published, mt_now() - began);
	}
	leave_queue(outlet);
	if (work.published == MT_PUBLISH_NOBODY || !work.more)
		return;
	dlist_push_tail(&behind, &outlet->node);
	outlet->queued = outlet->behind = true;
}

/* Serves every marked tenant that does not rest. True when there was one; *next is when one that rests is due. */
static bool
serve_marked(int64 *next)
{
	bool		worked = false;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &marked)
	{
		Outlet	   *outlet = dlist_container(Outlet, node, iter.cur);

		mt_worker_service();
		if (outlet->not_before > mt_now())
		{
			*next = Min(*next, outlet->not_before);
			continue;
		}
		worked = true;
		serve(outlet, BATCH_ROWS);
	}
	return worked;
}

/*
 * After a turn of one that is behind, which began at a moment, while others are active: how long they rest, and how large the next turn is.
 */
static void
rest_behind(int64 began)
{
	int64		now = mt_now();
	int64		rest = (now - began) * BEHIND_REST;

	if (rest > began - behind_served_at)
		behind_rows = Max(behind_rows / 2, SMALL_BATCH_ROWS);
	else if (rest * 2 < began - behind_served_at)
		behind_rows = Min(behind_rows * 2, BATCH_ROWS);
	behind_served_at = now;
	behind_not_before = now + Min(rest, BEHIND_PAUSE);
}

/* Gives one of the tenants that are behind a turn. True when there was one; *next is when the next turn is due. */
static bool
serve_behind(int64 *next)
{
	int64		now = mt_now();
	bool		others_active = others_active_until > now;
	int64		due = MT_NEVER;
	dlist_iter	iter;

	dlist_foreach(iter, &behind)
	{
		Outlet	   *outlet = dlist_container(Outlet, node, iter.cur);
		int64		at = Max(outlet->not_before, behind_not_before);

		if (at > now)
		{
			due = Min(due, at);
			continue;
		}
		serve(outlet, others_active ? behind_rows : BATCH_ROWS);
		if (!others_active)
			behind_not_before = 0;
		else if (outlet->not_before <= now)
			rest_behind(now);
		*next = Min(*next, behind_not_before);
		return true;
	}
	*next = Min(*next, due);
	return false;
}

/* Trims one tenant whose time has come. True when there was one. */
static bool
trim_one(void)
{
	HASH_SEQ_STATUS status;
	Outlet	   *outlet;
	Outlet	   *due = NULL;
	OutletWork	work = {0};
	int64		now = mt_now();

	if (next_trim_at > now)
		return false;
	next_trim_at = MT_NEVER;
	hash_seq_init(&status, outlets);
	while ((outlet = hash_seq_search(&status)) != NULL)
	{
		if (due == NULL && outlet->trim_at <= now && outlet->not_before <= now)
		{
			due = outlet;
			due->trim_at = now + TRIM_PAUSE;
		}
		next_trim_at = Min(next_trim_at, Max(outlet->trim_at, outlet->not_before));
	}
	if (due == NULL)
		return false;
	work.outlet = due;
	if (!outlet_work(trim_work, &work) && work.published == MT_PUBLISH_HELD)
		due->trim_at = mt_now() + TRIM_DELAY;
	next_trim_at = Min(next_trim_at, due->trim_at);
	return true;
}

static void
empty_work(void *argument)
{
	mt_sql_empty_event_table(argument);
}

/* Has a helper empty a large table of events, ever more rarely where that is in vain; where none is to be had, the publisher does that itself. */
static void
empty_large(char *name, int64 file)
{
	int			tries = mt_large_table_try(file);
	MtFailure	failure;

	if (tries < 0)
		return;
	if (tries >= LARGE_PATIENCE)
	{
		snprintf(failure.text, sizeof(failure.text), "table \"%s\" must be emptied once more: that failed, or somebody was in the way", name);
		mt_worker_report_failure(&failure);
	}
	if (!mt_helper_start(MT_EMPTY_TABLE, name, tries > 0))
		(void) do_chore(&emptying, empty_work, name);
}

/* Takes steps of upkeep, until there is nothing to do or events have their turn. Not beside the helper: they would be in each other's way. */
static void
do_upkeep(void)
{
	if (upkeep.at <= mt_now() && mt_helper_running())
		upkeep.at = mt_now() + UPKEEP_PAUSE;
	for (int i = 0; i < UPKEEP_STEPS && upkeep.at <= mt_now(); i++)
	{
		UpkeepStep	step = {NULL, 0};

		if (!do_chore(&upkeep, upkeep_work, &step))
			return;
		if (step.file != 0)
		{
			empty_large(step.words + strlen(MT_TEND_LARGE), step.file);
			tend_events_too = false;
			upkeep.at = mt_now() + UPKEEP_PAUSE;
			return;
		}
		if (step.words != NULL)
			continue;
		emptying.failing = false;
		upkeep.at = MT_NEVER;
		tend_events_too = false;
	}
}

/* Stores alerts when there are some and their time has come, and looks for further ones until there are none. */
static void
store_alerts(void)
{
	int			recorded = 0;

	if (!alerts_wait || alerts.at > mt_now() || !do_chore(&alerts, alert_work, &recorded))
		return;
	alerts_wait = recorded > 0;
	alerts.at = recorded == 0 ? 0 : mt_now() + ALERT_PAUSE;
}

/* Looks how full the queue of notifications is, and slows down accordingly. */
static void
watch_notifications(void)
{
	if (usage_check.at > mt_now() || !do_chore(&usage_check, usage_work, NULL))
		return;
	usage_check.at = mt_now() + USAGE_PAUSE;
	if (silent != (notification_usage >= USAGE_SILENT))
	{
		silent = !silent;
		if (silent)
			ereport(LOG,
					(errmsg("mindtickle publisher sends no notifications while the server's queue of them is full"),
					 errhint("A session listens and has a transaction open, or does not read: see pg_stat_activity. Consumers go on by polling.")));
		else
			ereport(LOG, (errmsg("mindtickle publisher sends notifications again")));
	}
	if (notification_usage >= USAGE_SLOW)
		slow_until = mt_now() + (int64) (SLOWEST_PAUSE * Min((notification_usage - USAGE_SLOW) / (USAGE_SILENT - USAGE_SLOW), 1.0));
}

/* One round of publishing. True when something was done; *next is when there is something to do again. */
static bool
publish_round(int64 *next)
{
	bool		worked = false;

	if (slow_until > mt_now())
	{
		*next = Min(*next, slow_until);
		return false;
	}
	if (dlist_is_empty(&marked) && dlist_is_empty(&behind))
		return false;
	watch_notifications();
	worked = serve_marked(next);
	/* Not only when nobody else has anything: that may never be. */
	return serve_behind(next) || worked;
}

static void
start(Oid database)
{
	HASHCTL		control = {.keysize = MT_TENANT_ID_SIZE, .entrysize = sizeof(Outlet)};

	mt_worker_start(database, "publisher", "mindtickle publisher");
	/* A tenant that somebody has locked, as to drop it, must not delay the others; it has its turn later. */
	SetConfigOption("lock_timeout", "200ms", PGC_USERSET, PGC_S_SESSION);
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
	start(DatumGetObjectId(argument));
	for (;;)
	{
		int64		next = MT_NEVER;
		int			taken = 0;
		uint64		transactions;
		bool		worked;

		MemoryContextReset(turn_context);
		mt_worker_service();
		/* Reset before looking: a mark that comes later sets it again. */
		ResetLatch(MyLatch);
		mt_worker_busy("publishing");
		if (taking.at > mt_now())
			next = taking.at;
		else if (!do_chore(&taking, take_work, &taken))
		{
			/* The marks it had taken are gone with it. */
			sweeping.at = 0;
			next = taking.at;
		}
		transactions = mt_transaction_count();
		sweep();
		worked = publish_round(&next);
		store_alerts();
		/* Also where there is always something to publish. */
		if (!worked || next_trim_at <= mt_now() - TRIM_DELAY)
			worked = trim_one() || worked;
		do_upkeep();
		gather();

		if (!worked && shown_at_work && show_idle_at <= mt_now() && !do_chore(&showing, rest_work, NULL))
			show_idle_at = showing.at;

		/*
		 * The next mark sets the latch only when there were none; and a transaction may have waited for something, and taken a wake-up for its own. So
		 * one look finds nothing before a sleep, and nothing is done behind it.
		 */
		if (taken > 0 || mt_transaction_count() != transactions)
			continue;
		next = Min(Min(next, next_trim_at), Min(sweeping.at, upkeep.at));
		if (alerts.at > 0)
			next = Min(next, alerts.at);
		if (shown_at_work)
			next = Min(next, show_idle_at);
		if (next > mt_now() + BEHIND_PAUSE)
			mt_worker_idle("waiting: nothing to publish");
		next = Min(Max(next - mt_now(), 0), MT_HOUR);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) ((next + MT_MILLISECOND - 1) / MT_MILLISECOND),
						 PG_WAIT_EXTENSION);
	}
}
