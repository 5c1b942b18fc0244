/*
 * event_retention.c
 *		Which events are kept: moving a tenant's first one on, and what the views show.
 *
 * A tenant's first event is a number in its position (event_store.c). Those before it are gone for whoever asks, and their rows go when the table
 * that they are in is emptied (event_ring.c).
 *
 * Called by the publisher through mindtickle.trim_tenant, by the views of events for each row, and by pg_dump.
 */
#include "mindtickle.h"

#include "access.h"
#include "event_store.h"
#include "miscadmin.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* A table of events with fewer blocks is not left for another one because a tenant's event_limit has passed over it. */
#define EVENT_BLOCKS	1024
/* Where retention ends is looked for in steps of this part of the way. */
#define STEPS_PER_WAY	16

/* What mt_event_kept and mt_event_waits remember of the tenant of the row before. */
typedef struct KnownTenant
{
	char		tenant[MT_TENANT_MAX + 1];	/* empty: none yet */
	bool		known;			/* its position in this snapshot */
	MtEventPosition position;
} KnownTenant;

PG_FUNCTION_INFO_V1(mt_trim_events);
PG_FUNCTION_INFO_V1(mt_event_kept);
PG_FUNCTION_INFO_V1(mt_event_waits);
PG_FUNCTION_INFO_V1(mt_overflow_waits);
PG_FUNCTION_INFO_V1(mt_rings_are_whole);

/* True when an event was published at that moment or later; one that is not there any more was not. */
static bool
published_since(const char *tenant, int64 seq, TimestampTz moment, Snapshot snapshot)
{
	MtTenantScan scan;
	bool		isnull;
	bool		later;

	if (!mt_find_event(&scan, tenant, seq, snapshot))
		return false;
	later = DatumGetTimestampTz(slot_getattr(scan.slot, MT_EVENT_PUBLISHED_AT, &isnull)) >= moment;
	mt_tenant_scan_close(&scan);
	return later;
}

/*
 * The first event from a number on that was published at that moment or later. Looked for from the front on, in steps of a part of the way so far,
 * and only then by halves: further back there may be some that were published while the clock was behind, or are missing, which says nothing of those
 * before them.
 */
static int64
first_published_since(const char *tenant, int64 first, int64 last, TimestampTz moment, Snapshot snapshot)
{
	int64		earlier = first - 1;
	int64		next = first;

	while (!published_since(tenant, next, moment, snapshot))
	{
		CHECK_FOR_INTERRUPTS();
		if (next == last)
			return last + 1;
		earlier = next;
		next = Min(next + 1 + (next - first) / STEPS_PER_WAY, last);
	}
	last = next;
	while (last - earlier > 1)
	{
		int64		middle = earlier + (last - earlier) / 2;

		if (published_since(tenant, middle, moment, snapshot))
			last = middle;
		else
			earlier = middle;
	}
	return last;
}

/*
 * mindtickle.trim_events(tenant, published_before, keep) -> bigint: lets go of events that were published before a moment, and of all but the last so
 * many. Returns how many.
 */
Datum
mt_trim_events(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64		keep = PG_GETARG_INT64(2);
	MtServiceCall call;
	MtEventPosition position;
	int64		by_time;
	int64		by_count;
	int64		trimmed = 0;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	(void) mt_lock_events(tenant, true);
	mt_push_event_position(tenant, &position);
	if (position.first_seq <= position.last_seq)
	{
		by_time = first_published_since(tenant, position.first_seq, position.last_seq, PG_GETARG_TIMESTAMPTZ(1), GetActiveSnapshot());
		by_count = position.last_seq - keep + 1;
		trimmed = Max(by_time, by_count) - position.first_seq;
		if (trimmed > 0)
		{
			position.first_seq += trimmed;
			mt_write_event_position(tenant, &position);
		}
		/* The rows of a tenant that publishes very much would wait for those of the others. */
		if (by_count > by_time)
			(void) mt_change_grown_table(MT_EVENTS, mt_event_tables, MT_EVENT_TABLES, EVENT_BLOCKS);
	}
	PopActiveSnapshot();
	mt_service_leave(&call);
	PG_RETURN_INT64(Max(trimmed, 0));
}

