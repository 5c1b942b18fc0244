\set ECHO none
-- PATCH of users: what each operation makes of one and the same user, and why others are refused, which leaves him as he was.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/scim.sql
SELECT mt_configure_tenant('sc', '{"role_map": {"Sales Lead": "manager", "Boss": "admin"}}') \g /dev/null

CREATE TEMP TABLE base AS SELECT jsonb_build_object(
	'schemas', '["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]'::jsonb,
	'userName', 'pat@example.com', 'externalId', 'x-1', 'active', true, 'title', 'Lead', 'displayName', 'Pat Doe', 'nickName', 'P',
	'name', '{"givenName": "Pat", "familyName": "Doe"}'::jsonb,
	'emails', '[{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}]'::jsonb,
	'roles', '[{"value": "Sales Lead", "primary": true}]'::jsonb,
	'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', '{"department": "Sales", "employeeNumber": "007", "manager": {"value": "m-1"}}'::jsonb) AS document;

-- The operations, the answer, and what the user has become.
CREATE FUNCTION pg_temp.patched(operations text, OUT said text, OUT difference jsonb) LANGUAGE plpgsql AS $$
DECLARE
	before jsonb := pg_temp.got('POST', '/Users', (SELECT document::text FROM base));
	after jsonb;
BEGIN
	said := pg_temp.said('PATCH', '/Users/' || (before ->> 'id'), CASE WHEN operations LIKE '[%' THEN pg_temp.operations(operations::jsonb) ELSE operations END);
	after := pg_temp.got('GET', '/Users/' || (before ->> 'id'));
	difference := pg_temp.difference(before, after);
	IF (before #>> '{meta,version}' = after #>> '{meta,version}') <> (difference = '{}') THEN
		said := said || ', but the version is ' || (after #>> '{meta,version}');
	END IF;
	PERFORM pg_temp.ask('DELETE', '/Users/' || (before ->> 'id'));
END
$$;

CREATE TEMP TABLE patch (place int GENERATED ALWAYS AS IDENTITY, operations text, said text, difference jsonb);
-- Single values.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "add", "path": "title", "value": "Head"}]', '200', '{"title": "Head"}'),
	('[{"op": "replace", "path": "title", "value": "Head"}]', '200', '{"title": "Head"}'),
	('[{"op": "Replace", "path": "TITLE", "value": "Head"}]', '200', '{"title": "Head"}'),
	('[{"op": "REMOVE", "path": "title"}]', '200', '{"title": null}'),
	('[{"op": "remove", "path": "title", "value": "whatever"}]', '200', '{"title": null}'),
	('[{"op": "remove", "path": "locale"}]', '200', '{}'),
	('[{"op": "replace", "path": "locale", "value": "de-CH"}]', '200', '{"locale": "de-CH"}'),
	('[{"op": "add", "path": "title", "value": "Lead"}]', '200', '{}'),
	('[{"op": "replace", "path": "title", "value": null}]', '200', '{"title": null}'),
	('[{"op": "replace", "path": "title", "value": ""}]', '200', '{"title": ""}'),
	('[{"op": "replace", "path": "title", "value": "  two  spaces "}]', '200', '{"title": "  two  spaces "}'),
	('[{"op": "replace", "path": "title", "value": "日本語 😀 \\ \" '' % _"}]', '200', '{"title": "日本語 😀 \\ \" '' % _"}'),
	('[{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:title", "value": "Head"}]', '200', '{"title": "Head"}'),
	('[{"op": "replace", "path": "userName", "value": "PAT@EXAMPLE.com"}]', '200', '{"userName": "PAT@EXAMPLE.com"}'),
	('[{"op": "replace", "path": "userName", "value": "new name"}]', '200', '{"userName": "new name"}'),
	('[{"op": "replace", "path": "externalId", "value": "X-1"}]', '200', '{"externalId": "X-1"}'),
	('[{"op": "remove", "path": "externalId"}]', '200', '{"externalId": null}'),
	('[{"op": "replace", "path": "displayName", "value": "Patricia"}]', '200', '{"displayName": "Patricia"}'),
	('[{"op": "replace", "path": "profileUrl", "value": "https://example.com/pat"}]', '200', '{"profileUrl": "https://example.com/pat"}'),
	-- active, also as strings
	('[{"op": "replace", "path": "active", "value": false}]', '200', '{"active": false}'),
	('[{"op": "Replace", "path": "active", "value": "False"}]', '200', '{"active": false}'),
	('[{"op": "replace", "path": "active", "value": "FALSE"}]', '200', '{"active": false}'),
	('[{"op": "replace", "path": "active", "value": "True"}]', '200', '{}'),
	('[{"op": "replace", "value": {"active": false}}]', '200', '{"active": false}'),
	('[{"op": "replace", "value": {"active": "false"}}]', '200', '{"active": false}'),
	('[{"op": "replace", "path": "active", "value": "no"}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "active", "value": 0}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "active", "value": false}, {"op": "remove", "path": "active"}]', '200', '{}');
