\set ECHO none
-- What identity providers look for is found by an index, under row security, whatever else the filter says and whether the plan knows the values.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
\i :inputdir/sql/include/scim_find.sql
BEGIN;

SELECT mt_create_tenant('sp', 'SCIM plans'), mt_create_tenant('sp-other', 'Another as large') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id, user_name, email, scim_external_id, manager_id, department, attributes)
	SELECT t.tenant, 'u' || i, format('User%s@Example.com', i), format('User%s@Example.com', i), 'e' || i, 'u' || i / 10, 'd' || i % 10,
		jsonb_build_object('scim', jsonb_build_object('displayName', 'User ' || i, 'emails', jsonb_build_array(jsonb_build_object('value', format('User%s@Example.com', i), 'type', 'work', 'primary', true))
			|| CASE WHEN i % 20 = 0 THEN jsonb_build_array(jsonb_build_object('value', format('Home%s@Example.com', i), 'type', 'home')) ELSE '[]' END))
	FROM unnest(ARRAY['sp', 'sp-other']) AS t (tenant), generate_series(1, 10000) AS i;
INSERT INTO mindtickle.team (tenant_id, team_id, name, source, scim_external_id)
	SELECT t.tenant, 'g' || i, 'Group ' || i, 'scim', 'eg' || i FROM unnest(ARRAY['sp', 'sp-other']) AS t (tenant), generate_series(1, 2000) AS i;
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source)
	SELECT t.tenant, 'g' || 1 + i % 2000, 'u' || i, 'scim' FROM unnest(ARRAY['sp', 'sp-other']) AS t (tenant), generate_series(1, 10000) AS i
	UNION ALL SELECT t.tenant, 'g1', 'u' || i, 'scim' FROM unnest(ARRAY['sp', 'sp-other']) AS t (tenant), generate_series(1, 10000) AS i WHERE i % 2000 <> 0;
ANALYZE mindtickle.users, mindtickle.team, mindtickle.team_member, mindtickle.user_address;

CREATE TEMP TABLE lookup (place int4 GENERATED ALWAYS AS IDENTITY, resource text, filter text, ids text);
INSERT INTO lookup (resource, filter, ids) VALUES
	('User', 'userName eq "USER77@example.com"', 'u77'),
	('User', 'userName eq "nobody"', ''),
	('User', 'externalId eq "e78"', 'u78'),
	('User', 'id eq "u79"', 'u79'),
	('User', 'emails eq "user80@EXAMPLE.com"', 'u80'),
	('User', 'emails.value eq "HOME80@example.com"', 'u80'),
	('User', 'emails[type eq "work"].value eq "user81@example.com"', 'u81'),
	('User', 'emails[type eq "home"].value eq "user81@example.com"', ''),
	('User', 'emails[type eq "home" and value eq "home100@example.com"]', 'u100'),
	('User', 'emails[value eq "user82@example.com" and not (primary eq false)] and active eq true', 'u82'),
	('User', 'userName eq "user83@example.com" and active eq true', 'u83'),
	('User', 'active eq true and (userName eq "user84@example.com" and displayName pr)', 'u84'),
	('User', 'userName eq "user85@example.com" or externalId eq "e86" or emails.value eq "home120@example.com" or id eq "u87"', 'u120 u85 u86 u87'),
	('User', 'groups.value eq "g88"', 'u2087 u4087 u6087 u8087 u87'),
	('User', 'groups[value eq "g1" and type eq "direct"] and userName eq "user89@example.com"', 'u89'),
	('Group', 'displayName eq "GROUP 90"', 'g90'),
	('Group', 'externalId eq "eg91"', 'g91'),
	('Group', 'id eq "g92"', 'g92'),
	('Group', 'id eq "g1" and members eq "u93"', 'g1'),
	('Group', 'id eq "g93" and members[value eq "u93"]', ''),
	('Group', 'members.value eq "u94"', 'g1 g95'),
	('Group', 'members eq "u95" or displayName eq "group 97"', 'g1 g96 g97');

