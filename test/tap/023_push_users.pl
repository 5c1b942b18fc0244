# Provisioning goes on to MindTickle: who is created, changed and deactivated here is so there, once, in order, whatever is killed meanwhile and however the
# endpoint fails; what it does not accept becomes a dead letter.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::Push;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use constant USERS => 60;
use constant KILLS => 4;

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 31, '--slow-ms', 200,
	'--tenant', 'acme,contract=live,users=10,courses=4,rps=20,rpm=1200',
	'--tenant', 'globex,contract=live,users=10,courses=4,rps=20,rpm=1200');
my $secrets = PostgreSQL::Test::Utils::tempdir();
my $node = start_node('primary', configuration => "restart_after_crash = on\nmindtickle.secret_directory = '$secrets'\n");
add_extension($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A few at first: created, changed, deactivated, activated.
add_pushing($node, $sandbox, 'acme');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "email": "o''neil+x@example.com", "name": "Zoë \"Z\" O''Neil"}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "email": "two@example.com", "name": "Two"}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-3", "email": "three@example.com", "active": false}')));
ok(pushed($node, 'acme'), 'all are pushed');
equals_upstream($node, $sandbox, 'acme', 'new users are there');
ok(!upstream($sandbox, 'acme')->{'three@example.com'}, 'but for one who was never active');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "name": "Second"}'), mt_deactivate_user('acme', 'u-1')));
ok(pushed($node, 'acme'), 'changes are pushed');
equals_upstream($node, $sandbox, 'acme', 'and are there');
my $writes = @{ $sandbox->get('pushes', tenant => 'acme') };
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "title": "Not told upstream"}')));
ok(pushed($node, 'acme'), 'a change that nobody there hears of');
is(scalar @{ $sandbox->get('pushes', tenant => 'acme') }, $writes, 'writes nothing there');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "active": true, "email": "zoe@example.com"}')));
ok(pushed($node, 'acme'), 'somebody with another address');
equals_upstream($node, $sandbox, 'acme', 'is the same one there');
is($sandbox->stats('acme')->{scim_created}, 2, 'and not created again');

# Coalesced: many changes while the endpoint is away are few calls.
$sandbox->post('faults', kind => 'error500', percent => 100, tenant => 'acme');
sql(qq(SELECT mt_provision_user('acme', '{"userId": "u-2", "name": "Name $_"}'))) foreach 1 .. 30;
$sandbox->post('faults', kind => 'error500', percent => 0, tenant => 'acme');
ok(pushed($node, 'acme'), 'after trouble at the endpoint');
equals_upstream($node, $sandbox, 'acme', 'the last of many changes is there');
cmp_ok(scalar @{ $sandbox->get('pushes', tenant => 'acme') }, '<=', $writes + 5, 'and few of the others');

# Kills at any moment, with faults.
add_pushing($node, $sandbox, 'globex');
$sandbox->post('faults', kind => $_, percent => 5, tenant => 'globex') foreach qw(error500 slow truncated reset wrong429);
my $provisioned = 0;
foreach my $round (1 .. KILLS)
{
	my ($from, $to) = ($provisioned + 1, $provisioned += USERS / KILLS);
	sql(qq(SELECT mt_provision_user('globex', jsonb_build_object('userId', 'u-' || i, 'email', 'user' || i || '\@example.com', 'name', 'User ' || i))
		FROM generate_series($from, $to) AS i));
	sql(qq(SELECT mt_deactivate_user('globex', 'u-' || i) FROM generate_series(1, $to, 7) AS i));
	sql(qq(SELECT mt_provision_user('globex', jsonb_build_object('userId', 'u-' || i, 'name', 'Round $round ' || i)) FROM generate_series(1, $to, 3) AS i));
	usleep(300_000 + int(rand(1_500_000)));
	if ($round % 2)
	{
		my $pid = worker_pid($node, 'mindtickle sync');
		kill('KILL', $pid);
		ok(worker_pid($node, 'mindtickle sync', $pid), "round $round: the sync worker is back after kill -9");
	}
	else
	{
		kill_and_start($node);
		ok(worker_pid($node, 'mindtickle sync'), "round $round: and after kill -9 of the postmaster");
	}
}
ok(pushed($node, 'globex'), 'all are pushed in the end');
equals_upstream($node, $sandbox, 'globex', 'and there as they are here');
foreach my $tenant (qw(acme globex))
{
	my $stats = $sandbox->stats($tenant);
	is(join(' ', map { $stats->{"scim_$_"} } qw(duplicates blind deleted)), '0 0 0', "nobody of $tenant is there twice, none was created unseen, none removed");
	is($stats->{violations_per_second} + $stats->{violations_per_minute}, 0, "the budget of $tenant was kept");
	is($stats->{wrong_hosts} + $stats->{foreign_credentials}, 0, 'no secret went elsewhere');
}
$sandbox->post('faults', kind => $_, percent => 0, tenant => 'globex') foreach qw(error500 slow truncated reset wrong429);

