\set ECHO none
-- The protocol: paths, methods, media types, bodies that are none, lists and pages, selection, ETags, discovery, and what is another tenant's.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/scim.sql
SELECT mt_create_tenant('sc-other', 'Other') \g /dev/null
-- u1 to u7, made in this order though at one moment; other has one of the same names, and one whose id does not exist here.
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, name, title, scim_external_id, created_at) SELECT 'sc', 'u' || n, 'user' || n, 'Name ' || n, CASE WHEN n % 2 = 0 THEN 'T' || (9 - n) END, 'e' || n, '2026-01-01'::timestamptz + n * interval '1 min' FROM generate_series(1, 7) AS n;
INSERT INTO mindtickle.users (tenant_id, user_id, user_name) VALUES ('sc', 'odd id/?%é', 'odd'), ('sc-other', 'u1', 'user1'), ('sc-other', 'foreign', 'foreign');
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('sc', 't1', 'Team', 'scim'), ('sc-other', 'foreign', 'Foreign', 'scim');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) VALUES ('sc', 't1', 'u1', 'scim'), ('sc-other', 'foreign', 'foreign', 'scim');

CREATE TEMP TABLE request (place int GENERATED ALWAYS AS IDENTITY, method text, url text, body text, headers jsonb, said text);
\set person '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "new"}'
-- Paths and methods.
INSERT INTO request (method, url, said) VALUES
	('GET', '/Users', '200'), ('GET', '/scim/v2/Users', '200'), ('GET', '/Users/', '200'), ('GET', '/Users/u1', '200'), ('GET', '/scim/v2/Users/u1', '200'), ('GET', '/Groups', '200'), ('GET', '/Groups/t1', '200'),
	('GET', '/Users/u%31', '200'), ('GET', '/Users/odd%20id%2F%3F%25%C3%A9', '200'), ('GET', '/Users/U1', '404'), ('GET', '/Users/none', '404'), ('GET', '/Groups/u1', '404'), ('GET', '/Users/u1/name', '404'),
	('GET', '/users', '404'), ('GET', '/', '404'), ('GET', '', '404'), ('GET', 'Users', '404'), ('GET', '//Users', '404'), ('GET', '/scim/v2', '404'), ('GET', '/scim/v2Users', '404'), ('GET', '/scim/v1/Users', '404'), ('GET', '/nothing', '404'), ('GET', '/Users//u1', '404'), ('GET', '/../Users', '404'),
	('GET', '/Users/u1%00', '400 invalidSyntax'), ('GET', '/Users/%', '400 invalidSyntax'), ('GET', '/Users/%4', '400 invalidSyntax'), ('GET', '/Users/%zz', '400 invalidSyntax'), ('GET', '/Users/%ff', '400 invalidSyntax'), ('GET', '/Users/%C0%80', '400 invalidSyntax'), ('GET', '/Users/%ED%A0%80', '400 invalidSyntax'),
	('PUT', '/Users', '405'), ('PATCH', '/Users', '405'), ('DELETE', '/Users', '405'), ('DELETE', '/Users/', '405'), ('DELETE', '/Groups', '405'), ('POST', '/Users/u1', '405'), ('HEAD', '/Users', '405'), ('OPTIONS', '/Users', '405'), ('TRACE', '/Users', '405'), ('get', '/Users', '405'), ('', '/Users', '405'), ('GET,', '/Users', '405'),
	('GET', '/Users/.search', '405'), ('DELETE', '/Users/.search', '405'), ('GET', '/Bulk', '405'), ('POST', '/ServiceProviderConfig', '405'), ('PUT', '/Schemas', '405'), ('DELETE', '/ResourceTypes/User', '405'),
	('GET', '/Me', '501'), ('POST', '/Me', '501'), ('POST', '/.search', '501'), ('GET', '/Me/x', '404'), ('GET', '/ServiceProviderConfig/x', '404'), ('POST', '/Bulk/x', '404'),
	('GET', '/ServiceProviderConfig', '200'), ('GET', '/ResourceTypes', '200'), ('GET', '/ResourceTypes/User', '200'), ('GET', '/ResourceTypes/None', '404'), ('GET', '/Schemas', '200'), ('GET', '/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group', '200'),
	('GET', '/Schemas/urn%3Aietf%3Aparams%3Ascim%3Aschemas%3Aextension%3Aenterprise%3A2.0%3AUser', '200'), ('GET', '/Schemas/urn:none', '404'), ('GET', '/Schemas?filter=id+pr', '403'), ('GET', '/ResourceTypes?filter=id+pr', '403');
