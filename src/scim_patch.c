/*
 * scim_patch.c
 *		Applies a PATCH (RFC 7644 section 3.5.2, and what Okta and Entra make of it) to a resource in memory.
 *
 * The operations apply in order to a copy of the resource that its caller has read under the row's lock; the caller stores the result, or
 * after a refusal nothing. Members of a group are too many to be read for that: what is done to them is handed to the caller.
 *
 * Called by scim_user.c and scim_group.c. Never touches a table.
 */
#include "scim_patch.h"

#include "miscadmin.h"
#include "scim_value.h"
#include "utils/memutils.h"

static bool apply_value(MtScimPatch *patch, MtScimPatchKind kind, const MtJson *value);

static bool
refuse_read_only(MtScimPatch *patch, const char *name)
{
	return mt_scim_refuse(patch->call->answer, 400, "mutability", "%s cannot be changed.", name);
}

/* The elements of a list that match a filter, or with NULL all of them. False, with a refusal, where there is too much to look at. */
static bool
find_elements(MtScimPatch *patch, const MtScimFilter *filter, const MtJson *list, List **found)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext working;
	int64		bytes;

	*found = NIL;
	if (filter == NULL)
	{
		for (int i = 0; i < list->count; i++)
			*found = lappend(*found, list->items[i]);
		return true;
	}
	bytes = mt_json_length(list) + (int64) list->count * MT_SCIM_MAKING_WORK;
	if (!mt_scim_count_work(patch->call, mt_scim_filter_work(filter, list->count, bytes)))
		return false;
	/* One operation may have tens of thousands of filters, in its keys. */
	working = AllocSetContextCreate(outer, "element of a list", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < list->count; i++)
	{
		bool		matches;

		MemoryContextSwitchTo(working);
		matches = mt_scim_element_matches(filter, &mt_json_to_jsonb(list->items[i])->root);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(working);
		if (matches)
			*found = lappend(*found, list->items[i]);
	}
	MemoryContextDelete(working);
	return true;
}

/* True where both elements of a list stand for one thing: the same value of the same type, or else the same in everything. */
static bool
same_element(const MtJson *left, const MtJson *right)
{
	const char *left_value = mt_json_get_text(left, "value");
	const char *right_value = mt_json_get_text(right, "value");
	const char *left_type = mt_json_get_text(left, "type");
	const char *right_type = mt_json_get_text(right, "type");

	if (left_value == NULL || right_value == NULL)
		return mt_json_equal(left, right);
	return strcmp(left_value, right_value) == 0 &&
		pg_strcasecmp(left_type == NULL ? "" : left_type, right_type == NULL ? "" : right_type) == 0;
}

static void
merge_members(MtJson *object, const MtJson *added)
{
	for (int i = 0; i < added->count; i++)
		mt_json_set(object, added->keys[i], mt_json_copy(added->items[i]));
}

/* Lets the element that an operation has made primary be the only one. False, with a refusal, where it has made two so, or the list too long. */
static bool
settle_list(MtScimPatch *patch, const MtScimAttribute *attribute, MtJson *list, List *touched)
{
	bool		taken = false;
	ListCell   *cell;

	foreach(cell, touched)
	{
		const MtJson *primary = mt_json_get(lfirst(cell), "primary");

		taken |= primary != NULL && primary->boolean;
	}
	for (int i = 0; taken && i < list->count; i++)
		if (!list_member_ptr(touched, list->items[i]) && mt_json_get(list->items[i], "primary") != NULL)
			mt_json_set(list->items[i], "primary", mt_json_boolean(false));
	return mt_scim_check_list(patch->call->answer, attribute, list);
}

/* A value that may stand for a list of one. */
static const MtJson *
as_list(const MtJson *value)
{
	MtJson	   *list;

	if (value->type == MT_JSON_ARRAY || mt_json_is_empty(value))
		return value;
	list = mt_json_array();
	mt_json_append(list, mt_json_copy(value));
	return list;
}

