/*
 * contract_reference.c
 *		The reference contract: listings by limit and offset, one request for each user's courses.
 *
 * Results of quizzes, and a user's courses, can be asked for since a moment: of their submission, and of their last change. People and courses cannot.
 *
 * Called through contract.h by the pull of a tenant. Only names and a few values are brought to our data model here; whether a record is
 * acceptable is decided where it is stored.
 */
#include "contract.h"

#include "canonical.h"
#include "source.h"
#include "utils/json.h"

/* Records asked for in a page of a listing. */
#define PAGE_LIMIT		100
/* More records than this in one answer are not believed. */
#define RECORDS_MAX		20000

/* How the value of a member is brought to our data model. */
typedef enum Treatment
{
	KEEP,
	DROP,						/* our name for something else: it must not stand in for it */
	IDENTIFIER,					/* an integer becomes the text of its digits */
	NUMBER,						/* text that is a number becomes one */
	ROLE,						/* an unknown role becomes rep */
	ACTIVE,						/* null becomes true */
	STATUS,						/* expired becomes in_progress */
	COMPLETED_AT				/* only with the status completed */
} Treatment;

/* A member that needs more than being passed on; the others keep name and value. */
typedef struct MemberRule
{
	const char *name;
	const char *canonical_name;
	Treatment	treatment;
	const char *if_missing;		/* the member when there is none, NULL: none */
} MemberRule;

static const MemberRule user_rules[] = {
	{"id", "mindtickleId", IDENTIFIER, NULL},
	{"mindtickleId", NULL, DROP, NULL},
	{"scimExternalId", "scimExternalId", IDENTIFIER, NULL},
	{"role", "role", ROLE, "\"rep\""},
	{"active", "active", ACTIVE, "true"},
	{NULL}
};

static const MemberRule course_rules[] = {
	{"id", "courseId", IDENTIFIER, NULL},
	{"courseId", NULL, DROP, NULL},
	{NULL}
};

static const MemberRule progress_rules[] = {
	{"id", "courseId", IDENTIFIER, NULL},
	{"courseId", NULL, DROP, NULL},
	{"quizScore", "score", NUMBER, "null"},
	{"score", NULL, DROP, NULL},
	{"status", "status", STATUS, NULL},
	{"completedAt", "completedAt", COMPLETED_AT, NULL},
	{NULL}
};

static const MemberRule quiz_rules[] = {
	{"id", "resultId", IDENTIFIER, NULL},
	{"resultId", NULL, DROP, NULL},
	{"userId", "userId", IDENTIFIER, NULL},
	{"courseId", "courseId", IDENTIFIER, NULL},
	{"quizId", "quizId", IDENTIFIER, NULL},
	{"attemptNumber", "attempt", NUMBER, NULL},
	{"attempt", NULL, DROP, NULL},
	{"score", "score", NUMBER, NULL},
	{"maxScore", "maxScore", NUMBER, NULL},
	{"rawScore", "rawScore", NUMBER, NULL},
	{NULL}
};

/* Writes the request of a listing's page. */
static void
request_page(MtCall *call, const char *path, const MtCursor *cursor)
{
	appendStringInfo(&call->target, "%s?limit=" INT64_FORMAT "&offset=" INT64_FORMAT, path,
					 cursor->limit > 0 ? cursor->limit : PAGE_LIMIT, cursor->offset);
}

static void
request_users(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_page(call, "/users", cursor);
}

static void
request_courses(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_page(call, "/courses", cursor);
}

static void
request_quiz_results(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_page(call, "/quiz-results", cursor);
	if (cursor->since != NULL)
		appendStringInfo(&call->target, "&since=%s", cursor->since);
}

static void
request_progress(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	appendStringInfoString(&call->target, "/users/");
	mt_append_percent_encoded(&call->target, item->upstream_id);
	appendStringInfoString(&call->target, "/courses");
	if (cursor->since != NULL)
		appendStringInfo(&call->target, "?updated_since=%s", cursor->since);
}

/* Fills in the records, which the named member holds, and what the envelope says of the listing. */
static const char *
read_envelope(const char *body, size_t length, const char *records, MtPage *page)
{
	MtSpan		document;
	MtSpan		key;
	MtSpan		value;
	MtSpan		array = {NULL, 0};
	MtWalk		walk;
	MtStep		step;
	const char *problem;

	memset(page, 0, sizeof(*page));
	page->total = -1;
	if (body == NULL || !mt_json_document(body, length, &document) || !mt_json_walk(document, '{', &walk))
		return "it is not a JSON object";
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
	{
		if (mt_json_text_equals(key, records))
			array = value;
		else if (mt_json_text_equals(key, "total"))
			page->total = mt_json_count(value);
		else if (mt_json_text_equals(key, "limit"))
			page->limit = Max(mt_json_count(value), 0);
	}
	problem = mt_walk_problem(step);
	if (problem != NULL)
		return problem;
	if (array.start == NULL)
		return "it has no list of records";
	return mt_read_records(array, RECORDS_MAX, page);
}

static const char *
read_listing(const char *body, size_t length, const MtCursor *cursor, const char *records, MtPage *page)
{
	const char *problem = read_envelope(body, length, records, page);

	if (problem != NULL)
		return problem;

	/*
	 * The next page starts behind the limit that the server says it applied, for it may lower the one asked for, and a page may be short
	 * without being the last. A limit raised counts only where the page shows it.
	 */
	if (page->limit > 0 && (page->limit <= Max(cursor->limit, PAGE_LIMIT) || page->count > Max(cursor->limit, PAGE_LIMIT)))
		page->step = page->limit;
	else if (page->limit > 0)
		page->step = Max(cursor->limit, PAGE_LIMIT);
	else
		page->step = page->count;
	page->limit = Min(page->step, PAGE_LIMIT);
	return NULL;
}

