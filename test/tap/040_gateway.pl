# The HTTP gateway: every route with the token it needs and with those that do not do, what it answers, and that it is as its OpenAPI document says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use HTTP::Tiny;
use JSON::PP;
use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Every answer of this file is held to the document, at its end.
my @answers;
{
	my $ask = \&ask;
	no warnings 'redefine';
	*ask = sub {
		my (undef, $method, $path) = @_;
		my $answer = $ask->(@_);
		push @answers, { method => lc $method, path => $path, status => $answer->{status}, type => $answer->{headers}{'content-type'}, json => $answer->{json} };
		return $answer;
	};
}

my $node = start_gateway('gateway', workers => 2);
my %token = map { $_ => token($node, 'acme', $_) } qw(read quiz sync scim sql);
$token{metrics} = token($node, undef, 'metrics');
$token{globex} = token($node, 'globex', qw(read quiz sync scim));

# Open to everybody.
my $answer = ask($node, GET => '/healthz');
is("$answer->{status} $answer->{json}{status}", '200 ok', 'healthz');
like($answer->{headers}{'x-request-id'}, qr/^[0-9a-f]{16}$/, 'every answer has a number');

# The token.
$answer = ask($node, GET => '/api/tenants/acme/readiness');
is($answer->{status}, 401, 'without a token');
is("$answer->{json}{code} $answer->{json}{field}", 'missing_header Authorization', 'the answer names the header');
like($answer->{json}{message}, qr/Authorization: Bearer/, 'and how it is written');
like($answer->{headers}{'www-authenticate'}, qr/^Bearer/, 'and so does WWW-Authenticate');
foreach my $bad (["x$token{read}", 401], [substr($token{read}, 0, -1), 401], ['', 401], ['a b', 401], [$token{quiz}, 403], [$token{sql}, 403], [$token{metrics}, 403])
{
	$answer = ask($node, GET => '/api/tenants/acme/readiness', headers => { Authorization => "Bearer $bad->[0]" });
	is($answer->{status}, $bad->[1], 'a token that does not do');
	is($answer->{json}{field}, 'Authorization', 'the answer names the header');
	unlike($answer->{content}, qr/mtk_/, 'and holds no token');
}
my $expired = $node->safe_psql('postgres', q(SELECT mt_create_token('acme', 'expired', '{read}', '1 microsecond')));
is(ask($node, GET => '/api/tenants/acme/readiness', token => $expired)->{status}, 401, 'a token that has expired');
is(ask($node, GET => '/api/tenants/acme/readiness', headers => { Authorization => "bearer $token{read}" })->{status}, 200, 'the scheme is written as one likes');
is(ask($node, GET => '/api/tenants/acme/readiness', headers => { Authorization => $token{read} })->{status}, 401, 'but it is there');
is(ask($node, GET => "/api/tenants/acme/readiness?token=$token{read}")->{status}, 401, 'a token in the URL does not count');