-- Query strings.
INSERT INTO request (method, url, said) VALUES
	('GET', '/Users?', '200'), ('GET', '/Users?aadOptscim062020', '200'), ('GET', '/Users?aadOptscim062020=true&AzureAdScimPatch2017=', '200'), ('GET', '/Users?unknown=%20x&&=y&count=1', '200'),
	('GET', '/Users?count=x', '400 invalidValue'), ('GET', '/Users?count=', '400 invalidValue'), ('GET', '/Users?count=1.5', '400 invalidValue'), ('GET', '/Users?count=1e3', '400 invalidValue'), ('GET', '/Users?count=0x10', '400 invalidValue'), ('GET', '/Users?count=+5', '400 invalidValue'), ('GET', '/Users?count=-', '400 invalidValue'),
	('GET', '/Users?startIndex=9223372036854775807', '200'), ('GET', '/Users?startIndex=9223372036854775808', '400 invalidValue'), ('GET', '/Users?startIndex=-9223372036854775808', '200'), ('GET', '/Users?count=99999999999999999999', '400 invalidValue'), ('GET', '/Users?startIndex=abc', '400 invalidValue'),
	('GET', '/Users?count=1&count=2', '400 invalidValue'), ('GET', '/Users?COUNT=1', '200'), ('GET', '/Users?filter=title+pr&filter=title+pr', '400 invalidValue'),
	('GET', '/Users?filter=%00', '400 invalidSyntax'), ('GET', '/Users?filter=%zz', '400 invalidSyntax'), ('GET', '/Users?filter=%', '400 invalidSyntax'), ('GET', '/Users?x=%ff', '400 invalidSyntax'), ('GET', '/Users?%zz=1', '400 invalidSyntax'),
	('GET', '/Users?filter=', '400 invalidFilter'), ('GET', '/Users?filter=userName+eq', '400 invalidFilter'), ('GET', '/Users?filter=nothing+pr', '400 invalidFilter'), ('GET', '/Users?filter=password+pr', '400 sensitive'), ('GET', '/Users?filter=active+gt+true', '400 invalidFilter'), ('GET', '/Users?filter=userName+eq+''a''', '400 invalidFilter'),
	('GET', '/Groups?filter=userName+eq+"a"', '400 invalidFilter'), ('GET', '/Groups?filter=id+eq+"t1"+and+members+eq+"u1"', '200'),
	('GET', '/Users?attributes=userName&excludedAttributes=title', '400 invalidValue'), ('GET', '/Users/u1?attributes=userName&excludedAttributes=title', '400 invalidValue'), ('GET', '/Users?attributes=nothing', '200'),
	('GET', '/Users?sortBy=nothing', '200'), ('GET', '/Users?sortBy=title&sortOrder=sideways', '400 invalidValue'), ('GET', '/Users?sortBy=emails', '200'), ('GET', '/Users?sortBy=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', '200'), ('GET', '/Groups?sortBy=members', '200'), ('GET', '/Groups?sortBy=meta.location&sortOrder=DESCENDING', '200');
INSERT INTO request (method, url, said) VALUES ('GET', '/Users?filter=title+eq+"' || repeat('x', 16370) || '"', '200'), ('GET', '/Users?filter=title+eq+"' || repeat('x', 16374) || '"', '400 invalidFilter'),
	('GET', '/Users?filter=' || repeat('(', 33) || 'title+pr' || repeat(')', 33), '400 invalidFilter'), ('GET', '/Users?filter=title+pr' || repeat('+or+title+pr', 500), '400 invalidFilter');
