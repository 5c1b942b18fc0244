\set ECHO none
-- Making, changing, suspending and dropping tenants; their settings and credentials; mt_setup. Who may, and what is refused in which words.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(81);

DROP ROLE IF EXISTS adm_reader, adm_writer, adm_admin, adm_monitor, adm_all_data, adm_member;
CREATE ROLE adm_reader;
CREATE ROLE adm_writer;
CREATE ROLE adm_admin;
CREATE ROLE adm_monitor IN ROLE pg_monitor;
CREATE ROLE adm_all_data IN ROLE pg_read_all_data;
CREATE ROLE adm_member;

-- mt_create_tenant
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('adm-a', 'Acme "A" & Söhne')$$), '', 'a tenant is made');
SELECT results_eq($$SELECT display_name, settings, suspended, source_configured, next_sync_at IS NULL, open_job_id IS NULL FROM mindtickle.tenant WHERE tenant_id = 'adm-a'$$,
	$$VALUES ('Acme "A" & Söhne', '{}'::jsonb, false, false, true, true)$$, 'without settings, without a source');
SELECT is((SELECT count(*) FROM mindtickle.event_position WHERE tenant_id = 'adm-a'), 0::bigint, 'it has had no event');
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('adm-a', 'again')$$), '42710: tenant "adm-a" already exists', 'one that exists is 42710');
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('Adm', 'x')$$), '22023: invalid tenant id', 'a bad name is 22023');
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('adm-x', '')$$), '22023: display_name must have 1 to 1024 bytes', 'an empty display name');
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('adm-x', repeat('é', 513))$$), '22023: display_name must have 1 to 1024 bytes', 'one of 1026 bytes');
SELECT is(pg_temp.outcome($$SELECT mt_create_tenant('adm-b', repeat('é', 512))$$), '', 'one of 1024 bytes');
SELECT is((SELECT count(*) FROM mindtickle.tenant WHERE tenant_id = 'adm-x'), 0::bigint, 'what was refused was not made');
SELECT mt_grant_tenant('adm-a', 'adm_reader', 'reader'), mt_grant_tenant('adm-a', 'adm_writer', 'writer'), mt_grant_tenant('adm-a', 'adm_admin', 'admin') \g /dev/null

-- mt_suspend_tenant, mt_resume_tenant
INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('adm-a', 'u');
SELECT mt_suspend_tenant('adm-a') \g /dev/null
SELECT is((SELECT suspended FROM mindtickle.tenant WHERE tenant_id = 'adm-a'), true, 'suspended');
SELECT is(pg_temp.as_role('adm_reader', 'SELECT count(*) FROM mt_users'), '1', 'the data of a suspended tenant stays readable');
SELECT is(pg_temp.as_role('adm_writer', $$SELECT mt_provision_user('adm-a', '{"userId": "v"}')$$), 'v', 'and writable');
SELECT is(pg_temp.outcome($$SELECT mt_suspend_tenant('adm-a')$$), '', 'suspending again is nothing new');
SELECT mt_resume_tenant('adm-a') \g /dev/null
SELECT is((SELECT suspended FROM mindtickle.tenant WHERE tenant_id = 'adm-a'), false, 'resumed');
SELECT is(pg_temp.outcome($$SELECT mt_suspend_tenant('adm-none')$$), '42704: tenant "adm-none" does not exist', 'mt_suspend_tenant: no such tenant');
SELECT is(pg_temp.outcome($$SELECT mt_resume_tenant('adm-none')$$), '42704: tenant "adm-none" does not exist', 'mt_resume_tenant: no such tenant');
SELECT is(pg_temp.outcome($$SELECT mt_drop_tenant('adm-none')$$), '42704: tenant "adm-none" does not exist', 'mt_drop_tenant: no such tenant');
SELECT is(pg_temp.outcome($$SELECT mt_configure_tenant('adm-none', '{}')$$), '42704: tenant "adm-none" does not exist', 'mt_configure_tenant: no such tenant');
SELECT is(pg_temp.outcome($$SELECT mt_set_credential('adm-none', '{}')$$), '42704: tenant "adm-none" does not exist', 'mt_set_credential: no such tenant');

