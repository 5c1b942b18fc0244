/*
 * bad_records.c
 *		Records that must be refused, strewn among the good ones.
 *
 * Called by the contract while it writes a listing, and by the truth to say
 * what must have been refused. Every fault sits in a field that our data model
 * knows, so that a reader who drops unknown fields meets it too; and each
 * record stands for an id that no good record has, so that one accepted by
 * mistake is seen as a row too many. Every one of them leaves the envelope
 * around it as readable as JSON allows.
 */
#include "bad_records.h"

#include <stdlib.h>
#include <string.h>

/*
 * Placeholders: $i an id nobody has, $l an id of 300 characters, $d an array
 * 80 deep, $u a user's id, $c a course's id.
 */
typedef struct BadKind
{
	const char *name;
	const char *text;
} BadKind;

static const BadKind users[] = {
	{"missing_id", "{\"email\":\"no.id@bad.example\",\"name\":\"No Id\",\"role\":\"rep\",\"active\":true}"},
	{"empty_id", "{\"id\":\"\",\"email\":\"empty@bad.example\",\"name\":\"Empty Id\",\"active\":true}"},
	{"long_id", "{\"id\":\"$l\",\"email\":\"long@bad.example\",\"name\":\"Long Id\",\"active\":true}"},
	{"email_array", "{\"id\":\"$i\",\"email\":[\"a@bad.example\",\"b@bad.example\"],\"name\":\"Two Mails\",\"active\":true}"},
	{"name_nul", "{\"id\":\"$i\",\"email\":\"n$i@bad.example\",\"name\":\"Nul \\u0000 Name\",\"active\":true}"},
	{"too_deep", "{\"id\":\"$i\",\"email\":\"d$i@bad.example\",\"name\":$d,\"active\":true}"},
	{"bad_utf8", "{\"id\":\"$i\",\"email\":\"u$i@bad.example\",\"name\":\"Bad \xff\xfe\xc3( bytes\",\"active\":true}"},
	{"not_an_object", "42"},
	{"id_object", "{\"id\":{\"value\":\"$i\"},\"email\":\"o$i@bad.example\",\"name\":\"Object Id\"}"},
	{"null_id", "{\"id\":null,\"email\":\"null@bad.example\",\"name\":\"Null Id\",\"active\":true}"},
	{"active_array", "{\"id\":\"$i\",\"email\":\"a$i@bad.example\",\"name\":\"Array\",\"active\":[true]}"}
};

static const BadKind courses[] = {
	{"missing_id", "{\"title\":\"No Id\"}"},
	{"empty_id", "{\"id\":\"\",\"title\":\"Empty Id\"}"},
	{"long_id", "{\"id\":\"$l\",\"title\":\"Long Id\"}"},
	{"title_array", "{\"id\":\"$i\",\"title\":[\"Array\"]}"},
	{"title_nul", "{\"id\":\"$i\",\"title\":\"Nul \\u0000 Title\"}"},
	{"too_deep", "{\"id\":\"$i\",\"title\":$d}"},
	{"bad_utf8", "{\"id\":\"$i\",\"title\":\"Bad \xed\xa0\x80 \xf5 bytes\"}"},
	{"not_an_object", "[\"$i\",\"Title\"]"}
};

static const BadKind progress[] = {
	{"missing_id", "{\"title\":\"No Id\",\"status\":\"completed\",\"quizScore\":50}"},
	{"unknown_status", "{\"id\":\"$i\",\"status\":\"teleported\",\"quizScore\":50}"},
	{"score_nan", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":\"NaN\"}"},
	{"score_101", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":101}"},
	{"score_negative", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":-1}"},
	{"score_huge", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":1e999}"},
	{"bad_completed_at", "{\"id\":\"$i\",\"status\":\"completed\",\"completedAt\":\"2024-02-30T25:61:00Z\"}"},
	{"not_an_object", "1000009000000000001"},
	{"empty_id", "{\"id\":\"\",\"status\":\"in_progress\"}"},
	{"long_id", "{\"id\":\"$l\",\"status\":\"in_progress\"}"},
	{"bad_updated_at", "{\"id\":\"$i\",\"status\":\"in_progress\",\"updatedAt\":\"yesterday at noon\"}"},
	{"status_nul", "{\"id\":\"$i\",\"status\":\"comp\\u0000leted\"}"},
	{"status_number", "{\"id\":\"$i\",\"status\":3}"},
	{"too_deep", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":$d}"},
	{"bad_utf8", "{\"id\":\"$i\",\"status\":\"compl\xff" "eted\"}"},
	{"score_word", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":\"87,5 %\"}"},
	{"score_infinity", "{\"id\":\"$i\",\"status\":\"completed\",\"quizScore\":\"-Infinity\"}"}
};

