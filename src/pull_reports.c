/*
 * pull_reports.c
 *		Stores progress that comes as more than one record of a course: what a user has done so far, and rows of a report.
 *
 * Upstream tells where somebody stands in a course by several records: statements, or rows for each series and version. Of these one counts: the
 * furthest state, then the latest moment, then the last one. The records of one call are reduced so before anything is written. A report also
 * knows points, of which the score is made, and for courses that are assessments a result; upstream keeps the latest attempt alone, so a changed
 * result replaces the one that a report brought before.
 *
 * Called by the sync worker through SQL.
 */
#include "mindtickle.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "plan.h"
#include "progress.h"
#include "pulled_page.h"
#include "quiz_result.h"
#include "user.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

/* Digits after the point of a score that is made of points. */
#define SCORE_SCALE		2
/* What stands in front of a series in the name of its report. */
#define SERIES_PREFIX	"series/"

/* One record of a report. */
typedef struct ReportRow
{
	MtProgressItem progress;
	Datum		learner;		/* MindTickle's id as text; 0: not given */
	Datum		email;			/* text; 0: not given */
	Datum		user_id;		/* ours, once found; 0: nobody */
	Datum		points;			/* numeric; 0: none */
} ReportRow;

PG_FUNCTION_INFO_V1(mt_store_history);
PG_FUNCTION_INFO_V1(mt_store_reports);

static int
compare_text(Datum first, Datum second)
{
	if (first == (Datum) 0 || second == (Datum) 0)
		return (first != (Datum) 0) - (second != (Datum) 0);
	return DatumGetInt32(DirectFunctionCall2Coll(bttextcmp, C_COLLATION_OID, first, second));
}

/* How far a state is. */
static int
rank_of(const MtProgressItem *item)
{
	char		first = *VARDATA_ANY(DatumGetTextPP(item->status));

	return first == 'c' ? 2 : first == 'i' ? 1 : 0;
}

/* The latest moment that an item tells of and that can be. */
static TimestampTz
moment_of(const MtProgressItem *item)
{
	static const MtProgressColumn columns[] = {
		MT_PROGRESS_COMPLETED_AT, MT_PROGRESS_UPDATED_AT, MT_PROGRESS_STARTED_AT, MT_PROGRESS_INVITED_AT
	};
	TimestampTz latest = DT_NOBEGIN;

	for (int i = 0; i < (int) lengthof(columns); i++)
		if ((item->given & (1u << columns[i])) != 0 && !item->nulls[columns[i]] && !mt_progress_ahead(DatumGetTimestampTz(item->values[columns[i]])))
			latest = Max(latest, DatumGetTimestampTz(item->values[columns[i]]));
	return latest;
}

/* Orders items of one user by course, and of one course the one that counts first. */
static int
compare_items(const MtProgressItem *first, const MtProgressItem *second)
{
	int			order = compare_text(first->course_id, second->course_id);

	if (order == 0)
		order = rank_of(second) - rank_of(first);
	if (order == 0)
		order = (moment_of(second) > moment_of(first)) - (moment_of(second) < moment_of(first));
	return order != 0 ? order : second->position - first->position;
}

static int
compare_history(const void *first, const void *second)
{
	return compare_items(first, second);
}

/*
 * mindtickle.store_history(tenant, job_id, user_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_history(PG_FUNCTION_ARGS)
{
	MtPulledPage page;
	MtProgressItem *items;
	int			count;
	int			kept = 0;

	mt_page_open(&page, fcinfo, 3, psprintf("progress/%s", text_to_cstring(PG_GETARG_TEXT_PP(2))));
	count = mt_page_progress(&page, &items);
	qsort(items, count, sizeof(MtProgressItem), compare_history);
	for (int i = 0; i < count; i++)
		if (kept == 0 || !mt_progress_same_course(&items[kept - 1], &items[i]))
			items[kept++] = items[i];
	if (kept > 0)
		page.changed = (int) mt_progress_write(page.tenant, PG_GETARG_DATUM(2), items, kept, true);
	return mt_page_close(&page, fcinfo);
}

/* Makes the score of points: percent, two digits after the point; none without points or an attempt. */
static void
make_score(MtFields *fields, ReportRow *row)
{
	MtProgressItem *item = &row->progress;
	Datum		most = item->values[MT_PROGRESS_MAX_SCORE];
	Datum		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
	Datum		score;

	item->given |= 1u << MT_PROGRESS_SCORE;
	item->nulls[MT_PROGRESS_SCORE] = true;
	if (row->points == (Datum) 0 || item->nulls[MT_PROGRESS_MAX_SCORE] || (item->given & (1u << MT_PROGRESS_MAX_SCORE)) == 0 ||
		rank_of(item) == 0 || DatumGetBool(DirectFunctionCall2(numeric_le, most, zero)))
		return;
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, row->points, most)))
	{
		mt_fault(fields, "rawScore", "must not be more than maxScore");
		return;
	}
	score = DirectFunctionCall2(numeric_mul, row->points, DirectFunctionCall1(int4_numeric, Int32GetDatum(100)));
	score = DirectFunctionCall2(numeric_div, score, most);
	item->values[MT_PROGRESS_SCORE] = DirectFunctionCall2(numeric_round, score, Int32GetDatum(SCORE_SCALE));
	item->nulls[MT_PROGRESS_SCORE] = false;
}

