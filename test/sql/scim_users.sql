\set ECHO none
-- Users: what bodies of POST and PUT make of them, who is found and who is not, identities that meet, deletion, limits and hostile input.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/scim.sql
SELECT mt_configure_tenant('sc', '{"role_map": {"Sales Lead": "manager", "Boss": "admin", "rep": "manager"}}') \g /dev/null
\set patch_urn urn:ietf:params:scim:api:messages:2.0:PatchOp

-- Bodies: without schemas, those are added. The answer, and what comes back beside schemas, id and meta.
CREATE TEMP TABLE body (place int GENERATED ALWAYS AS IDENTITY, document text, said text, kept jsonb);
INSERT INTO body (document, said, kept) VALUES
	('{"userName": "a@x"}', NULL, '{"userName": "a@x", "active": true}'),
	('{"USERNAME": "A@x", "Active": false}', NULL, '{"userName": "A@x", "active": false}'),
	('{"userName": "a", "active": "True"}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "active": "FALSE"}', NULL, '{"userName": "a", "active": false}'),
	('{"userName": "a", "active": null}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": " a b "}', NULL, '{"userName": " a b ", "active": true}'),
	('{"userName": "ÄÖÜ''\"\\ 😀"}', NULL, '{"userName": "ÄÖÜ''\"\\ 😀", "active": true}'),
	('{"userName": "a", "externalId": "00u", "locale": "en-US", "groups": [], "password": "1mz050nq"}', NULL, '{"userName": "a", "active": true, "externalId": "00u", "locale": "en-US"}'),
	('{"userName": "a", "id": "mine", "meta": {"version": "x", "created": 7}}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "groups": [{"value": "g", "display": "x"}]}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "unknown": {"x": [1, {"y": null}]}, "urn:example:custom:2.0:User": {"x": 1}}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "addresses": [{"type": "work", "locality": "x"}], "phoneNumbers": [{"value": "1"}], "x509Certificates": "x"}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "title": "", "nickName": " n ", "userType": "Employee", "preferredLanguage": "de", "timezone": "Europe/Berlin", "profileUrl": "http://x"}', NULL,
		'{"userName": "a", "active": true, "title": "", "nickName": " n ", "userType": "Employee", "preferredLanguage": "de", "timezone": "Europe/Berlin", "profileUrl": "http://x"}'),
	('{"userName": "a", "name": {"GIVENNAME": "G", "familyName": "F", "formatted": null, "honorificPrefix": "Dr.", "honorificSuffix": "III", "middleName": "M", "nothing": 1}}', NULL,
		'{"userName": "a", "active": true, "name": {"givenName": "G", "familyName": "F", "middleName": "M", "honorificPrefix": "Dr.", "honorificSuffix": "III"}}'),
	('{"userName": "a", "name": {}}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "name": null, "emails": null, "roles": []}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "emails": []}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "emails": [{"value": "A@X.example", "type": "Work", "primary": true, "display": "A", "$ref": null}, null, {"value": "b@x", "primary": false}]}', NULL,
		'{"userName": "a", "active": true, "emails": [{"value": "A@X.example", "type": "Work", "primary": true, "display": "A"}, {"value": "b@x", "primary": false}]}'),
	('{"userName": "a", "roles": [{"value": "Boss"}]}', NULL, '{"userName": "a", "active": true, "roles": [{"value": "Boss"}]}'),
	('{"userName": "a", "roles": [{"value": "Boss", "type": "x", "display": "B", "primary": true}, {"value": "Janitor"}]}', NULL,
		'{"userName": "a", "active": true, "roles": [{"value": "Boss", "type": "x", "display": "B", "primary": true}, {"value": "Janitor"}]}'),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D", "employeeNumber": "0012", "costCenter": "c", "organization": "o", "division": "d", "manager": {"value": "m", "displayName": "M", "$ref": "x"}}}', NULL,
		'{"userName": "a", "active": true, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D", "employeeNumber": "0012", "costCenter": "c", "organization": "o", "division": "d", "manager": {"value": "m"}}}'),
	('{"userName": "a", "URN:IETF:params:scim:schemas:extension:enterprise:2.0:user": {"DEPARTMENT": "D"}}', NULL,
		'{"userName": "a", "active": true, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D"}}'),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": "m"}}', NULL,
		'{"userName": "a", "active": true, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "m"}}}'),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {}}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": ""}}}', NULL, '{"userName": "a", "active": true}'),
	('{"userName": "a", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:USER", "urn:example:other"]}', NULL, '{"userName": "a", "active": true}'),
	-- refused
	('{}', '400 invalidValue', NULL), ('{"displayName": "x"}', '400 invalidValue', NULL), ('{"userName": null}', '400 invalidValue', NULL), ('{"userName": ""}', '400 invalidValue', NULL),
	('{"userName": " \t "}', '400 invalidValue', NULL), ('{"userName": 7}', '400 invalidValue', NULL), ('{"userName": true}', '400 invalidValue', NULL), ('{"userName": ["a"]}', '400 invalidValue', NULL), ('{"userName": {"a": "b"}}', '400 invalidValue', NULL),
	('{"userName": "a", "schemas": []}', '400 invalidValue', NULL), ('{"userName": "a", "schemas": null}', '400 invalidValue', NULL), ('{"userName": "a", "schemas": "urn:ietf:params:scim:schemas:core:2.0:User"}', '400 invalidValue', NULL),
	('{"userName": "a", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"]}', '400 invalidValue', NULL), ('{"userName": "a", "schemas": [7]}', '400 invalidValue', NULL),
	('{"userName": "a", "active": 1}', '400 invalidValue', NULL), ('{"userName": "a", "active": "yes"}', '400 invalidValue', NULL), ('{"userName": "a", "active": [true]}', '400 invalidValue', NULL),
	('{"userName": "a", "title": 7}', '400 invalidValue', NULL), ('{"userName": "a", "title": false}', '400 invalidValue', NULL), ('{"userName": "a", "externalId": 7}', '400 invalidValue', NULL),
	('{"userName": "a", "name": "A B"}', '400 invalidValue', NULL), ('{"userName": "a", "name": ["A"]}', '400 invalidValue', NULL), ('{"userName": "a", "name": {"givenName": 7}}', '400 invalidValue', NULL),
	('{"userName": "a", "emails": "a@x"}', '400 invalidValue', NULL), ('{"userName": "a", "emails": {"value": "a@x"}}', '400 invalidValue', NULL), ('{"userName": "a", "emails": ["a@x"]}', '400 invalidValue', NULL),
	('{"userName": "a", "emails": [{"value": 7}]}', '400 invalidValue', NULL), ('{"userName": "a", "emails": [{"value": "a", "primary": "true"}]}', '400 invalidValue', NULL), ('{"userName": "a", "emails": [{"value": "a", "primary": 1}]}', '400 invalidValue', NULL),
	('{"userName": "a", "emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}', '400 invalidValue', NULL),
	('{"userName": "a", "roles": [{"value": "Janitor"}]}', '400 invalidValue', NULL), ('{"userName": "a", "roles": [{"value": "boss"}]}', '400 invalidValue', NULL), ('{"userName": "a", "roles": "Boss"}', '400 invalidValue', NULL),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": "x"}', '400 invalidValue', NULL), ('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": 7}}', '400 invalidValue', NULL),
	('{"userName": "a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": 7}}', '400 invalidValue', NULL);
