\set ECHO none
-- mt_replay_dead_letter: what could not be processed is tried again, by the function of its source.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(87);

CREATE ROLE dl_writer;
CREATE ROLE dl_reader;
SELECT mt_create_tenant('dl', 'A'), mt_create_tenant('dl-other', 'B'), mt_grant_tenant('dl', 'dl_writer', 'writer'), mt_grant_tenant('dl', 'dl_reader', 'reader') \g /dev/null
-- Keeps a letter and gives its number.
CREATE FUNCTION pg_temp.letter(source text, resource text, raw text) RETURNS int8 LANGUAGE sql AS $$
	INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES ('dl', source, resource, 'was at fault', convert_to(raw, 'UTF8')) RETURNING letter_id
$$;
CREATE FUNCTION pg_temp.replay(letter int8) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('dl_writer', format('SELECT mt_replay_dead_letter(''dl'', %s)', letter))
$$;
CREATE FUNCTION pg_temp.replayed(letter int8) RETURNS bool LANGUAGE sql AS $$
	SELECT d.replayed_at IS NOT NULL FROM mindtickle.dead_letter AS d WHERE d.tenant_id = 'dl' AND d.letter_id = letter
$$;

CREATE FUNCTION pg_temp.service_call(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mindtickle.tenant', 'dl', true);
	RETURN pg_temp.as_role('mindtickle_service', statement);
END
$$;

-- A pull, of each kind of record: at fault again, then put right, as after an update that reads more.
SELECT pg_temp.letter('pull', 'users', '{"mindtickleId": "m1", "email": "one@dl.example", "role": "king"}') AS l \gset
SELECT matches(pg_temp.replay(:l), '^22023: role ', 'a user who is still at fault');
SELECT is(pg_temp.replayed(:l), false, 'stays a dead letter');
UPDATE mindtickle.dead_letter SET raw = convert_to('{"mindtickleId": "m1", "email": "one@dl.example", "role": "rep"}', 'UTF8') WHERE letter_id = :l AND tenant_id = 'dl';
SELECT is(pg_temp.replay(:l), 'true', 'a user who is not');
SELECT is(pg_temp.replayed(:l), true, 'is replayed');
SELECT is((SELECT email FROM mindtickle.users WHERE tenant_id = 'dl' AND mindtickle_id = 'm1'), 'one@dl.example', 'and there');
SELECT is(pg_temp.replay(:l), format('55000: dead letter %s has been replayed already', :l), 'once');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'users', '{"mindtickleId": "m1", "email": "one@dl.example", "role": "rep"}')), 'false', 'what is there already changes nothing');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'users', '{"email": "x@dl.example"}')), '22023: mindtickleId is required', 'a user needs MindTickle''s id');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'courses', '{"courseId": "c1", "title": "One"}')), 'true', 'a course');
SELECT is((SELECT title FROM mindtickle.course WHERE tenant_id = 'dl' AND course_id = 'c1'), 'One', 'is there');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'progress/u1', '{"courseId": "c1", "status": "completed", "score": 50}')), 'true', 'an item of progress');
SELECT is((SELECT status || ' ' || score FROM mindtickle.course_progress WHERE tenant_id = 'dl' AND user_id = 'u1'), 'completed 50.0000', 'is there');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'quiz_results', '{"userId": "u1", "courseId": "c1", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z", "score": 70}')), 'true', 'a quiz result');
SELECT is((SELECT source || ' ' || score FROM mindtickle.quiz_submission WHERE tenant_id = 'dl' AND quiz_id = 'q'), 'pull 70.0000', 'is there, as pulled');
SELECT matches(pg_temp.replay(pg_temp.letter('pull', 'users', 'no JSON')), '^22023: ', 'bytes that are no JSON');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'secrets', '{}')), '22023: nothing is pulled as "secrets"', 'a resource that is none');

