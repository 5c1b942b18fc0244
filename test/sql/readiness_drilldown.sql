\set ECHO none
-- mt_readiness_by_user, _by_team and _by_course equal a recomputation from the rows to the last digit, and each other's sums; who may call them.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/readiness.sql
SELECT plan(39);

DROP ROLE IF EXISTS rx_reader, rx_other;
CREATE ROLE rx_reader;
CREATE ROLE rx_other;
SELECT mt_create_tenant(t, t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
SELECT mt_grant_tenant('rx-a', 'rx_reader', 'reader'), mt_grant_tenant('rx-b', 'rx_other', 'admin') \g /dev/null

-- As it must be, in the columns and their order. Managers are told by name, so tests give them one or none at all.
CREATE FUNCTION pg_temp.wanted_by_user(tenant text)
	RETURNS TABLE (tenant_id text, user_id text, user_name text, user_email text, team_names text[], manager_name text, avg_score numeric, completion_rate numeric,
		assignments int8, completed int8, overdue int8, last_activity_at timestamptz, ready bool) LANGUAGE sql STABLE AS $$
	SELECT tenant, f.user_id, u.name, u.email,
		ARRAY(SELECT t.name FROM mindtickle.team AS t JOIN mindtickle.team_member AS m USING (tenant_id, team_id) WHERE t.tenant_id = tenant AND t.active AND m.active AND m.user_id = f.user_id ORDER BY 1),
		(SELECT m.name FROM mindtickle.users AS m WHERE m.tenant_id = tenant AND m.user_id = u.manager_id),
		f.score, f.rate, f.assignments, f.completed, f.overdue, f.active_at,
		f.score IS NOT NULL AND f.rate IS NOT NULL AND f.score >= coalesce((c.settings ->> 'ready_score')::numeric, 80) AND f.rate >= coalesce((c.settings ->> 'ready_completion')::numeric, 0.8)
	FROM (SELECT c.user_id, round(avg(c.score), 4) AS score, round(avg(c.completed) FILTER (WHERE c.assigned = 1), 4) AS rate, sum(c.assigned) AS assignments, sum(c.completed) AS completed,
			sum(c.overdue) AS overdue, max(c.active_at) AS active_at FROM pg_temp.counted(tenant) AS c GROUP BY c.user_id) AS f
	JOIN mindtickle.tenant AS c ON c.tenant_id = tenant
	LEFT JOIN mindtickle.users AS u ON u.tenant_id = tenant AND u.user_id = f.user_id
$$;
CREATE FUNCTION pg_temp.wanted_by_team(tenant text)
	RETURNS TABLE (tenant_id text, team_id text, team_name text, manager_name text, learners int8, ready_learners int8, avg_score numeric, completion_rate numeric,
		quiz_results int8, assignments int8, completed int8, overdue int8) LANGUAGE sql STABLE AS $$
	WITH belonging AS (
		SELECT t.team_id, t.name, t.manager_id, m.user_id FROM mindtickle.team AS t JOIN mindtickle.team_member AS m USING (tenant_id, team_id) WHERE t.tenant_id = tenant AND t.active AND m.active
	)
	SELECT tenant, b.team_id, coalesce(b.name, 'no team'), (SELECT m.name FROM mindtickle.users AS m WHERE m.tenant_id = tenant AND m.user_id = b.manager_id),
		count(DISTINCT c.user_id), count(DISTINCT c.user_id) FILTER (WHERE p.ready), round(avg(c.score), 4), round(avg(c.completed) FILTER (WHERE c.assigned = 1), 4),
		count(c.score), sum(c.assigned), sum(c.completed), sum(c.overdue)
	FROM pg_temp.counted(tenant) AS c JOIN pg_temp.wanted_by_user(tenant) AS p USING (user_id) LEFT JOIN belonging AS b USING (user_id)
	GROUP BY b.team_id, b.name, b.manager_id
$$;
CREATE FUNCTION pg_temp.wanted_by_course(tenant text)
	RETURNS TABLE (tenant_id text, course_id text, course_title text, learners int8, avg_score numeric, completion_rate numeric, quiz_results int8, assignments int8, completed int8, overdue int8)
	LANGUAGE sql STABLE AS $$
	SELECT tenant, c.course_id, k.title, count(DISTINCT c.user_id), round(avg(c.score), 4), round(avg(c.completed) FILTER (WHERE c.assigned = 1), 4),
		count(c.score), sum(c.assigned), sum(c.completed), sum(c.overdue)
	FROM pg_temp.counted(tenant) AS c LEFT JOIN mindtickle.course AS k ON k.tenant_id = tenant AND k.course_id = c.course_id
	WHERE c.course_id IS NOT NULL GROUP BY c.course_id, k.title
$$;

-- The rows of a query and those of another one where they are not the same, else NULL. A team or course without a learner may be there or not.
CREATE FUNCTION pg_temp.differing(given text, wanted text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	given_rows text;
	wanted_rows text;
BEGIN
	EXECUTE format('SELECT string_agg(g::text, E''\n'' ORDER BY g::text COLLATE "C") FROM (%s) AS g', given) INTO given_rows;
	EXECUTE format('SELECT string_agg(w::text, E''\n'' ORDER BY w::text COLLATE "C") FROM (%s) AS w', wanted) INTO wanted_rows;
	RETURN CASE WHEN given_rows IS DISTINCT FROM wanted_rows THEN concat_ws(E'\n', 'given', given_rows, 'wanted', wanted_rows) END;
END
$$;
CREATE FUNCTION pg_temp.differing_by_user(tenant text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT pg_temp.differing(format('SELECT tenant_id, user_id, user_name, user_email, ARRAY(SELECT n FROM unnest(team_names) AS n ORDER BY 1) AS team_names, manager_name, avg_score, completion_rate, assignments, completed, overdue,
		last_activity_at, ready FROM mt_readiness_by_user(%L)', tenant), format('SELECT * FROM pg_temp.wanted_by_user(%L)', tenant))
$$;
CREATE FUNCTION pg_temp.differing_by_team(tenant text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT pg_temp.differing(format('SELECT tenant_id, team_id, team_name, manager_name, learners, ready_learners, avg_score, completion_rate, quiz_results, assignments, completed, overdue
		FROM mt_readiness_by_team(%L) WHERE learners > 0', tenant), format('SELECT * FROM pg_temp.wanted_by_team(%L)', tenant))
$$;
CREATE FUNCTION pg_temp.differing_by_course(tenant text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT pg_temp.differing(format('SELECT tenant_id, course_id, course_title, learners, avg_score, completion_rate, quiz_results, assignments, completed, overdue
		FROM mt_readiness_by_course(%L) WHERE learners > 0', tenant), format('SELECT * FROM pg_temp.wanted_by_course(%L)', tenant))
$$;
-- '' when all three are right for these tenants.
CREATE FUNCTION pg_temp.inexact_below(VARIADIC tenants text[] DEFAULT '{rx-a,rx-b,rx-c}') RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(string_agg(concat_ws(E'\n', 'by user ' || f.by_user, 'by team ' || f.by_team, 'by course ' || f.by_course), E'\n'), '')
	FROM unnest(tenants) AS t (tenant), LATERAL (SELECT pg_temp.differing_by_user(t.tenant), pg_temp.differing_by_team(t.tenant), pg_temp.differing_by_course(t.tenant)) AS f (by_user, by_team, by_course)
	WHERE num_nonnulls(f.by_user, f.by_team, f.by_course) > 0
$$;

BEGIN;
SELECT is_empty($$SELECT * FROM mt_readiness_by_user('rx-a')$$, 'nobody there');
SELECT is_empty($$SELECT * FROM mt_readiness_by_team('rx-a') WHERE learners > 0$$, 'in no team');
SELECT is_empty($$SELECT * FROM mt_readiness_by_course('rx-a') WHERE learners > 0$$, 'and no course');

-- A small tenant whose figures can be worked out by heart.
INSERT INTO mindtickle.users (tenant_id, user_id, active, name, email, manager_id) VALUES ('rx-a', 'ann', true, 'Ann', 'ann@example.com', 'max'), ('rx-a', 'bob', true, 'Bob', NULL, 'nobody'), ('rx-a', 'cas', false, 'Cas', NULL, 'max'),
	('rx-a', 'max', true, 'Max', NULL, NULL), ('rx-b', 'ann', true, 'Other', NULL, NULL);
INSERT INTO mindtickle.team (tenant_id, team_id, name, manager_id, source, active) VALUES ('rx-a', 't1', 'East', 'max', 'pull', true), ('rx-a', 't2', 'West', NULL, 'pull', true), ('rx-a', 't3', 'Gone', NULL, 'pull', false), ('rx-b', 't1', 'Other', NULL, 'pull', true);
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source, active) VALUES ('rx-a', 't1', 'ann', 'pull', true), ('rx-a', 't2', 'ann', 'pull', true), ('rx-a', 't3', 'ann', 'pull', true), ('rx-a', 't2', 'bob', 'pull', false),
	('rx-a', 't2', 'cas', 'pull', true), ('rx-a', 't2', 'absent', 'pull', true), ('rx-b', 't1', 'bob', 'pull', true);
INSERT INTO mindtickle.course (tenant_id, course_id, title, source) VALUES ('rx-a', 'c', 'Closing', 'pull'), ('rx-a', 'e', 'Empty', 'pull'), ('rx-b', 'd', 'Other', 'pull');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, is_overdue, started_at, completed_at, updated_at) VALUES
	('rx-a', 'ann', 'c', 'completed', true, '2026-01-01Z', '2026-01-05Z', '2026-01-03Z'), ('rx-a', 'ann', 'd', 'completed', false, NULL, NULL, NULL), ('rx-a', 'bob', 'c', 'in_progress', true, '2026-01-01Z', NULL, NULL), ('rx-a', 'bob', 'd', 'not_started', NULL, NULL, NULL, NULL),
	('rx-a', 'cas', 'c', 'in_progress', true, '2026-02-01Z', NULL, NULL), ('rx-a', 'stranger', 'c', 'completed', NULL, NULL, NULL, '2026-01-02Z'), ('rx-b', 'ann', 'c', 'not_started', true, NULL, NULL, NULL);
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'ann', 'c', 'q', '2026-01-04Z', 80, 'sql'), ('rx-a', 'ann', 'c', 'q', '2026-01-02Z', 80, 'sql'), ('rx-a', 'bob', 'c', 'q', '2026-01-06Z', NULL, 'sql'),
	('rx-a', 'bob', 'x', 'q', '2026-01-01Z', 33.3333, 'sql'), ('rx-a', 'cas', 'c', 'q', '2026-01-01Z', 1, 'sql'), ('rx-b', 'ann', 'c', 'q', '2026-01-01Z', 2, 'sql');
SET LOCAL timezone = 'UTC';
SELECT results_eq($$SELECT tenant_id COLLATE "default", user_id COLLATE "default", user_name, user_email, ARRAY(SELECT n FROM unnest(team_names) AS n ORDER BY 1), manager_name, avg_score::text, completion_rate::text, assignments, completed, overdue, last_activity_at, ready
		FROM mt_readiness_by_user('rx-a') ORDER BY user_id$$,
	$$VALUES ('rx-a', 'ann', 'Ann', 'ann@example.com', '{East,West}'::text[], 'Max', '80.0000', '1.0000', 2::int8, 2::int8, 0::int8, timestamptz '2026-01-05Z', true), ('rx-a', 'bob', 'Bob', NULL, '{}', NULL, '33.3333', '0.0000', 2, 0, 1, '2026-01-06Z', false),
		('rx-a', 'max', 'Max', NULL, '{}', NULL, NULL, NULL, 0, 0, 0, NULL, false), ('rx-a', 'stranger', NULL, NULL, '{}', NULL, NULL, '1.0000', 1, 1, 0, '2026-01-02Z', false)$$,
	'by user: teams and managers by name, overdue only what is not completed, the last activity of either kind, ready at the bounds; who is deactivated is not there, who is unknown is');
SELECT results_eq($$SELECT tenant_id COLLATE "default", team_id COLLATE "default", team_name, manager_name, learners, ready_learners, avg_score::text, completion_rate::text, quiz_results, assignments, completed, overdue
		FROM mt_readiness_by_team('rx-a') WHERE learners > 0 ORDER BY team_id NULLS LAST$$,
	$$VALUES ('rx-a', 't1', 'East', 'Max', 1::int8, 1::int8, '80.0000', '1.0000', 2::int8, 2::int8, 2::int8, 0::int8), ('rx-a', 't2', 'West', NULL, 1, 1, '80.0000', '1.0000', 2, 2, 2, 0),
		('rx-a', NULL, 'no team', NULL, 3, 0, '33.3333', '0.3333', 1, 3, 1, 1)$$,
	'by team: a user of two counts in each; a team or membership that has ended counts nowhere; who is in none is in a row of its own');
SELECT results_eq($$SELECT tenant_id COLLATE "default", course_id COLLATE "default", course_title, learners, avg_score::text, completion_rate::text, quiz_results, assignments, completed, overdue FROM mt_readiness_by_course('rx-a') WHERE learners > 0 ORDER BY course_id$$,
	$$VALUES ('rx-a', 'c', 'Closing', 3::int8, '80.0000', '0.6667', 2::int8, 3::int8, 2::int8, 1::int8), ('rx-a', 'd', NULL, 2, NULL, '0.5000', 0, 2, 1, 0), ('rx-a', 'x', NULL, 1, '33.3333', NULL, 1, 0, 0, 0)$$,
	'by course: also one that the catalog does not know, and one with quiz results alone');
SELECT is(pg_temp.inexact_below(), '', 'as recomputed');

-- ready is against the tenant's own bounds, which include their value.
SELECT mt_configure_tenant('rx-a', '{"ready_score": 80.0001}') \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ') FROM mt_readiness_by_user('rx-a') WHERE ready), NULL, 'ready only at the score');
SELECT is(pg_temp.inexact_below(), '', 'also in teams');
SELECT mt_configure_tenant('rx-a', '{"ready_score": 30, "ready_completion": 0}') \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM mt_readiness_by_user('rx-a') WHERE ready), 'ann bob', 'and at the rate; who has no score, or no course, is not ready at any bounds');
SELECT mt_configure_tenant('rx-a', '{"ready_score": 0, "ready_completion": 0}') \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM mt_readiness_by_user('rx-a') WHERE ready), 'ann bob', 'not even at 0');
SELECT is(pg_temp.inexact_below(), '', 'nor in teams');

-- Figures that go back: the last activity deleted, the only score taken away, the only row of a course, the only learner of a team.
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-a' AND user_id = 'ann' AND course_id = 'c';
SELECT is((SELECT last_activity_at FROM mt_readiness_by_user('rx-a') WHERE user_id = 'ann'), '2026-01-04Z', 'the last activity is deleted');
UPDATE mindtickle.quiz_submission SET submitted_at = '2025-01-01Z' WHERE tenant_id = 'rx-a' AND submitted_at = '2026-01-04Z';
SELECT is((SELECT last_activity_at FROM mt_readiness_by_user('rx-a') WHERE user_id = 'ann'), '2026-01-02Z', 'or moved back');
UPDATE mindtickle.course_progress SET started_at = NULL, is_overdue = NULL WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'or emptied');
UPDATE mindtickle.quiz_submission SET score = NULL WHERE tenant_id = 'rx-a' AND user_id = 'bob';
SELECT is(pg_temp.inexact_below(), '', 'the only score is taken away');
DELETE FROM mindtickle.quiz_submission WHERE tenant_id = 'rx-a' AND course_id = 'x';
SELECT is((SELECT sum(learners) FROM mt_readiness_by_course('rx-a') WHERE course_id = 'x'), NULL, 'the only row of a course is deleted');
UPDATE mindtickle.users SET active = false WHERE tenant_id = 'rx-a' AND user_id = 'ann';
SELECT is((SELECT coalesce(sum(learners), 0) FROM mt_readiness_by_team('rx-a') WHERE team_id = 't1'), 0::numeric, 'the only learner of a team is deactivated');
SELECT is(pg_temp.inexact_below(), '', 'as recomputed');
UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'all the others instead');
UPDATE mindtickle.team SET active = NOT active WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'teams begin and end');
UPDATE mindtickle.team_member SET active = NOT active WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'so do memberships');
UPDATE mindtickle.team SET name = 'no team', manager_id = 'ann' WHERE tenant_id = 'rx-a';
UPDATE mindtickle.course SET title = 'New title' WHERE tenant_id = 'rx-a';
UPDATE mindtickle.users SET name = 'New name ' || user_id WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'names are those of now; one may be that of the row for no team');
DELETE FROM mindtickle.team_member WHERE tenant_id = 'rx-a';
DELETE FROM mindtickle.users WHERE tenant_id = 'rx-a';
SELECT is(pg_temp.inexact_below(), '', 'without a roster');

