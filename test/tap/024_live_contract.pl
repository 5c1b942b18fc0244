# Tenants of the live contract, in both regions, with and without reporting, from a service that fails in every way: what is stored equals the
# truth row for row, no token or key goes where it does not belong, and no limit is exceeded. Then credentials: tokens that end, keys that are
# replaced while the worker runs, a key pair that is refused, a reporting user that is refused, a site that nobody knows, a region that is away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MIME::Base64;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %tenants = (
	(map { sprintf('global-%02d', $_) => "users=@{[ 12 * $_ ]},token=@{[ 5 + 10 * $_ ]},page=" . (0, 25, 1000)[ $_ % 3 ] } 1 .. 7),
	(map { sprintf('us-%02d', $_) => "users=@{[ 9 * $_ ]},region=us,token=3600" } 1 .. 5),
	(map { sprintf('plain-%02d', $_) => "users=@{[ 6 * $_ ]},reporting=no,region=" . ($_ % 2 ? 'us' : 'global') } 1 .. 5),
	(map { sprintf('flawed-%02d', $_) => 'users=40,bad=8,reporting=' . ($_ % 2 ? 'no' : 'yes') } 1 .. 3));
my @tenants = sort keys %tenants;
my @flawless = grep { !/^flawed/ } @tenants;
my %limits = map { $tenants[$_] => 20 + 2 * ($_ % 5) } 0 .. $#tenants;
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 23, '--slow-ms', 300,
	(map { ('--fault', "$_=5") } qw(error500 slow truncated html200 reset revoked loop endless)),
	(map { ('--fault', "$_=1") } qw(empty200 wrong429 odd429)),
	(map { ('--tenant', "$_,contract=live,courses=13,rps=$limits{$_},rpm=" . 60 * $limits{$_} . ",$tenants{$_}") } @tenants),
	(map { ('--tenant', "short-$_,contract=live,users=230,courses=2,rps=0,rpm=0") } 1 .. 2),
	(map { ('--tenant', "echo-$_,contract=live,users=8,courses=2,rps=0,rpm=0") } 1 .. 6),
	'--tenant', 'stranger,contract=live,users=10,rps=0,rpm=0',
	'--tenant', 'cut-off,contract=live,region=us,users=10,rps=0,rpm=0',
	'--tenant', 'turned-off,contract=live,users=20,rps=0,rpm=0',
	(map { ('--tenant', "own-$_,contract=live,users=8,courses=2,rps=0,rpm=0") } 1 .. 36));

# The statements that set credentials are ours; what the log must not tell is what the server writes by itself.
my $node = start_node('primary', configuration => "log_statement = none\n");
add_extension($node);
add_live_tenant($node, $sandbox, $_, requests_per_second => $limits{$_}, requests_per_minute => 60 * $limits{$_}) foreach @tenants;

# What no client may ever do.
my @crimes = qw(violations_per_second violations_per_minute wrong_hosts foreign_ids foreign_credentials refused_sign_ins needless_sign_ins);

sub innocent
{
	my ($what) = @_;
	my @guilty;
	foreach my $tenant (@tenants)
	{
		my $stats = $sandbox->stats($tenant);
		push @guilty, map { "$tenant $_ $stats->{$_}" } grep { $stats->{$_} } @crimes;
	}
	my $totals = $sandbox->totals;
	push @guilty, map { "$_ $totals->{$_}" } grep { $totals->{$_} } qw(elsewhere wrong_keys missing_keys);
	is(join(', ', @guilty), '', "$what: no limit was exceeded, no wrong host called, no credential used for another tenant");
}

sub last_job
{
	my ($tenant, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT $columns FROM mt_sync_jobs WHERE tenant_id = '$tenant' ORDER BY job_id DESC LIMIT 1");
}

ok(wait_for_sync($node, @tenants), 'first pull: all tenants are pulled');
equals_truth($node, $sandbox, $_) foreach @tenants;
innocent('first pull');
my ($faults, $revoked) = (0, 0);
foreach my $tenant (@tenants)
{
	my $given = $sandbox->stats($tenant)->{faults};
	$faults += $_ foreach values %$given;
	$revoked += $given->{revoked};
}
cmp_ok($faults, '>', 150, 'the API was as bad as it was meant to be');
cmp_ok($revoked, '>', 10, 'tokens were taken back');
is( $node->safe_psql('postgres', q(SELECT string_agg(DISTINCT (SELECT string_agg(resource, ' ' ORDER BY resource) FROM mindtickle.sync_resource AS r
	WHERE r.tenant_id = t.tenant_id AND error IS NULL), ', ') FROM mindtickle.tenant AS t)),
	'catalog progress quiz_results roster series team_members teams', 'every resource is complete');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM mindtickle.tenant AS t WHERE site_url <> settings -> \'base_urls\' ->> (tenant_id LIKE \'us-%\'
	OR tenant_id IN (\'plain-01\', \'plain-03\', \'plain-05\'))::int'), 0, 'each site was found in its region');
