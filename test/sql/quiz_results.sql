\set ECHO none
-- mt_process_quiz_result: recorded once, its score, its user, its event, and what is refused.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(49);

DROP ROLE IF EXISTS qr_writer, qr_reader;
CREATE ROLE qr_writer;
CREATE ROLE qr_reader;
SELECT mt_create_tenant('qr', 'Quiz results'), mt_grant_tenant('qr', 'qr_writer', 'writer'), mt_grant_tenant('qr', 'qr_reader', 'reader') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, mindtickle_id, scim_external_id) VALUES ('qr', 'ours', 'theirs', 'provider'), ('qr', 'theirs-too', NULL, 'theirs');

CREATE FUNCTION pg_temp.record(changes jsonb, role_name text DEFAULT 'qr_writer') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_process_quiz_result(''qr'', %L)',
		'{"userId": "ours", "courseId": "c", "quizId": "q", "submittedAt": "2026-02-03T10:11:12Z", "score": 80}'::jsonb || changes))
$$;
CREATE FUNCTION pg_temp.stored(quiz text) RETURNS SETOF mindtickle.quiz_submission LANGUAGE sql AS $$
	SELECT * FROM mindtickle.quiz_submission WHERE tenant_id = 'qr' AND quiz_id = quiz
$$;

-- Recorded once.
SELECT is(pg_temp.record('{"maxScore": 50, "rawScore": 40, "passed": true, "attempt": 2, "answers": [{"questionId": "a", "correct": true}], "extra": {"x": 1}}'), 'true', 'a result is recorded');
SELECT results_eq($$SELECT user_id COLLATE "default", course_id COLLATE "default", submitted_at, answers, score, computed_score, attempt, passed, max_score, raw_score, source COLLATE "default", received_at = now()
		FROM pg_temp.stored('q')$$,
	$$VALUES ('ours', 'c', '2026-02-03 10:11:12Z'::timestamptz, '[{"questionId": "a", "correct": true}]'::jsonb, 80.0000, 100.0000, 2, true, 50::numeric, 40::numeric, 'sql', true)$$, 'with all its fields');
SELECT is(pg_temp.record('{"maxScore": 50, "rawScore": 40, "passed": true, "attempt": 2, "answers": [{"questionId": "a", "correct": true}], "extra": {"x": 1}}'), 'false', 'the same again is false');
SELECT is(pg_temp.record('{"maxScore": 50.0, "rawScore": 40, "score": 80.00000, "passed": true, "attempt": 2, "answers": [{"correct": true, "questionId": "a"}], "submittedAt": "2026-02-03T12:11:12+02:00", "other": 1}'),
	'false', 'written otherwise it is still the same');
