/*
 * scim_schema.c
 *		/ServiceProviderConfig, /ResourceTypes and /Schemas (RFC 7643 sections 5 to 7): made of the table of attributes and the limits that hold.
 *
 * Only what is kept is declared: clients write every declared attribute and read it back.
 *
 * Called by scim_request.c. Never touches a table.
 */
#include "scim_schema.h"

#include "scim_attribute.h"
#include "scim_query.h"

#define CONFIGURATION_URN	"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
#define RESOURCE_TYPE_URN	"urn:ietf:params:scim:schemas:core:2.0:ResourceType"
#define SCHEMA_URN			"urn:ietf:params:scim:schemas:core:2.0:Schema"

static MtJson *render_attributes(const MtScimAttribute *list);

static MtJson *
list_of_one(const char *text)
{
	MtJson	   *list = mt_json_array();

	mt_json_append(list, mt_json_string(text));
	return list;
}

static MtJson *
supported(bool is)
{
	MtJson	   *object = mt_json_object();

	mt_json_set(object, "supported", mt_json_boolean(is));
	return object;
}

static MtJson *
meta_of(const char *type, const char *location)
{
	MtJson	   *meta = mt_json_object();

	mt_json_set_text(meta, "resourceType", type);
	mt_json_set_text(meta, "location", location);
	return meta;
}

/*
 * GET /ServiceProviderConfig
 */
void
mt_scim_get_configuration(MtScimCall *call)
{
	MtJson	   *configuration = mt_json_object();
	MtJson	   *bulk = supported(true);
	MtJson	   *filter = supported(true);
	MtJson	   *schemes = mt_json_array();
	MtJson	   *scheme = mt_json_object();

	mt_json_set(bulk, "maxOperations", mt_json_number(MT_SCIM_OPERATIONS_MAX));
	mt_json_set(bulk, "maxPayloadSize", mt_json_number(MT_SCIM_BODY_MAX));
	mt_json_set(filter, "maxResults", mt_json_number(MT_SCIM_PAGE_MAX));
	mt_json_set_text(scheme, "type", "oauthbearertoken");
	mt_json_set_text(scheme, "name", "Bearer token");
	mt_json_set_text(scheme, "description", "A token of the tenant with the scope scim, as an OAuth 2.0 bearer token.");
	mt_json_set_text(scheme, "specUri", "https://www.rfc-editor.org/info/rfc6750");
	mt_json_set(scheme, "primary", mt_json_boolean(true));
	mt_json_append(schemes, scheme);

	mt_json_set(configuration, "schemas", list_of_one(CONFIGURATION_URN));
	mt_json_set(configuration, "patch", supported(true));
	mt_json_set(configuration, "bulk", bulk);
	mt_json_set(configuration, "filter", filter);
	mt_json_set(configuration, "changePassword", supported(false));
	mt_json_set(configuration, "sort", supported(true));
	mt_json_set(configuration, "etag", supported(true));
	mt_json_set(configuration, "authenticationSchemes", schemes);
	mt_json_set(configuration, "meta", meta_of("ServiceProviderConfig", psprintf("%s/ServiceProviderConfig", call->base_url)));
	call->answer->status = 200;
	call->answer->body = configuration;
}

static MtJson *
render_resource_type(const MtScimCall *call, const MtScimResourceType *type)
{
	MtJson	   *object = mt_json_object();

	mt_json_set(object, "schemas", list_of_one(RESOURCE_TYPE_URN));
	mt_json_set_text(object, "id", type->name);
	mt_json_set_text(object, "name", type->name);
	mt_json_set_text(object, "endpoint", psprintf("/%s", type->endpoint));
	mt_json_set_text(object, "description", type->description);
	mt_json_set_text(object, "schema", type->schema->urn);
	if (type->extension != NULL)
	{
		MtJson	   *extensions = mt_json_array();
		MtJson	   *extension = mt_json_object();

		mt_json_set_text(extension, "schema", type->extension->urn);
		mt_json_set(extension, "required", mt_json_boolean(false));
		mt_json_append(extensions, extension);
		mt_json_set(object, "schemaExtensions", extensions);
	}
	mt_json_set(object, "meta", meta_of("ResourceType", psprintf("%s/ResourceTypes/%s", call->base_url, type->name)));
	return object;
}

static MtJson *
words_as_list(const char *const *words)
{
	MtJson	   *list = mt_json_array();

	for (; *words != NULL; words++)
		mt_json_append(list, mt_json_string(*words));
	return list;
}

