/*
 * readiness_store.h
 *		Where readiness is kept: the ring of delta tables and the two tables of summaries. See readiness_store.c.
 */
#ifndef MT_READINESS_STORE_H
#define MT_READINESS_STORE_H

#include "cursor.h"
#include "readiness_entry.h"
#include "ring.h"

/* Tables of the ring, and of each kind of summary: one is written to, the others are empty or about to be. */
#define MT_DELTA_TABLES		4
#define MT_SUMMARY_TABLES	2

extern MtTenantTable mt_delta_tables[MT_DELTA_TABLES];
extern MtTenantTable mt_summary_tables[MT_SUMMARY_TABLES];

extern MtTenantTable mt_user_tables[MT_SUMMARY_TABLES];
extern MtTenantTable mt_course_tables[MT_SUMMARY_TABLES];

/* A tenant's figures as far as they count. */
typedef struct MtTotals
{
	int64		learners;
	MtFigures	figures;
} MtTotals;

/* A tenant's newest summary. */
typedef struct MtSummary
{
	bool		found;			/* false: nothing has been taken in yet */
	int			table;			/* of mt_summary_tables */
	int64		fold;			/* its number, higher for a later one */
	MtTotals	totals;
	Datum		cursor;			/* pg_snapshot: what the totals have taken in */
	Datum		detail_cursor;	/* the same for the figures of users and courses */
	int			detail_table;	/* in which of the tables of these they are; -1: nowhere yet */
	uint64		people_since;	/* the transaction id of the last fold that took in that users changed or rows went, or counted anew */
} MtSummary;

extern void mt_write_delta(MtId tenant, const char *bytes, int length);
extern bool mt_read_summary(const char *tenant, Snapshot snapshot, MtSummary *summary);
extern bool mt_summary_in_place(const MtSummary *summary);
extern bool mt_summary_worn(const MtSummary *summary, bool details, Snapshot snapshot);
extern bool mt_more_in_tables(MtTenantTable **tables, int count, const char *tenant, Snapshot snapshot, int64 limit);
extern bool mt_has_more_details(const char *tenant, int table, Snapshot snapshot, int64 limit);
extern void mt_write_summary(const char *tenant, const MtSummary *summary);
extern bool mt_read_details(const char *tenant, bool users, const MtSummary *summary, Snapshot snapshot, MtEntries *entries);
extern bool mt_read_deltas(const char *tenant, const MtCursor *cursor, Snapshot snapshot, MtEntries *entries);

#endif							/* MT_READINESS_STORE_H */
