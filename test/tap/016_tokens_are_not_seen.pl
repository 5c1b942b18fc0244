# A token that is given as a bind parameter is seen nowhere: not in pg_stat_activity, pg_settings or pg_stat_statements, not in an error, and not in the
# server log in any of its formats, whatever it is told to log. One that is written as a literal, right or wrong, is blotted out of the log too. And a
# token of one database opens nothing in another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary', configuration => <<'END');
shared_preload_libraries = 'mindtickle, pg_stat_statements, auto_explain'
pg_stat_statements.track_utility = on
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_nested_statements = on
logging_collector = on
log_destination = 'stderr, csvlog, jsonlog'
log_directory = 'log'
log_filename = 'server'
log_rotation_size = 0
log_statement = all
log_duration = on
log_min_duration_statement = 0
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
log_error_verbosity = verbose
log_min_error_statement = debug5
log_min_messages = debug1
track_activity_query_size = 64kB
END
add_extension($node);
$node->safe_psql('postgres', <<'END');
CREATE EXTENSION pg_stat_statements;
CREATE ROLE pool LOGIN;
SELECT mt_create_tenant('acme', 'Acme'), mt_create_tenant('globex', 'Globex');
SELECT mt_grant_tenant('acme', 'pool', 'writer', true), mt_grant_tenant('globex', 'pool', 'reader', true);
SELECT mt_provision_user('acme', '{"userId": "u"}');
END
my @tokens = map { $node->safe_psql('postgres', "SELECT mt_create_token('acme', '$_', '{sql}')") } qw(first second);
my ($token, $literal) = @tokens;
my $wrong = $token;
$wrong =~ tr/0-9a-f/1-9a-f0/;
my @secrets = map { substr($_, 4) } $token, $literal, $wrong;

