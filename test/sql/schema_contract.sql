\set ECHO none
-- The public contract of the schema: columns, keys, row security, rights, and what every new object must have. Where a rule holds for all objects,
-- the objects come from the catalog, so that a new one cannot be forgotten.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(97);

CREATE TEMP VIEW extension_object AS
	SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname = 'mindtickle' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
CREATE TEMP VIEW extension_table AS
	SELECT c.* FROM pg_class AS c JOIN extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid WHERE c.relkind IN ('r', 'p');
CREATE TEMP VIEW extension_view AS
	SELECT c.* FROM pg_class AS c JOIN extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid WHERE c.relkind = 'v';
CREATE TEMP VIEW extension_function AS
	SELECT p.*, p.oid::regprocedure::text AS signature, l.lanname FROM pg_proc AS p
	JOIN extension_object AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid JOIN pg_language AS l ON l.oid = p.prolang;
CREATE TEMP VIEW tenant_table AS
	SELECT t.* FROM extension_table AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped;

-- name, type, "C" for the collation, "!" for NOT NULL
CREATE FUNCTION pg_temp.columns_of(relation regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(a.attname || ' ' || replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
		|| CASE WHEN l.collname = 'C' THEN ' C' ELSE '' END || CASE WHEN a.attnotnull THEN ' !' ELSE '' END, ', ' ORDER BY a.attnum)
	FROM pg_attribute AS a LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
	WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
$$;
CREATE FUNCTION pg_temp.key_of(relation regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(a.attname, ', ' ORDER BY k.place)
	FROM pg_constraint AS c, unnest(c.conkey) WITH ORDINALITY AS k (number, place), pg_attribute AS a
	WHERE c.conrelid = relation AND c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.number
$$;

-- Tables.
SELECT is(pg_temp.columns_of('mindtickle.api_token'),
	'tenant_id text C !, name text C !, token_id bigint !, token_hash bytea !, scopes text[] C !, created_at timestamptz !, '
	'expires_at timestamptz', 'columns of api_token');
SELECT is(pg_temp.columns_of('mindtickle.cache_entry'),
	'tenant_id text C !, resource text C !, xid xid8 !, part integer !, version bigint !, bytes bigint !, cursor pg_snapshot !, rendered_at timestamptz !, expires_at timestamptz !, body text !', 'columns of cache_entry');
SELECT is(pg_temp.columns_of('mindtickle.course'),
	'tenant_id text C !, course_id text C !, title text, kind text, source text C !, updated_at timestamptz', 'columns of course');
SELECT is(pg_temp.columns_of('mindtickle.course_progress'),
	'tenant_id text C !, user_id text C !, course_id text C !, status text C !, score numeric(7,4), completed_at timestamptz, '
	'invited_at timestamptz, started_at timestamptz, due_at timestamptz, is_overdue boolean, has_failed boolean, '
	'percent_completed numeric(7,4), max_score numeric, updated_at timestamptz, synced_at timestamptz', 'columns of course_progress');
SELECT is(pg_temp.columns_of('mindtickle.credential'),
	'tenant_id text C !, name text C !, secret text, file text, system_identifier bigint !, stored_at timestamptz !', 'columns of credential');
SELECT is(pg_temp.columns_of('mindtickle.dead_letter'),
	'tenant_id text C !, letter_id bigint !, source text C !, resource text C !, reason text !, raw bytea !, received_at timestamptz !, '
	'replayed_at timestamptz', 'columns of dead_letter');
SELECT is(pg_temp.columns_of('mindtickle.event_0'),
	'tenant_id text C !, seq bigint !, topic text C !, payload jsonb !, created_at timestamptz !, published_at timestamptz !', 'columns of event_0');
SELECT is(pg_temp.columns_of('mindtickle.event_overflow_0'),
	'tenant_id text C !, round bigint !, position bigint !, topic text C !, payload jsonb !, created_at timestamptz !', 'columns of event_overflow_0');
SELECT is(pg_temp.columns_of('mindtickle.event_position_0'),
	'tenant_id text C !, number bigint !, first_seq bigint !, last_seq bigint !, cursor pg_snapshot, batch pg_snapshot, batch_table smallint !, '
	'batch_xid xid8 !, batch_position bigint !, round bigint !, spilling boolean !, drain_round bigint !, drain_position bigint !, overflow bigint !', 'columns of event_position_0');
SELECT is(pg_temp.columns_of('mindtickle.event_consumer_0'),
	'tenant_id text C !, consumer text C !, number bigint !, acked_seq bigint !, created_at timestamptz !, acked_at timestamptz, dropped boolean !', 'columns of event_consumer_0');
SELECT is(pg_temp.columns_of('mindtickle.outbox_0'),
	'tenant_id text C !, xid xid8 !, position bigint !, topic text C !, payload jsonb !, created_at timestamptz !', 'columns of outbox_0');
SELECT is_empty($$SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relname ~ '^(outbox|event|event_[a-z]+)_[1-9]$'
	AND pg_temp.columns_of(c.oid::regclass::text) <> pg_temp.columns_of(regexp_replace(c.oid::regclass::text, '.$', '0'))$$, 'the tables of a ring are alike');
SELECT is(pg_temp.columns_of('mindtickle.push_link'),
	'tenant_id text C !, user_id text C !, scim_id text C !', 'columns of push_link');
SELECT is(pg_temp.columns_of('mindtickle.push_queue'),
	'tenant_id text C !, user_id text C !, version bigint !, queued_at timestamptz !, tries integer !, not_before timestamptz, error text', 'columns of push_queue');
SELECT is(pg_temp.columns_of('mindtickle.quiz'),
	'tenant_id text C !, quiz_id text C !, course_id text C, title text, max_score numeric, passing_score numeric', 'columns of quiz');
SELECT is(pg_temp.columns_of('mindtickle.quiz_submission'),
	'tenant_id text C !, user_id text C !, course_id text C !, quiz_id text C !, submitted_at timestamptz !, answers jsonb, '
	'score numeric(7,4), computed_score numeric(7,4), attempt integer, passed boolean, max_score numeric, raw_score numeric, '
	'source text C !, received_at timestamptz !', 'columns of quiz_submission');
SELECT is(pg_temp.columns_of('mindtickle.readiness_daily'),
	'tenant_id text C !, day date !, scope text C !, scope_id text C !, avg_score numeric(7,4), completion_rate numeric(5,4), '
	'learners bigint !, quiz_results bigint !, assignments bigint !, completed bigint !', 'columns of readiness_daily');
SELECT is(pg_temp.columns_of('mindtickle.readiness_report'),
	'tenant_id text C !, computed_at timestamptz !, avg_score numeric(7,4), completion_rate numeric(5,4), learners bigint !, '
	'quiz_results bigint !, assignments bigint !, completed bigint !, data_as_of timestamptz, provisional boolean !, '
	'provisional_reason text', 'columns of readiness_report');
SELECT is(pg_temp.columns_of('mindtickle.security_alert'),
	'alert_id bigint !, at timestamptz !, session_role text !, current_role text, client_addr inet, database text !, tenant_in_force text C, '
	'tenant_asked text C, object text, count bigint !, last_at timestamptz !', 'columns of security_alert');
SELECT is(pg_temp.columns_of('mindtickle.sync_budget'),
	'tenant_id text C !, budget_until timestamptz !, noted_at timestamptz, minutes integer[], minute_left integer, hour_left integer, '
	'requests bigint !, throttled bigint !, unreachable bigint !, broken bigint !, unusable bigint !, server_errors bigint !, '
	'client_errors bigint !, refused bigint !', 'columns of sync_budget');
SELECT is(pg_temp.columns_of('mindtickle.sync_job'),
	'tenant_id text C !, job_id bigint !, kind text C !, state text C !, phase text C !, position jsonb !, done bigint !, total bigint, '
	'requests bigint !, throttled bigint !, errors bigint !, rejected bigint !, changed bigint !, requested_by name C, '
	'requested_at timestamptz !, started_at timestamptz, phase_started_at timestamptz, finished_at timestamptz, error text, source_changed boolean !', 'columns of sync_job');
SELECT is(pg_temp.columns_of('mindtickle.sync_resource'),
	'tenant_id text C !, resource text C !, data_as_of timestamptz, finished_at timestamptz, error text, error_at timestamptz, latest timestamptz, listed_at timestamptz, awaited_since timestamptz', 'columns of sync_resource');
SELECT is(pg_temp.columns_of('mindtickle.sync_seen'),
	'tenant_id text C !, job_id bigint !, phase text C !, object_id text C !', 'columns of sync_seen');
SELECT is(pg_temp.columns_of('mindtickle.sync_series'), 'tenant_id text C !, series_id text C !, name text', 'columns of sync_series');
SELECT is(pg_temp.columns_of('mindtickle.sync_series_module'), 'tenant_id text C !, series_id text C !, course_id text C !', 'columns of sync_series_module');
SELECT is(pg_temp.columns_of('mindtickle.team'),
	'tenant_id text C !, team_id text C !, name text !, manager_id text C, source text C !, active boolean !, updated_at timestamptz !, '
	'scim_external_id text C, version bigint !, created_at timestamptz !, name_key text C', 'columns of team');
SELECT is(pg_temp.columns_of('mindtickle.team_member'),
	'tenant_id text C !, team_id text C !, user_id text C !, source text C !, active boolean !', 'columns of team_member');
SELECT is(pg_temp.columns_of('mindtickle.tenant'),
	'tenant_id text C !, display_name text !, settings jsonb !, suspended boolean !, created_at timestamptz !, '
	'source_configured boolean !, next_sync_at timestamptz, open_job_id bigint, backoff_until timestamptz, last_error text, '
	'last_error_at timestamptz, closed_day date, site_url text, source_version bigint !', 'columns of tenant');
SELECT is(pg_temp.columns_of('mindtickle.tenant_grant'),
	'tenant_id text C !, role_name name C !, role_oid oid !, access text C !, token_required boolean !, is_default boolean !, '
	'granted_at timestamptz !', 'columns of tenant_grant');
SELECT is(pg_temp.columns_of('mindtickle.users'),
	'tenant_id text C !, user_id text C !, mindtickle_id text C, scim_external_id text C, user_name text, email text, name text, '
	'role text C !, active boolean !, title text, department text, location text, hired_at timestamptz, manager_id text C, '
	'manager_email text, attributes jsonb !, version bigint !, created_at timestamptz !, updated_at timestamptz !, email_key text C, '
	'user_name_key text C, deleted_at timestamptz', 'columns of users');
SELECT is(pg_temp.columns_of('mindtickle.user_address'), 'tenant_id text C !, address_key text C !, user_id text C !', 'columns of user_address');

-- Keys.
SELECT results_eq($$SELECT relname::text COLLATE "default", pg_temp.key_of(oid) FROM extension_table ORDER BY relname COLLATE "C"$$,
	$$VALUES ('api_token', 'tenant_id, name'),
		('cache_change', 'tenant_id, resource, xid, part'),
		('cache_entry', 'tenant_id, resource, xid, part'),
		('course', 'tenant_id, course_id'),
		('course_progress', 'tenant_id, user_id, course_id'),
		('credential', 'tenant_id, name'),
		('dead_letter', 'tenant_id, letter_id'),
		('event_0', 'tenant_id, seq'),
		('event_1', 'tenant_id, seq'),
		('event_2', 'tenant_id, seq'),
		('event_3', 'tenant_id, seq'),
		('event_consumer_0', 'tenant_id, consumer, number'),
		('event_consumer_1', 'tenant_id, consumer, number'),
		('event_overflow_0', 'tenant_id, round, position'),
		('event_overflow_1', 'tenant_id, round, position'),
		('event_position_0', 'tenant_id, number'),
		('event_position_1', 'tenant_id, number'),
		('outbox_0', 'tenant_id, xid, position'),
		('outbox_1', 'tenant_id, xid, position'),
		('outbox_2', 'tenant_id, xid, position'),
		('outbox_3', 'tenant_id, xid, position'),
		('push_link', 'tenant_id, user_id'), ('push_queue', 'tenant_id, user_id'),
		('quiz', 'tenant_id, quiz_id'),
		('quiz_submission', 'tenant_id, user_id, course_id, quiz_id, submitted_at'),
		('readiness_course_0', 'tenant_id, course_id'),
		('readiness_course_1', 'tenant_id, course_id'),
		('readiness_daily', 'tenant_id, day, scope, scope_id'),
		('readiness_delta_0', 'tenant_id, xid, part'),
		('readiness_delta_1', 'tenant_id, xid, part'),
		('readiness_delta_2', 'tenant_id, xid, part'),
		('readiness_delta_3', 'tenant_id, xid, part'),
		('readiness_report', 'tenant_id, computed_at'),
		('readiness_rerun', 'tenant_id, report_at'),
		('readiness_summary_0', 'tenant_id, fold'),
		('readiness_summary_1', 'tenant_id, fold'),
		('readiness_user_0', 'tenant_id, user_id'),
		('readiness_user_1', 'tenant_id, user_id'),
		('security_alert', 'alert_id'),
		('sync_budget', 'tenant_id'),
		('sync_job', 'tenant_id, job_id'),
		('sync_resource', 'tenant_id, resource'),
		('sync_seen', 'tenant_id, job_id, phase, object_id'), ('sync_series', 'tenant_id, series_id'), ('sync_series_module', 'tenant_id, course_id, series_id'),
		('team', 'tenant_id, team_id'),
		('team_member', 'tenant_id, team_id, user_id'),
		('tenant', 'tenant_id'),
		('tenant_grant', 'tenant_id, role_name'),
		('user_address', 'tenant_id, address_key, user_id'),
		('users', 'tenant_id, user_id')$$, 'primary keys');

-- Views.
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_course_progress'::regclass AND attnum > 0),
	'tenant_id, user_id, user_name, user_email, user_active, course_id, course_title, status, score, completed_at, invited_at, '
	'started_at, due_at, is_overdue, has_failed, percent_completed, max_score, updated_at, synced_at', 'columns of mt_course_progress');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_courses'::regclass AND attnum > 0),
	'tenant_id, course_id, title, kind, source, updated_at', 'columns of mt_courses');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_dead_letters'::regclass AND attnum > 0),
	'tenant_id, letter_id, source, resource, reason, raw, received_at, replayed_at', 'columns of mt_dead_letters');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_events'::regclass AND attnum > 0),
	'tenant_id, seq, topic, payload, created_at, published_at', 'columns of mt_events');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_stat_queue'::regclass AND attnum > 0),
	'tenant_id, waiting, oldest_waiting_at, overflow, first_seq, last_seq, events, consumers, longest_lag, dead_letters, dead_letters_waiting, dead_letters_full, notification_queue', 'columns of mt_stat_queue');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_event_consumers'::regclass AND attnum > 0),
	'tenant_id, consumer, acked_seq, lag, lost, created_at, acked_at', 'columns of mt_event_consumers');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_progress_sync'::regclass AND attnum > 0),
	'tenant_id, job_id, phase, done, total, started_at, phase_started_at, per_second, phase_ends_at, requests, throttled, errors, '
	'backoff_until, last_error', 'columns of mt_progress_sync');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_quiz_results'::regclass AND attnum > 0),
	'tenant_id, user_id, user_name, user_email, user_active, course_id, course_title, quiz_id, quiz_title, submitted_at, answers, score, '
	'computed_score, attempt, passed, max_score, raw_score, source, received_at', 'columns of mt_quiz_results');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_readiness_reports'::regclass AND attnum > 0),
	'tenant_id, avg_score, completion_rate, learners, quiz_results, assignments, completed, data_as_of, provisional, provisional_reason, '
	'computed_at', 'columns of mt_readiness_reports');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_security_alerts'::regclass AND attnum > 0),
	'alert_id, at, session_role, current_role, client_addr, database, tenant_in_force, tenant_asked, object, count, last_at', 'columns of mt_security_alerts');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_stat_tenant'::regclass AND attnum > 0),
	'tenant_id, suspended, source_configured, requests, throttled, unreachable, broken, unusable, server_errors, client_errors, refused, '
	'roster_at, teams_at, team_members_at, series_at, catalog_at, progress_at, quiz_results_at, failing, minute_left, hour_left, next_run_at, backoff_until, phase, done, total, '
	'phase_started_at, unknown_users, dead_letters, last_error, last_error_at', 'columns of mt_stat_tenant');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_stat_worker'::regclass AND attnum > 0),
	'database, kind, pid, started_at, starts, state, step, rounds, items, errors, last_work_at, last_error, last_error_at', 'columns of mt_stat_worker');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_sync_jobs'::regclass AND attnum > 0),
	'tenant_id, job_id, kind, state, phase, done, total, requests, throttled, errors, rejected, changed, requested_by, requested_at, '
	'started_at, finished_at, error', 'columns of mt_sync_jobs');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_teams'::regclass AND attnum > 0),
	'tenant_id, team_id, name, manager_id, manager_name, source, active, updated_at, members, scim_external_id', 'columns of mt_teams');
