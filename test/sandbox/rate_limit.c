/*
 * rate_limit.c
 *		Counts a tenant's requests in sliding windows of a second and a minute.
 *
 * Called for every request of a known tenant, by the HTTP front. A window is
 * half open: two requests exactly a second apart are not in one. Refused
 * requests count too, as a client that keeps knocking must not get in. It
 * never forgives and never sleeps.
 */
#include "rate_limit.h"

#include "buffer.h"

#include <stdlib.h>
#include <time.h>

#define SECOND			INT64_C(1000000000)
#define MINUTE			(60 * SECOND)
#define FIRST_CAPACITY	64
#define MAX_CAPACITY	(1 << 20)	/* eight megabytes */

int64_t
mt_monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static int64_t *
arrival(const RateLimit *rate, uint64_t number)
{
	return &rate->arrivals[number & (rate->capacity - 1)];
}

/* Doubles a full ring, or drops its oldest arrival when it may not grow. */
static void
make_room(RateLimit *rate)
{
	RateLimit	larger = *rate;
	uint64_t	number;

	if (rate->next - rate->minute_first < rate->capacity)
		return;
	if (rate->capacity == MAX_CAPACITY)
	{
		rate->saturated = true;
		rate->minute_first++;
		if (rate->second_first < rate->minute_first)
			rate->second_first = rate->minute_first;
		return;
	}
	larger.capacity = rate->capacity == 0 ? FIRST_CAPACITY : rate->capacity * 2;
	larger.arrivals = mt_allocate(larger.capacity, sizeof(int64_t));
	for (number = rate->minute_first; number < rate->next; number++)
		*arrival(&larger, number) = *arrival(rate, number);
	free(rate->arrivals);
	*rate = larger;
}

/* Seconds, rounded up, until the arrival of that number leaves its window. */
static int
seconds_left(const RateLimit *rate, uint64_t number, int64_t window, int64_t now)
{
	int64_t		left = *arrival(rate, number) + window - now;

	return left <= 0 ? 1 : (int) ((left + SECOND - 1) / SECOND);
}

bool
mt_rate_arrive(RateLimit *rate, int64_t now, int *retry_after)
{
	uint64_t	in_second;
	uint64_t	in_minute;

	while (rate->minute_first < rate->next && *arrival(rate, rate->minute_first) <= now - MINUTE)
		rate->minute_first++;
	if (rate->second_first < rate->minute_first)
		rate->second_first = rate->minute_first;
	while (rate->second_first < rate->next && *arrival(rate, rate->second_first) <= now - SECOND)
		rate->second_first++;
	make_room(rate);
	*arrival(rate, rate->next++) = now;

	in_second = rate->next - rate->second_first;
	in_minute = rate->next - rate->minute_first;
	if (in_second > rate->max_in_second)
		rate->max_in_second = in_second;
	if (in_minute > rate->max_in_minute)
		rate->max_in_minute = in_minute;

	*retry_after = 0;
	if (rate->per_second > 0 && in_second > (uint64_t) rate->per_second)
	{
		rate->second_violations++;
		*retry_after = seconds_left(rate, rate->next - (uint64_t) rate->per_second, SECOND, now);
	}
	if (rate->per_minute > 0 && in_minute > (uint64_t) rate->per_minute)
	{
		int			minute_wait = seconds_left(rate, rate->next - (uint64_t) rate->per_minute, MINUTE, now);

		rate->minute_violations++;
		if (minute_wait > *retry_after)
			*retry_after = minute_wait;
	}
	return *retry_after == 0;
}
