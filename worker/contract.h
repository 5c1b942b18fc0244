/*
 * contract.h
 *		What the pull needs to know of one kind of upstream API: the narrow interface that each adapter (contract_*.c) fills in.
 *
 * An adapter is a table of stages, each saying how one phase of a pull is done: what is walked through, what is asked for, how an answer is taken
 * apart, and what a record is in our own data model, as JSON text. It keeps no state, sends nothing, and touches no table; which host a request
 * goes to and with which secret is decided by whoever sends it, from the stage's host. A further contract is one more file and one more line in
 * mt_contract_find.
 */
#ifndef MT_CONTRACT_H
#define MT_CONTRACT_H

#include "postgres.h"

#include "answer.h"
#include "lib/stringinfo.h"

typedef struct MtSource MtSource;	/* source.h */

/* The phases of a full pull, in order. One for which a contract has no stage is passed over. */
typedef enum MtPhase
{
	MT_PHASE_ROSTER,
	MT_PHASE_TEAMS,
	MT_PHASE_TEAM_MEMBERS,
	MT_PHASE_SERIES,
	MT_PHASE_CATALOG,
	MT_PHASE_PROGRESS,
	MT_PHASE_QUIZ_RESULTS,
	MT_PHASE_END
} MtPhase;

/* What a stage goes over: the pages of one listing, or objects of ours, one request (and its continuations) each. */
typedef enum MtOver
{
	MT_OVER_LISTING,
	MT_OVER_USERS,				/* active users, by MindTickle's id */
	MT_OVER_EMAILS,				/* active users, by e-mail */
	MT_OVER_TEAMS,				/* teams of MindTickle's */
	MT_OVER_SERIES,
	MT_OVER_REPORTS				/* "series/ID", but for modules that are in several series "module/ID" */
} MtOver;

/* What the records of an answer are, hence which function stores them. */
typedef enum MtRecordKind
{
	MT_RECORDS_USERS,
	MT_RECORDS_TEAMS,
	MT_RECORDS_TEAM_MEMBERS,	/* all of one team */
	MT_RECORDS_SERIES,
	MT_RECORDS_MODULES,			/* courses, all of one series */
	MT_RECORDS_COURSES,
	MT_RECORDS_PROGRESS,		/* of one user */
	MT_RECORDS_HISTORY,			/* of one user; of several records of a course the furthest counts */
	MT_RECORDS_REPORTS,			/* progress of anybody, with results of quizzes */
	MT_RECORDS_QUIZ_RESULTS
} MtRecordKind;

/* Must the records of an item be seen together, those of all its pages? */
typedef enum MtTogether
{
	MT_TOGETHER_NOT,
	MT_TOGETHER_MOSTLY,			/* they are better so, but may be too many */
	MT_TOGETHER_ALWAYS
} MtTogether;

/* Where a request goes, and so which secret goes with it. */
typedef enum MtHost
{
	MT_HOST_API,				/* the base URL in use */
	MT_HOST_REPORTING,
	MT_HOST_SCIM
} MtHost;

/* Something that is asked for by itself. */
typedef struct MtItem
{
	char	   *key;			/* ours, by which items are in order */
	char	   *upstream_id;	/* theirs */
	bool		known;			/* its changes are enough, where they can be asked for */
} MtItem;

/* Which page is asked for. */
typedef struct MtCursor
{
	int64		offset;			/* records in front of it, as far as the listing tells */
	int64		limit;			/* how many records are asked for; 0: the adapter's default */
	const char *since;			/* only what has changed since, a moment in ISO 8601; NULL: everything */
	char	   *next;			/* path and query of a continuation; NULL: the first page, or one found by its offset */
	bool		other_form;		/* the usual form of the answer was too large, or refused: in the other one, if there is one */
} MtCursor;

/* A request without its host. */
typedef struct MtCall
{
	StringInfoData target;		/* path and query, behind the base URL */
	bool		from_root;		/* the target stands behind the host alone: it is a continuation */
	StringInfoData body;		/* JSON of a POST; empty: a GET */
} MtCall;

/* An answer that holds records. */
typedef struct MtPage
{
	MtSpan	   *records;		/* as they came; palloc'd array of pieces of the body */
	int			count;
	MtSpan		header;			/* the line that names the columns, where the body is CSV; else empty */
	int64		total;			/* how many the listing has; -1: not said */
	int64		step;			/* how far the next page starts behind this one */
	int64		limit;			/* how many records a page of this listing has; 0: pages cannot be asked for ahead */
	bool		last;			/* the answer says itself that nothing follows */
	MtSpan		next;			/* the JSON string that says where it goes on; empty: it does not, or by offset */
} MtPage;

/* By what the cost of a stage is estimated. */
typedef struct MtCounts
{
	int64		users;			/* active, known to MindTickle */
	int64		reports;		/* items of MT_OVER_REPORTS */
} MtCounts;

/* How a phase is done. */
typedef struct MtStage
{
	const char *name;			/* saved with the position; different within a contract */
	MtPhase		phase;
	MtOver		over;
	MtRecordKind records;
	MtHost		host;
	bool		two_forms;		/* there are two forms of answers */
	bool		changes;		/* it can be asked for changes alone (MtCursor.since) */
	MtTogether	together;		/* which records are stored by one call */
	const char *right;			/* what the credential needs for it, in words */

	/* Requests of a whole pass; NULL: the only stage that brings these records. */
	double		(*cost) (const MtCounts *counts);

	/* Is there anything to ask for, with these settings? NULL: always. */
	bool		(*usable) (const MtSource *source);

	/* Writes a request; item is NULL for a listing. Continuations are not the adapter's. */
	void		(*request) (const MtSource *source, const MtItem *item, const MtCursor *cursor, MtCall *call);

	/* Takes an answer apart. NULL when it is what it should be, else a few words on what it is not. */
	const char *(*read_page) (const char *body, size_t length, const MtCursor *cursor, MtPage *page);

	/* Appends a record in our own data model. What the adapter does not understand it passes on as it is; what tells nothing it leaves out. */
	void		(*canonical_record) (const MtSource *source, const MtPage *page, MtSpan record, StringInfo canonical);
} MtStage;

/* Signing in, where the key is no token itself. */
typedef struct MtSignIn
{
	void		(*request) (const MtSource *source, MtCall *call);

	/* The token, palloc'd, and its life in seconds. NULL when it is what it should be, else what it is not. */
	const char *(*read) (const char *body, size_t length, char **token, int64 *seconds);
} MtSignIn;

typedef struct MtContract
{
	const char *name;
	const MtStage *stages;		/* in the order of their phases; of those that bring different records the first is preferred */
	int			stage_count;
	const char *const *base_urls;	/* where the tenant has none; ends with NULL */
	const char *reporting_url;	/* likewise; NULL: none */
	const MtSignIn *sign_in;	/* NULL: the api_key is the token */

	/* What the settings and secrets lack, in words with the remedy; NULL: nothing. */
	const char *(*lacks) (const MtSource *source);
} MtContract;

extern const MtContract mt_contract_reference;
extern const MtContract mt_contract_live;

/* contract.c */
extern const MtContract *mt_contract_find(const char *name);
extern const MtStage *mt_contract_stage(const MtSource *source, MtPhase phase, const char *name);
extern const MtStage *mt_contract_choose(const MtSource *source, MtPhase phase, const MtCounts *counts);
extern const char *mt_walk_problem(MtStep step);
extern const char *mt_read_records(MtSpan array, int most, MtPage *page);
extern char *mt_continuation(MtSpan url, const char *request_url);

#endif							/* MT_CONTRACT_H */
