/*
 * cache_change.c
 *		The log of changes under the tenant cache: which transaction changed the rows that a document shows.
 *
 * A trigger on each table behind a document appends the transaction's id to cache_change, once for a tenant and document. Nobody updates a row
 * there, so writers never wait for one another, and as the log is a table, a change in it is visible in exactly the snapshots that show the change
 * itself. A document that shows one snapshot is right in another one where the log, as the second shows it, has nothing that the first does not.
 *
 * What has no trigger is told by the row of pg_class: ALTER TABLE with a new content, a truncated log.
 *
 * Called by PostgreSQL's executor as whoever writes, and by tenant_cache.c.
 */
#include "tenant_cache.h"

#include "access.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/lockdefs.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

/* The column of every table behind a document that holds the tenant. */
#define SOURCE_TENANT_ID	1
/* Columns of cache_change, in the order of sql/cache_tables.sql. */
#define CHANGE_RESOURCE	2
#define CHANGE_XID		3
#define CHANGE_COLUMNS	4
#define SOURCES_MAX		4
/* Transactions in progress at a snapshot that are looked up one by one; of more, all from the first of them on. */
#define LOOKED_UP_MAX	16

/* A document, and the tables behind it: after the last one a name that is NULL. */
typedef struct Resource
{
	const char *name;
	MtRelationName sources[SOURCES_MAX];
} Resource;

static Resource resources[MT_CACHE_RESOURCES] = {
	{"roster", {{"users"}, {"team"}, {"team_member"}}},
	{"catalog", {{"course"}, {"quiz"}}}
};

static MtTenantTable change_table = {.table = {"cache_change"}};

PG_FUNCTION_INFO_V1(mt_cache_changed);

/*
 * Name of a document, as in the tables.
 */
const char *
mt_cache_resource_name(MtCacheResource resource)
{
	return resources[resource].name;
}

/*
 * The document with this name; false: there is none.
 */
bool
mt_cache_resource_by_name(const char *name, MtCacheResource *resource)
{
	for (int i = 0; i < MT_CACHE_RESOURCES; i++)
		if (strcmp(resources[i].name, name) == 0)
		{
			*resource = (MtCacheResource) i;
			return true;
		}
	return false;
}

/*
 * Notes that this transaction changes what is behind a tenant's document. Once is enough for a subtransaction, and for tenants in a row; tenant has
 * length bytes and no end.
 */
void
mt_cache_log_change(const char *tenant, int length, MtCacheResource resource)
{
	static struct
	{
		FullTransactionId transaction;
		SubTransactionId subtransaction;
		int			length;
		char		tenant[MT_TENANT_MAX];
	}			last[MT_CACHE_RESOURCES];
	static FullTransactionId transaction_here;
	static int32 part = 0;
	FullTransactionId transaction = GetTopFullTransactionId();
	Datum		values[CHANGE_COLUMNS];
	bool		nulls[CHANGE_COLUMNS] = {false};

	if (FullTransactionIdEquals(transaction, last[resource].transaction) && last[resource].subtransaction == GetCurrentSubTransactionId() &&
		last[resource].length == length && memcmp(last[resource].tenant, tenant, length) == 0)
		return;
	/* No tenant has such a name. */
	if (length > MT_TENANT_MAX)
		return;
	if (!FullTransactionIdEquals(transaction, transaction_here))
	{
		transaction_here = transaction;
		part = 0;
	}
	values[0] = PointerGetDatum(cstring_to_text_with_len(tenant, length));
	values[CHANGE_RESOURCE - 1] = CStringGetTextDatum(resources[resource].name);
	values[CHANGE_XID - 1] = FullTransactionIdGetDatum(transaction);
	values[CHANGE_COLUMNS - 1] = Int32GetDatum(part++);
	mt_tenant_table_append(&change_table, values, nulls);

	last[resource].transaction = transaction;
	last[resource].subtransaction = GetCurrentSubTransactionId();
	last[resource].length = length;
	memcpy(last[resource].tenant, tenant, length);
}

static void
log_change_of_row(HeapTuple tuple, TupleDesc descriptor, MtCacheResource resource)
{
	bool		isnull;
	text	   *tenant = DatumGetTextPP(heap_getattr(tuple, SOURCE_TENANT_ID, descriptor, &isnull));

	mt_cache_log_change(VARDATA_ANY(tenant), VARSIZE_ANY_EXHDR(tenant), resource);
}

static void
log_change_of_all(MtCacheResource resource)
{
	Datum	   *tenants;
	int			count;

	deconstruct_array(mt_all_tenants(), TEXTOID, -1, false, TYPALIGN_INT, &tenants, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		text	   *tenant = DatumGetTextPP(tenants[i]);

		mt_cache_log_change(VARDATA_ANY(tenant), VARSIZE_ANY_EXHDR(tenant), resource);
	}
}

/*
 * Trigger on each table behind a document, which is its argument: for each row, and for TRUNCATE.
 */
