\set ECHO none
-- mt_provision_user and mt_deactivate_user: whom a document means, what it changes, and what is told of it.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(67);

DROP ROLE IF EXISTS pv_writer, pv_reader;
CREATE ROLE pv_writer;
CREATE ROLE pv_reader;
SELECT mt_create_tenant('pv', 'Provisioning'), mt_grant_tenant('pv', 'pv_writer', 'writer'), mt_grant_tenant('pv', 'pv_reader', 'reader') \g /dev/null
SET LOCAL TimeZone = 'UTC';

CREATE FUNCTION pg_temp.provision(person jsonb, role_name text DEFAULT 'pv_writer') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_provision_user(''pv'', %L)', person))
$$;
CREATE FUNCTION pg_temp.person(id text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(to_jsonb(u) - '{tenant_id,created_at,updated_at,email_key,user_name_key}'::text[]) FROM mindtickle.users AS u WHERE u.tenant_id = 'pv' AND u.user_id = id
$$;
-- The last event, in short, and how many there are.
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$
	SELECT count(*) || ' ' || (array_agg(topic || ' ' || (payload ->> 'operation') || ' ' || (payload #>> '{user,userId}') ORDER BY place DESC))[1]
	FROM pg_temp.events('pv') WITH ORDINALITY AS e (topic, payload, place) WHERE topic = 'user_changed'
$$;

-- A new user, with all fields.
SELECT is(pg_temp.provision('{"userId": "u1", "mindtickleId": "m1", "scimExternalId": "s1", "userName": "Ada.L", "email": "Ada@Example.com", "name": "Ada", "role": "manager", "active": true, "title": "Lead", "department": "Sales",
	"location": "London", "hiredAt": "2020-01-02", "managerId": "u0", "managerEmail": "boss@example.com", "attributes": {"level": 3}, "unknown": "ignored"}'), 'u1', 'a user is made under the id given');
SELECT is(pg_temp.person('u1'), '{"user_id": "u1", "mindtickle_id": "m1", "scim_external_id": "s1", "user_name": "Ada.L", "email": "Ada@Example.com", "name": "Ada", "role": "manager", "active": true, "title": "Lead",
	"department": "Sales", "location": "London", "hired_at": "2020-01-02T00:00:00+00:00", "manager_id": "u0", "manager_email": "boss@example.com", "attributes": {"level": 3}, "version": 1}', 'with all fields');
SELECT is(pg_temp.told(), '1 user_changed CREATE u1', 'event CREATE');
SELECT is((SELECT payload FROM pg_temp.events('pv')), '{"tenantId": "pv", "operation": "CREATE", "user": {"userId": "u1", "mindtickleId": "m1", "scimExternalId": "s1", "userName": "Ada.L", "email": "Ada@Example.com", "name": "Ada",
	"role": "manager", "active": true, "title": "Lead", "department": "Sales", "location": "London", "hiredAt": "2020-01-02T00:00:00+00:00", "managerId": "u0", "managerEmail": "boss@example.com", "attributes": {"level": 3}}}',
	'the user in the names of the data model');
SELECT is(pg_temp.provision('{"mindtickleId": "m2"}'), 'm2', 'without a userId MindTickle''s id becomes ours');
SELECT is(pg_temp.person('m2'), '{"user_id": "m2", "mindtickle_id": "m2", "role": "rep", "active": true, "attributes": {}, "version": 1}', 'a rep, active');
SELECT pg_temp.provision('{"email": "grace@example.com", "scimExternalId": "s3"}') AS grace \gset
SELECT matches(:'grace'::text, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'without that it is a uuid');

-- Nothing new, nothing written.
SELECT ctid AS place FROM mindtickle.users WHERE tenant_id = 'pv' AND user_id = 'u1' \gset
SELECT is(pg_temp.provision('{"userId": "u1", "name": "Ada", "email": "Ada@Example.com", "attributes": {"level": 3}, "hiredAt": "2020-01-02T00:00:00Z"}'), 'u1', 'what is there already');
SELECT is((SELECT version FROM mindtickle.users WHERE user_id = 'u1'), 1::bigint, 'moves no version');
SELECT is((SELECT ctid::text FROM mindtickle.users WHERE tenant_id = 'pv' AND user_id = 'u1'), :'place', 'writes no row');
SELECT is(pg_temp.told(), format('3 user_changed CREATE %s', :'grace'), 'and tells nothing');

-- Matching: userId, mindtickleId, scimExternalId, e-mail.
SELECT is(pg_temp.provision('{"mindtickleId": "m1", "title": "Head"}'), 'u1', 'by MindTickle''s id');
SELECT is(pg_temp.person('u1') -> 'version', '2', 'the version moves');
SELECT is(pg_temp.told(), '4 user_changed UPDATE u1', 'event UPDATE');
SELECT is(pg_temp.provision('{"scimExternalId": "s1", "title": "VP"}'), 'u1', 'by the identity provider''s id');
SELECT is(pg_temp.provision('{"email": "aDA@eXAMPLE.COM", "title": "CEO"}'), 'u1', 'by e-mail, without regard to case');
SELECT is(pg_temp.person('u1') -> 'email', '"aDA@eXAMPLE.COM"', 'which is then as it was given last');
SELECT is(pg_temp.provision('{"userId": "u1", "mindtickleId": "m1", "scimExternalId": "s3", "email": "grace@example.com"}'), 'u1', 'our id goes before the others');
SELECT is(pg_temp.provision('{"userId": "u1", "scimExternalId": "s1", "email": "Ada@Example.com"}'), 'u1', 'and back');
SELECT is(pg_temp.provision('{"mindtickleId": "m2", "scimExternalId": "s3"}'), 'm2', 'MindTickle''s id before the identity provider''s');
SELECT is(pg_temp.provision('{"mindtickleId": "m2", "scimExternalId": null}'), 'm2', 'and back');
SELECT isnt(pg_temp.provision('{"mindtickleId": "m9", "email": "ada@example.com"}'), 'u1', 'a shared e-mail does not link two ids of MindTickle');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'pv' AND email_key = 'ada@example.com'), 2::bigint, 'they are two users');
SELECT is(pg_temp.provision('{"userId": "u1", "name": null, "attributes": null, "role": null, "hiredAt": null}'), 'u1', 'null clears');
SELECT is(pg_temp.person('u1') - '{version}'::text[], '{"user_id": "u1", "mindtickle_id": "m1", "scim_external_id": "s1", "user_name": "Ada.L", "email": "Ada@Example.com", "role": "rep", "active": true, "title": "CEO",
	"department": "Sales", "location": "London", "manager_id": "u0", "manager_email": "boss@example.com", "attributes": {}}', 'and what is absent stays');
SELECT is(pg_temp.provision('{"userId": "m2", "userName": "ADA.l"}') LIKE '23505: %', true, 'a user name is one user''s');
SELECT is(pg_temp.provision('{"userId": "m2", "mindtickleId": "m1"}') LIKE '23505: %', true, 'and so is an id of MindTickle');

-- A match links, and what had come under MindTickle's id comes under ours.
SELECT is(mt_upsert_progress('pv', 'm3', '[{"courseId": "a", "status": "completed", "score": 70}, {"courseId": "b", "status": "in_progress"}]'), 2, 'progress of a user of MindTickle who is not known yet');
SELECT is(mt_process_quiz_result('pv', '{"userId": "m3", "courseId": "a", "quizId": "q", "submittedAt": "2026-01-01", "score": 70}'), true, 'and a quiz result');
SELECT is(pg_temp.provision('{"mindtickleId": "m3", "email": "GRACE@example.com"}'), :'grace', 'linked by e-mail to the one whom the identity provider knew');
SELECT results_eq($$SELECT user_id COLLATE "default", course_id COLLATE "default", status COLLATE "default", score FROM mindtickle.course_progress WHERE tenant_id = 'pv' ORDER BY course_id$$,
	format($$VALUES (%L, 'a', 'completed', 70.0000), (%L, 'b', 'in_progress', NULL)$$, :'grace', :'grace'), 'progress comes under our id');
SELECT is((SELECT string_agg(user_id, ',') FROM mindtickle.quiz_submission WHERE tenant_id = 'pv'), :'grace', 'and the quiz result');
SELECT is(mt_upsert_progress('pv', 'm3', '[{"courseId": "a", "status": "completed", "score": 71}]'), 1, 'further progress by MindTickle''s id');
SELECT is((SELECT count(*) FROM mindtickle.course_progress WHERE tenant_id = 'pv'), 2::bigint, 'finds the same rows');
SELECT is(mt_upsert_progress('pv', 'm4', '[{"courseId": "a", "status": "completed", "score": 10, "updatedAt": "2026-02-01"}, {"courseId": "c", "status": "completed", "updatedAt": "2026-02-01"}]'), 2, 'progress under an id');
SELECT is(pg_temp.provision('{"scimExternalId": "s4", "email": "alan@example.com", "userId": "u4"}'), 'u4', 'of a user who is then made without it');
SELECT is(mt_upsert_progress('pv', 'u4', '[{"courseId": "a", "status": "completed", "score": 99, "updatedAt": "2026-03-01"}, {"courseId": "d", "status": "not_started"}]'), 2, 'and has progress of the same course');
SELECT is(pg_temp.provision('{"mindtickleId": "m4", "email": "alan@example.com"}'), 'u4', 'when they are linked');
SELECT results_eq($$SELECT user_id COLLATE "default", course_id COLLATE "default", score FROM mindtickle.course_progress WHERE tenant_id = 'pv' AND user_id IN ('u4', 'm4') ORDER BY course_id$$,
	$$VALUES ('u4', 'a', 99.0000), ('u4', 'c', NULL), ('u4', 'd', NULL)$$, 'the later row of a course stays');
-- Of x1 to x4 the row that is moved counts, of y1 to y4 the one that is there.
SELECT mt_upsert_progress('pv', 'm6', '[{"courseId": "x1", "status": "completed", "score": 80}, {"courseId": "x2", "status": "completed", "score": 80, "updatedAt": "2026-02-01"},
	{"courseId": "x3", "status": "in_progress", "score": 80, "updatedAt": "2026-02-01"}, {"courseId": "x4", "status": "in_progress", "score": 80, "updatedAt": "2026-02-01"},
	{"courseId": "y1", "status": "in_progress", "score": 10}, {"courseId": "y2", "status": "in_progress", "score": 10, "updatedAt": "2026-03-01"},
	{"courseId": "y3", "status": "in_progress", "score": 10}, {"courseId": "y4", "status": "completed", "score": 10, "updatedAt": "2026-02-01"}]'), pg_temp.provision('{"userId": "u6"}'),
	mt_upsert_progress('pv', 'u6', '[{"courseId": "x1", "status": "in_progress", "score": 10, "updatedAt": "2026-03-01"}, {"courseId": "x2", "status": "in_progress", "score": 10, "updatedAt": "2026-03-01"},
	{"courseId": "x3", "status": "not_started", "score": 10}, {"courseId": "x4", "status": "in_progress", "score": 10},
	{"courseId": "y1", "status": "completed", "score": 80}, {"courseId": "y2", "status": "completed", "score": 80, "updatedAt": "2026-02-01"},
	{"courseId": "y3", "status": "in_progress", "score": 80, "updatedAt": "2026-02-01"}, {"courseId": "y4", "status": "completed", "score": 80, "updatedAt": "2026-02-01"}]'),
	pg_temp.provision('{"userId": "u6", "mindtickleId": "m6"}') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', course_id, status, round(score)), ', ' ORDER BY course_id) FROM mindtickle.course_progress WHERE tenant_id = 'pv' AND user_id = 'u6'),
	'x1 completed 80, x2 completed 80, x3 in_progress 80, x4 in_progress 80, y1 completed 80, y2 completed 80, y3 in_progress 80, y4 completed 80', 'the furthest state goes before the later one, whichever was moved');