/* Reads one row. False where it has a fault. */
static bool
read_row(MtFields *fields, ReportRow *row)
{
	if (!mt_progress_read(fields, &row->progress))
		return false;
	if (mt_field_id(fields, "userId", false, &row->learner) != MT_FIELD_SET)
		row->learner = (Datum) 0;
	if (mt_field_text(fields, "email", MT_ADDRESS_MAX, &row->email) != MT_FIELD_SET)
		row->email = (Datum) 0;
	if (mt_field_number(fields, "rawScore", "0", "1000000000", &row->points) != MT_FIELD_SET)
		row->points = (Datum) 0;
	if (row->learner == (Datum) 0 && row->email == (Datum) 0)
		mt_fault(fields, NULL, "must have a userId or email");
	if (!mt_faulty(fields->fault))
		make_score(fields, row);
	return !mt_faulty(fields->fault);
}

static Datum
copy_varlena(Datum value)
{
	return value == (Datum) 0 ? value : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

/* Copies a row and what it points to into the current context: what a row was read from is many times larger. */
static void
keep_row(ReportRow *to, const ReportRow *from)
{
	static const MtProgressColumn numbers[] = {MT_PROGRESS_SCORE, MT_PROGRESS_PERCENT_COMPLETED, MT_PROGRESS_MAX_SCORE};

	*to = *from;
	to->learner = copy_varlena(from->learner);
	to->email = copy_varlena(from->email);
	to->points = copy_varlena(from->points);
	to->progress.course_id = copy_varlena(from->progress.course_id);
	to->progress.status = copy_varlena(from->progress.status);
	for (int i = 0; i < (int) lengthof(numbers); i++)
		if (!from->progress.nulls[numbers[i]])
			to->progress.values[numbers[i]] = copy_varlena(from->progress.values[numbers[i]]);
}

/* Ids of courses, by a query with the tenant as its one parameter, sorted. */
static Datum *
course_ids(MtPlan *plan, const char *tenant, int *count)
{
	Datum		values[1] = {CStringGetTextDatum(tenant)};
	Datum	   *ids;
	bool		isnull;

	*count = (int) mt_plan_run(plan, values, NULL, SPI_OK_SELECT);
	ids = palloc(sizeof(Datum) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
		ids[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull)));
	return ids;
}

static bool
among(const Datum *ids, int count, Datum id)
{
	int			low = 0;

	while (low < count)
	{
		int			middle = low + (count - low) / 2;
		int			order = compare_text(ids[middle], id);

		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			count = middle;
	}
	return false;
}

static int
compare_learners(const void *first, const void *second)
{
	const ReportRow *a = first;
	const ReportRow *b = second;
	int			order = compare_text(a->learner, b->learner);

	return order != 0 ? order : compare_text(a->email, b->email);
}

static int
compare_rows(const void *first, const void *second)
{
	const ReportRow *a = first;
	const ReportRow *b = second;
	int			order = compare_text(a->user_id, b->user_id);

	return order != 0 ? order : compare_items(&a->progress, &b->progress);
}

/*
 * Our id of the learner: by MindTickle's id, else by e-mail, where a deleted user comes last, else MindTickle's id itself, under which he will be
 * found later. 0: nobody.
 */
static Datum
find_learner(const char *tenant, const ReportRow *row)
{
	static MtPlan find = {
		"SELECT found.user_id FROM ("
		"SELECT user_id, deleted_at, 1 AS rank FROM mindtickle.users WHERE tenant_id = $1 AND mindtickle_id = $2 UNION ALL "
		"SELECT user_id, deleted_at, 2 FROM mindtickle.users WHERE tenant_id = $1 AND email_key = lower($3) AND (mindtickle_id = $2) IS NOT FALSE) AS found "
		"ORDER BY found.rank, found.deleted_at DESC NULLS FIRST, found.user_id LIMIT 1",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), row->learner, row->email};
	char		nulls[3] = {' ', row->learner == (Datum) 0 ? 'n' : ' ', row->email == (Datum) 0 ? 'n' : ' '};
	Datum		found = (Datum) 0;
	bool		isnull;

	if (mt_plan_run(&find, values, nulls, SPI_OK_SELECT) > 0)
		found = PointerGetDatum(PG_DETOAST_DATUM_COPY(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)));
	/* There may be as many learners as rows. */
	SPI_freetuptable(SPI_tuptable);
	if (found != (Datum) 0)
		return found;
	return row->learner == (Datum) 0 ? (Datum) 0 : mt_user_resolve(tenant, row->learner);
}

