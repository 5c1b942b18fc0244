/*
 * Provisioning that goes on to MindTickle (push_users). A change is queued by src/push.c in the transaction that makes it; the sync worker calls
 * what stands here, as the service role with the tenant in force.
 */
CREATE FUNCTION mindtickle.push_next(tenant pg_catalog.text, under_way pg_catalog.text[], max_rows pg_catalog.int4, OUT user_id pg_catalog.text,
		OUT version pg_catalog.int8, OUT user_name pg_catalog.text, OUT external_id pg_catalog.text, OUT name pg_catalog.text,
		OUT active pg_catalog.bool, OUT scim_id pg_catalog.text)
	RETURNS SETOF pg_catalog.record
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- The user as he is now: what changed before the last change needs no call of its own. Nobody is put off for more than 75 minutes (push_put_off), and
	-- the rest is for a clock that was a little ahead: a moment that is further away was set while it was far ahead, and does not count.
	SELECT q.user_id, u.version, coalesce(nullif(u.email, ''), u.user_name), coalesce(u.scim_external_id, u.user_id), u.name, u.active, l.scim_id
	FROM mindtickle.push_queue AS q
	JOIN mindtickle.users AS u ON u.tenant_id = tenant AND u.user_id = q.user_id
	LEFT JOIN mindtickle.push_link AS l ON l.tenant_id = tenant AND l.user_id = q.user_id
	WHERE q.tenant_id = tenant AND (q.not_before BETWEEN now() AND now() + interval '2 hours') IS NOT TRUE
		AND q.user_id <> ALL (under_way)
		-- nor who comes back under the name of one that was deleted and is under way: there they are one
		AND NOT EXISTS (SELECT FROM mindtickle.users AS f WHERE f.tenant_id = tenant AND f.user_id = ANY (under_way)
						AND coalesce(nullif(f.email_key, ''), f.user_name_key) = coalesce(nullif(u.email_key, ''), u.user_name_key))
	ORDER BY q.queued_at, q.user_id LIMIT max_rows
$$;
COMMENT ON FUNCTION mindtickle.push_next(pg_catalog.text, pg_catalog.text[], pg_catalog.int4)
	IS 'the next users to be pushed, those first that wait longest, but for those that are under way';

CREATE FUNCTION mindtickle.push_due(tenant pg_catalog.text) RETURNS pg_catalog.timestamptz
	LANGUAGE sql STRICT STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	-- as in push_next
	SELECT min(CASE WHEN q.not_before <= now() + interval '2 hours' THEN q.not_before ELSE now() END) FROM mindtickle.push_queue AS q
	WHERE q.tenant_id = tenant AND EXISTS (SELECT FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.user_id = q.user_id)
$$;
COMMENT ON FUNCTION mindtickle.push_due(pg_catalog.text) IS 'when the next user of the tenant is to be pushed; NULL: none waits';

CREATE FUNCTION mindtickle.push_owner(tenant pg_catalog.text, user_id pg_catalog.text, scim_id pg_catalog.text, external_id pg_catalog.text)
	RETURNS pg_catalog.text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT u.user_id
	FROM (SELECT l.user_id, 1 AS rank FROM mindtickle.push_link AS l WHERE l.tenant_id = tenant AND l.scim_id = push_owner.scim_id
		  UNION ALL
		  SELECT o.user_id, 2 FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.scim_external_id = external_id
		  UNION ALL
		  SELECT o.user_id, 2 FROM mindtickle.users AS o WHERE o.tenant_id = tenant AND o.user_id = external_id AND o.scim_external_id IS NULL) AS c
	JOIN mindtickle.users AS u ON u.tenant_id = tenant AND u.user_id = c.user_id
	WHERE u.user_id <> push_owner.user_id AND u.deleted_at IS NULL
		-- who is known there under another id does not have this one
		AND (c.rank = 1 OR NOT EXISTS (SELECT FROM mindtickle.push_link AS k WHERE k.tenant_id = tenant AND k.user_id = u.user_id))
	ORDER BY c.rank, u.user_id LIMIT 1
$$;
COMMENT ON FUNCTION mindtickle.push_owner(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text)
	IS 'whose the id upstream is, if not the user''s: who is linked to it, else whom its externalId names; NULL: nobody''s who is still here';