-- Sizes.
INSERT INTO body (document, said, kept)
	SELECT d.document, CASE WHEN NOT d.fits THEN '400 invalidValue' END, CASE WHEN d.fits THEN '{"active": true}' || d.document END
	FROM (SELECT jsonb_build_object('userName', coalesce(v.user_name, 'a'), v.key, v.value) AS document, v.fits FROM (VALUES
		(repeat('u', 255), 'locale', to_jsonb('x'::text), true), (repeat('u', 256), 'locale', to_jsonb('x'::text), false), (repeat('日', 85), 'locale', to_jsonb('x'::text), true), (repeat('日', 86), 'locale', to_jsonb('x'::text), false),
		(NULL, 'externalId', to_jsonb(repeat('e', 255)), true), (NULL, 'externalId', to_jsonb(repeat('e', 256)), false), (NULL, 'displayName', to_jsonb(repeat('d', 4096)), true), (NULL, 'displayName', to_jsonb(repeat('d', 4097)), false),
		(NULL, 'emails', jsonb_build_array(jsonb_build_object('value', repeat('m', 1024))), true), (NULL, 'emails', jsonb_build_array(jsonb_build_object('value', repeat('m', 1025))), false),
		(NULL, 'emails', (SELECT jsonb_agg(jsonb_build_object('value', n || '@x')) FROM generate_series(1, 100) AS n), true), (NULL, 'emails', (SELECT jsonb_agg(jsonb_build_object('value', n || '@x')) FROM generate_series(1, 101) AS n), false)
		) AS v (user_name, key, value, fits)) AS d;

