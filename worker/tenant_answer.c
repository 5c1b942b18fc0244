/*
 * tenant_answer.c
 *		What an answer means for the pull: stored, tried again, given up, or everything put off.
 *
 * Called by sync.c for each request that is over, in the order in which they ended. Good answers go on to tenant_store.c. The rest is decided
 * by status alone; bodies of errors have no stable shape and are shown to the log only, shortened and without secrets.
 *
 *	401, 403			with a token: it is dropped, and the request repeated once with another; at the reporting URL: that source is left out;
 *						else, and a second time, 401: the job fails and nothing is sent for hours; 403: the item is given up; where nothing of the
 *						phase has been allowed yet, a listing or some items in a row, the phase ends
 *	404 of an item		there is nothing to store
 *	429					nothing is sent for as long as the answer says, or ever longer
 *	other 4xx			a request for changes becomes one for everything; else the item is given up; a listing's phase fails; a continuation has expired, and is begun anew
 *	no memory for it	it is asked for again, a few times without counting as a failure: others may have taken what there is
 *	everything else		tried again, a few times; then an item is left for the end of the phase, and for a page the tenant backs off
 */
#include "tenant.h"

#include <curl/curl.h>
#include <limits.h>

#include "errand.h"
#include "large.h"
#include "push.h"
#include "statements.h"

/* How often one request is tried before something else is, and the first pause between. */
#define TRIES_MAX			5
#define FIRST_RETRY_PAUSE	(250 * MT_MILLISECOND)
/* So many failures in a row are not the fault of single requests. */
#define FAILURES_IN_ROW_MAX 10
/* Back-offs without any success before the job fails; the first lasts two seconds, each next one twice as long, up to the last. */
#define ROUNDS_MAX			10
#define LAST_BACK_OFF		(5 * MT_MINUTE)
/* The same for 429. */
#define THROTTLED_MAX		30
#define LAST_THROTTLE		(2 * MT_MINUTE)
/* Before an answer for which there was no memory is asked for again. */
#define CROWDED_PAUSE		(2 * MT_SECOND)
/* The pause grows twofold, and after so many it counts as a failure. */
#define CROWDED_MAX			6
/* How often the tokens of one request may come to their end. */
#define REFUSALS_MAX		8
/* So many items of a phase are denied, and none has been allowed, before the phase is. */
#define DENIED_MAX			3
/* A Retry-After that says more is not believed. */
#define RETRY_AFTER_MAX		MT_HOUR
/* Bytes of an error's body that are logged. */
#define EXCERPT_MAX			300

/* The start of the body, fit for a line of a log. */
static char *
excerpt(const MtJob *job, const char *token, const MtHttpRequest *request)
{
	size_t		longest = mt_source_longest_secret(&job->source, token);
	char	   *text;

	if (request->body == NULL)
		return NULL;
	/* So much more that a secret that is cut off at the end is still found whole. */
	text = pnstrdup(request->body, Min(request->length, EXCERPT_MAX + longest));
	mt_source_blot(&job->source, token, text, EXCERPT_MAX);
	text[Min(strlen(text), EXCERPT_MAX)] = '\0';
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || (unsigned char) *c >= 0x7f)
			*c = '.';
	return text;
}

/* Counts a failure, and logs the first of its kind in a pull. */
static void
complain(MtTenant *tenant, const MtHttpRequest *request, MtTally kind, const char *reason)
{
	MtJob	   *job = tenant->job;
	const MtStage *stage = ((const MtSlot *) request->tag)->stage;
	char	   *body = NULL;

	job->failures++;
	tenant->tally[kind]++;
	if ((job->complained & (1u << kind)) != 0)
		return;
	job->complained |= 1u << kind;
	if (request->outcome == MT_HTTP_ANSWERED && request->status != 200)
		body = excerpt(job, tenant->token.text, request);
	ereport(LOG,
			(errmsg("a request for tenant \"%s\" failed (%s): %s", tenant->tenant_id, stage == NULL ? "sign-in" : mt_phase_name(stage->phase), reason),
			 body == NULL ? 0 : errdetail("The answer begins: %s", body)));
}

