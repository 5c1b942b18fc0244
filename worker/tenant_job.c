/*
 * tenant_job.c
 *		Begin and end of a tenant's pull: opening the job, reading its settings, closing it, giving it up for now.
 *
 * Called by the other parts of the pull and by sync.c. Between opening and closing no transaction is open; what is in memory of a pull can be
 * thrown away at any moment (mt_job_release), for the job in the database says where to go on.
 */
#include "tenant.h"

#include <json-c/json.h>

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "statements.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* The first and the longest pause after trouble of our own. */
#define FIRST_HOLD		(5 * MT_SECOND)
#define LAST_HOLD		(10 * MT_MINUTE)

/* Requests that are added to a job's counters together; one that failed is added with the next that is stored. */
#define COUNTED_AT_ONCE	16

/* What a pull needs of the tenant's settings and credential. */
typedef struct Settings
{
	const MtContract *contract;
	char	  **base_urls;
	int			base_url_count;
	char	   *company_id;
	bool		allow_http;
	double		per_second;
	double		per_minute;
	double		per_hour;
	char	   *api_key;
} Settings;

/* What happens in a transaction of this file. */
typedef struct JobWork
{
	MtTenant   *tenant;
	MtJobRow	row;
	bool		found;
	const char *error;
	TimestampTz until;			/* of a back-off; 0: none */
	int64		pause;			/* before a job that cannot be pulled is tried again; 0: the interval */
} JobWork;

static double
number_setting(json_object *settings, const char *name, double absent)
{
	json_object *member;

	if (!json_object_object_get_ex(settings, name, &member) || member == NULL)
		return absent;
	return json_object_get_double(member);
}

/* NULL when absent or not a string. */
static char *
text_setting(json_object *settings, const char *name)
{
	json_object *member;

	if (!json_object_object_get_ex(settings, name, &member) || !json_object_is_type(member, json_type_string))
		return NULL;
	return pstrdup(json_object_get_string(member));
}

