/*
 * gateway_request.c
 *		Requests and connections as libmicrohttpd hands them over: from the first line to the last byte of the answer.
 *
 *		accepted -> first line (begin_request) -> headers (take_headers) -> body (take_body) -> whole: a turn (gateway_turn.c)
 *				 -> executed (gateway_execute.c) -> answered (mt_serve_respond) -> sent (end_request)
 *
 * A request that is refused early is read to its end before it is answered, within MT_HTTP_DRAIN_MAX: an answer that meets a body on its way is
 * lost. Every callback is a boundary: an error of PostgreSQL's ends there, as the library knows nothing of longjmp, and costs the connection.
 * A request's memory is a context of its own. What is sent must stay until end_request.
 *
 * What the library cannot read as HTTP never gets here, a Content-Length that is no number and headers beyond its memory among it: it answers by
 * itself, with a page that names the fault, and closes the connection. Nothing in its interface comes between.
 *
 * A connection that makes no progress is told so (408) and closed: mt_serve_sweep. The library's own timeout only knows of silence.
 */
#include "gateway.h"

#include <sys/socket.h>

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Memory of the library for a connection: holds the largest header, and what it makes of it. */
#define CONNECTION_MEMORY	(64 * 1024)
/* How long a connection that was told to go may take. */
#define HANG_UP_PAUSE		(2 * MT_SECOND)
#define SWEEP_PAUSE			MT_SECOND
/*
 * Connections below the limit at which idle ones make room; and above it, what the library still takes: one that another process hands over at the same
 * moment is there already.
 */
#define SPARE_CONNECTIONS	8

static const char too_slow[] =
	"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nContent-Length: 74\r\nConnection: close\r\n\r\n"
	"{\"code\":\"request_timeout\",\"message\":\"The request did not arrive in time.\"}";

static dlist_head connections = DLIST_STATIC_INIT(connections);
static int	connection_count = 0;
static size_t body_bytes = 0;
static int64 sweep_at = 0;
/* A connection was resumed, of which the library has not taken note yet. */
static bool resumed = false;

/* Moves a connection to the end of the list: its state has changed. */
static void
touch(MtHttpConnection *connection)
{
	connection->since = mt_now();
	dlist_delete(&connection->node);
	dlist_push_tail(&connections, &connection->node);
}

/* An error that a callback met. The callback's own answer is to close the connection. */
static void
forget_error(MemoryContext caller)
{
	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(caller);
	EmitErrorReport();
	FlushErrorState();
	RESUME_INTERRUPTS();
}

static void
connection_callback(void *cls, struct MHD_Connection *handle, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	MtHttpConnection *connection = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED)
	{
		if (connection != NULL)
		{
			dlist_delete(&connection->node);
			mt_share_count(--connection_count);
			free(connection);
		}
		*socket_context = NULL;
		return;
	}
	connection = calloc(1, sizeof(MtHttpConnection));
	*socket_context = connection;
	if (connection == NULL)
		return;
	connection->socket = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	connection->tls = cls != NULL;
	connection->since = mt_now();
	dlist_push_tail(&connections, &connection->node);
	mt_share_count(++connection_count);
	mt_count_connection();
	/* Where the last places are taken, the one that has done nothing for the longest makes room. */
	if (connection_count >= mt_gateway_settings.connections - SPARE_CONNECTIONS)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &connections)
		{
			MtHttpConnection *oldest = dlist_container(MtHttpConnection, node, iter.cur);

			if (!oldest->serving && oldest->hang_up == 0)
			{
				oldest->hang_up = 2;
				shutdown(oldest->socket, SHUT_RDWR);
				break;
			}
		}
	}
}

static void
make_id(char *id)
{
	static uint64 process = 0;
	static uint64 number = 0;

	if (process == 0)
		process = pg_prng_uint64(&pg_global_prng_state);
	snprintf(id, MT_HTTP_ID_SIZE, "%08x%08x", (uint32) process, (uint32) ++number);
}

static MtHttpRequest *
make_request(struct MHD_Connection *handle, const char *url)
{
	MemoryContext context = AllocSetContextCreate(mt_gateway_context, "mindtickle request", ALLOCSET_SMALL_SIZES);
	MtHttpRequest *request = MemoryContextAllocZero(context, sizeof(MtHttpRequest));

	request->context = context;
	request->handle = handle;
	request->connection = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	if (strlen(url) <= MT_HTTP_URL_MAX)
		request->url = MemoryContextStrdup(context, url);
	make_id(request->id);
	return request;
}