SELECT is((SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'mt_users'::regclass AND attnum > 0),
	'tenant_id, user_id, mindtickle_id, scim_external_id, user_name, email, name, role, active, title, department, location, hired_at, '
	'manager_id, manager_name, manager_email, attributes, version, created_at, updated_at, deleted_at', 'columns of mt_users');

-- Rules for every table.
SELECT cmp_ok((SELECT count(*) FROM tenant_table), '>=', 23::bigint, 'the catalog queries find the tables');
SELECT is_empty($$SELECT relname FROM extension_table WHERE relnamespace <> 'mindtickle'::regnamespace$$, 'all tables are in schema mindtickle');
SELECT is_empty($$SELECT relname FROM extension_table WHERE relname <> 'security_alert' EXCEPT SELECT relname FROM tenant_table$$,
	'every table but security_alert belongs to tenants');
SELECT is_empty($$SELECT t.relname FROM tenant_table AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'tenant_id'
	WHERE a.atttypid <> 'text'::regtype OR a.attcollation <> '"C"'::regcollation OR NOT a.attnotnull OR a.attnum <> 1$$,
	'tenant_id is the first column, text COLLATE "C" NOT NULL');
SELECT is_empty($$SELECT a.attrelid::regclass, a.attname FROM tenant_table AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
	WHERE a.attname ~ '_id$' AND a.atttypid = 'text'::regtype AND a.attcollation <> '"C"'::regcollation$$, 'every id that is text is COLLATE "C"');
