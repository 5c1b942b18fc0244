\set ECHO none
-- SCIM, request by request: what is no JSON, too large, of the wrong type, another tenant's, or nonsense altogether; and what is kept of it.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/scim_cases.sql
BEGIN;
SET LOCAL TimeZone = 'UTC';
DROP ROLE IF EXISTS sh_provider;
CREATE ROLE sh_provider;
SELECT mt_create_tenant('sh', 'SCIM, hostile'), mt_create_tenant('sh-other', 'Another'), mt_grant_tenant('sh', 'sh_provider', 'writer') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, version, attributes) VALUES ('sh-other', 'theirs', 'theirs@x.example', 3, '{"scim": {"displayName": "Theirs"}}'), ('sh', 'ours', 'ours@x.example', 1, '{"scim": {"displayName": "Ours"}}');
INSERT INTO mindtickle.team (tenant_id, team_id, name, source, version) VALUES ('sh-other', 'their-group', 'Theirs', 'scim', 3), ('sh', 'our-group', 'Ours', 'scim', 1);
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) VALUES ('sh-other', 'their-group', 'theirs', 'scim');
CREATE TEMP TABLE theirs_before AS SELECT u::text FROM mindtickle.users AS u WHERE tenant_id = 'sh-other' UNION ALL SELECT t::text FROM mindtickle.team AS t WHERE tenant_id = 'sh-other' UNION ALL SELECT m::text FROM mindtickle.team_member AS m WHERE tenant_id = 'sh-other';
INSERT INTO scim_id VALUES ('U', 'urn:ietf:params:scim:schemas:core:2.0:User'), ('G', 'urn:ietf:params:scim:schemas:core:2.0:Group'), ('E', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'),
	('P', 'urn:ietf:params:scim:api:messages:2.0:PatchOp'), ('B', 'urn:ietf:params:scim:api:messages:2.0:BulkRequest');
SELECT no_plan();

-- What is no JSON, or no object.
INSERT INTO scim_case (name, method, path, body, status, type) SELECT 'no body for ' || b.name, 'POST', '/Users', b.body, 400, b.type FROM (VALUES
	('nothing', NULL, 'invalidSyntax'), ('an empty text', '', 'invalidSyntax'), ('blanks', '  ', 'invalidSyntax'), ('a word', 'x', 'invalidSyntax'), ('null', 'null', 'invalidSyntax'), ('true', 'true', 'invalidSyntax'),
	('a number', '5', 'invalidSyntax'), ('a string', '"x"', 'invalidSyntax'), ('a list', '[]', 'invalidSyntax'), ('a list of one', '[{"schemas": ["{U}"], "userName": "x"}]', 'invalidSyntax'), ('an open object', '{', 'invalidSyntax'),
	('an open string', '{"schemas', 'invalidSyntax'), ('a comma at the end', '{"schemas": ["{U}"], "userName": "x",}', 'invalidSyntax'), ('a comma in a list', '{"schemas": ["{U}",], "userName": "x"}', 'invalidSyntax'),
	('single quotes', '{''schemas'': [''{U}''], ''userName'': ''x''}', 'invalidSyntax'), ('a comment', '{"schemas": ["{U}"], /* x */ "userName": "x"}', 'invalidSyntax'), ('another comment', '{"schemas": ["{U}"], "userName": "x"} // x', 'invalidSyntax'),
	('NaN', '{"schemas": ["{U}"], "userName": "x", "a": NaN}', 'invalidSyntax'), ('infinity', '{"schemas": ["{U}"], "userName": "x", "a": -Infinity}', 'invalidSyntax'), ('a number of zeros', '{"schemas": ["{U}"], "userName": "x", "a": 01}', 'invalidSyntax'),
	('hexadecimal', '{"schemas": ["{U}"], "userName": "x", "a": 0x1}', 'invalidSyntax'), ('True', '{"schemas": ["{U}"], "userName": "x", "active": True}', 'invalidSyntax'), ('a name without quotes', '{schemas: ["{U}"], "userName": "x"}', 'invalidSyntax'),
	('something behind', '{"schemas": ["{U}"], "userName": "x"} x', 'invalidSyntax'), ('another object behind', '{"schemas": ["{U}"], "userName": "x"}{}', 'invalidSyntax'), ('a form', 'userName=x&schemas={U}', 'invalidSyntax'),
	('XML', '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', 'invalidSyntax'), ('a mark of byte order', E'\uFEFF{"schemas": ["{U}"], "userName": "x"}', 'invalidSyntax'),
	('a name twice', '{"schemas": ["{U}"], "userName": "x", "userName": "y"}', 'invalidSyntax'), ('a name twice in another case', '{"schemas": ["{U}"], "userName": "x", "USERNAME": "y"}', 'invalidSyntax'),
	('a name twice by an escape', '{"schemas": ["{U}"], "userName": "x", "user\u004eame": "y"}', 'invalidSyntax'), ('a name twice further in', '{"schemas": ["{U}"], "userName": "x", "a": [{"b": {"c": 1, "c": 1}}]}', 'invalidSyntax'),
	('a newline in a string', E'{"schemas": ["{U}"], "userName": "x\ny"}', 'invalidSyntax'), ('a bad escape', '{"schemas": ["{U}"], "userName": "\x41"}', 'invalidSyntax'), ('half an escape', '{"schemas": ["{U}"], "userName": "\u00"}', 'invalidSyntax'),
	('the first half of a character', '{"schemas": ["{U}"], "userName": "\ud83d"}', 'invalidSyntax'), ('the second half', '{"schemas": ["{U}"], "userName": "\ude00"}', 'invalidSyntax'), ('two first halves', '{"schemas": ["{U}"], "userName": "\ud83d\ud83d"}', 'invalidSyntax'),
	('NUL', '{"schemas": ["{U}"], "userName": "x\u0000"}', 'invalidValue'), ('NUL in a name', '{"schemas": ["{U}"], "userName": "x", "a\u0000": 1}', 'invalidValue'), ('NUL that is not kept', '{"schemas": ["{U}"], "userName": "x", "password": "\u0000"}', 'invalidValue'),
	('33 levels', '{"schemas": ["{U}"], "userName": "x", "a": ' || repeat('[', 32) || repeat(']', 32) || '}', 'invalidSyntax'), ('100,000 levels', repeat('[', 100000), 'invalidSyntax'), ('100,000 objects', repeat('{"a":', 100000), 'invalidSyntax'),
	('a number without end', '{"schemas": ["{U}"], "userName": "x", "a": ' || repeat('9', 100000) || '}', 'invalidSyntax'), ('a number beyond numbers', '{"schemas": ["{U}"], "userName": "x", "a": 1e999999}', 'invalidSyntax')) AS b (name, body, type);
INSERT INTO scim_case (name, method, path, headers, body, status, type, wants) VALUES
	('32 levels are read', 'POST', '/Users', NULL, '{"schemas": ["{U}"], "userName": "deep", "a": ' || repeat('[', 31) || repeat(']', 31) || '}', 201, NULL, NULL),
	('a number that is not looked at', 'POST', '/Users', NULL, '{"schemas": ["{U}"], "userName": "number", "a": -1.5e300}', 201, NULL, NULL),
	('1 MiB is read', 'POST', '/Users', NULL, rpad('{"schemas": ["{U}"], "userName": "large"}', 1048576 - 40), 201, NULL, NULL),
	('more is not', 'POST', '/Users', NULL, rpad('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "larger"}', 1048577), 413, NULL, NULL),
	('without a look at it', 'POST', '/Users', NULL, repeat('[', 1048577), 413, NULL, NULL),
	-- media types
	('no media type', 'POST', '/Users', '{}', '{"schemas": ["{U}"], "userName": "t1"}', 201, NULL, NULL),
	('JSON', 'POST', '/Users', '{"content-type": "application/json"}', '{"schemas": ["{U}"], "userName": "t2"}', 201, NULL, NULL),
	('SCIM in capitals with a character set', 'POST', '/Users', '{"CONTENT-TYPE": "APPLICATION/SCIM+JSON; Charset=\"UTF-8\""}', '{"schemas": ["{U}"], "userName": "t3"}', 201, NULL, NULL),
	('text', 'POST', '/Users', '{"Content-Type": "text/plain"}', '{"schemas": ["{U}"], "userName": "t4"}', 415, NULL, NULL),
	('XML', 'POST', '/Users', '{"Content-Type": "application/xml"}', '<a/>', 415, NULL, NULL),
	('nearly JSON', 'POST', '/Users', '{"Content-Type": "application/jsonp"}', '{"schemas": ["{U}"], "userName": "t4"}', 415, NULL, NULL),
	('nearly SCIM', 'PATCH', '/Users/ours', '{"Content-Type": "application/scim+json2"}', '{}', 415, NULL, NULL),
	('a form', 'POST', '/Users', '{"Content-Type": "application/x-www-form-urlencoded"}', 'a=b', 415, NULL, NULL),
	('an empty media type', 'POST', '/Users', '{"Content-Type": ""}', '{"schemas": ["{U}"], "userName": "t4"}', 415, NULL, NULL),
	('Okta''s on a GET', 'GET', '/Users/ours', '{"Content-Type": "application/scim+json; charset=utf-8", "Accept": "application/scim+json; charset=utf-8"}', NULL, 200, NULL, NULL),
	('any on a GET', 'GET', '/Users/ours', '{"Content-Type": "text/plain"}', 'x', 200, NULL, NULL),
	('headers that are none', 'GET', '/Users/ours', '[1, {"If-None-Match": "*"}]', NULL, 200, NULL, NULL),
	('headers of numbers', 'PUT', '/Users/ours', '{"If-Match": 5, "Content-Type": []}', '{"schemas": ["{U}"], "userName": "ours@x.example", "displayName": "Ours"}', 200, NULL, NULL),
	-- SQL and other languages are text
	('SQL', 'POST', '/Users', NULL, '{"schemas": ["{U}"], "userName": "x'' OR true; DROP TABLE mindtickle.users; --", "displayName": "%s%n$1 \\ {} [] ${7*7}", "externalId": "%"}', 201, NULL, '{"$.userName": "x'' OR true; DROP TABLE mindtickle.users; --", "$.displayName": "%s%n$1 \\ {} [] ${7*7}"}'),
	('SQL in a path', 'GET', '/Users/x''%20OR%20true;%20--', NULL, NULL, 404, NULL, NULL),
	('SQL in an attribute', 'GET', '/Users/ours', NULL, NULL, 200, NULL, NULL),
	-- other tenants by other ways
	('a tenant in the body', 'POST', '/Users', NULL, '{"schemas": ["{U}"], "userName": "t5", "tenant": "sh-other", "tenantId": "sh-other", "tenant_id": "sh-other"}', 201, NULL, NULL),
	('a tenant in a header', 'GET', '/Users/theirs', '{"X-Tenant": "sh-other", "X-Tenant-Id": "sh-other", "Host": "sh-other.example"}', NULL, 404, NULL, NULL),
	('a manager of another tenant is text', 'PATCH', '/Users/ours', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "{E}:manager", "value": "theirs"}]}', 200, NULL, '{"$.\"{E}\".manager": {"value": "theirs"}}'),
	('a member of another tenant', 'PATCH', '/Groups/our-group', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members", "value": [{"value": "theirs"}]}]}', 400, 'invalidValue', NULL),
	('by a filter', 'PATCH', '/Groups/our-group', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members[value eq \"theirs\"]", "value": {"value": "theirs"}}]}', 400, 'invalidValue', NULL),
	('too many members', 'PATCH', '/Groups/our-group', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members", "value": [' || repeat('{"value": "ours"},', 10000) || '{"value": "ours"}]}]}', 413, NULL, NULL),
	('too many members in two', 'PATCH', '/Groups/our-group', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members", "value": [' || repeat('{"value": "ours"},', 6000) || '{"value": "ours"}]}, {"op": "remove", "path": "members", "value": [' || repeat('{"value": "ours"},', 6000) || '{"value": "ours"}]}]}', 413, NULL, NULL),
	('as many as there may be', 'PATCH', '/Groups/our-group', NULL, '{"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members", "value": [' || repeat('{"value": "ours"},', 9999) || '{"value": "ours"}]}]}', 204, NULL, NULL),
	('one is a member once', 'GET', '/Groups/our-group', NULL, NULL, 200, NULL, '{"$.members[*].value": "ours", "$.meta.version": "W/\"2\""}'),
	('too many operations', 'PATCH', '/Users/ours', NULL, '{"schemas": ["{P}"], "Operations": [' || repeat('{"op": "replace", "path": "title", "value": "x"},', 1000) || '{"op": "replace", "path": "title", "value": "y"}]}', 413, NULL, NULL),
	('as many as there may be', 'PATCH', '/Users/ours', NULL, '{"schemas": ["{P}"], "Operations": [' || repeat('{"op": "replace", "path": "title", "value": "x"},', 999) || '{"op": "replace", "path": "title", "value": "y"}]}', 200, NULL, '{"$.title": "y", "$.meta.version": "W/\"3\""}');

-- A PATCH that is none. Nothing of it is done, not even what comes before.
INSERT INTO scim_case (name, method, path, body, status, type) SELECT 'PATCH: ' || left(p.operation, 100), 'PATCH', '/Users/ours', format('{"schemas": ["{P}"], "Operations": [{"op": "replace", "path": "title", "value": "done"}, %s]}', p.operation), 400, p.type FROM (VALUES
	('5', 'invalidSyntax'), ('null', 'invalidSyntax'), ('[]', 'invalidSyntax'), ('{}', 'invalidSyntax'), ('{"path": "title", "value": "x"}', 'invalidSyntax'), ('{"op": "move", "from": "a", "path": "title"}', 'invalidSyntax'), ('{"op": 5, "path": "title", "value": "x"}', 'invalidSyntax'),
	('{"op": "", "path": "title", "value": "x"}', 'invalidSyntax'), ('{"op": "replace ", "path": "title", "value": "x"}', 'invalidSyntax'), ('{"op": "test", "path": "title", "value": "x"}', 'invalidSyntax'), ('{"op": "remove"}', 'noTarget'), ('{"op": "remove", "path": null}', 'noTarget'),
	('{"op": "remove", "value": {"title": "x"}}', 'noTarget'), ('{"op": "add", "path": "title"}', 'invalidValue'), ('{"op": "replace"}', 'invalidValue'), ('{"op": "add", "value": "x"}', 'invalidValue'), ('{"op": "add", "value": ["title"]}', 'invalidValue'), ('{"op": "replace", "value": null}', 'invalidValue'),
	('{"op": "replace", "path": 5, "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": {}, "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "favourite", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "title.x", "value": "x"}', 'invalidPath'),
	('{"op": "replace", "path": "/title", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "emails[", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "emails[type eq \"work\"", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "emails[type eq \"work\"]]", "value": "x"}', 'invalidPath'),
	('{"op": "replace", "path": "emails[type eq work].value", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "emails[type eq \"work\"].colour", "value": "x"}', 'invalidPath'), ('{"op": "replace", "path": "name[givenName eq \"x\"]", "value": "x"}', 'invalidPath'),
	('{"op": "replace", "path": "members", "value": []}', 'invalidPath'), ('{"op": "replace", "path": "title; DROP TABLE users", "value": "x"}', 'invalidPath'), ('{"op": "remove", "path": "emails[value pr' || repeat(' and value pr', 500) || ']"}', 'invalidPath'),
	('{"op": "remove", "path": "emails[' || repeat('(', 33) || 'value pr' || repeat(')', 33) || ']"}', 'invalidPath'), ('{"op": "remove", "path": "' || repeat('x', 16385) || '"}', 'invalidPath'), ('{"op": "replace", "path": "emails[type eq \"none\"].value", "value": "x"}', 'noTarget'),
	('{"op": "replace", "path": "emails[type eq \"none\"]", "value": {"value": "x"}}', 'noTarget'), ('{"op": "replace", "path": "id", "value": "theirs"}', 'mutability'), ('{"op": "replace", "path": "meta", "value": {}}', 'mutability'), ('{"op": "replace", "path": "meta.version", "value": "W/\"9\""}', 'mutability'),
	('{"op": "add", "path": "groups", "value": [{"value": "our-group"}]}', 'mutability'), ('{"op": "remove", "path": "groups[value eq \"our-group\"]"}', 'mutability'), ('{"op": "remove", "path": "id"}', 'mutability'), ('{"op": "replace", "value": {"id": "theirs"}}', 'mutability'), ('{"op": "remove", "path": "userName"}', 'invalidValue'),
	('{"op": "replace", "path": "userName", "value": ""}', 'invalidValue'), ('{"op": "replace", "path": "userName", "value": null}', 'invalidValue'), ('{"op": "replace", "path": "userName", "value": "  "}', 'invalidValue'), ('{"op": "replace", "path": "active", "value": "maybe"}', 'invalidValue'), ('{"op": "replace", "path": "active", "value": 0}', 'invalidValue'),
	('{"op": "replace", "path": "title", "value": {"a": 1}}', 'invalidValue'), ('{"op": "replace", "path": "name", "value": "x"}', 'invalidValue'), ('{"op": "replace", "path": "name.givenName", "value": 5}', 'invalidValue'), ('{"op": "add", "path": "emails", "value": "x"}', 'invalidValue'), ('{"op": "add", "path": "emails", "value": [5]}', 'invalidValue'),
	('{"op": "add", "path": "emails[type eq \"work\"].primary", "value": "x"}', 'invalidValue'), ('{"op": "replace", "path": "emails", "value": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}', 'invalidValue'), ('{"op": "add", "path": "roles", "value": [{"value": "Emperor"}]}', 'invalidValue'),
	('{"op": "replace", "value": {"emails[type eq \"work\"": "x"}}', 'invalidPath'), ('{"op": "replace", "value": {"title": 5}}', 'invalidValue'), ('{"op": "replace", "value": {"{E}": "x"}}', 'invalidValue'), ('{"op": "replace", "path": "{E}", "value": "x"}', 'invalidValue'), ('{"op": "replace", "value": {"{E}:department": {}, "{E}:division": 5}}', 'invalidValue'),
	('{"op": "replace", "path": "displayName", "value": "' || repeat('x', 4097) || '"}', 'invalidValue')) AS p (operation, type);
INSERT INTO scim_case (name, method, path, body, status, type, wants) VALUES
	('PATCH without operations', 'PATCH', '/Users/ours', '{"schemas": ["{P}"]}', 400, 'invalidSyntax', NULL),
	('with none', 'PATCH', '/Users/ours', '{"schemas": ["{P}"], "Operations": []}', 400, 'invalidSyntax', NULL),
	('with one that is not in a list', 'PATCH', '/Users/ours', '{"schemas": ["{P}"], "Operations": {"op": "remove", "path": "title"}}', 400, 'invalidSyntax', NULL),
	('without a schema', 'PATCH', '/Users/ours', '{"Operations": [{"op": "remove", "path": "title"}]}', 400, 'invalidSyntax', NULL),
	('with another schema', 'PATCH', '/Users/ours', '{"schemas": ["{U}"], "Operations": [{"op": "remove", "path": "title"}]}', 400, 'invalidSyntax', NULL),
	('a group without a name', 'PATCH', '/Groups/our-group', '{"schemas": ["{P}"], "Operations": [{"op": "remove", "path": "displayName"}]}', 400, 'invalidValue', NULL),
	('a user without change', 'GET', '/Users/ours', NULL, 200, NULL, '{"$.title": "y", "$.displayName": "Ours", "$.meta.version": "W/\"3\"", "$.emails": []}'),
	('a group without change', 'GET', '/Groups/our-group', NULL, 200, NULL, '{"$.displayName": "Ours", "$.meta.version": "W/\"2\"", "$.members.size()": 1}'),
	-- many requests in one
	('bulk without operations', 'POST', '/Bulk', '{"schemas": ["{B}"]}', 400, 'invalidSyntax', NULL),
	('bulk without a schema', 'POST', '/Bulk', '{"Operations": [{"method": "DELETE", "path": "/Users/ours"}]}', 400, 'invalidSyntax', NULL),
	('bulk without a body', 'POST', '/Bulk', NULL, 400, 'invalidSyntax', NULL),
	('an operation that is none', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [5]}', 400, 'invalidSyntax', NULL),
	('an operation without a method', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"path": "/Users/ours"}]}', 400, 'invalidSyntax', NULL),
	('an operation that reads', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "GET", "path": "/Users/ours"}]}', 400, 'invalidSyntax', NULL),
	('a POST without a bulkId', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "POST", "path": "/Users", "data": {}}]}', 400, 'invalidSyntax', NULL),
	('a bulkId twice', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "POST", "path": "/Users", "bulkId": "a", "data": {}}, {"method": "POST", "path": "/Users", "bulkId": "a", "data": {}}]}', 400, 'invalidSyntax', NULL),
	('failOnErrors that is no number', 'POST', '/Bulk', '{"schemas": ["{B}"], "failOnErrors": "1", "Operations": [{"method": "DELETE", "path": "/Users/ours"}]}', 400, 'invalidSyntax', NULL),
	('failOnErrors below nothing', 'POST', '/Bulk', '{"schemas": ["{B}"], "failOnErrors": -1, "Operations": [{"method": "DELETE", "path": "/Users/ours"}]}', 400, 'invalidSyntax', NULL),
	('too many operations', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [' || repeat('{"method": "DELETE", "path": "/Users/nobody"},', 1000) || '{"method": "DELETE", "path": "/Users/ours"}]}', 413, NULL, NULL),
	('bulk in bulk, and other odd paths', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "POST", "path": "/Bulk", "bulkId": "a", "data": {"schemas": ["{B}"], "Operations": [{"method": "DELETE", "path": "/Users/ours"}]}}, {"method": "POST", "path": "/scim/v2/Bulk", "bulkId": "b", "data": {"schemas": ["{B}"],
		"Operations": [{"method": "DELETE", "path": "/Users/ours"}]}}, {"method": "POST", "path": "/Bulk/", "bulkId": "c", "data": {"schemas": ["{B}"], "Operations": [{"method": "DELETE", "path": "/Users/ours"}]}}, {"method": "POST", "path": "/%42ulk", "bulkId": "d", "data": {"schemas": ["{B}"], "Operations": [{"method": "DELETE", "path": "/Users/ours"}]}},
		{"method": "DELETE", "path": "/Users"}, {"method": "DELETE", "path": "Users/ours"}, {"method": "DELETE", "path": "/Users/theirs"}, {"method": "PUT", "path": "/Users/ours"}, {"method": "DELETE", "path": "/Users/ours?x=1"}]}', 200, NULL,
		'{"$.Operations[*].status ? (@ starts with \"2\")": [], "$.Operations.size()": 9}'),
	('operations that wait for each other', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "POST", "path": "/Groups", "bulkId": "a", "data": {"schemas": ["{G}"], "displayName": "bulkId:b"}}, {"method": "POST", "path": "/Groups", "bulkId": "b", "data": {"schemas": ["{G}"], "displayName": "bulkId:a"}}]}', 200, NULL, '{"$.Operations[*].status": ["409", "409"]}'),
	('for themselves', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "POST", "path": "/Groups", "bulkId": "a", "data": {"schemas": ["{G}"], "displayName": "bulkId:a"}}]}', 200, NULL, '{"$.Operations[*].status": "409"}'),
	('for nobody', 'POST', '/Bulk', '{"schemas": ["{B}"], "Operations": [{"method": "DELETE", "path": "/Users/bulkId:nobody"}, {"method": "PATCH", "path": "/Groups/our-group", "data": {"schemas": ["{P}"], "Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:nobody"}]}]}}]}', 200, NULL, '{"$.Operations[*].status": ["409", "409"]}'),
	('the first fault is the last', 'POST', '/Bulk', '{"schemas": ["{B}"], "failOnErrors": 1, "Operations": [{"method": "DELETE", "path": "/Users/nobody"}, {"method": "DELETE", "path": "/Users/ours"}]}', 200, NULL, '{"$.Operations[*].status": "404"}'),
	('nothing of this was done', 'GET', '/Users/ours', NULL, 200, NULL, '{"$.meta.version": "W/\"3\""}');
