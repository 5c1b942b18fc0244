/*
 * sync.c
 *		The sync worker: keeps the tenants' tables in step with MindTickle. Its entry point, its list of tenants, and its loop.
 *
 * Started by the launcher, one in each database. One loop serves all tenants. Each has a moment at which it wants to be looked at next (wake_at,
 * in a heap); the loop waits for the earliest of these, for the sockets (one descriptor, see http.c) and for its latch, which a backend sets at
 * commit when it has queued a job. What a tenant does when its moment comes is in tenant_pull.c; this file knows nothing of pulls.
 *
 * Two things are done for all tenants at once, because each costs a transaction: the overview, which finds out who has something to do, and the
 * reservation of budgets. When no pull is under way and none is due, no query is run at all.
 */
#include "tenant.h"

#include "errand.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "probe.h"
#include "push.h"
#include "statements.h"
#include "storage/latch.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PGDLLEXPORT void mt_sync_main(Datum argument);

/* Work of one turn, so that no tenant waits long for its moment. */
#define TENANTS_PER_TURN	32
#define ANSWERS_PER_TURN	32
#define TURN_TIME			(100 * MT_MILLISECOND)
/* How often the overview is read while pulls are under way, and when it failed. */
#define LOOK_PAUSE			(5 * MT_SECOND)
/* Overdue tenants that may begin with the worker, and how much faster than their intervals the others follow. */
#define OVERDUE_AT_ONCE		20
#define CATCH_UP_RATE		1.2
/* How long after a reservation that failed, or passed somebody over, the next one is tried. */
#define RESERVE_PAUSE		MT_SECOND
/* A lock wait may have taken the wake-up of a request for its own: after a turn with transactions it is looked for once more, this much later. */
#define REQUEST_PAUSE		(50 * MT_MILLISECOND)
/* The text in pg_stat_activity changes at most so often. */
#define SHOW_PAUSE			MT_SECOND

static HTAB *tenants;
static pairingheap *moments;
static dlist_head with_job = DLIST_STATIC_INIT(with_job);
static dlist_head with_probe = DLIST_STATIC_INIT(with_probe);
static int	job_count = 0;
static int	job_max;

/* Connections that a pull may need; so many fewer pulls are there at once. */
#define CONNECTIONS_PER_JOB 5

/* Dies with each turn of the loop. */
static MemoryContext turn_context;

static bool sync_enabled = true;
static bool look_wanted = true; /* somebody has set the latch, or something has changed */
static bool look_stale = false; /* a lock wait since the last overview may have taken a wake-up for its own */
static int64 look_at = MT_NEVER;
static bool look_failed = false;
static bool spread = false;		/* who was overdue at the start begins in turn */
static bool woken = true;		/* the latch was set */
static int64 requests_at = MT_NEVER;	/* when requests are looked for without it */
static uint64 transactions_seen = 0;	/* when they were looked for last */
static bool budget_wanted = false;	/* some tenant may wait for a reservation */
static int64 reserve_not_before = 0;
static bool reserve_failed = false;
static int64 show_at = 0;
static int	shown_jobs = -1;	/* -1: the text must be set anew */

/* A max-heap gives the greatest first, hence the reversal. */
static int
compare_moments(const pairingheap_node *a, const pairingheap_node *b, void *argument)
{
	int64		first = pairingheap_const_container(MtTenant, heap_node, a)->wake_at;
	int64		second = pairingheap_const_container(MtTenant, heap_node, b)->wake_at;

	return first < second ? 1 : first > second ? -1 : 0;
}

static void
unschedule(MtTenant *tenant)
{
	if (tenant->scheduled)
		pairingheap_remove(moments, &tenant->heap_node);
	tenant->scheduled = false;
	tenant->wake_at = MT_NEVER;
}

/*
 * The tenant wants to be looked at no later than at the given moment. Callbacks of libcurl call this: it allocates nothing.
 */
void
mt_sync_wake(MtTenant *tenant, int64 at)
{
	if (at == MT_NEVER || (tenant->scheduled && tenant->wake_at <= at))
		return;
	unschedule(tenant);
	tenant->wake_at = at;
	tenant->scheduled = true;
	pairingheap_add(moments, &tenant->heap_node);
}

/*
 * The tenant waits for a reservation of its budget, and is woken when it has one.
 */
