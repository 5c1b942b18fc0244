# Who waits at the gateway keeps nobody else waiting: turns of the tenants, a pull that is waited for, connections that do nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use HTTP::Tiny;
use MindTickle::Gateway;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_gateway('gateway', configuration => "mindtickle.gateway_connections = 64\nmindtickle.gateway_pull_wait = '4s'", tenants => 0);
my $sandbox = MindTickle::Sandbox->start('--seed', 11, '--tenant', 'acme,users=9,rps=20,rpm=1200', '--tenant', 'initech,users=9,rps=20,rpm=1200');
add_tenant($node, $sandbox, 'acme', requests_per_second => 20, requests_per_minute => 1200);
$node->safe_psql('postgres', q(SELECT mt_create_tenant('globex', 'Globex'), mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'a tenant is pulled');
my %token = map { $_ => token($node, $_, qw(read quiz sync)) } qw(acme globex);

# A request that is sent and not waited for.
sub post
{
	my ($tenant, $path, $body) = @_;
	my $socket = connect_to($node);

	syswrite($socket, join("\r\n", "POST /api/tenants/$tenant/$path HTTP/1.1", 'Host: x', "Authorization: Bearer $token{$tenant}", 'Connection: close', 'Content-Type: application/json',
			'Content-Length: ' . length $body, '', $body));
	return $socket;
}

sub waits_for_lock
{
	return poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND wait_event_type = 'Lock'));
}

