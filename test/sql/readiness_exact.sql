\set ECHO none
-- mt_readiness equals a recomputation from the rows to the last digit, whoever writes them and how: each way to write by itself, then random work, within
-- a transaction and over many. What is rolled back, in whole or in part, leaves nothing.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/readiness.sql
SELECT plan(55);

SELECT mt_create_tenant(t, t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null

BEGIN;
SELECT is(pg_temp.figures('rx-a'), '- - 0 0 0 0', 'nothing there');

-- Rows before the roster knows their users.
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'ann', 'c', 'q', '2026-01-01', 50, 'sql');
SELECT is(pg_temp.figures('rx-a'), '50.0000 - 1 1 0 0', 'one result');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'ann', 'c', 'completed'), ('rx-a', 'bob', 'c', 'in_progress'), ('rx-b', 'bob', 'c', 'completed'), ('rx-a', 'cas', 'd', 'not_started');
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.3333 3 1 3 1', 'rows of two tenants in one statement');
SELECT is(pg_temp.figures('rx-b'), '- 1.0000 1 0 1 1', 'each has its own');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'dee', 'c', 'q', '2026-01-01', NULL, 'sql'), ('rx-a', 'bob', 'c', 'q', '2026-01-01', 0, 'sql'), ('rx-a', 'bob', 'c', 'q', '2026-01-02', 100, 'sql');
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.3333 4 3 3 1', 'no score is none, 0 and 100 are; who has a result without a score is a learner');
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'ann', false), ('rx-a', 'bob', true), ('rx-b', 'ann', true);
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.0000 3 2 2 0', 'who turns out to be deactivated when the roster comes counts no longer');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'ann', 'd', 'completed');
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.0000 3 2 2 0', 'nor does what is recorded of him later');
DELETE FROM mindtickle.users WHERE tenant_id = 'rx-a' AND user_id = 'ann';
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.5000 4 3 4 2', 'gone from the roster, his rows count');
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'ann', false), ('rx-a', 'eve', true), ('rx-a', 'fay', false);
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.0000 4 2 2 0', 'who has no rows is a learner if active');
UPDATE mindtickle.users SET active = true WHERE tenant_id = 'rx-a' AND user_id IN ('ann', 'fay');
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.5000 6 3 4 2', 'activated');
UPDATE mindtickle.users SET active = true, name = 'Ann' WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact(), '', 'set to what it was');
UPDATE mindtickle.users SET user_id = 'gil', active = false WHERE tenant_id = 'rx-a' AND user_id = 'ann';
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.5000 6 3 4 2', 'an id that is changed leaves its rows behind');
UPDATE mindtickle.users SET user_id = 'ann' WHERE tenant_id = 'rx-a' AND user_id = 'gil';
SELECT is(pg_temp.figures('rx-a'), '50.0000 0.0000 5 2 2 0', 'and takes over those of its new one');
UPDATE mindtickle.users SET tenant_id = 'rx-c' WHERE tenant_id = 'rx-a' AND user_id = 'ann';
SELECT is(pg_temp.figures('rx-a') || ', ' || pg_temp.figures('rx-c'), '50.0000 0.5000 6 3 4 2, - - 0 0 0 0', 'a user moved to another tenant');