/* Adds elements to a list, or those that are there already their further sub-attributes. */
static bool
add_elements(MtScimPatch *patch, const MtScimAttribute *attribute, MtJson *list, const MtJson *value)
{
	MtJson	   *added;
	List	   *touched = NIL;

	if (!mt_scim_read_value(patch->call->answer, attribute, as_list(value), &added))
		return false;
	for (int i = 0; added != NULL && i < added->count; i++)
	{
		MtJson	   *element = NULL;

		for (int j = 0; j < list->count && element == NULL; j++)
			if (same_element(list->items[j], added->items[i]))
				element = list->items[j];
		if (element == NULL)
		{
			element = added->items[i];
			mt_json_append(list, element);
		}
		else
			merge_members(element, added->items[i]);
		touched = lappend(touched, element);
	}
	return settle_list(patch, attribute, list, touched);
}

/* Removes from a list the elements that a list of values names. */
static void
remove_named(MtJson *list, const MtJson *named)
{
	for (int i = list->count - 1; i >= 0; i--)
		for (int j = 0; j < named->count; j++)
		{
			const char *name = named->items[j]->type == MT_JSON_STRING ? named->items[j]->text : mt_json_get_text(named->items[j], "value");
			const char *value = mt_json_get_text(list->items[i], "value");

			if (name == NULL || value == NULL || pg_strcasecmp(name, value) != 0)
				continue;
			mt_json_remove_item(list, i);
			break;
		}
}

/* The list as a whole is the target. */
static bool
apply_to_whole_list(MtScimPatch *patch, MtScimPatchKind kind, const MtScimAttribute *attribute, MtJson *list, const MtJson *value)
{
	switch (kind)
	{
		case MT_SCIM_ADD:
			return add_elements(patch, attribute, list, value);
		case MT_SCIM_REPLACE:
			list->count = 0;
			return mt_json_is_empty(value) || add_elements(patch, attribute, list, value);
		default:
			if (mt_json_is_empty(value))
				list->count = 0;
			else
				remove_named(list, as_list(value));
			return true;
	}
}

/* A new element made of what a filter says it must be; NULL where it says nothing. */
static MtJson *
element_of_filter(const MtScimFilter *filter)
{
	MtJson	   *element = mt_json_object();
	List	   *terms = mt_scim_equal_terms(filter);
	ListCell   *cell;

	foreach(cell, terms)
	{
		const MtScimFilter *term = lfirst(cell);
		JsonbValue	value;

		mt_scim_value_as_json(term, &value);
		if (value.type == jbvBool)
			mt_json_set(element, term->attribute->name, mt_json_boolean(value.val.boolean));
		else if (value.type == jbvString)
			mt_json_set_text(element, term->attribute->name, pnstrdup(value.val.string.val, value.val.string.len));
	}
	return element;
}

/* Changes one element, or the sub-attribute of it. Afterwards it may be empty. */
static void
change_element(MtJson *element, MtScimPatchKind kind, const MtScimAttribute *sub, const MtJson *value)
{
	if (kind == MT_SCIM_REMOVE || value == NULL)
	{
		if (sub == NULL)
			element->count = 0;
		else
			mt_json_remove(element, sub->name);
	}
	else if (sub == NULL)
		merge_members(element, value);
	else
		mt_json_set(element, sub->name, mt_json_copy(value));
}

