/*
 * report_row.c
 *		A row of the report: a learner, a module, and one of the series it is in.
 *
 * Called by contract_live_report.c. Every field is spelled in several ways:
 * numbers and booleans as texts, missing ones as null, an empty text or not at
 * all; CSV by RFC 4180, its columns in any order.
 */
#include "report_row.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS 21

typedef enum Column
{
	COLUMN_USER_ID,
	COLUMN_EMAIL,
	COLUMN_LEARNER_NAME,
	COLUMN_SERIES_ID,
	COLUMN_SERIES_NAME,
	COLUMN_MODULE_ID,
	COLUMN_MODULE_NAME,
	COLUMN_VERSION,
	COLUMN_STATE,
	COLUMN_STARTED,
	COLUMN_COMPLETED,
	COLUMN_FAILED,
	COLUMN_OVERDUE,
	COLUMN_PERCENT,
	COLUMN_SCORE,
	COLUMN_MAX_SCORE,
	COLUMN_INVITED_ON,
	COLUMN_START_TIME,
	COLUMN_END_TIME,
	COLUMN_REGION,
	COLUMN_COMMENT
} Column;

/* The last two are of no use to anybody. */
static const char *const names[COLUMNS] = {
	"UserId", "LearnerEmailId", "LearnerName", "SeriesId", "SeriesName", "ModuleId", "ModuleName", "Version",
	"LearnerModuleState", "HasStarted", "HasCompleted", "HasFailed", "IsOverdue", "PercentCompleted", "Score", "MaxScore",
	"InvitedOn", "StartTime", "EndTime", "Region", "Comment, \"free\""
};

/* A field as it is to be spelled. */
typedef struct Field
{
	Presence	presence;
	bool		is_bare;		/* without quotes in JSON: a number or a boolean */
	Buffer		text;
} Field;

bool
mt_report_row(const DataSet *data, int revision, ReportRow *row)
{
	int			first = 0;

	if (!mt_live_performance(data, row->user, row->course, revision, &row->performance))
		return false;
	while (!mt_live_in_series(data, first, row->course))
		first++;
	row->lags = row->series != first && row->performance.standing != STANDING_NOT_STARTED &&
		mt_draw(data, TOPIC_LIVE_SPELLING, (uint64_t) row->user, (uint64_t) row->course) % 2 == 0;
	if (row->lags)
	{
		/* As if it was never begun there. */
		row->performance.standing = STANDING_NOT_STARTED;
		row->performance.invited_at += 86400;
		row->performance.percent = 0;
		row->performance.has_score = false;
		row->performance.failed = false;
	}
	return true;
}

static void
set_text(Field *field, const char *text)
{
	field->presence = FIELD_PRESENT;
	mt_buffer_text(&field->text, text);
}

static void
set_bool(Field *field, bool value, uint64_t spelling)
{
	static const char *const texts[2][3] = {{"false", "False", "FALSE"}, {"true", "True", "TRUE"}};

	field->is_bare = spelling % 4 != 0;
	set_text(field, texts[value][field->is_bare ? 0 : spelling / 4 % 3]);
}

/* The moment without a fraction, as 2024-05-06T07:08:09Z. */
static void
set_moment(Field *field, int64_t seconds)
{
	Buffer		text = {0};

	mt_moment_upstream(&text, (Moment) {seconds * MICROSECONDS, MOMENT_SECONDS});
	field->presence = FIELD_PRESENT;
	/* Without its quotes. */
	mt_buffer_bytes(&field->text, text.data + 1, text.length - 2);
	mt_buffer_free(&text);
}

static void
set_number(Field *field, int halves, bool bare)
{
	field->presence = FIELD_PRESENT;
	field->is_bare = bare;
	mt_buffer_format(&field->text, halves % 2 != 0 ? "%d.5" : bare ? "%d" : "%d.00", halves / 2);
}

