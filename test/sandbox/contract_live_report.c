/*
 * contract_live_report.c
 *		Reporting in the live contract: OData sets as JSON, CSV or Atom.
 *
 * Called by contract_live.c for the reporting user. A row is a learner, a
 * module and a series, so that a module of two series comes twice; the row of
 * the later series may lag behind. report_row.c has the rows' fields. Only the
 * filters, options and sets that clients were seen to use are known here, the
 * rest is refused.
 */
#include "bad_records.h"
#include "contract_live.h"
#include "live_data.h"
#include "report_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_LITERAL 128
#define ODATA_PATH	"/Odata.svc/"

/* Rows that say nothing: lines of CSV, and empty objects. */
#define WIDE_COLUMNS	200
#define WIDE_ROWS		50000
#define HOLLOW_ROWS		250000

/* What a request asks for; -1 or an empty text: all. */
typedef struct ReportFilter
{
	char		email[MAX_LITERAL];
	int			user;			/* of the address; NOBODY: there is no such learner */
	int			series;
	int			module;
	bool		has_nothing;	/* nothing can fit */
} ReportFilter;

/* A walk over the rows that fit, in the order of users, modules, series. */
typedef struct RowCursor
{
	const Tenant *tenant;
	const ReportFilter *filter;
	uint64_t	position;		/* of the next row to be looked at */
	uint64_t	end;
} RowCursor;

static int
series_count(const Tenant *tenant)
{
	return mt_live_series(&tenant->data);
}

/* Moves to the next row that fits; false at the end. The caller holds the lock of the listing. */
static bool
next_row(RowCursor *cursor, ReportRow *row)
{
	const Tenant *tenant = cursor->tenant;
	const DataSet *data = &tenant->data;
	uint64_t	series = (uint64_t) series_count(tenant);
	uint64_t	per_user = series * (uint64_t) data->courses;

	while (cursor->position < cursor->end)
	{
		uint64_t	position = cursor->position++;
		int			at = (int) (position / per_user);

		row->user = tenant->listing.user_at[at];
		row->course = (int) (position % per_user / series);
		row->series = (int) (position % series);
		if (cursor->filter->email[0] != '\0' && row->user != cursor->filter->user)
			cursor->position = (uint64_t) (at + 1) * per_user;
		else if ((cursor->filter->series < 0 || row->series == cursor->filter->series) &&
				 (cursor->filter->module < 0 || row->course == cursor->filter->module) &&
				 mt_live_in_series(data, row->series, row->course) &&
				 mt_report_row(data, tenant->listing.revision, row))
			return true;
	}
	return false;
}

/* Copies an OData literal in quotes, doubled ones undone; NULL when it is none, else what follows it. */
static const char *
read_literal(const char *text, char *literal)
{
	size_t		length = 0;

	if (*text++ != '\'')
		return NULL;
	for (; *text != '\''  || text[1] == '\''; text++)
	{
		if (*text == '\0' || length + 1 == MAX_LITERAL)
			return NULL;
		if (*text == '\'')
			text++;
		literal[length++] = *text;
	}
	literal[length] = '\0';
	return text + 1;
}

static int
find_series_named(const Tenant *tenant, const char *name)
{
	int			series;

	for (series = 0; series < series_count(tenant); series++)
	{
		char		known[96];

		mt_live_series_name(&tenant->data, series, known, sizeof(known));
		if (strcmp(known, name) == 0)
			return series;
	}
	return -1;
}

