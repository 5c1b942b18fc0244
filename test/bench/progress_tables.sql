/*
 * What the benchmarks of progress share: the tenant "bench" with a writer, 200 users with 500 courses each, the same rows in a table of the
 * same shape without row security, and documents. Read by progress_upsert.sql and progress_wal.sql.
 */
CALL bench.ensure_tenant('bench', 'bench_writer', 'writer');

CREATE TABLE bench.course_progress (LIKE mindtickle.course_progress INCLUDING ALL) WITH (fillfactor = 90);

-- Progress in 500 courses, as the sync sends it. Each version differs from the one before in every item.
CREATE FUNCTION bench.document(version integer) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('courseId', 'course-' || lpad(course::text, 6, '0'), 'status', 'completed',
			'score', (course * 37 + version * 11) % 10000 / 100.0,
			'completedAt', to_char(timestamp '2026-01-01' + course * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
			'updatedAt', to_char(timestamp '2026-01-01' + version * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) ORDER BY course)
	FROM generate_series(1, 500) AS course
$$;

DELETE FROM mindtickle.course_progress WHERE tenant_id = 'bench';
INSERT INTO bench.course_progress (tenant_id, user_id, course_id, status, score, completed_at, updated_at)
	SELECT 'bench', 'user-' || lpad(person::text, 4, '0'), d."courseId", d.status, d.score, d."completedAt", d."updatedAt"
	FROM generate_series(1, 200) AS person,
		jsonb_to_recordset(bench.document(0))
			AS d ("courseId" text, status text, score numeric, "completedAt" timestamptz, "updatedAt" timestamptz);
INSERT INTO mindtickle.course_progress SELECT * FROM bench.course_progress;
VACUUM ANALYZE bench.course_progress, mindtickle.course_progress;
