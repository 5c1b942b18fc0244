/*
 * scim_parse.c
 *		Reads SCIM filters (RFC 7644 section 3.4.2.2) and PATCH paths (section 3.5.2) by recursive descent.
 *
 *		filter    = and *( SP "or" SP and )
 *		and       = unary *( SP "and" SP unary )
 *		unary     = ["not"] "(" filter ")" / attrPath "[" filter "]" ["." sub SP comparison] / attrPath SP comparison
 *		comparison = "pr" / operator SP value
 *		path      = attrPath / attrPath "[" filter "]" ["." sub]
 *
 * Inside brackets an attrPath is a sub-attribute of the list. The tail behind brackets is Microsoft Entra's; it means one element that meets
 * the brackets and the tail. Words are compared without case; values are read by PostgreSQL's JSON lexer. Types are checked here, so that the
 * tree that comes out can be answered; "eq null" comes out as not "pr".
 *
 * The text is a client's: length, terms and nesting are bounded before they cost anything, and a refusal is a returned fault, never an error.
 * Called by the SCIM requests and scim_inspect.c. Never touches a table.
 */
#include "scim_filter.h"

#include "catalog/pg_type.h"
#include "field.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Most bytes of a client's word that a fault repeats. */
#define ECHO_MAX	64

/* A word of the text: a name, an operator or a keyword. */
typedef struct Word
{
	const char *at;
	int			length;
} Word;

/* A text being read. */
typedef struct Parser
{
	const char *start;
	const char *at;
	const char *end;
	MtScimResource resource;
	bool		is_path;
	const MtScimAttribute *subs;	/* inside brackets: what names are looked up in */
	int			terms;
	int			depth;
	MtScimFault *fault;
} Parser;

/* A value as it stands behind an operator. */
typedef struct Literal
{
	JsonTokenType type;			/* string, number, true, false or null */
	char	   *string;			/* of a string, with escapes resolved */
} Literal;

static const struct
{
	const char *name;
	MtScimOperator operator;
}			operators[] = {
	{"eq", MT_SCIM_EQ},
	{"ne", MT_SCIM_NE},
	{"co", MT_SCIM_CO},
	{"sw", MT_SCIM_SW},
	{"ew", MT_SCIM_EW},
	{"gt", MT_SCIM_GT},
	{"ge", MT_SCIM_GE},
	{"lt", MT_SCIM_LT},
	{"le", MT_SCIM_LE},
	{"pr", MT_SCIM_PR},
};

static MtScimFilter *parse_filter(Parser *parser);
static MtScimFilter *refuse(Parser *parser, const char *at, const char *reason,...) pg_attribute_printf(3, 4);

/*
 * Notes the first fault, which begins at a byte of the text, and returns NULL. The reason ends a sentence.
 */
static MtScimFilter *
refuse(Parser *parser, const char *at, const char *reason,...)
{
	char		text[512];
	va_list		arguments;

	if (parser->fault->detail != NULL)
		return NULL;
	va_start(arguments, reason);
	vsnprintf(text, sizeof(text), reason, arguments);
	va_end(arguments);
	parser->fault->type = parser->is_path ? "invalidPath" : "invalidFilter";
	parser->fault->detail = psprintf("The %s is not valid at byte %d: %s.", parser->is_path ? "path" : "filter",
									 (int) (at - parser->start) + 1, text);
	return NULL;
}

static void
skip_spaces(Parser *parser)
{
	while (parser->at < parser->end && *parser->at == ' ')
		parser->at++;
}

/* A word as a fault may repeat it: cut, and not at all where the text may hold a secret. */
static Word
told(const Parser *parser, Word word)
{
	Word		nothing = {"...", 3};

	if (mt_scim_names_secret(parser->start, (int) (parser->end - parser->start)))
		return nothing;
	word.length = Min(word.length, ECHO_MAX);
	return word;
}

/* At least one space. */
static bool
take_space(Parser *parser)
{
	const char *from = parser->at;

	skip_spaces(parser);
	return parser->at > from;
}