-- Quiz results: every column that matters.
UPDATE mindtickle.quiz_submission SET score = 99.9999 WHERE tenant_id = 'rx-a' AND user_id = 'bob' AND score = 0;
SELECT is(pg_temp.figures('rx-a'), '83.3333 0.5000 6 3 4 2', 'a score changed');
UPDATE mindtickle.quiz_submission SET score = CASE WHEN score IS NULL THEN 1 END WHERE tenant_id = 'rx-a' AND user_id IN ('ann', 'dee');
SELECT is(pg_temp.figures('rx-a'), '67.0000 0.5000 6 3 4 2', 'one graded, another one no longer');
UPDATE mindtickle.quiz_submission SET user_id = 'fay', score = 2 WHERE tenant_id = 'rx-a' AND user_id = 'dee';
SELECT is(pg_temp.figures('rx-a'), '67.3333 0.5000 5 3 4 2', 'given to another user');
UPDATE mindtickle.quiz_submission SET tenant_id = 'rx-b' WHERE tenant_id = 'rx-a' AND user_id = 'fay';
SELECT is(pg_temp.figures('rx-a') || ', ' || pg_temp.figures('rx-b'), '100.0000 0.5000 5 2 4 2, 2.0000 1.0000 3 1 1 1', 'and to another tenant');
UPDATE mindtickle.quiz_submission SET course_id = 'd', quiz_id = 'r', submitted_at = '2026-02-02', attempt = 3, answers = '[]' WHERE user_id = 'fay';
SELECT is(pg_temp.inexact(), '', 'the rest of the key changed');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-b', 'fay', 'd', 'r', '2026-02-02', 40, 'sql'), ('rx-b', 'fay', 'd', 'r', '2026-02-03', 41, 'sql')
	ON CONFLICT (tenant_id, user_id, course_id, quiz_id, submitted_at) DO UPDATE SET score = excluded.score + 10;
SELECT is(pg_temp.figures('rx-b'), '45.5000 1.0000 3 2 1 1', 'one row replaced and one new in the same statement');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-b', 'fay', 'd', 'r', '2026-02-02', 0, 'sql') ON CONFLICT DO NOTHING;
SELECT is(pg_temp.figures('rx-b'), '45.5000 1.0000 3 2 1 1', 'one that is there');
DELETE FROM mindtickle.quiz_submission WHERE tenant_id = 'rx-b' AND submitted_at = '2026-02-03';
SELECT is(pg_temp.figures('rx-b'), '50.0000 1.0000 3 1 1 1', 'deleted');
DELETE FROM mindtickle.quiz_submission WHERE user_id = 'nobody';
UPDATE mindtickle.course_progress SET status = 'completed' WHERE user_id = 'nobody';
SELECT is(pg_temp.inexact(), '', 'statements that meet no row');

-- Progress.
UPDATE mindtickle.course_progress SET status = CASE status WHEN 'completed' THEN 'in_progress' ELSE 'completed' END;
SELECT is(pg_temp.figures('rx-a') || ', ' || pg_temp.figures('rx-b'), '100.0000 0.5000 5 2 4 2, 50.0000 0.0000 3 1 1 0', 'every status changed, of all tenants at once');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'bob', 'c', 'not_started') ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status;
SELECT is(pg_temp.figures('rx-a'), '100.0000 0.2500 5 2 4 1', 'a status replaced');
UPDATE mindtickle.course_progress SET percent_completed = 12, updated_at = now() WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.figures('rx-a'), '100.0000 0.2500 5 2 4 1', 'other columns change nothing');
MERGE INTO mindtickle.course_progress AS p USING (VALUES ('ann'), ('bob'), ('hal')) AS n (user_id) ON p.tenant_id = 'rx-a' AND p.user_id = n.user_id
	WHEN MATCHED AND p.course_id = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET status = 'completed' WHEN NOT MATCHED THEN INSERT (tenant_id, user_id, course_id, status) VALUES ('rx-c', n.user_id, 'c', 'completed');
SELECT is(pg_temp.figures('rx-a') || ', ' || pg_temp.figures('rx-c'), '100.0000 1.0000 5 2 3 3, - 1.0000 1 0 1 1', 'MERGE');

-- Several parts in one statement, the same user in each.
WITH off AS (UPDATE mindtickle.users SET active = false WHERE tenant_id = 'rx-a' AND user_id = 'bob'),
	taken AS (DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-a' AND user_id = 'bob'),
	given AS (INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'bob', 'c', 'q', '2026-03-01', 1, 'sql'), ('rx-a', 'ian', 'c', 'q', '2026-03-01', 3, 'sql'))
