# The install script adopts nothing that was there before and runs nothing of anybody else's. Read: every statement of it is audited, after the audit
# has found each weakness that is planted here. Run: CREATE EXTENSION in a schema that an ordinary role has filled with operators and functions which
# fit better than the built-in ones; none of them runs, then or when the extension is used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::InstallScript;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What the audit must find, and one statement for each.
my @weak = (
	[ 'OR REPLACE', 'CREATE OR REPLACE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE c AS \'x\', \'y\'' ],
	[ 'OR REPLACE', 'CREATE OR REPLACE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1' ],
	[ 'IF NOT EXISTS', 'CREATE SCHEMA IF NOT EXISTS mindtickle' ],
	[ 'IF NOT EXISTS', 'CREATE TABLE IF NOT EXISTS mindtickle.t (a pg_catalog.int4)' ],
	[ 'IF NOT EXISTS', 'CREATE INDEX IF NOT EXISTS i ON mindtickle.t (a)' ],
	[ 'SET for the script', 'SET search_path = pg_catalog' ],
	[ 'a function without a schema', 'CREATE FUNCTION f() RETURNS pg_catalog.int4 LANGUAGE c AS \'x\', \'y\'' ],
	[ 'an argument without the schema of its type', 'CREATE FUNCTION mindtickle.f(a pg_catalog.int4, b text) RETURNS pg_catalog.int4 LANGUAGE c AS \'x\', \'y\'' ],
	[ 'a result without the schema of its type', 'CREATE FUNCTION mindtickle.f() RETURNS text LANGUAGE c AS \'x\', \'y\'' ],
	[ 'a result without the schema of its type', 'CREATE FUNCTION mindtickle.f() RETURNS SETOF record LANGUAGE c AS \'x\', \'y\'' ],
	[ 'operator \|\| without its schema', 'CREATE FUNCTION mindtickle.f(a pg_catalog.text DEFAULT \'a\' || \'b\') RETURNS pg_catalog.int4 LANGUAGE c AS \'x\', \'y\'' ],
	[ 'no SET search_path = pg_catalog, pg_temp', 'CREATE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE sql AS $$ SELECT 1 $$' ],
	[ 'no SET search_path = pg_catalog, pg_temp', 'CREATE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN RETURN 1; END $$' ],
	[ 'no SET search_path = pg_catalog, pg_temp', 'CREATE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE sql SET search_path = pg_catalog, public, pg_temp AS $$ SELECT 1 $$' ],
	[ 'language plperlu', 'CREATE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE plperlu SET search_path = pg_catalog, pg_temp AS $$ 1 $$' ],
	[ 'SECURITY DEFINER without a comment that says why', 'CREATE FUNCTION mindtickle.f() RETURNS pg_catalog.int4 LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT 1 $$' ],
	[ 'a view without security_invoker', 'CREATE VIEW mindtickle.v AS SELECT 1' ],
	[ 'an object without its schema', 'CREATE VIEW v WITH (security_invoker = true) AS SELECT 1' ],
	[ 'an object without its schema', 'CREATE TABLE t (a pg_catalog.int4)' ],
	[ 'a relation without its schema', 'CREATE INDEX i ON t (a)' ],
	[ 'a relation without its schema', 'CREATE POLICY p ON t USING (true)' ],
	[ 'a function without its schema', 'CREATE TRIGGER t AFTER INSERT ON mindtickle.t EXECUTE FUNCTION f()' ],
	[ 'column "a" without the schema of its type', 'CREATE TABLE mindtickle.t (a text)' ],
	[ 'column "b" without the schema of its type', 'CREATE TABLE mindtickle.t (a pg_catalog.numeric(7, 4) CHECK (a OPERATOR(pg_catalog.>) 0), b text, PRIMARY KEY (a))' ],
	[ 'a collation without its schema', 'CREATE TABLE mindtickle.t (a pg_catalog.text COLLATE "C")' ],
	[ 'function lower without its schema', 'CREATE TABLE mindtickle.t (a pg_catalog.text, b pg_catalog.text GENERATED ALWAYS AS (lower(a)) STORED)' ],
	[ 'function now without its schema', 'CREATE TABLE mindtickle.t (a pg_catalog.timestamptz DEFAULT now())' ],
	[ 'operator > without its schema', 'CREATE TABLE mindtickle.t (a pg_catalog.int4 CHECK (a > 0))' ],
	[ 'relation "other" without its schema', 'CREATE TABLE mindtickle.t (a pg_catalog.int4 REFERENCES other)' ],
	[ 'operator = without its schema', 'CREATE POLICY p ON mindtickle.t USING (tenant_id = mindtickle.f())' ],
	[ 'function f without its schema', 'CREATE POLICY p ON mindtickle.t WITH CHECK (f())' ],
	[ 'BETWEEN takes its operators from the search_path', 'ALTER TABLE mindtickle.t ADD CHECK (a BETWEEN 1 AND 2)' ],
	[ 'IN takes its operator from the search_path', 'ALTER TABLE mindtickle.t ADD CHECK (a IN (1, 2))' ],
	[ 'LIKE takes its operator from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1 FROM mindtickle.t AS t WHERE t.a LIKE \'x\'' ],
	[ 'NULLIF takes its operator from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT NULLIF(t.a, 0) FROM mindtickle.t AS t' ],
	[ 'CASE with a value takes its operator from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT CASE t.a WHEN 1 THEN 2 END FROM mindtickle.t AS t' ],
	[ 'IS DISTINCT FROM takes its operator from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT t.a IS DISTINCT FROM 1 FROM mindtickle.t AS t' ],
	[ 'JOIN USING takes its operators from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1 FROM mindtickle.t JOIN mindtickle.u USING (a)' ],
	[ 'NATURAL takes its operators from the search_path', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1 FROM mindtickle.t NATURAL JOIN mindtickle.u' ],
	[ 'CAST is not looked into; say ::schema.type', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT CAST(1 AS text)' ],
	[ 'relation "t" without its schema', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1 FROM t' ],
	[ 'relation "pg_class" without its schema', 'CREATE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1 FROM mindtickle.t AS t JOIN pg_class AS c ON true' ],
	[ 'a cast to a type without its schema', 'SELECT 1::text' ],
	[ 'function pg_extension_config_dump without its schema', 'SELECT pg_extension_config_dump(\'mindtickle.t\', \'\')' ],
	[ 'relation "t" without its schema', 'UPDATE t SET a = 1' ],
	[ 'operator \+ without its schema', 'SELECT 1 + 1' ],
	[ 'operator \+ without its schema', 'CREATE FUNCTION mindtickle.f(a pg_catalog.int4) RETURNS pg_catalog.int4 LANGUAGE sql RETURN a + 1' ],
	[ 'no SET search_path = pg_catalog, pg_temp', 'CREATE FUNCTION mindtickle.f(a pg_catalog.int4) RETURNS pg_catalog.int4 LANGUAGE sql AS $$ SELECT 1 $$' ],
	[ '"t" without its schema', 'GRANT SELECT ON mindtickle.u, t TO PUBLIC' ],
	[ '"f" without its schema', 'REVOKE ALL ON FUNCTION f() FROM PUBLIC' ],
	[ 'an argument without the schema of its type', 'COMMENT ON FUNCTION mindtickle.f(text) IS \'x\'' ],
	[ '"t" without its schema', 'COMMENT ON TABLE t IS \'x\'' ],
	[ 'a DO block in another language', 'DO LANGUAGE plperl $$ 1 $$' ],
	[ 'operator < without its schema', 'DO $$ BEGIN IF 1 < 2 THEN NULL; END IF; END $$' ],
	[ 'function format without its schema', 'DO $$ BEGIN EXECUTE format(\'x\'); END $$' ],
	[ 'relation "pg_class" without its schema', 'DO $$ DECLARE r record; BEGIN FOR r IN SELECT 1 FROM pg_class LOOP NULL; END LOOP; END $$' ],
	[ 'a variable without the schema of its type', 'DO $$ DECLARE r regclass; BEGIN NULL; END $$' ],
	[ 'operator = without its schema', 'DO $$ BEGIN EXECUTE \'CREATE POLICY p ON mindtickle.t USING (a = 1)\'; END $$' ],
	[ 'LIKE of a table without its schema', 'CREATE TABLE mindtickle.t (LIKE u INCLUDING ALL)' ],
	[ 'OR REPLACE', 'DO $$ BEGIN EXECUTE \'CREATE OR REPLACE VIEW mindtickle.v WITH (security_invoker = true) AS SELECT 1\'; END $$' ]);
my @missed = grep { my ($wanted, $statement) = @$_; join("\n", MindTickle::InstallScript::findings("SELECT 1;\n$statement;\n")) !~ /^line 2: $wanted$/m } @weak;
is_deeply([ map { "$_->[0]: $_->[1]" } @missed ], [], scalar(@weak) . ' planted weaknesses are found');

my ($directory) = run_command([ 'pg_config', '--sharedir' ]);
my $script = slurp_file("$directory/extension/mindtickle--0.1.0.sql");
cmp_ok(scalar(() = $script =~ /^CREATE /mg), '>', 100, 'the install script is there');
is(join("\n", MindTickle::InstallScript::findings($script)), '', 'and the audit finds nothing in it');

# What stands in the way is an error, and is not adopted.
my $node = start_node('primary', preload => 0);
$node->safe_psql('postgres', 'CREATE ROLE mindtickle_service NOLOGIN; CREATE ROLE mallory');
sub refused
{
	my ($what, $statement, $error) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE taken');
	$node->safe_psql('taken', "CREATE SCHEMA hostile; GRANT ALL ON SCHEMA hostile TO mallory; GRANT CREATE ON DATABASE taken TO mallory; SET ROLE mallory; $statement");
	my ($status, undef, $refusal) = $node->psql('taken', 'CREATE EXTENSION mindtickle SCHEMA hostile');
	like($refusal, qr/$error/, $what);
	$node->safe_psql('postgres', 'DROP DATABASE taken');
}
refused('a schema mindtickle that is there already', 'CREATE SCHEMA mindtickle', 'schema "mindtickle" already exists');
refused('a function of ours that is there already', 'CREATE FUNCTION hostile.mt_current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT \'b\'::text $$',
	'function "mt_current_tenant" already exists with same argument types');
refused('a view of ours that is there already', 'CREATE VIEW hostile.mt_users AS SELECT 1 AS tenant_id', 'relation "mt_users" already exists');

# The trap. What runs advances a sequence, which no error takes back. mallory may do what any role with CREATE on a schema may, no more.
$node->safe_psql('postgres', 'CREATE DATABASE trap');
$node->safe_psql('trap', 'CREATE SCHEMA hostile; GRANT ALL ON SCHEMA hostile TO mallory; GRANT USAGE ON SCHEMA hostile TO PUBLIC');
my ($operators, $functions) = split(/\|/, $node->safe_psql('trap', <<'SQL'));
SET ROLE mallory;
CREATE SEQUENCE hostile.ran;
CREATE FUNCTION hostile.note() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN PERFORM nextval('hostile.ran'); END $$;
GRANT ALL ON SEQUENCE hostile.ran TO PUBLIC;
CREATE FUNCTION hostile.make() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $make$
DECLARE
	types regtype[] := '{text,name,"char",varchar,int2,int4,int8,numeric,float8,bool,timestamptz,interval,jsonb,oid,regclass,regnamespace,regtype,bytea,text[],name[],anyelement,anyarray}';
	made record;
	operators int := 0;
	functions int := 0;
BEGIN
	-- For each pair of types the operators that pg_catalog has under that name for others, so that these fit better.
	FOR made IN SELECT l, r, row_number() OVER () AS n FROM unnest(types) AS l, unnest(types) AS r LOOP
		EXECUTE format('CREATE FUNCTION hostile.operator_%s(%s, %s) RETURNS bool LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN true; END''', made.n, made.l, made.r);
	END LOOP;
	FOR made IN SELECT o.name, p.l, p.r, p.n FROM unnest('{=,<>,<,>,<=,>=,~,!~,~~,!~~,||,+,-,*,/,@>,->>}'::text[]) AS o (name),
			(SELECT l, r, row_number() OVER () AS n FROM unnest(types) AS l, unnest(types) AS r) AS p
		WHERE NOT EXISTS (SELECT FROM pg_operator AS c WHERE c.oprname = o.name AND c.oprleft = p.l AND c.oprright = p.r)
	LOOP
		EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.operator_%s)', made.name, made.l, made.r, made.n);
		operators := operators + 1;
	END LOOP;
	-- Functions of the built-in names with one or two other types, and with any number of arguments.
	FOR made IN SELECT f.name, t.list FROM (SELECT DISTINCT proname::text AS name FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
				AND proname = ANY ('{lower,octet_length,current_setting,getdatabaseencoding,format,now,clock_timestamp,round,length,char_length,replace,pg_extension_config_dump,coalesce,nullif,text,int4,int8,numeric,name}')) AS f,
			(SELECT ARRAY[l] AS list FROM unnest(types) AS l UNION ALL SELECT ARRAY[l, r] FROM unnest(types) AS l, unnest(types) AS r) AS t
		WHERE NOT EXISTS (SELECT FROM pg_proc AS c WHERE c.proname = f.name AND c.proargtypes::oid[] = t.list::oid[]) AND t.list <> ARRAY['text[]'::regtype]
	LOOP
		EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS text LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN NULL; END''', made.name, array_to_string(made.list, ', '));
		functions := functions + 1;
	END LOOP;
	FOR made IN SELECT n AS name FROM unnest('{format,coalesce,nullif,greatest,least,extract,count,now}'::text[]) AS n LOOP
		EXECUTE format('CREATE FUNCTION hostile.%I(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.note(); RETURN NULL; END''', made.name);
		functions := functions + 1;
	END LOOP;
	RETURN operators || '|' || functions;
END
$make$;
SELECT hostile.make();
SQL
cmp_ok($operators, '>', 5000, 'hostile operators');
cmp_ok($functions, '>', 4000, 'hostile functions');
my $ran = sub { return $node->safe_psql('trap', 'SELECT is_called FROM hostile.ran') };
foreach my $bait ('1.5::numeric >= 1', q('a'::varchar = 'b'::text), q(lower('A'::name)), q('x' LIKE 'y'::name), 'nullif(1.5::numeric, 1)', '2.5::numeric BETWEEN 1 AND 2', 'round(1.5, 1::int8)')
{
	$node->safe_psql('trap', q(SELECT setval('hostile.ran', 1, false)));
	$node->psql('trap', "SET search_path = hostile; SELECT $bait");
	is($ran->(), 't', "the trap works: $bait");
}

$node->safe_psql('trap', q(SELECT setval('hostile.ran', 1, false)));
$node->safe_psql('trap', 'CREATE EXTENSION mindtickle SCHEMA hostile');
is($ran->(), 'f', 'CREATE EXTENSION runs nothing of mallory\'s');
is( $node->safe_psql('trap', <<'END'), '', 'and keeps nothing of it');
SELECT DISTINCT d.classid::regclass, d.objid, d.refobjid::regprocedure
FROM pg_depend AS d JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
WHERE p.proowner = 'mallory'::regrole AND d.classid <> 'pg_operator'::regclass
UNION ALL
SELECT DISTINCT d.classid::regclass, d.objid, o.oprcode FROM pg_depend AS d JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid WHERE o.oprowner = 'mallory'::regrole
END

# The extension works, with mallory's schema first in everybody's path.
$node->safe_psql('trap', 'ALTER DATABASE trap SET search_path = hostile');
$node->safe_psql('trap', <<'END');
CREATE ROLE acme_admin LOGIN;
SELECT mt_setup();
SELECT mt_create_tenant('acme', 'Acme');
SELECT mt_configure_tenant('acme', '{"timezone": "UTC"}');
SELECT mt_grant_tenant('acme', 'acme_admin', 'admin');
SET SESSION AUTHORIZATION acme_admin;
SELECT mt_provision_user('acme', '{"userId": "ann", "email": "Ann@acme.example", "userName": "Ann"}'::jsonb);
SELECT mt_upsert_progress('acme', 'ann', '[{"courseId": "c", "status": "completed", "score": 87.5}]'::jsonb);
END
is($node->safe_psql('trap', 'SET SESSION AUTHORIZATION acme_admin; SELECT user_id, email FROM mt_users'), 'ann|Ann@acme.example', 'a tenant and its user');
is($node->safe_psql('trap', 'SET SESSION AUTHORIZATION acme_admin; SELECT score, user_name FROM mt_course_progress'), '87.5000|', 'and progress');
is($node->safe_psql('trap', 'SELECT email_key, user_name_key FROM mindtickle.users'), 'ann@acme.example|ann', 'generated columns hold what they should');
my ($status, undef, $error) = $node->psql('trap', q(INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score) VALUES ('acme', 'u', 'c', 'completed', 101)));
like($error, qr/violates check constraint/, 'and checks refuse what they should');
$node->safe_psql('trap', q(INSERT INTO mindtickle.sync_job (tenant_id, kind, state, done, total, phase_started_at) VALUES ('acme', 'full', 'running', 5, 10, pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.interval '10 s')));
like($node->safe_psql('trap', 'SELECT per_second, phase_ends_at IS NOT NULL FROM mt_progress_sync'), qr/^0\.[0-9]+\|t$/, 'a running pull has its speed');
$node->safe_psql('trap', "TABLE $_") foreach split(/\n/, $node->safe_psql('trap', q(SELECT c.oid::regclass FROM pg_class AS c WHERE c.relkind OPERATOR(pg_catalog.=) 'v' AND c.relname OPERATOR(pg_catalog.~) '^mt_')));
is($ran->(), 'f', 'and nothing of mallory\'s has run');
$node->stop('fast');
done_testing();
