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
