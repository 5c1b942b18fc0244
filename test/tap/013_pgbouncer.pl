# Two tenants' applications behind pgbouncer in transaction pooling, with one server connection and one login role: each transaction sees the rows
# of the tenant whose token it shows and no others, whatever the transactions before it on that connection did: commit, roll back, fail, forget to
# say who they are, show the other tenant's name, leave settings behind, try to leave statements and cursors, or lose their client half-way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Transactions of each tenant's client; every kind but the ordinary one is each twentieth.
use constant TRANSACTIONS => 5000;
use constant OF_A_KIND => TRANSACTIONS / 20;
use constant LOST_CLIENTS => 20;

my %users = (acme => 7, globex => 11);
my %other = (acme => 'globex', globex => 'acme');

my $node = start_node('primary', configuration => "mindtickle.sync_enabled = off\nlog_connections = on\n");
add_extension($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE pool LOGIN;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO pool;
CREATE TABLE app.trail (place int8 GENERATED ALWAYS AS IDENTITY, client text, what text, tenant text DEFAULT mt_current_tenant(), pid int4 DEFAULT pg_backend_pid());
GRANT INSERT ON app.trail TO pool;
-- An error that pgbench counts and goes on after.
CREATE FUNCTION app.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'failed on purpose' USING ERRCODE = 'serialization_failure';
END
$$;
-- Whether a tenant is refused with this token.
CREATE FUNCTION app.refused(tenant text, token text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mt_set_tenant(tenant, token);
	RETURN false;
EXCEPTION WHEN insufficient_privilege THEN
	RETURN true;
END
$$;
SQL

my %token;
foreach my $tenant (sort keys %users)
{
	$token{$tenant} = $node->safe_psql('postgres', <<"SQL");
SELECT mt_create_tenant('$tenant', '$tenant'), mt_grant_tenant('$tenant', 'pool', 'writer', true) \\g /dev/null
SELECT mt_provision_user('$tenant', jsonb_build_object('userId', '$tenant-' || n)) FROM generate_series(1, $users{$tenant}) AS n \\g /dev/null
SELECT mt_create_token('$tenant', 'first', '{sql}')
SQL
}

# pgbouncer with one server connection. Its sockets and its database are those of the same names behind it.
my $directory = PostgreSQL::Test::Utils::tempdir_short();
append_to_file("$directory/users", qq("pool" ""\n));
append_to_file("$directory/pgbouncer.ini", <<"INI");
[databases]
postgres = host=${\$node->host} port=${\$node->port}
[pgbouncer]
pool_mode = transaction
default_pool_size = 1
unix_socket_dir = $directory
listen_port = 6432
auth_type = trust
auth_file = $directory/users
admin_users = pool
INI
my $pgbouncer;
{
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
	my $log = "$PostgreSQL::Test::Utils::log_path/013_pgbouncer_pool.log";
	$pgbouncer = IPC::Run::start([ 'pgbouncer', "$directory/pgbouncer.ini" ], '<', \undef, '>', $log, '2>&1');
}
END
{
	local $?;
	$pgbouncer->kill_kill(grace => 10) if $pgbouncer && $pgbouncer->pumpable;
}
my $pooled = "host=$directory port=6432 dbname=postgres user=pool";

# Runs SQL as a client of the pool: exit status, output, errors. Arguments go to psql.
sub as_client
{
	my ($sql, @arguments) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $pooled, @arguments ], '<', \$sql, '>', \$output, '2>', \$errors);
	chomp($output, $errors);
	return ($? >> 8, $output, $errors);
}

my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
until ((as_client('SELECT 1'))[1] eq '1')
{
	die "pgbouncer does not answer\n" if time() > $deadline;
	sleep 1;
}

