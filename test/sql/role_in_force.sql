\set ECHO none
-- The right is checked where the context is used, for the role in force then: across SET ROLE, SET SESSION AUTHORIZATION, SECURITY DEFINER, kept plans,
-- cursors, parallel workers, subtransactions, and what a connection pool does to clean up.
--
-- The tenants and roles are committed, because DISCARD ALL and COMMIT are part of it; they are dropped at the end.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
DROP SCHEMA IF EXISTS rf CASCADE;
SELECT mt_drop_tenant(t.tenant_id) FROM mindtickle.tenant AS t WHERE t.tenant_id ~ '^rf-' \g /dev/null
DROP ROLE IF EXISTS rf_a, rf_b, rf_both, rf_nobody, rf_member, rf_cold, rf_below_cold, rf_group, rf_careless;
CREATE ROLE rf_a;
CREATE ROLE rf_b;
CREATE ROLE rf_both;
CREATE ROLE rf_nobody;
CREATE ROLE rf_careless;
CREATE ROLE rf_group;
CREATE ROLE rf_member IN ROLE rf_group;
CREATE ROLE rf_cold NOINHERIT IN ROLE rf_group;
CREATE ROLE rf_below_cold IN ROLE rf_cold;
SELECT mt_create_tenant('rf-a', 'A'), mt_create_tenant('rf-b', 'B') \g /dev/null
SELECT mt_grant_tenant('rf-a', 'rf_a', 'reader'), mt_grant_tenant('rf-b', 'rf_b', 'reader'), mt_grant_tenant('rf-a', 'rf_both', 'reader'), mt_grant_tenant('rf-b', 'rf_both', 'writer'),
	mt_grant_tenant('rf-a', 'rf_group', 'reader'), mt_grant_tenant('rf-a', 'rf_careless', 'writer'), mt_grant_tenant('rf-b', 'rf_careless', 'writer') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'rf-a', 'a' || i FROM generate_series(1, 3) AS i;
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'rf-b', 'b' || i FROM generate_series(1, 5) AS i;

-- What the role in force sees is written down by itself: role, tenant in force, rows of each tenant.
CREATE SCHEMA rf;
GRANT ALL ON SCHEMA rf TO PUBLIC;
CREATE TABLE rf.seen (place int GENERATED ALWAYS AS IDENTITY, what text);
GRANT INSERT ON rf.seen TO PUBLIC;
\set who 'CASE WHEN current_setting(''is_superuser'') = ''on'' AND current_user = session_user THEN ''owner'' ELSE current_user::text END'
\set rows '(SELECT coalesce(string_agg(t || n, ''+'' ORDER BY t), ''nothing'') FROM (SELECT right(tenant_id, 1), count(*) FROM mindtickle.users WHERE tenant_id ~ ''^rf-'' GROUP BY 1) AS x (t, n))'
\set look 'INSERT INTO rf.seen (what) SELECT concat_ws('' '', ' :who ', right(mt_current_tenant(), 1), ' :rows ');'
CREATE FUNCTION rf.seen_since() RETURNS text LANGUAGE sql AS $$
	WITH taken AS (DELETE FROM rf.seen RETURNING *) SELECT string_agg(what, ', ' ORDER BY place) FROM taken
$$;

-- What a pool does between its clients.
SET ROLE rf_both;
SET mindtickle.tenant = 'rf-b';
PREPARE kept AS SELECT count(*) FROM mt_users;
:look
DISCARD PLANS;
DISCARD SEQUENCES;
:look
DISCARD ALL;
:look
SET SESSION AUTHORIZATION rf_both;
SET mindtickle.tenant = 'rf-b';
:look
RESET ALL;
:look
SET mindtickle.tenant = 'rf-b';
DISCARD ALL;
:look
SET SESSION AUTHORIZATION rf_both;
BEGIN;
SELECT mt_set_tenant('rf-b') \g /dev/null
:look
COMMIT AND CHAIN;
:look
SELECT mt_set_tenant('rf-b') \g /dev/null
COMMIT;
:look
BEGIN;
SET mindtickle.tenant = 'rf-b';
ROLLBACK;
:look
BEGIN;
SET LOCAL mindtickle.tenant = 'rf-b';
SELECT mt_set_tenant('rf-a') \g /dev/null
:look
COMMIT;
:look
SET mindtickle.tenant = 'rf-b';
BEGIN;
SELECT mt_set_tenant('rf-a') \g /dev/null
ROLLBACK;
:look
RESET SESSION AUTHORIZATION;
RESET mindtickle.tenant;
DISCARD TEMP;

