/*
 * contract_live_scim.c
 *		Provisioning into MindTickle: the users of SCIM 2.0 (RFC 7644).
 *
 * Called by contract_live.c for the provisioning token, under /scim or
 * /scim/TENANT. It knows as much of SCIM as a client that provisions users
 * needs, and is strict about that; scim_store.c keeps the users.
 */
#include "contract_live.h"
#include "scim_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CORE_USER	"urn:ietf:params:scim:schemas:core:2.0:User"
#define PATCH_OP	"urn:ietf:params:scim:api:messages:2.0:PatchOp"

/* A request with what it needs, under the store's lock. */
typedef struct ScimRequest
{
	Call	   *call;
	Tenant	   *tenant;
	ScimStore  *store;
	int			revision;
	json_object *body;			/* NULL: none, or no object */
} ScimRequest;

static void
refuse(ScimRequest *request, unsigned status, const char *type, const char *detail)
{
	Buffer	   *body = &request->call->reply.body;

	if (status == MHD_HTTP_BAD_REQUEST)
		mt_live_count(request->tenant, &request->tenant->stats.bad_requests);
	request->call->reply.status = status;
	mt_buffer_format(body, "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:Error\"],\"status\":\"%u\"", status);
	if (type != NULL)
		mt_buffer_format(body, ",\"scimType\":\"%s\"", type);
	mt_buffer_text(body, ",\"detail\":");
	mt_buffer_json(body, detail);
	mt_buffer_bytes(body, "}", 1);
}

static void
put_user(Call *call, const ScimUser *user)
{
	Buffer	   *buffer = &call->reply.body;
	const char *attributes = json_object_to_json_string_ext(user->attributes, JSON_C_TO_STRING_PLAIN);

	mt_buffer_format(buffer, "{\"schemas\":[\"" CORE_USER "\"],\"id\":\"%s\",\"meta\":{\"resourceType\":\"User\","
					 "\"version\":\"W/\\\"%llu\\\"\"}", call->fault == FAULT_NO_ID ? "" : user->id, (unsigned long long) user->version);
	if (json_object_object_length(user->attributes) > 0)
	{
		mt_buffer_bytes(buffer, ",", 1);
		/* Without its first brace. */
		mt_buffer_text(buffer, attributes + 1);
	}
	else
		mt_buffer_bytes(buffer, "}", 1);
}

/* The users of a list answer, at most one. */
static void
put_list(Call *call, const ScimUser *user)
{
	Buffer	   *buffer = &call->reply.body;

	mt_buffer_format(buffer, "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":%d,"
					 "\"startIndex\":1,\"itemsPerPage\":%d,\"Resources\":[", user != NULL, user != NULL);
	if (user != NULL)
		put_user(call, user);
	mt_buffer_text(buffer, "]}");
}

/* The value in ATTRIBUTE eq "value"; NULL when the filter is none. To be freed. */
static char *
read_filter(const char *filter, const char *attribute)
{
	size_t		length = strlen(attribute);
	json_tokener *tokener;
	json_object *value;
	char	   *text = NULL;

	if (strncasecmp(filter, attribute, length) != 0 || strncasecmp(filter + length, " eq ", 4) != 0 ||
		filter[length + 4] != '"')
		return NULL;
	tokener = json_tokener_new_ex(2);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, filter + length + 4, (int) strlen(filter + length + 4) + 1);
	if (value != NULL && json_object_is_type(value, json_type_string) &&
		json_tokener_get_parse_end(tokener) == strlen(filter + length + 4))
		text = strdup(json_object_get_string(value));
	json_object_put(value);
	json_tokener_free(tokener);
	return text;
}

