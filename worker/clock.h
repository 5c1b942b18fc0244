/*
 * clock.h
 *		Time inside a worker: microseconds of the monotonic clock, which no administrator turns back.
 *
 * Used wherever a worker waits or paces. Moments that are stored or shown are TimestampTz, never these.
 */
#ifndef MT_CLOCK_H
#define MT_CLOCK_H

#include <time.h>

#define MT_MILLISECOND	INT64CONST(1000)
#define MT_SECOND		INT64CONST(1000000)
#define MT_MINUTE		(60 * MT_SECOND)
#define MT_HOUR			(60 * MT_MINUTE)

/* A moment that does not come by itself. */
#define MT_NEVER		PG_INT64_MAX

/* The present moment. Calls nothing of PostgreSQL, so a library's callback may use it. */
static inline int64
mt_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * MT_SECOND + now.tv_nsec / 1000;
}

#endif							/* MT_CLOCK_H */
