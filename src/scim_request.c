/*
 * scim_request.c
 *		mt_scim_request: one request of an identity provider (RFC 7644), from the method and path to the status and body.
 *
 * The tenant is the argument, which the gateway takes from the token; nothing in the request can name another. What the client does wrong is an
 * answer, not an error, so that the transaction commits and with it the dead letter that keeps a refused body; nothing is written before it
 * is certain that the request will be granted. Where there is no room for that letter it is ERROR 53400; an operation of a bulk request then is
 * answered 429, and the others stay.
 *
 * Called through SQL by the gateway, and by anybody who may write for the tenant.
 */
#include "scim_request.h"

#include <ctype.h>

#include "dead_letter.h"
#include "funcapi.h"
#include "scim_group.h"
#include "scim_list.h"
#include "scim_schema.h"
#include "scim_user.h"
#include "service_call.h"
#include "user.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Where the gateway serves SCIM; paths may be given with or without it. */
#define SCIM_PREFIX			"/scim/v2"
#define SEGMENTS_MAX		2

/* A path's decoded segments; id is NULL where there is only one. */
typedef struct Route
{
	char	   *collection;
	char	   *id;
} Route;

/* What is done with a collection of resources and with one of them. */
typedef struct ResourceRoutes
{
	void		(*create) (MtScimCall *call);
	void		(*get) (MtScimCall *call, const char *id);
	void		(*replace) (MtScimCall *call, const char *id);
	void		(*patch) (MtScimCall *call, const char *id);
	void		(*delete) (MtScimCall *call, const char *id);
} ResourceRoutes;

static const ResourceRoutes routes[] = {
	[MT_SCIM_USER] = {mt_scim_create_user, mt_scim_get_user, mt_scim_replace_user, mt_scim_patch_user, mt_scim_delete_user},
	[MT_SCIM_GROUP] = {mt_scim_create_group, mt_scim_get_group, mt_scim_replace_group, mt_scim_patch_group, mt_scim_delete_group}
};

PG_FUNCTION_INFO_V1(mt_scim_request);
PG_FUNCTION_INFO_V1(mt_scim_carry);

static bool
refuse_method(MtScimCall *call, const char *allow)
{
	call->answer->allow = allow;
	return mt_scim_refuse(call->answer, 405, NULL, "This can be asked with: %s.", allow);
}

/* Takes a path apart. False, with a refusal, where it is none of ours. */
static bool
read_path(MtScimCall *call, const char *path, Route *route)
{
	char	   *segments[SEGMENTS_MAX] = {NULL, NULL};
	int			count = 0;

	if (strncmp(path, SCIM_PREFIX, strlen(SCIM_PREFIX)) == 0)
		path += strlen(SCIM_PREFIX);
	while (*path == '/' && path[1] != '\0')
	{
		int			length = (int) strcspn(path + 1, "/");
		char	   *segment = mt_scim_unescape(path + 1, length, false);

		if (segment == NULL)
			return mt_scim_refuse(call->answer, 400, "invalidSyntax", "The path is not percent-encoded UTF-8.");
		if (count == SEGMENTS_MAX || segment[0] == '\0')
			return mt_scim_refuse_absent(call->answer);
		segments[count++] = segment;
		path += length + 1;
	}
	if (count == 0 || (*path != '\0' && *path != '/'))
		return mt_scim_refuse_absent(call->answer);
	route->collection = segments[0];
	route->id = segments[1];
	return true;
}

/* False, with a refusal, where a method is not one of those that are allowed, which are separated by ", ". */
static bool
method_allowed(MtScimCall *call, const char *method, const char *allow)
{
	size_t		length = strlen(method);

	/* A part of the list that is more than one method is none. */
	if (strcspn(method, ", ") != length)
		length = 0;
	for (const char *c = allow; length > 0 && c != NULL; c = strchr(c, ' '))
	{
		if (*c == ' ')
			c++;
		if (strncmp(c, method, length) == 0 && (c[length] == ',' || c[length] == '\0'))
			return true;
	}
	return refuse_method(call, allow);
}

