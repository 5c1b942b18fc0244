/*
 * stats.c
 *		What is counted per tenant and for the whole sandbox, and its report.
 *
 * Called by the HTTP front for each request that arrives and ends, and by the
 * control endpoint /sandbox/stats. Contracts count what is theirs alone.
 */
#include "stats.h"

#include "contract.h"
#include "moment.h"
#include "tenant.h"

GlobalStats mt_global_stats;

void
mt_stats_arrive(TenantStats *stats, int route, int64_t now, int64_t wall_micros)
{
	stats->requests++;
	stats->by_route[route]++;
	if (stats->first_request == 0)
		stats->first_request = wall_micros;
	else if (now - stats->last_arrival > stats->longest_gap)
		stats->longest_gap = now - stats->last_arrival;
	stats->last_request = wall_micros;
	stats->last_arrival = now;
	if (++stats->under_way > stats->max_under_way)
		stats->max_under_way = stats->under_way;
}

void
mt_stats_leave(TenantStats *stats, int64_t nanoseconds, bool served)
{
	int			step = 0;

	stats->under_way--;
	stats->served += served;
	stats->service_time += nanoseconds;
	if (nanoseconds > stats->longest_service)
		stats->longest_service = nanoseconds;
	while (step < LATENCY_STEPS - 1 && nanoseconds >= INT64_C(1000) << step)
		step++;
	stats->by_latency[step]++;
}

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

/* How the tenant was served. */
static void
put_service(Buffer *buffer, const TenantStats *stats)
{
	uint64_t	ended = stats->requests - stats->under_way;
	int			i;

	put_field(buffer, "served", stats->served);
	put_field(buffer, "connections", stats->connections);
	put_field(buffer, "max_under_way", stats->max_under_way);
	put_field(buffer, "longest_gap_us", (uint64_t) stats->longest_gap / 1000);
	put_field(buffer, "mean_service_us", ended == 0 ? 0 : (uint64_t) stats->service_time / ended / 1000);
	put_field(buffer, "longest_service_us", (uint64_t) stats->longest_service / 1000);
	mt_buffer_text(buffer, "\"requests_below_power_of_two_us\":[");
	for (i = 0; i < LATENCY_STEPS; i++)
	{
		if (i > 0)
			mt_buffer_bytes(buffer, ",", 1);
		mt_buffer_number(buffer, stats->by_latency[i]);
	}
	mt_buffer_text(buffer, "],");
}

/* What the tenant's credentials were used for. */
static void
put_access(Buffer *buffer, const TenantStats *stats)
{
	put_field(buffer, "sign_ins", stats->sign_ins);
	put_field(buffer, "needless_sign_ins", stats->needless_sign_ins);
	put_field(buffer, "refused_sign_ins", stats->refused_sign_ins);
	put_field(buffer, "wrong_hosts", stats->wrong_hosts);
	put_field(buffer, "foreign_credentials", stats->foreign_credentials);
	put_field(buffer, "stale_tokens", stats->stale_tokens);
	put_field(buffer, "bad_requests", stats->bad_requests);
	put_field(buffer, "filtered", stats->filtered);
}

/* What provisioning wrote. */
static void
put_scim(Buffer *buffer, Tenant *tenant)
{
	ScimCounts	counts;

	pthread_mutex_lock(&tenant->scim.lock);
	counts = tenant->scim.counts;
	pthread_mutex_unlock(&tenant->scim.lock);
	put_field(buffer, "scim_created", counts.created);
	put_field(buffer, "scim_changed", counts.changed);
	put_field(buffer, "scim_unchanged", counts.unchanged);
	put_field(buffer, "scim_deleted", counts.deleted);
	put_field(buffer, "scim_conflicts", counts.conflicts);
	put_field(buffer, "scim_duplicates", counts.duplicates);
	put_field(buffer, "scim_blind", counts.blind);
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
	put_field(buffer, "violations_per_hour", rate.hour_violations);
	put_field(buffer, "max_in_second", rate.max_in_second);
	put_field(buffer, "max_in_minute", rate.max_in_minute);
	put_field(buffer, "max_in_hour", rate.max_in_hour);
	mt_buffer_format(buffer, "\"window_saturated\":%s,", rate.saturated ? "true" : "false");
	put_field(buffer, "limit_per_second", (uint64_t) rate.per_second);
	put_field(buffer, "limit_per_minute", (uint64_t) rate.per_minute);
	put_field(buffer, "limit_per_hour", (uint64_t) rate.per_hour);
	put_field(buffer, "company_mismatches", stats.company_mismatches);
	put_field(buffer, "foreign_ids", stats.foreign_ids);
	put_moment(buffer, "first_request_at", stats.first_request);
	mt_buffer_bytes(buffer, ",", 1);
	put_moment(buffer, "last_request_at", stats.last_request);
	mt_buffer_bytes(buffer, ",", 1);
	put_service(buffer, &stats);
	put_access(buffer, &stats);
	put_scim(buffer, tenant);
	mt_buffer_text(buffer, "\"routes\":{");
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
	put_field(buffer, "elsewhere", mt_global_stats.elsewhere);
	put_field(buffer, "shared_connections", mt_global_stats.shared_connections);
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
