/*
 * empty_table.c
 *		Tables that are known to be empty, so that a reader need not open them.
 *
 * Of a ring of tables most are empty most of the time, and to find that out by a scan costs a reader of readiness more than the rest. So who has emptied
 * a table, or found it empty, under its exclusive lock, notes that in shared memory as he commits, while he still has the lock; and who appends to it
 * takes the note away first, under the lock that keeps the former out. A note has the xid of its transaction: it holds for snapshots that see that one.
 * What was appended is not seen by a snapshot before the appender has committed, and by then the note is gone.
 *
 * A note that is missing costs time and nothing else: there is none after the server has started, none on a standby, and when there is no room for
 * more all are forgotten. It is right only for tables that nothing but our own code writes to: those of deltas and summaries, which no dump has.
 *
 * Called by readiness_store.c and readiness_ring.c, and by utility_hook.c when a database is dropped. Opens no table and takes no lock on one.
 */
#include "empty_table.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/snapmgr.h"

#define NOTES_MAX		512
/* Tables that a transaction empties: more are not noted. */
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
} Note;

static HTAB *notes = NULL;
static LWLock *lock;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

/* What this transaction will have emptied when it commits. */
static Oid	pending[PENDING_MAX];
static int	pending_count = 0;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(hash_estimate_size(NOTES_MAX, sizeof(Note)));
	RequestNamedLWLockTranche("mindtickle_empty_tables", 1);
}

static void
start_memory(void)
{
	HASHCTL		control = {.keysize = sizeof(NoteKey), .entrysize = sizeof(Note)};

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	notes = ShmemInitHash("mindtickle empty tables", NOTES_MAX, NOTES_MAX, &control, HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	lock = &(GetNamedLWLockTranche("mindtickle_empty_tables"))->lock;
	LWLockRelease(AddinShmemInitLock);
}

/*
 * Asks for the memory. By _PG_init, in the postmaster.
 */
void
mt_request_empty_table_memory(void)
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
	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (hash_get_num_entries(notes) > NOTES_MAX - PENDING_MAX)
		forget_all();
	for (int i = 0; i < pending_count; i++)
	{
		NoteKey		key = {MyDatabaseId, pending[i]};
		Note	   *note = hash_search(notes, &key, HASH_ENTER_NULL, NULL);

		if (note != NULL)
			note->noted_by = noted_by;
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

/*
 * This transaction has emptied a table, or found it empty, and keeps its exclusive lock: when it commits, the table is known to be empty. False where
 * that is nothing new, or will not be known: within a subtransaction, which may be rolled back alone.
 */
bool
mt_table_emptied(Oid relation)
{
	static bool registered = false;

	if (notes == NULL || pending_count == PENDING_MAX || GetCurrentTransactionNestLevel() > 1 || place_of_pending(relation) >= 0)
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
	bool		noted;

	if (notes == NULL)
		return;
	if (place >= 0)
		pending[place] = pending[--pending_count];
	LWLockAcquire(lock, LW_SHARED);
	noted = hash_search(notes, &key, HASH_FIND, NULL) != NULL;
	LWLockRelease(lock);
	if (!noted)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	(void) hash_search(notes, &key, HASH_REMOVE, NULL);
	LWLockRelease(lock);
}

/*
 * Forgets all that is known. When a database is dropped: another one may get its oid, and with a template the oids of its tables.
 */
void
mt_forget_empty_tables(void)
{
	if (notes == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	forget_all();
	LWLockRelease(lock);
}

/*
 * True when a table has no row that the snapshot could show, and none that it has shown is gone. False: that is not known, or the reader must leave its
 * traces in the table, for serializable transactions.
 */
bool
mt_table_known_empty(Oid relation, Snapshot snapshot)
{
	NoteKey		key = {MyDatabaseId, relation};
	TransactionId noted_by = InvalidTransactionId;
	const Note *note;

	if (notes == NULL || IsolationIsSerializable())
		return false;
	LWLockAcquire(lock, LW_SHARED);
	note = hash_search(notes, &key, HASH_FIND, NULL);
	if (note != NULL)
		noted_by = note->noted_by;
	LWLockRelease(lock);
	/* One of very long ago may look as if it were to come, which is no more than a note that is missing. */
	return TransactionIdIsValid(noted_by) && !XidInMVCCSnapshot(noted_by, snapshot);
}
