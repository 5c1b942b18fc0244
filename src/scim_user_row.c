/*
 * scim_user_row.c
 *		Users between their row and their SCIM resource.
 *
 * userName, externalId, active, title, department and manager stand in columns of their own; everything else that is kept stands under "scim"
 * in users.attributes as it was sent. name, email and role are made of that for everybody else. Whom no identity provider has written yet shows
 * what the columns hold.
 *
 * Called by scim_user.c and scim_list.c. Reads rows, runs no statement.
 */
#include "scim_user.h"

#include "executor/spi.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* Columns of MT_SCIM_USER_COLUMNS, from 1. */
enum
{
	COLUMN_USER_ID = 1,
	COLUMN_USER_NAME,
	COLUMN_EXTERNAL_ID,
	COLUMN_ACTIVE,
	COLUMN_TITLE,
	COLUMN_DEPARTMENT,
	COLUMN_MANAGER_ID,
	COLUMN_NAME,
	COLUMN_DOCUMENT,
	COLUMN_EMAILS,
	COLUMN_VERSION,
	COLUMN_CREATED_AT,
	COLUMN_UPDATED_AT,
	COLUMN_GROUPS
};

/* Attributes that have columns of their own, beside those of the extension. */
static const char *const own_columns[] = {"userName", "externalId", "active", "title"};

static char *
text_of_row(HeapTuple row, TupleDesc descriptor, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, descriptor, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static MtJson *
json_of_row(HeapTuple row, TupleDesc descriptor, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, descriptor, column, &isnull);

	return isnull ? NULL : mt_json_from_jsonb(DatumGetJsonbP(value));
}

/* The extension's part of an object, made where it is not there. */
static MtJson *
extension_of(MtJson *object)
{
	MtJson	   *extension = mt_json_get(object, MT_SCIM_ENTERPRISE_URN);

	if (extension == NULL || extension->type != MT_JSON_OBJECT)
	{
		extension = mt_json_object();
		mt_json_set(object, MT_SCIM_ENTERPRISE_URN, extension);
	}
	return extension;
}

/*
 * Reads a row with MT_SCIM_USER_COLUMNS.
 */
void
mt_scim_user_from_row(HeapTuple row, TupleDesc descriptor, MtScimUser *user)
{
	MtJson	   *object = json_of_row(row, descriptor, COLUMN_DOCUMENT);
	MtJson	   *emails = json_of_row(row, descriptor, COLUMN_EMAILS);
	char	   *department = text_of_row(row, descriptor, COLUMN_DEPARTMENT);
	char	   *manager_id = text_of_row(row, descriptor, COLUMN_MANAGER_ID);
	bool		isnull;

	memset(user, 0, sizeof(MtScimUser));
	user->id = text_of_row(row, descriptor, COLUMN_USER_ID);
	user->version = DatumGetInt64(SPI_getbinval(row, descriptor, COLUMN_VERSION, &isnull));
	user->created_at = DatumGetTimestampTz(SPI_getbinval(row, descriptor, COLUMN_CREATED_AT, &isnull));
	user->updated_at = DatumGetTimestampTz(SPI_getbinval(row, descriptor, COLUMN_UPDATED_AT, &isnull));
	user->groups = json_of_row(row, descriptor, COLUMN_GROUPS);
	user->provisioned = object != NULL && object->type == MT_JSON_OBJECT;
	if (!user->provisioned)
	{
		char	   *name = text_of_row(row, descriptor, COLUMN_NAME);

		object = mt_json_object();
		if (name != NULL)
		{
			MtJson	   *parts = mt_json_object();

			mt_json_set_text(parts, "formatted", name);
			mt_json_set(object, "name", parts);
			mt_json_set_text(object, "displayName", name);
		}
		if (!mt_json_is_empty(emails))
			mt_json_set(object, "emails", emails);
	}
	mt_json_set_text(object, "userName", text_of_row(row, descriptor, COLUMN_USER_NAME));
	mt_json_set_text(object, "externalId", text_of_row(row, descriptor, COLUMN_EXTERNAL_ID));
	mt_json_set(object, "active", mt_json_boolean(DatumGetBool(SPI_getbinval(row, descriptor, COLUMN_ACTIVE, &isnull))));
	mt_json_set_text(object, "title", text_of_row(row, descriptor, COLUMN_TITLE));
	if (department != NULL)
		mt_json_set_text(extension_of(object), "department", department);
	if (manager_id != NULL)
	{
		MtJson	   *manager = mt_json_object();

		mt_json_set_text(manager, "value", manager_id);
		mt_json_set(extension_of(object), "manager", manager);
	}
	user->object = object;
}

/* A moment as RFC 3339 has it, in UTC. NULL for one that has no such form. */
static char *
format_moment(TimestampTz moment)
{
	struct pg_tm tm;
	fsec_t		microseconds;

	if (TIMESTAMP_NOT_FINITE(moment) || timestamp2tm(moment, NULL, &tm, &microseconds, NULL, NULL) != 0)
		return NULL;
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
					(int) microseconds);
}

/*
 * The attribute meta of a resource.
 */
