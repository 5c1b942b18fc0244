/*
 * live_session.h
 *		Key pairs, tokens and cursors of the live contract.
 *
 * None of them is kept: each says by its own text whose it is and is checked
 * by a keyed hash. What can be taken back is taken back by floors in the
 * tenant, which its lock guards.
 */
#ifndef SANDBOX_LIVE_SESSION_H
#define SANDBOX_LIVE_SESSION_H

#include "host.h"

#include <stdbool.h>
#include <stdint.h>

#define API_KEY_SIZE	41			/* 40 hex digits */
#define SECRET_KEY_SIZE	97			/* 96 hex digits */

struct Tenant;

/* What may change about a tenant's access. Guarded by the tenant's lock. */
typedef struct LiveAccess
{
	int			generation;		/* of the newest key pair */
	int			first_generation;	/* of the oldest that is still good */
	int			refusal;		/* status that sign-in answers; 0: none */
	uint64_t	next_token;		/* serial number */
	uint64_t	first_token;	/* the lowest that is still good */
	uint64_t	first_unused;	/* the lowest that was not used yet */
	int64_t		newest_until;	/* when the newest token ends, monotonic nanoseconds */
	uint64_t	first_cursor;	/* likewise of cursors */
	uint64_t	next_cursor;
} LiveAccess;

typedef enum TokenState
{
	TOKEN_GOOD,
	TOKEN_EXPIRED,
	TOKEN_REVOKED,
	TOKEN_OF_OTHER_HOST
} TokenState;

typedef enum LiveCredential
{
	CREDENTIAL_NONE,
	CREDENTIAL_TOKEN,			/* of the API, from sign-in */
	CREDENTIAL_REPORTING,		/* user and password */
	CREDENTIAL_SCIM
} LiveCredential;

typedef struct LiveToken
{
	struct Tenant *tenant;		/* NULL: no token of ours */
	Host		host;			/* that issued it */
	uint64_t	serial;
	int64_t		until;
} LiveToken;

/* Seeds everything that is secret; once, before the first request. */
extern void mt_session_prepare(uint64_t seed);

/* Writes the key pair of a generation. */
extern void mt_session_keys(const struct Tenant *tenant, int generation, char *api_key, char *secret_key);

/* Whose api_key that is, and of which generation; NULL when nobody's. */
extern struct Tenant *mt_session_key_owner(const char *api_key, int *generation);

/* Write the credentials of the reporting user, and of the provisioning service. */
extern void mt_session_reporting(const struct Tenant *tenant, Buffer *user, Buffer *password);
extern void mt_session_scim(const struct Tenant *tenant, Buffer *token);

/* Whose credentials these are, "user:password" of the reporting user or a provisioning token; NULL when nobody's. */
extern struct Tenant *mt_session_reporting_owner(const char *user_and_password);
extern struct Tenant *mt_session_scim_owner(const char *token);

/* Appends a new token of the tenant at that host. Takes the tenant's lock. */
extern void mt_session_issue(struct Tenant *tenant, Host host, Buffer *token);

/* Takes a token apart. */
extern void mt_session_token(const char *text, LiveToken *token);

/* Is it good at that host? Takes the tenant's lock. */
extern TokenState mt_session_check(const LiveToken *token, Host host);

/* Notes that a token was of use, and says whether it was. Both take the tenant's lock. */
extern void mt_session_use(const LiveToken *token);
extern bool mt_session_was_used(const LiveToken *token);

/* Has the tenant a token, known to its client, that is good for a tenth of its time yet? The caller holds the tenant's lock. */
extern bool mt_session_is_needless(const struct Tenant *tenant);

/* Takes the token back, and all before it. Takes the tenant's lock. */
extern void mt_session_revoke(const LiveToken *token);

/* Appends a percent-encoded cursor: a kind, two numbers and the tenant's serial number at that time. */
extern void mt_session_cursor(struct Tenant *tenant, char kind, uint64_t subject, uint64_t position, Buffer *cursor);

/* Reads a decoded cursor of the tenant; false when it is none or was taken back. */
extern bool mt_session_read_cursor(struct Tenant *tenant, char kind, const char *text, uint64_t *subject,
								   uint64_t *position);

#endif							/* SANDBOX_LIVE_SESSION_H */