-- Complex values.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "replace", "path": "name.givenName", "value": "Patricia"}]', '200', '{"name": {"givenName": "Patricia", "familyName": "Doe"}}'),
	('[{"op": "add", "path": "name", "value": {"middleName": "Q"}}]', '200', '{"name": {"givenName": "Pat", "familyName": "Doe", "middleName": "Q"}}'),
	('[{"op": "replace", "path": "name", "value": {"givenName": "Patricia"}}]', '200', '{"name": {"givenName": "Patricia", "familyName": "Doe"}}'),
	('[{"op": "replace", "value": {"name": {"givenName": "Patricia"}}}]', '200', '{"name": {"givenName": "Patricia", "familyName": "Doe"}}'),
	('[{"op": "replace", "path": "name", "value": {"GIVENNAME": "Patricia"}}]', '200', '{"name": {"givenName": "Patricia", "familyName": "Doe"}}'),
	('[{"op": "replace", "path": "name", "value": {"givenName": null}}]', '200', '{"name": {"familyName": "Doe"}}'),
	('[{"op": "replace", "path": "name", "value": {"unknown": 1}}]', '200', '{}'),
	('[{"op": "remove", "path": "name.givenName"}]', '200', '{"name": {"familyName": "Doe"}}'),
	('[{"op": "remove", "path": "name.givenName"}, {"op": "remove", "path": "name.familyName"}]', '200', '{"name": null}'),
	('[{"op": "remove", "path": "name"}]', '200', '{"name": null}'),
	('[{"op": "replace", "path": "name", "value": null}]', '200', '{"name": null}'),
	('[{"op": "replace", "value": {"name.givenName": "Patricia", "name.familyName": "Roe"}}]', '200', '{"name": {"givenName": "Patricia", "familyName": "Roe"}}'),
	('[{"op": "replace", "path": "name", "value": "Pat"}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "name.givenName", "value": ["Pat"]}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "name.nothing", "value": "x"}]', '400 invalidPath', '{}');
