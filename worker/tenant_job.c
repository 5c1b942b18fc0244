/*
 * tenant_job.c
 *		Begin and end of a tenant's pull: opening the job, reading its settings, closing it, giving it up for now.
 *
 * Called by the other parts of the pull and by sync.c. Between opening and closing no transaction is open; what is in memory of a pull can be
 * thrown away at any moment (mt_job_release), for the job in the database says where to go on.
 */
#include "tenant.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "errand.h"
#include "push.h"
#include "statements.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The first and the longest pause after trouble of our own, and where there was nothing to open. */
#define FIRST_HOLD		(5 * MT_SECOND)
#define LAST_HOLD		(10 * MT_MINUTE)

/* Over how much time at most those who start together are spread. */
#define SPREAD_MAX		(10 * MT_SECOND)

/* Connections beyond those of a pull's window, for what somebody waits for. */
#define URGENT_CONNECTIONS	2

/* How long nothing is sent while a secret that is needed cannot be read. */
#define UNREADABLE_PAUSE	(2 * MT_MINUTE)

/* A reservation of a budget is never so far ahead. */
#define RESERVED_MAX	(10 * MT_MINUTE)

/* Requests that are added to a job's counters together; one that failed is added with the next that is stored. */
#define COUNTED_AT_ONCE	16

/* What happens in a transaction of this file. */
typedef struct JobWork
{
	MtTenant   *tenant;
	MtJobRow	row;
	bool		found;
	bool		errands_only;	/* there is no pull, and something to do all the same */
	bool		nothing_left;	/* to ask for; the job is closed */
	const char *error;
	bool		passes;			/* the error may, while the job stays open */
	TimestampTz until;			/* of a back-off; 0: none */
	int64		pause;			/* before a job that cannot be pulled is tried again; 0: the interval */
} JobWork;

/* libcurl sends the request now. */
static void
request_sent(void *owner, MtHttpRequest *request)
{
	MtTenant   *tenant = owner;
	MtSlot	   *slot = request->tag;
	int64		now = mt_now();

	mt_budget_sent(&tenant->budget, slot->ticket, now);
	mt_sync_wake(tenant, now);
}

static MtHttpPool *
create_pool(MtTenant *tenant, int connections)
{
	const MtSource *source = &tenant->job->source;
	MtHttpOwner owner = {tenant, request_sent};
	const char *headers[3] = {"Accept: application/json", NULL, NULL};

	if (source->company_id != NULL)
		headers[1] = psprintf("X-Company-Id: %s", source->company_id);
	return mt_http_pool_create(&owner, headers, source->allow_http, connections);
}

/*
 * Brings the tenant's budget up to the settings, and at first to what an earlier process had reserved.
 */
void
mt_job_start_budget(MtTenant *tenant, const MtSource *source)
{
	int64		now = mt_now();
	int			per_hour = tenant->budget.per_hour;

	mt_budget_limit(&tenant->budget, source->per_second, source->per_minute, source->per_hour);
	/* What is left of another hour is to be known, here and to a later process, even if nothing more may be sent in it. */
	if (tenant->started && tenant->budget.per_hour != per_hour)
		mt_sync_want_budget(tenant);
	if (!tenant->started)
	{
		int			minutes[MT_BUDGET_MINUTES];
		int64		age;
		int			count = mt_sql_budget_of(tenant->tenant_id, minutes, &age);
		TimestampTz wall = GetCurrentTimestamp();
		int64		left = tenant->reserved_until > wall ? tenant->reserved_until - wall : 0;
		int64		interval = tenant->budget.interval;

		/* More than could have been reserved means that the clock was turned back. Many tenants start at once: spread them,
		 * so that together they are soon as evenly paced as each of them. */
		mt_budget_hold(&tenant->budget, now + Min(left, 2 * (MT_BUDGET_AHEAD + interval)) +
					   (int64) (pg_prng_double(&pg_global_prng_state) * Min(interval, SPREAD_MAX)));
		mt_budget_recall(&tenant->budget, now, age, minutes, count);
		tenant->started = true;
	}
}

/* What the job has of a pull. NULL, or why it cannot be done. */
static const char *
read_pull(MtJob *job, const MtJobRow *row)
{
	job->job_id = row->job_id;
	job->done = row->done;
	job->total = row->total;
	job->phase = mt_phase_find(row->phase);
	mt_position_read(&job->position, row->position);
	if (strcmp(row->kind, "full") != 0 || job->phase == MT_PHASE_END)
		return psprintf("a job of kind \"%s\" in phase \"%s\" is not supported by this release", row->kind, row->phase);
	return NULL;
}

