/*
 * Readiness of users, teams and courses, its history, and its verification. The mt_ functions check the caller and run the others as the service
 * role (src/readiness_details.c).
 */
CREATE FUNCTION mindtickle.readiness_details(tenant pg_catalog.text, of_users pg_catalog.bool, OUT id pg_catalog.text, OUT submissions pg_catalog.int8,
		OUT scores pg_catalog.int8, OUT score_sum pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT overdue pg_catalog.int8, OUT learners pg_catalog.int8, OUT last_activity_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE ROWS 10000 AS 'MODULE_PATHNAME', 'mt_readiness_details';
COMMENT ON FUNCTION mindtickle.readiness_details(pg_catalog.text, pg_catalog.bool)
	IS 'the figures of each user with rows, whether they count or not; or of each course, of the rows that count';

CREATE FUNCTION mindtickle.readiness_people(tenant pg_catalog.text, OUT user_id pg_catalog.text, OUT scores pg_catalog.int8, OUT score_sum pg_catalog.int8,
		OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8, OUT last_activity_at pg_catalog.timestamptz,
		OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric, OUT ready pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000 SET search_path = pg_catalog, pg_temp AS $$
	WITH bounds AS MATERIALIZED (
		SELECT (s.settings ->> 'ready_score')::numeric AS score, (s.settings ->> 'ready_completion')::numeric AS completion
		FROM mindtickle.effective_settings(tenant) AS s (settings)
	)
	SELECT f.user_id, f.scores, f.score_sum, f.assignments, f.completed, f.overdue, f.last_activity_at, f.avg_score, f.completion_rate,
		coalesce(f.avg_score >= b.score AND f.completion_rate >= b.completion, false)
	FROM bounds AS b, (
		SELECT coalesce(u.user_id, d.id) AS user_id, coalesce(d.scores, 0) AS scores, coalesce(d.score_sum, 0) AS score_sum,
			coalesce(d.assignments, 0) AS assignments, coalesce(d.completed, 0) AS completed, coalesce(d.overdue, 0) AS overdue, d.last_activity_at,
			round(d.score_sum / nullif(d.scores * 10000, 0)::numeric, 4) AS avg_score,
			round(d.completed / nullif(d.assignments, 0)::numeric, 4) AS completion_rate
		FROM (SELECT k.user_id, k.active FROM mindtickle.users AS k WHERE k.tenant_id = tenant) AS u
		FULL JOIN mindtickle.readiness_details(tenant, true) AS d ON d.id = u.user_id
		WHERE coalesce(u.active, true)) AS f
$$;
COMMENT ON FUNCTION mindtickle.readiness_people(pg_catalog.text) IS 'the figures of each learner of a tenant';

CREATE FUNCTION mindtickle.readiness_by_user(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT user_id pg_catalog.text, OUT user_name pg_catalog.text,
		OUT user_email pg_catalog.text, OUT team_names pg_catalog.text[], OUT manager_name pg_catalog.text, OUT avg_score pg_catalog.numeric,
		OUT completion_rate pg_catalog.numeric, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8,
		OUT last_activity_at pg_catalog.timestamptz, OUT ready pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT tenant, p.user_id, u.name, u.email, coalesce(t.names, '{}'), coalesce(m.name, m.email, u.manager_email), p.avg_score, p.completion_rate, p.assignments,
		p.completed, p.overdue, p.last_activity_at, p.ready
	FROM mindtickle.readiness_people(tenant) AS p
	LEFT JOIN (SELECT * FROM mindtickle.users AS k WHERE k.tenant_id = tenant) AS u ON u.user_id = p.user_id
	LEFT JOIN (SELECT * FROM mindtickle.users AS k WHERE k.tenant_id = tenant) AS m ON m.user_id = u.manager_id
	LEFT JOIN (
		SELECT b.user_id, array_agg(g.name ORDER BY g.name COLLATE "C", g.team_id) AS names
		FROM mindtickle.team_member AS b JOIN mindtickle.team AS g ON g.tenant_id = b.tenant_id AND g.team_id = b.team_id
		WHERE b.tenant_id = tenant AND g.tenant_id = tenant AND b.active AND g.active GROUP BY b.user_id) AS t ON t.user_id = p.user_id
	ORDER BY p.user_id
$$;
COMMENT ON FUNCTION mindtickle.readiness_by_user(pg_catalog.text) IS 'what mt_readiness_by_user gives';

CREATE FUNCTION mindtickle.readiness_by_team(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT team_id pg_catalog.text, OUT team_name pg_catalog.text,
		OUT manager_name pg_catalog.text, OUT learners pg_catalog.int8, OUT ready_learners pg_catalog.int8, OUT avg_score pg_catalog.numeric,
		OUT completion_rate pg_catalog.numeric, OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT overdue pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH people AS MATERIALIZED (
		SELECT * FROM mindtickle.readiness_people(tenant)
	), teams AS (
		SELECT g.team_id, g.name, g.manager_id FROM mindtickle.team AS g WHERE g.tenant_id = tenant AND g.active
	), members AS (
		SELECT b.team_id, b.user_id FROM mindtickle.team_member AS b JOIN teams AS g ON g.team_id = b.team_id WHERE b.tenant_id = tenant AND b.active
	), figures AS (
		SELECT m.team_id, count(*) AS learners, count(*) FILTER (WHERE p.ready) AS ready_learners, sum(p.score_sum) AS score_sum,
			sum(p.scores)::int8 AS scores, sum(p.assignments)::int8 AS assignments, sum(p.completed)::int8 AS completed, sum(p.overdue)::int8 AS overdue
		FROM people AS p LEFT JOIN members AS m ON m.user_id = p.user_id GROUP BY m.team_id
	)
	SELECT tenant, g.team_id, g.name, coalesce(m.name, m.email), coalesce(f.learners, 0), coalesce(f.ready_learners, 0),
		round(f.score_sum / nullif(f.scores * 10000, 0)::numeric, 4), round(f.completed / nullif(f.assignments, 0)::numeric, 4),
		coalesce(f.scores, 0), coalesce(f.assignments, 0), coalesce(f.completed, 0), coalesce(f.overdue, 0)
	FROM (SELECT t.team_id, t.name, t.manager_id FROM teams AS t UNION ALL SELECT NULL, 'no team', NULL) AS g
	LEFT JOIN figures AS f ON f.team_id IS NOT DISTINCT FROM g.team_id
	LEFT JOIN (SELECT * FROM mindtickle.users AS k WHERE k.tenant_id = tenant) AS m ON m.user_id = g.manager_id
	WHERE g.team_id IS NOT NULL OR f.learners > 0
	ORDER BY g.name COLLATE "C", g.team_id
$$;
COMMENT ON FUNCTION mindtickle.readiness_by_team(pg_catalog.text) IS 'what mt_readiness_by_team gives';

CREATE FUNCTION mindtickle.readiness_by_course(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT course_id pg_catalog.text,
		OUT course_title pg_catalog.text, OUT learners pg_catalog.int8, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric,
		OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT tenant, d.id, c.title, d.learners, round(d.score_sum / nullif(d.scores * 10000, 0)::numeric, 4),
		round(d.completed / nullif(d.assignments, 0)::numeric, 4), d.scores, d.assignments, d.completed, d.overdue
	FROM mindtickle.readiness_details(tenant, false) AS d
	LEFT JOIN (SELECT * FROM mindtickle.course AS k WHERE k.tenant_id = tenant) AS c ON c.course_id = d.id
	ORDER BY d.id
$$;
COMMENT ON FUNCTION mindtickle.readiness_by_course(pg_catalog.text) IS 'what mt_readiness_by_course gives';

CREATE FUNCTION mindtickle.readiness_trend(tenant pg_catalog.text, from_date pg_catalog.date, to_date pg_catalog.date, OUT tenant_id pg_catalog.text,
		OUT day pg_catalog.date, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric, OUT learners pg_catalog.int8,
		OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.tenant_id, d.day, d.avg_score, d.completion_rate, d.learners, d.quiz_results, d.assignments, d.completed
	FROM mindtickle.readiness_daily AS d
	WHERE d.tenant_id = tenant AND d.scope = 'tenant' AND (d.day < from_date) IS NOT TRUE AND (d.day > to_date) IS NOT TRUE
	ORDER BY d.day
$$;
COMMENT ON FUNCTION mindtickle.readiness_trend(pg_catalog.text, pg_catalog.date, pg_catalog.date) IS 'what mt_readiness_trend gives';

CREATE FUNCTION mindtickle.readiness_trend_of(tenant pg_catalog.text, from_date pg_catalog.date, to_date pg_catalog.date, scope pg_catalog.text,
		scope_id pg_catalog.text, OUT tenant_id pg_catalog.text, OUT day pg_catalog.date, OUT id pg_catalog.text, OUT name pg_catalog.text,
		OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric, OUT learners pg_catalog.int8, OUT quiz_results pg_catalog.int8,
		OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.tenant_id, d.day, d.scope_id, CASE WHEN d.scope = 'team' AND d.scope_id = '' THEN 'no team' ELSE coalesce(t.name, c.title) END,
		d.avg_score, d.completion_rate, d.learners, d.quiz_results, d.assignments, d.completed
	FROM mindtickle.readiness_daily AS d
	LEFT JOIN (SELECT * FROM mindtickle.team AS k WHERE k.tenant_id = $1) AS t ON d.scope = 'team' AND t.team_id = d.scope_id
	LEFT JOIN (SELECT * FROM mindtickle.course AS k WHERE k.tenant_id = $1) AS c ON d.scope = 'course' AND c.course_id = d.scope_id
	WHERE d.tenant_id = $1 AND (d.day < from_date) IS NOT TRUE AND (d.day > to_date) IS NOT TRUE AND d.scope = $4 AND ($5 IS NULL OR d.scope_id = $5)
	ORDER BY d.day, d.scope_id
$$;
COMMENT ON FUNCTION mindtickle.readiness_trend_of(pg_catalog.text, pg_catalog.date, pg_catalog.date, pg_catalog.text, pg_catalog.text)
	IS 'what mt_readiness_trend with a scope gives';

CREATE FUNCTION mindtickle.verify_readiness(tenant pg_catalog.text, OUT scope pg_catalog.text, OUT figure pg_catalog.text, OUT kept pg_catalog.numeric,
		OUT recomputed pg_catalog.numeric, OUT equal pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT 'tenant', f.figure, f.kept, f.recomputed, f.kept IS NOT DISTINCT FROM f.recomputed
	FROM @extschema@.mt_readiness(tenant) AS k, mindtickle.count_readiness(tenant) AS c, LATERAL (VALUES
		('avg_score', k.avg_score, round(c.score_sum / nullif(c.quiz_results * 10000, 0)::numeric, 4)),
		('completion_rate', k.completion_rate, round(c.completed / nullif(c.assignments, 0)::numeric, 4)),
		('learners', k.learners, c.learners), ('quiz_results', k.quiz_results, c.quiz_results),
		('assignments', k.assignments, c.assignments), ('completed', k.completed, c.completed)) AS f (figure, kept, recomputed)
	UNION ALL
	SELECT 'users', 'users that differ', count(*), 0, count(*) = 0
	FROM mindtickle.readiness_details(tenant, true) AS d FULL JOIN mindtickle.count_users(tenant) AS c ON c.user_id = d.id
	WHERE (d.submissions, d.scores, d.score_sum, d.assignments, d.completed, d.overdue, d.last_activity_at)
		IS DISTINCT FROM (c.submissions, c.scores, c.score_sum, c.assignments, c.completed, c.overdue, c.last_activity_at)
	UNION ALL
	SELECT 'courses', 'courses that differ', count(*), 0, count(*) = 0
	FROM mindtickle.readiness_details(tenant, false) AS d FULL JOIN mindtickle.count_courses(tenant) AS c ON c.course_id = d.id
	WHERE (d.submissions, d.scores, d.score_sum, d.assignments, d.completed, d.overdue, d.learners)
		IS DISTINCT FROM (c.submissions, c.scores, c.score_sum, c.assignments, c.completed, c.overdue, c.learners)
$$;
COMMENT ON FUNCTION mindtickle.verify_readiness(pg_catalog.text) IS 'what mt_verify_readiness gives';

CREATE FUNCTION mindtickle.known_timezone(name pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM now() AT TIME ZONE name;
	RETURN coalesce(name, 'UTC');
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN 'UTC';
END
$$;
COMMENT ON FUNCTION mindtickle.known_timezone(pg_catalog.text)
	IS 'the time zone, or UTC for one that this server does not know: another server that it was set on did';

CREATE FUNCTION mindtickle.readiness_days_due(at pg_catalog.timestamptz, OUT tenant_id pg_catalog.text, OUT next_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tenant_id, (coalesce(t.closed_day + 1, (t.created_at AT TIME ZONE z.name)::date) + 1)::timestamp AT TIME ZONE z.name
	FROM mindtickle.tenant AS t, LATERAL (SELECT mindtickle.known_timezone(t.settings ->> 'timezone') AS name) AS z
$$;
COMMENT ON FUNCTION mindtickle.readiness_days_due(pg_catalog.timestamptz)
	IS 'for the aggregator: when the next day of each tenant that is not in its history ends; needs no tenant in force';

CREATE FUNCTION mindtickle.close_readiness_day(tenant pg_catalog.text, at pg_catalog.timestamptz) RETURNS pg_catalog.int4
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	zone text := mindtickle.known_timezone(mindtickle.effective_settings(close_readiness_day.tenant) ->> 'timezone');
	first_day date;
	last_day date := (close_readiness_day.at AT TIME ZONE zone)::date - 1;
BEGIN
	SELECT coalesce(t.closed_day + 1, (t.created_at AT TIME ZONE zone)::date) INTO first_day
		FROM mindtickle.tenant AS t WHERE t.tenant_id = close_readiness_day.tenant;
	IF first_day IS NULL OR first_day > last_day THEN
		RETURN 0;
	END IF;
	-- Days that were missed have the figures of now, which are those of then if nothing was running. More than a year is not made up for.
	first_day := greatest(first_day, last_day - 365);
	INSERT INTO mindtickle.readiness_daily
		(tenant_id, day, scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed)
		SELECT close_readiness_day.tenant, first_day + d.number, f.scope, f.scope_id, f.avg_score, f.completion_rate, f.learners, f.quiz_results, f.assignments, f.completed
		FROM generate_series(0, last_day - first_day) AS d (number), (
			SELECT 'tenant' AS scope, '' AS scope_id, r.avg_score, r.completion_rate, r.learners, r.quiz_results, r.assignments, r.completed
			FROM @extschema@.mt_readiness(close_readiness_day.tenant) AS r
			UNION ALL
			SELECT 'team', coalesce(r.team_id, ''), r.avg_score, r.completion_rate, r.learners, r.quiz_results, r.assignments, r.completed
			FROM mindtickle.readiness_by_team(close_readiness_day.tenant) AS r
			UNION ALL
			SELECT 'course', r.course_id, r.avg_score, r.completion_rate, r.learners, r.quiz_results, r.assignments, r.completed
			FROM mindtickle.readiness_by_course(close_readiness_day.tenant) AS r) AS f
		ON CONFLICT DO NOTHING;
	UPDATE mindtickle.tenant AS t SET closed_day = last_day WHERE t.tenant_id = close_readiness_day.tenant;
	RETURN last_day - first_day + 1;
END
$$;
COMMENT ON FUNCTION mindtickle.close_readiness_day(pg_catalog.text, pg_catalog.timestamptz)
	IS 'for the aggregator: puts the days that have ended, in the tenant''s timezone, into its history; how many';

CREATE FUNCTION @extschema@.mt_readiness_by_user(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT user_id pg_catalog.text, OUT user_name pg_catalog.text,
		OUT user_email pg_catalog.text, OUT team_names pg_catalog.text[], OUT manager_name pg_catalog.text, OUT avg_score pg_catalog.numeric,
		OUT completion_rate pg_catalog.numeric, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8,
		OUT last_activity_at pg_catalog.timestamptz, OUT ready pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_readiness_by_user';
COMMENT ON FUNCTION @extschema@.mt_readiness_by_user(pg_catalog.text) IS 'readiness of each learner of a tenant';

CREATE FUNCTION @extschema@.mt_readiness_by_team(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT team_id pg_catalog.text, OUT team_name pg_catalog.text,
		OUT manager_name pg_catalog.text, OUT learners pg_catalog.int8, OUT ready_learners pg_catalog.int8, OUT avg_score pg_catalog.numeric,
		OUT completion_rate pg_catalog.numeric, OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8,
		OUT overdue pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_readiness_by_team';
COMMENT ON FUNCTION @extschema@.mt_readiness_by_team(pg_catalog.text) IS 'readiness of each team of a tenant, and of those in no team; a user of two teams counts in each';

CREATE FUNCTION @extschema@.mt_readiness_by_course(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT course_id pg_catalog.text,
		OUT course_title pg_catalog.text, OUT learners pg_catalog.int8, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric,
		OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8, OUT overdue pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_readiness_by_course';
COMMENT ON FUNCTION @extschema@.mt_readiness_by_course(pg_catalog.text) IS 'readiness in each course of a tenant';

CREATE FUNCTION @extschema@.mt_readiness_trend(tenant pg_catalog.text, from_date pg_catalog.date, to_date pg_catalog.date, OUT tenant_id pg_catalog.text,
		OUT day pg_catalog.date, OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric, OUT learners pg_catalog.int8,
		OUT quiz_results pg_catalog.int8, OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_readiness_trend';
COMMENT ON FUNCTION @extschema@.mt_readiness_trend(pg_catalog.text, pg_catalog.date, pg_catalog.date) IS 'readiness of a tenant at the end of each day, from its history; a date that is NULL is no bound';

CREATE FUNCTION @extschema@.mt_readiness_trend(tenant pg_catalog.text, from_date pg_catalog.date, to_date pg_catalog.date, scope pg_catalog.text,
		scope_id pg_catalog.text DEFAULT NULL, OUT tenant_id pg_catalog.text, OUT day pg_catalog.date, OUT id pg_catalog.text, OUT name pg_catalog.text,
		OUT avg_score pg_catalog.numeric, OUT completion_rate pg_catalog.numeric, OUT learners pg_catalog.int8, OUT quiz_results pg_catalog.int8,
		OUT assignments pg_catalog.int8, OUT completed pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_readiness_trend_of';
COMMENT ON FUNCTION @extschema@.mt_readiness_trend(pg_catalog.text, pg_catalog.date, pg_catalog.date, pg_catalog.text, pg_catalog.text)
	IS 'the same of each team or course, as scope says, or of the one with scope_id; the id of those in no team is empty; name is that of now';

CREATE FUNCTION @extschema@.mt_verify_readiness(tenant pg_catalog.text, OUT scope pg_catalog.text, OUT figure pg_catalog.text, OUT kept pg_catalog.numeric,
		OUT recomputed pg_catalog.numeric, OUT equal pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'mt_verify_readiness';
COMMENT ON FUNCTION @extschema@.mt_verify_readiness(pg_catalog.text) IS 'compares what readiness gives with a recomputation from the rows, in one snapshot';
