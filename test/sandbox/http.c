/*
 * http.c
 *		The HTTP front: takes requests, counts them, spoils some, sends replies.
 *
 * Called by main to start and stop, and by libmicrohttpd in its threads for
 * each request. It keeps a Call per request and nothing between requests. It
 * never blocks a thread: a slow answer sleeps in delay.c. What a reply says is
 * made by a contract, by fault_answer.c or by the control endpoints.
 */
#include "http.h"

#include "arrivals.h"
#include "contract.h"
#include "control.h"
#include "fault_answer.h"
#include "options.h"
#include "truth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS	16384	/* of one host */
#define MAX_UPLOAD		(1024 * 1024)
#define JSON_DEPTH		32
#define DRIPS			20		/* bytes that a dripping answer gives in the time of a slow one */

/* Which tenant's requests a connection carries; its first one's. */
typedef struct ConnectionOwner
{
	atomic_uintptr_t tenant;
	atomic_bool is_shared;
} ConnectionOwner;

static struct MHD_Daemon *daemons[HOSTS];
static atomic_int slow_ms;
static int	hang_ms;
static atomic_ullong request_number;

const char *
mt_call_header(const Call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *
mt_call_query(const Call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool
mt_call_number(const Call *call, const char *name, long minimum, long maximum, long missing, long *value)
{
	const char *text = mt_call_query(call, name);
	char	   *end;

	*value = missing;
	if (text == NULL)
		return true;
	errno = 0;
	*value = strtol(text, &end, 10);
	return end != text && *end == '\0' && errno == 0 && *value >= minimum && *value <= maximum;
}

void
mt_reply_error(Reply *reply, unsigned status, const char *type, const char *description)
{
	reply->status = status;
	reply->body.length = 0;
	mt_buffer_text(&reply->body, "{\"error\":{\"type\":");
	mt_buffer_json(&reply->body, type);
	mt_buffer_text(&reply->body, ",\"description\":");
	mt_buffer_json(&reply->body, description);
	mt_buffer_text(&reply->body, "}}");
}

void
mt_http_set_slow(int milliseconds)
{
	slow_ms = milliseconds;
}

/* Resets the connection under libmicrohttpd, which then finds it dead. */
static void
reset_connection(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	/* Connecting to nowhere is how Linux sends RST; closing would send FIN first. */
	if (info != NULL)
		(void) connect(info->connect_fd, &nowhere, sizeof(nowhere));
}

json_object *
mt_call_json(Call *call)
{
	json_tokener *tokener;

	if (call->json != NULL || call->upload.length == 0)
		return call->json;
	tokener = json_tokener_new_ex(JSON_DEPTH);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	call->json = json_tokener_parse_ex(tokener, call->upload.data, (int) call->upload.length);
	if (call->json != NULL && (!json_object_is_type(call->json, json_type_object) ||
							   json_tokener_get_parse_end(tokener) != call->upload.length))
	{
		json_object_put(call->json);
		call->json = NULL;
	}
	json_tokener_free(tokener);
	return call->json;
}

const char *
mt_json_text(json_object *object, const char *name)
{
	json_object *member;
	const char *text;

	if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_string))
		return NULL;
	text = json_object_get_string(member);
	return strlen(text) == (size_t) json_object_get_string_len(member) ? text : NULL;
}

