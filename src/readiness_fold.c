/*
 * readiness_fold.c
 *		Takes deltas into the summaries, or counts a tenant anew.
 *
 * A fold reads what its snapshot shows and the summary's cursor has not, and appends a summary whose cursor is that snapshot. What commits
 * meanwhile is for the next fold; nobody is kept waiting. A new count is the same, with the rows themselves in place of the deltas. The figures
 * of users and courses are taken in less often, with a cursor of their own.
 *
 * One fold of a tenant at a time: a lock on the tenant's hash, which the aggregator does not wait for. The snapshot is taken under this lock and the
 * one that keeps mt_drop_tenant away: an older one could show an older summary, or a dropped tenant to the next of its name. The transaction must
 * not have written before: what it writes later has then an xid above the cursor's xmax and is not taken for folded.
 *
 * A fold counts anew as many rows as it can in a moment, and moves as many figures of users and courses to their other tables. A tenant that has more
 * is left to mt_rebuild_readiness and mindtickle.move_readiness, which the aggregator has another process call (worker/helper.c), so that one
 * tenant's count keeps no other's deltas from being taken in. While figures are moved, their tenant's totals are folded all the same.
 *
 * Called by the aggregator (worker/), and by mt_rebuild_readiness for whoever asks.
 */
#include "mindtickle.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "plan.h"
#include "readiness_change.h"
#include "service_call.h"
#include "shared_state.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* So many rows are counted anew by a fold, and so many figures moved to another table. */
#define COUNTED_MAX			100000
#define MOVED_MAX			5000
/*
 * What a fold returns that has taken in nothing: another one folds the tenant, or a table was emptied meanwhile; or there are more rows to be counted
 * than that. The last one is returned by a fold that has taken in what there was, and leaves more figures to be moved than that.
 */
#define FOLD_BUSY			(-1)
#define FOLD_TOO_LARGE		(-2)
#define FOLD_TO_MOVE		(-3)

/* The name under which the statements read the changes of users and courses. */
#define CHANGES_RELATION	"mt_changes"
/* Columns of it: id, figures, last activity or learners, and whether the last activity was looked up. */
#define CHANGES_COLUMNS		(1 + MT_FIGURES + 3)
#define FIGURE_NAMES		"submissions, scores, score_sum, assignments, completed, overdue"

/* How a statement adds figures to the row that is there. */
#define ADD_FIGURES \
	"submissions = k.submissions + excluded.submissions, scores = k.scores + excluded.scores, score_sum = k.score_sum + excluded.score_sum, " \
	"assignments = k.assignments + excluded.assignments, completed = k.completed + excluded.completed, overdue = k.overdue + excluded.overdue"

/* The statements for one of the tables of users and courses. */
typedef struct DetailPlans
{
	MtPlan		empty;			/* removes the tenant's rows */
	MtPlan		copy;			/* fetches them from the other table */
	MtPlan		add;			/* adds the changes */
	MtPlan		put_right;		/* sets what was looked up */
	MtPlan		clear;			/* removes those that have nothing any more; how few these are must not make the plan */
	MtPlan		count;			/* makes them from the tenant's rows */
} DetailPlans;

#define USER_PLANS(here, other) { \
	{"DELETE FROM mindtickle.readiness_user_" here " WHERE tenant_id = $1", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_user_" here " SELECT * FROM mindtickle.readiness_user_" other " WHERE tenant_id = $1", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_user_" here " AS k (tenant_id, user_id, " FIGURE_NAMES ", last_activity_at) " \
	"SELECT $1, id, " FIGURE_NAMES ", last_activity_at FROM " CHANGES_RELATION " " \
	"ON CONFLICT (tenant_id, user_id) DO UPDATE SET " ADD_FIGURES ", last_activity_at = greatest(k.last_activity_at, excluded.last_activity_at)", \
	1, {TEXTOID}}, \
	{"UPDATE mindtickle.readiness_user_" here " AS k SET last_activity_at = c.last_activity_at FROM " CHANGES_RELATION " AS c " \
	"WHERE k.tenant_id = $1 AND k.user_id = c.id AND c.looked_up", 1, {TEXTOID}}, \
	{"MERGE INTO mindtickle.readiness_user_" here " AS k USING " CHANGES_RELATION " AS c ON k.tenant_id = $1 AND k.user_id = c.id " \
	"WHEN MATCHED AND k.submissions = 0 AND k.assignments = 0 THEN DELETE", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_user_" here " (tenant_id, user_id, " FIGURE_NAMES ", last_activity_at) " \
	"SELECT $1, user_id, " FIGURE_NAMES ", last_activity_at FROM mindtickle.count_users($1)", 1, {TEXTOID}} \
}

#define COURSE_PLANS(here, other) { \
	{"DELETE FROM mindtickle.readiness_course_" here " WHERE tenant_id = $1", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_course_" here " SELECT * FROM mindtickle.readiness_course_" other " WHERE tenant_id = $1", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_course_" here " AS k (tenant_id, course_id, " FIGURE_NAMES ", learners) " \
	"SELECT $1, id, " FIGURE_NAMES ", learners FROM " CHANGES_RELATION " " \
	"ON CONFLICT (tenant_id, course_id) DO UPDATE SET " ADD_FIGURES ", learners = k.learners + excluded.learners", 1, {TEXTOID}}, \
	{NULL}, \
	{"MERGE INTO mindtickle.readiness_course_" here " AS k USING " CHANGES_RELATION " AS c ON k.tenant_id = $1 AND k.course_id = c.id " \
	"WHEN MATCHED AND k.submissions = 0 AND k.assignments = 0 THEN DELETE", 1, {TEXTOID}}, \
	{"INSERT INTO mindtickle.readiness_course_" here " (tenant_id, course_id, " FIGURE_NAMES ", learners) " \
	"SELECT $1, course_id, " FIGURE_NAMES ", learners FROM mindtickle.count_courses($1)", 1, {TEXTOID}} \
}

