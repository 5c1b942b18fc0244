\set ECHO none
-- The matrix of relations: every table, view and sequence of the extension, and the TOAST tables behind them, with every verb of SQL that may read,
-- write or put something onto it, as reader, writer and admin of one tenant and as a role without one, with the context forged. What they hear
-- (rows, messages, details, hints, contexts) never holds a mark of the other tenant's rows, each verb ends with the SQLSTATE that belongs to it, and
-- the other tenant's rows are at the end as they were at the beginning.
--
-- Relations and their kinds come from the catalogs. The last part adds an unprotected table and sees the matrix fail.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/every_table.sql
\i :inputdir/sql/include/attack.sql
SET LOCAL client_min_messages = error;
-- As the marks are written.
SET LOCAL datestyle = 'ISO';
SELECT plan(26);

DROP ROLE IF EXISTS mx_reader, mx_writer, mx_admin, mx_nobody, mx_careless, mx_theirs;
CREATE ROLE mx_reader;
CREATE ROLE mx_writer;
CREATE ROLE mx_admin;
CREATE ROLE mx_nobody;
CREATE ROLE mx_careless;
CREATE ROLE mx_theirs;
SELECT mt_create_tenant('mx-a', 'canary own'), mt_create_tenant('mx-b', 'canary b7') \g /dev/null
SELECT mt_grant_tenant('mx-a', 'mx_reader', 'reader'), mt_grant_tenant('mx-a', 'mx_writer', 'writer'), mt_grant_tenant('mx-a', 'mx_admin', 'admin'),
	mt_grant_tenant('mx-a', 'mx_careless', 'admin'), mt_grant_tenant('mx-b', 'mx_theirs', 'admin') \g /dev/null
SELECT pg_temp.fill_every_table('mx-a', 'own'), pg_temp.fill_every_table('mx-b', 'b7') \g /dev/null
INSERT INTO mindtickle.security_alert (at, session_role, tenant_asked, object, last_at) VALUES (now(), 'canary b7', 'mx-b', 'canary b7', now());
SELECT pg_temp.mark_of('b7') AS canary \gset
CREATE TEMP TABLE before AS SELECT * FROM pg_temp.rows_of('mx-b');
CREATE TEMP TABLE objects_before AS SELECT * FROM pg_temp.objects();
SELECT is_empty($$SELECT name FROM before WHERE rows = 0$$, 'there are rows of the other tenant in every table');
SELECT is_empty($$SELECT name FROM pg_temp.rows_of('mx-a') WHERE rows = 0$$, 'and of the own tenant');
SELECT is_empty($$SELECT name FROM tenant_table AS t, pg_temp.heard('none', '', format('SELECT x::text FROM %s AS x WHERE tenant_id = ''mx-b''', relation)) AS h
	WHERE h.heard !~ pg_temp.mark_of('b7')$$, 'each of which bears the mark');

-- A schema where the attackers may make what they like, and a function of theirs that tells what it sees and costs nothing.
CREATE SCHEMA mx_own;
GRANT ALL ON SCHEMA mx_own TO PUBLIC;
CREATE FUNCTION mx_own.tell(seen text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	IF seen ~ 'b7' THEN
		RAISE EXCEPTION 'seen: %', seen;
	END IF;
	RETURN true;
END
$$;

-- What is attacked, by kind: a table that PUBLIC reads (open), of which it reads columns (part), or nothing (shut); a view, or one that is for
-- others (blind); a sequence; a TOAST table. columns are those that the attackers may read, or all where they may read none.
CREATE FUNCTION pg_temp.targets() RETURNS TABLE (relation text, kind text, columns text, tenant_column text, key text, definition text, updatable bool, insertion text)
	LANGUAGE sql AS $$
	SELECT c.oid::regclass::text,
		CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 't' THEN 'toast'
			WHEN 'v' THEN CASE WHEN has_table_privilege('mx_reader', c.oid, 'SELECT') THEN 'view' ELSE 'blind' END
			ELSE CASE WHEN has_table_privilege('mx_reader', c.oid, 'SELECT') THEN 'open' WHEN a.readable IS NOT NULL THEN 'part' ELSE 'shut' END END,
		coalesce(a.readable, '*'), coalesce(a.tenant_column, 'tenant_asked'),
		coalesce(k.key, a.tenant_column), coalesce(k.definition, a.tenant_column || ' text'),
		pg_relation_is_updatable(c.oid, false) & 28 = 28,
		CASE WHEN c.relkind IN ('r', 'p') THEN (SELECT format('(%s) VALUES (%s)', r.columns, r.sources) FROM pg_temp.row_of(c.oid, 'mx-b', 'b7') AS r)
			ELSE format('(%s) VALUES (''mx-b'')', a.tenant_column) END
	FROM (SELECT c.* FROM pg_class AS c JOIN pg_temp.extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
			WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
		UNION SELECT t.* FROM pg_class AS c JOIN pg_temp.extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
			JOIN pg_class AS t ON t.oid = c.reltoastrelid) AS c,
		LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE has_column_privilege('mx_reader', c.oid, a.attnum, 'SELECT')) AS readable,
			min(a.attname) FILTER (WHERE a.attname IN ('tenant_id', 'tenant_asked') OR c.relname = 'mt_stat_worker' AND a.attname = 'step') AS tenant_column
			FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS a,
		LATERAL (SELECT string_agg(k.attname, ', ' ORDER BY k.attnum) AS key, string_agg(concat_ws(' ', k.attname, format_type(k.atttypid, NULL)), ', ' ORDER BY k.attnum) AS definition
			FROM pg_index AS i JOIN pg_attribute AS k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary) AS k
