/*
 * Secrets, tokens and alerts. Nobody but the service role reads the first two; members of pg_monitor read the alerts. api_token is read in C
 * (src/token.c) by catalog-style scans, so its columns' order is part of that file's contract.
 */
CREATE TABLE mindtickle.credential (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	name pg_catalog.text COLLATE pg_catalog."C" NOT NULL CHECK (name OPERATOR(pg_catalog.=) ANY
		(ARRAY['api_key', 'secret_key', 'reporting_user', 'reporting_password', 'scim_token'])),
	secret pg_catalog.text,
	file pg_catalog.text,
	system_identifier pg_catalog.int8 NOT NULL,
	stored_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	PRIMARY KEY (tenant_id, name),
	CHECK ((secret IS NULL) OPERATOR(pg_catalog.<>) (file IS NULL))
);
COMMENT ON TABLE mindtickle.credential IS 'secrets for MindTickle''s API: the text itself, or the file below mindtickle.secret_directory that holds it';
COMMENT ON COLUMN mindtickle.credential.system_identifier IS 'the cluster in which it was stored; in another one, a restored copy, nothing is pulled with it';

CREATE TABLE mindtickle.api_token (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	token_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY,
	token_hash pg_catalog.bytea NOT NULL CHECK (pg_catalog.octet_length(token_hash) OPERATOR(pg_catalog.=) 32),
	scopes pg_catalog.text[] COLLATE pg_catalog."C" NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	expires_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, name)
);
-- Not led by tenant_id either: the gateway knows a tenant by its token alone.
CREATE INDEX api_token_token_hash_idx ON mindtickle.api_token (token_hash);
CREATE TRIGGER forget_access AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mindtickle.api_token
	FOR EACH STATEMENT EXECUTE FUNCTION mindtickle.forget_access();
ALTER TABLE mindtickle.api_token ENABLE ALWAYS TRIGGER forget_access;
COMMENT ON TABLE mindtickle.api_token IS 'SHA-256 of each token; tenant_id is empty for tokens of scope metrics, which belong to no tenant';

CREATE TABLE mindtickle.security_alert (
	alert_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at pg_catalog.timestamptz NOT NULL,
	session_role pg_catalog.text NOT NULL,
	"current_role" pg_catalog.text,
	client_addr pg_catalog.inet,
	database pg_catalog.text NOT NULL DEFAULT pg_catalog.current_database(),
	tenant_in_force pg_catalog.text COLLATE pg_catalog."C",
	tenant_asked pg_catalog.text COLLATE pg_catalog."C",
	object pg_catalog.text,
	count pg_catalog.int8 NOT NULL DEFAULT 1,
	last_at pg_catalog.timestamptz NOT NULL
);
CREATE INDEX security_alert_at_idx ON mindtickle.security_alert (at);
COMMENT ON TABLE mindtickle.security_alert IS 'refused attempts to reach a tenant; attempts of one kind within an hour are one row with a count';
COMMENT ON COLUMN mindtickle.security_alert.tenant_asked IS 'as it was given; NULL: a session role''s further attempts, of more kinds than are told apart';
COMMENT ON COLUMN mindtickle.security_alert.object IS 'the function or table that refused; mindtickle.tenant: the setting named a tenant without a right to it';
