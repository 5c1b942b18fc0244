/*
 * live_data.c
 *		What the live contract knows beyond data.h: profiles, managers, groups, series, and where each learner stands.
 *
 * Called by the live contract's files and by the truth. It keeps no state and
 * never looks at a clock. Who is whose manager, who is in which group and
 * which module is in which series never changes; what does change moves
 * forward only, as in data.c.
 */
#include "live_data.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MINUTE			INT64_C(60)
#define HIRED_FIRST		INT64_C(1420070400)	/* 2015-01-01 */
#define ODD_USERS		10			/* as in data.c */
#define CONSULTANT		7

static const char *const titles[] = {"AE", "SDR", "Account Executive, \"Enterprise\"", "VP Sales; EMEA", "Vertriebsleiter (m/w/d)"};
static const char *const departments[] = {"Sales", "Sales", "Customer Success", "R&D", "Vente & après-vente"};
static const char *const locations[] = {"Berlin", "São Paulo", "Zürich", "New York, NY", "Köln"};

#define PICK(list, random) (list[(random) % (sizeof(list) / sizeof((list)[0]))])

void
mt_live_managers(const DataSet *data, int user, int *manager, int *second)
{
	uint64_t	random = mt_draw(data, TOPIC_LIVE_MANAGER, (uint64_t) user, 0);
	int			bosses = data->users / 8;
	int			first_boss = data->users > 3 * ODD_USERS ? ODD_USERS : 0;

	*manager = *second = NOBODY;
	if (bosses == 0 || random % 4 == 0)
		return;
	*manager = first_boss + (int) (random / 4 % (uint64_t) bosses);
	if (*manager == user)
		*manager = NOBODY;
	else if (random / 65536 % 5 == 0)
	{
		*second = first_boss + (int) (random / 1048576 % (uint64_t) bosses);
		if (*second == user || *second == *manager)
			*second = NOBODY;
	}
}

/* Puts a text into upper (1) or lower (2) case; addresses are ASCII. */
static void
respell(char *email, int spelling)
{
	for (; *email != '\0'; email++)
	{
		if (spelling == 1)
			*email = (char) toupper((unsigned char) *email);
		else if (spelling == 2)
			*email = (char) tolower((unsigned char) *email);
	}
}

bool
mt_live_email(const DataSet *data, int user, int revision, int spelling, char *email)
{
	Person		person;

	mt_data_person(data, user, revision, &person);
	if (person.email_presence != FIELD_PRESENT)
		return false;
	strcpy(email, person.email);
	respell(email, spelling);
	return true;
}

bool
mt_live_find_email(const DataSet *data, const char *email, int revision, int *user)
{
	const char *at = strrchr(email, '@');
	const char *dot;
	int			count = mt_data_user_count(data, revision);
	long		number;
	Person		person;

	if (at == NULL)
		return false;
	/* All addresses but one have the user's number before the "@". */
	for (dot = at; dot > email && isdigit((unsigned char) dot[-1]); dot--)
		;
	if (dot == at)
		number = CONSULTANT;
	else
		number = strtol(dot, NULL, 10);
	if (number >= count || !mt_data_user_listed(data, (int) number, revision))
		return false;
	mt_data_person(data, (int) number, revision, &person);
	*user = (int) number;
	return person.email_presence == FIELD_PRESENT && strcasecmp(person.email, email) == 0;
}

/* Chooses the spelling of a state, known or not. */
static void
fill_state(uint64_t random, LiveUser *result)
{
	static const char *const gone[] = {"DEACTIVATED", "DEACTIVATED", "DEACTIVATED", "Deactivated", "deactivated"};
	static const char *const here[] = {"ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ADDED", "ADDED", "Active", "added", "ON_LEAVE", NULL};

	result->state = result->active ? PICK(here, random) : PICK(gone, random);
}

static void
fill_profile(const DataSet *data, int user, LiveUser *result)
{
	uint64_t	random = mt_draw(data, TOPIC_LIVE_PROFILE, (uint64_t) user, 0);

	result->profile_presence = random % 16 == 0 ? FIELD_NULL : random % 16 == 1 ? FIELD_MISSING : FIELD_PRESENT;
	result->title = result->department = result->location = NULL;
	result->has_hired_at = false;
	if (result->profile_presence != FIELD_PRESENT)
		return;
	random /= 16;
	if (random % 8 != 0)
		result->title = PICK(titles, random / 8);
	random /= 64;
	if (random % 8 != 0)
		result->department = PICK(departments, random / 8);
	random /= 64;
	if (random % 8 != 0)
		result->location = PICK(locations, random / 8);
	random /= 64;
	result->has_hired_at = random % 4 != 0;
	result->hired_at = HIRED_FIRST + (int64_t) (random / 4 % 4000000) * MINUTE;
}

void
mt_live_user(const DataSet *data, int user, int revision, LiveUser *result)
{
	uint64_t	random = mt_draw(data, TOPIC_LIVE_STATE, (uint64_t) user, 0);
	int			manager;
	int			second;

	mt_data_person(data, user, revision, &result->person);
	result->active = result->person.active;
	fill_state(random, result);
	fill_profile(data, user, result);
	result->manager_email[0] = result->second_email[0] = '\0';
	mt_live_managers(data, user, &manager, &second);
	if (manager != NOBODY && !mt_live_email(data, manager, revision, (int) (random / 256 % 3), result->manager_email))
		result->manager_email[0] = '\0';
	if (second != NOBODY && !mt_live_email(data, second, revision, (int) (random / 1024 % 3), result->second_email))
		result->second_email[0] = '\0';
	if (result->manager_email[0] == '\0')
	{
		strcpy(result->manager_email, result->second_email);
		result->second_email[0] = '\0';
	}
	if (result->manager_email[0] == '\0' && random / 4096 % 16 == 0)
		/* Somebody who is in no listing. */
		strcpy(result->manager_email, "Boss@head-office.example");
}

