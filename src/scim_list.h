/*
 * scim_list.h
 *		Lists and searches: see scim_list.c.
 */
#ifndef MT_SCIM_LIST_H
#define MT_SCIM_LIST_H

#include "scim_answer.h"
#include "scim_attribute.h"

extern void mt_scim_list(MtScimCall *call, MtScimResource resource);
extern void mt_scim_search(MtScimCall *call, MtScimResource resource);

#endif							/* MT_SCIM_LIST_H */
