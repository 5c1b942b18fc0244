/*
 * The tables that readiness.sh ends with. First: are the figures right at all?
 */
\pset footer off
\pset null ''
DO $$
DECLARE
	wrong text;
BEGIN
	SELECT string_agg(t.tenant_id, ', ') INTO wrong FROM mindtickle.tenant AS t, mt_readiness(t.tenant_id) AS r
		WHERE t.tenant_id LIKE 'bench-%' AND (r.quiz_results, r.avg_score) IS DISTINCT FROM
			(SELECT (count(s.score), round(avg(s.score), 4)) FROM mindtickle.quiz_submission AS s LEFT JOIN mindtickle.users AS u USING (tenant_id, user_id)
			 WHERE s.tenant_id = t.tenant_id AND u.active IS NOT FALSE);
	IF wrong IS NOT NULL THEN
		RAISE EXCEPTION 'the figures of % are not those of their rows', wrong;
	END IF;
END
$$;

CREATE VIEW bench.read_report AS
	WITH round AS (
		SELECT l.measured, l.round, percentile_cont(0.5) WITHIN GROUP (ORDER BY l.microseconds) FILTER (WHERE l.script = 1) AS ours_p50,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY l.microseconds) FILTER (WHERE l.script = 0) AS one_p50,
			percentile_cont(0.99) WITHIN GROUP (ORDER BY l.microseconds) FILTER (WHERE l.script = 1) AS ours_p99,
			percentile_cont(0.99) WITHIN GROUP (ORDER BY l.microseconds) FILTER (WHERE l.script = 0) AS one_p99
		FROM bench.latency AS l WHERE l.round > 0 GROUP BY 1, 2
	), median AS (
		SELECT r.measured, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ours_p50) AS ours_p50, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.one_p50) AS one_p50,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ours_p50 / r.one_p50) AS ratio_p50,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ours_p99) AS ours_p99, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.one_p99) AS one_p99,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ours_p99 / r.one_p99) AS ratio_p99,
			CASE WHEN r.measured ~ '8 writers' THEN 3.0 ELSE 1.5 END AS bound_p50, CASE WHEN r.measured ~ '8 writers' THEN 10.0 END AS bound_p99
		FROM round AS r GROUP BY r.measured
	)
	SELECT m.measured, round(m.ours_p50::numeric) AS "p50 us", round(m.one_p50::numeric) AS "SELECT 1", round(m.ratio_p50::numeric, 2) AS ratio, '<= ' || m.bound_p50 AS bound,
		CASE WHEN m.ratio_p50 <= m.bound_p50 THEN 'met' ELSE 'NOT MET' END AS result,
		round(m.ours_p99::numeric) AS "p99 us", round(m.one_p99::numeric) AS "SELECT 1 p99", round(m.ratio_p99::numeric, 2) AS "p99 ratio", '<= ' || m.bound_p99 AS "p99 bound",
		CASE WHEN m.bound_p99 IS NOT NULL THEN CASE WHEN m.ratio_p99 <= m.bound_p99 THEN 'met' ELSE 'NOT MET' END END AS "p99 result",
		(SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY p.microseconds))::numeric) FROM bench.latency AS p WHERE p.measured = m.measured AND p.script = 2) AS "plain SQL us",
		(SELECT round((percentile_cont(0.5) WITHIN GROUP (ORDER BY p.microseconds) / m.ours_p50)::numeric, 1) FROM bench.latency AS p WHERE p.measured = m.measured AND p.script = 2) AS "times faster"
	FROM median AS m;
SELECT r.* FROM bench.read_report AS r JOIN (SELECT measured, min(position) AS position FROM (SELECT measured, row_number() OVER () AS position FROM bench.latency) AS l GROUP BY 1) AS o USING (measured) ORDER BY o.position;

WITH ratio AS (
	SELECT o.measured, percentile_cont(0.5) WITHIN GROUP (ORDER BY o.per_second) AS ours, percentile_cont(0.5) WITHIN GROUP (ORDER BY b.per_second) AS beside,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY o.per_second / b.per_second) AS ratio,
		CASE WHEN o.measured ~ '^batch' THEN 0.85 WHEN o.measured ~ 'commit on' THEN 0.75 ELSE 0.55 END AS bound
	FROM bench.rate AS o JOIN bench.rate AS b USING (measured, round) WHERE o.side = 'mindtickle' AND b.side = 'bench' AND round > 0 GROUP BY o.measured
)
SELECT r.measured || CASE WHEN r.measured ~ ' 1$' THEN ' client' ELSE ' clients' END AS "INSERT", CASE WHEN r.measured ~ '^batch' THEN '500 rows' ELSE '1 row' END AS "a statement",
	round(r.ours::numeric) AS "per second", round(r.beside::numeric) AS "without triggers", round(r.ratio::numeric, 2) AS ratio, '>= ' || r.bound AS bound, CASE WHEN r.ratio >= r.bound THEN 'met' ELSE 'NOT MET' END AS result
FROM ratio AS r ORDER BY r.measured ~ '^batch', r.measured ~ 'commit off', r.measured;

SELECT s.moment AS "readiness tables", pg_size_pretty(s.bytes) AS size, s.rows_there AS rows FROM bench.storage AS s ORDER BY s.measured_at;

SELECT count(mt_drop_tenant(t.tenant_id)) AS dropped FROM mindtickle.tenant AS t WHERE t.tenant_id LIKE 'bench-%' \g /dev/null
DROP SCHEMA bench CASCADE;
DROP ROLE bench_reader;