-- What the live contract has besides.
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'teams', '{"teamId": "t1", "name": "One"}')), 'true', 'a team');
SELECT is((SELECT name || ' ' || source FROM mindtickle.team WHERE tenant_id = 'dl' AND team_id = 't1'), 'One pull', 'is there');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'teams', '{"name": "Two"}')), '22023: teamId is required', 'a team needs its id');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'series', '{"seriesId": "s1", "name": "One"}')), 'true', 'a series');
SELECT is((SELECT name FROM mindtickle.sync_series WHERE tenant_id = 'dl' AND series_id = 's1'), 'One', 'is there');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'reports', '{"email": "one@dl.example", "courseId": "c2", "status": "completed", "completedAt": "2026-01-02T00:00:00Z", "rawScore": 9, "maxScore": 10}')), 'true', 'a row of a report');
SELECT is((SELECT p.status || ' ' || p.score FROM mindtickle.course_progress AS p JOIN mindtickle.users AS u USING (tenant_id, user_id) WHERE u.tenant_id = 'dl' AND u.mindtickle_id = 'm1' AND p.course_id = 'c2'), 'completed 90.0000', 'is there');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'reports', '{"email": "nobody@dl.example", "courseId": "c2", "status": "completed"}')), '22023: email is of nobody in the roster, and there is no userId', 'one of nobody');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'team_members', '{"mindtickleId": "m1"}')), '0A000: a member of a team cannot be replayed', 'a member of a team does not stand alone');
SELECT is(pg_temp.replay(pg_temp.letter('pull', 'progress/', '{"courseId": "c1", "status": "completed"}')), '22023: nothing is pulled as "progress/"', 'progress of nobody');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND reason <> 'was at fault') + (SELECT count(*) FROM mindtickle.sync_seen WHERE tenant_id = 'dl'), 0::bigint, 'replaying leaves no further letters, and nothing for a pull');

-- A push: the user is queued as he is now.
SELECT user_id AS one FROM mindtickle.users WHERE tenant_id = 'dl' AND mindtickle_id = 'm1' \gset
SELECT pg_temp.letter('push', 'users/' || :'one', '{"userName": "of old"}') AS l \gset
SELECT is(pg_temp.replay(:l), format('55000: user "%s" is not pushed', :'one'), 'a push of a tenant that does not push');
SELECT is(pg_temp.replayed(:l), false, 'stays a dead letter');
SELECT mt_configure_tenant('dl', '{"push_users": true}') \g /dev/null
SELECT is(pg_temp.replay(:l), 'true', 'a push of one that does');
SELECT is((SELECT string_agg(q.user_id || ' ' || q.version, ',') FROM mindtickle.push_queue AS q WHERE q.tenant_id = 'dl'), (SELECT user_id || ' ' || version FROM mindtickle.users WHERE tenant_id = 'dl' AND user_id = :'one'), 'is queued');
SELECT is(pg_temp.replayed(:l), true, 'and replayed');
SELECT is(pg_temp.replay(pg_temp.letter('push', 'users/gone', '{}')), '55000: user "gone" is not pushed', 'of a user who is not there any more');
SELECT is(pg_temp.replay(pg_temp.letter('push', 'teams/t1', '{}')), '22023: nothing is pushed as "teams/t1"', 'of what is no user');

-- A quiz result that was sent.
SELECT is(pg_temp.replay(pg_temp.letter('http', 'quiz_results', '{"userId": "u1", "courseId": "c1", "quizId": "q2", "submittedAt": "2026-01-01T00:00:00Z", "score": 80}')), 'true', 'a quiz result that was sent');
SELECT is((SELECT source || ' ' || score FROM mindtickle.quiz_submission WHERE tenant_id = 'dl' AND quiz_id = 'q2'), 'sql 80.0000', 'is there, as sent');
SELECT matches(pg_temp.replay(pg_temp.letter('http', 'quiz_results', '{"userId": "u1", "courseId": "c1", "quizId": "q2", "submittedAt": "2026-01-01T00:00:00Z", "score": 90}')), '^23505: ', 'one that contradicts what is recorded');

