/*
 * gateway_count.c
 *		Counts for /metrics, and the access log.
 *
 * Counts are added up here and passed on to shared memory now and then, where those of all processes meet. A line of the log names the route, not
 * the address: addresses hold ids of people, and queries what they look for. It holds no header and no body.
 */
#include "gateway.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define FLUSH_PAUSE		MT_SECOND
/* Lines of the log a second for requests that were answered with an error. */
#define LINES_MAX		20

/* Requests of one route and status. */
#define ROUTES_MAX		32
#define STATUSES		24
#define NAMES_MAX		(ROUTES_MAX * STATUSES + 32)

static const int statuses[STATUSES] = {
	200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 414, 415, 429, 431, 500, 501, 502, 503, 0
};

/* Upper ends of the histogram's buckets, as they are written, and in microseconds. */
static const struct
{
	const char *text;
	int64		end;
}			buckets[] = {
	{"0.0005", 500}, {"0.001", 1000}, {"0.0025", 2500}, {"0.005", 5000}, {"0.01", 10000}, {"0.025", 25000}, {"0.05", 50000}, {"0.1", 100000},
	{"0.25", 250000}, {"0.5", 500000}, {"1", 1000000}, {"2.5", 2500000}, {"5", 5000000}, {"10", 10000000}, {"+Inf", PG_INT64_MAX}
};

static int64 request_counts[ROUTES_MAX][STATUSES];	/* the last route: none was found */
static int64 bucket_counts[lengthof(buckets)];
static int64 duration_sum = 0;
static int64 connection_count = 0;
static int64 timeout_count = 0;
static bool counted = false;
static int64 flush_at = 0;

static int64 lines_since = 0;
static int	lines = 0;
static int64 unlogged = 0;

/*
 * Counts an answered request; duration in microseconds.
 */
void
mt_count_request(const MtHttpRequest *request, int64 duration)
{
	int			status = 0;
	int			route = request->route == NULL ? ROUTES_MAX - 1 : mt_route_index(request->route);

	while (statuses[status] != 0 && statuses[status] != request->answer.status)
		status++;
	request_counts[route][status]++;
	for (int i = 0; i < (int) lengthof(buckets); i++)
		if (duration <= buckets[i].end)
			bucket_counts[i]++;
	duration_sum += duration;
	counted = true;
}

/*
 * Counts a new connection.
 */
void
mt_count_connection(void)
{
	connection_count++;
	counted = true;
}

/*
 * Counts a connection that was closed because its request did not come in time.
 */
void
mt_count_timeout(void)
{
	timeout_count++;
	counted = true;
}

/* What is passed on at once. */
typedef struct Batch
{
	Datum		names[NAMES_MAX];
	Datum		amounts[NAMES_MAX];
	int			count;
} Batch;

static void
add(Batch *batch, const char *name, int64 amount)
{
	if (amount == 0)
		return;
	batch->names[batch->count] = CStringGetTextDatum(name);
	batch->amounts[batch->count++] = Int64GetDatum(amount);
}

static void
flush_work(void *argument)
{
	Batch	   *batch = palloc0(sizeof(Batch));
	int64		requests = 0;

	for (int i = 0; i < ROUTES_MAX; i++)
		for (int j = 0; j < STATUSES; j++)
		{
			const MtRoute *route = i == ROUTES_MAX - 1 ? NULL : mt_route_at(i);

			if (request_counts[i][j] == 0)
				continue;
			requests += request_counts[i][j];
			add(batch, psprintf("mindtickle_http_requests_total{route=\"%s\",method=\"%s\",status=\"%d\"}",
								route == NULL ? "none" : route->pattern, route == NULL ? "none" : route->method, statuses[j]),
				request_counts[i][j]);
		}
	for (int i = 0; i < (int) lengthof(buckets); i++)
		add(batch, psprintf("mindtickle_http_request_seconds_bucket{le=\"%s\"}", buckets[i].text), bucket_counts[i]);
	add(batch, "mindtickle_http_request_seconds_sum", duration_sum);
	add(batch, "mindtickle_http_request_seconds_count", requests);
	add(batch, "mindtickle_http_connections_total", connection_count);
	add(batch, "mindtickle_http_timeouts_total", timeout_count);
	mt_sql_gateway_count(batch->names, batch->amounts, batch->count);
	if (requests > 0)
		mt_sql_gateway_report(requests);
}

/*
 * Passes on what was counted since the last time, when it is time for that, and ends a second of the log.
 */
void
mt_count_flush(void)
{
	MtFailure	failure;

	if (unlogged > 0 && lines_since + MT_SECOND <= mt_now())
	{
		ereport(LOG, (errmsg("mindtickle gateway: %lld more requests were answered with an error", (long long) unlogged)));
		unlogged = 0;
	}
	if (!counted || flush_at > mt_now())
		return;
	flush_at = mt_now() + FLUSH_PAUSE;
	if (!mt_in_transaction(flush_work, NULL, &failure))
	{
		mt_worker_judge(&failure);
		return;
	}
	memset(request_counts, 0, sizeof(request_counts));
	memset(bucket_counts, 0, sizeof(bucket_counts));
	duration_sum = connection_count = timeout_count = 0;
	counted = false;
}

/*
 * When mt_count_flush has something to do next.
 */
int64
mt_count_flush_at(void)
{
	return counted ? flush_at : unlogged > 0 ? lines_since + MT_SECOND : MT_NEVER;
}

/* May an error have a line? */
static bool
line_allowed(void)
{
	int64		now = mt_now();

	if (lines_since + MT_SECOND <= now)
	{
		lines_since = now;
		lines = 0;
	}
	if (lines < LINES_MAX)
	{
		lines++;
		return true;
	}
	unlogged++;
	return false;
}

/*
 * Logs an answered request as the settings want it. ending: what was unusual about its end, or NULL.
 */
void
mt_log_request(const MtHttpRequest *request, int64 duration, const char *ending)
{
	const MtHttpAnswer *answer = &request->answer;

	if (!mt_gateway_settings.log_all && (!mt_gateway_settings.log_errors || answer->status < 400 || !line_allowed()))
		return;
	ereport(LOG,
			(errmsg("mindtickle gateway: request %s: %s %s, tenant %s, status %d, %zu bytes, %.3f ms%s%s",
					request->id,
					request->route == NULL ? "(method)" : request->route->method,
					request->route == NULL ? "(no route)" : request->route->pattern,
					request->tenant[0] == '\0' ? "unknown" : request->tenant,
					answer->status, answer->length, (double) duration / MT_MILLISECOND,
					ending == NULL ? "" : ", ", ending == NULL ? "" : ending),
			 errhidestmt(true), errhidecontext(true)));
}
