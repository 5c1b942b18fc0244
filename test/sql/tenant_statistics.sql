\set ECHO none
-- What operators see of a tenant's sync, and cancelling a pull.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(38);

DROP ROLE IF EXISTS ss_writer, ss_reader, ss_monitor, ss_nobody;
CREATE ROLE ss_writer;
CREATE ROLE ss_reader;
CREATE ROLE ss_monitor IN ROLE pg_monitor;
CREATE ROLE ss_nobody;
SELECT mt_create_tenant('ss', 'State'), mt_create_tenant('ss-other', 'Other'), mt_grant_tenant('ss', 'ss_writer', 'writer'), mt_grant_tenant('ss', 'ss_reader', 'reader') \g /dev/null
CREATE FUNCTION pg_temp.service(statement text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.as_role('mindtickle_service', statement) $$;
CREATE FUNCTION pg_temp.stat(columns text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('ss_monitor', format('SELECT concat_ws('' '', %s) FROM mt_stat_tenant WHERE tenant_id = ''ss''', columns))
$$;

-- Who sees it.
SELECT is(pg_temp.as_role('ss_monitor', $$SELECT string_agg(tenant_id, ' ' ORDER BY tenant_id) FROM mt_stat_tenant WHERE tenant_id ~ '^ss'$$), 'ss ss-other', 'a member of pg_monitor sees every tenant, without a grant');
SELECT is(pg_temp.as_role('ss_monitor', 'SELECT count(*) FROM mt_users'), '0', 'and none of their people');
SELECT is(pg_temp.as_role('ss_reader', 'SELECT count(*) FROM mt_stat_tenant'), '42501: permission denied for view mt_stat_tenant', 'a tenant''s role does not');
SELECT is(pg_temp.as_role('ss_writer', 'SELECT count(*) FROM mindtickle.tenant_stats()'), '42501: permission denied for function tenant_stats', 'nor by the function');
GRANT EXECUTE ON FUNCTION mindtickle.tenant_stats() TO ss_nobody;
SELECT is(pg_temp.as_role('ss_nobody', 'SELECT count(*) FROM mindtickle.tenant_stats()'), '42501: permission denied: tenant_stats is for members of pg_monitor', 'nor with a careless grant');
SELECT is(pg_temp.as_role('ss_monitor', $$SELECT mindtickle.tenant_stat('ss')$$), '42501: permission denied for function tenant_stat', 'one tenant''s row is for the service role');

-- A tenant without a source.
SELECT is(pg_temp.stat('suspended, source_configured, requests, throttled, coalesce(next_run_at::text, ''none''), minute_left, hour_left, unknown_users, dead_letters'), 'f f 0 0 none 60 0 0', 'a new tenant');

-- Figures.
SELECT mt_set_credential('ss', '{"api_key": "k"}'), mt_configure_tenant('ss', '{"requests_per_minute": 50, "requests_per_hour": 1000}') \g /dev/null
SELECT is(pg_temp.stat('next_run_at <= now(), minute_left, hour_left'), 't 50 1000', 'its first pull is due, its budget whole');
SELECT pg_temp.service($$SELECT mindtickle.enter_tenant('ss')$$) \g /dev/null
SELECT pg_temp.service($$SELECT mindtickle.sync_count('ss', 0, 100, 1, 2, 3, 4, 5, 6, 7)$$), pg_temp.service($$SELECT mindtickle.sync_count('ss', 0, 100, 1, 2, 3, 4, 5, 6, 7)$$) \g /dev/null
SELECT is(pg_temp.stat('requests, throttled, unreachable, broken, unusable, server_errors, client_errors, refused'), '200 2 4 6 8 10 12 14', 'requests and how they ended add up');
SELECT pg_temp.service($$SELECT mindtickle.reserve_budget('{ss,ss-other}', ARRAY[now(), now()], ARRAY['{40,7,0,3}', NULL], '{9,60}', '{930,NULL}')$$) \g /dev/null
SELECT is(pg_temp.stat('minute_left, hour_left'), '9 930', 'what is left of the budget');
SELECT is(pg_temp.service($$SELECT concat_ws(' ', minutes, age BETWEEN 0 AND 60000000) FROM mindtickle.budget_of('ss')$$), '{40,7,0,3} t', 'and what the hour has seen, for the next worker');
UPDATE mindtickle.sync_budget SET noted_at = now() - interval '61 s' WHERE tenant_id = 'ss';
SELECT is(pg_temp.stat('minute_left, hour_left'), '50 930', 'after a minute the minute is whole again');
UPDATE mindtickle.sync_budget SET noted_at = now() - interval '61 min' WHERE tenant_id = 'ss';
SELECT is(pg_temp.stat('minute_left, hour_left'), '50 1000', 'after an hour the hour');
SELECT is(pg_temp.as_role('ss_monitor', $$SELECT concat_ws(' ', minute_left, coalesce(hour_left::text, 'no limit')) FROM mt_stat_tenant WHERE tenant_id = 'ss-other'$$), '60 no limit', 'without a limit of the hour nothing is said of it');

-- People who are known by their rows alone.
SELECT mt_provision_user('ss', '{"userId": "known"}'), mt_provision_user('ss', '{"userId": "gone", "active": false}'),
	mt_upsert_progress('ss', 'known', '[{"courseId": "c", "status": "completed"}]'), mt_upsert_progress('ss', 'gone', '[{"courseId": "c", "status": "completed"}]'),
	mt_upsert_progress('ss', 'stranger', '[{"courseId": "c", "status": "completed"}, {"courseId": "d", "status": "completed"}]'),
	mt_process_quiz_result('ss', '{"userId": "stranger", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01", "score": 1}'),
	mt_process_quiz_result('ss', '{"userId": "another", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01", "score": 1}') \g /dev/null
SELECT is(pg_temp.stat('unknown_users'), '2', 'two are unknown');
SELECT mt_provision_user('ss', '{"userId": "another"}') \g /dev/null
SELECT is(pg_temp.stat('unknown_users'), '1', 'until the roster brings them');

-- A pull, and its cancellation.
SELECT pg_temp.as_role('ss_writer', $$SELECT mt_sync_tenant('ss')$$) AS job \gset
SELECT pg_temp.service($$SELECT mindtickle.sync_open('ss')$$) \g /dev/null
SELECT pg_temp.service(format($$SELECT mindtickle.sync_advance('ss', %s, 'catalog', '{}', 5, 10)$$, :job)) \g /dev/null
SELECT is(pg_temp.stat('phase, done, total, phase_started_at = now()'), 'catalog 5 10 t', 'how far it is');
SELECT is(pg_temp.as_role('ss_writer', 'SELECT concat_ws('' '', phase, done, total) FROM mt_progress_sync'), 'catalog 5 10', 'also to its own roles');
SELECT pg_temp.service(format($$SELECT mindtickle.sync_finish_phase('ss', %1$s, 'roster', true, NULL), mindtickle.sync_finish_phase('ss', %1$s, 'series', true, NULL), mindtickle.sync_finish_phase('ss', %1$s, 'catalog', false, 'status 500')$$, :job)) \g /dev/null
SELECT is(pg_temp.stat('roster_at > now() - interval ''1 min'', series_at IS NOT NULL, coalesce(teams_at, team_members_at, catalog_at)::text IS NULL, failing'), 't t t {"catalog: status 500"}', 'which resources are there, and which fail');
SELECT is(pg_temp.as_role('ss_reader', format($$SELECT mt_cancel_job('ss', %s)$$, :job)), '42501: permission denied for tenant "ss"', 'a reader cancels nothing');
SELECT is(pg_temp.as_role('ss_writer', format($$SELECT mt_cancel_job('ss-other', %s)$$, :job)), '42501: permission denied for tenant "ss-other"', 'nor does another tenant''s writer');
SET LOCAL mindtickle.tenant = '';
SELECT is(pg_temp.outcome(format($$SELECT mt_cancel_job('ss-other', %s)$$, :job)), format('P0002: tenant "ss-other" has no job %s', :job), 'a job is of one tenant');
SET LOCAL mindtickle.tenant = 'ss';
SAVEPOINT s;
UPDATE mindtickle.sync_job SET state = 'queued' WHERE tenant_id = 'ss';
SELECT is(pg_temp.as_role('ss_writer', format($$SELECT mt_cancel_job('ss', %s)$$, :job)), 'true', 'one that waits is cancelled');
ROLLBACK TO s;
SELECT is(pg_temp.as_role('ss_writer', format($$SELECT mt_cancel_job('ss', %s)$$, :job)), 'true', 'and one that runs');
SELECT results_eq($$SELECT state COLLATE "default", error, finished_at IS NOT NULL, position FROM mindtickle.sync_job WHERE tenant_id = 'ss'$$, $$VALUES ('cancelled', 'cancelled by ss_writer', true, '{}'::jsonb)$$, 'which is so in the job, with who did it');
SELECT results_eq($$SELECT open_job_id, next_sync_at - now() BETWEEN interval '13 min 30 s' AND interval '16 min 30 s' FROM mindtickle.tenant WHERE tenant_id = 'ss'$$, $$VALUES (NULL::int8, true)$$, 'the next one comes in its time');
SELECT is((SELECT count(*) FROM mindtickle.sync_seen WHERE tenant_id = 'ss'), 0::bigint, 'what its listing has shown is forgotten');
SELECT is(pg_temp.service(format($$SELECT mindtickle.sync_advance('ss', %s, 'catalog', '{}', 6, 10)$$, :job)), 'false', 'it advances no more');
SELECT is(pg_temp.as_role('ss_writer', format($$SELECT mt_cancel_job('ss', %s)$$, :job)), 'false', 'cancelling it again changes nothing');
SELECT is(pg_temp.as_role('ss_writer', $$SELECT mt_cancel_job('ss', 0)$$), 'P0002: tenant "ss" has no job 0', 'there must be such a job');
SELECT isnt(pg_temp.as_role('ss_writer', $$SELECT mt_sync_tenant('ss')$$), :'job', 'another can be asked for');
SELECT is(pg_temp.stat('phase'), 'roster', 'and is shown');

-- When it runs next.
SELECT pg_temp.service(format($$SELECT mindtickle.sync_close('ss', %s, 'failed', 'x')$$, (SELECT open_job_id FROM mindtickle.tenant WHERE tenant_id = 'ss'))) \g /dev/null
UPDATE mindtickle.tenant SET open_job_id = NULL, next_sync_at = '2100-01-01', last_error = 'status 500' WHERE tenant_id = 'ss';
SELECT is(pg_temp.stat('next_run_at = ''2100-01-01'', coalesce(backoff_until::text, ''none''), last_error'), 't none status 500', 'at its time');
UPDATE mindtickle.tenant SET backoff_until = '2100-01-02' WHERE tenant_id = 'ss';
SELECT is(pg_temp.stat('next_run_at = ''2100-01-02'', backoff_until = ''2100-01-02'''), 't t', 'not before the end of a back-off');
SELECT mt_suspend_tenant('ss') \g /dev/null
SELECT is(pg_temp.stat('suspended, coalesce(next_run_at::text, ''never'')'), 't never', 'never while it is suspended');
SELECT mt_drop_tenant('ss') \g /dev/null
SELECT is(pg_temp.stat('tenant_id'), NULL, 'a tenant that is dropped is gone');
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES ('ss-other', 'pull', 'users', 'x', '\x00'), ('ss-other', 'pull', 'users', 'y', '\x00');
UPDATE mindtickle.dead_letter SET replayed_at = now() WHERE tenant_id = 'ss-other' AND reason = 'x';
SELECT is(pg_temp.as_role('ss_monitor', $$SELECT dead_letters FROM mt_stat_tenant WHERE tenant_id = 'ss-other'$$), '1', 'dead letters that wait are counted');
SELECT is(pg_temp.as_role('ss_monitor', $$SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'mt_stat_tenant'::regclass AND attnum > 0 AND attname ~ 'email|name|user_id'$$), NULL, 'nothing personal is among the columns');

SELECT * FROM finish();
ROLLBACK;
