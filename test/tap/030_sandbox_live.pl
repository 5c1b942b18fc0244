# The stand-in for the live service says what its README says, and its truth is what follows from its answers: every trap of the contract
# is asked for with curl. A sandbox that forgives too much, or tells another truth than it serves, would make the tests of the sync
# worker worthless.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::LiveClient;
use MindTickle::Sandbox;
use PostgreSQL::Test::Utils;
use Test::More;

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 7,
	'--tenant', 'acme,contract=live,users=120,courses=14,rps=0,rpm=0,page=100',
	'--tenant', 'usco,contract=live,region=us,users=60,rps=0,rpm=0,page=0',
	'--tenant', 'plain,contract=live,reporting=no,users=40,courses=16,rps=0,rpm=0',
	'--tenant', 'short,contract=live,users=12,rps=0,rpm=0,token=1',
	'--tenant', 'flawed,contract=live,users=60,rps=0,rpm=0,bad=25',
	'--tenant', 'other,users=12,rps=0,rpm=0');
my %clients = map { $_ => MindTickle::LiveClient->new($sandbox, $_) } qw(acme usco plain short flawed);
my ($acme, $usco, $plain) = @clients{qw(acme usco plain)};
my $global = $sandbox->host('global');

# The answer's status is this one, and the text is in its body.
sub answers
{
	my ($answer, $status, $text, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($answer->{status} == $status && index($answer->{body}, $text) >= 0, $name)
	  or diag("status $answer->{status}, curl $answer->{exit}: " . substr($answer->{body}, 0, 300));
}

sub counted
{
	my ($tenant, $counter, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($sandbox->stats($tenant)->{$counter}, $expected, $name);
}

# The rows that follow from the answers are the truth.
sub is_truth
{
	my ($tenant, $table, @rows) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @truth = @{ decode_json($sandbox->truth($tenant, $table)) };
	cmp_ok(scalar @truth, '>', 0, "there are $table of $tenant");
	ok(MindTickle::LiveClient::lines(@rows) eq MindTickle::LiveClient::lines(@truth), "the $table of $tenant are what is served") or do
	{
		my %mine = map { $_ => 1 } split /\n/, MindTickle::LiveClient::lines(@rows);
		my %true = map { $_ => 1 } split /\n/, MindTickle::LiveClient::lines(@truth);
		diag(join "\n", 'served only:', (grep { !$true{$_} } sort keys %mine)[ 0 .. 2 ], 'truth only:', (grep { !$mine{$_} } sort keys %true)[ 0 .. 2 ]);
	};
}

# Sign-in
answers($acme->sign_in_at($global), 200, '"expires_in":3600', 'a right key pair gets a token');
answers($usco->sign_in_at($global), 404, 'Learning Site not found!', 'a site of another region is not known');
answers($usco->sign_in_at($sandbox->host('us')), 200, 'token', 'but in its own region');
answers($acme->sign_in_at($sandbox->host('us')), 404, 'Learning Site not found!', 'nor does the other region know this one');
answers($acme->sign_in_at($global, ls_url => $_), 404, 'Learning Site not found!', "\"$_\" is no bare host name")
  foreach 'https://acme.mindtickle.example', 'Acme.mindtickle.example', ' acme.mindtickle.example', 'acme.mindtickle.example/';
answers($acme->sign_in_at($global, ls_url => undef), 400, 'missing parameter ls_url', 'the site must be named');
answers($acme->sign_in_at($global, secret_key => undef), 400, 'missing parameter secret_key', 'so must the secret');
answers($acme->sign_in_at($global, secret_key => 'x' x 96), 401, '', 'a wrong secret is refused');
answers($acme->sign_in_at($global, api_key => 'f' x 40), 401, '', 'a wrong key is refused');
counted('acme', 'refused_sign_ins', 2, 'refused sign-ins are counted');
answers($acme->sign_in_at($global, api_key => $plain->{api_key}, secret_key => $plain->{secret_key}), 401, '', "another tenant's pair is refused");
counted('plain', 'foreign_credentials', 1, 'and counted as misuse of that pair');
answers(
	MindTickle::LiveClient::curl(
		'POST', "$global/services/data/auth_token",
		header => ['Authorization: Bearer x', 'Content-Type: application/json'],
		body => encode_json({ api_key => $acme->{api_key}, secret_key => $acme->{secret_key}, ls_url => $acme->{learning_site} })),
	400, 'Authorization', 'sign-in takes no Authorization');
answers(MindTickle::LiveClient::curl('POST', "$global/services/data/auth_token", body => 'no json'), 404, '', 'and wants JSON');
foreach my $status (400, 403, 503)
{
	$sandbox->post('refuse', tenant => 'acme', status => $status);
	answers($acme->sign_in_at($global), $status, '', "sign-in can be made to answer $status");
}
$sandbox->post('refuse', tenant => 'acme', status => 0);

# Tokens
$_->sign_in foreach values %clients;
is($usco->{host}, $sandbox->host('us'), 'the region was found');
answers($acme->call(GET => '/api/v2/series/list'), 200, '"totalHits":', 'a token is good');
is($sandbox->stats('acme')->{needless_sign_ins}, 0, 'no sign-in was needless so far');
$acme->sign_in;
counted('acme', 'needless_sign_ins', 1, 'a sign-in while a used token is good is needless');
{
	local $usco->{host} = $global;
	answers($usco->call(GET => '/api/v2/series/list'), 401, '', 'a token is good on the host that issued it only');
	counted('usco', 'wrong_hosts', 1, 'which is counted');
}
{
	local $acme->{token} = substr($acme->{token}, 0, -1);
	answers($acme->call(GET => '/api/v2/series/list'), 401, '', 'a damaged token is none');
}
$sandbox->post('revoke', tenant => 'acme', what => 'tokens');
answers($acme->call(GET => '/api/v2/series/list'), 401, 'expired', 'a revoked token is refused');
counted('acme', 'stale_tokens', 1, 'and counted');
$acme->sign_in;
sleep 2;
answers($clients{short}->call(GET => '/api/v2/series/list'), 401, 'expired', 'a token ends');
my $old = { %{ $sandbox->tenant('acme') } };
$sandbox->post('rotate', tenant => 'acme', keep => 1);
answers($acme->sign_in_at($global), 200, 'token', 'a key pair may live on beside its successor');
$sandbox->post('rotate', tenant => 'acme');
answers($acme->sign_in_at($global), 401, '', 'or not');
my ($new) = grep { $_->{tenant} eq 'acme' } @{ $sandbox->get('tenants') };
isnt($new->{api_key}, $old->{api_key}, 'a new pair is told');
$acme->{$_} = $new->{$_} foreach qw(api_key secret_key);
answers($acme->sign_in, 200, 'token', 'and is good');

# Paths
answers($acme->call(GET => '/services/data/v4.0/nothing'), 400, '<html>', 'an unknown path is 400 with HTML');
answers($acme->call(POST => '/services/data/v4.0/mtobjects/Groups', { names => ['All Reps'] }), 400, '<html>', 'groups are of version 2.0');
answers(MindTickle::LiveClient::curl('GET', "$global/api/v2/series/list"), 401, '', 'without a token nothing is told');
answers(MindTickle::LiveClient::curl('GET', $sandbox->host('admin') . '/Odata.svc/Modules', header => ["Authorization: Bearer $acme->{token}"]),
	401, '', 'the token is nothing to reporting');
counted('acme', 'wrong_hosts', 1, 'and does not belong there');

# Users
my @users = $acme->users;
is_truth('acme', 'users', MindTickle::LiveClient::user_rows(@users));
my @pages = @{ $acme->{pages} };
cmp_ok(scalar @pages, '>=', 3, 'in several pages');
my @next = grep { defined } map { $_->{nextRecordsUrl} } @pages;
is_truth('usco', 'users', MindTickle::LiveClient::user_rows($usco->users));
push @next, grep { defined } map { $_->{nextRecordsUrl} } @{ $usco->{pages} };
is(scalar(grep { index($_, $usco->{host}) == 0 } @next), 0, 'no continuation names the US host');
my ($at_global) = grep { index($_, $global) == 0 } map { $_->{nextRecordsUrl} // () } @{ $usco->{pages} };
if (!defined $at_global)
{
	my $first = MindTickle::LiveClient::object($usco->call(POST => '/services/data/v4.0/mtobjects/Users?limit=3', {}));
	while (defined $first->{nextRecordsUrl} && index($first->{nextRecordsUrl}, $global) != 0)
	{
		$first = MindTickle::LiveClient::object($usco->call(GET => MindTickle::LiveClient::path_of($first->{nextRecordsUrl})));
	}
	$at_global = $first->{nextRecordsUrl};
}
answers(MindTickle::LiveClient::curl('GET', $at_global, header => ["Authorization: Bearer $usco->{token}"]), 500, '', 'followed as it stands it is a 500');
my $first = MindTickle::LiveClient::object($acme->call(POST => '/services/data/v4.0/mtobjects/Users?limit=10', {}));
my $path = MindTickle::LiveClient::path_of($first->{nextRecordsUrl});
answers($acme->call(GET => "$path&limit=10"), 400, 'cursor', 'a limit applied again breaks a continuation');
(my $decoded = $path) =~ s/%2B/+/;
answers($acme->call(GET => $decoded), 400, 'cursor', 'so does decoding it');
answers($acme->call(POST => $path, {}), 400, '', 'and it is no POST');
answers($acme->call(GET => '/services/data/v4.0/mtobjects/Users'), 400, '', 'as the first page is no GET');
answers($acme->call(POST => '/services/data/v4.0/mtobjects/Users?limit=51', {}), 400, 'limit', 'at most 50 users a page');
answers($acme->call(POST => '/services/data/v4.0/mtobjects/Users?limit=50', { ids => [1] }), 400, '', 'an unknown selector is refused');
answers($acme->call(GET => $path), 200, '"users"', 'the continuation was good all the time');
$sandbox->post('revoke', tenant => 'acme', what => 'cursors');
answers($acme->call(GET => $path), 400, 'too old', 'until it is too old');
my ($odd) = grep { ($_->{email} // '') =~ /[A-Z]/ && $_->{email} !~ /Shared/ } @users;
my @chosen = $acme->users({ emails => [ lc $odd->{email}, 'nobody@acme.example' ] });
is(join(' ', map { $_->{id} } @chosen), $odd->{id}, 'users are chosen by address, case aside');
my $one = MindTickle::LiveClient::object($acme->call(GET => "/services/data/v2.0/mtobjects/User/$odd->{id}"));
is($one->{email}, $odd->{email}, 'one user can be asked for');
answers($acme->call(GET => '/services/data/v2.0/mtobjects/User/1'), 404, '', 'an unknown one is a 404');
my ($foreign) = $usco->users;
answers($acme->call(GET => "/services/data/v2.0/mtobjects/User/$foreign->{id}"), 404, '', "so is another tenant's");
counted('acme', 'foreign_ids', 1, 'which is counted');
ok((grep { !defined $_->{name} } @users) && (grep { !defined $_->{profile} } @users), 'names and profiles are missing now and then');
ok((grep { ($_->{userState} // '') eq 'ON_LEAVE' } @users), 'there is a state that nobody knows');

# Groups
my $groups = MindTickle::LiveClient::object($acme->call(POST => '/services/data/v2.0/mtobjects/Groups', { names => [ 'All Reps', 'all reps', 'No Such' ] }));
is(join(' ', map { $_->{name} } @{ $groups->{groups} }), 'All Reps', 'groups are found by their exact name');
my @teams = map { $_->{name} } @{ decode_json($sandbox->truth('acme', 'teams')) };
$groups = MindTickle::LiveClient::object($acme->call(POST => '/services/data/v2.0/mtobjects/Groups', { names => \@teams }));
is_truth('acme', 'teams', map { { team_id => $_->{id}, name => $_->{name} } } @{ $groups->{groups} });
my @members;
foreach my $group (@{ $groups->{groups} })
{
	push @members, map { { team_id => $group->{id}, user_id => "$_->{id}" } } $acme->users({ groupIds => [ $group->{id} ] });
}
is_truth('acme', 'team_members', @members);
$acme->users({ groupIds => [ map { $_->{id} } @{ $groups->{groups} }[ 0, 1 ] ] });
my %times;
$times{$_}++ foreach map { $_->{id} } map { @{ $_->{users} } } @{ $acme->{pages} };
ok((grep { $_ > 1 } values %times), 'who is in two groups comes twice');
answers($acme->call(POST => '/services/data/v2.0/mtobjects/Groups', {}), 400, 'names', 'groups cannot be listed');

# Series and modules
my %modules = map { $_ => $clients{$_}->modules } qw(acme usco plain);
is_truth($_, 'courses', map { { course_id => "$_->{id}", title => $_->{name}, kind => $_->{moduleType} } } values %{ $modules{$_} })
  foreach sort keys %modules;
my @types = sort map { $_->{moduleType} } values %{ $modules{acme} };
ok((grep { $_ eq 'CHECKLIST' } @types) && (grep { $_ eq 'COACHING' } @types), 'modules are of many types');
my ($update) = grep { $_->{moduleType} eq 'UPDATE' } values %{ $modules{acme} };
my ($checklist) = grep { $_->{moduleType} eq 'CHECKLIST' } values %{ $modules{acme} };
answers($acme->call(GET => "/api/v2/entity/$update->{id}/learning_objects"), 200, '"question"', 'learning objects of an update');
answers($acme->call(GET => "/api/v2/entity/$checklist->{id}/learning_objects"), 400, 'Module type not supported', 'of a checklist there are none');
ok((grep { $acme->call(GET => "/api/v2/jit/series/$_/entity/$update->{id}")->{status} == 200 } @{ $acme->{series} }), 'details of a module');
answers($acme->call(GET => '/api/v2/series/1/list'), 404, '', 'an unknown series is a 404');

# Statements
my @history = map { [ $_, $plain->statements($_->{email}) ] } grep { defined $_->{email} && uc($_->{userState} // '') ne 'DEACTIVATED' } $plain->users;
my @progress;
foreach my $history (@history)
{
	my ($user, @statements) = @$history;
	my $progress = MindTickle::LiveClient::progress_of_statements(@statements);
	push @progress, map {
		{
			user_id => "$user->{id}",
			course_id => $_,
			status => $progress->{$_}{status},
			completed_at => $progress->{$_}{status} eq 'completed' && defined $progress->{$_}{moment}
			? MindTickle::LiveClient::moment($progress->{$_}{moment})
			: undef,
			map { $_ => undef } qw(score invited_at started_at is_overdue has_failed percent_completed max_score)
		}
	} keys %$progress;
}
is_truth('plain', 'progress', @progress);
my @statements = map { @$_[ 1 .. $#$_ ] } @history;
ok((grep { @$_ > 21 } @history), 'some histories have several pages');
is(scalar(grep { abs(MindTickle::LiveClient::millis($_->{timestamp}) / 1000 - time()) > 300 } @statements), 0, 'every timestamp is the moment of the request');
ok((grep { ($_->{stored} // '') =~ /^1970-01-2/ } @statements), 'what is stored is divided by 1000');
ok((grep { ($_->{stored} // '') eq $_->{timestamp} } @statements), 'or the moment of the request');
ok((grep { !defined $_->{object}{id} } @statements), 'some have no object');
my $agent = MindTickle::LiveClient::encode('{"mbox":"mailto:' . $history[0][0]{email} . '"}');
answers($plain->call(GET => "/services/data/v4.0/xapi/statements?agent=$agent&limit=21"), 400, 'Limit cannot be greater than 20!', 'the limit is 20');
answers($plain->call(GET => '/services/data/v4.0/xapi/statements?limit=20&agent=%7B%22mbox%22%3A%22mailto%3Anobody%40plain.example%22%7D'),
	404, '', 'an unknown learner is a 404');
answers($plain->call(GET => '/services/data/v4.0/xapi/statements?limit=20&agent={"mbox":"mailto:x"}'), 400, 'Illegal character', 'JSON must be encoded');
my $foreign_agent = MindTickle::LiveClient::encode('{"mbox":"mailto:somebody.1@acme.example"}');
$plain->call(GET => "/services/data/v4.0/xapi/statements?agent=$foreign_agent&limit=20");
counted('plain', 'foreign_ids', 1, "another tenant's address is noticed");

# Reporting
foreach my $case ([ $acme, 'json' ], [ $usco, 'json' ], [ $acme, 'csv' ], [ $usco, 'csv' ])
{
	my ($client, $format) = @$case;
	my @rows = $client->report($format);
	my ($progress, $results) = MindTickle::LiveClient::report_rows($modules{ $client->{name} }, [ $client->users ], @rows);
	is_truth($client->{name}, 'progress', @$progress);
	is_truth($client->{name}, 'quiz_results', @$results);
	cmp_ok($client->{report_pages}, $client == $acme && $format eq 'json' ? '>' : '==', 1, 'in as many pages as it was told') or diag($client->{report_pages});
	my %per;
	$per{ ($_->{UserId} // lc $_->{LearnerEmailId}) . " $_->{ModuleId}" }++ foreach @rows;
	ok((grep { $_ > 1 } values %per), 'a module of two series has two rows for a learner');
}
my @rows = $acme->report('json', "SeriesId eq '$acme->{series}[0]'");
is(join(' ', grep { $_ ne $acme->{series}[0] } map { $_->{SeriesId} } @rows), '', 'rows of one series');
cmp_ok(scalar @rows, '>', 0, 'of which there are some');
my ($quoted) = grep { ($_->{email} // '') =~ /'/ } @users;
(my $literal = $quoted->{email}) =~ s/'/''/g;
@rows = $acme->report('json', "LearnerEmailId eq '$literal'");
is(join(' ', grep { lc $_ ne lc $quoted->{email} } map { $_->{LearnerEmailId} } @rows), '', 'rows of a learner with a quote in the address');
cmp_ok(scalar @rows, '>', 0, 'of which there are some, too');
answers($acme->report_call('/LearnerModulePerformances'), 200, '<feed', 'without $format it is Atom');
answers($acme->report_call('/LearnerModulePerformances?$format=json&$filter=' . MindTickle::LiveClient::encode("LearnerEmailId eq 'o'b'")),
	400, 'filter', 'a quote must be doubled');
answers($acme->report_call('/LearnerModulePerformances?$format=json&$filter=' . MindTickle::LiveClient::encode("Score gt 5")), 400, 'filter', 'an unknown filter is refused');
answers($acme->report_call('/LearnerModulePerformances?$format=json&$top=5'), 400, 'option', 'an unknown option is refused');
answers($acme->report_call("/$_?\$format=json"), 200, 'SeriesId', "there is $_") foreach qw(SeriesCollection SeriesModules);
answers($acme->report_call('/Modules?$format=json'), 200, 'ModuleId', 'there is Modules');
answers(MindTickle::LiveClient::curl('GET', $acme->{reporting_url} . '/Modules?$format=json', more => [ '--user', 'report-acme:wrong' ]), 401, '', 'a wrong password is refused');
answers(MindTickle::LiveClient::curl('GET', $sandbox->host('admin') . '/Odata.svc/Modules', more => [ '--user', 'report-plain:x' ]), 401, '', 'a tenant may have no reporting user');

# Bad records are told as they come
my $rejects = decode_json($sandbox->truth('flawed', 'rejects'));
is(join(' ', sort map { $_->{resource} } grep { $_->{kind} eq 'not_an_object' && $_->{count} > 0 } @$rejects), 'live_rows live_users',
	'there are bad users and rows');
my $flawed = $clients{flawed}->call(POST => '/services/data/v4.0/mtobjects/Users?limit=50', {});
ok(index($flawed->{body}, "Bad \xff\xfe") > 0, 'one of them with bytes that are no UTF-8');

# The world moves on
$sandbox->post('revision', tenant => 'acme', revision => 9);
my @later = $acme->users;
my $truth = decode_json($sandbox->truth('acme', 'progress'));
my ($progress, $results) = MindTickle::LiveClient::report_rows($modules{acme}, \@later, $acme->report('json'));
ok(MindTickle::LiveClient::lines(@$progress) eq MindTickle::LiveClient::lines(@$truth), 'progress at a later revision is what is served');
ok(MindTickle::LiveClient::lines(@$results) eq MindTickle::LiveClient::lines(@{ decode_json($sandbox->truth('acme', 'quiz_results')) }), 'so are results');
my %before = map { $_->{user_id} . $_->{course_id} => $_->{submitted_at} } @{ decode_json($sandbox->truth('acme', 'quiz_results', '0')) };
ok((grep { defined $before{ $_->{user_id} . $_->{course_id} } && $before{ $_->{user_id} . $_->{course_id} } lt $_->{submitted_at} } @$results), 'some assessments were taken again');

is($sandbox->totals->{elsewhere}, 0, 'nothing arrived where nothing may arrive');
MindTickle::LiveClient::curl('GET', $sandbox->host('elsewhere') . '/x', header => ["Authorization: Bearer $acme->{token}"]);
is($sandbox->totals->{elsewhere}, 1, 'until it did');
done_testing();
