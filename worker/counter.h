/*
 * counter.h
 *		What takes long for a large tenant, beside the aggregator: see counter.c.
 */
#ifndef MT_COUNTER_H
#define MT_COUNTER_H

#include "postgres.h"

/* What a counter does. */
typedef enum MtCounterTask
{
	MT_COUNT_ANEW,				/* counts the tenant's rows */
	MT_MOVE_DETAILS				/* moves the figures of its users and courses to the tables in use */
} MtCounterTask;

extern bool mt_counter_running(void);
extern bool mt_counter_start(const char *tenant_id, MtCounterTask task, bool again);

#endif							/* MT_COUNTER_H */
