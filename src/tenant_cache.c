/*
 * tenant_cache.c
 *		The tenant cache: rendered documents of a tenant, each kept as text with a version and the snapshot that it shows.
 *
 * A document is given to a query exactly where the query's snapshot shows it and no change after it (cache_change.c); else it is rendered in the
 * query's snapshot, and kept if nothing has been committed since. So a query gets what rendering would have given it, in any isolation level: a
 * racing reader can at worst keep a document that no newer snapshot takes. Under SERIALIZABLE the look into the log of changes is what conflicts
 * with a concurrent change, and nothing is kept, so that readers do not conflict with one another. A transaction that has changed what a document
 * shows neither takes nor keeps it. In recovery and in a read-only transaction documents are rendered and not kept.
 *
 * Keeping is never worth waiting for, or an error: who finds somebody in the way does without. Documents are added and deleted, never updated.
 *
 * Called as SQL functions by readers, and by the gateway through cache_version and cache_document, whose contract is in sql/cache.sql. What a
 * document holds is SQL (mindtickle.render_roster, mindtickle.render_catalog).
 */
#include "tenant_cache.h"

#include "access.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* Columns of cache_entry, in the order of sql/cache_tables.sql. */
#define ENTRY_TENANT_ID		1
#define ENTRY_RESOURCE		2
#define ENTRY_XID			3
#define ENTRY_PART			4
#define ENTRY_VERSION		5
#define ENTRY_BYTES			6
#define ENTRY_CURSOR		7
#define ENTRY_RENDERED_AT	8
#define ENTRY_EXPIRES_AT	9
#define ENTRY_BODY			10
#define ENTRY_COLUMNS		10

/* Changes that are removed when a document is kept. */
#define FORGET_MAX	1000

/* A document as it is given out. */
typedef struct Document
{
	int64		version;
	text	   *body;			/* whole, in the caller's memory; NULL: only the version was asked for */
	TimestampTz rendered_at;
	int64		budget;			/* what the tenant's documents may take together, when it was rendered */
} Document;

/* How each is rendered, and how long it may be given out, in microseconds. */
typedef struct Recipe
{
	int64		lifetime;
	MtPlan		render;
} Recipe;

#define RENDER(function) \
	{"SELECT " function "($1), trunc((mindtickle.effective_settings($1) ->> 'cache_bytes')::numeric)::int8", 1, {TEXTOID},.read_only = true}

static Recipe recipes[MT_CACHE_RESOURCES] = {
	{10 * 60 * USECS_PER_SEC, RENDER("mindtickle.render_roster")},
	{30 * 60 * USECS_PER_SEC, RENDER("mindtickle.render_catalog")}
};

static MtTenantTable entry_table = {.table = {"cache_entry"}};

PG_FUNCTION_INFO_V1(mt_cache_version);
PG_FUNCTION_INFO_V1(mt_cache_document);
PG_FUNCTION_INFO_V1(mt_get_user_roster);
PG_FUNCTION_INFO_V1(mt_get_course_catalog);
PG_FUNCTION_INFO_V1(mt_invalidate_tenant);
PG_FUNCTION_INFO_V1(mt_trim_cache);

/* The first 63 bits of SHA-256: as bigint it is not negative. */
static int64
version_of(text *body)
{
	uint8	   *hash = (uint8 *) VARDATA_ANY(DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(body))));
	uint64		version = 0;

	for (int i = 0; i < (int) sizeof(version); i++)
		version = version << 8 | hash[i];
	return (int64) (version >> 1);
}

static int64
number_of_entry(MtTenantScan *scan, int column)
{
	bool		isnull;

	return DatumGetInt64(slot_getattr(scan->slot, column, &isnull));
}

/* Opens a scan of the documents of one kind, or of all where resource is MT_CACHE_RESOURCES, newest first when read backwards. */
static void
open_entries(MtTenantScan *scan, const char *tenant, MtCacheResource resource, Snapshot snapshot)
{
	ScanKeyData key;
	int			count = resource == MT_CACHE_RESOURCES ? 0 : 1;

	if (count > 0)
		mt_tenant_key(&key, ENTRY_RESOURCE, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(mt_cache_resource_name(resource)));
	mt_tenant_scan_open(scan, &entry_table, tenant, snapshot, count);
	mt_tenant_scan_start(scan, &key, count);
}

