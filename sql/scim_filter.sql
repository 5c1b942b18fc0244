/*
 * How SCIM filters and PATCH paths are understood, for those who look into what an identity provider sends; and what filters need.
 */
CREATE FUNCTION mindtickle.scim_inspect_filter(resource pg_catalog.text, filter pg_catalog.text, OUT fault_type pg_catalog.text,
		OUT fault pg_catalog.text, OUT condition pg_catalog.text, OUT parameter_types pg_catalog.regtype[], OUT parameters pg_catalog.text[])
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_scim_inspect_filter';
COMMENT ON FUNCTION mindtickle.scim_inspect_filter(pg_catalog.text, pg_catalog.text)
	IS 'the condition that a filter of Users or Groups becomes over u or t, and its parameters, of which the first is the tenant; or why it is refused';

CREATE FUNCTION mindtickle.scim_inspect_path(resource pg_catalog.text, path pg_catalog.text, element pg_catalog.jsonb, OUT fault_type pg_catalog.text,
		OUT fault pg_catalog.text, OUT target pg_catalog.text, OUT matches pg_catalog.bool, OUT terms pg_catalog.jsonb)
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_scim_inspect_path';
COMMENT ON FUNCTION mindtickle.scim_inspect_path(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb)
	IS 'where the path of a PATCH operation leads, whether an element meets its brackets, and what they make of a new one; or why it is refused';

CREATE FUNCTION mindtickle.scim_escaped(id pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_scim_escaped';
COMMENT ON FUNCTION mindtickle.scim_escaped(pg_catalog.text) IS 'an id as it stands in a URL: what a filter compares $ref with';
