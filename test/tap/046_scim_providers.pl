# SCIM over HTTP: Okta and Microsoft Entra provision a tenant, with the requests that they send, from the first test of the connection to the last
# deletion; then what HTTP adds to mt_scim_request: tokens, headers, methods, and requests that come at the same time in two processes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_gateway('gateway', workers => 2, configuration => "mindtickle.public_url = 'https://people.example/base'");
my %token = map { $_ => token($node, $_, 'scim') } qw(acme globex);
$token{read} = token($node, 'acme', 'read');
my $json = JSON::PP->new->canonical->allow_nonref;
my $user_urn = 'urn:ietf:params:scim:schemas:core:2.0:User';
my $enterprise_urn = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
my $group_urn = 'urn:ietf:params:scim:schemas:core:2.0:Group';
my $error_urn = 'urn:ietf:params:scim:api:messages:2.0:Error';
my %provider = (
	okta => { Accept => 'application/scim+json; charset=utf-8', 'Content-Type' => 'application/scim+json; charset=utf-8', 'User-Agent' => 'Okta SCIM Client 1.0.0' },
	entra => { Accept => '*/*', 'Content-Type' => 'application/scim+json', 'User-Agent' => 'Azure AD' });

# One request; body is text, or what is to be written as JSON.
sub scim
{
	my ($provider, $method, $path, $body, %headers) = @_;

	return ask($node, $method, "/scim/v2$path", token => $token{acme}, headers => { %{ $provider{$provider} }, %headers },
		defined $body ? (body => ref $body ? $json->encode($body) : $body) : ());
}

# One assertion: the status, and what every answer keeps to: a body of SCIM's type, an error's form, or none at all. Returns the body.
sub answered
{
	my ($answer, $status, $name) = @_;
	my $body = $answer->{json};
	my $type = $answer->{headers}{'content-type'} // '';
	my $form = $status == 204 || $status == 304 ? $answer->{content} eq '' && $type eq ''
	  : $type eq 'application/scim+json' && ref $body eq 'HASH' && ($status < 400 || ($body->{schemas}[0] eq $error_urn && $body->{status} eq $status && length $body->{detail}));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($answer->{status} == $status && $form, $name) or diag("$answer->{status} $type $answer->{content}");
	return $body;
}

sub patch
{
	return { schemas => ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations => [@_] };
}

# Okta: the connection; a user is looked for, made, found, made again; the application of the catalogue and the custom one.
my $found = answered(scim('okta', GET => '/Users?startIndex=1&count=2'), 200, 'okta: users');
is_deeply([ @$found{qw(totalResults startIndex itemsPerPage Resources)} ], [ 0, 1, 0, [] ], 'okta: nobody');
answered(scim('okta', GET => '/Groups?startIndex=1&count=100'), 200, 'okta: groups');
answered(scim('okta', GET => '/ServiceProviderConfig'), 200, 'okta: configuration');
my $by_name = '/Users?filter=userName%20eq%20%22test.user%40okta.local%22&startIndex=1&count=100';
is(answered(scim('okta', GET => $by_name), 200, 'okta: looked for')->{totalResults}, 0, 'okta: nobody of this name');
my $okta_user = '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},'
  . '"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}';
