/*
 * Readiness: the figures, and how far they can be relied on.
 */
CREATE FUNCTION mindtickle.provisional_reason(tenant pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN NOT t.source_configured THEN 'no source configured'
		ELSE (SELECT string_agg(CASE WHEN s.finished_at IS NULL THEN n.words || ' not pulled yet'
									 WHEN s.error_at > s.finished_at THEN 'the last pull of ' || n.words || ' failed'
									 ELSE n.words || ' older than ' || (mindtickle.effective_settings(tenant) ->> 'freshness') END, '; ' ORDER BY n.rank)
			  FROM (VALUES ('roster', 'roster', 1), ('progress', 'progress', 2), ('quiz_results', 'quiz results', 3)) AS n (resource, words, rank)
			  LEFT JOIN mindtickle.sync_resource AS s ON s.tenant_id = tenant AND s.resource = n.resource
			  WHERE s.finished_at IS NULL OR s.error_at > s.finished_at
				  OR s.data_as_of < now() - (mindtickle.effective_settings(tenant) ->> 'freshness')::interval) END
	FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.provisional_reason(pg_catalog.text) IS 'in words why the figures of a tenant are provisional; NULL: they are not';

CREATE FUNCTION mindtickle.compute_readiness(tenant pg_catalog.text,
		OUT tenant_id pg_catalog.text, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric,
		OUT learners pg_catalog.int8, OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT data_as_of pg_catalog.timestamptz, OUT provisional pg_catalog.bool, OUT provisional_reason pg_catalog.text,
		OUT computed_at pg_catalog.timestamptz)
	RETURNS pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH inactive AS MATERIALIZED (
		SELECT u.user_id FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND NOT u.active
	), scores AS (
		SELECT s.user_id, count(s.score) AS results, sum(s.score) AS total
		FROM mindtickle.quiz_submission AS s
		WHERE s.tenant_id = tenant AND NOT EXISTS (SELECT FROM inactive AS i WHERE i.user_id = s.user_id)
		GROUP BY s.user_id
	), progress AS (
		SELECT p.user_id, count(*) AS assignments, count(*) FILTER (WHERE p.status = 'completed') AS completed
		FROM mindtickle.course_progress AS p
		WHERE p.tenant_id = tenant AND NOT EXISTS (SELECT FROM inactive AS i WHERE i.user_id = p.user_id)
		GROUP BY p.user_id
	), people AS (
		SELECT u.user_id FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.active
		UNION SELECT s.user_id FROM scores AS s
		UNION SELECT p.user_id FROM progress AS p
	), quizzes AS (
		SELECT coalesce(sum(s.results), 0)::int8 AS results, sum(s.total) AS total FROM scores AS s
	), courses AS (
		SELECT coalesce(sum(p.assignments), 0)::int8 AS assignments, coalesce(sum(p.completed), 0)::int8 AS completed FROM progress AS p
	)
	SELECT tenant, round(q.total / nullif(q.results, 0), 4), round(c.completed::numeric / nullif(c.assignments, 0), 4),
		(SELECT count(*) FROM people), q.results, c.assignments, c.completed,
		(SELECT CASE WHEN count(*) = 3 THEN min(r.data_as_of) END FROM mindtickle.sync_resource AS r
		 JOIN mindtickle.tenant AS t ON t.tenant_id = r.tenant_id AND t.source_configured
		 WHERE r.tenant_id = tenant AND r.resource <> 'catalog' AND r.data_as_of IS NOT NULL),
		reason IS NOT NULL, reason, clock_timestamp()
	FROM quizzes AS q, courses AS c, mindtickle.provisional_reason(tenant) AS reason
$$;
COMMENT ON FUNCTION mindtickle.compute_readiness(pg_catalog.text) IS 'the readiness figures of a tenant from its rows';

CREATE FUNCTION @extschema@.mt_readiness(tenant pg_catalog.text,
		OUT tenant_id pg_catalog.text, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric,
		OUT learners pg_catalog.int8, OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT data_as_of pg_catalog.timestamptz, OUT provisional pg_catalog.bool, OUT provisional_reason pg_catalog.text,
		OUT computed_at pg_catalog.timestamptz)
	RETURNS pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_readiness';
COMMENT ON FUNCTION @extschema@.mt_readiness(pg_catalog.text) IS 'readiness of a tenant now, without storing it; works on a standby';

CREATE FUNCTION @extschema@.mt_aggregate_readiness(tenant pg_catalog.text,
		OUT tenant_id pg_catalog.text, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric,
		OUT learners pg_catalog.int8, OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT data_as_of pg_catalog.timestamptz, OUT provisional pg_catalog.bool, OUT provisional_reason pg_catalog.text,
		OUT computed_at pg_catalog.timestamptz)
	RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_aggregate_readiness';
COMMENT ON FUNCTION @extschema@.mt_aggregate_readiness(pg_catalog.text)
	IS 'computes, stores and returns a readiness report of a tenant; event readiness.aggregated';
