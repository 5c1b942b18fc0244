/*
 * The parts of mt_check (sql/check.sql) that concern who may do what: rights on the extension's objects, their owners, the roles that act for
 * tenants, in a session of their own or of a pool, and grants that are void. What the install script gave is in pg_init_privs; everything beyond it, but for what mt_setup gives the
 * service role, is a finding. Nothing here changes anything.
 */
CREATE FUNCTION mindtickle.added_rights(OUT classid pg_catalog.oid, OUT objid pg_catalog.oid, OUT objsubid pg_catalog.int4,
		OUT grantee pg_catalog.oid, OUT privilege pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH object AS (
		SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, c.relowner AS owner, c.relacl AS acl,
			CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS kind
		FROM pg_class AS c WHERE c.oid IN (SELECT mindtickle.own_relations('rpvmS'))
		UNION ALL
		SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl, 'c'
		FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
		WHERE c.oid IN (SELECT mindtickle.own_relations('rpvm')) AND a.attacl IS NOT NULL
		UNION ALL
		SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner, p.proacl, 'f'
		FROM pg_proc AS p JOIN mindtickle.own_objects() AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
		UNION ALL
		SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspowner, n.nspacl, 'n' FROM pg_namespace AS n WHERE n.nspname = 'mindtickle'
	), initial AS (
		SELECT o.classid, o.objid, o.objsubid, a.grantee, a.privilege_type
		FROM object AS o LEFT JOIN pg_init_privs AS i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = o.objsubid,
			aclexplode(coalesce(i.initprivs, acldefault(o.kind, o.owner))) AS a
		-- The script gives these rights and to these two; whatever else was there from the beginning came from ALTER DEFAULT PRIVILEGES.
		WHERE (a.grantee = 0 OR a.grantee = 'pg_monitor'::regrole) AND a.privilege_type = ANY (ARRAY['SELECT', 'EXECUTE', 'USAGE'])
	)
	SELECT DISTINCT o.classid, o.objid, o.objsubid::int4, a.grantee, a.privilege_type
	FROM object AS o, aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner))) AS a
	WHERE a.grantee <> o.owner
		-- What PUBLIC has, everyone has; what was given on the table, was given on each column.
		AND NOT EXISTS (SELECT FROM initial AS i WHERE i.classid = o.classid AND i.objid = o.objid AND i.objsubid IN (0, o.objsubid)
						AND i.grantee IN (0, a.grantee) AND i.privilege_type = a.privilege_type)
		AND NOT (a.grantee IS NOT DISTINCT FROM (SELECT mindtickle.service_role()) AND mindtickle.right_of_service(o.classid, o.objid, a.privilege_type))
$$;
COMMENT ON FUNCTION mindtickle.added_rights() IS 'rights on the extension''s objects that neither the install script nor mt_setup gave';

