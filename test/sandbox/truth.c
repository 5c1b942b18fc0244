/*
 * truth.c
 *		What our tables must hold after complete pulls of a tenant.
 *
 * Called by the control endpoint /sandbox/truth. It writes rows as flat JSON
 * objects, a user or a course at a time, so that no table is ever held whole.
 * It takes no lock: the data are pure functions, and the revisions are given.
 *
 * Several pulls fold into one state: what a later pull no longer lists stays
 * as it was last seen, and such a user becomes inactive.
 */
#include "truth_stream.h"

#include "bad_records.h"
#include "quiz.h"
#include "tenant.h"

#include <stdlib.h>
#include <string.h>

void
mt_truth_begin_row(TruthStream *stream)
{
	mt_buffer_text(&stream->buffer, stream->has_rows ? ",\n{" : "{");
	stream->has_rows = true;
}

void
mt_truth_text(Buffer *buffer, const char *name, bool present, const char *text)
{
	mt_buffer_text(buffer, name);
	if (present)
		mt_buffer_json(buffer, text);
	else
		mt_buffer_text(buffer, "null");
}

void
mt_truth_bool(Buffer *buffer, const char *name, bool present, bool value)
{
	mt_buffer_text(buffer, name);
	mt_buffer_text(buffer, !present ? "null" : value ? "true" : "false");
}

void
mt_truth_score(Buffer *buffer, const char *name, bool present, int value)
{
	mt_buffer_text(buffer, name);
	if (present)
		mt_score_canonical(buffer, value);
	else
		mt_buffer_text(buffer, "null");
}

void
mt_truth_moment(Buffer *buffer, const char *name, bool present, int64_t micros)
{
	mt_buffer_text(buffer, name);
	if (!present)
	{
		mt_buffer_text(buffer, "null");
		return;
	}
	mt_buffer_bytes(buffer, "\"", 1);
	mt_moment_canonical(buffer, micros);
	mt_buffer_bytes(buffer, "\"", 1);
}

int
mt_truth_last_pull(const TruthStream *stream, int user, bool active)
{
	int			pull;

	for (pull = stream->pulls - 1; pull >= 0; pull--)
		if (mt_data_user_listed(stream->data, user, stream->revisions[pull]) &&
			(!active || mt_data_user_active(stream->data, user, stream->revisions[pull])))
			break;
	return pull;
}

