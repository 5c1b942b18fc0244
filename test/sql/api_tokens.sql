\set ECHO none
-- Tokens: what mt_create_token makes, what opens a tenant and what does not, how long a proof holds, and that a token's text is found nowhere.
\getenv inputdir PG_ABS_SRCDIR
\i :inputdir/sql/include/session.sql
BEGIN;
\i :inputdir/sql/include/attack.sql
SELECT plan(113);

DROP ROLE IF EXISTS tk_pool, tk_other_pool, tk_admin, tk_writer, tk_analyst, tk_nobody;
CREATE ROLE tk_pool;
CREATE ROLE tk_other_pool;
CREATE ROLE tk_admin;
CREATE ROLE tk_writer;
CREATE ROLE tk_analyst;
CREATE ROLE tk_nobody;
SELECT mt_create_tenant('tk-a', 'A'), mt_create_tenant('tk-b', 'B') \g /dev/null
SELECT mt_grant_tenant('tk-a', 'tk_pool', 'writer', true), mt_grant_tenant('tk-b', 'tk_pool', 'reader', true), mt_grant_tenant('tk-a', 'tk_other_pool', 'reader', true),
	mt_grant_tenant('tk-a', 'tk_admin', 'admin'), mt_grant_tenant('tk-a', 'tk_writer', 'writer'), mt_grant_tenant('tk-a', 'tk_analyst', 'reader') \g /dev/null
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'tk-a', 'a' || i FROM generate_series(1, 3) AS i;
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT 'tk-b', 'b' || i FROM generate_series(1, 5) AS i;

-- Making them.
SELECT pg_temp.as_role('tk_admin', $$SELECT mt_create_token('tk-a', 'first', '{sql}')$$) AS first \gset
SELECT pg_temp.as_role('tk_admin', $$SELECT mt_create_token('tk-a', 'second', '{read,sql,quiz}', '1 hour')$$) AS second \gset
SELECT pg_temp.outcome($$SELECT mt_create_token('tk-b', 'first', '{sql}')$$) AS theirs \gset
SELECT is((SELECT count(DISTINCT t) FROM unnest(ARRAY[:'first', :'second', :'theirs']) AS t WHERE t ~ '^mtk_[0-9a-f]{64}$'), 3::bigint, 'a token is mtk_ and 64 hex digits, another one each time');
SELECT results_eq($$SELECT name, token_hash, scopes, expires_at - now() BETWEEN '59 min' AND '61 min' FROM mindtickle.api_token WHERE tenant_id = 'tk-a' ORDER BY name$$,
	format($$VALUES ('first'::text COLLATE "C", sha256(%L), '{sql}'::text[] COLLATE "C", NULL::bool), ('second', sha256(%L), '{read,sql,quiz}', true)$$, :'first', :'second'), 'what is stored is its SHA-256');
SELECT is((SELECT count(DISTINCT substring(token FROM place FOR 1)) FROM (SELECT mt_create_token('tk-b', 'n' || i, '{scim}') AS token FROM generate_series(1, 60) AS i) AS t, generate_series(5, 68) AS place
	GROUP BY place ORDER BY 1 LIMIT 1) >= 10, true, 'every digit of it differs from token to token');