SELECT plan((SELECT count(*) FROM lookup)::int4 * 3 + 34);

CREATE FUNCTION pg_temp.plan_of(resource text, filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || (pg_temp.scim_prepare('sp', resource, filter)).statement LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN lines;
END
$$;
-- A plan that goes through a table, or through all that an index has of a tenant.
CREATE FUNCTION pg_temp.whole_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'Seq Scan|Index Cond: \(tenant_id' $$;
GRANT SELECT ON lookup TO mindtickle_service;
SET LOCAL ROLE mindtickle_service;
SET LOCAL mindtickle.tenant = 'sp';
SET LOCAL plan_cache_mode = force_custom_plan;
SELECT doesnt_match(pg_temp.plan_of(resource, filter), pg_temp.whole_tenant(), format('an index for %s', filter)) FROM lookup ORDER BY place;
SELECT is(pg_temp.scim_find('sp', resource, filter), ids, filter) FROM lookup ORDER BY place;
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT doesnt_match(pg_temp.plan_of(resource, filter), pg_temp.whole_tenant(), format('an index for %s, whatever the values', filter)) FROM lookup ORDER BY place;
SELECT matches(pg_temp.plan_of('User', 'userName co "77@"'), pg_temp.whole_tenant(), 'what must look at everybody does, or the above would say nothing');
SELECT matches(pg_temp.plan_of('User', 'userName eq "x"'), 'Index Cond: \(\(tenant_id = .*\) AND \(user_name_key =', 'the name is looked up, not compared with everybody''s');
SELECT matches(pg_temp.plan_of('User', 'emails.value eq "x"'), 'users_email_key_idx(.|\n)*users_pkey', 'addresses are in two places');


-- Many comparisons: those of one list are one look at it, and what would be asked of too many users is refused before it is.
RESET ROLE;
CREATE FUNCTION pg_temp.many(comparison text, word text, count int4 DEFAULT 500) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(replace(comparison, '{}', i::text), ' ' || word || ' ' ORDER BY i) FROM generate_series(1, count) AS i $$;
CREATE FUNCTION pg_temp.asked(resource text, filter text) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', a.status, a.body::jsonb ->> 'scimType', a.body::jsonb ->> 'totalResults')
	FROM mt_scim_request('sp', 'POST', format('/%s/.search', resource), NULL, NULL, jsonb_build_object('schemas', '["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]'::jsonb, 'filter', filter, 'count', 0)::text) AS a
$$;
CREATE FUNCTION pg_temp.looks(filter text) RETURNS int4 LANGUAGE sql AS $$ SELECT regexp_count(i.condition, '\(SELECT true FROM') FROM mindtickle.scim_inspect_filter('User', filter) AS i $$;
SELECT is(pg_temp.looks(pg_temp.many('groups.display co "x{}"', 'or')), 1, 'one look at the groups');
SELECT is(pg_temp.looks('groups.display co "a" or title pr or emails[type eq "b" and primary eq true] or groups[display sw "c"] or emails.type ew "d"'), 2, 'one at each list');
SELECT is(pg_temp.looks('groups.display co "a" and groups.display co "b" or groups.display ne "c"'), 4, 'but not where one element must not do for both');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups.display ew " {}"', 'or', 60)), '200 10000', 'many comparisons of one list');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups.display ew "{}"', 'and')), '400 tooMany', 'too many');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups.display ew "{}"', 'and') || ' and userName eq "user1@example.com"'), '400 invalidFilter', 'one more than there may be');
SELECT is(pg_temp.asked('Users', replace(pg_temp.many('groups.display ew "{}"', 'and'), 'groups.display ew "500"', 'userName eq "user1@example.com"')), '200 0', 'but not of one user');
SELECT is(pg_temp.asked('Users', pg_temp.many('externalId eq "e{}"', 'or')), '200 500', 'nor where each is found by an index');
SELECT is(pg_temp.asked('Groups', pg_temp.many('displayName ew " {}"', 'or')), '200 500', 'nor of few groups');
-- An index that finds many is no reason to ask anything of them; elements of lists count as many as they are.
UPDATE mindtickle.users SET scim_external_id = 'same' WHERE tenant_id = 'sp' AND substr(user_id, 2)::int4 > 5000;
SELECT is(pg_temp.asked('Users', 'externalId eq "same"'), '200 5000', 'many of one externalId');
SELECT is(pg_temp.asked('Users', 'externalId eq "same" and ' || pg_temp.many('emails.display ew "{}"', 'and', 499)), '400 tooMany', 'are too many for as many comparisons');
SELECT is(pg_temp.asked('Users', 'externalId eq "e78" and ' || pg_temp.many('emails.display ew "{}"', 'and', 499)), '200 0', 'one is not');
SELECT is(pg_temp.asked('Users', '(externalId eq "e78" or emails.value eq "user79@example.com") and (title pr or not (userName sw "x")) and ' || pg_temp.many('groups.display ne "{}"', 'and', 400)), '200 2', 'nor two that are found by different indexes');
SELECT is(pg_temp.asked('Groups', pg_temp.many('members.display ew "{}x"', 'and')), '400 tooMany', 'too many members');
SELECT is(pg_temp.asked('Groups', 'id eq "g2" and ' || pg_temp.many('members.display ew "{}x"', 'and', 499)), '200 0', 'not those of one group');
SELECT is(pg_temp.asked('Groups', 'id eq "g1" and ' || pg_temp.many('not (members.display eq "z{}")', 'and', 400)), '400 tooMany', 'but those of one that is large');
SELECT is(pg_temp.asked('Groups', 'id eq "g1" and not (members.display eq "z1")'), '200 1', 'which may be asked less');
SELECT is(pg_temp.asked('Groups', pg_temp.many('members.value eq "u{}"', 'or', 20)), '200 21', 'nor where each is found by an index');
SELECT is(pg_temp.asked('Groups', pg_temp.many('members.value eq "u{}"', 'or', 21)), '400 tooMany', 'of which not more are looked up');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups[value eq "g1" and display eq "{}"]', 'or', 21)), '400 tooMany', 'each of which may have many elements');
SELECT is(pg_temp.asked('Users', 'id eq "u1" and ' || pg_temp.many('not (groups eq "g1")', 'and', 21)), '400 tooMany', 'nor for one user');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups eq "g1"', 'or', 20)), '200 10000', 'of a large group as often');
SELECT is(pg_temp.asked('Groups', 'members.display ew " 77"'), '200 2', 'one comparison of each member');
-- An index that is asked for two lists at once goes through all pairs of them.
CREATE FUNCTION pg_temp.looked_up(filter text) RETURNS int4 LANGUAGE sql AS $$ SELECT regexp_count(i.condition, 'ANY \(ARRAY') FROM mindtickle.scim_inspect_filter('User', filter) AS i $$;
SELECT is(pg_temp.looked_up(filter), looked_up, filter) FROM (VALUES (1, 'groups eq "a" and groups eq "b" and emails eq "c"', 1), (2, 'groups eq "a" or groups eq "b"', 2), (3, 'title pr or groups eq "b"', 0), (4, 'not (groups eq "a")', 0),
	(5, '(groups eq "a" or groups eq "b") and (groups eq "c" or userName eq "d")', 2), (6, 'title pr and (active eq true and groups[value eq "a"])', 1)) AS v (place, filter, looked_up) ORDER BY place;
SELECT is(pg_temp.asked('Users', pg_temp.many('groups eq "g1" and groups eq "g{}"', 'and', 5)), '200 0', 'which are all of the tenant''s users five times');
SELECT is(pg_temp.asked('Users', pg_temp.many('groups eq "g1"', 'and', 20)), '200 10000', 'or twenty times');
SELECT * FROM finish();
ROLLBACK;