SELECT * FROM pg_temp.run_cases('sh', 'sh_provider');

-- Many members of one object, none of which is one of ours.
INSERT INTO scim_case (name, method, path, body, status) SELECT 'many names ' || b.name, 'PATCH', '/Users/ours', replace(b.body, '*', (SELECT string_agg(format('"n%s":0', i), ',') FROM generate_series(1, 5000) AS i)), 200 FROM (VALUES
	('in a value', '{"schemas": ["{P}"], "Operations": [{"op": "replace", "value": {*}}]}'),
	('in the extension', '{"schemas": ["{P}"], "Operations": [{"op": "replace", "value": {"{E}": {*}}}]}'),
	('in a complex attribute', '{"schemas": ["{P}"], "Operations": [{"op": "replace", "path": "name", "value": {*}}]}'),
	('beside the operations', '{"schemas": ["{P}"], "Operations": [{"op": "replace", "path": "title", "value": "y"}], *}')) AS b (name, body);
SELECT * FROM pg_temp.run_cases('sh', 'sh_provider');

-- Bytes that are no text.
CREATE FUNCTION pg_temp.of_bytes(bytes bytea) RETURNS text LANGUAGE sql AS $$ SELECT a.status || ' ' || (a.body::jsonb ->> 'scimType') FROM mt_scim_request('sh', 'POST', '/Users', NULL, NULL, bytes) AS a $$;
SELECT is(pg_temp.of_bytes('\xff'), '400 invalidSyntax', 'no UTF-8');
SELECT is(pg_temp.of_bytes(convert_to('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "', 'UTF8') || '\xc3' || convert_to('"}', 'UTF8')), '400 invalidSyntax', 'no UTF-8 in a string');
SELECT is(pg_temp.of_bytes(convert_to('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "', 'UTF8') || '\xeda080' || convert_to('"}', 'UTF8')), '400 invalidSyntax', 'half a character in UTF-8');
SELECT is(pg_temp.of_bytes(convert_to('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "x', 'UTF8') || '\x00' || convert_to('"}', 'UTF8')), '400 invalidSyntax', 'a NUL');
SELECT is(pg_temp.of_bytes(convert_to('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "hidden"}', 'UTF8') || '\x00' || convert_to('{', 'UTF8')), '400 invalidSyntax', 'something behind a NUL');
SELECT is(pg_temp.of_bytes('\xfffe7b007d00'), '400 invalidSyntax', 'UTF-16');
SELECT is((SELECT raw FROM mindtickle.dead_letter WHERE tenant_id = 'sh' ORDER BY letter_id DESC LIMIT 1), '\xfffe7b007d00', 'what was refused is kept as it came');

