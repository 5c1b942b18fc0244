# What no client should send: each gets an answer that names the fault, or its connection closed, shows nothing of another tenant, and leaves the process up.
# Then many bad requests, behind which the process is no larger than before. GATEWAY_BAD_REQUESTS says how many; a million of them
# is a matter of minutes for "make bench BENCH=gateway_bad_requests", which is not one client alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_gateway('gateway', configuration => "mindtickle.gateway_request_timeout = '1500ms'\nmindtickle.gateway_log = errors");
my ($pid) = gateway_pids($node);
my $token = token($node, 'acme', qw(read quiz));
$node->safe_psql('postgres', q(SELECT mt_provision_user('globex', '{"userId": "canary", "name": "Canary of Globex", "email": "canary@globex.example"}')));

# A request by hand that closes its connection.
sub request
{
	my ($line, %options) = @_;
	my $body = $options{body} // '';
	my @headers = ('Host: x', "Authorization: Bearer $token", 'Connection: close', @{ $options{headers} // [] });
	push @headers, 'Content-Type: application/json', 'Content-Length: ' . length $body if defined $options{body} && !$options{bare};
	return join("\r\n", "$line HTTP/1.1", @headers, '', $body);
}

# One assertion: the answer to these bytes has the status and says what is wrong; the process is the same as before.
sub refused
{
	my ($name, $bytes, $status, $says) = @_;
	my $answer = raw($node, $bytes);
	my ($line, $content) = ($answer =~ /^(HTTP\/1\.1 \d+)/, ($answer =~ /\r\n\r\n(.*)/s)[0] // '');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(($line // '') eq "HTTP/1.1 $status" && $content =~ $says && $answer !~ /canary/i && $answer !~ /not closed/ && kill(0, $pid), $name)
	  or diag("answer: " . substr($answer, 0, 600));
}

my $path = '/api/tenants/acme';
my $quiz = "POST $path/quiz-results";
my $result = '{"userId": "u", "courseId": "c", "quizId": "q", "submittedAt": "2026-01-01T00:00:00Z"}';

like(raw($node, request("GET $path/readiness")), qr/^HTTP\/1\.1 200 .*"tenantId" : "acme"/s, 'a good request by hand');

# Addresses.
refused("address $_->[0]", request("GET $_->[0]"), $_->[1], $_->[2])
  foreach ["$path/users/../../globex/readiness", 400, qr/"path_traversal"/], ["$path/users/..%2f..%2fglobex/progress", 404, qr/"not_found"/], ["$path/users/%2e%2e/progress", 400, qr/"path_traversal"/],
  ["$path/../globex/readiness", 400, qr/"path_traversal"/], ["$path/users/%00/progress", 400, qr/"control_character"/], ["$path/users/u%00x/progress", 400, qr/%00/], ["/api/tenants/globex%00/readiness", 400, qr/"control_character"/],
  ["$path/users/%/progress", 400, qr/"bad_escape"/], ["$path/users/%4/progress", 400, qr/"bad_escape"/], ["$path/users/%zz/progress", 400, qr/"bad_escape"/], ["$path/users/%ff%fe/progress", 400, qr/"invalid_utf8"/],
  ["$path/users/%c0%af/progress", 400, qr/"invalid_utf8"/], ["$path/users/%ed%a0%80/progress", 400, qr/"invalid_utf8"/], ["$path/users/a%0d%0aX/progress", 400, qr/"control_character"/], ["$path/readiness?x=%zz", 400, qr/"bad_escape"/],
  ["$path/users//progress", 404, qr/"not_found"/], ["//$path/readiness", 404, qr/"not_found"/], ["/api/tenants/ACME/readiness", 404, qr/"no such tenant|There is no such tenant/], ["/api/tenants/" . ('a' x 5000) . '/readiness', 404, qr/no such tenant/],
  ["$path/readiness /x", 400, qr/"bad_url"/], ['http://127.0.0.1/healthz', 400, qr/"bad_url"/], ['*', 400, qr/"bad_url"/], ["$path/readiness/" . join('/', ('x') x 2000), 404, qr/"not_found"/];
refused('an address of 20 KiB', request("GET $path/users/" . ('a' x 20_000) . '/progress'), 414, qr/"url_too_long"/);
refused('an address of 100 KiB', request("GET $path/users/" . ('a' x 100_000) . '/progress'), 414, qr/too|long|big/i);
like(raw($node, request("GET $path/users/" . ('a' x 16_000) . '/progress')), qr/^HTTP\/1\.1 404/, 'one of 16 KiB is looked for');
refused('a user whose name is SQL', request("GET $path/users/'%3BDROP%20TABLE%20mindtickle.users--/progress"), 404, qr/no such user/);

# Headers.
refused('headers of 40 KiB', request("GET $path/readiness", headers => [ map { "X-$_: " . ('x' x 1000) } 1 .. 40 ]), 431, qr/"headers_too_large"/);
refused('a header of 40 KiB', request("GET $path/readiness", headers => [ 'X: ' . ('x' x 40_000) ]), 431, qr/"headers_too_large"/);
refused('headers of 200 KiB', request("GET $path/readiness", headers => [ map { "X-$_: " . ('x' x 1000) } 1 .. 200 ]), 431, qr/too/i);
refused('two lengths', request($quiz, body => $result, headers => ['Content-Length: 5']), 400, qr/"repeated_header".*"Content-Length"/);
refused('two lengths that are the same', request($quiz, body => $result, headers => [ 'Content-Length: ' . length $result ]), 400, qr/"repeated_header"/);
# libmicrohttpd answers these three by itself, in its own words; the connection ends although the client would keep it, so the body is no request.
refused("a length of \"$_->[0]\"", "$quiz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: $_->[0]\r\n\r\n$result", $_->[1], qr/Content-Length/)
  foreach ['5x', 400], ['-1', 400], ['99999999999999999999999', 413];
refused('a length whose name has a blank', "$quiz HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabcGET $path/readiness HTTP/1.1\r\nHost: x\r\n\r\n", 400, qr/"malformed_header"/);
refused('chunks', request($quiz, bare => 1, body => "5\r\n{\"a\":\r\n0\r\n\r\n", headers => [ 'Content-Type: application/json', 'Transfer-Encoding: chunked' ]), 411, qr/"length_required".*Content-Length/);
refused('chunks and a length', request($quiz, body => $result, headers => ['Transfer-Encoding: chunked']), 400, qr/"contradicting_headers"/);
refused('two tokens', request("GET $path/readiness", headers => ["Authorization: Bearer $token"]), 400, qr/"repeated_header".*"Authorization"/);
refused('no host', "GET $path/readiness HTTP/1.1\r\nAuthorization: Bearer $token\r\nConnection: close\r\n\r\n", 400, qr/"missing_header".*"Host"/);
like(raw($node, "GET $path/readiness HTTP/1.0\r\nAuthorization: Bearer $token\r\n\r\n"), qr/^HTTP\/1\.[01] 200 .*"tenantId" : "acme"/s, 'HTTP/1.0 needs none');
refused('two hosts', request("GET $path/readiness", headers => ['Host: y']), 400, qr/"Host"/);
refused('a token of 5000 bytes', "GET $path/readiness HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " . ('a' x 5000) . "\r\n\r\n", 401, qr/Authorization/);
refused('a token that is no text', "GET $path/readiness HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", 401, qr/Authorization/);
refused('Basic instead of Bearer', "GET $path/readiness HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic YTpi\r\n\r\n", 401, qr/Bearer/);

# Methods.
refused("method $_", request("$_ $path/readiness"), 405, qr/GET/) foreach qw(OPTIONS TRACE PUT PATCH FOO);
like(raw($node, request("HEAD $path/readiness")), qr/^HTTP\/1\.1 405 .*Allow: GET/s, 'method HEAD');
unlike(raw($node, request("TRACE $path/readiness", headers => ['X-Echo: kilroy'])), qr/kilroy/, 'TRACE echoes nothing');

# Bodies.
refused('a body of 10 MiB', request($quiz, body => '{"a": "' . ('x' x (10 * 1024 * 1024)) . '"}'), 413, qr/"body_too_large"/);
refused('a body that is a byte too long', request($quiz, body => ' ' x (1024 * 1024 + 1)), 413, qr/"body_too_large"/);
refused('JSON 10,000 levels deep', request($quiz, body => ('[' x 10_000) . (']' x 10_000)), 400, qr/nested deeper/);
refused('a key that stands twice', request($quiz, body => $result =~ s/"u"/"u", "userId": "v"/r), 400, qr/"field":"userId"/);
refused('a key that stands twice, once escaped', request($quiz, body => $result =~ s/"u"/"u", "user\\u0049d": "v"/r), 400, qr/"field":"userId"/);
refused('U+0000', request($quiz, body => $result =~ s/"u"/"\\u0000"/r), 400, qr/u0000/);
refused('half a surrogate', request($quiz, body => $result =~ s/"u"/"\\ud800"/r), 400, qr/"invalid_input"/);
refused('a number beyond all', request($quiz, body => $result =~ s/\{/{"score": 1e999999, /r), 400, qr/too large/);
refused('bytes that are no UTF-8', request($quiz, body => $result =~ s/"u"/"\xff"/r), 400, qr/UTF-8/);
refused('half a document', request($quiz, body => substr($result, 0, 40)), 400, qr/valid JSON/);
refused('a document and a half', request($quiz, body => "$result {"), 400, qr/valid JSON/);
refused('no document', request($quiz, body => ''), 400, qr/valid JSON/);
refused('no body at all', request($quiz), 400, qr/valid JSON/);
refused('a list', request($quiz, body => "[$result]"), 400, qr/must be a JSON object/);
refused('a field of another type', request($quiz, body => $result =~ s/"u"/["u"]/r), 400, qr/"field":"userId"/);
refused("content type $_", request($quiz, body => $result, bare => 1, headers => [ "Content-Type: $_", 'Content-Length: ' . length $result ]), 415, qr/"wrong_content_type".*"Content-Type"/)
  foreach 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'application/json, text/plain', '';
refused('no content type', request($quiz, body => $result, bare => 1, headers => [ 'Content-Length: ' . length $result ]), 415, qr/"wrong_content_type"/);
like(raw($node, request($quiz, body => $result, bare => 1, headers => [ 'Content-Type: Application/JSON; charset=utf-8', 'Content-Length: ' . length $result ])), qr/^HTTP\/1\.1 201/, 'a type is written as one likes');

# Who announces a large body and waits is told at once.
my $waiting = connect_to($node);
syswrite($waiting, request($quiz, bare => 1, body => '', headers => [ 'Expect: 100-continue', 'Content-Type: application/json', 'Content-Length: 10485760' ]));
like(read_until_closed($waiting), qr/^HTTP\/1\.1 413/, 'a body of 10 MiB that is announced');

# Two requests at once: each has its answer, in their order, and a bad one does not become the beginning of the next.
my $two = raw($node, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" . request("GET $path/readiness"));
like($two, qr/^HTTP\/1\.1 200 .*"ok".*HTTP\/1\.1 200 .*"acme"/s, 'two requests in one piece');
my $smuggled = "GET $path/readiness HTTP/1.1\r\nHost: x\r\n\r\n";
is(scalar(() = raw($node, request($quiz, body => $smuggled, headers => ['Content-Length: 0'])) =~ /^HTTP\/1\.1 /gm), 1, 'what two lengths hide is no request');
is(scalar(() = raw($node, request($quiz, body => "0\r\n\r\n$smuggled", headers => ['Transfer-Encoding: chunked'])) =~ /^HTTP\/1\.1 /gm), 1, 'nor what a length hides from chunks');

# No HTTP.
foreach my $bytes ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . ("\0" x 200), "\0" x 1000, "\r\n" x 1000, "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", ('A' x 100_000), "\xff" x 5000, "GET / HTTP/1.1\r\nHost: x\r\n : y\r\n\r\n", "GET /healthz\r\n\r\n")
{
	my $answer = raw($node, $bytes);
	like($answer, qr/^(?:HTTP\/1\.[01] (?:4\d\d|505) .*)?$/s, 'bytes that are no HTTP') or diag(substr($answer, 0, 300));
	unlike($answer, qr/canary|not closed/, 'end in a closed connection');
}

# Slow senders.
my @slow = map { connect_to($node) } 1 .. 4;
syswrite($slow[0], "GET $path/readiness HTTP/1.1\r\nHost: x\r\n");
syswrite($slow[1], request($quiz, bare => 1, body => '{"userId":', headers => [ 'Content-Type: application/json', 'Content-Length: 1000' ]));
syswrite($slow[2], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
foreach (1 .. 10)
{
	usleep(100_000);
	local $SIG{PIPE} = 'IGNORE';
	syswrite($slow[0], "X-$_: y\r\n");
	syswrite($slow[1], ' ');
}
like(read_until_closed($slow[$_]), qr/^HTTP\/1\.1 408 .*"request_timeout"/s, ('headers', 'a body')[$_] . ' that come a byte at a time') foreach 0, 1;
like(read_until_closed($slow[2]), qr/^HTTP\/1\.1 200 .*"ok"/s, 'a connection that stays idle is closed');
unlike(read_until_closed($slow[3]), qr/not closed/, 'and so is one that was never used');

# Many bad requests; the answers to a few kinds alone are counted.
my $many = $ENV{GATEWAY_BAD_REQUESTS} // 3000;
my @kinds = (
	["GET $path/users/%zz/progress", 400], ["GET /nothing", 404], ["GET /api/tenants/globex/readiness", 404], ["TRACE $path/readiness", 405],
	[$quiz, 400, '{"userId": '], [$quiz, 400, '{"userId": "u", "userId": "v"}'], [$quiz, 400, '{}'], [$quiz, 400, '[' x 300], ["GET $path/users/nobody/progress", 404]);

# What the process has in memory, without pages of the server's shared memory.
sub resident
{
	my $kilobytes = 0;
	$kilobytes += $_ foreach slurp_file("/proc/$pid/status") =~ /^Rss(?:Anon|File):\s+(\d+) kB/mg;
	return $kilobytes;
}

# What the process has allocated that outlives a transaction, in bytes.
sub allocated
{
	my $offset = -s $node->logfile;
	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log(qr/Grand total: \d+ bytes/, $offset);
	my ($used) = slurp_file($node->logfile, $offset) =~ /level: 1; mindtickle gateway: .* (\d+) used/;
	return $used;
}

sub send_bad
{
	my ($count) = @_;
	my %statuses;
	my $http = HTTP::Tiny->new(timeout => 60);

	foreach my $i (1 .. $count)
	{
		my ($line, $status, $body) = @{ $kinds[ $i % @kinds ] };
		my $answer = ask($node, (split / /, $line, 2), token => $i % 50 == 7 ? "mtk_$i" : $token, http => $http, defined $body ? (body => $body) : ());
		$statuses{ $answer->{status} == $status || $answer->{status} == 401 ? 'expected' : "$line: $answer->{status}" }++;
	}
	return join(', ', map { "$_ $statuses{$_}" } sort keys %statuses);
}

is(send_bad($many / 10), 'expected ' . $many / 10, 'bad requests are answered as such');
my ($before, $allocated) = (resident(), allocated());
is(send_bad($many - $many / 10), 'expected ' . ($many - $many / 10), 'and many more');
my $growth = resident() - $before;
cmp_ok(allocated() - $allocated, '<', 16 * 1024, 'nothing of them is left in memory');
note("$before kB before, $growth kB more behind $many bad requests");
cmp_ok($growth, '<', 1024, 'the process does not grow by it');

is(join(' ', gateway_pids($node)), $pid, 'the process is the one that was started');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.quiz_submission'), 1, 'nothing bad was recorded');
cmp_ok($node->safe_psql('postgres', q(SELECT count(*) FROM mt_dead_letters WHERE tenant_id = 'acme' AND resource = 'quiz_results')), '>=', 12, 'malformed results are kept');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_dead_letters WHERE tenant_id <> 'acme')), 0, 'for the tenant whose token came with them');
ok(poll($node, q(SELECT count(*) > 0 FROM mt_security_alerts WHERE object = 'gateway' AND tenant_asked = 'globex')), 'attempts at another tenant are alerts');
$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
