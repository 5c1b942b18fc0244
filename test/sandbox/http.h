/*
 * http.h
 *		The HTTP front: requests, replies, start and stop.
 */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include "buffer.h"
#include "delay.h"

#include <microhttpd.h>
#include <stdbool.h>

/* How a reply leaves the house. */
typedef enum Delivery
{
	DELIVER_WHOLE,
	DELIVER_SHORT,				/* announced whole, closed in the middle */
	DELIVER_HALF_RESET,			/* the same, but reset */
	DELIVER_RESET				/* reset without a byte */
} Delivery;

struct TruthStream;

typedef struct Reply
{
	unsigned	status;
	const char *content_type;
	Buffer		body;
	struct TruthStream *stream; /* instead of body, when not NULL */
	char		retry_after[40];	/* empty: no such header */
	const char *allow;			/* of 405 */
	Delivery	delivery;
} Reply;

typedef struct Call
{
	struct MHD_Connection *connection;
	const char *method;
	const char *path;
	Reply		reply;
	bool		answered;		/* the reply is made and only waits */
	bool		stops_program;	/* once the reply is delivered */
	Delay		delay;
} Call;

struct Options;

/* Starts serving; false, with a message on standard error, when it cannot. */
extern bool mt_http_start(const struct Options *options);

/* The port it listens on. */
extern int	mt_http_port(void);

/* Ends all connections and threads. */
extern void mt_http_stop(void);

/* How long a slow answer takes; may be changed while serving. */
extern void mt_http_set_slow(int milliseconds);

/* A request header or query argument; NULL when it is not there. */
extern const char *mt_call_header(const Call *call, const char *name);
extern const char *mt_call_query(const Call *call, const char *name);

/* Reads a whole number from the query; false when there is another text or it is out of bounds. */
extern bool mt_call_number(const Call *call, const char *name, long minimum, long maximum, long missing, long *value);

/* Makes the reply an error of MindTickle's shape. */
extern void mt_reply_error(Reply *reply, unsigned status, const char *type, const char *description);

#endif							/* SANDBOX_HTTP_H */
