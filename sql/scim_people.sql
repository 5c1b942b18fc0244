/*
 * People as identity providers see them. What of a user has no column is kept as it was sent in users.attributes -> 'scim'; src/scim_attribute.c
 * lists it. Whoever has no such key, because no identity provider has written him yet, shows what the columns hold.
 */
CREATE FUNCTION mindtickle.scim_emails(attributes pg_catalog.jsonb, email pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE
		WHEN pg_catalog.jsonb_typeof(attributes OPERATOR(pg_catalog.#>) '{scim,emails}') OPERATOR(pg_catalog.=) 'array'
			THEN attributes OPERATOR(pg_catalog.#>) '{scim,emails}'
		WHEN email IS NOT NULL AND NOT attributes OPERATOR(pg_catalog.?) 'scim'
			THEN pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('value', email, 'type', 'work', 'primary', true)) END
$$;
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
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	emails jsonb := attributes #> '{scim,emails}';
BEGIN
	IF jsonb_typeof(emails) <> 'array' THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT array_agg(DISTINCT lower(e.element ->> 'value')) FROM jsonb_array_elements(emails) AS e (element)
			WHERE lower(e.element ->> 'value') IS DISTINCT FROM email_key AND e.element ->> 'value' IS NOT NULL);
END
$$;
COMMENT ON FUNCTION mindtickle.further_addresses(pg_catalog.jsonb, pg_catalog.text)
	IS 'the folded addresses of a user beside the one in users.email; NULL where there is none';

CREATE FUNCTION mindtickle.keep_addresses() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		DELETE FROM mindtickle.user_address AS a WHERE a.tenant_id = OLD.tenant_id AND a.user_id = OLD.user_id;
	END IF;
	IF TG_OP <> 'DELETE' THEN
		INSERT INTO mindtickle.user_address (tenant_id, address_key, user_id)
		SELECT NEW.tenant_id, key, NEW.user_id FROM unnest(mindtickle.further_addresses(NEW.attributes, NEW.email_key)) AS key;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.keep_addresses() IS 'keeps user_address in step with users';
