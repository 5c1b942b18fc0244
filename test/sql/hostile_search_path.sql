\set ECHO none
-- A caller who puts operators, functions, aggregates, types and relations of his own first in the search_path: every function and view of the
-- extension is used, and none of his things runs. That they do run where nothing protects from them is shown first.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(18);

DROP ROLE IF EXISTS hp_admin, hp_spare;
CREATE ROLE hp_admin;
CREATE ROLE hp_spare;
SELECT mt_create_tenant('hp', 'Hostile'), mt_create_tenant('hp-drop', 'Dropped'), mt_grant_tenant('hp', 'hp_admin', 'admin'), mt_set_credential('hp', '{"api_key": "k"}'),
	mt_provision_user('hp', '{"userId": "u0", "email": "zero@example.com"}'), mt_upsert_progress('hp', 'u0', '[{"courseId": "c0", "status": "completed"}]') \g /dev/null

-- What runs advances a sequence, which no error takes back.
CREATE SCHEMA hostile;
GRANT ALL ON SCHEMA hostile TO PUBLIC;
CREATE SEQUENCE hostile.ran;
GRANT ALL ON SEQUENCE hostile.ran TO PUBLIC;
CREATE FUNCTION hostile.note() RETURNS bool LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN PERFORM nextval('hostile.ran'); RETURN true; END $$;

CREATE FUNCTION pg_temp.make_hostile() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	thing record;
	operators int := 0;
	functions int := 0;
	plain regtype[] := '{text,name,int2,int4,int8,numeric,float8,bool,date,timestamptz,interval,json,jsonb,oid,bytea,regclass,text[],anyelement,anyarray,anynonarray}';
BEGIN
	-- Every operator of pg_catalog for these types.
	FOR thing IN SELECT oprname AS name, nullif(oprleft, 0)::regtype AS l, oprright::regtype AS r, oprresult::regtype AS result FROM pg_operator
		WHERE oprnamespace = 'pg_catalog'::regnamespace AND (oprleft = 0 OR oprleft = ANY (plain)) AND oprright = ANY (plain) AND oprresult = ANY (plain)
	LOOP
		operators := operators + 1;
		EXECUTE format('CREATE FUNCTION hostile.operator_%s(%s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN NULL; END''',
			operators, concat_ws(', ', thing.l, thing.r), thing.result);
		EXECUTE format('CREATE OPERATOR hostile.%s (%s RIGHTARG = %s, FUNCTION = hostile.operator_%s)', thing.name, 'LEFTARG = ' || thing.l || ',', thing.r, operators);
	END LOOP;
	-- Every function of pg_catalog whose types are among them.
	FOR thing IN SELECT proname AS name, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result, proretset FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND proallargtypes IS NULL AND provariadic = 0
			AND prorettype = ANY (plain) AND (SELECT coalesce(bool_and(a = ANY (plain)), true) FROM unnest(proargtypes::oid[]) AS a)
			AND NOT (prorettype = ANY ('{anyelement,anyarray,anynonarray}'::regtype[]) AND NOT proargtypes::oid[] && '{anyelement,anyarray,anynonarray}'::regtype[]::oid[])
	LOOP
		functions := functions + 1;
		EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); %s END''',
			thing.name, thing.arguments, thing.result, CASE WHEN thing.proretset THEN 'RETURN;' ELSE 'RETURN NULL;' END);
	END LOOP;
	-- Those that take any number of arguments.
	FOR thing IN SELECT n AS name, t AS type FROM unnest('{format,concat,concat_ws,jsonb_build_object,json_build_object,jsonb_build_array,coalesce,greatest,nullif}'::text[]) AS n, unnest('{text,name,regclass,int8}'::text[]) AS t LOOP
		EXECUTE format('CREATE FUNCTION hostile.%I(VARIADIC %s[]) RETURNS text LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN NULL; END''', thing.name, thing.type);
	END LOOP;
	-- Aggregates.
	CREATE FUNCTION hostile.step(state int8) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.note(); RETURN 0; END';
	CREATE AGGREGATE hostile.count(*) (SFUNC = hostile.step, STYPE = int8, INITCOND = '0');
	FOR thing IN SELECT * FROM (VALUES ('count', 'text'), ('count', 'numeric'), ('sum', 'int8'), ('sum', 'numeric'), ('min', 'timestamptz'), ('max', 'int8'), ('max', 'timestamptz'), ('max', 'text'), ('string_agg', 'text, text'),
		('jsonb_object_agg', 'text, jsonb'), ('jsonb_agg', 'jsonb'), ('array_agg', 'text'), ('bool_and', 'bool'), ('bool_or', 'bool')) AS a (name, arguments)
	LOOP
		EXECUTE format('CREATE OR REPLACE FUNCTION hostile.step(int8, %s) RETURNS int8 LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN 0; END''', thing.arguments);
		EXECUTE format('CREATE AGGREGATE hostile.%s(%s) (SFUNC = hostile.step, STYPE = int8, INITCOND = ''0'')', thing.name, thing.arguments);
	END LOOP;
	RETURN concat_ws(' ', operators, functions);
END
$$;

SET LOCAL check_function_bodies = off;
SELECT split_part(made, ' ', 1) AS operators, split_part(made, ' ', 2) AS functions FROM pg_temp.make_hostile() AS made \gset
SELECT cmp_ok(:operators, '>', 200, 'hostile operators');
SELECT cmp_ok(:functions, '>', 300, 'hostile functions');
-- Types under the names of those that the extension uses.
CREATE FUNCTION pg_temp.make_types() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{text,int4,int8,bool,numeric,jsonb,timestamptz,interval,name,bytea,regclass,regnamespace,float8,users,tenant}'::text[] LOOP
		EXECUTE format('CREATE DOMAIN hostile.%s AS pg_catalog.%s CHECK (hostile.note())', t, CASE WHEN t IN ('users', 'tenant') THEN 'text' ELSE t END);
	END LOOP;