# One tenant's requests that take two seconds each, as they wait in vain for a lock; and one of another tenant that comes behind them.
is(ask($node, GET => "/api/tenants/$_/readiness", token => $token{$_})->{status}, 200, "$_ is known") foreach qw(acme globex);
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe('BEGIN; LOCK TABLE mindtickle.quiz IN ACCESS EXCLUSIVE MODE');
my $result = sub { sprintf '{"userId": "u%d", "courseId": "c", "quizId": "q%d", "submittedAt": "2026-01-01T00:00:00Z"}', $_[0], $_[0] };
my $offset = -s $node->logfile;
my @burst = post('acme', 'quiz-results', $result->(0));
ok(waits_for_lock(), 'the first of a burst waits');
push @burst, post('acme', 'quiz-results', $result->($_)) foreach 1 .. 5;
my $single = post('globex', 'readiness/aggregate', '');
like(read_until_closed($single), qr/^HTTP\/1\.1 200 /, 'the other tenant is served');
my @served = slurp_file($node->logfile, $offset) =~ /gateway: request \w+: POST \S+, tenant (\w+), status/g;
my ($place) = grep { $served[$_] eq 'globex' } 0 .. $#served;
cmp_ok($place // 9, '<=', 3, 'before the burst is through') or diag("@served");
like(read_until_closed($_), qr/^HTTP\/1\.1 503 /, 'and the burst is, too, in the end') foreach @burst;
$holder->query_safe('COMMIT');
$holder->quit;

# A pull that is waited for: the tenant's one process serves others meanwhile.
my $user = $node->safe_psql('postgres', q(SELECT min(user_id) FROM mt_users WHERE tenant_id = 'acme' AND active));
$sandbox->post('faults', kind => 'slow', slow_ms => 1500, percent => 100);
my $pulled = post('acme', "users/$user/sync-progress", '');
is(ask($node, GET => '/api/tenants/globex/readiness', token => $token{globex})->{status}, 200, 'others are served while one waits for a pull') foreach 1 .. 3;
my $answer = read_until_closed($pulled);
like($answer, qr/^HTTP\/1\.1 20[02] /, 'who waits is answered');
$sandbox->post('faults', kind => 'slow', percent => 0);
$answer = ask($node, GET => "/api/tenants/acme/users/$user/sync-progress", token => $token{acme});
is("$answer->{status} $answer->{json}{userId}", "200 $user", 'the call of the README');
is( join(' ', map { "$_->{courseId} $_->{status}" } @{ $answer->{json}{courses} }),
	$node->safe_psql('postgres', "SELECT string_agg(course_id || ' ' || status, ' ' ORDER BY course_id) FROM mt_course_progress WHERE tenant_id = 'acme' AND user_id = '$user'"),
	'answers with what is stored');
is(ask($node, GET => '/api/tenants/acme/users/nobody-of-that-name/sync-progress', token => $token{acme})->{status}, 404, 'a user whom nobody knows');
$answer = ask($node, POST => '/api/tenants/globex/users/u/sync-progress', token => $token{globex});
is("$answer->{status} $answer->{json}{code}", '409 not_possible_now', 'a tenant without a source');

# One that is kept waiting is told where to ask.
$sandbox->post('faults', kind => 'slow', slow_ms => 8000, percent => 100);
$answer = ask($node, GET => "/api/tenants/acme/users/$user/sync-progress", token => $token{acme});
is($answer->{status}, 202, 'who would wait too long is told that the pull is under way') or diag($answer->{content});
like($answer->{headers}{location}, qr{^/api/tenants/acme/pulls/$answer->{json}{job}{id}$}, 'and where to ask for it');
$sandbox->post('faults', kind => 'slow', percent => 0);
my $pull;
foreach (1 .. 300)
{
	$pull = ask($node, GET => $answer->{headers}{location}, token => $token{acme});
	last if $pull->{json}{state} !~ /waiting|running/;
	select(undef, undef, undef, 0.1);
}
is("$pull->{json}{state} $pull->{json}{userId}", "done $user", 'it is done in the end');
is(ask($node, GET => "/api/tenants/globex/pulls/$answer->{json}{job}{id}", token => $token{globex})->{status}, 404, 'another tenant does not see it');

# A budget that is spent: who would wait for it is told so, however long he would wait for an answer.
$node->append_conf('postgresql.conf', "mindtickle.gateway_pull_wait = '600s'");
$node->reload;
add_tenant($node, $sandbox, 'initech', requests_per_second => 1, requests_per_minute => 1);
my $initech = token($node, 'initech', 'sync');
my ($spent) = grep { $_->{status} != 404 } map { ask($node, POST => "/api/tenants/initech/users/$_/sync-progress", token => $initech) } 1 .. 2;
is($spent->{status}, 202, 'a pull that must wait for the budget of its tenant is a job') or diag($spent->{content});
is($spent->{json}{job}{detail}, 'It waits for the tenant\'s request budget.', 'which says so');
is(ask($node, GET => '/api/tenants/globex/readiness', token => $token{globex})->{status}, 200, 'others have theirs');

# More connections than there is room for, which do nothing: the ones that have done nothing for the longest make room.
my @idle = map { connect_to($node) } 1 .. 200;
is(ask($node, GET => '/healthz')->{status}, 200, 'idle connections keep nobody out');
is(ask($node, GET => '/api/tenants/globex/readiness', token => $token{globex})->{status}, 200, 'whatever the request is');

# A limit of those to one address.
close $_ foreach @idle;
$node->append_conf('postgresql.conf', "mindtickle.gateway_connections_per_address = 3");
$node->restart;
wait_for_gateway($node, 1);
local $SIG{PIPE} = 'IGNORE';
my @some = map { connect_to($node) } 1 .. 40;
my $kept = 0;
foreach my $connection (@some)
{
	syswrite($connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	$kept++ if (readline($connection) // '') =~ / 200 /;
}
ok($kept > 0 && $kept <= 3, 'of many connections from one address as many are kept as are allowed') or diag($kept);
close $_ foreach @some;
my $healthy;
foreach (1 .. 100)
{
	$healthy = ask($node, GET => '/healthz')->{status};
	last if $healthy == 200;
	select(undef, undef, undef, 0.1);
}
is($healthy, 200, 'and there is room again when they have gone');

$node->stop('fast');
$sandbox->stop;
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
