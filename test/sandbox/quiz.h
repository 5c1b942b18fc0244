/*
 * quiz.h
 *		The invented quizzes of a tenant and the attempts at them.
 *
 * Pure functions of (seed, tenant, revision), like data.h.
 */
#ifndef SANDBOX_QUIZ_H
#define SANDBOX_QUIZ_H

#include "data.h"

#define MAX_QUESTIONS 10

typedef struct Quiz
{
	char		id[ID_SIZE];
	int			questions;
	int			points[MAX_QUESTIONS];	/* in halves; 2 is the default, not sent */
	int			total;			/* in halves */
	bool		gives_max_score;
} Quiz;

typedef struct QuizResult
{
	int			attempt;		/* from 1 */
	Moment		submitted_at;
	Score		score;			/* as sent; value also holds what is stored */
	bool		has_stored_score;
	int			stored_score;
	bool		has_computed_score;
	int			computed_score;
	bool		has_raw_score;
	int			raw_score;		/* in halves */
	bool		has_passed;
	bool		passed;
	bool		has_answers;	/* the array is there */
	int			answers;		/* how many are in it */
	unsigned	correct;		/* a bit for each answer */
} QuizResult;

/* Fills in the quiz of a course; false when the course has none. */
extern bool mt_quiz(const DataSet *data, int course, Quiz *quiz);

/* How many attempts of the user at the course's quiz there are by then. */
extern int	mt_quiz_attempts(const DataSet *data, int user, int course, int revision);

/* Fills in one attempt (from 1) as it stands at that revision. */
extern void mt_quiz_result(const DataSet *data, int user, int course, const Quiz *quiz, int attempt,
						   int revision, QuizResult *result);

#endif							/* SANDBOX_QUIZ_H */
