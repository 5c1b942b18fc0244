/*
 * The tenant cache. What a document holds is written here; how it is kept, in src/tenant_cache.c and src/cache_change.c.
 *
 * For the gateway, which keeps bodies in its own memory, two functions; both need the access of a reader:
 *
 *		mindtickle.cache_version(tenant, resource) -> bigint		some microseconds, reads two index pages
 *		mindtickle.cache_document(tenant, resource) -> (version bigint, body text)
 *
 * resource is 'roster' or 'catalog'. cache_version says which version of the document is right in the snapshot of the query, or NULL where that is
 * not known without rendering it. A version stands for its content: the gateway may keep a body under it for as long as it likes, in any process,
 * across restarts, and it is the ETag. So a request is: ask for the version; where it is in memory, or in If-None-Match, answer from there; else
 * (also for NULL) call cache_document, keep the body under the version that came with it, and compare If-None-Match with that. Only a gateway that
 * asks cache_version in each request, in a transaction begun after the request came in, hides no committed change.
 */
CREATE FUNCTION mindtickle.render_roster(tenant pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
	SELECT format('{"tenantId":%s,"users":[%s]}', to_json(tenant), coalesce(string_agg(row_to_json(p)::text, ',' ORDER BY p."userId"), ''))
	FROM (
		SELECT u.user_id AS "userId", u.mindtickle_id AS "mindtickleId", u.scim_external_id AS "scimExternalId", u.user_name AS "userName",
			u.email, u.name, u.role, u.active, u.title, u.department, u.location, u.manager_id AS "managerId",
			coalesce(m.name, m.email, u.manager_email) AS "managerName", coalesce(t.names, '{}') AS teams
		FROM mindtickle.users AS u
		LEFT JOIN mindtickle.users AS m ON m.tenant_id = tenant AND m.user_id = u.manager_id
		LEFT JOIN (
			SELECT b.user_id, array_agg(g.name ORDER BY g.name COLLATE "C", g.team_id) AS names
			FROM mindtickle.team_member AS b JOIN mindtickle.team AS g ON g.tenant_id = tenant AND g.team_id = b.team_id
			WHERE b.tenant_id = tenant AND b.active AND g.active GROUP BY b.user_id) AS t ON t.user_id = u.user_id
		WHERE u.tenant_id = tenant) AS p
$$;
COMMENT ON FUNCTION mindtickle.render_roster(pg_catalog.text) IS 'the roster of a tenant as JSON: {tenantId, users: [...]}, those who are not active included';

CREATE FUNCTION mindtickle.render_catalog(tenant pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
	SELECT format('{"tenantId":%s,"courses":[%s]}', to_json(tenant), coalesce(string_agg(row_to_json(p)::text, ',' ORDER BY p."courseId"), ''))
	FROM (
		SELECT c.course_id AS "courseId", c.title, c.kind, c.updated_at AS "updatedAt", coalesce(q.quizzes, '[]') AS quizzes
		FROM mindtickle.course AS c
		LEFT JOIN (
			SELECT z.course_id, json_agg(json_build_object('quizId', z.quiz_id, 'title', z.title, 'maxScore', z.max_score,
				'passingScore', z.passing_score) ORDER BY z.quiz_id) AS quizzes
			FROM mindtickle.quiz AS z WHERE z.tenant_id = tenant GROUP BY z.course_id) AS q ON q.course_id = c.course_id
		WHERE c.tenant_id = tenant) AS p
$$;
COMMENT ON FUNCTION mindtickle.render_catalog(pg_catalog.text) IS 'the course catalog of a tenant as JSON: {tenantId, courses: [{..., quizzes: [...]}]}';

CREATE FUNCTION mindtickle.cache_version(tenant pg_catalog.text, resource pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_cache_version';
COMMENT ON FUNCTION mindtickle.cache_version(pg_catalog.text, pg_catalog.text)
	IS 'for the gateway: the version of a document, roster or catalog, that is right now; NULL: that must be found out by mindtickle.cache_document';

CREATE FUNCTION mindtickle.cache_document(tenant pg_catalog.text, resource pg_catalog.text, OUT version pg_catalog.int8, OUT body pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_cache_document';
COMMENT ON FUNCTION mindtickle.cache_document(pg_catalog.text, pg_catalog.text)
	IS 'for the gateway: a document, roster or catalog, from the cache or else rendered and kept, and the version of its content';

CREATE FUNCTION @extschema@.mt_get_user_roster(tenant pg_catalog.text) RETURNS pg_catalog.json
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_get_user_roster';
COMMENT ON FUNCTION @extschema@.mt_get_user_roster(pg_catalog.text)
	IS 'the people of a tenant as {tenantId, users: [...]}, from the cache while nothing has changed, at most for 10 minutes';

CREATE FUNCTION @extschema@.mt_get_course_catalog(tenant pg_catalog.text) RETURNS pg_catalog.json
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_get_course_catalog';
COMMENT ON FUNCTION @extschema@.mt_get_course_catalog(pg_catalog.text)
	IS 'the courses of a tenant with their quizzes as {tenantId, courses: [...]}, from the cache while nothing has changed, at most for 30 minutes';

CREATE FUNCTION @extschema@.mt_invalidate_tenant(tenant pg_catalog.text) RETURNS pg_catalog.int4
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_invalidate_tenant';
COMMENT ON FUNCTION @extschema@.mt_invalidate_tenant(pg_catalog.text)
	IS 'removes a tenant''s rendered documents from the cache, for everyone once it has committed; how many';

CREATE FUNCTION mindtickle.trim_cache(tenant pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_trim_cache';
COMMENT ON FUNCTION mindtickle.trim_cache(pg_catalog.text)
	IS 'for the worker that trims: removes documents that are not right any more, and the log of changes that nobody needs any more; how many rows';
