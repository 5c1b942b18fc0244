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
	email_key pg_catalog.text COLLATE pg_catalog."C" GENERATED ALWAYS AS (pg_catalog.lower(email)) STORED,
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

/*
 * The addresses of a user that are not in users.email: an index finds him by them too. Row security lets no index be used whose operators are not
 * leakproof, those of jsonb among them.
 */
CREATE TABLE mindtickle.user_address (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	address_key pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	PRIMARY KEY (tenant_id, address_key, user_id)
);
COMMENT ON TABLE mindtickle.user_address IS 'folded addresses of users beside their e-mail, kept by a trigger on users';
CREATE INDEX user_address_user_idx ON mindtickle.user_address (tenant_id, user_id);

CREATE FUNCTION mindtickle.scim_emails(attributes pg_catalog.jsonb, email pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT CASE
		WHEN attributes OPERATOR(pg_catalog.?) 'scim' THEN
			CASE pg_catalog.jsonb_typeof(attributes OPERATOR(pg_catalog.#>) '{scim,emails}') WHEN 'array' THEN attributes OPERATOR(pg_catalog.#>) '{scim,emails}'
				 ELSE '[]' END
		WHEN email IS NULL THEN '[]'
		ELSE pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('value', email, 'type', 'work', 'primary', true)) END
$$;
COMMENT ON FUNCTION mindtickle.scim_emails(pg_catalog.jsonb, pg_catalog.text)
	IS 'the list of addresses that SCIM shows: what the identity provider sent, else the e-mail';

CREATE FUNCTION mindtickle.keep_addresses() RETURNS pg_catalog.trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mindtickle.user_address AS a WHERE a.tenant_id = OLD.tenant_id AND a.user_id = OLD.user_id;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mindtickle.user_address (tenant_id, address_key, user_id)
			SELECT DISTINCT NEW.tenant_id, lower(e.element ->> 'value'), NEW.user_id
			FROM jsonb_array_elements(mindtickle.scim_emails(NEW.attributes, NEW.email)) AS e (element)
			-- longer ones came past SCIM's bounds, and past those of an index
			WHERE octet_length(e.element ->> 'value') <= 1024 AND lower(e.element ->> 'value') IS DISTINCT FROM lower(NEW.email);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.keep_addresses() IS 'trigger: notes a user''s addresses beside the e-mail';

-- Few users have a second address, so the conditions let most changes pass without a call.
CREATE TRIGGER keep_addresses_insert AFTER INSERT ON mindtickle.users FOR EACH ROW
	WHEN (NEW.attributes OPERATOR(pg_catalog.#>) '{scim,emails,1}' IS NOT NULL
		OR COALESCE(NEW.attributes OPERATOR(pg_catalog.#>>) '{scim,emails,0,value}', NEW.email, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.email, ''))
	EXECUTE FUNCTION mindtickle.keep_addresses();
CREATE TRIGGER keep_addresses_update AFTER UPDATE OF tenant_id, user_id, email, attributes ON mindtickle.users FOR EACH ROW
	WHEN (COALESCE(OLD.attributes OPERATOR(pg_catalog.#>) '{scim,emails}', '0') OPERATOR(pg_catalog.<>) COALESCE(NEW.attributes OPERATOR(pg_catalog.#>) '{scim,emails}', '0')
		OR COALESCE(OLD.email, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.email, '')
		OR OLD.tenant_id OPERATOR(pg_catalog.<>) NEW.tenant_id OR OLD.user_id OPERATOR(pg_catalog.<>) NEW.user_id)
	EXECUTE FUNCTION mindtickle.keep_addresses();
CREATE TRIGGER keep_addresses_delete AFTER DELETE ON mindtickle.users FOR EACH ROW
	WHEN (OLD.attributes OPERATOR(pg_catalog.#>) '{scim,emails,0}' IS NOT NULL)
	EXECUTE FUNCTION mindtickle.keep_addresses();
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER keep_addresses_insert;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER keep_addresses_update;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER keep_addresses_delete;