-- The extension.
INSERT INTO patch (operations, said, difference)
SELECT replace(p.operations, 'ENT', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'), p.said,
	replace(p.difference, 'ENT', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User')::jsonb
FROM (VALUES
	('[{"op": "Add", "path": "ENT:department", "value": "Support"}]', '200', '{"ENT": {"department": "Support", "employeeNumber": "007", "manager": {"value": "m-1"}}}'),
	('[{"op": "Replace", "path": "ENT:costCenter", "value": "0815"}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "costCenter": "0815", "manager": {"value": "m-1"}}}'),
	('[{"op": "Replace", "path": "ENT:manager", "value": "m-2"}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "manager": {"value": "m-2"}}}'),
	('[{"op": "Replace", "path": "ENT:manager", "value": {"value": "m-2", "displayName": "M"}}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "manager": {"value": "m-2"}}}'),
	('[{"op": "Replace", "path": "ENT:manager", "value": [{"$ref": null, "value": "m-2"}]}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "manager": {"value": "m-2"}}}'),
	('[{"op": "Replace", "path": "ENT:manager.value", "value": "m-2"}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "manager": {"value": "m-2"}}}'),
	('[{"op": "Remove", "path": "ENT:manager"}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007"}}'),
	('[{"op": "Remove", "path": "ENT:manager.value"}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007"}}'),
	('[{"op": "Replace", "path": "ENT:manager", "value": ""}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007"}}'),
	('[{"op": "Replace", "path": "ENT:manager.displayName", "value": "x"}]', '400 mutability', '{}'),
	('[{"op": "replace", "value": {"ENT:department": "Support", "title": "Head"}}]', '200', '{"title": "Head", "ENT": {"department": "Support", "employeeNumber": "007", "manager": {"value": "m-1"}}}'),
	('[{"op": "replace", "value": {"ENT": {"department": "Support"}}}]', '200', '{"ENT": {"department": "Support", "employeeNumber": "007", "manager": {"value": "m-1"}}}'),
	('[{"op": "add", "path": "ENT", "value": {"division": "East", "nothing": 1}}]', '200', '{"ENT": {"department": "Sales", "employeeNumber": "007", "division": "East", "manager": {"value": "m-1"}}}'),
	('[{"op": "replace", "path": "ENT", "value": {"ENT": {"ENT": {"department": "x"}}}}]', '200', '{}'),
	('[{"op": "remove", "path": "ENT"}]', '200', '{"ENT": null, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}'),
	('[{"op": "remove", "path": "ENT:department"}, {"op": "remove", "path": "ENT:employeeNumber"}, {"op": "remove", "path": "ENT:manager"}]', '200', '{"ENT": null, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}'),
	('[{"op": "replace", "path": "ENT:nothing", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "ENT:department.sub", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "ENT", "value": "x"}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "ENT:department", "value": 7}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "department", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "urn:example:unknown:2.0:User:department", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "value": {"urn:example:unknown:2.0:User": {"department": "x"}, "unknown": 1, "title": "Head"}}]', '200', '{"title": "Head"}')
	) AS p (operations, said, difference);
-- Lists.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "add", "path": "emails", "value": [{"value": "third@example.com", "type": "other"}]}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}, {"value": "third@example.com", "type": "other"}]}'),
	('[{"op": "add", "path": "emails", "value": {"value": "third@example.com"}}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}, {"value": "third@example.com"}]}'),
	('[{"op": "add", "path": "emails", "value": [{"value": "pat@home.example", "type": "home"}]}]', '200', '{}'),
	('[{"op": "add", "path": "emails", "value": [{"value": "pat@home.example", "type": "home", "display": "At home"}]}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home", "display": "At home"}]}'),
	('[{"op": "add", "path": "emails", "value": [{"value": "third@example.com", "type": "other", "primary": true}]}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": false}, {"value": "pat@home.example", "type": "home"}, {"value": "third@example.com", "type": "other", "primary": true}]}'),
	('[{"op": "add", "path": "emails", "value": [{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]}]', '400 invalidValue', '{}'),
	('[{"op": "add", "path": "emails", "value": []}]', '200', '{}'),
	('[{"op": "add", "path": "emails", "value": "third@example.com"}]', '400 invalidValue', '{}'),
	('[{"op": "add", "path": "emails", "value": [{"value": 7}]}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "emails", "value": [{"value": "only@example.com"}]}]', '200', '{"emails": [{"value": "only@example.com"}]}'),
	('[{"op": "replace", "path": "emails", "value": {"value": "only@example.com", "unknown": 1}}]', '200', '{"emails": [{"value": "only@example.com"}]}'),
	('[{"op": "replace", "value": {"emails": [{"value": "only@example.com"}]}}]', '200', '{"emails": [{"value": "only@example.com"}]}'),
	('[{"op": "replace", "path": "emails", "value": []}]', '200', '{"emails": null}'),
	('[{"op": "remove", "path": "emails"}]', '200', '{"emails": null}'),
	('[{"op": "Remove", "path": "emails", "value": [{"value": "PAT@home.example"}]}]', '200', '{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}]}'),
	('[{"op": "Remove", "path": "emails", "value": [{"value": "nobody@example.com"}]}]', '200', '{}'),
	-- by a filter
	('[{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com"}]', '200',
		'{"emails": [{"value": "new@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}]}'),
	('[{"op": "replace", "path": "EMAILS[TYPE EQ \"WORK\"].VALUE", "value": "new@example.com"}]', '200',
		'{"emails": [{"value": "new@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}]}'),
	('[{"op": "add", "path": "emails[type eq \"home\"]", "value": {"display": "At home"}}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home", "display": "At home"}]}'),
	('[{"op": "replace", "path": "emails[type eq \"home\"]", "value": {"value": "h@x"}}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}]}'),
	('[{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": false}, {"value": "pat@home.example", "type": "home", "primary": true}]}'),
	('[{"op": "replace", "path": "emails[type eq \"home\" and value ew \"example\"].value", "value": "h@x"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}]}'),
	('[{"op": "replace", "path": "emails[not (primary eq true)].value", "value": "h@x"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "h@x", "type": "home"}]}'),
	('[{"op": "replace", "path": "emails[type eq \"other\"].value", "value": "new@example.com"}]', '400 noTarget', '{}'),
	('[{"op": "add", "path": "emails[type eq \"other\"].value", "value": "new@example.com"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}, {"value": "new@example.com", "type": "other"}]}'),
	('[{"op": "Add", "path": "emails[type eq \"other\" and primary eq true].value", "value": "new@example.com"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": false}, {"value": "pat@home.example", "type": "home"}, {"value": "new@example.com", "type": "other", "primary": true}]}'),
	('[{"op": "replace", "value": {"emails[type eq \"work\"].value": "new@example.com"}}]', '200',
		'{"emails": [{"value": "new@example.com", "type": "work", "primary": true}, {"value": "pat@home.example", "type": "home"}]}'),
	('[{"op": "remove", "path": "emails[type eq \"home\"]"}]', '200', '{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}]}'),
	('[{"op": "remove", "path": "emails[type eq \"other\"]"}]', '200', '{}'),
	('[{"op": "remove", "path": "emails[value pr]"}]', '200', '{"emails": null}'),
	('[{"op": "remove", "path": "emails[type eq \"home\"].value"}]', '200', '{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}, {"type": "home"}]}'),
	('[{"op": "remove", "path": "emails[type eq \"home\"].value"}, {"op": "remove", "path": "emails[type eq \"home\"].type"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true}]}'),
	('[{"op": "replace", "path": "emails.display", "value": "D"}]', '200',
		'{"emails": [{"value": "pat@example.com", "type": "work", "primary": true, "display": "D"}, {"value": "pat@home.example", "type": "home", "display": "D"}]}'),
	('[{"op": "remove", "path": "emails.type"}]', '200', '{"emails": [{"value": "pat@example.com", "primary": true}, {"value": "pat@home.example"}]}'),
	('[{"op": "replace", "path": "emails.primary", "value": true}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "emails[type eq \"work\"].primary", "value": "true"}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "emails[type eq \"work\"].value", "value": {"value": "x"}}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "emails[type eq \"work\"]", "value": "x"}]', '400 invalidValue', '{}');
