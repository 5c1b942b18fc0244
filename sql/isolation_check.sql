/*
 * mt_verify_isolation(): proves isolation by trying to break it. Two tenants that nobody has a right to get a row in every table; then every
 * role with a grant, or that such a one may become, tries to read them, write them and enter them. Everything happens in subtransactions that are rolled back, with ids that
 * take nothing from a sequence, so that nothing remains. For superusers, who alone may become every role.
 */
CREATE FUNCTION mindtickle.add_probe_row(relation pg_catalog.regclass, tenant pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	columns text;
	sources text;
	added int8;
	fault text;
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', '), string_agg(quote_literal(CASE
			WHEN a.attname = 'tenant_id' THEN tenant
			WHEN a.attidentity <> '' THEN '-1'
			WHEN k.choice IS NOT NULL THEN k.choice
			WHEN a.atttypid = 'bytea'::regtype THEN '\x' || repeat('00', 32)
			WHEN a.atttypid = ANY (ARRAY['json', 'jsonb']::regtype[]) OR t.typcategory = 'A' THEN '{}'
			WHEN t.typcategory = 'D' THEN 'now'
			WHEN a.atttypid = 'pg_snapshot'::regtype THEN '1:1:'
			WHEN t.typcategory = 'S' THEN 'probe'
			ELSE '0' END), ', ')
		INTO columns, sources
		FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
		LEFT JOIN LATERAL (
			-- the first value that a CHECK of the form column = ANY (ARRAY[...]) allows
			SELECT (regexp_match(pg_get_constraintdef(c.oid), '\m' || a.attname || ' = ANY \(ARRAY\[''([^'']+)'''))[1] AS choice
			FROM pg_constraint AS c WHERE c.conrelid = a.attrelid AND c.contype = 'c' ORDER BY 1 LIMIT 1) AS k ON true
		WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
			AND (a.attname = 'tenant_id' OR a.attnotnull AND NOT a.atthasdef
				 -- a credential is either a secret or a file
				 OR relation = 'mindtickle.credential'::regclass AND a.attname = 'file');
	EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', relation, columns, sources);
	GET DIAGNOSTICS added = ROW_COUNT;
	RETURN CASE WHEN added <> 1 THEN 'it was not stored' END;
EXCEPTION
	-- Once there is a row in every table, no attempt has to wait for anybody's lock on one.
	WHEN lock_not_available THEN
		RAISE;
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS fault = MESSAGE_TEXT;
		RETURN fault;
END
$$;
COMMENT ON FUNCTION mindtickle.add_probe_row(pg_catalog.regclass, pg_catalog.text)
	IS 'gives a tenant a row in a table, made from the catalog; in words why that was not possible, else NULL';

CREATE FUNCTION mindtickle.probe(role pg_catalog.name, setting pg_catalog.text, statement pg_catalog.text, tenants pg_catalog.text[]) RETURNS pg_catalog.text
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	affected int8;
	state text;
	outcome text;
BEGIN
	PERFORM set_config('mindtickle.tenant', setting, true), set_config('role', role, true);
	EXECUTE statement USING tenants;
	GET DIAGNOSTICS affected = ROW_COUNT;
	-- The way out is an error in any case: it takes back what was done, the role and the setting.
	RAISE EXCEPTION USING ERRCODE = 'MT000', MESSAGE = affected::text;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, outcome = MESSAGE_TEXT;
	RETURN CASE WHEN state = 'MT000' THEN outcome WHEN state = '42501' THEN 'refused' ELSE state || ': ' || outcome END;
END
$$;
COMMENT ON FUNCTION mindtickle.probe(pg_catalog.name, pg_catalog.text, pg_catalog.text, pg_catalog.text[])
	IS 'runs a statement as a role with a context and takes it back: the number of rows, refused, or the error';

CREATE FUNCTION mindtickle.probe_role(role pg_catalog.name, tenants pg_catalog.text[], tables pg_catalog.regclass[], views pg_catalog.regclass[],
		OUT attempts pg_catalog.int8, OUT breaches pg_catalog.text[]) RETURNS pg_catalog.record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	context record;
	attempt record;
	outcome text;
BEGIN
	attempts := 0;
	breaches := ARRAY[]::text[];
	FOR context IN SELECT * FROM (VALUES (1, 'by default', ''), (2, 'with a forged context', tenants[1]), (3, 'after that', '')) AS c (place, words, setting) ORDER BY c.place LOOP
		FOR attempt IN
			SELECT format('SELECT on %s', r) AS what, format('SELECT FROM %s WHERE tenant_id = ANY ($1)', r) AS statement, true AS may_find_nothing
				FROM unnest(tables || views) AS r
			UNION ALL SELECT format('UPDATE of %s', r), format('UPDATE %s SET tenant_id = tenant_id WHERE tenant_id = ANY ($1)', r), true FROM unnest(tables) AS r
			UNION ALL SELECT format('DELETE from %s', r), format('DELETE FROM %s WHERE tenant_id = ANY ($1)', r), true FROM unnest(tables) AS r
			UNION ALL SELECT format('INSERT into %s', r), format('INSERT INTO %s (tenant_id) VALUES (%L)', r, tenants[1]), false FROM unnest(tables) AS r
			UNION ALL SELECT 'mt_readiness', format('SELECT @extschema@.mt_readiness(%L)', tenants[1]), false
			UNION ALL SELECT 'mt_set_tenant', format('SELECT @extschema@.mt_set_tenant(%L)', tenants[1]), false
		LOOP
			outcome := mindtickle.probe(role, context.setting, attempt.statement, tenants);
			attempts := attempts + 1;
			IF outcome <> 'refused' AND NOT (attempt.may_find_nothing AND outcome = '0') THEN
				breaches := breaches || format('%s %s: %s', attempt.what, context.words,
					CASE WHEN outcome ~ '^[0-9]+$' THEN CASE WHEN attempt.may_find_nothing THEN outcome || ' foreign row(s)' ELSE 'not refused' END ELSE outcome END);
			END IF;
		END LOOP;
	END LOOP;
