\set ECHO none
-- mt_export_user and mt_erase_user: what is told is all there is, and what is erased is in no table any more, for whom others are not harmed.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(48);

DROP ROLE IF EXISTS pr_admin, pr_writer;
CREATE ROLE pr_admin;
CREATE ROLE pr_writer;
SELECT mt_create_tenant('pr', 'Privacy'), mt_create_tenant('pr-other', 'Other'), mt_grant_tenant('pr', 'pr_admin', 'admin'), mt_grant_tenant('pr', 'pr_writer', 'writer') \g /dev/null
SET LOCAL TimeZone = 'Asia/Tokyo';

-- Zoë has been here for a while: under other names, in every table.
SELECT mt_provision_user('pr', '{"userId": "zoe-1", "email": "Zoe.Old@example.com", "name": "Zoë Maiden"}'),
	mt_provision_user('pr', '{"userId": "zoe-1", "mindtickleId": "mt-zoe", "scimExternalId": "hr-zoe", "userName": "zoe.login@example.com", "email": "Zoe.New@example.com", "name": "Zoë O''Neil", "role": "manager", "title": "Lead", "attributes": {"badge": "B-77"}}'),
	mt_provision_user('pr', '{"userId": "ann", "email": "ann@example.com", "name": "Ann", "managerId": "zoe-1", "managerEmail": "zoe.new@example.com", "attributes": {"a_0": "zoë o''neil", "level": 3, "note": "ask Zoe.New@example.com."}}'),
	mt_provision_user('pr', '{"userId": "bob", "email": "aZoe.New@example.com", "name": "Zoë O''Neil", "attributes": {"deputy": {"email": "ZOE.NEW@example.com", "userId": "zoe-1"}, "course": "zoe-1", "zoe.new@example.com": true}}'),
	mt_provision_user('pr-other', '{"userId": "zoe-1", "email": "Zoe.New@example.com", "name": "Zoë O''Neil"}') \g /dev/null
UPDATE mindtickle.users SET attributes = attributes || '{"scim": {"emails": [{"value": "Zoe.Home@example.net"}, {"value": "zoe.new@example.com"}], "displayName": "Zed"}}' WHERE tenant_id = 'pr' AND user_id = 'zoe-1';
INSERT INTO mindtickle.team (tenant_id, team_id, name, manager_id, source) VALUES ('pr', 't', 'West', 'zoe-1', 'pull'), ('pr', 't2', 'East', 'ann', 'pull');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) VALUES ('pr', 't', 'zoe-1', 'pull'), ('pr', 't', 'ann', 'pull'), ('pr', 't2', 'zoe-1', 'pull');
INSERT INTO mindtickle.course (tenant_id, course_id, title, source) VALUES ('pr', 'c', 'Course', 'pull');
SELECT mt_upsert_progress('pr', u, '[{"courseId": "c", "status": "completed", "score": 70, "completedAt": "2026-01-02T03:04:05Z"}, {"courseId": "d", "status": "in_progress"}]') FROM unnest('{zoe-1,ann}'::text[]) AS u \g /dev/null
SELECT mt_process_quiz_result('pr', jsonb_build_object('userId', u, 'courseId', 'c', 'quizId', 'q', 'submittedAt', '2026-01-03T00:00:00Z', 'score', 50, 'answers', '[{"questionId": "why", "selected": "because", "correct": true}]'::jsonb)) FROM unnest('{zoe-1,ann}'::text[]) AS u \g /dev/null
SELECT mt_aggregate_readiness('pr') \g /dev/null
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES
	('pr', 'pull', 'users', 'name is wrong', convert_to('{"mindtickleId": "mt-zoe", "name": 7}', 'UTF8')),
	('pr', 'pull', 'users', 'no JSON', convert_to('{"name": "Zo\u00eb O''Neil", ', 'UTF8')),
	('pr', 'pull', 'users', 'no UTF-8', '\xff00'::bytea || convert_to(' zoe.old@EXAMPLE.com ', 'UTF8')),
	('pr', 'scim', 'users', 'the other address', convert_to('{"emails": [{"value": "zoe.home@example.net"}]}', 'UTF8')),
	('pr', 'pull', 'progress/zoe-1', 'courseId is required', convert_to('{"status": "completed"}', 'UTF8')),
	('pr', 'scim', 'user', 'operation is required', convert_to('{"user": {"email": "Zoe.New@example.com"}}', 'UTF8')),
	('pr', 'pull', 'users', 'ann''s', convert_to('{"mindtickleId": "mt-ann", "name": 7, "course": "zoe-1", "email": "azoe.new@example.com"}', 'UTF8')),
	('pr', 'pull', 'users', 'ann''s, no JSON', convert_to('{"mindtickleId": "mt-zoe-2", ', 'UTF8')),
	('pr', 'pull', 'progress/zoe-12', 'another''s', convert_to('{}', 'UTF8'));
