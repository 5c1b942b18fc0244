-- What every test file begins with: quiet TAP output, the extension with its service role, and two helpers.
-- Read by the test files with \i; holds no test itself.
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
\set ON_ERROR_STOP on
\set ON_ERROR_ROLLBACK off
SET client_min_messages = warning;

DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mindtickle_service') THEN
		CREATE ROLE mindtickle_service NOLOGIN;
	END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
	NULL;
END
$$;
CREATE EXTENSION IF NOT EXISTS mindtickle;
SELECT mt_setup() \g /dev/null

-- Runs a statement as a role and returns its first column as text, or 'SQLSTATE: message' where it fails; afterwards the role is the session's.
CREATE FUNCTION pg_temp.as_role(role_name text, statement text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
BEGIN
	PERFORM set_config('role', role_name, true);
	EXECUTE statement INTO result;
	PERFORM set_config('role', 'none', true);
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ': ' || message;
END
$$;

-- The same for a statement that returns nothing: 'rows N'.
CREATE FUNCTION pg_temp.rows_as(role_name text, statement text) RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	affected int8;
	state text;
	message text;
BEGIN
	PERFORM set_config('role', role_name, true);
	EXECUTE statement;
	GET DIAGNOSTICS affected = ROW_COUNT;
	PERFORM set_config('role', 'none', true);
	RETURN 'rows ' || affected;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	RETURN state || ': ' || message;
END
$$;

-- as_role as the role of the session.
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text
	LANGUAGE sql AS $$ SELECT pg_temp.as_role('none', statement) $$;

-- Takes away a tenant's events that wait.
CREATE FUNCTION pg_temp.forget_events(tenant text) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. 3 LOOP
		EXECUTE format('DELETE FROM mindtickle.outbox_%s WHERE tenant_id = $1', i) USING tenant;
	END LOOP;
END
$$;

-- Events of a tenant, published or not, in the order in which they were written.
CREATE FUNCTION pg_temp.events(tenant text) RETURNS TABLE (topic text, payload jsonb)
	LANGUAGE sql AS $$
	SELECT e.topic, e.payload FROM (
		SELECT topic, payload, 0 AS waits, seq AS place FROM mindtickle.event WHERE tenant_id = tenant
		UNION ALL
		SELECT topic, payload, 1, outbox_id FROM mindtickle.outbox WHERE tenant_id = tenant) AS e
	ORDER BY e.waits, e.place
$$;