\i :inputdir/sql/include/session.sql
SELECT plan(52);
SELECT is(rf.seen_since(), 'rf_both b b5, rf_both b b5, owner a3+b5, rf_both b b5, rf_both a a3, owner a3+b5, '
	'rf_both b b5, rf_both a a3, rf_both a a3, rf_both a a3, rf_both a a3, rf_both a a3, rf_both b b5',
	'DISCARD ALL and RESET ALL leave no context, the end of a transaction none of mt_set_tenant''s');

-- SET ROLE and SET SESSION AUTHORIZATION.
SET ROLE rf_a;
:look
SET ROLE rf_b;
:look
SET ROLE rf_nobody;
:look
SET mindtickle.tenant = 'rf-a';
:look
SET ROLE rf_b;
:look
SET ROLE rf_a;
:look
RESET ROLE;
:look
RESET mindtickle.tenant;
:look
SELECT is(rf.seen_since(), 'rf_a a a3, rf_b b b5, rf_nobody nothing, rf_nobody nothing, rf_b nothing, rf_a a a3, owner a a3+b5, owner a3+b5', 'SET ROLE: each role sees its own tenant, whoever set the context');
SET SESSION AUTHORIZATION rf_cold;
:look
SET ROLE rf_group;
:look
RESET ROLE;
:look
SET ROLE NONE;
SET mindtickle.tenant = 'rf-a';
:look
SET SESSION AUTHORIZATION rf_b;
:look
RESET mindtickle.tenant;
:look
SET SESSION AUTHORIZATION rf_member;
:look
SET ROLE rf_group;
:look
SET SESSION AUTHORIZATION rf_below_cold;
:look
SET ROLE rf_group;
:look
RESET SESSION AUTHORIZATION;
:look
SELECT is(rf.seen_since(), 'rf_cold nothing, rf_group a a3, rf_cold nothing, rf_cold nothing, rf_b nothing, rf_b b b5, rf_member a a3, rf_group a a3, rf_below_cold nothing, rf_group a a3, owner a3+b5',
	'SET SESSION AUTHORIZATION likewise; a right that is not inherited counts after SET ROLE only');
SELECT is(pg_temp.as_role('rf_below_cold', $$SELECT mt_readiness('rf-a')$$), '42501: permission denied for tenant "rf-a"', 'nor is one inherited past a role that does not');
BEGIN;
SET LOCAL ROLE rf_member;
:look
RESET ROLE;
ALTER ROLE rf_member NOINHERIT;
SET LOCAL ROLE rf_member;
:look
RESET ROLE;
ALTER ROLE rf_cold INHERIT;
SET LOCAL ROLE rf_below_cold;
:look
RESET ROLE;
REVOKE rf_group FROM rf_cold;
SET LOCAL ROLE rf_below_cold;
:look
RESET ROLE;
SELECT is(rf.seen_since(), 'rf_member a a3, rf_member nothing, rf_below_cold a a3, rf_below_cold nothing', 'what changes about memberships counts at once') AS outcome \gset
ROLLBACK;
\echo :outcome