INSERT INTO mindtickle.sync_job (tenant_id, kind, state, position, error) VALUES ('pr', 'full', 'running', '{"after": "zoe-1", "page": 3}', NULL), ('pr', 'user', 'failed', '{}', 'no answer for zoe.new@example.com');
INSERT INTO mindtickle.sync_seen (tenant_id, job_id, phase, object_id) SELECT 'pr', job_id, 'roster', o FROM mindtickle.sync_job, unnest('{mt-zoe,mt-ann}'::text[]) AS o WHERE tenant_id = 'pr' AND state = 'running';
INSERT INTO mindtickle.sync_resource (tenant_id, resource, error) VALUES ('pr', 'roster', 'Zoe.New@example.com is broken');
UPDATE mindtickle.tenant SET last_error = 'Zoe.New@example.com is broken' WHERE tenant_id = 'pr';
-- Some of the events are published.
INSERT INTO mindtickle.event_0 (tenant_id, seq, topic, payload, created_at) SELECT 'pr', row_number() OVER (ORDER BY o.outbox_id) + 1000, o.topic, o.payload, o.created_at FROM mindtickle.outbox AS o WHERE o.tenant_id = 'pr';
INSERT INTO mindtickle.event_position_0 SELECT 'pr', 1, 1001, max(e.seq), NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM mindtickle.event_0 AS e WHERE e.tenant_id = 'pr';
INSERT INTO mindtickle.cache_entry SELECT 'pr', 'roster', pg_current_xact_id(), 1000, 1, 1, pg_current_snapshot(), now(), now(), mindtickle.render_roster('pr');

-- Export.
CREATE TEMP TABLE export AS SELECT mt_export_user('pr', 'zoe-1') AS d;
SELECT is((SELECT (d -> 'user') - '{createdAt,updatedAt}'::text[] FROM export), '{"userId": "zoe-1", "mindtickleId": "mt-zoe", "scimExternalId": "hr-zoe", "userName": "zoe.login@example.com", "email": "Zoe.New@example.com", "name": "Zoë O''Neil", "role": "manager",
	"active": true, "title": "Lead", "department": null, "location": null, "hiredAt": null, "managerId": null, "managerEmail": null, "attributes": {"badge": "B-77", "scim": {"emails": [{"value": "Zoe.Home@example.net"}, {"value": "zoe.new@example.com"}], "displayName": "Zed"}}, "version": 2, "deletedAt": null}', 'the user, all columns');
SELECT is((SELECT string_agg(t ->> 'teamName', ', ' ORDER BY t ->> 'teamName') FROM export, jsonb_array_elements(d -> 'teams') AS t), 'East, West', 'teams');
SELECT is((SELECT d -> 'managesUsers' FROM export), '["ann"]', 'whom the user manages');
SELECT is((SELECT d -> 'managesTeams' FROM export), '["t"]', 'which teams');
SELECT is((SELECT string_agg(concat_ws(' ', p ->> 'courseId', p ->> 'courseTitle', p ->> 'status', p ->> 'score', p ->> 'completedAt'), ', ' ORDER BY p ->> 'courseId') FROM export, jsonb_array_elements(d -> 'courseProgress') AS p),
	'c Course completed 70.0000 2026-01-02T03:04:05+00:00, d in_progress', 'progress');
