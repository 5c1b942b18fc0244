/*
 * bad_records.h
 *		Records that must be refused, strewn among the good ones.
 */
#ifndef SANDBOX_BAD_RECORDS_H
#define SANDBOX_BAD_RECORDS_H

#include "data.h"

typedef enum BadResource
{
	BAD_USERS,
	BAD_COURSES,
	BAD_PROGRESS,
	BAD_QUIZ_RESULTS,
	BAD_LIVE_USERS,				/* of the live contract, from here on */
	BAD_LIVE_MODULES,
	BAD_LIVE_ROWS,
	BAD_RESOURCES				/* the last: how many */
} BadResource;

/* How many bad records a listing of that many good ones gets. */
extern uint64_t mt_bad_count(const DataSet *data, uint64_t good);

/* How many of the first position records of a listing are bad ones; they are spread evenly. */
extern uint64_t mt_bad_before(uint64_t good, uint64_t bad, uint64_t position);

/* Which bad records, by number, a user's course list gets. */
extern uint64_t mt_bad_progress(const DataSet *data, int user, uint64_t *first);

/* Likewise a series; and how many a whole report to so many learners gets. */
extern uint64_t mt_bad_modules(const DataSet *data, int series, uint64_t *first);
extern uint64_t mt_bad_rows(const DataSet *data, int learners);

/* Adds the bad records from first on to the counts by kind. */
extern void mt_bad_count_kinds(BadResource resource, uint64_t first, uint64_t count, uint64_t *by_kind);

/* Appends the bad record of that number. */
extern void mt_bad_write(Buffer *buffer, const DataSet *data, BadResource resource, uint64_t number);

/* The resource's name, its number of kinds and the name of a kind. Record n is of kind n % kinds. */
extern const char *mt_bad_resource(BadResource resource);
extern int	mt_bad_kinds(BadResource resource);
extern const char *mt_bad_kind(BadResource resource, int kind);

#endif							/* SANDBOX_BAD_RECORDS_H */
