# One user pulled while somebody waits: through the worker, with and without a pull of everybody under way, refused where it must be, and answered with
# an error in every way in which it can fail. What a worker does is first done by hand, in a database that has none.

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
	'--seed', 11,
	'--tenant', 'acme,users=30,courses=6,rps=40,rpm=2400',
	'--tenant', 'globex,users=400,courses=6,rps=5,rpm=300',
	'--tenant', 'initech,users=12,courses=6,rps=40,rpm=2400',
	'--tenant', 'hooli,users=12,courses=6,rps=40,rpm=2400,bad=10');
my $node = start_node('primary', configuration => "mindtickle.databases = 'postgres'\nmax_connections = 600\n");
add_extension($node);

# A session that says what its statements return, or the error's code and message.
sub attempt
{
	my ($statement, $database) = @_;
	my ($status, $output, $error) = $node->psql($database // 'postgres', $statement, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $error =~ /ERROR:  (\w{5}: [^\n]*)/ ? $1 : $output;
}

# A database without workers: a session is the worker.
$node->safe_psql('postgres', 'CREATE DATABASE handmade');
add_extension($node, 'handmade');
$node->safe_psql('handmade', q(SELECT mt_create_tenant('acme', 'A'), mt_create_tenant('globex', 'G');
	SELECT mt_set_credential('acme', '{"api_key": "k"}'), mt_set_credential('globex', '{"api_key": "k"}')));
is(attempt(q(SELECT mt_sync_course_progress('acme', 'u1', '20 s')), 'handmade'),
	'55000: the sync worker of this database is not running', 'without a worker that is the error');

my $worker = $node->background_psql('handmade', on_error_stop => 0);
is($worker->query_safe(q(SELECT mindtickle.worker_attach('sync'))), 't', 'a session can be the worker');
is(attempt(q(SELECT mt_sync_course_progress('acme', 'u1', '300 ms')), 'handmade'),
	'HV00M: the sync worker has not answered in time', 'one that does nothing makes it late');
is($worker->query_safe('SELECT count(*) FROM mindtickle.take_requests()'), 0, 'a request that nobody waits for any more is gone');

my $gateway = $node->background_psql('handmade', on_error_stop => 0);
$gateway->query_safe(q(SET mindtickle.tenant = 'acme'));
my $ticket = $gateway->query_safe(q(SELECT mindtickle.request_pull('acme', 'u1')));
my $state = qq(SELECT concat_ws('|', state, user_id, sqlstate, message, detail, hint) FROM mindtickle.pull_result($ticket));
is($gateway->query_safe($state), 'waiting', 'a request waits');
is($worker->query_safe(qq(SELECT ticket = $ticket, tenant_id, kind, subject FROM mindtickle.take_requests())), 't|acme|pull|u1', 'until the worker takes it');
is($worker->query_safe('SELECT count(*) FROM mindtickle.take_requests()'), 0, 'once');
is($gateway->query_safe($state), 'running', 'then it runs');
is($worker->query_safe(qq(SELECT mindtickle.request_step($ticket, 'on its way'))), 't', 'the worker says how');
is($gateway->query_safe($state), 'running|on its way', 'which is told');
$worker->query_safe(qq(BEGIN; SELECT mindtickle.finish_request($ticket, 'ours', NULL, NULL, NULL)));
is($gateway->query_safe($state), 'running|on its way', 'before the commit it is not done');
$worker->query_safe('ROLLBACK');
is($gateway->query_safe($state), 'running|on its way', 'and after a rollback neither');
$worker->query_safe(qq(BEGIN; SAVEPOINT s; SELECT mindtickle.finish_request($ticket, 'rolled back', NULL, NULL, NULL); ROLLBACK TO s; COMMIT));
is($gateway->query_safe($state), 'running|on its way', 'nor after one of a subtransaction');
$worker->query_safe(qq(SELECT mindtickle.finish_request($ticket, 'ours', NULL, NULL, NULL)));
is($gateway->query_safe($state), 'done|ours', 'with the commit it is');
is($gateway->query_safe($state), 'done|ours', 'and stays so for a while');
is( $node->safe_psql('handmade', qq(SET mindtickle.tenant = 'globex'; SELECT state FROM mindtickle.pull_result($ticket))),
	'unknown', 'to another tenant it is unknown');
$ticket = $gateway->query_safe(q(SELECT mindtickle.request_pull('acme', 'u2')));
$state =~ s/pull_result\(\d+\)/pull_result($ticket)/;
$worker->query_safe('SELECT count(*) FROM mindtickle.take_requests()');
$worker->query_safe(qq(SELECT mindtickle.finish_request($ticket, NULL, 'P0002', 'there is no such user', 'look again')));
is($gateway->query_safe($state), 'failed|P0002|there is no such user|look again', 'an error is told as one');

# What the worker had taken when it ends is taken by the next one.
$ticket = $gateway->query_safe(q(SELECT mindtickle.request_pull('acme', 'u3')));
$state =~ s/pull_result\(\d+\)/pull_result($ticket)/;
$worker->query_safe('SELECT count(*) FROM mindtickle.take_requests()');
my $pid = $worker->query_safe('SELECT pg_backend_pid()');
$worker->quit;
# psql has ended before its backend has.
ok(poll($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'a worker ends');
is($gateway->query_safe($state), 'waiting', 'when the worker ends, what it had taken waits');
$worker = $node->background_psql('handmade', on_error_stop => 0);
$worker->query_safe(q(SELECT mindtickle.worker_attach('sync')));
is($worker->query_safe(qq(SELECT ticket = $ticket FROM mindtickle.take_requests())), 't', 'for the next one');

# There is room for so many, and a share of it for each tenant.
is(attempt(q(SELECT count(mindtickle.request_pull('globex', 'u')) FROM generate_series(1, 65)), 'handmade'),
	'53400: tenant "globex" has 64 requests under way already', 'a tenant has its share');
is($gateway->query_safe(q(SELECT count(mindtickle.request_pull('acme', 'u')) FROM generate_series(1, 60))), 60, 'of which others have theirs');
$node->safe_psql('handmade', join('; ', map { "SELECT mt_create_tenant('t$_', 'T'); SELECT mt_set_credential('t$_', '{\"api_key\": \"k\"}')" } 1 .. 3));
$node->psql('handmade', "SELECT count(mindtickle.request_pull('t$_', 'u')) FROM generate_series(1, 64)") foreach 1 .. 2;
is(attempt(q(SELECT count(mindtickle.request_pull('t3', 'u')) FROM generate_series(1, 64)), 'handmade'),
	'53400: 256 requests are under way already', 'all together have no more than there are');
is($worker->query_safe('SELECT count(*) > 250 FROM mindtickle.take_requests()'), 't', 'the worker takes them all at once');
$worker->quit;
$gateway->quit;
$node->restart;

# With the worker. First without a pull of everybody: the user is asked for by the id that MindTickle knows.
add_tenant($node, $sandbox, 'acme', requests_per_second => 40, requests_per_minute => 2400);
ok(wait_for_sync($node, 'acme'), 'acme is pulled');
my $user = $node->safe_psql('postgres', q(SELECT user_id FROM mindtickle.course_progress WHERE tenant_id = 'acme' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1));
my $rows = "SELECT string_agg(concat_ws(',', course_id, status, score), ' ' ORDER BY course_id)";
my $truth = $node->safe_psql('postgres', "$rows FROM mindtickle.course_progress WHERE tenant_id = 'acme' AND user_id = '$user'");
$node->safe_psql('postgres', "DELETE FROM mindtickle.course_progress WHERE tenant_id = 'acme' AND user_id = '$user'");
my $jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM mt_sync_jobs');
is($node->safe_psql('postgres', "$rows FROM mt_sync_course_progress('acme', '$user')"), $truth, 'a user is pulled and his rows returned');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mt_sync_jobs'), $jobs, 'without a pull of everybody');
ok(poll($node, "SELECT count(*) > 0 FROM mt_events WHERE tenant_id = 'acme' AND topic = 'progress.synced' AND payload ->> 'userId' = '$user'"), 'event progress.synced');
my $events = "SELECT count(*) FROM (SELECT FROM mt_events WHERE topic = 'progress.synced' UNION ALL SELECT FROM mindtickle.outbox WHERE topic = 'progress.synced') AS e";
my $before = $node->safe_psql('postgres', $events);
$node->safe_psql('postgres', "SELECT count(*) FROM mt_sync_course_progress('acme', '$user')");
is($node->safe_psql('postgres', $events), $before + 1, 'one, too, where nothing has changed');
is(attempt(q(SELECT mt_sync_course_progress('acme', 'nobody'))), 'P0002: MindTickle does not know this user', 'nobody is found by an unknown id');

# Whom the key may not see is one user, whoever asks for him: nothing rests, and a pull goes on without him, be he its first.
my $first = $node->safe_psql('postgres', q(SELECT mindtickle_id FROM mindtickle.users WHERE tenant_id = 'acme' AND active AND mindtickle_id IS NOT NULL
	ORDER BY user_id LIMIT 1));
my $other = $node->safe_psql('postgres', qq(SELECT user_id FROM mindtickle.course_progress WHERE tenant_id = 'acme' GROUP BY 1
	HAVING user_id NOT IN (SELECT user_id FROM mt_users WHERE tenant_id = 'acme' AND mindtickle_id = '$first') LIMIT 1));
foreach my $denied ('somebody elsewhere', $first)
{
	$sandbox->post('deny', tenant => 'acme', user => $denied);
	like(attempt("SELECT count(*) FROM mt_sync_course_progress('acme', " . ($denied eq $first ? "(SELECT user_id FROM mt_users WHERE tenant_id = 'acme' AND mindtickle_id = '$first')" : "'$denied'") . ')'),
		qr/^HV000: .*denies the api_key access to the progress \(403\)/, 'whom the key may not see is told');
	is($node->safe_psql('postgres', q(SELECT backoff_until IS NULL OR backoff_until < now() FROM mindtickle.tenant WHERE tenant_id = 'acme')), 't', 'the tenant does not rest because of him');
	is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('acme', '$other', '30 s')"), 't', 'others are pulled');
}
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'a pull goes on without him');
is($node->safe_psql('postgres', q(SELECT error FROM mindtickle.sync_resource WHERE tenant_id = 'acme' AND resource = 'progress')), 'items that could not be read (progress): 1', 'and counts him');
$sandbox->post('deny', tenant => 'acme');
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'when he is shown');
is($node->safe_psql('postgres', q(SELECT error IS NULL FROM mindtickle.sync_resource WHERE tenant_id = 'acme' AND resource = 'progress')), 't', 'he is pulled');
is( $node->safe_psql('postgres', qq(SELECT mt_provision_user('acme', '{"userId": "new", "email": "new\@example.com"}'))), 'new', 'a user of ours');
is(attempt(q(SELECT mt_sync_course_progress('acme', 'new'))), '55000: the user is not known to MindTickle yet', 'whom MindTickle does not know');

