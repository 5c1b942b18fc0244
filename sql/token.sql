/*
 * Tokens: made and revoked by a tenant's admin, shown by its applications. All of it is decided in src/token.c.
 */
CREATE FUNCTION @extschema@.mt_create_token(tenant pg_catalog.text, name pg_catalog.text, scopes pg_catalog.text[],
											expires_in pg_catalog.interval DEFAULT NULL) RETURNS pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_create_token';
COMMENT ON FUNCTION @extschema@.mt_create_token(pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.interval)
	IS 'makes a token of a tenant with scopes of scim, sync, quiz, read, sql, for tenant NULL one of scope metrics, and returns it, this once; admins';

CREATE FUNCTION @extschema@.mt_revoke_token(tenant pg_catalog.text, name pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_revoke_token';
COMMENT ON FUNCTION @extschema@.mt_revoke_token(pg_catalog.text, pg_catalog.text)
	IS 'ends a token, from the next statement of every session on; admins';
