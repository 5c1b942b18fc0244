/*
 * gateway_listen.c
 *		Where the gateway listens: the socket, its TLS files, and the library's daemons that serve it.
 *
 * All processes of the gateway listen on the same port (SO_REUSEPORT), and the kernel spreads connections over them; gateway_share.c makes that even.
 * It would also let in the gateway of another server of the same user, and each would get half of the other's requests. So the first process takes
 * the port for itself alone and shares it only when it has it; the others share it where one of theirs (gateway_state.c) listens already.
 *
 * Connections are accepted here and given to the library's daemon. A changed certificate makes a new daemon; the one before gets nothing more and
 * ends with its last connection.
 *
 * Called by gateway.c. Never calls the database but for those two questions.
 */
#include "gateway.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Daemons at once: the one that gets connections, and those that end. */
#define DAEMONS_MAX		4
#define BACKLOG			1024
/* Largest certificate with its chain, or key, in bytes. */
#define PEM_MAX			(256 * 1024)
/* Before another try to listen, in milliseconds: at first, as another of our processes may be about to, and when somebody else has the port. */
#define QUICK_PAUSE		100
#define SLOW_PAUSE		5000
#define QUICK_TRIES		10
/* Before another try to accept, when the system has no descriptor or no memory for a connection. */
#define ACCEPT_PAUSE	MT_SECOND
/* Connections that are accepted at once, before others have their turn. */
#define ACCEPTED_MAX	64

typedef struct Listener
{
	struct MHD_Daemon *daemon;
	char	   *certificate;	/* PEM; NULL: no TLS */
	char	   *key;
} Listener;

/* The one that gets connections is the first. */
static Listener listeners[DAEMONS_MAX];
static int	listener_count = 0;
static int	listening_socket = -1;
static bool full = false;		/* connections wait in the kernel until there is room */
static bool resting = false;	/* they do, and those that were handed over, until then */
static int64 accept_at = 0;
static bool changed = false;

typedef struct Address
{
	struct sockaddr_storage storage;
	socklen_t	length;
	bool		loopback;
} Address;

/* Reads the setting; false where it is no IP address. */
static bool
read_address(Address *address)
{
	struct sockaddr_in *ipv4 = (struct sockaddr_in *) &address->storage;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *) &address->storage;

	memset(address, 0, sizeof(Address));
	if (inet_pton(AF_INET, mt_gateway_settings.listen, &ipv4->sin_addr) == 1)
	{
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons((uint16) mt_gateway_settings.port);
		address->length = sizeof(struct sockaddr_in);
		address->loopback = (ntohl(ipv4->sin_addr.s_addr) >> 24) == 127;
		return true;
	}
	memset(address, 0, sizeof(Address));
	if (inet_pton(AF_INET6, mt_gateway_settings.listen, &ipv6->sin6_addr) == 1)
	{
		ipv6->sin6_family = AF_INET6;
		ipv6->sin6_port = htons((uint16) mt_gateway_settings.port);
		address->length = sizeof(struct sockaddr_in6);
		address->loopback = IN6_IS_ADDR_LOOPBACK(&ipv6->sin6_addr);
		return true;
	}
	return false;
}

static void
peers_work(void *argument)
{
	*(int *) argument = mt_sql_gateway_peers(mt_gateway_settings.listen, mt_gateway_settings.port);
}

static void
listens_work(void *argument)
{
	mt_sql_gateway_listens(mt_gateway_settings.listen, mt_gateway_settings.port);
}

/*
 * Runs a transaction without which this process cannot go on: where it fails, the process starts again.
 */
void
mt_gateway_run_or_end(MtWork work, void *argument)
{
	MtFailure	failure;

	if (mt_in_transaction(work, argument, &failure))
		return;
	mt_worker_judge(&failure);
	ereport(LOG, (errmsg("mindtickle gateway starts again: %s", failure.text)));
	proc_exit(1);
}

