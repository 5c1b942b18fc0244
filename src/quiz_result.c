/*
 * quiz_result.c
 *		Quiz results: reading one, and recording it once.
 *
 * A result is known by user, course, quiz and moment of submission. The same content again changes nothing; other content under the same key
 * replaces what is there when MindTickle itself says so in a pull, and is an error from anybody else. The given score counts; what the answers
 * come to is kept beside it and takes its place where there is none.
 */
#include "quiz_result.h"

#include "catalog/pg_type.h"
#include "event.h"
#include "plan.h"
#include "quiz_score.h"
#include "service_call.h"
#include "user.h"
#include "utils/builtins.h"

/* Parameters of the statements below: $1 tenant, $2 to $5 the key, $6 to $12 the content, $13 the source. */
#define PARAMETERS	13
#define PARAMETER_TYPES {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID, NUMERICOID, NUMERICOID, INT4OID, BOOLOID, \
	NUMERICOID, NUMERICOID, TEXTOID}
#define KEY_MATCHES	"s.tenant_id = $1 AND s.user_id = $2 AND s.course_id = $3 AND s.quiz_id = $4 AND s.submitted_at = $5"
#define SAME_CONTENT "(s.answers, s.score, s.computed_score, s.attempt, s.passed, s.max_score, s.raw_score) " \
	"IS NOT DISTINCT FROM ($6, $7, $8, $9, $10, $11, $12)"

static MtPlan insert = {
	"INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, answers, score, computed_score, "
	"attempt, passed, max_score, raw_score, source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
	"ON CONFLICT (tenant_id, user_id, course_id, quiz_id, submitted_at) DO NOTHING",
	PARAMETERS, PARAMETER_TYPES
};

static MtPlan same = {
	"SELECT FROM mindtickle.quiz_submission AS s WHERE " KEY_MATCHES " AND " SAME_CONTENT " AND $13 IS NOT NULL",
	PARAMETERS, PARAMETER_TYPES
};

static MtPlan replace = {
	"UPDATE mindtickle.quiz_submission AS s SET answers = $6, score = $7, computed_score = $8, attempt = $9, passed = $10, "
	"max_score = $11, raw_score = $12, source = $13, received_at = now() WHERE " KEY_MATCHES,
	PARAMETERS, PARAMETER_TYPES
};

/* Source of the results of a pull that knows the latest attempt alone. */
#define SOURCE_LATEST	"live"

PG_FUNCTION_INFO_V1(mt_process_quiz_result);

/*
 * Reads a result. False where it has a fault.
 */
bool
mt_quiz_result_read(MtFields *fields, MtQuizResult *result)
{
	JsonbValue	answers;

	memset(result, 0, sizeof(MtQuizResult));
	(void) mt_field_id(fields, "userId", true, &result->user_id);
	(void) mt_field_id(fields, "courseId", true, &result->course_id);
	(void) mt_field_id(fields, "quizId", true, &result->quiz_id);
	result->has_submitted_at = mt_field_timestamp(fields, "submittedAt", &result->submitted_at) == MT_FIELD_SET;
	if (!result->has_submitted_at)
		mt_fault(fields, "submittedAt", "is required");
	(void) mt_field_percent(fields, "score", &result->score);
	(void) mt_field_number(fields, "maxScore", "0", "1000000000", &result->max_score);
	(void) mt_field_number(fields, "rawScore", "0", "1000000000", &result->raw_score);
	result->has_passed = mt_field_boolean(fields, "passed", &result->passed) == MT_FIELD_SET;
	result->has_attempt = mt_field_integer(fields, "attempt", 1, PG_INT32_MAX, &result->attempt) == MT_FIELD_SET;
	if (mt_field_container(fields, "answers", true, &answers) == MT_FIELD_SET)
	{
		if (mt_score_answers(answers.val.binary.data, fields->fault, &result->computed_score) && result->score == (Datum) 0)
			result->score = result->computed_score;
		result->answers = JsonbPGetDatum(JsonbValueToJsonb(&answers));
	}
	return !mt_faulty(fields->fault);
}

/* Fills in the quiz as far as the result tells of it and nothing better is known. */
static void
note_quiz(const char *tenant, const MtQuizResult *result)
{
	static MtPlan note = {
		"INSERT INTO mindtickle.quiz AS q (tenant_id, quiz_id, course_id, max_score) SELECT $1, $2, $3, $4 "
		"WHERE NOT EXISTS (SELECT FROM mindtickle.quiz AS k WHERE k.tenant_id = $1 AND k.quiz_id = $2 "
		"AND k.course_id IS NOT NULL AND (k.max_score IS NOT NULL OR $4 IS NULL)) "
		"ON CONFLICT (tenant_id, quiz_id) DO UPDATE SET course_id = coalesce(q.course_id, excluded.course_id), "
		"max_score = coalesce(q.max_score, excluded.max_score)",
		4, {TEXTOID, TEXTOID, TEXTOID, NUMERICOID}
	};
	Datum		values[4] = {CStringGetTextDatum(tenant), result->quiz_id, result->course_id, result->max_score};

	mt_plan_run(&note, values, result->max_score == (Datum) 0 ? "   n" : "    ", SPI_OK_INSERT);
}

