/*
 * progress.c
 *		Course progress: reading items, and writing those that change something in one set-based statement.
 *
 * An item tells what it has keys for: a key that is absent leaves its column as it is, null clears it. The row that is there decides column by
 * column under its lock, so two writers that tell different things of one row lose nothing.
 *
 * The statement updates the rows that are there and differ, and inserts the others, in the order of their courses. ON CONFLICT DO UPDATE would
 * look each row up a second time, and lock it, and so write WAL, before it finds that nothing changes. A user of whom there is no row yet, as in a
 * tenant's first pull, is given his by an INSERT alone, which is about half the work.
 */
#include "progress.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "event.h"
#include "miscadmin.h"
#include "plan.h"
#include "service_call.h"
#include "tenant_table.h"
#include "user.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Items in one call. */
#define ITEMS_MAX	100000

/* From this many items on, all rows of the user are read at once; fewer are looked up one by one. */
#define MANY_ITEMS		32

/* The name under which the statement reads the items, and how many the planner is told of. */
#define ITEMS_RELATION	"mt_items"
#define TYPICAL_FEW		8
#define TYPICAL_MANY	1000
#define ITEM_COLUMNS	(4 + MT_PROGRESS_COLUMNS)

static const char *const statuses[] = {"not_started", "in_progress", "completed", NULL};

PG_FUNCTION_INFO_V1(mt_upsert_progress);

/* A column that an item may leave out: does it give something else than is there; and what the row has afterwards. Bits are of MtProgressItem.given. */
#define DIFFERS(bit, column, old, new) "(" new ".given & " bit " <> 0 AND " old "." column " IS DISTINCT FROM " new "." column ")"
#define MERGED(bit, column, new) column " = CASE WHEN n.given & " bit " <> 0 THEN " new "." column " ELSE p." column " END, "

/*
 * True when an item changes a row: it is not older than the row, takes no completed course back without a later reset, and gives something
 * that is not there yet, or the row has a moment that cannot be.
 */
#define CHANGES(old, new) \
	"(" new ".updated_at < " MT_PROGRESS_MOMENT(old) ") IS NOT TRUE " \
	"AND (" old ".status <> 'completed' OR " new ".status = 'completed' OR " \
	"(" new ".reset AND coalesce(" new ".updated_at > " MT_PROGRESS_MOMENT(old) ", " new ".updated_at IS NOT NULL))) " \
	"AND (" old ".status <> " new ".status " \
	"OR " DIFFERS("1", "score", old, new) \
	" OR " DIFFERS("2", "completed_at", old, new) \
	" OR " DIFFERS("4", "invited_at", old, new) \
	" OR " DIFFERS("8", "started_at", old, new) \
	" OR " DIFFERS("16", "due_at", old, new) \
	" OR " DIFFERS("32", "is_overdue", old, new) \
	" OR " DIFFERS("64", "has_failed", old, new) \
	" OR " DIFFERS("128", "percent_completed", old, new) \
	" OR " DIFFERS("256", "max_score", old, new) \
	" OR " DIFFERS("512", "updated_at", old, new) \
	" OR " old ".updated_at IS DISTINCT FROM " MT_PROGRESS_MOMENT(old) ")"

/* What SET makes of a row p and an item. */
#define MERGE(new) \
	"status = " new ".status, " \
	MERGED("1", "score", new) \
	MERGED("2", "completed_at", new) \
	MERGED("4", "invited_at", new) \
	MERGED("8", "started_at", new) \
	MERGED("16", "due_at", new) \
	MERGED("32", "is_overdue", new) \
	MERGED("64", "has_failed", new) \
	MERGED("128", "percent_completed", new) \
	MERGED("256", "max_score", new) \
	"updated_at = CASE WHEN n.given & 512 <> 0 THEN " new ".updated_at ELSE " MT_PROGRESS_MOMENT("p") " END, " \
	"synced_at = coalesce($3, p.synced_at) "

/* Inserts the items of a relation that are not there. */
#define INSERT_FROM(relation) \
	"INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score, completed_at, invited_at, " \
	"started_at, due_at, is_overdue, has_failed, percent_completed, max_score, updated_at, synced_at) " \
	"SELECT $1, $2, n.course_id, n.status, n.score, n.completed_at, n.invited_at, n.started_at, n.due_at, n.is_overdue, " \
	"n.has_failed, n.percent_completed, n.max_score, n.updated_at, $3 FROM " relation " AS n " \
	"ON CONFLICT (tenant_id, user_id, course_id) DO NOTHING"

/*
 * $1 tenant, $2 user, $3 moment of the pull or null, $4 number of items. The second figure is the number of items that were neither there to be
 * updated nor could be inserted, because another transaction has just done so.
 */
