/*
 * event_consumer.c
 *		Durable consumers: polling a tenant's events in order, acknowledging them, and who consumes how far.
 *
 * A consumer is a name and the last number that it has acknowledged; it begins with the first poll, at the oldest event that is kept. Until it
 * acknowledges, it is given the same events again. It keeps nothing from being removed: one that is behind what is kept is told so, and which events it
 * has lost. Each acknowledgement is a row that is appended; the one with the highest number is the newest.
 *
 * Polling only reads, but for the first time, and so works on a standby for a consumer that is known there.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/detoast.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "event_store.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Longest name of a consumer in bytes, and how many a tenant may have. */
#define CONSUMER_NAME_MAX	63
#define CONSUMERS_MAX		100
/* Most names of a tenant that are in the tables, dropped ones included; and from how many on the next table is taken, so that these can go. */
#define NAMES_MAX			1000
#define NAMES_MANY			500
/* Most events of one poll. */
#define POLL_MAX			10000

/* Columns of the tables of consumers. */
enum
{
	CONSUMER_TENANT,
	CONSUMER_NAME,
	CONSUMER_NUMBER,
	CONSUMER_ACKED_SEQ,
	CONSUMER_CREATED_AT,
	CONSUMER_ACKED_AT,
	CONSUMER_DROPPED,
	CONSUMER_COLUMNS
};

/* A consumer as its newest row says. */
typedef struct Consumer
{
	const char *name;
	bool		found;			/* there is one, and it is not dropped */
	int			table;			/* of the row */
	int64		number;			/* of the row, 0 where there is none at all */
	int64		acked_seq;
	TimestampTz created_at;
	TimestampTz acked_at;		/* 0: never */
	TransactionId written_by;	/* the row */
} Consumer;

/* From where this transaction has polled of a consumer first. */
typedef struct Polled
{
	char		tenant[MT_TENANT_MAX + 1];
	char		name[CONSUMER_NAME_MAX + 1];
	int64		acked_seq;
} Polled;

/* In memory of the transaction. */
static List *polled_here = NIL;

PG_FUNCTION_INFO_V1(mt_poll_events);
PG_FUNCTION_INFO_V1(mt_ack_events);
PG_FUNCTION_INFO_V1(mt_drop_consumer);
PG_FUNCTION_INFO_V1(mt_event_consumers);

static void
check_consumer_name(const char *name)
{
	int			length = (int) strlen(name);

	if (length == 0 || length > CONSUMER_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a consumer must have 1 to %d bytes", CONSUMER_NAME_MAX)));
}

static void
report_absent_consumer(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("consumer \"%s\" does not exist", name),
			 errhint("A consumer begins with its first call of mt_poll_events.")));
}

/*
 * Makes active the snapshot to read in: that of a transaction that keeps to one, unless the latest is asked for; else what is committed by now, since a
 * table may have been emptied after the statement began. True when it is that of the transaction.
 */
static bool
push_reading_snapshot(bool latest)
{
	bool		kept = IsolationUsesXactSnapshot() && !latest;

	PushActiveSnapshot(kept ? GetActiveSnapshot() : GetLatestSnapshot());
	return kept;
}

/* The snapshot to read in was too old: a later one may do. ERROR 40001 where the transaction keeps to it. */
static void
pop_old_snapshot(bool kept)
{
	if (kept)
		mt_report_old_event_snapshot();
	PopActiveSnapshot();
	CHECK_FOR_INTERRUPTS();
}

static void
take_consumer(Consumer *consumer, const Datum *values, const bool *nulls)
{
	consumer->number = DatumGetInt64(values[CONSUMER_NUMBER]);
	consumer->acked_seq = DatumGetInt64(values[CONSUMER_ACKED_SEQ]);
	consumer->created_at = DatumGetTimestampTz(values[CONSUMER_CREATED_AT]);
	consumer->acked_at = nulls[CONSUMER_ACKED_AT] ? 0 : DatumGetTimestampTz(values[CONSUMER_ACKED_AT]);
	consumer->found = !DatumGetBool(values[CONSUMER_DROPPED]);
}

