/*
 * data.c
 *		The invented people, courses and progress of one tenant.
 *
 * Called by the listing, the contract, the bad records and the truth. It keeps
 * no state and never looks at a clock, so all of them see the same world.
 *
 * Progress only moves forward: each (user, course) has a revision at which it
 * starts and one at which it is completed, and what happens at revision N > 0
 * is dated on the N-th day of 2025, after all that came before it.
 */
#include "data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_START	INT64_C(1704067200)	/* 2024-01-01 */
#define REVISIONS_START	INT64_C(1735689600)	/* 2025-01-01 */
#define DAY				INT64_C(86400)

/* Scatters indexes over eight digits and back: the factors are inverse modulo 10^8. */
#define SCATTER			UINT64_C(61803399)
#define GATHER			UINT64_C(82636599)
#define ID_RANGE		UINT64_C(100000000)

/* The first course has the same id in every tenant: keys must hold the tenant. */
#define SHARED_COURSE_ID "1000002000001307001"

static const char *const first_names[] = {
	"Ada", "Zoë", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "Grace", "Håkon", "Ines", "João", "Kwame",
	"Łukasz", "Mei", "Ngozi", "Oscar", "Priya", "Quentin", "Rosa", "Søren", "Tomás", "Uma", "Victor", "Wanda"
};
static const char *const last_names[] = {
	"King", "O'Neil", "D'Angelo", "Müller", "van der Berg", "Smith-Jones", "Nakamura", "Okafor", "García",
	"Ivanova", "Lee", "Ørsted", "Papadopoulos", "Quinn", "Rossi", "Şahin", "Tran", "Underwood", "Ward"
};
static const char *const mail_names[] = {
	"ada.king", "Zoe.O'Neil", "bjorn", "Chloe.D'Angelo", "DMITRI", "eun-ji", "Fatima.Okafor", "grace+sales", "hakon_n",
	"ines", "Joao", "kwame", "lukasz", "Mei.Lee", "ngozi", "o'brien", "priya", "Q", "rosa.rossi", "soren", "tomas"
};
static const char *const titles[] = {
	"Flex Pricing", "Demo Skills", "Objections: \"too expensive\"", "O'Reilly's Negotiation", "Security <b>Basics</b>",
	"🚀 Launch Readiness", "تدريب المبيعات", "Quarterly Update \\ Q3", "製品知識", "Discovery & Qualification"
};

#define COUNT_OF(array) ((int) (sizeof(array) / sizeof((array)[0])))

static uint64_t
mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

uint64_t
mt_draw(const DataSet *data, Topic topic, uint64_t a, uint64_t b)
{
	return mix(mix(data->key ^ (a << 8 | (uint64_t) topic)) ^ b);
}

uint64_t
mt_hash_text(uint64_t seed, const char *text)
{
	uint64_t	hash = mix(seed);

	for (; *text != '\0'; text++)
		hash = mix(hash ^ (unsigned char) *text);
	return hash;
}

void
mt_data_id(const DataSet *data, IdKind kind, uint32_t index, char *id)
{
	uint64_t	number;

	if (kind == ID_COURSE && index == 0)
	{
		strcpy(id, SHARED_COURSE_ID);
		return;
	}
	number = data->id_prefix * UINT64_C(1000000000) + (uint64_t) kind * ID_RANGE + index * SCATTER % ID_RANGE;
	if (mt_draw(data, TOPIC_ID, index, kind) % 2 == 0)
		number += UINT64_C(1000000000000000000);
	snprintf(id, ID_SIZE, "%llu", (unsigned long long) number);
}

bool
mt_data_find(const DataSet *data, IdKind kind, const char *id, int limit, int *index)
{
	size_t		length = strlen(id);
	char		found[ID_SIZE];
	uint64_t	candidate;

	if (length != strspn(id, "0123456789") || length < 18 || length > 19)
		return false;
	if (kind == ID_COURSE && strcmp(id, SHARED_COURSE_ID) == 0)
		candidate = 0;
	else
		candidate = strtoull(id, NULL, 10) % ID_RANGE * GATHER % ID_RANGE;
	if (candidate >= (uint64_t) limit)
		return false;
	/* Made again and compared: that checks prefix, kind and length at once. */
	mt_data_id(data, kind, (uint32_t) candidate, found);
	if (strcmp(found, id) != 0)
		return false;
	*index = (int) candidate;
	return true;
}

