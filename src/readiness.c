/*
 * readiness.c
 *		Readiness reports: mt_readiness, and mt_aggregate_readiness, which also stores and announces the report.
 *
 * The figures come from the tenant's summary and what it has not taken in yet (readiness_change.c), whatever the size of the tables. Where
 * these do not tell, the tenant's rows are counted by mindtickle.count_readiness (sql/readiness_api.sql), with the same result.
 */
#include "mindtickle.h"

#include "access.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "event.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "readiness_change.h"
#include "readiness_source.h"
#include "service_call.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Attempts to store a report under a moment of its own. */
#define STORE_ROUNDS	100

/* Places behind the point of avg_score and completion_rate. */
#define PLACES		4
#define UNITS		10000

/* Columns of a report. */
typedef enum ReportColumn
{
	REPORT_TENANT_ID,
	REPORT_AVG_SCORE,
	REPORT_COMPLETION_RATE,
	REPORT_LEARNERS,
	REPORT_QUIZ_RESULTS,
	REPORT_ASSIGNMENTS,
	REPORT_COMPLETED,
	REPORT_DATA_AS_OF,
	REPORT_PROVISIONAL,
	REPORT_PROVISIONAL_REASON,
	REPORT_COMPUTED_AT,
	REPORT_COLUMNS
} ReportColumn;

typedef struct Report
{
	Datum		values[REPORT_COLUMNS];
	bool		nulls[REPORT_COLUMNS];
} Report;

PG_FUNCTION_INFO_V1(mt_readiness);
PG_FUNCTION_INFO_V1(mt_aggregate_readiness);
PG_FUNCTION_INFO_V1(mt_readiness_reruns_due);
PG_FUNCTION_INFO_V1(mt_lock_reruns_at_once);

/* The function's result type, which both functions have, kept as long as it is the same: it goes and comes with the extension. */
static TupleDesc
report_type(FunctionCallInfo fcinfo)
{
	static TupleDesc kept = NULL;
	TupleDesc	descriptor;
	MemoryContext previous;

	if (kept != NULL && kept->tdtypeid == get_func_rettype(fcinfo->flinfo->fn_oid))
		return kept;
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE || descriptor->natts != REPORT_COLUMNS)
		elog(ERROR, "a readiness function must return a report");
	previous = MemoryContextSwitchTo(TopMemoryContext);
	descriptor = CreateTupleDescCopy(descriptor);
	MemoryContextSwitchTo(previous);
	if (kept != NULL)
		FreeTupleDesc(kept);
	kept = descriptor;
	return kept;
}

/* part / whole, rounded half up to PLACES; part is not negative. */
static Datum
rounded_ratio(int64 part, int64 whole)
{
	return NumericGetDatum(int64_div_fast_to_numeric((2 * part + whole) / (2 * whole), PLACES));
}

/* Puts a report together, as the snapshot shows it. */
static void
fill_report(const char *tenant, const MtTotals *totals, Snapshot snapshot, Report *report)
{
	const MtFigures *figures = &totals->figures;
	MtSourceState source;

	mt_readiness_source(tenant, snapshot, &source);
	memset(report, 0, sizeof(Report));
	report->values[REPORT_TENANT_ID] = CStringGetTextDatum(tenant);
	/* The sum of scores is in units of the last place already. */
	if (figures->scores > 0)
		report->values[REPORT_AVG_SCORE] = rounded_ratio(figures->score_sum, figures->scores);
	report->nulls[REPORT_AVG_SCORE] = figures->scores <= 0;
	if (figures->assignments > 0)
		report->values[REPORT_COMPLETION_RATE] = rounded_ratio(figures->completed * UNITS, figures->assignments);
	report->nulls[REPORT_COMPLETION_RATE] = figures->assignments <= 0;
	report->values[REPORT_LEARNERS] = Int64GetDatum(totals->learners);
	report->values[REPORT_QUIZ_RESULTS] = Int64GetDatum(figures->scores);
	report->values[REPORT_ASSIGNMENTS] = Int64GetDatum(figures->assignments);
	report->values[REPORT_COMPLETED] = Int64GetDatum(figures->completed);
	report->values[REPORT_DATA_AS_OF] = TimestampTzGetDatum(source.data_as_of);
	report->nulls[REPORT_DATA_AS_OF] = !source.pulled;
	report->values[REPORT_PROVISIONAL] = BoolGetDatum(source.provisional != NULL);
	report->nulls[REPORT_PROVISIONAL_REASON] = source.provisional == NULL;
	if (source.provisional != NULL)
		report->values[REPORT_PROVISIONAL_REASON] = CStringGetTextDatum(source.provisional);
	report->values[REPORT_COMPUTED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
}

/*
 * mt_readiness(tenant): the figures of now, without storing them. Reads in the snapshot of the caller's query, also on a standby.
 */
Datum
mt_readiness(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Snapshot	snapshot = GetActiveSnapshot();
	TupleDesc	descriptor = report_type(fcinfo);
	MtTotals	totals;
	Report		report;

	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	if (!mt_readiness_totals(tenant, snapshot, &totals))
	{
		MtServiceCall call;

		mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, false);
		mt_count_totals(tenant, &totals, snapshot);
		mt_service_leave(&call);
	}
	fill_report(tenant, &totals, snapshot, &report);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, report.values, report.nulls)));
}

