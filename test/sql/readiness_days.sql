\set ECHO none
-- The daily history as the aggregator makes it: when a day of a tenant ends, in time zones east and west, with their changes of the clock; days that
-- were missed; another time zone; and that a day has the figures of the tenant, its teams and its courses at the moment it was closed.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
SELECT plan(50);

-- What follows must not depend on the session's time zone. This one skips midnight of March 29, 2026, and of March 30, 2025.
SET LOCAL TimeZone = 'Asia/Beirut';
SET LOCAL DateStyle = 'ISO';

CREATE FUNCTION pg_temp.tenant(name text, zone text, made timestamptz, closed date DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	SELECT mt_create_tenant(name, name), mt_configure_tenant(name, jsonb_build_object('timezone', zone));
	UPDATE mindtickle.tenant AS t SET created_at = made, closed_day = closed WHERE t.tenant_id = name;
$$;
-- When the next day of a tenant ends, in UTC.
CREATE FUNCTION pg_temp.due(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT to_char(d.next_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM mindtickle.readiness_days_due(now()) AS d WHERE d.tenant_id = tenant
$$;
-- The days in a tenant's history.
CREATE FUNCTION pg_temp.days(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(day::text, ' ' ORDER BY day), '') FROM mindtickle.readiness_daily WHERE tenant_id = tenant AND scope = 'tenant'
$$;

-- East and west of where the day begins, both made at 5 o'clock UTC.
SELECT pg_temp.tenant('rh-east', 'Pacific/Kiritimati', '2026-05-10 05:00Z'), pg_temp.tenant('rh-west', 'Pacific/Pago_Pago', '2026-05-10 05:00Z'), pg_temp.tenant('rh-utc', NULL, '2026-05-10 05:00Z') \g /dev/null
SELECT is(pg_temp.due('rh-east'), '2026-05-10 10:00:00', 'the first day ends at midnight of the tenant''s time zone: far in the east');
SELECT is(pg_temp.due('rh-west'), '2026-05-10 11:00:00', 'far in the west, where the day before had not ended');
SELECT is(pg_temp.due('rh-utc'), '2026-05-11 00:00:00', 'and in UTC without a setting');
SELECT is(mindtickle.close_readiness_day('rh-east', '2026-05-10 09:59:59.999999Z'), 0, 'a day is not closed before its end');
SELECT is(pg_temp.days('rh-east'), '', 'nothing is in the history then');
SELECT is(mindtickle.close_readiness_day('rh-east', '2026-05-10 10:00Z'), 1, 'it is closed with its end');
SELECT is(pg_temp.days('rh-east'), '2026-05-10', 'under its date in the tenant''s time zone');
SELECT is(pg_temp.due('rh-east'), '2026-05-11 10:00:00', 'and the next one ends a day later');
SELECT is(mindtickle.close_readiness_day('rh-east', '2026-05-10 10:00Z'), 0, 'a day is closed once');
SELECT is(mindtickle.close_readiness_day('rh-east', '2026-05-11 09:59:59Z'), 0, 'also when the next one has nearly ended');
SELECT is(mindtickle.close_readiness_day('rh-west', '2026-05-10 10:59:59Z'), 0, 'in the west the day before has not ended');
SELECT is(mindtickle.close_readiness_day('rh-west', '2026-05-10 11:00Z'), 1, 'until it has');
SELECT is(pg_temp.days('rh-west'), '2026-05-09', 'it is the day before');
SELECT is(mindtickle.close_readiness_day('rh-utc', '2026-05-11 00:00Z'), 1, 'the day of UTC');
SELECT is(pg_temp.days('rh-utc'), '2026-05-10', 'is that of UTC, whatever the session''s time zone');
SELECT is((SELECT string_agg(day::text, ' ') FROM mt_readiness_trend('rh-utc', NULL, NULL)), '2026-05-10', 'mt_readiness_trend has it');

-- A tenant made today.
SELECT mt_create_tenant('rh-new', 'New') \g /dev/null
SELECT is(mindtickle.close_readiness_day('rh-new', now()), 0, 'a tenant made today has no day that has ended');
SELECT ok((SELECT d.next_at > now() AND d.next_at <= now() + interval '1 day' FROM mindtickle.readiness_days_due(now()) AS d WHERE d.tenant_id = 'rh-new'), 'its first one ends at the next midnight');
SELECT is(mindtickle.close_readiness_day('rh-nobody', now()), 0, 'a tenant that is not there has none');

-- Days of 23 and 25 hours, and midnights that are not there or come twice.
SELECT pg_temp.tenant('rh-spring', 'Europe/Berlin', '2026-01-01Z', '2026-03-28'), pg_temp.tenant('rh-autumn', 'Europe/Berlin', '2026-01-01Z', '2026-10-24'),
	pg_temp.tenant('rh-skipped', 'Asia/Beirut', '2025-01-01Z', '2025-03-28'), pg_temp.tenant('rh-twice', 'Atlantic/Azores', '2025-01-01Z', '2025-10-24') \g /dev/null
SELECT is(pg_temp.due('rh-spring'), '2026-03-29 22:00:00', 'a day of 23 hours');
SELECT is(pg_temp.due('rh-autumn'), '2026-10-25 23:00:00', 'a day of 25 hours');
SELECT is(pg_temp.due('rh-skipped'), '2025-03-29 22:00:00', 'a day whose last moment is followed by 1 o''clock');
SELECT is(mindtickle.close_readiness_day('rh-skipped', '2025-03-29 21:59:59Z') || ' ' || mindtickle.close_readiness_day('rh-skipped', '2025-03-29 22:00Z'), '0 1', 'it is closed then');
SELECT ok(pg_temp.due('rh-twice') IN ('2025-10-26 00:00:00', '2025-10-26 01:00:00'), 'a midnight that comes twice: either');
-- A year, day by day, each closed at the moment that was foretold.
CREATE FUNCTION pg_temp.a_year(tenant text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	ended timestamptz;
	closed int4;
	wrong text := '';
BEGIN
	UPDATE mindtickle.tenant AS t SET closed_day = '2024-12-31' WHERE t.tenant_id = tenant;
	DELETE FROM mindtickle.readiness_daily AS d WHERE d.tenant_id = tenant;
	FOR i IN 1 .. 365 LOOP
		SELECT d.next_at INTO ended FROM mindtickle.readiness_days_due(now()) AS d WHERE d.tenant_id = tenant;
		closed := mindtickle.close_readiness_day(tenant, ended);
		IF closed <> 1 THEN
			wrong := wrong || format('%s days at %s; ', closed, ended);
		END IF;
	END LOOP;
	RETURN wrong || (SELECT concat_ws(' ', count(*), min(day), max(day)) FROM mindtickle.readiness_daily AS d WHERE d.tenant_id = tenant);
END
$$;
SELECT is(pg_temp.a_year('rh-spring'), '365 2025-01-01 2025-12-31', 'each day of a year is closed when it was foretold: Berlin');
SELECT is(pg_temp.a_year('rh-skipped'), '365 2025-01-01 2025-12-31', 'Beirut');
SELECT is(pg_temp.a_year('rh-twice'), '365 2025-01-01 2025-12-31', 'the Azores');

-- Days that were missed.
UPDATE mindtickle.tenant SET closed_day = '2026-03-25' WHERE tenant_id = 'rh-utc';
DELETE FROM mindtickle.readiness_daily WHERE tenant_id = 'rh-utc';
SELECT is(mindtickle.close_readiness_day('rh-utc', '2026-04-02 12:00Z'), 7, 'days that were missed are closed together');
SELECT is(pg_temp.days('rh-utc'), '2026-03-26 2026-03-27 2026-03-28 2026-03-29 2026-03-30 2026-03-31 2026-04-01', 'each of them, also over a change of the session''s clock');
SELECT is((SELECT closed_day FROM mindtickle.tenant WHERE tenant_id = 'rh-utc'), '2026-04-01'::date, 'up to the last one that has ended');
UPDATE mindtickle.tenant SET closed_day = '2024-01-01' WHERE tenant_id = 'rh-utc';
DELETE FROM mindtickle.readiness_daily WHERE tenant_id = 'rh-utc';
SELECT is(mindtickle.close_readiness_day('rh-utc', '2026-04-02 12:00Z'), 366, 'of more than 366 days');
SELECT is((SELECT concat_ws(' ', count(*), min(day), max(day)) FROM mindtickle.readiness_daily WHERE tenant_id = 'rh-utc'), '366 2025-04-01 2026-04-01', 'the last 366 are');
SELECT is(pg_temp.due('rh-utc'), '2026-04-03 00:00:00', 'the rest is not asked for again');

-- Another time zone.
SELECT mt_configure_tenant('rh-east', '{"timezone": "Pacific/Pago_Pago"}') \g /dev/null
SELECT is(pg_temp.due('rh-east'), '2026-05-12 11:00:00', 'from the east to the west: the day that is closed is not closed again');
SELECT is(mindtickle.close_readiness_day('rh-east', '2026-05-11 11:00Z') || ' ' || mindtickle.close_readiness_day('rh-east', '2026-05-12 11:00Z'), '0 1', 'its next one ends when it ends there');
SELECT is(pg_temp.days('rh-east'), '2026-05-10 2026-05-11', 'no day is missing');
SELECT mt_configure_tenant('rh-west', '{"timezone": "Pacific/Kiritimati"}') \g /dev/null
SELECT is(mindtickle.close_readiness_day('rh-west', '2026-05-10 11:00Z'), 1, 'from the west to the east: a day has ended at once');
SELECT is(pg_temp.days('rh-west') || ', ' || pg_temp.due('rh-west'), '2026-05-09 2026-05-10, 2026-05-11 10:00:00', 'and no day is missing either');
-- One that this server does not know came with a dump.
UPDATE mindtickle.tenant SET settings = settings || '{"timezone": "Elsewhere/Unknown"}' WHERE tenant_id = 'rh-west';
SELECT is(pg_temp.due('rh-west'), '2026-05-12 00:00:00', 'a time zone that this server does not know is UTC');
SELECT is(pg_temp.due('rh-autumn'), '2026-10-25 23:00:00', 'and keeps no other tenant''s days from ending');
SELECT is(mindtickle.close_readiness_day('rh-west', '2026-05-12 00:00Z'), 1, 'its day is closed');

-- What a day has.
SELECT pg_temp.tenant('rh', 'Europe/Berlin', '2026-05-01Z', '2026-05-09'), pg_temp.tenant('rh-other', 'Europe/Berlin', '2026-05-01Z', '2026-05-09') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT t, 'u' || i, i % 7 > 0 FROM unnest('{rh,rh-other}'::text[]) AS t, generate_series(1, 40) AS i;
INSERT INTO mindtickle.team (tenant_id, team_id, name, source, active) SELECT 'rh', 't' || i, 'Team ' || i, 'pull', i < 4 FROM generate_series(1, 4) AS i;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT 'rh', 't' || 1 + i % 4, 'u' || i, 'pull' FROM generate_series(1, 30) AS i;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT 'rh', 't1', 'u' || i, 'pull' FROM generate_series(1, 30, 5) AS i ON CONFLICT DO NOTHING;
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT t, 'u' || i % 50, 'c' || i % 9, (ARRAY['not_started', 'in_progress', 'completed'])[1 + i % 3]
	FROM unnest('{rh,rh-other}'::text[]) AS t, generate_series(1, 200) AS i;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
	SELECT 'rh', 'u' || i % 50, 'c' || i % 11, 'q', '2026-05-01Z'::timestamptz + i * interval '1 s', round(i * 7.77777 % 100, 4), 'sql' FROM generate_series(1, 300) AS i;
CREATE TEMP VIEW of_now AS
	SELECT 'tenant' COLLATE "C" AS scope, '' COLLATE "C" AS scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness('rh')
	UNION ALL SELECT 'team', coalesce(team_id, ''), avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness_by_team('rh')
	UNION ALL SELECT 'course', course_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness_by_course('rh');
CREATE TEMP TABLE first_day AS SELECT * FROM of_now;
SET LOCAL ROLE mindtickle_service;
SELECT mindtickle.enter_tenant('rh') \g /dev/null
SELECT mindtickle.close_readiness_day('rh', '2026-05-10 22:00Z') AS closed \gset
RESET ROLE;
RESET mindtickle.tenant;
SELECT is(:closed, 1, 'closed by the service role, as the aggregator does it');
SELECT bag_eq($$SELECT scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mindtickle.readiness_daily WHERE tenant_id = 'rh'$$, 'SELECT * FROM first_day',
	'a day has the figures of the tenant, of each team and of each course at that moment');
SELECT is((SELECT string_agg(scope || ' ' || n, ', ' ORDER BY scope) FROM (SELECT scope, count(*) AS n FROM mindtickle.readiness_daily WHERE tenant_id = 'rh' GROUP BY scope) AS g), 'course 11, team 4, tenant 1', 'all of them, and no team that is not active');
SELECT cmp_ok((SELECT learners FROM mindtickle.readiness_daily WHERE tenant_id = 'rh' AND scope = 'team' AND scope_id = ''), '>', 0::int8, 'those in no team are under an empty id');
SELECT is_empty($$SELECT * FROM mindtickle.readiness_daily WHERE tenant_id = 'rh-other'$$, 'another tenant''s day is its own');
DELETE FROM mindtickle.quiz_submission WHERE tenant_id = 'rh' AND course_id < 'c5';
UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rh' AND user_id < 'u2';
SELECT is(mindtickle.close_readiness_day('rh', '2026-05-11 22:00Z'), 1, 'the next day, after changes');
SELECT bag_eq($$SELECT scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mindtickle.readiness_daily WHERE tenant_id = 'rh' AND day = '2026-05-11'$$, 'SELECT * FROM of_now', 'has the figures of then');
SELECT bag_eq($$SELECT scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mindtickle.readiness_daily WHERE tenant_id = 'rh' AND day = '2026-05-10'$$, 'SELECT * FROM first_day', 'and the day before what it had');
UPDATE mindtickle.tenant SET closed_day = '2026-05-09' WHERE tenant_id = 'rh';
SELECT mindtickle.close_readiness_day('rh', '2026-05-11 22:00Z') \g /dev/null
SELECT bag_eq($$SELECT scope, scope_id, avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mindtickle.readiness_daily WHERE tenant_id = 'rh' AND day = '2026-05-10' AND scope = 'tenant'$$, $$SELECT * FROM first_day WHERE scope = 'tenant'$$,
	'a day that is in the history stays as it is, also where it is closed again');

SELECT * FROM finish();
ROLLBACK;
