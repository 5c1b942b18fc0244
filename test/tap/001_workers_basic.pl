# The whole path: workers come up, pull two tenants from the sandbox within their limits, store what the sandbox says is true,
# publish what changed, and come back when one of them ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary');
ok(worker_pid($node, 'mindtickle launcher'), 'the launcher runs before any database has the extension');

add_extension($node);
my %pid = map { $_ => worker_pid($node, "mindtickle $_") } qw(launcher sync publisher aggregator);
ok($pid{sync} && $pid{publisher} && $pid{aggregator}, 'the extension brings the workers of its database');

# Tenants of different size, each with limits of its own.
my @tenants = qw(acme globex);
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 7,
	'--tenant', 'acme,users=39,rps=20,rpm=1200',
	'--tenant', 'globex,users=12,rps=10,rpm=600');
add_tenant($node, $sandbox, 'acme', requests_per_second => 20, requests_per_minute => 1200);
add_tenant($node, $sandbox, 'globex', requests_per_second => 10, requests_per_minute => 600);

# A session that listens from before the first pull on.
$node->safe_psql('postgres', "CREATE ROLE acme_analyst LOGIN; SELECT mt_grant_tenant('acme', 'acme_analyst', 'reader')");
my $listener = $node->background_psql('postgres', on_error_stop => 1);
$listener->query_safe('SET ROLE acme_analyst');
$listener->query_safe('LISTEN "tenant.acme.readiness.aggregated"');

$node->safe_psql('postgres', "SELECT mt_sync_tenant('$_')") foreach @tenants;
ok(wait_for_sync($node, @tenants), 'both tenants are pulled');
equals_truth($node, $sandbox, $_) foreach @tenants;
foreach my $tenant (@tenants)
{
	my $stats = $sandbox->stats($tenant);
	is($stats->{throttled} + $stats->{violations_per_second} + $stats->{violations_per_minute},
		0, "no request for $tenant was over its limits");
}

# A report is announced once, with its number among the tenant's events.
my $answer = $listener->query_safe(q(SELECT tenant_id FROM mt_aggregate_readiness('acme')));
ok( poll(
		$node,
		q(SELECT count(*) = 1 FROM mt_events WHERE tenant_id = 'acme' AND topic = 'readiness.aggregated')),
	'the report is among the published events');
my $seq = $node->safe_psql('postgres',
	q(SELECT seq FROM mt_events WHERE tenant_id = 'acme' AND topic = 'readiness.aggregated'));
like(
	wait_for_notification($listener, $answer),
	qr/^Asynchronous notification "tenant\.acme\.readiness\.aggregated" with payload "\{"seq": $seq, "topic": "readiness\.aggregated"\}"/m,
	'the listener hears of it');
$listener->quit;

is( $node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT tenant_id FROM mt_events GROUP BY tenant_id HAVING max(seq) <> count(*) OR min(seq) <> 1) AS g'),
	0,
	'the events of each tenant are numbered from 1 without gaps');

foreach my $worker (qw(launcher sync publisher aggregator))
{
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid{$worker})");
	ok(worker_pid($node, "mindtickle $worker", $pid{$worker}), "the $worker is back after its end");
}

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