/* A hash of what decides which records a listing shows. */
static uint64
hash_origin(const MtSource *source, TimestampTz stored_at)
{
	uint64		hash = hash_combine64(source->secret_hash, (uint64) stored_at);
	const char *texts[] = {source->contract->name, source->company_id, source->learning_site};

	for (int i = 0; i < (int) lengthof(texts); i++)
		hash = hash_combine64(hash, mt_hash_text(texts[i], 0));
	for (int i = 0; i < source->base_url_count; i++)
		hash = hash_combine64(hash, mt_hash_text(source->base_urls[i], 0));
	for (int i = 0; i < source->group_count; i++)
		hash = hash_combine64(hash, mt_hash_text(source->groups[i], 0));
	return hash;
}

/* Everything in memory that is needed to send something for the tenant. NULL, or why nothing can be sent. */
static const char *
build_job(MtTenant *tenant, MtJob *job, const MtJobRow *row)
{
	const char *problem = mt_source_read(&job->source, row->settings, row->credential);

	if (row->key_unreadable)
		return pstrdup(row->unreadable);
	if (problem != NULL)
		return problem;
	if (row->unreadable != NULL)
		job->unreadable = pstrdup(row->unreadable);
	job->scores_unreadable = row->scores_unreadable;
	job->origin = hash_origin(&job->source, row->stored_at);
	/* One that was refused is tried again as soon as anything is stored, be it the same. */
	job->source.reporting_hash = hash_combine64(job->source.reporting_hash, (uint64) row->stored_at);
	job->source.reporting_refused = job->source.contract->reporting_url != NULL &&
		tenant->refused_reporting == job->source.reporting_hash && mt_now() < tenant->reporting_rests_until;
	mt_job_start_budget(tenant, &job->source);
	mt_pace_join(tenant);
	/* Enough at once that answers of a second do not cost the rate, and never a crowd. */
	job->window = 4 + (int) Min(MT_SECOND / tenant->budget.interval, 12);
	job->items_context = AllocSetContextCreate(job->context, "mindtickle items to pull", ALLOCSET_SMALL_SIZES);
	job->pool = create_pool(tenant, job->window + URGENT_CONNECTIONS);
	if (job->pool == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return NULL;
}

static void
open_work(void *argument)
{
	JobWork    *work = argument;
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MemoryContext previous;

	mt_sql_enter_tenant(tenant->tenant_id);
	work->found = mt_sql_sync_open(tenant->tenant_id, CurrentMemoryContext, &work->row);
	/* Without a pull there may still be something that somebody waits for, or somebody to push. */
	if (!work->found && (mt_errands_any(tenant) || mt_push_due(tenant) <= mt_now()))
		work->errands_only = mt_sql_sync_errand(tenant->tenant_id, CurrentMemoryContext, &work->row);
	if (!work->found && !work->errands_only)
		return;
	previous = MemoryContextSwitchTo(job->context);
	job->phase = MT_PHASE_END;
	if (work->found)
		work->error = read_pull(job, &work->row);
	if (work->error == NULL)
	{
		work->error = build_job(tenant, job, &work->row);
		work->passes = work->error != NULL && work->row.key_unreadable;
	}
	if (work->error == NULL && tenant->refused_secret != 0 && tenant->refused_secret == job->source.secret_hash)
	{
		work->error = mt_pull_refusal(job, NULL, tenant->refused_status);
		work->pause = MT_REFUSED_PAUSE;
	}
	MemoryContextSwitchTo(previous);
	if (work->error == NULL && work->found)
	{
		work->nothing_left = !mt_store_choose_stage(tenant);
		if (work->nothing_left)
		{
			const char *error = job->position.error == NULL ? job->unreadable : job->position.error;

			mt_sql_sync_close(tenant->tenant_id, job->job_id, error == NULL ? "done" : "failed", error);
		}
		else
			mt_pull_start_phase(job);
	}
}

/* Nothing can be sent now, for a reason that ends without us: the job stays open and is tried again soon. */
static void
put_off(MtTenant *tenant, const char *error)
{
	char	   *text = pstrdup(error);

	if (!tenant->put_off_told)
		ereport(LOG,
				(errmsg("the pull of tenant \"%s\" is put off: %s", tenant->tenant_id, text),
				 errdetail("It goes on where it was. Repetitions are not logged.")));
	tenant->put_off_told = true;
	if (mt_job_back_off(tenant, UNREADABLE_PAUSE, text))
		mt_job_release(tenant);
	mt_errands_refuse(tenant, ERRCODE_FDW_ERROR, text, NULL);
}

/* What is due, if anything is, could not be opened: it is tried again after a pause, which grows. */
static void
rest_in_vain(MtTenant *tenant)
{
	if (Min(tenant->due_at, mt_push_due(tenant)) > mt_now())
		return;
	tenant->vain_until = mt_now() + Min(FIRST_HOLD << Min(tenant->vain_opens++, 10), LAST_HOLD);
}

/* There was nothing to open. */
static void
opened_in_vain(MtTenant *tenant)
{
	mt_job_release(tenant);
	mt_errands_refuse_resting(tenant);
	/* The overview said there was something: something else has taken it, or it is not due yet. */
	rest_in_vain(tenant);
}

/* Settings and secrets were read: the job stays only if it can be pulled and something is left to ask for. */
static void
opened(MtTenant *tenant, const JobWork *work)
{
	/* Where there is a pull, its end is the end of the matter; who waits may try as often as he likes. */
	if (work->error != NULL && !work->found && !work->passes)
		rest_in_vain(tenant);
	else
		tenant->vain_opens = 0;
	if (work->passes)
	{
		put_off(tenant, work->error);
		return;
	}
	tenant->put_off_told = false;
	if (work->error != NULL)
		mt_job_fail(tenant, work->error, work->pause);
	else if (work->nothing_left)
	{
		mt_job_release(tenant);
		tenant->due_at = MT_NEVER;
		mt_sync_look();
	}
}

/*
 * Opens the tenant's job and makes it ready to send. Afterwards tenant->job is NULL when there is none, or none that can be pulled.
 */
void
mt_job_open(MtTenant *tenant)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "mindtickle pull", ALLOCSET_SMALL_SIZES);
	JobWork		work = {.tenant = tenant};
	MtFailure	failure;

	tenant->job = MemoryContextAllocZero(context, sizeof(MtJob));
	tenant->job->context = context;
	tenant->job->source_version = tenant->source_version;
	dlist_init(&tenant->job->slots);
	dlist_init(&tenant->job->urgent);
	dlist_init(&tenant->job->pushes);
	mt_sync_job_begins(tenant);

	if (!mt_in_unflushed_transaction(open_work, &work, &failure))
		mt_job_trouble(tenant, &failure);
	else if (!work.found && !work.errands_only)
		opened_in_vain(tenant);
	else
		opened(tenant, &work);
}

