/*
 * contract_live_report.c
 *		OData reports of the live contract: where learners stand in modules, with their points, many rows in one answer.
 *
 * Called through contract.h. A report is asked for as JSON, and as CSV (RFC 4180) where that was too large or refused; an answer is taken for what
 * it is, whatever was asked for. Booleans and numbers may be strings, and in CSV all are.
 */
#include "contract_live.h"

#include "canonical.h"
#include "utils/json.h"

/* More rows than this in one answer are not believed. */
#define ROWS_MAX		250000
/* Most columns of a CSV answer, and longest field that is looked at, in bytes. */
#define COLUMNS_MAX		200
#define FIELD_MAX		(64 * 1024)

/* How a column is brought to our data model. */
typedef enum Treatment
{
	IDENTIFIER,
	TEXT,
	NUMBER,
	BOOLEAN,
	MOMENT,
	STATE						/* not passed on by itself */
} Treatment;

/* Columns that are asked for by themselves. */
typedef enum Column
{
	MODULE,
	STARTED,
	COMPLETED,
	ENDED
} Column;

static const struct
{
	const char *name;
	const char *canonical_name;
	Treatment	treatment;
}			columns[] = {
	[MODULE] = {"ModuleId", "courseId", IDENTIFIER},
	[STARTED] = {"HasStarted", NULL, STATE},
	[COMPLETED] = {"HasCompleted", NULL, STATE},
	[ENDED] = {"EndTime", NULL, STATE},
	{"UserId", "userId", IDENTIFIER},
	{"LearnerEmailId", "email", TEXT},
	{"HasFailed", "hasFailed", BOOLEAN},
	{"IsOverdue", "isOverdue", BOOLEAN},
	{"PercentCompleted", "percentCompleted", NUMBER},
	{"Score", "rawScore", NUMBER},
	{"MaxScore", "maxScore", NUMBER},
	{"InvitedOn", "invitedAt", MOMENT},
	{"StartTime", "startedAt", MOMENT},
};

static void
request_report(MtCall *call, const char *column, const char *value, const MtCursor *cursor)
{
	StringInfoData filter;

	initStringInfo(&filter);
	appendStringInfo(&filter, "%s eq '", column);
	for (; *value != '\0'; value++)
	{
		/* OData doubles a quote in a literal. */
		if (*value == '\'')
			appendStringInfoChar(&filter, '\'');
		appendStringInfoChar(&filter, *value);
	}
	appendStringInfoChar(&filter, '\'');
	appendStringInfoString(&call->target, "/LearnerModulePerformances?$filter=");
	mt_append_percent_encoded(&call->target, filter.data);
	appendStringInfo(&call->target, "&$format=%s", cursor->other_form ? "csv" : "json");
}

/*
 * Asks for the report of a series or of a module.
 */
void
mt_live_request_report(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	const char *id = strchr(item->upstream_id, '/') + 1;

	request_report(call, item->upstream_id[0] == 's' ? "SeriesId" : "ModuleId", id, cursor);
}

/*
 * Asks for the report of a user.
 */
void
mt_live_request_user_report(const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call)
{
	request_report(call, "LearnerEmailId", item->upstream_id, cursor);
}

/* Finds the rows in an envelope: results, d.results, d or value; and where it goes on. NULL, or what is wrong. */
static const char *
find_rows(MtSpan object, int depth, MtSpan *rows, MtSpan *next)
{
	MtWalk		walk;
	MtSpan		key;
	MtSpan		value;
	MtStep		step;

	if (!mt_json_walk(object, '{', &walk))
		return "it is not a JSON object";
	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
	{
		bool		rows_here = mt_json_text_equals(key, "results") || mt_json_text_equals(key, "value");

		if (mt_json_text_equals(key, "d"))
		{
			if (value.length > 0 && *value.start == '{' && depth == 0)
			{
				const char *problem = find_rows(value, depth + 1, rows, next);

				if (problem != NULL)
					return problem;
			}
			else
				rows_here = true;
		}
		if (rows_here)
			*rows = value;
		else if ((mt_json_text_equals(key, "__next") || mt_json_text_equals(key, "@odata.nextLink") || mt_json_text_equals(key, "odata.nextLink")) &&
				 mt_json_is_string(value) && value.length > 2)
			*next = value;
	}
	return mt_walk_problem(step);
}

