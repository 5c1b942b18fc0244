/*
 * People as identity providers see them. What of a user has no column is kept as it was sent in users.attributes -> 'scim'; src/scim_attribute.c
 * lists it. Whoever has no such key, because no identity provider has written him yet, shows what the columns hold.
 */
CREATE FUNCTION mindtickle.scim_emails(attributes pg_catalog.jsonb, email pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
	-- Understood when it is made, whatever the search_path is then, it can be part of the statements that call it.
	RETURN CASE
		WHEN pg_catalog.jsonb_typeof(attributes OPERATOR(pg_catalog.#>) '{scim,emails}') OPERATOR(pg_catalog.=) 'array'
			THEN attributes OPERATOR(pg_catalog.#>) '{scim,emails}'
		WHEN email IS NOT NULL AND NOT attributes OPERATOR(pg_catalog.?) 'scim'
			THEN pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('value', email, 'type', 'work', 'primary', true)) END;
COMMENT ON FUNCTION mindtickle.scim_emails(pg_catalog.jsonb, pg_catalog.text)
	IS 'a user''s addresses for SCIM: the list that was sent, or the one that the column holds; NULL where there is none';

/*
 * Addresses beyond the one in users.email, so that "emails.value eq" finds each by an index. Rows are few: most people have one address.
 */
CREATE TABLE mindtickle.user_address (
	tenant_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	address_key pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	user_id pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	PRIMARY KEY (tenant_id, address_key, user_id)
);
COMMENT ON TABLE mindtickle.user_address IS 'folded addresses that a user has beside the one in users.email; kept by triggers on users';
CREATE INDEX user_address_user_idx ON mindtickle.user_address (tenant_id, user_id);

CREATE FUNCTION mindtickle.further_addresses(attributes pg_catalog.jsonb, email_key pg_catalog.text) RETURNS pg_catalog.text[]
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	emails jsonb := attributes #> '{scim,emails}';
BEGIN
	IF jsonb_typeof(emails) = 'array' THEN
		RETURN ARRAY(SELECT DISTINCT lower(e.element ->> 'value') AS key FROM jsonb_array_elements(emails) AS e (element)
					 WHERE e.element ->> 'value' IS NOT NULL AND lower(e.element ->> 'value') IS DISTINCT FROM email_key ORDER BY key);
	END IF;
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION mindtickle.further_addresses(pg_catalog.jsonb, pg_catalog.text)
	IS 'the folded addresses of a user beside the one in users.email';

CREATE FUNCTION mindtickle.keep_addresses() RETURNS pg_catalog.trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before text[] := '{}';
	after text[] := '{}';
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		TRUNCATE mindtickle.user_address;
		RETURN NULL;
	END IF;
	IF TG_OP <> 'INSERT' THEN
		before := mindtickle.further_addresses(OLD.attributes, OLD.email_key);
	END IF;
	IF TG_OP <> 'DELETE' THEN
		after := mindtickle.further_addresses(NEW.attributes, NEW.email_key);
	END IF;
	IF TG_OP = 'UPDATE' AND before = after AND OLD.tenant_id = NEW.tenant_id AND OLD.user_id = NEW.user_id THEN
		RETURN NULL;
	END IF;
	IF before <> '{}' THEN
		DELETE FROM mindtickle.user_address AS a WHERE a.tenant_id = OLD.tenant_id AND a.user_id = OLD.user_id;
	END IF;
	IF after <> '{}' THEN
		INSERT INTO mindtickle.user_address (tenant_id, address_key, user_id)
		SELECT NEW.tenant_id, a.key, NEW.user_id FROM unnest(after) AS a (key)
		ON CONFLICT (tenant_id, address_key, user_id) DO NOTHING;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.keep_addresses() IS 'trigger: keeps user_address in step with users';

-- Few people have a second address, so the conditions let most changes pass without a call.
CREATE TRIGGER addresses_insert AFTER INSERT ON mindtickle.users FOR EACH ROW
	WHEN (NEW.attributes OPERATOR(pg_catalog.#>) '{scim,emails,1}' IS NOT NULL
		OR COALESCE(NEW.attributes OPERATOR(pg_catalog.#>>) '{scim,emails,0,value}', NEW.email, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.email, ''))
	EXECUTE FUNCTION mindtickle.keep_addresses();
CREATE TRIGGER addresses_update AFTER UPDATE ON mindtickle.users FOR EACH ROW
	WHEN (COALESCE(OLD.attributes OPERATOR(pg_catalog.#>) '{scim,emails}', '0') OPERATOR(pg_catalog.<>) COALESCE(NEW.attributes OPERATOR(pg_catalog.#>) '{scim,emails}', '0')
		OR COALESCE(OLD.email, '') OPERATOR(pg_catalog.<>) COALESCE(NEW.email, '')
		OR OLD.tenant_id OPERATOR(pg_catalog.<>) NEW.tenant_id OR OLD.user_id OPERATOR(pg_catalog.<>) NEW.user_id)
	EXECUTE FUNCTION mindtickle.keep_addresses();
CREATE TRIGGER addresses_delete AFTER DELETE ON mindtickle.users FOR EACH ROW
	WHEN (OLD.attributes OPERATOR(pg_catalog.?) 'scim')
	EXECUTE FUNCTION mindtickle.keep_addresses();
CREATE TRIGGER addresses_truncate AFTER TRUNCATE ON mindtickle.users
	EXECUTE FUNCTION mindtickle.keep_addresses();
-- Replicated and restored rows too.
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER addresses_insert;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER addresses_update;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER addresses_delete;
ALTER TABLE mindtickle.users ENABLE ALWAYS TRIGGER addresses_truncate;
