\set ECHO none
-- Every kind of refusal leaves an alert that says who, as whom, for which tenant and at what, and how often, whatever becomes of the transaction.
-- What is no refusal leaves none. The publisher stores alerts in transactions of its own, so this file works in many and cleans up at its end.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\set VERBOSITY terse
SELECT plan(42);

DROP ROLE IF EXISTS rf_login, rf_forger, rf_quiet, rf_owner, rf_reader, rf_both, rf_pool, rf_careless, rf_prober;
CREATE ROLE rf_reader;
CREATE ROLE rf_both;
CREATE ROLE rf_pool;
CREATE ROLE rf_careless;
CREATE ROLE rf_prober;
CREATE ROLE rf_login NOINHERIT IN ROLE rf_reader, rf_both, rf_pool, rf_careless, rf_prober;
CREATE ROLE rf_forger;
CREATE ROLE rf_quiet;
CREATE ROLE rf_owner SUPERUSER;
SELECT mt_create_tenant('rf-a', 'A'), mt_create_tenant('rf-b', 'B') \g /dev/null
SELECT mt_grant_tenant('rf-a', 'rf_reader', 'reader'), mt_grant_tenant('rf-a', 'rf_both', 'reader'), mt_grant_tenant('rf-b', 'rf_both', 'reader'),
	mt_grant_tenant('rf-a', 'rf_pool', 'writer', true), mt_grant_tenant('rf-a', 'rf_careless', 'reader'), mt_grant_tenant('rf-a', 'rf_quiet', 'reader') \g /dev/null
SELECT mt_provision_user('rf-a', '{"email": "x@a.example"}'), mt_provision_user('rf-b', '{"email": "x@b.example"}') \g /dev/null
SELECT mt_create_token('rf-a', 'pool', '{sql}') AS token, mt_create_token('rf-b', 'pool', '{sql}') AS foreign_token, 'mtk_' || repeat('5a', 32) AS wrong_token \gset
GRANT INSERT ON mindtickle.users TO rf_careless;
GRANT EXECUTE ON FUNCTION mindtickle.begin_probe() TO rf_prober;

-- Functions, after SET ROLE.
SET SESSION AUTHORIZATION rf_login;
SELECT is(pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-b')$$), '42501: permission denied for tenant "rf-b"', 'a foreign tenant is refused')
	FROM generate_series(1, 2);
SELECT is(pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-absent')$$), '42501: permission denied for tenant "rf-absent"', 'an absent one too');
SELECT is(pg_temp.as_role('rf_reader', $$SELECT mt_provision_user('rf-a', '{"email": "y@a.example"}')$$), '42501: permission denied for tenant "rf-a"',
	'and more than the access level gives');
BEGIN;
SET LOCAL mindtickle.tenant = 'rf-b';
SELECT is(pg_temp.as_role('rf_both', $$SELECT mt_readiness('rf-a')$$), '42501: permission denied for tenant "rf-a"', 'and an argument that is not the context''s tenant');
COMMIT;

-- What is no tenant's name at all.
SELECT is(pg_temp.as_role('rf_reader', format('SELECT mt_readiness(%L)', name)), '22023: invalid tenant id', 'a malformed name is refused')
	FROM unnest(ARRAY['', 'RF-A%', repeat('x', 33), E'rf\n\u00e9"''b']) AS n (name);

-- Tokens.
SELECT is(pg_temp.as_role('rf_pool', format($$SELECT mt_set_tenant('rf-a', %L)$$, :'wrong_token')), '42501: permission denied for tenant "rf-a"', 'a wrong token is refused');
SELECT is(pg_temp.as_role('rf_pool', format($$SELECT mt_set_tenant('rf-a', %L)$$, :'foreign_token')), '42501: permission denied for tenant "rf-a"', 'the token of another tenant too');
SELECT is(pg_temp.as_role('rf_pool', $$SELECT mt_set_tenant('rf-a')$$), '42501: permission denied for tenant "rf-a"', 'and none where one is required');
SELECT is(pg_temp.as_role('rf_pool', $$SELECT mt_readiness('rf-a')$$), '42501: permission denied for tenant "rf-a"', 'by a function as well');
SELECT is(pg_temp.as_role('rf_reader', format($$SELECT mt_set_tenant('rf-a', %L)$$, :'wrong_token')), '42501: permission denied for tenant "rf-a"',
	'and a wrong one from who needs none');
SELECT is(pg_temp.as_role('rf_pool', format($$SELECT mt_set_tenant('rf-a', %L)$$, :'token')), '', 'the right one is not');

-- Tokens in the wrong place, whole and in part.
SELECT is(pg_temp.as_role('rf_reader', format('SELECT mt_readiness(%L)', wrong)), '22023: invalid tenant id', 'a token is no tenant')
	FROM unnest(ARRAY[:'token', left(:'token', 40), 'rf-a:' || :'token']) AS w (wrong);

-- Rows for another tenant, where a careless GRANT lets a role write.
SELECT is(pg_temp.rows_as('rf_careless', $$INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('rf-b', 'planted')$$), '42501: permission denied for tenant "rf-b"', 'a planted row is refused');

-- From inside an EXCEPTION block of the caller's own, as the session's role.
DO $$
BEGIN
	FOR attempt IN 1..5 LOOP
		BEGIN
			PERFORM mt_aggregate_readiness('rf-b');
		EXCEPTION WHEN insufficient_privilege THEN
			NULL;
		END;
	END LOOP;
END
$$;

-- In a transaction and in a savepoint that are rolled back.
\set ON_ERROR_STOP off
BEGIN;
SET LOCAL ROLE rf_reader;
SELECT mt_set_tenant('rf-b');
ROLLBACK;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '42501', 'refused in a transaction that is rolled back');
BEGIN;
SET LOCAL ROLE rf_reader;
SAVEPOINT before;
SELECT mt_readiness('rf-savepoint');
ROLLBACK TO before;
COMMIT;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '42501', 'refused in a savepoint that is rolled back');
\set ON_ERROR_STOP on

