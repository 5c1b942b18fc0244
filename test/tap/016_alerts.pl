# Alerts under load and across ends: floods are counted exactly and take bounded room, in the table and in the log; listeners are told, with
# nothing in it; databases stay apart; neither a restart nor the end of a publisher loses or doubles a count. Where nothing can be stored, on a
# standby and without the preload, a refusal is a line in the log, and tokens and grants hold there as on the primary.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# What must not be in the log stands in every statement that is refused here.
use constant MARK => 'words_of_the_statement';

my $quiet = "log_statement = none\nlog_min_duration_statement = -1\n";
my $node = start_node('primary', allows_streaming => 1, configuration => "listen_addresses = '127.0.0.1'\n$quiet");
my @roles = qw(flood names wrong_token away ended last tcp bytes marker told pool reader standby_flood);

# Two tenants with a user each, and roles that all may read acme, one of them with a token alone. Returns the tokens of acme.
sub set_up
{
	my ($server, $database) = @_;
	add_extension($server, $database);
	$server->safe_psql($database, q(SELECT mt_create_tenant(t, t), mt_provision_user(t, '{"email": "x@acme.example"}') FROM unnest('{acme,globex}'::text[]) AS t;)
		  . join('', map { "SELECT mt_grant_tenant('acme', '$_', 'reader', " . ($_ eq 'pool' ? 'true' : 'false') . ');' } @roles));
	return map { $server->safe_psql($database, "SELECT mt_create_token('acme', '$_', '{sql}')") } qw(first second);
}

# A statement that is refused so many times and goes on. $call is an expression in which "attempt" is the number of the refusal.
sub refusals
{
	my ($count, $call) = @_;
	my $mark = MARK;
	return "DO \$\$ /* $mark */ BEGIN FOR attempt IN 1..$count LOOP BEGIN PERFORM $call; RAISE EXCEPTION 'it was not refused';"
	  . ' EXCEPTION WHEN insufficient_privilege THEN NULL; END; END LOOP; END $$';
}