/* Frees the slot's request; it waits to be sent again. */
static void
wait_again(MtSlot *slot, int64 pause)
{
	if (slot->request != NULL)
		mt_http_free(slot->request);
	slot->request = NULL;
	slot->state = MT_SLOT_WAITING;
	slot->not_before = mt_now() + pause;
}

/* Notes why a slot that somebody waits for has failed. */
static void
note_problem(MtJob *job, MtSlot *slot, const char *reason)
{
	if (!slot->urgent)
		return;
	if (slot->problem != NULL)
		pfree(slot->problem);
	slot->problem = MemoryContextStrdup(job->context, reason);
}

/* Everything fails, or a page does again and again: the tenant rests, longer each time. False when the job is gone. */
static bool
rest(MtTenant *tenant, const char *reason)
{
	MtJob	   *job = tenant->job;
	dlist_iter	iter;

	if (++job->rounds > ROUNDS_MAX)
	{
		mt_job_fail(tenant, psprintf("MindTickle gives no usable answer: %s", reason), 0);
		return false;
	}
	job->failures_in_row = 0;
	if (job->sign_in != NULL)
		job->sign_in->tries = 0;
	dlist_foreach(iter, &job->slots)
		dlist_container(MtSlot, node, iter.cur)->tries = 0;
	dlist_foreach(iter, &job->urgent)
		dlist_container(MtSlot, node, iter.cur)->tries = 0;
	return mt_job_back_off(tenant, mt_jitter(Min(MT_SECOND << job->rounds, LAST_BACK_OFF)), reason);
}

/*
 * A slot's request has failed in a way that may pass: the answer, if any, is dropped. False when the job is gone or the phase has ended.
 */
bool
mt_pull_failed(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	MtJob	   *job = tenant->job;

	job->failures_in_row++;
	slot->tries++;
	note_problem(job, slot, reason);
	wait_again(slot, mt_jitter(FIRST_RETRY_PAUSE << (slot->tries - 1)));
	if (job->failures_in_row >= FAILURES_IN_ROW_MAX)
		return rest(tenant, reason);
	if (slot->tries < TRIES_MAX)
		return true;
	if (slot->item.key != NULL)
		return mt_store_item_end(tenant, slot, MT_ITEM_AGAIN);
	return rest(tenant, reason);
}

/*
 * A slot's answer has the status 200 and is not what was asked for. False when the job is gone or the phase has ended.
 */
bool
mt_pull_unusable(MtTenant *tenant, MtSlot *slot, const char *problem)
{
	char	   *reason = psprintf("the answer is not usable: %s", problem);

	complain(tenant, slot->request, MT_TALLY_UNUSABLE, reason);
	return mt_pull_failed(tenant, slot, reason);
}

/*
 * Does the answer ask for a pause?
 */
bool
mt_asks_for_pause(const MtHttpRequest *request)
{
	return request->status == 429 || (request->status == 503 && mt_retry_after(request, -1) > 0);
}

/* A whole number of the given unit as microseconds, or -1. */
static int64
parse_pause(const char *text, int64 unit)
{
	MtSpan		digits = {text, strlen(text)};
	int64		count = mt_json_count(digits);

	if (digits.length == 0 || count < 0 || count > RETRY_AFTER_MAX / unit)
		return -1;
	return count * unit;
}

/*
 * What the answer says about when to come back; absent when nothing or nothing sane.
 */
int64
mt_retry_after(const MtHttpRequest *request, int64 absent)
{
	int64		pause = parse_pause(request->retry_after_ms, MT_MILLISECOND);

	if (pause < 0)
		pause = parse_pause(request->retry_after, MT_SECOND);
	if (pause < 0 && request->retry_after[0] != '\0' && strchr(request->retry_after, ':') != NULL)
	{
		time_t		moment = curl_getdate(request->retry_after, NULL);
		time_t		now = time(NULL);

		if (moment != -1 && moment > now && moment - now <= RETRY_AFTER_MAX / MT_SECOND)
			pause = (int64) (moment - now) * MT_SECOND;
	}
	/* Nothing at all would be no pause. */
	return pause > 0 ? pause : absent;
}

