\set ECHO none
-- Every weakness that a DBA can make is made, found by exactly the check that is for it, and ended by the remedy that the check gives. A healthy
-- installation has none, and mt_verify_isolation leaves nothing behind.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql

-- The workers of a database that has just got the extension are not there yet.
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type IN ('mindtickle publisher', 'mindtickle aggregator', 'mindtickle sync')) = 3;
		PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
	END LOOP;
END
$$;
BEGIN;
SELECT plan(126);

DROP ROLE IF EXISTS wk_reader, wk_group, wk_member, wk_other, wk_monitor, wk_super;
CREATE ROLE wk_reader;
CREATE ROLE wk_group;
CREATE ROLE wk_member IN ROLE wk_group;
CREATE ROLE wk_other;
CREATE ROLE wk_monitor IN ROLE pg_monitor;
CREATE ROLE wk_super SUPERUSER;
SELECT mt_create_tenant('wk-a', 'A'), mt_create_tenant('wk-b', 'B'), mt_grant_tenant('wk-a', 'wk_reader', 'reader'), mt_grant_tenant('wk-b', 'wk_group', 'writer'),
	mt_set_credential('wk-a', '{"api_key": "k", "secret_key": "s"}'), mt_provision_user('wk-a', '{"userId": "u"}'), mt_provision_user('wk-b', '{"userId": "u"}') \g /dev/null

CREATE FUNCTION pg_temp.findings() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(check_name || ': ' || detail, E'\n' ORDER BY check_name, detail COLLATE "C"), 'none') FROM mt_check() WHERE NOT passed
$$;
CREATE FUNCTION pg_temp.failing_proofs() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(DISTINCT check_name, ' ' ORDER BY check_name), 'none') FROM mt_verify_isolation() WHERE NOT passed
$$;
-- Makes a weakness, and gives what mt_check finds, with 'left: ...' where the remedies do not end it. All of it is undone.
CREATE FUNCTION pg_temp.weakness(make text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
	remedies text[];
	remedy text;
	left_over text;
	message text;
BEGIN
	EXECUTE make;
	SELECT coalesce(string_agg(c.check_name || ': ' || c.detail, E'\n' ORDER BY c.check_name, c.detail COLLATE "C"), 'none'), coalesce(array_agg(c.remedy), '{}')
		INTO found, remedies FROM mt_check() AS c WHERE NOT c.passed;
	FOREACH remedy IN ARRAY remedies LOOP
		EXECUTE coalesce(remedy, 'there is no remedy');
	END LOOP;
	left_over := pg_temp.findings();
	RAISE EXCEPTION USING ERRCODE = 'MT111', MESSAGE = found || CASE WHEN left_over <> 'none' THEN E'\nleft: ' || left_over ELSE '' END;
EXCEPTION WHEN SQLSTATE 'MT111' THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
	RETURN message;
END
$$;
-- The same, and what mt_verify_isolation finds.
CREATE FUNCTION pg_temp.proof(make text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
BEGIN
	EXECUTE make;
	RAISE EXCEPTION USING ERRCODE = 'MT111', MESSAGE = pg_temp.failing_proofs();
EXCEPTION WHEN SQLSTATE 'MT111' THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
	RETURN message;
END
$$;

-- A healthy installation.
SELECT is(pg_temp.findings(), 'none', 'nothing is found where nothing is wrong');
SELECT results_eq('SELECT check_name FROM mt_check()', 'SELECT check_name FROM mindtickle.check_list()', 'every check tells that it found nothing');
SELECT is_empty('SELECT * FROM mt_check() WHERE detail IS NULL OR remedy IS NOT NULL', 'in words, and with no remedy');
SELECT is(pg_temp.failing_proofs(), 'none', 'isolation is proven');
SELECT results_eq($$SELECT check_name, detail FROM mt_verify_isolation() WHERE check_name = 'probe'$$,
	$$SELECT 'probe', format('role %s: %s tables and 18 views, 3 contexts, %s attempts: no foreign row', r, n, 3 * (4 * n + 20))
		FROM unnest('{wk_group,wk_reader}'::text[]) AS r, (SELECT count(*) FROM mindtickle.tenant_tables()) AS t (n)$$, 'for each role with a grant, by attempts on everything');

-- Row security.
SELECT is(pg_temp.weakness('DROP POLICY tenant_isolation ON mindtickle.users'), 'row_security: the policy tenant_isolation is missing on mindtickle.users', 'a policy dropped');
SELECT is(pg_temp.weakness('DROP POLICY tenant_isolation ON mindtickle.sync_budget; DROP POLICY tenant_isolation ON mindtickle.tenant; DROP POLICY tenant_isolation ON mindtickle.api_token'),
	E'row_security: the policy tenant_isolation is missing on mindtickle.api_token\nrow_security: the policy tenant_isolation is missing on mindtickle.sync_budget\n'
	'row_security: the policy tenant_isolation is missing on mindtickle.tenant', 'those of the tables with a policy of their own');
SELECT is(pg_temp.weakness('ALTER POLICY tenant_isolation ON mindtickle.users USING (true)'), 'row_security: the policy tenant_isolation on mindtickle.users is not the one that was installed', 'a policy that reads everything');
SELECT is(pg_temp.weakness('ALTER POLICY tenant_isolation ON mindtickle.users WITH CHECK (true)'), 'row_security: the policy tenant_isolation on mindtickle.users is not the one that was installed', 'one that writes everything');
SELECT is(pg_temp.weakness('ALTER POLICY tenant_isolation ON mindtickle.course TO wk_reader'), 'row_security: the policy tenant_isolation on mindtickle.course is not the one that was installed', 'one for a single role');
SELECT is(pg_temp.weakness('CREATE POLICY "for All" ON mindtickle.users FOR SELECT USING (true)'), 'row_security: mindtickle.users has another policy, "for All", which lets through what tenant_isolation does not', 'another policy');
SELECT is(pg_temp.weakness('CREATE POLICY fewer ON mindtickle.users AS RESTRICTIVE USING (false)'), 'row_security: mindtickle.users has another policy, fewer, which hides rows that tenant_isolation shows', 'a restrictive one');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.users DISABLE ROW LEVEL SECURITY'), 'row_security: row security is not enabled on mindtickle.users', 'row security disabled');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.users NO FORCE ROW LEVEL SECURITY'), 'row_security: row security is not forced on mindtickle.users', 'not forced');
SELECT is(pg_temp.proof('DROP POLICY tenant_isolation ON mindtickle.users'), 'row_security', 'the proof misses a policy');
SELECT is(pg_temp.proof('ALTER POLICY tenant_isolation ON mindtickle.users USING (true)'), 'probe row_security', 'and reads through a wide one');
SELECT is(pg_temp.proof('CREATE POLICY more ON mindtickle.users FOR SELECT TO wk_reader USING (true)'), 'probe row_security', 'and through another one');
SELECT is(pg_temp.proof('ALTER TABLE mindtickle.users DISABLE ROW LEVEL SECURITY'), 'probe row_security', 'and where row security is disabled');
SELECT is(pg_temp.proof('ALTER TABLE mindtickle.users NO FORCE ROW LEVEL SECURITY'), 'row_security', 'and sees that it is not forced');
SELECT is(pg_temp.proof('ALTER POLICY tenant_isolation ON mindtickle.team WITH CHECK (true); GRANT INSERT ON mindtickle.team TO wk_reader'), 'probe row_security', 'a write that is not refused');

