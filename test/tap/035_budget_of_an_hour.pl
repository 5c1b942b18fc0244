# The budget of an hour: a pull goes on at its pace until it is nearly used up, and then waits; what somebody asks for has a part of its own; and kills of
# the worker and the server do not reset it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant PER_HOUR => 100;
# Used by what is not urgent.
use constant BULK => 95;

my $sandbox = MindTickle::Sandbox->start('--seed', 3, '--tenant', 'acme,users=120,courses=4,rps=0,rpm=0,rph=' . PER_HOUR, '--tenant', 'other,users=100,courses=4,rps=0,rpm=0');
my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);
add_tenant($node, $sandbox, 'acme', requests_per_hour => PER_HOUR);
add_tenant($node, $sandbox, 'other');

sub requests
{
	return $sandbox->stats('acme')->{requests};
}

# Another tenant makes more requests than acme may, at the same pace, so that acme could have made as many. A pull that a kill cut off near its end is
# let end first: the new one would be the rest of it.
sub time_passes
{
	wait_for_sync($node, 'other') or return 0;
	my $before = $sandbox->stats('other')->{requests};
	$node->safe_psql('postgres', "SELECT mt_sync_tenant('other')");
	return wait_for_sync($node, 'other') && $sandbox->stats('other')->{requests} >= $before + 90;
}

ok(wait_for_sync($node, 'other') && time_passes(), 'another tenant is pulled');
ok(poll($node, "SELECT requests >= 80 FROM mt_stat_tenant WHERE tenant_id = 'acme'"), 'most of the hour is used at once');
ok(time_passes(), 'time passes');
is(requests(), BULK, 'the pull waits when nearly all of it is used');
is($node->safe_psql('postgres', "SELECT state FROM mt_sync_jobs WHERE tenant_id = 'acme'"), 'running', 'it has not ended');
ok(poll($node, "SELECT hour_left <= 3 FROM mt_stat_tenant WHERE tenant_id = 'acme'"), 'what is left is shown');

my $user = $node->safe_psql('postgres', "SELECT max(user_id) FROM mindtickle.users WHERE tenant_id = 'acme' AND active");
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_course_progress('acme', '$user')"), '>', 0, 'who is asked for is pulled all the same');
is(requests(), BULK + 1, 'with one more request');

my $pid = worker_pid($node, 'mindtickle sync');
kill('KILL', $pid);
ok(worker_pid($node, 'mindtickle sync', $pid), 'the worker is killed');
ok(time_passes(), 'time passes');
is(requests(), BULK + 1, 'the next one knows what was used');
kill_and_start($node);
ok(worker_pid($node, 'mindtickle sync'), 'the server is killed');
ok(time_passes(), 'time passes');
is(requests(), BULK + 1, 'and still it is known');

my $stats = $sandbox->stats('acme');
is(join(' ', map { "$_ $stats->{$_}" } grep { $stats->{$_} } qw(violations_per_hour throttled)), '', 'no limit was exceeded');
$node->stop('fast');
is($node->log_contains('PANIC'), '', 'no server process died but those that were killed');
done_testing();