my $made = scim('okta', POST => '/Users', $okta_user);
my $user = answered($made, 201, 'okta: made');
my $u = $user->{id};
my %kept = %{ $json->decode($okta_user) };
delete @kept{qw(groups password)};
is_deeply({ map { $_ => $user->{$_} } keys %kept }, \%kept, 'okta: as it was sent');
unlike($made->{content}, qr/1mz050nq/, 'okta: without the password');
is($made->{headers}{location}, "https://people.example/base/scim/v2/Users/$u", 'okta: where it is, by the public address');
is($user->{meta}{location}, $made->{headers}{location}, 'okta: as in the body');
is($user->{meta}{version}, $made->{headers}{etag}, 'okta: and its version');
is(answered(scim('okta', GET => $by_name =~ s/test.user/TEST.USER/r), 200, 'okta: in capitals')->{Resources}[0]{id}, $u, 'okta: found');
is(answered(scim('okta', POST => '/Users', $okta_user), 409, 'okta: not made again')->{scimType}, 'uniqueness', 'okta: the name is taken');
answered(scim('okta', GET => '/Users/00u-none'), 404, 'okta: nobody of this id');
my $whole = answered(scim('okta', GET => "/Users/$u"), 200, 'okta: read');
answered(scim('okta', PUT => "/Users/$u", { %$whole, name => { givenName => 'Another', familyName => 'User' }, groups => [ { value => 'g', display => 'G' } ] }), 200, 'okta: updated with PUT');
is(answered(scim('okta', GET => "/Users/$u"), 200, 'okta: read again')->{name}{givenName}, 'Another', 'okta: is so');
ok(!answered(scim('okta', PUT => "/Users/$u", { %$whole, active => JSON::PP::false }), 200, 'okta: deactivated with PUT')->{active}, 'okta: is inactive');
ok(answered(scim('okta', PATCH => "/Users/$u", patch({ op => 'replace', value => { active => JSON::PP::true } })), 200, 'okta: reactivated with PATCH')->{active}, 'okta: is active');
my $group = answered(scim('okta', POST => '/Groups', { schemas => [$group_urn], displayName => 'Test SCIMv2', members => [] }), 201, 'okta: group pushed');
my $g = $group->{id};
answered(scim('okta', PATCH => "/Groups/$g", patch({ op => 'replace', value => { id => $g, displayName => 'Test SCIMv2' } }, { op => 'add', path => 'members', value => [ { value => $u, display => 'test.user@okta.local' } ] })), 204, 'okta: filled');
is_deeply([ map { $_->{value} } @{ answered(scim('okta', GET => "/Groups/$g"), 200, 'okta: the group')->{members} } ], [$u], 'okta: its member');
is(answered(scim('okta', GET => "/Users/$u"), 200, 'okta: the user')->{groups}[0]{display}, 'Test SCIMv2', 'okta: has the group');
answered(scim('okta', PATCH => "/Groups/$g", patch({ op => 'remove', path => "members[value eq \"$u\"]" })), 204, 'okta: taken out');
answered(scim('okta', PUT => "/Groups/$g", { schemas => [$group_urn], id => $g, displayName => 'Renamed', members => [ { value => $u } ] }), 200, 'okta: PUT of the whole group');
answered(scim('okta', DELETE => "/Groups/$g"), 204, 'okta: unlinked');
answered(scim('okta', GET => "/Groups/$g"), 404, 'okta: gone');
answered(scim('okta', PATCH => "/Users/$u", patch({ op => 'replace', value => { active => JSON::PP::false } })), 200, 'okta: deactivated at last');

# Entra: one operation an attribute, with capitals and strings; then with aadOptscim062020.
is_deeply(answered(scim('entra', GET => '/Users?filter=userName+eq+%22non-existent-6b0b4d5a%22'), 200, 'entra: the connection')->{Resources}, [], 'entra: nobody');
is(answered(scim('entra', GET => '/Schemas'), 200, 'entra: schemas')->{totalResults}, 3, 'entra: are a list');
my $adele = answered(scim('entra', POST => '/Users', { schemas => [ $user_urn, $enterprise_urn ], externalId => '0a21f0f2', userName => 'Adele@contoso.example', active => JSON::PP::true, addresses => undef, displayName => 'Adele Vance',
	emails => [ { type => 'work', value => 'Adele@contoso.example', primary => JSON::PP::true } ], meta => { resourceType => 'User' }, name => { formatted => 'Adele Vance', familyName => 'Vance', givenName => 'Adele' }, roles => [], title => undef,
	$enterprise_urn => { department => 'bob' } }), 201, 'entra: made');
my $a = $adele->{id};
is(answered(scim('entra', GET => "/Users?filter=$_"), 200, "entra: looked for by $_")->{Resources}[0]{id}, $a, 'entra: found')
  foreach 'externalId+eq+%220a21f0f2%22', 'userName+eq+%22ADELE%40contoso.example%22', 'emails%5btype+eq+%22work%22%5d.value+eq+%22adele%40contoso.example%22';
is(answered(scim('entra', PATCH => "/Users/$a", patch({ op => 'Replace', path => 'emails[type eq "work"].value', value => 'updated@contoso.example' }, { op => 'Add', path => 'title', value => 'Manager' },
	{ op => 'Add', path => 'phoneNumbers[type eq "mobile"].value', value => '123' })), 200, 'entra: updated')->{emails}[0]{value}, 'updated@contoso.example', 'entra: is so');
