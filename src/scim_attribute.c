/*
 * scim_attribute.c
 *		The table of the attributes that our SCIM service provider knows (RFC 7643 sections 3, 4.1 to 4.3), and finding them by name.
 *
 * It feeds /Schemas, the parsing of filters and PATCH paths, the SQL of filters and sorting, and the choice by "attributes". What of a user has
 * no column is kept as it was sent in users.attributes -> 'scim', under the canonical names, the enterprise extension under its URN. Somebody
 * whom no identity provider has written yet has no such key, and shows what the columns hold.
 *
 * Holds names and constants, never touches a table.
 */
#include "scim_attribute.h"

/* Longest address and longest name of a group in bytes: both are index keys. */
#define ADDRESS_MAX			1024
#define GROUP_NAME_MAX		1024

/* Text of a user that has no column. */
#define KEPT(path)			"(u.attributes #>> '{scim," path "}')"
/* The same where the column name stands in for it. */
#define KEPT_OR_NAME(path)	"CASE WHEN u.attributes ? 'scim' THEN u.attributes #>> '{scim," path "}' ELSE u.name END"
#define KEPT_ENTERPRISE(name) "(u.attributes #>> '{scim," MT_SCIM_ENTERPRISE_URN "," name "}')"
/* Of one element e of a list. */
#define ELEMENT(name)		"(e.element ->> '" name "')"
#define ELEMENT_PRIMARY		"CASE e.element -> 'primary' WHEN 'true' THEN true WHEN 'false' THEN false END"

static const char *const email_types[] = {"work", "home", "other", NULL};
static const char *const group_types[] = {"direct", NULL};
static const char *const member_types[] = {"User", NULL};
static const char *const user_reference[] = {"User", NULL};
static const char *const group_reference[] = {"Group", NULL};
static const char *const external_reference[] = {"external", NULL};
static const char *const uri_reference[] = {"uri", NULL};

static const MtScimAttribute user_meta[] = {
	{.name = "resourceType", .description = "The kind of the resource.", .case_exact = true, .mutability = MT_SCIM_READ_ONLY,
	.sql = "'User'::text"},
	{.name = "created", .description = "When the resource was made.", .type = MT_SCIM_DATETIME, .mutability = MT_SCIM_READ_ONLY,
	.sql = "u.created_at"},
	{.name = "lastModified", .description = "When the resource was changed last.", .type = MT_SCIM_DATETIME,
	.mutability = MT_SCIM_READ_ONLY,.sql = "u.updated_at"},
	{.name = "location", .description = "The URL of the resource.", .type = MT_SCIM_REFERENCE, .case_exact = true,
	.mutability = MT_SCIM_READ_ONLY,.reference_types = uri_reference,.sql = "u.user_id",.endpoint = "Users"},
	{.name = "version", .description = "The ETag of the resource.", .case_exact = true, .mutability = MT_SCIM_READ_ONLY,
	.sql = "('W/\"' || u.version || '\"')"},
	{NULL}
};

static const MtScimAttribute group_meta[] = {
	{.name = "resourceType", .description = "The kind of the resource.", .case_exact = true, .mutability = MT_SCIM_READ_ONLY,
	.sql = "'Group'::text"},
	{.name = "created", .description = "When the resource was made.", .type = MT_SCIM_DATETIME, .mutability = MT_SCIM_READ_ONLY,
	.sql = "t.created_at"},
	{.name = "lastModified", .description = "When the resource was changed last.", .type = MT_SCIM_DATETIME,
	.mutability = MT_SCIM_READ_ONLY,.sql = "t.updated_at"},
	{.name = "location", .description = "The URL of the resource.", .type = MT_SCIM_REFERENCE, .case_exact = true,
	.mutability = MT_SCIM_READ_ONLY,.reference_types = uri_reference,.sql = "t.team_id",.endpoint = "Groups"},
	{.name = "version", .description = "The ETag of the resource.", .case_exact = true, .mutability = MT_SCIM_READ_ONLY,
	.sql = "('W/\"' || t.version || '\"')"},
	{NULL}
};

