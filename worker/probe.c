/*
 * probe.c
 *		Tests what a tenant's credential is good for: signs in, and tries every stage that a pull would go through, one request each.
 *
 * Called by sync.c, for a request that somebody waits for (mt_test_connection). A probe reads settings and credential anew and has connections and a
 * token of its own, so it neither needs a pull nor disturbs one, and it works while the tenant rests because its key was refused. Its requests
 * are counted by the tenant's budget like all others, and wait where the far side has asked for a pause, be it the probe or the pull that it asked. It
 * stores nothing. What was found until its time is nearly up is told then.
 *
 *	opened --> request due --mt_probe_step--> under way --mt_probe_answer--> next step ... --> told
 *	                ^                              |
 *	                +---- 429, transport, 5xx -----+   a few times
 */
#include "probe.h"

#include "errand_statements.h"
#include "statements.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How often a step is tried, and how long after a failure. */
#define TRIES_MAX		3
#define RETRY_PAUSE		MT_SECOND
/* How long before its end at most what was found is told. */
#define TELL_AHEAD		MT_SECOND
/* Step numbers: the sign-in, then the stages of the contract, then the SCIM endpoint. */
#define STEP_SIGN_IN	(-1)

#define REMEDY_TROUBLE	"Try again later; if it lasts, ask MindTickle's support."

struct MtProbe
{
	MemoryContext context;
	int64		ticket;
	int64		ends_at;
	int64		tell_at;		/* a little earlier */
	MtSource	source;
	bool		incomplete;		/* secrets that are stored cannot be read */
	MtHttpPool *pool;			/* NULL until the source was read */
	char	   *token;			/* NULL: none */
	bool		signed_in;		/* or there is nothing to sign in to */
	Bitmapset  *unknown_at;		/* base URLs that do not know the site */
	int			step;
	int			tries;			/* of this step */
	MtItem		item;			/* that this step asks for; key NULL: none */
	MtHttpRequest *request;		/* NULL: none under way */
	uint64		budget_ticket;
	int64		not_before;
	StringInfoData rows;		/* JSON array of what was found, without its end */
};

/* What happens in a transaction of this file. */
typedef struct ProbeWork
{
	MtTenant   *tenant;
	MtOver		over;
	char	   *settings;
	char	   *credential;
	char	   *obstacle;
	char	   *unreadable;
	MtRequestEnd end;
} ProbeWork;

/* Appends a row of the result. ok below 0: not tried. */
static void
add_row(MtProbe *probe, const char *step, int ok, const char *detail, const char *remedy)
{
	MemoryContext previous = MemoryContextSwitchTo(probe->context);
	StringInfo	rows = &probe->rows;

	appendStringInfoString(rows, rows->len == 1 ? "{\"step\":" : ",{\"step\":");
	escape_json(rows, step);
	appendStringInfo(rows, ",\"ok\":%s,\"detail\":", ok < 0 ? "null" : ok ? "true" : "false");
	escape_json(rows, detail);
	appendStringInfoString(rows, ",\"remedy\":");
	if (remedy == NULL)
		appendStringInfoString(rows, "null");
	else
		escape_json(rows, remedy);
	appendStringInfoChar(rows, '}');
	MemoryContextSwitchTo(previous);
}

/* The stage of the present step; NULL where it is none. */
static const MtStage *
stage_of(const MtProbe *probe)
{
	const MtContract *contract = probe->source.contract;

	return probe->step >= 0 && probe->step < contract->stage_count ? &contract->stages[probe->step] : NULL;
}

static MtHost
host_of(const MtProbe *probe)
{
	const MtStage *stage = stage_of(probe);

	if (probe->step == STEP_SIGN_IN)
		return MT_HOST_API;
	return stage == NULL ? MT_HOST_SCIM : stage->host;
}

static const char *
name_of(const MtProbe *probe)
{
	if (probe->step == STEP_SIGN_IN)
		return "sign-in";
	return stage_of(probe) == NULL ? "scim" : stage_of(probe)->name;
}

static void
open_work(void *argument)
{
	ProbeWork  *work = argument;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	mt_sql_probe_source(work->tenant->tenant_id, work->tenant->probe->context, &work->settings, &work->credential, &work->obstacle,
						&work->unreadable);
}

