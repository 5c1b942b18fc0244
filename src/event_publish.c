/*
 * event_publish.c
 *		mindtickle.publish: gives a tenant's waiting events their numbers, one batch a call, and NOTIFYs who listens.
 *
 * What is new is taken as one snapshot shows it, in the order in which it was written. Whatever commits later gets higher numbers; and since a snapshot
 * that shows a transaction shows all that it has waited for, no event comes before one that it depends on. Events of one snapshot that are too many for
 * one batch go out batch by batch; this process remembers their order meanwhile, and finds it out again where it does not. Where they are more than the
 * tenant's queue_limit, they go to the overflow first, a batch at a time, which brings them into order; what comes meanwhile gets in line behind them.
 *
 * Who holds the tenant's lock is its only publisher. The transaction must not have written before: what it writes later would be taken for taken.
 *
 * Called by the publisher (worker/) and, the same way, from psql.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "event.h"
#include "event_store.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* What is returned instead of a count where somebody else holds the tenant's lock, and the call is not to wait. */
#define HELD			(-1)
/* Most events of one call. */
#define BATCH_MAX		10000
/* So many events go out in order without asking for the tenant's queue_limit; and more than so many never do without the overflow. */
#define LIMIT_FLOOR		16
#define LIMIT_CEILING	1000000
/* Events whose order is remembered from one batch to the next, of all tenants together. */
#define REMEMBERED_MAX	(2 * LIMIT_CEILING)
/* Where there are more, those are forgotten that have not been used for so long. */
#define ORDER_LIFETIME	(60 * USECS_PER_SEC)

/* An event in the outbox. */
typedef struct WaitingEvent
{
	int64		position;
	ItemPointerData tid;
	int16		table;
} WaitingEvent;

/* The order of what is left of a batch, good as long as the newest position is the one with which it was remembered, and of the same batch. */
typedef struct RememberedOrder
{
	char		tenant[MT_TENANT_MAX + 1];	/* the key */
	int64		number;
	int64		last_seq;
	int64		batch_position;
	MtCursor	batch;
	MemoryContext context;
	TimestampTz used_at;
	WaitingEvent *events;
	int			next;
	int			count;
} RememberedOrder;

/* The highest number of a topic in a batch. */
typedef struct TopicSeq
{
	char	   *topic;
	int64		seq;
} TopicSeq;

/* One call of publish. */
typedef struct PublishCall
{
	const char *tenant;
	Snapshot	snapshot;
	Datum		snapshot_value; /* the same as pg_snapshot */
	int			max_rows;
	MtEventPosition position;
	MtTenantWriter writer;		/* of events; open while published > 0 */
	int			published;
	RememberedOrder *order;		/* it goes on with this one; NULL: it has found out the order itself */
	WaitingEvent *events;		/* those of the batch that it has met in the outbox, and how many of them it has taken */
	int			event_count;
	int			taken;
	bool		changed;		/* the position is to be written */
	bool		more;			/* there is more to do for the tenant */
	TopicSeq   *topics;
	int			topic_count;
} PublishCall;

static HTAB *remembered = NULL;
static int64 remembered_count = 0;

PG_FUNCTION_INFO_V1(mt_publish);
PG_FUNCTION_INFO_V1(mt_hold_events);

static int
compare_waiting(const void *first, const void *second)
{
	int64		a = ((const WaitingEvent *) first)->position;
	int64		b = ((const WaitingEvent *) second)->position;

	return (a > b) - (a < b);
}

static void
forget_order(const char *tenant)
{
	RememberedOrder *order = remembered == NULL ? NULL : hash_search(remembered, tenant, HASH_FIND, NULL);

	if (order == NULL)
		return;
	remembered_count -= order->count - order->next;
	MemoryContextDelete(order->context);
	hash_search(remembered, tenant, HASH_REMOVE, NULL);
}

/* Forgets orders that nobody has come back for: the tenant is no more, or somebody else publishes for it. */
static void
forget_old_orders(void)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS status;
	RememberedOrder *order;

	hash_seq_init(&status, remembered);
	while ((order = hash_seq_search(&status)) != NULL)
		if (order->used_at > now || now - order->used_at > ORDER_LIFETIME)
			forget_order(order->tenant);
}

