/*
 * pull_groupings.c
 *		Stores what groups people and courses upstream: teams with their members, series with their courses.
 *
 * The members of a team, and the courses of a series, come all in one call, so whatever is not among them is gone; unless a record could not be
 * read, which may be anybody. Teams of other sources are not touched.
 *
 * Called by the sync worker through SQL.
 */
#include "mindtickle.h"

#include "catalog/pg_type.h"
#include "course.h"
#include "plan.h"
#include "pulled_page.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_store_teams);
PG_FUNCTION_INFO_V1(mt_store_team_members);
PG_FUNCTION_INFO_V1(mt_store_series);
PG_FUNCTION_INFO_V1(mt_store_modules);

/* Stores one id with its name by a plan that returns nothing and changes nothing where nothing is new; true when it did. */
static bool
store_named(MtPulledPage *page, MtPlan *plan, const char *id_key, MtFields *fields)
{
	Datum		values[3] = {CStringGetTextDatum(page->tenant)};
	char		nulls[3] = {' ', ' ', ' '};

	(void) mt_field_id(fields, id_key, true, &values[1]);
	if (mt_field_text(fields, "name", MT_TEXT_MAX, &values[2]) != MT_FIELD_SET)
		nulls[2] = 'n';
	return !mt_faulty(fields->fault) && mt_plan_run(plan, values, nulls, SPI_OK_INSERT) > 0;
}

/* A page of ids with names, of the given listing. */
static Datum
store_names(FunctionCallInfo fcinfo, MtPlan *plan, const char *id_key, const char *phase)
{
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 2, phase);
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (mt_page_record(&page, i, id_key, &fields, &fault) != NULL)
			page.changed += store_named(&page, plan, id_key, &fields);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	mt_page_note_seen(&page, phase);
	return mt_page_close(&page, fcinfo);
}

/*
 * mindtickle.store_teams(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_teams(PG_FUNCTION_ARGS)
{
	static MtPlan upsert = {
		"INSERT INTO mindtickle.team AS t (tenant_id, team_id, name, source) SELECT $1, $2, coalesce($3, $2), 'pull' "
		"WHERE NOT EXISTS (SELECT FROM mindtickle.team AS o WHERE o.tenant_id = $1 AND o.team_id = $2 "
		"AND (o.source <> 'pull' OR (o.active AND o.name = coalesce($3, $2)))) "
		"ON CONFLICT (tenant_id, team_id) DO UPDATE SET name = excluded.name, active = true, updated_at = now()",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};

	return store_names(fcinfo, &upsert, "teamId", "teams");
}

/*
 * mindtickle.store_series(tenant, job_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_series(PG_FUNCTION_ARGS)
{
	static MtPlan upsert = {
		"INSERT INTO mindtickle.sync_series AS s (tenant_id, series_id, name) SELECT $1, $2, $3 "
		"WHERE NOT EXISTS (SELECT FROM mindtickle.sync_series AS o WHERE o.tenant_id = $1 AND o.series_id = $2 "
		"AND o.name IS NOT DISTINCT FROM $3) "
		"ON CONFLICT (tenant_id, series_id) DO UPDATE SET name = excluded.name",
		3, {TEXTOID, TEXTOID, TEXTOID}
	};

	return store_names(fcinfo, &upsert, "seriesId", "series");
}

/* Runs a statement that makes the page's ids those of a team or series. $1 tenant, $2 team or series, $3 ids, $4 these are all of them. */
static uint64
replace_all(MtPulledPage *page, MtPlan *plan, Datum of)
{
	Datum		values[4] = {CStringGetTextDatum(page->tenant), of, mt_page_ids(page), BoolGetDatum(page->unidentified == 0)};
	bool		isnull;

	mt_plan_run(plan, values, NULL, SPI_OK_SELECT);
	return (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/*
 * mindtickle.store_team_members(tenant, job_id, team_id, records bytea[]) -> (received, changed, rejected, fresh)
 *
 * Those who have left stay in their teams upstream; here they are no active members. Whom the roster does not know is left out.
 */
Datum
mt_store_team_members(PG_FUNCTION_ARGS)
{
	static MtPlan replace = {
		"WITH listed AS (SELECT DISTINCT u.user_id, u.active FROM unnest($3) AS n (id) "
		"JOIN mindtickle.users AS u ON u.tenant_id = $1 AND u.mindtickle_id = n.id), "
		"gone AS (DELETE FROM mindtickle.team_member AS m WHERE m.tenant_id = $1 AND m.team_id = $2 AND m.source = 'pull' AND $4 "
		"AND NOT EXISTS (SELECT FROM listed AS l WHERE l.user_id = m.user_id) RETURNING 1), "
		"stored AS (INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source, active) "
		"SELECT $1, $2, l.user_id, 'pull', l.active FROM listed AS l WHERE NOT EXISTS (SELECT FROM mindtickle.team_member AS o "
		"WHERE o.tenant_id = $1 AND o.team_id = $2 AND o.user_id = l.user_id AND o.active = l.active) ORDER BY l.user_id "
		"ON CONFLICT (tenant_id, team_id, user_id) DO UPDATE SET active = excluded.active RETURNING 1) "
		"SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM stored)",
		4, {TEXTOID, TEXTOID, TEXTARRAYOID, BOOLOID}
	};
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 3, "team_members");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;
		Datum		ignored;

		if (mt_page_record(&page, i, "mindtickleId", &fields, &fault) != NULL)
			(void) mt_field_id(&fields, "mindtickleId", true, &ignored);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	page.changed = (int) replace_all(&page, &replace, PG_GETARG_DATUM(2));
	return mt_page_close(&page, fcinfo);
}

/*
 * mindtickle.store_modules(tenant, job_id, series_id, records bytea[]) -> (received, changed, rejected, fresh)
 */
Datum
mt_store_modules(PG_FUNCTION_ARGS)
{
	static MtPlan replace = {
		"WITH gone AS (DELETE FROM mindtickle.sync_series_module AS m WHERE m.tenant_id = $1 AND m.series_id = $2 AND $4 "
		"AND m.course_id <> ALL ($3) RETURNING 1), "
		"stored AS (INSERT INTO mindtickle.sync_series_module (tenant_id, series_id, course_id) "
		"SELECT DISTINCT $1, $2, n.id FROM unnest($3) AS n (id) ON CONFLICT DO NOTHING RETURNING 1) "
		"SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM stored)",
		4, {TEXTOID, TEXTOID, TEXTARRAYOID, BOOLOID}
	};
	MtPulledPage page;

	mt_page_open(&page, fcinfo, 3, "courses");
	for (int i = 0; i < page.received; i++)
	{
		MtFault		fault = {0};
		MtFields	fields;

		if (mt_page_record(&page, i, "courseId", &fields, &fault) != NULL)
			page.changed += mt_course_store(page.tenant, &fields);
		if (mt_faulty(&fault))
			mt_page_reject(&page, i, &fault);
	}
	/* Which series a course is in is of no interest to anybody but the next pull, and no change of the catalog. */
	(void) replace_all(&page, &replace, PG_GETARG_DATUM(2));
	return mt_page_close(&page, fcinfo);
}
