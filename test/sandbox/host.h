/*
 * host.h
 *		The hosts the sandbox plays: one port of the loopback address each.
 */
#ifndef SANDBOX_HOST_H
#define SANDBOX_HOST_H

#include "buffer.h"

typedef enum Host
{
	HOST_MAIN,					/* the reference contract and /sandbox/ */
	HOST_GLOBAL,				/* the live contract's API, global region */
	HOST_US,					/* the same, US region */
	HOST_ADMIN,					/* reporting and provisioning */
	HOST_ELSEWHERE,				/* nobody's: no call may ever arrive here */
	HOSTS						/* the last: how many */
} Host;

/* The name of a host, as options and answers say it. */
extern const char *mt_host_name(Host host);

/* The port of a host that serves; 0 while it does not. */
extern int	mt_host_port(Host host);
extern void mt_host_set_port(Host host, int port);

/* The IPv4 address all of them have; the text must live on. */
extern void mt_host_set_address(const char *address);

/* Appends http://address:port. */
extern void mt_host_url(Buffer *buffer, Host host);

#endif							/* SANDBOX_HOST_H */