# A function that reads first is fine, one that has written is not.
like(attempt(qq(BEGIN; SELECT count(*) FROM mt_users; SELECT count(*) > 0 FROM mt_sync_course_progress('acme', '$user'); COMMIT)), qr/t/, 'in a transaction that has read');
is(attempt(qq(BEGIN; CREATE TABLE x (); SELECT mt_sync_course_progress('acme', '$user'))), '25001: mt_sync_course_progress cannot run in a transaction that has written', 'not in one that has written');

# A third one between the two: the worker gives up, and who waits is told.
my $waiting = $node->background_psql('postgres', on_error_stop => 0);
$waiting->query_safe(q(BEGIN; SELECT count(*) FROM mindtickle.course_progress));
my $third = $node->background_psql('postgres', on_error_stop => 0);
$third->query_until(qr/begun/, qq(\\echo begun\nBEGIN; LOCK TABLE mindtickle.course_progress IN ACCESS EXCLUSIVE MODE;\n));
ok(poll($node, q(SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'mindtickle.course_progress'::regclass)), 'a lock is waited for');
$waiting->query("\\set VERBOSITY verbose\nSELECT mt_sync_course_progress('acme', '$user', '20 s')");
like($waiting->{stderr}, qr/55P03: what was pulled could not be stored: canceling statement due to lock timeout/,
	'a lock that the worker cannot get is no wait for ever');
