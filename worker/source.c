/*
 * source.c
 *		Where and with what a tenant's data is fetched: reading its settings and secrets, and making URLs and headers of them.
 *
 * Called by the pull of a tenant. The one place that brings a secret and a host together: the token and the api_key go to the base URL in use, the
 * reporting user to the reporting URL, the SCIM token to the SCIM URL, and nothing goes anywhere else. Sends nothing, logs nothing.
 */
#include "source.h"

#include <json-c/json.h>

#include "blot.h"
#include "common/base64.h"
#include "common/hashfn.h"

static double
number_setting(json_object *settings, const char *name, double absent)
{
	json_object *member;

	if (!json_object_object_get_ex(settings, name, &member) || member == NULL)
		return absent;
	return json_object_get_double(member);
}

/* NULL when absent, empty or not a string. */
static char *
text_setting(json_object *settings, const char *name)
{
	json_object *member;
	const char *text;

	if (!json_object_object_get_ex(settings, name, &member) || !json_object_is_type(member, json_type_string))
		return NULL;
	text = json_object_get_string(member);
	return text[0] == '\0' ? NULL : pstrdup(text);
}

/* The strings of a setting that is an array of them. */
static int
list_setting(json_object *settings, const char *name, char ***texts)
{
	json_object *list;
	int			count = 0;

	if (!json_object_object_get_ex(settings, name, &list) || !json_object_is_type(list, json_type_array))
		return 0;
	*texts = palloc(sizeof(char *) * Max(json_object_array_length(list), 1));
	for (size_t i = 0; i < json_object_array_length(list); i++)
	{
		json_object *entry = json_object_array_get_idx(list, i);

		if (json_object_is_type(entry, json_type_string))
			(*texts)[count++] = pstrdup(json_object_get_string(entry));
	}
	return count;
}

static void
map_setting(json_object *settings, const char *name, MtMap *map)
{
	json_object *object;
	struct json_object_iter entry;

	if (!json_object_object_get_ex(settings, name, &object) || !json_object_is_type(object, json_type_object))
		return;
	map->entries = palloc(sizeof(MtMapEntry) * (Size) Max(json_object_object_length(object), 1));
	json_object_object_foreachC(object, entry)
	{
		if (!json_object_is_type(entry.val, json_type_string))
			continue;
		map->entries[map->count].key = pstrdup(entry.key);
		map->entries[map->count++].value = pstrdup(json_object_get_string(entry.val));
	}
}

/*
 * May the text stand in a header?
 */
bool
mt_fit_for_header(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < ' ' || *text == 0x7f)
			return false;
	return true;
}

/* A usable base URL without a slash at its end, or NULL. */
static char *
check_url(const char *url, bool allow_http)
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

/* NULL, or what is wrong with the base URLs. The one that answered last time comes first. */
static const char *
read_base_urls(json_object *object, MtSource *source)
{
	char	   *site_url = text_setting(object, "site_url");

	source->base_url_count = list_setting(object, "base_urls", &source->base_urls);
	if (source->base_url_count == 0 && source->contract->base_urls != NULL)
	{
		while (source->contract->base_urls[source->base_url_count] != NULL)
			source->base_url_count++;
		source->base_urls = palloc(sizeof(char *) * (Size) source->base_url_count);
		memcpy(source->base_urls, source->contract->base_urls, sizeof(char *) * (Size) source->base_url_count);
	}
	if (source->base_url_count == 0)
		return "no base_urls are configured: set them with mt_configure_tenant";
	for (int i = 0; i < source->base_url_count; i++)
	{
		source->base_urls[i] = check_url(source->base_urls[i], source->allow_http);
		if (source->base_urls[i] == NULL)
			return "an entry of base_urls is not a plain https URL (http needs allow_http, and a loopback address)";
		if (site_url != NULL && strcmp(source->base_urls[i], site_url) == 0)
			source->base_url = i;
	}
	return NULL;
}

/* The bare host of what an administrator pastes. NULL when there is none. */
static char *
bare_host(const char *pasted)
{
	const char *scheme_end;
	char	   *host;
	size_t		length;

	if (pasted == NULL)
		return NULL;
	while (*pasted == ' ' || *pasted == '\t')
		pasted++;
	scheme_end = strstr(pasted, "://");
	if (scheme_end != NULL)
		pasted = scheme_end + 3;
	length = strcspn(pasted, "/?# \t\r\n");
	host = pnstrdup(pasted, length);
	for (char *c = host; *c != '\0'; c++)
		*c = (char) pg_ascii_tolower((unsigned char) *c);
	return length == 0 ? NULL : host;
}

