\set ECHO none
-- Okta and Microsoft Entra at work: the requests that they send, in their order and in their shapes, from the first test of the connection to the last
-- deletion; Entra in both of its ways. And many requests in one.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/scim.sql
SELECT mt_configure_tenant('sc', '{"role_map": {"Sales Lead": "manager"}}') \g /dev/null
SELECT plan(81);

CREATE FUNCTION pg_temp.okta(method text, url text, body text DEFAULT NULL) RETURNS mindtickle.scim_answer LANGUAGE sql AS $$
	SELECT pg_temp.ask(method, '/scim/v2' || url, body, '{"Accept": "application/scim+json; charset=utf-8", "Content-Type": "application/scim+json; charset=utf-8", "User-Agent": "Okta SCIM Client 1.0.0"}')
$$;
CREATE FUNCTION pg_temp.entra(method text, url text, body text DEFAULT NULL) RETURNS mindtickle.scim_answer LANGUAGE sql AS $$
	SELECT pg_temp.ask(method, '/scim/v2' || url, body, '{"Content-Type": "application/scim+json", "Accept": "*/*"}')
$$;
CREATE FUNCTION pg_temp.b(answer mindtickle.scim_answer) RETURNS jsonb LANGUAGE sql AS $$ SELECT answer.body::jsonb $$;

-- Okta: the connection.
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users?startIndex=1&count=2')) - 'Resources', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0}', 'okta: users');
SELECT is((pg_temp.okta('GET', '/Groups?startIndex=1&count=100')).status, 200, 'okta: groups');
SELECT is((pg_temp.okta('GET', '/ServiceProviderConfig')).status, 200, 'okta: configuration');
-- A user is looked for, made, found, also in capitals, and not made again.
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100')) ->> 'totalResults', '0', 'okta: nobody of this name');
\set okta_user '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}'
SELECT pg_temp.okta('POST', '/Users', :'okta_user') AS made \gset
SELECT is((:'made'::mindtickle.scim_answer).status, 201, 'okta: made');
SELECT pg_temp.b(:'made') ->> 'id' AS u \gset
SELECT is(pg_temp.b(:'made') - '{id,meta}'::text[], :'okta_user'::jsonb - '{groups,password}'::text[], 'okta: as it was sent');
SELECT is((pg_temp.okta('GET', '/Users/' || :'u')).status, 200, 'okta: read');
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users?filter=userName%20eq%20%22TEST.USER%40OKTA.LOCAL%22&startIndex=1&count=100')) #>> '{Resources,0,id}', :'u', 'okta: found in capitals');
SELECT is(pg_temp.short(pg_temp.okta('POST', '/Users', :'okta_user')), '409 uniqueness', 'okta: the name is taken');
SELECT is((pg_temp.okta('GET', '/Users/00u-none')).status || ' ' || (pg_temp.b(pg_temp.okta('GET', '/Users/00u-none')) ->> 'status'), '404 404', 'okta: nobody of this id');
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users?startIndex=1&count=1')) -> 'itemsPerPage', '1', 'okta: a page of one');
-- A custom application updates with PUT of the whole user, groups, id and meta with it, and deactivates so.
SELECT is((pg_temp.okta('PUT', '/Users/' || :'u', (pg_temp.b(pg_temp.okta('GET', '/Users/' || :'u')) || '{"name": {"givenName": "Another", "familyName": "User"}, "displayName": "Another User", "groups": [{"value": "g", "display": "G"}]}')::text)).status, 200, 'okta: updated with PUT');
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users/' || :'u')) -> 'name', '{"givenName": "Another", "familyName": "User"}', 'okta: is so');
SELECT is((pg_temp.okta('PUT', '/Users/' || :'u', (pg_temp.b(pg_temp.okta('GET', '/Users/' || :'u')) || '{"active": false}')::text)).status, 200, 'okta: deactivated with PUT');
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Users/' || :'u')) -> 'active', 'false', 'okta: is inactive');
-- One of the catalogue with PATCH without a path.
SELECT is(pg_temp.b(pg_temp.okta('PATCH', '/Users/' || :'u', '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":true}}]}')) -> 'active', 'true', 'okta: reactivated with PATCH');
SELECT is(pg_temp.b(pg_temp.okta('PATCH', '/Users/' || :'u', '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}')) -> 'active', 'false', 'okta: deactivated with PATCH');
SELECT is(pg_temp.b(pg_temp.okta('PATCH', '/Users/' || :'u', '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":true}}]}')) -> 'active', 'true', 'okta: and back');
-- A group is pushed, filled, renamed with each change of its members, emptied, unlinked.
SELECT is(pg_temp.b(pg_temp.okta('GET', '/Groups?filter=displayName%20eq%20%22Test%20SCIMv2%22&startIndex=1&count=100')) ->> 'totalResults', '0', 'okta: no group of this name');
SELECT pg_temp.okta('POST', '/Groups', '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Test SCIMv2","members":[]}') AS made \gset
SELECT pg_temp.b(:'made') ->> 'id' AS g \gset
SELECT is((:'made'::mindtickle.scim_answer).status, 201, 'okta: group made');
SELECT is((pg_temp.okta('PATCH', '/Groups/' || :'g', jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb, 'Operations', jsonb_build_array(jsonb_build_object('op', 'replace', 'value', jsonb_build_object('id', :'g', 'displayName', 'Test SCIMv2')),
	jsonb_build_object('op', 'add', 'path', 'members', 'value', jsonb_build_array(jsonb_build_object('value', :'u', 'display', 'test.user@okta.local')))))::text)).status, 204, 'okta: filled, and renamed to what it is called');
