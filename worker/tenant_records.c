/*
 * tenant_records.c
 *		The records of a tenant's answers on their way into the database: into our data model one by one, and stored in batches.
 *
 * Called by tenant_store.c, which knows what they mean for the pull and moves its position. Whatever is made of a record along the way is gone before
 * the next one is: an answer may have very many.
 */
#include "tenant.h"

#include "statements.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Records stored by one statement: at most so many, and no more once they take so much memory. */
#define BATCH_RECORDS	1000
#define BATCH_BYTES		(1024 * 1024)
/* Records of a report that are stored in one turn of the tenant: meanwhile nobody else is served. */
#define TURN_RECORDS	10000

/*
 * A record in our data model, as a bytea in the scratch context, where it replaces the one before; 0 where it tells nothing that we know of. What
 * is made along the way may be many times as much as the record.
 */
static Datum
canonical_record(MtJob *job, const MtStage *stage, const MtPage *page, int index, MemoryContext scratch)
{
	MemoryContext previous;
	StringInfoData record;

	MemoryContextReset(scratch);
	previous = MemoryContextSwitchTo(scratch);
	initStringInfo(&record);
	/* Room for the header of a bytea, which is what it becomes. */
	appendStringInfoSpaces(&record, VARHDRSZ);
	stage->canonical_record(&job->source, page, page->records[index], &record);
	MemoryContextSwitchTo(previous);
	if (record.len == VARHDRSZ)
	{
		job->ignored++;
		return (Datum) 0;
	}
	SET_VARSIZE(record.data, record.len);
	return PointerGetDatum(record.data);
}

/* Whose records are stored; where there is no pull they are of errands alone. */
static int64
job_of_records(const MtJob *job)
{
	return job->job_id == 0 ? MT_NO_PULL : job->job_id;
}

/* Stores the page's records between two, in batches; those that are better seen together in as few as their memory allows. */
static void
store_batches(MtTenant *tenant, const MtSlot *slot, const MtPage *page, int next, int end, MtStoreCounts *counts)
{
	MtJob	   *job = tenant->job;
	int			most = slot->stage->together == MT_TOGETHER_NOT ? BATCH_RECORDS : Max(end - next, 1);
	Datum	   *records = palloc(sizeof(Datum) * (Size) most);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "mindtickle records", ALLOCSET_DEFAULT_SIZES);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "mindtickle record", ALLOCSET_DEFAULT_SIZES);

	do
	{
		MemoryContext previous = MemoryContextSwitchTo(batch);
		int			count = 0;

		while (next < end && count < most && MemoryContextMemAllocated(batch, false) < BATCH_BYTES)
		{
			Datum		record = canonical_record(job, slot->stage, page, next++, scratch);

			if (record != (Datum) 0)
				records[count++] = datumCopy(record, false, -1);
		}
		mt_sql_store(slot->stage->records, tenant->tenant_id, job_of_records(job), slot->item.key, records, count, counts);
		MemoryContextSwitchTo(previous);
		MemoryContextReset(batch);
	} while (next < end);
	MemoryContextDelete(scratch);
	MemoryContextDelete(batch);
}

/*
 * Stores, inside a transaction of the tenant, what the slot has kept of its earlier pages and of this one (NULL: there is none), and of the rest as
 * much as is stored in one turn; *done: so many records of the page are kept or stored. True when some are left for another turn. To store in pieces
 * what may be seen in pieces is safe, for until the last one the position stays before the item.
 */
bool
mt_records_store(MtTenant *tenant, const MtSlot *slot, const MtPage *page, int *done, MtStoreCounts *counts)
{
	const MtTrail *trail = slot->trail;
	bool		has_kept = trail != NULL && slot->stage->together != MT_TOGETHER_NOT && slot->stored == 0;
	int			end;

	if (has_kept)
		mt_sql_store(slot->stage->records, tenant->tenant_id, job_of_records(tenant->job), slot->item.key, trail->records, trail->count, counts);
	if (page == NULL || (*done == page->count && (slot->item.key == NULL || has_kept)))
		return false;
	end = page->count;
	if (slot->stage->together == MT_TOGETHER_MOSTLY && !slot->urgent)
		end = Min(end, *done + TURN_RECORDS);
	store_batches(tenant, slot, page, *done, end, counts);
	*done = end;
	return end < page->count;
}

/*
 * Keeps records of a page in the slot's trail until the last page of its item is there, as far as there is room; *done: so many of them are.
 */
MtTrailRoom
mt_records_keep(MtJob *job, MtSlot *slot, const MtPage *page, int *done)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "mindtickle record", ALLOCSET_DEFAULT_SIZES);
	MtTrailRoom room = mt_trail_room(slot->trail);

	while (*done < page->count && room != MT_TRAIL_FULL)
	{
		Datum		record = canonical_record(job, slot->stage, page, (*done)++, scratch);

		if (record != (Datum) 0)
			mt_trail_keep(slot->trail, record);
		room = mt_trail_room(slot->trail);
	}
	MemoryContextDelete(scratch);
	return room;
}
