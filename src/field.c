/*
 * field.c
 *		Strict reading of fields from JSON that came from outside.
 *
 * A fault is noted, not raised: the SQL functions raise the first one (mt_raise_fault), while a pull keeps the record and its fault as a
 * dead letter and goes on with the next. After a fault every reader returns MT_FIELD_ABSENT, so a caller reads all its fields and asks
 * mt_faulty once. Unknown keys are ignored.
 *
 * Called by progress.c, quiz_result.c, quiz_score.c, user.c and pull_store.c. Never touches a table.
 */
#include "field.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

/* Digits after the point that a percentage keeps. */
#define PERCENT_SCALE	4
/* Largest document in bytes, as jsonb. */
#define DOCUMENT_MAX	(4 * 1024 * 1024)
/* Most digits after the point of a number that is kept as it is. */
#define SCALE_MAX		20
/* Longest number in characters. */
#define NUMBER_MAX		1000

/*
 * Notes that the field is wrong; the message continues a sentence that begins with the field's name. Only the first fault is kept.
 */
void
mt_fault(MtFields *fields, const char *key, const char *message,...)
{
	StringInfoData field;
	StringInfoData text;

	if (mt_faulty(fields->fault))
		return;

	initStringInfo(&field);
	if (fields->name != NULL)
		appendStringInfoString(&field, fields->name);
	if (fields->index >= 0)
		appendStringInfo(&field, "[%d]", fields->index);
	if (key != NULL)
		appendStringInfo(&field, "%s%s", field.len > 0 ? "." : "", key);
	if (field.len == 0)
		appendStringInfoString(&field, "the document");

	initStringInfo(&text);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, message);
		needed = appendStringInfoVA(&text, message, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	fields->fault->field = field.data;
	fields->fault->message = text.data;
}

/*
 * True when a fault was noted.
 */
bool
mt_faulty(const MtFault *fault)
{
	return fault->message != NULL;
}

/*
 * Raises a noted fault: ERROR 22023, its message beginning with the field, which is also given as the column.
 */
void
mt_raise_fault(const MtFault *fault)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %s", fault->field, fault->message),
			 err_generic_string(PG_DIAG_COLUMN_NAME, fault->field)));
}

/*
 * Begins to read an object that stands in a list or under a key. False, with a fault, where it is no object.
 */
bool
mt_fields_open(MtFields *fields, const JsonbValue *value, const char *name, int index, MtFault *fault)
{
	fields->name = name;
	fields->index = index;
	fields->fault = fault;
	fields->object = NULL;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
	{
		mt_fault(fields, NULL, "must be an object");
		return false;
	}
	fields->object = value->val.binary.data;
	return true;
}

/*
 * Begins to read a document that must be one object, not too large and not nested too deep.
 */
bool
mt_fields_open_document(MtFields *fields, Jsonb *document, MtFault *fault)
{
	fields->name = NULL;
	fields->index = -1;
	fields->fault = fault;
	fields->object = &document->root;
	if (!JB_ROOT_IS_OBJECT(document))
	{
		mt_fault(fields, NULL, "must be a JSON object");
		return false;
	}
	if (VARSIZE(document) > DOCUMENT_MAX)
	{
		mt_fault(fields, NULL, "must not be larger than %d bytes", DOCUMENT_MAX);
		return false;
	}
	return !mt_json_too_deep(fields, &document->root, 0);
}

/* Finds a key. False when it is absent or null, or a fault was noted before; presence then says which. */
static bool
find_value(MtFields *fields, const char *key, JsonbValue *value, MtPresence *presence)
{
	*presence = MT_FIELD_ABSENT;
	if (mt_faulty(fields->fault) ||
		getKeyJsonValueFromContainer(fields->object, key, (int) strlen(key), value) == NULL)
		return false;
	*presence = (value->type == jbvNull) ? MT_FIELD_NULL : MT_FIELD_SET;
	return value->type != jbvNull;
}

/*
 * A string of at most max_bytes; value is a text datum.
 */
MtPresence
mt_field_text(MtFields *fields, const char *key, int max_bytes, Datum *value)
{
	JsonbValue	found;
	MtPresence	presence;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (found.type != jbvString)
		mt_fault(fields, key, "must be a string");
	else if (found.val.string.len > max_bytes)
		mt_fault(fields, key, "must not be longer than %d bytes", max_bytes);
	else
	{
		*value = PointerGetDatum(cstring_to_text_with_len(found.val.string.val, found.val.string.len));
		return MT_FIELD_SET;
	}
	return MT_FIELD_ABSENT;
}

/*
 * An id: a string of 1 to 255 bytes.
 */
MtPresence
mt_field_id(MtFields *fields, const char *key, bool required, Datum *value)
{
	MtPresence	presence = mt_field_text(fields, key, MT_ID_MAX, value);

	if (presence == MT_FIELD_SET && VARSIZE_ANY_EXHDR(DatumGetPointer(*value)) == 0)
	{
		mt_fault(fields, key, "must not be empty");
		return MT_FIELD_ABSENT;
	}
	if (presence != MT_FIELD_SET && required)
		mt_fault(fields, key, "is required");
	return presence;
}

