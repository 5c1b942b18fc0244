\set ECHO none
-- Events from the transaction that writes them to the views: numbered without gaps in the order of writing, whoever publishes. A publisher may run in this
-- database, so what is asserted is the state once nothing waits, and each helper publishes too.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/events.sql
SELECT plan(28);

DROP ROLE IF EXISTS ev_reader;
CREATE ROLE ev_reader;
SELECT mt_create_tenant('ev-a', 'A'), mt_create_tenant('ev-b', 'B'), mt_grant_tenant('ev-a', 'ev_reader', 'reader') \g /dev/null
CREATE FUNCTION pg_temp.published(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', seq, topic, payload ->> 'n'), ', ' ORDER BY seq) FROM mindtickle.event WHERE tenant_id = tenant
$$;

-- Written and rolled back; written; and what cannot be written.
BEGIN;
SELECT pg_temp.emit('ev-a', '{user_changed}') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'ev-a'), 1::bigint, 'a transaction sees what it has written');
SELECT is(pg_temp.outcome($$SELECT mindtickle.publish('ev-a', 100)$$), '25001: events are published in a transaction of their own', 'and cannot publish it');
ROLLBACK;
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'ev-a'), 0::bigint, 'rolled back, it is gone');
CALL pg_temp.settle('ev-a');
SELECT is(pg_temp.published('ev-a'), NULL, 'and is not published');
SELECT pg_temp.emit('ev-a', '{user_changed,quiz.completed,user_changed}') \g /dev/null
CALL pg_temp.settle('ev-a');
SELECT is(pg_temp.published('ev-a'), '1 user_changed 1, 2 quiz.completed 2, 3 user_changed 3', 'numbered from 1, in the order of writing');
SELECT is((SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = 'ev-a'), 0::bigint, 'nothing waits');
SELECT is((SELECT concat_ws(' ', first_seq, last_seq, overflow, spilling, batch IS NULL) FROM mindtickle.event_position WHERE tenant_id = 'ev-a'), '1 3 0 f t', 'the position says so');
SELECT is(pg_temp.as_role('ev_reader', 'SELECT string_agg(seq || '' '' || topic, '', '' ORDER BY seq) FROM mt_events'), '1 user_changed, 2 quiz.completed, 3 user_changed', 'the tenant''s readers see the events');
SELECT is(pg_temp.service('ev-a', $$SELECT published || ' ' || more FROM mindtickle.publish('ev-a', 100)$$), '0 false', 'there is nothing more to publish');
SELECT is(pg_temp.service('', $$SELECT published IS NULL AND NOT more FROM mindtickle.publish('ev-none', 100)$$), 'true', 'nor for a tenant that does not exist');
SELECT matches(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-b', 2)$$), '^42501: permission denied for tenant "ev-b"', 'nor for another one than that in force');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 0)$$), '22023: max_rows must be between 1 and 10000', 'a batch has a size');
SELECT is(pg_temp.service('ev-a', $$SELECT mindtickle.publish('ev-a', 10001)$$), '22023: max_rows must be between 1 and 10000', 'which is bounded');
SELECT is(pg_temp.service('ev-a', format('SELECT mindtickle.emit_event(''ev-a'', %L, ''{}'')', topic)), '22023: invalid topic', format('topic "%s"', left(topic, 30)))
	FROM unnest(ARRAY['', 'Upper', 'two words', 'quote"', repeat('x', 24)]) AS topic;
SELECT matches(pg_temp.service('ev-a', $$SELECT mindtickle.emit_event('ev-b', 'a', '{}')$$), '^42501: permission denied for tenant "ev-b"', 'nobody writes for another tenant than that in force');
SELECT is(pg_temp.as_role('ev_reader', $$SELECT mindtickle.emit_event('ev-a', 'a', '{}')$$), '42501: permission denied for function emit_event', 'and tenants write none at all');

-- Many transactions, and a subtransaction that is rolled back; beside another tenant.
BEGIN;
SELECT pg_temp.emit('ev-b', '{a}'), pg_temp.emit('ev-a', '{a,b}') \g /dev/null
SAVEPOINT s;
SELECT pg_temp.emit('ev-a', '{c}') \g /dev/null
ROLLBACK TO s;
SELECT pg_temp.emit('ev-a', '{d}') \g /dev/null
COMMIT;
SELECT pg_temp.emit('ev-a', '{e}') \g /dev/null
CALL pg_temp.settle('ev-a');
CALL pg_temp.settle('ev-b');
SELECT is(pg_temp.published('ev-a'), '1 user_changed 1, 2 quiz.completed 2, 3 user_changed 3, 4 a 1, 5 b 2, 6 d 1, 7 e 1', 'what a subtransaction rolled back is not published, and leaves no gap');
SELECT is(pg_temp.published('ev-b'), '1 a 1', 'each tenant counts from 1');

-- Large payloads are stored outside of their rows.
SELECT pg_temp.service('ev-b', format('SELECT mindtickle.emit_event(''ev-b'', ''large'', %L)', jsonb_build_object('text', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 10000) AS i)))) \g /dev/null
CALL pg_temp.settle('ev-b');
SELECT is((SELECT md5(payload ->> 'text') FROM mt_events WHERE tenant_id = 'ev-b' AND seq = 2), (SELECT md5(string_agg(md5(i::text), '')) FROM generate_series(1, 10000) AS i), 'a payload of 320 kB comes as it went');

-- Past the limit, and back to the direct way.
SELECT mt_configure_tenant('ev-b', '{"queue_limit": 20}') \g /dev/null
BEGIN;
SELECT count(pg_temp.emit('ev-b', '{x}')) FROM generate_series(1, 90) \g /dev/null
COMMIT;
CALL pg_temp.settle('ev-b', 7);
SELECT is((SELECT string_agg(DISTINCT topic, ' ') || ' ' || count(*) || ' ' || max(seq) FROM mt_events WHERE tenant_id = 'ev-b' AND seq > 2), 'x 90 92', 'events past queue_limit come as well');
SELECT is((SELECT concat_ws(' ', round, last_seq, overflow, spilling) FROM mindtickle.event_position WHERE tenant_id = 'ev-b'), '1 92 0 f', 'through the overflow');
SELECT is((SELECT count(*) FROM mindtickle.event_overflow WHERE tenant_id = 'ev-b'), 0::bigint, 'in which none is left');
SELECT pg_temp.emit('ev-b', '{y}') \g /dev/null
CALL pg_temp.settle('ev-b');
SELECT is((SELECT concat_ws(' ', round, last_seq) FROM mindtickle.event_position WHERE tenant_id = 'ev-b'), '1 93', 'later ones go directly again');

SELECT mt_drop_tenant('ev-a'), mt_drop_tenant('ev-b') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.event WHERE tenant_id ~ '^ev-'), 0::bigint, 'a dropped tenant''s events are gone');
DROP ROLE ev_reader;
SELECT * FROM finish();
