/*
 * gateway.c
 *		The HTTP gateway: a process that answers HTTP on a port of its own and acts in the database as each request's token allows.
 *
 * Started by the launcher, mindtickle.gateway_workers of them for one database, all on the same port. One loop does everything: it waits for the
 * latch and for the sockets, lets libmicrohttpd read and write (gateway_listen.c, gateway_request.c), gives each tenant its turn (gateway_turn.c),
 * executes requests one after the other, a transaction each (gateway_execute.c), looks after those that wait for a pull (gateway_pull.c), and
 * brings to disk what was written before that is acknowledged. It waits for nothing else, but for locks and for the disk, which are bounded.
 *
 * The service role acts, bounded by mindtickle.enter_token: nothing is done for a request before its token is entered. When it is told to end, it
 * accepts nothing more, answers what it has, and goes.
 */
#include "gateway.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

PGDLLEXPORT void mt_gateway_main(Datum argument);

/* How long requests under way may take when the process ends; the statement_timeout bounds each of them, too. */
#define DRAIN_TIME	(3 * MT_SECOND)
/* Memory in pieces of this size or more goes back to the system when it is freed: documents and what they are made of would leave gaps otherwise. */
#define GIVEN_BACK	(64 * 1024)

MtGatewaySettings mt_gateway_settings;
MemoryContext mt_gateway_context;
bool		mt_gateway_draining = false;

/* Settings that need a process to begin anew. */
typedef struct FixedSettings
{
	char		listen[64];
	int			port;
	bool		allow_plain;
	int			connections;
	int			connections_per_address;
} FixedSettings;

static const char *
setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value == NULL ? "" : value;
}

static void
set_for_session(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_USERSET, PGC_S_SESSION);
}

static void
read_settings(void)
{
	MtGatewaySettings *settings = &mt_gateway_settings;
	const char *log = setting("mindtickle.gateway_log");

	strlcpy(settings->listen, setting("mindtickle.gateway_listen"), sizeof(settings->listen));
	settings->port = pg_strtoint32(setting("mindtickle.gateway_port"));
	settings->allow_plain = strcmp(setting("mindtickle.gateway_allow_plain"), "on") == 0;
	strlcpy(settings->certificate, setting("mindtickle.gateway_tls_certificate"), sizeof(settings->certificate));
	strlcpy(settings->key, setting("mindtickle.gateway_tls_key"), sizeof(settings->key));
	settings->connections = pg_strtoint32(setting("mindtickle.gateway_connections"));
	settings->connections_per_address = pg_strtoint32(setting("mindtickle.gateway_connections_per_address"));
	settings->request_timeout = pg_strtoint32(setting("mindtickle.gateway_request_timeout")) * MT_MILLISECOND;
	settings->pull_wait = pg_strtoint32(setting("mindtickle.gateway_pull_wait")) * MT_MILLISECOND;
	settings->log_all = strcmp(log, "all") == 0;
	settings->log_errors = strcmp(log, "errors") == 0;
	set_for_session("statement_timeout", setting("mindtickle.gateway_statement_timeout"));
	/* What is acknowledged is flushed by gateway_execute.c, for all requests of a round at once; a standby is waited for by the commit alone. */
	set_for_session("synchronous_commit", setting("synchronous_standby_names")[0] == '\0' ? "off" : "on");
}

static void
remember(FixedSettings *fixed)
{
	memset(fixed, 0, sizeof(FixedSettings));
	strlcpy(fixed->listen, mt_gateway_settings.listen, sizeof(fixed->listen));
	fixed->port = mt_gateway_settings.port;
	fixed->allow_plain = mt_gateway_settings.allow_plain;
	fixed->connections = mt_gateway_settings.connections;
	fixed->connections_per_address = mt_gateway_settings.connections_per_address;
}

static void
database_work(void *argument)
{
	*(bool *) argument = strcmp(setting("mindtickle.gateway_database"), get_database_name(MyDatabaseId)) == 0;
}

/* True when, by the settings, this process is one of the gateway's. Its number is the last word of its kind. */
static bool
wanted(void)
{
	const char *number = strrchr(MyBgworkerEntry->bgw_extra, ' ');
	bool		served = true;
	MtFailure	failure;

	if (setting("mindtickle.gateway_database")[0] != '\0' && !mt_in_transaction(database_work, &served, &failure))
		return false;
	return served && mt_gateway_settings.port != 0 && number != NULL && atoi(number + 1) <= atoi(setting("mindtickle.gateway_workers"));
}

