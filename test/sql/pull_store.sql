\set ECHO none
-- What the sync worker does, done from psql as the service role: taking up a pull, storing pages of it, and ending it.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(118);

DROP ROLE IF EXISTS pl_writer;
CREATE ROLE pl_writer;
SELECT mt_create_tenant('pl', 'Pull'), mt_create_tenant('pl-other', 'Other'), mt_grant_tenant('pl', 'pl_writer', 'writer') \g /dev/null
CREATE FUNCTION pg_temp.service(statement text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.as_role('mindtickle_service', statement) $$;
SELECT is(pg_temp.service($$SELECT mindtickle.enter_tenant('pl')$$), '', 'the worker enters a tenant');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mindtickle.enter_tenant('pl')$$), '42501: permission denied for function enter_tenant', 'nobody else does so');

-- Taking up a pull.
CREATE FUNCTION pg_temp.open() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(pg_temp.service($q$SELECT concat_ws(' ', kind, phase, position, done, total, credential, settings ->> 'requests_per_second') FROM mindtickle.sync_open('pl')$q$), 'nothing')
$$;
SELECT is(pg_temp.open(), 'nothing', 'a tenant without a source has nothing to pull');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_sync_tenant('pl')$$), '55000: no source is configured for tenant "pl"', 'nor can a pull be asked for');
SELECT pg_temp.outcome($$SELECT mt_set_credential('pl', '{"api_key": "k"}')$$) \g /dev/null
SELECT is(pg_temp.open(), 'full roster {} 0 {"api_key": "k"} 3', 'with one a pull is due at once');
SELECT job_id AS job FROM mindtickle.sync_job WHERE tenant_id = 'pl' \gset
SELECT results_eq($$SELECT state COLLATE "default", requested_by, started_at = now() FROM mindtickle.sync_job WHERE tenant_id = 'pl'$$, $$VALUES ('running', NULL::name, true)$$, 'which is running then');
SELECT is((SELECT open_job_id FROM mindtickle.tenant WHERE tenant_id = 'pl'), :job::bigint, 'and is the tenant''s open job');
SELECT is(pg_temp.open(), 'full roster {} 0 {"api_key": "k"} 3', 'taking it up again is the same job');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_sync_tenant('pl')$$)::bigint, :job::bigint, 'asking for a pull names the one that runs');
SELECT is((SELECT count(*) FROM mindtickle.sync_job WHERE tenant_id = 'pl'), 1::bigint, 'and makes no second one');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_advance('pl', %s, 'roster', '{"cursor": "x"}', 5, 10)$$, :job)), 'true', 'the position is saved');
SELECT is(pg_temp.open(), 'full roster {"cursor": "x"} 5 10 {"api_key": "k"} 3', 'and there when it is taken up after a crash');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_advance('pl', %s, 'roster', '{"cursor": "x"}', 5, 10, 3, 1)$$, :job)), 'true', 'with what became of the records');
SELECT results_eq($$SELECT changed, rejected FROM mindtickle.sync_job WHERE tenant_id = 'pl'$$, $$VALUES (3::int8, 1::int8)$$, 'which adds up');
SELECT is(pg_temp.service($$SELECT mindtickle.sync_advance('pl', 0, 'roster', '{}', 5, 10)$$), 'false', 'a job that is not running has no position');
SAVEPOINT s;
SELECT mt_suspend_tenant('pl') \g /dev/null
SELECT is(pg_temp.open(), 'nothing', 'a suspended tenant');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_sync_tenant('pl')$$), '55000: tenant "pl" is suspended', 'has no pulls');
ROLLBACK TO s;
SELECT pg_temp.service($$SELECT mindtickle.sync_back_off('pl', now() + interval '1 min', 'upstream answers 429')$$) \g /dev/null
SELECT is(pg_temp.open(), 'nothing', 'a tenant in back-off waits');
SELECT is((SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'pl'), 'upstream answers 429', 'and says why');
SELECT is(pg_temp.as_role('pl_writer', 'SELECT last_error || '' '' || (backoff_until > now()) FROM mt_progress_sync'), 'upstream answers 429 true', 'also to its own roles');
CREATE FUNCTION pg_temp.estimate(done int8, total int8) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE mindtickle.sync_job AS j SET done = estimate.done, total = estimate.total, phase_started_at = clock_timestamp() - interval '1 hour' WHERE j.tenant_id = 'pl';
	RETURN pg_temp.as_role('pl_writer', 'SELECT concat_ws('' '', done, total, per_second > 0, coalesce((phase_ends_at > now())::text, ''unknown'')) FROM mt_progress_sync');
