\set ECHO none
-- mindtickle.enter_token: the service role, which may do everything for every tenant, may do what the token may and nothing else, until the transaction ends.
-- Besides it, what the gateway asks: JSON of a body, a user's courses, dead letters.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
SELECT mt_drop_tenant(t.tenant_id) FROM mindtickle.tenant AS t WHERE t.tenant_id ~ '^et-' \g /dev/null
BEGIN;
SELECT mt_create_tenant('et-a', 'A'), mt_create_tenant('et-b', 'B') \g /dev/null
SELECT mt_create_token('et-a', 'reads', '{read}') AS reads, mt_create_token('et-a', 'quizzes', '{quiz}') AS quizzes, mt_create_token('et-a', 'all', '{read,quiz,scim,sync}') AS every,
	mt_create_token('et-b', 'of b', '{read,quiz}') AS of_b, mt_create_token('et-a', 'short', '{read}', '1 microsecond') AS expired, mt_create_token('et-a', 'gone', '{read}') AS revoked \gset
SELECT mt_revoke_token('et-a', 'gone') \g /dev/null
SELECT t.tenant_id, mt_provision_user(t.tenant_id, jsonb_build_object('userId', 'u1', 'mindtickleId', 'm1', 'scimExternalId', 's1', 'email', t.tenant_id || '@example.com')),
	mt_upsert_progress(t.tenant_id, 'u1', format('[{"courseId": "c of %s", "status": "completed", "score": 87.5, "completedAt": "2026-01-02T03:04:05Z"}]', t.tenant_id)::jsonb)
	FROM unnest('{et-a,et-b}'::text[]) AS t (tenant_id) \g /dev/null
SET LOCAL timezone = 'UTC';
SELECT no_plan();

