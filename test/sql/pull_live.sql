\set ECHO none
-- What only the live contract brings, stored from psql as the worker does it: teams, series with their courses, histories, reports, managers.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(65);

SELECT mt_create_tenant('lv', 'Live'), mt_create_tenant('lv-other', 'Other') \g /dev/null
SELECT pg_temp.outcome($$SELECT mt_set_credential('lv', '{"api_key": "k", "secret_key": "s"}')$$) \g /dev/null
CREATE FUNCTION pg_temp.service(statement text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.as_role('mindtickle_service', statement) $$;
CREATE FUNCTION pg_temp.store(call text, VARIADIC records text[]) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format('SELECT concat_ws('' '', received, changed, rejected, fresh) FROM mindtickle.store_%s %L)', call,
		(SELECT coalesce(array_agg(convert_to(r, 'UTF8') ORDER BY n), '{}') FROM unnest(records) WITH ORDINALITY AS u (r, n))::text))
$$;
CREATE FUNCTION pg_temp.letters(resource_name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(reason, ' | ' ORDER BY letter_id) FROM mindtickle.dead_letter WHERE tenant_id = 'lv' AND resource = resource_name
$$;
CREATE FUNCTION pg_temp.items(over text, after text DEFAULT '', most int DEFAULT 100) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format($q$SELECT string_agg(key || '=' || upstream_id, ' ' ORDER BY key COLLATE "C") FROM mindtickle.sync_items('lv', 1, %L, %L, %s)$q$, over, after, most))
$$;
SELECT pg_temp.service($$SELECT mindtickle.enter_tenant('lv')$$) \g /dev/null
SELECT pg_temp.service($$SELECT job_id FROM mindtickle.sync_open('lv')$$) AS job \gset
SELECT format('users(''lv'', %s,', :job) AS users, format('teams(''lv'', %s,', :job) AS teams, format('team_members(''lv'', %s, ''t1'',', :job) AS members, format('series(''lv'', %s,', :job) AS series,
	format('modules(''lv'', %s, ''s1'',', :job) AS first_series, format('modules(''lv'', %s, ''s2'',', :job) AS second_series, format('history(''lv'', %s, ''u1'',', :job) AS history,
	format('reports(''lv'', %s, ''series/s1'',', :job) AS report, format('reports(''lv'', %s, ''module/c2'',', :job) AS module_report \gset

-- Where the tenant's site is.
SELECT is(pg_temp.service($$SELECT mindtickle.source_settings('lv') ->> 'site_url'$$), NULL, 'nothing is known of the site');
SELECT pg_temp.service($$SELECT mindtickle.note_site('lv', 'https://api.example.com')$$) \g /dev/null
SELECT is(pg_temp.service($$SELECT mindtickle.source_settings('lv') ->> 'site_url'$$), 'https://api.example.com', 'until it has signed in');

-- People and their managers.
SELECT is(pg_temp.store(:'users', '{"mindtickleId": "u1", "email": "One@lv.example", "managerEmail": "BOSS@lv.example", "attributes": {"managers": ["BOSS@lv.example", "two@lv.example"], "userState": "ACTIVE"}}',
	'{"mindtickleId": "u2", "email": "two@lv.example", "attributes": {"managers": []}}', '{"mindtickleId": "u3", "email": "boss@lv.example", "attributes": {"managers": []}}',
	'{"mindtickleId": "u4", "email": "four@lv.example", "active": false, "managerEmail": "nobody@lv.example", "attributes": {"managers": ["nobody@lv.example"]}}', '{"mindtickleId": "u5"}'), '5 5 0 5', 'five users');
SELECT pg_temp.service($$SELECT mt_provision_user('lv', '{"mindtickleId": "u5", "role": "admin"}')$$) \g /dev/null
SELECT is(pg_temp.service(format($$SELECT mindtickle.settle_managers('lv', %s, true)$$, :job)), '3', 'three change when managers are settled');
SELECT results_eq($$SELECT user_id COLLATE "default", role COLLATE "default", manager_id COLLATE "default" FROM mindtickle.users WHERE tenant_id = 'lv' ORDER BY user_id$$,
	$$VALUES ('u1', 'rep', 'u3'), ('u2', 'manager', NULL), ('u3', 'manager', NULL), ('u4', 'rep', NULL), ('u5', 'admin', NULL)$$, 'whoever is named is a manager, in any case of letters');