#define UPSERT \
	"WITH changed AS (" \
	"UPDATE mindtickle.course_progress AS p SET " MERGE("n") \
	"FROM " ITEMS_RELATION " AS n " \
	"WHERE p.tenant_id = $1 AND p.user_id = $2 AND p.course_id = n.course_id AND " CHANGES("p", "n") " RETURNING 1" \
	"), absent AS MATERIALIZED (" \
	"SELECT n.* FROM " ITEMS_RELATION " AS n " \
	"WHERE (SELECT count(*) FROM changed) < $4 AND NOT EXISTS (SELECT FROM mindtickle.course_progress AS o " \
	"WHERE o.tenant_id = $1 AND o.user_id = $2 AND o.course_id = n.course_id)" \
	"), inserted AS (" INSERT_FROM("absent") " RETURNING 1" \
	"), count_of AS (" \
	"SELECT (SELECT count(*) FROM changed) AS changed, (SELECT count(*) FROM inserted) AS inserted, (SELECT count(*) FROM absent) AS absent" \
	") SELECT changed + inserted, absent - inserted FROM count_of"

#define UPSERT_TYPES {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID}

/* The same statement, planned for few items and for many. */
static MtPlan upsert_few = {UPSERT, 4, UPSERT_TYPES, CURSOR_OPT_GENERIC_PLAN};
static MtPlan upsert_many = {UPSERT, 4, UPSERT_TYPES, CURSOR_OPT_GENERIC_PLAN};

/* For a user without rows: the first three parameters. */
static MtPlan insert_all = {INSERT_FROM(ITEMS_RELATION), 3, UPSERT_TYPES, CURSOR_OPT_GENERIC_PLAN};

/* Type of each column of MtProgressColumn. */
static const Oid column_types[MT_PROGRESS_COLUMNS] = {
	NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, BOOLOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID
};

static void
note(MtProgressItem *item, MtProgressColumn column, MtPresence presence)
{
	item->nulls[column] = presence != MT_FIELD_SET;
	if (presence != MT_FIELD_ABSENT)
		item->given |= 1u << column;
}

/*
 * Is it too late to be the moment of something that has happened? As MT_PROGRESS_MOMENT.
 */
bool
mt_progress_ahead(TimestampTz moment)
{
	return moment > GetCurrentTransactionStartTimestamp() + USECS_PER_DAY;
}

/* The moment of the change. One that cannot be is left out: the item is stored, and those that come after it count. */
static void
read_updated_at(MtFields *fields, MtProgressItem *item)
{
	Datum	   *value = &item->values[MT_PROGRESS_UPDATED_AT];
	MtPresence	presence = mt_field_timestamp(fields, "updatedAt", value);

	if (presence == MT_FIELD_SET && mt_progress_ahead(DatumGetTimestampTz(*value)))
		presence = MT_FIELD_ABSENT;
	note(item, MT_PROGRESS_UPDATED_AT, presence);
}

/*
 * Reads one item. False where it has a fault.
 */
bool
mt_progress_read(MtFields *fields, MtProgressItem *item)
{
	Datum	   *values = item->values;
	Datum		reset;

	item->given = 0;
	item->reset = false;
	(void) mt_field_id(fields, "courseId", true, &item->course_id);
	if (mt_field_word(fields, "status", statuses, &item->status) != MT_FIELD_SET)
		mt_fault(fields, "status", "is required");
	note(item, MT_PROGRESS_SCORE, mt_field_percent(fields, "score", &values[MT_PROGRESS_SCORE]));
	if ((item->given & (1u << MT_PROGRESS_SCORE)) == 0)
		note(item, MT_PROGRESS_SCORE, mt_field_percent(fields, "quizScore", &values[MT_PROGRESS_SCORE]));
	note(item, MT_PROGRESS_COMPLETED_AT, mt_field_timestamp(fields, "completedAt", &values[MT_PROGRESS_COMPLETED_AT]));
	note(item, MT_PROGRESS_INVITED_AT, mt_field_timestamp(fields, "invitedAt", &values[MT_PROGRESS_INVITED_AT]));
	note(item, MT_PROGRESS_STARTED_AT, mt_field_timestamp(fields, "startedAt", &values[MT_PROGRESS_STARTED_AT]));
	note(item, MT_PROGRESS_DUE_AT, mt_field_timestamp(fields, "dueAt", &values[MT_PROGRESS_DUE_AT]));
	note(item, MT_PROGRESS_IS_OVERDUE, mt_field_boolean(fields, "isOverdue", &values[MT_PROGRESS_IS_OVERDUE]));
	note(item, MT_PROGRESS_HAS_FAILED, mt_field_boolean(fields, "hasFailed", &values[MT_PROGRESS_HAS_FAILED]));
	note(item, MT_PROGRESS_PERCENT_COMPLETED,
		 mt_field_percent(fields, "percentCompleted", &values[MT_PROGRESS_PERCENT_COMPLETED]));
	note(item, MT_PROGRESS_MAX_SCORE, mt_field_number(fields, "maxScore", "0", "1000000000", &values[MT_PROGRESS_MAX_SCORE]));
	read_updated_at(fields, item);
	if (mt_field_boolean(fields, "reset", &reset) == MT_FIELD_SET)
		item->reset = DatumGetBool(reset);
	return !mt_faulty(fields->fault);
}

