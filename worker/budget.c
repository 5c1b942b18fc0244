/*
 * budget.c
 *		Says when a tenant's next request may go out, so that the far side never counts more of them than it allows.
 *
 * Called by the pull of a tenant; mt_budget_sent also from a callback of libcurl, so it calls nothing. Knows no tenant and no network. That a
 * restart does not reset the budget is the business of the caller, who stores ahead how far it is used (tenant_pull.c) and says so with
 * mt_budget_hold and mt_budget_recall.
 *
 * Requests are spaced evenly, at 97 % of the rate allowed. That alone would do if every request arrived as long after its sending as the
 * others. It does not, so the requests of the last second and of the last minute are counted as well, by the latest moment at which the far side
 * can have seen them. That is the moment of the answer; for the second, where this would cost the share of the latency, less the shortest
 * latency seen: what is common to all requests moves no two of them together. An answer may also be slow after the request was counted, so what
 * exceeds a limit is taken for that.
 *
 * A loop that comes late catches up for a tenth of a second, no more; the windows hold then too.
 *
 * The hour is counted by minutes of the clock. It is not spread: until it is used up the pace is that of minute and second, so that a pull that fits
 * into it is not slowed. The last of it is for what is urgent, which would else wait most of an hour behind a large pull.
 */
#include "budget.h"

#include <math.h>

#include "clock.h"
#include "utils/memutils.h"

/* Share of the allowed rate that is used. */
#define USED_SHARE		0.97
/* How much lateness is made up for. */
#define CATCH_UP		(100 * MT_MILLISECOND)
/* How much later than usual a request may be seen, for the second and for the minute; beyond, it is the answer that is slow. */
#define SECOND_EXCESS	(500 * MT_MILLISECOND)
#define MINUTE_EXCESS	(10 * MT_SECOND)
/* Kept between a request and the end of a window: the two clocks and the coarseness of timers. */
#define SECOND_MARGIN	(5 * MT_MILLISECOND)
#define MINUTE_MARGIN	(50 * MT_MILLISECOND)
/* Shares of the hour's requests that are used at all, and by what is not urgent. */
#define HOUR_SHARE		0.98
#define HOUR_BULK_SHARE	0.95
/* More requests a minute than this are not sent, whatever is allowed. */
#define PER_MINUTE_MAX	20000

static MtBudgetEntry *
entry_of(const MtBudget *budget, uint64 ticket)
{
	return &budget->ring[ticket % (uint64) budget->capacity];
}

/* Gives the ring another capacity and keeps the latest entries. */
static void
resize_ring(MtBudget *budget, int capacity)
{
	MtBudgetEntry *ring = MemoryContextAllocZero(TopMemoryContext, sizeof(MtBudgetEntry) * (Size) capacity);
	uint64		kept = Min(budget->taken, (uint64) Min(capacity, budget->capacity));

	for (uint64 ticket = budget->taken - kept; ticket < budget->taken; ticket++)
		ring[ticket % (uint64) capacity] = *entry_of(budget, ticket);
	/* What the old ring had forgotten is long settled. */
	for (uint64 ticket = budget->taken - Min(budget->taken, (uint64) capacity); ticket < budget->taken - kept; ticket++)
		ring[ticket % (uint64) capacity].sent = ring[ticket % (uint64) capacity].settled = 1;
	if (budget->ring != NULL)
		pfree(budget->ring);
	budget->ring = ring;
	budget->capacity = capacity;
}

/*
 * Sets the rates; per_hour 0 is no limit. What was sent before stays counted. A zeroed MtBudget is one that has sent nothing.
 */
void
mt_budget_limit(MtBudget *budget, double per_second, double per_minute, double per_hour)
{
	double		seconds;
	int			capacity;

	per_minute = Min(Max(per_minute, 1.0), PER_MINUTE_MAX);
	per_second = Max(per_second, 1.0 / 60);
	seconds = Max(1.0 / per_second, 60.0 / per_minute);
	budget->per_hour = per_hour >= 1.0 ? (int) Min(per_hour, 60.0 * PER_MINUTE_MAX) : 0;

	budget->interval = (int64) ceil(seconds * MT_SECOND / USED_SHARE);
	budget->per_second = Max((int) per_second, 1);
	budget->per_minute = (int) per_minute;
	/* Those of a minute, and those that were sent earlier and may have been seen in it. */
	capacity = budget->per_minute + (int) (budget->per_minute * MINUTE_EXCESS / MT_MINUTE) + 64;
	if (capacity != budget->capacity)
		resize_ring(budget, capacity);
}

