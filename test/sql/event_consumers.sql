\set ECHO none
-- Durable consumers: in order, again until they acknowledge, behind what is kept, listed, dropped; retention; channels. A publisher may run in this database.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/events.sql
SELECT plan(62);

DROP ROLE IF EXISTS ec_reader, ec_other, ec_monitor;
CREATE ROLE ec_reader;
CREATE ROLE ec_other;
CREATE ROLE ec_monitor IN ROLE pg_monitor;
SELECT mt_create_tenant('ec-a', 'A'), mt_create_tenant('ec-b', 'B'), mt_grant_tenant('ec-a', 'ec_reader', 'reader'), mt_grant_tenant('ec-b', 'ec_other', 'admin') \g /dev/null
CREATE FUNCTION pg_temp.poll(consumer text, max int4) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('ec_reader', format('SELECT string_agg(seq || '' '' || topic || '' '' || (payload ->> ''n''), '', '') FROM mt_poll_events(''ec-a'', %L, %s)', consumer, max))
$$;
CREATE FUNCTION pg_temp.ack(consumer text, seq int8) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('ec_reader', format('SELECT mt_ack_events(''ec-a'', %L, %s)', consumer, seq))
$$;
CREATE FUNCTION pg_temp.listed() RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_role('ec_reader', 'SELECT string_agg(concat_ws('' '', tenant_id, consumer, acked_seq, lag, lost, acked_at IS NULL), '', '' ORDER BY consumer) FROM mt_event_consumers')
$$;

-- From the first poll on.
SELECT is(pg_temp.ack('c', 0), '42704: consumer "c" does not exist', 'a consumer that has not polled cannot acknowledge');
SELECT is(pg_temp.poll('c', 10), NULL, 'a first poll, of nothing');
SELECT pg_temp.emit('ec-a', '{a,b,c,d,e}'), pg_temp.emit('ec-b', '{z}') \g /dev/null
CALL pg_temp.settle('ec-a');
CALL pg_temp.settle('ec-b');
SELECT is(pg_temp.poll('c', 2), '1 a 1, 2 b 2', 'in order, as many as asked for');
SELECT is(pg_temp.poll('c', 2), '1 a 1, 2 b 2', 'a second poll gives the same');
SELECT is(pg_temp.poll('late', 10), '1 a 1, 2 b 2, 3 c 3, 4 d 4, 5 e 5', 'one that begins later begins at the oldest event');
SELECT is(pg_temp.ack('c', 1), '', 'acknowledging');
SELECT is(pg_temp.poll('c', 2), '2 b 2, 3 c 3', 'moves the consumer on');
SELECT is(pg_temp.ack('c', 4), '', 'also by several');
SELECT is(pg_temp.ack('c', 2), '', 'a number that is acknowledged already');
SELECT is(pg_temp.poll('c', 2), '5 e 5', 'does not move it back');
SELECT is(pg_temp.ack('c', 6), '22023: there is no event 6 yet', 'nor does one that no event has move it on');
SELECT is(pg_temp.poll('late', 1), '1 a 1', 'other consumers stay where they are');
SELECT is(pg_temp.listed(), 'ec-a c 4 1 0 f, ec-a late 0 5 0 t', 'consumers are listed with their lag');
SELECT is(pg_temp.ack('c', 5), '', 'the last one');
SELECT is(pg_temp.poll('c', 1), NULL, 'then there is nothing more');

-- Polling and acknowledging in one statement, one by one.
SELECT is(pg_temp.as_role('ec_reader', $$SELECT count(mt_ack_events('ec-a', 'at once', seq)) FROM mt_poll_events('ec-a', 'at once', 3)$$), '3', 'a statement acknowledges what it polls');
SELECT is(pg_temp.poll('at once', 10), '4 d 4, 5 e 5', 'and so it is');
SELECT mt_drop_consumer('ec-a', 'at once') \g /dev/null