/*
 * The far side has asked for a pause: nothing is sent for the tenant until it is over. The job may be gone after that.
 */
void
mt_pull_pause(MtTenant *tenant, int64 pause, int status)
{
	tenant->paused_until = Max(tenant->paused_until, mt_now() + pause);
	if (mt_now() + pause > tenant->backoff_until)
		(void) mt_job_back_off(tenant, pause, psprintf("MindTickle asked for a pause (%d)", status));
}

/* The far side wants less: only this tenant waits. */
static void
throttled(MtTenant *tenant, MtSlot *slot, const MtHttpRequest *request)
{
	MtJob	   *job = tenant->job;
	int64		pause = mt_retry_after(request, -1);
	int			status = request->status;
	bool		resting = tenant->backoff_until > mt_now();

	wait_again(slot, 0);
	/* Those that were under way together are one refusal. */
	if (!resting && ++job->throttled_in_row > THROTTLED_MAX)
	{
		mt_job_fail(tenant, psprintf("MindTickle refuses every request as one too many (%d): lower the tenant's requests_per_minute", status),
					MT_HOUR);
		return;
	}
	if (pause < 0 && !resting)
		pause = mt_jitter(Min(MT_SECOND << Min(job->throttled_in_row - 1, 10), LAST_THROTTLE));
	mt_pull_pause(tenant, pause, status);
}

/*
 * What is wrong with the credential, and how to mend it; palloc'd.
 */
char *
mt_pull_refusal(const MtJob *job, const MtStage *stage, int status)
{
	const char *secrets = job->source.contract->sign_in == NULL ? "api_key" : "api_key and secret_key";

	if (status == 403 && stage != NULL)
		return psprintf("MindTickle denies the api_key access to the %s (403): it needs the right %s; grant it there, store another key with "
						"mt_set_credential, or correct the company_id", mt_phase_name(stage->phase), stage->right);
	return psprintf("MindTickle refuses the %s (%d): store valid ones with mt_set_credential", secrets, status);
}

/*
 * The credential does not count. One that was replaced meanwhile is tried before the job fails.
 */
void
mt_pull_refused(MtTenant *tenant, int status)
{
	MtJob	   *job = tenant->job;

	mt_token_drop(tenant);
	if (tenant->refused_secret != job->source.secret_hash)
	{
		tenant->refused_secret = job->source.secret_hash;
		tenant->refused_status = status;
		mt_job_reopen(tenant);
	}
	else
		mt_job_fail(tenant, mt_pull_refusal(job, NULL, status), MT_REFUSED_PAUSE);
}

/* The reporting user does not count: the phase is done in another way, and the tenant is told. */
static void
reporting_refused(MtTenant *tenant, MtSlot *slot, int status)
{
	MtJob	   *job = tenant->job;

	tenant->refused_reporting = job->source.reporting_hash;
	tenant->reporting_rests_until = mt_now() + MT_REFUSED_PAUSE;
	job->source.reporting_refused = true;
	if (slot->urgent)
	{
		mt_errand_again(tenant, slot);
		return;
	}
	(void) mt_store_restart(tenant,
							psprintf("MindTickle refuses the reporting_user (%d), so scores are not pulled: store a valid reporting_user and "
									 "reporting_password with mt_set_credential, or correct the reporting_url", status));
}

/* Is there an item beside the one that is answered now? */
static bool
others_left(const MtJob *job)
{
	return job->slot_count - job->finished_count > 1 || job->next_item < job->item_count || !job->items_end;
}

/* What was asked for is denied, for good: this item, or all of its kind. */
static void
denied(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	char	   *reason = mt_pull_refusal(job, slot->stage, 403);

	note_problem(job, slot, reason);
	if (slot->urgent || (slot->item.key != NULL && (job->stage_worked || (++job->denied < DENIED_MAX && others_left(job)))))
		(void) mt_store_item_end(tenant, slot, MT_ITEM_LOST);
	else
		(void) mt_store_phase_end(tenant, false, false, reason);
}