/*
 * Forgets a pull. What the database has of it stays as it is, so it can be opened again.
 */
void
mt_job_release(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	dlist_mutable_iter iter;

	if (job == NULL)
		return;
	mt_pull_drop_slots(tenant);
	dlist_foreach_modify(iter, &job->urgent)
		mt_pull_free_slot(tenant, dlist_container(MtSlot, node, iter.cur));
	dlist_foreach_modify(iter, &job->pushes)
		mt_pull_free_slot(tenant, dlist_container(MtSlot, node, iter.cur));
	mt_errands_put_back(tenant);
	if (job->sign_in != NULL)
		mt_pull_free_slot(tenant, job->sign_in);
	tenant->job = NULL;
	if (job->pool != NULL)
		mt_http_pool_destroy(job->pool);
	mt_source_forget(&job->source);
	MemoryContextDelete(job->context);
	mt_sync_job_ends(tenant);
}

/*
 * Adds what was counted here to the figures of the tenant and of the job, where it is worth a statement or this is the last chance. Inside a
 * transaction of the tenant; should it fail, the figures are lost, and nothing else.
 */
void
mt_job_flush_counters(MtTenant *tenant, bool all)
{
	int64		failures = 0;

	for (int i = MT_TALLY_REQUESTS + 1; i < MT_TALLIES; i++)
		failures += tenant->tally[i];
	if (tenant->tally[MT_TALLY_REQUESTS] + failures * COUNTED_AT_ONCE < (all ? 1 : COUNTED_AT_ONCE))
		return;
	mt_sql_sync_count(tenant->tenant_id, tenant->job == NULL ? 0 : tenant->job->job_id, tenant->tally, MT_TALLIES);
	memset(tenant->tally, 0, sizeof(tenant->tally));
}

static void
fail_work(void *argument)
{
	JobWork    *work = argument;
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;

	mt_sql_enter_tenant(tenant->tenant_id);
	if (job->phase != MT_PHASE_END)
		mt_sql_sync_finish_phase(tenant->tenant_id, job->job_id, job->phase, false, false, work->error, &job->position);
	mt_job_flush_counters(tenant, true);
	if (job->job_id != 0)
		mt_sql_sync_close(tenant->tenant_id, job->job_id, "failed", work->error);
	if (work->until != 0)
		mt_sql_sync_back_off(tenant->tenant_id, work->until, work->error);
}