/* Elements that match a filter, or with NULL all of them, are the target, or a sub-attribute of theirs. */
static bool
apply_to_elements(MtScimPatch *patch, MtScimPatchKind kind, const MtScimPath *path, MtJson *list, const MtJson *given)
{
	const MtScimAttribute *attribute = path->reference.attribute;
	const MtScimAttribute *sub = path->reference.sub;
	MtJson	   *value = NULL;
	List	   *touched;

	if (kind != MT_SCIM_REMOVE)
	{
		if (sub == NULL && given->type == MT_JSON_ARRAY && given->count == 1)
			given = given->items[0];
		if (sub == NULL ? !mt_scim_read_element(patch->call->answer, attribute, given, &value)
			: !mt_scim_read_value(patch->call->answer, sub, given, &value))
			return false;
	}
	if (!find_elements(patch, path->filter, list, &touched))
		return false;
	if (touched == NIL && kind == MT_SCIM_REPLACE && path->filter != NULL)
		return mt_scim_refuse(patch->call->answer, 400, "noTarget", "No value of %s matches the filter of the path.", attribute->name);
	if (touched == NIL && kind != MT_SCIM_REMOVE && value != NULL)
	{
		mt_json_append(list, path->filter == NULL ? mt_json_object() : element_of_filter(path->filter));
		touched = lappend(touched, list->items[list->count - 1]);
	}
	for (int i = list->count - 1; i >= 0; i--)
	{
		if (!list_member_ptr(touched, list->items[i]))
			continue;
		change_element(list->items[i], kind, sub, value);
		if (list->items[i]->count == 0)
			mt_json_remove_item(list, i);
	}
	return settle_list(patch, attribute, list, touched);
}

static bool
apply_to_list(MtScimPatch *patch, MtScimPatchKind kind, const MtScimPath *path, MtJson *container, const MtJson *value)
{
	const MtScimAttribute *attribute = path->reference.attribute;
	MtJson	   *list = mt_json_get(container, attribute->name);
	bool		done;

	if (list == NULL)
	{
		list = mt_json_array();
		mt_json_set(container, attribute->name, list);
	}
	if (path->filter == NULL && path->reference.sub == NULL)
		done = apply_to_whole_list(patch, kind, attribute, list, value);
	else
		done = apply_to_elements(patch, kind, path, list, value);
	if (list->count == 0)
		mt_json_remove(container, attribute->name);
	return done;
}

/* A single value, or a sub-attribute of it, is the target. */
static bool
apply_to_single(MtScimPatch *patch, MtScimPatchKind kind, const MtScimPath *path, MtJson *container, const MtJson *given)
{
	const MtScimAttribute *attribute = path->reference.attribute;
	const MtScimAttribute *sub = path->reference.sub;
	MtJson	   *complex = mt_json_get(container, attribute->name);
	MtJson	   *value = NULL;

	if (kind != MT_SCIM_REMOVE)
	{
		if (sub == NULL)
			given = mt_scim_as_object(attribute, given);
		if (!mt_scim_read_value(patch->call->answer, sub == NULL ? attribute : sub, given, &value))
			return false;
	}
	if (attribute->type != MT_SCIM_COMPLEX || (sub == NULL && (kind == MT_SCIM_REMOVE || mt_json_is_empty(given))))
	{
		if (value == NULL)
			mt_json_remove(container, attribute->name);
		else
			mt_json_set(container, attribute->name, value);
		return true;
	}
	if (complex == NULL)
	{
		complex = mt_json_object();
		mt_json_set(container, attribute->name, complex);
	}
	if (sub == NULL)
	{
		/* What is given and is no value is taken away: null, or an empty id. */
		for (int i = 0; i < given->count; i++)
			if (mt_json_get(value, given->keys[i]) == NULL)
				mt_json_remove(complex, given->keys[i]);
		if (value != NULL)
			merge_members(complex, value);
	}
	else
		change_element(complex, kind, sub, value);
	if (complex->count == 0)
		mt_json_remove(container, attribute->name);
	return true;
}

/* The extension as a whole is the target: its members one by one. */
static bool
apply_to_schema(MtScimPatch *patch, MtScimPatchKind kind, const MtScimSchema *schema, const MtJson *value)
{
	MtJson	   *prefixed = mt_json_object();

	if (kind != MT_SCIM_ADD && (kind == MT_SCIM_REMOVE || mt_json_is_empty(value)))
	{
		mt_json_remove(patch->object, schema->urn);
		return true;
	}
	if (value->type != MT_JSON_OBJECT)
		return mt_scim_refuse(patch->call->answer, 400, "invalidValue", "%s must be an object.", schema->urn);
	for (int i = 0; i < value->count; i++)
	{
		/* A URN once more would let values nest without end. */
		if (pg_strncasecmp(value->keys[i], "urn:", strlen("urn:")) != 0)
			mt_json_add(prefixed, psprintf("%s:%s", schema->urn, value->keys[i]), value->items[i]);
	}
	return apply_value(patch, kind, prefixed);
}

