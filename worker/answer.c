/*
 * answer.c
 *		Takes the JSON text of an answer apart: into members and elements that are pieces of the text itself.
 *
 * Called by the adapters (contract_*.c). An answer is split only as far as the envelope and the members of its records; what is inside a
 * record is left to the extension's own validation. Hence one malformed, too deep or otherwise hostile record costs that record and not its
 * page, numbers keep every digit, and a record that is rejected is kept with the bytes that came. A tree of the whole answer would be lossy
 * in all three, and several times larger than the text.
 *
 * The walk does not recurse, so depth costs nothing. It checks just enough to find where a value ends: a text that was cut off is always
 * noticed, because its brackets are left open. Single strings with escapes are decoded by json-c.
 */
#include "answer.h"

#include <json-c/json.h>
#include <limits.h>

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/* Behind the closing quote of the string that starts at at, or NULL. */
static const char *
skip_string(const char *at, const char *end)
{
	for (at++; at < end; at++)
	{
		if (*at == '"')
			return at + 1;
		if (*at == '\\')
			at++;
	}
	return NULL;
}

/* Behind the bracket that closes the one at at, or NULL. Which kind closes which is checked for the outermost pair only. */
static const char *
skip_container(const char *at, const char *end)
{
	char		closing = *at == '{' ? '}' : ']';
	size_t		depth = 0;

	while (at < end)
	{
		switch (*at)
		{
			case '"':
				at = skip_string(at, end);
				if (at == NULL)
					return NULL;
				continue;
			case '{':
			case '[':
				depth++;
				break;
			case '}':
			case ']':
				if (--depth == 0)
					return *at == closing ? at + 1 : NULL;
				break;
			default:
				break;
		}
		at++;
	}
	return NULL;
}

/* Behind the value that starts at at, or NULL when there is none or it does not end. */
static const char *
skip_value(const char *at, const char *end)
{
	const char *start = at;

	if (at >= end)
		return NULL;
	if (*at == '"')
		return skip_string(at, end);
	if (*at == '{' || *at == '[')
		return skip_container(at, end);
	while (at < end && strchr(",:]}[{\" \t\r\n", *at) == NULL)
		at++;
	return at == start ? NULL : at;
}

/*
 * The one value that a text consists of. False when the text is empty, is cut off, or has something behind the value.
 */
bool
mt_json_document(const char *text, size_t length, MtSpan *value)
{
	const char *end = text + length;
	const char *start;
	const char *behind;

	/* Some servers put a byte order mark before UTF-8. */
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	start = skip_space(text, end);
	behind = skip_value(start, end);
	if (behind == NULL || skip_space(behind, end) != end)
		return false;
	value->start = start;
	value->length = behind - start;
	return true;
}

/*
 * Starts a walk through the members of an object (opening '{') or the elements of an array ('['). False when the value is not one.
 */
bool
mt_json_walk(MtSpan container, char opening, MtWalk *walk)
{
	if (container.length < 2 || *container.start != opening)
		return false;
	walk->at = container.start + 1;
	walk->end = container.start + container.length - 1;
	walk->begun = false;
	return true;
}

/* Steps over what separates two items. */
static MtStep
next_item(MtWalk *walk)
{
	walk->at = skip_space(walk->at, walk->end);
	if (walk->at == walk->end)
		return MT_STEP_END;
	if (walk->begun)
	{
		if (*walk->at != ',')
			return MT_STEP_MALFORMED;
		walk->at = skip_space(walk->at + 1, walk->end);
	}
	walk->begun = true;
	return MT_STEP_ITEM;
}

static bool
take_value(MtWalk *walk, MtSpan *value)
{
	const char *behind = skip_value(walk->at, walk->end);

	if (behind == NULL)
		return false;
	value->start = walk->at;
	value->length = behind - walk->at;
	walk->at = behind;
	return true;
}

/*
 * The next member of an object; *key includes its quotes.
 */
MtStep
mt_json_member(MtWalk *walk, MtSpan *key, MtSpan *value)
{
	MtStep		step = next_item(walk);

	if (step != MT_STEP_ITEM)
		return step;
	if (!take_value(walk, key) || !mt_json_is_string(*key))
		return MT_STEP_MALFORMED;
	walk->at = skip_space(walk->at, walk->end);
	if (walk->at == walk->end || *walk->at != ':')
		return MT_STEP_MALFORMED;
	walk->at = skip_space(walk->at + 1, walk->end);
	return take_value(walk, value) ? MT_STEP_ITEM : MT_STEP_MALFORMED;
}

