/*
 * quiz_score.h
 *		Scoring of quiz answers: see quiz_score.c.
 */
#ifndef MT_QUIZ_SCORE_H
#define MT_QUIZ_SCORE_H

#include "field.h"

extern bool mt_score_answers(JsonbContainer *answers, MtFault *fault, Datum *score);

#endif							/* MT_QUIZ_SCORE_H */
