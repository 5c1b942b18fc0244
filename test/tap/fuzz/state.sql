-- One line for each thing that attackers must not be able to change, with a digest: the other tenant's rows in every table, and who may do
-- what. Read by psql as a superuser; called by MindTickle::Fuzz before and after. Changes nothing.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.digest(query text, OUT rows int8, OUT digest text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT count(*), md5(string_agg(r::text, E''\n'' ORDER BY r::text COLLATE "C")) FROM (%s) AS r', query) INTO rows, digest;
END
$$;
SELECT w.what, d.rows, d.digest FROM (
	SELECT c.oid::regclass::text, format('SELECT * FROM %s WHERE tenant_id = ''fuzz-b''', c.oid::regclass)
	FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind IN ('r', 'p')
		-- What readiness is made of and events go through is moved by the workers; what it tells stays.
		AND NOT mindtickle.is_truncated(c.relname)
	UNION ALL VALUES
		('readiness', 'SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness(''fuzz-b'')'),
		('events', 'SELECT * FROM mt_events WHERE tenant_id = ''fuzz-b'''),
		('consumers', 'SELECT * FROM mt_event_consumers WHERE tenant_id = ''fuzz-b'''),
		('readiness as counted', 'SELECT * FROM mt_verify_readiness(''fuzz-b'')'),
		('grants', 'SELECT * FROM mindtickle.tenant_grant'),
		('credentials', 'SELECT * FROM mindtickle.credential'),
		('what only the owner sets', 'SELECT tenant_id, display_name, suspended, source_configured, settings - ARRAY(SELECT d.name FROM mindtickle.setting_definitions() AS d WHERE d.admin_may) FROM mindtickle.tenant'),
		('roles', 'SELECT oid, rolname, rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles'),
		('members', 'SELECT roleid, member FROM pg_auth_members'),
		('settings of roles', 'SELECT * FROM pg_db_role_setting'),
		('relations', 'SELECT oid, relname, relowner, relacl::text, relrowsecurity, relforcerowsecurity, reloptions FROM pg_class WHERE relnamespace IN (''mindtickle''::regnamespace, ''public''::regnamespace)'),
		('policies', 'SELECT polrelid, polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) FROM pg_policy'),
		('functions', 'SELECT oid, proname, proowner, proacl::text, prosecdef, prosrc FROM pg_proc WHERE pronamespace IN (''mindtickle''::regnamespace, ''public''::regnamespace)')
	) AS w (what, query), pg_temp.digest(w.query) AS d
ORDER BY 1;