SELECT is((SELECT jsonb_agg(q - '{receivedAt}'::text[]) FROM export, jsonb_array_elements(d -> 'quizResults') AS q), '[{"userId": "zoe-1", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-03T00:00:00+00:00", "score": 50.0000, "computedScore": 100.0000,
	"attempt": null, "passed": null, "maxScore": null, "rawScore": null, "source": "sql", "answers": [{"questionId": "why", "selected": "because", "correct": true}]}]', 'quiz results with their answers');
SELECT is((SELECT string_agg(concat_ws(' ', r ->> 'avgScore', r ->> 'completionRate', r ->> 'teamNames'), ', ') FROM export, jsonb_array_elements(d -> 'readiness') AS r), '50.0000 0.5000 ["East", "West"]', 'readiness');
SELECT is((SELECT string_agg(e, ', ' ORDER BY e) FROM (SELECT concat_ws(' ', e ->> 'topic', e #>> '{payload,operation}', count(*)) AS e FROM export, jsonb_array_elements(d -> 'events') AS e GROUP BY e ->> 'topic', e #>> '{payload,operation}') AS t),
	'progress.synced 2, quiz.completed 2, user_changed CREATE 2, user_changed UPDATE 2', 'events, published and not');
SELECT is((SELECT string_agg(l ->> 'reason', ', ' ORDER BY (l ->> 'letterId')::bigint) FROM export, jsonb_array_elements(d -> 'deadLetters') AS l), 'name is wrong, no JSON, no UTF-8, the other address, courseId is required, operation is required', 'dead letters');
SELECT is((SELECT l ->> 'raw' FROM export, jsonb_array_elements(d -> 'deadLetters') AS l WHERE l ->> 'reason' = 'no UTF-8'), '\377\000 zoe.old@EXAMPLE.com ', 'whatever their bytes are');
SELECT is((SELECT string_agg(key, ' ' ORDER BY key) FROM export, jsonb_object_keys(d) AS key), 'courseProgress deadLetters events exportedAt managesTeams managesUsers quizResults readiness teams tenantId user', 'that is all');
SELECT is_empty($$SELECT w FROM export, unnest('{ann@example.com,azoe.new,mt-ann,bob}'::text[]) AS w WHERE strpos(lower((d - 'managesUsers'::text)::text), w) > 0$$, 'and nothing of others');
SELECT is((SELECT mt_export_user('pr', 'mt-zoe') #>> '{user,userId}'), 'zoe-1', 'by MindTickle''s id');
SELECT is((SELECT mt_export_user('pr', 'hr-zoe') #>> '{user,userId}'), 'zoe-1', 'by the identity provider''s');
SELECT is((SELECT jsonb_array_length(mt_export_user('pr', 'zoe-1') -> 'events') FROM export), 8, 'it writes nothing');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_export_user('pr', 'zoe-1') #>> '{user,name}'$$), 'Zoë O''Neil', 'for an admin');
SELECT is(pg_temp.as_role('pr_writer', $$SELECT mt_export_user('pr', 'zoe-1')$$), '42501: permission denied for tenant "pr"', 'and nobody less');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_export_user('pr-other', 'zoe-1')$$), '42501: permission denied for tenant "pr-other"', 'nor of another tenant');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_export_user('pr', 'nobody')$$), 'P0002: there is nothing about such a user', 'of nobody there is nothing');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_export_user('pr', '')$$), '22023: user_id must not be empty', 'an empty id');

-- Where something stands: every row of every table, bytes also as what they say.
CREATE FUNCTION pg_temp.places(tenant text, word text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t record;
	found bigint;
	result text := '';
BEGIN
	-- The tables of a ring count as one.
	FOR t IN SELECT regexp_replace(c.relname, '_[0-9]$', '') AS name, string_agg(format('(SELECT count(*) FROM %s AS x WHERE tenant_id = $1 AND strpos(lower(concat(x::text, %s)), lower($2)) > 0)', c.oid::regclass,
				coalesce((SELECT string_agg(format('encode(x.%I, ''escape'')', a.attname), ' || ') FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.atttypid = 'bytea'::regtype AND NOT a.attisdropped), '''''')), ' + ') AS counts
			FROM pg_class AS c JOIN pg_attribute AS i ON i.attrelid = c.oid AND i.attname = 'tenant_id' WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' GROUP BY 1 ORDER BY 1 LOOP
		EXECUTE 'SELECT ' || t.counts INTO found USING tenant, word;
		IF found > 0 THEN
			result := result || format('%s %s ', t.name, found);
		END IF;
	END LOOP;
	RETURN trim(result);
END
$$;
CREATE TEMP TABLE word AS SELECT * FROM unnest('{zoe-1,mt-zoe,hr-zoe,zoe.login,zoe.old,zoe.new@,zoe.home,zoë,zo\\u00eb,o''neil,B-77,because}'::text[]) AS w (word);
SELECT cmp_ok((SELECT count(*) FROM word, regexp_split_to_table(pg_temp.places('pr', word), ' [0-9]+') AS p WHERE p <> ''), '>', 30::bigint, 'there is something to erase');
SELECT matches(pg_temp.places('pr', 'zoe-1'), 'cache_entry.*dead_letter.*event.*outbox.*quiz_submission.*readiness_delta.*sync_job.*team.*users', 'nearly everywhere');
CREATE FUNCTION pg_temp.others() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT (u - '{version,updated_at,manager_id,manager_email,attributes}'::text[])::text FROM (SELECT to_jsonb(k) FROM mindtickle.users AS k WHERE k.user_id <> 'zoe-1' OR k.tenant_id <> 'pr') AS t (u)
	UNION ALL SELECT p::text FROM mindtickle.course_progress AS p WHERE user_id <> 'zoe-1' UNION ALL SELECT s::text FROM mindtickle.quiz_submission AS s WHERE user_id <> 'zoe-1'
	UNION ALL SELECT m::text FROM mindtickle.team_member AS m WHERE user_id <> 'zoe-1' UNION ALL SELECT d::text FROM mindtickle.dead_letter AS d WHERE reason ~ 'ann|another'
	UNION ALL SELECT r::text FROM mindtickle.readiness_report AS r UNION ALL SELECT concat(e.seq, e.topic) FROM mindtickle.event AS e
	UNION ALL SELECT e.payload::text FROM mindtickle.event AS e WHERE e.tenant_id <> 'pr' OR e.payload ->> 'userId' = 'ann' OR e.payload #>> '{user,userId}' = 'bob' AND false
$$;
CREATE TEMP TABLE others AS SELECT * FROM pg_temp.others();

-- Erasure.
SELECT is(pg_temp.as_role('pr_writer', $$SELECT mt_erase_user('pr', 'zoe-1')$$), '42501: permission denied for tenant "pr"', 'a writer erases nobody');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_erase_user('pr-other', 'zoe-1')$$), '42501: permission denied for tenant "pr-other"', 'nor does an admin of another tenant');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_erase_user('pr', 'nobody')$$), 'P0002: there is nothing about such a user', 'nobody is not to be erased');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_erase_user('pr', 'hr-zoe') > 20$$), 'true', 'erased, by any id');
SELECT is_empty($$SELECT word, p FROM word, pg_temp.places('pr', word) AS p WHERE p <> '' AND word NOT IN ('zoe.new@', 'zoe-1', 'mt-zoe', 'zoë', 'o''neil', 'because')$$, 'no trace of ids and addresses that were Zoë''s alone');
SELECT is(pg_temp.places('pr', 'zoe.new@'), 'dead_letter 1 event 1 outbox 1 users 1', 'another one''s address, of which hers is the end, stays');
SELECT is_empty($$SELECT p FROM regexp_split_to_table((SELECT concat(string_agg(to_jsonb(x)::text, '')) FROM mindtickle.users AS x WHERE tenant_id = 'pr'), '"') AS p WHERE p = 'zoe.new@example.com' OR p ~* '[^a]zoe.new@'$$, 'and stands alone');
SELECT is(pg_temp.places('pr', 'zoë'), 'event 1 outbox 1 users 1', 'another one of the same name stays');
SELECT is(pg_temp.places('pr', 'because'), 'event 1 outbox 1 quiz_submission 1', 'and the same answer of another one');
SELECT is(pg_temp.places('pr', 'mt-zoe'), 'dead_letter 1', 'and an id that begins like hers');
SELECT is(pg_temp.places('pr', 'zoe-1'), 'dead_letter 2 event 1 outbox 1 users 1', 'and her id where it is a course');
SELECT is((SELECT attributes FROM mindtickle.users WHERE tenant_id = 'pr' AND user_id = 'ann'), '{"a_0": null, "level": 3, "note": null}', 'whom she managed does not name her any more');
SELECT is((SELECT concat(manager_id, manager_email) FROM mindtickle.users WHERE tenant_id = 'pr' AND user_id = 'ann'), '', 'and has no manager');
SELECT is((SELECT attributes FROM mindtickle.users WHERE tenant_id = 'pr' AND user_id = 'bob'), '{"deputy": {"email": null, "userId": null}, "course": "zoe-1"}', 'nor does anybody else');
SELECT set_eq('SELECT * FROM pg_temp.others()', 'SELECT * FROM others', 'what is others'' is as it was');
SELECT is((SELECT string_agg(DISTINCT payload::text, '') FROM mindtickle.event WHERE tenant_id = 'pr' AND payload ? 'erased'), '{"erased": true, "tenantId": "pr"}', 'events keep their place and say nothing');
SELECT is((SELECT position FROM mindtickle.sync_job WHERE tenant_id = 'pr' AND state = 'running'), '{"after": null, "page": 3}', 'the pull that is running goes on');
SELECT is((SELECT concat_ws(', ', t.last_error, r.error, j.error) FROM mindtickle.tenant AS t, mindtickle.sync_resource AS r, mindtickle.sync_job AS j WHERE t.tenant_id = 'pr' AND r.tenant_id = 'pr' AND j.tenant_id = 'pr' AND j.state = 'failed'), 'erased, erased, erased', 'errors');
SELECT is_empty($$SELECT * FROM mt_verify_readiness('pr') WHERE NOT equal$$, 'readiness is exact');
SELECT is((SELECT concat_ws(' ', learners, quiz_results, assignments, completed) FROM mt_readiness('pr')), '2 1 2 1', 'and without her');
SELECT is(pg_temp.places('pr-other', 'zoe.new@'), 'outbox 1 users 1', 'another tenant''s user of the same ids is as before');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_export_user('pr', 'zoe-1')$$), 'P0002: there is nothing about such a user', 'there is nothing to export');
SELECT is(pg_temp.as_role('pr_admin', $$SELECT mt_erase_user('pr', 'zoe-1')$$), 'P0002: there is nothing about such a user', 'nor to erase');

