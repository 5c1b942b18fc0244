/*
 * spent_table.c
 *		Tables of which no row is needed any more, so that a reader need not open them.
 *
 * Of a ring of tables most are empty most of the time, and to find that out by a scan costs a reader of readiness more than the rest. One that is
 * about to be emptied costs far more: he waits for the lock, and where his snapshot is from before that he has to count the tenant's rows. So who
 * finds under a lock that keeps writers out that no row of a table is needed, be it that there is none, notes that in shared memory as he commits,
 * while he still has the lock; and who appends to it takes the note away first, under the lock that keeps the former out. A note has the xid of its
 * transaction: it holds for snapshots that see that one, for they show whatever the rows have been taken into. What was appended is not seen by a
 * snapshot before the appender has committed, and by then the note is gone. It stays when the table is emptied, which is done only after a while:
 * then hardly anybody has a snapshot from before it.
 *
 * A note that is missing costs a reader time and nothing else, and is made before the table is emptied: there is none after the server has started,
 * none on a standby, and when there is no room for more all are forgotten. It is right only for tables that nothing but our own code writes to: those
 * of deltas and summaries, which no dump has.
 *
 * Called by readiness_store.c and readiness_ring.c, and by utility_hook.c when a database is dropped. Opens no table and takes no lock on one.
 */
#include "spent_table.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define NOTES_MAX		512
/* Tables of a transaction: more are not noted. */
#define PENDING_MAX		16

typedef struct NoteKey
{
	Oid			database;
	Oid			relation;
} NoteKey;

typedef struct Note
{
	NoteKey		key;			/* must be first */
	TransactionId noted_by;
	TimestampTz noted_at;
} Note;

static HTAB *notes = NULL;
static LWLock *lock;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* What will be noted when this transaction commits. */
static Oid	pending[PENDING_MAX];
static int	pending_count = 0;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(hash_estimate_size(NOTES_MAX, sizeof(Note)));
	RequestNamedLWLockTranche("mindtickle_spent_tables", 1);
}

static void
start_memory(void)
{
	HASHCTL		control = {.keysize = sizeof(NoteKey), .entrysize = sizeof(Note)};

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	notes = ShmemInitHash("mindtickle spent tables", NOTES_MAX, NOTES_MAX, &control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	lock = &(GetNamedLWLockTranche("mindtickle_spent_tables"))->lock;
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_spent_table_memory(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS status;
	Note	   *note;

	hash_seq_init(&status, notes);
	while ((note = hash_seq_search(&status)) != NULL)
		hash_search(notes, &note->key, HASH_REMOVE, NULL);
}

/* Writes the notes. The transaction is visible to others, and its locks are still held. */
static void
write_notes(TransactionId noted_by)
{
	TimestampTz noted_at = GetCurrentTimestamp();

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(notes) > NOTES_MAX - PENDING_MAX)
		forget_all();
	for (int i = 0; i < pending_count; i++)
	{
		NoteKey		key = {MyDatabaseId, pending[i]};
		Note	   *note = hash_search(notes, &key, HASH_ENTER_NULL, NULL);

		if (note != NULL)
		{
			note->noted_by = noted_by;
			note->noted_at = noted_at;
		}
	}
	LWLockRelease(lock);
}

static void
end_of_transaction(XactEvent event, void *argument)
{
	if (pending_count > 0 && event == XACT_EVENT_COMMIT)
		write_notes(GetTopTransactionIdIfAny());
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		pending_count = 0;
}

static int
place_of_pending(Oid relation)
{
	for (int i = 0; i < pending_count; i++)
		if (pending[i] == relation)
			return i;
	return -1;
}

/* A copy of what is noted of a table, the key apart: of nobody and no moment where there is nothing. */
static Note
read_note(Oid relation)
{
	NoteKey		key = {MyDatabaseId, relation};
	Note		copy = {.noted_by = InvalidTransactionId};
	const Note *note;

	if (notes == NULL)
		return copy;
	LWLockAcquire(lock, LW_SHARED);
	note = hash_search(notes, &key, HASH_FIND, NULL);
	if (note != NULL)
		copy = *note;
	LWLockRelease(lock);
	return copy;
}

/*
 * This transaction has found that no row of a table is needed by whoever sees it committed, and keeps a lock that keeps writers out: when it commits,
 * that is known. False where it is known already, or will not be: within a subtransaction, which may be rolled back alone.
 */
bool
mt_table_spent(Oid relation)
{
	static bool registered = false;

	if (notes == NULL || pending_count == PENDING_MAX || GetCurrentTransactionNestLevel() > 1 || place_of_pending(relation) >= 0 ||
		TransactionIdIsValid(read_note(relation).noted_by))
		return false;
	if (!registered)
		RegisterXactCallback(end_of_transaction, NULL);
	registered = true;
	(void) GetTopTransactionId();
	pending[pending_count++] = relation;
	return true;
}

/*
 * A table is about to be appended to, by a transaction that has the lock for it.
 */
void
mt_table_filled(Oid relation)
{
	NoteKey		key = {MyDatabaseId, relation};
	int			place = place_of_pending(relation);

	if (place >= 0)
		pending[place] = pending[--pending_count];
	if (!TransactionIdIsValid(read_note(relation).noted_by))
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	(void) hash_search(notes, &key, HASH_REMOVE, NULL);
	LWLockRelease(lock);
}

/*
 * Forgets all that is known. When a database is dropped: another one may get its oid, and with a template the oids of its tables.
 */
void
mt_forget_spent_tables(void)
{
	if (notes == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	forget_all();
	LWLockRelease(lock);
}

/*
 * True when no row of a table is needed by a reader with this snapshot. False: that is not known, or the reader must leave his traces in the table, for
 * serializable transactions.
 */
bool
mt_table_known_spent(Oid relation, Snapshot snapshot)
{
	TransactionId noted_by = IsolationIsSerializable() ? InvalidTransactionId : read_note(relation).noted_by;

	/* One of very long ago may look as if it were to come, which is no more than a note that is missing. */
	return TransactionIdIsValid(noted_by) && !XidInMVCCSnapshot(noted_by, snapshot);
}

/*
 * Since when it is known that no row of a table is needed; 0: it is not.
 */
TimestampTz
mt_table_spent_since(Oid relation)
{
	return read_note(relation).noted_at;
}
