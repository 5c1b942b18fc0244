/*
 * scim_condition.c
 *		Turns a parsed SCIM filter into a condition of SQL over one row: u of mindtickle.users, t of mindtickle.team.
 *
 * Names come from scim_attribute.c, every value is a parameter: nothing of a client's text stands in the SQL, and filters of one form give one
 * statement. A condition may be null for false; NOT is written IS NOT TRUE, so that this stays without effect.
 *
 * "ne" is true where the attribute is absent. A list meets a comparison if one of its elements does; what needs an element whose value is given
 * says so first in a form that an index answers (MtScimAttribute.lookup), because the exact form looks into documents.
 *
 * Called by the SCIM requests and scim_inspect.c. Never runs a statement.
 */
#include "scim_filter.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

/* Begins with room for the parameters of a usual request. */
#define PARAMETERS_AT_FIRST		16
/* What it costs to look for the elements of a list, and to have one at hand, in comparisons. */
#define LIST_COMPARISONS		20
#define ELEMENT_COMPARISONS		50

static void append_any_element(MtScimQuery *query, const MtScimAttribute *list, const MtScimFilter *filter, bool lookup);
static void append_list_comparison(MtScimQuery *query, const MtScimFilter *filter, bool lookup);

/*
 * Begins a query. base_url: what stands before "/Users/..." in locations; it may be empty.
 */
void
mt_scim_query_begin(MtScimQuery *query, const char *base_url)
{
	memset(query, 0, sizeof(MtScimQuery));
	initStringInfo(&query->text);
	query->base_url = base_url;
	query->room = PARAMETERS_AT_FIRST;
	query->types = palloc(query->room * sizeof(Oid));
	query->values = palloc(query->room * sizeof(Datum));
}

/*
 * Adds a parameter and returns its number; the first is $1 and must be the tenant.
 */
int
mt_scim_query_bind(MtScimQuery *query, Oid type, Datum value)
{
	if (query->count == query->room)
	{
		query->room *= 2;
		query->types = repalloc(query->types, query->room * sizeof(Oid));
		query->values = repalloc(query->values, query->room * sizeof(Datum));
	}
	query->types[query->count] = type;
	query->values[query->count] = value;
	return ++query->count;
}

static bool
is_text(const MtScimAttribute *attribute)
{
	return attribute->type == MT_SCIM_STRING || attribute->type == MT_SCIM_REFERENCE;
}

/* The value of a comparison as a parameter, in the form in which it is compared. */
static int
bind_value(MtScimQuery *query, const MtScimAttribute *attribute, Datum value)
{
	if (attribute->type == MT_SCIM_BOOLEAN)
		return mt_scim_query_bind(query, BOOLOID, value);
	if (attribute->type == MT_SCIM_DATETIME)
		return mt_scim_query_bind(query, TIMESTAMPTZOID, value);
	if (!attribute->case_exact)
	{
		text	   *string = DatumGetTextPP(value);

		value = CStringGetTextDatum(str_tolower(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string), DEFAULT_COLLATION_OID));
	}
	return mt_scim_query_bind(query, TEXTOID, value);
}

/* The value of an attribute that has one. */
static void
append_value(MtScimQuery *query, const MtScimAttribute *attribute)
{
	if (attribute->endpoint == NULL)
	{
		appendStringInfoString(&query->text, attribute->sql);
		return;
	}
	if (query->base_parameter == 0)
		query->base_parameter = mt_scim_query_bind(query, TEXTOID, CStringGetTextDatum(query->base_url));
	appendStringInfo(&query->text, "($%d || '/%s/' || mindtickle.scim_escaped(%s))", query->base_parameter, attribute->endpoint, attribute->sql);
}

/* The same in the form in which it is compared. */
static void
append_comparable(MtScimQuery *query, const MtScimAttribute *attribute)
{
	if (attribute->folded != NULL)
		appendStringInfoString(&query->text, attribute->folded);
	else if (is_text(attribute) && !attribute->case_exact)
	{
		appendStringInfoString(&query->text, "lower(");
		append_value(query, attribute);
		appendStringInfoChar(&query->text, ')');
	}
	else
		append_value(query, attribute);
}

