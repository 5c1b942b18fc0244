/*
 * statement.h
 *		The xAPI statements about a learner and a module.
 *
 * Pure functions of (seed, tenant, revision), like data.h.
 */
#ifndef SANDBOX_STATEMENT_H
#define SANDBOX_STATEMENT_H

#include "live_data.h"

#define MAX_STATEMENTS	2
#define VERB_UNKNOWN	3			/* after those of LiveStanding */

/* What "stored" holds. */
typedef enum StoredForm
{
	STORED_THOUSANDTH,			/* the moment's milliseconds, divided by 1000 */
	STORED_PLAIN,				/* the moment */
	STORED_NOW,					/* the moment of the request: no event */
	STORED_ABSURD,				/* nothing that could be a moment */
	STORED_MISSING
} StoredForm;

typedef struct Statement
{
	int			course;
	int			verb;			/* a LiveStanding or VERB_UNKNOWN */
	uint64_t	spelling;		/* of the verb */
	bool		has_object;
	StoredForm	stored;
	int64_t		moment;			/* of the event, seconds since 1970; if stored says */
} Statement;

/* Fills in the statements about a learner and a module, at most MAX_STATEMENTS; returns how many. */
extern int	mt_statements(const DataSet *data, int user, int course, int revision, Statement *statements);

/* Do the statements tell when the module was completed? */
extern bool mt_statement_completion(const DataSet *data, int user, int course, int revision, int64_t *moment);

#endif							/* SANDBOX_STATEMENT_H */
