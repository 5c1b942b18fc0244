/*
 * rate_limit.c
 *		Counts a tenant's requests in sliding windows of a second, a minute and an hour.
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
#define FIRST_CAPACITY	64
#define MAX_CAPACITY	(1 << 20)	/* eight megabytes */

static int64_t minute = 60 * SECOND;

void
mt_rate_set_minute(int milliseconds)
{
	minute = milliseconds * INT64_C(1000000);
}

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

	if (rate->next - rate->hour_first < rate->capacity)
		return;
	if (rate->capacity == MAX_CAPACITY)
	{
		rate->saturated = true;
		rate->hour_first++;
		if (rate->minute_first < rate->hour_first)
			rate->minute_first = rate->hour_first;
		if (rate->second_first < rate->minute_first)
			rate->second_first = rate->minute_first;
		return;
	}
	larger.capacity = rate->capacity == 0 ? FIRST_CAPACITY : rate->capacity * 2;
	larger.arrivals = mt_allocate(larger.capacity, sizeof(int64_t));
	for (number = rate->hour_first; number < rate->next; number++)
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

/* Moves the first arrival of a window on to one later than that moment. */
static void
leave_window(const RateLimit *rate, uint64_t *first, int64_t after)
{
	if (*first < rate->hour_first)
		*first = rate->hour_first;
	while (*first < rate->next && *arrival(rate, *first) <= after)
		++*first;
}

/* Compares a window with its limit (0: none), and notes how full it is. */
static void
judge_window(const RateLimit *rate, uint64_t first, int64_t window, int limit, int64_t now, uint64_t *fullest,
			 uint64_t *violations, int *retry_after)
{
	uint64_t	inside = rate->next - first;
	int			wait;

	if (inside > *fullest)
		*fullest = inside;
	if (limit == 0 || inside <= (uint64_t) limit)
		return;
	++*violations;
	wait = seconds_left(rate, rate->next - (uint64_t) limit, window, now);
	if (wait > *retry_after)
		*retry_after = wait;
}

bool
mt_rate_arrive(RateLimit *rate, int64_t now, int *retry_after)
{
	leave_window(rate, &rate->hour_first, now - (rate->per_hour > 0 ? 60 * minute : minute));
	leave_window(rate, &rate->minute_first, now - minute);
	leave_window(rate, &rate->second_first, now - SECOND);
	make_room(rate);
	*arrival(rate, rate->next++) = now;

	*retry_after = 0;
	judge_window(rate, rate->second_first, SECOND, rate->per_second, now, &rate->max_in_second,
				 &rate->second_violations, retry_after);
	judge_window(rate, rate->minute_first, minute, rate->per_minute, now, &rate->max_in_minute,
				 &rate->minute_violations, retry_after);
	if (rate->per_hour > 0)
		judge_window(rate, rate->hour_first, 60 * minute, rate->per_hour, now, &rate->max_in_hour,
					 &rate->hour_violations, retry_after);
	return *retry_after == 0;
}
