-- Who meets a SCIM filter. Read by the test files with \i, after session.sql; holds no test itself.

-- The statement that asks for the ids of a tenant's resources by a filter, its values being bound and not part of it: u or t is the row, $1 the
-- tenant. Users without a name and deleted ones are no resources.
CREATE FUNCTION pg_temp.scim_prepare(tenant text, resource text, filter text, OUT statement text, OUT fault text) LANGUAGE plpgsql AS $$
DECLARE
	understood record;
BEGIN
	SELECT * INTO understood FROM mindtickle.scim_inspect_filter(resource, filter);
	fault := understood.fault_type || ': ' || understood.fault;
	IF fault IS NOT NULL THEN
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'scim_found') THEN
		DEALLOCATE scim_found;
	END IF;
	EXECUTE format(CASE resource WHEN 'User' THEN 'PREPARE scim_found (%s) AS SELECT u.user_id FROM mindtickle.users AS u WHERE u.tenant_id = $1 AND u.deleted_at IS NULL AND u.user_name_key IS NOT NULL AND %s'
		ELSE 'PREPARE scim_found (%s) AS SELECT t.team_id FROM mindtickle.team AS t WHERE t.tenant_id = $1 AND t.active AND %s' END, array_to_string(understood.parameter_types, ', '), understood.condition);
	statement := format('EXECUTE scim_found (%s)', (SELECT string_agg(quote_nullable(CASE p.place WHEN 1 THEN tenant ELSE p.value END), ', ' ORDER BY p.place)
		FROM unnest(understood.parameters) WITH ORDINALITY AS p (value, place)));
END
$$;

-- The ids in order, joined by spaces; or the fault.
CREATE FUNCTION pg_temp.scim_find(tenant text, resource text, filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	prepared record;
	id text;
	found text[] := '{}';
BEGIN
	SELECT * INTO prepared FROM pg_temp.scim_prepare(tenant, resource, filter);
	IF prepared.fault IS NOT NULL THEN
		RETURN prepared.fault;
	END IF;
	FOR id IN EXECUTE prepared.statement LOOP
		found := found || id;
	END LOOP;
	RETURN (SELECT coalesce(string_agg(f, ' ' ORDER BY f COLLATE "C"), '') FROM unnest(found) AS f);
END
$$;

-- A text as it stands in a URL.
CREATE FUNCTION pg_temp.in_url(text text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE WHEN b < 128 AND chr(b) ~ '[A-Za-z0-9._~-]' THEN chr(b) ELSE '%' || upper(lpad(to_hex(b), 2, '0')) END, '' ORDER BY i)
	FROM (SELECT get_byte(convert_to(text, 'UTF8'), i) AS b, i FROM generate_series(0, octet_length(text) - 1) AS i) AS bytes
$$;

-- The same as scim_find as a client has it, who asks by the address or by a search; all of them are to be on one page.
CREATE FUNCTION pg_temp.scim_asked(tenant text, resource text, filter text, search bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer mindtickle.scim_answer;
	body jsonb;
BEGIN
	IF search THEN
		answer := mt_scim_request(tenant, 'POST', format('/%ss/.search', resource), NULL, NULL,
			jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]'::jsonb, 'filter', filter, 'count', 200)::text);
	ELSE
		answer := mt_scim_request(tenant, 'GET', format('/%ss', resource), 'count=200&filter=' || coalesce(pg_temp.in_url(filter), ''));
	END IF;
	body := answer.body::jsonb;
	IF answer.status <> 200 THEN
		RETURN concat_ws(': ', body ->> 'scimType', body ->> 'detail');
	ELSIF (body ->> 'totalResults')::int4 <> jsonb_array_length(body -> 'Resources') OR (body ->> 'itemsPerPage')::int4 <> jsonb_array_length(body -> 'Resources') THEN
		RETURN 'numbers that are not those of the resources: ' || answer.body;
	END IF;
	RETURN (SELECT coalesce(string_agg(r ->> 'id', ' ' ORDER BY r ->> 'id' COLLATE "C"), '') FROM jsonb_array_elements(body -> 'Resources') AS r);
END
$$;

-- What all three say; where they differ, what each says. A search may hold what an address must not.
CREATE FUNCTION pg_temp.scim_found(tenant text, resource text, filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := pg_temp.scim_find(tenant, resource, filter);
	got text := pg_temp.scim_asked(tenant, resource, filter, false);
	searched text := pg_temp.scim_asked(tenant, resource, filter, true);
BEGIN
	IF got = found AND searched = regexp_replace(found, '^sensitive: ', 'invalidFilter: ') THEN
		RETURN found;
	END IF;
	RETURN format('SQL: %s; GET: %s; .search: %s', found, got, searched);
END
$$;
