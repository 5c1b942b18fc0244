# The sync worker and the postmaster are killed in the middle of a pull, again and again: the final rows equal the truth, the budget is not
# exceeded across the restarts, and every event is there once, numbered without gaps.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

use constant KILLS => 8;

my @tenants = map { sprintf 'company-%02d', $_ } 1 .. 20;
# For a machine so slow that these are all pulled before the last kill.
my @late = map { sprintf 'late-%02d', $_ } 1 .. 2 * KILLS;
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 5, '--slow-ms', 200,
	(map { ('--fault', "$_=5") } qw(error500 slow truncated html200 reset)),
	map { ('--tenant', "$_,users=60,courses=8,rps=6,rpm=360") } @tenants, @late);

my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);
my @budget = (requests_per_second => 6, requests_per_minute => 360);
add_tenant($node, $sandbox, $_, @budget) foreach @tenants;

# Requests that the sandbox has seen in all.
sub requests
{
	my $sum = 0;
	$sum += $sandbox->stats($_)->{requests} foreach @tenants;
	return $sum;
}

# Waits until more requests have been made; false when there are none any more because all pulls are done.
sub wait_for_requests
{
	my ($more) = @_;
	my $target = requests() + $more;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	until (requests() >= $target)
	{
		my ($status, $running) = $node->psql('postgres', q(SELECT count(*) FROM mt_sync_jobs WHERE state IN ('queued', 'running')));
		return 0 if $status == 0 && $running eq '0';
		die "no further requests\n" if time() > $deadline;
		usleep(20_000);
	}
	return 1;
}

my $killed = 0;
for my $round (1 .. KILLS)
{
	my $more = 40 + int(rand(100));
	while (!wait_for_requests($more) && @late)
	{
		push @tenants, shift @late;
		add_tenant($node, $sandbox, $tenants[-1], @budget);
		poll($node, "SELECT count(*) > 0 FROM mt_sync_jobs WHERE tenant_id = '$tenants[-1]'");
		$more = 10 + int(rand(20));
	}
	last if $node->safe_psql('postgres', q(SELECT count(*) FROM mt_sync_jobs WHERE state IN ('queued', 'running'))) eq '0';
	if ($round % 2)
	{
		my $pid = worker_pid($node, 'mindtickle sync');
		kill('KILL', $pid);
		ok(worker_pid($node, 'mindtickle sync', $pid), "round $round: the sync worker is back after kill -9");
	}
	else
	{
		kill_and_start($node);
		ok(worker_pid($node, 'mindtickle sync'), "round $round: the sync worker is back after kill -9 of the postmaster");
	}
	$killed++;
}
is($killed, KILLS, 'every kill met a pull under way');

ok(wait_for_sync($node, @tenants), 'all tenants are pulled in the end');
foreach my $tenant (@tenants)
{
	my $stats = $sandbox->stats($tenant);

	equals_truth($node, $sandbox, $tenant);
	is($stats->{violations_per_second} + $stats->{violations_per_minute}, 0, "the budget of $tenant was kept across all restarts");
	is($node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_jobs WHERE tenant_id = '$tenant'"),
		1, "the pull of $tenant was one job from beginning to end");
}

ok( $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mindtickle.outbox'),
	'every event is published');
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM (SELECT tenant_id FROM mt_events GROUP BY tenant_id HAVING max(seq) <> count(*) OR min(seq) <> 1) AS g'),
	0, 'events are numbered without gaps');
is( $node->safe_psql('postgres',
		q(SELECT count(*) FROM mindtickle.users AS u WHERE 1 <> (SELECT count(*) FROM mt_events AS e WHERE e.tenant_id = u.tenant_id
		  AND e.topic = 'user_changed' AND e.payload -> 'user' ->> 'userId' = u.user_id AND e.payload ->> 'operation' = 'CREATE'))),
	0, 'each user was announced once');
$node->stop('fast');
done_testing();
