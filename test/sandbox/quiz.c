/*
 * quiz.c
 *		The invented quizzes of a tenant and the attempts at them.
 *
 * Called by the listing, the contract and the truth. It keeps no state. An
 * attempt never changes once made, except that an ungraded one may be graded
 * at a later revision.
 */
#include "quiz.h"

#include <string.h>

bool
mt_quiz(const DataSet *data, int course, Quiz *quiz)
{
	uint64_t	random = mt_draw(data, TOPIC_QUIZ, (uint64_t) course, 0);
	bool		survey = course % 6 == 5;
	int			i;

	if (course % 4 == 3)
		return false;
	mt_data_id(data, ID_QUIZ, (uint32_t) course, quiz->id);
	quiz->questions = 3 + (int) (random % (MAX_QUESTIONS - 2));
	quiz->gives_max_score = course % 7 != 4;
	quiz->total = 0;
	for (i = 0; i < quiz->questions; i++)
	{
		static const int points[] = {2, 2, 2, 2, 2, 4, 1, 6};

		random = random >> 3 | random << 61;
		quiz->points[i] = survey ? 0 : points[random % 8];
		quiz->total += quiz->points[i];
	}
	return true;
}

/* How many attempts come before the one that completes the course. */
static int
early_attempts(const DataSet *data, int user, int course, const Life *life)
{
	uint64_t	random = mt_draw(data, TOPIC_QUIZ, (uint64_t) user + 1, (uint64_t) course);

	return (int) (random % (life->completed == NEVER ? 2 : 3));
}

int
mt_quiz_attempts(const DataSet *data, int user, int course, int revision)
{
	Life		life;
	int			attempts = 0;

	if (course % 4 == 3 || !mt_data_life(data, user, course, &life))
		return 0;
	if (revision >= life.started)
		attempts = early_attempts(data, user, course, &life);
	if (revision >= life.completed)
		attempts++;
	return attempts;
}

/* Chooses the answers and works out what they are worth. */
static void
fill_answers(const DataSet *data, int user, int course, const Quiz *quiz, int attempt, QuizResult *result)
{
	uint64_t	random = mt_draw(data, TOPIC_ANSWERS, (uint64_t) user, (uint64_t) course * 8 + (uint64_t) attempt);
	uint64_t	ability = 3 + random % 11;
	int			kind;
	int			i;

	random /= 11;
	kind = (int) (random % 64);
	result->has_answers = kind >= 3;
	result->answers = kind < 5 ? 0 : quiz->questions;
	result->correct = 0;
	result->raw_score = 0;
	for (i = 0; i < quiz->questions; i++)
	{
		bool		all_wrong = kind < 8;

		random = random >> 4 | random << 60;
		if (all_wrong || random % 16 > ability)
			continue;
		result->correct |= 1u << i;
		result->raw_score += quiz->points[i];
	}
	result->has_raw_score = kind % 16 != 15;
	result->has_computed_score = result->answers > 0 && quiz->total > 0;
	if (result->has_computed_score)
		result->computed_score = (2 * 1000000 * result->raw_score + quiz->total) / (2 * quiz->total);
}

void
mt_quiz_result(const DataSet *data, int user, int course, const Quiz *quiz, int attempt, int revision,
			   QuizResult *result)
{
	uint64_t	random = mt_draw(data, TOPIC_ATTEMPT, (uint64_t) user, (uint64_t) course * 8 + (uint64_t) attempt);
	Life		life = {0};
	bool		completing;
	bool		ungraded;

	mt_data_life(data, user, course, &life);
	completing = attempt > early_attempts(data, user, course, &life);
	memset(result, 0, sizeof(*result));
	result->attempt = attempt;
	result->submitted_at = mt_moment_make(completing ? life.completed_at : life.started_at + attempt * 3600 +
										  (int64_t) (random % 3000), random / 3000);
	fill_answers(data, user, course, quiz, attempt, result);
	random /= 1 << 20;
	ungraded = random % 100 < 10 &&
		revision < (completing ? life.completed : life.started) + 1 + (int) (random / 100 % 4);
	random /= 400;
	result->score.form = random % 4 == 0 ? SCORE_NULL : SCORE_MISSING;
	if (quiz->total > 0 && !ungraded)
	{
		result->score.form = SCORE_NUMBER;
		/* Mostly the figure of the answers to two places, else a grader's own. */
		if (result->has_computed_score && random / 4 % 8 != 0)
			result->score.value = (result->computed_score + 50) / 100 * 100;
		else
			result->score.value = (int) (random / 32 % 1001) * 1000;
		result->has_passed = random / 65536 % 16 != 0;
		result->passed = result->score.value >= 700000;
	}
	result->has_stored_score = result->score.form == SCORE_NUMBER || result->has_computed_score;
	result->stored_score = result->score.form == SCORE_NUMBER ? result->score.value : result->computed_score;
}
