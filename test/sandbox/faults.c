/*
 * faults.c
 *		Which requests get a faulty answer, and which one.
 *
 * Called by the options and the control endpoints to set percentages, and by
 * the HTTP front once per request. The draw depends on the seed, the tenant
 * and the number of the request only, so a run can be repeated. It never
 * produces the faulty answer itself: fault_answer.c does.
 */
#include "faults.h"

#include "data.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[FAULT_KINDS] = {
	"error500", "slow", "truncated", "html200", "reset", "wrong429", "odd429", "empty200", "html400", "error403",
	"error404", "redirect", "garbage", "encoding", "gzip", "deep", "huge", "bomb", "drip", "hang", "many", "padded", "error503", "error504",
	"pause503", "revoked", "loop", "endless", "strangers", "wide", "hollow", "skip", "echo", "no_id", "ahead"
};

const char *
mt_fault_name(Fault fault)
{
	return names[fault];
}

Fault
mt_fault_find(const char *name)
{
	int			kind;

	for (kind = 0; kind < FAULT_KINDS; kind++)
		if (strcmp(names[kind], name) == 0)
			break;
	return (Fault) kind;
}

bool
mt_fault_set(FaultPlan *plan, Fault fault, const char *percent, FaultPlace place)
{
	char	   *end;
	double		value = strtod(percent, &end);
	int			total = 0;
	int			kind;

	if (end == percent || *end != '\0' || !(value >= 0 && value <= 100))
		return false;
	for (kind = 0; kind < FAULT_KINDS; kind++)
		if (kind != (int) fault)
			total += plan->share[kind];
	if (total + (int) (value * 100 + 0.5) > 10000)
		return false;
	plan->share[fault] = (int) (value * 100 + 0.5);
	plan->place[fault] = place;
	return true;
}

FaultSet
mt_fault_kinds_at(const FaultPlan *plan, const char *method, const char *path)
{
	bool		scim = strncmp(path, "/scim/", 6) == 0;
	bool		post = strcmp(method, "POST") == 0;
	FaultSet	kinds = 0;
	int			kind;

	for (kind = 0; kind < FAULT_KINDS; kind++)
		if (plan->place[kind] == FAULT_EVERYWHERE || (scim && (post || plan->place[kind] == FAULT_AT_SCIM)))
			kinds |= FAULT_BIT(kind);
	return kinds;
}

Fault
mt_fault_draw(FaultPlan *plan, uint64_t key, FaultSet kinds, uint64_t *flavour)
{
	DataSet		dice = {.key = key};
	uint64_t	random = mt_draw(&dice, 0, plan->drawn++, 0);
	int			rest = (int) (random % 10000);
	int			kind;

	*flavour = random / 10000;
	for (kind = 0; kind < FAULT_KINDS; kind++)
	{
		if (rest < plan->share[kind])
		{
			if ((kinds & FAULT_BIT(kind)) == 0)
				break;
			plan->given[kind]++;
			return (Fault) kind;
		}
		rest -= plan->share[kind];
	}
	return FAULT_NONE;
}
