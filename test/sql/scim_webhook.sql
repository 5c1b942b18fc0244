\set ECHO none
-- mt_handle_scim_event: the webhook {tenantId, operation, user}: whom it means, what it does, and what it refuses.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(78);

DROP ROLE IF EXISTS sw_writer, sw_reader, sw_both, sw_nobody;
CREATE ROLE sw_writer;
CREATE ROLE sw_reader;
CREATE ROLE sw_both;
CREATE ROLE sw_nobody;
SELECT mt_create_tenant('sw', 'Webhook'), mt_create_tenant('sw-other', 'Other'), mt_grant_tenant('sw', 'sw_writer', 'writer'), mt_grant_tenant('sw', 'sw_reader', 'reader'),
	mt_grant_tenant('sw', 'sw_both', 'writer'), mt_grant_tenant('sw-other', 'sw_both', 'writer') \g /dev/null
SET LOCAL TimeZone = 'UTC';

CREATE FUNCTION pg_temp.event(operation text, person jsonb, role_name text DEFAULT 'sw_writer', tenant text DEFAULT 'sw') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_handle_scim_event(%L)', jsonb_strip_nulls(jsonb_build_object('tenantId', tenant, 'operation', operation)) || jsonb_build_object('user', person)))
$$;
CREATE FUNCTION pg_temp.document(document jsonb, role_name text DEFAULT 'sw_writer') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_handle_scim_event(%L)', document))
$$;
CREATE FUNCTION pg_temp.person(id text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_strip_nulls(to_jsonb(u) - '{tenant_id,created_at,updated_at,email_key,user_name_key,version}'::text[]) FROM mindtickle.users AS u WHERE u.tenant_id = 'sw' AND u.user_id = id
$$;
CREATE FUNCTION pg_temp.told() RETURNS text LANGUAGE sql AS $$
	SELECT count(*) || ' ' || (array_agg((payload ->> 'operation') || ' ' || (payload #>> '{user,userId}') ORDER BY place DESC))[1]
	FROM pg_temp.events('sw') WITH ORDINALITY AS e (topic, payload, place) WHERE topic = 'user_changed'
$$;

-- CREATE.
SELECT is(pg_temp.event('CREATE', '{"id": "u123", "email": "Ada@example.com", "name": "Ada", "role": "manager", "scimExternalId": "s1", "title": "Lead", "unknown": 1}'), 'u123', 'made under the id given');
SELECT is(pg_temp.person('u123'), '{"user_id": "u123", "scim_external_id": "s1", "email": "Ada@example.com", "name": "Ada", "role": "manager", "active": true, "title": "Lead", "attributes": {}}', 'with what the document says');
SELECT is(pg_temp.told(), '1 CREATE u123', 'event CREATE');
SELECT is(pg_temp.event('CREATE', '{"id": "u123", "email": "Ada@example.com", "name": "Ada", "role": "manager", "scimExternalId": "s1", "title": "Lead"}'), 'u123', 'the same again');
SELECT is(pg_temp.told(), '1 CREATE u123', 'changes nothing');
SELECT is(pg_temp.event('CREATE', '{"scimExternalId": "s1", "title": "Head"}'), 'u123', 'by the provider''s id: the same user');
SELECT is(pg_temp.told(), '2 UPDATE u123', 'is brought up to date');
SELECT is(pg_temp.person('u123') ->> 'email', 'Ada@example.com', 'what is absent stays');
SELECT is(pg_temp.event('CREATE', '{"id": "other", "scimExternalId": "s1", "name": "Ada L"}'), 'u123', 'which goes before the sender''s own');
SELECT is(pg_temp.person('other'), NULL, 'no second user is made');
SELECT matches(pg_temp.event('CREATE', '{"scimExternalId": "s2", "email": "bob@example.com"}'), '^[0-9a-f]{8}-', 'without an id it is a uuid');
SELECT is(pg_temp.event('CREATE', '{"id": "a", "email": "ADA@example.com"}'), 'u123', 'an e-mail links');
SELECT is(mt_provision_user('sw', '{"userId": "mt-user", "mindtickleId": "m7"}'), 'mt-user', 'a user whom a pull saw');
SELECT is(pg_temp.event('CREATE', '{"id": "m7", "scimExternalId": "s7", "email": "grace@example.com"}'), 'mt-user', 'is found by MindTickle''s id');
SELECT is(pg_temp.person('mt-user') ->> 'scim_external_id', 's7', 'and linked');
SELECT is(mt_upsert_progress('sw', 's9', '[{"courseId": "c", "status": "completed"}]'), 1, 'progress under the provider''s id');
SELECT is(pg_temp.event('CREATE', '{"id": "u9", "scimExternalId": "s9"}'), 'u9', 'of a user who comes later');
SELECT is((SELECT string_agg(user_id, ',') FROM mindtickle.course_progress WHERE tenant_id = 'sw'), 'u9', 'comes under ours');

-- UPDATE.
SELECT is(pg_temp.event('UPDATE', '{"id": "u123", "title": "VP", "location": null}'), 'u123', 'UPDATE by our id');
SELECT is(pg_temp.event('UPDATE', '{"id": "s1", "department": "Sales"}'), 'u123', 'by the provider''s, given as id');
SELECT is(pg_temp.event('UPDATE', '{"id": "m7", "department": "Sales"}'), 'mt-user', 'by MindTickle''s');
SELECT is(pg_temp.event('UPDATE', '{"scimExternalId": "s1", "email": "ada@new.example.com"}'), 'u123', 'by the provider''s, as such');
SELECT is(pg_temp.person('u123'), '{"user_id": "u123", "scim_external_id": "s1", "email": "ada@new.example.com", "name": "Ada L", "role": "manager", "active": true, "title": "VP", "department": "Sales", "attributes": {}}', 'all of it');
SELECT is(pg_temp.event('UPDATE', '{"email": "ADA@NEW.example.com", "role": "admin"}'), 'u123', 'by e-mail');
SELECT is(pg_temp.event('UPDATE', '{"id": "nobody", "title": "x"}'), 'P0002: there is no such user', 'nobody');
SELECT is(pg_temp.event('UPDATE', '{"id": "u123", "active": false}'), 'u123', 'UPDATE deactivates');
SELECT matches(pg_temp.told(), ' DELETE u123$', 'event DELETE');
SELECT is(pg_temp.event('UPDATE', '{"id": "u123", "title": "Out"}'), 'u123', 'and another one');
SELECT is(pg_temp.person('u123') ->> 'active', 'false', 'brings nobody back');
SELECT is(pg_temp.event('CREATE', '{"id": "u123", "active": false, "title": "Still out"}'), 'u123', 'nor does CREATE where it says so');
SELECT is(pg_temp.person('u123') ->> 'active', 'false', 'he stays out');
SELECT is(pg_temp.event('CREATE', '{"scimExternalId": "s1"}'), 'u123', 'CREATE');
SELECT is(pg_temp.person('u123') ->> 'active', 'true', 'reactivates');
SELECT matches(pg_temp.told(), ' UPDATE u123$', 'event UPDATE');

-- DELETE.
SELECT is(pg_temp.event('DELETE', '{"scimExternalId": "s1", "title": "ignored", "email": "x@example.com"}'), 'u123', 'DELETE');
SELECT is(pg_temp.person('u123'), '{"user_id": "u123", "scim_external_id": "s1", "email": "ADA@NEW.example.com", "name": "Ada L", "role": "admin", "active": false, "title": "Still out", "department": "Sales", "attributes": {}}',
	'deactivates, removes nothing, changes nothing else');
SELECT matches(pg_temp.told(), ' DELETE u123$', 'event DELETE');
SELECT pg_temp.told() AS told \gset
SELECT is(pg_temp.event('DELETE', '{"id": "u123"}'), 'u123', 'again');
SELECT is(pg_temp.told(), :'told'::text, 'without an event');
SELECT is(pg_temp.event('DELETE', '{"id": "nobody"}'), 'P0002: there is no such user', 'nobody');
SELECT is(pg_temp.event('DELETE', '{"email": "bob@example.com"}'), '22023: user must have an id, mindtickleId or scimExternalId', 'an e-mail is not enough');
SELECT is((SELECT count(*) FROM mindtickle.course_progress WHERE tenant_id = 'sw'), 1::bigint, 'progress stays');

-- Roles in the sender's words.
SELECT mt_configure_tenant('sw', '{"role_map": {"Sales Rep": "rep", "Boss": "manager", "Void": "king", "rep": "admin"}}') \g /dev/null
SELECT is(pg_temp.event('CREATE', '{"id": "r1", "role": "Boss"}'), 'r1', 'a role of the role_map');
SELECT is(pg_temp.person('r1') ->> 'role', 'manager', 'is mapped');
SELECT is(pg_temp.event('UPDATE', '{"id": "r1", "role": "rep"}'), 'r1', 'even one that is ours');
SELECT is(pg_temp.person('r1') ->> 'role', 'admin', 'is what the map says');
SELECT is(pg_temp.event('UPDATE', '{"id": "r1", "role": "King"}'), '22023: user.role must be one of "rep", "manager", "admin"', 'one that is in no map');
SELECT is(pg_temp.event('UPDATE', '{"id": "r1", "role": "Void"}'), '22023: user.role must be one of "rep", "manager", "admin"', 'one that is mapped to what is none');
SELECT is(pg_temp.event('UPDATE', '{"id": "r1", "role": ["Boss"]}'), '22023: user.role must be one of "rep", "manager", "admin"', 'what is no text');

-- What comes from outside, as it does by the gateway or out of a dead letter, makes nobody more than a rep by a word that the map does not have.
CREATE FUNCTION pg_temp.outside(operation text, person jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', e, pg_temp.person(e) ->> 'role') FROM pg_temp.event(operation, person, 'mindtickle_service') AS e
$$;
SELECT is(pg_temp.outside('CREATE', '{"id": "o1", "role": "admin"}'), 'o1 rep', 'from outside: one of ours that is in no map');
SELECT is(pg_temp.outside('CREATE', '{"id": "o2", "role": "MANAGER"}'), 'o2 rep', 'however it is written');
SELECT is(pg_temp.outside('UPDATE', '{"id": "o1", "role": "Boss"}'), 'o1 manager', 'one that is mapped');
SELECT is(pg_temp.outside('UPDATE', '{"id": "o1", "title": "x"}'), 'o1 manager', 'none: it stays');
SELECT is(pg_temp.outside('UPDATE', '{"id": "o1", "role": "rep"}'), 'o1 admin', 'one of ours that is mapped');
SELECT is(pg_temp.outside('UPDATE', '{"id": "o1", "role": "manager"}'), 'o1 rep', 'and one that is not');
SELECT is(pg_temp.outside('UPDATE', format('{"id": "o1", "role": %s}', r)::jsonb), '22023: user.role must be one of "rep", "manager", "admin"', 'no role: ' || r) FROM unnest(ARRAY['"King"', '"Void"', '["admin"]']) AS r;
SELECT mt_configure_tenant('sw', '{"role_map": {"manager": "king"}}') \g /dev/null
SELECT is(pg_temp.outside('UPDATE', '{"id": "o1", "role": "manager"}'), '22023: user.role must be one of "rep", "manager", "admin"', 'nor one of ours that is mapped to none');

-- The tenant.
SELECT is(pg_temp.event('UPDATE', '{"id": "u9", "title": "1"}', tenant => NULL), 'u9', 'without a tenantId: the tenant in force');
SELECT is(pg_temp.event('UPDATE', '{"id": "u9", "title": "2"}', 'sw_nobody'), '42501: permission denied for tenant "sw"', 'no grant');
SELECT is(pg_temp.event('UPDATE', '{"id": "u9", "title": "2"}', 'sw_nobody', NULL), '42501: tenantId is absent and no tenant is in force', 'and no tenant');
SELECT is(pg_temp.event('UPDATE', '{"id": "u9", "title": "2"}', 'sw_reader'), '42501: permission denied for tenant "sw"', 'a reader');
SELECT is(pg_temp.event('CREATE', '{"id": "u9"}', 'sw_writer', 'sw-other'), '42501: permission denied for tenant "sw-other"', 'another tenant');
SELECT is(pg_temp.event('CREATE', '{"id": "u9"}', 'sw_writer', 'sw-none'), '42501: permission denied for tenant "sw-none"', 'like one that does not exist');
SELECT is(pg_temp.event('CREATE', '{"id": "x"}', 'sw_both', 'sw-other'), 'x', 'who may act for both names one');
SET LOCAL mindtickle.tenant = 'sw';
SELECT is(pg_temp.event('CREATE', '{"id": "x"}', 'sw_both', 'sw-other'), '42501: permission denied for tenant "sw-other"', 'but not against the context');
SELECT is(pg_temp.event('CREATE', '{"id": "x"}', 'none', 'sw-other'), '42501: permission denied for tenant "sw-other"', 'nor does the owner');
RESET mindtickle.tenant;
SELECT is(pg_temp.event('CREATE', '{"id": "x"}', 'sw_writer', 'SW'), '22023: invalid tenant id', 'what cannot be a tenant');

-- What is wrong is named, and nothing is written.
SELECT count(*) AS users_before FROM mindtickle.users \gset
SELECT is_empty($$SELECT d, r FROM unnest('{[],"\"x\"",7,null,"[{}]"}'::jsonb[]) AS d, pg_temp.document(d) AS r WHERE r <> '22023: the document must be a JSON object'$$, 'what is no object');
SELECT is_empty($$SELECT d, r FROM (VALUES
	('{}'::jsonb, 'operation is required'), ('{"operation": "create", "user": {"id": "x"}}', 'operation must be one of "CREATE", "UPDATE", "DELETE"'), ('{"operation": 7, "user": {"id": "x"}}', 'operation must be one of "CREATE", "UPDATE", "DELETE"'),
	('{"operation": null, "user": {"id": "x"}}', 'operation is required'), ('{"operation": "CREATE"}', 'user is required'), ('{"operation": "CREATE", "user": null}', 'user is required'), ('{"operation": "CREATE", "user": []}', 'user must be an object'),
	('{"operation": "CREATE", "user": "x"}', 'user must be an object'), ('{"operation": "CREATE", "user": {}}', 'user must have an id, mindtickleId, scimExternalId or email'), ('{"operation": "CREATE", "user": {"name": "x"}}', 'user must have an id, mindtickleId, scimExternalId or email'),
	('{"operation": "DELETE", "user": {}}', 'user must have an id, mindtickleId or scimExternalId'), ('{"operation": "CREATE", "user": {"id": 7}}', 'user.id must be a string'), ('{"operation": "CREATE", "user": {"id": ""}}', 'user.id must not be empty'),
	('{"operation": "CREATE", "user": {"id": "x", "email": ["a"]}}', 'user.email must be a string'), ('{"operation": "CREATE", "user": {"id": "x", "active": "true"}}', 'user.active must be true or false'),
	('{"operation": "CREATE", "user": {"id": "x", "hiredAt": "yesterday"}}', 'user.hiredAt must be a date and time such as "2026-02-03T10:11:12Z"'), ('{"operation": "DELETE", "user": {"id": "x", "role": "boss"}}', 'user.role must be one of "rep", "manager", "admin"'),
	('{"tenantId": 7, "operation": "CREATE", "user": {"id": "x"}}', 'tenantId must be a string')) AS v (d, message), pg_temp.document(d) AS r WHERE r IS DISTINCT FROM '22023: ' || message$$, 'every fault is 22023 and named');
SELECT is(pg_temp.event('CREATE', jsonb_build_object('id', repeat('x', 256))), '22023: user.id must not be longer than 255 bytes', 'an id too long');
SELECT is(pg_temp.event('CREATE', jsonb_build_object('id', 'x', 'name', repeat('x', 65537))), '22023: user.name must not be longer than 65536 bytes', 'a name too long');
SELECT is(pg_temp.event('CREATE', jsonb_build_object('id', 'x', 'deep', (repeat('[', 63) || repeat(']', 63))::jsonb)), '22023: the document must not be nested deeper than 64', 'nested too deep');
SELECT is(pg_temp.event('CREATE', jsonb_build_object('id', 'x', 'large', repeat('x', 5000000))), '22023: the document must not be larger than 4194304 bytes', 'too large');
SELECT mt_provision_user('sw', '{"userId": "taken", "userName": "Taken"}') \g /dev/null
SELECT is(pg_temp.event('CREATE', '{"id": "x", "userName": "TAKEN"}'), '23505: userName or mindtickleId is another user''s', 'a user name that is taken');
SELECT is((SELECT count(*) FROM mindtickle.users), :users_before::bigint + 1, 'nothing was written');
SELECT is(pg_temp.as_role('sw_writer', 'SELECT mt_handle_scim_event(NULL)'), NULL, 'NULL is no event');

SELECT * FROM finish();
ROLLBACK;
