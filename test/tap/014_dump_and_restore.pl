# pg_dump and restore, in each format and with two jobs, into a fresh cluster: rows, rights, policies, tokens, readiness and numbering are
# what they were; secrets in plain text stay behind; a role that is missing there is listed, and taken up once it is made; and the copy does not
# call upstream until mt_confirm_site().

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $secrets = PostgreSQL::Test::Utils::tempdir();
my $dumps = PostgreSQL::Test::Utils::tempdir();
my $sandbox = MindTickle::Sandbox->start(
	'--tenant', 'acme,users=12,courses=4,rps=50,rpm=3000',
	'--tenant', 'globex,users=9,courses=3,rps=50,rpm=3000');
my $directory = "mindtickle.secret_directory = '$secrets'\n";

# The original: acme's key is in a file, globex's in the table.
my $source = start_node('source', configuration => $directory);
add_extension($source);
add_tenant($source, $sandbox, $_) foreach qw(acme globex);
mkdir "$secrets/acme" or die;
append_to_file("$secrets/acme/canary-file", $sandbox->key('acme') . "\n");
chmod 0600, "$secrets/acme/canary-file";
$source->safe_psql('postgres', q(SELECT mt_set_credential('acme', '{"api_key": {"file": "canary-file"}}'), mt_set_credential('globex', '{"scim_token": "canary-secret"}')));
$source->safe_psql('postgres', "SELECT mt_sync_tenant('$_')") foreach qw(acme globex);
ok(wait_for_sync($source, qw(acme globex)), 'the original has pulled');
my $roles = 'CREATE ROLE acme_reader LOGIN; CREATE ROLE acme_group; CREATE ROLE acme_member LOGIN IN ROLE acme_group; CREATE ROLE pool LOGIN; CREATE ROLE globex_admin LOGIN;';
$source->safe_psql('postgres', "$roles CREATE ROLE latecomer LOGIN;" . <<'END');
SELECT mt_grant_tenant('acme', 'acme_reader', 'reader'), mt_grant_tenant('acme', 'acme_group', 'writer'), mt_grant_tenant('globex', 'globex_admin', 'admin'),
	mt_grant_tenant('acme', 'pool', 'reader', true), mt_grant_tenant('globex', 'pool', 'reader', true), mt_grant_tenant('globex', 'latecomer', 'writer');
END
my $token = $source->safe_psql('postgres', q(SELECT mt_create_token('acme', 'pool', '{sql}')));
like($token, qr/^mtk_[0-9a-f]{64}$/, 'a token');

# From here on without workers, so that nothing moves. Every table gets rows; and a pull is due.
$source->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$source->restart;
$source->safe_psql('postgres', <<'END');
SELECT mt_create_token('globex', 'gone', '{read}', '1 day'), mt_revoke_token('globex', 'gone'), mt_create_token(NULL, 'scrape', '{metrics}');
SELECT mt_provision_user('globex', jsonb_build_object('email', n || '@globex.example', 'name', E'Ünicode \\ "' || n)) FROM generate_series(1, 3) AS n;
SELECT status FROM mt_scim_request('globex', 'POST', '/Users', '', '{}', '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "two",
	"emails": [{"value": "two@globex.example", "type": "work", "primary": true}, {"value": "second@globex.example", "type": "home"}]}'::text);