/*
 * Nothing is sent before the given moment.
 */
void
mt_budget_hold(MtBudget *budget, int64 until)
{
	budget->next_at = Max(budget->next_at, until);
}

/* The latest moment at which the far side can have seen a request, for the window of a second. */
static int64
seen_for_second(const MtBudget *budget, const MtBudgetEntry *entry)
{
	int64		excess = SECOND_EXCESS;

	if (entry->sent == 0)
		return MT_NEVER;
	if (entry->settled != 0)
		excess = Min(Max(entry->settled - entry->sent - budget->latency_floor, 0), SECOND_EXCESS);
	return entry->sent + excess + SECOND_MARGIN;
}

/* The same for the window of a minute. */
static int64
seen_for_minute(const MtBudgetEntry *entry)
{
	int64		excess = MINUTE_EXCESS;

	if (entry->sent == 0)
		return MT_NEVER;
	if (entry->settled != 0)
		excess = Min(entry->settled - entry->sent, MINUTE_EXCESS);
	return entry->sent + excess + MINUTE_MARGIN;
}

/* The number of a minute of the clock, by which its requests are counted. */
static int64
minute_of(int64 moment)
{
	return moment / MT_MINUTE;
}

/* Forgets the minutes that the clock has left behind. */
static void
turn_minutes(MtBudget *budget, int64 now)
{
	int64		minute = minute_of(now);

	if (minute - budget->minute >= MT_BUDGET_MINUTES)
		memset(budget->minutes, 0, sizeof(budget->minutes));
	else
		for (int64 left = budget->minute + 1; left <= minute; left++)
			budget->minutes[left % MT_BUDGET_MINUTES] = 0;
	budget->minute = minute;
}

/* When a request of this minute has left every window of an hour, even if it was seen late. */
static int64
leaves_hour(int64 minute)
{
	return (minute + 1) * MT_MINUTE + MT_HOUR + MINUTE_EXCESS;
}

/* Requests that the hour before now may have seen. */
static int
used_of_hour(MtBudget *budget, int64 now)
{
	int			used = 0;

	turn_minutes(budget, now);
	for (int64 minute = budget->minute; minute >= 0 && minute > budget->minute - MT_BUDGET_MINUTES && leaves_hour(minute) > now; minute--)
		used += budget->minutes[minute % MT_BUDGET_MINUTES];
	return used;
}

/* So many requests of an hour are sent, of any kind or by what is not urgent; at least one. */
static int
limit_of_hour(const MtBudget *budget, bool urgent)
{
	return Max((int) (budget->per_hour * (urgent ? HOUR_SHARE : HOUR_BULK_SHARE)), 1);
}

/* When the hour allows another request. */
static int64
hour_allows(MtBudget *budget, int64 now, bool urgent)
{
	int			excess;

	if (budget->per_hour == 0)
		return 0;
	excess = used_of_hour(budget, now) - limit_of_hour(budget, urgent) + 1;
	if (excess <= 0)
		return 0;
	for (int64 minute = Max(budget->minute - MT_BUDGET_MINUTES + 1, 0); minute <= budget->minute; minute++)
	{
		if (leaves_hour(minute) <= now)
			continue;
		excess -= budget->minutes[minute % MT_BUDGET_MINUTES];
		if (excess <= 0)
			return leaves_hour(minute);
	}
	return now + MT_HOUR;
}

/*
 * The moment from which the next request may go out, as far as is known now; MT_NEVER while that depends on what becomes of one under way.
 */
int64
mt_budget_next(MtBudget *budget, int64 now, bool urgent)
{
	uint64		ticket = budget->taken - Min(budget->taken, (uint64) budget->capacity);
	int			in_second = 0;
	int			in_minute = 0;
	int64		leaves_second = MT_NEVER;
	int64		leaves_minute = MT_NEVER;
	int64		at = Max(budget->next_at, hour_allows(budget, now, urgent));

	if (at > now)
		return at;
	for (; ticket < budget->taken; ticket++)
	{
		const MtBudgetEntry *entry = entry_of(budget, ticket);
		int64		seen = seen_for_minute(entry);

		if (seen <= now - MT_MINUTE)
			continue;
		in_minute++;
		leaves_minute = Min(leaves_minute, seen);
		seen = seen_for_second(budget, entry);
		if (seen <= now - MT_SECOND)
			continue;
		in_second++;
		leaves_second = Min(leaves_second, seen);
	}
	if (in_second >= budget->per_second)
		at = leaves_second == MT_NEVER ? MT_NEVER : Max(at, leaves_second + MT_SECOND);
	if (in_minute >= budget->per_minute)
		at = leaves_minute == MT_NEVER ? MT_NEVER : Max(at, leaves_minute + MT_MINUTE);
	return at;
}