/* Gives the first half of the body, then fails. */
static ssize_t
read_half(void *closure, uint64_t position, char *bytes, size_t room)
{
	Call	   *call = closure;
	size_t		half = call->reply.body.length / 2;
	size_t		rest = half - (size_t) position;

	if (position >= half)
	{
		if (call->reply.delivery == DELIVER_HALF_RESET)
			reset_connection(call->connection);
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (rest > room)
		rest = room;
	memcpy(bytes, call->reply.body.data + position, rest);
	return (ssize_t) rest;
}

/* Gives one byte and then sleeps, so that the answer takes very long. */
static ssize_t
read_drip(void *closure, uint64_t position, char *bytes, size_t room)
{
	Call	   *call = closure;

	(void) room;
	if (!call->delay.is_over)
		return mt_delay_connection(&call->delay, call->connection, slow_ms / DRIPS) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
	call->delay.is_over = false;
	bytes[0] = call->reply.body.data[position];
	return 1;
}

/* Gives the body, and blanks behind it. */
static ssize_t
read_huge(void *closure, uint64_t position, char *bytes, size_t room)
{
	Call	   *call = closure;
	size_t		length = call->reply.body.length;

	memset(bytes, ' ', room);
	if (position < length)
		memcpy(bytes, call->reply.body.data + position, length - position < room ? length - position : room);
	return (ssize_t) room;
}

static ssize_t
read_truth(void *closure, uint64_t position, char *bytes, size_t room)
{
	ssize_t		length = mt_truth_read(closure, bytes, room);

	(void) position;
	return length < 0 ? MHD_CONTENT_READER_END_OF_STREAM : length;
}

static void
close_truth(void *closure)
{
	mt_truth_close(closure);
}

/* Makes libmicrohttpd's form of the reply, which takes over body or stream. */
static struct MHD_Response *
make_response(Call *call)
{
	Reply	   *reply = &call->reply;
	struct MHD_Response *response;

	if (reply->stream != NULL)
	{
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 65536, read_truth, reply->stream, close_truth);
		if (response != NULL)
			reply->stream = NULL;
	}
	/* Of these the body stays the call's: it outlives the response. */
	else if (reply->delivery == DELIVER_SHORT || reply->delivery == DELIVER_HALF_RESET)
		response = MHD_create_response_from_callback(reply->body.length, 65536, read_half, call, NULL);
	else if (reply->delivery == DELIVER_DRIPPING)
		response = MHD_create_response_from_callback(reply->body.length, 16, read_drip, call, NULL);
	else if (reply->delivery == DELIVER_HUGE)
		response = MHD_create_response_from_callback(HUGE_SIZE, 65536, read_huge, call, NULL);
	else if (reply->body.length == 0)
		response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
	else if (reply->body_is_lent)
		response = MHD_create_response_from_buffer(reply->body.length, reply->body.data, MHD_RESPMEM_PERSISTENT);
	else
	{
		response = MHD_create_response_from_buffer(reply->body.length, reply->body.data, MHD_RESPMEM_MUST_FREE);
		if (response != NULL)
			reply->body = (Buffer) {0};
	}
	return response;
}