SELECT tenant_id FROM mt_aggregate_readiness('acme');
INSERT INTO mindtickle.team (tenant_id, team_id, name, source) VALUES ('acme', 't', E'Team\twith a tab', 'scim'), ('globex', 't', 'Team', 'pull');
INSERT INTO mindtickle.team_member (tenant_id, team_id, user_id, source) SELECT tenant_id, 't', user_id, 'pull' FROM mindtickle.users;
INSERT INTO mindtickle.readiness_daily SELECT tenant_id, '2026-01-01', 'tenant', '', 12.5, 0.25, 4, 3, 2, 1 FROM mindtickle.tenant;
INSERT INTO mindtickle.readiness_rerun SELECT tenant_id, now() FROM mindtickle.tenant;
INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) SELECT tenant_id, 'pull', 'users', 'is no JSON', '\x00ff5c0a' FROM mindtickle.tenant;
SELECT mt_configure_tenant('acme', '{"queue_limit": 20}');
SELECT mindtickle.emit_event('acme', 'spilled', jsonb_build_object('n', n)) FROM generate_series(1, 70) AS n;
SELECT mindtickle.publish('acme', 20);
SELECT mindtickle.publish('acme', 20);
SELECT mindtickle.emit_event('acme', 'spilled', jsonb_build_object('n', n)) FROM generate_series(71, 80) AS n;
SELECT mt_poll_events('globex', 'c', 1);
SELECT mt_ack_events('globex', 'c', 1);
INSERT INTO mindtickle.cache_entry SELECT tenant_id, 'roster', pg_current_xact_id(), 0, 1, 2, pg_current_snapshot(), now(), now(), '[]' FROM mindtickle.tenant;
INSERT INTO mindtickle.sync_seen SELECT tenant_id, 1, 'roster', 'u' FROM mindtickle.tenant;
INSERT INTO mindtickle.sync_series SELECT tenant_id, 's', 'Series' FROM mindtickle.tenant;
INSERT INTO mindtickle.sync_series_module SELECT tenant_id, 's', 'c' FROM mindtickle.tenant;
INSERT INTO mindtickle.push_queue (tenant_id, user_id, version, queued_at, tries, error) SELECT tenant_id, 'u', 1, now(), 2, 'status 500' FROM mindtickle.tenant;
INSERT INTO mindtickle.push_link SELECT tenant_id, 'u', 'there' FROM mindtickle.tenant;
INSERT INTO mindtickle.security_alert (at, session_role, "current_role", database, client_addr, tenant_asked, object, last_at) VALUES (now(), 'x', 'x', 'postgres', '::1', 'acme', 'mt_readiness', now());
UPDATE mindtickle.tenant SET next_sync_at = now() - interval '1 hour';
END

# What must be equal. Tables and sequences are those that the extension has registered, so that a new one is compared too; oids of roles are
# another cluster's, so grants are compared by name.
my $registered = q(SELECT c.oid::regclass, c.relname, c.relkind, e.extcondition[o.place] AS condition
	FROM pg_extension AS e, unnest(e.extconfig) WITH ORDINALITY AS o (relation, place), pg_class AS c WHERE e.extname = 'mindtickle' AND c.oid = o.relation);
my $objects = q(SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname = 'mindtickle' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e');
my $role = q(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ' ' || a.privilege_type || ' ' || a.is_grantable);
my %facts = (
	'rows of every table' => "SELECT t.relname, query_to_xml(format('SELECT count(*), md5(string_agg(r, E''\\n'' ORDER BY r COLLATE \"C\")) FROM (SELECT (to_jsonb(t) - ''{role_oid,xid,cursor,batch,batch_table,batch_xid,batch_position}''::text[])::text AS r FROM %s AS t %s) AS j',
			t.oid, t.condition), false, true, '') FROM ($registered) AS t WHERE t.relkind = 'r' ORDER BY t.relname",
	'sequences' => "SELECT t.relname, query_to_xml(format('SELECT last_value, is_called FROM %s', t.oid), false, true, '') FROM ($registered) AS t WHERE t.relkind = 'S' ORDER BY t.relname",
	'rights on tables, views and sequences' => "SELECT c.relname, string_agg($role, ', ' ORDER BY $role) FROM pg_class AS c JOIN ($objects) AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid,
		aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a GROUP BY c.relname ORDER BY c.relname",
	'rights on columns' => "SELECT c.attrelid::regclass, c.attname, string_agg($role, ', ' ORDER BY $role) FROM pg_attribute AS c JOIN ($objects) AS o ON o.classid = 'pg_class'::regclass AND o.objid = c.attrelid,
		aclexplode(c.attacl) AS a GROUP BY 1, 2 ORDER BY 1, 2",
	'rights on functions' => "SELECT p.oid::regprocedure, string_agg($role, ', ' ORDER BY $role) FROM pg_proc AS p JOIN ($objects) AS o ON o.classid = 'pg_proc'::regclass AND o.objid = p.oid,
		aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a GROUP BY p.oid ORDER BY p.oid::regprocedure::text",
	'rights on the schema' => "SELECT string_agg($role, ', ' ORDER BY $role) FROM pg_namespace AS n, aclexplode(n.nspacl) AS a WHERE n.nspname = 'mindtickle'",
	'policies' => q(SELECT schemaname, tablename, policyname, permissive, roles, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2, 3),
	'row security' => q(SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relnamespace = 'mindtickle'::regnamespace AND relkind = 'r' ORDER BY 1),
	'triggers' => q(SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2),
	'addresses' => q(SELECT * FROM mindtickle.user_address ORDER BY 1, 2, 3),
	'readiness' => q(SELECT t.tenant_id, to_jsonb(r) - 'computed_at' FROM mindtickle.tenant AS t, mt_readiness(t.tenant_id) AS r ORDER BY 1));