-- Roles, by the tenant's map, and with Entra's "True".
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "replace", "path": "roles", "value": [{"value": "Boss"}]}]', '200', '{"roles": [{"value": "Boss"}]}'),
	('[{"op": "replace", "path": "roles[primary eq \"True\"].value", "value": "Boss"}]', '200', '{"roles": [{"value": "Boss", "primary": true}]}'),
	('[{"op": "remove", "path": "roles"}]', '200', '{"roles": null}'),
	('[{"op": "remove", "path": "roles"}, {"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "Boss"}]', '200', '{"roles": [{"value": "Boss", "primary": true}]}'),
	('[{"op": "replace", "path": "roles", "value": [{"value": "Janitor"}]}]', '400 invalidValue', '{}');
-- What is only ours.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "replace", "path": "id", "value": "x"}]', '400 mutability', '{}'),
	('[{"op": "replace", "value": {"id": "x"}}]', '400 mutability', '{}'),
	('[{"op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z"}]', '400 mutability', '{}'),
	('[{"op": "remove", "path": "meta"}]', '400 mutability', '{}'),
	('[{"op": "add", "path": "groups", "value": [{"value": "g"}]}]', '400 mutability', '{}'),
	('[{"op": "remove", "path": "groups[value eq \"g\"]"}]', '400 mutability', '{}'),
	('[{"op": "replace", "value": {"groups": []}}]', '400 mutability', '{}'),
	('[{"op": "remove", "path": "userName"}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "userName", "value": ""}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "userName", "value": "  "}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "userName", "value": null}]', '400 invalidValue', '{}'),
	('[{"op": "replace", "path": "userName", "value": 5}]', '400 invalidValue', '{}'),
	('[{"op": "remove", "path": "userName"}, {"op": "add", "path": "userName", "value": "back"}]', '200', '{"userName": "back"}');
