/*
 * scim_request.h
 *		Routing of SCIM requests: see scim_request.c.
 */
#ifndef MT_SCIM_REQUEST_H
#define MT_SCIM_REQUEST_H

#include "scim_query.h"

extern void mt_scim_dispatch(MtScimCall *call, const char *method, const char *path);

/* scim_bulk.c */
extern void mt_scim_bulk(MtScimCall *call);

/* scim_letter.c */
extern bool mt_scim_may_hold_secret(const char *bytes, int length);
extern const char *mt_scim_conceal_event(const char **bytes, int *length, const char *reason);
extern bool mt_scim_keep_letter(const MtScimCall *call, const char *method, const char *path, const char *bytes, int length);

#endif							/* MT_SCIM_REQUEST_H */
