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
#include "truth.h"

#include "bad_records.h"
#include "quiz.h"

#include <stdlib.h>
#include <string.h>

typedef void (*PutRows) (TruthStream *stream, int number);

struct TruthStream
{
	const DataSet *data;
	int			revisions[MAX_PULLS];
	int			pulls;
	PutRows		put_rows;
	int			next;			/* number of the user, course or resource */
	int			count;
	bool		begun;
	bool		has_rows;
	bool		ended;
	Buffer		buffer;
	size_t		sent;			/* bytes of the buffer */
};

static void
begin_row(TruthStream *stream)
{
	mt_buffer_text(&stream->buffer, stream->has_rows ? ",\n{" : "{");
	stream->has_rows = true;
}

static void
put_text(Buffer *buffer, const char *name, bool present, const char *text)
{
	mt_buffer_text(buffer, name);
	if (present)
		mt_buffer_json(buffer, text);
	else
		mt_buffer_text(buffer, "null");
}

static void
put_bool(Buffer *buffer, const char *name, bool present, bool value)
{
	mt_buffer_text(buffer, name);
	mt_buffer_text(buffer, !present ? "null" : value ? "true" : "false");
}

static void
put_score(Buffer *buffer, const char *name, bool present, int value)
{
	mt_buffer_text(buffer, name);
	if (present)
		mt_score_canonical(buffer, value);
	else
		mt_buffer_text(buffer, "null");
}

static void
put_moment(Buffer *buffer, const char *name, bool present, Moment moment)
{
	mt_buffer_text(buffer, name);
	if (!present)
	{
		mt_buffer_text(buffer, "null");
		return;
	}
	mt_buffer_bytes(buffer, "\"", 1);
	mt_moment_canonical(buffer, moment.micros);
	mt_buffer_bytes(buffer, "\"", 1);
}

/* The last pull that listed the user, and listed him as active if asked; -1 when none did. */
static int
last_pull(const TruthStream *stream, int user, bool active)
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
	int			pull = last_pull(stream, user, false);
	Person		person;

	if (pull < 0)
		return;
	mt_data_person(stream->data, user, stream->revisions[pull], &person);
	begin_row(stream);
	put_text(buffer, "\"user_id\":", true, person.id);
	put_text(buffer, ",\"mindtickle_id\":", true, person.id);
	put_text(buffer, ",\"email\":", person.email_presence == FIELD_PRESENT, person.email);
	put_text(buffer, ",\"name\":", person.name_presence == FIELD_PRESENT, person.name);
	put_text(buffer, ",\"role\":", true, person.stored_role);
	put_bool(buffer, ",\"active\":", true, person.active && pull == stream->pulls - 1);
	put_text(buffer, ",\"scim_external_id\":", person.scim_presence == FIELD_PRESENT, person.scim_id);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_course(TruthStream *stream, int number)
{
	Course		course;

	mt_data_course(stream->data, number, &course);
	begin_row(stream);
	put_text(&stream->buffer, "\"course_id\":", true, course.id);
	put_text(&stream->buffer, ",\"title\":", true, course.title);
	mt_buffer_bytes(&stream->buffer, "}", 1);
}

static void
put_progress(TruthStream *stream, int user)
{
	Buffer	   *buffer = &stream->buffer;
	int			pull = last_pull(stream, user, true);
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
		begin_row(stream);
		put_text(buffer, "\"user_id\":", true, user_id);
		put_text(buffer, ",\"course_id\":", true, course_id);
		put_text(buffer, ",\"status\":", true, progress.stored_status);
		put_score(buffer, ",\"score\":", progress.score.form > SCORE_NULL, progress.score.value);
		put_moment(buffer, ",\"completed_at\":", progress.stores_completed_at, progress.completed_at);
		put_moment(buffer, ",\"updated_at\":", progress.has_updated_at, progress.updated_at);
		mt_buffer_bytes(buffer, "}", 1);
	}
}

