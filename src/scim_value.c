/*
 * scim_value.c
 *		Values that a client gives for attributes: checked by type and size, and brought under their canonical names.
 *
 * The result holds what is kept and nothing else: attributes that we do not know or do not keep, and those that only we write, are left out.
 * null and an empty list are no value. Strings stay as they were sent.
 *
 * Called for the bodies of POST and PUT (mt_scim_read_resource) and for each value of a PATCH. Never touches a table.
 */
#include "scim_value.h"

#include <ctype.h>

#include "scim_user.h"

/* A boolean, for "active" also as a string: Entra sends "True". */
static bool
read_boolean(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	if (given->type == MT_JSON_BOOLEAN)
		*value = mt_json_boolean(given->boolean);
	else if (given->type == MT_JSON_STRING && strcmp(attribute->name, "active") == 0 &&
			 (pg_strcasecmp(given->text, "true") == 0 || pg_strcasecmp(given->text, "false") == 0))
		*value = mt_json_boolean(pg_strcasecmp(given->text, "true") == 0);
	else
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must be true or false.", attribute->name);
	return true;
}

static bool
is_blank(const char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	return *text == '\0';
}

static bool
read_string(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	int			most = attribute->text_max > 0 ? attribute->text_max : MT_SCIM_TEXT_MAX;

	if (given->type != MT_JSON_STRING)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must be a string.", attribute->name);
	if (strlen(given->text) > (size_t) most)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must not be longer than %d bytes.", attribute->name, most);
	if (attribute->required && is_blank(given->text))
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must not be blank.", attribute->name);
	/* Ids compare exactly and name something; an empty one names nothing. */
	if (attribute->text_max == MT_ID_MAX && given->text[0] == '\0')
		return true;
	*value = mt_json_copy(given);
	return true;
}

/* An object's sub-attributes. */
static bool
read_complex(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	MtJson	   *object = mt_json_object();

	if (given->type != MT_JSON_OBJECT)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must be %s.", attribute->name,
							  attribute->multi_valued ? "a list of objects" : "an object");
	for (int i = 0; i < given->count; i++)
	{
		const MtScimAttribute *sub = mt_scim_find_attribute(attribute->subs, given->keys[i], (int) strlen(given->keys[i]));
		MtJson	   *sub_value;

		if (sub == NULL || sub->sql == NULL || sub->mutability == MT_SCIM_READ_ONLY)
			continue;
		if (!mt_scim_read_value(answer, sub, given->items[i], &sub_value))
			return false;
		if (sub_value != NULL)
			mt_json_set(object, sub->name, sub_value);
	}
	if (object->count > 0)
		*value = object;
	return true;
}

/*
 * Reads one element of a list, or a value that stands alone. *value is NULL where there is none.
 */
bool
mt_scim_read_element(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	*value = NULL;
	if (mt_json_is_empty(given))
		return true;
	switch (attribute->type)
	{
		case MT_SCIM_BOOLEAN:
			return read_boolean(answer, attribute, given, value);
		case MT_SCIM_COMPLEX:
			return read_complex(answer, attribute, given, value);
		default:
			return read_string(answer, attribute, given, value);
	}
}

/*
 * Checks that a list is not too long and has at most one primary value.
 */
bool
mt_scim_check_list(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *list)
{
	int			primaries = 0;

	if (list == NULL)
		return true;
	for (int i = 0; i < list->count; i++)
	{
		const MtJson *primary = mt_json_get(list->items[i], "primary");

		if (primary != NULL && primary->boolean)
			primaries++;
	}
	if (primaries > 1)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must not have two primary values.", attribute->name);
	if (list->count > MT_SCIM_VALUES_MAX)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must not have more than %d values.", attribute->name, MT_SCIM_VALUES_MAX);
	return true;
}

static bool
read_list(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	MtJson	   *list = mt_json_array();

	if (given->type != MT_JSON_ARRAY)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must be a list.", attribute->name);
	if (given->count > MT_SCIM_VALUES_MAX)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must not have more than %d values.", attribute->name, MT_SCIM_VALUES_MAX);
	for (int i = 0; i < given->count; i++)
	{
		MtJson	   *element;

		if (!mt_scim_read_element(answer, attribute, given->items[i], &element))
			return false;
		if (element != NULL)
			mt_json_append(list, element);
	}
	if (!mt_scim_check_list(answer, attribute, list))
		return false;
	if (list->count > 0)
		*value = list;
	return true;
}

/*
 * What is given for a single complex value, in the form of an object: the manager may be given as a plain string, and as a list of one, and Entra
 * does both. Other values are returned as they are.
 */
