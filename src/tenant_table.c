/*
 * tenant_table.c
 *		Reads and appends rows of one tenant by the table's own index, without the executor: for what must not cost more than the round trip.
 *
 * Row security does not see these scans. In its place, the tenant is always the first key of the index, and every row that comes back is
 * compared with it once more. Locks are given back when a scan ends, so a transaction that has read and goes on does not keep a table from
 * being truncated; mt_tenant_table_newer then tells a reader with an older snapshot.
 *
 * Called by the files of readiness, of events and of the tenant cache, and by user.c, after they have checked the caller's right to the tenant
 * (tenant_context.c). Never checks it itself.
 */
#include "tenant_table.h"

#include "access.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * Oid of a relation. ERROR 42P01 where the extension is absent or broken.
 */
Oid
mt_relation_oid(MtRelationName *relation)
{
	uint64		generation = mt_access_generation();

	if (relation->generation != generation)
	{
		relation->oid = mt_relation(relation->name);
		relation->generation = generation;
	}
	return relation->oid;
}

/*
 * The primary key of a table, which leads with tenant_id. Not to be kept: REINDEX CONCURRENTLY puts another index in its place.
 */
Oid
mt_tenant_table_index(Relation relation)
{
#if PG_VERSION_NUM >= 180000
	Oid			index = RelationGetPrimaryKeyIndex(relation, false);
#else
	Oid			index = RelationGetPrimaryKeyIndex(relation);
#endif

	if (!OidIsValid(index))
		elog(ERROR, "table %s has no primary key", RelationGetRelationName(relation));
	return index;
}

/*
 * A key of a scan. Text is compared bytewise, as all our ids are.
 */
void
mt_tenant_key(ScanKey key, AttrNumber column, StrategyNumber strategy, RegProcedure function, Datum value)
{
	ScanKeyEntryInitialize(key, 0, column, strategy, InvalidOid, C_COLLATION_OID, function, value);
}

/*
 * index_beginscan of any release, without orderings.
 */
IndexScanDesc
mt_index_beginscan(Relation relation, Relation index, Snapshot snapshot, int keys)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(relation, index, snapshot, NULL, keys, 0);
#else
	return index_beginscan(relation, index, snapshot, keys, 0);
#endif
}

/*
 * Opens a scan of the tenant's rows as the snapshot shows them; keys is how many columns after tenant_id mt_tenant_scan_start will give.
 */
void
mt_tenant_scan_open(MtTenantScan *scan, MtTenantTable *table, const char *tenant, Snapshot snapshot, int keys)
{
	Assert(keys <= MT_SCAN_KEYS_MAX);
	scan->tenant = tenant;
	scan->relation = table_open(mt_relation_oid(&table->table), AccessShareLock);
	scan->index = index_open(table->index == NULL ? mt_tenant_table_index(scan->relation) : mt_relation(table->index), AccessShareLock);
	scan->slot = table_slot_create(scan->relation, NULL);
	scan->scan = mt_index_beginscan(scan->relation, scan->index, snapshot, keys + 1);
}

/*
 * Begins with the rows that the keys describe, which are of the index's columns from the second on; may be called again with others.
 */
void
mt_tenant_scan_start(MtTenantScan *scan, const ScanKeyData *keys, int count)
{
	ScanKeyData all[1 + MT_SCAN_KEYS_MAX];

	mt_tenant_key(&all[0], 1, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(scan->tenant));
	memcpy(&all[1], keys, sizeof(ScanKeyData) * count);
	index_rescan(scan->scan, all, count + 1, NULL, 0);
}

/*
 * The next row, in scan->slot; false: there is none. ERROR XX000 where it is not the tenant's, which would be a fault of ours.
 */
bool
mt_tenant_scan_next(MtTenantScan *scan, ScanDirection direction)
{
	bool		isnull;
	text	   *row_tenant;

	if (!index_getnext_slot(scan->scan, direction, scan->slot))
		return false;
	row_tenant = DatumGetTextPP(slot_getattr(scan->slot, 1, &isnull));
	if (isnull || VARSIZE_ANY_EXHDR(row_tenant) != strlen(scan->tenant) ||
		memcmp(VARDATA_ANY(row_tenant), scan->tenant, strlen(scan->tenant)) != 0)
		elog(ERROR, "a scan of %s found a row of another tenant", RelationGetRelationName(scan->relation));
	return true;
}

/*
 * Ends a scan and gives back its locks.
 */
