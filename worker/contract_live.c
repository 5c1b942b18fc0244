/*
 * contract_live.c
 *		The live contract: the service as it is. Its stages, the sign-in, and the envelopes of its answers but for the reports.
 *
 * Called through contract.h by the pull of a tenant. What a record means is in contract_live_user.c, contract_live_statement.c and
 * contract_live_report.c; here are the records that need no more than other names. Continuations come as URLs and are followed by the pull.
 */
#include "contract_live.h"

#include "canonical.h"
#include "source.h"
#include "utils/json.h"

/* Records asked for in a page; of statements more are refused. */
#define USERS_LIMIT			50
#define STATEMENTS_LIMIT	20
/* More records than this in one answer are not believed. */
#define RECORDS_MAX			20000
/* How long a token lives where the answer does not say. */
#define TOKEN_SECONDS		3600

static const char *const base_urls[] = {"https://api.mindtickle.com", "https://api.prod-us.mindtickle.com", NULL};

static const char *
lacks(const MtSource *source)
{
	if (source->secret_key == NULL)
		return "no secret_key is stored, which the live contract needs beside the api_key: set it with mt_set_credential";
	if (source->learning_site == NULL)
		return "no learning_site is configured, such as \"acme.mindtickle.com\": set it with mt_configure_tenant";
	return NULL;
}

static void
append_text(StringInfo object, const char *name, const char *text)
{
	mt_append_name(object, name);
	escape_json(object, text);
}

static void
request_sign_in(const MtSource *source, MtCall *call)
{
	appendStringInfoString(&call->target, "/services/data/auth_token");
	appendStringInfoChar(&call->body, '{');
	append_text(&call->body, "api_key", source->api_key);
	append_text(&call->body, "secret_key", source->secret_key);
	append_text(&call->body, "ls_url", source->learning_site);
	appendStringInfoChar(&call->body, '}');
}

static const char *
read_sign_in(const char *body, size_t length, char **token, int64 *seconds)
{
	MtSpan		document;
	MtSpan		key;
	MtSpan		value;
	MtWalk		walk;
	MtStep		step;

	*token = NULL;
	*seconds = TOKEN_SECONDS;
	if (body == NULL || !mt_json_document(body, length, &document) || !mt_json_walk(document, '{', &walk))
		return "it is not a JSON object";
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
	{
		if (mt_json_text_equals(key, "token") || (*token == NULL && mt_json_text_equals(key, "access_token")))
			*token = mt_json_text(value);
		else if (mt_json_text_equals(key, "expires_in") && mt_json_count(value) > 0)
			*seconds = mt_json_count(value);
	}
	if (step != MT_STEP_END)
		return mt_walk_problem(step);
	return *token == NULL ? "it has no token" : NULL;
}

static const MtSignIn sign_in = {.request = request_sign_in,.read = read_sign_in};

static bool
groups_named(const MtSource *source)
{
	return source->group_count > 0;
}

static double
cost_of_users(const MtCounts *counts)
{
	return (double) counts->users;
}

static double
cost_of_reports(const MtCounts *counts)
{
	return (double) counts->reports;
}

static void
request_users_of(MtCall *call, const char *group_id)
{
	appendStringInfo(&call->target, "/services/data/v4.0/mtobjects/Users?limit=%d", USERS_LIMIT);
	appendStringInfoChar(&call->body, '{');
	if (group_id != NULL)
	{
		mt_append_name(&call->body, "groupIds");
		appendStringInfoChar(&call->body, '[');
		escape_json(&call->body, group_id);
		appendStringInfoChar(&call->body, ']');
	}
	appendStringInfoChar(&call->body, '}');
}

static void
request_users(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_users_of(call, NULL);
}

static void
request_members(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_users_of(call, item->upstream_id);
}

/* Groups are of version 2.0, unlike users, and are found by their exact names alone. */
static void
request_groups(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	appendStringInfoString(&call->target, "/services/data/v2.0/mtobjects/Groups");
	appendStringInfoString(&call->body, "{\"names\":[");
	for (int i = 0; i < source->group_count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&call->body, ',');
		escape_json(&call->body, source->groups[i]);
	}
	appendStringInfoString(&call->body, "]}");
}

static void
request_series(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	appendStringInfoString(&call->target, "/api/v2/series/list");
}

static void
request_modules(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	appendStringInfoString(&call->target, "/api/v2/series/");
	mt_append_percent_encoded(&call->target, item->upstream_id);
	appendStringInfoString(&call->target, "/list");
}

static void
request_statements(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	StringInfoData mailbox;
	StringInfoData agent;

	initStringInfo(&mailbox);
	initStringInfo(&agent);
	appendStringInfo(&mailbox, "mailto:%s", item->upstream_id);
	appendStringInfoChar(&agent, '{');
	append_text(&agent, "mbox", mailbox.data);
	appendStringInfoChar(&agent, '}');
	appendStringInfoString(&call->target, "/services/data/v4.0/xapi/statements?agent=");
	mt_append_percent_encoded(&call->target, agent.data);
	appendStringInfo(&call->target, "&limit=%d", STATEMENTS_LIMIT);
}

/* The members of an envelope: what holds the records, how many there are, where it goes on, whether it does. */
typedef struct Envelope
{
	const char *records;
	const char *total;
	const char *next;
	const char *done;
} Envelope;

