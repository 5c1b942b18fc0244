/*
 * http.h
 *		Requests to the far side, many at once: see http.c.
 */
#ifndef MT_HTTP_H
#define MT_HTTP_H

#include "postgres.h"

#include "lib/ilist.h"

/* The connections of one tenant. */
typedef struct MtHttpPool MtHttpPool;

/* How a request ended, as far as transport goes. */
typedef enum MtHttpOutcome
{
	MT_HTTP_ANSWERED,			/* there is a status and a whole body */
	MT_HTTP_UNREACHABLE,		/* no connection: another base URL may do better */
	MT_HTTP_BROKEN,				/* a connection, but no whole answer */
	MT_HTTP_TOO_LARGE,			/* more body than is accepted */
	MT_HTTP_ADDRESS_REFUSED		/* the name resolved only to addresses that are not to be called */
} MtHttpOutcome;

/* What is sent. The texts are copied; the caller overwrites what is secret in them. */
typedef struct MtHttpMessage
{
	const char *url;
	const char *authorization;	/* a whole header line; NULL: none */
	const char *method;			/* NULL: a GET, or a POST where there is a body */
	const char *body;			/* JSON; NULL: none */
	size_t		length;			/* of the body */
} MtHttpMessage;

typedef struct MtHttpRequest
{
	void	   *tag;			/* the caller's */
	MtHttpOutcome outcome;
	int			status;
	char	   *body;			/* malloc'd, with a NUL behind it; NULL when empty */
	size_t		length;
	char		retry_after[64];	/* the headers' values, "" when absent */
	char		retry_after_ms[32];
	char		error[256];		/* libcurl's words when not answered; no secrets */
	bool		crowded;		/* a broken one, because there was no memory for its answer */

	/* http.c only */
	dlist_node	node;
	MtHttpPool *pool;
	void	   *easy;
	void	   *headers;
	char	   *sent_body;
	size_t		sent_length;
	size_t		capacity;
	bool		plain;			/* not TLS */
	bool		sent;
	bool		resent;
	bool		refused;		/* an address of the host */
	bool		allowed;		/* another one, or this is the only one */
	bool		connected;
	bool		finished;
} MtHttpRequest;

/* What a pool's owner is told. Called inside libcurl: must not raise an error. */
typedef struct MtHttpOwner
{
	void	   *owner;
	void		(*sent) (void *owner, MtHttpRequest *request);
} MtHttpOwner;

extern int	mt_http_start(void);
extern int	mt_http_connections_max(void);
extern MtHttpPool *mt_http_pool_create(const MtHttpOwner *owner, const char *const *headers, bool allow_http, int connections);
extern void mt_http_pool_destroy(MtHttpPool *pool);
extern void *mt_http_pool_owner(const MtHttpPool *pool);
extern bool mt_http_crowded(void);
extern bool mt_http_room(const MtHttpPool *pool);
extern MtHttpRequest *mt_http_send(MtHttpPool *pool, const MtHttpMessage *message, void *tag);
extern void mt_http_free(MtHttpRequest *request);
extern void mt_http_run(void);
extern int64 mt_http_due(void);
extern bool mt_http_any_finished(void);
extern MtHttpRequest *mt_http_next_finished(void);

#endif							/* MT_HTTP_H */
