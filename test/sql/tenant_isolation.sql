\set ECHO none
-- Two tenants with rows in every table. Whatever a role of one tries on any table, view or function, it meets nothing of the other.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/every_table.sql
SELECT plan(45);

DROP ROLE IF EXISTS iso_reader, iso_writer, iso_admin, iso_other, iso_nobody, iso_careless;
CREATE ROLE iso_reader;
CREATE ROLE iso_writer;
CREATE ROLE iso_admin;
CREATE ROLE iso_other;
CREATE ROLE iso_nobody;
CREATE ROLE iso_careless;
SELECT mt_create_tenant('iso-a', 'A'), mt_create_tenant('iso-b', 'B') \g /dev/null
SELECT mt_grant_tenant('iso-a', 'iso_reader', 'reader'), mt_grant_tenant('iso-a', 'iso_writer', 'writer'), mt_grant_tenant('iso-a', 'iso_admin', 'admin'),
	mt_grant_tenant('iso-a', 'iso_careless', 'admin'), mt_grant_tenant('iso-b', 'iso_other', 'reader') \g /dev/null

SELECT pg_temp.fill_every_table(t, t) FROM unnest('{iso-a,iso-b}'::text[]) AS t \g /dev/null

CREATE TEMP TABLE before AS SELECT * FROM pg_temp.rows_of('iso-b');
SELECT is_empty($$SELECT name FROM before WHERE rows = 0$$, 'there are rows of the other tenant in every table');
SELECT is_empty($$SELECT name FROM pg_temp.rows_of('iso-a') WHERE rows = 0$$, 'and of the own tenant');

CREATE TEMP TABLE caller (role_name text, setting text);
INSERT INTO caller SELECT r, s FROM unnest('{iso_reader,iso_writer,iso_admin,iso_nobody}'::text[]) AS r, unnest('{"",iso-a,iso-b}'::text[]) AS s;
CREATE TEMP TABLE seen_thing AS
	SELECT relation::text AS name, name AS short FROM tenant_table
	UNION ALL SELECT v.oid::regclass::text, v.relname::text FROM pg_class AS v WHERE v.relkind = 'v' AND v.relname ~ '^mt_' AND v.relnamespace = 'public'::regnamespace;
CREATE FUNCTION pg_temp.try(role_name text, setting text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true);
	result := CASE WHEN statement ~ '^SELECT' THEN pg_temp.as_role(role_name, statement) ELSE pg_temp.rows_as(role_name, statement) END;
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;

-- Reading.
CREATE TEMP TABLE reading AS
	SELECT c.role_name, c.setting, s.name, s.short, foreign_rows, all_rows FROM caller AS c, seen_thing AS s,
		pg_temp.try(c.role_name, c.setting, format('SELECT count(*) FROM %s WHERE tenant_id = ''iso-b''', s.name)) AS foreign_rows,
		pg_temp.try(c.role_name, c.setting, format('SELECT count(*) FROM %s', s.name)) AS all_rows
	WHERE s.short NOT IN ('mt_security_alerts', 'mt_stat_cache', 'mt_stat_queue', 'mt_stat_tenant', 'mt_stat_worker');
SELECT is_empty($$SELECT * FROM reading WHERE foreign_rows NOT IN ('0') AND foreign_rows !~ '^42501: permission denied'$$, 'no table or view shows a row of the other tenant');
SELECT is_empty($$SELECT * FROM reading WHERE (role_name = 'iso_nobody' OR setting = 'iso-b') AND all_rows <> '0' AND all_rows !~ '^42501: permission denied'$$,
	'without a valid context they show nothing at all');
SELECT is((SELECT string_agg(DISTINCT short, ' ' ORDER BY short) FROM reading WHERE role_name = 'iso_reader' AND setting = '' AND all_rows ~ '^[1-9][0-9]*$'),
	'course course_progress dead_letter event_0 event_1 event_2 event_3 mt_course_progress mt_courses mt_dead_letters mt_event_consumers mt_events mt_progress_sync mt_quiz_results mt_readiness_reports mt_sync_jobs mt_teams mt_users '
	'quiz quiz_submission readiness_daily readiness_report sync_job sync_resource team team_member tenant users', 'a reader sees the rows of the own tenant in these');