SELECT is_empty($$SELECT t.relname FROM tenant_table AS t WHERE split_part(pg_temp.key_of(t.oid), ', ', 1) IS DISTINCT FROM 'tenant_id'$$,
	'tenant_id leads every primary key');
SELECT is_empty($$SELECT i.indexrelid::regclass FROM tenant_table AS t JOIN pg_index AS i ON i.indrelid = t.oid
	WHERE i.indkey[0] <> 1 AND i.indexrelid NOT IN ('mindtickle.tenant_grant_role_oid_idx'::regclass, 'mindtickle.api_token_token_hash_idx'::regclass)$$,
	'tenant_id leads every index but those that find the tenants of a role, and of a token');
SELECT is_empty($$SELECT c.conname FROM extension_table AS t JOIN pg_constraint AS c ON c.conrelid = t.oid WHERE c.contype = 'f'$$,
	'no table has a foreign key: a restore loads them in any order');
SELECT is_empty($$SELECT relname FROM tenant_table WHERE NOT (relrowsecurity AND relforcerowsecurity)$$, 'row security is enabled and forced');
SELECT is_empty($$SELECT t.relname FROM tenant_table AS t WHERE NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = t.oid
		AND p.polcmd = '*' AND p.polroles = '{0}' AND p.polpermissive AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL)$$,
	'every tenant table has a policy for all commands and all roles');