/* Whether an attribute has a value that is not empty; a complex one has if one of its parts has. */
static void
append_presence(MtScimQuery *query, const MtScimAttribute *attribute)
{
	const char *separator = "";

	if (attribute->type == MT_SCIM_COMPLEX)
	{
		appendStringInfoChar(&query->text, '(');
		for (const MtScimAttribute *sub = attribute->subs; sub->name != NULL; sub++)
		{
			if (!mt_scim_is_kept(sub))
				continue;
			appendStringInfoString(&query->text, separator);
			append_presence(query, sub);
			separator = " OR ";
		}
		appendStringInfoChar(&query->text, ')');
		return;
	}
	appendStringInfoString(&query->text, attribute->sql);
	appendStringInfoString(&query->text, is_text(attribute) ? " <> ''" : " IS NOT NULL");
}

/* Compares an attribute that has one value, or none. */
static void
append_comparison(MtScimQuery *query, const MtScimAttribute *attribute, MtScimOperator operator, Datum value)
{
	static const char *const signs[] = {
		[MT_SCIM_EQ] = "=",[MT_SCIM_NE] = "IS DISTINCT FROM",[MT_SCIM_GT] = ">",[MT_SCIM_GE] = ">=",[MT_SCIM_LT] = "<",[MT_SCIM_LE] = "<=",
	};
	StringInfo	text = &query->text;
	int			parameter;

	if (operator == MT_SCIM_PR)
	{
		append_presence(query, attribute);
		return;
	}
	parameter = bind_value(query, attribute, value);
	if (operator == MT_SCIM_CO)
		appendStringInfoString(text, "strpos(");
	else if (operator == MT_SCIM_SW)
		appendStringInfoString(text, "starts_with(");
	else if (operator == MT_SCIM_EW)
		appendStringInfoString(text, "right(");

	append_comparable(query, attribute);

	if (operator == MT_SCIM_CO)
		appendStringInfo(text, ", $%d) > 0", parameter);
	else if (operator == MT_SCIM_SW)
		appendStringInfo(text, ", $%d)", parameter);
	else if (operator == MT_SCIM_EW)
		appendStringInfo(text, ", length($%d)) = $%d", parameter, parameter);
	else
		appendStringInfo(text, "%s %s $%d", is_text(attribute) ? " COLLATE \"C\"" : "", signs[operator], parameter);
}

/* The comparison by which an index finds the resources that have an element which meets the filter; NULL where there is none. */
static const MtScimFilter *
lookup_term(const MtScimAttribute *list, const MtScimFilter *filter)
{
	ListCell   *cell;

	if (list->lookup == NULL)
		return NULL;
	foreach(cell, mt_scim_equal_terms(filter))
	{
		const MtScimFilter *term = lfirst(cell);

		if (strcmp(term->attribute->name, "value") == 0)
			return term;
	}
	return NULL;
}

/* What is true wherever a list has an element that meets the filter, by an index. False, with nothing appended, where there is no such thing to say. */
static bool
append_lookup(MtScimQuery *query, const MtScimAttribute *list, const MtScimFilter *filter)
{
	const MtScimFilter *term = lookup_term(list, filter);
	const char *rest = list->lookup;
	int			parameter;

	if (term == NULL)
		return false;
	parameter = bind_value(query, term->attribute, term->value);
	for (const char *place; (place = strstr(rest, "%s")) != NULL; rest = place + 2)
		appendStringInfo(&query->text, "%.*s$%d", (int) (place - rest), rest, parameter);
	appendStringInfoString(&query->text, rest);
	return true;
}

static MtScimFilter *
make_filter(MtScimFilterKind kind, const MtScimAttribute *attribute, List *arguments)
{
	MtScimFilter *filter = palloc0(sizeof(MtScimFilter));

	filter->kind = kind;
	filter->attribute = attribute;
	filter->arguments = arguments;
	return filter;
}

/* What an element must meet for the comparison of its list to be true: the list's part is the element's, and the list stands for the element. */
static MtScimFilter *
part_of_comparison(const MtScimFilter *filter)
{
	MtScimFilter *part = palloc(sizeof(MtScimFilter));

	*part = *filter;
	if (filter->sub != NULL)
		part->attribute = filter->sub;
	part->sub = NULL;
	return part;
}