-- An event of the webhook: of the tenant whose token it came with, and at fault until the tenant's settings know the word.
SELECT pg_temp.letter('http', 'scim_events', '{"operation": "CREATE", "user": {"id": "w1", "email": "w1@dl.example", "role": "queen"}}') AS l \gset
SELECT matches(pg_temp.replay(:l), '^22023: user.role ', 'an event that is still at fault');
SELECT is(pg_temp.replayed(:l), false, 'stays a dead letter');
SELECT mt_configure_tenant('dl', '{"role_map": {"queen": "admin"}}') \g /dev/null
SELECT is(pg_temp.replay(:l), 'true', 'one that is not any more');
SELECT is((SELECT email || ' ' || role FROM mindtickle.users WHERE tenant_id = 'dl' AND user_id = 'w1'), 'w1@dl.example admin', 'is applied');
SELECT is(pg_temp.replay(pg_temp.letter('http', 'scim_events', '{"operation": "CREATE", "user": {"id": "w2", "role": "admin"}}')), 'true', 'one with a word that the settings do not know');
SELECT is((SELECT role FROM mindtickle.users WHERE tenant_id = 'dl' AND user_id = 'w2'), 'rep', 'makes nobody an admin by it');
SELECT is(pg_temp.replay(pg_temp.letter('http', 'scim_events', '{"tenantId": "dl", "operation": "DELETE", "user": {"id": "w1"}}')), 'true', 'one that names its tenant');
SELECT is((SELECT active FROM mindtickle.users WHERE tenant_id = 'dl' AND user_id = 'w1'), false, 'is applied, too');
SELECT is(pg_temp.replay(pg_temp.letter('http', 'scim_events', format('{"tenantId": %s, "operation": "CREATE", "user": {"id": "x"}}', t))), '22023: tenantId is not this tenant', 'one of ' || t)
	FROM unnest(ARRAY['"dl-other"', '"DL"', '["dl"]']) AS t;
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'dl-other' OR user_id = 'x'), 0::bigint, 'makes nobody anywhere');
SELECT is(pg_temp.replay(pg_temp.letter('http', 'secrets', '{}')), '22023: nothing is sent as "secrets"', 'a resource that is none');
SELECT matches(pg_temp.replay(pg_temp.letter('http', 'scim_events', '{"operation": ')), '^22', 'half a document');

-- A SCIM request, which is kept with its method and path.
SELECT pg_temp.as_role('dl_writer', $$SELECT mt_scim_request('dl', 'POST', '/Users', NULL, NULL, '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": 7}')$$) \g /dev/null
SELECT letter_id AS l FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND source = 'scim' AND resource = 'POST /Users' \gset
SELECT matches(pg_temp.replay(:l), '^22023: POST /Users is still refused', 'a SCIM request that is still at fault');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND source = 'scim' AND resource = 'POST /Users'), 1::bigint, 'is kept once');
UPDATE mindtickle.dead_letter SET raw = convert_to('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "seven"}', 'UTF8') WHERE tenant_id = 'dl' AND letter_id = :l;
SELECT is(pg_temp.replay(:l), 'true', 'one that is not');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'dl' AND user_name = 'seven'), 1::bigint, 'is done');

-- Who may, and what is none.
SELECT is(pg_temp.replay(pg_temp.letter('pigeon', 'users', '{}')), '0A000: dead letters of source "pigeon" cannot be replayed', 'a source that is none');
SELECT is(pg_temp.replay(0), '42704: there is no dead letter 0', 'a letter that is none');
SELECT pg_temp.letter('pull', 'courses', '{"courseId": "c2"}') AS l \gset
SELECT matches(pg_temp.as_role('dl_reader', format('SELECT mt_replay_dead_letter(''dl'', %s)', :l)), '^42501: permission denied for tenant "dl"', 'readers do not replay');
SELECT matches(pg_temp.as_role('dl_writer', format('SELECT mt_replay_dead_letter(''dl-other'', %s)', :l)), '^42501: permission denied for tenant "dl-other"', 'nor does another tenant');
SELECT is(pg_temp.as_role('none', format('SELECT mt_replay_dead_letter(''dl-other'', %s)', :l)), format('42704: there is no dead letter %s', :l), 'which has not that letter');
SELECT matches(pg_temp.as_role('dl_writer', $$SELECT mindtickle.replay_pull('dl', 'users', '{}')$$), '^42501: permission denied for function replay_pull', 'what it calls is nobody else''s');

-- Documents of the SCIM webhook are kept without their passwords, which they may have before anything is known of them.
CREATE FUNCTION pg_temp.event_letter(body text, why text DEFAULT 'why') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND resource = 'scim_events';
	PERFORM pg_temp.service_call(format('SELECT mindtickle.keep_dead_letter(''dl'', ''http'', ''scim_events'', %L, convert_to(%L, ''UTF8''))', why, body));
	RETURN (SELECT d.reason || ' | ' || convert_from(d.raw, 'UTF8') FROM mindtickle.dead_letter AS d WHERE d.tenant_id = 'dl' AND d.resource = 'scim_events');