/* The listening socket; -1, and the reason in errno, where it cannot be had. */
static int
try_to_listen(const Address *address, bool shared)
{
	int			on = 1;
	int			descriptor = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int			error;

	if (descriptor < 0)
		return -1;
	if (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		(address->storage.ss_family != AF_INET6 || setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
		(!shared || setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
		bind(descriptor, (const struct sockaddr *) &address->storage, address->length) == 0 &&
		/* Whoever has it alone lets the others in from now on. */
		setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
		listen(descriptor, BACKLOG) == 0)
		return descriptor;
	error = errno;
	close(descriptor);
	errno = error;
	return -1;
}

static void
pause_and_service(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	if (ConfigReloadPending)
		proc_exit(1);
	mt_worker_service();
}

/* What keeps the gateway from listening as it is set; NULL: nothing. */
static const char *
obstacle(bool known, const Address *address)
{
	if (!known)
		return "mindtickle.gateway_listen is not an IP address";
	if ((mt_gateway_settings.certificate[0] == '\0') != (mt_gateway_settings.key[0] == '\0'))
		return "mindtickle.gateway_tls_certificate and mindtickle.gateway_tls_key must be set together";
	if (!address->loopback && mt_gateway_settings.certificate[0] == '\0' && !mt_gateway_settings.allow_plain)
		return "without TLS it listens on a loopback address only";
	return NULL;
}

/* Waits until the settings allow to listen. */
static void
wait_for_settings(Address *address)
{
	bool		told = false;

	for (;;)
	{
		const char *reason = obstacle(read_address(address), address);

		if (reason == NULL)
			return;
		if (!told)
			ereport(LOG,
					(errcode(ERRCODE_CONFIG_FILE_ERROR),
					 errmsg("mindtickle gateway does not listen on \"%s\": %s", mt_gateway_settings.listen, reason),
					 errhint("Set mindtickle.gateway_tls_certificate and mindtickle.gateway_tls_key, or a loopback address behind a proxy; "
							 "mindtickle.gateway_allow_plain lets tokens and data cross the network in the clear.")));
		told = true;
		mt_worker_idle("waiting: the settings do not allow to listen");
		pause_and_service(SLOW_PAUSE);
	}
}

/* A file of PEM, whole, in malloc's memory; NULL, and logged, where it cannot be read. */
static char *
read_pem(const char *name)
{
	FILE	   *file = AllocateFile(name, "r");
	char	   *text = malloc(PEM_MAX + 1);
	size_t		length = 0;

	if (file != NULL && text != NULL)
		length = fread(text, 1, PEM_MAX + 1, file);
	if (file == NULL || text == NULL || ferror(file) || length == 0 || length > PEM_MAX)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("mindtickle gateway could not read the file \"%s\"", name),
				 errdetail("It must hold up to %d bytes of PEM, readable for the server.", PEM_MAX)));
		free(text);
		text = NULL;
	}
	else
		text[length] = '\0';
	if (file != NULL)
		FreeFile(file);
	return text;
}

