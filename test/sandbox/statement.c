/*
 * statement.c
 *		The xAPI statements about a learner and a module.
 *
 * Called by the live contract and by the truth. One of them says where the
 * learner stands; another may say less, or something else, before or after it.
 */
#include "statement.h"

/* What "stored" holds for the statement that counts. */
static StoredForm
stored_form(uint64_t random, LiveStanding standing)
{
	/* Nothing has happened yet: mostly the moment of the request is given. */
	if (standing == STANDING_NOT_STARTED)
		return random % 4 == 0 ? STORED_MISSING : STORED_NOW;
	switch (random % 20)
	{
		case 0:
		case 1:
			return STORED_PLAIN;
		case 2:
			return STORED_NOW;
		case 3:
			return STORED_ABSURD;
		case 4:
			return STORED_MISSING;
		default:
			return STORED_THOUSANDTH;
	}
}

/* Makes a statement beside the one that counts; false when there is none. */
static bool
make_other(const Statement *main, uint64_t random, Statement *other)
{
	*other = *main;
	other->spelling = random / 32;
	switch (random % 8)
	{
		case 0:
			other->verb = VERB_UNKNOWN;
			return true;
		case 1:
			/* Later, and less: it undoes nothing. */
			if (main->verb != STANDING_COMPLETED)
				return false;
			other->verb = STANDING_IN_PROGRESS;
			other->stored = STORED_THOUSANDTH;
			other->moment = main->moment + 7200;
			return true;
		case 2:
			/* The same, earlier. */
			if (main->verb != STANDING_COMPLETED || main->stored > STORED_PLAIN)
				return false;
			other->moment = main->moment - 3600;
			return true;
		case 3:
			/* About nothing. */
			other->verb = STANDING_COMPLETED;
			other->has_object = false;
			return true;
		default:
			return false;
	}
}

int
mt_statements(const DataSet *data, int user, int course, int revision, Statement *statements)
{
	uint64_t	random = mt_draw(data, TOPIC_LIVE_STATEMENT, (uint64_t) user, (uint64_t) course);
	LivePerformance performance;
	Statement	main = {.course = course, .has_object = true};
	Statement	other;

	if (!mt_live_performance(data, user, course, revision, &performance))
		return 0;
	main.verb = (int) performance.standing;
	main.spelling = random >> 20;
	main.stored = stored_form(random, performance.standing);
	main.moment = performance.standing == STANDING_COMPLETED ? performance.completed_at : performance.started_at;
	random /= 20;
	if (!make_other(&main, random / 2, &other))
	{
		statements[0] = main;
		return 1;
	}
	statements[random % 2] = main;
	statements[1 - random % 2] = other;
	return 2;
}

bool
mt_statement_completion(const DataSet *data, int user, int course, int revision, int64_t *moment)
{
	Statement	statements[MAX_STATEMENTS];
	int			count = mt_statements(data, user, course, revision, statements);
	bool		known = false;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (!statements[i].has_object || statements[i].verb != STANDING_COMPLETED || statements[i].stored > STORED_PLAIN ||
			(known && statements[i].moment <= *moment))
			continue;
		*moment = statements[i].moment;
		known = true;
	}
	return known;
}
