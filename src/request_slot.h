/*
 * request_slot.h
 *		Requests to the sync worker through shared memory: see request_slot.c.
 */
#ifndef MT_REQUEST_SLOT_H
#define MT_REQUEST_SLOT_H

#include "mindtickle.h"

#include "datatype/timestamp.h"

/* Requests at once, of all databases together; and of one tenant, so that the others find room. */
#define MT_REQUESTS_MAX			256
#define MT_REQUESTS_OF_TENANT	64

/* Bytes of what is asked about, of an answer, and of the texts of an error; longer texts of an error are cut, other things refused. */
#define MT_REQUEST_SUBJECT_SIZE	(MT_ID_MAX + 1)
#define MT_REQUEST_ANSWER_SIZE	4096
#define MT_REQUEST_TEXT_SIZE	400

/* What the worker is asked for. */
typedef enum MtRequestKind
{
	MT_REQUEST_PULL,			/* one user's progress; subject is his id, the answer our id of him */
	MT_REQUEST_TEST,			/* what the tenant's credential is good for; the answer is JSON */
	MT_REQUEST_KINDS
} MtRequestKind;

typedef enum MtRequestState
{
	MT_REQUEST_UNKNOWN,			/* there is no such request (any more) */
	MT_REQUEST_WAITING,			/* for the worker to take it */
	MT_REQUEST_TAKEN,
	MT_REQUEST_DONE
} MtRequestState;

/* A request as it stands, copied out of shared memory. */
typedef struct MtRequestView
{
	MtRequestState state;
	char		tenant[MT_TENANT_MAX + 1];
	TimestampTz posted_at;
	TimestampTz ends_at;
	char		step[MT_REQUEST_TEXT_SIZE]; /* what it waits for, in words; "": nothing known */
	int			sqlstate;		/* of a request that is done; 0: it went well */
	char		message[MT_REQUEST_TEXT_SIZE];
	char		hint[MT_REQUEST_TEXT_SIZE];
	char		answer[MT_REQUEST_ANSWER_SIZE];
} MtRequestView;

extern void mt_request_slot_memory(void);
extern void mt_requests_return(Oid database);

extern TimestampTz mt_request_end(Interval *timeout);
extern int64 mt_request_post(const char *tenant, MtRequestKind kind, const char *subject, TimestampTz ends_at);
extern void mt_request_view(const char *tenant, int64 ticket, MtRequestView *view);
extern void mt_request_raise(const MtRequestView *view, int elevel);
extern char *mt_request_ask(const char *tenant, MtRequestKind kind, const char *subject, Interval *timeout);
extern void mt_require_open_transaction(const char *function);

#endif							/* MT_REQUEST_SLOT_H */
