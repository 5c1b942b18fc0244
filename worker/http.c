/*
 * http.c
 *		Requests through libcurl, any number at once, driven by the sync worker's event loop.
 *
 * Called by sync.c (start, sockets) and by the pull of a tenant (pools, requests). Knows nothing of what it carries.
 *
 * Each tenant with a pull under way has a pool. One multi handle serves them all, for each would cost 40 kB of memory, two descriptors, and its own
 * reading of the certificates that are trusted. What must never pass from one tenant to another hangs on the pool instead: a share handle, of which
 * libcurl takes the connections that a request may use, and into which it puts them back (CURL_LOCK_DATA_CONNECT). A connection in another share's
 * cache is not even looked at, whatever its host. It lives as long as the pull, so that a tenant's requests reuse their connection. TLS sessions are
 * not kept at all. What is common is the cache of names, which says where a host is and nothing of who asked.
 *
 * libcurl's sockets share one epoll descriptor, which the loop waits on beside its latch, and one timer. libcurl never waits by itself.
 *
 * Signals are blocked while libcurl runs: looking up a name starts a thread, which inherits the mask, and the server's signal handlers must
 * never run there. Callbacks call nothing of PostgreSQL and allocate with malloc, so no error can jump over libcurl's frames.
 */
#include "http.h"

#include <curl/curl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "large.h"
#include "storage/fd.h"
#include "storage/ipc.h"

/* Most bytes of a body, after decoding. */
#define BODY_MAX			(32 * 1024 * 1024)
/* Memory of this size and more is given back to the system at once when it is freed. */
#define GIVEN_BACK			(128 * 1024)
/* So much that was freed at the heap's end is kept: giving it back and asking for it again with each transaction costs more than all else. */
#define KEPT				(4 * 1024 * 1024)
/* By how much at most a body grows at once. */
#define BODY_GROWTH			(1024 * 1024)
/* What any body may have of memory; what is beyond that comes from large.c. */
#define BODY_COMMON			(64 * 1024)
/* A body of more bytes than this that is so many times what came over the wire is no listing, but a bomb. */
#define BOMB_BYTES			(1024 * 1024)
#define BOMB_RATIO			100
/* Buffers of a request under way. */
#define RECEIVE_BUFFER		8192L
#define SEND_BUFFER			16384L
/* Events taken from epoll at once. */
#define EVENTS_MAX			64
/* Answers that wait: with more, those to come wait in the sockets. */
#define ANSWERS_MAX			128
/* Idle connections that a pool keeps. */
#define POOL_IDLE_MAX		2
/* Requests that wait for a name or a connection, of all pools: looking up a name takes a thread, and some names are never found. */
#define UNCONNECTED_MAX		512
/* Descriptors that this process asks for. */
#define DESCRIPTORS_WANTED	65536
/* Those of neither connections nor the server's files: pipes, epoll, standard streams. */
#define OTHER_DESCRIPTORS	64

#define CONNECT_TIMEOUT_MS	10000L
#define TOTAL_TIMEOUT_MS	60000L
/* Fewer bytes a second than this for so many seconds is no answer. */
#define LOW_SPEED_BYTES		100L
#define LOW_SPEED_SECONDS	20L

#define USER_AGENT			"mindtickle-postgresql/0.1"

StaticAssertDecl(sizeof(((MtHttpRequest *) NULL)->error) >= CURL_ERROR_SIZE, "libcurl's messages must fit");

struct MtHttpPool
{
	dlist_node	node;
	CURLSH	   *connections;	/* those of this tenant */
	struct curl_slist *headers;
	MtHttpOwner owner;
	bool		allow_http;
	dlist_head	under_way;
	int			attached;		/* requests that libcurl has */
	int			attached_max;
	int			unconnected;	/* requests that have no connection yet */
	bool		reached;		/* the last one that ended had one */
	Size		large;			/* what its bodies have of large.c */
};

