/*
 * request_slot.c
 *		Requests to the sync worker that somebody waits for: a fixed number of slots in shared memory.
 *
 * A backend posts a request and gets a ticket; the sync worker of the database takes it, does it, and finishes it in the transaction that stores
 * the result: whoever waits is told once that has committed, and so finds the result in the tables. mt_request_ask waits for it;
 * mindtickle.request_pull and pull_result (sync_request.c) do not. A request is lost with the server and with nothing else: one that the
 * worker had taken when it ended goes back to waiting.
 *
 * One LWLock guards the slots; no other is taken under it. A slot holds no pointer and no descriptor: who asked is known by the number of his
 * PGPROC, whose latch is set. A number that has gone stale sets another process's latch, which is harmless.
 *
 * Who waits holds no lock that the worker could need (mt_require_open_transaction), but for those of his query that are in nobody's way. Where a third
 * one stands between the two, the worker gives up the lock after its lock_timeout, and the request ends with that error: no wait here is
 * for ever, though the deadlock detector does not see it.
 */
#include "request_slot.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shared_state.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* How long a request that nobody waits for is kept beyond its end, for its answer to be fetched. */
#define KEPT_FOR		(60 * USECS_PER_SEC)
/* How long a database may be without its worker before those who wait are told: the launcher brings it back sooner. */
#define WORKER_PATIENCE	(5 * USECS_PER_SEC)
/* Milliseconds between two looks whether the worker is still there. */
#define LOOK_PAUSE		1000
/* The longest time that somebody may wait. */
#define TIMEOUT_MAX		USECS_PER_HOUR

typedef struct RequestSlot
{
	int64		ticket;			/* 0: free */
	Oid			database;
	MtRequestKind kind;
	MtRequestState state;
	bool		awaited;		/* a process waits, and frees the slot */
	bool		fetched;		/* nobody waits, and the answer has been seen */
	int			proc_number;	/* of who is told */
	TimestampTz waiting_since;	/* for a worker to take it */
	char		subject[MT_REQUEST_SUBJECT_SIZE];
	MtRequestView view;
} RequestSlot;

typedef struct RequestMemory
{
	LWLock	   *lock;
	int64		last_ticket;
	RequestSlot slots[MT_REQUESTS_MAX];
} RequestMemory;

/* An end that takes effect with the transaction. */
typedef struct PendingEnd
{
	SubTransactionId subtransaction;
	int64		ticket;
	int			sqlstate;
	char	   *message;
	char	   *hint;
	char	   *answer;
} PendingEnd;

static const char *const kind_names[MT_REQUEST_KINDS] = {
	[MT_REQUEST_PULL] = "pull",
	[MT_REQUEST_TEST] = "test",
};

static RequestMemory *memory = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static bool watching = false;	/* the callback is in place */
static List *pending = NIL;		/* of PendingEnd, in TopTransactionContext */

PG_FUNCTION_INFO_V1(mt_take_requests);
PG_FUNCTION_INFO_V1(mt_request_step);
PG_FUNCTION_INFO_V1(mt_requests_gone);
PG_FUNCTION_INFO_V1(mt_finish_request);

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(RequestMemory)));
	RequestNamedLWLockTranche("mindtickle_requests", 1);
}