-- What was refused is kept, once, with the reason; of long ones the beginning; nothing of a password.
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sh' AND source = 'scim' AND resource = 'POST /Users' AND reason LIKE 'invalidSyntax: %' AND raw = 'x'), 1::bigint, 'a refused body is a dead letter');
SELECT cmp_ok((SELECT max(octet_length(raw)) FROM mindtickle.dead_letter WHERE tenant_id = 'sh'), '<=', 65536, 'of 64 KiB at most');
SELECT count(*) AS letters FROM mindtickle.dead_letter WHERE tenant_id = 'sh' \gset
SELECT a.status FROM generate_series(1, 3), mt_scim_request('sh', 'POST', '/Users', NULL, NULL, '{"userName": "secret", "password": "s3cr\"et", "PassWord" : "s3cret2", "x": {"path": "password", "value": "s3cret3"}') AS a \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sh'), :letters + 1::bigint, 'the same is kept once');
SELECT is_empty($$SELECT convert_from(raw, 'UTF8'), reason FROM mindtickle.dead_letter WHERE tenant_id = 'sh' AND (position('s3cr'::bytea IN raw) > 0 OR reason ~ 's3cr')$$, 'without passwords');
SELECT is_empty($$SELECT * FROM mindtickle.dead_letter WHERE tenant_id = 'sh' AND reason ~* 'mindtickle\.|relation|sqlstate'$$, 'and without what is ours to know');