is( $node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'global-03' AND attributes ? 'manager_name')) > 0, 1,
	'other fields of the profile are attributes under the names that the tenant gave');

# Nothing has changed upstream: nothing is written.
$node->safe_psql('postgres', "SELECT mt_sync_tenant(t) FROM unnest(ARRAY['global-03', 'us-02', 'plain-02']) AS t");
ok(wait_for_sync($node, qw(global-03 us-02 plain-02)), 'three tenants are pulled again');
is(last_job($_, 'changed'), 0, "a pull of $_ that brings nothing new changes nothing") foreach qw(global-03 us-02 plain-02);
cmp_ok($sandbox->stats('global-03')->{routes}{statements}, '==', 0, 'with reporting no statement is asked for');
cmp_ok($sandbox->stats('plain-05')->{routes}{report}, '==', 0, 'without it no report');

# Upstream moves on.
$sandbox->post('revision', tenant => $_, revision => 4) foreach @tenants;
$node->safe_psql('postgres', 'SELECT mt_sync_tenant(tenant_id) FROM mindtickle.tenant');
ok(wait_for_sync($node, @tenants), 'second pull: all tenants are pulled');
equals_truth($node, $sandbox, $_, '0,4') foreach @flawless;
innocent('second pull');

# From here on the service is well.
$sandbox->post('faults', kind => $_, percent => 0) foreach qw(error500 slow truncated html200 reset revoked loop endless empty200 wrong429 odd429);
my $pid = worker_pid($node, 'mindtickle sync');

# A listing from which two of hundreds are missing, and which says that it is at its end: nobody is gone. The next one that shows everybody tells who is.
my @short = map { "short-$_" } 1 .. 2;
add_live_tenant($node, $sandbox, $_) foreach @short;
ok(wait_for_sync($node, @short), 'two tenants with several pages of users');
my $active = $node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id LIKE 'short-%' AND active));
$sandbox->post('faults', kind => 'skip', percent => 100, tenant => $_) foreach @short;
$node->safe_psql('postgres', q(SELECT mt_sync_tenant(tenant_id) FROM mindtickle.tenant WHERE tenant_id LIKE 'short-%'));
ok(wait_for_sync($node, @short), 'pulls whose pages skip two users end well');
cmp_ok($sandbox->stats($_)->{faults}{skip}, '>=', 1, "at $_ they do") foreach @short;
is($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id LIKE 'short-%' AND active)), $active, 'nobody is deactivated');
cmp_ok($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.sync_resource WHERE tenant_id LIKE 'short-%' AND resource = 'roster' AND error IS NULL)), '>', 0,
	'where the listing says that it is at its end, that is no error');
like(slurp_file($node->logfile), qr/the roster of tenant "short-\d" showed 22\d of the 2\d\d users that it says there are, so nobody was deactivated/, 'but it is told');
$sandbox->post('faults', kind => 'skip', percent => 0, tenant => $_) foreach @short;
$sandbox->post('revision', tenant => $_, revision => 4) foreach @short;
$node->safe_psql('postgres', q(SELECT mt_sync_tenant(tenant_id) FROM mindtickle.tenant WHERE tenant_id LIKE 'short-%'));
ok(wait_for_sync($node, @short), 'pulls that show everybody');
equals_truth($node, $sandbox, $_, '0,4') foreach @short;
cmp_ok($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id LIKE 'short-%' AND NOT active)), '>', 0, 'who left is deactivated');

# A new key pair counts without a restart, at once; the old one has ended.
my $rotated = decode_json($sandbox->post('rotate', tenant => 'us-03'));
$sandbox->post('revoke', tenant => 'us-03', what => 'tokens');
$node->safe_psql('postgres', "SELECT mt_sync_tenant('us-03')");
ok(poll($node, "SELECT state = 'failed' FROM mt_sync_jobs WHERE tenant_id = 'us-03' ORDER BY job_id DESC LIMIT 1"), 'with a key pair that has ended a pull fails');
is(last_job('us-03', 'error'), 'MindTickle refuses the api_key and secret_key (401): store valid ones with mt_set_credential', 'and says what to do');
is( $node->safe_psql('postgres', q(SELECT backoff_until > now() + interval '2 hours', last_error ~ 'mt_set_credential' FROM mindtickle.tenant WHERE tenant_id = 'us-03')),
	't|t', 'nothing is sent for hours');
