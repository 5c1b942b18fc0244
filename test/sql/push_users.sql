\set ECHO none
-- Users who are to go on to MindTickle are queued in the transaction that changes them, and what the worker does with the queue.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(79);

DROP ROLE IF EXISTS pu_writer;
CREATE ROLE pu_writer;
SELECT mt_create_tenant('pu', 'Push'), mt_create_tenant('pu-quiet', 'Quiet'), mt_grant_tenant('pu', 'pu_writer', 'writer'), mt_grant_tenant('pu-quiet', 'pu_writer', 'writer'),
	mt_configure_tenant('pu', '{"push_users": true}') \g /dev/null
CREATE FUNCTION pg_temp.service(statement text) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.as_role('mindtickle_service', statement) $$;
CREATE FUNCTION pg_temp.queue() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', user_id, version, tries), ', ' ORDER BY user_id) FROM mindtickle.push_queue WHERE tenant_id = 'pu'
$$;
CREATE FUNCTION pg_temp.next(under_way text DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format('SELECT string_agg(concat_ws('' '', user_id, version, user_name, external_id, name, active, scim_id), '', '') FROM mindtickle.push_next(''pu'', %L, 10)', under_way))
$$;
CREATE FUNCTION pg_temp.letters() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', source, resource, reason, convert_from(raw, 'UTF8')), ', ' ORDER BY letter_id) FROM mindtickle.dead_letter WHERE tenant_id = 'pu'
$$;

-- Queueing.
SELECT is(pg_temp.as_role('pu_writer', $$SELECT mt_provision_user('pu-quiet', '{"userId": "q", "email": "q@example.com"}')$$), 'q', 'a tenant that does not push');
SELECT is((SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'pu-quiet'), 0::bigint, 'queues nobody');
SELECT is(pg_temp.as_role('pu_writer', $$SELECT mt_provision_user('pu', '{"userId": "a", "email": "a@example.com", "name": "A"}')$$), 'a', 'one that does');
SELECT is(pg_temp.queue(), 'a 1 0', 'queues who is new');
SELECT is(pg_temp.as_role('pu_writer', $$SELECT mt_provision_user('pu', '{"userId": "a", "name": "A"}')$$), 'a', 'what changes nothing');
SELECT is(pg_temp.queue(), 'a 1 0', 'queues nothing');
SELECT pg_temp.as_role('pu_writer', $$SELECT mt_provision_user('pu', '{"userId": "a", "name": "B"}')$$), pg_temp.as_role('pu_writer', $$SELECT mt_provision_user('pu', '{"userId": "a", "name": "C"}')$$) \g /dev/null
SELECT is(pg_temp.queue(), 'a 3 0', 'several changes of a user are one');
SELECT is(pg_temp.as_role('pu_writer', $$SELECT mt_deactivate_user('pu', 'a')$$), 'true', 'deactivation');
SELECT is(pg_temp.queue(), 'a 4 0', 'is queued');
SAVEPOINT s;
SELECT mt_provision_user('pu', '{"userId": "rolled-back", "email": "r@example.com"}') \g /dev/null
ROLLBACK TO s;
SELECT is(pg_temp.queue(), 'a 4 0', 'what is rolled back is not');
SELECT mt_configure_tenant('pu', '{"push_users": false}') \g /dev/null
SELECT mt_provision_user('pu', '{"userId": "later", "email": "l@example.com"}') \g /dev/null
SELECT is(pg_temp.queue(), 'a 4 0', 'nor what changes while push_users is off');
SELECT mt_configure_tenant('pu', '{"push_users": true}') \g /dev/null