static bool
take_character(Parser *parser, char c)
{
	if (parser->at >= parser->end || *parser->at != c)
		return false;
	parser->at++;
	return true;
}

static bool
is_word_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("_-$.:", c) != NULL);
}

/* The word that begins here; it may be empty. */
static Word
take_word(Parser *parser)
{
	Word		word = {parser->at, 0};

	while (parser->at < parser->end && is_word_character(*parser->at))
		parser->at++;
	word.length = (int) (parser->at - word.at);
	return word;
}

static bool
word_is(Word word, const char *keyword)
{
	return (size_t) word.length == strlen(keyword) && pg_strncasecmp(word.at, keyword, word.length) == 0;
}

/* A keyword between two spaces; nothing is taken where it is not next. */
static bool
take_keyword(Parser *parser, const char *keyword)
{
	const char *from = parser->at;

	if (take_space(parser) && word_is(take_word(parser), keyword) && take_space(parser))
		return true;
	parser->at = from;
	return false;
}

static MtScimFilter *
make_filter(MtScimFilterKind kind, List *arguments)
{
	MtScimFilter *filter = palloc0(sizeof(MtScimFilter));

	filter->kind = kind;
	filter->arguments = arguments;
	return filter;
}

/*
 * Looks a name up: in the list whose brackets we are in, else among the resource's attributes. False, with a fault, where there is none that
 * can be filtered by.
 */
static bool
find_target(Parser *parser, Word name, const MtScimAttribute **attribute, const MtScimAttribute **sub)
{
	MtScimReference reference = {NULL};

	if (name.length == 0)
		refuse(parser, name.at, "the name of an attribute is expected");
	else if (parser->subs != NULL)
		reference.attribute = mt_scim_find_attribute(parser->subs, name.at, name.length);
	else if (!mt_scim_resolve(parser->resource, name.at, name.length, &reference))
		reference.attribute = NULL;
	if (reference.attribute == NULL)
	{
		Word		shown = told(parser, name);

		refuse(parser, name.at, "there is no attribute \"%.*s\" here", shown.length, shown.at);
		return false;
	}
	/* A path may name what is accepted without effect. */
	if (!parser->is_path && !mt_scim_is_kept(reference.sub != NULL ? reference.sub : reference.attribute))
	{
		refuse(parser, name.at, "%s cannot be filtered by", reference.attribute->name);
		if (reference.attribute->mutability == MT_SCIM_WRITE_ONLY)
			parser->fault->type = "sensitive";
		return false;
	}
	*attribute = reference.attribute;
	*sub = reference.sub;
	return true;
}

static bool
take_operator(Parser *parser, MtScimOperator *operator)
{
	Word		word;

	if (!take_space(parser))
	{
		refuse(parser, parser->at, "a space and an operator are expected");
		return false;
	}
	word = take_word(parser);
	for (int i = 0; i < (int) lengthof(operators); i++)
		if (word_is(word, operators[i].name))
		{
			*operator = operators[i].operator;
			return true;
		}
	refuse(parser, word.at, "one of eq, ne, co, sw, ew, gt, ge, lt, le, pr is expected");
	return false;
}

/*
 * The value behind an operator. The lexer judges it, but for what text cannot hold, which it refuses as well (U+0000, halves of surrogates).
 */
static bool
take_literal(Parser *parser, Literal *literal)
{
	JsonLexContext *lexer;
	const char *from;

	if (!take_space(parser) || parser->at >= parser->end)
	{
		refuse(parser, parser->at, "a space and a value are expected");
		return false;
	}
	from = parser->at;
	lexer = mt_json_lexer(unconstify(char *, from), (int) (parser->end - from));
	if (json_lex(lexer) != JSON_SUCCESS || lexer->token_start != from ||
		(lexer->token_type != JSON_TOKEN_STRING && lexer->token_type != JSON_TOKEN_NUMBER && lexer->token_type != JSON_TOKEN_TRUE &&
		 lexer->token_type != JSON_TOKEN_FALSE && lexer->token_type != JSON_TOKEN_NULL))
	{
		refuse(parser, from, "a JSON string, number, true, false or null is expected");
		return false;
	}
	literal->type = lexer->token_type;
	literal->string = lexer->token_type == JSON_TOKEN_STRING ? pnstrdup(lexer->strval->data, lexer->strval->len) : NULL;
	parser->at = lexer->token_terminator;
	return true;
}

