/*
 * contract.h
 *		What a contract, one way of speaking to MindTickle, gives the HTTP front.
 *
 * A further contract is a further file with one of these, and a line in the
 * list in contract.c.
 */
#ifndef SANDBOX_CONTRACT_H
#define SANDBOX_CONTRACT_H

#include "http.h"
#include "tenant.h"

typedef struct Contract
{
	unsigned	hosts;			/* a bit for each host that speaks it */
	const char *prefix;			/* all its paths begin so */
	const char *const *routes;	/* names for the counters, ended by NULL */

	/* Which of its routes the call is for. */
	int			(*route) (const Call *call);

	/*
	 * Whose request it is. NULL: the reply is made already and the request
	 * counts for no tenant.
	 */
	Tenant	   *(*identify) (Call *call, int route);

	/* The kinds of fault that a request may meet. */
	FaultSet	(*faults) (const Call *call, int route);

	/* Makes the reply. Called without any lock held. */
	void		(*answer) (Call *call, Tenant *tenant, int route);
} Contract;

extern const Contract mt_contract_reference;
extern const Contract mt_contract_live;

/* The contract that a host speaks under a path, NULL when there is none; *first_route is where its counters begin. */
extern const Contract *mt_contract_find(Host host, const char *path, int *first_route);

/* The name of a counter over all contracts; NULL after the last. */
extern const char *mt_route_name(int counter);

#endif							/* SANDBOX_CONTRACT_H */
