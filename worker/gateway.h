/*
 * gateway.h
 *		What the files of the HTTP gateway share. gateway.c has the overview.
 */
#ifndef MT_GATEWAY_H
#define MT_GATEWAY_H

#include "postgres.h"

#include <microhttpd.h>

#include "clock.h"
#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "process.h"

/* Limits of a request, in bytes. What exceeds BODY_MAX is read up to DRAIN_MAX, so that the refusal reaches who sends it. */
#define MT_HTTP_HEADER_MAX	(32 * 1024)
#define MT_HTTP_URL_MAX		(16 * 1024)
#define MT_HTTP_BODY_MAX	(1024 * 1024)
#define MT_HTTP_DRAIN_MAX	(16 * 1024 * 1024)
/* Bodies of all requests that are being read, together. */
#define MT_HTTP_BODIES_MAX	(32 * 1024 * 1024)
/* Holds a tenant's name. */
#define MT_TENANT_ID_SIZE	64
/* Longest token. */
#define MT_HTTP_TOKEN_MAX	512

#define MT_HTTP_EXTRA_HEADERS	12
#define MT_HTTP_ID_SIZE			20

/* The code of an error, and its scimType: another version of SCIM is asked for. */
#define MT_SCIM_OTHER_VERSION	"invalidVers"

typedef struct MtHttpRequest MtHttpRequest;

/* The settings as the gateway uses them; times in microseconds. */
typedef struct MtGatewaySettings
{
	char		listen[64];
	int			port;
	bool		allow_plain;
	char		certificate[MAXPGPATH];
	char		key[MAXPGPATH];
	int			connections;
	int			connections_per_address;	/* 0: no limit */
	int64		request_timeout;
	int64		pull_wait;
	bool		log_errors;
	bool		log_all;
} MtGatewaySettings;

/* What a route does with the body of a request. */
typedef enum MtBodyUse
{
	MT_BODY_IGNORED,
	MT_BODY_JSON,				/* must be declared as such */
	MT_BODY_ANY					/* its type is judged by who takes it */
} MtBodyUse;

typedef struct MtRoute
{
	const char *method;
	const char *pattern;		/* as in openapi.json; a last segment {rest} stands for any number of them */
	const char *scope;			/* NULL: open to everybody */
	MtBodyUse	body;
	bool		writes;			/* its answer waits until what it wrote is on disk */
	bool		read_only;		/* its transaction is */
	const char *letter;			/* as what a malformed body is kept in dead_letter; NULL: it is not kept */
	void		(*run) (MtHttpRequest *request);	/* in the transaction, the token entered; fills in the answer */
} MtRoute;

typedef struct MtHttpHeader
{
	const char *name;
	const char *value;
} MtHttpHeader;

/* An answer; what it points at lives in the request's context, or as long as the process. */
typedef struct MtHttpAnswer
{
	int			status;			/* 0: none yet */
	const char *type;			/* of the content; NULL: there is no body */
	const char *body;
	size_t		length;
	void	   *document;		/* body is of this document in memory, which the answer holds */
	MtHttpHeader headers[MT_HTTP_EXTRA_HEADERS];
	int			header_count;
	bool		close;			/* the connection */
} MtHttpAnswer;

/* A connection. In malloc's memory, as the library makes and ends it. */
typedef struct MtHttpConnection
{
	dlist_node	node;			/* in the list of connections, the longest unchanged first */
	int			socket;
	bool		tls;
	bool		reading;		/* a request has begun and is not whole yet */
	bool		serving;		/* a request is whole and not answered yet */
	int			hang_up;		/* 1: told to go, 2: shut down */
	int64		since;			/* when that became so */
	struct MHD_Daemon *daemon;
} MtHttpConnection;

/* A request, from its first line to the end of its answer. */
struct MtHttpRequest
{
	MemoryContext context;
	struct MHD_Connection *handle;
	MtHttpConnection *connection;
	char		id[MT_HTTP_ID_SIZE];
	int64		whole_at;		/* when all of it was there */
	char	   *url;			/* as sent; NULL: too long */
	bool		headers_taken;
	const char *method;
	const MtRoute *route;		/* NULL: none, or not known yet */
	char	   *tenant_asked;	/* what the address says; NULL: nothing */
	char	   *argument;		/* {user}, {id} */
	char	   *rest;			/* the path behind a prefix, as sent */
	char	   *query;			/* as sent, without the question mark; NULL: none */
	char	   *token;			/* wiped when it has been used */
	char	   *matches;		/* If-None-Match; NULL: none */
	char		tenant[MT_TENANT_ID_SIZE];	/* the token's; empty: not known yet, or none */
	StringInfo	body;			/* NULL: nothing was kept */
	size_t		body_taken;		/* of it, including what was not kept */
	MtHttpAnswer answer;
	bool		suspended;
	dlist_node	node;			/* in one of the lists of those that wait */
	void	   *turn;			/* the queue, of gateway_turn.c, in which it waits; NULL: none */
	bool		unflushed;		/* its answer waits for what it wrote to be on disk */
	/* of a wait for a pull */
	int64		ticket;
	int64		give_up_at;
};

/* gateway.c */
extern MtGatewaySettings mt_gateway_settings;
extern MemoryContext mt_gateway_context;
extern bool mt_gateway_draining;

/* gateway_listen.c */
#define MT_LISTEN_SOCKETS_MAX	6
extern void mt_listen_open(void);
extern void mt_gateway_run_or_end(MtWork work, void *argument);
extern bool mt_listen_reload(void);
extern void mt_listen_quiesce(void);
extern void mt_listen_accept(void);
extern void mt_listen_run(void);
extern void mt_listen_send(void);
extern bool mt_listen_idle(void);
extern int64 mt_listen_timeout(void);
extern int	mt_listen_sockets(int *sockets, int *accepting);
extern bool mt_listen_changed(void);