SELECT is((SELECT count(*) FROM pg_temp.stored('q')), 1::bigint, 'it is there once');
SELECT results_eq($$SELECT topic COLLATE "default", payload FROM pg_temp.events('qr')$$,
	$$VALUES ('quiz.completed', '{"tenantId": "qr", "userId": "ours", "courseId": "c", "quizId": "q", "submittedAt": "2026-02-03T10:11:12Z", "score": 80, "maxScore": 50, "rawScore": 40, "passed": true,
		"attempt": 2, "answers": [{"questionId": "a", "correct": true}], "extra": {"x": 1}}'::jsonb)$$, 'and so is its event: the result with its tenant');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'qr'), 0::bigint, 'no dead letter');
SELECT is_empty($$SELECT c, r FROM unnest('{"{\"score\": 81}", "{\"score\": null}", "{\"attempt\": 3}", "{\"passed\": false}", "{\"answers\": []}", "{\"answers\": null}", "{\"maxScore\": 60}", "{\"rawScore\": 41}"}'::text[]) AS c,
		pg_temp.record('{"maxScore": 50, "rawScore": 40, "passed": true, "attempt": 2, "answers": [{"questionId": "a", "correct": true}]}'::jsonb || c::jsonb) AS r
	WHERE r <> '23505: submittedAt is that of another result which is recorded already'$$, 'the same key with other content is 23505');
SELECT results_eq($$SELECT score, attempt FROM pg_temp.stored('q')$$, $$VALUES (80.0000, 2)$$, 'and changes nothing');
SELECT is(pg_temp.record('{"submittedAt": "2026-02-03T10:11:12.000001Z"}'), 'true', 'a microsecond later is another attempt');
SELECT is(pg_temp.record('{"courseId": "c2"}'), 'true', 'another course is another result');

-- The score.
SELECT is(pg_temp.record('{"quizId": "given", "score": 12.34567, "answers": [{"questionId": "a", "correct": true}, {"questionId": "b", "correct": false}]}'), 'true', 'a given score');
SELECT results_eq($$SELECT score, computed_score FROM pg_temp.stored('given')$$, $$VALUES (12.3457, 50.0000)$$, 'counts, and the computed one stands beside it');
SELECT is(pg_temp.record('{"quizId": "absent", "score": null, "answers": [{"questionId": "a", "correct": true}, {"questionId": "b", "correct": false}]}'), 'true', 'an absent score');
SELECT results_eq($$SELECT score, computed_score FROM pg_temp.stored('absent')$$, $$VALUES (50.0000, 50.0000)$$, 'is computed');
SELECT is((SELECT payload ->> 'score' FROM pg_temp.events('qr') WHERE payload ->> 'quizId' = 'absent'), '50.0000', 'and told in the event');
SELECT is(pg_temp.record('{"quizId": "ungraded", "score": null}'), 'true', 'neither score nor answers');
SELECT results_eq($$SELECT score, computed_score, answers FROM pg_temp.stored('ungraded')$$, $$VALUES (NULL::numeric, NULL::numeric, NULL::jsonb)$$, 'is not graded, which is no 0');
SELECT is(pg_temp.record('{"quizId": "ungraded", "score": null}'), 'false', 'and recorded once too');
SELECT is(pg_temp.record('{"quizId": "empty", "score": null, "answers": []}'), 'true', 'no questions');
SELECT results_eq($$SELECT score, answers FROM pg_temp.stored('empty')$$, $$VALUES (NULL::numeric, '[]'::jsonb)$$, 'are not graded either');
SELECT is(pg_temp.record('{"quizId": "zero", "score": 0}') || pg_temp.record('{"quizId": "hundred", "score": 100}') || pg_temp.record('{"quizId": "half", "score": 0.00005}'), 'truetruetrue', 'scores of 0, 100 and half a place');
SELECT is((SELECT string_agg(score::text, ' ' ORDER BY quiz_id) FROM mindtickle.quiz_submission WHERE quiz_id IN ('zero', 'hundred', 'half')), '0.0001 100.0000 0.0000', 'are taken, halves rounded away from zero');

-- The user.
SELECT is(pg_temp.record('{"quizId": "by mindtickle id", "userId": "theirs"}'), 'true', 'by MindTickle''s id');
SELECT is((SELECT user_id FROM pg_temp.stored('by mindtickle id')), 'ours', 'which goes before the identity provider''s');
SELECT is((SELECT payload ->> 'userId' FROM pg_temp.events('qr') WHERE payload ->> 'quizId' = 'by mindtickle id'), 'ours', 'the event has our id');
SELECT is(pg_temp.record('{"quizId": "by provider id", "userId": "provider"}'), 'true', 'by the identity provider''s id');
SELECT is((SELECT user_id FROM pg_temp.stored('by provider id')), 'ours', 'it is the same user');
SELECT is(pg_temp.record('{"quizId": "by mindtickle id", "userId": "ours"}'), 'false', 'and the same result by either id');
SELECT is(pg_temp.record('{"quizId": "unknown", "userId": "nobody yet"}'), 'true', 'a user who is not known yet is accepted');
SELECT is((SELECT user_id FROM pg_temp.stored('unknown')), 'nobody yet', 'under the id given');

-- The quiz.
SELECT results_eq($$SELECT course_id COLLATE "default", max_score FROM mindtickle.quiz WHERE tenant_id = 'qr' AND quiz_id = 'q'$$, $$VALUES ('c', 50::numeric)$$, 'a result tells of its quiz');

-- Dates.
CREATE TEMP TABLE moment (written text, meant timestamptz);
INSERT INTO moment VALUES ('2026-02-03T10:11:12Z', '2026-02-03 10:11:12Z'), ('2026-02-03T10:11:12z', '2026-02-03 10:11:12Z'), ('2026-02-03t10:11:12Z', '2026-02-03 10:11:12Z'), ('2026-02-03 10:11:12Z', '2026-02-03 10:11:12Z'),
	('2026-02-03T10:11:12+05:30', '2026-02-03 04:41:12Z'), ('2026-02-03T10:11:12-0330', '2026-02-03 13:41:12Z'), ('2026-02-03T10:11:12', '2026-02-03 10:11:12Z'), ('2026-02-03', '2026-02-03 00:00:00Z'),
	('2026-02-03T10:11Z', '2026-02-03 10:11:00Z'), ('2026-02-03T10:11:12.5Z', '2026-02-03 10:11:12.5Z'), ('2026-02-03T10:11:12.1234567Z', '2026-02-03 10:11:12.123457Z'), ('2024-02-29T00:00:00Z', '2024-02-29 00:00:00Z'),
	('2016-12-31T23:59:60Z', '2017-01-01 00:00:00Z'), ('0001-01-01T00:00:00Z', '0001-01-01 00:00:00Z'), ('9999-12-31T23:59:59Z', '9999-12-31 23:59:59Z'), ('2026-02-03T10:11:12.9999999Z', '2026-02-03 10:11:13Z');
SET LOCAL TimeZone = 'America/New_York';
SET LOCAL DateStyle = 'SQL, DMY';
SELECT is_empty($$SELECT written, r FROM moment, pg_temp.record(jsonb_build_object('quizId', 'at ' || written, 'submittedAt', written)) AS r WHERE r <> 'true'$$, 'moments in every form of RFC 3339');
SELECT is_empty($$SELECT m.written, s.submitted_at AT TIME ZONE 'UTC' FROM moment AS m, pg_temp.stored('at ' || m.written) AS s WHERE s.submitted_at <> m.meant$$, 'mean the same in every session');
RESET TimeZone;
RESET DateStyle;
CREATE TEMP TABLE no_moment (written jsonb);
INSERT INTO no_moment SELECT to_jsonb(w) FROM unnest(ARRAY['', ' ', 'yesterday', 'now', 'infinity', 'epoch', '2026-02-30T00:00:00Z', '2025-02-29', '2026-13-01', '2026-00-01', '2026-01-00', '2026-04-31', '0000-01-01', '10000-01-01T00:00:00Z', '-2026-01-01',
	'2026-2-3', '2026-02-03T24:00:00Z', '2026-02-03T10:60:00Z', '2026-02-03T10:11:61Z', '2026-02-03T10', '2026-02-03T10:11:12+24:00', '2026-02-03T10:11:12+05:60', '2026-02-03T10:11:12 PM', '2026-02-03T10:11:12Z ', ' 2026-02-03',
	'2026-02-03T10:11:12.Z', '02/03/2026', '20260203', '1770113472', '2026-02-03T10:11:12Europe/Berlin', '2026-02-03T', '２026-02-03', '2026-02-03T10:11:12Z; DROP TABLE x']) AS w;
INSERT INTO no_moment VALUES ('1770113472'), ('true'), ('["2026-02-03"]'), ('{"date": "2026-02-03"}');
SELECT is_empty($$SELECT written, r FROM no_moment, pg_temp.record(jsonb_build_object('quizId', 'bad', 'submittedAt', written)) AS r
	WHERE r <> '22023: submittedAt must be a date and time such as "2026-02-03T10:11:12Z"'$$, 'what is no moment is refused');

-- What is wrong is named and writes nothing.
CREATE TEMP TABLE bad (changes jsonb, message text);
INSERT INTO bad SELECT jsonb_build_object(f, v.value), f || v.message FROM unnest('{userId,courseId,quizId}'::text[]) AS f, (VALUES
	('null'::jsonb, ' is required'), ('""', ' must not be empty'), ('7', ' must be a string'), ('["x"]', ' must be a string'), (to_jsonb(repeat('x', 256)), ' must not be longer than 255 bytes'),
	(to_jsonb(repeat('é', 128)), ' must not be longer than 255 bytes')) AS v (value, message);
INSERT INTO bad SELECT jsonb_build_object('score', v), 'score must be a number' FROM unnest('{"\"NaN\"","\"Infinity\"","\"80\"",true,[80],"{\"value\": 80}"}'::jsonb[]) AS v;
INSERT INTO bad SELECT jsonb_build_object('score', v), 'score must be between 0 and 100' FROM unnest('{-0.00001,-1,100.00001,101,1e300}'::jsonb[]) AS v;
INSERT INTO bad VALUES ('{"submittedAt": null}', 'submittedAt is required'), ('{"maxScore": -1}', 'maxScore must be between 0 and 1000000000'), ('{"maxScore": "x"}', 'maxScore must be a number'),
	('{"rawScore": 1e10}', 'rawScore must be between 0 and 1000000000'), ('{"rawScore": false}', 'rawScore must be a number'), ('{"passed": "yes"}', 'passed must be true or false'), ('{"passed": 1}', 'passed must be true or false'),
	('{"attempt": 0}', 'attempt must be between 1 and 2147483647'), ('{"attempt": 2147483648}', 'attempt must be between 1 and 2147483647'), ('{"attempt": 1.5}', 'attempt must be a whole number'), ('{"attempt": "1"}', 'attempt must be a number'),
	('{"answers": {}}', 'answers must be an array'), ('{"answers": [{"questionId": "a"}]}', 'answers[0].correct is required'), ('{"answers": [{"correct": true}]}', 'answers[0].questionId is required'),
	('{"answers": [{"questionId": "a", "correct": true}, {"questionId": "a", "correct": true}]}', 'answers[1].questionId is given twice'), ('{"answers": [1]}', 'answers[0] must be an object'),
	('{"answers": [{"questionId": "a", "correct": true, "points": -1}]}', 'answers[0].points must be a number between 0 and 1000000'),
	(jsonb_build_object('extra', (repeat('[', 64) || repeat(']', 64))::jsonb), 'the document must not be nested deeper than 64');
INSERT INTO bad SELECT jsonb_build_object('answers', v), 'answers must be an %array' FROM unnest('{"\"x\"",7,true}'::jsonb[]) AS v;
SELECT is_empty($$SELECT left(changes::text, 80), r FROM bad, pg_temp.record('{"quizId": "bad"}'::jsonb || changes) AS r WHERE (r LIKE '22023: ' || message) IS NOT TRUE$$, 'what is wrong is 22023 and named');
SELECT is_empty($$SELECT d, r FROM unnest('{[],"\"x\"",7,null,true,"[{}]"}'::text[]) AS d, pg_temp.as_role('qr_writer', format('SELECT mt_process_quiz_result(''qr'', %L)', coalesce(d, 'null'))) AS r
	WHERE r <> '22023: the document must be a JSON object'$$, 'what is no object');
SELECT is(pg_temp.as_role('qr_writer', $$SELECT mt_process_quiz_result('qr', '{}')$$), '22023: userId is required', 'an empty object');
SELECT is(pg_temp.record(jsonb_build_object('quizId', 'deep', 'extra', (repeat('[', 63) || repeat(']', 63))::jsonb)), 'true', 'nesting of 64 is taken');
SELECT is_empty($$SELECT * FROM pg_temp.stored('bad')$$, 'nothing of what was refused is there');
SELECT is_empty($$SELECT * FROM pg_temp.events('qr') WHERE payload ->> 'quizId' = 'bad'$$, 'nor an event of it');
SELECT is_empty($$SELECT * FROM mindtickle.quiz WHERE quiz_id = 'bad'$$, 'nor its quiz');
SELECT is((SELECT count(*) FROM pg_temp.events('qr')), (SELECT count(*) FROM mindtickle.quiz_submission WHERE tenant_id = 'qr'), 'there is one event for each result');

-- Ids and texts of any characters.
SELECT is(pg_temp.record(jsonb_build_object('userId', E'O''Brien "x" \\ \n مرحبا 😀', 'courseId', '%', 'quizId', repeat('é', 127) || '_')), 'true', 'ids of any characters and 255 bytes');
SELECT is((SELECT user_id || course_id FROM pg_temp.stored(repeat('é', 127) || '_')), E'O''Brien "x" \\ \n مرحبا 😀%', 'come back as they were');

-- Who may.
SELECT is(pg_temp.record('{"quizId": "reader"}', 'qr_reader'), '42501: permission denied for tenant "qr"', 'a reader does not record');
SELECT is(pg_temp.as_role('qr_reader', $$SELECT user_name || '/' || quiz_id || '/' || score FROM mt_quiz_results WHERE quiz_id = 'given'$$), NULL, 'names are null where nobody gave one');
SELECT is(pg_temp.as_role('qr_reader', $$SELECT count(*) FROM mt_quiz_results$$)::bigint, (SELECT count(*) FROM mindtickle.quiz_submission WHERE tenant_id = 'qr'), 'a reader reads them all');
SELECT is(pg_temp.record(jsonb_build_object('note', repeat('x', 4 * 1024 * 1024))), '22023: the document must not be larger than 4194304 bytes', 'a document has a size');

SELECT * FROM finish();
ROLLBACK;
