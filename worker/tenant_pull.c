/*
 * tenant_pull.c
 *		The sending side of a tenant's pull: which page or item is asked for next, and when.
 *
 * Called by sync.c whenever the tenant's moment has come, and after each of its answers. A pull keeps a small window of slots, each a page of a
 * listing or an item, such as a user, with all its pages. Pages behind the first are asked for ahead of their turn once the listing's length is
 * known; they are stored in order all the same.
 *
 * No request goes out unless the budget allows it now and its use is stored already: reserved_until, as the database has it, is at least one
 * interval ahead. So a worker that is killed here and started anew waits that long, and the far side sees no rate exceeded.
 */
#include "tenant.h"

#include "errand.h"
#include "lib/stringinfo.h"
#include "push.h"
#include "statements.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Items fetched at once from the database. */
#define ITEMS_CHUNK		20
/* Items in memory, most of them finished while an earlier one is slow. */
#define ITEM_SLOTS_MAX	256
/* How long a pull waits for others to end when there are too many. */
#define ROOM_PAUSE		MT_SECOND
/* How long a request waits for others to get their connections when there are too many. */
#define CONNECT_PAUSE	(100 * MT_MILLISECOND)
/* How long a job that has done its errands keeps its connection for others. */
#define LINGER			(15 * MT_SECOND)
/* How often items that failed are asked for again at the end of the phase, and how long before. */
#define AGAIN_ROUNDS	3
#define AGAIN_PAUSE		(5 * MT_SECOND)

typedef struct ItemsWork
{
	MtTenant   *tenant;
	const char *after;
} ItemsWork;

/*
 * Makes the queue of a phase ready, from the job's position.
 */
void
mt_pull_start_phase(MtJob *job)
{
	job->next = job->position.cursor;
	job->stage_worked = false;
	job->denied = 0;
	job->one_by_one = false;
	MemoryContextReset(job->items_context);
	job->items = NULL;
	job->item_count = job->next_item = 0;
	job->items_end = job->items_again = false;
}

/*
 * Frees a slot that is in no list; a request under way is ended.
 */
void
mt_pull_free_slot(MtTenant *tenant, MtSlot *slot)
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
	mt_store_forget_trail(slot);
	if (slot->cursor.next != NULL)
		pfree(slot->cursor.next);
	if (slot->problem != NULL)
		pfree(slot->problem);
	if (slot->push != NULL)
		mt_push_free(slot->push);
	if (slot->item.key != NULL)
	{
		pfree(slot->item.key);
		pfree(slot->item.upstream_id);
	}
	pfree(slot);
}

/*
 * Forgets a slot.
 */