like($waiting->{stderr}, qr/HINT:  Another transaction holds a lock/, 'and it says what to look for');
$waiting->{stderr} = '';
$waiting->query_safe('ROLLBACK');
$waiting->quit;
$third->query_safe("ROLLBACK");
$third->quit;
ok(poll($node, "SELECT backoff_until IS NULL OR backoff_until < now() FROM mindtickle.tenant WHERE tenant_id = 'acme'"), 'the tenant goes on');
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('acme', '$user')"), 't', 'with what somebody waits for');

# Cancel and time-out.
$sandbox->post('faults', kind => 'slow', percent => 100, tenant => 'acme', slow_ms => 1500);
like(attempt("SET statement_timeout = '300 ms'; SELECT mt_sync_course_progress('acme', '$user')"), qr/^57014: canceling statement/, 'who waits can be cancelled');
is(attempt("SELECT mt_sync_course_progress('acme', '$user', '300 ms')"), 'HV00M: the sync worker has not answered in time', 'or has no time');
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('acme', '$user', '30 s')"), 't', 'a slow answer is an answer');
$sandbox->post('faults', kind => 'slow', percent => 0, tenant => 'acme', slow_ms => 1500);

# Upstream trouble ends as an error, not as silence.
$sandbox->post('faults', kind => 'error500', percent => 100, tenant => 'acme');
like(attempt("SELECT mt_sync_course_progress('acme', '$user', '20 s')"), qr/^HV000: MindTickle gives no usable answer: status 50/, 'a server error');
$sandbox->post('faults', kind => 'error500', percent => 0, tenant => 'acme');
$node->safe_psql('postgres', q(SELECT mt_set_credential('acme', '{"api_key": "wrong"}')));
like(attempt("SELECT mt_sync_course_progress('acme', '$user', '20 s')"), qr/^HV000: .*MindTickle refuses the api_key \(401\): store/, 'a key that is refused');
like(attempt("SELECT mt_sync_course_progress('acme', '$user', '20 s')"), qr/^HV000: nothing is pulled for tenant "acme" until .*: MindTickle refuses the api_key/, 'and while it rests the same, at once');
my $key = $sandbox->key('acme');
$node->safe_psql('postgres', qq(SELECT mt_set_credential('acme', '{"api_key": "$key"}')));
ok(poll($node, "SELECT backoff_until IS NULL FROM mindtickle.tenant WHERE tenant_id = 'acme'"), 'another key ends the rest');
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('acme', '$user', '30 s')"), 't', 'with it users are pulled again');
$node->safe_psql('postgres', q(SELECT mt_suspend_tenant('acme')));
is(attempt("SELECT mt_sync_course_progress('acme', '$user')"), '55000: tenant "acme" is suspended', 'not for a suspended tenant');
$node->safe_psql('postgres', q(SELECT mt_resume_tenant('acme')));

