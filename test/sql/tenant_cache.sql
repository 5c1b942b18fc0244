\set ECHO none
-- The tenant cache: what the documents hold, when they are kept and given out again, and that no committed change is hidden. Every statement is a
-- transaction of its own here: one that has changed what a document shows neither takes nor keeps it. Who races with whom is in test/isolation.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
SELECT plan(95);

DO $$
BEGIN
	PERFORM mt_drop_tenant(t.tenant_id) FROM mindtickle.tenant AS t WHERE t.tenant_id IN ('tc', 'tc-other');
END
$$;
DROP ROLE IF EXISTS tc_reader, tc_writer, tc_nobody, tc_watcher;
CREATE ROLE tc_reader;
CREATE ROLE tc_writer;
CREATE ROLE tc_nobody;
CREATE ROLE tc_watcher IN ROLE pg_monitor;
SELECT mt_create_tenant('tc', 'Cache'), mt_create_tenant('tc-other', 'Other'), mt_grant_tenant('tc', 'tc_reader', 'reader'), mt_grant_tenant('tc', 'tc_writer', 'writer') \g /dev/null
SET TimeZone = 'Asia/Tokyo';

-- Empty documents.
SELECT is(mt_get_user_roster('tc')::text, '{"tenantId":"tc","users":[]}', 'a roster of nobody');
SELECT is(mt_get_course_catalog('tc')::text, '{"tenantId":"tc","courses":[]}', 'a catalog of nothing');

-- What they hold.
SELECT mt_provision_user('tc', '{"userId": "u2", "mindtickleId": "m2", "scimExternalId": "s2", "userName": "bob", "email": "Bob@example.com", "name": "Bob \"B\"", "title": "Rep", "department": "Sales", "location": "Rome",
	"managerId": "u1", "attributes": {"secret": "not in the roster"}, "hiredAt": "2020-01-01"}'), mt_provision_user('tc', '{"userId": "u1", "email": "ada@example.com", "role": "manager"}'),
	mt_provision_user('tc', '{"userId": "u3", "active": false, "managerEmail": "boss@example.com"}'), mt_provision_user('tc-other', '{"userId": "u1", "name": "Another tenant''s"}') \g /dev/null
INSERT INTO mindtickle.team (tenant_id, team_id, name, source, active) VALUES ('tc', 't1', 'West', 'pull', true), ('tc', 't2', 'East', 'pull', true), ('tc', 't3', 'Gone', 'pull', false), ('tc-other', 't1', 'Theirs', 'pull', true);
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source, active) VALUES ('tc', 't1', 'u2', 'pull', true), ('tc', 't2', 'u2', 'pull', true), ('tc', 't3', 'u2', 'pull', true), ('tc', 't1', 'u1', 'pull', false),
	('tc-other', 't1', 'u2', 'pull', true);
INSERT INTO mindtickle.course (tenant_id, course_id, title, kind, source, updated_at) VALUES ('tc', 'c2', 'Two', NULL, 'pull', NULL), ('tc', 'c1', 'One', 'COURSE', 'pull', '2026-01-02T03:04:05Z'), ('tc-other', 'c1', 'Theirs', 'X', 'pull', NULL);
INSERT INTO mindtickle.quiz (tenant_id, quiz_id, course_id, title, max_score, passing_score) VALUES ('tc', 'q2', 'c1', NULL, NULL, NULL), ('tc', 'q1', 'c1', 'First', 10, 7.5), ('tc', 'q3', 'c9', 'Of no course', 1, 1), ('tc-other', 'q9', 'c1', 'Theirs', 1, 1);
SELECT is(mt_get_user_roster('tc')::text, '{"tenantId":"tc","users":['
	'{"userId":"u1","mindtickleId":null,"scimExternalId":null,"userName":null,"email":"ada@example.com","name":null,"role":"manager","active":true,"title":null,"department":null,"location":null,"managerId":null,"managerName":null,"teams":[]},'
	'{"userId":"u2","mindtickleId":"m2","scimExternalId":"s2","userName":"bob","email":"Bob@example.com","name":"Bob \"B\"","role":"rep","active":true,"title":"Rep","department":"Sales","location":"Rome","managerId":"u1","managerName":"ada@example.com","teams":["East","West"]},'
	'{"userId":"u3","mindtickleId":null,"scimExternalId":null,"userName":null,"email":null,"name":null,"role":"rep","active":false,"title":null,"department":null,"location":null,"managerId":null,"managerName":"boss@example.com","teams":[]}]}',
	'the roster: everybody, in the order of the ids, with manager and teams');
