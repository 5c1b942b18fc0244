# Pulls of the reference contract that ask for changes alone: those of the interval do, from the latest moment that was seen; they bring what has
# changed and whoever is new; a worker that is killed goes on so; and everything is asked for when somebody wants a pull, once a day, and where the
# far side does not know the question.

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

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 23,
	'--tenant', 'acme,users=150,courses=8,rps=0,rpm=0',
	'--tenant', 'deaf,users=40,courses=8,since=no,rps=0,rpm=0');
my $node = start_node('primary', configuration => "restart_after_crash = on\n");
add_extension($node);
add_tenant($node, $sandbox, 'acme');
add_tenant($node, $sandbox, 'deaf');
ok(wait_for_sync($node, qw(acme deaf)), 'two tenants are pulled');
equals_truth($node, $sandbox, $_) foreach qw(acme deaf);
is($sandbox->stats($_)->{filtered}, 0, "the first pull of $_ asks for everything") foreach qw(acme deaf);

# A pull as the interval brings it.
sub interval_passes
{
	my ($tenant) = @_;
	my $pulls = $node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_jobs WHERE tenant_id = '$tenant'");
	$node->safe_psql('postgres', "UPDATE mindtickle.tenant SET next_sync_at = now() WHERE tenant_id = '$tenant'; SELECT mindtickle.wake_sync()");
	return poll($node, "SELECT count(*) > $pulls FROM mt_sync_jobs WHERE tenant_id = '$tenant'");
}

# How many requests for courses of a user and for results the sandbox has had.
sub asked
{
	my ($tenant) = @_;
	my $routes = $sandbox->stats($tenant)->{routes};
	return ($routes->{user_courses} // 0, $routes->{quiz_results} // 0);
}

sub our_results
{
	return $node->safe_psql('postgres', "SELECT count(*) FROM mindtickle.quiz_submission WHERE tenant_id = 'acme'");
}

# Upstream moves on: people come and go, complete courses, submit quizzes.
$sandbox->post('revision', tenant => 'acme', revision => 3);
my @before = asked('acme');
ok(interval_passes('acme') && wait_for_sync($node, 'acme'), 'the interval brings another pull');
is(truth_differences($node, $sandbox, 'acme', $_, '0,3'), '', "what has changed is here: $_") foreach qw(users courses progress);
is(our_results(), scalar(@{ JSON::PP::decode_json($sandbox->truth('acme', 'quiz_results', '0,3')) }), 'and so are the new results');
my @after = asked('acme');
cmp_ok($after[1] - $before[1], '<', $before[1] / 2, 'for which fewer requests were enough');
my $new = $node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'acme' AND active AND updated_at >=
	(SELECT started_at FROM mindtickle.sync_job WHERE tenant_id = 'acme' ORDER BY job_id DESC LIMIT 1)));
cmp_ok($new, '>', 0, 'some users are new, or were changed');
is($sandbox->stats('acme')->{filtered}, $after[0] - $before[0] - $new + $after[1] - $before[1], 'of all others changes alone were asked for');

# A kill in the middle of it.
$sandbox->post('revision', tenant => 'acme', revision => 5);
my $filtered = $sandbox->stats('acme')->{filtered};
@before = asked('acme');
my $pid = worker_pid($node, 'mindtickle sync');
ok(interval_passes('acme'), 'the next one');
ok(poll($node, "SELECT phase = 'progress' AND done > 20 FROM mt_sync_jobs WHERE tenant_id = 'acme' ORDER BY job_id DESC LIMIT 1"), 'is in the middle');
kill('KILL', $pid);
ok(worker_pid($node, 'mindtickle sync', $pid), 'when the worker is killed');
ok(wait_for_sync($node, 'acme'), 'and goes on');
is(truth_differences($node, $sandbox, 'acme', $_, '0,3,5'), '', "all changes are here: $_") foreach qw(users courses progress);
is(our_results(), scalar(@{ JSON::PP::decode_json($sandbox->truth('acme', 'quiz_results', '0,3,5')) }), 'and the new results');
@after = asked('acme');
$new = $node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id = 'acme' AND active AND updated_at >=
	(SELECT started_at FROM mindtickle.sync_job WHERE tenant_id = 'acme' ORDER BY job_id DESC LIMIT 1)));
cmp_ok($sandbox->stats('acme')->{filtered} - $filtered, '>=', $after[0] - $before[0] - $new, 'changes alone were asked for on both sides of the kill');

# Everything is asked for.
$filtered = $sandbox->stats('acme')->{filtered};
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'a pull that somebody asked for');
equals_truth($node, $sandbox, 'acme', '0,3,5');
$node->safe_psql('postgres', q(UPDATE mindtickle.sync_resource SET listed_at = listed_at - interval '1 day' WHERE tenant_id = 'acme'));
ok(interval_passes('acme') && wait_for_sync($node, 'acme'), 'one of the interval, a day after that');
$node->safe_psql('postgres', q(SELECT mt_configure_tenant('acme', '{"requests_per_second": 40}')));
ok(interval_passes('acme') && wait_for_sync($node, 'acme'), 'and one after a change of settings');
is($sandbox->stats('acme')->{filtered}, $filtered, 'ask for everything');
ok(interval_passes('acme') && wait_for_sync($node, 'acme'), 'the next one');
cmp_ok($sandbox->stats('acme')->{filtered}, '>', $filtered, 'does not');

# Whom the far side refuses as a bad request.
$sandbox->post('revision', tenant => 'deaf', revision => 2);
ok(interval_passes('deaf') && wait_for_sync($node, 'deaf'), 'a far side that does not know the question is asked for everything');
equals_truth($node, $sandbox, 'deaf', '0,2');
is($node->safe_psql('postgres', q(SELECT state FROM mt_sync_jobs WHERE tenant_id = 'deaf' ORDER BY job_id DESC LIMIT 1)), 'done', 'and that is no failure');

is($sandbox->stats($_)->{violations_per_second} + $sandbox->stats($_)->{violations_per_minute}, 0, "no limit of $_ was exceeded") foreach qw(acme deaf);
$node->stop('fast');
is($node->log_contains('PANIC'), '', 'no server process died but the one that was killed');
done_testing();