-- Tables, also of others.
SELECT is(pg_temp.weakness('CREATE TABLE mindtickle.extra (tenant_id text COLLATE "C", note text); GRANT SELECT ON mindtickle.extra TO PUBLIC'),
	E'row_security: row security is not enabled on mindtickle.extra\nrow_security: row security is not forced on mindtickle.extra\nrow_security: the policy tenant_isolation is missing on mindtickle.extra',
	'a table with a tenant, without row security');
SELECT is(pg_temp.proof('CREATE TABLE mindtickle.extra (tenant_id text COLLATE "C", note text); GRANT SELECT ON mindtickle.extra TO PUBLIC'), 'probe row_security', 'which the proof reads');
SELECT is(pg_temp.weakness('CREATE TABLE mindtickle.extra (note text); GRANT SELECT ON mindtickle.extra TO PUBLIC, wk_other'), 'unprotected_tables: mindtickle.extra has no row security and is granted to PUBLIC, wk_other',
	'a table without a tenant, granted');
SELECT is(pg_temp.weakness('CREATE TABLE mindtickle.extra (note text); GRANT SELECT ON mindtickle.extra TO pg_monitor'), 'none', 'granted to pg_monitor it is not');
SELECT is(pg_temp.weakness('CREATE TABLE wk_child () INHERITS (mindtickle.users); GRANT SELECT (email) ON wk_child TO wk_reader'), 'unprotected_tables: public.wk_child has no row security and is granted to wk_reader',
	'a table below one of ours');

SELECT is(pg_temp.weakness('CREATE TABLE wk_child () INHERITS (mindtickle.users); ALTER TABLE wk_child ENABLE ROW LEVEL SECURITY; CREATE POLICY wide ON wk_child USING (true); ALTER TABLE wk_child OWNER TO wk_reader'),
	E'ownership: wk_reader owns TABLE public.wk_child, and so may change its rights and its row security\n'
	'unprotected_tables: public.wk_child, which is below a table of the extension, is guarded by the policy wide, which is not the one of the table above', 'one with a policy and an owner of its own');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.security_alert DISABLE ROW LEVEL SECURITY'), 'row_security: row security is not enabled on mindtickle.security_alert', 'the alerts without row security');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.security_alert NO FORCE ROW LEVEL SECURITY; DROP POLICY monitoring ON mindtickle.security_alert; CREATE POLICY wide ON mindtickle.security_alert USING (true)'),
	E'row_security: mindtickle.security_alert has another policy, wide, which lets through what monitoring does not\nrow_security: row security is not forced on mindtickle.security_alert\n'
	'row_security: the policy monitoring is missing on mindtickle.security_alert', 'with somebody''s own policy');
SELECT is(pg_temp.weakness('ALTER POLICY monitoring ON mindtickle.security_alert USING (true)'), 'row_security: the policy monitoring on mindtickle.security_alert is not the one that was installed', 'shown to everyone');
-- Views.
SELECT is(pg_temp.weakness('ALTER VIEW mt_users RESET (security_invoker)'), 'views: the view public.mt_users is not security_invoker: it shows what its owner may see', 'a view of ours that is not security_invoker');
SELECT is(pg_temp.weakness('ALTER VIEW mt_users SET (security_invoker = off)'), 'views: the view public.mt_users is not security_invoker: it shows what its owner may see', 'or has it switched off');
SELECT is(pg_temp.weakness('ALTER VIEW mt_users SET (security_invoker = on)'), 'none', 'on is on');
SELECT is(pg_temp.proof('ALTER VIEW mt_users RESET (security_invoker)'), 'probe views', 'the proof reads through it');
SELECT is(pg_temp.weakness('CREATE VIEW wk_view AS SELECT * FROM mindtickle.users; GRANT SELECT ON wk_view TO wk_reader'), format('views: public.wk_view shows rows of tenants as its owner %I sees them, to wk_reader', current_user), 'a view of somebody else''s');
SELECT is(pg_temp.weakness('CREATE VIEW wk_view AS SELECT count(*) AS n FROM mt_users; CREATE VIEW wk_second AS SELECT * FROM wk_view; GRANT SELECT ON wk_second TO PUBLIC'),
	format('views: public.wk_second shows rows of tenants as its owner %I sees them, to everyone', current_user), 'through other views');