CREATE FUNCTION mindtickle.check_rights(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH beyond AS MATERIALIZED (SELECT r.* FROM mindtickle.added_rights() AS r),
	added AS (
		SELECT CASE WHEN p.pronamespace = 'mindtickle'::regnamespace THEN 'internal_functions' ELSE 'owner_functions' END AS check_name, r.grantee,
			format('EXECUTE on %s', p.oid::regprocedure) AS what, format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) AS revoked
		FROM beyond AS r JOIN pg_proc AS p ON p.oid = r.objid WHERE r.classid = 'pg_proc'::regclass
		UNION ALL
		SELECT CASE WHEN r.privilege = 'SELECT' THEN 'read_rights' ELSE 'write_rights' END, r.grantee,
			format('%s%s on %s', r.privilege, ' (' || quote_ident(a.attname) || ')', c.oid::regclass),
			format('%s%s ON %s %s', r.privilege, ' (' || quote_ident(a.attname) || ')', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass)
		FROM beyond AS r JOIN pg_class AS c ON c.oid = r.objid
			LEFT JOIN pg_attribute AS a ON a.attrelid = r.objid AND a.attnum = r.objsubid AND r.objsubid <> 0
		WHERE r.classid = 'pg_class'::regclass
		UNION ALL
		SELECT 'schema_rights', r.grantee, format('%s on schema mindtickle', r.privilege), format('%s ON SCHEMA mindtickle', r.privilege)
		FROM beyond AS r WHERE r.classid = 'pg_namespace'::regclass
	)
	SELECT a.check_name, format('%s has what the installation does not give: %s%s', mindtickle.role_text(a.grantee),
			array_to_string((array_agg(a.what ORDER BY a.what COLLATE "C"))[1:5], ', '), CASE WHEN count(*) > 5 THEN format(' and %s more', count(*) - 5) END),
		string_agg(format('REVOKE %s FROM %s CASCADE;', a.revoked, mindtickle.role_text(a.grantee)), ' ' ORDER BY a.what COLLATE "C")
	FROM added AS a GROUP BY a.check_name, a.grantee
	UNION ALL
	SELECT 'schema_rights', format('%s may create objects in schema %I, and so functions that are called instead of the extension''s',
			CASE WHEN a.grantee = 0 THEN 'everyone' ELSE mindtickle.role_text(a.grantee) END, n.nspname),
		format('REVOKE CREATE ON SCHEMA %I FROM %s CASCADE;', n.nspname, mindtickle.role_text(a.grantee))
	FROM pg_namespace AS n JOIN pg_extension AS e ON e.extnamespace = n.oid, aclexplode(n.nspacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
	WHERE e.extname = 'mindtickle' AND a.grantee <> n.nspowner AND a.privilege_type = 'CREATE' AND NOT coalesce(r.rolsuper, false)
	UNION ALL
	-- The usual owner of schema public stands for whoever owns the database.
	SELECT 'schema_rights', format('%I, which acts for a tenant, owns %s, and so may create functions in schema %I that are called instead of the extension''s',
			pg_get_userbyid(o.owner), CASE WHEN o.by_database THEN 'the database' ELSE 'the schema' END, o.nspname),
		format('ALTER %s OWNER TO %I;', CASE WHEN o.by_database THEN 'DATABASE ' || quote_ident(current_database()) ELSE 'SCHEMA ' || quote_ident(o.nspname) END,
			pg_get_userbyid((SELECT mindtickle.extension_owner())))
	FROM (SELECT n.nspname, n.nspowner = 'pg_database_owner'::regrole AS by_database,
			CASE WHEN n.nspowner = 'pg_database_owner'::regrole THEN d.datdba ELSE n.nspowner END AS owner
		  FROM pg_namespace AS n JOIN pg_extension AS e ON e.extnamespace = n.oid AND e.extname = 'mindtickle', pg_database AS d
		  WHERE d.datname = current_database()) AS o JOIN pg_roles AS r ON r.oid = o.owner AND NOT r.rolsuper
	WHERE o.owner IN (SELECT a.reached FROM mindtickle.acting_roles() AS a JOIN pg_roles AS r ON r.oid = a.acting AND NOT r.rolsuper)
	UNION ALL
	SELECT 'parameter_rights', format('%s may %s the parameter %s, which only the extension''s own code may change', mindtickle.role_text(a.grantee), a.privilege_type, p.parname),
		format('REVOKE %s ON PARAMETER %s FROM %s CASCADE;', a.privilege_type, p.parname, mindtickle.role_text(a.grantee))
	FROM pg_parameter_acl AS p, aclexplode(p.paracl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee
	WHERE p.parname ~ '^mindtickle\.' AND NOT coalesce(r.rolsuper, false)
		AND NOT EXISTS (SELECT FROM pg_settings AS s WHERE s.name = p.parname AND s.context = 'user')
	UNION ALL
	SELECT 'parameter_rights', format('the proof of a token is preset for %s%s', coalesce('role ' || quote_ident(r.rolname), 'every role'), ' in database ' || quote_ident(d.datname)),
		format('ALTER %s RESET mindtickle.token_id;', CASE WHEN s.setrole = 0 THEN 'DATABASE ' || quote_ident(d.datname)
			ELSE 'ROLE ' || quote_ident(r.rolname) || coalesce(' IN DATABASE ' || quote_ident(d.datname), '') END)
	FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
	WHERE EXISTS (SELECT FROM unnest(s.setconfig) AS c WHERE c ~ '^mindtickle\.token_id=.')
$$;
COMMENT ON FUNCTION mindtickle.check_rights() IS 'part of mt_check: rights on tables, views, functions, schemas and parameters beyond those that were installed';

CREATE FUNCTION mindtickle.check_owners(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'ownership', format('the owner of the extension, %I, is no superuser: row security binds it, and administration fails', r.rolname),
		format('REASSIGN OWNED BY %I TO %I;', r.rolname, pg_get_userbyid(10))
	FROM pg_roles AS r WHERE r.oid = (SELECT mindtickle.extension_owner()) AND NOT r.rolsuper
	UNION ALL
	SELECT 'ownership', format('%I owns %s, and so may change its rights and its row security', pg_get_userbyid(o.owner), o.name),
		format('ALTER %s OWNER TO %I;', o.name, pg_get_userbyid(mindtickle.extension_owner()))
	FROM (
		SELECT c.relowner, CASE c.relkind WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END || c.oid::regclass
		-- a sequence follows its table
		FROM pg_class AS c WHERE c.oid IN (SELECT mindtickle.own_relations('rpv') UNION SELECT mindtickle.child_relations())
		UNION ALL
		SELECT p.proowner, 'FUNCTION ' || p.oid::regprocedure
		FROM pg_proc AS p JOIN mindtickle.own_objects() AS m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
		UNION ALL
		SELECT n.nspowner, 'SCHEMA mindtickle' FROM pg_namespace AS n WHERE n.nspname = 'mindtickle') AS o (owner, name)
	WHERE o.owner <> (SELECT mindtickle.extension_owner())
$$;
COMMENT ON FUNCTION mindtickle.check_owners() IS 'part of mt_check: everything belongs to the extension''s owner';

CREATE FUNCTION mindtickle.role_dangers(OUT role pg_catalog.oid, OUT danger pg_catalog.text, OUT attribute pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.oid, d.danger, d.attribute
	FROM pg_roles AS r, LATERAL (VALUES
		(r.rolsuper, 'is a superuser, whom row security does not bind', 'SUPERUSER'),
		(r.rolbypassrls AND NOT r.rolsuper, 'has BYPASSRLS: row security does not bind it', 'BYPASSRLS'),
		(r.rolreplication AND NOT r.rolsuper, 'has REPLICATION: it may copy the whole server', 'REPLICATION'),
		-- From 16 on it reaches only the roles that it made.
		(r.rolcreaterole AND NOT r.rolsuper AND current_setting('server_version_num')::int4 < 160000,
			'has CREATEROLE, with which it may join any role but superusers, other tenants'' among them', 'CREATEROLE'),
		(r.oid = (SELECT mindtickle.extension_owner()) AND NOT r.rolsuper, 'is the owner of the extension', NULL),
		(r.rolname = ANY (ARRAY['pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program']), 'reaches the files of the server', NULL),
		(r.rolname = 'pg_write_all_data', 'writes to every table', NULL),
		(r.rolname = 'pg_read_all_data', 'reads the planner''s statistics (pg_statistic), which hold values of every tenant''s rows', NULL),
		(r.rolname = ANY (ARRAY['pg_monitor', 'pg_read_all_stats']), 'sees the statements of all sessions, and with pg_monitor the alerts of all tenants', NULL)) AS d (present, danger, attribute)
	WHERE d.present
$$;
COMMENT ON FUNCTION mindtickle.role_dangers() IS 'roles for which isolation does not hold, and why; attribute: what of the role itself makes it so';

CREATE FUNCTION mindtickle.check_tenant_roles(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH acting AS MATERIALIZED (SELECT DISTINCT a.acting AS role FROM mindtickle.acting_roles() AS a),
	reaching AS MATERIALIZED (SELECT a.acting, a.reached FROM mindtickle.acting_roles() AS a JOIN pg_roles AS r ON r.oid = a.acting AND NOT r.rolsuper),
	danger AS MATERIALIZED (SELECT d.role, d.danger, d.attribute FROM mindtickle.role_dangers() AS d)
	SELECT 'tenant_roles', format('%I, which acts for a tenant, %s', pg_get_userbyid(d.role), d.danger),
		-- The first superuser of a server cannot be made an ordinary role.
		CASE WHEN d.role = 10 THEN (SELECT string_agg(format('SELECT @extschema@.mt_revoke_tenant(%L, %L);', g.tenant_id, g.role_name), ' ')
									FROM mindtickle.granted_roles() AS g WHERE g.role_oid = d.role)
			ELSE format('ALTER ROLE %I NO%s;', pg_get_userbyid(d.role), d.attribute) END
	FROM danger AS d JOIN acting AS a ON a.role = d.role WHERE d.attribute IS NOT NULL
	UNION ALL
	SELECT 'tenant_roles', format('%s may become %I, which %s, through the membership of %I', string_agg(quote_ident(pg_get_userbyid(e.acting)), ', ' ORDER BY pg_get_userbyid(e.acting) COLLATE "C"),
			pg_get_userbyid(d.role), d.danger, pg_get_userbyid(m.member)),
		format('REVOKE %I FROM %I CASCADE;', pg_get_userbyid(d.role), pg_get_userbyid(m.member))
	FROM danger AS d JOIN pg_auth_members AS m ON m.roleid = d.role JOIN reaching AS e ON e.reached = m.member
	WHERE d.role NOT IN (SELECT a.role FROM acting AS a) AND d.role IS DISTINCT FROM (SELECT mindtickle.service_role())
		-- pg_monitor is a member of pg_read_all_stats by itself
		AND m.member <> 'pg_monitor'::regrole
	GROUP BY d.role, d.danger, m.member
$$;
COMMENT ON FUNCTION mindtickle.check_tenant_roles() IS 'part of mt_check: roles that act for a tenant and that row security does not bind, or may not for long';

CREATE FUNCTION mindtickle.check_pooled_roles(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- A session of such a role serves one tenant after the other. pg_temp comes first in every search_path, and a search_path that is set stays in
	-- force for the next one.
	WITH pooled AS MATERIALIZED (
		SELECT DISTINCT a.acting AS role FROM mindtickle.acting_roles() AS a
			JOIN mindtickle.granted_roles() AS g ON g.role_oid = a.reached AND g.token_required
			JOIN pg_roles AS r ON r.oid = a.acting AND NOT r.rolsuper
	), made AS (
		SELECT 'functions and views of its own in a schema, and a search_path that has the next tenant''s queries use them'::text AS what
	),
	-- What a role may leave, by which right of whom, and how that is taken away.
	right_to_leave AS (
		SELECT 'a temporary view in a session that stands in for mt_users in the next tenant''s queries'::text AS what, a.grantee AS holder,
			format('has TEMPORARY on database %I', d.datname) AS has, format('REVOKE TEMPORARY ON DATABASE %I FROM %s CASCADE;', d.datname, mindtickle.role_text(a.grantee)) AS remedy
		FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
		WHERE d.datname = current_database() AND a.privilege_type = 'TEMPORARY'
		UNION ALL
		-- The owner of the database may always, and has every schema of pg_database_owner.
		SELECT m.what, a.grantee, CASE WHEN a.grantee = d.datdba THEN format('owns database %I', d.datname) ELSE format('has CREATE on database %I', d.datname) END,
			CASE WHEN a.grantee = d.datdba THEN format('ALTER DATABASE %I OWNER TO %I;', d.datname, pg_get_userbyid((SELECT mindtickle.extension_owner())))
				ELSE format('REVOKE CREATE ON DATABASE %I FROM %s CASCADE;', d.datname, mindtickle.role_text(a.grantee)) END
		FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba)) || acldefault('d', d.datdba)) AS a, made AS m
		WHERE d.datname = current_database() AND a.privilege_type = 'CREATE'
		UNION ALL
		SELECT m.what, a.grantee, CASE WHEN a.grantee = n.nspowner THEN format('owns schema %I', n.nspname) ELSE format('has CREATE on schema %I', n.nspname) END,
			CASE WHEN a.grantee = n.nspowner THEN format('ALTER SCHEMA %I OWNER TO %I;', n.nspname, pg_get_userbyid((SELECT mindtickle.extension_owner())))
				ELSE format('REVOKE CREATE ON SCHEMA %I FROM %s CASCADE;', n.nspname, mindtickle.role_text(a.grantee)) END
		FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)) || acldefault('n', n.nspowner)) AS a, made AS m
		WHERE a.privilege_type = 'CREATE' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			AND a.grantee <> 'pg_database_owner'::regrole
			-- For the extension's own schemas that is a finding whoever has the right.
			AND n.nspname <> 'mindtickle' AND n.oid NOT IN (SELECT e.extnamespace FROM pg_extension AS e WHERE e.extname = 'mindtickle')
	)
	SELECT 'pooled_roles', format('%s may leave %s: %s %s', string_agg(quote_ident(pg_get_userbyid(p.role)), ', ' ORDER BY pg_get_userbyid(p.role) COLLATE "C"),
			r.what, mindtickle.role_text(r.holder), r.has), r.remedy
	FROM (SELECT DISTINCT l.* FROM right_to_leave AS l LEFT JOIN pg_roles AS h ON h.oid = l.holder WHERE NOT coalesce(h.rolsuper, false)) AS r, pooled AS p
	WHERE CASE WHEN r.holder = 0 THEN true ELSE pg_has_role(p.role, r.holder, 'MEMBER') END
	GROUP BY r.what, r.holder, r.has, r.remedy