static int
compare_course(const MtProgressItem *first, const MtProgressItem *second)
{
	text	   *a = DatumGetTextPP(first->course_id);
	text	   *b = DatumGetTextPP(second->course_id);
	int			length_a = VARSIZE_ANY_EXHDR(a);
	int			length_b = VARSIZE_ANY_EXHDR(b);
	int			order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(length_a, length_b));

	return order != 0 ? order : length_a - length_b;
}

/*
 * True when two items are of one course.
 */
bool
mt_progress_same_course(const MtProgressItem *first, const MtProgressItem *second)
{
	return compare_course(first, second) == 0;
}

static int
compare_items(const void *first, const void *second)
{
	int			order = compare_course(first, second);

	return order != 0 ? order : ((const MtProgressItem *) first)->position - ((const MtProgressItem *) second)->position;
}

/*
 * Sorts items by course. Returns the input position of an item whose course an earlier one has too, -1 where there is none.
 */
int
mt_progress_sort(MtProgressItem *items, int count)
{
	int			twice = -1;

	qsort(items, count, sizeof(MtProgressItem), compare_items);
	for (int i = 1; i < count; i++)
		if (compare_course(&items[i - 1], &items[i]) == 0 && (twice < 0 || items[i].position < twice))
			twice = items[i].position;
	return twice;
}

/* The columns of ITEMS_RELATION, made once. */
static TupleDesc
items_descriptor(void)
{
	static const char *const names[MT_PROGRESS_COLUMNS] = {
		"score", "completed_at", "invited_at", "started_at", "due_at", "is_overdue", "has_failed", "percent_completed", "max_score", "updated_at"
	};
	static TupleDesc descriptor = NULL;

	if (descriptor == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	made = CreateTemplateTupleDesc(ITEM_COLUMNS);

		TupleDescInitEntry(made, 1, "course_id", TEXTOID, -1, 0);
		TupleDescInitEntryCollation(made, 1, C_COLLATION_OID);
		TupleDescInitEntry(made, 2, "status", TEXTOID, -1, 0);
		TupleDescInitEntryCollation(made, 2, C_COLLATION_OID);
		TupleDescInitEntry(made, 3, "given", INT4OID, -1, 0);
		TupleDescInitEntry(made, 4, "reset", BOOLOID, -1, 0);
		for (int column = 0; column < MT_PROGRESS_COLUMNS; column++)
			TupleDescInitEntry(made, 5 + column, names[column], column_types[column], -1, 0);
		MemoryContextSwitchTo(previous);
		descriptor = made;
	}
	return descriptor;
}

static Tuplestorestate *
items_as_rows(const MtProgressItem *items, int count, TupleDesc descriptor)
{
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);

	for (int i = 0; i < count; i++)
	{
		Datum		values[ITEM_COLUMNS] = {items[i].course_id, items[i].status, Int32GetDatum((int32) items[i].given), BoolGetDatum(items[i].reset)};
		bool		nulls[ITEM_COLUMNS] = {false};

		memcpy(&values[4], items[i].values, sizeof(items[i].values));
		memcpy(&nulls[4], items[i].nulls, sizeof(items[i].nulls));
		tuplestore_putvalues(rows, descriptor, values, nulls);
	}
	return rows;
}

/*
 * Runs the statement. With many items it is told not to take a nested loop, and never a sequential scan: a plan that was made while the table
 * was small is kept while it grows, and must then not compare every item with every row.
 */
static int64
run_upsert(Datum *values, const char *nulls, bool many)
{
	int			guc_nest_level = NewGUCNestLevel();
	int64		written = 0;
	int64		missed;

	set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false);
	if (many)
		set_config_option("enable_nestloop", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false);
	do
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		mt_plan_run(many ? &upsert_many : &upsert_few, values, nulls, SPI_OK_SELECT);
		written += DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		missed = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
		/* What another transaction has just inserted is there to be updated in the next snapshot. */
	} while (missed > 0);
	AtEOXact_GUC(false, guc_nest_level);
	return written;
}

