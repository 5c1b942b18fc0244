/*
 * Credentials for MindTickle's API. They go in and never come back out, but for the sync worker.
 */
CREATE FUNCTION @extschema@.mt_set_credential(tenant pg_catalog.text, credential pg_catalog.jsonb) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_set_credential';
COMMENT ON FUNCTION @extschema@.mt_set_credential(pg_catalog.text, pg_catalog.jsonb)
	IS 'stores secrets for MindTickle''s API, each a string or {"file": "name"} below mindtickle.secret_directory; owner only';

CREATE FUNCTION @extschema@.mt_test_connection(tenant pg_catalog.text, timeout pg_catalog.interval DEFAULT '1 min',
		OUT step pg_catalog.text, OUT ok pg_catalog.bool, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_test_connection';
COMMENT ON FUNCTION @extschema@.mt_test_connection(pg_catalog.text, pg_catalog.interval)
	IS 'has the sync worker sign in and try each right that pulls need, and says what is missing and how to mend it; ok is null where a step was not tried';

CREATE FUNCTION mindtickle.probe_source(tenant pg_catalog.text, OUT settings pg_catalog.jsonb, OUT credential pg_catalog.jsonb,
		OUT obstacle pg_catalog.text, OUT unreadable pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	key_unreadable bool;
BEGIN
	SELECT CASE WHEN NOT t.source_configured THEN 'no credential is stored: set it with mt_set_credential'
				WHEN t.suspended THEN 'the tenant is suspended: end that with mt_resume_tenant'
				WHEN EXISTS (SELECT FROM mindtickle.credential AS c WHERE c.tenant_id = probe_source.tenant
							 AND c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() AS s)) THEN mindtickle.foreign_site_error()
		   END INTO obstacle
		FROM mindtickle.tenant AS t WHERE t.tenant_id = probe_source.tenant;
	IF obstacle IS NULL THEN
		settings := mindtickle.source_settings(probe_source.tenant);
		SELECT c.credential, c.unreadable, c.key_unreadable INTO credential, unreadable, key_unreadable
			FROM mindtickle.credential_of(probe_source.tenant) AS c;
		IF key_unreadable THEN
			obstacle := unreadable;
		END IF;
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.probe_source(pg_catalog.text)
	IS 'for the sync worker: what a test of the connection needs, or why nothing must be sent, in words with the remedy; unreadable: which secrets cannot be read, likewise';

CREATE FUNCTION mindtickle.read_secret_file(tenant pg_catalog.text, file pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_read_secret_file';
COMMENT ON FUNCTION mindtickle.read_secret_file(pg_catalog.text, pg_catalog.text)
	IS 'for the sync worker: content of a secret file of a tenant';

CREATE FUNCTION mindtickle.foreign_site_error() RETURNS pg_catalog.text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'the credentials were stored in another cluster; if this one is to call MindTickle: SELECT mt_confirm_site();'
$$;
COMMENT ON FUNCTION mindtickle.foreign_site_error() IS 'why a tenant of a restored copy is not pulled, as in its last_error';

CREATE FUNCTION @extschema@.mt_confirm_site() RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	here int8 := (SELECT s.system_identifier FROM pg_control_system() AS s);
	taken_over int8;
BEGIN
	UPDATE mindtickle.credential AS c SET system_identifier = here WHERE c.system_identifier <> here;
	GET DIAGNOSTICS taken_over = ROW_COUNT;
	-- Other reasons to wait, such as the tenant's budget, stand.
	UPDATE mindtickle.tenant AS t SET backoff_until = NULL, last_error = NULL, last_error_at = NULL
		WHERE t.last_error = mindtickle.foreign_site_error();
	PERFORM mindtickle.wake_sync();
	RETURN taken_over;
END
$$;
COMMENT ON FUNCTION @extschema@.mt_confirm_site()
	IS 'lets this cluster pull with credentials that were stored in another one, after a restore; returns how many; owner only';
