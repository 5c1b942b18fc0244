/*
 * The parts of mt_check (sql/check.sql) that concern the server, its workers and the service role, and what all parts ask about roles and
 * the extension's own objects. Each check_ function returns what it finds, in words and with what ends it, and no row where all is well.
 * They read catalogs, and through two SECURITY DEFINER functions what pg_monitor may not read itself; nothing here changes anything.
 */
CREATE FUNCTION mindtickle.own_objects(OUT classid pg_catalog.oid, OUT objid pg_catalog.oid) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname = 'mindtickle' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
$$;
COMMENT ON FUNCTION mindtickle.own_objects() IS 'the members of this extension';

CREATE FUNCTION mindtickle.own_relations(kinds pg_catalog.text) RETURNS SETOF pg_catalog.oid
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.oid FROM pg_class AS c JOIN mindtickle.own_objects() AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
	WHERE strpos(kinds, c.relkind::text) > 0
$$;
COMMENT ON FUNCTION mindtickle.own_relations(pg_catalog.text) IS 'the tables, views or sequences of this extension, by letters of pg_class.relkind';

CREATE FUNCTION mindtickle.service_role() RETURNS pg_catalog.oid
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- The setting exists once the library is loaded.
	SELECT r.oid FROM pg_roles AS r
	WHERE r.rolname = CASE WHEN mindtickle.library_version() IS NOT NULL THEN current_setting('mindtickle.service_role') END
$$;
COMMENT ON FUNCTION mindtickle.service_role() IS 'the role that mindtickle.service_role names; NULL where there is none';

CREATE FUNCTION mindtickle.extension_owner() RETURNS pg_catalog.oid
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'mindtickle'
$$;
COMMENT ON FUNCTION mindtickle.extension_owner() IS 'the owner of this extension';

CREATE FUNCTION mindtickle.role_text(role pg_catalog.oid) RETURNS pg_catalog.text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN role = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END
$$;
COMMENT ON FUNCTION mindtickle.role_text(pg_catalog.oid) IS 'a role as GRANT and REVOKE take it';

-- SECURITY DEFINER: tenant_grant is granted to nobody, and members of pg_monitor must see which grants are void or dangerous.
CREATE FUNCTION mindtickle.granted_roles(OUT tenant_id pg_catalog.text, OUT role_name pg_catalog.name, OUT role_oid pg_catalog.oid,
		OUT token_required pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.tenant_id, g.role_name, g.role_oid, g.token_required FROM mindtickle.tenant_grant AS g
$$;
COMMENT ON FUNCTION mindtickle.granted_roles() IS 'which role has a grant for which tenant, and whether it needs a token; for mt_check, and so for pg_monitor';

-- SECURITY DEFINER: credential is granted to the service role alone. A count by tenant is all that comes out.
CREATE FUNCTION mindtickle.unconfirmed_credentials(OUT tenant_id pg_catalog.text, OUT credentials pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.tenant_id, count(*) FROM mindtickle.credential AS c
	WHERE c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() AS s) GROUP BY c.tenant_id
$$;
COMMENT ON FUNCTION mindtickle.unconfirmed_credentials() IS 'for each tenant how many credentials were stored in another cluster; for mt_check, and so for pg_monitor';

CREATE FUNCTION mindtickle.acting_roles(OUT acting pg_catalog.oid, OUT reached pg_catalog.oid) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE acts AS (
		SELECT g.role_oid AS role FROM mindtickle.granted_roles() AS g JOIN pg_roles AS r ON r.oid = g.role_oid AND r.rolname = g.role_name
		UNION
		-- A superuser's memberships give him no tenant: nothing needs to be granted to him.
		SELECT m.member FROM acts AS a JOIN pg_auth_members AS m ON m.roleid = a.role
			JOIN pg_roles AS r ON r.oid = m.member AND NOT r.rolsuper
	), reaches AS (
		SELECT a.role AS acting, a.role AS reached FROM acts AS a
		UNION
		SELECT x.acting, m.roleid FROM reaches AS x JOIN pg_auth_members AS m ON m.member = x.reached
	)
	SELECT x.acting, x.reached FROM reaches AS x
$$;
COMMENT ON FUNCTION mindtickle.acting_roles() IS 'roles that act for a tenant by a grant of their own or by membership, each with itself and the roles that it may become';

CREATE FUNCTION mindtickle.library_preloaded() RETURNS pg_catalog.bool
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM regexp_split_to_table(current_setting('shared_preload_libraries'), ',') AS l (library)
				   WHERE l.library ~ '^[[:space:]"]*(.*/)?mindtickle(\.so)?[[:space:]"]*$')