/* Fields that say who and what. */
static void
set_names(const DataSet *data, int revision, const ReportRow *row, uint64_t random, Field *fields)
{
	Person		person;
	Course		course;
	char		id[ID_SIZE];
	char		name[96];
	char		email[128];

	mt_data_person(data, row->user, revision, &person);
	if (!mt_live_email(data, row->user, revision, (int) (random % 3), email))
		fields[COLUMN_EMAIL].presence = FIELD_NULL;
	else
		set_text(&fields[COLUMN_EMAIL], email);
	/* One of the two is always there. */
	if (fields[COLUMN_EMAIL].presence == FIELD_PRESENT && random / 4 % 8 == 0)
		fields[COLUMN_USER_ID].presence = random / 32 % 2 == 0 ? FIELD_NULL : FIELD_MISSING;
	else
		set_text(&fields[COLUMN_USER_ID], person.id);
	if (person.name_presence == FIELD_PRESENT)
		set_text(&fields[COLUMN_LEARNER_NAME], person.name);
	else
		fields[COLUMN_LEARNER_NAME].presence = FIELD_NULL;
	mt_data_id(data, ID_SERIES, (uint32_t) row->series, id);
	set_text(&fields[COLUMN_SERIES_ID], id);
	mt_live_series_name(data, row->series, name, sizeof(name));
	set_text(&fields[COLUMN_SERIES_NAME], name);
	mt_data_course(data, row->course, &course);
	set_text(&fields[COLUMN_MODULE_ID], course.id);
	set_text(&fields[COLUMN_MODULE_NAME], course.title);
	set_number(&fields[COLUMN_VERSION], 2 * (1 + row->course % 3), true);
	set_text(&fields[COLUMN_STATE], person.active ? "active" : "deactivated");
	set_text(&fields[COLUMN_REGION], "all");
	set_text(&fields[COLUMN_COMMENT], random / 64 % 16 == 0 ? "line one\r\nline \"two\", with comma" : "");
}

/* Fields that say how it went. */
static void
set_performance(const ReportRow *row, uint64_t random, Field *fields)
{
	const LivePerformance *performance = &row->performance;
	bool		completed = performance->standing == STANDING_COMPLETED;

	/* Who has completed need not have started. */
	set_bool(&fields[COLUMN_STARTED], performance->standing != STANDING_NOT_STARTED && !(completed && random % 16 == 0),
			 random / 16);
	set_bool(&fields[COLUMN_COMPLETED], completed, random / 256);
	fields[COLUMN_FAILED].presence = performance->failed_presence;
	if (performance->failed_presence == FIELD_PRESENT)
		set_bool(&fields[COLUMN_FAILED], performance->failed, random / 4096);
	fields[COLUMN_OVERDUE].presence = performance->overdue_presence;
	if (performance->overdue_presence == FIELD_PRESENT)
		set_bool(&fields[COLUMN_OVERDUE], performance->overdue, random / 65536);
	random >>= 20;
	set_number(&fields[COLUMN_PERCENT], 2 * performance->percent, random % 4 != 0);
	fields[COLUMN_SCORE].presence = fields[COLUMN_MAX_SCORE].presence = random / 4 % 2 == 0 ? FIELD_NULL : FIELD_MISSING;
	if (performance->has_score)
		set_number(&fields[COLUMN_SCORE], performance->score_halves, random / 8 % 4 != 0);
	if (performance->has_max_score)
		set_number(&fields[COLUMN_MAX_SCORE], 2 * performance->max_score, random / 32 % 4 != 0);
	set_moment(&fields[COLUMN_INVITED_ON], performance->invited_at);
	fields[COLUMN_START_TIME].presence = fields[COLUMN_END_TIME].presence = FIELD_NULL;
	if (performance->standing != STANDING_NOT_STARTED)
		set_moment(&fields[COLUMN_START_TIME], performance->started_at);
	/* An end without completion is none. With a score it would be unclear what it means. */
	if (completed || (performance->standing == STANDING_IN_PROGRESS && !performance->has_score && random / 128 % 4 == 0))
		set_moment(&fields[COLUMN_END_TIME], completed ? performance->completed_at : performance->started_at + 60);
}

static void
set_fields(const DataSet *data, int revision, const ReportRow *row, Field *fields)
{
	uint64_t	random = mt_draw(data, TOPIC_LIVE_SPELLING, (uint64_t) row->user << 20 | (uint64_t) row->course,
								 (uint64_t) row->series + 2);

	memset(fields, 0, COLUMNS * sizeof(Field));
	set_names(data, revision, row, random, fields);
	set_performance(row, random / 1024, fields);
}

static void
free_fields(Field *fields)
{
	int			i;

	for (i = 0; i < COLUMNS; i++)
		mt_buffer_free(&fields[i].text);
}

/* Appends the text in JSON's quotes. */
static void
put_json_text(Buffer *buffer, Buffer *text)
{
	mt_buffer_reserve(text, 1);
	text->data[text->length] = '\0';
	mt_buffer_json(buffer, text->data);
}

