/*
 * readiness_delta.c
 *		Triggers on users, course_progress and quiz_submission: each statement appends what it does to the readiness figures.
 *
 * What is appended never depends on other rows: whether a user counts is for the reader to find out, in his snapshot. A trigger that looked at
 * users would miss a deactivation that commits at the same time. A statement of very many rows asks for a new count of its tenants instead.
 *
 * Logical replication fires no statement triggers, nor does session_replication_role = replica: there a trigger for each row, which is silent
 * otherwise, asks for a new count of the row's tenant.
 *
 * Called by PostgreSQL's executor, as whoever writes; the deltas are appended as the owner would (tenant_table.c).
 */
#include "mindtickle.h"

#include "access.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "readiness_row.h"
#include "readiness_store.h"
#include "shared_state.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/* Entries of one statement that are kept apart. */
#define ENTRIES_MAX		50000
/* Bytes of entries in one row: with its header it stays below a page, and so in the table. */
#define PACKED_MAX		7800

/* What a statement does, while it is collected. */
typedef struct Collection
{
	MtEntries	entries;
	MemoryContext ids;			/* of the entries' ids; where there are many rows, those of the rows since the entries were merged last */
	bool		recount;		/* there was too much: an entry for each tenant, and nothing else in it */
} Collection;

PG_FUNCTION_INFO_V1(mt_readiness_user_changed);
PG_FUNCTION_INFO_V1(mt_readiness_progress_changed);
PG_FUNCTION_INFO_V1(mt_readiness_quiz_changed);
PG_FUNCTION_INFO_V1(mt_readiness_truncated);
PG_FUNCTION_INFO_V1(mt_readiness_replicated);

/* The place of a tenant in the sorted entries of a recount, where it is or belongs. */
static int
place_of_tenant(const MtEntries *entries, MtId tenant)
{
	int			low = 0;
	int			high = entries->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (mt_compare_ids(entries->entries[middle].tenant, tenant) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Notes that a tenant is to be counted anew. */
static void
add_tenant(MtEntries *entries, MtId tenant)
{
	int			place = place_of_tenant(entries, tenant);

	if (place < entries->count && mt_compare_ids(entries->entries[place].tenant, tenant) == 0)
		return;
	(void) mt_new_entry(entries);
	memmove(&entries->entries[place + 1], &entries->entries[place], sizeof(MtEntry) * (entries->count - 1 - place));
	memset(&entries->entries[place], 0, sizeof(MtEntry));
	entries->entries[place].tenant.length = tenant.length;
	entries->entries[place].tenant.bytes = memcpy(palloc(tenant.length + 1), tenant.bytes, tenant.length);
}

/* Gives up to keep the entries apart. */
static void
begin_recount(Collection *collection)
{
	MtEntries	all = collection->entries;

	memset(&collection->entries, 0, sizeof(MtEntries));
	collection->recount = true;
	for (int i = 0; i < all.count; i++)
		add_tenant(&collection->entries, all.entries[i].tenant);
	pfree(all.entries);
}

static char *
move_id(MtId *id, char *to)
{
	if (id->length > 0)
		id->bytes = memcpy(to, id->bytes, id->length);
	return to + id->length;
}

/* Merges the entries, and gives back what the ids of all the others took: a statement of millions of rows takes no more memory than one of ENTRIES_MAX. */
static void
merge(Collection *collection)
{
	MtEntries  *entries = &collection->entries;
	MemoryContext former = collection->ids;

	mt_merge_entries(entries);
	collection->ids = AllocSetContextCreate(CurrentMemoryContext, "ids for readiness", ALLOCSET_DEFAULT_SIZES);
	if (entries->count > ENTRIES_MAX)
		begin_recount(collection);
	for (int i = 0; i < entries->count && !collection->recount; i++)
	{
		MtEntry    *entry = &entries->entries[i];
		char	   *to = MemoryContextAlloc(collection->ids, entry->tenant.length + entry->user.length + entry->course.length);

		to = move_id(&entry->tenant, to);
		to = move_id(&entry->user, to);
		(void) move_id(&entry->course, to);
	}
	if (former != CurrentMemoryContext)
		MemoryContextDelete(former);
}

/* Adds a row, with the context of the ids in force. Rows in a row have most often the same tenant, and many the same user. */
static void
collect_row(MtEntries *entries, TupleTableSlot *row, MtReadRow read_row, int factor)
{
	MtEntry    *entry = mt_new_entry(entries);
	MtEntry    *last = entries->count > 1 ? entry - 1 : NULL;

	entry->tenant = mt_id_of_row(row, MT_ROW_TENANT_ID, last == NULL ? NULL : &last->tenant);
	entry->user = mt_id_of_row(row, MT_ROW_USER_ID, last == NULL ? NULL : &last->user);
	read_row(row, entry, factor);
}

/* Adds the rows of a transition table. */
static void
collect(Collection *collection, Tuplestorestate *rows, TupleDesc descriptor, MtReadRow read_row, int factor)
{
	TupleTableSlot *row;

	if (rows == NULL)
		return;
	row = MakeSingleTupleTableSlot(descriptor, &TTSOpsMinimalTuple);
	mt_reserve_entries(&collection->entries, (int) Min(tuplestore_tuple_count(rows), ENTRIES_MAX));
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, row))
	{
		MemoryContext previous;

		CHECK_FOR_INTERRUPTS();
		previous = MemoryContextSwitchTo(collection->ids);
		if (!collection->recount)
		{
			collect_row(&collection->entries, row, read_row, factor);
			MemoryContextSwitchTo(previous);
			if (collection->entries.count == 2 * ENTRIES_MAX)
				merge(collection);
		}
		else
		{
			MtId		tenant = mt_id_of_row(row, MT_ROW_TENANT_ID, NULL);

			MemoryContextSwitchTo(previous);
			add_tenant(&collection->entries, tenant);
			MemoryContextReset(collection->ids);
		}
	}
	ExecDropSingleTupleTableSlot(row);
}