SELECT is(pg_temp.weakness('CREATE MATERIALIZED VIEW wk_view AS SELECT * FROM mindtickle.users; GRANT SELECT ON wk_view TO wk_group'), format('views: public.wk_view shows rows of tenants as its owner %I sees them, to wk_group, wk_member', current_user),
	'a materialized view, to whoever inherits the right as well');
SELECT is(pg_temp.weakness('CREATE VIEW wk_view AS SELECT * FROM mindtickle.users; GRANT pg_read_all_data TO wk_reader'), format(E'tenant_roles: wk_reader may become pg_read_all_data, which reads the planner''s statistics (pg_statistic), which hold values of every tenant''s rows, through the membership of wk_reader\n'
	'views: public.wk_view shows rows of tenants as its owner %I sees them, to pg_read_all_data, wk_reader', current_user), 'to one who reads all tables, and the statistics of all');
SELECT is(pg_temp.weakness('CREATE VIEW wk_view AS SELECT * FROM mindtickle.users; GRANT SELECT ON wk_view TO wk_other'), 'none', 'for roles without a tenant a view may show more');
SELECT is(pg_temp.weakness('CREATE VIEW wk_view WITH (security_invoker) AS SELECT * FROM mindtickle.users; GRANT SELECT ON wk_view TO PUBLIC'), 'none', 'as may one that is security_invoker');

-- Functions.
SELECT is(pg_temp.weakness('CREATE FUNCTION mindtickle.leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $f$ SELECT count(*) FROM mindtickle.users $f$'),
	format('definer_functions: mindtickle.leak() is SECURITY DEFINER: who calls it acts as %I', current_user), 'a SECURITY DEFINER function in schema mindtickle');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $f$ SELECT count(*) FROM mt_users $f$'),
	format('definer_functions: public.wk_leak() is SECURITY DEFINER: who calls it acts as %I', current_user), 'in the schema of the extension');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM mindtickle.users; END'),
	format('definer_functions: public.wk_leak() is SECURITY DEFINER: who calls it acts as %I', current_user), 'with a body in the standard''s form');
SELECT is(pg_temp.weakness('CREATE PROCEDURE wk_leak() LANGUAGE sql SECURITY DEFINER SET search_path = mindtickle AS $f$ DELETE FROM users $f$; REVOKE ALL ON PROCEDURE wk_leak() FROM PUBLIC; GRANT EXECUTE ON PROCEDURE wk_leak() TO wk_reader'),
	format('definer_functions: public.wk_leak() is SECURITY DEFINER: who calls it acts as %I', current_user), 'a procedure that one tenant may call');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $f$ SELECT count(*) FROM mt_users $f$; REVOKE ALL ON FUNCTION wk_leak() FROM PUBLIC; GRANT EXECUTE ON FUNCTION wk_leak() TO wk_other'),
	'none', 'one that no tenant may call is not');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_leak(q text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $f$ DECLARE n bigint; BEGIN EXECUTE q INTO n; RETURN n; END $f$'),
	format('definer_functions: public.wk_leak(text) is SECURITY DEFINER: who calls it acts as %I', current_user), 'one beside ours that does not say what it reads');
SELECT is(pg_temp.weakness('ALTER FUNCTION mt_readiness(text) SECURITY DEFINER; ALTER FUNCTION mindtickle.publish(text, int, bool, bool) SECURITY DEFINER'),
	format(E'definer_functions: mindtickle.publish(text,integer,boolean,boolean) is SECURITY DEFINER: who calls it acts as %1$I\ndefiner_functions: public.mt_readiness(text) is SECURITY DEFINER: who calls it acts as %1$I', current_user), 'functions of ours made so');
SELECT is(pg_temp.proof('ALTER FUNCTION mt_readiness(text) SECURITY DEFINER'), 'definer_functions probe', 'the proof calls it');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_peek(text) RETURNS bool LANGUAGE plpgsql LEAKPROOF AS $f$ BEGIN RAISE NOTICE ''%'', $1; RETURN true; END $f$; ALTER FUNCTION mt_score_quiz(jsonb) LEAKPROOF'),
	E'leakproof_functions: public.mt_score_quiz(jsonb) is LEAKPROOF: it is called with values of rows that row security then hides\n'
	'leakproof_functions: public.wk_peek(text) is LEAKPROOF: it is called with values of rows that row security then hides', 'functions that are called too early');

SELECT is(pg_temp.weakness('CREATE OR REPLACE FUNCTION mt_current_tenant() RETURNS text LANGUAGE sql STABLE AS $f$ SELECT current_setting(''mindtickle.tenant'') $f$'),
	'functions: the function public.mt_current_tenant() is not the one that was installed', 'a function with another body');