/* What an element of a list must meet for a filter that asks for one to be true. */
static MtScimFilter *
condition_of_element(const MtScimFilter *filter)
{
	return filter->kind == MT_SCIM_ELEMENT ? linitial(filter->arguments) : part_of_comparison(filter);
}

/* True for a filter that asks for an element of a list. */
static bool
asks_list(const MtScimFilter *filter)
{
	return filter->kind == MT_SCIM_ELEMENT || (filter->kind == MT_SCIM_COMPARE && filter->attribute->source != NULL);
}

/* What an element of a list must meet for the filter to be true, where that is all it says and no index answers it; NULL otherwise. */
static MtScimFilter *
element_condition(const MtScimFilter *filter)
{
	MtScimFilter *condition = asks_list(filter) && filter->operator != MT_SCIM_NE ? condition_of_element(filter) : NULL;

	return condition == NULL || lookup_term(filter->attribute, condition) != NULL ? NULL : condition;
}

/*
 * The arguments of an OR, with those that ask for an element of one list made into one: an element that meets any of their conditions. So each list is
 * read once, however many they are.
 */
static List *
join_by_list(const List *arguments)
{
	List	   *others = NIL;
	List	   *elements = NIL;	/* one for a list, whose argument is an OR */
	ListCell   *cell;

	foreach(cell, arguments)
	{
		MtScimFilter *argument = lfirst(cell);
		MtScimFilter *condition = element_condition(argument);
		MtScimFilter *any = NULL;
		ListCell   *place;

		if (condition == NULL)
		{
			others = lappend(others, argument);
			continue;
		}
		foreach(place, elements)
			if (((MtScimFilter *) lfirst(place))->attribute == argument->attribute)
				any = linitial(((MtScimFilter *) lfirst(place))->arguments);
		if (any == NULL)
		{
			any = make_filter(MT_SCIM_OR, NULL, NIL);
			elements = lappend(elements, make_filter(MT_SCIM_ELEMENT, argument->attribute, list_make1(any)));
		}
		any->arguments = lappend(any->arguments, condition);
	}
	return list_concat(others, elements);
}

/* True where an index finds the resources that can meet the filter, which may be many; unique: at most as many as it has comparisons. */
static bool
has_index_part(const MtScimFilter *filter, bool unique)
{
	bool		any = false;
	bool		all = true;
	ListCell   *cell;

	check_stack_depth();
	if (asks_list(filter))
		return !unique && filter->operator != MT_SCIM_NE && lookup_term(filter->attribute, condition_of_element(filter)) != NULL;
	if (filter->kind == MT_SCIM_COMPARE)
		return filter->operator == MT_SCIM_EQ && (unique ? filter->attribute->unique : mt_scim_has_index(filter->attribute));
	foreach(cell, filter->arguments)
	{
		bool		part = has_index_part(lfirst(cell), unique);

		any |= part;
		all &= part;
	}
	return filter->kind == MT_SCIM_AND ? any : filter->kind == MT_SCIM_OR && all;
}

/* True where what an index says of the resources that can meet the filter has a look-up in it. */
static bool
looks_up(const MtScimFilter *filter)
{
	ListCell   *cell;

	check_stack_depth();
	if (!has_index_part(filter, false))
		return false;
	if (asks_list(filter))
		return true;
	foreach(cell, filter->arguments)
		if (looks_up(lfirst(cell)))
			return true;
	return false;
}

/*
 * True where an argument is to say its look-up: within OR each does, or none where an index does not answer all of it, and of those of AND the first.
 * An index would go through each pair of what two of them find, if both were about one column. *said: one of AND has.
 */
static bool
says_lookup(const MtScimFilter *filter, const MtScimFilter *argument, bool *said)
{
	bool		says = has_index_part(filter, false) && looks_up(argument) && (filter->kind == MT_SCIM_OR || !*said);

	*said |= says;
	return says;
}

