/*
 * tenant_store.c
 *		Stores the answers of a tenant's pull and, in the same transaction, how far the pull has come.
 *
 * Called by tenant_answer.c with a good answer, by tenant_pull.c where a report goes on or a phase ends. Because the records and the position are stored
 * together, a worker that is killed at any moment goes on exactly behind what is stored; and because storing a record twice changes nothing, it may go
 * back further, as it does in the midst of a long report.
 *
 * The position in memory is changed along the way. Where the transaction fails, the job is forgotten and read again from the database, so the
 * two cannot differ.
 */
#include "tenant.h"

#include "errand.h"
#include "statements.h"
#include "utils/memutils.h"

/* A listing ends after so many pages, whatever it says; and after so many in a row that brought no usable record. */
#define PAGES_MAX		10000
#define BARREN_MAX		10
/* One that is continued may have so many pages in a row that bring nothing new, and so many records more than twice what it says. */
#define REPEATED_MAX	2
#define EXCESS_MAX		1000
/* How often a listing is begun anew because a continuation failed or led back. */
#define RESTARTS_MAX	3
/* One in so many records may be missing where a listing says that it is at its end. */
#define TOTAL_TOLERANCE	100

typedef struct StoreWork
{
	MtTenant   *tenant;
	MtSlot	   *slot;			/* NULL: the phase ends without an answer */
	MtPage	   *page;
	int			gathered;		/* so many records of the page are in the slot's trail already, or stored */
	bool		rests;			/* the remainder of the page is for another turn */
	char	   *next;			/* the continuation; NULL: none */
	MtItemEnd	how;			/* of an item */
	bool		item_goes_on;	/* with another page */
	bool		restarts;		/* the phase, perhaps in another way */
	bool		ends;			/* the phase */
	bool		complete;
	const char *error;			/* of the phase */
	bool		forgivable;		/* the error does not fail the pull */
	bool		cancelled;
	bool		closed;			/* the job is over */
} StoreWork;

/*
 * Notes how many records the listing is said to have. Pages that are found by their offset may have moved when that changes. Continuations go on
 * all the same, and people come and go meanwhile: there the least number counts.
 */
static void
note_total(MtPosition *position, int64 total, bool continued)
{
	if (total < 0)
		return;
	if (position->total >= 0 && total != position->total && !continued)
		position->unsteady = true;
	if (!continued || position->total < 0 || total < position->total)
		position->total = total;
	position->most = Max(position->most, total);
}

/* Why a listing must not go on after this page; NULL: it may. */
static const char *
endless(const MtPosition *position, const MtStoreCounts *counts, bool continued)
{
	if (position->barren > (continued ? REPEATED_MAX : 0) && (counts->rejected < counts->received || position->barren >= BARREN_MAX))
		return "a page of the listing brought nothing new: the listing repeats itself";
	if (position->pages >= PAGES_MAX || (continued && position->total >= 0 && position->seen > 2 * position->total + EXCESS_MAX))
		return "the listing does not end";
	return NULL;
}

/* Is the listing, which has ended, at its end? Where it says so itself, a total that is slightly off does not matter. */
static bool
is_complete(const MtPosition *position, bool says_so)
{
	int64		missing = position->total - position->seen;

	return !position->unsteady && missing <= (says_so ? Max(position->total / TOTAL_TOLERANCE, 1) : 0);
}

/*
 * Has the listing shown everybody, so that who was absent is gone? A total that is off cannot be told from somebody who was skipped, nor can one that
 * fell meanwhile: the next pull tells.
 */
static bool
is_whole(const MtPosition *position)
{
	return !position->unsteady && position->seen >= position->most;
}