void
mt_sync_want_budget(MtTenant *tenant)
{
	tenant->wants_budget = budget_wanted = true;
}

/*
 * The overview is read again in the next turn.
 */
void
mt_sync_look(void)
{
	look_wanted = true;
}

/*
 * May another pull begin? Each needs connections, and the process has so many descriptors.
 */
bool
mt_sync_room(void)
{
	return job_count < job_max;
}

/*
 * A tenant has a job in memory.
 */
void
mt_sync_job_begins(MtTenant *tenant)
{
	dlist_push_tail(&with_job, &tenant->job_node);
	job_count++;
	look_stale = true;
}

/*
 * A tenant has no job in memory any more.
 */
void
mt_sync_job_ends(MtTenant *tenant)
{
	dlist_delete(&tenant->job_node);
	job_count--;
	mt_pace_leave(tenant);
	tenant->wants_budget = false;
	mt_sync_wake(tenant, mt_now());
}

/*
 * A tenant has a probe.
 */
void
mt_sync_probe_begins(MtTenant *tenant)
{
	dlist_push_tail(&with_probe, &tenant->probe_node);
	look_stale = true;
}

/*
 * A tenant has no probe any more.
 */
void
mt_sync_probe_ends(MtTenant *tenant)
{
	dlist_delete(&tenant->probe_node);
	mt_sync_wake(tenant, mt_now());
}

/* The moment of the monotonic clock that corresponds to one of the calendar; long ago when there is none. */
static int64
to_monotonic(TimestampTz moment, TimestampTz wall, int64 now)
{
	return moment == 0 ? 0 : now + (moment - wall);
}

static void
see_tenant(const MtTenantRow *row, void *argument)
{
	int64		now = mt_now();
	TimestampTz wall = GetCurrentTimestamp();
	MtTenant   *tenant;
	bool		found;

	if (strlen(row->tenant_id) >= MT_TENANT_ID_SIZE)
		return;
	tenant = hash_search(tenants, row->tenant_id, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) tenant + MT_TENANT_ID_SIZE, 0, sizeof(MtTenant) - MT_TENANT_ID_SIZE);
		tenant->wake_at = MT_NEVER;
		tenant->reserved_until = row->budget_until;
	}
	tenant->listed = true;
	tenant->wanted = row->source_configured && !row->suspended;
	/* What could not be opened may be another matter now. */
	if (tenant->source_version != row->source_version || tenant->open_job_id != row->open_job_id)
		tenant->vain_until = tenant->vain_opens = 0;
	tenant->open_job_id = row->open_job_id;
	tenant->interval = row->interval;
	tenant->source_version = row->source_version;
	/* Who may have been queued before this worker, or push_users, was there. */
	if (row->push_users && !tenant->push_users)
		tenant->push_at = 0;
	tenant->push_users = row->push_users;
	tenant->backoff_until = Max(to_monotonic(row->backoff_until, wall, now), tenant->paused_until);
	if (!tenant->wanted)
		tenant->due_at = MT_NEVER;
	else if (row->open_job_id != 0)
		tenant->due_at = 0;
	else
		tenant->due_at = row->next_sync_at == 0 ? MT_NEVER : Max(to_monotonic(row->next_sync_at, wall, now), tenant->spread_until);
}

static void
look_work(void *argument)
{
	mt_sql_worker_report(job_count > 0 ? "pulling" : NULL, -1);
	mt_sql_overview(see_tenant, NULL);
}

/* Gives up the pulls of all tenants, or those that are not wanted any more; tenants that do not exist either are forgotten. */
static void
settle_tenants(bool all)
{
	HASH_SEQ_STATUS status;
	MtTenant   *tenant;

	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
	{
		if (tenant->job != NULL &&
			(all || !tenant->listed || !tenant->wanted || tenant->job->job_id != tenant->open_job_id || mt_job_outdated(tenant)))
			mt_job_release(tenant);
		if (all)
		{
				mt_errands_refuse(tenant, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "nothing is pulled while mindtickle.sync_enabled is off", NULL);
				mt_probe_end(tenant, "nothing is sent while mindtickle.sync_enabled is off");
		}
		if (tenant->listed)
		{
			if (tenant->job == NULL)
				unschedule(tenant);
			mt_sync_wake(tenant, tenant->job != NULL || tenant->probe != NULL || mt_errands_any(tenant) ? mt_now() : mt_pull_due(tenant));
			continue;
		}
		unschedule(tenant);
		mt_errands_refuse(tenant, ERRCODE_UNDEFINED_OBJECT, psprintf("tenant \"%s\" does not exist", tenant->tenant_id), NULL);
		mt_probe_end(tenant, "the tenant does not exist any more");
		mt_budget_free(&tenant->budget);
		mt_token_drop(tenant);
		if (tenant->hold_reason != NULL)
			pfree(tenant->hold_reason);
		hash_search(tenants, tenant->tenant_id, HASH_REMOVE, NULL);
	}
}