/* The first line is there. Returns the request, which the other callbacks are given. */
static void *
begin_callback(void *cls, const char *url, struct MHD_Connection *handle)
{
	MemoryContext caller = CurrentMemoryContext;
	MtHttpRequest *volatile request = NULL;

	PG_TRY();
	{
		request = make_request(handle, url);
		if (request->connection != NULL)
		{
			request->connection->reading = true;
			touch(request->connection);
		}
	}
	PG_CATCH();
	{
		forget_error(caller);
		request = NULL;
	}
	PG_END_TRY();
	return request;
}

/* What is counted while headers are looked at. */
typedef struct HeaderLook
{
	MtHttpRequest *request;
	size_t		bytes;
	int			lengths;		/* Content-Length */
	int			encodings;		/* Transfer-Encoding */
	int			authorizations;
	int			hosts;
	bool		misnamed;		/* a header's name is empty or has a blank in it */
	const char *authorization;
	const char *type;
	const char *length;
	bool		expects;
} HeaderLook;

static enum MHD_Result
look_at_header(void *argument, enum MHD_ValueKind kind, const char *name, const char *value)
{
	HeaderLook *look = argument;

	look->bytes += strlen(name) + (value == NULL ? 0 : strlen(value)) + 4;
	look->misnamed |= name[0] == '\0' || strpbrk(name, " \t") != NULL;
	if (value == NULL)
		return MHD_YES;
	if (pg_strcasecmp(name, "Content-Length") == 0)
	{
		look->lengths++;
		look->length = value;
	}
	else if (pg_strcasecmp(name, "Transfer-Encoding") == 0)
		look->encodings++;
	else if (pg_strcasecmp(name, "Authorization") == 0)
	{
		look->authorizations++;
		look->authorization = value;
	}
	else if (pg_strcasecmp(name, "Host") == 0)
		look->hosts++;
	else if (pg_strcasecmp(name, "Content-Type") == 0)
		look->type = value;
	else if (pg_strcasecmp(name, "Expect") == 0)
		look->expects = true;
	return MHD_YES;
}

/* Takes the token out of "Bearer <token>". */
static void
take_authorization(MtHttpRequest *request, const HeaderLook *look)
{
	const char *token;
	size_t		length;

	if (look->authorizations == 0)
	{
		mt_answer_error(request, 401, "missing_header", "Authorization",
						"The request lacks the header Authorization: Bearer <token>.");
		return;
	}
	if (look->authorizations > 1)
	{
		mt_answer_error(request, 400, "repeated_header", "Authorization", "The header Authorization stands more than once.");
		return;
	}
	token = look->authorization + (pg_strncasecmp(look->authorization, "Bearer ", 7) == 0 ? 7 : 0);
	token += strspn(token, " ");
	length = strlen(token);
	while (length > 0 && token[length - 1] == ' ')
		length--;
	if (token == look->authorization || length == 0 || length > MT_HTTP_TOKEN_MAX || strcspn(token, " \t,") < length)
	{
		mt_answer_error(request, 401, "malformed_header", "Authorization", "The header Authorization must be: Bearer <token>.");
		return;
	}
	/* What is no UTF-8 is no token, and no text for the database either. */
	if (!pg_verify_mbstr(PG_UTF8, token, (int) length, true))
	{
		mt_answer_error(request, 401, "invalid_token", "Authorization", "The token is not valid.");
		return;
	}
	request->token = MemoryContextAlloc(request->context, length + 1);
	memcpy(request->token, token, length);
	request->token[length] = '\0';
}

/* True when a body of this type can be taken: JSON, with whatever parameters. */
static bool
type_is_json(const char *type)
{
	size_t		length = strcspn(type, "; \t");

	return (length == strlen("application/json") && pg_strncasecmp(type, "application/json", length) == 0) ||
		(length == strlen("application/scim+json") && pg_strncasecmp(type, "application/scim+json", length) == 0);
}