-- In a transaction: what is rolled back is not acknowledged.
BEGIN;
SELECT pg_temp.ack('late', 3) \g /dev/null
SELECT is(pg_temp.poll('late', 1), '4 d 4', 'a transaction sees what it has acknowledged');
ROLLBACK;
SELECT is(pg_temp.poll('late', 1), '1 a 1', 'and rolled back it has not');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(pg_temp.poll('late', 1), '1 a 1', 'in a snapshot');
SELECT is(pg_temp.ack('late', 1), '', 'it can be acknowledged');
SELECT is(pg_temp.poll('late', 1), '2 b 2', 'as well');
COMMIT;
BEGIN READ ONLY;
SELECT is(pg_temp.poll('late', 1), '2 b 2', 'a consumer that is known polls in a read-only transaction');
SELECT is(pg_temp.poll('new', 1), '25006: cannot execute mt_poll_events() of a new consumer in a read-only transaction', 'a new one does not');
COMMIT;

-- Names and bounds.
SELECT is(pg_temp.poll('', 1), '22023: the name of a consumer must have 1 to 63 bytes', 'a consumer has a name');
SELECT is(pg_temp.poll(repeat('x', 64), 1), '22023: the name of a consumer must have 1 to 63 bytes', 'which is short');
SELECT is(pg_temp.poll('c', 0), '22023: max must be between 1 and 10000', 'no events');
SELECT is(pg_temp.poll('c', 10001), '22023: max must be between 1 and 10000', 'too many');
BEGIN;
SELECT count(pg_temp.poll('many ' || n, 1)) FROM generate_series(1, 98) AS n \g /dev/null
SELECT is(pg_temp.poll('one more', 1), '53400: tenant "ec-a" has 100 consumers already', 'there are at most a hundred');
SELECT pg_temp.as_role('ec_reader', $$SELECT mt_drop_consumer('ec-a', 'many 7')$$) \g /dev/null
SELECT is(pg_temp.poll('one more', 1), '1 a 1', 'when one is dropped there is room for another');
ROLLBACK;

-- Dropping.
SELECT is(pg_temp.as_role('ec_reader', $$SELECT mt_drop_consumer('ec-a', 'c')$$), '', 'dropping a consumer');
SELECT is(pg_temp.listed(), 'ec-a late 1 4 0 f', 'it is not listed any more');
SELECT is(pg_temp.ack('c', 5), '42704: consumer "c" does not exist', 'it cannot acknowledge');
SELECT is(pg_temp.as_role('ec_reader', $$SELECT mt_drop_consumer('ec-a', 'c')$$), '42704: consumer "c" does not exist', 'nor be dropped again');
SELECT is(pg_temp.poll('c', 1), '1 a 1', 'one of its name begins anew');

-- Whose they are.
SELECT is(pg_temp.as_role('ec_other', 'SELECT count(*) FROM mt_event_consumers'), '0', 'another tenant does not see them');
SELECT matches(pg_temp.as_role('ec_other', s), '^42501: permission denied for tenant "ec-a"', s) FROM unnest(ARRAY['SELECT mt_poll_events(''ec-a'', ''c'', 1)', 'SELECT mt_ack_events(''ec-a'', ''c'', 1)',
	'SELECT mt_drop_consumer(''ec-a'', ''c'')', 'SELECT mt_event_channel(''ec-a'', ''a'')']) AS s;
SELECT is(pg_temp.as_role('ec_other', $$SELECT string_agg(seq || topic, ',') FROM mt_poll_events('ec-b', 'c', 10)$$), '1z', 'each polls its own');
SELECT is(pg_temp.as_role('ec_other', $$SELECT mindtickle.event_kept('ec-a', 0)$$), '42501: permission denied for tenant "ec-a"', 'what another tenant keeps is not told');
SELECT is(pg_temp.as_role('ec_reader', $$SELECT mindtickle.event_kept('ec-a', 0)$$), 'false', 'only what the own one does');
SELECT is((SELECT string_agg(tenant_id || ' ' || consumer, ', ' ORDER BY tenant_id, consumer) FROM mt_event_consumers WHERE tenant_id ~ '^ec-'), 'ec-a c, ec-a late, ec-b c', 'the owner sees all of them');
SELECT is(pg_temp.as_role('ec_monitor', $$SELECT string_agg(concat_ws(' ', tenant_id, waiting, overflow, first_seq, last_seq, events, consumers, longest_lag, dead_letters, dead_letters_waiting), ', ' ORDER BY tenant_id)
	FROM mt_stat_queue WHERE tenant_id ~ '^ec-'$$), 'ec-a 0 0 1 5 5 2 5 0 0, ec-b 0 0 1 1 1 1 1 0 0', 'who watches the server sees the queues');