UPDATE mindtickle.quiz_submission SET score = 5 WHERE tenant_id = 'rx-b';
SELECT is(pg_temp.figures('rx-a'), '3.0000 1.0000 5 1 2 2', 'data-modifying parts of one statement');
SELECT is(pg_temp.inexact(), '', 'in all tenants');

-- Loaded from a file; a load that fails leaves nothing.
COPY mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) FROM stdin;
rx-a	ian	c	q	2026-04-01	10.0001	copy
rx-b	ian	c	q	2026-04-01	20	copy
rx-a	bob	c	q	2026-04-01	30	copy
rx-a	new	c	q	2026-04-01	\N	copy
rx-c	new	c	q	2026-04-01	0	copy
\.
SELECT is(pg_temp.figures('rx-a'), '6.5001 1.0000 6 2 2 2', 'COPY of rows of several tenants');
SAVEPOINT load;
\set ON_ERROR_STOP off
\set VERBOSITY sqlstate
COPY mindtickle.course_progress (tenant_id, user_id, course_id, status) FROM stdin;
rx-a	ian	e	completed
rx-a	ian	e	completed
\.
\set VERBOSITY default
\set ON_ERROR_STOP on
ROLLBACK TO load;
SELECT is(pg_temp.figures('rx-a'), '6.5001 1.0000 6 2 2 2', 'a load that fails');
COPY mindtickle.course_progress (tenant_id, user_id, course_id, status) FROM stdin;
rx-a	ian	e	not_started
rx-b	ian	e	not_started
\.
COPY mindtickle.users (tenant_id, user_id, active) FROM stdin;
rx-a	ian	f
rx-a	joe	t
rx-c	new	f
\.
SELECT is(pg_temp.inexact(), '', 'progress and people, too');

-- Parts of a transaction that are taken back.
SELECT pg_temp.figures('rx-a') AS before \gset
SAVEPOINT outer_part;
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rx-a', 'joe', 'c' || i, 'completed' FROM generate_series(1, 10) AS i;
SAVEPOINT inner_part;
UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-a';
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-a' AND course_id = 'c5';
SELECT is(pg_temp.inexact(), '', 'within a savepoint');
RELEASE inner_part;
SELECT is(pg_temp.inexact(), '', 'released');
SAVEPOINT inner_part;
UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-a';
ROLLBACK TO inner_part;
SELECT is(pg_temp.inexact(), '', 'a savepoint within, taken back');
ROLLBACK TO outer_part;
SELECT is(pg_temp.figures('rx-a'), :'before', 'the outer one, with what was released into it');
DO $$
BEGIN
	FOR i IN 1 .. 10 LOOP
		BEGIN
			INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'kim', 'c', 'q', '2026-05-01', i, 'sql');
			UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-a' AND user_id = 'ian';
		EXCEPTION WHEN unique_violation THEN
			NULL;
		END;
	END LOOP;
END
$$;
SELECT is(pg_temp.inexact(), '', 'blocks with an exception each');
SELECT is((SELECT quiz_results FROM mt_readiness('rx-a')), 3::bigint, 'of which one wrote something');

-- A trigger of somebody else, which drops rows, changes them, and writes other ones.
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.quiz_id = 'dropped' THEN
		RETURN NULL;
	END IF;
	NEW.score := 77;
	DELETE FROM mindtickle.course_progress WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id;
	RETURN NEW;
END
$$;
CREATE TRIGGER meddle BEFORE INSERT ON mindtickle.quiz_submission FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'ian', 'c', 'dropped', '2026-06-01', 1, 'sql'), ('rx-a', 'ian', 'c', 'kept', '2026-06-01', 1, 'sql'), ('rx-b', 'ian', 'c', 'kept', '2026-06-01', 1, 'sql');
SELECT is(pg_temp.inexact(), '', 'rows that another trigger drops, changes, and writes itself');
DROP TRIGGER meddle ON mindtickle.quiz_submission;