void
mt_report_put_json(Buffer *buffer, const DataSet *data, int revision, const ReportRow *row)
{
	Field		fields[COLUMNS];
	const char *separator = "{\"";
	int			i;

	set_fields(data, revision, row, fields);
	for (i = 0; i < COLUMN_COMMENT; i++)
	{
		if (fields[i].presence == FIELD_MISSING)
			continue;
		mt_buffer_text(buffer, separator);
		separator = ",\"";
		mt_buffer_text(buffer, names[i]);
		mt_buffer_text(buffer, "\":");
		if (fields[i].presence == FIELD_NULL)
			mt_buffer_text(buffer, "null");
		else if (fields[i].is_bare)
			mt_buffer_bytes(buffer, fields[i].text.data, fields[i].text.length);
		else
			put_json_text(buffer, &fields[i].text);
	}
	mt_buffer_bytes(buffer, "}", 1);
	free_fields(fields);
}

/* The column at a place: tenants differ in where they begin. */
static int
column_at(const DataSet *data, int place)
{
	return (int) ((data->key / 4 + (uint64_t) place) % COLUMNS);
}

static const char *
line_end(const DataSet *data)
{
	return data->key % 2 == 0 ? "\r\n" : "\n";
}

/* Appends a value, in quotes where it must be, and now and then where it need not. */
static void
put_csv_value(Buffer *buffer, const char *bytes, size_t length, bool quoted)
{
	size_t		i;

	for (i = 0; i < length && !quoted; i++)
		quoted = strchr(",\"\r\n", bytes[i]) != NULL;
	if (!quoted)
	{
		mt_buffer_bytes(buffer, bytes, length);
		return;
	}
	mt_buffer_bytes(buffer, "\"", 1);
	for (i = 0; i < length; i++)
	{
		if (bytes[i] == '"')
			mt_buffer_bytes(buffer, "\"", 1);
		mt_buffer_bytes(buffer, bytes + i, 1);
	}
	mt_buffer_bytes(buffer, "\"", 1);
}

void
mt_report_put_header(Buffer *buffer, const DataSet *data)
{
	int			place;

	/* Spreadsheets like a byte order mark. */
	if (data->key / 128 % 3 == 0)
		mt_buffer_text(buffer, "\xef\xbb\xbf");
	for (place = 0; place < COLUMNS; place++)
	{
		const char *name = names[column_at(data, place)];

		if (place > 0)
			mt_buffer_bytes(buffer, ",", 1);
		put_csv_value(buffer, name, strlen(name), false);
	}
	mt_buffer_text(buffer, line_end(data));
}

void
mt_report_put_csv(Buffer *buffer, const DataSet *data, int revision, const ReportRow *row)
{
	Field		fields[COLUMNS];
	int			place;

	set_fields(data, revision, row, fields);
	for (place = 0; place < COLUMNS; place++)
	{
		const Field *field = &fields[column_at(data, place)];

		if (place > 0)
			mt_buffer_bytes(buffer, ",", 1);
		put_csv_value(buffer, field->text.data, field->text.length,
					  field->presence == FIELD_PRESENT && (row->user + place) % 7 == 0);
	}
	mt_buffer_text(buffer, line_end(data));
	free_fields(fields);
}

void
mt_report_put_small(Buffer *buffer, const DataSet *data, const char *set, int series, int course)
{
	char		series_id[ID_SIZE];
	char		name[96];
	Course		module;

	mt_data_id(data, ID_SERIES, (uint32_t) series, series_id);
	mt_live_series_name(data, series, name, sizeof(name));
	mt_data_course(data, course, &module);
	if (strcmp(set, "SeriesModules") == 0)
		mt_buffer_format(buffer, "{\"SeriesId\":\"%s\",\"ModuleId\":\"%s\"}", series_id, module.id);
	else if (strcmp(set, "Modules") == 0)
	{
		mt_buffer_format(buffer, "{\"ModuleId\":\"%s\",\"ModuleName\":", module.id);
		mt_buffer_json(buffer, module.title);
		mt_buffer_format(buffer, ",\"Type\":\"%s\",\"PublishTime\":\"2024-01-01T00:00:00Z\",\"Description\":null}",
						 mt_live_module_type(data, course));
	}
	else
	{
		mt_buffer_format(buffer, "{\"SeriesId\":\"%s\",\"SeriesName\":", series_id);
		mt_buffer_json(buffer, name);
		mt_buffer_text(buffer, ",\"SeriesState\":\"PUBLISHED\",\"IsPublic\":\"true\",\"CreationTime\":\"2023-12-01T00:00:00Z\"}");
	}
}