SELECT is(pg_temp.service(format($$SELECT mindtickle.settle_managers('lv', %s, true)$$, :job)), '0', 'nothing changes the second time');
SELECT is(pg_temp.store(:'users', '{"mindtickleId": "u1", "managerEmail": "boss@lv.example", "attributes": {"managers": ["boss@lv.example"]}}'), '1 1 0 0', 'somebody is named no longer');
SELECT is(pg_temp.service(format($$SELECT mindtickle.settle_managers('lv', %s, false)$$, :job)), '0', 'after a part of the roster he stays one');
SELECT is(pg_temp.service(format($$SELECT mindtickle.settle_managers('lv', %s, true)$$, :job)), '1', 'after all of it');
SELECT is((SELECT role FROM mindtickle.users WHERE tenant_id = 'lv' AND user_id = 'u2') COLLATE "default", 'rep', 'he is none');
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'lv' AND payload ->> 'operation' = 'UPDATE' AND payload -> 'user' ->> 'userId' = 'u2'), 2::bigint, 'each of these changes is an event');
SELECT is((SELECT attributes FROM mindtickle.users WHERE tenant_id = 'lv' AND user_id = 'u1'), '{"managers": ["boss@lv.example"], "userState": "ACTIVE"}', 'attributes that a pull brings are laid over the others');
SELECT is(pg_temp.store(:'users', '{"mindtickleId": "u1", "attributes": {"userState": "ACTIVE"}}'), '1 0 0 0', 'and nothing is written where none is new');
SELECT is(pg_temp.items('emails'), 'u1=One@lv.example u2=two@lv.example u3=boss@lv.example', 'users who are asked for by e-mail are active and have one');
SELECT is(pg_temp.items('emails', 'u1', 1), 'u2=two@lv.example', 'they go on behind a user');
SELECT is(pg_temp.items('users', 'u2'), 'u3=u3 u5=u5', 'others are asked for by id');

-- Teams.
SELECT is(pg_temp.store(:'teams', '{"teamId": "t1", "name": "All Reps"}', '{"teamId": "t2"}', '{"name": "x"}', '{"teamId": "t3", "name": 7}'), '4 2 2 4', 'teams');
SELECT is(pg_temp.letters('teams'), 'teamId is required | name must be a string', 'and their faults');
SELECT is(pg_temp.store(:'teams', '{"teamId": "t1", "name": "All Reps"}', '{"teamId": "t2", "name": "Two"}'), '2 1 0 0', 'one has a name now');
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('lv', 't9', 'Of the identity provider', 'scim');
SELECT is(pg_temp.store(:'teams', '{"teamId": "t9", "name": "Taken over"}'), '1 0 0 1', 'a team of another source is not touched');
SELECT is(pg_temp.items('teams'), 't1=t1 t2=t2', 'those are asked for their members');
SELECT is(pg_temp.store(:'members', '{"mindtickleId": "u1"}', '{"mindtickleId": "u2"}', '{"mindtickleId": "u4"}', '{"mindtickleId": "u1"}', '{"mindtickleId": "stranger"}'), '5 3 0 0', 'members');
SELECT results_eq($$SELECT user_id COLLATE "default", active FROM mindtickle.team_member WHERE tenant_id = 'lv' ORDER BY user_id$$, $$VALUES ('u1', true), ('u2', true), ('u4', false)$$, 'who has left is no active one');
SELECT is(pg_temp.store(:'members', '{"mindtickleId": "u2"}', '{"mindtickleId": "u4"}', '{"mindtickleId": "u3"}'), '3 2 0 0', 'one has gone, one has come');
SELECT is(pg_temp.store(:'members', '{"mindtickleId": "u2"}', '{"mindtickleId": 7}'), '2 0 1 0', 'with a member that cannot be read');
SELECT is((SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM mindtickle.team_member WHERE tenant_id = 'lv'), 'u2 u3 u4', 'nobody is taken away');
SELECT is(pg_temp.store(:'members'::text, VARIADIC '{}'::text[]), '0 3 0 0', 'a team without members');
DELETE FROM mindtickle.sync_seen WHERE tenant_id = 'lv' AND phase = 'teams' AND object_id <> 't1';
SELECT pg_temp.service(format($$SELECT mindtickle.sync_finish_phase('lv', %s, 'teams', true, NULL)$$, :job)) \g /dev/null
SELECT results_eq($$SELECT team_id COLLATE "default", active FROM mindtickle.team WHERE tenant_id = 'lv' ORDER BY team_id$$, $$VALUES ('t1', true), ('t2', false), ('t9', true)$$, 'a team that a complete listing does not show is inactive');

