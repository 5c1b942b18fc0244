/*
 * truth_live.c
 *		What our tables must hold after complete pulls of a tenant of the live contract.
 *
 * Called by truth.c, once for each user, module, group or resource. With a
 * reporting user the report tells all of progress; without, the statements of
 * active users tell status and completion.
 */
#include "truth_stream.h"

#include "bad_records.h"
#include "live_data.h"
#include "statement.h"

#include <string.h>

/* Notes who is named as manager by those whom a pull listed. */
static void
fill_managers(TruthStream *stream, int pull)
{
	int			revision = stream->revisions[pull];
	int			count = mt_data_user_count(stream->data, revision);
	int			user;

	stream->manages[pull] = mt_allocate((size_t) count + 1, sizeof(bool));
	for (user = 0; user < count; user++)
	{
		int			named[2];
		int			i;

		if (!mt_data_user_listed(stream->data, user, revision))
			continue;
		mt_live_managers(stream->data, user, &named[0], &named[1]);
		for (i = 0; i < 2; i++)
			if (named[i] != NOBODY)
				stream->manages[pull][named[i]] = true;
	}
}

static void
put_user(TruthStream *stream, int user)
{
	Buffer	   *buffer = &stream->buffer;
	int			pull = mt_truth_last_pull(stream, user, false);
	LiveUser	live;
	bool		manages;

	if (pull < 0)
		return;
	if (stream->manages[pull] == NULL)
		fill_managers(stream, pull);
	mt_live_user(stream->data, user, stream->revisions[pull], &live);
	/* Managers are named by address: who has none is not. */
	manages = stream->manages[pull][user] && live.person.email_presence == FIELD_PRESENT;
	mt_truth_begin_row(stream);
	mt_truth_text(buffer, "\"user_id\":", true, live.person.id);
	mt_truth_text(buffer, ",\"mindtickle_id\":", true, live.person.id);
	mt_truth_text(buffer, ",\"email\":", live.person.email_presence == FIELD_PRESENT, live.person.email);
	mt_truth_text(buffer, ",\"name\":", live.person.name_presence == FIELD_PRESENT, live.person.name);
	mt_truth_text(buffer, ",\"role\":", true, manages ? "manager" : "rep");
	mt_truth_bool(buffer, ",\"active\":", true, live.active && pull == stream->pulls - 1);
	mt_truth_text(buffer, ",\"scim_external_id\":", live.person.scim_presence == FIELD_PRESENT, live.person.scim_id);
	mt_truth_text(buffer, ",\"title\":", live.title != NULL, live.title);
	mt_truth_text(buffer, ",\"department\":", live.department != NULL, live.department);
	mt_truth_text(buffer, ",\"location\":", live.location != NULL, live.location);
	mt_truth_moment(buffer, ",\"hired_at\":", live.has_hired_at, live.hired_at * MICROSECONDS);
	mt_truth_text(buffer, ",\"manager_email\":", live.manager_email[0] != '\0', live.manager_email);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_module(TruthStream *stream, int number)
{
	Course		course;

	mt_data_course(stream->data, number, &course);
	mt_truth_begin_row(stream);
	mt_truth_text(&stream->buffer, "\"course_id\":", true, course.id);
	mt_truth_text(&stream->buffer, ",\"title\":", true, course.title);
	mt_truth_text(&stream->buffer, ",\"kind\":", true, mt_live_module_type(stream->data, number));
	mt_buffer_bytes(&stream->buffer, "}", 1);
}

static void
put_team(TruthStream *stream, int group)
{
	char		id[ID_SIZE];
	char		name[96];

	mt_data_id(stream->data, ID_GROUP, (uint32_t) group, id);
	mt_live_group_name(stream->data, group, name, sizeof(name));
	mt_truth_begin_row(stream);
	mt_truth_text(&stream->buffer, "\"team_id\":", true, id);
	mt_truth_text(&stream->buffer, ",\"name\":", true, name);
	mt_buffer_bytes(&stream->buffer, "}", 1);
}

/* Who is in a group, as the last pull saw it. */
static void
put_team_members(TruthStream *stream, int group)
{
	int			revision = stream->revisions[stream->pulls - 1];
	int			count = mt_data_user_count(stream->data, revision);
	char		team_id[ID_SIZE];
	int			user;

	mt_data_id(stream->data, ID_GROUP, (uint32_t) group, team_id);
	for (user = 0; user < count; user++)
	{
		char		user_id[ID_SIZE];

		if (!mt_data_user_listed(stream->data, user, revision) || !mt_live_in_group(stream->data, user, group))
			continue;
		mt_data_id(stream->data, ID_USER, (uint32_t) user, user_id);
		mt_truth_begin_row(stream);
		mt_truth_text(&stream->buffer, "\"team_id\":", true, team_id);
		mt_truth_text(&stream->buffer, ",\"user_id\":", true, user_id);
		mt_buffer_bytes(&stream->buffer, "}", 1);
	}
}

/* The pull that told the learner's progress last; -1 when none did. */
static int
progress_pull(const TruthStream *stream, int user)
{
	Person		person;
	int			pull;

	if (stream->reporting)
		return mt_truth_last_pull(stream, user, false);
	/* Statements are asked for by address, of those who are active. */
	pull = mt_truth_last_pull(stream, user, true);
	if (pull < 0)
		return -1;
	mt_data_person(stream->data, user, stream->revisions[pull], &person);
	return person.email_presence == FIELD_PRESENT ? pull : -1;
}

/* What only the report tells. */
static void
put_report_columns(Buffer *buffer, bool reporting, const LivePerformance *performance)
{
	mt_truth_score(buffer, ",\"score\":", reporting && performance->has_stored_score, performance->stored_score);
	mt_truth_moment(buffer, ",\"invited_at\":", reporting, performance->invited_at * MICROSECONDS);
	mt_truth_moment(buffer, ",\"started_at\":", reporting && performance->standing != STANDING_NOT_STARTED,
					performance->started_at * MICROSECONDS);
	mt_truth_bool(buffer, ",\"is_overdue\":", reporting && performance->overdue_presence == FIELD_PRESENT,
				  performance->overdue);
	mt_truth_bool(buffer, ",\"has_failed\":", reporting && performance->failed_presence == FIELD_PRESENT,
				  performance->failed);
	mt_truth_score(buffer, ",\"percent_completed\":", reporting, performance->percent * 10000);
	mt_truth_score(buffer, ",\"max_score\":", reporting && performance->has_max_score, performance->max_score * 10000);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_progress(TruthStream *stream, int user)
{
	static const char *const statuses[] = {"not_started", "in_progress", "completed"};
	Buffer	   *buffer = &stream->buffer;
	int			pull = progress_pull(stream, user);
	char		user_id[ID_SIZE];
	int			course;

	if (pull < 0)
		return;
	mt_data_id(stream->data, ID_USER, (uint32_t) user, user_id);
	for (course = 0; course < stream->data->courses; course++)
	{
		int			revision = stream->revisions[pull];
		LivePerformance performance;
		char		course_id[ID_SIZE];
		int64_t		completed_at = 0;
		bool		knows_completion;

		if (!mt_live_performance(stream->data, user, course, revision, &performance))
			continue;
		if (stream->reporting)
		{
			completed_at = performance.completed_at;
			knows_completion = performance.standing == STANDING_COMPLETED;
		}
		else
			knows_completion = mt_statement_completion(stream->data, user, course, revision, &completed_at);
		mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
		mt_truth_begin_row(stream);
		mt_truth_text(buffer, "\"user_id\":", true, user_id);
		mt_truth_text(buffer, ",\"course_id\":", true, course_id);
		mt_truth_text(buffer, ",\"status\":", true, statuses[performance.standing]);
		mt_truth_moment(buffer, ",\"completed_at\":", knows_completion, completed_at * MICROSECONDS);
		put_report_columns(buffer, stream->reporting, &performance);
	}
}

/* Does the report give a result of an assessment? */
static bool
has_result(const TruthStream *stream, int user, int course, LivePerformance *performance)
{
	int			pull = stream->reporting ? mt_truth_last_pull(stream, user, false) : -1;

	return pull >= 0 && strcmp(mt_live_module_type(stream->data, course), "ASSESSMENT") == 0 &&
		mt_live_performance(stream->data, user, course, stream->revisions[pull], performance) &&
		performance->standing == STANDING_COMPLETED && performance->has_stored_score;
}

static void
put_quiz_results(TruthStream *stream, int user)
{
	Buffer	   *buffer = &stream->buffer;
	char		user_id[ID_SIZE];
	int			course;

	mt_data_id(stream->data, ID_USER, (uint32_t) user, user_id);
	for (course = 0; course < stream->data->courses; course++)
	{
		LivePerformance performance;
		char		course_id[ID_SIZE];

		if (!has_result(stream, user, course, &performance))
			continue;
		mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
		mt_truth_begin_row(stream);
		mt_truth_text(buffer, "\"user_id\":", true, user_id);
		mt_truth_text(buffer, ",\"course_id\":", true, course_id);
		mt_truth_text(buffer, ",\"quiz_id\":", true, course_id);
		mt_truth_moment(buffer, ",\"submitted_at\":", true, performance.completed_at * MICROSECONDS);
		mt_truth_score(buffer, ",\"score\":", true, performance.stored_score);
		mt_truth_score(buffer, ",\"max_score\":", true, performance.max_score * 10000);
		mt_truth_score(buffer, ",\"raw_score\":", true, performance.score_halves * 5000);
		mt_buffer_bytes(buffer, "}", 1);
	}
}

/* A quiz is known through its results only. */
static void
put_quiz(TruthStream *stream, int course)
{
	Buffer	   *buffer = &stream->buffer;
	int			users = mt_data_user_count(stream->data, stream->revisions[stream->pulls - 1]);
	LivePerformance performance;
	char		course_id[ID_SIZE];
	int			user;

	for (user = 0; user < users && !has_result(stream, user, course, &performance); user++)
		;
	if (user == users)
		return;
	mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
	mt_truth_begin_row(stream);
	mt_truth_text(buffer, "\"quiz_id\":", true, course_id);
	mt_truth_text(buffer, ",\"course_id\":", true, course_id);
	mt_truth_score(buffer, ",\"max_score\":", true, performance.max_score * 10000);
	mt_buffer_bytes(buffer, "}", 1);
}

/* How many users the last pull listed. */
static int
listed_users(const TruthStream *stream)
{
	int			revision = stream->revisions[stream->pulls - 1];
	int			count = mt_data_user_count(stream->data, revision);
	int			listed = 0;
	int			user;

	for (user = 0; user < count; user++)
		listed += mt_data_user_listed(stream->data, user, revision);
	return listed;
}

/* The records that the last pull alone must refuse, counted by kind; of the report as JSON. */
static void
put_rejects(TruthStream *stream, int number)
{
	BadResource resource = (BadResource) (BAD_LIVE_USERS + number);
	const DataSet *data = stream->data;
	uint64_t	by_kind[64] = {0};
	int			series;

	if (resource == BAD_LIVE_USERS)
		mt_bad_count_kinds(resource, 0, mt_bad_count(data, (uint64_t) listed_users(stream)), by_kind);
	else if (resource == BAD_LIVE_ROWS && stream->reporting)
		mt_bad_count_kinds(resource, 0, mt_bad_rows(data, listed_users(stream)), by_kind);
	for (series = 0; resource == BAD_LIVE_MODULES && series < mt_live_series(data); series++)
	{
		uint64_t	first;
		uint64_t	bad = mt_bad_modules(data, series, &first);

		mt_bad_count_kinds(resource, first, bad, by_kind);
	}
	mt_truth_rejects(stream, resource, by_kind);
}

PutRows
mt_truth_live(const TruthStream *stream, const char *table, int *count)
{
	*count = mt_data_user_count(stream->data, stream->revisions[stream->pulls - 1]);
	if (strcmp(table, "users") == 0)
		return put_user;
	if (strcmp(table, "progress") == 0)
		return put_progress;
	if (strcmp(table, "quiz_results") == 0)
		return put_quiz_results;
	*count = stream->data->courses;
	if (strcmp(table, "courses") == 0)
		return put_module;
	if (strcmp(table, "quizzes") == 0)
		return put_quiz;
	*count = mt_live_groups(stream->data);
	if (strcmp(table, "teams") == 0)
		return put_team;
	if (strcmp(table, "team_members") == 0)
		return put_team_members;
	*count = BAD_RESOURCES - BAD_LIVE_USERS;
	return strcmp(table, "rejects") == 0 ? put_rejects : NULL;
}