/* Moves the position behind a page that is stored, and decides whether the listing ends with it. */
static void
account_page(StoreWork *work, const MtStoreCounts *counts)
{
	MtJob	   *job = work->tenant->job;
	MtPosition *position = &job->position;
	MtPage	   *page = work->page;
	bool		continued = work->next != NULL || position->cursor.next != NULL;

	position->pages++;
	/* Those rejected are among them, by their ids or as somebody of whom nobody knows who it is. */
	position->seen += counts->fresh;
	position->barren = page->count > 0 && counts->fresh == 0 ? position->barren + 1 : 0;
	note_total(position, page->total, continued);
	position->cursor.offset += page->step;
	position->cursor.limit = page->limit;
	position->cursor.next = work->next == NULL ? NULL : pstrdup(work->next);
	job->done += counts->received;
	job->total = position->total;

	work->error = endless(position, counts, continued);
	/* Continuations that led back may not do so the next time. */
	work->restarts = work->error != NULL && continued && position->round < RESTARTS_MAX;
	if (work->restarts)
		return;
	if (continued)
		work->ends = work->error != NULL || page->count == 0 || work->next == NULL;
	else
		work->ends = work->error != NULL || page->step == 0 || page->count == 0 ||
			(position->total >= 0 && position->cursor.offset >= position->total);
	if (!work->ends || work->error != NULL)
		return;

	/* A user who is absent from a listing that may have skipped somebody is not gone. */
	work->complete = job->phase != MT_PHASE_ROSTER || is_complete(position, page->last);
	if (!work->complete)
	{
		work->error = "the roster changed while it was read, so nobody was deactivated; the next pull reads it again";
		work->forgivable = true;
	}
}

/* Moves the position over the items that are done. */
static void
account_item(StoreWork *work)
{
	MtJob	   *job = work->tenant->job;
	MtPosition *position = &job->position;
	MtSlot	   *slot = work->slot;
	const char *after = NULL;
	dlist_iter	iter;

	slot->state = MT_SLOT_FINISHED;
	job->finished_count++;
	job->done++;
	if (work->how == MT_ITEM_AGAIN && !mt_position_again(position, &slot->item))
		work->how = MT_ITEM_LOST;
	if (work->how == MT_ITEM_LOST)
		position->lost++;
	if (slot->again)
	{
		job->done--;
		if (work->how != MT_ITEM_AGAIN)
			mt_position_not_again(position, slot->item.key);
		return;
	}
	dlist_foreach(iter, &job->slots)
	{
		MtSlot	   *earlier = dlist_container(MtSlot, node, iter.cur);

		if (earlier->state != MT_SLOT_FINISHED)
			break;
		after = earlier->item.key;
	}
	if (after != NULL)
	{
		pfree(position->after);
		position->after = pstrdup(after);
	}
}

/* Begins a phase at its start. Its way of being done is chosen by choose_stage. */
static void
begin_phase(MtJob *job)
{
	mt_position_start(&job->position);
	job->done = 0;
	job->total = -1;
}

/* What a pull that lacks scores says of it, palloc'd. */
static char *
error_of_scores(const MtJob *job)
{
	return psprintf("%s: %s", mt_phase_name(job->phase), job->position.scores);
}

/* Nobody misses scores any more. */
static void
forget_scores(MtPosition *position, const char *error)
{
	if (position->error != NULL && strcmp(position->error, error) == 0)
		position->error = NULL;
	position->scores = NULL;
}

/*
 * Notes, as the way to pull progress is chosen, whether it goes without a reporting user whom it should have. He may come back before the phase ends;
 * or be taken away, and then nobody misses him.
 */
static void
note_scores(MtJob *job)
{
	MtPosition *position = &job->position;

	/* It begins anew, or he was taken away. */
	if (position->scores != NULL && (position->stage[0] == '\0' || (job->source.reporting_url == NULL && !job->scores_unreadable)))
		forget_scores(position, error_of_scores(job));
	if (job->scores_unreadable)
	{
		position->scores = MemoryContextStrdup(job->context, psprintf("scores were not pulled: %s", job->unreadable));
		if (position->error == NULL)
			position->error = MemoryContextStrdup(job->context, error_of_scores(job));
	}
	else if (job->source.reporting_refused)
		position->scores = MemoryContextStrdup(job->context, "scores were not pulled, for the reporting_user is refused");
}

/*
 * Finds out how the phase is done: as saved with the position if that is still possible and is no listing of another source, else anew and from its
 * start. Phases that the contract does not have, or for which nothing is configured, are passed over. False when there is none left.
 */
