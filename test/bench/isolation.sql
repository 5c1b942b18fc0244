/*
 * What isolation costs, and whether a refusal tells anything by its time. Run by isolation.sh.
 *
 * The select by primary key is sent by pgbench as a prepared statement, one a transaction, by a reader of the tenant: from the table under forced
 * row security, and from the same rows in a table of the same shape without it. The same select in a PL/pgSQL loop, where nothing but the
 * executor is left, is shown without a bound: a superuser, to whom neither row security nor any right is checked, is beside it. Times are CPU times
 * of the backend; a refusal is timed by the clock, call by call.
 */
SET jit = off;
\ir progress_tables.sql
CALL bench.ensure_tenant('bench', 'bench_reader', 'reader');
GRANT SELECT ON bench.course_progress TO bench_reader;

-- The first figure is the time on a CPU in nanoseconds.
CREATE FUNCTION bench.cpu_microseconds() RETURNS float8 LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1000;
-- A block of a hundred selects; two blocks, in either order, are a round. The first ones make plans.
CREATE FUNCTION bench.store(measured text, ours integer, block integer, microseconds float8) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	INSERT INTO bench.sample SELECT measured, CASE ours WHEN 1 THEN 'row security' ELSE 'no row security' END, block / 2, microseconds WHERE block > 3;
END;

\! pgbench -n -M prepared -D n=0 -D person="'user-0100'" -t 80400 -f "$BENCH_SCRIPTS/left" >/dev/null 2>&1
\! pgbench -n -M prepared -D n=0 -D person="'user-0100'" -t 80400 -f "$BENCH_SCRIPTS/pinned" >/dev/null 2>&1
DO $$
BEGIN
	IF (SELECT count(*) FROM bench.sample) <> 2 * 800 THEN
		RAISE EXCEPTION 'pgbench did not run to its end';
	END IF;
END
$$;
INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound)
	SELECT DISTINCT s.measured, 'row security', 'no row security', 100, 'select', 1.10 FROM bench.sample AS s;

-- One side of a comparison in a loop: so many calls of a statement, alternately with either value of x.
CREATE FUNCTION bench.make_loop(name text, statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($f$CREATE FUNCTION bench.%I(calls integer, first_x text, second_x text) RETURNS void LANGUAGE plpgsql AS $b$
		DECLARE
			x text;
		BEGIN
			FOR i IN 1 .. calls LOOP
				x := CASE WHEN i %% 2 = 0 THEN first_x ELSE second_x END;
				%s;
			END LOOP;
		END $b$ $f$, name, statement);
END
$$;

-- Two loops in turns, each as a role of its own. The first round makes plans and does not count.
CREATE PROCEDURE bench.measure(measured text, ours text, ours_role name, ours_call text, beside text, beside_role name, beside_call text, calls integer, bound numeric)
LANGUAGE plpgsql AS $$
DECLARE
	rounds CONSTANT integer := 15;
	started float8;
	took float8;
	is_ours boolean;
BEGIN
	FOR round IN 0 .. rounds LOOP
		FOR turn IN 0 .. 1 LOOP
			is_ours := (round + turn) % 2 = 0;
			PERFORM set_config('role', CASE WHEN is_ours THEN ours_role ELSE beside_role END, true);
			started := bench.cpu_microseconds();
			EXECUTE format('SELECT ' || CASE WHEN is_ours THEN ours_call ELSE beside_call END, calls);
			took := bench.cpu_microseconds() - started;
			COMMIT;
			IF round > 0 THEN
				INSERT INTO bench.sample VALUES (measured, CASE WHEN is_ours THEN ours ELSE beside END, round, took);
			END IF;
		END LOOP;
	END LOOP;
	INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound) VALUES (measured, ours, beside, calls, 'call', bound);
END
$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bench TO PUBLIC;

SELECT bench.make_loop('select_left', $$PERFORM p.status FROM mindtickle.course_progress AS p WHERE p.user_id = x AND p.course_id = 'course-000250'$$),
	bench.make_loop('select_pinned', $$PERFORM p.status FROM mindtickle.course_progress AS p WHERE p.tenant_id = 'bench' AND p.user_id = x AND p.course_id = 'course-000250'$$),
	bench.make_loop('select_plain', $$PERFORM p.status FROM bench.course_progress AS p WHERE p.tenant_id = 'bench' AND p.user_id = x AND p.course_id = 'course-000250'$$) \g /dev/null
CALL bench.measure('loop, tenant_id left to the policy', 'row security', 'bench_reader', $$bench.select_left(%s, 'user-0050', 'user-0150')$$,
	'no row security', 'bench_reader', $$bench.select_plain(%s, 'user-0050', 'user-0150')$$, 20000, NULL);
CALL bench.measure('loop, tenant_id in WHERE', 'row security', 'bench_reader', $$bench.select_pinned(%s, 'user-0050', 'user-0150')$$,
	'no row security', 'bench_reader', $$bench.select_plain(%s, 'user-0050', 'user-0150')$$, 20000, NULL);
CALL bench.measure('loop, tenant_id in WHERE, superuser', 'row security', 'bench_reader', $$bench.select_pinned(%s, 'user-0050', 'user-0150')$$,
	'superuser', 'postgres', $$bench.select_pinned(%s, 'user-0050', 'user-0150')$$, 20000, NULL);

