# mt_test_connection walks sign-in and every right that pulls need, names what is missing and how to mend it, and tells no secret.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 9,
	'--tenant', 'whole,contract=live,users=20,region=us,rps=0,rpm=0',
	'--tenant', 'plain,contract=live,users=20,reporting=no,rps=0,rpm=0',
	'--tenant', 'busy,contract=live,users=20,reporting=no,rps=0,rpm=0',
	'--tenant', 'reference,users=20,company=r,rps=0,rpm=0');
# The statements that set credentials are ours; what the log must not tell is what the server writes by itself.
my $node = start_node('primary', configuration => "log_statement = none\n");
add_extension($node);

# The steps with their results, and what is to be done about those that fail.
sub steps
{
	my ($tenant, $columns) = @_;
	return $node->safe_psql('postgres', "SELECT string_agg(step || coalesce(' ' || ok, ''), ', ') FROM mt_test_connection('$tenant')");
}

sub remedy
{
	my ($tenant, $step) = @_;
	return $node->safe_psql('postgres', "SELECT concat_ws(' | ', detail, remedy) FROM mt_test_connection('$tenant') WHERE step = '$step'");
}

sub credential
{
	my ($tenant, %secrets) = @_;
	$node->safe_psql('postgres', "SELECT mt_set_credential('$tenant', " . quote(encode_json(\%secrets)) . ')');
}

# Before anything is pulled, so that there is nobody to ask for: suspended tenants are not tested at all, so syncing is kept away by its interval.
$node->safe_psql('postgres', q(SELECT mt_create_tenant('nobody', 'Nobody')));
is(steps('nobody'), 'settings false', 'without a credential');
like(remedy('nobody', 'settings'), qr/^no credential is stored: set it with mt_set_credential$/, 'that is said');
$node->safe_psql('postgres', q(SELECT mt_set_credential('nobody', '{"api_key": {"file": "missing"}}')));
like(remedy('nobody', 'settings'), qr/^api_key: mindtickle.secret_directory is not set/, 'so it is when a file is missing');

add_live_tenant($node, $sandbox, 'whole');
ok(wait_for_sync($node, 'whole'), 'a tenant with everything');
is(steps('whole'), 'settings true, sign-in true, users true, groups true, group members true, series true, modules true, reports true, user reports true, statements true',
	'each step of the live contract succeeds');
like(remedy('whole', 'sign-in'), qr/^signed in at http/, 'the region is named');

credential('whole', reporting_password => 'wrong');
is(steps('whole'), 'settings true, sign-in true, users true, groups true, group members true, series true, modules true, reports false, user reports false, statements true',
	'a reporting user that is refused');
is(remedy('whole', 'reports'), 'the reporting service answers 401 | Store a valid reporting_user and reporting_password with mt_set_credential.', 'is named');

credential('whole', secret_key => 'wrong');
is(steps('whole'), 'settings true, sign-in false, users, groups, group members, series, modules, reports false, user reports false, statements', 'a key pair that is refused');
is(remedy('whole', 'sign-in'), 'MindTickle refuses the api_key and secret_key (401) | Store a valid pair with mt_set_credential.', 'is named');
ok(poll($node, q(SELECT backoff_until > now() FROM mindtickle.tenant WHERE tenant_id = 'whole')), 'the tenant rests because of it');
is((split /, /, steps('whole'))[1], 'sign-in false', 'and can be tested all the same');
credential('whole', map { $_ => $sandbox->tenant('whole')->{$_} } qw(secret_key reporting_password));
like(steps('whole'), qr/^settings true, sign-in true, users true.*reports true/, 'once mended it succeeds again');

$node->safe_psql('postgres', q(SELECT mt_configure_tenant('whole', '{"learning_site": "nowhere.mindtickle.com"}')));
is(remedy('whole', 'sign-in'), 'no base URL knows the learning site "nowhere.mindtickle.com" (404) | Correct learning_site, or base_urls, with mt_configure_tenant.', 'a site that nobody knows');

