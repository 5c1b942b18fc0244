/*
 * contract.h
 *		What the pull needs to know of one kind of upstream API: the narrow interface that each contract_*.c fills in.
 *
 * An adapter turns a step of the pull into a path to GET, and an answer into records in our own data model, as JSON text. It keeps no state,
 * sends nothing, and touches no table. A further contract is one more file and one more line in mt_contract_find.
 */
#ifndef MT_CONTRACT_H
#define MT_CONTRACT_H

#include "postgres.h"

#include "answer.h"
#include "lib/stringinfo.h"

/* The steps of a full pull, in order. */
typedef enum MtPhase
{
	MT_PHASE_ROSTER,
	MT_PHASE_CATALOG,
	MT_PHASE_PROGRESS,
	MT_PHASE_QUIZ_RESULTS,
	MT_PHASE_END
} MtPhase;

/* Where in a listing a page starts, and how many records are asked for. */
typedef struct MtCursor
{
	int64		offset;
	int64		limit;
} MtCursor;

/* An answer that holds records. */
typedef struct MtPage
{
	MtSpan	   *records;		/* as they came; palloc'd array of pieces of the body */
	int			count;
	int64		total;			/* how many the listing has; -1: not said */
	int64		step;			/* how far the next page starts behind this one */
	int64		limit;			/* how many records a page of this listing has */
} MtPage;

typedef struct MtContract
{
	const char *name;

	/* Appends path and query of a listing's page; phases other than progress. */
	void		(*page_path) (StringInfo path, MtPhase phase, const MtCursor *cursor);

	/* Appends path and query of one user's progress. */
	void		(*user_path) (StringInfo path, const char *mindtickle_id);

	/*
	 * Takes an answer apart. NULL when it is what it should be, else a few words on what it is not; cursor is that of the request, NULL for
	 * a user's progress.
	 */
	const char *(*read_page) (MtPhase phase, const char *body, size_t length, const MtCursor *cursor, MtPage *page);

	/* Appends a record in our own data model. What the adapter does not understand it passes on as it is. */
	void		(*canonical_record) (MtPhase phase, MtSpan record, StringInfo canonical);
} MtContract;

extern const MtContract mt_contract_reference;

extern const MtContract *mt_contract_find(const char *name);

#endif							/* MT_CONTRACT_H */