/*
 * One of a list of words, which ends with NULL.
 */
MtPresence
mt_field_word(MtFields *fields, const char *key, const char *const *words, Datum *value)
{
	JsonbValue	found;
	MtPresence	presence;
	StringInfoData choices;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (found.type == jbvString)
		for (int i = 0; words[i] != NULL; i++)
			if (strlen(words[i]) == (size_t) found.val.string.len &&
				memcmp(words[i], found.val.string.val, found.val.string.len) == 0)
			{
				*value = CStringGetTextDatum(words[i]);
				return MT_FIELD_SET;
			}
	initStringInfo(&choices);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&choices, "%s\"%s\"", i > 0 ? ", " : "", words[i]);
	mt_fault(fields, key, "must be one of %s", choices.data);
	return MT_FIELD_ABSENT;
}

static int
compare_numeric(Datum number, const char *bound)
{
	Datum		limit = DirectFunctionCall3(numeric_in, CStringGetDatum(bound), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, limit));
}

/*
 * A number; value is a numeric datum. least and most are inclusive bounds as text, NULL for none.
 */
MtPresence
mt_field_number(MtFields *fields, const char *key, const char *least, const char *most, Datum *value)
{
	JsonbValue	found;
	MtPresence	presence;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (found.type != jbvNumeric)
		mt_fault(fields, key, "must be a number");
	else if ((least != NULL && compare_numeric(NumericGetDatum(found.val.numeric), least) < 0) ||
			 (most != NULL && compare_numeric(NumericGetDatum(found.val.numeric), most) > 0))
		mt_fault(fields, key, "must be between %s and %s", least, most);
	else if (DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(found.val.numeric))) > SCALE_MAX)
		mt_fault(fields, key, "must not have more than %d digits after the point", SCALE_MAX);
	else
	{
		*value = NumericGetDatum(found.val.numeric);
		return MT_FIELD_SET;
	}
	return MT_FIELD_ABSENT;
}

/*
 * A percentage, 0 to 100, rounded half away from zero to 4 digits after the point.
 */
MtPresence
mt_field_percent(MtFields *fields, const char *key, Datum *value)
{
	static Datum hundred = (Datum) 0;
	static Datum zero = (Datum) 0;
	JsonbValue	found;
	MtPresence	presence;
	Datum		number;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (hundred == (Datum) 0)
	{
		MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);

		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
		hundred = DirectFunctionCall1(int4_numeric, Int32GetDatum(100));
		MemoryContextSwitchTo(previous);
	}
	if (found.type != jbvNumeric)
	{
		mt_fault(fields, key, "must be a number");
		return MT_FIELD_ABSENT;
	}
	number = NumericGetDatum(found.val.numeric);
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, zero)) < 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, hundred)) > 0)
	{
		mt_fault(fields, key, "must be between 0 and 100");
		return MT_FIELD_ABSENT;
	}
	*value = DirectFunctionCall2(numeric_round, number, Int32GetDatum(PERCENT_SCALE));
	return MT_FIELD_SET;
}

/*
 * A whole number between two bounds; value is an int4 datum.
 */
MtPresence
mt_field_integer(MtFields *fields, const char *key, int32 least, int32 most, Datum *value)
{
	char		least_text[12];
	char		most_text[12];
	Datum		number;
	MtPresence	presence;

	snprintf(least_text, sizeof(least_text), "%d", least);
	snprintf(most_text, sizeof(most_text), "%d", most);
	presence = mt_field_number(fields, key, least_text, most_text, &number);
	if (presence != MT_FIELD_SET)
		return presence;
	if (DatumGetInt32(DirectFunctionCall2(numeric_cmp, number, DirectFunctionCall2(numeric_trunc, number, Int32GetDatum(0)))) != 0)
	{
		mt_fault(fields, key, "must be a whole number");
		return MT_FIELD_ABSENT;
	}
	*value = DirectFunctionCall1(numeric_int4, number);
	return MT_FIELD_SET;
}

/*
 * true or false.
 */
MtPresence
mt_field_boolean(MtFields *fields, const char *key, Datum *value)
{
	JsonbValue	found;
	MtPresence	presence;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (found.type != jbvBool)
	{
		mt_fault(fields, key, "must be true or false");
		return MT_FIELD_ABSENT;
	}
	*value = BoolGetDatum(found.val.boolean);
	return MT_FIELD_SET;
}

/*
 * A moment as ISO 8601 text; without an offset it is UTC. value is a timestamptz datum.
 */
MtPresence
mt_field_timestamp(MtFields *fields, const char *key, Datum *value)
{
	JsonbValue	found;
	MtPresence	presence;
	TimestampTz timestamp;

	if (!find_value(fields, key, &found, &presence))
		return presence;
	if (found.type != jbvString ||
		!mt_parse_iso_timestamp(found.val.string.val, found.val.string.len, &timestamp))
	{
		mt_fault(fields, key, "must be a date and time such as \"2026-02-03T10:11:12Z\"");
		return MT_FIELD_ABSENT;
	}
	*value = TimestampTzGetDatum(timestamp);
	return MT_FIELD_SET;
}