/* Applies one comparison; false when the field is none of those that can be compared. */
static bool
apply(Tenant *tenant, const char *field, const char *literal, ReportFilter *filter)
{
	bool		found = true;

	if (strcmp(field, "LearnerEmailId") == 0)
	{
		strcpy(filter->email, literal);
		if (!mt_live_find_email(&tenant->data, literal, tenant->listing.revision, &filter->user))
		{
			filter->user = NOBODY;
			mt_live_foreign_email(tenant, literal);
		}
	}
	else if (strcmp(field, "SeriesName") == 0)
		found = (filter->series = find_series_named(tenant, literal)) >= 0;
	else if (strcmp(field, "SeriesId") == 0)
		found = mt_data_find(&tenant->data, ID_SERIES, literal, series_count(tenant), &filter->series);
	else if (strcmp(field, "ModuleId") == 0)
		found = mt_data_find(&tenant->data, ID_COURSE, literal, tenant->data.courses, &filter->module);
	else if (strcmp(field, "IsPublic") == 0)
		/* All series are. */
		found = strcmp(literal, "true") == 0;
	else
		return false;
	if (!found)
		filter->has_nothing = true;
	return true;
}

/* Reads comparisons with eq, joined by and. False when the filter is none. The caller holds the lock of the listing. */
static bool
read_filter(Tenant *tenant, const char *text, ReportFilter *filter)
{
	*filter = (ReportFilter) {.user = NOBODY, .series = -1, .module = -1};
	while (text != NULL)
	{
		char		field[32];
		char		literal[MAX_LITERAL];
		size_t		length = strcspn(text, " ");

		if (length >= sizeof(field) || strncmp(text + length, " eq ", 4) != 0)
			return false;
		memcpy(field, text, length);
		field[length] = '\0';
		text = read_literal(text + length + 4, literal);
		if (text == NULL || !apply(tenant, field, literal, filter))
			return false;
		if (*text == '\0')
			return true;
		if (strncmp(text, " and ", 5) != 0)
			return false;
		text += 5;
	}
	return true;
}

/* How the rows are wrapped as JSON: tenants differ. */
typedef enum Envelope
{
	ENVELOPE_RESULTS,
	ENVELOPE_D_RESULTS,
	ENVELOPE_D,
	ENVELOPE_VALUE,
	ENVELOPES
} Envelope;

static void
put_envelope_start(Buffer *body, Envelope envelope)
{
	static const char *const starts[] = {"{\"results\":[", "{\"d\":{\"results\":[", "{\"d\":[", "{\"odata.metadata\":\"x\",\"value\":["};

	mt_buffer_text(body, starts[envelope]);
}

/* Appends where the rows go on: this request's address with another position. */
static void
put_next(Buffer *body, Call *call, Tenant *tenant, Envelope envelope, uint64_t position)
{
	Buffer		path = {0};
	const char *query = strchr(call->raw_url, '?');
	const char *part;

	mt_buffer_bytes(&path, call->raw_url, query == NULL ? strlen(call->raw_url) : (size_t) (query - call->raw_url));
	if (call->fault == FAULT_LOOP)
	{
		path.length = 0;
		mt_buffer_text(&path, call->raw_url);
	}
	else
	{
		mt_buffer_text(&path, "?$skiptoken=");
		mt_session_cursor(tenant, 'r', 0, position, &path);
		for (part = query == NULL ? NULL : query + 1; part != NULL; part = strchr(part, '&') == NULL ? NULL : strchr(part, '&') + 1)
		{
			size_t		length = strcspn(part, "&");

			if (strncmp(part, "$skiptoken=", 11) == 0 || strncmp(part, "%24skiptoken=", 13) == 0)
				continue;
			mt_buffer_bytes(&path, "&", 1);
			mt_buffer_bytes(&path, part, length);
		}
	}
	mt_buffer_bytes(&path, "", 1);
	if (envelope == ENVELOPE_VALUE)
	{
		/* As OData 4 has it, which allows that it is relative. */
		mt_buffer_text(body, ",\"@odata.nextLink\":");
		mt_buffer_json(body, position % 2 == 0 ? strchr(path.data, '?') : path.data + strlen(ODATA_PATH));
	}
	else
	{
		mt_buffer_text(body, ",\"__next\":");
		mt_live_put_next(body, call, tenant, position, path.data);
	}
	mt_buffer_free(&path);
}