static bool
choose_stage(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	MemoryContext previous = MemoryContextSwitchTo(job->context);
	const MtStage *stage = NULL;

	if (job->position.stage[0] != '\0')
		stage = mt_contract_stage(&job->source, job->phase, job->position.stage);
	/* Half of one listing and half of another would show who is absent from both. */
	if (stage != NULL && stage->over == MT_OVER_LISTING && job->position.origin != job->origin)
		stage = NULL;
	if (stage == NULL && job->position.stage[0] != '\0')
	{
		begin_phase(job);
		mt_sql_sync_forget_seen(tenant->tenant_id, job->job_id, job->phase);
	}
	while (stage == NULL && job->phase != MT_PHASE_END)
	{
		MtCounts	counts = {0};

		if (job->phase == MT_PHASE_PROGRESS)
			mt_sql_count_costs(tenant->tenant_id, &counts);
		stage = mt_contract_choose(&job->source, job->phase, &counts);
		if (stage != NULL)
			continue;
		/* Results of quizzes came with the scores. */
		if (job->phase == MT_PHASE_QUIZ_RESULTS && job->position.scores != NULL)
			mt_sql_sync_finish_phase(tenant->tenant_id, job->job_id, job->phase, false, false, job->position.scores, &job->position);
		else
			mt_sql_sync_pass_phase(tenant->tenant_id, job->job_id, job->phase);
		job->phase++;
	}
	job->stage = stage;
	if (stage != NULL && job->phase == MT_PHASE_PROGRESS)
		note_scores(job);
	if (stage != NULL && job->position.stage[0] == '\0')
	{
		job->position.stage = MemoryContextStrdup(job->context, stage->name);
		job->position.origin = job->origin;
		if (stage->changes)
			job->position.cursor.since = mt_sql_sync_since(tenant->tenant_id, job->job_id, job->phase, job->context);
		if (stage->over != MT_OVER_LISTING)
			job->total = mt_sql_count_items(stage->over, tenant->tenant_id, job->job_id);
	}
	MemoryContextSwitchTo(previous);
	return stage != NULL;
}

/*
 * The same for a job that is opened, inside a transaction of the tenant. False when nothing is left to do. What has begun anew is saved as such: the
 * next to open the job could take it for the half of a listing whose other half is forgotten.
 */
bool
mt_store_choose_stage(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;
	MtStoreCounts counts = {0};

	if (!choose_stage(tenant))
		return false;
	(void) mt_sql_sync_advance(tenant->tenant_id, job->job_id, job->phase, mt_position_write(&job->position), job->done, job->total, &counts);
	return true;
}

/* Where scores are missing the progress is not complete, and where reports are, so are the scores. */
static void
account_scores(StoreWork *work)
{
	MtJob	   *job = work->tenant->job;
	MtPosition *position = &job->position;

	if (position->scores != NULL)
	{
		work->complete = false;
		if (work->error == NULL)
			work->error = position->scores;
	}
	else if (!work->complete && job->stage->records == MT_RECORDS_REPORTS)
		position->scores = MemoryContextStrdup(job->context, work->error);
}

/* Goes on to the next phase; behind the last the job is over. */
static void
end_phase(StoreWork *work)
{
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MtPosition *position = &job->position;
	bool		whole = is_whole(position);
	MemoryContext previous;

	if (job->phase == MT_PHASE_PROGRESS)
		account_scores(work);
	if (job->phase == MT_PHASE_ROSTER && work->complete && !whole)
		ereport(LOG,
				(errmsg("the roster of tenant \"%s\" showed " INT64_FORMAT " of the " INT64_FORMAT " users that it says there are, so nobody was deactivated",
						tenant->tenant_id, position->seen, position->most)));
	mt_sql_sync_finish_phase(tenant->tenant_id, job->job_id, job->phase, work->complete, whole, work->error, position);
	previous = MemoryContextSwitchTo(job->context);
	if (work->error != NULL && !work->forgivable && position->error == NULL)
		position->error = psprintf("%s: %s", mt_phase_name(job->phase), work->error);
	begin_phase(job);
	job->phase++;
	MemoryContextSwitchTo(previous);
	work->closed = !choose_stage(tenant);
}

