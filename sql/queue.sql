/*
 * What could not be processed.
 */
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
COMMENT ON TABLE mindtickle.dead_letter IS 'input that could not be processed, with the reason and the bytes as they came, of SCIM without the secrets in them';
COMMENT ON COLUMN mindtickle.dead_letter.resource IS 'what it was to become: users, courses, quiz_results, or progress/ and the user_id';