-- Somebody of whom only progress has come; two who share what identifies them.
SELECT mt_upsert_progress('pr', 'early', '[{"courseId": "c", "status": "completed"}]') \g /dev/null
SELECT is((SELECT jsonb_array_length(mt_export_user('pr', 'early') -> 'courseProgress')), 1, 'progress of an unknown user');
SELECT is(mt_erase_user('pr', 'early'), 2::bigint, 'is erased, with the event of it');
SELECT mt_provision_user('pr', '{"userId": "s1", "mindtickleId": "x1", "scimExternalId": "s2", "email": "shared@example.com"}'), mt_provision_user('pr', '{"userId": "s2", "mindtickleId": "x2", "email": "shared@example.com"}'),
	mt_upsert_progress('pr', 's2', '[{"courseId": "c", "status": "completed"}]') \g /dev/null
SELECT mt_erase_user('pr', 's1') \g /dev/null
SELECT is((SELECT concat_ws(' ', u.user_id, u.email, p.status) FROM mindtickle.users AS u JOIN mindtickle.course_progress AS p USING (tenant_id, user_id) WHERE tenant_id = 'pr' AND user_id = 's2'), 's2 shared@example.com completed',
	'an id and an address that are another one''s as well are left to that one');

SELECT * FROM finish();
ROLLBACK;