cmp_ok($sandbox->stats('us-03')->{refused_sign_ins}, '<=', 2, 'it was tried twice');
$node->safe_psql('postgres', 'SELECT mt_set_credential(\'us-03\', ' . quote(encode_json({ map { $_ => $rotated->{$_} } qw(api_key secret_key) })) . ')');
ok(poll($node, "SELECT state = 'done' FROM mt_sync_jobs WHERE tenant_id = 'us-03' ORDER BY job_id DESC LIMIT 1"), 'with the new one the next pull succeeds');
is(worker_pid($node, 'mindtickle sync'), $pid, 'in the same worker');

# A reporting user that is refused: progress comes in another way, and the tenant is told.
add_live_tenant($node, $sandbox, 'turned-off');
ok(wait_for_sync($node, 'turned-off'), 'a tenant with reporting');
$node->safe_psql('postgres', q(SELECT mt_set_credential('turned-off', '{"reporting_password": "wrong"}'), mt_sync_tenant('turned-off')));
ok(poll($node, "SELECT state = 'failed' FROM mt_sync_jobs WHERE tenant_id = 'turned-off' ORDER BY job_id DESC LIMIT 1"), 'its reporting user is refused');
like(last_job('turned-off', 'error'), qr/^progress: MindTickle refuses the reporting_user \(401\).*mt_set_credential/, 'the pull says so');
cmp_ok($sandbox->stats('turned-off')->{routes}{statements}, '>', 0, 'and has read statements instead');
equals_truth($node, $sandbox, 'turned-off');
like($node->safe_psql('postgres', q(SELECT provisional_reason FROM mt_aggregate_readiness('turned-off'))), qr/the last pull of progress failed/, 'its readiness is provisional');

# Stored once more, be it the same that was refused, he is tried at once, not after hours.
$node->safe_psql('postgres', "SELECT mt_sync_tenant('turned-off')");
ok(poll($node, "SELECT count(*) FILTER (WHERE state = 'failed') > 1 OR count(*) FILTER (WHERE state = 'done') > 1 FROM mt_sync_jobs WHERE tenant_id = 'turned-off'"), 'another pull of it');
my $refused = $sandbox->totals->{wrong_keys};
is($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE state = 'failed') FROM mt_sync_jobs WHERE tenant_id = 'turned-off'"), 1, 'does not try him again');
$node->safe_psql('postgres', q(SELECT mt_set_credential('turned-off', '{"reporting_password": "wrong"}')));
ok(poll($node, "SELECT count(*) FILTER (WHERE state = 'failed') > 1 FROM mt_sync_jobs WHERE tenant_id = 'turned-off'"), 'after the same password was stored');
cmp_ok($sandbox->totals->{wrong_keys}, '>', $refused, 'he is tried at once');

# A site that no region knows.
add_live_tenant($node, $sandbox, 'stranger', learning_site => ' https://Nowhere.mindtickle.com/home ');
ok(poll($node, "SELECT state = 'failed' FROM mt_sync_jobs WHERE tenant_id = 'stranger'"), 'a site that nobody knows');
is(last_job('stranger', 'error'), 'no base URL knows the learning site "nowhere.mindtickle.com" (404): correct learning_site, or base_urls, with mt_configure_tenant', 'is named, with what to do');
my $site = uc $sandbox->tenant('stranger')->{learning_site};
$node->safe_psql('postgres', "SELECT mt_configure_tenant('stranger', '{\"learning_site\": \"https://$site/\"}'), mt_set_credential('stranger', "
	  . quote(encode_json({ map { $_ => $sandbox->tenant('stranger')->{$_} } qw(api_key secret_key) })) . ')');
ok(poll($node, "SELECT state = 'done' FROM mt_sync_jobs WHERE tenant_id = 'stranger' ORDER BY job_id DESC LIMIT 1"), 'as it is pasted from a browser it is found');
equals_truth($node, $sandbox, 'stranger');

# A region that cannot be reached may be the one that knows the site: that is an outage, whatever the others say.
my ($global, $us) = @{ $sandbox->tenant('cut-off')->{base_urls} };
add_live_tenant($node, $sandbox, 'cut-off', base_urls => [ $global, 'http://127.0.0.1:1' ]);
ok(poll($node, q(SELECT last_error IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = 'cut-off')), 'a site whose region is away');
like($node->safe_psql('postgres', q(SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'cut-off')), qr/onnect/, 'is told as one');
is($node->safe_psql('postgres', q(SELECT state, backoff_until < now() + interval '10 minutes' FROM mt_sync_jobs JOIN mindtickle.tenant USING (tenant_id) WHERE tenant_id = 'cut-off')),
	'running|t', 'and soon tried again');