# Before the bulk: a pull of 400 users at 5 a second takes minutes, an urgent one does not wait for it.
add_tenant($node, $sandbox, 'globex', requests_per_second => 5, requests_per_minute => 300);
ok(poll($node, q(SELECT count(*) > 0 FROM mt_sync_jobs WHERE tenant_id = 'globex' AND phase = 'progress' AND done > 5)), 'a long pull is under way');
my $last = $node->safe_psql('postgres', q(SELECT user_id FROM mindtickle.users WHERE tenant_id = 'globex' AND active ORDER BY user_id DESC LIMIT 1));
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('globex', '$last', '20 s')"), 't', 'a user at its end is pulled first');
is($node->safe_psql('postgres', q(SELECT state FROM mt_sync_jobs WHERE tenant_id = 'globex')), 'running', 'before the bulk is done');
my $job = $node->safe_psql('postgres', q(SELECT mt_cancel_job('globex', job_id) FROM mt_sync_jobs WHERE tenant_id = 'globex' AND state = 'running'));
is($job, 't', 'the pull is cancelled');
ok(poll($node, q(SELECT state = 'idle' FROM pg_stat_activity WHERE backend_type = 'mindtickle sync')), 'and the worker has nothing left to do');
my $requests = $sandbox->stats('globex')->{requests};
usleep(1_500_000);
is($sandbox->stats('globex')->{requests}, $requests, 'nothing more is sent for it');

