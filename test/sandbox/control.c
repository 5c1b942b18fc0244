/*
 * control.c
 *		The endpoints under /sandbox/, for those who run the tests.
 *
 * Called by the HTTP front, for callers on this machine only. These requests
 * count for no tenant and never meet a fault.
 */
#include "control.h"

#include "arrivals.h"
#include "tenant.h"
#include "truth.h"

#include <stdlib.h>
#include <string.h>

/* Finds the tenant the query names; NULL when the reply is an error already. */
static Tenant *
named_tenant(Call *call)
{
	const char *name = mt_call_query(call, "tenant");
	Tenant	   *tenant = name == NULL ? NULL : mt_tenant_by_name(name);

	if (tenant == NULL)
		mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", name == NULL ? "tenant=NAME is missing" :
					   "no such tenant");
	return tenant;
}

static void
bad_request(Call *call, const char *description)
{
	mt_reply_error(&call->reply, MHD_HTTP_BAD_REQUEST, "BAD_REQUEST", description);
}

/* Appends ,"name":"text" of a text that is not terminated; gives it back. */
static void
put_text(Buffer *buffer, const char *name, Buffer *text)
{
	mt_buffer_bytes(text, "", 1);
	mt_buffer_format(buffer, ",\"%s\":", name);
	mt_buffer_json(buffer, text->data);
	mt_buffer_free(text);
}

/* Appends with what a tenant of the live contract is configured, and its newest credentials. */
static void
put_live(Buffer *buffer, Tenant *tenant)
{
	char		api_key[API_KEY_SIZE];
	char		secret_key[SECRET_KEY_SIZE];
	Buffer		first = {0};
	Buffer		second = {0};
	int			generation;

	pthread_mutex_lock(&tenant->lock);
	generation = tenant->access.generation;
	pthread_mutex_unlock(&tenant->lock);
	mt_session_keys(tenant, generation, api_key, secret_key);
	mt_buffer_format(buffer, ",\"region\":\"%s\",\"learning_site\":\"%s\",\"api_key\":\"%s\",\"secret_key\":\"%s\"",
					 mt_host_name(tenant->region), tenant->site, api_key, secret_key);
	mt_host_url(&first, HOST_GLOBAL);
	mt_host_url(&second, HOST_US);
	mt_buffer_format(buffer, ",\"base_urls\":[\"%.*s\",\"%.*s\"]", (int) first.length, first.data, (int) second.length,
					 second.data);
	mt_buffer_free(&first);
	mt_buffer_free(&second);
	if (tenant->reporting)
	{
		mt_session_reporting(tenant, &first, &second);
		put_text(buffer, "reporting_user", &first);
		put_text(buffer, "reporting_password", &second);
		mt_host_url(&first, HOST_ADMIN);
		mt_buffer_text(&first, "/Odata.svc");
		put_text(buffer, "reporting_url", &first);
	}
	mt_host_url(&first, HOST_ADMIN);
	mt_buffer_format(&first, "/scim/%s", tenant->name);
	put_text(buffer, "scim_url", &first);
	mt_session_scim(tenant, &first);
	put_text(buffer, "scim_token", &first);
}

/* Appends what a tenant is and holds at its revision. */
static void
put_tenant(Buffer *buffer, Tenant *tenant)
{
	pthread_rwlock_rdlock(&tenant->listing.lock);
	mt_buffer_text(buffer, "{\"tenant\":");
	mt_buffer_json(buffer, tenant->name);
	mt_buffer_text(buffer, ",\"key\":");
	mt_buffer_json(buffer, tenant->key);
	mt_buffer_text(buffer, ",\"company\":");
	if (tenant->company == NULL)
		mt_buffer_text(buffer, "null");
	else
		mt_buffer_json(buffer, tenant->company);
	mt_buffer_format(buffer, ",\"contract\":\"%s\"", tenant->live ? "live" : "reference");
	if (tenant->live)
		put_live(buffer, tenant);
	mt_buffer_format(buffer, ",\"revision\":%d,\"users\":%d,\"courses\":%d,\"quiz_results\":%llu}",
					 tenant->listing.revision, tenant->listing.users, tenant->data.courses,
					 (unsigned long long) mt_listing_results(&tenant->listing));
	pthread_rwlock_unlock(&tenant->listing.lock);
}

