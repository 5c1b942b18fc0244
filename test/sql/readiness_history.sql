\set ECHO none
-- mt_readiness_trend from the daily history; mt_verify_readiness finds figures that are not those of the rows, and mt_rebuild_readiness puts them right.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/readiness.sql
SELECT plan(38);

DROP ROLE IF EXISTS rx_reader, rx_other;
CREATE ROLE rx_reader;
CREATE ROLE rx_other;
SELECT mt_create_tenant(t, t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
SELECT mt_grant_tenant('rx-a', 'rx_reader', 'reader'), mt_grant_tenant('rx-b', 'rx_other', 'admin') \g /dev/null

-- Days long ago, as they were closed; what is asked for is inclusive on both sides.
SELECT is_empty($$SELECT * FROM mt_readiness_trend('rx-a', '2020-01-01', '2020-12-31')$$, 'no history yet');
INSERT INTO mindtickle.readiness_daily (tenant_id, day, scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed) VALUES
	('rx-a', '2020-03-01', 'tenant', '', 10.5, 0.1, 1, 2, 3, 1), ('rx-a', '2020-03-02', 'tenant', '', NULL, NULL, 0, 0, 0, 0), ('rx-a', '2020-03-04', 'tenant', '', 99.9999, 1, 9, 8, 7, 7),
	('rx-a', '2020-03-02', 'team', 't', 1, 1, 1, 1, 1, 1), ('rx-a', '2020-03-02', 'course', 'c', 1, 1, 1, 1, 1, 1), ('rx-b', '2020-03-03', 'tenant', '', 2, 1, 2, 2, 2, 2);
SELECT results_eq($$SELECT tenant_id COLLATE "default", day, avg_score::text, completion_rate::text, learners, quiz_results, assignments, completed FROM mt_readiness_trend('rx-a', '2020-03-01', '2020-03-04')$$,
	$$VALUES ('rx-a', date '2020-03-01', '10.5000', '0.1000', 1::int8, 2::int8, 3::int8, 1::int8), ('rx-a', '2020-03-02', NULL, NULL, 0, 0, 0, 0), ('rx-a', '2020-03-04', '99.9999', '1.0000', 9, 8, 7, 7)$$,
	'the tenant''s days in their order, without those of its teams and courses, and without days that are not there');
SELECT is((SELECT array_agg(day) FROM mt_readiness_trend('rx-a', '2020-03-02', '2020-03-02')), '{2020-03-02}'::date[], 'one day');
SELECT is_empty($$SELECT * FROM mt_readiness_trend('rx-a', '2020-03-04', '2020-03-01')$$, 'none where the end is before the beginning');
SELECT is((SELECT count(*) FROM mt_readiness_trend('rx-a', '-infinity', '2020-12-31')), 3::bigint, 'without a beginning');
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) FROM mt_readiness_trend('rx-a', '2020-01-01', '2020-12-31')$$), '3', 'a reader may ask');
SELECT is(pg_temp.as_role('rx_other', $$SELECT count(*) FROM mt_readiness_trend('rx-a', '2020-01-01', '2020-12-31')$$), '42501: permission denied for tenant "rx-a"', 'another tenant''s roles may not');
SELECT is((SELECT array_agg(tenant_id || to_char(day, 'YYYY-MM-DD')) FROM mt_readiness_trend('rx-b', '2020-01-01', '2020-12-31')), '{rx-b2020-03-03}'::text[], 'they have their own');
-- Of teams and courses, which may have another name now, or none.
INSERT INTO mindtickle.readiness_daily (tenant_id, day, scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed) VALUES
	('rx-a', '2020-03-01', 'team', '', 2, 0.2, 2, 2, 5, 1), ('rx-a', '2020-03-01', 'team', 't', 3, 0.3, 3, 3, 10, 3), ('rx-a', '2020-03-01', 'team', 'gone', 4, 0.4, 4, 4, 5, 2),
	('rx-a', '2020-03-01', 'course', 't', 5, 0.5, 5, 5, 2, 1), ('rx-b', '2020-03-01', 'team', 't', 6, 0.6, 6, 6, 5, 3);
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('rx-a', 't', 'West', 'pull'), ('rx-b', 'gone', 'Theirs', 'pull');
INSERT INTO mindtickle.course (tenant_id, course_id, title, source) VALUES ('rx-a', 'c', 'Selling', 'pull');
CREATE FUNCTION pg_temp.trend(of text, id text DEFAULT NULL, from_date date DEFAULT '2020-01-01', to_date date DEFAULT '2020-12-31', tenant text DEFAULT 'rx-a') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', h.tenant_id, to_char(h.day, 'MM-DD'), quote_literal(h.id), coalesce(h.name, '-'), h.avg_score::float8, h.completion_rate::float8, h.learners, h.quiz_results, h.assignments, h.completed), ', ')
	FROM mt_readiness_trend(tenant, from_date, to_date, of, id) AS h
