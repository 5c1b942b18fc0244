/*
 * scim_patch.h
 *		Applying a PATCH to a resource in memory: see scim_patch.c.
 */
#ifndef MT_SCIM_PATCH_H
#define MT_SCIM_PATCH_H

#include "scim_answer.h"
#include "scim_filter.h"

typedef enum MtScimPatchKind
{
	MT_SCIM_ADD,
	MT_SCIM_REPLACE,
	MT_SCIM_REMOVE
} MtScimPatchKind;

/* What an operation does to the members of a group, which are not part of the object. filter, sub and value may be NULL. */
typedef bool (*MtScimPatchMembers) (void *state, MtScimPatchKind kind, const MtScimFilter *filter, const MtScimAttribute *sub, const MtJson *value);

/* A PATCH while it is applied. */
typedef struct MtScimPatch
{
	const MtScimCall *call;
	MtScimResource resource;
	const char *id;				/* of the resource */
	MtJson	   *object;			/* the resource as mt_scim_read_resource gives one; it is changed */
	MtScimPatchMembers members;
	void	   *members_state;
} MtScimPatch;

extern bool mt_scim_apply_patch(MtScimPatch *patch, const MtJson *body);

#endif							/* MT_SCIM_PATCH_H */
