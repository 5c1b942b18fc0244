/*
 * What operators see and do: cancelling a pull, and the state of each tenant's sync in figures, without personal data.
 */
CREATE FUNCTION mindtickle.cancel_job(tenant pg_catalog.text, job_id pg_catalog.int8, asked_by pg_catalog.name) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = cancel_job.tenant FOR NO KEY UPDATE;
	UPDATE mindtickle.sync_job AS j
		SET state = 'cancelled', finished_at = clock_timestamp(), error = format('cancelled by %s', asked_by), position = '{}'
		WHERE j.tenant_id = tenant AND j.job_id = cancel_job.job_id AND j.state = ANY (ARRAY['queued', 'running']);
	IF NOT FOUND THEN
		IF NOT EXISTS (SELECT FROM mindtickle.sync_job AS j WHERE j.tenant_id = tenant AND j.job_id = cancel_job.job_id) THEN
			RAISE EXCEPTION 'tenant "%" has no job %', tenant, cancel_job.job_id
				USING ERRCODE = 'no_data_found', HINT = 'mt_sync_jobs lists the jobs.';
		END IF;
		RETURN false;
	END IF;
	UPDATE mindtickle.tenant AS t SET open_job_id = NULL, next_sync_at = mindtickle.next_pull(cancel_job.tenant)
		WHERE t.tenant_id = cancel_job.tenant AND t.open_job_id = cancel_job.job_id;
	DELETE FROM mindtickle.sync_seen AS s WHERE s.tenant_id = tenant AND s.job_id = cancel_job.job_id;
	PERFORM mindtickle.end_waiting(tenant);
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.cancel_job(pg_catalog.text, pg_catalog.int8, pg_catalog.name)
	IS 'ends a pull that waits or runs; false where it has ended already; error P0002 where there is none';