static MtJson *
render_attribute(const MtScimAttribute *attribute)
{
	static const char *const types[] = {
		[MT_SCIM_STRING] = "string",[MT_SCIM_BOOLEAN] = "boolean",[MT_SCIM_DATETIME] = "dateTime",[MT_SCIM_REFERENCE] = "reference",
		[MT_SCIM_COMPLEX] = "complex"
	};
	static const char *const mutabilities[] = {
		[MT_SCIM_READ_WRITE] = "readWrite",[MT_SCIM_READ_ONLY] = "readOnly",[MT_SCIM_IMMUTABLE] = "immutable",[MT_SCIM_WRITE_ONLY] = "writeOnly"
	};
	static const char *const returned[] = {
		[MT_SCIM_RETURNED_BY_DEFAULT] = "default",[MT_SCIM_RETURNED_ALWAYS] = "always",[MT_SCIM_RETURNED_NEVER] = "never"
	};
	MtJson	   *object = mt_json_object();

	mt_json_set_text(object, "name", attribute->name);
	mt_json_set_text(object, "type", types[attribute->type]);
	mt_json_set(object, "multiValued", mt_json_boolean(attribute->multi_valued));
	mt_json_set_text(object, "description", attribute->description);
	mt_json_set(object, "required", mt_json_boolean(attribute->required));
	mt_json_set(object, "caseExact", mt_json_boolean(attribute->case_exact));
	mt_json_set_text(object, "mutability", mutabilities[attribute->mutability]);
	mt_json_set_text(object, "returned", returned[attribute->returned]);
	mt_json_set_text(object, "uniqueness", attribute->unique ? "server" : "none");
	if (attribute->canonical_values != NULL)
		mt_json_set(object, "canonicalValues", words_as_list(attribute->canonical_values));
	if (attribute->reference_types != NULL)
		mt_json_set(object, "referenceTypes", words_as_list(attribute->reference_types));
	if (attribute->type == MT_SCIM_COMPLEX)
		mt_json_set(object, "subAttributes", render_attributes(attribute->subs));
	return object;
}

static MtJson *
render_attributes(const MtScimAttribute *list)
{
	MtJson	   *attributes = mt_json_array();

	for (; list->name != NULL; list++)
		if (mt_scim_is_kept(list))
			mt_json_append(attributes, render_attribute(list));
	return attributes;
}

static MtJson *
render_schema(const MtScimCall *call, const MtScimSchema *schema)
{
	MtJson	   *object = mt_json_object();

	mt_json_set(object, "schemas", list_of_one(SCHEMA_URN));
	mt_json_set_text(object, "id", schema->urn);
	mt_json_set_text(object, "name", schema->name);
	mt_json_set_text(object, "description", schema->description);
	mt_json_set(object, "attributes", render_attributes(schema->attributes));
	mt_json_set(object, "meta", meta_of("Schema", psprintf("%s/Schemas/%s", call->base_url, schema->urn)));
	return object;
}

/* Answers with the one of a few objects whose id is given, or with all of them. */
static void
answer_with_some(MtScimCall *call, MtJson *objects, const char *id)
{
	MtJson	   *list = mt_json_object();

	if (call->parameters->filter != NULL)
	{
		mt_scim_refuse(call->answer, 403, NULL, "What this service offers is not filtered.");
		return;
	}
	call->answer->status = 200;
	for (int i = 0; id != NULL && i < objects->count; i++)
		if (pg_strcasecmp(mt_json_get_text(objects->items[i], "id"), id) == 0)
		{
			call->answer->body = objects->items[i];
			return;
		}
	if (id != NULL)
	{
		mt_scim_refuse_absent(call->answer);
		return;
	}
	mt_json_set(list, "schemas", list_of_one(MT_SCIM_LIST_URN));
	mt_json_set(list, "totalResults", mt_json_number(objects->count));
	mt_json_set(list, "startIndex", mt_json_number(1));
	mt_json_set(list, "itemsPerPage", mt_json_number(objects->count));
	mt_json_set(list, "Resources", objects);
	call->answer->body = list;
}

/*
 * GET /ResourceTypes, and with a name GET /ResourceTypes/{name}
 */
void
mt_scim_get_resource_types(MtScimCall *call, const char *name)
{
	MtJson	   *types = mt_json_array();

	for (int i = 0; i < (int) lengthof(mt_scim_resource_types); i++)
		mt_json_append(types, render_resource_type(call, &mt_scim_resource_types[i]));
	answer_with_some(call, types, name);
}

/*
 * GET /Schemas, and with a URN GET /Schemas/{urn}
 */
void
mt_scim_get_schemas(MtScimCall *call, const char *urn)
{
	MtJson	   *schemas = mt_json_array();

	for (int i = 0; i < (int) lengthof(mt_scim_resource_types); i++)
	{
		mt_json_append(schemas, render_schema(call, mt_scim_resource_types[i].schema));
		if (mt_scim_resource_types[i].extension != NULL)
			mt_json_append(schemas, render_schema(call, mt_scim_resource_types[i].extension));
	}
	answer_with_some(call, schemas, urn);
}