Datum
mt_cache_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	MtCacheResource resource;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) || trigger->tg_trigger->tgnargs != 1 ||
		!mt_cache_resource_by_name(trigger->tg_trigger->tgargs[0], &resource))
		elog(ERROR, "mt_cache_changed is a trigger function and needs the name of a document");
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		log_change_of_all(resource);
	else
	{
		log_change_of_row(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation), resource);
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			log_change_of_row(trigger->tg_newtuple, RelationGetDescr(trigger->tg_relation), resource);
	}
	return PointerGetDatum(NULL);
}

/* True when a table was altered by a transaction that may not have ended before the cursor's. It can be a subtransaction, of which cursors tell nothing. */
static bool
altered_since(MtRelationName *table, const MtCursor *cursor)
{
	TransactionId altered_by = mt_tenant_table_altered_by(mt_relation_oid(table));

	return TransactionIdIsNormal(altered_by) && !TransactionIdPrecedes(altered_by, (TransactionId) cursor->xmin);
}

/* Looks for a change in the range that the key describes. cursor not NULL: those that it has are none. */
static bool
change_found(MtTenantScan *scan, MtCacheResource resource, StrategyNumber strategy, RegProcedure function, uint64 xid, const MtCursor *cursor)
{
	ScanKeyData keys[2];

	mt_tenant_key(&keys[0], CHANGE_RESOURCE, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(resources[resource].name));
	mt_tenant_key(&keys[1], CHANGE_XID, strategy, function, FullTransactionIdGetDatum(FullTransactionIdFromU64(xid)));
	mt_tenant_scan_start(scan, keys, 2);
	while (mt_tenant_scan_next(scan, ForwardScanDirection))
	{
		bool		isnull;

		if (cursor == NULL ||
			!mt_cursor_has(cursor, U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(scan->slot, CHANGE_XID, &isnull)))))
			return true;
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/*
 * True when the snapshot shows a change under a tenant's document that the cursor has not, or one may be hidden.
 */
bool
mt_cache_changed_since(const char *tenant, MtCacheResource resource, const MtCursor *cursor, Snapshot snapshot)
{
	MtTenantScan scan;
	bool		changed = altered_since(&change_table.table, cursor);

	for (int i = 0; !changed && resources[resource].sources[i].name != NULL; i++)
		changed = altered_since(&resources[resource].sources[i], cursor);
	if (changed)
		return true;
	mt_tenant_scan_open(&scan, &change_table, tenant, snapshot, 2);
	if (cursor->count > LOOKED_UP_MAX)
		changed = change_found(&scan, resource, BTGreaterEqualStrategyNumber, F_XID8GE, cursor->xmin, cursor);
	else
	{
		changed = change_found(&scan, resource, BTGreaterEqualStrategyNumber, F_XID8GE, cursor->xmax, NULL);
		for (int i = 0; i < cursor->count && !changed; i++)
			changed = change_found(&scan, resource, BTEqualStrategyNumber, F_XID8EQ, cursor->in_progress[i], NULL);
	}
	mt_tenant_scan_close(&scan);
	return changed;
}

/*
 * True when this transaction may have changed what is behind a document, be it in the statement that is running: it holds the lock for that.
 */
bool
mt_cache_changed_here(MtCacheResource resource)
{
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return false;
	for (int i = 0; resources[resource].sources[i].name != NULL; i++)
	{
		Oid			table = mt_relation_oid(&resources[resource].sources[i]);

		if (mt_relation_locked_here(table, RowExclusiveLock) || mt_relation_locked_here(table, AccessExclusiveLock))
			return true;
	}
	return false;
}

/* Changes before this one are shown by every snapshot that there is. */
static FullTransactionId
everybody_sees_before(void)
{
	Relation	relation = table_open(mt_relation_oid(&change_table.table), AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(relation);
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	table_close(relation, AccessShareLock);
	return FullTransactionIdFromU64(next + (uint64) (int64) (int32) (horizon - (TransactionId) next));
}

/*
 * Removes, as the owner would, changes that every snapshot shows, and returns how many; most is a bound. Nobody may be storing a document that has
 * not committed yet, and documents that these changes make stale must be removed with them.
 */
int64
mt_cache_forget_changes(const char *tenant, MtCacheResource resource, int64 most)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MtTenantScan scan;
	ScanKeyData keys[2];
	int64		removed = 0;

	mt_tenant_key(&keys[0], CHANGE_RESOURCE, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(resources[resource].name));
	mt_tenant_key(&keys[1], CHANGE_XID, BTLessStrategyNumber, F_XID8LT, FullTransactionIdGetDatum(everybody_sees_before()));
	mt_tenant_scan_open(&scan, &change_table, tenant, snapshot, 2);
	mt_tenant_scan_start(&scan, keys, 2);
	while (removed < most && mt_tenant_scan_next(&scan, ForwardScanDirection))
	{
		CHECK_FOR_INTERRUPTS();
		removed += mt_tenant_scan_delete(&scan);
	}
	mt_tenant_scan_close(&scan);
	UnregisterSnapshot(snapshot);
	return removed;
}