-- SECURITY DEFINER: the role is the function's owner while it runs, and no longer.
CREATE FUNCTION rf.tells(tenant text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	IF tenant IS NOT NULL THEN
		PERFORM mt_set_tenant(tenant);
	END IF;
	SELECT current_user || ' ' || coalesce(string_agg(DISTINCT tenant_id, '+'), 'nothing') INTO result FROM mindtickle.users WHERE tenant_id ~ '^rf-';
	RETURN result;
END
$$;
DO $$
DECLARE
	owner text;
BEGIN
	FOREACH owner IN ARRAY '{rf_a,rf_b,rf_nobody}'::text[] LOOP
		EXECUTE format('CREATE FUNCTION rf.tells_as_%s(tenant text DEFAULT NULL) RETURNS text LANGUAGE sql SECURITY DEFINER AS ''SELECT rf.tells(tenant)''', owner);
		EXECUTE format('CREATE FUNCTION rf.tells_with_b_as_%s() RETURNS text LANGUAGE sql SECURITY DEFINER SET mindtickle.tenant = ''rf-b'' AS ''SELECT rf.tells()''', owner);
		EXECUTE format('CREATE FUNCTION rf.runs_as_%s(statement text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS ''DECLARE r text; BEGIN EXECUTE statement INTO r; RETURN r; END''', owner);
		EXECUTE format('ALTER FUNCTION rf.tells_as_%1$s OWNER TO %1$s; ALTER FUNCTION rf.tells_with_b_as_%1$s OWNER TO %1$s; ALTER FUNCTION rf.runs_as_%1$s OWNER TO %1$s', owner);
	END LOOP;
END
$$;
CREATE FUNCTION pg_temp.try(role_name text, setting text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := pg_temp.as_role(role_name, statement);
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.tells_as_rf_b()'), 'rf_b rf-b', 'a definer''s function sees the definer''s tenant');
SELECT is(pg_temp.try('rf_a', 'rf-a', 'SELECT rf.tells_as_rf_b()'), 'rf_b nothing', 'but not with the caller''s context');
SELECT is(pg_temp.try('rf_b', 'rf-b', 'SELECT rf.tells_as_rf_a()'), 'rf_a nothing', 'nor does a caller lend the definer his tenant');
SELECT is(pg_temp.try('rf_both', 'rf-b', 'SELECT rf.tells_as_rf_a()'), 'rf_a nothing', 'even one who may act for both');
SELECT is(pg_temp.try('rf_both', 'rf-b', 'SELECT rf.tells_as_rf_nobody() || '' '' || rf.tells()'), 'rf_nobody nothing rf_both rf-b', 'afterwards the caller''s right counts again');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.tells_with_b_as_rf_b() || '' '' || rf.tells()'), 'rf_b rf-b rf_a rf-a', 'a function''s SET ends with it');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.tells_with_b_as_rf_a() || '' '' || rf.tells()'), 'rf_a nothing rf_a rf-a', 'and gives its owner nothing');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.tells_with_b_as_rf_nobody() || '' '' || rf.tells_as_rf_nobody()'), 'rf_nobody nothing rf_nobody nothing', 'nor anybody else');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.tells_as_rf_b(''rf-b'') || '' '' || rf.tells()'), 'rf_b rf-b rf_a nothing', 'mt_set_tenant in a definer''s function leaves a context that the caller has no right to');
SELECT is(pg_temp.try('rf_both', '', 'SELECT rf.runs_as_rf_a(''SELECT mt_set_tenant(''''rf-b'''')'')'), '42501: permission denied for tenant "rf-b"', 'there the definer''s right is asked for');
SELECT is(pg_temp.try('rf_b', '', 'SELECT rf.runs_as_rf_a(''SELECT mt_readiness(''''rf-b'''')'')'), '42501: permission denied for tenant "rf-b"', 'by functions with a tenant too');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.runs_as_rf_b(''SELECT rf.runs_as_rf_a(''''SELECT rf.tells()'''')'')'), 'rf_a rf-a', 'one within the other: the innermost counts');
SELECT is(pg_temp.try('rf_nobody', '', 'SELECT rf.runs_as_rf_b(''SELECT rf.runs_as_rf_nobody(''''SELECT rf.tells()'''')'')'), 'rf_nobody nothing', 'also when it has no right');
SELECT is(pg_temp.try('rf_a', '', $$SELECT rf.runs_as_rf_b('SET ROLE rf_b')$$), '42501: cannot set parameter "role" within security-definer function', 'no role can be taken along');
CREATE VIEW rf.of_b AS SELECT tenant_id FROM mindtickle.users WHERE tenant_id ~ '^rf-';
ALTER VIEW rf.of_b OWNER TO rf_b;
GRANT SELECT ON rf.of_b TO PUBLIC;
SELECT is(pg_temp.try('rf_a', '', 'SELECT coalesce(string_agg(DISTINCT tenant_id, ''+''), ''nothing'') FROM rf.of_b'), 'rf-a', 'a view of another role''s shows the tenant of who asks');
SELECT is(pg_temp.try('rf_nobody', 'rf-b', 'SELECT coalesce(string_agg(DISTINCT tenant_id, ''+''), ''nothing'') FROM rf.of_b'), 'nothing', 'and nothing to who has none');