/* What is wrong with how the request is sent. */
static void
check_framing(MtHttpRequest *request, const HeaderLook *look, const char *version)
{
	if (request->url == NULL)
		mt_answer_error(request, 414, "url_too_long", NULL, "The URL is longer than %d bytes.", MT_HTTP_URL_MAX);
	else if (look->bytes > MT_HTTP_HEADER_MAX)
		mt_answer_error(request, 431, "headers_too_large", NULL, "The headers are longer than %d bytes.", MT_HTTP_HEADER_MAX);
	else if (look->misnamed)
		mt_answer_error(request, 400, "malformed_header", NULL, "A header has no name, or a blank in it.");
	else if (look->lengths > 1)
		mt_answer_error(request, 400, "repeated_header", "Content-Length", "The header Content-Length stands more than once.");
	else if (look->encodings > 0 && look->lengths > 0)
		mt_answer_error(request, 400, "contradicting_headers", "Transfer-Encoding",
						"The headers Content-Length and Transfer-Encoding exclude each other.");
	else if (look->encodings > 0)
		mt_answer_error(request, 411, "length_required", "Content-Length",
						"The body must come with the header Content-Length; Transfer-Encoding is not supported.");
	else if (look->hosts > 1)
		mt_answer_error(request, 400, "repeated_header", "Host", "The header Host stands more than once.");
	else if (look->hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0)
		mt_answer_error(request, 400, "missing_header", "Host", "The request lacks the header Host.");
	/* Who frames a request in two ways cannot be believed where the next one begins. */
	if (request->answer.status != 0)
		request->answer.close = look->lengths > 1 || look->encodings > 0 || look->misnamed;
}

/*
 * Judges the request by its headers. What is wrong becomes its answer. Who shows no valid token learns nothing but that, also not what there is and how
 * it could be asked: what has been found out is told to others alone. A token that is only remembered may have been revoked; what is refused here never
 * comes to mindtickle.enter_token, so it is looked at for each of these.
 */
static void
take_headers(MtHttpRequest *request, const char *method, const char *version)
{
	HeaderLook	look = {.request = request};
	uint64		length;
	const char *matches;

	request->method = MemoryContextStrdup(request->context, method);
	(void) MHD_get_connection_values(request->handle, MHD_HEADER_KIND, look_at_header, &look);
	length = look.length == NULL ? 0 : strtou64(look.length, NULL, 10);
	check_framing(request, &look, version);
	if (request->answer.status == 0 && !mt_route_is_open(request->url))
		take_authorization(request, &look);
	if (request->answer.status == 0)
		(void) mt_route_find(request);
	if (request->answer.status == 0 && length > MT_HTTP_BODY_MAX)
		mt_answer_error(request, 413, "body_too_large", NULL, "The body is larger than %d bytes.", MT_HTTP_BODY_MAX);
	if (request->answer.status == 0 && request->route->body == MT_BODY_JSON && (look.type != NULL || length > 0) &&
		(look.type == NULL || !type_is_json(look.type)))
		mt_answer_error(request, 415, "wrong_content_type", "Content-Type", "The body must be of the type application/json.");
	if (request->answer.status == 0 && body_bytes + length > MT_HTTP_BODIES_MAX)
		mt_answer_error(request, 503, "busy", NULL, "Too many large requests are on their way.");
	if (request->token != NULL && (request->answer.status != 0 || (length > 0 && !mt_turn_knows(request))))
		mt_execute_check_token(request);
	matches = MHD_lookup_connection_value(request->handle, MHD_HEADER_KIND, "If-None-Match");
	if (matches != NULL)
		request->matches = MemoryContextStrdup(request->context, matches);
	/* Where the body ends is not known, or it is too long to wait for, or it is not sent before it is asked for. */
	if (request->answer.status != 0 && (request->answer.close || look.expects || length > MT_HTTP_DRAIN_MAX))
	{
		request->answer.close = true;
		mt_serve_respond(request);
	}
}

/* Takes a piece of the body. Of one whose request is refused already, nothing is kept. */
static void
take_body(MtHttpRequest *request, const char *data, size_t size)
{
	MemoryContext caller;

	request->body_taken += size;
	if (request->answer.status == 0 && request->body_taken > MT_HTTP_BODY_MAX)
		mt_answer_error(request, 413, "body_too_large", NULL, "The body is larger than %d bytes.", MT_HTTP_BODY_MAX);
	if (request->answer.status != 0 || request->route->body == MT_BODY_IGNORED)
		return;
	caller = MemoryContextSwitchTo(request->context);
	if (request->body == NULL)
		request->body = makeStringInfo();
	appendBinaryStringInfo(request->body, data, (int) size);
	MemoryContextSwitchTo(caller);
	body_bytes += size;
}

/* The request is whole. */
static void
take_whole(MtHttpRequest *request)
{
	request->whole_at = mt_now();
	if (request->connection != NULL)
	{
		request->connection->reading = false;
		request->connection->serving = true;
		touch(request->connection);
	}
	if (request->answer.status != 0)
		mt_serve_respond(request);
	else if (request->route->scope == NULL)
	{
		request->route->run(request);
		mt_serve_respond(request);
	}
	else
		mt_turn_take(request);
}

