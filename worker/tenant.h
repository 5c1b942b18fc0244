/*
 * tenant.h
 *		A tenant as the sync worker keeps it, and its pull while one is under way. README.md draws the states.
 *
 * sync.c owns the list of tenants and decides whose turn it is; tenant_job.c opens and ends a pull; tenant_pull.c sends its requests;
 * tenant_answer.c judges the answers; tenant_store.c and tenant_records.c store them.
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
#include "nodes/bitmapset.h"
#include "position.h"
#include "process.h"
#include "source.h"
#include "trail.h"

#define MT_TENANT_ID_SIZE 64

/* How far ahead of the clock a tenant's budget is reserved: one durable write for so many microseconds of requests. */
#define MT_BUDGET_AHEAD (4 * MT_SECOND)

/* How long a refused credential rests. */
#define MT_REFUSED_PAUSE	(4 * MT_HOUR)

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

typedef struct MtPush MtPush;	/* push.c */

typedef enum MtSlotState
{
	MT_SLOT_WAITING,			/* to be sent, not before its time */
	MT_SLOT_UNDER_WAY,
	MT_SLOT_ANSWERED,			/* well, and not stored yet, or not all of it: an earlier page comes first, or others have their turn */
	MT_SLOT_FINISHED			/* stored or given up, and an earlier user is not */
} MtSlotState;

/* One page of a listing, or one item with its pages, until it is stored. A sign-in is one too, outside the job's list. */
typedef struct MtSlot
{
	dlist_node	node;
	MtSlotState state;
	const MtStage *stage;		/* how it is done; NULL: a sign-in */
	bool		urgent;			/* somebody waits: see errand.c. It is outside the job's list */
	MtPush	   *push;			/* the user whom it pushes; NULL: it pulls */
	char	   *problem;		/* of an urgent one, why it failed last; NULL: it did not */
	MtCursor	cursor;			/* the page that is asked for */
	MtItem		item;			/* key NULL: none, this is a page of a listing or a sign-in */
	MtTrail    *trail;			/* of an item; NULL: this is its first page */
	int			stored;			/* so many records of its answer are; 0 once all are */
	int64		rejected;		/* so many of them were not fit to be */
	bool		again;			/* the item has failed before */
	int			refusals;		/* of the token it was sent with */
	uint64		token;			/* serial of the one it was sent with */
	int			tries;			/* that failed, of this round */
	int			crowded;		/* answers for which there was no memory */
	int64		not_before;
	uint64		ticket;			/* of the budget */
	int64		sent_at;		/* when it was handed to libcurl */
	int			base_url;		/* where it was sent */
	MtHttpRequest *request;		/* NULL: none under way and no answer kept */
} MtSlot;

/* A pull under way. It lives in its context, except for the pool and the requests, which mt_job_release ends. */
typedef struct MtJob
{
	MemoryContext context;
	int64		job_id;			/* 0: there is no pull */
	MtSource	source;
	int64		source_version; /* it is of this one, or a later one */
	uint64		origin;			/* hash of what listings depend on */
	char	   *unreadable;		/* in words which secrets could not be read, though it goes without; NULL: none */
	bool		scores_unreadable;	/* those of the reporting user */
	MtHttpPool *pool;
	MtSlot	   *sign_in;		/* NULL: none is wanted or under way */
	Bitmapset  *unknown_at;		/* base URLs that do not know the site, of this sign-in */

	dlist_head	urgent;			/* slots that somebody waits for */
	dlist_head	pushes;			/* slots of users on their way upstream */
	int64		idle_since;		/* of a job without a pull; 0: there is something to do */

	MtPhase		phase;			/* MT_PHASE_END: there is no pull, all is for errands */
	const MtStage *stage;		/* how it is done; NULL: there is none */
	bool		stage_worked;	/* something of it was stored, so its right is there */
	int			denied;			/* items that it was denied while that is not known */
	MtPosition	position;		/* as saved */
	int64		done;
	int64		total;			/* -1: not known */

	dlist_head	slots;			/* in the order of the listing or of the items */
	int			slot_count;
	int			finished_count;
	int			under_way;
	int			window;			/* most slots at once that are not finished */
	bool		one_by_one;		/* no page is asked for ahead of its turn */
	MtCursor	next;			/* the page of the next slot */

	MemoryContext items_context;
	MtItem	   *items;			/* of the next slots */
	int			item_count;
	int			next_item;
	bool		items_end;		/* no others follow */
	bool		items_again;	/* they are those of position.again */

	int			failures_in_row;
	int			rounds;			/* back-offs since something was stored */
	int			throttled_in_row;
	uint32		complained;		/* kinds of failure that the log has seen */
	int64		failures;		/* of the whole pull, here */
	int64		ignored;		/* records left out, likewise */
} MtJob;