/* True when the document at which the scan is is right in the snapshot. */
static bool
entry_holds(MtTenantScan *scan, MtCacheResource resource, Snapshot snapshot)
{
	MtCursor	cursor;
	bool		isnull;

	if (number_of_entry(scan, ENTRY_EXPIRES_AT) <= GetCurrentTimestamp())
		return false;
	mt_read_cursor(slot_getattr(scan->slot, ENTRY_CURSOR, &isnull), &cursor);
	return !mt_cache_changed_since(scan->tenant, resource, &cursor, snapshot);
}

/* Finds a document that is right in the snapshot. */
static bool
find_entry(const char *tenant, MtCacheResource resource, Snapshot snapshot, bool with_body, Document *document)
{
	MtTenantScan scan;
	bool		found = false;
	bool		isnull;

	open_entries(&scan, tenant, resource, snapshot);
	while (!found && mt_tenant_scan_next(&scan, BackwardScanDirection))
		found = entry_holds(&scan, resource, snapshot);
	if (found)
	{
		document->version = number_of_entry(&scan, ENTRY_VERSION);
		document->body = with_body ? DatumGetTextPCopy(slot_getattr(scan.slot, ENTRY_BODY, &isnull)) : NULL;
	}
	mt_tenant_scan_close(&scan);
	return found;
}

/*
 * What is kept of a document that is right in the snapshot: its version, bytes, rendered_at and expires_at; false: nothing is.
 */
bool
mt_cache_kept(const char *tenant, MtCacheResource resource, Snapshot snapshot, Datum *columns)
{
	static const int shown[] = {ENTRY_VERSION, ENTRY_BYTES, ENTRY_RENDERED_AT, ENTRY_EXPIRES_AT};
	MtTenantScan scan;
	bool		found = false;
	bool		isnull;

	open_entries(&scan, tenant, resource, snapshot);
	while (!found && mt_tenant_scan_next(&scan, BackwardScanDirection))
		found = entry_holds(&scan, resource, snapshot);
	for (int i = 0; found && i < (int) lengthof(shown); i++)
		columns[i] = slot_getattr(scan.slot, shown[i], &isnull);
	mt_tenant_scan_close(&scan);
	return found;
}

/* Renders a document in the snapshot, for a caller whose right has been checked. */
static void
render(FunctionCallInfo fcinfo, const char *tenant, MtCacheResource resource, Snapshot snapshot, Document *document)
{
	MtServiceCall call;
	Datum		value = CStringGetTextDatum(tenant);
	bool		isnull;

	document->rendered_at = GetCurrentTimestamp();
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, false);
	mt_plan_run_in(&recipes[resource].render, &value, NULL, SPI_OK_SELECT, snapshot);
	document->budget = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	/* A snapshot from before the tenant shows no settings of it. */
	if (isnull)
		document->budget = 0;
	MemoryContextSwitchTo(call.context);
	document->body = DatumGetTextPCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	mt_service_leave(&call);
	document->version = version_of(document->body);
	mt_cache_count(tenant, resource, MT_CACHE_RENDERED);
}

/* Deletes what the document takes the place of, and then, oldest first, what there is no room for beside it. False: it must not be kept. */
static bool
make_room(const char *tenant, MtCacheResource resource, int64 bytes, int64 budget, Snapshot snapshot)
{
	MtTenantScan scan;
	bool		isnull;
	int64		others = 0;
	const char *name = mt_cache_resource_name(resource);

	if (bytes > budget)
		return false;
	open_entries(&scan, tenant, resource, snapshot);
	while (mt_tenant_scan_next(&scan, ForwardScanDirection))
		(void) mt_tenant_scan_delete(&scan);
	mt_tenant_scan_close(&scan);

	/* Backwards, so that within a kind the newest comes first and the older ones go. */
	open_entries(&scan, tenant, MT_CACHE_RESOURCES, snapshot);
	while (mt_tenant_scan_next(&scan, BackwardScanDirection))
	{
		if (strcmp(TextDatumGetCString(slot_getattr(scan.slot, ENTRY_RESOURCE, &isnull)), name) == 0)
			continue;
		others += number_of_entry(&scan, ENTRY_BYTES);
		if (others + bytes > budget && mt_tenant_scan_delete(&scan))
			others -= number_of_entry(&scan, ENTRY_BYTES);
	}
	mt_tenant_scan_close(&scan);
	return others + bytes <= budget;
}

