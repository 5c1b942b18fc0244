\set ECHO none
-- Groups: create, read, replace, patch and delete them; who is in them; and that nobody is doubled, forgotten or put out by accident.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/scim.sql
-- Users u1 to u5 of the tenant, one whom MindTickle alone knows, one who was deleted, and one of another tenant.
SELECT mt_provision_user('sc', jsonb_build_object('userId', 'u' || n, 'userName', 'user ' || n, 'name', CASE WHEN n <> 5 THEN 'Name ' || n END)) FROM generate_series(1, 6) AS n \g /dev/null
SELECT mt_provision_user('sc', '{"mindtickleId": "pulled"}'), mt_create_tenant('sc-other', 'Other') \g /dev/null
SELECT mt_provision_user('sc-other', '{"userId": "o1", "userName": "other"}') \g /dev/null
SELECT pg_temp.said('DELETE', '/Users/u6') \g /dev/null

CREATE FUNCTION pg_temp.members_of(id text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(user_id, ' ' ORDER BY user_id), '') FROM mindtickle.team_member WHERE tenant_id = 'sc' AND team_id = id
$$;
-- One group with u1 and u2; the operations, the answer, its name, externalId and members afterwards.
CREATE FUNCTION pg_temp.patched(operations text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id text := pg_temp.got('POST', '/Groups', pg_temp.team('{"displayName": "Sales", "externalId": "g-1", "members": [{"value": "u1"}, {"value": "u2"}]}')) ->> 'id';
	said text := pg_temp.said('PATCH', '/Groups/' || id, pg_temp.operations(replace(operations, '{id}', id)::jsonb));
	result text;
BEGIN
	SELECT concat_ws(' | ', said, name, scim_external_id, pg_temp.members_of(id), 'v' || version) INTO result FROM mindtickle.team WHERE tenant_id = 'sc' AND team_id = id;
	PERFORM pg_temp.ask('DELETE', '/Groups/' || id);
	RETURN result;
END
$$;
CREATE TEMP TABLE patch (place int GENERATED ALWAYS AS IDENTITY, operations text, outcome text);
INSERT INTO patch (operations, outcome) VALUES
	-- adding
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "Add", "path": "members", "value": {"value": "u3"}}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "add", "path": "members", "value": [{"$ref": null, "value": "u3"}, {"value": "u4", "display": "x", "type": "User"}]}]', '204 | Sales | g-1 | u1 u2 u3 u4 | v2'),
	('[{"op": "add", "path": "members", "value": [{"value": "u1"}]}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}, {"value": "u3"}]}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "add", "path": "members", "value": []}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": ["u3"]}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "add", "value": {"members": [{"value": "u3"}]}}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "add", "path": "members[value eq \"u3\"]", "value": {"display": "Name 3", "value": "u3"}}]', '204 | Sales | g-1 | u1 u2 u3 | v2'),
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}, {"op": "add", "path": "members", "value": [{"value": "u4"}]}]', '204 | Sales | g-1 | u1 u2 u3 u4 | v2'),
	-- removing
	('[{"op": "remove", "path": "members[value eq \"u1\"]"}]', '204 | Sales | g-1 | u2 | v2'),
	('[{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "u1"}]}]', '204 | Sales | g-1 | u2 | v2'),
	('[{"op": "Remove", "path": "members", "value": {"value": "u1"}}]', '204 | Sales | g-1 | u2 | v2'),
	('[{"op": "Remove", "path": "members", "value": [{"value": "u1"}, {"value": "u4"}]}]', '204 | Sales | g-1 | u2 | v2'),
	('[{"op": "remove", "path": "members[value eq \"u4\"]"}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "remove", "path": "members[value eq \"U1\"]"}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "remove", "path": "members"}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "remove", "path": "members", "value": []}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "remove", "path": "members[display sw \"name\"]"}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "remove", "path": "members[display eq \"Name 2\" or value eq \"u1\"]"}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "remove", "path": "members[type eq \"User\" and not (value eq \"u1\")]"}]', '204 | Sales | g-1 | u1 | v2'),
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}, {"op": "remove", "path": "members[type eq \"user\"]"}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "remove", "path": "members[display eq \"Name 1\"]"}, {"op": "replace", "path": "members[display eq \"Name 1\"]", "value": {"value": "u3"}}]', '400 noTarget | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "remove", "path": "members[display eq \"Name 1\"]"}, {"op": "add", "path": "members", "value": {"value": "u1"}}, {"op": "remove", "path": "members[display eq \"Name 2\"]"}]', '204 | Sales | g-1 | u1 | v2'),
	('[{"op": "remove", "path": "members"}, {"op": "remove", "path": "members[type eq \"User\"]"}, {"op": "add", "path": "members", "value": {"value": "u3"}}, {"op": "remove", "path": "members[display eq \"Name 2\"]"}]', '204 | Sales | g-1 | u3 | v2'),
	('[{"op": "add", "path": "members", "value": {"value": "u3"}}, {"op": "replace", "path": "members", "value": [{"value": "u4"}]}, {"op": "remove", "path": "members[type eq \"User\"]"}]', '204 | Sales | g-1 |  | v2'),
	-- replacing
	('[{"op": "replace", "path": "members", "value": [{"value": "u3"}]}]', '204 | Sales | g-1 | u3 | v2'),
	('[{"op": "replace", "path": "members", "value": [{"value": "u2"}, {"value": "u1"}]}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "members", "value": []}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "replace", "path": "members", "value": null}]', '204 | Sales | g-1 |  | v2'),
	('[{"op": "replace", "value": {"members": [{"value": "u3"}], "displayName": "New"}}]', '204 | New | g-1 | u3 | v2'),
	('[{"op": "replace", "path": "members[value eq \"u1\"]", "value": {"value": "u3"}}]', '204 | Sales | g-1 | u2 u3 | v2'),
	('[{"op": "replace", "path": "members[value eq \"u4\"]", "value": {"value": "u3"}}]', '400 noTarget | Sales | g-1 | u1 u2 | v1'),
	-- in order
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}, {"op": "remove", "path": "members[value eq \"u3\"]"}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "remove", "path": "members[value eq \"u1\"]"}, {"op": "add", "path": "members", "value": [{"value": "u1"}]}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": [{"value": "u2"}]}]', '204 | Sales | g-1 | u2 | v2'),
	('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}, {"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": [{"value": "u4"}]}]', '204 | Sales | g-1 | u4 | v2'),
	('[{"op": "replace", "path": "members", "value": [{"value": "u3"}]}, {"op": "replace", "path": "members[value eq \"u1\"]", "value": {"value": "u4"}}]', '400 noTarget | Sales | g-1 | u1 u2 | v1'),
	-- name and externalId
	('[{"op": "replace", "path": "displayName", "value": "Sales EMEA"}]', '204 | Sales EMEA | g-1 | u1 u2 | v2'),
	('[{"op": "replace", "value": {"id": "{id}", "displayName": "Sales EMEA"}}]', '204 | Sales EMEA | g-1 | u1 u2 | v2'),
	('[{"op": "replace", "value": {"id": "{id}", "displayName": "Sales"}}]', '204 | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "value": {"id": "another", "displayName": "Sales EMEA"}}]', '400 mutability | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "externalId", "value": "g-2"}]', '204 | Sales | g-2 | u1 u2 | v2'),
	('[{"op": "remove", "path": "externalId"}]', '204 | Sales | u1 u2 | v2'),
	('[{"op": "remove", "path": "displayName"}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "displayName", "value": " "}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "displayName", "value": 1}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	-- who can be no member, which changes nothing else either
	('[{"op": "replace", "path": "displayName", "value": "New"}, {"op": "add", "path": "members", "value": [{"value": "u3"}, {"value": "nobody"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": "o1"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": "u6"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": "pulled"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": "{id}", "type": "Group"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"display": "u3"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": ""}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": [{"value": 3}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members", "value": 3}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "add", "path": "members[display eq \"nobody\"]", "value": [{"value": "nobody"}]}]', '400 invalidValue | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "members[value eq \"u1\"].display", "value": "x"}]', '400 mutability | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "members.value", "value": "u3"}]', '400 mutability | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "members[value eq \"u1\"].nothing", "value": "x"}]', '400 invalidPath | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "owner", "value": "x"}]', '400 invalidPath | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "userName", "value": "x"}]', '400 invalidPath | Sales | g-1 | u1 u2 | v1'),
	('[{"op": "replace", "path": "meta", "value": {}}]', '400 mutability | Sales | g-1 | u1 u2 | v1');

-- What a body makes of a group: POST, and PUT to a group with u1 and u2.
CREATE TEMP TABLE body (place int GENERATED ALWAYS AS IDENTITY, document text, said text, outcome text);
INSERT INTO body (document, said, outcome) VALUES
	('{"displayName": "A"}', '', 'A | '),
	('{"displayName": "A", "members": []}', '', 'A | '),
	('{"displayName": "A", "members": null}', '', 'A | '),
	('{"DISPLAYNAME": "A", "Members": [{"VALUE": "u1"}, {"value": "u3"}]}', '', 'A | u1 u3'),
	('{"displayName": "A", "members": [{"value": "u1"}, {"value": "u1"}]}', '', 'A | u1'),
	('{"displayName": "A", "externalId": "e", "members": [{"value": "u2", "$ref": "ignored", "display": "ignored", "type": "User"}]}', '', 'A | e | u2'),
	('{"displayName": "A", "id": "mine", "meta": {"version": "W/\"9\""}, "unknown": {"x": [1]}}', '', 'A | '),
	('{"displayName": "A", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"]}', '', 'A | '),
	('{"displayName": "日本 ''\" \\ %_"}', '', '日本 ''" \ %_ | '),
	('{}', '400 invalidValue', NULL),
	('{"displayName": ""}', '400 invalidValue', NULL),
	('{"displayName": null}', '400 invalidValue', NULL),
	('{"displayName": ["A"]}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": {"value": "u1"}}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": "u1"}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": [{"value": "nobody"}]}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": [{"value": "u1"}, {"value": "o1"}]}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": [{"value": "u6"}]}', '400 invalidValue', NULL),
	('{"displayName": "A", "members": [{}]}', '', 'A | '),
	('{"displayName": "A", "members": [7]}', '400 invalidValue', NULL),
	('{"displayName": "A", "externalId": 7}', '400 invalidValue', NULL),
	('{"displayName": "A", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]}', '400 invalidValue', NULL),
	('{"displayName": "A", "schemas": []}', '400 invalidValue', NULL);
INSERT INTO body (document, said, outcome) VALUES
	(jsonb_build_object('displayName', repeat('n', 1024)), '', repeat('n', 1024) || ' | '), (jsonb_build_object('displayName', repeat('n', 1025)), '400 invalidValue', NULL),
	(jsonb_build_object('displayName', 'A', 'members', (SELECT jsonb_agg('{"value": "u1"}'::jsonb) FROM generate_series(1, 10000))), '', 'A | u1'),
	(jsonb_build_object('displayName', 'A', 'members', (SELECT jsonb_agg('{"value": "u1"}'::jsonb) FROM generate_series(1, 10001))), '413', NULL),
	(jsonb_build_object('displayName', 'A', 'members', jsonb_build_array(jsonb_build_object('value', repeat('x', 256)))), '400 invalidValue', NULL);
CREATE FUNCTION pg_temp.outcome_of(method text, url text, document text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer := pg_temp.ask(method, url, pg_temp.team(document::jsonb));
	id text;
BEGIN
	IF answer.status >= 400 THEN
		RETURN pg_temp.short(answer);
	END IF;
	id := answer.body::jsonb ->> 'id';
	RETURN (SELECT concat_ws(' | ', answer.status, name, scim_external_id, pg_temp.members_of(id)) FROM mindtickle.team WHERE tenant_id = 'sc' AND team_id = id);
END
$$;
SELECT pg_temp.got('POST', '/Groups', pg_temp.team('{"displayName": "Sales", "externalId": "g-1", "members": [{"value": "u1"}, {"value": "u2"}]}')) ->> 'id' AS g \gset
\set group /Groups/ :g

SELECT plan((SELECT count(*) FROM patch)::int + (SELECT count(*) FROM body)::int * 2 + 45);
SELECT is(pg_temp.patched(p.operations), p.outcome, p.place || ' ' || left(p.operations, 150)) FROM (SELECT * FROM patch ORDER BY place) AS p;
SELECT is(pg_temp.outcome_of('POST', '/Groups', b.document), coalesce('201 | ' || b.outcome, b.said), 'POST ' || left(b.document, 150)) FROM (SELECT * FROM body ORDER BY place) AS b;
SELECT is(pg_temp.outcome_of('PUT', :'group', b.document), coalesce('200 | ' || b.outcome, b.said), 'PUT ' || left(b.document, 150)) FROM (SELECT * FROM body ORDER BY place) AS b;

-- One group's life.
DELETE FROM mindtickle.team_member WHERE tenant_id = 'sc';
SELECT pg_temp.forget_events('sc') \g /dev/null
SELECT pg_temp.ask('PUT', :'group', pg_temp.team('{"displayName": "Life", "members": [{"value": "u1"}, {"value": "u5"}]}')) \g /dev/null
SELECT is(pg_temp.got('GET', :'group') - 'meta', jsonb_build_object('schemas', '["urn:ietf:params:scim:schemas:core:2.0:Group"]'::jsonb, 'id', :'g', 'displayName', 'Life', 'members',
	'[{"value": "u1", "$ref": "/scim/v2/Users/u1", "display": "Name 1", "type": "User"}, {"value": "u5", "$ref": "/scim/v2/Users/u5", "type": "User"}]'::jsonb), 'the resource');
SELECT is((pg_temp.got('GET', :'group') -> 'meta') - '{created,lastModified}'::text[], jsonb_build_object('resourceType', 'Group', 'location', '/scim/v2/Groups/' || :'g', 'version',
	(SELECT format('W/"%s"', version) FROM mindtickle.team WHERE team_id = :'g')), 'and what is about it');
SELECT is(pg_temp.got('GET', '/Users/u1?attributes=groups') -> 'groups', jsonb_build_array(jsonb_build_object('value', :'g', '$ref', '/scim/v2/Groups/' || :'g', 'display', 'Life', 'type', 'direct')), 'a user shows the groups');
SELECT is(pg_temp.got('GET', '/Users/u2') -> 'groups', NULL, 'of which others have none');
SELECT is((SELECT payload - '{tenantId}'::text[] FROM pg_temp.events('sc') WHERE topic = 'team_changed'), jsonb_build_object('operation', 'UPDATE', 'team', jsonb_build_object('teamId', :'g', 'name', 'Life'),
	'added', '["u1", "u5"]'::jsonb, 'removed', '[]'::jsonb), 'the change is an event, with who has joined and left');
SELECT is(pg_temp.got('PATCH', :'group' || '?attributes=displayName', pg_temp.operations('[{"op": "add", "path": "members", "value": [{"value": "u2"}]}]')) - '{id,schemas}'::text[], '{"displayName": "Life"}', 'PATCH answers with attributes that are chosen');
SELECT is(pg_temp.got('PATCH', :'group' || '?excludedAttributes=meta', pg_temp.operations('[{"op": "remove", "path": "members[value eq \"u5\"]"}]')) #>> '{members,1,value}', 'u2', 'or not chosen');
SELECT is((SELECT source FROM mindtickle.team_member WHERE team_id = :'g' AND user_id = 'u2'), 'scim', 'members are the identity provider''s');

-- ETags.
SELECT is((SELECT headers ->> 'ETag' FROM pg_temp.ask('GET', :'group')), format('W/"%s"', (SELECT version FROM mindtickle.team WHERE team_id = :'g')), 'the version');
SELECT is(pg_temp.said('GET', :'group', NULL, jsonb_build_object('if-none-match', (SELECT headers ->> 'ETag' FROM pg_temp.ask('GET', :'group')))), '304', 'not modified');
SELECT is(pg_temp.said('PATCH', :'group', pg_temp.operations('[{"op": "remove", "path": "members"}]'), '{"If-Match": "W/\"1\""}'), '412', 'another version');
SELECT is(pg_temp.said('DELETE', :'group', NULL, '{"If-Match": "W/\"1\""}'), '412', 'is not deleted');
SELECT is(pg_temp.members_of(:'g'), 'u1 u2', 'nor changed');

-- Deactivation leaves the members; deletion of a user takes him out, which is a change of the group; deletion of a group leaves the users.
SELECT is(pg_temp.said('PATCH', '/Users/u1', pg_temp.operations('[{"op": "replace", "path": "active", "value": false}]')), '200', 'a member is deactivated');
SELECT is(pg_temp.members_of(:'g'), 'u1 u2', 'and stays one');
SELECT version AS version_before FROM mindtickle.team WHERE team_id = :'g' \gset
SELECT is(pg_temp.said('DELETE', '/Users/u1'), '204', 'a member is deleted');
SELECT is(pg_temp.got('GET', :'group') #> '{members}', '[{"value": "u2", "$ref": "/scim/v2/Users/u2", "display": "Name 2", "type": "User"}]', 'and is none any more');
SELECT is((SELECT version FROM mindtickle.team WHERE team_id = :'g'), :version_before + 1::bigint, 'the group has another version');
SELECT is(pg_temp.said('DELETE', :'group'), '204', 'a group is deleted');
SELECT is_empty($$SELECT m, s FROM unnest('{GET,PUT,PATCH,DELETE}'::text[]) AS m, pg_temp.said(m, '/Groups/$$ || :'g' || $$', pg_temp.team('{"displayName": "x"}')) AS s WHERE s <> '404'$$, 'and is found by no method');
SELECT is(pg_temp.said('GET', '/Users/u2'), '200', 'the users stay');
SELECT is((SELECT count(*) FROM mindtickle.team_member WHERE team_id = :'g'), 0::bigint, 'memberships do not');

-- Groups that others have made are groups too.
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('sc', 't1', 'Pulled', 'pull'), ('sc', 't2', 'Gone', 'pull');
UPDATE mindtickle.team SET active = false WHERE tenant_id = 'sc' AND team_id = 't2';
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source, active) VALUES ('sc', 't1', 'u2', 'pull', true), ('sc', 't1', 'u3', 'pull', false), ('sc', 't1', 'pulled', 'pull', true);
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/Groups/t1'), '$.members[*].value'), '["u2"]', 'a pulled team with those members who are users here and active in it');
SELECT is(pg_temp.said('PATCH', '/Groups/t1', pg_temp.operations('[{"op": "add", "path": "members", "value": [{"value": "u3"}]}]')), '204', 'somebody is put in');
SELECT is(jsonb_path_query_array(pg_temp.got('GET', '/Groups/t1'), '$.members[*].value'), '["u2", "u3"]', 'who had been taken out');
SELECT is(pg_temp.said('GET', '/Groups/t2'), '404', 'one that is gone is none');

-- A group of more members than one answer may hold: they are read where they are wanted, and only there.
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, name) SELECT 'sc', 'crowd' || n, 'crowd' || n, 'Somebody of the crowd, number ' || n FROM generate_series(1, 100001) AS n;
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('sc', 'crowd', 'Crowd', 'scim');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT 'sc', 'crowd', 'crowd' || n, 'scim' FROM generate_series(1, 100001) AS n;
SELECT is(pg_temp.said('GET', '/Groups/crowd'), '400 tooMany', 'too many members for an answer');
SELECT is(pg_temp.said('GET', '/Groups?filter=displayName+eq+"crowd"'), '400 tooMany', 'in a list, too');
SELECT is(pg_temp.said('GET', '/Groups/crowd?excludedAttributes=members'), '200', 'without them there are none');
SELECT is(pg_temp.got('GET', '/Groups?filter=displayName+eq+"crowd"&excludedAttributes=members') ->> 'totalResults', '1', 'in a list neither');
SELECT is(pg_temp.said('PATCH', '/Groups/crowd', pg_temp.operations('[{"op": "remove", "path": "members[display sw \"x\"]"}]')), '400 tooMany', 'too many to look for one by his name');
SELECT matches(pg_temp.got('PATCH', '/Groups/crowd', pg_temp.operations('[{"op": "remove", "path": "members[display sw \"x\"]"}]')) ->> 'detail', 'ask with fewer of them, or for members by value', 'for which one asks otherwise');
SELECT is(pg_temp.said('PATCH', '/Groups/crowd', pg_temp.operations('[{"op": "add", "path": "members", "value": [{"value": "u2"}]}, {"op": "remove", "path": "members[value eq \"crowd7\"]"}]')), '204', 'but not by his id');
SELECT is((SELECT count(*) || ' ' || count(*) FILTER (WHERE user_id = 'u2') || ' ' || count(*) FILTER (WHERE user_id = 'crowd7') FROM mindtickle.team_member WHERE tenant_id = 'sc' AND team_id = 'crowd'), '100001 1 0', 'one has come and one has gone');
-- A change that was made is not refused for its answer.
SELECT is(a.status || ' ' || (a.body::jsonb ? 'members') || ' ' || (a.body::jsonb ->> 'displayName'), '200 false Crowd', 'members who are too many for the answer to a change are left out of it')
	FROM pg_temp.ask('PATCH', '/Groups/crowd?attributes=members,displayName', pg_temp.operations('[{"op": "remove", "path": "members[value eq \"crowd8\"]"}]')) AS a;
SELECT is((SELECT count(*) FROM mindtickle.team_member WHERE tenant_id = 'sc' AND team_id = 'crowd' AND user_id = 'crowd8'), 0::bigint, 'which is made');

-- What filters go through is bounded for a request, whatever its operations.
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('sc', 'many', 'Many', 'scim');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT 'sc', 'many', 'crowd' || n, 'scim' FROM generate_series(1, 10000) AS n;
CREATE FUNCTION pg_temp.removals(count int, filter text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_agg(jsonb_build_object('op', 'remove', 'path', format('members[%s]', replace(filter, '{}', n::text)))) FROM generate_series(1, count) AS n $$;
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(1000, 'value eq "crowd{}"'))), '204', 'a thousand members by their ids');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(20, 'display ew " 100{}"'))), '204', 'twenty operations by what members are called');
SELECT is((SELECT count(*) FROM mindtickle.team_member WHERE tenant_id = 'sc' AND team_id = 'many'), 10000 - 1000 - (SELECT count(DISTINCT x) FROM generate_series(1, 20) AS n, LATERAL (VALUES ('100' || n)) AS v (x) WHERE x::int > 1000 AND x::int <= 10000), 'which are done');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(1000, 'display co "{}"'))), '400 tooMany', 'a thousand are not');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(1, 'display pr' || repeat(' and display ne "x"', 400)))), '400 tooMany', 'nor one as long as they');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(1, format('display eq "%s"', repeat('x', 8000))))), '204', 'one with a long word is');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(pg_temp.removals(3, format('display eq "%s"', repeat('x', 8000))))), '400 tooMany', 'three are not');
SELECT is(pg_temp.said('PATCH', '/Groups/many', pg_temp.operations(jsonb_build_array(jsonb_build_object('op', 'add', 'path', 'members', 'value', (SELECT jsonb_agg('crowd' || n) FROM generate_series(10001, 19000) AS n))) || pg_temp.removals(100, 'display co "{}"'))), '400 tooMany', 'those who are only being added count');
SELECT is((SELECT string_agg(DISTINCT o ->> 'status', ' ' ORDER BY o ->> 'status') FROM jsonb_array_elements(pg_temp.got('POST', '/Bulk', (SELECT jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]'::jsonb, 'Operations',
	jsonb_agg(jsonb_build_object('method', 'PATCH', 'path', '/Groups/many', 'data', pg_temp.operations(pg_temp.removals(1, format('display eq "%s"', n)))::jsonb)))::text FROM generate_series(1, 100) AS n)) -> 'Operations') AS o), '204 400', 'operations of a bulk request count together');
SELECT * FROM finish();
ROLLBACK;
