/*
 * errand.c
 *		What somebody waits for: one user's progress, pulled at once, beside the tenant's pull or without one.
 *
 * Called by sync.c, which takes requests from shared memory, and by the pull of a tenant. An errand waits until its tenant may send; then its user is
 * looked up and it gets a slot of its own, which is sent before those of the bulk, by the same budget, and judged and stored like theirs. Several
 * errands for one user share a slot that is not sent yet: what is on its way may be older than the wish.
 *
 * An errand ends with an answer or an error, told in the transaction that stores the result. One whose time is up, or whose statement was
 * cancelled, is forgotten: who asked does not wait any more, and a slot that was for him alone is not sent. When a pull is dropped its errands wait
 * for the next one. Nothing of an errand is durable; if the worker ends, its successor finds the request in shared memory again.
 */
#include "errand.h"

#include "statements.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Upstream trouble as it is told to who asked. */
#define UPSTREAM_ERROR		ERRCODE_FDW_ERROR
#define WAITS_FOR_BUDGET	"It waits for the tenant's request budget."
/* A shorter wait for the budget is not worth telling. */
#define WAIT_TOLD			MT_SECOND

/* An errand lives in TopMemoryContext, from its request to its end. */
typedef struct MtErrand
{
	dlist_node	node;
	int64		ticket;
	char	   *kind;
	char	   *subject;
	int64		ends_at;
	MtSlot	   *slot;			/* that does it; NULL: it waits to be taken up */
} MtErrand;

/* What happens in a transaction of this file. */
typedef struct ErrandWork
{
	MtTenant   *tenant;
	MtRequestEnd end;
	bool		resting;		/* the end is why nothing is sent for the tenant */
	MtSlot	   *slot;			/* only errands of this slot; NULL: of any */
	int64		until;			/* only errands that end before; MT_NEVER: any */
} ErrandWork;

/*
 * Takes a request on.
 */
void
mt_errand_add(MtTenant *tenant, const MtRequestRow *row)
{
	MtErrand   *errand = MemoryContextAllocZero(TopMemoryContext, sizeof(MtErrand));

	errand->ticket = row->ticket;
	errand->kind = MemoryContextStrdup(TopMemoryContext, row->kind);
	errand->subject = MemoryContextStrdup(TopMemoryContext, row->subject);
	errand->ends_at = mt_now() + (row->ends_at - GetCurrentTimestamp());
	dlist_push_tail(&tenant->errands, &errand->node);
	mt_sync_wake(tenant, mt_now());
}

/*
 * Is there anything that somebody waits for?
 */
bool
mt_errands_any(MtTenant *tenant)
{
	return !dlist_is_empty(&tenant->errands);
}

static void
forget(MtErrand *errand)
{
	dlist_delete(&errand->node);
	pfree(errand->kind);
	pfree(errand->subject);
	pfree(errand);
}

/* Does the work mean this errand? */
static bool
concerns(const ErrandWork *work, const MtErrand *errand)
{
	return (work->slot == NULL || errand->slot == work->slot) && errand->ends_at <= work->until;
}

/* Forgets the errands that the work means. */
static void
forget_concerned(const ErrandWork *work)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &work->tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, iter.cur);

		if (concerns(work, errand))
			forget(errand);
	}
}

/*
 * Forgets all errands of the tenant without a word: it is gone, or who asked has been told.
 */
void
mt_errands_forget(MtTenant *tenant)
{
	ErrandWork	work = {.tenant = tenant,.until = MT_NEVER};

	forget_concerned(&work);
}

/* Tells those who asked, when the transaction has committed. */
static void
finish_concerned(const ErrandWork *work)
{
	dlist_iter	iter;

	dlist_foreach(iter, &work->tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, iter.cur);

		if (concerns(work, errand))
			mt_sql_finish_request(errand->ticket, &work->end);
	}
}