END
$$;
SELECT is(pg_temp.event_letter('{"operation":"CREATE","user":{"id":"e1","role":"King","password":"hunter2"}}'), 'why | {"operation":"CREATE","user":{"id":"e1","role":"King","password":"********"}}', 'a password of an event is overwritten');
SELECT is(pg_temp.event_letter('{"operation": "CREATE", "user": {"id": "e1"}}'), 'why | {"operation": "CREATE", "user": {"id": "e1"}}', 'without one it is kept as it came');
SELECT is(pg_temp.event_letter('{"user":{"password":hunter2}}'), 'why. 29 bytes came. (only what is no secret is kept) | ', 'of what is no JSON nothing is');
SELECT is(pg_temp.event_letter('{"user": no'), 'why | {"user": no', 'unless it holds none');
SELECT is(pg_temp.service_call($$SELECT mindtickle.scim_event_from_body('{"user":{"password":hunter2}}')$$), '22023: the document must be JSON that can be taken in', 'nor is it repeated to who sent it');
SELECT matches(pg_temp.service_call($$SELECT mindtickle.scim_event_from_body('{"user": hunter2}')$$), '^22023: the document must be valid JSON: .*hunter2', 'who else is told what is at fault');

-- What is longer than is kept of it.
SELECT pg_temp.service_call($$SELECT mindtickle.keep_dead_letter('dl', 'http', 'quiz_results', 'is too long', convert_to(rpad('{"userId": "u"}', 65536), 'UTF8')), mindtickle.keep_dead_letter('dl', 'http', 'quiz_results', 'is longer', convert_to(rpad('{"userId": "u"}', 65537), 'UTF8'))$$) \g /dev/null
SELECT is((SELECT octet_length(raw) FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND reason = 'is too long'), 65536, 'so much is kept');
SELECT letter_id AS l FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND reason ~ '^is longer' \gset
SELECT is((SELECT octet_length(raw) || ' ' || reason FROM mindtickle.dead_letter WHERE letter_id = :l AND tenant_id = 'dl'), '65536 is longer (only the first 65536 of 65537 bytes are kept)', 'of more the begin, and the reason says so');
SELECT is(pg_temp.replay(:l), format('55000: dead letter %s cannot be replayed: only the first 65536 of 65537 bytes are kept', :l), 'which cannot be replayed');
SELECT is(pg_temp.replayed(:l), false, 'and stays');