SELECT is_empty($$SELECT t.relname FROM tenant_table AS t JOIN pg_policy AS p ON p.polrelid = t.oid WHERE p.polpermissive GROUP BY t.relname HAVING count(*) <> 1$$,
	'and no second one, which would let through what the first does not');
SELECT is_empty($$SELECT t.relname FROM tenant_table AS t JOIN pg_policy AS p ON p.polrelid = t.oid
	WHERE t.relname NOT IN ('tenant', 'sync_budget', 'credential', 'api_token', 'tenant_grant')
		AND (pg_get_expr(p.polqual, t.oid) <> CASE WHEN t.relname ~ '^event_[0-9]$' THEN '((tenant_id = mt_current_tenant()) AND mindtickle.events_on_disk())'
											ELSE '(tenant_id = mt_current_tenant())' END
			OR pg_get_expr(p.polwithcheck, t.oid) <> 'mindtickle.row_allowed(tenant_id, tableoid)')$$,
	'the policies say tenant_id = mt_current_tenant() and row_allowed(tenant_id, tableoid), and those of events wait for the disk');
SELECT results_eq($$SELECT t.relname::text COLLATE "default", pg_get_expr(p.polqual, t.oid) COLLATE "default", pg_get_expr(p.polwithcheck, t.oid) COLLATE "default" FROM tenant_table AS t JOIN pg_policy AS p ON p.polrelid = t.oid
		WHERE t.relname IN ('tenant', 'sync_budget', 'credential', 'api_token', 'tenant_grant') ORDER BY t.relname COLLATE "C"$$,
	$$VALUES ('api_token', '((tenant_id = COALESCE(mt_current_tenant(), ''''::text)) AND mindtickle.acting_as_service())',
			E'\nCASE\n    WHEN (tenant_id = ''''::text) THEN mindtickle.acting_as_service()\n    ELSE mindtickle.row_allowed(tenant_id, tableoid)\nEND'),
		('credential', '((tenant_id = mt_current_tenant()) AND mindtickle.acting_as_service())', 'mindtickle.row_allowed(tenant_id, tableoid)'),
		('sync_budget', 'mindtickle.acting_as_service()', 'mindtickle.acting_as_service()'),
		('tenant', '(tenant_id = ANY (mindtickle.visible_tenants()))', 'mindtickle.row_allowed(tenant_id, tableoid)'),
		('tenant_grant', '((tenant_id = mt_current_tenant()) AND mindtickle.acting_as_service())', 'mindtickle.row_allowed(tenant_id, tableoid)')$$,
	'secrets, tokens and grants are shown to the service role alone, and it alone sees every tenant and budget');
