/*
 * contract_live_statement.c
 *		xAPI statements of the live contract: which state of a course a statement tells of, and when it was reached.
 *
 * Called through contract.h. Statements are made from the present state at the moment of the request, which is what "timestamp" says: it is never
 * the moment of an event. That is in "stored", divided by a thousand; the third decimal of its seconds is a second. Of several statements of a
 * course the store function keeps one.
 */
#include "contract_live.h"

#include "canonical.h"
#include "moment.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* No event is older than the service, and none is later than clocks differ. */
#define EARLIEST		((TimestampTz) (date2j(2015, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
#define AHEAD_MAX		USECS_PER_DAY
/* 1970-01-01 */
#define UNIX_EPOCH		((TimestampTz) (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)
/* Later than this a moment was not divided. */
#define DIVIDED_MAX		(365 * USECS_PER_DAY)
/* Longest verb that is looked at. */
#define VERB_MAX		100

/* The members of a statement that matter; empty where they are absent. */
typedef struct Statement
{
	MtSpan		course_id;
	MtSpan		verb_display;
	MtSpan		verb_id;
	MtSpan		timestamp;
	MtSpan		stored;
} Statement;

/* Takes the named members of an object. */
static void
take_members(MtSpan object, int count, const char *const *names, MtSpan *const *values)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;

	if (object.start == NULL || !mt_json_walk(object, '{', &walk))
		return;
	while (mt_json_member(&walk, &key, &value) == MT_STEP_ITEM)
		for (int i = 0; i < count; i++)
			if (mt_json_text_equals(key, names[i]))
				*values[i] = value;
}

static void
read_statement(MtSpan record, Statement *statement)
{
	MtSpan		verb = {NULL, 0};
	MtSpan		object = {NULL, 0};
	MtSpan		display = {NULL, 0};

	memset(statement, 0, sizeof(*statement));
	take_members(record, 4, (const char *const[]) {"verb", "object", "timestamp", "stored"},
				 (MtSpan *const[]) {&verb, &object, &statement->timestamp, &statement->stored});
	take_members(object, 1, (const char *const[]) {"id"}, (MtSpan *const[]) {&statement->course_id});
	take_members(verb, 2, (const char *const[]) {"id", "display"}, (MtSpan *const[]) {&statement->verb_id, &display});
	take_members(display, 1, (const char *const[]) {"en-US"}, (MtSpan *const[]) {&statement->verb_display});
}

/* The state that a verb tells of; NULL when none. */
static const char *
state_of(const Statement *statement)
{
	static const char *const states[][2] = {
		{"completed", "completed"}, {"complete", "completed"}, {"in_progress", "in_progress"}, {"inprogress", "in_progress"},
		{"not_started", "not_started"}, {"notstarted", "not_started"}
	};
	bool		displayed = mt_json_is_string(statement->verb_display) && statement->verb_display.length > 2;
	MtSpan		span = displayed ? statement->verb_display : statement->verb_id;
	char	   *verb = span.length <= VERB_MAX && mt_json_is_string(span) ? mt_json_text(span) : NULL;

	if (verb == NULL)
		return NULL;
	if (!displayed && strrchr(verb, '/') != NULL)
		verb = strrchr(verb, '/') + 1;
	for (char *c = verb; *c != '\0'; c++)
		*c = *c == ' ' || *c == '-' ? '_' : (char) pg_ascii_tolower((unsigned char) *c);
	for (int i = 0; i < (int) lengthof(states); i++)
		if (strcmp(verb, states[i][0]) == 0)
			return states[i][1];
	return NULL;
}

static bool
plausible(TimestampTz moment)
{
	return moment >= EARLIEST && moment <= GetCurrentTimestamp() + AHEAD_MAX;
}

/* When the state was reached. False where the statement does not tell. */
static bool
event_moment(const Statement *statement, TimestampTz *moment)
{
	TimestampTz stored;
	TimestampTz requested;
	int64		since_epoch;

	if (statement->stored.start == NULL || !mt_read_moment(statement->stored, &stored))
		return false;
	if (statement->timestamp.start != NULL && mt_read_moment(statement->timestamp, &requested) && requested == stored)
		return false;
	*moment = stored;
	if (plausible(stored))
		return true;
	since_epoch = stored - UNIX_EPOCH;
	if (since_epoch < 0 || since_epoch > DIVIDED_MAX)
		return false;
	*moment = UNIX_EPOCH + since_epoch / 1000 * USECS_PER_SEC;
	return plausible(*moment);
}

/*
 * A statement as progress; nothing for one that has no course or no known verb.
 */
void
mt_live_canonical_statement(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	Statement	statement;
	const char *state;
	TimestampTz moment;

	if (record.length == 0 || *record.start != '{')
	{
		mt_append_span(canonical, record);
		return;
	}
	read_statement(record, &statement);
	state = state_of(&statement);
	if (state == NULL || statement.course_id.start == NULL || mt_json_is_null(statement.course_id))
		return;
	appendStringInfoChar(canonical, '{');
	mt_append_name(canonical, "courseId");
	mt_append_identifier(canonical, statement.course_id);
	mt_append_name(canonical, "status");
	appendStringInfo(canonical, "\"%s\"", state);
	if (event_moment(&statement, &moment))
	{
		if (strcmp(state, "completed") == 0)
		{
			mt_append_name(canonical, "completedAt");
			mt_append_moment(canonical, moment);
		}
		mt_append_name(canonical, "updatedAt");
		mt_append_moment(canonical, moment);
	}
	appendStringInfoChar(canonical, '}');
}