SELECT is(pg_temp.proof('CREATE OR REPLACE FUNCTION mt_current_tenant() RETURNS text LANGUAGE sql STABLE AS $f$ SELECT current_setting(''mindtickle.tenant'') $f$'), 'probe', 'through which the proof reads');
SELECT is(pg_temp.weakness('ALTER FUNCTION mindtickle.merge_settings(jsonb, jsonb, bool) RESET search_path; ALTER FUNCTION mindtickle.row_allowed(text, oid) STABLE; ALTER FUNCTION mt_current_tenant() SET mindtickle.tenant = ''wk-b'''),
	E'functions: the function mindtickle.merge_settings(jsonb,jsonb,boolean) is not the one that was installed\nfunctions: the function mindtickle.row_allowed(text,oid) is not the one that was installed\n'
	'functions: the function public.mt_current_tenant() is not the one that was installed', 'with other properties');
SELECT is(pg_temp.weakness('ALTER EXTENSION mindtickle DROP FUNCTION mindtickle.foreign_site_error(); DROP FUNCTION mindtickle.foreign_site_error()'),
	'functions: the function mindtickle.foreign_site_error() is missing', 'one that is missing');
SELECT is(pg_temp.weakness('CREATE FUNCTION mt_set_tenant(varchar, varchar) RETURNS void LANGUAGE plpgsql AS $f$ BEGIN END $f$; ALTER FUNCTION mt_set_tenant(varchar, varchar) OWNER TO wk_reader'),
	'foreign_objects: public.mt_set_tenant(character varying,character varying) of wk_reader has the name of a function of the extension, and may be called instead of it', 'somebody''s own of the name of ours');
-- Rights.
SELECT is(pg_temp.weakness('GRANT EXECUTE ON FUNCTION mindtickle.emit_event(text, text, jsonb) TO PUBLIC'), 'internal_functions: PUBLIC has what the installation does not give: EXECUTE on mindtickle.emit_event(text,text,jsonb)', 'an internal function for everyone');
SELECT is(pg_temp.weakness('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mindtickle TO wk_reader; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA mindtickle FROM wk_reader; GRANT EXECUTE ON FUNCTION mindtickle.granted_roles() TO wk_reader WITH GRANT OPTION'),
	'internal_functions: wk_reader has what the installation does not give: EXECUTE on mindtickle.granted_roles()', 'one for a tenant');
SELECT is(pg_temp.weakness('GRANT EXECUTE ON FUNCTION mt_create_tenant(text, text) TO PUBLIC, mindtickle_service'),
	E'owner_functions: PUBLIC has what the installation does not give: EXECUTE on public.mt_create_tenant(text,text)\nowner_functions: mindtickle_service has what the installation does not give: EXECUTE on public.mt_create_tenant(text,text)', 'a function of the owner''s');
SELECT is(pg_temp.weakness('GRANT CREATE ON SCHEMA mindtickle TO PUBLIC, wk_other; GRANT CREATE ON SCHEMA public TO PUBLIC'),
	E'schema_rights: PUBLIC has what the installation does not give: CREATE on schema mindtickle\nschema_rights: everyone may create objects in schema public, and so functions that are called instead of the extension''s\nschema_rights: wk_other has what the installation does not give: CREATE on schema mindtickle', 'CREATE on the schemas');
SELECT is(pg_temp.weakness('GRANT CREATE ON SCHEMA public TO wk_reader'), 'schema_rights: wk_reader may create objects in schema public, and so functions that are called instead of the extension''s', 'for one role');
SELECT is(pg_temp.weakness('ALTER SCHEMA public OWNER TO wk_group'), 'schema_rights: wk_group, which acts for a tenant, owns the schema, and so may create functions in schema public that are called instead of the extension''s', 'by owning it');
SELECT is(pg_temp.weakness(format('ALTER SCHEMA public OWNER TO pg_database_owner; ALTER DATABASE %I OWNER TO wk_reader', current_database())),
	'schema_rights: wk_reader, which acts for a tenant, owns the database, and so may create functions in schema public that are called instead of the extension''s', 'or the database');
SELECT is(pg_temp.weakness('GRANT EXECUTE ON FUNCTION pg_read_file(text) TO wk_group; GRANT SELECT ON pg_statistic TO PUBLIC; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO wk_other'),
	E'server_rights: PUBLIC has what the server gives to no tenant: SELECT on TABLE pg_statistic\nserver_rights: wk_group has what the server gives to no tenant: EXECUTE on FUNCTION pg_read_file(text)', 'rights on what is the server''s');
SELECT is(pg_temp.weakness('GRANT UPDATE (email) ON mindtickle.users TO wk_reader; GRANT TRUNCATE ON mindtickle.users TO mindtickle_service; GRANT INSERT ON mindtickle.outbox_0 TO PUBLIC'),
	E'write_rights: PUBLIC has what the installation does not give: INSERT on mindtickle.outbox_0\nwrite_rights: mindtickle_service has what the installation does not give: TRUNCATE on mindtickle.users\n'
	'write_rights: wk_reader has what the installation does not give: UPDATE (email) on mindtickle.users', 'rights to write');
SELECT is(pg_temp.weakness('GRANT SELECT ON mindtickle.credential TO wk_reader; GRANT SELECT (settings) ON mindtickle.tenant TO PUBLIC; GRANT SELECT ON mindtickle.tenant_grant TO mindtickle_service; GRANT SELECT ON mt_security_alerts TO wk_other'),
	E'read_rights: PUBLIC has what the installation does not give: SELECT (settings) on mindtickle.tenant\nread_rights: mindtickle_service has what the installation does not give: SELECT on mindtickle.tenant_grant\n'
	'read_rights: wk_other has what the installation does not give: SELECT on public.mt_security_alerts\nread_rights: wk_reader has what the installation does not give: SELECT on mindtickle.credential', 'rights to read');