-- The probe is not for others. Carelessly granted, it is refused by itself and hides nothing that follows.
SELECT is(pg_temp.as_role('rf_reader', 'SELECT mindtickle.begin_probe()'), '42501: permission denied for function begin_probe', 'begin_probe is not for others');
BEGIN;
SELECT is(pg_temp.as_role('rf_prober', 'SELECT mindtickle.begin_probe()'), '42501: permission denied: begin_probe without a tenant is for the owner of the extension',
	'nor for who has been given it');
SELECT is(pg_temp.as_role('rf_prober', $$SELECT mt_readiness('rf-b')$$), '42501: permission denied for tenant "rf-b"', 'what follows is refused');
COMMIT;
RESET SESSION AUTHORIZATION;

-- A forged context: rows of nobody, and an alert for each transaction and value, however many statements and rows.
SET SESSION AUTHORIZATION rf_forger;
BEGIN;
SET LOCAL mindtickle.tenant = 'rf-b';
SELECT is((SELECT count(*) FROM mt_users), 0::bigint, 'a forged context shows nothing') FROM generate_series(1, 3);
SAVEPOINT before;
SELECT is(mt_current_tenant(), NULL, 'and is not in force');
ROLLBACK TO before;
SELECT mt_current_tenant() \g /dev/null
COMMIT;
BEGIN;
SET LOCAL mindtickle.tenant = 'rf-b';
SELECT is(mt_current_tenant(), NULL, 'in the next transaction neither');
SET LOCAL mindtickle.tenant = 'rf-absent';
SELECT count(*) FROM mt_users \g /dev/null
SET LOCAL mindtickle.tenant = 'rf-b';
SELECT count(*) FROM mt_users \g /dev/null
SET LOCAL mindtickle.tenant = 'rf-absent';
SELECT count(*) FROM mt_users \g /dev/null
ROLLBACK;
SET mindtickle.tenant = 'rf-b';
SELECT count(*) FROM mt_users \g /dev/null
SELECT count(*) FROM mt_teams \g /dev/null
SELECT set_config('mindtickle.tenant', :'token', false) \g /dev/null
SELECT count(*) FROM mt_users \g /dev/null
RESET mindtickle.tenant;
SELECT count(*) FROM mt_users \g /dev/null
RESET SESSION AUTHORIZATION;

-- What is no refusal: row security that leaves nothing, and tenants that are absent for those who may know.
SET SESSION AUTHORIZATION rf_quiet;
SELECT is((SELECT count(*) FROM mt_users), 1::bigint, 'a reader reads');
SELECT is((SELECT count(*) FROM mt_users WHERE tenant_id = 'rf-b'), 0::bigint, 'and finds nothing of another tenant');
SELECT is(pg_temp.outcome($$SELECT count(*) FROM mindtickle.course_progress WHERE tenant_id = 'rf-b'$$), '0', 'nor in the tables');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION rf_owner;
SELECT is(pg_temp.outcome($$SELECT mt_readiness('rf-absent')$$), '42704: tenant "rf-absent" does not exist', 'the owner is told of an absent tenant');
SELECT is(pg_temp.as_role('mindtickle_service', $$SELECT mt_readiness('rf-absent')$$), '42704: tenant "rf-absent" does not exist', 'the service role too');