/* 401 or 403. */
static void
unauthorized(MtTenant *tenant, MtSlot *slot, int status)
{
	bool		signs_in = tenant->job->source.contract->sign_in != NULL;

	if (slot->stage->host == MT_HOST_REPORTING)
		reporting_refused(tenant, slot, status);
	else if (!signs_in && status == 403)
		denied(tenant, slot);
	else if (!signs_in)
		mt_pull_refused(tenant, status);
	else if (slot->token != tenant->token.serial || tenant->token.text == NULL)
		/* Another request has found that out before. */
		wait_again(slot, 0);
	else if (tenant->token.worked ? slot->refusals < REFUSALS_MAX : slot->refusals == 0)
	{
		/* A token that has worked is over. Another one is tried with this request, before anything else can bring it to its end. */
		slot->refusals++;
		mt_token_drop(tenant);
		wait_again(slot, 0);
	}
	else if (status == 401)
		mt_pull_refused(tenant, status);
	else
		denied(tenant, slot);
}

/* No connection: the next base URL is tried. A host that may not be called is no matter of patience. */
static void
unreachable(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	MtJob	   *job = tenant->job;
	MtSource   *source = &job->source;
	bool		barred = slot->request->outcome == MT_HTTP_ADDRESS_REFUSED;
	bool		other_host = slot != job->sign_in && slot->stage->host != MT_HOST_API;
	bool		nowhere_else = slot->base_url == source->base_url_count - 1;

	/* A token is valid only where it was issued, so where there is one only a sign-in goes elsewhere. */
	if (!other_host && slot->base_url == source->base_url && (source->contract->sign_in == NULL || slot == job->sign_in) &&
		!mt_token_next_site(source, job->unknown_at))
		nowhere_else = true;
	if (barred && (other_host || nowhere_else))
	{
		mt_job_fail(tenant, psprintf("the %s may not be called: %s; http and loopback need allow_http", other_host ? "reporting_url" : "base URL",
									 reason), 0);
		return;
	}
	(void) mt_pull_failed(tenant, slot, reason);
}

/* Is it a page of the listing that is read now? */
static bool
is_page(const MtJob *job, const MtSlot *slot)
{
	return slot != job->sign_in && slot->item.key == NULL;
}

/* There was no memory for the answer. Pages ahead of their turn make room for the one whose turn it is. */
static void
crowded(MtTenant *tenant, MtSlot *slot)
{
	if (is_page(tenant->job, slot))
		mt_pull_one_by_one(tenant);
	/* What it has gathered is in the way of others, or of itself. */
	mt_store_forget_trail(slot);
	if (slot->crowded++ < CROWDED_MAX)
		wait_again(slot, mt_jitter(CROWDED_PAUSE << (slot->crowded - 1)));
	else
		(void) mt_pull_failed(tenant, slot, pstrdup(slot->request->error));
}

/* Do the pages that wait for their turn take more than is left to everybody? Who sends them may never send the one before them. */
static bool
keeps_much(MtJob *job)
{
	Size		kept = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &job->slots)
	{
		const MtSlot *slot = dlist_container(MtSlot, node, iter.cur);

		if (is_page(job, slot) && slot->state == MT_SLOT_ANSWERED)
			kept += slot->request->length;
	}
	return kept > MT_LARGE_MODEST;
}

/* The usual form of an item's answer is too large, or refused: the other one is asked for. */
static void
ask_otherwise(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	mt_store_forget_trail(slot);
	slot->cursor.other_form = true;
	(void) mt_pull_failed(tenant, slot, reason);
}

/* Changes alone cannot be asked for: everything is, in this pull. */
static void
ask_for_everything(MtTenant *tenant, MtSlot *slot, const char *reason)
{
	MtJob	   *job = tenant->job;

	slot->cursor.since = NULL;
	job->position.cursor.since = job->next.since = NULL;
	(void) mt_pull_failed(tenant, slot, reason);
}

/* As what an answer with a status other than 200 is counted. */
static MtTally
tally_of(const MtHttpRequest *request)
{
	int			status = request->status;

	if (mt_asks_for_pause(request))
		return MT_TALLY_THROTTLED;
	if (status == 401 || status == 403)
		return MT_TALLY_REFUSED;
	return status / 100 == 4 ? MT_TALLY_CLIENT_ERRORS : MT_TALLY_SERVER_ERRORS;
}

