/*
 * arrivals.c
 *		How many requests arrived when, over all tenants.
 *
 * Called by the HTTP front for every request of a known tenant, and by the
 * control endpoint /sandbox/arrivals. It counts by tenths of a second since
 * the first request, for a day; what comes later counts in the last one.
 */
#include "arrivals.h"

#include <stdatomic.h>

#define SLOT		INT64_C(100000000)
#define SLOTS		864000
#define PER_SECOND	10

static atomic_llong first_arrival;
static atomic_uint slots[SLOTS];
static atomic_int used;

void
mt_arrivals_count(int64_t now)
{
	long long	first = 0;
	int64_t		slot;
	int			known;

	if (atomic_compare_exchange_strong(&first_arrival, &first, now))
		first = now;
	/* Another thread may have come first with a later clock. */
	slot = now < first ? 0 : (now - first) / SLOT;
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	slots[slot]++;
	known = used;
	while (known <= slot && !atomic_compare_exchange_weak(&used, &known, (int) slot + 1))
		;
}

void
mt_arrivals_write(Buffer *buffer, long first_slot)
{
	int			count = used;
	uint64_t	in_second = 0;
	uint64_t	fullest = 0;
	int			i;

	mt_buffer_text(buffer, "{\"slot_ms\":100,\"counts\":[");
	for (i = first_slot < count ? (int) first_slot : count; i < count; i++)
	{
		uint64_t	here = slots[i];

		in_second += here;
		if (i - first_slot >= PER_SECOND)
			in_second -= slots[i - PER_SECOND];
		if (in_second > fullest)
			fullest = in_second;
		if (i > first_slot)
			mt_buffer_bytes(buffer, ",", 1);
		mt_buffer_number(buffer, here);
	}
	mt_buffer_format(buffer, "],\"next\":%d,\"max_in_second\":", count);
	mt_buffer_number(buffer, fullest);
	mt_buffer_text(buffer, "}\n");
}
