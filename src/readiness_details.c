/*
 * readiness_details.c
 *		Readiness of users, teams and courses, its history, and its verification: functions for analysts, and the figures behind them.
 *
 * mindtickle.readiness_details gives the figures of a tenant's users or courses, exact in the snapshot of the query: what has been taken in, and
 * what has not. What these functions make of it is SQL (sql/readiness_details.sql); here is the caller's right and the change of role.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "readiness_change.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Columns of readiness_details: id, figures, learners, last activity. */
#define DETAIL_COLUMNS	(1 + MT_FIGURES + 2)

PG_FUNCTION_INFO_V1(mt_readiness_details);
PG_FUNCTION_INFO_V1(mt_readiness_by_user);
PG_FUNCTION_INFO_V1(mt_readiness_by_team);
PG_FUNCTION_INFO_V1(mt_readiness_by_course);
PG_FUNCTION_INFO_V1(mt_readiness_trend);
PG_FUNCTION_INFO_V1(mt_readiness_trend_of);
PG_FUNCTION_INFO_V1(mt_verify_readiness);

/* Puts the figures of a user or course into the result, unless there are none left. */
static void
put_detail(ReturnSetInfo *result, const MtEntry *entry, MtId id)
{
	const int64 *figures = (const int64 *) &entry->figures;
	Datum		values[DETAIL_COLUMNS];
	bool		nulls[DETAIL_COLUMNS] = {false};

	if (entry->figures.submissions == 0 && entry->figures.assignments == 0)
		return;
	values[0] = PointerGetDatum(cstring_to_text_with_len(id.bytes, id.length));
	for (int i = 0; i < MT_FIGURES; i++)
		values[1 + i] = Int64GetDatum(figures[i]);
	values[1 + MT_FIGURES] = Int64GetDatum(entry->present);
	values[2 + MT_FIGURES] = TimestampTzGetDatum(entry->gained);
	nulls[2 + MT_FIGURES] = entry->gained == DT_NOBEGIN;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	pfree(DatumGetPointer(values[0]));
}

static MtId
id_of(const MtEntry *entry, bool users)
{
	return users ? entry->user : entry->course;
}

/* Puts what was taken in together with what was not, both in the order of their ids. */
static void
put_details(ReturnSetInfo *result, const MtEntries *kept, const MtEntries *changes, bool users)
{
	int			k = 0;
	int			c = 0;

	while (k < kept->count || c < changes->count)
	{
		int			order = k == kept->count ? 1 : c == changes->count ? -1 :
			mt_compare_ids(id_of(&kept->entries[k], users), id_of(&changes->entries[c], users));
		MtEntry		entry = order <= 0 ? kept->entries[k] : changes->entries[c];

		if (order == 0)
		{
			const MtEntry *change = &changes->entries[c];

			mt_add_figures(&entry.figures, &change->figures, 1);
			entry.present += change->present;
			/* What was looked up is all there is. */
			entry.gained = change->lost > change->gained ? change->gained : Max(entry.gained, change->gained);
		}
		put_detail(result, &entry, id_of(&entry, users));
		k += order <= 0;
		c += order >= 0;
	}
}

/* The same from the tenant's rows. */
static void
put_counted(FunctionCallInfo fcinfo, ReturnSetInfo *result, const char *tenant, bool users)
{
#define COUNT_COLUMNS "submissions, scores, score_sum, assignments, completed, overdue"
	static MtPlan count_users = {
		"SELECT user_id, " COUNT_COLUMNS ", 0::int8, last_activity_at FROM mindtickle.count_users($1)", 1, {TEXTOID},.read_only = true
	};
	static MtPlan count_courses = {
		"SELECT course_id, " COUNT_COLUMNS ", learners, NULL::timestamptz FROM mindtickle.count_courses($1)", 1, {TEXTOID},.read_only = true
	};
	MtServiceCall call;
	Datum		value = CStringGetTextDatum(tenant);

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, false);
	mt_plan_run(users ? &count_users : &count_courses, &value, NULL, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[DETAIL_COLUMNS];
		bool		nulls[DETAIL_COLUMNS];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	mt_service_leave(&call);
}

/*
 * mindtickle.readiness_details(tenant, of_users) -> setof (id, submissions, scores, score_sum, assignments, completed, overdue, learners,
 * last_activity_at): of each user with rows, whether they count or not; or of each course with rows that count.
 */