-- Who may.
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) > 0 FROM mt_readiness_by_user('rx-a')$$), 'true', 'a reader reads users');
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) > 0 FROM mt_readiness_by_team('rx-a')$$), 'true', 'teams');
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) > 0 FROM mt_readiness_by_course('rx-a')$$), 'true', 'and courses');
SELECT is(pg_temp.as_role('rx_other', format('SELECT count(*) FROM %s(''rx-a'')', f)), '42501: permission denied for tenant "rx-a"', 'another tenant''s roles do not: ' || f)
	FROM unnest('{mt_readiness_by_user,mt_readiness_by_team,mt_readiness_by_course}'::text[]) WITH ORDINALITY AS u (f, i) ORDER BY i;
SELECT is(pg_temp.as_role('rx_other', $$SELECT count(*) FROM mt_readiness_by_user('rx-none')$$), '42501: permission denied for tenant "rx-none"', 'the same for one that does not exist');
SET LOCAL transaction_read_only = on;
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) > 0 FROM mt_readiness_by_user('rx-a'), mt_readiness_by_team('rx-a') AS t, mt_readiness_by_course('rx-a') AS c$$), 'true', 'in a read-only transaction, too');
ROLLBACK;

BEGIN;
SELECT setseed(0.1) \g /dev/null
CALL pg_temp.work_and_compare(80, $$pg_temp.inexact_below('rx-a', 'rx-b')$$, false) \gset
SELECT is(:'differing'::text, '', '80 random steps within a transaction');
SELECT ok((SELECT count(*) > 5 FROM mt_readiness_by_user('rx-a')) AND (SELECT count(*) > 2 FROM mt_readiness_by_course('rx-a')), 'after which there is something to tell');
ROLLBACK;
SELECT setseed(0.2) \g /dev/null
CALL pg_temp.work_and_compare(80, $$pg_temp.inexact_below('rx-a', 'rx-b')$$, true) \gset
SELECT is(:'differing'::text, '', '80 random transactions');
SELECT is(pg_temp.inexact_below(), '', 'and after the last');

-- The parts make up the whole.
SELECT is((SELECT concat_ws(' ', count(*), sum(assignments), sum(completed)) FROM mt_readiness_by_user(t)), (SELECT concat_ws(' ', learners, assignments, completed) FROM mt_readiness(t)), 'users make up the tenant')
	FROM unnest('{rx-a}'::text[]) AS t;
SELECT is((SELECT concat_ws(' ', sum(quiz_results), sum(assignments), sum(completed)) FROM mt_readiness_by_course('rx-a')), (SELECT concat_ws(' ', quiz_results, assignments, completed) FROM mt_readiness('rx-a')), 'so do courses');
SELECT is((SELECT concat_ws(' ', sum(u.assignments * greatest(cardinality(u.team_names), 1)), count(*) FILTER (WHERE cardinality(u.team_names) IS NOT DISTINCT FROM 0)) FROM mt_readiness_by_user('rx-a') AS u),
	(SELECT concat_ws(' ', sum(assignments), coalesce(sum(learners) FILTER (WHERE team_id IS NULL), 0)) FROM mt_readiness_by_team('rx-a')), 'and teams, as often as a user is in some');

SELECT mt_drop_tenant(t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
DROP ROLE rx_reader, rx_other;
SELECT * FROM finish();