/* The tenant of a row, looked up once for rows in a row. */
static KnownTenant *
tenant_of_row(FunctionCallInfo fcinfo, text *tenant)
{
	KnownTenant *known = fcinfo->flinfo->fn_extra;
	char		name[MT_TENANT_MAX + 2];
	MemoryContext previous;

	if (known == NULL)
		known = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(KnownTenant));
	if (known->tenant[0] != '\0' && VARSIZE_ANY_EXHDR(tenant) == strlen(known->tenant) && memcmp(VARDATA_ANY(tenant), known->tenant, VARSIZE_ANY_EXHDR(tenant)) == 0)
		return known;
	/* Longer ones are cut, and too long all the same. */
	text_to_cstring_buffer(tenant, name, sizeof(name));
	/* To whom row security does not apply, any row is shown. */
	if (!has_bypassrls_privilege(GetUserId()))
		mt_require_access(fcinfo, name, MT_ACCESS_READER);
	previous = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	strlcpy(known->tenant, name, sizeof(known->tenant));
	known->known = mt_read_event_position(known->tenant, GetActiveSnapshot(), &known->position);
	MemoryContextSwitchTo(previous);
	/* What the snapshot shows was published before it was taken. */
	mt_flush_events();
	return known;
}

/*
 * mindtickle.event_kept(tenant_id, seq) -> bool: false for an event that the tenant does not keep any more. For the views, which ask after row
 * security. Also waits until what it has been asked about is on the disk. ERROR 42501 where the role has no right to the tenant.
 */
Datum
mt_event_kept(PG_FUNCTION_ARGS)
{
	KnownTenant *known = tenant_of_row(fcinfo, PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(!known->known || PG_GETARG_INT64(1) >= known->position.first_seq);
}

/* As tenant_of_row, where it must be known what has been taken: ERROR 40001 where the snapshot is too old. */
static KnownTenant *
known_tenant_of_row(FunctionCallInfo fcinfo, text *tenant)
{
	KnownTenant *known = tenant_of_row(fcinfo, tenant);

	if (!known->known)
		mt_report_old_event_snapshot();
	return known;
}

/*
 * mindtickle.event_waits(tenant_id, outbox_table, xid, position) -> bool: true for a row of the outbox that has not been taken from it. ERROR 40001
 * where the snapshot is too old to tell.
 */
Datum
mt_event_waits(PG_FUNCTION_ARGS)
{
	KnownTenant *known = known_tenant_of_row(fcinfo, PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(!mt_event_taken(&known->position, PG_GETARG_INT32(1), U64FromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(2)), PG_GETARG_INT64(3)));
}

/*
 * mindtickle.overflow_waits(tenant_id, round, position) -> bool: true for a row of the overflow that has not come back from it. ERROR 40001 where the
 * snapshot is too old to tell.
 */
Datum
mt_overflow_waits(PG_FUNCTION_ARGS)
{
	KnownTenant *known = known_tenant_of_row(fcinfo, PG_GETARG_TEXT_PP(0));
	int64		round = PG_GETARG_INT64(1);

	PG_RETURN_BOOL(round > known->position.drain_round ||
				   (round == known->position.drain_round && PG_GETARG_INT64(2) > known->position.drain_position));
}

/*
 * mindtickle.rings_are_whole() -> bool: true, when what is published is on the disk. ERROR 40001 where a table of events has been emptied since the
 * snapshot. For pg_dump, which takes its snapshot before its locks, and for who exports a user: they would find such a table empty, and the rows
 * elsewhere not yet there.
 */
Datum
mt_rings_are_whole(PG_FUNCTION_ARGS)
{
	Snapshot	snapshot = GetActiveSnapshot();

	/* A copy of a number must not outlive the number. */
	mt_flush_events();
	if (mt_any_emptied(mt_outbox_tables, MT_OUTBOX_TABLES, snapshot) || mt_any_emptied(mt_event_tables, MT_EVENT_TABLES, snapshot) ||
		mt_any_emptied(mt_overflow_tables, MT_OVERFLOW_TABLES, snapshot) || mt_any_emptied(mt_position_tables, MT_POSITION_TABLES, snapshot) ||
		mt_any_emptied(mt_consumer_tables, MT_CONSUMER_TABLES, snapshot))
		mt_report_old_event_snapshot();
	PG_RETURN_BOOL(true);
}
