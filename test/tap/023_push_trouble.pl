# Pushing users to an endpoint that takes nobody new for a while, loses its answers, or says that it is too much, and users whose addresses change hands:
# everybody gets there in the end, once, and nobody takes another one's place.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Push;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(usleep);

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 32, '--hang-ms', 8000,
	'--tenant', 'acme,contract=live,users=10,courses=4,rps=20,rpm=1200',
	'--tenant', 'globex,contract=live,users=150,courses=4,rps=20,rpm=1200,reporting=no');
my $node = start_node('primary');
add_extension($node);

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The endpoint takes nobody new for a while, and goes on as if nothing had been: nobody is given up, nobody is there twice.
add_pushing($node, $sandbox, 'acme');
$sandbox->post('faults', kind => 'error503', percent => 100, tenant => 'acme', at => 'scim_post');
sql(q(SELECT mt_provision_user('acme', jsonb_build_object('userId', 'u-' || i, 'email', 'new' || i || '@example.com', 'name', 'New ' || i)) FROM generate_series(1, 4) AS i));
ok(poll($node, q(SELECT count(*) FILTER (WHERE tries > 0) >= 1 FROM mindtickle.push_queue WHERE tenant_id = 'acme' AND error ~ ' 503$')), 'while no creation is answered, users are put off');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'acme')), 4, 'all of them wait');
is(sql(q(SELECT count(*) FROM mt_dead_letters WHERE tenant_id = 'acme')), 0, 'nobody is a dead letter');
$sandbox->post('faults', kind => 'error503', percent => 0, tenant => 'acme');
ok(pushed($node, 'acme'), 'when it takes them again all are pushed');
equals_upstream($node, $sandbox, 'acme', 'each once');

# A creation that has its effect and whose answer is lost.
my $created = 4;
foreach my $kind (qw(error504 huge))
{
	$sandbox->post('faults', kind => $kind, percent => 100, tenant => 'acme', at => 'scim_post');
	sql(qq(SELECT mt_provision_user('acme', jsonb_build_object('userId', 'u-$kind-' || i, 'email', '$kind' || i || '\@example.com', 'name', 'Lost ' || i)) FROM generate_series(1, 3) AS i));
	ok(pushed($node, 'acme'), "$kind: who was created without an answer is pushed");
	equals_upstream($node, $sandbox, 'acme', 'once');
	my $stats = $sandbox->stats('acme');
	is(join(' ', map { $stats->{"scim_$_"} } qw(created conflicts duplicates blind)), ($created += 3) . ' 0 0 0', 'as he is looked for before he is created again');
	$sandbox->post('faults', kind => $kind, percent => 0, tenant => 'acme');
}

# A creation that is answered with an empty id says nobody's: who was created is looked for.
$sandbox->post('faults', kind => 'no_id', percent => 100, tenant => 'acme', at => 'scim_post');
sql(q(SELECT mt_provision_user('acme', jsonb_build_object('userId', 'u-no-id-' || i, 'email', 'no-id' || i || '@example.com', 'name', 'No id ' || i)) FROM generate_series(1, 2) AS i));
ok(pushed($node, 'acme'), 'who was created without an id is pushed');
$created += 2;
my $there = upstream($sandbox, 'acme');
is(sql(q(SELECT string_agg(scim_id, ' ' ORDER BY user_id) FROM mindtickle.push_link WHERE tenant_id = 'acme' AND user_id ~ '^u-no-id-')),
	join(' ', map { $there->{"no-id$_\@example.com"}[0]{id} } 1, 2), 'and linked to what he has there');
$sandbox->post('faults', kind => 'no_id', percent => 0, tenant => 'acme');