-- Another tenant's ids are like ids that never were, byte for byte.
CREATE FUNCTION pg_temp.answer_for(id text, method text, collection text, headers jsonb, body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer;
BEGIN
	PERFORM set_config('role', 'sh_provider', true);
	answer := mt_scim_request('sh', method, format('/%s/%s', collection, id), NULL, headers, body);
	PERFORM set_config('role', 'none', true);
	RETURN replace(answer::text, id, '{id}');
END
$$;
SELECT is(pg_temp.answer_for(c.theirs, m.method, c.collection, h.headers, b.body), pg_temp.answer_for('never-was', m.method, c.collection, h.headers, b.body), format('%s of another''s of %s, %s, %s', m.method, c.collection, coalesce(h.headers::text, 'no headers'), b.name))
	FROM (VALUES ('Users', 'theirs'), ('Groups', 'their-group')) AS c (collection, theirs), unnest('{GET,PUT,PATCH,DELETE,POST}'::text[]) AS m (method), (VALUES (NULL::jsonb), ('{"If-Match": "W/\"3\""}'), ('{"If-Match": "W/\"1\""}'), ('{"If-None-Match": "*"}')) AS h (headers),
		(VALUES ('no body', NULL), ('a bad body', '{'), ('a user', '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "theirs@x.example"}'), ('a group', '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Theirs"}'),
			('a change', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "displayName", "value": "x"}]}')) AS b (name, body)
	WHERE b.body IS NOT NULL OR m.method IN ('GET', 'DELETE');
