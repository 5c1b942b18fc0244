/*
 * The tenant context: which tenant the calling role acts for. All of it is decided in src/access.c and src/tenant_context.c.
 */
CREATE FUNCTION @extschema@.mt_current_tenant() RETURNS pg_catalog.text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_current_tenant';
COMMENT ON FUNCTION @extschema@.mt_current_tenant() IS 'the tenant in force for the current role: the setting mindtickle.tenant where the role has a grant for it, else the role''s default; NULL where there is none';

CREATE FUNCTION @extschema@.mt_set_tenant(tenant pg_catalog.text, token pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_set_tenant';
COMMENT ON FUNCTION @extschema@.mt_set_tenant(pg_catalog.text, pg_catalog.text) IS 'makes this tenant the one in force until the end of the transaction; a grant with token_required needs a token of the tenant with scope sql, given as a bind parameter';

CREATE FUNCTION @extschema@.mt_whoami(OUT role_name pg_catalog.name, OUT tenant_id pg_catalog.text, OUT access pg_catalog.text,
									  OUT grants pg_catalog.jsonb, OUT reason pg_catalog.text) RETURNS pg_catalog.record
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mt_whoami';
COMMENT ON FUNCTION @extschema@.mt_whoami() IS 'the current role, the tenant in force, its access level, all its grants, and in words why there is no tenant';

CREATE FUNCTION mindtickle.row_allowed(tenant_id pg_catalog.text, relation pg_catalog.oid DEFAULT NULL) RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mt_row_allowed';
COMMENT ON FUNCTION mindtickle.row_allowed(pg_catalog.text, pg_catalog.oid) IS 'true when a row of this tenant may be written now; otherwise an error, so that the attempt is seen';

CREATE FUNCTION mindtickle.acting_as_service() RETURNS pg_catalog.bool
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_acting_as_service';
COMMENT ON FUNCTION mindtickle.acting_as_service() IS 'true when the current role is the one that mindtickle.service_role names and no token bounds what it may do';

CREATE FUNCTION mindtickle.visible_tenants() RETURNS pg_catalog.text[]
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_visible_tenants';
COMMENT ON FUNCTION mindtickle.visible_tenants() IS 'the tenant in force; while none is, all of them to the service role';

CREATE FUNCTION mindtickle.enter_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_enter_tenant';
COMMENT ON FUNCTION mindtickle.enter_tenant(pg_catalog.text) IS 'for the workers: sets the tenant of the transaction and keeps mt_drop_tenant away until its end';