/* New users per revision. */
static int
users_per_revision(const DataSet *data)
{
	return data->users >= 50 ? data->users / 50 : 1;
}

int
mt_data_user_count(const DataSet *data, int revision)
{
	return data->users + revision * users_per_revision(data);
}

/* The revision at which the user first appears. */
static int
user_created(const DataSet *data, int user)
{
	if (user < data->users)
		return 0;
	return 1 + (user - data->users) / users_per_revision(data);
}

bool
mt_data_user_listed(const DataSet *data, int user, int revision)
{
	int			created = user_created(data, user);
	uint64_t	later = mt_draw(data, TOPIC_PERSON_LATER, (uint64_t) user, 0);

	if (revision < created)
		return false;
	if (later % 100 >= 8)
		return true;
	return revision < created + 1 + (int) (later / 100 % 10);
}

bool
mt_data_user_active(const DataSet *data, int user, int revision)
{
	uint64_t	later = mt_draw(data, TOPIC_PERSON_LATER, (uint64_t) user, 1);

	if (later % 100 < 5)
		return false;
	if (later % 100 >= 12)
		return true;
	return revision < user_created(data, user) + 1 + (int) (later / 100 % 10);
}

/* The longest name: 10,000 characters, not all of one byte. */
static void
put_long_name(char *name)
{
	int			i;

	for (i = 0; i < 2000; i++)
		memcpy(name + i * 6, "Lång-", 6);
	name[2000 * 6] = '\0';
}

static void
fill_name(int user, bool renamed, uint64_t random, Person *person)
{
	const char *first = first_names[random % COUNT_OF(first_names)];
	const char *last = last_names[random / 32 % COUNT_OF(last_names)];

	person->name_presence = FIELD_PRESENT;
	switch (user)
	{
		case 0:
			strcpy(person->name, "Zoë O'Neil");
			return;
		case 3:
			strcpy(person->name, "Robert \"Bob'); DROP TABLE users;--\" O'Neil \\ Sons");
			return;
		case 4:
			strcpy(person->name, "👩‍💻 Émile 🚀");
			return;
		case 5:
			strcpy(person->name, "محمد \u200f(أحمد) בן-דוד");
			return;
		case 6:
			put_long_name(person->name);
			return;
		case 8:
			person->name_presence = FIELD_NULL;
			return;
		default:
			break;
	}
	if (random / 1024 % 40 == 0)
		person->name_presence = FIELD_MISSING;
	else if (random / 1024 % 40 == 1)
		person->name_presence = FIELD_NULL;
	else
		snprintf(person->name, 200, "%s %s%s", first, renamed ? "(née) " : "", last);
}

static void
fill_email(const DataSet *data, int user, bool renamed, Person *person)
{
	uint64_t	random = mt_draw(data, TOPIC_EMAIL, (uint64_t) user, 0);

	person->email_presence = FIELD_PRESENT;
	if (user == 7)
		/* The same consultant works for every tenant. */
		strcpy(person->email, "Consultant@Shared.example");
	else if (user == 9 || random % 64 == 0)
		person->email_presence = random / 64 % 2 == 0 ? FIELD_NULL : FIELD_MISSING;
	else
		snprintf(person->email, sizeof(person->email), "%s%s.%d@%s.example", renamed ? "New." : "",
				 mail_names[random / 128 % COUNT_OF(mail_names)], user, data->name);
}

static void
fill_role(uint64_t random, Person *person)
{
	int			kind = (int) (random % 100);

	person->role_presence = FIELD_PRESENT;
	person->role = person->stored_role = "rep";
	if (kind < 10)
		person->role = person->stored_role = "manager";
	else if (kind < 13)
		person->role = person->stored_role = "admin";
	else if (kind < 28)
		person->role_presence = FIELD_MISSING;
	else if (kind < 31)
		person->role_presence = FIELD_NULL;
	else if (kind < 38)
		person->role = "LEARNER";
}

