-- The two tenants of a fuzzing run, read by psql with the variables "word", "number", "moment" and "day" set: what only rows of the other tenant
-- hold. Called by MindTickle::Fuzz as a superuser, once, on a fresh database with the extension. Holds no test itself.
--
-- "fuzz-b" has rows of such values in every table, whichever tables there are, and an alarm on each: a row of it that is written raises an
-- error that no query can keep out of the server log, also where its transaction rolls back. "fuzz-a" is the attackers'. Its rows hold what an
-- attack needs as arguments, above all the other tenant's name. The attackers are roles of all kinds of rights:
--
--   fuzz_reader, fuzz_writer, fuzz_admin    of fuzz-a; the writer's queries run in parallel workers where that is possible
--   fuzz_careless                           an admin of fuzz-a to whom a careless DBA has granted all tables as well
--   fuzz_pooled                             may act for both, but only with a token, and has none; says that it acts for fuzz-b
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET allow_system_table_mods = on;

CREATE ROLE fuzz_reader LOGIN;
CREATE ROLE fuzz_writer LOGIN;
CREATE ROLE fuzz_admin LOGIN;
CREATE ROLE fuzz_careless LOGIN;
CREATE ROLE fuzz_pooled LOGIN;
CREATE ROLE fuzz_other LOGIN;
SELECT format('ALTER ROLE %I SET %s', r.rolname, s) FROM pg_roles AS r, unnest(ARRAY['statement_timeout = ''1s''', 'lock_timeout = ''500ms''']) AS s
	WHERE r.rolname ~ '^fuzz_' \gexec
ALTER ROLE fuzz_writer SET min_parallel_table_scan_size = 0;
ALTER ROLE fuzz_writer SET parallel_setup_cost = 0;
ALTER ROLE fuzz_writer SET parallel_tuple_cost = 0;
ALTER ROLE fuzz_writer SET parallel_leader_participation = off;
-- To start one takes longer than the query.
ALTER ROLE fuzz_writer SET max_parallel_workers_per_gather = 1;
ALTER ROLE fuzz_pooled SET mindtickle.tenant = 'fuzz-b';

SELECT mt_create_tenant('fuzz-a', 'fuzz-a'), mt_create_tenant('fuzz-b', :'word') \g /dev/null
SELECT mt_configure_tenant('fuzz-b', jsonb_build_object('company_id', :'word')) \g /dev/null
SELECT mt_grant_tenant('fuzz-a', 'fuzz_reader', 'reader'), mt_grant_tenant('fuzz-a', 'fuzz_writer', 'writer'),
	mt_grant_tenant('fuzz-a', 'fuzz_admin', 'admin'), mt_grant_tenant('fuzz-a', 'fuzz_careless', 'admin'),
	mt_grant_tenant('fuzz-b', 'fuzz_other', 'admin'),
	mt_grant_tenant('fuzz-a', 'fuzz_pooled', 'admin', true), mt_grant_tenant('fuzz-b', 'fuzz_pooled', 'admin', true) \g /dev/null
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mindtickle TO fuzz_careless;

CREATE TEMP TABLE given (column_name text PRIMARY KEY, value text);
INSERT INTO given VALUES ('users.role', 'rep'), ('course_progress.status', 'completed'), ('sync_job.kind', 'full'), ('sync_job.state', 'done'),
	('sync_resource.resource', 'roster'), ('credential.name', 'api_key'), ('credential.file', NULL), ('readiness_daily.scope', 'tenant'),
	('tenant_grant.access', 'reader'), ('tenant_grant.token_required', 'true'), ('api_token.scopes', '{sql}');

