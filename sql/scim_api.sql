/*
 * SCIM 2.0, all of it: the gateway carries requests here. The body may be bytea, as it came, or text, which is what is at hand in psql.
 */
CREATE TYPE mindtickle.scim_answer AS (
	status pg_catalog.int4,
	headers pg_catalog.jsonb,
	body pg_catalog.text
);
COMMENT ON TYPE mindtickle.scim_answer IS 'what a SCIM request is answered with; body is NULL where there is none';

-- Compiling a filter of hundreds of terms takes a hundred times as long as running it.
CREATE FUNCTION @extschema@.mt_scim_request(tenant pg_catalog.text, method pg_catalog.text, path pg_catalog.text, query pg_catalog.text,
		headers pg_catalog.jsonb, body pg_catalog.bytea) RETURNS mindtickle.scim_answer
	LANGUAGE c VOLATILE PARALLEL UNSAFE SET jit TO off AS 'MODULE_PATHNAME', 'mt_scim_request';
COMMENT ON FUNCTION @extschema@.mt_scim_request(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.bytea)
	IS 'answers one SCIM 2.0 request of a tenant''s identity provider; what the client does wrong is a status, not an error, but for 53400 where a body is refused and there is no room to keep it';

CREATE FUNCTION @extschema@.mt_scim_request(tenant pg_catalog.text, method pg_catalog.text, path pg_catalog.text, query pg_catalog.text DEFAULT NULL,
		headers pg_catalog.jsonb DEFAULT NULL, body pg_catalog.text DEFAULT NULL) RETURNS mindtickle.scim_answer
	LANGUAGE c VOLATILE PARALLEL UNSAFE SET jit TO off AS 'MODULE_PATHNAME', 'mt_scim_request';
COMMENT ON FUNCTION @extschema@.mt_scim_request(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.text)
	IS 'the same with the body as text';
