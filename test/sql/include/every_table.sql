-- Rows of a tenant in every table that has a tenant, made from the catalog: a new table has some too, or the file that reads this fails.
-- Read with \i by the tests of isolation; holds no test itself. A row bears a mark: each text, number, time and hash of it is made from the mark,
-- so that it is known wherever it turns up.
CREATE TEMP VIEW tenant_table AS
	SELECT c.oid::regclass AS relation, c.relname::text AS name FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped;

-- Values that a constraint asks for.
CREATE TEMP TABLE given (column_name text PRIMARY KEY, value text);
INSERT INTO given VALUES ('users.role', 'rep'), ('course_progress.status', 'completed'), ('sync_job.kind', 'full'), ('sync_job.state', 'done'),
	('sync_resource.resource', 'roster'), ('credential.name', 'api_key'), ('credential.file', NULL), ('readiness_daily.scope', 'tenant'),
	('tenant_grant.access', 'reader'), ('tenant_grant.token_required', 'true'), ('event_consumer_0.dropped', 'false'), ('event_consumer_1.dropped', 'false');

-- The columns of a row, and the expressions that make them.
CREATE FUNCTION pg_temp.row_of(relation regclass, tenant text, mark text, OUT columns text, OUT sources text) LANGUAGE plpgsql AS $$
DECLARE
	number int4 := abs(hashtext(mark)) % 9000 + 1000;
BEGIN
	SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), string_agg(CASE
			WHEN a.attname = 'tenant_id' THEN quote_literal(tenant)
			WHEN g.column_name IS NOT NULL THEN quote_nullable(g.value)
			WHEN a.attname ~ '^(user_id|course_id|quiz_id|team_id|manager_id|object_id|scope_id|mindtickle_id)$'
				THEN quote_literal(split_part(a.attname, '_', 1) || ' ' || mark)
			WHEN a.atttypid IN ('text'::regtype, 'name'::regtype) THEN quote_literal('canary ' || mark)
			WHEN a.atttypid IN ('int4'::regtype, 'oid'::regtype) THEN format('%s%s', number / 10, number)
			WHEN a.atttypid = 'int8'::regtype THEN format('%s%s%s', number, number, number)
			WHEN a.atttypid = 'numeric'::regtype THEN format('0.%s', number)
			WHEN a.atttypid = 'bool'::regtype THEN 'true'
			WHEN a.atttypid = 'jsonb'::regtype THEN quote_literal(jsonb_build_object('canary', mark))
			WHEN a.atttypid = 'int2'::regtype THEN '0'
			WHEN a.atttypid = 'xid8'::regtype THEN '''1'''
			WHEN a.atttypid = 'pg_snapshot'::regtype THEN '''1:1:'''
			-- an entry of a user of whom nothing has changed
			WHEN c.relname ~ '^readiness_delta' AND a.attname = 'entries' THEN format('''\x000020''::bytea || sha256(convert_to(%L, ''UTF8'')) || ''\x0000''', mark)
			WHEN a.atttypid = 'bytea'::regtype THEN format('sha256(convert_to(%L, ''UTF8''))', mark)
			WHEN a.atttypid = 'int4[]'::regtype THEN format('''{%s}''', number)
			WHEN a.atttypid = 'text[]'::regtype THEN quote_literal(ARRAY['canary ' || mark])
			WHEN a.atttypid = 'inet'::regtype THEN quote_literal('192.0.2.1')
			WHEN a.atttypid IN ('date'::regtype, 'timestamptz'::regtype) THEN format('''%s-01-02''', number) END, ', ' ORDER BY a.attnum)
		INTO columns, sources
		FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid LEFT JOIN given AS g ON g.column_name = c.relname || '.' || a.attname
		WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '';
END
$$;

-- For a tenant that exists.
CREATE FUNCTION pg_temp.fill_every_table(tenant text, mark text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t record;
	r record;
BEGIN
	DELETE FROM mindtickle.sync_budget WHERE tenant_id = fill_every_table.tenant;
	FOR t IN SELECT x.relation FROM tenant_table AS x WHERE x.name <> 'tenant' ORDER BY x.name LOOP
		r := pg_temp.row_of(t.relation, tenant, mark);
		EXECUTE format('INSERT INTO %s (%s) VALUES (%s)', t.relation, r.columns, r.sources);
	END LOOP;
	UPDATE mindtickle.tenant SET source_configured = true, last_error = 'canary ' || mark, settings = jsonb_build_object('company_id', 'canary ' || mark)
		WHERE tenant_id = fill_every_table.tenant;
	INSERT INTO mindtickle.sync_job (tenant_id, kind, state, error) VALUES (tenant, 'full', 'running', 'canary ' || mark);
END
$$;

-- How many rows a tenant has in each table, and the digest of them.
CREATE FUNCTION pg_temp.rows_of(tenant text) RETURNS TABLE (name text, rows int8, digest text) LANGUAGE plpgsql AS $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM tenant_table AS x ORDER BY x.name LOOP
		name := t.name;
		EXECUTE format('SELECT count(*), md5(string_agg(r::text, E''\n'' ORDER BY r::text COLLATE "C")) FROM %s AS r WHERE tenant_id = $1', t.relation)
			INTO rows, digest USING tenant;
		RETURN NEXT;
	END LOOP;
END
$$;