-- What is known and not kept.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"}]', '200', '{}'),
	('[{"op": "Add", "path": "addresses[type eq \"work\"].streetAddress", "value": "1 Road"}, {"op": "Replace", "path": "title", "value": "Head"}]', '200', '{"title": "Head"}'),
	('[{"op": "replace", "path": "password", "value": "secret"}]', '200', '{}'),
	('[{"op": "replace", "value": {"password": "secret", "addresses": [{"type": "work"}], "phoneNumbers": [], "entitlements": "?"}}]', '200', '{}'),
	('[{"op": "replace", "path": "schemas", "value": ["urn:ietf:params:scim:schemas:core:2.0:User"]}]', '200', '{}');
-- In order, and all or nothing.
INSERT INTO patch (operations, said, difference) VALUES
	('[{"op": "replace", "path": "title", "value": "a"}, {"op": "replace", "path": "title", "value": "b"}]', '200', '{"title": "b"}'),
	('[{"op": "replace", "path": "title", "value": "a"}, {"op": "replace", "path": "title", "value": "Lead"}]', '200', '{}'),
	('[{"op": "replace", "path": "title", "value": "a"}, {"op": "replace", "path": "nothing", "value": "b"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "active", "value": false}, {"op": "replace", "path": "id", "value": "b"}]', '400 mutability', '{}'),
	('[{"op": "remove", "path": "emails"}, {"op": "add", "path": "emails", "value": [{"value": "only@example.com"}]}]', '200', '{"emails": [{"value": "only@example.com"}]}');
-- What is no PATCH.
INSERT INTO patch (operations, said, difference) VALUES
	('[]', '400 invalidSyntax', '{}'),
	('["x"]', '400 invalidSyntax', '{}'),
	('[{"op": "move", "path": "title", "value": "x"}]', '400 invalidSyntax', '{}'),
	('[{"path": "title", "value": "x"}]', '400 invalidSyntax', '{}'),
	('[{"op": 1, "path": "title", "value": "x"}]', '400 invalidSyntax', '{}'),
	('[{"op": "remove"}]', '400 noTarget', '{}'),
	('[{"op": "remove", "value": {"title": "x"}}]', '400 noTarget', '{}'),
	('[{"op": "replace", "path": "title"}]', '400 invalidValue', '{}'),
	('[{"op": "add", "value": "x"}]', '400 invalidValue', '{}'),
	('[{"op": "add", "value": ["x"]}]', '400 invalidValue', '{}'),
	('[{"op": "add", "path": 7, "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "title.x", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User", "value": {"title": "x"}}]', '400 invalidPath', '{}'),
	('[{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:USER", "value": {}}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:", "value": {"title": "x"}}]', '400 invalidPath', '{}'),
	('[{"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:User"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "title[value eq \"x\"]", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "emails[type eq \"work\"", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "emails[type eq work].value", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "emails[type eq \"work\"].value.x", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "emails[]", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "emails] or true", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "path": "title\"; DROP TABLE users", "value": "x"}]', '400 invalidPath', '{}'),
	('[{"op": "add", "value": {"emails[type": "x"}}]', '400 invalidPath', '{}'),
	('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}', '400 invalidSyntax', '{}'),
	('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": {}}', '400 invalidSyntax', '{}'),
	('{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "Operations": [{"op": "remove", "path": "title"}]}', '400 invalidSyntax', '{}'),
	('{"Operations": [{"op": "remove", "path": "title"}]}', '400 invalidSyntax', '{}'),
	('{"schemas": ["URN:ietf:params:scim:api:messages:2.0:patchop"], "operations": [{"OP": "remove", "Path": "title"}]}', '200', '{"title": null}');
