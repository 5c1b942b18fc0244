/*
 * wake_up.c
 *		How a transaction tells the workers of its database that it has left work for them: marks of tenants, and latches.
 *
 * Called by whatever writes, and by the workers to take the marks. A transaction notes in local memory what it leaves and passes it on once
 * it has committed. What gets lost on the way (a crash, a prepared transaction) is found by the workers' sweep, so marks are a hint and the
 * tables the truth. Too many marks mean all tenants.
 *
 * Thousands of commits a second must not queue here. A commit whose tenants are marked already only looks, under the shared lock; and a latch
 * is set by one commit alone, the first to mark after the worker has asked for it. A worker asks in the same moment in which it takes the marks,
 * so no mark can come between the two unnoticed.
 *
 * Nothing here waits or raises an error once the transaction has committed.
 */
#include "shared_layout.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/* What the current transaction passes on when it commits. */
static struct
{
	bool		registered;		/* the callbacks are in place */
	bool		any;			/* there is something of what follows */
	List	   *marks[MT_WORKER_KINDS]; /* of char *, in TopTransactionContext */
	bool		wake[MT_WORKER_KINDS];
	bool		wake_launcher;
} pending;

PG_FUNCTION_INFO_V1(mt_wake_sync);
PG_FUNCTION_INFO_V1(mt_take_sync_look);
PG_FUNCTION_INFO_V1(mt_wake_aggregator);
PG_FUNCTION_INFO_V1(mt_mark_readiness_of);
PG_FUNCTION_INFO_V1(mt_wake_launcher);
PG_FUNCTION_INFO_V1(mt_take_dirty_tenants);
PG_FUNCTION_INFO_V1(mt_take_readiness_marks);
PG_FUNCTION_INFO_V1(mt_take_push_marks);

/* True when the set holds the name; the lock is held by the caller. */
static bool
holds_mark(const MarkSet *set, const char *name)
{
	if (set->all)
		return true;
	for (int i = 0; i < set->count; i++)
		if (strcmp(set->names[i], name) == 0)
			return true;
	return false;
}

/* Adds a name to the set; the lock is held by the caller. */
static void
add_mark(MarkSet *set, const char *name)
{
	if (holds_mark(set, name))
		return;
	if (set->count == MT_MARKS_MAX)
		set->all = true;
	else
		strlcpy(set->names[set->count++], name, MT_TENANT_MAX + 1);
}

/* True when every mark of this transaction is set already. Whoever set it has also woken the worker, or it will look by itself. */
static bool
marks_are_set(void)
{
	DatabaseSlot *slot;
	bool		set;

	LWLockAcquire(mt_shared->lock, LW_SHARED);
	slot = mt_find_database(MyDatabaseId, false);
	set = slot != NULL;
	for (int kind = 0; set && kind < MT_WORKER_KINDS; kind++)
	{
		ListCell   *cell;

		foreach(cell, pending.marks[kind])
			set = set && holds_mark(&slot->marks[kind], (const char *) lfirst(cell));
	}
	LWLockRelease(mt_shared->lock);
	return set;
}

static void
pass_on(void)
{
	DatabaseSlot *slot;
	ListCell   *cell;

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(MyDatabaseId, true);
	for (int kind = 0; slot != NULL && kind < MT_WORKER_KINDS; kind++)
	{
		bool		wake = pending.wake[kind];

		if (kind == MT_WORKER_SYNC)
			slot->sync_look |= wake;
		if (pending.marks[kind] != NIL)
		{
			MarkSet    *set = &slot->marks[kind];

			foreach(cell, pending.marks[kind])
				add_mark(set, (const char *) lfirst(cell));
			wake |= set->wake;
			set->wake = false;
		}
		if (wake && slot->workers[kind].pid != 0)
			mt_set_latch_of(slot->workers[kind].proc_number);
	}
	if (pending.wake_launcher)
		mt_wake_launcher_locked();
	LWLockRelease(mt_shared->lock);
}