/* Makes an order of what is left of the batch; NULL where those of other tenants leave no room for it. */
static RememberedOrder *
make_order(const PublishCall *publication)
{
	RememberedOrder *order;
	MemoryContext context;
	int			left = publication->event_count - publication->taken;

	if (remembered == NULL)
	{
		HASHCTL		control = {.keysize = MT_TENANT_MAX + 1,.entrysize = sizeof(RememberedOrder),.hcxt = TopMemoryContext};

		remembered = hash_create("order of waiting events", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	forget_order(publication->tenant);
	if (remembered_count + left > REMEMBERED_MAX)
		forget_old_orders();
	if (remembered_count + left > REMEMBERED_MAX)
		return NULL;
	context = AllocSetContextCreate(TopMemoryContext, "order of waiting events", ALLOCSET_SMALL_SIZES);
	order = hash_search(remembered, publication->tenant, HASH_ENTER, NULL);
	order->context = context;
	order->count = left;
	order->next = 0;
	/* Of no position, until it has all that belongs to it. */
	order->number = -1;
	order->used_at = GetCurrentTimestamp();
	order->events = NULL;
	remembered_count += left;
	order->events = MemoryContextAllocHuge(context, sizeof(WaitingEvent) * (Size) left);
	memcpy(order->events, publication->events + publication->taken, sizeof(WaitingEvent) * (Size) left);
	order->batch = publication->position.taking;
	order->batch.in_progress = MemoryContextAlloc(context, sizeof(uint64) * Max(order->batch.count, 1));
	memcpy(order->batch.in_progress, publication->position.taking.in_progress, sizeof(uint64) * order->batch.count);
	return order;
}

/* Keeps the order of what is left for the next call, after the position has been written: should this transaction fail, it is the order of no position. */
static void
remember_order(PublishCall *publication)
{
	const MtEventPosition *position = &publication->position;
	RememberedOrder *order = publication->order;

	if (order == NULL)
		order = make_order(publication);
	else
	{
		order->next += publication->taken;
		remembered_count -= publication->taken;
	}
	if (order == NULL)
		return;
	order->used_at = GetCurrentTimestamp();
	order->number = position->number;
	order->last_seq = position->last_seq;
	order->batch_position = position->batch_position;
}

static bool
same_cursor(const MtCursor *first, const MtCursor *second)
{
	return first->xmin == second->xmin && first->xmax == second->xmax && first->count == second->count &&
		memcmp(first->in_progress, second->in_progress, sizeof(uint64) * first->count) == 0;
}

static RememberedOrder *
recall_order(const char *tenant, const MtEventPosition *position)
{
	RememberedOrder *order = remembered == NULL ? NULL : hash_search(remembered, tenant, HASH_FIND, NULL);

	if (order == NULL || position->batch == (Datum) 0 || order->number != position->number || order->last_seq != position->last_seq ||
		order->batch_position != position->batch_position || !same_cursor(&order->batch, &position->taking))
		return NULL;
	/* Of no position until it is remembered again: should this call fail because rows have moved, as VACUUM FULL does, they are looked for anew. */
	order->number = -1;
	return order;
}

/*
 * Finds the events of the snapshot, or of the batch under way, that are not taken; no more than limit + 1. Returns how many; *events is in the
 * current context, in order if they are all.
 */
static int
find_waiting(PublishCall *publication, int limit, WaitingEvent **events)
{
	const MtEventPosition *position = &publication->position;
	int			allocated = 64;
	int			count = 0;

	*events = palloc(sizeof(WaitingEvent) * allocated);
	for (int table = 0; table < MT_OUTBOX_TABLES && count <= limit; table++)
	{
		MtNewScan	scan;

		if (mt_blocks_of(&mt_outbox_tables[table]) == 0)
			continue;
		mt_new_scan_open(&scan, &mt_outbox_tables[table], publication->tenant, mt_events_since(position), publication->snapshot);
		if (position->batch != (Datum) 0)
			scan.before = position->taking.xmax;
		while (count <= limit && mt_new_scan_next(&scan))
		{
			bool		isnull;
			WaitingEvent event = {
				.position = DatumGetInt64(slot_getattr(scan.scan.slot, MT_OUTBOX_POSITION, &isnull)),
				.tid = scan.scan.slot->tts_tid,
				.table = table
			};

			CHECK_FOR_INTERRUPTS();
			if (position->batch != (Datum) 0 &&
				(!mt_cursor_has(&position->taking, scan.xid) || mt_event_taken(position, table, scan.xid, event.position)))
				continue;
			if (count == allocated)
			{
				allocated *= 2;
				*events = repalloc_huge(*events, sizeof(WaitingEvent) * (Size) allocated);
			}
			(*events)[count++] = event;
		}
		mt_new_scan_close(&scan);
	}
	if (count <= limit)
		qsort(*events, count, sizeof(WaitingEvent), compare_waiting);
	return count;
}

static void
note_topic(PublishCall *publication, const char *topic)
{
	for (int i = 0; i < publication->topic_count; i++)
		if (strcmp(publication->topics[i].topic, topic) == 0)
		{
			publication->topics[i].seq = publication->position.last_seq;
			return;
		}
	publication->topics[publication->topic_count++] = (TopicSeq) {pstrdup(topic), publication->position.last_seq};
}

/* Gives the event in the slot, of the outbox or the overflow, the next number. */
static void
publish_row(PublishCall *publication, TupleTableSlot *slot)
{
	Datum		values[MT_EVENT_COLUMNS];
	bool		nulls[MT_EVENT_COLUMNS] = {false};

	slot_getallattrs(slot);
	if (publication->published++ == 0)
		mt_tenant_writer_open(&publication->writer, &mt_event_tables[mt_table_in_use(MT_EVENTS)]);
	publication->changed = true;
	publication->position.last_seq++;
	note_topic(publication, TextDatumGetCString(slot->tts_values[MT_WAITING_TOPIC - 1]));
	values[0] = slot->tts_values[0];
	values[MT_EVENT_SEQ - 1] = Int64GetDatum(publication->position.last_seq);
	values[MT_EVENT_TOPIC - 1] = slot->tts_values[MT_WAITING_TOPIC - 1];
	values[MT_EVENT_PAYLOAD - 1] = slot->tts_values[MT_WAITING_PAYLOAD - 1];
	values[MT_EVENT_CREATED_AT - 1] = slot->tts_values[MT_WAITING_CREATED_AT - 1];
	values[MT_EVENT_PUBLISHED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	mt_tenant_writer_add(&publication->writer, values, nulls);
}

/* Publishes events of the outbox in their order. ERROR XX000 where one is not there any more. */
static void
publish_waiting(PublishCall *publication, const WaitingEvent *events, int count)
{
	Relation	relations[MT_OUTBOX_TABLES] = {NULL};
	TupleTableSlot *slots[MT_OUTBOX_TABLES] = {NULL};

	for (int i = 0; i < count; i++)
	{
		int			table = events[i].table;
		ItemPointerData tid = events[i].tid;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (relations[table] == NULL)
		{
			relations[table] = table_open(mt_relation_oid(&mt_outbox_tables[table].table), AccessShareLock);
			slots[table] = table_slot_create(relations[table], NULL);
		}
		if (!table_tuple_fetch_row_version(relations[table], &tid, publication->snapshot, slots[table]) ||
			strcmp(TextDatumGetCString(slot_getattr(slots[table], 1, &isnull)), publication->tenant) != 0 ||
			DatumGetInt64(slot_getattr(slots[table], MT_OUTBOX_POSITION, &isnull)) != events[i].position)
			elog(ERROR, "a waiting event of tenant \"%s\" has gone from %s", publication->tenant, mt_outbox_tables[table].table.name);
		publish_row(publication, slots[table]);
	}
	for (int table = 0; table < MT_OUTBOX_TABLES; table++)
		if (relations[table] != NULL)
		{
			ExecDropSingleTupleTableSlot(slots[table]);
			table_close(relations[table], AccessShareLock);
		}
}

/* The tenant's queue_limit, as far as it makes a difference. */
static int
queue_limit(const char *tenant)
{
	static MtPlan look_up = {
		"SELECT least(((mindtickle.default_settings() || t.settings) ->> 'queue_limit')::pg_catalog.numeric, $2)::pg_catalog.int4"
		" FROM mindtickle.tenant AS t WHERE t.tenant_id = $1", 2, {TEXTOID, NUMERICOID},.read_only = true
	};
	Datum		values[2] = {CStringGetTextDatum(tenant), DirectFunctionCall1(int4_numeric, Int32GetDatum(LIMIT_CEILING))};
	bool		isnull;

	/* Only somebody who deletes by hand can have taken the tenant's row away meanwhile. */
	if (mt_plan_run(&look_up, values, NULL, SPI_OK_SELECT) == 0)
		return LIMIT_CEILING;
	return DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* Begins to take a snapshot as a batch. */
static void
begin_batch(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;

	position->batch = publication->snapshot_value;
	position->batch_table = 0;
	position->batch_xid = 0;
	position->batch_position = PG_INT64_MIN;
	mt_read_cursor(position->batch, &position->taking);
	publication->changed = true;
}

/* All of the batch has been taken. */
static void
end_batch(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;

	position->cursor = position->batch;
	position->batch = (Datum) 0;
	publication->changed = true;
}

/*
 * Takes events straight from the outbox. False, and nothing is taken: they are too many.
 */
static bool
publish_directly(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;
	RememberedOrder *order = recall_order(publication->tenant, position);
	bool		resumed = position->batch != (Datum) 0;
	WaitingEvent *events;
	int			count;
	int			taken;

	if (order != NULL)
	{
		events = order->events + order->next;
		count = order->count - order->next;
	}
	else
	{
		/* What is under way already, goes on. */
		int			limit = resumed ? INT_MAX - 1 : LIMIT_FLOOR;

		count = find_waiting(publication, limit, &events);
		if (count > limit)
		{
			limit = Max(queue_limit(publication->tenant), LIMIT_FLOOR);
			count = find_waiting(publication, limit, &events);
		}
		if (count > limit)
			return false;
	}
	if (count == 0 && !resumed)
		return true;
	if (!resumed)
		begin_batch(publication);
	taken = Min(count, publication->max_rows);
	publish_waiting(publication, events, taken);
	publication->order = order;
	publication->events = events;
	publication->event_count = count;
	publication->taken = taken;
	/* What has been written since an earlier call began the batch is not in it. */
	publication->more = taken < count || resumed;
	if (taken < count)
		position->batch_position = events[taken - 1].position;
	else
		end_batch(publication);
	return true;
}

/* True when there is anything new in the outbox. */
static bool
anything_waits(PublishCall *publication)
{
	WaitingEvent *events;

	return find_waiting(publication, 0, &events) > 0;
}

/* Moves the next events of the batch from the outbox to the overflow. */
static void
spill(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;
	MtTenantWriter writer;
	int			moved = 0;

	mt_tenant_writer_open(&writer, &mt_overflow_tables[mt_table_in_use(MT_OVERFLOW)]);
	for (; position->batch_table < MT_OUTBOX_TABLES && moved < publication->max_rows; position->batch_table++)
	{
		MtNewScan	scan;

		mt_new_scan_open(&scan, &mt_outbox_tables[position->batch_table], publication->tenant, mt_events_since(position), publication->snapshot);
		scan.before = position->taking.xmax;
		scan.from_xid = position->batch_xid;
		scan.from_number = position->batch_position;
		while (moved < publication->max_rows && mt_new_scan_next(&scan))
		{
			TupleTableSlot *slot = scan.scan.slot;
			Datum		values[MT_OVERFLOW_COLUMNS];
			bool		nulls[MT_OVERFLOW_COLUMNS] = {false};

			CHECK_FOR_INTERRUPTS();
			if (!mt_cursor_has(&position->taking, scan.xid))
				continue;
			slot_getallattrs(slot);
			memcpy(values, slot->tts_values, sizeof(values));
			values[MT_OVERFLOW_ROUND - 1] = Int64GetDatum(position->round);
			mt_tenant_writer_add(&writer, values, nulls);
			position->batch_xid = scan.xid;
			position->batch_position = DatumGetInt64(values[MT_OVERFLOW_POSITION - 1]);
			moved++;
		}
		mt_new_scan_close(&scan);
		if (moved == publication->max_rows)
			break;
		position->batch_xid = 0;
		position->batch_position = PG_INT64_MIN;
	}
	mt_tenant_writer_close(&writer);
	position->overflow += moved;
	publication->changed = true;
	if (position->batch_table < MT_OUTBOX_TABLES)
		return;
	position->spilling = false;
	end_batch(publication);
}

/* A scan of what comes next in a table of the overflow. */
typedef struct DrainScan
{
	MtTenantScan scan;
	bool		later;			/* it is behind the round at which to go on */
	bool		found;			/* there is an event in scan.slot */
} DrainScan;

static void
start_drain(DrainScan *drain, const MtEventPosition *position)
{
	ScanKeyData keys[2];

	mt_tenant_key(&keys[0], MT_OVERFLOW_ROUND, drain->later ? BTGreaterStrategyNumber : BTEqualStrategyNumber,
				  drain->later ? F_INT8GT : F_INT8EQ, Int64GetDatum(position->drain_round));
	mt_tenant_key(&keys[1], MT_OVERFLOW_POSITION, BTGreaterStrategyNumber, F_INT8GT,
				  Int64GetDatum(drain->later ? PG_INT64_MIN : position->drain_position));
	mt_tenant_scan_start(&drain->scan, keys, 2);
}

/* Goes to the event of complete rounds that comes next; position is where the drain began. */
static void
next_drained(DrainScan *drain, const MtEventPosition *position)
{
	bool		isnull;

	drain->found = mt_tenant_scan_next(&drain->scan, ForwardScanDirection);
	if (!drain->found && !drain->later)
	{
		drain->later = true;
		start_drain(drain, position);
		drain->found = mt_tenant_scan_next(&drain->scan, ForwardScanDirection);
	}
	if (drain->found && DatumGetInt64(slot_getattr(drain->scan.slot, MT_OVERFLOW_ROUND, &isnull)) > position->round - (position->spilling ? 1 : 0))
		drain->found = false;
}

static bool
comes_before(TupleTableSlot *first, TupleTableSlot *second)
{
	bool		isnull;
	int64		a = DatumGetInt64(slot_getattr(first, MT_OVERFLOW_ROUND, &isnull));
	int64		b = DatumGetInt64(slot_getattr(second, MT_OVERFLOW_ROUND, &isnull));

	if (a != b)
		return a < b;
	return DatumGetInt64(slot_getattr(first, MT_OVERFLOW_POSITION, &isnull)) < DatumGetInt64(slot_getattr(second, MT_OVERFLOW_POSITION, &isnull));
}

/* Publishes what has waited longest in the overflow. */
static void
drain(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;
	MtEventPosition began = *position;
	DrainScan	scans[MT_OVERFLOW_TABLES] = {0};
	int			drained = 0;

	for (int i = 0; i < MT_OVERFLOW_TABLES; i++)
	{
		mt_tenant_scan_open(&scans[i].scan, &mt_overflow_tables[i], publication->tenant, publication->snapshot, 2);
		start_drain(&scans[i], &began);
		next_drained(&scans[i], &began);
	}
	while (drained < publication->max_rows && (scans[0].found || scans[1].found))
	{
		DrainScan  *next = !scans[0].found || (scans[1].found && comes_before(scans[1].scan.slot, scans[0].scan.slot)) ? &scans[1] : &scans[0];
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		publish_row(publication, next->scan.slot);
		position->drain_round = DatumGetInt64(slot_getattr(next->scan.slot, MT_OVERFLOW_ROUND, &isnull));
		position->drain_position = DatumGetInt64(slot_getattr(next->scan.slot, MT_OVERFLOW_POSITION, &isnull));
		drained++;
		next_drained(next, &began);
	}
	for (int i = 0; i < MT_OVERFLOW_TABLES; i++)
		mt_tenant_scan_close(&scans[i].scan);
	position->overflow -= drained;
	if (drained > 0 || position->spilling)
		return;
	/* Only somebody who deletes rows by hand, or restores a part of a dump, can bring that about. */
	ereport(WARNING,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("the overflow of tenant \"%s\" lacks " INT64_FORMAT " events", publication->tenant, position->overflow)));
	position->overflow = 0;
	publication->changed = true;
}

/* Takes events through the overflow: a batch out, a batch in. What goes in, does not come out in the same call, whose snapshot does not show it. */
static void
publish_through_overflow(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;

	if (position->overflow > 0)
		drain(publication);
	if (position->batch == (Datum) 0 && (position->spilling || anything_waits(publication)))
	{
		/* A round that a restore has left open, goes on. */
		if (!position->spilling)
			position->round++;
		position->spilling = true;
		begin_batch(publication);
	}
	if (position->spilling)
		spill(publication);
	publication->more = position->spilling || position->overflow > 0;
}

static void
publish(PublishCall *publication)
{
	MtEventPosition *position = &publication->position;

	publication->snapshot_value = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
	publication->topics = palloc(sizeof(TopicSeq) * publication->max_rows);
	if (position->spilling || position->overflow > 0 || !publish_directly(publication))
		publish_through_overflow(publication);
	if (publication->published > 0)
		mt_tenant_writer_close(&publication->writer);
	if (!publication->changed)
		return;
	mt_write_event_position(publication->tenant, position);
	if (publication->taken < publication->event_count)
		remember_order(publication);
	else
		forget_order(publication->tenant);
}

/* One NOTIFY for each topic, with its highest number. */
static void
announce(const PublishCall *publication)
{
	for (int i = 0; i < publication->topic_count; i++)
	{
		const TopicSeq *topic = &publication->topics[i];

		Async_Notify(mt_event_channel(publication->tenant, topic->topic),
					 psprintf("{\"seq\": " INT64_FORMAT ", \"topic\": \"%s\"}", topic->seq, topic->topic));
	}
}

/* ERROR 55000 for a tenant without a position that has events: a restore is at work, whose numbers would be given out again. */
static void
require_no_events(const PublishCall *publication)
{
	if (mt_next_event(publication->tenant, 1, publication->snapshot) == PG_INT64_MAX)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("tenant \"%s\" has events, but no position", publication->tenant),
			 errdetail("So it is while a dump is being restored, and where one was restored in part.")));
}

/* ERROR 55000 for a position that is another cluster's: what it says of transactions is not true here, and events would be lost by it. */
static void
require_own_position(const PublishCall *publication)
{
	if (!mt_event_position_foreign(&publication->position))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the position of tenant \"%s\" in its events is another cluster's", publication->tenant),
			 errdetail("It was restored without the triggers that make it this one's, as pg_restore --disable-triggers does."),
			 errhint("As the owner of the extension: DELETE the rows of the tables mindtickle.outbox_* and mindtickle.event_position_*, and restore them with their triggers.")));
}