static void
item_work(void *argument)
{
	ProbeWork  *work = argument;
	MtProbe    *probe = work->tenant->probe;
	MtItem	   *items;

	mt_sql_enter_tenant(work->tenant->tenant_id);
	probe->item.key = NULL;
	if (mt_sql_next_items(work->over, work->tenant->tenant_id, 0, "", 1, probe->context, &items) > 0)
		probe->item = items[0];
}

static void
finish_work(void *argument)
{
	ProbeWork  *work = argument;

	mt_sql_finish_request(work->tenant->probe->ticket, &work->end);
}

/* libcurl sends the request now. */
static void
request_sent(void *owner, MtHttpRequest *request)
{
	MtTenant   *tenant = owner;

	mt_budget_sent(&tenant->budget, tenant->probe->budget_ticket, mt_now());
}

/* Frees a probe. Its request under way, if any, is ended. */
static void
forget(MtTenant *tenant)
{
	MtProbe    *probe = tenant->probe;

	if (probe->request != NULL)
		mt_budget_settled(&tenant->budget, probe->budget_ticket, mt_now());
	tenant->probe = NULL;
	if (probe->pool != NULL)
		mt_http_pool_destroy(probe->pool);
	if (probe->token != NULL)
		explicit_bzero(probe->token, strlen(probe->token));
	mt_source_forget(&probe->source);
	MemoryContextDelete(probe->context);
	mt_sync_probe_ends(tenant);
}

/* Tells who asked what was found. */
static void
tell(MtTenant *tenant)
{
	MtProbe    *probe = tenant->probe;
	ProbeWork	work = {.tenant = tenant};
	MtFailure	failure;

	appendStringInfoChar(&probe->rows, ']');
	work.end.text = probe->rows.data;
	if (!mt_in_transaction(finish_work, &work, &failure))
		ereport(LOG,
				(errcode(failure.sqlstate),
				 errmsg("a test of the connection of tenant \"%s\" could not be answered: %s", tenant->tenant_id, failure.text)));
	forget(tenant);
}

/*
 * Ends the tenant's probe, if there is one, with the reason why it cannot go on.
 */
void
mt_probe_end(MtTenant *tenant, const char *why)
{
	if (tenant->probe == NULL)
		return;
	add_row(tenant->probe, tenant->probe->pool == NULL ? "settings" : name_of(tenant->probe), false, why, NULL);
	tell(tenant);
}

/* Can the present step be tried? Where it cannot, and why is worth telling, it gets its row. */
static bool
worth_trying(MtTenant *tenant)
{
	MtProbe    *probe = tenant->probe;
	const MtStage *stage = stage_of(probe);
	MtFailure	failure;

	probe->item.key = NULL;
	if (probe->step == STEP_SIGN_IN)
		return probe->source.contract->sign_in != NULL;
	if (host_of(probe) == MT_HOST_SCIM)
		return probe->source.scim_url != NULL;
	if (stage->host == MT_HOST_REPORTING && probe->source.reporting_url == NULL)
	{
		add_row(probe, name_of(probe), -1,
				probe->incomplete ? "there is no reporting_user that can be read, so scores are not pulled"
				: "no reporting_user is stored, so scores are not pulled",
				"Store reporting_user and reporting_password with mt_set_credential.");
		return false;
	}
	if (stage->usable != NULL && !stage->usable(&probe->source))
	{
		add_row(probe, name_of(probe), -1, "nothing is configured to be pulled", NULL);
		return false;
	}
	if (stage->host == MT_HOST_API && !probe->signed_in)
	{
		add_row(probe, name_of(probe), -1, "it needs the sign-in", NULL);
		return false;
	}
	if (stage->over != MT_OVER_LISTING)
	{
		ProbeWork	work = {.tenant = tenant,.over = stage->over};

		if (!mt_in_transaction(item_work, &work, &failure))
			add_row(probe, name_of(probe), -1, failure.text, NULL);
		else if (probe->item.key == NULL)
			add_row(probe, name_of(probe), -1, "there is nothing to ask for yet", "A first pull brings it; mt_sync_tenant asks for one.");
		return probe->item.key != NULL;
	}
	return true;
}

