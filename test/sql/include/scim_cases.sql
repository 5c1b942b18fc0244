-- SCIM requests as rows of a table: what is asked, and what must be answered. Read by the test files with \i, after session.sql; holds no test itself.
--
-- A row is one request; rows run in order. In path, query, headers and body, {name} stands for the id that an earlier row has remembered under the
-- name. status and type are the status and scimType of the answer. wants maps JSON paths to what they must find in the body, an array of the
-- finds, or one find alone; headers that must be in the answer stand under "headers".
CREATE TEMP TABLE scim_case (place int4 GENERATED ALWAYS AS IDENTITY, name text, method text, path text, query text, headers jsonb, body text, status int4, type text, wants jsonb, remember text);
CREATE TEMP TABLE scim_id (name text PRIMARY KEY, id text);

CREATE FUNCTION pg_temp.with_ids(template text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	known record;
BEGIN
	FOR known IN SELECT * FROM scim_id LOOP
		template := replace(template, '{' || known.name || '}', known.id);
	END LOOP;
	RETURN template;
END
$$;

-- What is wrong with an answer whatever was asked; '' when nothing is.
CREATE FUNCTION pg_temp.ill_formed(method text, status int4, headers jsonb, body jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws('; ',
		CASE WHEN (body IS NULL) <> (status IN (204, 304)) THEN 'body' END,
		CASE WHEN (headers ->> 'Content-Type') IS DISTINCT FROM CASE WHEN body IS NOT NULL THEN 'application/scim+json' END THEN 'Content-Type' END,
		CASE WHEN status >= 400 AND (body -> 'schemas' IS DISTINCT FROM '["urn:ietf:params:scim:api:messages:2.0:Error"]' OR body ->> 'status' IS DISTINCT FROM status::text OR jsonb_typeof(body -> 'status') <> 'string'
			OR coalesce(body ->> 'detail', '') !~ '^.*[.]$' OR body - '{schemas,status,scimType,detail}'::text[] <> '{}') THEN 'form of the error' END,
		CASE WHEN status >= 400 AND body ->> 'detail' ~* 'mindtickle|pg_|select |insert |update |relation|column|constraint|sqlstate|\.c\M|/srv|/usr' THEN 'too much is told' END,
		CASE WHEN status = 405 AND headers ->> 'Allow' IS NULL THEN 'no Allow' END,
		CASE WHEN jsonb_path_exists(body, '$.** ? (@ == null)') THEN 'a null' END,
		CASE WHEN body::text ~* '"password"|s3cret' AND status < 400 THEN 'a password' END,
		CASE WHEN status IN (200, 201) AND body ? 'meta' AND body -> 'meta' ? 'version' AND (headers ->> 'ETag' IS DISTINCT FROM body #>> '{meta,version}' OR headers ->> 'ETag' !~ '^W/"[0-9]+"$') THEN 'ETag' END,
		CASE WHEN status = 201 AND (headers ->> 'Location' IS NULL OR headers ->> 'Location' !~ '^/scim/v2/(Users|Groups)/[^/]+$') THEN 'Location' END,
		CASE WHEN body -> 'meta' ? 'version' AND headers ->> 'Location' IS DISTINCT FROM body #>> '{meta,location}' THEN 'meta.location' END,
		CASE WHEN body -> 'meta' ? 'version' AND (body #>> '{meta,created}' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$' OR body #>> '{meta,lastModified}' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$') THEN 'moments' END,
		CASE WHEN body -> 'schemas' = '["urn:ietf:params:scim:api:messages:2.0:ListResponse"]' AND (body ->> 'itemsPerPage')::int8 <> jsonb_array_length(body -> 'Resources') THEN 'itemsPerPage' END)
$$;

-- Runs the rows that are there for a tenant as a role and takes them away; a test each.
CREATE FUNCTION pg_temp.run_cases(tenant text, role_name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	asked scim_case;
	answer mindtickle.scim_answer;
	body jsonb;
	got text;
	wanted text;
	want record;
	found jsonb;
BEGIN
	FOR asked IN SELECT * FROM scim_case ORDER BY place LOOP
		asked.path := pg_temp.with_ids(asked.path);
		asked.query := pg_temp.with_ids(asked.query);
		asked.headers := pg_temp.with_ids(asked.headers::text);
		asked.body := pg_temp.with_ids(asked.body);
		PERFORM set_config('role', role_name, true);
		BEGIN
			answer := mt_scim_request(tenant, asked.method, asked.path, asked.query, asked.headers, asked.body);
			body := answer.body::jsonb;
			got := concat_ws(' ', answer.status, body ->> 'scimType', pg_temp.ill_formed(asked.method, answer.status, answer.headers, body));
		EXCEPTION WHEN OTHERS THEN
			body := NULL;
			answer := ROW(0, '{}', SQLERRM);
			got := SQLSTATE || ': ' || SQLERRM;
		END;
		PERFORM set_config('role', 'none', true);
		wanted := concat_ws(' ', asked.status, asked.type, '');
		FOR want IN SELECT * FROM jsonb_each(coalesce(pg_temp.with_ids(asked.wants::text)::jsonb, '{}')) LOOP
			found := CASE WHEN want.key = 'headers' THEN answer.headers ELSE jsonb_path_query_array(body, want.key::jsonpath) END;
			IF want.key = 'headers' THEN
				IF NOT found @> want.value THEN
					got := got || format(' headers are %s;', found);
				END IF;
			ELSIF found IS DISTINCT FROM (CASE jsonb_typeof(want.value) WHEN 'array' THEN want.value ELSE jsonb_build_array(want.value) END) THEN
				got := got || format(' %s is %s, not %s;', want.key, coalesce(found::text, 'nothing'), want.value);
			END IF;
		END LOOP;
		IF asked.remember IS NOT NULL AND body ? 'id' THEN
			INSERT INTO scim_id VALUES (asked.remember, body ->> 'id') ON CONFLICT (name) DO UPDATE SET id = excluded.id;
		END IF;
		RETURN NEXT is(trim(got), trim(wanted), asked.name);
		IF trim(got) <> trim(wanted) THEN
			RETURN NEXT diag(format('%s %s %s %s -> %s %s %s', asked.method, asked.path, asked.query, left(asked.body, 300), answer.status, answer.headers, left(answer.body::text, 1000)));
		END IF;
	END LOOP;
	TRUNCATE scim_case;
END
$$;
