/*
 * What every function of the extension is when it has been installed, so that mt_check finds one that has been replaced or altered since, and
 * knows how to get it back. After all other functions; an upgrade script makes it anew.
 */
DO LANGUAGE plpgsql $$
DECLARE
	present pg_catalog.text;
BEGIN
	present := (SELECT pg_catalog.string_agg(pg_catalog.format('(%L, %L, %L)', f.signature, f.digest, f.definition), ', ' ORDER BY f.signature)
				FROM mindtickle.present_functions() AS f);
	EXECUTE pg_catalog.concat('CREATE FUNCTION mindtickle.installed_functions(OUT signature pg_catalog.text, OUT digest pg_catalog.text,
		OUT definition pg_catalog.text) RETURNS SETOF pg_catalog.record LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS ',
		pg_catalog.quote_literal(pg_catalog.concat('VALUES ', present)));
END
$$;
COMMENT ON FUNCTION mindtickle.installed_functions() IS 'the functions of this extension as they were installed, with a digest of what they do';