# A wrong answer is a division by zero, which ends pgbench. In extended protocol its variables are bound parameters.
my $sees_own = 'SELECT 1 / (count(*) = :users AND count(*) FILTER (WHERE tenant_id <> :tenant) = 0 AND mt_current_tenant() = :tenant)::int FROM mt_users;';
my $sees_nothing = 'SELECT 1 / (count(*) = 0 AND mt_current_tenant() IS NULL)::int FROM mt_users;';
my $leaves_trail = 'INSERT INTO app.trail (client, what) VALUES (:tenant, ';
my $script = "$directory/transaction.sql";
append_to_file($script, <<"SQL");
\\set number :number + 1
\\set kind :number % 20
BEGIN;
\\if :kind = 0
$sees_nothing
${leaves_trail}'forgot');
COMMIT;
\\elif :kind = 1
SELECT mt_set_tenant(:tenant, :token);
$sees_own
SELECT mt_provision_user(:tenant, '{"userId": "too many"}');
${leaves_trail}'rolled back');
ROLLBACK;
\\elif :kind = 2
SELECT mt_set_tenant(:tenant, :token);
$sees_own
${leaves_trail}'failed');
SELECT app.fail();
\\elif :kind = 3
SELECT 1 / app.refused(:other, :token)::int;
$sees_nothing
${leaves_trail}'refused');
COMMIT;
\\elif :kind = 4
SELECT set_config('mindtickle.tenant', :other, false);
$sees_nothing
${leaves_trail}'left a setting behind');
COMMIT;
\\else
SELECT mt_set_tenant(:tenant, :token);
$sees_own
${leaves_trail}'ordinary');
COMMIT;
\\endif
SQL

my (%bench, %report);
foreach my $tenant (sort keys %users)
{
	my %variables = (tenant => $tenant, token => $token{$tenant}, other => $other{$tenant}, users => $users{$tenant}, number => 0);
	$report{$tenant} = '';
	$bench{$tenant} = IPC::Run::start(
		[
			'pgbench', '-n', '-M', 'extended', '-c', '1', '-t', TRANSACTIONS, (map { ('-D', "$_=$variables{$_}") } sort keys %variables),
			'-f', $script, $pooled
		],
		'<', \undef, '>', \$report{$tenant}, '2>&1');
}

# Meanwhile clients die in mid-transaction.
my $lost = 0;
foreach my $number (1 .. LOST_CLIENTS)
{
	my $tenant = (sort keys %users)[ $number % 2 ];
	my ($status) = as_client(<<"SQL", '-v', "token=$token{$tenant}");
BEGIN;
SELECT mt_set_tenant('$tenant', :'token');
SELECT 1 / (count(*) = $users{$tenant})::int FROM mt_users;
INSERT INTO app.trail (client, what) VALUES ('$tenant', 'lost');
\\! kill -9 \$PPID
SQL
	$lost++ if $? == 9;
}
is($lost, LOST_CLIENTS, 'clients die in mid-transaction');

foreach my $tenant (sort keys %users)
{
	ok($bench{$tenant}->finish, "no transaction of $tenant saw a foreign row or missed one of its own") or diag($report{$tenant});
	my $processed = TRANSACTIONS - OF_A_KIND;
	like($report{$tenant}, qr{^number of transactions actually processed: $processed/@{[TRANSACTIONS]}$}m, 'all were run');
	like($report{$tenant}, qr/^number of failed transactions: @{[OF_A_KIND]} /m, 'those failed that were meant to');
}

is($node->safe_psql('postgres', 'SELECT client, what, tenant, count(*) FROM app.trail GROUP BY 1, 2, 3 ORDER BY 1, 2'),
	join("\n", map { my $tenant = $_; (
		"$tenant|forgot||" . OF_A_KIND, "$tenant|left a setting behind||" . OF_A_KIND,
		"$tenant|ordinary|$tenant|" . (TRANSACTIONS - 5 * OF_A_KIND), "$tenant|refused||" . OF_A_KIND) } sort keys %users),
	'each committed transaction had the tenant of its token in force, or none');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT client, lag(client) OVER (ORDER BY place) AS before FROM app.trail) AS t WHERE client <> before'),
	'>', TRANSACTIONS, 'they took turns');
is($node->safe_psql('postgres', q(SELECT tenant_id, count(*) FROM mindtickle.users GROUP BY 1 ORDER BY 1)),
	"acme|$users{acme}\nglobex|$users{globex}", 'what was rolled back is not there');
# pgbouncer closes a connection whose transaction lost its client, and opens the next.
is(scalar(() = slurp_file($node->logfile) =~ /connection authorized: user=pool /g), 1 + LOST_CLIENTS, 'all went over one connection at a time');
ok( poll($node, q(SELECT string_agg(tenant_asked || ' ' || n, ', ' ORDER BY tenant_asked) = 'acme ) . OF_A_KIND . ', globex ' . OF_A_KIND . q(' FROM (
		SELECT tenant_asked, sum(count) AS n FROM mt_security_alerts WHERE object = 'mt_set_tenant' AND session_role = 'pool' GROUP BY 1) AS a)),
	'each refusal is counted among the alerts');

