/*
 * People and teams. The generated keys hold folded e-mails and names: lower() is not leakproof, so under row security an index on the
 * expression could not be used, while one on a plain column can.
 */
CREATE TABLE mindtickle.users (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (pg_catalog.octet_length(user_id) OPERATOR(pg_catalog.>=) 1 AND pg_catalog.octet_length(user_id) OPERATOR(pg_catalog.<=) 255),
	mindtickle_id pg_catalog.text COLLATE pg_catalog."C",
	scim_external_id pg_catalog.text COLLATE pg_catalog."C",
	user_name pg_catalog.text,
	email pg_catalog.text,
	name pg_catalog.text,
	role pg_catalog.text COLLATE pg_catalog."C" NOT NULL DEFAULT 'rep'
		CHECK (role OPERATOR(pg_catalog.=) ANY (ARRAY['rep', 'manager', 'admin'])),
	active pg_catalog.bool NOT NULL DEFAULT true,
	title pg_catalog.text,
	department pg_catalog.text,
	location pg_catalog.text,
	hired_at pg_catalog.timestamptz,
	manager_id pg_catalog.text COLLATE pg_catalog."C",
	manager_email pg_catalog.text,
	attributes pg_catalog.jsonb NOT NULL DEFAULT '{}',
	version pg_catalog.int8 NOT NULL DEFAULT 1,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	updated_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	email_key pg_catalog.text COLLATE pg_catalog."C" GENERATED ALWAYS AS (CASE WHEN pg_catalog.btrim(email) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.lower(email) END) STORED,
	user_name_key pg_catalog.text COLLATE pg_catalog."C" GENERATED ALWAYS AS (pg_catalog.lower(user_name)) STORED,
	deleted_at pg_catalog.timestamptz,
	PRIMARY KEY (tenant_id, user_id)
);
COMMENT ON TABLE mindtickle.users IS 'people of a tenant, from MindTickle and from the identity provider';
COMMENT ON COLUMN mindtickle.users.user_id IS 'ours and never changed: MindTickle''s id where a pull saw the user first, a uuid where provisioning did';
COMMENT ON COLUMN mindtickle.users.active IS 'false: deactivated; the rows stay and count nowhere';
COMMENT ON COLUMN mindtickle.users.version IS 'moves by one with every change';
COMMENT ON COLUMN mindtickle.users.attributes IS 'what has no column; under "scim" what the identity provider sent, as it was sent';
COMMENT ON COLUMN mindtickle.users.deleted_at IS 'when the identity provider deleted the user: never active again, found by no name, kept for the history';

CREATE UNIQUE INDEX users_mindtickle_id_idx ON mindtickle.users (tenant_id, mindtickle_id) WHERE mindtickle_id IS NOT NULL;
CREATE UNIQUE INDEX users_user_name_key_idx ON mindtickle.users (tenant_id, user_name_key) WHERE user_name_key IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_created_at_idx ON mindtickle.users (tenant_id, created_at, user_id) WHERE user_name_key IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX users_scim_external_id_idx ON mindtickle.users (tenant_id, scim_external_id) WHERE scim_external_id IS NOT NULL;
CREATE INDEX users_email_key_idx ON mindtickle.users (tenant_id, email_key) WHERE email_key IS NOT NULL;

CREATE TABLE mindtickle.team (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	team_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL
		CHECK (pg_catalog.octet_length(team_id) OPERATOR(pg_catalog.>=) 1 AND pg_catalog.octet_length(team_id) OPERATOR(pg_catalog.<=) 255),
	name pg_catalog.text NOT NULL,
	manager_id pg_catalog.text COLLATE pg_catalog."C",
	source pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	active pg_catalog.bool NOT NULL DEFAULT true,
	updated_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	scim_external_id pg_catalog.text COLLATE pg_catalog."C",
	version pg_catalog.int8 NOT NULL DEFAULT 1,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	name_key pg_catalog.text COLLATE pg_catalog."C" GENERATED ALWAYS AS (pg_catalog.lower(name)) STORED,
	PRIMARY KEY (tenant_id, team_id)
);
COMMENT ON TABLE mindtickle.team IS 'teams of a tenant: MindTickle''s groups and the identity provider''s';
COMMENT ON COLUMN mindtickle.team.version IS 'moves by one with every change, also of who is in it';
CREATE INDEX team_name_key_idx ON mindtickle.team (tenant_id, name_key);
CREATE INDEX team_scim_external_id_idx ON mindtickle.team (tenant_id, scim_external_id) WHERE scim_external_id IS NOT NULL;

CREATE TABLE mindtickle.team_member (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	team_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	source pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	active pg_catalog.bool NOT NULL DEFAULT true,
	PRIMARY KEY (tenant_id, team_id, user_id)
);
COMMENT ON TABLE mindtickle.team_member IS 'who is in which team; a user may be in several; whoever removes a team removes its rows here';
CREATE INDEX team_member_user_idx ON mindtickle.team_member (tenant_id, user_id);