-- What a statement gives behind enter_token, in a transaction of its own as far as settings are concerned; or the error.
CREATE FUNCTION pg_temp.behind(token text, scope text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
BEGIN
	PERFORM set_config('role', 'mindtickle_service', true);
	PERFORM mindtickle.enter_token(token, scope);
	EXECUTE statement INTO result;
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN
		RETURN result;
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
		RETURN state || ': ' || message;
END
$$;

-- Who gets in.
SELECT is(pg_temp.behind(:'reads', 'read', 'SELECT mt_current_tenant()'), 'et-a', 'the token tells the tenant');
SELECT is(pg_temp.behind(:'of_b', 'quiz', 'SELECT mt_current_tenant()'), 'et-b', 'each its own');
SELECT is(pg_temp.behind(t, 'read', 'SELECT 1'), '28000: the token is not valid', 'not with ' || w) FROM (VALUES (:'expired', 'one that has expired'), (:'revoked', 'one that was revoked'), ('', 'none'), ('mtk_' || repeat('0', 64), 'an unknown one'),
	(left(:'reads', -1), 'one that is cut'), (:'reads' || '0', 'one with a digit more'), (upper(:'reads'), 'one in capitals'), (overlay(:'reads' PLACING CASE substr(:'reads', 20, 1) WHEN 'a' THEN 'b' ELSE 'a' END FROM 20 FOR 1), 'one with another digit'),
	(encode(sha256(convert_to(:'reads', 'UTF8')), 'hex'), 'its hash'), (repeat('x', 100000), 'a very long text')) AS v (t, w);
SELECT is(pg_temp.behind(:'reads', s, 'SELECT 1'), format('42501: the token lacks the scope "%s"', s), 'nor for another scope: ' || s) FROM unnest('{quiz,scim,sync,sql,metrics,"",READ}'::text[]) AS s;
SELECT is(pg_temp.as_role('none', format('SELECT mindtickle.enter_token(%L, ''read'')', :'reads')), '42501: a token can be entered by the service role alone', 'nobody else can enter: not the owner');
CREATE ROLE et_nobody;
SELECT matches(pg_temp.as_role('et_nobody', format('SELECT mindtickle.enter_token(%L, ''read'')', :'reads')), '^42501: permission denied for function', 'and no other role');

-- To check one is no entering.
CREATE FUNCTION pg_temp.check(token text, scope text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('mindtickle_service', format('SELECT concat_ws('' '', mindtickle.check_token(%L, %L), mindtickle.acting_as_service())', token, scope))
$$;
SELECT is(pg_temp.check(:'reads', s), 'et-a t', 'a check tells whose a token is, and enters nothing') FROM unnest(ARRAY['read', NULL]) AS s;
SELECT is(pg_temp.check(t, NULL), '28000: the token is not valid', 'and that one is not valid') FROM unnest(ARRAY[:'expired', :'revoked', '', 'mtk_' || repeat('0', 64)]) AS t;
SELECT is(pg_temp.check(:'reads', s), format('42501: the token lacks the scope "%s"', s), 'or lacks a scope') FROM unnest('{quiz,""}'::text[]) AS s;
SELECT is(pg_temp.as_role('none', format('SELECT mindtickle.check_token(%L, NULL)', :'reads')), '42501: a token can be entered by the service role alone', 'to nobody else');

-- What can be done then.
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT string_agg(DISTINCT tenant_id, '','') FROM mindtickle.course_progress'), 'et-a', 'tables show the tenant''s rows alone');
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT string_agg(tenant_id, '','') FROM mindtickle.tenant'), 'et-a', 'also the table of tenants');
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT array_to_string(mindtickle.visible_tenants(), '','')'), 'et-a', 'no list of all');
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT mindtickle.acting_as_service()'), 'false', 'it does not act as the service');
SELECT is(pg_temp.behind(:'every', s, format('SELECT count(*) FROM mindtickle.%I', r)), '0', format('%s in scope %s: no rows', r, s)) FROM unnest('{api_token,credential,security_alert,sync_budget}'::text[]) AS r, unnest('{read,sync}'::text[]) AS s;
SELECT is(pg_temp.behind(:'every', 'sync', format('SELECT set_config(''mindtickle.tenant'', ''et-b'', true); SELECT count(*)::text FROM mindtickle.%I', r)), '0', 'the setting opens no other tenant: ' || r) FROM unnest('{users,course_progress}'::text[]) AS r;
SELECT is(pg_temp.behind(:'every', s, format('SELECT %s(''et-b'')', f)), '42501: permission denied for tenant "et-b"', format('%s of another tenant, scope %s', f, s)) FROM unnest('{read,sync,quiz,scim}'::text[]) AS s, unnest('{mt_readiness,mt_aggregate_readiness,mt_set_tenant}'::text[]) AS f;
SELECT is(pg_temp.behind(:'every', 'quiz', 'SELECT mt_set_tenant(''et-none'')'), '42501: permission denied for tenant "et-none"', 'one that does not exist is refused in the same words');
SELECT is(pg_temp.behind(:'every', 'quiz', 'INSERT INTO mindtickle.course (tenant_id, course_id, source) VALUES (''et-b'', ''x'', ''x'') RETURNING 1'), '42501: permission denied for tenant "et-b"', 'no row of another tenant is written');
SELECT matches(pg_temp.behind(:'every', 'sync', 'SELECT mindtickle.enter_tenant(''et-a'')'), '^42501: ', 'the workers'' own way is closed');
SELECT is(pg_temp.behind(:'every', 'read', format('SELECT mindtickle.enter_token(%L, ''sync'')', :'every')), '25001: a token has been entered in this transaction already', 'one token a transaction');

-- A function needs its scope, whatever else the token has.
SELECT is(pg_temp.behind(:'every', s, 'SELECT ' || f), CASE WHEN s = needed THEN gives ELSE format('42501: %s is not in the scope "%s" of the token', split_part(f, '(', 1), s) END, format('%s in scope %s', split_part(f, '(', 1), s))
	FROM unnest('{read,quiz,scim,sync}'::text[]) AS s, (VALUES ('mt_process_quiz_result(''et-a'', ''{"userId": "u1", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01", "score": 1}'')', 'quiz', 'true'),
		('mt_deactivate_user(''et-a'', ''u1'')', 'scim', 'true'), ('mt_provision_user(''et-a'', ''{"userId": "u2"}'')', 'scim', 'u2'), ('mt_upsert_progress(''et-a'', ''u1'', ''[]'')', 'sync', '0'), ('mt_sync_tenant(''et-a'')', 'sync', '55000: no source is configured for tenant "et-a"')) AS v (f, needed, gives);
SELECT is(pg_temp.behind(:'every', s, 'SELECT learners FROM mt_readiness(''et-a'')'), CASE s WHEN 'read' THEN '1' ELSE format('42501: mt_readiness is not in the scope "%s" of the token', s) END, 'mt_readiness in scope ' || s) FROM unnest('{read,quiz,scim,sync}'::text[]) AS s;
SELECT matches(pg_temp.behind(:'every', s, 'SELECT ' || f), '^42501: ', format('%s in scope %s: never', split_part(f, '(', 1), s)) FROM unnest('{read,quiz,scim,sync}'::text[]) AS s,
	unnest(ARRAY['mt_create_token(''et-a'', ''x'', ''{read}'')', 'mt_revoke_token(''et-a'', ''reads'')', 'mt_create_token(NULL, ''x'', ''{metrics}'')', 'mt_configure_tenant(''et-a'', ''{"timezone": "UTC"}'')', 'mt_create_tenant(''et-c'', ''C'')', 'mt_drop_tenant(''et-a'')',
		'mt_grant_tenant(''et-a'', ''et_nobody'', ''admin'')', 'mt_set_credential(''et-a'', ''{"api_key": "x"}'')']) AS f;

-- And afterwards.
SELECT is(current_setting('mindtickle.token_scope') || current_setting('mindtickle.tenant'), '', 'nothing of it stays in force');
SAVEPOINT s;
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.enter_token(:'every', 'read') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.users), 1::bigint, 'a token that has been entered');
SAVEPOINT t;
RESET ROLE;
DELETE FROM mindtickle.api_token WHERE tenant_id = 'et-a' AND name = 'all';
SET LOCAL ROLE mindtickle_service;
SELECT is((SELECT count(*) FROM mindtickle.users), 0::bigint, 'shows nothing from the next statement on when it is revoked');
ROLLBACK TO s;
RESET ROLE;
SAVEPOINT s;
SELECT mt_create_token(NULL, 'et', '{metrics}') AS counts \gset
SELECT is(pg_temp.behind(:'counts', 'metrics', 'SELECT coalesce(mt_current_tenant(), ''none'')'), 'none', 'a token of no tenant enters none');
SELECT is(pg_temp.behind(:'counts', 'metrics', 'SELECT count(*) FROM mindtickle.users'), '0', 'it sees no rows');
SELECT is(pg_temp.behind(:'counts', 'metrics', 'SELECT count(*) FROM mindtickle.tenant'), '0', 'and no tenants');
SELECT matches(pg_temp.behind(:'counts', 'metrics', 'SELECT mindtickle.metrics()'), '# TYPE mindtickle_notification_queue_usage_ratio gauge', 'but figures');
ROLLBACK TO s;