$$;
CREATE TEMP TABLE target AS SELECT * FROM pg_temp.targets();
SELECT is((SELECT string_agg(kind || ' ' || relations, E'\n' ORDER BY kind) FROM (SELECT kind, string_agg(relation, ' ' ORDER BY relation COLLATE "C") AS relations
		FROM target WHERE kind <> 'toast' GROUP BY kind) AS k),
	'blind mt_security_alerts mt_stat_tenant mt_stat_worker
open mindtickle.course mindtickle.course_progress mindtickle.dead_letter mindtickle.event mindtickle.quiz mindtickle.quiz_submission mindtickle.readiness_daily mindtickle.readiness_report mindtickle.sync_resource mindtickle.team mindtickle.team_member mindtickle.users
part mindtickle.sync_job mindtickle.tenant
sequence mindtickle.api_token_token_id_seq mindtickle.dead_letter_letter_id_seq mindtickle.event_overflow_overflow_id_seq mindtickle.outbox_outbox_id_seq mindtickle.security_alert_alert_id_seq mindtickle.sync_job_job_id_seq
shut mindtickle.api_token mindtickle.cache_change mindtickle.cache_entry mindtickle.credential mindtickle.event_counter mindtickle.event_overflow mindtickle.outbox mindtickle.readiness_course_0 mindtickle.readiness_course_1 mindtickle.readiness_delta_0 mindtickle.readiness_delta_1 mindtickle.readiness_delta_2 mindtickle.readiness_delta_3 mindtickle.readiness_rerun mindtickle.readiness_summary_0 mindtickle.readiness_summary_1 mindtickle.readiness_user_0 mindtickle.readiness_user_1 mindtickle.security_alert mindtickle.sync_budget mindtickle.sync_seen mindtickle.tenant_grant
view mt_course_progress mt_courses mt_dead_letters mt_events mt_progress_sync mt_quiz_results mt_readiness_reports mt_sync_jobs mt_teams mt_users',
	'these are open to roles with a tenant, and these are not');

