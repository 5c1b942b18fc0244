# The publisher as a process: it is woken by commits and idle otherwise; a tenant with very much that waits does not hold up another, nor does one for which
# publishing fails; it slows down and falls silent when the server's queue of notifications fills; and it trims what tenants do not keep.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Events;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# deadlock_timeout: its alarm, which would come a second after the wait for a lock has begun, sets the latch.
my $node = start_node('primary', configuration => "log_statement = none\nwal_level = replica\nmax_wal_senders = 1\ndeadlock_timeout = 1h\n");
add_extension($node);
my $publisher = worker_pid($node, 'mindtickle publisher');

sub sql
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}
sub all_published
{
	my ($tenant, $what) = @_;
	ok(poll($node, "SELECT waiting + overflow = 0 FROM mt_stat_queue WHERE tenant_id = '$tenant'"), $what);
	return;
}

# Woken: the sweep, which would find events too, comes once a minute.
for my $round (1 .. 6)
{
	sql("SELECT mt_create_tenant('w$round', 'W')") if $round % 2;
	my $tenant = 'w' . ($round - 1 + $round % 2);
	# Right after the one before, and when it has fallen idle.
	sleep 1.5 if $round > 3;
	sql("BEGIN; SELECT mindtickle.emit_event('$tenant', 'a', '{}'); ROLLBACK");
	emit($node, $tenant, 'a', 1, 1);
	all_published($tenant, "round $round: an event is published");
	is(sql("SELECT published_at - created_at < interval '20 seconds' FROM mt_events WHERE tenant_id = '$tenant' ORDER BY seq DESC LIMIT 1"), 't', 'since its commit has woken the publisher');
}

# The same where the commit comes while the publisher waits for a lock, which takes the wake-up for its own: in upkeep, a second after something was published.
my $tend = sql(q(SELECT pg_get_functiondef('mindtickle.tend_events'::regproc)));
sql(q(SELECT mt_create_tenant('woken', 'W')));
sql(<<'SQL');
CREATE OR REPLACE FUNCTION mindtickle.tend_events(events_too boolean) RETURNS text LANGUAGE plpgsql SET lock_timeout = 0 AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(1);
	RETURN NULL;
END
$$;
SQL
for my $round (1 .. 4)
{
	my $other = $node->background_psql('postgres', on_error_stop => 1);
	$other->query_until(qr/locked/, <<'SQL');
BEGIN;
SELECT pg_advisory_xact_lock(1) \g /dev/null
\echo locked
DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;
SELECT mindtickle.emit_event('woken', 'b', '{}') \g /dev/null
COMMIT;
SQL
	emit($node, 'woken', 'a', 1, 1);
	$other->quit;
	all_published('woken', "round $round: an event that comes while the publisher waits for a lock is published");
	is(sql(q(SELECT published_at - created_at < interval '20 seconds' FROM mt_events WHERE tenant_id = 'woken' AND topic = 'b' ORDER BY seq DESC LIMIT 1)), 't', 'not only by the sweep');
}
sql($tend);

# Who has a tenant's events in hand delays those of nobody else: they are not waited for.
sql(q(SELECT mt_create_tenant('held', 'H'), mt_create_tenant('free', 'F')));
my $hold_began = -s $node->logfile;
my $hand = $node->background_psql('postgres', on_error_stop => 1);
$hand->query_safe("BEGIN; SELECT mindtickle.hold_events('held')");
emit($node, 'held', 'a', 1, 1);
emit($node, 'free', 'a', 1, 1);
all_published('free', 'events are published while those of another tenant are held');
$hand->query_safe('SELECT pg_sleep(1)');
is(sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'held')), 0, 'which are not');
$hand->query_safe('COMMIT');
$hand->quit;
all_published('held', 'until they are let go');
ok(!$node->log_contains(qr/publishing for tenant "held" failed/, $hold_began), 'and that was no failure');
$hand = $node->background_psql('postgres', on_error_stop => 1);
$hand->query_safe("BEGIN; SELECT mindtickle.hold_events('held')");
emit($node, 'held', 'a', 2, 2);
$node->wait_for_log(qr/publishing for tenant "held" failed: canceling statement due to lock timeout/, $hold_began);
is(sql(q(SELECT last_error FROM mt_stat_worker WHERE kind = 'publisher')), 'canceling statement due to lock timeout', 'one that is held for long is told of');
$hand->query_safe('COMMIT');
$hand->quit;
all_published('held', 'and goes on when it is let go');
ok($node->log_contains(qr/publishing for tenant "held" works again/, $hold_began), 'as the log says');