static const MtScimAttribute user_common[] = {
	{.name = "schemas", .description = "The URNs of the schemas of the resource.", .type = MT_SCIM_REFERENCE, .multi_valued = true,
	.required = true,.case_exact = true,.returned = MT_SCIM_RETURNED_ALWAYS,.reference_types = uri_reference,.sql = "e.urn",
	.source = "(SELECT '" MT_SCIM_USER_URN "'::text UNION ALL SELECT '" MT_SCIM_ENTERPRISE_URN "' WHERE u.department IS NOT NULL "
	"OR u.manager_id IS NOT NULL OR u.attributes -> 'scim' ? '" MT_SCIM_ENTERPRISE_URN "') AS e (urn)"},
	{.name = "id", .description = "Given by this server and never changed.", .case_exact = true, .unique = true,
	.mutability = MT_SCIM_READ_ONLY,.returned = MT_SCIM_RETURNED_ALWAYS,.sql = "u.user_id"},
	{.name = "externalId", .description = "What the identity provider calls the user.", .case_exact = true, .text_max = MT_ID_MAX,
	.sql = "u.scim_external_id"},
	{.name = "meta", .description = "About the resource itself.", .type = MT_SCIM_COMPLEX, .mutability = MT_SCIM_READ_ONLY,
	.subs = user_meta},
	{NULL}
};

static const MtScimAttribute group_common[] = {
	{.name = "schemas", .description = "The URNs of the schemas of the resource.", .type = MT_SCIM_REFERENCE, .multi_valued = true,
	.required = true,.case_exact = true,.returned = MT_SCIM_RETURNED_ALWAYS,.reference_types = uri_reference,.sql = "e.urn",
	.source = "(SELECT '" MT_SCIM_GROUP_URN "'::text) AS e (urn)"},
	{.name = "id", .description = "Given by this server and never changed.", .case_exact = true, .unique = true,
	.mutability = MT_SCIM_READ_ONLY,.returned = MT_SCIM_RETURNED_ALWAYS,.sql = "t.team_id"},
	{.name = "externalId", .description = "What the identity provider calls the group.", .case_exact = true, .text_max = MT_ID_MAX,
	.sql = "t.scim_external_id"},
	{.name = "meta", .description = "About the resource itself.", .type = MT_SCIM_COMPLEX, .mutability = MT_SCIM_READ_ONLY,
	.subs = group_meta},
	{NULL}
};

static const MtScimAttribute user_name_parts[] = {
	{.name = "formatted", .description = "The full name as it is shown.", .sql = KEPT_OR_NAME("name,formatted")},
	{.name = "familyName", .description = "The family name.", .sql = KEPT("name,familyName")},
	{.name = "givenName", .description = "The given name.", .sql = KEPT("name,givenName")},
	{.name = "middleName", .description = "The middle names.", .sql = KEPT("name,middleName")},
	{.name = "honorificPrefix", .description = "Such as \"Dr.\".", .sql = KEPT("name,honorificPrefix")},
	{.name = "honorificSuffix", .description = "Such as \"III\".", .sql = KEPT("name,honorificSuffix")},
	{NULL}
};

static const MtScimAttribute email_parts[] = {
	{.name = "value", .description = "The address.", .text_max = ADDRESS_MAX, .sql = ELEMENT("value")},
	{.name = "display", .description = "The address as it is shown.", .sql = ELEMENT("display")},
	{.name = "type", .description = "What the address is used for.", .canonical_values = email_types, .sql = ELEMENT("type")},
	{.name = "primary", .description = "Whether this is the preferred address; at most one is.", .type = MT_SCIM_BOOLEAN,
	.sql = ELEMENT_PRIMARY},
	{NULL}
};

static const MtScimAttribute role_parts[] = {
	{.name = "value", .description = "The role.", .sql = ELEMENT("value")},
	{.name = "display", .description = "The role as it is shown.", .sql = ELEMENT("display")},
	{.name = "type", .description = "The kind of the role.", .sql = ELEMENT("type")},
	{.name = "primary", .description = "Whether this is the role that counts; at most one is.", .type = MT_SCIM_BOOLEAN,
	.sql = ELEMENT_PRIMARY},
	{NULL}
};

static const MtScimAttribute user_group_parts[] = {
	{.name = "value", .description = "The id of the group.", .case_exact = true, .mutability = MT_SCIM_READ_ONLY, .sql = "m.team_id"},
	{.name = "$ref", .description = "The URL of the group.", .type = MT_SCIM_REFERENCE, .case_exact = true, .mutability = MT_SCIM_READ_ONLY,
	.reference_types = group_reference,.sql = "m.team_id",.endpoint = "Groups"},
	{.name = "display", .description = "The name of the group.", .mutability = MT_SCIM_READ_ONLY, .sql = "m.name"},
	{.name = "type", .description = "How the user belongs to the group.", .mutability = MT_SCIM_READ_ONLY, .canonical_values = group_types,
	.sql = "'direct'::text"},
	{NULL}
};

