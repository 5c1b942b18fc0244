/*
 * probe.h
 *		Tests of a tenant's connection: see probe.c.
 */
#ifndef MT_PROBE_H
#define MT_PROBE_H

#include "tenant.h"

extern void mt_probe_begin(MtTenant *tenant, int64 ticket, TimestampTz ends_at);
extern void mt_probe_step(MtTenant *tenant);
extern bool mt_probe_owns(const MtTenant *tenant, const MtHttpRequest *request);
extern void mt_probe_answer(MtTenant *tenant, MtHttpRequest *request);
extern void mt_probe_end(MtTenant *tenant, const char *why);

#endif							/* MT_PROBE_H */
