/*
 * Row security, the same for every table with a tenant: seen and written only for the tenant in force, by everyone, the owner included.
 */
DO LANGUAGE plpgsql $$
DECLARE
	protected pg_catalog.regclass;
BEGIN
	FOR protected IN
		SELECT c.oid
		FROM pg_catalog.pg_class AS c
		JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) c.oid
			AND a.attname OPERATOR(pg_catalog.=) 'tenant_id' AND NOT a.attisdropped
		WHERE c.relnamespace OPERATOR(pg_catalog.=) 'mindtickle'::pg_catalog.regnamespace
			AND c.relkind OPERATOR(pg_catalog.=) 'r'
		ORDER BY c.relname
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', protected);
		EXECUTE pg_catalog.format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', protected);
		EXECUTE pg_catalog.format('CREATE POLICY tenant_isolation ON %s '
								  'USING (tenant_id OPERATOR(pg_catalog.=) @extschema@.mt_current_tenant()) '
								  'WITH CHECK (mindtickle.row_allowed(tenant_id, tableoid))', protected);
	END LOOP;
END
$$;

-- The workers ask, before any tenant is in force, which tenants there are and how far each one's budget is spent.
ALTER POLICY tenant_isolation ON mindtickle.tenant
	USING (tenant_id OPERATOR(pg_catalog.=) ANY (mindtickle.visible_tenants()));
ALTER POLICY tenant_isolation ON mindtickle.sync_budget
	USING (mindtickle.acting_as_service()) WITH CHECK (mindtickle.acting_as_service());

-- Whoever reads a published event, be it in its table, waits until no crash can give its number to another one. PostgreSQL asks once a statement.
CREATE FUNCTION mindtickle.events_on_disk() RETURNS pg_catalog.bool
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_events_on_disk';
COMMENT ON FUNCTION mindtickle.events_on_disk() IS 'for the policies of the tables of events: true, when every event that is visible now is on the disk';
DO LANGUAGE plpgsql $$
DECLARE
	events pg_catalog.regclass;
BEGIN
	FOR events IN
		SELECT c.oid
		FROM pg_catalog.pg_class AS c
		WHERE c.relnamespace OPERATOR(pg_catalog.=) 'mindtickle'::pg_catalog.regnamespace AND c.relkind OPERATOR(pg_catalog.=) 'r'
			AND c.relname OPERATOR(pg_catalog.~) '^event_[0-9]+$'
	LOOP
		EXECUTE pg_catalog.format('ALTER POLICY tenant_isolation ON %s '
								  'USING (tenant_id OPERATOR(pg_catalog.=) @extschema@.mt_current_tenant() AND mindtickle.events_on_disk())', events);
	END LOOP;
END
$$;

-- Secrets, tokens and grants are the service role's alone, even where a role may read every table (pg_read_all_data).
ALTER POLICY tenant_isolation ON mindtickle.credential
	USING (tenant_id OPERATOR(pg_catalog.=) @extschema@.mt_current_tenant() AND mindtickle.acting_as_service());
ALTER POLICY tenant_isolation ON mindtickle.tenant_grant
	USING (tenant_id OPERATOR(pg_catalog.=) @extschema@.mt_current_tenant() AND mindtickle.acting_as_service());

-- Tokens that belong to no tenant are the owner's, for whom the service role acts without a tenant.
ALTER POLICY tenant_isolation ON mindtickle.api_token
	USING (tenant_id OPERATOR(pg_catalog.=) COALESCE(@extschema@.mt_current_tenant(), '') AND mindtickle.acting_as_service())
	WITH CHECK (CASE WHEN tenant_id OPERATOR(pg_catalog.=) '' THEN mindtickle.acting_as_service()
					 ELSE mindtickle.row_allowed(tenant_id, tableoid) END);

-- Alerts belong to no tenant: they are for those who watch the server, and a careless GRANT shows them to nobody else.
ALTER TABLE mindtickle.security_alert ENABLE ROW LEVEL SECURITY;
ALTER TABLE mindtickle.security_alert FORCE ROW LEVEL SECURITY;
CREATE POLICY monitoring ON mindtickle.security_alert
	USING (mindtickle.acting_as_service() OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'))
	WITH CHECK (mindtickle.acting_as_service());