/*
 * The next element of an array.
 */
MtStep
mt_json_element(MtWalk *walk, MtSpan *value)
{
	MtStep		step = next_item(walk);

	if (step != MT_STEP_ITEM)
		return step;
	return take_value(walk, value) ? MT_STEP_ITEM : MT_STEP_MALFORMED;
}

/* True for a string. */
bool
mt_json_is_string(MtSpan value)
{
	return value.length >= 2 && *value.start == '"';
}

/* True for null. */
bool
mt_json_is_null(MtSpan value)
{
	return value.length == 4 && memcmp(value.start, "null", 4) == 0;
}

static const char *
skip_digits(const char *at, const char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* Behind the integer part of a number, or NULL: a sign, then 0 or digits that do not start with it. */
static const char *
skip_integer(const char *at, const char *end)
{
	const char *digits;

	if (at < end && *at == '-')
		at++;
	digits = at;
	at = skip_digits(at, end);
	if (at == digits || (*digits == '0' && at != digits + 1))
		return NULL;
	return at;
}

/* True for a number that is written as an integer. */
bool
mt_json_is_integer(MtSpan value)
{
	return skip_integer(value.start, value.start + value.length) == value.start + value.length;
}

/* True for text that is a number by JSON's grammar. */
bool
mt_json_is_number(MtSpan value)
{
	const char *end = value.start + value.length;
	const char *at = skip_integer(value.start, end);
	const char *digits;

	if (at == NULL)
		return false;
	if (at < end && *at == '.')
	{
		digits = at + 1;
		at = skip_digits(digits, end);
		if (at == digits)
			return false;
	}
	if (at < end && (*at == 'e' || *at == 'E'))
	{
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		at = skip_digits(digits, end);
		if (at == digits)
			return false;
	}
	return at == end;
}

/*
 * What a string says, palloc'd; NULL when it is no string, is not valid or holds a NUL. For short ones: ids, states, keys.
 */
char *
mt_json_text(MtSpan string)
{
	json_tokener *tokener;
	json_object *object;
	char	   *text = NULL;

	if (!mt_json_is_string(string) || string.length > INT_MAX)
		return NULL;
	if (memchr(string.start, '\\', string.length) == NULL)
		return pnstrdup(string.start + 1, string.length - 2);

	tokener = json_tokener_new();
	if (tokener == NULL)
		return NULL;
	object = json_tokener_parse_ex(tokener, string.start, (int) string.length);
	if (object != NULL && json_object_is_type(object, json_type_string))
	{
		size_t		length = (size_t) json_object_get_string_len(object);
		const char *decoded = json_object_get_string(object);

		/* Without an error of ours, so that json-c's memory is freed in any case. */
		if (strlen(decoded) == length)
			text = MemoryContextAllocExtended(CurrentMemoryContext, length + 1, MCXT_ALLOC_NO_OOM);
		if (text != NULL)
			memcpy(text, decoded, length + 1);
	}
	json_object_put(object);
	json_tokener_free(tokener);
	return text;
}

/*
 * Does a string say exactly this?
 */
bool
mt_json_text_equals(MtSpan string, const char *text)
{
	char	   *decoded;
	bool		equal;

	if (!mt_json_is_string(string))
		return false;
	if (memchr(string.start, '\\', string.length) == NULL)
		return string.length - 2 == strlen(text) && memcmp(string.start + 1, text, string.length - 2) == 0;
	decoded = mt_json_text(string);
	equal = decoded != NULL && strcmp(decoded, text) == 0;
	if (decoded != NULL)
		pfree(decoded);
	return equal;
}

/*
 * A count: an integer from 0 on, as a number or as a string. -1 for anything else.
 */
int64
mt_json_count(MtSpan value)
{
	int64		count = 0;

	if (mt_json_is_string(value))
	{
		value.start++;
		value.length -= 2;
	}
	if (value.length == 0 || value.length > 15)
		return -1;
	for (size_t i = 0; i < value.length; i++)
	{
		if (value.start[i] < '0' || value.start[i] > '9')
			return -1;
		count = count * 10 + (value.start[i] - '0');
	}
	return count;
}