static void
forget_pending(void)
{
	pending.any = pending.wake_launcher = false;
	memset(pending.marks, 0, sizeof(pending.marks));
	memset(pending.wake, 0, sizeof(pending.wake));
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	bool		latches = false;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	/* Those come later. */
	if (!pending.any || (event == XACT_EVENT_COMMIT && pending.wake_launcher))
		return;
	for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
		latches |= pending.wake[kind];
	if (event == XACT_EVENT_COMMIT && (latches || !marks_are_set()))
		pass_on();
	forget_pending();
}

/*
 * The transaction has changed who may do what. Others keep that in their caches until they are told, which is done after XACT_EVENT_COMMIT: who was
 * woken then would find that nothing has changed, and sleep on.
 */
static void
at_release(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !isCommit || !isTopLevel || !pending.wake_launcher)
		return;
	pass_on();
	forget_pending();
}

/* True when there is somebody to pass work on to; then the caller adds to what is pending. */
static bool
watch_transaction_end(void)
{
	if (mt_shared == NULL)
		return false;
	if (!pending.registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterResourceReleaseCallback(at_release, NULL);
		pending.registered = true;
	}
	pending.any = true;
	return true;
}

static void
mark_at_commit(MtWorkerKind kind, const char *name)
{
	ListCell   *cell;
	MemoryContext previous;

	if (!watch_transaction_end())
		return;
	foreach(cell, pending.marks[kind])
		if (strcmp((const char *) lfirst(cell), name) == 0)
			return;
	/* More than fit will be swept anyway. */
	if (list_length(pending.marks[kind]) > MT_MARKS_MAX)
		return;
	previous = MemoryContextSwitchTo(TopTransactionContext);
	pending.marks[kind] = lappend(pending.marks[kind], pstrdup(name));
	MemoryContextSwitchTo(previous);
}

/*
 * Notes that the transaction has written an event for the tenant: at commit the publisher is told.
 */
void
mt_mark_tenant(const char *tenant)
{
	mark_at_commit(MT_WORKER_PUBLISHER, tenant);
}

/*
 * Notes that the transaction has changed the tenant's readiness: at commit the aggregator is told. Also for the
 * marks MT_MARK_....
 */
void
mt_mark_readiness(const char *tenant)
{
	mark_at_commit(MT_WORKER_AGGREGATOR, tenant);
}

/*
 * Notes that the transaction has queued a user of the tenant to be pushed: at commit the sync worker is told.
 */
void
mt_mark_push(const char *tenant)
{
	mark_at_commit(MT_WORKER_SYNC, tenant);
}

/*
 * Wakes a worker of this database once the transaction has committed.
 */
void
mt_wake_worker_at_commit(MtWorkerKind kind)
{
	if (watch_transaction_end())
		pending.wake[kind] = true;
}

/*
 * Wakes a worker of this database at once, whatever becomes of the transaction.
 */
void
mt_wake_worker_now(MtWorkerKind kind)
{
	DatabaseSlot *slot;

	if (mt_shared == NULL)
		return;
	LWLockAcquire(mt_shared->lock, LW_SHARED);
	slot = mt_find_database(MyDatabaseId, false);
	if (slot != NULL && slot->workers[kind].pid != 0)
		mt_set_latch_of(slot->workers[kind].proc_number);
	LWLockRelease(mt_shared->lock);
}

/*
 * Tells the publisher of this database at once, whatever becomes of the transaction, that there are alerts.
 */
void
mt_mark_alerts(void)
{
	DatabaseSlot *slot;

	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(MyDatabaseId, true);
	if (slot != NULL)
	{
		add_mark(&slot->marks[MT_WORKER_PUBLISHER], MT_MARK_ALERTS);
		if (slot->workers[MT_WORKER_PUBLISHER].pid != 0)
			mt_set_latch_of(slot->workers[MT_WORKER_PUBLISHER].proc_number);
	}
	LWLockRelease(mt_shared->lock);
}

/*
 * Makes the launcher look at all databases once the transaction has committed.
 */
void
mt_wake_launcher_at_commit(void)
{
	if (watch_transaction_end())
		pending.wake_launcher = true;
}