static void
start_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	memory = ShmemInitStruct("mindtickle requests", sizeof(RequestMemory), &found);
	if (!found)
	{
		memset(memory, 0, sizeof(RequestMemory));
		memory->lock = &(GetNamedLWLockTranche("mindtickle_requests"))->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_slot_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

/* The slot of a ticket, NULL when it is gone. The lock is held by the caller. */
static RequestSlot *
find_slot(int64 ticket)
{
	RequestSlot *slot = ticket <= 0 ? NULL : &memory->slots[ticket % MT_REQUESTS_MAX];

	return slot != NULL && slot->ticket == ticket && slot->database == MyDatabaseId ? slot : NULL;
}

/* May the slot be given to another request? */
static bool
slot_unused(const RequestSlot *slot, TimestampTz now)
{
	if (slot->ticket == 0)
		return true;
	return !slot->awaited && (slot->fetched || slot->view.ends_at + KEPT_FOR < now);
}

/* A slot for another request of the tenant; NULL when all are taken, or too many by this tenant. The lock is held by the caller. */
static RequestSlot *
unused_slot(const char *tenant, bool *crowded)
{
	TimestampTz now = GetCurrentTimestamp();
	RequestSlot *unused = NULL;
	int			others = 0;

	for (int i = 0; i < MT_REQUESTS_MAX; i++)
	{
		RequestSlot *slot = &memory->slots[i];

		if (!slot_unused(slot, now))
			others += slot->database == MyDatabaseId && strcmp(slot->view.tenant, tenant) == 0;
		/* One that was never used, or given back, before one whose answer may be asked for once more. */
		else if (unused == NULL || (slot->ticket == 0 && unused->ticket != 0))
			unused = slot;
	}
	*crowded = others >= MT_REQUESTS_OF_TENANT;
	return *crowded ? NULL : unused;
}

/* True while the sync worker of this database runs. */
static bool
worker_there(void)
{
	MtWorkerView worker;

	return mt_worker_view(MyDatabaseId, MT_WORKER_SYNC, &worker) && worker.pid != 0;
}

/*
 * Posts a request that must be done by a moment, and wakes the sync worker. Returns its ticket. ERROR 55000 where no worker can be, 53400 when
 * there are too many requests.
 */
static int64
post(const char *tenant, MtRequestKind kind, const char *subject, TimestampTz ends_at, bool awaited)
{
	RequestSlot *slot;
	bool		crowded;
	int64		ticket = 0;

	if (memory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no sync worker to ask"),
				 errhint("Add mindtickle to shared_preload_libraries and restart the server.")));
	if (!mt_setting_sync_enabled)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is pulled while mindtickle.sync_enabled is off")));
	if (strlen(subject) >= MT_REQUEST_SUBJECT_SIZE)
		elog(ERROR, "the subject of a request is too long");

	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	slot = unused_slot(tenant, &crowded);
	if (slot != NULL)
	{
		/* A ticket says which slot it is of, and no other request ever has the same. */
		ticket = ((memory->last_ticket / MT_REQUESTS_MAX) + 1) * MT_REQUESTS_MAX + (slot - memory->slots);
		memory->last_ticket = ticket;
		memset(slot, 0, sizeof(RequestSlot));
		slot->ticket = ticket;
		slot->database = MyDatabaseId;
		slot->kind = kind;
		slot->state = MT_REQUEST_WAITING;
		slot->awaited = awaited;
		slot->proc_number = mt_my_proc_number();
		strlcpy(slot->subject, subject, sizeof(slot->subject));
		strlcpy(slot->view.tenant, tenant, sizeof(slot->view.tenant));
		slot->view.posted_at = slot->waiting_since = GetCurrentTimestamp();
		slot->view.ends_at = ends_at;
	}
	LWLockRelease(memory->lock);

	if (slot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 crowded ? errmsg("tenant \"%s\" has %d requests under way already", tenant, MT_REQUESTS_OF_TENANT) :
				 errmsg("%d requests are under way already", MT_REQUESTS_MAX),
				 errhint("Try again later; mt_sync_tenant queues a pull of everybody.")));
	mt_wake_worker_now(MT_WORKER_SYNC);
	return ticket;
}

/*
 * Posts a request that nobody waits for: mt_request_view shows what becomes of it, until a minute after ends_at. Errors are those of post.
 */
int64
mt_request_post(const char *tenant, MtRequestKind kind, const char *subject, TimestampTz ends_at)
{
	return post(tenant, kind, subject, ends_at, false);
}

/*
 * Copies how a request of the tenant stands. One that is over without having been done, because its time is up or there is no worker, shows as
 * done with an error.
 */