$$;
SELECT is(pg_temp.trend('team'), 'rx-a 03-01 '''' no team 2 0.2 2 2 5 1, rx-a 03-01 ''gone'' - 4 0.4 4 4 5 2, rx-a 03-01 ''t'' West 3 0.3 3 3 10 3, rx-a 03-02 ''t'' West 1 1 1 1 1 1', 'of the teams, and of those in none');
SELECT is(pg_temp.trend('team', 't'), 'rx-a 03-01 ''t'' West 3 0.3 3 3 10 3, rx-a 03-02 ''t'' West 1 1 1 1 1 1', 'of one team');
SELECT is(pg_temp.trend('team', ''), 'rx-a 03-01 '''' no team 2 0.2 2 2 5 1', 'of those in none');
SELECT is(pg_temp.trend('course'), 'rx-a 03-01 ''t'' - 5 0.5 5 5 2 1, rx-a 03-02 ''c'' Selling 1 1 1 1 1 1', 'of the courses');
SELECT is(pg_temp.trend('tenant', NULL, '2020-03-04', NULL), 'rx-a 03-04 '''' - 99.9999 1 9 8 7 7', 'of the tenant');
SELECT is(pg_temp.trend('team', 't', '2020-03-02', NULL), 'rx-a 03-02 ''t'' West 1 1 1 1 1 1', 'within bounds');
SELECT is(pg_temp.trend('team', 't', NULL, '2020-03-01'), 'rx-a 03-01 ''t'' West 3 0.3 3 3 10 3', 'on either side');
SELECT is(pg_temp.trend('course', 'nowhere'), NULL, 'of what has no history');
SELECT is(pg_temp.outcome($$SELECT count(*) FROM mt_readiness_trend('rx-a', NULL, NULL, 'user')$$), '22023: scope must be one of "tenant", "team", "course"', 'there is no other scope');
SELECT is(pg_temp.outcome($$SELECT count(*) FROM mt_readiness_trend('rx-a', NULL, NULL, NULL)$$), '22023: scope must be one of "tenant", "team", "course"', 'and it must be said');
SELECT is(pg_temp.outcome($$SELECT count(*) FROM mt_readiness_trend(NULL, NULL, NULL, 'team')$$), '22004: the tenant must not be null', 'and the tenant');
SELECT is(pg_temp.as_role('rx_reader', $$SELECT count(*) FROM mt_readiness_trend('rx-a', NULL, NULL, 'team', 't')$$), '2', 'for a reader');
SELECT is(pg_temp.as_role('rx_other', $$SELECT count(*) FROM mt_readiness_trend('rx-a', NULL, NULL, 'team', 't')$$), '42501: permission denied for tenant "rx-a"', 'not for another tenant''s roles');
-- The history stays what it was, whatever comes later.
INSERT INTO mindtickle.users (tenant_id, user_id, created_at) VALUES ('rx-a', 'late', '2020-01-01');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'late', 'c', 'q', '2020-02-01', 1, 'sql');
SELECT is((SELECT string_agg(quiz_results::text, ' ') FROM mt_readiness_trend('rx-a', '2020-01-01', '2020-12-31')), '2 0 8', 'a day that is closed is not changed by rows that come later');

-- Verified.
SELECT setseed(0.7) \g /dev/null
CALL pg_temp.work_and_compare(100, $$''::text$$, true) \gset
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'sure', 'c', 'q', '2026-01-01', 60, 'sql');
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-a', 'sure', 'c', 'completed');
CREATE FUNCTION pg_temp.unequal(tenant text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT coalesce(string_agg(v::text, E'\n'), '') FROM mt_verify_readiness(tenant) AS v WHERE v.equal IS DISTINCT FROM true OR v.kept IS DISTINCT FROM v.recomputed);
END
$$;
SELECT is(pg_temp.unequal('rx-a'), '', 'what is kept equals the rows');
SELECT cmp_ok((SELECT count(*)::int4 FROM mt_verify_readiness('rx-a')), '>=', 5, 'and something was compared');
SELECT is((SELECT count(*) FROM mt_verify_readiness('rx-a') AS v WHERE v.scope IS NULL OR v.figure IS NULL), 0::bigint, 'each with its scope and name');
SELECT pg_temp.figures('rx-a') AS before \gset

-- Rows behind the back of everything that watches the tables: only a verification can find them. The work above may have asked for a new count, which the
-- aggregator must not begin after they have come.
SELECT mt_rebuild_readiness('rx-a') \g /dev/null
CREATE TEMP TABLE watching AS SELECT format('ALTER TABLE %s ENABLE %s TRIGGER %I', tgrelid::regclass, CASE tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' END, tgname) AS statement FROM pg_trigger
	WHERE tgrelid IN ('mindtickle.quiz_submission'::regclass, 'mindtickle.course_progress'::regclass, 'mindtickle.users'::regclass) AND NOT tgisinternal AND tgenabled <> 'D';
BEGIN;
ALTER TABLE mindtickle.quiz_submission DISABLE TRIGGER USER;
ALTER TABLE mindtickle.course_progress DISABLE TRIGGER USER;
ALTER TABLE mindtickle.users DISABLE TRIGGER USER;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-a', 'unseen', 'c', 'q', '2026-01-01', 12.3456, 'sql'), ('rx-a', 'unseen', 'c', 'q', '2026-01-02', 0.0001, 'sql');
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-a' AND user_id = 'sure';
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-a', 'sure', false), ('rx-a', 'unseen too', true);
DO $$
DECLARE
	w record;
BEGIN
	FOR w IN SELECT * FROM watching LOOP
		EXECUTE w.statement;
	END LOOP;
END
$$;
COMMIT;
SELECT cmp_ok((SELECT count(*)::int4 FROM mt_verify_readiness('rx-a') AS v WHERE NOT v.equal), '>=', 1, 'what came unseen is told');
SELECT is((SELECT count(*) FROM mt_verify_readiness('rx-a') AS v WHERE v.equal IS DISTINCT FROM (v.kept IS NOT DISTINCT FROM v.recomputed)), 0::bigint, 'with both figures');
SELECT is(pg_temp.unequal('rx-b'), '', 'another tenant''s are right');
SELECT mt_rebuild_readiness('rx-a') \g /dev/null
SELECT is(pg_temp.unequal('rx-a'), '', 'rebuilt, what is kept equals the rows again');
SELECT is(pg_temp.inexact(), '', 'and so does what is told');
SELECT isnt(pg_temp.figures('rx-a'), :'before', 'which is something else than before');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid::regclass::text IN ('mindtickle.quiz_submission', 'mindtickle.course_progress', 'mindtickle.users') AND tgenabled = 'D'), 0::bigint, 'all triggers are as before');

-- A rebuild of what is right, and work after it.
SELECT pg_temp.figures('rx-a') AS before \gset
SELECT mt_rebuild_readiness('rx-a') \g /dev/null
SELECT mt_rebuild_readiness('rx-a') \g /dev/null
SELECT is(pg_temp.figures('rx-a'), :'before', 'a rebuild of what is right changes nothing, twice');
CALL pg_temp.work_and_compare(60, $$pg_temp.inexact() || pg_temp.unequal('rx-a')$$, true) \gset
SELECT is(:'differing'::text, '', 'nor work after it');
BEGIN;
SELECT mt_rebuild_readiness('rx-a') \g /dev/null
DELETE FROM mindtickle.quiz_submission WHERE tenant_id = 'rx-a' AND random() < 0.5;
SELECT is(pg_temp.inexact() || pg_temp.unequal('rx-a'), '', 'work in the transaction of a rebuild');
ROLLBACK;
SELECT is(pg_temp.inexact() || pg_temp.unequal('rx-a'), '', 'a rebuild that is rolled back');
SELECT is(pg_temp.as_role('rx_other', $$SELECT count(*) FROM mt_verify_readiness('rx-a')$$), '42501: permission denied for tenant "rx-a"', 'another tenant''s roles verify nothing');
SELECT is(pg_temp.as_role('rx_other', $$SELECT mt_rebuild_readiness('rx-a')$$), '42501: permission denied for tenant "rx-a"', 'and rebuild nothing');

SELECT mt_drop_tenant(t) FROM unnest('{rx-a,rx-b,rx-c}'::text[]) AS t \g /dev/null
DROP ROLE rx_reader, rx_other;
SELECT * FROM finish();