static void
answer_tenants(Call *call)
{
	Buffer	   *body = &call->reply.body;
	int			i;

	mt_buffer_text(body, "[");
	for (i = 0; i < mt_tenant_count(); i++)
	{
		mt_buffer_text(body, i == 0 ? "" : ",\n");
		put_tenant(body, mt_tenant_at(i));
	}
	mt_buffer_text(body, "]\n");
}

static void
answer_stats(Call *call)
{
	Tenant	   *only = NULL;

	if (mt_call_query(call, "tenant") != NULL && (only = named_tenant(call)) == NULL)
		return;
	mt_stats_write(&call->reply.body, only);
}

/* Reads "0,3,7"; the number of revisions, or 0 when that is no rising list. */
static int
read_revisions(const char *text, int *revisions)
{
	int			count = 0;

	for (;;)
	{
		char	   *end;
		long		revision = strtol(text, &end, 10);

		if (end == text || revision < 0 || revision > MAX_REVISION || count == MAX_PULLS ||
			(count > 0 && revision <= revisions[count - 1]))
			return 0;
		revisions[count++] = (int) revision;
		if (*end == '\0')
			return count;
		if (*end != ',')
			return 0;
		text = end + 1;
	}
}

static void
answer_truth(Call *call)
{
	Tenant	   *tenant = named_tenant(call);
	const char *table = mt_call_query(call, "table");
	const char *pulled = mt_call_query(call, "pulled");
	int			revisions[MAX_PULLS];
	int			count = 1;

	if (tenant == NULL)
		return;
	if (pulled != NULL)
		count = read_revisions(pulled, revisions);
	else
	{
		pthread_rwlock_rdlock(&tenant->listing.lock);
		revisions[0] = tenant->listing.revision;
		pthread_rwlock_unlock(&tenant->listing.lock);
	}
	if (count == 0)
	{
		bad_request(call, "pulled is a rising list of revisions such as 0,3,7");
		return;
	}
	if (table != NULL)
		call->reply.stream = mt_truth_open(tenant, table, revisions, count);
	if (call->reply.stream == NULL)
		bad_request(call, "table is users, courses, progress, quiz_results, quizzes or rejects; of live tenants "
					"also teams or team_members");
}

static void
answer_revision(Call *call)
{
	static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
	Tenant	   *tenant = named_tenant(call);
	long		revision;

	if (tenant == NULL)
		return;
	if (!mt_call_number(call, "revision", 0, MAX_REVISION, -1, &revision) || revision < 0)
	{
		bad_request(call, "revision is a whole number from 0 to 300");
		return;
	}
	pthread_mutex_lock(&one_at_a_time);
	/* Only a call under this lock writes the revision, so it may be read without the listing's. */
	if (revision < tenant->listing.revision)
		mt_reply_error(&call->reply, MHD_HTTP_CONFLICT, "CONFLICT", "a tenant does not go back to an earlier revision");
	else
	{
		mt_listing_move(&tenant->listing, &tenant->data, (int) revision);
		put_tenant(&call->reply.body, tenant);
	}
	pthread_mutex_unlock(&one_at_a_time);
}

/* Sets a fault for one tenant; false when the percentage will not do. */
static bool
set_fault(Tenant *tenant, Fault fault, const char *percent, FaultPlace place)
{
	bool		fits;

	pthread_mutex_lock(&tenant->lock);
	fits = mt_fault_set(&tenant->faults, fault, percent, place);
	pthread_mutex_unlock(&tenant->lock);
	return fits;
}