static void
answer_list(ScimRequest *request)
{
	const char *filter = mt_call_query(request->call, "filter");
	char	   *name = filter == NULL ? NULL : read_filter(filter, "userName");
	char	   *external_id = filter == NULL || name != NULL ? NULL : read_filter(filter, "externalId");

	if (name != NULL)
	{
		mt_scim_note_lookup(request->store, name);
		put_list(request->call, mt_scim_by_name(request->store, &request->tenant->data, request->revision, name));
	}
	else if (external_id != NULL)
		put_list(request->call, mt_scim_by_external_id(request->store, external_id));
	else if (filter == NULL)
		put_list(request->call, request->store->count == 0 ? NULL : request->store->users[0]);
	else
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidFilter", "userName eq \"..\" or externalId eq \"..\"");
	if (name != NULL)
		mt_live_foreign_email(request->tenant, name);
	free(name);
	free(external_id);
}

/* Does the body name the schema? */
static bool
has_schema(json_object *body, const char *wanted)
{
	json_object *schemas;
	size_t		i;

	if (body == NULL || !json_object_object_get_ex(body, "schemas", &schemas) ||
		!json_object_is_type(schemas, json_type_array))
		return false;
	for (i = 0; i < json_object_array_length(schemas); i++)
	{
		const char *schema = json_object_get_string(json_object_array_get_idx(schemas, i));

		if (schema != NULL && strcasecmp(schema, wanted) == 0)
			return true;
	}
	return false;
}

/* A copy of what a client may set; without id, schemas and meta. */
static json_object *
copy_attributes(json_object *body)
{
	json_object *copy = NULL;

	json_object_deep_copy(body, &copy, NULL);
	json_object_object_del(copy, "schemas");
	json_object_object_del(copy, "id");
	json_object_object_del(copy, "meta");
	return copy;
}

/* Are the attributes those of a user, whose name nobody else has? Else the reply is an error. */
static bool
check_attributes(ScimRequest *request, json_object *attributes, const ScimUser *self)
{
	const char *name = mt_json_text(attributes, "userName");
	json_object *active;
	const ScimUser *other;

	if (name == NULL || name[strspn(name, " ")] == '\0')
	{
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidValue", "userName is missing");
		return false;
	}
	if (json_object_object_get_ex(attributes, "active", &active) && !json_object_is_type(active, json_type_boolean))
	{
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidValue", "active is a boolean");
		return false;
	}
	mt_live_foreign_email(request->tenant, name);
	other = mt_scim_by_name(request->store, &request->tenant->data, request->revision, name);
	if (other == NULL || other == self)
		return true;
	request->store->counts.conflicts++;
	refuse(request, MHD_HTTP_CONFLICT, "uniqueness", "userName is taken");
	return false;
}

static void
answer_create(ScimRequest *request)
{
	ScimStore  *store = request->store;
	json_object *attributes;
	const char *external_id;
	ScimUser   *user;

	if (!has_schema(request->body, CORE_USER))
	{
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidSyntax", "no user of schema " CORE_USER);
		return;
	}
	attributes = copy_attributes(request->body);
	if (!check_attributes(request, attributes, NULL))
	{
		json_object_put(attributes);
		return;
	}
	external_id = mt_json_text(attributes, "externalId");
	if (external_id != NULL && mt_scim_by_external_id(store, external_id) != NULL)
		store->counts.duplicates++;
	if (!mt_scim_was_looked_up(store, mt_json_text(attributes, "userName")))
		store->counts.blind++;
	if (!json_object_object_get_ex(attributes, "active", NULL))
		json_object_object_add(attributes, "active", json_object_new_boolean(true));
	user = mt_scim_add(store, &request->tenant->data, attributes);
	mt_scim_note_write(store, "POST", user, request->body);
	request->call->reply.status = MHD_HTTP_CREATED;
	put_user(request->call, user);
}