-- Bodies and media types; each POST /Users here would make the same user, so all but the first are 409 where they are understood.
INSERT INTO request (method, url, body, headers, said) VALUES
	('POST', '/Users', :'person', NULL, '201'), ('POST', '/Users', :'person', '{"Content-Type": "application/scim+json"}', '409 uniqueness'), ('POST', '/Users', :'person', '{"content-type": "application/json"}', '409 uniqueness'),
	('POST', '/Users', :'person', '{"CONTENT-TYPE": "Application/SCIM+JSON; charset=UTF-8"}', '409 uniqueness'), ('POST', '/Users', :'person', '{"Content-Type": "application/json;charset=utf-8"}', '409 uniqueness'),
	('POST', '/Users', :'person', '{"Content-Type": "text/plain"}', '415'), ('POST', '/Users', :'person', '{"Content-Type": "application/xml"}', '415'), ('POST', '/Users', :'person', '{"Content-Type": "application/jsonp"}', '415'), ('POST', '/Users', :'person', '{"Content-Type": ""}', '415'), ('POST', '/Users', '{bad', '{"Content-Type": "application/x-www-form-urlencoded"}', '415'),
	('GET', '/Users', NULL, '{"Content-Type": "text/html", "Accept": "application/scim+json; charset=utf-8"}', '200'), ('GET', '/Users/u1', '{bad', NULL, '200'),
	('POST', '/Users', NULL, NULL, '400 invalidSyntax'), ('POST', '/Users', '', NULL, '400 invalidSyntax'), ('POST', '/Users', ' ', NULL, '400 invalidSyntax'), ('PUT', '/Users/u1', NULL, NULL, '400 invalidSyntax'), ('PATCH', '/Users/u1', NULL, NULL, '400 invalidSyntax'), ('POST', '/Bulk', NULL, NULL, '400 invalidSyntax'),
	('POST', '/Users', 'null', NULL, '400 invalidSyntax'), ('POST', '/Users', '[]', NULL, '400 invalidSyntax'), ('POST', '/Users', '"x"', NULL, '400 invalidSyntax'), ('POST', '/Users', '7', NULL, '400 invalidSyntax'),
	('POST', '/Users', '{', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a"', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": ''a''}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{userName: "a"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a",}', NULL, '400 invalidSyntax'),
	('POST', '/Users', '{"userName": "a"} {}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a"} x', NULL, '400 invalidSyntax'), ('POST', '/Users', '/* c */ {"userName": "a"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a"} // c', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": NaN}', NULL, '400 invalidSyntax'),
	('POST', '/Users', '{"x": 01}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": .5}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": True}', NULL, '400 invalidSyntax'), ('POST', '/Users', E'{"x": "a\tb"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": "\x41"}', NULL, '400 invalidSyntax'), ('POST', '/Users', E'\ufeff{"x": 1}', NULL, '400 invalidSyntax'),
	('POST', '/Users', '{"userName": "a", "userName": "b"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a", "USERNAME": "b"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": [{"y": 1, "z": 2, "y": 3}]}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"userName": "a", "user\u004eame": "b"}', NULL, '400 invalidSyntax'),
	('POST', '/Users', '{"userName": "a\u0000b"}', NULL, '400 invalidValue'), ('POST', '/Users', '{"x": "\ud800"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": "\udc00\ud800"}', NULL, '400 invalidSyntax'), ('POST', '/Users', '{"x": "\ud83d\ude00", "y": "\u00e9"}', NULL, '400 invalidValue'),
	('POST', '/Users', '{"x": 1e9999}', NULL, '400 invalidSyntax');
INSERT INTO request (method, url, body, said) VALUES ('POST', '/Users', '{"x": ' || repeat('[', 31) || repeat(']', 31) || '}', '400 invalidValue'), ('POST', '/Users', '{"x": ' || repeat('[', 32) || repeat(']', 32) || '}', '400 invalidSyntax'),
	('POST', '/Users', repeat('[', 100000), '400 invalidSyntax'), ('POST', '/Users', repeat('{"a":', 100000), '400 invalidSyntax'), ('POST', '/Users', '{"x": "' || repeat('x', 1024 * 1024 - 9) || '"}', '400 invalidValue'), ('POST', '/Users', '{"x": "' || repeat('x', 1024 * 1024 - 8) || '"}', '413');
-- Searches.
INSERT INTO request (method, url, body, said) VALUES
	('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}', '200'), ('POST', '/Users/.search', '{"schemas": []}', '400 invalidSyntax'), ('POST', '/Users/.search', '{}', '400 invalidSyntax'),
	('POST', '/Groups/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "displayName eq \"team\"", "attributes": ["displayName"], "startIndex": 1, "count": 5, "sortBy": "displayName", "sortOrder": "descending"}', '200'),
	('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": "5"}', '400 invalidSyntax'), ('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1.5}', '400 invalidValue'),
	('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": 7}', '400 invalidSyntax'), ('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "x"}', '400 invalidFilter'),
	('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "attributes": "userName"}', '400 invalidSyntax'), ('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "attributes": [7]}', '400 invalidSyntax'),
	('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "attributes": [], "excludedAttributes": ["title"], "filter": null}', '200');

SELECT plan((SELECT count(*) FROM request)::int + 115);
SELECT is(pg_temp.said(r.method, r.url, r.body, r.headers), r.said, concat_ws(' ', r.method, left(r.url, 100), replace(left(r.body, 60), E'\t', ' '), r.headers)) FROM (SELECT * FROM request ORDER BY place) AS r;
SELECT is_empty($$SELECT r.method, left(r.url, 100), a FROM request AS r, pg_temp.ask(r.method, r.url, r.body, r.headers) AS a WHERE a.status >= 400 AND (a.headers ->> 'Content-Type' IS DISTINCT FROM 'application/scim+json'
	OR a.body::jsonb - 'scimType' <> jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:Error"]'::jsonb, 'status', a.status::text, 'detail', a.body::jsonb -> 'detail')
	OR a.body::jsonb ->> 'detail' !~ '^[A-Za-z].*\.$' OR length(a.body) > 700)$$, 'every refusal is an Error with a sentence');
SELECT is((SELECT headers ->> 'Allow' FROM pg_temp.ask('DELETE', '/Users')), 'GET, POST', 'Allow of a collection');
SELECT is((SELECT headers ->> 'Allow' FROM pg_temp.ask('POST', '/Users/u1')), 'GET, PUT, PATCH, DELETE', 'and of one of it');
SELECT is((SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'sc'), 9::bigint, 'one user was made');

-- Dead letters: what was refused with 400 because of its body, as it came; no searches.
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sc' AND source = 'scim'), (SELECT count(*) FROM request WHERE said LIKE '400%' AND body <> '' AND method <> 'GET' AND body IS NOT NULL), 'refused bodies are kept, each once');
SELECT is((SELECT resource || ': ' || convert_from(raw, 'UTF8') || ': ' || reason FROM mindtickle.dead_letter WHERE tenant_id = 'sc' AND raw = '{"userName": "a"} {}'),
	'POST /Users: {"userName": "a"} {}: invalidSyntax: The body must be valid JSON: Expected end of input, but found "{".', 'with where it was sent, and why it was refused');
SELECT is((SELECT max(octet_length(raw)) FROM mindtickle.dead_letter WHERE tenant_id = 'sc'), 65536, 'cut at 64 KiB');
SELECT is((SELECT status FROM mt_scim_request('sc', 'POST', '/Users', NULL, NULL, '\x7b2261ff00'::bytea)), 400, 'bytes that are no text');
SELECT is((SELECT raw FROM mindtickle.dead_letter WHERE tenant_id = 'sc' ORDER BY letter_id DESC LIMIT 1), '\x7b2261ff00', 'are kept as they came');
CREATE FUNCTION pg_temp.kept(method text, url text, body text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_temp.ask(method, url, body);
	-- The others need not be text.
	RETURN (SELECT convert_from(l.raw, 'UTF8') FROM (SELECT d.raw FROM mindtickle.dead_letter AS d WHERE d.tenant_id = 'sc' ORDER BY d.letter_id DESC LIMIT 1) AS l);
END
$$;
SELECT is(pg_temp.kept('POST', '/Users', '{"userName": 7, "password": "se\"cret\\", "title": "x"}'), '{"userName":7,"password":"********","title":"x"}', 'but for passwords');
SELECT is(pg_temp.kept('PATCH', '/Users/u1', pg_temp.operations('[{"op": "replace", "path": "password", "value": "secret"}, {"op": "add", "path": "title", "value": "kept"}, {"op": "remove"}]')),
	'{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"password","value":"********"},{"op":"add","path":"title","value":"kept"},{"op":"remove"}]}', 'those of a PATCH too');
SELECT is(pg_temp.kept('POST', '/Users', '{"userName": 7, "password": "se\"cret\\", "PassWord" : "x'), '', 'of what is no JSON nothing');

-- In whatever form a password comes, nothing of it is kept or told, and what came is a dead letter nevertheless. {s} stands for the password, without quotes.
CREATE TEMP TABLE secret (place int GENERATED ALWAYS AS IDENTITY, method text, url text, body text);
INSERT INTO secret (method, url, body) SELECT 'PATCH', '/Users/u1', format('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [%s, {"op": "remove"}]}', o) FROM unnest(ARRAY[
	'{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:password", "value": "{s}"}', '{"op": "replace", "path": "URN:IETF:params:scim:schemas:core:2.0:User:PassWord", "value": {"{s}": {"a": "{s}"}}}',
	'{"op": "replace", "path": "password", "value": ["{s}", {"value": "{s}"}]}', '{"op": "replace", "path": "password", "VALUES": "{s}"}', '{"op": "replace", "path": "passw\u006frd", "value": "{s}"}', '{"op": "add", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:password": "{s}"}}',
	'{"op": "add", "value": {"urn:ietf:params:scim:schemas:core:2.0:User": {"password": "{s}"}}}', '{"op": "add", "value": {"password": {"value": "{s}"}}}', '{"op": "add", "value": {"PASSWORD": [["{s}"]]}}', '{"op": "add", "value": {"passw\u006frd": "{s}"}}', '{"op": "add", "value": {"newPassword": "{s}"}}',
	'{"op": "replace", "path": "password[value eq \"{s}\"]", "value": "x"}', '{"op": "replace", "path": "emails[password eq \"{s}\"].value", "value": "x"}', '{"op": "remove", "path": "emails[{s} eq \"password\"]"}', '{"op": "remove", "path": "password.{s}"}', '{"op": "remove", "path": "emails[type pr].password{s}"}',
	'{"op": "replace", "path": "urn:other:password", "value": "{s}"}', '{"op": "add", "value": {"password eq {s}": 1}}', '{"op": "add", "value": [["password", "{s}"]]}', '{"op": "add", "value": {"title": "the password is {s}"}}']) AS o;
INSERT INTO secret (method, url, body) SELECT 'POST', '/Users/.search', jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]'::jsonb, 'filter', f)::text FROM unnest(ARRAY['password eq "{s}"', 'PASSWORD sw "{s}" and title pr', 'urn:ietf:params:scim:schemas:core:2.0:User:password eq "{s}"',
	'not (password eq "{s}")', 'password eq {s}', '{s} eq "password"', 'emails[password eq "{s}"]', 'passw\u006frd eq "password {s}"', 'password{s} eq "x"']) AS f;