static void
put_user(TruthStream *stream, int user)
{
	Buffer	   *buffer = &stream->buffer;
	int			pull = mt_truth_last_pull(stream, user, false);
	Person		person;

	if (pull < 0)
		return;
	mt_data_person(stream->data, user, stream->revisions[pull], &person);
	mt_truth_begin_row(stream);
	mt_truth_text(buffer, "\"user_id\":", true, person.id);
	mt_truth_text(buffer, ",\"mindtickle_id\":", true, person.id);
	mt_truth_text(buffer, ",\"email\":", person.email_presence == FIELD_PRESENT, person.email);
	mt_truth_text(buffer, ",\"name\":", person.name_presence == FIELD_PRESENT, person.name);
	mt_truth_text(buffer, ",\"role\":", true, person.stored_role);
	mt_truth_bool(buffer, ",\"active\":", true, person.active && pull == stream->pulls - 1);
	mt_truth_text(buffer, ",\"scim_external_id\":", person.scim_presence == FIELD_PRESENT, person.scim_id);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_course(TruthStream *stream, int number)
{
	Course		course;

	mt_data_course(stream->data, number, &course);
	mt_truth_begin_row(stream);
	mt_truth_text(&stream->buffer, "\"course_id\":", true, course.id);
	mt_truth_text(&stream->buffer, ",\"title\":", true, course.title);
	mt_buffer_bytes(&stream->buffer, "}", 1);
}

static void
put_progress(TruthStream *stream, int user)
{
	Buffer	   *buffer = &stream->buffer;
	int			pull = mt_truth_last_pull(stream, user, true);
	char		user_id[ID_SIZE];
	int			course;

	if (pull < 0)
		return;
	mt_data_id(stream->data, ID_USER, (uint32_t) user, user_id);
	for (course = 0; course < stream->data->courses; course++)
	{
		Progress	progress;
		char		course_id[ID_SIZE];

		if (!mt_data_progress(stream->data, user, course, stream->revisions[pull], &progress))
			continue;
		mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
		mt_truth_begin_row(stream);
		mt_truth_text(buffer, "\"user_id\":", true, user_id);
		mt_truth_text(buffer, ",\"course_id\":", true, course_id);
		mt_truth_text(buffer, ",\"status\":", true, progress.stored_status);
		mt_truth_score(buffer, ",\"score\":", progress.score.form > SCORE_NULL, progress.score.value);
		mt_truth_moment(buffer, ",\"completed_at\":", progress.stores_completed_at,
						progress.completed_at.micros);
		mt_truth_moment(buffer, ",\"updated_at\":", progress.has_updated_at, progress.updated_at.micros);
		mt_buffer_bytes(buffer, "}", 1);
	}
}

static void
put_result(TruthStream *stream, const char *user_id, int course, const Quiz *quiz, const QuizResult *result)
{
	Buffer	   *buffer = &stream->buffer;
	char		course_id[ID_SIZE];

	mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
	mt_truth_begin_row(stream);
	mt_truth_text(buffer, "\"user_id\":", true, user_id);
	mt_truth_text(buffer, ",\"course_id\":", true, course_id);
	mt_truth_text(buffer, ",\"quiz_id\":", true, quiz->id);
	mt_truth_moment(buffer, ",\"submitted_at\":", true, result->submitted_at.micros);
	mt_truth_score(buffer, ",\"score\":", result->has_stored_score, result->stored_score);
	mt_buffer_format(buffer, ",\"attempt\":%d", result->attempt);
	mt_truth_bool(buffer, ",\"passed\":", result->has_passed, result->passed);
	mt_truth_score(buffer, ",\"max_score\":", quiz->gives_max_score, quiz->total * 5000);
	mt_truth_score(buffer, ",\"raw_score\":", result->has_raw_score, result->raw_score * 5000);
	mt_buffer_format(buffer, ",\"answer_count\":%d", result->answers);
	mt_truth_score(buffer, ",\"computed_score\":", result->has_computed_score, result->computed_score);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_quiz_results(TruthStream *stream, int user)
{
	int			pull = mt_truth_last_pull(stream, user, false);
	char		user_id[ID_SIZE];
	int			course;

	if (pull < 0)
		return;
	mt_data_id(stream->data, ID_USER, (uint32_t) user, user_id);
	for (course = 0; course < stream->data->courses; course++)
	{
		int			revision = stream->revisions[pull];
		Quiz		quiz;
		int			attempts;
		int			attempt;

		if (!mt_quiz(stream->data, course, &quiz))
			continue;
		attempts = mt_quiz_attempts(stream->data, user, course, revision);
		for (attempt = 1; attempt <= attempts; attempt++)
		{
			QuizResult	result;

			mt_quiz_result(stream->data, user, course, &quiz, attempt, revision, &result);
			put_result(stream, user_id, course, &quiz, &result);
		}
	}
}

/* A quiz is known through its results only. */
static void
put_quiz(TruthStream *stream, int course)
{
	Buffer	   *buffer = &stream->buffer;
	int			users = mt_data_user_count(stream->data, stream->revisions[stream->pulls - 1]);
	char		course_id[ID_SIZE];
	Quiz		quiz;
	int			user;

	if (!mt_quiz(stream->data, course, &quiz))
		return;
	for (user = 0; user < users; user++)
	{
		int			pull = mt_truth_last_pull(stream, user, false);

		if (pull >= 0 && mt_quiz_attempts(stream->data, user, course, stream->revisions[pull]) > 0)
			break;
	}
	if (user == users)
		return;
	mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
	mt_truth_begin_row(stream);
	mt_truth_text(buffer, "\"quiz_id\":", true, quiz.id);
	mt_truth_text(buffer, ",\"course_id\":", true, course_id);
	mt_truth_score(buffer, ",\"max_score\":", quiz.gives_max_score, quiz.total * 5000);
	mt_buffer_bytes(buffer, "}", 1);
}

void
mt_truth_rejects(TruthStream *stream, int resource, const uint64_t *by_kind)
{
	int			kind;

	for (kind = 0; kind < mt_bad_kinds((BadResource) resource); kind++)
	{
		if (by_kind[kind] == 0)
			continue;
		mt_truth_begin_row(stream);
		mt_buffer_format(&stream->buffer, "\"resource\":\"%s\",\"kind\":\"%s\",\"count\":%llu}",
						 mt_bad_resource((BadResource) resource), mt_bad_kind((BadResource) resource, kind),
						 (unsigned long long) by_kind[kind]);
	}
}

/* The records that the last pull alone must refuse, counted by kind. */
static void
put_rejects(TruthStream *stream, int number)
{
	BadResource resource = (BadResource) number;
	const DataSet *data = stream->data;
	int			revision = stream->revisions[stream->pulls - 1];
	int			users = mt_data_user_count(data, revision);
	uint64_t	good = resource == BAD_COURSES ? (uint64_t) data->courses : 0;
	uint64_t	by_kind[64] = {0};
	int			user;

	for (user = 0; user < users; user++)
	{
		uint64_t	first;
		int			course;

		if (!mt_data_user_listed(data, user, revision))
			continue;
		if (resource == BAD_USERS)
			good++;
		else if (resource == BAD_PROGRESS && mt_data_user_active(data, user, revision))
		{
			uint64_t	bad = mt_bad_progress(data, user, &first);

			mt_bad_count_kinds(resource, first, bad, by_kind);
		}
		for (course = 0; resource == BAD_QUIZ_RESULTS && course < data->courses; course++)
			good += (uint64_t) mt_quiz_attempts(data, user, course, revision);
	}
	mt_bad_count_kinds(resource, 0, mt_bad_count(data, good), by_kind);
	mt_truth_rejects(stream, resource, by_kind);
}

/* How the rows of a table of the reference contract are made, and how many numbers that takes. */
static PutRows
find_table(const TruthStream *stream, const char *table, int *count)
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
		return put_course;
	if (strcmp(table, "quizzes") == 0)
		return put_quiz;
	*count = BAD_LIVE_USERS;
	return strcmp(table, "rejects") == 0 ? put_rejects : NULL;
}

TruthStream *
mt_truth_open(const Tenant *tenant, const char *table, const int *revisions, int count)
{
	TruthStream *stream = mt_allocate(1, sizeof(TruthStream));

	stream->data = &tenant->data;
	stream->reporting = tenant->reporting;
	stream->pulls = count;
	memcpy(stream->revisions, revisions, (size_t) count * sizeof(int));
	stream->put_rows = tenant->live ? mt_truth_live(stream, table, &stream->count) : find_table(stream, table, &stream->count);
	if (stream->put_rows != NULL)
		return stream;
	free(stream);
	return NULL;
}

ssize_t
mt_truth_read(TruthStream *stream, char *bytes, size_t room)
{
	size_t		ready;

	if (stream->sent == stream->buffer.length)
	{
		if (stream->ended)
			return -1;
		stream->sent = 0;
		stream->buffer.length = 0;
		if (!stream->begun)
			mt_buffer_bytes(&stream->buffer, "[", 1);
		stream->begun = true;
		while (stream->next < stream->count && stream->buffer.length < room)
			stream->put_rows(stream, stream->next++);
		if (stream->next == stream->count)
		{
			mt_buffer_text(&stream->buffer, "]\n");
			stream->ended = true;
		}
	}
	ready = stream->buffer.length - stream->sent;
	if (ready > room)
		ready = room;
	memcpy(bytes, stream->buffer.data + stream->sent, ready);
	stream->sent += ready;
	return (ssize_t) ready;
}

void
mt_truth_close(TruthStream *stream)
{
	int			pull;

	for (pull = 0; pull < stream->pulls; pull++)
		free(stream->manages[pull]);
	mt_buffer_free(&stream->buffer);
	free(stream);
}
