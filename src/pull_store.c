/*
 * pull_store.c
 *		Stores what a pull has fetched: records as bytes, each a JSON object in our names.
 *
 * A record that is no JSON, or has a fault in a field, becomes a dead letter with its reason; the others are stored. The ids of a listing are
 * noted per job, which tells a listing that moves on from one that repeats itself, and afterwards who was absent from it; a record with a
 * readable id has been seen even if the rest of it is at fault.
 *
 * Called by the sync worker through SQL, one page a call; and for one record that had become a dead letter (replay.c), of which no job is told.
 */
#include "mindtickle.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "dead_letter.h"
#include "field.h"
#include "funcapi.h"
#include "plan.h"
#include "progress.h"
#include "quiz_result.h"
#include "service_call.h"
#include "user.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* One page while it is stored. */
typedef struct PulledPage
{
	MtServiceCall call;
	const char *tenant;
	Datum		job_id;
	const char *resource;		/* what the records are to become */
	Datum	   *records;		/* bytea */
	int			received;
	int			changed;
	int			rejected;
	int			fresh;
	Datum	   *ids;			/* text, of the records that have one */
	int			id_count;
	int			unidentified;	/* records whose id could not be read */
} PulledPage;

PG_FUNCTION_INFO_V1(mt_store_users);
PG_FUNCTION_INFO_V1(mt_store_courses);
PG_FUNCTION_INFO_V1(mt_store_progress);
PG_FUNCTION_INFO_V1(mt_store_quiz_results);
PG_FUNCTION_INFO_V1(mt_replay_pull);

static void
open_page(PulledPage *page, FunctionCallInfo fcinfo, int records_argument, const char *resource)
{
	ArrayType  *records = PG_GETARG_ARRAYTYPE_P(records_argument);

	memset(page, 0, sizeof(PulledPage));
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

static void
reject(PulledPage *page, int index, const MtFault *fault)
{
	bytea	   *record = DatumGetByteaPP(page->records[index]);

	mt_keep_dead_letter(page->tenant, "pull", page->resource, fault, VARDATA_ANY(record), VARSIZE_ANY_EXHDR(record));
	page->rejected++;
}

/*
 * Parses a record and begins to read it; id_key names the field that identifies it in its listing, NULL for none. NULL, with a fault, where it
 * is no JSON object.
 */
static Jsonb *
open_record(PulledPage *page, int index, const char *id_key, MtFields *fields, MtFault *fault)
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

static void
note_seen(PulledPage *page, const char *phase)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.sync_seen (tenant_id, job_id, phase, object_id) SELECT DISTINCT $1, $2, $3, n.object_id "
		"FROM unnest($4) AS n (object_id) ON CONFLICT DO NOTHING",
		4, {TEXTOID, INT8OID, TEXTOID, TEXTARRAYOID}
	};
	Datum		values[4];

	values[0] = CStringGetTextDatum(page->tenant);
	values[1] = page->job_id;
	values[2] = CStringGetTextDatum(phase);
	values[3] = PointerGetDatum(construct_array(page->ids, page->id_count, TEXTOID, -1, false, TYPALIGN_INT));
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

/* Adds the page to its job's figures and gives them back as the function's row. */
static Datum
close_page(PulledPage *page, FunctionCallInfo fcinfo)
{
	static MtPlan count = {
		"UPDATE mindtickle.sync_job SET changed = changed + $3, rejected = rejected + $4 WHERE tenant_id = $1 AND job_id = $2",
		4, {TEXTOID, INT8OID, INT8OID, INT8OID}
	};
	TupleDesc	descriptor;
	Datum		row[4] = {Int32GetDatum(page->received), Int32GetDatum(page->changed), Int32GetDatum(page->rejected), Int32GetDatum(page->fresh)};
	bool		nulls[4] = {false};

	if (page->changed > 0 || page->rejected > 0)
	{
		Datum		values[4] = {CStringGetTextDatum(page->tenant), page->job_id, Int64GetDatum(page->changed), Int64GetDatum(page->rejected)};

		mt_plan_run(&count, values, NULL, SPI_OK_UPDATE);
	}
	mt_service_leave(&page->call);
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a store function must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), row, nulls));
}

/* Stores a record of the roster. True when that changed something; a fault is in the fields. */
static bool
store_user(const char *tenant, MtFields *fields)
{
	MtUser		user;
	Datum		user_id;

	if (!mt_user_read(fields, &user))
		return false;
	if (user.nulls[MT_USER_MINDTICKLE_ID])
	{
		mt_fault(fields, "mindtickleId", "is required");
		return false;
	}
	/* Whom MindTickle lists is a user of ours under its id; it does not name ours. */
	user.user_id = (Datum) 0;
	switch (mt_user_store(tenant, &user, &user_id))
	{
		case MT_USER_UNCHANGED:
			return false;
		case MT_USER_CHANGED:
			return true;
		case MT_USER_KEY_TAKEN:
			mt_fault(fields, "userName", "is another user's");
			return false;
	}
	return false;
}

