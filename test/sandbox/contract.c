/*
 * contract.c
 *		The list of contracts the sandbox speaks.
 *
 * Called by the HTTP front to choose a contract, and by the statistics for the
 * names of the routes. It never looks into a request.
 */
#include "contract.h"

#include <string.h>

static const Contract *const contracts[] = {&mt_contract_reference, &mt_contract_live};

#define CONTRACTS ((int) (sizeof(contracts) / sizeof(contracts[0])))

const Contract *
mt_contract_find(Host host, const char *path, int *first_route)
{
	int			first = 0;
	int			i;

	for (i = 0; i < CONTRACTS; i++)
	{
		size_t		length = strlen(contracts[i]->prefix);
		int			routes = 0;

		if ((contracts[i]->hosts >> host & 1) != 0 && strncmp(path, contracts[i]->prefix, length) == 0 &&
			(path[length] == '/' || path[length] == '\0'))
		{
			*first_route = first;
			return contracts[i];
		}
		while (contracts[i]->routes[routes] != NULL)
			routes++;
		first += routes;
	}
	return NULL;
}

const char *
mt_route_name(int counter)
{
	int			i;

	for (i = 0; i < CONTRACTS; i++)
	{
		int			route;

		for (route = 0; contracts[i]->routes[route] != NULL; route++)
			if (counter-- == 0)
				return contracts[i]->routes[route];
	}
	return NULL;
}
