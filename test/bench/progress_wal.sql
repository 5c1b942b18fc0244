/*
 * The WAL that progress writes where nothing changes: 200 calls of 500 items each, as EXPLAIN (ANALYZE, WAL) counts it, with everything that
 * the function does. Beside it the bare statement, and the same with a guard (DO UPDATE ... WHERE something differs), which still locks each
 * row. Run by progress_wal.sh.
 */
\ir progress_tables.sql

CREATE TABLE bench.call AS
	SELECT 'user-' || lpad(person::text, 4, '0') AS user_id, document
	FROM generate_series(1, 200) AS person, bench.document(0) AS document;
GRANT SELECT ON bench.call TO bench_writer;
VACUUM ANALYZE bench.call;

CREATE FUNCTION bench.explain(statement text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, WAL, FORMAT JSON) ' || statement INTO plan;
	RETURN plan #> '{0,Plan}';
END
$$;

SELECT $$INSERT INTO bench.course_progress AS p (tenant_id, user_id, course_id, status, score, completed_at, updated_at)
	SELECT 'bench', c.user_id, d."courseId", d.status, d.score, d."completedAt", d."updatedAt"
	FROM bench.call AS c, jsonb_to_recordset(c.document)
		AS d ("courseId" text, status text, score numeric, "completedAt" timestamptz, "updatedAt" timestamptz)
	ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status, score = excluded.score,
		completed_at = excluded.completed_at, updated_at = excluded.updated_at$$ AS bare \gset

-- Once for the session: makes the plans. The first reading of pg_statistic after ANALYZE prunes a page of it, which is WAL but not ours.
SET ROLE bench_writer;
SELECT count(mt_upsert_progress('bench', c.user_id, c.document)) FROM bench.call AS c \g /dev/null

-- The transaction as a whole: one that wrote anything has an id.
BEGIN;
SELECT bench.explain($$SELECT FROM bench.call AS c WHERE mt_upsert_progress('bench', c.user_id, c.document) <> 0$$) AS ours,
	pg_current_xact_id_if_assigned() IS NULL AS no_id \gset
COMMIT;
RESET ROLE;
SELECT bench.explain(:'bare' || ' WHERE (p.status, p.score, p.completed_at, p.updated_at) IS DISTINCT FROM '
	'(excluded.status, excluded.score, excluded.completed_at, excluded.updated_at)') AS guarded \gset
SELECT bench.explain(:'bare') AS bare_plan \gset

SELECT s.statement AS "100,000 unchanged rows", (s.plan ->> 'WAL Records')::bigint AS "WAL records", (s.plan ->> 'WAL Bytes')::bigint AS "WAL bytes",
	round((s.plan ->> 'WAL Bytes')::numeric / 100000, 1) AS "bytes per row", s.bound,
	CASE WHEN s.bound IS NOT NULL THEN
		CASE WHEN (s.plan ->> 'WAL Bytes')::bigint = 0 AND (s.plan ->> 'Actual Rows')::bigint = 0 AND :'no_id' THEN 'met' ELSE 'NOT MET' END
	END AS result
FROM (VALUES (1, 'mt_upsert_progress', :'ours'::json, '0 bytes'),
		(2, 'bare statement with guard', :'guarded'::json, NULL),
		(3, 'bare statement', :'bare_plan'::json, NULL)) AS s (position, statement, plan, bound)
ORDER BY s.position;
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'bench';
DROP SCHEMA bench CASCADE;
