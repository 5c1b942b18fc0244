# Attackers who log in, with what only a session of one's own has: settings given as the connection is made or kept for the role, SET ROLE and SET
# SESSION AUTHORIZATION without a superuser behind them, COPY from and to the client of every relation, and a library that the session itself
# loads, after it has prepared settings for it.
#
# The servers run no workers in the database, so that every row of the other tenant stays as it is unless an attacker changes it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $include = "$FindBin::RealBin/../sql/include";
my $canary = 'canary b7|(user|course|quiz|team|manager|object|scope|mindtickle) b7';

# A server with two tenants that have rows in every table, and their roles.
sub start_with_tenants
{
	my ($name, %options) = @_;
	my $node = start_node($name, %options, configuration => "mindtickle.databases = 'none'\n");

	add_extension($node);
	$node->safe_psql('postgres', <<"END");
CREATE ROLE reader LOGIN; CREATE ROLE admin LOGIN; CREATE ROLE pool LOGIN; CREATE ROLE careless LOGIN; CREATE ROLE theirs LOGIN;
SELECT mt_create_tenant('acme', 'canary own'), mt_create_tenant('globex', 'canary b7');
SELECT mt_grant_tenant('acme', 'reader', 'reader'), mt_grant_tenant('acme', 'admin', 'admin'), mt_grant_tenant('acme', 'careless', 'admin'),
	mt_grant_tenant('acme', 'pool', 'writer', true), mt_grant_tenant('globex', 'theirs', 'admin');
\\i $include/every_table.sql
SELECT pg_temp.fill_every_table('acme', 'own'), pg_temp.fill_every_table('globex', 'b7');
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA mindtickle TO careless;
END
	return $node;
}

sub their_rows
{
	my ($node) = @_;
	return $node->safe_psql('postgres', "\\i $include/every_table.sql\nSELECT * FROM pg_temp.rows_of('globex')");
}

# Logs in as a role with settings and runs SQL; returns all that is said, of an error the message.
sub said
{
	my ($node, $role, $sql, @settings) = @_;
	local $ENV{PGOPTIONS} = join(' ', map { my ($name, $value) = @$_; $value =~ s/([ \\])/\\$1/g; "-c $name=$value" } @settings);
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ], on_error_stop => 1);
	$err =~ s/^psql:<stdin>:\d+: //mg;
	return join("\n", grep { $_ ne '' } $out, $err);
}

my $look = q(SELECT coalesce(mt_current_tenant(), 'none') || ' ' || coalesce(string_agg(DISTINCT tenant_id, '+'), 'nothing') FROM mt_users);
my $node = start_with_tenants('preloaded');
my $before = their_rows($node);
cmp_ok(scalar(() = $before =~ /^\w+\|[1-9]/mg), '>=', 20, 'the other tenant has rows in every table');

# Settings given as the connection is made.
is(said($node, 'reader', $look), 'acme acme', 'without one the default is in force');
is(said($node, 'reader', $look, [ 'mindtickle.tenant', 'acme' ]), 'acme acme', 'the own tenant');
is(said($node, 'reader', $look, [ 'mindtickle.tenant', $_ ]), 'none nothing', "mindtickle.tenant = $_") foreach 'globex', 'zzz', 'GLOBEX', ' globex', 'acme,globex', '%', "' OR true --", 'g' x 33, 'globex' x 1000;
is(said($node, 'pool', $look, [ 'mindtickle.tenant', 'acme' ]), 'none nothing', 'a grant that needs a token');
my %fatal = (
	'mindtickle.token_id' => 'permission denied to set parameter "mindtickle.token_id"',
	'mindtickle.service_role' => 'parameter "mindtickle.service_role" cannot be changed now',
	'mindtickle.secret_directory' => 'parameter "mindtickle.secret_directory" cannot be changed now',
	'mindtickle.nonsense' => 'invalid configuration parameter name "mindtickle.nonsense"',
	'role' => 'permission denied to set role "theirs"',
	'session_authorization' => 'permission denied to set session authorization');
like(said($node, 'pool', $look, [ 'mindtickle.tenant', 'acme' ], [ $_, $_ =~ /^mind/ ? '1' : 'theirs' ]), qr/FATAL:  $fatal{$_}/, "$_ cannot be given") foreach sort keys %fatal;
is(said($node, 'reader', $look, [ 'row_security', 'off' ]), 'ERROR:  query would be affected by row-level security policy for table "users"', 'row_security = off shows nothing');
like(said($node, 'reader', 'SELECT * FROM mt_check()', [ 'search_path', 'pg_temp,public' ]), qr/^ERROR:  permission denied for function mt_check/, 'a search_path opens no function');

