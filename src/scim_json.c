/*
 * scim_json.c
 *		JSON as a tree that can be changed: what a SCIM request brings, and what is answered.
 *
 * PostgreSQL's parser reads it (pg_parse_json); here are only the actions that build the tree. jsonb would silently keep the last of two members
 * of one name, and cannot be changed in place. Names of members match without regard to case, as SCIM's do, so two that differ in case alone
 * are one name twice and a fault.
 *
 * Called by the other scim_*.c files. Never touches a table.
 */
#include "scim_json.h"

#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

/* The tree while it is parsed. */
typedef struct Builder
{
	MtJson	   *root;
	MtJson	  **open;			/* the containers around the place that the parser is at, the innermost last */
	int			open_count;
	char	   *key;			/* of the member that comes next */
	const char *doubled;		/* a member that an object has twice */
} Builder;

static MtJson *
new_value(MtJsonType type)
{
	MtJson	   *value = palloc0(sizeof(MtJson));

	value->type = type;
	return value;
}

MtJson *
mt_json_null(void)
{
	return new_value(MT_JSON_NULL);
}

MtJson *
mt_json_boolean(bool boolean)
{
	MtJson	   *value = new_value(MT_JSON_BOOLEAN);

	value->boolean = boolean;
	return value;
}

MtJson *
mt_json_number(int64 number)
{
	MtJson	   *value = new_value(MT_JSON_NUMBER);

	value->text = psprintf(INT64_FORMAT, number);
	return value;
}

/*
 * A string; the text is copied.
 */
MtJson *
mt_json_string(const char *text)
{
	MtJson	   *value = new_value(MT_JSON_STRING);

	value->text = pstrdup(text);
	return value;
}

MtJson *
mt_json_array(void)
{
	return new_value(MT_JSON_ARRAY);
}

MtJson *
mt_json_object(void)
{
	return new_value(MT_JSON_OBJECT);
}

/* Adds at the end of an array (key NULL) or object. */
static void
add_item(MtJson *container, char *key, MtJson *value)
{
	if (container->count == container->allocated)
	{
		container->allocated = Max(8, container->allocated * 2);
		container->items = container->items == NULL ? palloc(sizeof(MtJson *) * container->allocated)
			: repalloc_huge(container->items, sizeof(MtJson *) * container->allocated);
		if (container->type == MT_JSON_OBJECT)
			container->keys = container->keys == NULL ? palloc(sizeof(char *) * container->allocated)
				: repalloc_huge(container->keys, sizeof(char *) * container->allocated);
	}
	if (container->type == MT_JSON_OBJECT)
		container->keys[container->count] = key;
	container->items[container->count++] = value;
}

void
mt_json_append(MtJson *array, MtJson *value)
{
	add_item(array, NULL, value);
}

static void
place_value(Builder *builder, MtJson *value)
{
	if (builder->open_count == 0)
		builder->root = value;
	else
		add_item(builder->open[builder->open_count - 1], builder->key, value);
	builder->key = NULL;
}

static void
open_container(Builder *builder, MtJsonType type)
{
	MtJson	   *container = new_value(type);

	place_value(builder, container);
	builder->open[builder->open_count++] = container;
}

static int
compare_keys(const void *left, const void *right)
{
	return pg_strcasecmp(*(char *const *) left, *(char *const *) right);
}

/* Notes a key that the object has twice. */
static void
look_for_doubled_key(Builder *builder, const MtJson *object)
{
	char	  **sorted;

	if (object->count < 2 || builder->doubled != NULL)
		return;
	sorted = palloc(sizeof(char *) * object->count);
	memcpy(sorted, object->keys, sizeof(char *) * object->count);
	qsort(sorted, object->count, sizeof(char *), compare_keys);
	for (int i = 1; i < object->count; i++)
		if (compare_keys(&sorted[i - 1], &sorted[i]) == 0)
			builder->doubled = sorted[i];
	pfree(sorted);
}

#if PG_VERSION_NUM >= 160000
#define ACTION				static JsonParseErrorType
#define ACTION_DONE			return JSON_SUCCESS
#else
#define ACTION				static void
#define ACTION_DONE			return
#endif

ACTION
begin_object(void *state)
{
	open_container(state, MT_JSON_OBJECT);
	ACTION_DONE;
}

ACTION
begin_array(void *state)
{
	open_container(state, MT_JSON_ARRAY);
	ACTION_DONE;
}

ACTION
end_object(void *state)
{
	Builder    *builder = state;

	look_for_doubled_key(builder, builder->open[--builder->open_count]);
	ACTION_DONE;
}

ACTION
end_array(void *state)
{
	((Builder *) state)->open_count--;
	ACTION_DONE;
}

ACTION
begin_member(void *state, char *key, bool isnull)
{
	((Builder *) state)->key = key;
	ACTION_DONE;
}

ACTION
take_scalar(void *state, char *token, JsonTokenType type)
{
	MtJson	   *value;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			value = new_value(MT_JSON_STRING);
			value->text = token;
			break;
		case JSON_TOKEN_NUMBER:
			value = new_value(MT_JSON_NUMBER);
			value->text = token;
			break;
		case JSON_TOKEN_TRUE:
		case JSON_TOKEN_FALSE:
			value = mt_json_boolean(type == JSON_TOKEN_TRUE);
			break;
		default:
			value = mt_json_null();
	}
	place_value(state, value);
	ACTION_DONE;
}