-- The verbs. {r} is the relation, {c} its readable columns, {t} the column with the tenant, {k} the primary key, {d} its columns with their types,
-- {i} columns and values of a row that the other tenant has; statements are separated by ";;". The states are those for open, part, shut, view, blind, in this order: ok, no (42501),
-- dml (no, but for a view that cannot be written at all 55000), another SQLSTATE, or - where the verb cannot be tried.
CREATE TEMP TABLE verb (sort text, name text PRIMARY KEY, statements text, states text);
INSERT INTO verb VALUES
	-- reading
	('read', 'select', 'SELECT {c} FROM {r}', 'ok ok no ok no'),
	('read', 'select theirs', 'SELECT {c} FROM {r} WHERE {t} = ''mx-b''', 'ok ok no ok no'),
	('read', 'select not ours', 'SELECT {c} FROM ONLY {r} WHERE {t} <> ''mx-a'' OR {t} IS NULL', 'ok ok no ok no'),
	('read', 'select pattern', 'SELECT {t} FROM {r} WHERE {t} ~ ''b$'' OR {t} LIKE ''%b''', 'ok ok no ok no'),
	('read', 'select whole row', 'SELECT x::text, to_jsonb(x), x FROM {r} AS x', 'ok no no ok no'),
	('read', 'select system columns', 'SELECT ctid, xmin, tableoid::regclass, {c} FROM {r} WHERE ctid = ANY (ARRAY[''(0,1)'', ''(0,2)'', ''(0,3)'']::tid[])', 'ok no no 42703 42703'),
	('read', 'tablesample', 'SELECT {c} FROM {r} TABLESAMPLE SYSTEM (100)', 'ok ok no 0A000 0A000'),
	('read', 'tablesample bernoulli', 'SELECT {c} FROM {r} TABLESAMPLE BERNOULLI (100) REPEATABLE (1)', 'ok ok no 0A000 0A000'),
	('read', 'aggregates', 'SELECT count(*), min({t}), max({t}), string_agg({t}, '','') FROM {r}', 'ok ok no ok no'),
	('read', 'self join', 'SELECT x.{t}, y.{t} FROM {r} AS x FULL JOIN {r} AS y ON x.{t} = y.{t}', 'ok ok no ok no'),
	('read', 'subquery', 'SELECT (SELECT string_agg({t}, '','') FROM {r})', 'ok ok no ok no'),
	('read', 'exists', 'SELECT CASE WHEN EXISTS (SELECT {t} FROM {r} WHERE {t} = ''mx-b'') THEN ''canary b7'' END', 'ok ok no ok no'),
	('read', 'with', 'WITH x AS MATERIALIZED (SELECT {c} FROM {r}) SELECT * FROM x', 'ok ok no ok no'),
	('read', 'with recursive', 'WITH RECURSIVE x (t) AS (SELECT {t} FROM {r} UNION SELECT {t} FROM {r}, x WHERE {t} > t) SELECT * FROM x', 'ok ok no ok no'),
	('read', 'leaky function', 'SELECT {t} FROM {r} WHERE mx_own.tell(CASE {t} WHEN ''mx-b'' THEN ''canary b7'' ELSE '''' END)', 'ok ok no ok no'),
	('read', 'leaky error', 'SELECT {t} FROM {r} WHERE 1 / (CASE WHEN {t} = ''mx-b'' THEN 0 ELSE 1 END) = 1', 'ok ok no ok no'),
	('read', 'leaky cast', 'SELECT {t} FROM {r} WHERE CASE WHEN {t} = ''mx-b'' THEN (''canary b7'' || {t})::int = 1 ELSE true END', 'ok ok no ok no'),
	('read', 'leaky order', 'SELECT {t} FROM {r} ORDER BY mx_own.tell(CASE {t} WHEN ''mx-b'' THEN ''canary b7'' ELSE '''' END)', 'ok ok no ok no'),
	('read', 'row security off', 'SET LOCAL row_security = off ;; SELECT {c} FROM {r}', 'no no no no no'),
	('read', 'for update', 'SELECT {c} FROM {r} FOR UPDATE', 'no no no no no'),
	('read', 'for no key update', 'SELECT {c} FROM {r} FOR NO KEY UPDATE NOWAIT', 'no no no no no'),
	('read', 'for share', 'SELECT {c} FROM {r} FOR SHARE', 'no no no no no'),
	('read', 'for key share', 'SELECT {c} FROM {r} FOR KEY SHARE SKIP LOCKED', 'no no no no no'),
	('read', 'explain', 'EXPLAIN (ANALYZE, VERBOSE) SELECT {c} FROM {r}', 'ok ok no ok no'),
	('read', 'explain theirs', 'EXPLAIN (ANALYZE, BUFFERS, SETTINGS, FORMAT JSON) SELECT {c} FROM {r} WHERE {t} = ''mx-b''', 'ok ok no ok no'),
	('read', 'explain write', 'EXPLAIN ANALYZE DELETE FROM {r} WHERE {t} = ''mx-b''', 'no no no dml dml'),
	('read', 'cursor', 'DECLARE mx CURSOR FOR SELECT {c} FROM {r} ;; FETCH ALL FROM mx ;; CLOSE mx', 'ok ok no ok no'),
	('read', 'scroll cursor', 'DECLARE mx SCROLL CURSOR FOR SELECT {c} FROM {r} ;; FETCH LAST FROM mx ;; FETCH BACKWARD ALL FROM mx ;; FETCH ABSOLUTE 1 FROM mx ;; FETCH FORWARD ALL FROM mx ;; CLOSE mx', 'ok ok no ok no'),
	('read', 'cursor for update', 'DECLARE mx CURSOR FOR SELECT {c} FROM {r} FOR UPDATE ;; FETCH ALL FROM mx', 'no no no no no'),
	('read', 'update where current', 'DECLARE mx CURSOR FOR SELECT {t} FROM {r} ;; FETCH mx ;; UPDATE {r} SET {t} = {t} WHERE CURRENT OF mx', 'no no no - no'),
	('read', 'delete where current', 'DECLARE mx CURSOR FOR SELECT {t} FROM {r} ;; FETCH mx ;; DELETE FROM {r} WHERE CURRENT OF mx', 'no no no - no'),
	('read', 'to xml', 'SELECT table_to_xml(''{r}'', true, true, '''')', 'ok no no ok no'),
	('read', 'query to xml', 'SELECT query_to_xml(''SELECT {c} FROM {r}'', true, false, '''')', 'ok ok no ok no'),
	('read', 'statistics of text', 'SELECT * FROM ts_stat(''SELECT to_tsvector({t}) FROM {r}'')', 'ok ok no ok no'),
	('read', 'prepare', 'DEALLOCATE ALL ;; PREPARE mx AS SELECT {c} FROM {r} ;; EXECUTE mx', 'ok ok no ok no'),
	-- taking away
	('take', 'create table as', 'CREATE TEMP TABLE mx_taken AS SELECT {c} FROM {r} ;; SELECT * FROM mx_taken ;; DROP TABLE mx_taken', 'ok ok no ok no'),
	('take', 'insert into own', 'CREATE TEMP TABLE mx_taken (t text) ;; INSERT INTO mx_taken SELECT {t} FROM {r} ;; SELECT * FROM mx_taken ;; DROP TABLE mx_taken', 'ok ok no ok no'),
	('take', 'merge into own', 'CREATE TEMP TABLE mx_taken (t text) ;; MERGE INTO mx_taken AS m USING (SELECT {t} AS t FROM {r}) AS x ON m.t = x.t WHEN NOT MATCHED THEN INSERT VALUES (x.t) ;; SELECT * FROM mx_taken ;; DROP TABLE mx_taken', 'ok ok no ok no'),
	('take', 'materialized view', 'CREATE MATERIALIZED VIEW mx_own.taken AS SELECT {c} FROM {r} ;; REFRESH MATERIALIZED VIEW mx_own.taken ;; SELECT * FROM mx_own.taken ;; DROP MATERIALIZED VIEW mx_own.taken', 'ok ok no ok no'),
	('take', 'view', 'CREATE VIEW mx_own.taken AS SELECT {c} FROM {r} ;; SELECT * FROM mx_own.taken ;; DROP VIEW mx_own.taken', 'ok ok no ok no'),
	('take', 'barrier view', 'CREATE VIEW mx_own.taken WITH (security_barrier, check_option = cascaded) AS SELECT {c} FROM {r} ;; SELECT * FROM mx_own.taken WHERE mx_own.tell(CASE {t} WHEN ''mx-b'' THEN ''canary b7'' ELSE '''' END) ;; DROP VIEW mx_own.taken', 'ok ok no - -'),
	('take', 'function', 'CREATE FUNCTION mx_own.taken() RETURNS SETOF text LANGUAGE sql STABLE AS ''SELECT {t} FROM {r}'' ;; SELECT * FROM mx_own.taken() ;; DROP FUNCTION mx_own.taken', 'ok ok no ok no'),
	('take', 'definer function', 'CREATE FUNCTION mx_own.taken() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT {t} FROM {r}; END ;; SELECT * FROM mx_own.taken() ;; DROP FUNCTION mx_own.taken', 'ok ok no ok no'),
	('take', 'do', 'DO ''BEGIN PERFORM mx_own.tell(x::text) FROM {r} AS x; END''', 'ok no no ok no'),
	('take', 'copy to file', 'COPY {r} TO ''/tmp/mx''', 'no no no no no'),
	('take', 'copy to program', 'COPY (SELECT {c} FROM {r}) TO PROGRAM ''cat''', 'no no no no no'),
	-- writing
	('write', 'insert', 'INSERT INTO {r} {i}', 'no no no dml dml'),
	('write', 'insert overriding', 'INSERT INTO {r} ({t}) OVERRIDING SYSTEM VALUE SELECT {t} FROM {r}', 'no no no dml dml'),
	('write', 'insert defaults', 'INSERT INTO {r} DEFAULT VALUES', 'no no no dml dml'),
	('write', 'insert returning', 'INSERT INTO {r} {i} RETURNING {t}', 'no no no dml dml'),
	('write', 'insert do nothing', 'INSERT INTO {r} {i} ON CONFLICT DO NOTHING', 'no no no dml dml'),
	('write', 'insert do update', 'INSERT INTO {r} {i} ON CONFLICT ({k}) DO UPDATE SET {t} = excluded.{t} RETURNING {t}', 'no no no - -'),
	('write', 'insert in with', 'WITH x AS (INSERT INTO {r} {i} RETURNING {t}) SELECT * FROM x', 'no no no dml dml'),
	('write', 'update', 'UPDATE {r} SET {t} = ''mx-b''', 'no no no dml dml'),
	('write', 'update theirs', 'UPDATE ONLY {r} SET {t} = ''mx-a'' WHERE {t} = ''mx-b''', 'no no no dml dml'),
	('write', 'update returning', 'UPDATE {r} SET {t} = {t} RETURNING *', 'no no no dml dml'),
	('write', 'update from', 'UPDATE {r} AS x SET {t} = y.{t} FROM {r} AS y WHERE x.{t} = y.{t}', 'no no no dml dml'),
	('write', 'delete', 'DELETE FROM {r}', 'no no no dml dml'),
	('write', 'delete theirs', 'DELETE FROM {r} WHERE {t} = ''mx-b''', 'no no no dml dml'),
	('write', 'delete returning', 'DELETE FROM {r} WHERE {t} = ''mx-b'' RETURNING *', 'no no no dml dml'),
	('write', 'delete using', 'DELETE FROM {r} AS x USING {r} AS y WHERE x.{t} = y.{t}', 'no no no dml dml'),
	('write', 'merge', 'MERGE INTO {r} AS x USING (VALUES (''mx-b'')) AS y (t) ON x.{t} = y.t WHEN MATCHED THEN DELETE', 'no no no 0A000 0A000'),
	('write', 'merge insert', 'MERGE INTO {r} AS x USING (VALUES (''mx-b'')) AS y (t) ON false WHEN NOT MATCHED THEN INSERT ({t}) VALUES (y.t)', 'no no no 0A000 0A000'),
	('write', 'truncate', 'TRUNCATE {r}', 'no no no 42809 42809'),
	('write', 'truncate cascade', 'TRUNCATE ONLY {r} RESTART IDENTITY CASCADE', 'no no no 42809 42809'),
	('write', 'copy from file', 'COPY {r} FROM ''/dev/null''', 'no no no no no'),
	('write', 'copy from program', 'COPY {r} FROM PROGRAM ''true''', 'no no no no no'),
	-- locking
	('lock', 'lock to read', 'LOCK TABLE {r} IN ACCESS SHARE MODE', 'ok no no - no'),
	('lock', 'lock row share', 'LOCK TABLE {r} IN ROW SHARE MODE NOWAIT', 'no no no no no'),
	('lock', 'lock row exclusive', 'LOCK TABLE {r} IN ROW EXCLUSIVE MODE NOWAIT', 'no no no no no'),
	('lock', 'lock share update exclusive', 'LOCK TABLE {r} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', 'no no no no no'),
	('lock', 'lock share', 'LOCK TABLE {r} IN SHARE MODE NOWAIT', 'no no no no no'),
	('lock', 'lock exclusive', 'LOCK TABLE {r} IN EXCLUSIVE MODE NOWAIT', 'no no no no no'),
	('lock', 'lock access exclusive', 'LOCK TABLE {r} IN ACCESS EXCLUSIVE MODE NOWAIT', 'no no no no no'),
	-- putting something onto it
	('put', 'foreign key', 'CREATE TABLE mx_own.spy ({d}, FOREIGN KEY ({k}) REFERENCES {r} ({k}))', 'no no no 42809 42809'),
	('put', 'foreign key later', 'CREATE TABLE mx_own.spy_later ({d}) ;; ALTER TABLE mx_own.spy_later ADD FOREIGN KEY ({k}) REFERENCES {r} ({k}) NOT VALID', 'no no no 42809 42809'),
	('put', 'inherit', 'CREATE TABLE mx_own.spy_child () INHERITS ({r})', 'no no no 42809 42809'),
	('put', 'like', 'CREATE TABLE mx_own.spy_like (LIKE {r} INCLUDING ALL) ;; SELECT * FROM mx_own.spy_like ;; DROP TABLE mx_own.spy_like', 'ok no no ok no'),
	('put', 'rule', 'CREATE RULE mx AS ON INSERT TO {r} DO ALSO NOTHING', 'no no no no no'),
	('put', 'trigger', 'CREATE TRIGGER mx BEFORE INSERT ON {r} FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'no no no no no'),
	('put', 'policy', 'CREATE POLICY mx ON {r} USING (true)', 'no no no no no'),
	('put', 'alter policy', 'ALTER POLICY tenant_isolation ON {r} USING (true)', 'no no no no no'),
	('put', 'drop policy', 'DROP POLICY tenant_isolation ON {r}', 'no no no 42704 42704'),
	('put', 'statistics', 'CREATE STATISTICS mx_own.mx ON ({t} || ''x'') FROM {r}', 'no no no 42809 42809'),
	('put', 'index', 'CREATE INDEX ON {r} (mx_own.tell({t}))', 'no no no no no'),
	('put', 'disable row security', 'ALTER TABLE {r} DISABLE ROW LEVEL SECURITY', 'no no no no no'),
	('put', 'no force', 'ALTER TABLE {r} NO FORCE ROW LEVEL SECURITY', 'no no no no no'),
	('put', 'add column', 'ALTER TABLE {r} ADD COLUMN mx text DEFAULT mx_own.tell(''x'')', 'no no no no no'),
	('put', 'disable trigger', 'ALTER TABLE {r} DISABLE TRIGGER ALL', 'no no no no no'),
	('put', 'set options', 'ALTER TABLE {r} SET (autovacuum_enabled = off)', 'no no no no no'),
	('put', 'invoker off', 'ALTER VIEW {r} SET (security_invoker = off)', '- - - no no'),
	('put', 'replace view', 'CREATE OR REPLACE VIEW {r} AS SELECT 1', 'no no no no no'),
	('put', 'rename', 'ALTER TABLE {r} RENAME TO mx', 'no no no no no'),
	('put', 'rename column', 'ALTER TABLE {r} RENAME COLUMN {t} TO mx', 'no no no no no'),
	('put', 'move', 'ALTER TABLE {r} SET SCHEMA mx_own', 'no no no no no'),
	('put', 'own', 'ALTER TABLE {r} OWNER TO CURRENT_USER', 'no no no no no'),
	('put', 'comment', 'COMMENT ON COLUMN {r}.{t} IS ''mx''', 'no no no no no'),
	('put', 'security label', 'SECURITY LABEL ON COLUMN {r}.{t} IS ''mx''', '22023 22023 22023 22023 22023'),
	('put', 'grant', 'GRANT ALL ON {r} TO PUBLIC', 'ok no no ok no'),
	('put', 'revoke', 'REVOKE ALL ON {r} FROM PUBLIC', 'ok no no ok no'),
	('put', 'drop', 'DROP TABLE {r} CASCADE', 'no no no 42809 42809'),
	('put', 'drop view', 'DROP VIEW {r} CASCADE', '42809 42809 42809 no no'),
	('put', 'cluster', 'CLUSTER {r}', 'no no no 42809 42809'),
	('put', 'analyze', 'ANALYZE {r}', 'ok ok ok ok ok'),
	('put', 'reindex', 'REINDEX TABLE {r}', 'no no no 42809 42809'),
	('put', 'publication', 'CREATE PUBLICATION mx FOR TABLE {r}', 'no no no no no'),
	('put', 'leave the extension', 'ALTER EXTENSION mindtickle DROP TABLE {r}', 'no no no no no');
CREATE TEMP TABLE sequence_verb (name text PRIMARY KEY, statements text, state text);
INSERT INTO sequence_verb VALUES
	('select', 'SELECT * FROM {r}', '42501'), ('nextval', 'SELECT nextval(''{r}'')', '42501'), ('currval', 'SELECT currval(''{r}'')', '42501'),
	('setval', 'SELECT setval(''{r}'', 1)', '42501'), ('last value', 'SELECT pg_sequence_last_value(''{r}'')', '42501'),
	('pg_sequences', 'SELECT ''canary b7'' FROM pg_sequences WHERE format(''%I.%I'', schemaname, sequencename) = ''{r}'' AND last_value IS NOT NULL', '00000'),
	('alter', 'ALTER SEQUENCE {r} RESTART', '42501'), ('own', 'ALTER SEQUENCE {r} OWNED BY NONE', '42501'), ('drop', 'DROP SEQUENCE {r} CASCADE', '42501'),
	('use as default', 'CREATE TEMP TABLE mx_taken (i int8 DEFAULT nextval(''{r}'')) ;; INSERT INTO mx_taken DEFAULT VALUES', '42501'),
	('grant', 'GRANT ALL ON SEQUENCE {r} TO PUBLIC', '42501'), ('comment', 'COMMENT ON SEQUENCE {r} IS ''mx''', '42501');

-- All that is to be tried on the relations: statements with names in place, and the state in which they must end.
CREATE FUNCTION pg_temp.in_place(statements text, t target) RETURNS text LANGUAGE sql AS $$
	SELECT replace(replace(replace(replace(replace(replace(statements, '{c}', t.columns), '{t}', t.tenant_column), '{k}', t.key), '{d}', t.definition),
		'{i}', coalesce(t.insertion, '')), '{r}', t.relation)
$$;
CREATE FUNCTION pg_temp.tries() RETURNS TABLE (relation text, kind text, sort text, verb text, statements text, state text) LANGUAGE sql AS $$
	SELECT t.relation, t.kind, v.sort, v.name, pg_temp.in_place(v.statements, t),
		CASE s.state WHEN 'ok' THEN '00000' WHEN 'no' THEN '42501' WHEN 'dml' THEN CASE WHEN t.updatable THEN '42501' ELSE '55000' END ELSE s.state END
	FROM target AS t JOIN unnest('{open,part,shut,view,blind}'::text[]) WITH ORDINALITY AS k (kind, place) ON k.kind = t.kind, verb AS v,
		LATERAL split_part(v.states, ' ', k.place::int) AS s (state)
	WHERE s.state <> '-' AND NOT (v.name = 'drop policy' AND t.tenant_column = 'tenant_asked')
	UNION ALL
	SELECT t.relation, t.kind, 'read', v.name, replace(v.statements, '{r}', t.relation), v.state FROM target AS t, sequence_verb AS v WHERE t.kind = 'sequence'
	UNION ALL
	SELECT t.relation, t.kind, 'read', v.name, v.statement, '42501' FROM target AS t, LATERAL (VALUES ('select', 'SELECT * FROM ' || t.relation),
		('delete', 'DELETE FROM ' || t.relation)) AS v (name, statement) WHERE t.kind = 'toast'
$$;
-- Every role tries with the other tenant set; what reads or writes is tried with the own one too.
CREATE TEMP TABLE caller (role_name text, setting text, sorts text);
INSERT INTO caller VALUES ('mx_reader', 'mx-b', 'read write lock put'), ('mx_writer', 'mx-b', 'read write lock put'), ('mx_admin', 'mx-b', 'read take write lock put'),
	('mx_nobody', 'mx-b', 'read take write lock put'), ('mx_reader', 'mx-a', 'read take'), ('mx_admin', 'mx-a', 'read write');
CREATE TEMP TABLE result (role_name text, setting text, relation text, kind text, sort text, verb text, statements text, state text, got text, heard text);
CREATE FUNCTION pg_temp.try_all() RETURNS void LANGUAGE sql AS $$
	TRUNCATE result;
	INSERT INTO result SELECT c.role_name, c.setting, t.*, h.* FROM pg_temp.tries() AS t, caller AS c, pg_temp.heard(c.role_name, c.setting, t.statements) AS h
		WHERE c.sorts ~ t.sort;
$$;
CREATE TEMP VIEW leak AS SELECT role_name, setting, relation, verb, heard FROM result WHERE heard ~ pg_temp.mark_of('b7');
CREATE TEMP VIEW surprise AS
	SELECT relation, verb, kind, state, got, count(*), min(role_name) AS role_name, min(heard) AS heard FROM result WHERE state <> got GROUP BY relation, verb, kind, state, got;

SELECT pg_temp.try_all() \g /dev/null
SELECT cmp_ok((SELECT count(*) FROM result), '>=', 15000::bigint, 'so many attempts are made');
SELECT is_empty('SELECT * FROM leak', 'nothing of the other tenant is heard');
SELECT is_empty('SELECT * FROM surprise', 'each verb ends as it must');
SELECT is_empty($$SELECT role_name, relation FROM result WHERE role_name <> 'mx_nobody' AND setting = 'mx-a' AND verb = 'select whole row' AND kind IN ('open', 'view')
	AND heard !~ pg_temp.mark_of('own')$$, 'of the own tenant it is');
SELECT is_empty($$SELECT role_name, relation FROM result WHERE (role_name = 'mx_nobody' OR setting = 'mx-b') AND heard ~ pg_temp.mark_of('own')$$, 'but not without a right or with another tenant set');
SELECT is_empty($$SELECT relation FROM target AS t, pg_temp.heard('mx_theirs', '', format('SELECT %s FROM %s', columns, relation)) AS h
	WHERE kind IN ('open', 'part', 'view') AND h.heard !~ pg_temp.mark_of('b7')$$, 'and the other tenant''s own role hears of its rows');
SELECT set_eq('SELECT DISTINCT relation FROM result', $$SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
		JOIN pg_extension AS e ON e.oid = d.refobjid WHERE e.extname = 'mindtickle' AND d.deptype = 'e'
	UNION SELECT c.reltoastrelid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.reltoastrelid <> 0$$, 'no relation of the extension was left out');
SELECT set_eq('SELECT * FROM pg_temp.rows_of(''mx-b'')', 'SELECT * FROM before', 'the other tenant''s rows are as they were');
SELECT set_eq('SELECT * FROM pg_temp.objects()', 'SELECT * FROM objects_before', 'and so are the extension''s objects, their rights and their policies');

-- Ways to put a context in place. {v} is its value, {q} a query on a relation, {n} the number of the value.
CREATE TEMP TABLE forged_value (number serial, value text);
INSERT INTO forged_value (value) VALUES (''), ('mx-a'), ('mx-b'), ('mx-0'), ('MX-B'), (' mx-b'), ('mx-b '), ('mx-a,mx-b'), ('"mx-b"'), ('%'), ('mx-_'), ('*'), ('''mx-b'' OR true'),
	('mx-b''; SELECT 1; --'), (E'mx-b\n'), (repeat('b', 33)), ('mx-b' || repeat(' ', 1000));
CREATE TEMP TABLE way (name text, statements text);
INSERT INTO way VALUES
	('SET', 'SET mindtickle.tenant = {v} ;; {q}'),
	('SET LOCAL', 'SET LOCAL "MindTickle"."Tenant" = {v} ;; {q}'),
	('SET over the own', 'SELECT mt_set_tenant(''mx-a'') ;; SET LOCAL mindtickle.tenant TO {v} ;; {q}'),
	('set_config', 'SELECT set_config(''mindtickle.tenant'', {v}, false) ;; {q}'),
	('set_config in the query', 'WITH s AS MATERIALIZED (SELECT set_config(''mindtickle.tenant'', {v}, true)) SELECT q.* FROM s, LATERAL ({q}) AS q'),
	('set_config after the snapshot', 'DECLARE mx CURSOR FOR {q} ;; SELECT set_config(''mindtickle.tenant'', {v}, true) ;; FETCH ALL FROM mx ;; CLOSE mx'),
	('a function with SET', 'SELECT mx_own.forged_{n}({l})'),
	('a function with SET that has the own inside', 'SELECT mx_own.forged_{n}(''SELECT mt_set_tenant(''''mx-a'''')'') ;; SET mindtickle.tenant = {v} ;; {q}'),
	('savepoint', 'SET mindtickle.tenant = {v} ;; DO ''BEGIN PERFORM mt_set_tenant(''''mx-a''''); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END'' ;; {q}'),
	('mt_set_tenant', 'SELECT mt_set_tenant({v}) ;; {q}');
SELECT format('CREATE FUNCTION mx_own.forged_%s(query text) RETURNS SETOF text LANGUAGE plpgsql SET mindtickle.tenant = %L AS %L', number, value,
	'DECLARE r record; BEGIN FOR r IN EXECUTE query LOOP RETURN NEXT r::text; END LOOP; END') FROM forged_value \gexec
CREATE TEMP TABLE forged AS
	SELECT c.role_name, t.relation, w.name AS way, v.value, CASE WHEN w.name <> 'mt_set_tenant' OR v.value = 'mx-a' THEN '00000' WHEN v.value ~ '^[a-z0-9][a-z0-9_-]{0,31}$' THEN '42501' ELSE '22023' END AS state,
		h.state AS got, left(h.heard, 1000) AS heard, h.heard ~ pg_temp.mark_of('b7') AS theirs, h.heard ~ pg_temp.mark_of('own') AS own
	FROM unnest('{mx_reader,mx_admin}'::text[]) AS c (role_name), target AS t, way AS w, forged_value AS v, LATERAL (SELECT format('SELECT %s FROM %s', t.columns, t.relation)) AS q (query),
		pg_temp.heard(c.role_name, '', replace(replace(replace(replace(w.statements, '{v}', quote_literal(v.value)), '{n}', v.number::text), '{q}', q.query), '{l}', quote_literal(q.query))) AS h
	WHERE t.kind IN ('open', 'part', 'view') AND (c.role_name = 'mx_admin' OR v.value IN ('mx-b', 'mx-0'));
SELECT is_empty($$SELECT * FROM forged WHERE theirs$$, 'whatever way a context is put in place, nothing of the other tenant is heard');
SELECT is_empty($$SELECT * FROM forged WHERE own AND value NOT IN ('', 'mx-a') AND way <> 'set_config in the query'$$, 'nor of the own one, where the context is not valid');
SELECT is_empty($$SELECT * FROM forged WHERE NOT own AND value IN ('', 'mx-a') AND got = '00000'$$, 'but where it is');
SELECT is_empty($$SELECT way, value, state, got, count(*), min(heard) FROM forged WHERE state <> got GROUP BY way, value, state, got$$, 'and each way ends as it must');

-- What EXPLAIN ANALYZE counts for a tenant of the other's name is what it counts for one that does not exist: no index finds its rows for the attacker.
CREATE TEMP TABLE counted AS
	SELECT r AS role_name, t.relation, q.condition, h.heard, replace(o.heard, 'mx-0', 'mx-b') AS absent_heard
	FROM target AS t, unnest('{mx_reader,mx_nobody}'::text[]) AS r, unnest(ARRAY['{t} = ''mx-b''', '{t} IN (''mx-b'', ''mx-9'')', '{t} BETWEEN ''mx-b'' AND ''mx-b ''', '{t} = ANY (ARRAY(SELECT ''mx-b''))',
			'a key that it has']) AS q (condition),
		LATERAL (SELECT 'SET LOCAL enable_seqscan = off ;; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT {t} FROM {r} WHERE ' || CASE WHEN q.condition ~ 'key' THEN
			'{t} = ''mx-b'' AND ' || coalesce((SELECT string_agg(format('%I = %L', a.attname, split_part(a.attname, '_', 1) || ' b7'), ' AND ') FROM pg_attribute AS a WHERE a.attrelid = t.relation::regclass
				AND a.attname IN ('user_id', 'course_id', 'quiz_id', 'team_id')), 'true') ELSE q.condition END AS statement) AS e,
		pg_temp.heard(r, 'mx-a', pg_temp.in_place(e.statement, t)) AS h, pg_temp.heard(r, 'mx-a', replace(pg_temp.in_place(e.statement, t), 'mx-b', 'mx-0')) AS o
	WHERE t.kind IN ('open', 'part', 'view');