/* A pause of our own that does not end before one that the far side has asked for. */
static int64
at_least_asked_for(const MtTenant *tenant, int64 pause)
{
	return Max(pause, tenant->paused_until - mt_now());
}

/*
 * Closes the job as failed. With a pause, nothing is sent for the tenant until it has passed.
 */
void
mt_job_fail(MtTenant *tenant, const char *error, int64 pause)
{
	char	   *text = pstrdup(error);
	JobWork		work = {.tenant = tenant, .error = text};
	MtFailure	failure;

	if (pause > 0)
	{
		pause = at_least_asked_for(tenant, pause);
		tenant->backoff_until = mt_now() + pause;
		work.until = GetCurrentTimestamp() + pause;
	}
	tenant->refused_secret = 0;
	if (!mt_in_transaction(fail_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return;
	}
	ereport(LOG, (errmsg("the pull of tenant \"%s\" failed: %s", tenant->tenant_id, text)));
	if (tenant->job->job_id != 0)
		tenant->due_at = MT_NEVER;
	mt_job_release(tenant);
	mt_errands_refuse(tenant, ERRCODE_FDW_ERROR, text, NULL);
	tenant->troubles = 0;
}

static void
count_work(void *argument)
{
	JobWork    *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_job_flush_counters(work->tenant, true);
}

/*
 * Forgets a pull in order to open it again at once, with settings and credential read anew.
 */
void
mt_job_reopen(MtTenant *tenant)
{
	JobWork		work = {.tenant = tenant};
	MtFailure	failure;

	if (mt_in_transaction(count_work, &work, &failure))
		mt_job_release(tenant);
	else
		mt_job_trouble(tenant, &failure);
}

/*
 * Has what the tenant's job knows of settings and secrets become old? Then the job is to be opened again where it is.
 */
bool
mt_job_outdated(const MtTenant *tenant)
{
	const MtJob *job = tenant->job;

	return job->source_version != tenant->source_version;
}

/*
 * Is the use of the tenant's budget stored as far ahead as a request needs? What is further ahead than any reservation is from before our clock was
 * turned back.
 */
bool
mt_job_reserved(const MtTenant *tenant)
{
	TimestampTz wall = GetCurrentTimestamp();

	return tenant->reserved_until >= wall + tenant->budget.interval && tenant->reserved_until <= wall + RESERVED_MAX;
}

static void
back_off_work(void *argument)
{
	JobWork    *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_sql_sync_back_off(work->tenant->tenant_id, work->until, work->error);
	mt_job_flush_counters(work->tenant, true);
}

/*
 * Sends nothing for the tenant until the pause is over, and makes that known. False when the job is gone because of it.
 */
bool
mt_job_back_off(MtTenant *tenant, int64 pause, const char *error)
{
	JobWork		work = {.tenant = tenant, .error = error};
	MtFailure	failure;

	pause = at_least_asked_for(tenant, pause);
	work.until = GetCurrentTimestamp() + pause;
	tenant->backoff_until = mt_now() + pause;
	if (mt_in_transaction(back_off_work, &work, &failure))
		return true;
	mt_job_trouble(tenant, &failure);
	return false;
}

/*
 * A transaction of the tenant has failed, which is no fault of the far side: the pull is forgotten, and after a pause opened again where it
 * was. The first time is logged, and made known as a back-off, so that an operator finds it.
 */
void
mt_job_trouble(MtTenant *tenant, const MtFailure *failure)
{
	int64		pause = mt_jitter(Min(FIRST_HOLD << Min(tenant->troubles, 10), LAST_HOLD));

	mt_job_release(tenant);
	if (failure->sqlstate == ERRCODE_UNDEFINED_SCHEMA || failure->sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	tenant->hold_until = mt_now() + pause;
	if (tenant->hold_reason != NULL)
		pfree(tenant->hold_reason);
	tenant->hold_reason = MemoryContextStrdup(TopMemoryContext, failure->text);
	if (tenant->troubles++ == 0)
	{
		JobWork		work = {.tenant = tenant, .error = failure->text, .until = GetCurrentTimestamp() + at_least_asked_for(tenant, pause)};
		MtFailure	ignored;

		ereport(LOG,
				(errcode(failure->sqlstate),
				 errmsg("the pull of tenant \"%s\" is put off: %s", tenant->tenant_id, failure->text),
				 errdetail("It goes on where it was. Repetitions are not logged.")));
		(void) mt_in_transaction(back_off_work, &work, &ignored);
	}
	/* Whether the tenant is still there, the next overview tells. */
	mt_sync_look();
}