void
mt_request_view(const char *tenant, int64 ticket, MtRequestView *view)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz waiting_since = now;
	RequestSlot *slot;

	memset(view, 0, sizeof(MtRequestView));
	if (memory == NULL)
		return;
	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	slot = find_slot(ticket);
	if (slot != NULL && strcmp(slot->view.tenant, tenant) == 0)
	{
		memcpy(view, &slot->view, sizeof(MtRequestView));
		view->state = slot->state;
		waiting_since = slot->waiting_since;
		slot->fetched = slot->state == MT_REQUEST_DONE;
	}
	LWLockRelease(memory->lock);

	if (view->state != MT_REQUEST_WAITING && view->state != MT_REQUEST_TAKEN)
		return;
	if (view->state == MT_REQUEST_WAITING && now - waiting_since > WORKER_PATIENCE && !worker_there())
	{
		view->state = MT_REQUEST_DONE;
		view->sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		strlcpy(view->message, "the sync worker of this database is not running", sizeof(view->message));
		strlcpy(view->hint, "SELECT * FROM mt_check() WHERE NOT passed; says why. Workers run in the databases that mindtickle.databases names.", sizeof(view->hint));
	}
	else if (now >= view->ends_at)
	{
		view->state = MT_REQUEST_DONE;
		view->sqlstate = ERRCODE_FDW_UNABLE_TO_CREATE_REPLY;
		strlcpy(view->message, "the sync worker has not answered in time", sizeof(view->message));
		strlcpy(view->hint, "mt_progress_sync shows what the tenant waits for.", sizeof(view->hint));
	}
}

/*
 * Reports the error of a request that is done.
 */
void
mt_request_raise(const MtRequestView *view, int elevel)
{
	ereport(elevel,
			(errcode(view->sqlstate),
			 errmsg("%s", view->message),
			 view->step[0] == '\0' ? 0 : errdetail("%s", view->step),
			 view->hint[0] == '\0' ? 0 : errhint("%s", view->hint)));
}

/* Gives a slot back: whoever waited for it does not any more. */
static void
free_slot(int code, Datum ticket)
{
	RequestSlot *slot;

	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	slot = find_slot(DatumGetInt64(ticket));
	if (slot != NULL)
		slot->ticket = 0;
	LWLockRelease(memory->lock);
}

/* Waits until the request is done. */
static void
await(const char *tenant, int64 ticket, MtRequestView *view)
{
	for (;;)
	{
		int64		left;

		mt_request_view(tenant, ticket, view);
		if (view->state == MT_REQUEST_DONE)
			return;
		if (view->state == MT_REQUEST_UNKNOWN)
			elog(ERROR, "a request to the sync worker is lost");
		left = (view->ends_at - GetCurrentTimestamp()) / 1000 + 1;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) Min(Max(left, 1), LOOK_PAUSE), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * A function that waits for the worker must not do so in a transaction that has written, whose locks the worker may need, or that would not see the
 * result: ERROR 25001; and nothing is pulled on a standby: 25006. function is its name, for the message.
 */
void
mt_require_open_transaction(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errhint("Call it on the primary.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run in a transaction that is above READ COMMITTED", function),
				 errdetail("The transaction would not see what is pulled."),
				 errhint("Call it in a transaction with the isolation level READ COMMITTED.")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run in a transaction that has written", function),
				 errdetail("The sync worker could wait for what the transaction has locked, while the transaction waits for the worker."),
				 errhint("Call it first, or in a transaction of its own.")));
}

/*
 * The moment that is a timeout away from now. ERROR 22023 where that is no time to wait.
 */
TimestampTz
mt_request_end(Interval *timeout)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), IntervalPGetDatum(timeout)));

	if (end <= now || end - now > TIMEOUT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be longer than 0 and at most 1 hour")));
	return end;
}

/*
 * Has the sync worker do something for the tenant, and waits for it, at most as long as timeout says. Returns the answer, palloc'd. What went wrong
 * is an ERROR with the worker's code and words; else those of post, 22023 for the timeout, HV00M when time is up. The caller has
 * checked the right to the tenant, and mt_require_open_transaction; it must hold no lock of the tenant's.
 */
