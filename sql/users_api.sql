/*
 * Provisioning of people, and events for what is written in SQL.
 */
CREATE FUNCTION mindtickle.user_as_json(person mindtickle.users) RETURNS pg_catalog.jsonb
	-- not in SQL, which would be planned with each call: a pull calls it for every user
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('userId', person.user_id, 'mindtickleId', person.mindtickle_id, 'scimExternalId', person.scim_external_id,
		'userName', person.user_name, 'email', person.email, 'name', person.name, 'role', person.role, 'active', person.active,
		'title', person.title, 'department', person.department, 'location', person.location, 'hiredAt', person.hired_at,
		'managerId', person.manager_id, 'managerEmail', person.manager_email, 'attributes', person.attributes);
END
$$;
COMMENT ON FUNCTION mindtickle.user_as_json(mindtickle.users) IS 'a user in the names of the data model';

CREATE FUNCTION mindtickle.emit_event(tenant pg_catalog.text, topic pg_catalog.text, payload pg_catalog.jsonb) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_emit_event_sql';
COMMENT ON FUNCTION mindtickle.emit_event(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb) IS 'writes an event to the outbox';

CREATE FUNCTION @extschema@.mt_provision_user(tenant pg_catalog.text, "user" pg_catalog.jsonb) RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_provision_user';
COMMENT ON FUNCTION @extschema@.mt_provision_user(pg_catalog.text, pg_catalog.jsonb)
	IS 'creates or updates a user and returns the user_id; matched by userId, mindtickleId, scimExternalId, then email; event user_changed';

CREATE FUNCTION @extschema@.mt_deactivate_user(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_deactivate_user';
COMMENT ON FUNCTION @extschema@.mt_deactivate_user(pg_catalog.text, pg_catalog.text)
	IS 'deactivates a user, whose history stays: true when he was active; event user_changed';