static enum MHD_Result
request_callback(void *cls, struct MHD_Connection *handle, const char *url, const char *method, const char *version,
				 const char *upload_data, size_t *upload_data_size, void **request_pointer)
{
	MemoryContext caller = CurrentMemoryContext;
	MtHttpRequest *request = *request_pointer;
	volatile enum MHD_Result result = MHD_NO;

	if (request == NULL)
		return MHD_NO;
	PG_TRY();
	{
		if (!request->headers_taken)
		{
			request->headers_taken = true;
			take_headers(request, method, version);
		}
		else if (*upload_data_size > 0)
		{
			take_body(request, upload_data, *upload_data_size);
			*upload_data_size = 0;
		}
		/* Not a second time, when a suspended connection is back. */
		else if (request->whole_at == 0)
			take_whole(request);
		result = MHD_YES;
	}
	PG_CATCH();
	{
		forget_error(caller);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return result;
}

/* The request has ended, in one way or another. */
static void
end_request(MtHttpRequest *request, enum MHD_RequestTerminationCode code)
{
	int64		duration = request->whole_at == 0 ? 0 : mt_now() - request->whole_at;

	mt_turn_leave(request);
	mt_pull_leave(request);
	mt_execute_forget(request);
	if (request->connection != NULL)
	{
		request->connection->reading = request->connection->serving = false;
		touch(request->connection);
	}
	if (request->body != NULL)
		body_bytes -= Min(body_bytes, (size_t) request->body->len);
	if (request->answer.status != 0)
	{
		mt_count_request(request, duration);
		mt_log_request(request, duration, code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? NULL : "not sent to its end");
	}
	if (request->token != NULL)
		explicit_bzero(request->token, strlen(request->token));
}

static void
end_callback(void *cls, struct MHD_Connection *handle, void **request_pointer, enum MHD_RequestTerminationCode code)
{
	MemoryContext caller = CurrentMemoryContext;
	MtHttpRequest *request = *request_pointer;

	if (request == NULL)
		return;
	*request_pointer = NULL;
	PG_TRY();
	{
		end_request(request, code);
	}
	PG_CATCH();
	{
		forget_error(caller);
	}
	PG_END_TRY();
	mt_document_release(request->answer.document);
	MemoryContextDelete(request->context);
}

/*
 * Sends a request's answer.
 */
void
mt_serve_respond(MtHttpRequest *request)
{
	MtHttpAnswer *answer = &request->answer;
	struct MHD_Response *response = MHD_create_response_from_buffer(answer->length, unconstify(char *, answer->body), MHD_RESPMEM_PERSISTENT);

	if (response == NULL)
		elog(ERROR, "out of memory for an answer");
	if (answer->type != NULL)
		(void) MHD_add_response_header(response, "Content-Type", answer->type);
	for (int i = 0; i < answer->header_count; i++)
		(void) MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
	(void) MHD_add_response_header(response, "X-Request-Id", request->id);
	if (answer->close || mt_gateway_draining || mt_worker_end_ordered())
		(void) MHD_add_response_header(response, "Connection", "close");
	(void) MHD_queue_response(request->handle, (unsigned int) answer->status, response);
	MHD_destroy_response(response);
	if (request->suspended)
	{
		request->suspended = false;
		MHD_resume_connection(request->handle);
		resumed = true;
	}
}

/*
 * True when connections have been resumed since it was asked last: then the library must be called at once. Some of its versions do not say so
 * themselves, and without threads of its own it does not wake who waits on its descriptor.
 */
bool
mt_serve_take_resumed(void)
{
	bool		taken = resumed;

	resumed = false;
	return taken;
}

/*
 * Lets the connection wait until mt_serve_respond.
 */
void
mt_serve_suspend(MtHttpRequest *request)
{
	if (request->suspended)
		return;
	request->suspended = true;
	MHD_suspend_connection(request->handle);
}

/* Addresses are taken apart in gateway_route.c, as they were sent. */
static size_t
leave_escapes(void *cls, struct MHD_Connection *handle, char *text)
{
	return strlen(text);
}

static void
log_callback(void *cls, const char *format, va_list arguments)
{
	char		text[300];

	vsnprintf(text, sizeof(text), format, arguments);
	text[strcspn(text, "\n")] = '\0';
	elog(DEBUG1, "libmicrohttpd: %s", text);
}

/* The library has lost its head. Its own way, abort(), would bring down the server. */
static void
panic_callback(void *cls, const char *file, unsigned int line, const char *reason)
{
	ereport(LOG, (errmsg("mindtickle gateway starts again: libmicrohttpd: %s", reason == NULL ? "internal error" : reason)));
	proc_exit(1);
}

/*
 * True when one more connection can be served.
 */
bool
mt_serve_has_room(void)
{
	return Max(connection_count, mt_share_load()) < mt_gateway_settings.connections;
}

/*
 * Starts the library's part, which is given its connections; certificate and key are PEM, NULL for HTTP without TLS, and must stay. NULL, and logged,
 * where it cannot.
 */
struct MHD_Daemon *
mt_serve_start(const char *certificate, const char *key)
{
	static char tls;
	struct MHD_OptionItem tls_options[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, unconstify(char *, certificate)},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, unconstify(char *, key)},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, "SECURE128:-VERS-TLS1.0:-VERS-TLS1.1"},
		{MHD_OPTION_END, 0, NULL}
	};
	struct MHD_OptionItem no_options[] = {{MHD_OPTION_END, 0, NULL}};
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
	struct MHD_Daemon *daemon;

	MHD_set_panic_func(panic_callback, NULL);
	/*
	 * The first option is the logger, so that it is told of problems with the others. Being strict would have the library answer a missing Host in
	 * HTML, and a blank in the address with silence: check_framing and gateway_route.c tell of both.
	 */
	daemon = MHD_start_daemon(flags | (certificate != NULL ? MHD_USE_TLS : 0), 0, NULL, NULL, request_callback, NULL,
							  MHD_OPTION_EXTERNAL_LOGGER, log_callback, NULL,
							  MHD_OPTION_ARRAY, certificate != NULL ? tls_options : no_options,
							  MHD_OPTION_CONNECTION_LIMIT, (unsigned int) (mt_gateway_settings.connections + SPARE_CONNECTIONS),
							  MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int) mt_gateway_settings.connections_per_address,
							  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) CONNECTION_MEMORY,
							  MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int) Max(mt_gateway_settings.request_timeout * 2 / MT_SECOND, 1),
							  MHD_OPTION_STRICT_FOR_CLIENT, 0,
							  MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, NULL,
							  MHD_OPTION_URI_LOG_CALLBACK, begin_callback, NULL,
							  MHD_OPTION_NOTIFY_COMPLETED, end_callback, NULL,
							  MHD_OPTION_NOTIFY_CONNECTION, connection_callback, certificate != NULL ? &tls : NULL,
							  MHD_OPTION_END);
	if (daemon == NULL)
		ereport(LOG,
				(errmsg("mindtickle gateway could not start libmicrohttpd"),
				 certificate == NULL ? 0 : errhint("Are certificate and key PEM, and do they belong together?")));
	return daemon;
}