CREATE FUNCTION mindtickle.push_done(tenant pg_catalog.text, user_id pg_catalog.text, version pg_catalog.int8, scim_id pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	-- Who is being erased leaves nothing behind.
	PERFORM FROM mindtickle.users AS u WHERE u.tenant_id = push_done.tenant AND u.user_id = push_done.user_id FOR KEY SHARE;
	IF FOUND AND push_done.scim_id IS NOT NULL THEN
		-- somebody deleted had it, who has come back as this one, or whose name this one has
		DELETE FROM mindtickle.push_link AS l WHERE l.tenant_id = push_done.tenant AND l.scim_id = push_done.scim_id AND l.user_id <> push_done.user_id
			AND NOT EXISTS (SELECT FROM mindtickle.users AS u WHERE u.tenant_id = push_done.tenant AND u.user_id = l.user_id AND u.deleted_at IS NULL);
		INSERT INTO mindtickle.push_link AS l (tenant_id, user_id, scim_id) VALUES (push_done.tenant, push_done.user_id, push_done.scim_id)
			ON CONFLICT (tenant_id, user_id) DO UPDATE SET scim_id = excluded.scim_id WHERE l.scim_id <> excluded.scim_id;
	END IF;
	DELETE FROM mindtickle.push_queue AS q
		WHERE q.tenant_id = push_done.tenant AND q.user_id = push_done.user_id
			AND q.version <= push_done.version;
END
$$;
COMMENT ON FUNCTION mindtickle.push_done(pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.text)
	IS 'a user is upstream as he was at this version; a later change stays queued';

CREATE FUNCTION mindtickle.push_name_freed(tenant pg_catalog.text, user_name pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	UPDATE mindtickle.push_queue AS q SET not_before = NULL
	FROM mindtickle.users AS u
	WHERE q.tenant_id = tenant AND u.tenant_id = tenant AND u.user_id = q.user_id AND q.not_before IS NOT NULL
		AND coalesce(nullif(u.email_key, ''), u.user_name_key) = lower(push_name_freed.user_name)
$$;
COMMENT ON FUNCTION mindtickle.push_name_freed(pg_catalog.text, pg_catalog.text)
	IS 'nobody has this name upstream any more: who waits for it is due';

CREATE FUNCTION mindtickle.push_reject(tenant pg_catalog.text, user_id pg_catalog.text, version pg_catalog.int8, reason pg_catalog.text,
		raw pg_catalog.bytea) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM mindtickle.users AS u WHERE u.tenant_id = tenant AND u.user_id = push_reject.user_id FOR KEY SHARE;
	IF NOT FOUND THEN
		-- Who was erased meanwhile leaves nothing behind.
		RETURN;
	END IF;
	PERFORM mindtickle.keep_dead_letter(tenant, 'push', 'users/' || push_reject.user_id, push_reject.reason, push_reject.raw);
	DELETE FROM mindtickle.push_queue AS q
		WHERE q.tenant_id = tenant AND q.user_id = push_reject.user_id
			AND q.version <= push_reject.version;
EXCEPTION WHEN configuration_limit_exceeded THEN
	UPDATE mindtickle.push_queue AS q SET error = push_reject.reason, not_before = now() + interval '1 hour'
		WHERE q.tenant_id = tenant AND q.user_id = push_reject.user_id
			AND q.version <= push_reject.version;
END
$$;
COMMENT ON FUNCTION mindtickle.push_reject(pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea)
	IS 'what MindTickle does not accept becomes a dead letter, with what was sent; where there is no room for one, it is tried again in an hour';

CREATE FUNCTION mindtickle.push_put_off(tenant pg_catalog.text, user_id pg_catalog.text, version pg_catalog.int8, error pg_catalog.text,
		raw pg_catalog.bytea) RETURNS pg_catalog.void
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	tried int4;
BEGIN
	UPDATE mindtickle.push_queue AS q
		SET tries = q.tries + 1, error = push_put_off.error,
			not_before = now() + least(interval '10 s' * 2 ^ least(q.tries, 12), interval '1 hour') * (0.75 + 0.5 * random())
		-- a later change is tried at once
		WHERE q.tenant_id = tenant AND q.user_id = push_put_off.user_id AND q.version <= push_put_off.version
		RETURNING q.tries INTO tried;
	-- about a day
	IF tried >= 30 THEN
		PERFORM mindtickle.push_reject(tenant, push_put_off.user_id, push_put_off.version, format('given up after %s tries: %s', tried, push_put_off.error), raw);
	END IF;
END
$$;
COMMENT ON FUNCTION mindtickle.push_put_off(pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.text, pg_catalog.bytea)
	IS 'a user could not be pushed for a reason that may pass: later, each time twice as late, up to an hour; after thirty times he is rejected';

CREATE FUNCTION mindtickle.push_refused(tenant pg_catalog.text, error pg_catalog.text) RETURNS pg_catalog.void
	LANGUAGE sql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	UPDATE mindtickle.tenant AS t SET last_error = push_refused.error, last_error_at = now()
	WHERE t.tenant_id = tenant AND t.tenant_id = @extschema@.mt_current_tenant()
$$;
COMMENT ON FUNCTION mindtickle.push_refused(pg_catalog.text, pg_catalog.text) IS 'says why nobody is pushed; pulls go on';