void
mt_data_person(const DataSet *data, int user, int revision, Person *person)
{
	uint64_t	random = mt_draw(data, TOPIC_PERSON, (uint64_t) user, 0);
	uint64_t	more = mt_draw(data, TOPIC_PERSON, (uint64_t) user, 1);
	uint64_t	later = mt_draw(data, TOPIC_PERSON_LATER, (uint64_t) user, 2);
	bool		renamed = later % 100 < 5 && revision > user_created(data, user) + (int) (later / 100 % 8);

	mt_data_id(data, ID_USER, (uint32_t) user, person->id);
	person->id_is_number = more % 16 == 0;
	fill_name(user, renamed, random, person);
	fill_email(data, user, renamed, person);
	fill_role(more / 16, person);
	person->active = mt_data_user_active(data, user, revision);
	person->active_presence = person->active && more / 4096 % 5 == 0 ? FIELD_MISSING : FIELD_PRESENT;
	person->scim_presence = FIELD_PRESENT;
	snprintf(person->scim_id, sizeof(person->scim_id), "hr-%d", user + 17);
	if (more / 65536 % 10 < 2)
		person->scim_presence = FIELD_NULL;
	else if (more / 65536 % 10 < 4)
		person->scim_presence = FIELD_MISSING;
}

void
mt_data_course(const DataSet *data, int course, Course *result)
{
	uint64_t	random = mt_draw(data, TOPIC_COURSE, (uint64_t) course, 0);

	mt_data_id(data, ID_COURSE, (uint32_t) course, result->id);
	result->id_is_number = random % 8 == 0;
	if (course == 0)
		strcpy(result->title, "Flex Pricing");
	else
		snprintf(result->title, sizeof(result->title), "%s %d", titles[random / 8 % COUNT_OF(titles)], course);
}

int64_t
mt_data_day(int revision)
{
	return REVISIONS_START + (revision - 1) * DAY;
}

bool
mt_data_life(const DataSet *data, int user, int course, Life *life)
{
	uint64_t	random = mt_draw(data, TOPIC_LIFE, (uint64_t) user, (uint64_t) course);
	uint64_t	times;
	int			created;
	int			start;
	int			end;

	if (random % 1000 >= (uint64_t) (data->courses <= 14 ? 850 : 12000 / data->courses))
		return false;
	times = mt_draw(data, TOPIC_TIMES, (uint64_t) user, (uint64_t) course);
	created = user_created(data, user);
	random /= 1000;
	start = (int) (random % 100);
	random /= 100;
	life->started = start < 70 ? created : start < 85 ? created + 1 + (int) (random % 8) : NEVER;
	random /= 8;
	end = (int) (random % 100);
	random /= 100;
	if (life->started == NEVER || end >= 80)
		life->completed = NEVER;
	else if (end < 55)
		life->completed = life->started;
	else
		life->completed = life->started + 1 + (int) (random % 9);

	if (created == 0)
		life->assigned_at = HISTORY_START + (int64_t) (times % (300 * DAY));
	else
		life->assigned_at = mt_data_day(created);
	times >>= 20;
	if (life->started == 0)
		life->started_at = life->assigned_at + 3600 + (int64_t) (times % (20 * DAY));
	else
		life->started_at = mt_data_day(life->started) + 100 + (int64_t) (times % 39000);
	times >>= 16;
	if (life->completed == 0)
		life->completed_at = life->started_at + DAY + (int64_t) (times % (30 * DAY));
	else if (life->completed == life->started)
		life->completed_at = mt_data_day(life->completed) + 60000 + (int64_t) (times % 20000);
	else
		life->completed_at = mt_data_day(life->completed) + (int64_t) (times % 80000);
	return true;
}