static void
refuse_work(void *argument)
{
	ErrandWork *work = argument;

	if (work->resting)
	{
		const MtTenant *tenant = work->tenant;
		int64		now = mt_now();
		TimestampTz until;
		char	   *reason;

		mt_sql_enter_tenant(tenant->tenant_id);
		reason = mt_sql_rest_reason(tenant->tenant_id, &until);
		/* Trouble of our own may not have been made known. */
		if (tenant->hold_until > Max(now, tenant->backoff_until))
		{
			reason = tenant->hold_reason;
			until = GetCurrentTimestamp() + (tenant->hold_until - now);
		}
		work->end.text = psprintf("nothing is pulled for tenant \"%s\"%s%s: %s", tenant->tenant_id, until == 0 ? "" : " until ",
								  until == 0 ? "" : timestamptz_to_str(until), reason == NULL ? "it rests" : reason);
	}
	finish_concerned(work);
}

/* Ends the errands that the work means with an error. */
static void
refuse(ErrandWork *work)
{
	MtFailure	failure;

	if (!mt_in_transaction(refuse_work, work, &failure))
		ereport(LOG, (errcode(failure.sqlstate), errmsg("a request for tenant \"%s\" could not be answered: %s", work->tenant->tenant_id, failure.text)));
	forget_concerned(work);
}

/*
 * Ends all errands of the tenant with an error. hint may be NULL.
 */
void
mt_errands_refuse(MtTenant *tenant, int sqlstate, const char *text, const char *hint)
{
	ErrandWork	work = {.tenant = tenant,.end = {sqlstate, text, hint},.until = MT_NEVER};

	if (mt_errands_any(tenant))
		refuse(&work);
}

/*
 * Ends all errands of the tenant, because nothing must be sent for it.
 */
void
mt_errands_refuse_resting(MtTenant *tenant)
{
	ErrandWork	work = {.tenant = tenant,.end = {UPSTREAM_ERROR},.resting = true,.until = MT_NEVER};

	if (mt_errands_any(tenant))
		refuse(&work);
}

/* Does somebody wait for the slot? */
static bool
awaited(MtTenant *tenant, const MtSlot *slot)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tenant->errands)
	{
		if (dlist_container(MtErrand, node, iter.cur)->slot == slot)
			return true;
	}
	return false;
}

/*
 * Drops the slots that nobody waits for any more, lest they use up the budget before those of others. One that is under way or has brought a page is kept:
 * what it brings is as good as any.
 */
static void
drop_unawaited(MtTenant *tenant)
{
	dlist_mutable_iter iter;

	if (tenant->job == NULL)
		return;
	dlist_foreach_modify(iter, &tenant->job->urgent)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if (slot->state == MT_SLOT_WAITING && slot->trail == NULL && !awaited(tenant, slot))
		{
			dlist_delete(&slot->node);
			mt_pull_free_slot(tenant, slot);
		}
	}
}

/* The tickets of errands, and those of them that nobody wants any more. */
typedef struct GoneWork
{
	int64	   *tickets;
	int			count;
	int64	   *gone;
	int			gone_count;
} GoneWork;

static void
gone_work(void *argument)
{
	GoneWork   *work = argument;

	work->gone_count = mt_sql_requests_gone(work->tickets, work->count, work->gone);
}

/* Could the errand be sent now, as far as it depends on itself? */
static bool
is_due(const MtErrand *errand, int64 now)
{
	return errand->slot == NULL || (errand->slot->state == MT_SLOT_WAITING && errand->slot->not_before <= now);
}

/* Forgets the errands of those who were cancelled or have ended. Asked when something could be sent, for before that nothing depends on it. */
static void
forget_gone(MtTenant *tenant)
{
	int64		now = mt_now();
	GoneWork	work = {0};
	MtFailure	failure;
	dlist_iter	iter;
	dlist_mutable_iter mutable;
	int			due = 0;

	dlist_foreach(iter, &tenant->errands)
		due += is_due(dlist_container(MtErrand, node, iter.cur), now);
	if (due == 0 || Max(tenant->backoff_until, tenant->hold_until) > now ||
		(tenant->job != NULL && mt_budget_next(&tenant->budget, now, true) > now))
		return;
	work.tickets = palloc(sizeof(int64) * (Size) due);
	work.gone = palloc(sizeof(int64) * (Size) due);
	dlist_foreach(iter, &tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, iter.cur);

		if (is_due(errand, now))
			work.tickets[work.count++] = errand->ticket;
	}
	/* Where they cannot be told apart all are served. */
	if (!mt_in_transaction(gone_work, &work, &failure))
		work.gone_count = 0;
	dlist_foreach_modify(mutable, &tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, mutable.cur);

		for (int i = 0; i < work.gone_count; i++)
		{
			if (errand->ticket != work.gone[i])
				continue;
			forget(errand);
			break;
		}
	}
	pfree(work.tickets);
	pfree(work.gone);
}