SET LOCAL enable_seqscan = on;
SELECT is_empty($$SELECT * FROM counted WHERE heard <> absent_heard OR heard !~ 'actual rows'$$, 'EXPLAIN ANALYZE counts the same for the other tenant and one that does not exist');

-- Settings that are not the attacker's, and settings for others.
CREATE TEMP TABLE forbidden (statements text, state text, message text);
INSERT INTO forbidden SELECT replace(s, '{v}', quote_literal(v)), '42501', 'permission denied to set parameter "mindtickle.token_id"'
	FROM unnest(ARRAY['SET mindtickle.token_id = {v}', 'SET LOCAL mindtickle.token_id TO {v}', 'SELECT set_config(''mindtickle.token_id'', {v}, true)',
		'CREATE FUNCTION mx_own.proof() RETURNS int LANGUAGE sql SET mindtickle.token_id = {v} AS ''SELECT 1''',
		'ALTER ROLE CURRENT_USER SET mindtickle.token_id = {v}', 'RESET mindtickle.token_id',
		'SET mindtickle.token_id TO DEFAULT']) AS s,
	unnest(ARRAY['1', '', '0', 'mtk_', (SELECT min(token_id)::text FROM mindtickle.api_token WHERE tenant_id = 'mx-b')]) AS v;