/* Goes on to the next step that can be tried; behind the last the result is told, and the probe is gone. */
static void
next_step(MtTenant *tenant)
{
	MtProbe    *probe = tenant->probe;

	probe->tries = 0;
	do
	{
		probe->step++;
		if (probe->step > probe->source.contract->stage_count)
		{
			tell(tenant);
			return;
		}
	} while (!worth_trying(tenant));
	probe->not_before = 0;
	mt_sync_wake(tenant, mt_now());
}

/*
 * Begins a test for who asked under the ticket. There must be none under way.
 */
void
mt_probe_begin(MtTenant *tenant, int64 ticket, TimestampTz ends_at)
{
	MemoryContext context;
	MtProbe    *probe;
	ProbeWork	work = {.tenant = tenant};
	MtHttpOwner owner = {tenant, request_sent};
	const char *headers[3] = {"Accept: application/json", NULL, NULL};
	const char *problem;
	MemoryContext previous;
	MtFailure	failure;

	context = AllocSetContextCreate(TopMemoryContext, "mindtickle probe", ALLOCSET_SMALL_SIZES);
	probe = MemoryContextAllocZero(context, sizeof(MtProbe));
	probe->context = context;
	probe->ticket = ticket;
	probe->ends_at = mt_now() + (ends_at - GetCurrentTimestamp());
	probe->tell_at = probe->ends_at - Min(TELL_AHEAD, (probe->ends_at - mt_now()) / 4);
	probe->step = STEP_SIGN_IN - 1;
	previous = MemoryContextSwitchTo(context);
	initStringInfo(&probe->rows);
	appendStringInfoChar(&probe->rows, '[');
	MemoryContextSwitchTo(previous);
	tenant->probe = probe;
	mt_sync_probe_begins(tenant);

	if (!mt_in_transaction(open_work, &work, &failure))
	{
		mt_probe_end(tenant, pstrdup(failure.text));
		return;
	}
	previous = MemoryContextSwitchTo(context);
	problem = work.obstacle != NULL ? work.obstacle : mt_source_read(&probe->source, work.settings, work.credential);
	if (problem == NULL)
	{
		if (probe->source.company_id != NULL)
			headers[1] = psprintf("X-Company-Id: %s", probe->source.company_id);
		probe->pool = mt_http_pool_create(&owner, headers, probe->source.allow_http, 1);
		if (probe->pool == NULL)
			problem = "out of memory";
	}
	MemoryContextSwitchTo(previous);
	if (problem != NULL)
	{
		mt_probe_end(tenant, problem);
		return;
	}
	add_row(probe, "settings", true, psprintf("contract %s at %s", probe->source.contract->name, probe->source.base_urls[probe->source.base_url]), NULL);
	probe->incomplete = work.unreadable != NULL;
	if (probe->incomplete)
		add_row(probe, "secrets", false, work.unreadable, "Mend the file, or store the secret with mt_set_credential.");
	probe->signed_in = probe->source.contract->sign_in == NULL;
	mt_job_start_budget(tenant, &probe->source);
	next_step(tenant);
}

/* Writes the request of the present step. */
static void
write_call(MtProbe *probe, MtCall *call)
{
	MtCursor	cursor = {0};

	initStringInfo(&call->target);
	initStringInfo(&call->body);
	call->from_root = false;
	if (probe->step == STEP_SIGN_IN)
		probe->source.contract->sign_in->request(&probe->source, call);
	else if (stage_of(probe) == NULL)
		appendStringInfoString(&call->target, "/Users?count=1");
	else
		stage_of(probe)->request(&probe->source, probe->item.key == NULL ? NULL : &probe->item, &cursor, call);
}

static void
send_request(MtTenant *tenant, int64 now)
{
	MtProbe    *probe = tenant->probe;
	MtCall		call;
	char	   *url;
	char	   *authorization = NULL;
	MtHttpMessage message = {0};

	write_call(probe, &call);
	url = mt_source_url(&probe->source, host_of(probe), &call);
	if (probe->step != STEP_SIGN_IN)
		authorization = mt_source_authorization(&probe->source, host_of(probe), probe->token);
	message.url = url;
	message.authorization = authorization;
	if (call.body.len > 0)
	{
		message.body = call.body.data;
		message.length = (size_t) call.body.len;
	}
	probe->budget_ticket = mt_budget_take(&tenant->budget, now);
	probe->request = mt_http_send(probe->pool, &message, tenant);
	if (authorization != NULL)
		explicit_bzero(authorization, strlen(authorization));
	explicit_bzero(call.body.data, (size_t) call.body.len);
	if (probe->request == NULL)
	{
		mt_budget_settled(&tenant->budget, probe->budget_ticket, now);
		probe->not_before = now + RETRY_PAUSE;
		mt_sync_wake(tenant, probe->not_before);
	}
}