END
$$;
SELECT is(pg_temp.estimate(100, 250), '100 250 t true', 'when a phase will end is estimated');
SELECT is(pg_temp.estimate(100, 100), '100 100 t true', 'up to its end');
SELECT is(pg_temp.estimate(100, 999999999999999), '100 999999999999999 t unknown', 'a total that is past any moment gives none, and no error');
SELECT is(pg_temp.estimate(100, 9223372036854775807), '100 9223372036854775807 t unknown', 'nor does the largest');
SELECT pg_temp.service($$SELECT mindtickle.sync_back_off('pl', NULL, NULL)$$) \g /dev/null
ROLLBACK TO s;
UPDATE mindtickle.credential SET system_identifier = 1 WHERE tenant_id = 'pl';
SELECT is(pg_temp.open(), 'nothing', 'a restored copy does not pull');
SELECT is((SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'pl'), 'the credentials were stored in another cluster; if this one is to call MindTickle: SELECT mt_confirm_site();', 'and says why');
SELECT is(mt_confirm_site(), 1::bigint, 'until its site is confirmed');
SELECT isnt(pg_temp.open(), 'nothing', 'it pulls then');
SELECT is(mt_confirm_site(), 0::bigint, 'there is nothing left to confirm');
SELECT pg_temp.service($$SELECT mindtickle.sync_back_off('pl', now() + interval '1 min', 'upstream answers 429')$$) \g /dev/null
UPDATE mindtickle.credential SET system_identifier = 1 WHERE tenant_id = 'pl';
SELECT is(mt_confirm_site(), 1::bigint, 'confirmed again');
SELECT is(pg_temp.open(), 'nothing', 'a back-off for another reason stands');
ROLLBACK TO s;

