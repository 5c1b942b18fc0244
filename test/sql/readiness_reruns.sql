\set ECHO none
-- A provisional report is computed once more when its reason has ended: what asks for it, when it is due, what is stored, and that it ends there. And what
-- is fresh where the tenant sets nothing.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(46);

DROP ROLE IF EXISTS rr_reader;
CREATE ROLE rr_reader;
SELECT mt_create_tenant(t, t) FROM unnest('{rr-a,rr-b,rr-c,rr-d,rr-none}'::text[]) AS t \g /dev/null
SELECT mt_set_credential(t, '{"api_key": "k"}') FROM unnest('{rr-a,rr-b,rr-c,rr-d}'::text[]) AS t \g /dev/null
SELECT mt_grant_tenant('rr-a', 'rr_reader', 'reader') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('rr-a', 'ann'), ('rr-b', 'bob');

CREATE FUNCTION pg_temp.asked(tenant text) RETURNS int8 LANGUAGE sql AS $$ SELECT count(*) FROM mindtickle.readiness_rerun AS r WHERE r.tenant_id = tenant $$;
CREATE FUNCTION pg_temp.due() RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(d, ' ' ORDER BY d), '') FROM mindtickle.readiness_reruns_due() AS d WHERE d LIKE 'rr-%' $$;
-- The reports of a tenant in their order: whether each is provisional.
CREATE FUNCTION pg_temp.reports(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(provisional::text, ' ' ORDER BY computed_at), '') FROM mt_readiness_reports WHERE tenant_id = tenant
$$;
CREATE FUNCTION pg_temp.told(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(payload ->> 'provisional', ' '), '') FROM pg_temp.events(tenant) WHERE topic = 'readiness.aggregated'
$$;
-- As the aggregator does it.
CREATE FUNCTION pg_temp.rerun(tenant text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	result bool;
BEGIN
	PERFORM set_config('role', 'mindtickle_service', true);
	PERFORM mindtickle.enter_tenant(tenant);
	result := mindtickle.rerun_readiness(tenant);
	PERFORM set_config('role', 'none', true), set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
-- The pull of a resource ends, well or not, as the sync worker does it.
CREATE FUNCTION pg_temp.pulled(tenant text, VARIADIC resources text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	resource text;
	job int8;
BEGIN
	PERFORM set_config('role', 'mindtickle_service', true);
	PERFORM mindtickle.enter_tenant(tenant);
	SELECT o.job_id INTO STRICT job FROM mindtickle.sync_open(tenant) AS o;
	FOREACH resource IN ARRAY resources LOOP
		PERFORM mindtickle.sync_finish_phase(tenant, job, ltrim(resource, '!'), resource NOT LIKE '!%', CASE WHEN resource LIKE '!%' THEN 'upstream answers 500' END);
	END LOOP;
	PERFORM set_config('role', 'none', true), set_config('mindtickle.tenant', '', true);
END
$$;

-- Asked for once.
SELECT count(mt_readiness('rr-a')) FROM generate_series(1, 3) \g /dev/null
SELECT is(pg_temp.asked('rr-a'), 0::int8, 'mt_readiness asks for nothing');
SAVEPOINT a;
SELECT mt_aggregate_readiness('rr-a') \g /dev/null
ROLLBACK TO a;
SELECT is(pg_temp.asked('rr-a'), 0::int8, 'nor does a report that was rolled back');
SELECT is(pg_temp.as_role('rr_reader', $$SELECT provisional_reason FROM mt_aggregate_readiness('rr-a')$$), 'roster not pulled yet; progress not pulled yet; quiz results not pulled yet', 'a provisional report');
SELECT is(pg_temp.asked('rr-a'), 1::int8, 'asks for another one');
SELECT is((SELECT report_at FROM mindtickle.readiness_rerun WHERE tenant_id = 'rr-a'), (SELECT computed_at FROM mt_readiness_reports WHERE tenant_id = 'rr-a'), 'under its own moment');
SELECT mt_aggregate_readiness('rr-a'), mt_aggregate_readiness('rr-a') \g /dev/null
SELECT is(pg_temp.asked('rr-a'), 1::int8, 'further ones do not ask again while it waits');
SELECT is(pg_temp.asked('rr-b'), 0::int8, 'nor for another tenant');

-- Not before the reason has ended.
SELECT is(pg_temp.due(), '', 'not due while nothing was pulled');
SELECT is(pg_temp.rerun('rr-a'), false, 'called all the same, nothing is done');
SELECT is(pg_temp.reports('rr-a') || ', ' || pg_temp.asked('rr-a'), 'true true true, 1', 'nothing stored, and it goes on waiting');
SELECT pg_temp.pulled('rr-a', 'roster', 'catalog', 'progress') \g /dev/null
SELECT is(pg_temp.due(), '', 'nor while one resource is missing');
SELECT pg_temp.pulled('rr-a', '!quiz_results') \g /dev/null
SELECT is(pg_temp.due(), '', 'or has failed');
SELECT pg_temp.pulled('rr-a', 'quiz_results') \g /dev/null
SELECT is(pg_temp.due(), 'rr-a', 'due when all is pulled');
SELECT pg_temp.pulled('rr-a', '!roster') \g /dev/null
SELECT is(pg_temp.due(), '', 'not any more when a pull has failed since');
SELECT pg_temp.pulled('rr-a', 'roster', '!catalog') \g /dev/null
SELECT is(pg_temp.due(), 'rr-a', 'until one succeeds; the catalog does not matter');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '2 hours' WHERE tenant_id = 'rr-a' AND resource = 'progress';
SELECT is(pg_temp.due(), '', 'nor when a pull has become old');
SELECT pg_temp.pulled('rr-a', 'progress') \g /dev/null

-- Then once.
SELECT is(pg_temp.rerun('rr-a'), true, 'it is computed again');
SELECT is(pg_temp.reports('rr-a'), 'true true true false', 'and stored, and is not provisional');
SELECT is(pg_temp.told('rr-a'), 'true true true false', 'and told');
SELECT results_eq($$SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of FROM mt_readiness_reports WHERE tenant_id = 'rr-a' AND NOT provisional$$,
	$$SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of FROM mt_readiness('rr-a')$$, 'with the figures of mt_readiness');
SELECT is(pg_temp.asked('rr-a') || pg_temp.due(), '0', 'it asks for none');
SELECT is(pg_temp.rerun('rr-a'), false, 'and is not computed a second time');
SELECT mt_aggregate_readiness('rr-a') \g /dev/null
SELECT is(pg_temp.reports('rr-a') || ', ' || pg_temp.asked('rr-a'), 'true true true false false, 0', 'a report that is not provisional asks for none either');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '2 hours' WHERE tenant_id = 'rr-a';
SELECT mt_aggregate_readiness('rr-a') \g /dev/null
SELECT is(pg_temp.asked('rr-a') || pg_temp.due(), '1', 'the next one that is, does');
SELECT mt_configure_tenant('rr-a', '{"freshness": "3 hours"}') \g /dev/null
SELECT is(pg_temp.due(), 'rr-a', 'a reason ends with the setting that made it, too');
SELECT is(pg_temp.rerun('rr-a'), true, 'and the report is computed again');
SELECT mt_configure_tenant('rr-a', '{"freshness": null}') \g /dev/null
SELECT is(pg_temp.reports('rr-a'), 'true true true false false true false', 'then it is not provisional, and it stays as it was given out');

-- Two that were asked for at the same time.
INSERT INTO mindtickle.readiness_rerun VALUES ('rr-a', '2026-01-01Z'), ('rr-a', '2026-01-02Z');
SELECT pg_temp.pulled('rr-a', 'roster', 'progress', 'quiz_results') \g /dev/null
SELECT is(pg_temp.due(), 'rr-a', 'two requests make a tenant due once');
SELECT is(pg_temp.rerun('rr-a')::text || pg_temp.asked('rr-a') || pg_temp.rerun('rr-a'), 'true0false', 'and are answered by one report');

-- Suspended.
SELECT mt_aggregate_readiness('rr-b'), mt_aggregate_readiness('rr-c') \g /dev/null
SELECT pg_temp.pulled('rr-b', 'roster', 'progress', 'quiz_results') \g /dev/null
SELECT mt_suspend_tenant('rr-b'), mt_suspend_tenant('rr-c') \g /dev/null
SELECT is(pg_temp.due(), 'rr-b', 'a suspended tenant is due if its pulls are fresh, and else is not');
SELECT is(pg_temp.rerun('rr-b')::text || ' ' || pg_temp.reports('rr-b'), 'true true false', 'its report is computed from what is there');
SELECT is(pg_temp.rerun('rr-c')::text || ' ' || pg_temp.asked('rr-c'), 'false 1', 'the other one waits');

-- Dropped.
SELECT mt_aggregate_readiness('rr-d') \g /dev/null
SELECT pg_temp.pulled('rr-d', 'roster', 'progress', 'quiz_results') \g /dev/null
SELECT is(pg_temp.due(), 'rr-d', 'a tenant that is to be dropped');
SELECT mt_drop_tenant('rr-d') \g /dev/null
SELECT is(pg_temp.due() || pg_temp.asked('rr-d'), '0', 'is not due when it is gone');
SELECT is(mindtickle.rerun_readiness('rr-d'), false, 'and gets no report');
SELECT mt_create_tenant('rr-d', 'Another') \g /dev/null
SELECT is(pg_temp.due() || pg_temp.asked('rr-d') || pg_temp.reports('rr-d'), '0', 'nor does the next tenant of its name');

-- Without a source.
SELECT is((SELECT provisional_reason FROM mt_aggregate_readiness('rr-none')), 'no source configured', 'a tenant without a source');
SELECT is(pg_temp.due() || pg_temp.asked('rr-none'), '1', 'asks, and is not due');
INSERT INTO mindtickle.sync_resource (tenant_id, resource, data_as_of, finished_at) SELECT 'rr-none', r, now(), now() FROM unnest('{roster,progress,quiz_results}'::text[]) AS r;
SELECT is(pg_temp.due() || pg_temp.rerun('rr-none'), 'false', 'whatever was pulled once');
SELECT mt_set_credential('rr-none', '{"api_key": "k"}') \g /dev/null
SELECT is(pg_temp.due(), 'rr-none', 'but with a source it is');

-- What is fresh without a setting is what the settings say, and an hour.
SELECT default_value #>> '{}' AS freshness FROM mindtickle.setting_definitions() WHERE name = 'freshness' \gset
SELECT is(:'freshness'::interval, interval '1 hour', 'the default of freshness');
UPDATE mindtickle.sync_resource SET data_as_of = now() - :'freshness'::interval + interval '1 min' WHERE tenant_id = 'rr-a';
SELECT is(mindtickle.provisional_reason('rr-a'), NULL, 'pulls a minute younger are fresh');
UPDATE mindtickle.sync_resource SET data_as_of = now() - :'freshness'::interval - interval '1 min' WHERE tenant_id = 'rr-a' AND resource = 'quiz_results';
SELECT is(mindtickle.provisional_reason('rr-a'), 'quiz results older than ' || :'freshness', 'one a minute older is not');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '59 min' WHERE tenant_id = 'rr-a' AND resource = 'quiz_results';
SELECT is(mindtickle.provisional_reason('rr-a'), NULL, 'after 59 minutes it is fresh');
UPDATE mindtickle.sync_resource SET data_as_of = now() - interval '61 min' WHERE tenant_id = 'rr-a' AND resource = 'quiz_results';
SELECT is(mindtickle.provisional_reason('rr-a'), 'quiz results older than 1 hour', 'after 61 it is not');
SELECT is(mindtickle.effective_settings('rr-a') ->> 'freshness', :'freshness', 'the tenant has no setting of its own');

SELECT * FROM finish();
ROLLBACK;