/*
 * An array, or else an object, unread.
 */
MtPresence
mt_field_container(MtFields *fields, const char *key, bool array, JsonbValue *value)
{
	MtPresence	presence;

	if (!find_value(fields, key, value, &presence))
		return presence;
	if (value->type != jbvBinary || JsonContainerIsArray(value->val.binary.data) != array)
	{
		mt_fault(fields, key, "must be an %s", array ? "array" : "object");
		return MT_FIELD_ABSENT;
	}
	return MT_FIELD_SET;
}

/*
 * Checks an id that is an SQL argument: ERROR 22023 naming the argument where it is empty or longer than 255 bytes.
 */
void
mt_check_argument_id(const char *name, text *value)
{
	size_t		length = VARSIZE_ANY_EXHDR(value);

	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	if (length > MT_ID_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be longer than %d bytes", name, MT_ID_MAX)));
}

/*
 * True, with a fault, where a container that itself stands this deep in its document brings it to more than 64 levels.
 */
bool
mt_json_too_deep(MtFields *fields, JsonbContainer *container, int depth)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			depth++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		if (depth > MT_JSON_DEPTH_MAX)
		{
			mt_fault(fields, NULL, "must not be nested deeper than %d", MT_JSON_DEPTH_MAX);
			return true;
		}
	}
	return false;
}

/*
 * What the parsers behind jsonb would answer with an error that cannot be caught cheaply: nesting beyond the stack, numbers beyond numeric.
 * Looks at brackets and numbers outside strings; everything else is the parser's to judge.
 */
static const char *
unparsable(const char *bytes, int length, int depth_max)
{
	bool		in_string = false;
	int			depth = 0;
	int			number_length = 0;

	for (int i = 0; i < length; i++)
	{
		char		c = bytes[i];

		number_length = !in_string && (isdigit((unsigned char) c) || c == '.') ? number_length + 1 : 0;
		if (number_length > NUMBER_MAX)
			return "holds a number that is too large";
		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
			continue;
		}
		if (c == '"')
			in_string = true;
		else if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		else if ((c == 'e' || c == 'E') && i > 0 && isdigit((unsigned char) bytes[i - 1]))
		{
			int			digits = 0;

			if (i + 1 < length && (bytes[i + 1] == '+' || bytes[i + 1] == '-'))
				i++;
			while (i + 1 < length && isdigit((unsigned char) bytes[i + 1]))
			{
				digits++;
				i++;
			}
			if (digits > 3)
				return "holds a number that is too large";
		}
		if (depth > depth_max)
			return psprintf("must not be nested deeper than %d", depth_max);
	}
	return NULL;
}

/*
 * A lexer for bytes that mt_json_check_bytes has returned.
 */
JsonLexContext *
mt_json_lexer(char *bytes, int length)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(NULL, bytes, length, PG_UTF8, true);
#else
	return makeJsonLexContextCstringLen(bytes, length, PG_UTF8, true);
#endif
}

/*
 * Checks that bytes from outside are JSON that can be parsed without an error, nested at most depth_max deep. A copy of them that ends with a
 * NUL; NULL, with a fault, where they are no valid UTF-8, no JSON, or JSON that PostgreSQL cannot hold (U+0000).
 */
char *
mt_json_check_bytes(const char *bytes, int length, int depth_max, MtFault *fault)
{
	MtFields	document = {.index = -1,.fault = fault};
	JsonLexContext *lexer;
	JsonParseErrorType error;
	const char *problem;
	char	   *copy;

	if (!pg_verify_mbstr(PG_UTF8, bytes, length, true))
	{
		mt_fault(&document, NULL, "must be valid UTF-8");
		return NULL;
	}
	problem = unparsable(bytes, length, depth_max);
	if (problem != NULL)
	{
		mt_fault(&document, NULL, "%s", problem);
		return NULL;
	}
	copy = pnstrdup(bytes, length);
	lexer = mt_json_lexer(copy, length);
	error = pg_parse_json(lexer, &nullSemAction);
	if (error != JSON_SUCCESS)
	{
		mt_fault(&document, NULL, "must be valid JSON: %s", json_errdetail(error, lexer));
		fault->holds_nul = error == JSON_UNICODE_CODE_POINT_ZERO;
		return NULL;
	}
	return copy;
}

/*
 * Parses bytes from outside into jsonb. NULL, with a fault and without an error, as mt_json_check_bytes has them.
 */
Jsonb *
mt_json_from_bytes(const char *bytes, int length, MtFault *fault)
{
	char	   *checked = mt_json_check_bytes(bytes, length, MT_JSON_DEPTH_MAX, fault);

	return checked == NULL ? NULL : DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(checked)));
}