INSERT INTO secret (method, url, body) VALUES
	('POST', '/Users', '{"password": "{s}"}'), ('POST', '/Users', '{"passw\u006frd": "{s}"}'), ('POST', '/Users', '{"urn:ietf:params:scim:schemas:core:2.0:User:password": "{s}"}'), ('POST', '/Users', '{"x": {"y": [{"Password": {"z": "{s}"}}]}}'), ('POST', '/Users', '{"x": [{"name": "password", "secret": "{s}"}]}'),
	('POST', '/Users', '{"x": ["password", "{s}", ["{s}"]]}'), ('POST', '/Users', '"password: {s}"'), ('POST', '/Users', '["password", "{s}"]'), ('POST', '/Users', '{"password": {s}}'), ('POST', '/Users', '{"password": "{s}", '), ('POST', '/Users', '{"password": "x", "{s}": 1, "{s}": 2}'), ('POST', '/Users', '{"passw\u006frd": "{s}"'),
	('POST', '/Users', '{"passw\u006frd": "{s}", "passw\u006frd": "{s}"}'), ('POST', '/Users', E'{"x": "\x01compressed {s}"}'), ('POST', '/Users', '{"password": "{s}\u0000"}'), ('POST', '/Users?count=1&count=2', '{"password": "{s}"}'), ('PUT', '/Users/password%20{s}%zz', '{"password": "{s}"}'), ('PUT', '/Users/%zz', '{"password": "{s}"}'),
	('POST', '/Users/.search?x=%zz', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "password eq \"{s}\""}'),
	('POST', '/Bulk', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "POST", "path": "/Users", "data": {"password": "{s}"}}]}'),
	('POST', '/Bulk', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "POST", "path": "/Users", "bulkId": "a", "data": {"password": "{s}"}}]}'),
	('POST', '/Bulk', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "PATCH", "path": "/Users/%zz?password={s}", "data": {"x": 1}}]}');
CREATE FUNCTION pg_temp.told(method text, url text, body text, OUT answer mindtickle.scim_answer, OUT letters text[]) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'sc';
	answer := pg_temp.ask(method, replace(url, '{s}', 'Rx7qz'), replace(body, '{s}', 'Rx7qz'));
	letters := ARRAY(SELECT concat_ws(' ', resource, reason, encode(raw, 'escape')) FROM mindtickle.dead_letter WHERE tenant_id = 'sc' AND source = 'scim');