-- Emptied.
SAVEPOINT emptied;
TRUNCATE mindtickle.quiz_submission;
SELECT is(pg_temp.inexact() || (SELECT quiz_results FROM mt_readiness('rx-a')), '0', 'TRUNCATE of the quiz results');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'kim', 'c', 'q', '2026-05-01', 3, 'sql');
TRUNCATE mindtickle.users;
SELECT is(pg_temp.inexact() || (SELECT quiz_results FROM mt_readiness('rx-a')), '1', 'of the people, with new results');
TRUNCATE mindtickle.course_progress, mindtickle.quiz_submission;
SELECT is(pg_temp.figures('rx-a') || pg_temp.inexact(), '- - 0 0 0 0', 'of two tables at once');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'kim', 'c', 'completed');
SELECT is(pg_temp.inexact(), '', 'and written to again');
ROLLBACK TO emptied;
SELECT is(pg_temp.inexact(), '', 'and taken back');

SELECT setseed(0.25) \g /dev/null
CALL pg_temp.work_and_compare(400, 'pg_temp.inexact()', false) \gset
SELECT is(:'differing'::text, '', '400 random steps within a transaction');
SELECT ok(count(DISTINCT d.tenant_id) = 3 AND count(*) > 200, 'which wrote for three tenants')
FROM (TABLE mindtickle.readiness_delta_0 UNION ALL TABLE mindtickle.readiness_delta_1 UNION ALL TABLE mindtickle.readiness_delta_2 UNION ALL TABLE mindtickle.readiness_delta_3) AS d
WHERE d.xid = pg_current_xact_id();
ROLLBACK;
SELECT is(pg_temp.figures('rx-a') || pg_temp.inexact(), '- - 0 0 0 0', 'nothing of which is left once it is rolled back');

-- Committed, so that it can be folded meanwhile.
SELECT setseed(0.5) \g /dev/null
CALL pg_temp.work_and_compare(400, 'pg_temp.inexact()', true) \gset
SELECT is(:'differing'::text, '', '400 random transactions');
SELECT is(pg_temp.inexact(), '', 'and after the last');

-- Very many rows of few users, which are merged on the way.
BEGIN;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
	SELECT (ARRAY['rx-a', 'rx-b'])[1 + i % 2], 'u' || i % 40, 'c' || i % 7, 'many', timestamptz '2026-01-01Z' + i * interval '1 s', i % 1000 / 10.0, 'sql' FROM generate_series(1, 150000) AS i;
SELECT is(pg_temp.inexact(), '', 'very many rows of few users in one statement');
UPDATE mindtickle.quiz_submission SET user_id = 'moved ' || user_id, score = NULLIF(score, 50) WHERE quiz_id = 'many' AND tenant_id IN ('rx-a', 'rx-b');
SELECT is(pg_temp.inexact(), '', 'and all of them changed');
SELECT is(count(*) FILTER (WHERE d.entries IS NULL)::int4, 0, 'without being counted anew')
FROM (TABLE mindtickle.readiness_delta_0 UNION ALL TABLE mindtickle.readiness_delta_1 UNION ALL TABLE mindtickle.readiness_delta_2 UNION ALL TABLE mindtickle.readiness_delta_3) AS d
WHERE d.xid = pg_current_xact_id();
ROLLBACK;

BEGIN;
SELECT mt_drop_tenant('rx-b') \g /dev/null
SELECT mt_create_tenant('rx-b', 'again') \g /dev/null
SELECT is(pg_temp.figures('rx-b') || pg_temp.inexact(), '- - 0 0 0 0', 'a tenant dropped and made again has nothing, the others keep theirs');
ROLLBACK;
SELECT is(pg_temp.inexact(), '', 'also when that is rolled back');
SELECT mt_drop_tenant(t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
SELECT is((SELECT count(*)::int4 FROM mindtickle.users WHERE tenant_id LIKE 'rx-_'), 0, 'nothing is left');

SELECT * FROM finish();
