/*
 * Credentials for MindTickle's API. They go in and never come back out, but for the sync worker.
 */
CREATE FUNCTION @extschema@.mt_set_credential(tenant pg_catalog.text, credential pg_catalog.jsonb) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_set_credential';
COMMENT ON FUNCTION @extschema@.mt_set_credential(pg_catalog.text, pg_catalog.jsonb)
	IS 'stores secrets for MindTickle''s API, each a string or {"file": "name"} below mindtickle.secret_directory; owner only';

CREATE FUNCTION mindtickle.read_secret_file(tenant pg_catalog.text, file pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_read_secret_file';
COMMENT ON FUNCTION mindtickle.read_secret_file(pg_catalog.text, pg_catalog.text)
	IS 'for the sync worker: content of a secret file of a tenant';