END
$$;
SELECT pg_temp.make_types() \g /dev/null
-- Relations under the names of those that it reads, in the schema and as temporary ones, which come before pg_catalog where the path does not say otherwise.
CREATE FUNCTION pg_temp.make_relations() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r text;
	s text;
BEGIN
	FOREACH s IN ARRAY '{hostile,pg_temp}'::text[] LOOP
		FOREACH r IN ARRAY '{pg_roles,pg_class,pg_attribute,pg_auth_members,pg_extension,pg_timezone_names,pg_namespace,pg_authid}'::text[] LOOP
			EXECUTE format('CREATE VIEW %s.%I AS SELECT %s FROM pg_catalog.%I WHERE hostile.note()', s, r, CASE r WHEN 'pg_attribute' THEN 'attrelid, attname, attnum, attisdropped' ELSE '*' END, r);
			EXECUTE format('GRANT SELECT ON %s.%I TO PUBLIC', s, r);
		END LOOP;
		FOR r IN SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('users', 'tenant') LOOP
			EXECUTE format('CREATE VIEW %s.%I AS SELECT * FROM mindtickle.%I WHERE hostile.note()', s, r, r);
		END LOOP;
	END LOOP;
END
$$;
SELECT pg_temp.make_relations() \g /dev/null
SET LOCAL check_function_bodies = on;

-- Runs a statement as a role with that path and no other; 'ran' where anything hostile did, else 'ok' or the error.
CREATE FUNCTION pg_temp.hostile(role_name text, tenant text, statement text, path text DEFAULT 'hostile, pg_catalog, public') RETURNS text
	LANGUAGE plpgsql AS $$
DECLARE
	seen int8 := (SELECT last_value FROM hostile.ran);
	result text := 'ok';
	state text;
	message text;
BEGIN
	BEGIN
		PERFORM pg_catalog.set_config('mindtickle.tenant', tenant, true);
		PERFORM pg_catalog.set_config('role', role_name, true), pg_catalog.set_config('search_path', path, true);
		EXECUTE statement;
		PERFORM pg_catalog.set_config('search_path', 'public', true), pg_catalog.set_config('role', 'none', true), pg_catalog.set_config('mindtickle.tenant', '', true);
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
	END;
	IF state IS NOT NULL THEN
		result := state || ': ' || message;
	END IF;
	IF (SELECT last_value FROM hostile.ran) <> seen THEN
		result := 'ran ' || result;
	END IF;
	RETURN result;
END
$$;
SELECT nextval('hostile.ran') \g /dev/null

-- The trap works.
SELECT is_empty($$SELECT s, r FROM unnest(ARRAY['SELECT 1::pg_catalog.int4 = 1::pg_catalog.int4', 'SELECT ''a''::pg_catalog.text || ''b''::pg_catalog.text', 'SELECT lower(''A''::pg_catalog.text)', 'SELECT now()', 'SELECT count(*) FROM mindtickle.users',
		'SELECT ''x''::text', 'SELECT * FROM pg_roles', 'SELECT ''a''::pg_catalog.text OPERATOR(hostile.~) ''b''::pg_catalog.text', 'SELECT round(1.5::pg_catalog.numeric, 1::pg_catalog.int4)', 'SELECT format(''%s''::pg_catalog.text, ''x''::pg_catalog.text)',
		'SELECT unnest(''{1}''::pg_catalog.text[])', 'SELECT ''x''::pg_catalog.text = ANY (''{x}''::pg_catalog.text[])', 'SELECT jsonb_typeof(''{}''::pg_catalog.jsonb)', 'SELECT ''{}''::pg_catalog.jsonb ->> ''x''::pg_catalog.text',
		'SELECT * FROM outbox_0']) AS s, pg_temp.hostile('none', 'hp', s) AS r
	WHERE r NOT LIKE 'ran %'$$, 'hostile things run where nothing protects from them');

