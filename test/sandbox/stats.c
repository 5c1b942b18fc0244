/*
 * stats.c
 *		The report of what was counted.
 *
 * Called by the control endpoint /sandbox/stats. It only reads: the HTTP front
 * and the contracts do the counting.
 */
#include "stats.h"

#include "contract.h"
#include "moment.h"
#include "tenant.h"

GlobalStats mt_global_stats;

static void
put_field(Buffer *buffer, const char *name, uint64_t value)
{
	mt_buffer_format(buffer, "\"%s\":", name);
	mt_buffer_number(buffer, value);
	mt_buffer_bytes(buffer, ",", 1);
}

static void
put_moment(Buffer *buffer, const char *name, int64_t micros)
{
	mt_buffer_format(buffer, "\"%s\":", name);
	if (micros == 0)
		mt_buffer_text(buffer, "null");
	else
		mt_moment_upstream(buffer, (Moment) {micros, MOMENT_MICROSECONDS});
}

/* Takes a copy under the lock, so that no request waits for the writing. */
static void
put_tenant(Buffer *buffer, Tenant *tenant)
{
	TenantStats stats;
	RateLimit	rate;
	FaultPlan	faults;
	int			i;

	pthread_mutex_lock(&tenant->lock);
	stats = tenant->stats;
	rate = tenant->rate;
	faults = tenant->faults;
	pthread_mutex_unlock(&tenant->lock);

	mt_buffer_text(buffer, "{\"tenant\":");
	mt_buffer_json(buffer, tenant->name);
	mt_buffer_bytes(buffer, ",", 1);
	put_field(buffer, "requests", stats.requests);
	put_field(buffer, "throttled", stats.throttled);
	put_field(buffer, "violations_per_second", rate.second_violations);
	put_field(buffer, "violations_per_minute", rate.minute_violations);
	put_field(buffer, "max_in_second", rate.max_in_second);
	put_field(buffer, "max_in_minute", rate.max_in_minute);
	mt_buffer_format(buffer, "\"window_saturated\":%s,", rate.saturated ? "true" : "false");
	put_field(buffer, "limit_per_second", (uint64_t) rate.per_second);
	put_field(buffer, "limit_per_minute", (uint64_t) rate.per_minute);
	put_field(buffer, "company_mismatches", stats.company_mismatches);
	put_field(buffer, "foreign_ids", stats.foreign_ids);
	put_moment(buffer, "first_request_at", stats.first_request);
	mt_buffer_bytes(buffer, ",", 1);
	put_moment(buffer, "last_request_at", stats.last_request);
	mt_buffer_text(buffer, ",\"routes\":{");
	for (i = 0; i < MAX_ROUTES && mt_route_name(i) != NULL; i++)
		mt_buffer_format(buffer, "%s\"%s\":%llu", i == 0 ? "" : ",", mt_route_name(i),
						 (unsigned long long) stats.by_route[i]);
	mt_buffer_text(buffer, "},\"faults\":{");
	for (i = 0; i < FAULT_KINDS; i++)
		mt_buffer_format(buffer, "%s\"%s\":%llu", i == 0 ? "" : ",", mt_fault_name((Fault) i),
						 (unsigned long long) faults.given[i]);
	mt_buffer_text(buffer, "}}");
}

void
mt_stats_write(Buffer *buffer, Tenant *only)
{
	int			i;

	mt_buffer_bytes(buffer, "{", 1);
	put_field(buffer, "missing_keys", mt_global_stats.missing_keys);
	put_field(buffer, "wrong_keys", mt_global_stats.wrong_keys);
	put_field(buffer, "unrouted", mt_global_stats.unrouted);
	mt_buffer_text(buffer, "\"tenants\":[");
	if (only != NULL)
		put_tenant(buffer, only);
	for (i = 0; only == NULL && i < mt_tenant_count(); i++)
	{
		if (i > 0)
			mt_buffer_text(buffer, ",\n");
		put_tenant(buffer, mt_tenant_at(i));
	}
	mt_buffer_text(buffer, "]}\n");
}
