\set ECHO none
-- What EXPLAIN estimates tells a role of its own tenant and of the table as a whole, and nothing of what another tenant has in it: the whole plan is
-- the same for a value that is there and for one that is not. The statistics are those that ANALYZE makes of the rows of all tenants.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(54);

DROP ROLE IF EXISTS ps_reader, ps_few, ps_other, ps_nobody, ps_pool, ps_bypass;
CREATE ROLE ps_reader;
CREATE ROLE ps_few;
CREATE ROLE ps_other;
CREATE ROLE ps_nobody;
CREATE ROLE ps_pool;
CREATE ROLE ps_bypass BYPASSRLS;
SELECT mt_create_tenant(t, t) FROM unnest('{ps-a,ps-b,ps-few}'::text[]) AS t \g /dev/null
SELECT mt_create_tenant('ps-' || n, 'small') FROM generate_series(10, 29) AS n \g /dev/null
SELECT mt_grant_tenant('ps-a', 'ps_reader', 'reader'), mt_grant_tenant('ps-few', 'ps_few', 'reader'), mt_grant_tenant('ps-b', 'ps_other', 'reader'),
	mt_grant_tenant('ps-a', 'ps_pool', 'reader', true), mt_grant_tenant('ps-few', 'ps_reader', 'reader') \g /dev/null

-- Every value of ps-b is in a list of common values or between two bounds of a histogram; the lists of tenants have room for three.
INSERT INTO mindtickle.users (tenant_id, user_id, email, name, department, title)
	SELECT 'ps-a', 'a' || n, 'a' || n || '@a.example', 'name a', 'unit ' || n % 4, NULL FROM generate_series(1, 1000) AS n
	UNION ALL SELECT 'ps-few', 'f' || n, 'f' || n || '@f.example', 'name f', 'few', NULL FROM generate_series(1, 30) AS n
	UNION ALL SELECT 'ps-' || t, 's' || n, 's' || n || '@s.example', 'name s', 's', NULL FROM generate_series(10, 29) AS t, generate_series(1, 30) AS n
	UNION ALL SELECT 'ps-b', 'b' || n, CASE WHEN n % 2 = 0 THEN 'often@b.example' ELSE 'm' || n || '@b.example' END, 'name b', 'secret', 'merger' FROM generate_series(1, 20000) AS n;
INSERT INTO mindtickle.security_alert (at, session_role, tenant_asked, last_at) SELECT now(), 'ps_other', 'ps-b', now() FROM generate_series(1, 500);
ALTER TABLE mindtickle.users ALTER tenant_id SET STATISTICS 3;
CREATE INDEX ps_expression ON mindtickle.users ((department || name));
ANALYZE mindtickle.users, mindtickle.tenant, mindtickle.security_alert;

