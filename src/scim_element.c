/*
 * scim_element.c
 *		Applies the filter in the brackets of a PATCH path to one element of a list, held as jsonb under the canonical names.
 *
 * The rules are those of scim_condition.c, which says the same in SQL: absent parts meet nothing but "ne", text is compared without case
 * unless the attribute says otherwise, and lexically byte by byte.
 *
 * Called by PATCH and scim_inspect.c. Never touches a table.
 */
#include "scim_filter.h"

#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

/* Text in the form in which it is compared. */
static char *
comparable(const MtScimAttribute *attribute, const char *text, int length)
{
	return attribute->case_exact ? pnstrdup(text, length) : str_tolower(text, length, DEFAULT_COLLATION_OID);
}

static bool
texts_match(MtScimOperator operator, const char *left, const char *right)
{
	size_t		left_length = strlen(left);
	size_t		right_length = strlen(right);

	switch (operator)
	{
		case MT_SCIM_EQ:
			return strcmp(left, right) == 0;
		case MT_SCIM_NE:
			return strcmp(left, right) != 0;
		case MT_SCIM_CO:
			return strstr(left, right) != NULL;
		case MT_SCIM_SW:
			return strncmp(left, right, right_length) == 0;
		case MT_SCIM_EW:
			return left_length >= right_length && strcmp(left + left_length - right_length, right) == 0;
		case MT_SCIM_GT:
			return strcmp(left, right) > 0;
		case MT_SCIM_GE:
			return strcmp(left, right) >= 0;
		case MT_SCIM_LT:
			return strcmp(left, right) < 0;
		case MT_SCIM_LE:
			return strcmp(left, right) <= 0;
		case MT_SCIM_PR:
			break;
	}
	return left_length > 0;
}

static bool
text_matches(const MtScimFilter *term, const JsonbValue *found)
{
	text	   *value = DatumGetTextPP(term->value);
	char	   *left = comparable(term->attribute, found->val.string.val, found->val.string.len);
	char	   *right = comparable(term->attribute, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	bool		matches = texts_match(term->operator, left, right);

	pfree(left);
	pfree(right);
	return matches;
}

static bool
boolean_matches(const MtScimFilter *term, bool found)
{
	bool		same = term->operator == MT_SCIM_PR || found == DatumGetBool(term->value);

	return term->operator == MT_SCIM_NE ? !same : same;
}

static bool
term_matches(const MtScimFilter *term, JsonbContainer *element)
{
	JsonbValue	found;

	if (JsonContainerIsObject(element) &&
		getKeyJsonValueFromContainer(element, term->attribute->name, (int) strlen(term->attribute->name), &found) != NULL)
	{
		if (term->attribute->type == MT_SCIM_BOOLEAN && found.type == jbvBool)
			return boolean_matches(term, found.val.boolean);
		if (term->attribute->type != MT_SCIM_BOOLEAN && found.type == jbvString)
			return term->operator == MT_SCIM_PR ? found.val.string.len > 0 : text_matches(term, &found);
	}
	return term->operator == MT_SCIM_NE;
}

/*
 * True where an element meets the filter of a path. The filter is one over sub-attributes: see MtScimPath.
 */
bool
mt_scim_element_matches(const MtScimFilter *filter, JsonbContainer *element)
{
	ListCell   *cell;

	switch (filter->kind)
	{
		case MT_SCIM_AND:
			foreach(cell, filter->arguments)
				if (!mt_scim_element_matches(lfirst(cell), element))
					return false;
			return true;
		case MT_SCIM_OR:
			foreach(cell, filter->arguments)
				if (mt_scim_element_matches(lfirst(cell), element))
					return true;
			return false;
		case MT_SCIM_NOT:
			return !mt_scim_element_matches(linitial(filter->arguments), element);
		case MT_SCIM_COMPARE:
			return term_matches(filter, element);
		case MT_SCIM_ELEMENT:
			break;
	}
	elog(ERROR, "a filter over the parts of an element is expected");
}

/*
 * How many comparisons a filter has.
 */
int
mt_scim_filter_terms(const MtScimFilter *filter)
{
	int			count = filter->kind == MT_SCIM_COMPARE ? 1 : 0;
	ListCell   *cell;

	check_stack_depth();
	foreach(cell, filter->arguments)
		count += mt_scim_filter_terms(lfirst(cell));
	return count;
}

/*
 * How many bytes a filter goes through for so many elements of so many bytes together: those, and the value that they are compared with, each time.
 */
int64
mt_scim_filter_work(const MtScimFilter *filter, int64 elements, int64 bytes)
{
	int64		work = 0;
	ListCell   *cell;

	check_stack_depth();
	if (filter->kind == MT_SCIM_COMPARE)
	{
		bool		text = filter->operator != MT_SCIM_PR && filter->attribute->type != MT_SCIM_BOOLEAN;

		work = bytes + (text ? elements * (int64) VARSIZE_ANY_EXHDR(DatumGetPointer(filter->value)) : 0);
	}
	foreach(cell, filter->arguments)
		work += mt_scim_filter_work(lfirst(cell), elements, bytes);
	return work;
}

/*
 * The comparisons with eq that every element which meets the filter meets, as a list of MtScimFilter: what an element is made of that does not
 * exist yet, and what an index can look for.
 */
List *
mt_scim_equal_terms(const MtScimFilter *filter)
{
	List	   *terms = NIL;
	ListCell   *cell;

	if (filter->kind == MT_SCIM_COMPARE && filter->operator == MT_SCIM_EQ)
		return list_make1(unconstify(MtScimFilter *, filter));
	if (filter->kind == MT_SCIM_AND)
		foreach(cell, filter->arguments)
			terms = list_concat(terms, mt_scim_equal_terms(lfirst(cell)));
	return terms;
}

/*
 * The value of a comparison as JSON has it; the string stays the comparison's.
 */
void
mt_scim_value_as_json(const MtScimFilter *term, JsonbValue *value)
{
	if (term->attribute->type == MT_SCIM_BOOLEAN)
	{
		value->type = jbvBool;
		value->val.boolean = DatumGetBool(term->value);
	}
	else
	{
		text	   *string = DatumGetTextPP(term->value);

		value->type = jbvString;
		value->val.string.val = VARDATA_ANY(string);
		value->val.string.len = VARSIZE_ANY_EXHDR(string);
	}
}
