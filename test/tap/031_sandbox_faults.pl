# The faults, limits and counters of the stand-in for the live service, and the provisioning it takes: each is provoked with curl and must
# show as its README says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::LiveClient;
use MindTickle::Sandbox;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 3, '--slow-ms', 300, '--hang-ms', 700,
	(map { ('--tenant', "$_,contract=live,users=120,rps=0,rpm=0") } qw(acme globex)),
	'--tenant', 'second,contract=live,users=12,rps=3,rpm=0',
	'--tenant', 'minute,contract=live,users=12,rps=0,rpm=5',
	'--tenant', 'hour,contract=live,users=12,rps=0,rpm=0,rph=8',
	'--tenant', 'other,users=12,rps=0,rpm=0');
my ($acme, $globex) = map { MindTickle::LiveClient->new($sandbox, $_) } qw(acme globex);
my $listing = '/services/data/v4.0/mtobjects/Users?limit=50';
my $series = '/api/v2/series/list';

sub fault
{
	my ($kind, $percent) = @_;
	$sandbox->post('faults', tenant => 'acme', kind => $kind, percent => $percent);
}

# What so many calls get while each of them meets the fault.
sub under
{
	my ($kind, $calls, $call) = @_;
	my @answers;
	fault($kind, 100);
	push @answers, $call->() foreach 1 .. $calls;
	fault($kind, 0);
	return @answers;
}

sub get_series { return $acme->call(GET => $series); }
sub get_users { return $acme->call(POST => $listing, {}); }