# Kept for the role, by itself.
is(said($node, 'reader', "ALTER ROLE reader SET mindtickle.tenant = 'globex'"), '', 'a role may keep a context for itself');
is(said($node, 'reader', $look), 'none nothing', 'which is worth nothing at the next login');
like(said($node, 'reader', "ALTER ROLE reader SET role = 'theirs'"), qr/^NOTICE:  permission will be denied/, 'nor is a role that it keeps for itself');
like(said($node, 'reader', "SELECT current_user; $look", [ 'mindtickle.tenant', 'globex' ]), qr/^reader\nnone nothing\nWARNING:  permission denied to set role "theirs"/, 'which it does not get');
is(said($node, 'reader', "SET client_min_messages = error; ALTER ROLE reader RESET ALL") =~ /ERROR/, '', 'and may forget it');
is(said($node, 'reader', $look), 'acme acme', 'then all is as it was');
my %refused = (
	"ALTER ROLE reader SET mindtickle.token_id = '1'" => 'permission denied to set parameter "mindtickle.token_id"',
	"ALTER ROLE theirs SET mindtickle.tenant = 'acme'" => 'permission denied',
	"ALTER ROLE ALL SET mindtickle.tenant = 'globex'" => 'must be superuser to alter settings globally',
	"ALTER DATABASE postgres SET mindtickle.tenant = 'globex'" => 'must be owner of database postgres',
	"ALTER SYSTEM SET mindtickle.tenant = 'globex'" => 'permission denied to set parameter "mindtickle.tenant"',
	"ALTER SYSTEM SET mindtickle.service_role = 'reader'" => 'permission denied to set parameter "mindtickle.service_role"',
	'ALTER SYSTEM RESET ALL' => 'permission denied to perform ALTER SYSTEM RESET ALL',
	'SET ROLE theirs' => 'permission denied to set role "theirs"',
	'SET ROLE mindtickle_service' => 'permission denied to set role "mindtickle_service"',
	'SET SESSION AUTHORIZATION theirs' => 'permission denied to set session authorization',
	"SELECT set_config('role', 'theirs', false)" => 'permission denied to set role "theirs"',
	"SELECT set_config('session_authorization', 'theirs', true)" => 'permission denied to set session authorization',
	'GRANT theirs TO reader' => 'must have admin option on role "theirs"',
	'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET role = theirs AS $$SELECT 1$$' => 'permission denied to set role "theirs"',
	'SELECT pg_reload_conf()' => 'permission denied for function pg_reload_conf',
	"SELECT pg_read_file('pg_hba.conf')" => 'permission denied for function pg_read_file');
foreach my $statement (sort keys %refused)
{
	like(said($node, 'reader', $statement), qr/^(NOTICE:  permission will be denied .*\n)?ERROR:  \Q$refused{$statement}\E/, $statement);
}
$node->safe_psql('postgres', "ALTER DATABASE postgres SET mindtickle.tenant = 'globex'");
is(said($node, 'reader', $look), 'none nothing', 'a context that the owner of the database keeps for all gives nobody a right');
is(said($node, 'theirs', $look), 'globex globex', 'who has it may use it');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET mindtickle.tenant');

# COPY of every relation, from and to the client. Each statement tells its SQLSTATE; the file that is copied in has the other tenant's own rows.
my $directory = PostgreSQL::Test::Utils::tempdir();
my @relations = map { [ split(/\|/) ] } split(/\n/, $node->safe_psql('postgres', q(SELECT c.oid::regclass, c.relkind,
		concat_ws(' ', 'of', (SELECT string_agg(r, ' ') FROM unnest('{reader,admin,careless}'::text[]) AS r WHERE c.relkind <> 'S' AND has_table_privilege(r, c.oid, 'SELECT')))
	FROM pg_class AS c JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE e.extname = 'mindtickle' AND d.deptype = 'e' AND c.relkind <> 'i' ORDER BY 1)));
