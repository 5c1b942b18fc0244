# Provisioning goes on to MindTickle: who is created, changed and deactivated here is so there, once, in order, whatever is killed meanwhile and however the
# endpoint fails; what it does not accept becomes a dead letter.

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

use constant USERS => 60;
use constant KILLS => 4;

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 31, '--slow-ms', 200,
	'--tenant', 'acme,contract=live,users=10,courses=4,rps=20,rpm=1200',
	'--tenant', 'globex,contract=live,users=10,courses=4,rps=20,rpm=1200',
	'--tenant', 'initech,contract=live,users=10,courses=4,rps=20,rpm=1200');
my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A tenant that pushes.
sub add_pushing
{
	my ($tenant) = @_;
	add_live_tenant($node, $sandbox, $tenant, requests_per_second => 20, requests_per_minute => 1200, push_users => JSON::PP::true,
		scim_url => $sandbox->tenant($tenant)->{scim_url});
	my $token = $sandbox->tenant($tenant)->{scim_token};
	sql(qq(SELECT mt_set_credential('$tenant', '{"scim_token": "$token"}')));
}

# What is upstream, by userName.
sub upstream
{
	my ($tenant) = @_;
	my %users;
	foreach my $user (@{ $sandbox->get('provisioned', tenant => $tenant) })
	{
		push @{ $users{ lc $user->{attributes}{userName} } }, $user->{attributes};
	}
	return \%users;
}

sub pushed
{
	my ($tenant) = @_;
	return poll($node, "SELECT count(*) = 0 FROM mindtickle.push_queue WHERE tenant_id = '$tenant'");
}

# Who is here equals who is there, and nobody is there twice.
sub equals_upstream
{
	my ($tenant, $name) = @_;
	my $there = upstream($tenant);
	my @wrong;
	foreach my $line (split /\n/, sql(qq(SELECT lower(email) || '|' || coalesce(name, '') || '|' || active FROM mindtickle.users WHERE tenant_id = '$tenant' AND user_id LIKE 'u-%' ORDER BY 1)))
	{
		my ($email, $full_name, $active) = split /\|/, $line;
		my @found = @{ $there->{$email} // [] };
		if (@found != 1) { push @wrong, "$email is there " . @found . ' times' unless $active eq 'false' && !@found; next; }
		my $is_active = $found[0]{active} ? 'true' : 'false';
		# psql gives bytes.
		my $name_there = $found[0]{name}{formatted} // '';
		utf8::encode($name_there);
		push @wrong, "$email: $name_there $is_active" if $name_there ne $full_name || $is_active ne $active;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!@wrong, $name) or diag(join("\n", @wrong));
}

# A few at first: created, changed, deactivated, activated.
add_pushing('acme');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "email": "o''neil+x@example.com", "name": "Zoë \"Z\" O''Neil"}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "email": "two@example.com", "name": "Two"}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-3", "email": "three@example.com", "active": false}')));
ok(pushed('acme'), 'all are pushed');
equals_upstream('acme', 'new users are there');
ok(!upstream('acme')->{'three@example.com'}, 'but for one who was never active');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "name": "Second"}'), mt_deactivate_user('acme', 'u-1')));
ok(pushed('acme'), 'changes are pushed');
equals_upstream('acme', 'and are there');
my $writes = @{ $sandbox->get('pushes', tenant => 'acme') };
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-2", "title": "Not told upstream"}')));
ok(pushed('acme'), 'a change that nobody there hears of');
is(scalar @{ $sandbox->get('pushes', tenant => 'acme') }, $writes, 'writes nothing there');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "active": true, "email": "zoe@example.com"}')));
ok(pushed('acme'), 'somebody with another address');
equals_upstream('acme', 'is the same one there');
is($sandbox->stats('acme')->{scim_created}, 2, 'and not created again');

# Coalesced: many changes while the endpoint is away are few calls.
$sandbox->post('faults', kind => 'error500', percent => 100, tenant => 'acme');
sql(qq(SELECT mt_provision_user('acme', '{"userId": "u-2", "name": "Name $_"}'))) foreach 1 .. 30;
$sandbox->post('faults', kind => 'error500', percent => 0, tenant => 'acme');
ok(pushed('acme'), 'after trouble at the endpoint');
equals_upstream('acme', 'the last of many changes is there');
cmp_ok(scalar @{ $sandbox->get('pushes', tenant => 'acme') }, '<=', $writes + 5, 'and few of the others');

# Kills at any moment, with faults.
add_pushing('globex');
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
ok(pushed('globex'), 'all are pushed in the end');
equals_upstream('globex', 'and there as they are here');
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

# The endpoint takes nobody new for a while, and goes on as if nothing had been: nobody is given up, nobody is there twice.
add_pushing('initech');
$sandbox->post('faults', kind => 'error503', percent => 100, tenant => 'initech', at => 'scim_post');
sql(q(SELECT mt_provision_user('initech', jsonb_build_object('userId', 'u-' || i, 'email', 'new' || i || '@example.com', 'name', 'New ' || i)) FROM generate_series(1, 4) AS i));
ok(poll($node, q(SELECT count(*) FILTER (WHERE tries > 0) >= 1 FROM mindtickle.push_queue WHERE tenant_id = 'initech' AND error ~ ' 503$')), 'while no creation is answered, users are put off');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'initech')), 4, 'all of them wait');
is(sql(q(SELECT count(*) FROM mt_dead_letters WHERE tenant_id = 'initech')), 0, 'nobody is a dead letter');
$sandbox->post('faults', kind => 'error503', percent => 0, tenant => 'initech');
ok(pushed('initech'), 'when it takes them again all are pushed');
equals_upstream('initech', 'each once');

# A creation that has its effect and whose answer is lost.
my $created = 4;
foreach my $kind (qw(error504 huge))
{
	$sandbox->post('faults', kind => $kind, percent => 100, tenant => 'initech', at => 'scim_post');
	sql(qq(SELECT mt_provision_user('initech', jsonb_build_object('userId', 'u-$kind-' || i, 'email', '$kind' || i || '\@example.com', 'name', 'Lost ' || i)) FROM generate_series(1, 6) AS i));
	ok(pushed('initech'), "$kind: who was created without an answer is pushed");
	equals_upstream('initech', 'once');
	my $stats = $sandbox->stats('initech');
	is(join(' ', map { $stats->{"scim_$_"} } qw(created conflicts duplicates blind)), ($created += 6) . ' 0 0 0', 'as he is looked for before he is created again');
	$sandbox->post('faults', kind => $kind, percent => 0, tenant => 'initech');
}

# What the endpoint does not take.
sql(q(SELECT mt_provision_user('globex', '{"userId": "u-100", "name": "Nameless"}')));
ok(poll($node, q(SELECT count(*) = 1 FROM mt_dead_letters WHERE tenant_id = 'globex' AND source = 'push' AND resource = 'users/u-100')), 'a user without e-mail and user name is a dead letter');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'globex')), 0, 'and waits no more');
$node->stop('fast');
done_testing();