is(answered(scim('entra', PATCH => "/Users/$a", patch({ op => 'Add', path => "$enterprise_urn:manager", value => 'manager-1' })), 200, 'entra: a manager')->{$enterprise_urn}{manager}{value}, 'manager-1', 'entra: as a string');
ok(!answered(scim('entra', PATCH => "/Users/$a", patch({ op => 'Replace', path => 'active', value => 'False' })), 200, 'entra: disabled')->{active}, 'entra: by a string');
ok(!answered(scim('entra', GET => '/Users?filter=userName+eq+%22adele%40contoso.example%22'), 200, 'entra: looked for while disabled')->{Resources}[0]{active}, 'entra: and shown so');
my $changed = answered(scim('entra', PATCH => "/Users/$a?aadOptscim062020=true", patch({ op => 'replace', value => { displayName => 'Bjfe', 'name.givenName' => 'Kyra', active => JSON::PP::true, 'emails[type eq "work"].value' => 'kyra@contoso.example', "$enterprise_urn:department" => 'QNJE' } })), 200, 'entra: everything at once');
is_deeply([ @$changed{qw(displayName active)}, $changed->{name}{givenName}, $changed->{emails}[0]{value}, $changed->{$enterprise_urn}{department} ], [ 'Bjfe', JSON::PP::true, 'Kyra', 'kyra@contoso.example', 'QNJE' ], 'entra: is so');
my $sales = answered(scim('entra', POST => '/Groups', { schemas => [ $group_urn, 'http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group' ], externalId => '8aa1a0c0', displayName => 'Contoso Sales', meta => { resourceType => 'Group' } }), 201, 'entra: a group');
my $s = $sales->{id};
answered(scim('entra', PATCH => "/Groups/$s", patch({ op => 'Add', path => 'members', value => [ map { { '$ref' => undef, value => $_ } } $a, $u ] })), 204, 'entra: members');
answered(scim('entra', PATCH => "/Groups/$s", patch({ op => 'Remove', path => 'members', value => [ { '$ref' => undef, value => $a } ] })), 204, 'entra: one is taken out');
is(answered(scim('entra', GET => "/Groups?filter=id+eq+%22$s%22+and+members+eq+%22$_->[0]%22&excludedAttributes=members"), 200, 'entra: asked for a member')->{totalResults}, $_->[1], 'entra: is one, or is not') foreach [ $a, 0 ], [ $u, 1 ];
is(answered(scim('entra', GET => '/Groups?excludedAttributes=members&filter=displayName+eq+%22contoso%20sales%22'), 200, 'entra: the group by name')->{Resources}[0]{members}, undef, 'entra: without members');
answered(scim('entra', DELETE => "/Groups/$s"), 204, 'entra: the group is deleted');
answered(scim('entra', PATCH => "/Users/$a", patch({ op => 'Replace', path => 'active', value => 'False' })), 200, 'entra: soft-deleted');
answered(scim('entra', DELETE => "/Users/$a"), 204, 'entra: deleted');
answered(scim('entra', $_ => "/Users/$a", $_ eq 'GET' || $_ eq 'DELETE' ? () : patch({ op => 'add', path => 'title', value => 'x' })), 404, "entra: $_ of who is gone") foreach qw(GET PATCH DELETE);
isnt(answered(scim('entra', POST => '/Users', { schemas => [$user_urn], externalId => '0a21f0f2', userName => 'adele@contoso.example', active => JSON::PP::true }), 201, 'entra: back again')->{id}, $a, 'entra: as another');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.dead_letter'), 0, 'nothing of all that was at fault');

# Versions.
my $read = scim('okta', GET => "/Users/$u");
my $version = $read->{headers}{etag};
is(answered(scim('okta', GET => "/Users/$u", undef, 'If-None-Match' => $version), 304, 'a version that the client has'), undef, 'is not sent');
answered(scim('okta', GET => "/Users/$u", undef, 'If-None-Match' => 'W/"0"'), 200, 'another version is');
answered(scim('okta', PATCH => "/Users/$u", patch({ op => 'add', path => 'title', value => 'T' }), 'If-Match' => 'W/"0"'), 412, 'a change of another version');
my $next = scim('okta', PATCH => "/Users/$u", patch({ op => 'add', path => 'title', value => 'T' }), 'If-Match' => "W/\"0\", $version");
is(answered($next, 200, 'a change of this one')->{meta}{version}, $next->{headers}{etag}, 'gives the new one');
isnt($next->{headers}{etag}, $version, 'which is another');