-- Storing a page.
CREATE FUNCTION pg_temp.store(call text, VARIADIC records bytea[]) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format('SELECT concat_ws('' '', received, changed, rejected, fresh) FROM mindtickle.store_%s %L)', call, records::text))
$$;
CREATE FUNCTION pg_temp.json(record text) RETURNS bytea LANGUAGE sql AS $$ SELECT convert_to(record, 'UTF8') $$;
CREATE FUNCTION pg_temp.letters(resource_name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(reason, ' | ' ORDER BY letter_id) FROM mindtickle.dead_letter WHERE tenant_id = 'pl' AND resource = resource_name
$$;
SELECT format('users(''pl'', %s,', :job) AS users, format('courses(''pl'', %s,', :job) AS courses, format('quiz_results(''pl'', %s,', :job) AS results, format('progress(''pl'', %s, ''m1'',', :job) AS progress \gset
SELECT j.ctid AS place FROM mindtickle.sync_job AS j WHERE j.tenant_id = 'pl' \gset
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m1", "email": "m1@example.com", "name": "One", "role": "rep", "active": true}'), pg_temp.json('{"mindtickleId": "m2"}'), pg_temp.json('{"mindtickleId": "m3"}')), '3 3 0 3', 'three users');
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m1", "email": "m1@example.com"}'), pg_temp.json('{"mindtickleId": "m2"}')), '2 0 0 0', 'a listing that repeats itself shows nothing fresh');
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m3", "title": "Changed"}'), pg_temp.json('{"mindtickleId": "m4"}'), pg_temp.json('{"mindtickleId": "m4"}')), '3 2 0 1', 'one changed, one new, the new one twice');
SELECT is(pg_temp.store(:'users'::text, VARIADIC '{}'::bytea[]), '0 0 0 0', 'an empty page');
SELECT is((SELECT j.ctid FROM mindtickle.sync_job AS j WHERE j.tenant_id = 'pl'), :'place'::tid, 'the job is left alone: it is written once a page, by what saves the position');
SELECT is(pg_temp.service(format($$SELECT mindtickle.store_users('pl', %s, '{NULL}')$$, :job)), '22004: records must not hold nulls', 'a null is the worker''s fault');

-- Every kind of bad record costs that record only.
CREATE TEMP TABLE bad (place int GENERATED ALWAYS AS IDENTITY, record bytea, reason text);
INSERT INTO bad (record, reason) VALUES
	('', 'the document must be valid JSON: %'), (pg_temp.json('<html><body>Bad gateway</body></html>'), 'the document must be valid JSON: %'), (pg_temp.json('{"mindtickleId": "b1", "name": "cut o'), 'the document must be valid JSON: %'),
	(pg_temp.json('{"mindtickleId": "b1"} x'), 'the document must be valid JSON: %'), (pg_temp.json('{"mindtickleId": NaN}'), 'the document must be valid JSON: %'), (pg_temp.json('{''mindtickleId'': 1}'), 'the document must be valid JSON: %'),
	('\x7b226d696e647469636b6c654964223a2022ff227d', 'the document must be valid UTF-8'), ('\x7b226d696e647469636b6c654964223a2022c080227d', 'the document must be valid UTF-8'), ('\x7b226d696e647469636b6c654964223a2022eda080227d', 'the document must be valid UTF-8'),
	('\x00', 'the document must be %'), ('\x7b7d00', 'the document must be %'), (pg_temp.json(E'{"mindtickleId": "b\\u0000"}'), 'the document must be valid JSON: %'), (pg_temp.json(E'{"mindtickleId": "b\\ud800"}'), 'the document must be valid JSON: %'),
	(pg_temp.json('[]'), 'the document must be a JSON object'), (pg_temp.json('7'), 'the document must be a JSON object'), (pg_temp.json('null'), 'the document must be a JSON object'), (pg_temp.json('"x"'), 'the document must be a JSON object'),
	(pg_temp.json(repeat('[', 100000) || repeat(']', 100000)), 'the document must not be nested deeper than 64'), (pg_temp.json('{"mindtickleId": "b2", "x": ' || repeat('[', 64) || repeat(']', 64) || '}'), 'the document must not be nested deeper than 64'),
	(pg_temp.json('{"mindtickleId": "b3", "x": 1e999999}'), 'the document holds a number that is too large'), (pg_temp.json('{"mindtickleId": "b3", "x": 1' || repeat('0', 140000) || '}'), 'the document holds a number that is too large'),
	(pg_temp.json('{"mindtickleId": "b3", "x": 0.' || repeat('0', 20000) || '1}'), 'the document holds a number that is too large'),
	(pg_temp.json('{}'), 'mindtickleId is required'), (pg_temp.json('{"email": "x@example.com"}'), 'mindtickleId is required'), (pg_temp.json('{"mindtickleId": ""}'), 'mindtickleId must not be empty'), (pg_temp.json('{"mindtickleId": 7}'), 'mindtickleId must be a string'),
	(pg_temp.json(format('{"mindtickleId": "%s"}', repeat('x', 256))), 'mindtickleId must not be longer than 255 bytes'), (pg_temp.json('{"mindtickleId": "b4", "role": "boss"}'), 'role must be one of "rep", "manager", "admin"'),
	(pg_temp.json('{"mindtickleId": "b5", "active": "yes"}'), 'active must be true or false'), (pg_temp.json('{"mindtickleId": "b6", "hiredAt": "2026-02-30"}'), 'hiredAt must be a date and time such as "2026-02-03T10:11:12Z"'),
	(pg_temp.json('{"mindtickleId": "b7", "name": 7}'), 'name must be a string');
CREATE TEMP TABLE stored AS SELECT b.*, pg_temp.store(:'users', b.record, pg_temp.json(format('{"mindtickleId": "good %s"}', b.place))) AS result FROM bad AS b ORDER BY b.place;
SELECT is_empty($$SELECT place, left(encode(record, 'escape'), 60), result FROM stored WHERE result !~ '^2 1 1 [12]$'$$, 'each bad record is rejected and the good one beside it stored');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'pl' AND user_id LIKE 'good %'), (SELECT count(*) FROM bad), 'all of them');
SELECT is_empty($$SELECT b.place, left(encode(b.record, 'escape'), 60), d.reason FROM bad AS b LEFT JOIN mindtickle.dead_letter AS d ON d.tenant_id = 'pl' AND d.raw = substr(b.record, 1, 65536) AND d.reason LIKE b.reason || CASE WHEN length(b.record) > 65536 THEN '%' ELSE '' END
	WHERE d.letter_id IS NULL OR d.source <> 'pull' OR d.resource <> 'users' OR d.replayed_at IS NOT NULL$$, 'each is a dead letter with its reason and its bytes, at most 64 KiB of them');
