/*
 * gateway_route.c
 *		Which addresses there are, and taking one apart.
 *
 * An address is used as it was sent: the path is split at its slashes first and unescaped piece by piece then, so that no escape can make a new
 * piece. A bad escape, a NUL, what is no UTF-8, and "." or ".." are refused by name. Called by gateway_request.c.
 */
#include "gateway.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#define SCIM_VERSIONS	"/scim/v"
#define SCIM_PREFIX		SCIM_VERSIONS "2"
#define SEGMENTS_MAX	8

static const MtRoute routes[] = {
	{"GET", "/healthz", NULL, MT_BODY_IGNORED, false, false, NULL, mt_route_health},
	{"GET", "/openapi.json", NULL, MT_BODY_IGNORED, false, false, NULL, mt_route_openapi},
	{"GET", "/metrics", "metrics", MT_BODY_IGNORED, false, false, NULL, mt_route_metrics},
	{"GET", "/api/tenants/{tenant}/readiness", "read", MT_BODY_IGNORED, false, true, NULL, mt_route_readiness},
	{"POST", "/api/tenants/{tenant}/readiness/aggregate", "read", MT_BODY_IGNORED, true, false, NULL, mt_route_aggregate},
	{"GET", "/api/tenants/{tenant}/users/{user}/progress", "read", MT_BODY_IGNORED, false, true, NULL, mt_route_progress},
	{"GET", "/api/tenants/{tenant}/users/{user}/sync-progress", "sync", MT_BODY_IGNORED, false, false, NULL, mt_route_sync_progress},
	{"POST", "/api/tenants/{tenant}/users/{user}/sync-progress", "sync", MT_BODY_IGNORED, false, false, NULL, mt_route_sync_progress},
	{"GET", "/api/tenants/{tenant}/pulls/{pull}", "sync", MT_BODY_IGNORED, false, false, NULL, mt_route_pull},
	{"GET", "/api/tenants/{tenant}/roster", "read", MT_BODY_IGNORED, false, false, NULL, mt_route_roster},
	{"GET", "/api/tenants/{tenant}/courses", "read", MT_BODY_IGNORED, false, false, NULL, mt_route_courses},
	{"POST", "/api/tenants/{tenant}/quiz-results", "quiz", MT_BODY_JSON, true, false, "quiz_results", mt_route_quiz_results},
	{"POST", "/api/tenants/{tenant}/scim-events", "scim", MT_BODY_JSON, true, false, "scim_events", mt_route_scim_events},
	{"GET", SCIM_PREFIX "/{rest}", "scim", MT_BODY_IGNORED, false, false, NULL, mt_route_scim},
	{"POST", SCIM_PREFIX "/{rest}", "scim", MT_BODY_ANY, true, false, NULL, mt_route_scim},
	{"PUT", SCIM_PREFIX "/{rest}", "scim", MT_BODY_ANY, true, false, NULL, mt_route_scim},
	{"PATCH", SCIM_PREFIX "/{rest}", "scim", MT_BODY_ANY, true, false, NULL, mt_route_scim},
	{"DELETE", SCIM_PREFIX "/{rest}", "scim", MT_BODY_IGNORED, true, false, NULL, mt_route_scim},
};

/* A path in pieces, as sent. */
typedef struct Path
{
	const char *segments[SEGMENTS_MAX];
	size_t		lengths[SEGMENTS_MAX];
	int			count;			/* more than fit: SEGMENTS_MAX + 1 */
} Path;

/*
 * The route of a number from 0 on; NULL behind the last one.
 */
const MtRoute *
mt_route_at(int index)
{
	return index < (int) lengthof(routes) ? &routes[index] : NULL;
}

/*
 * The number of a route.
 */
int
mt_route_index(const MtRoute *route)
{
	return (int) (route - routes);
}

/*
 * True for what is below /scim/v2, or below that of another version of the protocol, the URL being as sent.
 */
