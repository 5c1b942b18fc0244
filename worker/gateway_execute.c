/*
 * gateway_execute.c
 *		Executes a request: one transaction, bounded by its token, and what follows from its outcome.
 *
 * Commits do not wait for the disk (synchronous_commit is off in the gateway, unless there are synchronous standbys). Instead the answers of routes
 * that write wait until the round ends, and one flush makes them all last: what is acknowledged is on disk, and many clients share a flush as they
 * would in backends of their own. That one found nothing to do is acknowledged in the same way: another process may have done it, and not flushed it
 * yet.
 *
 * A body that a writing route refuses is kept in dead_letter, by a transaction of the gateway's own, as the first one has rolled back. Called
 * by gateway_turn.c.
 */
#include "gateway.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "statements.h"
#include "storage/ipc.h"
#include "utils/errcodes.h"

/* A transaction that met others' locks is tried so often. */
#define ATTEMPTS	2

static dlist_head unflushed = DLIST_STATIC_INIT(unflushed);
/* One of them has written nothing, and may know what another process has. */
static bool others_unflushed = false;

/* What is kept, and why. */
typedef struct Letter
{
	const MtHttpRequest *request;
	const char *reason;
} Letter;

static void
request_work(void *argument)
{
	MtHttpRequest *request = argument;

	mt_sql_enter_token(request->token, request->route->scope, request->tenant);
	if (request->tenant_asked != NULL && strcmp(request->tenant, request->tenant_asked) != 0)
		mt_sql_refuse_tenant(request->tenant_asked);
	if (request->route->read_only)
		XactReadOnly = true;
	request->route->run(request);
}

static void
token_work(void *argument)
{
	MtHttpRequest *request = argument;

	mt_sql_check_token(request->token, mt_route_scope(request), request->answer.status != 0, request->tenant);
}

static void
letter_work(void *argument)
{
	Letter	   *letter = argument;
	const MtHttpRequest *request = letter->request;

	mt_sql_enter_tenant(request->tenant);
	mt_sql_keep_dead_letter(request->tenant, request->route->letter, letter->reason, request->body);
}

/* Keeps the body where it is its fault that the request failed. Where there is no room for it, that is the answer. */
static void
keep_letter(MtHttpRequest *request, const MtFailure *why)
{
	Letter		letter = {request, why->message};
	MtFailure	failure;

	if (request->route->letter == NULL || request->body == NULL || request->body->len == 0 || request->tenant[0] == '\0')
		return;
	if (request->answer.status != 400 && request->answer.status != 409)
		return;
	if (mt_try_transaction(letter_work, &letter, &failure))
		return;
	/* Who sent it may send it again. */
	if (failure.sqlstate == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
	{
		mt_answer_failure(request, &failure);
		return;
	}
	ereport(LOG,
			(errcode(failure.sqlstate),
			 errmsg("mindtickle gateway could not keep the body of request %s: %s", request->id, failure.text)));
	mt_worker_report_failure(&failure);
}

static bool
worth_another_try(const MtFailure *failure)
{
	return failure->sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || failure->sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* An extension that is gone, or not set up any more, is no request's fault: the process ends, and the next one waits until it can be used. */
static void
require_extension(const MtHttpRequest *request)
{
	if (request->tenant[0] != '\0' || (request->answer.status != 403 && request->answer.status != 500) || mt_worker_ready())
		return;
	mt_worker_end_without_extension();
	ereport(LOG, (errmsg("mindtickle gateway starts again: the extension is not set up")));
	proc_exit(1);
}

/* Runs the request's transaction; its answer tells how that went. */
static void
run_request(MtHttpRequest *request)
{
	MtFailure	failure;

	for (int attempt = 1; !mt_try_transaction(request_work, request, &failure); attempt++)
	{
		if (worth_another_try(&failure) && attempt < ATTEMPTS)
			continue;
		mt_answer_failure(request, &failure);
		keep_letter(request, &failure);
		require_extension(request);
		return;
	}
}

/*
 * Refuses a request whose token is not valid or lacks the scope of the address, in place of whatever else it may have been answered: before its body is
 * taken in, or before it is told what else is wrong; then it counts against the tenant's budget, as it would in mindtickle.enter_token.
 */
void
mt_execute_check_token(MtHttpRequest *request)
{
	int64		before = mt_now();
	MtFailure	failure;

	if (mt_try_transaction(token_work, request, &failure))
		mt_turn_remember(request);
	else
	{
		mt_answer_failure(request, &failure);
		require_extension(request);
	}
	mt_turn_charge(request, before);
}

static void
flush_work(void *argument)
{
	mt_sql_flush_wal();
}

/*
 * Executes a whole request. It is answered now, or when what it wrote is on disk, or when the pull that it asked for has ended.
 */
void
mt_execute(MtHttpRequest *request)
{
	XLogRecPtr	before = XactLastCommitEnd;

	run_request(request);
	if (request->answer.status == 0)
		mt_pull_wait(request);
	else if (request->route->writes)
	{
		/* It is suspended: what writes has waited for its turn. */
		others_unflushed |= XactLastCommitEnd == before;
		request->unflushed = true;
		dlist_push_tail(&unflushed, &request->node);
	}
	else
		mt_serve_respond(request);
}

/*
 * Brings what was written to disk, and answers those who wait for that.
 */
void
mt_execute_flush(void)
{
	if (dlist_is_empty(&unflushed))
		return;
	XLogFlush(XactLastCommitEnd);
	if (others_unflushed)
		mt_gateway_run_or_end(flush_work, NULL);
	others_unflushed = false;
	while (!dlist_is_empty(&unflushed))
	{
		MtHttpRequest *request = dlist_container(MtHttpRequest, node, dlist_pop_head_node(&unflushed));

		request->unflushed = false;
		mt_serve_respond(request);
	}
}

/*
 * Forgets a request that ends without its answer.
 */
void
mt_execute_forget(MtHttpRequest *request)
{
	if (request->unflushed)
		dlist_delete(&request->node);
	request->unflushed = false;
}
