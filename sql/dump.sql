/*
 * What pg_dump takes along: everything but secrets in plain text and what the running system makes anew.
 */
SELECT pg_catalog.pg_extension_config_dump('mindtickle.tenant', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.tenant_grant', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.users', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.team', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.team_member', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.course', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.quiz', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.course_progress', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.quiz_submission', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.readiness_report', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.readiness_daily', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.outbox', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.outbox_outbox_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.event_counter', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.event', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.event_overflow', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.event_overflow_overflow_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.dead_letter_letter_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.cache_entry', 'WHERE false');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.sync_job', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.sync_job_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.sync_resource', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.sync_seen', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.sync_budget', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.credential', 'WHERE file IS NOT NULL');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.api_token', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.api_token_token_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.security_alert', '');
SELECT pg_catalog.pg_extension_config_dump('mindtickle.security_alert_alert_id_seq', '');