bool
mt_route_is_scim(const char *url)
{
	size_t		length = strlen(SCIM_VERSIONS);

	if (url == NULL || strncmp(url, SCIM_VERSIONS, length) != 0 || !isdigit((unsigned char) url[length]))
		return false;
	length += strspn(url + length, "0123456789.");
	return url[length] == '/' || url[length] == '?' || url[length] == '\0';
}

/*
 * True where an address, as sent, is that of a route which is open to everybody, whatever the method.
 */
bool
mt_route_is_open(const char *url)
{
	size_t		length = strcspn(url, "?");

	for (int i = 0; i < (int) lengthof(routes); i++)
		if (routes[i].scope == NULL && strlen(routes[i].pattern) == length && strncmp(routes[i].pattern, url, length) == 0)
			return true;
	return false;
}

/*
 * The scope that a token needs for the request's address; NULL: none in particular.
 */
const char *
mt_route_scope(const MtHttpRequest *request)
{
	if (request->route != NULL)
		return request->route->scope;
	return mt_route_is_scim(request->url) ? "scim" : NULL;
}

static void
split(const char *text, size_t length, Path *path)
{
	path->count = 0;
	/* What stands before the first slash, and behind the last one, is a piece as well. */
	for (size_t start = 1, end = 1; start <= length; start = end + 1)
	{
		for (end = start; end < length && text[end] != '/'; end++)
			;
		if (path->count < SEGMENTS_MAX)
		{
			path->segments[path->count] = text + start;
			path->lengths[path->count] = end - start;
		}
		path->count = Min(path->count + 1, SEGMENTS_MAX + 1);
	}
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Unescapes a piece of the address into the request's context. NULL, and answered, where it is malformed. */
static char *
unescape(MtHttpRequest *request, const char *text, size_t length)
{
	char	   *result = MemoryContextAlloc(request->context, length + 1);
	size_t		size = 0;

	for (size_t i = 0; i < length; i++)
	{
		int			value = (unsigned char) text[i];

		if (text[i] == '%')
		{
			int			high = i + 2 < length ? hex_value(text[i + 1]) : -1;
			int			low = i + 2 < length ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
			{
				mt_answer_error(request, 400, "bad_escape", "URL", "The URL has a %% that two hexadecimal digits do not follow.");
				return NULL;
			}
			value = high * 16 + low;
			i += 2;
		}
		if (value < ' ' || value == 127)
		{
			mt_answer_error(request, 400, "control_character", "URL", "The URL has a control character, such as %%00.");
			return NULL;
		}
		result[size++] = (char) value;
	}
	result[size] = '\0';
	if (!pg_verify_mbstr(PG_UTF8, result, (int) size, true))
	{
		mt_answer_error(request, 400, "invalid_utf8", "URL", "The URL is not valid UTF-8.");
		return NULL;
	}
	if (strcmp(result, ".") == 0 || strcmp(result, "..") == 0)
	{
		mt_answer_error(request, 400, "path_traversal", "URL", "The path of the URL has a piece \".\" or \"..\".");
		return NULL;
	}
	return result;
}

/* The next piece of a pattern; *pattern goes behind it. Length 0: there is none. */
static size_t
next_piece(const char **pattern, const char **piece)
{
	*piece = *pattern + 1;
	if (**pattern == '\0')
		return 0;
	*pattern = *piece + strcspn(*piece, "/");
	return (size_t) (*pattern - *piece);
}

/* Does the path fit the pattern? A last piece {rest} fits any number, also none. */
static bool
fits(const char *pattern, const Path *path)
{
	const char *piece;
	size_t		length;
	int			i;

	for (i = 0; (length = next_piece(&pattern, &piece)) > 0; i++)
	{
		if (strncmp(piece, "{rest}", length) == 0)
			return true;
		if (i >= path->count || i >= SEGMENTS_MAX || path->lengths[i] == 0)
			return false;
		if (piece[0] != '{' && (length != path->lengths[i] || strncmp(piece, path->segments[i], length) != 0))
			return false;
	}
	return i == path->count;
}

/* Takes what the path has in the places of {...}. False, and answered, where it is malformed. */
static bool
take_pieces(MtHttpRequest *request, const Path *path, const char *text, size_t length)
{
	const char *pattern = request->route->pattern;
	const char *piece;
	size_t		piece_length;

	/* All of it, also what no place is for. */
	for (int i = 0; i < Min(path->count, SEGMENTS_MAX); i++)
		if (unescape(request, path->segments[i], path->lengths[i]) == NULL)
			return false;
	for (int i = 0; (piece_length = next_piece(&pattern, &piece)) > 0; i++)
	{
		if (strncmp(piece, "{rest}", piece_length) == 0)
		{
			if (unescape(request, text, length) == NULL)
				return false;
			request->rest = MemoryContextStrdup(request->context, text + strlen(SCIM_PREFIX));
			request->rest[length - strlen(SCIM_PREFIX)] = '\0';
			return true;
		}
		if (piece[0] != '{')
			continue;
		if (strncmp(piece, "{tenant}", piece_length) == 0)
			request->tenant_asked = unescape(request, path->segments[i], path->lengths[i]);
		else
			request->argument = unescape(request, path->segments[i], path->lengths[i]);
	}
	return true;
}

/* The methods that the path has, for the header Allow. */
static char *
allowed_methods(MtHttpRequest *request, const Path *path)
{
	StringInfoData list;
	MemoryContext caller = MemoryContextSwitchTo(request->context);

	initStringInfo(&list);
	for (int i = 0; i < (int) lengthof(routes); i++)
		if (fits(routes[i].pattern, path))
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", routes[i].method);
	MemoryContextSwitchTo(caller);
	return list.data;
}

static bool
answer_no_route(MtHttpRequest *request, const Path *path)
{
	char	   *allowed = allowed_methods(request, path);

	if (mt_route_is_scim(request->url) && allowed[0] == '\0')
	{
		mt_answer_error(request, 400, MT_SCIM_OTHER_VERSION, "URL", "The version of SCIM that is spoken here is 2.0, below %s.", SCIM_PREFIX);
		return false;
	}
	if (allowed[0] == '\0')
	{
		mt_answer_error(request, 404, "not_found", "URL", "There is nothing at this address.");
		return false;
	}
	mt_answer_error(request, 405, "method_not_allowed", "method", "This address can be asked with %s only.", allowed);
	mt_answer_header(request, "Allow", allowed);
	return false;
}

/*
 * Finds the route of a request, and takes the address apart. False, and answered, where there is none or it is malformed.
 */
bool
mt_route_find(MtHttpRequest *request)
{
	size_t		length = strcspn(request->url, "?");
	Path		path;

	if (request->url[0] != '/')
	{
		mt_answer_error(request, 400, "bad_url", "URL", "The URL must begin with a slash.");
		return false;
	}
	if (strchr(request->url, ' ') != NULL)
	{
		mt_answer_error(request, 400, "bad_url", "URL", "The URL has a blank.");
		return false;
	}
	if (request->url[length] == '?')
	{
		request->query = request->url + length + 1;
		if (unescape(request, request->query, strlen(request->query)) == NULL)
			return false;
	}
	split(request->url, length, &path);
	for (int i = 0; i < (int) lengthof(routes); i++)
		if (strcmp(routes[i].method, request->method) == 0 && fits(routes[i].pattern, &path))
		{
			request->route = &routes[i];
			return take_pieces(request, &path, request->url, length);
		}
	/* What is malformed is told before what is absent. */
	for (int i = 0; i < Min(path.count, SEGMENTS_MAX); i++)
		if (unescape(request, path.segments[i], path.lengths[i]) == NULL)
			return false;
	return answer_no_route(request, &path);
}