END
$$;
COMMENT ON FUNCTION mindtickle.probe_role(pg_catalog.name, pg_catalog.text[], pg_catalog.regclass[], pg_catalog.regclass[])
	IS 'tries as a role to reach tenants that it has no right to; breaches: in words what was not refused';

CREATE FUNCTION mindtickle.probe_isolation(OUT check_name pg_catalog.text, OUT passed pg_catalog.bool, OUT detail pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tenants text[] := ARRAY['mt-probe-' || left(md5(gen_random_uuid()::text), 23), 'mt-probe-' || left(md5(gen_random_uuid()::text), 23)];
	tables regclass[] := ARRAY(SELECT t.relation FROM mindtickle.tenant_tables() AS t ORDER BY t.relation <> 'mindtickle.tenant'::regclass, t.relation::text COLLATE "C");
	views regclass[] := ARRAY(SELECT a.attrelid::regclass FROM pg_attribute AS a
							  WHERE a.attrelid IN (SELECT mindtickle.own_relations('v')) AND a.attname = 'tenant_id' ORDER BY a.attrelid::regclass::text COLLATE "C");
	relation regclass;
	fault text;
	role name;
	result record;
	details text[] := ARRAY[]::text[];
	outcomes bool[] := ARRAY[]::bool[];
BEGIN
	BEGIN
		PERFORM mindtickle.begin_probe();
		FOREACH relation IN ARRAY tables LOOP
			fault := coalesce(mindtickle.add_probe_row(relation, tenants[1]), mindtickle.add_probe_row(relation, tenants[2]));
			IF fault IS NOT NULL THEN
				outcomes := outcomes || false;
				details := details || format('%s took no row to look for: %s', relation, fault);
			END IF;
		END LOOP;
		FOR role IN
			-- also what it may become with SET ROLE
			SELECT DISTINCT r.rolname FROM mindtickle.granted_roles() AS g JOIN mindtickle.acting_roles() AS a ON a.acting = g.role_oid
				JOIN pg_roles AS r ON r.oid = a.reached ORDER BY 1
		LOOP
			result := mindtickle.probe_role(role, tenants, tables, views);
			outcomes := outcomes || (cardinality(result.breaches) = 0);
			details := details || CASE WHEN cardinality(result.breaches) = 0
				THEN format('role %I: %s tables and %s views, 3 contexts, %s attempts: no foreign row', role, cardinality(tables), cardinality(views), result.attempts)
				ELSE format('role %I: %s of %s attempts were not refused: %s', role, cardinality(result.breaches), result.attempts,
							array_to_string(result.breaches[1:5], '; ') || CASE WHEN cardinality(result.breaches) > 5 THEN '; ...' ELSE '' END) END;
		END LOOP;
		RAISE EXCEPTION USING ERRCODE = 'MT000';
	EXCEPTION WHEN SQLSTATE 'MT000' THEN
		NULL;
	END;
	RETURN QUERY SELECT 'probe'::text, o.outcome, o.words FROM unnest(outcomes, details) AS o (outcome, words);
	IF NOT FOUND THEN
		RETURN QUERY SELECT 'probe'::text, true, 'no role has a grant'::text;
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.probe_isolation() IS 'the part of mt_verify_isolation that tries: a row for each role with a grant';

CREATE FUNCTION @extschema@.mt_verify_isolation(OUT check_name pg_catalog.text, OUT passed pg_catalog.bool, OUT detail pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET row_security = on SET lock_timeout = '5s' AS $$
BEGIN
	-- Who may become every role is decided by the session's role, who may see every row by the current one.
	IF NOT (SELECT bool_and(r.rolsuper) FROM pg_roles AS r WHERE r.rolname = ANY (ARRAY[session_user, current_user])) THEN
		RAISE EXCEPTION 'permission denied for function mt_verify_isolation'
			USING ERRCODE = 'insufficient_privilege', DETAIL = 'It acts as every role that has a grant, which only a superuser may.';
	ELSIF current_setting('transaction_read_only')::bool THEN
		RAISE EXCEPTION 'mt_verify_isolation cannot run in a read-only transaction'
			USING ERRCODE = 'read_only_sql_transaction', DETAIL = 'It writes rows and takes them back.',
				  HINT = 'Run it on the primary; on a standby there is mt_check().';
	END IF;
	-- The library defines the settings that the probes make use of.
	PERFORM mindtickle.library_version();
	RETURN QUERY
		SELECT l.check_name, f.detail IS NULL, coalesce(f.detail, l.holds)
		FROM mindtickle.check_list() AS l LEFT JOIN (
			SELECT * FROM mindtickle.check_row_security() UNION ALL SELECT * FROM mindtickle.check_views() UNION ALL SELECT * FROM mindtickle.check_functions()) AS f
			ON f.check_name = l.check_name
		WHERE l.check_name = ANY (ARRAY['row_security', 'views', 'definer_functions', 'leakproof_functions'])
		ORDER BY l.place, f.detail COLLATE "C";
	RETURN QUERY SELECT * FROM mindtickle.probe_isolation();
END
$$;
COMMENT ON FUNCTION @extschema@.mt_verify_isolation()
	IS 'looks at the means of isolation and tries as every role with a grant to get around them, leaving nothing behind; for superusers';