/*
 * mindtickle.publish(tenant, max_rows, announce, wait) -> (published, more): numbers up to max_rows waiting events; more says that there is more to do.
 * published NULL: there is no such tenant; -1: somebody else has the tenant's events in hand, and the call is not to wait for him. ERROR 25001 in a
 * transaction that has written, 22023 where max_rows is none, 55000 in the midst of a restore.
 */
Datum
mt_publish(PG_FUNCTION_ARGS)
{
	PublishCall publication = {.tenant = text_to_cstring(PG_GETARG_TEXT_PP(0)),.max_rows = PG_GETARG_INT32(1)};
	MtServiceCall call;
	TupleDesc	descriptor;
	Datum		values[2];
	bool		nulls[2] = {false};

	if (publication.max_rows < 1 || publication.max_rows > BATCH_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be between 1 and %d", BATCH_MAX)));
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "mt_publish must return a row");
	descriptor = BlessTupleDesc(descriptor);
	if (!mt_tenant_exists(publication.tenant))
	{
		values[1] = BoolGetDatum(false);
		nulls[0] = true;
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
	}
	mt_service_enter(&call, fcinfo, publication.tenant, MT_ACCESS_OWNER, true);
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("events are published in a transaction of their own")));
	if (!mt_lock_events(publication.tenant, PG_GETARG_BOOL(3)))
	{
		mt_service_leave(&call);
		values[0] = Int32GetDatum(HELD);
		values[1] = BoolGetDatum(true);
		PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
	}
	mt_push_event_position(publication.tenant, &publication.position);
	publication.snapshot = GetActiveSnapshot();
	if (publication.position.table < 0)
		require_no_events(&publication);
	require_own_position(&publication);
	publish(&publication);
	PopActiveSnapshot();
	if (mt_setting_notify && PG_GETARG_BOOL(2))
		announce(&publication);
	mt_service_leave(&call);
	if (publication.changed)
		mt_commit_events_early();
	values[0] = Int32GetDatum(publication.published);
	values[1] = BoolGetDatum(publication.more);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls)));
}

/*
 * mindtickle.hold_events(tenant): until the end of the transaction none of the tenant's events is published, and afterwards whoever publishes finds out
 * anew where they are. For who changes events that wait.
 */
Datum
mt_hold_events(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	MtEventPosition position;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	(void) mt_lock_events(tenant, true);
	mt_push_event_position(tenant, &position);
	/* What has been remembered of the order goes by the newest position. */
	mt_write_event_position(tenant, &position);
	PopActiveSnapshot();
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
