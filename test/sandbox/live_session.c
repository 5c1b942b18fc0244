/*
 * live_session.c
 *		Key pairs, tokens and cursors of the live contract.
 *
 * Called by the live contract to sign in, to know callers and to continue
 * listings, and by the control endpoints to take things back. Tokens and
 * cursors are void after a restart of the sandbox, key pairs are not. The
 * hashes keep honest clients apart; they are no cryptography.
 */
#include "live_session.h"

#include "rate_limit.h"
#include "tenant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A long token now and then: real ones may be JWTs with many claims. */
#define LONG_TOKEN		1500

static uint64_t key_secret;		/* the same in each run with that seed */
static uint64_t run_secret;		/* another in each run */

void
mt_session_prepare(uint64_t seed)
{
	key_secret = mt_hash_text(seed, "key pairs");
	run_secret = mt_hash_text(seed ^ (uint64_t) mt_monotonic_now(), "tokens");
}

/* Appends digits of a keyed hash until the text has that length. */
static void
fill_hex(char *text, size_t length, uint64_t secret, uint64_t number)
{
	size_t		at = strlen(text);

	for (; at < length; at += 16)
	{
		char		digits[17];
		size_t		rest = length - at < 16 ? length - at : 16;

		secret = mt_hash_text(secret ^ number, "hex");
		snprintf(digits, sizeof(digits), "%016" PRIx64, secret);
		memcpy(text + at, digits, rest);
	}
	text[length] = '\0';
}

void
mt_session_keys(const Tenant *tenant, int generation, char *api_key, char *secret_key)
{
	/* The first digits say whose it is. */
	snprintf(api_key, API_KEY_SIZE, "%08x%08x", (unsigned) tenant->number ^ 0x5eed0000U, (unsigned) generation);
	fill_hex(api_key, API_KEY_SIZE - 1, key_secret ^ tenant->data.key, (uint64_t) generation);
	secret_key[0] = '\0';
	fill_hex(secret_key, SECRET_KEY_SIZE - 1, ~key_secret ^ tenant->data.key, (uint64_t) generation);
}

Tenant *
mt_session_key_owner(const char *api_key, int *generation)
{
	unsigned	number;
	unsigned	of_generation;
	char		known[API_KEY_SIZE];
	char		secret[SECRET_KEY_SIZE];
	Tenant	   *tenant;

	if (sscanf(api_key, "%8x%8x", &number, &of_generation) != 2)
		return NULL;
	number ^= 0x5eed0000U;
	if (number >= (unsigned) mt_tenant_count())
		return NULL;
	tenant = mt_tenant_at((int) number);
	mt_session_keys(tenant, (int) of_generation, known, secret);
	*generation = (int) of_generation;
	return tenant->live && strcmp(known, api_key) == 0 ? tenant : NULL;
}

void
mt_session_reporting(const Tenant *tenant, Buffer *user, Buffer *password)
{
	char		digits[25] = "";

	fill_hex(digits, 24, key_secret ^ tenant->data.key, UINT64_MAX);
	mt_buffer_format(user, "report-%s", tenant->name);
	mt_buffer_format(password, "pw:%s", digits);
}

void
mt_session_scim(const Tenant *tenant, Buffer *token)
{
	char		digits[49] = "";

	fill_hex(digits, 48, key_secret ^ tenant->data.key, UINT64_MAX - 1);
	mt_buffer_format(token, "scim-%d-%s", tenant->number, digits);
}

Tenant *
mt_session_reporting_owner(const char *user_and_password)
{
	const char *colon = strchr(user_and_password, ':');
	char		name[64];
	Tenant	   *tenant;
	Buffer		user = {0};
	Buffer		right = {0};
	bool		fits;

	if (strncmp(user_and_password, "report-", 7) != 0 || colon == NULL ||
		(size_t) (colon - user_and_password - 7) >= sizeof(name))
		return NULL;
	memcpy(name, user_and_password + 7, (size_t) (colon - user_and_password - 7));
	name[colon - user_and_password - 7] = '\0';
	tenant = mt_tenant_by_name(name);
	if (tenant == NULL || !tenant->live || !tenant->reporting)
		return NULL;
	mt_session_reporting(tenant, &user, &right);
	fits = strlen(colon + 1) == right.length && memcmp(colon + 1, right.data, right.length) == 0;
	mt_buffer_free(&user);
	mt_buffer_free(&right);
	return fits ? tenant : NULL;
}

Tenant *
mt_session_scim_owner(const char *token)
{
	int			number;
	Tenant	   *tenant;
	Buffer		right = {0};
	bool		fits;

	if (sscanf(token, "scim-%d-", &number) != 1 || number < 0 || number >= mt_tenant_count())
		return NULL;
	tenant = mt_tenant_at(number);
	mt_session_scim(tenant, &right);
	fits = tenant->live && strlen(token) == right.length && memcmp(token, right.data, right.length) == 0;
	mt_buffer_free(&right);
	return fits ? tenant : NULL;
}

static uint64_t
seal(const Tenant *tenant, const char *text)
{
	return mt_hash_text(run_secret ^ tenant->data.key, text);
}