#define RESULT_START "{\"id\":\"qr-$i\",\"userId\":\"$u\",\"courseId\":\"$c\",\"attemptNumber\":1,"
#define RESULT_END ",\"submittedAt\":\"2024-06-01T00:00:00Z\"}"

static const BadKind quiz_results[] = {
	{"missing_user_id", "{\"id\":\"qr-$i\",\"quizId\":\"$i\",\"courseId\":\"$c\",\"attemptNumber\":1,\"score\":50" RESULT_END},
	{"empty_quiz_id", RESULT_START "\"quizId\":\"\",\"score\":50" RESULT_END},
	{"long_quiz_id", RESULT_START "\"quizId\":\"$l\",\"score\":50" RESULT_END},
	{"score_nan", RESULT_START "\"quizId\":\"$i\",\"score\":\"NaN\"" RESULT_END},
	{"score_huge", RESULT_START "\"quizId\":\"$i\",\"score\":1e999" RESULT_END},
	{"score_101", RESULT_START "\"quizId\":\"$i\",\"score\":101" RESULT_END},
	{"score_negative", RESULT_START "\"quizId\":\"$i\",\"score\":-1" RESULT_END},
	{"bad_submitted_at", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"submittedAt\":\"2024-13-01T00:00:00Z\"}"},
	{"missing_submitted_at", RESULT_START "\"quizId\":\"$i\",\"score\":50}"},
	{"answers_object", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":{\"q1\":true}" RESULT_END},
	{"answer_without_question", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":[{\"selected\":\"b\",\"correct\":true}]" RESULT_END},
	{"answer_correct_word", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":[{\"questionId\":\"q1\",\"correct\":\"yes\"}]" RESULT_END},
	{"answer_twice", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":[{\"questionId\":\"q1\",\"correct\":true},"
	"{\"questionId\":\"q1\",\"correct\":false}]" RESULT_END},
	{"answer_nul", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":[{\"questionId\":\"q\\u00001\",\"correct\":true}]" RESULT_END},
	{"too_deep", RESULT_START "\"quizId\":\"$i\",\"score\":50,\"answers\":$d" RESULT_END},
	{"bad_utf8", RESULT_START "\"quizId\":\"$i\xc0\xaf\",\"score\":50" RESULT_END},
	{"not_an_object", "\"qr-$i\""},
	{"score_array", RESULT_START "\"quizId\":\"$i\",\"score\":[50]" RESULT_END}
};

static const BadKind live_users[] = {
	{"missing_id", "{\"email\":\"no.id@bad.example\",\"name\":\"No Id\",\"userState\":\"ACTIVE\"}"},
	{"empty_id", "{\"id\":\"\",\"email\":\"empty@bad.example\",\"userState\":\"ACTIVE\"}"},
	{"long_id", "{\"id\":\"$l\",\"email\":\"long@bad.example\",\"userState\":\"ACTIVE\"}"},
	{"email_array", "{\"id\":\"$i\",\"email\":[\"a@bad.example\"],\"userState\":\"ACTIVE\"}"},
	{"name_nul", "{\"id\":\"$i\",\"email\":\"n$i@bad.example\",\"name\":\"Nul \\u0000 Name\"}"},
	{"name_surrogate", "{\"id\":\"$i\",\"email\":\"s$i@bad.example\",\"name\":\"Lone \\ud83d surrogate\"}"},
	{"too_deep", "{\"id\":\"$i\",\"email\":\"d$i@bad.example\",\"name\":$d}"},
	{"bad_utf8", "{\"id\":\"$i\",\"email\":\"u$i@bad.example\",\"name\":\"Bad \xff\xfe\xc3( bytes\"}"},
	{"not_an_object", "42"},
	{"id_object", "{\"id\":{\"value\":\"$i\"},\"email\":\"o$i@bad.example\"}"}
};

static const BadKind live_modules[] = {
	{"missing_id", "{\"name\":\"No Id\",\"moduleType\":\"COURSE\"}"},
	{"empty_id", "{\"id\":\"\",\"name\":\"Empty Id\",\"moduleType\":\"COURSE\"}"},
	{"long_id", "{\"id\":\"$l\",\"name\":\"Long Id\",\"moduleType\":\"COURSE\"}"},
	{"name_nul", "{\"id\":\"$i\",\"name\":\"Nul \\u0000 Name\",\"moduleType\":\"COURSE\"}"},
	{"bad_utf8", "{\"id\":\"$i\",\"name\":\"Bad \xed\xa0\x80 bytes\",\"moduleType\":\"COURSE\"}"},
	{"not_an_object", "[\"$i\",\"Name\"]"}
};

#define ROW_START "{\"UserId\":\"$u\",\"ModuleId\":\"$i\",\"HasStarted\":true,\"HasCompleted\":true,"