char *
mt_request_ask(const char *tenant, MtRequestKind kind, const char *subject, Interval *timeout)
{
	TimestampTz ends_at = mt_request_end(timeout);
	MtRequestView *view = palloc(sizeof(MtRequestView));
	int64		ticket = post(tenant, kind, subject, ends_at, true);

	PG_ENSURE_ERROR_CLEANUP(free_slot, Int64GetDatum(ticket));
	{
		await(tenant, ticket, view);
	}
	PG_END_ENSURE_ERROR_CLEANUP(free_slot, Int64GetDatum(ticket));
	free_slot(0, Int64GetDatum(ticket));

	if (view->sqlstate != 0)
		mt_request_raise(view, ERROR);
	return pstrdup(view->answer);
}

/*
 * The worker of a database has ended: what it had taken waits for the next one.
 */
void
mt_requests_return(Oid database)
{
	TimestampTz now = GetCurrentTimestamp();

	if (memory == NULL)
		return;
	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MT_REQUESTS_MAX; i++)
	{
		RequestSlot *slot = &memory->slots[i];

		if (slot->ticket == 0 || slot->database != database || slot->state != MT_REQUEST_TAKEN)
			continue;
		slot->state = MT_REQUEST_WAITING;
		slot->waiting_since = now;
	}
	LWLockRelease(memory->lock);
}

/*
 * mindtickle.take_requests() -> (ticket, tenant_id, kind, subject, ends_at): the requests of this database that wait, in the order in which
 * they came; they count as taken.
 */
Datum
mt_take_requests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz now = GetCurrentTimestamp();
	RequestSlot *taken;
	int			count = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (memory == NULL)
		return (Datum) 0;
	taken = palloc(sizeof(RequestSlot) * MT_REQUESTS_MAX);
	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MT_REQUESTS_MAX; i++)
	{
		RequestSlot *slot = &memory->slots[i];
		int			place = count;

		if (slot->ticket == 0 || slot->database != MyDatabaseId || slot->state != MT_REQUEST_WAITING || slot->view.ends_at <= now)
			continue;
		slot->state = MT_REQUEST_TAKEN;
		for (; place > 0 && taken[place - 1].view.posted_at > slot->view.posted_at; place--)
			taken[place] = taken[place - 1];
		taken[place] = *slot;
		count++;
	}
	LWLockRelease(memory->lock);

	for (int i = 0; i < count; i++)
	{
		bool		nulls[5] = {false};
		Datum		values[5] = {
			Int64GetDatum(taken[i].ticket), CStringGetTextDatum(taken[i].view.tenant), CStringGetTextDatum(kind_names[taken[i].kind]),
			CStringGetTextDatum(taken[i].subject), TimestampTzGetDatum(taken[i].view.ends_at)
		};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Copies a text, cut at a whole character where it is too long. */
static void
copy_text(char *target, const char *source, int size)
{
	int			length = pg_mbcliplen(source, (int) strlen(source), size - 1);

	memcpy(target, source, (Size) length);
	target[length] = '\0';
}

/*
 * mindtickle.request_step(ticket, step text) -> bool: says what the request waits for. False: nobody wants it any more.
 */
Datum
mt_request_step(PG_FUNCTION_ARGS)
{
	char	   *step = text_to_cstring(PG_GETARG_TEXT_PP(1));
	RequestSlot *slot;

	if (memory == NULL)
		PG_RETURN_BOOL(false);
	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	slot = find_slot(PG_GETARG_INT64(0));
	if (slot != NULL && slot->state != MT_REQUEST_TAKEN)
		slot = NULL;
	if (slot != NULL)
		copy_text(slot->view.step, step, sizeof(slot->view.step));
	LWLockRelease(memory->lock);
	PG_RETURN_BOOL(slot != NULL);
}

/*
 * mindtickle.requests_gone(tickets) -> setof int8: those of them that nobody wants any more.
 */
Datum
mt_requests_gone(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum	   *tickets;
	bool	   *nulls;
	bool	   *gone;
	int			count;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &tickets, &nulls, &count);
	gone = palloc(sizeof(bool) * (Size) Max(count, 1));
	if (memory != NULL)
		LWLockAcquire(memory->lock, LW_SHARED);
	for (int i = 0; i < count; i++)
		gone[i] = memory == NULL || nulls[i] || find_slot(DatumGetInt64(tickets[i])) == NULL;
	if (memory != NULL)
		LWLockRelease(memory->lock);
	for (int i = 0; i < count; i++)
	{
		if (gone[i])
			tuplestore_putvalues(result->setResult, result->setDesc, &tickets[i], &nulls[i]);
	}
	return (Datum) 0;
}