SELECT is(pg_temp.weakness('GRANT SELECT ON ALL TABLES IN SCHEMA mindtickle TO wk_reader'), (SELECT format('read_rights: wk_reader has what the installation does not give: %s and %s more', string_agg('SELECT on ' || t, ', ' ORDER BY t) FILTER (WHERE n <= 5), count(*) - 5)
	FROM (SELECT c.oid::regclass::text, row_number() OVER (ORDER BY c.oid::regclass::text COLLATE "C") FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = ANY ('{r,v}')
		AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee = 0)) AS t (t, n)), 'a careless GRANT on all tables');
SELECT is(pg_temp.weakness('GRANT SELECT ON mindtickle.users TO wk_other; GRANT SELECT (email) ON mindtickle.users TO wk_other; GRANT EXECUTE ON FUNCTION mt_whoami() TO wk_other; GRANT USAGE ON SCHEMA mindtickle TO wk_other'), 'none', 'what everyone has, anyone may be given');
SELECT is(pg_temp.weakness('GRANT SET ON PARAMETER mindtickle.token_id TO wk_reader; GRANT SET ON PARAMETER mindtickle.tenant TO wk_reader; GRANT SET ON PARAMETER work_mem TO wk_reader'),
	'parameter_rights: wk_reader may SET the parameter mindtickle.token_id, which only the extension''s own code may change', 'a parameter');
SELECT is(pg_temp.weakness('GRANT ALTER SYSTEM ON PARAMETER mindtickle.service_role TO PUBLIC'), 'parameter_rights: PUBLIC may ALTER SYSTEM the parameter mindtickle.service_role, which only the extension''s own code may change', 'for everyone');
SELECT is(pg_temp.weakness(format('ALTER ROLE wk_reader SET mindtickle.token_id = %L; ALTER ROLE wk_reader IN DATABASE %2$I SET mindtickle.token_id = %1$L; ALTER DATABASE %2$I SET mindtickle.token_id = %1$L', '1', current_database())),
	format(E'parameter_rights: the proof of a token is preset for every role in database %1$I\nparameter_rights: the proof of a token is preset for role wk_reader\nparameter_rights: the proof of a token is preset for role wk_reader in database %1$I', current_database()), 'a proof that is set in advance');

-- Owners and roles.
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.users OWNER TO wk_reader; ALTER FUNCTION mindtickle.publish(text, int, bool, bool) OWNER TO wk_other; ALTER VIEW mt_users OWNER TO wk_other'),
	E'ownership: wk_other owns FUNCTION mindtickle.publish(text,integer,boolean,boolean), and so may change its rights and its row security\nownership: wk_other owns VIEW public.mt_users, and so may change its rights and its row security\n'
	'ownership: wk_reader owns TABLE mindtickle.users, and so may change its rights and its row security', 'a table, a function and a view given away');
SELECT is(pg_temp.weakness('ALTER SCHEMA mindtickle OWNER TO wk_other'), 'ownership: wk_other owns SCHEMA mindtickle, and so may change its rights and its row security', 'the schema given away');
SELECT is(pg_temp.weakness('ALTER ROLE wk_reader BYPASSRLS REPLICATION CREATEROLE'),
	CASE WHEN current_setting('server_version_num')::int < 160000 THEN E'tenant_roles: wk_reader, which acts for a tenant, has BYPASSRLS: row security does not bind it\n'
		'tenant_roles: wk_reader, which acts for a tenant, has CREATEROLE, with which it may join any role but superusers, other tenants'' among them\n'
		ELSE E'tenant_roles: wk_reader, which acts for a tenant, has BYPASSRLS: row security does not bind it\n' END
	|| 'tenant_roles: wk_reader, which acts for a tenant, has REPLICATION: it may copy the whole server', 'attributes of a tenant''s role');
SELECT is(pg_temp.weakness('ALTER ROLE wk_member BYPASSRLS'), 'tenant_roles: wk_member, which acts for a tenant, has BYPASSRLS: row security does not bind it', 'of a member of one');
SELECT is(pg_temp.weakness('ALTER ROLE wk_group SUPERUSER'), 'tenant_roles: wk_group, which acts for a tenant, is a superuser, whom row security does not bind', 'a superuser');
SELECT is(pg_temp.weakness($$SELECT mt_grant_tenant('wk-a', r.rolname, 'reader') FROM pg_roles AS r WHERE r.oid = 10$$),
	format('tenant_roles: %I, which acts for a tenant, is a superuser, whom row security does not bind', pg_get_userbyid(10)), 'the first superuser, whose grant goes');
SELECT is(pg_temp.weakness('GRANT wk_super TO wk_other; GRANT wk_other TO wk_group'), 'tenant_roles: wk_group, wk_member may become wk_super, which is a superuser, whom row security does not bind, through the membership of wk_other', 'a way to a superuser');
SELECT is(pg_temp.weakness('GRANT pg_execute_server_program, pg_write_all_data TO wk_reader'),
	E'tenant_roles: wk_reader may become pg_execute_server_program, which reaches the files of the server, through the membership of wk_reader\n'
	'tenant_roles: wk_reader may become pg_write_all_data, which writes to every table, through the membership of wk_reader', 'roles of the system');
SELECT is(pg_temp.weakness('GRANT pg_monitor TO wk_reader'), 'tenant_roles: wk_reader may become pg_monitor, which sees the statements of all sessions, and with pg_monitor the alerts of all tenants, through the membership of wk_reader',
	'one that watches everybody');