# SQL that somebody injects into one tenant's transaction leaves nothing in the session that would run with the next one's token, or show it rows.
foreach my $tenant (sort keys %users)
{
	my ($other, $enter) = ($other{$tenant}, 'SELECT mt_set_tenant(:\'tenant\', :\'token\');');
	my @as = ('-v', "tenant=$tenant", '-v', "token=$token{$tenant}");
	foreach my $statement ('PREPARE "S_1" (text, text) AS SELECT mt_set_tenant($1, $2), set_config(\'x.token\', $2, false) IS NULL',
		'DO $$ BEGIN EXECUTE \'PREPARE "S_1" (text, text) AS SELECT mt_set_tenant($1, $2)\'; END $$')
	{
		my ($status, undef, $error) = as_client("\\set ON_ERROR_STOP off\nBEGIN;\n$enter\n$statement;\nROLLBACK;", @as);
		like("$status|$error", qr/^0\|ERROR:  permission denied for PREPARE\nDETAIL:  Role "pool" has a grant that needs a token/, "$tenant cannot prepare a statement for the other one");
	}
	my ($status, undef, $error) = as_client("\\set ON_ERROR_STOP off\nBEGIN;\n$enter\nDECLARE kept CURSOR WITH HOLD FOR SELECT * FROM mt_users;\nROLLBACK;", @as);
	like("$status|$error", qr/^0\|ERROR:  permission denied for DECLARE CURSOR WITH HOLD\n/, 'or hold a cursor for it');
	is(join(' ', as_client('SELECT count(*) FROM (SELECT name FROM pg_prepared_statements WHERE from_sql UNION ALL SELECT name FROM pg_cursors) AS l; FETCH kept')),
		"3 0 ERROR:  cursor \"kept\" does not exist", 'which finds nothing');
	is(join(' ', as_client("BEGIN;\nSELECT mt_set_tenant('$other', '$token{$other}');\nSELECT count(*) FROM mt_users;\nCOMMIT;")), "0 \n$users{$other} ", 'and has its own rows');
}
ok(poll($node, q(SELECT bool_and(l.n = a.n) FROM (VALUES ('PREPARE', 4), ('DECLARE CURSOR WITH HOLD', 2)) AS l (object, n)
		LEFT JOIN (SELECT object, sum(count) FROM mt_security_alerts WHERE session_role = 'pool' GROUP BY 1) AS a (object, n) USING (object))), 'each attempt is counted among the alerts');

$node->safe_psql('postgres', 'CREATE DATABASE plain');
is($node->safe_psql('plain', 'PREPARE "S_1" AS SELECT 7; BEGIN; DECLARE kept CURSOR WITH HOLD FOR SELECT 8; COMMIT; EXECUTE "S_1"; FETCH kept', extra_params => [ '-U', 'pool' ]),
	"7\n8", 'in a database without the extension the role may do both');

# A token is replaced without a gap: two are alive, then the first is revoked, and the pooled connection knows.
my $second = $node->safe_psql('postgres', q(SELECT mt_create_token('acme', 'second', '{sql}')));
my $asks = q(BEGIN; SELECT mt_set_tenant('acme', :'token'); SELECT count(*) FROM mt_users; COMMIT;);
foreach my $token ($token{acme}, $second)
{
	is(join(' ', as_client($asks, '-v', "token=$token")), "0 \n$users{acme} ", 'either token serves');
}
$node->safe_psql('postgres', q(SELECT mt_revoke_token('acme', 'first')));
my ($status, $output, $error) = as_client($asks, '-v', "token=$token{acme}");
like("$status|$output|$error", qr/^3\|\|ERROR:  permission denied for tenant "acme"\n/, 'a revoked one does not');
is(join(' ', as_client($asks, '-v', "token=$second")), "0 \n$users{acme} ", 'the other one does');
my @servers = split /\n/, (as_client('SHOW SERVERS', '-d', "host=$directory port=6432 dbname=pgbouncer user=pool"))[1];
is(scalar @servers, 1, 'over the one connection');

$node->stop('fast');
my $log = slurp_file($node->logfile);
is(scalar(grep { $log =~ /$_/ } values %token, $second), 0, 'no token is in the server log, though it holds every statement and its parameters');
done_testing();