/* Tells a connection that its time is over; what has been sent is still delivered. */
static void
hang_up(MtHttpConnection *connection)
{
	if (connection->hang_up == 0 && !connection->tls)
	{
		/* Nothing of an answer is on its way: no request is whole. */
		(void) send(connection->socket, too_slow, sizeof(too_slow) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void) shutdown(connection->socket, SHUT_WR);
		connection->hang_up = 1;
		touch(connection);
		mt_count_timeout();
		return;
	}
	connection->hang_up = 2;
	(void) shutdown(connection->socket, SHUT_RDWR);
	touch(connection);
}

/*
 * Closes connections on which no whole request has come in time.
 */
void
mt_serve_sweep(void)
{
	int64		now = mt_now();
	dlist_mutable_iter iter;

	if (sweep_at > now)
		return;
	sweep_at = now + Min(SWEEP_PAUSE, mt_gateway_settings.request_timeout / 4);
	dlist_foreach_modify(iter, &connections)
	{
		MtHttpConnection *connection = dlist_container(MtHttpConnection, node, iter.cur);
		int64		allowed = connection->hang_up > 0 ? HANG_UP_PAUSE : mt_gateway_settings.request_timeout;

		if (connection->since + Min(HANG_UP_PAUSE, allowed) > now)
			break;
		if (!connection->serving && connection->since + allowed <= now)
			hang_up(connection);
	}
}

/*
 * When mt_serve_sweep has something to do next.
 */
int64
mt_serve_sweep_at(void)
{
	return connection_count == 0 ? MT_NEVER : sweep_at;
}

/*
 * Closes the connections that have no request under way, as the gateway ends.
 */
void
mt_serve_hang_up_idle(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &connections)
	{
		MtHttpConnection *connection = dlist_container(MtHttpConnection, node, iter.cur);

		if (!connection->serving && !connection->reading && connection->hang_up < 2)
		{
			connection->hang_up = 2;
			(void) shutdown(connection->socket, SHUT_RDWR);
		}
	}
}
