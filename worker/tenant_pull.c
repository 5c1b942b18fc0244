/*
 * tenant_pull.c
 *		The sending side of a tenant's pull: which page or user is asked for next, and when.
 *
 * Called by sync.c whenever the tenant's moment has come, and after each of its answers. A pull keeps a small window of slots, each a page of
 * a listing or a user's progress. Pages behind the first are asked for ahead of their turn once the listing's length is known; they are stored
 * in order all the same.
 *
 * No request goes out unless the budget allows it now and its use is stored already: reserved_until, as the database has it, is at least one
 * interval ahead. So a worker that is killed here and started anew waits that long, and the far side sees no rate exceeded.
 */
#include "tenant.h"

#include "lib/stringinfo.h"
#include "statements.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Users fetched at once from the database. */
#define USERS_CHUNK		100
/* Users in memory, most of them finished while an earlier one is slow. */
#define USER_SLOTS_MAX	256
/* How long a pull waits for others to end when there are too many. */
#define ROOM_PAUSE		MT_SECOND
/* How often users that failed are asked for again at the end of the phase, and how long before. */
#define AGAIN_ROUNDS	3
#define AGAIN_PAUSE		(5 * MT_SECOND)

typedef struct UsersWork
{
	MtTenant   *tenant;
	const char *after;
} UsersWork;

/*
 * Makes the queue of a phase ready, from the job's position.
 */
void
mt_pull_start_phase(MtJob *job)
{
	job->next = job->position.cursor;
	MemoryContextReset(job->users_context);
	job->users = NULL;
	job->user_count = job->next_user = 0;
	job->users_end = job->users_again = false;
}

/*
 * Forgets a slot; a request under way is ended.
 */
void
mt_pull_drop_slot(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;

	if (slot->state == MT_SLOT_UNDER_WAY)
	{
		mt_budget_settled(&tenant->budget, slot->ticket, mt_now());
		job->under_way--;
	}
	else if (slot->state == MT_SLOT_FINISHED)
		job->finished_count--;
	if (slot->request != NULL)
		mt_http_free(slot->request);
	dlist_delete(&slot->node);
	job->slot_count--;
	if (slot->user.user_id != NULL)
	{
		pfree(slot->user.user_id);
		pfree(slot->user.mindtickle_id);
	}
	pfree(slot);
}

/*
 * Forgets all slots.
 */
void
mt_pull_drop_slots(MtTenant *tenant)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &tenant->job->slots)
		mt_pull_drop_slot(tenant, dlist_container(MtSlot, node, iter.cur));
}

static MtSlot *
add_slot(MtJob *job)
{
	MtSlot	   *slot = MemoryContextAllocZero(job->context, sizeof(MtSlot));

	slot->state = MT_SLOT_WAITING;
	dlist_push_tail(&job->slots, &slot->node);
	job->slot_count++;
	return slot;
}

/* The next page: the one after the last stored, or one ahead of it where the listing's length is known. */
static void
fill_listing(MtJob *job)
{
	while (job->slot_count < job->window)
	{
		MtSlot	   *slot;

		if (job->slot_count > 0 && (job->next.limit == 0 || job->next.offset >= job->position.total))
			return;
		slot = add_slot(job);
		slot->cursor = job->next;
		job->next.offset += job->next.limit;
		/* Without a length there is nothing to be ahead of. */
		if (job->next.limit == 0)
			return;
	}
}

static void
users_work(void *argument)
{
	UsersWork  *work = argument;
	MtJob	   *job = work->tenant->job;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	job->user_count = mt_sql_next_users(work->tenant->tenant_id, job->job_id, work->after, USERS_CHUNK, job->users_context, &job->users);
}

