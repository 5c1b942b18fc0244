/*
 * http.c
 *		The HTTP front: takes requests, counts them, spoils some, sends replies.
 *
 * Called by main to start and stop, and by libmicrohttpd in its threads for
 * each request. It keeps a Call per request and nothing between requests. It
 * never blocks a thread: a slow answer sleeps in delay.c. What a reply says is
 * made by a contract or by the control endpoints.
 */
#include "http.h"

#include "contract.h"
#include "control.h"
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

#define MAX_CONNECTIONS 4096

static struct MHD_Daemon *http_daemon = NULL;
static atomic_int slow_ms;
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
	else if (reply->delivery == DELIVER_SHORT || reply->delivery == DELIVER_HALF_RESET)
		/* The body stays the call's: it outlives the response. */
		response = MHD_create_response_from_callback(reply->body.length, 65536, read_half, call, NULL);
	else if (reply->body.length == 0)
		response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
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
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, reply->retry_after);
	if (reply->allow != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
	result = MHD_queue_response(call->connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

/* A server's fault, in one of the shapes such answers have. */
static void
make_error500(Reply *reply, uint64_t flavour)
{
	switch (flavour % 3)
	{
		case 0:
			mt_reply_error(reply, MHD_HTTP_INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong");
			break;
		case 1:
			reply->status = MHD_HTTP_BAD_GATEWAY;
			reply->content_type = "text/html";
			mt_buffer_text(&reply->body, "<html><body><h1>502 Bad Gateway</h1></body></html>");
			break;
		default:
			reply->status = MHD_HTTP_SERVICE_UNAVAILABLE;
			reply->content_type = "text/plain";
			mt_buffer_text(&reply->body, "upstream connect error");
			break;
	}
}

/* A 429 that no limit asked for; odd ones come with a Retry-After that is hard to read. */
static void
make_false429(Reply *reply, bool odd, uint64_t flavour)
{
	mt_reply_error(reply, MHD_HTTP_TOO_MANY_REQUESTS, "RATE_LIMITED", "too many");
	if (!odd)
	{
		if (flavour % 2 == 0)
			strcpy(reply->retry_after, "1");
		return;
	}
	switch (flavour % 4)
	{
		case 0:
			{
				time_t		soon = time(NULL) + 2;
				struct tm	parts;

				gmtime_r(&soon, &parts);
				strftime(reply->retry_after, sizeof(reply->retry_after), "%a, %d %b %Y %H:%M:%S GMT", &parts);
				break;
			}
		case 1:
			strcpy(reply->retry_after, "soon");
			break;
		case 2:
			strcpy(reply->retry_after, "-5");
			break;
		default:
			strcpy(reply->retry_after, "864000");
			break;
	}
}

/* Makes the whole reply of a fault that needs no true answer; false when it needs one. */
static bool
make_fault(Call *call, Fault fault, uint64_t flavour)
{
	Reply	   *reply = &call->reply;

	switch (fault)
	{
		case FAULT_ERROR500:
			make_error500(reply, flavour);
			return true;
		case FAULT_HTML200:
			reply->content_type = flavour % 2 == 0 ? "text/html" : "application/json";
			mt_buffer_text(&reply->body, "<!DOCTYPE html>\n<html><body>Please sign in to the proxy.</body></html>\n");
			return true;
		case FAULT_EMPTY200:
			return true;
		case FAULT_WRONG429:
		case FAULT_ODD429:
			make_false429(reply, fault == FAULT_ODD429, flavour);
			return true;
		case FAULT_RESET:
			reply->delivery = flavour % 2 == 0 ? DELIVER_RESET : DELIVER_HALF_RESET;
			return reply->delivery == DELIVER_RESET;
		case FAULT_TRUNCATED:
		case FAULT_SLOW:
		case FAULT_NONE:
			break;
	}
	return false;
}

/* Counts the request; the reply is a 429 already when it returns false. */
static bool
admit(Call *call, Tenant *tenant, int counter, Fault *fault, uint64_t *flavour)
{
	struct timespec wall;
	int			retry_after;
	bool		within;

	clock_gettime(CLOCK_REALTIME, &wall);
	pthread_mutex_lock(&tenant->lock);
	/* The clock is read under the lock: arrivals must not run backwards. */
	within = mt_rate_arrive(&tenant->rate, mt_monotonic_now(), &retry_after);
	tenant->stats.requests++;
	tenant->stats.by_route[counter]++;
	tenant->stats.last_request = wall.tv_sec * MICROSECONDS + wall.tv_nsec / 1000;
	if (tenant->stats.first_request == 0)
		tenant->stats.first_request = tenant->stats.last_request;
	if (within)
		*fault = mt_fault_draw(&tenant->faults, tenant->data.key, flavour);
	else
		tenant->stats.throttled++;
	pthread_mutex_unlock(&tenant->lock);
	if (!within)
	{
		mt_reply_error(&call->reply, MHD_HTTP_TOO_MANY_REQUESTS, "RATE_LIMITED", "too many");
		snprintf(call->reply.retry_after, sizeof(call->reply.retry_after), "%d", retry_after);
	}
	return within;
}

/* Makes the reply to a request under a contract's path. */
static enum MHD_Result
serve_contract(Call *call, const Contract *contract, int first_route)
{
	int			route = contract->route(call);
	Tenant	   *tenant = contract->identify(call, route);
	Fault		fault = FAULT_NONE;
	uint64_t	flavour = 0;

	if (tenant == NULL || !admit(call, tenant, first_route + route, &fault, &flavour) ||
		make_fault(call, fault, flavour))
		return send_reply(call);
	contract->answer(call, tenant, route);
	if (fault == FAULT_TRUNCATED && flavour % 2 == 0)
		call->reply.body.length /= 2;
	else if (fault == FAULT_TRUNCATED)
		call->reply.delivery = DELIVER_SHORT;
	else if (fault == FAULT_SLOW && mt_delay_connection(&call->delay, call->connection, slow_ms))
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

	if (strncmp(call->path, CONTROL_PREFIX, strlen(CONTROL_PREFIX)) == 0)
	{
		if (is_loopback(call->connection))
			mt_control_answer(call);
		else
			mt_reply_error(&call->reply, MHD_HTTP_FORBIDDEN, "FORBIDDEN", "from this machine only");
		return send_reply(call);
	}
	contract = mt_contract_find(call->path, &first_route);
	if (contract != NULL)
		return serve_contract(call, contract, first_route);
	mt_global_stats.unrouted++;
	mt_reply_error(&call->reply, MHD_HTTP_NOT_FOUND, "NOT_FOUND", "no such path");
	return send_reply(call);
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
	(void) version;
	(void) upload;
	if (call == NULL)
	{
		call = mt_allocate(1, sizeof(Call));
		call->connection = connection;
		call->reply.status = MHD_HTTP_OK;
		call->reply.content_type = "application/json";
		*closure = call;
		return MHD_YES;
	}
	if (*upload_size > 0)
	{
		/* No endpoint reads a body. */
		*upload_size = 0;
		return MHD_YES;
	}
	if (call->answered)
		return send_reply(call);
	call->path = path;
	call->method = method;
	return serve(call);
}

static void
end_call(void *unused, struct MHD_Connection *connection, void **closure, enum MHD_RequestTerminationCode code)
{
	Call	   *call = *closure;

	(void) unused;
	(void) connection;
	(void) code;
	if (call == NULL)
		return;
	if (call->reply.stream != NULL)
		mt_truth_close(call->reply.stream);
	mt_buffer_free(&call->reply.body);
	if (call->stops_program)
		kill(getpid(), SIGTERM);
	free(call);
	*closure = NULL;
}

bool
mt_http_start(const Options *options)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) options->port)};
	unsigned	flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;

	slow_ms = options->slow_ms;
	if (inet_pton(AF_INET, options->listen, &address.sin_addr) != 1)
	{
		fprintf(stderr, "mindtickle-sandbox: \"%s\" is no IPv4 address\n", options->listen);
		return false;
	}
	if (!mt_delay_start())
	{
		perror("mindtickle-sandbox: could not start a thread");
		return false;
	}
	http_daemon = MHD_start_daemon(flags, (uint16_t) options->port, NULL, NULL, handle, NULL,
								   MHD_OPTION_SOCK_ADDR, (struct sockaddr *) &address,
								   MHD_OPTION_THREAD_POOL_SIZE, options->threads > 1 ? (unsigned) options->threads : 0,
								   MHD_OPTION_CONNECTION_LIMIT, (unsigned) MAX_CONNECTIONS,
								   MHD_OPTION_CONNECTION_TIMEOUT, 300U,
								   MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U,
								   MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024U,
								   MHD_OPTION_NOTIFY_COMPLETED, end_call, NULL,
								   MHD_OPTION_END);
	if (http_daemon == NULL)
	{
		fprintf(stderr, "mindtickle-sandbox: could not listen on %s:%d: %s\n", options->listen, options->port,
				strerror(errno));
		mt_delay_stop();
		return false;
	}
	return true;
}

int
mt_http_port(void)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http_daemon, MHD_DAEMON_INFO_BIND_PORT);

	return info == NULL ? 0 : info->port;
}

void
mt_http_stop(void)
{
	/* First, as libmicrohttpd must not end with connections suspended. */
	mt_delay_stop();
	MHD_stop_daemon(http_daemon);
}