INSERT INTO forbidden VALUES
	('SHOW mindtickle.token_id', '42501', 'must be superuser or have privileges of pg_read_all_settings to examine "mindtickle.token_id"'),
	('ALTER ROLE CURRENT_USER SET mindtickle.token_id FROM CURRENT', '42501', 'must be superuser or have privileges of pg_read_all_settings to examine "mindtickle.token_id"'),
	('ALTER DATABASE d SET mindtickle.tenant = ''mx-b''', '42501', 'must be owner of database d'),
	('ALTER ROLE mx_theirs SET mindtickle.tenant = ''mx-a''', '42501', 'permission denied'),
	('ALTER ROLE ALL SET mindtickle.tenant = ''mx-b''', '42501', 'must be superuser to alter settings globally'),
	('GRANT SET ON PARAMETER mindtickle.token_id TO PUBLIC', '42501', 'permission denied for parameter mindtickle.token_id'),
	('SET mindtickle.service_role = ''mx_admin''', '55P02', 'parameter "mindtickle.service_role" cannot be changed now'),
	('SET mindtickle.secret_directory = ''/''', '55P02', 'parameter "mindtickle.secret_directory" cannot be changed now'),
	('SET mindtickle.sync_enabled = off', '55P02', 'parameter "mindtickle.sync_enabled" cannot be changed now'),
	('SET mindtickle.notify = off', '55P02', 'parameter "mindtickle.notify" cannot be changed now'),
	('SET mindtickle.tenant = ''mx-a'', ''mx-b''', '22023', 'SET mindtickle.tenant takes only one argument'),
	('SET mindtickle.tenants = ''mx-b''', '42602', 'invalid configuration parameter name "mindtickle.tenants"');
