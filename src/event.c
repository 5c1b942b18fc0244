/*
 * event.c
 *		Writes events to the outbox in the transaction of the change, and sees to it that the publisher is woken when it commits.
 *
 * Called by every function that changes what an event is about. It is on the way of every writer, so it appends without the executor. Never
 * NOTIFYs: that would put all commits of the instance in one line.
 */
#include "event.h"

#include "access/xact.h"
#include "commands/sequence.h"
#include "event_store.h"
#include "shared_state.h"
#include "tenant_context.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

/*
 * Longest topic in bytes. With the longest tenant id, mt_event_channel then is no longer than a channel's name may be.
 */
#define TOPIC_MAX	(NAMEDATALEN - 1 - MT_TENANT_MAX - (int) strlen("tenant.."))

PG_FUNCTION_INFO_V1(mt_emit_event_sql);
PG_FUNCTION_INFO_V1(mt_event_channel_sql);

/* ERROR 22023 for what cannot be a topic. */
static void
check_topic(const char *topic)
{
	int			length = (int) strlen(topic);

	if (length == 0 || length > TOPIC_MAX || strspn(topic, "abcdefghijklmnopqrstuvwxyz0123456789_.") != (size_t) length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid topic"),
				 errdetail("A topic has 1 to %d characters of a-z, 0-9, \"_\" and \".\".", TOPIC_MAX)));
}

/*
 * Writes one event. payload is a jsonb datum. Within mt_service_enter/leave, or where the right to the tenant has been checked. ERROR 22023 for
 * what cannot be a topic.
 */
void
mt_emit_event(const char *tenant, const char *topic, Datum payload)
{
	static MtRelationName sequence = {"outbox_position"};
	Datum		values[MT_OUTBOX_COLUMNS];
	bool		nulls[MT_OUTBOX_COLUMNS] = {false};
	int			table = mt_table_of_transaction(MT_OUTBOX);

	check_topic(topic);
	values[0] = CStringGetTextDatum(tenant);
	values[MT_OUTBOX_XID - 1] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	/* Taken here, behind whatever the change has waited for: so it follows the order of changes that depend on each other. */
	values[MT_OUTBOX_POSITION - 1] = Int64GetDatum(nextval_internal(mt_relation_oid(&sequence), false));
	values[MT_WAITING_TOPIC - 1] = CStringGetTextDatum(topic);
	values[MT_WAITING_PAYLOAD - 1] = payload;
	values[MT_WAITING_CREATED_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	mt_tenant_table_append(&mt_outbox_tables[table], values, nulls);
	mt_mark_tenant(tenant);
}

/*
 * The channel of a tenant's topic.
 */
char *
mt_event_channel(const char *tenant, const char *topic)
{
	return psprintf("tenant.%s.%s", tenant, topic);
}

/*
 * mindtickle.emit_event(tenant, topic, payload): for what is written in SQL.
 */
Datum
mt_emit_event_sql(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));

	mt_require_access(fcinfo, tenant, MT_ACCESS_OWNER);
	mt_emit_event(tenant, text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_DATUM(2));
	PG_RETURN_VOID();
}

/*
 * mt_event_channel(tenant, topic) -> text: the name to LISTEN to.
 */
Datum
mt_event_channel_sql(PG_FUNCTION_ARGS)
{
	char	   *tenant = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *topic = text_to_cstring(PG_GETARG_TEXT_PP(1));

	mt_require_access(fcinfo, tenant, MT_ACCESS_READER);
	check_topic(topic);
	PG_RETURN_TEXT_P(cstring_to_text(mt_event_channel(tenant, topic)));
}
