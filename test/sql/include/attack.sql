-- How an attack is made and heard. Read with \i by the matrices of isolation; holds no test itself.
CREATE TEMP VIEW extension_object AS
	SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname = 'mindtickle' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';

-- A pattern for all that fill_every_table makes of a mark, in whichever form it is put out; or without the ids, where the attacker says them himself.
CREATE FUNCTION pg_temp.mark_of(mark text, with_ids bool DEFAULT true) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT concat_ws('|', 'canary"?:? ?"?' || mark, CASE WHEN with_ids THEN '(user|course|quiz|team|manager|object|scope|mindtickle) ' || mark END, concat(n, n, n),
		concat(n / 10, n), '0[.]' || n || '\M', '\m' || n || '-01-0[12]', encode(sha256(convert_to(mark, 'UTF8')), 'hex'))
	FROM (SELECT abs(hashtext(mark)) % 9000 + 1000) AS m (n)
$$;

-- The extension's objects as they are: rights, row security, what is put onto them.
CREATE FUNCTION pg_temp.objects() RETURNS TABLE (object text, state text) LANGUAGE sql AS $$
	SELECT c.oid::regclass::text, concat_ws('; ', c.relkind, coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)), c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relhasrules, c.relhastriggers,
			(SELECT string_agg(concat_ws(' ', a.attname, a.attacl), ', ' ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0),
			(SELECT string_agg(p.polname || pg_get_expr(p.polqual, c.oid), ', ' ORDER BY p.polname) FROM pg_policy AS p WHERE p.polrelid = c.oid),
			(SELECT string_agg(t.tgname || ' ' || t.tgenabled::text, ', ' ORDER BY t.tgname) FROM pg_trigger AS t WHERE t.tgrelid = c.oid),
			(SELECT string_agg(i.indexrelid::regclass::text, ', ' ORDER BY i.indexrelid) FROM pg_index AS i WHERE i.indrelid = c.oid),
			CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) WHEN 'S' THEN (SELECT s::text FROM pg_sequence AS s WHERE s.seqrelid = c.oid) END)
	FROM pg_class AS c JOIN pg_temp.extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
	UNION ALL
	SELECT p.oid::regprocedure::text, concat_ws('; ', p.proacl, p.proowner, p.proconfig, p.prosrc)
	FROM pg_proc AS p JOIN pg_temp.extension_object AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid
$$;

-- Runs statements, separated by ";;", one after the other as a role with a value of mindtickle.tenant: the SQLSTATE of the first that fails, else
-- 00000, and all that came out: the rows, or the parts of the error, in which what the attacker wrote himself is left out. Afterwards role and
-- setting are the session's. An attack that succeeds leaves its traces, so that they are seen.
CREATE FUNCTION pg_temp.heard(role_name text, setting text, statements text, OUT state text, OUT heard text) LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	line record;
	affected int8;
	message text; detail text; hint text; context text; column_name text; constraint_name text;
BEGIN
	heard := '';
	PERFORM set_config('mindtickle.tenant', setting, true), set_config('role', role_name, true);
	FOREACH statement IN ARRAY regexp_split_to_array(statements, ' ;; ') LOOP
		IF statement ~ '^(SELECT|WITH|EXPLAIN|FETCH|EXECUTE|SHOW|VALUES)|RETURNING' AND statement !~ ' INTO TEMP ' THEN
			FOR line IN EXECUTE statement LOOP
				heard := heard || line::text || E'\n';
			END LOOP;
		ELSE
			EXECUTE statement;
			GET DIAGNOSTICS affected = ROW_COUNT;
			heard := heard || 'rows ' || affected || E'\n';
		END IF;
	END LOOP;
	PERFORM set_config('role', 'none', true), set_config('mindtickle.tenant', '', true), set_config('row_security', 'on', true);
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
		context = PG_EXCEPTION_CONTEXT, column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME;
	context := replace(context, statement, '');
	heard := concat_ws('|', message, nullif(detail, ''), nullif(hint, ''), nullif(column_name, ''), nullif(constraint_name, ''),
		nullif(regexp_replace(context, '(SQL statement ""\n)?PL/pgSQL function pg_temp_\d+.heard.*', ''), '')) || E'\n' || heard;
END
$$;
