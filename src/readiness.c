/*
 * readiness.c
 *		Readiness reports: computing one, and computing, storing and announcing one.
 *
 * The figures themselves are mindtickle.compute_readiness (sql/readiness_api.sql).
 */
#include "mindtickle.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "event.h"
#include "funcapi.h"
#include "plan.h"
#include "service_call.h"
#include "utils/builtins.h"

/* Attempts to store a report under a moment of its own. */
#define STORE_ROUNDS	100

PG_FUNCTION_INFO_V1(mt_readiness);
PG_FUNCTION_INFO_V1(mt_aggregate_readiness);

/* Columns of a report, and after them the payload of its event. */
#define REPORT_COLUMNS	11

/* The function's result type. */
static TupleDesc
report_type(FunctionCallInfo fcinfo)
{
	TupleDesc	descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a readiness function must return a row");
	return BlessTupleDesc(descriptor);
}

/* Takes the first row of the last statement apart, in the caller's memory. */
static void
take_row(const MtServiceCall *call, Datum *columns, bool *nulls)
{
	MemoryContext previous = MemoryContextSwitchTo(call->context);

	heap_deform_tuple(heap_copytuple(SPI_tuptable->vals[0]), SPI_tuptable->tupdesc, columns, nulls);
	MemoryContextSwitchTo(previous);
}

/*
 * mt_readiness(tenant): the figures of now, without storing them. Reads in the snapshot of the caller's query, also on a standby.
 */
Datum
mt_readiness(PG_FUNCTION_ARGS)
{
	static MtPlan compute = {
		"SELECT * FROM mindtickle.compute_readiness($1)", 1, {TEXTOID},.read_only = true
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	Datum		value = PG_GETARG_DATUM(0);
	TupleDesc	descriptor = report_type(fcinfo);
	Datum		columns[REPORT_COLUMNS];
	bool		nulls[REPORT_COLUMNS];

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, false);
	mt_plan_run(&compute, &value, NULL, SPI_OK_SELECT);
	take_row(&call, columns, nulls);
	mt_service_leave(&call);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, columns, nulls)));
}

/*
 * mt_aggregate_readiness(tenant): computes a report, stores it, and emits readiness.aggregated.
 */
Datum
mt_aggregate_readiness(PG_FUNCTION_ARGS)
{
	static MtPlan store = {
		"INSERT INTO mindtickle.readiness_report (tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, "
		"data_as_of, provisional, provisional_reason, computed_at) "
		"SELECT r.tenant_id, r.avg_score, r.completion_rate, r.learners, r.quiz_results, r.assignments, r.completed, r.data_as_of, "
		"r.provisional, r.provisional_reason, r.computed_at + $2 * interval '1 microsecond' FROM mindtickle.compute_readiness($1) AS r "
		"ON CONFLICT DO NOTHING RETURNING tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, "
		"data_as_of, provisional, provisional_reason, computed_at, "
		"jsonb_build_object('tenantId', tenant_id, 'avgScore', avg_score, 'completionRate', completion_rate, 'learners', learners, "
		"'quizResults', quiz_results, 'assignments', assignments, 'completed', completed, 'dataAsOf', data_as_of, "
		"'provisional', provisional, 'provisionalReason', provisional_reason, 'computedAt', computed_at)",
		2, {TEXTOID, INT4OID}
	};
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	MtServiceCall call;
	Datum		values[2] = {PG_GETARG_DATUM(0), Int32GetDatum(0)};
	TupleDesc	descriptor = report_type(fcinfo);
	Datum		columns[REPORT_COLUMNS + 1];
	bool		nulls[REPORT_COLUMNS + 1];
	int			round = 0;

	mt_service_enter(&call, fcinfo, tenant, MT_ACCESS_READER, true);

	/* Another report of the same microsecond makes way for a later one. */
	while (mt_plan_run(&store, values, NULL, SPI_OK_INSERT_RETURNING) == 0)
	{
		if (++round == STORE_ROUNDS)
			elog(ERROR, "could not store a readiness report");
		values[1] = Int32GetDatum(round);
	}
	take_row(&call, columns, nulls);
	mt_emit_event(tenant, "readiness.aggregated", columns[REPORT_COLUMNS]);
	mt_service_leave(&call);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(descriptor, columns, nulls)));
}