-- Bounds.
INSERT INTO patch (operations, said, difference)
	SELECT jsonb_build_array(jsonb_build_object('op', 'replace', 'path', b.path, 'value', b.value))::text, b.said, CASE b.said WHEN '200' THEN jsonb_build_object(b.path, b.value) ELSE '{}' END
	FROM (VALUES ('userName', to_jsonb(repeat('u', 255)), '200'), ('userName', to_jsonb(repeat('u', 256)), '400 invalidValue'), ('userName', to_jsonb(repeat('é', 128)), '400 invalidValue'),
		('externalId', to_jsonb(repeat('e', 255)), '200'), ('externalId', to_jsonb(repeat('e', 256)), '400 invalidValue'), ('title', to_jsonb(repeat('t', 4096)), '200'), ('title', to_jsonb(repeat('t', 4097)), '400 invalidValue'),
		('displayName', to_jsonb(repeat('日', 1365)), '200'), ('displayName', to_jsonb(repeat('日', 1366)), '400 invalidValue'),
		('emails', (SELECT jsonb_agg(jsonb_build_object('value', n || '@example.com')) FROM generate_series(1, 100) AS n), '200'),
		('emails', (SELECT jsonb_agg(jsonb_build_object('value', n || '@example.com')) FROM generate_series(1, 101) AS n), '400 invalidValue')) AS b (path, value, said);
INSERT INTO patch (operations, said, difference) VALUES
	((SELECT jsonb_agg(jsonb_build_object('op', 'replace', 'path', 'title', 'value', n::text))::text FROM generate_series(1, 1000) AS n), '200', '{"title": "1000"}'),
	((SELECT jsonb_agg(jsonb_build_object('op', 'replace', 'path', 'title', 'value', n::text))::text FROM generate_series(1, 1001) AS n), '413', '{}'),
	((SELECT jsonb_agg(jsonb_build_object('op', 'add', 'path', 'emails', 'value', jsonb_build_array(jsonb_build_object('value', n || '@example.com')))) FROM generate_series(1, 99) AS n)::text, '400 invalidValue', '{}'),
	(format('[{"op": "add", "path": "emails[%s].value", "value": "x"}]', repeat('(', 33) || 'type pr' || repeat(')', 33)), '400 invalidPath', '{}');