static void
put_result(TruthStream *stream, const char *user_id, int course, const Quiz *quiz, const QuizResult *result)
{
	Buffer	   *buffer = &stream->buffer;
	char		course_id[ID_SIZE];

	mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
	begin_row(stream);
	put_text(buffer, "\"user_id\":", true, user_id);
	put_text(buffer, ",\"course_id\":", true, course_id);
	put_text(buffer, ",\"quiz_id\":", true, quiz->id);
	put_moment(buffer, ",\"submitted_at\":", true, result->submitted_at);
	put_score(buffer, ",\"score\":", result->has_stored_score, result->stored_score);
	mt_buffer_format(buffer, ",\"attempt\":%d", result->attempt);
	put_bool(buffer, ",\"passed\":", result->has_passed, result->passed);
	put_score(buffer, ",\"max_score\":", quiz->gives_max_score, quiz->total * 5000);
	put_score(buffer, ",\"raw_score\":", result->has_raw_score, result->raw_score * 5000);
	mt_buffer_format(buffer, ",\"answer_count\":%d", result->answers);
	put_score(buffer, ",\"computed_score\":", result->has_computed_score, result->computed_score);
	mt_buffer_bytes(buffer, "}", 1);
}

static void
put_quiz_results(TruthStream *stream, int user)
{
	int			pull = last_pull(stream, user, false);
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
		int			pull = last_pull(stream, user, false);

		if (pull >= 0 && mt_quiz_attempts(stream->data, user, course, stream->revisions[pull]) > 0)
			break;
	}
	if (user == users)
		return;
	mt_data_id(stream->data, ID_COURSE, (uint32_t) course, course_id);
	begin_row(stream);
	put_text(buffer, "\"quiz_id\":", true, quiz.id);
	put_text(buffer, ",\"course_id\":", true, course_id);
	put_score(buffer, ",\"max_score\":", quiz.gives_max_score, quiz.total * 5000);
	mt_buffer_bytes(buffer, "}", 1);
}

/* Adds the bad records from first on to the counts by kind. */
static void
count_kinds(BadResource resource, uint64_t first, uint64_t count, uint64_t *by_kind)
{
	for (; count > 0; count--, first++)
		by_kind[first % (uint64_t) mt_bad_kinds(resource)]++;
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
	int			kind;

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

			count_kinds(resource, first, bad, by_kind);
		}
		for (course = 0; resource == BAD_QUIZ_RESULTS && course < data->courses; course++)
			good += (uint64_t) mt_quiz_attempts(data, user, course, revision);
	}
	count_kinds(resource, 0, mt_bad_count(data, good), by_kind);
	for (kind = 0; kind < mt_bad_kinds(resource); kind++)
	{
		if (by_kind[kind] == 0)
			continue;
		begin_row(stream);
		mt_buffer_format(&stream->buffer, "\"resource\":\"%s\",\"kind\":\"%s\",\"count\":%llu}", mt_bad_resource(resource),
						 mt_bad_kind(resource, kind), (unsigned long long) by_kind[kind]);
	}
}

TruthStream *
mt_truth_open(const DataSet *data, const char *table, const int *revisions, int count)
{
	TruthStream *stream = mt_allocate(1, sizeof(TruthStream));

	stream->data = data;
	stream->pulls = count;
	memcpy(stream->revisions, revisions, (size_t) count * sizeof(int));
	stream->count = mt_data_user_count(data, revisions[count - 1]);
	if (strcmp(table, "users") == 0)
		stream->put_rows = put_user;
	else if (strcmp(table, "progress") == 0)
		stream->put_rows = put_progress;
	else if (strcmp(table, "quiz_results") == 0)
		stream->put_rows = put_quiz_results;
	else if (strcmp(table, "courses") == 0 || strcmp(table, "quizzes") == 0)
	{
		stream->put_rows = table[0] == 'c' ? put_course : put_quiz;
		stream->count = data->courses;
	}
	else if (strcmp(table, "rejects") == 0)
	{
		stream->put_rows = put_rejects;
		stream->count = BAD_RESOURCES;
	}
	else
	{
		free(stream);
		return NULL;
	}
	return stream;
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
	mt_buffer_free(&stream->buffer);
	free(stream);
}