-- Series and courses. c2 is in both series.
SELECT is(pg_temp.store(:'series', '{"seriesId": "s1", "name": "Onboarding"}', '{"seriesId": "s2", "name": null}', '{"seriesId": "s3"}'), '3 3 0 3', 'series');
SELECT is(pg_temp.store(:'first_series', '{"courseId": "c1", "title": "One", "kind": "ASSESSMENT"}', '{"courseId": "c2", "title": "Two", "kind": "COURSE"}', '{"title": "?"}'), '3 2 1 0', 'its courses');
SELECT is(pg_temp.store(:'second_series', '{"courseId": "c2", "title": "Two", "kind": "COURSE"}', '{"courseId": "c3", "title": "Three", "kind": "UPDATE"}'), '2 1 0 0', 'a course of two series is one course');
SELECT is(pg_temp.items('series'), 's1=s1 s2=s2 s3=s3', 'series are asked for their courses');
SELECT is(pg_temp.items('reports'), 'module/c2=module/c2 series/s1=series/s1 series/s2=series/s2', 'reports are asked for by series, and by course where one is in several');
SELECT is(pg_temp.service($$SELECT concat_ws(' ', users, reports) FROM mindtickle.sync_costs('lv')$$), '3 3', 'what either way costs');
SELECT is(pg_temp.store(:'second_series', '{"courseId": "c3", "title": "Three", "kind": "UPDATE"}'), '1 0 0 0', 'it is in one series now');
SELECT is(pg_temp.items('reports'), 'series/s1=series/s1 series/s2=series/s2', 'and comes with that one');
SELECT pg_temp.store(:'second_series', '{"courseId": "c2", "title": "Two", "kind": "COURSE"}', '{"courseId": "c3", "title": "Three", "kind": "UPDATE"}') \g /dev/null
DELETE FROM mindtickle.sync_seen WHERE tenant_id = 'lv' AND phase = 'series' AND object_id = 's3';
SELECT pg_temp.service(format($$SELECT mindtickle.sync_finish_phase('lv', %s, 'series', true, NULL)$$, :job)) \g /dev/null
SELECT is(pg_temp.items('series'), 's1=s1 s2=s2', 'a series that is gone is forgotten');

-- Histories: the furthest state, then the latest moment.
SELECT is(pg_temp.store(:'history', '{"courseId": "c1", "status": "in_progress", "updatedAt": "2026-03-03T00:00:00Z"}', '{"courseId": "c1", "status": "completed", "completedAt": "2026-02-02T00:00:00Z", "updatedAt": "2026-02-02T00:00:00Z"}',
	'{"courseId": "c1", "status": "completed", "completedAt": "2026-01-01T00:00:00Z"}', '{"courseId": "c2", "status": "not_started"}', '{"courseId": "c2", "status": "in_progress"}', '{"courseId": "c3", "status": "done"}'), '6 2 1 0', 'a history');
SELECT results_eq($$SELECT course_id COLLATE "default", status COLLATE "default", completed_at FROM mindtickle.course_progress WHERE tenant_id = 'lv' ORDER BY course_id$$,
	$$VALUES ('c1', 'completed', '2026-02-02 00:00:00+00'::timestamptz), ('c2', 'in_progress', NULL)$$, 'a later state that is less does not undo the furthest');
SELECT is(pg_temp.store(:'history', '{"courseId": "c2", "status": "in_progress"}', '{"courseId": "c1", "status": "completed", "completedAt": "2026-02-02T00:00:00Z"}'), '2 0 0 0', 'in another order nothing changes');

-- Reports.
SELECT is(pg_temp.store(:'report', '{"userId": "u1", "email": "ONE@lv.example", "courseId": "c1", "status": "completed", "rawScore": 2, "maxScore": 3, "completedAt": "2026-02-02T00:00:00Z", "startedAt": "2026-02-01T00:00:00Z", "invitedAt": "2026-01-01", "percentCompleted": 100, "isOverdue": false, "hasFailed": true}',
	'{"email": "TWO@lv.example", "courseId": "c1", "status": "in_progress", "rawScore": 0, "maxScore": 3}', '{"userId": "u3", "courseId": "c1", "status": "not_started", "rawScore": 0, "maxScore": 3}', '{"userId": "u4", "courseId": "c1", "status": "completed", "rawScore": 1, "maxScore": 0, "completedAt": "2026-02-02T00:00:00Z"}',
	'{"userId": "u1", "courseId": "c2", "status": "completed"}', '{"userId": "later", "courseId": "c1", "status": "in_progress", "rawScore": null}'), '6 6 0 0', 'a report of a series');