/*
 * After a start: those whose interval has passed while no worker ran begin one after the other, as often as their intervals and those of the others
 * would have it, and a little more, to catch up. A few may begin at once.
 */
static void
spread_overdue(void)
{
	HASH_SEQ_STATUS status;
	MtTenant   *tenant;
	int64		now = mt_now();
	double		per_second = 0;
	int			overdue = 0;

	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
	{
		if (!tenant->wanted)
			continue;
		per_second += (double) MT_SECOND / (double) Max(tenant->interval, MT_SECOND);
		overdue += tenant->open_job_id == 0 && tenant->due_at <= now;
	}
	if (overdue <= OVERDUE_AT_ONCE)
		return;
	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
	{
		if (!tenant->wanted || tenant->open_job_id != 0 || tenant->due_at > now)
			continue;
		tenant->spread_until = now + (int64) (pg_prng_double(&pg_global_prng_state) * MT_SECOND * overdue / (per_second * CATCH_UP_RATE));
		tenant->due_at = tenant->spread_until;
	}
}

/* Reads the overview: who is there, and what is due. */
static void
look(void)
{
	HASH_SEQ_STATUS status;
	MtTenant   *tenant;
	MtFailure	failure;

	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
		tenant->listed = false;
	look_wanted = look_stale = false;
	look_at = mt_now() + LOOK_PAUSE;
	if (mt_in_transaction(look_work, NULL, &failure))
	{
		look_failed = false;
		if (!spread)
			spread_overdue();
		spread = true;
		settle_tenants(false);
		return;
	}
	mt_worker_judge(&failure);
	look_stale = true;
	if (!look_failed)
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("mindtickle sync could not read the list of tenants: %s", failure.text),
				 errdetail("It tries again every 5 seconds. Repetitions are not logged.")));
	look_failed = true;
}

/* Requests as they are taken. */
typedef struct RequestsWork
{
	bool		look;
	char	  **pushing;		/* tenants with somebody to push; one NULL: any, in turn_context */
	int			pushing_count;
	List	   *rows;			/* of MtRequestRow, in turn_context */
} RequestsWork;

static void
keep_request(const MtRequestRow *row, void *argument)
{
	RequestsWork *work = argument;
	MemoryContext previous = MemoryContextSwitchTo(turn_context);
	MtRequestRow *copy = palloc(sizeof(MtRequestRow));

	*copy = *row;
	copy->tenant_id = pstrdup(row->tenant_id);
	copy->kind = pstrdup(row->kind);
	copy->subject = pstrdup(row->subject);
	work->rows = lappend(work->rows, copy);
	MemoryContextSwitchTo(previous);
}

static void
requests_work(void *argument)
{
	RequestsWork *work = argument;

	work->look = mt_sql_take_sync_look();
	work->pushing_count = mt_sql_take_push_marks(turn_context, &work->pushing);
	mt_sql_take_requests(keep_request, work);
}

/* Has the tenant's queue of pushes looked at. */
static void
look_for_pushes(MtTenant *tenant)
{
	if (tenant == NULL || !tenant->push_users)
		return;
	tenant->push_at = 0;
	mt_sync_wake(tenant, mt_now());
}

/* A commit may have changed what keeps tenants from pushing. */
static void
try_pushes_again(void)
{
	HASH_SEQ_STATUS status;
	MtTenant   *tenant;

	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
	{
		if (!tenant->push_unfit)
			continue;
		tenant->push_unfit = false;
		tenant->push_rests_until = 0;
		/* A pull under way has read settings and credential before. */
		if (tenant->job != NULL)
			mt_job_release(tenant);
	}
}

