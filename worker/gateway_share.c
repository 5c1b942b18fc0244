/*
 * gateway_share.c
 *		Spreads connections evenly over the processes of the gateway.
 *
 * The kernel spreads them by a hash, and of few connections that are kept one process gets twice as many as another, or all: it is busy while the
 * other waits. So a process that accepts a connection while another has fewer hands it over, before a byte of it is read. How many each one has
 * lies in shared memory; the descriptor goes through a Unix socket in pg_stat_tmp, which only the server's user can reach and no backup copies.
 * Where there is no such socket, connections stay where the kernel put them.
 *
 * Called by gateway_listen.c, and by gateway_request.c for the count. Never calls the database or the HTTP library.
 */
#include "gateway.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

/* Processes of all gateways of the server; there is one gateway a database. Those beyond it share with nobody. */
#define MEMBERS_MAX		64
#define ENDPOINT_SIZE	128

typedef struct Member
{
	pid_t		pid;			/* 0: none */
	bool		taking;			/* it takes connections from others */
	uint32		limit;			/* of its connections */
	char		endpoint[ENDPOINT_SIZE];	/* members with the same one serve the same */
	pg_atomic_uint32 connections;	/* written by itself alone, without the lock */
	pg_atomic_uint32 taken;		/* so is this */
	uint32		given;			/* to it, by others or by itself; what is not taken yet counts as its own */
} Member;

typedef struct Members
{
	int			tranche;
	LWLock		lock;			/* held also while a connection is handed over, so that who has ceased to take gets none any more */
	Member		members[MEMBERS_MAX];
} Members;

static Members *shared = NULL;
static Member *own = NULL;
static int	own_socket = -1;

static void
attach(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("mindtickle gateway connections", sizeof(Members), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Members));
		shared->tranche = LWLockNewTrancheId();
		LWLockInitialize(&shared->lock, shared->tranche);
		for (int i = 0; i < MEMBERS_MAX; i++)
		{
			pg_atomic_init_u32(&shared->members[i].connections, 0);
			pg_atomic_init_u32(&shared->members[i].taken, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->tranche, "mindtickle_gateway_connections");
}

/* The socket's name of a member; the server's processes work in the data directory. */
static void
name_socket(const Member *member, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/mindtickle_gateway.%d", PG_STAT_TMP_DIR, (int) (member - shared->members));
}

static void
leave(int code, Datum argument)
{
	struct sockaddr_un address;

	mt_share_take_part(false);
	name_socket(own, &address);
	(void) unlink(address.sun_path);
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	own->pid = 0;
	LWLockRelease(&shared->lock);
}

/* Takes a free place. Others give nothing yet. */
static void
take_place(const char *endpoint)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MEMBERS_MAX && own == NULL; i++)
		if (shared->members[i].pid == 0)
			own = &shared->members[i];
	if (own != NULL)
	{
		own->pid = MyProcPid;
		own->taking = false;
		own->limit = (uint32) mt_gateway_settings.connections;
		strlcpy(own->endpoint, endpoint, sizeof(own->endpoint));
		own->given = 0;
		pg_atomic_write_u32(&own->connections, 0);
		pg_atomic_write_u32(&own->taken, 0);
	}
	LWLockRelease(&shared->lock);
}

/*
 * This process is one of those that serve the same from now on.
 */
void
mt_share_join(void)
{
	char		endpoint[ENDPOINT_SIZE];
	struct sockaddr_un address;

	snprintf(endpoint, sizeof(endpoint), "%u %s %s %d", MyDatabaseId, mt_gateway_settings.certificate[0] == '\0' ? "http" : "https",
			 mt_gateway_settings.listen, mt_gateway_settings.port);
	attach();
	take_place(endpoint);
	if (own == NULL)
		return;
	before_shmem_exit(leave, (Datum) 0);
	name_socket(own, &address);
	(void) unlink(address.sun_path);
	own_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (own_socket < 0 || bind(own_socket, (struct sockaddr *) &address, sizeof(address)) != 0)
	{
		ereport(LOG,
				(errcode_for_socket_access(),
				 errmsg("mindtickle gateway could not open the socket \"%s\": %m", address.sun_path),
				 errdetail("Its processes do not even out their connections.")));
		if (own_socket >= 0)
			close(own_socket);
		own_socket = -1;
		return;
	}
	mt_share_take_part(true);
}

