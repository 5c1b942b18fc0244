/*
 * gateway_handler.c
 *		What the routes do, in a request's transaction, with its token entered. Each asks for one thing in SQL and makes it the answer.
 *
 * Called through the table in gateway_route.c. What waits for a pull is in gateway_pull.c, documents from memory in gateway_document.c.
 */
#include "gateway.h"

#include "mb/pg_wchar.h"

/* The description of the API, as it is in the tree; made by the Makefile. */
static const char openapi[] =
#include "openapi.inc"
	;

/*
 * The process is up, and its loop turns.
 */
void
mt_route_health(MtHttpRequest *request)
{
	mt_answer_json(request, 200, "{\"status\":\"ok\"}\n");
	mt_answer_header(request, "Cache-Control", "no-store");
}

void
mt_route_openapi(MtHttpRequest *request)
{
	mt_answer_json(request, 200, openapi);
}

void
mt_route_metrics(MtHttpRequest *request)
{
	char	   *body = mt_sql_metrics(request->context);

	request->answer.status = 200;
	request->answer.type = "text/plain; version=0.0.4; charset=utf-8";
	request->answer.body = body;
	request->answer.length = strlen(body);
	mt_answer_header(request, "Cache-Control", "no-store");
}

/* A document that was made now. */
static void
answer_fresh(MtHttpRequest *request, int status, const char *body)
{
	mt_answer_json(request, status, body);
	mt_answer_header(request, "Cache-Control", "no-store");
}

void
mt_route_readiness(MtHttpRequest *request)
{
	answer_fresh(request, 200, mt_sql_readiness(request->tenant, false, request->context));
}

void
mt_route_aggregate(MtHttpRequest *request)
{
	answer_fresh(request, 200, mt_sql_readiness(request->tenant, true, request->context));
}

void
mt_route_progress(MtHttpRequest *request)
{
	char	   *courses = mt_sql_user_courses(request->tenant, request->argument, request->context);

	if (courses == NULL)
		mt_answer_error(request, 404, "not_found", "user", "There is no such user.");
	else
		answer_fresh(request, 200, courses);
}

void
mt_route_roster(MtHttpRequest *request)
{
	mt_document_answer(request, "roster");
}

void
mt_route_courses(MtHttpRequest *request)
{
	mt_document_answer(request, "catalog");
}

void
mt_route_quiz_results(MtHttpRequest *request)
{
	bool		recorded = mt_sql_record_quiz_result(request->tenant, request->body);

	answer_fresh(request, recorded ? 201 : 200, recorded ? "{\"recorded\":true}\n" : "{\"recorded\":false}\n");
}

void
mt_route_scim_events(MtHttpRequest *request)
{
	answer_fresh(request, 200, mt_sql_scim_event(request->body, request->context));
}

/* A header of the request; NULL: there is none that is text. */
static const char *
header(const MtHttpRequest *request, const char *name)
{
	const char *value = MHD_lookup_connection_value(request->handle, MHD_HEADER_KIND, name);

	return value != NULL && pg_verify_mbstr(PG_UTF8, value, (int) strlen(value), true) ? value : NULL;
}

/*
 * Carries a request to mt_scim_request and its answer back.
 */
void
mt_route_scim(MtHttpRequest *request)
{
	mt_sql_scim_request(request, header(request, "If-Match"), header(request, "If-None-Match"), header(request, "Content-Type"));
	if (request->answer.body != NULL)
		request->answer.type = "application/scim+json";
	mt_answer_header(request, "Cache-Control", "no-store");
}