# Whose time is up while nothing may be sent for the tenant, because its budget is locked, costs it nothing: only who asks afterwards is asked for.
my $holding = $node->background_psql('postgres');
$holding->query_safe(q(BEGIN; SELECT FROM mindtickle.sync_budget WHERE tenant_id = 'globex' FOR UPDATE));
ok(poll($node, q(SELECT budget_until < now() FROM mindtickle.sync_budget WHERE tenant_id = 'globex')), 'what was reserved of a budget is over');
my $impatient = PostgreSQL::Test::Utils::tempdir() . '/impatient.sql';
append_to_file($impatient, <<'END');
SELECT count(*) FROM (SELECT user_id FROM mindtickle.users WHERE tenant_id = 'globex' AND active AND mindtickle_id IS NOT NULL
	ORDER BY user_id OFFSET :client_id LIMIT 1) AS u, LATERAL mt_sync_course_progress('globex', u.user_id, '2 s') AS p;
END
my ($ignored, $late);
IPC::Run::run([ 'pgbench', '-n', '-c', '20', '-t', '1', '-f', $impatient, $node->connstr('postgres') ], '>', \$ignored, '2>', \$late);
is(scalar(() = $late =~ /ERROR:  the sync worker has not answered in time/g), 20, 'callers who wait for the budget in vain');
$requests = $sandbox->stats('globex')->{requests};
$holding->query_safe('ROLLBACK');
$holding->quit;
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('globex', '$last', '30 s')"), 't', 'one who comes afterwards is served');
ok(poll($node, q(SELECT state = 'idle' FROM pg_stat_activity WHERE backend_type = 'mindtickle sync')), 'and the worker has nothing left to do');
is($sandbox->stats('globex')->{requests}, $requests + 1, 'for those who have gone nothing is sent');

# So it is for those who were cancelled and whose sessions live on, long before their time would be up; and there is room for others at once.
$holding = $node->background_psql('postgres');
$holding->query_safe(q(BEGIN; SELECT FROM mindtickle.sync_budget WHERE tenant_id = 'globex' FOR UPDATE));
ok(poll($node, q(SELECT budget_until < now() FROM mindtickle.sync_budget WHERE tenant_id = 'globex')), 'what was reserved of a budget is over');
my $cancelled = PostgreSQL::Test::Utils::tempdir() . '/cancelled.sql';
append_to_file($cancelled, <<'END');
SET statement_timeout = '2 s';
DO $$
DECLARE
	users text[] := ARRAY(SELECT user_id FROM mindtickle.users WHERE tenant_id = 'globex' AND active AND mindtickle_id IS NOT NULL ORDER BY user_id LIMIT 64);
BEGIN
	PERFORM count(*) FROM mt_sync_course_progress('globex', users[1 + pg_backend_pid() % 64], '1 hour');
END $$;
END
IPC::Run::run([ 'pgbench', '-n', '-c', '64', '-t', '1', '-f', $cancelled, $node->connstr('postgres') ], '>', \$ignored, '2>', \$late);
is(scalar(() = $late =~ /canceling statement due to statement timeout/g), 64, 'callers who have an hour, but are cancelled, as many as a tenant may have');
$requests = $sandbox->stats('globex')->{requests};
$holding->query_safe('ROLLBACK');
$holding->quit;
is(attempt("SELECT count(*) > 0 FROM mt_sync_course_progress('globex', '$last', '30 s')"), 't', 'there is room for one who comes afterwards');
ok(poll($node, q(SELECT state = 'idle' FROM pg_stat_activity WHERE backend_type = 'mindtickle sync')), 'and the worker has nothing left to do');
is($sandbox->stats('globex')->{requests}, $requests + 1, 'for those who were cancelled nothing is sent');