like($node->safe_psql('postgres', q(SELECT concat_ws(' | ', detail, remedy) FROM mt_test_connection('cut-off') WHERE step = 'sign-in')), qr/onnect.* \| Try again later/,
	'a test of the connection says the same');
$node->safe_psql('postgres', "SELECT mt_configure_tenant('cut-off', " . quote(encode_json({ base_urls => [ $global, $us ] })) . '), mt_cancel_job(tenant_id, job_id)
	FROM mt_sync_jobs WHERE tenant_id = ' . quote('cut-off'));
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('cut-off')));
ok(wait_for_sync($node, 'cut-off'), 'with the region back it is pulled');
# A server in between that tells what it was sent: at the report of three tenants, at the sign-in of three.
my @echoes = map { "echo-$_" } 1 .. 6;
my @signed_in = @echoes[ 0 .. 2 ];
add_live_tenant($node, $sandbox, $_) foreach @signed_in;
ok(wait_for_sync($node, @signed_in), 'three tenants have signed in');
$sandbox->post('faults', kind => 'echo', percent => 100, tenant => $_) foreach @echoes;
$node->safe_psql('postgres', q(SELECT mt_sync_tenant(tenant_id) FROM mindtickle.tenant WHERE tenant_id LIKE 'echo-%'));
add_live_tenant($node, $sandbox, $_) foreach @echoes[ 3 .. 5 ];
foreach my $number (1 .. 6)
{
	my $what = $number <= 3 ? 'progress' : 'sign-in';
	my $told = $node->wait_for_log(qr/tenant "echo-$number" failed \($what\): status 502\n[^\n]*DETAIL:  The answer begins: .*"authorization":"[^\n]*\*\*\*\*/);
	ok($told, "echo-$number: what was sent is shown with its secrets blotted out");
}
$sandbox->post('faults', kind => 'echo', percent => 0, tenant => $_) foreach @echoes;

# Likewise of secrets that are no plain letters, and of which every other one begins as another secret does. How it is told differs.
my %tells = ('plainly' => qr/"body":"\{\\"api/, 'by number' => qr/"body":"\\u007b/, 'as JSON within JSON' => qr/"body":"\\\\u007b/, 'as a URL' => qr/"body":"%7B/, 'as HTML' => qr/"body":"&#123;/,
	'as bytes' => qr/"body":"\\x7b/);
my %told;
foreach my $number (1 .. 36)
{
	my $credential = $sandbox->tenant("own-$number");
	$credential->{secret_key} = ($number % 2 ? $credential->{api_key} : '') . "kilroy \x{e4}\x{1f600}\"\\+was/here<&>'";
	$sandbox->post('faults', kind => 'echo', percent => 100, tenant => "own-$number");
	add_live_tenant($node, $sandbox, "own-$number");
}
foreach my $number (1 .. 36)
{
	$node->wait_for_log(qr/tenant "own-$number" failed \(sign-in\): status 502\n[^\n]*DETAIL:  The answer begins: [^\n]*\n/);
	my ($detail) = slurp_file($node->logfile) =~ /tenant "own-$number" failed \(sign-in\): status 502\n[^\n]*DETAIL:  ([^\n]*)/;
	unlike($detail, qr/kilroy|was|here|00e4|d83d|de00|%C3|%F0|#xe4|#x1f600|\\xc3|\\xf0|&lt;|&gt;/i, "own-$number: nothing of the secret can be read");
	like($detail, qr/secret.*\*{20}/, "own-$number: but that there was one");
	$detail =~ $tells{$_} and $told{$_} = 1 foreach keys %tells;
}
is(join(', ', sort keys %told), join(', ', sort keys %tells), 'in every way');

# No secret is in the log, nor in anything that can be read.
my $log = slurp_file($node->logfile);
my @secrets = map { my $t = $sandbox->tenant($_); map { $t->{$_} // () } qw(api_key secret_key reporting_password) } @tenants, @echoes, 'stranger', 'turned-off';
foreach my $tenant (map { $sandbox->tenant($_) } @echoes)
{
	my $pair = encode_base64("$tenant->{reporting_user}:$tenant->{reporting_password}", '');
	push @secrets, $pair, $pair =~ s{/}{\\/}gr, $pair =~ s/([+\/=])/sprintf '\\u%04x', ord $1/ger, substr($pair, 0, 20);
}
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'no secret is in the log');
my $dump = $node->safe_psql('postgres', q(SELECT string_agg(query_to_xml(format('SELECT * FROM mindtickle.%I', relname), true, true, '')::text, '') FROM pg_class
	WHERE relnamespace = 'mindtickle'::regnamespace AND relkind = 'r' AND relname <> 'credential'));
is(scalar(grep { index($dump, $_) >= 0 } @secrets), 0, 'nor in any other table');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