/* The same of all pools. */
static int	unconnected = 0;

static int	epoll_descriptor = -1;
static CURLM *multi = NULL;

/* When libcurl wants to be called; MT_NEVER: only a socket can bring something. */
static int64 timer = MT_NEVER;

static dlist_head pools = DLIST_STATIC_INIT(pools);
static dlist_head finished = DLIST_STATIC_INIT(finished);
static int	finished_count = 0;

static void
block_signals(sigset_t *previous)
{
	sigset_t	all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, previous);
}

static void
restore_signals(const sigset_t *previous)
{
	sigprocmask(SIG_SETMASK, previous, NULL);
}

/* libcurl tells which sockets it wants watched. socket_data is what we assign to a socket: nothing yet where it is new. */
static int
socket_callback(CURL *easy, curl_socket_t descriptor, int what, void *argument, void *socket_data)
{
	struct epoll_event event = {.data.fd = descriptor};

	if (what == CURL_POLL_REMOVE)
	{
		(void) epoll_ctl(epoll_descriptor, EPOLL_CTL_DEL, descriptor, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll_descriptor, socket_data == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event) != 0)
		return -1;
	(void) curl_multi_assign(multi, descriptor, &epoll_descriptor);
	return 0;
}

static int
timer_callback(CURLM *handle, long milliseconds, void *argument)
{
	timer = milliseconds < 0 ? MT_NEVER : mt_now() + milliseconds * MT_MILLISECOND;
	return 0;
}

/*
 * Opens the socket for an address that the host name resolved to, if it is one to call. http is for loopback only, and loopback only where
 * allow_http says so.
 */
static curl_socket_t
open_socket_callback(void *argument, curlsocktype purpose, struct curl_sockaddr *address)
{
	MtHttpRequest *request = argument;
	bool		accepted;

	if (mt_address_loopback(&address->addr))
		accepted = request->pool->allow_http;
	else
		accepted = !request->plain && mt_address_public(&address->addr);
	if (!accepted)
	{
		request->refused = true;
		return CURL_SOCKET_BAD;
	}
	request->allowed = true;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The request has its connection, or needs none any more. */
static void
note_connected(MtHttpRequest *request)
{
	if (!request->connected)
	{
		request->pool->unconnected--;
		unconnected--;
	}
	request->connected = true;
}

/*
 * The request goes out now. libcurl repeats a request by itself when a kept connection turns out to be dead; the far side may have counted the
 * first one, so the second is refused here and goes through the budget like every other.
 */
static int
before_request_callback(void *argument, char *remote, char *local, int remote_port, int local_port)
{
	MtHttpRequest *request = argument;

	note_connected(request);
	request->pool->reached = true;
	if (request->sent)
	{
		request->resent = true;
		return CURL_PREREQFUNC_ABORT;
	}
	request->sent = true;
	request->pool->owner.sent(request->pool->owner.owner, request);
	return CURL_PREREQFUNC_OK;
}

/* What a body's buffer takes from the memory for large ones. */
static size_t
large_part(size_t capacity)
{
	return capacity > BODY_COMMON ? capacity - BODY_COMMON : 0;
}

/* Makes room for so many bytes of body; false when there is none. */
static bool
grow_body(MtHttpRequest *request, size_t length)
{
	size_t		capacity = Max(request->capacity, 4096);
	char	   *larger;

	if (length < request->capacity)
		return true;
	while (capacity <= length)
		capacity += Min(capacity, BODY_GROWTH);
	capacity = Min(capacity, BODY_MAX + 1);
	if (!mt_large_take(&request->pool->large, large_part(request->capacity), large_part(capacity)))
	{
		request->crowded = true;
		return false;
	}
	larger = realloc(request->body, capacity);
	if (larger == NULL)
	{
		mt_large_note(&request->pool->large, large_part(capacity), large_part(request->capacity));
		return false;
	}
	request->body = larger;
	request->capacity = capacity;
	return true;
}

/* Has the body been unpacked from far too little? What libcurl has counted may lack what it is at now. */
static bool
is_bomb(const MtHttpRequest *request, size_t length)
{
	curl_off_t	received = 0;

	if (length <= BOMB_BYTES)
		return false;
	curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	return (curl_off_t) length / BOMB_RATIO > received + RECEIVE_BUFFER;
}

/* Collects the decoded body. */
static size_t
body_callback(char *data, size_t size, size_t count, void *argument)
{
	MtHttpRequest *request = argument;
	size_t		added = size * count;

	if (added > BODY_MAX - request->length || is_bomb(request, request->length + added))
	{
		request->outcome = MT_HTTP_TOO_LARGE;
		return 0;
	}
	if (!grow_body(request, request->length + added))
		return 0;
	memcpy(request->body + request->length, data, added);
	request->length += added;
	request->body[request->length] = '\0';
	return added;
}

/* Copies the value when the line is the named header. */
static void
keep_header(const char *line, size_t length, const char *name, char *value, size_t room)
{
	size_t		name_length = strlen(name);

	if (length <= name_length || line[name_length] != ':' || pg_strncasecmp(line, name, name_length) != 0)
		return;
	line += name_length + 1;
	length -= name_length + 1;
	while (length > 0 && (*line == ' ' || *line == '\t'))
		line++, length--;
	while (length > 0 && (unsigned char) line[length - 1] <= ' ')
		length--;
	length = Min(length, room - 1);
	memcpy(value, line, length);
	value[length] = '\0';
}

static size_t
header_callback(char *line, size_t size, size_t count, void *argument)
{
	MtHttpRequest *request = argument;
	size_t		length = size * count;

	keep_header(line, length, "Retry-After", request->retry_after, sizeof(request->retry_after));
	keep_header(line, length, "Retry-After-Ms", request->retry_after_ms, sizeof(request->retry_after_ms));
	return length;
}

/* At the end of the process: closes every connection. */
static void
stop(int code, Datum argument)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &pools)
		mt_http_pool_destroy(dlist_container(MtHttpPool, node, iter.cur));
	(void) curl_multi_cleanup(multi);
	curl_global_cleanup();
}

