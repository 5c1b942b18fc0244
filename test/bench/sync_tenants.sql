-- The sandbox's tenants, each with the limits that it has there.
\set tenants `cat :file`
SELECT set_config('bench.url', :'url', false);
SELECT set_config('bench.tenants', :'tenants', false);
DO $$
DECLARE
	tenant record;
BEGIN
	FOR tenant IN SELECT t.tenant AS name, t.key FROM jsonb_to_recordset(current_setting('bench.tenants')::jsonb) AS t (tenant text, key text) LOOP
		PERFORM mt_create_tenant(tenant.name, tenant.name);
		PERFORM mt_configure_tenant(tenant.name, jsonb_build_object('base_urls', jsonb_build_array(current_setting('bench.url')), 'allow_http', true));
		PERFORM mt_set_credential(tenant.name, jsonb_build_object('api_key', tenant.key));
	END LOOP;
END
$$;