SELECT is_empty($$SELECT user_id FROM mindtickle.users WHERE tenant_id = 'pl' AND user_id ~ '^b[0-9]'$$, 'nothing of a bad record is stored');
SELECT pg_temp.service(format($$SELECT mindtickle.sync_advance('pl', %s, 'roster', '{"cursor": "x"}', 5, 10, 0, %s)$$, :job, (SELECT sum(split_part(result, ' ', 3)::int) FROM stored))) \g /dev/null
SELECT is((SELECT rejected FROM mindtickle.sync_job WHERE tenant_id = 'pl'), 1 + (SELECT count(*) FROM bad), 'the job counts them');
SELECT count(*) AS letters FROM mindtickle.dead_letter WHERE tenant_id = 'pl' \gset
SELECT is(pg_temp.store(:'users', pg_temp.json('<html><body>Bad gateway</body></html>')), '1 0 1 1', 'the same fault again: nobody can tell whether it was seen before');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'pl'), :letters::bigint, 'is kept once while it waits');
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "n1", "userName": "taken"}')) \g /dev/null
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "n2", "userName": "TAKEN"}'), pg_temp.json('{"mindtickleId": "n3"}')), '2 1 1 2', 'a new user with the user name of another costs that record only');
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "n4", "userName": "free"}')) \g /dev/null
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "n4", "userName": "TAKEN"}'), pg_temp.json('{"mindtickleId": "n5"}')), '2 1 1 1', 'a known one likewise');
SELECT is(pg_temp.as_role('pl_writer', 'SELECT count(*) > 20 FROM mt_dead_letters'), 'true', 'the tenant''s roles see their dead letters');

-- Courses, progress, quiz results.
SELECT is(pg_temp.store(:'courses', pg_temp.json('{"courseId": "c1", "title": "Course", "kind": "course", "updatedAt": "2026-01-01T00:00:00Z"}'), pg_temp.json('{"courseId": "c2"}'), pg_temp.json('{"title": "no id"}'), pg_temp.json('{"courseId": "c3", "title": 7}')), '4 2 2 4', 'courses');
SELECT is(pg_temp.store(:'courses', pg_temp.json('{"courseId": "c1", "title": "Course", "kind": "course", "updatedAt": "2026-01-01T00:00:00Z"}'), pg_temp.json('{"courseId": "c2", "title": "New title"}')), '2 1 0 0', 'one of them changed');
SELECT is(pg_temp.letters('courses'), 'courseId is required | title must be a string', 'the faults');
SELECT is(pg_temp.store(:'progress', pg_temp.json('{"courseId": "c1", "status": "completed", "score": 90, "updatedAt": "2026-01-02"}'), pg_temp.json('{"courseId": "c2", "status": "expired"}'), pg_temp.json('{"courseId": "c3", "status": "in_progress", "score": 101}'),
	pg_temp.json('{"courseId": "c4", "status": "in_progress", "score": null}'), pg_temp.json('{"courseId": "c4", "status": "completed"}'), pg_temp.json('oops')), '6 2 4 0', 'progress of one user');
SELECT is(pg_temp.letters('progress/m1'), 'status must be one of "not_started", "in_progress", "completed" | score must be between 0 and 100 | the document must be valid JSON: Token "oops" is invalid. | courseId is given twice', 'the faults');
SELECT results_eq($$SELECT course_id COLLATE "default", status COLLATE "default", score, synced_at = now() FROM mindtickle.course_progress WHERE tenant_id = 'pl' ORDER BY course_id$$, $$VALUES ('c1', 'completed', 90.0000, true), ('c4', 'in_progress', NULL, true)$$, 'what is stored');
SELECT is(pg_temp.store(:'progress', pg_temp.json('{"courseId": "c1", "status": "completed", "score": 90, "updatedAt": "2026-01-02"}')), '1 0 0 0', 'the same again changes nothing');