$$;
COMMENT ON FUNCTION mindtickle.check_pooled_roles() IS 'part of mt_check: what roles whose grants need a token may leave to the next tenant of a session';

CREATE FUNCTION mindtickle.check_server_rights(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH tenant_role AS MATERIALIZED (
		SELECT 0::oid AS role
		UNION SELECT a.reached FROM mindtickle.acting_roles() AS a JOIN pg_roles AS r ON r.oid = a.reached AND NOT r.rolsuper
	), object AS (
		-- what initdb made, and who has rights on it: files, statistics, passwords
		SELECT 'pg_proc'::regclass AS classid, p.oid AS objid, p.proowner AS owner, p.proacl AS acl, 'f'::"char" AS kind, 'FUNCTION ' || p.oid::regprocedure AS name
		FROM pg_proc AS p WHERE p.oid < 16384 AND p.proacl IS NOT NULL
		UNION ALL
		SELECT 'pg_class'::regclass, c.oid, c.relowner, c.relacl, 'r', 'TABLE ' || c.oid::regclass
		FROM pg_class AS c WHERE c.oid < 16384 AND c.relacl IS NOT NULL AND c.relnamespace = 'pg_catalog'::regnamespace
	)
	SELECT 'server_rights', format('%s has what the server gives to no tenant: %s on %s', mindtickle.role_text(a.grantee), a.privilege_type, o.name),
		format('REVOKE %s ON %s FROM %s CASCADE;', a.privilege_type, o.name, mindtickle.role_text(a.grantee))
	FROM object AS o LEFT JOIN pg_init_privs AS i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0,
		aclexplode(o.acl) AS a JOIN tenant_role AS t ON t.role = a.grantee
	WHERE a.grantee <> o.owner
		AND NOT EXISTS (SELECT FROM aclexplode(coalesce(i.initprivs, acldefault(o.kind, o.owner))) AS g
						WHERE g.grantee IN (0, a.grantee) AND g.privilege_type = a.privilege_type)
$$;
COMMENT ON FUNCTION mindtickle.check_server_rights() IS 'part of mt_check: rights on the server''s own functions and catalogs that a tenant was given';

CREATE FUNCTION mindtickle.check_grants(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'void_grants', format('the grant of tenant %s to %I gives nothing: %s', g.tenant_id, g.role_name,
			CASE WHEN g.role_oid = 0 AND same.oid IS NULL THEN 'there was no role of that name when it was restored, and there is none now'
				 WHEN g.role_oid = 0 THEN 'there was no role of that name when it was restored, but there is now'
				 WHEN held.oid IS NOT NULL THEN format('the role is now named %I', held.rolname)
				 WHEN same.oid IS NOT NULL THEN 'the role was dropped, and the one that now has its name is another'
				 ELSE 'the role was dropped' END),
		CASE WHEN g.role_oid = 0 AND same.oid IS NOT NULL THEN 'SELECT @extschema@.mt_setup();'
			ELSE format('SELECT @extschema@.mt_revoke_tenant(%L, %L);', g.tenant_id, g.role_name) END
	FROM mindtickle.granted_roles() AS g
		LEFT JOIN pg_roles AS same ON same.rolname = g.role_name LEFT JOIN pg_roles AS held ON held.oid = g.role_oid
	WHERE held.rolname IS DISTINCT FROM g.role_name
	UNION ALL
	SELECT 'site', format('%s credential(s) of tenant %s were stored in another cluster, so nothing is pulled with them; if this server, and no other, is to call MindTickle, confirm it',
			c.credentials, c.tenant_id), 'SELECT @extschema@.mt_confirm_site();'
	FROM mindtickle.unconfirmed_credentials() AS c
$$;
COMMENT ON FUNCTION mindtickle.check_grants() IS 'part of mt_check: grants whose role is gone, and credentials from another cluster';