static void
look_for_all_pushes(void)
{
	HASH_SEQ_STATUS status;
	MtTenant   *tenant;

	hash_seq_init(&status, tenants);
	while ((tenant = hash_seq_search(&status)) != NULL)
		look_for_pushes(tenant);
}

/* A request that cannot be passed on. */
typedef struct RefusedRequest
{
	int64		ticket;
	MtRequestEnd end;
} RefusedRequest;

static void
refuse_work(void *argument)
{
	RefusedRequest *refused = argument;

	mt_sql_finish_request(refused->ticket, &refused->end);
}

static void
refuse_request(const MtRequestRow *row, int sqlstate, const char *message)
{
	RefusedRequest refused = {row->ticket, {sqlstate, message, NULL}};
	MtFailure	failure;

	if (!mt_in_transaction(refuse_work, &refused, &failure))
		ereport(LOG, (errcode(failure.sqlstate), errmsg("a request for tenant \"%s\" could not be answered: %s", row->tenant_id, failure.text)));
}

/* Hands a request to its tenant. */
static void
pass_on(MtRequestRow *row)
{
	MtTenant   *tenant = hash_search(tenants, row->tenant_id, HASH_FIND, NULL);

	/* It may be younger than the last overview. */
	if (tenant == NULL)
	{
		look();
		tenant = hash_search(tenants, row->tenant_id, HASH_FIND, NULL);
	}
	if (tenant == NULL)
		refuse_request(row, ERRCODE_UNDEFINED_OBJECT, psprintf("tenant \"%s\" does not exist", row->tenant_id));
	else if (strcmp(row->kind, "test") != 0)
		mt_errand_add(tenant, row);
	else if (tenant->probe != NULL)
		refuse_request(row, ERRCODE_OBJECT_IN_USE, "another test of the tenant's connection is under way");
	else
		mt_probe_begin(tenant, row->ticket, row->ends_at);
}

/* Takes what backends wait for, and finds out whether a commit has left something. */
static void
take_requests(void)
{
	RequestsWork work = {0};
	MtFailure	failure;
	ListCell   *cell;

	woken = false;
	requests_at = MT_NEVER;
	if (!mt_in_transaction(requests_work, &work, &failure))
	{
		mt_worker_judge(&failure);
		requests_at = mt_now() + MT_SECOND;
		return;
	}
	transactions_seen = mt_transaction_count();
	if (work.look)
	{
		look_wanted = true;
		try_pushes_again();
	}
	for (int i = 0; i < work.pushing_count; i++)
	{
		if (work.pushing[i] == NULL)
			look_for_all_pushes();
		else
			look_for_pushes(hash_search(tenants, work.pushing[i], HASH_FIND, NULL));
	}
	foreach(cell, work.rows)
		pass_on(lfirst(cell));
}

/* Notes that requests must be looked for once more if a transaction has been run since. */
static void
expect_requests(void)
{
	if (mt_transaction_count() != transactions_seen)
		requests_at = Min(requests_at, mt_now() + REQUEST_PAUSE);
}

/* The overview is due: asked for, or in time, or to make sure of nothing before a long sleep. */
static bool
look_due(int64 now)
{
	if (look_failed)
		return now >= look_at;
	return look_wanted || (job_count > 0 ? now >= look_at : look_stale);
}

/* The minutes as an int4[] in text; NULL when there are none. */
static char *
minutes_text(const int *minutes, int count)
{
	StringInfoData list;

	if (count == 0)
		return NULL;
	initStringInfo(&list);
	for (int i = 0; i < count; i++)
		appendStringInfo(&list, "%c%d", i == 0 ? '{' : ',', minutes[i]);
	appendStringInfoChar(&list, '}');
	return list.data;
}

/* Budgets as they are reserved. */
typedef struct ReserveWork
{
	List	   *wanting;		/* of MtTenant */
	MtReservation *reservations;	/* as many */
} ReserveWork;