-- How many are kept. Of those that have been replayed the oldest go for what comes; of those that wait none.
DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'dl';
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw, replayed_at)
	SELECT 'dl', 'pull', 'users', 'one of many', convert_to(n::text, 'UTF8'), CASE WHEN n <= 101 THEN now() END FROM generate_series(1, 10000) AS n;
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw, replayed_at) SELECT 'dl-other', 'pull', 'users', 'x', '', now() FROM generate_series(1, 3);
-- A transaction remembers how much room it has counted, until it keeps a letter of another tenant.
SELECT set_config('mindtickle.tenant', 'dl-other', true), pg_temp.as_role('mindtickle_service', $$SELECT mindtickle.keep_dead_letter('dl-other', 'http', 'quiz_results', 'x', '')$$) \g /dev/null
CREATE FUNCTION pg_temp.keep(raw text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service_call(format('SELECT mindtickle.keep_dead_letter(''dl'', ''http'', ''quiz_results'', ''x'', %L)', raw))
$$;
CREATE FUNCTION pg_temp.kept() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s replayed, %s wait, %s', count(replayed_at), count(*) - count(replayed_at), (SELECT dead_letters_full FROM mt_stat_queue WHERE tenant_id = 'dl')) FROM mindtickle.dead_letter WHERE tenant_id = 'dl'
$$;
SELECT is(pg_temp.keep('a') || pg_temp.kept(), '1 replayed, 9900 wait, f', 'where there are ten thousand, replayed ones go');
SELECT is((SELECT convert_from(raw, 'UTF8') FROM mindtickle.dead_letter WHERE tenant_id = 'dl' AND replayed_at IS NOT NULL), '101', 'the oldest');
SELECT pg_temp.keep('b' || n) FROM generate_series(1, 100) AS n \g /dev/null
SELECT is(pg_temp.kept(), '0 replayed, 10000 wait, t', 'until all of them wait');
SELECT is(pg_temp.keep('c'), '53400: the input is at fault, and tenant "dl" has 10000 dead letters that wait already', 'then what comes is refused');
SELECT is(pg_temp.keep('b1'), '', 'but what waits already');
SELECT is(pg_temp.as_role('dl_writer', $$SELECT mt_scim_request('dl', 'POST', '/Users', NULL, NULL, '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": 8}')$$),
	'53400: the input is at fault, and tenant "dl" has 10000 dead letters that wait already', 'by SCIM, too');
-- Of a bulk request only what is at fault is refused.
SELECT is(pg_temp.as_role('dl_writer', $$SELECT (a.status, (SELECT string_agg(o ->> 'status', ' ' ORDER BY place) FROM jsonb_array_elements(a.body::jsonb -> 'Operations') WITH ORDINALITY AS o (o, place)))
	FROM mt_scim_request('dl', 'POST', '/Bulk', NULL, NULL, (SELECT jsonb_build_object('schemas', jsonb_build_array('urn:ietf:params:scim:api:messages:2.0:BulkRequest'), 'Operations', jsonb_agg(jsonb_build_object('method', 'POST', 'path', '/Users', 'bulkId', 'b' || n,
		'data', jsonb_build_object('schemas', jsonb_build_array('urn:ietf:params:scim:schemas:core:2.0:User'), 'userName', CASE WHEN n NOT IN (2, 4) THEN to_jsonb('bulk' || n) ELSE to_jsonb(n) END)) ORDER BY n))::text FROM generate_series(1, 5) AS n)) AS a$$), '(200,"201 429 201 429 201")', 'those operations of a bulk request are refused');
SELECT is((SELECT string_agg(user_name, ' ' ORDER BY user_name) FROM mindtickle.users WHERE tenant_id = 'dl' AND user_name LIKE 'bulk%'), 'bulk1 bulk3 bulk5', 'and the others are done');
SELECT is(pg_temp.service_call($$SELECT (s.received, s.changed, s.rejected) FROM mindtickle.store_users('dl', 1, ARRAY['x'::bytea, '{"mindtickleId": "m9", "email": "nine@dl.example"}', 'y']) AS s$$),
	'(3,1,2)', 'a pull goes on, whose records are upstream still');
CREATE FUNCTION pg_temp.looked_at() RETURNS int8 LANGUAGE sql VOLATILE AS $$ SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'mindtickle.dead_letter'::regclass $$;
SELECT pg_temp.looked_at() AS before \gset
SELECT is(pg_temp.service_call($$SELECT rejected FROM mindtickle.store_users('dl', 1, ARRAY(SELECT convert_to(format('"%s"', n), 'UTF8') FROM generate_series(1, 50) AS n))$$), '50', 'also one with very many');
SELECT cmp_ok(pg_temp.looked_at() - :before, '<', 50000::int8, 'for all of which those that wait are counted once');
SELECT is(pg_temp.service_call(format('SELECT mindtickle.push_reject(''dl'', %L, 99, ''status 400'', ''{}'')', :'one')), '', 'a push that is not accepted');
SELECT is((SELECT error || ' ' || (not_before = now() + interval '1 hour') FROM mindtickle.push_queue WHERE tenant_id = 'dl' AND user_id = :'one'), 'status 400 true', 'stays queued');
SELECT pg_temp.service_call($$SELECT mindtickle.trim_tenant('dl')$$) \g /dev/null
SELECT is(pg_temp.kept(), '0 replayed, 10000 wait, t', 'none of those that wait has gone');
UPDATE mindtickle.dead_letter SET replayed_at = now() WHERE tenant_id = 'dl' AND raw = convert_to('b1', 'UTF8');
SELECT is(pg_temp.keep('c') || pg_temp.kept(), '0 replayed, 10000 wait, t', 'one that is replayed gives way to another one');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'dl-other'), 4::bigint, 'and another tenant''s stay');

SELECT * FROM finish();
ROLLBACK;