static void
answer_faults(Call *call)
{
	const char *kind = mt_call_query(call, "kind");
	const char *percent = mt_call_query(call, "percent");
	Fault		fault = kind == NULL ? FAULT_NONE : mt_fault_find(kind);
	const char *at = mt_call_query(call, "at");
	FaultPlace	place = at == NULL ? FAULT_EVERYWHERE : strcmp(at, "scim") == 0 ? FAULT_AT_SCIM : FAULT_AT_SCIM_POST;
	Tenant	   *only = NULL;
	bool		fits = true;
	long		slow_ms;
	int			i;

	if (mt_call_query(call, "tenant") != NULL && (only = named_tenant(call)) == NULL)
		return;
	if (fault == FAULT_NONE || percent == NULL ||
		(place == FAULT_AT_SCIM_POST && strcmp(at, "scim_post") != 0) || !mt_call_number(call, "slow_ms", 0, 3600000, -1, &slow_ms))
	{
		bad_request(call, "kind and percent are needed; slow_ms is a whole number, at is scim or scim_post");
		return;
	}
	if (only != NULL)
		fits = set_fault(only, fault, percent, place);
	for (i = 0; only == NULL && i < mt_tenant_count(); i++)
		fits = set_fault(mt_tenant_at(i), fault, percent, place) && fits;
	if (!fits)
	{
		bad_request(call, "the percentages of all faults together are 0 to 100");
		return;
	}
	if (slow_ms >= 0)
		mt_http_set_slow((int) slow_ms);
	mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
}

static void
answer_limits(Call *call)
{
	Tenant	   *tenant = named_tenant(call);
	long		per_second;
	long		per_minute;
	long		per_hour;

	if (tenant == NULL)
		return;
	if (!mt_call_number(call, "rps", 0, 1000000, -1, &per_second) ||
		!mt_call_number(call, "rpm", 0, 1000000, -1, &per_minute) ||
		!mt_call_number(call, "rph", 0, 1000000, -1, &per_hour))
	{
		bad_request(call, "rps, rpm and rph are whole numbers, 0 for no limit");
		return;
	}
	pthread_mutex_lock(&tenant->lock);
	if (per_second >= 0)
		tenant->rate.per_second = (int) per_second;
	if (per_minute >= 0)
		tenant->rate.per_minute = (int) per_minute;
	if (per_hour >= 0)
		tenant->rate.per_hour = (int) per_hour;
	pthread_mutex_unlock(&tenant->lock);
	mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
}

/* The tenant that the query names, if it is of the live contract; else the reply is an error. */
static Tenant *
named_live_tenant(Call *call)
{
	Tenant	   *tenant = named_tenant(call);

	if (tenant == NULL || tenant->live)
		return tenant;
	bad_request(call, "not a tenant of the live contract");
	return NULL;
}

/* Issues a new key pair; the ones before are void, but for the last one if asked. */
static void
answer_rotate(Call *call)
{
	Tenant	   *tenant = named_live_tenant(call);
	long		keep;

	if (tenant == NULL)
		return;
	if (!mt_call_number(call, "keep", 0, 1, 0, &keep))
	{
		bad_request(call, "keep is 0 or 1");
		return;
	}
	pthread_mutex_lock(&tenant->lock);
	tenant->access.first_generation = tenant->access.generation + (keep == 0);
	tenant->access.generation++;
	pthread_mutex_unlock(&tenant->lock);
	put_tenant(&call->reply.body, tenant);
}

/* Takes all tokens or all cursors back that were issued so far. */
static void
answer_revoke(Call *call)
{
	Tenant	   *tenant = named_live_tenant(call);
	const char *what = mt_call_query(call, "what");

	if (tenant == NULL)
		return;
	if (what == NULL || (strcmp(what, "tokens") != 0 && strcmp(what, "cursors") != 0))
	{
		bad_request(call, "what is tokens or cursors");
		return;
	}
	pthread_mutex_lock(&tenant->lock);
	if (what[0] == 't')
		tenant->access.first_token = tenant->access.next_token;
	else
		tenant->access.first_cursor = tenant->access.next_cursor;
	pthread_mutex_unlock(&tenant->lock);
	mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
}

