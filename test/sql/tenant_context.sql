\set ECHO none
-- Which tenant a role acts for: grants, the default, the setting, and what ends a right.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(88);

DROP ROLE IF EXISTS ctx_analyst, ctx_second, ctx_team, ctx_team_b, ctx_member, ctx_cold_member, ctx_pool, ctx_nobody, "ctx Odd ""Role""";
CREATE ROLE ctx_analyst;
CREATE ROLE ctx_second;
CREATE ROLE ctx_team;
CREATE ROLE ctx_team_b;
CREATE ROLE ctx_member IN ROLE ctx_team;
CREATE ROLE ctx_cold_member NOINHERIT IN ROLE ctx_team;
CREATE ROLE ctx_pool;
CREATE ROLE ctx_nobody;
CREATE ROLE "ctx Odd ""Role""";

SELECT mt_create_tenant('ctx-a', 'A') \g /dev/null
SELECT mt_create_tenant('ctx-b', 'B') \g /dev/null
SELECT mt_create_tenant('ctx_c_0123456789_0123456789_0123', 'longest name') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'ctx-a', 'a' || i FROM generate_series(1, 3) AS i;
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'ctx-b', 'b' || i FROM generate_series(1, 5) AS i;

-- What a role sees: the tenant in force, and the tenants of the rows.
CREATE FUNCTION pg_temp.sees(role_name text, setting text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := pg_temp.as_role(role_name, $q$SELECT coalesce(mt_current_tenant(), 'none') || ': '
		|| coalesce((SELECT string_agg(DISTINCT tenant_id, ',') || ' ' || count(*) FROM mt_users), 'nothing')$q$);
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
CREATE FUNCTION pg_temp.reason(role_name text, setting text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := pg_temp.as_role(role_name, 'SELECT concat_ws(''; '', role_name, tenant_id, access, reason) FROM mt_whoami()');
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;

-- Without a grant.
SELECT is(pg_temp.sees('ctx_analyst'), 'none: nothing', 'a role without a grant has no tenant and sees nothing');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-a'), 'none: nothing', 'and the setting does not help');
SELECT is(pg_temp.reason('ctx_analyst'), 'ctx_analyst; this role has no grant; the owner of the extension gives one with mt_grant_tenant', 'mt_whoami says so');
SELECT is(pg_temp.reason('ctx_analyst', 'ctx-a'),
	'ctx_analyst; the setting mindtickle.tenant names no tenant that this role may act for without a token', 'and what is wrong with the setting');

-- The first grant is the default; a second one leaves it.
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-a', 'ctx_analyst', 'reader')$$), '', 'a grant');
SELECT is(pg_temp.sees('ctx_analyst'), 'ctx-a: ctx-a 3', 'the first grant is the default: nothing to set');
SELECT is(pg_temp.reason('ctx_analyst'), 'ctx_analyst; ctx-a; reader', 'mt_whoami shows role, tenant and access');
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-b', 'ctx_analyst', 'writer')$$), '', 'a second grant');
SELECT is(pg_temp.sees('ctx_analyst'), 'ctx-a: ctx-a 3', 'leaves the default as it is');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-b'), 'ctx-b: ctx-b 5', 'the setting chooses the other tenant');
SELECT is(pg_temp.reason('ctx_analyst', 'ctx-b'), 'ctx_analyst; ctx-b; writer', 'with its own access level');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx_c_0123456789_0123456789_0123'), 'none: nothing', 'a tenant without a grant is not to be had');
SELECT is(pg_temp.as_role('ctx_analyst', $$SELECT string_agg((g ->> 'tenant') || ' ' || (g ->> 'access') || ' ' || (g ->> 'default') || ' ' || (g ->> 'tokenRequired'), ', ' ORDER BY g ->> 'tenant')
	FROM mt_whoami(), jsonb_array_elements(grants) AS g$$), 'ctx-a reader true false, ctx-b writer false false', 'mt_whoami lists all grants');
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-b', 'ctx_analyst', 'reader')$$), '', 'granting again changes the access level');
SELECT is(pg_temp.reason('ctx_analyst', 'ctx-b'), 'ctx_analyst; ctx-b; reader', 'which is then in force');
SELECT is(pg_temp.sees('ctx_second'), 'none: nothing', 'another role has got nothing by all this');

-- Ways to set it.
SET LOCAL mindtickle.tenant = 'ctx-b';
SELECT is(pg_temp.as_role('ctx_analyst', 'SELECT mt_current_tenant()'), 'ctx-b', 'SET LOCAL');
SAVEPOINT s;
SELECT set_config('mindtickle.tenant', 'ctx-a', true) \g /dev/null
SELECT is(pg_temp.as_role('ctx_analyst', 'SELECT mt_current_tenant()'), 'ctx-a', 'set_config');
ROLLBACK TO s;
SELECT is(pg_temp.as_role('ctx_analyst', 'SELECT mt_current_tenant()'), 'ctx-b', 'the end of the subtransaction takes it back');
RESET mindtickle.tenant;
SELECT is(pg_temp.as_role('ctx_analyst', 'SELECT mt_current_tenant()'), 'ctx-a', 'RESET brings the default back');
SAVEPOINT s;
SET LOCAL ROLE ctx_analyst;
SELECT mt_set_tenant('ctx-b') \g /dev/null
SELECT mt_current_tenant() AS set_by_function \gset
SELECT mt_set_tenant('ctx-a') \g /dev/null
SELECT mt_current_tenant() AS set_again \gset
RESET ROLE;
SELECT is(:'set_by_function'::text, 'ctx-b', 'mt_set_tenant');
SELECT is(:'set_again'::text, 'ctx-a', 'mt_set_tenant from one tenant to another');
ROLLBACK TO s;
SELECT is(current_setting('mindtickle.tenant'), '', 'the end of the subtransaction takes that back too');
SELECT is(pg_temp.as_role('ctx_analyst', $$SELECT mt_set_tenant(NULL)$$), '22004: the tenant must not be null', 'mt_set_tenant of NULL is an error');
SELECT is(pg_temp.as_role('ctx_second', $$SELECT mt_set_tenant('ctx-a')$$), '42501: permission denied for tenant "ctx-a"', 'mt_set_tenant checks the right');
SELECT is(pg_temp.as_role('ctx_analyst', $$SELECT mt_set_tenant('ctx-a', 'mtk_guess')$$), '42501: permission denied for tenant "ctx-a"', 'a wrong token is refused');
SELECT is(current_setting('mindtickle.tenant'), '', 'a refused mt_set_tenant leaves no context');

-- The right is that of the role in force, not of the session or of who set the context.
SAVEPOINT s;
SET LOCAL ROLE ctx_analyst;
SELECT mt_set_tenant('ctx-a') \g /dev/null
SET LOCAL ROLE ctx_second;
SELECT coalesce(mt_current_tenant(), 'none') || (SELECT count(*) FROM mt_users) AS after_switch \gset
SET LOCAL ROLE ctx_analyst;
SELECT coalesce(mt_current_tenant(), 'none') || (SELECT count(*) FROM mt_users) AS after_return \gset
RESET ROLE;
SELECT is(:'after_switch'::text, 'none0', 'a context set as one role is nothing to the next');
SELECT is(:'after_return'::text, 'ctx-a3', 'and counts again for the first');
ROLLBACK TO s;
SAVEPOINT s;
CREATE FUNCTION pg_temp.as_definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT mt_current_tenant() $$;
ALTER FUNCTION pg_temp.as_definer() OWNER TO ctx_analyst;
SELECT is(pg_temp.as_role('ctx_second', 'SELECT pg_temp.as_definer()'), 'ctx-a', 'in a SECURITY DEFINER function the role is its owner');
ROLLBACK TO s;

-- Revocation in the same session, and in a subtransaction that is taken back.
SAVEPOINT s;
SELECT mt_revoke_tenant('ctx-a', 'ctx_analyst') \g /dev/null
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-a'), 'none: nothing', 'a revoked grant is gone with the next statement');
SELECT is(pg_temp.sees('ctx_analyst'), 'none: nothing', 'and so is the default');
SELECT is(pg_temp.reason('ctx_analyst'), 'ctx_analyst; none of this role''s grants is its one default; set mindtickle.tenant', 'mt_whoami says why there is none now');
ROLLBACK TO s;
SELECT is(pg_temp.sees('ctx_analyst'), 'ctx-a: ctx-a 3', 'a revocation that is rolled back did not happen');
SAVEPOINT s;
SELECT mt_grant_tenant('ctx-b', 'ctx_second', 'reader') \g /dev/null
SELECT is(pg_temp.sees('ctx_second'), 'ctx-b: ctx-b 5', 'a grant counts in its own transaction');
ROLLBACK TO s;
SELECT is(pg_temp.sees('ctx_second'), 'none: nothing', 'and not when that was rolled back');
SELECT is(pg_temp.outcome($$SELECT mt_revoke_tenant('ctx-b', 'ctx_second')$$), '42704: role "ctx_second" has no grant for tenant "ctx-b"', 'what was not granted cannot be revoked');
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-a', 'ctx_none_such', 'reader')$$), '42704: role "ctx_none_such" does not exist', 'a role that does not exist');
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-none', 'ctx_second', 'reader')$$), '42704: tenant "ctx-none" does not exist', 'a tenant that does not exist');
SELECT is(pg_temp.outcome($$SELECT mt_grant_tenant('ctx-a', 'ctx_second', 'owner')$$), '22023: access must be one of reader, writer, admin', 'a level that does not exist');

-- A role that is dropped and made again, and one that changes its name.
SAVEPOINT s;
DROP ROLE ctx_analyst;
CREATE ROLE ctx_analyst;
SELECT is(pg_temp.sees('ctx_analyst'), 'none: nothing', 'a role made again under an old name has nothing');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-a'), 'none: nothing', 'with the setting neither');
SELECT mt_grant_tenant('ctx-b', 'ctx_analyst', 'reader') \g /dev/null
SELECT is(pg_temp.sees('ctx_analyst'), 'ctx-b: ctx-b 5', 'a new grant is the new role''s first');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-a'), 'none: nothing', 'and revives none of the old ones');
ROLLBACK TO s;
SAVEPOINT s;
ALTER ROLE ctx_analyst RENAME TO ctx_renamed;
SELECT is(pg_temp.sees('ctx_renamed'), 'none: nothing', 'name and oid must both match: a renamed role has nothing');
ROLLBACK TO s;

-- Inherited rights.
SELECT mt_grant_tenant('ctx-a', 'ctx_team', 'writer') \g /dev/null
SELECT is(pg_temp.sees('ctx_member'), 'ctx-a: ctx-a 3', 'a member inherits grant and default');
SELECT is(pg_temp.reason('ctx_member'), 'ctx_member; ctx-a; writer', 'with the access level');
SELECT is(pg_temp.sees('ctx_cold_member', 'ctx-a'), 'none: nothing', 'NOINHERIT inherits nothing');
SAVEPOINT s;
GRANT ctx_team_b TO ctx_member;
SELECT mt_grant_tenant('ctx-b', 'ctx_team_b', 'reader') \g /dev/null
SELECT is(pg_temp.sees('ctx_member'), 'none: nothing', 'two inherited defaults are none');
SELECT is(pg_temp.sees('ctx_member', 'ctx-b'), 'ctx-b: ctx-b 5', 'and the setting chooses');
SELECT mt_grant_tenant('ctx-b', 'ctx_member', 'admin') \g /dev/null
SELECT is(pg_temp.reason('ctx_member'), 'ctx_member; ctx-b; admin', 'a grant of one''s own goes before inherited ones');
SELECT is(pg_temp.reason('ctx_member', 'ctx-a'), 'ctx_member; ctx-a; writer', 'which still count');
SELECT is(pg_temp.as_role('ctx_member', $$SELECT string_agg(DISTINCT g ->> 'tenant', ', ') FROM mt_whoami(), jsonb_array_elements(grants) AS g$$),
	'ctx-a, ctx-b', 'and mt_whoami lists them too');
REVOKE ctx_team FROM ctx_member;
SELECT is(pg_temp.sees('ctx_member', 'ctx-a'), 'none: nothing', 'until the membership ends');
ROLLBACK TO s;

-- Grants that need a token give nothing without one.
SELECT mt_grant_tenant('ctx-a', 'ctx_pool', 'admin', true) \g /dev/null
SELECT is(pg_temp.sees('ctx_pool'), 'none: nothing', 'a grant with token_required is no default');
SELECT is(pg_temp.sees('ctx_pool', 'ctx-a'), 'none: nothing', 'nor does the setting help');
SELECT is(pg_temp.as_role('ctx_pool', $$SELECT mt_set_tenant('ctx-a')$$), '42501: permission denied for tenant "ctx-a"', 'mt_set_tenant without a token neither');
SELECT is(pg_temp.as_role('ctx_pool', $$SELECT mt_readiness('ctx-a')$$), '42501: permission denied for tenant "ctx-a"', 'nor a function with the tenant as argument');

-- Superusers, and roles with odd names.
SELECT is(pg_temp.outcome('SELECT coalesce(mt_current_tenant(), ''none'')'), 'none', 'a superuser has no default');
SELECT is(pg_temp.reason('none'), current_user || '; a superuser has no default tenant; set mindtickle.tenant', 'mt_whoami says so');
SELECT is(pg_temp.reason('none', 'ctx-b'), current_user || '; ctx-b; owner', 'but may set any tenant');
SELECT is(pg_temp.reason('none', 'ctx-none'), current_user || '; the setting mindtickle.tenant names no tenant that this role may act for without a token', 'that exists');
SELECT is(pg_temp.reason('mindtickle_service', 'ctx-b'), 'mindtickle_service; ctx-b; owner', 'so may the service role');
SELECT mt_grant_tenant('ctx-b', 'ctx Odd "Role"', 'reader') \g /dev/null
SELECT is(pg_temp.sees('ctx Odd "Role"'), 'ctx-b: ctx-b 5', 'a role with a name to be quoted');

-- Names that are none. The longest one has 32 characters.
SELECT mt_grant_tenant('ctx_c_0123456789_0123456789_0123', 'ctx_second', 'reader') \g /dev/null
SELECT is(pg_temp.sees('ctx_second'), 'ctx_c_0123456789_0123456789_0123: nothing', 'a name of 32 characters');
CREATE TEMP TABLE bad_name (name text);
INSERT INTO bad_name VALUES (''), ('%'), ('ctx%'), ('*'), ('ctx-a''; SELECT 1; --'), ('"ctx-a"'), ('CTX-A'), (' ctx-a'), ('ctx-a '), ('ctx-a,ctx-b'), ('-ctx'), ('_ctx'),
	('ctx_c_0123456789_0123456789_01234'), ('ctx.a'), ('ctx/a'), (E'ctx-a\n'), ('çtx'), (repeat('a', 10000));
SELECT is_empty($$SELECT b.name, f.result FROM bad_name AS b, pg_temp.as_role('ctx_analyst', format('SELECT mt_set_tenant(%L)', b.name)) AS f (result)
	WHERE f.result <> '22023: invalid tenant id'$$, 'mt_set_tenant refuses what cannot be a tenant');
SELECT is_empty($$SELECT b.name, f.result FROM bad_name AS b, pg_temp.outcome(format('SELECT mt_create_tenant(%L, ''x'')', b.name)) AS f (result)
	WHERE f.result <> '22023: invalid tenant id'$$, 'and so does mt_create_tenant');
SELECT is_empty($$SELECT b.name, f.result FROM bad_name AS b, pg_temp.sees('ctx_analyst', b.name) AS f (result)
	WHERE b.name <> '' AND f.result <> 'none: nothing'$$, 'as a setting they are no tenant');

-- A refusal is the same whether the tenant exists or not, in every function that names a tenant.
CREATE FUNCTION pg_temp.refusal(role_name text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text; context text; object text;
BEGIN
	PERFORM set_config('role', role_name, true);
	EXECUTE statement;
	PERFORM set_config('role', 'none', true);
	RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
		object = TABLE_NAME;
	RETURN concat_ws('|', state, message, nullif(detail, ''), nullif(hint, ''), nullif(object, ''));
END
$$;
CREATE TEMP TABLE tenant_call (signature text, call text);
INSERT INTO tenant_call
	SELECT p.oid::regprocedure::text, 'SELECT ' || p.oid::regproc || '(' || (
		SELECT string_agg(CASE WHEN a.place = 1 THEN '%1$L' ELSE 'NULL::' || format_type(a.type, NULL) END, ', ' ORDER BY a.place)
		FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)) || ')'
	FROM pg_proc AS p WHERE p.proname ~ '^mt_' AND p.proargnames[1] = 'tenant' AND p.pronamespace = 'public'::regnamespace
		AND has_function_privilege('ctx_nobody', p.oid, 'EXECUTE');
-- STRICT functions must get values to be called at all.
UPDATE tenant_call SET call = replace(replace(replace(replace(replace(call, 'NULL::bigint', '0::bigint'), 'NULL::integer', '1::integer'), 'NULL::jsonb', '''{}''::jsonb'), 'NULL::text', CASE WHEN signature ~ 'set_tenant' THEN 'NULL::text' ELSE '''u''::text' END),
	'NULL::interval', '''1 s''::interval');
UPDATE tenant_call SET call = replace(call, '''u''::text[]', '''{sql}''::text[]');
SELECT cmp_ok((SELECT count(*) FROM tenant_call), '>=', 9::bigint, 'the functions are found');
SELECT is_empty($$SELECT c.signature, foreign_one, absent_one FROM tenant_call AS c,
		pg_temp.refusal('ctx_nobody', format(c.call, 'ctx-b')) AS foreign_one, pg_temp.refusal('ctx_nobody', format(c.call, 'ctx-0')) AS absent_one
	WHERE replace(foreign_one, 'ctx-b', 'T') IS DISTINCT FROM replace(absent_one, 'ctx-0', 'T') OR foreign_one !~ '^42501\|permission denied for tenant "ctx-b"'$$,
	'to a role without a grant, a foreign tenant and one that does not exist are refused alike');
SELECT is_empty($$SELECT c.signature, foreign_one, absent_one FROM tenant_call AS c,
		pg_temp.refusal('ctx_team', format(c.call, 'ctx-b')) AS foreign_one, pg_temp.refusal('ctx_team', format(c.call, 'ctx-0')) AS absent_one
	WHERE replace(foreign_one, 'ctx-b', 'T') IS DISTINCT FROM replace(absent_one, 'ctx-0', 'T') OR foreign_one !~ '^42501\|permission denied for tenant "ctx-b"'$$,
	'and to a role with another tenant');
SELECT is(pg_temp.refusal('ctx_team', $$SELECT mindtickle.row_allowed('ctx-b')$$), replace(pg_temp.refusal('ctx_team', $$SELECT mindtickle.row_allowed('ctx-0')$$), 'ctx-0', 'ctx-b'),
	'row_allowed tells no more');
SET LOCAL mindtickle.tenant = 'ctx-b';
SELECT is(pg_temp.as_role('ctx_analyst', $$SELECT mt_readiness('ctx-a')$$), '42501: permission denied for tenant "ctx-a"', 'argument and context must agree');
RESET mindtickle.tenant;
SELECT alike(pg_temp.as_role('ctx_analyst', $$SELECT mt_readiness('ctx-b')$$), '(ctx-b,%', 'where no context is set, the argument is enough');
SELECT is(pg_temp.refusal('ctx_analyst', $$SELECT mt_upsert_progress('ctx-a', 'u', '[]')$$),
	'42501|permission denied for tenant "ctx-a"|Your role has access level "reader"; this needs "writer".|The owner of the extension gives it with mt_grant_tenant.',
	'where the level does not suffice, it says so');

-- A kept plan does not keep its tenant.
PREPARE kept AS SELECT coalesce(string_agg(DISTINCT tenant_id, ',' ORDER BY tenant_id), 'nothing') || ' ' || count(*) FROM mindtickle.users;
CREATE FUNCTION pg_temp.kept(role_name text, setting text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := pg_temp.as_role(role_name, 'EXECUTE kept');
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT is(pg_temp.kept('ctx_analyst', ''), 'ctx-a 3', 'a prepared statement: default tenant');
SELECT is(pg_temp.kept('ctx_analyst', 'ctx-b'), 'ctx-b 5', 'the same with another context');
SELECT is(pg_temp.kept('ctx_nobody', 'ctx-b'), 'nothing 0', 'the same as a role without a grant');
SELECT is(pg_temp.kept('ctx_team', ''), 'ctx-a 3', 'the same as a role with one');
SELECT is(pg_temp.kept('ctx Odd "Role"', ''), 'ctx-b 5', 'and with another one');
RESET plan_cache_mode;
CREATE FUNCTION pg_temp.cached_plan() RETURNS int8 LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM mindtickle.users); END $$;
SELECT is(ARRAY[pg_temp.as_role('ctx_team', 'SELECT pg_temp.cached_plan()'), pg_temp.as_role('ctx Odd "Role"', 'SELECT pg_temp.cached_plan()'),
	pg_temp.as_role('ctx_nobody', 'SELECT pg_temp.cached_plan()')], ARRAY['3', '5', '0'], 'plans of PL/pgSQL likewise');

-- A cursor that is open while role and context change shows no tenant to who has no right to it.
SAVEPOINT s;
SET LOCAL ROLE ctx_team;
DECLARE open_cursor CURSOR FOR SELECT tenant_id FROM mindtickle.users;
RESET ROLE;
GRANT SELECT ON mindtickle.users TO ctx_nobody;
SET LOCAL ROLE ctx_nobody;
FETCH ALL FROM open_cursor \g /dev/null
\set fetched :ROW_COUNT
RESET ROLE;
SELECT is(:'fetched'::text, '0', 'a cursor opened before the role changed');
ROLLBACK TO s;

-- Parallel workers have the context of their leader.
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT CASE WHEN i % 2 = 0 THEN 'ctx-a' ELSE 'ctx-b' END, 'p' || i FROM generate_series(1, 6000) AS i;
CREATE FUNCTION pg_temp.workers_of(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	-- For a moment others may have all there are.
	FOR attempt IN 1 .. 100 LOOP
		FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
			IF line ~ 'Workers Launched: [1-9]' THEN
				RETURN substring(line FROM '[0-9]+');
			END IF;
		END LOOP;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN 0;
END
$$;
ANALYZE mindtickle.users;
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL min_parallel_index_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SELECT cmp_ok(pg_temp.as_role('ctx_analyst', $$SELECT pg_temp.workers_of('SELECT count(*) FROM mindtickle.users')$$)::int, '>=', 1, 'parallel workers run');
SELECT is(pg_temp.sees('ctx_analyst'), 'ctx-a: ctx-a 3003', 'with the default tenant');
SELECT is(pg_temp.sees('ctx_analyst', 'ctx-b'), 'ctx-b: ctx-b 3005', 'with a context');
SELECT is(pg_temp.sees('ctx_nobody', 'ctx-b'), 'none: nothing', 'without a right');
SELECT is(pg_temp.as_role('ctx_member', 'SELECT count(*) FROM mindtickle.users'), '3003', 'with an inherited grant');
SELECT is(pg_temp.as_role('ctx_analyst', $$SELECT learners FROM mt_readiness('ctx-b')$$), '3005', 'under a function of the service role');

SELECT * FROM finish();
ROLLBACK;
