/*
 * course.c
 *		The catalog: storing a course.
 *
 * Called by the store functions of pulls.
 */
#include "course.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "utils/builtins.h"

/*
 * Stores a course as a document describes it; true when that changed something. Within mt_service_enter/leave.
 */
bool
mt_course_store(const char *tenant, MtFields *fields)
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
