/*
 * event_flush.c
 *		Publishing without waiting for the disk, and reading without seeing what a crash could take back.
 *
 * A number that somebody has seen must not be given to another event after a crash. So either the publisher waits for the disk before anybody sees the
 * number, or whoever sees it waits. The second costs the publisher nothing, and the reader rarely anything: most often somebody else's commit has
 * brought the WAL to the disk meanwhile. What a NOTIFY says waits for nothing: it tells that there is something to read.
 *
 * Before the commit of a publication becomes visible its process has announced itself in shared memory, and when that is withdrawn the end of
 * the commit's WAL is there. Who reads events that he sees therefore finds one or the other.
 *
 * Called by event_publish.c, by whatever gives out events, and by the gateway (mindtickle.flush_wal) before it acknowledges what another process may
 * have done. Without shared memory publications wait for the disk as their session says, and where a synchronous standby is required for that.
 */
#include "shared_layout.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "event_store.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(mt_events_on_disk);
PG_FUNCTION_INFO_V1(mt_flush_wal);

/* The transaction is a publication that may not wait; counted: it has announced itself. */
static bool early = false;
static bool counted = false;

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (!early)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pg_atomic_fetch_add_u32(&mt_shared->publishing, 1);
			counted = true;
			return;
		case XACT_EVENT_COMMIT:
			{
				uint64		present = pg_atomic_read_u64(&mt_shared->published_up_to);

				while (present < XactLastCommitEnd &&
					   !pg_atomic_compare_exchange_u64(&mt_shared->published_up_to, &present, XactLastCommitEnd))
					;
			}
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			break;
		default:
			return;
	}
	if (counted)
		pg_atomic_fetch_sub_u32(&mt_shared->publishing, 1);
	early = counted = false;
}

/*
 * Lets this transaction, which publishes, commit without waiting for the disk. Where commits have to wait for a standby it waits for that, whatever
 * its session says: a reader waits for this disk alone, and a failover could take back what he has seen. Not within mt_service_enter/leave, which
 * would take the setting back.
 */
void
mt_commit_events_early(void)
{
	static bool registered = false;

	if (mt_shared != NULL)
	{
		if (!registered)
			RegisterXactCallback(at_transaction_end, NULL);
		registered = early = true;
	}
	if (max_wal_senders > 0 && SyncRepStandbyNames != NULL && SyncRepStandbyNames[0] != '\0')
	{
		if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
			(void) set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
		return;
	}
	if (mt_shared == NULL)
		return;
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
}

/*
 * Where the WAL that has been inserted ends. PostgreSQL tells where the next record begins, which at the begin of a page is behind the page's header;
 * the header is not there before the record, so that nobody could wait for it.
 */
static XLogRecPtr
inserted_up_to(void)
{
	XLogRecPtr	next = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(next, wal_segment_size) == SizeOfXLogLongPHD)
		return next - SizeOfXLogLongPHD;
	if (next % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return next - SizeOfXLogShortPHD;
	return next;
}

/*
 * Waits until every publication that is visible now is on the disk. On a standby it has been on the primary's before it came here.
 */
void
mt_flush_events(void)
{
	if (mt_shared == NULL || RecoveryInProgress())
		return;
	pg_memory_barrier();
	if (pg_atomic_read_u32(&mt_shared->publishing) > 0)
	{
		XLogFlush(inserted_up_to());
		return;
	}
	/* Who is not announced any more has told where his WAL ends. */
	pg_read_barrier();
	XLogFlush(pg_atomic_read_u64(&mt_shared->published_up_to));
}

/*
 * mindtickle.events_on_disk() -> bool: true, when every publication that is visible now is on the disk. For the policies of the tables of events, which
 * ask it once a statement.
 */
Datum
mt_events_on_disk(PG_FUNCTION_ARGS)
{
	mt_flush_events();
	PG_RETURN_BOOL(true);
}

/*
 * mindtickle.flush_wal(): waits until everything that is visible now is on the disk.
 */
Datum
mt_flush_wal(PG_FUNCTION_ARGS)
{
	if (!RecoveryInProgress())
		XLogFlush(inserted_up_to());
	PG_RETURN_VOID();
}