-- Calls that do what each function is for. Roles: hp_admin is the hostile one; what only the owner or the service role may call is called as those, with the
-- same path, for they may have a careless one.
CREATE TEMP TABLE call (place int GENERATED ALWAYS AS IDENTITY, role_name text, statement text);
INSERT INTO call (role_name, statement) VALUES
	('hp_admin', 'public.mt_current_tenant()'), ('hp_admin', 'mindtickle.visible_tenants()'), ('hp_admin', 'public.mt_whoami()'), ('hp_admin', 'public.mt_set_tenant(''hp'')'), ('hp_admin', 'mindtickle.row_allowed(''hp'')'), ('hp_admin', 'mindtickle.acting_as_service()'),
	('hp_admin', 'public.mt_configure_tenant(''hp'', ''{"freshness": "2 hours", "timezone": "Europe/Berlin", "role_map": {"a": "rep"}, "ready_score": 70}'')'),
	('hp_admin', 'public.mt_score_quiz(''[{"questionId": "a", "correct": true, "points": 1.5}, {"questionId": "b", "correct": false}]'')'),
	('hp_admin', 'public.mt_provision_user(''hp'', ''{"email": "One@example.com", "name": "One", "scimExternalId": "s1", "userName": "one"}'')'),
	('hp_admin', 'public.mt_provision_user(''hp'', ''{"email": "ONE@example.com", "mindtickleId": "m1", "title": "T", "attributes": {"a": 1}}'')'),
	('hp_admin', 'public.mt_process_quiz_result(''hp'', ''{"userId": "m1", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01", "maxScore": 10, "answers": [{"questionId": "a", "correct": true}]}'')'),
	('hp_admin', 'public.mt_process_quiz_result(''hp'', ''{"userId": "m1", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01", "maxScore": 10, "answers": [{"questionId": "a", "correct": true}]}'')'),
	('hp_admin', 'public.mt_upsert_progress(''hp'', ''m1'', ''[{"courseId": "c", "status": "completed", "score": 5, "updatedAt": "2026-01-01"}, {"courseId": "d", "status": "in_progress"}]'')'),
	('hp_admin', 'public.mt_upsert_progress(''hp'', ''m1'', ''[{"courseId": "c", "status": "in_progress", "score": 6, "updatedAt": "2026-01-02", "reset": true}, {"courseId": "d", "status": "in_progress"}]'')'),
	('hp_admin', 'public.mt_handle_scim_event(''{"tenantId": "hp", "operation": "CREATE", "user": {"id": "w1", "scimExternalId": "w", "email": "W@example.com", "role": "a"}}'')'), ('hp_admin', 'public.mt_get_user_roster(''hp'')'), ('hp_admin', 'public.mt_get_course_catalog(''hp'')'), ('hp_admin', 'public.mt_invalidate_tenant(''hp'')'), ('hp_admin', 'public.mt_readiness(''hp'')'), ('hp_admin', 'public.mt_aggregate_readiness(''hp'')'), ('hp_admin', 'public.mt_readiness_by_user(''hp'')'), ('hp_admin', 'public.mt_readiness_by_team(''hp'')'), ('hp_admin', 'public.mt_readiness_by_course(''hp'')'),
	('hp_admin', 'public.mt_readiness_trend(''hp'', NULL, NULL)'), ('hp_admin', 'public.mt_readiness_trend(''hp'', NULL, NULL, ''team'')'), ('hp_admin', 'public.mt_verify_readiness(''hp'')'), ('hp_admin', 'public.mt_rebuild_readiness(''hp'')'), ('hp_admin', 'public.mt_sync_tenant(''hp'')'), ('hp_admin', 'public.mt_deactivate_user(''hp'', ''s1'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''POST'', ''/Users'', NULL, ''{"Content-Type": "application/json"}'', ''{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "scim", "externalId": "hp-s", "title": "T", '
		'"emails": [{"value": "a@example.com"}, {"value": "b@example.com"}], "roles": [{"value": "a"}]}''::pg_catalog.bytea)'),
	('hp_admin', 'public.mt_provision_user(''hp'', ''{"userId": "hp-named", "userName": "named"}'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''POST'', ''/Groups'', NULL, NULL, ''{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "G", "members": [{"value": "hp-named"}]}'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''PATCH'', ''/Users/hp-named'', NULL, NULL, ''{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "add", "path": "emails[type eq \"work\"].value", "value": "n@example.com"}]}'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''DELETE'', ''/Users/hp-named'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''GET'', ''/Users'', ''sortBy=emails&filter=emails+eq+"b@example.com"+or+groups.display+pr+or+meta.created+gt+"2020-01-01T00:00:00Z"+or+not+(title+co+"x")'')'),
	('hp_admin', 'public.mt_scim_request(''hp'', ''GET'', ''/Groups'', ''sortBy=displayName&filter=members.display+ne+"x"'')'),
	('hp_admin', 'public.mt_export_user(''hp'', ''s1'')'), ('hp_admin', 'public.mt_erase_user(''hp'', ''w1'')'),
	('hp_admin', 'public.mt_create_token(''hp'', ''spare'', ''{sql,read}'', ''1 day'')'), ('hp_admin', 'public.mt_revoke_token(''hp'', ''spare'')'),
	('none', 'public.mt_create_token(NULL, ''hp'', ''{metrics}'')'), ('none', 'public.mt_revoke_token(NULL, ''hp'')'), ('none', 'mindtickle.begin_probe()'),
	('none', 'mindtickle.library_version()'), ('none', 'mindtickle.worker_state()'), ('none', 'mindtickle.wake_launcher()'), ('none', 'mindtickle.wake_sync()'), ('none', 'mindtickle.wake_aggregator()'), ('none', 'mindtickle.mark_readiness(''hp'')'), ('none', 'mindtickle.worker_stats()'), ('none', 'mindtickle.cache_stats()'), ('none', 'public.mt_setup()'),
	('none', 'public.mt_create_tenant(''hp-new'', ''New'')'), ('none', 'public.mt_suspend_tenant(''hp-drop'')'), ('none', 'public.mt_resume_tenant(''hp-drop'')'),
	('none', 'public.mt_grant_tenant(''hp'', ''hp_spare'', ''writer'')'), ('none', 'public.mt_grant_tenant(''hp'', ''hp_spare'', ''reader'', true)'), ('none', 'public.mt_revoke_tenant(''hp'', ''hp_spare'')'),
	('none', 'public.mt_set_credential(''hp'', ''{"api_key": "k2", "scim_token": {"file": "x"}}'')'), ('none', 'public.mt_set_credential(''hp'', ''{"scim_token": null}'')'),
	('none', 'public.mt_configure_tenant(''hp'', ''{"base_urls": ["https://a.example/v2"], "contract": "live", "sync_interval": "1 min", "push_users": true}'')'),
	('none', 'mindtickle.lock_tenant(''hp'')'), ('none', 'mindtickle.lock_tenant_for_drop(''hp-drop'')'), ('none', 'mindtickle.require_tenant(''hp'')'), ('none', 'public.mt_drop_tenant(''hp-drop'')'),
	('none', 'mindtickle.setting_definitions()'), ('none', 'mindtickle.default_settings()'), ('none', 'mindtickle.effective_settings(''hp'')'), ('none', 'mindtickle.setting_fault(''interval'', ''"x"'', 1, 2, false)'), ('none', 'mindtickle.setting_fault(''urls'', ''["https://a.example"]'', 1, 2, false)'),
	('none', 'mindtickle.merge_settings(''{}'', ''{"timezone": "UTC"}'', true)'), ('none', 'mindtickle.user_as_json((SELECT u FROM mindtickle.users AS u LIMIT 1))'),
	('none', 'mindtickle.scim_escaped(''a b'')'), ('none', 'mindtickle.scim_emails(''{"scim": {}}'', ''x'')'), ('none', 'mindtickle.further_addresses(''{"scim": {"emails": [{"value": "A"}]}}'', ''x'')'),
	('none', 'mindtickle.scim_inspect_filter(''User'', ''emails pr'')'), ('none', 'mindtickle.scim_inspect_path(''User'', ''emails[type eq "x"].value'', ''{}'')'),
	('none', 'mindtickle.provisional_reason(''hp'')'), ('none', 'mindtickle.count_readiness(''hp'')'), ('none', 'mindtickle.count_users(''hp'')'), ('none', 'mindtickle.count_courses(''hp'')'), ('none', 'mindtickle.is_truncated(''users'')'), ('none', 'mindtickle.credential_of(''hp'')'), ('none', 'mindtickle.credential_stored_at(''hp'')'), ('none', 'mindtickle.sync_since(''hp'', 0, ''progress'')'), ('none', 'mindtickle.sync_overview()'),
	('none', 'public.mt_check()'), ('none', 'public.mt_verify_isolation()'), ('none', 'public.mt_confirm_site()'), ('none', 'mindtickle.foreign_site_error()'),
	('none', 'mindtickle.check_list()'), ('none', 'mindtickle.check_server()'), ('none', 'mindtickle.check_workers()'), ('none', 'mindtickle.check_service_role()'), ('none', 'mindtickle.check_rights()'), ('none', 'mindtickle.check_owners()'),
	('none', 'mindtickle.check_tenant_roles()'), ('none', 'mindtickle.check_pooled_roles()'), ('none', 'mindtickle.check_grants()'), ('none', 'mindtickle.check_row_security()'), ('none', 'mindtickle.check_tables()'), ('none', 'mindtickle.check_views()'), ('none', 'mindtickle.check_functions()'),
	('none', 'mindtickle.check_additions()'), ('none', 'mindtickle.check_definitions()'), ('none', 'mindtickle.check_server_rights()'), ('none', 'mindtickle.present_functions()'), ('none', 'mindtickle.installed_functions()'), ('none', 'mindtickle.guarded_tables()'), ('none', 'mindtickle.child_relations()'), ('none', 'mindtickle.check_triggers()'), ('none', 'mindtickle.check_cache()'), ('none', 'mindtickle.own_objects()'), ('none', 'mindtickle.own_relations(''rv'')'), ('none', 'mindtickle.service_role()'), ('none', 'mindtickle.extension_owner()'),
	('none', 'mindtickle.role_text(10)'), ('none', 'mindtickle.granted_roles()'), ('none', 'mindtickle.unconfirmed_credentials()'), ('none', 'mindtickle.acting_roles()'), ('none', 'mindtickle.library_preloaded()'),
	('none', 'mindtickle.right_of_service(1259, 1, ''SELECT'')'), ('none', 'mindtickle.added_rights()'), ('none', 'mindtickle.role_dangers()'), ('none', 'mindtickle.expected_policy(''users'')'), ('none', 'mindtickle.tenant_tables()'),
	('none', 'mindtickle.invoker_view(''{security_invoker=on}'')'), ('none', 'mindtickle.add_probe_row(''mindtickle.course'', ''hp'')'), ('none', 'mindtickle.probe(''hp_admin'', ''hp'', ''SELECT'', ''{}'')'),
	('none', 'mindtickle.probe_role(''hp_admin'', ''{mt-probe-x,mt-probe-y}'', ''{mindtickle.users}'', ''{public.mt_users}'')'), ('none', 'mindtickle.probe_isolation()'),
	('mindtickle_service', 'mindtickle.enter_tenant(''hp'')'), ('mindtickle_service', 'mindtickle.emit_event(''hp'', ''user_changed'', ''{}'')'), ('mindtickle_service', 'mindtickle.request_sync(''hp'', ''x'')'), ('mindtickle_service', 'mindtickle.require_source(''hp'')'),
	('mindtickle_service', 'mindtickle.request_pull(''hp'', ''p1'')'), ('mindtickle_service', 'mindtickle.pull_result(1)'), ('mindtickle_service', 'mindtickle.take_sync_look()'), ('mindtickle_service', 'mindtickle.take_requests()'), ('mindtickle_service', 'mindtickle.requests_gone(''{1}'')'), ('mindtickle_service', 'mindtickle.request_step(1, ''x'')'), ('mindtickle_service', 'mindtickle.finish_request(1, NULL, ''P0002'', ''x'', ''y'')'),
	('mindtickle_service', 'mindtickle.take_marks()'), ('mindtickle_service', 'mindtickle.take_readiness_marks()'), ('mindtickle_service', 'mindtickle.worker_report(''x'', 1)'), ('mindtickle_service', 'mindtickle.worker_failed(''x'')'), ('mindtickle_service', 'mindtickle.tenant_exists(''hp'')'), ('mindtickle_service', 'mindtickle.take_alerts()'), ('mindtickle_service', 'mindtickle.record_alerts()'), ('mindtickle_service', 'mindtickle.sync_overview()'),
	('mindtickle_service', 'mindtickle.json_from_body(''{"a": 1}'')'), ('mindtickle_service', 'mindtickle.keep_dead_letter(''hp'', ''http'', ''quiz_results'', ''x'', ''y'')'), ('mindtickle_service', 'mindtickle.user_courses(''hp'', ''m1'')'), ('mindtickle_service', 'mindtickle.user_courses(''hp'', ''nobody'')'),
	('mindtickle_service', 'mindtickle.readiness_as_json(''hp'', true)'), ('mindtickle_service', 'mindtickle.readiness_as_json(''hp'', false)'), ('mindtickle_service', 'mindtickle.quiz_result_from_body(''hp'', ''{"userId": "m1", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-05"}'')'),
	('mindtickle_service', 'mindtickle.gateway_peers(''x'', 1)'), ('mindtickle_service', 'mindtickle.gateway_counts()'), ('mindtickle_service', 'mindtickle.gateway_count(''{}'', ''{}'')'), ('mindtickle_service', 'mindtickle.metrics()'), ('mindtickle_service', 'mindtickle.scim_request(''hp'', ''GET'', ''/Users'', ''count=1'', NULL, NULL, NULL, NULL)'),
	('mindtickle_service', 'mindtickle.reserve_budget(''{hp}'', pg_catalog.array_append(NULL, pg_catalog.now()), pg_catalog.array_append(NULL, ''{1}''::pg_catalog.text), ''{1}'', ''{1}'')'), ('mindtickle_service', 'mindtickle.budget_of(''hp'')'), ('mindtickle_service', 'mindtickle.sync_errand(''hp'')'), ('mindtickle_service', 'mindtickle.take_push_marks()'), ('mindtickle_service', 'mindtickle.push_next(''hp'', ''{}'', 10)'), ('mindtickle_service', 'mindtickle.push_due(''hp'')'), ('mindtickle_service', 'mindtickle.push_owner(''hp'', ''p1'', ''s'', ''x'')'), ('mindtickle_service', 'mindtickle.push_put_off(''hp'', ''p1'', 9, ''x'', ''y'')'), ('mindtickle_service', 'mindtickle.push_reject(''hp'', ''p1'', 9, ''x'', ''y'')'), ('mindtickle_service', 'mindtickle.push_done(''hp'', ''p1'', 9, ''s'')'), ('mindtickle_service', 'mindtickle.push_name_freed(''hp'', ''x'')'), ('mindtickle_service', 'mindtickle.push_refused(''hp'', ''x'')'), ('mindtickle_service', 'mindtickle.rest_reason(''hp'')'), ('mindtickle_service', 'mindtickle.errand_user(''hp'', ''p1'')'), ('mindtickle_service', 'mindtickle.progress_pulled(''hp'', ''p1'')'), ('mindtickle_service', 'mindtickle.next_pull(''hp'')'), ('mindtickle_service', 'mindtickle.tenant_stat(''hp'')'), ('none', 'mindtickle.tenant_stats()'), ('mindtickle_service', 'mindtickle.cancel_job(''hp'', 1, ''x'')'), ('mindtickle_service', 'mindtickle.sync_open(''hp'')'),
	('mindtickle_service', 'mindtickle.store_users(''hp'', 1, ''{"{\"mindtickleId\": \"p1\", \"email\": \"p1@example.com\"}", "{bad"}'')'), ('mindtickle_service', 'mindtickle.store_courses(''hp'', 1, ''{"{\"courseId\": \"c\", \"title\": \"C\"}", "[]"}'')'),
	('mindtickle_service', 'mindtickle.store_progress(''hp'', 1, ''p1'', ''{"{\"courseId\": \"c\", \"status\": \"completed\"}"}'')'),
	('mindtickle_service', 'mindtickle.store_quiz_results(''hp'', 1, ''{"{\"resultId\": \"r\", \"userId\": \"p1\", \"courseId\": \"c\", \"quizId\": \"q\", \"submittedAt\": \"2026-01-01\"}"}'')'),
	('mindtickle_service', 'mindtickle.source_settings(''hp'')'), ('mindtickle_service', 'mindtickle.probe_source(''hp'')'), ('mindtickle_service', 'mindtickle.note_site(''hp'', ''https://api.example.com'')'),
	('mindtickle_service', 'mindtickle.store_teams(''hp'', 1, ''{"{\"teamId\": \"t\", \"name\": \"T\"}", "{}"}'')'), ('mindtickle_service', 'mindtickle.store_team_members(''hp'', 1, ''t'', ''{"{\"mindtickleId\": \"p1\"}"}'')'),
	('mindtickle_service', 'mindtickle.store_series(''hp'', 1, ''{"{\"seriesId\": \"s\"}"}'')'), ('mindtickle_service', 'mindtickle.store_modules(''hp'', 1, ''s'', ''{"{\"courseId\": \"m\", \"kind\": \"ASSESSMENT\"}"}'')'),
	('mindtickle_service', 'mindtickle.store_history(''hp'', 1, ''p1'', ''{"{\"courseId\": \"m\", \"status\": \"in_progress\"}"}'')'),
	('mindtickle_service', 'mindtickle.store_reports(''hp'', 1, ''series/s'', ''{"{\"email\": \"P1@example.com\", \"courseId\": \"m\", \"status\": \"completed\", \"rawScore\": 1, \"maxScore\": 3, \"completedAt\": \"2026-01-01T00:00:00Z\"}"}'')'),
	('mindtickle_service', 'mindtickle.report_items(''hp'')'), ('mindtickle_service', 'mindtickle.sync_items(''hp'', 1, ''users'', '''', 10)'), ('mindtickle_service', 'mindtickle.sync_items(''hp'', 1, ''emails'', '''', 10)'),
	('mindtickle_service', 'mindtickle.sync_items(''hp'', 1, ''teams'', '''', 10)'), ('mindtickle_service', 'mindtickle.sync_items(''hp'', 1, ''series'', '''', 10)'), ('mindtickle_service', 'mindtickle.sync_items(''hp'', 1, ''reports'', '''', 10)'),
	('mindtickle_service', 'mindtickle.sync_costs(''hp'')'), ('mindtickle_service', 'mindtickle.sync_pass_phase(''hp'', 1, ''quiz_results'')'), ('mindtickle_service', 'mindtickle.sync_forget_seen(''hp'', 1, ''roster'')'),
	('mindtickle_service', 'mindtickle.settle_managers(''hp'', 1, true)'), ('mindtickle_service', 'mindtickle.forget_absent_groupings(''hp'', 1, ''series'')'), ('mindtickle_service', 'mindtickle.forget_absent_groupings(''hp'', 1, ''teams'')'),
	('mindtickle_service', 'mindtickle.sync_next_users(''hp'', 1, ''0'', 10)'), ('mindtickle_service', 'mindtickle.sync_advance(''hp'', 1, ''catalog'', ''{"page": 2}'', 1, 2)'), ('mindtickle_service', 'mindtickle.deactivate_absent_users(''hp'', 1)'),
	('mindtickle_service', 'mindtickle.sync_finish_phase(''hp'', 1, ''roster'', true, NULL)'), ('mindtickle_service', 'mindtickle.sync_finish_phase(''hp'', 1, ''catalog'', false, ''x'')'), ('mindtickle_service', 'mindtickle.sync_count(''hp'', 1, 1, 1, 1, 1, 1, 1, 1, 1)'),
	('mindtickle_service', 'mindtickle.sync_close(''hp'', 1, ''failed'', ''x'')'), ('mindtickle_service', 'mindtickle.end_waiting(''hp'')'), ('mindtickle_service', 'mindtickle.forget_listings(''hp'')'), ('mindtickle_service', 'mindtickle.rebuild_readiness(''hp'')'), ('mindtickle_service', 'mindtickle.sync_back_off(''hp'', pg_catalog.now(), ''x'')'),
	('mindtickle_service', 'mindtickle.readiness_details(''hp'', true)'), ('mindtickle_service', 'mindtickle.readiness_people(''hp'')'), ('mindtickle_service', 'mindtickle.readiness_by_user(''hp'')'), ('mindtickle_service', 'mindtickle.readiness_by_team(''hp'')'),
	('mindtickle_service', 'mindtickle.readiness_by_course(''hp'')'), ('mindtickle_service', 'mindtickle.readiness_trend(''hp'', NULL, NULL)'), ('mindtickle_service', 'mindtickle.readiness_trend_of(''hp'', NULL, NULL, ''course'', NULL)'), ('mindtickle_service', 'mindtickle.verify_readiness(''hp'')'), ('mindtickle_service', 'mindtickle.tenants_to_fold()'),
	('mindtickle_service', 'mindtickle.tend_readiness()'), ('mindtickle_service', 'mindtickle.move_readiness(''hp'')'), ('none', 'mindtickle.known_timezone(''Europe/Berlin'')'), ('mindtickle_service', 'mindtickle.readiness_days_due(pg_catalog.now())'), ('mindtickle_service', 'mindtickle.close_readiness_day(''hp'', pg_catalog.now())'),
	('mindtickle_service', 'mindtickle.readiness_reruns_due()'), ('mindtickle_service', 'mindtickle.rerun_readiness(''hp'')'), ('mindtickle_service', 'mindtickle.lock_reruns(''hp'')'), ('none', 'mindtickle.expected_triggers()'),
	('mindtickle_service', 'mindtickle.cache_version(''hp'', ''roster'')'), ('mindtickle_service', 'mindtickle.cache_document(''hp'', ''catalog'')'), ('mindtickle_service', 'mindtickle.render_roster(''hp'')'), ('mindtickle_service', 'mindtickle.render_catalog(''hp'')'),
	('mindtickle_service', 'mindtickle.trim_cache(''hp'')'), ('mindtickle_service', 'mindtickle.named_tables(''^event'', ''payload'')'), ('mindtickle_service', 'mindtickle.user_marks(''hp'', ''s1'')'),
	('mindtickle_service', 'mindtickle.without_marks(''[{"id": "s1", "x": "a@b"}]'', ''{s1}'', ''{a@b}'')'), ('mindtickle_service', 'mindtickle.event_about(''{"userId": "s1", "user": {"email": "A@b"}}'', ''{x}'', ''{a@b}'')'),
	('mindtickle_service', 'mindtickle.event_without(''{"user": {"managerId": "s1"}}'', ''hp'', ''{s1}'', ''{a@b}'', ''{a@b}'')'), ('mindtickle_service', 'mindtickle.bytes_as_json(''{}'')'),
	('mindtickle_service', 'mindtickle.letter_about(''users'', ''{"a@b'', ''{s1}'', ''{a@b}'', ''{n}'')'), ('mindtickle_service', 'mindtickle.json_escaped(''aé😀'')'), ('mindtickle_service', 'mindtickle.tells_of(''{}'', ''{a}'')'),
	('mindtickle_service', 'mindtickle.row_as_json(''{"tenant_id": 1, "a_b_c": 2}'')'), ('mindtickle_service', 'mindtickle.export_user(''hp'', ''s1'')'), ('mindtickle_service', 'mindtickle.erase_user(''hp'', ''s1'')'),
	('mindtickle_service', 'mindtickle.trim_tenant(''hp'')'), ('mindtickle_service', 'mindtickle.trim_events(''hp'', pg_catalog.now(), 1)'), ('mindtickle_service', 'mindtickle.tenants_to_publish()'), ('mindtickle_service', 'mindtickle.tend_events(true)'), ('mindtickle_service', 'mindtickle.empty_event_table(''outbox_0'')'),
	('mindtickle_service', 'mindtickle.notification_usage()'), ('mindtickle_service', 'mindtickle.longest_event_retention()'), ('none', 'mindtickle.queue_stats()'), ('none', 'mindtickle.event_consumers()'), ('none', 'mindtickle.event_kept(''hp'', 1)'),
	('none', 'mindtickle.event_waits(''hp'', 0, ''1'', 1)'), ('none', 'mindtickle.overflow_waits(''hp'', 1, 1)'), ('none', 'mindtickle.rings_are_whole()'), ('hp_admin', 'public.mt_event_channel(''hp'', ''quiz.completed'')'), ('hp_admin', 'public.mt_poll_events(''hp'', ''c'', 10)'),
	('hp_admin', 'public.mt_ack_events(''hp'', ''c'', 0)'), ('hp_admin', 'public.mt_drop_consumer(''hp'', ''c'')'), ('hp_admin', 'public.mt_replay_dead_letter(''hp'', 1)'),
	('mindtickle_service', 'mindtickle.replay_pull(''hp'', ''courses'', ''{"courseId": "again"}'')'),
	('mindtickle_service', 'mindtickle.replay_push(''hp'', ''users/p1'', '''')'), ('mindtickle_service', 'mindtickle.hold_events(''hp'')'), ('none', 'mindtickle.flush_wal()'), ('none', 'mindtickle.events_on_disk()'),
	('mindtickle_service', 'mindtickle.replay_scim(''hp'', ''POST /Users'', ''{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "again"}'')'),
	('mindtickle_service', 'mindtickle.replay_http(''hp'', ''quiz_results'', ''{"userId": "u", "courseId": "c", "quizId": "q", "submittedAt": "2026-02-02"}'')'),
	('mindtickle_service', 'mindtickle.replay_http(''hp'', ''scim_events'', ''{"operation": "CREATE", "user": {"id": "again"}}'')');
-- A letter to be replayed, and the job that is running, which the calls name.
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES ('hp', 'http', 'quiz_results', 'x', '{"userId": "u", "courseId": "c", "quizId": "q", "submittedAt": "2026-02-03"}') RETURNING letter_id AS letter \gset
UPDATE call SET statement = regexp_replace(statement, '1\)$', format('%s)', :letter)) WHERE statement ~ 'replay_dead_letter';
INSERT INTO mindtickle.sync_job (tenant_id, kind, state) OVERRIDING SYSTEM VALUE VALUES ('hp', 'user', 'running') RETURNING job_id AS job \gset
UPDATE call SET statement = regexp_replace(statement, '\(''hp'', 1,', format('(''hp'', %s,', :job)) WHERE role_name = 'mindtickle_service';
CREATE TEMP TABLE outcome AS
	SELECT c.place, c.role_name, c.statement, pg_temp.hostile(c.role_name, CASE WHEN c.statement ~ 'hp-' THEN '' ELSE 'hp' END, 'SELECT ' || c.statement) AS result
	FROM (SELECT * FROM call ORDER BY place) AS c;
SELECT is_empty($$SELECT role_name, left(statement, 100), result FROM outcome WHERE result <> 'ok' ORDER BY place$$, 'every function does its work and runs nothing of the caller''s');
-- Those whose call here can only fail.
INSERT INTO outcome SELECT 0, 'mindtickle_service', s, pg_temp.hostile('mindtickle_service', 'hp', 'SELECT ' || s) FROM unnest(ARRAY['mindtickle.enter_token(''x'', ''read'')', 'mindtickle.check_token(''x'', NULL)', 'mindtickle.refuse_tenant(''hp'')',
	'mindtickle.gateway_listens(NULL, ''x''::pg_catalog.int4)', 'mindtickle.scim_event_from_body(''x'')']) AS s;
SELECT is_empty($$SELECT statement, result FROM outcome WHERE place = 0 AND result !~ '^(28000|42501|22P02|42883|22023|22021): '$$, 'also where it fails');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_catalog.pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'mindtickle'
	WHERE p.prorettype <> 'trigger'::regtype AND p.proname NOT IN ('worker_attach', 'read_secret_file', 'fold_readiness', 'mt_sync_course_progress', 'mt_test_connection', 'mt_cancel_job', 'publish')
		AND NOT EXISTS (SELECT FROM outcome AS o WHERE o.statement ~ ('\.' || p.proname || '\('))$$, 'no function was forgotten');
