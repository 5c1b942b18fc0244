# Workers are never in the way: databases with workers are dropped, renamed and copied, the extension is dropped and made again, the service
# role is missing, a standby is left alone and takes over. And where the library is not preloaded, all but the workers works.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary', allows_streaming => 1);
my $workers = q(SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher') AND datname = ');

sub workers_in
{
	my ($database, $what) = @_;
	ok($node->poll_query_until('postgres', "$workers$database'"), $what);
}

# Without the service role the workers wait and say so.
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', 'CREATE EXTENSION mindtickle');
workers_in('one', 'CREATE EXTENSION brings workers');
ok( $node->poll_query_until('postgres',
		q(SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type LIKE 'mindtickle %' AND query = 'waiting: the extension is not set up')),
	'without the service role they wait, and pg_stat_activity says so');
ok($node->log_contains('CREATE ROLE mindtickle_service NOLOGIN; SELECT mt_setup\(\);'), 'so does the log');
my ($status, undef, $error) = $node->psql('one', 'SELECT mt_setup()');
isnt($status, 0, 'mt_setup without the role fails');
like($error, qr/HINT:  CREATE ROLE mindtickle_service NOLOGIN; SELECT mt_setup\(\);/, 'with the two commands as a hint');
$node->safe_psql('one', 'CREATE ROLE mindtickle_service NOLOGIN; SELECT mt_setup()');
ok( $node->poll_query_until('postgres',
		q(SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher') AND query <> 'waiting: the extension is not set up')),
	'mt_setup ends the wait');

# It wakes them when they can see what it has done: one that looks too early would sleep for another minute.
my $slow = 0;
foreach my $round (1 .. 10)
{
	$node->safe_psql('postgres', 'CREATE DATABASE woken');
	$node->safe_psql('woken', 'CREATE EXTENSION mindtickle');
	my $of_it = q(SELECT count(*) = 3 FROM pg_stat_activity WHERE datname = 'woken' AND backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher') AND query);
	$node->poll_query_until('postgres', "$of_it = 'waiting: the extension is not set up'") or die "no workers\n";
	my $began = $node->safe_psql('woken', 'SELECT clock_timestamp() FROM mt_setup()');
	$node->poll_query_until('postgres', "$of_it <> 'waiting: the extension is not set up'") or die "they go on waiting\n";
	$slow++ if $node->safe_psql('woken', "SELECT clock_timestamp() > '$began'::timestamptz + interval '30 seconds'") eq 't';
	$node->safe_psql('postgres', 'DROP DATABASE woken');
}
is($slow, 0, 'in ten databases, one after the other, at once');

# An event written after all that is published.
$node->safe_psql('one', q(SELECT mt_create_tenant('acme', 'Acme'); SELECT mt_provision_user('acme', '{"email": "a@acme.example"}')));
ok($node->poll_query_until('one', 'SELECT count(*) = 1 FROM mt_events'), 'an event is published');

$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
workers_in('two', 'a copy of a database gets workers of its own');
workers_in('one', 'the original has its workers again');
$node->safe_psql('postgres', 'ALTER DATABASE two RENAME TO three');
workers_in('three', 'a renamed database has workers');
$node->safe_psql('postgres', 'DROP DATABASE three');
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE datname = 'three')), 0, 'a dropped database has none');

$node->safe_psql('one', 'DROP EXTENSION mindtickle; CREATE EXTENSION mindtickle; SELECT mt_setup()');
$node->safe_psql('one', q(SELECT mt_create_tenant('acme', 'Acme'); SELECT mt_provision_user('acme', '{"email": "a@acme.example"}')));
ok($node->poll_query_until('one', 'SELECT count(*) = 1 FROM mt_events'), 'events are published after DROP and CREATE EXTENSION');

my $figures = $node->safe_psql('one', q(
	SELECT (mt_readiness('acme')).learners, (mt_aggregate_readiness('acme')).learners;
	DROP EXTENSION mindtickle; CREATE EXTENSION mindtickle; SELECT mt_setup(); SELECT mt_create_tenant('acme', 'Acme');
	SELECT (mt_readiness('acme')).learners, (mt_aggregate_readiness('acme')).learners, r FROM mt_readiness('acme') AS r;));
like($figures, qr/^1\|1\n.*\n0\|0\|\(acme,,,0,.*\)$/s, 'a session that has read reports before reads those of the new extension');
$node->safe_psql('one', q(SELECT mt_provision_user('acme', '{"email": "a@acme.example"}')));
ok($node->poll_query_until('one', 'SELECT count(*) = 2 FROM mt_events'), 'and the workers serve it');

# A role that may not drop the database cannot send its workers away.
my $before = worker_pid($node, 'mindtickle sync', "0 AND datname = 'one'");
$node->safe_psql('postgres', 'CREATE ROLE passer_by');
$node->psql('postgres', 'SET ROLE passer_by; DROP DATABASE one');
is($node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle sync' AND datname = 'one')),
	$before, 'DROP DATABASE by somebody else leaves the workers alone');

# Library and SQL of different versions: one clear error, and workers that wait instead of failing.
$node->safe_psql('one', q(UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'mindtickle'));
(undef, undef, $error) = $node->psql('one', q(SELECT * FROM mt_readiness('acme')));
like($error, qr/ERROR:  the library of mindtickle is version 0\.1\.0, the extension in this database is version 0\.0\.9\nHINT:/, 'a version that does not fit is named');
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher')));
ok( $node->poll_query_until('postgres', q(SELECT count(*) = 3 FROM pg_stat_activity WHERE query = 'waiting: the extension is not set up')),
	'the workers wait for the versions to fit');
$node->safe_psql('one', q(UPDATE pg_extension SET extversion = '0.1.0' WHERE extname = 'mindtickle'; SELECT mt_setup()));
ok( $node->poll_query_until('postgres',
		q(SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher') AND query <> 'waiting: the extension is not set up')),
	'and go on when they do');

# Where mindtickle.databases does not name a database, its workers leave at the reload, and they come back when it does.
$node->append_conf('postgresql.conf', "mindtickle.databases = 'elsewhere'");
$node->reload;
ok( $node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('mindtickle sync', 'mindtickle aggregator', 'mindtickle publisher'))),
	'workers leave a database that mindtickle.databases does not name');
$node->append_conf('postgresql.conf', "mindtickle.databases = 'elsewhere, one'");
$node->reload;
workers_in('one', 'and come back to one that it names');

# A standby runs no worker and answers readiness; promoted, it takes over.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'mindtickle%')), 0, 'a standby has no workers');
is($standby->safe_psql('one', q(SELECT learners FROM mt_readiness('acme'))), 1, 'mt_readiness works on a standby');
$standby->promote;
ok($standby->poll_query_until('postgres', "$workers" . "one'"), 'promoted, it has workers');
$standby->stop;

# Too few slots for workers: one warning, and SQL works.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
ok( $node->poll_query_until('postgres', q(SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'mindtickle launcher'))),
	'with too few slots the launcher runs');
ok( $node->wait_for_log('mindtickle could not start its workers: no background worker slot is free'), 'and says what is missing');
is($node->safe_psql('one', q(SELECT learners FROM mt_readiness('acme'))), 1, 'and functions work');

# Not preloaded: functions work, nothing runs.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
is($node->safe_psql('one', q(SELECT mt_upsert_progress('acme', 'u1', '[{"courseId": "c1", "status": "completed"}]'))), 1,
	'functions that write work without the preload');
$node->stop('fast');
done_testing();