/* Sets, or removes with NULL, the attribute at "a" or "a.b". False when there can be none. Takes over the value. */
static bool
set_attribute(json_object *attributes, const char *path, json_object *value)
{
	const char *dot = strchr(path, '.');
	char		first[64];
	json_object *inner;

	/* An extension's attribute is kept under its whole name. */
	if (strncasecmp(path, "urn:", 4) == 0 || dot == NULL)
	{
		if (value == NULL)
			json_object_object_del(attributes, path);
		else
			json_object_object_add(attributes, path, value);
		return true;
	}
	if ((size_t) (dot - path) >= sizeof(first) || dot == path || dot[1] == '\0')
	{
		json_object_put(value);
		return false;
	}
	memcpy(first, path, (size_t) (dot - path));
	first[dot - path] = '\0';
	if (!json_object_object_get_ex(attributes, first, &inner) || !json_object_is_type(inner, json_type_object))
	{
		inner = json_object_new_object();
		json_object_object_add(attributes, first, inner);
	}
	return set_attribute(inner, dot + 1, value);
}

/* Sets the value of the work address, which emails[type eq "work"].value names. */
static void
set_work_email(json_object *attributes, json_object *value)
{
	json_object *list = json_object_new_array();
	json_object *email = json_object_new_object();

	json_object_object_add(email, "type", json_object_new_string("work"));
	json_object_object_add(email, "primary", json_object_new_boolean(true));
	json_object_object_add(email, "value", value);
	json_object_array_add(list, email);
	json_object_object_add(attributes, "emails", list);
}

/* Applies one operation of a PATCH; false when it is none. */
static bool
apply_operation(json_object *attributes, json_object *operation)
{
	const char *kind = json_object_is_type(operation, json_type_object) ? mt_json_text(operation, "op") : NULL;
	const char *path = kind == NULL ? NULL : mt_json_text(operation, "path");
	json_object *value = NULL;
	struct json_object_iter member;

	if (kind == NULL)
		return false;
	json_object_object_get_ex(operation, "value", &value);
	if (strcasecmp(kind, "remove") == 0)
		return path != NULL && set_attribute(attributes, path, NULL);
	if ((strcasecmp(kind, "add") != 0 && strcasecmp(kind, "replace") != 0) || value == NULL)
		return false;
	if (path != NULL && strcasecmp(path, "emails[type eq \"work\"].value") == 0)
	{
		set_work_email(attributes, json_object_get(value));
		return true;
	}
	if (path != NULL)
		return strpbrk(path, "[]\" ") == NULL && set_attribute(attributes, path, json_object_get(value));
	if (!json_object_is_type(value, json_type_object))
		return false;
	json_object_object_foreachC(value, member)
	{
		if (!set_attribute(attributes, member.key, json_object_get(member.val)))
			return false;
	}
	return true;
}

/* The attributes after all operations; NULL when the reply is an error already. */
static json_object *
patch_attributes(ScimRequest *request, const ScimUser *user)
{
	json_object *operations;
	json_object *attributes = NULL;
	size_t		i;

	if (!has_schema(request->body, PATCH_OP) || !json_object_object_get_ex(request->body, "Operations", &operations) ||
		!json_object_is_type(operations, json_type_array) || json_object_array_length(operations) == 0)
	{
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidSyntax", "no operations of schema " PATCH_OP);
		return NULL;
	}
	json_object_deep_copy(user->attributes, &attributes, NULL);
	for (i = 0; i < json_object_array_length(operations); i++)
	{
		if (apply_operation(attributes, json_object_array_get_idx(operations, i)))
			continue;
		json_object_put(attributes);
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidPath", "an operation is none");
		return NULL;
	}
	return attributes;
}

static void
answer_change(ScimRequest *request, ScimUser *user)
{
	json_object *attributes;

	if (strcmp(request->call->method, MHD_HTTP_METHOD_PATCH) == 0)
		attributes = patch_attributes(request, user);
	else if (has_schema(request->body, CORE_USER))
		attributes = copy_attributes(request->body);
	else
	{
		refuse(request, MHD_HTTP_BAD_REQUEST, "invalidSyntax", "no user of schema " CORE_USER);
		return;
	}
	if (attributes == NULL)
		return;
	if (!check_attributes(request, attributes, user))
	{
		json_object_put(attributes);
		return;
	}
	mt_scim_change(request->store, user, attributes);
	mt_scim_note_write(request->store, request->call->method, user, request->body);
	put_user(request->call, user);
}