/* What a sign-in has brought. It outlives the pull. */
typedef struct MtToken
{
	char	   *text;			/* NULL: none */
	uint64		serial;			/* of the last one there was */
	bool		worked;			/* something was answered for it */
	uint64		secret_hash;	/* of what signed in */
	char	   *base_url;		/* where it is valid */
	int64		refresh_at;
	int64		expires_at;
} MtToken;

typedef struct MtProbe MtProbe;	/* probe.c */

typedef struct MtTenant
{
	char		tenant_id[MT_TENANT_ID_SIZE];	/* the key of the hash table */
	bool		listed;			/* by the last overview */
	bool		wanted;			/* has a source and is not suspended */
	int64		open_job_id;	/* of the pull that is queued or running, as of the last overview; 0: none */
	int64		interval;		/* between two pulls */
	int64		source_version; /* of settings and secrets, as of the last overview */
	int64		spread_until;	/* a periodic pull is not opened before, so that not all begin with the worker */
	int64		due_at;			/* when the next pull may be opened */
	int64		backoff_until;
	int64		paused_until;	/* the far side has asked for a pause: whoever sends for the tenant waits, whatever it rests for */
	int64		hold_until;		/* because of trouble of our own: a transaction has failed */
	char	   *hold_reason;	/* in words, in TopMemoryContext; NULL: there was none */
	int			troubles;		/* such, in a row */
	int64		vain_until;		/* because what is due could not be opened; who waits may try all the same */
	int			vain_opens;		/* such, in a row */
	bool		put_off_told;	/* the log has seen that a secret without which nothing is sent cannot be read */
	uint64		refused_secret; /* hash of a key that was refused just now */
	int			refused_status; /* how */
	uint64		refused_reporting;	/* hash of a reporting user that was refused */
	int64		reporting_rests_until;	/* he is not tried again before */
	MtToken		token;

	MtBudget	budget;
	TimestampTz reserved_until; /* as stored: what is sent must leave one interval of it */
	bool		started;		/* its budget knows what an earlier process has used */
	bool		wants_budget;
	double		rate;			/* requests a second, while there is a job */
	int64		place;			/* of the next request in the common pace; 0: none yet */
	int64		tally[MT_TALLIES];	/* to be added to the figures in the database */

	dlist_head	errands;		/* what somebody waits for */
	bool		push_users;		/* as of the last overview */
	int64		push_at;		/* when the next user is to be pushed; MT_NEVER: none waits */
	int64		push_rests_until;	/* because of trouble at the SCIM endpoint */
	int64		push_stops_until;	/* because of 429: those on their way rest as well */
	int			push_troubles;	/* rests of both kinds since a user got there */
	bool		push_unfit;		/* because of settings or the scim_token, so a change of them ends the rest */
	int			push_refusals;	/* of the scim_token, in a row */
	MtJob	   *job;			/* NULL: none under way */
	dlist_node	job_node;		/* in the list of those with a job */
	MtProbe    *probe;			/* NULL: none under way */
	dlist_node	probe_node;		/* in the list of those with a probe */

	int64		wake_at;
	bool		scheduled;
	pairingheap_node heap_node;
} MtTenant;

/* sync.c */
extern void mt_sync_wake(MtTenant *tenant, int64 at);
extern void mt_sync_want_budget(MtTenant *tenant);
extern bool mt_sync_room(void);
extern void mt_sync_look(void);
extern void mt_sync_job_begins(MtTenant *tenant);
extern void mt_sync_job_ends(MtTenant *tenant);
extern void mt_sync_probe_begins(MtTenant *tenant);
extern void mt_sync_probe_ends(MtTenant *tenant);

