\set ECHO none
-- mt_upsert_progress: what an item changes, what it leaves, and that nothing is written where nothing changes.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(71);

DROP ROLE IF EXISTS pr_writer, pr_reader;
CREATE ROLE pr_writer;
CREATE ROLE pr_reader;
SELECT mt_create_tenant('pr', 'Progress'), mt_grant_tenant('pr', 'pr_writer', 'writer'), mt_grant_tenant('pr', 'pr_reader', 'reader') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, mindtickle_id, scim_external_id) VALUES ('pr', 'ours', 'theirs', 'provider');

CREATE FUNCTION pg_temp.upsert(progress text, user_id text DEFAULT 'ours', role_name text DEFAULT 'pr_writer') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_upsert_progress(''pr'', %L, %L)', user_id, progress))
$$;
-- One course of the user, without what the moment of the test decides.
CREATE FUNCTION pg_temp.course(course text, user_id text DEFAULT 'ours') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(to_jsonb(p) - '{tenant_id,user_id,course_id,synced_at}'::text[]) FROM mindtickle.course_progress AS p
	WHERE p.tenant_id = 'pr' AND p.user_id = course.user_id AND p.course_id = course
$$;
SET LOCAL TimeZone = 'UTC';

-- Insert, update, unchanged.
SELECT is(pg_temp.upsert('[{"courseId": "c", "status": "in_progress", "score": 12.34567, "invitedAt": "2026-01-01", "startedAt": "2026-01-02T03:04:05Z", "dueAt": "2026-02-01T00:00:00Z", "isOverdue": false, "hasFailed": false,
	"percentCompleted": 33.33335, "maxScore": 50, "updatedAt": "2026-01-03T00:00:00Z", "title": "unknown keys are ignored"}]'), '1', 'an item is stored');
SELECT is(pg_temp.course('c'), '{"status": "in_progress", "score": 12.3457, "invited_at": "2026-01-01T00:00:00+00:00", "started_at": "2026-01-02T03:04:05+00:00", "due_at": "2026-02-01T00:00:00+00:00", "is_overdue": false,
	"has_failed": false, "percent_completed": 33.3334, "max_score": 50, "updated_at": "2026-01-03T00:00:00+00:00"}', 'with all its fields, percentages rounded half away from zero');
SELECT is((SELECT synced_at FROM mindtickle.course_progress WHERE tenant_id = 'pr'), NULL, 'no pull brought it');
SELECT results_eq($$SELECT topic COLLATE "default", payload FROM pg_temp.events('pr')$$, $$VALUES ('progress.synced', '{"tenantId": "pr", "userId": "ours"}'::jsonb)$$, 'one event');
SELECT is(pg_temp.upsert('[{"courseId": "c", "status": "completed", "score": 90, "completedAt": "2026-01-04T00:00:00Z", "updatedAt": "2026-01-04T00:00:00Z"}, {"courseId": "d", "status": "not_started"}]'), '2', 'one updated, one inserted');
SELECT is(pg_temp.course('c') -> 'score', '90.0000', 'the new score');
SELECT is(pg_temp.course('c') -> 'percent_completed', '33.3334', 'a key that is absent leaves its column');
SELECT is((SELECT count(*) FROM pg_temp.events('pr')), 2::bigint, 'one event for the whole call');
SELECT is(pg_temp.upsert('[]'), '0', 'no items');
SELECT is((SELECT count(*) FROM pg_temp.events('pr')), 2::bigint, 'no event');