$$;
COMMENT ON FUNCTION mindtickle.library_preloaded() IS 'true when the server was started with this library; to be called by members of pg_read_all_settings';

CREATE FUNCTION mindtickle.right_of_service(classid pg_catalog.oid, objid pg_catalog.oid, privilege pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE right_of_service.classid
		WHEN 'pg_class'::regclass THEN
			EXISTS (SELECT FROM pg_class AS c WHERE c.oid = right_of_service.objid AND c.relnamespace = 'mindtickle'::regnamespace AND CASE
				WHEN c.relkind = 'v' THEN privilege = 'SELECT'
				WHEN c.relkind = ANY (ARRAY['r', 'p']::"char"[]) AND c.relname <> 'tenant_grant' THEN
					privilege = ANY (ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) OR privilege = 'TRUNCATE' AND mindtickle.is_truncated(c.relname)
				END)
		WHEN 'pg_proc'::regclass THEN
			EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = right_of_service.objid AND p.pronamespace = 'mindtickle'::regnamespace)
		WHEN 'pg_namespace'::regclass THEN privilege = 'USAGE'
		ELSE false END
$$;
COMMENT ON FUNCTION mindtickle.right_of_service(pg_catalog.oid, pg_catalog.oid, pg_catalog.text) IS 'true for what mt_setup gives the service role';

CREATE FUNCTION mindtickle.check_server(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'library_preloaded',
		'the library is not in shared_preload_libraries: no worker runs, a refused attempt leaves a log line and no alert, and tokens in logged parameters are not redacted',
		format('shared_preload_libraries = %L  # in postgresql.conf, then restart the server',
			   concat_ws(', ', nullif(current_setting('shared_preload_libraries'), ''), 'mindtickle'))
	WHERE NOT mindtickle.library_preloaded()
	UNION ALL
	SELECT 'parameters_logged', 'parameters of statements are logged (' || s.reason || '), tokens among them, as the library is not there to redact them', s.remedy
	FROM (
		SELECT CASE WHEN current_setting('log_statement') <> 'none' THEN 'log_statement = ' || current_setting('log_statement')
					WHEN current_setting('log_min_duration_statement') <> '-1' THEN 'log_min_duration_statement = ' || current_setting('log_min_duration_statement')
					WHEN current_setting('log_min_duration_sample') <> '-1' THEN 'log_min_duration_sample = ' || current_setting('log_min_duration_sample')
					WHEN current_setting('log_transaction_sample_rate') <> '0' THEN 'log_transaction_sample_rate = ' || current_setting('log_transaction_sample_rate')
			   END, 'log_parameter_max_length = 0  # in postgresql.conf, then SELECT pg_reload_conf();'
		WHERE current_setting('log_parameter_max_length') <> '0'
		UNION ALL
		SELECT 'log_parameter_max_length_on_error = ' || current_setting('log_parameter_max_length_on_error'),
			'log_parameter_max_length_on_error = 0  # in postgresql.conf, then SELECT pg_reload_conf();'
		WHERE current_setting('log_parameter_max_length_on_error') <> '0') AS s (reason, remedy)
	WHERE s.reason IS NOT NULL AND NOT mindtickle.library_preloaded()
	UNION ALL
	SELECT 'server_version', format('the server is PostgreSQL %s, and releases before %s.%s have known faults in row level security (CVE-2023-2455, CVE-2024-10976, CVE-2025-8713)',
			current_setting('server_version'), v.major, v.minor),
		format('# install PostgreSQL %s.%s or later, and restart the server', v.major, v.minor)
	FROM (VALUES (15, 14), (16, 10), (17, 6)) AS v (major, minor)
	WHERE current_setting('server_version_num')::int4 / 10000 = v.major AND current_setting('server_version_num')::int4 % 10000 < v.minor
	UNION ALL
	SELECT 'version', substr(s.state, 10),
		'ALTER EXTENSION mindtickle UPDATE;  -- after the files of one release were installed and the server was restarted'
	FROM mindtickle.worker_state() AS s (state) WHERE s.state LIKE 'version: %'
$$;
COMMENT ON FUNCTION mindtickle.check_server() IS 'part of mt_check: preloading, what the server logs, versions';

CREATE FUNCTION mindtickle.check_workers(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'workers',
		CASE WHEN NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.backend_type = 'mindtickle launcher')
			THEN 'there is no launcher, and so no worker: when the server was started, it had no worker slot left'
			ELSE format('in this database there is no %s; unless one has just ended and comes back by itself, there is no worker slot left',
						string_agg(k.kind || ' worker', ' and no ' ORDER BY k.kind)) END,
		format('max_worker_processes = %s  # in postgresql.conf, then restart the server', greatest(16, current_setting('max_worker_processes')::int4 + 8))
	FROM unnest(ARRAY['publisher', 'aggregator', 'sync']) AS k (kind), pg_database AS d
	WHERE (SELECT mindtickle.library_preloaded()) AND NOT pg_is_in_recovery()
		AND d.datname = current_database() AND d.datallowconn AND NOT d.datistemplate
		AND CASE WHEN mindtickle.library_version() IS NOT NULL THEN
				current_setting('mindtickle.databases') = ''
				OR EXISTS (SELECT FROM regexp_split_to_table(current_setting('mindtickle.databases'), ',') AS n (name) WHERE btrim(n.name, ' "') = d.datname) END
		AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.backend_type = 'mindtickle ' || k.kind AND a.datid = d.oid)
	HAVING count(*) > 0
