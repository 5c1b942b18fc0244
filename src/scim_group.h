/*
 * scim_group.h
 *		Groups, which are teams, as SCIM shows and changes them: see scim_group.c and scim_member.c.
 */
#ifndef MT_SCIM_GROUP_H
#define MT_SCIM_GROUP_H

#include "scim_patch.h"
#include "scim_select.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/hsearch.h"

/* What mt_scim_group_from_row reads of a row t of team. */
#define MT_SCIM_GROUP_COLUMNS	"t.team_id, t.name, t.scim_external_id, t.version, t.created_at, t.updated_at"

/* A group as read from the table, without its members; everything is palloc'd. */
typedef struct MtScimGroup
{
	char	   *id;
	int64		version;
	TimestampTz created_at;
	TimestampTz updated_at;
	MtJson	   *object;			/* displayName and externalId */
} MtScimGroup;

/* A member as the table has it: his id, and what filters see. */
typedef struct MtScimStoredMember
{
	const char *id;
	Jsonb	   *element;
} MtScimStoredMember;

/*
 * What a request does to the members of a group, while it is collected. Whoever is not named stays as he is, or leaves if everybody was removed;
 * so the size of the group does not matter.
 */
typedef struct MtScimMemberChange
{
	const MtScimCall *call;
	const char *group_id;		/* NULL: a new group */
	bool		cleared;		/* everybody who is not named leaves */
	MemoryContext context;		/* what is collected is in it */
	HTAB	   *named;			/* of NamedMember */
	int			named_count;	/* in the request, also twice */
	MtScimStoredMember *stored; /* NULL: not read, as only filters need it */
	int			stored_count;
	int64		stored_size;	/* in bytes */
} MtScimMemberChange;

/* scim_member.c */
extern void mt_scim_begin_members(MtScimMemberChange *change, const MtScimCall *call, const char *group_id);
extern bool mt_scim_set_members(MtScimMemberChange *change, const MtJson *list);
extern bool mt_scim_patch_members(void *state, MtScimPatchKind kind, const MtScimFilter *filter, const MtScimAttribute *sub, const MtJson *value);
extern bool mt_scim_check_members(MtScimMemberChange *change);
extern bool mt_scim_store_members(MtScimMemberChange *change, const char *group_id, MtJson *added, MtJson *removed);
extern MtJson *mt_scim_read_members(const MtScimCall *call, const char *group_id, int64 size_max);
extern bool mt_scim_refuse_members(const MtScimCall *call);

/* scim_group.c */
extern void mt_scim_group_from_row(HeapTuple row, TupleDesc descriptor, MtScimGroup *group);
extern MtJson *mt_scim_group_render(const MtScimCall *call, const MtScimGroup *group, MtJson *members, const MtScimSelection *selection);
extern void mt_scim_get_group(MtScimCall *call, const char *id);
extern void mt_scim_create_group(MtScimCall *call);
extern void mt_scim_replace_group(MtScimCall *call, const char *id);
extern void mt_scim_patch_group(MtScimCall *call, const char *id);
extern void mt_scim_delete_group(MtScimCall *call, const char *id);

#endif							/* MT_SCIM_GROUP_H */
