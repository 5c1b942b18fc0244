/*
 * contract_reference.c
 *		The reference contract: listings by limit and offset, one request for each user's courses.
 *
 * Called through contract.h by the pull of a tenant. Only names and a few values are brought to our data model here; whether a record is
 * acceptable is decided where it is stored.
 */
#include "contract.h"

/* Records asked for in a page of a listing. */
#define PAGE_LIMIT		100
/* More records than this in one answer are not believed. */
#define RECORDS_MAX		20000

/* The listings. */
static const struct
{
	const char *path;
	const char *records;		/* the member that holds them */
}			listings[] = {
	[MT_PHASE_ROSTER] = {"/users", "users"},
	[MT_PHASE_CATALOG] = {"/courses", "courses"},
	[MT_PHASE_PROGRESS] = {NULL, "courses"},
	[MT_PHASE_QUIZ_RESULTS] = {"/quiz-results", "quizResults"},
};

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

static const MemberRule *const rules_of[] = {
	[MT_PHASE_ROSTER] = user_rules,
	[MT_PHASE_CATALOG] = course_rules,
	[MT_PHASE_PROGRESS] = progress_rules,
	[MT_PHASE_QUIZ_RESULTS] = quiz_rules,
};

static void
page_path(StringInfo path, MtPhase phase, const MtCursor *cursor)
{
	appendStringInfo(path, "%s?limit=" INT64_FORMAT "&offset=" INT64_FORMAT, listings[phase].path,
					 cursor->limit > 0 ? cursor->limit : PAGE_LIMIT, cursor->offset);
}

static void
user_path(StringInfo path, const char *mindtickle_id)
{
	appendStringInfoString(path, "/users/");
	for (const unsigned char *c = (const unsigned char *) mindtickle_id; *c != '\0'; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_')
			appendStringInfoChar(path, (char) *c);
		else
			appendStringInfo(path, "%%%02X", *c);
	}
	appendStringInfoString(path, "/courses");
}

/* Fills in the records of the page. */
static const char *
read_records(MtSpan array, MtPage *page)
{
	MtWalk		walk;
	MtSpan		element;
	MtStep		step;
	int			room = 128;

	if (!mt_json_walk(array, '[', &walk))
		return "its list of records is no array";
	page->records = palloc(sizeof(MtSpan) * (Size) room);
	while ((step = mt_json_element(&walk, &element)) == MT_STEP_ITEM)
	{
		if (page->count == RECORDS_MAX)
			return "it has more records than can be believed";
		if (page->count == room)
		{
			room *= 2;
			page->records = repalloc(page->records, sizeof(MtSpan) * (Size) room);
		}
		page->records[page->count++] = element;
	}
	return step == MT_STEP_END ? NULL : "its list of records is malformed";
}

static const char *
read_page(MtPhase phase, const char *body, size_t length, const MtCursor *cursor, MtPage *page)
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
		if (mt_json_text_equals(key, listings[phase].records))
			array = value;
		else if (mt_json_text_equals(key, "total"))
			page->total = mt_json_count(value);
		else if (mt_json_text_equals(key, "limit"))
			page->limit = Max(mt_json_count(value), 0);
	}
	if (step == MT_STEP_MALFORMED)
		return "it is not a JSON object";
	if (array.start == NULL)
		return "it has no list of records";
	problem = read_records(array, page);
	if (problem != NULL || cursor == NULL)
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

static const MemberRule *
find_rule(const MemberRule *rules, MtSpan key)
{
	for (const MemberRule *rule = rules; rule->name != NULL; rule++)
		if (mt_json_text_equals(key, rule->name))
			return rule;
	return NULL;
}

static void
append_span(StringInfo canonical, MtSpan span)
{
	appendBinaryStringInfo(canonical, span.start, (int) span.length);
}

/* Appends the value of a member as the data model has it. */
static void
append_value(StringInfo canonical, Treatment treatment, MtSpan value, bool completed)
{
	MtSpan		inner = {value.start + 1, value.length - 2};

	switch (treatment)
	{
		case IDENTIFIER:
			if (mt_json_is_integer(value))
			{
				appendStringInfoChar(canonical, '"');
				append_span(canonical, value);
				appendStringInfoChar(canonical, '"');
				return;
			}
			break;
		case NUMBER:
			if (mt_json_is_string(value) && mt_json_is_number(inner))
			{
				append_span(canonical, inner);
				return;
			}
			break;
		case ROLE:
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
	append_span(canonical, value);
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
canonical_record(MtPhase phase, MtSpan record, StringInfo canonical)
{
	const MemberRule *rules = rules_of[phase];
	uint32		present = 0;
	const char *separator = "{";
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	bool		completed;

	if (!inspect(record, &completed))
	{
		append_span(canonical, record);
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
			append_span(canonical, key);
			appendStringInfoChar(canonical, ':');
			append_span(canonical, value);
			continue;
		}
		present |= (uint32) 1 << (rule - rules);
		appendStringInfo(canonical, "\"%s\":", rule->canonical_name);
		append_value(canonical, rule->treatment, value, completed);
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

const MtContract mt_contract_reference = {
	.name = "reference",
	.page_path = page_path,
	.user_path = user_path,
	.read_page = read_page,
	.canonical_record = canonical_record,
};

/*
 * The adapter of a contract; NULL when there is none of that name.
 */
const MtContract *
mt_contract_find(const char *name)
{
	static const MtContract *const contracts[] = {&mt_contract_reference};

	for (int i = 0; i < (int) lengthof(contracts); i++)
		if (strcmp(contracts[i]->name, name) == 0)
			return contracts[i];
	return NULL;
}