END
$$;
CREATE TEMP TABLE told AS SELECT s.url, s.body, t.* FROM (SELECT * FROM secret ORDER BY place) AS s, pg_temp.told(s.method, s.url, s.body) AS t;
SELECT is_empty($$SELECT url, body, answer FROM told WHERE NOT ((answer).status = 400 OR url = '/Bulk' AND (answer).body LIKE '%"status":"400"%')$$, 'each is refused');
SELECT is_empty($$SELECT url, body, answer, letters FROM told WHERE cardinality(letters) <> 1$$, 'each is a dead letter');
SELECT is_empty($$SELECT url, body, answer, letters FROM told WHERE concat(answer, letters) ~* 'Rx7qz'$$, 'the password is told nowhere');
SELECT is((SELECT status FROM mt_scim_request('sc', 'POST', '/Users', NULL, NULL, '\xfffe'::bytea || (SELECT string_agg(set_byte('\x0000', 0, get_byte(t, i)), '' ORDER BY i) FROM (SELECT convert_to('{"password": "Rx7qz"}', 'UTF8') AS t) AS t, generate_series(0, length(t) - 1) AS i))), 400, 'a password in UTF-16');
SELECT is((SELECT length(raw) FROM mindtickle.dead_letter WHERE tenant_id = 'sc' ORDER BY letter_id DESC LIMIT 1), 0, 'is not kept either');
-- What lost nothing that is kept can be replayed, anything else cannot.
CREATE FUNCTION pg_temp.replayed(method text, url text, body text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'sc';
	PERFORM pg_temp.ask(method, url, body);
	PERFORM mt_configure_tenant('sc', '{"role_map": {"Sales Lead": "manager"}}');
	RETURN (SELECT mt_replay_dead_letter('sc', letter_id) FROM mindtickle.dead_letter WHERE tenant_id = 'sc')::text;
EXCEPTION WHEN OTHERS THEN
	RETURN regexp_replace(SQLSTATE || ' ' || SQLERRM, 'letter \d+', 'letter');
END
$$;
SELECT is(pg_temp.replayed('POST', '/Users', pg_temp.person('{"userName": "secretive", "password": "Rx7qz", "roles": [{"value": "Sales Lead"}]}')), 'true', 'a user whose password was hidden is replayed');
SELECT is((SELECT user_name || ' ' || role FROM mindtickle.users WHERE tenant_id = 'sc' AND user_name = 'secretive'), 'secretive manager', 'and is there');
SELECT mt_configure_tenant('sc', '{"role_map": null}') \g /dev/null
SELECT is(pg_temp.replayed('POST', '/Users', pg_temp.person('{"userName": "teller", "title": "my password is Rx7qz", "roles": [{"value": "Sales Lead"}]}')), '55000 dead letter cannot be replayed: only what is no secret is kept', 'one who has lost his title is not');
SELECT mt_configure_tenant('sc', '{"role_map": null}') \g /dev/null
SELECT is(pg_temp.replayed('POST', '/Users', pg_temp.person('{"userName": "pathfinder", "path": "password", "roles": [{"value": "Sales Lead"}]}')), '55000 dead letter cannot be replayed: only what is no secret is kept', 'nor one who is no operation and has its path');
SELECT is(pg_temp.replayed('POST', '/Users', pg_temp.person('{"userName": "operator", "op": "add", "path": "password", "roles": [{"value": "Sales Lead"}]}')), '55000 dead letter cannot be replayed: only what is no secret is kept', 'or its op besides');
SELECT is(pg_temp.replayed('PUT', '/Users/' || repeat('x', 300), 'no JSON'), '55000 dead letter cannot be replayed: only what is no secret is kept', 'nor what was asked of a longer path');
SELECT mt_configure_tenant('sc', '{"role_map": null}') \g /dev/null

-- Operations of a bulk request are kept as if they had come alone.
CREATE TEMP TABLE operation (place int GENERATED ALWAYS AS IDENTITY, method text, path text, data text);
INSERT INTO operation (method, path, data) VALUES ('POST', '/Users', '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":7}'), ('PUT', '/Users/u1', '{"schemas":[]}'), ('PUT', '/Users/none', '{"schemas":[]}'), ('DELETE', '/Users/none', NULL), ('POST', '/Users/.search', '{"schemas":[]}'), ('POST', '/Me', '{"a":[1,null,{"b":"\u00e9"}]}'),
	('PATCH', '/Users/u1', '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"password","value":"Rx7qz"},{"op":"replace","path":"nothing","value":"x"}]}'), ('PATCH', '/Groups/t1', '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[]}'), ('POST', '/Groups', '{"displayName":"x"}');
CREATE TEMP VIEW letter AS SELECT resource, reason, convert_from(raw, 'UTF8') AS raw FROM mindtickle.dead_letter WHERE tenant_id = 'sc';
DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'sc';
SELECT pg_temp.ask(o.method, o.path, replace(o.data, '\u00e9', 'é')) FROM operation AS o WHERE path NOT IN ('/Me', '/Users/.search') \g /dev/null
CREATE TEMP TABLE alone AS TABLE letter;
INSERT INTO alone SELECT o.method || ' ' || o.path, 'invalidSyntax: The path of an operation must be that of a resource.', replace(o.data, '\u00e9', 'é') FROM operation AS o WHERE path IN ('/Me', '/Users/.search');
DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'sc';
SELECT is(pg_temp.said('POST', '/Bulk', (SELECT format('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [%s]}', string_agg(format('{"method": "%s", "path": "%s", "bulkId": "b%s", "data": %s}', method, path, place, coalesce(data, 'null')), ', ' ORDER BY place)) FROM operation)), '200', 'operations at fault in a bulk request');
SELECT cmp_ok((SELECT count(*) FROM alone), '=', 7::bigint, 'those that have a body and are refused for it');
SELECT bag_eq('TABLE letter', 'TABLE alone', 'are kept as if each had come alone');
SELECT pg_temp.ask('POST', '/Bulk', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"x": "bulkId:g"}}, {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "made"}}]}') \g /dev/null
SELECT is((SELECT resource || raw FROM letter WHERE resource LIKE 'PATCH /Groups/%' AND raw LIKE '{"x"%'), (SELECT format('PATCH /Groups/%s{"x":"%1$s"}', team_id) FROM mindtickle.team WHERE tenant_id = 'sc' AND name = 'made'), 'with the ids that references stood for');
DELETE FROM mindtickle.team WHERE tenant_id = 'sc' AND name = 'made';
SELECT is(pg_temp.said('POST', '/Bulk', format('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "DELETE", "path": "%s"}]}', rpad('/Users/', bytes, 'x'))), result, 'an operation with a path of ' || bytes || ' bytes')
	FROM (VALUES (2048, '200'), (2049, '400 invalidSyntax')) AS v (bytes, result);

