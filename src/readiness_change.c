/*
 * readiness_change.c
 *		What deltas make of a tenant's figures, of its users' and its courses', as a snapshot shows the tables.
 *
 * The rows of a user count unless there is a row of him in users that is not active. Whether they count now, the tables say; whether they
 * counted before the deltas, follows from that and from what the deltas say of his row. Where both is so, the deltas are the change. Where a
 * user begins or ceases to count, it is all that he has, which his rows tell: those that are there now, less the deltas for what was before.
 *
 * Called for readers, with the deltas that are not taken in yet, and for the aggregator, which takes them in. Reads, writes nothing.
 */
#include "readiness_change.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "plan.h"
#include "readiness_people.h"
#include "readiness_row.h"
#include "shared_state.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

/* A reader who had to add up more asks for more frequent folds. */
#define MANY_DELTAS		20

/* The tables of what users do. */
enum
{
	PROGRESS,
	QUIZ,
	ROW_TABLES
};

static MtTenantTable row_tables[ROW_TABLES] = {
	{.table = {"course_progress"}},
	{.table = {"quiz_submission"}}
};

/* What is under way. */
typedef struct Work
{
	const char *tenant;
	Snapshot	snapshot;
	MtPeople	people;
	MtTenantScan scans[ROW_TABLES][2];	/* of a user's rows, and of those in one course; relation NULL: not open yet */
	uint64		next_xid;		/* above every transaction that the snapshot shows */
	uint64		taken_in;		/* the cursor has all transactions below */
	MtChange   *change;
	MtDetails  *details;		/* NULL: not asked for */
} Work;

/* Whether there are rows, and whether there were before the deltas. */
typedef struct RowsState
{
	bool		now;
	bool		before;
} RowsState;

static Datum
id_datum(MtId id)
{
	return PointerGetDatum(cstring_to_text_with_len(id.bytes, id.length));
}

/* Begins with the rows that a user has in a table, or in one course of it where course is given. */
static MtTenantScan *
scan_user_rows(Work *work, int table, MtId user, const MtId *course)
{
	int			keys = course == NULL ? 1 : 2;
	MtTenantScan *scan = &work->scans[table][keys - 1];
	ScanKeyData key[2];

	if (scan->relation == NULL)
		mt_tenant_scan_open(scan, &row_tables[table], work->tenant, work->snapshot, keys);
	mt_tenant_key(&key[0], 2, BTEqualStrategyNumber, F_TEXTEQ, id_datum(user));
	if (course != NULL)
		mt_tenant_key(&key[1], 3, BTEqualStrategyNumber, F_TEXTEQ, id_datum(*course));
	mt_tenant_scan_start(scan, key, keys);
	return scan;
}

static void
close_scans(Work *work)
{
	for (int table = 0; table < ROW_TABLES; table++)
		for (int i = 0; i < (int) lengthof(work->scans[table]); i++)
			if (work->scans[table][i].relation != NULL)
				mt_tenant_scan_close(&work->scans[table][i]);
}

/*
 * True when a row, which the snapshot shows, was there before the deltas in the same version; false: that is not known. The row has the lower half of a
 * transaction id: the newest id it can be of decides. It may be of a subtransaction, which the cursor does not list, but whose id is
 * above its transaction's.
 */
static bool
was_there(const Work *work, TupleTableSlot *row)
{
	bool		isnull;
	TransactionId made_by = DatumGetTransactionId(slot_getsysattr(row, MinTransactionIdAttributeNumber, &isnull));

	return TransactionIdIsNormal(made_by) && work->next_xid - (uint32) ((uint32) work->next_xid - made_by) < work->taken_in;
}

/*
 * Whether a user has rows, or has some in a course, and had, where added of them are new (negative: gone). A row that was there tells of both, as
 * does one more than were added: a user with very many rows costs no more.
 */
static RowsState
look_for_rows(Work *work, MtId user, const MtId *course, int64 added)
{
	int64		count = 0;

	for (int table = 0; table < ROW_TABLES; table++)
	{
		MtTenantScan *scan = scan_user_rows(work, table, user, course);

		while (mt_tenant_scan_next(scan, ForwardScanDirection))
			if (++count > added || was_there(work, scan->slot))
				return (RowsState) {true, true};
	}
	return (RowsState) {count > 0, count > added};
}

/* What a user has, an entry for each row. */
static void
read_user_rows(Work *work, MtId user, MtEntries *rows)
{
	static const MtReadRow read_row[ROW_TABLES] = {mt_read_progress_row, mt_read_quiz_row};

	for (int table = 0; table < ROW_TABLES; table++)
	{
		MtTenantScan *scan = scan_user_rows(work, table, user, NULL);

		while (mt_tenant_scan_next(scan, ForwardScanDirection))
			read_row[table] (scan->slot, mt_new_entry(rows), 1);
	}
	/* The entries have no tenant and no user, which are the same in all of them. */
	for (int i = 0; i < rows->count; i++)
		rows->entries[i].tenant = rows->entries[i].user = (MtId) {"", 0};
}