static void
emit_quiz_completed(const char *tenant, const MtQuizResult *result, Jsonb *document)
{
	static MtPlan payload = {
		"SELECT $1 || jsonb_build_object('tenantId', $2, 'userId', $3, 'score', $4)",
		4, {JSONBOID, TEXTOID, TEXTOID, NUMERICOID}
	};
	Datum		values[4] = {JsonbPGetDatum(document), CStringGetTextDatum(tenant), result->user_id, result->score};
	bool		isnull;

	mt_plan_run(&payload, values, result->score == (Datum) 0 ? "   n" : "    ", SPI_OK_SELECT);
	mt_emit_event(tenant, "quiz.completed", SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
fill_parameters(const char *tenant, const MtQuizResult *result, const char *source, Datum *values, char *nulls)
{
	memset(nulls, ' ', PARAMETERS);
	values[0] = CStringGetTextDatum(tenant);
	values[1] = result->user_id;
	values[2] = result->course_id;
	values[3] = result->quiz_id;
	values[4] = result->submitted_at;
	values[5] = result->answers;
	values[6] = result->score;
	values[7] = result->computed_score;
	values[8] = result->attempt;
	values[9] = result->passed;
	values[10] = result->max_score;
	values[11] = result->raw_score;
	values[12] = CStringGetTextDatum(source);
	for (int i = 5; i < PARAMETERS; i++)
		if (values[i] == (Datum) 0)
			nulls[i] = 'n';
	nulls[8] = result->has_attempt ? ' ' : 'n';
	nulls[9] = result->has_passed ? ' ' : 'n';
}

/*
 * Records a result, whose user id is what mt_user_resolve or mt_user_resolve_pulled gave; true when that changed something. source is 'pull' or
 * 'live' where a pull brought it, which replaces, or who else did. document is what it was read from, for the event. ERROR 23505 where the key is
 * there with other content. Within mt_service_enter/leave.
 */
bool
mt_quiz_result_store(const char *tenant, MtQuizResult *result, Jsonb *document, const char *source)
{
	Datum		values[PARAMETERS];
	char		nulls[PARAMETERS];

	fill_parameters(tenant, result, source, values, nulls);
	if (mt_plan_run(&insert, values, nulls, SPI_OK_INSERT) == 0)
	{
		if (mt_plan_run(&same, values, nulls, SPI_OK_SELECT) > 0)
			return false;
		if (strcmp(source, "pull") != 0 && strcmp(source, SOURCE_LATEST) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNIQUE_VIOLATION),
					 errmsg("submittedAt is that of another result which is recorded already"),
					 errdetail("The same user, course, quiz and moment are there with other content."),
					 errhint("Each attempt has a submittedAt of its own; what is recorded is not replaced.")));
		mt_plan_run(&replace, values, nulls, SPI_OK_UPDATE);
	}
	note_quiz(tenant, result);
	emit_quiz_completed(tenant, result, document);
	return true;
}

/*
 * Records the latest attempt of a user, by our id, at a quiz, in the place of the one that was the latest before; true when that changed something.
 * Within mt_service_enter/leave.
 */
bool
mt_quiz_result_store_latest(const char *tenant, MtQuizResult *result)
{
	static MtPlan drop_earlier = {
		"DELETE FROM mindtickle.quiz_submission WHERE tenant_id = $1 AND user_id = $2 AND course_id = $3 AND quiz_id = $4 "
		"AND submitted_at <> $5 AND source = '" SOURCE_LATEST "'",
		5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
	};
	static MtPlan describe = {
		"SELECT jsonb_strip_nulls(jsonb_build_object('courseId', $1, 'quizId', $2, 'submittedAt', $3, 'passed', $4, 'maxScore', $5, "
		"'rawScore', $6))",
		6, {TEXTOID, TEXTOID, TIMESTAMPTZOID, BOOLOID, NUMERICOID, NUMERICOID}
	};
	Datum		values[PARAMETERS];
	char		nulls[PARAMETERS];
	Datum		described[6];
	char		described_nulls[6];
	bool		isnull;

	fill_parameters(tenant, result, SOURCE_LATEST, values, nulls);
	if (mt_plan_run(&same, values, nulls, SPI_OK_SELECT) > 0)
		return false;
	mt_plan_run(&drop_earlier, values, nulls, SPI_OK_DELETE);
	for (int i = 0; i < 6; i++)
	{
		static const int from[6] = {2, 3, 4, 9, 10, 11};

		described[i] = values[from[i]];
		described_nulls[i] = nulls[from[i]];
	}
	mt_plan_run(&describe, described, described_nulls, SPI_OK_SELECT);
	return mt_quiz_result_store(tenant, result,
								DatumGetJsonbP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)), SOURCE_LATEST);
}

/*
 * mt_process_quiz_result(tenant, result jsonb) -> boolean: true when recorded, false when it was there already.
 */
Datum
mt_process_quiz_result(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *document = PG_GETARG_JSONB_P(1);
	MtServiceCall call;
	MtFault		fault = {0};
	MtFields	fields;
	MtQuizResult result;
	bool		recorded;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	if (!mt_fields_open_document(&fields, document, &fault) || !mt_quiz_result_read(&fields, &result))
		mt_raise_fault(&fault);
	result.user_id = mt_user_resolve(tenant, result.user_id);
	recorded = mt_quiz_result_store(tenant, &result, document, "sql");
	mt_service_leave(&call);
	PG_RETURN_BOOL(recorded);
}
