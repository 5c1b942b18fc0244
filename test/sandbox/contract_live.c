/*
 * contract_live.c
 *		MindTickle's API as the live service speaks it: who calls, and which file answers.
 *
 * Called by the HTTP front through mt_contract_live, on all hosts but the main
 * one. It knows paths, credentials and hosts, and answers sign-in. The
 * resources are in contract_live_*.c. It counts what a correct client never
 * does: calls at a wrong host, credentials of another tenant, stale tokens.
 */
#include "contract_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define API_HOSTS	(1U << HOST_GLOBAL | 1U << HOST_US)

static const char *const route_names[] = {
	"sign_in", "live_users", "live_user", "groups", "series_list", "series_modules", "entity", "learning_objects",
	"statements", "report", "scim", "live_unrouted", NULL
};

typedef struct Path
{
	const char *method;
	const char *pattern;		/* "*" stands for one part between slashes, a last "**" for the rest */
	unsigned	hosts;
	LiveCredential credential;
} Path;

/* In the order of LiveRoute. */
static const Path paths[] = {
	{"POST", "/services/data/auth_token", API_HOSTS, CREDENTIAL_NONE},
	{NULL, "/services/data/v4.0/mtobjects/Users", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/services/data/v2.0/mtobjects/User/*", API_HOSTS, CREDENTIAL_TOKEN},
	{"POST", "/services/data/v2.0/mtobjects/Groups", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/api/v2/series/list", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/api/v2/series/*/list", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/api/v2/jit/series/*/entity/*", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/api/v2/entity/*/learning_objects", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/services/data/v4.0/xapi/statements", API_HOSTS, CREDENTIAL_TOKEN},
	{"GET", "/Odata.svc/*", 1U << HOST_ADMIN, CREDENTIAL_REPORTING},
	{NULL, "/scim/**", 1U << HOST_ADMIN, CREDENTIAL_SCIM}
};

/* Does the path fit the pattern? */
static bool
fits_pattern(const char *path, const char *pattern)
{
	while (*pattern != '\0')
	{
		if (strcmp(pattern, "**") == 0)
			return *path != '\0';
		if (*pattern == '*')
		{
			size_t		length = strcspn(path, "/");

			if (length == 0)
				return false;
			path += length;
			pattern++;
		}
		else if (*pattern++ != *path++)
			return false;
	}
	return *path == '\0';
}

static int
find_route(const Call *call)
{
	int			route;

	/* Users of version 2.0 are the same. */
	if (strcmp(call->path, "/services/data/v2.0/mtobjects/Users") == 0 && (API_HOSTS >> call->host & 1) != 0)
		return LIVE_USERS;
	for (route = 0; route < LIVE_UNROUTED; route++)
		if ((paths[route].hosts >> call->host & 1) != 0 && fits_pattern(call->path, paths[route].pattern) &&
			(paths[route].method == NULL || strcmp(paths[route].method, call->method) == 0))
			break;
	return route;
}

/* The part of the path that the n-th "*" of its pattern stands for, decoded; empty when it is too long. */
const char *
mt_live_path_part(const Call *call, int part, char *text, size_t size)
{
	const char *pattern = paths[find_route(call)].pattern;
	const char *path = call->path;
	size_t		length;

	for (;; pattern++)
	{
		if (*pattern != '*')
		{
			path++;
			continue;
		}
		length = strcspn(path, "/");
		if (part-- == 0)
			break;
		path += length;
	}
	if (length >= size)
		length = 0;
	memcpy(text, path, length);
	text[length] = '\0';
	return text;
}

/* Adds one to a counter of the tenant. */
void
mt_live_count(Tenant *tenant, uint64_t *counter)
{
	pthread_mutex_lock(&tenant->lock);
	++*counter;
	pthread_mutex_unlock(&tenant->lock);
}

/* Makes the reply an error in one of the shapes this service has, and counts what no correct client asks. */
void
mt_live_refuse(Call *call, Tenant *tenant, unsigned status, const char *message)
{
	Buffer	   *body = &call->reply.body;

	if (status == MHD_HTTP_BAD_REQUEST && tenant != NULL)
		mt_live_count(tenant, &tenant->stats.bad_requests);
	call->reply.status = status;
	body->length = 0;
	if (tenant != NULL && tenant->number % 4 == 3)
	{
		call->reply.content_type = "text/plain";
		mt_buffer_text(body, message);
		return;
	}
	call->reply.content_type = "application/json";
	mt_buffer_text(body, "{\"error\":");
	mt_buffer_json(body, message);
	mt_buffer_bytes(body, "}", 1);
}

/* Makes the reply a 404, and counts the use of another tenant's id. */
void
mt_live_not_found(Call *call, Tenant *tenant, IdKind kind, const char *id)
{
	int			i;
	int			index;

	mt_live_refuse(call, tenant, MHD_HTTP_NOT_FOUND, "no such object");
	for (i = 0; i < mt_tenant_count(); i++)
	{
		const Tenant *other = mt_tenant_at(i);

		if (other == tenant || !mt_data_find(&other->data, kind, id, INT_MAX, &index))
			continue;
		mt_live_count(tenant, &tenant->stats.foreign_ids);
		break;
	}
}

/* Counts an address that another tenant gives to its people. */
void
mt_live_foreign_email(Tenant *tenant, const char *email)
{
	const char *at = strrchr(email, '@');
	char		name[64];
	size_t		length = at == NULL ? 0 : strcspn(at + 1, ".");
	const Tenant *other;

	if (length == 0 || length >= sizeof(name))
		return;
	memcpy(name, at + 1, length);
	name[length] = '\0';
	other = mt_tenant_by_name(name);
	if (other != NULL && other != tenant)
		mt_live_count(tenant, &tenant->stats.foreign_ids);
}

/*
 * Appends, as JSON text, where a listing goes on. The service names its global
 * host, whichever host served the page; and sometimes one that is nobody's:
 * only path and query count.
 */
void
mt_live_put_next(Buffer *buffer, const Call *call, const Tenant *tenant, uint64_t trap, const char *path_and_query)
{
	Buffer		url = {0};

	if (trap % 4 == 0)
		mt_host_url(&url, HOST_ELSEWHERE);
	else
		mt_host_url(&url, tenant->region == HOST_US || call->host != HOST_ADMIN ? HOST_GLOBAL : HOST_ADMIN);
	mt_buffer_bytes(&url, path_and_query, strlen(path_and_query) + 1);
	mt_buffer_json(buffer, url.data);
	mt_buffer_free(&url);
}

/* Decodes base64 of printable text. False when it is none or too long. */
static bool
decode_base64(const char *text, char *result, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned	bits = 0;
	int			held = 0;
	size_t		length = 0;

	for (; *text != '\0' && *text != '='; text++)
	{
		const char *digit = strchr(digits, *text);

		if (digit == NULL)
			return false;
		bits = bits << 6 | (unsigned) (digit - digits);
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		if (length + 1 >= size)
			return false;
		result[length++] = (char) (bits >> held & 0xff);
	}
	result[length] = '\0';
	return strlen(result) == length;
}

/* Whose credentials the call carries, whatever they are good for; NULL when nobody's. */
static Tenant *
find_caller(Call *call)
{
	const char *header = mt_call_header(call, "Authorization");
	char		pair[256];
	Tenant	   *tenant = NULL;

	call->credential = CREDENTIAL_NONE;
	if (header == NULL)
		return NULL;
	if (strncasecmp(header, "Basic ", 6) == 0)
	{
		call->credential = CREDENTIAL_REPORTING;
		return decode_base64(header + 6, pair, sizeof(pair)) ? mt_session_reporting_owner(pair) : NULL;
	}
	if (strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	call->credential = CREDENTIAL_SCIM;
	tenant = mt_session_scim_owner(header + 7);
	if (tenant != NULL)
		return tenant;
	call->credential = CREDENTIAL_TOKEN;
	mt_session_token(header + 7, &call->token);
	return call->token.tenant;
}

/* The host where nobody may come: what it answers looks well and is wrong. */
static void
answer_elsewhere(Call *call, Tenant *caller)
{
	mt_global_stats.elsewhere++;
	if (caller != NULL)
		mt_live_count(caller, &caller->stats.wrong_hosts);
	mt_buffer_text(&call->reply.body, "{\"token\":\"stolen\",\"expires_in\":3600,\"users\":[],\"statements\":[],\"hits\":[],"
				   "\"results\":[],\"totalHits\":0,\"totalSize\":0,\"done\":true}");
}

/* Whose sign-in it is: the key's owner, else the site's. */
static Tenant *
find_signer(Call *call)
{
	json_object *body = mt_call_json(call);
	const char *key = body == NULL ? NULL : mt_json_text(body, "api_key");
	const char *site = body == NULL ? NULL : mt_json_text(body, "ls_url");
	int			generation;
	Tenant	   *tenant = key == NULL ? NULL : mt_session_key_owner(key, &generation);

	if (tenant == NULL && site != NULL)
		tenant = mt_tenant_by_site(site);
	return tenant != NULL && tenant->live ? tenant : NULL;
}

static Tenant *
identify(Call *call, int route)
{
	Tenant	   *caller = find_caller(call);

	if (call->host == HOST_ELSEWHERE)
	{
		answer_elsewhere(call, caller);
		return NULL;
	}
	if (route == LIVE_SIGN_IN)
		caller = find_signer(call);
	if (caller != NULL)
		return caller;
	if (call->credential == CREDENTIAL_NONE)
		mt_global_stats.missing_keys++;
	else
		mt_global_stats.wrong_keys++;
	if (route == LIVE_SIGN_IN)
		mt_live_refuse(call, NULL, MHD_HTTP_NOT_FOUND, "Learning Site not found!");
	else
		mt_live_refuse(call, NULL, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
	if (call->host == HOST_ADMIN)
		call->reply.challenge = "Basic realm=\"reporting\"";
	return NULL;
}

/* Are all characters such as a URL may have? What should have been percent-encoded often is not. */
static bool
is_encoded(const char *url)
{
	return strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?@!$&'()*+,;=%") ==
		strlen(url);
}

/* An error of the web server in front of the API. */
static void
answer_unrouted(Call *call, Tenant *tenant)
{
	mt_live_count(tenant, &tenant->stats.bad_requests);
	call->reply.status = MHD_HTTP_BAD_REQUEST;
	call->reply.content_type = "text/html";
	mt_buffer_text(&call->reply.body, "<html><head><title>400 Bad Request</title></head>"
				   "<body><center><h1>400 Bad Request</h1></center></body></html>");
}

/* Refuses a token that is not good here; true when it is. */
static bool
check_token(Call *call, Tenant *tenant)
{
	TokenState	state = mt_session_check(&call->token, call->host);

	/* Taken back at this very moment, but not before it was of use: a new one gets through. */
	if (state == TOKEN_GOOD && call->fault == FAULT_REVOKED && mt_session_was_used(&call->token))
	{
		mt_session_revoke(&call->token);
		state = TOKEN_REVOKED;
	}
	else if (state == TOKEN_EXPIRED || state == TOKEN_REVOKED)
		mt_live_count(tenant, &tenant->stats.stale_tokens);
	switch (state)
	{
		case TOKEN_GOOD:
			mt_session_use(&call->token);
			return true;
		case TOKEN_OF_OTHER_HOST:
			mt_live_count(tenant, &tenant->stats.wrong_hosts);
			/* A continuation that was followed to where its address says. */
			if (mt_call_query(call, "cursor") != NULL)
				mt_live_refuse(call, tenant, MHD_HTTP_INTERNAL_SERVER_ERROR, "Internal Server Error");
			else
				mt_live_refuse(call, tenant, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
			return false;
		default:
			mt_live_refuse(call, tenant, tenant->number % 3 == 2 ? MHD_HTTP_FORBIDDEN : MHD_HTTP_UNAUTHORIZED,
						   "token expired");
			return false;
	}
}

/* Is the key pair, the site and the host what they should be? Else the reply is made. */
static bool
check_sign_in(Call *call, Tenant *tenant, json_object *body)
{
	const char *key = mt_json_text(body, "api_key");
	const char *secret = mt_json_text(body, "secret_key");
	const char *site = mt_json_text(body, "ls_url");
	char		api_key[API_KEY_SIZE];
	char		secret_key[SECRET_KEY_SIZE];
	const Tenant *at_site;
	Tenant	   *owner;
	int			generation;
	bool		good;
	int			refusal;

	if (site == NULL || key == NULL || secret == NULL)
	{
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, site == NULL ? "missing parameter ls_url" :
					   key == NULL ? "missing parameter api_key" : "missing parameter secret_key");
		return false;
	}
	at_site = mt_tenant_by_site(site);
	if (at_site == NULL || !at_site->live || at_site->region != call->host)
	{
		mt_live_refuse(call, tenant, MHD_HTTP_NOT_FOUND, "Learning Site not found!");
		return false;
	}
	owner = mt_session_key_owner(key, &generation);
	if (owner != NULL && owner != at_site)
		mt_live_count(owner, &owner->stats.foreign_credentials);
	pthread_mutex_lock(&tenant->lock);
	refusal = tenant->access.refusal;
	good = owner == at_site && generation >= tenant->access.first_generation && generation <= tenant->access.generation;
	pthread_mutex_unlock(&tenant->lock);
	if (good)
	{
		mt_session_keys(owner, generation, api_key, secret_key);
		good = strcmp(secret, secret_key) == 0;
	}
	if (good && refusal == 0)
		return true;
	mt_live_count(tenant, &tenant->stats.refused_sign_ins);
	mt_live_refuse(call, tenant, good ? (unsigned) refusal : MHD_HTTP_UNAUTHORIZED, "invalid credentials");
	return false;
}

static void
answer_sign_in(Call *call, Tenant *tenant)
{
	Buffer	   *body = &call->reply.body;
	json_object *request = mt_call_json(call);
	Buffer		token = {0};

	if (mt_call_header(call, "Authorization") != NULL)
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "unexpected header Authorization");
	else if (check_sign_in(call, tenant, request))
	{
		pthread_mutex_lock(&tenant->lock);
		tenant->stats.sign_ins++;
		if (mt_session_is_needless(tenant))
			tenant->stats.needless_sign_ins++;
		pthread_mutex_unlock(&tenant->lock);
		mt_session_issue(tenant, call->host, &token);
		mt_buffer_bytes(&token, "", 1);
		mt_buffer_text(body, tenant->number % 7 == 3 ? "{\"access_token\":" : "{\"token\":");
		mt_buffer_json(body, token.data);
		mt_buffer_format(body, tenant->number % 6 == 5 ? ",\"expires_in\":\"%d\"}" : ",\"expires_in\":%d}",
						 tenant->token_seconds);
		mt_buffer_free(&token);
	}
}

/* A listing can be led round in circles. */
static FaultSet
faults(const Call *call, int route)
{
	FaultSet	kinds = FAULTS_OF_ALL;

	(void) call;
	if (route != LIVE_SIGN_IN && route != LIVE_REPORT && route != LIVE_SCIM)
		kinds |= FAULT_BIT(FAULT_REVOKED);
	if (route == LIVE_USERS || route == LIVE_STATEMENTS || route == LIVE_REPORT)
		kinds |= FAULT_BIT(FAULT_LOOP) | FAULT_BIT(FAULT_ENDLESS) | FAULT_BIT(FAULT_STRANGERS);
	if (route == LIVE_REPORT)
		kinds |= FAULT_BIT(FAULT_WIDE) | FAULT_BIT(FAULT_HOLLOW);
	if (route == LIVE_USERS)
		kinds |= FAULT_BIT(FAULT_SKIP);
	if (route == LIVE_REPORT || route == LIVE_SIGN_IN)
		kinds |= FAULT_BIT(FAULT_ECHO);
	if (route == LIVE_SCIM)
		kinds |= FAULT_BIT(FAULT_NO_ID);
	return kinds;
}

static void
answer(Call *call, Tenant *tenant, int route)
{
	static void (*const answers[]) (Call *call, Tenant *tenant) = {
		answer_sign_in, mt_live_answer_users, mt_live_answer_user, mt_live_answer_groups, mt_live_answer_series_list,
		mt_live_answer_series_modules, mt_live_answer_entity, mt_live_answer_learning_objects,
		mt_live_answer_statements, mt_live_answer_report, mt_live_answer_scim, answer_unrouted
	};

	if (!is_encoded(call->raw_url))
		mt_live_refuse(call, tenant, MHD_HTTP_BAD_REQUEST, "Illegal character in the request line");
	else if (route == LIVE_SIGN_IN || route == LIVE_UNROUTED)
		answers[route] (call, tenant);
	else if (paths[route].credential != call->credential)
	{
		mt_live_count(tenant, &tenant->stats.wrong_hosts);
		mt_live_refuse(call, tenant, MHD_HTTP_UNAUTHORIZED, "Unauthorized");
	}
	else if (call->credential != CREDENTIAL_TOKEN || check_token(call, tenant))
		answers[route] (call, tenant);
}

const Contract mt_contract_live = {
	1U << HOST_GLOBAL | 1U << HOST_US | 1U << HOST_ADMIN | 1U << HOST_ELSEWHERE, "", route_names, find_route, identify,
	faults, answer
};
