/*
 * errand.h
 *		Requests that somebody waits for: see errand.c.
 */
#ifndef MT_ERRAND_H
#define MT_ERRAND_H

#include "tenant.h"

#include "errand_statements.h"

extern void mt_errand_add(MtTenant *tenant, const MtRequestRow *row);
extern bool mt_errands_any(MtTenant *tenant);
extern void mt_errands_settle(MtTenant *tenant);
extern bool mt_errands_take_up(MtTenant *tenant);
extern void mt_errands_refuse(MtTenant *tenant, int sqlstate, const char *text, const char *hint);
extern void mt_errands_refuse_resting(MtTenant *tenant);
extern void mt_errands_forget(MtTenant *tenant);
extern void mt_errands_put_back(MtTenant *tenant);

extern void mt_errand_answered(MtTenant *tenant, MtSlot *slot, MtItemEnd how, int64 changed);
extern void mt_errand_done(MtTenant *tenant, MtSlot *slot);
extern void mt_errand_again(MtTenant *tenant, MtSlot *slot);
extern void mt_errand_failed(MtTenant *tenant, MtSlot *slot, const MtFailure *failure);

#endif							/* MT_ERRAND_H */