/* May the text stand in a header? */
static bool
fit_for_header(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* A usable base URL without a slash at its end, or NULL. */
static char *
check_base_url(const char *url, bool allow_http)
{
	char	   *copy = pstrdup(url);
	size_t		length = strlen(copy);

	while (length > 0 && copy[length - 1] == '/')
		copy[--length] = '\0';
	if (pg_strncasecmp(copy, "https://", 8) != 0 && !(allow_http && pg_strncasecmp(copy, "http://", 7) == 0))
		return NULL;
	for (const char *c = copy; *c != '\0'; c++)
		if ((unsigned char) *c <= ' ' || (unsigned char) *c >= 0x7f || strchr("?#@\\", *c) != NULL)
			return NULL;
	return copy;
}

/* NULL, or what is wrong with the base URLs. */
static const char *
read_base_urls(json_object *object, Settings *settings)
{
	json_object *list;

	if (!json_object_object_get_ex(object, "base_urls", &list) || !json_object_is_type(list, json_type_array) ||
		json_object_array_length(list) == 0)
		return "no base_urls are configured: set them with mt_configure_tenant";
	settings->base_urls = palloc(sizeof(char *) * json_object_array_length(list));
	for (size_t i = 0; i < json_object_array_length(list); i++)
	{
		json_object *entry = json_object_array_get_idx(list, i);
		char	   *url = NULL;

		if (json_object_is_type(entry, json_type_string))
			url = check_base_url(json_object_get_string(entry), settings->allow_http);
		if (url == NULL)
			return "an entry of base_urls is not a plain https URL (http needs allow_http, and a loopback address)";
		settings->base_urls[settings->base_url_count++] = url;
	}
	return NULL;
}

/* Fills in what the settings say. NULL, or why no pull is possible with them. */
static const char *
read_settings(json_object *object, json_object *credential, Settings *settings)
{
	char	   *contract = text_setting(object, "contract");
	json_object *allow_http;

	settings->contract = mt_contract_find(contract == NULL ? "reference" : contract);
	if (settings->contract == NULL)
		return psprintf("the contract \"%s\" is not supported by this release: choose \"reference\" with mt_configure_tenant", contract);
	settings->allow_http = json_object_object_get_ex(object, "allow_http", &allow_http) && json_object_get_boolean(allow_http);
	settings->company_id = text_setting(object, "company_id");
	settings->per_second = number_setting(object, "requests_per_second", 3);
	settings->per_minute = number_setting(object, "requests_per_minute", 60);
	settings->per_hour = number_setting(object, "requests_per_hour", 0);
	settings->api_key = credential == NULL ? NULL : text_setting(credential, "api_key");
	if (settings->api_key == NULL || settings->api_key[0] == '\0')
		return "no api_key is stored: set it with mt_set_credential";
	if (!fit_for_header(settings->api_key) || (settings->company_id != NULL && !fit_for_header(settings->company_id)))
		return "the api_key or the company_id holds a control character";
	return read_base_urls(object, settings);
}

/* Parses the job's JSON texts into settings, in the current context. */
static const char *
parse_settings(MtJobRow *row, Settings *settings)
{
	json_object *object = json_tokener_parse(row->settings);
	json_object *credential = row->credential == NULL ? NULL : json_tokener_parse(row->credential);
	const char *problem = NULL;

	PG_TRY();
	{
		problem = read_settings(object, credential, settings);
	}
	PG_FINALLY();
	{
		json_object_put(object);
		json_object_put(credential);
		if (row->credential != NULL)
			explicit_bzero(row->credential, strlen(row->credential));
	}
	PG_END_TRY();
	return problem;
}

/* libcurl sends the request now. */
static void
request_sent(void *owner, MtHttpRequest *request)
{
	MtTenant   *tenant = owner;
	MtSlot	   *slot = request->tag;
	int64		now = mt_now();

	mt_budget_sent(&tenant->budget, slot->ticket, now);
	mt_sync_wake(tenant, now);
}

/* libcurl may have set its timer. */
static void
pool_stirred(void *owner)
{
	MtTenant   *tenant = owner;

	if (tenant->job != NULL && tenant->job->pool != NULL)
		mt_sync_wake(tenant, mt_http_pool_timer(tenant->job->pool));
}

static MtHttpPool *
create_pool(MtTenant *tenant, const Settings *settings, int connections)
{
	MtHttpOwner owner = {tenant, request_sent, pool_stirred};
	char	   *authorization = psprintf("Authorization: Bearer %s", settings->api_key);
	const char *headers[4] = {"Accept: application/json", authorization, NULL, NULL};
	MtHttpPool *pool;

	if (settings->company_id != NULL)
		headers[2] = psprintf("X-Company-Id: %s", settings->company_id);
	pool = mt_http_pool_create(&owner, headers, settings->allow_http, connections);
	explicit_bzero(authorization, strlen(authorization));
	return pool;
}

/* Brings the tenant's budget up to the settings, and at first to what an earlier process had reserved. */
static void
start_budget(MtTenant *tenant, const Settings *settings)
{
	int64		now = mt_now();

	mt_budget_limit(&tenant->budget, settings->per_second, settings->per_minute, settings->per_hour);
	if (!tenant->started)
	{
		int			minutes[MT_BUDGET_MINUTES];
		int64		age;
		int			count = mt_sql_budget_of(tenant->tenant_id, minutes, &age);
		TimestampTz wall = GetCurrentTimestamp();
		int64		left = tenant->reserved_until > wall ? tenant->reserved_until - wall : 0;
		int64		interval = tenant->budget.interval;

		/* More than could have been reserved means that the clock was turned back. Many tenants start at once: spread them. */
		mt_budget_hold(&tenant->budget, now + Min(left, 2 * (MT_BUDGET_AHEAD + interval)) +
					   (int64) (pg_prng_double(&pg_global_prng_state) * Min(interval, MT_SECOND)));
		mt_budget_recall(&tenant->budget, now, age, minutes, count);
		tenant->started = true;
	}
}

/* Everything in memory that a pull has, from the row; NULL, or why there can be no pull. */
static const char *
build_job(MtTenant *tenant, MtJob *job, MtJobRow *row)
{
	Settings	settings = {0};
	const char *problem;

	dlist_init(&job->slots);
	job->job_id = row->job_id;
	job->done = row->done;
	job->total = row->total;
	job->phase = mt_phase_find(row->phase);
	problem = parse_settings(row, &settings);
	mt_position_read(&job->position, row->position);
	if (settings.api_key != NULL)
	{
		job->secret = settings.api_key;
		job->secret_hash = hash_bytes_extended((unsigned char *) job->secret, (int) strlen(job->secret), 0);
	}
	if (problem != NULL)
		return problem;
	if (strcmp(row->kind, "full") != 0 || job->phase == MT_PHASE_END)
		return psprintf("a job of kind \"%s\" in phase \"%s\" is not supported by this release", row->kind, row->phase);
	job->contract = settings.contract;
	job->base_urls = settings.base_urls;
	job->base_url_count = settings.base_url_count;
	start_budget(tenant, &settings);
	/* Enough at once that answers of a second do not cost the rate, and never a crowd. */
	job->window = 4 + (int) Min(MT_SECOND / tenant->budget.interval, 12);
	job->users_context = AllocSetContextCreate(job->context, "mindtickle users to pull", ALLOCSET_SMALL_SIZES);
	job->pool = create_pool(tenant, &settings, job->window);
	if (job->pool == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	mt_pull_start_phase(job);
	return NULL;
}

static void
open_work(void *argument)
{
	JobWork    *work = argument;
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;
	MemoryContext previous;

	mt_sql_enter_tenant(tenant->tenant_id);
	work->found = mt_sql_sync_open(tenant->tenant_id, job->context, &work->row);
	if (!work->found)
		return;
	previous = MemoryContextSwitchTo(job->context);
	work->error = build_job(tenant, job, &work->row);
	if (work->error == NULL && tenant->refused_secret != 0 && tenant->refused_secret == job->secret_hash)
	{
		work->error = MT_KEY_REFUSED;
		work->pause = MT_REFUSED_PAUSE;
	}
	MemoryContextSwitchTo(previous);
}

/*
 * Opens the tenant's job and makes it ready to send. Afterwards tenant->job is NULL when there is none, or none that can be pulled.
 */
void
mt_job_open(MtTenant *tenant)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "mindtickle pull", ALLOCSET_SMALL_SIZES);
	JobWork		work = {.tenant = tenant};
	MtFailure	failure;

	tenant->job = MemoryContextAllocZero(context, sizeof(MtJob));
	tenant->job->context = context;
	dlist_init(&tenant->job->slots);
	mt_sync_job_begins(tenant);

	if (!mt_in_transaction(open_work, &work, &failure))
		mt_job_trouble(tenant, &failure);
	else if (!work.found)
	{
		mt_job_release(tenant);
		/* The overview said there was one: something else has taken it, or it is not due yet. */
		tenant->hold_until = mt_now() + Min(FIRST_HOLD << Min(tenant->troubles++, 10), LAST_HOLD);
	}
	else if (work.error != NULL)
		mt_job_fail(tenant, work.error, work.pause);
}

