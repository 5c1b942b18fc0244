-- Writing and publishing events in tests, outside of a transaction block. Read after session.sql with \i; holds no test itself.

-- Runs a statement as the service role with a tenant in force.
CREATE FUNCTION pg_temp.service(tenant text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM set_config('mindtickle.tenant', tenant, true);
	result := pg_temp.as_role('mindtickle_service', statement);
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;

-- Writes an event for each topic, numbered in its payload.
CREATE FUNCTION pg_temp.emit(tenant text, topics text) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.service(tenant, format('SELECT mindtickle.emit_event(%L, %L, jsonb_build_object(''n'', %s))', tenant, t, n)) FROM unnest(topics::text[]) WITH ORDINALITY AS x (t, n) ORDER BY n;
$$;

-- Publishes until nothing waits.
CREATE PROCEDURE pg_temp.settle(tenant text, batch int4 DEFAULT 1000) LANGUAGE plpgsql AS $$
DECLARE
	result text := 'true';
BEGIN
	WHILE result = 'true' OR EXISTS (SELECT FROM mindtickle.outbox AS o WHERE o.tenant_id = tenant) LOOP
		COMMIT;
		result := pg_temp.service(tenant, format('SELECT more FROM mindtickle.publish(%L, %s)', tenant, batch));
		COMMIT;
		IF result NOT IN ('true', 'false') THEN
			RAISE EXCEPTION '%', result;
		END IF;
	END LOOP;
END
$$;