# Idle.
my $activity = "SELECT state, state_change, backend_xid IS NULL FROM pg_stat_activity WHERE pid = $publisher";
my $idle = "SELECT state = 'idle' AND state_change < clock_timestamp() - interval '3 seconds' FROM pg_stat_activity WHERE pid = $publisher";
ok(poll($node, $idle), 'the publisher falls idle');
my $before = sql($activity);
sleep 3;
is(sql($activity), $before, 'and runs no query then');
is(sql(q(SELECT state FROM mt_stat_worker WHERE kind = 'publisher')), 'idle', 'as mt_stat_worker says');

# Fair: others are served while one is behind, directly and through the overflow.
sql(q(SELECT mt_create_tenant('large', 'L'), mt_create_tenant('small', 'S')));
foreach my $limit (1_000_000, 1000)
{
	sql("SELECT mt_configure_tenant('large', '{\"queue_limit\": $limit}')");
	my $done = sql(q(SELECT last_seq FROM mt_stat_queue WHERE tenant_id = 'large'));
	# One session, so that the small tenant's events follow at once, whatever else the machine does.
	sql("SELECT count(mindtickle.emit_event('large', 'a', jsonb_build_object('n', n))) FROM generate_series(1, 60000) AS n;\n"
		  . join("\n", ("SELECT mindtickle.emit_event('small', 'a', '{}');\nSELECT pg_sleep(0.02);") x 50));
	all_published('small', 'events of one tenant are published');
	all_published('large', 'and those of another one that has very many');
	cmp_ok(sql("SELECT count(*) FROM mt_events AS s, (SELECT max(created_at) AS written, max(published_at) AS published FROM mt_events WHERE tenant_id = 'large' AND seq > $done) AS l "
			  . "WHERE s.tenant_id = 'small' AND s.created_at > l.written AND s.published_at < l.published"), '>', 0, "of which some came later than those that they were written after (queue_limit $limit)");
	is(sql("SELECT count(*) = 60000 AND bool_and((payload ->> 'n')::int8 = seq - $done) FROM mt_events WHERE tenant_id = 'large' AND seq > $done"), 't', 'in order');
}
cmp_ok(sql(q(SELECT round FROM mindtickle.event_position WHERE tenant_id = 'large')), '>', 0, 'one of them went through the overflow');

# Nor does one that is behind wait for as long as another has something, which may be always: here the publisher finds a mark of it whenever it looks.
sql(q(SELECT mt_configure_tenant('large', '{"queue_limit": 1000000}')));
sql(q(CREATE TABLE stop ()));
my $take_marks = sql(q(SELECT pg_get_functiondef('mindtickle.take_marks'::regproc)));
sql(q(CREATE OR REPLACE FUNCTION mindtickle.take_marks() RETURNS SETOF text LANGUAGE sql AS $$ VALUES ('large'), ('small') $$));
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->query_until(qr/writing/, "\\echo writing\nDO 'BEGIN WHILE NOT EXISTS (SELECT FROM stop) LOOP PERFORM mindtickle.emit_event(''small'', ''b'', ''{}''), pg_sleep(0.001); COMMIT; END LOOP; END';\n");
emit($node, 'large', 'c', 1, 10_000);
ok(poll($node, q(SELECT count(*) = 10000 FROM mt_events WHERE tenant_id = 'large' AND topic = 'c')), 'the events of one that is behind are published while another writes');
ok(poll($node, q(SELECT count(*) > 0 FROM mt_events AS s WHERE tenant_id = 'small' AND topic = 'b' AND created_at > (SELECT max(published_at) FROM mt_events WHERE tenant_id = 'large' AND topic = 'c'))),
	'and what that one goes on to write');