static DetailPlans user_plans[MT_SUMMARY_TABLES] = {USER_PLANS("0", "1"), USER_PLANS("1", "0")};
static DetailPlans course_plans[MT_SUMMARY_TABLES] = {COURSE_PLANS("0", "1"), COURSE_PLANS("1", "0")};

PG_FUNCTION_INFO_V1(mt_fold_readiness);
PG_FUNCTION_INFO_V1(mt_move_readiness);
PG_FUNCTION_INFO_V1(mt_rebuild_readiness);

static TupleDesc
changes_descriptor(void)
{
	static const char *const figures[MT_FIGURES] = {"submissions", "scores", "score_sum", "assignments", "completed", "overdue"};
	static TupleDesc descriptor = NULL;

	if (descriptor == NULL)
	{
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	made = CreateTemplateTupleDesc(CHANGES_COLUMNS);

		TupleDescInitEntry(made, 1, "id", TEXTOID, -1, 0);
		TupleDescInitEntryCollation(made, 1, C_COLLATION_OID);
		for (int i = 0; i < MT_FIGURES; i++)
			TupleDescInitEntry(made, 2 + i, figures[i], INT8OID, -1, 0);
		TupleDescInitEntry(made, 2 + MT_FIGURES, "learners", INT8OID, -1, 0);
		TupleDescInitEntry(made, 3 + MT_FIGURES, "last_activity_at", TIMESTAMPTZOID, -1, 0);
		TupleDescInitEntry(made, 4 + MT_FIGURES, "looked_up", BOOLOID, -1, 0);
		MemoryContextSwitchTo(previous);
		descriptor = made;
	}
	return descriptor;
}

/* Changes of users, or of courses, as rows of CHANGES_RELATION. */
static Tuplestorestate *
changes_as_rows(const MtEntries *changes, TupleDesc descriptor)
{
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);

	for (int i = 0; i < changes->count; i++)
	{
		const MtEntry *entry = &changes->entries[i];
		const int64 *figures = (const int64 *) &entry->figures;
		MtId		id = entry->user.length > 0 ? entry->user : entry->course;
		Datum		values[CHANGES_COLUMNS];
		bool		nulls[CHANGES_COLUMNS] = {false};

		values[0] = PointerGetDatum(cstring_to_text_with_len(id.bytes, id.length));
		for (int figure = 0; figure < MT_FIGURES; figure++)
			values[1 + figure] = Int64GetDatum(figures[figure]);
		values[1 + MT_FIGURES] = Int64GetDatum(entry->present);
		values[2 + MT_FIGURES] = TimestampTzGetDatum(entry->gained);
		nulls[2 + MT_FIGURES] = entry->gained == DT_NOBEGIN;
		values[3 + MT_FIGURES] = BoolGetDatum(entry->lost > entry->gained);
		tuplestore_putvalues(rows, descriptor, values, nulls);
	}
	return rows;
}

