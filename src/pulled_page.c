/*
 * pulled_page.c
 *		One page of records that a pull has fetched, while it is stored: records as bytes, each a JSON object in our names.
 *
 * A record that is no JSON, or has a fault in a field, becomes a dead letter with its reason; the others are stored. The ids of a listing are
 * noted per job, which tells a listing that moves on from one that repeats itself, and afterwards who was absent from it; a record with a
 * readable id has been seen even if the rest of it is at fault.
 *
 * A record that had become a dead letter is stored by the same functions once more, as a page of job 0: then a fault is an error. What somebody waits
 * for while there is no pull comes as a page of a job below 0: its faults become dead letters like those of a job, and nothing is noted as seen.
 *
 * Called by the store functions (pull_store.c, pull_groupings.c, pull_reports.c).
 */
#include "pulled_page.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "dead_letter.h"
#include "funcapi.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* The job of a dead letter that is replayed. Those of pulls are above it. */
#define REPLAY_JOB	0

/*
 * Begins to store the records that are this argument of the function: acts as the service role for the tenant until mt_page_close.
 */
void
mt_page_open(MtPulledPage *page, FunctionCallInfo fcinfo, int records_argument, const char *resource)
{
	ArrayType  *records = PG_GETARG_ARRAYTYPE_P(records_argument);

	memset(page, 0, sizeof(MtPulledPage));
	page->tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	page->job_id = PG_GETARG_DATUM(1);
	page->resource = resource;
	if (array_contains_nulls(records))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("records must not hold nulls")));
	mt_service_enter(&page->call, fcinfo, page->tenant, MT_ACCESS_OWNER, true);
	deconstruct_array(records, BYTEAOID, -1, false, TYPALIGN_INT, &page->records, NULL, &page->received);
	page->ids = palloc(sizeof(Datum) * Max(page->received, 1));
}

/*
 * Keeps a record as a dead letter. Where there is no room for it, it is upstream still: it counts as rejected, and the next pull brings it again.
 * ERROR 22023 where it is one already.
 */
void
mt_page_reject(MtPulledPage *page, int index, const MtFault *fault)
{
	MemoryContext scratch;
	MemoryContext previous;
	bytea	   *record;

	if (DatumGetInt64(page->job_id) == REPLAY_JOB)
		mt_raise_fault(fault);
	/* All records of a page may be at fault. */
	scratch = AllocSetContextCreate(CurrentMemoryContext, "mindtickle rejected record", ALLOCSET_DEFAULT_SIZES);
	previous = MemoryContextSwitchTo(scratch);
	record = DatumGetByteaPP(page->records[index]);
	(void) mt_keep_dead_letter(page->tenant, "pull", page->resource, fault, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(scratch);
	page->rejected++;
}

/*
 * Parses a record and begins to read it; id_key names the field that identifies it in its listing, NULL for none. NULL, with a fault, where it
 * is no JSON object.
 */
Jsonb *
mt_page_record(MtPulledPage *page, int index, const char *id_key, MtFields *fields, MtFault *fault)
{
	bytea	   *record = DatumGetByteaPP(page->records[index]);
	Jsonb	   *document = mt_json_from_bytes(VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record), fault);
	MtFault		ignored = {0};
	MtFields	id_fields;

	if (document == NULL || !mt_fields_open_document(fields, document, fault))
	{
		page->unidentified++;
		return NULL;
	}
	id_fields = *fields;
	id_fields.fault = &ignored;
	if (id_key != NULL && mt_field_id(&id_fields, id_key, false, &page->ids[page->id_count]) == MT_FIELD_SET)
		page->id_count++;
	else
		page->unidentified++;
	return document;
}

/*
 * Reads the records as progress of one user. Returns how many are without fault; *items is palloc'd and tells where each stood in the page.
 */
int
mt_page_progress(MtPulledPage *page, MtProgressItem **items)
{
	int			count = 0;

	*items = palloc0(sizeof(MtProgressItem) * Max(page->received, 1));
	for (int i = 0; i < page->received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (mt_page_record(page, i, NULL, &fields, &fault) != NULL && mt_progress_read(&fields, &(*items)[count]))
			(*items)[count++].position = i;
		if (mt_faulty(&fault))
			mt_page_reject(page, i, &fault);
	}
	return count;
}

/*
 * The ids of the records, as an array of text.
 */
Datum
mt_page_ids(const MtPulledPage *page)
{
	return PointerGetDatum(construct_array(page->ids, page->id_count, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Notes which ids the running listing has shown.
 */
void
mt_page_note_seen(MtPulledPage *page, const char *phase)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.sync_seen (tenant_id, job_id, phase, object_id) SELECT DISTINCT $1, $2, $3, n.object_id "
		"FROM unnest($4) AS n (object_id) ON CONFLICT DO NOTHING",
		4, {TEXTOID, INT8OID, TEXTOID, TEXTARRAYOID}
	};
	Datum		values[4];

	if (DatumGetInt64(page->job_id) <= REPLAY_JOB)
		return;
	values[0] = CStringGetTextDatum(page->tenant);
	values[1] = page->job_id;
	values[2] = CStringGetTextDatum(phase);
	values[3] = mt_page_ids(page);
	page->fresh = (int) mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);

	/* Somebody was listed, nobody knows who: the empty id says so, and then nobody counts as absent. Nor can it be said that he was seen before. */
	if (page->unidentified > 0)
	{
		Datum		nobody = CStringGetTextDatum("");

		values[3] = PointerGetDatum(construct_array(&nobody, 1, TEXTOID, -1, false, TYPALIGN_INT));
		mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
		page->fresh += page->unidentified;
	}
}

/*
 * Notes a moment (timestamptz) that a record of the page bears. One that cannot be would say for ever that everything has been seen.
 */
void
mt_page_note_moment(MtPulledPage *page, Datum moment)
{
	if (!mt_progress_ahead(DatumGetTimestampTz(moment)))
		page->latest = Max(page->latest, DatumGetTimestampTz(moment));
}

/*
 * Ends what mt_page_open began, and gives the page's figures as the function's row. Whoever pulls adds them to the job's (mindtickle.sync_advance).
 */
Datum
mt_page_close(MtPulledPage *page, FunctionCallInfo fcinfo)
{
	TupleDesc	descriptor;
	/* Where there are no moments, the row ends before them. */
	Datum		row[5] = {Int32GetDatum(page->received), Int32GetDatum(page->changed), Int32GetDatum(page->rejected), Int32GetDatum(page->fresh),
	TimestampTzGetDatum(page->latest)};
	bool		nulls[5] = {false, false, false, false, page->latest == 0};

	mt_service_leave(&page->call);
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a store function must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), row, nulls));
}
