/*
 * events_client.c
 *		The other end of the benchmark of events: hears notifications, or consumes events, and notes when.
 *
 * events_client listen CHANNEL SECONDS			a line for each notification: the moment (microseconds since 1970), tab, its payload
 * events_client consume TENANT CONSUMER CHANNEL SECONDS	a line for each poll: the moment at its end, tab, its duration, tab, how many events it gave
 *
 * Connects as libpq's variables say, and writes to standard output at the end, so that writing disturbs nothing.
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static long long
now(void)
{
	struct timeval moment;

	gettimeofday(&moment, NULL);
	return moment.tv_sec * 1000000LL + moment.tv_usec;
}

static void
die(PGconn *connection)
{
	fprintf(stderr, "%s", PQerrorMessage(connection));
	exit(1);
}

static void
run(PGconn *connection, const char *command)
{
	PGresult   *result = PQexec(connection, command);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die(connection);
	PQclear(result);
}

/* Waits until the server has sent something, or a time (milliseconds) has passed. */
static void
wait_for_input(PGconn *connection, int timeout)
{
	struct pollfd descriptor = {.fd = PQsocket(connection), .events = POLLIN};

	poll(&descriptor, 1, timeout);
	if (!PQconsumeInput(connection))
		die(connection);
}

static void
listen_for(PGconn *connection, FILE *out, long long end)
{
	while (now() < end)
	{
		PGnotify   *notification;

		wait_for_input(connection, 100);
		while ((notification = PQnotifies(connection)) != NULL)
		{
			fprintf(out, "%lld\t%s\n", now(), notification->extra);
			PQfreemem(notification);
		}
	}
}

/* Polls and acknowledges until there is nothing more. */
static void
consume(PGconn *connection, FILE *out, const char *tenant, const char *consumer)
{
	const char *names[] = {tenant, consumer};

	for (;;)
	{
		long long	began = now();
		PGresult   *events = PQexecPrepared(connection, "poll", 2, names, NULL, NULL, 0);
		int			count = PQntuples(events);
		const char *arguments[] = {tenant, consumer, NULL};
		PGresult   *done;

		if (PQresultStatus(events) != PGRES_TUPLES_OK)
			die(connection);
		fprintf(out, "%lld\t%lld\t%d\n", now(), now() - began, count);
		if (count == 0)
		{
			PQclear(events);
			return;
		}
		arguments[2] = PQgetvalue(events, count - 1, 0);
		done = PQexecPrepared(connection, "acknowledge", 3, arguments, NULL, NULL, 0);
		if (PQresultStatus(done) != PGRES_TUPLES_OK)
			die(connection);
		PQclear(done);
		PQclear(events);
	}
}

static void
prepare(PGconn *connection, const char *name, const char *query)
{
	PGresult   *result = PQprepare(connection, name, query, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die(connection);
	PQclear(result);
}

int
main(int argc, char **argv)
{
	PGconn	   *connection = PQconnectdb("");
	char		listen[200];
	char	   *text;
	size_t		size;
	FILE	   *out = open_memstream(&text, &size);
	int			consuming = argc == 6 && strcmp(argv[1], "consume") == 0;
	long long	end;

	if (!consuming && !(argc == 4 && strcmp(argv[1], "listen") == 0))
		return 2;
	if (PQstatus(connection) != CONNECTION_OK)
		die(connection);
	snprintf(listen, sizeof(listen), "LISTEN \"%s\"", argv[consuming ? 4 : 2]);
	run(connection, listen);
	end = now() + (long long) (atof(argv[argc - 1]) * 1e6);
	if (!consuming)
		listen_for(connection, out, end);
	else
	{
		prepare(connection, "poll", "SELECT seq, topic, payload FROM mt_poll_events($1, $2, 1000)");
		prepare(connection, "acknowledge", "SELECT mt_ack_events($1, $2, $3)");
		while (now() < end)
		{
			PGnotify   *notification;

			consume(connection, out, argv[2], argv[3]);
			wait_for_input(connection, 100);
			while ((notification = PQnotifies(connection)) != NULL)
				PQfreemem(notification);
		}
	}
	fclose(out);
	fwrite(text, 1, size, stdout);
	PQfinish(connection);
	return 0;
}