# Who has no valid token learns nothing but that: not what there is, nor how it can be asked. It does not help that one was valid.
my $kept = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
my $revoked = token($node, 'acme', 'read', 'quiz');
my $large = '{"a": "' . 'x' x 1_100_000 . '"}';
foreach my $probe (['GET', '/api/tenants/acme/nothing', 404], ['GET', '/nothing', 404], ['PUT', '/api/tenants/acme/readiness', 405], ['OPTIONS', '/metrics', 405], ['GET', '/api/tenants/acme/users/%zz/progress', 400],
	['GET', '/api/tenants/acme/readiness?x=%zz', 400], ['GET', '/api/tenants/acme/users/%2e%2e/progress', 400], ['POST', '/api/tenants/acme/quiz-results', 413, $large], ['POST', '/api/tenants/acme/quiz-results', 415, 'x', 'text/plain'])
{
	my ($method, $path, $status, $body, $type) = @$probe;
	my %options = (body => $body, http => $kept, defined $type ? (headers => { 'Content-Type' => $type }) : ());
	my $ask = sub { ask($node, $method => $path, %options, headers => { %{ $options{headers} // {} } }, @_)->{status} };

	is($ask->(token => $revoked), $status, "$method $path with a token");
	is($ask->(), 401, 'without one');
	is($ask->(token => 'mtk_' . '0' x 64), 401, 'with one that nobody knows');
}
is(ask($node, GET => '/api/tenants/acme/readiness', token => $revoked, http => $kept)->{status}, 200, 'the process knows the token');
$node->safe_psql('postgres', 'DELETE FROM mindtickle.api_token WHERE token_hash = sha256(convert_to(' . quote($revoked) . ", 'UTF8'))");
is(ask($node, $_->[0] => $_->[1], token => $revoked, http => $kept, body => $_->[2])->{status}, 401, "$_->[0] $_->[1] when it is revoked")
  foreach ['PUT', '/api/tenants/acme/readiness'], ['GET', '/nothing'], ['POST', '/api/tenants/acme/quiz-results', $large], ['POST', '/api/tenants/acme/quiz-results', '{}'];
is(ask($node, POST => '/api/tenants/acme/quiz-results', token => $token{read}, body => $large)->{status}, 403, 'a token without the scope is told that');

# Another tenant is like one that is not there, and leaves an alert.
my ($foreign, $absent) = map { ask($node, GET => "/api/tenants/$_/readiness", token => $token{read}) } qw(globex nowhere);
is($foreign->{status}, 404, 'another tenant');
my ($of_foreign, $of_absent) = map { my %json = %{ $_->{json} }; delete $json{requestId}; [ $_->{status}, \%json ] } $foreign, $absent;
is_deeply($of_foreign, $of_absent, 'is answered as one that does not exist');
ok(poll($node, q(SELECT count(*) = 2 FROM mt_security_alerts WHERE object = 'gateway' AND tenant_in_force = 'acme' AND tenant_asked IN ('globex', 'nowhere'))),
	'both leave an alert');
foreach my $route (['GET', 'users/u1/progress', 'read'], ['GET', 'roster', 'read'], ['GET', 'courses', 'read'], ['POST', 'readiness/aggregate', 'read'], ['GET', 'users/u1/sync-progress', 'sync'],
	['POST', 'users/u1/sync-progress', 'sync'], ['GET', 'pulls/1', 'sync'], ['POST', 'quiz-results', 'quiz', '{}'], ['POST', 'scim-events', 'scim', '{}'])
{
	my ($method, $path, $scope, $body) = @$route;
	is(ask($node, $method => "/api/tenants/globex/$path", token => $token{$scope}, body => $body)->{status}, 404, "$method $path of another tenant");
}

# Quiz results.
my $result = '{"userId": "u1", "courseId": "c1", "quizId": "q1", "submittedAt": "2026-01-02T03:04:05Z", "score": 80}';
my $post = sub { ask($node, POST => '/api/tenants/acme/quiz-results', token => $token{quiz}, @_) };
$answer = $post->(body => $result);
is("$answer->{status} $answer->{json}{recorded}", '201 1', 'a quiz result is recorded');
$answer = $post->(body => $result);
is("$answer->{status} $answer->{json}{recorded}", '200 0', 'the same again is there already');
$answer = $post->(body => $result =~ s/80/81/r);
is("$answer->{status} $answer->{json}{code}", '409 conflict', 'other content under the same key is refused');
is($node->safe_psql('postgres', q(SELECT tenant_id, score FROM mindtickle.quiz_submission)), 'acme|80.0000', 'what was recorded stays');
$answer = $post->(body => '{"userId": "u1", "courseId": "c1", "quizId": "q1", "submittedAt": "2026-01-02T03:04:05Z", "score": 180}');
is("$answer->{status} $answer->{json}{code} $answer->{json}{field}", '400 invalid_input score', 'a fault is named by its field');
$answer = $post->(body => "{\"userId\": \xff}");
is($answer->{status}, 400, 'bytes that are no JSON');
is( $node->safe_psql('postgres', q(SELECT string_agg(format('%s %s %s %s', tenant_id, source, resource, raw), E'\n' ORDER BY letter_id) FROM mt_dead_letters WHERE raw = '\x7b22757365724964223a20ff7d')),
	'acme http quiz_results \x7b22757365724964223a20ff7d', 'are kept as they came');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_dead_letters)), 3, 'and so is what was refused');
$node->safe_psql('postgres', q(INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) SELECT 'acme', 'http', 'quiz_results', 'one of many', convert_to(n::text, 'UTF8') FROM generate_series(1, 10000) AS n));
$answer = $post->(body => '{"userId": 7}');
is("$answer->{status} $answer->{json}{code} " . ($answer->{headers}{'retry-after'} // ''), '429 too_many_requests 1', 'what cannot be kept is left to who sent it');
is($node->safe_psql('postgres', q(SELECT count(*) > 0 AND sum(errors) = 0 FROM mt_stat_worker WHERE kind ~ '^gateway')), 't', 'and is no failure of the gateway');
$node->safe_psql('postgres', q(DELETE FROM mindtickle.dead_letter WHERE reason = 'one of many'));
ok(poll($node, q(SELECT count(*) = 1 FROM mt_events WHERE tenant_id = 'acme' AND topic = 'quiz.completed')), 'the one that was recorded is an event');

# Writes one after the other, on one connection: each is answered when it is on disk, and not when something else happens to wake the process, which it does
# within a second.
my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;
my $written = 0;
for (my $i = 0; $i < 2 * $PostgreSQL::Test::Utils::timeout_default && time() < $give_up; $i++)
{
	$written++ if ask($node, POST => '/api/tenants/globex/quiz-results', token => $token{globex}, body => $result =~ s/"q1"/"q$i"/r, http => $http)->{status} == 201;
}
is($written, 2 * $PostgreSQL::Test::Utils::timeout_default, 'nothing but the disk is waited for');

# Readiness.
$answer = ask($node, GET => '/api/tenants/acme/readiness', token => $token{read});
is("$answer->{json}{tenantId} $answer->{json}{avgScore} $answer->{json}{quizResults}", 'acme 80 1', 'readiness');
is($answer->{headers}{'cache-control'}, 'no-store', 'is for nobody to keep');
$answer = ask($node, POST => '/api/tenants/acme/readiness/aggregate', token => $token{read});
is("$answer->{status} $answer->{json}{avgScore}", '200 80', 'readiness is aggregated');
is($node->safe_psql('postgres', 'SELECT tenant_id, avg_score FROM mt_readiness_reports'), 'acme|80.0000', 'and the report is stored');

# Progress.
$node->safe_psql('postgres', q(SELECT mt_provision_user('acme', '{"userId": "u1", "mindtickleId": "m 1/2", "email": "u@example.com"}'),
	mt_upsert_progress('acme', 'u1', '[{"courseId": "c1", "status": "completed", "score": 70.5, "completedAt": "2026-01-01T00:00:00Z"}]')));
my $courses = '{"courses":[{"completedAt":"2026-01-01T00:00:00+00:00","courseId":"c1","score":70.5,"status":"completed"}],"userId":"u1"}';
foreach my $user ('u1', 'm%201%2F2', '%75%31')
{
	$answer = ask($node, GET => "/api/tenants/acme/users/$user/progress", token => $token{read});
	is(JSON::PP->new->canonical->encode($answer->{json}), $courses, "progress of $user");
}
$answer = ask($node, GET => '/api/tenants/acme/users/nobody/progress', token => $token{read});
is("$answer->{status} $answer->{json}{field}", '404 user', 'nobody has none');
is(ask($node, GET => '/api/tenants/globex/users/u1/progress', token => $token{globex})->{status}, 404, 'nor has he at another tenant');

# Documents: from memory while they are right, 304 for who has them, never what a commit has just made stale.
my $roster = sub { my (%headers) = @_; ask($node, GET => '/api/tenants/acme/roster', token => $token{read}, headers => \%headers) };
$answer = $roster->();
is("$answer->{status} $answer->{json}{tenantId} " . join(',', map { $_->{userId} } @{ $answer->{json}{users} }), '200 acme u1', 'the roster');
my $tag = $answer->{headers}{etag};
like($tag, qr/^"[0-9a-f]{16}"$/, 'has a version');
is($answer->{headers}{'cache-control'}, 'private, no-cache', 'and is to be asked for again');
is($roster->()->{content}, $answer->{content}, 'the same comes from memory') foreach 1 .. 4;
foreach my $has ($tag, "W/$tag", qq("x", $tag), '*')
{
	$answer = $roster->('If-None-Match' => $has);
	is("$answer->{status} " . length($answer->{content} // '') . " $answer->{headers}{etag}", "304 0 $tag", "who has $has is told that it is right");
}
is($roster->('If-None-Match' => '"0000000000000000", "x"')->{status}, 200, 'who has another is sent it');
foreach my $i (2 .. 6)
{
	$node->safe_psql('postgres', qq(SELECT mt_provision_user('acme', '{"userId": "u$i"}')));
	$answer = $roster->('If-None-Match' => $tag);
	is("$answer->{status} " . @{ $answer->{json}{users} }, "200 $i", "user $i is there as soon as he is committed");
}
isnt($answer->{headers}{etag}, $tag, 'under another version');
$answer = ask($node, GET => '/api/tenants/acme/courses', token => $token{read});
is("$answer->{status} $answer->{json}{tenantId}", '200 acme', 'the catalog');
$answer = ask($node, GET => '/api/tenants/globex/roster', token => $token{globex});
is("$answer->{status} " . @{ $answer->{json}{users} }, '200 0', 'the roster of another tenant is its own');
$node->safe_psql('postgres', qq(SELECT mt_provision_user('globex', jsonb_build_object('userId', 'big' || i, 'name', repeat('x', 2000)))) . ' FROM generate_series(1, 6000) AS i');
$answer = ask($node, GET => '/api/tenants/globex/roster', token => $token{globex});
cmp_ok(length $answer->{content}, '>', 12_000_000, 'a roster that is too large to keep');
is(scalar @{ $answer->{json}{users} }, 6000, 'comes whole');

# The webhook.
my $event = sub { ask($node, POST => '/api/tenants/acme/scim-events', token => $token{scim}, body => $_[0]) };
$answer = $event->('{"tenantId": "acme", "operation": "CREATE", "user": {"id": "w1", "userName": "w1", "email": "w1@example.com"}}');
is($answer->{status}, 200, 'an event of an HR system') or diag($answer->{content});
is($node->safe_psql('postgres', q(SELECT email FROM mt_users WHERE tenant_id = 'acme' AND user_id = ) . quote($answer->{json}{userId})), 'w1@example.com', 'is applied');
my $other = '{"tenantId": "globex", "operation": "DELETE", "user": {"id": "big1"}}';
$answer = $event->($other);
is("$answer->{status} $answer->{json}{field}", '403 tenantId', 'one that names another tenant is refused');
ok(poll($node, q(SELECT count(*) > 0 FROM mt_security_alerts WHERE tenant_asked = 'globex' AND object <> 'gateway')), 'with an alert');
is($node->safe_psql('postgres', q(SELECT active FROM mt_users WHERE tenant_id = 'globex' AND user_id = 'big1')), 't', 'and changes nothing there');
$answer = $event->('{"operation": "RAISE", "user": {"id": "w1"}}');
is("$answer->{status} $answer->{json}{field}", '400 operation', 'a fault is named');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_dead_letters WHERE tenant_id = 'acme' AND resource = 'scim_events' AND raw = convert_to('{"operation": "RAISE", "user": {"id": "w1"}}', 'UTF8'))), 1, 'and kept');

is($event->('{"operation": "CREATE", "user": {"id": "w2", "email": "w2@example.com", "role": "queen"}}')->{status}, 400, 'a role that the tenant has no word for');
$node->safe_psql('postgres', q(SELECT mt_configure_tenant('acme', '{"role_map": {"queen": "admin"}}')));
is($node->safe_psql('postgres', q(SELECT mt_replay_dead_letter('acme', max(letter_id)) FROM mt_dead_letters WHERE tenant_id = 'acme' AND resource = 'scim_events')), 't', 'is replayed when it has one');
is($node->safe_psql('postgres', q(SELECT role FROM mt_users WHERE tenant_id = 'acme' AND user_id = 'w2')), 'admin', 'and applied');

# Passwords are nobody's here, even of what is refused.
$answer = $event->('{"operation": "CREATE", "user": {"id": "w4", "role": "king", "password": "hunter2"}}');
my $broken = $event->('{"operation": "CREATE", "user": {"id": "w4", "password": hunter2}}');
is("$answer->{status} $broken->{status}", '400 400', 'events with a password that are refused');
unlike($answer->{content} . $broken->{content}, qr/hunter2/, 'do not get it back');
is($node->safe_psql('postgres', q(SELECT count(*) || ' ' || count(*) FILTER (WHERE concat(reason, encode(raw, 'escape')) LIKE '%hunter2%') FROM (SELECT * FROM mt_dead_letters WHERE tenant_id = 'acme' AND resource = 'scim_events' ORDER BY letter_id DESC LIMIT 2) AS l WHERE concat(reason, encode(raw, 'escape')) ~ 'password|bytes came')), '2 0', 'nor is it kept');

is($event->(qq({"operation": "CREATE", "user": {"id": "w3", "role": "$_"}}))->{status}, 200, "a role of ours that the tenant has no word for: $_") foreach qw(admin manager);
is($node->safe_psql('postgres', q(SELECT role FROM mt_users WHERE tenant_id = 'acme' AND user_id = 'w3')), 'rep', 'makes nobody more than a rep');

# SCIM: what the gateway itself has to say is an error of SCIM.
$answer = ask($node, GET => '/scim/v2/Users');
is("$answer->{status} $answer->{headers}{'content-type'} $answer->{json}{schemas}[0] $answer->{json}{status}", '401 application/scim+json urn:ietf:params:scim:api:messages:2.0:Error 401', 'SCIM without a token');
is(ask($node, GET => '/scim/v2/Users/%00', token => $token{scim})->{json}{status}, 400, 'and with a bad address');

# Methods and addresses.
foreach my $method (qw(HEAD OPTIONS TRACE PUT DELETE FOO))
{
	$answer = ask($node, $method => '/api/tenants/acme/readiness', token => $token{read});
	is("$answer->{status} " . ($answer->{headers}{allow} // ''), '405 GET', "$method is not allowed");
}
is(ask($node, GET => '/api/tenants/acme/nothing', token => $token{read})->{status}, 404, 'no such address');
is(ask($node, GET => '/api/tenants/acme/readiness/', token => $token{read})->{status}, 404, 'a slash more is another address');

# Metrics: a parser of the text format.
ask($node, GET => '/healthz') foreach 1 .. 3;
ok( poll($node, q(SELECT value >= 4 FROM mindtickle.gateway_counts() WHERE name = 'mindtickle_http_requests_total{route="/healthz",method="GET",status="200"}')),
	'requests are counted, those of all processes together');
$answer = ask($node, GET => '/metrics', token => $token{metrics});
is($answer->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'metrics are text');
my (%kind, %help, %samples, @faults, $family);
foreach my $line (split /\n/, $answer->{content})
{
	if ($line =~ /^# HELP ([a-z_]+) (\S.*)$/) { push @faults, "HELP twice: $1" if $help{$1}; $help{ $family = $1 } = $2 }
	elsif ($line =~ /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/) { push @faults, "TYPE of $1 is not behind its HELP" if $1 ne $family; $kind{$1} = $2 }
	elsif ($line =~ /^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?[0-9.]+(?:e[+-]?\d+)?)$/)
	{
		my ($name, $labels, $value) = ($1, $2 // '', $3);
		my $of = ($kind{$family} // '') eq 'histogram' ? qr/^\Q$family\E_(?:bucket|sum|count)$/ : qr/^\Q$family\E$/;
		push @faults, "$line is not of $family" if $name !~ $of;
		push @faults, "$line stands twice" if defined $samples{"$name $labels"};
		$samples{"$name $labels"} = $value;
	}
	else { push @faults, "unreadable: $line" }
}
is("@faults", '', 'the text is well-formed');
is(join(' ', sort keys %kind), join(' ', sort keys %help), 'each family has HELP and TYPE');
my %bucket = map { ((/le="([\d.]+)/)[0] // 9**9) => $samples{$_} } grep { /_bucket / } keys %samples;
my @buckets = map { $bucket{$_} } sort { $a <=> $b } keys %bucket;
is("@buckets", join(' ', sort { $a <=> $b } @buckets), 'the buckets add up');
is($buckets[-1], $samples{'mindtickle_http_request_seconds_count '}, 'to all requests');
is($samples{'mindtickle_worker_up kind="publisher"'}, 1, 'workers are shown');
is(ask($node, GET => '/metrics', token => $token{read})->{status}, 403, 'a tenant does not see them');
unlike($answer->{content}, qr/acme|globex/, 'and they name none');

# The OpenAPI document: every route of the table is in it, and everything in it is a route that asks for the scope it says.
my $api = ask($node, GET => '/openapi.json')->{json};
is($api->{openapi}, '3.1.0', 'the API is described');
my $source = slurp_file("$FindBin::RealBin/../../worker/gateway_route.c") =~ s/SCIM_PREFIX "/"\/scim\/v2/gr;
my %routes = map { $_->[0] => $_->[1] } map { [ "$_->[0] $_->[1]", $_->[2] ] } map { [/^\t\{"([A-Z]+)", "([^"]+)", (?:NULL|"([a-z]+)"), /] } grep { /^\t\{"[A-Z]+", "\// } split /\n/, $source;
my %described;
foreach my $path (keys %{ $api->{paths} })
{
	foreach my $method (grep { $_ ne 'parameters' } keys %{ $api->{paths}{$path} })
	{
		my $operation = $api->{paths}{$path}{$method};
		$described{ uc($method) . " $path" } = $operation->{'x-scope'};
		my $real = $path =~ s/\{tenant\}/acme/r =~ s/\{user\}/u1/r =~ s/\{pull\}/1/r =~ s/\{rest\}/Users/r;
		my $status = ask($node, uc($method) => $real, $operation->{requestBody} ? (body => '{}') : ())->{status};
		is($status, $operation->{'x-scope'} ? 401 : 200, "$method $path is there");
		is(ask($node, uc($method) => $real, token => $token{ $operation->{'x-scope'} eq 'read' ? 'quiz' : 'read' }, $operation->{requestBody} ? (body => '{}') : ())->{status}, 403, 'and needs its scope')
		  if $operation->{'x-scope'};
		my @parameters = map { $_->{name} // $_->{'$ref'} =~ s/.*\///r } @{ $api->{paths}{$path}{parameters} // [] };
		is(join(' ', sort @parameters), join(' ', sort $path =~ /\{(\w+)\}/g), 'its parameters are described');
	}
}
cmp_ok(scalar keys %routes, '>=', 18, 'the routes are found in the source');
is_deeply(\%described, \%routes, 'the document and the routes agree');
my @references = JSON::PP->new->canonical->encode($api) =~ /"\$ref":"#\/components\/(\w+\/\w+)"/g;
is(join(' ', grep { my ($kind, $name) = split /\//; !$api->{components}{$kind}{$name} } @references), '', 'what it refers to is there');

# What is wrong with a value by its schema, as far as the document's schemas go.
sub faults
{
	my ($value, $schema, $place) = @_;
	return "$place has $_, of which this knows nothing" foreach grep { !/^(?:type|properties|required|items|enum|const|format|minimum|maximum|description|default|\$ref)$/ } keys %$schema;
	return faults($value, $api->{components}{schemas}{ $schema->{'$ref'} =~ s/.*\///r }, $place) if $schema->{'$ref'};
	my $is = !defined $value ? 'null' : JSON::PP::is_bool($value) ? 'boolean' : ref $value eq 'HASH' ? 'object' : ref $value eq 'ARRAY' ? 'array' : JSON::PP->new->allow_nonref->encode($value) =~ /^"/ ? 'string' : 'number';
	my @types = map { ref $_ ? @$_ : $_ } $schema->{type} // ();
	my @faults;
	push @faults, "$place is $is" if @types && !grep { $_ eq $is || ($_ eq 'integer' && $is eq 'number' && $value == int $value) } @types;
	push @faults, "$place is $value" if $schema->{enum} && !grep { $_ eq $value } @{ $schema->{enum} };
	push @faults, "$place is $value" if defined $schema->{const} && $schema->{const} ne $value;
	push @faults, "$place is no moment" if $schema->{format} && defined $value && $value !~ /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
	push @faults, "$place is $value" if $is eq 'number' && ($value < ($schema->{minimum} // $value) || $value > ($schema->{maximum} // $value));
	if ($is eq 'object')
	{
		push @faults, "$place has no $_" foreach grep { !exists $value->{$_} } @{ $schema->{required} // [] };
		push @faults, map { $schema->{properties}{$_} ? faults($value->{$_}, $schema->{properties}{$_}, "$place/$_") : "$place has $_" } $schema->{properties} ? sort keys %$value : ();
	}
	push @faults, map { faults($value->[$_], $schema->{items}, "$place/$_") } 0 .. $#$value if $is eq 'array' && $schema->{items};
	return @faults;
}

my (%held, @unlike);
foreach my $answer (@answers)
{
	my ($path) = grep { my $pattern = s/\{rest\}/.*/r =~ s/\{\w+\}/[^\/?]+/gr; $answer->{path} =~ /^$pattern(?:\?.*)?$/ } sort keys %{ $api->{paths} };
	my $operation = defined $path ? $api->{paths}{$path}{ $answer->{method} } : undef;
	my $response = !defined $operation ? $api->{components}{responses}{Problem} : $operation->{responses}{ $answer->{status} } // $operation->{responses}{default};
	my $name = "$answer->{method} $answer->{path}: $answer->{status}";

	$response = $api->{components}{responses}{ $response->{'$ref'} =~ s/.*\///r } if $response->{'$ref'};
	$held{"$answer->{method} $path $answer->{status}"}++ if defined $operation;
	next if !$response->{content} || ($path // '') =~ /^\/scim/ || $answer->{method} eq 'head';
	my $content = $response->{content}{ ($answer->{type} // '') =~ s/;.*//r };
	push @unlike, defined $content ? ($answer->{type} =~ /json/ ? map { "$name: $_" } faults($answer->{json}, $content->{schema}, '') : ()) : "$name: type " . ($answer->{type} // 'none');
}
is(join("\n", @unlike[ 0 .. ($#unlike < 9 ? $#unlike : 9) ]), '', 'every answer was as the document describes it');
is(join(' ', grep { my $route = $_; !grep { /^\Q$route\E [23]/ } keys %held } map { lc((split ' ')[0]) . ' ' . (split ' ')[1] } grep { !/scim\/v2|sync-progress|pulls/ } sort keys %routes), '',
	'each route, but for those that need MindTickle, has answered with what it is for');

# The log has a line for each request, and no secret.
my $log = join('', grep { /mindtickle gateway/ } map { "$_\n" } split /\n/, slurp_file($node->logfile));
like($log, qr{gateway: request [0-9a-f]{16}: POST /api/tenants/\{tenant\}/quiz-results, tenant acme, status 201, \d+ bytes, [\d.]+ ms}, 'the access log');
unlike($log, qr/mtk_[0-9a-f]{8}/, 'holds no token');
unlike($log, qr/u\@example|nobody/, 'and nobody\'s name');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