-- Nothing is written where nothing changes.
SELECT string_agg(jsonb_build_object('courseId', 'w' || i, 'status', 'in_progress', 'score', i, 'updatedAt', '2026-01-01T00:00:00Z')::text, ',') AS items FROM generate_series(1, 100) AS i \gset
SELECT is(pg_temp.upsert('[' || :'items' || ']', 'wal'), '100', '100 items');
CREATE TEMP TABLE before AS SELECT course_id, ctid::text AS place, xmin::text AS version FROM mindtickle.course_progress WHERE tenant_id = 'pr' AND user_id = 'wal';
CREATE FUNCTION pg_temp.wal_of(progress text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	PERFORM set_config('role', 'pr_writer', true);
	EXECUTE format('EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) SELECT mt_upsert_progress(''pr'', ''wal'', %L)', progress) INTO plan;
	PERFORM set_config('role', 'none', true);
	RETURN concat(plan #>> '{0,Plan,WAL Records}', ' records, ', plan #>> '{0,Plan,WAL Bytes}', ' bytes');
END
$$;
SELECT is(pg_temp.upsert('[' || :'items' || ']', 'wal'), '0', 'the same again changes no row');
SELECT is(pg_temp.wal_of('[' || :'items' || ']'), '0 records, 0 bytes', 'and writes no WAL');
SELECT results_eq($$SELECT place, version FROM before ORDER BY course_id$$, $$SELECT ctid::text, xmin::text FROM mindtickle.course_progress WHERE tenant_id = 'pr' AND user_id = 'wal' ORDER BY course_id$$, 'and touches no row');
SELECT is((SELECT count(*) FROM pg_temp.events('pr') WHERE payload ->> 'userId' = 'wal'), 1::bigint, 'and emits no event');
SELECT isnt(pg_temp.wal_of('[{"courseId": "w1", "status": "completed"}]'), '0 records, 0 bytes', 'a change does write WAL: the measure measures');

-- Absent keeps, null clears; items with different keys in one call.
SELECT is(pg_temp.upsert('[{"courseId": "k1", "status": "in_progress", "score": 10, "dueAt": "2026-01-01"}, {"courseId": "k2", "status": "in_progress", "score": 20, "dueAt": "2026-01-02"}, {"courseId": "k3", "status": "in_progress", "score": 30}]'),
	'3', 'three rows');
SELECT is(pg_temp.upsert('[{"courseId": "k1", "status": "in_progress", "score": null}, {"courseId": "k2", "status": "in_progress", "dueAt": null}, {"courseId": "k3", "status": "in_progress", "isOverdue": true}, {"courseId": "k4", "status": "not_started", "score": null}]'),
	'4', 'items with different keys in one call');
SELECT is(ARRAY[pg_temp.course('k1'), pg_temp.course('k2'), pg_temp.course('k3'), pg_temp.course('k4')], ARRAY['{"status": "in_progress", "due_at": "2026-01-01T00:00:00+00:00"}', '{"status": "in_progress", "score": 20.0000}',
	'{"status": "in_progress", "score": 30.0000, "is_overdue": true}', '{"status": "not_started"}']::jsonb[], 'each changes what it names');
SELECT is(pg_temp.upsert('[{"courseId": "k1", "status": "in_progress", "score": null}, {"courseId": "k3", "status": "in_progress"}]'), '0', 'null where there is none, and nothing named, are no change');
SELECT is(pg_temp.upsert('[{"courseId": "k1", "status": "in_progress", "quizScore": 55}]'), '1', 'quizScore is another name of score');
SELECT is(pg_temp.course('k1') -> 'score', '55.0000', 'and stored as such');
SELECT is(pg_temp.upsert('[{"courseId": "k1", "status": "in_progress", "score": 56, "quizScore": 57}]'), '1', 'where both are given');
SELECT is(pg_temp.course('k1') -> 'score', '56.0000', 'score counts');

-- Order of arrival: what is older than the row is ignored.
SELECT is(pg_temp.upsert('[{"courseId": "o", "status": "in_progress", "score": 40, "updatedAt": "2026-03-02T00:00:00Z"}]'), '1', 'an item of March 2nd');
SELECT is(pg_temp.upsert('[{"courseId": "o", "status": "completed", "score": 10, "updatedAt": "2026-03-01T23:59:59Z"}]'), '0', 'one of March 1st comes too late');
SELECT is(pg_temp.upsert('[{"courseId": "o", "status": "in_progress", "score": 41, "updatedAt": "2026-03-02T00:00:00Z"}]'), '1', 'one of the same moment counts');
SELECT is(pg_temp.upsert('[{"courseId": "o", "status": "in_progress", "score": 42}]'), '1', 'and one without a moment');
SELECT is(pg_temp.course('o'), '{"status": "in_progress", "score": 42.0000, "updated_at": "2026-03-02T00:00:00+00:00"}', 'the row in the end');

-- A completed course goes back only by a later reset.
SELECT is(pg_temp.upsert('[{"courseId": "r", "status": "completed", "score": 100, "updatedAt": "2026-03-01T00:00:00Z"}]'), '1', 'completed');
SELECT is_empty($$SELECT c, r FROM unnest('{"{}", "{\"updatedAt\": \"2026-04-01\"}", "{\"reset\": true}", "{\"reset\": true, \"updatedAt\": \"2026-03-01\"}", "{\"reset\": true, \"updatedAt\": \"2026-02-01\"}",
		"{\"reset\": false, \"updatedAt\": \"2026-04-01\"}", "{\"reset\": null, \"updatedAt\": \"2026-04-01\"}", "{\"reset\": true, \"updatedAt\": null}"}'::text[]) AS c,
	pg_temp.upsert(jsonb_build_array('{"courseId": "r", "status": "in_progress", "score": 1}'::jsonb || c::jsonb)::text) AS r WHERE r <> '0'$$, 'without a reset, or not later, it stays completed');
SELECT is(pg_temp.course('r'), '{"status": "completed", "score": 100.0000, "updated_at": "2026-03-01T00:00:00+00:00"}', 'with all it had');
SELECT is(pg_temp.upsert('[{"courseId": "r", "status": "completed", "score": 99}]'), '1', 'its other fields change');
SELECT is(pg_temp.upsert('[{"courseId": "r", "status": "not_started", "score": null, "reset": true, "updatedAt": "2026-03-01T00:00:01Z"}]'), '1', 'a later reset takes it back');
SELECT is(pg_temp.course('r'), '{"status": "not_started", "updated_at": "2026-03-01T00:00:01+00:00"}', 'as it says');
SELECT is(pg_temp.upsert('[{"courseId": "r2", "status": "completed"}, {"courseId": "r3", "status": "in_progress"}]'), '2', 'two courses without a moment');
SELECT is(pg_temp.upsert('[{"courseId": "r2", "status": "in_progress", "reset": true, "updatedAt": "2026-03-01T00:00:01Z"}, {"courseId": "r3", "status": "not_started"}]'), '2', 'any moment is later than none; what is not completed goes back freely');

-- A moment that cannot be is none: it freezes no row, neither now nor where it is from before.
SELECT is(pg_temp.upsert('[{"courseId": "f", "status": "in_progress", "score": 5, "updatedAt": "2099-01-01T00:00:00Z"}]'), '1', 'an item of the year 2099 is stored');
SELECT is(pg_temp.course('f'), '{"status": "in_progress", "score": 5.0000}', 'without its moment');
SELECT is(pg_temp.upsert('[{"courseId": "f", "status": "in_progress", "score": 6, "updatedAt": "2026-03-01T00:00:00Z"}]'), '1', 'what comes after it counts');
SELECT is(pg_temp.upsert('[{"courseId": "f", "status": "in_progress", "score": 7, "updatedAt": "9999-12-31"}]'), '1', 'another is stored');
SELECT is(pg_temp.course('f'), '{"status": "in_progress", "score": 7.0000, "updated_at": "2026-03-01T00:00:00+00:00"}', 'and the moment of the row stays');
SELECT is(pg_temp.upsert(jsonb_build_array(jsonb_build_object('courseId', 'f', 'status', 'completed', 'updatedAt', now() + interval '23 hours'))::text), '1', 'clocks may differ');
SELECT is(pg_temp.upsert('[{"courseId": "f", "status": "in_progress", "updatedAt": "2026-03-02T00:00:00Z"}]'), '0', 'by so much');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, updated_at) VALUES ('pr', 'ours', 'f1', 'in_progress', '2099-01-01'), ('pr', 'ours', 'f2', 'completed', '2099-01-01'),
	('pr', 'ours', 'f3', 'in_progress', 'infinity'), ('pr', 'ours', 'f4', 'completed', '2099-01-01');
SELECT is(pg_temp.upsert('[{"courseId": "f1", "status": "completed", "updatedAt": "2026-03-01T00:00:00Z"}, {"courseId": "f2", "status": "in_progress", "reset": true, "updatedAt": "2026-03-01T00:00:00Z"},
	{"courseId": "f3", "status": "in_progress"}, {"courseId": "f4", "status": "in_progress", "updatedAt": "2026-03-01T00:00:00Z"}]'), '3', 'rows that have such a moment are older than anything');
SELECT results_eq($$SELECT course_id COLLATE "default", status COLLATE "default", updated_at FROM mindtickle.course_progress WHERE tenant_id = 'pr' AND course_id ~ '^f[123]' ORDER BY course_id$$,
	$$VALUES ('f1', 'completed', '2026-03-01 00:00:00+00'::timestamptz), ('f2', 'in_progress', '2026-03-01 00:00:00+00'), ('f3', 'in_progress', NULL)$$, 'and lose it');
SELECT is((SELECT status FROM mindtickle.course_progress WHERE tenant_id = 'pr' AND course_id = 'f4') COLLATE "default", 'completed', 'but what is completed stays so');
SELECT is(pg_temp.upsert('[{"courseId": "f3", "status": "in_progress", "updatedAt": "2099-01-01"}]'), '0', 'the same again changes nothing');

-- The user.
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', 'theirs'), '1', 'by MindTickle''s id');
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', 'provider'), '0', 'by the identity provider''s id');
SELECT is(pg_temp.course('u') IS NOT NULL, true, 'it is the same user''s row');
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', 'nobody yet'), '1', 'a user who is not known yet is accepted');
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', ''), '22023: user_id must not be empty', 'an empty id is not');
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', repeat('x', 256)), '22023: user_id must not be longer than 255 bytes', 'nor one of 256 bytes');
SELECT is(pg_temp.upsert('[{"courseId": "u", "status": "in_progress"}]', repeat('x', 255)), '1', '255 are taken');

-- What is wrong is named, and no item of the call is written.
CREATE TEMP TABLE bad (changes jsonb, message text);
INSERT INTO bad VALUES
	('{"courseId": null}', 'courseId is required'), ('{"courseId": ""}', 'courseId must not be empty'), ('{"courseId": 7}', 'courseId must be a string'), ('{"courseId": ["x"]}', 'courseId must be a string'),
	(jsonb_build_object('courseId', repeat('x', 256)), 'courseId must not be longer than 255 bytes'), (jsonb_build_object('courseId', repeat('é', 128)), 'courseId must not be longer than 255 bytes'),
	('{"status": null}', 'status is required');
INSERT INTO bad SELECT jsonb_build_object('status', v), 'status must be one of "not_started", "in_progress", "completed"' FROM unnest('{"\"\"","\"expired\"","\"Completed\"","\" completed\"",1,true,"{}","[\"completed\"]"}'::jsonb[]) AS v;
INSERT INTO bad SELECT jsonb_build_object(f, v), f || ' must be a number' FROM unnest('{score,quizScore,percentCompleted}'::text[]) AS f, unnest('{"\"NaN\"","\"Infinity\"","\"-Infinity\"","\"80\"",true,[80]}'::jsonb[]) AS v;
INSERT INTO bad SELECT jsonb_build_object(f, v), f || ' must be between 0 and 100' FROM unnest('{score,quizScore,percentCompleted}'::text[]) AS f, unnest('{-0.00001,100.00001,1e300}'::jsonb[]) AS v;
INSERT INTO bad SELECT jsonb_build_object(f, v), f || ' must be a date and time such as "2026-02-03T10:11:12Z"' FROM unnest('{completedAt,invitedAt,startedAt,dueAt,updatedAt}'::text[]) AS f,
	unnest('{"\"2026-02-30\"","\"tomorrow\"","\"infinity\"","\"\"",1770113472,false,"{}"}'::jsonb[]) AS v;
INSERT INTO bad SELECT jsonb_build_object(f, v), f || ' must be true or false' FROM unnest('{isOverdue,hasFailed,reset}'::text[]) AS f, unnest('{0,"\"true\"","\"yes\"","[]"}'::jsonb[]) AS v;
INSERT INTO bad VALUES ('{"maxScore": -1}', 'maxScore must be between 0 and 1000000000'), ('{"maxScore": "10"}', 'maxScore must be a number'), ('{"maxScore": 1e10}', 'maxScore must be between 0 and 1000000000');
SELECT is_empty($$SELECT changes, r FROM bad, pg_temp.upsert(jsonb_build_array('{"courseId": "good", "status": "completed"}'::jsonb, '{"courseId": "bad", "status": "completed"}'::jsonb || changes)::text, 'faulty') AS r
	WHERE r IS DISTINCT FROM '22023: progress[1].' || message$$, 'what is wrong is 22023 and named with its place');
SELECT is_empty($$SELECT i, r FROM unnest('{7,"\"x\"",null,true,"[]"}'::text[]) AS i, pg_temp.upsert(format('[{"courseId": "good", "status": "completed"}, %s]', coalesce(i, 'null')), 'faulty') AS r
	WHERE r <> '22023: progress[1] must be an object'$$, 'an item that is no object');
SELECT is_empty($$SELECT i, r FROM unnest('{7,"\"x\"",null,true,"{}","{\"courseId\": \"x\", \"status\": \"completed\"}"}'::text[]) AS i, pg_temp.upsert(coalesce(i, 'null'), 'faulty') AS r
	WHERE r <> '22023: progress must be an array'$$, 'what is no array');
SELECT is(pg_temp.upsert('[{"courseId": "b", "status": "completed"}, {"courseId": "a", "status": "completed"}, {"courseId": "b", "status": "completed", "score": 1}]', 'faulty'), '22023: progress[2].courseId is given twice', 'a course given twice');
SELECT is(pg_temp.upsert(jsonb_build_array(jsonb_build_object('courseId', 'x', 'status', 'completed', 'extra', (repeat('[', 63) || repeat(']', 63))::jsonb))::text, 'faulty'), '22023: progress must not be nested deeper than 64', 'nesting of 65');
SELECT alike(pg_temp.upsert('[{"courseId": "x", "status": "completed", "score": NaN}]', 'faulty'), '22P02: %', 'NaN is no JSON');
SELECT alike(pg_temp.upsert(E'[{"courseId": "x\\u0000", "status": "completed"}]', 'faulty'), '22P05: %', 'U+0000 is none for jsonb');
SELECT is((SELECT count(*) FROM mindtickle.course_progress WHERE user_id = 'faulty') + (SELECT count(*) FROM pg_temp.events('pr') WHERE payload ->> 'userId' = 'faulty'), 0::bigint, 'nothing was written, and no event');
SELECT is(pg_temp.upsert(jsonb_build_array(jsonb_build_object('courseId', 'deep', 'status', 'completed', 'extra', (repeat('[', 62) || repeat(']', 62))::jsonb))::text), '1', 'nesting of 64 is taken');

-- Any characters; many items.
SELECT is(pg_temp.upsert(jsonb_build_array(jsonb_build_object('courseId', E'O''Brien "x" \\ \n\t مرحبا 😀 %s $1 {} NULL', 'status', 'completed'))::text, E'''; DROP TABLE x; -- "مرحبا" 😀'), '1', 'ids of any characters');
SELECT is((SELECT course_id FROM mindtickle.course_progress WHERE user_id = E'''; DROP TABLE x; -- "مرحبا" 😀'), E'O''Brien "x" \\ \n\t مرحبا 😀 %s $1 {} NULL', 'come back as they were');
SELECT is(pg_temp.upsert((SELECT jsonb_agg(jsonb_build_object('courseId', md5(i::text), 'status', 'in_progress', 'score', i % 101) || CASE WHEN i % 3 = 0 THEN '{"isOverdue": true}' ELSE '{}' END::jsonb) FROM generate_series(1, 1000) AS i)::text, 'many'), '1000', '1,000 items');
SELECT is_empty($$SELECT i FROM generate_series(1, 1000) AS i LEFT JOIN mindtickle.course_progress AS p ON p.tenant_id = 'pr' AND p.user_id = 'many' AND p.course_id = md5(i::text)
	WHERE (p.score, p.is_overdue) IS DISTINCT FROM ((i % 101)::numeric, CASE WHEN i % 3 = 0 THEN true END)$$, 'each of them as given');
SELECT is(pg_temp.upsert((SELECT jsonb_agg(jsonb_build_object('courseId', md5(i::text), 'status', 'in_progress', 'score', (i + (i = 500)::int) % 101)) FROM generate_series(1, 1000) AS i)::text, 'many'), '1', 'of which one changes');

-- Who may.
SELECT is(pg_temp.upsert('[]', 'ours', 'pr_reader'), '42501: permission denied for tenant "pr"', 'a reader writes nothing, not even nothing');
SELECT is(pg_temp.as_role('pr_reader', $$SELECT count(*) FROM mt_course_progress WHERE user_id = 'many'$$), '1000', 'but reads');

SELECT * FROM finish();
ROLLBACK;