-- Only the owner.
CREATE TEMP TABLE owner_only (call text);
INSERT INTO owner_only VALUES ('mt_create_tenant(''adm-y'', ''x'')'), ('mt_suspend_tenant(''adm-a'')'), ('mt_resume_tenant(''adm-a'')'), ('mt_drop_tenant(''adm-a'')'),
	('mt_grant_tenant(''adm-a'', ''adm_admin'', ''admin'')'), ('mt_revoke_tenant(''adm-a'', ''adm_reader'')'), ('mt_set_credential(''adm-a'', ''{}'')'), ('mt_setup()');
SELECT is_empty($$SELECT o.call, r.name, x.result FROM owner_only AS o, unnest('{adm_reader,adm_writer,adm_admin,adm_monitor,mindtickle_service}'::text[]) AS r (name),
	pg_temp.as_role(r.name, 'SELECT ' || o.call) AS x (result) WHERE x.result !~ '^42501: permission denied for function'$$, 'these are refused to everyone but the owner');

-- mt_configure_tenant
CREATE FUNCTION pg_temp.configure(settings text, role_name text DEFAULT 'none') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role(role_name, format('SELECT mt_configure_tenant(''adm-a'', %L)', settings))
$$;
SELECT is(pg_temp.configure('{"company_id": "c-1", "requests_per_second": 2.5}'), '{"company_id": "c-1", "requests_per_second": 2.5}', 'settings are stored and returned');
SELECT is(pg_temp.configure('{"requests_per_second": 4, "push_users": true}'), '{"company_id": "c-1", "push_users": true, "requests_per_second": 4}', 'new ones are laid over them');
SELECT is(pg_temp.configure('{"requests_per_second": null, "push_users": null}'), '{"company_id": "c-1"}', 'null takes one back');
SELECT is(mindtickle.effective_settings('adm-a') - 'company_id', '{"contract": "reference", "requests_per_second": 3, "requests_per_minute": 60, "sync_interval": "15 min",
	"freshness": "1 hour", "timezone": "UTC", "ready_score": 80, "ready_completion": 0.8, "queue_limit": 100000, "cache_bytes": 16777216, "event_limit": 10000000, "retain_events": "7 days",
	"retain_reports": "400 days", "retain_dead_letters": "90 days", "retain_jobs": "30 days", "push_users": false, "allow_http": false}'::jsonb, 'to its default');
SELECT is(pg_temp.configure('{}'), '{"company_id": "c-1"}', 'nothing given changes nothing');
SELECT is(pg_temp.configure('{"timezonne": "UTC"}'), '22023: there is no setting "timezonne"', 'an unknown key');
SELECT is(pg_temp.configure('{"timezonne": null}'), '22023: there is no setting "timezonne"', 'an unknown key with null');
SELECT is(pg_temp.configure('{"api_key": "x"}'), '22023: there is no setting "api_key"', 'a credential is no setting');
SELECT is(pg_temp.configure('[]'), '22023: settings must be a JSON object', 'no object');
SELECT is(pg_temp.configure('"x"'), '22023: settings must be a JSON object', 'a scalar');
CREATE TEMP TABLE good_setting (settings text);
INSERT INTO good_setting VALUES ('{"contract": "live"}'), ('{"base_urls": ["https://api.example.com/v2", "https://b.example.com:8443/v2"]}'),
	('{"base_urls": ["http://127.0.0.1:8090/v2", "http://[::1]:1/x", "http://localhost/v2"], "allow_http": true}'), ('{"reporting_url": "https://r.example.com"}'), ('{"scim_url": "https://s.example.com/scim"}'),
	('{"learning_site": "acme.mindtickle.com"}'), ('{"requests_per_minute": 1}'), ('{"requests_per_hour": 3600000}'), ('{"sync_interval": "1 day"}'), ('{"freshness": "90 min"}'),
	('{"timezone": "Europe/Berlin"}'), ('{"groups": ["All Reps", "O''Neil''s"]}'), ('{"profile_map": {"title": "Job Title"}}'), ('{"role_map": {"Learner": "rep"}}'), ('{"ready_score": 0}'), ('{"ready_completion": 1}'),
	('{"queue_limit": 1}'), ('{"event_limit": 1}'), ('{"cache_bytes": 0}'), ('{"retain_events": "1 hour"}'), ('{"retain_reports": "1 year"}'), ('{"retain_dead_letters": "1 month"}'), ('{"retain_jobs": "1 day"}'), ('{"push_users": false}');
