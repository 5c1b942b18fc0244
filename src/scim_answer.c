/*
 * scim_answer.c
 *		Answers of the SCIM service provider: refusals (RFC 7644 section 3.12), locations and entity tags.
 *
 * A refusal is a result, not an error: the transaction commits, and with it the dead letter that keeps what was refused. So whoever refuses
 * has not written anything yet.
 *
 * Called by the other scim_*.c files. Never touches a table.
 */
#include "scim_answer.h"

#include <ctype.h>

#include "fmgr.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mt_scim_escaped);

/*
 * Makes the answer a refusal and returns false. type is the scimType, NULL where the status has none. The detail is a sentence for the client.
 */
bool
mt_scim_refuse(MtScimAnswer *answer, int status, const char *type, const char *detail,...)
{
	StringInfoData text;
	MtJson	   *schemas = mt_json_array();

	initStringInfo(&text);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, detail);
		needed = appendStringInfoVA(&text, detail, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	mt_json_append(schemas, mt_json_string(MT_SCIM_ERROR_URN));
	answer->status = status;
	answer->fault_type = type;
	answer->fault_detail = text.data;
	answer->location = NULL;
	answer->etag = NULL;
	answer->body = mt_json_object();
	mt_json_set(answer->body, "schemas", schemas);
	mt_json_set_text(answer->body, "status", psprintf("%d", status));
	mt_json_set_text(answer->body, "scimType", type);
	mt_json_set_text(answer->body, "detail", text.data);
	return false;
}

/*
 * Refuses a request for what does not exist, is deleted, or is another tenant's: the same words for each.
 */
bool
mt_scim_refuse_absent(MtScimAnswer *answer)
{
	return mt_scim_refuse(answer, 404, NULL, "There is no such resource.");
}

/*
 * Counts bytes that a filter in a path goes through. False, with a refusal, where the request asks for too much of that.
 */
bool
mt_scim_count_work(const MtScimCall *call, int64 bytes)
{
	*call->work += bytes;
	return *call->work <= MT_SCIM_WORK_MAX ||
		mt_scim_refuse(call->answer, 400, "tooMany", "The filters of the paths have too many values to go through: ask with fewer of them, or for members by value.");
}

/*
 * False, with a refusal of this type, where the schemas of a body do not name the URN.
 */
bool
mt_scim_require_schema(MtScimAnswer *answer, const MtJson *body, const char *urn, const char *type)
{
	const MtJson *schemas = mt_json_get(body, "schemas");

	if (schemas != NULL && schemas->type == MT_JSON_ARRAY)
		for (int i = 0; i < schemas->count; i++)
			if (schemas->items[i]->type == MT_JSON_STRING && pg_strcasecmp(schemas->items[i]->text, urn) == 0)
				return true;
	return mt_scim_refuse(answer, 400, type, "schemas must be a list that has \"%s\".", urn);
}

static void
append_escaped(StringInfo url, const char *id)
{
	for (const char *c = id; *c != '\0'; c++)
	{
		if (isalnum((unsigned char) *c) || strchr("-._~", *c) != NULL)
			appendStringInfoChar(url, *c);
		else
			appendStringInfo(url, "%%%02X", (unsigned char) *c);
	}
}

/*
 * The URL of a resource, palloc'd. The id stands in it percent-encoded.
 */
char *
mt_scim_location(const MtScimCall *call, const char *endpoint, const char *id)
{
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfo(&url, "%s/%s/", call->base_url, endpoint);
	append_escaped(&url, id);
	return url.data;
}

/*
 * mindtickle.scim_escaped(id): an id as it stands in URLs, for filters that ask for one.
 */
Datum
mt_scim_escaped(PG_FUNCTION_ARGS)
{
	StringInfoData url;

	initStringInfo(&url);
	append_escaped(&url, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(url.data, url.len));
}

/*
 * The entity tag of a row's version, palloc'd.
 */
char *
mt_scim_etag(int64 version)
{
	return psprintf("W/\"" INT64_FORMAT "\"", version);
}

/*
 * True where a list of entity tags, as in If-Match, has this version, compared weakly, or is "*".
 */
bool
mt_scim_etag_listed(const char *list, int64 version)
{
	char	   *opaque = psprintf("\"" INT64_FORMAT "\"", version);
	size_t		length = strlen(opaque);
	const char *c = list;

	while (*c != '\0')
	{
		const char *end;

		while (*c == ' ' || *c == '\t' || *c == ',')
			c++;
		if (*c == '*')
			return true;
		if (strncmp(c, "W/", 2) == 0)
			c += 2;
		if (*c != '"')
			return false;
		end = strchr(c + 1, '"');
		if (end == NULL)
			return false;
		if ((size_t) (end + 1 - c) == length && memcmp(c, opaque, length) == 0)
			return true;
		c = end + 1;
	}
	return false;
}

/*
 * False, with a refusal, where the request is for a version that the resource has no more. The row must be locked.
 */
bool
mt_scim_version_expected(MtScimCall *call, int64 version)
{
	if (call->if_match == NULL || mt_scim_etag_listed(call->if_match, version))
		return true;
	return mt_scim_refuse(call->answer, 412, NULL, "The resource has another version than If-Match names.");
}