static const char *
read_users(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	return read_listing(body, length, cursor, "users", page);
}

static const char *
read_courses(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	return read_listing(body, length, cursor, "courses", page);
}

static const char *
read_quiz_results(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	return read_listing(body, length, cursor, "quizResults", page);
}

static const char *
read_progress(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	return read_envelope(body, length, "courses", page);
}

static const MemberRule *
find_rule(const MemberRule *rules, MtSpan key)
{
	for (const MemberRule *rule = rules; rule->name != NULL; rule++)
		if (mt_json_text_equals(key, rule->name))
			return rule;
	return NULL;
}

/* Appends the value of a member as the data model has it. */
static void
append_value(StringInfo canonical, const MtSource *source, Treatment treatment, MtSpan value, bool completed)
{

	switch (treatment)
	{
		case IDENTIFIER:
			mt_append_identifier(canonical, value);
			return;
		case NUMBER:
			mt_append_number(canonical, value);
			return;
		case ROLE:
			if (mt_map_find(&source->role_map, value) != NULL)
			{
				escape_json(canonical, mt_map_find(&source->role_map, value));
				return;
			}
			if (mt_json_is_null(value) ||
				(mt_json_is_string(value) && !mt_json_text_equals(value, "rep") && !mt_json_text_equals(value, "manager") &&
				 !mt_json_text_equals(value, "admin")))
			{
				appendStringInfoString(canonical, "\"rep\"");
				return;
			}
			break;
		case ACTIVE:
			if (mt_json_is_null(value))
			{
				appendStringInfoString(canonical, "true");
				return;
			}
			break;
		case STATUS:
			if (mt_json_text_equals(value, "expired"))
			{
				appendStringInfoString(canonical, "\"in_progress\"");
				return;
			}
			break;
		case COMPLETED_AT:
			if (!completed)
			{
				appendStringInfoString(canonical, "null");
				return;
			}
			break;
		case KEEP:
		case DROP:
			break;
	}
	mt_append_span(canonical, value);
}

/* Is the record an object that can be walked to its end? *completed: has it the status completed? */
static bool
inspect(MtSpan record, bool *completed)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	MtStep		step;

	*completed = false;
	if (!mt_json_walk(record, '{', &walk))
		return false;
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
		if (mt_json_text_equals(key, "status"))
			*completed = mt_json_text_equals(value, "completed");
	return step == MT_STEP_END;
}

static void
apply_rules(const MtSource *source, const MemberRule *rules, MtSpan record, StringInfo canonical)
{
	uint32		present = 0;
	const char *separator = "{";
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	bool		completed;

	if (!inspect(record, &completed))
	{
		mt_append_span(canonical, record);
		return;
	}
	(void) mt_json_walk(record, '{', &walk);
	while (mt_json_member(&walk, &key, &value) == MT_STEP_ITEM)
	{
		const MemberRule *rule = find_rule(rules, key);

		if (rule != NULL && rule->treatment == DROP)
			continue;
		appendStringInfoString(canonical, separator);
		separator = ",";
		if (rule == NULL)
		{
			mt_append_span(canonical, key);
			appendStringInfoChar(canonical, ':');
			mt_append_span(canonical, value);
			continue;
		}
		present |= (uint32) 1 << (rule - rules);
		appendStringInfo(canonical, "\"%s\":", rule->canonical_name);
		append_value(canonical, source, rule->treatment, value, completed);
	}
	for (const MemberRule *rule = rules; rule->name != NULL; rule++)
	{
		if (rule->if_missing == NULL || (present & ((uint32) 1 << (rule - rules))) != 0)
			continue;
		appendStringInfo(canonical, "%s\"%s\":%s", separator, rule->canonical_name, rule->if_missing);
		separator = ",";
	}
	appendStringInfoString(canonical, *separator == '{' ? "{}" : "}");
}

static void
canonical_user(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	apply_rules(source, user_rules, record, canonical);
}

static void
canonical_course(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	apply_rules(source, course_rules, record, canonical);
}

static void
canonical_progress(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	apply_rules(source, progress_rules, record, canonical);
}

static void
canonical_quiz_result(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	apply_rules(source, quiz_rules, record, canonical);
}

static const MtStage stages[] = {
	{
		.name = "users",.phase = MT_PHASE_ROSTER,.over = MT_OVER_LISTING,.records = MT_RECORDS_USERS,.right = "users:read",
		.request = request_users,.read_page = read_users,.canonical_record = canonical_user
	},
	{
		.name = "courses",.phase = MT_PHASE_CATALOG,.over = MT_OVER_LISTING,.records = MT_RECORDS_COURSES,.right = "courses:read",
		.request = request_courses,.read_page = read_courses,.canonical_record = canonical_course
	},
	{
		.name = "progress",.phase = MT_PHASE_PROGRESS,.over = MT_OVER_USERS,.records = MT_RECORDS_PROGRESS,.right = "analytics:read",.changes = true,
		.request = request_progress,.read_page = read_progress,.canonical_record = canonical_progress
	},
	{
		.name = "quiz results",.phase = MT_PHASE_QUIZ_RESULTS,.over = MT_OVER_LISTING,.records = MT_RECORDS_QUIZ_RESULTS,
		.right = "analytics:read",.changes = true,
		.request = request_quiz_results,.read_page = read_quiz_results,.canonical_record = canonical_quiz_result
	},
};

const MtContract mt_contract_reference = {
	.name = "reference",
	.stages = stages,
	.stage_count = lengthof(stages),
};
