\set ECHO none
-- mt_score_quiz: 100 x points of correct answers / points of all, rounded half away from zero to 4 places.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(47);

CREATE FUNCTION pg_temp.score(answers text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.outcome(format('SELECT mt_score_quiz(%L)', answers))
$$;
-- So many right, so many wrong answers, each for so many points.
CREATE FUNCTION pg_temp.answers(right_ones int, wrong_ones int, points numeric DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('questionId', 'q' || i, 'selected', 'b', 'correct', i <= right_ones, 'points', points))), '[]')
	FROM generate_series(1, right_ones + wrong_ones) AS i
$$;

-- Figures.
SELECT is(mt_score_quiz(pg_temp.answers(0, 1)), 0.0000, 'none right');
SELECT is(mt_score_quiz(pg_temp.answers(1, 0)), 100.0000, 'all right');
SELECT is(mt_score_quiz(pg_temp.answers(20, 0)), 100.0000, 'all of 20 right');
SELECT is(mt_score_quiz(pg_temp.answers(1, 2)), 33.3333, 'a third');
SELECT is(mt_score_quiz(pg_temp.answers(2, 1)), 66.6667, 'two thirds');
SELECT is(mt_score_quiz(pg_temp.answers(1, 6)), 14.2857, 'a seventh');
SELECT is(scale(mt_score_quiz(pg_temp.answers(1, 1))), 4, '4 places also where fewer would do');
SELECT is(scale(mt_score_quiz(pg_temp.answers(1, 1, 0.5))), 4, 'with fractional points too');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 3}, {"questionId": "b", "correct": false}]'), 75.0000, 'points are 1 where none are given');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": null}, {"questionId": "b", "correct": false, "points": 3}]'), 25.0000, 'or null');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 0}, {"questionId": "b", "correct": false, "points": 2}]'), 0.0000, 'a question without points counts nothing');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 0.1}, {"questionId": "b", "correct": false, "points": 0.2}]'), 33.3333, 'fractional points');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 2.5}, {"questionId": "b", "correct": false, "points": 7}]'), 26.3158, 'fractional and whole points');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 1.0}, {"questionId": "b", "correct": false, "points": 2.00}]'), 33.3333, 'whole points written with a fraction');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 1e6}, {"questionId": "b", "correct": false, "points": 1e-6}]'), 100.0000, 'a tiny rest rounds to 100');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true, "points": 1e-6}, {"questionId": "b", "correct": false, "points": 1e6}]'), 0.0000, 'and to 0');
SELECT is(mt_score_quiz(pg_temp.answers(5000, 5000, 1000000)), 50.0000, '10,000 questions of 1,000,000 points each');

-- Halves go away from zero: 1 of 2,000,000 is 0.00005 per cent, 3 of it 0.00015.
CREATE FUNCTION pg_temp.part(right_points numeric, all_points numeric) RETURNS numeric LANGUAGE sql AS $$
	SELECT mt_score_quiz(jsonb_agg(jsonb_build_object('questionId', place::text, 'correct', correct, 'points', points))) FROM (
		SELECT 0 AS place, true AS correct, least(right_points, 1000000) AS points UNION ALL SELECT 1, true, right_points - 1000000 WHERE right_points > 1000000
		UNION ALL SELECT 2, false, least(all_points - right_points, 1000000)
		UNION ALL SELECT 3, false, all_points - right_points - 1000000 WHERE all_points - right_points > 1000000) AS q