/* What an index says of the resources that can meet a filter that has such a part. */
static void
append_index_part(MtScimQuery *query, const MtScimFilter *filter)
{
	const char *separator = "(";
	bool		said = false;
	ListCell   *cell;

	check_stack_depth();
	if (asks_list(filter))
		(void) append_lookup(query, filter->attribute, condition_of_element(filter));
	else if (filter->kind == MT_SCIM_COMPARE)
		append_comparison(query, filter->attribute, filter->operator, filter->value);
	else
	{
		foreach(cell, filter->arguments)
		{
			if (!has_index_part(lfirst(cell), false) || (looks_up(lfirst(cell)) && !says_lookup(filter, lfirst(cell), &said)))
				continue;
			appendStringInfoString(&query->text, separator);
			append_index_part(query, lfirst(cell));
			separator = filter->kind == MT_SCIM_AND ? " AND " : " OR ";
		}
		appendStringInfoChar(&query->text, ')');
	}
}

/*
 * Appends " AND " and what an index says of the resources that can meet a filter; nothing where that is none of what it asks.
 */
void
mt_scim_append_index_part(MtScimQuery *query, const MtScimFilter *filter)
{
	if (!has_index_part(filter, false))
		return;
	appendStringInfoString(&query->text, " AND ");
	append_index_part(query, filter);
}

/* Adds a look at a list, with so many comparisons of each element, to what a filter costs. */
static void
add_list_cost(MtScimFilterCost *cost, const MtScimAttribute *list, int comparisons)
{
	MtScimListCost *list_cost = NULL;
	ListCell   *cell;

	cost->comparisons += LIST_COMPARISONS;
	foreach(cell, cost->lists)
		if (((MtScimListCost *) lfirst(cell))->list == list)
			list_cost = lfirst(cell);
	if (list_cost == NULL)
	{
		list_cost = palloc0(sizeof(MtScimListCost));
		list_cost->list = list;
		cost->lists = lappend(cost->lists, list_cost);
	}
	list_cost->comparisons += ELEMENT_COMPARISONS + comparisons;
}

/* True where an index finds the one element that a filter asks for: it is a row, and its value all that is asked. */
static bool
finds_element(const MtScimFilter *filter)
{
	const MtScimFilter *condition = condition_of_element(filter);

	return filter->attribute->rows && condition->kind == MT_SCIM_COMPARE && lookup_term(filter->attribute, condition) != NULL;
}

static void
add_cost(MtScimFilterCost *cost, const MtScimFilter *filter)
{
	ListCell   *cell;

	check_stack_depth();
	if (asks_list(filter))
	{
		if (filter->operator != MT_SCIM_NE && lookup_term(filter->attribute, condition_of_element(filter)) != NULL)
			cost->lookups++;
		if (finds_element(filter))
			cost->comparisons += LIST_COMPARISONS;
		else
			add_list_cost(cost, filter->attribute, mt_scim_filter_terms(condition_of_element(filter)));
		if (filter->operator == MT_SCIM_NE)
			cost->comparisons += LIST_COMPARISONS;
	}
	else if (filter->kind == MT_SCIM_COMPARE)
		cost->comparisons++;
	else
		foreach(cell, filter->kind == MT_SCIM_OR ? join_by_list(filter->arguments) : filter->arguments)
			add_cost(cost, lfirst(cell));
}

/*
 * What a filter costs. Where it asks for what is unique its comparisons are free, as there are no more resources to look at than it has of them; not so
 * the elements of their lists, of which one resource may have thousands.
 */
void
mt_scim_filter_cost(const MtScimFilter *filter, MtScimFilterCost *cost)
{
	memset(cost, 0, sizeof(MtScimFilterCost));
	add_cost(cost, filter);
	if (has_index_part(filter, true))
		cost->comparisons = 0;
}

/*
 * One filter. within: it is about the element of a list that the row at hand is, so that a list's name stands for the element. lookup: an index may be
 * the way to what meets it, so that it says its look-ups; elsewhere each row would be compared with all that one finds.
 */
