/*
 * statements.h
 *		What the workers ask of the extension, one function a statement: see statements.c.
 */
#ifndef MT_STATEMENTS_H
#define MT_STATEMENTS_H

#include "postgres.h"

#include "budget.h"
#include "contract.h"
#include "datatype/timestamp.h"
#include "position.h"

/* A tenant as the overview shows it; a moment that is not set is 0. */
typedef struct MtTenantRow
{
	char	   *tenant_id;
	bool		suspended;
	bool		source_configured;
	int64		open_job_id;	/* 0: none */
	TimestampTz next_sync_at;
	TimestampTz backoff_until;
	TimestampTz budget_until;
	int64		interval;		/* between two pulls */
	bool		push_users;
	int64		source_version; /* changes with settings and secrets */
} MtTenantRow;

typedef void (*MtTenantVisitor) (const MtTenantRow *row, void *argument);

/* How far a tenant's budget is accounted for. */
typedef struct MtReservation
{
	const char *tenant;
	TimestampTz until;
	const char *minutes;		/* int4[] as text; NULL: the hour has no limit */
	MtBudgetLeft left;
	bool		stored;			/* what came of it */
} MtReservation;

/* A job that was opened. */
typedef struct MtJobRow
{
	int64		job_id;
	char	   *kind;
	char	   *phase;
	char	   *position;
	char	   *settings;
	char	   *credential;		/* NULL: none */
	int64		done;
	int64		total;			/* -1: not known */
	TimestampTz stored_at;		/* of the credential */
	char	   *unreadable;		/* in words which secrets cannot be read, and why; NULL: none */
	bool		key_unreadable; /* one without which nothing can be sent is among them */
	bool		scores_unreadable;	/* one of the reporting user's is */
} MtJobRow;

/* What became of records. */
typedef struct MtStoreCounts
{
	int64		received;
	int64		changed;
	int64		rejected;
	int64		fresh;
	TimestampTz latest;			/* of the records' own moments; 0: none */
} MtStoreCounts;

extern const char *mt_phase_name(MtPhase phase);
extern MtPhase mt_phase_find(const char *name);

/* Shown the end of a tenant's current day. */
typedef void (*MtDayVisitor) (const char *tenant, TimestampTz next_at, void *argument);

extern void mt_sql_worker_report(const char *step, int64 items);
extern void mt_sql_worker_failed(const char *message);
extern bool mt_sql_tenant_exists(const char *tenant);

extern void mt_sql_overview(MtTenantVisitor visitor, void *argument);
extern void mt_sql_reserve_budget(MtReservation *reservations, int count);
extern int	mt_sql_budget_of(const char *tenant, int *minutes, int64 *age);
extern void mt_sql_enter_tenant(const char *tenant);
extern void mt_sql_enter_tenant_for(const char *tenant, const char *step);

extern bool mt_sql_sync_open(const char *tenant, MemoryContext context, MtJobRow *row);
/* The job_id of records that no pull has fetched. 0 would be a dead letter that is replayed, whose faults are errors: see pulled_page.c. */
#define MT_NO_PULL	(-1)

extern void mt_sql_store(MtRecordKind kind, const char *tenant, int64 job_id, const char *key, Datum *records, int count,
						 MtStoreCounts *counts);
extern int	mt_sql_next_items(MtOver over, const char *tenant, int64 job_id, const char *after, int limit, MemoryContext context,
							  MtItem **items);
extern int64 mt_sql_count_items(MtOver over, const char *tenant, int64 job_id);
extern void mt_sql_count_costs(const char *tenant, MtCounts *counts);
extern void mt_sql_note_site(const char *tenant, const char *base_url);
extern void mt_sql_sync_pass_phase(const char *tenant, int64 job_id, MtPhase phase);
extern void mt_sql_sync_forget_seen(const char *tenant, int64 job_id, MtPhase phase);
extern bool mt_sql_sync_advance(const char *tenant, int64 job_id, MtPhase phase, const char *position, int64 done, int64 total,
								const MtStoreCounts *counts);
extern char *mt_sql_sync_since(const char *tenant, int64 job_id, MtPhase phase, MemoryContext context);
extern void mt_sql_sync_finish_phase(const char *tenant, int64 job_id, MtPhase phase, bool complete, bool whole, const char *error,
									 const MtPosition *position);
extern void mt_sql_sync_close(const char *tenant, int64 job_id, const char *state, const char *error);
extern void mt_sql_sync_back_off(const char *tenant, TimestampTz until, const char *error);
extern void mt_sql_sync_count(const char *tenant, int64 job_id, const int64 *tally, int count);

extern int	mt_sql_take_marks(MemoryContext context, char ***tenants);
extern int	mt_sql_tenants_to_publish(MemoryContext context, char ***tenants);
extern int	mt_sql_record_alerts(void);
/* What mt_sql_publish returns instead of a count. */
#define MT_PUBLISH_HELD		(-1)
#define MT_PUBLISH_NOBODY	(-2)
extern int	mt_sql_publish(const char *tenant, int max_rows, bool announce, bool wait, bool *more);
extern double mt_sql_notification_usage(void);
/* What mt_sql_tend_events begins with that leaves a table to mt_sql_empty_event_table. */
#define MT_TEND_LARGE		"large: "
extern char *mt_sql_tend_events(bool events_too, MemoryContext context);
extern int64 mt_sql_file_of_event_table(const char *name);
extern void mt_sql_empty_event_table(const char *name);
extern void mt_sql_trim_tenant(const char *tenant);

extern int	mt_sql_take_readiness_marks(MemoryContext context, char ***names);
extern int	mt_sql_tenants_to_fold(MemoryContext context, char ***tenants);
/* What a fold returns that has taken in nothing, or, the last one, leaves something to be moved. */
#define MT_FOLD_BUSY		(-1)
#define MT_FOLD_TOO_LARGE	(-2)
#define MT_FOLD_TO_MOVE		(-3)

extern int64 mt_sql_fold_readiness(const char *tenant, bool details);
extern void mt_sql_rebuild_readiness(const char *tenant);
extern void mt_sql_move_readiness(const char *tenant);
extern char *mt_sql_tend_readiness(MemoryContext context);
extern void mt_sql_readiness_days(TimestampTz at, MtDayVisitor visitor, void *argument);
extern int	mt_sql_close_readiness_day(const char *tenant, TimestampTz at);
extern int	mt_sql_readiness_reruns(MemoryContext context, char ***tenants);
extern bool mt_sql_rerun_readiness(const char *tenant);

#endif							/* MT_STATEMENTS_H */
