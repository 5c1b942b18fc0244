/*
 * Readiness: reports as they were given out, one row a day, and what the figures are made of. That is written and read in C (src/readiness_*.c),
 * so the columns' order is part of those files' contract. None of it is dumped but reports and history: a restore writes the rows, and so the
 * deltas, anew.
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

CREATE TABLE mindtickle.readiness_rerun (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	report_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, report_at)
);
COMMENT ON TABLE mindtickle.readiness_rerun IS 'provisional reports that are to be computed again when what made them provisional has ended; in general one of a tenant';

-- A ring of tables that are appended to, read by index, and emptied by TRUNCATE. Autovacuum would find nothing to do in them.
CREATE TABLE mindtickle.readiness_delta_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	xid pg_catalog.xid8 NOT NULL,
	part pg_catalog.int4 NOT NULL,
	entries pg_catalog.bytea,
	PRIMARY KEY (tenant_id, xid, part)
) WITH (autovacuum_enabled = false);
ALTER TABLE mindtickle.readiness_delta_0 ALTER COLUMN entries SET STORAGE PLAIN, ALTER COLUMN tenant_id SET STORAGE PLAIN;
CREATE TABLE mindtickle.readiness_delta_1 (LIKE mindtickle.readiness_delta_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.readiness_delta_2 (LIKE mindtickle.readiness_delta_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.readiness_delta_3 (LIKE mindtickle.readiness_delta_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.readiness_delta_0 IS 'what statements did to the readiness figures; entries NULL: the tenant is to be counted anew';
COMMENT ON TABLE mindtickle.readiness_delta_1 IS 'as readiness_delta_0';
COMMENT ON TABLE mindtickle.readiness_delta_2 IS 'as readiness_delta_0';
COMMENT ON TABLE mindtickle.readiness_delta_3 IS 'as readiness_delta_0';

CREATE TABLE mindtickle.readiness_summary_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	fold pg_catalog.int8 NOT NULL,
	learners pg_catalog.int8 NOT NULL,
	submissions pg_catalog.int8 NOT NULL,
	scores pg_catalog.int8 NOT NULL,
	score_sum pg_catalog.int8 NOT NULL,
	assignments pg_catalog.int8 NOT NULL,
	completed pg_catalog.int8 NOT NULL,
	overdue pg_catalog.int8 NOT NULL,
	cursor pg_catalog.pg_snapshot NOT NULL,
	detail_cursor pg_catalog.pg_snapshot,
	detail_table pg_catalog.int2 NOT NULL,
	people_since pg_catalog.xid8 NOT NULL,
	PRIMARY KEY (tenant_id, fold)
) WITH (autovacuum_enabled = false);
ALTER TABLE mindtickle.readiness_summary_0 ALTER COLUMN tenant_id SET STORAGE PLAIN;
CREATE TABLE mindtickle.readiness_summary_1 (LIKE mindtickle.readiness_summary_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.readiness_summary_0 IS 'the figures of a tenant that count, as far as deltas are taken in; the row with the highest fold is the newest';
COMMENT ON TABLE mindtickle.readiness_summary_1 IS 'as readiness_summary_0';
COMMENT ON COLUMN mindtickle.readiness_summary_0.cursor IS 'what these figures have taken in';
COMMENT ON COLUMN mindtickle.readiness_summary_0.detail_cursor IS 'what the figures of users and courses have taken in';
COMMENT ON COLUMN mindtickle.readiness_summary_0.people_since IS 'the last fold that took in that users came, went, or were switched on or off, or that rows went, or that counted anew';
COMMENT ON COLUMN mindtickle.readiness_summary_0.score_sum IS 'in units of 0.0001';

CREATE TABLE mindtickle.readiness_user_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	submissions pg_catalog.int8 NOT NULL,
	scores pg_catalog.int8 NOT NULL,
	score_sum pg_catalog.int8 NOT NULL,
	assignments pg_catalog.int8 NOT NULL,
	completed pg_catalog.int8 NOT NULL,
	overdue pg_catalog.int8 NOT NULL,
	last_activity_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70);
CREATE TABLE mindtickle.readiness_user_1 (LIKE mindtickle.readiness_user_0 INCLUDING ALL) WITH (fillfactor = 70);
COMMENT ON TABLE mindtickle.readiness_user_0 IS 'figures of each user with rows, whether they count or not';
COMMENT ON TABLE mindtickle.readiness_user_1 IS 'as readiness_user_0';

CREATE TABLE mindtickle.readiness_course_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	course_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	submissions pg_catalog.int8 NOT NULL,
	scores pg_catalog.int8 NOT NULL,
	score_sum pg_catalog.int8 NOT NULL,
	assignments pg_catalog.int8 NOT NULL,
	completed pg_catalog.int8 NOT NULL,
	overdue pg_catalog.int8 NOT NULL,
	learners pg_catalog.int8 NOT NULL,
	PRIMARY KEY (tenant_id, course_id)
) WITH (fillfactor = 70);
CREATE TABLE mindtickle.readiness_course_1 (LIKE mindtickle.readiness_course_0 INCLUDING ALL) WITH (fillfactor = 70);
COMMENT ON TABLE mindtickle.readiness_course_0 IS 'figures of each course, of the rows that count';
COMMENT ON TABLE mindtickle.readiness_course_1 IS 'as readiness_course_0';

CREATE FUNCTION mindtickle.is_truncated(relation pg_catalog.name) RETURNS pg_catalog.bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT relation ~ '^(readiness_(delta|summary|user|course)|outbox|event|event_(overflow|position|consumer))_[0-9]$'
$$;
COMMENT ON FUNCTION mindtickle.is_truncated(pg_catalog.name) IS 'true for the tables that the service role empties as a whole';