SELECT is(jsonb_path_query_array(pg_temp.b(pg_temp.okta('GET', '/Groups/' || :'g')), '$.members[*].value'), jsonb_build_array(:'u'), 'okta: the member');
SELECT is((pg_temp.okta('PATCH', '/Groups/' || :'g', jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb, 'Operations', jsonb_build_array(jsonb_build_object('op', 'replace', 'value', jsonb_build_object('id', :'g', 'displayName', 'Renamed'))))::text)).status, 204, 'okta: renamed');
SELECT is((pg_temp.okta('PATCH', '/Groups/' || :'g', format('{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"remove","path":"members[value eq \"%s\"]"}]}', :'u'))).status, 204, 'okta: the member is taken out');
SELECT is((pg_temp.okta('PATCH', '/Groups/' || :'g', format('{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"members","value":[{"value":"%s"}]}]}', :'u'))).status, 204, 'okta: the members are given anew');
SELECT is((pg_temp.okta('PUT', '/Groups/' || :'g', jsonb_build_object('schemas', '["urn:ietf:params:scim:schemas:core:2.0:Group"]'::jsonb, 'id', :'g', 'displayName', 'Renamed again', 'members', jsonb_build_array(jsonb_build_object('value', :'u')))::text)).status, 200, 'okta: PUT of the whole group');
SELECT is((SELECT name || ' ' || count(*) FROM mt_teams AS t JOIN mindtickle.team_member AS m ON m.team_id = t.team_id WHERE t.tenant_id = 'sc' AND t.team_id = :'g' GROUP BY name), 'Renamed again 1', 'okta: the team');
SELECT is((pg_temp.okta('DELETE', '/Groups/' || :'g')).status, 204, 'okta: unlinked');
SELECT is((pg_temp.okta('GET', '/Groups/' || :'g')).status, 404, 'okta: gone');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sc'), 0::bigint, 'okta: nothing was at fault');