sql(q(INSERT INTO stop DEFAULT VALUES));
$writer->quit;

# What is past its time goes meanwhile, too: each tenant's turn comes at a random moment of the first ten minutes.
sql(q(SELECT mt_create_tenant('idle' || n, 'I') FROM generate_series(1, 200) AS n));
sql(q(INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw, received_at) SELECT 'idle' || n, 'scim', 'users', 'old', '', now() - interval '1 year' FROM generate_series(1, 200) AS n));
sql(q(CREATE OR REPLACE FUNCTION mindtickle.take_marks() RETURNS SETOF text LANGUAGE sql AS $$ VALUES ('small') UNION ALL SELECT 'idle' || n FROM generate_series(1, 200) AS n $$));
ok(poll($node, q(SELECT count(*) < 200 FROM mindtickle.dead_letter WHERE tenant_id LIKE 'idle%')), 'old rows are removed while there is always something to publish');
sql($take_marks);
sql(q(SELECT mt_drop_tenant('idle' || n) FROM generate_series(1, 200) AS n));

# Marks are gone when the transaction fails that has taken them; all tenants are looked through at once then, and not only when their minute has passed. The wrappers
# tell the log what the publisher does.
sql(q(SELECT mt_create_tenant('lost', 'L')));
my $find_waiting = sql(q(SELECT pg_get_functiondef('mindtickle.tenants_to_publish'::regproc)));
sql($take_marks =~ s/mindtickle\.take_marks/public.real_marks/r);
sql($find_waiting =~ s/mindtickle\.tenants_to_publish/public.real_waiting/r);
my $marks_lost = -s $node->logfile;
sql(<<'SQL');
CREATE OR REPLACE FUNCTION mindtickle.tenants_to_publish() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RAISE LOG 'now: all tenants';
	RETURN QUERY SELECT * FROM public.real_waiting();
END
$$;
CREATE OR REPLACE FUNCTION mindtickle.take_marks() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	marks text[] := ARRAY(SELECT public.real_marks());
BEGIN
	RAISE LOG 'now: marks';
	IF 'lost' = ANY (marks) THEN
		RAISE 'marks are lost';
	END IF;
	RETURN QUERY SELECT unnest(marks);
END
$$;
SQL
emit($node, 'lost', 'a', 1, 1);
all_published('lost', 'an event whose mark was lost is published');
$node->wait_for_log(qr/publisher could not look for events: marks are lost/, $marks_lost);
my ($next) = substr(slurp_file($node->logfile), $marks_lost) =~ /could not look for events: marks are lost.*?now: (all tenants|marks)/s;
is($next, 'all tenants', 'since they are looked through before marks are taken again');
sql("$take_marks; $find_waiting");
sql(q(DROP FUNCTION public.real_marks; DROP FUNCTION public.real_waiting));

# A tenant for which publishing fails: its next number is taken.
sql(q(SELECT mt_create_tenant('broken', 'B')));
sql("INSERT INTO mindtickle.event_$_ (tenant_id, seq, topic, payload, created_at) VALUES ('broken', 1, 'a', '{}', now())") foreach 0 .. 3;
my $errors = sql(q(SELECT errors FROM mt_stat_worker WHERE kind = 'publisher'));
emit($node, 'broken', 'a', 1, 1);
ok(poll($node, "SELECT errors > $errors FROM mt_stat_worker WHERE kind = 'publisher'"), 'publishing fails for a tenant');
emit($node, 'small', 'a', 1, 1);
all_published('small', 'others do not notice');
sql("DELETE FROM mindtickle.event_$_ WHERE tenant_id = 'broken'") foreach 0 .. 3;
all_published('broken', 'it goes on when it can');
my $log = slurp_file($node->logfile);
is(() = $log =~ /publishing for tenant "broken" failed/g, 1, 'the failure is logged once');
like($log, qr/publishing for tenant "broken" works again/, 'and its end');

