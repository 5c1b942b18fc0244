/*
 * arrivals.h
 *		How many requests arrived when, over all tenants.
 */
#ifndef SANDBOX_ARRIVALS_H
#define SANDBOX_ARRIVALS_H

#include "buffer.h"

/* Counts a request that arrives at that monotonic nanosecond. */
extern void mt_arrivals_count(int64_t now);

/* Appends the counts from a tenth of a second on, and the fullest second. */
extern void mt_arrivals_write(Buffer *buffer, long first_slot);

#endif							/* SANDBOX_ARRIVALS_H */
