/*
 * moment.h
 *		Points in time, as MindTickle writes them and as our tables hold them.
 */
#ifndef SANDBOX_MOMENT_H
#define SANDBOX_MOMENT_H

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define MICROSECONDS INT64_C(1000000)

/* How a moment is spelled upstream: all of them are valid ISO 8601. */
typedef enum MomentForm
{
	MOMENT_SECONDS,				/* 2026-02-03T10:11:12Z */
	MOMENT_MILLISECONDS,		/* 2026-02-03T10:11:12.345Z */
	MOMENT_MICROSECONDS,		/* 2026-02-03T10:11:12.345678Z */
	MOMENT_EAST,				/* 2026-02-03T15:41:12+05:30 */
	MOMENT_WEST					/* 2026-02-03T02:11:12-08:00 */
} MomentForm;

typedef struct Moment
{
	int64_t		micros;			/* since 1970-01-01 UTC */
	MomentForm	form;
} Moment;

/* Gives the second seconds a form and a fraction that fits it, drawn from random. */
extern Moment mt_moment_make(int64_t seconds, uint64_t random);

/* Appends the moment as an upstream JSON string. */
extern void mt_moment_upstream(Buffer *buffer, Moment moment);

/* Appends the moment as our tables show it: "YYYY-MM-DD HH:MM:SS.ffffff+00". */
extern void mt_moment_canonical(Buffer *buffer, int64_t micros);

/* Reads an ISO 8601 date or date and time; false when it is none. */
extern bool mt_moment_parse(const char *text, int64_t *micros);

#endif							/* SANDBOX_MOMENT_H */
