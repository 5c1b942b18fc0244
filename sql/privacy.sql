/*
 * Privacy requests. What there is about a user is found by his ids, by his address, and by what hangs on them; the tables are the extension's, those
 * of events and of readiness by their names' beginning, so that a further one is not forgotten. The mt_ functions check the caller and run these as
 * the service role (src/privacy.c).
 *
 * An id or address that is another user's as well does not tell about whom something is: it is left where it is.
 */
CREATE FUNCTION mindtickle.named_tables(pattern pg_catalog.text, with_column pg_catalog.name) RETURNS SETOF pg_catalog.regclass
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r' AND c.relname ~ pattern AND (SELECT count(*) FROM pg_attribute AS a
		WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname = ANY (ARRAY['tenant_id', with_column])) = 2
	ORDER BY c.relname
$$;
COMMENT ON FUNCTION mindtickle.named_tables(pg_catalog.text, pg_catalog.name) IS 'tables of schema mindtickle with a tenant and this column, by their names';

CREATE FUNCTION mindtickle.user_marks(tenant pg_catalog.text, user_id pg_catalog.text, OUT ids pg_catalog.text[], OUT addresses pg_catalog.text[],
		OUT names pg_catalog.text[])
	RETURNS pg_catalog.record
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	own_id text := user_marks.user_id;
	people jsonb[];
	relation regclass;
	told jsonb[];