add_live_tenant($node, $sandbox, 'plain', groups => []);
ok(wait_for_sync($node, 'plain'), 'a tenant without reporting and groups');
is(steps('plain'), 'settings true, sign-in true, users true, groups, group members, series true, modules true, reports, user reports, statements true', 'what it has succeeds');
is(remedy('plain', 'reports'), 'no reporting_user is stored, so scores are not pulled | Store reporting_user and reporting_password with mt_set_credential.', 'what is not there is named');

# Within the pause that the service has asked for nothing is sent, and what was found until then is told.
add_live_tenant($node, $sandbox, 'busy', groups => []);
ok(wait_for_sync($node, 'busy'), 'a tenant that has used its minute');
$sandbox->post('limits', tenant => 'busy', rpm => 1);
like($node->safe_psql('postgres', q(SELECT string_agg(concat_ws(' ', step, ok, detail), ', ') FROM mt_test_connection('busy', '10 s'))),
	qr/^settings t contract live at [^,]*, sign-in MindTickle has asked for a pause until /, 'a pause that is longer than the test is told');
is($node->safe_psql('postgres', q(SELECT backoff_until > now() AND last_error ~ 'asked for a pause' FROM mindtickle.tenant WHERE tenant_id = 'busy')), 't', 'pulls wait as well');
my $requests = $sandbox->stats('busy')->{requests};
is($node->safe_psql('postgres', q(SELECT string_agg(concat_ws(' ', step, ok), ', ') FROM mt_test_connection('busy', '10 s'))), 'settings t, sign-in', 'and so does the next test');
is($sandbox->stats('busy')->{requests}, $requests, 'without a request');
my $keys = $sandbox->tenant('busy');
$node->safe_psql('postgres', "SELECT mt_set_credential('busy', " . quote(encode_json({ map { $_ => $keys->{$_} } qw(api_key secret_key) })) . "), mt_sync_tenant('busy')");
usleep(2_000_000);
is($sandbox->stats('busy')->{requests}, $requests, 'nor does a credential that is stored anew, which ends other rests, cut it short');

add_tenant($node, $sandbox, 'reference', company_id => 'r');
ok(wait_for_sync($node, 'reference'), 'a tenant of the reference contract');
is(steps('reference'), 'settings true, users true, courses true, progress true, quiz results true', 'each of its steps succeeds');
$node->safe_psql('postgres', q(SELECT mt_configure_tenant('reference', '{"company_id": "other"}')));
is(steps('reference'), 'settings true, users false, courses false, progress false, quiz results false', 'with another company none does');
like(remedy('reference', 'courses'), qr/the credential lacks the right courses:read \| .*company_id/, 'and what may be wrong is named');
$sandbox->stop;
like(remedy('reference', 'users'), qr/onnect.* \| Try again later/, 'a service that is down');

# Who may, and when.
$node->safe_psql('postgres', q(CREATE ROLE c_writer; CREATE ROLE c_admin; SELECT mt_grant_tenant('plain', 'c_writer', 'writer'), mt_grant_tenant('plain', 'c_admin', 'admin')));
my ($status, $output, $errors) = $node->psql('postgres', q(SET ROLE c_writer; SELECT * FROM mt_test_connection('plain')));
like($errors, qr/permission denied/, 'a writer may not test');
is($node->safe_psql('postgres', q(SET ROLE c_admin; SELECT count(*) > 1 FROM mt_test_connection('plain'))), 't', 'an admin may');
$node->safe_psql('postgres', q(SELECT mt_suspend_tenant('plain')));
like(remedy('plain', 'settings'), qr/^the tenant is suspended: end that with mt_resume_tenant/, 'a suspended tenant is not tested');
($status, $output, $errors) = $node->psql('postgres', q(BEGIN; SELECT mt_resume_tenant('plain'); SELECT * FROM mt_test_connection('plain')));
like($errors, qr/cannot run in a transaction that has written/, 'nor from a transaction that has written');

my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } map { my $t = $sandbox->tenant($_); map { $t->{$_} // () } qw(api_key secret_key reporting_password) } qw(whole plain)), 0, 'no secret is in the log');
$node->stop('fast');
done_testing();
