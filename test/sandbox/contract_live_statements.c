/*
 * contract_live_statements.c
 *		Progress in the live contract: one learner's xAPI statements.
 *
 * Called by contract_live.c for callers whose token is good. Statements are
 * made from where the learner stands: each timestamp is the moment of the
 * request, and the moment of the event hides in "stored", divided by 1000.
 */
#include "contract_live.h"
#include "live_data.h"
#include "statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PAGE			20
#define STATEMENTS_PATH	"/services/data/v4.0/xapi/statements?cursor="

/* Appends a moment of so many milliseconds since 1970 as this resource spells it. */
static void
put_millis(Buffer *buffer, int64_t millis)
{
	mt_moment_upstream(buffer, (Moment) {millis * 1000, MOMENT_MILLISECONDS});
}

static void
put_verb(Buffer *buffer, const Statement *statement)
{
	static const char *const displays[][4] = {
		{"not_started", "Not Started", "not-started", "notstarted"},
		{"in_progress", "In Progress", "in-progress", "inprogress"},
		{"completed", "Completed", "complete", "completed"},
		{"experienced", "Viewed Page", "logged-in", "suspended"}
	};
	const char *word = displays[statement->verb][statement->spelling % 4];

	mt_buffer_format(buffer, "{\"verb\":{\"id\":\"http://adlnet.gov/expapi/verbs/%s\"", word);
	/* Some have no display at all, or none in English: the id tells. */
	if (statement->spelling / 4 % 8 == 0)
		mt_buffer_text(buffer, ",\"display\":{\"de-DE\":\"irgendwas\"}");
	else if (statement->spelling / 4 % 8 != 1)
		mt_buffer_format(buffer, ",\"display\":{\"en-US\":\"%s\"}", word);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_statement(Buffer *buffer, const DataSet *data, const Statement *statement, int64_t now_millis)
{
	char		id[ID_SIZE];

	put_verb(buffer, statement);
	mt_data_id(data, ID_COURSE, (uint32_t) statement->course, id);
	if (statement->has_object)
		mt_buffer_format(buffer, ",\"object\":{\"id\":\"%s\"}", id);
	else
		mt_buffer_text(buffer, statement->spelling % 2 == 0 ? ",\"object\":{}" : ",\"object\":null");
	mt_buffer_text(buffer, ",\"timestamp\":");
	put_millis(buffer, now_millis);
	switch (statement->stored)
	{
		case STORED_THOUSANDTH:
			mt_buffer_text(buffer, ",\"stored\":");
			put_millis(buffer, statement->moment);
			break;
		case STORED_PLAIN:
			mt_buffer_text(buffer, ",\"stored\":");
			put_millis(buffer, statement->moment * 1000);
			break;
		case STORED_NOW:
			mt_buffer_text(buffer, ",\"stored\":");
			put_millis(buffer, now_millis);
			break;
		case STORED_ABSURD:
			mt_buffer_text(buffer, ",\"stored\":\"1970-01-01T00:00:00.000Z\"");
			break;
		case STORED_MISSING:
			break;
	}
	mt_buffer_bytes(buffer, "}", 1);
}

/* Writes up to a page of the learner's statements; returns where the next page begins, 0 at the end. */
static uint64_t
put_statements(Buffer *body, const DataSet *data, int user, int revision, uint64_t position, int limit)
{
	struct timespec now;
	int64_t		millis;
	uint64_t	at = 0;
	int			course;
	int			written = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	millis = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
	for (course = 0; course < data->courses; course++)
	{
		Statement	statements[MAX_STATEMENTS];
		int			count = mt_statements(data, user, course, revision, statements);
		int			i;

		for (i = 0; i < count; i++, at++)
		{
			if (at < position)
				continue;
			if (written == limit)
				return at;
			if (written++ > 0)
				mt_buffer_bytes(body, ",", 1);
			put_statement(body, data, &statements[i], millis);
		}
	}
	return 0;
}

/* Appends the end of a page, and where it goes on. */
static void
put_page_end(Call *call, Tenant *tenant, uint64_t subject, uint64_t next)
{
	Buffer	   *body = &call->reply.body;
	uint64_t	trap = mt_draw(&tenant->data, TOPIC_LIVE_SPELLING, subject, next + 1);
	Buffer		path = {0};

	if (next == 0)
	{
		mt_buffer_text(body, trap % 3 == 0 ? "]}" : trap % 3 == 1 ? "],\"more\":\"\"}" : "],\"more\":null}");
		return;
	}
	if (call->fault == FAULT_LOOP)
		mt_buffer_text(&path, call->raw_url);
	else
	{
		mt_buffer_text(&path, STATEMENTS_PATH);
		mt_session_cursor(tenant, 's', subject, next, &path);
	}
	mt_buffer_bytes(&path, "", 1);
	mt_buffer_text(body, "],\"more\":");
	mt_live_put_next(body, call, tenant, trap, path.data);
	mt_buffer_bytes(body, "}", 1);
	mt_buffer_free(&path);
}

/* Writes statements about modules that nobody knows, in a history without end. */
static void
put_strangers(Buffer *body, const DataSet *data, uint64_t position)
{
	int			i;

	for (i = 0; i < PAGE; i++)
	{
		char		id[ID_SIZE];

		mt_data_id(data, ID_PHANTOM, (uint32_t) ((position + (uint64_t) i) % 90000000 + 10000000), id);
		mt_buffer_format(body, "%s{\"verb\":{\"id\":\"http://adlnet.gov/expapi/verbs/completed\"},\"object\":{\"id\":\"%s\"}}",
						 i == 0 ? "" : ",", id);
	}
}

static void
put_page(Call *call, Tenant *tenant, int user, uint64_t position, int limit)
{
	uint64_t	next;
	uint64_t	subject = (uint64_t) user * 32 + (uint64_t) limit;
	int			revision;

	pthread_rwlock_rdlock(&tenant->listing.lock);
	revision = tenant->listing.revision;
	pthread_rwlock_unlock(&tenant->listing.lock);
	mt_buffer_text(&call->reply.body, "{\"statements\":[");
	if (call->fault == FAULT_STRANGERS)
	{
		put_strangers(&call->reply.body, &tenant->data, position);
		next = position + PAGE;
	}
	else
		next = put_statements(&call->reply.body, &tenant->data, user, revision, position, limit);
	if (call->fault == FAULT_ENDLESS || call->fault == FAULT_LOOP)
		next = position + 1;
	put_page_end(call, tenant, subject, next);
}

/* The address in {"mbox":"mailto:..."}; NULL when there is none. The object lives on. */
static const char *
read_agent(const char *text, json_object **agent)
{
	json_tokener *tokener = json_tokener_new_ex(4);
	const char *mbox = NULL;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*agent = json_tokener_parse_ex(tokener, text, (int) strlen(text) + 1);
	if (*agent != NULL && json_object_is_type(*agent, json_type_object))
		mbox = mt_json_text(*agent, "mbox");
	json_tokener_free(tokener);
	return mbox == NULL || strncmp(mbox, "mailto:", 7) != 0 ? NULL : mbox + 7;
}

/* Answers the first page. */
static void
begin_history(Call *call, Tenant *tenant)
{
	const char *text = mt_call_query(call, "agent");
	json_object *agent = NULL;
	const char *email = text == NULL ? NULL : read_agent(text, &agent);
	long		limit;
	int			user;
	int			revision;

	pthread_rwlock_rdlock(&tenant->listing.lock);
	revision = tenant->listing.revision;
	pthread_rwlock_unlock(&tenant->listing.lock);
	if (email == NULL)
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "agent is {\"mbox\":\"mailto:..\"}");
	else if (!mt_call_number(call, "limit", 1, PAGE, PAGE, &limit))
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "Limit cannot be greater than 20!");
	else if (!mt_live_find_email(&tenant->data, email, revision, &user))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_NOT_FOUND, "User not found");
		mt_live_foreign_email(tenant, email);
	}
	else
		put_page(call, tenant, user, 0, (int) limit);
	json_object_put(agent);
}

void
mt_live_answer_statements(Call *call, Tenant *tenant)
{
	const char *cursor = mt_call_query(call, "cursor");
	uint64_t	subject;
	uint64_t	position;

	if (cursor == NULL)
		begin_history(call, tenant);
	else if (mt_call_query(call, "limit") != NULL || mt_call_query(call, "agent") != NULL ||
			 !mt_session_read_cursor(tenant, 's', cursor, &subject, &position))
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "the cursor is changed, too old, or not alone");
	else
		put_page(call, tenant, (int) (subject / 32), position, (int) (subject % 32));
}