/*
 * Counts a request that goes out now, and returns its ticket. mt_budget_next must have said that it may.
 */
uint64
mt_budget_take(MtBudget *budget, int64 now)
{
	uint64		ticket = budget->taken++;
	MtBudgetEntry *entry = entry_of(budget, ticket);

	entry->sent = entry->settled = 0;
	turn_minutes(budget, now);
	budget->minutes[budget->minute % MT_BUDGET_MINUTES]++;
	budget->next_at = Max(budget->next_at, now - CATCH_UP) + budget->interval;
	return ticket;
}

/*
 * The request is on its way: the connection is there and its bytes follow.
 */
void
mt_budget_sent(MtBudget *budget, uint64 ticket, int64 now)
{
	if (ticket + (uint64) budget->capacity >= budget->taken)
		entry_of(budget, ticket)->sent = now;
}

/*
 * The request is over, well or badly.
 */
void
mt_budget_settled(MtBudget *budget, uint64 ticket, int64 now)
{
	MtBudgetEntry *entry;
	int64		latency;

	if (ticket + (uint64) budget->capacity < budget->taken)
		return;
	entry = entry_of(budget, ticket);
	entry->settled = now;
	if (entry->sent == 0)
	{
		entry->sent = now;
		return;
	}
	latency = now - entry->sent;
	if (budget->latency_floor == 0 || latency < budget->latency_floor)
		budget->latency_floor = latency;
	else
		budget->latency_floor += (latency - budget->latency_floor) / 256;
}

/*
 * Takes over what an earlier process had counted for the hour: requests of minutes, the latest first, which were noted so long ago.
 */
void
mt_budget_recall(MtBudget *budget, int64 now, int64 age, const int *minutes, int count)
{
	turn_minutes(budget, now);
	/* Their minutes did not begin when ours do, and the latest was noted ahead: each counts as late as it can have been. */
	for (int i = 0; i < count; i++)
	{
		int64		minute = minute_of(Min(now, now - Max(age, 0) - (i - 1) * MT_MINUTE));

		if (minute >= 0 && minute > budget->minute - MT_BUDGET_MINUTES)
			budget->minutes[minute % MT_BUDGET_MINUTES] += minutes[i];
	}
}

/*
 * The requests of the last minutes, the latest first, as mt_budget_recall takes them; to the latest are added as many as can be sent in the time
 * ahead. Returns how many minutes there are to keep; minutes has room for MT_BUDGET_MINUTES.
 */
int
mt_budget_recount(MtBudget *budget, int64 now, int64 ahead, int *minutes)
{
	int			count = 0;

	if (budget->per_hour == 0)
		return 0;
	turn_minutes(budget, now);
	for (int i = 0; i < MT_BUDGET_MINUTES; i++)
	{
		int64		minute = budget->minute - i;

		minutes[i] = minute < 0 || leaves_hour(minute) <= now ? 0 : budget->minutes[minute % MT_BUDGET_MINUTES];
		if (minutes[i] > 0)
			count = i + 1;
	}
	/* No more than the hour allows. */
	minutes[0] += Min((int) (ahead / budget->interval) + 1, Max(limit_of_hour(budget, true) - used_of_hour(budget, now), 0));
	return Max(count, 1);
}

/*
 * What is left of the minute and of the hour.
 */
MtBudgetLeft
mt_budget_left(MtBudget *budget, int64 now)
{
	MtBudgetLeft left = {.of_minute = budget->per_minute,.of_hour = -1};

	for (uint64 ticket = budget->taken - Min(budget->taken, (uint64) budget->capacity); ticket < budget->taken; ticket++)
		left.of_minute -= seen_for_minute(entry_of(budget, ticket)) > now - MT_MINUTE;
	left.of_minute = Max(left.of_minute, 0);
	if (budget->per_hour > 0)
		left.of_hour = Max(limit_of_hour(budget, true) - used_of_hour(budget, now), 0);
	return left;
}

/*
 * Gives the memory back.
 */
void
mt_budget_free(MtBudget *budget)
{
	if (budget->ring != NULL)
		pfree(budget->ring);
	memset(budget, 0, sizeof(*budget));
}