-- Each as a POST and as a PUT to a user who has everything.
CREATE FUNCTION pg_temp.outcome_of(method text, url text, document text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer := pg_temp.ask(method, url, pg_temp.person(document::jsonb));
	shown jsonb;
BEGIN
	IF answer.status >= 400 THEN
		RETURN pg_temp.short(answer);
	END IF;
	shown := pg_temp.got('GET', '/Users/' || (answer.body::jsonb ->> 'id'));
	IF shown <> answer.body::jsonb THEN
		RETURN 'answered ' || answer.body || ' but is ' || shown;
	ELSIF method = 'POST' THEN
		PERFORM pg_temp.ask('DELETE', '/Users/' || (answer.body::jsonb ->> 'id'));
	END IF;
	RETURN (shown - '{schemas,id,meta}'::text[])::text;
END
$$;
\set everything '{"userName": "everything", "externalId": "e", "title": "T", "nickName": "N", "active": false, "displayName": "D", "name": {"givenName": "G"}, "emails": [{"value": "e@x"}], "roles": [{"value": "Boss"}], "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D", "manager": {"value": "m"}, "division": "v"}}'
SELECT pg_temp.got('POST', '/Users', pg_temp.person(:'everything')) ->> 'id' AS id \gset

SELECT plan((SELECT count(*) FROM body)::int * 2 + 91);
SELECT is(pg_temp.outcome_of('POST', '/Users', b.document), coalesce(b.said, b.kept::text), 'POST ' || left(b.document, 150)) FROM (SELECT * FROM body ORDER BY place) AS b;
SELECT is(pg_temp.outcome_of('PUT', '/Users/' || :'id', b.document), coalesce(b.said, b.kept::text), 'PUT ' || left(b.document, 150)) FROM (SELECT * FROM body ORDER BY place) AS b;

-- The answer to a POST.
SELECT pg_temp.ask('POST', '/Users', pg_temp.person('{"userName": "ada@x", "externalId": "e-ada", "displayName": "Ada", "emails": [{"value": "Ada@x", "type": "work"}], "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D"}}')) AS a \gset
SELECT (:'a'::mindtickle.scim_answer).body::jsonb ->> 'id' AS ada \gset
SELECT is((:'a'::mindtickle.scim_answer).status, 201, 'created');
SELECT is((:'a'::mindtickle.scim_answer).headers, jsonb_build_object('Content-Type', 'application/scim+json', 'Location', '/scim/v2/Users/' || :'ada', 'ETag', 'W/"1"'), 'its headers');
SELECT matches(:'ada'::text, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'the id is ours');
SELECT is((:'a'::mindtickle.scim_answer).body::jsonb -> 'schemas', '["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]', 'schemas name what is there');
SELECT is(((:'a'::mindtickle.scim_answer).body::jsonb -> 'meta') - '{created,lastModified}'::text[], jsonb_build_object('resourceType', 'User', 'location', '/scim/v2/Users/' || :'ada', 'version', 'W/"1"'), 'meta');
SELECT matches((:'a'::mindtickle.scim_answer).body::jsonb #>> '{meta,created}', '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$', 'moments are in UTC');
SELECT is((:'a'::mindtickle.scim_answer).body::jsonb #>> '{meta,created}', (SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM mindtickle.users WHERE user_id = :'ada'), 'and those of the row');
SELECT is((SELECT payload - '{tenantId}'::text[] #- '{user,attributes}' FROM pg_temp.events('sc') WHERE payload #>> '{user,userId}' = :'ada'), jsonb_build_object('operation', 'CREATE', 'user', jsonb_build_object('userId', :'ada', 'mindtickleId', NULL, 'scimExternalId', 'e-ada',
	'userName', 'ada@x', 'email', 'Ada@x', 'name', 'Ada', 'role', 'rep', 'active', true, 'title', NULL, 'department', 'D', 'location', NULL, 'hiredAt', NULL, 'managerId', NULL, 'managerEmail', NULL)), 'event CREATE');
SELECT is(pg_temp.said('POST', '/Users', pg_temp.person('{"userName": "ADA@X"}')), '409 uniqueness', 'a name is taken whatever its case');
SELECT is(pg_temp.said('POST', '/Users', pg_temp.person('{"userName": "ada2@x", "externalId": "e-ada", "emails": [{"value": "ada@x"}]}')), '201', 'an externalId and an address are not: another user');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'sc' AND email_key = 'ada@x'), 2::bigint, 'there are two');
SELECT is(pg_temp.got('POST', '/Users?attributes=userName', pg_temp.person('{"userName": "ada3@x", "title": "x"}')) - '{id,schemas}'::text[], '{"userName": "ada3@x"}', 'attributes choose what is answered');