Datum
mt_readiness_details(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		users = PG_GETARG_BOOL(1);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Snapshot	snapshot = GetActiveSnapshot();
	MtSummary	summary;
	MtChange	ignored;
	MtDetails	changes;
	MtEntries	kept = {0};

	mt_require_access(fcinfo, tenant, MT_ACCESS_OWNER);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (mt_read_summary(tenant, snapshot, &summary) &&
		mt_readiness_since(tenant, &summary, snapshot, &ignored, &changes) >= 0 &&
		mt_read_details(tenant, users, &summary, snapshot, &kept))
		put_details(result, &kept, users ? &changes.users : &changes.courses, users);
	else
		put_counted(fcinfo, result, tenant, users);
	return (Datum) 0;
}

/* Runs a query for a reader of the tenant, which is its first argument, in the snapshot of his query, and gives its rows. */
static Datum
answer(FunctionCallInfo fcinfo, MtPlan *query)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	Datum		values[FUNC_MAX_ARGS];
	char		nulls[FUNC_MAX_ARGS];

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < query->argument_count; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, false);
	mt_plan_run(query, values, nulls, SPI_OK_SELECT);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	mt_service_leave(&call);
	return (Datum) 0;
}

/*
 * mt_readiness_by_user(tenant)
 */
Datum
mt_readiness_by_user(PG_FUNCTION_ARGS)
{
	static MtPlan query = {"SELECT * FROM mindtickle.readiness_by_user($1)", 1, {TEXTOID},.read_only = true};

	return answer(fcinfo, &query);
}

/*
 * mt_readiness_by_team(tenant)
 */
Datum
mt_readiness_by_team(PG_FUNCTION_ARGS)
{
	static MtPlan query = {"SELECT * FROM mindtickle.readiness_by_team($1)", 1, {TEXTOID},.read_only = true};

	return answer(fcinfo, &query);
}

/*
 * mt_readiness_by_course(tenant)
 */
Datum
mt_readiness_by_course(PG_FUNCTION_ARGS)
{
	static MtPlan query = {"SELECT * FROM mindtickle.readiness_by_course($1)", 1, {TEXTOID},.read_only = true};

	return answer(fcinfo, &query);
}

/* What is not strict, as NULL means something for other arguments, still needs a tenant. */
static void
require_tenant_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the tenant must not be null")));
}

/*
 * mt_readiness_trend(tenant, from_date, to_date): a date that is NULL is no bound.
 */
Datum
mt_readiness_trend(PG_FUNCTION_ARGS)
{
	static MtPlan query = {
		"SELECT * FROM mindtickle.readiness_trend($1, $2, $3)", 3, {TEXTOID, DATEOID, DATEOID},.read_only = true
	};

	require_tenant_argument(fcinfo);
	return answer(fcinfo, &query);
}

/*
 * mt_readiness_trend(tenant, from_date, to_date, scope, scope_id DEFAULT NULL): the same of each team or course, or of one. ERROR 22023 for what is
 * no scope.
 */
Datum
mt_readiness_trend_of(PG_FUNCTION_ARGS)
{
	static const char *const scopes[] = {"tenant", "team", "course"};
	static MtPlan query = {
		"SELECT * FROM mindtickle.readiness_trend_of($1, $2, $3, $4, $5)", 5, {TEXTOID, DATEOID, DATEOID, TEXTOID, TEXTOID},.read_only = true
	};
	bool		known = false;

	require_tenant_argument(fcinfo);
	for (int i = 0; i < (int) lengthof(scopes) && !PG_ARGISNULL(3); i++)
		known |= strcmp(text_to_cstring(PG_GETARG_TEXT_PP(3)), scopes[i]) == 0;
	/* Whether the caller may ask at all comes first. */
	mt_require_access(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)), MT_ACCESS_READER);
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scope must be one of \"tenant\", \"team\", \"course\"")));
	return answer(fcinfo, &query);
}

/*
 * mt_verify_readiness(tenant): each figure as it is given out and as its recomputation from the rows gives it, in one snapshot.
 */
Datum
mt_verify_readiness(PG_FUNCTION_ARGS)
{
	static MtPlan query = {"SELECT * FROM mindtickle.verify_readiness($1)", 1, {TEXTOID},.read_only = true};

	return answer(fcinfo, &query);
}
