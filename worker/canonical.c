/*
 * canonical.c
 *		Writing requests and records: what the adapters have in common.
 *
 * Called by contract_*.c. A record in our data model is built as JSON text, its values being pieces of the answer as they came, or brought to the
 * form that the extension expects; whether a value is acceptable is decided where the record is stored.
 */
#include "canonical.h"

/*
 * Appends a piece of text as it is.
 */
void
mt_append_span(StringInfo text, MtSpan span)
{
	appendBinaryStringInfo(text, span.start, (int) span.length);
}

/*
 * Begins the next member of an object that was begun with "{": a comma where it is not the first, its name, a colon. The name needs no escape.
 */
void
mt_append_name(StringInfo object, const char *name)
{
	appendStringInfo(object, "%s\"%s\":", object->data[object->len - 1] == '{' ? "" : ",", name);
}

/*
 * Appends an identifier: an integer becomes the text of its digits.
 */
void
mt_append_identifier(StringInfo object, MtSpan value)
{
	bool		quoted = mt_json_is_integer(value);

	if (quoted)
		appendStringInfoChar(object, '"');
	mt_append_span(object, value);
	if (quoted)
		appendStringInfoChar(object, '"');
}

/*
 * Appends a number: text that is one becomes one.
 */
void
mt_append_number(StringInfo object, MtSpan value)
{
	MtSpan		inner = {value.start + 1, value.length - 2};

	mt_append_span(object, mt_json_is_string(value) && mt_json_is_number(inner) ? inner : value);
}

/*
 * Appends text to a path or query, percent-encoded. Of the unreserved characters of RFC 3986 section 2.3 the dot is encoded too, for ".." in a path
 * would be another path.
 */
void
mt_append_percent_encoded(StringInfo url, const char *text)
{
	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-_~", *c) != NULL)
			appendStringInfoChar(url, (char) *c);
		else
			appendStringInfo(url, "%%%02X", *c);
	}
}