const MtJson *
mt_scim_as_object(const MtScimAttribute *attribute, const MtJson *given)
{
	MtJson	   *object;

	if (attribute->type != MT_SCIM_COMPLEX || mt_scim_find_attribute(attribute->subs, "value", strlen("value")) == NULL)
		return given;
	if (given->type == MT_JSON_ARRAY && given->count == 1)
		given = given->items[0];
	if (given->type != MT_JSON_STRING)
		return given;
	object = mt_json_object();
	mt_json_set_text(object, "value", given->text);
	return object;
}

/*
 * Reads the value of an attribute or sub-attribute. *value is NULL where there is none.
 */
bool
mt_scim_read_value(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value)
{
	*value = NULL;
	if (mt_json_is_empty(given))
		return true;
	if (attribute->multi_valued)
		return read_list(answer, attribute, given, value);
	return mt_scim_read_element(answer, attribute, mt_scim_as_object(attribute, given), value);
}

/* Reads what stands under the names of a list of attributes; the members of a group are the caller's to read. */
static bool
read_attribute(MtScimAnswer *answer, const MtScimAttribute *list, const char *key, const MtJson *given, MtJson *object)
{
	const MtScimAttribute *attribute = mt_scim_find_attribute(list, key, (int) strlen(key));
	MtJson	   *value;

	if (attribute == NULL || !mt_scim_is_kept(attribute) || attribute->mutability == MT_SCIM_READ_ONLY ||
		strcmp(attribute->name, "schemas") == 0 || strcmp(attribute->name, "members") == 0)
		return true;
	if (!mt_scim_read_value(answer, attribute, given, &value))
		return false;
	if (value != NULL)
		mt_json_set(object, attribute->name, value);
	return true;
}

static bool
read_extension(MtScimAnswer *answer, const MtScimSchema *schema, const MtJson *given, MtJson *object)
{
	MtJson	   *extension = mt_json_object();

	if (mt_json_is_empty(given))
		return true;
	if (given->type != MT_JSON_OBJECT)
		return mt_scim_refuse(answer, 400, "invalidValue", "%s must be an object.", schema->urn);
	for (int i = 0; i < given->count; i++)
		if (!read_attribute(answer, schema->attributes, given->keys[i], given->items[i], extension))
			return false;
	if (extension->count > 0)
		mt_json_set(object, schema->urn, extension);
	return true;
}

/*
 * Checks that a resource has what it must have.
 */
bool
mt_scim_check_resource(MtScimAnswer *answer, MtScimResource resource, const MtJson *object)
{
	for (const MtScimAttribute *attribute = mt_scim_resource_types[resource].schema->attributes; attribute->name != NULL; attribute++)
		if (attribute->required && mt_json_get(object, attribute->name) == NULL)
			return mt_scim_refuse(answer, 400, "invalidValue", "%s is required.", attribute->name);
	return true;
}

/*
 * How many bytes a resource is as JSON, without what has columns of its own.
 */
int
mt_scim_size(const MtJson *object)
{
	return mt_json_length(mt_scim_user_document(object));
}

/*
 * Checks that a resource has no larger mt_scim_size than so many bytes.
 */
bool
mt_scim_check_size(MtScimAnswer *answer, MtScimResource resource, const MtJson *object, int size_max)
{
	int			largest = 0;
	int			largest_size = -1;

	/* Most are small even with everything. */
	if (mt_json_length(object) <= size_max || mt_scim_size(object) <= size_max)
		return true;
	for (int i = 0; i < object->count; i++)
	{
		int			size = mt_json_length(object->items[i]);

		if (size > largest_size)
		{
			largest = i;
			largest_size = size;
		}
	}
	return mt_scim_refuse(answer, 400, "invalidValue", "A %s must not be larger than %d bytes; %s alone has %d.",
						  mt_scim_resource_types[resource].name, size_max, object->keys[largest], largest_size);
}

/*
 * Reads the body of a POST or PUT. False, with a refusal, where something in it is wrong or missing.
 */
bool
mt_scim_read_resource(MtScimAnswer *answer, MtScimResource resource, const MtJson *body, MtJson **object)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];

	if (!mt_scim_require_schema(answer, body, type->schema->urn, "invalidValue"))
		return false;
	*object = mt_json_object();
	for (int i = 0; i < body->count; i++)
	{
		const char *key = body->keys[i];

		if (!read_attribute(answer, type->schema->attributes, key, body->items[i], *object) ||
			!read_attribute(answer, type->common, key, body->items[i], *object))
			return false;
		if (type->extension != NULL && pg_strcasecmp(type->extension->urn, key) == 0 &&
			!read_extension(answer, type->extension, body->items[i], *object))
			return false;
	}
	return mt_scim_check_size(answer, resource, *object, MT_SCIM_RESOURCE_MAX) && mt_scim_check_resource(answer, resource, *object);
}