-- Lists: order, pages, numbers.
DELETE FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id !~ '^u[0-9]$';
CREATE FUNCTION pg_temp.page(url text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', b ->> 'totalResults', b ->> 'startIndex', b ->> 'itemsPerPage', (SELECT string_agg(r ->> 'id', ',' ORDER BY place) FROM jsonb_array_elements(b -> 'Resources') WITH ORDINALITY AS r (r, place))) FROM pg_temp.got('GET', url) AS b
$$;
SELECT is(pg_temp.page('/Users' || p.query), p.page, 'page ' || p.query) FROM (VALUES
	('', '7 1 7 u1,u2,u3,u4,u5,u6,u7'), ('?count=2', '7 1 2 u1,u2'), ('?startIndex=1&count=2', '7 1 2 u1,u2'), ('?startIndex=3&count=2', '7 3 2 u3,u4'), ('?startIndex=7&count=2', '7 7 1 u7'), ('?startIndex=8', '7 8 0'), ('?startIndex=100&count=5', '7 100 0'),
	('?startIndex=0', '7 1 7 u1,u2,u3,u4,u5,u6,u7'), ('?startIndex=-5&count=1', '7 1 1 u1'), ('?count=0', '7 1 0'), ('?count=-1', '7 1 0'), ('?count=1000000', '7 1 7 u1,u2,u3,u4,u5,u6,u7'), ('?count=0&startIndex=3', '7 3 0'),
	('?filter=userName+eq+"USER3"', '1 1 1 u3'), ('?filter=userName+eq+"none"', '0 1 0'), ('?filter=title+pr&count=2', '3 1 2 u2,u4'), ('?filter=title+pr&count=0', '3 1 0'), ('?filter=title+pr&startIndex=3', '3 3 1 u6'), ('?filter=title+pr&startIndex=4', '3 4 0'),
	('?filter=userName%20eq%20%22user%2B1%22', '0 1 0'), ('?filter=userName+co+"%25"', '0 1 0'), ('?filter=externalId+eq+"e2"', '1 1 1 u2'), ('?filter=externalId+eq+"E2"', '0 1 0'), ('?filter=groups.display+eq+"team"', '1 1 1 u1'), ('?filter=meta.version+eq+"W/\"1\""&count=1', '7 1 1 u1'),
	('?sortBy=userName&sortOrder=descending&count=2', '7 1 2 u7,u6'), ('?sortBy=title', '7 1 7 u6,u4,u2,u1,u3,u5,u7'), ('?sortBy=title&sortOrder=descending', '7 1 7 u1,u3,u5,u7,u2,u4,u6'), ('?sortBy=userName&count=2&startIndex=6', '7 6 2 u6,u7'), ('?sortBy=nothing&count=1', '7 1 1 u1'), ('?sortOrder=descending&count=1', '7 1 1 u1')) AS p (query, page);
UPDATE mindtickle.users SET title = 'moved', updated_at = now() WHERE tenant_id = 'sc' AND user_id = 'u1';
SELECT is(pg_temp.page('/Users?count=3'), '7 1 3 u1,u2,u3', 'an update moves nobody in the order');
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, created_at) SELECT 'sc', 'more' || n, 'more' || n, '2026-01-02' FROM generate_series(1, 200) AS n;
SELECT is(pg_temp.got('GET', '/Users') - 'Resources', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 207, "startIndex": 1, "itemsPerPage": 100}', 'a page has 100');
SELECT is(pg_temp.got('GET', '/Users?count=500') ->> 'itemsPerPage', '200', 'at most 200');
SELECT is((SELECT count(DISTINCT r ->> 'id') FROM generate_series(1, 201, 50) AS s, jsonb_array_elements(pg_temp.got('GET', format('/Users?count=50&startIndex=%s', s)) -> 'Resources') AS r), 207::bigint, 'pages show everybody once');
SELECT is(pg_temp.got('POST', '/Users/.search', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "userName sw \"user\"", "attributes": ["userName"], "startIndex": 2, "count": 1, "sortBy": "id", "sortOrder": "descending"}'),
	'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 7, "startIndex": 2, "itemsPerPage": 1, "Resources": [{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "u6", "userName": "user6"}]}', 'a search says the same as a query');