# In order: the writes of one user, as they came, end in the present state and never go back.
my %last;
my $disorder = 0;
foreach my $write (@{ $sandbox->get('pushes', tenant => 'globex') })
{
	my ($round) = (encode_json($write) =~ /Round (\d)/);
	next unless defined $round && defined $write->{id};
	$disorder++ if ($last{ $write->{id} } // 0) > $round;
	$last{ $write->{id} } = $round;
}
is($disorder, 0, 'no earlier change follows a later one');

# A token that is refused stops pushes, not pulls, and is told.
sql(q(SELECT mt_set_credential('acme', '{"scim_token": "wrong"}'), mt_provision_user('acme', '{"userId": "u-9", "email": "nine@example.com"}')));
ok(poll($node, q{SELECT last_error LIKE 'MindTickle refuses the scim_token (40%' FROM mindtickle.tenant WHERE tenant_id = 'acme'}), 'a refused scim_token is told');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'acme')), 1, 'and the user waits');
sql(q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'pulls go on');
cmp_ok(scalar(() = slurp_file($node->logfile) =~ /MindTickle refuses the scim_token/g), '<', 5, 'and the endpoint is left alone for a while');

# A token in a file that cannot be read is not one that is missing.
sql(q(SELECT mt_set_credential('acme', '{"scim_token": {"file": "token"}}')));
my $why = qr/scim_token: could not read a credential of tenant "acme" from file "token" \(the tenant has no directory [^\n]*mt_set_credential/;
ok($node->wait_for_log(qr/users of tenant "acme" are not pushed: $why/), 'that a scim_token cannot be read is told');
like(sql(q(SELECT last_error FROM mt_stat_tenant WHERE tenant_id = 'acme')), qr/^$why/, 'with the reason');
sql(q(SELECT mt_set_credential('acme', '{"scim_token": null}')));
ok($node->wait_for_log(qr/users of tenant "acme" are not pushed: push_users is on, but there is no scim_url or no scim_token/), 'and so is that there is none');
mkdir "$secrets/acme";
append_to_file("$secrets/acme/token", $sandbox->tenant('acme')->{scim_token} . "\n");
chmod 0600, "$secrets/acme/token";
sql(q(SELECT mt_set_credential('acme', '{"scim_token": {"file": "token"}}')));
ok(pushed($node, 'acme'), 'with one that can be read users are pushed');

# What the endpoint does not take.
sql(q(SELECT mt_provision_user('globex', '{"userId": "u-100", "name": "Nameless"}')));
ok(poll($node, q(SELECT count(*) = 1 FROM mt_dead_letters WHERE tenant_id = 'globex' AND source = 'push' AND resource = 'users/u-100')), 'a user without e-mail and user name is a dead letter');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'globex')), 0, 'and waits no more');
$node->stop('fast');
done_testing();