SELECT is_empty($$SELECT settings, r FROM good_setting, pg_temp.configure(settings) AS r WHERE r !~ '^\{'$$, 'every setting can be set');
SELECT is((SELECT count(DISTINCT k) FROM good_setting, jsonb_object_keys(settings::jsonb) AS k), (SELECT count(*) - 2 FROM mindtickle.setting_definitions()), 'none is forgotten here');
SELECT pg_temp.configure('{"base_urls": null, "allow_http": null}') \g /dev/null
CREATE TEMP TABLE bad_setting (settings text, message text);
INSERT INTO bad_setting VALUES
	('{"contract": "v3"}', 'contract must be one of "reference", "live"'), ('{"contract": 1}', 'contract must be a string of 1 to 1024 bytes'),
	('{"base_urls": "https://a.example"}', 'base_urls must be an array of 1 to 8 URLs'), ('{"base_urls": []}', 'base_urls must be an array of 1 to 8 URLs'),
	('{"base_urls": ["a","a","a","a","a","a","a","a","a"]}', 'base_urls must be an array of 1 to 8 URLs'),
	('{"base_urls": ["ftp://a.example"]}', 'base_urls must be a URL such as "https://api.example.com/v2", without user name and password'),
	('{"base_urls": ["https://a.example", "https://user:pw@b.example"]}', 'base_urls must be a URL such as "https://api.example.com/v2", without user name and password'),
	('{"base_urls": ["https://a.example/ x"]}', 'base_urls must be a URL such as "https://api.example.com/v2", without user name and password'),
	('{"base_urls": ["https://"]}', 'base_urls must be a URL such as "https://api.example.com/v2", without user name and password'),
	('{"base_urls": [7]}', 'base_urls must be a string of 1 to 1024 bytes'),
	('{"base_urls": ["http://api.example.com/v2"], "allow_http": true}', 'base_urls must begin with https://; http is for loopback addresses only'),
	('{"base_urls": ["http://127.0.0.1.example.com/v2"], "allow_http": true}', 'base_urls must begin with https://; http is for loopback addresses only'),
	('{"base_urls": ["http://127.0.0.1:8090/v2"]}', 'base_urls must begin with https://; http is for loopback addresses and needs allow_http'),
	('{"base_urls": ["http://127.0.0.1:8090/v2"], "allow_http": "true"}', 'allow_http must be true or false'),
	('{"sync_interval": "10000000 mons -304374990 days"}', 'sync_interval must be an interval between 1 and 31536000 seconds, such as "15 min"'),
	(jsonb_build_object('profile_map', (SELECT jsonb_object_agg('k' || n, 'v') FROM generate_series(1, 201) AS n))::text, 'profile_map must be an object of at most 200 short strings'),
	(jsonb_build_object('profile_map', (SELECT jsonb_object_agg('k' || n, repeat('v', 500)) FROM generate_series(1, 200) AS n))::text, 'settings must not be larger than 65536 bytes'),
	('{"groups": "All Reps"}', 'groups must be an array of at most 200 names'), ('{"groups": [1]}', 'groups must be an array of at most 200 names'), ('{"groups": [""]}', 'groups must be an array of at most 200 names'),
	('{"reporting_url": "x"}', 'reporting_url must be a URL such as "https://api.example.com/v2", without user name and password'),
	('{"scim_url": ""}', 'scim_url must be a string of 1 to 1024 bytes'), ('{"learning_site": {"a": 1}}', 'learning_site must be a string of 1 to 1024 bytes'),
	('{"requests_per_second": 0}', 'requests_per_second must be a number between 0.01 and 1000'), ('{"requests_per_second": "3"}', 'requests_per_second must be a number between 0.01 and 1000'),
	('{"requests_per_minute": 1e9}', 'requests_per_minute must be a number between 1 and 60000'), ('{"requests_per_hour": -1}', 'requests_per_hour must be a number between 1 and 3600000'),
	('{"sync_interval": "soon"}', 'sync_interval must be an interval between 1 and 31536000 seconds, such as "15 min"'), ('{"sync_interval": "0"}', 'sync_interval must be an interval between 1 and 31536000 seconds, such as "15 min"'),
	('{"freshness": "-1 hour"}', 'freshness must be an interval between 1 and 31536000 seconds, such as "15 min"'), ('{"freshness": 60}', 'freshness must be a string of 1 to 1024 bytes'),
	('{"timezone": "Mars/Olympus"}', 'timezone must be the name of a time zone such as "Europe/Berlin"'), ('{"profile_map": []}', 'profile_map must be an object of at most 200 short strings'),
	('{"role_map": {"a": 1}}', 'role_map must be an object of at most 200 short strings'), ('{"ready_score": 101}', 'ready_score must be a number between 0 and 100'), ('{"ready_completion": 80}', 'ready_completion must be a number between 0 and 1'),
	('{"retain_events": "59 s"}', 'retain_events must be an interval between 60 and 315360000 seconds, such as "15 min"'), ('{"push_users": 1}', 'push_users must be true or false');
