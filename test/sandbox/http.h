/*
 * http.h
 *		The HTTP front: requests, replies, start and stop.
 */
#ifndef SANDBOX_HTTP_H
#define SANDBOX_HTTP_H

#include "buffer.h"
#include "delay.h"
#include "faults.h"
#include "host.h"
#include "live_session.h"

#include <json-c/json.h>
#include <microhttpd.h>
#include <stdbool.h>

/* How a reply leaves the house. */
typedef enum Delivery
{
	DELIVER_WHOLE,
	DELIVER_SHORT,				/* announced whole, closed in the middle */
	DELIVER_HALF_RESET,			/* the same, but reset */
	DELIVER_RESET,				/* reset without a byte */
	DELIVER_DRIPPING,			/* a byte now and then */
	DELIVER_HUGE				/* the body, then blanks up to HUGE_SIZE */
} Delivery;

#define HUGE_SIZE UINT64_C(67108864)

struct TruthStream;
struct Tenant;

typedef struct Reply
{
	unsigned	status;
	const char *content_type;
	Buffer		body;
	bool		body_is_lent;	/* somebody else's memory, for good */
	struct TruthStream *stream; /* instead of body, when not NULL */
	char		retry_after[40];	/* empty: no such header */
	const char *encoding;		/* Content-Encoding; NULL: none */
	Buffer		location;		/* of a redirection */
	const char *allow;			/* of 405 */
	const char *challenge;		/* WWW-Authenticate */
	Delivery	delivery;
} Reply;

typedef struct Call
{
	struct MHD_Connection *connection;
	Host		host;			/* it arrived at */
	const char *method;
	const char *path;			/* decoded, without the query */
	char	   *raw_url;		/* as it came */
	Buffer		upload;
	bool		upload_is_too_large;
	json_object *json;			/* the upload, once mt_call_json was asked */
	LiveToken	token;			/* of the live contract's API */
	LiveCredential credential;	/* what the call came with */
	int64_t		arrived_at;		/* monotonic nanoseconds */
	struct Tenant *tenant;		/* whose request it is, once counted */
	Fault		fault;
	uint64_t	flavour;		/* chooses among the variants of a fault */
	Reply		reply;
	bool		answered;		/* the reply is made and only waits */
	bool		stops_program;	/* once the reply is delivered */
	Delay		delay;
} Call;

struct Options;

/* Starts serving; false, with a message on standard error, when it cannot. */
extern bool mt_http_start(const struct Options *options);

/* Ends all connections and threads. */
extern void mt_http_stop(void);

/* How long a slow answer takes; may be changed while serving. */
extern void mt_http_set_slow(int milliseconds);

/* A request header or query argument; NULL when it is not there. */
extern const char *mt_call_header(const Call *call, const char *name);
extern const char *mt_call_query(const Call *call, const char *name);

/* Reads a whole number from the query; false when there is another text or it is out of bounds. */
extern bool mt_call_number(const Call *call, const char *name, long minimum, long maximum, long missing, long *value);

/* The uploaded JSON object; NULL when it is none. It lives as long as the call. */
extern json_object *mt_call_json(Call *call);

/* A text member of a JSON object; NULL when it is missing, no text, or has a NUL. */
extern const char *mt_json_text(json_object *object, const char *name);

/* Makes the reply an error of MindTickle's shape. */
extern void mt_reply_error(Reply *reply, unsigned status, const char *type, const char *description);

#endif							/* SANDBOX_HTTP_H */
