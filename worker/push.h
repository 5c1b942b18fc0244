/*
 * push.h
 *		Provisioning that goes on to MindTickle: see push.c.
 */
#ifndef MT_PUSH_WORKER_H
#define MT_PUSH_WORKER_H

#include "tenant.h"

extern int64 mt_push_due(const MtTenant *tenant);
extern bool mt_push_fill(MtTenant *tenant);
extern const char *mt_push_call(const MtSlot *slot, MtCall *call);
extern void mt_push_answer(MtTenant *tenant, MtSlot *slot);
extern void mt_push_free(MtPush *push);

#endif							/* MT_PUSH_WORKER_H */