static bool
is_ordering(MtScimOperator operator)
{
	return operator == MT_SCIM_GT || operator == MT_SCIM_GE || operator == MT_SCIM_LT || operator == MT_SCIM_LE;
}

static bool
is_matching(MtScimOperator operator)
{
	return operator == MT_SCIM_CO || operator == MT_SCIM_SW || operator == MT_SCIM_EW;
}

/*
 * A boolean may also be written as a string: Microsoft Entra does.
 */
static bool
boolean_value(const Literal *literal, bool *value)
{
	*value = literal->type == JSON_TOKEN_TRUE || (literal->string != NULL && pg_strcasecmp(literal->string, "true") == 0);
	return *value || literal->type == JSON_TOKEN_FALSE || (literal->string != NULL && pg_strcasecmp(literal->string, "false") == 0);
}

/*
 * Gives a comparison its value, by the type of the compared attribute. at: where the operator begins, for the fault.
 */
static MtScimFilter *
set_value(Parser *parser, const char *at, MtScimFilter *filter, const Literal *literal)
{
	const MtScimAttribute *target = filter->sub != NULL ? filter->sub : filter->attribute;
	TimestampTz moment;
	bool		truth;

	switch (target->type)
	{
		case MT_SCIM_STRING:
		case MT_SCIM_REFERENCE:
			if (literal->string == NULL)
				return refuse(parser, at, "%s is compared with a string", target->name);
			filter->value = CStringGetTextDatum(literal->string);
			return filter;
		case MT_SCIM_BOOLEAN:
			if (is_ordering(filter->operator) || is_matching(filter->operator) || !boolean_value(literal, &truth))
				return refuse(parser, at, "%s takes eq and ne with true or false", target->name);
			filter->value = BoolGetDatum(truth);
			return filter;
		case MT_SCIM_DATETIME:
			if (is_matching(filter->operator) || literal->string == NULL ||
				!mt_parse_iso_timestamp(literal->string, (int) strlen(literal->string), &moment))
				return refuse(parser, at, "%s takes eq, ne, gt, ge, lt and le with a date and time such as \"2026-02-03T10:11:12Z\"", target->name);
			filter->value = TimestampTzGetDatum(moment);
			return filter;
		case MT_SCIM_COMPLEX:
			break;
	}
	return refuse(parser, at, "%s has parts: compare one of them", target->name);
}

/*
 * What stands behind an attribute: "pr", or an operator and a value.
 */
static MtScimFilter *
parse_comparison(Parser *parser, const MtScimAttribute *attribute, const MtScimAttribute *sub)
{
	MtScimFilter *filter = make_filter(MT_SCIM_COMPARE, NIL);
	const char *at = parser->at + 1;
	Literal		literal;

	filter->attribute = attribute;
	filter->sub = sub;
	if (++parser->terms > MT_SCIM_FILTER_TERMS_MAX)
		return refuse(parser, parser->at, "there are more than %d comparisons", MT_SCIM_FILTER_TERMS_MAX);
	if (!take_operator(parser, &filter->operator))
		return NULL;
	if (filter->operator == MT_SCIM_PR)
		return filter;
	if (!take_literal(parser, &literal))
		return NULL;

	if (literal.type == JSON_TOKEN_NULL)
	{
		bool		absent = filter->operator == MT_SCIM_EQ;

		if (!absent && filter->operator != MT_SCIM_NE)
			return refuse(parser, at, "null takes eq and ne");
		filter->operator = MT_SCIM_PR;
		return absent ? make_filter(MT_SCIM_NOT, list_make1(filter)) : filter;
	}
	/* emails eq "a" stands for emails.value eq "a" (RFC 7644 section 3.4.2.2, "emails co"). */
	if (attribute->type == MT_SCIM_COMPLEX && sub == NULL && !is_ordering(filter->operator))
		filter->sub = mt_scim_find_attribute(attribute->subs, "value", 5);
	return set_value(parser, at, filter, &literal);
}

