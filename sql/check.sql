/*
 * mt_check(): every check, with what it found. The checks themselves are in check_server.sql, check_rights.sql and check_objects.sql. For the
 * owner and members of pg_monitor; nothing here changes anything.
 */
CREATE FUNCTION mindtickle.check_list(OUT place pg_catalog.int4, OUT check_name pg_catalog.text, OUT holds pg_catalog.text) RETURNS SETOF pg_catalog.record
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	VALUES (1, 'library_preloaded', 'the library is in shared_preload_libraries'),
		   (2, 'parameters_logged', 'no token can come into the server log as a parameter'),
		   (3, 'server_version', 'the server has no known fault in row level security'),
		   (4, 'version', 'library and extension fit'),
		   (5, 'workers', 'the workers are there, or none are expected'),
		   (6, 'service_role', 'the service role has what it needs and nothing that it must not have'),
		   (7, 'ownership', 'everything belongs to the extension''s owner, a superuser'),
		   (8, 'row_security', 'row security is enabled, forced, and has the installed policy alone, on every table with a tenant'),
		   (9, 'unprotected_tables', 'no other table of schema mindtickle, nor one below its tables, is granted without row security'),
		   (10, 'views', 'no view shows a tenant''s rows to others than the tenant'),
		   (11, 'definer_functions', 'no function gives a tenant the rights of somebody whom row security does not bind'),
		   (12, 'functions', 'every function of the extension does what was installed'),
		   (13, 'leakproof_functions', 'no function is called before row security has decided'),
		   (14, 'internal_functions', 'internal functions are executable by the service role alone'),
		   (15, 'owner_functions', 'the owner''s functions are executable by the owner alone'),
		   (16, 'schema_rights', 'nobody else may create objects in the extension''s schemas'),
		   (17, 'write_rights', 'nobody but the service role may write to the tables'),
		   (18, 'read_rights', 'nobody may read more than was installed'),
		   (19, 'parameter_rights', 'nobody may set what only the extension''s own code may set'),
		   (20, 'tenant_roles', 'row security binds every role that acts for a tenant'),
		   (21, 'server_rights', 'no tenant may do what the server keeps for superusers'),
		   (22, 'pooled_roles', 'no role whose grants need a token may make objects that the next tenant''s queries would use'),
		   (23, 'void_grants', 'the role of every grant is there'),
		   (24, 'foreign_objects', 'nobody has put triggers, rules, statistics, references or functions of his own onto the tables or beside the functions'),
		   (25, 'triggers', 'the extension''s triggers are there and fire'),
		   (26, 'cache', 'a crash empties the tenant cache and its log of changes together'),
		   (27, 'site', 'the credentials were stored in this cluster, or it was confirmed')
$$;
COMMENT ON FUNCTION mindtickle.check_list() IS 'the checks of mt_check, and for each what holds where it passes';

CREATE FUNCTION @extschema@.mt_check(OUT check_name pg_catalog.text, OUT passed pg_catalog.bool, OUT detail pg_catalog.text, OUT remedy pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp AS $$
	WITH finding AS (
		SELECT * FROM mindtickle.check_server()
		UNION ALL SELECT * FROM mindtickle.check_workers()
		UNION ALL SELECT * FROM mindtickle.check_service_role()
		UNION ALL SELECT * FROM mindtickle.check_rights()
		UNION ALL SELECT * FROM mindtickle.check_owners()
		UNION ALL SELECT * FROM mindtickle.check_tenant_roles()
		UNION ALL SELECT * FROM mindtickle.check_pooled_roles()
		UNION ALL SELECT * FROM mindtickle.check_server_rights()
		UNION ALL SELECT * FROM mindtickle.check_grants()
		UNION ALL SELECT * FROM mindtickle.check_row_security()
		UNION ALL SELECT * FROM mindtickle.check_tables()
		UNION ALL SELECT * FROM mindtickle.check_views()
		UNION ALL SELECT * FROM mindtickle.check_functions()
		UNION ALL SELECT * FROM mindtickle.check_definitions()
		UNION ALL SELECT * FROM mindtickle.check_additions()
		UNION ALL SELECT * FROM mindtickle.check_triggers()
		UNION ALL SELECT * FROM mindtickle.check_cache()
	)
	SELECT coalesce(l.check_name, f.check_name), f.check_name IS NULL, coalesce(f.detail, l.holds), f.remedy
	FROM mindtickle.check_list() AS l FULL JOIN finding AS f ON f.check_name = l.check_name
	ORDER BY l.place, f.detail COLLATE "C"
$$;
COMMENT ON FUNCTION @extschema@.mt_check() IS 'unsafe or broken states, a row for each with what ends it, and a row for each check that found none; for the owner and members of pg_monitor';
