/*
 * tenant_store.c
 *		Stores the answers of a tenant's pull and, in the same transaction, how far the pull has come.
 *
 * Called by tenant_answer.c with a good answer, and where a phase ends. Because the records and the position are stored together, a worker that
 * is killed at any moment goes on exactly behind what is stored; and because storing a record twice changes nothing, it would not matter if it
 * went back further.
 *
 * The position in memory is changed along the way. Where the transaction fails, the job is forgotten and read again from the database, so the
 * two cannot differ.
 */
#include "tenant.h"

#include "statements.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* A listing ends after so many pages, whatever it says; and after so many in a row that brought no usable record. */
#define PAGES_MAX		10000
#define BARREN_MAX		10
/* Records stored by one statement: at most so many, and no more once they have so many bytes. */
#define BATCH_RECORDS	1000
#define BATCH_BYTES		(4 * 1024 * 1024)

typedef struct StoreWork
{
	MtTenant   *tenant;
	MtSlot	   *slot;			/* NULL: the phase ends without an answer */
	MtPage	   *page;
	MtUserEnd	how;			/* of a user */
	bool		ends;			/* the phase */
	bool		complete;
	const char *error;			/* of the phase */
	bool		forgivable;		/* the error does not fail the pull */
	bool		cancelled;
	bool		closed;			/* the job is over */
} StoreWork;

/* Stores the page's records, in batches. */
static void
store_records(MtTenant *tenant, const char *user_id, const MtPage *page, MtStoreCounts *counts)
{
	MtJob	   *job = tenant->job;
	Datum	   *records = palloc(sizeof(Datum) * BATCH_RECORDS);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "mindtickle records", ALLOCSET_DEFAULT_SIZES);
	int			next = 0;

	do
	{
		MemoryContext previous = MemoryContextSwitchTo(batch);
		Size		bytes = 0;
		int			count = 0;

		while (next < page->count && count < BATCH_RECORDS && bytes < BATCH_BYTES)
		{
			StringInfoData record;

			initStringInfo(&record);
			/* Room for the header of a bytea, which is what it becomes. */
			appendStringInfoSpaces(&record, VARHDRSZ);
			job->contract->canonical_record(job->phase, page->records[next++], &record);
			SET_VARSIZE(record.data, record.len);
			records[count++] = PointerGetDatum(record.data);
			bytes += (Size) record.len;
		}
		mt_sql_store(job->phase, tenant->tenant_id, job->job_id, user_id, records, count, counts);
		MemoryContextSwitchTo(previous);
		MemoryContextReset(batch);
	} while (next < page->count);
}

/* Moves the position behind a page that is stored, and decides whether the listing ends with it. */
static void
account_page(StoreWork *work, const MtStoreCounts *counts)
{
	MtJob	   *job = work->tenant->job;
	MtPosition *position = &job->position;
	MtPage	   *page = work->page;

	position->pages++;
	/* Of those rejected some are fresh and some cannot be told apart. */
	position->seen += Min(counts->fresh + counts->rejected, counts->received);
	position->barren = page->count > 0 && counts->fresh == 0 ? position->barren + 1 : 0;
	if (page->total >= 0 && position->total >= 0 && page->total != position->total)
		position->unsteady = true;
	if (page->total >= 0)
		position->total = page->total;
	position->cursor.offset += page->step;
	position->cursor.limit = page->limit;
	job->done += counts->received;
	job->total = position->total;

	if (position->barren > 0 && (counts->rejected < counts->received || position->barren >= BARREN_MAX))
		work->error = "a page of the listing brought nothing new: the listing repeats itself";
	else if (position->pages >= PAGES_MAX)
		work->error = "the listing does not end";
	work->ends = work->error != NULL || page->step == 0 || page->count == 0 ||
		(position->total >= 0 && position->cursor.offset >= position->total);
	if (!work->ends || work->error != NULL)
		return;

	/* A user who is absent from a listing that may have skipped somebody is not gone. */
	work->complete = job->phase != MT_PHASE_ROSTER ||
		(!position->unsteady && (position->total < 0 || position->seen >= position->total));
	if (!work->complete)
	{
		work->error = "the roster changed while it was read, so nobody was deactivated; the next pull reads it again";
		work->forgivable = true;
	}
}

/* Moves the position over the users that are done. */
static void
account_user(StoreWork *work)
{
	MtJob	   *job = work->tenant->job;
	MtPosition *position = &job->position;
	MtSlot	   *slot = work->slot;
	const char *after = NULL;
	dlist_iter	iter;

	slot->state = MT_SLOT_FINISHED;
	job->finished_count++;
	job->done++;
	if (work->how == MT_USER_AGAIN && !mt_position_again(position, slot->user.user_id, slot->user.mindtickle_id))
		work->how = MT_USER_LOST;
	if (work->how == MT_USER_LOST)
		position->lost++;
	if (slot->again)
	{
		job->done--;
		if (work->how != MT_USER_AGAIN)
			mt_position_not_again(position, slot->user.user_id);
		return;
	}
	dlist_foreach(iter, &job->slots)
	{
		MtSlot	   *earlier = dlist_container(MtSlot, node, iter.cur);

		if (earlier->state != MT_SLOT_FINISHED)
			break;
		after = earlier->user.user_id;
	}
	if (after != NULL)
	{
		pfree(position->after);
		position->after = pstrdup(after);
	}
}