/*
 * Starts libcurl in this process, once. Returns the descriptor that is readable when mt_http_run has something to do.
 */
int
mt_http_start(void)
{
	sigset_t	previous;
	CURLcode	code;

#ifdef __GLIBC__
	/* Or the first large body that is freed would make malloc keep the room of the next ones. */
	(void) mallopt(M_MMAP_THRESHOLD, GIVEN_BACK);
	(void) mallopt(M_TRIM_THRESHOLD, KEPT);
	/* Or each look-up's thread would have a heap of its own. */
	(void) mallopt(M_ARENA_MAX, 1);
#endif
	block_signals(&previous);
	code = curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = code == CURLE_OK ? curl_multi_init() : NULL;
	restore_signals(&previous);
	if (multi == NULL)
		ereport(FATAL, (errcode(ERRCODE_SYSTEM_ERROR), errmsg("libcurl could not be started")));
	on_proc_exit(stop, 0);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_callback);
	/* Of each share. */
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) POOL_IDLE_MAX);
	epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_descriptor < 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not create an epoll descriptor: %m")));
	return epoll_descriptor;
}

/*
 * How many connections there can be at once. The server limits itself to fewer descriptors than it found allowed at its start, so what is
 * raised here is all for connections. Where it cannot be raised, the server's files get half: they are closed and opened again as needed.
 */