/* Finds out whose rows they are. Those of nobody become dead letters; returns how many are left. */
static int
find_learners(MtPulledPage *page, ReportRow *rows, int count)
{
	int			kept = 0;

	qsort(rows, count, sizeof(ReportRow), compare_learners);
	for (int i = 0; i < count; i++)
	{
		MtFault		fault = {"email", "is of nobody in the roster, and there is no userId"};

		if (i > 0 && compare_learners(&rows[i - 1], &rows[i]) == 0)
			rows[i].user_id = rows[i - 1].user_id;
		else
			rows[i].user_id = find_learner(page->tenant, &rows[i]);
		if (rows[i].user_id == (Datum) 0)
			mt_page_reject(page, rows[i].progress.position, &fault);
	}
	qsort(rows, count, sizeof(ReportRow), compare_rows);
	for (int i = 0; i < count; i++)
	{
		if (rows[i].user_id == (Datum) 0 ||
			(kept > 0 && compare_text(rows[kept - 1].user_id, rows[i].user_id) == 0 &&
			 mt_progress_same_course(&rows[kept - 1].progress, &rows[i].progress)))
			continue;
		rows[kept++] = rows[i];
	}
	return kept;
}

/* Stores the result of an assessment, where there is a score and a moment; true when that changed something. */
static bool
store_result(const char *tenant, const ReportRow *row)
{
	const MtProgressItem *item = &row->progress;
	MtQuizResult result = {0};

	if (item->nulls[MT_PROGRESS_SCORE] || (item->given & (1u << MT_PROGRESS_COMPLETED_AT)) == 0 || item->nulls[MT_PROGRESS_COMPLETED_AT])
		return false;
	result.user_id = row->user_id;
	result.course_id = result.quiz_id = item->course_id;
	result.submitted_at = item->values[MT_PROGRESS_COMPLETED_AT];
	result.has_submitted_at = true;
	result.score = item->values[MT_PROGRESS_SCORE];
	result.raw_score = row->points;
	result.max_score = item->values[MT_PROGRESS_MAX_SCORE];
	result.has_passed = (item->given & (1u << MT_PROGRESS_HAS_FAILED)) != 0 && !item->nulls[MT_PROGRESS_HAS_FAILED];
	if (result.has_passed)
		result.passed = BoolGetDatum(!DatumGetBool(item->values[MT_PROGRESS_HAS_FAILED]));
	return mt_quiz_result_store_latest(tenant, &result);
}

/* Writes the rows, user by user. */
static void
write_rows(MtPulledPage *page, const ReportRow *rows, int count)
{
	static MtPlan assessments = {
		"SELECT course_id FROM mindtickle.course WHERE tenant_id = $1 AND upper(kind) = 'ASSESSMENT' ORDER BY course_id", 1, {TEXTOID}
	};
	MtProgressItem *items = palloc(sizeof(MtProgressItem) * Max(count, 1));
	int			assessment_count;
	Datum	   *assessment_ids = course_ids(&assessments, page->tenant, &assessment_count);

	for (int first = 0, next; first < count; first = next)
	{
		for (next = first; next < count && compare_text(rows[first].user_id, rows[next].user_id) == 0; next++)
			items[next - first] = rows[next].progress;
		page->changed += (int) mt_progress_write(page->tenant, rows[first].user_id, items, next - first, true);
		for (int i = first; i < next; i++)
			if (among(assessment_ids, assessment_count, rows[i].progress.course_id))
				page->changed += store_result(page->tenant, &rows[i]);
	}
}

/*
 * mindtickle.store_reports(tenant, job_id, item, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_reports(PG_FUNCTION_ARGS)
{
	static MtPlan shared = {
		"SELECT course_id FROM mindtickle.sync_series_module WHERE tenant_id = $1 GROUP BY course_id HAVING count(*) > 1 ORDER BY course_id",
		1, {TEXTOID}
	};
	char	   *item = text_to_cstring(PG_GETARG_TEXT_PP(2));
	MemoryContext kept;
	MemoryContext reading;
	MtPulledPage page;
	ReportRow  *rows;
	Datum	   *shared_ids = NULL;
	int			shared_count = 0;
	int			count = 0;

	mt_page_open(&page, fcinfo, 3, "reports");
	if (strncmp(item, SERIES_PREFIX, strlen(SERIES_PREFIX)) == 0)
		shared_ids = course_ids(&shared, page.tenant, &shared_count);
	rows = palloc0(sizeof(ReportRow) * Max(page.received, 1));
	kept = CurrentMemoryContext;
	reading = AllocSetContextCreate(kept, "mindtickle row of a report", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;
		ReportRow	row = {.progress = {.position = i}};

		MemoryContextSwitchTo(reading);
		if (mt_page_record(&page, i, NULL, &fields, &fault) != NULL && read_row(&fields, &row) &&
			!among(shared_ids, shared_count, row.progress.course_id))
		{
			MemoryContextSwitchTo(kept);
			keep_row(&rows[count++], &row);
		}
		MemoryContextSwitchTo(kept);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
		MemoryContextReset(reading);
	}
	write_rows(&page, rows, find_learners(&page, rows, count));
	return mt_page_close(&page, fcinfo);
}