my $system = 'SELECT system_identifier FROM pg_control_system()';
my $original = $source->safe_psql('postgres', $system);
my %wanted = map { $_ => $source->safe_psql('postgres', $facts{$_}) } keys %facts;

is($source->safe_psql('postgres', "SELECT t.relname FROM ($registered) AS t WHERE t.relkind = 'r' AND NOT mindtickle.is_truncated(t.relname) AND (xpath('//n/text()', query_to_xml('SELECT count(*) AS n FROM ' || t.oid, false, true, '')))[1]::text = '0'"),
	'', 'every table of the original has rows, but for those that are made anew');
like($wanted{'rows of every table'}, qr/^users\|<row[^>]*>\s*<count>25<\/count>\s*<md5>[0-9a-f]{32}<\/md5>/m, 'and the comparison sees them');

# The dumps.
my $database = 'postgres';
$source->command_ok([ 'pg_dump', '-d', $source->connstr($database), '-f', "$dumps/plain.sql" ], 'pg_dump, plain');
$source->command_ok([ 'pg_dump', '-d', $source->connstr($database), '-Fc', '-f', "$dumps/custom" ], 'pg_dump, custom');
$source->command_ok([ 'pg_dump', '-d', $source->connstr($database), '-Fd', '-j2', '-f', "$dumps/directory" ], 'pg_dump, directory, two jobs');
my $text = slurp_file("$dumps/plain.sql");
command_ok([ 'pg_restore', '-f', "$dumps/custom.sql", "$dumps/custom" ], 'the custom dump as text');
my $custom = slurp_file("$dumps/custom.sql");
foreach my $dump ($text, $custom)
{
	unlike($dump, qr/canary-secret/, 'a secret in plain text is not dumped');
	unlike($dump, qr/\Q@{[ $sandbox->key('globex') ]}\E/, 'nor is the key');
	unlike($dump, qr/mtk_[0-9a-f]/, 'nor a token');
	like($dump, qr/canary-file/, 'the name of a secret file is');
}
my $requests = $sandbox->stats('acme')->{requests} + $sandbox->stats('globex')->{requests};
$source->stop('fast');