static void
reserve_work(void *argument)
{
	ReserveWork *work = argument;
	TimestampTz wall = GetCurrentTimestamp();
	int64		now = mt_now();
	ListCell   *cell;

	foreach(cell, work->wanting)
	{
		MtTenant   *tenant = lfirst(cell);
		int64		ahead = Max(tenant->budget.next_at - now, 0) + tenant->budget.interval + MT_BUDGET_AHEAD;
		int			minutes[MT_BUDGET_MINUTES];
		int			count = mt_budget_recount(&tenant->budget, now, ahead, minutes);

		work->reservations[foreach_current_index(cell)] = (MtReservation) {
			.tenant = tenant->tenant_id,.until = wall + ahead,.minutes = minutes_text(minutes, count),
			.left = mt_budget_left(&tenant->budget, now)
		};
	}
	mt_sql_reserve_budget(work->reservations, list_length(work->wanting));
}

/*
 * Stores how far the budgets are used, for every tenant that waits for it and, while at it, for those that soon would. Only then may they send.
 */
static void
reserve_budgets(void)
{
	TimestampTz soon = GetCurrentTimestamp() + MT_BUDGET_AHEAD / 2;
	int64		now = mt_now();
	bool		wanted = false;
	List	   *wanting = NIL;
	ReserveWork work;
	MtFailure	failure;
	dlist_iter	iter;
	ListCell   *cell;

	/* There are many tenants and many turns. */
	if (!budget_wanted || now < reserve_not_before)
		return;
	dlist_foreach(iter, &with_job)
	{
		MtTenant   *tenant = dlist_container(MtTenant, job_node, iter.cur);

		wanted |= tenant->wants_budget;
		if (tenant->wants_budget || (tenant->backoff_until <= now && tenant->reserved_until < soon + tenant->budget.interval))
			wanting = lappend(wanting, tenant);
	}
	dlist_foreach(iter, &with_probe)
	{
		MtTenant   *tenant = dlist_container(MtTenant, probe_node, iter.cur);

		if (tenant->wants_budget && tenant->job == NULL)
			wanting = lappend(wanting, tenant);
		wanted |= tenant->wants_budget;
	}
	budget_wanted = wanted;
	if (!wanted)
		return;
	work = (ReserveWork) {wanting, palloc0(sizeof(MtReservation) * (Size) list_length(wanting))};
	if (!mt_in_transaction(reserve_work, &work, &failure))
	{
		reserve_not_before = now + RESERVE_PAUSE;
		if (!reserve_failed)
			ereport(LOG,
					(errcode(failure.sqlstate),
					 errmsg("mindtickle sync could not reserve budgets: %s", failure.text),
					 errdetail("Nothing is sent until it can. Repetitions are not logged.")));
		reserve_failed = true;
		mt_sync_look();
		return;
	}
	reserve_failed = budget_wanted = false;
	look_stale = true;
	foreach(cell, wanting)
	{
		MtTenant   *tenant = lfirst(cell);
		const MtReservation *reservation = &work.reservations[foreach_current_index(cell)];

		/* Who is passed over, as somebody holds his row, will want it again. */
		if (reservation->stored)
			tenant->reserved_until = reservation->until;
		tenant->wants_budget = false;
		mt_sync_wake(tenant, reservation->stored ? now : now + RESERVE_PAUSE);
	}
}

/* Takes over mindtickle.sync_enabled. */
static void
obey_settings(void)
{
	const char *setting = GetConfigOption("mindtickle.sync_enabled", true, false);
	bool		enabled = setting == NULL || strcmp(setting, "on") == 0;

	if (enabled == sync_enabled)
		return;
	sync_enabled = enabled;
	shown_jobs = -1;
	if (enabled)
		mt_sync_look();
	else
		settle_tenants(true);
}

/*
 * Gives each tenant whose moment has come its turn, up to a limit: who has another moment at once waits for the next round. Where the answers that wait
 * come first, nobody loses his place: who was sent away then would come back behind others.
 */
static void
serve_due(void)
{
	int64		begun = mt_now();

	for (int i = 0; i < TENANTS_PER_TURN && !pairingheap_is_empty(moments) && !mt_http_crowded() && mt_now() < begun + TURN_TIME; i++)
	{
		MtTenant   *tenant = pairingheap_container(MtTenant, heap_node, pairingheap_first(moments));

		if (tenant->wake_at > begun)
			return;
		unschedule(tenant);
		if (tenant->probe != NULL)
			mt_probe_step(tenant);
		mt_pull_step(tenant);
	}
}