/* Goes on to the next phase; behind the last the job is over. */
static void
end_phase(StoreWork *work)
{
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MtPosition *position = &job->position;
	MemoryContext previous;

	mt_sql_sync_finish_phase(tenant->tenant_id, job->job_id, job->phase, work->complete, work->error);
	previous = MemoryContextSwitchTo(job->context);
	if (work->error != NULL && !work->forgivable && position->error == NULL)
		position->error = psprintf("%s: %s", mt_phase_name(job->phase), work->error);
	if (job->phase + 1 == MT_PHASE_END)
		work->closed = true;
	else
	{
		mt_position_start(position);
		job->phase++;
		job->done = 0;
		job->total = -1;
	}
	MemoryContextSwitchTo(previous);
	if (job->phase == MT_PHASE_PROGRESS)
		job->total = mt_sql_count_users(tenant->tenant_id, job->job_id);
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

	snprintf(step, sizeof(step), "storing %s of %s", mt_phase_name(job->phase), tenant->tenant_id);
	mt_sql_worker_report(step, -1);
	mt_sql_enter_tenant(tenant->tenant_id);
	if (work->page != NULL && (work->page->count > 0 || job->phase == MT_PHASE_PROGRESS))
		store_records(tenant, work->slot->user.user_id, work->page, &counts);

	previous = MemoryContextSwitchTo(job->context);
	if (work->slot != NULL && job->phase == MT_PHASE_PROGRESS)
		account_user(work);
	else if (work->page != NULL)
		account_page(work, &counts);
	MemoryContextSwitchTo(previous);
	if (work->ends)
		end_phase(work);

	mt_job_flush_counters(tenant, work->ends);
	work->cancelled = !mt_sql_sync_advance(tenant->tenant_id, job->job_id, job->phase, mt_position_write(&job->position), job->done,
										   job->total);
	if (work->closed && !work->cancelled)
		mt_sql_sync_close(tenant->tenant_id, job->job_id, job->position.error == NULL ? "done" : "failed", job->position.error);
	mt_sql_worker_report("pulling", counts.received);
}

/* The job is over. */
static void
report_end(const MtTenant *tenant)
{
	const MtJob *job = tenant->job;

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

	if (!mt_in_transaction(store_work, work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return false;
	}
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
	if (work->ends)
	{
		mt_pull_drop_slots(tenant);
		mt_pull_start_phase(job);
		return false;
	}
	return true;
}

/* Stores the page at the head of the window. False when nothing behind it can be stored now. */
static bool
store_page(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	MtPage		page;
	StoreWork	work = {.tenant = tenant, .slot = slot, .page = &page};
	const char *problem = job->contract->read_page(job->phase, slot->request->body, slot->request->length, &slot->cursor, &page);

	if (problem != NULL)
	{
		(void) mt_pull_unusable(tenant, slot, problem);
		return false;
	}
	if (!store(&work))
		return false;
	job->failures_in_row = job->rounds = 0;
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

/* Drops the users at the head of the window that are done. */
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

/* Stores a user's progress. False when the job is gone or the phase has ended. */
static bool
store_user(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	MtPage		page;
	StoreWork	work = {.tenant = tenant, .slot = slot, .page = &page, .how = MT_USER_STORED};
	const char *problem = job->contract->read_page(job->phase, slot->request->body, slot->request->length, NULL, &page);

	if (problem != NULL)
		return mt_pull_unusable(tenant, slot, problem);
	if (!store(&work))
		return false;
	job->failures_in_row = job->rounds = 0;
	/* The slot may have to wait for an earlier user, its answer not. */
	mt_http_free(slot->request);
	slot->request = NULL;
	drop_finished(tenant);
	return true;
}

/*
 * Stores what can be now that the slot has its answer: a user's progress at once, pages in their order. False when the job is gone or the phase
 * has ended.
 */
bool
mt_store_answers(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;

	if (job->phase == MT_PHASE_PROGRESS)
		return store_user(tenant, slot);
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
 * Is done with a user whose progress was not stored. False when the job is gone.
 */
bool
mt_store_user_end(MtTenant *tenant, MtSlot *slot, MtUserEnd how)
{
	StoreWork	work = {.tenant = tenant, .slot = slot, .how = how};

	if (!store(&work))
		return false;
	drop_finished(tenant);
	return true;
}

/*
 * Ends the phase without an answer. Always false, like the others: the job may be gone, and what was under way is dropped.
 */
bool
mt_store_phase_end(MtTenant *tenant, bool complete, const char *error)
{
	StoreWork	work = {.tenant = tenant, .ends = true, .complete = complete, .error = error};

	/* Users who could not be read are counted; they do not fail the pull. */
	work.forgivable = tenant->job->phase == MT_PHASE_PROGRESS;

	return store(&work);
}
