/*
 * The parts of mt_check (sql/check.sql) that concern tables, policies, views, functions and triggers: those of the extension that are not any
 * more what they were, and those of others that open a way around row security. Nothing here changes anything.
 */
CREATE FUNCTION mindtickle.expected_policy(table_name pg_catalog.name, OUT policy_name pg_catalog.name, OUT using_expression pg_catalog.text,
		OUT check_expression pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- As pg_get_expr gives back what sql/row_security.sql makes.
	SELECT CASE WHEN table_name = 'security_alert' THEN 'monitoring'::name ELSE 'tenant_isolation' END,
		CASE
			WHEN table_name = 'security_alert' THEN '(mindtickle.acting_as_service() OR pg_has_role(''pg_monitor''::name, ''USAGE''::text))'
			WHEN table_name = 'tenant' THEN '(tenant_id = ANY (mindtickle.visible_tenants()))'
			WHEN table_name = 'sync_budget' THEN 'mindtickle.acting_as_service()'
			WHEN table_name = 'api_token' THEN '((tenant_id = COALESCE(@extschema@.mt_current_tenant(), ''''::text)) AND mindtickle.acting_as_service())'
			WHEN table_name = ANY (ARRAY['credential', 'tenant_grant']::name[]) THEN '((tenant_id = @extschema@.mt_current_tenant()) AND mindtickle.acting_as_service())'
			WHEN table_name ~ '^event_[0-9]+$' THEN '((tenant_id = @extschema@.mt_current_tenant()) AND mindtickle.events_on_disk())'
			ELSE '(tenant_id = @extschema@.mt_current_tenant())' END,
		CASE
			WHEN table_name = ANY (ARRAY['sync_budget', 'security_alert']::name[]) THEN 'mindtickle.acting_as_service()'
			WHEN table_name = 'api_token' THEN
				E'\nCASE\n    WHEN (tenant_id = ''''::text) THEN mindtickle.acting_as_service()\n    ELSE mindtickle.row_allowed(tenant_id, tableoid)\nEND'
			ELSE 'mindtickle.row_allowed(tenant_id, tableoid)' END
$$;
COMMENT ON FUNCTION mindtickle.expected_policy(pg_catalog.name) IS 'the policy of a table, and what it says';

CREATE FUNCTION mindtickle.tenant_tables(OUT relation pg_catalog.regclass, OUT policy pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.oid::regclass, format('CREATE POLICY tenant_isolation ON %s USING (%s) WITH CHECK (%s);', c.oid::regclass, e.using_expression, e.check_expression)
	FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped,
		mindtickle.expected_policy(c.relname) AS e
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = ANY (ARRAY['r', 'p']::"char"[])
$$;
COMMENT ON FUNCTION mindtickle.tenant_tables() IS 'every table of schema mindtickle with a tenant, and the statement that makes its policy';

CREATE FUNCTION mindtickle.guarded_tables(OUT relation pg_catalog.regclass, OUT policy_name pg_catalog.name, OUT policy pg_catalog.text,
		OUT using_expression pg_catalog.text, OUT check_expression pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT g.relation, e.policy_name, format('CREATE POLICY %I ON %s USING (%s) WITH CHECK (%s);', e.policy_name, g.relation, e.using_expression, e.check_expression),
		e.using_expression, e.check_expression
	FROM (SELECT t.relation FROM mindtickle.tenant_tables() AS t UNION ALL SELECT 'mindtickle.security_alert'::regclass) AS g
		JOIN pg_class AS c ON c.oid = g.relation, mindtickle.expected_policy(c.relname) AS e
$$;
COMMENT ON FUNCTION mindtickle.guarded_tables() IS 'every table that needs row security: those with a tenant, and the alerts; with the policy of each';

CREATE FUNCTION mindtickle.check_row_security(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'row_security', format('row security is not %s on %s', f.what, t.relation), format('ALTER TABLE %s %s ROW LEVEL SECURITY;', t.relation, f.word)
	FROM mindtickle.guarded_tables() AS t JOIN pg_class AS c ON c.oid = t.relation,
		LATERAL (VALUES (c.relrowsecurity, 'enabled', 'ENABLE'), (c.relforcerowsecurity, 'forced', 'FORCE')) AS f (there, what, word)
	WHERE NOT f.there
	UNION ALL
	SELECT 'row_security', format('the policy %I is missing on %s', t.policy_name, t.relation), t.policy
	FROM mindtickle.guarded_tables() AS t
	WHERE NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = t.relation AND p.polname = t.policy_name)
	UNION ALL
	SELECT 'row_security', format('the policy %I on %s is not the one that was installed', t.policy_name, t.relation),
		format('DROP POLICY %I ON %s; %s', t.policy_name, t.relation, t.policy)
	FROM mindtickle.guarded_tables() AS t JOIN pg_policy AS p ON p.polrelid = t.relation AND p.polname = t.policy_name
	WHERE NOT p.polpermissive OR p.polcmd <> '*' OR p.polroles <> ARRAY[0]::oid[]
		OR pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM t.using_expression
		OR pg_get_expr(p.polwithcheck, p.polrelid) IS DISTINCT FROM t.check_expression
	UNION ALL
	SELECT 'row_security', format('%s has another policy, %I, which %s', t.relation, p.polname,
			CASE WHEN p.polpermissive THEN 'lets through what ' || quote_ident(t.policy_name) || ' does not' ELSE 'hides rows that ' || quote_ident(t.policy_name) || ' shows' END),
		format('DROP POLICY %I ON %s;', p.polname, t.relation)
	FROM mindtickle.guarded_tables() AS t JOIN pg_policy AS p ON p.polrelid = t.relation AND p.polname <> t.policy_name
$$;
COMMENT ON FUNCTION mindtickle.check_row_security() IS 'part of mt_check: row security enabled, forced, and with the installed policy alone';

CREATE FUNCTION mindtickle.child_relations() RETURNS SETOF pg_catalog.oid
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE child AS (
		SELECT i.inhrelid AS relation FROM pg_inherits AS i WHERE i.inhparent IN (SELECT mindtickle.own_relations('rp'))
		UNION
		SELECT i.inhrelid FROM child AS x JOIN pg_inherits AS i ON i.inhparent = x.relation
	)
	SELECT x.relation FROM child AS x
$$;
COMMENT ON FUNCTION mindtickle.child_relations() IS 'tables that inherit from those of this extension, or are partitions of them';

CREATE FUNCTION mindtickle.check_tables(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH foreign_table AS (
		-- What has a tenant and is in our schema is looked at by check_row_security, whoever made it and granted or not.
		SELECT c.oid, c.relkind, c.relrowsecurity, c.relowner, c.relacl
		FROM pg_class AS c
		WHERE (c.relnamespace = 'mindtickle'::regnamespace OR c.oid IN (SELECT mindtickle.child_relations()))
			AND c.relkind = ANY (ARRAY['r', 'p', 'f']::"char"[]) AND c.oid NOT IN (SELECT mindtickle.own_relations('rp'))
			AND c.oid NOT IN (SELECT t.relation FROM mindtickle.tenant_tables() AS t)
	), granted AS (
		SELECT f.oid, a.grantee FROM foreign_table AS f, aclexplode(f.relacl) AS a WHERE a.grantee <> f.relowner
		UNION
		SELECT f.oid, a.grantee FROM foreign_table AS f JOIN pg_attribute AS t ON t.attrelid = f.oid, aclexplode(t.attacl) AS a WHERE a.grantee <> f.relowner
	)
	SELECT 'unprotected_tables', format('%s has no row security and is granted to %s', f.oid::regclass,
			string_agg(mindtickle.role_text(g.grantee), ', ' ORDER BY mindtickle.role_text(g.grantee) COLLATE "C")),
		CASE WHEN f.relkind = 'f' THEN format('REVOKE ALL ON TABLE %s FROM %s;', f.oid::regclass, string_agg(mindtickle.role_text(g.grantee), ', ' ORDER BY mindtickle.role_text(g.grantee) COLLATE "C"))
			ELSE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', f.oid::regclass)
				|| CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = f.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) THEN
					(SELECT format(' CREATE POLICY tenant_isolation ON %s USING (%s) WITH CHECK (%s);', f.oid::regclass, e.using_expression, e.check_expression)
					 FROM mindtickle.expected_policy('') AS e) ELSE '' END END
	FROM foreign_table AS f JOIN granted AS g ON g.oid = f.oid
	WHERE NOT f.relrowsecurity AND g.grantee IS DISTINCT FROM (SELECT mindtickle.service_role()) AND g.grantee <> (SELECT mindtickle.extension_owner())
		AND g.grantee <> 'pg_monitor'::regrole
	GROUP BY f.oid, f.relkind
	UNION ALL
	SELECT 'unprotected_tables', format('%s, which is below a table of the extension, is guarded by the policy %I, which is not the one of the table above', p.polrelid::regclass, p.polname),
		format('DROP POLICY %I ON %s;', p.polname, p.polrelid::regclass)
	FROM mindtickle.child_relations() AS f (oid) JOIN pg_policy AS p ON p.polrelid = f.oid, mindtickle.expected_policy('') AS e
	WHERE f.oid NOT IN (SELECT t.relation FROM mindtickle.tenant_tables() AS t) AND p.polpermissive
		AND pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM e.using_expression
$$;
COMMENT ON FUNCTION mindtickle.check_tables() IS 'part of mt_check: tables of others in schema mindtickle and below its tables';

CREATE FUNCTION mindtickle.invoker_view(options pg_catalog.text[]) RETURNS pg_catalog.bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT o.option_value::bool FROM pg_options_to_table(options) AS o WHERE o.option_name = 'security_invoker'), false)
$$;
COMMENT ON FUNCTION mindtickle.invoker_view(pg_catalog.text[]) IS 'true when pg_class.reloptions say security_invoker';

CREATE FUNCTION mindtickle.check_views(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE reading AS (
		SELECT v.oid FROM mindtickle.own_relations('rp') AS t (relation)
			JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.relation AND d.classid = 'pg_rewrite'::regclass
			JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = ANY (ARRAY['v', 'm']::"char"[])
		UNION
		SELECT v.oid FROM reading AS x
			JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid AND d.classid = 'pg_rewrite'::regclass
			JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = ANY (ARRAY['v', 'm']::"char"[])
	), tenant_role AS MATERIALIZED (
		SELECT DISTINCT a.reached AS role FROM mindtickle.acting_roles() AS a JOIN pg_roles AS r ON r.oid = a.reached AND NOT r.rolsuper
	), suspect AS (
		SELECT c.oid, c.relkind, c.relacl, o.rolname FROM reading AS x JOIN pg_class AS c ON c.oid = x.oid JOIN pg_roles AS o ON o.oid = c.relowner
		WHERE c.oid NOT IN (SELECT mindtickle.own_relations('v')) AND (c.relkind = 'm' OR NOT mindtickle.invoker_view(c.reloptions))
			AND (o.rolsuper OR o.rolbypassrls OR o.oid = (SELECT mindtickle.extension_owner()) OR o.oid = (SELECT mindtickle.service_role()))
	), reader AS (
		SELECT s.oid, 0::oid AS role FROM suspect AS s, LATERAL (
			SELECT s.relacl UNION ALL SELECT t.attacl FROM pg_attribute AS t WHERE t.attrelid = s.oid AND t.attacl IS NOT NULL) AS g (acl), aclexplode(g.acl) AS a
		WHERE a.grantee = 0
		UNION
		SELECT s.oid, t.role FROM suspect AS s, tenant_role AS t
		WHERE has_any_column_privilege(t.role, s.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege(t.role, s.oid, 'DELETE')
	)
	SELECT 'views', format('the view %s is not security_invoker: it shows what its owner may see', c.oid::regclass),
		format('ALTER VIEW %s SET (security_invoker = true);', c.oid::regclass)
	FROM pg_class AS c WHERE c.oid IN (SELECT mindtickle.own_relations('v')) AND NOT mindtickle.invoker_view(c.reloptions)
	UNION ALL
	SELECT 'views', format('%s shows rows of tenants as its owner %I sees them, to %s', s.oid::regclass, s.rolname,
			CASE WHEN bool_or(r.role = 0) THEN 'everyone' ELSE string_agg(mindtickle.role_text(r.role), ', ' ORDER BY mindtickle.role_text(r.role) COLLATE "C") END),
		CASE WHEN s.relkind = 'v' THEN format('ALTER VIEW %s SET (security_invoker = true);', s.oid::regclass)
			ELSE format('REVOKE ALL ON TABLE %s FROM PUBLIC, %s;', s.oid::regclass,
				coalesce(string_agg(mindtickle.role_text(r.role), ', ' ORDER BY mindtickle.role_text(r.role) COLLATE "C") FILTER (WHERE r.role <> 0), 'pg_read_all_data')) END
	FROM suspect AS s JOIN reader AS r ON r.oid = s.oid GROUP BY s.oid, s.relkind, s.rolname
$$;
COMMENT ON FUNCTION mindtickle.check_views() IS 'part of mt_check: views and materialized views that show tenants'' rows as their owner sees them';

CREATE FUNCTION mindtickle.check_functions(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH tenant_role AS MATERIALIZED (
		SELECT DISTINCT a.reached AS role FROM mindtickle.acting_roles() AS a JOIN pg_roles AS r ON r.oid = a.reached AND NOT r.rolsuper
	), candidate AS (
		SELECT p.oid, p.proname, p.pronamespace, p.proowner, p.proacl, p.prosecdef, p.proleakproof, l.lanname,
			EXISTS (SELECT FROM mindtickle.own_objects() AS o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid) AS own,
			concat_ws(' ', p.prosrc, pg_get_function_sqlbody(p.oid), p.proconfig::text) ~* '\m(mindtickle\M|mt_)' AS concerned,
			-- in the schema of our functions, and of no other extension: what it calls or puts together may be ours, whether it says so or not
			p.pronamespace = (SELECT e.extnamespace FROM pg_extension AS e WHERE e.extname = 'mindtickle')
				AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') AS beside
		FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
		-- those that initdb made are the system's
		WHERE (p.prosecdef OR p.proleakproof) AND p.oid >= 16384
	)
	SELECT 'definer_functions', format('%s is SECURITY DEFINER: who calls it acts as %I', c.oid::regprocedure, pg_get_userbyid(c.proowner)),
		format('ALTER ROUTINE %s SECURITY INVOKER;', c.oid::regprocedure)
	FROM candidate AS c JOIN pg_roles AS o ON o.oid = c.proowner
	WHERE c.prosecdef AND NOT (c.own AND c.pronamespace = 'mindtickle'::regnamespace AND c.proname = ANY (ARRAY['granted_roles', 'unconfirmed_credentials']::name[]))
		AND (c.own OR c.pronamespace = 'mindtickle'::regnamespace
			OR (c.concerned OR c.beside) AND NOT pg_is_other_temp_schema(c.pronamespace) AND c.pronamespace <> pg_my_temp_schema()
				AND (o.rolsuper OR o.rolbypassrls OR o.oid = (SELECT mindtickle.extension_owner()) OR o.oid = (SELECT mindtickle.service_role()))
				AND (EXISTS (SELECT FROM aclexplode(coalesce(c.proacl, acldefault('f', c.proowner))) AS a WHERE a.grantee = 0)
					OR EXISTS (SELECT FROM tenant_role AS t WHERE has_function_privilege(t.role, c.oid, 'EXECUTE'))))
	UNION ALL
	SELECT 'leakproof_functions', format('%s is LEAKPROOF: it is called with values of rows that row security then hides', c.oid::regprocedure),
		format('ALTER FUNCTION %s NOT LEAKPROOF;', c.oid::regprocedure)
	FROM candidate AS c
	WHERE c.proleakproof AND (c.own OR c.pronamespace = 'mindtickle'::regnamespace OR c.lanname <> ALL (ARRAY['c', 'internal']::name[]))
$$;
COMMENT ON FUNCTION mindtickle.check_functions() IS 'part of mt_check: functions that run with another''s rights, or before row security';

CREATE FUNCTION mindtickle.present_functions(OUT signature pg_catalog.text, OUT digest pg_catalog.text, OUT definition pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Who may call it, and as whom it runs, are matters of other checks.
	SELECT p.oid::regprocedure::text,
		encode(sha256(convert_to(jsonb_build_array(l.lanname, p.prosrc, p.probin, pg_get_function_sqlbody(p.oid), p.provolatile, p.proparallel, p.proisstrict,
			p.proretset, p.proconfig, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))::text, 'UTF8')), 'hex'),
		pg_get_functiondef(p.oid)
	FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang JOIN mindtickle.own_objects() AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
	-- sql/installed.sql makes it of what the others are
	WHERE NOT (p.proname = 'installed_functions' AND p.pronamespace = 'mindtickle'::regnamespace)
$$;
COMMENT ON FUNCTION mindtickle.present_functions() IS 'the functions of this extension as they are, with a digest of what they do';

CREATE FUNCTION mindtickle.check_definitions(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- In PL/pgSQL, because installed_functions is made after this.
	RETURN QUERY
		SELECT 'functions'::text, format('the function %s is %s', i.signature, CASE WHEN p.signature IS NULL THEN 'missing' ELSE 'not the one that was installed' END),
			format('%s;%s', rtrim(i.definition, E'\n'), CASE WHEN p.signature IS NULL THEN format(E'\nALTER EXTENSION mindtickle ADD FUNCTION %s;', i.signature) END)
		FROM mindtickle.installed_functions() AS i LEFT JOIN mindtickle.present_functions() AS p ON p.signature = i.signature
		WHERE p.digest IS DISTINCT FROM i.digest;
END
$$;
COMMENT ON FUNCTION mindtickle.check_definitions() IS 'part of mt_check: functions that do something else than what was installed';

CREATE FUNCTION mindtickle.check_additions(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'foreign_objects', format('%s has a trigger that is not the extension''s, %I', t.tgrelid::regclass, t.tgname), format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
	FROM pg_trigger AS t
	WHERE t.tgrelid IN (SELECT mindtickle.own_relations('rpv')) AND NOT t.tgisinternal
		AND t.tgfoid NOT IN (SELECT o.objid FROM mindtickle.own_objects() AS o WHERE o.classid = 'pg_proc'::regclass)
	UNION ALL
	SELECT 'foreign_objects', format('%s has a rule that is not the extension''s, %I', r.ev_class::regclass, r.rulename), format('DROP RULE %I ON %s;', r.rulename, r.ev_class::regclass)
	FROM pg_rewrite AS r WHERE r.ev_class IN (SELECT mindtickle.own_relations('rpv')) AND r.rulename <> '_RETURN'
	UNION ALL
	SELECT 'foreign_objects', format('%s has extended statistics, %s.%I, from which estimates tell what other tenants have', s.stxrelid::regclass, s.stxnamespace::regnamespace, s.stxname),
		format('DROP STATISTICS %s.%I;', s.stxnamespace::regnamespace, s.stxname)
	FROM pg_statistic_ext AS s WHERE s.stxrelid IN (SELECT mindtickle.own_relations('rpm'))
	UNION ALL
	SELECT 'foreign_objects', format('%s refers to %s: that tells which rows are there, and keeps a tenant from being dropped', c.conrelid::regclass, c.confrelid::regclass),
		format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname)
	FROM pg_constraint AS c
	WHERE c.contype = 'f' AND c.confrelid IN (SELECT mindtickle.own_relations('rp')) AND c.conrelid NOT IN (SELECT mindtickle.own_relations('rp'))
	UNION ALL
	SELECT 'foreign_objects', format('%s of %s calls %s, which belongs to %I and runs with the rights of whoever writes to the table', x.what, x.relation, p.oid::regprocedure, r.rolname),
		x.remedy
	FROM (
		SELECT 'pg_class'::regclass AS classid, i.indexrelid AS objid, i.indrelid::regclass AS relation, 'an index' AS what, format('DROP INDEX %s;', i.indexrelid::regclass) AS remedy
		FROM pg_index AS i
		UNION ALL
		SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid, format('the default of column %I', a.attname), format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', d.adrelid::regclass, a.attname)
		FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
		UNION ALL
		SELECT 'pg_constraint'::regclass, c.oid, c.conrelid, format('the constraint %I', c.conname), format('ALTER TABLE %s DROP CONSTRAINT %I;', c.conrelid::regclass, c.conname)
		FROM pg_constraint AS c) AS x
		JOIN pg_depend AS d ON d.classid = x.classid AND d.objid = x.objid AND d.refclassid = 'pg_proc'::regclass
		JOIN pg_proc AS p ON p.oid = d.refobjid JOIN pg_roles AS r ON r.oid = p.proowner AND NOT r.rolsuper
	WHERE x.relation IN (SELECT mindtickle.own_relations('rp'))
	UNION ALL
	SELECT 'foreign_objects', format('%s of %I has the name of a function of the extension, and may be called instead of it', p.oid::regprocedure, pg_get_userbyid(p.proowner)),
		format('DROP ROUTINE %s;', p.oid::regprocedure)
	FROM pg_proc AS p
	WHERE p.oid NOT IN (SELECT o.objid FROM mindtickle.own_objects() AS o WHERE o.classid = 'pg_proc'::regclass)
		AND (p.pronamespace, p.proname) IN (SELECT f.pronamespace, f.proname FROM pg_proc AS f
			JOIN mindtickle.own_objects() AS o ON o.classid = 'pg_proc'::regclass AND o.objid = f.oid)
$$;
COMMENT ON FUNCTION mindtickle.check_additions() IS 'part of mt_check: what others have put onto the extension''s tables and views, and beside its functions';

CREATE FUNCTION mindtickle.expected_triggers(OUT relation pg_catalog.text, OUT name pg_catalog.name, OUT enabled pg_catalog."char", OUT definition pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	VALUES ('tenant_grant', 'resolve_role'::name, 'A'::"char", 'BEFORE INSERT ON mindtickle.tenant_grant FOR EACH ROW EXECUTE FUNCTION mindtickle.resolve_grant_role()'),
		('tenant_grant', 'forget_access', 'A', 'AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mindtickle.tenant_grant FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access()'),
		('api_token', 'forget_access', 'A', 'AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mindtickle.api_token FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access()'),
		('tenant', 'forget_access', 'A', 'AFTER INSERT OR UPDATE OF tenant_id OR DELETE OR TRUNCATE ON mindtickle.tenant FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access()'),
		('users', 'addresses_insert', 'A', 'AFTER INSERT ON mindtickle.users FOR EACH ROW WHEN (NEW.attributes #> ''{scim,emails,1}'' IS NOT NULL '
			'OR COALESCE(NEW.attributes #>> ''{scim,emails,0,value}'', NEW.email, '''') <> COALESCE(NEW.email, '''')) EXECUTE FUNCTION mindtickle.keep_addresses()'),
		('users', 'addresses_update', 'A', 'AFTER UPDATE ON mindtickle.users FOR EACH ROW WHEN ('
			'COALESCE(OLD.attributes #> ''{scim,emails}'', ''0'') <> COALESCE(NEW.attributes #> ''{scim,emails}'', ''0'') OR COALESCE(OLD.email, '''') <> COALESCE(NEW.email, '''') '
			'OR OLD.tenant_id <> NEW.tenant_id OR OLD.user_id <> NEW.user_id) EXECUTE FUNCTION mindtickle.keep_addresses()'),
		('users', 'addresses_delete', 'A', 'AFTER DELETE ON mindtickle.users FOR EACH ROW WHEN (OLD.attributes ? ''scim'') EXECUTE FUNCTION mindtickle.keep_addresses()'),
		('users', 'addresses_truncate', 'A', 'AFTER TRUNCATE ON mindtickle.users FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.keep_addresses()')
	UNION ALL
	SELECT t.relation, format('readiness_%s', e.name), e.enabled, format('AFTER %s ON mindtickle.%s %s EXECUTE FUNCTION mindtickle.readiness_%s()',
		e.event, t.relation, e.clause, coalesce(e.function, t.function))
	FROM (VALUES ('users', 'user_changed'), ('course_progress', 'progress_changed'), ('quiz_submission', 'quiz_changed')) AS t (relation, function), (VALUES
		('insert', 'O'::"char", 'INSERT', 'REFERENCING NEW TABLE AS came FOR EACH STATEMENT', NULL),
		('update', 'O', 'UPDATE', 'REFERENCING OLD TABLE AS went NEW TABLE AS came FOR EACH STATEMENT', NULL),
		('delete', 'O', 'DELETE', 'REFERENCING OLD TABLE AS went FOR EACH STATEMENT', NULL),
		('truncate', 'A', 'TRUNCATE', 'FOR EACH STATEMENT', 'truncated'),
		('replicated', 'R', 'INSERT OR UPDATE OR DELETE', 'FOR EACH ROW', 'replicated')) AS e (name, enabled, event, clause, function)
	UNION ALL
	SELECT t.name || '_' || i, 'restored', 'A', format('BEFORE INSERT ON mindtickle.%s_%s FOR EACH ROW EXECUTE FUNCTION mindtickle.restore_%s()', t.name, i, t.name)
	FROM (VALUES ('outbox', 3), ('event_position', 1)) AS t (name, last), generate_series(0, t.last) AS i
	UNION ALL
	SELECT t.relation, e.name, 'A', format('AFTER %s ON mindtickle.%s %s EXECUTE FUNCTION mindtickle.cache_changed(%L)', e.event, t.relation, e.clause, t.document)
	FROM (VALUES ('users', 'roster'), ('team', 'roster'), ('team_member', 'roster'), ('course', 'catalog'), ('quiz', 'catalog')) AS t (relation, document), (VALUES
		('cache_changed', 'INSERT OR UPDATE OR DELETE', 'FOR EACH ROW'), ('cache_truncated', 'TRUNCATE', 'FOR EACH STATEMENT')) AS e (name, event, clause)
$$;
COMMENT ON FUNCTION mindtickle.expected_triggers() IS 'the extension''s triggers: A fires always, O in ordinary sessions, R for replicated rows';

CREATE FUNCTION mindtickle.check_triggers(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'triggers', CASE WHEN t.oid IS NULL THEN format('the trigger %s of mindtickle.%s is missing', e.name, e.relation)
			ELSE format('the trigger %I of mindtickle.%s is not %s: it does not fire %s', e.name, e.relation, s.state,
						CASE WHEN t.tgenabled = 'D' THEN 'at all' ELSE 'in every session' END) END,
		concat_ws(' ', CASE WHEN t.oid IS NULL THEN format('CREATE TRIGGER %s %s;', e.name, e.definition) END,
			format('ALTER TABLE mindtickle.%s %s TRIGGER %I;', e.relation, s.state, e.name),
			-- What was written meanwhile is in no delta, and documents do not show it.
			CASE WHEN e.name LIKE 'readiness%' THEN 'SELECT @extschema@.mt_rebuild_readiness(tenant_id) FROM mindtickle.tenant;'
				 WHEN e.name LIKE 'cache%' THEN 'SELECT @extschema@.mt_invalidate_tenant(tenant_id) FROM mindtickle.tenant;' END)
	FROM mindtickle.expected_triggers() AS e JOIN pg_class AS c ON c.relname = e.relation AND c.relnamespace = 'mindtickle'::regnamespace
		LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = e.name,
		LATERAL (SELECT CASE e.enabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END AS state) AS s
	WHERE t.tgenabled IS DISTINCT FROM e.enabled
$$;
COMMENT ON FUNCTION mindtickle.check_triggers() IS 'part of mt_check: the triggers that make a change of grants felt, those that keep readiness exact and the cache true, and those that a restore of events needs';

CREATE FUNCTION mindtickle.check_cache(OUT check_name pg_catalog.text, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'cache', format('%s is not unlogged: after a crash documents can be there without the changes that make them stale', c.oid::regclass),
		format('ALTER TABLE %s SET UNLOGGED;', c.oid::regclass)
	FROM pg_class AS c
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relname = ANY (ARRAY['cache_entry', 'cache_change']::name[]) AND c.relpersistence <> 'u'
$$;
COMMENT ON FUNCTION mindtickle.check_cache() IS 'part of mt_check: the tables of the tenant cache';
