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

#include "readiness_row.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

static MtTenantTable users_table = {{"users"}, {"users_pkey"}};
static MtTenantTable progress_table = {{"course_progress"}, {"course_progress_pkey"}};
static MtTenantTable quiz_table = {{"quiz_submission"}, {"quiz_submission_pkey"}};

/* What is under way. */
typedef struct Work
{
	const char *tenant;
	Snapshot	snapshot;
	MtTenantScan users;			/* open all the time, as every user is looked up */
	MtTotals   *change;
	MtDetails  *details;		/* NULL: not asked for */
} Work;

/* A user before or after the deltas. */
typedef struct UserState
{
	bool		present;
	bool		active;
} UserState;

static Datum
id_datum(MtId id)
{
	return PointerGetDatum(cstring_to_text_with_len(id.bytes, id.length));
}

static UserState
look_up_user(Work *work, MtId user)
{
	UserState	state = {0};
	ScanKeyData key;

	mt_tenant_key(&key, 2, BTEqualStrategyNumber, F_TEXTEQ, id_datum(user));
	mt_tenant_scan_start(&work->users, &key, 1);
	if (mt_tenant_scan_next(&work->users, ForwardScanDirection))
	{
		MtEntry		entry = {0};

		mt_read_user_row(work->users.slot, &entry, 1);
		state.present = true;
		state.active = entry.active > 0;
	}
	return state;
}

/* Adds the rows that a user has in a table, or in one course of it where course is given, an entry each. */
static void
read_rows(Work *work, MtTenantTable *table, MtReadRow read_row, MtId user, const MtId *course, MtEntries *rows)
{
	MtTenantScan scan;
	ScanKeyData keys[2];
	int			count = course == NULL ? 1 : 2;

	mt_tenant_scan_open(&scan, table, work->tenant, work->snapshot, count);
	mt_tenant_key(&keys[0], 2, BTEqualStrategyNumber, F_TEXTEQ, id_datum(user));
	if (course != NULL)
		mt_tenant_key(&keys[1], 3, BTEqualStrategyNumber, F_TEXTEQ, id_datum(*course));
	mt_tenant_scan_start(&scan, keys, count);
	while (mt_tenant_scan_next(&scan, ForwardScanDirection))
		read_row(scan.slot, mt_new_entry(rows), 1);
	mt_tenant_scan_close(&scan);
}

/* What a user has, an entry for each row; course NULL: in all courses. */
static void
read_user_rows(Work *work, MtId user, const MtId *course, MtEntries *rows)
{
	read_rows(work, &progress_table, mt_read_progress_row, user, course, rows);
	read_rows(work, &quiz_table, mt_read_quiz_row, user, course, rows);
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

static bool
has_rows(const MtFigures *figures)
{
	return figures->submissions > 0 || figures->assignments > 0;
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
		MtEntries	rows = {0};
		MtFigures	now;
		MtFigures	before;

		if (deltas[i].course.length == 0 || mt_figures_empty(figures))
			continue;
		if (figures->submissions == 0 && figures->assignments == 0)
		{
			change_course(work, deltas[i].course, figures, 1, 0);
			continue;
		}
		read_user_rows(work, deltas[i].user, &deltas[i].course, &rows);
		now = before = sum_of(rows.entries, rows.count);
		mt_add_figures(&before, figures, -1);
		change_course(work, deltas[i].course, figures, 1, (int) has_rows(&now) - (int) has_rows(&before));
	}
}

/* Courses of a user who begins (factor 1) or ceases (-1) to count: all he has, or had. */
static void
change_courses_by_rows(Work *work, MtEntries *rows, int factor)
{
	mt_merge_entries(rows);
	for (int i = 0; i < rows->count; i++)
		if (rows->entries[i].course.length > 0)
			change_course(work, rows->entries[i].course, &rows->entries[i].figures, factor, has_rows(&rows->entries[i].figures) ? factor : 0);
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

		read_user_rows(work, entry->user, NULL, &rows);
		entry->gained = DT_NOBEGIN;
		entry->lost = DT_NOEND;
		for (int i = 0; i < rows.count; i++)
			entry->gained = Max(entry->gained, rows.entries[i].gained);
	}
}