/* Begins the phase anew: a listing from its start, items in another way, and then the reason will be the error of the pull. */
static void
restart_phase(StoreWork *work)
{
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	int			round = job->position.round;
	MemoryContext previous;

	mt_sql_sync_forget_seen(tenant->tenant_id, job->job_id, job->phase);
	previous = MemoryContextSwitchTo(job->context);
	if (job->stage->over != MT_OVER_LISTING && job->position.error == NULL)
		job->position.error = psprintf("%s: %s", mt_phase_name(job->phase), work->error);
	begin_phase(job);
	if (job->stage->over == MT_OVER_LISTING)
		job->position.round = round + 1;
	MemoryContextSwitchTo(previous);
	work->closed = !choose_stage(tenant);
}

static void
store_work(void *argument)
{
	StoreWork  *work = argument;
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MtStoreCounts counts = {0};
	MemoryContext previous;
	char		step[100];

	snprintf(step, sizeof(step), "storing %s of %s", mt_phase_name(work->slot == NULL ? job->phase : work->slot->stage->phase), tenant->tenant_id);
	mt_sql_enter_tenant_for(tenant->tenant_id, step);
	if (work->slot != NULL)
		work->rests = mt_records_store(tenant, work->slot, work->page, &work->gathered, &counts);

	if (work->slot != NULL && work->slot->urgent)
	{
		/* It is no part of the pull. */
		if (!work->item_goes_on)
			mt_errand_answered(tenant, work->slot, work->how, counts.changed);
		mt_job_flush_counters(tenant, false);
		mt_sql_worker_report("pulling", counts.received);
		return;
	}
	job->position.latest = Max(job->position.latest, counts.latest);
	previous = MemoryContextSwitchTo(job->context);
	if (work->slot != NULL && work->slot->item.key != NULL)
	{
		if (!work->item_goes_on && !work->rests)
			account_item(work);
	}
	else if (work->page != NULL)
		account_page(work, &counts);
	MemoryContextSwitchTo(previous);
	if (work->restarts)
		restart_phase(work);
	else if (work->ends)
		end_phase(work);

	/* A report that is begun again is counted once. */
	if (work->slot != NULL)
	{
		counts.rejected += work->slot->rejected;
		work->slot->rejected = work->rests ? counts.rejected : 0;
		if (work->rests)
			counts.rejected = 0;
	}
	mt_job_flush_counters(tenant, work->ends);
	work->cancelled = !mt_sql_sync_advance(tenant->tenant_id, job->job_id, Min(job->phase, MT_PHASE_END - 1),
										   mt_position_write(&job->position), job->done, job->total, &counts);
	if (work->closed && job->position.error == NULL)
		job->position.error = job->unreadable;
	if (work->closed && !work->cancelled)
		mt_sql_sync_close(tenant->tenant_id, job->job_id, job->position.error == NULL ? "done" : "failed", job->position.error);
}

/* The job is over. */
static void
report_end(const MtTenant *tenant)
{
	const MtJob *job = tenant->job;

	if (job->ignored > 0)
		ereport(LOG,
				(errmsg("the pull of tenant \"%s\" left out " INT64_FORMAT " records that tell nothing known", tenant->tenant_id, job->ignored)));
	if (job->position.error != NULL)
		ereport(LOG, (errmsg("the pull of tenant \"%s\" failed: %s", tenant->tenant_id, job->position.error)));
	else if (job->failures > 0)
		ereport(LOG,
				(errmsg("the pull of tenant \"%s\" is complete, after " INT64_FORMAT " requests that failed", tenant->tenant_id,
						job->failures)));
}

/* Runs the transaction, and brings the memory in step with it. False when the job is gone or the phase has ended. */
static bool
store(StoreWork *work)
{
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MtFailure	failure;
	/* What somebody waits for must be there when he is answered; the pull goes on from what is there. */
	bool		urgent = work->slot != NULL && work->slot->urgent;

	if (!(urgent ? mt_in_transaction : mt_in_unflushed_transaction) (store_work, work, &failure))
	{
		if (work->slot != NULL && work->slot->urgent)
			mt_errand_failed(tenant, work->slot, &failure);
		mt_job_trouble(tenant, &failure);
		return false;
	}
	/* A part of a report is stored again as often as the rest fails. */
	if (!work->rests)
		tenant->troubles = 0;
	tenant->refused_secret = 0;
	if (work->closed || work->cancelled)
	{
		if (!work->cancelled)
			report_end(tenant);
		mt_job_release(tenant);
		tenant->due_at = MT_NEVER;
		mt_sync_look();
		return false;
	}
	if (work->ends || work->restarts)
	{
		mt_pull_drop_slots(tenant);
		mt_pull_start_phase(job);
		return false;
	}
	if (work->page != NULL)
	{
		job->stage_worked |= !work->slot->urgent;
		job->failures_in_row = job->rounds = 0;
	}
	return true;
}