int
mt_http_connections_max(void)
{
	struct rlimit limit;
	int			descriptors;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur < DESCRIPTORS_WANTED)
	{
		limit.rlim_cur = Min(limit.rlim_max, DESCRIPTORS_WANTED);
		(void) setrlimit(RLIMIT_NOFILE, &limit);
		(void) getrlimit(RLIMIT_NOFILE, &limit);
	}
	descriptors = (int) Min(limit.rlim_cur, DESCRIPTORS_WANTED);
	return descriptors - Min(max_safe_fds, descriptors / 2) - OTHER_DESCRIPTORS;
}

/* Appends a header; false when there is no memory. */
static bool
add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);

	if (longer != NULL)
		*headers = longer;
	return longer != NULL;
}

/*
 * Creates the pool of a tenant, which has up to so many requests, and so connections, at once. headers go with every request, end with NULL and are
 * copied. NULL when there is no memory.
 */
MtHttpPool *
mt_http_pool_create(const MtHttpOwner *owner, const char *const *headers, bool allow_http, int connections)
{
	MtHttpPool *pool = calloc(1, sizeof(MtHttpPool));

	if (pool == NULL)
		return NULL;
	pool->owner = *owner;
	pool->allow_http = allow_http;
	pool->attached_max = connections;
	dlist_init(&pool->under_way);
	dlist_push_tail(&pools, &pool->node);
	pool->connections = curl_share_init();
	for (; pool->connections != NULL && *headers != NULL; headers++)
		if (!add_header(&pool->headers, *headers))
			break;
	if (pool->connections == NULL || *headers != NULL ||
		curl_share_setopt(pool->connections, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK)
	{
		mt_http_pool_destroy(pool);
		return NULL;
	}
	return pool;
}

/* Frees a list of headers and overwrites it. */
static void
free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}

/* Takes the request out of libcurl, and overwrites what was sent; its answer, if any, stays. */
static void
detach(MtHttpRequest *request)
{
	note_connected(request);
	if (request->easy != NULL)
	{
		(void) curl_multi_remove_handle(multi, request->easy);
		curl_easy_cleanup(request->easy);
		request->easy = NULL;
		request->pool->attached--;
	}
	free_headers(request->headers);
	request->headers = NULL;
	if (request->sent_body != NULL)
		explicit_bzero(request->sent_body, request->sent_length);
	free(request->sent_body);
	request->sent_body = NULL;
}

/*
 * Ends a pool: its requests, under way or finished, are freed, its connections closed. The secret in its headers is overwritten.
 */
void
mt_http_pool_destroy(MtHttpPool *pool)
{
	dlist_mutable_iter iter;
	sigset_t	previous;

	dlist_foreach_modify(iter, &pool->under_way)
		mt_http_free(dlist_container(MtHttpRequest, node, iter.cur));
	dlist_foreach_modify(iter, &finished)
	{
		MtHttpRequest *request = dlist_container(MtHttpRequest, node, iter.cur);

		if (request->pool == pool)
			mt_http_free(request);
	}

	block_signals(&previous);
	if (pool->connections != NULL)
		(void) curl_share_cleanup(pool->connections);
	free_headers(pool->headers);
	restore_signals(&previous);

	dlist_delete(&pool->node);
	free(pool);
}

/*
 * Whose pool it is.
 */
void *
mt_http_pool_owner(const MtHttpPool *pool)
{
	return pool->owner.owner;
}

/* Sets what is alike for all requests; false when the request cannot have its tenant's connections alone. */
static bool
set_options(CURL *easy, MtHttpRequest *request)
{
	MtHttpPool *pool = request->pool;
	char	   *bundle = NULL;

#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, pool->allow_http ? "http,https" : "https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTPS | (pool->allow_http ? CURLPROTO_HTTP : 0)));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A request that ends while its name is being looked up does not wait for the look-up. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
#if LIBCURL_VERSION_NUM >= 0x075400
	/* With a directory of trusted certificates beside the bundle libcurl would read the bundle, most of a megabyte, anew for each connection. */
	if (curl_easy_getinfo(easy, CURLINFO_CAINFO, &bundle) == CURLE_OK && bundle != NULL)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
#endif
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TOTAL_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
	curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) BODY_MAX);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket_callback);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request_callback);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_callback);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_callback);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	return curl_easy_setopt(easy, CURLOPT_SHARE, pool->connections) == CURLE_OK;
}

