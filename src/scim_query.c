/*
 * scim_query.c
 *		Parts of a SCIM request outside the resource: the segments of its path, its query string, and the body of a search request
 *		(RFC 7644 section 3.4.3), which says the same as a query string.
 *
 * What is decoded must be UTF-8 without NUL. Parameters that are not SCIM's are ignored, those that are may be given once.
 *
 * Called by scim_request.c and scim_list.c. Never touches a table.
 */
#include "scim_query.h"

#include "mb/pg_wchar.h"

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

/*
 * Decodes percent-encoded text. NULL where an escape is none, stands for NUL, or the result is no UTF-8.
 */
char *
mt_scim_unescape(const char *text, int length, bool plus_is_space)
{
	char	   *decoded = palloc(length + 1);
	int			decoded_length = 0;

	for (int i = 0; i < length; i++)
	{
		char		c = text[i];

		if (c == '%')
		{
			bool		whole = i + 2 < length;
			int			high = whole ? hex_value(text[i + 1]) : -1;
			int			low = whole ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = (char) (high << 4 | low);
			i += 2;
		}
		else if (c == '+' && plus_is_space)
			c = ' ';
		if (c == '\0')
			return NULL;
		decoded[decoded_length++] = c;
	}
	decoded[decoded_length] = '\0';
	return pg_verify_mbstr(PG_UTF8, decoded, decoded_length, true) ? decoded : NULL;
}

/* The place in parameters where a parameter of this name goes; NULL where the name is none of SCIM's. */
static char **
place_of_parameter(MtScimParameters *parameters, const char *name)
{
	struct
	{
		const char *name;
		char	  **place;
	}			known[] = {
		{"filter", &parameters->filter},
		{"sortBy", &parameters->sort_by},
		{"sortOrder", &parameters->sort_order},
		{"startIndex", &parameters->start_index},
		{"count", &parameters->count}
	};

	for (int i = 0; i < (int) lengthof(known); i++)
		if (pg_strcasecmp(known[i].name, name) == 0)
			return known[i].place;
	return NULL;
}

static List **
place_of_list(MtScimParameters *parameters, const char *name)
{
	if (pg_strcasecmp(name, "attributes") == 0)
		return &parameters->attributes;
	if (pg_strcasecmp(name, "excludedAttributes") == 0)
		return &parameters->excluded_attributes;
	return NULL;
}

/* The names in a list that commas separate, without blanks around them. */
static List *
split_names(const char *text)
{
	List	   *names = NIL;

	for (;;)
	{
		const char *end = strchr(text, ',');
		int			length = end == NULL ? (int) strlen(text) : (int) (end - text);

		while (length > 0 && *text == ' ')
		{
			text++;
			length--;
		}
		while (length > 0 && text[length - 1] == ' ')
			length--;
		if (length > 0)
			names = lappend(names, pnstrdup(text, length));
		if (end == NULL)
			return names;
		text = end + 1;
	}
}

static bool
take_parameter(MtScimParameters *parameters, const char *name, char *value, MtScimAnswer *answer)
{
	char	  **place = place_of_parameter(parameters, name);
	List	  **list = place_of_list(parameters, name);

	if ((place != NULL && *place != NULL) || (list != NULL && *list != NIL))
		return mt_scim_refuse(answer, 400, "invalidValue", "%s is given twice.", name);
	if (place != NULL)
		*place = value;
	else if (list != NULL)
		*list = split_names(value);
	return true;
}

/*
 * Takes a query string apart, as it stands in the URL. False, with a refusal, where it cannot be decoded or gives something twice.
 */
bool
mt_scim_read_query(const char *query, MtScimParameters *parameters, MtScimAnswer *answer)
{
	while (*query != '\0')
	{
		int			length = (int) strcspn(query, "&");
		const char *equals = memchr(query, '=', length);
		int			name_length = equals == NULL ? length : (int) (equals - query);
		char	   *name = mt_scim_unescape(query, name_length, true);
		char	   *value = equals == NULL ? pstrdup("") : mt_scim_unescape(equals + 1, length - name_length - 1, true);

		if (name == NULL || value == NULL)
			return mt_scim_refuse(answer, 400, "invalidSyntax", "The query string is not percent-encoded UTF-8.");
		if (!take_parameter(parameters, name, value, answer))
			return false;
		query += length;
		if (*query == '&')
			query++;
	}
	return true;
}

/*
 * Reads a search request.
 */
bool
mt_scim_read_search(const MtJson *body, MtScimParameters *parameters, MtScimAnswer *answer)
{
	if (!mt_scim_require_schema(answer, body, MT_SCIM_SEARCH_URN, "invalidSyntax"))
		return false;
	for (int i = 0; i < body->count; i++)
	{
		const MtJson *value = body->items[i];
		char	  **place = place_of_parameter(parameters, body->keys[i]);
		List	  **list = place_of_list(parameters, body->keys[i]);
		bool		number = place == &parameters->start_index || place == &parameters->count;

		if ((place == NULL && list == NULL) || mt_json_is_empty(value))
			continue;
		if (place != NULL && value->type != (number ? MT_JSON_NUMBER : MT_JSON_STRING))
			return mt_scim_refuse(answer, 400, "invalidSyntax", "%s must be a %s.", body->keys[i], number ? "number" : "string");
		if (place != NULL)
		{
			*place = value->text;
			continue;
		}
		if (value->type != MT_JSON_ARRAY)
			return mt_scim_refuse(answer, 400, "invalidSyntax", "%s must be a list of names.", body->keys[i]);
		for (int j = 0; j < value->count; j++)
		{
			if (value->items[j]->type != MT_JSON_STRING)
				return mt_scim_refuse(answer, 400, "invalidSyntax", "%s must be a list of names.", body->keys[i]);
			*list = lappend(*list, value->items[j]->text);
		}
	}
	return true;
}
