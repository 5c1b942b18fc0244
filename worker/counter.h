/*
 * counter.h
 *		Counting a large tenant anew beside the aggregator: see counter.c.
 */
#ifndef MT_COUNTER_H
#define MT_COUNTER_H

#include "postgres.h"

extern bool mt_counter_running(void);
extern bool mt_counter_start(const char *tenant_id, bool again);

#endif							/* MT_COUNTER_H */
