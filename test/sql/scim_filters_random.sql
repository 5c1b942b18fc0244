\set ECHO none
-- Random SCIM filters, answered twice: as SQL over the tables, by itself and as requests run it, and by a plain reading of RFC 7644 over the documents that the rows stand for. The
-- second shares nothing with the first but lower(). Then the same for the brackets of paths, and filters with characters changed at random, which
-- must give a fault or a condition that runs, and nothing else.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/scim_find.sql
BEGIN;
SELECT plan(10);
SET LOCAL TimeZone = 'UTC';
SELECT mt_create_tenant('sr', 'SCIM filters at random'), mt_create_tenant('sr-other', 'Another with the same ids') \g /dev/null
SELECT setseed(0.4) \g /dev/null

CREATE FUNCTION pg_temp.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::int4]
$$;
-- One of few words, so that values meet each other: differing in case, in what LIKE and regular expressions take for something else, not ASCII, empty.
CREATE FUNCTION pg_temp.word() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT pg_temp.pick('a', 'A', 'ab', 'aB', 'b', 'Ba', 'a_b', 'a%', '%', '_', 'a\b', '\', '"', 'a"b', 'ä', 'Ä', 'äb', '😀', 'a😀', '', 'a.b', '.*', 'zz')
$$;
CREATE FUNCTION pg_temp.maybe(word text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT CASE WHEN random() < 0.6 THEN word END $$;
CREATE FUNCTION pg_temp.moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT '2024-01-01T00:00:00Z'::timestamptz + floor(random() * 4) * interval '0.5 s'
$$;
CREATE FUNCTION pg_temp.random_element() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('value', pg_temp.maybe(pg_temp.word()), 'display', pg_temp.maybe(pg_temp.word()),
		'type', pg_temp.maybe(pg_temp.pick('work', 'home', 'a')), 'primary', pg_temp.maybe(pg_temp.pick('true', 'false'))::bool))
$$;
CREATE FUNCTION pg_temp.random_list() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN random() < 0.8 THEN coalesce(jsonb_agg(pg_temp.random_element()), '[]') END FROM generate_series(1, floor(random() * 4)::int4)
$$;
CREATE FUNCTION pg_temp.random_scim() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('displayName', pg_temp.maybe(pg_temp.word()), 'nickName', pg_temp.maybe(pg_temp.word()), 'profileUrl', pg_temp.maybe(pg_temp.word()),
		'name', jsonb_build_object('formatted', pg_temp.maybe(pg_temp.word()), 'givenName', pg_temp.maybe(pg_temp.word())),
		'emails', pg_temp.random_list(), 'roles', pg_temp.random_list(),
		'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', jsonb_build_object('costCenter', pg_temp.maybe(pg_temp.word()))))
$$;

INSERT INTO mindtickle.users (tenant_id, user_id, user_name, email, name, scim_external_id, active, title, department, manager_id, version, created_at, updated_at, attributes)
	SELECT t.tenant, 'u' || i, CASE WHEN random() < 0.9 THEN pg_temp.word() || i END, pg_temp.maybe(pg_temp.word()), pg_temp.maybe(pg_temp.word()), pg_temp.maybe(pg_temp.word()), random() < 0.7, pg_temp.maybe(pg_temp.word()),
		pg_temp.maybe(pg_temp.word()), pg_temp.maybe(pg_temp.word()), 1 + floor(random() * 3)::int8, pg_temp.moment(), pg_temp.moment(),
		CASE WHEN random() < 0.75 THEN jsonb_build_object('scim', pg_temp.random_scim()) ELSE '{}' END
	FROM unnest(ARRAY['sr', 'sr-other']) AS t (tenant), generate_series(1, 40) AS i;
