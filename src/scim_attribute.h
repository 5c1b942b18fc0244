/*
 * scim_attribute.h
 *		The attributes that our SCIM service provider knows: see scim_attribute.c.
 */
#ifndef MT_SCIM_ATTRIBUTE_H
#define MT_SCIM_ATTRIBUTE_H

#include "mindtickle.h"

#define MT_SCIM_USER_URN		"urn:ietf:params:scim:schemas:core:2.0:User"
#define MT_SCIM_GROUP_URN		"urn:ietf:params:scim:schemas:core:2.0:Group"
#define MT_SCIM_ENTERPRISE_URN	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

/*
 * Which rows are resources: a user without a name, whom only MindTickle knows, is none, nor is one who was deleted.
 */
#define MT_SCIM_USER_VISIBLE	"u.deleted_at IS NULL AND u.user_name_key IS NOT NULL"
/*
 * The same for users who are looked up by their ids. It is not what the index of the lists is limited by, or else, where nothing is known of the
 * tables yet, the planner might go through that for each id.
 */
#define MT_SCIM_USER_VISIBLE_BY_ID	"u.deleted_at IS NULL AND u.user_name IS NOT NULL"
#define MT_SCIM_GROUP_VISIBLE	"t.active"

/* Kinds of resources. */
typedef enum MtScimResource
{
	MT_SCIM_USER,
	MT_SCIM_GROUP
} MtScimResource;

/* RFC 7643 section 2.3, as far as an attribute of ours has the type. */
typedef enum MtScimType
{
	MT_SCIM_STRING = 0,
	MT_SCIM_BOOLEAN,
	MT_SCIM_DATETIME,
	MT_SCIM_REFERENCE,
	MT_SCIM_COMPLEX
} MtScimType;

/* RFC 7643 section 7. */
typedef enum MtScimMutability
{
	MT_SCIM_READ_WRITE = 0,
	MT_SCIM_READ_ONLY,
	MT_SCIM_IMMUTABLE,
	MT_SCIM_WRITE_ONLY
} MtScimMutability;

typedef enum MtScimReturned
{
	MT_SCIM_RETURNED_BY_DEFAULT = 0,
	MT_SCIM_RETURNED_ALWAYS,
	MT_SCIM_RETURNED_NEVER
} MtScimReturned;

/*
 * An attribute or sub-attribute. Lists of them end with a name that is NULL; so do the lists of words.
 *
 * The last five say where it is kept, as SQL over one row: u of mindtickle.users, t of mindtickle.team, e or m of what source gives. They are
 * constants of ours and hold no text of a client. An attribute that has none of them is known and not kept: it is accepted without effect,
 * not declared, and cannot be filtered by.
 */
typedef struct MtScimAttribute
{
	const char *name;			/* canonical */
	const char *description;
	MtScimType	type;
	bool		multi_valued;
	bool		required;
	bool		case_exact;
	bool		unique;			/* "server" */
	int			text_max;		/* most bytes of a string; 0: 4096 */
	MtScimMutability mutability;
	MtScimReturned returned;
	const struct MtScimAttribute *subs; /* of a complex attribute */
	const char *const *canonical_values;
	const char *const *reference_types;

	const char *sql;			/* text, boolean or timestamptz; of a single value, or of one element for a sub-attribute of a list */
	const char *folded;			/* a column that holds lower(sql) and has an index */
	const char *endpoint;		/* the value is a URL: base URL, this, and sql */
	const char *source;			/* of a list: FROM and WHERE that give its elements, one a row; $1 is the tenant */
	bool		rows;			/* of a list: its elements are rows of a table, and an index finds the one of a value */
	const char *lookup;			/* of a list: what is true wherever an element's value is %s, by an index */
} MtScimAttribute;

typedef struct MtScimSchema
{
	const char *urn;
	const char *name;
	const char *description;
	const MtScimAttribute *attributes;
} MtScimSchema;

typedef struct MtScimResourceType
{
	const char *name;
	const char *endpoint;		/* "Users" */
	const char *description;
	const MtScimSchema *schema;
	const MtScimSchema *extension;	/* NULL: none */
	const MtScimAttribute *common;	/* id, externalId, meta, schemas: RFC 7643 section 3.1; part of no schema */
} MtScimResourceType;

/* What a name means. */
typedef struct MtScimReference
{
	const MtScimSchema *schema; /* of common attributes the resource's core schema */
	const MtScimAttribute *attribute;	/* NULL: the extension as a whole, named by its URN alone */
	const MtScimAttribute *sub; /* NULL: none named */
} MtScimReference;

extern const MtScimResourceType mt_scim_resource_types[2];	/* by MtScimResource */

extern bool mt_scim_resolve(MtScimResource resource, const char *name, int length, MtScimReference *reference);
extern const MtScimAttribute *mt_scim_find_attribute(const MtScimAttribute *list, const char *name, int length);
extern const MtScimSchema *mt_scim_find_schema(MtScimResource resource, const char *urn, int length);
extern bool mt_scim_has_index(const MtScimAttribute *attribute);
extern bool mt_scim_is_kept(const MtScimAttribute *attribute);
extern bool mt_scim_names_secret(const char *text, int length);

#endif							/* MT_SCIM_ATTRIBUTE_H */