/*
 * Ends the errands whose time is up or that nobody wants any more, and those whose time will be before the tenant may send again.
 */
void
mt_errands_settle(MtTenant *tenant)
{
	int64		now = mt_now();
	ErrandWork	expired = {.tenant = tenant,.until = now};
	ErrandWork	work = {.tenant = tenant,.end = {UPSTREAM_ERROR},.resting = true,.until = Max(tenant->backoff_until, tenant->hold_until)};
	dlist_iter	iter;

	forget_concerned(&expired);
	forget_gone(tenant);
	drop_unawaited(tenant);
	if (work.until <= now)
		return;
	dlist_foreach(iter, &tenant->errands)
	{
		if (concerns(&work, dlist_container(MtErrand, node, iter.cur)))
		{
			refuse(&work);
			return;
		}
	}
}

/* The stage that brings one user's progress; NULL when the contract has none that can be used. */
static const MtStage *
user_stage(const MtJob *job)
{
	for (int i = 0; i < job->source.contract->stage_count; i++)
	{
		const MtStage *stage = &job->source.contract->stages[i];

		if ((stage->over == MT_OVER_USERS || stage->over == MT_OVER_EMAILS) && mt_contract_stage(&job->source, MT_PHASE_PROGRESS, stage->name) != NULL)
			return stage;
	}
	return NULL;
}

/* A slot for the user that is not sent yet; NULL when there is none. */
static MtSlot *
waiting_slot(MtJob *job, const char *user_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &job->urgent)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if (slot->state == MT_SLOT_WAITING && slot->trail == NULL && strcmp(slot->item.key, user_id) == 0)
			return slot;
	}
	return NULL;
}

/* Gives the errand a slot, or ends it. Inside a transaction of the tenant. */
static void
take_up(MtTenant *tenant, MtErrand *errand, const MtStage *stage)
{
	MtJob	   *job = tenant->job;
	MtErrandUser user = {0};
	MtRequestEnd end = {.sqlstate = ERRCODE_NO_DATA_FOUND};
	const char *upstream_id;
	int64		allowed;

	if (strcmp(errand->kind, "pull") != 0 || stage == NULL)
	{
		end.sqlstate = ERRCODE_FEATURE_NOT_SUPPORTED;
		end.text = psprintf("the sync worker does not know how to do this for tenant \"%s\" (%s)", tenant->tenant_id, errand->kind);
		mt_sql_finish_request(errand->ticket, &end);
		return;
	}
	if (!mt_sql_errand_user(tenant->tenant_id, errand->subject, CurrentMemoryContext, &user))
	{
		/* Whom the roster has not brought yet may be known upstream by this id. */
		user.user_id = user.mindtickle_id = errand->subject;
		end.text = "there is no such user";
		end.hint = "The next pull of the roster brings new users; mt_sync_tenant asks for one.";
	}
	else
	{
		end.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		end.text = "the user is not known to MindTickle yet";
		end.hint = "A pull of the roster links users by their e-mail; mt_sync_tenant asks for one.";
	}
	upstream_id = stage->over == MT_OVER_EMAILS ? user.email : user.mindtickle_id;
	if (upstream_id == NULL || upstream_id[0] == '\0')
	{
		mt_sql_finish_request(errand->ticket, &end);
		return;
	}
	errand->slot = waiting_slot(job, user.user_id);
	if (errand->slot == NULL)
		errand->slot = mt_pull_urgent_slot(tenant, stage, user.user_id, upstream_id);
	allowed = mt_budget_next(&tenant->budget, mt_now(), true);
	if (allowed != MT_NEVER && allowed > mt_now() + WAIT_TOLD)
		mt_sql_request_step(errand->ticket, WAITS_FOR_BUDGET);
}