/* One operation with its target. value is NULL for a remove without one. */
static bool
apply_to_path(MtScimPatch *patch, MtScimPatchKind kind, const MtScimPath *path, const MtJson *value)
{
	const MtScimSchema *schema = path->reference.schema;
	const MtScimAttribute *attribute = path->reference.attribute;
	const MtScimAttribute *sub = path->reference.sub;
	bool		extension = schema == mt_scim_resource_types[patch->resource].extension;
	MtJson	   *container = patch->object;
	bool		done;

	if (attribute == NULL)
		return apply_to_schema(patch, kind, schema, value);
	if (attribute->mutability == MT_SCIM_READ_ONLY)
		return refuse_read_only(patch, attribute->name);
	if (sub != NULL && sub->mutability == MT_SCIM_READ_ONLY)
		return refuse_read_only(patch, psprintf("%s.%s", attribute->name, sub->name));
	if (strcmp(attribute->name, "schemas") == 0 || !mt_scim_is_kept(attribute) || (sub != NULL && sub->sql == NULL))
		return true;
	if (strcmp(attribute->name, "members") == 0)
		return patch->members(patch->members_state, kind, path->filter, sub, value);
	if (extension)
	{
		container = mt_json_get(patch->object, schema->urn);
		if (container == NULL)
		{
			container = mt_json_object();
			mt_json_set(patch->object, schema->urn, container);
		}
	}
	done = attribute->multi_valued ? apply_to_list(patch, kind, path, container, value)
		: apply_to_single(patch, kind, path, container, value);
	if (extension && container->count == 0)
		mt_json_remove(patch->object, schema->urn);
	return done;
}

/*
 * Add or replace without a path: each member of the value as if its name were the path. Names that are no attribute are ignored, as in the body
 * of a PUT; what begins to be a filter must be one.
 */
static bool
apply_value(MtScimPatch *patch, MtScimPatchKind kind, const MtJson *value)
{
	for (int i = 0; i < value->count; i++)
	{
		const char *key = value->keys[i];
		int			length = (int) strlen(key);
		const MtScimSchema *schema = mt_scim_find_schema(patch->resource, key, length);
		MtScimReference reference;
		MtScimPath	path;
		MtScimFault fault = {0};

		CHECK_FOR_INTERRUPTS();
		if (schema != NULL)
		{
			if (!mt_json_is_empty(value->items[i]) && !apply_to_schema(patch, kind, schema, value->items[i]))
				return false;
			continue;
		}
		if (pg_strcasecmp(key, "id") == 0 && value->items[i]->type == MT_JSON_STRING && strcmp(value->items[i]->text, patch->id) == 0)
			continue;
		if (strchr(key, '[') == NULL && !mt_scim_resolve(patch->resource, key, length, &reference))
			continue;
		if (!mt_scim_parse_path(key, length, patch->resource, &path, &fault))
			return mt_scim_refuse(patch->call->answer, 400, fault.type, "%s", fault.detail);
		if (!apply_to_path(patch, kind, &path, value->items[i]))
			return false;
	}
	return true;
}

static bool
read_kind(MtScimPatch *patch, const MtJson *operation, MtScimPatchKind *kind)
{
	const char *word = mt_json_get_text(operation, "op");

	if (word != NULL && pg_strcasecmp(word, "add") == 0)
		*kind = MT_SCIM_ADD;
	else if (word != NULL && pg_strcasecmp(word, "replace") == 0)
		*kind = MT_SCIM_REPLACE;
	else if (word != NULL && pg_strcasecmp(word, "remove") == 0)
		*kind = MT_SCIM_REMOVE;
	else
		return mt_scim_refuse(patch->call->answer, 400, "invalidSyntax", "op must be add, replace or remove.");
	return true;
}

