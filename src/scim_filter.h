/*
 * scim_filter.h
 *		SCIM filters and PATCH paths: parsed by scim_parse.c, turned into SQL by scim_condition.c, applied to one element of a list by
 *		scim_element.c.
 */
#ifndef MT_SCIM_FILTER_H
#define MT_SCIM_FILTER_H

#include "scim_attribute.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* Bounds of a filter, alone or inside a path; checked before and while it is read. */
#define MT_SCIM_FILTER_BYTES_MAX	16384
#define MT_SCIM_FILTER_TERMS_MAX	500
#define MT_SCIM_FILTER_DEPTH_MAX	32

/* Why a text was refused. */
typedef struct MtScimFault
{
	const char *type;			/* scimType: "invalidFilter" or "invalidPath" */
	char	   *detail;			/* a sentence for the client, palloc'd; NULL: no fault */
} MtScimFault;

typedef enum MtScimOperator
{
	MT_SCIM_EQ,
	MT_SCIM_NE,
	MT_SCIM_CO,
	MT_SCIM_SW,
	MT_SCIM_EW,
	MT_SCIM_GT,
	MT_SCIM_GE,
	MT_SCIM_LT,
	MT_SCIM_LE,
	MT_SCIM_PR
} MtScimOperator;

typedef enum MtScimFilterKind
{
	MT_SCIM_AND,
	MT_SCIM_OR,
	MT_SCIM_NOT,
	MT_SCIM_COMPARE,			/* attribute [. sub] operator value */
	MT_SCIM_ELEMENT				/* attribute "[" filter "]": one element meets the filter */
} MtScimFilterKind;

/*
 * A filter that was found valid: operators fit the attributes' types, and values are of these types. "eq null" has become NOT "pr", "ne null"
 * has become "pr", a list with sub-attributes that is compared as such stands for its "value".
 */
typedef struct MtScimFilter
{
	MtScimFilterKind kind;
	List	   *arguments;		/* of MtScimFilter; AND and OR two or more, NOT and ELEMENT one */

	/* COMPARE and ELEMENT; within brackets the attribute is the list's sub-attribute, and sub is NULL */
	const MtScimAttribute *attribute;
	const MtScimAttribute *sub;
	MtScimOperator operator;
	Datum		value;			/* by the compared attribute's type: text, boolean, timestamptz; 0 for PR */
} MtScimFilter;

/* attrPath, or valuePath ["." sub]. filter: NULL where there are no brackets, else over the sub-attributes of the list. */
typedef struct MtScimPath
{
	MtScimReference reference;
	const MtScimFilter *filter;
} MtScimPath;

/*
 * A condition as SQL with its parameters. The caller puts the tenant into $1 and whatever else he needs behind it, sets count, and appends to
 * text; conditions then go on with the next number. No value is null. The text depends on the form of the filter alone, not on its values.
 */
typedef struct MtScimQuery
{
	StringInfoData text;
	const char *base_url;		/* what stands before "/Users/..." in locations */
	int			count;
	int			room;
	Oid		   *types;
	Datum	   *values;
	int			base_parameter; /* 0: not bound yet */
} MtScimQuery;

/* What a filter costs, in comparisons: for each resource, and for each element of lists. */
typedef struct MtScimListCost
{
	const MtScimAttribute *list;
	int			comparisons;
} MtScimListCost;

typedef struct MtScimFilterCost
{
	int			comparisons;
	int			lookups;		/* of what an index finds for the value of an element; each reads all of that, whatever else is asked */
	List	   *lists;			/* of MtScimListCost */
} MtScimFilterCost;

/* scim_parse.c */
extern const MtScimFilter *mt_scim_parse_filter(const char *text, int length, MtScimResource resource, MtScimFault *fault);
extern bool mt_scim_parse_path(const char *text, int length, MtScimResource resource, MtScimPath *path, MtScimFault *fault);

/* scim_condition.c */
extern void mt_scim_query_begin(MtScimQuery *query, const char *base_url);
extern int	mt_scim_query_bind(MtScimQuery *query, Oid type, Datum value);
extern void mt_scim_filter_cost(const MtScimFilter *filter, MtScimFilterCost *cost);
extern void mt_scim_append_index_part(MtScimQuery *query, const MtScimFilter *filter);
extern void mt_scim_append_condition(MtScimQuery *query, const MtScimFilter *filter);
extern bool mt_scim_append_sort_key(MtScimQuery *query, const MtScimReference *reference);

/* scim_element.c */
extern bool mt_scim_element_matches(const MtScimFilter *filter, JsonbContainer *element);
extern int	mt_scim_filter_terms(const MtScimFilter *filter);
extern int64 mt_scim_filter_work(const MtScimFilter *filter, int64 elements, int64 bytes);
extern List *mt_scim_equal_terms(const MtScimFilter *filter);
extern void mt_scim_value_as_json(const MtScimFilter *term, JsonbValue *value);

#endif							/* MT_SCIM_FILTER_H */
