/*
 * What the owner does once after CREATE EXTENSION, and again after a restore: give the service role its rights.
 */
CREATE FUNCTION mindtickle.wake_launcher() RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_wake_launcher';
COMMENT ON FUNCTION mindtickle.wake_launcher() IS 'makes the launcher look for databases that need workers, once the transaction has committed';

CREATE FUNCTION @extschema@.mt_setup() RETURNS pg_catalog.void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	service_name text;
	service record;
	relation regclass;
BEGIN
	-- The setting exists once the library is loaded.
	PERFORM mindtickle.library_version();
	service_name := current_setting('mindtickle.service_role');
	SELECT r.oid, r.rolsuper, r.rolbypassrls, r.rolcanlogin,
		   EXISTS (SELECT FROM pg_auth_members AS m WHERE m.roleid = r.oid) AS has_members
		INTO service FROM pg_roles AS r WHERE r.rolname = service_name;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the service role "%" does not exist', service_name
			USING ERRCODE = 'undefined_object',
				  HINT = format('CREATE ROLE %I NOLOGIN; SELECT mt_setup();', service_name);
	END IF;
	IF service.rolsuper OR service.rolbypassrls OR service.rolcanlogin OR service.has_members THEN
		RAISE EXCEPTION 'the service role "%" is not fit to guard the tenants', service_name
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  DETAIL = 'It must not log in, be a superuser, bypass row security, or have members.',
				  HINT = format('ALTER ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS; and REVOKE it from its members.', service_name);
	END IF;

	EXECUTE format('GRANT USAGE ON SCHEMA mindtickle TO %I', service_name);
	EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mindtickle TO %I', service_name);
	FOR relation IN
		SELECT c.oid FROM pg_class AS c
		WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r'
			AND c.relname <> 'tenant_grant'
	LOOP
		-- A worker that empties it meanwhile changes the same row of pg_class.
		EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', relation);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', relation, service_name);
	END LOOP;
	-- What the rings of tables show as one.
	FOR relation IN
		SELECT c.oid FROM pg_class AS c
		WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'v'
	LOOP
		EXECUTE format('GRANT SELECT ON %s TO %I', relation, service_name);
	END LOOP;
	-- Those that are emptied as a whole.
	FOR relation IN
		SELECT c.oid FROM pg_class AS c
		WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r'
			AND mindtickle.is_truncated(c.relname)
	LOOP
		EXECUTE format('GRANT TRUNCATE ON %s TO %I', relation, service_name);
	END LOOP;
	-- A grant that was restored before its role existed counts from now on; one whose role was dropped here does not.
	UPDATE mindtickle.tenant_grant AS g SET role_oid = r.oid FROM pg_roles AS r WHERE g.role_oid = 0 AND r.rolname = g.role_name;
	PERFORM mindtickle.wake_launcher();
END
$$;
COMMENT ON FUNCTION @extschema@.mt_setup() IS 'gives the role that mindtickle.service_role names its rights, and takes up grants that were restored before their role existed; owner only, repeatable';