/*
 * Forgets a pull. What the database has of it stays as it is, so it can be opened again.
 */
void
mt_job_release(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	if (job == NULL)
		return;
	mt_pull_drop_slots(tenant);
	tenant->job = NULL;
	if (job->pool != NULL)
		mt_http_pool_destroy(job->pool);
	if (job->secret != NULL)
		explicit_bzero(job->secret, strlen(job->secret));
	MemoryContextDelete(job->context);
	mt_sync_job_ends(tenant);
}

/*
 * Adds what was counted here to the figures of the tenant and of the job, where it is worth a statement or this is the last chance. Inside a
 * transaction of the tenant; should it fail, the figures are lost, and nothing else.
 */
void
mt_job_flush_counters(MtTenant *tenant, bool all)
{
	int64		failures = 0;

	for (int i = MT_TALLY_REQUESTS + 1; i < MT_TALLIES; i++)
		failures += tenant->tally[i];
	if (tenant->tally[MT_TALLY_REQUESTS] + failures * COUNTED_AT_ONCE < (all ? 1 : COUNTED_AT_ONCE))
		return;
	mt_sql_sync_count(tenant->tenant_id, tenant->job == NULL ? 0 : tenant->job->job_id, tenant->tally, MT_TALLIES);
	memset(tenant->tally, 0, sizeof(tenant->tally));
}