static bool
has_body(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

/* False, with a refusal, where the body is not there or is no object. */
static bool
require_body(MtScimCall *call)
{
	if (call->body != NULL && call->body->type == MT_JSON_OBJECT)
		return true;
	return mt_scim_refuse(call->answer, 400, "invalidSyntax", "The body must be a JSON object.");
}

static void
refuse_in_bulk(MtScimCall *call)
{
	mt_scim_refuse(call->answer, 400, "invalidSyntax", "The path of an operation must be that of a resource.");
}

static void
dispatch_resource(MtScimCall *call, MtScimResource resource, const char *method, const char *id)
{
	const ResourceRoutes *functions = &routes[resource];
	bool		search = id != NULL && strcmp(id, ".search") == 0;

	if (search && call->in_bulk)
	{
		refuse_in_bulk(call);
		return;
	}
	if (!method_allowed(call, method, id == NULL ? "GET, POST" : search ? "POST" : "GET, PUT, PATCH, DELETE") ||
		(has_body(method) && !require_body(call)))
		return;
	if (search)
		mt_scim_search(call, resource);
	else if (id == NULL && has_body(method))
		functions->create(call);
	else if (id == NULL)
		mt_scim_list(call, resource);
	else if (strcmp(method, "GET") == 0)
		functions->get(call, id);
	else if (strcmp(method, "PUT") == 0)
		functions->replace(call, id);
	else if (strcmp(method, "PATCH") == 0)
		functions->patch(call, id);
	else if (strcmp(method, "DELETE") == 0)
		functions->delete(call, id);
	else
		elog(ERROR, "a method that was not allowed");
}

static void
dispatch_other(MtScimCall *call, const Route *route, const char *method)
{
	const char *collection = route->collection;
	bool		alone = route->id == NULL;

	if (strcmp(collection, "ServiceProviderConfig") == 0 && alone)
	{
		if (method_allowed(call, method, "GET"))
			mt_scim_get_configuration(call);
	}
	else if (strcmp(collection, "ResourceTypes") == 0)
	{
		if (method_allowed(call, method, "GET"))
			mt_scim_get_resource_types(call, route->id);
	}
	else if (strcmp(collection, "Schemas") == 0)
	{
		if (method_allowed(call, method, "GET"))
			mt_scim_get_schemas(call, route->id);
	}
	else if (strcmp(collection, "Bulk") == 0 && alone)
	{
		if (method_allowed(call, method, "POST") && require_body(call))
		{
			mt_lock_people(call->tenant, ExclusiveLock);
			mt_scim_bulk(call);
		}
	}
	else if ((strcmp(collection, "Me") == 0 || strcmp(collection, ".search") == 0) && alone)
		mt_scim_refuse(call->answer, 501, NULL, "This service does not offer /%s.", collection);
	else
		mt_scim_refuse_absent(call->answer);
}

/*
 * Answers a request whose body is parsed. path is percent-encoded, with or without "/scim/v2" before it.
 */
void
mt_scim_dispatch(MtScimCall *call, const char *method, const char *path)
{
	Route		route = {0};

	if (!read_path(call, path, &route))
		return;
	for (int i = 0; i < (int) lengthof(mt_scim_resource_types); i++)
		if (strcmp(mt_scim_resource_types[i].endpoint, route.collection) == 0)
		{
			dispatch_resource(call, (MtScimResource) i, method, route.id);
			return;
		}
	if (call->in_bulk)
		refuse_in_bulk(call);
	else
		dispatch_other(call, &route, method);
}

/* True where a media type, as in Content-Type, is one that SCIM comes in. */
static bool
media_type_known(const char *type)
{
	static const char *const known[] = {"application/scim+json", "application/json"};

	while (*type == ' ')
		type++;
	for (int i = 0; i < (int) lengthof(known); i++)
	{
		size_t		length = strlen(known[i]);

		if (pg_strncasecmp(type, known[i], length) == 0 && (type[length] == '\0' || type[length] == ';' || type[length] == ' '))
			return true;
	}
	return false;
}

/* Checks and parses the body. False, with a refusal, where it cannot be taken in. */
static bool
read_body(MtScimCall *call, const char *media_type, const char *bytes, int length)
{
	MtFault		fault = {0};

	if (length > MT_SCIM_BODY_MAX)
		return mt_scim_refuse(call->answer, 413, NULL, "A body must not be larger than %d bytes.", MT_SCIM_BODY_MAX);
	if (media_type != NULL && !media_type_known(media_type))
		return mt_scim_refuse(call->answer, 415, NULL, "A body must be application/scim+json or application/json.");
	call->body = mt_json_parse(bytes, length, MT_SCIM_DEPTH_MAX, &fault);
	if (call->body == NULL)
	{
		int			end = (int) strlen(fault.message);

		/* The parser's words repeat what it has met. */
		if (mt_scim_may_hold_secret(bytes, length))
			return mt_scim_refuse(call->answer, 400, fault.holds_nul ? "invalidValue" : "invalidSyntax", "The body is no JSON that can be taken in.");
		/* The parser's own words end with a full stop, ours do not. */
		if (end > 0 && fault.message[end - 1] == '.')
			end--;
		return mt_scim_refuse(call->answer, 400, fault.holds_nul ? "invalidValue" : "invalidSyntax", "The body %.*s.", end, fault.message);
	}
	return true;
}

static Datum
make_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "SCIM requests are answered with a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static Datum
body_or_null(const MtScimAnswer *answer, bool *isnull)
{
	StringInfoData body;

	*isnull = answer->body == NULL;
	if (answer->body == NULL)
		return (Datum) 0;
	initStringInfo(&body);
	mt_json_write(&body, answer->body);
	return PointerGetDatum(cstring_to_text_with_len(body.data, body.len));
}

/* What of a request's headers is looked at; NULL: not given. */
typedef struct RequestHeaders
{
	const char *if_match;
	const char *if_none_match;
	const char *media_type;
} RequestHeaders;

static void
answer_request(MtScimCall *call, const char *method, const char *path, const char *query, const RequestHeaders *headers, bytea *body)
{
	const char *bytes = body == NULL ? "" : VARDATA_ANY(body);
	int			length = body == NULL ? 0 : (int) VARSIZE_ANY_EXHDR(body);
	MtScimParameters *parameters = palloc0(sizeof(MtScimParameters));
	bool		parsed = true;
	int64		work = 0;

	call->work = &work;
	call->if_match = headers->if_match;
	call->if_none_match = headers->if_none_match;
	call->parameters = parameters;
	if (query != NULL)
		parsed = mt_scim_read_query(query, parameters, call->answer);
	if (parsed && length > 0 && has_body(method))
		parsed = read_body(call, headers->media_type, bytes, length);
	if (parsed)
		mt_scim_dispatch(call, method, path);
	if (call->answer->status == 400 && length > 0 && has_body(method) && !mt_scim_keep_letter(call, method, path, bytes, length))
		mt_refuse_dead_letter(call->tenant);
}

static char *
argument_text(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * Answers the request that the first four arguments are. The context is the caller's again, within the service call.
 */
static void
serve_request(FunctionCallInfo fcinfo, MtServiceCall *service, MtScimCall *call, const RequestHeaders *headers, int body_argument)
{
	char	   *method;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tenant, method and path must not be null")));
	call->tenant = argument_text(fcinfo, 0);
	method = argument_text(fcinfo, 1);
	mt_service_enter(service, fcinfo, call->tenant, MT_ACCESS_WRITER, strcmp(method, "GET") != 0);
	/* A plan that is kept from when the tables were small would go through all of them later. */
	set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false);
	call->base_url = psprintf("%s" SCIM_PREFIX, mt_setting_public_url);
	answer_request(call, method, argument_text(fcinfo, 2), argument_text(fcinfo, 3), headers,
				   PG_ARGISNULL(body_argument) ? NULL : PG_GETARG_BYTEA_PP(body_argument));
	MemoryContextSwitchTo(service->context);
}

/*
 * mt_scim_request(tenant, method, path, query, headers jsonb, body) -> (status, headers jsonb, body): path and query as they stand in the request
 * line, query without "?" and NULL where there is none; names of headers in any case; body as bytea, or as text.
 */
Datum
mt_scim_request(PG_FUNCTION_ARGS)
{
	MtScimAnswer answer = {0};
	MtScimCall	call = {.answer = &answer};
	MtServiceCall service;
	const MtJson *given = PG_ARGISNULL(4) ? NULL : mt_json_from_jsonb(PG_GETARG_JSONB_P(4));
	RequestHeaders headers = {mt_json_get_text(given, "If-Match"), mt_json_get_text(given, "If-None-Match"), mt_json_get_text(given, "Content-Type")};
	MtJson	   *answered = mt_json_object();
	Datum		values[3];
	bool		nulls[3] = {false};
	Datum		row;

	serve_request(fcinfo, &service, &call, &headers, 5);
	if (answer.body != NULL)
		mt_json_set_text(answered, "Content-Type", "application/scim+json");
	mt_json_set_text(answered, "Location", answer.location);
	mt_json_set_text(answered, "ETag", answer.etag);
	mt_json_set_text(answered, "Allow", answer.allow);
	values[0] = Int32GetDatum(answer.status);
	values[1] = JsonbPGetDatum(mt_json_to_jsonb(answered));
	values[2] = body_or_null(&answer, &nulls[2]);
	row = make_row(fcinfo, values, nulls);
	mt_service_leave(&service);
	PG_RETURN_DATUM(row);
}

/*
 * mindtickle.scim_request(tenant, method, path, query, if_match, if_none_match, content_type, body) -> (status, location, etag, allow, body): the
 * same as the gateway has it, header by header.
 */
Datum
mt_scim_carry(PG_FUNCTION_ARGS)
{
	MtScimAnswer answer = {0};
	MtScimCall	call = {.answer = &answer};
	MtServiceCall service;
	RequestHeaders headers = {argument_text(fcinfo, 4), argument_text(fcinfo, 5), argument_text(fcinfo, 6)};
	Datum		values[5];
	bool		nulls[5] = {false};
	Datum		row;

	serve_request(fcinfo, &service, &call, &headers, 7);
	values[0] = Int32GetDatum(answer.status);
	values[1] = text_or_null(answer.location, &nulls[1]);
	values[2] = text_or_null(answer.etag, &nulls[2]);
	values[3] = text_or_null(answer.allow, &nulls[3]);
	values[4] = body_or_null(&answer, &nulls[4]);
	row = make_row(fcinfo, values, nulls);
	mt_service_leave(&service);
	PG_RETURN_DATUM(row);
}