/* Reads a consumer. False where the snapshot is too old. */
static bool
read_consumer(const char *tenant, const char *name, Snapshot snapshot, Consumer *consumer)
{
	Datum		values[CONSUMER_COLUMNS];
	bool		nulls[CONSUMER_COLUMNS];
	ScanKeyData key;

	memset(consumer, 0, sizeof(Consumer));
	consumer->name = name;
	mt_tenant_key(&key, CONSUMER_NAME + 1, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
	if (!mt_read_newest(mt_consumer_tables, MT_CONSUMER_TABLES, tenant, &key, 1, snapshot, values, nulls, &consumer->table, &consumer->written_by))
		return false;
	if (consumer->table >= 0)
		take_consumer(consumer, values, nulls);
	return true;
}

/*
 * Makes the snapshot to read in the active one, and reads in it a consumer and how far the tenant's events have come. ERROR 40001 where the transaction
 * keeps to a snapshot that is too old.
 */
static void
push_reading(const char *tenant, const char *name, bool latest, Consumer *consumer, MtEventPosition *position)
{
	for (;;)
	{
		bool		kept = push_reading_snapshot(latest);

		if (read_consumer(tenant, name, GetActiveSnapshot(), consumer) && mt_read_event_position(tenant, GetActiveSnapshot(), position))
			return;
		pop_old_snapshot(kept);
	}
}

/* Appends a row as the consumer's newest, which the statement sees from then on. */
static void
write_consumer(const char *tenant, const char *name, Consumer *consumer)
{
	Datum		values[CONSUMER_COLUMNS];
	bool		nulls[CONSUMER_COLUMNS] = {false};

	consumer->number++;
	values[CONSUMER_TENANT] = CStringGetTextDatum(tenant);
	values[CONSUMER_NAME] = CStringGetTextDatum(name);
	values[CONSUMER_NUMBER] = Int64GetDatum(consumer->number);
	values[CONSUMER_ACKED_SEQ] = Int64GetDatum(consumer->acked_seq);
	values[CONSUMER_CREATED_AT] = TimestampTzGetDatum(consumer->created_at);
	values[CONSUMER_ACKED_AT] = TimestampTzGetDatum(consumer->acked_at);
	nulls[CONSUMER_ACKED_AT] = consumer->acked_at == 0;
	values[CONSUMER_DROPPED] = BoolGetDatum(!consumer->found);
	mt_tenant_table_append(&mt_consumer_tables[mt_table_of_transaction(MT_CONSUMERS)], values, nulls);
	CommandCounterIncrement();
}

/* The name of the tenant's consumer that comes after the given one, "" for the first, in one of the tables or in both; NULL: there is none. */
static char *
next_consumer_name(const char *tenant, const char *name, Snapshot snapshot)
{
	char	   *next = NULL;

	for (int table = 0; table < MT_CONSUMER_TABLES; table++)
	{
		MtTenantScan scan;
		ScanKeyData key;

		mt_tenant_scan_open(&scan, &mt_consumer_tables[table], tenant, snapshot, 1);
		mt_tenant_key(&key, CONSUMER_NAME + 1, BTGreaterStrategyNumber, F_TEXT_GT, CStringGetTextDatum(name));
		mt_tenant_scan_start(&scan, &key, 1);
		if (mt_tenant_scan_next(&scan, ForwardScanDirection))
		{
			bool		isnull;
			char	   *found = TextDatumGetCString(slot_getattr(scan.slot, CONSUMER_NAME + 1, &isnull));

			if (next == NULL || strcmp(found, next) < 0)
				next = found;
		}
		mt_tenant_scan_close(&scan);
	}
	return next;
}

/* Reads all consumers of a tenant. False where the snapshot is too old. */
static bool
read_consumers(const char *tenant, Snapshot snapshot, List **consumers)
{
	*consumers = NIL;
	for (char *name = next_consumer_name(tenant, "", snapshot); name != NULL; name = next_consumer_name(tenant, name, snapshot))
	{
		Consumer   *consumer = palloc(sizeof(Consumer));

		CHECK_FOR_INTERRUPTS();
		if (!read_consumer(tenant, name, snapshot, consumer))
			return false;
		if (consumer->found)
			*consumers = lappend(*consumers, consumer);
	}
	return !mt_any_emptied(mt_consumer_tables, MT_CONSUMER_TABLES, snapshot);
}

/* As push_reading, for all consumers of the tenant. */
static List *
push_reading_all(const char *tenant, bool latest, MtEventPosition *position)
{
	for (;;)
	{
		bool		kept = push_reading_snapshot(latest);
		List	   *consumers;

		if (read_consumers(tenant, GetActiveSnapshot(), &consumers) && mt_read_event_position(tenant, GetActiveSnapshot(), position))
			return consumers;
		pop_old_snapshot(kept);
	}
}

/* How many names of consumers the tenant has in the tables, dropped ones included. */
static int
count_names(const char *tenant)
{
	int			count = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	for (char *name = next_consumer_name(tenant, "", GetActiveSnapshot()); name != NULL && count < NAMES_MAX;
		 name = next_consumer_name(tenant, name, GetActiveSnapshot()))
	{
		CHECK_FOR_INTERRUPTS();
		count++;
	}
	PopActiveSnapshot();
	return count;
}

/*
 * What is dropped keeps its row until the table is emptied, which the upkeep does when another one is in use. ERROR 53400 for a tenant that has made
 * and dropped more consumers than that keeps up with.
 */
static void
make_room_for_name(const char *tenant)
{
	int			names = count_names(tenant);

	if (names >= NAMES_MANY)
		(void) mt_change_grown_table(MT_CONSUMERS, mt_consumer_tables, MT_CONSUMER_TABLES, 0);
	if (names >= NAMES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("tenant \"%s\" has had %d consumers lately, dropped ones included", tenant, NAMES_MAX),
				 errhint("The publisher soon forgets those that are dropped. A consumer that goes on under its name needs no other one.")));
}