static const MtScimAttribute unkept_parts[] = {
	{.name = "value", .description = "The value."},
	{.name = "display", .description = "The value as it is shown."},
	{.name = "type", .description = "The kind of the value."},
	{.name = "primary", .description = "Whether this is the preferred value.", .type = MT_SCIM_BOOLEAN},
	{.name = "$ref", .description = "The URL of the value.", .type = MT_SCIM_REFERENCE, .case_exact = true},
	{NULL}
};

static const MtScimAttribute address_parts[] = {
	{.name = "formatted", .description = "The full address."},
	{.name = "streetAddress", .description = "The street."},
	{.name = "locality", .description = "The city."},
	{.name = "region", .description = "The state."},
	{.name = "postalCode", .description = "The postal code."},
	{.name = "country", .description = "The country."},
	{.name = "type", .description = "What the address is used for."},
	{.name = "primary", .description = "Whether this is the preferred address.", .type = MT_SCIM_BOOLEAN},
	{NULL}
};

static const MtScimAttribute user_attributes[] = {
	{.name = "userName", .description = "The name by which the user signs in; unique in the tenant without regard to case.", .required = true,
	.unique = true,.text_max = MT_ID_MAX,.sql = "u.user_name",.folded = "u.user_name_key"},
	{.name = "name", .description = "The parts of the user's name.", .type = MT_SCIM_COMPLEX, .subs = user_name_parts},
	{.name = "displayName", .description = "The name as it is shown.", .sql = KEPT_OR_NAME("displayName")},
	{.name = "nickName", .description = "How the user is addressed.", .sql = KEPT("nickName")},
	{.name = "profileUrl", .description = "The user's page.", .type = MT_SCIM_REFERENCE, .case_exact = true,
	.reference_types = external_reference,.sql = KEPT("profileUrl")},
	{.name = "title", .description = "The job title.", .sql = "u.title"},
	{.name = "userType", .description = "Such as \"Employee\" or \"Contractor\".", .sql = KEPT("userType")},
	{.name = "preferredLanguage", .description = "The preferred languages, as in an Accept-Language header.", .sql = KEPT("preferredLanguage")},
	{.name = "locale", .description = "The locale for dates and numbers.", .sql = KEPT("locale")},
	{.name = "timezone", .description = "The time zone, as in the IANA database.", .sql = KEPT("timezone")},
	{.name = "active", .description = "Whether the user may work; a deactivated user's results stay and count nowhere.", .type = MT_SCIM_BOOLEAN,
	.sql = "u.active"},
	{.name = "password", .description = "Accepted and dropped.", .case_exact = true, .mutability = MT_SCIM_WRITE_ONLY,
	.returned = MT_SCIM_RETURNED_NEVER},
	{.name = "emails", .description = "The user's addresses.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = email_parts,
	.source = "jsonb_array_elements(mindtickle.scim_emails(u.attributes, u.email)) WITH ORDINALITY AS e (element, place)",
	.lookup = "(u.email_key = %s OR u.user_id = ANY (ARRAY(SELECT a.user_id FROM mindtickle.user_address AS a "
	"WHERE a.tenant_id = $1 AND a.address_key = %s)))"},
	{.name = "phoneNumbers", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = unkept_parts},
	{.name = "ims", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = unkept_parts},
	{.name = "photos", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = unkept_parts},
	{.name = "addresses", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = address_parts},
	{.name = "groups", .description = "The groups that the user is a member of; changed by way of the groups.", .type = MT_SCIM_COMPLEX,
	.multi_valued = true,.mutability = MT_SCIM_READ_ONLY,.subs = user_group_parts,
	.source = "(SELECT b.team_id, g.name FROM mindtickle.team_member AS b JOIN mindtickle.team AS g ON g.tenant_id = b.tenant_id "
	"AND g.team_id = b.team_id WHERE b.tenant_id = $1 AND g.tenant_id = $1 AND b.user_id = u.user_id AND b.active AND g.active) AS m",
	.rows = true,
	.lookup = "u.user_id = ANY (ARRAY(SELECT b.user_id FROM mindtickle.team_member AS b WHERE b.tenant_id = $1 AND b.team_id = %s "
	"AND b.active))"},
	{.name = "entitlements", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = unkept_parts},
	{.name = "roles", .description = "The user's roles, of which the primary or else the first one counts.", .type = MT_SCIM_COMPLEX,
	.multi_valued = true,.subs = role_parts,
	.source = "jsonb_array_elements(CASE jsonb_typeof(u.attributes #> '{scim,roles}') WHEN 'array' THEN u.attributes #> '{scim,roles}' END) "
	"WITH ORDINALITY AS e (element, place)"},
	{.name = "x509Certificates", .description = "Not kept.", .type = MT_SCIM_COMPLEX, .multi_valued = true, .subs = unkept_parts},
	{NULL}
};