-- What a pull brings is not queued, and does not undo what waits.
SELECT pg_temp.service($$SELECT mindtickle.enter_tenant('pu')$$) \g /dev/null
CREATE FUNCTION pg_temp.pull(record text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format('SELECT changed FROM mindtickle.store_users(''pu'', 0, ARRAY[convert_to(%L, ''UTF8'')])', record))
$$;
SELECT is(pg_temp.pull('{"mindtickleId": "m1", "email": "p@example.com", "name": "P"}'), '1', 'a pulled user');
SELECT is(pg_temp.queue(), 'a 4 0', 'is not queued');
SELECT is(pg_temp.pull('{"mindtickleId": "m2", "email": "A@example.com", "name": "Old", "active": true}'), '1', 'one who waits is linked');
SELECT results_eq($$SELECT mindtickle_id COLLATE "default", name, active FROM mindtickle.users WHERE tenant_id = 'pu' AND user_id = 'a'$$, $$VALUES ('m2', 'C', false)$$, 'but stays as he is to be upstream');
SELECT is(pg_temp.queue(), 'a 4 0', 'and keeps his place');
SELECT is(pg_temp.pull('{"mindtickleId": "m1", "name": "Q"}'), '1', 'one who does not wait is changed');
SAVEPOINT s;
SELECT mt_provision_user('pu', '{"userId": "a", "active": true}') \g /dev/null
INSERT INTO mindtickle.sync_job (tenant_id, kind, state) VALUES ('pu', 'full', 'running') RETURNING job_id AS job \gset
INSERT INTO mindtickle.sync_seen (tenant_id, job_id, phase, object_id) VALUES ('pu', :job, 'roster', 'm1');
SELECT is(pg_temp.service(format($$SELECT mindtickle.deactivate_absent_users('pu', %s)$$, :job)), '0', 'who waits is not missed in a listing');
UPDATE mindtickle.users SET active = true WHERE tenant_id = 'pu' AND user_id = 'a';
DELETE FROM mindtickle.push_queue WHERE tenant_id = 'pu';
SELECT is(pg_temp.service(format($$SELECT mindtickle.deactivate_absent_users('pu', %s)$$, :job)), '1', 'who does not wait is');
ROLLBACK TO s;

-- The queue as the worker sees it.
SELECT is(pg_temp.next(), 'a 5 a@example.com a C f', 'the user as he is now');
SELECT is(pg_temp.next('{a}'), NULL, 'but for who is under way');
SELECT mt_provision_user('pu', '{"userId": "b", "userName": "bee", "scimExternalId": "hr-7"}') \g /dev/null
SELECT is(pg_temp.next('{a}'), 'b 1 bee hr-7 t', 'his user name where there is no e-mail, and the identity provider''s id');
SELECT is(pg_temp.service($$SELECT count(*) FROM mindtickle.push_next('pu', '{}', 1)$$), '1', 'not more than are wanted');
SELECT is(pg_temp.service($$SELECT mindtickle.push_due('pu') <= clock_timestamp()$$), 'true', 'they are due');
SELECT is(pg_temp.as_role('pu_writer', $$SELECT count(*) FROM mindtickle.push_queue$$), '42501: permission denied for table push_queue', 'nobody else sees it');
SET LOCAL mindtickle.tenant = 'pu-quiet';
SELECT is(pg_temp.service($$SELECT count(*) FROM mindtickle.push_next('pu', '{}', 10)$$), '0', 'nor the worker, with another tenant in force');
SELECT is(pg_temp.service($$SELECT mindtickle.push_done('pu', 'b', 9, NULL)$$), '', 'who changes nothing then');
SET LOCAL mindtickle.tenant = '';
SELECT is(pg_temp.as_role('mindtickle_service', $$SELECT string_agg(concat_ws(' ', tenant_id, push_users), ', ' ORDER BY tenant_id) FROM mindtickle.sync_overview() WHERE tenant_id ~ '^pu'$$), 'pu t, pu-quiet f', 'the overview tells who pushes');
SET LOCAL mindtickle.tenant = 'pu';

