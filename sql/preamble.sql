/*
 * The install script of mindtickle begins here. It is the parts of sql/ joined by the Makefile; every object is schema-qualified, nothing is
 * adopted (no OR REPLACE, no IF NOT EXISTS), and the schema mindtickle is made by the script itself, so nobody can have prepared it.
 */
\echo Use "CREATE EXTENSION mindtickle" to load this file. \quit

CREATE SCHEMA mindtickle;
COMMENT ON SCHEMA mindtickle IS 'tables and internals of the mindtickle extension; the functions and views to use are named mt_...';
GRANT USAGE ON SCHEMA mindtickle TO PUBLIC;

DO LANGUAGE plpgsql $$
BEGIN
	IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 OPERATOR(pg_catalog.<) 150014 THEN
		RAISE WARNING 'mindtickle: this server is older than PostgreSQL 15.14'
			USING DETAIL = 'Earlier releases have known faults in row level security (CVE-2023-2455, CVE-2024-10976, CVE-2025-8713).',
				  HINT = 'Update the server to the latest minor release before you store tenants'' data.';
	END IF;
	IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) 'UTF8' THEN
		RAISE EXCEPTION 'mindtickle needs a database with the encoding UTF8'
			USING ERRCODE = 'feature_not_supported', DETAIL = 'Names and answers come in every script.';
	END IF;
END
$$;

CREATE FUNCTION mindtickle.library_version() RETURNS pg_catalog.text
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_library_version';
COMMENT ON FUNCTION mindtickle.library_version() IS 'version of the loaded library; it must be able to serve the version of the extension in this database';