/* One level further in. False, with a fault, where that is too deep. */
static bool
enter(Parser *parser)
{
	if (++parser->depth <= MT_SCIM_FILTER_DEPTH_MAX)
		return true;
	refuse(parser, parser->at, "it is nested deeper than %d", MT_SCIM_FILTER_DEPTH_MAX);
	return false;
}

/*
 * A filter up to its closing character, behind the opening one.
 */
static MtScimFilter *
parse_enclosed(Parser *parser, char closing)
{
	MtScimFilter *filter;

	if (!enter(parser))
		return NULL;
	filter = parse_filter(parser);
	if (filter == NULL)
		return NULL;
	skip_spaces(parser);
	if (!take_character(parser, closing))
		return refuse(parser, parser->at, "\"and\", \"or\" or \"%c\" is expected", closing);
	parser->depth--;
	return filter;
}

/*
 * The filter in the brackets behind a list's name, the opening one being next.
 */
static MtScimFilter *
parse_brackets(Parser *parser, const MtScimAttribute *attribute)
{
	MtScimFilter *filter;

	if (!attribute->multi_valued || attribute->subs == NULL)
		return refuse(parser, parser->at, "%s is no list of values with parts", attribute->name);
	parser->at++;
	parser->subs = attribute->subs;
	filter = parse_enclosed(parser, ']');
	parser->subs = NULL;
	return filter;
}

/*
 * The sub-attribute named behind brackets and a dot.
 */
static const MtScimAttribute *
parse_tail(Parser *parser, const MtScimAttribute *attribute)
{
	Word		name = take_word(parser);
	Word		shown = told(parser, name);
	const MtScimAttribute *sub = mt_scim_find_attribute(attribute->subs, name.at, name.length);

	if (sub == NULL)
		refuse(parser, name.at, "%s has no part \"%.*s\"", attribute->name, shown.length, shown.at);
	return sub;
}

/*
 * attribute "[" filter "]", and what may follow.
 */
static MtScimFilter *
parse_element(Parser *parser, const MtScimAttribute *attribute)
{
	MtScimFilter *filter = parse_brackets(parser, attribute);
	MtScimFilter *element;

	if (filter == NULL)
		return NULL;
	if (take_character(parser, '.'))
	{
		const MtScimAttribute *sub = parse_tail(parser, attribute);
		MtScimFilter *tail = sub == NULL ? NULL : parse_comparison(parser, sub, NULL);

		if (tail == NULL)
			return NULL;
		filter = make_filter(MT_SCIM_AND, list_make2(filter, tail));
	}
	element = make_filter(MT_SCIM_ELEMENT, list_make1(filter));
	element->attribute = attribute;
	return element;
}

static MtScimFilter *
parse_unary(Parser *parser)
{
	const MtScimAttribute *attribute;
	const MtScimAttribute *sub;
	MtScimFilter *filter;
	Word		word;

	skip_spaces(parser);
	if (take_character(parser, '('))
		return parse_enclosed(parser, ')');

	word = take_word(parser);
	if (word_is(word, "not"))
	{
		skip_spaces(parser);
		if (!take_character(parser, '('))
			return refuse(parser, parser->at, "\"(\" is expected behind \"not\"");
		filter = parse_enclosed(parser, ')');
		return filter == NULL ? NULL : make_filter(MT_SCIM_NOT, list_make1(filter));
	}
	if (!find_target(parser, word, &attribute, &sub))
		return NULL;
	if (parser->at < parser->end && *parser->at == '[' && parser->subs == NULL && sub == NULL)
		return parse_element(parser, attribute);
	return parse_comparison(parser, attribute, sub);
}