/* Makes copies of what is sent; false when there is no memory. */
static bool
copy_message(MtHttpRequest *request, const MtHttpMessage *message)
{
	struct curl_slist *headers = NULL;
	bool		copied = true;

	for (struct curl_slist *header = request->pool->headers; copied && header != NULL; header = header->next)
		copied = add_header(&headers, header->data);
	if (copied && message->authorization != NULL)
		copied = add_header(&headers, message->authorization);
	if (copied && message->body != NULL)
	{
		copied = add_header(&headers, "Content-Type: application/json");
		request->sent_body = malloc(message->length + 1);
		copied = copied && request->sent_body != NULL;
	}
	request->headers = headers;
	if (request->sent_body != NULL)
	{
		memcpy(request->sent_body, message->body, message->length);
		request->sent_length = message->length;
	}
	return copied;
}

/* Sets what is sent; false when there is no memory. */
static bool
set_message(CURL *easy, MtHttpRequest *request, const MtHttpMessage *message)
{
	if (request->sent_body != NULL)
	{
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->sent_body);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->sent_length);
	}
	if (message->method != NULL && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, message->method) != CURLE_OK)
		return false;
	return curl_easy_setopt(easy, CURLOPT_URL, message->url) == CURLE_OK;
}

/* Hands the request to libcurl; false when there is no memory. */
static bool
attach(MtHttpRequest *request, const MtHttpMessage *message)
{
	CURL	   *easy = curl_easy_init();

	if (easy == NULL)
		return false;
	if (set_options(easy, request) && set_message(easy, request, message) && curl_multi_add_handle(multi, easy) == CURLM_OK)
	{
		request->easy = easy;
		request->pool->attached++;
		return true;
	}
	curl_easy_cleanup(easy);
	return false;
}

/*
 * Do so many answers wait that no more should be asked for?
 */
bool
mt_http_crowded(void)
{
	return finished_count >= ANSWERS_MAX;
}

/*
 * May the pool send another request now? Not where many answers wait already. A pool that reaches nobody tries with one at a time, so that it takes
 * few of the places there are.
 */
bool
mt_http_room(const MtHttpPool *pool)
{
	return !mt_http_crowded() && unconnected < UNCONNECTED_MAX && pool->attached < pool->attached_max &&
		(pool->reached || pool->unconnected == 0);
}

/*
 * Sends a message. The request comes back from mt_http_next_finished. NULL when there is no memory.
 */
MtHttpRequest *
mt_http_send(MtHttpPool *pool, const MtHttpMessage *message, void *tag)
{
	MtHttpRequest *request = calloc(1, sizeof(MtHttpRequest));
	sigset_t	previous;
	bool		accepted;

	if (request == NULL)
		return NULL;
	request->tag = tag;
	request->pool = pool;
	request->plain = pg_strncasecmp(message->url, "https:", 6) != 0;
	pool->unconnected++;
	unconnected++;
	dlist_push_tail(&pool->under_way, &request->node);

	block_signals(&previous);
	accepted = copy_message(request, message) && attach(request, message);
	restore_signals(&previous);
	if (accepted)
		return request;
	mt_http_free(request);
	return NULL;
}

/*
 * Frees a request, ending it if it is under way.
 */
void
mt_http_free(MtHttpRequest *request)
{
	sigset_t	previous;

	block_signals(&previous);
	detach(request);
	restore_signals(&previous);
	dlist_delete(&request->node);
	finished_count -= request->finished;
	mt_large_note(&request->pool->large, large_part(request->capacity), 0);
	/* It may be the answer to a sign-in. */
	if (request->body != NULL)
		explicit_bzero(request->body, request->length);
	free(request->body);
	free(request);
}