/* Fetches the next users behind the last one. False when the job is gone. */
static bool
fetch_users(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	UsersWork	work = {.tenant = tenant};
	MtFailure	failure;

	work.after = pstrdup(job->user_count > 0 ? job->users[job->user_count - 1].user_id : job->position.after);
	MemoryContextReset(job->users_context);
	job->users = NULL;
	job->user_count = job->next_user = 0;
	if (!mt_in_transaction(users_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return false;
	}
	job->users_end = job->user_count < USERS_CHUNK;
	return true;
}

/* Queues the users that failed, once more. */
static void
queue_again(MtJob *job)
{
	MtPosition *position = &job->position;
	MemoryContext previous;

	position->round++;
	MemoryContextReset(job->users_context);
	previous = MemoryContextSwitchTo(job->users_context);
	job->users = palloc(sizeof(MtUserRef) * (Size) position->again_count);
	for (int i = 0; i < position->again_count; i++)
	{
		job->users[i].user_id = pstrdup(position->again[i].user_id);
		job->users[i].mindtickle_id = pstrdup(position->again[i].mindtickle_id);
	}
	MemoryContextSwitchTo(previous);
	job->user_count = position->again_count;
	job->next_user = 0;
	job->users_again = true;
}

static void
add_user_slot(MtJob *job)
{
	MtUserRef  *user = &job->users[job->next_user++];
	MtSlot	   *slot = add_slot(job);

	slot->user.user_id = MemoryContextStrdup(job->context, user->user_id);
	slot->user.mindtickle_id = MemoryContextStrdup(job->context, user->mindtickle_id);
	slot->again = job->users_again;
	if (slot->again)
		slot->not_before = mt_now() + mt_jitter(AGAIN_PAUSE * job->position.round);
}

/* The next users. False when the phase, and with it perhaps the job, is over. */
static bool
fill_users(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	while (job->slot_count - job->finished_count < job->window && job->slot_count < USER_SLOTS_MAX)
	{
		if (job->next_user < job->user_count)
			add_user_slot(job);
		else if (!job->users_end)
		{
			if (!fetch_users(tenant))
				return false;
		}
		else if (job->slot_count > 0)
			return true;
		else if (job->position.again_count > 0 && job->position.round < AGAIN_ROUNDS)
			queue_again(job);
		else
		{
			int64		lost = job->position.lost + job->position.again_count;

			(void) mt_store_phase_end(tenant, lost == 0,
									  lost == 0 ? NULL : psprintf("users whose progress could not be read: " INT64_FORMAT, lost));
			return false;
		}
	}
	return true;
}

static char *
request_url(MtJob *job, const MtSlot *slot)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfoString(&url, job->base_urls[job->base_url]);
	if (slot->user.mindtickle_id != NULL)
		job->contract->user_path(&url, slot->user.mindtickle_id);
	else
		job->contract->page_path(&url, job->phase, &slot->cursor);
	return url.data;
}

/* Sends the slot's request. */
static void
send_slot(MtTenant *tenant, MtSlot *slot, int64 now)
{
	MtJob	   *job = tenant->job;
	char	   *url = request_url(job, slot);

	slot->base_url = job->base_url;
	slot->ticket = mt_budget_take(&tenant->budget, now);
	slot->request = mt_http_get(job->pool, url, slot);
	pfree(url);
	if (slot->request == NULL)
	{
		/* No memory: the slot keeps waiting. */
		mt_budget_settled(&tenant->budget, slot->ticket, now);
		slot->not_before = now + MT_SECOND;
		return;
	}
	slot->state = MT_SLOT_UNDER_WAY;
	job->under_way++;
}

/* Sends what is due and allowed. Returns when something more is: MT_NEVER when that depends on an answer. */
static int64
send_due(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	int64		wake = MT_NEVER;
	dlist_iter	iter;

	dlist_foreach(iter, &job->slots)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);
		int64		now = mt_now();
		int64		allowed;

		if (slot->state != MT_SLOT_WAITING)
			continue;
		if (slot->not_before > now)
		{
			wake = Min(wake, slot->not_before);
			continue;
		}
		allowed = Max(mt_budget_next(&tenant->budget, now, false), tenant->backoff_until);
		if (allowed > now)
			return Min(wake, allowed);
		if (tenant->reserved_until < GetCurrentTimestamp() + tenant->budget.interval)
		{
			/* sync.c stores a reservation for all that want one, and wakes them. */
			tenant->wants_budget = true;
			return wake;
		}
		send_slot(tenant, slot, now);
	}
	return wake;
}

/*
 * The tenant's moment: does whatever is due, and says when the next one is.
 */
void
mt_pull_step(MtTenant *tenant)
{
	int64		now = mt_now();
	int64		due = Max(Max(tenant->due_at, tenant->backoff_until), tenant->hold_until);
	int64		wake;

	if (tenant->job == NULL)
	{
		if (due > now)
		{
			mt_sync_wake(tenant, due);
			return;
		}
		if (!mt_sync_room())
		{
			mt_sync_wake(tenant, now + ROOM_PAUSE);
			return;
		}
		mt_job_open(tenant);
	}
	/* A phase may end without a request, and then the next one begins. */
	while (tenant->job != NULL && tenant->job->phase == MT_PHASE_PROGRESS && tenant->backoff_until <= now)
		if (fill_users(tenant))
			break;
	if (tenant->job == NULL)
	{
		/* Opened again, or looked at, in the next turn. */
		mt_sync_wake(tenant, Max(Max(tenant->due_at, tenant->backoff_until), tenant->hold_until));
		return;
	}
	if (tenant->job->phase != MT_PHASE_PROGRESS)
		fill_listing(tenant->job);
	if (mt_http_pool_timer(tenant->job->pool) <= now)
		mt_http_pool_run(tenant->job->pool);
	wake = send_due(tenant);
	mt_sync_wake(tenant, Min(wake, mt_http_pool_timer(tenant->job->pool)));
}