-- Kept plans, made under one role and run under others, more often than the planner hesitates.
CREATE FUNCTION rf.kept_plan() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(string_agg(DISTINCT right(tenant_id, 1), '+'), 'nothing') FROM mindtickle.users WHERE tenant_id ~ '^rf-');
END
$$;
CREATE FUNCTION rf.inlined_plan() RETURNS SETOF text LANGUAGE sql STABLE AS $$ SELECT tenant_id FROM mindtickle.users WHERE tenant_id ~ '^rf-' $$;
CREATE FUNCTION rf.kept_by_function() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(string_agg(DISTINCT right(t, 1), '+'), 'nothing') FROM rf.inlined_plan() AS t);
END
$$;
PREPARE kept AS SELECT coalesce(string_agg(DISTINCT right(tenant_id, 1), '+'), 'nothing') FROM mindtickle.users WHERE tenant_id ~ '^rf-';
PREPARE kept_view (text) AS SELECT coalesce(string_agg(DISTINCT right(tenant_id, 1), '+'), 'nothing') FROM mt_users WHERE tenant_id ~ $1;
CREATE FUNCTION pg_temp.rounds(mode text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	results text := '';
BEGIN
	PERFORM set_config('plan_cache_mode', mode, true);
	FOR round IN 1 .. 4 LOOP
		results := concat_ws(' ', results, pg_temp.try('none', '', statement), pg_temp.try('rf_a', '', statement), pg_temp.try('rf_b', '', statement), pg_temp.try('rf_nobody', 'rf-b', statement),
			pg_temp.try('rf_both', 'rf-b', statement), pg_temp.try('rf_both', 'rf-a', statement), pg_temp.try('rf_a', 'rf-b', statement), pg_temp.try('rf_cold', 'rf-a', statement)) || ';';
	END LOOP;
	RETURN trim(results);
END
$$;
SELECT is(pg_temp.rounds(m, s), trim(repeat('a+b a b nothing b a nothing nothing; ', 4)), concat_ws(', ', s, m))
	FROM unnest('{force_custom_plan,force_generic_plan,auto}'::text[]) AS m, unnest(ARRAY['EXECUTE kept', 'EXECUTE kept_view(''^rf-'')', 'SELECT rf.kept_plan()', 'SELECT rf.kept_by_function()']) AS s;
SELECT is(pg_temp.try('rf_a', '', $$SELECT set_config('row_security', 'off', true) || rf.kept_plan()$$), '42501: query would be affected by row-level security policy for table "users"', 'a kept plan is not run past row security');
SELECT is(pg_temp.try('rf_a', '', 'SELECT rf.kept_plan()'), 'a', 'with it, it is');

-- Kept plans that write, as a role that may by a careless GRANT.
GRANT INSERT, UPDATE, SELECT ON mindtickle.users TO rf_careless, rf_a, rf_b;
PREPARE writes (text, text) AS INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ($1, $2);
PREPARE moves (text, text) AS UPDATE mindtickle.users SET tenant_id = $2 WHERE tenant_id = $1 AND user_id = 'w';
CREATE FUNCTION pg_temp.wrote(role_name text, setting text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := pg_temp.rows_as(role_name, statement);
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
SELECT is((SELECT string_agg(pg_temp.wrote(r, s, format('EXECUTE writes(%L, %L)', t, 'w')), E'\n' ORDER BY n) FROM (VALUES (1, 'rf_careless', 'rf-a', 'rf-a'), (2, 'rf_careless', 'rf-b', 'rf-a'),
		(3, 'rf_b', '', 'rf-a'), (4, 'rf_a', 'rf-b', 'rf-a'), (5, 'rf_a', 'rf-b', 'rf-b'), (6, 'rf_careless', 'rf-b', 'rf-b')) AS w (n, r, s, t)),
	'rows 0
42501: permission denied for tenant "rf-a"
42501: permission denied for tenant "rf-a"
42501: permission denied for tenant "rf-a"
42501: permission denied for tenant "rf-b"
rows 0', 'a kept INSERT asks anew each time');
SELECT is((SELECT string_agg(tenant_id, ', ' ORDER BY 1) FROM mindtickle.users WHERE user_id = 'w' AND tenant_id ~ '^rf-'), 'rf-a, rf-b', 'and the two that may be are written');
DELETE FROM mindtickle.users WHERE user_id = 'w' AND tenant_id = 'rf-b';
SELECT is((SELECT string_agg(pg_temp.wrote('rf_careless', s, format('EXECUTE moves(%L, %L)', f, t)), E'\n' ORDER BY n) FROM (VALUES (1, 'rf-a', 'rf-a', 'rf-b'), (2, 'rf-b', 'rf-a', 'rf-b'),
		(3, 'rf-b', 'rf-b', 'rf-a')) AS w (n, s, f, t)),
	'42501: permission denied for tenant "rf-b"
rows 0
rows 0', 'no UPDATE carries a row from one to the other, though the role may act for both');
REVOKE ALL ON mindtickle.users FROM rf_careless, rf_a, rf_b;
SELECT is((SELECT string_agg(tenant_id || ' ' || user_id, ', ' ORDER BY 1) FROM mindtickle.users WHERE user_id = 'w' AND tenant_id ~ '^rf-'), 'rf-a w', 'as the rows show');
DELETE FROM mindtickle.users WHERE user_id = 'w' AND tenant_id ~ '^rf-';

-- Subtransactions.
BEGIN;
SET LOCAL ROLE rf_both;
SAVEPOINT one;
SELECT mt_set_tenant('rf-b') \g /dev/null
:look
SAVEPOINT two;
SELECT mt_set_tenant('rf-a') \g /dev/null
RELEASE two;
:look
SAVEPOINT three;
SET LOCAL mindtickle.tenant = 'rf-b';
SET mindtickle.tenant = 'rf-none';
:look
RESET ROLE;
SELECT is(rf.seen_since(), 'rf_both b b5, rf_both a a3, rf_both nothing', 'contexts within savepoints') AS outcome \gset
ROLLBACK TO three;
\echo :outcome
SELECT mt_current_tenant() AS after_three \gset
ROLLBACK TO one;
:look
DO $$
BEGIN
	PERFORM mt_set_tenant('rf-b');
	RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
	NULL;
END
$$;
:look
DO $$ BEGIN PERFORM mt_set_tenant('rf-b'); END $$;
:look
RESET ROLE;
COMMIT;
SELECT is(:'after_three'::text, 'rf-a', 'ROLLBACK TO brings back the context of the savepoint');
SELECT is(rf.seen_since(), 'rf_both a a3, rf_both a a3, rf_both b b5', 'ROLLBACK TO and an EXCEPTION block bring the former one back');

-- Cursors. One that has begun keeps the rows of its beginning, one that has not is of whoever takes its first row. Read from end to end instead of
-- by the index, as the planner may find better once the table has been analyzed, a cursor asks for each row anew.
BEGIN;
SET LOCAL enable_seqscan = off;
DECLARE by_owner CURSOR FOR SELECT right(tenant_id, 1) FROM mindtickle.users WHERE tenant_id ~ '^rf-';
SET LOCAL ROLE rf_both;
DECLARE begun CURSOR FOR SELECT right(tenant_id, 1) FROM mindtickle.users;
DECLARE begun_scroll SCROLL CURSOR FOR SELECT right(tenant_id, 1) FROM mt_users ORDER BY user_id DESC;
DECLARE waiting CURSOR FOR SELECT right(tenant_id, 1) FROM mindtickle.users;
FETCH 1 FROM begun \g /dev/null
FETCH 1 FROM begun_scroll \g /dev/null
SET LOCAL mindtickle.tenant = 'rf-b';
CREATE FUNCTION pg_temp.rest(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	rest text := '';
BEGIN
	FOR r IN EXECUTE 'FETCH ALL FROM ' || quote_ident(name) LOOP
		rest := rest || r.right;
	END LOOP;
	RETURN rest;
END
$$;
INSERT INTO rf.seen (what) SELECT concat_ws(' ', 'begun', pg_temp.rest('begun')) UNION ALL SELECT concat_ws(' ', 'scroll', pg_temp.rest('begun_scroll'));
SET LOCAL ROLE rf_nobody;
INSERT INTO rf.seen (what) SELECT concat_ws(' ', 'waiting', pg_temp.rest('waiting'));
MOVE BACKWARD ALL FROM begun_scroll;
INSERT INTO rf.seen (what) SELECT regexp_replace(pg_temp.rest('begun_scroll'), '^a*$', 'scrolled back to its own or nothing');
RESET ROLE;
COMMIT;
SELECT is(rf.seen_since(), 'begun aa, scroll aa, waiting , scrolled back to its own or nothing', 'a cursor shows no tenant but the one it began with, and none to who has no right when it begins');
BEGIN;
SET LOCAL ROLE rf_a;
DECLARE waiting CURSOR FOR SELECT right(tenant_id, 1) FROM mindtickle.users;
SET LOCAL mindtickle.tenant = 'rf-b';
INSERT INTO rf.seen (what) SELECT concat_ws(' ', 'waiting', pg_temp.rest('waiting'));
DECLARE revoked CURSOR FOR SELECT right(tenant_id, 1) FROM mindtickle.users;
RESET mindtickle.tenant;
RESET ROLE;
SELECT mt_revoke_tenant('rf-a', 'rf_a') \g /dev/null
SET LOCAL ROLE rf_a;
INSERT INTO rf.seen (what) SELECT concat_ws(' ', 'revoked', pg_temp.rest('revoked'));
RESET ROLE;
SELECT is(rf.seen_since(), 'waiting , revoked ', 'nor with a context that is not the role''s, nor after a revocation') AS outcome \gset
ROLLBACK;
\echo :outcome

-- Parallel workers decide as their leader does.
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT CASE i % 2 WHEN 0 THEN 'rf-a' ELSE 'rf-b' END, 'p' || i FROM generate_series(1, 6000) AS i;
ANALYZE mindtickle.users;
CREATE FUNCTION rf.safe_count() RETURNS int8 LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$ BEGIN RETURN (SELECT count(*) FROM mindtickle.users); END $$;
CREATE TEMP TABLE query (statement text);
INSERT INTO query VALUES ('SELECT count(*) || min(tenant_id) || max(tenant_id) FROM mindtickle.users'), ('SELECT count(*) FROM mindtickle.users WHERE tenant_id = ''rf-b'''),
	('SELECT count(*) FROM mt_users WHERE user_id > ''p''' ), ('SELECT count(*) || coalesce(string_agg(DISTINCT tenant_id, ''''), '''') FROM mindtickle.users WHERE user_id >= ''p'' AND mt_current_tenant() IS NOT NULL'),
	('SELECT count(*) FROM mt_users AS x JOIN mt_users AS y USING (user_id)'), ('SELECT rf.safe_count()'), ('SELECT max(mt_current_tenant()) FROM mindtickle.users'), ('SELECT learners FROM mt_readiness(''rf-b'')');
CREATE FUNCTION pg_temp.each() RETURNS TABLE (role_name text, setting text, statement text, result text) LANGUAGE sql AS $$
	SELECT r, s, q.statement, pg_temp.try(r, s, q.statement) FROM unnest('{rf_a,rf_b,rf_both,rf_nobody,rf_member,rf_cold}'::text[]) AS r, unnest('{"",rf-a,rf-b,rf-0}'::text[]) AS s, query AS q
$$;
SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE serial AS SELECT * FROM pg_temp.each();
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
CREATE FUNCTION pg_temp.workers_of(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
	workers int := 0;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
		workers := workers + coalesce(substring(line FROM 'Workers Launched: ([0-9]+)')::int, 0);
	END LOOP;
	RETURN workers;
END
$$;
-- The switch has another name from version 16 on.
CREATE FUNCTION pg_temp.force_workers(value text) RETURNS text LANGUAGE sql AS $$
	SELECT set_config(name, value, false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')
$$;
SELECT set_config('parallel_leader_participation', 'off', false), pg_temp.force_workers('off') \g /dev/null
SELECT cmp_ok(pg_temp.try('rf_a', '', format('SELECT pg_temp.workers_of(%L)', (SELECT statement FROM query LIMIT 1)))::int, '>=', 1, 'workers run');
SELECT set_eq('SELECT * FROM pg_temp.each()', 'SELECT * FROM serial', 'workers alone come to what one process comes to');
SELECT set_config('parallel_leader_participation', 'on', false), pg_temp.force_workers('on') \g /dev/null
SELECT set_eq('SELECT * FROM pg_temp.each()', 'SELECT * FROM serial', 'with all that can be run in a worker run there, too');
SELECT is_empty($$SELECT * FROM serial WHERE statement !~ 'readiness' AND result ~ '[1-9]|rf-' AND (role_name IN ('rf_nobody', 'rf_cold') OR setting = 'rf-0' OR (setting = 'rf-b' AND role_name IN ('rf_a', 'rf_member')))$$,
	'which is nothing without a right');
SELECT is((SELECT string_agg(role_name || ' ' || result, ', ' ORDER BY role_name, setting) FROM serial WHERE statement ~ '^SELECT count\(\*\) \|\| min' AND result <> ''), 'rf_a 3003rf-arf-a, rf_a 3003rf-arf-a, rf_b 3005rf-brf-b, rf_b 3005rf-brf-b, '
	'rf_both 3003rf-arf-a, rf_both 3003rf-arf-a, rf_both 3005rf-brf-b, rf_member 3003rf-arf-a, rf_member 3003rf-arf-a', 'and the own rows with one');
BEGIN;
SELECT mt_revoke_tenant('rf-a', 'rf_a') \g /dev/null
SELECT is(pg_temp.try('rf_a', s, 'SELECT count(*) FROM mindtickle.users'), '0', 'after a revocation workers see nothing, context "' || s || '"') FROM unnest('{"",rf-a}'::text[]) AS s;
ROLLBACK;
SELECT is(pg_temp.try('rf_a', '', 'SELECT count(*) FROM mindtickle.users'), '3003', 'after its rollback they do');
SELECT pg_temp.force_workers('off') \g /dev/null

SELECT * FROM finish();
DISCARD TEMP;
DROP SCHEMA rf CASCADE;
SELECT mt_drop_tenant('rf-a'), mt_drop_tenant('rf-b') \g /dev/null
DROP ROLE rf_a, rf_b, rf_both, rf_nobody, rf_member, rf_cold, rf_below_cold, rf_group, rf_careless;