int
mt_live_groups(const DataSet *data)
{
	int			groups = 1 + data->users / 20;

	return groups > 12 ? 12 : groups;
}

void
mt_live_group_name(const DataSet *data, int group, char *name, size_t size)
{
	static const char *const forms[] = {
		"All Reps", "Région Sud %d", "O'Neil's Team %d", "\"Quoted\" Team %d", "Team \\ %d", "فريق %d", "🚀 New Hires %d"
	};

	(void) data;
	if (group == 0)
		snprintf(name, size, "%s", forms[0]);
	else
		snprintf(name, size, forms[1 + (group - 1) % 6], group);
}

bool
mt_live_in_group(const DataSet *data, int user, int group)
{
	return group == 0 || mt_draw(data, TOPIC_LIVE_GROUP, (uint64_t) user, (uint64_t) group) % 4 == 0;
}

int
mt_live_series(const DataSet *data)
{
	return data->courses == 0 ? 0 : 1 + data->courses / 6;
}

void
mt_live_series_name(const DataSet *data, int series, char *name, size_t size)
{
	static const char *const forms[] = {"Onboarding %d", "O'Reilly & Sons %d", "Série \"%d\"", "Q%d, refreshed", "製品 %d"};

	(void) data;
	snprintf(name, size, forms[series % 5], series + 1);
}

bool
mt_live_in_series(const DataSet *data, int series, int course)
{
	return course % mt_live_series(data) == series ||
		mt_draw(data, TOPIC_LIVE_SERIES, (uint64_t) series, (uint64_t) course) % 8 == 0;
}

const char *
mt_live_module_type(const DataSet *data, int course)
{
	static const char *const types[] = {"COURSE", "ASSESSMENT", "UPDATE", "ASSESSMENT", "CHECKLIST", "COURSE", "ASSESSMENT", "COACHING"};

	(void) data;
	return types[course % 8];
}

/* Moves a completion to a later attempt, for some; true when it did. */
static bool
retake(const Life *life, uint64_t random, int revision, LivePerformance *result)
{
	int			at = life->completed + 1 + (int) (random / 8 % 6);

	if (random % 8 != 0 || revision < at)
		return false;
	result->completed_at = mt_data_day(at) + (int64_t) (random / 64 % 80000);
	return true;
}

static void
fill_score(const DataSet *data, int user, int course, bool retaken, LivePerformance *result)
{
	static const int maxima[] = {100, 10, 20, 7, 3, 50, 40, 0};
	uint64_t	random = mt_draw(data, TOPIC_LIVE_SCORE, (uint64_t) user * 2, (uint64_t) course);
	bool		scored = strcmp(mt_live_module_type(data, course), "UPDATE") != 0;

	/* Whether there is a score does not change with a later attempt, only which. */
	result->has_max_score = scored && random % 32 != 0;
	result->has_score = scored && random / 32 % 8 != 0;
	result->max_score = PICK(maxima, mt_draw(data, TOPIC_LIVE_SCORE, UINT64_MAX, (uint64_t) course));
	random = mt_draw(data, TOPIC_LIVE_SCORE, (uint64_t) user * 2 + 1, (uint64_t) course * 2 + retaken);
	/* Somebody who did not begin has 0 points of so many, which is no score. */
	if (result->standing == STANDING_NOT_STARTED)
		result->score_halves = 0;
	else if (random % 16 == 0)
		result->score_halves = 0;
	else
		result->score_halves = (int) (random / 16 % (uint64_t) (2 * result->max_score + 1));
	result->has_stored_score = result->has_score && result->has_max_score && result->max_score > 0 &&
		result->standing != STANDING_NOT_STARTED;
	/* Percent in hundredths, half away from zero, then in ten-thousandths. */
	if (result->has_stored_score)
		result->stored_score = (10000 * result->score_halves + result->max_score) / (2 * result->max_score) * 100;
}

bool
mt_live_performance(const DataSet *data, int user, int course, int revision, LivePerformance *result)
{
	Life		life;
	uint64_t	random;
	bool		retaken = false;

	if (!mt_data_life(data, user, course, &life))
		return false;
	random = mt_draw(data, TOPIC_LIVE_PERFORMANCE, (uint64_t) user, (uint64_t) course);
	result->invited_at = life.assigned_at;
	result->started_at = life.started_at;
	result->completed_at = life.completed_at;
	result->percent = 0;
	if (revision >= life.completed)
	{
		result->standing = STANDING_COMPLETED;
		result->percent = 100;
		retaken = retake(&life, random >> 32, revision, result);
	}
	else if (revision >= life.started)
	{
		result->standing = STANDING_IN_PROGRESS;
		result->percent = (int) (random % 100);
	}
	else
		result->standing = STANDING_NOT_STARTED;
	random /= 128;
	fill_score(data, user, course, retaken, result);
	result->failed_presence = random % 16 == 0 ? FIELD_NULL : random % 16 == 1 ? FIELD_MISSING : FIELD_PRESENT;
	result->failed = result->standing == STANDING_COMPLETED && result->has_stored_score && result->stored_score < 600000;
	random /= 16;
	result->overdue_presence = random % 16 == 0 ? FIELD_NULL : random % 16 == 1 ? FIELD_MISSING : FIELD_PRESENT;
	result->overdue = result->standing != STANDING_COMPLETED && random / 16 % 4 == 0;
	return true;
}
