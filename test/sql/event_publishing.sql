\set ECHO none
-- mindtickle.publish: numbers without gaps in the order of the outbox, and NOTIFYs that name topic and number. Each step writes and publishes in one
-- transaction, so that a publisher that runs in this database finds nothing to do for these tenants.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
SELECT plan(22);

DROP ROLE IF EXISTS ev_reader;
CREATE ROLE ev_reader;
SELECT mt_create_tenant('ev-a', 'A'), mt_create_tenant('ev-b', 'B'), mt_grant_tenant('ev-a', 'ev_reader', 'reader') \g /dev/null
CREATE FUNCTION pg_temp.service(tenant text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	PERFORM pg_temp.as_role('mindtickle_service', format('SELECT mindtickle.enter_tenant(%L)', tenant));
	result := pg_temp.as_role('mindtickle_service', statement);
	PERFORM set_config('mindtickle.tenant', '', true);
	RETURN result;
END
$$;
CREATE FUNCTION pg_temp.emit(tenant text, topics text) RETURNS void LANGUAGE sql AS $$
	SELECT pg_temp.service(tenant, format('SELECT mindtickle.emit_event(%L, %L, jsonb_build_object(''n'', %s))', tenant, t, n)) FROM unnest(topics::text[]) WITH ORDINALITY AS x (t, n) ORDER BY n;
$$;
CREATE FUNCTION pg_temp.published(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', seq, topic, payload ->> 'n'), ', ' ORDER BY seq) FROM mindtickle.event WHERE tenant_id = tenant
$$;

LISTEN "tenant.ev-a.user_changed";
LISTEN "tenant.ev-a.quiz.completed";
LISTEN "tenant.ev-b.user_changed";
LISTEN "tenant.ev-a.progress.synced";
\set file `mktemp`

BEGIN;
SELECT pg_temp.emit('ev-a', '{user_changed,quiz.completed,user_changed}') \g /dev/null
SELECT is(pg_temp.published('ev-a'), NULL, 'what is written is not published yet');
SELECT is(pg_temp.as_role('ev_reader', 'SELECT count(*) FROM mt_events'), '0', 'and nobody sees it');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 100)$$), '3', 'publishing');
SELECT is(pg_temp.published('ev-a'), '1 user_changed 1, 2 quiz.completed 2, 3 user_changed 3', 'numbers from 1, in the order of writing');
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'ev-a'), 0::bigint, 'and leaves nothing waiting');
SELECT is((SELECT last_seq FROM mindtickle.event_counter WHERE tenant_id = 'ev-a'), 3::bigint, 'the counter stands at the last');
\o :file
COMMIT;
\o
\setenv FILE :file
\set heard `sed -n -E 's/^Asynchronous notification "([^"]*)" with payload "(.*)" received from .*/\1 \2/p' "$FILE" | sort | tr '\n' ';'`
SELECT is(:'heard'::text, 'tenant.ev-a.quiz.completed {"seq": 2, "topic": "quiz.completed"};tenant.ev-a.user_changed {"seq": 3, "topic": "user_changed"};',
	'after the commit each topic is NOTIFYed once, with its highest number');
SELECT is(pg_temp.as_role('ev_reader', 'SELECT string_agg(seq || '' '' || topic, '', '' ORDER BY seq) FROM mt_events'), '1 user_changed, 2 quiz.completed, 3 user_changed', 'the tenant''s readers see the events');

-- In pieces, and beside another tenant.
BEGIN;
SELECT pg_temp.emit('ev-b', '{user_changed}'), pg_temp.emit('ev-a', '{a,b,c,d,e}') \g /dev/null
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 2)$$), '2', 'two of five');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 2)$$), '2', 'two more');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 2)$$), '1', 'the last');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 2)$$), '0', 'and no more');
SELECT is(pg_temp.published('ev-a'), '1 user_changed 1, 2 quiz.completed 2, 3 user_changed 3, 4 a 1, 5 b 2, 6 c 3, 7 d 4, 8 e 5', 'without gaps');
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'ev-b'), 1::bigint, 'the other tenant''s waits');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-b', 2)$$), '0', 'and is not published for a tenant that is in force instead');
SELECT is(pg_temp.service('ev-b', $$SELECT mindtickle.publish('ev-b', 2)$$), '1', 'but for its own');
SELECT is(pg_temp.published('ev-b'), '1 user_changed 1', 'from 1');
\o :file
COMMIT;
\o
\set heard `sed -n -E 's/^Asynchronous notification "([^"]*)" with payload "(.*)" received from .*/\1 \2/p' "$FILE" | sort | tr '\n' ';'`
SELECT is(:'heard'::text, 'tenant.ev-b.user_changed {"seq": 1, "topic": "user_changed"};', 'each tenant has channels of its own');

-- A publication that is rolled back leaves no gap and is not heard.
BEGIN;
SELECT pg_temp.emit('ev-a', '{progress.synced}') \g /dev/null
SAVEPOINT s;
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 10)$$), '1', 'published');
ROLLBACK TO s;
SELECT is((SELECT last_seq FROM mindtickle.event_counter WHERE tenant_id = 'ev-a'), 8::bigint, 'rolled back, the number is free again');
SELECT pg_temp.service('ev-a', $$DELETE FROM mindtickle.outbox WHERE tenant_id = 'ev-a' RETURNING 1$$) \g /dev/null
\o :file
COMMIT;
\o
\set heard `grep -c '^Asynchronous' "$FILE"`
SELECT is(:'heard'::text, '0', 'and nobody hears of it');
\! rm -f "$FILE"

UNLISTEN *;
SELECT mt_drop_tenant('ev-a'), mt_drop_tenant('ev-b') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.event WHERE tenant_id ~ '^ev-'), 0::bigint, 'a dropped tenant''s events are gone');
DROP ROLE ev_reader;
SELECT * FROM finish();
