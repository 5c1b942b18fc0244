# The gateway through its life: all processes on one port, revocation in each, ends and comes back, reloads, TLS, ports that are taken, addresses it must not
# listen on, databases to choose from, a standby.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use HTTP::Tiny;
use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_gateway('gateway', workers => 3, configuration => "wal_level = replica\nmax_wal_senders = 4");
my $path = '/api/tenants/acme/readiness';

sub processes { return scalar gateway_pids($node) }

# Connections that are kept, to every process: as many as it takes until each has one.
sub connections_to_all
{
	my (%by_process, $tries);
	while (keys %by_process < 3 && $tries++ < 200)
	{
		my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
		my ($process) = ask($node, GET => '/healthz', http => $http)->{headers}{'x-request-id'} =~ /^(.{8})/;
		$by_process{$process} //= $http;
	}
	return values %by_process;
}

my @connections = connections_to_all();
is(scalar @connections, 3, 'connections are spread over the processes');

# A token ends everywhere at once.
my $token = token($node, 'acme', 'read');
my $statuses = sub { join ' ', map { ask($node, GET => $path, token => $token, http => $_)->{status} } @connections };
is($statuses->(), '200 200 200', 'each of them knows the token');
$node->safe_psql('postgres', "DELETE FROM mindtickle.api_token WHERE tenant_id = 'acme'");
is($statuses->(), '401 401 401', 'none does from the next request on when it is revoked');
$token = token($node, 'acme', 'read');
is($statuses->(), '200 200 200', 'a new one is known at once');

# A budget is the tenant's, not a process's.
$node->append_conf('postgresql.conf', 'mindtickle.gateway_requests_per_second = 5');
$node->reload;
ok(poll($node, q(SELECT current_setting('mindtickle.gateway_requests_per_second') = '5')), 'a budget of 5 a second');
my %count;
foreach my $i (1 .. 60)
{
	my $answer = ask($node, GET => $path, token => $token, http => $connections[ $i % 3 ]);
	$count{ $answer->{status} }++;
	is("$answer->{json}{code} $answer->{headers}{'retry-after'}", 'too_many_requests 1', 'one too many') if $answer->{status} == 429 && $count{429} == 1;
}
ok($count{200} >= 10 && $count{429} > 0, 'a tenant gets its burst, and then no more') or diag(explain(\%count));
is(ask($node, GET => '/api/tenants/globex/readiness', token => token($node, 'globex', 'read'))->{status}, 200, 'another tenant has its own');

# What is refused before it comes to its turn counts, too, whatever it is refused for; but not for who shows no valid token.
$node->append_conf('postgresql.conf', 'mindtickle.gateway_requests_per_second = 1');
$node->reload;
ok(poll($node, q(SELECT current_setting('mindtickle.gateway_requests_per_second') = '1')), 'a budget of 1 a second');
foreach my $refused (['GET', '/nothing', 404], ['PUT', '/api/tenants/globex/readiness', 405], ['POST', '/api/tenants/globex/quiz-results', 415], ['GET', '/api/tenants/globex/courses', 403])
{
	my ($method, $target, $status) = @$refused;
	my $other = token($node, 'globex', $status == 403 || $status == 415 ? 'quiz' : 'read');
	my %seen;

	foreach my $i (1 .. 60)
	{
		$seen{ ask($node, $method => $target, token => $other, http => $connections[ $i % 3 ], $status == 415 ? (body => 'x', headers => { 'Content-Type' => 'text/plain' }) : ())->{status} }++;
		last if $seen{429};
	}
	ok($seen{429}, "$method $target is refused in the end for the tenant's budget") or diag(explain(\%seen));
	is(join(' ', sort grep { $_ != 429 } keys %seen), $status, "and with $status before") if $status == 404;
	is(ask($node, $method => $target, token => 'mtk_' . '0' x 64, http => $connections[0])->{status}, 401, 'an invalid token is that first');
}
$node->append_conf('postgresql.conf', 'mindtickle.gateway_requests_per_second = 0');
$node->reload;