-- A pool that goes from one tenant to the other and back, beside set_config with the same two names.
CALL bench.ensure_tenant('bench-two', 'bench_reader', 'reader');
DROP ROLE IF EXISTS bench_pool;
CREATE ROLE bench_pool;
SELECT mt_grant_tenant('bench', 'bench_pool', 'reader', true), mt_grant_tenant('bench-two', 'bench_pool', 'reader', true) \g /dev/null
SELECT mt_create_token('bench', 'bench', '{sql}') AS token_one, mt_create_token('bench-two', 'bench', '{sql}') AS token_two \gset
SELECT bench.make_loop('enter_by_token', format($$PERFORM public.mt_set_tenant(x, CASE WHEN i %% 2 = 0 THEN %L ELSE %L END)$$, :'token_one', :'token_two')),
	bench.make_loop('enter_by_set_config', format($$PERFORM set_config('bench.tenant', x, CASE WHEN i %% 2 = 0 THEN %L ELSE %L END <> '')$$, :'token_one', :'token_two')) \g /dev/null
CALL bench.measure('entering a context', 'mt_set_tenant with a token', 'bench_pool', $$bench.enter_by_token(%s, 'bench', 'bench-two')$$,
	'set_config', 'bench_pool', $$bench.enter_by_set_config(%s, 'bench', 'bench-two')$$, 20000, 3.0);

-- A tenant that is others', with all that a tenant can have, and one that does not exist.
CALL bench.ensure_tenant('bench-others', 'bench_pool', 'reader');
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'bench-others', 'user-' || person FROM generate_series(1, 1000) AS person;
SELECT count(mt_create_token('bench-others', 'token ' || n, '{sql,read}')) FROM generate_series(1, 50) AS n \g /dev/null
CREATE TABLE bench.refusal (tenant text, took integer);
GRANT INSERT ON bench.refusal TO bench_reader;
CREATE PROCEDURE bench.measure_refusals(tenants text[], calls integer) LANGUAGE plpgsql AS $$
DECLARE
	-- Each tenant as often as the other, in no order.
	turns text[] := (SELECT array_agg(t.tenant ORDER BY random()) FROM unnest(tenants) AS t (tenant), generate_series(1, calls));
	times integer[];
	started timestamptz;
	tenant text;
	refused integer := 0;
BEGIN
	FOR batch IN 0 .. cardinality(turns) / 1000 - 1 LOOP
		times := '{}';
		SET LOCAL ROLE bench_reader;
		FOR i IN 1 .. 1000 LOOP
			tenant := turns[batch * 1000 + i];
			started := clock_timestamp();
			BEGIN
				PERFORM public.mt_readiness(tenant);
			EXCEPTION WHEN insufficient_privilege THEN
				refused := refused + 1;
			END;
			times := times || (extract(epoch FROM clock_timestamp() - started) * 1000000)::integer;
		END LOOP;
		INSERT INTO bench.refusal SELECT t.tenant, t.took FROM unnest(turns[batch * 1000 + 1 : batch * 1000 + 1000], times) AS t (tenant, took);
		COMMIT;
	END LOOP;
	IF refused <> calls * cardinality(tenants) THEN
		RAISE EXCEPTION '% calls were refused, not %', refused, calls * cardinality(tenants);
	END IF;
END
$$;
CALL bench.measure_refusals('{bench-others,bench-absent}', 1000);
TRUNCATE bench.refusal;
CALL bench.measure_refusals('{bench-others,bench-absent}', 100000);
-- The clock counts whole microseconds. The median is taken as that of values spread evenly within each.
CREATE VIEW bench.refusal_median AS
	WITH counted AS (
		SELECT r.tenant, r.took, count(*) AS calls, sum(count(*)) OVER (PARTITION BY r.tenant ORDER BY r.took) AS up_to, sum(count(*)) OVER (PARTITION BY r.tenant) AS total
		FROM bench.refusal AS r GROUP BY r.tenant, r.took
	)
	SELECT c.tenant, c.total AS calls, (c.took - 0.5 + (c.total / 2.0 - (c.up_to - c.calls)) / c.calls)::float8 AS microseconds
	FROM counted AS c WHERE c.up_to >= c.total / 2.0 AND c.up_to - c.calls < c.total / 2.0;

WITH result AS (
	SELECT c.position, c.measured, c.ours, s.median / c.units AS us, c.beside, s.median_beside / c.units AS us_beside, s.ratio, c.bound
	FROM bench.comparison AS c,
		LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.microseconds) AS median,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY b.microseconds) AS median_beside,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY o.microseconds / b.microseconds) AS ratio
				 FROM bench.sample AS o JOIN bench.sample AS b USING (measured, round)
				 WHERE o.measured = c.measured AND o.side = c.ours AND b.side = c.beside) AS s
	UNION ALL
	SELECT 100, 'refusals, median of 100,000', 'another''s tenant', o.microseconds, 'no such tenant', a.microseconds,
		greatest(o.microseconds / a.microseconds, a.microseconds / o.microseconds), 1.02
	FROM bench.refusal_median AS o, bench.refusal_median AS a WHERE o.tenant = 'bench-others' AND a.tenant = 'bench-absent'
)
SELECT r.measured, r.ours, round(r.us::numeric, 2) AS us, r.beside, round(r.us_beside::numeric, 2) AS "us beside", round(r.ratio::numeric, 3) AS "cost ratio",
	'<= ' || r.bound AS bound, CASE WHEN r.bound IS NOT NULL THEN CASE WHEN r.ratio <= r.bound THEN 'met' ELSE 'NOT MET' END END AS result
FROM result AS r ORDER BY r.position;

SELECT mt_drop_tenant('bench-two'), mt_drop_tenant('bench-others') \g /dev/null
SELECT mt_revoke_tenant('bench', 'bench_pool'), mt_revoke_token('bench', 'bench') \g /dev/null
DROP ROLE bench_pool;
DELETE FROM mindtickle.course_progress WHERE tenant_id = 'bench';
DROP SCHEMA bench CASCADE;