/*
 * Whether others hand over connections to this process. Where they cease to, those that they have handed over are still there to be taken.
 */
void
mt_share_take_part(bool taking)
{
	if (own == NULL)
		return;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	own->taking = taking && own_socket >= 0;
	LWLockRelease(&shared->lock);
}

/*
 * Takes down how many connections this process has. Called by callbacks of the HTTP library: raises no error.
 */
void
mt_share_count(int connections)
{
	if (own != NULL)
		pg_atomic_write_u32(&own->connections, (uint32) connections);
}

/* How many connections a member has, and those on their way to it. The lock is held. */
static uint32
load_of(Member *member)
{
	return pg_atomic_read_u32(&member->connections) + member->given - pg_atomic_read_u32(&member->taken);
}

/*
 * How many connections this process has, and those on their way to it.
 */
int
mt_share_load(void)
{
	uint32		load;

	if (own == NULL)
		return 0;
	LWLockAcquire(&shared->lock, LW_SHARED);
	load = load_of(own);
	LWLockRelease(&shared->lock);
	return (int) load;
}

/* Sends a descriptor to a member. False where that cannot be now. */
static bool
send_descriptor(const Member *member, int descriptor)
{
	struct sockaddr_un address;
	char		byte = 0;
	struct iovec part = {&byte, 1};
	union
	{
		struct cmsghdr header;
		char		space[CMSG_SPACE(sizeof(int))];
	}			control;
	struct msghdr message = {&address, sizeof(address), &part, 1, &control, sizeof(control), 0};

	name_socket(member, &address);
	memset(&control, 0, sizeof(control));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
	return sendmsg(own_socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

/*
 * Hands a connection over to the process that has the fewest, and closes it here. One that is in no state to take any, as it ends, hands all of them to
 * others. False where it stays with this one. Either way it counts for who has it now until that process calls mt_share_taken.
 */
bool
mt_share_give(int connection)
{
	Member	   *least = own;

	if (own == NULL)
		return false;
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MEMBERS_MAX; i++)
	{
		Member	   *member = &shared->members[i];

		if (own_socket < 0 || member->pid == 0 || !member->taking || strcmp(member->endpoint, own->endpoint) != 0 || load_of(member) >= member->limit)
			continue;
		if (load_of(member) < load_of(least) || (least == own && !own->taking))
			least = member;
	}
	if (least != own && !send_descriptor(least, connection))
		least = own;
	least->given++;
	LWLockRelease(&shared->lock);
	if (least != own)
		close(connection);
	return least != own;
}

/*
 * Takes what another process has handed over; *connection is -1 where it did not arrive whole. False where there is nothing, or no descriptor for it,
 * as errno tells: to receive it then would be to lose it.
 */
bool
mt_share_take(int *connection)
{
	char		byte;
	struct iovec part = {&byte, 1};
	union
	{
		struct cmsghdr header;
		char		space[CMSG_SPACE(sizeof(int))];
	}			control;
	struct msghdr message = {NULL, 0, &part, 1, &control, sizeof(control), 0};
	const struct cmsghdr *header;
	int			spare;

	*connection = -1;
	if (own_socket < 0)
	{
		errno = EAGAIN;
		return false;
	}
	spare = fcntl(own_socket, F_DUPFD_CLOEXEC, 0);
	if (spare < 0)
		return false;
	close(spare);
	if (recvmsg(own_socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return false;
	header = CMSG_FIRSTHDR(&message);
	if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(connection, CMSG_DATA(header), sizeof(int));
	return true;
}

/*
 * A connection that was given to this process, by another one or by itself, is among those that mt_share_count knows of, or gone.
 */
void
mt_share_taken(void)
{
	if (own != NULL)
		pg_atomic_fetch_add_u32(&own->taken, 1);
}

/*
 * The socket to wait for: readable when another process has handed something over. -1: there is none.
 */
int
mt_share_socket(void)
{
	return own_socket;
}