SELECT results_eq($$SELECT u::text FROM mindtickle.users AS u WHERE tenant_id = 'sh-other' UNION ALL SELECT t::text FROM mindtickle.team AS t WHERE tenant_id = 'sh-other' UNION ALL SELECT m::text FROM mindtickle.team_member AS m WHERE tenant_id = 'sh-other'$$,
	'SELECT * FROM theirs_before', 'nothing of theirs has changed');

-- Requests that are changed at random are answered, not failed.
SELECT setseed(0.6) \g /dev/null
CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::int4]
$$;
CREATE FUNCTION pg_temp.mangle(whole text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	FOR i IN 1 .. floor(random() * 4)::int4 LOOP
		whole := overlay(whole PLACING pg_temp.pick('', '', '"', '{', '}', '[', ']', ',', ':', ' ', '\', '\u0000', '\ud800', 'é', E'\x01', '-', '1e9', 'null', 'true', '[]', '{}', '""', '%', '%00', '&', '/', '.', 'value', 'emails', 'members', 'remove', 'add',
			'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', 'bulkId:a', repeat('x', 300), repeat('[', 40)) FROM 1 + floor(random() * length(whole))::int4 FOR floor(random() * 12)::int4);
	END LOOP;
	RETURN whole;
END
$$;
CREATE FUNCTION pg_temp.random_request() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	answer mindtickle.scim_answer;
	method text := pg_temp.pick('GET', 'POST', 'POST', 'PUT', 'PATCH', 'PATCH', 'PATCH', 'DELETE');
	path text := pg_temp.pick('/Users', '/Users/ours', '/Users/ours', '/Groups', '/Groups/our-group', '/Groups/our-group', '/Bulk', '/Users/.search', '/Schemas');
	query text := pg_temp.pick(NULL, NULL, 'filter=userName+sw+%22o%22&sortBy=emails&count=5', 'attributes=name.givenName,emails,urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager', 'excludedAttributes=members,groups&startIndex=2');
	body text := pg_temp.pick(
		'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ours@x.example", "name": {"givenName": "O"}, "emails": [{"value": "o@x.example", "type": "work", "primary": true}], "active": "True", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "D", "manager": {"value": "m"}}}',
		'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Ours", "externalId": "e", "members": [{"value": "ours", "$ref": null}]}',
		'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "Add", "path": "emails[type eq \"work\"].value", "value": "o@x.example"}, {"op": "Replace", "path": "name.familyName", "value": "F"}, {"op": "remove", "path": "emails[type eq \"work\" and not (value co \"y\")]"}]}',
		'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "value": {"active": "False", "name.givenName": "G", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "D", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": "m"}, "roles": []}}]}',
		'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "Add", "path": "members", "value": [{"value": "ours"}]}, {"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "ours"}]}, {"op": "remove", "path": "members[value eq \"ours\" or display sw \"o\"]"}]}',
		'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": 2, "Operations": [{"method": "POST", "path": "/Groups", "bulkId": "a", "data": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g"}}, {"method": "PATCH", "path": "/Groups/bulkId:a", "data": {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "add", "path": "members", "value": {"value": "ours"}}]}}]}',
		'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": "emails[type eq \"work\"].value pr", "attributes": ["userName"], "sortBy": "name.givenName", "startIndex": 1, "count": 5}');
BEGIN
	path := CASE WHEN random() < 0.1 THEN pg_temp.mangle(path) ELSE path END;
	query := CASE WHEN random() < 0.4 THEN pg_temp.mangle(query) ELSE query END;
	body := pg_temp.mangle(body);
	answer := mt_scim_request('sh', method, path, query, NULL, body);
	RETURN coalesce(nullif(pg_temp.ill_formed(method, answer.status, answer.headers, answer.body::jsonb), '') || format(': %s %s %s %s -> %s', method, path, query, body, answer), answer.status::text);
EXCEPTION WHEN OTHERS THEN
	RETURN format('%s %s: %s %s %s %s', SQLSTATE, SQLERRM, method, path, query, body);
END
$$;
CREATE TEMP TABLE random_answer AS SELECT pg_temp.random_request() AS answer FROM generate_series(1, 4000);
SELECT is_empty($$SELECT answer FROM random_answer WHERE answer NOT IN ('200', '201', '204', '304', '400', '403', '404', '405', '409', '412', '413', '501') ORDER BY length(answer) LIMIT 3$$, 'each request is answered in good form');
SELECT is((SELECT string_agg(DISTINCT answer, ' ' ORDER BY answer) FROM random_answer WHERE answer IN ('200', '201', '204', '400', '404', '405', '409')), '200 201 204 400 404 405 409', 'some are granted and some are not');
SELECT results_eq($$SELECT u::text FROM mindtickle.users AS u WHERE tenant_id = 'sh-other' UNION ALL SELECT t::text FROM mindtickle.team AS t WHERE tenant_id = 'sh-other' UNION ALL SELECT m::text FROM mindtickle.team_member AS m WHERE tenant_id = 'sh-other'$$,
	'SELECT * FROM theirs_before', 'nothing of theirs has changed');

SELECT * FROM finish();
ROLLBACK;