SELECT is(pg_temp.as_role('ec_other', 'SELECT * FROM mt_stat_queue'), '42501: permission denied for view mt_stat_queue', 'and nobody else');

-- Channels.
SELECT is(pg_temp.as_role('ec_reader', $$SELECT mt_event_channel('ec-a', 'quiz.completed')$$), 'tenant.ec-a.quiz.completed', 'the name of a channel');
SELECT is(pg_temp.as_role('ec_reader', $$SELECT mt_event_channel('ec-a', '"; x')$$), '22023: invalid topic', 'of a topic that can be');

-- Retention: by number, and by time.
SELECT is(pg_temp.service('ec-a', $$SELECT mindtickle.trim_events('ec-a', now() - interval '1 hour', 5)$$), '0', 'all are kept');
SELECT is(pg_temp.service('ec-a', $$SELECT mindtickle.trim_events('ec-a', now() - interval '1 hour', 3)$$), '2', 'the last three');
SELECT is(pg_temp.as_role('ec_reader', 'SELECT string_agg(seq::text, '','' ORDER BY seq) FROM mt_events'), '3,4,5', 'then the first two are not shown');
SELECT is(pg_temp.poll('late', 1), '55000: events 2 to 2 are lost for consumer "late"', 'a consumer that is behind is told what it has lost');
SELECT is(pg_temp.poll('c', 1), '55000: events 1 to 2 are lost for consumer "c"', 'each its own');
SELECT is(pg_temp.listed(), 'ec-a c 0 5 2 t, ec-a late 1 4 1 f', 'the list says how many');
SELECT is(pg_temp.ack('c', 2) || pg_temp.poll('c', 1), '3 c 3', 'acknowledging the loss goes on behind it');
SELECT is(pg_temp.poll('fresh', 10), '3 c 3, 4 d 4, 5 e 5', 'a new consumer begins at what is kept');
-- The table that is in use may be any of them.
DO $$ BEGIN FOR i IN 0 .. 3 LOOP
	EXECUTE format('UPDATE mindtickle.event_%s SET published_at = now() - interval ''2 hours'' WHERE tenant_id = ''ec-a'' AND seq <= 4', i); END LOOP; END $$;
SELECT is(pg_temp.service('ec-a', $$SELECT mindtickle.trim_events('ec-a', now() - interval '1 hour', 1000)$$), '2', 'those that are old');
SELECT is(pg_temp.poll('fresh', 10), '55000: events 3 to 4 are lost for consumer "fresh"', 'are lost');
SELECT is(pg_temp.service('ec-a', $$SELECT mindtickle.trim_events('ec-a', now() + interval '1 hour', 1000)$$), '1', 'all of them');
SELECT is(pg_temp.as_role('ec_reader', 'SELECT count(*) FROM mt_events'), '0', 'may go');
SELECT pg_temp.emit('ec-a', '{f}') \g /dev/null
CALL pg_temp.settle('ec-a');
SELECT is(pg_temp.ack('fresh', 5) || pg_temp.poll('fresh', 1), '6 f 1', 'and numbers go on');

SELECT mt_drop_tenant('ec-a'), mt_drop_tenant('ec-b') \g /dev/null
SELECT is((SELECT count(*) FROM mindtickle.event_consumer_0 AS c WHERE c.tenant_id ~ '^ec-') + (SELECT count(*) FROM mindtickle.event_consumer_1 AS c WHERE c.tenant_id ~ '^ec-'), 0::bigint,
	'consumers go with their tenant');
DROP ROLE ec_reader, ec_other, ec_monitor;
SELECT * FROM finish();
