/*
 * scim_select.c
 *		Which attributes a client wants to see: "attributes" and "excludedAttributes" (RFC 7644 section 3.9).
 *
 * Names are those of a filter: with or without URN, with or without a sub-attribute, or an extension's URN alone. Names that are no attribute
 * select nothing. What is returned always (id, schemas) is returned whatever is asked for.
 *
 * Called by the files that answer with a resource. Never touches a table.
 */
#include "scim_select.h"

/* Adds a reference once, so that each attribute of an answer is held against as many as there are attributes, however many names came. */
static List *
add_reference(List *references, const MtScimReference *added)
{
	MtScimReference *reference;
	ListCell   *cell;

	foreach(cell, references)
	{
		reference = lfirst(cell);
		if (reference->schema == added->schema && reference->attribute == added->attribute && reference->sub == added->sub)
			return references;
	}
	reference = palloc(sizeof(MtScimReference));
	*reference = *added;
	return lappend(references, reference);
}

static List *
resolve_names(List *names, MtScimResource resource)
{
	List	   *references = NIL;
	ListCell   *cell;

	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		MtScimReference reference;

		if (mt_scim_resolve(resource, name, (int) strlen(name), &reference))
			references = add_reference(references, &reference);
	}
	return references;
}

/*
 * Reads the selection of a request. False, with a refusal, where it asks both for some attributes and for all but some.
 */
bool
mt_scim_read_selection(const MtScimParameters *parameters, MtScimResource resource, MtScimSelection *selection, MtScimAnswer *answer)
{
	selection->kind = MT_SCIM_SELECT_ALL;
	selection->references = NIL;
	if (parameters->attributes != NIL && parameters->excluded_attributes != NIL)
		return mt_scim_refuse(answer, 400, "invalidValue", "attributes and excludedAttributes exclude each other.");
	if (parameters->attributes != NIL)
		selection->kind = MT_SCIM_SELECT_ONLY;
	else if (parameters->excluded_attributes != NIL)
		selection->kind = MT_SCIM_SELECT_WITHOUT;
	selection->references = resolve_names(selection->kind == MT_SCIM_SELECT_ONLY ? parameters->attributes : parameters->excluded_attributes,
										  resource);
	return true;
}

/* True where a reference of the selection means the attribute as a whole. */
static bool
names_whole(const MtScimSelection *selection, const MtScimSchema *schema, const MtScimAttribute *attribute)
{
	ListCell   *cell;

	foreach(cell, selection->references)
	{
		const MtScimReference *reference = lfirst(cell);

		if (reference->schema == schema && reference->sub == NULL && (reference->attribute == NULL || reference->attribute == attribute))
			return true;
	}
	return false;
}

static bool
names_sub(const MtScimSelection *selection, const MtScimAttribute *attribute, const MtScimAttribute *sub)
{
	ListCell   *cell;

	foreach(cell, selection->references)
	{
		const MtScimReference *reference = lfirst(cell);

		if (reference->attribute == attribute && (reference->sub == sub || (sub == NULL && reference->sub != NULL)))
			return true;
	}
	return false;
}

/* Leaves of one element of a complex attribute what is wanted. */
static void
select_subs(const MtScimSelection *selection, const MtScimAttribute *attribute, MtJson *element)
{
	if (element->type != MT_JSON_OBJECT)
		return;
	for (int i = element->count - 1; i >= 0; i--)
	{
		const MtScimAttribute *sub = mt_scim_find_attribute(attribute->subs, element->keys[i], (int) strlen(element->keys[i]));

		if (names_sub(selection, attribute, sub) != (selection->kind == MT_SCIM_SELECT_ONLY))
			mt_json_remove_item(element, i);
	}
}

/* True where something of the attribute remains; takes out of its value what does not. */
static bool
select_attribute(const MtScimSelection *selection, const MtScimSchema *schema, const MtScimAttribute *attribute, MtJson *value)
{
	bool		only = selection->kind == MT_SCIM_SELECT_ONLY;

	if (attribute->returned == MT_SCIM_RETURNED_ALWAYS)
		return true;
	if (names_whole(selection, schema, attribute))
		return only;
	if (!names_sub(selection, attribute, NULL))
		return !only;
	if (value->type == MT_JSON_ARRAY)
		for (int i = 0; i < value->count; i++)
			select_subs(selection, attribute, value->items[i]);
	else
		select_subs(selection, attribute, value);
	return true;
}

/* The attribute of a member of a resource. */
static const MtScimAttribute *
attribute_of_key(const MtScimResourceType *type, const char *key)
{
	const MtScimAttribute *attribute = mt_scim_find_attribute(type->schema->attributes, key, (int) strlen(key));

	return attribute != NULL ? attribute : mt_scim_find_attribute(type->common, key, (int) strlen(key));
}

/*
 * True where something of the named attribute of the core schema is wanted, so that it must be read.
 */
bool
mt_scim_selects(const MtScimSelection *selection, MtScimResource resource, const char *name)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];
	const MtScimAttribute *attribute = attribute_of_key(type, name);

	switch (selection->kind)
	{
		case MT_SCIM_SELECT_ONLY:
			return names_whole(selection, type->schema, attribute) || names_sub(selection, attribute, NULL);
		case MT_SCIM_SELECT_WITHOUT:
			return !names_whole(selection, type->schema, attribute);
		default:
			return true;
	}
}

static void
select_extension(const MtScimSelection *selection, const MtScimSchema *schema, MtJson *extension)
{
	for (int i = extension->count - 1; i >= 0; i--)
	{
		const MtScimAttribute *attribute = mt_scim_find_attribute(schema->attributes, extension->keys[i], (int) strlen(extension->keys[i]));

		if (attribute != NULL && !select_attribute(selection, schema, attribute, extension->items[i]))
			mt_json_remove_item(extension, i);
	}
}

/*
 * Takes out of a resource what is not wanted.
 */
void
mt_scim_apply_selection(const MtScimSelection *selection, MtScimResource resource, MtJson *object)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];

	if (selection->kind == MT_SCIM_SELECT_ALL)
		return;
	for (int i = object->count - 1; i >= 0; i--)
	{
		const MtScimAttribute *attribute = attribute_of_key(type, object->keys[i]);
		MtJson	   *value = object->items[i];
		bool		remains;

		if (attribute == NULL)
		{
			select_extension(selection, type->extension, value);
			remains = value->count > 0;
		}
		else
			remains = select_attribute(selection, type->schema, attribute, value);
		if (!remains)
			mt_json_remove_item(object, i);
	}
}
