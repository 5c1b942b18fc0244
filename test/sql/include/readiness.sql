-- Readiness as it must be, recomputed from the rows in another way than the extension does, and random work to compare under. Read with \i by the
-- tests of readiness, also by those of test/tap; holds no test itself.

-- All that counts: a line for each row of progress and each quiz result of a user that is not deactivated, and one for each user that is in the roster.
CREATE FUNCTION pg_temp.counted(tenant text)
	RETURNS TABLE (user_id text, course_id text, score numeric, assigned int4, completed int4, overdue int4, active_at timestamptz) LANGUAGE sql STABLE AS $$
	SELECT r.* FROM (
		SELECT s.user_id, s.course_id, s.score, 0, 0, 0, s.submitted_at FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = tenant
		UNION ALL
		SELECT p.user_id, p.course_id, NULL, 1, (p.status = 'completed')::int4, (p.status <> 'completed' AND p.is_overdue IS TRUE)::int4,
			greatest(p.completed_at, p.started_at, p.updated_at) FROM mindtickle.course_progress AS p WHERE p.tenant_id = tenant
		UNION ALL
		SELECT u.user_id, NULL, NULL, 0, 0, 0, NULL FROM mindtickle.users AS u WHERE u.tenant_id = tenant
	) AS r LEFT JOIN mindtickle.users AS u ON u.tenant_id = tenant AND u.user_id = r.user_id
	WHERE u.active IS NOT FALSE
$$;

