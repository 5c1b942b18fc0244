\set ECHO none
-- Asking for one user's pull: what is refused before anything is asked. How requests are answered is in test/tap/022_requests.pl.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
SELECT plan(19);

-- Committed, for a transaction that has written is refused.
CREATE TEMP TABLE seen (what text);
DROP ROLE IF EXISTS sr_writer, sr_reader;
CREATE ROLE sr_writer;
CREATE ROLE sr_reader;
SELECT mt_create_tenant('sr', 'Requests'), mt_create_tenant('sr-other', 'Other'), mt_grant_tenant('sr', 'sr_writer', 'writer'), mt_grant_tenant('sr', 'sr_reader', 'reader') \g /dev/null

SELECT has_function('mt_sync_course_progress', ARRAY['text', 'text', 'interval']);
SELECT is((SELECT prorettype::regtype FROM pg_proc WHERE proname = 'mt_sync_course_progress'), 'mindtickle.course_progress'::regtype, 'returns rows of course_progress');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u')$$), '55000: no source is configured for tenant "sr"', 'without a source');
SELECT mt_set_credential('sr', '{"api_key": "k"}'), mt_suspend_tenant('sr') \g /dev/null
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u')$$), '55000: tenant "sr" is suspended', 'for a suspended tenant');
SELECT is(pg_temp.as_role('sr_reader', $$SELECT mt_sync_course_progress('sr', 'u')$$), '42501: permission denied for tenant "sr"', 'by a reader');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr-other', 'u')$$), '42501: permission denied for tenant "sr-other"', 'for another tenant');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr-absent', 'u')$$), '42501: permission denied for tenant "sr-absent"', 'which is the same as for one that does not exist');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', '')$$), '22023: user_id must not be empty', 'without a user id');
SELECT is(pg_temp.as_role('sr_writer', format($$SELECT mt_sync_course_progress('sr', %L)$$, repeat('u', 256))), '22023: user_id must not be longer than 255 bytes', 'with a user id that is too long');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT count(*) FROM mt_sync_course_progress('sr', NULL)$$), '0', 'a null asks for nothing');

SELECT mt_resume_tenant('sr') \g /dev/null
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u', '0 s')$$), '22023: timeout must be longer than 0 and at most 1 hour', 'no time');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u', '-1 month')$$), '22023: timeout must be longer than 0 and at most 1 hour', 'time that is past');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u', '61 min')$$), '22023: timeout must be longer than 0 and at most 1 hour', 'too much time');

BEGIN;
INSERT INTO seen VALUES ('x');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u')$$), '25001: mt_sync_course_progress cannot run in a transaction that has written', 'in a transaction that has written');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mt_sync_course_progress('sr', 'u')$$), '25001: mt_sync_course_progress cannot run in a transaction that is above READ COMMITTED', 'in one that would not see the result');
ROLLBACK;

SELECT is(pg_temp.as_role('sr_writer', $$SELECT mindtickle.request_pull('sr', 'u')$$), '42501: permission denied for function request_pull', 'request_pull is the gateway''s');
SELECT is(pg_temp.as_role('sr_writer', $$SELECT mindtickle.take_requests()$$), '42501: permission denied for function take_requests', 'take_requests the worker''s');
SELECT is(pg_temp.outcome($$SELECT (mindtickle.pull_result(0)).state$$), 'unknown', 'without a tenant in force no ticket is known');
SELECT is(pg_temp.outcome($$SELECT mindtickle.finish_request(1, NULL, 'x', NULL, NULL)$$), '22023: "x" is no SQLSTATE', 'an error has a code');

SELECT mt_drop_tenant('sr'), mt_drop_tenant('sr-other') \g /dev/null
DROP ROLE sr_writer, sr_reader;
SELECT * FROM finish();
