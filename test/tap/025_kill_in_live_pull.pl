# The sync worker and the postmaster are killed at random moments while tenants of the live contract are pulled: the final rows equal the truth,
# each pull is one job from beginning to end, the budget holds in any window across the restarts, and nothing goes to a wrong host. KILLS=50 in the
# environment makes it last longer.

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

my $kills = $ENV{KILLS} // 10;
my %kinds = (
	reports => 'users=70,page=20,token=30',
	pages => 'users=160,page=1000,region=us',
	statements => 'users=50,reporting=no,token=30');
my @tenants = map { my $number = $_; map { sprintf '%s-%02d', $_, $number } sort keys %kinds } 1 .. 4;
# For a machine so slow that these are all pulled before the last kill.
my @late = map { sprintf 'late-%02d', $_ } 1 .. 3 * $kills;
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 7, '--slow-ms', 200,
	(map { ('--fault', "$_=4") } qw(error500 slow truncated reset revoked)),
	map { ('--tenant', "$_,contract=live,courses=12,rps=6,rpm=360," . $kinds{ /^late/ ? 'statements' : s/-\d+$//r }) } @tenants, @late);

my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);
my @budget = (requests_per_second => 6, requests_per_minute => 360);
add_live_tenant($node, $sandbox, $_, @budget) foreach @tenants;

sub requests
{
	my $sum = 0;
	$sum += $sandbox->stats($_)->{requests} foreach @tenants;
	return $sum;
}

sub pulling
{
	return $node->safe_psql('postgres', q(SELECT count(*) FROM mt_sync_jobs WHERE state IN ('queued', 'running'))) ne '0';
}

# Waits until more requests have been made; new tenants come when all pulls are done.
sub wait_for_requests
{
	my ($more) = @_;
	my $target = requests() + $more;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	until (requests() >= $target)
	{
		if (!pulling())
		{
			my $tenant = shift @late or return;
			push @tenants, $tenant;
			add_live_tenant($node, $sandbox, $tenant, @budget);
			poll($node, "SELECT count(*) > 0 FROM mt_sync_jobs WHERE tenant_id = '$tenant'");
			$target = requests() + 1 + int(rand(20));
		}
		die "no further requests\n" if time() > $deadline;
		usleep(20_000);
	}
}

my $killed = 0;
for my $round (1 .. $kills)
{
	wait_for_requests(20 + int(rand(60)));
	# The last pull may just have ended.
	wait_for_requests(1) until pulling() || !@late;
	last unless pulling();
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
is($killed, $kills, 'every kill met a pull under way');

ok(wait_for_sync($node, @tenants), 'all tenants are pulled in the end');
foreach my $tenant (@tenants)
{
	my $stats = $sandbox->stats($tenant);

	equals_truth($node, $sandbox, $tenant);
	is(join(', ', map { "$_ $stats->{$_}" } grep { $stats->{$_} } qw(violations_per_second violations_per_minute wrong_hosts foreign_ids foreign_credentials refused_sign_ins)),
		'', "$tenant: the budget was kept, and nothing went where it must not");
	is($node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_jobs WHERE tenant_id = '$tenant'"),
		1, "the pull of $tenant was one job from beginning to end");
}
is($sandbox->totals->{elsewhere}, 0, 'no call went to the host that is nobody\'s');
$node->stop('fast');
done_testing();
