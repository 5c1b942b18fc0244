# What the settings promise: a key is read from a file that nobody else can read, sync_enabled and a suspension stop all calls upstream, and
# notify = off leaves the events without NOTIFY.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $secrets = PostgreSQL::Test::Utils::tempdir();
my $sandbox = MindTickle::Sandbox->start('--tenant', 'acme,users=8,courses=3,rps=50,rpm=3000');
my $node = start_node('primary', configuration => "mindtickle.secret_directory = '$secrets'\nmindtickle.sync_enabled = off\n"
	  . "shared_preload_libraries = 'mindtickle, pg_stat_statements'\njit = on\njit_above_cost = 0\n");

sub set_and_reload
{
	my ($line) = @_;
	$node->append_conf('postgresql.conf', $line);
	$node->reload;
}

sub sync_state_is
{
	my ($text, $what) = @_;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle sync' AND query = '$text'"), $what);
}

add_extension($node);
my $url = $sandbox->url;
$node->safe_psql('postgres', qq(SELECT mt_create_tenant('acme', 'Acme'); SELECT mt_configure_tenant('acme', '{"base_urls": ["$url"],
	"allow_http": true, "requests_per_second": 50, "requests_per_minute": 3000}')));
mkdir "$secrets/acme" or die;
append_to_file("$secrets/acme/key", $sandbox->key('acme') . "\n");
chmod 0644, "$secrets/acme/key";
$node->safe_psql('postgres', q(SELECT mt_set_credential('acme', '{"api_key": {"file": "key"}}')));

# Off: a pull is asked for and stays where it is.
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('acme')));
sync_state_is('waiting: mindtickle.sync_enabled is off', 'the worker says that it is switched off');
is($sandbox->stats('acme')->{requests}, 0, 'nothing goes upstream while sync_enabled is off');

# On, with a file that others can read: refused in words, without the secret.
set_and_reload('mindtickle.sync_enabled = on');
ok($node->poll_query_until('postgres', q(SELECT last_error IS NOT NULL FROM mindtickle.tenant)), 'a file that others can read is refused');
my $error = $node->safe_psql('postgres', 'SELECT last_error FROM mindtickle.tenant');
like($error, qr/could not read a credential of tenant "acme" from file "key"/, 'in words');
is($sandbox->stats('acme')->{requests}, 0, 'and nothing was sent');

chmod 0600, "$secrets/acme/key";
$node->safe_psql('postgres', q(SELECT mt_set_credential('acme', '{"api_key": {"file": "key"}}'); SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'with the right mode the key in the file serves');
equals_truth($node, $sandbox, 'acme');
is($sandbox->stats('acme')->{violations_per_second}, 0, 'within the limits');

# Where every statement is worth compiling, those of the workers are not: they are short, and the planner often knows nothing of a tenant's tables yet.
SKIP:
{
	skip('the server compiles nothing', 2) unless $node->safe_psql('postgres', 'SELECT pg_jit_available()') eq 't';
	my $statements = $node->safe_psql('postgres', q(CREATE EXTENSION pg_stat_statements; SELECT count(*), sum(s.jit_functions)
		FROM pg_stat_statements AS s JOIN pg_roles AS r ON r.oid = s.userid WHERE r.rolname = 'mindtickle_service'));
	cmp_ok($statements =~ s/\|.*//r, '>', 10, 'the workers have run statements');
	is($statements =~ s/.*\|//r, 0, 'and compiled none');
}

# Suspended: nobody can ask, and the interval does not bring a pull either.
my $requests = $sandbox->stats('acme')->{requests};
$node->safe_psql('postgres', q(SELECT mt_suspend_tenant('acme'); UPDATE mindtickle.tenant SET next_sync_at = now() - interval '1 hour'));
my ($status, undef, $refusal) = $node->psql('postgres', q(SELECT mt_sync_tenant('acme')));
like($refusal, qr/ERROR:  tenant "acme" is suspended/, 'a pull of a suspended tenant is refused');
$node->safe_psql('postgres', 'SELECT mindtickle.wake_sync()');
sync_state_is('waiting: no pull is due', 'the worker finds nothing due');
is($sandbox->stats('acme')->{requests}, $requests, 'and sends nothing');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM mt_users'), 't', 'the data stays');
$node->safe_psql('postgres', q(SELECT mt_resume_tenant('acme')));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 2 FROM mt_sync_jobs WHERE state = 'done')), 'resumed, the pull that was due comes');

# Without NOTIFY the events are there all the same.
my $listener = $node->background_psql('postgres', on_error_stop => 1);
$listener->query_safe('LISTEN "tenant.acme.readiness.aggregated"');
set_and_reload('mindtickle.notify = off');
ok($node->poll_query_until('postgres', q(SELECT current_setting('mindtickle.notify') = 'off')), 'notify is off');
$node->safe_psql('postgres', q(SELECT tenant_id FROM mt_aggregate_readiness('acme')));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM mt_events WHERE topic = 'readiness.aggregated')), 'the event is published');
unlike($listener->query_safe('SELECT 1'), qr/Asynchronous notification/, 'and not announced');
set_and_reload('mindtickle.notify = on');
ok($node->poll_query_until('postgres', q(SELECT current_setting('mindtickle.notify') = 'on')), 'notify is on');
my $answer = $listener->query_safe(q(SELECT tenant_id FROM mt_aggregate_readiness('acme')));
like(wait_for_notification($listener, $answer), qr/Asynchronous notification "tenant\.acme\.readiness\.aggregated"/, 'and the next one is announced');
$listener->quit;

# The key was in no statement, and so must be in no log line, at whatever level the tests log.
my $key = $sandbox->key('acme');
ok(!$node->log_contains(quotemeta $key), 'the key is in no log line');
$node->stop('fast');
done_testing();