/* Draws a score in one of the spellings that occur. */
static Score
draw_score(uint64_t random)
{
	Score		score = {.form = SCORE_NUMBER};
	int			kind = (int) (random % 100);

	random /= 100;
	if (kind < 4)
		score.value = 0;
	else if (kind < 7)
		score.value = 1000000;
	else if (kind < 15)
	{
		int			parts = random / 64 % 2 == 0 ? 3 : 7;
		int			part = 1 + (int) (random % (uint64_t) (parts - 1));

		score.form = SCORE_LONG;
		score.exact = 100.0 * part / parts;
		score.value = (2 * 1000000 * part + parts) / (2 * parts);
		return score;
	}
	else if (kind < 45)
		score.value = (int) (random % 101) * 10000;
	else if (kind < 70)
		score.value = (int) (random % 1001) * 1000;
	else if (kind < 90)
		score.value = (int) (random % 10001) * 100;
	else
		score.value = (int) (random % 1000001);
	random >>= 24;
	if (random % 8 == 0)
		score.form = SCORE_STRING;
	else if (random % 64 == 1)
		score.form = SCORE_EXPONENT;
	return score;
}

bool
mt_data_progress(const DataSet *data, int user, int course, int revision, Progress *progress)
{
	Life		life;
	uint64_t	random;
	int64_t		updated_at;

	if (!mt_data_life(data, user, course, &life))
		return false;
	random = mt_draw(data, TOPIC_PROGRESS, (uint64_t) user, (uint64_t) course);
	progress->score.form = random % 4 == 0 ? SCORE_NULL : SCORE_MISSING;
	progress->has_completed_at = false;
	progress->stores_completed_at = false;
	progress->has_updated_at = true;
	if (revision >= life.completed)
	{
		progress->status = progress->stored_status = "completed";
		progress->has_completed_at = random / 64 % 32 != 0;
		progress->stores_completed_at = progress->has_completed_at;
		progress->completed_at = mt_moment_make(life.completed_at, random / 4096);
		updated_at = life.completed_at;
		if (random / 4 % 16 >= 2)
			progress->score = draw_score(mt_draw(data, TOPIC_SCORE, (uint64_t) user, (uint64_t) course));
	}
	else if (revision >= life.started)
	{
		progress->status = progress->stored_status = "in_progress";
		/* Left over from a completion that was taken back: not to be stored. */
		progress->has_completed_at = random / 64 % 32 == 0;
		progress->completed_at = mt_moment_make(life.started_at, random / 4096);
		updated_at = life.started_at;
		if (random / 4 % 16 < 2)
			progress->score = draw_score(mt_draw(data, TOPIC_SCORE, (uint64_t) user, (uint64_t) course));
	}
	else
	{
		progress->status = progress->stored_status = "not_started";
		progress->has_updated_at = random / 64 % 4 != 0;
		updated_at = life.assigned_at;
	}
	if (revision < life.completed && random / 2048 % 16 == 0)
	{
		progress->status = "expired";
		progress->stored_status = "in_progress";
	}
	progress->updated_at = mt_moment_make(updated_at, random / 8192);
	return true;
}

void
mt_score_upstream(Buffer *buffer, const Score *score)
{
	char		text[32];
	int			length;

	if (score->form == SCORE_NULL)
	{
		mt_buffer_text(buffer, "null");
		return;
	}
	if (score->form == SCORE_LONG)
	{
		mt_buffer_format(buffer, "%.14f", score->exact);
		return;
	}
	if (score->form == SCORE_EXPONENT)
	{
		mt_buffer_format(buffer, "%d.%05de1", score->value / 100000, score->value % 100000);
		return;
	}
	length = snprintf(text, sizeof(text), "%d.%04d", score->value / 10000, score->value % 10000);
	while (text[length - 1] == '0')
		length--;
	if (text[length - 1] == '.')
		length--;
	if (score->form == SCORE_STRING)
		mt_buffer_bytes(buffer, "\"", 1);
	mt_buffer_bytes(buffer, text, (size_t) length);
	if (score->form == SCORE_STRING)
		mt_buffer_bytes(buffer, "\"", 1);
}

void
mt_score_canonical(Buffer *buffer, int value)
{
	mt_buffer_format(buffer, "\"%d.%04d\"", value / 10000, value % 10000);
}