/*
 * Parses bytes from outside. NULL, with a fault and without an error, where they are no JSON that can be taken in: no UTF-8, nested deeper than
 * depth_max, a name twice in one object, U+0000.
 */
MtJson *
mt_json_parse(const char *bytes, int length, int depth_max, MtFault *fault)
{
	MtFields	document = {.index = -1,.fault = fault};
	Builder		builder = {0};
	JsonSemAction actions = {
		.semstate = &builder,
		.object_start = begin_object,
		.object_end = end_object,
		.array_start = begin_array,
		.array_end = end_array,
		.object_field_start = begin_member,
		.scalar = take_scalar
	};
	char	   *checked = mt_json_check_bytes(bytes, length, depth_max, fault);

	if (checked == NULL)
		return NULL;
	builder.open = palloc(sizeof(MtJson *) * (depth_max + 1));
	if (pg_parse_json(mt_json_lexer(checked, length), &actions) != JSON_SUCCESS)
		elog(ERROR, "JSON that was valid is not");
	if (builder.doubled != NULL)
	{
		mt_fault(&document, NULL, "must not have \"%s\" twice in one object",
				 pnstrdup(builder.doubled, pg_mbcliplen(builder.doubled, (int) strlen(builder.doubled), 100)));
		return NULL;
	}
	return builder.root;
}

static MtJson *
from_jsonb_value(const JsonbValue *source)
{
	MtJson	   *value;

	switch (source->type)
	{
		case jbvString:
			value = new_value(MT_JSON_STRING);
			value->text = pnstrdup(source->val.string.val, source->val.string.len);
			return value;
		case jbvNumeric:
			value = new_value(MT_JSON_NUMBER);
			value->text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(source->val.numeric)));
			return value;
		case jbvBool:
			return mt_json_boolean(source->val.boolean);
		default:
			return mt_json_null();
	}
}

/*
 * The tree of a stored document.
 */
MtJson *
mt_json_from_jsonb(const Jsonb *document)
{
	JsonbIterator *iterator = JsonbIteratorInit((JsonbContainer *) &document->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	MtJson	   *open[MT_JSON_DEPTH_MAX + 2];
	int			open_count = 0;
	char	   *key = NULL;
	MtJson	   *root = NULL;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		MtJson	   *item = NULL;

		switch (token)
		{
			case WJB_KEY:
				key = pnstrdup(value.val.string.val, value.val.string.len);
				break;
			case WJB_BEGIN_OBJECT:
				item = mt_json_object();
				break;
			case WJB_BEGIN_ARRAY:
				if (!value.val.array.rawScalar)
					item = mt_json_array();
				break;
			case WJB_END_OBJECT:
				open_count--;
				break;
			case WJB_END_ARRAY:
				open_count = Max(open_count - 1, 0);
				break;
			default:
				item = from_jsonb_value(&value);
		}
		if (item == NULL)
			continue;
		if (open_count == 0)
			root = item;
		else
			add_item(open[open_count - 1], key, item);
		if (item->type == MT_JSON_OBJECT || item->type == MT_JSON_ARRAY)
		{
			if (open_count == lengthof(open))
				elog(ERROR, "a stored document is nested too deep");
			open[open_count++] = item;
		}
	}
	return root;
}

