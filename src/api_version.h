/*
 * api_version.h
 *		Agreement between this library and the extension's SQL: see api_version.c.
 */
#ifndef MT_API_VERSION_H
#define MT_API_VERSION_H

#include "mindtickle.h"

extern void mt_check_api_version(void);
extern char *mt_api_version_problem(void);
extern Oid	mt_extension_owner(void);

#endif							/* MT_API_VERSION_H */