# The queue of notifications.
my $listener = $node->background_psql('postgres', on_error_stop => 1);
$listener->query_safe(q(LISTEN "tenant.small.a"));
sub usage
{
	my ($value) = @_;
	sql("CREATE OR REPLACE FUNCTION mindtickle.notification_usage() RETURNS float8 LANGUAGE sql AS 'SELECT $value\::float8'");
	return;
}
usage(0.95);
# It looks ten times a second, while there is something to publish.
my $offset = -s $node->logfile;
for (1 .. 1000)
{
	emit($node, 'small', 'a', 1, 1);
	last if $node->log_contains(qr/publisher sends no notifications/, $offset);
	sleep 0.05;
}
all_published('small', 'with a queue of notifications that is nearly full events are published');
$listener->query('SELECT 1');
emit($node, 'small', 'a', 1, 1);
all_published('small', 'one more');
unlike($listener->query('SELECT pg_sleep(1)'), qr/Asynchronous/, 'and nobody is notified');
ok($node->log_contains(qr/publisher sends no notifications/, $offset), 'as the log says');
usage(0.6);
emit($node, 'small', 'a', 1, 3);
all_published('small', 'when it is half full they are');
like(wait_for_notification($listener, ''), qr/Asynchronous notification "tenant.small.a" with payload "\{"seq": \d+, "topic": "a"\}"/, 'and are announced');
$node->wait_for_log(qr/publisher sends notifications again/, $offset);
usage(0);
$listener->quit;

# A standby that must have every commit, and does not exist. Sets what it is called, and returns when that is known.
sub require_standby
{
	my ($name) = @_;
	$node->append_conf('postgresql.conf', "synchronous_standby_names = '$name'");
	$node->reload;
	ok(poll($node, "SELECT current_setting('synchronous_standby_names') = '$name'"), $name eq '' ? 'no standby must have it' : 'a standby must have every commit');
	return;
}
$ENV{PGOPTIONS} = '-c synchronous_commit=local';
require_standby('nobody');
my $before = sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'small'));
emit($node, 'small', 'a', 1, 1);
ok(poll($node, "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $publisher"), 'the publisher waits for it, though its writer has not');
is(sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'small')), $before, 'so that nobody sees a number that a failover could take back');
require_standby('');
delete $ENV{PGOPTIONS};
all_published('small', 'it ends when it needs not');