static const MtScimAttribute manager_parts[] = {
	{.name = "value", .description = "The id of the manager.", .case_exact = true, .text_max = MT_ID_MAX, .sql = "u.manager_id"},
	{.name = "$ref", .description = "Not kept.", .type = MT_SCIM_REFERENCE, .case_exact = true, .reference_types = user_reference},
	{.name = "displayName", .description = "Not kept.", .mutability = MT_SCIM_READ_ONLY},
	{NULL}
};

static const MtScimAttribute enterprise_attributes[] = {
	{.name = "employeeNumber", .description = "The number of the employee, as text.", .sql = KEPT_ENTERPRISE("employeeNumber")},
	{.name = "costCenter", .description = "The cost center.", .sql = KEPT_ENTERPRISE("costCenter")},
	{.name = "organization", .description = "The organization.", .sql = KEPT_ENTERPRISE("organization")},
	{.name = "division", .description = "The division.", .sql = KEPT_ENTERPRISE("division")},
	{.name = "department", .description = "The department.", .sql = "u.department"},
	{.name = "manager", .description = "The user's manager.", .type = MT_SCIM_COMPLEX, .subs = manager_parts},
	{NULL}
};

static const MtScimAttribute member_parts[] = {
	{.name = "value", .description = "The id of the member.", .case_exact = true, .mutability = MT_SCIM_IMMUTABLE, .sql = "m.user_id"},
	{.name = "$ref", .description = "The URL of the member.", .type = MT_SCIM_REFERENCE, .case_exact = true, .mutability = MT_SCIM_IMMUTABLE,
	.reference_types = user_reference,.sql = "m.user_id",.endpoint = "Users"},
	{.name = "display", .description = "The member's name as it is shown.", .mutability = MT_SCIM_READ_ONLY,
	.sql = "m.display"},
	{.name = "type", .description = "The kind of the member.", .mutability = MT_SCIM_IMMUTABLE, .canonical_values = member_types,
	.sql = "'User'::text"},
	{NULL}
};

static const MtScimAttribute group_attributes[] = {
	{.name = "displayName", .description = "The name of the group.", .required = true, .text_max = GROUP_NAME_MAX, .sql = "t.name", .folded = "t.name_key"},
	{.name = "members", .description = "The users who belong to the group.", .type = MT_SCIM_COMPLEX, .multi_valued = true,
	.subs = member_parts,
	.source = "(SELECT b.user_id, p.display FROM mindtickle.team_member AS b CROSS JOIN LATERAL "
	"(SELECT " KEPT_OR_NAME("displayName") " AS display FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.user_id = b.user_id "
	"AND " MT_SCIM_USER_VISIBLE_BY_ID " LIMIT 1) AS p WHERE b.tenant_id = $1 AND b.team_id = t.team_id AND b.active) AS m",
	.rows = true,
	.lookup = "t.team_id = ANY (ARRAY(SELECT b.team_id FROM mindtickle.team_member AS b WHERE b.tenant_id = $1 AND b.user_id = %s "
	"AND b.active))"},
	{NULL}
};

static const MtScimSchema user_schema = {MT_SCIM_USER_URN, "User", "User account", user_attributes};
static const MtScimSchema group_schema = {MT_SCIM_GROUP_URN, "Group", "Group of users", group_attributes};
static const MtScimSchema enterprise_schema = {MT_SCIM_ENTERPRISE_URN, "EnterpriseUser", "Enterprise user", enterprise_attributes};

const MtScimResourceType mt_scim_resource_types[2] = {
	[MT_SCIM_USER] = {"User", "Users", "User account", &user_schema, &enterprise_schema, user_common},
	[MT_SCIM_GROUP] = {"Group", "Groups", "Group of users", &group_schema, NULL, group_common},
};