/*
 * mindtickle.wake_sync(): wakes the sync worker at commit.
 */
Datum
mt_wake_sync(PG_FUNCTION_ARGS)
{
	mt_wake_worker_at_commit(MT_WORKER_SYNC);
	PG_RETURN_VOID();
}

/*
 * mindtickle.take_sync_look() -> bool: true when a commit has left something for the sync worker in the tables since the last call.
 */
Datum
mt_take_sync_look(PG_FUNCTION_ARGS)
{
	DatabaseSlot *slot;
	bool		look = false;

	if (mt_shared == NULL)
		PG_RETURN_BOOL(false);
	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	slot = mt_find_database(MyDatabaseId, false);
	if (slot != NULL)
	{
		look = slot->sync_look;
		slot->sync_look = false;
	}
	LWLockRelease(mt_shared->lock);
	PG_RETURN_BOOL(look);
}

/*
 * mindtickle.wake_aggregator(): makes the aggregator look at commit which reports are to be renewed.
 */
Datum
mt_wake_aggregator(PG_FUNCTION_ARGS)
{
	mt_mark_readiness(MT_MARK_RERUNS);
	PG_RETURN_VOID();
}

/*
 * mindtickle.mark_readiness(tenant): tells the aggregator at commit that the tenant's readiness has changed.
 */
Datum
mt_mark_readiness_of(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strlen(tenant) <= MT_TENANT_MAX)
		mt_mark_readiness(tenant);
	PG_RETURN_VOID();
}

/*
 * mindtickle.wake_launcher(): makes the launcher look at all databases at commit, and the workers of this one at what they wait for.
 */
Datum
mt_wake_launcher(PG_FUNCTION_ARGS)
{
	mt_wake_launcher_at_commit();
	for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
		mt_wake_worker_at_commit(kind);
	PG_RETURN_VOID();
}

/* Returns and removes the marks of a kind: the result of a function that returns setof text. Asks for the latch when there are none, or in any case. */
static Datum
take_marks(FunctionCallInfo fcinfo, MtWorkerKind kind, bool always_wake)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MarkSet    *taken = palloc0(sizeof(MarkSet));
	DatabaseSlot *slot = NULL;

	taken->all = true;
	if (mt_shared != NULL)
	{
		LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
		slot = mt_find_database(MyDatabaseId, true);
		if (slot != NULL)
		{
			MarkSet    *set = &slot->marks[kind];

			memcpy(taken, set, offsetof(MarkSet, names) + (Size) set->count * sizeof(set->names[0]));
			/* While it takes marks it comes back by itself, and nobody needs to wake it. */
			set->wake = always_wake || (!set->all && set->count == 0);
			set->all = false;
			set->count = 0;
		}
		LWLockRelease(mt_shared->lock);
	}

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < (taken->all ? 1 : taken->count); i++)
	{
		Datum		value = taken->all ? (Datum) 0 : CStringGetTextDatum(taken->names[i]);

		tuplestore_putvalues(result->setResult, result->setDesc, &value, &taken->all);
	}
	return (Datum) 0;
}

/*
 * mindtickle.take_marks() -> setof text: the tenants marked for the publisher since the last call. One row NULL: any tenant may have events. No row:
 * from now on the next mark sets its latch.
 */
Datum
mt_take_dirty_tenants(PG_FUNCTION_ARGS)
{
	return take_marks(fcinfo, MT_WORKER_PUBLISHER, false);
}

/*
 * mindtickle.take_readiness_marks() -> setof text: the same for the aggregator. No row: from now on the next mark sets its latch.
 */
Datum
mt_take_readiness_marks(PG_FUNCTION_ARGS)
{
	return take_marks(fcinfo, MT_WORKER_AGGREGATOR, false);
}

/*
 * mindtickle.take_push_marks() -> setof text: the same for the sync worker, of tenants with somebody to push.
 */
Datum
mt_take_push_marks(PG_FUNCTION_ARGS)
{
	return take_marks(fcinfo, MT_WORKER_SYNC, true);
}