/* Makes a consumer, or reads it where another session has been faster. */
static void
make_consumer(FunctionCallInfo fcinfo, const char *tenant, const char *name, Consumer *consumer)
{
	MtServiceCall call;
	MtEventPosition position;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("consumer \"%s\" does not exist", name),
				 errdetail("It begins with its first call of mt_poll_events, which a standby cannot store."),
				 errhint("Call it on the primary once.")));
	PreventCommandIfReadOnly("mt_poll_events() of a new consumer");
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, true);
	(void) mt_lock_consumer(tenant, "", true);
	(void) mt_lock_consumer(tenant, name, true);
	push_reading(tenant, name, true, consumer, &position);
	if (!consumer->found)
	{
		List	   *consumers = push_reading_all(tenant, true, &position);

		PopActiveSnapshot();
		if (list_length(consumers) >= CONSUMERS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("tenant \"%s\" has %d consumers already", tenant, CONSUMERS_MAX),
					 errhint("mt_event_consumers lists them; mt_drop_consumer removes those that are not needed any more.")));
		if (consumer->number == 0)
			make_room_for_name(tenant);
		consumer->found = true;
		consumer->acked_seq = position.first_seq - 1;
		consumer->created_at = GetCurrentTimestamp();
		consumer->acked_at = 0;
		write_consumer(tenant, name, consumer);
	}
	PopActiveSnapshot();
	mt_service_leave(&call);
}

/* ERROR 55000 for a consumer that is behind what is kept, with what it has lost. */
static void
report_lost_events(const char *tenant, const char *name, int64 from, int64 to)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("events " INT64_FORMAT " to " INT64_FORMAT " are lost for consumer \"%s\"", from, to, name),
			 errdetail("It had not acknowledged them when they passed what the tenant's retain_events and event_limit allow."),
			 errhint("To go on behind them: SELECT mt_ack_events(%s, %s, " INT64_FORMAT ");",
					 quote_literal_cstr(tenant), quote_literal_cstr(name), to)));
}

/* ERROR XX001 where an event that should be kept is not there: only somebody who deletes rows by hand, or restores a part of a dump, can bring that about. */
static void
report_missing_events(const char *tenant, const char *name, int64 from, int64 last, Snapshot snapshot)
{
	int64		next = mt_next_event(tenant, from, snapshot);
	int64		to = Min(next - 1, last);

	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("events " INT64_FORMAT " to " INT64_FORMAT " of tenant \"%s\" are missing", from, to, tenant),
			 errdetail("They have been deleted from the tables of events, or not been restored."),
			 errhint("To go on behind them: SELECT mt_ack_events(%s, %s, " INT64_FORMAT ");",
					 quote_literal_cstr(tenant), quote_literal_cstr(name), to)));
}

/*
 * ERROR 55000 for a consumer that has acknowledged what is yet to come, as only a restore without the tenant's position brings it about: it would
 * miss everything up to that number. Goes by the latest position, since a transaction that keeps to an older snapshot may have acknowledged more than
 * that shows.
 */