-- The owner's probes.
BEGIN;
SAVEPOINT probe;
SELECT mindtickle.begin_probe() \g /dev/null
SELECT is(pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-b')$$), '42501: permission denied for tenant "rf-b"', 'a probe is refused as ever');
SAVEPOINT inner_savepoint;
SELECT is(pg_temp.as_role('rf_forger', $$SELECT set_config('mindtickle.tenant', 'rf-b', true) || coalesce(mt_current_tenant(), ' is not in force')$$),
	'rf-b is not in force', 'in a savepoint within it too');
ROLLBACK TO probe;
SELECT pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-rolled-back')$$) \g /dev/null
SAVEPOINT second_probe;
SELECT mindtickle.begin_probe() \g /dev/null
RELEASE second_probe;
SELECT pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-released')$$) \g /dev/null
SELECT mindtickle.begin_probe() \g /dev/null
SELECT pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-b')$$) \g /dev/null
COMMIT;
SELECT pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-committed')$$) \g /dev/null
RESET SESSION AUTHORIZATION;

-- The last refusal is stored with or after all others.
SET SESSION AUTHORIZATION rf_login;
SELECT pg_temp.as_role('rf_reader', $$SELECT mt_readiness('rf-last')$$) \g /dev/null
RESET SESSION AUTHORIZATION;
DO $$
BEGIN
	FOR attempt IN 1..1200 LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN EXISTS (SELECT FROM mindtickle.security_alert WHERE session_role = 'rf_login' AND tenant_asked = 'rf-last');
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;

CREATE FUNCTION pg_temp.alerts(of_role text) RETURNS TABLE (role_name text, tenant_in_force text, tenant_asked text, object text, count int8) LANGUAGE sql AS $$
	SELECT a."current_role", a.tenant_in_force, a.tenant_asked, a.object, a.count FROM mt_security_alerts AS a WHERE a.session_role = of_role
	ORDER BY a.object COLLATE "C", a."current_role" COLLATE "C", a.tenant_asked
$$;
SELECT results_eq($$SELECT * FROM pg_temp.alerts('rf_login')$$,
	$$VALUES ('rf_prober', NULL, '', 'begin_probe', 1::bigint),
		('rf_careless', 'rf-a', 'rf-b', 'mindtickle.users', 1),
		('rf_login', NULL, 'rf-b', 'mt_aggregate_readiness', 5),
		('rf_reader', 'rf-a', 'rf-a', 'mt_provision_user', 1),
		('rf_both', 'rf-b', 'rf-a', 'mt_readiness', 1),
		('rf_pool', NULL, 'rf-a', 'mt_readiness', 1),
		('rf_prober', NULL, 'rf-b', 'mt_readiness', 1),
		('rf_reader', 'rf-a', '', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'RF-A%', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'mtk_***', 'mt_readiness', 2),
		('rf_reader', 'rf-a', 'rf-a:mtk_***', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'rf-absent', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'rf-b', 'mt_readiness', 2),
		('rf_reader', 'rf-a', 'rf-last', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'rf-savepoint', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'rf???"''b', 'mt_readiness', 1),
		('rf_reader', 'rf-a', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'mt_readiness', 1),
		('rf_pool', NULL, 'rf-a', 'mt_set_tenant', 3),
		('rf_reader', 'rf-a', 'rf-a', 'mt_set_tenant', 1),
		('rf_reader', 'rf-a', 'rf-b', 'mt_set_tenant', 1)$$, 'each refusal is an alert');
SELECT results_eq($$SELECT * FROM pg_temp.alerts('rf_forger')$$,
	$$VALUES ('rf_forger', NULL, 'mtk_***', 'mindtickle.tenant', 1::bigint), ('rf_forger', NULL, 'rf-absent', 'mindtickle.tenant', 1), ('rf_forger', NULL, 'rf-b', 'mindtickle.tenant', 4)$$,
	'a forged context is one in each transaction');
SELECT results_eq($$SELECT * FROM pg_temp.alerts('rf_owner')$$,
	$$VALUES ('rf_reader', 'rf-a', 'rf-committed', 'mt_readiness', 1::bigint), ('rf_reader', 'rf-a', 'rf-released', 'mt_readiness', 1), ('rf_reader', 'rf-a', 'rf-rolled-back', 'mt_readiness', 1)$$,
	'probes are none, and end with their subtransaction');
SELECT is_empty($$SELECT * FROM mt_security_alerts WHERE session_role = 'rf_quiet'$$, 'what row security hides is none');
SELECT is_empty($$SELECT * FROM mt_security_alerts WHERE session_role ~ '^rf_' AND (database <> current_database() OR client_addr IS DISTINCT FROM inet_client_addr()
	OR at > last_at OR last_at > clock_timestamp() OR at < clock_timestamp() - interval '1 hour')$$, 'database, address and times are right');
SELECT is_empty(format('SELECT a.alert_id FROM mindtickle.security_alert AS a, unnest(%L::text[]) AS t (token) WHERE strpos(a::text, substr(t.token, 5, 8)) > 0',
	ARRAY[:'token', :'foreign_token', :'wrong_token']), 'no token is in any of them');

DELETE FROM mindtickle.security_alert WHERE session_role ~ '^rf_';
SELECT mt_drop_tenant('rf-a'), mt_drop_tenant('rf-b') \g /dev/null
REVOKE ALL ON mindtickle.users FROM rf_careless;
REVOKE ALL ON FUNCTION mindtickle.begin_probe() FROM rf_prober;
DROP ROLE rf_login, rf_forger, rf_quiet, rf_owner, rf_reader, rf_both, rf_pool, rf_careless, rf_prober;
SELECT * FROM finish();
