/*
 * rate_limit.h
 *		Counts a tenant's requests in sliding windows of a second, a minute and an hour.
 *
 * The owner's lock guards it: none of these functions may run twice at once
 * for one RateLimit.
 */
#ifndef SANDBOX_RATE_LIMIT_H
#define SANDBOX_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RateLimit
{
	int			per_second;		/* 0: no limit */
	int			per_minute;
	int			per_hour;

	int64_t    *arrivals;		/* ring of arrival times, nanoseconds */
	size_t		capacity;		/* a power of two */
	uint64_t	next;			/* arrivals so far */
	uint64_t	second_first;	/* first arrival inside the last second */
	uint64_t	minute_first;
	uint64_t	hour_first;		/* as minute_first, unless there is a limit per hour */

	uint64_t	max_in_second;
	uint64_t	max_in_minute;
	uint64_t	max_in_hour;	/* 0 without a limit per hour */
	bool		saturated;		/* the ring was too small once */
	uint64_t	second_violations;
	uint64_t	minute_violations;
	uint64_t	hour_violations;
} RateLimit;

/* Makes all minutes that long, and all hours sixty times as long; before the first request. */
extern void mt_rate_set_minute(int milliseconds);

/* The monotonic clock in nanoseconds. */
extern int64_t mt_monotonic_now(void);

/*
 * Counts a request that arrives now. True when it is within the limits; else
 * *retry_after is the number of seconds until one would be.
 */
extern bool mt_rate_arrive(RateLimit *rate, int64_t now, int *retry_after);

#endif							/* SANDBOX_RATE_LIMIT_H */