SELECT is(pg_temp.weakness('GRANT wk_group TO wk_super'), 'none', 'a superuser may be a member of a tenant''s group');
SELECT is(pg_temp.proof('ALTER ROLE wk_reader BYPASSRLS'), 'probe', 'the proof reads with BYPASSRLS');
SELECT is(pg_temp.proof('ALTER TABLE mindtickle.users OWNER TO wk_reader; ALTER TABLE mindtickle.users NO FORCE ROW LEVEL SECURITY'), 'probe row_security', 'and as an owner who is not bound');
SELECT is(pg_temp.weakness('GRANT mindtickle_service TO wk_reader'), 'service_role: wk_reader is a member of the service role mindtickle_service, which writes every tenant''s rows', 'a member of the service role');
SELECT is(pg_temp.proof('GRANT mindtickle_service TO wk_reader'), 'probe', 'whom the proof finds too');
SELECT is(pg_temp.weakness('ALTER ROLE mindtickle_service LOGIN BYPASSRLS SUPERUSER'), E'service_role: the service role mindtickle_service has BYPASSRLS: row security does not bind it\n'
	'service_role: the service role mindtickle_service is a superuser: row security does not bind it\nservice_role: the service role mindtickle_service may log in', 'attributes of the service role');
SELECT is(pg_temp.weakness('GRANT wk_super, pg_write_all_data TO mindtickle_service'), E'service_role: the service role mindtickle_service is a member of pg_write_all_data, which writes to every table\n'
	'service_role: the service role mindtickle_service is a member of wk_super, which is a superuser, whom row security does not bind', 'roles that it is a member of');
SELECT is(pg_temp.weakness('REVOKE INSERT ON mindtickle.outbox_0 FROM mindtickle_service'),
	'service_role: the service role mindtickle_service lacks rights that it needs (INSERT on mindtickle.outbox_0 and others): mt_setup has not run since it was made or since the extension was updated', 'a service role without its rights');
SELECT is(pg_temp.weakness('ALTER ROLE mindtickle_service RENAME TO wk_service; DROP OWNED BY wk_service'), 'service_role: the service role mindtickle_service does not exist: no worker works and nothing can be written', 'none at all');

-- Grants.
SELECT is(pg_temp.weakness('DROP ROLE wk_reader'), 'void_grants: the grant of tenant wk-a to wk_reader gives nothing: the role was dropped', 'a grant of a dropped role');
SELECT is(pg_temp.weakness('DROP ROLE wk_reader; CREATE ROLE wk_reader'), 'void_grants: the grant of tenant wk-a to wk_reader gives nothing: the role was dropped, and the one that now has its name is another', 'of one made anew');
SELECT is(pg_temp.weakness('ALTER ROLE wk_reader RENAME TO "wk Renamed"'), 'void_grants: the grant of tenant wk-a to wk_reader gives nothing: the role is now named "wk Renamed"', 'of one renamed');
SELECT is(pg_temp.weakness($$INSERT INTO mindtickle.tenant_grant (tenant_id, role_name, access) VALUES ('wk-a', 'wk_none', 'reader')$$),
	'void_grants: the grant of tenant wk-a to wk_none gives nothing: there was no role of that name when it was restored, and there is none now', 'of one that a restore did not find');
SELECT is(pg_temp.weakness($$INSERT INTO mindtickle.tenant_grant (tenant_id, role_name, access) VALUES ('wk-a', 'wk_none', 'reader'); CREATE ROLE wk_none$$),
	'void_grants: the grant of tenant wk-a to wk_none gives nothing: there was no role of that name when it was restored, but there is now', 'of one made after the restore');

-- What a session of a pool may leave to its next client. Without a grant that needs a token it concerns nobody.
CREATE FUNCTION pg_temp.left_behind(roles text, holder text, has text DEFAULT format('has TEMPORARY on database %I', current_database())) RETURNS text LANGUAGE sql AS $$
	SELECT format('pooled_roles: %s may leave %s: %s %s', roles, CASE WHEN has ~ 'TEMPORARY' THEN 'a temporary view in a session that stands in for mt_users in the next tenant''s queries'
		ELSE 'functions and views of its own in a schema, and a search_path that has the next tenant''s queries use them' END, holder, has)
$$;
SAVEPOINT pooled;
SELECT mt_grant_tenant('wk-a', 'wk_group', 'writer', true) \g /dev/null
SELECT is(pg_temp.findings(), pg_temp.left_behind('wk_group, wk_member', 'PUBLIC'), 'temporary objects of a role whose grant needs a token');
SELECT remedy FROM mt_check() WHERE check_name = 'pooled_roles' \gexec
SELECT is(pg_temp.findings(), 'none', 'which it may not make any more');
SELECT ok(NOT has_database_privilege('wk_member', current_database(), 'TEMPORARY'), 'nor its members');
SELECT is(pg_temp.weakness(format('GRANT TEMPORARY ON DATABASE %I TO wk_other, wk_reader; GRANT wk_other TO wk_member', current_database())), pg_temp.left_behind('wk_member', 'wk_other'), 'who has it by another membership');
SELECT is(pg_temp.weakness(format('ALTER DATABASE %I OWNER TO wk_group', current_database())),
	concat_ws(E'\n', pg_temp.left_behind('wk_group, wk_member', 'wk_group'), pg_temp.left_behind('wk_group, wk_member', 'wk_group', format('owns database %I', current_database())),
		'schema_rights: wk_group, which acts for a tenant, owns the database, and so may create functions in schema public that are called instead of the extension''s'), 'or as the owner of the database');