-- JSON of a body: what one reader could take for one thing and another for another is refused.
CREATE FUNCTION pg_temp.body(body bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	field text;
BEGIN
	RETURN mindtickle.json_from_body(body)::text;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS field = COLUMN_NAME;
	RETURN SQLSTATE || ' ' || field || ': ' || SQLERRM;
END
$$;
SELECT is(pg_temp.body(convert_to(b, 'UTF8')), w, 'body ' || left(b, 40)) FROM (VALUES ('{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}', '{"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]}'), ('{"a": 1, "a": 1}', '22023 a: a stands twice in one object'),
	('{"x": [{"b": {"k": 1, "l": 2, "k": 3}}]}', '22023 k: k stands twice in one object'), ('{"a": 1, "\u0061": 2}', '22023 a: a stands twice in one object'), ('', '22023 the document: the document must be valid JSON: The input string ended unexpectedly.'),
	(repeat('[', 10000), '22023 the document: the document must not be nested deeper than 64'), ('{"a": "\u0000"}', '22023 the document: the document must be valid JSON: \u0000 cannot be converted to text.')) AS v (b, w);
SELECT is(pg_temp.body('\x7b2261223a22ff227d'), '22023 the document: the document must be valid UTF-8', 'a body that is no UTF-8');

-- A user's courses.
SELECT is(pg_temp.behind(:'every', 'read', format('SELECT mindtickle.user_courses(''et-a'', %L)', u)), '{"userId" : "u1", "courses" : [{"courseId" : "c of et-a", "status" : "completed", "score" : 87.5, "completedAt" : "2026-01-02T03:04:05+00:00"}]}', 'user ' || u) FROM unnest('{u1,m1,s1}'::text[]) AS u;
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT mindtickle.user_courses(''et-a'', ''nobody'')'), NULL, 'nobody');
SELECT is(pg_temp.behind(:'every', 'scim', 'SELECT mt_provision_user(''et-a'', ''{"userId": "u3"}''); SELECT mindtickle.user_courses(''et-a'', ''u3'')'), '{"userId" : "u3", "courses" : []}', 'somebody without progress');

-- What could not be processed is kept once.
SELECT is(pg_temp.behind(:'every', 'quiz', repeat('SELECT mindtickle.keep_dead_letter(''et-a'', ''http'', ''quiz_results'', ''x is wrong'', ''\xff00''); ', 3) || 'SELECT string_agg(concat_ws('' '', tenant_id, source, resource, reason, raw), '','') FROM mindtickle.dead_letter'),
	'et-a http quiz_results x is wrong \xff00', 'the same letter three times');
SELECT matches(pg_temp.behind(:'every', 'read', 'SELECT mindtickle.keep_dead_letter(''et-a'', ''http'', ''x'', ''x'', ''x'')'), '^42501: keep_dead_letter is not in the scope', 'one who reads leaves none');
SELECT is(pg_temp.behind(:'every', 'quiz', 'SELECT mindtickle.keep_dead_letter(''et-b'', ''http'', ''x'', ''x'', ''x'')'), '42501: permission denied for tenant "et-b"', 'nor anybody at another tenant');
SELECT is(pg_temp.behind(:'every', 'read', 'SELECT mindtickle.refuse_tenant(''et-b'')'), '42501: permission denied for tenant "et-b"', 'the refusal of an address');
SELECT * FROM finish();
ROLLBACK;