/* Behind the CSV field that starts at at: at its comma, at the end of its line, or at end. NULL where its quotes do not end. */
static const char *
skip_field(const char *at, const char *end)
{
	if (at < end && *at == '"')
	{
		for (at++; at < end; at++)
		{
			if (*at != '"')
				continue;
			if (at + 1 < end && at[1] == '"')
				at++;
			else
				break;
		}
		if (at == end)
			return NULL;
		at++;
		return at == end || *at == ',' || *at == '\n' || *at == '\r' ? at : NULL;
	}
	while (at < end && *at != ',' && *at != '\n' && *at != '\r')
		at++;
	return at;
}

/* The line that starts at at, without its end, and how many fields it has. Returns what is behind it, or NULL where it is malformed. */
static const char *
take_line(const char *at, const char *end, MtSpan *line, int *fields)
{
	line->start = at;
	for (*fields = 1;; (*fields)++)
	{
		at = skip_field(at, end);
		if (at == NULL)
			return NULL;
		if (at == end || *at != ',')
			break;
		at++;
	}
	line->length = at - line->start;
	if (at < end && *at == '\r')
		at++;
	if (at < end && *at == '\n')
		at++;
	return at;
}

/* Which of the columns that are looked at has this name, a JSON string; -1: none. */
static int
find_column(MtSpan name)
{
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (mt_json_text_equals(name, columns[i].name))
			return i;
	return -1;
}

/* The same for a name in the header of CSV, which may stand in quotes. */
static int
find_csv_column(const char *start, const char *end)
{
	size_t		length = (size_t) (end - start);

	if (length >= 2 && *start == '"')
	{
		start++;
		length -= 2;
	}
	for (int i = 0; i < (int) lengthof(columns); i++)
		if (strlen(columns[i].name) == length && memcmp(start, columns[i].name, length) == 0)
			return i;
	return -1;
}

/* Has the header of CSV this column? */
static bool
header_has(MtSpan header, int column)
{
	const char *end = header.start + header.length;
	const char *name = header.start;

	for (;;)
	{
		const char *name_end = skip_field(name, end);

		if (find_csv_column(name, name_end) == column)
			return true;
		if (name_end == end)
			return false;
		name = name_end + 1;
	}
}

static const char *
read_csv(const char *at, const char *end, MtPage *page)
{
	int			columns_given;
	int			fields;
	int			room = 128;

	/* What does not end with a line's end was cut off. */
	if (end[-1] != '\n' && end[-1] != '\r')
		return "it is neither JSON nor whole CSV";
	at = take_line(at, end, &page->header, &columns_given);
	if (at == NULL || columns_given > COLUMNS_MAX || !header_has(page->header, MODULE))
		return "it is neither JSON nor CSV with the columns of a report";
	page->records = palloc(sizeof(MtSpan) * (Size) room);
	while (at < end)
	{
		MtSpan		line;

		at = take_line(at, end, &line, &fields);
		if (at == NULL || (fields != columns_given && line.length > 0))
			return "it is malformed CSV";
		if (line.length == 0)
			continue;
		if (page->count == ROWS_MAX)
			return "it has more records than can be believed";
		if (page->count == room)
		{
			room *= 2;
			page->records = repalloc_huge(page->records, sizeof(MtSpan) * (Size) room);
		}
		page->records[page->count++] = line;
	}
	return NULL;
}

/*
 * Takes a report apart, be it JSON or CSV.
 */
const char *
mt_live_read_report(const char *body, size_t length, const MtCursor *cursor, MtPage *page)
{
	MtSpan		document;
	MtSpan		rows = {NULL, 0};
	const char *problem;

	memset(page, 0, sizeof(*page));
	page->total = -1;
	if (body == NULL)
		return "it is empty";
	if (!mt_json_document(body, length, &document))
		return document.length > 0 && strchr("{[<", *document.start) == NULL ? read_csv(document.start, body + length, page) :
			"it is neither a JSON object nor CSV";
	problem = find_rows(document, 0, &rows, &page->next);
	if (problem == NULL && rows.start == NULL)
		problem = "it has no list of records";
	return problem != NULL ? problem : mt_read_records(rows, ROWS_MAX, page);
}

