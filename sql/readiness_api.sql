/*
 * Readiness: the figures counted from the rows, how far they can be relied on, reports, and what the aggregator calls.
 */
CREATE FUNCTION mindtickle.provisional_reason(tenant pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_provisional_reason';
COMMENT ON FUNCTION mindtickle.provisional_reason(pg_catalog.text) IS 'in words why the figures of a tenant are provisional; NULL: they are not';

CREATE FUNCTION mindtickle.count_users(tenant pg_catalog.text, OUT user_id pg_catalog.text, OUT submissions pg_catalog.int8, OUT scores pg_catalog.int8,
		OUT score_sum pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8,
		OUT last_activity_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT r.user_id, sum(r.submissions)::int8, sum(r.scores)::int8, sum(r.score_sum)::int8, sum(r.assignments)::int8, sum(r.completed)::int8,
		sum(r.overdue)::int8, max(r.last_activity_at)
	FROM (
		SELECT s.user_id, count(*) AS submissions, count(s.score) AS scores, coalesce(sum(s.score) * 10000, 0) AS score_sum, 0 AS assignments,
			0 AS completed, 0 AS overdue, max(s.submitted_at) FILTER (WHERE isfinite(s.submitted_at)) AS last_activity_at
		FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = tenant GROUP BY s.user_id
		UNION ALL
		SELECT p.user_id, 0, 0, 0, count(*), count(*) FILTER (WHERE p.status = 'completed'),
			count(*) FILTER (WHERE p.is_overdue AND p.status <> 'completed'),
			greatest(max(p.completed_at) FILTER (WHERE isfinite(p.completed_at)), max(p.started_at) FILTER (WHERE isfinite(p.started_at)),
					 max(p.updated_at) FILTER (WHERE isfinite(p.updated_at)))
		FROM mindtickle.course_progress AS p WHERE p.tenant_id = tenant GROUP BY p.user_id) AS r
	GROUP BY r.user_id
$$;
COMMENT ON FUNCTION mindtickle.count_users(pg_catalog.text) IS 'the figures of each user of a tenant, counted from the rows, whether they count or not';

CREATE FUNCTION mindtickle.count_courses(tenant pg_catalog.text, OUT course_id pg_catalog.text, OUT submissions pg_catalog.int8, OUT scores pg_catalog.int8,
		OUT score_sum pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8,
		OUT learners pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH inactive AS MATERIALIZED (
		SELECT u.user_id FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND NOT u.active
	)
	SELECT r.course_id, sum(r.submissions)::int8, sum(r.scores)::int8, sum(r.score_sum)::int8, sum(r.assignments)::int8, sum(r.completed)::int8,
		sum(r.overdue)::int8, count(DISTINCT r.user_id)
	FROM (
		SELECT s.course_id, s.user_id, count(*) AS submissions, count(s.score) AS scores, coalesce(sum(s.score) * 10000, 0) AS score_sum,
			0 AS assignments, 0 AS completed, 0 AS overdue
		FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = tenant GROUP BY s.course_id, s.user_id
		UNION ALL
		SELECT p.course_id, p.user_id, 0, 0, 0, 1, (p.status = 'completed')::int4, (p.is_overdue IS TRUE AND p.status <> 'completed')::int4
		FROM mindtickle.course_progress AS p WHERE p.tenant_id = tenant) AS r
	WHERE NOT EXISTS (SELECT FROM inactive AS i WHERE i.user_id = r.user_id)
	GROUP BY r.course_id
$$;
COMMENT ON FUNCTION mindtickle.count_courses(pg_catalog.text) IS 'the figures of each course of a tenant, counted from the rows that count';

CREATE FUNCTION mindtickle.count_readiness(tenant pg_catalog.text, OUT learners pg_catalog.int8, OUT submissions pg_catalog.int8,
		OUT quiz_results pg_catalog.int8, OUT score_sum pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT overdue pg_catalog.int8)
	RETURNS pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Rows of a user count unless there is a row of him in users that is not active; such as are not known there are learners by their rows.
	SELECT count(*) FILTER (WHERE coalesce(u.active, true)), coalesce(sum(c.submissions), 0)::int8, coalesce(sum(c.scores), 0)::int8,
		coalesce(sum(c.score_sum), 0)::int8, coalesce(sum(c.assignments), 0)::int8, coalesce(sum(c.completed), 0)::int8, coalesce(sum(c.overdue), 0)::int8
	FROM (SELECT k.user_id, k.active FROM mindtickle.users AS k WHERE k.tenant_id = tenant) AS u
	FULL JOIN mindtickle.count_users(tenant) AS c ON c.user_id = u.user_id
	WHERE coalesce(u.active, true)
$$;
COMMENT ON FUNCTION mindtickle.count_readiness(pg_catalog.text) IS 'the readiness figures of a tenant, counted from the rows; score_sum in units of 0.0001';

CREATE FUNCTION mindtickle.fold_readiness(tenant pg_catalog.text, details pg_catalog.bool) RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_fold_readiness';
COMMENT ON FUNCTION mindtickle.fold_readiness(pg_catalog.text, pg_catalog.bool)
	IS 'for the aggregator: takes a tenant''s deltas into its totals, with details also into the figures of users and courses; how many; -1: somebody else does; -2: more rows must be counted than one step counts; -3: more figures must be moved than one step moves';

CREATE FUNCTION mindtickle.rebuild_readiness(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_rebuild_readiness';
COMMENT ON FUNCTION mindtickle.rebuild_readiness(pg_catalog.text) IS 'for the aggregator''s helper: mt_rebuild_readiness, where every worker finds it';

CREATE FUNCTION mindtickle.move_readiness(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_move_readiness';
COMMENT ON FUNCTION mindtickle.move_readiness(pg_catalog.text)
	IS 'for the aggregator''s helper: moves the figures of a tenant''s users and courses to the tables in use, while its totals are folded';

CREATE FUNCTION mindtickle.tenants_to_fold() RETURNS SETOF pg_catalog.text
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tenants_to_fold';
COMMENT ON FUNCTION mindtickle.tenants_to_fold() IS 'for the aggregator: tenants with deltas that are not in their totals yet, or whose readers a fold spares work; needs no tenant in force';

CREATE FUNCTION mindtickle.tend_readiness() RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tend_readiness';
COMMENT ON FUNCTION mindtickle.tend_readiness()
	IS 'for the aggregator: one step to keep the tables of readiness small, in words; details: and tenants that must be folded first; later: something to do in a second; NULL: nothing to do';

CREATE FUNCTION mindtickle.readiness_reruns_due() RETURNS SETOF pg_catalog.text
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_readiness_reruns_due';
COMMENT ON FUNCTION mindtickle.readiness_reruns_due()
	IS 'for the aggregator: tenants with a provisional report whose reason has ended; needs no tenant in force';

CREATE FUNCTION mindtickle.lock_reruns(tenant pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_lock_reruns_at_once';
COMMENT ON FUNCTION mindtickle.lock_reruns(pg_catalog.text)
	IS 'keeps provisional reports from being stored until the transaction ends; false where one is being stored';

CREATE FUNCTION mindtickle.rerun_readiness(tenant pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF mindtickle.provisional_reason(tenant) IS NOT NULL OR NOT mindtickle.lock_reruns(tenant) THEN
		RETURN false;
	END IF;
	DELETE FROM mindtickle.readiness_rerun AS r WHERE r.tenant_id = tenant;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	PERFORM @extschema@.mt_aggregate_readiness(tenant);
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.rerun_readiness(pg_catalog.text)
	IS 'for the aggregator: computes the report again that was provisional, now that its reason has ended; true when there was one';

CREATE TYPE mindtickle.readiness AS (
	tenant_id pg_catalog.text,
	avg_score pg_catalog.numeric,
	completion_rate pg_catalog.numeric,
	learners pg_catalog.int8,
	quiz_results pg_catalog.int8,
	assignments pg_catalog.int8,
	completed pg_catalog.int8,
	data_as_of pg_catalog.timestamptz,
	provisional pg_catalog.bool,
	provisional_reason pg_catalog.text,
	computed_at pg_catalog.timestamptz
);
COMMENT ON TYPE mindtickle.readiness IS 'a report, as mt_readiness and mt_aggregate_readiness give it';

CREATE FUNCTION @extschema@.mt_readiness(tenant pg_catalog.text) RETURNS mindtickle.readiness
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_readiness';
COMMENT ON FUNCTION @extschema@.mt_readiness(pg_catalog.text) IS 'readiness of a tenant now, without storing it; works on a standby';

CREATE FUNCTION @extschema@.mt_aggregate_readiness(tenant pg_catalog.text) RETURNS mindtickle.readiness
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_aggregate_readiness';
COMMENT ON FUNCTION @extschema@.mt_aggregate_readiness(pg_catalog.text)
	IS 'computes, stores and returns a readiness report of a tenant; event readiness.aggregated';

CREATE FUNCTION @extschema@.mt_rebuild_readiness(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_rebuild_readiness';
COMMENT ON FUNCTION @extschema@.mt_rebuild_readiness(pg_catalog.text)
	IS 'counts a tenant''s readiness anew from its rows, while others go on writing; within a transaction block the aggregator does it after the commit';