$$;
SELECT is(pg_temp.part(1, 2000000), 0.0001, '0.00005 rounds up');
SELECT is(pg_temp.part(3, 2000000), 0.0002, '0.00015 rounds up');
SELECT is(pg_temp.part(5, 2000000), 0.0003, '0.00025 rounds up');
SELECT is(pg_temp.part(1000001, 2000000), 50.0001, '50.00005 rounds up');
SELECT is(pg_temp.part(999999, 2000000), 50.0000, '49.99995 rounds up');
SELECT is(pg_temp.part(1999999, 2000000), 100.0000, '99.99995 rounds up');
SELECT is(pg_temp.part(0.5, 1000000), 0.0001, 'with fractional points as well');
SELECT is(pg_temp.part(0.4, 1000000), 0.0000, '0.00004 rounds down');
SELECT is(pg_temp.part(1000000.99999999999999999999, 2000000), 50.0000, 'just below a half rounds down, not by way of a rounded quotient');
SELECT is_empty($$SELECT r, w FROM generate_series(0, 40) AS r, generate_series(0, 40) AS w
	WHERE r + w > 0 AND mt_score_quiz(pg_temp.answers(r, w)) IS DISTINCT FROM round(100::numeric * r / nullif(r + w, 0), 4)$$, 'the same as numeric arithmetic for every quiz of up to 80 questions');
SELECT is_empty($$SELECT r FROM generate_series(1, 200) AS r
	WHERE mt_score_quiz(pg_temp.answers(r, 1000 - r, 0.37)) IS DISTINCT FROM round(r::numeric / 10, 4)$$, 'and with fractional points');

-- Nothing to score.
SELECT is(mt_score_quiz('[]'), NULL, 'no questions');
SELECT is(mt_score_quiz(pg_temp.answers(2, 1, 0)), NULL, 'no points');
SELECT is(pg_temp.score('[{"questionId": "a", "correct": true, "points": 0.0}]'), NULL, 'no points, written as a fraction');
SELECT is(mt_score_quiz(NULL), NULL, 'no answers');

-- What does not matter.
SELECT is(mt_score_quiz('[{"selected": ["x", {"correct": false, "questionId": "z"}], "questionId": "a", "correct": true, "correctness": 7, "points ": "x"}]'), 100.0000, 'unknown keys and what they hold');
SELECT is(mt_score_quiz('[{"questionId": "a", "correct": true}, {"questionId": "A", "correct": false}]'), 50.0000, 'ids that differ in case are two');
SELECT is(mt_score_quiz(jsonb_build_array(jsonb_build_object('questionId', repeat('é', 127) || 'x', 'correct', true))), 100.0000, 'an id of 255 bytes');
SELECT is(mt_score_quiz('[{"questionId": "😀 \"''", "correct": true}]'), 100.0000, 'an id of any characters');
SELECT is(mt_score_quiz(jsonb_set('[{"questionId": "a", "correct": true}]', '{0,selected}', (repeat('[', 62) || repeat(']', 62))::jsonb)), 100.0000, 'nesting of 64');

-- What is wrong is named. jsonb keeps the last of a key given twice, so that is nobody's fault here.
CREATE TEMP TABLE bad (answers text, message text);
INSERT INTO bad VALUES
	('{}', 'answers must be an array'), ('7', 'answers must be an array'), ('"x"', 'answers must be an array'), ('null', 'answers must be an array'), ('true', 'answers must be an array'),
	('{"questionId": "a", "correct": true}', 'answers must be an array'),
	('[7]', 'answers[0] must be an object'), ('["x"]', 'answers[0] must be an object'), ('[null]', 'answers[0] must be an object'), ('[[]]', 'answers[0] must be an object'),
	('[[{"questionId": "a", "correct": true}]]', 'answers[0] must be an object'),
	('[{"questionId": "a", "correct": true}, 7]', 'answers[1] must be an object'), ('[{"questionId": "a", "correct": true}, [1]]', 'answers[1] must be an object'),
	('[{}]', 'answers[0].questionId is required'), ('[{"correct": true}]', 'answers[0].questionId is required'), ('[{"questionid": "a", "correct": true}]', 'answers[0].questionId is required'),
	('[{"questionId": null, "correct": true}]', 'answers[0].questionId must be a string of 1 to 255 bytes'), ('[{"questionId": "", "correct": true}]', 'answers[0].questionId must be a string of 1 to 255 bytes'),
	('[{"questionId": 7, "correct": true}]', 'answers[0].questionId must be a string of 1 to 255 bytes'), ('[{"questionId": ["a"], "correct": true}]', 'answers[0].questionId must be a string of 1 to 255 bytes'),
	(format('[{"questionId": "%s", "correct": true}]', repeat('x', 256)), 'answers[0].questionId must be a string of 1 to 255 bytes'),
	(format('[{"questionId": "%s", "correct": true}]', repeat('é', 128)), 'answers[0].questionId must be a string of 1 to 255 bytes'),
	('[{"questionId": "a"}]', 'answers[0].correct is required'), ('[{"questionId": "a", "correct": null}]', 'answers[0].correct must be true or false'),
	('[{"questionId": "a", "correct": "true"}]', 'answers[0].correct must be true or false'), ('[{"questionId": "a", "correct": 1}]', 'answers[0].correct must be true or false'),
	('[{"questionId": "a", "correct": {"value": true}}]', 'answers[0].correct must be true or false'),
	('[{"questionId": "a", "correct": true}, {"questionId": "b"}]', 'answers[1].correct is required'),
	('[{"questionId": "a", "correct": true}, {"questionId": "b", "correct": true}, {"questionId": "a", "correct": false}]', 'answers[2].questionId is given twice'),
	('[{"questionId": "a", "correct": true}, {"questionId": "a", "correct": true}]', 'answers[1].questionId is given twice'),
	('[{"questionId": "a", "correct": true, "points": -1}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": -0.0001}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": 1000001}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": 1e100}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": "1"}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": "NaN"}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": true}]', 'answers[0].points must be a number between 0 and 1000000'),
	('[{"questionId": "a", "correct": true, "points": [1]}]', 'answers[0].points must be a number between 0 and 1000000');