-- Entra: the connection, a name that nobody can have.
SELECT is((SELECT a.status || ' ' || (a.body::jsonb - 'schemas')::text FROM pg_temp.entra('GET', '/Users?filter=userName+eq+"non-existent-user-6b0b4d5a"') AS a), '200 {"Resources": [], "startIndex": 1, "itemsPerPage": 0, "totalResults": 0}', 'entra: nobody, with 200');
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Schemas')) ->> 'totalResults', '3', 'entra: schemas are a list');
SELECT pg_temp.entra('POST', '/Users', '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"0a21f0f2","userName":"Adele@contoso.example","active":true,"addresses":null,
	"displayName":"Adele Vance","emails":[{"type":"work","value":"Adele@contoso.example","primary":true}],"meta":{"resourceType":"User"},"name":{"formatted":"Adele Vance","familyName":"Vance","givenName":"Adele"},"roles":[],"title":null,
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"bob"}}') AS made \gset
SELECT pg_temp.b(:'made') ->> 'id' AS a \gset
SELECT is((:'made'::mindtickle.scim_answer).status, 201, 'entra: made');
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Users?filter=externalId+eq+"0a21f0f2"')) #>> '{Resources,0,id}', :'a', 'entra: found by externalId');
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Users?filter=emails%5btype+eq+%22work%22%5d.value+eq+%22adele%40contoso.example%22')) #>> '{Resources,0,id}', :'a', 'entra: found by the address at work');
SELECT is((pg_temp.b(pg_temp.entra('GET', '/Users?filter=userName+eq+"Adele@contoso.example"&attributes=id,userName')) #> '{Resources,0}') - 'schemas', jsonb_build_object('id', :'a', 'userName', 'Adele@contoso.example'), 'entra: with few attributes');
-- One operation for each attribute, capitals, strings for booleans.
CREATE FUNCTION pg_temp.entra_patch(id text, operations text, query text DEFAULT '') RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.b(pg_temp.entra('PATCH', '/Users/' || id || query, format('{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":%s}', operations)))
$$;
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"updated@contoso.example"},{"op":"Replace","path":"name.familyName","value":"updatedFamilyName"}]') #>> '{emails,0,value}', 'updated@contoso.example', 'entra: address and name');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Add","path":"title","value":"Manager"},{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"123"},{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Berlin"}]') ->> 'title', 'Manager', 'entra: what is not kept stops nothing');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"manager-1"}]') #> '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User}', '{"department": "bob", "manager": {"value": "manager-1"}}', 'entra: manager as a string');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":[{"$ref":null,"value":"manager-2"}]}]') #>> '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,manager,value}', 'manager-2', 'entra: in a list');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]') #> '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User}', '{"department": "bob"}', 'entra: removed');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Add","path":"roles[primary eq \"True\"].value","value":"Sales Lead"}]') -> 'roles', '[{"value": "Sales Lead", "primary": true}]', 'entra: a role');
SELECT is((SELECT role FROM mt_users WHERE tenant_id = 'sc' AND user_id = :'a'), 'manager', 'entra: by the map');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Replace","path":"active","value":"False"}]') -> 'active', 'false', 'entra: disabled');
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Users?filter=userName+eq+"ADELE@contoso.example"')) #> '{Resources,0,active}', 'false', 'entra: and shown so');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Replace","path":"active","value":"True"}]') -> 'active', 'true', 'entra: enabled');
-- The other way, with aadOptscim062020: booleans, small letters, one operation without a path.
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"replace","value":{"displayName":"Bjfe","name.givenName":"Kyra","active":false,"emails[type eq \"work\"].value":"kyra@contoso.example","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"QNJE"}}]', '?aadOptscim062020=true')
	- '{schemas,id,meta,externalId,userName,title,roles}'::text[], '{"displayName": "Bjfe", "active": false, "name": {"formatted": "Adele Vance", "familyName": "updatedFamilyName", "givenName": "Kyra"}, "emails": [{"type": "work", "value": "kyra@contoso.example", "primary": true}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "QNJE"}}', 'entra: everything at once');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"add","path":"emails[type eq \"other\"].value","value":"second@contoso.example"}]', '?aadOptscim062020') #> '{emails,1}', '{"type": "other", "value": "second@contoso.example"}', 'entra: a second address');
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"replace","path":"active","value":true}]') -> 'active', 'true', 'entra: enabled');
-- Groups.
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Groups?excludedAttributes=members&filter=displayName+eq+"non-existent"')) ->> 'totalResults', '0', 'entra: no such group');
SELECT pg_temp.entra('POST', '/Groups', '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa1a0c0","displayName":"Contoso Sales","meta":{"resourceType":"Group"}}') AS made \gset
SELECT pg_temp.b(:'made') ->> 'id' AS g \gset
SELECT is((:'made'::mindtickle.scim_answer).status, 201, 'entra: group made');
CREATE FUNCTION pg_temp.entra_group(id text, operations text) RETURNS int LANGUAGE sql AS $$
	SELECT (pg_temp.entra('PATCH', '/Groups/' || id, format('{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":%s}', operations))).status