CREATE FUNCTION pg_temp.recomputed(tenant text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT concat_ws(' ', coalesce(round(avg(c.score), 4)::text, '-'), coalesce(round(avg(c.completed) FILTER (WHERE c.assigned = 1), 4)::text, '-'),
		count(DISTINCT c.user_id), count(c.score), coalesce(sum(c.assigned), 0), coalesce(sum(c.completed), 0)) FROM pg_temp.counted(tenant) AS c
$$;

-- The same text from mt_readiness.
CREATE FUNCTION pg_temp.figures(tenant text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT concat_ws(' ', coalesce(r.avg_score::text, '-'), coalesce(r.completion_rate::text, '-'), r.learners, r.quiz_results, r.assignments, r.completed)
	FROM mt_readiness(tenant) AS r
$$;

-- The tenants whose figures are not what the rows say, with both; '' when there is none.
CREATE FUNCTION pg_temp.inexact(VARIADIC tenants text[] DEFAULT '{rx-a,rx-b,rx-c}') RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(string_agg(format('%s: %s, not %s', t.tenant, f.given, f.wanted), E'\n'), '')
	FROM unnest(tenants) AS t (tenant), LATERAL (SELECT pg_temp.figures(t.tenant), pg_temp.recomputed(t.tenant)) AS f (given, wanted)
	WHERE f.given IS DISTINCT FROM f.wanted
$$;

-- Random work on three tenants with few users, so that the same rows are met again and again.
CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::int4]
$$;

CREATE FUNCTION pg_temp.random_statement() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	tenant text := quote_literal(pg_temp.pick('rx-a', 'rx-a', 'rx-b', 'rx-c'));
	other text := quote_literal(pg_temp.pick('rx-a', 'rx-b', 'rx-c'));
	person text := quote_literal('u' || floor(random() * 15));
	somebody text := quote_literal('u' || floor(random() * 15));
	course text := quote_literal('c' || floor(random() * 5));
	quiz text := quote_literal('q' || floor(random() * 2));
	moment text := quote_literal('2026-01-0' || 1 + floor(random() * 4) || 'T00:00:00Z');
	score text := pg_temp.pick('NULL', '0', '100', '33.3333', round((random() * 100)::numeric, 4)::text, '(random() * 100)::numeric(7, 4)');
	status text := quote_literal(pg_temp.pick('not_started', 'in_progress', 'completed'));
	team text := quote_literal('t' || floor(random() * 3));
	yes text := pg_temp.pick('true', 'false');
	forms text[] := ARRAY[
		-- people
		'INSERT INTO mindtickle.users (tenant_id, user_id, active, name) VALUES ({tenant}, {person}, {yes}, {person}) ON CONFLICT DO NOTHING',
		'INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT t, ''u'' || i, random() < 0.7 FROM unnest(ARRAY[''rx-a'', ''rx-b'']) AS t, generate_series(0, 14, 3) AS i ON CONFLICT (tenant_id, user_id) DO UPDATE SET active = excluded.active WHERE random() < 0.7',
		'UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.users SET active = random() < 0.6 WHERE random() < 0.5',
		'UPDATE mindtickle.users SET user_id = {somebody} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.users SET tenant_id = {other} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.users SET name = ''Name '' || user_id, email = user_id || ''@example.com'', manager_id = {somebody} WHERE tenant_id = {tenant}',
		'DELETE FROM mindtickle.users WHERE tenant_id = {tenant} AND user_id = {person}',
		'DELETE FROM mindtickle.users WHERE random() < 0.2',
		-- progress
		'INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, is_overdue, started_at) VALUES ({tenant}, {person}, {course}, {status}, {yes}, {moment})',
		'INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ({tenant}, {person}, {course}, {status}) ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status, updated_at = {moment}',
		'INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT pg_temp.pick(''rx-a'', ''rx-b'', ''rx-c''), ''u'' || i, {course}, pg_temp.pick(''not_started'', ''completed'') FROM generate_series(0, 14) AS i ON CONFLICT DO NOTHING',
		'INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score, completed_at) SELECT {tenant}, user_id, course_id, status, score, {moment} FROM mindtickle.course_progress WHERE tenant_id = {other} ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status, score = excluded.score',
		'UPDATE mindtickle.course_progress SET status = pg_temp.pick(''not_started'', ''in_progress'', ''completed''), is_overdue = random() < 0.5 WHERE random() < 0.5',
		'UPDATE mindtickle.course_progress SET status = {status}, completed_at = {moment} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.course_progress SET status = status WHERE tenant_id = {tenant}',
		'UPDATE mindtickle.course_progress SET user_id = {somebody} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.course_progress SET course_id = course_id || ''-'' || {course} WHERE tenant_id = {tenant} AND random() < 0.3',
		'UPDATE mindtickle.course_progress SET tenant_id = {other}, status = {status} WHERE tenant_id = {tenant} AND user_id = {person}',
		'DELETE FROM mindtickle.course_progress WHERE tenant_id = {tenant} AND user_id = {person}',
		'DELETE FROM mindtickle.course_progress WHERE random() < 0.3',
		-- quiz results
		'INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ({tenant}, {person}, {course}, {quiz}, {moment}, {score}, ''sql'')',
		'INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ({tenant}, {person}, {course}, {quiz}, {moment}, {score}, ''sql'') ON CONFLICT (tenant_id, user_id, course_id, quiz_id, submitted_at) DO UPDATE SET score = excluded.score',
		'INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) SELECT t, ''u'' || i, {course}, {quiz}, {moment}, {score}, ''sql'' FROM unnest(ARRAY[''rx-c'', ''rx-a'']) AS t, generate_series(0, 19) AS i WHERE random() < 0.7 ON CONFLICT DO NOTHING',
		'UPDATE mindtickle.quiz_submission SET score = {score} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.quiz_submission SET score = {score} WHERE random() < 0.5',
		'UPDATE mindtickle.quiz_submission SET score = CASE WHEN score IS NULL THEN 50.0001 END WHERE tenant_id = {tenant} AND random() < 0.5',
		'UPDATE mindtickle.quiz_submission SET score = score, attempt = 2 WHERE tenant_id = {tenant}',
		'UPDATE mindtickle.quiz_submission SET user_id = {somebody}, score = {score} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.quiz_submission SET submitted_at = submitted_at + interval ''1 hour'', course_id = {course} WHERE tenant_id = {tenant} AND user_id = {person}',
		'UPDATE mindtickle.quiz_submission SET tenant_id = {other} WHERE tenant_id = {tenant} AND user_id = {person}',
		'DELETE FROM mindtickle.quiz_submission WHERE tenant_id = {tenant} AND user_id = {person}',
		'DELETE FROM mindtickle.quiz_submission WHERE random() < 0.3',
		'MERGE INTO mindtickle.quiz_submission AS s USING (SELECT ''u'' || i AS person FROM generate_series(0, 18, 2) AS i) AS n ON s.tenant_id = {tenant} AND s.user_id = n.person WHEN MATCHED AND s.course_id = {course} THEN DELETE WHEN MATCHED THEN UPDATE SET score = {score} WHEN NOT MATCHED THEN INSERT (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ({tenant}, n.person, {course}, {quiz}, {moment}, 7.7, ''sql'')',
		-- several tables in one statement
		'WITH u AS (UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = {tenant} AND user_id = {person}), p AS (DELETE FROM mindtickle.course_progress WHERE tenant_id = {tenant} AND user_id = {person}), s AS (INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ({tenant}, {person}, {course}, {quiz}, {moment}, {score}, ''sql'')) UPDATE mindtickle.quiz_submission SET score = {score} WHERE tenant_id = {other}',
		'WITH gone AS (DELETE FROM mindtickle.course_progress WHERE tenant_id = {tenant} AND course_id = {course} RETURNING *), copied AS (INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) SELECT {other}, user_id, course_id, {quiz}, {moment}, {score}, ''sql'' FROM gone ON CONFLICT DO NOTHING RETURNING user_id), off AS (DELETE FROM mindtickle.users WHERE tenant_id = {other} AND user_id IN (SELECT user_id FROM copied LIMIT 1)) INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT {tenant}, user_id, {yes} FROM gone ON CONFLICT DO NOTHING',
		-- through the functions
		'SELECT mt_process_quiz_result({tenant}, jsonb_build_object(''userId'', {person}, ''courseId'', {course}, ''quizId'', {quiz}, ''submittedAt'', {moment}, ''score'', {score}))',
		'SELECT mt_upsert_progress({tenant}, {person}, (SELECT jsonb_agg(jsonb_build_object(''courseId'', ''c'' || i, ''status'', {status}, ''updatedAt'', {moment}, ''reset'', true)) FROM generate_series(0, 4) AS i))',
		'SELECT mt_provision_user({tenant}, jsonb_build_object(''userId'', {person}, ''active'', {yes}))',
		'SELECT mt_deactivate_user({tenant}, {person}) WHERE EXISTS (SELECT FROM mindtickle.users WHERE tenant_id = {tenant} AND user_id = {person})',
		-- teams and names, which the drill-down shows
		'INSERT INTO mindtickle.team (tenant_id, team_id, name, source, active, manager_id) VALUES ({tenant}, {team}, {team}, ''pull'', true, {somebody}) ON CONFLICT (tenant_id, team_id) DO UPDATE SET active = {yes}, manager_id = excluded.manager_id',
		'INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT {tenant}, {team}, ''u'' || i, ''pull'' FROM generate_series(0, 14) AS i WHERE random() < 0.4 ON CONFLICT (tenant_id, team_id, user_id) DO UPDATE SET active = NOT team_member.active',
		'DELETE FROM mindtickle.team_member WHERE tenant_id = {tenant} AND user_id = {person}',
		'INSERT INTO mindtickle.course (tenant_id, course_id, title, source) VALUES ({tenant}, {course}, ''Title of '' || {course}, ''pull'') ON CONFLICT DO NOTHING',
		'SELECT mt_configure_tenant({tenant}, jsonb_build_object(''ready_score'', floor(random() * 100), ''ready_completion'', round(random()::numeric, 1)))'];
	form text := pg_temp.pick(VARIADIC forms);
	part text[];
BEGIN
	IF random() < 0.01 THEN
		form := 'TRUNCATE ' || pg_temp.pick('mindtickle.quiz_submission', 'mindtickle.course_progress', 'mindtickle.users', 'mindtickle.quiz_submission, mindtickle.course_progress');
	END IF;
	FOREACH part SLICE 1 IN ARRAY ARRAY[['tenant', tenant], ['other', other], ['person', person], ['somebody', somebody], ['course', course], ['quiz', quiz],
			['moment', moment], ['score', score], ['status', status], ['team', team], ['yes', yes]] LOOP
		form := replace(form, '{' || part[1] || '}', part[2]);
	END LOOP;
	RETURN form;
END
$$;

-- A statement that meets a row which is there does nothing.
CREATE FUNCTION pg_temp.try(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
EXCEPTION WHEN unique_violation THEN
	NULL;
END
$$;

-- So many steps, each one of: a statement; statements in a block that is rolled back; statements in blocks in a block, the inner one rolled back.
-- After each, and before what is rolled back, an expression must be ''. With ends, each is a transaction of its own, and of ten three are rolled
-- back. "differing" comes back with what was done, up to the first comparison that is not ''.
CREATE PROCEDURE pg_temp.work_and_compare(steps int4, expression text, ends bool, INOUT differing text DEFAULT '') LANGUAGE plpgsql AS $$
DECLARE
	a text; b text; c text;
	shape float8;
	within text;
	after text;
BEGIN
	FOR step IN 1 .. steps LOOP
		a := pg_temp.random_statement();
		b := pg_temp.random_statement();
		c := pg_temp.random_statement();
		shape := random();
		within := '';
		IF shape < 0.25 THEN
			BEGIN
				PERFORM pg_temp.try(a), pg_temp.try(b);
				EXECUTE 'SELECT ' || expression INTO within;
				RAISE SQLSTATE 'RX000';
			EXCEPTION WHEN SQLSTATE 'RX000' THEN
				NULL;
			END;
		ELSIF shape < 0.4 THEN
			PERFORM pg_temp.try(a);
			BEGIN
				PERFORM pg_temp.try(b);
				BEGIN
					PERFORM pg_temp.try(c);
					EXECUTE 'SELECT ' || expression INTO within;
					RAISE SQLSTATE 'RX000';
				EXCEPTION WHEN SQLSTATE 'RX000' THEN
					NULL;
				END;
			EXCEPTION WHEN division_by_zero THEN
				NULL;
			END;
		ELSE
			PERFORM pg_temp.try(a);
		END IF;
		EXECUTE 'SELECT ' || expression INTO after;
		IF within <> '' OR after <> '' THEN
			differing := concat_ws(E'\n', format('step %s, shape %s:', step, round(shape::numeric, 2)), a, b, c, 'within: ' || within, 'after: ' || after);
			RETURN;
		END IF;
		IF ends THEN
			IF random() < 0.3 THEN
				ROLLBACK;
			ELSE
				COMMIT;
			END IF;
		END IF;
	END LOOP;
END
$$;