cmp_ok(scalar @relations, '>=', 38, 'the relations are found');
$node->safe_psql('postgres', join('', map { "\\copy (" . ($_->[1] eq 'r' ? "TABLE $_->[0]" : 'SELECT') . ") TO '$directory/$_->[0]'\n" } @relations));
foreach my $role (qw(reader admin careless))
{
	my ($script, %expected) = ('', ());
	foreach (@relations)
	{
		my ($relation, $kind, $readers) = @$_;
		# What waits to be published is told by functions of the workers.
		my $readable = $readers =~ /\b$role\b/ && $relation !~ /^mindtickle\.(outbox|event_overflow)$/;
		my %try = (
			'to' => [ "COPY $relation TO STDOUT", $readers !~ /\b$role\b/ ? '42501' : $kind eq 'v' ? '42809' : '00000' ],
			'binary' => [ "COPY $relation TO STDOUT (FORMAT binary)", $readers !~ /\b$role\b/ ? '42501' : $kind eq 'v' ? '42809' : '00000' ],
			'query' => [ "COPY (SELECT * FROM $relation) TO STDOUT (FORMAT csv, HEADER)", $readable ? '00000' : '42501' ],
			'to client' => [ "\\copy (TABLE $relation) TO '$directory/taken.$role.$relation'", $readable ? '00000' : '42501' ],
			'writing' => [ "COPY (DELETE FROM $relation RETURNING *) TO STDOUT", $kind eq 'v' ? '42501|55000' : '42501' ],
			'from client' => [ "\\copy $relation FROM '$directory/$relation'", $role ne 'careless' ? '42501' : $kind eq 'r' ? '0A000' : $kind eq 'v' ? '42501|42809' : '42501' ]);

		foreach my $form (sort keys %try)
		{
			$script .= "$try{$form}[0]\n" . ($try{$form}[0] =~ /^\\/ ? '' : ";\n") . "\\echo \n\\echo # $relation $form :SQLSTATE\n";
			$expected{"$relation $form"} = $try{$form}[1];
		}
	}
	my ($status, $out, $err) = $node->psql('postgres', $script, extra_params => [ '-U', $role ], on_error_stop => 0);
	my @strange;
	while ($out =~ /^# (.*) (\w{5})$/mg)
	{
		my $wanted = delete $expected{$1};
		push @strange, "$1: $2 instead of $wanted" unless $2 =~ /^($wanted)$/;
	}
	is("@strange", '', "each COPY of $role ends as it must");
	is(join(', ', keys %expected), '', 'and each was tried');
	unlike(join('', $out, $err, map { slurp_file($_) } glob("$directory/taken.$role.*")), qr/$canary/, 'no row of the other tenant is copied');
	cmp_ok(scalar(() = $out =~ /canary own/g), '>=', 30, 'but own ones are');
}
is(their_rows($node), $before, 'the other tenant\'s rows are as they were');
$node->stop;

# Without preloading, a session may set what it likes before the library is there. None of it counts once it is.
my $late = start_with_tenants('not_preloaded', preload => 0);
$before = their_rows($late);
my $proof = $late->safe_psql('postgres', q(SELECT mt_create_token('acme', 'right', '{sql}') \g /dev/null
	SELECT token_id FROM mindtickle.api_token WHERE tenant_id = 'acme' AND name = 'right'));
like($proof, qr/^[0-9]+$/, 'there is a token to be forged');
foreach my $role (qw(pool reader))
{
	my $own = $role eq 'reader' ? 'acme acme' : 'none nothing';
	(my $quiet = $look) =~ s/^/SET client_min_messages = error; /;

	is(said($late, $role, $quiet, [ 'mindtickle.tenant', 'acme' ], [ 'mindtickle.token_id', $proof ]), $own, "$role gives the proof as the connection is made");
	is(said($late, $role, "SET mindtickle.tenant = 'acme'; SET mindtickle.token_id = '$proof'; $quiet"), $own, 'or sets it first');
	is(said($late, $role, "BEGIN; SET LOCAL mindtickle.tenant = 'acme'; SET LOCAL mindtickle.token_id = '$proof'; $quiet"), $own, 'within a transaction');
	is(said($late, $role, "SET mindtickle.token_id = '$proof'; BEGIN; SET LOCAL mindtickle.token_id = '$proof'; SAVEPOINT s; SET LOCAL mindtickle.tenant = 'acme'; $quiet; ROLLBACK TO s; COMMIT; SET mindtickle.tenant = 'acme'; $look"),
		"$own\n$own", 'and after it');
	is(said($late, $role, $quiet, [ 'mindtickle.tenant', 'globex' ]), 'none nothing', 'the other tenant');
	is(said($late, $role, "SET client_min_messages = error; SELECT count(*) FROM mindtickle.tenant; $look", [ 'mindtickle.service_role', $role ], [ 'mindtickle.tenant', 'globex' ]), "0\nnone nothing", 'nor does one make himself the service role');
	is(said($late, $role, "SET mindtickle.service_role = '$role'; SET mindtickle.tenant = 'globex'; SET client_min_messages = error; SELECT count(*) FROM mindtickle.tenant; $look"), "0\nnone nothing", 'this way either');
	is(said($late, $role, "SET client_min_messages = error; SELECT mt_current_tenant() IS NULL; SHOW mindtickle.service_role", [ 'mindtickle.tenant', 'globex' ], [ 'mindtickle.service_role', $role ]), "t\nmindtickle_service", 'that setting is the server\'s');
	like(said($late, $role, "SELECT mt_readiness('globex')", [ 'mindtickle.service_role', $role ]), qr/ERROR:  permission denied for tenant "globex"/, 'and functions refuse');
}
like(said($late, 'pool', "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET mindtickle.token_id = '1' AS 'SELECT 1'"), qr/^ERROR:  permission denied to set parameter "mindtickle.token_id"/, 'no function keeps a proof');
like(said($late, 'pool', "ALTER ROLE pool SET mindtickle.token_id = '1'"), qr/^ERROR:  permission denied to set parameter "mindtickle.token_id"/, 'nor a role');
is(said($late, 'theirs', $look), 'globex globex', 'the other tenant sees its own');
is(their_rows($late), $before, 'which is as it was');

done_testing();