static void
check_acknowledged(const char *tenant, const char *name, int64 acked_seq)
{
	MtEventPosition latest;

	mt_push_event_position(tenant, &latest);
	PopActiveSnapshot();
	if (acked_seq <= latest.last_seq)
		return;
	mt_flush_events();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("consumer \"%s\" has acknowledged event " INT64_FORMAT ", which is yet to come", name, acked_seq),
			 errdetail("The last one of tenant \"%s\" is " INT64_FORMAT ". The consumer was restored, and the tenant's position in its events was not, or not yet.",
					   tenant, latest.last_seq),
			 errhint("To begin anew, at the oldest event that is kept: SELECT mt_drop_consumer(%s, %s);",
					 quote_literal_cstr(tenant), quote_literal_cstr(name))));
}

/* Gives back the events from a number on, before another one. False where they end before. */
static bool
return_events(ReturnSetInfo *result, const char *tenant, int64 seq, int64 end, Snapshot snapshot)
{
	while (seq < end)
	{
		MtTenantScan scan;
		bool		more;

		if (!mt_find_event(&scan, tenant, seq, snapshot))
			return false;
		do
		{
			TupleTableSlot *slot = scan.slot;
			struct varlena *payload;
			Datum		values[4];
			bool		nulls[4] = {false};

			CHECK_FOR_INTERRUPTS();
			slot_getallattrs(slot);
			values[0] = slot->tts_values[MT_EVENT_SEQ - 1];
			values[1] = slot->tts_values[MT_EVENT_TOPIC - 1];
			values[2] = slot->tts_values[MT_EVENT_PAYLOAD - 1];
			values[3] = slot->tts_values[MT_EVENT_CREATED_AT - 1];
			/* The table may be emptied before the caller looks at it. */
			payload = (struct varlena *) DatumGetPointer(values[2]);
			if (VARATT_IS_EXTERNAL(payload))
				values[2] = PointerGetDatum(detoast_external_attr(payload));
			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
			if (DatumGetPointer(values[2]) != (Pointer) payload)
				pfree(DatumGetPointer(values[2]));
			seq++;
			more = seq < end && mt_tenant_scan_next(&scan, ForwardScanDirection);
			if (more)
			{
				bool		isnull;

				more = DatumGetInt64(slot_getattr(slot, MT_EVENT_SEQ, &isnull)) == seq;
			}
		} while (more);
		mt_tenant_scan_close(&scan);
	}
	return true;
}

static void
forget_polled(XactEvent event, void *arg)
{
	polled_here = NIL;
}

static Polled *
find_polled(const char *tenant, const char *name)
{
	ListCell   *cell;

	foreach(cell, polled_here)
	{
		Polled	   *polled = lfirst(cell);

		if (strcmp(polled->name, name) == 0 && strcmp(polled->tenant, tenant) == 0)
			return polled;
	}
	return NULL;
}

/* Remembers until the transaction ends from where it was given events first. */
static void
note_polled(const char *tenant, const char *name, int64 acked_seq)
{
	static bool registered = false;
	MemoryContext previous;
	Polled	   *polled;

	if (find_polled(tenant, name) != NULL)
		return;
	if (!registered)
		RegisterXactCallback(forget_polled, NULL);
	registered = true;
	previous = MemoryContextSwitchTo(TopTransactionContext);
	polled = palloc0(sizeof(Polled));
	strlcpy(polled->tenant, tenant, sizeof(polled->tenant));
	strlcpy(polled->name, name, sizeof(polled->name));
	polled->acked_seq = acked_seq;
	polled_here = lappend(polled_here, polled);
	MemoryContextSwitchTo(previous);
}

/*
 * ERROR 40001 where this transaction has been given events that another one has acknowledged meanwhile: whatever it has done for them was done there.
 */
static void
check_polled(const Polled *polled, const Consumer *consumer)
{
	if (consumer->acked_seq <= polled->acked_seq || TransactionIdIsCurrentTransactionId(consumer->written_by))
		return;
	mt_flush_events();
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not acknowledge for consumer \"%s\": another transaction has acknowledged events since this one polled them", polled->name),
			 errdetail("Events " INT64_FORMAT " to " INT64_FORMAT " were given to both.", polled->acked_seq + 1, consumer->acked_seq),
			 errhint("Roll back, and poll again.")));
}

/*
 * mt_poll_events(tenant, consumer, max) -> (seq, topic, payload, created_at): the next events that the consumer has not acknowledged, in order. ERROR
 * 55000 where it is behind what is kept, or has acknowledged what is yet to come; 40001 where the transaction's snapshot is too old, 53400 where
 * there are too many consumers, XX001 where the next event is missing.
 */