$$;
COMMENT ON FUNCTION mindtickle.check_workers() IS 'part of mt_check: the workers that should be there';

CREATE FUNCTION mindtickle.check_service_role(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'service_role', format('the service role %I does not exist: no worker works and nothing can be written', s.name),
		format('CREATE ROLE %I NOLOGIN; SELECT @extschema@.mt_setup();', s.name)
	FROM (SELECT CASE WHEN mindtickle.library_version() IS NOT NULL THEN current_setting('mindtickle.service_role') END) AS s (name)
	WHERE (SELECT mindtickle.service_role()) IS NULL
	UNION ALL
	SELECT 'service_role', format('the service role %I %s', r.rolname, f.fault), format('ALTER ROLE %I %s;', r.rolname, f.attribute)
	FROM pg_roles AS r, LATERAL (VALUES (r.rolsuper, 'is a superuser: row security does not bind it', 'NOSUPERUSER'),
		(r.rolbypassrls, 'has BYPASSRLS: row security does not bind it', 'NOBYPASSRLS'),
		(r.rolcanlogin, 'may log in', 'NOLOGIN')) AS f (present, fault, attribute)
	WHERE r.oid = (SELECT mindtickle.service_role()) AND f.present
	UNION ALL
	SELECT 'service_role', format('%I is a member of the service role %I, which writes every tenant''s rows', pg_get_userbyid(m.member), pg_get_userbyid(m.roleid)),
		format('REVOKE %I FROM %I;', pg_get_userbyid(m.roleid), pg_get_userbyid(m.member))
	FROM pg_auth_members AS m WHERE m.roleid = (SELECT mindtickle.service_role())
	UNION ALL
	SELECT 'service_role', format('the service role %I is a member of %I, which %s', pg_get_userbyid(m.member), pg_get_userbyid(m.roleid), d.danger),
		format('REVOKE %I FROM %I CASCADE;', pg_get_userbyid(m.roleid), pg_get_userbyid(m.member))
	FROM pg_auth_members AS m, mindtickle.role_dangers() AS d WHERE d.role = m.roleid AND m.member = (SELECT mindtickle.service_role())
	UNION ALL
	SELECT 'service_role', format('the service role %I lacks rights that it needs (%s and others): mt_setup has not run since it was made or since the extension was updated',
			pg_get_userbyid(mindtickle.service_role()), min(n.missing COLLATE "C")), 'SELECT @extschema@.mt_setup();'
	FROM (
		SELECT format('%s on %s', p.privilege, t.relation::regclass) FROM mindtickle.own_relations('rp') AS t (relation), unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p (privilege)
		WHERE mindtickle.right_of_service('pg_class'::regclass, t.relation, p.privilege) AND NOT has_table_privilege(mindtickle.service_role(), t.relation, p.privilege)
		UNION ALL
		SELECT format('EXECUTE on %s', p.oid::regprocedure) FROM pg_proc AS p JOIN mindtickle.own_objects() AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
		WHERE p.pronamespace = 'mindtickle'::regnamespace AND NOT has_function_privilege(mindtickle.service_role(), p.oid, 'EXECUTE')) AS n (missing)
	HAVING count(*) > 0
$$;
COMMENT ON FUNCTION mindtickle.check_service_role() IS 'part of mt_check: the role as which workers and writing functions act';
