/*
 * Trying dead letters again: for each source a function replay_<source>(tenant, resource, raw) that does what was to be done with the bytes.
 */
CREATE FUNCTION mindtickle.replay_pull(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_replay_pull';
COMMENT ON FUNCTION mindtickle.replay_pull(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'stores a pulled record that had been refused; an error where it still has a fault';

CREATE FUNCTION mindtickle.replay_quiz(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT @extschema@.mt_process_quiz_result(tenant, convert_from(raw, 'UTF8')::jsonb)
$$;
COMMENT ON FUNCTION mindtickle.replay_quiz(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'processes a quiz result that had been refused; an error where it still has a fault';

CREATE FUNCTION mindtickle.replay_scim(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	event jsonb := convert_from(raw, 'UTF8')::jsonb;
BEGIN
	IF event ->> 'tenantId' IS DISTINCT FROM tenant THEN
		RAISE EXCEPTION 'tenantId is not this tenant' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM @extschema@.mt_handle_scim_event(event);
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.replay_scim(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'handles a SCIM webhook event that had been refused; an error where it still has a fault';

CREATE FUNCTION @extschema@.mt_replay_dead_letter(tenant pg_catalog.text, letter_id pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_replay_dead_letter';
COMMENT ON FUNCTION @extschema@.mt_replay_dead_letter(pg_catalog.text, pg_catalog.int8)
	IS 'tries again what could not be processed: true when that changed something; an error, and nothing is changed, where it is still at fault';
