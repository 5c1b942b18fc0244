/*
 * tenant_token.c
 *		A tenant's token: signing in, keeping the token while it is valid, finding out in which region the site is.
 *
 * Called by the sending and the judging side of a pull, for contracts that sign in. A tenant has one token, used by all its requests and kept
 * between pulls, and one sign-in at a time: a slot like any other, counted by the budget, but outside the job's list. Times are of the monotonic
 * clock, from the moment the sign-in was sent, so that neither the server's clock nor a change of ours matters. A token is valid only at the base
 * URL that issued it; with another base URL, or another key pair, it is dropped.
 */
#include "tenant.h"

#include "statements.h"
#include "utils/memutils.h"

/* A token is renewed so long before its end, or after so much of a short life. */
#define REFRESH_AHEAD	(5 * MT_MINUTE)
#define REFRESH_SHARE	0.92
/* Shortest and longest life that is believed. */
#define LIFE_MIN		INT64CONST(5)
#define LIFE_MAX		INT64CONST(86400)
/* Longest token, in bytes. */
#define TOKEN_MAX		16384

/*
 * Is it time to sign in?
 */
bool
mt_token_wanted(MtTenant *tenant, int64 now)
{
	const MtSource *source = &tenant->job->source;
	MtToken    *token = &tenant->token;

	if (token->text != NULL &&
		(token->secret_hash != source->secret_hash || strcmp(token->base_url, source->base_urls[source->base_url]) != 0))
		mt_token_drop(tenant);
	return token->text == NULL || now >= token->refresh_at;
}

/*
 * Is there a token that the far side still takes, as far as is known?
 */
bool
mt_token_usable(const MtTenant *tenant, int64 now)
{
	return tenant->token.text != NULL && now < tenant->token.expires_at;
}

/*
 * Queues a sign-in, unless one is there.
 */
void
mt_token_ask(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	if (job->sign_in != NULL)
		return;
	job->sign_in = MemoryContextAllocZero(job->context, sizeof(MtSlot));
	job->sign_in->state = MT_SLOT_WAITING;
}

/*
 * Forgets the token, and overwrites it.
 */
void
mt_token_drop(MtTenant *tenant)
{
	MtToken    *token = &tenant->token;

	if (token->text == NULL)
		return;
	explicit_bzero(token->text, strlen(token->text));
	pfree(token->text);
	pfree(token->base_url);
	token->text = token->base_url = NULL;
}

static void
end_sign_in(MtTenant *tenant)
{
	MtJob	   *job = tenant->job;

	mt_pull_free_slot(tenant, job->sign_in);
	job->sign_in = NULL;
}

/* Takes over a token that was issued now. */
static void
keep_token(MtTenant *tenant, char *text, int64 seconds, int64 sent_at)
{
	const MtSource *source = &tenant->job->source;
	MtToken    *token = &tenant->token;
	int64		life = Min(Max(seconds, LIFE_MIN), LIFE_MAX) * MT_SECOND;

	mt_token_drop(tenant);
	token->text = MemoryContextStrdup(TopMemoryContext, text);
	token->base_url = MemoryContextStrdup(TopMemoryContext, source->base_urls[source->base_url]);
	token->secret_hash = source->secret_hash;
	token->serial++;
	token->worked = false;
	token->expires_at = sent_at + life;
	token->refresh_at = sent_at + Max(life - REFRESH_AHEAD, (int64) (life * REFRESH_SHARE));
	explicit_bzero(text, strlen(text));
}

static void
note_site_work(void *argument)
{
	MtTenant   *tenant = argument;

	mt_sql_enter_tenant(tenant->tenant_id);
	mt_sql_note_site(tenant->tenant_id, tenant->token.base_url);
}

/* The sign-in has brought an answer with the status 200. */
static void
signed_in(MtTenant *tenant, MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	const MtSignIn *sign_in = job->source.contract->sign_in;
	char	   *text = NULL;
	int64		seconds = 0;
	const char *problem = sign_in->read(slot->request->body, slot->request->length, &text, &seconds);
	MtFailure	failure;

	if (problem == NULL && (text[0] == '\0' || strlen(text) > TOKEN_MAX || !mt_fit_for_header(text)))
		problem = "its token cannot be one";
	if (problem != NULL)
	{
		(void) mt_pull_unusable(tenant, slot, problem);
		return;
	}
	keep_token(tenant, text, seconds, slot->sent_at);
	end_sign_in(tenant);
	bms_free(job->unknown_at);
	job->unknown_at = NULL;
	job->failures_in_row = job->rounds = 0;
	if (!mt_in_transaction(note_site_work, tenant, &failure))
		mt_job_trouble(tenant, &failure);
}

/*
 * Goes on to the next base URL of those that have not said that they do not know the site. False when there is no other.
 */
bool
mt_token_next_site(MtSource *source, const Bitmapset *unknown_at)
{
	for (int i = 1; i < source->base_url_count; i++)
	{
		int			next = (source->base_url + i) % source->base_url_count;

		if (bms_is_member(next, unknown_at))
			continue;
		source->base_url = next;
		return true;
	}
	return false;
}

/* This base URL does not know the site, so it is in another region: perhaps in one that cannot be reached now. */
static void
unknown_site(MtTenant *tenant, const MtSlot *slot)
{
	MtJob	   *job = tenant->job;
	MtSource   *source = &job->source;
	MemoryContext previous = MemoryContextSwitchTo(job->context);

	job->unknown_at = bms_add_member(job->unknown_at, slot->base_url);
	MemoryContextSwitchTo(previous);
	end_sign_in(tenant);
	if (!mt_token_next_site(source, job->unknown_at))
		mt_job_fail(tenant,
					psprintf("no base URL knows the learning site \"%s\" (404): correct learning_site, or base_urls, with mt_configure_tenant",
							 source->learning_site),
					MT_REFUSED_PAUSE);
}

/*
 * The sign-in has an answer with a status; those that say nothing of the credential are judged like any other request's.
 */
void
mt_token_answer(MtTenant *tenant, MtSlot *slot)
{
	int			status = slot->request->status;

	if (status == 200)
		signed_in(tenant, slot);
	else if (status == 404)
		unknown_site(tenant, slot);
	else
		mt_pull_refused(tenant, status);
}