static bool
names_match(const char *canonical, const char *name, int length)
{
	return strlen(canonical) == (size_t) length && pg_strncasecmp(canonical, name, length) == 0;
}

/*
 * The attribute of this name in a list, without regard to case; NULL where there is none.
 */
const MtScimAttribute *
mt_scim_find_attribute(const MtScimAttribute *list, const char *name, int length)
{
	for (; list != NULL && list->name != NULL; list++)
		if (names_match(list->name, name, length))
			return list;
	return NULL;
}

/*
 * The schema of this URN that resources of a kind can have, without regard to case; NULL where there is none.
 */
const MtScimSchema *
mt_scim_find_schema(MtScimResource resource, const char *urn, int length)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];

	if (names_match(type->schema->urn, urn, length))
		return type->schema;
	if (type->extension != NULL && names_match(type->extension->urn, urn, length))
		return type->extension;
	return NULL;
}

/*
 * True where an index finds the resources that have a given value of the attribute.
 */
bool
mt_scim_has_index(const MtScimAttribute *attribute)
{
	return attribute->folded != NULL || attribute->unique || strcmp(attribute->name, "externalId") == 0;
}

/*
 * True where what a client gives for the attribute, or for a part of it, is kept or made by us.
 */
bool
mt_scim_is_kept(const MtScimAttribute *attribute)
{
	if (attribute->sql != NULL || attribute->source != NULL)
		return true;
	for (const MtScimAttribute *sub = attribute->subs; sub != NULL && sub->name != NULL; sub++)
		if (sub->sql != NULL)
			return true;
	return false;
}

/*
 * True where the name of an attribute that nobody may read stands in a text, without regard to case: a secret may follow.
 */
bool
mt_scim_names_secret(const char *text, int length)
{
	for (const MtScimAttribute *attribute = user_attributes; attribute->name != NULL; attribute++)
	{
		int			name_length = (int) strlen(attribute->name);

		for (int i = 0; attribute->mutability == MT_SCIM_WRITE_ONLY && i + name_length <= length; i++)
			if (pg_strncasecmp(text + i, attribute->name, name_length) == 0)
				return true;
	}
	return false;
}

/* Cuts a known URN off the front of a name: "URN:rest", or the URN alone, whose rest is then empty. NULL where it has none. */
static const MtScimSchema *
cut_schema(MtScimResource resource, const char **name, int *length)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];
	const MtScimSchema *schemas[] = {type->schema, type->extension};

	for (int i = 0; i < (int) lengthof(schemas); i++)
	{
		int			urn_length = schemas[i] == NULL ? 0 : (int) strlen(schemas[i]->urn);

		if (schemas[i] == NULL || *length < urn_length || pg_strncasecmp(schemas[i]->urn, *name, urn_length) != 0)
			continue;
		if (*length == urn_length || (*length > urn_length + 1 && (*name)[urn_length] == ':'))
		{
			int			cut = Min(*length, urn_length + 1);

			*name += cut;
			*length -= cut;
			return schemas[i];
		}
	}
	return NULL;
}

/*
 * What a name means: [URN ":"] attribute ["." sub], or the extension's URN alone, without regard to case. False where there is no such
 * attribute.
 */
bool
mt_scim_resolve(MtScimResource resource, const char *name, int length, MtScimReference *reference)
{
	const MtScimResourceType *type = &mt_scim_resource_types[resource];
	const MtScimSchema *schema = cut_schema(resource, &name, &length);
	const char *dot;
	int			name_length;

	reference->schema = schema != NULL ? schema : type->schema;
	reference->attribute = NULL;
	reference->sub = NULL;
	if (length == 0)
		return schema != NULL && schema == type->extension;

	dot = memchr(name, '.', length);
	name_length = dot == NULL ? length : (int) (dot - name);
	reference->attribute = mt_scim_find_attribute(reference->schema->attributes, name, name_length);
	if (reference->attribute == NULL && reference->schema == type->schema)
		reference->attribute = mt_scim_find_attribute(type->common, name, name_length);
	if (reference->attribute == NULL)
		return false;
	if (dot != NULL)
		reference->sub = mt_scim_find_attribute(reference->attribute->subs, dot + 1, length - name_length - 1);
	return dot == NULL || reference->sub != NULL;
}