SELECT is(mt_get_course_catalog('tc')::text, '{"tenantId":"tc","courses":['
	'{"courseId":"c1","title":"One","kind":"COURSE","updatedAt":"2026-01-02T03:04:05+00:00","quizzes":[{"quizId" : "q1", "title" : "First", "maxScore" : 10, "passingScore" : 7.5}, {"quizId" : "q2", "title" : null, "maxScore" : null, "passingScore" : null}]},'
	'{"courseId":"c2","title":"Two","kind":null,"updatedAt":null,"quizzes":[]}]}', 'the catalog, with the quizzes of each course, whatever the time zone of who asks first');

-- Kept documents bear a mark, by which they are known when they are given out.
CREATE FUNCTION pg_temp.mark() RETURNS void LANGUAGE sql AS $$
	SELECT mt_get_user_roster('tc'), mt_get_course_catalog('tc');
	UPDATE mindtickle.cache_entry SET body = '"kept"' WHERE tenant_id = 'tc';
$$;
-- In one word what a reader gets: kept, rendered (and right), or wrong.
CREATE FUNCTION pg_temp.gets(document text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE got WHEN '"kept"' THEN 'kept' WHEN now_is THEN 'rendered' ELSE 'wrong' END
	FROM (SELECT CASE document WHEN 'roster' THEN mt_get_user_roster('tc')::text ELSE mt_get_course_catalog('tc')::text END,
		CASE document WHEN 'roster' THEN mindtickle.render_roster('tc') ELSE mindtickle.render_catalog('tc') END) AS d (got, now_is)
$$;
-- Both, after a statement in a transaction of its own.
CREATE PROCEDURE pg_temp.after(statement text, INOUT roster text, INOUT catalog text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.mark();
	COMMIT;
	EXECUTE statement;
	COMMIT;
	roster := pg_temp.gets('roster');
	COMMIT;
	catalog := pg_temp.gets('catalog');
END
$$;

CALL pg_temp.after('SELECT 1', NULL, NULL) \gset
SELECT is(:'roster'::text, 'kept', 'what is kept is given out again');
SELECT is(:'catalog'::text, 'kept', 'the catalog as well');
SELECT is((SELECT count(*) FROM mindtickle.cache_entry WHERE tenant_id = 'tc'), 2::bigint, 'there is one of each');
SELECT is((SELECT string_agg(resource || ' ' || extract(epoch FROM expires_at - rendered_at)::int, ', ' ORDER BY resource) FROM mindtickle.cache_entry WHERE tenant_id = 'tc'), 'catalog 1800, roster 600', 'for so many seconds');
SELECT pg_temp.mark() \g /dev/null
SELECT is(pg_temp.as_role('tc_reader', $$SELECT mt_get_user_roster('tc')$$), '"kept"', 'to every reader');

-- Whatever changes a row behind a document, and what does not.
CREATE TEMP TABLE change (place int GENERATED ALWAYS AS IDENTITY, statement text, roster text, catalog text);
INSERT INTO change (statement, roster, catalog) VALUES
	($$SELECT mt_provision_user('tc', '{"userId": "u1", "title": "Head"}')$$, 'rendered', 'kept'),
	($$SELECT mt_provision_user('tc', '{"userId": "u1", "title": "Head"}')$$, 'kept', 'kept'),
	($$SELECT mt_deactivate_user('tc', 'u2')$$, 'rendered', 'kept'),
	($$UPDATE mindtickle.users SET active = true WHERE tenant_id = 'tc' AND user_id = 'u2'$$, 'rendered', 'kept'),
	($$INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'tc', 'many' || i FROM generate_series(1, 100) AS i$$, 'rendered', 'kept'),
	($$DELETE FROM mindtickle.users WHERE tenant_id = 'tc' AND user_id LIKE 'many%'$$, 'rendered', 'kept'),
	($$DELETE FROM mindtickle.users WHERE tenant_id = 'tc' AND user_id = 'nobody'$$, 'kept', 'kept'),
	($$INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('tc', 'u1') ON CONFLICT DO NOTHING$$, 'kept', 'kept'),
	($$INSERT INTO mindtickle.users (tenant_id, user_id, name) VALUES ('tc', 'u1', 'Ada') ON CONFLICT (tenant_id, user_id) DO UPDATE SET name = excluded.name$$, 'rendered', 'kept'),
	($$UPDATE mindtickle.users SET name = 'X' WHERE tenant_id = 'tc-other'$$, 'kept', 'kept'),
	($$UPDATE mindtickle.users SET tenant_id = 'tc', user_id = 'moved' WHERE tenant_id = 'tc-other'$$, 'rendered', 'kept'),
	($$UPDATE mindtickle.users SET tenant_id = 'tc-other', user_id = 'u1' WHERE tenant_id = 'tc' AND user_id = 'moved'$$, 'rendered', 'kept'),
	($$SET session_replication_role = replica; UPDATE mindtickle.users SET name = 'Replica' WHERE tenant_id = 'tc' AND user_id = 'u1'; RESET session_replication_role$$, 'rendered', 'kept'),
	($$DO 'BEGIN UPDATE mindtickle.users SET name = ''Undone'' WHERE tenant_id = ''tc''; RAISE EXCEPTION ''no''; EXCEPTION WHEN raise_exception THEN NULL; END'$$, 'kept', 'kept'),
	($$DO 'BEGIN BEGIN UPDATE mindtickle.users SET name = ''Undone'' WHERE tenant_id = ''tc''; RAISE EXCEPTION ''no''; EXCEPTION WHEN raise_exception THEN NULL; END; UPDATE mindtickle.users SET name = ''Done'' WHERE tenant_id = ''tc''; END'$$, 'rendered', 'kept'),
	($$DO 'BEGIN UPDATE mindtickle.users SET name = ''A'' WHERE tenant_id = ''tc-other''; UPDATE mindtickle.users SET name = ''B'' WHERE tenant_id = ''tc''; UPDATE mindtickle.users SET name = ''C'' WHERE tenant_id = ''tc-other''; END'$$, 'rendered', 'kept'),
	($$UPDATE mindtickle.team SET name = 'South' WHERE tenant_id = 'tc' AND team_id = 't2'$$, 'rendered', 'kept'),
	($$INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) VALUES ('tc', 't2', 'u1', 'pull')$$, 'rendered', 'kept'),
	($$DELETE FROM mindtickle.team_member WHERE tenant_id = 'tc' AND team_id = 't2' AND user_id = 'u1'$$, 'rendered', 'kept'),
	($$UPDATE mindtickle.course SET title = 'New' WHERE tenant_id = 'tc' AND course_id = 'c1'$$, 'kept', 'rendered'),
	($$INSERT INTO mindtickle.quiz (tenant_id, quiz_id, course_id) VALUES ('tc', 'q4', 'c2')$$, 'kept', 'rendered'),
	($$SELECT mt_process_quiz_result('tc', '{"userId": "u1", "courseId": "c2", "quizId": "q5", "submittedAt": "2026-01-01", "score": 5, "maxScore": 9}')$$, 'kept', 'rendered'),
	($$SELECT mt_process_quiz_result('tc', '{"userId": "u1", "courseId": "c2", "quizId": "q5", "submittedAt": "2026-01-02", "score": 5, "maxScore": 9}')$$, 'kept', 'kept'),
	($$SELECT mt_upsert_progress('tc', 'u1', '[{"courseId": "c1", "status": "completed"}]')$$, 'kept', 'kept'),
	($$SELECT mt_aggregate_readiness('tc')$$, 'kept', 'kept'),
	($$SELECT mt_configure_tenant('tc', '{"ready_score": 70}')$$, 'kept', 'kept'),
	($$SELECT mt_invalidate_tenant('tc')$$, 'rendered', 'rendered'),
	($$SELECT mt_invalidate_tenant('tc-other')$$, 'kept', 'kept'),
	($$UPDATE mindtickle.cache_entry SET expires_at = clock_timestamp() WHERE tenant_id = 'tc' AND resource = 'roster'$$, 'rendered', 'kept'),
	($$TRUNCATE mindtickle.cache_change$$, 'rendered', 'rendered'),
	($$ALTER TABLE mindtickle.team_member ALTER COLUMN source TYPE text USING upper(source)$$, 'rendered', 'kept'),
	($$DO 'BEGIN ALTER TABLE mindtickle.quiz ALTER COLUMN max_score TYPE numeric USING max_score + 1; EXCEPTION WHEN raise_exception THEN NULL; END'$$, 'kept', 'rendered');
CREATE TEMP TABLE outcome (place int, roster text, catalog text);
DO $$
DECLARE
	c record;
	r text;
	k text;
BEGIN
	FOR c IN SELECT * FROM change ORDER BY place LOOP
		CALL pg_temp.after(c.statement, r, k);
		INSERT INTO outcome VALUES (c.place, r, k);
		COMMIT;
	END LOOP;
END
$$;
SELECT is(o.roster || ', ' || o.catalog, c.roster || ', ' || c.catalog, left(c.statement, 100)) FROM change AS c JOIN outcome AS o USING (place) ORDER BY place;

SELECT pg_temp.mark() \g /dev/null
COPY mindtickle.users (tenant_id, user_id) FROM stdin;
tc	copied
\.
SELECT is(pg_temp.gets('roster'), 'rendered', 'COPY');
SELECT pg_temp.mark() \g /dev/null
BEGIN;
TRUNCATE mindtickle.quiz;
ROLLBACK;
SELECT is(pg_temp.gets('catalog'), 'kept', 'TRUNCATE, rolled back');
BEGIN;
TRUNCATE mindtickle.quiz;
INSERT INTO mindtickle.quiz (tenant_id, quiz_id, course_id) VALUES ('tc', 'q1', 'c1');
COMMIT;
SELECT is(pg_temp.gets('catalog'), 'rendered', 'TRUNCATE');
SELECT pg_temp.mark() \g /dev/null
VACUUM mindtickle.users, mindtickle.cache_change, mindtickle.cache_entry;
ANALYZE mindtickle.course;
SELECT is(pg_temp.gets('roster') || ', ' || pg_temp.gets('catalog'), 'kept, kept', 'VACUUM and ANALYZE change nothing');

-- A transaction sees what it has changed itself, and nobody else does.
SELECT pg_temp.mark() \g /dev/null
BEGIN;
SELECT is(pg_temp.gets('roster'), 'kept', 'before the change');
SAVEPOINT before;
UPDATE mindtickle.users SET name = 'Mine' WHERE tenant_id = 'tc' AND user_id = 'u1';
SELECT is(pg_temp.gets('roster'), 'rendered', 'after it, in the same transaction');
SELECT is((SELECT mindtickle.cache_version('tc', 'roster')), NULL, 'whose version is not known');
SELECT is(pg_temp.gets('catalog'), 'kept', 'the other document is as it was');
ROLLBACK TO before;
SELECT is(pg_temp.gets('roster'), 'kept', 'and when it is undone');
COMMIT;
CREATE FUNCTION pg_temp.names() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT string_agg(u ->> 'name', ',' ORDER BY u ->> 'userId') FROM json_array_elements(mt_get_user_roster('tc') -> 'users') AS u);
END
$$;
UPDATE mindtickle.users SET name = 'In the midst' WHERE tenant_id = 'tc' AND user_id IN ('u1', 'u2');
SELECT mt_get_user_roster('tc') \g /dev/null
BEGIN;
WITH seen AS (UPDATE mindtickle.users SET name = 'Halfway' WHERE tenant_id = 'tc' AND user_id IN ('u1', 'u2') RETURNING pg_temp.names() AS names)
	SELECT is(count(*), 2::bigint, 'asked in the midst of a statement') FROM seen;
