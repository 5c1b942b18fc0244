/*
 * answer.c
 *		Takes the JSON text of an answer apart: into members and elements that are pieces of the text itself.
 *
 * Called by the adapters (contract_*.c). json-c parses every value but plain strings; here is only the walk from one value of an envelope to the
 * next, and where in the text json-c says that it ended. A record is handed on as the bytes that came: numbers keep every digit, what is wrong inside
 * a record is left to the extension's own validation, which rejects that record alone, and a rejected one is kept as it was. A tree of the whole
 * answer would lose digits, and take up to thirty times the memory of the text. A walk has an end also where the text has none that is worth waiting
 * for, since nothing else is done meanwhile.
 */
#include "answer.h"

#include <json-c/json.h>

/* Deepest value, and longest in bytes but for an array, whose elements count one by one. */
#define DEPTH_MAX		512
#define VALUE_MAX		(1024 * 1024)
/* How deep objects are passed member by member, which may make them longer than one value. */
#define OBJECT_DEPTH_MAX	3
/* A walk ends behind so many elements; a member counts as so many, for its name may have to be parsed for each one that is looked for. */
#define ITEMS_MAX		300000
#define MEMBER_ITEMS	30
/* An escape takes at most so many bytes for one. */
#define ESCAPE_MAX		6
/* Longest number whose kind is asked for. */
#define NUMBER_MAX		300

/* The one tokener; NULL when there is no memory. */
static json_tokener *
fresh_tokener(void)
{
	static json_tokener *tokener = NULL;

	if (tokener == NULL)
	{
		tokener = json_tokener_new_ex(DEPTH_MAX);
		if (tokener != NULL)
			json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	}
	else
		json_tokener_reset(tokener);
	return tokener;
}

/* Parses the value that starts at at. Returns where it ends, or NULL; the caller puts *object. */
static const char *
parse_value(const char *at, const char *end, json_object **object)
{
	json_tokener *tokener = fresh_tokener();

	*object = NULL;
	if (tokener == NULL || at >= end)
		return NULL;
	*object = json_tokener_parse_ex(tokener, at, (int) Min(end - at, VALUE_MAX));
	if (json_tokener_get_error(tokener) != json_tokener_success)
		return NULL;
	return at + json_tokener_get_parse_end(tokener);
}

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

/*
 * Behind the string that starts at at, if it is one in which nothing is escaped: it ends at the next quotation mark then. NULL: json-c must tell.
 * Most keys and values are such strings, and with each call json-c makes a locale.
 */
static const char *
skip_plain_string(const char *at, const char *end)
{
	end = at + Min(end - at, VALUE_MAX);
	if (at >= end || *at != '"')
		return NULL;
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' || (unsigned char) *at < ' ')
			return NULL;
	return at < end ? at + 1 : NULL;
}

/* Behind the value that starts at at, or NULL. */
static const char *
skip_value(const char *at, const char *end)
{
	json_object *object;
	const char *behind = skip_plain_string(at, end);

	if (behind != NULL)
		return behind;
	behind = parse_value(at, end, &object);
	json_object_put(object);
	return behind;
}

/* Behind the array that starts at at, or NULL. It is passed element by element, so that it may be longer than one value. */
static const char *
skip_array(const char *at, const char *end, int *room)
{
	MtWalk		walk = {.at = at + 1,.end = end,.closing = ']',.room = *room};
	MtSpan		element;
	MtStep		step;

	while ((step = mt_json_element(&walk, &element)) == MT_STEP_ITEM)
		;
	*room = walk.room;
	return step == MT_STEP_END ? walk.at : NULL;
}

/* Behind the object that starts at at, or NULL, passed member by member. */
static const char *
skip_object(const char *at, const char *end, int depth, int *room)
{
	MtWalk		walk = {.at = at + 1,.end = end,.closing = '}',.depth = depth,.open_end = true,.room = *room};
	MtSpan		key;
	MtSpan		value;
	MtStep		step;

	while ((step = mt_json_member(&walk, &key, &value)) == MT_STEP_ITEM)
		;
	*room = walk.room;
	return step == MT_STEP_END ? walk.at : NULL;
}

/* Behind the value of a member that starts at at, or NULL. */
static const char *
skip_member_value(const char *at, const char *end, int depth, int *room)
{
	const char *behind;

	if (at < end && *at == '[')
		return skip_array(at, end, room);
	behind = skip_value(at, end);
	if (behind == NULL && depth < OBJECT_DEPTH_MAX && end - at > VALUE_MAX && *at == '{')
		behind = skip_object(at, end, depth + 1, room);
	return behind;
}

/*
 * The object that a text consists of. False when the text is none, as far as its ends tell: what is between them the walk will find.
 */
