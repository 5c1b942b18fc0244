/*
 * mt_upsert_progress of 500 items of one user, against a bare INSERT ... ON CONFLICT DO UPDATE into a table of the same shape. Run by
 * progress_upsert.sh.
 *
 * Ours is called by a writer, with everything on: the check of its right, row security, validation, merging column by column, the event. The
 * bare statement is run by a superuser on a table without row security, names only the columns that the documents have, and checks
 * nothing. Both run in one procedure, batch by batch in turns, each as a kept statement with the document as parameter and a transaction of
 * its own; the time ends with its commit, which waits for the disk. Reading the document from its text, and the way to a client, are the
 * same for both and left out: they would only bring the ratio nearer to 1. The bound is on rows per second, so on the ratio of the times.
 */
\ir progress_tables.sql

-- measured: 'changed' (every item changes its row), 'unchanged' (none does), 'new' (no row is there yet).
CREATE PROCEDURE bench.measure(measured text, rounds integer, first_version integer) LANGUAGE plpgsql AS $$
DECLARE
	ours boolean;
	document jsonb := bench.document(first_version);
	person text;
	written integer;
	expected integer;
	started timestamptz;
	sides text[] := '{}';
	times float8[] := '{}';
BEGIN
	FOR round IN 1 .. rounds LOOP
		person := CASE WHEN measured = 'new' THEN 'new-' ELSE 'user-' END || lpad(((round - 1) % 200 + 1)::text, 4, '0');
		IF measured = 'new' THEN
			person := person || '-' || round;
		ELSIF measured = 'changed' THEN
			document := bench.document(first_version + round);
		END IF;
		FOR turn IN 0 .. 1 LOOP
			ours := (round + turn) % 2 = 0;
			COMMIT;
			IF ours THEN
				SET LOCAL ROLE bench_writer;
				started := clock_timestamp();
				written := public.mt_upsert_progress('bench', person, document);
				COMMIT;
			ELSE
				started := clock_timestamp();
				INSERT INTO bench.course_progress (tenant_id, user_id, course_id, status, score, completed_at, updated_at)
					SELECT 'bench', person, d."courseId", d.status, d.score, d."completedAt", d."updatedAt"
					FROM jsonb_to_recordset(document)
						AS d ("courseId" text, status text, score numeric, "completedAt" timestamptz, "updatedAt" timestamptz)
					ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status, score = excluded.score,
						completed_at = excluded.completed_at, updated_at = excluded.updated_at;
				GET DIAGNOSTICS written = ROW_COUNT;
				COMMIT;
			END IF;
			times := times || (extract(epoch FROM clock_timestamp() - started) * 1000000)::float8;
			sides := sides || CASE WHEN ours THEN 'mt_upsert_progress' ELSE 'bare statement' END;
			expected := CASE WHEN ours AND measured = 'unchanged' THEN 0 ELSE 500 END;
			IF written <> expected THEN
				RAISE EXCEPTION '% wrote % rows, not %', sides[cardinality(sides)], written, expected;
			END IF;
		END LOOP;
	END LOOP;
	INSERT INTO bench.sample
		SELECT measured || ' rows', s.side, (s.position + 1) / 2, s.microseconds
		FROM unnest(sides, times) WITH ORDINALITY AS s (side, microseconds, position);
	INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound)
		VALUES (measured || ' rows', 'mt_upsert_progress', 'bare statement', 500, 'row', CASE WHEN measured = 'changed' THEN 0.9 END);
END
$$;

-- Versions go up from one run to the next. The first batches, which make plans and warm caches, do not count.
CALL bench.measure('changed', 20, 0);
TRUNCATE bench.sample, bench.comparison;
CALL bench.measure('changed', 400, 100);
-- Now every user has the same rows, so that the next documents change nothing.
SELECT sum(mt_upsert_progress('bench', 'user-' || lpad(person::text, 4, '0'), document)) AS written
	FROM generate_series(1, 200) AS person, bench.document(1000) AS document \gset
INSERT INTO bench.course_progress SELECT * FROM mindtickle.course_progress WHERE tenant_id = 'bench'
	ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET score = excluded.score, updated_at = excluded.updated_at;
VACUUM mindtickle.course_progress, bench.course_progress;
CALL bench.measure('unchanged', 400, 1000);
CALL bench.measure('new', 300, 1000);

TABLE bench.report;
SELECT r.measured, to_char(1000000 / r.us::numeric, 'FM999999990') AS "rows/s", to_char(1000000 / r."us beside"::numeric, 'FM999999990') AS "rows/s beside"
	FROM bench.report AS r;
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'bench';
DROP SCHEMA bench CASCADE;