CREATE FUNCTION @extschema@.mt_cancel_job(tenant pg_catalog.text, job_id pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_cancel_job';
COMMENT ON FUNCTION @extschema@.mt_cancel_job(pg_catalog.text, pg_catalog.int8)
	IS 'ends a pull that waits or runs: true, and nothing more is sent for it once this has committed; what it has stored stays';

CREATE FUNCTION mindtickle.tenant_stat(tenant pg_catalog.text, OUT tenant_id pg_catalog.text, OUT suspended pg_catalog.bool,
		OUT source_configured pg_catalog.bool, OUT requests pg_catalog.int8, OUT throttled pg_catalog.int8, OUT unreachable pg_catalog.int8,
		OUT broken pg_catalog.int8, OUT unusable pg_catalog.int8, OUT server_errors pg_catalog.int8, OUT client_errors pg_catalog.int8,
		OUT refused pg_catalog.int8, OUT roster_at pg_catalog.timestamptz, OUT teams_at pg_catalog.timestamptz,
		OUT team_members_at pg_catalog.timestamptz, OUT series_at pg_catalog.timestamptz, OUT catalog_at pg_catalog.timestamptz,
		OUT progress_at pg_catalog.timestamptz, OUT quiz_results_at pg_catalog.timestamptz, OUT failing pg_catalog.text[],
		OUT minute_left pg_catalog.int4, OUT hour_left pg_catalog.int4, OUT next_run_at pg_catalog.timestamptz,
		OUT backoff_until pg_catalog.timestamptz, OUT phase pg_catalog.text, OUT done pg_catalog.int8, OUT total pg_catalog.int8,
		OUT phase_started_at pg_catalog.timestamptz, OUT unknown_users pg_catalog.int8, OUT dead_letters pg_catalog.int8,
		OUT last_error pg_catalog.text, OUT last_error_at pg_catalog.timestamptz)
	RETURNS pg_catalog.record
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT t.tenant_id, t.suspended, t.source_configured, b.requests, b.throttled, b.unreachable, b.broken, b.unusable, b.server_errors,
		b.client_errors, b.refused, r.roster_at, r.teams_at, r.team_members_at, r.series_at, r.catalog_at, r.progress_at, r.quiz_results_at, r.failing,
		-- a minute after the last request all of it is left
		CASE WHEN b.noted_at > clock_timestamp() - interval '1 minute' THEN b.minute_left ELSE (s.settings ->> 'requests_per_minute')::numeric::int4 END,
		CASE WHEN b.noted_at > clock_timestamp() - interval '1 hour' AND b.hour_left IS NOT NULL THEN b.hour_left
			 ELSE (s.settings ->> 'requests_per_hour')::numeric::int4 END,
		CASE WHEN t.source_configured AND NOT t.suspended THEN
			greatest(CASE WHEN j.job_id IS NULL THEN t.next_sync_at ELSE clock_timestamp() END, t.backoff_until) END,
		CASE WHEN t.backoff_until > clock_timestamp() THEN t.backoff_until END,
		j.phase, j.done, j.total, j.phase_started_at,
		(SELECT f.learners FROM @extschema@.mt_readiness(tenant) AS f)
			- (SELECT count(*) FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.active),
		(SELECT count(*) FROM mindtickle.dead_letter AS d WHERE d.tenant_id = tenant AND d.replayed_at IS NULL),
		t.last_error, t.last_error_at
	FROM mindtickle.tenant AS t
	JOIN mindtickle.sync_budget AS b ON b.tenant_id = tenant
	CROSS JOIN LATERAL (SELECT mindtickle.effective_settings(tenant) AS settings) AS s
	CROSS JOIN LATERAL (
		SELECT max(x.finished_at) FILTER (WHERE x.resource = 'roster') AS roster_at, max(x.finished_at) FILTER (WHERE x.resource = 'teams') AS teams_at,
			max(x.finished_at) FILTER (WHERE x.resource = 'team_members') AS team_members_at,
			max(x.finished_at) FILTER (WHERE x.resource = 'series') AS series_at, max(x.finished_at) FILTER (WHERE x.resource = 'catalog') AS catalog_at,
			max(x.finished_at) FILTER (WHERE x.resource = 'progress') AS progress_at,
			max(x.finished_at) FILTER (WHERE x.resource = 'quiz_results') AS quiz_results_at,
			array_agg(format('%s: %s', x.resource, x.error) ORDER BY x.resource) FILTER (WHERE x.error IS NOT NULL) AS failing
		FROM mindtickle.sync_resource AS x WHERE x.tenant_id = tenant) AS r
	LEFT JOIN mindtickle.sync_job AS j ON j.tenant_id = tenant AND j.job_id = t.open_job_id
	WHERE t.tenant_id = tenant AND t.tenant_id = @extschema@.mt_current_tenant()
$$;
COMMENT ON FUNCTION mindtickle.tenant_stat(pg_catalog.text) IS 'a tenant''s row of mt_stat_tenant, with the tenant in force';

CREATE FUNCTION mindtickle.tenant_stats(OUT tenant_id pg_catalog.text, OUT suspended pg_catalog.bool,
		OUT source_configured pg_catalog.bool, OUT requests pg_catalog.int8, OUT throttled pg_catalog.int8, OUT unreachable pg_catalog.int8,
		OUT broken pg_catalog.int8, OUT unusable pg_catalog.int8, OUT server_errors pg_catalog.int8, OUT client_errors pg_catalog.int8,
		OUT refused pg_catalog.int8, OUT roster_at pg_catalog.timestamptz, OUT teams_at pg_catalog.timestamptz,
		OUT team_members_at pg_catalog.timestamptz, OUT series_at pg_catalog.timestamptz, OUT catalog_at pg_catalog.timestamptz,
		OUT progress_at pg_catalog.timestamptz, OUT quiz_results_at pg_catalog.timestamptz, OUT failing pg_catalog.text[],
		OUT minute_left pg_catalog.int4, OUT hour_left pg_catalog.int4, OUT next_run_at pg_catalog.timestamptz,
		OUT backoff_until pg_catalog.timestamptz, OUT phase pg_catalog.text, OUT done pg_catalog.int8, OUT total pg_catalog.int8,
		OUT phase_started_at pg_catalog.timestamptz, OUT unknown_users pg_catalog.int8, OUT dead_letters pg_catalog.int8,
		OUT last_error pg_catalog.text, OUT last_error_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tenant_stats';
COMMENT ON FUNCTION mindtickle.tenant_stats() IS 'tenant_stat of every tenant, for members of pg_monitor';

CREATE VIEW @extschema@.mt_stat_tenant WITH (security_invoker = true) AS
	SELECT s.tenant_id, s.suspended, s.source_configured, s.requests, s.throttled, s.unreachable, s.broken, s.unusable, s.server_errors,
		s.client_errors, s.refused, s.roster_at, s.teams_at, s.team_members_at, s.series_at, s.catalog_at, s.progress_at, s.quiz_results_at, s.failing, s.minute_left, s.hour_left,
		s.next_run_at, s.backoff_until, s.phase, s.done, s.total, s.phase_started_at, s.unknown_users, s.dead_letters, s.last_error,
		s.last_error_at
	FROM mindtickle.tenant_stats() AS s;
COMMENT ON VIEW @extschema@.mt_stat_tenant IS 'the sync of every tenant in figures: requests and how they ended, last good pulls, what is left of the budget; for members of pg_monitor';
COMMENT ON COLUMN @extschema@.mt_stat_tenant.failing IS 'resources whose last pull failed, and why';
COMMENT ON COLUMN @extschema@.mt_stat_tenant.minute_left IS 'requests left of the minute, as of a few seconds ago';
COMMENT ON COLUMN @extschema@.mt_stat_tenant.phase IS 'of the pull under way, as done and total; NULL: none is';
COMMENT ON COLUMN @extschema@.mt_stat_tenant.unknown_users IS 'people with progress or quiz results whom the roster has not brought yet';
