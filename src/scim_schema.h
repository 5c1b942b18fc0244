/*
 * scim_schema.h
 *		What the service provider says of itself: see scim_schema.c.
 */
#ifndef MT_SCIM_SCHEMA_H
#define MT_SCIM_SCHEMA_H

#include "scim_answer.h"

extern void mt_scim_get_configuration(MtScimCall *call);
extern void mt_scim_get_resource_types(MtScimCall *call, const char *name);
extern void mt_scim_get_schemas(MtScimCall *call, const char *urn);

#endif							/* MT_SCIM_SCHEMA_H */