-- PUT.
SELECT is(pg_temp.said('PUT', '/Users/' || :'ada', pg_temp.got('GET', '/Users/' || :'ada')::text), '200', 'what GET has answered may be PUT');
SELECT is((SELECT version FROM mindtickle.users WHERE user_id = :'ada'), 1::bigint, 'and changes nothing, not the version either');
SELECT is(pg_temp.said('PUT', '/Users/' || :'ada', (pg_temp.got('GET', '/Users/' || :'ada') || '{"title": "Head"}')::text), '200', 'edited');
SELECT is(pg_temp.got('GET', '/Users/' || :'ada') ->> 'title', 'Head', 'it is changed');
SELECT is((SELECT count(*) || ' ' || max(payload ->> 'operation') FROM pg_temp.events('sc') WHERE payload #>> '{user,userId}' = :'ada'), '2 UPDATE', 'one event');
SELECT is(pg_temp.said('PUT', '/Users/' || :'ada', pg_temp.person('{"userName": "everything"}')) || pg_temp.said('PUT', '/Users/' || :'ada', pg_temp.person('{"userName": "ADA2@x"}')), '200409 uniqueness', 'a name that is free again, and one that is not');
SELECT is(pg_temp.said('PUT', '/Users/' || :'ada', pg_temp.person('{"userName": "ada@x"}')), '200', 'back');
SELECT is(pg_temp.said('PUT', '/Users/none', pg_temp.person('{"userName": "none"}')), '404', 'PUT makes nobody');
-- When it was changed.
UPDATE mindtickle.users SET created_at = '2020-01-01T00:00:00.5Z', updated_at = '2020-01-02T00:00:00Z' WHERE tenant_id = 'sc' AND user_id = :'ada';
CREATE FUNCTION pg_temp.moments(answer jsonb) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', answer #>> '{meta,created}', CASE WHEN (answer #>> '{meta,lastModified}')::timestamptz = now() THEN 'now' ELSE answer #>> '{meta,lastModified}' END) $$;
SELECT is(pg_temp.moments(pg_temp.got('GET', '/Users/' || :'ada')), '2020-01-01T00:00:00.500000Z 2020-01-02T00:00:00.000000Z', 'meta has the moments of the row');
SELECT is(pg_temp.moments(pg_temp.got('PUT', '/Users/' || :'ada', pg_temp.person('{"userName": "ada@x"}'))), '2020-01-01T00:00:00.500000Z 2020-01-02T00:00:00.000000Z', 'which no change is not');
SELECT is(pg_temp.moments(pg_temp.got('PATCH', '/Users/' || :'ada', pg_temp.operations('[{"op": "replace", "path": "active", "value": "True"}]'))), '2020-01-01T00:00:00.500000Z 2020-01-02T00:00:00.000000Z', 'in a PATCH neither');
SELECT is(pg_temp.moments(pg_temp.got('PATCH', '/Users/' || :'ada', pg_temp.operations('[{"op": "replace", "path": "title", "value": "Later"}]'))), '2020-01-01T00:00:00.500000Z now', 'a change moves the one and not the other');

-- Roles come from the map alone.
CREATE FUNCTION pg_temp.role_for(roles text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer := pg_temp.ask('POST', '/Users', pg_temp.person(jsonb_build_object('userName', 'role', 'roles', roles::jsonb)));
	id text := answer.body::jsonb ->> 'id';
BEGIN
	IF answer.status <> 201 THEN
		RETURN pg_temp.short(answer);
	END IF;
	PERFORM pg_temp.ask('DELETE', '/Users/' || id);
	RETURN (SELECT role FROM mindtickle.users WHERE user_id = id);
END
$$;
SELECT is(pg_temp.role_for(r.roles), r.role, 'roles ' || r.roles) FROM (VALUES ('[]', 'rep'), ('[{"value": "Boss"}]', 'admin'), ('[{"value": "Sales Lead"}, {"value": "Boss"}]', 'manager'), ('[{"value": "Sales Lead"}, {"value": "Boss", "primary": true}]', 'admin'),
	('[{"value": "admin"}]', 'rep'), ('[{"value": "Manager"}]', 'rep'), ('[{"value": "rep"}]', 'manager'), ('[{"display": "x"}]', 'rep'), ('[{"value": "root"}]', '400 invalidValue')) AS r (roles, role);
SELECT mt_configure_tenant('sc', '{"role_map": {"Boss": "emperor"}}') \g /dev/null
SELECT is(pg_temp.role_for('[{"value": "Boss"}]'), '400 invalidValue', 'a map that names no role of ours');
SELECT mt_configure_tenant('sc', '{"role_map": null}') \g /dev/null
SELECT is(pg_temp.role_for('[{"value": "admin"}]'), 'rep', 'without a map nobody is more than a rep');

-- Identities that meet: whom MindTickle knew is the one whom the identity provider makes, by externalId or address; a user with a name is not.
SELECT mt_provision_user('sc', '{"mindtickleId": "m1", "email": "Grace@Example.com", "name": "Grace", "title": "Pulled", "role": "manager"}'), mt_provision_user('sc', '{"mindtickleId": "m2", "scimExternalId": "e-m2", "active": false}') \g /dev/null
SELECT mt_upsert_progress('sc', 'm1', '[{"courseId": "c", "status": "completed"}]'), mt_upsert_progress('sc', 'e-late', '[{"courseId": "c", "status": "completed"}]') \g /dev/null
SELECT is((pg_temp.got('GET', '/Users?filter=emails+eq+"grace@example.com"') ->> 'totalResults') || pg_temp.said('GET', '/Users/m1'), '0404', 'whom MindTickle alone knows is no resource');
SELECT is(pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "grace", "emails": [{"value": "grace@example.COM"}]}')) ->> 'id', 'm1', 'one who is made with her address is her');
SELECT is((SELECT concat_ws(' ', user_name, mindtickle_id, email, name, title, role, active::text, version) FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id = 'm1'), 'grace m1 grace@example.COM Grace Pulled manager true 2', 'who keeps what the body does not give');
SELECT is(pg_temp.got('GET', '/Users/m1') ->> 'title', 'Pulled', 'and shows it');
SELECT is(pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "two", "externalId": "e-m2"}')) ->> 'id', 'm2', 'by externalId');
SELECT is((SELECT active FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id = 'm2'), true, 'and active, which a new user is');
SELECT isnt(pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "grace2", "emails": [{"value": "grace@example.com"}]}')) ->> 'id', 'm1', 'a second one with the address is another');
SELECT pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "late", "externalId": "e-late"}')) ->> 'id' AS late \gset
SELECT is((SELECT user_id FROM mindtickle.course_progress WHERE tenant_id = 'sc' AND user_id IN ('e-late', :'late')), :'late', 'progress that came under the externalId is the new user''s');
SELECT is(mt_provision_user('sc', '{"mindtickleId": "m3", "scimExternalId": "e-late", "attributes": {"level": 3, "scim": {"title": "forged"}}}'), :'late', 'a pull finds the provisioned user');
SELECT is((SELECT attributes FROM mindtickle.users WHERE user_id = :'late'), '{"level": 3, "scim": {}}', 'and leaves what the identity provider has sent');
SELECT pg_temp.ask('PUT', '/Users/' || :'late', pg_temp.person('{"userName": "late", "externalId": "e-late", "nickName": "L"}')) \g /dev/null
SELECT is((SELECT attributes FROM mindtickle.users WHERE user_id = :'late'), '{"scim": {"nickName": "L"}, "level": 3}', 'as the identity provider leaves what a pull has');
SELECT mt_provision_user('sc', '{"userId": "plain", "userName": "plain", "email": "p@x", "name": "Plain Name", "department": "D", "managerId": "m1"}') \g /dev/null
SELECT is(pg_temp.got('GET', '/Users/plain') - '{schemas,id,meta}'::text[], '{"userName": "plain", "active": true, "displayName": "Plain Name", "name": {"formatted": "Plain Name"}, "emails": [{"value": "p@x", "type": "work", "primary": true}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D", "manager": {"value": "m1"}}}', 'one with a name whom nobody has provisioned shows the columns');
SELECT is(pg_temp.said('PATCH', '/Users/plain', pg_temp.operations('[{"op": "replace", "path": "title", "value": "T"}]')) || (pg_temp.got('GET', '/Users/plain') #>> '{emails,0,value}'), '200p@x', 'and keeps them when it is patched');

-- Deactivation is not deletion.
SELECT is(pg_temp.said('PATCH', '/Users/m1', pg_temp.operations('[{"op": "replace", "path": "active", "value": false}]')), '200', 'deactivated');
SELECT is(pg_temp.got('GET', '/Users?filter=userName+eq+"grace"') #> '{Resources,0,active}', 'false', 'and found');
SELECT is((SELECT learners || ' ' || assignments FROM mt_readiness('sc')), (SELECT count(*) FILTER (WHERE active) || ' 1' FROM mindtickle.users WHERE tenant_id = 'sc'), 'readiness counts without');
SELECT is((SELECT string_agg(payload ->> 'operation', ' ') FROM pg_temp.events('sc') WHERE payload #>> '{user,userId}' = 'm1'), 'CREATE UPDATE DELETE', 'event DELETE');
SELECT is(pg_temp.said('PATCH', '/Users/m1', pg_temp.operations('[{"op": "replace", "path": "active", "value": true}]')), '200', 'reactivated');
SELECT is((SELECT assignments FROM mt_readiness('sc')), 2::bigint, 'with all that there was');
SELECT is((SELECT count(*) FROM mt_verify_readiness('sc') WHERE NOT equal), 0::bigint, 'readiness is exact');

-- Deletion: found by nothing any more, the name free again, the history kept.
SELECT pg_temp.forget_events('sc') \g /dev/null
SELECT pg_temp.got('GET', '/Users') ->> 'totalResults' AS total \gset
SELECT is(pg_temp.said('DELETE', '/Users/m1'), '204', 'deleted');
SELECT is_empty($$SELECT m, s FROM unnest('{GET,PUT,PATCH,DELETE}'::text[]) AS m, pg_temp.said(m, '/Users/m1', pg_temp.person('{"userName": "grace"}')) AS s WHERE s <> '404'$$, 'no method finds the user');
SELECT is((pg_temp.got('GET', '/Users') ->> 'totalResults')::int, :total - 1, 'the count is one less');
SELECT is_empty($$SELECT f FROM unnest('{"userName eq \"grace\"","id eq \"m1\"","emails.value eq \"grace@example.com\" and userName ne \"grace2\"","not (userName eq \"x\") and id eq \"m1\""}'::text[]) AS f
	WHERE pg_temp.got('GET', '/Users?filter=' || replace(f, ' ', '+')) ->> 'totalResults' <> '0'$$, 'no filter either');
SELECT is((SELECT string_agg(payload ->> 'operation' || ' ' || (payload #>> '{user,active}'), ',') FROM pg_temp.events('sc')), 'DELETE false', 'event DELETE');
SELECT is((SELECT concat_ws(' ', active::text, (deleted_at IS NOT NULL)::text, mindtickle_id) FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id = 'm1'), 'false true m1', 'the row is marked');
SELECT is((SELECT count(*) FROM mt_course_progress WHERE tenant_id = 'sc' AND user_id = 'm1'), 1::bigint, 'progress stays');
SELECT is((SELECT assignments FROM mt_readiness('sc')), 1::bigint, 'and counts no more');
SELECT is(mt_provision_user('sc', '{"mindtickleId": "m1", "active": true, "title": "Pulled again"}'), 'm1', 'a pull still knows the user');
SELECT is((SELECT title || ' ' || active FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id = 'm1'), 'Pulled again false', 'who does not come back by it');
SELECT pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "Grace", "emails": [{"value": "GRACE@example.com"}]}')) ->> 'id' AS grace \gset
SELECT isnt(:'grace'::text, 'm1', 'the name is free again, under a new id');
SELECT is((SELECT string_agg(user_id, ',') FROM mindtickle.users WHERE tenant_id = 'sc' AND mindtickle_id = 'm1'), :'grace', 'who comes back is from then on the one whom MindTickle knows');
SELECT is(mt_upsert_progress('sc', 'm1', '[{"courseId": "d", "status": "completed"}]'), 1, 'progress that is pulled');
SELECT is((SELECT user_id FROM mindtickle.course_progress WHERE tenant_id = 'sc' AND course_id = 'd'), :'grace', 'is the new user''s');
SELECT is(pg_temp.said('DELETE', '/Users/' || :'grace') || pg_temp.said('POST', '/Users', pg_temp.person('{"userName": "grace"}')) || pg_temp.said('POST', '/Users', pg_temp.person('{"userName": "grace"}')), '204201409 uniqueness', 'and again');
SELECT is((SELECT count(*) FROM mt_verify_readiness('sc') WHERE NOT equal), 0::bigint, 'readiness is exact');

-- Of addresses beside the first one.
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/Users?filter=emails.value+eq+"77@x"'), '$.Resources[*].id'), jsonb_build_array(:'id'), 'a user is found by any address');
SELECT pg_temp.ask('PUT', '/Users/' || :'id', pg_temp.person('{"userName": "everything", "emails": [{"value": "one@x"}, {"value": "two@x"}, {"value": "TWO@x", "type": "home"}]}')) \g /dev/null
SELECT is((SELECT string_agg(address_key, ' ') FROM mindtickle.user_address WHERE user_id = :'id'), 'two@x', 'those beside the e-mail are noted once');
SELECT pg_temp.ask('PUT', '/Users/' || :'id', pg_temp.person('{"userName": "everything", "emails": [{"value": "one@x"}]}')) \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.user_address WHERE user_id = :'id'), 0::bigint, 'and forgotten');
UPDATE mindtickle.users SET email = 'upstream@x' WHERE tenant_id = 'sc' AND user_id = :'id';
SELECT is((SELECT string_agg(address_key, ' ') FROM mindtickle.user_address WHERE user_id = :'id'), 'one@x', 'one that a pull has replaced is noted');
SELECT is(pg_temp.got('GET', '/Users?filter=emails+eq+"ONE@X"') ->> 'totalResults', '1', 'and found');

-- How large a user may be: 64 KiB of JSON, however he became so.
CREATE FUNCTION pg_temp.addresses(count int) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(jsonb_build_object('value', n || '@x', 'display', repeat('d', 4096))) FROM generate_series(1, count) AS n $$;
SELECT pg_temp.got('POST', '/Users', pg_temp.person(jsonb_build_object('userName', 'large', 'emails', pg_temp.addresses(15)))) ->> 'id' AS large \gset
SELECT is(pg_temp.said('GET', '/Users/' || :'large'), '200', 'a large user');
SELECT is(b ->> 'scimType' || ' ' || regexp_replace(b ->> 'detail', '\d+\.$', 'n.'), 'invalidValue A User must not be larger than 65536 bytes; emails alone has n.', 'one who is too large, ' || m)
	FROM (VALUES ('POST', '/Users', pg_temp.person(jsonb_build_object('userName', 'larger', 'emails', pg_temp.addresses(16)))), ('PUT', '/Users/' || :'large', pg_temp.person(jsonb_build_object('userName', 'large', 'emails', pg_temp.addresses(16)))),
		('PATCH', '/Users/' || :'large', pg_temp.operations(jsonb_build_array(jsonb_build_object('op', 'add', 'path', 'emails', 'value', '{"value": "more@x", "type": "home"}'::jsonb || jsonb_build_object('display', repeat('d', 4096))))))) AS r (m, url, body), pg_temp.got(r.m, r.url, r.body) AS b;
SELECT is(pg_temp.said('PATCH', '/Users/' || :'large', pg_temp.operations((SELECT jsonb_agg(jsonb_build_object('op', 'replace', 'path', format('emails[value pr %s].display', repeat('and display pr ', 99)), 'value', repeat('e', 4000))) FROM generate_series(1, 80)))), '400 tooMany', 'filters that go through too much');
SELECT is(pg_temp.said('PATCH', '/Users/' || :'large', pg_temp.operations((SELECT jsonb_agg(jsonb_build_object('op', 'replace', 'path', format('emails[value eq "%s@x"].display', 1 + n % 15), 'value', n::text)) FROM generate_series(1, 1000) AS n))), '200', 'many that do not');
-- One who was larger before there was a bound may be changed, but not grow.
UPDATE mindtickle.users SET attributes = jsonb_build_object('scim', jsonb_build_object('nickName', repeat('n', 100000), 'locale', 'en')) WHERE user_id = :'large';
SELECT is(pg_temp.said('PATCH', '/Users/' || :'large', pg_temp.operations(o::jsonb)), s, 'one who was larger: ' || o) FROM (VALUES ('[{"op": "replace", "path": "active", "value": false}]', '200'), ('[{"op": "replace", "path": "locale", "value": "en-GB"}]', '400 invalidValue'),
	('[{"op": "replace", "path": "nickName", "value": "N"}, {"op": "replace", "path": "locale", "value": "en-GB"}]', '200')) AS o (o, s);
-- And a page: 8 MiB.
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, attributes) SELECT 'sc', 'heavy' || n, 'heavy' || n, jsonb_build_object('scim', jsonb_build_object('nickName', repeat('n', 100000))) FROM generate_series(1, 100) AS n;
SELECT is(pg_temp.said('GET', '/Users?filter=userName+sw+"heavy"' || q), s, 'a page of large users' || q) FROM (VALUES ('', '400 tooMany'), ('&count=80', '200'), ('&count=84', '400 tooMany'), ('&attributes=userName', '200')) AS q (q, s);
DELETE FROM mindtickle.users WHERE tenant_id = 'sc' AND user_name LIKE 'heavy%';

-- An address without anything in it is nobody's.
SELECT mt_provision_user('sc', '{"mindtickleId": "blank-boss", "email": "", "role": "admin"}') \g /dev/null
SELECT isnt(pg_temp.got('POST', '/Users', pg_temp.person('{"userName": "blank-intern", "emails": [{"value": ""}, {"value": " "}]}')) ->> 'id', (SELECT user_id FROM mindtickle.users WHERE mindtickle_id = 'blank-boss'), 'a blank address does not find who has none');
SELECT isnt((SELECT mt_provision_user('sc', '{"mindtickleId": "blank-other", "email": " "}')), (SELECT user_id FROM mindtickle.users WHERE mindtickle_id = 'blank-boss'), 'in no form');
SELECT * FROM finish();
ROLLBACK;