DELETE FROM mindtickle.api_token WHERE tenant_id = 'tk-b' AND name <> 'first';
SELECT is(pg_temp.as_role(r, s), '42501: permission denied for tenant "tk-a"', r || ' cannot: ' || s) FROM unnest('{tk_writer,tk_analyst,tk_pool,tk_nobody}'::text[]) AS r,
	unnest(ARRAY['SELECT mt_create_token(''tk-a'', ''x'', ''{sql}'')', 'SELECT mt_revoke_token(''tk-a'', ''first'')']) AS s;
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_create_token('tk-b', 'x', '{sql}')$$), '42501: permission denied for tenant "tk-b"', 'nor can an admin for another tenant');
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_revoke_token('tk-b', 'first')$$), '42501: permission denied for tenant "tk-b"', 'or revoke one of it');
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_create_token(NULL, 'x', '{metrics}')$$), '42501: permission denied: mt_create_token without a tenant is for the owner of the extension', 'or for no tenant');
SELECT is(pg_temp.as_role('tk_admin', format('SELECT mt_create_token(''tk-a'', %L, %L, %L)', n, s, i)), e, concat_ws(', ', left(n, 10), s, i))
	FROM (VALUES ('', '{sql}', NULL, '22023: name must have 1 to 100 bytes'), (repeat('n', 101), '{sql}', NULL, '22023: name must have 1 to 100 bytes'),
		(repeat('ü', 51), '{sql}', NULL, '22023: name must have 1 to 100 bytes'), (NULL, '{sql}', NULL, '22023: name and scopes must not be null'), ('x', NULL, NULL, '22023: name and scopes must not be null'),
		('x', '{}', NULL, '22023: scopes must be a list of 1 to 10 scopes'), ('x', '{{sql},{read}}', NULL, '22023: scopes must be a list of 1 to 10 scopes'),
		('x', '{sql,sql,sql,sql,sql,sql,sql,sql,sql,sql,sql}', NULL, '22023: scopes must be a list of 1 to 10 scopes'), ('x', '{metrics}', NULL, '22023: scopes must be of scim, sync, quiz, read, sql'),
		('x', '{sql,NULL}', NULL, '22023: scopes must be of scim, sync, quiz, read, sql'), ('x', '{SQL}', NULL, '22023: scopes must be of scim, sync, quiz, read, sql'),
		('x', '{"sql "}', NULL, '22023: scopes must be of scim, sync, quiz, read, sql'), ('x', '{sql}', '0', '22023: expires_in must be longer than nothing'),
		('x', '{sql}', '-1 day', '22023: expires_in must be longer than nothing'), ('first', '{read}', NULL, '42710: there is a token of this name already')) AS f (n, s, i, e);
SELECT alike(pg_temp.as_role('tk_admin', format('SELECT mt_create_token(''tk-a'', %L, ''{sql}'')', repeat('n', 100))), 'mtk\_%', 'a name of 100 bytes');
SELECT is(pg_temp.outcome($$SELECT mt_create_token(NULL, 'x', '{sql}')$$), '22023: scopes of a token without a tenant can only be metrics', 'a token for no tenant opens none');
SELECT alike(pg_temp.outcome($$SELECT mt_create_token(NULL, 'm', '{metrics}')$$), 'mtk\_%', 'but metrics') ;
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_revoke_token('tk-a', 'none such')$$), '42704: there is no token of this name', 'what is not there cannot be revoked');
SAVEPOINT s;
SELECT count(mt_create_token('tk-a', 'many' || i, '{scim}')) FROM generate_series(1, 97) AS i \g /dev/null
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_create_token('tk-a', 'more', '{sql}')$$), '54000: a tenant can have 100 tokens', 'a hundred are enough');
SELECT is(pg_temp.as_role('tk_admin', $$SELECT mt_revoke_token('tk-a', 'many1') || mt_create_token('tk-a', 'more', '{sql}')$$) ~ '^mtk_', true, 'one less makes room');
ROLLBACK TO s;