static const BadKind live_rows[] = {
	{"missing_module", "{\"UserId\":\"$u\",\"HasStarted\":true,\"HasCompleted\":true,\"EndTime\":\"2024-06-01T00:00:00Z\"}"},
	{"missing_learner", "{\"ModuleId\":\"$i\",\"HasStarted\":true,\"HasCompleted\":true,\"EndTime\":\"2024-06-01T00:00:00Z\"}"},
	{"score_word", ROW_START "\"Score\":\"87,5 %\",\"MaxScore\":100}"},
	{"score_nan", ROW_START "\"Score\":\"NaN\",\"MaxScore\":100}"},
	{"score_above_max", ROW_START "\"Score\":150,\"MaxScore\":100}"},
	{"score_negative", ROW_START "\"Score\":-1,\"MaxScore\":100}"},
	{"score_huge", ROW_START "\"Score\":1e999,\"MaxScore\":1e999}"},
	{"bad_end_time", ROW_START "\"EndTime\":\"2024-02-30T25:61:00Z\"}"},
	{"completed_word", "{\"UserId\":\"$u\",\"ModuleId\":\"$i\",\"HasStarted\":true,\"HasCompleted\":\"perhaps\"}"},
	{"not_an_object", "\"$i\""}
};

typedef struct BadTable
{
	const char *name;
	const BadKind *kinds;
	int			count;
} BadTable;

#define TABLE(kinds) {#kinds, kinds, (int) (sizeof(kinds) / sizeof((kinds)[0]))}

static const BadTable tables[BAD_RESOURCES] = {TABLE(users), TABLE(courses), TABLE(progress), TABLE(quiz_results),
TABLE(live_users), TABLE(live_modules), TABLE(live_rows)};

uint64_t
mt_bad_count(const DataSet *data, uint64_t good)
{
	return (good * (uint64_t) data->bad_percent + 99) / 100;
}

uint64_t
mt_bad_before(uint64_t good, uint64_t bad, uint64_t position)
{
	return good + bad == 0 ? 0 : position * bad / (good + bad);
}

uint64_t
mt_bad_progress(const DataSet *data, int user, uint64_t *first)
{
	uint64_t	per_hundred = (uint64_t) data->courses * (uint64_t) data->bad_percent;

	*first = (uint64_t) user * per_hundred / 100;
	return (uint64_t) (user + 1) * per_hundred / 100 - *first;
}

uint64_t
mt_bad_modules(const DataSet *data, int series, uint64_t *first)
{
	*first = (uint64_t) series * (uint64_t) data->bad_percent;
	return ((uint64_t) data->bad_percent + 9) / 10;
}

uint64_t
mt_bad_rows(const DataSet *data, int learners)
{
	return mt_bad_count(data, (uint64_t) learners);
}

void
mt_bad_count_kinds(BadResource resource, uint64_t first, uint64_t count, uint64_t *by_kind)
{
	for (; count > 0; count--, first++)
		by_kind[first % (uint64_t) tables[resource].count]++;
}

static void
put_repeated(Buffer *buffer, char c, int times)
{
	char		bytes[300];

	memset(bytes, c, sizeof(bytes));
	mt_buffer_bytes(buffer, bytes, (size_t) times);
}

static void
put_placeholder(Buffer *buffer, const DataSet *data, char placeholder, uint64_t number)
{
	char		id[ID_SIZE];

	switch (placeholder)
	{
		case 'l':
			put_repeated(buffer, '9', 300);
			break;
		case 'd':
			put_repeated(buffer, '[', 80);
			put_repeated(buffer, ']', 80);
			break;
		case 'u':
			mt_data_id(data, ID_USER, data->users == 0 ? 0 : (uint32_t) (number % (uint64_t) data->users), id);
			mt_buffer_text(buffer, id);
			break;
		case 'c':
			mt_data_id(data, ID_COURSE, 0, id);
			mt_buffer_text(buffer, id);
			break;
		default:
			mt_data_id(data, ID_PHANTOM, (uint32_t) (number % 100000000), id);
			mt_buffer_text(buffer, id);
			break;
	}
}

void
mt_bad_write(Buffer *buffer, const DataSet *data, BadResource resource, uint64_t number)
{
	const BadTable *table = &tables[resource];
	const char *text = table->kinds[number % (uint64_t) table->count].text;
	const char *dollar;

	while ((dollar = strchr(text, '$')) != NULL)
	{
		mt_buffer_bytes(buffer, text, (size_t) (dollar - text));
		put_placeholder(buffer, data, dollar[1], number);
		text = dollar + 2;
	}
	mt_buffer_text(buffer, text);
}

const char *
mt_bad_resource(BadResource resource)
{
	return tables[resource].name;
}

int
mt_bad_kinds(BadResource resource)
{
	return tables[resource].count;
}

const char *
mt_bad_kind(BadResource resource, int kind)
{
	return tables[resource].kinds[kind].name;
}