MtJson *
mt_scim_meta(const MtScimCall *call, MtScimResource resource, const char *id, int64 version, TimestampTz created_at, TimestampTz updated_at)
{
	MtJson	   *meta = mt_json_object();

	mt_json_set_text(meta, "resourceType", mt_scim_resource_types[resource].name);
	mt_json_set_text(meta, "created", format_moment(created_at));
	mt_json_set_text(meta, "lastModified", format_moment(updated_at));
	mt_json_set_text(meta, "location", mt_scim_location(call, mt_scim_resource_types[resource].endpoint, id));
	mt_json_set_text(meta, "version", mt_scim_etag(version));
	return meta;
}

/* The attribute groups, of pairs of id and name. */
static MtJson *
render_groups(const MtScimCall *call, const MtJson *pairs)
{
	MtJson	   *groups = mt_json_array();

	for (int i = 0; i < pairs->count; i++)
	{
		MtJson	   *group = mt_json_object();
		const MtJson *pair = pairs->items[i];

		mt_json_set_text(group, "value", pair->items[0]->text);
		mt_json_set_text(group, "$ref", mt_scim_location(call, mt_scim_resource_types[MT_SCIM_GROUP].endpoint, pair->items[0]->text));
		mt_json_set_text(group, "display", pair->items[1]->text);
		mt_json_set_text(group, "type", "direct");
		mt_json_append(groups, group);
	}
	return groups;
}

/*
 * The resource as it is answered.
 */
MtJson *
mt_scim_user_render(const MtScimCall *call, const MtScimUser *user, const MtScimSelection *selection)
{
	MtJson	   *resource = mt_json_object();
	MtJson	   *schemas = mt_json_array();

	mt_json_append(schemas, mt_json_string(MT_SCIM_USER_URN));
	if (mt_json_get(user->object, MT_SCIM_ENTERPRISE_URN) != NULL)
		mt_json_append(schemas, mt_json_string(MT_SCIM_ENTERPRISE_URN));
	mt_json_set(resource, "schemas", schemas);
	mt_json_set_text(resource, "id", user->id);
	for (int i = 0; i < user->object->count; i++)
		mt_json_set(resource, user->object->keys[i], user->object->items[i]);
	if (user->groups != NULL)
		mt_json_set(resource, "groups", render_groups(call, user->groups));
	mt_json_set(resource, "meta", mt_scim_meta(call, MT_SCIM_USER, user->id, user->version, user->created_at, user->updated_at));
	mt_scim_apply_selection(selection, MT_SCIM_USER, resource);
	return resource;
}

/*
 * What of an object has no column of its own: the document that is kept.
 */
MtJson *
mt_scim_user_document(const MtJson *object)
{
	MtJson	   *document = mt_json_copy(object);
	MtJson	   *extension = mt_json_get(document, MT_SCIM_ENTERPRISE_URN);

	for (int i = 0; i < (int) lengthof(own_columns); i++)
		mt_json_remove(document, own_columns[i]);
	if (extension != NULL)
	{
		mt_json_remove(extension, "department");
		mt_json_remove(extension, "manager");
		if (extension->count == 0)
			mt_json_remove(document, MT_SCIM_ENTERPRISE_URN);
	}
	return document;
}

static bool
is_blank(const char *text)
{
	return text == NULL || text[strspn(text, " \t")] == '\0';
}

/* The element of a list that counts: the primary one, else the first of a type, else the first. NULL where there is none with a value. */
static const MtJson *
element_that_counts(const MtJson *list, const char *preferred_type)
{
	const MtJson *first = NULL;
	const MtJson *preferred = NULL;

	for (int i = 0; list != NULL && i < list->count; i++)
	{
		const MtJson *element = list->items[i];
		const MtJson *primary = mt_json_get(element, "primary");
		const char *type = mt_json_get_text(element, "type");

		if (is_blank(mt_json_get_text(element, "value")))
			continue;
		if (primary != NULL && primary->boolean)
			return element;
		if (first == NULL)
			first = element;
		if (preferred == NULL && type != NULL && preferred_type != NULL && pg_strcasecmp(type, preferred_type) == 0)
			preferred = element;
	}
	return preferred != NULL ? preferred : first;
}

/*
 * The address for users.email; NULL: none.
 */
const char *
mt_scim_user_email(const MtJson *object)
{
	return mt_json_get_text(element_that_counts(mt_json_get(object, "emails"), "work"), "value");
}

/*
 * The role as the identity provider calls it; NULL: none.
 */
const char *
mt_scim_user_role(const MtJson *object)
{
	return mt_json_get_text(element_that_counts(mt_json_get(object, "roles"), NULL), "value");
}

/*
 * The name for users.name; NULL: none.
 */
const char *
mt_scim_user_name(const MtJson *object)
{
	const char *display_name = mt_json_get_text(object, "displayName");
	const MtJson *parts = mt_json_get(object, "name");
	const char *formatted = mt_json_get_text(parts, "formatted");
	const char *given = mt_json_get_text(parts, "givenName");
	const char *family = mt_json_get_text(parts, "familyName");

	if (display_name != NULL)
		return display_name;
	if (formatted != NULL)
		return formatted;
	if (given != NULL && family != NULL)
		return psprintf("%s %s", given, family);
	return given != NULL ? given : family;
}
