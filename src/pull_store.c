/*
 * pull_store.c
 *		Stores what a pull has fetched: records as bytes, each a JSON object in our names.
 *
 * Here are the records that every contract has: users, courses, the progress of a user, results of quizzes. pulled_page.c has what is alike for
 * all kinds of records.
 *
 * Called by the sync worker through SQL, one page a call.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "course.h"
#include "plan.h"
#include "progress.h"
#include "pulled_page.h"
#include "quiz_result.h"
#include "user.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_store_users);
PG_FUNCTION_INFO_V1(mt_store_courses);
PG_FUNCTION_INFO_V1(mt_store_progress);
PG_FUNCTION_INFO_V1(mt_store_quiz_results);

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
	user.pulled = true;
	/* An identity provider may have given others. */
	user.given |= MT_USER_ADDS_ATTRIBUTES;
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
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 2, "users");
	mt_lock_people(page.tenant, ExclusiveLock);
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (mt_page_record(&page, i, "mindtickleId", &fields, &fault) != NULL)
			page.changed += store_user(page.tenant, &fields);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	mt_page_note_seen(&page, "roster");
	return mt_page_close(&page, fcinfo);
}

/*
 * mindtickle.store_courses(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_courses(PG_FUNCTION_ARGS)
{
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 2, "courses");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (mt_page_record(&page, i, "courseId", &fields, &fault) != NULL)
			page.changed += mt_course_store(page.tenant, &fields);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	mt_page_note_seen(&page, "catalog");
	return mt_page_close(&page, fcinfo);
}

/*
 * mindtickle.store_progress(tenant, job_id, user_id, records bytea[]) -> (received, changed, rejected, fresh, latest): the courses of one
 * user, by our id of him. There is nothing to be seen in it: fresh is 0.
 */
Datum
mt_store_progress(PG_FUNCTION_ARGS)
{
	MtPulledPage page;
	MtProgressItem *items;
	int			count;
	int			kept = 0;

	mt_page_open(&page, fcinfo, 3, psprintf("progress/%s", text_to_cstring(PG_GETARG_TEXT_PP(2))));
	count = mt_page_progress(&page, &items);
	(void) mt_progress_sort(items, count);
	for (int i = 0; i < count; i++)
	{
		if ((items[i].given & (1u << MT_PROGRESS_UPDATED_AT)) != 0 && !items[i].nulls[MT_PROGRESS_UPDATED_AT])
			mt_page_note_moment(&page, items[i].values[MT_PROGRESS_UPDATED_AT]);
		if (kept > 0 && mt_progress_same_course(&items[kept - 1], &items[i]))
		{
			MtFault		fault = {"courseId", "is given twice"};

			mt_page_reject(&page, items[i].position, &fault);
		}
		else
			items[kept++] = items[i];
	}
	if (kept > 0)
		page.changed = (int) mt_progress_write(page.tenant, PG_GETARG_DATUM(2), items, kept, true);
	return mt_page_close(&page, fcinfo);
}

/* Stores a quiz result of the page. As store_user. */
static bool
store_quiz_result(MtPulledPage *page, MtFields *fields, Jsonb *document)
{
	MtQuizResult result;

	if (!mt_quiz_result_read(fields, &result))
		return false;
	if (result.has_submitted_at)
		mt_page_note_moment(page, result.submitted_at);
	result.user_id = mt_user_resolve_pulled(page->tenant, result.user_id);
	return mt_quiz_result_store(page->tenant, &result, document, "pull");
}

/*
 * mindtickle.store_quiz_results(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh, latest)
 */
Datum
mt_store_quiz_results(PG_FUNCTION_ARGS)
{
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 2, "quiz_results");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;
		Jsonb	   *document = mt_page_record(&page, i, "resultId", &fields, &fault);

		if (document != NULL)
			page.changed += store_quiz_result(&page, &fields, document);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	mt_page_note_seen(&page, "quiz_results");
	return mt_page_close(&page, fcinfo);
}