-- A moment that cannot be neither freezes what bears it nor says that everything has been seen.
SAVEPOINT s;
CREATE FUNCTION pg_temp.latest(call text, VARIADIC records text[]) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format($q$SELECT concat_ws(' ', changed, rejected, to_char(latest AT TIME ZONE 'UTC', 'YYYY-MM-DD')) FROM mindtickle.store_%s (SELECT array_agg(convert_to(r, 'UTF8')) FROM unnest(%L::text[]) AS r))$q$, call, records))
$$;
SELECT is(pg_temp.latest(:'progress', '{"courseId": "c1", "status": "completed", "score": 91, "updatedAt": "2099-01-01T00:00:00Z"}', '{"courseId": "c4", "status": "completed", "updatedAt": "2026-01-03"}'), '2 0 2026-01-03', 'progress of the year 2099 is stored');
SELECT is(pg_temp.latest(:'progress', '{"courseId": "c1", "status": "completed", "score": 92, "updatedAt": "2026-01-04"}'), '1 0 2026-01-04', 'what comes after it counts');
SELECT results_eq($$SELECT score, updated_at FROM mindtickle.course_progress WHERE tenant_id = 'pl' AND course_id = 'c1'$$, $$VALUES (92.0000, '2026-01-04 00:00:00+00'::timestamptz)$$, 'as it says');
SELECT is(pg_temp.latest(:'results', '{"resultId": "f1", "userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2099-01-01T00:00:00Z", "score": 50}', '{"resultId": "f2", "userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-05", "score": 60}'), '2 0 2026-01-05', 'nor does a quiz result of that year say so');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_finish_phase('pl', %s, 'progress', true, NULL, true, (SELECT latest FROM mindtickle.store_progress('pl', %s, 'm1', ARRAY[convert_to('{"courseId": "c1", "status": "completed", "updatedAt": "2099-01-01"}', 'UTF8'), convert_to('{"courseId": "c4", "status": "completed", "updatedAt": "2026-01-06"}', 'UTF8')])))$$, :job, :job)), '', 'changes are asked for');
SELECT is((SELECT latest FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'progress'), '2026-01-06 00:00:00+00', 'from the latest moment that can be');
ROLLBACK TO s;

SELECT is(pg_temp.store(:'results', pg_temp.json('{"resultId": "1", "userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 50, "attempt": 1}'), pg_temp.json('{"resultId": "2", "userId": "m9", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 60}'),
	pg_temp.json('{"resultId": "3", "userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "soon", "score": 50}'), pg_temp.json('{"resultId": "4", "userId": "m1", "courseId": "c1", "quizId": "r", "submittedAt": "2026-01-01", "answers": [{"questionId": "a"}]}')), '4 2 2 4', 'quiz results');
SELECT is(pg_temp.letters('quiz_results'), 'submittedAt must be a date and time such as "2026-02-03T10:11:12Z" | answers[0].correct is required', 'the faults');
SELECT is(pg_temp.store(:'results', pg_temp.json('{"resultId": "1", "userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 55, "attempt": 1}')), '1 1 0 0', 'a pull replaces what has changed upstream');
SELECT is((SELECT score || ' ' || source FROM mindtickle.quiz_submission WHERE tenant_id = 'pl' AND user_id = 'm1'), '55.0000 pull', 'it is there once');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_process_quiz_result('pl', '{"userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 55, "attempt": 1}')$$), 'false', 'by SQL the same content is known');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_process_quiz_result('pl', '{"userId": "m1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 56, "attempt": 1}')$$) LIKE '23505: %', true, 'and other content is refused');
SELECT is(pg_temp.service($$SELECT string_agg(user_id, ' ') FROM mindtickle.sync_next_users('pl', 1, 'm1', 2)$$), 'm2 m3', 'users in the order of their ids');
SELECT is((SELECT string_agg(concat_ws(' ', requests, throttled, errors), ',') FROM mindtickle.sync_job WHERE tenant_id = 'pl'), '0 0 0', 'figures of the job');
SELECT pg_temp.service(format($$SELECT mindtickle.sync_count('pl', %s, 3, 2, 1, 0, 0, 0, 0, 0), mindtickle.sync_count('pl', %s, 3, 2, 0, 0, 0, 0, 1, 0)$$, :job, :job)) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', requests, throttled, errors), ',') FROM mindtickle.sync_job WHERE tenant_id = 'pl'), '6 4 2', 'add up');

