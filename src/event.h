/*
 * event.h
 *		Events for the outbox: see event.c.
 */
#ifndef MT_EVENT_H
#define MT_EVENT_H

#include "mindtickle.h"

#include "utils/jsonb.h"

extern void mt_emit_event(const char *tenant, const char *topic, Datum payload);
extern char *mt_event_channel(const char *tenant, const char *topic);

#endif							/* MT_EVENT_H */