static void
free_pem(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* Reads the TLS files of the settings; false where they cannot be read. */
static bool
read_tls(char **certificate, char **key)
{
	*certificate = *key = NULL;
	if (mt_gateway_settings.certificate[0] == '\0')
		return true;
	*certificate = read_pem(mt_gateway_settings.certificate);
	*key = read_pem(mt_gateway_settings.key);
	if (*certificate != NULL && *key != NULL)
		return true;
	free_pem(*certificate);
	free_pem(*key);
	return false;
}

static void
end_listener(int index)
{
	MHD_stop_daemon(listeners[index].daemon);
	free_pem(listeners[index].certificate);
	free_pem(listeners[index].key);
	listener_count--;
	memmove(&listeners[index], &listeners[index + 1], sizeof(Listener) * (Size) (listener_count - index));
	changed = true;
}

/* Starts a daemon in front of those that there are, which takes the PEM over. False where the library refuses. */
static bool
start_daemon(char *certificate, char *key)
{
	struct MHD_Daemon *daemon = mt_serve_start(certificate, key);

	if (daemon == NULL)
	{
		free_pem(certificate);
		free_pem(key);
		return false;
	}
	memmove(&listeners[1], &listeners[0], sizeof(Listener) * (Size) listener_count);
	listeners[0] = (Listener) {daemon, certificate, key};
	listener_count++;
	changed = true;
	return true;
}

/* Gets the socket, as long as that may take. */
static void
wait_for_socket(void)
{
	Address		address;
	bool		told = false;

	wait_for_settings(&address);
	for (int try = 1;; try++)
	{
		int			peers = 0;

		mt_gateway_run_or_end(peers_work, &peers);
		listening_socket = try_to_listen(&address, peers > 0);
		if (listening_socket >= 0)
			break;
		if (!told && (try >= QUICK_TRIES || errno != EADDRINUSE))
		{
			ereport(LOG,
					(errcode_for_socket_access(),
					 errmsg("mindtickle gateway could not listen on \"%s\", port %d: %m", mt_gateway_settings.listen, mt_gateway_settings.port),
					 errhint("One database a port: set mindtickle.gateway_port to another one, or to 0 for no gateway.")));
			told = true;
		}
		mt_worker_idle("waiting for the port");
		pause_and_service(try < QUICK_TRIES ? QUICK_PAUSE : SLOW_PAUSE);
	}
	mt_gateway_run_or_end(listens_work, NULL);
}

/*
 * Begins to listen; returns when it does.
 */
void
mt_listen_open(void)
{
	char	   *certificate;
	char	   *key;

	wait_for_socket();
	while (!read_tls(&certificate, &key) || !start_daemon(certificate, key))
	{
		mt_worker_idle("waiting: the TLS files cannot be used");
		pause_and_service(SLOW_PAUSE);
	}
	mt_share_join();
}

static bool
same_text(const char *left, const char *right)
{
	return left == NULL || right == NULL ? left == right : strcmp(left, right) == 0;
}

/*
 * Takes over changed TLS files, whose content counts, not their names. Where the new ones cannot be used, it stays as it
 * was. False where the process must start again, as it listens elsewhere.
 */
bool
mt_listen_reload(void)
{
	char	   *certificate;
	char	   *key;

	if ((mt_gateway_settings.certificate[0] != '\0') != (listeners[0].certificate != NULL))
		return false;
	if (!read_tls(&certificate, &key))
		return true;
	if (listener_count == DAEMONS_MAX)
		end_listener(listener_count - 1);
	if (certificate != NULL && same_text(certificate, listeners[0].certificate) && same_text(key, listeners[0].key))
	{
		free_pem(certificate);
		free_pem(key);
		return true;
	}
	if (certificate == NULL)
		return true;
	(void) start_daemon(certificate, key);
	return true;
}

/* Gives a connection to the library, which closes it where it cannot have it. */
static void
serve(int connection)
{
	struct sockaddr_storage address;
	socklen_t	length = sizeof(address);

	if (getpeername(connection, (struct sockaddr *) &address, &length) != 0)
		close(connection);
	else
		(void) MHD_add_connection(listeners[0].daemon, connection, (struct sockaddr *) &address, length);
#if MHD_VERSION >= 0x01000000
	/* It only queues them. */
	MHD_run(listeners[0].daemon);
#endif
	mt_share_taken();
}

/* The system has no descriptor, or no memory, for another connection: none is accepted for a while. */
static void
rest_from_accepting(void)
{
	ereport(LOG, (errcode_for_socket_access(), errmsg("mindtickle gateway could not accept a connection: %m")));
	accept_at = mt_now() + ACCEPT_PAUSE;
}

/* Accepts the next connection; -1: there is none, or it cannot be had now. */
static int
accept_connection(void)
{
	for (;;)
	{
		int			connection = accept4(listening_socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (connection >= 0 || errno == EAGAIN || errno == EWOULDBLOCK)
			return connection;
		/* Whoever is gone already is no reason to let the next one wait. */
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		rest_from_accepting();
		return -1;
	}
}

/* Takes a connection that another process has handed over. False: there is none, or it cannot be had now. */
static bool
take_connection(int *connection)
{
	if (mt_share_take(connection))
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		rest_from_accepting();
	return false;
}

/*
 * Takes what other processes have handed over, and accepts what waits at the socket, as far as there is room.
 */
void
mt_listen_accept(void)
{
	int			connection;

	for (int i = 0; i < ACCEPTED_MAX && accept_at <= mt_now() && take_connection(&connection); i++)
		serve(connection);
	for (int i = 0; i < ACCEPTED_MAX && mt_serve_has_room() && accept_at <= mt_now() && (connection = accept_connection()) >= 0; i++)
		if (!mt_share_give(connection))
			serve(connection);
}

/*
 * Decides which sockets to wait for, and whether other processes may hand over connections. Those that they have handed over already count as if they
 * were here, so that there is room for them.
 */
static void
look_for_room(void)
{
	bool		now_full = !mt_serve_has_room();
	bool		now_resting = accept_at > 0 && accept_at > mt_now();

	if ((now_full == full && now_resting == resting) || listening_socket < 0)
		return;
	full = now_full;
	resting = now_resting;
	changed = true;
	mt_share_take_part(!full && !resting);
}

/*
 * Accepts nothing more; who had been let in by the kernel already, or by another process, is still served, by another one if there is one.
 */
void
mt_listen_quiesce(void)
{
	int			connection;

	if (listening_socket < 0)
		return;
	mt_share_take_part(false);
	while (take_connection(&connection))
	{
		if (connection >= 0 && mt_share_give(connection))
			mt_share_taken();
		else
			serve(connection);
	}
	while ((connection = accept_connection()) >= 0)
		if (!mt_share_give(connection))
			serve(connection);
	close(listening_socket);
	listening_socket = -1;
	changed = true;
}

/*
 * Lets the library do what there is to do, and ends daemons that have nothing left.
 */
void
mt_listen_run(void)
{
	for (int i = 0; i < listener_count; i++)
		MHD_run(listeners[i].daemon);
	for (int i = listener_count - 1; i > 0; i--)
		if (MHD_get_daemon_info(listeners[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections == 0)
			end_listener(i);
	look_for_room();
}

/*
 * Has the library send the answers of connections that were suspended. It takes them up in one run and sends in the next; nothing that is waited for
 * tells it to, so that they would lie there until something else happens.
 */
void
mt_listen_send(void)
{
	mt_listen_run();
	mt_listen_run();
}

/*
 * True when there is no connection.
 */
bool
mt_listen_idle(void)
{
	for (int i = 0; i < listener_count; i++)
		if (MHD_get_daemon_info(listeners[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections > 0)
			return false;
	return true;
}

/*
 * In how many microseconds the library wants to be called; MT_NEVER: when a socket is ready.
 */
int64
mt_listen_timeout(void)
{
	int64		soonest = MT_NEVER;

	for (int i = 0; i < listener_count; i++)
	{
		MHD_UNSIGNED_LONG_LONG milliseconds;

		if (MHD_get_timeout(listeners[i].daemon, &milliseconds) == MHD_YES)
			soonest = Min(soonest, (int64) Min(milliseconds, 3600000) * MT_MILLISECOND);
	}
	if (resting)
		soonest = Min(soonest, Max(accept_at - mt_now(), 0));
	return soonest;
}

/*
 * The descriptors to wait for, of which there are at most MT_LISTEN_SOCKETS_MAX. Returns how many. Where one of the first *accepting is ready,
 * mt_listen_accept is to be called.
 */
int
mt_listen_sockets(int *sockets, int *accepting)
{
	int			count = 0;

	if (listening_socket >= 0 && !full && !resting)
		sockets[count++] = listening_socket;
	if (listening_socket >= 0 && !resting && mt_share_socket() >= 0)
		sockets[count++] = mt_share_socket();
	*accepting = count;
	for (int i = 0; i < listener_count; i++)
		sockets[count++] = MHD_get_daemon_info(listeners[i].daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	changed = false;
	return count;
}

/*
 * True when the descriptors have changed since mt_listen_sockets.
 */
bool
mt_listen_changed(void)
{
	return changed;
}
