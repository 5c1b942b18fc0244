/*
 * Trying dead letters again: for each source a function replay_<source>(tenant, resource, raw) that does what was to be done with the bytes.
 */
CREATE FUNCTION mindtickle.replay_pull(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	records bytea[] := ARRAY[raw];
	changed int4;
BEGIN
	-- A page of one record and of no job.
	CASE regexp_replace(resource, '^progress/.+$', 'progress')
		WHEN 'progress' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_progress(tenant, 0, substr(resource, length('progress/') + 1), records) AS s;
		WHEN 'users' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_users(tenant, 0, records) AS s;
		WHEN 'courses' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_courses(tenant, 0, records) AS s;
		WHEN 'quiz_results' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_quiz_results(tenant, 0, records) AS s;
		WHEN 'teams' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_teams(tenant, 0, records) AS s;
		WHEN 'series' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_series(tenant, 0, records) AS s;
		WHEN 'reports' THEN
			SELECT s.changed INTO changed FROM mindtickle.store_reports(tenant, 0, '', records) AS s;
		WHEN 'team_members' THEN
			RAISE EXCEPTION 'a member of a team cannot be replayed' USING ERRCODE = 'feature_not_supported',
				DETAIL = 'Only together do the records of a team tell who is in it.', HINT = 'The next pull brings them.';
		ELSE
			RAISE EXCEPTION 'nothing is pulled as "%"', resource USING ERRCODE = 'invalid_parameter_value';
	END CASE;
	RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION mindtickle.replay_pull(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'stores a pulled record that had been refused; an error where it still has a fault';

CREATE FUNCTION mindtickle.replay_push(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_replay_push';
COMMENT ON FUNCTION mindtickle.replay_push(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'queues a user whom MindTickle had not accepted once more; an error where he is not to be pushed';

CREATE FUNCTION mindtickle.replay_http(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	document jsonb := mindtickle.json_from_body(raw, resource = 'scim_events');
BEGIN
	CASE resource
		WHEN 'quiz_results' THEN
			RETURN @extschema@.mt_process_quiz_result(tenant, document);
		WHEN 'scim_events' THEN
			-- Without a name it is of the tenant whose token it came with.
			IF coalesce(document ->> 'tenantId', tenant) <> tenant THEN
				RAISE EXCEPTION 'tenantId is not this tenant' USING ERRCODE = 'invalid_parameter_value', COLUMN = 'tenantId';
			END IF;
			PERFORM @extschema@.mt_handle_scim_event(document);
			RETURN true;
		ELSE
			RAISE EXCEPTION 'nothing is sent as "%"', resource USING ERRCODE = 'invalid_parameter_value';
	END CASE;
END
$$;
COMMENT ON FUNCTION mindtickle.replay_http(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'does what the body of a request asked for that had been refused; an error where it still has a fault';

CREATE FUNCTION mindtickle.replay_scim(tenant pg_catalog.text, resource pg_catalog.text, raw pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request text[] := regexp_match(resource, '^([A-Z]+) (/.*)$');
	answer mindtickle.scim_answer;
BEGIN
	answer := @extschema@.mt_scim_request(tenant, request[1], request[2], NULL::text, NULL::jsonb, raw);
	IF answer.status >= 400 THEN
		RAISE EXCEPTION '% is still refused', resource
			USING ERRCODE = 'invalid_parameter_value', DETAIL = coalesce(answer.body::jsonb ->> 'detail', '');
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.replay_scim(pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'sends a SCIM request that had been refused once more; an error where it still has a fault';

CREATE FUNCTION @extschema@.mt_replay_dead_letter(tenant pg_catalog.text, letter_id pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_replay_dead_letter';
COMMENT ON FUNCTION @extschema@.mt_replay_dead_letter(pg_catalog.text, pg_catalog.int8)
	IS 'tries again what could not be processed: true when that changed something; an error, and nothing is changed, where it is still at fault';
