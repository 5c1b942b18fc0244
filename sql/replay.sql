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
	request text[] := regexp_match(resource, '^([A-Z]+) (/.*)$');
	answer mindtickle.scim_answer;
	event jsonb;
BEGIN
	-- Either the method and path of a SCIM request, or an event of the webhook.
	IF request IS NOT NULL THEN
		answer := @extschema@.mt_scim_request(tenant, request[1], request[2], NULL::text, NULL::jsonb, raw);
		IF answer.status >= 400 THEN
			RAISE EXCEPTION '% is still refused', request[1] || ' ' || request[2]
				USING ERRCODE = 'invalid_parameter_value', DETAIL = coalesce(answer.body::jsonb ->> 'detail', '');
		END IF;
		RETURN true;
	END IF;
	event := convert_from(raw, 'UTF8')::jsonb;
	IF event ->> 'tenantId' IS DISTINCT FROM tenant THEN
		RAISE EXCEPTION 'tenantId is not this tenant' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM @extschema@.mt_handle_scim_event(event);
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.replay_scim(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'sends a SCIM request, or an event of the webhook, that had been refused once more; an error where it still has a fault';

CREATE FUNCTION @extschema@.mt_replay_dead_letter(tenant pg_catalog.text, letter_id pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_replay_dead_letter';
COMMENT ON FUNCTION @extschema@.mt_replay_dead_letter(pg_catalog.text, pg_catalog.int8)
	IS 'tries again what could not be processed: true when that changed something; an error, and nothing is changed, where it is still at fault';
