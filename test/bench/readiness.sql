/*
 * What readiness.sh measures into: latencies and rates, and the tenants.
 *
 * Reading: mt_readiness and SELECT 1 come in random order over one connection of a reader of the tenant, as prepared statements, one a transaction, and
 * after them plain SQL; the times are pgbench's of each. Plain SQL is the two averages alone under the same row security, so it leaves out what mt_readiness also
 * tells. Under writers, eight connections insert single quiz results of the same tenant as fast as they can, so that reader and writers share the
 * processors: SELECT 1 beside it meets the same.
 *
 * Writing: plain INSERT as a superuser, to whom row security does not apply, into the extension's table and into one of the same shape and with the same
 * indexes but without triggers, in turns. That is the dearest way to look at triggers: to anybody else the statement itself costs more.
 *
 * Round 0 warms up and does not count. A figure is the median of the rounds, a ratio the median of the rounds' ratios.
 */
CREATE TABLE bench.latency (measured text NOT NULL, round integer NOT NULL, script integer NOT NULL, microseconds float8 NOT NULL);
CREATE TABLE bench.rate (measured text NOT NULL, side text NOT NULL, round integer NOT NULL, per_second float8 NOT NULL);
CREATE TABLE bench.storage (moment text NOT NULL, bytes int8 NOT NULL, rows_there int8 NOT NULL, measured_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE bench.quiz_submission (LIKE mindtickle.quiz_submission INCLUDING ALL);

-- What readiness keeps: every table of that name but the reports and the history, which are not kept for the sake of speed.
CREATE FUNCTION bench.storage_now(OUT bytes int8, OUT rows_there int8) LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	there int8;
BEGIN
	bytes := 0;
	rows_there := 0;
	FOR relation IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r'
			AND c.relname LIKE 'readiness%' AND c.relname NOT IN ('readiness_report', 'readiness_daily') LOOP
		EXECUTE format('SELECT count(*) FROM %s', relation) INTO there;
		bytes := bytes + pg_total_relation_size(relation);
		rows_there := rows_there + there;
	END LOOP;
END
$$;

CREATE ROLE bench_reader LOGIN;
-- A tenant with so many rows of progress and as many quiz results, ten of each a user, of whom one in fifty is deactivated.
CREATE PROCEDURE bench.fill(tenant text, amount integer) LANGUAGE plpgsql AS $$
BEGIN
	CALL bench.ensure_tenant(tenant, 'bench_reader', 'reader');
	INSERT INTO mindtickle.users (tenant_id, user_id, name, active)
		SELECT tenant, 'user-' || person, 'User ' || person, person % 50 > 0 FROM generate_series(1, amount / 10) AS person;
	COMMIT;
	FOR part IN 0 .. 9 LOOP
		INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status)
			SELECT tenant, 'user-' || person, 'course-' || course, CASE WHEN (person + course) % 3 = 0 THEN 'completed' ELSE 'in_progress' END
			FROM generate_series(part * amount / 100 + 1, (part + 1) * amount / 100) AS person, generate_series(1, 10) AS course;
		INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
			SELECT tenant, 'user-' || person, 'course-' || course, 'quiz-' || course, timestamp '2026-01-01', (person * 7 + course) % 101, 'api'
			FROM generate_series(part * amount / 100 + 1, (part + 1) * amount / 100) AS person, generate_series(1, 10) AS course;
		COMMIT;
	END LOOP;
END
$$;