/* Works out the change that the deltas of one user make. */
static void
change_by_user(Work *work, const MtEntry *deltas, int count)
{
	UserState	now = look_up_user(work, deltas[0].user);
	UserState	before = now;
	MtFigures	difference = sum_of(deltas, count);
	MtFigures	figures_now = {0};
	MtFigures	figures_before = {0};
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
	if (counts_now != counted || !now.present || !before.present)
	{
		read_user_rows(work, deltas[0].user, NULL, &rows);
		figures_now = figures_before = sum_of(rows.entries, rows.count);
		mt_add_figures(&figures_before, &difference, -1);
	}

	work->change->learners += (now.present ? now.active : has_rows(&figures_now)) - (before.present ? before.active : has_rows(&figures_before));
	if (counts_now && counted)
		mt_add_figures(&work->change->figures, &difference, 1);
	else if (counts_now)
		mt_add_figures(&work->change->figures, &figures_now, 1);
	else if (counted)
		mt_add_figures(&work->change->figures, &figures_before, -1);

	if (work->details == NULL)
		return;
	change_user(work, deltas, count);
	if (counts_now && counted)
		change_courses_by_deltas(work, deltas, count);
	else if (counts_now)
		change_courses_by_rows(work, &rows, 1);
	else if (counted)
	{
		take_back(&rows, deltas, count);
		change_courses_by_rows(work, &rows, -1);
	}
}

/* Works out what entries, which are merged on the way, make of everything that is asked for. */
static void
change_by_entries(Work *work, MtEntries *entries)
{
	int			first = 0;

	mt_merge_entries(entries);
	if (entries->count == 0)
		return;
	mt_tenant_scan_open(&work->users, &users_table, work->tenant, work->snapshot, 1);
	while (first < entries->count)
	{
		int			next = first + 1;

		while (next < entries->count && mt_compare_ids(entries->entries[first].user, entries->entries[next].user) == 0)
			next++;
		change_by_user(work, &entries->entries[first], next - first);
		first = next;
	}
	mt_tenant_scan_close(&work->users);
	if (work->details != NULL)
		mt_merge_entries(&work->details->courses);
}

/*
 * What has changed since a cursor (a pg_snapshot; 0: since ever) in the totals, and where details is not NULL for users and courses. Returns the
 * number of deltas' entries; -1: they do not tell in this snapshot, the rows must be counted.
 */
int64
mt_readiness_since(const char *tenant, Datum cursor, Snapshot snapshot, MtTotals *change, MtDetails *details)
{
	Work		work = {.tenant = tenant,.snapshot = snapshot,.change = change,.details = details};
	MtEntries	entries = {0};
	MtCursor	taken_in;
	int64		count;

	memset(change, 0, sizeof(MtTotals));
	if (details != NULL)
		memset(details, 0, sizeof(MtDetails));
	if (mt_tenant_table_newer(mt_relation_oid(&users_table.table), snapshot) ||
		mt_tenant_table_newer(mt_relation_oid(&progress_table.table), snapshot) ||
		mt_tenant_table_newer(mt_relation_oid(&quiz_table.table), snapshot))
		return -1;
	if (cursor != (Datum) 0)
		mt_read_cursor(cursor, &taken_in);
	if (!mt_read_deltas(tenant, cursor == (Datum) 0 ? NULL : &taken_in, snapshot, &entries))
		return -1;
	count = entries.count;
	change_by_entries(&work, &entries);
	return count;
}

/*
 * A tenant's totals as the snapshot shows the tables. False: its rows must be counted.
 */
bool
mt_readiness_totals(const char *tenant, Snapshot snapshot, MtTotals *totals)
{
	MtSummary	summary;

	if (!mt_read_summary(tenant, snapshot, &summary) ||
		mt_readiness_since(tenant, summary.cursor, snapshot, totals, NULL) < 0)
		return false;
	totals->learners += summary.totals.learners;
	mt_add_figures(&totals->figures, &summary.totals.figures, 1);
	return true;
}