void
mt_tenant_scan_close(MtTenantScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->relation, AccessShareLock);
}

/*
 * The transaction that last wrote a table's row of pg_class: it has truncated or altered the table, or made it.
 */
TransactionId
mt_tenant_table_altered_by(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	TransactionId altered_by;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relation);
	altered_by = HeapTupleHeaderGetXmin(tuple->t_data);
	ReleaseSysCache(tuple);
	return altered_by;
}

/*
 * True when the table was truncated, or changed otherwise, by a transaction that the snapshot does not see: then rows that it should show may
 * be gone. Whoever reads it afterwards holds a lock on it already. As for an index with indcheckxmin, the row of pg_class tells.
 */
bool
mt_tenant_table_newer(Oid relation, Snapshot snapshot)
{
	TransactionId changed_by = mt_tenant_table_altered_by(relation);

	if (!TransactionIdIsNormal(changed_by) || TransactionIdIsCurrentTransactionId(changed_by))
		return false;
	return XidInMVCCSnapshot(changed_by, snapshot);
}

/* Adds the entry of a row to the index. */
static void
insert_index_entry(Relation relation, Relation index, IndexInfo *index_info, const Datum *values, const bool *nulls, ItemPointer tid)
{
	Datum		index_values[INDEX_MAX_KEYS];
	bool		index_nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < index_info->ii_NumIndexAttrs; i++)
	{
		AttrNumber	column = index_info->ii_IndexAttrNumbers[i];

		index_values[i] = values[column - 1];
		index_nulls[i] = nulls[column - 1];
	}
	index_insert(index, index_values, index_nulls, tid, relation, index_info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, index_info);
}

/*
 * True when this transaction holds a lock of just this mode on a relation.
 */
bool
mt_relation_locked_here(Oid relation, LOCKMODE mode)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(&tag, mode, false);
#else
	return LockHeldByMe(&tag, mode);
#endif
}

/*
 * Deletes the row at which the scan is, as the table's owner would. False where somebody else is about to, or has: it does not wait.
 */
bool
mt_tenant_scan_delete(MtTenantScan *scan)
{
	TM_FailureData failure;

	LockRelationOid(RelationGetRelid(scan->relation), RowExclusiveLock);
	return table_tuple_delete(scan->relation, &scan->slot->tts_tid, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot, false, &failure,
							  false) == TM_Ok;
}

/* The table's index where it has one alone; else InvalidOid, as when REINDEX CONCURRENTLY is about to put another one in its place. */
static Oid
only_index(Relation relation)
{
	Oid			index = mt_tenant_table_index(relation);
	List	   *indexes = RelationGetIndexList(relation);
	bool		alone = list_length(indexes) == 1;

	list_free(indexes);
	return alone ? index : InvalidOid;
}

/* Adds the entries of a row to all indexes of its table, whatever they are. */
static void
insert_index_entries(Relation relation, TupleTableSlot *slot)
{
	EState	   *state = CreateExecutorState();
	MemoryContext previous = MemoryContextSwitchTo(state->es_query_cxt);
	ResultRelInfo *target = makeNode(ResultRelInfo);

	slot->tts_tableOid = RelationGetRelid(relation);
	InitResultRelInfo(target, relation, 1, NULL, 0);
	ExecOpenIndices(target, false);
#if PG_VERSION_NUM >= 160000
	(void) ExecInsertIndexTuples(target, slot, state, false, false, NULL, NIL, false);
#else
	(void) ExecInsertIndexTuples(target, slot, state, false, false, NULL, NIL);
#endif
	ExecCloseIndices(target);
	MemoryContextSwitchTo(previous);
	FreeExecutorState(state);
}

/*
 * Appends a row, as the table's owner would: no right is checked, no policy asked, no trigger fired.
 */
void
mt_tenant_table_append(MtTenantTable *table, Datum *values, bool *nulls)
{
	Relation	relation = table_open(mt_relation_oid(&table->table), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(relation), values, nulls);
	Oid			only = only_index(relation);

	simple_heap_insert(relation, tuple);
	if (OidIsValid(only))
	{
		Relation	index = index_open(only, RowExclusiveLock);
		IndexInfo  *index_info = BuildIndexInfo(index);

		insert_index_entry(relation, index, index_info, values, nulls, &tuple->t_self);
		pfree(index_info);
		index_close(index, NoLock);
	}
	else
	{
		TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);

		ExecStoreHeapTuple(tuple, slot, false);
		insert_index_entries(relation, slot);
		ExecDropSingleTupleTableSlot(slot);
	}
	heap_freetuple(tuple);
	table_close(relation, NoLock);
}

