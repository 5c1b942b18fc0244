/*
 * scim_value.h
 *		Values that a client gives for attributes: see scim_value.c.
 */
#ifndef MT_SCIM_VALUE_H
#define MT_SCIM_VALUE_H

#include "scim_answer.h"
#include "scim_attribute.h"

extern const MtJson *mt_scim_as_object(const MtScimAttribute *attribute, const MtJson *given);
extern bool mt_scim_read_value(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value);
extern bool mt_scim_read_element(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *given, MtJson **value);
extern bool mt_scim_read_resource(MtScimAnswer *answer, MtScimResource resource, const MtJson *body, MtJson **object);
extern bool mt_scim_check_resource(MtScimAnswer *answer, MtScimResource resource, const MtJson *object);
extern int	mt_scim_size(const MtJson *object);
extern bool mt_scim_check_size(MtScimAnswer *answer, MtScimResource resource, const MtJson *object, int size_max);
extern bool mt_scim_check_list(MtScimAnswer *answer, const MtScimAttribute *attribute, const MtJson *list);

#endif							/* MT_SCIM_VALUE_H */