# Turned off, nothing is sent any more for those who are under way; they go on when it is turned on. Everything is slow, so that what would still be sent
# is sent before the others, who are pulled one after the other, are there.
sql(q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'a tenant is pulled');
my $slow = $sandbox->stats('acme')->{faults}{slow} // 0;
$sandbox->post('faults', kind => 'slow', percent => 100, tenant => 'acme', slow_ms => 1500);
sql(q(SELECT mt_provision_user('acme', jsonb_build_object('userId', 'u-off-' || i, 'email', 'off' || i || '@example.com', 'name', 'Off ' || i)) FROM generate_series(1, 4) AS i));
usleep(50_000) while ($sandbox->stats('acme')->{faults}{slow} // 0) < $slow + 4;
sql(q(SELECT mt_configure_tenant('acme', '{"push_users": false}')));
my @pulled = split /\n/, sql(q(SELECT user_id FROM mindtickle.users WHERE tenant_id = 'acme' AND active AND mindtickle_id IS NOT NULL AND email <> '' ORDER BY user_id LIMIT 5));
sql("SELECT count(*) FROM mt_sync_course_progress('acme', '$_', '30 s')") foreach @pulled;
is(@pulled, 5, 'while others are pulled after pushing was turned off');
is($sandbox->stats('acme')->{scim_created}, $created, 'nobody is created');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'acme' AND tries = 0)), 4, 'and all wait');
$sandbox->post('faults', kind => 'slow', percent => 0, tenant => 'acme', slow_ms => 1500);
sql(q(SELECT mt_configure_tenant('acme', '{"push_users": true}')));
ok(pushed($node, 'acme'), 'until it is turned on');
equals_upstream($node, $sandbox, 'acme', 'and get there');

# While as many as may be under way wait for their answers, the worker waits with them.
my $worker = worker_pid($node, 'mindtickle sync');
sub cpu_time
{
	my @fields = split / /, slurp_file("/proc/$worker/stat") =~ s/^.*\) //r;
	return ($fields[11] + $fields[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}
$sandbox->post('faults', kind => 'hang', percent => 100, tenant => 'acme', at => 'scim');
sql(q(SELECT mt_provision_user('acme', jsonb_build_object('userId', 'u-calm-' || i, 'email', 'calm' || i || '@example.com', 'name', 'Calm ' || i)) FROM generate_series(1, 6) AS i));
usleep(50_000) while ($sandbox->stats('acme')->{faults}{hang} // 0) < 4;
my $used = cpu_time();
usleep(3_000_000);
cmp_ok(cpu_time() - $used, '<', 1.5, 'users under way cost nothing but their requests');
$sandbox->post('faults', kind => 'hang', percent => 0, tenant => 'acme');
ok(pushed($node, 'acme'), 'and get there');

# Addresses that change hands: who had one keeps what is his upstream, and who has it now is another one there.
my $before = upstream($sandbox, 'acme');
sql(qq(SELECT mt_provision_user('acme', '{"userId": "u-$_", "email": "moved$_\@example.com"}'), mt_provision_user('acme', '{"userId": "u-heir-$_", "email": "new$_\@example.com", "name": "Heir $_"}')))
  foreach 1 .. 4;
ok(pushed($node, 'acme'), 'all are pushed');
equals_upstream($node, $sandbox, 'acme', 'and there as they are here');
my $after = upstream($sandbox, 'acme');
sub id { return $_[0]->{ $_[1] . '@example.com' }[0]{id} }
is(join(' ', grep { id($after, "moved$_") ne id($before, "new$_") || id($after, "new$_") eq id($before, "new$_") } 1 .. 4), '', 'who moved is who he was');
sub links { return sql(q(SELECT string_agg(scim_id, ' ' ORDER BY user_id) FROM mindtickle.push_link WHERE tenant_id = 'acme' AND user_id ~ '^u-(heir-)?[1-4]$')) }
is(links(), join(' ', map { id($after, $_) } (map { "moved$_" } 1 .. 4), (map { "new$_" } 1 .. 4)), 'each is linked to his own');
sql(qq(SELECT mt_deactivate_user('acme', 'u-heir-$_'))) foreach 1 .. 4;
ok(pushed($node, 'acme'), 'who has the addresses now leaves');
equals_upstream($node, $sandbox, 'acme', 'and nobody else');

# Who had the address is not renamed upstream: who has it now waits, and is given up with words that say what is to be done.
sql(q(SELECT mt_configure_tenant('acme', '{"push_users": false}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "email": "hidden@example.com"}')));
sql(q(SELECT mt_configure_tenant('acme', '{"push_users": true}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-late", "email": "moved1@example.com", "name": "Late"}')));
ok(poll($node, q(SELECT tries = 1 FROM mindtickle.push_queue WHERE tenant_id = 'acme' AND user_id = 'u-late')), 'whose address another one has upstream waits');
sql(q(UPDATE mindtickle.push_queue SET tries = 29 WHERE tenant_id = 'acme' AND user_id = 'u-late'));
my $letter = q(FROM mt_dead_letters WHERE tenant_id = 'acme' AND source = 'push' AND resource = 'users/u-late');
ok(poll($node, "SELECT count(*) = 1 $letter"), 'but not for ever');
like(sql("SELECT reason $letter"), qr/user "u-1" .* has this user's name or id: change his address here/, 'he is told why');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-1", "name": "Pushed now"}')));
ok(pushed($node, 'acme'), 'when the other one is pushed');
sql("SELECT mt_replay_dead_letter('acme', letter_id) $letter");
ok(pushed($node, 'acme'), 'the letter can be replayed');
equals_upstream($node, $sandbox, 'acme', 'and all is as it is here');

