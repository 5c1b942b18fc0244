-- SCIM requests of the tenant sc, as its identity provider. Read by the test files with \i, after session.sql and within their transaction; holds no
-- test itself.
DROP ROLE IF EXISTS sc_provider, sc_reader;
CREATE ROLE sc_provider;
CREATE ROLE sc_reader;
SELECT mt_create_tenant('sc', 'SCIM'), mt_grant_tenant('sc', 'sc_provider', 'writer'), mt_grant_tenant('sc', 'sc_reader', 'reader') \g /dev/null
GRANT USAGE ON SCHEMA pg_catalog TO sc_provider;

-- One request, its URL with or without a query.
CREATE FUNCTION pg_temp.ask(method text, url text, body text DEFAULT NULL, headers jsonb DEFAULT NULL, tenant text DEFAULT 'sc') RETURNS mindtickle.scim_answer
	LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer;
BEGIN
	PERFORM set_config('role', CASE tenant WHEN 'sc' THEN 'sc_provider' ELSE 'none' END, true);
	answer := mt_scim_request(tenant, method, split_part(url, '?', 1), CASE WHEN url LIKE '%?%' THEN substr(url, strpos(url, '?') + 1) END, headers, body);
	PERFORM set_config('role', 'none', true);
	RETURN answer;
END
$$;

-- An answer in short: its status, and the scimType of a refusal.
CREATE FUNCTION pg_temp.short(answer mindtickle.scim_answer) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', answer.status, CASE WHEN answer.status >= 400 THEN answer.body::jsonb ->> 'scimType' END)
$$;
CREATE FUNCTION pg_temp.said(method text, url text, body text DEFAULT NULL, headers jsonb DEFAULT NULL, tenant text DEFAULT 'sc') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.short(pg_temp.ask(method, url, body, headers, tenant))
$$;
-- The body of an answer.
CREATE FUNCTION pg_temp.got(method text, url text, body text DEFAULT NULL, headers jsonb DEFAULT NULL, tenant text DEFAULT 'sc') RETURNS jsonb LANGUAGE sql AS $$
	SELECT (pg_temp.ask(method, url, body, headers, tenant)).body::jsonb
$$;

-- Bodies.
CREATE FUNCTION pg_temp.person(document jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT (jsonb_build_object('schemas', '["urn:ietf:params:scim:schemas:core:2.0:User"]'::jsonb) || document)::text
$$;
CREATE FUNCTION pg_temp.team(document jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT (jsonb_build_object('schemas', '["urn:ietf:params:scim:schemas:core:2.0:Group"]'::jsonb) || document)::text
$$;
CREATE FUNCTION pg_temp.operations(operations jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:PatchOp"]'::jsonb, 'Operations', operations)::text
$$;
-- What differs between two resources, beside what differs with every change: the new values, null where there is none any more.
CREATE FUNCTION pg_temp.difference(before jsonb, after jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT coalesce(jsonb_object_agg(k, after -> k), '{}') FROM (SELECT jsonb_object_keys(before) UNION SELECT jsonb_object_keys(after)) AS n (k)
	WHERE k <> 'meta' AND (before -> k) IS DISTINCT FROM (after -> k)
$$;