-- What a provider sends goes to the column too, where it is primary.
UPDATE mindtickle.users SET email = attributes #>> '{scim,emails,0,value}' WHERE tenant_id IN ('sr', 'sr-other') AND attributes ? 'scim' AND random() < 0.7;
UPDATE mindtickle.users SET deleted_at = now() WHERE tenant_id = 'sr' AND user_id IN ('u1', 'u2', 'u3');
UPDATE mindtickle.users SET user_id = user_id || 'x' WHERE tenant_id = 'sr-other' AND user_id IN ('u39', 'u40');
INSERT INTO mindtickle.team (tenant_id, team_id, name, source, active, scim_external_id, version, created_at, updated_at)
	SELECT t.tenant, pg_temp.word() || i, pg_temp.word(), 'scim', random() < 0.8, pg_temp.maybe(pg_temp.word()), 1, pg_temp.moment(), pg_temp.moment()
	FROM unnest(ARRAY['sr', 'sr-other']) AS t (tenant), generate_series(1, 10) AS i;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source, active)
	SELECT t.tenant_id, t.team_id, u.user_id, 'scim', random() < 0.8 FROM mindtickle.team AS t JOIN mindtickle.users AS u ON u.tenant_id = t.tenant_id WHERE t.tenant_id IN ('sr', 'sr-other') AND random() < 0.15;

-- What the rows stand for.
CREATE TEMP VIEW user_document AS
	SELECT u.user_id AS id, jsonb_strip_nulls(jsonb_build_object('id', u.user_id, 'externalId', u.scim_external_id, 'userName', u.user_name, 'active', u.active, 'title', u.title,
		'displayName', CASE WHEN u.attributes ? 'scim' THEN s.document -> 'displayName' ELSE to_jsonb(u.name) END,
		'name', CASE WHEN u.attributes ? 'scim' THEN s.document -> 'name' ELSE jsonb_build_object('formatted', u.name) END,
		'nickName', s.document -> 'nickName', 'profileUrl', s.document -> 'profileUrl', 'roles', s.document -> 'roles',
		'emails', CASE WHEN u.attributes ? 'scim' THEN s.document -> 'emails' WHEN u.email IS NOT NULL THEN jsonb_build_array(jsonb_build_object('value', u.email, 'type', 'work', 'primary', true)) END,
		'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User', jsonb_build_object('department', u.department, 'costCenter', s.document #> '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,costCenter}',
			'manager', jsonb_build_object('value', u.manager_id)),
		'groups', (SELECT jsonb_agg(jsonb_build_object('value', t.team_id, 'display', t.name, 'type', 'direct', '$ref', '/scim/v2/Groups/' || pg_temp.in_url(t.team_id))) FROM mindtickle.team_member AS m JOIN mindtickle.team AS t USING (tenant_id, team_id)
			WHERE m.tenant_id = u.tenant_id AND m.user_id = u.user_id AND m.active AND t.active),
		'meta', jsonb_build_object('resourceType', 'User', 'created', u.created_at, 'lastModified', u.updated_at, 'version', format('W/"%s"', u.version), 'location', '/scim/v2/Users/' || pg_temp.in_url(u.user_id)))) AS document
	FROM mindtickle.users AS u, LATERAL (SELECT coalesce(u.attributes -> 'scim', '{}') AS document) AS s WHERE u.tenant_id = 'sr' AND u.deleted_at IS NULL AND u.user_name IS NOT NULL;
CREATE TEMP VIEW group_document AS
	SELECT t.team_id AS id, jsonb_strip_nulls(jsonb_build_object('id', t.team_id, 'externalId', t.scim_external_id, 'displayName', t.name,
		'members', (SELECT jsonb_agg(jsonb_build_object('value', m.user_id, 'type', 'User', 'display', d.document -> 'displayName', '$ref', '/scim/v2/Users/' || pg_temp.in_url(m.user_id))) FROM mindtickle.team_member AS m
			JOIN user_document AS d ON d.id = m.user_id WHERE m.tenant_id = t.tenant_id AND m.team_id = t.team_id AND m.active),
		'meta', jsonb_build_object('resourceType', 'Group', 'created', t.created_at, 'lastModified', t.updated_at, 'version', format('W/"%s"', t.version), 'location', '/scim/v2/Groups/' || pg_temp.in_url(t.team_id)))) AS document
	FROM mindtickle.team AS t WHERE t.tenant_id = 'sr' AND t.active;
CREATE TEMP TABLE resource AS SELECT 'User' AS resource, * FROM user_document UNION ALL SELECT 'Group', * FROM group_document;