SELECT is(pg_temp.weakness(format('GRANT TEMPORARY, CREATE ON DATABASE %I TO wk_reader, wk_monitor, wk_super', current_database())), 'none', 'others may have it');
SELECT is(pg_temp.weakness('CREATE SCHEMA wk_schema; GRANT CREATE ON SCHEMA wk_schema TO wk_reader; CREATE SCHEMA wk_readers AUTHORIZATION wk_reader; CREATE SCHEMA wk_supers AUTHORIZATION wk_super'), 'none', 'and schemas');
SELECT is(pg_temp.weakness(format('GRANT CREATE ON DATABASE %I TO wk_group', current_database())), pg_temp.left_behind('wk_group, wk_member', 'wk_group', format('has CREATE on database %I', current_database())), 'schemas that it may make');
SELECT is(pg_temp.weakness('CREATE SCHEMA wk_schema; GRANT CREATE ON SCHEMA wk_schema TO PUBLIC'), pg_temp.left_behind('wk_group, wk_member', 'PUBLIC', 'has CREATE on schema wk_schema'), 'a schema in which everybody may make objects');
SELECT is(pg_temp.weakness('CREATE SCHEMA "wk Schema"; GRANT ALL ON SCHEMA "wk Schema" TO wk_other, wk_reader; GRANT wk_other TO wk_member'),
	pg_temp.left_behind('wk_member', 'wk_other', 'has CREATE on schema "wk Schema"'), 'or a member of another role');
SELECT is(pg_temp.weakness('CREATE SCHEMA wk_schema AUTHORIZATION wk_group; REVOKE CREATE ON SCHEMA wk_schema FROM wk_group'),
	pg_temp.left_behind('wk_group, wk_member', 'wk_group', 'owns schema wk_schema'), 'a schema of its own, whatever right it has taken from itself');
SELECT is(pg_temp.weakness('CREATE SCHEMA wk_schema AUTHORIZATION wk_other; GRANT wk_other TO wk_member'), pg_temp.left_behind('wk_member', 'wk_other', 'owns schema wk_schema'), 'or of another role that it is a member of');
SELECT is(pg_temp.weakness('ALTER ROLE wk_member NOINHERIT; CREATE SCHEMA wk_schema AUTHORIZATION wk_other; GRANT wk_other TO wk_member'), pg_temp.left_behind('wk_member', 'wk_other', 'owns schema wk_schema'),
	'which needs no inheritance');
SELECT is(pg_temp.weakness('GRANT CREATE ON SCHEMA public TO wk_group'), 'schema_rights: wk_group may create objects in schema public, and so functions that are called instead of the extension''s', 'the extension''s own schema is found by another check');
ROLLBACK TO pooled;

