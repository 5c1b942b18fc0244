/*
 * Administration of tenants: all of it the owner's, but for the settings that a tenant's own admin may change. No table refers to tenant by a
 * foreign key: pg_restore -j loads the tables in any order. What a key would do, the lock of a tenant and mt_drop_tenant do.
 */
CREATE FUNCTION mindtickle.lock_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_lock_tenant_for_write';
COMMENT ON FUNCTION mindtickle.lock_tenant(pg_catalog.text) IS 'keeps mt_drop_tenant away until the end of the transaction';

CREATE FUNCTION mindtickle.lock_tenant_for_drop(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_lock_tenant_for_drop';
COMMENT ON FUNCTION mindtickle.lock_tenant_for_drop(pg_catalog.text) IS 'waits until nobody writes for the tenant any more';

CREATE FUNCTION mindtickle.require_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM mindtickle.lock_tenant(tenant);
	IF NOT EXISTS (SELECT FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant) THEN
		RAISE EXCEPTION 'tenant "%" does not exist', tenant USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.require_tenant(pg_catalog.text) IS 'keeps a tenant from being dropped until the end of the transaction; error 42704 where there is none; for functions of the owner, who may know';

CREATE FUNCTION @extschema@.mt_create_tenant(tenant pg_catalog.text, display_name pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF tenant !~ '^[a-z0-9][a-z0-9_-]{0,31}$' THEN
		RAISE EXCEPTION 'invalid tenant id'
			USING ERRCODE = 'invalid_parameter_value',
				  DETAIL = 'A tenant id has 1 to 32 characters of a-z, 0-9, "_" and "-", and begins with a letter or digit.';
	END IF;
	IF octet_length(display_name) NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'display_name must have 1 to 1024 bytes' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO mindtickle.tenant (tenant_id, display_name) VALUES (tenant, display_name) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'tenant "%" already exists', tenant USING ERRCODE = 'duplicate_object';
	END IF;
	INSERT INTO mindtickle.sync_budget (tenant_id, budget_until) VALUES (tenant, now());
	-- Its first day may end soon.
	PERFORM mindtickle.mark_readiness('#days');
END
$$;
COMMENT ON FUNCTION @extschema@.mt_create_tenant(pg_catalog.text, pg_catalog.text) IS 'makes a tenant; owner only';

CREATE FUNCTION @extschema@.mt_suspend_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM mindtickle.require_tenant(tenant);
	UPDATE mindtickle.tenant AS t SET suspended = true WHERE t.tenant_id = tenant AND NOT t.suspended;
	PERFORM mindtickle.wake_sync();
	PERFORM mindtickle.wake_aggregator();
END
$$;
COMMENT ON FUNCTION @extschema@.mt_suspend_tenant(pg_catalog.text) IS 'stops all calls upstream for a tenant; its data stays as it is and readable; owner only';

CREATE FUNCTION @extschema@.mt_resume_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM mindtickle.require_tenant(tenant);
	UPDATE mindtickle.tenant AS t SET suspended = false WHERE t.tenant_id = tenant AND t.suspended;
	PERFORM mindtickle.wake_sync();
	PERFORM mindtickle.wake_aggregator();
END
$$;
COMMENT ON FUNCTION @extschema@.mt_resume_tenant(pg_catalog.text) IS 'ends a suspension; owner only';

CREATE FUNCTION @extschema@.mt_drop_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	relation regclass;
BEGIN
	-- An older snapshot would miss rows that have been committed since, a grant above all, and leave them to the next tenant of this name.
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'mt_drop_tenant must see every row that has been committed'
			USING ERRCODE = 'invalid_transaction_state', HINT = 'Call it in a transaction with the isolation level READ COMMITTED.';
	END IF;
	PERFORM mindtickle.lock_tenant_for_drop(tenant);
	PERFORM mindtickle.require_tenant(tenant);
	-- Every table with a tenant, whichever there are; those of readiness and of the cache last, as deleting rows is noted there.
	FOR relation IN
		SELECT c.oid FROM pg_class AS c
		JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
		WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r'
		ORDER BY c.relname ~ '^(readiness|cache)', c.relname
	LOOP
		EXECUTE format('DELETE FROM %s WHERE tenant_id = $1', relation) USING tenant;
	END LOOP;
	PERFORM mindtickle.wake_sync();
END
$$;
COMMENT ON FUNCTION @extschema@.mt_drop_tenant(pg_catalog.text) IS 'removes a tenant and all its rows; waits for transactions that write for it; owner only';

CREATE FUNCTION @extschema@.mt_grant_tenant(tenant pg_catalog.text, role pg_catalog.name, access pg_catalog.text,
											token_required pg_catalog.bool DEFAULT false) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	grantee oid;
BEGIN
	PERFORM mindtickle.require_tenant(tenant);
	IF access <> ALL (ARRAY['reader', 'writer', 'admin']) THEN
		RAISE EXCEPTION 'access must be one of reader, writer, admin' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT r.oid INTO grantee FROM pg_roles AS r WHERE r.rolname = role;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'role "%" does not exist', role USING ERRCODE = 'undefined_object';
	END IF;
	INSERT INTO mindtickle.tenant_grant AS g (tenant_id, role_name, access, token_required, is_default)
		VALUES (tenant, role, access, token_required,
				NOT EXISTS (SELECT FROM mindtickle.tenant_grant AS o WHERE o.role_oid = grantee AND o.is_default))
		ON CONFLICT (tenant_id, role_name) DO UPDATE
			SET access = excluded.access, token_required = excluded.token_required, role_oid = grantee,
				is_default = g.is_default AND g.role_oid = grantee OR excluded.is_default;
END
$$;
COMMENT ON FUNCTION @extschema@.mt_grant_tenant(pg_catalog.text, pg_catalog.name, pg_catalog.text, pg_catalog.bool)
	IS 'lets a role act for a tenant as reader, writer or admin; a role''s first grant is its default; owner only';

CREATE FUNCTION @extschema@.mt_revoke_tenant(tenant pg_catalog.text, role pg_catalog.name) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM mindtickle.require_tenant(tenant);
	DELETE FROM mindtickle.tenant_grant AS g WHERE g.tenant_id = tenant AND g.role_name = role;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'role "%" has no grant for tenant "%"', role, tenant USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.mt_revoke_tenant(pg_catalog.text, pg_catalog.name)
	IS 'takes a role''s grant away, from its next statement on; owner only';

CREATE FUNCTION mindtickle.setting_definitions(OUT name pg_catalog.text, OUT kind pg_catalog.text, OUT admin_may pg_catalog.bool,
											   OUT default_value pg_catalog.jsonb, OUT minimum pg_catalog.numeric, OUT maximum pg_catalog.numeric)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	VALUES ('contract'::text, 'contract'::text, false, '"reference"'::jsonb, NULL::numeric, NULL::numeric),
		   ('base_urls', 'urls', false, NULL, NULL, NULL),
		   ('reporting_url', 'url', false, NULL, NULL, NULL),
		   ('scim_url', 'url', false, NULL, NULL, NULL),
		   ('learning_site', 'text', true, NULL, NULL, NULL),
		   ('company_id', 'text', false, NULL, NULL, NULL),
		   ('requests_per_second', 'number', false, '3', 0.01, 1000),
		   ('requests_per_minute', 'number', false, '60', 1, 60000),
		   ('requests_per_hour', 'number', false, NULL, 1, 3600000),
		   ('sync_interval', 'interval', true, '"15 min"', 1, 31536000),
		   ('freshness', 'interval', true, '"1 hour"', 1, 31536000),
		   ('timezone', 'timezone', true, '"UTC"', NULL, NULL),
		   ('groups', 'names', true, NULL, NULL, NULL),
		   ('profile_map', 'map', true, NULL, NULL, NULL),
		   ('role_map', 'map', true, NULL, NULL, NULL),
		   ('ready_score', 'number', true, '80', 0, 100),
		   ('ready_completion', 'number', true, '0.8', 0, 1),
		   ('queue_limit', 'number', false, '100000', 1, 100000000),
		   ('cache_bytes', 'number', false, '16777216', 0, 1073741824),
		   ('event_limit', 'number', false, '10000000', 1, 1000000000000),
		   ('retain_events', 'interval', false, '"7 days"', 60, 315360000),
		   ('retain_reports', 'interval', false, '"400 days"', 60, 315360000),
		   ('retain_dead_letters', 'interval', false, '"90 days"', 60, 315360000),
		   ('retain_jobs', 'interval', false, '"30 days"', 60, 315360000),
		   ('push_users', 'boolean', false, 'false', NULL, NULL),
		   ('allow_http', 'boolean', false, 'false', NULL, NULL)
$$;
COMMENT ON FUNCTION mindtickle.setting_definitions() IS 'the settings of a tenant; admin_may: the tenant''s admin may change it; intervals have their bounds in seconds';

-- Kept plans have its result as a constant: who replaces setting_definitions replaces it, too, so that they are made anew.
CREATE FUNCTION mindtickle.default_settings() RETURNS pg_catalog.jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_object_agg(d.name, d.default_value) FROM mindtickle.setting_definitions() AS d WHERE d.default_value IS NOT NULL
$$;
COMMENT ON FUNCTION mindtickle.default_settings() IS 'the settings of a tenant that sets none';

CREATE FUNCTION mindtickle.effective_settings(tenant pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT mindtickle.default_settings() || t.settings
	FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.effective_settings(pg_catalog.text) IS 'a tenant''s settings with the defaults for those not set';

CREATE FUNCTION mindtickle.setting_fault(kind pg_catalog.text, value pg_catalog.jsonb, minimum pg_catalog.numeric, maximum pg_catalog.numeric,
										 allow_http pg_catalog.bool) RETURNS pg_catalog.text
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	content text := value #>> '{}';
	fault text;
	seconds numeric;
BEGIN
	IF kind = 'urls' THEN
		IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) NOT BETWEEN 1 AND 8 THEN
			RETURN 'must be an array of 1 to 8 URLs';
		END IF;
		SELECT f INTO fault FROM jsonb_array_elements(value) AS e,
			mindtickle.setting_fault('url', e.value, NULL, NULL, allow_http) AS f WHERE f IS NOT NULL LIMIT 1;
		RETURN fault;
	ELSIF kind = 'names' THEN
		IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) > 200
			OR EXISTS (SELECT FROM jsonb_array_elements(value) AS e WHERE jsonb_typeof(e.value) <> 'string' OR octet_length(e.value #>> '{}') NOT BETWEEN 1 AND 1024) THEN
			RETURN 'must be an array of at most 200 names';
		END IF;
		RETURN NULL;
	ELSIF kind = 'number' THEN
		IF jsonb_typeof(value) <> 'number' OR content::numeric NOT BETWEEN minimum AND maximum THEN
			RETURN format('must be a number between %s and %s', minimum, maximum);
		END IF;
		RETURN NULL;
	ELSIF kind = 'boolean' THEN
		RETURN CASE WHEN jsonb_typeof(value) <> 'boolean' THEN 'must be true or false' END;
	ELSIF kind = 'map' THEN
		IF jsonb_typeof(value) <> 'object'
			OR EXISTS (SELECT FROM jsonb_each(value) AS e WHERE jsonb_typeof(e.value) <> 'string' OR octet_length(e.key || (e.value #>> '{}')) > 1024)
			OR (SELECT count(*) FROM jsonb_object_keys(value)) > 200 THEN
			RETURN 'must be an object of at most 200 short strings';
		END IF;
		RETURN NULL;
	END IF;

	IF jsonb_typeof(value) <> 'string' OR octet_length(content) NOT BETWEEN 1 AND 1024 THEN
		RETURN 'must be a string of 1 to 1024 bytes';
	END IF;
	IF kind = 'contract' AND content <> ALL (ARRAY['reference', 'live']) THEN
		RETURN 'must be one of "reference", "live"';
	ELSIF kind = 'url' THEN
		IF content ~ '^http://(localhost|127\.[0-9.]+|\[::1\])(:[0-9]{1,5})?(/[!-~]*)?$' THEN
			RETURN CASE WHEN NOT allow_http THEN 'must begin with https://; http is for loopback addresses and needs allow_http' END;
		ELSIF content LIKE 'http://%' THEN
			RETURN 'must begin with https://; http is for loopback addresses only';
		ELSIF content !~ '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$' THEN
			RETURN 'must be a URL such as "https://api.example.com/v2", without user name and password';
		END IF;
	ELSIF kind = 'timezone' AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE z.name = content) THEN
		RETURN 'must be the name of a time zone such as "Europe/Berlin"';
	ELSIF kind = 'interval' THEN
		BEGIN
			-- As it is used: added to now and taken from it. Months and mixed signs then show what they are.
			seconds := least(extract(epoch FROM (now() + content::interval) - now()), extract(epoch FROM now() - (now() - content::interval)));
		EXCEPTION WHEN OTHERS THEN
			seconds := NULL;
		END;
		IF seconds IS NULL OR seconds NOT BETWEEN minimum AND maximum THEN
			RETURN format('must be an interval between %s and %s seconds, such as "15 min"', minimum, maximum);
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.setting_fault(pg_catalog.text, pg_catalog.jsonb, pg_catalog.numeric, pg_catalog.numeric, pg_catalog.bool)
	IS 'in words what is wrong with the value of a setting of this kind; NULL: nothing';

CREATE FUNCTION mindtickle.merge_settings(present pg_catalog.jsonb, given pg_catalog.jsonb, by_owner pg_catalog.bool) RETURNS pg_catalog.jsonb
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	merged jsonb;
	setting record;
	fault text;
BEGIN
	IF jsonb_typeof(given) <> 'object' THEN
		RAISE EXCEPTION 'settings must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- null takes a setting back to its default
	merged := jsonb_strip_nulls(present || given);
	IF octet_length(merged::text) > 65536 THEN
		RAISE EXCEPTION 'the settings of a tenant must not be larger than 65536 bytes together' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOR setting IN
		SELECT e.key, d.kind, d.admin_may
		FROM jsonb_each(given) AS e LEFT JOIN mindtickle.setting_definitions() AS d ON d.name = e.key ORDER BY e.key
	LOOP
		IF setting.kind IS NULL THEN
			RAISE EXCEPTION 'there is no setting "%"', setting.key
				USING ERRCODE = 'invalid_parameter_value',
					  HINT = 'The settings are ' || (SELECT string_agg(d.name, ', ' ORDER BY d.name) FROM mindtickle.setting_definitions() AS d) || '.';
		ELSIF NOT by_owner AND NOT setting.admin_may THEN
			RAISE EXCEPTION 'permission denied for setting "%"', setting.key
				USING ERRCODE = 'insufficient_privilege', DETAIL = 'Only the owner of the extension may set it.';
		END IF;
	END LOOP;
	-- All of them, as allow_http also concerns URLs that were given before.
	FOR setting IN
		SELECT e.key, e.value, d.kind, d.minimum, d.maximum
		FROM jsonb_each(merged) AS e JOIN mindtickle.setting_definitions() AS d ON d.name = e.key ORDER BY e.key
	LOOP
		fault := mindtickle.setting_fault(setting.kind, setting.value, setting.minimum, setting.maximum,
										  coalesce((merged ->> 'allow_http') = 'true', false));
		IF fault IS NOT NULL THEN
			RAISE EXCEPTION '% %', setting.key, fault USING ERRCODE = 'invalid_parameter_value';
		END IF;
	END LOOP;
	RETURN merged;
END
$$;
COMMENT ON FUNCTION mindtickle.merge_settings(pg_catalog.jsonb, pg_catalog.jsonb, pg_catalog.bool)
	IS 'settings with those given laid over them, each one checked; null takes one back to its default';

CREATE FUNCTION @extschema@.mt_configure_tenant(tenant pg_catalog.text, settings pg_catalog.jsonb) RETURNS pg_catalog.jsonb
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_configure_tenant';
COMMENT ON FUNCTION @extschema@.mt_configure_tenant(pg_catalog.text, pg_catalog.jsonb)
	IS 'lays settings over those of a tenant and returns them all; null takes one back to its default; a tenant''s admin may change some, the owner all';