ROLLBACK;
SELECT matches(pg_temp.names(), 'In the midst,In the midst', 'nothing of it is kept');
SELECT is(pg_temp.gets('roster'), 'rendered', 'the document is right');

-- What a transaction has kept before it changes something.
SELECT mt_invalidate_tenant('tc') \g /dev/null
BEGIN;
CREATE TEMP TABLE has_an_id ON COMMIT DROP AS SELECT 1;
SELECT mt_get_user_roster('tc'), mt_get_course_catalog('tc') \g /dev/null
SELECT isnt(mindtickle.cache_version('tc', 'roster'), NULL, 'a transaction with an id keeps a document');
UPDATE mindtickle.users SET name = 'Later' WHERE tenant_id = 'tc' AND user_id = 'u1';
COMMIT;
SELECT is(mindtickle.cache_version('tc', 'roster'), NULL, 'which is not right any more when that transaction has changed it');
SELECT isnt(mindtickle.cache_version('tc', 'catalog'), NULL, 'the other one is');
SELECT matches(pg_temp.names(), '^Later,', 'readers see the change');

-- Transactions that keep nothing.
SELECT mt_invalidate_tenant('tc') \g /dev/null
BEGIN READ ONLY;
SELECT is(pg_temp.gets('roster'), 'rendered', 'a read-only transaction reads');
SELECT throws_ok($$SELECT mt_invalidate_tenant('tc')$$, '25006', NULL, 'and invalidates nothing');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(pg_temp.gets('roster'), 'rendered', 'so does a serializable one');
COMMIT;
SELECT is((SELECT count(*) FROM mindtickle.cache_entry WHERE tenant_id = 'tc'), 0::bigint, 'neither keeps anything');
SELECT pg_temp.mark() \g /dev/null
BEGIN READ ONLY;
SELECT is(pg_temp.gets('roster'), 'kept', 'but takes what is kept');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(pg_temp.gets('roster'), 'kept', 'as does a serializable one');
COMMIT;

