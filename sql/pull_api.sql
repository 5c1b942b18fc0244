/*
 * What a pull asks the database for, and stores. Called by the sync worker, as the service role with the tenant in force; whatever it does can be
 * done from psql the same way.
 */
CREATE FUNCTION mindtickle.source_settings(tenant pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT mindtickle.effective_settings(tenant) || jsonb_strip_nulls(jsonb_build_object('site_url', t.site_url))
	FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.source_settings(pg_catalog.text) IS 'for the sync worker: a tenant''s settings, and as site_url which of its base_urls answered last';

CREATE FUNCTION mindtickle.note_site(tenant pg_catalog.text, base_url pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	UPDATE mindtickle.tenant AS t SET site_url = base_url WHERE t.tenant_id = tenant AND t.site_url IS DISTINCT FROM base_url
$$;
COMMENT ON FUNCTION mindtickle.note_site(pg_catalog.text, pg_catalog.text) IS 'remembers the base URL, and so the region, that knows the tenant''s site';

CREATE FUNCTION mindtickle.report_items(tenant pg_catalog.text) RETURNS SETOF pg_catalog.text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- A series that has no module of its own alone needs no request.
	SELECT 'series/' || s.series_id FROM mindtickle.sync_series AS s
	WHERE s.tenant_id = tenant AND EXISTS (
		SELECT FROM mindtickle.sync_series_module AS m WHERE m.tenant_id = tenant AND m.series_id = s.series_id
			AND NOT EXISTS (SELECT FROM mindtickle.sync_series_module AS o
							WHERE o.tenant_id = tenant AND o.course_id = m.course_id AND o.series_id <> m.series_id))
	UNION ALL
	SELECT 'module/' || m.course_id FROM mindtickle.sync_series_module AS m
	WHERE m.tenant_id = tenant GROUP BY m.course_id HAVING count(*) > 1
$$;
COMMENT ON FUNCTION mindtickle.report_items(pg_catalog.text)
	IS 'the requests that bring a tenant''s whole report: one for each series, and one for each module that is in several, whose rows must be seen together';

CREATE FUNCTION mindtickle.sync_items(tenant pg_catalog.text, job_id pg_catalog.int8, over pg_catalog.text, after pg_catalog.text,
		max_rows pg_catalog.int4, OUT key pg_catalog.text, OUT upstream_id pg_catalog.text, OUT known pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE plpgsql STRICT STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE over
		WHEN 'users' THEN
			RETURN QUERY SELECT u.user_id, u.mindtickle_id, u.known FROM mindtickle.sync_next_users(tenant, job_id, after, max_rows) AS u;
		WHEN 'emails' THEN
			RETURN QUERY SELECT u.user_id, u.email, false FROM mindtickle.users AS u
				WHERE u.tenant_id = tenant AND u.user_id > after AND u.active AND u.mindtickle_id IS NOT NULL AND u.email <> ''
				ORDER BY u.user_id LIMIT max_rows;
		WHEN 'teams' THEN
			RETURN QUERY SELECT t.team_id, t.team_id, false FROM mindtickle.team AS t
				WHERE t.tenant_id = tenant AND t.team_id > after AND t.source = 'pull' AND t.active ORDER BY t.team_id LIMIT max_rows;
		WHEN 'series' THEN
			RETURN QUERY SELECT s.series_id, s.series_id, false FROM mindtickle.sync_series AS s
				WHERE s.tenant_id = tenant AND s.series_id > after ORDER BY s.series_id LIMIT max_rows;
		WHEN 'reports' THEN
			RETURN QUERY SELECT i.item, i.item, false FROM mindtickle.report_items(tenant) AS i (item)
				WHERE i.item COLLATE "C" > after ORDER BY i.item COLLATE "C" LIMIT max_rows;
	END CASE;
END
$$;
COMMENT ON FUNCTION mindtickle.sync_items(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.text, pg_catalog.int4)
	IS 'the next things to be asked for one by one: users (by MindTickle''s id), emails (users by e-mail), teams, series or reports; known: its changes are enough';

CREATE FUNCTION mindtickle.sync_costs(tenant pg_catalog.text, OUT users pg_catalog.int8, OUT reports pg_catalog.int8) RETURNS pg_catalog.record
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (SELECT count(*) FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.active AND u.mindtickle_id IS NOT NULL AND u.email <> ''),
		   (SELECT count(*) FROM mindtickle.report_items(tenant))
$$;
COMMENT ON FUNCTION mindtickle.sync_costs(pg_catalog.text)
	IS 'how many requests bring a tenant''s progress user by user, and by reports, if each needs one page';

CREATE FUNCTION mindtickle.sync_pass_phase(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	-- Results came with the progress, or this source has none: readiness must not wait for them.
	INSERT INTO mindtickle.sync_resource AS r (tenant_id, resource, data_as_of, finished_at, listed_at)
		SELECT sync_pass_phase.tenant, sync_pass_phase.phase, j.started_at, clock_timestamp(), CASE WHEN NOT j.source_changed THEN j.started_at END
		FROM mindtickle.tenant AS t, mindtickle.sync_job AS j
		WHERE t.tenant_id = sync_pass_phase.tenant AND j.tenant_id = sync_pass_phase.tenant AND j.job_id = sync_pass_phase.job_id
			AND j.state = 'running' AND sync_pass_phase.phase = 'quiz_results'
		FOR NO KEY UPDATE OF t FOR UPDATE OF j
		ON CONFLICT (tenant_id, resource) DO UPDATE
			SET data_as_of = excluded.data_as_of, finished_at = excluded.finished_at, error = NULL, error_at = NULL, listed_at = excluded.listed_at,
				awaited_since = NULL
$$;
COMMENT ON FUNCTION mindtickle.sync_pass_phase(pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'passes over a phase for which the tenant''s source has nothing to ask';

CREATE FUNCTION mindtickle.sync_forget_seen(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM mindtickle.sync_seen AS s
	WHERE s.tenant_id = sync_forget_seen.tenant AND s.job_id = sync_forget_seen.job_id AND s.phase = sync_forget_seen.phase
$$;
COMMENT ON FUNCTION mindtickle.sync_forget_seen(pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'forgets what a listing has shown, for it is begun anew';

CREATE FUNCTION mindtickle.store_users(tenant pg_catalog.text, job_id pg_catalog.int8, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_users';
COMMENT ON FUNCTION mindtickle.store_users(pg_catalog.text, pg_catalog.int8, pg_catalog.bytea[])
	IS 'stores a page of the roster; what is at fault becomes a dead letter; fresh: ids that this listing had not shown before';

CREATE FUNCTION mindtickle.store_courses(tenant pg_catalog.text, job_id pg_catalog.int8, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_courses';
COMMENT ON FUNCTION mindtickle.store_courses(pg_catalog.text, pg_catalog.int8, pg_catalog.bytea[]) IS 'stores a page of the catalog';

CREATE FUNCTION mindtickle.store_progress(tenant pg_catalog.text, job_id pg_catalog.int8, user_id pg_catalog.text, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4,
		OUT latest pg_catalog.timestamptz) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_progress';
COMMENT ON FUNCTION mindtickle.store_progress(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea[])
	IS 'stores the courses of one user, by our id of the user; latest: of the moments of their changes';

CREATE FUNCTION mindtickle.store_quiz_results(tenant pg_catalog.text, job_id pg_catalog.int8, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4,
		OUT latest pg_catalog.timestamptz) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_quiz_results';
COMMENT ON FUNCTION mindtickle.store_quiz_results(pg_catalog.text, pg_catalog.int8, pg_catalog.bytea[])
	IS 'stores a page of quiz results; latest: of the moments at which they were submitted';

CREATE FUNCTION mindtickle.store_teams(tenant pg_catalog.text, job_id pg_catalog.int8, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_teams';
COMMENT ON FUNCTION mindtickle.store_teams(pg_catalog.text, pg_catalog.int8, pg_catalog.bytea[])
	IS 'stores a page of the teams';

CREATE FUNCTION mindtickle.store_team_members(tenant pg_catalog.text, job_id pg_catalog.int8, team_id pg_catalog.text, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_team_members';
COMMENT ON FUNCTION mindtickle.store_team_members(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea[])
	IS 'makes these the members of a team: whoever is not among them is none any more';

CREATE FUNCTION mindtickle.store_series(tenant pg_catalog.text, job_id pg_catalog.int8, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_series';
COMMENT ON FUNCTION mindtickle.store_series(pg_catalog.text, pg_catalog.int8, pg_catalog.bytea[])
	IS 'stores a page of the series, which group courses upstream';

CREATE FUNCTION mindtickle.store_modules(tenant pg_catalog.text, job_id pg_catalog.int8, series_id pg_catalog.text, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_modules';
COMMENT ON FUNCTION mindtickle.store_modules(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea[])
	IS 'stores the courses of a series; whatever is not among them is not in it any more';

CREATE FUNCTION mindtickle.store_history(tenant pg_catalog.text, job_id pg_catalog.int8, user_id pg_catalog.text, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_history';
COMMENT ON FUNCTION mindtickle.store_history(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea[])
	IS 'stores what one user has done, by our id of the user: of several records of a course the furthest counts, then the latest';

CREATE FUNCTION mindtickle.store_reports(tenant pg_catalog.text, job_id pg_catalog.int8, item pg_catalog.text, records pg_catalog.bytea[],
		OUT received pg_catalog.int4, OUT changed pg_catalog.int4, OUT rejected pg_catalog.int4, OUT fresh pg_catalog.int4) RETURNS pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_store_reports';
COMMENT ON FUNCTION mindtickle.store_reports(pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea[])
	IS 'stores rows of a report: where anybody stands in any course, with the results of courses that are assessments; of a series, whose item is series/ID, courses that are in several are left to their own reports';

CREATE FUNCTION mindtickle.forget_absent_groupings(tenant pg_catalog.text, job_id pg_catalog.int8, phase pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	seen text[] := ARRAY(SELECT s.object_id FROM mindtickle.sync_seen AS s WHERE s.tenant_id = forget_absent_groupings.tenant
						 AND s.job_id = forget_absent_groupings.job_id AND s.phase = forget_absent_groupings.phase);
BEGIN
	-- An empty id stands for a record whose id could not be read: it may be any of them.
	IF '' = ANY (seen) THEN
		RETURN;
	ELSIF forget_absent_groupings.phase = 'teams' THEN
		UPDATE mindtickle.team AS t SET active = false, updated_at = now()
			WHERE t.tenant_id = forget_absent_groupings.tenant AND t.source = 'pull' AND t.active AND t.team_id <> ALL (seen);
	ELSIF forget_absent_groupings.phase = 'series' THEN
		DELETE FROM mindtickle.sync_series_module AS m
			WHERE m.tenant_id = forget_absent_groupings.tenant AND m.series_id <> ALL (seen);
		DELETE FROM mindtickle.sync_series AS s WHERE s.tenant_id = forget_absent_groupings.tenant AND s.series_id <> ALL (seen);
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.forget_absent_groupings(pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'after a complete listing: teams that it did not show become inactive, series are forgotten';

CREATE FUNCTION mindtickle.settle_managers(tenant pg_catalog.text, job_id pg_catalog.int8, complete pg_catalog.bool) RETURNS pg_catalog.int8
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH named AS MATERIALIZED (
		-- Whoever is named by somebody as manager, first or further; once all are listed, by somebody who is.
		SELECT DISTINCT lower(m.email) AS email_key FROM mindtickle.users AS u,
			jsonb_array_elements_text(CASE jsonb_typeof(u.attributes -> 'managers') WHEN 'array' THEN u.attributes -> 'managers' ELSE '[]' END) AS m (email)
		WHERE u.tenant_id = tenant AND (NOT complete OR EXISTS (SELECT FROM mindtickle.sync_seen AS s
			WHERE s.tenant_id = tenant AND s.job_id = settle_managers.job_id AND s.phase = 'roster' AND s.object_id = u.mindtickle_id))
	), settled AS (
		SELECT u.user_id, CASE WHEN u.manager_email IS NULL THEN u.manager_id ELSE coalesce(m.user_id, u.manager_id) END AS manager_id,
			CASE WHEN u.role <> 'rep' AND NOT u.attributes ? 'managers' THEN u.role
				 WHEN u.role = 'rep' AND n.email_key IS NOT NULL THEN 'manager'
				 -- Where an identity provider says who he is, its word stands.
				 WHEN u.role = 'manager' AND n.email_key IS NULL AND complete AND u.user_name IS NULL THEN 'rep'
				 ELSE u.role END AS role
		FROM mindtickle.users AS u
			LEFT JOIN LATERAL (SELECT o.user_id FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.email_key = lower(u.manager_email)
							   ORDER BY o.active DESC, o.user_id LIMIT 1) AS m ON true
			LEFT JOIN named AS n ON n.email_key = u.email_key
		WHERE u.tenant_id = tenant AND u.mindtickle_id IS NOT NULL
	), changed AS (
		UPDATE mindtickle.users AS u SET manager_id = s.manager_id, role = s.role, version = u.version + 1, updated_at = now()
		FROM settled AS s
		WHERE u.tenant_id = tenant AND u.user_id = s.user_id AND (u.manager_id, u.role) IS DISTINCT FROM (s.manager_id, s.role)
		RETURNING u.*
	), told AS MATERIALIZED (
		SELECT mindtickle.emit_event(tenant, 'user_changed', jsonb_build_object('tenantId', tenant, 'operation', 'UPDATE',
			'user', mindtickle.user_as_json(ROW(c.*)::mindtickle.users))) FROM changed AS c
	)
	SELECT count(*) FROM told
$$;
COMMENT ON FUNCTION mindtickle.settle_managers(pg_catalog.text, pg_catalog.int8, pg_catalog.bool)
	IS 'after a roster: finds managers by their e-mail, and makes managers of those who are named as such; after a complete one others are none any more; returns how many users changed';

CREATE FUNCTION mindtickle.sync_errand(tenant pg_catalog.text, OUT settings pg_catalog.jsonb, OUT credential pg_catalog.jsonb,
		OUT stored_at pg_catalog.timestamptz, OUT unreadable pg_catalog.text, OUT key_unreadable pg_catalog.bool, OUT scores_unreadable pg_catalog.bool)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT mindtickle.source_settings(tenant), c.credential, mindtickle.credential_stored_at(tenant), c.lacking, c.key_unreadable, c.scores_unreadable
	FROM mindtickle.sync_overview(tenant) AS o LEFT JOIN mindtickle.credential_of(tenant) AS c ON true
	WHERE NOT o.suspended AND o.source_configured AND (o.backoff_until > now()) IS NOT TRUE
		AND NOT EXISTS (SELECT FROM mindtickle.credential AS c WHERE c.tenant_id = tenant
						AND c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() AS s))
$$;
COMMENT ON FUNCTION mindtickle.sync_errand(pg_catalog.text)
	IS 'what the sync worker needs to do something for the tenant beside a full pull; no row: it must not';

CREATE FUNCTION mindtickle.rest_reason(tenant pg_catalog.text, OUT reason pg_catalog.text, OUT until pg_catalog.timestamptz)
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN NOT t.source_configured THEN 'no source is configured'
				WHEN t.suspended THEN 'the tenant is suspended'
				WHEN EXISTS (SELECT FROM mindtickle.credential AS c WHERE c.tenant_id = tenant
							 AND c.system_identifier <> (SELECT s.system_identifier FROM pg_control_system() AS s)) THEN mindtickle.foreign_site_error()
				ELSE t.last_error END,
		t.backoff_until
	FROM mindtickle.tenant AS t WHERE t.tenant_id = tenant
$$;
COMMENT ON FUNCTION mindtickle.rest_reason(pg_catalog.text) IS 'in words why nothing is sent for the tenant, and until when';

CREATE FUNCTION mindtickle.errand_user(tenant pg_catalog.text, id pg_catalog.text, OUT user_id pg_catalog.text, OUT mindtickle_id pg_catalog.text,
		OUT email pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.user_id, u.mindtickle_id, u.email FROM (
		SELECT o.*, 1 AS rank FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.user_id = id UNION ALL
		SELECT o.*, 2 FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.mindtickle_id = id UNION ALL
		SELECT o.*, 3 FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.scim_external_id = id) AS u
	ORDER BY u.deleted_at IS NOT NULL, u.rank, u.deleted_at DESC, u.user_id LIMIT 1
$$;
COMMENT ON FUNCTION mindtickle.errand_user(pg_catalog.text, pg_catalog.text)
	IS 'the user whom an id means: ours, else MindTickle''s, else the identity provider''s; a deleted one only where there is no other';

CREATE FUNCTION mindtickle.progress_pulled(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT mindtickle.emit_event(tenant, 'progress.synced', jsonb_build_object('tenantId', tenant, 'userId', user_id))
$$;
COMMENT ON FUNCTION mindtickle.progress_pulled(pg_catalog.text, pg_catalog.text)
	IS 'event progress.synced of a pull that was asked for and has changed nothing';
