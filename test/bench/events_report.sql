-- The figures of events.sh, with the bounds that they have to keep.
\pset title 'Writers, transactions a second'
WITH ratio AS (
	SELECT b.side, percentile_cont(0.5) WITHIN GROUP (ORDER BY o.per_second) AS ours, percentile_cont(0.5) WITHIN GROUP (ORDER BY b.per_second) AS beside,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY o.per_second / b.per_second) AS ratio
	FROM bench.rate AS o JOIN bench.rate AS b USING (measured, round) WHERE o.side = 'events' AND b.side <> 'events' AND round > 0 GROUP BY b.side
)
SELECT round(ours) AS events, side AS beside, round(beside) AS "per second", round(ratio::numeric, 2) AS ratio, CASE side WHEN 'pg_notify' THEN '>= 1.35' END AS bound,
	CASE WHEN side = 'pg_notify' THEN CASE WHEN ratio >= 1.35 THEN 'met' ELSE 'NOT MET' END END AS result
FROM ratio ORDER BY side DESC;

\pset title 'Latency of a listener, us'
WITH quantile AS (
	SELECT measured, side, round, percentile_cont(0.5) WITHIN GROUP (ORDER BY microseconds) AS p50, percentile_cont(0.99) WITHIN GROUP (ORDER BY microseconds) AS p99
	FROM bench.latency WHERE round > 0 GROUP BY measured, side, round
), compared AS (
	SELECT o.measured, o.side AS ours, b.side AS beside, q.name, percentile_cont(0.5) WITHIN GROUP (ORDER BY q.ours) AS our_time, percentile_cont(0.5) WITHIN GROUP (ORDER BY q.beside) AS time_beside,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY q.ours / q.beside) AS ratio, CASE WHEN o.side = 'events' THEN 1.0 ELSE 1.1 END AS bound
	FROM quantile AS o JOIN quantile AS b ON b.measured = o.measured AND b.round = o.round AND (o.side, b.side) IN (('events', 'pg_notify'), ('beside a backlog', 'alone'), ('beside one that comes back', 'alone')),
		LATERAL (VALUES ('p50', o.p50, b.p50), ('p99', o.p99, b.p99)) AS q (name, ours, beside)
	GROUP BY o.measured, o.side, b.side, q.name
)
SELECT measured, name, ours, round(our_time) AS us, beside, round(time_beside) AS "us beside", round(ratio::numeric, 2) AS ratio, '<= ' || bound AS bound,
	CASE WHEN ratio <= bound THEN 'met' ELSE 'NOT MET' END AS result
FROM compared ORDER BY measured DESC, ours, name;

\pset title 'Delivery of 500 events a second by polling, while a transaction is held open'
WITH side AS (
	SELECT measured, sum(events) / ((max(at) - min(at)) / 1e6) AS rate, percentile_cont(0.5) WITHIN GROUP (ORDER BY microseconds) FILTER (WHERE events > 0) AS p50,
		percentile_cont(0.99) WITHIN GROUP (ORDER BY microseconds) FILTER (WHERE events > 0) AS p99
	FROM bench.delivery GROUP BY measured
)
SELECT s.measured, round(s.rate::numeric, 1) AS "events/s", round(s.p50) AS "poll p50, us", round(s.p99) AS "poll p99, us", round((s.rate / n.rate)::numeric, 2) AS "rate ratio",
	round((s.p99 / n.p99)::numeric, 2) AS "p99 ratio", CASE WHEN s.measured <> n.measured THEN '>= 0.80, <= 2.00' END AS bound,
	CASE WHEN s.measured <> n.measured THEN CASE WHEN s.rate >= 0.8 * n.rate AND s.p99 <= 2 * n.p99 THEN 'met' ELSE 'NOT MET' END END AS result
FROM side AS s, side AS n WHERE n.measured = 'with nothing held' ORDER BY s.measured;

\pset title 'Tables of events at the end, MB'
SELECT regexp_replace(c.relname, '_[0-9]$', '') AS tables, round(sum(pg_total_relation_size(c.oid)) / 1e6, 1) AS mb FROM pg_class AS c
WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(outbox|event)(_[a-z]+)?_[0-9]$' GROUP BY 1 ORDER BY 1;