-- Done, put off, rejected.
SELECT is(pg_temp.service($$SELECT mindtickle.push_done('pu', 'a', 3, 's-1')$$), '', 'an earlier state is upstream');
SELECT is(pg_temp.next('{b}'), 'a 5 a@example.com a C f s-1', 'the later change still waits, with the id that is known now') ;
SELECT pg_temp.service($$SELECT mindtickle.push_done('pu', 'a', 5, 's-2')$$) \g /dev/null
SELECT is(pg_temp.queue(), 'b 1 0', 'with the latest state he is done');
SELECT mt_provision_user('pu', '{"userId": "a", "active": true}') \g /dev/null
SELECT is(pg_temp.next('{b}'), 'a 6 a@example.com a C t s-2', 'the id is remembered');
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', 'a', 6, 'status 500', '')$$) \g /dev/null
SELECT is(pg_temp.queue(), 'a 6 1, b 1 0', 'a failure counts');
SELECT is(pg_temp.next(), 'b 1 bee hr-7 t', 'and puts off');
SELECT results_eq($$SELECT error, not_before BETWEEN now() + interval '7 s' AND now() + interval '13 s' FROM mindtickle.push_queue WHERE tenant_id = 'pu' AND user_id = 'a'$$, $$VALUES ('status 500', true)$$, 'for some seconds at first');
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', 'a', 6, 'x', '') FROM generate_series(1, 20)$$) \g /dev/null
SELECT is((SELECT not_before <= now() + interval '75 min' FROM mindtickle.push_queue WHERE tenant_id = 'pu' AND user_id = 'a'), true, 'never for much more than an hour');
SELECT mt_provision_user('pu', '{"userId": "a", "name": "D"}') \g /dev/null
SELECT is(pg_temp.next('{b}'), 'a 7 a@example.com a D t s-2', 'another change is tried at once');
SELECT pg_temp.service($$SELECT mindtickle.push_reject('pu', 'b', 1, 'the SCIM endpoint answers 400', '{"x": 1}')$$) \g /dev/null
SELECT is(pg_temp.letters(), 'push users/b the SCIM endpoint answers 400 {"x": 1}', 'what is not accepted is a dead letter');
SELECT is(pg_temp.queue(), 'a 7 0', 'and not tried again');
SELECT mt_provision_user('pu', '{"userId": "b", "name": "B"}') \g /dev/null
SELECT pg_temp.service($$SELECT mindtickle.push_reject('pu', 'b', 2, 'the SCIM endpoint answers 400', '{"x": 1}')$$) \g /dev/null
SELECT is(pg_temp.letters(), 'push users/b the SCIM endpoint answers 400 {"x": 1}', 'the same one once');
SELECT pg_temp.service($$SELECT mindtickle.push_refused('pu', 'the scim_token is refused')$$) \g /dev/null
SELECT is((SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'pu'), 'the scim_token is refused', 'a refused token is told');
SELECT is(pg_temp.service($$SELECT mindtickle.push_due('pu') IS NULL$$), 'false', 'one still waits');
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', 'a', 7, 'status 503', '{"y": 2}') FROM generate_series(1, 29)$$) \g /dev/null
SELECT is(pg_temp.queue(), 'a 7 29', 'who fails again and again is tried for long');
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', 'a', 7, 'status 503', '{"y": 2}')$$) \g /dev/null
SELECT matches(pg_temp.letters(), 'push users/a given up after 30 tries: status 503 {"y": 2}$', 'and then a dead letter');
SELECT is(pg_temp.queue(), NULL, 'that waits no more');

