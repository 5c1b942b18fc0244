/*
 * Events on their way out: the outbox that transactions write to, the events that the publisher has numbered, the overflow of tenants with very much,
 * how far each tenant has come, and how far each consumer. All of it is appended to and emptied by TRUNCATE, in rings of tables (src/ring.c), and is
 * written and read in C (src/event_*.c), so the columns' order is part of those files' contract. mindtickle.event, outbox and event_overflow show
 * what is in the tables (sql/event_api.sql). Autovacuum would find nothing to do but in the events, which people query.
 */
CREATE SEQUENCE mindtickle.outbox_position AS pg_catalog.int8;
COMMENT ON SEQUENCE mindtickle.outbox_position IS 'the order in which events were written';

CREATE TABLE mindtickle.outbox_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	xid pg_catalog.xid8 NOT NULL,
	position pg_catalog.int8 NOT NULL,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, xid, position)
) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.outbox_1 (LIKE mindtickle.outbox_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.outbox_2 (LIKE mindtickle.outbox_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.outbox_3 (LIKE mindtickle.outbox_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.outbox_0 IS 'events written by the transaction of the change, until the publisher has taken them and the table is emptied';
COMMENT ON TABLE mindtickle.outbox_1 IS 'as outbox_0';
COMMENT ON TABLE mindtickle.outbox_2 IS 'as outbox_0';
COMMENT ON TABLE mindtickle.outbox_3 IS 'as outbox_0';
COMMENT ON COLUMN mindtickle.outbox_0.xid IS 'the transaction that wrote it';

CREATE TABLE mindtickle.event_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	seq pg_catalog.int8 NOT NULL,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	published_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (tenant_id, seq)
);
CREATE TABLE mindtickle.event_1 (LIKE mindtickle.event_0 INCLUDING ALL);
CREATE TABLE mindtickle.event_2 (LIKE mindtickle.event_0 INCLUDING ALL);
CREATE TABLE mindtickle.event_3 (LIKE mindtickle.event_0 INCLUDING ALL);
COMMENT ON TABLE mindtickle.event_0 IS 'published events in the order of seq, which has no gaps within a tenant';
COMMENT ON TABLE mindtickle.event_1 IS 'as event_0';
COMMENT ON TABLE mindtickle.event_2 IS 'as event_0';
COMMENT ON TABLE mindtickle.event_3 IS 'as event_0';

CREATE TABLE mindtickle.event_overflow_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	round pg_catalog.int8 NOT NULL,
	position pg_catalog.int8 NOT NULL,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, round, position)
) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.event_overflow_1 (LIKE mindtickle.event_overflow_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.event_overflow_0 IS 'events of a tenant past its queue_limit, first in, first out';
COMMENT ON TABLE mindtickle.event_overflow_1 IS 'as event_overflow_0';
COMMENT ON COLUMN mindtickle.event_overflow_0.round IS 'those that one snapshot showed were taken in together; within a round position is the order';

CREATE TABLE mindtickle.event_position_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	number pg_catalog.int8 NOT NULL,
	first_seq pg_catalog.int8 NOT NULL,
	last_seq pg_catalog.int8 NOT NULL,
	cursor pg_catalog.pg_snapshot,
	batch pg_catalog.pg_snapshot,
	batch_table pg_catalog.int2 NOT NULL,
	batch_xid pg_catalog.xid8 NOT NULL,
	batch_position pg_catalog.int8 NOT NULL,
	round pg_catalog.int8 NOT NULL,
	spilling pg_catalog.bool NOT NULL,
	drain_round pg_catalog.int8 NOT NULL,
	drain_position pg_catalog.int8 NOT NULL,
	overflow pg_catalog.int8 NOT NULL,
	PRIMARY KEY (tenant_id, number)
) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.event_position_1 (LIKE mindtickle.event_position_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.event_position_0 IS 'how far a tenant''s events have come; the row with the highest number is the newest';
COMMENT ON TABLE mindtickle.event_position_1 IS 'as event_position_0';
COMMENT ON COLUMN mindtickle.event_position_0.first_seq IS 'the first event that is kept: those before have passed retain_events or event_limit';
COMMENT ON COLUMN mindtickle.event_position_0.last_seq IS 'the last number given out; advanced by the publishing transaction, so that seq has no gaps';
COMMENT ON COLUMN mindtickle.event_position_0.cursor IS 'what of the outbox has been taken';
COMMENT ON COLUMN mindtickle.event_position_0.batch IS 'what is being taken beyond it, as far as batch_position, or while spilling batch_table, batch_xid and batch_position';
COMMENT ON COLUMN mindtickle.event_position_0.round IS 'the last round of the overflow; spilling: it is not complete';
COMMENT ON COLUMN mindtickle.event_position_0.drain_round IS 'with drain_position: what has come back from the overflow';
COMMENT ON COLUMN mindtickle.event_position_0.overflow IS 'how many have not';

CREATE TABLE mindtickle.event_consumer_0 (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	consumer pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	number pg_catalog.int8 NOT NULL,
	acked_seq pg_catalog.int8 NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	acked_at pg_catalog.timestamptz,
	dropped pg_catalog.bool NOT NULL,
	PRIMARY KEY (tenant_id, consumer, number)
) WITH (autovacuum_enabled = false);
CREATE TABLE mindtickle.event_consumer_1 (LIKE mindtickle.event_consumer_0 INCLUDING ALL) WITH (autovacuum_enabled = false);
COMMENT ON TABLE mindtickle.event_consumer_0 IS 'how far a consumer has acknowledged; the row with the highest number is the newest';
COMMENT ON TABLE mindtickle.event_consumer_1 IS 'as event_consumer_0';

-- Numbers of transactions are those of one cluster: what a restore brings is written by the transaction that restores it, and not taken yet.
CREATE FUNCTION mindtickle.restore_outbox() RETURNS pg_catalog.trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.xid := pg_current_xact_id();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION mindtickle.restore_outbox() IS 'trigger: a row that is inserted by SQL, as a restore does, belongs to the transaction that inserts it';

CREATE FUNCTION mindtickle.restore_event_position() RETURNS pg_catalog.trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.cursor := NULL;
	NEW.batch := NULL;
	NEW.batch_table := 0;
	NEW.batch_xid := '0';
	NEW.batch_position := 0;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION mindtickle.restore_event_position() IS 'trigger: a position that is inserted by SQL, as a restore does, has taken nothing of this outbox';

DO LANGUAGE plpgsql $$
DECLARE
	relation pg_catalog.regclass;
BEGIN
	FOR relation IN SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) 'mindtickle'::pg_catalog.regnamespace
			AND c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relname OPERATOR(pg_catalog.~) '^(outbox|event_position)_[0-9]$' ORDER BY c.relname LOOP
		EXECUTE pg_catalog.format('CREATE TRIGGER restored BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION mindtickle.%I()', relation,
			CASE WHEN relation::pg_catalog.text OPERATOR(pg_catalog.~) 'outbox' THEN 'restore_outbox' ELSE 'restore_event_position' END);
		EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ALWAYS TRIGGER restored', relation);
	END LOOP;
END
$$;