/* Is there any row of the user? One that another transaction is inserting does not count. */
static bool
has_rows(const char *tenant, Datum user_id)
{
	static MtTenantTable table = {.table = {"course_progress"}};
	MtTenantScan scan;
	ScanKeyData key;
	bool		found;

	mt_tenant_scan_open(&scan, &table, tenant, GetActiveSnapshot(), 1);
	mt_tenant_key(&key, 2, BTEqualStrategyNumber, F_TEXTEQ, user_id);
	mt_tenant_scan_start(&scan, &key, 1);
	found = mt_tenant_scan_next(&scan, ForwardScanDirection);
	mt_tenant_scan_close(&scan);
	return found;
}

/*
 * Writes the items of one user, no two of one course and in the order of their courses, and the event if that changed anything. Returns the
 * number of rows changed. Within mt_service_enter/leave. pulled: the rows were fetched by a pull.
 */
int64
mt_progress_write(const char *tenant, Datum user_id, const MtProgressItem *items, int count, bool pulled)
{
	static MtPlan payload = {
		"SELECT jsonb_build_object('tenantId', $1, 'userId', $2)", 2, {TEXTOID, TEXTOID}
	};
	Datum		values[4] = {
		CStringGetTextDatum(tenant), user_id, TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()), Int64GetDatum(count)
	};
	EphemeralNamedRelationData relation = {
		.md = {.name = ITEMS_RELATION,.reliddesc = InvalidOid,.tupdesc = items_descriptor(),.enrtype = ENR_NAMED_TUPLESTORE,
		.enrtuples = count < MANY_ITEMS ? TYPICAL_FEW : TYPICAL_MANY}
	};
	Tuplestorestate *rows = items_as_rows(items, count, relation.md.tupdesc);
	const char *nulls = pulled ? "    " : "  n ";
	int64		changed = 0;
	bool		isnull;

	relation.reldata = rows;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the items");
	if (!has_rows(tenant, user_id))
		changed = (int64) mt_plan_run(&insert_all, values, nulls, SPI_OK_INSERT);
	/* Those that are there after all, because another transaction has just inserted them, may have to be updated. */
	if (changed < count)
		changed += run_upsert(values, nulls, count >= MANY_ITEMS);
	SPI_unregister_relation(ITEMS_RELATION);
	tuplestore_end(rows);

	if (changed > 0)
	{
		mt_plan_run(&payload, values, NULL, SPI_OK_SELECT);
		mt_emit_event(tenant, "progress.synced",
					  SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
	return changed;
}

/* Reads an array of items; raises the first fault. */
static MtProgressItem *
read_items(Jsonb *progress, int *count)
{
	MtFault		fault = {0};
	MtFields	fields = {.name = "progress",.index = -1,.fault = &fault};
	MtProgressItem *items;
	int			twice;

	*count = 0;
	if (!JB_ROOT_IS_ARRAY(progress) || JB_ROOT_IS_SCALAR(progress))
		mt_fault(&fields, NULL, "must be an array");
	else if (JB_ROOT_COUNT(progress) > ITEMS_MAX)
		mt_fault(&fields, NULL, "must not have more than %d items", ITEMS_MAX);
	else
		(void) mt_json_too_deep(&fields, &progress->root, 0);
	if (mt_faulty(&fault))
		mt_raise_fault(&fault);

	*count = JB_ROOT_COUNT(progress);
	items = palloc0(sizeof(MtProgressItem) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&progress->root, i);

		items[i].position = i;
		if (!mt_fields_open(&fields, value, "progress", i, &fault) || !mt_progress_read(&fields, &items[i]))
			mt_raise_fault(&fault);
	}
	twice = mt_progress_sort(items, *count);
	if (twice >= 0)
	{
		fields.index = twice;
		mt_fault(&fields, "courseId", "is given twice");
		mt_raise_fault(&fault);
	}
	return items;
}

/*
 * mt_upsert_progress(tenant, user_id, progress jsonb) -> integer: rows changed.
 */
Datum
mt_upsert_progress(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *user_id = PG_GETARG_TEXT_PP(1);
	Jsonb	   *progress = PG_GETARG_JSONB_P(2);
	MtServiceCall call;
	MtProgressItem *items;
	int			count;
	int64		changed = 0;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_WRITER, true);
	mt_check_argument_id("user_id", user_id);
	items = read_items(progress, &count);
	if (count > 0)
		changed = mt_progress_write(tenant, mt_user_resolve(tenant, PointerGetDatum(user_id)), items, count, false);
	mt_service_leave(&call);
	PG_RETURN_INT32((int32) changed);
}