/* There is no time for the present step: it is told with those that there was time for. */
static void
out_of_time(MtTenant *tenant, int64 now)
{
	MtProbe    *probe = tenant->probe;

	if (probe->request != NULL)
		add_row(probe, name_of(probe), false, "no answer came in the time of this test", REMEDY_TROUBLE);
	else if (tenant->paused_until > now)
		add_row(probe, name_of(probe), -1,
				psprintf("MindTickle has asked for a pause until %s", timestamptz_to_str(GetCurrentTimestamp() + (tenant->paused_until - now))),
				"Try again after that.");
	else
		add_row(probe, name_of(probe), -1, "there was no time for it", "Try again with a longer timeout; mt_stat_tenant shows the request budget.");
	tell(tenant);
}

/*
 * The tenant's moment, as far as its probe goes: sends what is due and allowed, and says when to look again.
 */
void
mt_probe_step(MtTenant *tenant)
{
	MtProbe    *probe = tenant->probe;
	int64		now = mt_now();
	int64		allowed;

	if (now >= probe->ends_at)
	{
		/* Nobody waits for the answer any more. */
		forget(tenant);
		return;
	}
	if (now >= probe->tell_at || (probe->request == NULL && tenant->paused_until >= probe->tell_at))
	{
		out_of_time(tenant, now);
		return;
	}
	mt_sync_wake(tenant, probe->tell_at);
	if (probe->request == NULL)
	{
		allowed = Max(Max(mt_budget_next(&tenant->budget, now, true), probe->not_before), tenant->paused_until);
		if (allowed > now)
			mt_sync_wake(tenant, allowed);
		else if (!mt_job_reserved(tenant))
			mt_sync_want_budget(tenant);
		else
			send_request(tenant, now);
	}
}

/*
 * Is it the probe's request?
 */
bool
mt_probe_owns(const MtTenant *tenant, const MtHttpRequest *request)
{
	return tenant->probe != NULL && tenant->probe->request == request;
}

/* The step has failed in a way that may pass: it is tried again, or given up. */
static void
failed(MtTenant *tenant, const char *reason, int64 pause)
{
	MtProbe    *probe = tenant->probe;

	if (++probe->tries < TRIES_MAX)
	{
		probe->not_before = mt_now() + pause;
		mt_sync_wake(tenant, probe->not_before);
		return;
	}
	add_row(probe, name_of(probe), false, reason, REMEDY_TROUBLE);
	next_step(tenant);
}

/* The sign-in is answered with 200. */
static void
signed_in(MtTenant *tenant, const MtHttpRequest *request)
{
	MtProbe    *probe = tenant->probe;
	char	   *token;
	int64		seconds;
	const char *problem = probe->source.contract->sign_in->read(request->body, request->length, &token, &seconds);

	if (problem == NULL && !mt_fit_for_header(token))
		problem = "its token cannot be one";
	if (problem != NULL)
	{
		failed(tenant, psprintf("the answer is not usable: %s", problem), RETRY_PAUSE);
		return;
	}
	probe->token = MemoryContextStrdup(probe->context, token);
	explicit_bzero(token, strlen(token));
	probe->signed_in = true;
	add_row(probe, "sign-in", true, psprintf("signed in at %s", probe->source.base_urls[probe->source.base_url]), NULL);
	next_step(tenant);
}

/* The sign-in is refused. */
static void
sign_in_refused(MtTenant *tenant, int status)
{
	MtProbe    *probe = tenant->probe;
	MtSource   *source = &probe->source;

	if (status == 404)
	{
		MemoryContext previous = MemoryContextSwitchTo(probe->context);

		probe->unknown_at = bms_add_member(probe->unknown_at, source->base_url);
		MemoryContextSwitchTo(previous);
		if (mt_token_next_site(source, probe->unknown_at))
		{
			mt_sync_wake(tenant, mt_now());
			return;
		}
	}
	if (status == 404)
		add_row(probe, "sign-in", false, psprintf("no base URL knows the learning site \"%s\" (404)", source->learning_site),
				"Correct learning_site, or base_urls, with mt_configure_tenant.");
	else
		add_row(probe, "sign-in", false, psprintf("MindTickle refuses the api_key and secret_key (%d)", status),
				"Store a valid pair with mt_set_credential.");
	next_step(tenant);
}

