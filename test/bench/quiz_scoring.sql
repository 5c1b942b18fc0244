/*
 * mt_score_quiz over stored jsonb, against forms of the same score in SQL. Run by quiz_scoring.sh.
 *
 * A sample is one query that scores every document of a table, so each time holds the scan and the detoasting of the document, which both
 * sides need; nothing is subtracted. The SQL forms check nothing and know no points. The bound is against the fastest of them.
 */
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- Answers as upstream sends them.
CREATE FUNCTION bench.answers(document integer, questions integer) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('questionId', 'q' || question, 'selected', chr(97 + (document + question) % 4),
										'correct', (document * 7 + question * question) % 3 > 0) ORDER BY question)
	FROM generate_series(1, questions) AS question
$$;

CREATE TABLE bench.quiz_20 AS
	SELECT bench.answers(document, 20) AS answers FROM generate_series(1, 20000) AS document;
CREATE TABLE bench.quiz_200 AS
	SELECT bench.answers(document, 200) AS answers FROM generate_series(1, 2000) AS document;
VACUUM ANALYZE bench.quiz_20, bench.quiz_200;

CREATE TABLE bench.form (form text NOT NULL, expression text NOT NULL);
INSERT INTO bench.form VALUES
	('mt_score_quiz', 'mt_score_quiz(answers)'),
	('jsonb_path_query_array $[*] ? (@.correct == true)',
	 $$round(100.0 * jsonb_array_length(jsonb_path_query_array(answers, '$[*] ? (@.correct == true)'))
		/ nullif(jsonb_array_length(answers), 0), 4)$$),
	('jsonb_path_query_array $[*].correct ? (@ == true)',
	 $$round(100.0 * jsonb_array_length(jsonb_path_query_array(answers, '$[*].correct ? (@ == true)'))
		/ nullif(jsonb_array_length(answers), 0), 4)$$),
	('jsonb_path_query_array $.correct ? (@ == true)',
	 $$round(100.0 * jsonb_array_length(jsonb_path_query_array(answers, '$.correct ? (@ == true)'))
		/ nullif(jsonb_array_length(answers), 0), 4)$$),
	('jsonb_array_elements ->>',
	 $$(SELECT round(100.0 * count(*) FILTER (WHERE (answer ->> 'correct')::boolean) / nullif(count(*), 0), 4)
		FROM jsonb_array_elements(answers) AS answer)$$),
	('jsonb_to_recordset',
	 $$(SELECT round(100.0 * count(*) FILTER (WHERE correct) / nullif(count(*), 0), 4)
		FROM jsonb_to_recordset(answers) AS answer (correct boolean))$$);

-- Every form in each round, beginning with another one each time. Raises an error where the forms do not agree.
CREATE PROCEDURE bench.measure(questions integer, rounds integer) LANGUAGE plpgsql AS $$
DECLARE
	subject text := questions || ' answers';
	documents text := 'bench.quiz_' || questions;
	amount integer;
	form record;
	started timestamptz;
	total numeric;
	expected numeric;
BEGIN
	EXECUTE 'SELECT count(*), sum(mt_score_quiz(answers)) FROM ' || documents INTO amount, expected;
	FOR form IN SELECT * FROM bench.form LOOP
		EXECUTE format('SELECT sum(%s) FROM %s', form.expression, documents) INTO total;
		IF total IS DISTINCT FROM expected THEN
			RAISE EXCEPTION '% gives %, not %', form.form, total, expected;
		END IF;
	END LOOP;

	FOR round IN 1 .. rounds LOOP
		FOR form IN SELECT f.* FROM bench.form AS f ORDER BY hashtext(f.form || round) LOOP
			started := clock_timestamp();
			EXECUTE format('SELECT count(%s) FROM %s', form.expression, documents) INTO total;
			INSERT INTO bench.sample
				VALUES (subject, form.form, round, extract(epoch FROM clock_timestamp() - started) * 1000000);
		END LOOP;
	END LOOP;
	INSERT INTO bench.comparison (measured, ours, beside, units, unit)
		SELECT subject, 'mt_score_quiz', s.side, amount, 'call'
		FROM bench.sample AS s WHERE s.measured = subject AND s.side <> 'mt_score_quiz'
		GROUP BY s.side ORDER BY percentile_cont(0.5) WITHIN GROUP (ORDER BY s.microseconds);
END
$$;

CALL bench.measure(20, 11);
CALL bench.measure(200, 11);

-- The first comparison of each subject is with the fastest form.
UPDATE bench.comparison SET bound = 2.0
	WHERE position = (SELECT min(position) FROM bench.comparison WHERE measured = '20 answers');
TABLE bench.report;
DROP SCHEMA bench CASCADE;