SELECT is_empty($$SELECT left(answers, 100), r FROM bad, pg_temp.score(answers) AS r WHERE r IS DISTINCT FROM '22023: ' || message$$, 'what is wrong is 22023 and named');
SELECT is(pg_temp.score(format('[{"questionId": "a", "correct": true, "selected": %s}]', repeat('[', 63) || repeat(']', 63))), '22023: answers[0] must not be nested deeper than 64', 'nesting of 65');
SELECT is(pg_temp.score(repeat('[', 65) || repeat(']', 65)), '22023: answers[0] must be an object', 'nothing but nesting');
SELECT is(pg_temp.outcome($$SELECT mt_score_quiz(pg_temp.answers(10001, 0))$$), '22023: answers must not have more than 10000 items', 'too many questions');
SELECT alike(pg_temp.score('[{"questionId": "a", "correct": NaN}]'), '22P02: %', 'what is no JSON never gets here');
SELECT alike(pg_temp.score(E'[{"questionId": "a\\u0000b", "correct": true}]'), '22P05: %', 'nor does U+0000');
SELECT is_empty($$SELECT n, r FROM generate_series(31, 300) AS n, pg_temp.outcome(format('SELECT mt_score_quiz(pg_temp.answers(%s, 0) || pg_temp.answers(1, 0))', n)) AS r
	WHERE r <> format('22023: answers[%s].questionId is given twice', n)$$, 'a duplicate is found in quizzes of any length');

-- Whoever asks.
SELECT is((SELECT provolatile::text || proparallel::text || proisstrict::text FROM pg_proc WHERE oid = 'mt_score_quiz(jsonb)'::regprocedure), 'istrue', 'immutable, parallel safe and strict');
DROP ROLE IF EXISTS scoring_nobody;
CREATE ROLE scoring_nobody;
SELECT is(pg_temp.as_role('scoring_nobody', $$SELECT mt_score_quiz('[{"questionId": "a", "correct": true}]')$$), '100.0000', 'it needs no tenant');
CREATE TEMP TABLE stored AS SELECT i, pg_temp.answers(i % 7, 7 - i % 7) || jsonb_build_array(jsonb_build_object('questionId', 'long', 'correct', false, 'points', 0, 'selected', repeat(md5(i::text), 200))) AS answers
	FROM generate_series(1, 500) AS i;
SELECT is_empty($$SELECT i FROM stored WHERE mt_score_quiz(answers) IS DISTINCT FROM round(100::numeric * (i % 7) / 7, 4)$$, 'stored answers, compressed ones too');

SELECT * FROM finish();
ROLLBACK;