SELECT plan((SELECT count(*) FROM patch)::int + 10);
SELECT is(p.said || ' ' || p.difference, c.said || ' ' || c.difference, c.place || ' ' || left(regexp_replace(c.operations, 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', 'ENT', 'g'), 150))
	FROM (SELECT * FROM patch ORDER BY place) AS c, pg_temp.patched(c.operations) AS p;

-- What the columns become, and that nothing else is written.
SELECT pg_temp.got('POST', '/Users', (SELECT document::text FROM base)) ->> 'id' AS pat \gset
CREATE FUNCTION pg_temp.columns(id text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', user_name, scim_external_id, email, name, role, active::text, title, department, manager_id, version) FROM mindtickle.users WHERE tenant_id = 'sc' AND user_id = id
$$;
SELECT is(pg_temp.columns(:'pat'), 'pat@example.com | x-1 | pat@example.com | Pat Doe | manager | true | Lead | Sales | m-1 | 1', 'columns of the user');
SELECT pg_temp.ask('PATCH', '/Users/' || :'pat', pg_temp.operations('[{"op": "replace", "value": {"roles": [{"value": "Boss"}], "displayName": null, "emails[type eq \"work\"].primary": false, "emails[type eq \"home\"].primary": true}}]')) \g /dev/null
SELECT is(pg_temp.columns(:'pat'), 'pat@example.com | x-1 | pat@home.example | Pat Doe | admin | true | Lead | Sales | m-1 | 2', 'the primary address, the parts of the name, the role of the map');
UPDATE mindtickle.users SET title = 'From upstream', email = 'upstream@example.com', role = 'rep' WHERE tenant_id = 'sc' AND user_id = :'pat';
SELECT pg_temp.ask('PATCH', '/Users/' || :'pat', pg_temp.operations('[{"op": "replace", "path": "nickName", "value": "Q"}]')) \g /dev/null
SELECT is(pg_temp.columns(:'pat'), 'pat@example.com | x-1 | upstream@example.com | Pat Doe | rep | true | From upstream | Sales | m-1 | 3', 'what a pull has brought stays where the request is about something else');
SELECT pg_temp.ask('PATCH', '/Users/' || :'pat', pg_temp.operations('[{"op": "remove", "path": "roles"}]')) \g /dev/null
SELECT is((SELECT role FROM mindtickle.users WHERE user_id = :'pat'), 'rep', 'without roles one is a rep');

-- A name that is taken.
SELECT pg_temp.ask('POST', '/Users', pg_temp.person('{"userName": "Taken"}')) \g /dev/null
SELECT is(pg_temp.said('PATCH', '/Users/' || :'pat', pg_temp.operations('[{"op": "replace", "path": "title", "value": "x"}, {"op": "replace", "path": "userName", "value": "tAKEN"}]')), '409 uniqueness', 'another''s name, in any case');
SELECT is(pg_temp.columns(:'pat'), 'pat@example.com | x-1 | upstream@example.com | Pat Doe | rep | true | From upstream | Sales | m-1 | 4', 'changes nothing');
-- Filters in the keys of one value count as those of paths do: this would be two hundred thousand values to look at.
CREATE FUNCTION pg_temp.keys(count int) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.operations(jsonb_build_array(jsonb_build_object('op', 'add', 'value', (SELECT jsonb_object_agg(format('emails[value eq "k%s"].type', n), null) FROM generate_series(1, count) AS n))))
$$;
SELECT pg_temp.ask('PATCH', '/Users/' || :'pat', pg_temp.operations(jsonb_build_array(jsonb_build_object('op', 'replace', 'path', 'emails', 'value', (SELECT jsonb_agg(jsonb_build_object('value', format('a%s@x.example', n))) FROM generate_series(1, 100) AS n))))) \g /dev/null
SELECT is(pg_temp.said('PATCH', '/Users/' || :'pat', pg_temp.keys(500)), '200', 'hundreds of filters in the keys of a value');
SELECT is(pg_temp.said('PATCH', '/Users/' || :'pat', pg_temp.keys(2000)), '400 tooMany', 'thousands are too many');
DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'sc' AND reason LIKE 'tooMany%';
-- Attributes of the answer.
SELECT is(pg_temp.got('PATCH', '/Users/' || :'pat' || '?attributes=title', pg_temp.operations('[{"op": "replace", "path": "title", "value": "x"}]')) - 'id',
	'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"], "title": "x"}', 'attributes choose what is answered');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sc'), (SELECT count(DISTINCT operations) FROM patch WHERE said LIKE '400%'), 'what was refused with 400 is kept');
SELECT * FROM finish();
ROLLBACK;