/* Ends the JSON; position is where it goes on, 0 at the end. */
static void
put_envelope_end(Call *call, Tenant *tenant, Envelope envelope, uint64_t position)
{
	Buffer	   *body = &call->reply.body;

	mt_buffer_bytes(body, "]", 1);
	if (position > 0)
		put_next(body, call, tenant, envelope, position);
	mt_buffer_text(body, envelope == ENVELOPE_D_RESULTS ? "}}" : "}");
}

/* Writes a row of a learner and a module that nobody knows. */
static void
put_stranger(Buffer *body, const DataSet *data, uint64_t position)
{
	char		id[ID_SIZE];

	mt_data_id(data, ID_PHANTOM, (uint32_t) (position % 90000000 + 10000000), id);
	mt_buffer_format(body, "{\"UserId\":\"%s\",\"LearnerEmailId\":\"s%s@nowhere.example\",\"ModuleId\":\"%s\",\"HasStarted\":true}",
					 id, id, id);
}

static void
put_json_rows(Call *call, Tenant *tenant, RowCursor *cursor)
{
	Buffer	   *body = &call->reply.body;
	Envelope	envelope = (Envelope) (tenant->data.key % ENVELOPES);
	uint64_t	first = cursor->position;
	uint64_t	next = 0;
	ReportRow	row;
	int			written = 0;
	uint64_t	number;
	const ReportFilter *filter = cursor->filter;
	bool		has_bad = first == 0 && filter->series <= 0 && filter->module < 0 && filter->email[0] == '\0' &&
		!filter->has_nothing;

	put_envelope_start(body, envelope);
	/* Bad rows come once in a sweep: on the first page of the whole report, or of that of the first series. */
	for (number = 0; has_bad && number < mt_bad_rows(&tenant->data, tenant->listing.users); number++)
	{
		mt_buffer_text(body, written++ == 0 ? "" : ",");
		mt_bad_write(body, &tenant->data, BAD_LIVE_ROWS, number);
	}
	if (call->fault == FAULT_STRANGERS)
	{
		mt_buffer_text(body, written++ == 0 ? "" : ",");
		put_stranger(body, &tenant->data, first);
		next = first + 1;
	}
	while (next == 0 && next_row(cursor, &row))
	{
		if (tenant->report_page > 0 && written >= tenant->report_page)
			next = cursor->position - 1;
		else
		{
			mt_buffer_text(body, written++ == 0 ? "" : ",");
			mt_report_put_json(body, &tenant->data, tenant->listing.revision, &row);
		}
	}
	if (call->fault == FAULT_ENDLESS || call->fault == FAULT_LOOP)
		next = first + 1;
	put_envelope_end(call, tenant, envelope, next);
}

static void
put_csv_rows(Call *call, Tenant *tenant, RowCursor *cursor)
{
	ReportRow	row;

	call->reply.content_type = "text/csv; charset=utf-8";
	mt_report_put_header(&call->reply.body, &tenant->data);
	while (next_row(cursor, &row))
		mt_report_put_csv(&call->reply.body, &tenant->data, tenant->listing.revision, &row);
}

/* Learners in modules: all of it, or a page. */
static void
answer_performances(Call *call, Tenant *tenant, const char *format)
{
	const char *filter_text = mt_call_query(call, "$filter");
	const char *token = mt_call_query(call, "$skiptoken");
	ReportFilter filter;
	RowCursor	cursor = {tenant, &filter, 0, 0};
	uint64_t	subject;

	if (token != NULL && !mt_session_read_cursor(tenant, 'r', token, &subject, &cursor.position))
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "bad $skiptoken");
		return;
	}
	pthread_rwlock_rdlock(&tenant->listing.lock);
	if (!read_filter(tenant, filter_text, &filter))
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "bad $filter");
	else
	{
		if (!filter.has_nothing)
			cursor.end = (uint64_t) tenant->listing.users * (uint64_t) tenant->data.courses * (uint64_t) series_count(tenant);
		if (strcmp(format, "json") == 0)
			put_json_rows(call, tenant, &cursor);
		else
			put_csv_rows(call, tenant, &cursor);
	}
	pthread_rwlock_unlock(&tenant->listing.lock);
}