SELECT results_eq($$SELECT user_id COLLATE "default", status COLLATE "default", score, max_score FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND course_id = 'c1' ORDER BY user_id$$,
	$$VALUES ('later', 'in_progress', NULL, NULL::numeric), ('u1', 'completed', 66.6700, 3), ('u2', 'in_progress', 0, 3), ('u3', 'not_started', NULL, 3), ('u4', 'completed', NULL, 0)$$,
	'the score is percent of the points; none without an attempt or without points to reach');
SELECT results_eq($$SELECT started_at, invited_at, percent_completed, is_overdue, has_failed FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND user_id = 'u1' AND course_id = 'c1'$$,
	$$VALUES ('2026-02-01 00:00:00+00'::timestamptz, '2026-01-01 00:00:00+00'::timestamptz, 100.0000, false, true)$$, 'dates and flags');
SELECT is((SELECT status FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND user_id = 'u1' AND course_id = 'c2') COLLATE "default", 'in_progress', 'a course of several series is left to its own report');
SELECT is(pg_temp.store(:'module_report', '{"userId": "u1", "courseId": "c2", "status": "not_started"}', '{"userId": "u1", "courseId": "c2", "status": "completed", "completedAt": "2026-02-05T00:00:00Z"}', '{"userId": "u1", "courseId": "c2", "status": "in_progress"}'), '3 1 0 0', 'in which the furthest row counts');
SELECT is((SELECT status FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND user_id = 'u1' AND course_id = 'c2') COLLATE "default", 'completed', 'whichever comes last');
SELECT is(pg_temp.store(:'report', '{"courseId": "c1", "status": "completed"}', '{"email": "nobody@else.example", "courseId": "c1", "status": "completed"}', '{"userId": "u1", "courseId": "c1", "status": "completed", "rawScore": 4, "maxScore": 3}', '{"userId": "u1", "status": "completed"}', '{"userId": "u1", "courseId": "c1", "status": "completed", "rawScore": -1}'), '5 0 5 0', 'bad rows');
SELECT is(pg_temp.letters('reports'), 'the document must have a userId or email | rawScore must not be more than maxScore | courseId is required | rawScore must be between 0 and 1000000000 | email is of nobody in the roster, and there is no userId', 'and their faults');
SELECT is((SELECT count(*) FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND user_id = 'u1'), 2::bigint, 'change nothing');

-- Results of assessments: the latest attempt alone.
SELECT results_eq($$SELECT user_id COLLATE "default", quiz_id COLLATE "default", submitted_at, score, raw_score, max_score, passed, source COLLATE "default" FROM mindtickle.quiz_submission WHERE tenant_id = 'lv'$$,
	$$VALUES ('u1', 'c1', '2026-02-02 00:00:00+00'::timestamptz, 66.6700, 2::numeric, 3::numeric, false, 'live')$$, 'an assessment that is completed with a score has a result');
SELECT is(pg_temp.store(:'report', '{"userId": "u1", "courseId": "c1", "status": "completed", "rawScore": 3, "maxScore": 3, "completedAt": "2026-03-02T00:00:00Z", "hasFailed": false}'), '1 2 0 0', 'another attempt');
SELECT results_eq($$SELECT submitted_at, score, passed FROM mindtickle.quiz_submission WHERE tenant_id = 'lv'$$, $$VALUES ('2026-03-02 00:00:00+00'::timestamptz, 100.0000, true)$$, 'replaces it');
SELECT is(pg_temp.store(:'report', '{"userId": "u1", "courseId": "c1", "status": "completed", "rawScore": 3, "maxScore": 3, "completedAt": "2026-03-02T00:00:00Z", "hasFailed": false}'), '1 0 0 0', 'the same again changes nothing');
SELECT is((SELECT payload - 'tenantId' || jsonb_build_object('submittedAt', (payload ->> 'submittedAt')::timestamptz = '2026-03-02T00:00:00Z') FROM mindtickle.outbox WHERE tenant_id = 'lv' AND topic = 'quiz.completed' ORDER BY outbox_id DESC LIMIT 1),
	'{"userId": "u1", "courseId": "c1", "quizId": "c1", "score": 100.00, "maxScore": 3, "rawScore": 3, "passed": true, "submittedAt": true}', 'its event');
