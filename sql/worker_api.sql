/*
 * What the workers call. They run as the service role, with the tenant in force (mindtickle.enter_tenant) but for the functions that say
 * otherwise; whatever a worker does can be done from psql the same way.
 */
CREATE FUNCTION mindtickle.worker_attach(kind pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_worker_attach';
COMMENT ON FUNCTION mindtickle.worker_attach(pg_catalog.text)
	IS 'makes this process the database''s worker of a kind until it exits; false where there is one already';

CREATE FUNCTION mindtickle.worker_state() RETURNS pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_worker_state';
COMMENT ON FUNCTION mindtickle.worker_state() IS 'ready:<service role>, or version: or role: and in words what must be done first';

CREATE FUNCTION mindtickle.worker_report(step pg_catalog.text, items pg_catalog.int8) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_worker_report';
COMMENT ON FUNCTION mindtickle.worker_report(pg_catalog.text, pg_catalog.int8)
	IS 'shows in mt_stat_worker what this worker is at (NULL: it has ended that) and, where items is given, that a round has ended well with so many';

CREATE FUNCTION mindtickle.worker_failed(message pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_worker_failed';
COMMENT ON FUNCTION mindtickle.worker_failed(pg_catalog.text) IS 'shows in mt_stat_worker that what this worker did last has failed';

CREATE FUNCTION mindtickle.worker_stats(OUT database_id pg_catalog.oid, OUT kind pg_catalog.text, OUT pid pg_catalog.int4,
		OUT started_at pg_catalog.timestamptz, OUT starts pg_catalog.int8, OUT state pg_catalog.text, OUT step pg_catalog.text,
		OUT rounds pg_catalog.int8, OUT items pg_catalog.int8, OUT errors pg_catalog.int8, OUT last_work_at pg_catalog.timestamptz,
		OUT last_error pg_catalog.text, OUT last_error_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_worker_stats';
COMMENT ON FUNCTION mindtickle.worker_stats() IS 'the workers of all databases as they report themselves; for mt_stat_worker, and so for pg_monitor';

CREATE FUNCTION mindtickle.tenant_exists(tenant pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_tenant_exists_sql';
COMMENT ON FUNCTION mindtickle.tenant_exists(pg_catalog.text)
	IS 'true when there is such a tenant, which then stays until the transaction ends; asked before it is entered, which would be a refusal and an alert; needs no tenant in force';

CREATE FUNCTION mindtickle.take_sync_look() RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_sync_look';
COMMENT ON FUNCTION mindtickle.take_sync_look()
	IS 'true when a commit has left something for the sync worker in the tables since the last call; needs no tenant in force';

CREATE FUNCTION mindtickle.take_push_marks() RETURNS SETOF pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_push_marks';
COMMENT ON FUNCTION mindtickle.take_push_marks()
	IS 'for the sync worker: tenants that have queued somebody to be pushed since the last call; one NULL: any; needs no tenant in force';

CREATE FUNCTION mindtickle.take_requests(OUT ticket pg_catalog.int8, OUT tenant_id pg_catalog.text, OUT kind pg_catalog.text,
		OUT subject pg_catalog.text, OUT ends_at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_requests';
COMMENT ON FUNCTION mindtickle.take_requests()
	IS 'for the sync worker: what backends of this database wait for, in the order in which they asked; needs no tenant in force';

CREATE FUNCTION mindtickle.request_step(ticket pg_catalog.int8, step pg_catalog.text) RETURNS pg_catalog.bool
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_request_step';
COMMENT ON FUNCTION mindtickle.request_step(pg_catalog.int8, pg_catalog.text)
	IS 'says in words what a request waits for; false: nobody wants it any more; needs no tenant in force';

CREATE FUNCTION mindtickle.finish_request(ticket pg_catalog.int8, answer pg_catalog.text, sqlstate pg_catalog.text, message pg_catalog.text,
		hint pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_finish_request';
COMMENT ON FUNCTION mindtickle.finish_request(pg_catalog.int8, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)
	IS 'answers a request once the transaction has committed, with an error where sqlstate is given; needs no tenant in force';

CREATE FUNCTION mindtickle.mark_readiness(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_mark_readiness_of';
COMMENT ON FUNCTION mindtickle.mark_readiness(pg_catalog.text) IS 'tells the aggregator, once the transaction has committed, that the tenant''s readiness has changed';

CREATE FUNCTION mindtickle.take_readiness_marks() RETURNS SETOF pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_readiness_marks';
COMMENT ON FUNCTION mindtickle.take_readiness_marks()
	IS 'for the aggregator: tenants whose readiness has changed since the last call; one NULL: any; #days, #reruns: what is to be looked at again; no row: the next mark wakes it';

CREATE FUNCTION mindtickle.take_marks() RETURNS SETOF pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_take_dirty_tenants';
COMMENT ON FUNCTION mindtickle.take_marks() IS 'for the publisher: tenants that have written events since the last call; one NULL: any; no row: the next mark wakes it';

CREATE FUNCTION mindtickle.sync_overview(tenant pg_catalog.text DEFAULT NULL, OUT tenant_id pg_catalog.text, OUT suspended pg_catalog.bool,
		OUT source_configured pg_catalog.bool, OUT next_sync_at pg_catalog.timestamptz, OUT backoff_until pg_catalog.timestamptz,
		OUT budget_until pg_catalog.timestamptz, OUT open_job_id pg_catalog.int8, OUT sync_interval pg_catalog.interval,
		OUT push_users pg_catalog.bool, OUT source_version pg_catalog.int8)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Moments that are further away than any that is set were set while the clock was ahead: they do not count. A pull is put off by 1.1 intervals at
	-- most (next_pull), a tenant rests for four hours at most, and an hour more is for a clock that was a little ahead.
	SELECT s.tenant_id, s.suspended, s.source_configured,
		CASE WHEN s.next_sync_at > now() + 1.1 * s.sync_interval THEN now() ELSE s.next_sync_at END,
		CASE WHEN s.backoff_until <= now() + interval '5 hours' THEN s.backoff_until END,
		b.budget_until, s.open_job_id, s.sync_interval, s.push_users, s.source_version
	FROM (SELECT t.*, coalesce(t.settings ->> 'sync_interval', d.default_value #>> '{}')::interval AS sync_interval,
			coalesce(t.settings -> 'push_users' = 'true', false) AS push_users
		  FROM mindtickle.tenant AS t JOIN mindtickle.setting_definitions() AS d ON d.name = 'sync_interval') AS s
		LEFT JOIN mindtickle.sync_budget AS b ON b.tenant_id = s.tenant_id
	-- By the index for one, too: '' and '{' are before and behind all that a tenant can be called.
	WHERE s.tenant_id BETWEEN coalesce(sync_overview.tenant, '') AND coalesce(sync_overview.tenant, '{')
	ORDER BY s.tenant_id
$$;
COMMENT ON FUNCTION mindtickle.sync_overview(pg_catalog.text)
	IS 'for each tenant, or for one, what the sync worker must know to plan; for all it needs no tenant in force';

CREATE FUNCTION mindtickle.reserve_budget(tenants pg_catalog.text[], until pg_catalog.timestamptz[], minutes pg_catalog.text[],
		minute_left pg_catalog.int4[], hour_left pg_catalog.int4[]) RETURNS SETOF pg_catalog.int4
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Who is being dropped must not make the others wait.
	WITH free AS MATERIALIZED (
		SELECT b.tenant_id FROM mindtickle.sync_budget AS b WHERE b.tenant_id = ANY (tenants) FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE mindtickle.sync_budget AS b
	-- Nothing is accounted for so far ahead: that was the clock.
	SET budget_until = greatest(CASE WHEN b.budget_until <= clock_timestamp() + interval '10 min' THEN b.budget_until END, n.until),
		noted_at = clock_timestamp(), minutes = n.minutes::int4[], minute_left = n.minute_left, hour_left = n.hour_left
	FROM free AS f, unnest(tenants, until, reserve_budget.minutes, reserve_budget.minute_left, reserve_budget.hour_left)
		WITH ORDINALITY AS n (tenant_id, until, minutes, minute_left, hour_left, place)
	WHERE b.tenant_id = f.tenant_id AND b.tenant_id = n.tenant_id
	RETURNING n.place::int4
$$;
COMMENT ON FUNCTION mindtickle.reserve_budget(pg_catalog.text[], pg_catalog.timestamptz[], pg_catalog.text[], pg_catalog.int4[], pg_catalog.int4[])
	IS 'accounts for requests up to a moment, before they are sent, and returns for whom, as places in the arrays: not for those whose rows another transaction holds; minutes are int4[] as text, null where the hour has no limit; needs no tenant in force';

CREATE FUNCTION mindtickle.budget_of(tenant pg_catalog.text, OUT age pg_catalog.int8, OUT minutes pg_catalog.int4[])
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (extract(epoch FROM clock_timestamp() - b.noted_at) * 1000000)::int8, b.minutes
	FROM mindtickle.sync_budget AS b WHERE b.tenant_id = tenant AND b.tenant_id = @extschema@.mt_current_tenant()
$$;
COMMENT ON FUNCTION mindtickle.budget_of(pg_catalog.text)
	IS 'the requests that an earlier worker has counted for the tenant''s hour, and how many microseconds ago it noted them';

CREATE FUNCTION mindtickle.credential_of(tenant pg_catalog.text, OUT credential pg_catalog.jsonb, OUT unreadable pg_catalog.text,
		OUT lacking pg_catalog.text, OUT key_unreadable pg_catalog.bool, OUT scores_unreadable pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	remedy CONSTANT text := '; mend that, or store another secret with mt_set_credential';
	stored record;
	settings jsonb;
	reason text;
	used bool;
BEGIN
	key_unreadable := false;
	scores_unreadable := false;
	FOR stored IN SELECT c.name, c.secret, c.file FROM mindtickle.credential AS c WHERE c.tenant_id = credential_of.tenant ORDER BY c.name LOOP
		IF stored.secret IS NULL THEN
			BEGIN
				stored.secret := mindtickle.read_secret_file(credential_of.tenant, stored.file);
			EXCEPTION WHEN undefined_file OR object_not_in_prerequisite_state OR invalid_parameter_value THEN
				GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
				reason := stored.name || ': ' || SQLERRM || coalesce(' (' || nullif(reason, '') || ')', '');
				settings := coalesce(settings, mindtickle.effective_settings(credential_of.tenant));
				-- Only the live contract signs in with a pair and asks somebody for scores, who is not there without both of his secrets.
				used := CASE stored.name WHEN 'api_key' THEN true
										 WHEN 'scim_token' THEN settings -> 'push_users' = 'true'
										 WHEN 'secret_key' THEN settings ->> 'contract' = 'live'
										 ELSE settings ->> 'contract' = 'live' AND 2 = (SELECT count(*) FROM mindtickle.credential AS c
											WHERE c.tenant_id = credential_of.tenant AND c.name = ANY (ARRAY['reporting_user', 'reporting_password'])) END;
				unreadable := concat_ws('; ', unreadable, reason);
				IF used THEN
					lacking := concat_ws('; ', lacking, reason);
					key_unreadable := key_unreadable OR stored.name = ANY (ARRAY['api_key', 'secret_key']);
					scores_unreadable := scores_unreadable OR stored.name = ANY (ARRAY['reporting_user', 'reporting_password']);
				END IF;
				CONTINUE;
			END;
		END IF;
		credential := coalesce(credential, '{}') || jsonb_build_object(stored.name, stored.secret);
	END LOOP;
	unreadable := unreadable || remedy;
	lacking := lacking || remedy;
	IF coalesce(credential::text, unreadable) IS NOT NULL THEN
		RETURN NEXT;
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.credential_of(pg_catalog.text)
	IS 'for the sync worker: the secrets of a tenant, and in words which of them cannot be read from their files; lacking: those among them that its contract and settings use; key_unreadable: one of these without which nothing can be sent; scores_unreadable: one of these of the reporting user''s; no row: there are none';

CREATE FUNCTION mindtickle.credential_stored_at(tenant pg_catalog.text) RETURNS pg_catalog.timestamptz
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT max(c.stored_at) FROM mindtickle.credential AS c WHERE c.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.credential_stored_at(pg_catalog.text)
	IS 'when a secret of a tenant was stored last: one that was refused is tried again after that, be it the same';

CREATE FUNCTION mindtickle.sync_open(tenant pg_catalog.text, OUT job_id pg_catalog.int8, OUT kind pg_catalog.text, OUT phase pg_catalog.text,
		OUT "position" pg_catalog.jsonb, OUT settings pg_catalog.jsonb, OUT credential pg_catalog.jsonb, OUT done pg_catalog.int8,
		OUT total pg_catalog.int8, OUT stored_at pg_catalog.timestamptz, OUT unreadable pg_catalog.text, OUT key_unreadable pg_catalog.bool,
		OUT scores_unreadable pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	state_of record;
	job mindtickle.sync_job;
BEGIN
	SELECT o.suspended, o.source_configured, o.next_sync_at, o.backoff_until INTO state_of FROM mindtickle.sync_overview(sync_open.tenant) AS o;
	IF state_of.suspended OR NOT state_of.source_configured OR state_of.backoff_until > now() THEN
		RETURN;
	END IF;
	IF EXISTS (SELECT FROM mindtickle.credential AS c WHERE c.tenant_id = sync_open.tenant
			   AND c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() AS s)) THEN
		PERFORM mindtickle.sync_back_off(sync_open.tenant, now() + interval '1 hour', mindtickle.foreign_site_error());
		RETURN;
	END IF;

	SELECT j.* INTO job FROM mindtickle.sync_job AS j
		WHERE j.tenant_id = sync_open.tenant AND j.kind = 'full' AND j.state = ANY (ARRAY['queued', 'running']);
	IF NOT FOUND AND (state_of.next_sync_at IS NULL OR state_of.next_sync_at > now()) THEN
		RETURN;
	END IF;
	IF job.state IS DISTINCT FROM 'running' THEN
		PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = sync_open.tenant FOR NO KEY UPDATE;
	END IF;
	-- One that does not count is not shown either.
	UPDATE mindtickle.tenant AS t SET backoff_until = NULL WHERE t.tenant_id = sync_open.tenant AND t.backoff_until > now();
	IF job.job_id IS NULL THEN
		INSERT INTO mindtickle.sync_job (tenant_id, kind) VALUES (sync_open.tenant, 'full') RETURNING * INTO job;
	END IF;
	UPDATE mindtickle.tenant AS t SET open_job_id = job.job_id
		WHERE t.tenant_id = sync_open.tenant AND t.open_job_id IS DISTINCT FROM job.job_id;
	UPDATE mindtickle.sync_job AS j
		SET state = 'running', started_at = coalesce(j.started_at, now()), phase_started_at = coalesce(j.phase_started_at, now())
		WHERE j.tenant_id = sync_open.tenant AND j.job_id = job.job_id AND j.state = 'queued';
	IF FOUND THEN
		-- Whoever has asked for a pull waits for its end; those that the interval brings go on all day.
		UPDATE mindtickle.sync_resource AS r SET awaited_since = now()
			WHERE r.tenant_id = sync_open.tenant AND r.resource = ANY (ARRAY['roster', 'progress', 'quiz_results'])
				AND (job.requested_by IS NOT NULL OR r.listed_at IS NULL);
	END IF;
	RETURN QUERY SELECT job.job_id, job.kind, job.phase, job.position, mindtickle.source_settings(sync_open.tenant),
		c.credential, job.done, job.total, mindtickle.credential_stored_at(sync_open.tenant), c.lacking, c.key_unreadable, c.scores_unreadable
		FROM (VALUES (1)) AS once LEFT JOIN mindtickle.credential_of(sync_open.tenant) AS c ON true;
END
$$;
COMMENT ON FUNCTION mindtickle.sync_open(pg_catalog.text)
	IS 'takes up a tenant''s pull, beginning the periodic one when it is due, where it was left off; no row: nothing to do';

CREATE FUNCTION mindtickle.sync_since(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Moments are the far side's: an hour more, for what it shows late or out of order; and none that our clock has not reached.
	SELECT to_char((least(r.latest, r.data_as_of) - interval '1 hour') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
	FROM mindtickle.sync_resource AS r JOIN mindtickle.sync_job AS j ON j.tenant_id = r.tenant_id
	WHERE r.tenant_id = tenant AND r.resource = sync_since.phase AND j.job_id = sync_since.job_id AND j.requested_by IS NULL
		AND r.latest IS NOT NULL AND r.listed_at BETWEEN j.started_at - interval '1 day' AND j.started_at
$$;
COMMENT ON FUNCTION mindtickle.sync_since(pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'since when changes are asked for; null: a pull that somebody asked for, and one a day, asks for everything, which also brings what was changed without a later moment';

CREATE FUNCTION mindtickle.sync_next_users(tenant pg_catalog.text, job_id pg_catalog.int8, after pg_catalog.text, max_rows pg_catalog.int4,
		OUT user_id pg_catalog.text, OUT mindtickle_id pg_catalog.text, OUT known pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY SELECT u.user_id, u.mindtickle_id,
			u.updated_at < (SELECT r.data_as_of FROM mindtickle.sync_resource AS r WHERE r.tenant_id = tenant AND r.resource = 'progress')
		FROM mindtickle.users AS u
		WHERE u.tenant_id = tenant AND u.user_id > after AND u.active AND u.mindtickle_id IS NOT NULL
		ORDER BY u.user_id LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION mindtickle.sync_next_users(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.int4)
	IS 'the next users whose progress is to be pulled; known: nobody who came, came back or was changed since it was last pulled, so its changes are enough';

CREATE FUNCTION mindtickle.sync_advance(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text, "position" pg_catalog.jsonb,
		done pg_catalog.int8, total pg_catalog.int8, changed pg_catalog.int8 DEFAULT 0, rejected pg_catalog.int8 DEFAULT 0) RETURNS pg_catalog.bool
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE mindtickle.sync_job AS j
		SET phase = sync_advance.phase, position = sync_advance.position, done = sync_advance.done, total = sync_advance.total,
			changed = j.changed + sync_advance.changed, rejected = j.rejected + sync_advance.rejected,
			phase_started_at = CASE WHEN j.phase = sync_advance.phase THEN j.phase_started_at ELSE now() END
		WHERE j.tenant_id = sync_advance.tenant AND j.job_id = sync_advance.job_id AND j.state = 'running';
	IF NOT FOUND THEN
		-- A listing that was cancelled has shown nothing: also not what was stored of it meanwhile.
		DELETE FROM mindtickle.sync_seen AS s WHERE s.tenant_id = sync_advance.tenant AND s.job_id = sync_advance.job_id;
		RETURN false;
	END IF;
	RETURN true;
END
$$;
COMMENT ON FUNCTION mindtickle.sync_advance(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int8, pg_catalog.int8,
	pg_catalog.int8, pg_catalog.int8)
	IS 'saves how far a pull has come, in the transaction that stores what was fetched, and adds to its figures what became of that; false: the job is not running any more';

CREATE FUNCTION mindtickle.deactivate_absent_users(tenant pg_catalog.text, job_id pg_catalog.int8) RETURNS pg_catalog.int8
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH gone AS (
		UPDATE mindtickle.users AS u SET active = false, version = u.version + 1, updated_at = now()
		WHERE u.tenant_id = tenant AND u.active AND u.mindtickle_id IS NOT NULL
			AND NOT EXISTS (SELECT FROM mindtickle.sync_seen AS s WHERE s.tenant_id = tenant AND s.job_id = deactivate_absent_users.job_id
							AND s.phase = 'roster' AND s.object_id = u.mindtickle_id)
			-- what is not upstream yet cannot be absent from it
			AND NOT EXISTS (SELECT FROM mindtickle.push_queue AS q WHERE q.tenant_id = tenant AND q.user_id = u.user_id)
			-- a listing of nobody is a fault upstream, not the dismissal of everybody
			AND EXISTS (SELECT FROM mindtickle.sync_seen AS s WHERE s.tenant_id = tenant AND s.job_id = deactivate_absent_users.job_id
						AND s.phase = 'roster')
			-- an empty id stands for a record whose id could not be read: it may be anybody's
			AND NOT EXISTS (SELECT FROM mindtickle.sync_seen AS s WHERE s.tenant_id = tenant AND s.job_id = deactivate_absent_users.job_id
							AND s.phase = 'roster' AND s.object_id = '')
		RETURNING u.*
	), told AS MATERIALIZED (
		SELECT mindtickle.emit_event(tenant, 'user_changed', jsonb_build_object('tenantId', tenant, 'operation', 'DELETE',
			'user', mindtickle.user_as_json(ROW(g.*)::mindtickle.users))) FROM gone AS g
	)
	SELECT count(*) FROM told
$$;
COMMENT ON FUNCTION mindtickle.deactivate_absent_users(pg_catalog.text, pg_catalog.int8)
	IS 'deactivates the pulled users that a complete listing did not show';

CREATE FUNCTION mindtickle.sync_finish_phase(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text, complete pg_catalog.bool,
		error pg_catalog.text, everything pg_catalog.bool DEFAULT false, latest pg_catalog.timestamptz DEFAULT NULL, whole pg_catalog.bool DEFAULT true)
	RETURNS pg_catalog.void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	began timestamptz;
	listed timestamptz;
BEGIN
	PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = sync_finish_phase.tenant FOR NO KEY UPDATE;
	SELECT coalesce(j.phase_started_at, now()), CASE WHEN everything AND NOT j.source_changed THEN coalesce(j.phase_started_at, now()) END
		INTO began, listed FROM mindtickle.sync_job AS j
		WHERE j.tenant_id = sync_finish_phase.tenant AND j.job_id = sync_finish_phase.job_id AND j.state = 'running' FOR UPDATE;
	-- What a listing that was cancelled has shown is forgotten, so nothing can be told from it.
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF complete THEN
		INSERT INTO mindtickle.sync_resource AS r (tenant_id, resource, data_as_of, finished_at, latest, listed_at)
			VALUES (sync_finish_phase.tenant, sync_finish_phase.phase, began, clock_timestamp(), sync_finish_phase.latest, listed)
			ON CONFLICT (tenant_id, resource) DO UPDATE
				SET data_as_of = excluded.data_as_of, finished_at = excluded.finished_at, error = NULL, error_at = NULL,
					latest = greatest(r.latest, excluded.latest), listed_at = coalesce(excluded.listed_at, r.listed_at), awaited_since = NULL;
		IF sync_finish_phase.phase = 'roster' AND whole THEN
			PERFORM mindtickle.deactivate_absent_users(sync_finish_phase.tenant, sync_finish_phase.job_id);
		ELSIF sync_finish_phase.phase = ANY (ARRAY['teams', 'series']) THEN
			PERFORM mindtickle.forget_absent_groupings(sync_finish_phase.tenant, sync_finish_phase.job_id, sync_finish_phase.phase);
		END IF;
	ELSE
		INSERT INTO mindtickle.sync_resource AS r (tenant_id, resource, error, error_at)
			VALUES (sync_finish_phase.tenant, sync_finish_phase.phase, sync_finish_phase.error, clock_timestamp())
			ON CONFLICT (tenant_id, resource) DO UPDATE SET error = excluded.error, error_at = excluded.error_at, awaited_since = NULL;
	END IF;
	IF sync_finish_phase.phase = 'roster' THEN
		PERFORM mindtickle.settle_managers(sync_finish_phase.tenant, sync_finish_phase.job_id, complete AND whole);
	END IF;
	DELETE FROM mindtickle.sync_seen AS s
		WHERE s.tenant_id = sync_finish_phase.tenant AND s.job_id = sync_finish_phase.job_id AND s.phase = sync_finish_phase.phase;
	PERFORM mindtickle.wake_aggregator();
END
$$;
COMMENT ON FUNCTION mindtickle.sync_finish_phase(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.bool, pg_catalog.timestamptz,
	pg_catalog.bool)
	IS 'ends the pull of one resource, unless the job is not running any more; a complete listing tells who and what is gone; everything: it was not asked for changes alone; latest: the latest moment that a record bore; whole: of a complete roster nobody can have been missed, so that who was absent is gone';

CREATE FUNCTION mindtickle.next_pull(tenant pg_catalog.text) RETURNS pg_catalog.timestamptz
	LANGUAGE sql STRICT VOLATILE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT now() + (mindtickle.effective_settings(tenant) ->> 'sync_interval')::interval * (0.9 + 0.2 * random())
$$;
COMMENT ON FUNCTION mindtickle.next_pull(pg_catalog.text)
	IS 'when the next pull begins: not all tenants at one moment, so a tenth of the interval earlier or later';

CREATE FUNCTION mindtickle.end_waiting(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	UPDATE mindtickle.sync_resource AS r SET awaited_since = NULL WHERE r.tenant_id = end_waiting.tenant AND r.awaited_since IS NOT NULL;
	SELECT mindtickle.wake_aggregator()
$$;
COMMENT ON FUNCTION mindtickle.end_waiting(pg_catalog.text) IS 'the figures of a tenant wait for no pull any more: it has ended, however';

CREATE FUNCTION mindtickle.sync_close(tenant pg_catalog.text, job_id pg_catalog.int8, state pg_catalog.text, error pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	ended_phase text;
	begun timestamptz;
BEGIN
	PERFORM FROM mindtickle.tenant AS t WHERE t.tenant_id = sync_close.tenant FOR NO KEY UPDATE;
	UPDATE mindtickle.sync_job AS j
		SET state = sync_close.state, error = sync_close.error, finished_at = clock_timestamp(), position = '{}'
		WHERE j.tenant_id = sync_close.tenant AND j.job_id = sync_close.job_id AND j.state = 'running'
		RETURNING j.phase, j.started_at INTO ended_phase, begun;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE mindtickle.tenant AS t
		SET open_job_id = NULL,
			-- At once where a credential was stored in between.
			next_sync_at = CASE WHEN t.next_sync_at > begun AND t.next_sync_at <= clock_timestamp() THEN t.next_sync_at ELSE mindtickle.next_pull(sync_close.tenant) END,
			last_error = CASE WHEN sync_close.state = 'failed' THEN sync_close.error END,
			last_error_at = CASE WHEN sync_close.state = 'failed' THEN now() END
		WHERE t.tenant_id = sync_close.tenant;
	DELETE FROM mindtickle.sync_seen AS s WHERE s.tenant_id = sync_close.tenant AND s.job_id = sync_close.job_id;
	PERFORM mindtickle.end_waiting(sync_close.tenant);
	IF sync_close.state = 'failed' THEN
		PERFORM mindtickle.emit_event(sync_close.tenant, 'sync.failed',
			jsonb_build_object('tenantId', sync_close.tenant, 'jobId', sync_close.job_id, 'phase', ended_phase, 'error', sync_close.error));
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.sync_close(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.text)
	IS 'ends a pull as done or failed and sets when the next one begins; event sync.failed';

CREATE FUNCTION mindtickle.sync_back_off(tenant pg_catalog.text, until pg_catalog.timestamptz, error pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	UPDATE mindtickle.tenant AS t SET backoff_until = until, last_error = error, last_error_at = now() WHERE t.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.sync_back_off(pg_catalog.text, pg_catalog.timestamptz, pg_catalog.text)
	IS 'sends nothing for a tenant before a moment, with the reason in words';

CREATE FUNCTION mindtickle.sync_count(tenant pg_catalog.text, job_id pg_catalog.int8, requests pg_catalog.int8, throttled pg_catalog.int8,
		unreachable pg_catalog.int8, broken pg_catalog.int8, unusable pg_catalog.int8, server_errors pg_catalog.int8,
		client_errors pg_catalog.int8, refused pg_catalog.int8) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	UPDATE mindtickle.sync_job AS j
	SET requests = j.requests + sync_count.requests, throttled = j.throttled + sync_count.throttled,
		errors = j.errors + sync_count.unreachable + sync_count.broken + sync_count.unusable + sync_count.server_errors
			+ sync_count.client_errors + sync_count.refused
	WHERE j.tenant_id = sync_count.tenant AND j.job_id = sync_count.job_id;
	UPDATE mindtickle.sync_budget AS b
	SET requests = b.requests + sync_count.requests, throttled = b.throttled + sync_count.throttled,
		unreachable = b.unreachable + sync_count.unreachable, broken = b.broken + sync_count.broken, unusable = b.unusable + sync_count.unusable,
		server_errors = b.server_errors + sync_count.server_errors, client_errors = b.client_errors + sync_count.client_errors,
		refused = b.refused + sync_count.refused
	WHERE b.tenant_id = sync_count.tenant AND b.tenant_id = @extschema@.mt_current_tenant();
END
$$;
COMMENT ON FUNCTION mindtickle.sync_count(pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.int8, pg_catalog.int8, pg_catalog.int8,
	pg_catalog.int8, pg_catalog.int8, pg_catalog.int8, pg_catalog.int8)
	IS 'adds to the figures of a pull (job 0: of none) and of its tenant';