/*
 * mindtickle.store_users(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_users(PG_FUNCTION_ARGS)
{
	PulledPage		page;

	open_page(&page, fcinfo, 2, "users");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (open_record(&page, i, "mindtickleId", &fields, &fault) != NULL)
			page.changed += store_user(page.tenant, &fields);
		if (mt_faulty(&fault))
			reject(&page, i, &fault);
	}
	note_seen(&page, "roster");
	return close_page(&page, fcinfo);
}

static bool
store_course(const char *tenant, MtFields *fields)
{
	static MtPlan upsert = {
		"INSERT INTO mindtickle.course AS c (tenant_id, course_id, title, kind, source, updated_at) SELECT $1, $2, $3, $4, 'pull', $5 "
		"WHERE NOT EXISTS (SELECT FROM mindtickle.course AS o WHERE o.tenant_id = $1 AND o.course_id = $2 "
		"AND (o.title, o.kind, o.updated_at) IS NOT DISTINCT FROM ($3, $4, $5)) "
		"ON CONFLICT (tenant_id, course_id) DO UPDATE SET title = excluded.title, kind = excluded.kind, source = excluded.source, "
		"updated_at = excluded.updated_at",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
	};
	Datum		values[5] = {0};
	char		nulls[5];

	values[0] = CStringGetTextDatum(tenant);
	nulls[0] = nulls[1] = ' ';
	(void) mt_field_id(fields, "courseId", true, &values[1]);
	nulls[2] = mt_field_text(fields, "title", MT_TEXT_MAX, &values[2]) == MT_FIELD_SET ? ' ' : 'n';
	nulls[3] = mt_field_text(fields, "kind", MT_TEXT_MAX, &values[3]) == MT_FIELD_SET ? ' ' : 'n';
	nulls[4] = mt_field_timestamp(fields, "updatedAt", &values[4]) == MT_FIELD_SET ? ' ' : 'n';
	return !mt_faulty(fields->fault) && mt_plan_run(&upsert, values, nulls, SPI_OK_INSERT) > 0;
}

/*
 * mindtickle.store_courses(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_courses(PG_FUNCTION_ARGS)
{
	PulledPage		page;

	open_page(&page, fcinfo, 2, "courses");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (open_record(&page, i, "courseId", &fields, &fault) != NULL)
			page.changed += store_course(page.tenant, &fields);
		if (mt_faulty(&fault))
			reject(&page, i, &fault);
	}
	note_seen(&page, "catalog");
	return close_page(&page, fcinfo);
}

/*
 * mindtickle.store_progress(tenant, job_id, user_id, records bytea[]) -> (received, changed, rejected, fresh): the courses of one user, by our
 * id of him. There is nothing to be seen in it: fresh is 0.
 */
Datum
mt_store_progress(PG_FUNCTION_ARGS)
{
	PulledPage		page;
	MtProgressItem *items;
	int			count = 0;
	int			kept = 0;

	open_page(&page, fcinfo, 3, psprintf("progress/%s", text_to_cstring(PG_GETARG_TEXT_PP(2))));
	items = palloc0(sizeof(MtProgressItem) * Max(page.received, 1));
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (open_record(&page, i, NULL, &fields, &fault) != NULL && mt_progress_read(&fields, &items[count]))
			items[count++].position = i;
		if (mt_faulty(&fault))
			reject(&page, i, &fault);
	}
	(void) mt_progress_sort(items, count);
	for (int i = 0; i < count; i++)
	{
		if (kept > 0 && mt_progress_same_course(&items[kept - 1], &items[i]))
		{
			MtFault		fault = {"courseId", "is given twice"};

			reject(&page, items[i].position, &fault);
		}
		else
			items[kept++] = items[i];
	}
	if (kept > 0)
		page.changed = (int) mt_progress_write(page.tenant, PG_GETARG_DATUM(2), items, kept, true);
	return close_page(&page, fcinfo);
}

/* Stores a quiz result. As store_user. */
static bool
store_quiz_result(const char *tenant, MtFields *fields, Jsonb *document)
{
	MtQuizResult result;

	return mt_quiz_result_read(fields, &result) && mt_quiz_result_store(tenant, &result, document, "pull");
}

/*
 * mindtickle.store_quiz_results(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_quiz_results(PG_FUNCTION_ARGS)
{
	PulledPage		page;

	open_page(&page, fcinfo, 2, "quiz_results");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;
		Jsonb	   *document = open_record(&page, i, "resultId", &fields, &fault);

		if (document != NULL)
			page.changed += store_quiz_result(page.tenant, &fields, document);
		if (mt_faulty(&fault))
			reject(&page, i, &fault);
	}
	note_seen(&page, "quiz_results");
	return close_page(&page, fcinfo);
}

/* Stores one item of a user's progress. As store_user. */
static bool
store_progress_item(const char *tenant, const char *user_id, MtFields *fields)
{
	MtProgressItem item = {0};

	return mt_progress_read(fields, &item) && mt_progress_write(tenant, CStringGetTextDatum(user_id), &item, 1, true) > 0;
}

/*
 * mindtickle.replay_pull(tenant, resource, raw) -> bool: stores a record that had been refused; true when that changed something. ERROR 22023 where it
 * still has a fault, or the resource is none.
 */
Datum
mt_replay_pull(PG_FUNCTION_ARGS)
{
	static const char progress[] = "progress/";
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *resource = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bytea	   *raw = PG_GETARG_BYTEA_PP(2);
	MtServiceCall call;
	MtFault		fault = {0};
	MtFields	fields;
	Jsonb	   *document;
	bool		changed = false;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	document = mt_json_from_bytes(VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw), &fault);
	if (document != NULL && mt_fields_open_document(&fields, document, &fault))
	{
		if (strcmp(resource, "users") == 0)
			changed = store_user(tenant, &fields);
		else if (strcmp(resource, "courses") == 0)
			changed = store_course(tenant, &fields);
		else if (strcmp(resource, "quiz_results") == 0)
			changed = store_quiz_result(tenant, &fields, document);
		else if (strncmp(resource, progress, strlen(progress)) == 0)
			changed = store_progress_item(tenant, resource + strlen(progress), &fields);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("nothing is pulled as \"%s\"", resource)));
	}
	if (mt_faulty(&fault))
		mt_raise_fault(&fault);
	mt_service_leave(&call);
	PG_RETURN_BOOL(changed);
}