SELECT matches(pg_temp.hostile('none', '', 'SELECT mindtickle.worker_attach(''none'')'), '^22023: ', 'worker_attach');
SELECT matches(pg_temp.hostile('none', '', 'SELECT mindtickle.read_secret_file(''hp'', ''x'')'), '^55000: ', 'read_secret_file');

-- Refusals and faults on the way there.
SELECT is_empty($$SELECT c, r FROM unnest(ARRAY['public.mt_readiness(''hp-other'')', 'public.mt_upsert_progress(''hp'', ''u'', ''{}'')', 'public.mt_process_quiz_result(''hp'', ''[]'')', 'public.mt_provision_user(''hp'', ''{}'')',
		'public.mt_configure_tenant(''hp'', ''{"base_urls": ["x"]}'')', 'public.mt_configure_tenant(''hp'', ''{"timezone": "x"}'')', 'public.mt_deactivate_user(''hp'', ''nobody'')', 'public.mt_score_quiz(''[7]'')', 'public.mt_test_connection(''hp'', ''0 s'')', 'public.mt_sync_course_progress(''hp'', ''u'')', 'public.mt_cancel_job(''hp'', 0)']) AS c,
	pg_temp.hostile('hp_admin', 'hp', 'SELECT ' || c) AS r WHERE r !~ '^(42501|22023|P0002|25001): '$$, 'errors run nothing either');