# As they are, and as debug_print_plan shows a constant: the number of each byte, in lines.
sub secrets_in
{
	my ($text) = @_;
	my @bytes = map { join('(?:\\s|\\\\n)+', map { ord } split //, substr($_, 0, 16)) } @secrets;
	return scalar(grep { index(lc $text, $_) >= 0 } @secrets) + scalar(grep { $text =~ /\b$_\b/ } @bytes);
}

# Runs a script as the pool by the extended protocol, where :token and :tenant are bind parameters. Returns exit status and what was said.
my $script = PostgreSQL::Test::Utils::tempdir() . '/script';
sub start_bound
{
	my ($mode, $shown, $text, $tenant) = @_;
	my ($out, $err) = ('', '');

	open(my $file, '>', $script) or die;
	print $file $text;
	close $file;
	my $run = IPC::Run::start([ 'pgbench', '-n', '-M', $mode, '-c', 1, '-t', 1, '-D', "token=$shown", '-D', 'tenant=' . ($tenant // 'acme'), '-f', $script,
			'-h', $node->host, '-p', $node->port, '-U', 'pool', 'postgres' ], '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return sub { $run->finish; return ($run->result(0), $out . $err) };
}

# As a superuser, everything of the pool's session that there is to be seen, once it waits for the lock.
sub seen_waiting
{
	my ($marker) = @_;
	poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'pool' AND wait_event_type = 'Lock' AND query LIKE '%$marker%'") or return '';
	return $node->safe_psql('postgres', q(SELECT query FROM pg_stat_activity WHERE usename = 'pool'; SELECT a::text FROM pg_stat_activity AS a; SELECT l::text FROM pg_locks AS l;
		SELECT s::text FROM pg_stat_statements AS s; SELECT s::text FROM pg_settings AS s; SELECT r::text FROM pg_db_role_setting AS r));
}

# A right one, looked at before it is used, and while it is in force.
foreach my $mode (qw(extended prepared))
{
	my $holder = $node->background_psql('postgres', on_error_stop => 1);
	$holder->query_safe('SELECT pg_advisory_lock(7), pg_advisory_lock(8)');
	my $finish = start_bound($mode, $token, "BEGIN;\nSELECT 'entering $mode', pg_advisory_xact_lock(7), mt_set_tenant(:tenant, :token);\n"
		  . "SELECT 1 / (count(*) = 0)::int FROM pg_settings AS s WHERE strpos(s::text, :token) > 0;\n"
		  . "SELECT 'inside $mode', 1 / count(*), pg_advisory_xact_lock(8) FROM mt_users WHERE tenant_id = :tenant;\nCOMMIT;\n");

	my $seen = seen_waiting("entering $mode");
	like($seen, qr/^SELECT 'entering $mode', pg_advisory_xact_lock\(7\), mt_set_tenant\(\$1, \$2\);/, "the statement is seen with its parameters' numbers ($mode)");
	is(secrets_in($seen), 0, 'and without the token, before it is used');
	$holder->query_safe('SELECT pg_advisory_unlock(7)');
	is(secrets_in(seen_waiting("inside $mode")), 0, 'and while it is in force');
	$holder->query_safe('SELECT pg_advisory_unlock(8)');
	my ($status, $said) = $finish->();
	is($status, 0, 'the token opens its tenant') or diag($said);
	is(secrets_in($said), 0, 'and is not said');
	$holder->quit;
}

# A wrong one.
foreach my $mode (qw(extended prepared))
{
	my ($status, $said) = start_bound($mode, $wrong, "SELECT mt_set_tenant(:tenant, :token);\n")->();
	isnt($status, 0, "a wrong one is refused ($mode)");
	like($said, qr/ERROR:  permission denied for tenant "acme"/, 'in these words');
	is(secrets_in($said), 0, 'and not said');
}
my $statements = $node->safe_psql('postgres', 'SELECT s::text FROM pg_stat_statements AS s');
like($statements, qr/mt_set_tenant\(\$1, \$2\)/, 'pg_stat_statements has the statements');
is(secrets_in($statements), 0, 'and no token');

# In what anybody may have printed of the statements.
my $printing = join('', map { "SET debug_print_$_ = on;\n" } qw(parse rewritten plan));
foreach my $mode (qw(extended prepared))
{
	my ($status, $said) = start_bound($mode, $token, "${printing}SELECT mt_set_tenant(:tenant, :token), 'printed $mode';\n")->();
	is($status, 0, "a statement is printed ($mode)") or diag($said);
}
ok(!$node->psql('postgres', "$printing SELECT mt_set_tenant('acme', '$literal')", extra_params => [ '-U', 'pool' ]), 'also with literals');

# As literals, in the wrong place, and in statements that fail.
my %outcome = (
	"SELECT mt_set_tenant('acme', '$literal'), (SELECT count(*) FROM mt_users)" => qr/^$/,
	"PREPARE enter AS SELECT mt_set_tenant('acme', '$literal')" => qr/permission denied for PREPARE/,
	"DO \$\$ BEGIN PERFORM mt_set_tenant('acme', '$literal'); END \$\$" => qr/^$/,
	"EXPLAIN (ANALYZE, VERBOSE) SELECT mt_set_tenant('acme', '$literal')" => qr/^$/,
	"BEGIN; DECLARE c CURSOR FOR SELECT mt_set_tenant('acme', '$literal'); FETCH c; COMMIT" => qr/^$/,
	"SELECT mt_set_tenant('acme', '$wrong')" => qr/permission denied for tenant "acme"/,
	"SELECT mt_set_tenant('globex', '$literal')" => qr/permission denied for tenant "globex"/,
	"SELECT mt_set_tenant('$literal', 'acme')" => qr/ERROR:  invalid tenant id\nDETAIL:  A tenant id has/,
	"SELECT mt_readiness('$literal')" => qr/ERROR:  invalid tenant id\n/,
	"SET mindtickle.tenant = '$literal'; SELECT count(*) FROM mt_users" => qr/^$/,
	"SELEC '$literal'" => qr/syntax error/,
	"SELECT mt_set_tenant('acme', '$literal', 'too many')" => qr/does not exist/);
foreach my $statement (sort keys %outcome)
{
	my ($status, undef, $said) = $node->psql('postgres', $statement, extra_params => [ '-U', 'pool' ]);
	(my $name = $statement) =~ s/mtk_[0-9a-f]+/mtk_/g;
	like($said, $outcome{$statement}, $name);
}

# Some megabytes of tokens in one statement, which are logged several times: that takes memory of the statement's order, and none is left.
my $peak = q(SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+) kB'))[1]);
my $many = join(',', map { sprintf('mtk_%064x', $_ * 7919 + 2**40) } 1 .. 30_000, 0x5eed) . ",$literal";
my ($peak_before, $length, $peak_after) = split(/\n/, (
		$node->psql('postgres', "$peak;\nSELECT length('$many');\nSELECT length('$many') + 'x';\n$peak;\n", on_error_stop => 0))[1]);
is($length, length($many), 'a statement of ' . int(length($many) / 1e6) . ' MB with 30,000 tokens is run');
cmp_ok($peak_after - $peak_before, '<', 25 * length($many) / 1024, 'in memory of its order') or diag("$peak_before to $peak_after kB");

# The alerts tell of them without what was said.
ok(poll($node, "SELECT count(*) >= 3 FROM mindtickle.security_alert WHERE session_role = 'pool' AND object = 'mt_set_tenant'"), 'there are alerts');
is(secrets_in($node->safe_psql('postgres', 'SELECT a::text FROM mindtickle.security_alert AS a')), 0, 'without a token');

# Another database of the cluster, where tenant and role are called the same, and the token has the same number.
$node->safe_psql('postgres', 'CREATE DATABASE other');
add_extension($node, 'other');
my $theirs = $node->safe_psql('other', q(SELECT mt_create_tenant('acme', 'Acme'), mt_grant_tenant('acme', 'pool', 'writer', true) \g /dev/null
	SELECT mt_create_token('acme', 'first', '{sql}')));
is($node->safe_psql($_, q(SELECT min(token_id) FROM mindtickle.api_token)), 1, "number 1 in $_") foreach qw(postgres other);
foreach my $case ([ 'postgres', $token, qr/^acme$/ ], [ 'other', $theirs, qr/^acme$/ ], [ 'postgres', $theirs, qr/permission denied/ ], [ 'other', $token, qr/permission denied/ ])
{
	my ($database, $shown, $expected) = @$case;
	my ($status, $out, $err) = $node->psql($database, "BEGIN; SELECT mt_set_tenant('acme', '$shown') \\g /dev/null\nSELECT mt_current_tenant()", extra_params => [ '-U', 'pool' ]);
	like($out . $err, $expected, "in $database, the token of " . ($shown eq $token ? 'postgres' : 'other'));
}
push @secrets, substr($theirs, 4);

# The log, in each of its formats.
$node->stop;
foreach my $file (glob($node->data_dir . '/log/*'), $node->logfile)
{
	my $text = slurp_file($file);
	(my $name = $file) =~ s{.*/}{};
	is(secrets_in($text), 0, "no token in $name") or diag(map { substr($_, 0, 1000) } grep { secrets_in($_) } split(/^/m, $text));
	ok($text !~ /mtk_[0-9a-f]{8}/, 'nor any of the many');
	next if $file eq $node->logfile;
	like($text, qr/109\s+116\s+107\s+95\s+\*/, 'also where it was printed in bytes');
	cmp_ok(scalar(() = $text =~ /mtk_\*\*\*/g), '>=', 30, 'though they were logged there');
	like($text, qr/\$2 = '+mtk_\*\*\*/, 'also as parameters');
}

done_testing();
