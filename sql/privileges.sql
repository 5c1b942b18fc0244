/*
 * Who may do what without being the owner: PUBLIC reads the tables behind the views, where row security shows a role its tenant alone, and
 * calls the functions that check the caller themselves. Everything else is given to the service role by mt_setup, or to nobody.
 */
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mindtickle FROM PUBLIC;
-- Where default privileges have given more.
REVOKE ALL ON ALL TABLES IN SCHEMA mindtickle FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA mindtickle FROM PUBLIC;
REVOKE ALL ON FUNCTION
	@extschema@.mt_setup(),
	@extschema@.mt_create_tenant(pg_catalog.text, pg_catalog.text),
	@extschema@.mt_suspend_tenant(pg_catalog.text),
	@extschema@.mt_resume_tenant(pg_catalog.text),
	@extschema@.mt_drop_tenant(pg_catalog.text),
	@extschema@.mt_grant_tenant(pg_catalog.text, pg_catalog.name, pg_catalog.text, pg_catalog.bool),
	@extschema@.mt_revoke_tenant(pg_catalog.text, pg_catalog.name),
	@extschema@.mt_set_credential(pg_catalog.text, pg_catalog.jsonb),
	@extschema@.mt_confirm_site(),
	@extschema@.mt_check(),
	@extschema@.mt_verify_isolation()
	FROM PUBLIC;

-- mt_check runs as whoever calls it, and so do its parts.
GRANT EXECUTE ON FUNCTION @extschema@.mt_check(), mindtickle.check_list(), mindtickle.check_server(), mindtickle.check_workers(),
	mindtickle.check_service_role(), mindtickle.check_rights(), mindtickle.check_owners(), mindtickle.check_tenant_roles(),
	mindtickle.check_pooled_roles(), mindtickle.check_grants(), mindtickle.check_row_security(), mindtickle.check_tables(), mindtickle.check_views(),
	mindtickle.check_functions(), mindtickle.check_definitions(), mindtickle.present_functions(),
	mindtickle.installed_functions(), mindtickle.check_server_rights(), mindtickle.guarded_tables(), mindtickle.child_relations(), mindtickle.check_additions(), mindtickle.check_triggers(), mindtickle.check_cache(), mindtickle.expected_triggers(), mindtickle.is_truncated(pg_catalog.name), mindtickle.own_objects(),
	mindtickle.own_relations(pg_catalog.text), mindtickle.service_role(), mindtickle.extension_owner(), mindtickle.role_text(pg_catalog.oid),
	mindtickle.granted_roles(), mindtickle.unconfirmed_credentials(), mindtickle.acting_roles(), mindtickle.library_preloaded(),
	mindtickle.right_of_service(pg_catalog.oid, pg_catalog.oid, pg_catalog.text), mindtickle.added_rights(), mindtickle.role_dangers(),
	mindtickle.expected_policy(pg_catalog.name), mindtickle.tenant_tables(), mindtickle.invoker_view(pg_catalog.text[]),
	mindtickle.library_version(), mindtickle.worker_state(), mindtickle.worker_stats(), mindtickle.tenant_stats(),
	mindtickle.queue_stats(), mindtickle.cache_stats() TO pg_monitor;

-- The policies call these as whoever asks.
GRANT EXECUTE ON FUNCTION mindtickle.row_allowed(pg_catalog.text, pg_catalog.oid), mindtickle.acting_as_service(),
	mindtickle.visible_tenants(), mindtickle.events_on_disk() TO PUBLIC;
-- And the views of events.
GRANT EXECUTE ON FUNCTION mindtickle.event_kept(pg_catalog.text, pg_catalog.int8), mindtickle.event_consumers() TO PUBLIC;

GRANT SELECT ON mindtickle.users, mindtickle.team, mindtickle.team_member, mindtickle.course, mindtickle.quiz, mindtickle.course_progress,
	mindtickle.quiz_submission, mindtickle.readiness_report, mindtickle.readiness_daily, mindtickle.event_0,
	mindtickle.event_1, mindtickle.event_2, mindtickle.event_3, mindtickle.event, mindtickle.dead_letter,
	mindtickle.sync_resource TO PUBLIC;
GRANT SELECT (tenant_id, display_name, suspended, created_at, source_configured, next_sync_at, backoff_until, last_error, last_error_at)
	ON mindtickle.tenant TO PUBLIC;
GRANT SELECT (tenant_id, job_id, kind, state, phase, done, total, requests, throttled, errors, rejected, changed, requested_by, requested_at,
	started_at, phase_started_at, finished_at, error) ON mindtickle.sync_job TO PUBLIC;
GRANT SELECT ON @extschema@.mt_users, @extschema@.mt_teams, @extschema@.mt_courses, @extschema@.mt_course_progress,
	@extschema@.mt_quiz_results, @extschema@.mt_readiness_reports, @extschema@.mt_events, @extschema@.mt_dead_letters,
	@extschema@.mt_event_consumers, @extschema@.mt_sync_jobs, @extschema@.mt_progress_sync TO PUBLIC;

GRANT SELECT ON mindtickle.security_alert, @extschema@.mt_security_alerts, @extschema@.mt_stat_worker, @extschema@.mt_stat_tenant,
	@extschema@.mt_stat_queue, @extschema@.mt_stat_cache TO pg_monitor;

-- A database that has just got the extension needs its workers.
SELECT mindtickle.wake_launcher();