static void
fail_work(void *argument)
{
	JobWork    *work = argument;
	MtTenant   *tenant = work->tenant;
	MtJob	   *job = tenant->job;

	mt_sql_enter_tenant(tenant->tenant_id);
	if (job->phase != MT_PHASE_END)
		mt_sql_sync_finish_phase(tenant->tenant_id, job->job_id, job->phase, false, work->error);
	mt_job_flush_counters(tenant, true);
	mt_sql_sync_close(tenant->tenant_id, job->job_id, "failed", work->error);
	if (work->until != 0)
		mt_sql_sync_back_off(tenant->tenant_id, work->until, work->error);
}

/*
 * Closes the job as failed. With a pause, nothing is sent for the tenant until it has passed.
 */
void
mt_job_fail(MtTenant *tenant, const char *error, int64 pause)
{
	char	   *text = pstrdup(error);
	JobWork		work = {.tenant = tenant, .error = text};
	MtFailure	failure;

	if (pause > 0)
	{
		tenant->backoff_until = mt_now() + pause;
		work.until = GetCurrentTimestamp() + pause;
	}
	tenant->refused_secret = 0;
	if (!mt_in_transaction(fail_work, &work, &failure))
	{
		mt_job_trouble(tenant, &failure);
		return;
	}
	ereport(LOG, (errmsg("the pull of tenant \"%s\" failed: %s", tenant->tenant_id, text)));
	mt_job_release(tenant);
	tenant->due_at = MT_NEVER;
	tenant->troubles = 0;
}

static void
count_work(void *argument)
{
	JobWork    *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_job_flush_counters(work->tenant, true);
}

/*
 * Forgets a pull in order to open it again at once, with settings and credential read anew.
 */
void
mt_job_reopen(MtTenant *tenant)
{
	JobWork		work = {.tenant = tenant};
	MtFailure	failure;

	if (mt_in_transaction(count_work, &work, &failure))
		mt_job_release(tenant);
	else
		mt_job_trouble(tenant, &failure);
}

static void
back_off_work(void *argument)
{
	JobWork    *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_sql_sync_back_off(work->tenant->tenant_id, work->until, work->error);
	mt_job_flush_counters(work->tenant, true);
}

/*
 * Sends nothing for the tenant until the pause is over, and makes that known. False when the job is gone because of it.
 */
bool
mt_job_back_off(MtTenant *tenant, int64 pause, const char *error)
{
	JobWork		work = {.tenant = tenant, .error = error, .until = GetCurrentTimestamp() + pause};
	MtFailure	failure;

	tenant->backoff_until = mt_now() + pause;
	if (mt_in_transaction(back_off_work, &work, &failure))
		return true;
	mt_job_trouble(tenant, &failure);
	return false;
}

/*
 * A transaction of the tenant has failed, which is no fault of the far side: the pull is forgotten, and after a pause opened again where it
 * was. The first time is logged, and made known as a back-off, so that an operator finds it.
 */
void
mt_job_trouble(MtTenant *tenant, const MtFailure *failure)
{
	int64		pause = mt_jitter(Min(FIRST_HOLD << Min(tenant->troubles, 10), LAST_HOLD));

	mt_job_release(tenant);
	if (failure->sqlstate == ERRCODE_UNDEFINED_SCHEMA || failure->sqlstate == ERRCODE_UNDEFINED_FUNCTION)
		mt_worker_end_without_extension();
	tenant->hold_until = mt_now() + pause;
	if (tenant->troubles++ == 0)
	{
		JobWork		work = {.tenant = tenant, .error = failure->text, .until = GetCurrentTimestamp() + pause};
		MtFailure	ignored;

		ereport(LOG,
				(errcode(failure->sqlstate),
				 errmsg("the pull of tenant \"%s\" is put off: %s", tenant->tenant_id, failure->text),
				 errdetail("It goes on where it was. Repetitions are not logged.")));
		(void) mt_in_transaction(back_off_work, &work, &ignored);
	}
	/* Whether the tenant is still there, the next overview tells. */
	mt_sync_look();
}