void
mt_session_issue(Tenant *tenant, Host host, Buffer *token)
{
	char		text[96];
	uint64_t	serial;
	int64_t		until = mt_monotonic_now() + tenant->token_seconds * INT64_C(1000000000);

	pthread_mutex_lock(&tenant->lock);
	serial = tenant->access.next_token++;
	tenant->access.newest_until = until;
	pthread_mutex_unlock(&tenant->lock);
	snprintf(text, sizeof(text), "%d-%d-%" PRIu64 "-%" PRId64, tenant->number, (int) host, serial, until);
	mt_buffer_format(token, "eyJhbGciOiJIUzI1NiJ9.%s.%016" PRIx64, text, seal(tenant, text));
	if (tenant->number % 5 == 4)
	{
		char		padding[LONG_TOKEN];

		memset(padding, 'x', sizeof(padding));
		mt_buffer_bytes(token, ".", 1);
		mt_buffer_bytes(token, padding, sizeof(padding));
	}
}

void
mt_session_token(const char *text, LiveToken *token)
{
	const char *first = strchr(text, '.');
	const char *second = first == NULL ? NULL : strchr(first + 1, '.');
	char		body[96];
	int			number;
	int			host;
	Tenant	   *tenant;

	token->tenant = NULL;
	if (second == NULL || (size_t) (second - first) > sizeof(body))
		return;
	memcpy(body, first + 1, (size_t) (second - first - 1));
	body[second - first - 1] = '\0';
	if (sscanf(body, "%d-%d-%" SCNu64 "-%" SCNd64, &number, &host, &token->serial, &token->until) != 4 ||
		number < 0 || number >= mt_tenant_count() || host < 0 || host >= HOSTS)
		return;
	tenant = mt_tenant_at(number);
	token->host = (Host) host;
	/* A long one must come whole. */
	if (strtoull(second + 1, NULL, 16) == seal(tenant, body) &&
		strlen(second) == (tenant->number % 5 == 4 ? 18 + LONG_TOKEN : 17))
		token->tenant = tenant;
}

TokenState
mt_session_check(const LiveToken *token, Host host)
{
	bool		revoked;

	pthread_mutex_lock(&token->tenant->lock);
	revoked = token->serial < token->tenant->access.first_token;
	pthread_mutex_unlock(&token->tenant->lock);
	if (token->host != host)
		return TOKEN_OF_OTHER_HOST;
	if (revoked)
		return TOKEN_REVOKED;
	return token->until <= mt_monotonic_now() ? TOKEN_EXPIRED : TOKEN_GOOD;
}

void
mt_session_use(const LiveToken *token)
{
	LiveAccess *access = &token->tenant->access;

	pthread_mutex_lock(&token->tenant->lock);
	if (access->first_unused <= token->serial)
		access->first_unused = token->serial + 1;
	pthread_mutex_unlock(&token->tenant->lock);
}

bool
mt_session_was_used(const LiveToken *token)
{
	bool		used;

	pthread_mutex_lock(&token->tenant->lock);
	used = token->serial < token->tenant->access.first_unused;
	pthread_mutex_unlock(&token->tenant->lock);
	return used;
}

bool
mt_session_is_needless(const Tenant *tenant)
{
	const LiveAccess *access = &tenant->access;

	return access->next_token > access->first_token && access->first_unused == access->next_token &&
		access->newest_until - mt_monotonic_now() > tenant->token_seconds * INT64_C(100000000);
}

void
mt_session_revoke(const LiveToken *token)
{
	LiveAccess *access = &token->tenant->access;

	pthread_mutex_lock(&token->tenant->lock);
	if (access->first_token <= token->serial)
		access->first_token = token->serial + 1;
	pthread_mutex_unlock(&token->tenant->lock);
}

/*
 * The cursor begins with characters that do not survive being decoded once too
 * often or not encoded again.
 */
#define CURSOR_START			"c+/="
#define CURSOR_START_ENCODED	"c%2B%2F%3D"

void
mt_session_cursor(Tenant *tenant, char kind, uint64_t subject, uint64_t position, Buffer *cursor)
{
	char		text[96];
	uint64_t	serial;

	pthread_mutex_lock(&tenant->lock);
	serial = tenant->access.next_cursor++;
	pthread_mutex_unlock(&tenant->lock);
	snprintf(text, sizeof(text), "%c-%" PRIu64 "-%" PRIu64 "-%" PRIu64, kind, subject, position, serial);
	mt_buffer_text(cursor, CURSOR_START_ENCODED);
	mt_buffer_format(cursor, "%s.%016" PRIx64, text, seal(tenant, text));
}

bool
mt_session_read_cursor(Tenant *tenant, char kind, const char *text, uint64_t *subject, uint64_t *position)
{
	const char *end = strchr(text, '.');
	char		body[96];
	char		found;
	uint64_t	serial;
	bool		known;

	if (strncmp(text, CURSOR_START, strlen(CURSOR_START)) != 0 || end == NULL)
		return false;
	text += strlen(CURSOR_START);
	if ((size_t) (end - text) >= sizeof(body) || strlen(end) != 17)
		return false;
	memcpy(body, text, (size_t) (end - text));
	body[end - text] = '\0';
	if (sscanf(body, "%c-%" SCNu64 "-%" SCNu64 "-%" SCNu64, &found, subject, position, &serial) != 4 ||
		found != kind || strtoull(end + 1, NULL, 16) != seal(tenant, body))
		return false;
	pthread_mutex_lock(&tenant->lock);
	known = serial >= tenant->access.first_cursor;
	pthread_mutex_unlock(&tenant->lock);
	return known;
}