/* Hands out the answers that are there, up to a limit. */
static void
serve_answers(void)
{
	for (int i = 0; i < ANSWERS_PER_TURN; i++)
	{
		MtHttpRequest *request = mt_http_next_finished();
		MtTenant   *tenant;

		if (request == NULL)
			return;
		tenant = mt_http_pool_owner(request->pool);
		if (mt_probe_owns(tenant, request))
			mt_probe_answer(tenant, request);
		else
			mt_pull_answer(tenant, request);
		mt_sync_wake(tenant, mt_now());
	}
}

/* Shows in pg_stat_activity what is going on, in numbers only. */
static void
show(void)
{
	char		text[100];
	int			requests = 0;
	int64		now = mt_now();
	dlist_iter	iter;

	if (shown_jobs == job_count && (now < show_at || job_count == 0))
		return;
	shown_jobs = job_count;
	show_at = now + SHOW_PAUSE;
	if (job_count == 0)
	{
		mt_worker_idle(sync_enabled ? "waiting: no pull is due" : "waiting: mindtickle.sync_enabled is off");
		return;
	}
	dlist_foreach(iter, &with_job)
		requests += dlist_container(MtTenant, job_node, iter.cur)->job->under_way;
	snprintf(text, sizeof(text), "pulling: %d tenants, %d requests under way", job_count, requests);
	mt_worker_busy(text);
}

/* Milliseconds until something is to be done without any event; -1: an event will tell. */
static long
time_to_wait(void)
{
	int64		next = MT_NEVER;
	int64		now = mt_now();

	if (!sync_enabled)
		return -1;
	if (mt_http_any_finished() || look_due(now))
		return 0;
	if (look_failed || job_count > 0)
		next = look_at;
	next = Min(next, Min(requests_at, mt_http_due()));
	if (!pairingheap_is_empty(moments))
		next = Min(next, pairingheap_container(MtTenant, heap_node, pairingheap_first(moments))->wake_at);
	if (reserve_failed)
		next = Min(next, reserve_not_before);
	if (next == MT_NEVER)
		return -1;
	if (next <= now)
		return 0;
	/* Rounded up: too early would be a turn for nothing. */
	return (long) Min((next - now + MT_MILLISECOND - 1) / MT_MILLISECOND, MT_HOUR / MT_MILLISECOND);
}

/* Creates the list of tenants and what hangs on it. */
static void
start_lists(void)
{
	HASHCTL		control = {.keysize = MT_TENANT_ID_SIZE, .entrysize = sizeof(MtTenant)};

	tenants = hash_create("mindtickle tenants", 256, &control, HASH_ELEM | HASH_STRINGS);
	moments = pairingheap_allocate(compare_moments, NULL);
	turn_context = AllocSetContextCreate(TopMemoryContext, "mindtickle sync turn", ALLOCSET_DEFAULT_SIZES);
}

static WaitEventSet *
create_wait_set(int sockets)
{
#if PG_VERSION_NUM >= 170000
	WaitEventSet *set = CreateWaitEventSet(NULL, 3);
#else
	WaitEventSet *set = CreateWaitEventSet(TopMemoryContext, 3);
#endif

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, sockets, NULL, NULL);
	return set;
}

/*
 * The sync worker of a database.
 */
void
mt_sync_main(Datum argument)
{
	WaitEventSet *wait_set;

	mt_worker_start(DatumGetObjectId(argument), "sync", "mindtickle sync");
	MemoryContextSwitchTo(TopMemoryContext);
	start_lists();
	wait_set = create_wait_set(mt_http_start());
	job_max = Max(mt_http_connections_max() / CONNECTIONS_PER_JOB, 1);
	MemoryContextSwitchTo(turn_context);

	for (;;)
	{
		WaitEvent	events[3];
		int			count;

		MemoryContextReset(turn_context);
		mt_worker_service();
		obey_settings();
		if (sync_enabled && (woken || mt_now() >= requests_at))
			take_requests();
		if (sync_enabled && look_due(mt_now()))
			look();

		mt_http_run();
		serve_answers();
		if (sync_enabled)
		{
			serve_due();
			reserve_budgets();
		}

		show();
		expect_requests();
		count = WaitEventSetWait(wait_set, time_to_wait(), events, lengthof(events), PG_WAIT_EXTENSION);
		for (int i = 0; i < count; i++)
			if (events[i].events == WL_LATCH_SET)
			{
				ResetLatch(MyLatch);
				woken = true;
			}
	}
}
