# A server that does not preload the library: mt_check says so and what to do, the functions work, isolation holds; and once the remedies are
# followed, mt_check is content and the workers are there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary', preload => 0, configuration => "log_statement = all\nlog_parameter_max_length_on_error = 64\n");
add_extension($node);
$node->safe_psql('postgres', q(CREATE ROLE reader LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	SELECT mt_create_tenant('acme', 'Acme'), mt_create_tenant('globex', 'Globex'), mt_grant_tenant('acme', 'reader', 'writer')));

sub findings
{
	my ($column, @connection) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM mt_check() WHERE NOT passed", @connection);
}

# Follows the remedy of the first finding of this name, which is a line of postgresql.conf.
sub follow_remedy
{
	my ($check_name) = @_;
	my $remedy = $node->safe_psql('postgres', "SELECT remedy FROM mt_check() WHERE NOT passed AND check_name = '$check_name' LIMIT 1");
	like($remedy, qr/^\w+ = \S+  # in postgresql\.conf, then /, "the remedy of $check_name is a line of postgresql.conf");
	$node->append_conf('postgresql.conf', $remedy);
}

is(findings('check_name'), "library_preloaded\nparameters_logged\nparameters_logged", 'the library that is not preloaded is found, and what is logged without it');
like(findings('detail'), qr/^the library is not in shared_preload_libraries: no worker runs, .*, and tokens in logged parameters are not redacted\n/, 'in words');
like(findings('detail'), qr/\(log_parameter_max_length_on_error = 64B?\).*\n.*\(log_statement = all\)/, 'with the settings that log parameters');
is(findings('check_name', extra_params => [ '-U', 'watcher' ]), findings('check_name'), 'a member of pg_monitor is told the same');

# The functions do without.
is($node->safe_psql('postgres', q(SELECT mt_provision_user('acme', '{"userId": "u1", "email": "u1@acme.example"}');
	SELECT mt_upsert_progress('acme', 'u1', '[{"courseId": "c1", "status": "completed"}]'); SELECT completion_rate FROM mt_aggregate_readiness('acme');
	SELECT count(*) FROM mt_users), extra_params => [ '-U', 'reader' ]), "u1\n1\n1.0000\n1", 'a tenant writes and reads');
my ($status, undef, $refusal) = $node->psql('postgres', q(SELECT mt_readiness('globex')), extra_params => [ '-U', 'reader' ]);
like($refusal, qr/^psql:<stdin>:1: ERROR:  permission denied for tenant "globex"/, 'and reaches no other');
is($node->safe_psql('postgres', 'SELECT bool_and(passed) FROM mt_verify_isolation()'), 't', 'isolation is proven');
$node->safe_psql('postgres', q(CREATE ROLE pool LOGIN; SELECT mt_grant_tenant('acme', 'pool', 'reader', true)));
($status, undef, $refusal) = $node->psql('postgres', 'SELECT mt_current_tenant(); PREPARE kept AS SELECT 1', extra_params => [ '-U', 'pool' ]);
like($refusal, qr/ERROR:  permission denied for PREPARE\n/, 'a pooled role leaves no statement behind in a session that has called a function');
$node->safe_psql('postgres', q(SELECT mt_revoke_tenant('acme', 'pool')));

# What is logged, until no parameter is.
follow_remedy('parameters_logged');
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM mt_check() WHERE check_name = 'parameters_logged' AND NOT passed)), 'one setting less logs parameters');
follow_remedy('parameters_logged');
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT passed FROM mt_check() WHERE check_name = 'parameters_logged')), 'none does any more');

# Preloaded, whatever else is.
follow_remedy('library_preloaded');
$node->restart;
ok(poll($node, 'SELECT bool_and(passed) FROM mt_check()'), 'with the library preloaded nothing is found');
is($node->safe_psql('postgres', 'SHOW shared_preload_libraries'), 'mindtickle', 'as the remedy says');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = ' pg_prewarm , "$libdir/mindtickle.so"'));
$node->restart;
ok(poll($node, 'SELECT bool_and(passed) FROM mt_check()'), 'nor where it is named in full, among others');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = 'pg_prewarm'));
$node->restart;
is($node->safe_psql('postgres', q(SELECT remedy FROM mt_check() WHERE check_name = 'library_preloaded')),
	q(shared_preload_libraries = 'pg_prewarm, mindtickle'  # in postgresql.conf, then restart the server), 'the remedy keeps the other libraries');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = 'pg_prewarm, mindtickle'));
$node->restart;

# Workers that cannot be there, and those that need not.
ok(poll($node, 'SELECT bool_and(passed) FROM mt_check()'), 'the workers are back');
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
is(findings("check_name || ': ' || detail"), 'workers: there is no launcher, and so no worker: when the server was started, it had no worker slot left', 'a launcher that found no slot');
$node->append_conf('postgresql.conf', q(shared_preload_libraries = 'mindtickle'));
$node->restart;
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle launcher')), 'with one slot for it the launcher runs');
is(findings("check_name || ': ' || detail"),
	'workers: in this database there is no aggregator worker and no publisher worker and no sync worker; unless one has just ended and comes back by itself, there is no worker slot left', 'workers that find none');
follow_remedy('workers');
$node->restart;
ok(poll($node, 'SELECT bool_and(passed) FROM mt_check()'), 'all are there once there are slots');
$node->append_conf('postgresql.conf', q(mindtickle.databases = 'elsewhere'));
$node->reload;
ok(poll($node, q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('mindtickle publisher', 'mindtickle aggregator', 'mindtickle sync'))), 'a database that is not named has no workers');
is($node->safe_psql('postgres', q(SELECT passed FROM mt_check() WHERE check_name = 'workers')), 't', 'and is expected to have none');
$node->stop('fast');
done_testing();