SELECT is_empty($$SELECT c, r FROM unnest(ARRAY['public.mt_create_tenant(''hp'', ''x'')', 'public.mt_create_tenant(''%'', ''x'')', 'public.mt_grant_tenant(''hp'', ''hp_none'', ''reader'')', 'public.mt_grant_tenant(''hp'', ''hp_spare'', ''x'')',
		'public.mt_drop_tenant(''hp-none'')', 'public.mt_set_credential(''hp'', ''{"x": 1}'')']) AS c, pg_temp.hostile('none', '', 'SELECT ' || c) AS r WHERE r !~ '^(42710|22023|42704): '$$, 'nor those of the owner''s functions');

-- Views and tables, with rows in them.
INSERT INTO mindtickle.event_0 (tenant_id, seq, topic, payload, created_at) VALUES ('hp', 1000, 'a', '{}', now());
INSERT INTO mindtickle.event_position_0 VALUES ('hp', 1000, 1000, 1000, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0);
SELECT is_empty($$SELECT v, r FROM (SELECT c.oid::regclass::text AS v FROM pg_catalog.pg_class AS c WHERE c.relkind = 'v' AND c.relname ~ '^mt_' AND c.relname NOT IN ('mt_security_alerts', 'mt_stat_cache', 'mt_stat_queue', 'mt_stat_tenant', 'mt_stat_worker') AND c.relnamespace = 'public'::regnamespace
		UNION ALL SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 'mindtickle'::regnamespace AND has_table_privilege('hp_admin', c.oid, 'SELECT')) AS v (v),
	pg_temp.hostile('hp_admin', 'hp', 'SELECT * FROM ' || CASE WHEN v ~ '\.' THEN v ELSE 'public.' || v END) AS r WHERE r <> 'ok'$$, 'views, tables and their policies');
