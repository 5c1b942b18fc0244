/*
 * answer.h
 *		Taking JSON text apart without changing a byte of it: see answer.c.
 */
#ifndef MT_ANSWER_H
#define MT_ANSWER_H

#include "postgres.h"

/* A piece of text that belongs to somebody else. */
typedef struct MtSpan
{
	const char *start;
	size_t		length;
} MtSpan;

/* Where a walk through an object or array is. */
typedef struct MtWalk
{
	const char *at;
	const char *end;			/* of the text; for an object or array whose end is known, behind its bracket */
	char		closing;
	bool		begun;
	bool		open_end;		/* where it ends is not known yet */
	int			depth;			/* of objects that are walked to find their end */
	int			room;			/* for items, those of what is within it included; below 0: there were more */
} MtWalk;

typedef enum MtStep
{
	MT_STEP_ITEM,
	MT_STEP_END,
	MT_STEP_MALFORMED,
	MT_STEP_TOO_MANY
} MtStep;

extern bool mt_json_document(const char *text, size_t length, MtSpan *value);
extern bool mt_json_walk(MtSpan container, char opening, MtWalk *walk);
extern MtStep mt_json_member(MtWalk *walk, MtSpan *key, MtSpan *value);
extern MtStep mt_json_element(MtWalk *walk, MtSpan *value);
extern bool mt_json_is_string(MtSpan value);
extern bool mt_json_is_null(MtSpan value);
extern bool mt_json_is_integer(MtSpan value);
extern bool mt_json_is_number(MtSpan value);
extern bool mt_json_text_equals(MtSpan string, const char *text);
extern char *mt_json_text(MtSpan string);
extern int64 mt_json_count(MtSpan value);

#endif							/* MT_ANSWER_H */