static void
append_entry(const char *tenant, MtCacheResource resource, const Document *document, Datum cursor)
{
	static FullTransactionId transaction_here;
	static int32 part = 0;
	FullTransactionId transaction = GetTopFullTransactionId();
	Datum		values[ENTRY_COLUMNS];
	bool		nulls[ENTRY_COLUMNS] = {false};

	if (!FullTransactionIdEquals(transaction, transaction_here))
	{
		transaction_here = transaction;
		part = 0;
	}
	values[ENTRY_TENANT_ID - 1] = CStringGetTextDatum(tenant);
	values[ENTRY_RESOURCE - 1] = CStringGetTextDatum(mt_cache_resource_name(resource));
	values[ENTRY_XID - 1] = FullTransactionIdGetDatum(transaction);
	values[ENTRY_PART - 1] = Int32GetDatum(part++);
	values[ENTRY_VERSION - 1] = Int64GetDatum(document->version);
	values[ENTRY_BYTES - 1] = Int64GetDatum(VARSIZE_ANY_EXHDR(document->body));
	values[ENTRY_CURSOR - 1] = cursor;
	values[ENTRY_RENDERED_AT - 1] = TimestampTzGetDatum(document->rendered_at);
	values[ENTRY_EXPIRES_AT - 1] = TimestampTzGetDatum(document->rendered_at + recipes[resource].lifetime);
	values[ENTRY_BODY - 1] = PointerGetDatum(document->body);
	mt_tenant_table_append(&entry_table, values, nulls);
	mt_cache_count(tenant, resource, MT_CACHE_KEPT);
}

/*
 * Removes documents that are not right any more, and changes that nobody needs any more. Returns how many rows; forget is a bound for the changes of
 * each document.
 */
static int64
trim(const char *tenant, int64 forget)
{
	Snapshot	snapshot;
	int64		removed = 0;
	bool		all_deleted = true;

	/* A document that has not committed yet cannot be seen, and may need the changes. */
	if (!mt_lock_cache(tenant, AccessExclusiveLock))
		return 0;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	for (int resource = 0; resource < MT_CACHE_RESOURCES; resource++)
	{
		MtTenantScan scan;

		open_entries(&scan, tenant, (MtCacheResource) resource, snapshot);
		while (mt_tenant_scan_next(&scan, ForwardScanDirection))
		{
			if (entry_holds(&scan, (MtCacheResource) resource, snapshot))
				continue;
			if (mt_tenant_scan_delete(&scan))
				removed++;
			else
				all_deleted = false;
		}
		mt_tenant_scan_close(&scan);
	}
	UnregisterSnapshot(snapshot);
	for (int resource = 0; all_deleted && resource < MT_CACHE_RESOURCES; resource++)
		removed += mt_cache_forget_changes(tenant, (MtCacheResource) resource, forget);
	mt_unlock_cache(tenant, AccessExclusiveLock);
	return removed;
}

/*
 * The active snapshot as a cursor: a pg_snapshot that has not what this transaction writes. To its own snapshots it is as if it had ended, and what
 * it will yet change would pass for seen.
 */
static Datum
cursor_of_active_snapshot(void)
{
	Datum		snapshot = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
	FullTransactionId transaction = GetTopFullTransactionIdIfAny();
	uint64		xid = U64FromFullTransactionId(transaction);
	MtCursor	cursor;
	StringInfoData text;
	int			before = 0;

	mt_read_cursor(snapshot, &cursor);
	if (!FullTransactionIdIsValid(transaction) || !mt_cursor_has(&cursor, xid))
		return snapshot;
	while (before < cursor.count && cursor.in_progress[before] < xid)
		before++;
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":", cursor.xmin, cursor.xmax);
	for (int i = 0; i < before; i++)
		appendStringInfo(&text, UINT64_FORMAT ",", cursor.in_progress[i]);
	appendStringInfo(&text, UINT64_FORMAT, xid);
	for (int i = before; i < cursor.count; i++)
		appendStringInfo(&text, "," UINT64_FORMAT, cursor.in_progress[i]);
	return DirectFunctionCall1(pg_snapshot_in, CStringGetDatum(text.data));
}

/* Keeps a document that was rendered in the active snapshot, unless that shows less than has been committed by now, or somebody is in the way. */
static void
keep(const char *tenant, MtCacheResource resource, const Document *document, uint64 generation)
{
	Datum		cursor_datum = cursor_of_active_snapshot();
	MtCursor	cursor;
	Snapshot	latest;
	Document	other;

	if (XactReadOnly || IsolationIsSerializable() || !mt_keep_tenant(tenant, generation) || !mt_lock_cache(tenant, ShareUpdateExclusiveLock))
		return;
	if (mt_lock_cache(tenant, AccessShareLock))
	{
		mt_read_cursor(cursor_datum, &cursor);
		latest = RegisterSnapshot(GetLatestSnapshot());
		if (!mt_cache_changed_since(tenant, resource, &cursor, latest) && !find_entry(tenant, resource, latest, false, &other) &&
			make_room(tenant, resource, VARSIZE_ANY_EXHDR(document->body), document->budget, latest))
			append_entry(tenant, resource, document, cursor_datum);
		UnregisterSnapshot(latest);
		CommandCounterIncrement();
		(void) trim(tenant, FORGET_MAX);
	}
	/* The end of a statement's own transaction comes soon, and until then nobody else needs to store the same. */
	if (IsTransactionBlock())
		mt_unlock_cache(tenant, ShareUpdateExclusiveLock);
}