static MtFigures
sum_of(const MtEntry *entries, int count)
{
	MtFigures	sum = {0};

	for (int i = 0; i < count; i++)
		mt_add_figures(&sum, &entries[i].figures, 1);
	return sum;
}

static int64
row_count(const MtFigures *figures)
{
	return figures->submissions + figures->assignments;
}

/* Adds figures to a course's change. */
static void
change_course(Work *work, MtId course, const MtFigures *figures, int factor, int learners)
{
	MtEntry    *entry = mt_new_entry(&work->details->courses);

	entry->tenant = entry->user = (MtId) {"", 0};
	entry->course = course;
	entry->present = learners;
	mt_add_figures(&entry->figures, figures, factor);
}

/* Courses of a user who counts as before: the deltas, and whether he is one of a course's learners. */
static void
change_courses_by_deltas(Work *work, const MtEntry *deltas, int count)
{
	for (int i = 0; i < count; i++)
	{
		const MtFigures *figures = &deltas[i].figures;
		RowsState	rows = {0};

		if (deltas[i].course.length == 0 || mt_figures_empty(figures))
			continue;
		if (row_count(figures) != 0)
			rows = look_for_rows(work, deltas[i].user, &deltas[i].course, row_count(figures));
		change_course(work, deltas[i].course, figures, 1, rows.now - rows.before);
	}
}

/* Courses of a user who begins (factor 1) or ceases (-1) to count: all he has, or had. */
static void
change_courses_by_rows(Work *work, MtEntries *rows, int factor)
{
	mt_merge_entries(rows);
	for (int i = 0; i < rows->count; i++)
		if (rows->entries[i].course.length > 0)
			change_course(work, rows->entries[i].course, &rows->entries[i].figures, factor, row_count(&rows->entries[i].figures) > 0 ? factor : 0);
}

/* What a user had before the deltas: the rows there are now, less the deltas. */
static void
take_back(MtEntries *rows, const MtEntry *deltas, int count)
{
	for (int i = 0; i < count; i++)
	{
		MtEntry    *entry = mt_new_entry(rows);

		entry->tenant = entry->user = (MtId) {"", 0};
		entry->course = deltas[i].course;
		mt_add_figures(&entry->figures, &deltas[i].figures, -1);
	}
}

/* The change of a user's own figures, which are kept whether they count or not. */
static void
change_user(Work *work, const MtEntry *deltas, int count)
{
	MtEntry    *entry = mt_new_entry(&work->details->users);

	entry->tenant = entry->course = (MtId) {"", 0};
	entry->user = deltas[0].user;
	entry->figures = sum_of(deltas, count);
	for (int i = 0; i < count; i++)
	{
		entry->gained = Max(entry->gained, deltas[i].gained);
		entry->lost = Max(entry->lost, deltas[i].lost);
	}
	if (entry->lost > entry->gained)
	{
		MtEntries	rows = {0};

		read_user_rows(work, entry->user, &rows);
		entry->gained = DT_NOBEGIN;
		entry->lost = DT_NOEND;
		for (int i = 0; i < rows.count; i++)
			entry->gained = Max(entry->gained, rows.entries[i].gained);
	}
}

/* The change in the number of learners, since the totals were taken in. Who is not in users is one by his rows. */
static int
learners_difference(Work *work, MtId user, MtUserState now, MtUserState before, int64 added)
{
	int			difference = (now.present && now.active) - (before.present && before.active);
	RowsState	rows;

	if (now.present == before.present && (now.present || added == 0))
		return difference;
	if (added >= 0 && now.had_rows)
		rows = (RowsState) {true, true};
	else
		rows = look_for_rows(work, user, NULL, added);
	if (rows.before)
		mt_remember_rows(&work->people, user);
	return difference + (!now.present && rows.now) - (!before.present && rows.before);
}

/* Works out the change that the deltas of one user make. */
static void
change_by_user(Work *work, const MtEntry *deltas, int count)
{
	MtId		user = deltas[0].user;
	MtUserState now = mt_look_up_user(&work->people, user);
	MtUserState before = now;
	MtFigures	difference = sum_of(deltas, count);
	MtFigures	had;
	MtEntries	rows = {0};
	bool		counts_now;
	bool		counted;

	for (int i = 0; i < count; i++)
	{
		before.present = before.present - deltas[i].present > 0;
		before.active = before.active - deltas[i].active > 0;
	}
	counts_now = now.active || !now.present;
	counted = before.active || !before.present;
	if (work->details == NULL)
		work->change->learners += learners_difference(work, user, now, before, row_count(&difference));
	else
		change_user(work, deltas, count);

	if (counts_now && counted)
	{
		mt_add_figures(&work->change->figures, &difference, 1);
		if (work->details != NULL)
			change_courses_by_deltas(work, deltas, count);
	}
	else if (counts_now || counted)
	{
		read_user_rows(work, user, &rows);
		if (counted)
			take_back(&rows, deltas, count);
		had = sum_of(rows.entries, rows.count);
		mt_add_figures(&work->change->figures, &had, counts_now ? 1 : -1);
		if (work->details != NULL)
			change_courses_by_rows(work, &rows, counts_now ? 1 : -1);
	}
}

