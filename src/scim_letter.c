/*
 * scim_letter.c
 *		Keeps the bodies that SCIM requests were refused for, as dead letters.
 *
 * They are kept as they came but for passwords, which identity providers may send and nobody here wants: a string behind the name "password"
 * becomes asterisks, and where "password" stands elsewhere, as the path of a PATCH, the strings behind "value" and "value" lists do too. This looks
 * at bytes, as what was refused need not be JSON.
 *
 * Called by scim_request.c.
 */
#include "scim_request.h"

#include "dead_letter.h"

/* Where a word stands in quotes from a place on; NULL: nowhere. The case of letters does not count. */
static char *
find_quoted(char *from, const char *end, const char *word)
{
	size_t		length = strlen(word);

	for (char *c = from; c + length + 2 <= end; c++)
		if (*c == '"' && c[length + 1] == '"' && pg_strncasecmp(c + 1, word, length) == 0)
			return c;
	return NULL;
}

static char *
skip_blanks(char *from, const char *end)
{
	while (from < end && strchr(" \t\r\n", *from) != NULL && *from != '\0')
		from++;
	return from;
}

/* What follows a quoted word and a colon; NULL where no colon follows. */
static char *
value_behind(char *quoted, const char *end, const char *word)
{
	char	   *c = skip_blanks(quoted + strlen(word) + 2, end);

	return c < end && *c == ':' ? skip_blanks(c + 1, end) : NULL;
}

/* Overwrites the string that begins at a place, up to its end or that of the bytes. */
static void
overwrite_string(char *from, const char *end)
{
	if (from == NULL || from >= end || *from != '"')
		return;
	for (char *c = from + 1; c < end && *c != '"'; c++)
	{
		if (*c == '\\' && c + 1 < end)
			*c++ = '*';
		*c = '*';
	}
}

static void
hide_passwords(char *bytes, const char *end)
{
	bool		elsewhere = false;

	for (char *c = bytes; (c = find_quoted(c, end, "password")) != NULL; c++)
	{
		char	   *value = value_behind(c, end, "password");

		elsewhere |= value == NULL;
		overwrite_string(value, end);
	}
	for (char *c = bytes; elsewhere && (c = find_quoted(c, end, "value")) != NULL; c++)
		overwrite_string(value_behind(c, end, "value"), end);
}

/*
 * Keeps the body of a request that was refused, under the request's method and path, with the refusal as the reason. ERROR 53400 where there is no room.
 */
void
mt_scim_keep_letter(const MtScimCall *call, const char *method, const char *path, const char *bytes, int length)
{
	const MtScimAnswer *answer = call->answer;
	MtFault		fault = {0};
	char	   *copy = palloc(length + 1);

	memcpy(copy, bytes, length);
	hide_passwords(copy, copy + length);
	fault.field = psprintf("%s:", answer->fault_type == NULL ? "refused" : answer->fault_type);
	fault.message = answer->fault_detail;
	if (!mt_keep_dead_letter(call->tenant, "scim", psprintf("%s %s", method, path), &fault, copy, length))
		mt_refuse_dead_letter(call->tenant);
}
