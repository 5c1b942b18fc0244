/*
 * What analysts see. security_invoker: row security is that of whoever asks.
 */
CREATE VIEW @extschema@.mt_users WITH (security_invoker = true) AS
	SELECT u.tenant_id, u.user_id, u.mindtickle_id, u.scim_external_id, u.user_name, u.email, u.name, u.role, u.active, u.title,
		u.department, u.location, u.hired_at, u.manager_id, coalesce(m.name, m.email, u.manager_email) AS manager_name, u.manager_email,
		u.attributes, u.version, u.created_at, u.updated_at, u.deleted_at
	FROM mindtickle.users AS u
	LEFT JOIN mindtickle.users AS m
		ON m.tenant_id OPERATOR(pg_catalog.=) u.tenant_id AND m.user_id OPERATOR(pg_catalog.=) u.manager_id;
COMMENT ON VIEW @extschema@.mt_users IS 'people';

CREATE VIEW @extschema@.mt_teams WITH (security_invoker = true) AS
	SELECT t.tenant_id, t.team_id, t.name, t.manager_id, m.name AS manager_name, t.source, t.active, t.updated_at,
		(SELECT pg_catalog.count(*) FROM mindtickle.team_member AS b
		 WHERE b.tenant_id OPERATOR(pg_catalog.=) t.tenant_id AND b.team_id OPERATOR(pg_catalog.=) t.team_id AND b.active) AS members,
		t.scim_external_id
	FROM mindtickle.team AS t
	LEFT JOIN mindtickle.users AS m
		ON m.tenant_id OPERATOR(pg_catalog.=) t.tenant_id AND m.user_id OPERATOR(pg_catalog.=) t.manager_id;
COMMENT ON VIEW @extschema@.mt_teams IS 'teams and how many are in each';

CREATE VIEW @extschema@.mt_courses WITH (security_invoker = true) AS
	SELECT c.tenant_id, c.course_id, c.title, c.kind, c.source, c.updated_at FROM mindtickle.course AS c;
COMMENT ON VIEW @extschema@.mt_courses IS 'the course catalog';

CREATE VIEW @extschema@.mt_course_progress WITH (security_invoker = true) AS
	SELECT p.tenant_id, p.user_id, u.name AS user_name, u.email AS user_email, u.active AS user_active,
		p.course_id, c.title AS course_title, p.status, p.score, p.completed_at, p.invited_at, p.started_at, p.due_at, p.is_overdue,
		p.has_failed, p.percent_completed, p.max_score, p.updated_at, p.synced_at
	FROM mindtickle.course_progress AS p
	LEFT JOIN mindtickle.users AS u
		ON u.tenant_id OPERATOR(pg_catalog.=) p.tenant_id AND u.user_id OPERATOR(pg_catalog.=) p.user_id
	LEFT JOIN mindtickle.course AS c
		ON c.tenant_id OPERATOR(pg_catalog.=) p.tenant_id AND c.course_id OPERATOR(pg_catalog.=) p.course_id;
COMMENT ON VIEW @extschema@.mt_course_progress IS 'where each user stands in each course';

CREATE VIEW @extschema@.mt_quiz_results WITH (security_invoker = true) AS
	SELECT s.tenant_id, s.user_id, u.name AS user_name, u.email AS user_email, u.active AS user_active,
		s.course_id, c.title AS course_title, s.quiz_id, q.title AS quiz_title, s.submitted_at, s.answers, s.score, s.computed_score,
		s.attempt, s.passed, s.max_score, s.raw_score, s.source, s.received_at
	FROM mindtickle.quiz_submission AS s
	LEFT JOIN mindtickle.users AS u
		ON u.tenant_id OPERATOR(pg_catalog.=) s.tenant_id AND u.user_id OPERATOR(pg_catalog.=) s.user_id
	LEFT JOIN mindtickle.course AS c
		ON c.tenant_id OPERATOR(pg_catalog.=) s.tenant_id AND c.course_id OPERATOR(pg_catalog.=) s.course_id
	LEFT JOIN mindtickle.quiz AS q
		ON q.tenant_id OPERATOR(pg_catalog.=) s.tenant_id AND q.quiz_id OPERATOR(pg_catalog.=) s.quiz_id;
COMMENT ON VIEW @extschema@.mt_quiz_results IS 'every recorded attempt at a quiz';

CREATE VIEW @extschema@.mt_readiness_reports WITH (security_invoker = true) AS
	SELECT r.tenant_id, r.avg_score, r.completion_rate, r.learners, r.quiz_results, r.assignments, r.completed, r.data_as_of,
		r.provisional, r.provisional_reason, r.computed_at
	FROM mindtickle.readiness_report AS r;
