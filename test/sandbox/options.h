/*
 * options.h
 *		What the command line says.
 */
#ifndef SANDBOX_OPTIONS_H
#define SANDBOX_OPTIONS_H

#include "host.h"

#include <stdint.h>

typedef struct Options
{
	const char *listen;			/* IPv4 address */
	int			ports[HOSTS];	/* 0: any free one */
	const char *port_file;		/* NULL: none */
	int			threads;
	int			slow_ms;
	int			hang_ms;
	uint64_t	seed;
} Options;

/*
 * Reads the command line and adds the tenants it names. Ends the program after
 * --help, and with a message and status 2 when something is wrong.
 */
extern void mt_options_read(int argc, char **argv, Options *options);

#endif							/* SANDBOX_OPTIONS_H */