SELECT is((SELECT count(*) FROM unnest('{mt_users,mt_courses,mt_course_progress,mt_quiz_results,mt_readiness_reports,mt_events,mt_dead_letters,mt_sync_jobs}'::text[]) AS v,
	pg_temp.as_role('hp_admin', format('SELECT count(*) FROM public.%I', v)) AS n WHERE n::int > 0), 8::bigint, 'which have rows');

-- Temporary relations alone, under the ordinary path, where they come first of all.
SELECT matches(pg_temp.hostile('none', '', 'SELECT * FROM pg_roles', '"$user", public'), '^ran ', 'a temporary relation comes before pg_catalog');
SELECT is_empty($$SELECT s, r FROM unnest(ARRAY['public.mt_setup()', 'public.mt_create_tenant(''hp-temp'', ''x'')', 'public.mt_grant_tenant(''hp-temp'', ''hp_spare'', ''reader'')', 'public.mt_configure_tenant(''hp-temp'', ''{"timezone": "UTC"}'')',
		'public.mt_aggregate_readiness(''hp-temp'')', 'public.mt_provision_user(''hp-temp'', ''{"userId": "u"}'')', 'public.mt_sync_tenant(''hp'')', 'public.mt_drop_tenant(''hp-temp'')']) AS s,
	pg_temp.hostile('none', '', 'SELECT ' || s, '"$user", public') AS r WHERE r <> 'ok'$$, 'and the functions do not take it');
