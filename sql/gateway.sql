/*
 * What the HTTP gateway calls besides the functions behind its routes. It runs as the service role, bounded by the token of each request.
 */
CREATE FUNCTION mindtickle.enter_token(token pg_catalog.text, scope pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_enter_token';
COMMENT ON FUNCTION mindtickle.enter_token(pg_catalog.text, pg_catalog.text)
	IS 'bounds the service role, until the end of the transaction, to what a token may do in a scope; returns the token''s tenant, empty for metrics';

CREATE FUNCTION mindtickle.check_token(token pg_catalog.text, scope pg_catalog.text, refused pg_catalog.bool DEFAULT false) RETURNS pg_catalog.text
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_check_token';
COMMENT ON FUNCTION mindtickle.check_token(pg_catalog.text, pg_catalog.text, pg_catalog.bool)
	IS 'an error where a token is not valid, or lacks a scope that is not null, as in enter_token; returns the token''s tenant and does nothing else, but counts a request that is refused';

CREATE FUNCTION mindtickle.refuse_tenant(tenant pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_refuse_tenant_sql';
COMMENT ON FUNCTION mindtickle.refuse_tenant(pg_catalog.text)
	IS 'the error, and the alert, for a request whose address names another tenant than its token is of';

CREATE FUNCTION mindtickle.json_from_body(body pg_catalog.bytea, secrets pg_catalog.bool DEFAULT false) RETURNS pg_catalog.jsonb
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mt_json_from_body';
COMMENT ON FUNCTION mindtickle.json_from_body(pg_catalog.bytea, pg_catalog.bool)
	IS 'the body of a request as jsonb, where it is valid UTF-8, valid JSON, not too deep, and no key stands twice in one object; with secrets errors repeat nothing of a body that may hold one';

CREATE FUNCTION mindtickle.keep_dead_letter(tenant pg_catalog.text, source pg_catalog.text, resource pg_catalog.text, reason pg_catalog.text,
		raw pg_catalog.bytea) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_keep_dead_letter_sql';
COMMENT ON FUNCTION mindtickle.keep_dead_letter(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.bytea)
	IS 'keeps input that could not be processed';

CREATE FUNCTION mindtickle.user_courses(tenant pg_catalog.text, "user" pg_catalog.text) RETURNS pg_catalog.json
	LANGUAGE plpgsql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	courses json;
	known text;
BEGIN
	SELECT json_agg(json_build_object('courseId', p.course_id, 'status', p.status, 'score', trim_scale(p.score), 'completedAt', p.completed_at)
					ORDER BY p.course_id)
		INTO courses FROM mindtickle.course_progress AS p WHERE p.tenant_id = tenant AND p.user_id = "user";
	IF courses IS NOT NULL THEN
		RETURN json_build_object('userId', "user", 'courses', courses);
	END IF;
	-- Somebody else's name for the user, or a user without progress.
	SELECT u.user_id INTO known FROM (
		SELECT k.user_id, 1 AS rank FROM mindtickle.users AS k WHERE k.tenant_id = tenant AND k.user_id = "user"
		UNION ALL SELECT k.user_id, 2 FROM mindtickle.users AS k WHERE k.tenant_id = tenant AND k.mindtickle_id = "user"
		UNION ALL SELECT k.user_id, 3 FROM mindtickle.users AS k WHERE k.tenant_id = tenant AND k.scim_external_id = "user") AS u
		ORDER BY u.rank LIMIT 1;
	IF known IS NULL THEN
		RETURN NULL;
	ELSIF known = "user" THEN
		RETURN json_build_object('userId', "user", 'courses', '[]'::json);
	END IF;
	RETURN mindtickle.user_courses(tenant, known);
END
$$;
COMMENT ON FUNCTION mindtickle.user_courses(pg_catalog.text, pg_catalog.text)
	IS 'where a user stands in each course, as JSON; the user by our id, MindTickle''s, or the one of SCIM; NULL: there is no such user';

-- plpgsql looks a function up when it is called, and keeps the plan.
CREATE FUNCTION mindtickle.readiness_as_json(tenant pg_catalog.text, stored pg_catalog.bool) RETURNS pg_catalog.json
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	report record;
BEGIN
	IF stored THEN
		SELECT * INTO report FROM @extschema@.mt_aggregate_readiness(tenant);
	ELSE
		SELECT * INTO report FROM @extschema@.mt_readiness(tenant);
	END IF;
	RETURN json_build_object('tenantId', report.tenant_id, 'avgScore', report.avg_score, 'completionRate', report.completion_rate,
		'learners', report.learners, 'quizResults', report.quiz_results, 'assignments', report.assignments, 'completed', report.completed,
		'dataAsOf', report.data_as_of, 'provisional', report.provisional, 'provisionalReason', report.provisional_reason,
		'computedAt', report.computed_at);
END
$$;
COMMENT ON FUNCTION mindtickle.readiness_as_json(pg_catalog.text, pg_catalog.bool)
	IS 'mt_readiness, or where stored is set mt_aggregate_readiness, as the gateway answers it';

CREATE FUNCTION mindtickle.quiz_result_from_body(tenant pg_catalog.text, body pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN @extschema@.mt_process_quiz_result(tenant, mindtickle.json_from_body(body));
END
$$;
COMMENT ON FUNCTION mindtickle.quiz_result_from_body(pg_catalog.text, pg_catalog.bytea) IS 'mt_process_quiz_result for the body of a request';

CREATE FUNCTION mindtickle.scim_event_from_body(body pg_catalog.bytea) RETURNS pg_catalog.json
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('userId', @extschema@.mt_handle_scim_event(mindtickle.json_from_body(body, true)));
END
$$;
COMMENT ON FUNCTION mindtickle.scim_event_from_body(pg_catalog.bytea) IS 'mt_handle_scim_event for the body of a request';

CREATE FUNCTION mindtickle.scim_request(tenant pg_catalog.text, method pg_catalog.text, path pg_catalog.text, query pg_catalog.text,
		if_match pg_catalog.text, if_none_match pg_catalog.text, content_type pg_catalog.text, body pg_catalog.bytea,
		OUT status pg_catalog.int4, OUT location pg_catalog.text, OUT etag pg_catalog.text, OUT allow pg_catalog.text, OUT answer_body pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_scim_carry';
COMMENT ON FUNCTION mindtickle.scim_request(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text,
		pg_catalog.text, pg_catalog.bytea)
	IS 'mt_scim_request for a request as it came, header by header';

CREATE FUNCTION mindtickle.gateway_peers(address pg_catalog.text, port pg_catalog.int4) RETURNS pg_catalog.int4
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_gateway_peers';
COMMENT ON FUNCTION mindtickle.gateway_peers(pg_catalog.text, pg_catalog.int4) IS 'how many other processes of the gateway listen there';

CREATE FUNCTION mindtickle.gateway_listens(address pg_catalog.text, port pg_catalog.int4) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_gateway_listens';
COMMENT ON FUNCTION mindtickle.gateway_listens(pg_catalog.text, pg_catalog.int4) IS 'says that this process listens there, until it exits';

CREATE FUNCTION mindtickle.gateway_count(names pg_catalog.text[], amounts pg_catalog.int8[]) RETURNS pg_catalog.void
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_gateway_count';
COMMENT ON FUNCTION mindtickle.gateway_count(pg_catalog.text[], pg_catalog.int8[]) IS 'adds to counts for /metrics';

CREATE FUNCTION mindtickle.gateway_counts(OUT name pg_catalog.text, OUT value pg_catalog.int8) RETURNS SETOF pg_catalog.record
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_gateway_counts';
COMMENT ON FUNCTION mindtickle.gateway_counts() IS 'what the processes of the gateway have counted since the server''s start';

CREATE FUNCTION mindtickle.metrics() RETURNS pg_catalog.text
	LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH family (position, name, kind, help) AS (VALUES
		(1, 'mindtickle_http_requests_total', 'counter', 'Requests answered by the gateway, by route, method and status.'),
		(2, 'mindtickle_http_request_seconds', 'histogram', 'Time from the whole request to its answer.'),
		(3, 'mindtickle_http_connections_total', 'counter', 'Connections that the gateway accepted.'),
		(4, 'mindtickle_http_timeouts_total', 'counter', 'Connections closed because a request did not arrive in time.'),
		(5, 'mindtickle_worker_up', 'gauge', 'Whether a background worker is running.'),
		(6, 'mindtickle_worker_starts_total', 'counter', 'Starts of a background worker.'),
		(7, 'mindtickle_worker_errors_total', 'counter', 'Transactions of a background worker that were rolled back.'),
		(8, 'mindtickle_worker_items_total', 'counter', 'What a background worker has done, in items of its kind.'),
		(9, 'mindtickle_notification_queue_usage_ratio', 'gauge', 'How full the server''s queue of notifications is, 0 to 1.')
	), worker AS (
		SELECT format('{kind="%s"}', w.kind) AS labels, (w.pid IS NOT NULL)::int4 AS up, w.starts, w.errors, w.items
		FROM mindtickle.worker_stats() AS w WHERE w.database_id = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
	), sample (family, labels, rank, value) AS (
		SELECT f.name, c.name, CASE WHEN c.name LIKE '%le="+Inf"%' THEN 'infinity' ELSE coalesce(substring(c.name FROM 'le="([0-9.]+)"'), '0') END::float8,
			CASE f.name WHEN 'mindtickle_http_request_seconds' THEN
				CASE WHEN c.name LIKE '%\_sum' THEN c.value / 1000000.0 ELSE c.value END ELSE c.value END
		FROM mindtickle.gateway_counts() AS c JOIN family AS f ON c.name LIKE replace(f.name, '_', '\_') || '%'
		UNION ALL SELECT 'mindtickle_worker_up', 'mindtickle_worker_up' || w.labels, 0, w.up FROM worker AS w
		UNION ALL SELECT 'mindtickle_worker_starts_total', 'mindtickle_worker_starts_total' || w.labels, 0, w.starts FROM worker AS w
		UNION ALL SELECT 'mindtickle_worker_errors_total', 'mindtickle_worker_errors_total' || w.labels, 0, w.errors FROM worker AS w
		UNION ALL SELECT 'mindtickle_worker_items_total', 'mindtickle_worker_items_total' || w.labels, 0, w.items FROM worker AS w
		UNION ALL SELECT 'mindtickle_notification_queue_usage_ratio', 'mindtickle_notification_queue_usage_ratio', 0,
			round(pg_notification_queue_usage()::numeric, 6)
	)
	SELECT string_agg(format(E'# HELP %s %s\n# TYPE %s %s\n%s', f.name, f.help, f.name, f.kind,
			(SELECT string_agg(format(E'%s %s\n', s.labels, trim_scale(s.value)), '' ORDER BY s.rank, s.labels) FROM sample AS s WHERE s.family = f.name)), ''
			ORDER BY f.position)
	FROM family AS f WHERE EXISTS (SELECT FROM sample AS s WHERE s.family = f.name)
$$;
COMMENT ON FUNCTION mindtickle.metrics() IS 'the body of /metrics: what the gateway and the workers of this database have counted, in Prometheus'' text format';