/* The smaller sets, as JSON only and without filters but IsPublic. */
static void
answer_small_set(Call *call, Tenant *tenant, const char *set)
{
	Buffer	   *body = &call->reply.body;
	const DataSet *data = &tenant->data;
	Envelope	envelope = (Envelope) (data->key % ENVELOPES);
	int			series = strcmp(set, "Modules") == 0 ? 1 : series_count(tenant);
	int			courses = strcmp(set, "SeriesCollection") == 0 ? 1 : data->courses;
	const char *separator = "";
	int			s;
	int			c;

	put_envelope_start(body, envelope);
	for (s = 0; s < series; s++)
	{
		for (c = 0; c < courses; c++)
		{
			if (strcmp(set, "SeriesModules") == 0 && !mt_live_in_series(data, s, c))
				continue;
			mt_buffer_text(body, separator);
			separator = ",";
			mt_report_put_small(body, data, set, s, c);
		}
	}
	put_envelope_end(call, tenant, envelope, 0);
}

/* Ten megabytes of CSV in which only commas stand. */
static void
answer_wide(Call *call)
{
	Buffer	   *body = &call->reply.body;
	char		line[WIDE_COLUMNS];
	int			i;

	call->reply.content_type = "text/csv; charset=utf-8";
	memset(line, ',', WIDE_COLUMNS - 1);
	line[WIDE_COLUMNS - 1] = '\n';
	mt_buffer_text(body, "ModuleId");
	for (i = 0; i <= WIDE_ROWS; i++)
		mt_buffer_bytes(body, line, WIDE_COLUMNS);
}

/* As many rows as are believed, in less than a megabyte. */
static void
answer_hollow(Call *call)
{
	Buffer	   *body = &call->reply.body;
	int			i;

	mt_buffer_text(body, "{\"results\":[{}");
	for (i = 1; i < HOLLOW_ROWS; i++)
		mt_buffer_text(body, ",{}");
	mt_buffer_text(body, "]}");
}

/* What comes when nobody says which format. */
static void
answer_atom(Call *call)
{
	call->reply.content_type = "application/atom+xml;type=feed;charset=utf-8";
	mt_buffer_text(&call->reply.body, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">"
				   "<title type=\"text\">LearnerModulePerformances</title></feed>\n");
}

void
mt_live_answer_report(Call *call, Tenant *tenant)
{
	const char *format = mt_call_query(call, "$format");
	char		set[64];

	mt_live_path_part(call, 0, set, sizeof(set));
	if (mt_call_query(call, "$top") != NULL || mt_call_query(call, "$skip") != NULL || mt_call_query(call, "$select") != NULL)
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "unknown option");
	else if (strcmp(set, "LearnerModulePerformances") != 0 && strcmp(set, "SeriesCollection") != 0 &&
			 strcmp(set, "SeriesModules") != 0 && strcmp(set, "Modules") != 0)
		mt_live_refuse(call, tenant, MHD_HTTP_NOT_FOUND, "Resource not found for the segment");
	else if (call->fault == FAULT_WIDE)
		answer_wide(call);
	else if (call->fault == FAULT_HOLLOW)
		answer_hollow(call);
	else if (format == NULL)
		answer_atom(call);
	else if (strcmp(format, "json") != 0 && (strcmp(format, "csv") != 0 || set[0] != 'L'))
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "unknown $format");
	else if (set[0] == 'L')
		answer_performances(call, tenant, format);
	else
		answer_small_set(call, tenant, set);
}
