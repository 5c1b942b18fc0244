/*
 * gateway_pull.c
 *		Requests that wait for the sync worker to pull a user: looked at when it sets the latch, and now and then.
 *
 * One that is kept waiting because the tenant's budget is spent is answered with 202 and the number of the pull after PATIENCE; so is one whose wait
 * (mindtickle.gateway_pull_wait) is over. The pull goes on. While a request waits, others are served. Called by gateway.c and gateway_execute.c.
 */
#include "gateway.h"

#include "statements.h"
#include "utils/json.h"

/* Between two looks that nothing has called for. */
#define LOOK_PAUSE		(250 * MT_MILLISECOND)
/* How long a request waits when the worker says that it is kept waiting. */
#define PATIENCE		(2 * MT_SECOND)
/* How long the worker may take for a pull that nobody waits for any more. */
#define PULL_SECONDS	300

static dlist_head waiting = DLIST_STATIC_INIT(waiting);
static int64 look_at = 0;

/* How a pull stands. */
typedef struct PullLook
{
	MtHttpRequest *request;
	char	   *state;
	char	   *user;
	char	   *detail;
	MtFailure	failure;
} PullLook;

/*
 * Lets a request that has asked for a pull wait for it.
 */
void
mt_pull_wait(MtHttpRequest *request)
{
	mt_serve_suspend(request);
	request->give_up_at = mt_now() + mt_gateway_settings.pull_wait;
	dlist_push_tail(&waiting, &request->node);
	look_at = Min(look_at, mt_now() + LOOK_PAUSE);
}

/*
 * Forgets a request that ends while it waits.
 */
void
mt_pull_leave(MtHttpRequest *request)
{
	if (request->give_up_at != 0)
		dlist_delete(&request->node);
	request->give_up_at = 0;
}

static void
look_work(void *argument)
{
	PullLook   *look = argument;
	MtHttpRequest *request = look->request;

	mt_sql_enter_tenant(request->tenant);
	look->state = mt_sql_pull_result(request->ticket, request->context, &look->user, &look->failure, &look->detail);
}

/* With the token again: it may have been revoked while the request waited. */
static void
result_work(void *argument)
{
	PullLook   *look = argument;
	MtHttpRequest *request = look->request;
	char	   *courses;

	mt_sql_enter_token(request->token, request->route->scope, request->tenant);
	courses = mt_sql_user_courses(request->tenant, look->user, request->context);
	if (courses == NULL)
		mt_answer_error(request, 404, "not_found", "user", "There is no such user.");
	else
		mt_answer_json(request, 200, courses);
}

/*
 * Answers that a pull is under way, with its number.
 */
void
mt_pull_answer_accepted(MtHttpRequest *request, const char *state, const char *detail)
{
	MemoryContext caller = MemoryContextSwitchTo(request->context);
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfo(&body, "{\"job\":{\"id\":" INT64_FORMAT ",\"state\":", request->ticket);
	escape_json(&body, state);
	if (detail != NULL)
	{
		appendStringInfoString(&body, ",\"detail\":");
		escape_json(&body, detail);
	}
	appendStringInfoString(&body, "}}\n");
	mt_answer_json(request, 202, body.data);
	mt_answer_header(request, "Location", psprintf("/api/tenants/%s/pulls/" INT64_FORMAT, request->tenant, request->ticket));
	mt_answer_header(request, "Retry-After", "5");
	mt_answer_header(request, "Cache-Control", "no-store");
	MemoryContextSwitchTo(caller);
}

/* Answers a request whose pull has ended, or that need not wait for it. False: it waits on. */
static bool
judge(PullLook *look)
{
	MtHttpRequest *request = look->request;
	MtFailure	failure;

	if (strcmp(look->state, "done") == 0)
	{
		if (!mt_try_transaction(result_work, look, &failure))
			mt_answer_failure(request, &failure);
	}
	else if (strcmp(look->state, "failed") == 0)
		mt_answer_failure(request, &look->failure);
	else if (strcmp(look->state, "unknown") == 0)
		mt_answer_error(request, 503, "busy", NULL, "The pull was lost; the request can be repeated.");
	else if (request->give_up_at <= mt_now() || (look->detail != NULL && request->whole_at + PATIENCE <= mt_now()))
		mt_pull_answer_accepted(request, look->state, look->detail);
	else
		return false;
	return true;
}

static void
look(MtHttpRequest *request)
{
	PullLook	look = {.request = request};
	MtFailure	failure;

	if (mt_try_transaction(look_work, &look, &failure))
	{
		if (!judge(&look))
			return;
	}
	else
		mt_answer_failure(request, &failure);
	mt_pull_leave(request);
	mt_serve_respond(request);
}

/*
 * Looks at the pulls that are waited for; told: the latch was set, so one of them may have ended.
 */
void
mt_pull_look(bool told)
{
	dlist_mutable_iter iter;

	if (dlist_is_empty(&waiting) || (!told && look_at > mt_now()))
		return;
	look_at = mt_now() + LOOK_PAUSE;
	dlist_foreach_modify(iter, &waiting)
	{
		look(dlist_container(MtHttpRequest, node, iter.cur));
	}
}

/*
 * When mt_pull_look has something to do next.
 */
int64
mt_pull_next(void)
{
	return dlist_is_empty(&waiting) ? MT_NEVER : look_at;
}

/*
 * Route: has a user pulled now, and answers with his progress.
 */
void
mt_route_sync_progress(MtHttpRequest *request)
{
	request->ticket = mt_sql_request_pull(request->tenant, request->argument, PULL_SECONDS);
}

/*
 * Route: how a pull stands that was asked for before.
 */
void
mt_route_pull(MtHttpRequest *request)
{
	PullLook	look = {.request = request};
	MemoryContext caller;
	StringInfoData body;
	char	   *end;

	errno = 0;
	request->ticket = strtoi64(request->argument, &end, 10);
	if (errno != 0 || *end != '\0' || request->ticket <= 0)
	{
		mt_answer_error(request, 404, "not_found", "pull", "There is no such pull.");
		return;
	}
	look.state = mt_sql_pull_result(request->ticket, request->context, &look.user, &look.failure, &look.detail);
	if (strcmp(look.state, "unknown") == 0)
	{
		mt_answer_error(request, 404, "not_found", "pull", "There is no such pull.");
		return;
	}
	caller = MemoryContextSwitchTo(request->context);
	initStringInfo(&body);
	appendStringInfo(&body, "{\"id\":" INT64_FORMAT ",\"state\":", request->ticket);
	escape_json(&body, look.state);
	if (look.user != NULL)
	{
		appendStringInfoString(&body, ",\"userId\":");
		escape_json(&body, look.user);
	}
	if (look.detail != NULL)
	{
		appendStringInfoString(&body, ",\"detail\":");
		escape_json(&body, look.detail);
	}
	if (look.failure.sqlstate != 0)
	{
		appendStringInfoString(&body, ",\"error\":");
		escape_json(&body, look.failure.message);
	}
	appendStringInfoString(&body, "}\n");
	MemoryContextSwitchTo(caller);
	mt_answer_json(request, 200, body.data);
	mt_answer_header(request, "Cache-Control", "no-store");
}
