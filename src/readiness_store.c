/*
 * readiness_store.c
 *		Where readiness is kept: deltas, and the summaries that have taken them in.
 *
 * Statements append deltas (readiness_delta.c) to one of a ring of tables; the aggregator takes them into summaries (readiness_fold.c). Neither
 * deletes nor updates a row: a delta that has been taken in is told by the summary's cursor (cursor.c), and a newer summary of a tenant by its
 * number. Tables are emptied by TRUNCATE (ring.c, readiness_ring.c).
 *
 * A reader takes the newest summary that his snapshot shows, and the deltas that it shows and the summary's cursor does not. Where a table was
 * truncated by a transaction that the snapshot does not see, or a delta asks for a new count, he is told to count the tenant's rows instead. A table
 * that is known to be spent (spent_table.c) he does not open.
 */
#include "readiness_store.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "readiness_row.h"
#include "spent_table.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/* Columns of the delta tables and of the summaries, in the order of sql/readiness_tables.sql. */
#define DELTA_XID			2
#define DELTA_PART			3
#define DELTA_ENTRIES		4
#define DELTA_COLUMNS		4
#define SUMMARY_FOLD			2
#define SUMMARY_LEARNERS		3
#define SUMMARY_FIGURES			4
#define SUMMARY_CURSOR			(SUMMARY_FIGURES + MT_FIGURES)
#define SUMMARY_DETAIL_CURSOR	(SUMMARY_CURSOR + 1)
#define SUMMARY_DETAIL_TABLE	(SUMMARY_CURSOR + 2)
#define SUMMARY_PEOPLE_SINCE		(SUMMARY_CURSOR + 3)
#define SUMMARY_COLUMNS			SUMMARY_PEOPLE_SINCE
/* Those of the figures of users and of courses: after the figures comes the last activity, or the number of learners. */
#define DETAIL_ID				2
#define DETAIL_FIGURES			3
#define DETAIL_FURTHER			(DETAIL_FIGURES + MT_FIGURES)

MtTenantTable mt_delta_tables[MT_DELTA_TABLES] = {
	{.table = {"readiness_delta_0"}},
	{.table = {"readiness_delta_1"}},
	{.table = {"readiness_delta_2"}},
	{.table = {"readiness_delta_3"}}
};

MtTenantTable mt_summary_tables[MT_SUMMARY_TABLES] = {
	{.table = {"readiness_summary_0"}},
	{.table = {"readiness_summary_1"}}
};

MtTenantTable mt_user_tables[MT_SUMMARY_TABLES] = {
	{.table = {"readiness_user_0"}},
	{.table = {"readiness_user_1"}}
};

MtTenantTable mt_course_tables[MT_SUMMARY_TABLES] = {
	{.table = {"readiness_course_0"}},
	{.table = {"readiness_course_1"}}
};

/* Appends a row to a table, which is not known to be spent any more. */
static void
append(MtTenantTable *table, Datum *values, bool *nulls)
{
	Oid			relation;

	/* The extension may have been dropped and made again while the lock was waited for. */
	do
	{
		relation = mt_relation_oid(&table->table);
		LockRelationOid(relation, RowExclusiveLock);
	} while (relation != mt_relation_oid(&table->table));
	mt_table_filled(relation);
	mt_tenant_table_append(table, values, nulls);
}

/*
 * Appends entries of a tenant, packed; bytes NULL: the tenant is to be counted anew. At most some 8000 bytes.
 */
void
mt_write_delta(MtId tenant, const char *bytes, int length)
{
	static FullTransactionId transaction_here;
	static int32 part = 0;
	FullTransactionId transaction = GetTopFullTransactionId();
	Datum		values[DELTA_COLUMNS];
	bool		nulls[DELTA_COLUMNS] = {false};

	if (!FullTransactionIdEquals(transaction, transaction_here))
	{
		transaction_here = transaction;
		part = 0;
	}
	values[0] = PointerGetDatum(cstring_to_text_with_len(tenant.bytes, tenant.length));
	values[DELTA_XID - 1] = FullTransactionIdGetDatum(transaction);
	values[DELTA_PART - 1] = Int32GetDatum(part++);
	values[DELTA_ENTRIES - 1] = bytes == NULL ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(bytes, length));
	nulls[DELTA_ENTRIES - 1] = bytes == NULL;
	append(&mt_delta_tables[mt_table_of_transaction(MT_DELTAS)], values, nulls);
}