/* The request of a stage is refused, or that of the SCIM endpoint. */
static void
refused(MtTenant *tenant, int status)
{
	MtProbe    *probe = tenant->probe;
	const MtStage *stage = stage_of(probe);
	bool		denied = status == 401 || status == 403;

	if (host_of(probe) == MT_HOST_SCIM)
		add_row(probe, "scim", false, psprintf("the SCIM endpoint answers %d", status),
				denied ? "Store a valid scim_token with mt_set_credential." : "Correct the scim_url with mt_configure_tenant.");
	else if (stage->host == MT_HOST_REPORTING)
		add_row(probe, stage->name, false, psprintf("the reporting service answers %d", status),
				denied ? "Store a valid reporting_user and reporting_password with mt_set_credential." :
				"Correct the reporting_url with mt_configure_tenant.");
	else if (denied)
		add_row(probe, stage->name, false, psprintf("MindTickle denies it (%d): the credential lacks the right %s", status, stage->right),
				"Grant the right there, store another credential with mt_set_credential, or correct the company_id with mt_configure_tenant.");
	else
		add_row(probe, stage->name, false, psprintf("MindTickle answers %d", status), "Compare contract and base_urls with what MindTickle's support says.");
	next_step(tenant);
}

/* A stage is answered with 200. */
static void
tried(MtTenant *tenant, const MtHttpRequest *request)
{
	MtProbe    *probe = tenant->probe;
	const MtStage *stage = stage_of(probe);
	MtCursor	cursor = {0};
	MtPage		page;
	const char *problem = stage == NULL ? NULL : stage->read_page(request->body, request->length, &cursor, &page);

	if (problem != NULL)
	{
		failed(tenant, psprintf("the answer is not usable: %s", problem), RETRY_PAUSE);
		return;
	}
	if (stage == NULL)
		add_row(probe, "scim", true, "answers", NULL);
	else if (page.total >= 0)
		add_row(probe, stage->name, true, psprintf(INT64_FORMAT " records", page.total), NULL);
	else
		add_row(probe, stage->name, true, psprintf("%d records in the first answer", page.count), NULL);
	next_step(tenant);
}

/*
 * The probe's request is over. It is freed.
 */
void
mt_probe_answer(MtTenant *tenant, MtHttpRequest *request)
{
	MtProbe    *probe = tenant->probe;
	int			status = request->status;

	mt_budget_settled(&tenant->budget, probe->budget_ticket, mt_now());
	probe->request = NULL;
	if (request->outcome != MT_HTTP_ANSWERED)
	{
		if (!request->crowded &&
			(probe->step == STEP_SIGN_IN || (host_of(probe) == MT_HOST_API && probe->source.contract->sign_in == NULL)))
			(void) mt_token_next_site(&probe->source, probe->unknown_at);
		failed(tenant, request->error, RETRY_PAUSE);
	}
	else if (mt_asks_for_pause(request))
	{
		int64		pause = mt_retry_after(request, 2 * RETRY_PAUSE);

		/* The budget is the account's, but the SCIM endpoint has its own troubles. */
		if (status == 429 || host_of(probe) != MT_HOST_SCIM)
			mt_pull_pause(tenant, pause, status);
		failed(tenant, psprintf("MindTickle answers %d", status), pause);
	}
	else if (status / 100 == 5 || status == 408 || status == 425)
		failed(tenant, psprintf("MindTickle answers %d", status), RETRY_PAUSE);
	else if (status == 200 && probe->step == STEP_SIGN_IN)
		signed_in(tenant, request);
	else if (status == 200)
		tried(tenant, request);
	else if (probe->step == STEP_SIGN_IN)
		sign_in_refused(tenant, status);
	else if (status == 404 && probe->item.key != NULL)
	{
		add_row(probe, name_of(probe), true, "MindTickle does not know what was asked for, but answers", NULL);
		next_step(tenant);
	}
	else
		refused(tenant, status);
	/* With the last step the probe has gone, and its request with it. */
	if (tenant->probe != NULL)
		mt_http_free(request);
}