/*
 * A hash of a text; of none, NULL, it is the seed.
 */
uint64
mt_hash_text(const char *text, uint64 seed)
{
	return text == NULL ? seed : hash_bytes_extended((const unsigned char *) text, (int) strlen(text), seed);
}

/* NULL, or what is wrong with the secrets. */
static const char *
read_secrets(json_object *credential, MtSource *source)
{
	const char *secrets[4];

	if (credential != NULL)
	{
		source->api_key = text_setting(credential, "api_key");
		source->secret_key = text_setting(credential, "secret_key");
		source->reporting_user = text_setting(credential, "reporting_user");
		source->reporting_password = text_setting(credential, "reporting_password");
		source->scim_token = text_setting(credential, "scim_token");
	}
	/* Without an api_key too the hashes are of something. */
	source->secret_hash = mt_hash_text(source->learning_site, mt_hash_text(source->secret_key, mt_hash_text(source->api_key, 1)));
	source->reporting_hash = mt_hash_text(source->reporting_password, mt_hash_text(source->reporting_user, 1));
	secrets[0] = source->api_key;
	secrets[1] = source->scim_token;
	secrets[2] = source->company_id;
	secrets[3] = source->learning_site;
	for (int i = 0; i < (int) lengthof(secrets); i++)
		if (secrets[i] != NULL && !mt_fit_for_header(secrets[i]))
			return "the api_key, the scim_token, the company_id or the learning_site holds a control character";
	if (source->api_key == NULL)
		return "no api_key is stored: set it with mt_set_credential";
	return NULL;
}

/* A URL beside the base URLs. NULL, or what is wrong with it. */
static const char *
read_other_url(json_object *object, const char *name, const char *absent, MtSource *source, char **url)
{
	char	   *given = text_setting(object, name);

	*url = given == NULL && absent == NULL ? NULL : check_url(given == NULL ? absent : given, source->allow_http);
	if (given != NULL && *url == NULL)
		return psprintf("%s is not a plain https URL (http needs allow_http, and a loopback address)", name);
	return NULL;
}

/* Fills in what the settings say. NULL, or why no pull is possible with them. */
static const char *
read_objects(MtSource *source, json_object *object, json_object *credential)
{
	char	   *contract = text_setting(object, "contract");
	json_object *allow_http;
	const char *problem;

	source->contract = mt_contract_find(contract == NULL ? "reference" : contract);
	source->allow_http = json_object_object_get_ex(object, "allow_http", &allow_http) && json_object_get_boolean(allow_http);
	source->company_id = text_setting(object, "company_id");
	source->learning_site = bare_host(text_setting(object, "learning_site"));
	source->per_second = number_setting(object, "requests_per_second", 3);
	source->per_minute = number_setting(object, "requests_per_minute", 60);
	source->per_hour = number_setting(object, "requests_per_hour", 0);
	source->group_count = list_setting(object, "groups", &source->groups);
	map_setting(object, "profile_map", &source->profile_map);
	map_setting(object, "role_map", &source->role_map);

	problem = read_secrets(credential, source);
	if (source->contract == NULL)
		return psprintf("the contract \"%s\" is not supported by this release: choose \"reference\" or \"live\" with mt_configure_tenant",
						contract);
	if (problem == NULL)
		problem = read_base_urls(object, source);
	if (problem == NULL)
		problem = read_other_url(object, "reporting_url", source->contract->reporting_url, source, &source->reporting_url);
	if (problem == NULL)
		problem = read_other_url(object, "scim_url", NULL, source, &source->scim_url);
	if (source->reporting_user == NULL || source->reporting_password == NULL)
		source->reporting_url = NULL;
	if (source->scim_token == NULL)
		source->scim_url = NULL;
	if (problem == NULL && source->contract->lacks != NULL)
		problem = source->contract->lacks(source);
	return problem;
}

/*
 * Reads a tenant's settings and its credential, both JSON texts, the latter NULL for none; it is overwritten. Everything is allocated in the
 * current context. NULL, or why no pull is possible with them, in words with the remedy; the secrets are there in both cases.
 */