/* Reads the deltas that the scan finds. False: one asks for a new count. */
static bool
take_deltas(MtNewScan *scan, MtId tenant, MtEntries *entries)
{
	while (mt_new_scan_next(scan))
	{
		bool		isnull;
		Datum		packed = slot_getattr(scan->scan.slot, DELTA_ENTRIES, &isnull);
		bytea	   *copy;

		if (isnull)
			return false;
		copy = DatumGetByteaPCopy(packed);
		mt_unpack_entries(entries, tenant, VARDATA_ANY(copy), VARSIZE_ANY_EXHDR(copy));
	}
	return true;
}

/*
 * Adds the deltas of a tenant that the snapshot shows and the cursor, NULL for none, has not taken in. False: they do not tell, count anew.
 */
bool
mt_read_deltas(const char *tenant, const MtCursor *cursor, Snapshot snapshot, MtEntries *entries)
{
	MtId		id = {tenant, strlen(tenant)};
	bool		known = true;

	for (int table = 0; table < MT_DELTA_TABLES && known; table++)
	{
		MtNewScan	scan;

		if (mt_table_known_spent(mt_relation_oid(&mt_delta_tables[table].table), snapshot))
			continue;
		mt_new_scan_open(&scan, &mt_delta_tables[table], tenant, cursor, snapshot);
		known = !mt_tenant_table_newer(RelationGetRelid(scan.scan.relation), snapshot) && take_deltas(&scan, id, entries);
		mt_new_scan_close(&scan);
	}
	return known;
}

static Datum
copy_of_column(TupleTableSlot *slot, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column, &isnull);

	return isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}

static int64
number_of_column(TupleTableSlot *slot, int column)
{
	bool		isnull;

	return DatumGetInt64(slot_getattr(slot, column, &isnull));
}

/* Reads a row of a summary table. */
static void
take_summary(TupleTableSlot *slot, int table, MtSummary *summary)
{
	int64	   *figures = (int64 *) &summary->totals.figures;
	bool		isnull;

	summary->found = true;
	summary->table = table;
	summary->fold = number_of_column(slot, SUMMARY_FOLD);
	summary->totals.learners = number_of_column(slot, SUMMARY_LEARNERS);
	for (int i = 0; i < MT_FIGURES; i++)
		figures[i] = number_of_column(slot, SUMMARY_FIGURES + i);
	summary->cursor = copy_of_column(slot, SUMMARY_CURSOR);
	summary->detail_cursor = copy_of_column(slot, SUMMARY_DETAIL_CURSOR);
	summary->detail_table = DatumGetInt16(slot_getattr(slot, SUMMARY_DETAIL_TABLE, &isnull));
	summary->people_since = U64FromFullTransactionId(DatumGetFullTransactionId(slot_getattr(slot, SUMMARY_PEOPLE_SINCE, &isnull)));
}

/*
 * The newest summary of a tenant that the snapshot shows. False: it may be gone, count anew.
 */
bool
mt_read_summary(const char *tenant, Snapshot snapshot, MtSummary *summary)
{
	bool		known = true;

	memset(summary, 0, sizeof(MtSummary));
	summary->detail_table = -1;
	for (int table = 0; table < MT_SUMMARY_TABLES && known; table++)
	{
		MtTenantScan scan;

		if (mt_table_known_spent(mt_relation_oid(&mt_summary_tables[table].table), snapshot))
			continue;
		mt_tenant_scan_open(&scan, &mt_summary_tables[table], tenant, snapshot, 0);
		known = !mt_tenant_table_newer(RelationGetRelid(scan.relation), snapshot);
		mt_tenant_scan_start(&scan, NULL, 0);
		if (known && mt_tenant_scan_next(&scan, BackwardScanDirection) &&
			(!summary->found || number_of_column(scan.slot, SUMMARY_FOLD) > summary->fold))
			take_summary(scan.slot, table, summary);
		mt_tenant_scan_close(&scan);
	}
	return known;
}

/*
 * True when a summary, and the figures of users and courses, are in the tables that are written to, or there are none.
 */
bool
mt_summary_in_place(const MtSummary *summary)
{
	return !summary->found ||
		(summary->table == mt_table_in_use(MT_SUMMARIES) &&
		 (summary->detail_table < 0 || summary->detail_table == mt_table_in_use(MT_DETAILS)));
}

/*
 * True when reading what a summary has not taken in, with details also what the figures of users and courses have not, takes longer than it would
 * behind a new one, although nothing has changed.
 */
bool
mt_summary_worn(const MtSummary *summary, bool details, Snapshot snapshot)
{
	MtCursor	cursor;

	if (!summary->found)
		return false;
	mt_read_cursor(summary->cursor, &cursor);
	if (mt_cursor_worn(&cursor, snapshot))
		return true;
	if (!details || summary->detail_cursor == (Datum) 0)
		return false;
	mt_read_cursor(summary->detail_cursor, &cursor);
	return mt_cursor_worn(&cursor, snapshot);
}

