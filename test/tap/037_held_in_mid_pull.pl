# A pull that is held up in its middle, by the administrator or by the far side: nothing is sent meanwhile, and then it goes on from where it was. Who asks
# for one user while his tenant is held up by our own trouble is told so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 37, (map { ('--tenant', "$_,users=80,courses=8,rps=0,rpm=0") } qw(calm switched suspended paused)), 
	map { ('--tenant', "$_,users=5,courses=2,rps=0,rpm=0") } qw(other troubled));
my $node = start_node('primary', configuration => "track_functions = 'all'\nmindtickle.databases = 'postgres'\n");
add_extension($node);

# Requests for the listing of users, and in all.
sub listings { return $sandbox->stats($_[0])->{routes}{users} }
sub requests { return $sandbox->stats($_[0])->{requests} }

# Adds a tenant and waits until its pull is past the listing of users.
sub begin_pull
{
	my ($tenant) = @_;

	add_tenant($node, $sandbox, $tenant, requests_per_second => 10, requests_per_minute => 600);
	ok(poll($node, "SELECT phase = 'progress' AND done BETWEEN 1 AND 40 FROM mt_sync_jobs WHERE tenant_id = '$tenant'"), "$tenant: a pull is in its middle");
}

sub is_idle
{
	my ($text) = @_;

	return poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle sync' AND query = 'waiting: $text'");
}

# A statement's rows, or its error with the code.
sub attempt
{
	my ($statement) = @_;
	my ($status, $output, $error) = $node->psql('postgres', $statement, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $error =~ /ERROR:  (\w{5}: [^\n]*)/ ? $1 : $output;
}

# Not one request goes out for a while, once those that were under way have arrived.
sub is_silent
{
	my ($tenant) = @_;
	my $before;

	usleep(500_000);
	$before = requests($tenant);
	usleep(1_500_000);
	is(requests($tenant), $before, "$tenant: nothing is sent");
}

sub goes_on
{
	my ($tenant) = @_;

	ok(wait_for_sync($node, $tenant), "$tenant: the pull ends well");
	is($node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_jobs WHERE tenant_id = '$tenant'"), 1, "$tenant: it is the same one");
	is(listings($tenant), listings('calm'), "$tenant: and what it had is not asked for again");
	equals_truth($node, $sandbox, $tenant);
}

# One that nothing holds up.
add_tenant($node, $sandbox, 'calm');
ok(wait_for_sync($node, 'calm'), 'a pull that nothing holds up');
cmp_ok(listings('calm'), '>', 0, 'asks for the listing of users');

begin_pull('switched');
$node->safe_psql('postgres', 'ALTER SYSTEM SET mindtickle.sync_enabled = off');
$node->reload;
ok(is_idle('mindtickle.sync_enabled is off'), 'the worker is switched off');
is_silent('switched');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET mindtickle.sync_enabled');
$node->reload;
goes_on('switched');

begin_pull('suspended');
$node->safe_psql('postgres', q(SELECT mt_suspend_tenant('suspended')));
ok(is_idle('no pull is due'), 'the tenant is suspended');
is_silent('suspended');
$node->safe_psql('postgres', q(SELECT mt_resume_tenant('suspended')));
goes_on('suspended');

# The far side asks for ten minutes.
begin_pull('paused');
$sandbox->post('faults', kind => 'pause503', percent => 100, tenant => 'paused');
ok(poll($node, q(SELECT backoff_until > now() + interval '9 minutes' FROM mindtickle.tenant WHERE tenant_id = 'paused')), 'a Retry-After of a 503 is believed');
is($node->safe_psql('postgres', q(SELECT last_error FROM mindtickle.tenant WHERE tenant_id = 'paused')), 'MindTickle asked for a pause (503)', 'and told');
is_silent('paused');
add_tenant($node, $sandbox, 'other');
ok(wait_for_sync($node, 'other'), 'others are pulled meanwhile');
is($node->safe_psql('postgres', q(SELECT state FROM mt_sync_jobs WHERE tenant_id = 'paused')), 'running', 'the pull is not over');

# Transactions of the tenant fail. The first of them is made known as a rest, later ones are not.
add_tenant($node, $sandbox, 'troubled');
ok(wait_for_sync($node, 'troubled'), 'a tenant is pulled');
my $user = $node->safe_psql('postgres', q(SELECT min(user_id) FROM mindtickle.course_progress WHERE tenant_id = 'troubled'));
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''there is no room''; END';
CREATE TRIGGER trouble BEFORE UPDATE ON mindtickle.sync_job FOR EACH ROW WHEN (new.tenant_id = 'troubled') EXECUTE FUNCTION trouble();
SELECT mt_sync_tenant('troubled');
END
ok(poll($node, q(SELECT errors >= 2 FROM mt_stat_worker WHERE database = 'postgres' AND kind = 'sync')), 'a pull of it fails in the database, twice');
like(attempt("SELECT mt_sync_course_progress('troubled', '$user', '5 s')"), qr/^HV000: nothing is pulled for tenant "troubled" until .*: .*there is no room/, 'who asks for a user is told why there is no pull');
$node->safe_psql('postgres', 'DROP TRIGGER trouble ON mindtickle.sync_job');
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('troubled', '$user', '100 s')"), 't', 'or waits for its end');
ok(wait_for_sync($node, 'troubled'), 'and the pull ends well');

# Whether somebody still waits is asked when his request could be sent, and not again as it fails and rests. What was counted is there after a restart.
sub questions
{
	$node->restart;
	return $node->safe_psql('postgres', q(SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'requests_gone'));
}
my ($questions, $requests) = (questions(), requests('troubled'));
$sandbox->post('faults', kind => 'error500', percent => 100, tenant => 'troubled');
like(attempt("SELECT mt_sync_course_progress('troubled', '$user', '60 s')"), qr/^HV000: MindTickle gives no usable answer/, 'a user who is asked for again and again, in vain');
cmp_ok(questions() - $questions, '<', 2 * (requests('troubled') - $requests), 'costs fewer than two questions a request');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