-- Attributes for the generator: the path in a filter, where the value is in a document, its type ("exact" is text with case), and whether the path is a list's.
CREATE TEMP TABLE attribute (resource text, path text, place text[], type text, list bool);
INSERT INTO attribute VALUES
	('User', 'id', '{id}', 'exact', false), ('User', 'externalId', '{externalId}', 'exact', false), ('User', 'userName', '{userName}', 'text', false), ('User', 'active', '{active}', 'boolean', false),
	('User', 'title', '{title}', 'text', false), ('User', 'displayName', '{displayName}', 'text', false), ('User', 'nickName', '{nickName}', 'text', false), ('User', 'profileUrl', '{profileUrl}', 'exact', false),
	('User', 'name', '{name}', 'complex', false), ('User', 'name.formatted', '{name,formatted}', 'text', false), ('User', 'name.givenName', '{name,givenName}', 'text', false),
	('User', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department', '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,department}', 'text', false),
	('User', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter', '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,costCenter}', 'text', false),
	('User', 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value', '{urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,manager,value}', 'exact', false),
	('User', 'emails', '{emails}', 'complex', true), ('User', 'emails.value', '{emails,value}', 'text', true), ('User', 'emails.display', '{emails,display}', 'text', true), ('User', 'emails.type', '{emails,type}', 'text', true),
	('User', 'emails.primary', '{emails,primary}', 'boolean', true), ('User', 'roles', '{roles}', 'complex', true), ('User', 'roles.value', '{roles,value}', 'text', true), ('User', 'roles.display', '{roles,display}', 'text', true),
	('User', 'roles.type', '{roles,type}', 'text', true), ('User', 'roles.primary', '{roles,primary}', 'boolean', true),
	('User', 'groups', '{groups}', 'complex', true), ('User', 'groups.value', '{groups,value}', 'exact', true), ('User', 'groups.display', '{groups,display}', 'text', true), ('User', 'groups.$ref', '{groups,$ref}', 'exact', true),
	('User', 'meta.created', '{meta,created}', 'moment', false), ('User', 'meta.lastModified', '{meta,lastModified}', 'moment', false), ('User', 'meta.version', '{meta,version}', 'exact', false),
	('Group', 'id', '{id}', 'exact', false), ('Group', 'externalId', '{externalId}', 'exact', false), ('Group', 'displayName', '{displayName}', 'text', false), ('Group', 'meta.created', '{meta,created}', 'moment', false),
	('Group', 'members', '{members}', 'complex', true), ('Group', 'members.value', '{members,value}', 'exact', true), ('Group', 'members.display', '{members,display}', 'text', true), ('Group', 'members.type', '{members,type}', 'text', true);

-- A comparison: {"op", "path", "place", "type", "value"}.
CREATE FUNCTION pg_temp.random_comparison(chosen attribute) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	op text;
	value jsonb;
BEGIN
	op := CASE chosen.type WHEN 'complex' THEN 'pr' WHEN 'boolean' THEN pg_temp.pick('eq', 'ne', 'pr') WHEN 'moment' THEN pg_temp.pick('eq', 'ne', 'gt', 'ge', 'lt', 'le', 'pr')
		ELSE pg_temp.pick('eq', 'eq', 'eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le', 'pr') END;
	value := CASE WHEN op IN ('eq', 'ne') AND random() < 0.1 THEN 'null'::jsonb
		WHEN chosen.type = 'boolean' THEN to_jsonb(random() < 0.5) WHEN chosen.type = 'moment' THEN to_jsonb(pg_temp.moment())
		-- often one that is there
		WHEN random() < 0.5 THEN to_jsonb(pg_temp.word())
		ELSE coalesce((SELECT v FROM (SELECT d.document #> chosen.place AS v FROM resource AS d WHERE d.resource = chosen.resource AND NOT chosen.list
			UNION ALL SELECT e #> chosen.place[2:] FROM resource AS d, jsonb_array_elements(d.document #> chosen.place[:1]) AS e WHERE d.resource = chosen.resource AND chosen.list) AS c
			WHERE jsonb_typeof(v) = 'string' ORDER BY random() LIMIT 1), '"none"') END;
	IF jsonb_typeof(value) = 'string' AND chosen.type = 'text' AND random() < 0.5 THEN
		value := to_jsonb(pg_temp.pick(upper(value #>> '{}'), lower(value #>> '{}')));
	END IF;
	RETURN jsonb_build_object('op', op, 'path', chosen.path, 'place', to_jsonb(chosen.place), 'type', chosen.type, 'list', chosen.list, 'value', value);
END
$$;

-- A filter for a kind of resource, or for the elements of a list: {"op": "and", "arguments"}, {"op": "not", "argument"}, {"op": "element", "path", "place", "argument", "tail"}.
CREATE FUNCTION pg_temp.random_filter(kind text, in_list text, depth int4) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	shape float8 := random();
	chosen attribute;
BEGIN
	IF depth > 0 AND shape < 0.35 THEN
		RETURN jsonb_build_object('op', pg_temp.pick('and', 'or'), 'arguments', (SELECT jsonb_agg(pg_temp.random_filter(kind, in_list, depth - 1)) FROM generate_series(1, 2 + floor(random() * 2)::int4)));
	ELSIF depth > 0 AND shape < 0.5 THEN
		RETURN jsonb_build_object('op', 'not', 'argument', pg_temp.random_filter(kind, in_list, depth - 1));
	END IF;
	SELECT a.* INTO chosen FROM attribute AS a WHERE a.resource = kind AND (in_list IS NULL OR cardinality(a.place) = 2 AND a.place[1] = in_list) ORDER BY random() LIMIT 1;
	IF in_list IS NOT NULL THEN
		RETURN pg_temp.random_comparison(chosen) || jsonb_build_object('path', chosen.place[2], 'place', to_jsonb(chosen.place[2:]), 'list', false);
	ELSIF chosen.list AND chosen.type = 'complex' AND random() < 0.8 THEN
		RETURN jsonb_build_object('op', 'element', 'path', chosen.path, 'place', to_jsonb(chosen.place), 'argument', pg_temp.random_filter(kind, chosen.path, 2),
			'tail', CASE WHEN random() < 0.4 THEN pg_temp.random_filter(kind, chosen.path, 0) END);
	END IF;
	RETURN pg_temp.random_comparison(chosen);
END
$$;

-- As a client writes it, with as many parentheses as are needed, or more.
CREATE FUNCTION pg_temp.write_filter(filter jsonb, within text DEFAULT 'or') RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	op text := filter ->> 'op';
	written text;
BEGIN
	IF op IN ('and', 'or') THEN
		SELECT string_agg(pg_temp.write_filter(a, op), ' ' || pg_temp.pick(op, upper(op)) || ' ') INTO written FROM jsonb_array_elements(filter -> 'arguments') AS a;
		-- an "and" in an "and" is the same without parentheses
		RETURN CASE WHEN op = 'or' AND within = 'and' OR random() < 0.2 THEN '(' || written || ')' ELSE written END;
	ELSIF op = 'not' THEN
		RETURN pg_temp.pick('not (', 'not(', 'NOT ( ') || pg_temp.write_filter(filter -> 'argument') || ')';
	ELSIF op = 'element' THEN
		RETURN format('%s[%s]', filter ->> 'path', pg_temp.write_filter(filter -> 'argument')) || CASE WHEN filter ->> 'tail' IS NULL THEN '' ELSE '.' || pg_temp.write_filter(filter -> 'tail') END;
	END IF;
	written := pg_temp.pick(filter ->> 'path', upper(filter ->> 'path')) || ' ' || op;
	IF op <> 'pr' THEN
		written := written || ' ' || CASE WHEN jsonb_typeof(filter -> 'value') = 'boolean' AND random() < 0.2 THEN format('"%s"', initcap(filter ->> 'value')) ELSE (filter -> 'value')::text END;
	END IF;
	RETURN written;
END
$$;

-- The plain reading.
CREATE FUNCTION pg_temp.is_present(value jsonb) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE jsonb_typeof(value)
		WHEN 'object' THEN (SELECT coalesce(bool_or(pg_temp.is_present(e.value)), false) FROM jsonb_each(value) AS e)
		WHEN 'array' THEN (SELECT coalesce(bool_or(pg_temp.is_present(e)), false) FROM jsonb_array_elements(value) AS e)
		WHEN 'string' THEN value <> '""'
		ELSE coalesce(value <> 'null', false) END;
END
$$;
CREATE FUNCTION pg_temp.value_meets(op text, type text, value jsonb, wanted jsonb) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	a text := CASE WHEN type = 'exact' THEN value #>> '{}' ELSE lower(value #>> '{}') END;
	b text := CASE WHEN type = 'exact' THEN wanted #>> '{}' ELSE lower(wanted #>> '{}') END;
	signs int4;
BEGIN
	IF value IS NULL THEN
		RETURN op = 'ne';
	ELSIF op IN ('co', 'sw', 'ew') THEN
		RETURN CASE op WHEN 'co' THEN position(b IN a) > 0 WHEN 'sw' THEN left(a, length(b)) = b ELSE right(a, length(b)) = b END;
	END IF;
	signs := CASE WHEN type = 'moment' THEN CASE WHEN a::timestamptz < b::timestamptz THEN -1 WHEN a::timestamptz = b::timestamptz THEN 0 ELSE 1 END
		WHEN convert_to(a, 'UTF8') < convert_to(b, 'UTF8') THEN -1 WHEN a = b THEN 0 ELSE 1 END;
	RETURN CASE op WHEN 'eq' THEN signs = 0 WHEN 'ne' THEN signs <> 0 WHEN 'gt' THEN signs > 0 WHEN 'ge' THEN signs >= 0 WHEN 'lt' THEN signs < 0 WHEN 'le' THEN signs <= 0 END;
END
$$;
CREATE FUNCTION pg_temp.document_meets(filter jsonb, document jsonb) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	op text := filter ->> 'op';
	place text[] := ARRAY(SELECT jsonb_array_elements_text(filter -> 'place'));
	element jsonb;
	argument jsonb;
BEGIN
	IF op IN ('and', 'or') THEN
		FOR argument IN SELECT * FROM jsonb_array_elements(filter -> 'arguments') LOOP
			IF pg_temp.document_meets(argument, document) = (op = 'or') THEN
				RETURN op = 'or';
			END IF;
		END LOOP;
		RETURN op = 'and';
	ELSIF op = 'not' THEN
		RETURN NOT pg_temp.document_meets(filter -> 'argument', document);
	ELSIF op = 'element' THEN
		FOR element IN SELECT * FROM jsonb_array_elements(document #> place) LOOP
			IF pg_temp.document_meets(filter -> 'argument', element) AND (filter ->> 'tail' IS NULL OR pg_temp.document_meets(filter -> 'tail', element)) THEN
				RETURN true;
			END IF;
		END LOOP;
		RETURN false;
	ELSIF (filter ->> 'list')::bool THEN
		-- null asks for the presence of any
		IF op = 'pr' OR filter -> 'value' = 'null' THEN
			RETURN (SELECT coalesce(bool_or(pg_temp.is_present(CASE WHEN cardinality(place) > 1 THEN e -> place[2] ELSE e END)), false) FROM jsonb_array_elements(document -> place[1]) AS e) = (op <> 'eq');
		END IF;
		RETURN CASE WHEN coalesce(jsonb_array_length(document -> place[1]), 0) = 0 THEN op = 'ne'
			ELSE (SELECT bool_or(pg_temp.value_meets(op, filter ->> 'type', e -> place[2], filter -> 'value')) FROM jsonb_array_elements(document -> place[1]) AS e) END;
	ELSIF op = 'pr' OR filter -> 'value' = 'null' THEN
		RETURN pg_temp.is_present(document #> place) = (op <> 'eq');
	END IF;
	RETURN pg_temp.value_meets(op, filter ->> 'type', document #> place, filter -> 'value');
END
$$;

-- The plain reading knows what it does.
SELECT is((SELECT string_agg(d, ' ' ORDER BY d COLLATE "C") FROM unnest('{"{\"a\": \"X\"}","{\"a\": \"y\"}","{}","{\"a\": \"\"}"}'::text[]) AS d WHERE pg_temp.document_meets('{"op": "not", "argument": {"op": "eq", "type": "text", "list": false, "place": ["a"], "value": "x"}}', d::jsonb)),
	'{"a": ""} {"a": "y"} {}', 'the plain reading reads');

-- Filters over resources.
CREATE TEMP TABLE filter AS SELECT n, k.kind, pg_temp.random_filter(k.kind, NULL, 3) AS filter
	FROM generate_series(1, 700) AS n, LATERAL (SELECT CASE WHEN n % 4 = 0 THEN 'Group' ELSE 'User' END AS kind) AS k;
ALTER TABLE filter ADD written text;
UPDATE filter SET written = pg_temp.write_filter(filter);
CREATE TEMP TABLE answer AS SELECT f.*, pg_temp.scim_found('sr', f.kind, f.written) AS found, (SELECT coalesce(string_agg(r.id, ' ' ORDER BY r.id COLLATE "C"), '') FROM resource AS r
	WHERE r.resource = f.kind AND pg_temp.document_meets(f.filter, r.document)) AS wanted FROM filter AS f;
SELECT is_empty($$SELECT n, written, found, wanted FROM answer WHERE found <> wanted ORDER BY length(written) LIMIT 3$$, 'SQL finds whom the plain reading finds');
SELECT cmp_ok((SELECT count(*) FROM answer WHERE found <> '' AND array_length(string_to_array(found, ' '), 1) < (SELECT count(*) FROM resource AS r WHERE r.resource = answer.kind)), '>', 300::bigint, 'many filters find some and leave some');
SELECT cmp_ok((SELECT count(*) FROM answer WHERE filter::text LIKE '%"element"%' AND found <> ''), '>', 50::bigint, 'also those with brackets');
SELECT is((SELECT count(DISTINCT x.op) FROM (SELECT jsonb_path_query(filter, 'strict $.**.op') AS op FROM filter) AS x), 14::bigint, 'every operator was tried');

-- Brackets of paths over elements.
CREATE TEMP TABLE bracket AS SELECT n, pg_temp.random_filter('User', 'emails', 3) AS filter, pg_temp.random_element() AS element FROM generate_series(1, 1500) AS n;
CREATE TEMP TABLE bracket_answer AS SELECT b.*, i.fault, i.matches AS found, pg_temp.document_meets(b.filter, b.element) AS wanted, p.path
	FROM bracket AS b, LATERAL (SELECT format('emails[%s]', pg_temp.write_filter(b.filter)) AS path OFFSET 0) AS p, mindtickle.scim_inspect_path('User', p.path, b.element) AS i;
SELECT is_empty($$SELECT path, element, fault, found, wanted FROM bracket_answer WHERE found IS DISTINCT FROM wanted ORDER BY length(path) LIMIT 3$$, 'an element meets brackets as it meets the plain reading');
SELECT cmp_ok((SELECT least(count(*) FILTER (WHERE found), count(*) FILTER (WHERE NOT found)) FROM bracket_answer), '>', 300::bigint, 'both happens often');

-- Filters that are changed at random.
CREATE FUNCTION pg_temp.mangle(written text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	place int4;
BEGIN
	FOR i IN 1 .. 1 + floor(random() * 3)::int4 LOOP
		place := 1 + floor(random() * length(written))::int4;
		written := overlay(written PLACING pg_temp.pick('', '', '"', '(', ')', '[', ']', ' ', '.', '\', '\u0000', '\ud800', 'é', '😀', E'\x01', '-', '1e9', 'null', 'not (', ' and ', ' or ', 'pr', '$1', ':', chr(1 + floor(random() * 300)::int4))
			FROM place FOR floor(random() * 4)::int4);
	END LOOP;
	RETURN written;
END
$$;
CREATE TEMP TABLE mangled AS SELECT f.kind, pg_temp.mangle(f.written) AS written FROM filter AS f, generate_series(1, 4);
CREATE FUNCTION pg_temp.outcome_of(kind text, written text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := pg_temp.scim_found('sr', kind, written);
BEGIN
	RETURN CASE WHEN found LIKE 'invalidFilter: The filter is not valid at byte %' THEN 'refused' ELSE 'run' END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TEMP TABLE mangled_outcome AS SELECT *, pg_temp.outcome_of(kind, written) AS outcome FROM mangled;
SELECT is_empty($$SELECT * FROM mangled_outcome WHERE outcome NOT IN ('refused', 'run') LIMIT 3$$, 'what was mangled is refused or can be run');
SELECT is((SELECT count(DISTINCT outcome) FROM mangled_outcome), 2::bigint, 'both happens');
SELECT is_empty($$SELECT m.written, i.* FROM mangled AS m, mindtickle.scim_inspect_path(m.kind, pg_temp.mangle('emails[' || m.written || '].value'), '{"value": "a"}') AS i
	WHERE (i.fault IS NULL) = (i.target IS NULL) OR (i.fault IS NULL) <> (i.fault_type IS NULL) LIMIT 3$$, 'a path leads somewhere or is refused');

SELECT * FROM finish();
ROLLBACK;