/* tenant_job.c */
extern void mt_job_open(MtTenant *tenant);
extern void mt_job_start_budget(MtTenant *tenant, const MtSource *source);
extern void mt_job_release(MtTenant *tenant);
extern void mt_job_reopen(MtTenant *tenant);
extern bool mt_job_outdated(const MtTenant *tenant);
extern bool mt_job_reserved(const MtTenant *tenant);
extern void mt_job_fail(MtTenant *tenant, const char *error, int64 pause);
extern void mt_job_trouble(MtTenant *tenant, const MtFailure *failure);
extern bool mt_job_back_off(MtTenant *tenant, int64 pause, const char *error);
extern void mt_job_flush_counters(MtTenant *tenant, bool all);

/* tenant_pull.c */
extern int64 mt_pull_due(const MtTenant *tenant);
extern char *mt_pull_url(const MtTenant *tenant, const MtSlot *slot);
extern void mt_pull_start_phase(MtJob *job);
extern MtSlot *mt_pull_urgent_slot(MtTenant *tenant, const MtStage *stage, const char *key, const char *upstream_id);
extern void mt_pull_free_slot(MtTenant *tenant, MtSlot *slot);
extern void mt_pull_drop_slot(MtTenant *tenant, MtSlot *slot);
extern void mt_pull_drop_slots(MtTenant *tenant);
extern void mt_pull_one_by_one(MtTenant *tenant);
extern void mt_pull_step(MtTenant *tenant);

/* tenant_token.c */
extern bool mt_token_wanted(MtTenant *tenant, int64 now);
extern bool mt_token_usable(const MtTenant *tenant, int64 now);
extern void mt_token_ask(MtTenant *tenant);
extern void mt_token_answer(MtTenant *tenant, MtSlot *slot);
extern void mt_token_drop(MtTenant *tenant);
extern bool mt_token_next_site(MtSource *source, const Bitmapset *unknown_at);

/* tenant_answer.c */
extern void mt_pull_answer(MtTenant *tenant, MtHttpRequest *request);
extern int64 mt_retry_after(const MtHttpRequest *request, int64 absent);
extern bool mt_asks_for_pause(const MtHttpRequest *request);
extern void mt_pull_pause(MtTenant *tenant, int64 pause, int status);
extern bool mt_pull_failed(MtTenant *tenant, MtSlot *slot, const char *reason);
extern void mt_pull_refused(MtTenant *tenant, int status);
extern char *mt_pull_refusal(const MtJob *job, const MtStage *stage, int status);
extern bool mt_pull_unusable(MtTenant *tenant, MtSlot *slot, const char *problem);

/* tenant_records.c */
struct MtStoreCounts;			/* statements.h */
extern bool mt_records_store(MtTenant *tenant, const MtSlot *slot, const MtPage *page, int *done, struct MtStoreCounts *counts);
extern MtTrailRoom mt_records_keep(MtJob *job, MtSlot *slot, const MtPage *page, int *done);

/* tenant_store.c */
typedef enum MtItemEnd
{
	MT_ITEM_STORED,
	MT_ITEM_ABSENT,				/* there is none upstream */
	MT_ITEM_AGAIN,				/* to be asked for again at the end of the phase */
	MT_ITEM_LOST				/* given up in this pull */
} MtItemEnd;

extern bool mt_store_answers(MtTenant *tenant, MtSlot *slot);
extern bool mt_store_rest(MtTenant *tenant);
extern bool mt_store_item_end(MtTenant *tenant, MtSlot *slot, MtItemEnd how);
extern bool mt_store_phase_end(MtTenant *tenant, bool complete, bool forgivable, const char *error);
extern bool mt_store_restart(MtTenant *tenant, const char *error);
extern bool mt_store_choose_stage(MtTenant *tenant);
extern void mt_store_forget_trail(MtSlot *slot);

/* pace.c */
extern void mt_pace_join(MtTenant *tenant);
extern void mt_pace_leave(MtTenant *tenant);
extern int64 mt_pace_place(MtTenant *tenant, int64 now);

#endif							/* MT_TENANT_H */