static bool
apply_operation(MtScimPatch *patch, const MtJson *operation)
{
	const MtJson *path_text = mt_json_get(operation, "path");
	const MtJson *value = mt_json_get(operation, "value");
	MtScimPatchKind kind;
	MtScimPath	path;
	MtScimFault fault = {0};

	if (operation->type != MT_JSON_OBJECT)
		return mt_scim_refuse(patch->call->answer, 400, "invalidSyntax", "An operation must be an object.");
	if (!read_kind(patch, operation, &kind))
		return false;
	if (path_text != NULL && path_text->type == MT_JSON_NULL)
		path_text = NULL;
	if (path_text == NULL && kind == MT_SCIM_REMOVE)
		return mt_scim_refuse(patch->call->answer, 400, "noTarget", "remove needs a path.");
	if (value == NULL && kind != MT_SCIM_REMOVE)
		return mt_scim_refuse(patch->call->answer, 400, "invalidValue", "add and replace need a value.");
	if (path_text == NULL)
	{
		if (value->type != MT_JSON_OBJECT)
			return mt_scim_refuse(patch->call->answer, 400, "invalidValue", "Without a path the value must be an object.");
		return apply_value(patch, kind, value);
	}
	if (path_text->type != MT_JSON_STRING)
		return mt_scim_refuse(patch->call->answer, 400, "invalidPath", "path must be a string.");
	if (!mt_scim_parse_path(path_text->text, (int) strlen(path_text->text), patch->resource, &path, &fault))
		return mt_scim_refuse(patch->call->answer, 400, fault.type, "%s", fault.detail);
	return apply_to_path(patch, kind, &path, value);
}

/*
 * Runs an operation in memory of its own, of which afterwards only the resource is left, so that a thousand of them need no more than one. False,
 * with a refusal, also where the resource then is larger than size_max.
 */
static bool
run_operation(MtScimPatch *patch, const MtJson *operation, int size_max, MemoryContext *held)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext working = AllocSetContextCreate(outer, "operation of a PATCH", ALLOCSET_DEFAULT_SIZES);
	MemoryContext next;
	bool		done;

	MemoryContextSwitchTo(working);
	done = apply_operation(patch, operation) && mt_scim_check_size(patch->call->answer, patch->resource, patch->object, size_max);
	/* What a refusal consists of is there. */
	if (done)
	{
		next = AllocSetContextCreate(outer, "resource of a PATCH", ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(next);
		patch->object = mt_json_copy(patch->object);
		MemoryContextDelete(working);
		if (*held != NULL)
			MemoryContextDelete(*held);
		*held = next;
	}
	MemoryContextSwitchTo(outer);
	return done;
}

/*
 * Applies the operations of a PATCH request in order. False, with a refusal, where one of them cannot be; the object is then of no use.
 */
bool
mt_scim_apply_patch(MtScimPatch *patch, const MtJson *body)
{
	MtScimAnswer *answer = patch->call->answer;
	const MtJson *operations = mt_json_get(body, "Operations");
	MemoryContext held = NULL;
	int			size_max = Max(mt_scim_size(patch->object), MT_SCIM_RESOURCE_MAX);

	if (!mt_scim_require_schema(answer, body, MT_SCIM_PATCH_URN, "invalidSyntax"))
		return false;
	if (operations == NULL || operations->type != MT_JSON_ARRAY || operations->count == 0)
		return mt_scim_refuse(answer, 400, "invalidSyntax", "Operations must be a list of one or more operations.");
	if (operations->count > MT_SCIM_OPERATIONS_MAX)
		return mt_scim_refuse(answer, 413, NULL, "A request must not have more than %d operations.", MT_SCIM_OPERATIONS_MAX);
	for (int i = 0; i < operations->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!run_operation(patch, operations->items[i], size_max, &held))
			return false;
	}
	return mt_scim_check_resource(answer, patch->resource, patch->object);
}