static void
mark(MtId tenant)
{
	mt_mark_readiness(pnstrdup(tenant.bytes, tenant.length));
}

/* Appends what was collected, for each tenant. */
static void
write_collection(Collection *collection)
{
	MtEntries  *entries = &collection->entries;
	StringInfoData packed;
	int			i = 0;

	if (!collection->recount)
		mt_merge_entries(entries);
	initStringInfo(&packed);
	while (i < entries->count)
	{
		MtId		tenant = entries->entries[i].tenant;

		if (collection->recount)
		{
			mt_write_delta(tenant, NULL, 0);
			i++;
		}
		for (; i < entries->count && !collection->recount && mt_compare_ids(entries->entries[i].tenant, tenant) == 0; i++)
		{
			if (packed.len + MT_PACKED_ENTRY_MAX > PACKED_MAX)
			{
				mt_write_delta(tenant, packed.data, packed.len);
				resetStringInfo(&packed);
			}
			mt_pack_entry(&packed, &entries->entries[i], packed.len == 0 ? NULL : &entries->entries[i - 1]);
		}
		if (packed.len > 0)
			mt_write_delta(tenant, packed.data, packed.len);
		resetStringInfo(&packed);
		mark(tenant);
	}
}

/* What the statement triggers have in common. */
static Datum
statement_changed(FunctionCallInfo fcinfo, MtRelationName *table, MtReadRow read_row)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Collection	collection = {.ids = CurrentMemoryContext};

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		RelationGetRelid(trigger->tg_relation) != mt_relation_oid(table))
		elog(ERROR, "this is a statement trigger of mindtickle.%s", table->name);
	collect(&collection, trigger->tg_oldtable, RelationGetDescr(trigger->tg_relation), read_row, -1);
	collect(&collection, trigger->tg_newtable, RelationGetDescr(trigger->tg_relation), read_row, 1);
	write_collection(&collection);
	return PointerGetDatum(NULL);
}

/*
 * Trigger on users.
 */
Datum
mt_readiness_user_changed(PG_FUNCTION_ARGS)
{
	static MtRelationName table = {"users"};

	return statement_changed(fcinfo, &table, mt_read_user_row);
}

/*
 * Trigger on course_progress.
 */
Datum
mt_readiness_progress_changed(PG_FUNCTION_ARGS)
{
	static MtRelationName table = {"course_progress"};

	return statement_changed(fcinfo, &table, mt_read_progress_row);
}

/*
 * Trigger on quiz_submission.
 */
Datum
mt_readiness_quiz_changed(PG_FUNCTION_ARGS)
{
	static MtRelationName table = {"quiz_submission"};

	return statement_changed(fcinfo, &table, mt_read_quiz_row);
}

/*
 * Trigger on each of the three for TRUNCATE: every tenant is counted anew.
 */
Datum
mt_readiness_truncated(PG_FUNCTION_ARGS)
{
	Datum	   *tenants;
	int			count;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "mt_readiness_truncated is a trigger function");
	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		text	   *name = DatumGetTextPP(tenants[i]);
		MtId		tenant = {VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)};

		mt_write_delta(tenant, NULL, 0);
		mark(tenant);
	}
	return PointerGetDatum(NULL);
}

/* Asks for a new count of the tenant of a row, once a (sub)transaction for tenants in a row. */
static void
recount_tenant_of(HeapTuple tuple, TupleDesc descriptor)
{
	static FullTransactionId last_transaction;
	static SubTransactionId last_subtransaction;
	static char last_tenant[MT_TENANT_MAX + 1];
	bool		isnull;
	char	   *name = TextDatumGetCString(heap_getattr(tuple, MT_ROW_TENANT_ID, descriptor, &isnull));
	FullTransactionId transaction = GetTopFullTransactionId();

	if (FullTransactionIdEquals(transaction, last_transaction) && last_subtransaction == GetCurrentSubTransactionId() &&
		strcmp(last_tenant, name) == 0)
		return;
	mt_write_delta((MtId) {name, strlen(name)}, NULL, 0);
	mt_mark_readiness(name);
	strlcpy(last_tenant, name, sizeof(last_tenant));
	last_subtransaction = GetCurrentSubTransactionId();
	last_transaction = transaction;
}

/*
 * Trigger on each of the three for rows that a replica receives, ENABLE REPLICA.
 */
Datum
mt_readiness_replicated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		elog(ERROR, "mt_readiness_replicated is a row trigger");
	recount_tenant_of(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation));
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		recount_tenant_of(trigger->tg_newtuple, RelationGetDescr(trigger->tg_relation));
	return PointerGetDatum(NULL);
}
