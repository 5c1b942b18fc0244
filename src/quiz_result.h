/*
 * quiz_result.h
 *		Quiz results: see quiz_result.c.
 */
#ifndef MT_QUIZ_RESULT_H
#define MT_QUIZ_RESULT_H

#include "field.h"

/* One result, read and checked. A Datum of 0 where the key was absent or null. */
typedef struct MtQuizResult
{
	Datum		user_id;
	Datum		course_id;
	Datum		quiz_id;
	Datum		submitted_at;
	bool		has_submitted_at;
	Datum		answers;		/* jsonb */
	Datum		score;
	Datum		computed_score;
	Datum		attempt;
	bool		has_attempt;
	Datum		passed;
	bool		has_passed;
	Datum		max_score;
	Datum		raw_score;
} MtQuizResult;

extern bool mt_quiz_result_read(MtFields *fields, MtQuizResult *result);
extern bool mt_quiz_result_store_latest(const char *tenant, MtQuizResult *result);
extern bool mt_quiz_result_store(const char *tenant, MtQuizResult *result, Jsonb *document, const char *source);

#endif							/* MT_QUIZ_RESULT_H */