/*
 * Operands joined by a keyword, each read by the next tighter rule; a single one stays as it is.
 */
static MtScimFilter *
parse_joined(Parser *parser, MtScimFilterKind kind, const char *keyword, MtScimFilter *(*operand) (Parser *parser))
{
	List	   *arguments = NIL;

	do
	{
		MtScimFilter *argument = operand(parser);

		if (argument == NULL)
			return NULL;
		arguments = lappend(arguments, argument);
	} while (take_keyword(parser, keyword));
	return list_length(arguments) == 1 ? linitial(arguments) : make_filter(kind, arguments);
}

static MtScimFilter *
parse_and(Parser *parser)
{
	return parse_joined(parser, MT_SCIM_AND, "and", parse_unary);
}

static MtScimFilter *
parse_filter(Parser *parser)
{
	return parse_joined(parser, MT_SCIM_OR, "or", parse_and);
}

/* Sets a parser to the beginning of a text. False, with a fault, where nothing of it should be read. */
static bool
begin(Parser *parser, const char *text, int length, MtScimResource resource, bool is_path, MtScimFault *fault)
{
	memset(parser, 0, sizeof(Parser));
	memset(fault, 0, sizeof(MtScimFault));
	parser->start = parser->at = text;
	parser->end = text + length;
	parser->resource = resource;
	parser->is_path = is_path;
	parser->fault = fault;
	if (length > MT_SCIM_FILTER_BYTES_MAX)
		refuse(parser, text + MT_SCIM_FILTER_BYTES_MAX, "it is longer than %d bytes", MT_SCIM_FILTER_BYTES_MAX);
	else if (!pg_verify_mbstr(PG_UTF8, text, length, true))
		refuse(parser, text, "it is no valid UTF-8");
	return fault->detail == NULL;
}

/*
 * Reads a filter. NULL, with a fault of type invalidFilter, where it is not valid for resources of this kind; of type sensitive, where it has a secret.
 */
const MtScimFilter *
mt_scim_parse_filter(const char *text, int length, MtScimResource resource, MtScimFault *fault)
{
	Parser		parser;
	MtScimFilter *filter;

	if (!begin(&parser, text, length, resource, false, fault))
		return NULL;
	filter = parse_filter(&parser);
	if (filter == NULL)
		return NULL;
	skip_spaces(&parser);
	return parser.at == parser.end ? filter : refuse(&parser, parser.at, "\"and\", \"or\" or the end is expected");
}

/*
 * Reads the path of a PATCH operation. False, with a fault of type invalidPath, where it is not valid for resources of this kind. What it
 * names may be read-only, or known and not kept: that is the caller's to judge.
 */
bool
mt_scim_parse_path(const char *text, int length, MtScimResource resource, MtScimPath *path, MtScimFault *fault)
{
	MtScimReference *reference = &path->reference;
	Parser		parser;
	Word		word;
	Word		shown;

	memset(path, 0, sizeof(MtScimPath));
	if (!begin(&parser, text, length, resource, true, fault))
		return false;
	word = take_word(&parser);
	shown = told(&parser, word);
	if (!mt_scim_resolve(resource, word.at, word.length, reference))
		refuse(&parser, word.at, "there is no attribute \"%.*s\"", shown.length, shown.at);
	else if (parser.at < parser.end && *parser.at == '[' && reference->attribute != NULL && reference->sub == NULL)
	{
		path->filter = parse_brackets(&parser, reference->attribute);
		if (path->filter != NULL && take_character(&parser, '.'))
			reference->sub = parse_tail(&parser, reference->attribute);
	}
	if (parser.at != parser.end)
		refuse(&parser, parser.at, "the end is expected");
	return fault->detail == NULL;
}