# Tokens, before anything else is looked at.
my ($expired, $revoked) = map { $node->safe_psql('postgres', "SELECT mt_create_token('acme', $_)") } "'expired', '{scim}', '1 microsecond'", "'revoked', '{scim}'";
is(ask($node, GET => '/scim/v2/Users', token => $revoked)->{status}, 200, 'a token is valid');
$node->safe_psql('postgres', q(SELECT mt_revoke_token('acme', 'revoked')));
foreach my $case ([ 'one that is revoked', { Authorization => "Bearer $revoked" } ], [ 'one that has expired', { Authorization => "Bearer $expired" } ], [ 'one with something behind it', { Authorization => "Bearer $token{acme}x" } ], [ 'two in one', { Authorization => "Bearer $token{acme} $token{acme}" } ],
	[ 'no token', {} ], [ 'another scheme', { Authorization => 'Basic YTpi' } ], [ 'a token that is none', { Authorization => 'Bearer mtk_0' } ], [ 'no token, but a path that is none', {}, '/Users/%zz' ],
	[ 'no token, but one in the query', {}, "/Users?access_token=$token{acme}" ])
{
	my $answer = ask($node, GET => '/scim/v2' . ($case->[2] // '/Users'), headers => $case->[1]);
	answered($answer, 401, $case->[0]);
	like($answer->{headers}{'www-authenticate'}, qr/^Bearer realm=/, 'is told what is wanted');
}
my $other = ask($node, GET => '/scim/v1/Users', token => $token{acme});
is("$other->{status} $other->{json}{scimType} $other->{headers}{'content-type'}", '400 invalidVers application/scim+json', 'another version of the protocol is told to be one');
foreach my $probe (['GET', '/scim/v1/Users', 400], ['PUT', '/scim/v2.1/Users/x', 400, '{}'], ['OPTIONS', '/scim/v2/Users', 405], ['GET', '/scim/v2/Users/%00', 400], ['POST', '/scim/v2/Users', 413, ' ' x 1_100_000])
{
	my ($method, $path, $status, $content) = @$probe;
	my $with = sub { ask($node, $method => $path, body => $content, defined $_[0] ? (token => $_[0]) : ()) };

	answered($with->($token{acme}), $status, "$method $path with a token");
	answered($with->(@$_), $_->[0] && $_->[0] eq $token{read} ? 403 : 401, 'with another one, or none') foreach [], ['mtk_' . '0' x 64], [$revoked], [$expired], [ $token{read} ];
}
like(raw($node, join("\r\n", 'GET /scim/v2/Users HTTP/1.1', 'Host: x', 'Connection: close', ("Authorization: Bearer $token{acme}") x 2, '', '')), qr/^HTTP\/1\.1 400 .*"status":"400"/s, 'two headers with a token');
like(raw($node, join("\r\n", 'POST /scim/v2/Users HTTP/1.1', 'Host: x', 'Authorization: Bearer mtk_' . '0' x 64, 'Content-Type: application/scim+json', 'Content-Length: 1000000', 'Expect: 100-continue', '', '')), qr/^HTTP\/1\.1 401 .*"status":"401"/s, 'before the body is there');
answered(ask($node, GET => '/scim/v2/Users', headers => { Authorization => "bEARER $token{acme}" }), 200, 'the scheme is written as one likes');
answered(ask($node, GET => '/scim/v2/Users', token => $token{read}), 403, 'a token without the scope');

# What is another tenant's is as if it were not there.
foreach my $method (qw(GET PUT PATCH DELETE))
{
	my @answers = map {
		my $answer = ask($node, $method => "/scim/v2/Users/$_", token => $token{globex}, $method =~ /^P/ ? (body => '{"schemas": ["x"]}') : ());
		delete @{ $answer->{headers} }{qw(x-request-id date)};
		$json->encode([ @$answer{qw(status content headers)} ]) =~ s/\Q$_\E/ID/gr
	} $u, 'never-there';
	is($answers[0], $answers[1], "$method of another tenant's user");
	like($answers[0], qr/^\["?404/, 'is 404');
}
is(answered(ask($node, GET => '/scim/v2/Users?filter=userName+eq+%22test.user%40okta.local%22', token => $token{globex}), 200, 'a name of another tenant')->{totalResults}, 0, 'is nobody\'s');

# Paths, methods, types.
my $people = q(SELECT count(*) FROM mt_users WHERE tenant_id = 'acme' AND deleted_at IS NULL);
my $before = $node->safe_psql('postgres', $people);
answered(scim('okta', @$_[ 0, 1, 2 ]), $_->[3], "$_->[0] $_->[1]: $_->[3]")
  foreach [ GET => '/Me', undef, 501 ], [ PUT => '/Me', '{}', 501 ], [ GET => '/Nothing', undef, 404 ], [ GET => '', undef, 404 ], [ GET => '/', undef, 404 ], [ GET => '?x=y', undef, 404 ], [ GET => '/Users/a/b', undef, 404 ],
  [ GET => "/Users/$u%00", undef, 400 ], [ GET => '/Users/%zz', undef, 400 ], [ GET => '/Users/%ff', undef, 400 ], [ GET => '/Users?filter=%zz', undef, 400 ], [ GET => '/Users?filter=userName+eq', undef, 400 ], [ GET => '/Users/../Groups', undef, 400 ],
  [ POST => '/Users', '', 400 ], [ POST => '/Users', ' ' x (1024 * 1024 + 1), 413 ];
foreach my $case ([ PUT => '/Users' ], [ DELETE => '/Users' ], [ PATCH => '/Groups' ], [ POST => "/Users/$u" ], [ POST => '/Schemas' ], [ TRACE => '/Users' ], [ OPTIONS => '/Users' ])
{
	my $answer = scim('okta', @$case, $case->[0] =~ /^P/ ? '{}' : ());
	answered($answer, 405, "$case->[0] $case->[1]");
	like($answer->{headers}{allow}, qr/GET/, 'is told what can be asked');
}
is($node->safe_psql('postgres', $people), $before, 'nobody is lost by that');
answered(scim('okta', POST => '/Users', $okta_user, 'Content-Type' => $_), 415, "type $_") foreach 'text/plain', 'application/x-www-form-urlencoded', 'application/jsonx';
answered(scim('okta', GET => "/Users/$u", undef, 'X-HTTP-Method-Override' => 'DELETE', 'X-Original-URL' => '/scim/v2/Nothing'), 200, 'headers that override nothing');
unlike(scim('okta', GET => "/Users/$u", undef, 'X-Forwarded-Host' => 'evil.example')->{content}, qr/evil/, 'nor are believed');

# What is malformed is kept, once, without the password.
$node->safe_psql('postgres', 'DELETE FROM mindtickle.dead_letter');
answered(scim('okta', POST => '/Users', '{"password": "s3cret", "userName": '), 400, 'half a body');
is($node->safe_psql('postgres', q(SELECT string_agg(concat_ws('|', tenant_id, source, resource, reason, convert_from(raw, 'UTF8')), ', ') FROM mindtickle.dead_letter)),
	'acme|scim|POST /Users|invalidSyntax: The body is no JSON that can be taken in. 35 bytes came. (only what is no secret is kept)|', 'is told, once');
is(answered(scim('okta', POST => '/Users', '{"schemas": ["' . $user_urn . '"], "userName": "a", "userName": "b"}'), 400, 'a name that stands twice')->{scimType}, 'invalidSyntax', 'is no syntax');
is(answered(scim('okta', POST => '/Users', "{\"schemas\": [\"$user_urn\"], \"userName\": \"\xff\"}"), 400, 'bytes that are no text')->{scimType}, 'invalidSyntax', 'neither');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.dead_letter'), 3, 'each is kept once');
$node->safe_psql('postgres', q(INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) SELECT 'acme', 'http', 'quiz_results', 'one of many', convert_to(n::text, 'UTF8') FROM generate_series(1, 10000) AS n));
answered(scim('okta', POST => '/Users', '{"userName": '), 429, 'what cannot be kept is left to who sent it');
$node->safe_psql('postgres', q(DELETE FROM mindtickle.dead_letter WHERE reason = 'one of many'));

# Sends requests so that all are under way at once, in both processes; returns their answers.
sub at_once
{
	my @requests = @_;
	my @sockets = map { connect_to($node) } @requests;

	syswrite($sockets[$_], substr($requests[$_], 0, -1)) foreach 0 .. $#requests;
	syswrite($sockets[$_], substr($requests[$_], -1)) foreach 0 .. $#requests;
	return map { read_until_closed($_) } @sockets;
}

sub by_hand
{
	my ($method, $path, $body, @headers) = @_;
	my $content = $json->encode($body);

	return join("\r\n", "$method /scim/v2$path HTTP/1.1", 'Host: x', 'Connection: close', "Authorization: Bearer $token{acme}", 'Content-Type: application/scim+json', 'Content-Length: ' . length $content, @headers, '', $content);
}

sub statuses
{
	my %count;

	$count{ /^HTTP\/1\.1 (\d+)/ ? $1 : 'none' }++ foreach @_;
	return join(', ', map { "$count{$_} x $_" } sort keys %count);
}

foreach my $round (1 .. 5)
{
	is(statuses(at_once(map { by_hand(POST => '/Users', { schemas => [$user_urn], userName => $_ % 2 ? "Only.One.$round" : "only.one.$round", externalId => "e$round-$_" }) } 1 .. 16)), '1 x 201, 15 x 409', 'of 16 who make one name, one does');
}
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_users WHERE tenant_id = 'acme' AND user_name ~* '^only')), 5, 'and one is there');
my %attributes = (title => 't', displayName => 'd', nickName => 'n', locale => 'en-US', userType => 'u', 'name.givenName' => 'g', 'name.familyName' => 'f', 'name.middleName' => 'm', preferredLanguage => 'en', timezone => 'UTC',
	"$enterprise_urn:department" => 'x', "$enterprise_urn:costCenter" => 'c', "$enterprise_urn:division" => 'v', "$enterprise_urn:organization" => 'o', "$enterprise_urn:employeeNumber" => '007');
