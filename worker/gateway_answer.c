/*
 * gateway_answer.c
 *		Answers: JSON, and errors as {"code", "message", "field", "hint", "requestId"}, or below /scim/v2 as RFC 7644, 3.12 has them.
 *
 * What failed in the database becomes a status by its SQLSTATE. What is the caller's fault is told in the words of the error, which name the
 * field; what is ours is told as such, and its words go to the log. Called by the routes and by gateway_request.c, gateway_execute.c.
 */
#include "gateway.h"

#include "utils/errcodes.h"
#include "utils/json.h"

#define JSON_TYPE	"application/json"

/*
 * Adds a header to the answer; name and value stay as long as the request.
 */
void
mt_answer_header(MtHttpRequest *request, const char *name, const char *value)
{
	MtHttpAnswer *answer = &request->answer;

	if (answer->header_count < MT_HTTP_EXTRA_HEADERS)
		answer->headers[answer->header_count++] = (MtHttpHeader) {name, value};
}

/*
 * Makes the answer a document of JSON, which stays as long as the request.
 */
void
mt_answer_json(MtHttpRequest *request, int status, const char *body)
{
	request->answer.status = status;
	request->answer.type = JSON_TYPE;
	request->answer.body = body;
	request->answer.length = strlen(body);
}

static void
append_member(StringInfo document, const char *name, const char *value)
{
	appendStringInfo(document, "%c\"%s\":", document->len == 0 ? '{' : ',', name);
	escape_json(document, value);
}

static void
write_error(StringInfo document, const char *code, const char *field, const char *hint, const char *message, const char *id)
{
	append_member(document, "code", code);
	append_member(document, "message", message);
	if (field != NULL && field[0] != '\0')
		append_member(document, "field", field);
	if (hint != NULL && hint[0] != '\0')
		append_member(document, "hint", hint);
	append_member(document, "requestId", id);
	appendStringInfoString(document, "}\n");
}

static void
write_scim_error(StringInfo document, int status, const char *code, const char *message)
{
	appendStringInfo(document, "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"%d\",", status);
	/* The one reason of those that RFC 7644 has a name for which is found here. */
	if (strcmp(code, MT_SCIM_OTHER_VERSION) == 0)
		appendStringInfoString(document, "\"scimType\":\"" MT_SCIM_OTHER_VERSION "\",");
	appendStringInfoString(document, "\"detail\":");
	escape_json(document, message);
	appendStringInfoString(document, "}\n");
}

/* The document of an error. Further headers of an answer that it replaces go. */
static void
answer_problem(MtHttpRequest *request, int status, const char *code, const char *field, const char *hint, const char *message)
{
	MemoryContext caller = MemoryContextSwitchTo(request->context);
	bool		scim = mt_route_is_scim(request->url);
	StringInfoData document;

	initStringInfo(&document);
	if (scim)
		write_scim_error(&document, status, code, message);
	else
		write_error(&document, code, field, hint, message, request->id);
	MemoryContextSwitchTo(caller);
	mt_document_release(request->answer.document);
	memset(&request->answer, 0, sizeof(request->answer));
	mt_answer_json(request, status, document.data);
	if (scim)
		request->answer.type = "application/scim+json";
	mt_answer_header(request, "Cache-Control", "no-store");
	if (status == 401)
		mt_answer_header(request, "WWW-Authenticate", "Bearer realm=\"mindtickle\"");
	else if (status == 429 || status == 503)
		mt_answer_header(request, "Retry-After", "1");
}

/*
 * Makes the answer an error. field is what is at fault, NULL: nothing in particular.
 */
void
mt_answer_error(MtHttpRequest *request, int status, const char *code, const char *field, const char *message,...)
{
	char		text[400];
	va_list		arguments;

	va_start(arguments, message);
	vsnprintf(text, sizeof(text), message, arguments);
	va_end(arguments);
	answer_problem(request, status, code, field, NULL, text);
}

