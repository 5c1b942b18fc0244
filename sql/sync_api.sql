/*
 * Asking for a pull.
 */
CREATE FUNCTION mindtickle.wake_sync() RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_wake_sync';
COMMENT ON FUNCTION mindtickle.wake_sync() IS 'wakes the sync worker of this database once the transaction has committed';

CREATE FUNCTION mindtickle.wake_aggregator() RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_wake_aggregator';
COMMENT ON FUNCTION mindtickle.wake_aggregator()
	IS 'makes the aggregator of this database look, once the transaction has committed, whether the reason of a provisional report has ended';

CREATE FUNCTION mindtickle.requests_gone(tickets pg_catalog.int8[]) RETURNS SETOF pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_requests_gone';
COMMENT ON FUNCTION mindtickle.requests_gone(pg_catalog.int8[])
	IS 'for the sync worker: those of its requests that nobody wants any more; needs no tenant in force';

CREATE FUNCTION mindtickle.require_source(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked record;
BEGIN
	SELECT t.suspended, t.source_configured INTO asked FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant;
	IF NOT asked.source_configured THEN
		RAISE EXCEPTION 'no source is configured for tenant "%"', tenant
			USING ERRCODE = 'object_not_in_prerequisite_state',
				  HINT = 'The owner of the extension stores the key with mt_set_credential.';
	ELSIF asked.suspended THEN
		RAISE EXCEPTION 'tenant "%" is suspended', tenant
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'The owner of the extension ends that with mt_resume_tenant.';
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.require_source(pg_catalog.text) IS 'error 55000 where nothing can be pulled for the tenant in force';

CREATE FUNCTION mindtickle.request_sync(tenant pg_catalog.text, asked_by pg_catalog.name) RETURNS pg_catalog.int8
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	job int8;
	begun timestamptz;
BEGIN
	PERFORM mindtickle.require_source(tenant);
	PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant FOR NO KEY UPDATE;
	-- The job that is in the way may end before it is looked at.
	WHILE job IS NULL LOOP
		INSERT INTO mindtickle.sync_job (tenant_id, kind, requested_by) VALUES (tenant, 'full', asked_by)
			ON CONFLICT DO NOTHING RETURNING job_id INTO job;
		IF NOT FOUND THEN
			SELECT j.job_id, j.started_at INTO job, begun FROM mindtickle.sync_job AS j
				WHERE j.tenant_id = tenant AND j.kind = 'full' AND j.state = ANY (ARRAY['queued', 'running']) FOR UPDATE;
		END IF;
	END LOOP;
	-- Of a pull that the interval has brought nobody has waited for the end; now somebody does, for what it has not brought yet.
	UPDATE mindtickle.sync_resource AS r SET awaited_since = now()
		WHERE r.tenant_id = tenant AND r.resource = ANY (ARRAY['roster', 'progress', 'quiz_results']) AND r.awaited_since IS NULL
			AND begun IS NOT NULL AND coalesce(greatest(r.finished_at, r.error_at) < begun, true);
	UPDATE mindtickle.tenant AS t SET open_job_id = job WHERE t.tenant_id = tenant AND t.open_job_id IS DISTINCT FROM job;
	RETURN job;
END
$$;
COMMENT ON FUNCTION mindtickle.request_sync(pg_catalog.text, pg_catalog.name) IS 'queues a full pull, or names the one that waits or runs';

CREATE FUNCTION mindtickle.forget_listings(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- The tenant first, as everybody locks it who writes what follows.
	PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = forget_listings.tenant FOR NO KEY UPDATE;
	-- A pull that is running has brought records of what was the source when it began.
	UPDATE mindtickle.sync_job AS j SET source_changed = true
		WHERE j.tenant_id = forget_listings.tenant AND j.state = 'running' AND NOT j.source_changed;
	UPDATE mindtickle.sync_resource AS r SET listed_at = NULL WHERE r.tenant_id = forget_listings.tenant AND r.listed_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.forget_listings(pg_catalog.text)
	IS 'before settings or secrets are given anew: as records of another source or account are all new, the next pull asks for everything; locks the tenant''s row';

CREATE FUNCTION @extschema@.mt_sync_tenant(tenant pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_sync_tenant';
COMMENT ON FUNCTION @extschema@.mt_sync_tenant(pg_catalog.text)
	IS 'asks for a pull of everything and returns the job''s id; mt_sync_jobs and mt_progress_sync show how it goes';

CREATE FUNCTION @extschema@.mt_sync_course_progress(tenant pg_catalog.text, user_id pg_catalog.text,
		timeout pg_catalog.interval DEFAULT '30 s')
	RETURNS SETOF mindtickle.course_progress
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_sync_course_progress';
COMMENT ON FUNCTION @extschema@.mt_sync_course_progress(pg_catalog.text, pg_catalog.text, pg_catalog.interval)
	IS 'has the sync worker pull a user''s progress now, waits for it, and returns the user''s rows; event progress.synced';

CREATE FUNCTION mindtickle.request_pull(tenant pg_catalog.text, user_id pg_catalog.text, timeout pg_catalog.interval DEFAULT '30 s')
	RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_request_pull';
COMMENT ON FUNCTION mindtickle.request_pull(pg_catalog.text, pg_catalog.text, pg_catalog.interval)
	IS 'for the gateway: mt_sync_course_progress without waiting; returns a ticket for pull_result, at once and whatever becomes of the transaction';

CREATE FUNCTION mindtickle.pull_result(ticket pg_catalog.int8, OUT state pg_catalog.text, OUT user_id pg_catalog.text,
		OUT sqlstate pg_catalog.text, OUT message pg_catalog.text, OUT detail pg_catalog.text, OUT hint pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_pull_result';
COMMENT ON FUNCTION mindtickle.pull_result(pg_catalog.int8)
	IS 'how a request_pull of the tenant in force stands: waiting, running, done with our user_id, failed with an error, or unknown';