/*
 * Stores the report, under a later moment where another one has this, and announces it. Within mt_service_enter/leave. A provisional one is renewed
 * by a request that is there, or by one of its own; the lock, taken before anything is written, keeps that from being answered before the report is
 * there.
 */
static void
store_report(const char *tenant, Report *report)
{
	static MtPlan store = {
		"INSERT INTO mindtickle.readiness_report (tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, "
		"data_as_of, provisional, provisional_reason, computed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING "
		"RETURNING jsonb_build_object('tenantId', tenant_id, 'avgScore', avg_score, 'completionRate', completion_rate, 'learners', learners, "
		"'quizResults', quiz_results, 'assignments', assignments, 'completed', completed, 'dataAsOf', data_as_of, "
		"'provisional', provisional, 'provisionalReason', provisional_reason, 'computedAt', computed_at)",
		REPORT_COLUMNS, {TEXTOID, NUMERICOID, NUMERICOID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, BOOLOID, TEXTOID, TIMESTAMPTZOID}
	};
	static MtPlan ask_for_rerun = {
		"INSERT INTO mindtickle.readiness_rerun (tenant_id, report_at) SELECT $1, $2 "
		"WHERE $3 OR NOT EXISTS (SELECT FROM mindtickle.readiness_rerun AS r WHERE r.tenant_id = $1) ON CONFLICT DO NOTHING",
		3, {TEXTOID, TIMESTAMPTZOID, BOOLOID}
	};
	char		nulls[REPORT_COLUMNS];
	int			round = 0;
	bool		isnull;

	if (DatumGetBool(report->values[REPORT_PROVISIONAL]))
		(void) mt_lock_reruns(tenant, ShareLock);
	for (int i = 0; i < REPORT_COLUMNS; i++)
		nulls[i] = report->nulls[i] ? 'n' : ' ';
	while (mt_plan_run(&store, report->values, nulls, SPI_OK_INSERT_RETURNING) == 0)
	{
		if (++round == STORE_ROUNDS)
			elog(ERROR, "could not store a readiness report");
		report->values[REPORT_COMPUTED_AT] = TimestampTzGetDatum(DatumGetTimestampTz(report->values[REPORT_COMPUTED_AT]) + 1);
	}
	mt_emit_event(tenant, "readiness.aggregated", SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (DatumGetBool(report->values[REPORT_PROVISIONAL]))
	{
		/* A snapshot that is kept may show a request that has been answered since. */
		Datum		values[3] = {report->values[REPORT_TENANT_ID], report->values[REPORT_COMPUTED_AT], BoolGetDatum(IsolationUsesXactSnapshot())};

		mt_plan_run(&ask_for_rerun, values, NULL, SPI_OK_INSERT);
	}
}

/*
 * mt_aggregate_readiness(tenant): computes a report, stores it, and emits readiness.aggregated. A provisional one is computed again, by the
 * aggregator, when what made it provisional has ended.
 */
Datum
mt_aggregate_readiness(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Snapshot	snapshot = GetActiveSnapshot();
	TupleDesc	descriptor = report_type(fcinfo);
	MtServiceCall call;
	MtTotals	totals;
	Report		report;
	HeapTuple	tuple;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, true);
	mt_require_same_tenant(tenant, snapshot);
	if (!mt_readiness_totals(tenant, snapshot, &totals))
		mt_count_totals(tenant, &totals, snapshot);
	fill_report(tenant, &totals, snapshot, &report);
	store_report(tenant, &report);
	MemoryContextSwitchTo(call.context);
	tuple = heap_form_tuple(descriptor, report.values, report.nulls);
	mt_service_leave(&call);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

/* True when a provisional report of the tenant is to be computed again. */
static bool
rerun_asked(const char *tenant, Snapshot snapshot)
{
	static MtTenantTable table = {.table = {"readiness_rerun"}};
	MtTenantScan scan;
	bool		asked;

	mt_tenant_scan_open(&scan, &table, tenant, snapshot, 0);
	mt_tenant_scan_start(&scan, NULL, 0);
	asked = mt_tenant_scan_next(&scan, ForwardScanDirection);
	mt_tenant_scan_close(&scan);
	return asked;
}

/* True when the tenant has a provisional report whose reason has ended. */
static bool
rerun_due(const char *tenant, Snapshot snapshot)
{
	MtSourceState source;

	if (!rerun_asked(tenant, snapshot))
		return false;
	mt_readiness_source(tenant, snapshot, &source);
	return source.provisional == NULL;
}

/*
 * mindtickle.readiness_reruns_due() -> setof text: tenants with a provisional report whose reason has ended.
 */
Datum
mt_readiness_reruns_due(PG_FUNCTION_ARGS)
{
	return mt_return_tenants(fcinfo, rerun_due);
}

/*
 * mindtickle.lock_reruns(tenant) -> bool: keeps provisional reports from being stored until the transaction ends. False where one is being stored.
 */
Datum
mt_lock_reruns_at_once(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(mt_lock_reruns(text_to_cstring(PG_GETARG_TEXT_PP(0)), ExclusiveLock));
}
