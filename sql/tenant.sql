/*
 * Tenants and who may act for them. tenant_grant is read in C (src/access.c) by catalog-style scans, so its columns' order is part of that
 * file's contract, as is tenant's first column.
 */
CREATE TABLE mindtickle.tenant (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY
		CHECK (tenant_id OPERATOR(pg_catalog.~) '^[a-z0-9][a-z0-9_-]{0,31}$'),
	display_name pg_catalog.text NOT NULL,
	settings pg_catalog.jsonb NOT NULL DEFAULT '{}',
	suspended pg_catalog.bool NOT NULL DEFAULT false,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	source_configured pg_catalog.bool NOT NULL DEFAULT false,
	next_sync_at pg_catalog.timestamptz,
	open_job_id pg_catalog.int8,
	backoff_until pg_catalog.timestamptz,
	last_error pg_catalog.text,
	last_error_at pg_catalog.timestamptz,
	closed_day pg_catalog.date,
	site_url pg_catalog.text,
	source_version pg_catalog.int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
COMMENT ON TABLE mindtickle.tenant IS 'one row a company; settings as given to mt_configure_tenant; the rest is the state of its sync';
COMMENT ON COLUMN mindtickle.tenant.suspended IS 'true: no call goes upstream for this tenant; its data stays readable';
COMMENT ON COLUMN mindtickle.tenant.source_configured IS 'true once a credential is stored: readiness then expects pulls';
COMMENT ON COLUMN mindtickle.tenant.next_sync_at IS 'when the next periodic pull begins; NULL: none is due';
COMMENT ON COLUMN mindtickle.tenant.open_job_id IS 'the full pull that is queued or running';
COMMENT ON COLUMN mindtickle.tenant.closed_day IS 'the last day, in the tenant''s timezone, that is in readiness_daily';
COMMENT ON COLUMN mindtickle.tenant.site_url IS 'which of the base_urls knew the tenant''s site when it last signed in; NULL: none yet';
COMMENT ON COLUMN mindtickle.tenant.source_version IS 'counts the changes of settings and secrets: what was read of them before one is not used after it';
COMMENT ON COLUMN mindtickle.tenant.backoff_until IS 'no call goes upstream before this moment';

CREATE TABLE mindtickle.tenant_grant (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	role_name pg_catalog.name NOT NULL,
	role_oid pg_catalog.oid NOT NULL DEFAULT 0,
	access pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (access OPERATOR(pg_catalog.=) ANY (ARRAY['reader', 'writer', 'admin'])),
	token_required pg_catalog.bool NOT NULL DEFAULT false,
	is_default pg_catalog.bool NOT NULL DEFAULT false,
	granted_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (tenant_id, role_name)
);
COMMENT ON TABLE mindtickle.tenant_grant IS 'which role acts for which tenant, and how far; written by mt_grant_tenant, read in C on each use of a tenant';
COMMENT ON COLUMN mindtickle.tenant_grant.role_oid IS 'the role''s oid when the row came in; a role of the same name made later does not match, 0 matches nothing';

-- Not led by tenant_id: it answers which tenants a role has, before any tenant is known.
CREATE INDEX tenant_grant_role_oid_idx ON mindtickle.tenant_grant (role_oid);

CREATE FUNCTION mindtickle.resolve_grant_role() RETURNS pg_catalog.trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.role_oid := COALESCE((SELECT r.oid FROM pg_roles AS r WHERE r.rolname = NEW.role_name), 0);
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION mindtickle.resolve_grant_role() IS 'trigger: takes the oid of the named role, 0 where it is absent (after a restore), so that the grant yields nothing';

CREATE TRIGGER resolve_role BEFORE INSERT ON mindtickle.tenant_grant
	FOR EACH ROW EXECUTE FUNCTION mindtickle.resolve_grant_role();
ALTER TABLE mindtickle.tenant_grant ENABLE ALWAYS TRIGGER resolve_role;

CREATE FUNCTION mindtickle.forget_access() RETURNS pg_catalog.trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'mt_forget_access';
COMMENT ON FUNCTION mindtickle.forget_access() IS 'trigger: makes every backend look up tenants and grants anew';

CREATE TRIGGER forget_access AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mindtickle.tenant_grant
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access();
ALTER TABLE mindtickle.tenant_grant ENABLE ALWAYS TRIGGER forget_access;
CREATE TRIGGER forget_access AFTER INSERT OR UPDATE OF tenant_id OR DELETE OR TRUNCATE ON mindtickle.tenant
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access();
ALTER TABLE mindtickle.tenant ENABLE ALWAYS TRIGGER forget_access;