SELECT is_empty($$SELECT s, r FROM unnest(ARRAY['public.mt_readiness(''hp'')', 'public.mt_provision_user(''hp'', ''{"userId": "u9"}'')', 'public.mt_configure_tenant(''hp'', ''{"timezone": "UTC"}'')', 'public.mt_whoami()']) AS s,
	pg_temp.hostile('hp_admin', 'hp', 'SELECT ' || s, 'pg_temp, hostile, pg_catalog') AS r WHERE r <> 'ok'$$, 'nor with pg_temp named first');

-- Other settings of the caller's that the functions must not follow.
CREATE FUNCTION pg_temp.with_setting(setting text, value text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config(setting, value, true);
	result := pg_temp.as_role('hp_admin', statement);
	RAISE EXCEPTION USING ERRCODE = 'MT000', MESSAGE = result;
EXCEPTION WHEN SQLSTATE 'MT000' THEN
	RETURN result;
END
$$;
SELECT is(pg_temp.with_setting('row_security', 'off', $$SELECT learners FROM mt_readiness('hp')$$), pg_temp.as_role('hp_admin', $$SELECT learners FROM mt_readiness('hp')$$), 'row_security = off');
SELECT is(pg_temp.with_setting('search_path', '', $$SELECT learners FROM public.mt_readiness('hp')$$), pg_temp.as_role('hp_admin', $$SELECT learners FROM mt_readiness('hp')$$), 'an empty search_path');
SELECT is(pg_temp.with_setting('transform_null_equals', 'on', $$SELECT mt_upsert_progress('hp', 'n', '[{"courseId": "c", "status": "completed", "score": null}]')$$), '1', 'transform_null_equals = on');

SELECT * FROM finish();
ROLLBACK;
