/*
 * Events on their way out (outbox, then event once the publisher has numbered them), and what could not be processed.
 */
CREATE TABLE mindtickle.outbox (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	outbox_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	PRIMARY KEY (tenant_id, outbox_id)
);
COMMENT ON TABLE mindtickle.outbox IS 'events written by the transaction of the change, until the publisher numbers them';

CREATE TABLE mindtickle.event_counter (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
	last_seq pg_catalog.int8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE mindtickle.event_counter IS 'the last seq given out; advanced by the publishing transaction, so that seq has no gaps';

CREATE TABLE mindtickle.event (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	seq pg_catalog.int8 NOT NULL,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	published_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (tenant_id, seq)
);
COMMENT ON TABLE mindtickle.event IS 'published events in the order of seq, which has no gaps within a tenant';

CREATE TABLE mindtickle.event_overflow (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	overflow_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
	topic pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	payload pg_catalog.jsonb NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	PRIMARY KEY (tenant_id, overflow_id)
);
COMMENT ON TABLE mindtickle.event_overflow IS 'events of a tenant past its queue_limit, first in, first out';

CREATE TABLE mindtickle.dead_letter (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	letter_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
	source pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	resource pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	reason pg_catalog.text NOT NULL,
	raw pg_catalog.bytea NOT NULL,
	received_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	replayed_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, letter_id)
);
-- What is there already is found by its bytes.
CREATE INDEX dead_letter_raw_idx ON mindtickle.dead_letter (tenant_id, pg_catalog.sha256(raw)) WHERE replayed_at IS NULL;
COMMENT ON TABLE mindtickle.dead_letter IS 'input that could not be processed, with the reason and the bytes as they came';
COMMENT ON COLUMN mindtickle.dead_letter.resource IS 'what it was to become: users, courses, quiz_results, or progress/ and the user_id';