void
mt_pull_drop_slot(MtTenant *tenant, MtSlot *slot)
{
	dlist_delete(&slot->node);
	tenant->job->slot_count--;
	mt_pull_free_slot(tenant, slot);
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

/*
 * Forgets the pages of a listing that were asked for ahead of their turn, and asks for no others in this phase: they take too much memory.
 */
void
mt_pull_one_by_one(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	job->one_by_one = true;
	while (job->slot_count > 1)
	{
		MtSlot	   *last = dlist_tail_element(MtSlot, node, &job->slots);

		job->next.offset = last->cursor.offset;
		mt_pull_drop_slot(tenant, last);
	}
}

static MtSlot *
add_slot(MtJob *job)
{
	MtSlot	   *slot = MemoryContextAllocZero(job->context, sizeof(MtSlot));

	slot->state = MT_SLOT_WAITING;
	slot->stage = job->stage;
	dlist_push_tail(&job->slots, &slot->node);
	job->slot_count++;
	return slot;
}

/*
 * A slot of an item that somebody waits for.
 */
MtSlot *
mt_pull_urgent_slot(MtTenant *tenant, const MtStage *stage, const char *key, const char *upstream_id)
{
	MtJob	   *job = tenant->job;
	MtSlot	   *slot = MemoryContextAllocZero(job->context, sizeof(MtSlot));

	slot->state = MT_SLOT_WAITING;
	slot->stage = stage;
	slot->urgent = true;
	slot->item.key = MemoryContextStrdup(job->context, key);
	slot->item.upstream_id = MemoryContextStrdup(job->context, upstream_id);
	dlist_push_tail(&job->urgent, &slot->node);
	job->idle_since = 0;
	return slot;
}

/* The next page: the one after the last stored, or one ahead of it where the listing's length is known. */
static void
fill_listing(MtJob *job)
{
	while (job->slot_count < (job->one_by_one ? 1 : job->window))
	{
		MtSlot	   *slot;

		if (job->slot_count > 0 && (job->next.limit == 0 || job->next.offset >= job->position.total))
			return;
		slot = add_slot(job);
		slot->cursor = job->next;
		if (job->next.next != NULL)
			slot->cursor.next = MemoryContextStrdup(job->context, job->next.next);
		job->next.offset += job->next.limit;
		/* Without a length there is nothing to be ahead of. */
		if (job->next.limit == 0)
			return;
	}
}

static void
items_work(void *argument)
{
	ItemsWork  *work = argument;
	MtJob	   *job = work->tenant->job;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	job->item_count = mt_sql_next_items(job->stage->over, work->tenant->tenant_id, job->job_id, work->after, ITEMS_CHUNK,
										job->items_context, &job->items);
}

/* Fetches the next items behind the last one. False when the job is gone. */
static bool
fetch_items(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	ItemsWork	work = {.tenant = tenant};
	MtFailure	failure;

	work.after = pstrdup(job->item_count > 0 ? job->items[job->item_count - 1].key : job->position.after);
	MemoryContextReset(job->items_context);
	job->items = NULL;
	job->item_count = job->next_item = 0;
	if (!mt_in_transaction(items_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return false;
	}
	job->items_end = job->item_count < ITEMS_CHUNK;
	return true;
}

/* Queues the items that failed, once more. */
static void
queue_again(MtJob *job)
{
	MtPosition *position = &job->position;
	MemoryContext previous;

	position->round++;
	MemoryContextReset(job->items_context);
	previous = MemoryContextSwitchTo(job->items_context);
	job->items = palloc(sizeof(MtItem) * (Size) position->again_count);
	for (int i = 0; i < position->again_count; i++)
	{
		job->items[i].known = false;
		job->items[i].key = pstrdup(position->again[i].key);
		job->items[i].upstream_id = pstrdup(position->again[i].upstream_id);
	}
	MemoryContextSwitchTo(previous);
	job->item_count = position->again_count;
	job->next_item = 0;
	job->items_again = true;
}

static void
add_item_slot(MtJob *job)
{
	MtItem	   *item = &job->items[job->next_item++];
	MtSlot	   *slot = add_slot(job);

	slot->item.key = MemoryContextStrdup(job->context, item->key);
	slot->item.upstream_id = MemoryContextStrdup(job->context, item->upstream_id);
	if (item->known)
		slot->cursor.since = job->position.cursor.since;
	slot->again = job->items_again;
	if (slot->again)
		slot->not_before = mt_now() + mt_jitter(AGAIN_PAUSE * job->position.round);
}

/* The next items. False when the phase, and with it perhaps the job, is over. */
static bool
fill_items(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	while (job->slot_count - job->finished_count < job->window && job->slot_count < ITEM_SLOTS_MAX)
	{
		if (job->next_item < job->item_count)
			add_item_slot(job);
		else if (!job->items_end)
		{
			if (!fetch_items(tenant))
				return false;
		}
		else if (job->slot_count > 0)
			return true;
		else if (job->position.again_count > 0 && job->position.round < AGAIN_ROUNDS)
			queue_again(job);
		else
		{
			int64		lost = job->position.lost + job->position.again_count;

			/* Users who could not be read are counted; they do not fail the pull. */
			(void) mt_store_phase_end(tenant, lost == 0, job->phase == MT_PHASE_PROGRESS,
									  lost == 0 ? NULL : psprintf("items that could not be read (%s): " INT64_FORMAT, job->stage->name, lost));
			return false;
		}
	}
	return true;
}

/* Writes the slot's request; returns the host it goes to. *method: see MtHttpMessage. */
static MtHost
write_call(const MtTenant *tenant, const MtSlot *slot, MtCall *call, const char **method)
{
	const MtJob *job = tenant->job;

	initStringInfo(&call->target);
	initStringInfo(&call->body);
	call->from_root = false;
	*method = NULL;
	if (slot->push != NULL)
	{
		*method = mt_push_call(slot, call);
		return MT_HOST_SCIM;
	}
	if (slot == job->sign_in)
	{
		job->source.contract->sign_in->request(&job->source, call);
		return MT_HOST_API;
	}
	if (slot->cursor.next != NULL)
	{
		appendStringInfoString(&call->target, slot->cursor.next);
		call->from_root = true;
	}
	else
		slot->stage->request(&job->source, slot->item.key == NULL ? NULL : &slot->item, &slot->cursor, call);
	return slot->stage->host;
}

/*
 * Where the slot's request goes, palloc'd.
 */
char *
mt_pull_url(const MtTenant *tenant, const MtSlot *slot)
{
	MtCall		call;
	const char *method;
	MtHost		host = write_call(tenant, slot, &call, &method);

	return mt_source_url(&tenant->job->source, host, &call);
}

/* Sends the slot's request. */
static void
send_slot(MtTenant *tenant, MtSlot *slot, int64 now)
{
	MtJob	   *job = tenant->job;
	MtCall		call;
	const char *method;
	MtHost		host = write_call(tenant, slot, &call, &method);
	char	   *url = mt_source_url(&job->source, host, &call);
	char	   *authorization = NULL;
	MtHttpMessage message = {.url = url};

	if (slot != job->sign_in)
		authorization = mt_source_authorization(&job->source, host, tenant->token.text);
	message.authorization = authorization;
	message.method = method;
	if (call.body.len > 0)
	{
		message.body = call.body.data;
		message.length = (size_t) call.body.len;
	}
	slot->base_url = job->source.base_url;
	slot->token = tenant->token.serial;
	slot->sent_at = now;
	slot->ticket = mt_budget_take(&tenant->budget, now);
	slot->request = mt_http_send(job->pool, &message, slot);
	if (authorization != NULL)
	{
		explicit_bzero(authorization, strlen(authorization));
		pfree(authorization);
	}
	explicit_bzero(call.body.data, (size_t) call.body.len);
	pfree(call.body.data);
	pfree(call.target.data);
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

/*
 * Sends the slot if it is due and allowed. False when the others must wait as well. *wake: when something more is due, as far as that does not
 * depend on an answer.
 */
static bool
try_slot(MtTenant *tenant, MtSlot *slot, int64 *wake)
{
	int64		now = mt_now();
	int64		allowed;
	bool		soon = slot->urgent || slot->push != NULL || slot->stage == NULL;

	if (slot->state != MT_SLOT_WAITING)
		return true;
	if (slot->not_before > now)
	{
		*wake = Min(*wake, slot->not_before);
		return true;
	}
	allowed = Max(mt_budget_next(&tenant->budget, now, soon), tenant->backoff_until);
	if (allowed > now)
	{
		*wake = Min(*wake, allowed);
		return false;
	}
	if (!mt_job_reserved(tenant))
	{
		/* sync.c stores a reservation for all that want one, and wakes them. */
		mt_sync_want_budget(tenant);
		return false;
	}
	if (!mt_http_room(tenant->job->pool))
	{
		*wake = Min(*wake, now + CONNECT_PAUSE);
		return false;
	}
	if (!soon && (allowed = mt_pace_place(tenant, now)) > now)
	{
		*wake = Min(*wake, allowed);
		return false;
	}
	send_slot(tenant, slot, now);
	return true;
}

/* Does the slot need a token of a sign-in? */
static bool
needs_token(const MtJob *job, const MtSlot *slot)
{
	return job->source.contract->sign_in != NULL && slot->stage->host == MT_HOST_API;
}

/* Is there anything to send that needs a token? */
static bool
token_needed(MtJob *job)
{
	dlist_iter	iter;

	dlist_foreach(iter, &job->urgent)
	{
		if (needs_token(job, dlist_container(MtSlot, node, iter.cur)))
			return true;
	}
	return job->slot_count > job->finished_count && needs_token(job, dlist_tail_element(MtSlot, node, &job->slots));
}

/*
 * Chooses of a list the slot to be sent with a token that nothing is known of: one that was refused before, so that its second refusal means something,
 * else the first. False when one is under way with it.
 */
static bool
choose_for_token(MtTenant *tenant, dlist_head *slots, MtSlot **chosen, int64 *wake)
{
	int64		now = mt_now();
	dlist_iter	iter;

	dlist_foreach(iter, slots)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if (!needs_token(tenant->job, slot))
			continue;
		if (slot->state == MT_SLOT_UNDER_WAY && slot->token == tenant->token.serial)
			return false;
		if (slot->state != MT_SLOT_WAITING)
			continue;
		if (slot->not_before > now)
			*wake = Min(*wake, slot->not_before);
		else if (*chosen == NULL || slot->refusals > (*chosen)->refusals)
			*chosen = slot;
	}
	return true;
}

/* Sends one request with a token that nothing is known of. Until it is answered the others wait. */
static void
try_token(MtTenant *tenant, int64 *wake)
{
	MtSlot	   *chosen = NULL;

	if (choose_for_token(tenant, &tenant->job->urgent, &chosen, wake) && choose_for_token(tenant, &tenant->job->slots, &chosen, wake) &&
		chosen != NULL)
		(void) try_slot(tenant, chosen, wake);
}

/* Sends what is due and allowed of a list. False when the others must wait as well. */
static bool
send_list(MtTenant *tenant, dlist_head *slots, bool signed_in, int64 *wake)
{
	dlist_iter	iter;

	dlist_foreach(iter, slots)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if ((signed_in || !needs_token(tenant->job, slot)) && !try_slot(tenant, slot, wake))
			return false;
	}
	return true;
}

/*
 * Sends what is due and allowed: a sign-in, what somebody waits for, pushes, then the bulk. Returns when something more is: MT_NEVER when that
 * depends on an answer.
 */
static int64
send_due(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	int64		now = mt_now();
	int64		wake = MT_NEVER;
	bool		signed_in;

	if (token_needed(job))
	{
		if (mt_token_wanted(tenant, now))
			mt_token_ask(tenant);
		if (job->sign_in != NULL && !try_slot(tenant, job->sign_in, &wake))
			return wake;
		if (!tenant->token.worked && mt_token_usable(tenant, now))
			try_token(tenant, &wake);
	}
	/* The others wait for the answer to the sign-in, or to what was sent with its token. */
	signed_in = tenant->token.worked && mt_token_usable(tenant, now);
	if (send_list(tenant, &job->urgent, signed_in, &wake) && send_list(tenant, &job->pushes, signed_in, &wake))
		(void) send_list(tenant, &job->slots, signed_in, &wake);
	return wake;
}

/*
 * When a pull or a push of a tenant without a job is to be opened; MT_NEVER: none is due.
 */
int64
mt_pull_due(const MtTenant *tenant)
{
	int64		due = Max(Min(tenant->due_at, mt_push_due(tenant)), tenant->vain_until);

	return Max(due, Max(tenant->backoff_until, tenant->hold_until));
}

/* Opens the tenant's job if there is something to do now. False when there is none. */
static bool
open_job(MtTenant *tenant)
{
	int64		now = mt_now();
	int64		due = mt_errands_any(tenant) ? Max(tenant->backoff_until, tenant->hold_until) : mt_pull_due(tenant);

	if (due > now)
	{
		mt_sync_wake(tenant, due);
		return false;
	}
	if (!mt_sync_room())
	{
		mt_sync_wake(tenant, now + ROOM_PAUSE);
		return false;
	}
	mt_job_open(tenant);
	if (tenant->job == NULL)
		/* Opened again, or looked at, in the next turn. */
		mt_sync_wake(tenant, mt_pull_due(tenant));
	return tenant->job != NULL;
}

/* Makes slots of what the pull asks for next. False when the job is gone. */
static bool
fill(MtTenant *tenant)
{
	/* A phase may end without a request, and then the next one begins. */
	while (tenant->job != NULL && tenant->job->stage != NULL && tenant->job->stage->over != MT_OVER_LISTING && tenant->backoff_until <= mt_now())
		if (fill_items(tenant))
			break;
	if (tenant->job != NULL && tenant->job->stage != NULL && tenant->job->stage->over == MT_OVER_LISTING)
		fill_listing(tenant->job);
	return tenant->job != NULL;
}

/* A job without a pull has nothing to do: after a while it ends. False when it has. */
static bool
linger(MtTenant *tenant, int64 *wake)
{
	MtJob	   *job = tenant->job;
	int64		now = mt_now();

	*wake = Min(*wake, Max(mt_push_due(tenant), tenant->backoff_until));
	if (job->job_id != 0 || !dlist_is_empty(&job->urgent) || !dlist_is_empty(&job->pushes))
		return true;
	if (job->idle_since == 0)
		job->idle_since = now;
	if (tenant->due_at > now && job->idle_since + LINGER > now)
	{
		*wake = Min(*wake, Min(tenant->due_at, job->idle_since + LINGER));
		return true;
	}
	mt_job_release(tenant);
	return false;
}

/*
 * The tenant's moment: does whatever is due, and says when the next one is.
 */
void
mt_pull_step(MtTenant *tenant)
{
	int64		wake;

	mt_errands_settle(tenant);
	if (tenant->job == NULL && !open_job(tenant))
		return;
	if (!mt_errands_take_up(tenant) || !mt_push_fill(tenant) || !fill(tenant))
	{
		mt_sync_wake(tenant, mt_pull_due(tenant));
		return;
	}
	wake = send_due(tenant);
	if (mt_store_rest(tenant))
		mt_sync_wake(tenant, mt_now());
	else if (linger(tenant, &wake))
		mt_sync_wake(tenant, wake);
}
