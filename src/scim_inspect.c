/*
 * scim_inspect.c
 *		How a SCIM filter or a PATCH path is understood, as SQL functions for those who look into what an identity provider sends.
 *
 * Internal: nobody but the owner and the service role may call them. They read no table and run no condition.
 */
#include "scim_filter.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(mt_scim_inspect_filter);
PG_FUNCTION_INFO_V1(mt_scim_inspect_path);

static MtScimResource
resource_named(text *name)
{
	for (int i = 0; i < (int) lengthof(mt_scim_resource_types); i++)
		if (strcmp(mt_scim_resource_types[i].name, text_to_cstring(name)) == 0)
			return (MtScimResource) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("resource must be User or Group")));
}

static TupleDesc
result_type(FunctionCallInfo fcinfo)
{
	TupleDesc	type;

	if (get_call_result_type(fcinfo, NULL, &type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "the result must be a row");
	return BlessTupleDesc(type);
}

static Datum
value_as_text(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return CStringGetTextDatum(OidOutputFunctionCall(output, value));
}

/*
 * mindtickle.scim_inspect_filter(resource, filter) -> (fault_type, fault, condition, parameter_types, parameters): the condition and what is
 * bound to $1 and so on, $1 being the tenant, here null; or the fault.
 */
Datum
mt_scim_inspect_filter(PG_FUNCTION_ARGS)
{
	text	   *filter_text = PG_GETARG_TEXT_PP(1);
	TupleDesc	type = result_type(fcinfo);
	MtScimFault fault;
	MtScimQuery query;
	const MtScimFilter *filter;
	Datum		values[5] = {0};
	bool		nulls[5] = {true, true, true, true, true};

	filter = mt_scim_parse_filter(VARDATA_ANY(filter_text), VARSIZE_ANY_EXHDR(filter_text), resource_named(PG_GETARG_TEXT_PP(0)), &fault);
	if (filter == NULL)
	{
		values[0] = CStringGetTextDatum(fault.type);
		values[1] = CStringGetTextDatum(fault.detail);
		nulls[0] = nulls[1] = false;
	}
	else
	{
		Datum	   *types;
		Datum	   *texts;
		bool	   *absent;
		int			bounds[2] = {0, 1};

		mt_scim_query_begin(&query, "/scim/v2");
		(void) mt_scim_query_bind(&query, TEXTOID, (Datum) 0);
		mt_scim_append_condition(&query, filter);

		types = palloc(query.count * sizeof(Datum));
		texts = palloc(query.count * sizeof(Datum));
		absent = palloc0(query.count * sizeof(bool));
		absent[0] = true;
		for (int i = 0; i < query.count; i++)
		{
			types[i] = ObjectIdGetDatum(query.types[i]);
			texts[i] = absent[i] ? (Datum) 0 : value_as_text(query.types[i], query.values[i]);
		}
		bounds[0] = query.count;
		values[2] = CStringGetTextDatum(query.text.data);
		values[3] = PointerGetDatum(construct_array(types, query.count, REGTYPEOID, sizeof(Oid), true, TYPALIGN_INT));
		values[4] = PointerGetDatum(construct_md_array(texts, absent, 1, &bounds[0], &bounds[1], TEXTOID, -1, false, TYPALIGN_INT));
		nulls[2] = nulls[3] = nulls[4] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(type, values, nulls)));
}

/* The name of what a path leads to, with the URN where it is an extension's. */
static Datum
reference_text(MtScimResource resource, const MtScimReference *reference)
{
	bool		is_extension = reference->schema == mt_scim_resource_types[resource].extension;

	return CStringGetTextDatum(psprintf("%s%s%s%s%s",
										is_extension ? reference->schema->urn : "",
										is_extension && reference->attribute != NULL ? ":" : "",
										reference->attribute != NULL ? reference->attribute->name : "",
										reference->sub != NULL ? "." : "",
										reference->sub != NULL ? reference->sub->name : ""));
}

/* What the equal terms of a filter make an element of. */
static Datum
terms_as_json(const MtScimFilter *filter)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, mt_scim_equal_terms(filter))
	{
		MtScimFilter *term = lfirst(cell);
		JsonbValue	key = {.type = jbvString};
		JsonbValue	value;

		key.val.string.val = unconstify(char *, term->attribute->name);
		key.val.string.len = (int) strlen(term->attribute->name);
		mt_scim_value_as_json(term, &value);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}

/*
 * mindtickle.scim_inspect_path(resource, path, element) -> (fault_type, fault, target, matches, terms): where the path leads, whether the
 * element meets its brackets, and what add makes of them where no element does; or the fault.
 */
Datum
mt_scim_inspect_path(PG_FUNCTION_ARGS)
{
	MtScimResource resource = resource_named(PG_GETARG_TEXT_PP(0));
	text	   *path_text = PG_GETARG_TEXT_PP(1);
	Jsonb	   *element = PG_GETARG_JSONB_P(2);
	TupleDesc	type = result_type(fcinfo);
	MtScimFault fault;
	MtScimPath	path;
	Datum		values[5] = {0};
	bool		nulls[5] = {true, true, true, true, true};

	if (!mt_scim_parse_path(VARDATA_ANY(path_text), VARSIZE_ANY_EXHDR(path_text), resource, &path, &fault))
	{
		values[0] = CStringGetTextDatum(fault.type);
		values[1] = CStringGetTextDatum(fault.detail);
		nulls[0] = nulls[1] = false;
	}
	else
	{
		values[2] = reference_text(resource, &path.reference);
		nulls[2] = false;
		if (path.filter != NULL)
		{
			values[3] = BoolGetDatum(mt_scim_element_matches(path.filter, &element->root));
			values[4] = terms_as_json(path.filter);
			nulls[3] = nulls[4] = false;
		}
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(type, values, nulls)));
}
