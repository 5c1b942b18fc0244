/*
 * tenant.h
 *		A tenant as the sync worker keeps it, and its pull while one is under way. README.md draws the states.
 *
 * sync.c owns the list of tenants and decides whose turn it is; tenant_job.c opens and ends a pull; tenant_pull.c sends its requests;
 * tenant_answer.c judges the answers; tenant_store.c stores them.
 */
#ifndef MT_TENANT_H
#define MT_TENANT_H

#include "postgres.h"

#include "budget.h"
#include "clock.h"
#include "contract.h"
#include "datatype/timestamp.h"
#include "http.h"
#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "position.h"
#include "process.h"

#define MT_TENANT_ID_SIZE 64

/* How far ahead of the clock a tenant's budget is reserved: one durable write for so many microseconds of requests. */
#define MT_BUDGET_AHEAD (4 * MT_SECOND)

/* How long a refused credential rests, and why. */
#define MT_REFUSED_PAUSE	(4 * MT_HOUR)
#define MT_KEY_REFUSED		"MindTickle refuses the api_key (401): store a valid one with mt_set_credential"

/* What is counted of a tenant's requests; those after the requests themselves are how some of them ended. */
typedef enum MtTally
{
	MT_TALLY_REQUESTS,
	MT_TALLY_THROTTLED,			/* 429, or 503 with a pause */
	MT_TALLY_UNREACHABLE,		/* no connection */
	MT_TALLY_BROKEN,			/* no whole answer */
	MT_TALLY_UNUSABLE,			/* 200, but not what was asked for */
	MT_TALLY_SERVER_ERRORS,
	MT_TALLY_CLIENT_ERRORS,
	MT_TALLY_REFUSED,			/* 401, 403 */
	MT_TALLIES
} MtTally;

typedef enum MtSlotState
{
	MT_SLOT_WAITING,			/* to be sent, not before its time */
	MT_SLOT_UNDER_WAY,
	MT_SLOT_ANSWERED,			/* well, and not stored yet: an earlier page comes first */
	MT_SLOT_FINISHED			/* stored or given up, and an earlier user is not */
} MtSlotState;

/* One page of a listing, or one user's progress, until it is stored. */
typedef struct MtSlot
{
	dlist_node	node;
	MtSlotState state;
	MtCursor	cursor;			/* of a listing */
	MtUserRef	user;			/* of the progress */
	bool		again;			/* the user has failed before */
	int			tries;			/* that failed, of this round */
	int64		not_before;
	uint64		ticket;			/* of the budget */
	int			base_url;		/* where it was sent */
	MtHttpRequest *request;		/* NULL: none under way and no answer kept */
} MtSlot;

/* A pull under way. It lives in its context, except for the pool and the requests, which mt_job_release ends. */
typedef struct MtJob
{
	MemoryContext context;
	int64		job_id;
	const MtContract *contract;
	char	  **base_urls;
	int			base_url_count;
	int			base_url;		/* in use */
	char	   *secret;			/* to be kept out of logs */
	uint64		secret_hash;
	MtHttpPool *pool;

	MtPhase		phase;
	MtPosition	position;		/* as saved */
	int64		done;
	int64		total;			/* -1: not known */

	dlist_head	slots;			/* in the order of the listing or of the users */
	int			slot_count;
	int			finished_count;
	int			under_way;
	int			window;			/* most slots at once that are not finished */
	MtCursor	next;			/* the page of the next slot */

	MemoryContext users_context;
	MtUserRef  *users;			/* of the next slots */
	int			user_count;
	int			next_user;
	bool		users_end;		/* no others follow */
	bool		users_again;	/* they are those of position.again */

	int			failures_in_row;
	int			rounds;			/* back-offs since something was stored */
	int			throttled_in_row;
	uint32		complained;		/* kinds of failure that the log has seen */
	int64		failures;		/* of the whole pull, here */
} MtJob;

typedef struct MtTenant
{
	char		tenant_id[MT_TENANT_ID_SIZE];	/* the key of the hash table */
	bool		listed;			/* by the last overview */
	bool		wanted;			/* has a source and is not suspended */
	int64		open_job_id;	/* of the pull that is queued or running, as of the last overview; 0: none */
	int64		due_at;			/* when the next pull may be opened */
	int64		backoff_until;
	int64		hold_until;		/* because of trouble of our own */
	int			troubles;		/* in a row */
	uint64		refused_secret; /* hash of a key that was refused just now */

	MtBudget	budget;
	TimestampTz reserved_until; /* as stored: what is sent must leave one interval of it */
	bool		started;		/* its budget knows what an earlier process has used */
	bool		wants_budget;
	int64		tally[MT_TALLIES];	/* to be added to the figures in the database */

	MtJob	   *job;			/* NULL: none under way */
	dlist_node	job_node;		/* in the list of those with a job */

	int64		wake_at;
	bool		scheduled;
	pairingheap_node heap_node;
} MtTenant;

/* sync.c */
extern void mt_sync_wake(MtTenant *tenant, int64 at);
extern bool mt_sync_room(void);
extern void mt_sync_look(void);
extern void mt_sync_job_begins(MtTenant *tenant);
extern void mt_sync_job_ends(MtTenant *tenant);

/* tenant_job.c */
extern void mt_job_open(MtTenant *tenant);
extern void mt_job_release(MtTenant *tenant);
extern void mt_job_reopen(MtTenant *tenant);
extern void mt_job_fail(MtTenant *tenant, const char *error, int64 pause);
extern void mt_job_trouble(MtTenant *tenant, const MtFailure *failure);
extern bool mt_job_back_off(MtTenant *tenant, int64 pause, const char *error);
extern void mt_job_flush_counters(MtTenant *tenant, bool all);

/* tenant_pull.c */
extern void mt_pull_start_phase(MtJob *job);
extern void mt_pull_drop_slot(MtTenant *tenant, MtSlot *slot);
extern void mt_pull_drop_slots(MtTenant *tenant);
extern void mt_pull_step(MtTenant *tenant);

/* tenant_answer.c */
extern void mt_pull_answer(MtTenant *tenant, MtHttpRequest *request);
extern bool mt_pull_unusable(MtTenant *tenant, MtSlot *slot, const char *problem);

/* tenant_store.c */
typedef enum MtUserEnd
{
	MT_USER_STORED,
	MT_USER_ABSENT,				/* there is none upstream */
	MT_USER_AGAIN,				/* to be asked for again at the end of the phase */
	MT_USER_LOST				/* given up in this pull */
} MtUserEnd;

extern bool mt_store_answers(MtTenant *tenant, MtSlot *slot);
extern bool mt_store_user_end(MtTenant *tenant, MtSlot *slot, MtUserEnd how);
extern bool mt_store_phase_end(MtTenant *tenant, bool complete, const char *error);

#endif							/* MT_TENANT_H */