COMMENT ON VIEW @extschema@.mt_readiness_reports IS 'every readiness report that was given out';

CREATE VIEW @extschema@.mt_events WITH (security_invoker = true) AS
	SELECT e.tenant_id, e.seq, e.topic, e.payload, e.created_at, e.published_at FROM mindtickle.event AS e;
COMMENT ON VIEW @extschema@.mt_events IS 'published events in the order of seq';

CREATE VIEW @extschema@.mt_dead_letters WITH (security_invoker = true) AS
	SELECT d.tenant_id, d.letter_id, d.source, d.resource, d.reason, d.raw, d.received_at, d.replayed_at FROM mindtickle.dead_letter AS d;
COMMENT ON VIEW @extschema@.mt_dead_letters IS 'input that could not be processed, with the reason';

CREATE VIEW @extschema@.mt_security_alerts WITH (security_invoker = true) AS
	SELECT a.alert_id, a.at, a.session_role, a."current_role", a.client_addr, a.database, a.tenant_in_force, a.tenant_asked,
		a.object, a.count, a.last_at
	FROM mindtickle.security_alert AS a;
COMMENT ON VIEW @extschema@.mt_security_alerts IS 'refused attempts to reach a tenant; for members of pg_monitor';

CREATE VIEW @extschema@.mt_sync_jobs WITH (security_invoker = true) AS
	SELECT j.tenant_id, j.job_id, j.kind, j.state, j.phase, j.done, j.total, j.requests, j.throttled, j.errors, j.rejected, j.changed,
		j.requested_by, j.requested_at, j.started_at, j.finished_at, j.error
	FROM mindtickle.sync_job AS j;
COMMENT ON VIEW @extschema@.mt_sync_jobs IS 'pulls: asked for, under way, ended';

CREATE VIEW @extschema@.mt_progress_sync WITH (security_invoker = true) AS
	SELECT j.tenant_id, j.job_id, j.phase, j.done, j.total, j.started_at, j.phase_started_at,
		CASE WHEN j.done OPERATOR(pg_catalog.>) 0 AND pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) j.phase_started_at THEN
			pg_catalog.round(j.done OPERATOR(pg_catalog./)
				EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) j.phase_started_at), 2) END AS per_second,
		-- What the upstream says of the total may be past any moment there is.
		(SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) (pg_catalog.interval '1 s' OPERATOR(pg_catalog.*) r.seconds)
			FROM (SELECT CASE WHEN j.done OPERATOR(pg_catalog.>) 0 AND j.total OPERATOR(pg_catalog.>=) j.done THEN
					EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) j.phase_started_at)::pg_catalog.float8 OPERATOR(pg_catalog.*)
					((j.total OPERATOR(pg_catalog.-) j.done)::pg_catalog.float8 OPERATOR(pg_catalog./) j.done::pg_catalog.float8) END AS seconds) AS r
			WHERE r.seconds OPERATOR(pg_catalog.<) 3155760000::pg_catalog.float8) AS phase_ends_at,
		j.requests, j.throttled, j.errors, t.backoff_until, t.last_error
	FROM mindtickle.sync_job AS j
	JOIN mindtickle.tenant AS t ON t.tenant_id OPERATOR(pg_catalog.=) j.tenant_id
	WHERE j.state OPERATOR(pg_catalog.=) 'running';
COMMENT ON VIEW @extschema@.mt_progress_sync IS 'how far each running pull has come; done and total are of its phase, phase_ends_at is an estimate, null where it is more than 100 years away';

CREATE VIEW @extschema@.mt_stat_worker WITH (security_invoker = true) AS
	SELECT d.datname AS database, s.kind, s.pid, s.started_at, s.starts, s.state, s.step, s.rounds, s.items, s.errors, s.last_work_at,
		s.last_error, s.last_error_at
	FROM mindtickle.worker_stats() AS s JOIN pg_catalog.pg_database AS d ON d.oid OPERATOR(pg_catalog.=) s.database_id;
COMMENT ON VIEW @extschema@.mt_stat_worker IS 'the background workers of all databases and what each is at; for members of pg_monitor';

CREATE VIEW @extschema@.mt_stat_cache WITH (security_invoker = true) AS
	SELECT s.tenant_id, s.resource, s.version, s.bytes, s.rendered_at, s.expires_at, s.hits, s.renders, s.kept FROM mindtickle.cache_stats() AS s;
COMMENT ON VIEW @extschema@.mt_stat_cache
	IS 'the rendered documents of each tenant that are right now, and since the server started how often they were given out, rendered, and kept; for members of pg_monitor';