-- What others put onto the tables, and what became of our triggers.
SELECT is(pg_temp.weakness('CREATE TRIGGER wk_trigger BEFORE UPDATE ON mindtickle.users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); CREATE RULE wk_rule AS ON DELETE TO mindtickle.course DO INSTEAD NOTHING;
		CREATE TABLE wk_table (tenant_id text COLLATE "C" REFERENCES mindtickle.tenant); CREATE STATISTICS wk_statistics (mcv) ON tenant_id, email FROM mindtickle.users'),
	E'foreign_objects: mindtickle.course has a rule that is not the extension''s, wk_rule\nforeign_objects: mindtickle.users has a trigger that is not the extension''s, wk_trigger\n'
	'foreign_objects: mindtickle.users has extended statistics, public.wk_statistics, from which estimates tell what other tenants have\n'
	'foreign_objects: public.wk_table refers to mindtickle.tenant: that tells which rows are there, and keeps a tenant from being dropped', 'triggers, rules, statistics and references');
SELECT is(pg_temp.weakness('CREATE FUNCTION wk_spy(text) RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT $1 $f$; ALTER FUNCTION wk_spy(text) OWNER TO wk_reader; CREATE INDEX wk_index ON mindtickle.course (wk_spy(title));
		ALTER TABLE mindtickle.course ALTER COLUMN title SET DEFAULT wk_spy(''''); ALTER TABLE mindtickle.course ADD CONSTRAINT wk_check CHECK (wk_spy(title) IS NOT NULL)'),
	E'foreign_objects: an index of mindtickle.course calls public.wk_spy(text), which belongs to wk_reader and runs with the rights of whoever writes to the table\n'
	'foreign_objects: the constraint wk_check of mindtickle.course calls public.wk_spy(text), which belongs to wk_reader and runs with the rights of whoever writes to the table\n'
	'foreign_objects: the default of column title of mindtickle.course calls public.wk_spy(text), which belongs to wk_reader and runs with the rights of whoever writes to the table',
	'a tenant''s function in an index, a constraint, a default');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.tenant_grant DISABLE TRIGGER forget_access; ALTER TABLE mindtickle.tenant ENABLE TRIGGER forget_access; DROP TRIGGER resolve_role ON mindtickle.tenant_grant'),
	E'triggers: the trigger forget_access of mindtickle.tenant is not ENABLE ALWAYS: it does not fire in every session\ntriggers: the trigger forget_access of mindtickle.tenant_grant is not ENABLE ALWAYS: it does not fire at all\n'
	'triggers: the trigger resolve_role of mindtickle.tenant_grant is missing', 'triggers that do not fire');
SELECT is(pg_temp.weakness('ALTER TABLE mindtickle.cache_change SET LOGGED; ALTER TABLE mindtickle.team ENABLE TRIGGER cache_changed'),
	E'cache: mindtickle.cache_change is not unlogged: after a crash documents can be there without the changes that make them stale\n'
	'triggers: the trigger cache_changed of mindtickle.team is not ENABLE ALWAYS: it does not fire in every session', 'what the cache needs to be true');
CREATE TEMP TABLE made_trigger AS SELECT tgrelid, tgname, pg_get_triggerdef(oid) AS definition FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'mindtickle'::regnamespace) AND NOT tgisinternal;
SAVEPOINT triggers;
SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM made_trigger \gexec
\o /dev/null
SELECT remedy FROM mt_check() WHERE check_name = 'triggers' \gexec
\o
SELECT results_eq('SELECT tgrelid, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN (SELECT tgrelid FROM made_trigger) AND NOT tgisinternal ORDER BY 1, 2', 'SELECT * FROM made_trigger ORDER BY 1, 2', 'dropped ones come back as they were');
ROLLBACK TO triggers;

-- Another site, another version.
SELECT is(pg_temp.weakness($$UPDATE mindtickle.credential SET system_identifier = 1 WHERE tenant_id = 'wk-a'$$),
	'site: 2 credential(s) of tenant wk-a were stored in another cluster, so nothing is pulled with them; if this server, and no other, is to call MindTickle, confirm it', 'credentials of another cluster');
SAVEPOINT version;
UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'mindtickle';
SELECT is(pg_temp.findings(), 'version: the library of mindtickle is version 0.1.0, the extension in this database is version 0.0.1', 'library and extension that do not fit');
ROLLBACK TO version;

-- Who may ask.
ALTER ROLE wk_reader BYPASSRLS;
INSERT INTO mindtickle.tenant_grant (tenant_id, role_name, access) VALUES ('wk-b', 'wk_none', 'reader');
UPDATE mindtickle.credential SET system_identifier = 1 WHERE tenant_id = 'wk-a';
SELECT is(pg_temp.as_role('wk_monitor', $$SELECT string_agg(check_name, ' ') FROM mt_check() WHERE NOT passed$$), 'tenant_roles void_grants site', 'a member of pg_monitor sees what the owner sees');
SELECT is(pg_temp.as_role('wk_monitor', 'SELECT * FROM mindtickle.tenant_grant'), '42501: permission denied for table tenant_grant', 'but not the tables behind it');
SELECT is(pg_temp.as_role('wk_other', 'SELECT mt_check()'), '42501: permission denied for function mt_check', 'others do not');
SELECT is(pg_temp.as_role('wk_monitor', 'SELECT mt_verify_isolation()'), '42501: permission denied for function mt_verify_isolation', 'the proof is the owner''s');
SELECT is(pg_temp.as_role('wk_monitor', 'SELECT mt_confirm_site()'), '42501: permission denied for function mt_confirm_site', 'and so is the site');

SELECT mt_revoke_tenant('wk-b', 'wk_none') \g /dev/null
ALTER ROLE wk_reader NOBYPASSRLS;
GRANT EXECUTE ON FUNCTION mt_verify_isolation() TO wk_reader;
SELECT is(pg_temp.as_role('wk_reader', 'SELECT mt_verify_isolation()'), '42501: permission denied for function mt_verify_isolation', 'nor does a GRANT make it anybody else''s');
REVOKE EXECUTE ON FUNCTION mt_verify_isolation() FROM wk_reader;

SAVEPOINT reading;
SELECT set_config('transaction_read_only', 'on', true) \g /dev/null
SELECT is(pg_temp.outcome('SELECT mt_verify_isolation()'), '25006: mt_verify_isolation cannot run in a read-only transaction', 'it has to write');
SELECT is((SELECT string_agg(check_name, ' ') FROM mt_check() WHERE NOT passed), 'site', 'mt_check has not');
ROLLBACK TO reading;

-- A tenant's token, shown or not, opens no other tenant.
SELECT mt_grant_tenant('wk-b', 'wk_reader', 'reader', true) \g /dev/null
SELECT is(pg_temp.failing_proofs(), 'none', 'isolation is proven for a grant that needs a token');

-- The proof leaves nothing behind, and makes nothing of what is in force. Alerts, which the publisher writes when it likes, are looked at by themselves.
CREATE FUNCTION pg_temp.everything() RETURNS TABLE (name text, content text) LANGUAGE plpgsql AS $$
BEGIN
	FOR name IN SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' AND c.relname <> 'security_alert' LOOP
		EXECUTE format('SELECT md5(string_agg(t::text, '','' ORDER BY t::text COLLATE "C")) FROM %s AS t', name) INTO content;
		RETURN NEXT;
	END LOOP;
	RETURN QUERY SELECT s.sequencename::text, s.last_value::text FROM pg_sequences AS s WHERE s.schemaname = 'mindtickle' AND s.sequencename !~ '^security_alert';
END
$$;
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.everything();
SELECT set_config('mindtickle.tenant', 'wk-a', true), set_config('row_security', 'off', true) \g /dev/null
SELECT is(pg_temp.failing_proofs(), 'none', 'isolation is proven whatever the session''s settings');
SELECT is(concat_ws(' ', current_user = session_user, current_setting('mindtickle.tenant'), current_setting('row_security')), 't wk-a off', 'which are as they were');
SELECT set_config('row_security', 'on', true) \g /dev/null
SELECT is_empty('SELECT * FROM pg_temp.everything() EXCEPT SELECT * FROM before', 'no row and no sequence is changed');
SELECT is_empty($$SELECT a.tenant_asked FROM (SELECT tenant_asked FROM mindtickle.take_alerts() UNION ALL SELECT tenant_asked FROM mindtickle.security_alert) AS a WHERE a.tenant_asked ~ '^mt-probe-[0-9a-f]{23}$'$$,
	'and what was refused is no alert');
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
CREATE TRIGGER wk_refuse BEFORE INSERT ON mindtickle.course FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT results_eq('SELECT check_name, detail FROM mt_verify_isolation() WHERE NOT passed', $$VALUES ('probe', 'mindtickle.course took no row to look for: not today')$$, 'a table that cannot be tried is told');

SELECT * FROM finish();
ROLLBACK;