-- MindTickle's id of one may be the id that another was given here: what is pulled is of the one who has it there.
SAVEPOINT s;
SELECT pg_temp.as_role('pl_writer', $$SELECT mt_provision_user('pl', '{"userId": "mt7", "mindtickleId": "mt8"}')$$) \g /dev/null
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "mt7", "name": "Bob"}')) \g /dev/null
SELECT pg_temp.store(:'results', pg_temp.json('{"resultId": "71", "userId": "mt7", "courseId": "c1", "quizId": "q7", "submittedAt": "2026-01-01", "score": 70}'), pg_temp.json('{"resultId": "72", "userId": "mt8", "courseId": "c1", "quizId": "q8", "submittedAt": "2026-01-01", "score": 80}')) \g /dev/null
INSERT INTO mindtickle.course (tenant_id, course_id, source, kind) VALUES ('pl', 'assessment', 'pull', 'ASSESSMENT');
SELECT pg_temp.store(format('reports(''pl'', %s, '''',', :job), pg_temp.json('{"userId": "mt7", "courseId": "assessment", "status": "completed", "rawScore": 7, "maxScore": 10, "completedAt": "2026-01-02"}')) \g /dev/null
SELECT results_eq($$SELECT s.quiz_id COLLATE "default", u.name FROM mindtickle.quiz_submission AS s JOIN mindtickle.users AS u USING (tenant_id, user_id) WHERE s.tenant_id = 'pl' AND s.quiz_id IN ('q7', 'q8', 'assessment') ORDER BY s.quiz_id$$,
	$$VALUES ('assessment', 'Bob'), ('q7', 'Bob'), ('q8', NULL)$$, 'results');
SELECT results_eq($$SELECT p.course_id COLLATE "default", u.name FROM mindtickle.course_progress AS p JOIN mindtickle.users AS u USING (tenant_id, user_id) WHERE p.tenant_id = 'pl' AND p.course_id = 'assessment'$$, $$VALUES ('assessment', 'Bob')$$, 'and progress');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_process_quiz_result('pl', '{"userId": "mt7", "courseId": "c1", "quizId": "q9", "submittedAt": "2026-01-01", "score": 90}')$$), 'true', 'who else brings one');
SELECT is((SELECT user_id FROM mindtickle.quiz_submission WHERE tenant_id = 'pl' AND quiz_id = 'q9'), 'mt7', 'means our id first');
ROLLBACK TO s;

-- Who is absent from a complete listing is deactivated, unless it is not sure who was in it.
SELECT count(*) AS active FROM mindtickle.users WHERE tenant_id = 'pl' AND active \gset
CREATE FUNCTION pg_temp.finish(job bigint, complete bool, whole bool DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text := pg_temp.service(format('SELECT mindtickle.sync_finish_phase(''pl'', %s, ''roster'', %L, ''x'', whole => %L)', job, complete, whole));
BEGIN
	RETURN coalesce(result, '') || coalesce((SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM mindtickle.users WHERE tenant_id = 'pl' AND NOT active), 'nobody');
END
$$;
INSERT INTO mindtickle.users (tenant_id, user_id, mindtickle_id) VALUES ('pl', 'gone', 'gone'), ('pl-other', 'gone', 'gone');
INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('pl', 'never pulled');
SELECT is(pg_temp.finish(:job, true), 'nobody', 'a record whose id could not be read may be anybody''s: nobody is deactivated');
SELECT results_eq($$SELECT data_as_of = now(), error, error_at FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'roster'$$, $$VALUES (true, NULL::text, NULL::timestamptz)$$, 'the roster was pulled all the same');
SELECT is(pg_temp.finish(:job, true), 'nobody', 'a listing of nobody is a fault upstream');
SELECT pg_temp.store(:'users', VARIADIC (SELECT array_agg(pg_temp.json(jsonb_build_object('mindtickleId', mindtickle_id)::text)) FROM mindtickle.users WHERE tenant_id = 'pl' AND mindtickle_id <> 'gone')) \g /dev/null
SAVEPOINT s;
SELECT is(pg_temp.finish(:job, false), 'nobody', 'an incomplete listing deactivates nobody');
SELECT results_eq($$SELECT data_as_of IS NOT NULL, error FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'roster'$$, $$VALUES (true, 'x')$$, 'and is told');
ROLLBACK TO s;
SELECT is(pg_temp.finish(:job, true, false), 'nobody', 'nor does a complete one from which somebody may be missing');
SELECT results_eq($$SELECT data_as_of = now(), error FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'roster'$$, $$VALUES (true, NULL::text)$$, 'which was pulled all the same');
ROLLBACK TO s;
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m2", "role": "boss"}')) \g /dev/null
SELECT is(pg_temp.finish(:job, true), 'gone', 'a complete listing deactivates who is absent, not who is in a bad record, nor who was never pulled');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'pl-other' AND active), 1::bigint, 'nor anybody of another tenant');
SELECT is((SELECT array_agg(payload #>> '{user,userId}') FROM pg_temp.events('pl') WHERE payload ->> 'operation' = 'DELETE'), ARRAY['gone'], 'event DELETE');
SELECT is((SELECT count(*) FROM mindtickle.sync_seen WHERE tenant_id = 'pl' AND phase = 'roster'), 0::bigint, 'what the listing had shown is forgotten');
SELECT is(pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "gone", "active": true}')), '1 1 0 1', 'who comes back upstream is active again');

-- One that is cancelled while its last page is stored.
SAVEPOINT s;
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m1"}')) \g /dev/null
SELECT is(mt_cancel_job('pl', :job), true, 'cancelled');
SELECT pg_temp.store(:'users', pg_temp.json('{"mindtickleId": "m2"}')) \g /dev/null
SELECT data_as_of AS pulled FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'roster' \gset
UPDATE mindtickle.sync_resource SET error = 'before' WHERE tenant_id = 'pl' AND resource = 'roster';
SELECT is(pg_temp.finish(:job, true), 'nobody', 'the page that comes after that is not the whole listing: nobody is deactivated');
SELECT is((SELECT error FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND resource = 'roster'), 'before', 'and the resource has not been pulled');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_advance('pl', %s, 'catalog', '{}', 1, 1)$$, :job)), 'false', 'the worker is told');
SELECT is((SELECT count(*) FROM mindtickle.sync_seen WHERE tenant_id = 'pl'), 0::bigint, 'and nothing stays of the listing');
ROLLBACK TO s;

-- Settings or secrets that change while it runs.
CREATE FUNCTION pg_temp.listed(job bigint, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	UPDATE mindtickle.sync_resource SET listed_at = now(), awaited_since = NULL WHERE tenant_id = 'pl';
	PERFORM pg_temp.outcome(change);
	PERFORM pg_temp.service(format('SELECT mindtickle.sync_finish_phase(''pl'', %s, r, true, NULL, true) FROM unnest(''{roster,progress}''::text[]) AS r', job));
	PERFORM pg_temp.service(format('SELECT mindtickle.sync_pass_phase(''pl'', %s, ''quiz_results'')', job));
	SELECT string_agg(concat_ws(' ', resource, finished_at IS NOT NULL, listed_at IS NOT NULL), ', ' ORDER BY resource) INTO result
		FROM mindtickle.sync_resource WHERE tenant_id = 'pl';
	RETURN result;
END
$$;
SELECT is(pg_temp.listed(:job, 'SELECT 1'), 'progress t t, quiz_results t t, roster t t', 'a pull of everything counts as one');
SAVEPOINT s;
SELECT is(pg_temp.listed(:job, $$SELECT mt_configure_tenant('pl', '{"freshness": "3 hours"}')$$), 'progress t f, quiz_results t f, roster t f', 'but not when the settings have changed since it began');
ROLLBACK TO s;
SELECT is(pg_temp.listed(:job, $$SELECT mt_set_credential('pl', '{"api_key": "other"}')$$), 'progress t f, quiz_results t f, roster t f', 'or the secrets');
ROLLBACK TO s;

-- Joining one that the interval has brought.
CREATE FUNCTION pg_temp.awaited() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(resource, ' ' ORDER BY resource) FROM mindtickle.sync_resource WHERE tenant_id = 'pl' AND awaited_since IS NOT NULL
$$;
UPDATE mindtickle.sync_resource SET finished_at = now() - interval '1 hour', error_at = now() - interval '2 hours' WHERE tenant_id = 'pl' AND resource <> 'roster';
SELECT is(pg_temp.awaited(), NULL, 'it goes on all day, so nobody waits for it');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_sync_tenant('pl')$$)::bigint, :job::bigint, 'whoever asks for a pull meanwhile is told this one');
SELECT is(pg_temp.awaited(), 'progress quiz_results', 'and waits for its end, but not for what it has brought already');
SELECT matches((SELECT provisional_reason FROM mt_readiness('pl')), 'progress', 'so that the figures are provisional');
ROLLBACK TO s;

-- Ending it.
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_close('pl', %s, 'failed', 'upstream answers 500')$$, :job)), '', 'failed');
SELECT results_eq($$SELECT state COLLATE "default", error, finished_at IS NOT NULL FROM mindtickle.sync_job WHERE tenant_id = 'pl'$$, $$VALUES ('failed', 'upstream answers 500', true)$$, 'is so in the job');
SELECT results_eq($$SELECT open_job_id, last_error, next_sync_at - now() BETWEEN interval '13 min 30 s' AND interval '16 min 30 s' FROM mindtickle.tenant WHERE tenant_id = 'pl'$$, $$VALUES (NULL::int8, 'upstream answers 500', true)$$, 'and at the tenant; the next pull comes in about 15 minutes');
SELECT is((SELECT array_agg(payload) FROM pg_temp.events('pl') WHERE topic = 'sync.failed'), ARRAY[jsonb_build_object('tenantId', 'pl', 'jobId', :job::bigint, 'phase', 'roster', 'error', 'upstream answers 500')], 'event sync.failed');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_close('pl', %s, 'done', NULL)$$, :job)), '', 'ending it again');
SELECT is((SELECT state FROM mindtickle.sync_job WHERE tenant_id = 'pl'), 'failed', 'changes nothing');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_advance('pl', %s, 'catalog', '{}', 1, 1)$$, :job)), 'false', 'and it advances no more');
SELECT is(pg_temp.open(), 'nothing', 'nothing is due');
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mt_sync_tenant('pl')$$)::bigint > :job::bigint, true, 'until it is asked for');
SELECT matches(pg_temp.open(), '^full roster \{\} 0 ', 'from the beginning');
SELECT is((SELECT requested_by FROM mindtickle.sync_job WHERE tenant_id = 'pl' AND state = 'running'), 'pl_writer'::name, 'by whom is noted');
SELECT pg_temp.service(format($$SELECT mindtickle.sync_close('pl', %s, 'done', NULL)$$, (SELECT open_job_id FROM mindtickle.tenant WHERE tenant_id = 'pl'))) \g /dev/null
SELECT is((SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'pl'), NULL, 'a good pull clears the last error');
SELECT is((SELECT count(*) FROM pg_temp.events('pl') WHERE topic = 'sync.failed'), 1::bigint, 'and is no event');

-- The budget only rises.
UPDATE mindtickle.sync_budget SET budget_until = now() WHERE tenant_id IN ('pl', 'pl-other');
SELECT is(pg_temp.service($$SELECT string_agg(place::text, ' ' ORDER BY place) FROM mindtickle.reserve_budget('{pl,pl-other,pl-none}', ARRAY[now() + interval '10 s', now() - interval '10 s', now()], ARRAY['{3,0,1}', NULL, NULL], '{57,60,60}', '{96,NULL,NULL}') AS r (place)$$), '1 2', 'budgets of several tenants at once');
SELECT results_eq($$SELECT tenant_id COLLATE "default", budget_until - now() FROM mindtickle.sync_budget WHERE tenant_id ~ '^pl' ORDER BY tenant_id$$, $$VALUES ('pl', interval '10 s'), ('pl-other', interval '0')$$, 'none is lowered');
SET LOCAL mindtickle.tenant = '';
SELECT is(pg_temp.as_role('mindtickle_service', $$SELECT string_agg(concat_ws(' ', tenant_id, suspended, source_configured, open_job_id, extract(epoch FROM sync_interval)::int), ', ' ORDER BY tenant_id) FROM mindtickle.sync_overview() WHERE tenant_id ~ '^pl'$$), 'pl f t 900, pl-other f f 900', 'the overview of all tenants');
SET LOCAL mindtickle.tenant = 'pl';
SELECT is(pg_temp.as_role('pl_writer', $$SELECT mindtickle.reserve_budget('{pl}', ARRAY[now()], '{NULL}', '{1}', '{1}')$$), '42501: permission denied for function reserve_budget', 'all that is the worker''s');

-- Retention.
INSERT INTO mindtickle.event_0 (tenant_id, seq, topic, payload, created_at) SELECT 'pl', i, 'a', '{}', now() FROM generate_series(1, 10) AS i;
INSERT INTO mindtickle.event_position_0 VALUES ('pl', 1, 1, 10, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0);
SELECT is(pg_temp.service($$SELECT mindtickle.trim_tenant('pl')$$), '0', 'nothing is old');
UPDATE mindtickle.event_0 SET published_at = now() - interval '7 days 1 s' WHERE tenant_id = 'pl' AND seq <= 3;
INSERT INTO mindtickle.readiness_report (tenant_id, computed_at, learners, quiz_results, assignments, completed, provisional) SELECT 'pl', now() - i * interval '100 days', 0, 0, 0, 0, false FROM generate_series(1, 5) AS i;
UPDATE mindtickle.dead_letter SET received_at = now() - interval '91 days' WHERE tenant_id = 'pl' AND resource = 'courses';
UPDATE mindtickle.sync_job SET finished_at = now() - interval '31 days' WHERE tenant_id = 'pl' AND state = 'failed';
SELECT is(pg_temp.service($$SELECT mindtickle.trim_tenant('pl')$$), '7', '3 events, 1 report, 2 dead letters, 1 job');
SELECT is((SELECT min(seq) FROM mindtickle.event WHERE tenant_id = 'pl'), 4::bigint, 'the oldest go');
SELECT mt_configure_tenant('pl', '{"retain_reports": "99 days"}') \g /dev/null
SELECT is(pg_temp.service($$SELECT mindtickle.trim_tenant('pl')$$), '4', 'by the tenant''s settings');

SELECT * FROM finish();
ROLLBACK;