# A creation that is answered with whom another one of ours is there: nobody's place is taken.
my $next = (map { s/(\d+)$/$1 + 1/er } sort { ($a =~ /(\d+)$/)[0] <=> ($b =~ /(\d+)$/)[0] } map { $_->{id} } grep { $_->{id} =~ /-new-/ } @{ $sandbox->get('provisioned', tenant => 'acme') })[-1];
sql(qq(UPDATE mindtickle.push_link SET scim_id = '$next' WHERE tenant_id = 'acme' AND user_id = 'u-calm-1'));
sql(q(SELECT mt_provision_user('acme', '{"userId": "taker", "email": "taker@example.com", "name": "Taker"}')));
$letter = q(FROM mt_dead_letters WHERE tenant_id = 'acme' AND source = 'push' AND resource = 'users/taker');
ok(poll($node, "SELECT count(*) = 1 $letter"), 'who is answered with the id of another one is a dead letter');
like(sql("SELECT reason $letter"), qr/gives this user the id "\Q$next\E", which is user "u-calm-1" there/, 'which says whose it is');
is(sql(qq(SELECT string_agg(user_id, ' ') FROM mindtickle.push_link WHERE tenant_id = 'acme' AND scim_id = '$next')), 'u-calm-1', 'and the other one keeps it');
sql(q(DELETE FROM mindtickle.push_link WHERE tenant_id = 'acme' AND user_id = 'u-calm-1'));
sql("SELECT mt_replay_dead_letter('acme', letter_id) $letter");
ok(pushed($node, 'acme'), 'with its link corrected he can be replayed');
is(sql(qq(SELECT user_id FROM mindtickle.push_link WHERE tenant_id = 'acme' AND scim_id = '$next')), 'taker', 'and is linked');