# Who drops a tenant holds its rows until the end of his transaction: the budgets of the others are reserved all the same.
my $dropping = $node->background_psql('postgres');
$dropping->query_safe(q(BEGIN; SELECT FROM mindtickle.sync_budget WHERE tenant_id = 'acme' FOR UPDATE));
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('acme')));
ok(poll($node, q(SELECT state = 'running' FROM mt_sync_jobs WHERE tenant_id = 'acme' ORDER BY job_id DESC LIMIT 1)), 'a tenant whose budget is locked');
add_tenant($node, $sandbox, 'initech', requests_per_second => 40, requests_per_minute => 2400);
ok(wait_for_sync($node, 'initech'), 'is not waited for by another');
is($node->safe_psql('postgres', q(SELECT state FROM mt_sync_jobs WHERE tenant_id = 'acme' ORDER BY job_id DESC LIMIT 1)), 'running', 'and waits itself');
$dropping->query_safe('ROLLBACK');
$dropping->quit;
ok(wait_for_sync($node, 'acme'), 'until it is unlocked');

# A record with a fault is kept as a dead letter, without a pull of everybody as well; the good ones beside it are stored and returned.
add_tenant($node, $sandbox, 'hooli', requests_per_second => 40, requests_per_minute => 2400);
ok(wait_for_sync($node, 'hooli'), 'a tenant with faulty records is pulled');
$user = $node->safe_psql('postgres', q(SELECT u.user_id FROM mindtickle.users AS u WHERE u.tenant_id = 'hooli' AND u.active
	AND (SELECT count(*) FROM mindtickle.dead_letter AS d WHERE d.tenant_id = 'hooli' AND d.resource = 'progress/' || u.user_id) = 1
	AND (SELECT count(*) FROM mindtickle.course_progress AS p WHERE p.tenant_id = 'hooli' AND p.user_id = u.user_id) > 1 ORDER BY 1 LIMIT 1));
my $letters = "SELECT source, resource, reason, raw FROM mindtickle.dead_letter WHERE tenant_id = 'hooli' AND resource = 'progress/$user'";
my $letter = $node->safe_psql('postgres', $letters);
$truth = $node->safe_psql('postgres', "$rows FROM mindtickle.course_progress WHERE tenant_id = 'hooli' AND user_id = '$user'");
$node->safe_psql('postgres', "DELETE FROM mindtickle.dead_letter WHERE tenant_id = 'hooli'; DELETE FROM mindtickle.course_progress WHERE tenant_id = 'hooli' AND user_id = '$user'");
is(attempt("$rows FROM mt_sync_course_progress('hooli', '$user', '30 s')"), $truth, 'beside a faulty record the good ones are pulled');
is($node->safe_psql('postgres', $letters), $letter, 'and it is a dead letter');
is($node->safe_psql('postgres', q(SELECT backoff_until IS NULL OR backoff_until < now() FROM mindtickle.tenant WHERE tenant_id = 'hooli')), 't', 'the tenant does not rest because of it');

# 500 callers at once: each is served or refused, and all are told.
my $script = PostgreSQL::Test::Utils::tempdir() . '/call.sql';
append_to_file($script, <<'END');
SELECT count(*) FROM (SELECT (ARRAY['acme', 'initech'])[1 + :client_id % 2] AS tenant) AS t, LATERAL (
	SELECT user_id FROM mindtickle.users AS u WHERE u.tenant_id = t.tenant AND u.active AND u.mindtickle_id IS NOT NULL
	ORDER BY user_id OFFSET :client_id % 9 LIMIT 1) AS u, LATERAL mt_sync_course_progress(t.tenant, u.user_id, '120 s') AS p;
END
my ($report, $errors);
IPC::Run::run([ 'pgbench', '-n', '-c', '500', '-j', '2', '-t', '1', '-f', $script, $node->connstr('postgres') ], '>', \$report, '2>', \$errors);
my ($served) = $report =~ /actually processed: (\d+)/;
my $refused = () = $errors =~ /ERROR:  (?:tenant "\w+" has 64 requests|256 requests are) under way already/g;
is($served + $refused, 500, 'of 500 callers at once each is served or told that there are too many') or diag("$served, $refused", substr($errors, 0, 2000));
cmp_ok($served, '>=', 64, 'and many are served');
foreach my $tenant (qw(acme globex initech hooli))
{
	my $stats = $sandbox->stats($tenant);
	is($stats->{violations_per_second} + $stats->{violations_per_minute}, 0, "the budget of $tenant was kept");
}

# On a standby nothing is pulled.
$node->safe_psql('postgres', q(SELECT count(*) FROM mt_stat_tenant));
$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