bool
mt_json_document(const char *text, size_t length, MtSpan *value)
{
	const char *end = text + length;
	const char *start = text;

	/* Some servers put a byte order mark before UTF-8. */
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	start = skip_space(start, end);
	while (end > start && skip_space(end - 1, end) == end)
		end--;
	value->start = start;
	value->length = end - start;
	return value->length >= 2 && *start == '{' && end[-1] == '}';
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
	walk->end = container.start + container.length;
	walk->closing = opening == '{' ? '}' : ']';
	walk->begun = false;
	walk->open_end = false;
	walk->depth = 0;
	walk->room = ITEMS_MAX;
	return true;
}

/* Steps over what separates two items, or behind the bracket that ends them. An item takes so much of the room. */
static MtStep
next_item(MtWalk *walk, int takes)
{
	walk->at = skip_space(walk->at, walk->end);
	if (walk->at < walk->end && *walk->at == walk->closing)
	{
		walk->at++;
		return MT_STEP_END;
	}
	if (walk->begun)
	{
		if (walk->at == walk->end || *walk->at != ',')
			return MT_STEP_MALFORMED;
		walk->at = skip_space(walk->at + 1, walk->end);
	}
	walk->begun = true;
	walk->room -= takes;
	return walk->room >= 0 ? MT_STEP_ITEM : MT_STEP_TOO_MANY;
}

/* Takes the value whose end is known. */
static bool
take_value(MtWalk *walk, const char *behind, MtSpan *value)
{
	if (behind == NULL)
		return false;
	value->start = walk->at;
	value->length = behind - walk->at;
	walk->at = behind;
	return true;
}

/*
 * The next member of an object; *key includes its quotes. The end is malformed where something follows it.
 */
MtStep
mt_json_member(MtWalk *walk, MtSpan *key, MtSpan *value)
{
	MtStep		step = next_item(walk, MEMBER_ITEMS);

	if (step == MT_STEP_END && walk->at != walk->end && !walk->open_end)
		return MT_STEP_MALFORMED;
	if (step != MT_STEP_ITEM)
		return step;
	if (!take_value(walk, skip_value(walk->at, walk->end), key) || !mt_json_is_string(*key))
		return MT_STEP_MALFORMED;
	walk->at = skip_space(walk->at, walk->end);
	if (walk->at == walk->end || *walk->at != ':')
		return MT_STEP_MALFORMED;
	walk->at = skip_space(walk->at + 1, walk->end);
	if (take_value(walk, skip_member_value(walk->at, walk->end, walk->depth, &walk->room), value))
		return MT_STEP_ITEM;
	return walk->room >= 0 ? MT_STEP_MALFORMED : MT_STEP_TOO_MANY;
}

/*
 * The next element of an array.
 */
MtStep
mt_json_element(MtWalk *walk, MtSpan *value)
{
	MtStep		step = next_item(walk, 1);

	if (step != MT_STEP_ITEM)
		return step;
	return take_value(walk, skip_value(walk->at, walk->end), value) ? MT_STEP_ITEM : MT_STEP_MALFORMED;
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

/* What kind of number a text is; json_type_null for none. */
static json_type
number_type(MtSpan text)
{
	char		number[NUMBER_MAX + 1];
	json_object *object;
	const char *behind;
	json_type	type;

	if (text.length == 0 || text.length > NUMBER_MAX || strchr("-0123456789", *text.start) == NULL)
		return json_type_null;
	memcpy(number, text.start, text.length);
	number[text.length] = '\0';
	/* With its end, or json-c would wait for more digits. */
	behind = parse_value(number, number + text.length + 1, &object);
	type = behind == number + text.length ? json_object_get_type(object) : json_type_null;
	json_object_put(object);
	return type;
}

/* True for a number that is written as an integer. */
bool
mt_json_is_integer(MtSpan value)
{
	return number_type(value) == json_type_int;
}

/* True for text that is a number by JSON's grammar. */
bool
mt_json_is_number(MtSpan value)
{
	json_type	type = number_type(value);

	return type == json_type_int || type == json_type_double;
}

/*
 * What a string says, palloc'd; NULL when it is no string, is not valid or holds a NUL. For short ones: ids, states, keys.
 */
char *
mt_json_text(MtSpan string)
{
	json_object *object;
	char	   *text = NULL;

	if (!mt_json_is_string(string))
		return NULL;
	if (memchr(string.start, '\\', string.length) == NULL)
		return pnstrdup(string.start + 1, string.length - 2);

	(void) parse_value(string.start, string.start + string.length, &object);
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
	return text;
}

/*
 * Does a string say exactly this?
 */
bool
mt_json_text_equals(MtSpan string, const char *text)
{
	const char *escape;
	size_t		length = strlen(text);
	char	   *decoded;
	bool		equal;

	if (!mt_json_is_string(string))
		return false;
	escape = memchr(string.start, '\\', string.length);
	if (escape == NULL)
		return string.length - 2 == length && memcmp(string.start + 1, text, length) == 0;
	/* Most that say something else can be told without json-c: by their length, and by what stands in front of the first escape. */
	if (string.length - 2 > ESCAPE_MAX * length || strncmp(string.start + 1, text, (size_t) (escape - string.start - 1)) != 0)
		return false;
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