# A chain of names, each of which the next one has: whoever frees one makes the one due who waits for it, however late he would be tried.
my @chain = map { "u-chain-$_" } 1 .. 6;
sql(qq(SELECT mt_provision_user('acme', '{"userId": "$_", "email": "$_\@example.com", "name": "$_"}'))) foreach @chain;
ok(pushed($node, 'acme'), 'a chain of users');
$before = upstream($sandbox, 'acme');
sql(qq(BEGIN; ALTER TABLE mindtickle.push_queue ALTER COLUMN not_before SET DEFAULT now() + interval '1 hour';
	@{[ map { "SELECT mt_provision_user('acme', '{\"userId\": \"$chain[$_]\", \"email\": \"" . ($chain[ $_ + 1 ] // 'u-chain-end') . "\@example.com\"}');" } 0 .. $#chain ]}
	ALTER TABLE mindtickle.push_queue ALTER COLUMN not_before DROP DEFAULT;
	UPDATE mindtickle.push_queue SET tries = 12 WHERE tenant_id = 'acme'; UPDATE mindtickle.push_queue SET not_before = NULL WHERE tenant_id = 'acme' AND user_id = '$chain[-1]'; COMMIT));
ok(pushed($node, 'acme'), 'who take each the name of the next one are pushed');
equals_upstream($node, $sandbox, 'acme', 'and there as they are here');
$after = upstream($sandbox, 'acme');
is(join(' ', grep { id($after, $chain[ $_ + 1 ] // 'u-chain-end') ne id($before, $chain[$_]) } 0 .. $#chain), '', 'each still himself');

# Two who take each other's name cannot be renamed one after the other: the letter says how they are, and so they are.
sql(q(BEGIN; SELECT mt_provision_user('acme', '{"userId": "u-chain-1", "email": "third@example.com"}'), mt_provision_user('acme', '{"userId": "u-chain-2", "email": "u-chain-2@example.com"}'),
	mt_provision_user('acme', '{"userId": "u-chain-1", "email": "u-chain-3@example.com"}'); UPDATE mindtickle.push_queue SET tries = 29 WHERE tenant_id = 'acme'; COMMIT));
$letter = q(FROM mt_dead_letters WHERE tenant_id = 'acme' AND source = 'push' AND resource ~ '^users/u-chain-');
ok(poll($node, "SELECT count(*) = 2 $letter"), 'two who swap their names are dead letters in the end');
is(sql("SELECT count(*) $letter AND reason ~ 'answers 409: .* two take each other.s, give one of them a third name here, replay the other.s letter, and then give the first his own'"), 2, 'that say what to do');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-chain-1", "email": "third@example.com"}')));
ok(pushed($node, 'acme'), 'one gets a third name');
sql("SELECT mt_replay_dead_letter('acme', letter_id) $letter AND resource = 'users/u-chain-2'");
ok(pushed($node, 'acme'), 'the other one his new one');
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-chain-1", "email": "u-chain-3@example.com"}')));
ok(pushed($node, 'acme'), 'and then the first his own');
equals_upstream($node, $sandbox, 'acme', 'both are there as they are here');

# The endpoint says each time that it is too much: pulls pause with it and yet come to their end; later all are pushed.
$sandbox->post('faults', kind => 'wrong429', percent => 100, tenant => 'globex', at => 'scim');
add_pushing($node, $sandbox, 'globex');
sql(q(SELECT mt_provision_user('globex', jsonb_build_object('userId', 'u-' || i, 'email', 'much' || i || '@example.com', 'name', 'Much ' || i)) FROM generate_series(1, 8) AS i));
sql(q(SELECT mt_sync_tenant('globex')));
ok(poll($node, q(SELECT bool_and(state = 'done') FROM mt_sync_jobs WHERE tenant_id = 'globex' AND kind = 'full')), 'a pull ends although every push is refused as one too many');
cmp_ok($sandbox->stats('globex')->{faults}{wrong429}, '>', 1, 'and is tried again');
is(sql(q(SELECT count(*) FROM mindtickle.push_queue WHERE tenant_id = 'globex')), 8, 'all of them wait');
$sandbox->post('faults', kind => 'wrong429', percent => 0, tenant => 'globex');
ok(pushed($node, 'globex'), 'until they are taken');
equals_upstream($node, $sandbox, 'globex', 'each once');

# A push that is due and cannot be sent, as the key is missing, is no reason to try all the time; with the key it is sent.
ok(wait_for_sync($node, 'acme'), 'no pull is due');
my $key = $sandbox->tenant('acme')->{api_key};
sql(q(SELECT mt_set_credential('acme', '{"api_key": null}')));
sql(q(SELECT mt_provision_user('acme', '{"userId": "u-keyless", "email": "keyless@example.com"}')));
sql(q(SELECT mt_provision_user('globex', '{"userId": "u-beside", "email": "beside@example.com"}')));
ok(pushed($node, 'globex'), 'meanwhile another tenant pushes');
sleep 1;
cmp_ok((() = slurp_file($node->logfile) =~ /"acme" failed: no api_key is stored/g), '<', 10, 'what cannot be sent is tried now and then');
sql("SELECT mt_set_credential('acme', '{\"api_key\": \"$key\"}')");
ok(pushed($node, 'acme'), 'and sent when it can be');
equals_upstream($node, $sandbox, 'acme', 'once');

$node->stop('fast');
done_testing();