SELECT is((SELECT string_agg(DISTINCT short, ' ' ORDER BY short) FROM reading WHERE role_name = 'iso_admin' AND all_rows !~ '^[0-9]+$'),
	'api_token cache_change cache_entry credential event_consumer_0 event_consumer_1 event_overflow_0 event_overflow_1 event_position_0 event_position_1 outbox_0 outbox_1 outbox_2 outbox_3 push_link push_queue readiness_course_0 readiness_course_1 readiness_delta_0 readiness_delta_1 readiness_delta_2 readiness_delta_3 readiness_rerun readiness_summary_0 readiness_summary_1 '
	'readiness_user_0 readiness_user_1 sync_budget sync_seen sync_series sync_series_module tenant_grant user_address', 'and these are for nobody');
SELECT is_empty($$SELECT c.* FROM reading AS c JOIN reading AS r USING (setting, name) WHERE c.role_name IN ('iso_writer', 'iso_admin') AND r.role_name = 'iso_reader'
	AND c.all_rows <> r.all_rows$$, 'writers and admins read what readers do');
SELECT is(pg_temp.as_role('iso_reader', 'SELECT settings FROM mindtickle.tenant'), '42501: permission denied for table tenant', 'settings are not shown');
SELECT is(pg_temp.as_role('iso_other', 'SELECT string_agg(DISTINCT tenant_id, '','') FROM mt_users'), 'iso-b', 'the other tenant''s own reader does see it');
SELECT is(pg_temp.as_role('iso_admin', 'SELECT count(*) FROM mt_security_alerts'), '42501: permission denied for view mt_security_alerts', 'alerts are for pg_monitor');

-- A function of the caller's that costs nothing runs after row security, never before.
CREATE TEMP TABLE peeked (value text);
GRANT INSERT ON peeked TO PUBLIC;
CREATE FUNCTION pg_temp.peek(value text) RETURNS bool LANGUAGE plpgsql COST 0.000001 AS $$ BEGIN INSERT INTO peeked VALUES (value); RETURN true; END $$;
SELECT count(pg_temp.try('iso_reader', '', format('SELECT count(*) FROM %s AS x WHERE pg_temp.peek(x::text)', name))) FROM seen_thing WHERE short NOT IN ('mt_security_alerts', 'mt_stat_cache', 'mt_stat_queue', 'mt_stat_tenant', 'mt_stat_worker') \g /dev/null
SELECT cmp_ok((SELECT count(*) FROM peeked WHERE value ~ 'iso-a'), '>=', 20::bigint, 'a peeping function is called for rows of the own tenant');
SELECT is_empty($$SELECT * FROM peeked WHERE value ~ 'iso-b'$$, 'and for no other');
ANALYZE mindtickle.users, mindtickle.event_0, mindtickle.course_progress;
SELECT is(pg_temp.as_role('iso_reader', $$SELECT count(*) FROM pg_stats WHERE schemaname = 'mindtickle'$$), '0', 'planner statistics do not show them either');

-- COPY.
GRANT SELECT ON seen_thing, tenant_table TO PUBLIC;
\set file `mktemp`
SET LOCAL ROLE iso_reader;
\o :file
SELECT format('COPY (SELECT * FROM %s) TO STDOUT', name) FROM seen_thing WHERE short ~ '^mt_' AND short NOT IN ('mt_security_alerts', 'mt_stat_cache', 'mt_stat_queue', 'mt_stat_tenant', 'mt_stat_worker')
UNION ALL SELECT format('COPY %s TO STDOUT', r.relation) FROM tenant_table AS r WHERE has_table_privilege('iso_reader', r.relation, 'SELECT')
\gexec
\o
RESET ROLE;
\setenv FILE :file
\set own_lines `grep -c iso-a "$FILE"`
\set foreign_lines `grep -c iso-b "$FILE"`
\! rm -f "$FILE"
SELECT cmp_ok(:'own_lines'::int, '>=', 20, 'COPY takes rows of the own tenant');
SELECT is(:'foreign_lines'::text, '0', 'and no others');

-- Writing, as the roles are.
CREATE SCHEMA iso_own;
GRANT ALL ON SCHEMA iso_own TO PUBLIC;
CREATE TEMP TABLE writing AS
	SELECT c.role_name, c.setting, s.short, k.kind, pg_temp.try(c.role_name, c.setting, replace(k.statement, '%s', s.name)) AS result
	FROM caller AS c, seen_thing AS s, (VALUES
		('insert', 'INSERT INTO %s (tenant_id) VALUES (''iso-b'')'), ('update', 'UPDATE %s SET tenant_id = ''iso-b'''),
		('delete', 'DELETE FROM %s'), ('delete theirs', 'DELETE FROM %s WHERE tenant_id = ''iso-b'''), ('truncate', 'TRUNCATE %s CASCADE'),
		('lock', 'LOCK TABLE %s IN ACCESS EXCLUSIVE MODE'), ('select for update', 'SELECT count(*) FROM (SELECT FROM %s FOR UPDATE) AS x'),
		('trigger', 'CREATE TRIGGER t BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'),
		('policy', 'CREATE POLICY everything ON %s USING (true)'), ('no row security', 'ALTER TABLE %s DISABLE ROW LEVEL SECURITY'),
		('reference', 'CREATE UNLOGGED TABLE iso_own.spy (tenant_id text REFERENCES %s)')) AS k (kind, statement)
	WHERE s.short NOT IN ('mt_security_alerts', 'mt_stat_cache', 'mt_stat_queue', 'mt_stat_tenant', 'mt_stat_worker') AND NOT (s.short ~ '^mt_' AND k.kind ~ 'insert|update|delete|truncate|trigger|policy|reference|row');
