# The aggregator: it comes with the extension and comes back when it is killed, runs no query while nothing has changed, folds what has, closes
# days and renews reports when it is told, holds up no tenant because of another one's failure, is out of the way of DROP DATABASE, and shows in
# mt_stat_worker. What folding does to the figures is tested elsewhere: here the functions that it calls only note that they were called.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_node('primary', configuration => "log_statement = none\n");
add_extension($node);
my $aggregator = worker_pid($node, 'mindtickle aggregator');
ok($aggregator, 'the extension brings an aggregator');

sub sql
{
	my ($query, @options) = @_;
	return $node->safe_psql('postgres', $query, @options);
}

# One who reads what nobody has folded counts the rows, and is not among those who are looked at here.
sql(q(SELECT mt_create_tenant('acme', 'acme')));
sql(q(INSERT INTO mindtickle.users (tenant_id, user_id) VALUES ('acme', 'first')));
ok(poll($node, q(SELECT count(*) > 0 FROM (TABLE mindtickle.readiness_summary_0 UNION ALL TABLE mindtickle.readiness_summary_1) AS s WHERE s.tenant_id = 'acme')), 'a tenant is folded');

# A call notes its transaction's settings, and fails for the tenant "broken". mark_tenant stands for a trigger that changes readiness.
sql(<<'END');
CREATE TABLE mindtickle.called (number bigserial, at timestamptz DEFAULT clock_timestamp(), tenant text, what text, isolation text, durable text);
CREATE TABLE mindtickle.plan (tenant text, what text, PRIMARY KEY (tenant, what));
GRANT SELECT, INSERT, DELETE ON mindtickle.called, mindtickle.plan TO mindtickle_service;
GRANT USAGE ON SEQUENCE mindtickle.called_number_seq TO mindtickle_service;
CREATE FUNCTION mindtickle.note(tenant text, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF tenant = 'broken' THEN
		RAISE EXCEPTION 'this tenant cannot be folded';
	END IF;
	INSERT INTO mindtickle.called (tenant, what, isolation, durable)
		VALUES (tenant, what, current_setting('transaction_isolation'), current_setting('synchronous_commit'));
END $$;
CREATE OR REPLACE FUNCTION mindtickle.tenants_to_fold() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT p.tenant FROM mindtickle.plan AS p WHERE p.what = 'unfolded' $$;
CREATE OR REPLACE FUNCTION mindtickle.fold_readiness(tenant text, details boolean) RETURNS int8 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mindtickle.note(tenant, CASE WHEN details THEN 'details' ELSE 'totals' END);
	PERFORM pg_sleep(0.3) FROM mindtickle.plan AS p WHERE p.tenant = fold_readiness.tenant AND p.what = 'slow';
	RETURN 7;
END $$;
CREATE OR REPLACE FUNCTION mindtickle.tend_readiness() RETURNS text LANGUAGE sql AS $$
	DELETE FROM mindtickle.plan AS p WHERE p.what = 'details wanted' RETURNING 'details:' || p.tenant $$;
CREATE OR REPLACE FUNCTION mindtickle.readiness_days_due(at timestamptz) RETURNS TABLE (tenant_id text, next_at timestamptz) LANGUAGE sql AS $$
	SELECT p.tenant, CASE p.what WHEN 'day over' THEN at ELSE at + interval '1 day' END FROM mindtickle.plan AS p WHERE p.what IN ('day over', 'day') $$;
CREATE OR REPLACE FUNCTION mindtickle.close_readiness_day(tenant text, at timestamptz) RETURNS int4 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mindtickle.note(tenant, 'day');
	DELETE FROM mindtickle.plan AS p WHERE p.tenant = close_readiness_day.tenant AND p.what = 'day over';
	RETURN 1;
END $$;
CREATE OR REPLACE FUNCTION mindtickle.readiness_reruns_due() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT p.tenant FROM mindtickle.plan AS p WHERE p.what = 'rerun' $$;
CREATE OR REPLACE FUNCTION mindtickle.rerun_readiness(tenant text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM mindtickle.note(tenant, 'rerun');
	DELETE FROM mindtickle.plan AS p WHERE p.tenant = rerun_readiness.tenant AND p.what = 'rerun';
	RETURN true;
END $$;
END
sql(q(SELECT mt_create_tenant(t, t) FROM unnest('{globex,broken}'::text[]) AS t));

# How often something was done for a tenant.
sub calls
{
	my ($tenant, $what) = @_;
	return sql("SELECT count(*) FROM mindtickle.called WHERE tenant = '$tenant' AND what = '$what'");
}

sub is_called
{
	my ($tenant, $what, $description) = @_;
	ok(poll($node, "SELECT count(*) > 0 FROM mindtickle.called WHERE tenant = '$tenant' AND what = '$what'"), $description);
}

sub forget_calls
{
	sql('TRUNCATE mindtickle.called');
}

sub aggregator
{
	my ($columns) = @_;
	return sql("SELECT $columns FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator'");
}

# It comes back, and looks through all tenants.
sql(q(INSERT INTO mindtickle.plan VALUES ('globex', 'unfolded')));
my $started = time();
sql("SELECT pg_terminate_backend($aggregator)");
$aggregator = worker_pid($node, 'mindtickle aggregator', $aggregator);
cmp_ok(time() - $started, '<', 5, 'an aggregator that is ended is back within 5 seconds');
is_called('globex', 'totals', 'and folds what it finds unfolded');
is_called('globex', 'details', 'the summaries too');
is(aggregator('pid, starts'), "$aggregator|2", 'mt_stat_worker knows it, and that it is the second');
sql(q(DELETE FROM mindtickle.plan));

# Idle: its upkeep has been looked for once more after 10 seconds, and then it says nothing and asks nothing.
my $activity = "SELECT state, state_change, backend_xid IS NULL FROM pg_stat_activity WHERE pid = $aggregator";
ok( poll($node, "SELECT state = 'idle' AND state_change < clock_timestamp() - interval '11 seconds' FROM pg_stat_activity WHERE pid = $aggregator"),
	'it falls idle');
my ($before, $rounds) = (sql($activity), aggregator('rounds'));
sleep 4;
is(sql($activity), $before, 'an idle aggregator runs no query');
is(aggregator('state, rounds'), "idle|$rounds", 'and mt_stat_worker says that it is idle');

# Told by a commit, of a subtransaction too, and not by what is rolled back.
forget_calls();
sql(q(BEGIN; SELECT mindtickle.mark_readiness('globex'); ROLLBACK;
	BEGIN; SAVEPOINT a; SELECT mindtickle.mark_readiness('acme'); RELEASE a; COMMIT));
is_called('acme', 'totals', 'a commit that marks a tenant has its totals folded');
is_called('acme', 'details', 'its summaries are folded when it is quiet');
is( sql(q(SELECT d.at - t.at BETWEEN interval '1.9 seconds' AND interval '5 seconds' FROM mindtickle.called AS d, mindtickle.called AS t
		WHERE d.what = 'details' AND t.what = 'totals')), 't', 'some 2 seconds later');
is(calls('globex', 'totals'), 0, 'a mark that was rolled back is none');
is(sql(q(SELECT DISTINCT isolation, durable FROM mindtickle.called)), 'read committed|off', 'as of now, and without a wait for the disk');

# Marks a tenant without a pause, a statement after each commit; returns for how many seconds it was folded.
sub write_constantly
{
	my ($statement) = @_;
	forget_calls();
	return sql(<<"END");
DO \$\$
DECLARE
	till timestamptz := clock_timestamp() + interval '3 seconds';
BEGIN
	WHILE clock_timestamp() < till LOOP
		PERFORM mindtickle.mark_readiness('acme');
		COMMIT;
		$statement
	END LOOP;
END \$\$;
SELECT extract(epoch FROM max(at) - min(at)) FROM mindtickle.called WHERE what = 'totals';
END
}

# Written to without a pause, a tenant is folded 10 times a second, and nobody waits for it.
my $seconds = write_constantly('');
my $unread = calls('acme', 'totals');
cmp_ok($unread, '<=', 10 * $seconds + 2, 'a tenant under constant writes is folded at most every 100 ms');
cmp_ok($unread, '>=', 5, 'and again and again');
is(calls('acme', 'details'), 0, 'its summaries wait');
is_called('acme', 'details', 'until it is quiet');

# A reader who adds up little himself changes nothing; one who adds up much has it folded more often, as long as there are such.
forget_calls();
sql(q(INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('acme', 'read-1', true)));
is_called('acme', 'details', 'an addition is to be folded');
$seconds = write_constantly(q(PERFORM mt_readiness('acme');));
cmp_ok(calls('acme', 'totals'), '<=', 10 * $seconds + 2, 'a reader who finds little to add up is no reason to fold more often');
is_called('acme', 'details', 'when it is quiet again');
forget_calls();
sql(q(INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT 'acme', 'read-' || n, true FROM generate_series(2, 30) AS n));
is_called('acme', 'details', 'many additions are to be folded');
$seconds = write_constantly(q(PERFORM mt_readiness('acme');));
cmp_ok(calls('acme', 'totals'), '>', 2 * $unread, 'one who finds much has it folded more often');
cmp_ok(calls('acme', 'totals'), '<=', 200 * $seconds + 2, 'at most every 5 ms');
is_called('acme', 'details', 'until there is nothing to fold');
sleep 10;
$seconds = write_constantly('');
cmp_ok(calls('acme', 'totals'), '<=', 10 * $seconds + 2, 'when no reader has come for 10 s, every 100 ms again');
is_called('acme', 'details', 'as before');

# What takes long is not begun again at once.
sql(q(INSERT INTO mindtickle.plan VALUES ('acme', 'slow')));
write_constantly('');
sql(q(DELETE FROM mindtickle.plan));
is( sql(q(SELECT count(*) > 2, min(c.pause) >= interval '0.6 seconds' FROM (SELECT at - lag(at) OVER (ORDER BY at) AS pause FROM mindtickle.called
		WHERE tenant = 'acme') AS c)), 't|t', 'a tenant that takes 0.3 s rests for as long');
is_called('acme', 'details', 'and is done');

# A tenant whose work fails rests, and the others do not notice.
forget_calls();
my $offset = -s $node->logfile;
sql(q(SELECT mindtickle.mark_readiness('broken')));
ok(poll($node, q(SELECT state = 'failing' AND errors > 0 FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator')), 'a failure shows');
is(aggregator('last_error, step'), 'this tenant cannot be folded|folding totals of broken', 'with what it was and where');
sql(q(DO $$ BEGIN FOR i IN 1 .. 20 LOOP
	PERFORM mindtickle.mark_readiness(t), pg_sleep(0.05) FROM unnest('{broken,acme}'::text[]) AS t; COMMIT; END LOOP; END $$));
is_called('acme', 'totals', 'others are folded meanwhile');
is( sql(q(SELECT a.at - m.at < interval '2 seconds' FROM (SELECT min(at) AS at FROM mindtickle.called) AS a, (SELECT now() AS at) AS m)), 't', 'at once');
cmp_ok(aggregator('errors'), '<=', 12, 'and the one that fails is tried ever more rarely');
sql(q(CREATE OR REPLACE FUNCTION mindtickle.note(tenant text, what text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO mindtickle.called (tenant, what, isolation, durable)
		VALUES (tenant, what, current_setting('transaction_isolation'), current_setting('synchronous_commit')) $$));
is_called('broken', 'totals', 'until it succeeds');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset);
is(scalar(() = $log =~ /work on the readiness of tenant "broken" failed: this tenant cannot be folded/g), 1, 'the log has the failure once');
like($log, qr/readiness of tenant "broken" is worked on again/, 'and its end');

# Upkeep asks for the summaries of a tenant.
forget_calls();
sql(q(INSERT INTO mindtickle.plan VALUES ('globex', 'details wanted'); SELECT mindtickle.mark_readiness('acme')));
is_called('globex', 'details', 'what upkeep needs is folded');
is(calls('acme', 'details'), 0, 'before anything that can wait');

# Days end, and the reason of a report does.
forget_calls();
sql(q(INSERT INTO mindtickle.plan VALUES ('acme', 'day over'), ('globex', 'day'); SELECT mt_configure_tenant('acme', '{"timezone": "Europe/Berlin"}')));
is_called('acme', 'day', 'a day that has ended is closed, once the settings say so');
is( sql(q(SELECT c.what FROM mindtickle.called AS c, mindtickle.called AS d WHERE d.what = 'day' AND c.tenant = 'acme' AND c.number < d.number ORDER BY c.number DESC LIMIT 1)),
	'details', 'after its summaries were folded');
is(calls('globex', 'day'), 0, 'a day that goes on is not');
sql(q(INSERT INTO mindtickle.plan VALUES ('globex', 'rerun'); SELECT mindtickle.wake_aggregator()));
is_called('globex', 'rerun', 'a report whose reason has ended is renewed');

# A tenant that is gone is no failure and no refusal.
my $errors = aggregator('errors');
sql(q(SELECT mindtickle.mark_readiness('broken'); SELECT mt_drop_tenant('broken'); SELECT mindtickle.mark_readiness('broken'), mindtickle.mark_readiness('acme')));
forget_calls();
sql(q(SELECT mindtickle.mark_readiness('broken'), mindtickle.mark_readiness('acme')));
is_called('acme', 'totals', 'after a tenant was dropped the others are folded');
is(calls('broken', 'totals') . aggregator('errors') . sql('SELECT count(*) FROM mt_security_alerts'), "0${errors}0", 'and the one that is gone makes neither error nor alert');

# Nor is one whose drop commits while the aggregator waits for it.
sql(q(SELECT mt_create_tenant('going', 'going')));
my $dropper = $node->background_psql('postgres', on_error_stop => 1);
$dropper->query_safe(q(BEGIN; SELECT mt_drop_tenant('going')));
sql(q(SELECT mindtickle.mark_readiness('going')));
$dropper->query_safe(<<"END");
DO \$\$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
		EXIT WHEN (SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $aggregator);
	END LOOP;
END \$\$;
COMMIT;
END
$dropper->quit;
forget_calls();
sql(q(SELECT mindtickle.mark_readiness('going'), mindtickle.mark_readiness('acme')));
is_called('acme', 'totals', 'when the drop that it has waited for is done the others are folded');
is(calls('going', 'totals') . aggregator('errors') . sql('SELECT count(*) FROM mt_security_alerts'), "0${errors}0", 'which makes neither error nor alert either');

# Many marks at once are all tenants.
forget_calls();
sql(q(INSERT INTO mindtickle.plan VALUES ('globex', 'unfolded'); SELECT count(mindtickle.mark_readiness('t' || n)) FROM generate_series(1, 200) AS n));
is_called('globex', 'totals', 'more marks than fit have all tenants looked through');
sql(q(DELETE FROM mindtickle.plan));

# For those who monitor.
sql(q(CREATE ROLE watcher LOGIN IN ROLE pg_monitor; CREATE ROLE passer_by LOGIN; CREATE DATABASE other));
add_extension($node, 'other');
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'mindtickle aggregator')), 'another database has its own');
is( sql(q(SELECT string_agg(database || ' ' || kind, ', ' ORDER BY database, kind) FROM mt_stat_worker WHERE pid IS NOT NULL), extra_params => [ '-U', 'watcher' ]),
	'other aggregator, other publisher, other sync, postgres aggregator, postgres publisher, postgres sync', 'a member of pg_monitor sees the workers of all databases');
is(aggregator('items > 0 AND rounds > 0 AND last_work_at > started_at AND last_error_at > started_at'), 't', 'with what they have done');
my (undef, undef, $refusal) = $node->psql('postgres', 'SELECT * FROM mt_stat_worker', extra_params => [ '-U', 'passer_by' ]);
like($refusal, qr/permission denied for view mt_stat_worker/, 'nobody else does');
sql(q(SELECT mt_provision_user('acme', '{"email": "a@acme.example"}')));
ok(poll($node, q(SELECT items > 0 AND step = 'publishing for acme' FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher')), 'the publisher reports too');

$started = time();
sql('DROP DATABASE other');
cmp_ok(time() - $started, '<', 5, 'DROP DATABASE does not wait for the aggregator');
is(sql(q(SELECT count(*) FROM mt_stat_worker WHERE database = 'other')), 0, 'and its workers are gone');

is($node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE backend_type = \'mindtickle aggregator\''), $aggregator, 'it was one process all the time');
$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