/* Adds changes to the figures of users or courses. */
static void
add_changes(DetailPlans *plans, const MtEntries *changes, Datum tenant, Snapshot snapshot)
{
	EphemeralNamedRelationData relation = {
		.md = {.name = CHANGES_RELATION,.reliddesc = InvalidOid,.tupdesc = changes_descriptor(),.enrtype = ENR_NAMED_TUPLESTORE,.enrtuples = 1000}
	};
	Tuplestorestate *rows;
	int			settings;

	if (changes->count == 0)
		return;
	settings = NewGUCNestLevel();
	/* Plans that were made when there was little would take the product of rows and changes. */
	(void) set_config_option("plan_cache_mode", "force_custom_plan", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	rows = changes_as_rows(changes, relation.md.tupdesc);
	relation.reldata = rows;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the changes");
	mt_plan_run_in(&plans->add, &tenant, NULL, SPI_OK_INSERT, snapshot);
	if (plans->put_right.query != NULL)
		mt_plan_run_in(&plans->put_right, &tenant, NULL, SPI_OK_UPDATE, snapshot);
	mt_plan_run_in(&plans->clear, &tenant, NULL, SPI_OK_MERGE, snapshot);
	SPI_unregister_relation(CHANGES_RELATION);
	tuplestore_end(rows);
	AtEOXact_GUC(true, settings);
}

/* Makes the figures of users and courses from the tenant's rows. */
static void
count_details(const char *tenant, MtSummary *summary, Snapshot snapshot)
{
	Datum		value = CStringGetTextDatum(tenant);
	int			table = mt_table_in_use(MT_DETAILS);

	mt_plan_run_in(&user_plans[table].empty, &value, NULL, SPI_OK_DELETE, snapshot);
	mt_plan_run_in(&user_plans[table].count, &value, NULL, SPI_OK_INSERT, snapshot);
	mt_plan_run_in(&course_plans[table].empty, &value, NULL, SPI_OK_DELETE, snapshot);
	mt_plan_run_in(&course_plans[table].count, &value, NULL, SPI_OK_INSERT, snapshot);
	summary->detail_table = table;
	summary->detail_cursor = summary->cursor;
}

/* Moves the figures of users and courses to the tables in use, where they are not there, or there are none. */
static void
move_details(const char *tenant, MtSummary *summary, Snapshot snapshot)
{
	Datum		value = CStringGetTextDatum(tenant);
	int			table = mt_table_in_use(MT_DETAILS);

	if (summary->detail_table == table)
		return;
	mt_plan_run_in(&user_plans[table].empty, &value, NULL, SPI_OK_DELETE, snapshot);
	mt_plan_run_in(&course_plans[table].empty, &value, NULL, SPI_OK_DELETE, snapshot);
	if (summary->detail_table >= 0)
	{
		mt_plan_run_in(&user_plans[table].copy, &value, NULL, SPI_OK_INSERT, snapshot);
		mt_plan_run_in(&course_plans[table].copy, &value, NULL, SPI_OK_INSERT, snapshot);
	}
	summary->detail_table = table;
}

/* Adds to the figures of users and courses, where they are, or where they are to be. */
static void
fold_details(const char *tenant, MtDetails *details, MtSummary *summary, bool move, Snapshot snapshot)
{
	Datum		value = CStringGetTextDatum(tenant);

	if (move)
		move_details(tenant, summary, snapshot);
	add_changes(&user_plans[summary->detail_table], &details->users, value, snapshot);
	add_changes(&course_plans[summary->detail_table], &details->courses, value, snapshot);
	summary->detail_cursor = summary->cursor;
}

/* True when the figures of users and courses are to be moved, and are too many for a fold. */
static bool
many_to_move(const char *tenant, const MtSummary *summary, Snapshot snapshot)
{
	return summary->found && summary->detail_table >= 0 && summary->detail_table != mt_table_in_use(MT_DETAILS) &&
		mt_has_more_details(tenant, summary->detail_table, snapshot, MOVED_MAX);
}

/*
 * One fold in the active snapshot, or a new count where recount is set or the deltas do not tell. Returns the number of entries that it took in, or
 * FOLD_BUSY, or, where recount is not set, FOLD_TOO_LARGE or FOLD_TO_MOVE. With the lock of the folds, and with that of details where they are asked
 * for.
 */
static int64
fold_in_snapshot(const char *tenant, bool details, bool recount)
{
	Snapshot	snapshot = GetActiveSnapshot();
	MtSummary	summary;
	MtChange	change = {0};
	MtChange	ignored;
	MtDetails	changes;
	int64		taken = 0;
	int64		taken_details = 0;
	bool		stay;

	if (!mt_read_summary(tenant, snapshot, &summary))
		return FOLD_BUSY;
	stay = !recount && details && many_to_move(tenant, &summary, snapshot);
	if (!recount)
		taken = mt_readiness_since(tenant, &summary, snapshot, &change, NULL);
	if (!recount && details)
		taken_details = mt_readiness_since(tenant, &summary, snapshot, &ignored, &changes);
	if (!recount && (taken < 0 || taken_details < 0))
	{
		if (mt_has_more_rows(tenant, snapshot, COUNTED_MAX))
			return FOLD_TOO_LARGE;
		if (!details && !mt_lock_details(tenant, false))
			return FOLD_BUSY;
		recount = true;
	}
	if (!recount && taken == 0 && taken_details == 0 && mt_summary_in_place(&summary) && !mt_summary_worn(&summary, details, snapshot))
		return 0;
	if (stay && taken == 0 && taken_details == 0)
		return FOLD_TO_MOVE;

	summary.cursor = OidFunctionCall0(F_PG_CURRENT_SNAPSHOT);
	summary.fold++;
	summary.table = mt_table_in_use(MT_SUMMARIES);
	if (recount)
	{
		mt_count_totals(tenant, &summary.totals, snapshot);
		count_details(tenant, &summary, snapshot);
	}
	else
	{
		mt_add_change(&summary.totals, &change);
		if (details)
			fold_details(tenant, &changes, &summary, !stay, snapshot);
	}
	if (recount || change.people_changed || !summary.found)
		summary.people_since = U64FromFullTransactionId(GetTopFullTransactionId());
	mt_write_summary(tenant, &summary);
	if (stay && !recount)
		return FOLD_TO_MOVE;
	return recount ? 1 : Max(taken, taken_details);
}

/* A fold as of now. Within mt_service_enter/leave, which keeps the tenant from being dropped, with the lock. */
static int64
fold(const char *tenant, bool details, bool recount)
{
	int64		taken;

	PushActiveSnapshot(GetLatestSnapshot());
	taken = fold_in_snapshot(tenant, details, recount);
	PopActiveSnapshot();
	return taken;
}

/*
 * mindtickle.fold_readiness(tenant, details) -> bigint: takes in what has been committed. The number of entries, FOLD_BUSY, FOLD_TOO_LARGE or
 * FOLD_TO_MOVE. ERROR 25001 in a transaction that has written, or whose snapshot is older than the fold's: it would see the summary, and not all that
 * is in it.
 */
Datum
mt_fold_readiness(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		details = PG_GETARG_BOOL(1);
	MtServiceCall call;
	int64		taken = FOLD_BUSY;

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) || IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("readiness is folded in a READ COMMITTED transaction that has not written before")));
	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	if (mt_lock_fold(tenant, false) && (!details || mt_lock_details(tenant, false)))
		taken = fold(tenant, details, false);
	mt_service_leave(&call);
	PG_RETURN_INT64(taken);
}