sub refuse
{
	my ($server, $role, $count, $call, $database) = @_;
	$server->safe_psql($database // 'postgres', refusals($count, $call), extra_params => [ '-U', $role ]);
}

# Refused to a role of its own, after all that is to be stored before.
my $markers = 0;

sub all_is_stored
{
	my ($database) = @_;
	my $tenant = 'marker-' . ++$markers;
	refuse($node, 'marker', 1, "mt_readiness('$tenant')", $database);
	return poll($node, "SELECT count(*) = 1 FROM mt_security_alerts WHERE tenant_asked = '$tenant'", $database);
}

sub alerts
{
	my ($columns, $role, $database) = @_;
	return $node->safe_psql($database // 'postgres', "SELECT $columns FROM mt_security_alerts WHERE session_role = '$role'");
}

# The lines in the log about refusals to a session role, as [tenant, detail].
sub log_lines
{
	my ($server, $role) = @_;
	my $log = slurp_file($server->logfile);
	return $log =~ /LOG:  mindtickle: refused tenant "[^"\n]*" to role "\Q$role\E"\n[^\n]*DETAIL:  Session role "\Q$role\E", ([^\n]*)\n/g;
}

# Asserts that these refusals, which began at that time, left a line and not more than one for each second.
sub log_is_bounded
{
	my ($server, $role, $began, $what) = @_;
	my $seconds = int(time() - $began);
	my $lines = () = log_lines($server, $role);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($lines >= 1 && $lines <= $seconds + 1, $what) or diag("$lines lines in $seconds seconds");
}

$node->safe_psql('postgres', join(';', map { "CREATE ROLE $_ LOGIN" } @roles));
my ($token, $second_token) = set_up($node, 'postgres');

# One kind of attempt, over and over.
my $began = time();
refuse($node, 'flood', 100_000, "mt_readiness('globex')");
log_is_bounded($node, 'flood', $began, 'a flood leaves a line in the log, and at most one a second');
ok(all_is_stored(), 'alerts are stored during and after the flood');
is(alerts('count(*), sum(count), min(tenant_asked), min(object), min(client_addr)', 'flood'), '1|100000|globex|mt_readiness|', '100,000 refusals are one row, with their number');
like((log_lines($node, 'flood'))[0], qr/^client local, database "postgres", tenant in force "acme", object mt_readiness; 0 more since the last line about this session role\.$/,
	'the line says who, where and at what');

# Many kinds.
$began = time();
refuse($node, 'names', 20_000, "mt_readiness('guess-' || attempt)");
log_is_bounded($node, 'names', $began, 'so do many kinds of attempts');
ok(all_is_stored(), 'they are stored');
is(alerts('sum(count)', 'names'), 20_000, '20,000 tenants asked for are counted exactly');
is(alerts('count(*), count(*) FILTER (WHERE tenant_asked IS NULL AND object IS NULL), sum(count) FILTER (WHERE tenant_asked IS NULL)', 'names'), '65|1|19936',
	'in 64 rows and one for all others');

# Tokens: a wrong one, and a right one for the wrong tenant and in the wrong place.
my $wrong = 'mtk_' . '0badc0de' x 8;
refuse($node, 'wrong_token', 50, "mt_set_tenant('acme', '$wrong')");
refuse($node, 'wrong_token', 50, "mt_set_tenant('globex', '$token')");
$node->psql('postgres', "SELECT mt_readiness('$token')", extra_params => [ '-U', 'wrong_token' ], stderr => \my $error);
like($error, qr/ERROR:  invalid tenant id/, 'a token in place of the tenant is refused');
ok(all_is_stored(), 'alerts of tokens are stored');
is(alerts(q(string_agg(tenant_asked || ' ' || count, ', ' ORDER BY tenant_asked)), 'wrong_token'), 'acme 50, globex 50, mtk_*** 1', 'without the token');

# Over TCP.
$node->safe_psql('postgres', refusals(3, "mt_readiness('globex')"), connstr => 'host=127.0.0.1 port=' . $node->port . ' user=tcp dbname=postgres');
ok(all_is_stored(), 'alerts over TCP are stored');
is(alerts('client_addr, count', 'tcp'), '127.0.0.1|3', 'with the address');
like((log_lines($node, 'tcp'))[0], qr/^client 127\.0\.0\.1, /, 'so is the line in the log');

# A tenant given as the connection is made, in bytes that are of no encoding: what is not printable is not shown, and nothing else comes of it.
{
	local $ENV{PGOPTIONS} = "-c mindtickle.tenant=gl\xff\xc3bex\x80";
	my @server = (extra_params => [ '-U', 'bytes', '-v', 'VERBOSITY=sqlstate' ], on_error_stop => 0);
	my ($status, $out, $err) = $node->psql('postgres', q(SELECT count(*), count(mt_current_tenant()) FROM mt_users; SELECT tenant_id IS NULL, reason FROM mt_whoami(); SELECT mt_readiness('acme');
		BEGIN; SELECT mt_set_tenant('acme'); SELECT count(*) FROM mt_users; COMMIT; SELECT count(*) FROM mt_users), @server);
	is($out, "0|0\nt|the setting mindtickle.tenant names no tenant that this role may act for without a token\n\n1\n0", 'a tenant in bytes that are no text is none, until one is set');
	is($err, 'psql:<stdin>:1: ERROR:  42501', 'functions refuse');
}
ok(all_is_stored(), 'its alerts are stored');
is(alerts(q(string_agg(DISTINCT tenant_asked || ' ' || object, ', ' ORDER BY tenant_asked || ' ' || object)), 'bytes'), 'acme mt_readiness, gl??bex? mindtickle.tenant', 'with ? for the bytes');
like((log_lines($node, 'bytes'))[0], qr/^client local, .* object mindtickle\.tenant;/, 'so is the line in the log');

# Two databases with the same tenants and roles.
$node->safe_psql('postgres', 'CREATE DATABASE other');
set_up($node, 'other');
refuse($node, 'away', 20, "mt_readiness('globex')", 'other');
refuse($node, 'away', 7, "mt_readiness('globex')");
ok(all_is_stored() && all_is_stored('other'), 'alerts of two databases are stored');
is(alerts('database, count', 'away'), 'postgres|7', 'those of the first are in it');
is(alerts('database, count', 'away', 'other'), 'other|20', 'those of the second there');

# Listeners: any role may, and learns nothing but that there was something.
my $listener = $node->background_psql('postgres', on_error_stop => 1, extra_params => [ '-U', 'told' ]);
my $answer = $listener->query_safe('LISTEN "mindtickle.alert"');
refuse($node, 'told', 2, "mt_readiness('globex')");
like(wait_for_notification($listener, $answer), qr/^Asynchronous notification "mindtickle\.alert" received from server process with PID \d+\.$/m, 'a listener is told, without a payload');
ok(poll($node, q(SELECT sum(count) = 2 FROM mt_security_alerts WHERE session_role = 'told')), 'and the row is there');
$listener->quit;

# A queue of notifications that somebody has filled lets no NOTIFY commit. Alerts are stored all the same.
$listener = $node->background_psql('postgres', on_error_stop => 1);
$answer = $listener->query_safe('LISTEN "mindtickle.alert"');
my $usage = $node->safe_psql('postgres', q(SELECT pg_get_functiondef('mindtickle.notification_usage'::regproc)));
$node->safe_psql('postgres', q(CREATE OR REPLACE FUNCTION mindtickle.notification_usage() RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8'));
refuse($node, 'bytes', 1, "mt_readiness('globex')");
ok(all_is_stored(), 'with a queue of notifications that is full alerts are stored');
$node->safe_psql('postgres', q(NOTIFY "mindtickle.alert", 'of the test'));
is(join(' ', wait_for_notification($listener, $answer) =~ /Asynchronous notification "mindtickle\.alert" (.*?) ?received/g), 'with payload "of the test"', 'and nobody is told');
$node->safe_psql('postgres', $usage);
$listener->quit;

# What a clock that was ahead has written is not added to.
$node->safe_psql('postgres', q(UPDATE mindtickle.security_alert SET at = at + interval '1 day', last_at = last_at + interval '1 day' WHERE session_role = 'bytes'));
refuse($node, 'bytes', 2, "mt_readiness('globex')");
ok(all_is_stored(), 'alerts are stored beside some of tomorrow');
is($node->safe_psql('postgres', q(SELECT string_agg(count::text, ',') FROM mt_security_alerts WHERE session_role = 'bytes' AND at <= now())), '2', 'with their own moment');

# Without NOTIFY there are the rows. Notifications come in the order of commits, so the last one shows that none was before it.
$node->append_conf('postgresql.conf', 'mindtickle.notify = off');
$node->restart;
$listener = $node->background_psql('postgres', on_error_stop => 1);
$answer = $listener->query_safe('LISTEN "mindtickle.alert"');
refuse($node, 'told', 3, "mt_readiness('globex')");
ok(all_is_stored(), 'with notify off alerts are stored');
is(alerts('sum(count)', 'told'), 5, 'all of them');
$node->safe_psql('postgres', q(NOTIFY "mindtickle.alert", 'of the test'));
my @heard = wait_for_notification($listener, $answer) =~ /Asynchronous notification "mindtickle\.alert" (.*?) ?received/g;
is("@heard", 'with payload "of the test"', 'and nobody is told');
$listener->quit;

# What was stored before a restart is there, once; attempts after it are counted.
refuse($node, 'last', 11, "mt_readiness('globex')");
ok(poll($node, q(SELECT count(*) = 1 FROM mt_security_alerts WHERE session_role = 'last')), 'an alert is stored at once');
refuse($node, 'last', 31, "mt_readiness('globex')");
ok(poll($node, q(SELECT sum(count) = 42 FROM mt_security_alerts WHERE session_role = 'last')), 'the next ones within the second that follows');
$node->restart;
ok(all_is_stored(), 'alerts are stored after a restart');
is(alerts('count(*), sum(count)', 'last'), '1|42', 'which neither loses nor doubles those before it');
refuse($node, 'last', 8, "mt_readiness('globex')");
ok(all_is_stored(), 'and so are the same attempts');
is(alerts('count(*), sum(count)', 'last'), '1|50', 'in the same row');

# Publishers that end while attempts are counted and stored: the flood goes on until it gets a lock, and says then how many there were.
my $lock = $node->background_psql('postgres', on_error_stop => 1);
$lock->query_safe('SELECT pg_advisory_lock(16)');
my $endless = q(DO $$ DECLARE attempts int := 0; BEGIN LOOP BEGIN PERFORM mt_readiness('globex'); EXCEPTION WHEN insufficient_privilege THEN attempts := attempts + 1; END;
	EXIT WHEN attempts % 100 = 0 AND pg_try_advisory_lock(16); END LOOP; RAISE NOTICE 'there were % attempts', attempts; END $$);
my $flood = IPC::Run::start([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' user=ended', '-c', $endless ],
	'>', \my $output, '2>', \my $said);
ok(poll($node, q(SELECT count(*) = 1 FROM mt_security_alerts WHERE session_role = 'ended')), 'a flood has begun');
my $publisher = 0;
for my $round (1 .. 5)
{
	my $stored = alerts('sum(count)', 'ended');
	$publisher = worker_pid($node, 'mindtickle publisher', "$publisher AND datname = 'postgres'");
	ok(poll($node, "SELECT sum(count) > $stored FROM mt_security_alerts WHERE session_role = 'ended'"), "publisher $round stores alerts");
	is($node->safe_psql('postgres', "SELECT pg_terminate_backend($publisher)"), 't', 'and is ended');
}
$lock->quit;
ok($flood->finish, 'the flood comes to its end') or diag($said);
my ($attempts) = $said =~ /there were (\d+) attempts/;
ok(all_is_stored(), 'the next publisher stores what is left');
is(alerts('count(*), sum(count)', 'ended'), "1|$attempts", 'nothing is lost or counted twice');

# On a standby.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $rows = $standby->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.security_alert');
my ($status, undef, $refusal) = $standby->psql('postgres', q(SELECT mt_readiness('globex')), extra_params => [ '-U', 'reader', '-v', 'VERBOSITY=sqlstate' ]);
is($refusal, 'psql:<stdin>:1: ERROR:  42501', 'a standby refuses with the same error');
is(scalar(my @one = log_lines($standby, 'reader')), 1, 'and a line in its log');
$began = time();
refuse($standby, 'standby_flood', 50_000, "mt_readiness('globex')");
log_is_bounded($standby, 'standby_flood', $began, 'a flood there leaves at most a line a second');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.security_alert'), $rows, 'and no row');

# A session there, as a role; returns it and a function that asks it how many users it sees with a token of acme.
sub standby_session
{
	my ($role, $shown_token) = @_;
	my $session = $standby->background_psql('postgres', on_error_stop => 1, extra_params => [ '-U', $role ]);
	my $enter = defined $shown_token ? "SELECT 'entered' || mt_set_tenant('acme', '$shown_token')" : "SELECT 'entered' || mt_set_tenant('acme')";
	return ($session, $enter);
}

# Tokens and grants there: what ends on the primary ends for a session in the middle of its transaction, whatever its snapshot.
is($standby->safe_psql('postgres', 'SELECT count(*) FROM mt_users', extra_params => [ '-U', 'pool' ]), 0, 'a role that needs a token sees nothing on the standby');
my ($with_first, $enter_first) = standby_session('pool', $token);
my ($with_second, $enter_second) = standby_session('pool', $second_token);
my ($with_grant, $enter_grant) = standby_session('reader');
is($with_first->query_safe("BEGIN; $enter_first"), 'entered', 'it enters with its token');
is($with_first->query_safe('SELECT count(*) FROM mt_users'), 1, 'and sees the rows');
is($with_second->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $enter_second"), 'entered', 'another session enters with the other token, in REPEATABLE READ');
is($with_second->query_safe('SELECT count(*) FROM mt_users'), 1, 'and sees the rows');
is($with_grant->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $enter_grant"), 'entered', 'a third one by its grant');
is($with_grant->query_safe('SELECT count(*) FROM mt_users'), 1, 'and sees the rows');

$node->safe_psql('postgres', q(SELECT mt_revoke_token('acme', 'first')));
$node->wait_for_catchup($standby);
is($with_first->query_safe('SELECT count(*) FROM mt_users'), 0, 'a token revoked on the primary ends in an open transaction on the standby');
is($with_second->query_safe('SELECT count(*) FROM mt_users'), 1, 'the other one lives');
$node->safe_psql('postgres', q(SELECT mt_revoke_token('acme', 'second'); SELECT mt_revoke_tenant('acme', 'reader')));
$node->wait_for_catchup($standby);
is($with_second->query_safe('SELECT count(*) FROM mt_users'), 0, 'a token ends in REPEATABLE READ');
is($with_grant->query_safe('SELECT count(*) FROM mt_users'), 0, 'so does a grant');
$_->quit foreach $with_first, $with_second, $with_grant;
($status, undef, $refusal) = $standby->psql('postgres', "SELECT mt_set_tenant('acme', '$token')", extra_params => [ '-U', 'pool' ]);
like($refusal, qr/ERROR:  permission denied for tenant "acme"/, 'the revoked token does not enter again');
$standby->stop('fast');

# Nothing of the statements is in the lines, nor of the tokens.
foreach my $server ($node, $standby)
{
	my $lines = join("\n", grep { /mindtickle: refused|Session role/ } split /\n/, slurp_file($server->logfile));
	unlike($lines, qr/mtk_[0-9a-f]|\Q${\MARK}\E/, 'no token and no statement is in the lines about refusals of ' . $server->name);
	ok(!$server->log_contains(substr($_, 4)), 'no token is in its log') foreach $wrong, $token, $second_token;
	ok(!$server->log_contains(MARK), 'nor a statement');
}
$node->stop('fast');

# Without the preload.
my $plain = start_node('plain', preload => 0, configuration => $quiet);
$plain->safe_psql('postgres', join(';', map { "CREATE ROLE $_ LOGIN" } @roles));
set_up($plain, 'postgres');
($status, undef, $refusal) = $plain->psql('postgres', q(SELECT mt_readiness('globex')), extra_params => [ '-U', 'reader', '-v', 'VERBOSITY=sqlstate' ]);
is($refusal, 'psql:<stdin>:1: ERROR:  42501', 'without the preload the error is the same');
is(scalar(my @plain_one = log_lines($plain, 'reader')), 1, 'and a line is in the log');
$began = time();
refuse($plain, 'flood', 50_000, "mt_readiness('globex')");
log_is_bounded($plain, 'flood', $began, 'a flood of a session leaves at most a line a second');
ok(!$plain->log_contains(MARK), 'without the statement');
is($plain->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.security_alert'), 0, 'and no row');
$plain->stop('fast');
done_testing();