static enum MHD_Result
send_reply(Call *call)
{
	Reply	   *reply = &call->reply;
	struct MHD_Response *response;
	enum MHD_Result result;
	char		id[32];

	if (reply->delivery == DELIVER_RESET)
	{
		reset_connection(call->connection);
		return MHD_NO;
	}
	response = make_response(call);
	if (response == NULL)
		return MHD_NO;
	snprintf(id, sizeof(id), "req-%012llx", (unsigned long long) ++request_number);
	MHD_add_response_header(response, "x-request-id", id);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	if (reply->retry_after[0] != '\0')
		MHD_add_response_header(response, reply->retry_after_is_ms ? "Retry-After-Ms" : MHD_HTTP_HEADER_RETRY_AFTER,
								reply->retry_after);
	if (reply->encoding != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, reply->encoding);
	if (reply->location.length > 0)
		MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, reply->location.data);
	if (reply->allow != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
	if (reply->challenge != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, reply->challenge);
	result = MHD_queue_response(call->connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Notes whose requests the connection carries, and that it carries more than one tenant's. */
static void
note_connection(Call *call, Tenant *tenant)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	ConnectionOwner *owner = info == NULL ? NULL : info->socket_context;
	uintptr_t	nobody = 0;

	if (owner == NULL)
		return;
	if (atomic_compare_exchange_strong(&owner->tenant, &nobody, (uintptr_t) tenant))
		tenant->stats.connections++;
	else if (nobody != (uintptr_t) tenant && !atomic_exchange(&owner->is_shared, true))
		mt_global_stats.shared_connections++;
}

/* Counts the request; the reply is a 429 already when it returns false. */
static bool
admit(Call *call, Tenant *tenant, int counter, FaultSet kinds)
{
	struct timespec wall;
	int			retry_after;
	bool		within;
	int64_t		now;

	clock_gettime(CLOCK_REALTIME, &wall);
	pthread_mutex_lock(&tenant->lock);
	/* The clock is read under the lock: arrivals must not run backwards. */
	now = mt_monotonic_now();
	within = mt_rate_arrive(&tenant->rate, now, &retry_after);
	mt_stats_arrive(&tenant->stats, counter, now, wall.tv_sec * MICROSECONDS + wall.tv_nsec / 1000);
	note_connection(call, tenant);
	if (within)
		call->fault = mt_fault_draw(&tenant->faults, tenant->data.key,
									kinds & mt_fault_kinds_at(&tenant->faults, call->method, call->path), &call->flavour);
	else
		tenant->stats.throttled++;
	pthread_mutex_unlock(&tenant->lock);
	mt_arrivals_count(now);
	call->tenant = tenant;
	if (!within)
	{
		mt_reply_error(&call->reply, MHD_HTTP_TOO_MANY_REQUESTS, "RATE_LIMITED", "too many");
		snprintf(call->reply.retry_after, sizeof(call->reply.retry_after), "%d", retry_after);
	}
	return within;
}

/* Makes the reply what it is before anything answers. */
static void
forget_reply(Call *call)
{
	if (!call->reply.body_is_lent)
		mt_buffer_free(&call->reply.body);
	call->reply = (Reply) {.status = MHD_HTTP_OK, .content_type = "application/json"};
}

/*
 * Answers, then forgets the answer: what the request was to change is changed,
 * and the client will not know. Only what changes something meets this.
 */
static void
answer_in_vain(Call *call, const Contract *contract, Tenant *tenant, int route)
{
	forget_reply(call);
	contract->answer(call, tenant, route);
	forget_reply(call);
}

/* Makes the reply to a request under a contract's path. */
static enum MHD_Result
serve_contract(Call *call, const Contract *contract, int first_route)
{
	int			route = contract->route(call);
	Tenant	   *tenant = contract->identify(call, route);

	if (tenant == NULL || !admit(call, tenant, first_route + route, contract->faults(call, route)))
		return send_reply(call);
	if (mt_fault_answer(call))
	{
		if (strcmp(call->method, MHD_HTTP_METHOD_GET) != 0 && call->flavour / 64 % 2 == 0 && call->fault != FAULT_ERROR503)
		{
			answer_in_vain(call, contract, tenant, route);
			(void) mt_fault_answer(call);
		}
		return send_reply(call);
	}
	contract->answer(call, tenant, route);
	mt_fault_spoil(call);
	if ((call->fault == FAULT_SLOW || call->fault == FAULT_HANG) &&
		mt_delay_connection(&call->delay, call->connection, call->fault == FAULT_SLOW ? slow_ms : hang_ms))
	{
		call->answered = true;
		return MHD_YES;
	}
	return send_reply(call);
}

static bool
is_loopback(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr_in *peer;

	if (info == NULL || info->client_addr->sa_family != AF_INET)
		return false;
	peer = (const struct sockaddr_in *) info->client_addr;
	return ntohl(peer->sin_addr.s_addr) >> 24 == 127;
}

static enum MHD_Result
serve(Call *call)
{
	const Contract *contract;
	int			first_route;

	if (call->upload_is_too_large)
	{
		mt_reply_error(&call->reply, MHD_HTTP_CONTENT_TOO_LARGE, "TOO_LARGE", "a mebibyte at most");
		return send_reply(call);
	}
	if (call->host == HOST_MAIN && strncmp(call->path, CONTROL_PREFIX, strlen(CONTROL_PREFIX)) == 0)
	{
		if (is_loopback(call->connection))
			mt_control_answer(call);
		else
			mt_reply_error(&call->reply, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "from this machine only");
		return send_reply(call);
	}
	contract = mt_contract_find(call->host, call->path, &first_route);
	if (contract != NULL)
		return serve_contract(call, contract, first_route);
	mt_global_stats.unrouted++;
	mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such path");
	return send_reply(call);
}

/* libmicrohttpd calls this when it has read the request line: the call begins. */
static void *
begin_call(void *closure, const char *url, struct MHD_Connection *connection)
{
	Call	   *call = mt_allocate(1, sizeof(Call));
	size_t		length = strlen(url);

	call->connection = connection;
	call->host = (Host) (intptr_t) closure;
	call->raw_url = mt_allocate(length + 1, 1);
	memcpy(call->raw_url, url, length);
	call->arrived_at = mt_monotonic_now();
	call->fault = FAULT_NONE;
	call->reply.status = MHD_HTTP_OK;
	call->reply.content_type = "application/json";
	return call;
}

/*
 * libmicrohttpd calls this once with the headers, then with pieces of a body,
 * then without any; and again after a delay.
 */
static enum MHD_Result
handle(void *unused, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
	   const char *upload, size_t *upload_size, void **closure)
{
	Call	   *call = *closure;

	(void) unused;
	(void) connection;
	(void) version;
	if (call->method == NULL)
	{
		call->method = method;
		call->path = path;
		return MHD_YES;
	}
	if (*upload_size > 0)
	{
		if (call->upload.length + *upload_size > MAX_UPLOAD)
			call->upload_is_too_large = true;
		else
			mt_buffer_bytes(&call->upload, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (call->answered)
		return send_reply(call);
	return serve(call);
}

static void
end_call(void *unused, struct MHD_Connection *connection, void **closure, enum MHD_RequestTerminationCode code)
{
	Call	   *call = *closure;

	(void) unused;
	(void) connection;
	if (call == NULL)
		return;
	if (call->tenant != NULL)
	{
		pthread_mutex_lock(&call->tenant->lock);
		mt_stats_leave(&call->tenant->stats, mt_monotonic_now() - call->arrived_at,
					   code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
		pthread_mutex_unlock(&call->tenant->lock);
	}
	if (call->reply.stream != NULL)
		mt_truth_close(call->reply.stream);
	if (!call->reply.body_is_lent)
		mt_buffer_free(&call->reply.body);
	mt_buffer_free(&call->reply.location);
	mt_buffer_free(&call->upload);
	json_object_put(call->json);
	free(call->raw_url);
	if (call->stops_program)
		kill(getpid(), SIGTERM);
	free(call);
	*closure = NULL;
}

/* Gives each connection its owner, and takes it back. */
static void
note_end_of_connection(void *unused, struct MHD_Connection *connection, void **context,
					   enum MHD_ConnectionNotificationCode code)
{
	(void) unused;
	(void) connection;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*context = mt_allocate(1, sizeof(ConnectionOwner));
	else
		free(*context);
}

static bool
start_host(const Options *options, Host host)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) options->ports[host])};
	unsigned	flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
	const union MHD_DaemonInfo *info;

	if (inet_pton(AF_INET, options->listen, &address.sin_addr) != 1)
	{
		fprintf(stderr, "mindtickle-sandbox: \"%s\" is no IPv4 address\n", options->listen);
		return false;
	}
	daemons[host] = MHD_start_daemon(flags, (uint16_t) options->ports[host], NULL, NULL, handle, NULL,
									 MHD_OPTION_SOCK_ADDR, (struct sockaddr *) &address,
									 MHD_OPTION_THREAD_POOL_SIZE, options->threads > 1 ? (unsigned) options->threads : 0,
									 MHD_OPTION_CONNECTION_LIMIT, (unsigned) MAX_CONNECTIONS,
									 MHD_OPTION_CONNECTION_TIMEOUT, 300U,
									 MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U,
									 MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096U,
									 MHD_OPTION_URI_LOG_CALLBACK, begin_call, (void *) (intptr_t) host,
									 MHD_OPTION_NOTIFY_COMPLETED, end_call, NULL,
									 MHD_OPTION_NOTIFY_CONNECTION, note_end_of_connection, NULL,
									 MHD_OPTION_END);
	if (daemons[host] == NULL)
	{
		fprintf(stderr, "mindtickle-sandbox: could not listen on %s:%d: %s\n", options->listen, options->ports[host],
				strerror(errno));
		return false;
	}
	info = MHD_get_daemon_info(daemons[host], MHD_DAEMON_INFO_BIND_PORT);
	mt_host_set_port(host, info == NULL ? 0 : info->port);
	return true;
}

bool
mt_http_start(const Options *options)
{
	Host		host;
	int			last = mt_tenants_live() ? HOSTS - 1 : HOST_MAIN;

	slow_ms = options->slow_ms;
	hang_ms = options->hang_ms;
	mt_host_set_address(options->listen);
	if (!mt_delay_start())
	{
		perror("mindtickle-sandbox: could not start a thread");
		return false;
	}
	/* The main one last: who finds its port may use all. */
	for (host = last; (int) host >= 0; host--)
	{
		if (!start_host(options, host))
		{
			mt_http_stop();
			return false;
		}
	}
	return true;
}

void
mt_http_stop(void)
{
	Host		host;

	/* First, as libmicrohttpd must not end with connections suspended. */
	mt_delay_stop();
	for (host = 0; host < HOSTS; host++)
		if (daemons[host] != NULL)
			MHD_stop_daemon(daemons[host]);
}