Datum
mt_poll_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		max = PG_GETARG_INT32(2);
	Consumer	consumer;
	MtEventPosition position;

	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	check_consumer_name(name);
	if (max < 1 || max > POLL_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max must be between 1 and %d", POLL_MAX)));
	InitMaterializedSRF(fcinfo, 0);
	for (;;)
	{
		push_reading(tenant, name, false, &consumer, &position);
		if (!consumer.found)
			make_consumer(fcinfo, tenant, name, &consumer);
		if (consumer.acked_seq + 1 < position.first_seq)
			report_lost_events(tenant, name, consumer.acked_seq + 1, position.first_seq - 1);
		if (consumer.acked_seq > position.last_seq)
			check_acknowledged(tenant, name, consumer.acked_seq);
		if (return_events(result, tenant, consumer.acked_seq + 1, Min(consumer.acked_seq + max, position.last_seq) + 1, GetActiveSnapshot()))
			break;
		/* One that is not there any more was in a table that has been emptied meanwhile, or is missing; those before it come first. */
		if (!mt_any_emptied(mt_event_tables, MT_EVENT_TABLES, GetActiveSnapshot()))
		{
			if (tuplestore_tuple_count(result->setResult) == 0)
				report_missing_events(tenant, name, consumer.acked_seq + 1, position.last_seq, GetActiveSnapshot());
			break;
		}
		tuplestore_clear(result->setResult);
		pop_old_snapshot(IsolationUsesXactSnapshot());
	}
	PopActiveSnapshot();
	if (tuplestore_tuple_count(result->setResult) > 0)
	{
		note_polled(tenant, name, consumer.acked_seq);
		mt_flush_events();
	}
	return (Datum) 0;
}

/* Moves a consumer on, or drops it: what acknowledging and dropping have in common. */
static void
begin_change(MtServiceCall *call, FunctionCallInfo fcinfo, const char *tenant, const char *name, Consumer *consumer, MtEventPosition *position)
{
	mt_service_enter(call, fcinfo, tenant, MT_ACCESS_READER, true);
	check_consumer_name(name);
	(void) mt_lock_consumer(tenant, name, true);
	push_reading(tenant, name, true, consumer, position);
	if (!consumer->found)
		report_absent_consumer(name);
}

static void
end_change(MtServiceCall *call)
{
	PopActiveSnapshot();
	mt_service_leave(call);
}

/*
 * mt_ack_events(tenant, consumer, seq): the consumer has done with all events up to this one. A number that it has acknowledged already changes
 * nothing. ERROR 42704 for a consumer that has never polled, 22023 for a number that no event has yet, 40001 where this transaction has polled events
 * that another one has acknowledged since.
 */
Datum
mt_ack_events(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int64		seq = PG_GETARG_INT64(2);
	MtServiceCall call;
	Consumer	consumer;
	MtEventPosition position;
	Polled	   *polled;

	begin_change(&call, fcinfo, tenant, name, &consumer, &position);
	polled = find_polled(tenant, name);
	if (polled != NULL)
		check_polled(polled, &consumer);
	if (seq > consumer.acked_seq)
	{
		if (seq > position.last_seq)
		{
			mt_flush_events();
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there is no event " INT64_FORMAT " yet", seq),
					 errdetail("The last one is " INT64_FORMAT ".", position.last_seq)));
		}
		consumer.acked_seq = seq;
		consumer.acked_at = GetCurrentTimestamp();
		write_consumer(tenant, name, &consumer);
	}
	end_change(&call);
	PG_RETURN_VOID();
}

/*
 * mt_drop_consumer(tenant, consumer): forgets it; one of this name that polls later begins anew. ERROR 42704 where there is none.
 */
Datum
mt_drop_consumer(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MtServiceCall call;
	Consumer	consumer;
	MtEventPosition position;

	begin_change(&call, fcinfo, tenant, name, &consumer, &position);
	polled_here = list_delete_ptr(polled_here, find_polled(tenant, name));
	consumer.found = false;
	write_consumer(tenant, name, &consumer);
	end_change(&call);
	PG_RETURN_VOID();
}

