/*
 * event.c
 *		Writes events to the outbox in the transaction of the change, and sees to it that the publisher is woken when it commits.
 *
 * Called by every function that changes what an event is about. Never NOTIFYs: that would put all commits of the instance in one line.
 */
#include "event.h"

#include "catalog/pg_type.h"
#include "plan.h"
#include "shared_state.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_emit_event_sql);

/*
 * Writes one event. payload is a jsonb datum. Within mt_service_enter/leave, or as the service role with the tenant in force.
 */
void
mt_emit_event(const char *tenant, const char *topic, Datum payload)
{
	static MtPlan insert = {
		"INSERT INTO mindtickle.outbox (tenant_id, topic, payload) VALUES ($1, $2, $3)",
		3, {TEXTOID, TEXTOID, JSONBOID}
	};
	Datum		values[3] = {CStringGetTextDatum(tenant), CStringGetTextDatum(topic), payload};

	mt_plan_run(&insert, values, NULL, SPI_OK_INSERT);
	mt_mark_tenant(tenant);
}

/*
 * mindtickle.emit_event(tenant, topic, payload): for what is written in SQL.
 */
Datum
mt_emit_event_sql(PG_FUNCTION_ARGS)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	mt_emit_event(text_to_cstring(PG_GETARG_TEXT_PP(0)), text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_DATUM(2));
	SPI_finish();
	PG_RETURN_VOID();
}
