/*
 * What the benchmark of SCIM works on: a large and a small tenant, provisioned as an identity provider would, groups of two sizes, one of each for
 * every client, and a bare table of the shape of mindtickle.users, indexes with it, without triggers and row security. Run by scim.sh.
 */
CALL bench.ensure_tenant('bench-scim-large', 'bench_provider', 'writer');
CALL bench.ensure_tenant('bench-scim-small', 'bench_provider', 'writer');
ALTER ROLE bench_provider LOGIN;

CREATE FUNCTION bench.attributes(name text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('scim', jsonb_build_object('displayName', 'Given Family', 'name', '{"givenName": "Given", "familyName": "Family"}'::jsonb,
		'emails', jsonb_build_array(jsonb_build_object('value', name || '@example.com', 'type', 'work', 'primary', true)), 'locale', 'en-US'))
$$;
CREATE FUNCTION bench.person(name text) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(format('{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"%1$s@example.com","name":{"givenName":"Given","familyName":"Family"},'
		'"emails":[{"primary":true,"value":"%1$s@example.com","type":"work"}],"displayName":"Given Family","locale":"en-US","externalId":"%1$s","groups":[],"active":true,"title":"Title",'
		'"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Sales"}}', name), 'UTF8')
$$;
CREATE FUNCTION bench.member(op text, id text) RETURNS bytea LANGUAGE sql AS $$
	SELECT convert_to(format('{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"%s","path":"members","value":[{"value":"%s"}]}]}', op, id), 'UTF8')
$$;

CREATE TABLE bench.users (LIKE mindtickle.users INCLUDING ALL);
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, scim_external_id, email, name, title, department, attributes)
	SELECT t.tenant, 'user-' || n, 'User' || n || '@example.com', 'e-' || n, 'User' || n || '@example.com', 'Given Family', 'Title', 'Sales', bench.attributes('User' || n)
	FROM (VALUES ('bench-scim-large', :users), ('bench-scim-small', :users / 100)) AS t (tenant, users), generate_series(1, t.users) AS n;
INSERT INTO bench.users (tenant_id, user_id, user_name, scim_external_id, email, name, title, department, attributes)
	SELECT tenant_id, user_id, user_name, scim_external_id, email, name, title, department, attributes FROM mindtickle.users WHERE tenant_id ~ '^bench-scim';
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score, completed_at)
	SELECT t.tenant, 'user-' || n, 'course-' || c, 'completed', 80, now() FROM unnest('{bench-scim-large,bench-scim-small}'::text[]) AS t (tenant), generate_series(1, 1000) AS n, generate_series(1, 5) AS c;
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) SELECT 'bench-scim-large', s || '-' || c, 'Team ' || s, 'scim' FROM unnest('{large,small}'::text[]) AS s, generate_series(0, 7) AS c;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source)
	SELECT 'bench-scim-large', t.size || '-' || c, 'user-' || n, 'scim' FROM (VALUES ('large', :members), ('small', 10)) AS t (size, members), generate_series(0, 7) AS c, generate_series(1, t.members) AS n;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bench TO PUBLIC;
VACUUM ANALYZE;
CHECKPOINT;