SELECT is_empty($$SELECT * FROM writing WHERE result !~ '^(42501: (permission denied|must be owner))'$$, 'no role may write, lock, or put anything onto a table');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'the other tenant''s rows are as they were');

-- The second layer: a careless GRANT on all tables opens nothing of the other tenant.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mindtickle TO iso_careless;
CREATE TEMP TABLE careless AS
	SELECT s.setting, t.name, k.kind, pg_temp.try('iso_careless', s.setting, replace(k.statement, '%s', t.relation::text)) AS result
	FROM tenant_table AS t, unnest('{"",iso-a,iso-b}'::text[]) AS s (setting), (VALUES
		('read', 'SELECT count(*) FROM %s WHERE tenant_id = ''iso-b'''),
		('update', 'UPDATE %s SET tenant_id = tenant_id WHERE tenant_id = ''iso-b'''),
		('move', 'UPDATE %s SET tenant_id = ''iso-b'' WHERE tenant_id = ''iso-a'''),
		('delete', 'DELETE FROM %s WHERE tenant_id = ''iso-b''')) AS k (kind, statement);
SELECT is_empty($$SELECT * FROM careless WHERE kind <> 'move' AND result NOT IN ('0', 'rows 0')$$, 'reading, updating and deleting find no row of the other tenant');
SELECT is_empty($$SELECT * FROM careless WHERE kind = 'move' AND result <> 'rows 0' AND result <> '42501: permission denied for tenant "iso-b"'$$, 'no row can be moved to it');
SELECT is_empty($$SELECT t.name, i.result FROM tenant_table AS t, pg_temp.rows_as('iso_careless',
		format('INSERT INTO %s OVERRIDING SYSTEM VALUE SELECT x.* FROM (VALUES (1)) AS v, LATERAL (SELECT * FROM jsonb_populate_record(NULL::%s, %L)) AS x', t.relation, t.relation, '{"tenant_id": "iso-b"}')) AS i (result)
	WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = t.relation AND a.attgenerated <> '')
		AND i.result NOT IN ('42501: permission denied for tenant "iso-b"', '42501: new row violates row-level security policy for table "' || t.name || '"')$$, 'nor inserted for it');
SELECT is(pg_temp.rows_as('iso_careless', $$INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('iso-b', 'planted')$$), '42501: permission denied for tenant "iso-b"', 'a user neither');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'the other tenant''s rows are as they were');
REVOKE ALL ON ALL TABLES IN SCHEMA mindtickle FROM iso_careless;

-- The service role itself, with one tenant in force, reaches no other's rows; sync_budget is its own to plan with.
CREATE TEMP TABLE service AS
	SELECT t.name, k.kind, pg_temp.try('mindtickle_service', 'iso-a', replace(k.statement, '%s', t.relation::text)) AS result
	FROM tenant_table AS t, (VALUES ('read', 'SELECT count(*) FROM %s WHERE tenant_id = ''iso-b'''),
		('update', 'UPDATE %s SET tenant_id = tenant_id WHERE tenant_id = ''iso-b'''),
		('delete', 'DELETE FROM %s WHERE tenant_id = ''iso-b''')) AS k (kind, statement)
	WHERE t.name <> 'sync_budget';
SELECT is_empty($$SELECT * FROM service WHERE result NOT IN ('0', 'rows 0') AND NOT (name = 'tenant_grant' AND result ~ '^42501: permission denied for table')$$,
	'the service role finds no row of a tenant that is not in force');
SELECT is(pg_temp.try('mindtickle_service', 'iso-a', $$UPDATE mindtickle.tenant SET settings = '{}' WHERE tenant_id = 'iso-b'$$),
	'rows 0', 'nor changes another tenant''s row');