SELECT is_empty($$SELECT settings, r FROM bad_setting, pg_temp.configure(settings) AS r WHERE r <> '22023: ' || message$$, 'what is wrong is named');
CREATE TEMP TABLE settings_before AS SELECT settings FROM mindtickle.tenant WHERE tenant_id = 'adm-a';
SELECT is(pg_temp.configure('{"ready_score": 70, "ready_completion": 2}'), '22023: ready_completion must be a number between 0 and 1', 'one bad value');
SELECT is((SELECT settings FROM mindtickle.tenant WHERE tenant_id = 'adm-a'), (SELECT settings FROM settings_before), 'and none of the settings is stored');

-- The tenant's row, which everybody who asks about the tenant reads, gets one new version for a change.
CREATE FUNCTION pg_temp.row_versions() RETURNS int8 LANGUAGE sql AS $$ SELECT pg_stat_get_xact_tuples_updated('mindtickle.tenant'::regclass) $$;
CREATE FUNCTION pg_temp.source_version() RETURNS int8 LANGUAGE sql AS $$ SELECT source_version FROM mindtickle.tenant WHERE tenant_id = 'adm-a' $$;
SELECT pg_temp.row_versions() AS versions, pg_temp.source_version() AS source \gset
SELECT pg_temp.configure('{"ready_score": 71}') \g /dev/null
SELECT is(pg_temp.row_versions() - :versions, 1::int8, 'settings that are changed write the tenant''s row once');
SELECT is(pg_temp.source_version() - :source, 1::int8, 'as one change');
SELECT pg_temp.configure('{"ready_score": 71}') \g /dev/null
SELECT is(pg_temp.source_version() - :source, 1::int8, 'the same once more are none');

-- The tenant's admin sets what is marked, and nothing else.
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM mindtickle.setting_definitions() WHERE admin_may),
	'freshness groups learning_site profile_map ready_completion ready_score role_map sync_interval timezone', 'what the admin may set');