SELECT is_empty($$SELECT relname FROM extension_table WHERE obj_description(oid, 'pg_class') IS NULL$$, 'every table has a comment');

-- Rules for every view and function.
SELECT is_empty($$SELECT relname FROM extension_view WHERE NOT coalesce(reloptions, '{}') @> '{security_invoker=true}'$$, 'every view is security_invoker');
SELECT is_empty($$SELECT relname FROM extension_view WHERE (relname ~ '^mt_') <> (relnamespace <> 'mindtickle'::regnamespace)
		OR relnamespace = 'mindtickle'::regnamespace AND relname NOT IN ('event', 'event_overflow', 'event_position', 'outbox')$$,
	'views are named mt_ and stand in the schema of the extension, but for those that show a ring of tables as one');
SELECT is_empty($$SELECT relname FROM extension_view WHERE obj_description(oid, 'pg_class') IS NULL$$, 'every view has a comment');
SELECT is_empty($$SELECT signature FROM extension_function WHERE obj_description(oid, 'pg_proc') IS NULL$$, 'every function has a comment');
SELECT is_empty($$SELECT signature FROM extension_function WHERE proname ~ '^mt_' AND pronamespace = 'mindtickle'::regnamespace
	OR proname !~ '^mt_' AND pronamespace <> 'mindtickle'::regnamespace$$, 'functions named mt_ are in the schema of the extension, the others in mindtickle');