# Ends and comes back; the others go on.
my ($first, @others) = gateway_pids($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($first)");
ok(poll($node, "SELECT count(*) = 3 AND bool_and(pid <> $first) FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND query = 'serving HTTP'"), 'a process that was ended is back');
is(ask($node, GET => '/healthz')->{status}, 200, 'and the port is served');

# What is under way when a process is told to end is brought to its end, and what was acknowledged is there.
my $quiz = token($node, 'acme', 'quiz');
my $blocker = $node->background_psql('postgres', on_error_stop => 1);
$blocker->query_safe('BEGIN; LOCK TABLE mindtickle.quiz IN ACCESS EXCLUSIVE MODE');
my $body = '{"userId": "u", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z"}';
my $socket = connect_to($node);
syswrite($socket, "POST /api/tenants/acme/quiz-results HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $quiz\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND wait_event_type = 'Lock')), 'a request waits for a lock');
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway'));
$blocker->query_safe('COMMIT');
$blocker->quit;
like(read_until_closed($socket), qr/^HTTP\/1\.1 201 .*Connection: close.*"recorded":true/s, 'it is answered although its process was told to end');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.quiz_submission'), 1, 'and recorded');
wait_for_gateway($node, 3);

# A lock that is not given up: an answer in time.
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe('BEGIN; LOCK TABLE mindtickle.quiz IN ACCESS EXCLUSIVE MODE');
my $answer = ask($node, POST => '/api/tenants/acme/quiz-results', token => $quiz, body => $body =~ s/"q"/"q2"/r);
is("$answer->{status} $answer->{json}{code} $answer->{headers}{'retry-after'}", '503 busy 1', 'who waits for a lock too long is told');
$holder->query_safe('COMMIT');
$holder->quit;

# kill -9: the server starts anew, what was acknowledged is there, and the gateway as well.
is(ask($node, POST => '/api/tenants/acme/quiz-results', token => $quiz, body => $body =~ s/"q"/"q$_"/r)->{status}, 201, "result $_") foreach 3 .. 5;
kill_and_start($node);
wait_for_gateway($node, 3);
is($node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.quiz_submission'), 4, 'acknowledged results survive a crash');
is(ask($node, GET => $path, token => $token)->{status}, 200, 'the gateway is back');

# Fewer processes, another port, none.
$node->append_conf('postgresql.conf', 'mindtickle.gateway_workers = 1');
$node->reload;
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway')), 'fewer processes');
my $before = gateway_port($node);
my $after = PostgreSQL::Test::Cluster::get_free_port();
$node->append_conf('postgresql.conf', "mindtickle.gateway_port = $after");
$node->reload;
gateway_port($node, $after);
ok(poll_port($after), 'another port');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $before), 'the former one is closed');

sub poll_port
{
	my ($port) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		usleep(100_000);
	}
	return 0;
}

# Waits until the log, from an offset on, has a line.
sub log_has
{
	my ($node, $pattern, $offset) = @_;
	foreach (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $node->log_contains($pattern, $offset);
		usleep(100_000);
	}
	return 0;
}

# A port that another server has, also one of the same user that would share it.
my $rival = start_gateway('rival', port => $after, silent => 1);
ok(log_has($rival, "could not listen on \"127.0.0.1\", port $after: Address already in use"), 'a port that is taken is refused with a line in the log');
is_deeply([ map { ask($node, GET => $path, token => $token)->{status} } 1 .. 20 ], [ (200) x 20 ], 'and all requests go to the server that has it');
$node->append_conf('postgresql.conf', 'mindtickle.gateway_port = 0');
$node->reload;
ok(poll($node, q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway')), 'no port, no gateway');
ok(log_has($rival, 'mindtickle gateway listens on http://127.0.0.1:'), 'the other one takes the port when it is free');
$rival->stop('fast');

# Where it must not listen.
my $offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "mindtickle.gateway_port = $after\nmindtickle.gateway_listen = '0.0.0.0'");
$node->reload;
ok(log_has($node, 'does not listen on "0.0.0.0": without TLS it listens on a loopback address only', $offset), 'no plain HTTP where others can reach it');
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $after), 'nothing listens');
$node->append_conf('postgresql.conf', 'mindtickle.gateway_allow_plain = on');
$node->reload;
ok(poll_port($after), 'unless a setting says so');
$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "mindtickle.gateway_listen = 'localhost'");
$node->reload;
ok(log_has($node, 'mindtickle.gateway_listen is not an IP address', $offset), 'a name is no address');

# TLS, and a new certificate without a restart.
my $directory = $node->data_dir;