/*
 * mindtickle.move_readiness(tenant): moves the figures of the tenant's users and courses to the tables in use, if they are elsewhere. They stay as they are:
 * only the last step, which tells where they are, keeps others from folding the totals.
 */
Datum
mt_move_readiness(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	MtSummary	moved;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_OWNER, true);
	(void) mt_lock_details(tenant, true);
	PushActiveSnapshot(GetLatestSnapshot());
	if (mt_read_summary(tenant, GetActiveSnapshot(), &moved) && moved.found && moved.detail_table != mt_table_in_use(MT_DETAILS))
	{
		MtSummary	summary;

		move_details(tenant, &moved, GetActiveSnapshot());
		PopActiveSnapshot();
		/* A fold of very much may take longer than a worker waits for other locks. */
		(void) set_config_option("lock_timeout", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		(void) mt_lock_fold(tenant, true);
		PushActiveSnapshot(GetLatestSnapshot());
		if (!mt_read_summary(tenant, GetActiveSnapshot(), &summary))
			elog(ERROR, "the summary of tenant \"%s\" was emptied", tenant);
		summary.fold++;
		summary.table = mt_table_in_use(MT_SUMMARIES);
		summary.detail_table = moved.detail_table;
		mt_write_summary(tenant, &summary);
	}
	PopActiveSnapshot();
	mt_service_leave(&call);
	PG_RETURN_VOID();
}

/*
 * mt_rebuild_readiness(tenant): counts the tenant's rows anew, while others go on writing. Within a transaction block, or where the snapshot is older
 * than the summary would be, it asks for that: until the aggregator has done it, after the commit, the rows are counted by each reader. So nobody
 * keeps the lock of the folds for long.
 */
Datum
mt_rebuild_readiness(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		asks = TransactionIdIsValid(GetTopTransactionIdIfAny()) || IsTransactionBlock() || IsolationUsesXactSnapshot();
	MtServiceCall call;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_ADMIN, true);
	if (asks)
	{
		mt_write_delta((MtId) {tenant, strlen(tenant)}, NULL, 0);
		mt_mark_readiness(tenant);
		mt_service_leave(&call);
		PG_RETURN_VOID();
	}
	(void) mt_lock_details(tenant, true);
	(void) mt_lock_fold(tenant, true);
	if (fold(tenant, true, true) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a table of readiness was emptied at the same time"),
				 errhint("Call the function again.")));
	mt_service_leave(&call);
	PG_RETURN_VOID();
}