/* A CSV field as a JSON string, palloc'd. */
static MtSpan
field_as_string(const char *start, const char *end)
{
	StringInfoData text;
	StringInfoData string;

	initStringInfo(&text);
	initStringInfo(&string);
	if (start < end && *start == '"')
	{
		start++;
		end--;
		for (; start < end; start++)
		{
			appendStringInfoChar(&text, *start);
			if (*start == '"')
				start++;
		}
	}
	else
		appendBinaryStringInfo(&text, start, (int) (end - start));
	escape_json(&string, text.data);
	return (MtSpan) {string.data, (size_t) string.len};
}

/* Finds in a line of CSV what stands in our columns, as JSON strings. The others, be they ever so many, cost nothing. */
static void
values_of_line(MtSpan header, MtSpan line, MtSpan *values)
{
	const char *name = header.start;
	const char *value = line.start;
	const char *header_end = header.start + header.length;
	const char *line_end = line.start + line.length;

	for (;;)
	{
		const char *name_end = skip_field(name, header_end);
		const char *value_end = skip_field(value, line_end);
		int			column = find_csv_column(name, name_end);

		if (column >= 0 && values[column].start == NULL && value_end - value <= FIELD_MAX)
			values[column] = field_as_string(value, value_end);
		if (name_end == header_end || value_end == line_end)
			break;
		name = name_end + 1;
		value = value_end + 1;
	}
}

/* The same for a JSON object; of members that have the same name the last counts, as it does in jsonb. */
static void
values_of_object(MtWalk *walk, MtSpan *values)
{
	MtSpan		key;
	MtSpan		value;

	while (mt_json_member(walk, &key, &value) == MT_STEP_ITEM)
	{
		int			column = find_column(key);

		if (column >= 0)
			values[column] = value;
	}
}

static bool
blank(MtSpan value)
{
	return value.start == NULL || mt_json_is_null(value) || (mt_json_is_string(value) && value.length == 2);
}

/* true, false, or -1: what it says is neither. */
static int
boolean_of(MtSpan value)
{
	char	   *text = mt_json_is_string(value) ? mt_json_text(value) : pnstrdup(value.start, Min(value.length, 10));

	if (text == NULL)
		return -1;
	if (pg_strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
		return true;
	if (pg_strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
		return false;
	return -1;
}

/* Appends a value as the data model has it; what is not understood stays as it is, for the record to be rejected. */
static void
append_value(StringInfo canonical, Treatment treatment, MtSpan value)
{
	if (blank(value))
		appendStringInfoString(canonical, "null");
	else if (treatment == IDENTIFIER)
		mt_append_identifier(canonical, value);
	else if (treatment == NUMBER)
		mt_append_number(canonical, value);
	else if (treatment == BOOLEAN && boolean_of(value) >= 0)
		appendStringInfoString(canonical, boolean_of(value) ? "true" : "false");
	else
		mt_append_span(canonical, value);
}

/* Appends the state, and when it was completed. */
static void
append_state(StringInfo canonical, MtSpan started, MtSpan completed, MtSpan ended)
{
	int			has_completed = blank(completed) ? false : boolean_of(completed);
	int			has_started = blank(started) ? false : boolean_of(started);

	if (started.start == NULL && completed.start == NULL)
		return;
	mt_append_name(canonical, "status");
	if (has_completed < 0 || has_started < 0)
		mt_append_span(canonical, has_completed < 0 ? completed : started);
	else
		appendStringInfoString(canonical, has_completed ? "\"completed\"" : has_started ? "\"in_progress\"" : "\"not_started\"");
	mt_append_name(canonical, "completedAt");
	append_value(canonical, MOMENT, has_completed == true ? ended : (MtSpan) {NULL, 0});
}

/*
 * A row of a report as progress of somebody.
 */
void
mt_live_canonical_report(const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical)
{
	MtSpan		values[lengthof(columns)] = {0};
	MtWalk		walk;

	if (page->header.start != NULL)
		values_of_line(page->header, record, values);
	else if (mt_json_walk(record, '{', &walk))
		values_of_object(&walk, values);
	else
	{
		mt_append_span(canonical, record);
		return;
	}
	appendStringInfoChar(canonical, '{');
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		if (values[i].start == NULL || columns[i].treatment == STATE)
			continue;
		mt_append_name(canonical, columns[i].canonical_name);
		append_value(canonical, columns[i].treatment, values[i]);
	}
	append_state(canonical, values[STARTED], values[COMPLETED], values[ENDED]);
	appendStringInfoChar(canonical, '}');
}