/* An answer with a status other than 200. */
static void
judge_status(MtTenant *tenant, MtSlot *slot, MtHttpRequest *request)
{
	MtJob	   *job = tenant->job;
	int			status = request->status;
	char	   *reason = psprintf("status %d", status);
	bool		sign_in = slot == job->sign_in;
	bool		continuation = slot->cursor.next != NULL;

	if (status == 404 && slot->item.key != NULL && !continuation)
	{
		(void) mt_store_item_end(tenant, slot, MT_ITEM_ABSENT);
		return;
	}
	/* A site in another region is no failure. */
	if (!sign_in || status != 404)
		complain(tenant, request, tally_of(request), reason);
	if (tally_of(request) == MT_TALLY_THROTTLED)
		throttled(tenant, slot, request);
	else if (status / 100 != 4 || status == 408 || status == 425)
		(void) mt_pull_failed(tenant, slot, reason);
	else if (sign_in)
		mt_token_answer(tenant, slot);
	else if (status == 401 || status == 403)
		unauthorized(tenant, slot, status);
	else if (continuation && slot->item.key != NULL)
	{
		mt_store_forget_trail(slot);
		(void) mt_pull_failed(tenant, slot, reason);
	}
	else if (continuation)
		(void) mt_store_restart(tenant, psprintf("a continuation of the listing was refused with status %d", status));
	else if (slot->cursor.since != NULL && slot->cursor.offset == 0)
		ask_for_everything(tenant, slot, reason);
	else if (slot->item.key != NULL && slot->stage->two_forms && !slot->cursor.other_form)
		ask_otherwise(tenant, slot, reason);
	else if (slot->item.key != NULL)
		(void) mt_store_item_end(tenant, slot, MT_ITEM_LOST);
	else
		(void) mt_store_phase_end(tenant, false, false, psprintf("the listing was refused with status %d", status));
}

/*
 * A request is over.
 */
void
mt_pull_answer(MtTenant *tenant, MtHttpRequest *request)
{
	MtJob	   *job = tenant->job;
	MtSlot	   *slot = request->tag;

	mt_budget_settled(&tenant->budget, slot->ticket, mt_now());
	job->under_way--;
	tenant->tally[MT_TALLY_REQUESTS]++;
	slot->state = MT_SLOT_ANSWERED;
	if (slot->push != NULL)
	{
		mt_push_answer(tenant, slot);
		return;
	}

	switch (request->outcome)
	{
		case MT_HTTP_ANSWERED:
			if (request->status != 200)
				judge_status(tenant, slot, request);
			else
			{
				job->throttled_in_row = 0;
				if (slot->token == tenant->token.serial && slot != job->sign_in && slot->stage->host == MT_HOST_API)
					tenant->token.worked = true;
				if (slot == job->sign_in)
					mt_token_answer(tenant, slot);
				else
					(void) mt_store_answers(tenant, slot);
				if (tenant->job != NULL && keeps_much(tenant->job))
					mt_pull_one_by_one(tenant);
			}
			break;
		case MT_HTTP_UNREACHABLE:
		case MT_HTTP_ADDRESS_REFUSED:
			complain(tenant, request, MT_TALLY_UNREACHABLE, request->error);
			unreachable(tenant, slot, pstrdup(request->error));
			break;
		case MT_HTTP_TOO_LARGE:
			complain(tenant, request, MT_TALLY_BROKEN, request->error);
			if (slot->item.key != NULL && slot->stage->two_forms && !slot->cursor.other_form)
				ask_otherwise(tenant, slot, pstrdup(request->error));
			else
				(void) mt_pull_failed(tenant, slot, pstrdup(request->error));
			break;
		case MT_HTTP_BROKEN:
			complain(tenant, request, MT_TALLY_BROKEN, request->error);
			if (request->crowded)
				crowded(tenant, slot);
			else
				(void) mt_pull_failed(tenant, slot, pstrdup(request->error));
			break;
	}
}
