/*
 * token.h
 *		Tokens that stand for the right to a tenant: see token.c.
 */
#ifndef MT_TOKEN_H
#define MT_TOKEN_H

#include "mindtickle.h"

#include "utils/timestamp.h"

/* Holds a token's number as text. */
#define MT_TOKEN_ID_SIZE	24

extern bool mt_token_valid(const char *tenant, const char *token, size_t length, const char *scope, char *token_id);
extern bool mt_token_entered(void);
extern MtAccess mt_token_access(const char *tenant, TimestampTz *valid_until);
extern bool mt_token_scope_allows(const char *function, MtAccess needed);
extern bool mt_token_proof(const char *tenant, TimestampTz *valid_until);

#endif							/* MT_TOKEN_H */
