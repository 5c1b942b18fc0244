/*
 * readiness_source.c
 *		How far a tenant's readiness can be relied on: from when its data is, and whether a pull that it needs is missing, old, failing, or under way
 *		and waited for.
 *
 * Called by readiness.c for each report. Reads the tenant's row and its rows of sync_resource. Nothing that waits counts: events and pushes go out,
 * and what comes in by SQL or HTTP is stored in its own transaction or refused, so there is no queue of it. Which pulls are waited for is decided
 * when one is begun (mindtickle.sync_open) or joined (mindtickle.request_sync).
 */
#include "readiness_source.h"

#include "lib/stringinfo.h"
#include "tenant_table.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Where the tenant sets nothing; the same as in mindtickle.setting_definitions. */
#define DEFAULT_FRESHNESS	"1 hour"

/* Columns of tenant and sync_resource, in the order of sql/tenant.sql and sql/sync_tables.sql. */
#define TENANT_SETTINGS				3
#define TENANT_SOURCE_CONFIGURED	6
#define RESOURCE_NAME				2
#define RESOURCE_DATA_AS_OF			3
#define RESOURCE_FINISHED_AT		4
#define RESOURCE_ERROR_AT			6
#define RESOURCE_AWAITED_SINCE		9

/* What readiness is made of, in the order in which reasons are given. */
static const struct
{
	const char *name;
	const char *words;
}			needed[] = {{"roster", "roster"}, {"progress", "progress"}, {"quiz_results", "quiz results"}};

/* The pulls of one resource; DT_NOBEGIN: never. */
typedef struct Resource
{
	TimestampTz data_as_of;
	TimestampTz finished_at;
	TimestampTz error_at;
	TimestampTz awaited_since;
} Resource;

PG_FUNCTION_INFO_V1(mt_provisional_reason);

static TimestampTz
moment_of_column(TupleTableSlot *slot, int column)
{
	bool		isnull;
	Datum		moment = slot_getattr(slot, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(moment);
}

static void
read_resources(const char *tenant, Snapshot snapshot, Resource *resources)
{
	static MtTenantTable table = {.table = {"sync_resource"}};
	MtTenantScan scan;
	bool		isnull;

	mt_tenant_scan_open(&scan, &table, tenant, snapshot, 0);
	mt_tenant_scan_start(&scan, NULL, 0);
	while (mt_tenant_scan_next(&scan, ForwardScanDirection))
	{
		char	   *name = TextDatumGetCString(slot_getattr(scan.slot, RESOURCE_NAME, &isnull));

		for (int i = 0; i < (int) lengthof(needed); i++)
		{
			if (strcmp(name, needed[i].name) != 0)
				continue;
			resources[i].data_as_of = moment_of_column(scan.slot, RESOURCE_DATA_AS_OF);
			resources[i].finished_at = moment_of_column(scan.slot, RESOURCE_FINISHED_AT);
			resources[i].error_at = moment_of_column(scan.slot, RESOURCE_ERROR_AT);
			resources[i].awaited_since = moment_of_column(scan.slot, RESOURCE_AWAITED_SINCE);
		}
	}
	mt_tenant_scan_close(&scan);
}

/* True when the tenant has a source; *freshness is then how old a pull may be, palloc'd. */
static bool
read_tenant(const char *tenant, Snapshot snapshot, char **freshness)
{
	static MtTenantTable table = {.table = {"tenant"}};
	MtTenantScan scan;
	bool		configured = false;
	bool		isnull;

	*freshness = DEFAULT_FRESHNESS;
	mt_tenant_scan_open(&scan, &table, tenant, snapshot, 0);
	mt_tenant_scan_start(&scan, NULL, 0);
	if (mt_tenant_scan_next(&scan, ForwardScanDirection))
	{
		Jsonb	   *settings = DatumGetJsonbP(slot_getattr(scan.slot, TENANT_SETTINGS, &isnull));
		JsonbValue	buffer;
		JsonbValue *value = getKeyJsonValueFromContainer(&settings->root, "freshness", strlen("freshness"), &buffer);

		configured = DatumGetBool(slot_getattr(scan.slot, TENANT_SOURCE_CONFIGURED, &isnull));
		if (value != NULL && value->type == jbvString)
			*freshness = pnstrdup(value->val.string.val, value->val.string.len);
	}
	mt_tenant_scan_close(&scan);
	return configured;
}

/* The moment before which a pull is too old. */
static TimestampTz
oldest_fresh(const char *freshness)
{
	Datum		interval = DirectFunctionCall3(interval_in, CStringGetDatum(freshness), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(GetCurrentTimestamp()), interval));
}

/* Adds in words why the figures cannot be relied on as far as they rest on a resource; nothing where they can. */
static void
add_reason(StringInfo reasons, const char *words, const Resource *resource, TimestampTz oldest, const char *freshness)
{
	const char *separator = reasons->len > 0 ? "; " : "";

	if (resource->finished_at == DT_NOBEGIN)
		appendStringInfo(reasons, "%s%s not pulled yet", separator, words);
	else if (resource->error_at > resource->finished_at)
		appendStringInfo(reasons, "%sthe last pull of %s failed", separator, words);
	else if (resource->data_as_of < oldest)
		appendStringInfo(reasons, "%s%s older than %s", separator, words, freshness);
	else if (resource->awaited_since != DT_NOBEGIN)
		appendStringInfo(reasons, "%spull of %s under way since %s", separator, words,
						 timestamptz_to_str(resource->awaited_since - resource->awaited_since % USECS_PER_SEC));
}

/*
 * From when the data is and whether it is provisional, as the snapshot shows it.
 */
void
mt_readiness_source(const char *tenant, Snapshot snapshot, MtSourceState *state)
{
	Resource	resources[lengthof(needed)];
	StringInfoData reasons;
	char	   *freshness;
	TimestampTz oldest;

	memset(state, 0, sizeof(MtSourceState));
	if (!read_tenant(tenant, snapshot, &freshness))
	{
		state->provisional = "no source configured";
		return;
	}
	for (int i = 0; i < (int) lengthof(needed); i++)
		resources[i].data_as_of = resources[i].finished_at = resources[i].error_at = resources[i].awaited_since = DT_NOBEGIN;
	read_resources(tenant, snapshot, resources);

	initStringInfo(&reasons);
	oldest = oldest_fresh(freshness);
	state->pulled = true;
	state->data_as_of = DT_NOEND;
	for (int i = 0; i < (int) lengthof(needed); i++)
	{
		state->pulled &= resources[i].data_as_of != DT_NOBEGIN;
		state->data_as_of = Min(state->data_as_of, resources[i].data_as_of);
		add_reason(&reasons, needed[i].words, &resources[i], oldest, freshness);
	}
	if (reasons.len > 0)
		state->provisional = reasons.data;
}

/*
 * mindtickle.provisional_reason(tenant) -> text
 */
Datum
mt_provisional_reason(PG_FUNCTION_ARGS)
{
	MtSourceState state;

	mt_readiness_source(text_to_cstring(PG_GETARG_TEXT_PP(0)), GetActiveSnapshot(), &state);
	if (state.provisional == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(state.provisional));
}