SELECT is_empty($$SELECT role_name, left(f.statements, 100), h.* FROM forbidden AS f, unnest('{mx_reader,mx_writer,mx_admin,mx_nobody}'::text[]) AS role_name, pg_temp.heard(role_name, 'mx-a', replace(f.statements, 'DATABASE d', 'DATABASE ' || current_database())) AS h
	WHERE h.state <> f.state OR split_part(split_part(h.heard, '|', 1), E'\n', 1) <> replace(f.message, 'database d', 'database ' || current_database())$$, 'settings that are the owner''s are refused');

-- The second layer: a careless GRANT on all tables opens nothing of the other tenant, and tells nothing that it would not tell of a tenant that does not exist.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mindtickle TO mx_careless;
CREATE TEMP TABLE careless_verb (name text, statements text, state text);
INSERT INTO careless_verb VALUES
	('select', 'SELECT x::text FROM {r} AS x WHERE {t} = ''mx-b''', '00000'),
	('select not ours', 'SELECT x::text FROM {r} AS x WHERE {t} <> ''mx-a''', '00000'),
	('exists', 'SELECT CASE WHEN EXISTS (SELECT FROM {r} WHERE {t} = ''mx-b'') THEN ''canary b7'' END', '00000'),
	('for update', 'SELECT x::text FROM {r} AS x WHERE {t} = ''mx-b'' FOR UPDATE', '00000'),
	('for key share', 'SELECT x::text FROM {r} AS x WHERE {t} <> ''mx-a'' FOR KEY SHARE', '00000'),
	('where current', 'DECLARE mx CURSOR FOR SELECT FROM {r} WHERE {t} = ''mx-b'' FOR UPDATE ;; FETCH mx ;; UPDATE {r} SET {t} = {t} WHERE CURRENT OF mx', '24000'),
	('insert', 'INSERT INTO {r} {i}', '42501'),
	('insert returning', 'INSERT INTO {r} {i} RETURNING *', '42501'),
	('insert do nothing', 'INSERT INTO {r} {i} ON CONFLICT DO NOTHING', '42501'),
	('insert do update', 'INSERT INTO {r} {i} ON CONFLICT ({k}) DO UPDATE SET {t} = excluded.{t} RETURNING *', '42501'),
	('insert in with', 'WITH x AS (INSERT INTO {r} {i} RETURNING *) SELECT * FROM x', '42501'),
	('merge insert', 'MERGE INTO {r} AS x USING (SELECT) AS y ON false WHEN NOT MATCHED THEN INSERT {i}', '42501'),
	('merge delete', 'MERGE INTO {r} AS x USING (VALUES (''mx-b'')) AS y (t) ON x.{t} = y.t WHEN MATCHED THEN DELETE', '00000'),
	('merge update', 'MERGE INTO {r} AS x USING (VALUES (''mx-b'')) AS y (t) ON x.{t} = y.t WHEN MATCHED THEN UPDATE SET {t} = ''mx-a''', '00000'),
	('take over', 'UPDATE {r} SET {t} = ''mx-a'' WHERE {t} = ''mx-b'' RETURNING *', '00000'),
	('update from', 'UPDATE {r} AS x SET {t} = x.{t} FROM tenant_table AS y WHERE x.{t} = ''mx-b''', '00000'),
	('give away', 'UPDATE {r} SET {t} = ''mx-b'' WHERE {t} = ''mx-a''', 'moves'),
	('delete', 'DELETE FROM {r} WHERE {t} = ''mx-b'' RETURNING *', '00000'),
	('delete using', 'DELETE FROM {r} AS x USING tenant_table AS y WHERE x.{t} <> ''mx-a''', '00000'),
	('explain delete', 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) DELETE FROM {r} WHERE {t} = ''mx-b''', '00000');
GRANT SELECT ON tenant_table TO PUBLIC;
CREATE TEMP TABLE careless AS
	SELECT s.setting, t.relation, v.name AS verb, v.state, h.state AS got, h.heard, o.state AS absent_state, replace(o.heard, 'mx-0', 'mx-b') AS absent_heard
	FROM target AS t JOIN tenant_table AS n ON n.relation = t.relation::regclass, careless_verb AS v, unnest('{"",mx-a,mx-b,mx-0}'::text[]) AS s (setting),
		pg_temp.heard('mx_careless', s.setting, pg_temp.in_place(v.statements, t)) AS h,
		pg_temp.heard('mx_careless', s.setting, replace(pg_temp.in_place(v.statements, t), 'mx-b', 'mx-0')) AS o;
SELECT is_empty($$SELECT setting, relation, verb, heard FROM careless WHERE heard ~ pg_temp.mark_of('b7')$$, 'a careless grant lets nothing of the other tenant be heard');
SELECT is_empty($$SELECT setting, relation, verb, state, got, heard FROM careless WHERE got <> state AND NOT (state = 'moves' AND (heard = E'rows 0\n' OR got = '42501'))$$, 'and each verb ends as it must');
SELECT is_empty($$SELECT setting, relation, verb, got, absent_state, heard, absent_heard FROM careless WHERE verb <> 'explain delete' AND (got <> absent_state OR heard <> absent_heard)$$,
	'in the same words for a key that the other tenant has and one of a tenant that does not exist');
SELECT set_eq('SELECT * FROM pg_temp.rows_of(''mx-b'')', 'SELECT * FROM before', 'the other tenant''s rows are as they were');
REVOKE ALL ON ALL TABLES IN SCHEMA mindtickle FROM mx_careless;

-- The matrix can fail: a table that has been forgotten, a view with its owner's eyes, row security off, and a right too many.
SAVEPOINT weak;
CREATE TABLE mindtickle.unprotected (tenant_id text COLLATE "C" PRIMARY KEY, secret text);
SELECT format('INSERT INTO mindtickle.unprotected VALUES (%s)', (pg_temp.row_of('mindtickle.unprotected', 'mx-b', 'b7')).sources) \gexec
CREATE VIEW mt_unprotected AS SELECT u.tenant_id, u.user_id FROM mindtickle.users AS u;
GRANT SELECT ON mindtickle.unprotected, mt_unprotected TO PUBLIC;
ALTER EXTENSION mindtickle ADD TABLE mindtickle.unprotected;
ALTER EXTENSION mindtickle ADD VIEW mt_unprotected;
ALTER TABLE mindtickle.course DISABLE ROW LEVEL SECURITY;
GRANT TRUNCATE, REFERENCES, TRIGGER ON mindtickle.team TO PUBLIC;
TRUNCATE target, caller;
INSERT INTO target SELECT * FROM pg_temp.targets() WHERE relation ~ 'unprotected|mindtickle.(course|team|users)$';
INSERT INTO caller VALUES ('mx_reader', 'mx-a', 'read take put write');
SELECT pg_temp.try_all() \g /dev/null
SELECT results_eq('SELECT relation, count(*) >= 15 FROM leak GROUP BY relation ORDER BY relation COLLATE "C"',
	$$VALUES ('mindtickle.course', true), ('mindtickle.unprotected', true), ('mt_unprotected', true)$$, 'an unprotected table, row security switched off and a view of its owner are found');
SELECT is((SELECT string_agg(DISTINCT relation || ' ' || verb, ', ' ORDER BY relation || ' ' || verb) FROM surprise WHERE relation = 'mindtickle.team'),
	'mindtickle.team foreign key, mindtickle.team foreign key later, mindtickle.team trigger, mindtickle.team truncate, mindtickle.team truncate cascade', 'and so are rights that nobody must have');
ROLLBACK TO weak;
SELECT set_eq('SELECT * FROM pg_temp.objects()', 'SELECT * FROM objects_before', 'at the end the extension''s objects are as they were');

SELECT * FROM finish();
ROLLBACK;
