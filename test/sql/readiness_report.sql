\set ECHO none
-- mt_readiness and mt_aggregate_readiness: the figures against a plain recomputation, how far they are provisional, and what is kept of a report.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(50);

DROP ROLE IF EXISTS rd_reader, rd_writer, rd_other;
CREATE ROLE rd_reader;
CREATE ROLE rd_writer;
CREATE ROLE rd_other;
SELECT mt_create_tenant('rd', 'Readiness'), mt_create_tenant('rd-other', 'Other'), mt_grant_tenant('rd', 'rd_reader', 'reader'), mt_grant_tenant('rd', 'rd_writer', 'writer'),
	mt_grant_tenant('rd-other', 'rd_other', 'admin') \g /dev/null

-- The figures as a text; the recomputation is written in another way than the extension's.
CREATE FUNCTION pg_temp.figures(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', coalesce(avg_score::text, '-'), coalesce(completion_rate::text, '-'), learners, quiz_results, assignments, completed) FROM mt_readiness(tenant)
$$;
CREATE FUNCTION pg_temp.recomputed(tenant text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s record; p record; score_sum numeric := 0; scores int := 0; assigned int := 0; done int := 0; people text[];
BEGIN
	people := ARRAY(SELECT user_id FROM mindtickle.users WHERE tenant_id = tenant AND active);
	FOR s IN SELECT * FROM mindtickle.quiz_submission WHERE tenant_id = tenant LOOP
		CONTINUE WHEN (SELECT NOT active FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.user_id = s.user_id);
		people := people || s.user_id;
		IF s.score IS NOT NULL THEN
			score_sum := score_sum + s.score;
			scores := scores + 1;
		END IF;
	END LOOP;
	FOR p IN SELECT * FROM mindtickle.course_progress WHERE tenant_id = tenant LOOP
		CONTINUE WHEN (SELECT NOT active FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.user_id = p.user_id);
		people := people || p.user_id;
		assigned := assigned + 1;
		done := done + (p.status = 'completed')::int;
	END LOOP;
	RETURN concat_ws(' ', CASE WHEN scores = 0 THEN '-' ELSE round(score_sum / scores, 4)::text END, CASE WHEN assigned = 0 THEN '-' ELSE round(done::numeric / assigned, 4)::text END,
		(SELECT count(DISTINCT x) FROM unnest(people) AS x), scores, assigned, done);
END
$$;

-- Nothing there.
SELECT is(pg_temp.figures('rd'), '- - 0 0 0 0', 'nothing to average is NULL, not 0');

-- A small tenant whose figures can be worked out by heart.
INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rd', 'ann', true), ('rd', 'bob', true), ('rd', 'cas', false), ('rd', 'dee', true);
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rd', 'ann', 'c', 'completed'), ('rd', 'ann', 'd', 'in_progress'), ('rd', 'bob', 'c', 'not_started'), ('rd', 'cas', 'c', 'completed'),
	('rd', 'unknown', 'c', 'completed'), ('rd-other', 'ann', 'c', 'completed');
SELECT is(pg_temp.figures('rd'), '- 0.5000 4 0 4 2', 'deactivated users do not count, unknown ones do, others'' rows are not looked at');
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rd', 'ann', 'c', 'q', '2026-01-01', 80, 'sql'), ('rd', 'ann', 'c', 'q', '2026-01-02', 90.5, 'sql'),
	('rd', 'bob', 'c', 'q', '2026-01-01', NULL, 'sql'), ('rd', 'cas', 'c', 'q', '2026-01-01', 0, 'sql'), ('rd', 'stranger', 'c', 'q', '2026-01-01', 0, 'sql'), ('rd-other', 'ann', 'c', 'q', '2026-01-01', 1, 'sql');
SELECT is(pg_temp.figures('rd'), '56.8333 0.5000 5 3 4 2', 'every graded submission counts once; one without a score does not');
SELECT is(pg_temp.figures('rd'), pg_temp.recomputed('rd'), 'as recomputed');
UPDATE mindtickle.users SET active = false WHERE tenant_id = 'rd' AND user_id = 'ann';
SELECT is(pg_temp.figures('rd'), '0.0000 0.5000 4 1 2 1', 'a deactivation takes all of a user out');
UPDATE mindtickle.users SET active = true WHERE tenant_id = 'rd';
SELECT is(pg_temp.figures('rd'), '42.6250 0.6000 6 4 5 3', 'and an activation brings it back');
SELECT is(pg_temp.figures('rd-other'), '1.0000 1.0000 1 1 1 1', 'the other tenant has its own');

-- A large one, against the recomputation.
INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT 'rd', 'u' || i, i % 7 <> 0 FROM generate_series(1, 500) AS i;
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rd', 'u' || (i % 600), 'c' || i, (ARRAY['not_started', 'in_progress', 'completed'])[1 + i % 3] FROM generate_series(1, 5000) AS i;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
	SELECT 'rd', 'u' || (i * 31 % 700), 'c', 'q', timestamptz '2026-01-01' + i * interval '1 s', CASE WHEN i % 11 <> 0 THEN round(i * 37.123457 % 100, 4) END, 'sql' FROM generate_series(1, 5000) AS i;
SELECT is(pg_temp.figures('rd'), pg_temp.recomputed('rd'), 'thousands of rows: as recomputed, to the last digit');
SELECT is((SELECT scale(avg_score) + scale(completion_rate) FROM mt_readiness('rd')), 8, '4 places each');
SELECT mt_upsert_progress('rd', 'u1', '[{"courseId": "new", "status": "completed"}]'), mt_process_quiz_result('rd', '{"userId": "u1", "courseId": "c", "quizId": "new", "submittedAt": "2026-05-01", "score": 33.3333}'),
	mt_deactivate_user('rd', 'u2') \g /dev/null
SELECT is(pg_temp.figures('rd'), pg_temp.recomputed('rd'), 'and after writing through the functions');

-- Provisional, and why.
CREATE FUNCTION pg_temp.provisional() RETURNS text LANGUAGE sql AS $$ SELECT provisional || ': ' || coalesce(provisional_reason, '-') || ': ' || coalesce((now() - data_as_of)::text, '-') FROM mt_readiness('rd') $$;
SET LOCAL IntervalStyle = 'postgres';
SELECT is(pg_temp.provisional(), 'true: no source configured: -', 'a tenant without a source');
SELECT mt_set_credential('rd', '{"api_key": "k"}') \g /dev/null
SELECT is(pg_temp.provisional(), 'true: roster not pulled yet; progress not pulled yet; quiz results not pulled yet: -', 'one that was never pulled');
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.enter_tenant('rd') \g /dev/null
SELECT job_id AS job FROM mindtickle.sync_open('rd') \gset
SELECT mindtickle.store_users('rd', :job, (SELECT array_agg(convert_to(format('{"mindtickleId": "%s"}', i), 'UTF8')) FROM generate_series(1, 3) AS i)) \g /dev/null
SELECT mindtickle.sync_finish_phase('rd', :job, 'roster', true, NULL) \g /dev/null
RESET ROLE;
SELECT is(pg_temp.provisional(), 'true: progress not pulled yet; quiz results not pulled yet: -', 'one whose roster was pulled');
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.sync_finish_phase('rd', :job, 'catalog', false, 'upstream answers 500') \g /dev/null
SELECT mindtickle.sync_finish_phase('rd', :job, 'progress', true, NULL), mindtickle.sync_finish_phase('rd', :job, 'quiz_results', true, NULL) \g /dev/null
RESET ROLE;
SELECT is(pg_temp.provisional(), 'false: -: 00:00:00', 'all is pulled, and the catalog matters to no figure');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '59 min' WHERE tenant_id = 'rd' AND resource = 'progress';
SELECT is(pg_temp.provisional(), 'false: -: 00:59:00', 'as of the oldest pull');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '61 min' WHERE tenant_id = 'rd' AND resource = 'progress';
SELECT is(pg_temp.provisional(), 'true: progress older than 1 hour: 01:01:00', 'older than freshness');
SELECT mt_configure_tenant('rd', '{"freshness": "2 hours"}') \g /dev/null
SELECT is(pg_temp.provisional(), 'false: -: 01:01:00', 'which the tenant may set');
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.sync_finish_phase('rd', :job, 'quiz_results', false, 'upstream answers 500') \g /dev/null
RESET ROLE;
SELECT is(pg_temp.provisional(), 'true: the last pull of quiz results failed: 01:01:00', 'a pull that failed after the last good one');
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.sync_finish_phase('rd', :job, 'quiz_results', true, NULL) \g /dev/null
RESET ROLE;
SELECT is(pg_temp.provisional(), 'false: -: 01:01:00', 'until one succeeds');
SELECT mt_sync_tenant('rd') \g /dev/null
SELECT is(pg_temp.provisional(), 'false: -: 01:01:00', 'waiting events and queued pulls do not make it provisional');
SELECT mt_set_credential('rd', '{"api_key": null}') \g /dev/null
SELECT is(pg_temp.provisional(), 'true: no source configured: -', 'a tenant whose source was taken away has no date of its data');

-- A report is stored, listed, and told.
SELECT count(*) AS reports FROM mindtickle.readiness_report \gset
SELECT is(:'reports'::text, '0', 'mt_readiness stored nothing');
SELECT is((SELECT count(*) FROM pg_temp.events('rd') WHERE topic = 'readiness.aggregated'), 0::bigint, 'and told nothing');
RESET mindtickle.tenant;
SET LOCAL ROLE rd_reader;
CREATE TEMP TABLE report AS SELECT * FROM mt_aggregate_readiness('rd');
CREATE TEMP TABLE report_now AS SELECT * FROM mt_readiness('rd');
GRANT ALL ON report, report_now TO PUBLIC;
RESET ROLE;
SELECT results_eq('SELECT tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of, provisional, provisional_reason FROM report',
	'SELECT tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of, provisional, provisional_reason FROM report_now', 'the report has the figures of mt_readiness');
SELECT results_eq('SELECT tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of, provisional, provisional_reason, computed_at FROM report',
	'SELECT tenant_id COLLATE "default", avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of, provisional, provisional_reason, computed_at FROM mt_readiness_reports', 'and is stored as it was given out');
SELECT is((SELECT array_agg(payload) FROM pg_temp.events('rd') WHERE topic = 'readiness.aggregated'), (SELECT array_agg(jsonb_build_object('tenantId', tenant_id, 'avgScore', avg_score, 'completionRate', completion_rate,
	'learners', learners, 'quizResults', quiz_results, 'assignments', assignments, 'completed', completed, 'dataAsOf', data_as_of, 'provisional', provisional, 'provisionalReason', provisional_reason, 'computedAt', computed_at)) FROM report),
	'and told once, with the same figures');
SELECT is((SELECT count(mt_aggregate_readiness('rd')) FROM generate_series(1, 20)), 20::bigint, 'many in a row');
SELECT is((SELECT count(*) FROM mindtickle.readiness_report WHERE tenant_id = 'rd'), 21::bigint, 'are each stored');
SELECT is((SELECT count(*) FROM mindtickle.readiness_report WHERE computed_at < now() OR computed_at > clock_timestamp() + interval '1 ms'), 0::bigint, 'under the moment they were computed');
SELECT is(pg_temp.as_role('rd_reader', 'SELECT count(*) FROM mt_readiness_reports'), '21', 'the tenant''s readers list them');
SELECT is(pg_temp.as_role('rd_other', 'SELECT count(*) FROM mt_readiness_reports'), '0', 'another tenant''s do not');
SELECT is(pg_temp.as_role('rd_other', $$SELECT mt_readiness('rd')$$), '42501: permission denied for tenant "rd"', 'nor read its readiness');
SELECT is(pg_temp.as_role('rd_other', $$SELECT mt_aggregate_readiness('rd')$$), '42501: permission denied for tenant "rd"', 'nor aggregate it');
-- A pull that is under way and waited for: one that somebody has asked for, or the first since settings or secrets have changed.
CREATE FUNCTION pg_temp.pull(VARIADIC steps text[]) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
	step text;
	job int8;
BEGIN
	PERFORM set_config('role', 'mindtickle_service', true), mindtickle.enter_tenant('rd');
	SELECT j.job_id INTO job FROM mindtickle.sync_job AS j WHERE j.tenant_id = 'rd' AND j.state = 'running';
	FOREACH step IN ARRAY steps LOOP
		CASE step
			WHEN 'open' THEN SELECT o.job_id INTO STRICT job FROM mindtickle.sync_open('rd') AS o;
			WHEN 'due' THEN UPDATE mindtickle.tenant SET next_sync_at = now() WHERE tenant_id = 'rd';
			WHEN 'done', 'failed' THEN PERFORM mindtickle.sync_close('rd', job, step, CASE step WHEN 'failed' THEN 'upstream answers 500' END);
			WHEN 'pass' THEN PERFORM mindtickle.sync_pass_phase('rd', job, 'quiz_results');
			ELSE PERFORM mindtickle.sync_finish_phase('rd', job, step, true, NULL, true);
		END CASE;
	END LOOP;
	PERFORM set_config('role', 'none', true), set_config('mindtickle.tenant', '', true);
	RETURN job;
END
$$;
CREATE FUNCTION pg_temp.reason() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(regexp_replace(provisional_reason, 'since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-][\d:]+', 'since then', 'g'), '-') FROM mt_readiness('rd')
$$;
CREATE FUNCTION pg_temp.due() RETURNS bool LANGUAGE sql AS $$ SELECT 'rd' IN (SELECT mindtickle.readiness_reruns_due()) $$;
SELECT mt_set_credential('rd', '{"api_key": "k"}') \g /dev/null
-- The pull that was under way when the secret changed counts for nothing; the next one brings everything.
SELECT pg_temp.pull('done', 'due', 'open', 'roster', 'progress', 'quiz_results', 'done', 'due', 'open') \g /dev/null
SELECT is(pg_temp.reason(), '-', 'a pull that the interval brings is not waited for');
SELECT pg_temp.pull('roster', 'progress', 'quiz_results', 'done'), mt_sync_tenant('rd') \g /dev/null
SELECT is(pg_temp.reason(), '-', 'one that is asked for is not while it waits itself');
SELECT pg_temp.pull('open') \g /dev/null
SELECT is(pg_temp.reason(), 'pull of roster under way since then; pull of progress under way since then; pull of quiz results under way since then', 'but is while it is under way');
SELECT is((SELECT provisional_reason FROM mt_readiness('rd')) LIKE '%since ' || to_char(now(), 'YYYY-MM-DD HH24:MI:SSOF'), true, 'since it began');
SELECT is((SELECT provisional FROM mt_aggregate_readiness('rd')) AND NOT pg_temp.due(), true, 'a report meanwhile is provisional');
SELECT pg_temp.pull('roster', 'catalog', 'quiz_results') \g /dev/null
SELECT is(pg_temp.reason(), 'pull of progress under way since then', 'as far as it is under way');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '3 hours' WHERE tenant_id = 'rd' AND resource = 'progress';
SELECT is(pg_temp.reason(), 'progress older than 2 hours', 'what is old is called old');
SELECT pg_temp.pull('progress') \g /dev/null
SELECT is(pg_temp.reason() || ' ' || pg_temp.due(), '- true', 'and the report is renewed when it has ended');
SELECT pg_temp.pull('done'), mt_sync_tenant('rd'), pg_temp.pull('open', 'roster') \g /dev/null
SELECT isnt(pg_temp.reason(), '-', 'another one');
SELECT pg_temp.pull('failed') \g /dev/null
SELECT is(pg_temp.reason() || ' ' || pg_temp.due(), '- true', 'it has also ended when it has failed elsewhere');
SELECT mt_sync_tenant('rd') AS job, pg_temp.pull('open') \gset
SELECT isnt(pg_temp.reason(), '-', 'another one');
SELECT mt_cancel_job('rd', :job) \g /dev/null
SELECT is(pg_temp.reason(), '-', 'or was cancelled');
SELECT mt_configure_tenant('rd', '{"base_urls": ["https://other.example/v2"]}') \g /dev/null
SELECT is(pg_temp.reason(), '-', 'new settings alone are not waited for');
SELECT pg_temp.pull('due', 'open', 'roster', 'pass') \g /dev/null
SELECT is(pg_temp.reason(), 'pull of progress under way since then', 'but the pull that uses them is');
SELECT pg_temp.pull('progress', 'done', 'due', 'open') \g /dev/null
SELECT is(pg_temp.reason(), '-', 'and the next one is not, also where a resource is passed over');

SET LOCAL transaction_read_only = on;
SELECT is(pg_temp.as_role('rd_reader', $$SELECT learners > 0 FROM mt_readiness('rd')$$), 'true', 'mt_readiness works in a read-only transaction');
SELECT alike(pg_temp.as_role('rd_reader', $$SELECT mt_aggregate_readiness('rd')$$), '25006: %', 'mt_aggregate_readiness does not');

SELECT * FROM finish();
ROLLBACK;
