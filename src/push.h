/*
 * push.h
 *		Provisioning that goes on to MindTickle: see push.c.
 */
#ifndef MT_PUSH_H
#define MT_PUSH_H

#include "mindtickle.h"

extern bool mt_push_user(const char *tenant, Datum user_id);
extern bool mt_push_pending(const char *tenant, Datum user_id);

#endif							/* MT_PUSH_H */