-- Versions.
SELECT mt_invalidate_tenant('tc') \g /dev/null
SELECT is(mindtickle.cache_version('tc', 'roster'), NULL, 'no version before it is rendered');
SELECT version AS first_version FROM mindtickle.cache_document('tc', 'roster') \gset
SELECT is(mindtickle.cache_version('tc', 'roster'), :first_version, 'the version that came with the document');
SELECT is((SELECT version FROM mindtickle.cache_entry WHERE tenant_id = 'tc' AND resource = 'roster'), ('x' || encode(substr(sha256(convert_to(mindtickle.render_roster('tc'), 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint >> 1 & 9223372036854775807,
	'is that of its content');
SELECT mt_invalidate_tenant('tc') \g /dev/null
SET TimeZone = 'America/Lima';
SELECT is((SELECT version FROM mindtickle.cache_document('tc', 'roster')), :first_version, 'the same when it is rendered again with the same content, elsewhere');
UPDATE mindtickle.users SET name = name || '!' WHERE tenant_id = 'tc';
SELECT isnt((SELECT version FROM mindtickle.cache_document('tc', 'roster')), :first_version, 'another with other content');
SELECT is((SELECT body FROM mindtickle.cache_document('tc', 'catalog')), mt_get_course_catalog('tc')::text, 'body and document are one');
SELECT throws_ok($$SELECT mindtickle.cache_version('tc', 'users')$$, '22023', 'resource must be one of "roster", "catalog"', 'no other document');
SELECT throws_ok($$SELECT mindtickle.cache_document('tc', '')$$, '22023', 'resource must be one of "roster", "catalog"', 'of either function');

-- Room: what a tenant's documents may take together.
CREATE FUNCTION pg_temp.kept() RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(resource, ' ' ORDER BY resource), 'nothing') FROM mindtickle.cache_entry WHERE tenant_id = 'tc' $$;
SELECT sum(bytes) AS both, max(bytes) AS larger FROM mindtickle.cache_entry WHERE tenant_id = 'tc' \gset
SELECT is(:both, octet_length(mt_get_user_roster('tc')::text) + octet_length(mt_get_course_catalog('tc')::text), 'bytes are those of the text');
SELECT mt_configure_tenant('tc', jsonb_build_object('cache_bytes', :both)), mt_invalidate_tenant('tc') \g /dev/null
SELECT mt_get_user_roster('tc') \g /dev/null
SELECT mt_get_course_catalog('tc') \g /dev/null
SELECT is(pg_temp.kept(), 'catalog roster', 'just enough');
SELECT mt_configure_tenant('tc', jsonb_build_object('cache_bytes', :both - 0.5)), mt_invalidate_tenant('tc') \g /dev/null
SELECT mt_get_user_roster('tc') \g /dev/null
SELECT mt_get_course_catalog('tc') \g /dev/null
SELECT is(pg_temp.kept(), 'catalog', 'a byte less: the older one goes');
SELECT mt_get_user_roster('tc') \g /dev/null
SELECT is(pg_temp.kept(), 'roster', 'and comes back in the other''s place');
SELECT mt_configure_tenant('tc', jsonb_build_object('cache_bytes', :larger - 1)), mt_invalidate_tenant('tc') \g /dev/null
SELECT mt_get_course_catalog('tc') \g /dev/null
SELECT is(pg_temp.gets('roster'), 'rendered', 'what is larger than all there is');
SELECT is(pg_temp.kept(), 'catalog', 'is not kept, and puts nothing out');
SELECT mt_configure_tenant('tc', '{"cache_bytes": 0}'), mt_invalidate_tenant('tc') \g /dev/null
SELECT is(pg_temp.gets('roster') || ' ' || pg_temp.kept(), 'rendered nothing', 'no room at all');
SELECT mt_configure_tenant('tc', '{"cache_bytes": null}') \g /dev/null

-- How it is stored.
INSERT INTO mindtickle.users (tenant_id, user_id, name) SELECT 'tc', 'large' || i, repeat('a name ', 20) FROM generate_series(1, 300) AS i;
SELECT mt_get_user_roster('tc') \g /dev/null
SELECT is((SELECT pg_column_compression(body) FROM mindtickle.cache_entry WHERE tenant_id = 'tc' AND resource = 'roster'), 'lz4', 'a large document is compressed with lz4');
SELECT cmp_ok((SELECT pg_column_size(body)::bigint FROM mindtickle.cache_entry WHERE tenant_id = 'tc' AND resource = 'roster'), '<', (SELECT bytes / 4 FROM mindtickle.cache_entry WHERE tenant_id = 'tc' AND resource = 'roster'), 'and small');
SELECT is(mt_get_user_roster('tc')::text, mindtickle.render_roster('tc'), 'and comes out whole');
SELECT is((SELECT string_agg(DISTINCT relpersistence::text, '') FROM pg_class WHERE relname IN ('cache_entry', 'cache_change')), 'u', 'without WAL');

-- The log of changes and stale documents do not pile up.
DO $$
BEGIN
	FOR i IN 1..50 LOOP
		UPDATE mindtickle.users SET title = i::text WHERE tenant_id = 'tc' AND user_id = 'u1';
		COMMIT;
	END LOOP;
	-- Others' snapshots may be in the way for a while.
	FOR i IN 1..1200 LOOP
		PERFORM mindtickle.trim_cache('tc');
		COMMIT;
		EXIT WHEN NOT EXISTS (SELECT FROM mindtickle.cache_change WHERE tenant_id = 'tc');
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT is((SELECT count(*) FROM mindtickle.cache_change WHERE tenant_id = 'tc'), 0::bigint, 'the log of changes is trimmed');
SELECT is(pg_temp.kept(), 'nothing', 'and so are documents that are not right any more');
SELECT mt_get_user_roster('tc') \g /dev/null
SELECT mindtickle.trim_cache('tc') \g /dev/null
SELECT is(pg_temp.kept(), 'roster', 'but not one that is');

-- Rights.
SELECT is(pg_temp.as_role('tc_nobody', $$SELECT mt_get_user_roster('tc')$$), '42501: permission denied for tenant "tc"', 'without a grant there is no roster');
SELECT is(pg_temp.as_role('tc_nobody', $$SELECT mt_get_course_catalog('tc')$$), '42501: permission denied for tenant "tc"', 'and no catalog');
SELECT is(pg_temp.as_role('tc_reader', $$SELECT mt_get_course_catalog('tc') IS NOT NULL$$), 'true', 'a reader has both');
SELECT is(pg_temp.as_role('tc_reader', $$SELECT mt_get_user_roster('tc-other')$$), '42501: permission denied for tenant "tc-other"', 'of his tenant');
SELECT is(pg_temp.as_role('tc_reader', $$SELECT mt_invalidate_tenant('tc')$$), '42501: permission denied for tenant "tc"', 'and invalidates nothing');
SELECT is(pg_temp.as_role('tc_writer', $$SELECT mt_invalidate_tenant('tc')$$), '2', 'a writer does');
SELECT is(pg_temp.as_role('tc_writer', $$SELECT mt_invalidate_tenant('tc')$$), '0', 'once');
SELECT matches(pg_temp.as_role('tc_reader', $$SELECT mindtickle.cache_version('tc', 'roster')$$), '^42501: permission denied for function', 'the gateway''s functions are its own');

-- A tenant that was dropped and made again.
SELECT mt_get_user_roster('tc'), mt_get_course_catalog('tc') \g /dev/null
SELECT mt_drop_tenant('tc'), mt_drop_tenant('tc-other') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.cache_entry WHERE tenant_id LIKE 'tc%') + (SELECT count(*) FROM mindtickle.cache_change WHERE tenant_id LIKE 'tc%'), 0::bigint, 'a dropped tenant leaves nothing');
SELECT mt_create_tenant('tc', 'Again') \g /dev/null
SELECT is(mt_get_user_roster('tc')::text, '{"tenantId":"tc","users":[]}', 'and its successor has nothing of it');
SELECT mt_drop_tenant('tc') \g /dev/null

SELECT * FROM finish();
DROP ROLE tc_reader, tc_writer, tc_nobody, tc_watcher;