sub make_certificate
{
	my ($name) = @_;
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', "/CN=$name", '-keyout', "$directory/new.key", '-out', "$directory/new.crt");
	rename("$directory/new.key", "$directory/gateway.key");
	rename("$directory/new.crt", "$directory/gateway.crt");
}

# The subject of the certificate that is shown, and what the gateway answers behind it.
sub curl_tls
{
	my ($output, $error) = ('', '');
	IPC::Run::run([ 'curl', '-svk', '--max-time', '20', '-H', "Authorization: Bearer $token", "https://127.0.0.1:$after$path" ], '>', \$output, '2>', \$error);
	return (($error =~ /subject: CN=(\w+)/)[0] // $error, $output);
}

make_certificate('first');
$node->append_conf('postgresql.conf', "mindtickle.gateway_listen = '127.0.0.1'\nmindtickle.gateway_tls_certificate = 'gateway.crt'\nmindtickle.gateway_tls_key = 'gateway.key'");
$offset = -s $node->logfile;
$node->reload;
ok(log_has($node, "mindtickle gateway listens on https://127.0.0.1:$after", $offset), 'it listens with TLS');
my ($subject, $content) = curl_tls();
is($subject, 'first', 'with the certificate of the file');
like($content, qr/"tenantId" : "acme"/, 'and answers');
my ($process) = gateway_pids($node);
make_certificate('second');
$node->reload;
foreach (1 .. 100) { ($subject) = curl_tls(); last if $subject eq 'second'; usleep(100_000) }
is($subject, 'second', 'a new certificate is taken over by a reload');
is((gateway_pids($node))[0], $process, 'by the same process');
append_to_file("$directory/broken.pem", "nothing\n");
$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "mindtickle.gateway_tls_certificate = 'broken.pem'");
$node->reload;
ok(log_has($node, 'mindtickle gateway could not start libmicrohttpd', $offset), 'one that is none');
is((curl_tls())[0], 'second', 'changes nothing');
$node->append_conf('postgresql.conf', "mindtickle.gateway_tls_certificate = ''\nmindtickle.gateway_tls_key = ''");
$node->reload;
$node->restart;
wait_for_gateway($node, 1);

# A standby has none, before it is promoted.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
my $standby_port = PostgreSQL::Test::Cluster::get_free_port();
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "mindtickle.gateway_port = $standby_port");
$standby->start;
gateway_port($standby, $standby_port);
is($standby->safe_psql('postgres', q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway')), 0, 'none runs on a standby');
$standby->promote;
wait_for_gateway($standby, 1);
is(ask($standby, GET => $path, token => $token)->{status}, 200, 'one does when it is promoted');
$standby->stop('fast');

# Which database: the only one, one that is named, and none where there is a choice.
$node->safe_psql('postgres', 'CREATE DATABASE other');
add_extension($node, 'other');
ok(poll($node, q(SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mindtickle publisher')), 'a second database has the extension');
is(ask($node, GET => $path, token => $token)->{status}, 200, 'the gateway stays with the first');
$node->append_conf('postgresql.conf', "mindtickle.gateway_database = 'other'");
$node->reload;
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND datname = 'other')), 'or serves the one that is named');
is(ask($node, GET => $path, token => $token)->{status}, 401, 'where nobody knows the token');
$offset = -s $node->logfile;
$node->append_conf('postgresql.conf', "mindtickle.gateway_database = ''");
$node->restart;
ok(log_has($node, 'the HTTP gateway of mindtickle does not start: 2 databases have the extension', $offset), 'a choice is not made by chance');
$node->append_conf('postgresql.conf', "mindtickle.gateway_database = 'other'");
$node->reload;
wait_for_gateway($node, 1);
$node->safe_psql('postgres', 'DROP DATABASE other');
ok(1, 'the database can be dropped under it');

# Dropped and made anew.
$node->append_conf('postgresql.conf', "mindtickle.gateway_database = ''");
$node->reload;
wait_for_gateway($node, 1);
$node->safe_psql('postgres', 'DROP EXTENSION mindtickle');
is(ask($node, GET => $path, token => $token)->{status} =~ /^5/ ? 1 : 0, 1, 'without the extension nothing is answered');
ok(poll($node, q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway')), 'and the process goes');

$node->stop('fast');
is($_->log_contains('PANIC|was terminated by signal (?!9|3)'), '', 'no server process died') foreach $node, $rival, $standby;
done_testing();