# A fresh cluster, in which one role is missing.
my $copy = start_node('copy', preload => 0, configuration => $directory);
$copy->safe_psql('postgres', "CREATE ROLE mindtickle_service NOLOGIN; $roles");
isnt($copy->safe_psql('postgres', $system), $original, 'a cluster of its own');
my %restore = (
	plain => [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dumps/plain.sql" ],
	custom => [ 'pg_restore', "$dumps/custom" ],
	custom_jobs => [ 'pg_restore', '-j2', "$dumps/custom" ],
	directory_jobs => [ 'pg_restore', '-j2', "$dumps/directory" ]);
foreach my $kind (sort keys %restore)
{
	$copy->safe_psql('postgres', "CREATE DATABASE $kind");
	my ($out, $err) = run_command([ @{ $restore{$kind} }, '-d', $copy->connstr($kind) ]);
	is($err, '', "$kind: restored without an error");
	foreach my $fact (sort keys %facts)
	{
		is($copy->safe_psql($kind, $facts{$fact}), $wanted{$fact}, "$kind: $fact");
	}
	is( $copy->safe_psql($kind, <<'END'), '', "$kind: numbers go on after those that are there");
SELECT a.attrelid::regclass FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'mindtickle'::regnamespace AND a.attidentity <> ''
	AND nextval(pg_get_serial_sequence(a.attrelid::regclass::text, a.attname))
		<= (xpath('//n/text()', query_to_xml(format('SELECT coalesce(max(%I), 0) AS n FROM %s', a.attname, a.attrelid::regclass), false, true, '')))[1]::text::int8
END
	is( $copy->safe_psql($kind, <<'END'), 't|t', "$kind: events are numbered on without a gap");
SELECT last_seq AS before FROM mindtickle.event_position WHERE tenant_id = 'globex' \gset
SELECT count(*) AS waiting FROM mindtickle.outbox WHERE tenant_id = 'globex' \gset
SELECT published FROM mindtickle.publish('globex', 1000) \gset
SELECT :waiting > 0 AND :published = :waiting, (SELECT max(seq) = :before + :waiting AND count(*) = max(seq) FROM mindtickle.event WHERE tenant_id = 'globex');
END
	# The tenant whose events were on their way into the overflow: what was written first comes first.
	1 while $copy->safe_psql($kind, q(SELECT more FROM mindtickle.publish('acme', 20))) eq 't';
	is($copy->safe_psql($kind, q(SELECT string_agg(payload ->> 'n', ',' ORDER BY seq) FROM mt_events WHERE tenant_id = 'acme' AND topic = 'spilled')), join(',', 1 .. 80), "$kind: the overflow comes back in order");
	is($copy->safe_psql($kind, q(SELECT bool_and(nextval('mindtickle.outbox_position') > o.outbox_id) FROM (SELECT max(position) AS outbox_id FROM mindtickle.outbox_0) AS o)), 't', "$kind: and later ones behind it");
	is($copy->safe_psql($kind, q(SELECT acked_seq FROM mt_event_consumers WHERE tenant_id = 'globex')), 1, "$kind: consumers stand where they stood");
	is($copy->safe_psql($kind, q(SELECT role_name FROM mindtickle.tenant_grant WHERE role_oid = 0)), 'latecomer', "$kind: the grant of a role that is missing is there without effect");
	is($copy->safe_psql($kind, "SET SESSION AUTHORIZATION acme_reader; SELECT count(*) FROM mt_users"), 12, "$kind: a reader sees his tenant");
	is($copy->safe_psql($kind, "SET SESSION AUTHORIZATION acme_member; SELECT tenant_id, access FROM mt_whoami()"), 'acme|writer', "$kind: so does a member of a role");
	is($copy->safe_psql($kind, "SET SESSION AUTHORIZATION pool; SELECT tenant_id IS NULL FROM mt_whoami()"), 't', "$kind: a pool shows a token");
	is( $copy->safe_psql($kind, "SET SESSION AUTHORIZATION pool; BEGIN; SELECT mt_set_tenant('acme', '$token') \\g /dev/null\nSELECT count(*) FROM mt_users"), 12, "$kind: and with the one it had sees the tenant");
	my ($status, undef, $refusal) = $copy->psql($kind, "SET SESSION AUTHORIZATION pool; SELECT mt_set_tenant('globex', '$token')");
	like($refusal, qr/^psql:<stdin>:1: ERROR:  permission denied for tenant "globex"$/m, "$kind: which is no other tenant's");
}

# The missing role: listed, without access when it comes, taken up by mt_setup, and gone for good when it is dropped.
my $void = q(SELECT check_name, detail ~ 'latecomer', remedy FROM mt_check() WHERE check_name = 'void_grants' AND NOT passed);
my $as_latecomer = q(SET SESSION AUTHORIZATION latecomer; SELECT (SELECT count(*) FROM mt_users), (SELECT coalesce(tenant_id, 'none') FROM mt_whoami()));
like($copy->safe_psql('plain', $void), qr/^void_grants\|t\|/, 'mt_check lists the missing role');
$copy->safe_psql('plain', 'CREATE ROLE latecomer LOGIN');
is($copy->safe_psql('plain', $as_latecomer), '0|none', 'made, it has no access yet');
like($copy->safe_psql('plain', $void), qr/^void_grants\|t\|SELECT public\.mt_setup\(\);$/, 'and mt_check says what gives it');
$copy->safe_psql('plain', 'SELECT mt_setup()');
is($copy->safe_psql('plain', $as_latecomer), '13|globex', 'mt_setup takes it up');
is($copy->safe_psql('plain', $void), '', 'and mt_check has nothing to say');
$copy->safe_psql('plain', 'DROP ROLE latecomer; CREATE ROLE latecomer LOGIN; SELECT mt_setup()');
is($copy->safe_psql('plain', $as_latecomer), '0|none', 'dropped and made again it has nothing, also after mt_setup');
like($copy->safe_psql('plain', $void), qr/^void_grants\|t\|/, 'and mt_check lists it');
$copy->safe_psql('plain', q(SELECT mt_grant_tenant('globex', 'latecomer', 'reader')));
is($copy->safe_psql('plain', $as_latecomer), '13|globex', 'until it is granted again');

# With workers, and a pull due: nothing goes upstream before the site is confirmed.
$copy->safe_psql('postgres', "DROP DATABASE $_") foreach grep { $_ ne 'plain' } keys %restore;
$copy->append_conf('postgresql.conf', "shared_preload_libraries = 'mindtickle'");
$copy->restart;
my $jobs_before = $copy->safe_psql('plain', 'SELECT max(job_id) FROM mt_sync_jobs');
my $pulled = "SELECT count(*) = 1 FROM mt_sync_jobs WHERE job_id > $jobs_before AND state = 'done' AND tenant_id = ";
ok( poll($copy, q(SELECT last_error ~ 'mt_confirm_site\(\)' FROM mindtickle.tenant WHERE tenant_id = 'acme'), 'plain'),
	'the copy knows that the credential is of another cluster, and says what to do');
ok(poll($copy, q(SELECT last_error IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = 'globex'), 'plain'), 'the secret that was not dumped is missing');
is($copy->safe_psql('plain', q(SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'globex')), 'no api_key is stored: set it with mt_set_credential', 'which is said');
is($sandbox->stats('acme')->{requests} + $sandbox->stats('globex')->{requests}, $requests, 'the copy has sent nothing');
like($copy->safe_psql('plain', q(SELECT detail FROM mt_check() WHERE check_name = 'site' AND NOT passed)), qr/acme/, 'mt_check says so too');
is($copy->safe_psql('plain', 'SELECT mt_confirm_site()'), 1, 'one credential is taken over');
ok(poll($copy, "$pulled 'acme'", 'plain'), 'then the pull that was due comes, and ends well');
cmp_ok($sandbox->stats('acme')->{requests} + $sandbox->stats('globex')->{requests}, '>', $requests, 'from upstream');
is($copy->safe_psql('plain', q(SELECT last_error IS NULL AND backoff_until IS NULL FROM mindtickle.tenant WHERE tenant_id = 'acme')), 't', 'and the error is gone');
is($copy->safe_psql('plain', 'SELECT mt_confirm_site()'), 0, 'nothing is left to confirm');
$copy->safe_psql('plain', 'SELECT mt_set_credential(\'globex\', \'{"api_key": "' . $sandbox->key('globex') . '"}\')');
ok(poll($copy, "$pulled 'globex'", 'plain'), 'a secret that is stored again serves at once');
$copy->stop('fast');
done_testing();