/*
 * Appends a summary; it is the tenant's newest when its number is the highest. ERROR 23505 where there is one of this number in this table.
 */
void
mt_write_summary(const char *tenant, const MtSummary *summary)
{
	const int64 *figures = (const int64 *) &summary->totals.figures;
	Datum		values[SUMMARY_COLUMNS];
	bool		nulls[SUMMARY_COLUMNS] = {false};

	values[0] = CStringGetTextDatum(tenant);
	values[SUMMARY_FOLD - 1] = Int64GetDatum(summary->fold);
	values[SUMMARY_LEARNERS - 1] = Int64GetDatum(summary->totals.learners);
	for (int i = 0; i < MT_FIGURES; i++)
		values[SUMMARY_FIGURES - 1 + i] = Int64GetDatum(figures[i]);
	values[SUMMARY_CURSOR - 1] = summary->cursor;
	values[SUMMARY_DETAIL_CURSOR - 1] = summary->detail_cursor;
	nulls[SUMMARY_DETAIL_CURSOR - 1] = summary->detail_cursor == (Datum) 0;
	values[SUMMARY_DETAIL_TABLE - 1] = Int16GetDatum(summary->detail_table);
	values[SUMMARY_PEOPLE_SINCE - 1] = FullTransactionIdGetDatum(FullTransactionIdFromU64(summary->people_since));
	append(&mt_summary_tables[summary->table], values, nulls);
}

/*
 * Adds the figures of a tenant's users, or of its courses, as far as the summary has taken them in, in the order of their ids: an entry each, of
 * which a user's last activity is gained, and the number of a course's learners is present. False: they may be gone, count anew.
 */
bool
mt_read_details(const char *tenant, bool users, const MtSummary *summary, Snapshot snapshot, MtEntries *entries)
{
	MtTenantScan scan;
	bool		known;

	if (summary->detail_table < 0)
		return true;
	mt_tenant_scan_open(&scan, users ? &mt_user_tables[summary->detail_table] : &mt_course_tables[summary->detail_table], tenant, snapshot, 0);
	known = !mt_tenant_table_newer(RelationGetRelid(scan.relation), snapshot);
	mt_tenant_scan_start(&scan, NULL, 0);
	while (known && mt_tenant_scan_next(&scan, ForwardScanDirection))
	{
		MtEntry    *entry = mt_new_entry(entries);
		int64	   *figures = (int64 *) &entry->figures;
		MtId		id = mt_id_of_row(scan.slot, DETAIL_ID, NULL);
		bool		isnull;
		Datum		further = slot_getattr(scan.slot, DETAIL_FURTHER, &isnull);

		CHECK_FOR_INTERRUPTS();
		entry->tenant = entry->user = entry->course = (MtId) {"", 0};
		for (int i = 0; i < MT_FIGURES; i++)
			figures[i] = number_of_column(scan.slot, DETAIL_FIGURES + i);
		if (users)
		{
			entry->user = id;
			entry->gained = isnull ? DT_NOBEGIN : DatumGetTimestampTz(further);
		}
		else
		{
			entry->course = id;
			entry->present = (int) DatumGetInt64(further);
		}
	}
	mt_tenant_scan_close(&scan);
	return known;
}

/*
 * True when a tenant has more rows in some tables than that, of which no more are looked at.
 */
bool
mt_more_in_tables(MtTenantTable **tables, int count, const char *tenant, Snapshot snapshot, int64 limit)
{
	int64		rows = 0;

	for (int i = 0; i < count && rows <= limit; i++)
	{
		MtTenantScan scan;

		mt_tenant_scan_open(&scan, tables[i], tenant, snapshot, 0);
		mt_tenant_scan_start(&scan, NULL, 0);
		while (rows <= limit && mt_tenant_scan_next(&scan, ForwardScanDirection))
		{
			CHECK_FOR_INTERRUPTS();
			rows++;
		}
		mt_tenant_scan_close(&scan);
	}
	return rows > limit;
}

/*
 * The same of its figures of users and courses in one of the tables of each.
 */
bool
mt_has_more_details(const char *tenant, int table, Snapshot snapshot, int64 limit)
{
	MtTenantTable *tables[] = {&mt_user_tables[table], &mt_course_tables[table]};

	return mt_more_in_tables(tables, lengthof(tables), tenant, snapshot, limit);
}
