/*
 * What every benchmark starts with: a schema of its own, samples, and the table it ends with. Run by common.bash.
 *
 * The two sides of a comparison are measured in turns, so that whatever else the machine does meets both. A median is that of a side's
 * samples; the ratio is the median, over the rounds, of the other side's time by ours in the same round: 2.00 means twice as fast.
 */
\pset footer off
\pset null ''
DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;
GRANT USAGE ON SCHEMA bench TO PUBLIC;

CREATE TABLE bench.sample (
	measured text NOT NULL,
	side text NOT NULL,
	round integer NOT NULL,
	microseconds float8 NOT NULL,
	PRIMARY KEY (measured, side, round)
);

CREATE TABLE bench.comparison (
	position integer GENERATED ALWAYS AS IDENTITY,
	measured text NOT NULL,
	ours text NOT NULL,
	beside text NOT NULL,
	-- What one sample holds this many of.
	units float8 NOT NULL,
	unit text NOT NULL,
	bound numeric
);

CREATE VIEW bench.report AS
	SELECT c.measured, c.ours, to_char(s.median / c.units, 'FM99999990.00') AS "us", c.beside,
		to_char(s.median_beside / c.units, 'FM99999990.00') AS "us beside", 'us per ' || c.unit AS unit,
		to_char(s.ratio, 'FM9990.00') AS ratio, '>= ' || c.bound AS bound,
		CASE WHEN c.bound IS NOT NULL THEN CASE WHEN s.ratio >= c.bound THEN 'met' ELSE 'NOT MET' END END AS result
	FROM bench.comparison AS c,
		LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.microseconds) AS median,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY b.microseconds) AS median_beside,
					percentile_cont(0.5) WITHIN GROUP (ORDER BY b.microseconds / o.microseconds) AS ratio
				 FROM bench.sample AS o JOIN bench.sample AS b USING (measured, round)
				 WHERE o.measured = c.measured AND o.side = c.ours AND b.side = c.beside) AS s
	ORDER BY c.position;

-- A tenant with a role that may act for it as far as told; both may be there from another benchmark.
CREATE PROCEDURE bench.ensure_tenant(tenant text, role_name name, access text) LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant) THEN
		PERFORM mt_create_tenant(tenant, tenant);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
		EXECUTE format('CREATE ROLE %I', role_name);
	END IF;
	PERFORM mt_grant_tenant(tenant, role_name, access);
END
$$;
