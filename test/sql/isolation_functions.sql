\set ECHO none
-- The matrix of functions: every function of the extension that is told a tenant, called for another tenant by each role, with each context and with
-- several sets of other arguments, is refused in the words in which a tenant that does not exist is refused. Called for the own tenant with ids and
-- documents of the other one, none gives or changes anything of it. And an admin reaches nothing beyond his tenant.
--
-- Functions come from the catalogs. The last part adds a careless function and sees the matrix fail.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/every_table.sql
\i :inputdir/sql/include/attack.sql
SET LOCAL client_min_messages = error;
-- As the marks are written.
SET LOCAL datestyle = 'ISO';
SELECT plan(26);

DROP ROLE IF EXISTS fx_reader, fx_writer, fx_admin, fx_member, fx_pool, fx_nobody, fx_theirs;
CREATE ROLE fx_reader;
CREATE ROLE fx_writer;
CREATE ROLE fx_admin;
CREATE ROLE fx_member IN ROLE fx_admin;
CREATE ROLE fx_pool;
CREATE ROLE fx_nobody;
CREATE ROLE fx_theirs;
SELECT mt_create_tenant('fx-a', 'canary own'), mt_create_tenant('fx-b', 'canary b7') \g /dev/null
SELECT mt_grant_tenant('fx-a', 'fx_reader', 'reader'), mt_grant_tenant('fx-a', 'fx_writer', 'writer'), mt_grant_tenant('fx-a', 'fx_admin', 'admin'),
	mt_grant_tenant('fx-a', 'fx_pool', 'admin', true), mt_grant_tenant('fx-b', 'fx_theirs', 'admin') \g /dev/null
SELECT pg_temp.fill_every_table('fx-a', 'own'), pg_temp.fill_every_table('fx-b', 'b7') \g /dev/null
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.rows_of('fx-b');
CREATE TEMP TABLE objects_before AS SELECT * FROM pg_temp.objects();

