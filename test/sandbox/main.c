/*
 * main.c
 *		Start and end of mindtickle-sandbox, a stand-in for MindTickle's API.
 *
 * The threads that serve are libmicrohttpd's; this one waits for the signal
 * that ends the program and does nothing else.
 */
#include "http.h"
#include "options.h"
#include "tenant.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Each connection is a descriptor, and the usual soft limit is low. */
static void
allow_many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
	(void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* Writes the ports to the file in one step, so that no reader finds half of it: the main one, then those with names. */
static bool
write_port_file(const char *name)
{
	size_t		size = strlen(name) + 5;
	char	   *temporary = mt_allocate(size, 1);
	FILE	   *file;
	bool		written = false;
	Host		host;

	snprintf(temporary, size, "%s.new", name);
	file = fopen(temporary, "w");
	if (file != NULL)
	{
		written = fprintf(file, "%d\n", mt_host_port(HOST_MAIN)) > 0;
		for (host = HOST_MAIN + 1; host < HOSTS && mt_host_port(host) != 0; host++)
			written = fprintf(file, "%s %d\n", mt_host_name(host), mt_host_port(host)) > 0 && written;
		written = fclose(file) == 0 && written && rename(temporary, name) == 0;
	}
	if (!written)
		perror("mindtickle-sandbox: could not write the port file");
	free(temporary);
	return written;
}

int
main(int argc, char **argv)
{
	Options		options;
	sigset_t	ending;
	int			received;
	int			status = 0;

	mt_options_read(argc, argv, &options);
	mt_tenants_prepare(options.seed);
	mt_session_prepare(options.seed);

	/* Blocked before any thread starts, so that only sigwait below gets them. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	allow_many_descriptors();
	if (!mt_http_start(&options))
		return 1;
	printf("mindtickle-sandbox: listening on %s:%d, %d tenants\n", options.listen, mt_host_port(HOST_MAIN), mt_tenant_count());
	fflush(stdout);
	if (options.port_file != NULL && !write_port_file(options.port_file))
		status = 1;
	else
		sigwait(&ending, &received);
	mt_http_stop();
	mt_tenants_free();
	return status;
}