SELECT is_empty($$SELECT signature FROM extension_function WHERE lanname NOT IN ('c', 'internal')
	AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp'] AND prosqlbody IS NULL$$, 'every function in SQL or PL/pgSQL has a fixed search_path, or a body that was understood when it was made');
SELECT results_eq($$SELECT signature FROM extension_function WHERE prosecdef ORDER BY signature COLLATE "C"$$,
	$$VALUES ('mindtickle.granted_roles()'), ('mindtickle.unconfirmed_credentials()')$$, 'no function is SECURITY DEFINER but two that mt_check asks');
SELECT is_empty($$SELECT signature FROM extension_function WHERE proleakproof$$, 'no function is leakproof');

-- Rights of PUBLIC.
SELECT results_eq($$SELECT signature FROM extension_function WHERE proacl IS NULL
		OR EXISTS (SELECT FROM aclexplode(proacl) AS a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE') ORDER BY signature COLLATE "C"$$,
	$$VALUES ('mindtickle.acting_as_service()'), ('mindtickle.event_consumers()'), ('mindtickle.event_kept(text,bigint)'), ('mindtickle.events_on_disk()'), ('mindtickle.row_allowed(text,oid)'), ('mindtickle.visible_tenants()'),
		('mt_ack_events(text,text,bigint)'), ('mt_aggregate_readiness(text)'), ('mt_cancel_job(text,bigint)'), ('mt_configure_tenant(text,jsonb)'),
		('mt_create_token(text,text,text[],interval)'), ('mt_current_tenant()'), ('mt_deactivate_user(text,text)'),
		('mt_drop_consumer(text,text)'), ('mt_erase_user(text,text)'), ('mt_event_channel(text,text)'), ('mt_export_user(text,text)'), ('mt_get_course_catalog(text)'), ('mt_get_user_roster(text)'), ('mt_handle_scim_event(jsonb)'), ('mt_invalidate_tenant(text)'), ('mt_poll_events(text,text,integer)'),
		('mt_process_quiz_result(text,jsonb)'), ('mt_provision_user(text,jsonb)'), ('mt_readiness(text)'),
		('mt_readiness_by_course(text)'), ('mt_readiness_by_team(text)'), ('mt_readiness_by_user(text)'), ('mt_readiness_trend(text,date,date)'), ('mt_readiness_trend(text,date,date,text,text)'),
		('mt_rebuild_readiness(text)'), ('mt_replay_dead_letter(text,bigint)'),
		('mt_revoke_token(text,text)'), ('mt_scim_request(text,text,text,text,jsonb,bytea)'), ('mt_scim_request(text,text,text,text,jsonb,text)'), ('mt_score_quiz(jsonb)'),
		('mt_set_tenant(text,text)'), ('mt_sync_course_progress(text,text,interval)'), ('mt_sync_tenant(text)'), ('mt_test_connection(text,interval)'), ('mt_upsert_progress(text,text,jsonb)'), ('mt_verify_readiness(text)'), ('mt_whoami()')$$,
	'PUBLIC executes these functions and no others');
SELECT is_empty($$SELECT t.relname, a.privilege_type FROM (SELECT * FROM extension_table UNION ALL SELECT * FROM extension_view) AS t,
		aclexplode(t.relacl) AS a WHERE a.grantee = 0 AND a.privilege_type <> 'SELECT'$$, 'PUBLIC has nothing but SELECT on tables and views');
SELECT is_empty($$SELECT c.attrelid::regclass, c.attname FROM extension_table AS t JOIN pg_attribute AS c ON c.attrelid = t.oid, aclexplode(c.attacl) AS a
	WHERE a.privilege_type <> 'SELECT'$$, 'nor on their columns');
SELECT results_eq($$SELECT t.relname::text COLLATE "default" FROM extension_table AS t WHERE EXISTS (SELECT FROM aclexplode(t.relacl) AS a WHERE a.grantee = 0)
		ORDER BY t.relname COLLATE "C"$$,
	$$VALUES ('course'), ('course_progress'), ('dead_letter'), ('event_0'), ('event_1'), ('event_2'), ('event_3'), ('quiz'), ('quiz_submission'), ('readiness_daily'),
		('readiness_report'), ('sync_resource'), ('team'), ('team_member'), ('users')$$, 'PUBLIC reads these tables');
SELECT results_eq($$SELECT t.relname::text COLLATE "default" FROM extension_table AS t JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attacl IS NOT NULL
		GROUP BY t.relname ORDER BY t.relname COLLATE "C"$$, $$VALUES ('sync_job'), ('tenant')$$, 'and some columns of these');
SELECT ok(NOT has_column_privilege('pg_read_all_stats', 'mindtickle.tenant', 'settings', 'SELECT'), 'settings of a tenant are not for everyone');
SELECT ok(NOT has_column_privilege('pg_read_all_stats', 'mindtickle.sync_job', 'position', 'SELECT'), 'nor is the position of a pull');
SELECT results_eq($$SELECT t.relname::text COLLATE "default", string_agg(a.grantee::regrole::text || ' ' || a.privilege_type, ', ' ORDER BY a.grantee::regrole::text)
		FROM (SELECT * FROM extension_table UNION ALL SELECT * FROM extension_view) AS t, aclexplode(t.relacl) AS a
		WHERE a.grantee <> 0 AND a.grantee <> t.relowner AND a.grantee <> 'mindtickle_service'::regrole GROUP BY t.relname ORDER BY t.relname COLLATE "C"$$,
	$$VALUES ('mt_security_alerts', 'pg_monitor SELECT'), ('mt_stat_cache', 'pg_monitor SELECT'), ('mt_stat_queue', 'pg_monitor SELECT'), ('mt_stat_tenant', 'pg_monitor SELECT'), ('mt_stat_worker', 'pg_monitor SELECT'), ('security_alert', 'pg_monitor SELECT')$$, 'no other role has a right but pg_monitor');
SELECT is_empty($$SELECT c.relname FROM pg_class AS c JOIN extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid,
		aclexplode(c.relacl) AS a WHERE c.relkind = 'S' AND a.grantee <> c.relowner AND a.grantee <> 'mindtickle_service'::regrole$$,
	'sequences are granted to nobody');
SELECT is_empty($$SELECT a.privilege_type FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
	WHERE n.nspname = 'mindtickle' AND a.grantee = 0 AND a.privilege_type <> 'USAGE'$$, 'PUBLIC creates nothing in schema mindtickle');

-- Rights of the service role.
SELECT is_empty($$SELECT relname FROM extension_table WHERE relname <> 'tenant_grant'
	AND NOT (has_table_privilege('mindtickle_service', oid, 'SELECT') AND has_table_privilege('mindtickle_service', oid, 'INSERT')
		AND has_table_privilege('mindtickle_service', oid, 'UPDATE') AND has_table_privilege('mindtickle_service', oid, 'DELETE'))$$,
	'the service role writes the tables');
SELECT is_empty($$SELECT relname FROM extension_table WHERE relname = 'tenant_grant'
	AND (has_table_privilege('mindtickle_service', oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege('mindtickle_service', oid, 'SELECT'))$$,
	'but not grants');
SELECT is_empty($$SELECT relname FROM extension_table WHERE has_table_privilege('mindtickle_service', oid, 'REFERENCES, TRIGGER')
	OR has_table_privilege('mindtickle_service', oid, 'TRUNCATE') <> (relname ~ '^(readiness_(delta|summary|user|course)|outbox|event|event_(overflow|position|consumer))_[0-3]$')$$,
	'and has no REFERENCES or TRIGGER, and TRUNCATE only on what readiness is made of and events go through');
SELECT results_eq($$SELECT rolsuper, rolbypassrls, rolcanlogin FROM pg_roles WHERE rolname = 'mindtickle_service'$$, $$VALUES (false, false, false)$$,
	'it is no superuser, does not bypass row security and cannot log in');
SELECT ok(NOT has_function_privilege('mindtickle_service', 'mt_grant_tenant(text, name, text, bool)', 'EXECUTE')
	AND NOT has_function_privilege('mindtickle_service', 'mt_set_credential(text, jsonb)', 'EXECUTE')
	AND NOT has_function_privilege('mindtickle_service', 'mt_drop_tenant(text)', 'EXECUTE'), 'it administers no tenants');

-- Dump.
CREATE TEMP VIEW dumped AS
	SELECT c.relname::text, e.extcondition[o.place] COLLATE "default" AS condition
	FROM pg_extension AS e, unnest(e.extconfig) WITH ORDINALITY AS o (relation, place), pg_class AS c
	WHERE e.extname = 'mindtickle' AND c.oid = o.relation;
SELECT results_eq($$SELECT relname FROM extension_table EXCEPT SELECT relname::name FROM dumped ORDER BY relname$$,
	$$SELECT ('readiness_' || t COLLATE "C")::name FROM unnest('{course_0,course_1,delta_0,delta_1,delta_2,delta_3,summary_0,summary_1,user_0,user_1}'::text[]) AS t$$,
	'every table is registered for pg_dump, but those of readiness that are made anew: a long dump must not keep them from being emptied');
SELECT is_empty($$SELECT c.relname FROM pg_class AS c JOIN extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid
	WHERE c.relkind = 'S' EXCEPT SELECT relname::name FROM dumped$$, 'and every sequence');
SELECT results_eq($$SELECT relname COLLATE "default", condition FROM dumped WHERE condition <> '' ORDER BY relname COLLATE "C"$$,
	$$VALUES ('cache_change', 'WHERE false'),
		('cache_entry', 'WHERE false'),
		('credential', 'WHERE file IS NOT NULL'),
		('event_0', 'WHERE mindtickle.rings_are_whole()'),
		('event_1', 'WHERE mindtickle.rings_are_whole()'),
		('event_2', 'WHERE mindtickle.rings_are_whole()'),
		('event_3', 'WHERE mindtickle.rings_are_whole()'),
		('event_consumer_0', 'WHERE mindtickle.rings_are_whole()'),
		('event_consumer_1', 'WHERE mindtickle.rings_are_whole()'),
		('event_overflow_0', 'WHERE mindtickle.rings_are_whole() AND mindtickle.overflow_waits(tenant_id, round, "position")'),
		('event_overflow_1', 'WHERE mindtickle.rings_are_whole() AND mindtickle.overflow_waits(tenant_id, round, "position")'),
		('event_position_0', 'WHERE mindtickle.rings_are_whole()'),
		('event_position_1', 'WHERE mindtickle.rings_are_whole()'),
		('outbox_0', 'WHERE mindtickle.rings_are_whole() AND mindtickle.event_waits(tenant_id, 0, xid, "position")'),
		('outbox_1', 'WHERE mindtickle.rings_are_whole() AND mindtickle.event_waits(tenant_id, 1, xid, "position")'),
		('outbox_2', 'WHERE mindtickle.rings_are_whole() AND mindtickle.event_waits(tenant_id, 2, xid, "position")'),
		('outbox_3', 'WHERE mindtickle.rings_are_whole() AND mindtickle.event_waits(tenant_id, 3, xid, "position")'),
		('user_address', 'WHERE false')$$,
	'the cache, secrets in plain text, addresses that triggers note and what has been published from outbox and overflow are not dumped; tables of events only as a whole');

-- Triggers that must also fire during a restore and under logical replication.
SELECT is_empty($$SELECT t.relname, g.tgname FROM extension_table AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid
	WHERE NOT g.tgisinternal AND g.tgenabled <> CASE WHEN g.tgname ~ '^readiness_(insert|update|delete)$' THEN 'O' WHEN g.tgname = 'readiness_replicated' THEN 'R' ELSE 'A' END$$,
	'every trigger is ENABLE ALWAYS, but for those of readiness that replicated rows do not fire, and the one that only they do');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('mindtickle.tenant_grant'::regclass, 'mindtickle.tenant'::regclass)
	AND tgfoid = 'mindtickle.forget_access()'::regprocedure), 2::bigint, 'tenants and grants are watched');

-- Beside a column that is near its bound, a tenant's id stays in the row, where scans that open no TOAST table read it.
SELECT is((SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' AND a.attname = 'tenant_id' AND a.attstorage = 'p'),
	'readiness_delta_0 readiness_delta_1 readiness_delta_2 readiness_delta_3 readiness_summary_0 readiness_summary_1', 'tenant ids that are kept out of TOAST');

-- Constraints of the tables.
SELECT throws_ok($$INSERT INTO mindtickle.tenant (tenant_id, display_name) VALUES ('Upper', 'x')$$, '23514', NULL, 'a tenant id has its form in the table too');
SELECT throws_ok($$INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('x', 'u', 'c', 'expired')$$, '23514', NULL,
	'the status of a course is one of three');
SELECT throws_ok($$INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score) VALUES ('x', 'u', 'c', 'completed', 100.0001)$$,
	'23514', NULL, 'a score is at most 100');
SELECT throws_ok($$INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score) VALUES ('x', 'u', 'c', 'completed', 'NaN')$$,
	'23514', NULL, 'and is a number');
SELECT is(mindtickle.library_version(), (SELECT extversion FROM pg_extension WHERE extname = 'mindtickle'), 'library and SQL are of one version');
SELECT results_eq($$SELECT name::text FROM pg_settings WHERE name LIKE 'mindtickle.%' AND context IN ('user', 'superuser')$$, $$VALUES ('mindtickle.tenant')$$,
	'the one setting that a session may change is the tenant');
SELECT throws_ok($$SET mindtickle.tennant = 'x'$$, '42602', NULL, 'a misspelt setting is an error');

SELECT * FROM finish();
ROLLBACK;