const char *
mt_source_read(MtSource *source, const char *settings, char *credential)
{
	json_object *object = json_tokener_parse(settings);
	json_object *secrets = credential == NULL ? NULL : json_tokener_parse(credential);
	const char *problem = NULL;

	memset(source, 0, sizeof(*source));
	PG_TRY();
	{
		problem = read_objects(source, object, secrets);
	}
	PG_FINALLY();
	{
		json_object_put(object);
		json_object_put(secrets);
		if (credential != NULL)
			explicit_bzero(credential, strlen(credential));
	}
	PG_END_TRY();
	return problem;
}

static void
overwrite(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
}

/*
 * Overwrites the secrets.
 */
void
mt_source_forget(MtSource *source)
{
	overwrite(source->api_key);
	overwrite(source->secret_key);
	overwrite(source->reporting_user);
	overwrite(source->reporting_password);
	overwrite(source->scim_token);
}

static const char *
host_url(const MtSource *source, MtHost host)
{
	switch (host)
	{
		case MT_HOST_REPORTING:
			return source->reporting_url;
		case MT_HOST_SCIM:
			return source->scim_url;
		case MT_HOST_API:
			break;
	}
	return source->base_urls[source->base_url];
}

/*
 * The URL of a request, palloc'd. What the far side says of the host in a continuation counts for nothing: the host is always ours.
 */
char *
mt_source_url(const MtSource *source, MtHost host, const MtCall *call)
{
	const char *url = host_url(source, host);
	size_t		length = strlen(url);

	if (call->from_root)
	{
		const char *authority = strstr(url, "://") + 3;

		length = (size_t) (authority - url) + strcspn(authority, "/");
	}
	return psprintf("%.*s%s", (int) length, url, call->target.data);
}

/* A user and his password as HTTP has them (RFC 7617). */
static char *
basic_credentials(const char *user, const char *password)
{
	char	   *pair = psprintf("%s:%s", user, password);
	int			length = (int) strlen(pair);
	int			room = pg_b64_enc_len(length);
	char	   *encoded = palloc0((Size) room + 1);

	(void) pg_b64_encode(pair, length, encoded, room);
	overwrite(pair);
	return encoded;
}

static char *
basic_authorization(const char *user, const char *password)
{
	char	   *credentials = basic_credentials(user, password);
	char	   *header = psprintf("Authorization: Basic %s", credentials);

	overwrite(credentials);
	return header;
}

/*
 * The header line that authorizes a request to this host, palloc'd; the caller overwrites it. token is that of a sign-in, NULL where the contract
 * has none.
 */
char *
mt_source_authorization(const MtSource *source, MtHost host, const char *token)
{
	switch (host)
	{
		case MT_HOST_REPORTING:
			return basic_authorization(source->reporting_user, source->reporting_password);
		case MT_HOST_SCIM:
			return psprintf("Authorization: Bearer %s", source->scim_token);
		case MT_HOST_API:
			break;
	}
	return psprintf("Authorization: Bearer %s", token != NULL ? token : source->api_key);
}

/*
 * Blots out every secret of the source, and the token, in a text of which the first bytes will be shown.
 */
void
mt_source_blot(const MtSource *source, const char *token, char *text, int shown)
{
	bool		reports = source->reporting_user != NULL && source->reporting_password != NULL;
	char	   *credentials = reports ? basic_credentials(source->reporting_user, source->reporting_password) : NULL;
	const char *secrets[] = {
		credentials, token, source->api_key, source->secret_key, source->reporting_user, source->reporting_password, source->scim_token
	};

	mt_blot(secrets, (int) lengthof(secrets), text, shown);
	overwrite(credentials);
}

static size_t
length_of(const char *secret)
{
	return secret == NULL ? 0 : strlen(secret);
}

/*
 * Bytes that the longest secret can have in an answer.
 */
size_t
mt_source_longest_secret(const MtSource *source, const char *token)
{
	size_t		longest = pg_b64_enc_len((int) (length_of(source->reporting_user) + 1 + length_of(source->reporting_password)));

	longest = Max(longest, Max(length_of(source->api_key), length_of(source->secret_key)));
	return MT_BLOT_BYTES * Max(longest, Max(length_of(source->scim_token), length_of(token)));
}

/*
 * The value of a key, a JSON string; NULL when the map has none.
 */
const char *
mt_map_find(const MtMap *map, MtSpan key)
{
	for (int i = 0; i < map->count; i++)
		if (mt_json_text_equals(key, map->entries[i].key))
			return map->entries[i].value;
	return NULL;
}