/*
 * Begins to append rows, as mt_tenant_table_append does.
 */
void
mt_tenant_writer_open(MtTenantWriter *writer, MtTenantTable *table)
{
	Oid			only;

	memset(writer, 0, sizeof(MtTenantWriter));
	writer->relation = table_open(mt_relation_oid(&table->table), RowExclusiveLock);
	only = only_index(writer->relation);
	if (!OidIsValid(only))
		return;
	writer->index = index_open(only, RowExclusiveLock);
	writer->index_info = BuildIndexInfo(writer->index);
}

static void
flush_writer(MtTenantWriter *writer)
{
	heap_multi_insert(writer->relation, writer->slots, writer->waiting, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < writer->waiting; i++)
	{
		TupleTableSlot *slot = writer->slots[i];

		slot_getallattrs(slot);
		if (writer->index != NULL)
			insert_index_entry(writer->relation, writer->index, writer->index_info, slot->tts_values, slot->tts_isnull, &slot->tts_tid);
		else
			insert_index_entries(writer->relation, slot);
		ExecClearTuple(slot);
	}
	writer->waiting = 0;
}

/*
 * Appends a row; the values are copied.
 */
void
mt_tenant_writer_add(MtTenantWriter *writer, Datum *values, bool *nulls)
{
	TupleDesc	descriptor = RelationGetDescr(writer->relation);

	if (writer->slots[writer->waiting] == NULL)
		writer->slots[writer->waiting] = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	ExecStoreHeapTuple(heap_form_tuple(descriptor, values, nulls), writer->slots[writer->waiting], true);
	if (++writer->waiting == MT_ROWS_TOGETHER)
		flush_writer(writer);
}

/*
 * Ends appending; the lock is kept to the end of the transaction.
 */
void
mt_tenant_writer_close(MtTenantWriter *writer)
{
	if (writer->waiting > 0)
		flush_writer(writer);
	for (int i = 0; i < MT_ROWS_TOGETHER && writer->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	if (writer->index != NULL)
	{
		pfree(writer->index_info);
		index_close(writer->index, NoLock);
	}
	table_close(writer->relation, NoLock);
}

/*
 * Reads the newest of the rows that the keys describe from tables of one kind: the one whose column after them, int8 and the last of the index, is
 * highest. Values are copied; found_in is the table, -1 where there is no row; written_by, unless NULL, whose row it is. False: a table was emptied
 * by a transaction that the snapshot does not see, so what it says is not known.
 */
bool
mt_read_newest(MtTenantTable *tables, int count, const char *tenant, const ScanKeyData *keys, int key_count, Snapshot snapshot,
			   Datum *values, bool *nulls, int *found_in, TransactionId *written_by)
{
	AttrNumber	number = key_count + 2;

	*found_in = -1;
	for (int table = 0; table < count; table++)
	{
		Relation	relation = table_open(mt_relation_oid(&tables[table].table), AccessShareLock);
		MtTenantScan scan;
		bool		isnull;

		if (mt_tenant_table_newer(RelationGetRelid(relation), snapshot))
		{
			table_close(relation, AccessShareLock);
			return false;
		}
		/* Most often one of the tables is empty. */
		if (RelationGetNumberOfBlocks(relation) == 0)
		{
			table_close(relation, AccessShareLock);
			continue;
		}
		mt_tenant_scan_open(&scan, &tables[table], tenant, snapshot, key_count);
		mt_tenant_scan_start(&scan, keys, key_count);
		if (mt_tenant_scan_next(&scan, BackwardScanDirection) &&
			(*found_in < 0 || DatumGetInt64(slot_getattr(scan.slot, number, &isnull)) > DatumGetInt64(values[number - 1])))
		{
			HeapTuple	tuple = ExecCopySlotHeapTuple(scan.slot);

			if (written_by != NULL)
				*written_by = HeapTupleHeaderGetXmin(tuple->t_data);
			/* The table may be emptied as soon as the scan has ended, and what is kept out of line with it. */
			if (HeapTupleHasExternal(tuple))
				tuple = toast_flatten_tuple(tuple, RelationGetDescr(scan.relation));
			heap_deform_tuple(tuple, RelationGetDescr(scan.relation), values, nulls);
			*found_in = table;
		}
		mt_tenant_scan_close(&scan);
		table_close(relation, AccessShareLock);
	}
	return true;
}
