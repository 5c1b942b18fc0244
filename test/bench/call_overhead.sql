/*
 * What a call costs besides its work: row security on a point select, the context, a readiness report. No bounds. Run by call_overhead.sh.
 *
 * Calls are timed in a loop of kept plans, so each figure holds the loop too, on both sides.
 */
SET jit = off;
\ir progress_tables.sql
CALL bench.ensure_tenant('bench', 'bench_reader', 'reader');

CREATE FUNCTION bench.select_points(calls integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	found_status text;
	person text;
BEGIN
	FOR i IN 1 .. calls LOOP
		person := 'user-' || lpad((i % 200 + 1)::text, 4, '0');
		SELECT p.status INTO STRICT found_status FROM mindtickle.course_progress AS p
			WHERE p.tenant_id = 'bench' AND p.user_id = person AND p.course_id = 'course-000250';
	END LOOP;
END
$$;

CREATE FUNCTION bench.call_set_tenant(calls integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. calls LOOP PERFORM public.mt_set_tenant('bench'); END LOOP;
END
$$;

CREATE FUNCTION bench.call_set_config(calls integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. calls LOOP PERFORM set_config('bench.tenant', 'bench', true); END LOOP;
END
$$;

CREATE FUNCTION bench.call_current_tenant(calls integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. calls LOOP PERFORM public.mt_current_tenant(); END LOOP;
END
$$;

CREATE FUNCTION bench.call_current_setting(calls integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. calls LOOP PERFORM current_setting('mindtickle.tenant', true); END LOOP;
END
$$;

CREATE FUNCTION bench.report_readiness(tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM public.mt_readiness(tenant);
END
$$;

-- The same figures from the rows, without people, their state, or how far the figures can be relied on.
CREATE FUNCTION bench.average_by_hand(tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM avg(s.score) FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = tenant;
	PERFORM avg((p.status = 'completed')::integer) FROM mindtickle.course_progress AS p WHERE p.tenant_id = tenant;
END
$$;

-- Ours as the reader, the other side as the superuser, who passes by row security. The first round makes plans and does not count.
CREATE PROCEDURE bench.measure(measured text, ours text, ours_call text, beside text, beside_call text, rounds integer, units integer, unit text)
LANGUAGE plpgsql AS $$
DECLARE
	started timestamptz;
	took float8;
	is_ours boolean;
BEGIN
	FOR round IN 0 .. rounds LOOP
		FOR turn IN 0 .. 1 LOOP
			is_ours := (round + turn) % 2 = 0;
			IF is_ours THEN
				SET LOCAL ROLE bench_reader;
			END IF;
			started := clock_timestamp();
			EXECUTE 'SELECT ' || CASE WHEN is_ours THEN ours_call ELSE beside_call END;
			took := extract(epoch FROM clock_timestamp() - started) * 1000000;
			COMMIT;
			IF round > 0 THEN
				INSERT INTO bench.sample VALUES (measured, CASE WHEN is_ours THEN ours ELSE beside END, round, took);
			END IF;
		END LOOP;
	END LOOP;
	INSERT INTO bench.comparison (measured, ours, beside, units, unit) VALUES (measured, ours, beside, units, unit);
END
$$;

CALL bench.measure('select by primary key', 'row security', 'bench.select_points(20000)', 'superuser', 'bench.select_points(20000)',
				   9, 20000, 'select');
CALL bench.measure('setting the context', 'mt_set_tenant', 'bench.call_set_tenant(20000)', 'set_config', 'bench.call_set_config(20000)',
				   9, 20000, 'call');
CALL bench.measure('asking for the context', 'mt_current_tenant', 'bench.call_current_tenant(50000)',
				   'current_setting', 'bench.call_current_setting(50000)', 9, 50000, 'call');
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'bench';

-- Two tenants with so many rows of progress and as many quiz results, ten of each a user.
CREATE PROCEDURE bench.fill(tenant text, amount integer) LANGUAGE plpgsql AS $$
BEGIN
	CALL bench.ensure_tenant(tenant, 'bench_reader', 'reader');
	INSERT INTO mindtickle.users (tenant_id, user_id, name)
		SELECT tenant, 'user-' || person, 'User ' || person FROM generate_series(1, amount / 10) AS person;
	INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status)
		SELECT tenant, 'user-' || person, 'course-' || course, CASE WHEN (person + course) % 3 = 0 THEN 'completed' ELSE 'in_progress' END
		FROM generate_series(1, amount / 10) AS person, generate_series(1, 10) AS course;
	INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		SELECT tenant, 'user-' || person, 'course-' || course, 'quiz-' || course, timestamp '2026-01-01', (person * 7 + course) % 101, 'api'
		FROM generate_series(1, amount / 10) AS person, generate_series(1, 10) AS course;
END
$$;
CALL bench.fill('bench-10k', 10000);
CALL bench.fill('bench-100k', 100000);
VACUUM ANALYZE mindtickle.users, mindtickle.course_progress, mindtickle.quiz_submission;

CALL bench.measure('readiness, 10,000 + 10,000 rows', 'mt_readiness', $$bench.report_readiness('bench-10k')$$,
				   'two averages', $$bench.average_by_hand('bench-10k')$$, 9, 1, 'call');
CALL bench.measure('readiness, 100,000 + 100,000 rows', 'mt_readiness', $$bench.report_readiness('bench-100k')$$,
				   'two averages', $$bench.average_by_hand('bench-100k')$$, 9, 1, 'call');

TABLE bench.report;
SELECT mt_drop_tenant('bench-10k'), mt_drop_tenant('bench-100k') \g /dev/null
DROP SCHEMA bench CASCADE;