-- Every function that is told a tenant.
CREATE TEMP TABLE argument (type regtype, value text);
INSERT INTO argument VALUES ('text', '''x'''), ('name', '''iso_reader'''), ('jsonb', '''{}'''), ('bool', 'true'), ('int4', '10'), ('int8', '1'), ('numeric', '1'),
	('bytea', '''x'''), ('bytea[]', '''{}'''), ('text[]', '''{iso-b}'''), ('int4[]', '''{1}'''), ('timestamptz', 'now()'), ('date', '''2026-01-01'''), ('timestamptz[]', 'ARRAY[now()]'), ('interval', '''1 s'''), ('xid8', '''1'''), ('oid', '''mindtickle.users''::regclass'),
	('regclass', '''mindtickle.users'''), ('regclass[]', '''{mindtickle.users}''');
CREATE TEMP TABLE call AS
	SELECT p.oid::regprocedure::text AS signature, n.nspname = 'mindtickle' AS internal,
		format('SELECT %s(%s)::text', p.oid::regproc, string_agg(CASE WHEN p.proargnames[a.place] IN ('tenant', 'tenant_id') THEN '''iso-b''' ELSE coalesce(g.value, 'NULL') END, ', ' ORDER BY a.place)) AS statement,
		bool_or(g.type IS NULL) AS unknown_type
	FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'mindtickle',
		unnest(p.proargtypes) WITH ORDINALITY AS a (type, place) LEFT JOIN argument AS g ON g.type = a.type
	WHERE p.proargnames && ARRAY['tenant', 'tenant_id', 'tenants'] AND (p.proargmodes IS NULL OR 'i' = ANY (p.proargmodes))
	GROUP BY p.oid, n.nspname;
SELECT is_empty($$SELECT signature FROM call WHERE unknown_type$$, 'there is a value for each argument');
SELECT cmp_ok((SELECT count(*) FROM call), '>=', 38::bigint, 'the functions are found');
SELECT is_empty($$SELECT c.role_name, c.setting, f.signature, r.result FROM caller AS c, call AS f, pg_temp.try(c.role_name, c.setting, f.statement) AS r (result)
	WHERE r.result IS NULL OR r.result !~ '^42501: permission denied for (tenant "iso-b"|function)'$$, 'all are refused to roles of another tenant');
SELECT is_empty($$SELECT f.signature, r.result FROM call AS f, pg_temp.try('iso_other', '', f.statement) AS r (result)
	WHERE f.internal AND f.signature NOT IN ('mindtickle.row_allowed(text,oid)', 'mindtickle.event_kept(text,bigint)') AND r.result !~ '^42501: permission denied for function'$$, 'internal ones to its own roles as well');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'the other tenant''s rows are as they were');
CREATE TEMP TABLE service_call AS
	SELECT f.signature, pg_temp.try('mindtickle_service', 'iso-a', f.statement) AS result FROM call AS f
	WHERE f.internal AND f.signature !~ '(enter_tenant|reserve_budget|setting_definitions|effective_settings)';
SELECT is_empty($$SELECT * FROM service_call WHERE result ~ 'canary'$$, 'the service role gets nothing of a tenant that is not in force');
SELECT is((SELECT string_agg(substring(signature, '\.(\w+)') || ': ' || coalesce(nullif(left(result, 5), ''), 'nothing'), ', ' ORDER BY signature COLLATE "C") FROM service_call
		WHERE signature ~ 'store_|emit|dead|back_off|publish|sync_open|credential_of'),
	'credential_of: nothing, emit_event: 42501, keep_dead_letter: 42501, publish: 42501, store_courses: 42501, store_history: 42501, store_modules: 42501, store_progress: 42501, store_quiz_results: 42501, store_reports: 42501, store_series: 42501, store_team_members: 42501, store_teams: 42501, store_users: 42501, '
	'sync_back_off: nothing, sync_open: nothing', 'in these ways');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'and changes nothing of it');

-- The same functions do work for the tenant's own roles: what was refused above was refused for the tenant's sake.
SELECT alike(pg_temp.try('iso_writer', '', $$SELECT mt_provision_user('iso-a', '{"email": "x@a.example"}')$$), '________-____-____-____-____________', 'a writer writes for the own tenant');
SELECT is(pg_temp.try('iso_reader', '', $$SELECT mt_provision_user('iso-a', '{"email": "y@a.example"}')$$), '42501: permission denied for tenant "iso-a"', 'a reader does not');
SELECT alike(pg_temp.try('iso_reader', '', $$SELECT mt_aggregate_readiness('iso-a')$$), '(iso-a,%', 'a reader aggregates readiness');
SELECT is(pg_temp.try('iso_writer', '', $$SELECT mt_configure_tenant('iso-a', '{"timezone": "UTC"}')$$), '42501: permission denied for tenant "iso-a"', 'a writer does not configure');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'the other tenant''s rows are as they were');

-- Everyone sees which locks are held. Those on a tenant do not tell its name to one who tries names with what SQL can compute.
CREATE TEMP TABLE held AS SELECT l.classid::regclass::text AS relation, l.objid FROM pg_locks AS l WHERE false;
SAVEPOINT locking;
SELECT mindtickle.lock_tenant(t) FROM unnest('{iso-a,iso-b}'::text[]) AS t \g /dev/null
SELECT mt_create_token('iso-a', 'lock', '{sql}') \g /dev/null
INSERT INTO held SELECT l.classid::regclass::text, l.objid FROM pg_locks AS l
	WHERE l.locktype = 'object' AND l.pid = pg_backend_pid() AND l.classid IN ('mindtickle.tenant'::regclass, 'mindtickle.api_token'::regclass);
SELECT results_eq('SELECT relation, count(DISTINCT objid) FROM held GROUP BY relation ORDER BY relation', $$VALUES ('mindtickle.api_token', 1::bigint), ('mindtickle.tenant', 3)$$, 'locks on tenants are seen, and the one of all tenants that a drop takes');
CREATE TEMP TABLE seed AS SELECT n::bigint AS seed FROM generate_series(-1000, 1000) AS n
	UNION SELECT oid::bigint FROM pg_class UNION SELECT oid::bigint FROM pg_database UNION SELECT system_identifier FROM pg_control_system();
SELECT cmp_ok(count(*)::int, '>', 2400, 'seeds to try') FROM seed;
SELECT is_empty($$SELECT t, seed FROM unnest('{iso-a,iso-b}'::text[]) AS t, seed,
		unnest(ARRAY[hashtext(t), hashname(t::name), hashtextextended(t, seed), hashtextextended(t, seed) >> 32, hashnameextended(t::name, seed), hash_record_extended(row(t), seed)]) AS h
	WHERE (h & 4294967295) IN (SELECT objid::bigint FROM held)$$, 'and are no hash of the name that one can compute');
-- Those on what users are known by tell neither that nor the tenant, and not that two tenants have the same.
CREATE TEMP TABLE person AS SELECT 'p' || n || '@example.com' AS key FROM generate_series(1, 16) AS n;
SELECT mt_provision_user(t, jsonb_build_object('email', key, 'userName', key, 'scimExternalId', key)) FROM unnest('{iso-a,iso-b}'::text[]) AS t, person \g /dev/null
CREATE TEMP TABLE key_lock AS SELECT l.objid::bigint AS objid, array_agg(DISTINCT (l.objsubid & 255)::bigint ORDER BY (l.objsubid & 255)::bigint) AS buckets FROM pg_locks AS l
	WHERE l.locktype = 'object' AND l.pid = pg_backend_pid() AND l.classid = 'mindtickle.users'::regclass GROUP BY l.objid;
SELECT is(count(*) || ' ' || count(DISTINCT buckets), '2 2', 'locks on the keys of two tenants'' users are seen, of the same keys others') FROM key_lock WHERE cardinality(buckets) > 10;
SELECT is_empty($$SELECT t, seed FROM unnest('{iso-a,iso-b}'::text[]) AS t, seed, unnest(ARRAY[hashtext(t), hashtextextended(t, seed)]) AS h
	WHERE (h & 4294967295) IN (SELECT objid FROM key_lock)$$, 'and name no tenant');
SELECT is_empty($$SELECT l.objid, s.seed, h.kind FROM key_lock AS l, (TABLE seed UNION SELECT objid FROM key_lock) AS s (seed), person AS p,
		unnest(ARRAY[hashtext(p.key), hashtextextended(p.key, s.seed)]) WITH ORDINALITY AS h (hash, kind)
	WHERE cardinality(l.buckets) > 10 GROUP BY l.objid, s.seed, h.kind HAVING bool_and((h.hash & 255) = ANY (l.buckets))$$, 'nor whom one knows by them');
ROLLBACK TO locking;

-- Dropping one tenant leaves the other.
SELECT mt_drop_tenant('iso-a') \g /dev/null
SELECT is_empty($$SELECT name FROM pg_temp.rows_of('iso-a') WHERE rows > 0$$, 'a dropped tenant is in no table');
SELECT is_empty($$SELECT * FROM pg_temp.rows_of('iso-b') EXCEPT SELECT * FROM before$$, 'the other one is as it was');

SELECT * FROM finish();
ROLLBACK;
