/*
 * host.c
 *		The hosts the sandbox plays: one port of the loopback address each.
 *
 * Filled in by the HTTP front before the first request and only read after it.
 * It opens no socket itself.
 */
#include "host.h"

static const char *const names[HOSTS] = {"main", "global", "us", "admin", "elsewhere"};
static int	ports[HOSTS];
static const char *address = "127.0.0.1";

const char *
mt_host_name(Host host)
{
	return names[host];
}

int
mt_host_port(Host host)
{
	return ports[host];
}

void
mt_host_set_port(Host host, int port)
{
	ports[host] = port;
}

void
mt_host_set_address(const char *text)
{
	address = text;
}

void
mt_host_url(Buffer *buffer, Host host)
{
	mt_buffer_format(buffer, "http://%s:%d", address, ports[host]);
}
