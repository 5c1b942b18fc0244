# A thousand tenants at once, each at the rate it is allowed, beside some from whom nothing but harm comes: nobody gets less than the others, no limit
# is exceeded, no connection carries two tenants' requests, and the worker stays small. When it is killed, with it the whole server, and all of them
# go on, they do not do so at once.

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

use constant TENANTS => 1000;
use constant PER_MINUTE => 12;
# Requests of each tenant between two counts.
use constant COUNTED => 12;

my @harm = qw(bomb huge deep garbage drip hang);
my @hostile = map { my $contract = $_; map { "$contract-$_" } @harm } qw(live ref);
push @hostile, map { "live-$_" } qw(strangers loop endless);
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 41, '--threads', 2, '--hang-ms', 20000,
	'--tenants', TENANTS . ',users=60,courses=3,rps=1,rpm=' . PER_MINUTE,
	(map { ('--tenant', "$_,users=120,courses=8,rps=0,rpm=0,contract=" . (/^live/ ? 'live' : 'reference')) } @hostile));
foreach my $tenant (@hostile)
{
	$sandbox->post('faults', kind => $tenant =~ s/^\w+-//r, percent => 100, tenant => $tenant);
}

my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);
my $url = $sandbox->url;
my @ours = map { sprintf 'tenant-%04d', $_ } 1 .. TENANTS;
$node->safe_psql('postgres', sprintf(<<'STATEMENT', $sandbox->key($ours[0]) =~ s/\d+$//r, PER_MINUTE, $url));
DO $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT format('tenant-%%s', to_char(i, 'FM0000')) FROM generate_series(1, 1000) AS i LOOP
		PERFORM mt_create_tenant(name, name);
		PERFORM mt_configure_tenant(name, '{"requests_per_second": 1, "requests_per_minute": %2$d, "base_urls": ["%3$s"], "allow_http": true}');
		PERFORM mt_set_credential(name, jsonb_build_object('api_key', '%1$s' || right(name, 4)));
	END LOOP;
END
$$;
STATEMENT
foreach my $tenant (@hostile)
{
	$tenant =~ /^live/ ? add_live_tenant($node, $sandbox, $tenant) : add_tenant($node, $sandbox, $tenant);
}

# The most memory of its own that the worker is seen to have, in kB.
my $peak = 0;

sub look
{
	my ($pid) = @_;
	return unless -r "/proc/$pid/status";
	my ($anonymous) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	$peak = $anonymous if defined $anonymous && $anonymous > $peak;
}

# What the sandbox has counted of our tenants, by name.
sub counts
{
	return { map { $_->{tenant} => $_ } grep { $_->{tenant} =~ /^tenant-/ } @{ $sandbox->get('stats')->{tenants} } };
}

sub sum
{
	my ($counts, $field) = @_;
	my $sum = 0;
	$sum += $_->{$field} foreach values %$counts;
	return $sum;
}

# Waits until all of them together have made so many more requests.
sub wait_for_requests
{
	my ($more, $pid) = @_;
	my $target = sum(counts(), 'requests') + $more;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	for (;;)
	{
		my $counts = counts();
		return $counts if sum($counts, 'requests') >= $target;
		die "no further requests\n" if time() > $deadline;
		look($pid) for 1 .. 20;
		usleep(100_000);
	}
}

my $pid = worker_pid($node, 'mindtickle sync');
# Every one of them is past its first pages.
my $deadline = time() + 2 * $PostgreSQL::Test::Utils::timeout_default;
until ($node->safe_psql('postgres', q(SELECT count(*) = 1000 FROM mt_sync_jobs WHERE tenant_id LIKE 'tenant-%' AND phase = 'progress')) eq 't')
{
	die "the tenants do not get as far as their progress\n" if time() > $deadline;
	look($pid) for 1 .. 20;
	usleep(200_000);
}
my $before = counts();
my $after = wait_for_requests(COUNTED * TENANTS, $pid);
my @requests = sort { $a <=> $b } map { $after->{$_}{requests} - $before->{$_}{requests} } @ours;
my $mean = (sum($after, 'requests') - sum($before, 'requests')) / TENANTS;
# At either end one request more or less depends on when it is counted. How fair it is on a machine that does nothing else, make bench tells.
cmp_ok($requests[0], '>=', 0.95 * $mean - 2, 'no tenant makes fewer requests than the others');
cmp_ok($requests[-1], '<=', 1.05 * $mean + 2, 'or more');
cmp_ok($peak, '<', 64 * 1024, 'the worker is small') or diag("$peak kB");
note("$peak kB");
is(worker_pid($node, 'mindtickle sync'), $pid, 'and still the same');

# After a kill nobody makes up for the time that was lost.
$node->safe_psql('postgres', "SELECT mt_suspend_tenant(t) FROM unnest(ARRAY[" . join(', ', map { quote($_) } @hostile) . ']) AS t');
my $next = $sandbox->get('arrivals')->{next};
kill('KILL', $pid);
$pid = worker_pid($node, 'mindtickle sync', $pid);
ok($pid, 'after kill -9 the worker is back');
wait_for_requests(3 * TENANTS, $pid);
my $allowed = TENANTS * PER_MINUTE / 60;
my $fullest = $sandbox->get('arrivals', from => $next)->{max_in_second};
# All of them at once would be several times as many. That it is no more than 1.2 times, make bench tells, where the sandbox's clock has a processor.
cmp_ok($fullest, '<=', 2 * $allowed, 'they do not all come at once');
note("$fullest of $allowed");

my $counts = counts();
is(sum($counts, $_), 0, "$_: none") foreach qw(violations_per_second violations_per_minute throttled wrong_hosts foreign_ids foreign_credentials);
is($sandbox->totals->{$_}, 0, "$_: none") foreach qw(shared_connections elsewhere wrong_keys missing_keys);
$node->stop('fast');
is($node->log_contains('PANIC'), '', 'no server process died but the one that was killed');
done_testing();