-- The functions, and what each argument may be: fitting, NULL, or odd. {t} is the tenant.
CREATE TEMP TABLE argument (type regtype, fitting text, odd text);
INSERT INTO argument VALUES ('text', '''sql''', ''''''), ('name', '''fx_reader''', '''fx none such'''), ('jsonb', '''{"userId": "user b7"}''', '''[{"": [1e9]}, null]'''), ('bool', 'true', 'false'),
	('int4', '10', '''-2147483648'''), ('int8', '1', '''-9223372036854775808'''), ('numeric', '1', '''NaN'''), ('oid', '''mindtickle.users''::regclass', '0'), ('regclass', '''mindtickle.users''', '0'),
	('bytea', '''x''', ''''''), ('bytea[]', '''{}''', '''{NULL,"\\xff"}'''), ('int4[]', '''{1}''', '''{NULL}'''), ('text[]', '''{sql}''', '''{{a,NULL},{"",b}}'''), ('name[]', '''{fx_reader}''', '''{}'''),
	('regclass[]', '''{}''', '''{0}'''), ('timestamptz', 'now()', '''-infinity'''), ('timestamptz[]', 'ARRAY[now()]', '''{}'''), ('date', '''2026-01-02''', '''infinity'''),
	('interval', '''1 s''', '''-1 s'''), ('json', '''{}''', '''[]'''), ('xid8', '''1''', '''0''');
CREATE FUNCTION pg_temp.functions() RETURNS TABLE (signature text, for_all bool, variant text, statement text) LANGUAGE sql AS $$
	SELECT p.oid::regprocedure::text, has_function_privilege('fx_nobody', p.oid, 'EXECUTE'), v.variant,
		format('SELECT x::text FROM %s(%s) AS x', p.oid::regproc, string_agg(CASE
			WHEN p.proargnames[a.place] IN ('tenant', 'tenant_id') THEN '''{t}''' WHEN p.proargnames[a.place] = 'tenants' THEN '''{{t}}'''
			WHEN v.variant = 'null' THEN 'NULL' WHEN v.variant = 'odd' THEN g.odd ELSE g.fitting END || '::' || format_type(a.type, NULL), ', ' ORDER BY a.place))
	FROM pg_proc AS p JOIN pg_temp.extension_object AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid,
		unnest(p.proargtypes) WITH ORDINALITY AS a (type, place) LEFT JOIN argument AS g ON g.type = a.type, unnest('{fitting,null,odd}'::text[]) AS v (variant)
	WHERE p.proargnames[1:p.pronargs] && '{tenant,tenant_id,tenants}'
	GROUP BY p.oid, v.variant
$$;
CREATE TEMP TABLE function AS SELECT * FROM pg_temp.functions();
SELECT is_empty('SELECT signature FROM function WHERE statement IS NULL', 'there is a value for each argument');
SELECT is((SELECT string_agg(DISTINCT signature, E'\n' ORDER BY signature) FROM function WHERE for_all),
	'mindtickle.event_kept(text,bigint)
mindtickle.row_allowed(text,oid)
mt_ack_events(text,text,bigint)
mt_aggregate_readiness(text)
mt_cancel_job(text,bigint)
mt_configure_tenant(text,jsonb)
mt_create_token(text,text,text[],interval)
mt_deactivate_user(text,text)
mt_drop_consumer(text,text)
mt_erase_user(text,text)
mt_event_channel(text,text)
mt_export_user(text,text)
mt_get_course_catalog(text)
mt_get_user_roster(text)
mt_invalidate_tenant(text)
mt_poll_events(text,text,integer)
mt_process_quiz_result(text,jsonb)
mt_provision_user(text,jsonb)
mt_readiness(text)
mt_readiness_by_course(text)
mt_readiness_by_team(text)
mt_readiness_by_user(text)
mt_readiness_trend(text,date,date)
mt_readiness_trend(text,date,date,text,text)
mt_rebuild_readiness(text)
mt_replay_dead_letter(text,bigint)
mt_revoke_token(text,text)
mt_scim_request(text,text,text,text,jsonb,bytea)
mt_scim_request(text,text,text,text,jsonb,text)
mt_set_tenant(text,text)
mt_sync_course_progress(text,text,interval)
mt_sync_tenant(text)
mt_test_connection(text,interval)
mt_upsert_progress(text,text,jsonb)
mt_verify_readiness(text)', 'these functions with a tenant may be called by everybody');
SELECT set_eq('SELECT signature FROM function', $$SELECT p.oid::regprocedure::text FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'mindtickle'
		JOIN pg_proc AS p ON p.oid = d.objid WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
			AND pg_get_function_identity_arguments(p.oid) ~ '(^|, )tenant(s|_id)? '$$, 'no function with a tenant is left out');
SELECT is((SELECT string_agg(p.oid::regprocedure::text, ' ' ORDER BY p.oid::regprocedure::text COLLATE "C") FROM pg_proc AS p
		JOIN pg_temp.extension_object AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
		WHERE has_function_privilege('fx_nobody', p.oid, 'EXECUTE') AND p.oid::regprocedure::text NOT IN (SELECT signature FROM function)),
	'mindtickle.acting_as_service() mindtickle.event_consumers() mindtickle.events_on_disk() mindtickle.visible_tenants() mt_current_tenant() mt_handle_scim_event(jsonb) mt_score_quiz(jsonb) mt_whoami()', 'these others too');
SELECT is_empty($$SELECT r, s, t, h.* FROM unnest('{fx_reader,fx_writer,fx_admin,fx_pool,fx_nobody}'::text[]) AS r, unnest('{"",fx-a,fx-b}'::text[]) AS s, unnest('{fx-b,fx-0}'::text[]) AS t,
		pg_temp.heard(r, s, format('SELECT mt_handle_scim_event(''{"tenantId": "%s", "operation": "UPDATE", "user": {"id": "user b7", "title": "x"}}'')', t)) AS h
	WHERE h.state <> '42501' OR h.heard <> format(E'permission denied for tenant "%s"|SELECT * FROM mt_whoami() shows the tenants that your role may act for.\n', t)$$,
	'one that is told its tenant by a document refuses another one''s');
SELECT is_empty($$SELECT r, h.* FROM unnest('{fx_writer,fx_admin}'::text[]) AS r, unnest('{CREATE,UPDATE,DELETE}'::text[]) AS o,
		pg_temp.heard(r, '', format('SELECT mt_handle_scim_event(''{"operation": "%s", "user": {"id": "user b7", "mindtickleId": "mindtickle b7", "scimExternalId": "canary b7", "email": "canary b7"}}'')', o)) AS h
	WHERE o <> 'CREATE' AND (h.state <> 'P0002' OR h.heard !~ '^there is no such user')$$, 'and finds nobody by another one''s ids');
SELECT is((SELECT string_agg(concat_ws(' ', r, s || ':', trim((pg_temp.heard(r, s, q)).heard, E'()"\n')), ', ' ORDER BY r, s) FROM unnest('{fx_admin,fx_pool,fx_nobody}'::text[]) AS r, unnest('{"",fx-a,fx-b}'::text[]) AS s,
		concat('SELECT concat_ws('' '', mindtickle.visible_tenants(), mindtickle.acting_as_service(), mt_current_tenant(), tenant_id, access, ',
			'(SELECT string_agg(g ->> ''tenant'', ''+'') FROM jsonb_array_elements(grants) AS g)) FROM mt_whoami()') AS q),
	'fx_admin : {fx-a} f fx-a fx-a admin fx-a, fx_admin fx-a: {fx-a} f fx-a fx-a admin fx-a, fx_admin fx-b: {} f fx-a, fx_nobody : {} f, fx_nobody fx-a: {} f, fx_nobody fx-b: {} f, '
	'fx_pool : {} f fx-a, fx_pool fx-a: {} f fx-a, fx_pool fx-b: {} f fx-a', 'which tell of the own tenant alone');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_temp.extension_object AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid WHERE p.prosecdef AND has_function_privilege('fx_nobody', p.oid, 'EXECUTE')$$,
	'and none of these runs with its owner''s rights');

-- For another tenant.
CREATE TEMP TABLE caller AS
	SELECT r AS role_name, s AS setting FROM unnest('{fx_reader,fx_writer,fx_admin,fx_member,fx_pool,fx_nobody}'::text[]) AS r, unnest('{"",fx-a,fx-b,fx-0}'::text[]) AS s;
CREATE TEMP TABLE call (role_name text, setting text, signature text, for_all bool, variant text, statement text, state text, heard text, absent_state text, absent_heard text);
CREATE FUNCTION pg_temp.call_all() RETURNS void LANGUAGE sql AS $$
	TRUNCATE call;
	INSERT INTO call SELECT c.*, f.*, h.*, o.state, replace(o.heard, 'fx-0', 'fx-b') FROM caller AS c, function AS f,
		pg_temp.heard(c.role_name, c.setting, replace(f.statement, '{t}', 'fx-b')) AS h, pg_temp.heard(c.role_name, c.setting, replace(f.statement, '{t}', 'fx-0')) AS o;
$$;
-- A STRICT function is not called at all where something is NULL; what has no tenant as far as it is told cannot be asked for it.
CREATE TEMP VIEW accepted AS SELECT * FROM call WHERE state <> '42501' AND NOT (variant = 'null' AND state = '00000' AND heard IN ('', E'()\n'));
CREATE TEMP VIEW told AS SELECT * FROM call WHERE state <> absent_state OR heard <> absent_heard OR heard ~ pg_temp.mark_of('b7', false);
SELECT pg_temp.call_all() \g /dev/null
SELECT cmp_ok((SELECT count(*) FROM call), '>=', 3000::bigint, 'so many calls are made');
SELECT is_empty('SELECT role_name, setting, signature, variant, state, heard FROM accepted', 'all are refused to roles of another tenant');
SELECT is_empty('SELECT role_name, setting, signature, variant, heard, absent_heard FROM told', 'in the words in which a tenant that does not exist is refused');
SELECT is_empty($$SELECT role_name, setting, signature, variant, heard FROM call WHERE state = '42501' AND heard NOT IN
		(E'permission denied for tenant "fx-b"|SELECT * FROM mt_whoami() shows the tenants that your role may act for.\n',
		 format(E'permission denied for function %s\n', substring(signature FROM '(\w+)\(')))$$, 'which are these');
SELECT is_empty($$SELECT signature FROM call WHERE for_all <> (heard !~ '^permission denied for function') AND NOT (variant = 'null' AND heard IN ('', E'()\n'))$$, 'internal ones as functions that are nobody''s');
SAVEPOINT theirs;
SELECT is_empty($$SELECT f.signature, h.heard FROM function AS f, pg_temp.heard('fx_theirs', '', replace(f.statement, '{t}', 'fx-b')) AS h
	WHERE f.for_all AND f.variant = 'fitting' AND h.state = '42501' AND h.heard !~ 'permission denied for tenant'$$, 'the other tenant''s admin gets past that');
SELECT is((SELECT string_agg(h.state, ' ' ORDER BY h.state) FROM function AS f, pg_temp.heard('fx_theirs', '', replace(f.statement, '{t}', 'fx-b')) AS h WHERE f.signature ~ '^mt_(aggregate_)?readiness' AND f.variant = 'fitting'),
	'00000 00000 00000 00000 00000 00000 22023', 'and gets answers, also to a scope that is none');
ROLLBACK TO theirs;

-- Names that cannot be a tenant's.
CREATE TEMP TABLE bad_name (name text);
INSERT INTO bad_name VALUES (''), ('%'), ('fx%'), ('_x-b'), ('*'), ('fx-b''; SELECT 1; --'), ('''fx-b'''), ('"fx-b"'), ('FX-B'), ('Fx-b'), (' fx-b'), ('fx-b '), ('fx-a,fx-b'), ('-fx'),
	('fx.b'), ('fx/b'), ('../fx-b'), (E'fx-b\n'), (E'\tfx-b'), ('fx-b' || U&'\200B'), ('ﬀx-b'), ('fx-' || repeat('b', 30)), (repeat('b', 33)), (repeat('b', 1000000)), ('mtk_' || repeat('0', 64));
SELECT is_empty($$SELECT c.role_name, f.signature, left(b.name, 40), h.state, left(h.heard, 200)
	FROM (VALUES ('fx_nobody'), ('fx_admin')) AS c (role_name), function AS f, bad_name AS b, pg_temp.heard(c.role_name, '', replace(f.statement, '''{t}''', quote_literal(b.name))) AS h
	WHERE f.for_all AND f.variant = 'fitting' AND f.signature !~ 'row_allowed' AND (h.state <> '22023' OR h.heard <>
		E'invalid tenant id|A tenant id has 1 to 32 characters of a-z, 0-9, "_" and "-", and begins with a letter or digit.\n')$$, 'a name that is none is refused, and not repeated');
SELECT is_empty($$SELECT c.role_name, b.name, h.state, left(h.heard, 200) FROM (VALUES ('fx_nobody'), ('fx_admin')) AS c (role_name), bad_name AS b,
		pg_temp.heard(c.role_name, '', format('SELECT mindtickle.row_allowed(%L)', b.name)) AS h WHERE h.state <> '42501' OR length(h.heard) > 200$$, 'row_allowed refuses it as a tenant');
SELECT is_empty($$SELECT f.signature, h.state, h.heard FROM function AS f, pg_temp.heard('fx_admin', '', replace(f.statement, '''{t}''', 'convert_from(''\x66780062'', ''UTF8'')')) AS h
	WHERE f.for_all AND f.variant = 'fitting' AND h.state <> '22021'$$, 'a NUL does not get as far as the function');

-- For the own tenant, with ids and documents of the other.
SAVEPOINT smuggling;
CREATE TEMP TABLE document (body jsonb);
INSERT INTO document SELECT d || jsonb_build_object('tenantId', 'fx-b', 'tenant_id', 'fx-b', 'tenant', 'fx-b') FROM (VALUES
	('{"userId": "user b7", "email": "canary b7", "managerId": "manager b7", "attributes": {"tenant_id": "fx-b"}, "active": false}'::jsonb),
	('{"mindtickleId": "mindtickle b7", "scimExternalId": "canary b7", "userName": "canary b7"}'),
	('{"userId": "user b7", "courseId": "course b7", "quizId": "quiz b7", "submittedAt": "2026-01-02T03:04:05Z", "score": 1, "answers": []}'),
	('{"courseId": "course b7", "status": "completed", "score": 1, "updatedAt": "2026-01-02T03:04:05Z"}'),
	('{"timezone": "UTC", "role_map": {"fx-b": "admin"}, "learning_site": "https://fx-b"}')) AS t (d);
CREATE TEMP TABLE smuggled AS
	SELECT c.role_name, f.signature, h.state, h.heard FROM unnest('{fx_writer,fx_admin}'::text[]) AS c (role_name), document AS d, unnest('{user b7,course b7,canary b7,fx-b}'::text[]) AS i (id), function AS f,
		pg_temp.heard(c.role_name, '', replace(replace(replace(f.statement, '{t}', 'fx-a'), '''sql''', quote_literal(i.id)), '''{"userId": "user b7"}''',
			quote_literal(CASE WHEN f.signature ~ 'upsert_progress' THEN jsonb_build_array(d.body) ELSE d.body END))) AS h
	WHERE f.for_all AND f.variant = 'fitting';
SELECT is_empty($$SELECT * FROM smuggled WHERE replace(heard, 'canary b7', '') ~ pg_temp.mark_of('b7', false)$$, 'for the own tenant no function gives anything of the other');
SELECT cmp_ok((SELECT count(DISTINCT signature) FROM smuggled WHERE state = '00000'), '>=', 9::bigint, 'though most of these calls succeed');
SELECT set_eq('SELECT * FROM pg_temp.rows_of(''fx-b'')', 'SELECT * FROM before', 'nor changes a row of it');
ROLLBACK TO smuggling;

-- What an admin may not set for his tenant, because it would reach beyond it: where calls go, how many, how much is kept, by which key.
SELECT is((SELECT string_agg(d.name || CASE WHEN h.state = '00000' THEN '' ELSE ' ' || h.state END, ', ' ORDER BY d.name)
		FROM mindtickle.setting_definitions() AS d, pg_temp.heard('fx_admin', '', format('SELECT mt_configure_tenant(''fx-a'', jsonb_build_object(%L, NULL))', d.name)) AS h),
	'allow_http 42501, base_urls 42501, cache_bytes 42501, company_id 42501, contract 42501, event_limit 42501, freshness, groups, learning_site, profile_map, push_users 42501, queue_limit 42501, '
	'ready_completion, ready_score, reporting_url 42501, requests_per_hour 42501, requests_per_minute 42501, requests_per_second 42501, retain_dead_letters 42501, '
	'retain_events 42501, retain_jobs 42501, retain_reports 42501, role_map, scim_url 42501, sync_interval, timezone', 'an admin sets no address, no budget and no bound');
SELECT is_empty($$SELECT s, h.* FROM unnest(ARRAY['SELECT mt_set_credential(''fx-a'', ''{"api_key": {"file": "../fx-b/api_key"}}'')', 'SELECT mt_set_credential(''fx-a'', ''{"api_key": "x"}'')',
		'SELECT mt_grant_tenant(''fx-a'', ''fx_nobody'', ''reader'')', 'SELECT mt_grant_tenant(''fx-b'', ''fx_admin'', ''reader'')', 'SELECT mt_revoke_tenant(''fx-b'', ''fx_theirs'')',
		'SELECT mt_create_tenant(''fx-c'', ''C'')', 'SELECT mt_drop_tenant(''fx-a'')', 'SELECT mt_suspend_tenant(''fx-b'')', 'SELECT mt_resume_tenant(''fx-a'')', 'SELECT mt_setup()',
		'SELECT * FROM mt_check()', 'SELECT * FROM mt_verify_isolation()', 'SELECT mt_confirm_site()', 'SELECT mt_create_token(NULL, ''m'', ''{metrics}'')', 'SELECT mt_revoke_token(NULL, ''m'')',
		'SELECT mindtickle.read_secret_file(''fx-a'', ''api_key'')', 'SELECT mindtickle.enter_tenant(''fx-a'')', 'SELECT mindtickle.begin_probe()', 'SELECT mindtickle.take_alerts()',
		'SELECT * FROM mindtickle.credential_of(''fx-a'')', 'SELECT * FROM mindtickle.sync_overview()']) AS s, pg_temp.heard('fx_admin', '', s) AS h
	WHERE h.state <> '42501' OR h.heard !~ '^permission denied(:| for function)'$$, 'nor has he a key, a grant or a worker''s function');

-- The matrix can fail: functions that believe their argument.
SAVEPOINT weak;
CREATE FUNCTION mt_careless(tenant text) RETURNS text LANGUAGE sql SECURITY DEFINER SET mindtickle.tenant = 'fx-b' AS $$ SELECT string_agg(u::text, '') FROM mindtickle.users AS u WHERE tenant_id = tenant $$;
CREATE FUNCTION mt_telling(tenant text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles) OR tenant = 'fx-0' THEN
		RAISE EXCEPTION 'tenant "%" does not exist', tenant USING ERRCODE = '42704';
	END IF;
	RAISE EXCEPTION 'permission denied for tenant "%"', tenant USING ERRCODE = '42501';
END
$$;
ALTER EXTENSION mindtickle ADD FUNCTION mt_careless(text);
ALTER EXTENSION mindtickle ADD FUNCTION mt_telling(text);
TRUNCATE function, caller;
INSERT INTO function SELECT * FROM pg_temp.functions() WHERE signature ~ '^mt_(careless|telling|readiness)';
INSERT INTO caller VALUES ('fx_nobody', '');
SELECT pg_temp.call_all() \g /dev/null
SELECT is((SELECT string_agg(DISTINCT 'accepted ' || signature, ', ') FROM accepted) || '; ' || (SELECT string_agg(DISTINCT 'told ' || signature, ', ') FROM told),
	'accepted mt_careless(text); told mt_careless(text), told mt_telling(text)', 'functions that give, or tell what there is, are found');
ROLLBACK TO weak;

SELECT set_eq('SELECT * FROM pg_temp.rows_of(''fx-b'')', 'SELECT * FROM before', 'the other tenant''s rows are as they were');
SELECT set_eq('SELECT * FROM pg_temp.objects()', 'SELECT * FROM objects_before', 'and so are the extension''s objects');
SELECT * FROM finish();
ROLLBACK;