static void
append_filter(MtScimQuery *query, const MtScimFilter *filter, bool within, bool lookup)
{
	const char *separator = "(";
	bool		said = false;
	List	   *arguments;
	ListCell   *cell;

	check_stack_depth();
	switch (filter->kind)
	{
		case MT_SCIM_AND:
		case MT_SCIM_OR:
			arguments = filter->kind == MT_SCIM_OR && !within ? join_by_list(filter->arguments) : filter->arguments;
			foreach(cell, arguments)
			{
				appendStringInfoString(&query->text, separator);
				append_filter(query, lfirst(cell), within, lookup && says_lookup(filter, lfirst(cell), &said));
				separator = filter->kind == MT_SCIM_AND ? " AND " : " OR ";
			}
			appendStringInfoChar(&query->text, ')');
			return;
		case MT_SCIM_NOT:
			appendStringInfoString(&query->text, "((");
			append_filter(query, linitial(filter->arguments), within, false);
			appendStringInfoString(&query->text, ") IS NOT TRUE)");
			return;
		case MT_SCIM_ELEMENT:
			append_any_element(query, filter->attribute, linitial(filter->arguments), lookup);
			return;
		case MT_SCIM_COMPARE:
			if (filter->attribute->source != NULL && !within)
				append_list_comparison(query, filter, lookup);
			else
				append_comparison(query, filter->sub != NULL ? filter->sub : filter->attribute, filter->operator, filter->value);
			return;
	}
}

/*
 * Whether one element of a list meets a filter over its parts. Not EXISTS, of which the planner may make a join, or a hash of the lists of the whole
 * tenant: hundreds of them would take it longer than anything else.
 */
static void
append_any_element(MtScimQuery *query, const MtScimAttribute *list, const MtScimFilter *filter, bool lookup)
{
	appendStringInfoChar(&query->text, '(');
	if (lookup && append_lookup(query, list, filter))
		appendStringInfoString(&query->text, " AND ");
	appendStringInfo(&query->text, "(SELECT true FROM %s WHERE ", list->source);
	append_filter(query, filter, true, false);
	appendStringInfoString(&query->text, " LIMIT 1) IS TRUE)");
}

/* Compares a list: an element has such a part, or is such a value where elements have no parts, or has any part where the list is named alone. */
static void
append_list_comparison(MtScimQuery *query, const MtScimFilter *filter, bool lookup)
{
	if (filter->operator == MT_SCIM_NE)
		appendStringInfo(&query->text, "((SELECT true FROM %s LIMIT 1) IS NULL OR ", filter->attribute->source);
	append_any_element(query, filter->attribute, part_of_comparison(filter), lookup);
	if (filter->operator == MT_SCIM_NE)
		appendStringInfoChar(&query->text, ')');
}

/*
 * Appends a filter as a condition in parentheses, or a comparison. The filter of a path, which is over the parts of an element, becomes one over
 * what the list's source calls its element.
 */
void
mt_scim_append_condition(MtScimQuery *query, const MtScimFilter *filter)
{
	append_filter(query, filter, false, true);
}

/*
 * Appends what to sort by (RFC 7644 section 3.4.2.3): of a list the primary element, or else the first. False, with nothing appended, where
 * resources have no order by this: references to a whole, members, groups, and what is not kept.
 */
bool
mt_scim_append_sort_key(MtScimQuery *query, const MtScimReference *reference)
{
	const MtScimAttribute *list = reference->attribute;
	const MtScimAttribute *target = reference->sub;
	const MtScimAttribute *primary;

	if (list == NULL)
		return false;
	if (target == NULL)
		target = list->type == MT_SCIM_COMPLEX ? mt_scim_find_attribute(list->subs, "value", 5) : list;
	if (target == NULL || target->sql == NULL)
		return false;
	if (list->source != NULL)
	{
		primary = mt_scim_find_attribute(list->subs, "primary", 7);
		if (primary == NULL)
			return false;
		appendStringInfoString(&query->text, "(SELECT ");
		append_comparable(query, target);
		appendStringInfo(&query->text, " FROM %s ORDER BY (%s) IS NOT TRUE, e.place LIMIT 1)", list->source, primary->sql);
	}
	else
		append_comparable(query, target);
	if (is_text(target))
		appendStringInfoString(&query->text, " COLLATE \"C\"");
	return true;
}