/* Takes the slot's answer apart. *next: the continuation, NULL when there is none. NULL, or what is wrong with the answer. */
static const char *
read_page(const MtTenant *tenant, const MtSlot *slot, MtPage *page, char **next)
{
	const char *problem = slot->stage->read_page(slot->request->body, slot->request->length, &slot->cursor, page);

	*next = NULL;
	/* An empty page ends a listing, whatever it says. */
	if (problem != NULL || page->next.start == NULL || page->count == 0)
		return problem;
	*next = mt_continuation(page->next, mt_pull_url(tenant, slot));
	if (*next == NULL)
		return "where it goes on cannot be read";
	if (slot->cursor.next != NULL && strcmp(*next, slot->cursor.next) == 0)
		return "it goes on with itself";
	return NULL;
}

/* Stores the page at the head of the window. False when nothing behind it can be stored now. */
static bool
store_page(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	MtPage		page;
	StoreWork	work = {.tenant = tenant, .slot = slot, .page = &page};
	const char *problem = read_page(tenant, slot, &page, &work.next);

	if (problem != NULL)
	{
		(void) mt_pull_unusable(tenant, slot, problem);
		return false;
	}
	if (!store(&work))
		return false;
	mt_pull_drop_slot(tenant, slot);

	/* The page may have been longer or shorter than foreseen: then those asked for ahead are not the next ones. */
	if (dlist_is_empty(&job->slots) ||
		dlist_head_element(MtSlot, node, &job->slots)->cursor.offset != job->position.cursor.offset)
	{
		mt_pull_drop_slots(tenant);
		job->next = job->position.cursor;
		return false;
	}
	return true;
}

/* Drops the items at the head of the window that are done. */
static void
drop_finished(MtTenant *tenant)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &tenant->job->slots)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);

		if (slot->state != MT_SLOT_FINISHED)
			break;
		mt_pull_drop_slot(tenant, slot);
	}
}

/*
 * Forgets the earlier pages of an item, which will be asked for from the first.
 */
void
mt_store_forget_trail(MtSlot *slot)
{
	if (slot->trail == NULL)
		return;
	mt_trail_end(slot->trail);
	slot->trail = NULL;
	if (slot->cursor.next != NULL)
		pfree(slot->cursor.next);
	slot->cursor.next = NULL;
}

/* The item has another page. */
static void
wait_for_page(MtJob *job, MtSlot *slot, const char *next)
{
	mt_http_free(slot->request);
	slot->request = NULL;
	slot->state = MT_SLOT_WAITING;
	slot->not_before = 0;
	slot->tries = 0;
	slot->refusals = 0;
	if (slot->cursor.next != NULL)
		pfree(slot->cursor.next);
	slot->cursor.next = MemoryContextStrdup(job->context, next);
}