/* Refuses the right key pair, too, with that status; 0: no longer. */
static void
answer_refuse(Call *call)
{
	Tenant	   *tenant = named_live_tenant(call);
	long		status;

	if (tenant == NULL)
		return;
	if (!mt_call_number(call, "status", 0, 599, -1, &status) || (status != 0 && status < 400))
	{
		bad_request(call, "status is 400 to 599, or 0");
		return;
	}
	pthread_mutex_lock(&tenant->lock);
	tenant->access.refusal = (int) status;
	pthread_mutex_unlock(&tenant->lock);
	mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
}

/* Denies the key of a tenant of the reference contract a user, be he known or not; none named: nobody. */
static void
answer_deny(Call *call)
{
	Tenant	   *tenant = named_tenant(call);
	const char *user = mt_call_query(call, "user");

	if (tenant == NULL)
		return;
	if (user != NULL && strlen(user) >= sizeof(tenant->denied))
	{
		bad_request(call, "user is an id");
		return;
	}
	pthread_mutex_lock(&tenant->lock);
	strcpy(tenant->denied, user == NULL ? "" : user);
	pthread_mutex_unlock(&tenant->lock);
	mt_buffer_text(&call->reply.body, "{\"status\":\"ok\"}");
}

static void
answer_arrivals(Call *call)
{
	long		first;

	if (mt_call_number(call, "from", 0, LONG_MAX, 0, &first))
		mt_arrivals_write(&call->reply.body, first);
	else
		bad_request(call, "from is a whole number");
}

static void
answer_pushes(Call *call)
{
	Tenant	   *tenant = named_live_tenant(call);

	if (tenant == NULL)
		return;
	pthread_mutex_lock(&tenant->scim.lock);
	mt_scim_write_journal(&tenant->scim, &call->reply.body);
	pthread_mutex_unlock(&tenant->scim.lock);
}

static void
answer_provisioned(Call *call)
{
	Tenant	   *tenant = named_live_tenant(call);

	if (tenant == NULL)
		return;
	pthread_mutex_lock(&tenant->scim.lock);
	mt_scim_write_users(&tenant->scim, &call->reply.body);
	pthread_mutex_unlock(&tenant->scim.lock);
}

static void
answer_stop(Call *call)
{
	call->stops_program = true;
	mt_buffer_text(&call->reply.body, "{\"status\":\"stopping\"}");
}

typedef struct Endpoint
{
	const char *path;
	const char *method;
	void		(*answer) (Call *call);
} Endpoint;

static const Endpoint endpoints[] = {
	{"stats", MHD_HTTP_METHOD_GET, answer_stats},
	{"truth", MHD_HTTP_METHOD_GET, answer_truth},
	{"tenants", MHD_HTTP_METHOD_GET, answer_tenants},
	{"revision", MHD_HTTP_METHOD_POST, answer_revision},
	{"faults", MHD_HTTP_METHOD_POST, answer_faults},
	{"limits", MHD_HTTP_METHOD_POST, answer_limits},
	{"rotate", MHD_HTTP_METHOD_POST, answer_rotate},
	{"revoke", MHD_HTTP_METHOD_POST, answer_revoke},
	{"refuse", MHD_HTTP_METHOD_POST, answer_refuse},
	{"deny", MHD_HTTP_METHOD_POST, answer_deny},
	{"arrivals", MHD_HTTP_METHOD_GET, answer_arrivals},
	{"pushes", MHD_HTTP_METHOD_GET, answer_pushes},
	{"provisioned", MHD_HTTP_METHOD_GET, answer_provisioned},
	{"stop", MHD_HTTP_METHOD_POST, answer_stop}
};

void
mt_control_answer(Call *call)
{
	size_t		i;

	for (i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
	{
		if (strcmp(call->path + strlen(CONTROL_PREFIX), endpoints[i].path) != 0)
			continue;
		if (strcmp(call->method, endpoints[i].method) == 0)
		{
			endpoints[i].answer(call);
			return;
		}
		mt_reply_error(&call->reply, MHD_HTTP_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", endpoints[i].method);
		call->reply.allow = endpoints[i].method;
		return;
	}
	mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such path");
}