# Polled while another publication commits, where the WAL ends at the end of a page. The publication waits for the lock of a session that notifies, which has
# written and waits for a standby that does not exist; the checkpointer, which would tell it that it needs not, is stopped.
emit($node, 'small', 'a', 1, 1);
all_published('small', 'an event to poll');
sql(q(SELECT mt_poll_events('small', 'page', 1)));
require_standby('nobody');
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q(BEGIN; NOTIFY held; SELECT pg_logical_emit_message(true, '', '')));
$holder->query_until(qr/committing/, "\\echo committing\nCOMMIT;\n");
ok(poll($node, q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep')), 'a session that notifies waits for a standby');
my $checkpointer = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'));
kill 'STOP', $checkpointer;
require_standby('');
$ENV{PGOPTIONS} = '-c synchronous_commit=local';
my $publication = $node->background_psql('postgres', on_error_stop => 1);
my $publication_pid = $publication->query_safe('SELECT pg_backend_pid()');
emit($node, 'small', 'a', 1, 1);
$publication->query_until(qr/publishing/, "\\echo publishing\nSELECT mindtickle.publish('small', 1, true);\n");
ok(poll($node, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND classid = 'pg_database'::regclass AND pid = $publication_pid"), 'a publication waits for that session');
is(sql(<<'SQL'), 1, 'events are polled where the WAL ends with a page');
CREATE FUNCTION left_of_page() RETURNS int8 LANGUAGE sql AS $$ SELECT 8192 - (pg_current_wal_insert_lsn() - '0/0')::int8 % 8192 $$;
CREATE FUNCTION poll_at_page_end() RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
	polled int8;
BEGIN
	-- A message has 51 bytes besides its text. Others may write WAL in between, and the pages at which files begin have a longer header.
	FOR attempt IN 1 .. 100 LOOP
		WHILE left_of_page() NOT BETWEEN 56 AND 280 LOOP
			PERFORM pg_logical_emit_message(false, '', 'text');
		END LOOP;
		PERFORM pg_logical_emit_message(false, '', repeat('x', left_of_page()::int4 - 51));
		CONTINUE WHEN left_of_page() <> 8192 - 24;
		polled := (SELECT count(*) FROM mt_poll_events('small', 'page', 1));
		EXIT WHEN left_of_page() = 8192 - 24;
		polled := NULL;
	END LOOP;
	RETURN polled;
END
$$;
SELECT poll_at_page_end();
SQL
kill 'CONT', $checkpointer;
$holder->quit;
$publication->quit;
delete $ENV{PGOPTIONS};
all_published('small', 'the publication ends when the other session does');

# Dropped with events that wait.
emit($node, 'large', 'a', 1, 20_000);
sql(q(SELECT mt_drop_tenant('large')));
emit($node, 'small', 'a', 1, 1);
all_published('small', 'a tenant that is dropped while it is behind holds up nobody');
is(sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'large')), 0, 'and leaves nothing');
sql(q(SELECT mt_create_tenant('large', 'again')));
emit($node, 'large', 'a', 1, 1);
all_published('large', 'a tenant of its name');
is(sql(q(SELECT seq || ' ' || (payload ->> 'n') FROM mt_events WHERE tenant_id = 'large')), '1 1', 'begins at 1');
is(sql(q(SELECT count(*) FROM mt_stat_worker WHERE kind = 'publisher' AND pid = ) . $publisher), 1, 'all of that by one process');

# A large table is emptied by another process, and events are published meanwhile. The wrapper can be made to wait, before it does anything and when it
# has locked the table, or to fail.
my $empty = sql(q(SELECT pg_get_functiondef('mindtickle.empty_event_table'::regproc)));
sql($empty =~ s/mindtickle\.empty_event_table/public.really_empty/r);
sql(<<'SQL');
CREATE TABLE refusing ();
GRANT SELECT ON refusing TO mindtickle_service;
CREATE OR REPLACE FUNCTION mindtickle.empty_event_table(name text) RETURNS boolean LANGUAGE plpgsql SET lock_timeout = 0 AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(2);
	IF EXISTS (SELECT FROM public.refusing) THEN
		RAISE 'refused';
	END IF;
	RAISE LOG 'now: % empties %', current_setting('application_name'), name;
	EXECUTE format('LOCK TABLE mindtickle.%I', name);
	PERFORM pg_advisory_xact_lock(3);
	RETURN public.really_empty(name);
END
$$;
SQL
sub write_much
{
	sql("SELECT count(mindtickle.emit_event('large', 'd', jsonb_build_object('text', repeat(md5(n::text), 50)))) FROM generate_series(1, 12000) AS n");
	all_published('large', 'many large events are published');
	return;
}
# How often the log has had something since.
sub logged
{
	my ($since, $what) = @_;
	return scalar(() = substr(slurp_file($node->logfile), $since) =~ /$what/g);
}
my $large_outbox = q(SELECT count(*) FROM pg_class WHERE relname ~ '^outbox_[0-9]$' AND pg_relation_size(oid) > 16 << 20);
my $helper = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle helper' AND wait_event = 'advisory');
my $emptied = -s $node->logfile;
my $errors_before = sql(q(SELECT errors FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher'));
my $lock = $node->background_psql('postgres', on_error_stop => 1);
$lock->query_safe('SELECT pg_advisory_lock(2), pg_advisory_lock(3)');
write_much();
ok(poll($node, "SELECT EXISTS ($helper)"), 'a large table is to be emptied by another process');
emit($node, 'small', 'e', 1, 1);
all_published('small', 'events are published while it does that');
is(sql($large_outbox), 1, 'which takes long');
my $overflow_rows = q(SELECT count(*) FROM (TABLE mindtickle.event_overflow_0 UNION ALL TABLE mindtickle.event_overflow_1) AS o WHERE tenant_id = 'nobody');
sql("INSERT INTO mindtickle.event_overflow_$_ SELECT 'nobody', n, n, 'a', '{}', now() FROM generate_series(1, 10) AS n") foreach 0 .. 1;
emit($node, 'small', 'e', 2, 2);
all_published('small', 'more events');
$lock->query_safe('SELECT pg_sleep(3)');
is(sql($overflow_rows), 20, 'the publisher does no upkeep beside it, where they would be in each other\'s way');
my $first = sql($helper);
sql("SELECT pg_terminate_backend($publisher)");
ok(poll($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $first)"), 'it ends with the publisher');
ok(poll($node, "SELECT EXISTS ($helper)"), 'and the next one goes on');
$lock->query_safe('SELECT pg_advisory_unlock(2)');
$node->wait_for_log(qr/now: mindtickle helper empties outbox_/, $emptied);
ok(poll($node, "SELECT EXISTS ($helper)"), 'it has the table locked');
emit($node, 'small', 'f', 1, 1);
$lock->query_safe('SELECT pg_sleep(1)');
$lock->query_safe('SELECT pg_advisory_unlock(3)');
all_published('small', 'and events wait for that');
ok(poll($node, "SELECT ($large_outbox) = 0"), 'the table is emptied');
ok(poll($node, q(SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'mindtickle helper'))), 'and the process gone');
ok(poll($node, "SELECT ($overflow_rows) = 0"), 'and small tables emptied');
is(logged($emptied, 'publishing for tenant "\w+" failed'), 0, 'to wait was no failure');
is(sql(q(SELECT errors FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher')), $errors_before, 'for mt_stat_worker, neither');
foreach my $time (1 .. 5)
{
	sql("INSERT INTO mindtickle.event_overflow_$_ SELECT 'nobody', n, n, 'a', to_jsonb(repeat(md5(n::text), 50)), now() FROM generate_series(1, 9000) AS n") foreach 0 .. 1;
	emit($node, 'small', 'g', $time, $time);
	ok(poll($node, q(SELECT sum(pg_relation_size(oid)) = 0 FROM pg_class WHERE relname ~ '^event_overflow_[01]$')), "tables that are large again are emptied again: $time");
}
is(logged($emptied, 'now: mindtickle helper empties event_overflow_'), 10, 'each time by another process');
is(sql(q(SELECT errors FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher')), $errors_before, 'and count as large for the first time');
sql('INSERT INTO refusing DEFAULT VALUES');
write_much();
my $in_vain = q(SELECT last_error LIKE 'table "outbox_%" must be emptied once more: %' FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher');
ok(poll($node, $in_vain), 'a table that cannot be emptied shows in mt_stat_worker');
is(logged($emptied, 'table "outbox_\d" could not be emptied: refused'), 1, 'and once in the log');
# One slot each for the launcher, its three workers, and the server's logical replication.
$lock->quit;
$node->append_conf('postgresql.conf', 'max_worker_processes = 5');
my $restarted = -s $node->logfile;
$node->restart;
ok(poll($node, q(SELECT count(*) = 3 FROM mt_stat_worker WHERE pid IS NOT NULL AND kind IN ('publisher', 'aggregator', 'sync'))), 'without a free slot');
ok(poll($node, q(SELECT last_error = 'refused' AND errors > 1 FROM mt_stat_worker WHERE database = current_database() AND kind = 'publisher')), 'the publisher tries that itself, again and again');
is(logged($restarted, 'mindtickle publisher could not empty a large table of events: refused'), 1, 'as the log says once');
sql('DELETE FROM refusing');
ok(poll($node, "SELECT ($large_outbox) = 0"), 'and does it');
$node->wait_for_log(qr/mindtickle publisher: to empty a large table of events works again/, $restarted);
is(logged($restarted, 'now: mindtickle publisher empties outbox_'), 1, 'once');
$node->stop('fast');
done_testing();