/* gateway_share.c */
extern void mt_share_join(void);
extern void mt_share_take_part(bool taking);
extern void mt_share_count(int connections);
extern int	mt_share_load(void);
extern bool mt_share_give(int connection);
extern bool mt_share_take(int *connection);
extern void mt_share_taken(void);
extern int	mt_share_socket(void);

/* gateway_request.c */
extern struct MHD_Daemon *mt_serve_start(const char *certificate, const char *key);
extern bool mt_serve_has_room(void);
extern void mt_serve_respond(MtHttpRequest *request);
extern void mt_serve_suspend(MtHttpRequest *request);
extern bool mt_serve_take_resumed(void);
extern void mt_serve_sweep(void);
extern void mt_serve_hang_up_idle(void);
extern int64 mt_serve_sweep_at(void);

/* gateway_route.c */
extern bool mt_route_find(MtHttpRequest *request);
extern bool mt_route_is_scim(const char *url);
extern bool mt_route_is_open(const char *url);
extern const char *mt_route_scope(const MtHttpRequest *request);
extern const MtRoute *mt_route_at(int index);
extern int	mt_route_index(const MtRoute *route);

/* gateway_handler.c: what the routes do */
extern void mt_route_health(MtHttpRequest *request);
extern void mt_route_openapi(MtHttpRequest *request);
extern void mt_route_metrics(MtHttpRequest *request);
extern void mt_route_readiness(MtHttpRequest *request);
extern void mt_route_aggregate(MtHttpRequest *request);
extern void mt_route_progress(MtHttpRequest *request);
extern void mt_route_sync_progress(MtHttpRequest *request);
extern void mt_route_pull(MtHttpRequest *request);
extern void mt_route_roster(MtHttpRequest *request);
extern void mt_route_courses(MtHttpRequest *request);
extern void mt_route_quiz_results(MtHttpRequest *request);
extern void mt_route_scim_events(MtHttpRequest *request);
extern void mt_route_scim(MtHttpRequest *request);

/* gateway_turn.c */
extern void mt_turn_start(void);
extern void mt_turn_take(MtHttpRequest *request);
extern void mt_turn_leave(MtHttpRequest *request);
extern void mt_turn_round(void);
extern bool mt_turn_knows(const MtHttpRequest *request);
extern void mt_turn_remember(const MtHttpRequest *request);
extern void mt_turn_charge(const MtHttpRequest *request, int64 since);
extern bool mt_turn_waiting(void);

/* gateway_execute.c */
extern void mt_execute_check_token(MtHttpRequest *request);
extern void mt_execute(MtHttpRequest *request);
extern void mt_execute_flush(void);
extern void mt_execute_forget(MtHttpRequest *request);

/* gateway_pull.c */
extern void mt_pull_wait(MtHttpRequest *request);
extern void mt_pull_leave(MtHttpRequest *request);
extern void mt_pull_look(bool told);
extern int64 mt_pull_next(void);
extern void mt_pull_answer_accepted(MtHttpRequest *request, const char *state, const char *detail);

/* gateway_document.c */
extern void mt_document_answer(MtHttpRequest *request, const char *resource);
extern void mt_document_release(void *document);

/* gateway_answer.c */
extern void mt_answer_json(MtHttpRequest *request, int status, const char *body);
extern void mt_answer_error(MtHttpRequest *request, int status, const char *code, const char *field, const char *message,...) pg_attribute_printf(5, 6);
extern void mt_answer_header(MtHttpRequest *request, const char *name, const char *value);
extern void mt_answer_failure(MtHttpRequest *request, const MtFailure *failure);

/* gateway_count.c */
extern void mt_count_request(const MtHttpRequest *request, int64 duration);
extern void mt_count_connection(void);
extern void mt_count_timeout(void);
extern void mt_count_flush(void);
extern int64 mt_count_flush_at(void);
extern void mt_log_request(const MtHttpRequest *request, int64 duration, const char *ending);

/* gateway_sql.c */
extern int	mt_sql_gateway_peers(const char *address, int port);
extern void mt_sql_gateway_listens(const char *address, int port);
extern void mt_sql_gateway_count(Datum *names, Datum *amounts, int count);
extern void mt_sql_gateway_report(int64 requests);
extern void mt_sql_flush_wal(void);
extern void mt_sql_check_token(const char *token, const char *scope, bool refused, char *tenant);
extern void mt_sql_enter_token(const char *token, const char *scope, char *tenant);
extern void mt_sql_refuse_tenant(const char *tenant);
extern void mt_sql_keep_dead_letter(const char *tenant, const char *resource, const char *reason, const StringInfo body);
extern char *mt_sql_metrics(MemoryContext context);
extern char *mt_sql_readiness(const char *tenant, bool aggregate, MemoryContext context);
extern char *mt_sql_user_courses(const char *tenant, const char *user, MemoryContext context);
extern bool mt_sql_record_quiz_result(const char *tenant, const StringInfo body);
extern char *mt_sql_scim_event(const StringInfo body, MemoryContext context);
extern int64 mt_sql_request_pull(const char *tenant, const char *user, int64 seconds);
extern char *mt_sql_pull_result(int64 ticket, MemoryContext context, char **user, MtFailure *failure, char **detail);
extern int64 mt_sql_cache_version(const char *tenant, const char *resource);
extern char *mt_sql_cache_document(const char *tenant, const char *resource, int64 *version, MemoryContext context);
extern void mt_sql_scim_request(MtHttpRequest *request, const char *if_match, const char *if_none_match, const char *content_type);

#endif							/* MT_GATEWAY_H */