$$;
CREATE FUNCTION pg_temp.entra_member(groupid text, userid text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.b(pg_temp.entra('GET', format('/Groups?filter=id+eq+"%s"+and+members+eq+"%s"&excludedAttributes=members', groupid, userid))) ->> 'totalResults'
$$;
SELECT is(pg_temp.entra_group(:'g', format('[{"op":"Add","path":"members","value":[{"$ref":null,"value":"%s"}]}]', :'a')), 204, 'entra: a member');
SELECT is(pg_temp.entra_member(:'g', :'a') || pg_temp.entra_member(:'g', :'u'), '10', 'entra: who is asked for');
SELECT is(pg_temp.entra_group(:'g', format('[{"op":"Add","path":"members","value":[{"$ref":null,"value":"%s"},{"$ref":null,"value":"%s"}]}]', :'a', :'u')), 204, 'entra: another');
SELECT is(pg_temp.entra_group(:'g', format('[{"op":"Remove","path":"members","value":[{"$ref":null,"value":"%s"}]}]', :'a')), 204, 'entra: one is taken out');
SELECT is(pg_temp.entra_member(:'g', :'a') || pg_temp.entra_member(:'g', :'u'), '01', 'entra: and no other');
SELECT is(pg_temp.entra_group(:'g', format('[{"op":"remove","path":"members[value eq \"%s\"]"}]', :'u')), 204, 'entra: the other way');
SELECT is(pg_temp.entra_group(:'g', '[{"op":"Replace","path":"displayName","value":"Contoso Sales EMEA"}]'), 204, 'entra: renamed');
SELECT is(pg_temp.b(pg_temp.entra('GET', '/Groups/' || :'g' || '?excludedAttributes=members')) - '{schemas,meta}'::text[], jsonb_build_object('id', :'g', 'externalId', '8aa1a0c0', 'displayName', 'Contoso Sales EMEA'), 'entra: the group');
SELECT is((pg_temp.entra('DELETE', '/Groups/' || :'g')).status, 204, 'entra: deleted');
-- A user is disabled, and deleted thirty days later; comes back under the same name.
SELECT is(pg_temp.entra_patch(:'a', '[{"op":"Replace","path":"active","value":"False"}]') -> 'active', 'false', 'entra: soft-deleted');
SELECT is((pg_temp.entra('DELETE', '/Users/' || :'a')).status || ' ' || (pg_temp.entra('DELETE', '/Users/' || :'a')).status, '204 404', 'entra: deleted, once');
SELECT is((pg_temp.entra('POST', '/Users', '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"externalId":"0a21f0f2","userName":"adele@contoso.example","active":true}')).status, 201, 'entra: back again');
SELECT is((SELECT count(*) FROM mindtickle.dead_letter WHERE tenant_id = 'sc'), 0::bigint, 'entra: nothing was at fault');
SELECT is((SELECT count(*) FROM mt_verify_readiness('sc') WHERE NOT equal), 0::bigint, 'readiness is exact');

-- Bulk.
CREATE FUNCTION pg_temp.bulk(operations jsonb, fail_on_errors int DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
	SELECT pg_temp.got('POST', '/Bulk', jsonb_strip_nulls(jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]'::jsonb, 'failOnErrors', fail_on_errors, 'Operations', operations))::text)
$$;
CREATE FUNCTION pg_temp.outcomes(answer jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(answer ->> 'scimType', string_agg(concat_ws(' ', o ->> 'method', o ->> 'bulkId', o ->> 'status', o #>> '{response,scimType}'), ', ' ORDER BY place)) FROM jsonb_array_elements(answer -> 'Operations') WITH ORDINALITY AS o (o, place)
$$;
SELECT pg_temp.bulk(jsonb_build_array(
	jsonb_build_object('method', 'POST', 'path', '/Groups', 'bulkId', 'g', 'data', pg_temp.team('{"displayName": "Bulk", "members": [{"value": "bulkId:b"}, {"value": "bulkId:a"}]}')::jsonb),
	jsonb_build_object('method', 'POST', 'path', '/Users', 'bulkId', 'a', 'data', pg_temp.person('{"userName": "bulk a", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "bulkId:b"}}}')::jsonb),
	jsonb_build_object('method', 'post', 'path', '/Users', 'bulkId', 'b', 'data', pg_temp.person('{"userName": "bulk b"}')::jsonb),
	jsonb_build_object('method', 'POST', 'path', '/Users', 'bulkId', 'c', 'data', pg_temp.person('{"userName": "BULK B"}')::jsonb),
	jsonb_build_object('method', 'PATCH', 'path', '/Users/bulkId:a', 'data', pg_temp.operations('[{"op": "replace", "path": "title", "value": "T"}]')::jsonb),
	jsonb_build_object('method', 'DELETE', 'path', '/Users/none'))) AS answer \gset
SELECT is(pg_temp.outcomes(:'answer'), 'POST b 201, POST c 409 uniqueness, DELETE 404, POST a 201, PATCH 200, POST g 201', 'bulk: each by itself, after those that it refers to');
SELECT is(:'answer'::jsonb #> '{Operations,0}', (SELECT jsonb_build_object('method', 'POST', 'bulkId', 'b', 'status', '201', 'version', 'W/"1"', 'location', '/scim/v2/Users/' || user_id) FROM mindtickle.users WHERE user_name = 'bulk b'), 'bulk: where it is, and its version');
SELECT is((SELECT string_agg(u.user_name || ' ' || coalesce(u.title, '-') || ' ' || coalesce(k.user_name, '-'), ', ' ORDER BY u.user_name) FROM mindtickle.team AS t JOIN mindtickle.team_member AS m USING (tenant_id, team_id) JOIN mindtickle.users AS u USING (tenant_id, user_id)
	LEFT JOIN mindtickle.users AS k ON k.tenant_id = u.tenant_id AND k.user_id = u.manager_id WHERE t.tenant_id = 'sc' AND t.name = 'Bulk'), 'bulk a T bulk b, bulk b - -', 'bulk: the ids stand where the references stood');
SELECT is(pg_temp.outcomes(pg_temp.bulk('[{"method": "DELETE", "path": "/Users/x"}, {"method": "DELETE", "path": "/Users/y"}, {"method": "DELETE", "path": "/Users/z"}]', 2)), 'DELETE 404, DELETE 404', 'bulk: ends with the second fault');
SELECT is(pg_temp.outcomes(pg_temp.bulk(jsonb_build_array(jsonb_build_object('method', 'POST', 'path', '/Users', 'bulkId', 'x', 'data', pg_temp.person('{"userName": "x", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "bulkId:y"}}}')::jsonb),
	jsonb_build_object('method', 'POST', 'path', '/Users', 'bulkId', 'y', 'data', pg_temp.person('{"userName": "y", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "bulkId:x"}}}')::jsonb),
	jsonb_build_object('method', 'DELETE', 'path', '/Users/bulkId:none')))), 'DELETE 409 invalidValue, POST x 409 invalidValue, POST y 409 invalidValue', 'bulk: a circle, and a reference to nothing');
SELECT is(pg_temp.outcomes(pg_temp.bulk(b.operations)), b.outcome, 'bulk: ' || left(b.operations::text, 100)) FROM (VALUES
	('[{"method": "DELETE", "path": "/Users/x", "version": "W/\"7\""}, {"method": "PUT", "path": "/Users"}, {"method": "POST", "path": "/Bulk", "bulkId": "b", "data": {}}, {"method": "PATCH", "path": "/Users/x?a=b", "data": {}}]'::jsonb, 'DELETE 404, PUT 405, POST b 400 invalidSyntax, PATCH 404'),
	('[{"method": "POST", "path": "/Users", "bulkId": "a"}, {"method": "POST", "path": "/Users", "bulkId": "b", "data": []}, {"method": "POST", "path": "/Nothing", "bulkId": "c", "data": {}}]', 'POST a 400 invalidSyntax, POST b 400 invalidSyntax, POST c 400 invalidSyntax'),
	('[{"method": "GET", "path": "/Users"}]', 'invalidSyntax'), ('[{"method": "POST", "path": "/Users", "data": {}}]', 'invalidSyntax'), ('[{"method": "POST", "bulkId": "a"}]', 'invalidSyntax'),
	('[{"method": "DELETE", "path": "/Users/x", "bulkId": "a"}, {"method": "DELETE", "path": "/Users/y", "bulkId": "a"}]', 'invalidSyntax'), ('[7]', 'invalidSyntax'), ('[]', 'invalidSyntax'), ('{}', 'invalidSyntax')) AS b (operations, outcome);
SELECT is(pg_temp.said('POST', '/Bulk', format('{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [%s]}', (SELECT string_agg('{"method": "DELETE", "path": "/Users/x"}', ',') FROM generate_series(1, 1001)))), '413', 'bulk: too many operations');
SELECT is(pg_temp.said('POST', '/Bulk', '{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": "1", "Operations": [{"method": "DELETE", "path": "/Users/x"}]}'), '400 invalidSyntax', 'bulk: failOnErrors');
SELECT * FROM finish();
ROLLBACK;