SELECT is_empty($$SELECT d.name, r FROM mindtickle.setting_definitions() AS d, pg_temp.configure(format('{"%s": null}', d.name), 'adm_admin') AS r WHERE d.admin_may AND r !~ '^\{'$$, 'he does');
SELECT is_empty($$SELECT d.name, r FROM mindtickle.setting_definitions() AS d, pg_temp.configure(format('{"%s": null}', d.name), 'adm_admin') AS r
	WHERE NOT d.admin_may AND r <> '42501: permission denied for setting "' || d.name || '"'$$, 'and the others are refused, even taking them back');
SELECT is(pg_temp.configure('{"freshness": "2 hours", "base_urls": ["https://evil.example"]}', 'adm_admin'), '42501: permission denied for setting "base_urls"', 'also among others');
SELECT is(pg_temp.configure('{"timezone": "UTC"}', 'adm_writer'), '42501: permission denied for tenant "adm-a"', 'a writer sets nothing');

-- mt_set_credential
CREATE FUNCTION pg_temp.credential(credential text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.outcome(format('SELECT mt_set_credential(''adm-a'', %L)', credential))
$$;
SELECT pg_temp.row_versions() AS versions, pg_temp.source_version() AS source \gset
SELECT is(pg_temp.credential('{"api_key": "canary-7f3a", "scim_token": {"file": "scim_token"}}'), '', 'a secret, and a file that holds one');
SELECT is(pg_temp.row_versions() - :versions, 1::int8, 'write the tenant''s row once');
SELECT is(pg_temp.source_version() - :source, 1::int8, 'are one change');
SELECT results_eq($$SELECT name COLLATE "default", secret, file, system_identifier = (SELECT system_identifier FROM pg_control_system()) FROM mindtickle.credential WHERE tenant_id = 'adm-a' ORDER BY name$$,
	$$VALUES ('api_key', 'canary-7f3a', NULL, true), ('scim_token', NULL, 'scim_token', true)$$, 'are stored');
SELECT results_eq($$SELECT source_configured, next_sync_at <= now() FROM mindtickle.tenant WHERE tenant_id = 'adm-a'$$, $$VALUES (true, true)$$, 'the tenant has a source, and a pull is due');
SELECT is(pg_temp.credential('{"api_key": {"file": "key.txt"}}'), '', 'a secret is replaced by a file');
SELECT is((SELECT secret FROM mindtickle.credential WHERE tenant_id = 'adm-a' AND name = 'api_key'), NULL, 'and gone then');
SELECT is(pg_temp.credential('{"scim_token": null}'), '', 'null takes one away');
SELECT is(pg_temp.source_version() - :source, 3::int8, 'each is one change more');
SELECT is((SELECT string_agg(name, ',') FROM mindtickle.credential WHERE tenant_id = 'adm-a'), 'api_key', 'and leaves the others');
SELECT is(pg_temp.credential('{"api_key": null}'), '', 'the last one is taken away');
SELECT results_eq($$SELECT source_configured, next_sync_at IS NULL FROM mindtickle.tenant WHERE tenant_id = 'adm-a'$$, $$VALUES (false, true)$$, 'and with it the source');
CREATE TEMP TABLE bad_credential (credential text, message text);
INSERT INTO bad_credential VALUES ('[]', 'the credential must be a JSON object'), ('"canary-7f3a"', 'the credential must be a JSON object'),
	('{"apikey": "canary-7f3a"}', 'the credential has a key that is none of api_key, secret_key, reporting_user, reporting_password, scim_token'),
	('{"api_key": ""}', 'api_key must not be empty or longer than 8192 bytes'), (format('{"api_key": "%s"}', repeat('x', 8193)), 'api_key must not be empty or longer than 8192 bytes'),
	('{"api_key": 7}', 'api_key must be a string or {"file": "..."}'), ('{"api_key": ["canary-7f3a"]}', 'api_key must be a string or {"file": "..."}'),
	('{"api_key": {"path": "x"}}', 'api_key must be a string or {"file": "..."}'), ('{"api_key": {"file": 1}}', 'api_key must be a string or {"file": "..."}'),
	('{"api_key": {"file": "x", "y": 1}}', 'api_key must be a string or {"file": "..."}');
INSERT INTO bad_credential SELECT format('{"api_key": {"file": %s}}', to_json(n)), 'api_key names a file that is not allowed: one name, no "/", no leading "."'
	FROM unnest(ARRAY['', '.', '..', '../x', '/etc/passwd', 'a/b', '.hidden', 'x/', repeat('x', 101)]) AS n;
SELECT is_empty($$SELECT credential, r FROM bad_credential, pg_temp.credential(credential) AS r WHERE r <> '22023: ' || message$$, 'what is wrong is named, without the secret');
SELECT is(pg_temp.credential('{"api_key": "canary-7f3a", "secret_key": 7}'), '22023: secret_key must be a string or {"file": "..."}', 'one bad value');
SELECT is((SELECT count(*) FROM mindtickle.credential WHERE tenant_id = 'adm-a'), 0::bigint, 'and none of them is stored');

-- A secret comes out nowhere.
SELECT mt_set_credential('adm-a', '{"api_key": "canary-7f3a", "reporting_password": "canary-81cc"}') \g /dev/null
SELECT mt_grant_tenant('adm-a', 'adm_all_data', 'reader') \g /dev/null
CREATE TEMP TABLE readable AS
	SELECT c.oid::regclass::text AS name FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v')
		AND (c.relnamespace = 'mindtickle'::regnamespace OR c.relname ~ '^mt_' AND c.relnamespace = 'public'::regnamespace);
SELECT is_empty($$SELECT t.name, r.name, f.found FROM readable AS t, unnest('{adm_reader,adm_writer,adm_admin,adm_monitor,adm_all_data}'::text[]) AS r (name),
		pg_temp.as_role(r.name, format('SELECT count(*) FROM %s AS x WHERE x::text ~ ''canary-''', t.name)) AS f (found)
	WHERE f.found <> '0' AND f.found !~ '^42501'$$, 'no table or view shows it to a reader, writer, admin, or a member of pg_monitor or pg_read_all_data');
SELECT is_empty($$SELECT p.oid::regprocedure, f.found FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'mindtickle',
		pg_temp.as_role('adm_admin', format('SELECT %s(''adm-a'')::text', p.oid::regproc)) AS f (found)
	WHERE p.proargtypes = '25'::oidvector AND f.found ~ 'canary-'$$, 'no function with a tenant as its argument gives it to an admin');
SELECT is((SELECT credential FROM mindtickle.credential_of('adm-a')), '{"api_key": "canary-7f3a", "reporting_password": "canary-81cc"}'::jsonb, 'the sync worker gets it');
SELECT mt_set_credential('adm-a', '{"secret_key": "canary-77d0"}') \; SELECT position('canary-77d0' IN query) AS shown FROM pg_stat_activity WHERE pid = pg_backend_pid() \gset
SELECT is(:'shown'::int, 0, 'pg_stat_activity does not show the statement that held it');

-- Files below mindtickle.secret_directory.
SELECT is(pg_temp.outcome($$SELECT mindtickle.read_secret_file('adm-a', 'key.txt')$$), '55000: mindtickle.secret_directory is not set', 'no directory is set here');
SELECT is(pg_temp.outcome($$SELECT mindtickle.read_secret_file('adm-a', '../adm-b/key.txt')$$), '22023: the credential file has a name that is not allowed', 'another tenant''s directory');
SELECT is(pg_temp.outcome($$SELECT mindtickle.read_secret_file('../adm-b', 'key.txt')$$), '22023: the credential file has a name that is not allowed', 'by the tenant');
SELECT is(pg_temp.as_role('adm_admin', $$SELECT mindtickle.read_secret_file('adm-a', 'key.txt')$$), '42501: permission denied for function read_secret_file', 'an admin does not read them');

-- mt_setup
CREATE FUNCTION pg_temp.setup_refusal() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	PERFORM mt_setup();
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws('|', state, message, nullif(detail, ''), hint);
END
$$;
SELECT is(pg_temp.setup_refusal(), 'done', 'mt_setup can be repeated');
SAVEPOINT s;
ALTER ROLE mindtickle_service RENAME TO mindtickle_service_elsewhere;
SELECT is(pg_temp.setup_refusal(), '42704|the service role "mindtickle_service" does not exist|CREATE ROLE mindtickle_service NOLOGIN; SELECT mt_setup();', 'without the role');
SELECT is(pg_temp.as_role('adm_writer', $$SELECT mt_provision_user('adm-a', '{"userId": "w"}')$$), '42704: the service role "mindtickle_service" does not exist', 'without it nothing is written');
SELECT is(mindtickle.worker_state(), 'role: the service role is missing; as the owner of the extension: CREATE ROLE mindtickle_service NOLOGIN; SELECT mt_setup();', 'and the workers wait');
ROLLBACK TO s;
SELECT is(mindtickle.worker_state(), 'ready:mindtickle_service', 'with it they are ready');
CREATE TEMP TABLE unfit (change text, undo text);
INSERT INTO unfit VALUES ('ALTER ROLE mindtickle_service SUPERUSER', 'ALTER ROLE mindtickle_service NOSUPERUSER'), ('ALTER ROLE mindtickle_service BYPASSRLS', 'ALTER ROLE mindtickle_service NOBYPASSRLS'),
	('ALTER ROLE mindtickle_service LOGIN', 'ALTER ROLE mindtickle_service NOLOGIN'), ('GRANT mindtickle_service TO adm_member', 'REVOKE mindtickle_service FROM adm_member');
CREATE FUNCTION pg_temp.unfit(change text, undo text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE change;
	result := pg_temp.setup_refusal() || '|' || mindtickle.worker_state();
	EXECUTE undo;
	RETURN result;
END
$$;
SELECT is_empty($$SELECT change, r FROM unfit, pg_temp.unfit(change, undo) AS r WHERE r NOT LIKE
	'55000|the service role "mindtickle_service" is not fit to guard the tenants|It must not log in, be a superuser, bypass row security, or have members.'
	'|ALTER ROLE mindtickle_service NOLOGIN NOSUPERUSER NOBYPASSRLS; and REVOKE it from its members.|role: %'$$, 'a role that must not be it is refused by mt_setup and by the workers');
SELECT is(pg_temp.setup_refusal(), 'done', 'and all is well again');
-- As after a restore into a cluster that did not have the role yet.
SAVEPOINT s;
INSERT INTO mindtickle.tenant_grant (tenant_id, role_name, access, is_default) VALUES ('adm-a', 'adm_latecomer', 'reader', true);
CREATE ROLE adm_latecomer;
SELECT is(pg_temp.as_role('adm_latecomer', 'SELECT mt_current_tenant()'), NULL, 'a grant restored before its role gives nothing');
SELECT is(pg_temp.setup_refusal(), 'done', 'until mt_setup');
SELECT is(pg_temp.as_role('adm_latecomer', 'SELECT mt_current_tenant()'), 'adm-a', 'takes it up');
ROLLBACK TO s;

-- mt_drop_tenant
SELECT is(pg_temp.outcome($$SELECT mt_drop_tenant('adm-a')$$), '', 'a tenant is dropped');
SELECT is(pg_temp.as_role('adm_reader', 'SELECT coalesce(mt_current_tenant(), ''none'')'), 'none', 'and its roles have none');
SELECT is(pg_temp.as_role('adm_reader', $$SELECT mt_readiness('adm-a')$$), '42501: permission denied for tenant "adm-a"', 'which looks like one that never was');
SELECT mt_create_tenant('adm-a', 'new') \g /dev/null
SELECT is(pg_temp.as_role('adm_reader', 'SELECT coalesce(mt_current_tenant(), ''none'')'), 'none', 'a tenant made again under the name gives the old roles nothing');
SELECT is((SELECT count(*) FROM mindtickle.credential WHERE tenant_id = 'adm-a'), 0::bigint, 'and has no credential of the old one');

SELECT * FROM finish();
ROLLBACK;