/* Tells who asked. After the commit, so nothing here may fail. */
static void
end_request(const PendingEnd *end)
{
	RequestSlot *slot;

	LWLockAcquire(memory->lock, LW_EXCLUSIVE);
	slot = find_slot(end->ticket);
	if (slot != NULL && slot->state == MT_REQUEST_TAKEN)
	{
		slot->state = MT_REQUEST_DONE;
		slot->view.sqlstate = end->sqlstate;
		slot->view.step[0] = '\0';
		strcpy(slot->view.message, end->message);
		strcpy(slot->view.hint, end->hint);
		strcpy(slot->view.answer, end->answer);
		mt_set_latch_of(slot->proc_number);
	}
	LWLockRelease(memory->lock);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	ListCell   *cell;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (event == XACT_EVENT_COMMIT)
	{
		foreach(cell, pending)
			end_request(lfirst(cell));
	}
	pending = NIL;
}

/* What was finished in a subtransaction that is rolled back is not: it and all begun after it have its number or a later one. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent, void *arg)
{
	ListCell   *cell;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, pending)
	{
		if (((PendingEnd *) lfirst(cell))->subtransaction >= subtransaction)
			pending = foreach_delete_current(pending, cell);
	}
}

/* The argument's text in the current context, cut to a size; "" where it is null. */
static char *
text_argument(FunctionCallInfo fcinfo, int number, int size)
{
	char	   *value = PG_ARGISNULL(number) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(number));

	value[pg_mbcliplen(value, (int) strlen(value), size - 1)] = '\0';
	return value;
}

/*
 * mindtickle.finish_request(ticket, answer, sqlstate, message, hint): the request is done, once this transaction has committed. Without a sqlstate it
 * went well.
 */
Datum
mt_finish_request(PG_FUNCTION_ARGS)
{
	MemoryContext previous;
	PendingEnd *end;

	if (PG_ARGISNULL(0) || memory == NULL)
		PG_RETURN_VOID();
	previous = MemoryContextSwitchTo(TopTransactionContext);
	end = palloc0(sizeof(PendingEnd));
	end->subtransaction = GetCurrentSubTransactionId();
	end->ticket = PG_GETARG_INT64(0);
	if (!PG_ARGISNULL(1) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) >= MT_REQUEST_ANSWER_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the answer to a request must be shorter than %d bytes", MT_REQUEST_ANSWER_SIZE)));
	end->answer = text_argument(fcinfo, 1, MT_REQUEST_ANSWER_SIZE);
	if (!PG_ARGISNULL(2))
	{
		char	   *sqlstate = text_to_cstring(PG_GETARG_TEXT_PP(2));

		if (strlen(sqlstate) != 5 || strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is no SQLSTATE", sqlstate)));
		end->sqlstate = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
	}
	end->message = text_argument(fcinfo, 3, MT_REQUEST_TEXT_SIZE);
	end->hint = text_argument(fcinfo, 4, MT_REQUEST_TEXT_SIZE);
	if (!watching)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		watching = true;
	}
	pending = lappend(pending, end);
	MemoryContextSwitchTo(previous);
	PG_RETURN_VOID();
}
