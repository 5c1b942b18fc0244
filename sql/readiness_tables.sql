/*
 * Stored readiness: reports as they were given out, and one row a day.
 */
CREATE TABLE mindtickle.readiness_report (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	computed_at pg_catalog.timestamptz NOT NULL,
	avg_score pg_catalog.numeric(7, 4),
	completion_rate pg_catalog.numeric(5, 4),
	learners pg_catalog.int8 NOT NULL,
	quiz_results pg_catalog.int8 NOT NULL,
	assignments pg_catalog.int8 NOT NULL,
	completed pg_catalog.int8 NOT NULL,
	data_as_of pg_catalog.timestamptz,
	provisional pg_catalog.bool NOT NULL,
	provisional_reason pg_catalog.text,
	PRIMARY KEY (tenant_id, computed_at)
);
COMMENT ON TABLE mindtickle.readiness_report IS 'every report that mt_aggregate_readiness gave out';

CREATE TABLE mindtickle.readiness_daily (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	day pg_catalog.date NOT NULL,
	scope pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (scope OPERATOR(pg_catalog.=) ANY (ARRAY['tenant', 'team', 'course'])),
	scope_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	avg_score pg_catalog.numeric(7, 4),
	completion_rate pg_catalog.numeric(5, 4),
	learners pg_catalog.int8 NOT NULL,
	quiz_results pg_catalog.int8 NOT NULL,
	assignments pg_catalog.int8 NOT NULL,
	completed pg_catalog.int8 NOT NULL,
	PRIMARY KEY (tenant_id, day, scope, scope_id)
);
COMMENT ON TABLE mindtickle.readiness_daily IS 'readiness at the end of each day in the tenant''s timezone: for the tenant, each team, each course';