/* Takes over changed settings. False where the process must end, so that another one begins, or none. */
static bool
reload(void)
{
	FixedSettings before;
	FixedSettings now;

	remember(&before);
	read_settings();
	remember(&now);
	return wanted() && memcmp(&before, &now, sizeof(before)) == 0 && mt_listen_reload();
}

/* Events of the sockets of which the first few have connections to be accepted; the library's carry NULL. */
static WaitEventSet *
make_wait_set(void)
{
	static char accept_mark;
	int			sockets[MT_LISTEN_SOCKETS_MAX];
	int			accepting;
	int			count = mt_listen_sockets(sockets, &accepting);
#if PG_VERSION_NUM >= 170000
	WaitEventSet *set = CreateWaitEventSet(NULL, MT_LISTEN_SOCKETS_MAX + 2);
#else
	WaitEventSet *set = CreateWaitEventSet(TopMemoryContext, MT_LISTEN_SOCKETS_MAX + 2);
#endif

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
		AddWaitEventToSet(set, WL_SOCKET_READABLE, sockets[i], NULL, i < accepting ? &accept_mark : NULL);
	return set;
}

/* Waits until there is something to do, and accepts the connections that there are. */
static void
wait_and_accept(WaitEventSet *wait_set, long milliseconds)
{
	WaitEvent	events[MT_LISTEN_SOCKETS_MAX];
	int			count = WaitEventSetWait(wait_set, milliseconds, events, lengthof(events), PG_WAIT_EXTENSION);
	bool		accept = false;

	for (int i = 0; i < count; i++)
		accept |= events[i].user_data != NULL;
	if (accept && !mt_gateway_draining)
		mt_listen_accept();
}

/* Milliseconds until there is something to do that no event tells of; -1: never. */
static long
time_to_wait(int64 drain_until)
{
	int64		now = mt_now();
	int64		library = mt_listen_timeout();
	int64		next = Min(Min(mt_pull_next(), mt_serve_sweep_at()), Min(mt_count_flush_at(), drain_until));

	if (mt_serve_take_resumed() || mt_turn_waiting())
		return 0;
	if (library != MT_NEVER)
		next = Min(next, now + library);
	if (next == MT_NEVER)
		return -1;
	return next <= now ? 0 : (long) ((next - now) / MT_MILLISECOND) + 1;
}

static void
start(Oid database)
{
	mt_worker_start(database, MyBgworkerEntry->bgw_extra, "mindtickle gateway");
	mt_worker_end_gently();
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, GIVEN_BACK);
#endif
	mt_gateway_context = AllocSetContextCreate(TopMemoryContext, "mindtickle gateway", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(mt_gateway_context);
	read_settings();
	if (!wanted())
		proc_exit(0);
	/* Moments are shown in UTC. */
	set_for_session("timezone", "UTC");
	mt_turn_start();
	mt_listen_open();
	ereport(LOG,
			(errmsg("mindtickle gateway listens on %s://%s:%d", mt_gateway_settings.certificate[0] == '\0' ? "http" : "https",
					mt_gateway_settings.listen, mt_gateway_settings.port)));
}

/* Begins to end, when that was ordered or the settings want it. Returns until when. */
static int64
drain(void)
{
	mt_gateway_draining = true;
	mt_listen_quiesce();
	mt_worker_busy("ending: answering what is under way");
	return mt_now() + DRAIN_TIME;
}

/*
 * A process of the gateway.
 */
void
mt_gateway_main(Datum argument)
{
	WaitEventSet *wait_set;
	int64		drain_until = MT_NEVER;

	start(DatumGetObjectId(argument));
	wait_set = make_wait_set();
	mt_worker_idle("serving HTTP");
	for (;;)
	{
		bool		reloading;
		bool		told;

		wait_and_accept(wait_set, time_to_wait(drain_until));
		told = MyLatch->is_set;
		if (told)
			ResetLatch(MyLatch);
		reloading = ConfigReloadPending;
		mt_worker_service();
		if (!mt_gateway_draining && ((reloading && !reload()) || mt_worker_end_ordered()))
			drain_until = drain();

		MemoryContextSwitchTo(mt_gateway_context);
		mt_listen_run();
		mt_turn_round();
		mt_pull_look(told);
		mt_execute_flush();
		if (mt_serve_take_resumed())
			mt_listen_send();
		mt_serve_sweep();
		mt_count_flush();
		if (mt_gateway_draining)
		{
			mt_serve_hang_up_idle();
			if (mt_listen_idle() || mt_now() > drain_until)
				proc_exit(1);
		}
		if (mt_listen_changed())
		{
			FreeWaitEventSet(wait_set);
			wait_set = make_wait_set();
		}
	}
}