/* What failures of this kind are to who asked; the first that matches. */
static const struct
{
	int			sqlstate;
	bool		category;		/* all of the SQLSTATE's class */
	int			status;
	const char *code;
	bool		own_words;		/* the message is for the caller */
}			meanings[] = {
	{ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false, 401, "invalid_token", true},
	{ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, false, 429, "too_many_requests", true},
	{ERRCODE_UNIQUE_VIOLATION, false, 409, "conflict", true},
	{ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, false, 409, "not_possible_now", true},
	{ERRCODE_UNDEFINED_OBJECT, false, 404, "not_found", true},
	{ERRCODE_NO_DATA_FOUND, false, 404, "not_found", true},
	{ERRCODE_DATA_EXCEPTION, true, 400, "invalid_input", true},
	{ERRCODE_CHECK_VIOLATION, false, 400, "invalid_input", false},
	{ERRCODE_NOT_NULL_VIOLATION, false, 400, "invalid_input", false},
	{ERRCODE_PROGRAM_LIMIT_EXCEEDED, true, 400, "limit_exceeded", true},
	{ERRCODE_FEATURE_NOT_SUPPORTED, false, 501, "not_supported", true},
	{ERRCODE_FDW_ERROR, true, 502, "upstream_failed", true},
	{ERRCODE_CONNECTION_EXCEPTION, true, 502, "upstream_failed", true},
	{ERRCODE_QUERY_CANCELED, false, 503, "timeout", false},
	{ERRCODE_LOCK_NOT_AVAILABLE, false, 503, "busy", false},
	{ERRCODE_T_R_SERIALIZATION_FAILURE, false, 503, "busy", false},
	{ERRCODE_T_R_DEADLOCK_DETECTED, false, 503, "busy", false},
	{ERRCODE_INSUFFICIENT_RESOURCES, true, 503, "busy", false},
	{ERRCODE_READ_ONLY_SQL_TRANSACTION, false, 503, "read_only", false},
};

static const char *
plain_words(int status)
{
	if (status == 400)
		return "The input does not keep to the rules.";
	if (status == 503)
		return "The request could not be served now; it can be repeated.";
	return "The request failed inside the server; its log tells why.";
}

/*
 * Answers a refusal: of the scope, where the token was not entered; of the tenant, as if there were none, where the address names another one than
 * the token's, and by name where the body does. False where it is none of these: then the gateway lacks a right.
 */
static bool
answer_refusal(MtHttpRequest *request, const MtFailure *failure)
{
	const char *scope = mt_route_scope(request);

	if (request->tenant[0] == '\0' && scope != NULL)
		mt_answer_error(request, 403, "forbidden", "Authorization", "The token lacks the scope \"%s\".", scope);
	else if (request->tenant[0] != '\0' && request->tenant_asked != NULL && strcmp(request->tenant, request->tenant_asked) != 0)
		mt_answer_error(request, 404, "not_found", "tenant", "There is no such tenant.");
	else if (strncmp(failure->message, "permission denied for tenant", strlen("permission denied for tenant")) == 0)
		mt_answer_error(request, 403, "forbidden", "tenantId", "The body names another tenant than the token is of.");
	else
		return false;
	return true;
}

/*
 * Makes the answer what a failed transaction means.
 */
void
mt_answer_failure(MtHttpRequest *request, const MtFailure *failure)
{
	if (failure->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE && answer_refusal(request, failure))
		return;
	for (int i = 0; i < (int) lengthof(meanings); i++)
	{
		if (meanings[i].category ? ERRCODE_TO_CATEGORY(failure->sqlstate) != ERRCODE_TO_CATEGORY(meanings[i].sqlstate)
			: failure->sqlstate != meanings[i].sqlstate)
			continue;
		answer_problem(request, meanings[i].status, meanings[i].code,
					   meanings[i].status == 401 ? "Authorization" : failure->field,
					   meanings[i].own_words ? failure->hint : NULL,
					   meanings[i].own_words ? failure->message : plain_words(meanings[i].status));
		return;
	}
	ereport(LOG,
			(errcode(failure->sqlstate),
			 errmsg("mindtickle gateway: request %s failed: %s", request->id, failure->text)));
	answer_problem(request, 500, "internal_error", NULL, NULL, plain_words(500));
}