/* Adds a row for each consumer of a tenant. */
static void
list_consumers(ReturnSetInfo *result, const char *tenant)
{
	MtEventPosition position;
	List	   *consumers = push_reading_all(tenant, false, &position);
	ListCell   *cell;

	foreach(cell, consumers)
	{
		const Consumer *consumer = lfirst(cell);
		Datum		values[7];
		bool		nulls[7] = {false};

		values[0] = CStringGetTextDatum(tenant);
		values[1] = CStringGetTextDatum(consumer->name);
		values[2] = Int64GetDatum(consumer->acked_seq);
		values[3] = Int64GetDatum(position.last_seq - consumer->acked_seq);
		/* It has acknowledged what is yet to come, at least in this snapshot. */
		nulls[3] = consumer->acked_seq > position.last_seq;
		values[4] = Int64GetDatum(Max(position.first_seq - 1 - consumer->acked_seq, 0));
		values[5] = TimestampTzGetDatum(consumer->created_at);
		values[6] = TimestampTzGetDatum(consumer->acked_at);
		nulls[6] = consumer->acked_at == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PopActiveSnapshot();
}

/*
 * mindtickle.event_consumers() -> (tenant_id, consumer, acked_seq, lag, lost, created_at, acked_at): of the tenant in force; for the owner, while none
 * is, of all tenants.
 */
Datum
mt_event_consumers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *tenant = mt_tenant_in_force();
	Datum	   *tenants;
	int			count = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (tenant != NULL)
		list_consumers(result, pstrdup(tenant));
	else if (mt_is_owner(GetUserId()))
		deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count; i++)
		list_consumers(result, TextDatumGetCString(tenants[i]));
	mt_flush_events();
	return (Datum) 0;
}

/*
 * How many consumers a tenant has, and how far behind the slowest is.
 */
int
mt_count_consumers(const char *tenant, int64 *longest_lag)
{
	MtEventPosition position;
	List	   *consumers = push_reading_all(tenant, true, &position);
	ListCell   *cell;

	PopActiveSnapshot();
	*longest_lag = 0;
	foreach(cell, consumers)
		*longest_lag = Max(*longest_lag, position.last_seq - ((const Consumer *) lfirst(cell))->acked_seq);
	return list_length(consumers);
}

/* True when a table has a row of the consumer. */
static bool
has_row(MtTenantTable *table, const char *tenant, const char *name, Snapshot snapshot)
{
	MtTenantScan scan;
	ScanKeyData key;
	bool		found;

	mt_tenant_scan_open(&scan, table, tenant, snapshot, 1);
	mt_tenant_key(&key, CONSUMER_NAME + 1, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(name));
	mt_tenant_scan_start(&scan, &key, 1);
	found = mt_tenant_scan_next(&scan, ForwardScanDirection);
	mt_tenant_scan_close(&scan);
	return found;
}

/*
 * True when a consumer's newest row stands in the table that was left and is needed. One that is dropped goes with the table, unless an older row in
 * the other one would bring it back.
 */
static bool
must_move(const char *tenant, const char *name, int from, Consumer *consumer)
{
	bool		needed;

	PushActiveSnapshot(GetLatestSnapshot());
	if (!read_consumer(tenant, name, GetActiveSnapshot(), consumer))
		mt_report_old_event_snapshot();
	needed = consumer->table == from &&
		(consumer->found || has_row(&mt_consumer_tables[mt_table_in_use(MT_CONSUMERS)], tenant, name, GetActiveSnapshot()));
	PopActiveSnapshot();
	return needed;
}

/*
 * Appends to the table in use what is newest of a tenant's consumers and stands in another one, up to max of them, and returns how many; max 0: it only
 * looks whether there is one. Takes no lock for those that stay. For event_ring.c.
 */
int
mt_move_consumers(const char *tenant, int from, int max)
{
	int			found = 0;
	char	   *next;

	PushActiveSnapshot(GetLatestSnapshot());
	for (char *name = next_consumer_name(tenant, "", GetActiveSnapshot()); name != NULL && found < Max(max, 1); name = next)
	{
		Consumer	consumer;

		CHECK_FOR_INTERRUPTS();
		next = next_consumer_name(tenant, name, GetActiveSnapshot());
		if (!must_move(tenant, name, from, &consumer))
			continue;
		/* One that somebody is busy with has its turn later. */
		if (max > 0 && !mt_lock_consumer(tenant, name, false))
			continue;
		found++;
		/* It may have gone on before it was locked. */
		if (max > 0 && must_move(tenant, name, from, &consumer))
			write_consumer(tenant, name, &consumer);
	}
	PopActiveSnapshot();
	return found;
}