# Does the call give what the fault promises? All calls are shown to a test, which must hold for each.
sub each_is
{
	my ($kind, $calls, $call, $test, $name) = @_;
	my $given = $sandbox->stats('acme')->{faults}{$kind};
	my @answers = under($kind, $calls, $call);
	my @bad = grep { !$test->($_) } @answers;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(@bad, 0, $name) or diag(map { "status $_->{status}, curl $_->{exit}: " . substr($_->{body}, 0, 200) . "\n" } @bad[ 0 .. ($#bad > 2 ? 2 : $#bad) ]);
	is($sandbox->stats('acme')->{faults}{$kind} - $given, $calls, "$kind is counted each time");
	return @answers;
}

# Is it a JSON object and nothing but that?
sub is_object
{
	my ($text) = @_;
	my $object = eval { JSON::PP->new->utf8->max_depth(512)->decode($text) };
	return ref $object eq 'HASH';
}

$_->sign_in foreach $acme, $globex;
is($acme->call(GET => $series)->{status}, 200, 'all is well at first');

# Faults without a word of truth
my @answers = each_is('error500', 12, \&get_series, sub { $_[0]{status} >= 500 }, 'server errors');
is(scalar(keys %{ { map { $_->{status} => 1 } @answers } }), 3, 'of three statuses');
each_is('html200', 4, \&get_series, sub { $_[0]{status} == 200 && !is_object($_[0]{body}) && $_[0]{body} =~ /<html>/ }, 'HTML instead of JSON');
each_is('empty200', 2, \&get_series, sub { $_[0]{status} == 200 && $_[0]{body} eq '' }, 'nothing at all');
each_is('error503', 2, \&get_series, sub { $_[0]{status} == 503 }, '503');
each_is('pause503', 2, \&get_series, sub { $_[0]{status} == 503 && $_[0]{headers}{'retry-after'} eq '600' }, '503 with a pause');
each_is('error504', 2, \&get_series, sub { $_[0]{status} == 504 }, '504');
each_is('html400', 2, \&get_series, sub { $_[0]{status} == 400 && $_[0]{body} =~ /<html>/ }, '400 with HTML');
each_is('error403', 2, \&get_series, sub { $_[0]{status} == 403 }, 'a 403 that nothing asked for');
each_is('error404', 2, \&get_series, sub { $_[0]{status} == 404 }, 'a 404 that nothing asked for');
@answers = each_is('redirect', 30, \&get_series, sub { $_[0]{status} =~ /^30[12378]$/ && $_[0]{headers}{location} }, 'redirections');
my $elsewhere = $sandbox->host('elsewhere');
ok((grep { index($_->{headers}{location}, $elsewhere) == 0 } @answers), 'to another host');
ok((grep { $_->{headers}{location} eq $acme->{host} . $series } @answers), 'or in a circle');
@answers = each_is('wrong429', 8, \&get_series, sub { $_[0]{status} == 429 }, '429 within the limits');
ok((grep { !defined $_->{headers}{'retry-after'} } @answers) && (grep { ($_->{headers}{'retry-after'} // '') eq '1' } @answers), 'with Retry-After or without');
@answers = each_is('odd429', 60, \&get_series, sub { $_[0]{status} == 429 }, '429 that is hard to read');
my %after = map { ($_->{headers}{'retry-after'} // '') => 1 } @answers;
ok((grep { /^\w{3}, \d\d \w{3} 20\d\d / } keys %after), 'a date');
ok((grep { /1994/ } keys %after), 'a date long ago');
ok($after{$_}, "or \"$_\"") foreach 'soon', '-5', '864000', '315360000', '99999999999999999999', '1.5';
ok((grep { ($_->{headers}{'retry-after-ms'} // '') eq '1500' } @answers), 'or milliseconds');
is($sandbox->stats('acme')->{violations_per_minute}, 0, 'none of them is a violation');

# Spoiled truth
each_is('truncated', 12, \&get_series, sub { $_[0]{exit} == 18 || !is_object($_[0]{body}) }, 'half an answer');
@answers = each_is('reset', 12, \&get_series, sub { $_[0]{exit} != 0 }, 'a reset');
ok((grep { $_->{status} == 0 } @answers) && (grep { $_->{status} == 200 } @answers), 'before or in an answer');
each_is('garbage', 24, \&get_series, sub { $_[0]{status} == 200 && !is_object($_[0]{body}) }, 'what is no object in JSON');
each_is('encoding', 8, sub { MindTickle::LiveClient::curl('GET', $acme->{host} . $series, header => ["Authorization: Bearer $acme->{token}"], more => ['--compressed']) },
	sub { $_[0]{exit} == 61 || $_[0]{exit} == 23 }, 'a wrong or unknown encoding');
each_is('gzip', 2, \&get_series, sub { $_[0]{headers}{'content-encoding'} eq 'gzip' && $_[0]{body} =~ /^\x1f\x8b/ }, 'gzip that nobody asked for');
each_is('gzip', 2, sub { MindTickle::LiveClient::curl('GET', $acme->{host} . $series, header => ["Authorization: Bearer $acme->{token}"], more => ['--compressed']) },
	sub { is_object($_[0]{body}) }, 'of the truth');
each_is('deep', 1, \&get_series, sub { ($_[0]{body} =~ tr/[//) == 100_000 }, 'JSON that is too deep');
each_is('slow', 1, sub { my $start = Time::HiRes::time(); my $answer = get_series(); $answer->{took} = Time::HiRes::time() - $start; $answer },
	sub { is_object($_[0]{body}) && $_[0]{took} >= 0.3 }, 'the truth, late');
each_is('hang', 1, sub { my $start = Time::HiRes::time(); my $answer = get_series(); $answer->{took} = Time::HiRes::time() - $start; $answer },
	sub { is_object($_[0]{body}) && $_[0]{took} >= 0.7 }, 'later yet');
each_is('drip', 1, sub { MindTickle::LiveClient::curl('GET', $acme->{host} . $series, header => ["Authorization: Bearer $acme->{token}"], more => [ '--max-time', 1 ]) },
	sub { $_[0]{exit} == 28 && length $_[0]{body} >= 1 && length $_[0]{body} < 100 }, 'a byte now and then');
each_is('padded', 1, \&get_series, sub { is_object($_[0]{body}) && length $_[0]{body} > 600 * 1024 }, 'the truth, with blanks');
each_is('huge', 1, \&get_series, sub { length $_[0]{body} == 64 * 1024 * 1024 }, '64 MiB');
each_is('bomb', 1, \&get_series, sub { length $_[0]{body} < 2 * 1024 * 1024 && $_[0]{headers}{'content-encoding'} eq 'gzip' }, 'a megabyte that unpacks to more');
fault('bomb', 100);
my $unpacked = `curl --silent --noproxy '*' --compressed --header 'Authorization: Bearer $acme->{token}' $acme->{host}$series | head --bytes 200000000 | wc --bytes`;
is($unpacked + 0, 200_000_000, 'to much more');
fault('bomb', 0);

# Continuations
sub next_path { return MindTickle::LiveClient::path_of(MindTickle::LiveClient::object($_[0])->{nextRecordsUrl}) }
my $second = next_path(get_users());
my ($looping) = each_is('loop', 1, sub { $acme->call(GET => $second) }, sub { next_path($_[0]) eq $second }, 'a page that goes on to itself');
my @same = each_is('endless', 3, sub { $second = next_path(my $answer = $acme->call(GET => $second)); $answer }, sub { is_object($_[0]{body}) }, 'pages without end');
is(scalar(keys %{ { map { JSON::PP->new->canonical->encode(MindTickle::LiveClient::object($_)->{users}) => 1 } @same } }), 1, 'of the same users');
is(scalar(keys %{ { map { next_path($_) => 1 } @same } }), 3, 'at another address each');
my @strangers = each_is('strangers', 3, sub { $second = next_path(my $answer = $acme->call(GET => $second)); $answer }, sub { is_object($_[0]{body}) }, 'or');
is(scalar(keys %{ { map { $_->{id} => 1 } map { @{ MindTickle::LiveClient::object($_)->{users} } } @strangers } }), 150, 'of new ones for ever');
my $given = $sandbox->stats('acme')->{faults}{loop};
under('loop', 2, \&get_series);
is($sandbox->stats('acme')->{faults}{loop}, $given, 'what has no continuation cannot loop');

# A token that dies in use
fault('revoked', 100);
like(get_series()->{status}, qr/^40[13]$/, 'a token is taken back');
$acme->sign_in;
is(get_series()->{status}, 200, 'its successor gets through once');
like(get_series()->{status}, qr/^40[13]$/, 'and is taken back, too');
fault('revoked', 0);
$acme->sign_in;

# A chosen rate
fault('error500', 25);
my $before = $sandbox->stats('acme')->{faults}{error500};
get_series() foreach 1 .. 60;
my $drawn = $sandbox->stats('acme')->{faults}{error500} - $before;
ok($drawn >= 5 && $drawn <= 30, 'a fault comes as often as it was told') or diag($drawn);
fault('error500', 0);

# Limits, of which each tenant has one. One curl sends all requests, as fast as it can.
sub burst
{
	my ($client, $number) = @_;
	my $url = "$client->{host}$series?number=[1-$number]";
	my $text = `curl --silent --include --noproxy '*' --header 'Authorization: Bearer $client->{token}' '$url'`;
	my @answers;
	foreach my $answer (split m{HTTP/1\.1 (?=\d)}, $text)
	{
		my ($status) = $answer =~ /^(\d+)/ or next;
		my ($after) = $answer =~ /^retry-after: (.*?)\r$/im;
		push @answers, { status => $status, after => $after };
	}
	return @answers;
}

foreach my $limit ([ 'second', 3, 40 ], [ 'minute', 5, 6 ], [ 'hour', 8, 9 ])
{
	my ($window, $most, $number) = @$limit;
	my $client = MindTickle::LiveClient->new($sandbox, $window);
	$client->sign_in;
	my @answers = burst($client, $number - 1);
	my @refused = grep { $_->{status} == 429 } @answers;
	my $stats = $sandbox->stats($window);
	cmp_ok(scalar @refused, '>=', 1, "more than so many requests in a $window are refused");
	is(scalar(grep { ($_->{after} // '') !~ /^[1-9]\d*$/ } @refused), 0, 'and told how long to wait');
	is($stats->{throttled}, scalar @refused, 'each is counted');
	is($stats->{"violations_per_$window"}, scalar @refused, 'as a violation');
	cmp_ok($stats->{"max_in_$window"}, '>', $most, 'the fullest window is known');
	$sandbox->post('limits', tenant => $window, rps => 0, rpm => 0, rph => 0);
	is($client->call(GET => $series)->{status}, 200, 'limits can be lifted');
}

# A minute of a second: the sleep may be longer, but never shorter.
my $quick = MindTickle::Sandbox->start('--minute-ms', 1000, '--tenant', 'quick,contract=live,users=12,rps=0,rpm=5');
my $client = MindTickle::LiveClient->new($quick, 'quick');
$client->sign_in;
my @statuses;
foreach my $round (1 .. 2)
{
	usleep(1_100_000);
	push @statuses, map { $client->call(GET => $series)->{status} } 1 .. 5;
}
is("@statuses", join(' ', (200) x 10), 'a minute can be made shorter');
$quick->stop;

# Connections, hosts, arrivals
is($sandbox->totals->{shared_connections}, 0, 'no connection was shared');
my @pair = map { ('--header', "Authorization: Bearer $_->{token}", "$_->{host}$series", '--output', '/dev/null', '--next', '--silent', '--noproxy', '*') } $globex, $acme;
splice @pair, -4;
is(system('curl', '--silent', '--noproxy', '*', @pair), 0, 'two tenants on one connection');
is($sandbox->totals->{shared_connections}, 1, 'are noticed');
my $arrivals = $sandbox->get('arrivals');
my $sum = 0;
$sum += $_ foreach @{ $arrivals->{counts} };
my $all = 0;
$all += $_->{requests} foreach @{ $sandbox->get('stats')->{tenants} };
is($sum, $all, 'arrivals are all requests');
cmp_ok($arrivals->{max_in_second}, '>', 0, 'of which the fullest second is known');
is(scalar(@{ $sandbox->get('arrivals', from => $arrivals->{next})->{counts} }) < 20, 1, 'they can be asked for from a moment on');
my $stats = $sandbox->stats('acme');
my $below = 0;
$below += $_ foreach @{ $stats->{requests_below_power_of_two_us} };
is($below, $stats->{requests}, 'how long each request took is known');
cmp_ok($stats->{longest_service_us}, '>=', 700_000, 'and the longest');

# Provisioning
my %scim = (header => [ "Authorization: Bearer $globex->{scim_token}", 'Content-Type: application/scim+json' ]);
my $core = 'urn:ietf:params:scim:schemas:core:2.0:User';
my $patch = 'urn:ietf:params:scim:api:messages:2.0:PatchOp';

sub scim
{
	my ($method, $rest, $body) = @_;
	return MindTickle::LiveClient::curl($method, $globex->{scim_url} . $rest, %scim, defined $body ? (body => encode_json($body)) : ());
}

sub look_up
{
	my ($name) = @_;
	my $quoted = JSON::PP->new->allow_nonref->encode($name);
	return MindTickle::LiveClient::object(scim('GET', '/Users?filter=' . MindTickle::LiveClient::encode("userName eq $quoted")));
}

my ($known) = grep { defined $_->{email} } $globex->users;
is(look_up(uc $known->{email})->{Resources}[0]{id}, $known->{id}, 'users of the listing are found, case aside');
my $name = 'o"brien\\x@globex.example';
is(look_up($name)->{totalResults}, 0, 'a name with quotes is looked up');
my $created = scim('POST', '/Users', { schemas => [$core], userName => $name, externalId => 'hr-new', name => { givenName => 'O' } });
is($created->{status}, 201, 'a user is created');
my $id = decode_json($created->{body})->{id};
is(look_up($name)->{Resources}[0]{id}, $id, 'and found');
is(scim('POST', '/Users', { schemas => [$core], userName => uc $name })->{status}, 409, 'a name that is taken is a conflict');
is(scim('POST', '/Users', { schemas => [$core], userName => 'second@globex.example', externalId => 'hr-new' })->{status}, 201, 'a second one is created');
is(scim('POST', '/Users', { userName => 'x@globex.example' })->{status}, 400, 'without schemas nothing is');
is(scim('POST', '/Users', { schemas => [$core], userName => 'x@globex.example', active => 'True' })->{status}, 400, 'active is a boolean');
my %off = (schemas => [$patch], Operations => [ { op => 'replace', path => 'active', value => JSON::PP::false } ]);
is(decode_json(scim('PATCH', "/Users/$id", \%off)->{body})->{active}, JSON::PP::false, 'a user is deactivated');
is(scim('PATCH', "/Users/$id", \%off)->{status}, 200, 'twice');
is( decode_json(scim('PATCH', "/Users/$id", { schemas => [$patch], Operations => [ { op => 'add', value => { title => 'AE', 'name.familyName' => 'Brien' } } ] })->{body})->{name}{familyName},
	'Brien', 'attributes are set');
is(scim('PATCH', "/Users/$id", { schemas => [$patch], Operations => [ { op => 'turn', value => {} } ] })->{status}, 400, 'an unknown operation is refused');
is(scim('PATCH', "/Users/$id", { schemas => [$patch], Operations => [ { op => 'replace', path => 'userName', value => 'second@globex.example' } ] })->{status}, 409, 'so is a name that is taken');
is(scim('GET', '/Users?filter=userName%20co%20%22a%22')->{status}, 400, 'and an unknown filter');
is(scim('GET', '/Users/nobody')->{status}, 404, 'an unknown user is a 404');
is(MindTickle::LiveClient::curl('GET', $acme->{scim_url} . '/Users', %scim)->{status}, 403, "another tenant's address is refused");
is($sandbox->stats('globex')->{foreign_credentials}, 1, 'and counted');
is(MindTickle::LiveClient::curl('GET', $globex->{scim_url} . '/Users', header => ["Authorization: Bearer $globex->{token}"])->{status}, 401, 'the token of the API is nothing here');
is(scim('DELETE', "/Users/$id")->{status}, 204, 'users can be deleted');
$stats = $sandbox->stats('globex');
is_deeply([ @{$stats}{qw(scim_created scim_changed scim_unchanged scim_deleted scim_conflicts scim_duplicates scim_blind)} ],
	[ 2, 2, 1, 1, 2, 1, 1 ], 'all of it is counted');
is(join(' ', map { $_->{method} } @{ $sandbox->get('pushes', tenant => 'globex') }), 'POST POST PATCH PATCH PATCH DELETE', 'writes are told in their order');
is(join(' ', map { $_->{attributes}{userName} } @{ $sandbox->get('provisioned', tenant => 'globex') }), 'second@globex.example', 'and what is there after them');

# What a write has done although its answer is lost
$sandbox->post('faults', tenant => 'globex', kind => 'error500', percent => 100);
scim('POST', '/Users', { schemas => [$core], userName => "lost.$_\@globex.example" }) foreach 1 .. 16;
$sandbox->post('faults', tenant => 'globex', kind => 'error500', percent => 0);
my $kept = @{ $sandbox->get('provisioned', tenant => 'globex') } - 1;
ok($kept > 0 && $kept < 16, 'some writes are done although they are answered with an error, others are not') or diag($kept);

my $given_at_scim = $sandbox->stats('globex')->{faults}{error503};
$sandbox->post('faults', tenant => 'globex', kind => $_, percent => 50, at => 'scim_post') foreach qw(error503 error504);
is(look_up("before.$_\@globex.example")->{totalResults}, 0, 'a fault of creations alone is met by nothing else') foreach 1 .. 4;
@statuses = map { scim('POST', '/Users', { schemas => [$core], userName => "before.$_\@globex.example" })->{status} } 1 .. 16;
$sandbox->post('faults', tenant => 'globex', kind => $_, percent => 0) foreach qw(error503 error504);
is(join(' ', grep { !/^50[34]$/ } @statuses), '', 'but by creations');
is($sandbox->stats('globex')->{faults}{error503} - $given_at_scim, grep({ $_ == 503 } @statuses), 'and counted');
is(@{ $sandbox->get('provisioned', tenant => 'globex') } - 1 - $kept, grep({ $_ == 504 } @statuses), 'with 504 it has its effect, with 503 it has not');

$sandbox->post('faults', tenant => 'globex', kind => 'no_id', percent => 100);
is(decode_json(scim('POST', '/Users', { schemas => [$core], userName => 'no.id@globex.example' })->{body})->{id}, '', 'a user without an id is answered');
is(look_up('no.id@globex.example')->{Resources}[0]{id}, '', 'and found');
$sandbox->post('faults', tenant => 'globex', kind => 'no_id', percent => 0);
isnt(look_up('no.id@globex.example')->{Resources}[0]{id}, '', 'though he has one');

# Starting again
my $host = $acme->{host};
$sandbox->stop;
$sandbox->launch;
is($sandbox->host('global'), $host, 'the hosts keep their ports');
is(get_series()->{status}, 401, 'tokens end with the sandbox');
is($acme->sign_in->{status}, 200, 'key pairs do not');
done_testing();