-- One row for a tenant in a table, made from the catalog. Where its key is there already, that row stays.
CREATE FUNCTION pg_temp.fill(relation regclass, tenant text, word text, number int8, moment timestamptz, day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	short text := (SELECT c.relname FROM pg_class AS c WHERE c.oid = relation);
	attribute record;
	columns text[];
	sources text[];
	source text;
BEGIN
	FOR attribute IN
		SELECT a.attname, a.atttypid::regtype::text AS type, a.atttypmod, g.column_name IS NOT NULL AS is_given, g.value
		FROM pg_attribute AS a LEFT JOIN given AS g ON g.column_name = short || '.' || a.attname
		WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
	LOOP
		source := CASE
			WHEN attribute.attname = 'tenant_id' THEN quote_literal(tenant)
			WHEN attribute.is_given THEN quote_nullable(attribute.value)
			WHEN attribute.attname = 'token_hash' THEN format('sha256(convert_to(%L, ''UTF8''))', word)
			WHEN attribute.type IN ('text', 'name') THEN quote_literal(word)
			WHEN attribute.type = 'text[]' THEN format('ARRAY[%L]', word)
			WHEN attribute.type = 'jsonb' THEN quote_literal(jsonb_build_object('userId', word, 'courseId', word, 'email', word, word, word))
			WHEN attribute.type = 'bytea' THEN format('convert_to(%L, ''UTF8'')', word)
			WHEN attribute.type = 'bigint' THEN number::text
			WHEN attribute.type = 'xid8' THEN quote_literal(number)
			WHEN attribute.type = 'pg_snapshot' THEN quote_literal(format('%s:%s:', number, number))
			WHEN attribute.type = 'smallint' THEN '0'
			WHEN attribute.type IN ('integer', 'oid') THEN (number % 1000000000)::text
			WHEN attribute.type = 'integer[]' THEN format('ARRAY[%s]', number % 1000000000)
			WHEN attribute.type = 'numeric' AND attribute.atttypmod = -1 THEN (number / 1000.0)::text
			WHEN attribute.type = 'numeric' THEN '0.5'
			WHEN attribute.type = 'boolean' THEN 'true'
			WHEN attribute.type = 'timestamp with time zone' THEN quote_literal(moment)
			WHEN attribute.type = 'date' THEN quote_literal(day)
			WHEN attribute.type = 'inet' THEN quote_literal('203.0.113.1') END;
		IF source IS NULL THEN
			RAISE EXCEPTION 'no value for column % of type % of table %', attribute.attname, attribute.type, relation;
		END IF;
		columns := columns || quote_ident(attribute.attname);
		sources := sources || source;
	END LOOP;
	EXECUTE format('INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING', relation, array_to_string(columns, ', '), array_to_string(sources, ', '));
END
$$;

-- What readiness is made of follows from the other rows, by triggers and the aggregator, who also empties the tables. Events are given a table.
CREATE TEMP TABLE filled AS
	SELECT c.oid::regclass AS relation, EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') AS has_tenant
	FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'tenant'
		AND (NOT mindtickle.is_truncated(c.relname) OR c.relname = 'event_0');
-- A hundred rows and more: sqlsmith likes to look at a few per cent of a table.
SELECT pg_temp.fill(relation, 'fuzz-b', CASE place WHEN 1 THEN :'word' ELSE :'word' || place END, :number + place, :'moment', :'day')
	FROM filled, generate_series(1, 100) AS place \g /dev/null
SELECT pg_temp.fill(relation, 'fuzz-a', w.word, w.place, now(), current_date)
	FROM filled, (SELECT * FROM unnest(ARRAY['fuzz-a', 'fuzz-b', 'fuzz_other', 'mindtickle.tenant', '%', '{"userId": "u1", "email": "u1@b.example"}',
			'[{"courseId": "c1", "status": "completed"}]']) WITH ORDINALITY
		UNION ALL SELECT 'own row ' || n, n FROM generate_series(8, 100) AS n) AS w (word, place)
	WHERE has_tenant \g /dev/null
-- They count on behind these, and are consumed.
INSERT INTO mindtickle.event_position_0 SELECT tenant_id, 1, 1, max(seq), NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM mindtickle.event_0 GROUP BY tenant_id;
INSERT INTO mindtickle.event_consumer_0 VALUES ('fuzz-a', 'own', 1, 0, now(), NULL, false), ('fuzz-b', :'word', 1, :number, :'moment', :'moment', false);
UPDATE mindtickle.tenant SET source_configured = true, created_at = :'moment', next_sync_at = :'moment', backoff_until = :'moment', last_error = :'word',
	last_error_at = :'moment' WHERE tenant_id = 'fuzz-b';
UPDATE mindtickle.tenant SET last_error = 'fuzz-b' WHERE tenant_id = 'fuzz-a';
-- Statistics hold values of rows too.
ANALYZE;

CREATE SCHEMA fuzz;
GRANT USAGE ON SCHEMA fuzz TO PUBLIC;
CREATE FUNCTION fuzz.alarm() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'ALARM: % of the other tenant in %', TG_OP, TG_RELID::regclass;
END
$$;
SELECT format('CREATE TRIGGER alarm_%s AFTER %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION fuzz.alarm()', a.event, a.event, f.relation, a.condition)
	FROM filled AS f, (VALUES ('insert', 'NEW.tenant_id = ''fuzz-b'''), ('delete', 'OLD.tenant_id = ''fuzz-b'''),
		('update', 'OLD.tenant_id = ''fuzz-b'' OR NEW.tenant_id = ''fuzz-b''')) AS a (event, condition)
	WHERE f.has_tenant
UNION ALL SELECT format('CREATE TRIGGER alarm_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION fuzz.alarm()', relation) FROM filled
\gexec

-- sqlsmith calls no function that returns a set or a record, and others with NULL more often than not. So each function that is told a tenant
-- has doubles that return text and, told nothing, aim at the one tenant or the other.
SELECT format('CREATE FUNCTION fuzz.%I(%s) RETURNS text LANGUAGE sql AS %L', p.proname || '_' || n, string_agg(format_type(a.type, NULL), ', ' ORDER BY a.place),
		format('SELECT string_agg(f::text, '', '') FROM %s(%s) AS f', p.oid::regproc, string_agg(format('coalesce($%s, %s)', a.place, CASE
			WHEN p.proargnames[a.place] ~ '^tenant' AND a.type = 'text'::regtype THEN CASE n % 2 WHEN 0 THEN '''fuzz-a''' ELSE '''fuzz-b''' END
			WHEN a.type = 'jsonb'::regtype THEN '''{"userId": "u1", "email": "u1@b.example"}'''
			WHEN a.type = 'text'::regtype THEN '''u1'''
			WHEN a.type = 'name'::regtype THEN '''fuzz_other'''
			ELSE 'NULL' END), ', ' ORDER BY a.place)))
	FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'mindtickle',
		unnest(p.proargtypes) WITH ORDINALITY AS a (type, place), generate_series(1, 16) AS n
	WHERE p.proargnames && ARRAY['tenant', 'tenant_id', 'tenants'] AND p.prokind = 'f' AND has_function_privilege('fuzz_admin', p.oid, 'EXECUTE')
	GROUP BY p.oid, p.proname, n
\gexec
-- What sqlsmith makes queries of. One function or operator that the parser does not take, or that the role may not execute, ends a query before
-- it has read a row, and that would be every second query. To sqlsmith polymorphic types are ordinary ones, and it compares values of any type.
-- So such operators go, but for those of arrays, which we need ourselves. It looks functions up in pg_proc without naming the schema: there it
-- finds those that it may execute. The careless role may try all of ours.
CREATE TEMP TABLE unfit AS SELECT t.oid AS type, t.typtype FROM pg_type AS t
	WHERE t.typtype = 'p' AND t.typname NOT IN ('void', 'record')
		OR t.typtype = 'b' AND t.typcategory <> 'A' AND t.typname NOT IN ('varchar', 'json') AND NOT EXISTS (SELECT FROM pg_opclass AS c JOIN pg_am AS m ON m.oid = c.opcmethod
			WHERE c.opcintype = t.oid AND c.opcdefault AND m.amname IN ('btree', 'hash'));
DELETE FROM pg_operator WHERE oprleft::regtype::text ~ '^any(.*range|enum)$' OR oprright::regtype::text ~ '^any(.*range|enum)$'
	OR EXISTS (SELECT FROM unfit AS u WHERE u.typtype = 'b' AND u.type IN (oprleft, oprright, oprresult));
CREATE TABLE fuzz.unfit_function (oid oid PRIMARY KEY) WITH (parallel_workers = 0);
INSERT INTO fuzz.unfit_function SELECT p.oid FROM pg_catalog.pg_proc AS p WHERE EXISTS (SELECT FROM unfit AS u WHERE u.type = p.prorettype OR u.type = ANY (p.proargtypes));
CREATE SCHEMA fuzz_shown;
GRANT USAGE ON SCHEMA fuzz_shown TO PUBLIC;
CREATE VIEW fuzz_shown.pg_proc AS SELECT p.* FROM pg_catalog.pg_proc AS p WHERE NOT EXISTS (SELECT FROM fuzz.unfit_function AS u WHERE u.oid = p.oid)
	AND (has_function_privilege(p.oid, 'EXECUTE') OR current_user = 'fuzz_careless' AND p.pronamespace = 'mindtickle'::regnamespace);
GRANT SELECT ON fuzz_shown.pg_proc TO PUBLIC;
SELECT format('ALTER ROLE %I SET search_path = fuzz_shown, pg_catalog, public', r.rolname) FROM pg_roles AS r WHERE r.rolname ~ '^fuzz_' \gexec
-- It looks each function and each table up by itself. Catalogs are not read by parallel workers, whatever the writer's settings: starting some for
-- each of thousands of look-ups takes minutes.
SELECT format('ALTER TABLE %s SET (parallel_workers = 0)', c.oid::regclass) FROM pg_class AS c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' \gexec
