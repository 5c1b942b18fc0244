/*
 * worker_report.c
 *		What the workers say of themselves, and the function behind mt_stat_worker that shows it.
 *
 * Called by the workers, through SQL, inside the transactions that do their work. It lies in shared memory and so does not roll back: a step
 * that failed is seen as one. Only a process that is attached as a worker of its database can report; for anybody else nothing happens. A text
 * may name a tenant, so it is for members of pg_monitor; it never holds a tenant's data or a secret.
 */
#include "shared_layout.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#define STATS_COLUMNS	13

/* One row of worker_stats, as it was under the lock. */
typedef struct StatsRow
{
	Oid			database;
	int			kind;
	WorkerSlot	worker;
} StatsRow;

PG_FUNCTION_INFO_V1(mt_worker_report);
PG_FUNCTION_INFO_V1(mt_worker_failed);
PG_FUNCTION_INFO_V1(mt_worker_stats);

/* The report of this process; NULL where it is no worker. The lock is held by the caller. */
static WorkerReport *
own_report(void)
{
	DatabaseSlot *slot = mt_find_database(MyDatabaseId, false);

	for (int kind = 0; slot != NULL && kind < MT_WORKER_KINDS; kind++)
		if (slot->workers[kind].pid == MyProcPid)
			return &slot->workers[kind].report;
	return NULL;
}

/* Copies a text, cut at a whole character where it is too long. */
static void
copy_text(char *target, const char *source, int size)
{
	int			length = pg_mbcliplen(source, (int) strlen(source), size - 1);

	memcpy(target, source, (Size) length);
	target[length] = '\0';
}

/*
 * mindtickle.worker_report(step text, items int8): this worker is at the step; NULL: it has ended what it was at. With items, that many more are
 * done and a round has ended well.
 */
Datum
mt_worker_report(PG_FUNCTION_ARGS)
{
	char	   *step = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz now = GetCurrentTimestamp();
	WorkerReport *report;

	if (mt_shared == NULL)
		PG_RETURN_VOID();
	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	report = own_report();
	if (report != NULL)
	{
		report->working = step != NULL;
		if (step != NULL)
			copy_text(report->step, step, sizeof(report->step));
		if (!PG_ARGISNULL(1))
		{
			report->failing = false;
			report->rounds++;
			report->items += PG_GETARG_INT64(1);
			if (PG_GETARG_INT64(1) > 0)
				report->last_work_at = now;
		}
	}
	LWLockRelease(mt_shared->lock);
	PG_RETURN_VOID();
}

/*
 * mindtickle.worker_failed(message text): what this worker did last was rolled back, for this reason.
 */
Datum
mt_worker_failed(PG_FUNCTION_ARGS)
{
	char	   *message = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz now = GetCurrentTimestamp();
	WorkerReport *report;

	if (mt_shared == NULL)
		PG_RETURN_VOID();
	LWLockAcquire(mt_shared->lock, LW_EXCLUSIVE);
	report = own_report();
	if (report != NULL)
	{
		report->working = false;
		report->failing = true;
		report->errors++;
		report->last_error_at = now;
		copy_text(report->last_error, message, sizeof(report->last_error));
	}
	LWLockRelease(mt_shared->lock);
	PG_RETURN_VOID();
}

/* Copies the workers that there are or were; returns how many. rows has room for all. */
static int
copy_reports(StatsRow *rows)
{
	int			count = 0;

	LWLockAcquire(mt_shared->lock, LW_SHARED);
	for (int i = 0; i < MT_DATABASES_MAX; i++)
	{
		DatabaseSlot *slot = &mt_shared->databases[i];

		if (!OidIsValid(slot->database))
			continue;
		for (int kind = 0; kind < MT_WORKER_KINDS; kind++)
			if (slot->workers[kind].attached > 0)
				rows[count++] = (StatsRow) {slot->database, kind, slot->workers[kind]};
	}
	LWLockRelease(mt_shared->lock);
	return count;
}

static Datum
moment(TimestampTz value, bool *isnull)
{
	*isnull = value == 0;
	return TimestampTzGetDatum(value);
}

static Datum
string(const char *value, bool *isnull)
{
	*isnull = value[0] == '\0';
	return *isnull ? (Datum) 0 : CStringGetTextDatum(value);
}

/*
 * mindtickle.worker_stats() -> setof record: every worker of every database that has been there since the server's start.
 */
Datum
mt_worker_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StatsRow   *rows;
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	if (mt_shared == NULL)
		return (Datum) 0;
	rows = palloc(sizeof(StatsRow) * MT_DATABASES_MAX * MT_WORKER_KINDS);
	count = copy_reports(rows);
	for (int i = 0; i < count; i++)
	{
		const WorkerSlot *worker = &rows[i].worker;
		const WorkerReport *report = &worker->report;
		bool		nulls[STATS_COLUMNS] = {0};
		Datum		values[STATS_COLUMNS];
		const char *state = report->failing ? "failing" : report->working ? "working" : "idle";

		if (worker->pid == 0)
			state = "stopped";
		values[0] = ObjectIdGetDatum(rows[i].database);
		values[1] = CStringGetTextDatum(mt_worker_kind_name(rows[i].kind));
		values[2] = Int32GetDatum((int32) worker->pid);
		nulls[2] = worker->pid == 0;
		values[3] = moment(report->started_at, &nulls[3]);
		values[4] = Int64GetDatum((int64) worker->attached);
		values[5] = CStringGetTextDatum(state);
		values[6] = string(report->step, &nulls[6]);
		values[7] = Int64GetDatum(report->rounds);
		values[8] = Int64GetDatum(report->items);
		values[9] = Int64GetDatum(report->errors);
		values[10] = moment(report->last_work_at, &nulls[10]);
		values[11] = string(report->last_error, &nulls[11]);
		values[12] = moment(report->last_error_at, &nulls[12]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