static const char *
read_envelope(const char *body, size_t length, const Envelope *envelope, MtPage *page)
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
		if (mt_json_text_equals(key, envelope->records))
			array = value;
		else if (envelope->total != NULL && mt_json_text_equals(key, envelope->total))
			page->total = mt_json_count(value);
		else if (envelope->next != NULL && mt_json_text_equals(key, envelope->next) && mt_json_is_string(value) && value.length > 2)
			page->next = value;
		else if (envelope->done != NULL && mt_json_text_equals(key, envelope->done))
			page->last = (value.length == 4 && memcmp(value.start, "true", 4) == 0) || mt_json_text_equals(value, "true");
	}
	problem = mt_walk_problem(step);
	if (problem != NULL)
		return problem;
	if (array.start == NULL)
		return "it has no list of records";
	problem = mt_read_records(array, RECORDS_MAX, page);
	if (page->last)
		page->next.start = NULL;
	if (page->next.start != NULL)
		page->step = page->count;
	return problem;
}

static const char *
read_users(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	static const Envelope envelope = {"users", "totalSize", "nextRecordsUrl", "done"};

	return read_envelope(body, length, &envelope, page);
}

static const char *
read_groups(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	static const Envelope envelope = {.records = "groups"};

	return read_envelope(body, length, &envelope, page);
}

static const char *
read_hits(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	static const Envelope envelope = {.records = "hits"};

	return read_envelope(body, length, &envelope, page);
}

static const char *
read_statements(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	static const Envelope envelope = {.records = "statements",.next = "more"};

	return read_envelope(body, length, &envelope, page);
}

/* An object with other names: each of theirs, and ours for it; the first is an identifier. Others are left out. */
static void
append_renamed(MtSpan record, const char *const (*names)[2], int count, StringInfo canonical)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;

	if (!mt_json_walk(record, '{', &walk))
	{
		mt_append_span(canonical, record);
		return;
	}
	appendStringInfoChar(canonical, '{');
	while (mt_json_member(&walk, &key, &value) == MT_STEP_ITEM)
		for (int i = 0; i < count; i++)
		{
			if (!mt_json_text_equals(key, names[i][0]))
				continue;
			mt_append_name(canonical, names[i][1]);
			if (i == 0)
				mt_append_identifier(canonical, value);
			else
				mt_append_span(canonical, value);
		}
	appendStringInfoChar(canonical, '}');
}

static void
canonical_group(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	static const char *const names[][2] = {{"id", "teamId"}, {"name", "name"}};

	append_renamed(record, names, lengthof(names), canonical);
}

static void
canonical_series(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	static const char *const names[][2] = {{"id", "seriesId"}, {"name", "name"}};

	append_renamed(record, names, lengthof(names), canonical);
}

static void
canonical_module(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	static const char *const names[][2] = {{"id", "courseId"}, {"name", "title"}, {"moduleType", "kind"}};

	append_renamed(record, names, lengthof(names), canonical);
}

static const MtStage stages[] = {
	{
		.name = "users",.phase = MT_PHASE_ROSTER,.over = MT_OVER_LISTING,.records = MT_RECORDS_USERS,.right = "to read users",
		.request = request_users,.read_page = read_users,.canonical_record = mt_live_canonical_user
	},
	{
		.name = "groups",.phase = MT_PHASE_TEAMS,.over = MT_OVER_LISTING,.records = MT_RECORDS_TEAMS,.right = "to read groups",
		.usable = groups_named,
		.request = request_groups,.read_page = read_groups,.canonical_record = canonical_group
	},
	{
		.name = "group members",.phase = MT_PHASE_TEAM_MEMBERS,.over = MT_OVER_TEAMS,.records = MT_RECORDS_TEAM_MEMBERS,.together = MT_TOGETHER_ALWAYS,
		.right = "to read users",.usable = groups_named,
		.request = request_members,.read_page = read_users,.canonical_record = mt_live_canonical_member
	},
	{
		.name = "series",.phase = MT_PHASE_SERIES,.over = MT_OVER_LISTING,.records = MT_RECORDS_SERIES,.right = "to read series",
		.request = request_series,.read_page = read_hits,.canonical_record = canonical_series
	},
	{
		.name = "modules",.phase = MT_PHASE_CATALOG,.over = MT_OVER_SERIES,.records = MT_RECORDS_MODULES,.together = MT_TOGETHER_ALWAYS,
		.right = "to read series",
		.request = request_modules,.read_page = read_hits,.canonical_record = canonical_module
	},
	{
		.name = "reports",.phase = MT_PHASE_PROGRESS,.over = MT_OVER_REPORTS,.records = MT_RECORDS_REPORTS,.host = MT_HOST_REPORTING,.two_forms = true,
		.together = MT_TOGETHER_MOSTLY,.right = "of a reporting user",.cost = cost_of_reports,
		.request = mt_live_request_report,.read_page = mt_live_read_report,.canonical_record = mt_live_canonical_report
	},
	{
		.name = "user reports",.phase = MT_PHASE_PROGRESS,.over = MT_OVER_EMAILS,.records = MT_RECORDS_REPORTS,.host = MT_HOST_REPORTING,.two_forms = true,
		.together = MT_TOGETHER_ALWAYS,.right = "of a reporting user",.cost = cost_of_users,
		.request = mt_live_request_user_report,.read_page = mt_live_read_report,.canonical_record = mt_live_canonical_report
	},
	{
		.name = "statements",.phase = MT_PHASE_PROGRESS,.over = MT_OVER_EMAILS,.records = MT_RECORDS_HISTORY,.together = MT_TOGETHER_ALWAYS,
		.right = "to read xAPI statements",
		.request = request_statements,.read_page = read_statements,.canonical_record = mt_live_canonical_statement
	},
};

const MtContract mt_contract_live = {
	.name = "live",
	.stages = stages,
	.stage_count = lengthof(stages),
	.base_urls = base_urls,
	.reporting_url = "https://admin.mindtickle.com/Odata.svc",
	.sign_in = &sign_in,
	.lacks = lacks,
};