-- Selection.
SELECT mt_provision_user('sc', '{"userId": "u1", "email": "u1@x", "department": "D", "managerId": "u2"}') \g /dev/null
CREATE FUNCTION pg_temp.shown(query text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT replace((pg_temp.got('GET', '/Users/u1?' || query) - 'schemas')::text, 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', 'ENT')::jsonb
$$;
SELECT is(pg_temp.shown(replace(s.query, 'ENT', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User')), s.shown::jsonb, 'selection ' || s.query) FROM (VALUES
	('attributes=userName', '{"id": "u1", "userName": "user1"}'), ('attributes=USERNAME,%20Title', '{"id": "u1", "userName": "user1", "title": "moved"}'), ('attributes=urn:ietf:params:scim:schemas:core:2.0:User:userName', '{"id": "u1", "userName": "user1"}'),
	('attributes=name.formatted', '{"id": "u1", "name": {"formatted": "Name 1"}}'), ('attributes=name.givenName', '{"id": "u1", "name": {}}'), ('attributes=emails.value', '{"id": "u1", "emails": [{"value": "u1@x"}]}'), ('attributes=emails', '{"id": "u1", "emails": [{"value": "u1@x", "type": "work", "primary": true}]}'),
	('attributes=ENT:department', '{"id": "u1", "ENT": {"department": "D"}}'), ('attributes=ENT', '{"id": "u1", "ENT": {"department": "D", "manager": {"value": "u2"}}}'), ('attributes=ENT:manager.value', '{"id": "u1", "ENT": {"manager": {"value": "u2"}}}'),
	('attributes=nothing', '{"id": "u1"}'), ('attributes=id', '{"id": "u1"}'), ('attributes=meta.version', '{"id": "u1", "meta": {"version": "W/\"2\""}}'), ('attributes=groups.display', '{"id": "u1", "groups": [{"display": "Team"}]}'), ('attributes=externalId', '{"id": "u1", "externalId": "e1"}'),
	('excludedAttributes=id,schemas,meta,groups,emails,name,title,active,ENT', '{"id": "u1", "userName": "user1", "externalId": "e1", "displayName": "Name 1"}'),
	('excludedAttributes=meta,groups,emails.type,emails.primary,name.formatted,title,active,displayName,ENT:manager', '{"id": "u1", "userName": "user1", "externalId": "e1", "name": {}, "emails": [{"value": "u1@x"}], "ENT": {"department": "D"}}')) AS s (query, shown);
SELECT is(pg_temp.got('GET', '/Groups?excludedAttributes=members,meta') -> 'Resources', '[{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": "t1", "displayName": "Team"}]', 'groups without their members');

-- ETags.
SELECT is((SELECT headers ->> 'ETag' FROM pg_temp.ask('GET', '/Users/u2')), 'W/"1"', 'the version of a user');
SELECT is(pg_temp.said('GET', '/Users/u2', NULL, jsonb_build_object('If-None-Match', e.etag)), e.said, 'If-None-Match ' || e.etag) FROM (VALUES ('W/"1"', '304'), ('"1"', '304'), ('W/"0", W/"1"', '304'), ('*', '304'), ('W/"2"', '200'), ('', '200'), ('1', '200'), ('W/"1', '200')) AS e (etag, said);
SELECT is((SELECT body FROM pg_temp.ask('GET', '/Users/u2', NULL, '{"If-None-Match": "*"}')), NULL, '304 has no body');
SELECT is(pg_temp.said('PATCH', '/Users/u2', pg_temp.operations('[{"op": "replace", "path": "title", "value": "T7"}]'), jsonb_build_object('If-Match', e.etag)), e.said, 'If-Match ' || e.etag)
	FROM (VALUES ('W/"2"', '412'), ('', '412'), ('nonsense', '412'), ('"1"', '200'), ('W/"5",W/"1"', '200'), ('*', '200')) AS e (etag, said);
SELECT is(pg_temp.said('PUT', '/Users/u2', pg_temp.person('{"userName": "user2"}'), '{"If-Match": "W/\"9\""}') || pg_temp.said('DELETE', '/Users/u2', NULL, '{"If-Match": "W/\"9\""}') || pg_temp.said('DELETE', '/Users/none', NULL, '{"If-Match": "*"}'), '412412404', 'and of PUT and DELETE');

-- Discovery.
SELECT is(pg_temp.got('GET', '/ServiceProviderConfig') - '{authenticationSchemes,schemas}'::text[], '{"patch": {"supported": true}, "bulk": {"supported": true, "maxOperations": 1000, "maxPayloadSize": 1048576}, "filter": {"supported": true, "maxResults": 200}, "changePassword": {"supported": false},
	"sort": {"supported": true}, "etag": {"supported": true}, "meta": {"resourceType": "ServiceProviderConfig", "location": "/scim/v2/ServiceProviderConfig"}}', 'what is offered');
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/ResourceTypes'), '$.Resources[*].endpoint'), '["/Users", "/Groups"]', 'of which resources');
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/Schemas'), '$.Resources[*].id'), '["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"]', 'with which schemas');
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/Schemas'), '$.** ? (@ == null)'), '[]', 'without a null');
SELECT is((SELECT string_agg(concat(a ->> 'name', CASE WHEN (a ->> 'multiValued')::bool THEN '[]' END, (SELECT '(' || string_agg(s ->> 'name', ' ') || ')' FROM jsonb_array_elements(a -> 'subAttributes') AS s)), ' ')
	FROM jsonb_path_query(pg_temp.got('GET', '/Schemas'), '$.Resources[*].attributes[*]') AS a), 'userName name(formatted familyName givenName middleName honorificPrefix honorificSuffix) displayName nickName profileUrl title userType preferredLanguage locale timezone active '
	'emails[](value display type primary) groups[](value $ref display type) roles[](value display type primary) employeeNumber costCenter organization division department manager(value) displayName members[](value $ref display type)', 'declared is');
-- Every declared attribute that a client may write comes back as it was written.
CREATE FUNCTION pg_temp.sample(attribute jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	value jsonb := CASE attribute ->> 'type' WHEN 'boolean' THEN 'true' WHEN 'complex' THEN (SELECT jsonb_object_agg(s ->> 'name', pg_temp.sample(s)) FROM jsonb_array_elements(attribute -> 'subAttributes') AS s)
		ELSE to_jsonb(CASE attribute ->> 'name' WHEN 'roles' THEN 'rep' ELSE 'Sample ' || (attribute ->> 'name') END) END;
BEGIN
	IF attribute ->> 'name' = 'roles' THEN
		value := value || '{"value": "rep"}';
	END IF;
	RETURN CASE WHEN (attribute ->> 'multiValued')::bool THEN jsonb_build_array(value) ELSE value END;
END
$$;
CREATE TEMP TABLE sample AS SELECT (SELECT jsonb_object_agg(a ->> 'name', pg_temp.sample(a)) FROM jsonb_path_query(b, '$.Resources[0].attributes[*] ? (@.mutability == "readWrite")') AS a)
	|| jsonb_build_object('urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', (SELECT jsonb_object_agg(a ->> 'name', pg_temp.sample(a)) FROM jsonb_path_query(b, '$.Resources[1].attributes[*]') AS a)) AS document FROM pg_temp.got('GET', '/Schemas') AS b;
SELECT is(pg_temp.got('POST', '/Users', (SELECT pg_temp.person(document) FROM sample)) - '{schemas,id,meta}'::text[], (SELECT document FROM sample), 'and is kept');

-- Another tenant's: byte for byte as if it did not exist, whatever is done.
CREATE TEMP TABLE attempt (method text, url text, body text);
INSERT INTO attempt VALUES ('GET', '/Users/{}', NULL), ('GET', '/Users/{}?attributes=userName', NULL), ('PUT', '/Users/{}', pg_temp.person('{"userName": "x"}')), ('PATCH', '/Users/{}', pg_temp.operations('[{"op": "replace", "path": "title", "value": "x"}]')), ('DELETE', '/Users/{}', NULL),
	('GET', '/Groups/{}', NULL), ('PUT', '/Groups/{}', pg_temp.team('{"displayName": "x"}')), ('PATCH', '/Groups/{}', pg_temp.operations('[{"op": "remove", "path": "members"}]')), ('DELETE', '/Groups/{}', NULL), ('GET', '/Users?filter=id+eq+"{}"', NULL), ('GET', '/Groups?filter=members+eq+"{}"', NULL),
	('POST', '/Groups', pg_temp.team('{"displayName": "x", "members": [{"value": "{}"}]}')), ('PATCH', '/Groups/t1', pg_temp.operations('[{"op": "add", "path": "members", "value": [{"value": "{}"}]}]'));
SELECT is_empty($$SELECT a.method, a.url, h, f, n FROM attempt AS a, jsonb_array_elements('[{}, {"If-Match": "W/\"1\""}, {"If-Match": "*"}, {"If-None-Match": "*"}]') AS h,
	pg_temp.ask(a.method, replace(a.url, '{}', 'foreign'), replace(a.body, '{}', 'foreign'), h) AS f, pg_temp.ask(a.method, replace(a.url, '{}', 'missing'), replace(a.body, '{}', 'missing'), h) AS n
	WHERE f IS DISTINCT FROM n AND (f.status, f.headers, replace(f.body, 'foreign', 'missing')) IS DISTINCT FROM (n.status, n.headers, n.body)$$, 'a foreign id is like one that never existed');
SELECT is(pg_temp.said('POST', '/Users', pg_temp.person('{"userName": "foreign", "externalId": "x"}')), '201', 'its names are free here');
SELECT is((SELECT string_agg(user_name || version, ' ' ORDER BY user_id) FROM mindtickle.users WHERE tenant_id = 'sc-other'), 'foreign1 user11', 'and nothing of it has changed');
SELECT is(pg_temp.as_role('sc_provider', $$SELECT status FROM mt_scim_request('sc-other', 'GET', '/Users')$$), '42501: permission denied for tenant "sc-other"', 'a provider asks for no other tenant');
SELECT is(pg_temp.as_role('sc_reader', $$SELECT status FROM mt_scim_request('sc', 'GET', '/Users')$$), '42501: permission denied for tenant "sc"', 'nor does a reader');
SELECT is(pg_temp.outcome($$SELECT mt_scim_request('sc', NULL, '/Users')$$), '22004: tenant, method and path must not be null', 'an argument that is missing');
-- An id that a URL has in another form.
INSERT INTO mindtickle.users (tenant_id, user_id, user_name) VALUES ('sc', 'ü/ "1', 'odd');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) VALUES ('sc', 't1', 'ü/ "1', 'scim');
SELECT is(pg_temp.got('GET', '/Users/%C3%BC%2F%20%221') #>> '{meta,location}', '/scim/v2/Users/%C3%BC%2F%20%221', 'an id that a URL has in another form');
SELECT is(pg_temp.got('GET', '/Users?filter=meta.location+eq+"/scim/v2/Users/%25C3%25BC%252F%2520%25221"') #>> '{Resources,0,userName}', 'odd', 'is found by its location');
SELECT is(pg_temp.got('GET', '/Groups?filter=members.$ref+eq+"/scim/v2/Users/%25C3%25BC%252F%2520%25221"') #>> '{Resources,0,id}', 't1', 'and a group by that of a member');
SELECT * FROM finish();
ROLLBACK;
