/*
 * scim_select.h
 *		Which attributes a client wants to see: see scim_select.c.
 */
#ifndef MT_SCIM_SELECT_H
#define MT_SCIM_SELECT_H

#include "scim_attribute.h"
#include "scim_query.h"

typedef enum MtScimSelectionKind
{
	MT_SCIM_SELECT_ALL,
	MT_SCIM_SELECT_ONLY,
	MT_SCIM_SELECT_WITHOUT
} MtScimSelectionKind;

typedef struct MtScimSelection
{
	MtScimSelectionKind kind;
	List	   *references;		/* of MtScimReference * */
} MtScimSelection;

extern bool mt_scim_read_selection(const MtScimParameters *parameters, MtScimResource resource, MtScimSelection *selection, MtScimAnswer *answer);
extern bool mt_scim_selects(const MtScimSelection *selection, MtScimResource resource, const char *name);
extern void mt_scim_apply_selection(const MtScimSelection *selection, MtScimResource resource, MtJson *object);

#endif							/* MT_SCIM_SELECT_H */
