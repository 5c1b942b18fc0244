/*
 * The state of pulling: jobs with their saved position, the last good pull of each resource, what a listing has shown so far, and the budget.
 *
 * Whoever locks several rows of a tenant's does so in this order: that of tenant, of sync_job, of sync_resource.
 */
CREATE TABLE mindtickle.sync_job (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	job_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
	kind pg_catalog.text COLLATE pg_catalog."C" NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['full', 'user'])),
	state pg_catalog.text COLLATE pg_catalog."C" NOT NULL DEFAULT 'queued'
		CHECK (state OPERATOR(pg_catalog.=) ANY (ARRAY['queued', 'running', 'done', 'failed', 'cancelled'])),
	phase pg_catalog.text COLLATE pg_catalog."C" NOT NULL DEFAULT 'roster',
	position pg_catalog.jsonb NOT NULL DEFAULT '{}',
	done pg_catalog.int8 NOT NULL DEFAULT 0,
	total pg_catalog.int8,
	requests pg_catalog.int8 NOT NULL DEFAULT 0,
	throttled pg_catalog.int8 NOT NULL DEFAULT 0,
	errors pg_catalog.int8 NOT NULL DEFAULT 0,
	rejected pg_catalog.int8 NOT NULL DEFAULT 0,
	changed pg_catalog.int8 NOT NULL DEFAULT 0,
	requested_by pg_catalog.name,
	requested_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started_at pg_catalog.timestamptz,
	phase_started_at pg_catalog.timestamptz,
	finished_at pg_catalog.timestamptz,
	error pg_catalog.text,
	source_changed pg_catalog.bool NOT NULL DEFAULT false,
	PRIMARY KEY (tenant_id, job_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE mindtickle.sync_job IS 'pulls of a tenant: asked for, under way, ended';
COMMENT ON COLUMN mindtickle.sync_job.source_changed IS 'settings or secrets have changed since it began: it counts for no pull of everything';
COMMENT ON COLUMN mindtickle.sync_job.requested_by IS 'the role that asked; NULL: the interval';
CREATE UNIQUE INDEX sync_job_open_idx ON mindtickle.sync_job (tenant_id)
	WHERE kind OPERATOR(pg_catalog.=) 'full' AND state OPERATOR(pg_catalog.=) ANY (ARRAY['queued', 'running']);

CREATE TABLE mindtickle.sync_resource (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	resource pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (resource OPERATOR(pg_catalog.=) ANY (ARRAY['roster', 'teams', 'team_members', 'series', 'catalog', 'progress', 'quiz_results'])),
	data_as_of pg_catalog.timestamptz,
	finished_at pg_catalog.timestamptz,
	error pg_catalog.text,
	error_at pg_catalog.timestamptz,
	latest pg_catalog.timestamptz,
	listed_at pg_catalog.timestamptz,
	awaited_since pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, resource)
);
COMMENT ON TABLE mindtickle.sync_resource IS 'for each resource the last complete pull';
COMMENT ON COLUMN mindtickle.sync_resource.latest IS 'the latest moment of the far side''s that a record bore; where changes alone can be asked for, they are from here on';
COMMENT ON COLUMN mindtickle.sync_resource.listed_at IS 'when the last complete pull of everything, not of changes alone, began; NULL: there was none, or settings or secrets have changed since';
COMMENT ON COLUMN mindtickle.sync_resource.awaited_since IS 'since when a pull is under way without whose end the figures are provisional: somebody asked for it, or it is the first since settings or secrets have changed; NULL: none is';
COMMENT ON COLUMN mindtickle.sync_resource.data_as_of IS 'when the last complete pull began: what happened upstream before it is here';

CREATE TABLE mindtickle.sync_seen (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	job_id pg_catalog.int8 NOT NULL,
	phase pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	object_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	PRIMARY KEY (tenant_id, job_id, phase, object_id)
);
COMMENT ON TABLE mindtickle.sync_seen IS 'ids that the running listing has shown: tells a loop from progress, and who is absent at the end';

CREATE TABLE mindtickle.sync_series (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	series_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	name pg_catalog.text,
	PRIMARY KEY (tenant_id, series_id)
);
COMMENT ON TABLE mindtickle.sync_series IS 'series of courses upstream: what the catalog and the reports are asked for by';

CREATE TABLE mindtickle.sync_series_module (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	series_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	course_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	PRIMARY KEY (tenant_id, course_id, series_id)
);
COMMENT ON TABLE mindtickle.sync_series_module IS 'which course is in which series; a course may be in several';
CREATE INDEX sync_series_module_series_idx ON mindtickle.sync_series_module (tenant_id, series_id);

CREATE TABLE mindtickle.sync_budget (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
	budget_until pg_catalog.timestamptz NOT NULL,
	noted_at pg_catalog.timestamptz,
	minutes pg_catalog.int4[],
	minute_left pg_catalog.int4,
	hour_left pg_catalog.int4,
	requests pg_catalog.int8 NOT NULL DEFAULT 0,
	throttled pg_catalog.int8 NOT NULL DEFAULT 0,
	unreachable pg_catalog.int8 NOT NULL DEFAULT 0,
	broken pg_catalog.int8 NOT NULL DEFAULT 0,
	unusable pg_catalog.int8 NOT NULL DEFAULT 0,
	server_errors pg_catalog.int8 NOT NULL DEFAULT 0,
	client_errors pg_catalog.int8 NOT NULL DEFAULT 0,
	refused pg_catalog.int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE mindtickle.sync_budget IS 'a tenant''s requests: how far they are accounted for, ahead of their sending, so that no window is exceeded after a crash; and how many there were and how they ended';
COMMENT ON COLUMN mindtickle.sync_budget.budget_until IS 'after a crash nothing is sent before it';
COMMENT ON COLUMN mindtickle.sync_budget.minutes IS 'requests of the last minutes, as of noted_at, the latest first; for the hour''s limit';
COMMENT ON COLUMN mindtickle.sync_budget.throttled IS 'answers 429, and 503 with a pause';
COMMENT ON COLUMN mindtickle.sync_budget.unreachable IS 'no connection';
COMMENT ON COLUMN mindtickle.sync_budget.broken IS 'a connection, but no whole answer, or none in time, or one too large';
COMMENT ON COLUMN mindtickle.sync_budget.unusable IS 'answers 200 that are not what was asked for';
COMMENT ON COLUMN mindtickle.sync_budget.refused IS 'answers 401 and 403';
COMMENT ON COLUMN mindtickle.sync_budget.hour_left IS 'as of noted_at; NULL: the hour has no limit';

CREATE TABLE mindtickle.push_queue (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	version pg_catalog.int8 NOT NULL,
	queued_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	tries pg_catalog.int4 NOT NULL DEFAULT 0,
	not_before pg_catalog.timestamptz,
	error pg_catalog.text,
	PRIMARY KEY (tenant_id, user_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE mindtickle.push_queue IS 'users whose provisioning is to go on to MindTickle: one row a user, whatever has changed, so the latest state is sent';
COMMENT ON COLUMN mindtickle.push_queue.version IS 'of the user when it was queued last: what was sent meanwhile does not take a later change out';

CREATE TABLE mindtickle.push_link (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	scim_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	PRIMARY KEY (tenant_id, user_id)
);
COMMENT ON TABLE mindtickle.push_link IS 'under which id MindTickle''s SCIM endpoint has a user that was pushed';
CREATE UNIQUE INDEX push_link_scim_id_idx ON mindtickle.push_link (tenant_id, scim_id);