/* Stores an item, or one of its pages. False when the job is gone or the phase has ended. */
static bool
store_item(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	MtPage		page;
	StoreWork	work = {.tenant = tenant, .slot = slot, .page = &page, .gathered = slot->stored, .how = MT_ITEM_STORED};
	const char *problem = read_page(tenant, slot, &page, &work.next);
	bool		anew = slot->stored == 0;

	/* What must be stored by one call is gathered first, also of a single page, for it must not take more than may be gathered. */
	if (problem == NULL && slot->trail == NULL && (work.next != NULL || slot->stage->together == MT_TOGETHER_ALWAYS))
		slot->trail = mt_trail_begin(job->context);
	if (problem == NULL && work.next != NULL && anew && !mt_trail_note(slot->trail, work.next))
		problem = "its continuations lead back, or do not end";
	if (problem != NULL)
	{
		slot->stored = slot->rejected = 0;
		return mt_pull_unusable(tenant, slot, problem);
	}
	if (slot->stage->together != MT_TOGETHER_NOT && slot->trail != NULL && anew)
	{
		MtTrailRoom room = mt_records_keep(tenant->job, slot, &page, &work.gathered);

		if (room == MT_TRAIL_FULL && slot->stage->together == MT_TOGETHER_ALWAYS)
			return mt_store_item_end(tenant, slot, MT_ITEM_LOST);
		/* What is whole makes room by being stored. */
		if (room == MT_TRAIL_CROWDED && slot->stage->together == MT_TOGETHER_ALWAYS && work.next != NULL)
		{
			mt_store_forget_trail(slot);
			return mt_pull_unusable(tenant, slot, "too many long ones are read at once");
		}
		/* The rest of them comes with the next page. */
		if (room == MT_TRAIL_ROOM && work.next != NULL)
		{
			wait_for_page(job, slot, work.next);
			return true;
		}
	}
	work.item_goes_on = work.next != NULL;
	if (!store(&work))
		return false;
	slot->stored = work.rests ? work.gathered : 0;
	if (work.rests)
	{
		if (slot->trail != NULL)
			mt_trail_empty(slot->trail);
		return true;
	}
	if (work.item_goes_on)
	{
		mt_trail_empty(slot->trail);
		wait_for_page(job, slot, work.next);
		return true;
	}
	if (slot->urgent)
	{
		mt_errand_done(tenant, slot);
		return true;
	}
	/* The slot may have to wait for an earlier item, its answer not. */
	mt_http_free(slot->request);
	slot->request = NULL;
	mt_store_forget_trail(slot);
	drop_finished(tenant);
	return true;
}

/*
 * Stores what can be now that the slot has its answer: an item at once, pages of a listing in their order. False when the job is gone or the phase
 * has ended.
 */
bool
mt_store_answers(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;

	if (slot->item.key != NULL)
		return store_item(tenant, slot);
	while (!dlist_is_empty(&job->slots))
	{
		MtSlot	   *head = dlist_head_element(MtSlot, node, &job->slots);

		if (head->state != MT_SLOT_ANSWERED)
			return true;
		if (!store_page(tenant, head))
			return false;
	}
	return true;
}

/*
 * Goes on with a report of which a part is stored. False when there is none; else there may be more of it, the phase may have ended, or the job be
 * gone.
 */
bool
mt_store_rest(MtTenant *tenant)
{
	dlist_iter	iter;

	dlist_foreach(iter, &tenant->job->slots)
	{
		MtSlot	   *slot = dlist_container(MtSlot, node, iter.cur);
		MemoryContext reading;
		MemoryContext previous;

		if (slot->stored == 0)
			continue;
		/* Many tenants may have one in the same turn, and each reads all of it again. */
		reading = AllocSetContextCreate(CurrentMemoryContext, "mindtickle rest of a report", ALLOCSET_DEFAULT_SIZES);
		previous = MemoryContextSwitchTo(reading);
		(void) store_item(tenant, slot);
		MemoryContextSwitchTo(previous);
		MemoryContextDelete(reading);
		return true;
	}
	return false;
}

/*
 * Is done with an item that was not stored. False when the job is gone.
 */
bool
mt_store_item_end(MtTenant *tenant, MtSlot *slot, MtItemEnd how)
{
	StoreWork	work = {.tenant = tenant, .slot = slot, .how = how};

	mt_store_forget_trail(slot);
	if (!store(&work))
		return false;
	if (slot->urgent)
		mt_errand_done(tenant, slot);
	drop_finished(tenant);
	return true;
}

/*
 * Ends the phase without an answer; forgivable: its error does not fail the pull. Always false, like the others: the job may be gone, and what
 * was under way is dropped.
 */
bool
mt_store_phase_end(MtTenant *tenant, bool complete, bool forgivable, const char *error)
{
	StoreWork	work = {.tenant = tenant, .ends = true, .complete = complete, .forgivable = forgivable, .error = error};

	return store(&work);
}

/*
 * Begins the phase anew, for the reason given: a listing whose continuation is gone, or items that must be read in another way. Always false.
 */
bool
mt_store_restart(MtTenant *tenant, const char *error)
{
	const MtJob *job = tenant->job;
	StoreWork	work = {.tenant = tenant, .restarts = true, .error = error};

	if (job->stage->over == MT_OVER_LISTING && job->position.round >= RESTARTS_MAX)
		return mt_store_phase_end(tenant, false, false, error);
	return store(&work);
}
