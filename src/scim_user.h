/*
 * scim_user.h
 *		Users as SCIM shows and changes them: see scim_user.c and scim_user_row.c.
 */
#ifndef MT_SCIM_USER_H
#define MT_SCIM_USER_H

#include "scim_select.h"

#include "access/htup.h"
#include "access/tupdesc.h"

/* What mt_scim_user_from_row reads of a row u of users; $1 is the tenant, $2 true where the groups are wanted. */
#define MT_SCIM_USER_COLUMNS \
	"u.user_id, u.user_name, u.scim_external_id, u.active, u.title, u.department, u.manager_id, u.name, u.attributes -> 'scim', " \
	"mindtickle.scim_emails(u.attributes, u.email), u.version, u.created_at, u.updated_at, " \
	"CASE WHEN $2 THEN (SELECT jsonb_agg(jsonb_build_array(g.team_id, g.name) ORDER BY g.name COLLATE \"C\", g.team_id) " \
	"FROM mindtickle.team_member AS b JOIN mindtickle.team AS g ON g.tenant_id = b.tenant_id AND g.team_id = b.team_id " \
	"WHERE b.tenant_id = $1 AND b.user_id = u.user_id AND b.active AND g.active) END"

/* A user as read from the table; everything is palloc'd. */
typedef struct MtScimUser
{
	char	   *id;
	int64		version;
	TimestampTz created_at;
	TimestampTz updated_at;
	bool		provisioned;	/* the identity provider has written him before */
	MtJson	   *object;			/* what he has, as mt_scim_read_resource gives it */
	MtJson	   *groups;			/* NULL: none, or not asked for */
} MtScimUser;

/* scim_user_row.c */
extern void mt_scim_user_from_row(HeapTuple row, TupleDesc descriptor, MtScimUser *user);
extern MtJson *mt_scim_user_render(const MtScimCall *call, const MtScimUser *user, const MtScimSelection *selection);
extern MtJson *mt_scim_meta(const MtScimCall *call, MtScimResource resource, const char *id, int64 version, TimestampTz created_at,
							TimestampTz updated_at);
extern MtJson *mt_scim_user_document(const MtJson *object);
extern const char *mt_scim_user_email(const MtJson *object);
extern const char *mt_scim_user_name(const MtJson *object);
extern const char *mt_scim_user_role(const MtJson *object);

/* scim_user.c */
extern void mt_scim_get_user(MtScimCall *call, const char *id);
extern void mt_scim_create_user(MtScimCall *call);
extern void mt_scim_replace_user(MtScimCall *call, const char *id);
extern void mt_scim_patch_user(MtScimCall *call, const char *id);
extern void mt_scim_delete_user(MtScimCall *call, const char *id);

#endif							/* MT_SCIM_USER_H */