static void
answer_one(ScimRequest *request, const char *id)
{
	const char *method = request->call->method;
	ScimUser   *user = mt_scim_by_id(request->store, &request->tenant->data, request->revision, id);

	if (user == NULL)
		refuse(request, MHD_HTTP_NOT_FOUND, NULL, "no such user");
	else if (strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		put_user(request->call, user);
	else if (strcmp(method, MHD_HTTP_METHOD_PATCH) == 0 || strcmp(method, MHD_HTTP_METHOD_PUT) == 0)
		answer_change(request, user);
	else if (strcmp(method, MHD_HTTP_METHOD_DELETE) == 0)
	{
		mt_scim_note_write(request->store, method, user, NULL);
		mt_scim_remove(request->store, user);
		request->call->reply.status = MHD_HTTP_NO_CONTENT;
	}
	else
		refuse(request, MHD_HTTP_METHOD_NOT_ALLOWED, NULL, "GET, PATCH, PUT or DELETE");
}

/* The path behind /scim and the tenant's name; NULL when the name is another's, which is counted. */
static const char *
find_resource(const Call *call, Tenant *tenant)
{
	const char *rest = call->path + strlen("/scim/");
	size_t		length = strcspn(rest, "/");
	char		name[64];

	if (rest[length] == '\0' || strncmp(rest, "Users/", 6) == 0)
		return rest;
	if (length == strlen(tenant->name) && strncmp(rest, tenant->name, length) == 0)
		return rest + length + 1;
	if (length < sizeof(name))
	{
		memcpy(name, rest, length);
		name[length] = '\0';
		if (mt_tenant_by_name(name) != NULL)
			mt_live_count(tenant, &tenant->stats.foreign_credentials);
	}
	return NULL;
}

/* Is the body of a type that SCIM has? */
static bool
is_of_right_type(const Call *call)
{
	const char *type = mt_call_header(call, MHD_HTTP_HEADER_CONTENT_TYPE);

	return type != NULL && (strncasecmp(type, "application/scim+json", 21) == 0 || strncasecmp(type, "application/json", 16) == 0);
}

void
mt_live_answer_scim(Call *call, Tenant *tenant)
{
	const char *resource = find_resource(call, tenant);
	ScimRequest request = {.call = call, .tenant = tenant, .store = &tenant->scim, .body = mt_call_json(call)};

	call->reply.content_type = "application/scim+json";
	pthread_rwlock_rdlock(&tenant->listing.lock);
	request.revision = tenant->listing.revision;
	pthread_rwlock_unlock(&tenant->listing.lock);
	pthread_mutex_lock(&tenant->scim.lock);
	if (resource == NULL)
		refuse(&request, MHD_HTTP_FORBIDDEN, NULL, "the token is not for this tenant");
	else if (call->upload.length > 0 && !is_of_right_type(call))
		refuse(&request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, NULL, "application/scim+json");
	else if (strncmp(resource, "Users/", 6) == 0 && strchr(resource + 6, '/') == NULL)
		answer_one(&request, resource + 6);
	else if (strcmp(resource, "Users") == 0 && strcmp(call->method, MHD_HTTP_METHOD_GET) == 0)
		answer_list(&request);
	else if (strcmp(resource, "Users") == 0 && strcmp(call->method, MHD_HTTP_METHOD_POST) == 0)
		answer_create(&request);
	else if (strcmp(resource, "ServiceProviderConfig") == 0)
		mt_buffer_text(&call->reply.body, "{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig\"],"
					   "\"patch\":{\"supported\":true},\"filter\":{\"supported\":true,\"maxResults\":100}}");
	else
		refuse(&request, MHD_HTTP_NOT_FOUND, NULL, "no such resource");
	pthread_mutex_unlock(&tenant->scim.lock);
}