/* The document as the query's snapshot shows it. */
static void
get_document(FunctionCallInfo fcinfo, const char *tenant, MtCacheResource resource, Document *document)
{
	Snapshot	snapshot = GetActiveSnapshot();
	uint64		generation = mt_access_generation();
	bool		cached;

	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	cached = !RecoveryInProgress() && !mt_cache_changed_here(resource);
	if (cached && find_entry(tenant, resource, snapshot, true, document))
	{
		mt_cache_count(tenant, resource, MT_CACHE_HIT);
		return;
	}
	render(fcinfo, tenant, resource, snapshot, document);
	if (cached)
		keep(tenant, resource, document, generation);
}

/* The document that an SQL argument names: ERROR 22023 where there is no such. */
static MtCacheResource
resource_argument(text *name)
{
	MtCacheResource resource;

	if (!mt_cache_resource_by_name(text_to_cstring(name), &resource))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("resource must be one of \"roster\", \"catalog\"")));
	return resource;
}

/*
 * mindtickle.cache_version(tenant, resource) -> bigint
 */
Datum
mt_cache_version(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtCacheResource resource;
	Document	document;

	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	resource = resource_argument(PG_GETARG_TEXT_PP(1));
	if (RecoveryInProgress() || mt_cache_changed_here(resource) || !find_entry(tenant, resource, GetActiveSnapshot(), false, &document))
		PG_RETURN_NULL();
	mt_cache_count(tenant, resource, MT_CACHE_HIT);
	PG_RETURN_INT64(document.version);
}

/*
 * mindtickle.cache_document(tenant, resource) -> (version, body)
 */
Datum
mt_cache_document(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TupleDesc	descriptor;
	Document	document;
	Datum		values[2];
	bool		nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "mt_cache_document must return a row");
	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	get_document(fcinfo, tenant, resource_argument(PG_GETARG_TEXT_PP(1)), &document);
	values[0] = Int64GetDatum(document.version);
	values[1] = PointerGetDatum(document.body);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

/*
 * mt_get_user_roster(tenant) -> json
 */
Datum
mt_get_user_roster(PG_FUNCTION_ARGS)
{
	Document	document;

	get_document(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)), MT_CACHE_ROSTER, &document);
	PG_RETURN_TEXT_P(document.body);
}

/*
 * mt_get_course_catalog(tenant) -> json
 */
Datum
mt_get_course_catalog(PG_FUNCTION_ARGS)
{
	Document	document;

	get_document(fcinfo, text_to_cstring(PG_GETARG_TEXT_PP(0)), MT_CACHE_CATALOG, &document);
	PG_RETURN_TEXT_P(document.body);
}

/*
 * mt_invalidate_tenant(tenant) -> integer: removes the documents that there are, and has those that are being rendered now not be taken later.
 */
Datum
mt_invalidate_tenant(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	MtTenantScan scan;
	Snapshot	latest;
	int32		removed = 0;

	PreventCommandIfReadOnly("mt_invalidate_tenant()");
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	for (int resource = 0; resource < MT_CACHE_RESOURCES; resource++)
		mt_cache_log_change(tenant, (int) strlen(tenant), (MtCacheResource) resource);
	latest = RegisterSnapshot(GetLatestSnapshot());
	open_entries(&scan, tenant, MT_CACHE_RESOURCES, latest);
	while (mt_tenant_scan_next(&scan, ForwardScanDirection))
		removed += mt_tenant_scan_delete(&scan);
	mt_tenant_scan_close(&scan);
	UnregisterSnapshot(latest);
	mt_service_leave(&call);
	PG_RETURN_INT32(removed);
}

/*
 * mindtickle.trim_cache(tenant) -> bigint: for the worker that removes what has had its time.
 */
Datum
mt_trim_cache(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));

	mt_require_access(fcinfo, tenant, MT_ACCESS_OWNER);
	PG_RETURN_INT64(trim(tenant, PG_INT64_MAX));
}