static void
take_up_work(void *argument)
{
	MtTenant   *tenant = argument;
	const MtStage *stage = user_stage(tenant->job);
	dlist_iter	iter;

	mt_sql_enter_tenant(tenant->tenant_id);
	dlist_foreach(iter, &tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, iter.cur);

		if (errand->slot == NULL)
			take_up(tenant, errand, stage);
	}
}

/*
 * Gives slots to the errands that have none. False when the job is gone.
 */
bool
mt_errands_take_up(MtTenant *tenant)
{
	ErrandWork	ended = {.tenant = tenant,.until = MT_NEVER};
	bool		waiting = false;
	MtFailure	failure;
	dlist_iter	iter;
	dlist_mutable_iter mutable;

	dlist_foreach(iter, &tenant->errands)
		waiting |= dlist_container(MtErrand, node, iter.cur)->slot == NULL;
	if (!waiting || tenant->backoff_until > mt_now())
		return true;
	if (!mt_in_transaction(take_up_work, tenant, &failure))
	{
		ended.end = (MtRequestEnd) {failure.sqlstate, failure.text, NULL};
		refuse(&ended);
		mt_job_trouble(tenant, &failure);
		return false;
	}
	/* Those that have none now were answered. */
	dlist_foreach_modify(mutable, &tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, mutable.cur);

		if (errand->slot == NULL)
			forget(errand);
	}
	return true;
}

/*
 * The job is dropped, and with it every slot: its errands wait for the next one.
 */
void
mt_errands_put_back(MtTenant *tenant)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tenant->errands)
		dlist_container(MtErrand, node, iter.cur)->slot = NULL;
}

/*
 * Ends the slot's errands, in the transaction that stores what it brought, changed rows of it; how says what became of the slot.
 */
void
mt_errand_answered(MtTenant *tenant, MtSlot *slot, MtItemEnd how, int64 changed)
{
	ErrandWork	work = {.tenant = tenant,.slot = slot,.until = MT_NEVER};

	switch (how)
	{
		case MT_ITEM_STORED:
			if (changed == 0)
				mt_sql_progress_pulled(tenant->tenant_id, slot->item.key);
			work.end.text = slot->item.key;
			break;
		case MT_ITEM_ABSENT:
			work.end = (MtRequestEnd) {ERRCODE_NO_DATA_FOUND, "MindTickle does not know this user", NULL};
			break;
		case MT_ITEM_AGAIN:
		case MT_ITEM_LOST:
			work.end.sqlstate = UPSTREAM_ERROR;
			work.end.text = slot->problem == NULL ? "MindTickle gives no usable answer" : psprintf("MindTickle gives no usable answer: %s", slot->problem);
			work.end.hint = "Nothing has changed; try again later. mt_stat_tenant shows how often that happens.";
			break;
	}
	finish_concerned(&work);
}

/*
 * The transaction has committed: slot and errands are gone.
 */
void
mt_errand_done(MtTenant *tenant, MtSlot *slot)
{
	ErrandWork	work = {.tenant = tenant,.slot = slot,.until = MT_NEVER};

	forget_concerned(&work);
	dlist_delete(&slot->node);
	mt_pull_free_slot(tenant, slot);
}

/*
 * The slot cannot be done in this way: its errands are taken up anew.
 */
void
mt_errand_again(MtTenant *tenant, MtSlot *slot)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tenant->errands)
	{
		MtErrand   *errand = dlist_container(MtErrand, node, iter.cur);

		if (errand->slot == slot)
			errand->slot = NULL;
	}
	dlist_delete(&slot->node);
	mt_pull_free_slot(tenant, slot);
}

/*
 * The transaction has failed: who asked is told why. The slot goes with its job.
 */
void
mt_errand_failed(MtTenant *tenant, MtSlot *slot, const MtFailure *failure)
{
	ErrandWork	work = {.tenant = tenant,.slot = slot,.until = MT_NEVER};

	work.end.sqlstate = failure->sqlstate;
	work.end.text = psprintf("what was pulled could not be stored: %s", failure->text);
	if (failure->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		work.end.hint = "Another transaction holds a lock on the rows or the table, perhaps while it waits for one of yours.";
	refuse(&work);
}