-- The plan of a query with a value in the place of %L, as a role, without the value.
CREATE FUNCTION pg_temp.plan_as(role_name text, query text, value text) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(pg_temp.as_role(role_name, 'EXPLAIN (FORMAT JSON) ' || replace(query, '%L', quote_literal(value))), quote_literal(value), '?'), '{' || value || '}', '?')
$$;
CREATE FUNCTION pg_temp.estimate(role_name text, query text, value text DEFAULT '') RETURNS numeric LANGUAGE sql AS $$
	SELECT (pg_temp.plan_as(role_name, query, value)::jsonb #>> '{0,Plan,Plan Rows}')::numeric
$$;

-- Other tenants, and values of theirs: to a role it makes no difference whether they are there.
CREATE TEMP TABLE probe (query text, there text, absent text);
INSERT INTO probe VALUES
	('SELECT * FROM mt_users WHERE tenant_id = %L', 'ps-b', 'ps-z'),
	('SELECT * FROM mt_users WHERE tenant_id = %L', 'ps-10', 'ps-99'),
	('SELECT * FROM mindtickle.users WHERE tenant_id = %L', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE tenant_id <> %L', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE tenant_id = ANY (ARRAY[%L])', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE tenant_id = %L OR tenant_id = ''ps-a''', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE tenant_id < %L', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE tenant_id > %L', 'ps-b', 'ps-z'),
	('SELECT * FROM mindtickle.users WHERE email = %L', 'often@b.example', 'never@b.example'),
	('SELECT * FROM mindtickle.users WHERE email_key = %L', 'often@b.example', 'never@b.example'),
	('SELECT * FROM mindtickle.users WHERE email <> %L', 'often@b.example', 'never@b.example'),
	('SELECT * FROM mindtickle.users WHERE email < %L', 'm5001@b.example', 'zzz'),
	('SELECT * FROM mindtickle.users WHERE email >= %L', 'm5001@b.example', 'b'),
	('SELECT * FROM mindtickle.users WHERE user_id < %L', 'b10', 'zz'),
	('SELECT * FROM mindtickle.users WHERE user_id BETWEEN %L AND ''d''', 'b', 'c'),
	('SELECT * FROM mindtickle.users WHERE department = %L', 'secret', 'absent'),
	('SELECT * FROM mindtickle.users WHERE title = %L', 'merger', 'absent'),
	('SELECT * FROM mindtickle.users WHERE department || name = %L', 'secretname b', 'absent'),
	('SELECT * FROM mindtickle.users WHERE (tenant_id, department) = (%L, ''secret'')', 'ps-b', 'ps-z'),
	('SELECT u.* FROM mt_users AS u JOIN mt_users AS m ON m.email = u.email WHERE m.email = %L', 'often@b.example', 'never@b.example'),
	('SELECT * FROM (SELECT department, count(*) FROM mt_users GROUP BY department OFFSET 0) AS d WHERE department = %L', 'secret', 'absent'),
	('SELECT display_name FROM mindtickle.tenant WHERE tenant_id = %L', 'ps-b', 'ps-z'),
	('SELECT display_name FROM mindtickle.tenant WHERE display_name = %L', 'small', 'absent'),
	('SELECT display_name FROM mindtickle.tenant WHERE tenant_id < %L', 'ps-15', 'ps-z');
SELECT is(pg_temp.plan_as('ps_reader', query, there), pg_temp.plan_as('ps_reader', query, absent), format('%s: %s or %s', query, there, absent)) FROM probe;
SELECT is_empty($$SELECT * FROM probe WHERE pg_temp.plan_as('ps_reader', query, there) !~ 'Plan Rows'$$, 'each of which is planned');

-- The histograms' bounds, one by one, of every column that has them.
CREATE TEMP TABLE bound AS SELECT DISTINCT attname, unnest(histogram_bounds::text::text[]) AS value FROM pg_stats
	WHERE schemaname = 'mindtickle' AND tablename = 'users' AND attname = ANY ('{tenant_id,user_id,email,email_key}');
SELECT cmp_ok(count(*)::int, '>=', 250, 'there are bounds') FROM bound;
-- Before and behind its own tenant a role may see it.
SELECT is_empty($$SELECT attname, o FROM bound, unnest('{<,>=,=}'::text[]) AS o GROUP BY attname, o, attname = 'tenant_id' AND value < 'ps-a'
	HAVING count(DISTINCT pg_temp.estimate('ps_reader', format('SELECT * FROM mindtickle.users WHERE %I %s %%L', attname, o), value)) <> 1$$,
	'and none of them is found by its estimates');

-- Every other role that row security binds, and every way to the table.
SELECT is_empty(format($$SELECT %L, query FROM probe WHERE pg_temp.plan_as(%1$L, query, there) <> pg_temp.plan_as(%1$L, query, absent)$$, r), format('%s finds nothing', r))
	FROM unnest('{ps_few,ps_nobody,ps_pool}'::text[]) AS r;
SELECT set_config('mindtickle.tenant', 'ps-b', true) \g /dev/null
SELECT is_empty($$SELECT query FROM probe WHERE pg_temp.plan_as('ps_reader', query, there) <> pg_temp.plan_as('ps_reader', query, absent)$$, 'nor does one that names another tenant');
SELECT set_config('mindtickle.tenant', '', true) \g /dev/null
CREATE VIEW ps_invoker WITH (security_invoker) AS SELECT * FROM mt_users;
CREATE VIEW ps_definer AS SELECT * FROM mt_users;
ALTER VIEW ps_definer OWNER TO ps_other;
GRANT SELECT ON ps_invoker, ps_definer TO PUBLIC;
SELECT is(pg_temp.plan_as('ps_reader', q, 'ps-b'), pg_temp.plan_as('ps_reader', q, 'ps-z'), q)
	FROM unnest('{SELECT * FROM ps_invoker WHERE tenant_id = %L,SELECT * FROM ps_definer WHERE tenant_id = %L}'::text[]) AS q;
SELECT is(pg_temp.plan_as('ps_reader', q, 'secret'), pg_temp.plan_as('ps_reader', q, 'absent'), q)
	FROM unnest('{SELECT * FROM ps_invoker WHERE department = %L,SELECT * FROM ps_definer WHERE department = %L}'::text[]) AS q;
SELECT is(pg_temp.estimate('ps_reader', 'SELECT * FROM ps_definer WHERE tenant_id = ''ps-a'''), pg_temp.estimate('ps_reader', 'SELECT * FROM mt_users WHERE tenant_id = ''ps-a'''),
	'through a view of another role''s the own tenant is the current role''s');
GRANT SELECT ON mindtickle.security_alert TO ps_reader;
SELECT is(pg_temp.plan_as('ps_reader', q, 'ps-b'), pg_temp.plan_as('ps_reader', q, 'ps-z'), q) FROM unnest('{SELECT * FROM mindtickle.security_alert WHERE tenant_asked = %L}'::text[]) AS q;
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE ps_kept (text) AS SELECT * FROM mindtickle.users WHERE tenant_id = $1 AND email = $1;
SELECT is(pg_temp.plan_as('ps_reader', 'EXECUTE ps_kept (%L)', 'ps-b'), pg_temp.plan_as('ps_reader', 'EXECUTE ps_kept (%L)', 'ps-z'), 'a kept plan');
RESET plan_cache_mode;

-- The role's own tenant. The estimates are right to a tenth, or for one that is too small for the list as right as a superuser's.
CREATE FUNCTION pg_temp.near(estimate numeric, real_count numeric) RETURNS boolean LANGUAGE sql AS $$ SELECT abs(estimate - real_count) <= real_count / 10 $$;
SELECT ok(pg_temp.near(pg_temp.estimate('ps_reader', 'TABLE mt_users'), 1000), 'the rows of the own tenant are estimated right');
SELECT ok(pg_temp.near(pg_temp.estimate('ps_other', 'TABLE mt_users'), 20000), 'those of a tenant with many rows');
SELECT ok(pg_temp.near(pg_temp.estimate('ps_reader', 'SELECT tenant_id, count(*) FROM mt_users GROUP BY tenant_id'), 1), 'there is one tenant');
SELECT is(pg_temp.estimate('ps_few', 'TABLE mt_users'), pg_temp.estimate('none', 'SELECT * FROM mindtickle.users WHERE tenant_id = %L', 'ps-few'), 'those of one with few rows');
SELECT ok(pg_temp.estimate('ps_few', 'TABLE mt_users') < 400, 'which are few');
SELECT set_config('mindtickle.tenant', 'ps-few', true) \g /dev/null
SELECT ok(pg_temp.estimate('ps_reader', 'TABLE mt_users') < 400, 'of two tenants those of the one in force');
SELECT set_config('mindtickle.tenant', '', true) \g /dev/null
SELECT is(pg_temp.estimate('ps_nobody', 'TABLE mt_users'), 1::numeric, 'without a tenant there is nothing');
SELECT ok(pg_temp.plan_as('ps_reader', 'SELECT * FROM mt_users WHERE user_id = %L', 'a1') ~ '"Index Name": "users_pkey"', 'a row is found by the index');

-- Who may see all.
SELECT ok(pg_temp.near(pg_temp.estimate(r, 'SELECT * FROM mindtickle.users WHERE tenant_id = %L', 'ps-b'), 20000), format('%s sees the real figures', r)) FROM unnest('{none,ps_bypass}'::text[]) AS r;
SELECT ok(pg_temp.near(pg_temp.estimate('none', 'SELECT * FROM mindtickle.users WHERE email = %L', 'often@b.example'), 10000), 'common values, too');
SELECT ok(pg_temp.estimate('none', 'SELECT * FROM mindtickle.users WHERE email = %L', 'never@b.example') < 100, 'and what is no such value');

-- The service role: the workers plan for all tenants; what it plans in a call shows in debug_print_plan.
SELECT isnt(pg_temp.estimate('mindtickle_service', q, 'small'), pg_temp.estimate('mindtickle_service', q, 'absent'), 'without a tenant the service role has the whole statistics')
	FROM (VALUES ('SELECT * FROM mindtickle.tenant WHERE display_name = %L')) AS v (q);
SELECT set_config('mindtickle.tenant', 'ps-a', true) \g /dev/null
SELECT is_empty($$SELECT query FROM probe WHERE pg_temp.plan_as('mindtickle_service', query, there) <> pg_temp.plan_as('mindtickle_service', query, absent)$$, 'in a tenant''s call it has not');
SELECT ok(pg_temp.near(pg_temp.estimate('mindtickle_service', 'TABLE mindtickle.users'), 1000), 'but for the tenant');
SELECT set_config('mindtickle.tenant', '', true) \g /dev/null

-- What does not pass the hooks.
SELECT is_empty($$SELECT s.stxname FROM pg_statistic_ext AS s WHERE s.stxrelid IN (SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace)$$, 'there are no extended statistics');

SELECT * FROM finish();
ROLLBACK;
-- What ANALYZE writes to pg_class is not taken back; the other files' plans are those of tables that nobody has looked at.
VACUUM mindtickle.users, mindtickle.tenant, mindtickle.security_alert;
UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0 WHERE relnamespace = 'mindtickle'::regnamespace
	AND relname IN ('users', 'tenant', 'security_alert');