SELECT is(mt_upsert_progress('pv', 'm5', '[{"courseId": "a", "status": "completed"}]'), 1, 'progress under an id of MindTickle');
SELECT is(pg_temp.provision('{"userId": "u5", "mindtickleId": "m5"}'), 'u5', 'of a user who is then made with both ids');
SELECT is((SELECT string_agg(user_id, ',') FROM mindtickle.course_progress WHERE tenant_id = 'pv' AND user_id IN ('u5', 'm5')), 'u5', 'comes under our id as well');

-- Deactivation.
SELECT is(pg_temp.as_role('pv_writer', $$SELECT mt_deactivate_user('pv', 'm1')$$), 'true', 'deactivated, by MindTickle''s id');
SELECT is((SELECT active FROM mindtickle.users WHERE tenant_id = 'pv' AND user_id = 'u1'), false, 'the row stays');
SELECT matches(pg_temp.told(), ' user_changed DELETE u1$', 'event DELETE');
SELECT is((SELECT payload #> '{user,active}' FROM pg_temp.events('pv') WHERE payload ->> 'operation' = 'DELETE'), 'false', 'with the user as he is now');
SELECT is(pg_temp.as_role('pv_writer', $$SELECT mt_deactivate_user('pv', 'u1')$$), 'false', 'again: nothing to do');
SELECT is((SELECT count(*) FROM pg_temp.events('pv') WHERE payload ->> 'operation' = 'DELETE'), 1::bigint, 'and no event');
SELECT is(pg_temp.provision('{"userId": "u1", "active": true}'), 'u1', 'activated again');
SELECT matches(pg_temp.told(), ' user_changed UPDATE u1$', 'event UPDATE');
SELECT is(pg_temp.provision('{"userId": "u1", "active": false}'), 'u1', 'deactivated by a document');
SELECT matches(pg_temp.told(), ' user_changed DELETE u1$', 'event DELETE');
SELECT is(pg_temp.as_role('pv_writer', $$SELECT mt_deactivate_user('pv', 'nobody')$$), 'P0002: there is no such user', 'an unknown user is P0002');
SELECT is(pg_temp.as_role('pv_writer', $$SELECT mt_deactivate_user('pv', '')$$), '22023: user_id must not be empty', 'an empty id');
SELECT is(pg_temp.as_role('pv_reader', $$SELECT mt_deactivate_user('pv', 'u1')$$), '42501: permission denied for tenant "pv"', 'a reader deactivates nobody');
SELECT is(pg_temp.provision('{"userId": "u1"}', 'pv_reader'), '42501: permission denied for tenant "pv"', 'nor provisions');

-- What is wrong is named, and nothing written.
CREATE TEMP TABLE bad (changes jsonb, message text);
INSERT INTO bad SELECT jsonb_build_object(f, v.value), f || v.message FROM unnest('{userId,mindtickleId,scimExternalId,managerId}'::text[]) AS f, (VALUES
	('""'::jsonb, ' must not be empty'), ('7', ' must be a string'), (to_jsonb(repeat('x', 256)), ' must not be longer than 255 bytes')) AS v (value, message);
INSERT INTO bad SELECT jsonb_build_object(f, to_jsonb(repeat('x', 1025))), f || ' must not be longer than 1024 bytes' FROM unnest('{userName,email,managerEmail}'::text[]) AS f;
INSERT INTO bad SELECT jsonb_build_object(f, to_jsonb(repeat('x', 65537))), f || ' must not be longer than 65536 bytes' FROM unnest('{name,title,department,location}'::text[]) AS f;
INSERT INTO bad SELECT jsonb_build_object(f, '7'::jsonb), f || ' must be a string' FROM unnest('{userName,email,managerEmail,name,title,department,location}'::text[]) AS f;
INSERT INTO bad VALUES ('{"role": "boss"}', 'role must be one of "rep", "manager", "admin"'), ('{"role": ""}', 'role must be one of "rep", "manager", "admin"'), ('{"active": "true"}', 'active must be true or false'),
	('{"hiredAt": "2026-02-30"}', 'hiredAt must be a date and time such as "2026-02-03T10:11:12Z"'), ('{"attributes": []}', 'attributes must be an object'),
	(jsonb_build_object('attributes', jsonb_build_object('x', (repeat('[', 63) || repeat(']', 63))::jsonb)), 'the document must not be nested deeper than 64');
SELECT count(*) AS users_before FROM mindtickle.users \gset
SELECT is_empty($$SELECT left(changes::text, 80), r FROM bad, pg_temp.provision('{"userId": "bad"}'::jsonb || changes) AS r WHERE r IS DISTINCT FROM '22023: ' || message$$, 'what is wrong is 22023 and named');
SELECT is_empty($$SELECT d, r FROM unnest('{[],"\"x\"",7,"[{}]"}'::jsonb[]) AS d, pg_temp.provision(d) AS r WHERE r <> '22023: the document must be a JSON object'$$, 'what is no object');
SELECT is(pg_temp.provision('{"name": "Nobody"}'), '22023: the document must have a userId, mindtickleId, scimExternalId or email', 'a document that means nobody');
SELECT is((SELECT count(*) FROM mindtickle.users), :users_before::bigint, 'nothing was written');

-- Any characters.
CREATE TEMP TABLE odd (id text, name text);
INSERT INTO odd VALUES ('long', repeat('x', 10000)), ('long wide', repeat('語', 10000)), ('quotes', $q$O'Brien "the" \ ; -- $1 %s {}$q$), ('emoji', '👩‍💻 😀🏳️‍🌈'), ('rtl', 'مرحبا بالعالم שלום ‮abc'), ('control', E'a\tb\nc\r' || chr(1)), ('combining', 'é é');
SELECT is_empty($$SELECT id, r FROM odd, pg_temp.provision(jsonb_build_object('userId', id, 'name', name)) AS r WHERE r <> id$$, 'names of 10,000 characters, quotes, emoji, right-to-left text, control characters');
SELECT is_empty($$SELECT o.id FROM odd AS o WHERE pg_temp.as_role('pv_reader', format('SELECT name FROM mt_users WHERE user_id = %L', o.id)) IS DISTINCT FROM o.name$$, 'come out as they went in');
SELECT is_empty($$SELECT o.id FROM odd AS o WHERE NOT EXISTS (SELECT FROM pg_temp.events('pv') WHERE payload #>> '{user,name}' = o.name)$$, 'and are told so');

-- Where MindTickle's id of one user is ours of another, he gets one of his own, and is found by MindTickle's then.
SELECT pg_temp.provision('{"mindtickleId": "u1", "email": "upstream@example.com"}') AS upstream \gset
SELECT matches(:'upstream'::text, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'an id that is another user''s');
SELECT is(pg_temp.provision('{"mindtickleId": "u1", "title": "Upstream"}'), :'upstream', 'is this one''s to MindTickle');
SELECT isnt(pg_temp.person('u1') -> 'title', '"Upstream"', 'and means no other');

SELECT * FROM finish();
ROLLBACK;