SELECT pg_temp.service($$SELECT mt_process_quiz_result('lv', '{"userId": "u1", "courseId": "c1", "quizId": "c1", "submittedAt": "2026-01-01T00:00:00Z", "score": 10}')$$) \g /dev/null
SELECT pg_temp.store(:'report', '{"userId": "u1", "courseId": "c1", "status": "completed", "rawScore": 3, "maxScore": 3, "completedAt": "2026-04-02T00:00:00Z"}') \g /dev/null
SELECT is((SELECT string_agg(source || ' ' || score, ', ' ORDER BY submitted_at) FROM mindtickle.quiz_submission WHERE tenant_id = 'lv'), 'sql 10.0000, live 100.0000', 'results of other sources stay');

-- Linking: what came under MindTickle's id is the user's whom an identity provider had brought.
SELECT pg_temp.service($$SELECT mt_provision_user('lv', '{"userName": "later@lv.example", "email": "later@lv.example", "attributes": {"badge": 7}}')$$) AS later \gset
SELECT is(pg_temp.store(:'users', '{"mindtickleId": "later", "email": "LATER@lv.example", "attributes": {"userState": "ADDED"}}'), '1 1 0 1', 'the roster brings him');
SELECT is((SELECT user_id FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND user_id <> ALL ('{u1,u2,u3,u4}')) COLLATE "default", :'later', 'his progress is his');
SELECT is((SELECT attributes FROM mindtickle.users WHERE tenant_id = 'lv' AND mindtickle_id = 'later'), '{"badge": 7, "userState": "ADDED"}', 'and so are his attributes');

-- Who was deleted and came back is found before who he was.
INSERT INTO mindtickle.users (tenant_id, user_id, scim_external_id, email, active, deleted_at) VALUES ('lv', 'back-1', 'hr-9', 'back@lv.example', false, '2026-03-01'),
	('lv', 'back-2', 'hr-9', 'back@lv.example', false, '2026-03-02'), ('lv', 'back-3', 'hr-9', 'Back@lv.example', true, NULL);
CREATE FUNCTION pg_temp.errand_user(id text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.service(format('SELECT user_id FROM mindtickle.errand_user(''lv'', %L)', id)) $$;
SELECT is(pg_temp.errand_user('hr-9'), 'back-3', 'by the identity provider''s id');
SELECT is(pg_temp.errand_user('back-1'), 'back-1', 'the former one by his own');
SELECT pg_temp.store(:'report', '{"email": "back@lv.example", "courseId": "c7", "status": "completed"}') \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ') FROM mindtickle.course_progress WHERE tenant_id = 'lv' AND course_id = 'c7'), 'back-3', 'and in a report by his e-mail');
UPDATE mindtickle.users SET active = false, deleted_at = '2026-02-01' WHERE tenant_id = 'lv' AND user_id = 'back-3';
SELECT is(pg_temp.errand_user('hr-9'), 'back-2', 'of several who are deleted it is the last');

-- Phases for which there is nothing to ask.
SELECT pg_temp.service(format($$SELECT mindtickle.sync_pass_phase('lv', %s, 'quiz_results'), mindtickle.sync_pass_phase('lv', %1$s, 'teams')$$, :job)) \g /dev/null
SELECT results_eq($$SELECT resource COLLATE "default", data_as_of FROM mindtickle.sync_resource WHERE tenant_id = 'lv' AND resource <> ALL ('{teams,series}')$$,
	format($$SELECT 'quiz_results', started_at FROM mindtickle.sync_job WHERE tenant_id = 'lv' AND job_id = %s$$, :job), 'readiness does not wait for results that came with the progress');
SELECT pg_temp.service(format($$SELECT mindtickle.sync_forget_seen('lv', %s, 'roster')$$, :job)) \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.sync_seen WHERE tenant_id = 'lv' AND phase = 'roster'), 0::bigint, 'what a listing had shown can be forgotten');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'lv-other'), 0::bigint, 'nothing of it is another tenant''s');
SELECT * FROM finish();
ROLLBACK;