/* Says how a transfer that libcurl calls over has ended. */
static void
settle(MtHttpRequest *request, CURLcode code)
{
	long		status = 0;

	if (code == CURLE_OK)
	{
		curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
		request->status = (int) status;
		request->outcome = MT_HTTP_ANSWERED;
		return;
	}
	if (request->outcome == MT_HTTP_TOO_LARGE || code == CURLE_FILESIZE_EXCEEDED)
	{
		request->outcome = MT_HTTP_TOO_LARGE;
		snprintf(request->error, sizeof(request->error), "the answer is larger than %d bytes, or was packed more than %d times", BODY_MAX, BOMB_RATIO);
	}
	else if (request->crowded)
	{
		request->outcome = MT_HTTP_BROKEN;
		snprintf(request->error, sizeof(request->error), "too many large answers at once");
	}
	else if (request->resent)
	{
		request->outcome = MT_HTTP_BROKEN;
		snprintf(request->error, sizeof(request->error), "the connection was closed before the answer");
	}
	else if (request->connected)
		request->outcome = MT_HTTP_BROKEN;
	else if (request->refused && !request->allowed)
	{
		request->outcome = MT_HTTP_ADDRESS_REFUSED;
		snprintf(request->error, sizeof(request->error), "the host's address is private, link-local or loopback");
	}
	else
		request->outcome = MT_HTTP_UNREACHABLE;
	request->pool->reached = request->connected;
	if (request->error[0] == '\0')
		snprintf(request->error, sizeof(request->error), "%s", curl_easy_strerror(code));
}

/* Moves what libcurl has done with to the finished list. */
static void
collect(void)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		MtHttpRequest *request;
		char	   *private_data;
		CURLcode	code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private_data);
		request = (MtHttpRequest *) private_data;
		settle(request, code);
		detach(request);
		dlist_delete(&request->node);
		dlist_push_tail(&finished, &request->node);
		request->finished = true;
		finished_count++;
	}
}

/*
 * When mt_http_run is due; MT_NEVER when only a socket can bring something.
 */
int64
mt_http_due(void)
{
	return timer;
}

/*
 * Serves libcurl's timer if it is due, and sockets that are ready, unless many answers wait; does not wait.
 */
void
mt_http_run(void)
{
	struct epoll_event events[EVENTS_MAX];
	int			count = finished_count < ANSWERS_MAX ? epoll_wait(epoll_descriptor, events, EVENTS_MAX, 0) : 0;
	bool		due = timer <= mt_now();
	sigset_t	previous;
	int			running;

	if (count <= 0 && !due)
		return;
	block_signals(&previous);
	for (int i = 0; i < count; i++)
	{
		int			what = 0;

		if (events[i].events & EPOLLIN)
			what |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (events[i].events & (EPOLLERR | EPOLLHUP))
			what |= CURL_CSELECT_ERR;
		/* One that an earlier event of this batch has closed is unknown to libcurl, which ignores it. */
		(void) curl_multi_socket_action(multi, events[i].data.fd, what, &running);
	}
	if (due)
	{
		/* libcurl sets it anew if it wants to. */
		timer = MT_NEVER;
		(void) curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	collect();
	restore_signals(&previous);
}

/*
 * Is there a request that is over?
 */
bool
mt_http_any_finished(void)
{
	return !dlist_is_empty(&finished);
}

/*
 * The next request that is over, or NULL. It is the caller's to free; until then it belongs to its pool and ends with it.
 */
MtHttpRequest *
mt_http_next_finished(void)
{
	MtHttpRequest *request;

	if (dlist_is_empty(&finished))
		return NULL;
	request = dlist_head_element(MtHttpRequest, node, &finished);
	dlist_delete(&request->node);
	dlist_push_tail(&request->pool->under_way, &request->node);
	request->finished = false;
	finished_count--;
	return request;
}
