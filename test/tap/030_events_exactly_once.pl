# Events under eight writers who wait before they commit and roll back 3 of 10 transactions, across kill -9 of the publisher, of a backend and of the
# postmaster: each committed event is published once and no other is, in the order of commits, numbered without gaps; and no consumer has ever seen a number
# that another event bears later, which a publisher that does not wait for the disk could bring about.
#
# EVENTS_KILLS (6) is how often something is killed, EVENTS_SECONDS (2) how long the load runs before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Events;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $kills = $ENV{EVENTS_KILLS} // 6;
my $seconds = $ENV{EVENTS_SECONDS} // 2;

my $node = start_node('primary', configuration => "log_statement = none\nrestart_after_crash = on\n");
add_extension($node);
add_events($node);
my $load = start_load($node, 8);

for my $round (1 .. $kills)
{
	sleep $seconds + rand();
	if ($round % 3 == 0)
	{
		kill_and_start($node);
		ok(worker_pid($node, 'mindtickle publisher'), "round $round: the publisher is back after kill -9 of the postmaster");
		next;
	}
	my $victim = $round % 3 == 1 ? 'mindtickle publisher' : 'client backend';
	my $pid;
	# Crash recovery may still be under way.
	$node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$victim' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1", stdout => \$pid)
	  until $pid;
	kill('KILL', $pid);
	ok(poll($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"), "round $round: a server that lost its $victim goes on");
	ok(worker_pid($node, 'mindtickle publisher', $victim eq 'client backend' ? () : $pid), 'with a publisher');
}
sleep $seconds;
stop_load($load);

cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM truth.fact'), '>', 100 * $kills, 'many events were committed: ' . $node->safe_psql('postgres', 'SELECT count(*) FROM truth.fact'));
is(event_faults($node, $load), '', 'each is published once, in order, without gaps, and was never seen otherwise');
cmp_ok($node->safe_psql('postgres', q(SELECT round FROM mindtickle.event_position WHERE tenant_id = 'ex-1')), '>', 0, 'some took the way through the overflow');
cmp_ok(-s "$load->{directory}/view.ex-0", '>', 1000, 'and were seen under way');
$node->stop('fast');
done_testing();