-- SCIM. Whoever was deleted and comes back is another user here and the same one there: his deactivation must not follow the return.
DELETE FROM mindtickle.push_queue WHERE tenant_id = 'pu';
CREATE FUNCTION pg_temp.scim(method text, path text, body text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('pu_writer', format('SELECT status || coalesce('' '' || (body::json ->> ''id''), '''') FROM mt_scim_request(''pu'', %L, %L, NULL, NULL, %L)', method, path, body))
$$;
CREATE FUNCTION pg_temp.queued_states() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', u.user_name, q.version, u.active, u.deleted_at IS NOT NULL), ', ' ORDER BY u.created_at, u.user_id) FROM mindtickle.push_queue AS q JOIN mindtickle.users AS u USING (tenant_id, user_id)
	WHERE q.tenant_id = 'pu'
$$;
SELECT substr(pg_temp.scim('POST', '/Users', '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "kim@example.com", "name": {"formatted": "Kim"}}'), 5) AS kim \gset
SELECT is(pg_temp.queued_states(), 'kim@example.com 1 t f', 'who is created by SCIM is queued');
SELECT pg_temp.scim('PATCH', '/Users/' || :'kim', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": false}]}') \g /dev/null
SELECT is(pg_temp.queued_states(), 'kim@example.com 2 f f', 'who is changed by SCIM too');
DELETE FROM mindtickle.push_queue WHERE tenant_id = 'pu';
SELECT is(pg_temp.scim('DELETE', '/Users/' || :'kim'), '204', 'who is deleted');
SELECT is(pg_temp.queued_states(), 'kim@example.com 3 f t', 'is queued, to be deactivated');
SELECT substr(pg_temp.scim('POST', '/Users', '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Kim@example.com"}'), 5) AS again \gset
SELECT isnt(:'again'::text, :'kim'::text, 'who comes back is another one');
SELECT is(pg_temp.queued_states(), 'Kim@example.com 1 t f', 'and takes the place of the former one');
SELECT is(pg_temp.next(format('{%s}', :'kim')), NULL, 'but waits while that one is under way');
SELECT matches(pg_temp.next(), '^' || :'again'::text || ' 1 Kim@example.com', 'and then is next');

-- Whose an id upstream is: nobody takes what another one of ours has there.
INSERT INTO mindtickle.users (tenant_id, user_id, scim_external_id, email) VALUES ('pu', 'linked', 'x-linked', 'l@example.com'), ('pu', 'named', 'x-named', 'n@example.com'),
	('pu', 'own-id', NULL, 'o@example.com'), ('pu', 'new', 'x-new', 'l@example.com');
INSERT INTO mindtickle.push_link (tenant_id, user_id, scim_id) VALUES ('pu', 'linked', 's-9');
CREATE FUNCTION pg_temp.owner(user_id text, scim_id text, external_id text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.service(format('SELECT mindtickle.push_owner(''pu'', %L, %L, %L)', user_id, scim_id, external_id))
$$;
SELECT is(pg_temp.owner('new', 's-9'), 'linked', 'an id is that of who is linked to it');
SELECT is(pg_temp.owner('new', 's-9', 'x-named'), 'linked', 'before that of whom its external id names');
SELECT is(pg_temp.owner('linked', 's-9', 'x-linked'), NULL, 'which is no other for himself');
SELECT is(pg_temp.owner('new', 's-8', 'x-named'), 'named', 'else of whom the external id names');
SELECT is(pg_temp.owner('new', 's-8', 'own-id'), 'own-id', 'which may be ours');
SELECT is(pg_temp.owner('new', 's-8', 'x-linked'), NULL, 'but not of who is there under another id');
SELECT is(pg_temp.owner('new', 's-8', 'x-other'), NULL, 'nor of anybody for an external id that is nobody''s');
UPDATE mindtickle.users SET deleted_at = now(), active = false WHERE tenant_id = 'pu' AND user_id = 'linked';
SELECT is(pg_temp.owner('new', 's-9', 'x-linked'), NULL, 'who is deleted has nothing');
SELECT pg_temp.service($$SELECT mindtickle.push_done('pu', 'new', 1, 's-9')$$) \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ') FROM mindtickle.push_link WHERE tenant_id = 'pu' AND scim_id = 's-9'), 'new', 'and leaves it to who comes after him');
SELECT throws_ok($$INSERT INTO mindtickle.push_link VALUES ('pu', 'named', 's-9')$$, '23505', NULL, 'nobody else is linked to it');
SELECT pg_temp.outcome($$SELECT pg_temp.service($i$SELECT mindtickle.push_done('pu', 'own-id', 1, 's-9')$i$)$$) \g /dev/null
SELECT is((SELECT string_agg(user_id, ' ') FROM mindtickle.push_link WHERE tenant_id = 'pu' AND scim_id = 's-9'), 'new', 'who is still here keeps what is his');

-- A name that becomes free makes those due who wait for it; a later change does not wait for what went wrong with an earlier one.
DELETE FROM mindtickle.push_queue WHERE tenant_id = 'pu';
SELECT mt_provision_user('pu', '{"userId": "c1", "email": "C1@example.com"}'), mt_provision_user('pu', '{"userId": "c2", "email": "c2@example.com"}') \g /dev/null
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', c, 1, 'taken', '') FROM unnest('{c1,c2}'::text[]) AS c$$) \g /dev/null
SELECT is(pg_temp.next(), NULL, 'two who were put off');
SELECT pg_temp.service($$SELECT mindtickle.push_name_freed('pu', 'c1@Example.com')$$) \g /dev/null
SELECT is(pg_temp.next(), 'c1 1 C1@example.com c1 t', 'who waits for a name is due when it is free, however it is written');
SELECT is(pg_temp.queue(), 'c1 1 1, c2 1 1', 'and the other waits on');
SELECT mt_provision_user('pu', '{"userId": "c1", "name": "Later"}') \g /dev/null
SELECT pg_temp.service($$SELECT mindtickle.push_put_off('pu', 'c1', 1, 'status 500', '')$$) \g /dev/null
SELECT is(pg_temp.queue(), 'c1 2 0, c2 1 1', 'a later change is not put off by the earlier one');

-- Who is erased leaves nothing behind, also where he is under way.
SELECT pg_temp.service($$SELECT mindtickle.push_done('pu', 'c2', 0, 's-c2')$$) \g /dev/null
DELETE FROM mindtickle.push_queue WHERE tenant_id = 'pu' AND user_id <> 'c2';
SELECT is((SELECT count(*) FROM mindtickle.push_link WHERE tenant_id = 'pu' AND user_id = 'c2'), 1::bigint, 'one who is linked and waits');
SELECT mt_erase_user('pu', 'c2') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'pu') + (SELECT count(*) FROM mindtickle.push_link WHERE tenant_id = 'pu' AND user_id = 'c2'), 0::bigint, 'is gone from the queue and the links');
SELECT pg_temp.service($$SELECT mindtickle.push_done('pu', 'c2', 1, 's-c2')$$) \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.push_link WHERE tenant_id = 'pu' AND user_id = 'c2'), 0::bigint, 'an answer that comes afterwards links nobody');
SELECT pg_temp.service($$SELECT mindtickle.push_reject('pu', 'c2', 1, 'the SCIM endpoint answers 400', '{"userName": "c2@example.com"}')$$) \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'pu' AND resource = 'users/c2'), 0::bigint, 'and a refusal leaves no letter');
INSERT INTO mindtickle.push_queue (tenant_id, user_id, version) VALUES ('pu', 'nobody', 1);
SELECT is(pg_temp.service($$SELECT mindtickle.push_due('pu') IS NULL$$), 'true', 'nobody is due who is not there');
SELECT is(pg_temp.next(), NULL, 'as nobody is next');

-- A moment that a clock left which was ahead puts nobody off.
SELECT mt_provision_user('pu', '{"userId": "d", "email": "d@example.com"}') \g /dev/null
UPDATE mindtickle.push_queue SET not_before = now() + interval '75 min' WHERE tenant_id = 'pu' AND user_id = 'd';
SELECT is(pg_temp.next(), NULL, 'who was put off for as long as can be');
SELECT is(pg_temp.service($$SELECT mindtickle.push_due('pu') = now() + interval '75 min'$$), 'true', 'is due then');
UPDATE mindtickle.push_queue SET not_before = now() + interval '1 year', queued_at = now() + interval '1 year' WHERE tenant_id = 'pu' AND user_id = 'd';
SELECT is(pg_temp.next(), 'd 1 d@example.com d t', 'for longer nobody is put off');
SELECT is(pg_temp.service($$SELECT mindtickle.push_due('pu') <= now()$$), 'true', 'so he is due');

SELECT mt_drop_tenant('pu') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'pu') + (SELECT count(*) FROM mindtickle.push_link WHERE tenant_id = 'pu'), 0::bigint, 'a tenant that is dropped leaves nothing');

SELECT * FROM finish();
ROLLBACK;
