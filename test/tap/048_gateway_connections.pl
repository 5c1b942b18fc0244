# Connections of the gateway: the same number for each process, whichever accepts them, and no more than there are descriptors for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

# Asks over a connection that stays open. Returns which process answered; undef where none does in so many seconds.
sub process_of
{
	my ($socket, $seconds) = @_;
	my $deadline = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);

	local $SIG{PIPE} = 'IGNORE';
	syswrite($socket, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	return await($socket, $deadline);
}

# The same, of a question that has been asked.
sub await
{
	my ($socket, $deadline) = @_;
	my $bytes = '';

	$socket->blocking(0);
	while (time() < $deadline)
	{
		my $count = sysread($socket, my $piece, 65536);
		$bytes .= $piece if $count;
		return $1 if $bytes =~ /^HTTP\/1\.1 200 .*X-Request-Id: (.{8}).*\r\n\r\n\{.*\}\s*$/s;
		return undef if defined $count && $count == 0;
		usleep(1_000) unless $count;
	}
	return undef;
}

# How many of these connections each process has, the fewest first; and which they are.
sub spread
{
	my %by_process;
	push @{ $by_process{ process_of($_) // 'none' } }, $_ foreach @_;
	return (join(' ', sort { $a <=> $b } map { scalar @$_ } values %by_process), \%by_process);
}

my $node = start_gateway('connections', workers => 3);

my @sockets = map { connect_to($node) } 1 .. 30;
my ($counts, $by_process) = spread(@sockets);
is($counts, '10 10 10', 'thirty connections at once: ten for each of three processes');

# Who has lost some gets the next ones. Its second answer comes after it has seen that the others are closed.
my ($process) = sort keys %$by_process;
my ($kept, @closed) = @{ $by_process->{$process} };
close($_) foreach @closed;
is(process_of($kept), $process, 'a connection stays with its process') foreach 1 .. 2;
my @new = map { connect_to($node) } 1 .. 9;
is(join(' ', map { process_of($_) // 'none' } @new), join(' ', ($process) x 9), 'the process that has lost nine connections gets the next nine');

# A process that begins anew has none.
my ($pid) = gateway_pids($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok(poll($node, "SELECT count(*) = 3 AND bool_and(pid <> $pid) FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND query = 'serving HTTP'"), 'a process has ended and is back');
my %others = map { process_of($_, 1) // 'none' => 1 } grep { defined fileno $_ } @sockets, @new;
my @more = map { connect_to($node) } 1 .. 10;
my %chosen = map { process_of($_) // 'none' => 1 } @more;
is(scalar(grep { $others{$_} } keys %chosen), 0, 'and gets the next ten') or diag(explain([\%others, \%chosen]));
is(scalar keys %chosen, 1, 'all of them');
$node->stop;
is(join(' ', glob($node->data_dir . '/pg_stat_tmp/mindtickle_gateway.*')), '', 'no socket is left behind');

# After a crash they are, and are in nobody's way.
$node->start;
wait_for_gateway($node, 3);
isnt(join(' ', glob($node->data_dir . '/pg_stat_tmp/mindtickle_gateway.*')), '', 'there are sockets');
kill_and_start($node);
wait_for_gateway($node, 3);
($counts) = spread(map { connect_to($node) } 1 .. 9);
is($counts, '3 3 3', 'nine connections after a crash');
$node->stop;

# A process without descriptors waits until there are some.
my $poor = start_gateway('poor');
my ($single) = gateway_pids($poor);
system_or_bail('prlimit', '--pid', $single, '--nofile=100:100');
my @many = map { connect_to($poor) } 1 .. 120;
my @answered = grep { defined process_of($_, 0.5) } @many[0 .. 20];
is(scalar @answered, 21, 'connections for which there are descriptors are answered');
my $last = $many[-1];
is(process_of($last, 0.5), undef, 'the last has to wait');
ok($poor->log_contains('mindtickle gateway could not accept a connection: Too many open files'), 'the log has the reason');
close($_) foreach @many[0 .. 60];
isnt(await($last, time() + $PostgreSQL::Test::Utils::timeout_default), undef, 'and is answered when others have gone');
$poor->stop;

# Nor does it take those of others, who keep them then: each is answered, none is lost between two processes.
my $pair = start_gateway('pair', workers => 2);
my ($full) = gateway_pids($pair);
system_or_bail('prlimit', '--pid', $full, '--nofile=100:100');
my @both = map { connect_to($pair) } 1 .. 200;
($counts, $by_process) = spread(@both[0 .. 79]);
ok(!$by_process->{none}, 'connections beside a process that has no descriptors left are answered') or diag($counts);
close($_) foreach @both[0 .. 109];
my @rest = grep { defined process_of($_) } @both[110 .. 199];
is(scalar @rest, 90, 'and so are the others when some have gone');
$pair->stop;

done_testing();