/* Works out what entries, which are merged on the way, make of everything that is asked for. */
static void
change_by_entries(Work *work, const MtSummary *summary, MtEntries *entries)
{
	int			first = 0;

	/* Before they are merged: of what cancels out, the summary may have taken in a part. */
	for (int i = 0; i < entries->count; i++)
	{
		const MtEntry *entry = &entries->entries[i];

		work->change->people_changed |= entry->present != 0 || entry->active != 0 ||
			entry->figures.submissions < 0 || entry->figures.assignments < 0;
	}
	mt_merge_entries(entries);
	if (entries->count == 0)
		return;
	mt_people_begin(&work->people, work->tenant, work->snapshot, summary, work->change->people_changed);
	while (first < entries->count)
	{
		int			next = first + 1;

		while (next < entries->count && mt_compare_ids(entries->entries[first].user, entries->entries[next].user) == 0)
			next++;
		change_by_user(work, &entries->entries[first], next - first);
		first = next;
	}
	mt_people_end(&work->people);
	close_scans(work);
	if (work->details != NULL)
		mt_merge_entries(&work->details->courses);
}

/*
 * What has changed since a tenant's newest summary that the snapshot shows: in the totals, or, where details is not NULL, in users and courses since
 * those were taken in. Returns the number of deltas' entries; -1: they do not tell in this snapshot, or there is no summary, and the rows must be
 * counted.
 */
int64
mt_readiness_since(const char *tenant, const MtSummary *summary, Snapshot snapshot, MtChange *change, MtDetails *details)
{
	Work		work = {.tenant = tenant,.snapshot = snapshot,.change = change,.details = details};
	Datum		cursor = details == NULL ? summary->cursor : summary->detail_cursor;
	MtEntries	entries = {0};
	MtCursor	taken_in;
	int64		count;

	memset(change, 0, sizeof(MtChange));
	if (details != NULL)
		memset(details, 0, sizeof(MtDetails));
	/* Of a tenant that came after its rows, as in a copy that is being made, the deltas may be gone. */
	if (!summary->found)
		return -1;
	if (mt_tenant_table_newer(mt_relation_oid(&mt_users_table.table), snapshot) ||
		mt_tenant_table_newer(mt_relation_oid(&row_tables[PROGRESS].table), snapshot) ||
		mt_tenant_table_newer(mt_relation_oid(&row_tables[QUIZ].table), snapshot))
		return -1;
	mt_read_cursor(cursor, &taken_in);
	work.taken_in = taken_in.xmin;
	work.next_xid = U64FromFullTransactionId(ReadNextFullTransactionId());
	if (!mt_read_deltas(tenant, &taken_in, snapshot, &entries))
		return -1;
	count = entries.count;
	change_by_entries(&work, summary, &entries);
	return count;
}

/*
 * Adds to totals what has changed.
 */
void
mt_add_change(MtTotals *totals, const MtChange *change)
{
	totals->learners += change->learners;
	mt_add_figures(&totals->figures, &change->figures, 1);
}

/*
 * A tenant's totals as the snapshot shows the tables. False: its rows must be counted. Where many deltas were not taken in yet, the aggregator
 * is told that there are readers.
 */
bool
mt_readiness_totals(const char *tenant, Snapshot snapshot, MtTotals *totals)
{
	MtSummary	summary;
	MtChange	change;
	int64		added;

	if (!mt_read_summary(tenant, snapshot, &summary))
		return false;
	added = mt_readiness_since(tenant, &summary, snapshot, &change, NULL);
	if (added < 0)
		return false;
	if (added > MANY_DELTAS)
		mt_mark_readiness(MT_MARK_READS);
	*totals = summary.totals;
	mt_add_change(totals, &change);
	return true;
}

/*
 * True when a tenant has more rows than that, of which no more are looked at.
 */
bool
mt_has_more_rows(const char *tenant, Snapshot snapshot, int64 limit)
{
	MtTenantTable *tables[] = {&row_tables[PROGRESS], &row_tables[QUIZ], &mt_users_table};

	return mt_more_in_tables(tables, lengthof(tables), tenant, snapshot, limit);
}

/*
 * Counts a tenant's rows for its totals, as the snapshot shows them. Within mt_service_enter/leave.
 */
void
mt_count_totals(const char *tenant, MtTotals *totals, Snapshot snapshot)
{
	static MtPlan count = {
		"SELECT learners, submissions, quiz_results, score_sum, assignments, completed, overdue FROM mindtickle.count_readiness($1)",
		1, {TEXTOID},.read_only = true
	};
	Datum		value = CStringGetTextDatum(tenant);
	int64	   *figures = (int64 *) &totals->figures;
	bool		isnull;

	mt_plan_run_in(&count, &value, NULL, SPI_OK_SELECT, snapshot);
	totals->learners = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	for (int i = 0; i < MT_FIGURES; i++)
		figures[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2 + i, &isnull));
}