is(statuses(at_once(map { by_hand(PATCH => "/Users/$u", patch({ op => 'replace', path => $_, value => $attributes{$_} })) } sort keys %attributes)), '15 x 200', 'one attribute each at once');
my $all = answered(scim('okta', GET => "/Users/$u"), 200, 'what has become of it');
is_deeply({ map { my ($urn, $name) = /^(urn.*):(\w+)$/; my ($first, $second) = split /\./; $_ => $urn ? $all->{$urn}{$name} : $second ? $all->{$first}{$second} : $all->{$first} } keys %attributes }, \%attributes, 'nothing is lost');
my @people = split /\n/, $node->safe_psql('postgres', q(SELECT user_id FROM mt_users WHERE tenant_id = 'acme' AND deleted_at IS NULL));
my $crowd = answered(scim('okta', POST => '/Groups', { schemas => [$group_urn], displayName => 'Crowd' }), 201, 'a group')->{id};
is(statuses(at_once(map { by_hand(PATCH => "/Groups/$crowd", patch({ op => 'add', path => 'members', value => [ { value => $_ } ] })) } @people)), scalar @people . ' x 204', 'a member each at once');
is_deeply([ sort map { $_->{value} } @{ answered(scim('okta', GET => "/Groups/$crowd"), 200, 'the group of all')->{members} } ], [ sort @people ], 'nobody is lost');
$version = scim('okta', GET => "/Users/$u")->{headers}{etag};
is(statuses(at_once(map { by_hand(PATCH => "/Users/$u", patch({ op => 'replace', path => 'title', value => "title $_" }), "If-Match: $version") } 1 .. 10)), '1 x 200, 9 x 412', 'of ten with one version, one wins');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_verify_readiness('acme') WHERE NOT equal)), 0, 'readiness is exact');

# A budget that is spent.
$node->append_conf('postgresql.conf', 'mindtickle.gateway_requests_per_second = 1');
$node->reload;
ok(poll($node, q(SELECT current_setting('mindtickle.gateway_requests_per_second') = '1')), 'a budget of one a second');
my $refused;
foreach (1 .. 200) { $refused = scim('okta', GET => '/Users?count=0'); last if $refused->{status} != 200 }
answered($refused, 429, 'too many requests');
is($refused->{headers}{'retry-after'}, 1, 'are told when to come again');
# Two may come at once, also with a token that no process has seen: that it is looked at before the body is there is no request.
$token{late} = token($node, 'globex', 'scim');
is(join(' ', map { ask($node, POST => '/scim/v2/Users', token => $token{late}, body => $json->encode({ schemas => [$user_urn], userName => "late $_" }))->{status} } 1, 2), '201 201', 'a request is one request');

my $log = slurp_file($node->logfile);
unlike($log, qr/mtk_[0-9a-f]{8}|1mz050nq|s3cret/, 'no secret is in the log');
$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
