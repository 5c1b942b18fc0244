/*
 * pace.c
 *		The common pace of all tenants: what has gathered while this process was starting, or was late, does not go out all at once.
 *
 * Each tenant's budget says how soon it may send. After a restart, or a pause of the machine, very many may at the same moment; here they get places
 * one after the other, so that all together send little faster than the sum of their rates. Only the bulk of pulls keeps to it: who is waited for
 * does not.
 *
 * Called by tenant_job.c when the rate of a tenant's job is known, by sync.c when the job ends, and by tenant_pull.c before each request. Never sends
 * anything, and knows nothing of budgets.
 */
#include "tenant.h"

/* All tenants together send so much faster than their rates at most, beyond so much lateness that is made up for at once. */
#define PACE_SHARE			1.12
#define PACE_CATCH_UP		(20 * MT_MILLISECOND)

/* Tenants that take part, their requests a second, and where the last place was given. */
static int	paced_count = 0;
static double all_rates = 0;
static int64 last_place = 0;

/*
 * The tenant takes part with the rate of its budget.
 */
void
mt_pace_join(MtTenant *tenant)
{
	double		rate = (double) MT_SECOND / (double) tenant->budget.interval;

	paced_count += tenant->rate == 0;
	all_rates += rate - tenant->rate;
	tenant->rate = rate;
}

/*
 * The tenant does not take part any more, if it did.
 */
void
mt_pace_leave(MtTenant *tenant)
{
	paced_count -= tenant->rate != 0;
	/* Without what rounding has left. */
	all_rates = paced_count == 0 ? 0 : all_rates - tenant->rate;
	tenant->rate = 0;
}

/*
 * When the tenant may send a request that its budget allows now, in microseconds of mt_now(): now, or its place in the common pace.
 */
int64
mt_pace_place(MtTenant *tenant, int64 now)
{
	if (tenant->place == 0)
	{
		last_place = Max(last_place, now - PACE_CATCH_UP) + (int64) (MT_SECOND / (Max(all_rates, tenant->rate) * PACE_SHARE));
		tenant->place = last_place;
	}
	if (tenant->place > now)
		return tenant->place;
	tenant->place = 0;
	return now;
}