-- What a role sees after mt_set_tenant, or all parts of the refusal and the context that is left. Nothing of it stays in force.
CREATE FUNCTION pg_temp.enters(role_name text, tenant text, token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text; message text; detail text; hint text; context text;
BEGIN
	PERFORM set_config('role', role_name, true);
	BEGIN
		PERFORM mt_set_tenant(tenant, token);
		result := 'in: ';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
		result := concat_ws('|', state, message, nullif(detail, ''), nullif(hint, ''), CASE WHEN context ~ 'mtk_' THEN context END, 'left: ');
	END;
	result := result || (SELECT concat_ws(' ', coalesce(mt_current_tenant(), 'none'), string_agg(DISTINCT tenant_id, '+'), count(*)) FROM mindtickle.users);
	RAISE EXCEPTION SQLSTATE 'MT111' USING MESSAGE = result;
EXCEPTION WHEN SQLSTATE 'MT111' THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
	RETURN message;
END
$$;
CREATE FUNCTION pg_temp.refusal(tenant text) RETURNS text LANGUAGE sql AS $$
	SELECT format('42501|permission denied for tenant "%s"|SELECT * FROM mt_whoami() shows the tenants that your role may act for.|left: none 0', tenant)
$$;
SELECT is(pg_temp.enters('tk_pool', 'tk-a', :'first'), 'in: tk-a tk-a 3', 'a token opens its tenant');
SELECT is(pg_temp.enters('tk_pool', 'tk-a', :'second'), 'in: tk-a tk-a 3', 'so does another one beside it');
SELECT is(pg_temp.enters('tk_pool', 'tk-b', :'theirs'), 'in: tk-b tk-b 5', 'the other tenant''s opens that one');
SELECT is(pg_temp.enters('tk_other_pool', 'tk-a', :'first'), 'in: tk-a tk-a 3', 'to every role with a grant');
SELECT is(pg_temp.enters('tk_analyst', 'tk-a', :'first'), 'in: tk-a tk-a 3', 'also one that needs none');
SELECT is(pg_temp.enters('tk_nobody', 'tk-a', :'first'), pg_temp.refusal('tk-a'), 'but to no role without a grant');
SELECT is(pg_temp.enters('tk_other_pool', 'tk-b', :'theirs'), pg_temp.refusal('tk-b'), 'or with one for another tenant');

-- Tokens that are none.
SELECT mt_create_token('tk-a', 'expired', '{sql}', '1 day') AS expired, mt_create_token('tk-a', 'revoked', '{sql}') AS revoked, mt_create_token(NULL, 'metrics', '{metrics}') AS metrics \gset
UPDATE mindtickle.api_token SET expires_at = now() - interval '1 microsecond' WHERE name = 'expired' AND tenant_id = 'tk-a';
SELECT mt_revoke_token('tk-a', 'revoked') \g /dev/null
CREATE TEMP TABLE bad_token (what text, token text);
INSERT INTO bad_token VALUES ('expired', :'expired'), ('revoked', :'revoked'), ('of no tenant', :'metrics'), ('of another tenant', :'theirs'), ('empty', ''), ('NULL', NULL), ('prefix', 'mtk_'),
	('upper case', upper(:'first')), ('upper prefix', 'MTK_' || substr(:'first', 5)), ('upper digits', 'mtk_' || upper(substr(:'first', 5))), ('without prefix', substr(:'first', 5)),
	('blank before', ' ' || :'first'), ('blank behind', :'first' || ' '), ('newline behind', :'first' || E'\n'), ('return behind', :'first' || E'\r\n'), ('tab before', E'\t' || :'first'),
	('blank within', overlay(:'first' PLACING ' ' FROM 30)), ('zero width', :'first' || U&'\200B'), ('twice', :'first' || :'first'), ('two with a comma', :'first' || ',' || :'second'),
	('one digit more', :'first' || '0'), ('1 MB', :'first' || repeat('0', 1000000)), ('1 MB of blanks', repeat(' ', 1000000) || :'first'), ('quoted', quote_literal(:'first')), ('wildcard', 'mtk_%'),
	('its hash', encode(sha256(:'first'), 'hex')), ('prefix and its hash', 'mtk_' || encode(sha256(:'first'), 'hex')), ('raw', encode(decode(substr(:'first', 5), 'hex'), 'escape')), ('its name', 'first'),
	('tenant', 'tk-a'), ('SQL', ''' OR true --'), ('wide digits', translate(:'first', '0123456789', '０１２３４５６７８９'));
INSERT INTO bad_token SELECT 'its number ' || token_id, token_id::text FROM mindtickle.api_token WHERE tenant_id = 'tk-a';
INSERT INTO bad_token SELECT 'scope ' || s, mt_create_token('tk-a', 'scope ' || s, ARRAY[s]) FROM unnest('{scim,sync,quiz,read}'::text[]) AS s;
INSERT INTO bad_token SELECT 'all scopes but sql', mt_create_token('tk-a', 'but sql', '{scim,sync,quiz,read}');
INSERT INTO bad_token SELECT 'cut to ' || i, left(:'first', i) FROM generate_series(1, 67) AS i;
INSERT INTO bad_token SELECT 'cut at the left ' || i, right(:'first', i) FROM generate_series(1, 67) AS i;
-- The digit's bits, and those of its letter.
INSERT INTO bad_token SELECT format('digit %s bit %s', p, b), overlay(:'first' PLACING to_hex(('x' || lpad(substr(:'first', p, 1), 8, '0'))::bit(32)::int # (1 << b)) FROM p) FROM generate_series(5, 68) AS p, generate_series(0, 3) AS b;
INSERT INTO bad_token SELECT format('letter %s bit %s', p, b), overlay(:'first' PLACING chr(ascii(substr(:'first', p, 1)) # (1 << b)) FROM p) FROM generate_series(1, 68) AS p, generate_series(0, 6) AS b
	WHERE ascii(substr(:'first', p, 1)) # (1 << b) > 0;
SELECT cmp_ok((SELECT count(DISTINCT token) FROM bad_token), '>=', 700::bigint, 'so many are tried');
SELECT is_empty($$SELECT r, b.what, e.result FROM bad_token AS b, unnest('{tk_pool,tk_other_pool,tk_nobody}'::text[]) AS r, pg_temp.enters(r, 'tk-a', b.token) AS e (result)
	WHERE e.result <> pg_temp.refusal('tk-a')$$, 'all are refused in one and the same text, which tells nothing, and leave no context');
SELECT is_empty($$SELECT b.what, e.result FROM bad_token AS b, pg_temp.enters('tk_pool', 'tk-0', b.token) AS e (result) WHERE e.result <> pg_temp.refusal('tk-0')$$, 'as for a tenant that does not exist');
SELECT is(pg_temp.enters('tk_pool', 'tk-0', :'first'), pg_temp.refusal('tk-0'), 'which a right one of another tenant does not open either');
SELECT is_empty($$SELECT r, b.what, e.result FROM bad_token AS b, unnest('{tk_admin,tk_analyst}'::text[]) AS r, pg_temp.enters(r, 'tk-a', b.token) AS e (result)
	WHERE b.token IS NOT NULL AND replace(e.result, 'left: tk-a tk-a 3', 'left: none 0') <> pg_temp.refusal('tk-a')$$, 'a wrong one is refused to roles that need none');
SELECT is(pg_temp.enters('none', 'tk-a', 'mtk_wrong') ~ '^42501\|permission denied for tenant "tk-a"', true, 'and to the owner');
SELECT is(pg_temp.enters('tk_pool', 'tk-a', b.token), 'in: tk-a tk-a 3', 'after all that the right one still does') FROM (SELECT :'first') AS b (token);
SELECT is_empty(format($$SELECT n, e.result FROM unnest(ARRAY['', '%%', 'tk%%', 'TK-A', 'tk-a''; SELECT 1; --', '"tk-a"', ' tk-a', 'tk-a ', E'tk-a\n', 'tk-' || repeat('a', 30), repeat('a', 1000000), %1$L]) AS n, pg_temp.enters('tk_pool', n, %1$L) AS e (result)
	WHERE e.result <> '22023|invalid tenant id|A tenant id has 1 to 32 characters of a-z, 0-9, "_" and "-", and begins with a letter or digit.|left: none 0'$$, :'first'), 'names that are none are refused before the token counts, and not repeated');
SELECT is(pg_temp.enters('tk_pool', NULL, :'first'), '22004|the tenant must not be null|left: none 0', 'a NULL as tenant');

-- How far a proof reaches: its tenant, its transaction, and as long as the token lives.
\set look 'SELECT concat_ws('' '', coalesce(mt_current_tenant(), ''none''), string_agg(DISTINCT tenant_id, ''+''), count(*)) AS seen FROM mindtickle.users'
SAVEPOINT s;
SET LOCAL ROLE tk_pool;
SET LOCAL mindtickle.tenant = 'tk-a';
:look \gset before_
SELECT mt_set_tenant('tk-a', :'first') \g /dev/null
:look \gset shown_
SET LOCAL mindtickle.tenant = 'tk-b';
:look \gset other_
SELECT set_config('mindtickle.tenant', 'tk-0', false) \g /dev/null
:look \gset absent_
RESET mindtickle.tenant;
:look \gset reset_
SET LOCAL mindtickle.tenant = 'tk-a';
:look \gset back_
SET LOCAL ROLE tk_other_pool;
:look \gset other_role_
SET LOCAL ROLE tk_nobody;
:look \gset nobody_
RESET ROLE;
SELECT is(ARRAY[:'before_seen', :'shown_seen', :'other_seen', :'absent_seen', :'reset_seen', :'back_seen', :'other_role_seen', :'nobody_seen'],
	'{none 0,tk-a tk-a 3,none 0,none 0,none 0,tk-a tk-a 3,tk-a tk-a 3,none 0}'::text[], 'the setting alone opens nothing, with a proof its tenant alone, and to nobody without a grant');
ROLLBACK TO s;
SELECT is(current_setting('mindtickle.token_id'), '', 'the end of the subtransaction takes the proof away');
SAVEPOINT s;
SET LOCAL ROLE tk_pool;
SELECT mt_set_tenant('tk-a', :'first') \g /dev/null
SAVEPOINT inside;
SELECT mt_set_tenant('tk-b', :'theirs') \g /dev/null
:look \gset second_
ROLLBACK TO inside;
:look \gset first_again_
DO $$ BEGIN PERFORM mt_set_tenant('tk-b'); EXCEPTION WHEN insufficient_privilege THEN END $$;
:look \gset after_refusal_
DO $$ BEGIN PERFORM mt_set_tenant('tk-b', 'mtk_wrong'); EXCEPTION WHEN insufficient_privilege THEN END $$;
:look \gset after_wrong_
SELECT mt_set_tenant('tk-b', :'theirs') \g /dev/null
RELEASE inside;
:look \gset released_
SET LOCAL mindtickle.tenant = 'tk-a';
:look \gset over_
RESET ROLE;
SELECT is(ARRAY[:'second_seen', :'first_again_seen', :'after_refusal_seen', :'after_wrong_seen', :'released_seen', :'over_seen'],
	'{tk-b tk-b 5,tk-a tk-a 3,tk-a tk-a 3,tk-a tk-a 3,tk-b tk-b 5,none 0}'::text[], 'one proof at a time: ROLLBACK TO brings the former back, a refused one changes nothing, the next one replaces it');
ROLLBACK TO s;
SAVEPOINT s;
SET LOCAL ROLE tk_pool;
SELECT mt_set_tenant('tk-a', :'first') \g /dev/null
SELECT mt_provision_user('tk-a', '{"userId": "a1", "name": "Zoë"}') AS wrote \gset
SELECT learners AS counted FROM mt_readiness('tk-a') \gset
RESET ROLE;
SELECT is(ARRAY[:'wrote', :'counted']::text[], '{a1,3}'::text[], 'functions do with a proof what the grant allows');
SELECT is(ARRAY[pg_temp.as_role('tk_pool', $$SELECT mt_create_token('tk-a', 'x', '{sql}')$$), pg_temp.as_role('tk_other_pool', $$SELECT mt_provision_user('tk-a', '{"userId": "a1"}')$$),
	pg_temp.as_role('tk_pool', $$SELECT mt_readiness('tk-b')$$), pg_temp.as_role('tk_nobody', $$SELECT mt_readiness('tk-a')$$)],
	'{"42501: permission denied for tenant \"tk-a\"","42501: permission denied for tenant \"tk-a\"","42501: permission denied for tenant \"tk-b\"","42501: permission denied for tenant \"tk-a\""}'::text[], 'and no more');
SELECT mt_revoke_token('tk-a', 'first') \g /dev/null
SELECT is(ARRAY[pg_temp.as_role('tk_pool', 'SELECT count(*) FROM mt_users'), pg_temp.as_role('tk_pool', $$SELECT mt_readiness('tk-a')$$), pg_temp.enters('tk_pool', 'tk-a', :'first'), pg_temp.enters('tk_pool', 'tk-a', :'second')],
	ARRAY['0', '42501: permission denied for tenant "tk-a"', pg_temp.refusal('tk-a'), 'in: tk-a tk-a 3'], 'a revoked one proves nothing more from the next statement on; the other one lives');
ROLLBACK TO s;
SELECT is(pg_temp.enters('tk_pool', 'tk-a', :'first'), 'in: tk-a tk-a 3', 'a revocation that is rolled back did not happen');
SAVEPOINT s;
SET LOCAL ROLE tk_pool;
SELECT mt_set_tenant('tk-a', :'first') \g /dev/null
RESET ROLE;
UPDATE mindtickle.api_token SET scopes = '{read}' WHERE tenant_id = 'tk-a' AND name = 'first';
SELECT is(pg_temp.as_role('tk_pool', 'SELECT count(*) FROM mt_users'), '0', 'one whose scope sql is taken neither');
SELECT mt_revoke_token('tk-a', 'first') \g /dev/null
SELECT mt_create_token('tk-a', 'first', '{sql}') AS made_again \gset
SELECT is(pg_temp.as_role('tk_pool', 'SELECT count(*) FROM mt_users'), '0', 'nor does one made again under its name revive the proof');
SELECT is(ARRAY[pg_temp.enters('tk_pool', 'tk-a', :'first'), pg_temp.enters('tk_pool', 'tk-a', :'made_again')], ARRAY[pg_temp.refusal('tk-a'), 'in: tk-a tk-a 3'], 'which has another text');
ROLLBACK TO s;
SAVEPOINT s;
SELECT mt_drop_tenant('tk-a') \g /dev/null
SELECT mt_create_tenant('tk-a', 'A again'), mt_grant_tenant('tk-a', 'tk_pool', 'reader', true) \g /dev/null
SELECT is(pg_temp.enters('tk_pool', 'tk-a', :'first'), pg_temp.refusal('tk-a'), 'a tenant made again under an old name does not take its tokens');
ROLLBACK TO s;

-- Expiry is compared at each use: within one transaction, with nothing written in between.
SAVEPOINT s;
SELECT mt_create_token('tk-a', 'short', '{sql}', '3 s') AS short \gset
SET LOCAL plan_cache_mode = force_generic_plan;
PREPARE kept AS SELECT concat_ws(' ', coalesce(mt_current_tenant(), 'none'), string_agg(DISTINCT tenant_id, '+'), count(*)) AS seen FROM mindtickle.users;
SET LOCAL ROLE tk_pool;
SELECT mt_set_tenant('tk-a', :'short') \g /dev/null
EXECUTE kept \gset living_
RESET ROLE;
SELECT pg_sleep(extract(epoch FROM expires_at - clock_timestamp()) + 0.05) FROM mindtickle.api_token WHERE tenant_id = 'tk-a' AND name = 'short' \g /dev/null
SET LOCAL ROLE tk_pool;
EXECUTE kept \gset expired_
:look \gset expired_anew_
RESET ROLE;
SELECT is(ARRAY[:'living_seen', :'expired_seen', :'expired_anew_seen', pg_temp.as_role('tk_pool', $$SELECT mt_readiness('tk-a')$$), pg_temp.enters('tk_pool', 'tk-a', :'short')],
	ARRAY['tk-a tk-a 3', 'none 0', 'none 0', '42501: permission denied for tenant "tk-a"', pg_temp.refusal('tk-a')], 'a proof ends when its token expires');
ROLLBACK TO s;

-- Nothing can be left in the session that runs, or shows its rows, for whoever comes next: by the role itself or one that is a member, whether it
-- inherits or not; in a block, a function, dynamic SQL; with the rights of somebody else.
SAVEPOINT s;
DEALLOCATE kept;
CREATE ROLE tk_member IN ROLE tk_pool;
CREATE ROLE tk_heir NOINHERIT IN ROLE tk_member;
CREATE ROLE tk_super SUPERUSER IN ROLE tk_pool;
CREATE FUNCTION public.tk_prepare() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PREPARE "S_1" AS SELECT 1; END $$;
CREATE FUNCTION public.tk_pools() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE 'PREPARE "S_1" AS SELECT 1'; END $$;
ALTER FUNCTION public.tk_pools() OWNER TO tk_pool;
CREATE FUNCTION public.tk_owners() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE 'PREPARE "S_1" AS SELECT 1'; END $$;
CREATE TEMP TABLE leaving (command text, statement text);
INSERT INTO leaving VALUES
	('PREPARE', 'PREPARE "S_1" (text, text) AS SELECT mt_set_tenant($1, $2), set_config(''x.tok'', $2, false) IS NULL'), ('PREPARE', 'PREPARE "S_1" AS VALUES (1)'),
	('PREPARE', 'PREPARE "S_1" AS DELETE FROM mindtickle.users'), ('PREPARE', 'DO $f$ BEGIN PREPARE "S_1" AS SELECT 1; END $f$'),
	('PREPARE', 'DO $f$ BEGIN EXECUTE ''PREPARE "S_1" AS SELECT 1''; END $f$'), ('PREPARE', 'SELECT public.tk_prepare()'), ('PREPARE', 'SELECT public.tk_pools()'),
	('DECLARE CURSOR WITH HOLD', 'DECLARE held CURSOR WITH HOLD FOR SELECT * FROM mt_users'),
	('DECLARE CURSOR WITH HOLD', 'DO $f$ BEGIN EXECUTE ''DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT 1''; END $f$');
SELECT is(pg_temp.as_role(r, l.statement), '42501: permission denied for ' || l.command, r || ' cannot: ' || l.statement) FROM unnest('{tk_pool,tk_member,tk_heir}'::text[]) AS r, leaving AS l;
SELECT is(pg_temp.as_role('tk_analyst', 'SELECT public.tk_pools()'), '42501: permission denied for PREPARE', 'nor can another with the rights of the first');
SELECT is(pg_temp.rows_as('tk_pool', 'DECLARE now CURSOR FOR SELECT 1'), 'rows 0', 'a cursor that ends with the transaction is no matter');
SELECT is((SELECT string_agg(name, ' ') FROM (SELECT name FROM pg_prepared_statements UNION ALL SELECT name FROM pg_cursors WHERE is_holdable) AS l), NULL, 'nothing is there');
DO $$
DECLARE
	state text; message text; detail text; hint text;
BEGIN
	SET LOCAL ROLE tk_heir;
	PREPARE "S_1" AS SELECT 1;
EXCEPTION WHEN insufficient_privilege THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	PERFORM set_config('tk.refusal', concat_ws(E'\n', message, detail, hint), false);
END
$$;
SELECT is(current_setting('tk.refusal'), E'permission denied for PREPARE\nRole "tk_heir" has a grant that needs a token, so its session may serve another tenant next, to which nothing may be left.\n'
	'Statements that the driver prepares by protocol, and cursors that end with the transaction, are not concerned.', 'the refusal in full');
-- The session's own role counts as well as the one in force.
SET LOCAL SESSION AUTHORIZATION tk_heir;
SELECT pg_temp.as_role('tk_heir', 'SELECT public.tk_owners()') AS owners, pg_temp.as_role('tk_pool', 'PREPARE "S_1" AS SELECT 1') AS pools \gset
RESET SESSION AUTHORIZATION;
SELECT is(ARRAY[:'owners', :'pools'], array_fill('42501: permission denied for PREPARE'::text, '{2}'), 'whatever role it has taken on');
SELECT is(concat_ws(', ', pg_temp.rows_as(r, 'PREPARE "' || r || '" AS SELECT 1'), pg_temp.rows_as(r, 'DECLARE "' || r || '" CURSOR WITH HOLD FOR SELECT 1')), 'rows 0, rows 0', r || ' may')
	FROM unnest('{tk_analyst,tk_admin,tk_nobody,tk_super}'::text[]) AS r;
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM pg_prepared_statements), 'tk_admin tk_analyst tk_nobody tk_super', 'and has');
DEALLOCATE ALL;
SELECT mt_revoke_tenant('tk-a', 'tk_pool'), mt_revoke_tenant('tk-b', 'tk_pool') \g /dev/null
SELECT is(pg_temp.rows_as('tk_pool', 'PREPARE "S_1" AS SELECT 1'), 'rows 0', 'so may one whose grants have gone');
DEALLOCATE ALL;
SELECT mt_grant_tenant('tk-a', 'pg_database_owner', 'reader', true) \g /dev/null
SELECT is(pg_temp.rows_as('tk_nobody', 'PREPARE "S_1" AS SELECT 1'), 'rows 0', 'a grant of whoever owns the database concerns no other');
DEALLOCATE ALL;
ROLLBACK TO s;

-- Parallel workers have the proof of their leader.
SAVEPOINT s;
INSERT INTO mindtickle.users (tenant_id, user_id) SELECT CASE i % 2 WHEN 0 THEN 'tk-a' ELSE 'tk-b' END, 'p' || i FROM generate_series(1, 6000) AS i;
ANALYZE mindtickle.users;
CREATE FUNCTION pg_temp.workers_of(statement text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	line text;
	workers int := 0;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || statement LOOP
		workers := workers + coalesce(substring(line FROM 'Workers Launched: ([0-9]+)')::int, 0);
	END LOOP;
	RETURN workers;
END
$$;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL min_parallel_index_scan_size = 0;
SET LOCAL parallel_leader_participation = off;
SET LOCAL ROLE tk_pool;
SELECT mt_set_tenant('tk-a', :'second') \g /dev/null
SELECT pg_temp.workers_of('SELECT count(*) FROM mindtickle.users') AS workers \gset
:look \gset parallel_
SET LOCAL mindtickle.tenant = 'tk-b';
:look \gset parallel_other_
RESET ROLE;
SELECT cmp_ok(:workers, '>=', 1, 'workers run');
SELECT is(ARRAY[:'parallel_seen', :'parallel_other_seen'], '{tk-a tk-a 3003,none 0}'::text[], 'and see what their leader may');
ROLLBACK TO s;

-- The text is nowhere to be read while it is in force. Given as a literal it is in the statement, which the function blots out.
SAVEPOINT s;
PREPARE kept (text) AS SELECT mt_set_tenant('tk-a', $1);
SET LOCAL ROLE tk_pool;
EXECUTE kept (:'first') \g /dev/null
SELECT (SELECT string_agg(s::text, E'\n') FROM pg_settings AS s) AS settings, (SELECT string_agg(s::text, '') FROM pg_prepared_statements AS s) AS prepared \gset
RESET ROLE;
SELECT is(pg_temp.as_role(r, s), '42501: must be superuser or have privileges of pg_read_all_settings to examine "mindtickle.token_id"', r || ': ' || s)
	FROM unnest('{tk_pool,tk_admin}'::text[]) AS r, unnest(ARRAY['SHOW mindtickle.token_id', 'SELECT current_setting(''mindtickle.token_id'')']) AS s;
SELECT is(current_setting('mindtickle.token_id') ~ '^[0-9]{1,19}$', true, 'for the owner the proof is a number');
SELECT is((SELECT count(*) FROM unnest(ARRAY[:'first', substr(:'first', 5), encode(sha256(:'first'), 'hex')]) AS t WHERE strpos(:'settings' || :'prepared', t) > 0), 0::bigint, 'no column of pg_settings has the token or its hash');
SELECT is((SELECT count(*) FROM pg_settings AS s WHERE s::text ~ 'mtk_'), 0::bigint, 'for the owner neither');
CREATE TEMP TABLE place AS SELECT c.oid::regclass AS relation FROM pg_class AS c JOIN extension_object AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid WHERE c.relkind = 'r';
CREATE FUNCTION pg_temp.places_with(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	relation regclass;
	found bool;
	places text := '';
BEGIN
	FOR relation IN SELECT p.relation FROM place AS p LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s AS r WHERE strpos(r::text, %L) > 0)', relation, what) INTO found;
		IF found THEN
			places := concat_ws(' ', places, relation);
		END IF;
	END LOOP;
	RETURN trim(places);
END
$$;
SELECT is(ARRAY[pg_temp.places_with(:'first'), pg_temp.places_with(substr(:'first', 5)), pg_temp.places_with(encode(sha256(:'first'), 'hex'))], '{"","",mindtickle.api_token}'::text[], 'of all tables one has the hash, and none the token');
ROLLBACK TO s;
WITH entered AS MATERIALIZED (SELECT mt_set_tenant('tk-a', :'first')) SELECT (SELECT a.query FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()) AS shown FROM entered \gset
SELECT alike(:'shown'::text, 'WITH entered AS MATERIALIZED (SELECT mt\_set\_tenant(''tk-a'', ''mtk\_***'')) SELECT%', 'pg_stat_activity shows a statement without the token that it was given as a literal');

SELECT * FROM finish();
ROLLBACK;