static void
push_value(JsonbParseState **state, JsonbIteratorToken place, const MtJson *value, JsonbValue **result)
{
	JsonbValue	scalar;
	JsonbValue	key;
	bool		object = value->type == MT_JSON_OBJECT;

	switch (value->type)
	{
		case MT_JSON_NULL:
			scalar.type = jbvNull;
			break;
		case MT_JSON_BOOLEAN:
			scalar.type = jbvBool;
			scalar.val.boolean = value->boolean;
			break;
		case MT_JSON_NUMBER:
			scalar.type = jbvNumeric;
			scalar.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(value->text),
																	 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			break;
		case MT_JSON_STRING:
			scalar.type = jbvString;
			scalar.val.string.val = value->text;
			scalar.val.string.len = (int) strlen(value->text);
			break;
		case MT_JSON_ARRAY:
		case MT_JSON_OBJECT:
			(void) pushJsonbValue(state, object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
			for (int i = 0; i < value->count; i++)
			{
				if (object)
				{
					key.type = jbvString;
					key.val.string.val = value->keys[i];
					key.val.string.len = (int) strlen(value->keys[i]);
					(void) pushJsonbValue(state, WJB_KEY, &key);
				}
				push_value(state, object ? WJB_VALUE : WJB_ELEM, value->items[i], result);
			}
			*result = pushJsonbValue(state, object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
			return;
	}
	(void) pushJsonbValue(state, place, &scalar);
}

/*
 * An array or object as a document to be stored.
 */
Jsonb *
mt_json_to_jsonb(const MtJson *value)
{
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;

	push_value(&state, WJB_ELEM, value, &result);
	return JsonbValueToJsonb(result);
}

/*
 * Appends a value as JSON text.
 */
void
mt_json_write(StringInfo out, const MtJson *value)
{
	bool		object = value->type == MT_JSON_OBJECT;

	switch (value->type)
	{
		case MT_JSON_NULL:
			appendStringInfoString(out, "null");
			break;
		case MT_JSON_BOOLEAN:
			appendStringInfoString(out, value->boolean ? "true" : "false");
			break;
		case MT_JSON_NUMBER:
			appendStringInfoString(out, value->text);
			break;
		case MT_JSON_STRING:
			escape_json(out, value->text);
			break;
		case MT_JSON_ARRAY:
		case MT_JSON_OBJECT:
			appendStringInfoChar(out, object ? '{' : '[');
			for (int i = 0; i < value->count; i++)
			{
				if (i > 0)
					appendStringInfoChar(out, ',');
				if (object)
				{
					escape_json(out, value->keys[i]);
					appendStringInfoChar(out, ':');
				}
				mt_json_write(out, value->items[i]);
			}
			appendStringInfoChar(out, object ? '}' : ']');
			break;
	}
}

/*
 * How many bytes a value is as JSON text.
 */
int
mt_json_length(const MtJson *value)
{
	StringInfoData text;

	initStringInfo(&text);
	mt_json_write(&text, value);
	pfree(text.data);
	return text.len;
}

MtJson *
mt_json_copy(const MtJson *value)
{
	MtJson	   *copy = new_value(value->type);

	copy->boolean = value->boolean;
	if (value->text != NULL)
		copy->text = pstrdup(value->text);
	for (int i = 0; i < value->count; i++)
		add_item(copy, value->keys == NULL ? NULL : pstrdup(value->keys[i]), mt_json_copy(value->items[i]));
	return copy;
}

/* Where an object has a key; -1: it has not, or the value is no object. */
static int
place_of_key(const MtJson *object, const char *key)
{
	if (object != NULL && object->type == MT_JSON_OBJECT)
		for (int i = 0; i < object->count; i++)
			if (pg_strcasecmp(object->keys[i], key) == 0)
				return i;
	return -1;
}

/*
 * The value of a member, NULL where there is none. Also for what is NULL or no object.
 */
MtJson *
mt_json_get(const MtJson *object, const char *key)
{
	int			place = place_of_key(object, key);

	return place < 0 ? NULL : object->items[place];
}

/*
 * The text of a member that is a string, NULL where there is none.
 */
const char *
mt_json_get_text(const MtJson *object, const char *key)
{
	const MtJson *value = mt_json_get(object, key);

	return value != NULL && value->type == MT_JSON_STRING ? value->text : NULL;
}

/*
 * Sets a member, in the place of the one of this name; the value is not copied.
 */
void
mt_json_set(MtJson *object, const char *key, MtJson *value)
{
	int			place = place_of_key(object, key);

	if (place < 0)
		add_item(object, pstrdup(key), value);
	else
		object->items[place] = value;
}

/*
 * Adds a member at the end; that the object has none of this name is for the caller to know. Many are added so without a search for each.
 */
void
mt_json_add(MtJson *object, const char *key, MtJson *value)
{
	add_item(object, pstrdup(key), value);
}

/*
 * Sets a member to a string; nothing is set where the text is NULL.
 */
void
mt_json_set_text(MtJson *object, const char *key, const char *text)
{
	if (text != NULL)
		mt_json_set(object, key, mt_json_string(text));
}

/*
 * Removes the item at a place of an array or object; the order of the others stays.
 */
void
mt_json_remove_item(MtJson *container, int place)
{
	int			behind = container->count - place - 1;

	memmove(&container->items[place], &container->items[place + 1], sizeof(MtJson *) * behind);
	if (container->keys != NULL)
		memmove(&container->keys[place], &container->keys[place + 1], sizeof(char *) * behind);
	container->count--;
}

void
mt_json_remove(MtJson *object, const char *key)
{
	int			place = place_of_key(object, key);

	if (place >= 0)
		mt_json_remove_item(object, place);
}

/*
 * True for what SCIM takes for no value: nothing, null, and an empty array or object.
 */
bool
mt_json_is_empty(const MtJson *value)
{
	return value == NULL || value->type == MT_JSON_NULL ||
		((value->type == MT_JSON_ARRAY || value->type == MT_JSON_OBJECT) && value->count == 0);
}

/*
 * True where both are the same value; the order of an object's members does not count. NULL equals NULL only.
 */
bool
mt_json_equal(const MtJson *left, const MtJson *right)
{
	if (left == NULL || right == NULL)
		return left == right;
	if (left->type != right->type || left->boolean != right->boolean || left->count != right->count)
		return false;
	if (left->text != NULL)
		return strcmp(left->text, right->text) == 0;
	for (int i = 0; i < left->count; i++)
	{
		const MtJson *other = left->type == MT_JSON_ARRAY ? right->items[i] : mt_json_get(right, left->keys[i]);

		if (!mt_json_equal(left->items[i], other))
			return false;
	}
	return true;
}