BEGIN
	SELECT k.user_id, ARRAY[mindtickle.user_as_json(k)] INTO own_id, people FROM mindtickle.users AS k
		WHERE k.tenant_id = tenant AND user_marks.user_id IN (k.user_id, k.mindtickle_id, k.scim_external_id)
		ORDER BY k.user_id = user_marks.user_id DESC, k.deleted_at IS NULL DESC, (k.mindtickle_id = user_marks.user_id) IS TRUE DESC, k.user_id LIMIT 1;
	own_id := coalesce(own_id, user_marks.user_id);
	-- As he was before, as far as there are events that tell.
	FOR relation IN SELECT * FROM mindtickle.named_tables('^(outbox|event)', 'payload') LOOP
		EXECUTE format('SELECT array_agg(DISTINCT e.payload -> ''user'') FROM %s AS e WHERE e.tenant_id = $1 AND e.payload #>> ''{user,userId}'' = $2', relation)
			INTO told USING tenant, own_id;
		people := people || told;
	END LOOP;
	ids := ARRAY(
		SELECT DISTINCT m.id COLLATE "C" FROM (
			SELECT own_id UNION ALL SELECT user_marks.user_id
			UNION ALL SELECT i.id FROM unnest(people) AS p (person),
				unnest(ARRAY[p.person ->> 'mindtickleId', p.person ->> 'scimExternalId', p.person ->> 'userName']) AS i (id)) AS m (id)
		WHERE m.id <> '' AND NOT EXISTS (SELECT FROM mindtickle.users AS k
			WHERE k.tenant_id = tenant AND k.user_id <> own_id AND m.id IN (k.user_id, k.mindtickle_id, k.scim_external_id, k.user_name)));
	addresses := ARRAY(
		SELECT DISTINCT lower(m.address) COLLATE "C" FROM unnest(people) AS p (person), LATERAL (
			SELECT p.person ->> 'email' UNION ALL SELECT p.person ->> 'userName'
			UNION ALL SELECT e.value #>> '{}' FROM jsonb_path_query(p.person, '$.attributes.scim.emails[*].value') AS e (value)) AS m (address)
		WHERE m.address LIKE '_%@_%' AND NOT EXISTS (SELECT FROM mindtickle.users AS k
			WHERE k.tenant_id = tenant AND k.user_id <> own_id AND lower(m.address) IN (k.email_key, k.user_name_key)));
	names := ARRAY(
		SELECT DISTINCT lower(m.name) COLLATE "C" FROM unnest(people) AS p (person),
			unnest(ARRAY[p.person ->> 'name', p.person #>> '{attributes,scim,displayName}', p.person #>> '{attributes,scim,name,formatted}']) AS m (name)
		WHERE m.name <> '');
END
$$;
COMMENT ON FUNCTION mindtickle.user_marks(pg_catalog.text, pg_catalog.text)
	IS 'by what a user is known, now and before: ids that are his alone, addresses that are his alone, names, which may be others'' too; these in small letters';

CREATE FUNCTION mindtickle.without_marks(document pg_catalog.jsonb, ids pg_catalog.text[], words pg_catalog.text[], key pg_catalog.text DEFAULT '')
	RETURNS pg_catalog.jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	content text;
BEGIN
	CASE jsonb_typeof(document)
		WHEN 'object' THEN
			RETURN (SELECT coalesce(jsonb_object_agg(e.key, mindtickle.without_marks(e.value, ids, words, e.key))
									FILTER (WHERE e.key NOT LIKE '%@%' OR lower(e.key) <> ALL (words)), '{}') FROM jsonb_each(document) AS e);
		WHEN 'array' THEN
			RETURN (SELECT coalesce(jsonb_agg(mindtickle.without_marks(e.value, ids, words, key) ORDER BY e.place), '[]')
					FROM jsonb_array_elements(document) WITH ORDINALITY AS e (value, place));
		WHEN 'string', 'number' THEN
			content := document #>> '{}';
			-- An id is somebody's only where it stands for a user; a word wherever it stands, an address also within a text.
			IF content = ANY (ids) AND lower(replace(key, '_', '')) = ANY ('{id,user,userid,username,mindtickleid,scimexternalid,externalid,manager,managerid,learner,learnerid,agent,value,after}')
				OR EXISTS (SELECT FROM unnest(words) AS w (word) WHERE lower(content) = w.word OR w.word LIKE '%@%' AND strpos(lower(content), w.word) > 0
					AND lower(content) ~ concat('(^|[^a-z0-9._%+-])', regexp_replace(w.word, '([^[:alnum:]])', '\\\1', 'g'), '\.?([^a-z0-9.-]|$)')) THEN
				RETURN 'null';
			END IF;
			RETURN document;
		ELSE
			RETURN document;
	END CASE;
END
$$;
COMMENT ON FUNCTION mindtickle.without_marks(pg_catalog.jsonb, pg_catalog.text[], pg_catalog.text[], pg_catalog.text)
	IS 'a document with null for what names a user';

CREATE FUNCTION mindtickle.event_about(payload pg_catalog.jsonb, ids pg_catalog.text[], addresses pg_catalog.text[]) RETURNS pg_catalog.bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(payload ->> 'userId' = ANY (ids), false)
		OR coalesce(payload #>> '{user,userId}' = ANY (ids) OR payload #>> '{user,mindtickleId}' = ANY (ids) OR payload #>> '{user,scimExternalId}' = ANY (ids)
					OR lower(payload #>> '{user,email}') = ANY (addresses), false)
$$;
COMMENT ON FUNCTION mindtickle.event_about(pg_catalog.jsonb, pg_catalog.text[], pg_catalog.text[]) IS 'true when an event is about a user, and not only names him';

CREATE FUNCTION mindtickle.event_without(payload pg_catalog.jsonb, tenant pg_catalog.text, ids pg_catalog.text[], addresses pg_catalog.text[], words pg_catalog.text[])
	RETURNS pg_catalog.jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN mindtickle.event_about(payload, ids, addresses) THEN jsonb_build_object('tenantId', tenant, 'erased', true)
		ELSE mindtickle.without_marks(payload, ids, CASE
			WHEN payload #>> '{user,managerId}' = ANY (ids) OR lower(payload #>> '{user,managerEmail}') = ANY (addresses) THEN words ELSE addresses END) END
$$;
COMMENT ON FUNCTION mindtickle.event_without(pg_catalog.jsonb, pg_catalog.text, pg_catalog.text[], pg_catalog.text[], pg_catalog.text[])
	IS 'what is left of an event when a user is erased; words: his addresses and names';

CREATE FUNCTION mindtickle.bytes_as_json(raw pg_catalog.bytea) RETURNS pg_catalog.jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN convert_from(raw, 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION mindtickle.bytes_as_json(pg_catalog.bytea) IS 'bytes as JSON; NULL where they are none';

CREATE FUNCTION mindtickle.letter_about(resource pg_catalog.text, raw pg_catalog.bytea, ids pg_catalog.text[], addresses pg_catalog.text[], names pg_catalog.text[])
	RETURNS pg_catalog.bool
	LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	document jsonb := mindtickle.bytes_as_json(raw);
	content text := lower(encode(raw, 'escape'));
BEGIN
	IF substring(resource FROM '^(?:progress|users)/(.*)$') = ANY (ids) OR mindtickle.without_marks(document, ids, addresses) <> document THEN
		RETURN true;
	END IF;
	-- What is no JSON, or cut off, is about the user where a word of it is one of his marks, also in JSON's own way to write it.
	RETURN document IS NULL AND EXISTS (
		SELECT FROM unnest(ids || addresses || names) AS w (word), LATERAL (VALUES (w.word), (mindtickle.json_escaped(w.word))) AS f (form)
		WHERE content ~ concat('(^|[^a-z0-9_-])', regexp_replace(lower(encode(convert_to(f.form, 'UTF8'), 'escape')), '([^a-z0-9])', '\\\1', 'g'), '([^a-z0-9_-]|$)'));
END
$$;
COMMENT ON FUNCTION mindtickle.letter_about(pg_catalog.text, pg_catalog.bytea, pg_catalog.text[], pg_catalog.text[], pg_catalog.text[])
	IS 'true when a dead letter names a user';

CREATE FUNCTION mindtickle.json_escaped(word pg_catalog.text) RETURNS pg_catalog.text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(string_agg(CASE
			WHEN ascii(c.letter) < 128 THEN trim(BOTH '"' FROM to_json(c.letter)::text)
			WHEN ascii(c.letter) < 65536 THEN format('\u%s', lpad(to_hex(ascii(c.letter)), 4, '0'))
			ELSE format('\u%s\u%s', to_hex(55296 + (ascii(c.letter) - 65536) / 1024), to_hex(56320 + (ascii(c.letter) - 65536) % 1024)) END, '' ORDER BY c.place), '')
	FROM unnest(string_to_array(word, NULL)) WITH ORDINALITY AS c (letter, place)
$$;
COMMENT ON FUNCTION mindtickle.json_escaped(pg_catalog.text) IS 'a word as JSON in ASCII writes it, without the quotes';

CREATE FUNCTION mindtickle.tells_of(document pg_catalog.jsonb, words pg_catalog.text[]) RETURNS pg_catalog.bool
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM unnest(words) AS w (word) WHERE strpos(lower(document::text), lower(trim(BOTH '"' FROM to_json(w.word)::text))) > 0)
$$;
COMMENT ON FUNCTION mindtickle.tells_of(pg_catalog.jsonb, pg_catalog.text[]) IS 'false where none of the words is anywhere in a document, which is quickly found out';

CREATE FUNCTION mindtickle.erase_user(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	marks record;
	relation regclass;
	changed int8;
	total int8 := 0;
	words text[];
BEGIN
	SELECT * INTO marks FROM mindtickle.user_marks(erase_user.tenant, erase_user.user_id);
	words := marks.addresses || marks.names;

	-- What is his.
	FOR relation IN SELECT * FROM mindtickle.named_tables('^(users|team_member|course_progress|quiz_submission|push_queue|push_link)$', 'user_id') LOOP
		EXECUTE format('DELETE FROM %s WHERE tenant_id = $1 AND user_id = ANY ($2)', relation) USING erase_user.tenant, marks.ids;
		GET DIAGNOSTICS changed = ROW_COUNT;
		total := total + changed;
	END LOOP;
	-- Where others' rows name him: his name only where it is said that he is meant.
	UPDATE mindtickle.users AS u SET manager_id = CASE WHEN u.manager_id = ANY (marks.ids) THEN NULL ELSE u.manager_id END,
			manager_email = CASE WHEN lower(u.manager_email) = ANY (marks.addresses) THEN NULL ELSE u.manager_email END,
			attributes = mindtickle.without_marks(u.attributes, marks.ids, words), version = u.version + 1, updated_at = now()
		WHERE u.tenant_id = erase_user.tenant AND (u.manager_id = ANY (marks.ids) OR lower(u.manager_email) = ANY (marks.addresses));
	GET DIAGNOSTICS changed = ROW_COUNT;
	total := total + changed;
	UPDATE mindtickle.users AS u SET attributes = mindtickle.without_marks(u.attributes, marks.ids, marks.addresses), version = u.version + 1, updated_at = now()
		WHERE u.tenant_id = erase_user.tenant AND mindtickle.tells_of(u.attributes, marks.ids || marks.addresses)
			AND mindtickle.without_marks(u.attributes, marks.ids, marks.addresses) <> u.attributes;
	GET DIAGNOSTICS changed = ROW_COUNT;
	total := total + changed;
	UPDATE mindtickle.team AS t SET manager_id = NULL, updated_at = now() WHERE t.tenant_id = erase_user.tenant AND t.manager_id = ANY (marks.ids);
	GET DIAGNOSTICS changed = ROW_COUNT;
	total := total + changed;

	-- Events keep their place, so that seq has no gaps; nobody moves them meanwhile, and the publisher finds those that wait anew.
	PERFORM mindtickle.hold_events(erase_user.tenant);
	FOR relation IN SELECT * FROM mindtickle.named_tables('^(outbox|event)', 'payload') LOOP
		EXECUTE format('UPDATE %s AS e SET payload = mindtickle.event_without(e.payload, $1, $2, $3, $4) WHERE e.tenant_id = $1 '
					   'AND mindtickle.tells_of(e.payload, $2 || $3) AND mindtickle.event_without(e.payload, $1, $2, $3, $4) <> e.payload', relation)
			USING erase_user.tenant, marks.ids, marks.addresses, words;
		GET DIAGNOSTICS changed = ROW_COUNT;
		total := total + changed;
	END LOOP;
	DELETE FROM mindtickle.dead_letter AS d WHERE d.tenant_id = erase_user.tenant
		AND mindtickle.letter_about(d.resource, d.raw, marks.ids, marks.addresses, marks.names);
	GET DIAGNOSTICS changed = ROW_COUNT;
	total := total + changed;

	-- What the running pull has noted. It goes on a little further back.
	DELETE FROM mindtickle.sync_seen AS s WHERE s.tenant_id = erase_user.tenant AND s.object_id = ANY (marks.ids);
	UPDATE mindtickle.sync_job AS j SET position = mindtickle.without_marks(j.position, marks.ids, marks.addresses)
		WHERE j.tenant_id = erase_user.tenant AND mindtickle.without_marks(j.position, marks.ids, marks.addresses) <> j.position;
	FOR relation IN SELECT * FROM mindtickle.named_tables('^sync_', 'error') LOOP
		EXECUTE format('UPDATE %s AS j SET error = ''erased'' WHERE j.tenant_id = $1 AND EXISTS (SELECT FROM unnest($2) AS a (address) WHERE strpos(lower(j.error), a.address) > 0)', relation)
			USING erase_user.tenant, marks.addresses;
	END LOOP;
	UPDATE mindtickle.tenant AS t SET last_error = 'erased'
		WHERE t.tenant_id = erase_user.tenant AND EXISTS (SELECT FROM unnest(marks.addresses) AS a (address) WHERE strpos(lower(t.last_error), a.address) > 0);
	IF total = 0 THEN
		RETURN NULL;
	END IF;

	-- Deltas name users. A new count makes those that are there superfluous, also to the aggregator.
	FOR relation IN SELECT * FROM mindtickle.named_tables('^readiness_delta', 'entries') LOOP
		EXECUTE format('DELETE FROM %s WHERE tenant_id = $1', relation) USING erase_user.tenant;
	END LOOP;
	FOR relation IN SELECT * FROM mindtickle.named_tables('^readiness', 'user_id') LOOP
		EXECUTE format('DELETE FROM %s WHERE tenant_id = $1 AND user_id = ANY ($2)', relation) USING erase_user.tenant, marks.ids;
	END LOOP;
	PERFORM @extschema@.mt_rebuild_readiness(erase_user.tenant);
	PERFORM @extschema@.mt_invalidate_tenant(erase_user.tenant);
	RETURN total;
END
$$;
COMMENT ON FUNCTION mindtickle.erase_user(pg_catalog.text, pg_catalog.text) IS 'what mt_erase_user does; NULL: there was nothing';

CREATE FUNCTION mindtickle.row_as_json(columns pg_catalog.jsonb) RETURNS pg_catalog.jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT jsonb_object_agg(concat(split_part(c.key, '_', 1), (SELECT string_agg(initcap(p.part), '' ORDER BY p.place)
			FROM unnest((string_to_array(c.key, '_'))[2:]) WITH ORDINALITY AS p (part, place))), c.value)
	FROM jsonb_each(columns) AS c WHERE c.key <> 'tenant_id' AND c.key !~ '_key$'
$$;
COMMENT ON FUNCTION mindtickle.row_as_json(pg_catalog.jsonb) IS 'a row as to_jsonb gives it, with the names of the data model; without its tenant and generated keys';

CREATE FUNCTION mindtickle.export_user(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE plpgsql STRICT STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
#variable_conflict use_column
DECLARE
	marks record;
	relation regclass;
	document jsonb;
	events jsonb := '[]';
	found jsonb;
BEGIN
	SELECT * INTO marks FROM mindtickle.user_marks(export_user.tenant, export_user.user_id);
	-- First, since their tables may be emptied meanwhile: then it is an error. They also keep what has gone on, or is not shown any more.
	FOREACH relation IN ARRAY ARRAY['mindtickle.outbox', 'mindtickle.event_overflow', 'mindtickle.event']::regclass[] LOOP
		EXECUTE format('SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(e)) ORDER BY e.created_at) FROM %s AS e '
					   'WHERE e.tenant_id = $1 AND mindtickle.event_about(e.payload, $2, $3)', relation)
			INTO found USING export_user.tenant, marks.ids, marks.addresses;
		events := events || coalesce(found, '[]');
	END LOOP;
	PERFORM mindtickle.rings_are_whole();
	document := jsonb_build_object(
		'user', (SELECT mindtickle.row_as_json(to_jsonb(u)) FROM mindtickle.users AS u WHERE u.tenant_id = export_user.tenant AND u.user_id = ANY (marks.ids)),
		'teams', (SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(b)) || jsonb_build_object('teamName', t.name) ORDER BY b.team_id)
			FROM mindtickle.team_member AS b LEFT JOIN mindtickle.team AS t ON t.tenant_id = export_user.tenant AND t.team_id = b.team_id
			WHERE b.tenant_id = export_user.tenant AND b.user_id = ANY (marks.ids)),
		'managesUsers', (SELECT jsonb_agg(u.user_id ORDER BY u.user_id) FROM mindtickle.users AS u
			WHERE u.tenant_id = export_user.tenant AND (u.manager_id = ANY (marks.ids) OR lower(u.manager_email) = ANY (marks.addresses))),
		'managesTeams', (SELECT jsonb_agg(t.team_id ORDER BY t.team_id) FROM mindtickle.team AS t
			WHERE t.tenant_id = export_user.tenant AND t.manager_id = ANY (marks.ids)),
		'courseProgress', (SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(p)) || jsonb_build_object('courseTitle', c.title) ORDER BY p.user_id, p.course_id)
			FROM mindtickle.course_progress AS p LEFT JOIN mindtickle.course AS c ON c.tenant_id = export_user.tenant AND c.course_id = p.course_id
			WHERE p.tenant_id = export_user.tenant AND p.user_id = ANY (marks.ids)),
		'quizResults', (SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(s)) ORDER BY s.user_id, s.course_id, s.quiz_id, s.submitted_at)
			FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = export_user.tenant AND s.user_id = ANY (marks.ids)),
		'readiness', (SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(r)) ORDER BY r.user_id) FROM mindtickle.readiness_by_user(export_user.tenant) AS r
			WHERE r.user_id = ANY (marks.ids)),
		'deadLetters', (SELECT jsonb_agg(mindtickle.row_as_json(to_jsonb(d) - 'raw'::text) || jsonb_build_object('raw', encode(d.raw, 'escape')) ORDER BY d.letter_id)
			FROM mindtickle.dead_letter AS d WHERE d.tenant_id = export_user.tenant
				AND mindtickle.letter_about(d.resource, d.raw, marks.ids, marks.addresses, marks.names)));
	-- Lists that are empty are lists.
	document := (SELECT jsonb_object_agg(e.key, CASE WHEN e.key <> 'user' AND e.value = 'null' THEN '[]' ELSE e.value END) FROM jsonb_each(document) AS e)
		|| jsonb_build_object('events', events);
	IF NOT EXISTS (SELECT FROM jsonb_each(document) AS e WHERE e.value <> ALL (ARRAY['[]', 'null']::jsonb[])) THEN
		RETURN NULL;
	END IF;
	RETURN document || jsonb_build_object('tenantId', export_user.tenant, 'exportedAt', now());
END
$$;
COMMENT ON FUNCTION mindtickle.export_user(pg_catalog.text, pg_catalog.text) IS 'what mt_export_user gives; NULL: there is nothing';

CREATE FUNCTION @extschema@.mt_erase_user(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.int8
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_erase_user';
COMMENT ON FUNCTION @extschema@.mt_erase_user(pg_catalog.text, pg_catalog.text)
	IS 'removes everything about a user, his history included, for a privacy request; returns how many rows; admin only';

CREATE FUNCTION @extschema@.mt_export_user(tenant pg_catalog.text, user_id pg_catalog.text) RETURNS pg_catalog.jsonb
	LANGUAGE c STRICT STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'mt_export_user';
COMMENT ON FUNCTION @extschema@.mt_export_user(pg_catalog.text, pg_catalog.text)
	IS 'everything about a user, for a privacy request; admin only';
