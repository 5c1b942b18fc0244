# Publishing by hand, where no publisher runs: what a batch is and what is announced of it; that order is the order of writing, whatever xids say; the overflow,
# across crashes in its midst; that readers wait for the disk; and that nobody's old snapshot, nor a write transaction that stays open in this or another
# database, keeps tables from being emptied.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use MindTickle::Events;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# mindtickle.databases: no workers here. wal_writer_delay: what nobody waits for is not on the disk soon after.
my $node = start_node('primary', configuration => "log_statement = none\nmindtickle.databases = 'nowhere'\nfsync = off\njit = off\nmax_wal_size = 4GB\nmax_prepared_transactions = 2\nautovacuum = off\n"
	  . "wal_level = replica\nmax_wal_senders = 1\nwal_writer_delay = 10s\n");
$node->safe_psql('postgres', 'CREATE DATABASE other');
add_extension($node);

sub sql
{
	my ($query, @options) = @_;
	return $node->safe_psql('postgres', $query, @options);
}
sub publish
{
	my ($tenant, $rows) = @_;
	return sql("SELECT published, more FROM mindtickle.publish('$tenant', $rows)");
}
# Calls until there is no more; returns how many calls.
sub publish_all
{
	my ($tenant, $rows) = @_;
	my $calls = 0;
	do { $calls++ } while (publish($tenant, $rows) =~ /\|t$/);
	return $calls;
}
sub published
{
	my ($tenant) = @_;
	return sql("SELECT string_agg(concat_ws(' ', seq, topic, payload ->> 'n'), ', ' ORDER BY seq) FROM mt_events WHERE tenant_id = '$tenant'");
}
# '' where the events of the tenant are n = 1, 2, ... with as many as told.
sub in_order
{
	my ($tenant, $count) = @_;
	return sql("SELECT CASE WHEN count(*) = $count AND bool_and((payload ->> 'n')::int8 = seq) THEN '' ELSE count(*) || ' events, first wrong ' || coalesce(min(seq) FILTER (WHERE (payload ->> 'n')::int8 <> seq), 0) END FROM mt_events WHERE tenant_id = '$tenant'");
}
sub position
{
	my ($tenant, $columns) = @_;
	return sql("SELECT $columns FROM mindtickle.event_position WHERE tenant_id = '$tenant'");
}
sub tend
{
	return tend_events($node, 'true');
}
sub held
{
	my ($database, $begin) = @_;
	my $session = $node->background_psql($database, on_error_stop => 1);
	$session->query_safe($begin);
	return $session;
}
# Tables of a kind that have rows, and how often they were emptied since the last call.
my %files;
sub emptied
{
	my ($kind) = @_;
	my %now = map { split /=/ } split / /, sql("SELECT string_agg(relname || '=' || relfilenode, ' ') FROM pg_class WHERE relname ~ '^${kind}_[0-9]\$' AND relkind = 'r'");
	my $changed = grep { ($files{$kind}{$_} // $now{$_}) ne $now{$_} } keys %now;
	$files{$kind} = \%now;
	return $changed;
}
sub megabytes
{
	my ($kind) = @_;
	return sql("SELECT ceil(sum(pg_total_relation_size(oid)) / 1e6) FROM pg_class WHERE relname ~ '^${kind}_[0-9]\$' AND relkind = 'r'");
}
my $tenants = 0;
sub new_tenant
{
	my ($settings) = @_;
	my $tenant = 't' . $tenants++;
	sql("SELECT mt_create_tenant('$tenant', '$tenant'), mt_configure_tenant('$tenant', '" . ($settings // '{}') . "')");
	return $tenant;
}

# Batches, and what is announced of each.
my $t = new_tenant();
my $listener = $node->background_psql('postgres', on_error_stop => 1);
$listener->query_safe("LISTEN \"tenant.$t.$_\"") foreach qw(a b);
# What the listener has heard since it was asked last; a notification comes with the answer to a query at the latest.
sub heard
{
	my $answer = $listener->query('SELECT pg_sleep(0.2)');
	return join(', ', $answer =~ /Asynchronous notification "([^"]*" with payload "\{.*?\})" received/g) =~ s/" with payload "/ /gr;
}
emit($node, $t, 'a', 1, 2);
emit($node, $t, 'b', 3, 3);
emit($node, $t, 'a', 4, 5);
is(publish($t, 3), '3|t', 'a batch of three of five');
is(published($t), '1 a 1, 2 a 2, 3 b 3', 'the first three');
is(heard(), "tenant.$t.a {\"seq\": 2, \"topic\": \"a\"}, tenant.$t.b {\"seq\": 3, \"topic\": \"b\"}", 'each topic is announced once, with its highest number');
emit($node, $t, 'b', 6, 6);
is(publish($t, 3), '2|t', 'what is left of the snapshot, and perhaps there is more, whose mark may have been taken before');
is(heard(), "tenant.$t.a {\"seq\": 5, \"topic\": \"a\"}", 'is announced');
is(publish($t, 3), '1|f', 'and then what came later');
is(published($t), '1 a 1, 2 a 2, 3 b 3, 4 a 4, 5 a 5, 6 b 6', 'all in order');
heard();
emit($node, $t, 'a', 7, 7);
is(sql("BEGIN; SELECT published FROM mindtickle.publish('$t', 10); ROLLBACK"), 1, 'a publication that is rolled back');
is(heard(), '', 'is not heard of');
is(sql("SELECT published FROM mindtickle.publish('$t', 10, false)"), 1, 'one that is not to be announced');
is(heard(), '', 'is not either');
is(published($t), '1 a 1, 2 a 2, 3 b 3, 4 a 4, 5 a 5, 6 b 6, 7 a 7', 'but it is there, with the number that was free again');
$node->append_conf('postgresql.conf', 'mindtickle.notify = off');
$node->reload;
ok(poll($node, q(SELECT current_setting('mindtickle.notify') = 'off')), 'without notifications');
emit($node, $t, 'a', 8, 8);
is(publish($t, 10) . heard(), '1|f', 'events are published and not announced');
$node->append_conf('postgresql.conf', 'mindtickle.notify = on');
$node->reload;
$listener->quit;

# Tables are emptied, as the publisher does it, while consumers are in the midst of reading: they read again, and notice nothing.
$t = new_tenant();
emit($node, $t, 'a', 1, 50);
publish_all($t, 100);
my $scripts = PostgreSQL::Test::Utils::tempdir('scripts');
append_to_file("$scripts/consume", "SELECT mt_ack_events('$t', 'c' || :client_id, max(seq)) FROM mt_poll_events('$t', 'c' || :client_id, 1);\nSELECT count(*) FROM mt_event_consumers;\nSELECT count(*) FROM mt_stat_queue;\n");
append_to_file("$scripts/empty", "TRUNCATE mindtickle.event_consumer_1;\nTRUNCATE mindtickle.event_position_1;\nTRUNCATE mindtickle.event_3;\n");
my @bench = ($node->installed_command('pgbench'), '-n', '-t', 1000);
my $emptying = IPC::Run::start([ @bench, '-f', "$scripts/empty", $node->connstr('postgres') ], '>', \my $emptying_output, '2>&1');
my $consumed = IPC::Run::run([ @bench, '-c', 3, '-f', "$scripts/consume", $node->connstr('postgres') ], '>', \my $consuming_output, '2>&1');
ok($consumed, 'consumers who poll, acknowledge and are listed while tables are emptied') or diag($consuming_output);
ok($emptying->finish, 'as often as the test says') or diag($emptying_output);
is(sql("SELECT string_agg(acked_seq::text, ',') FROM mt_event_consumers WHERE tenant_id = '$t'"), '50,50,50', 'have consumed all');

# Order: who waited for another's lock comes after him, although he got his xid first; and is found although the cursor has passed him.
$t = new_tenant();
sql('CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)');
my $early = held('postgres', 'BEGIN; SELECT pg_current_xact_id()');
my $later = held('postgres', 'BEGIN; UPDATE counter SET n = n + 1');
$later->query_safe("SELECT mindtickle.emit_event('$t', 'a', '{\"n\": 1}')");
$later->query_safe('COMMIT');
$early->query_safe("UPDATE counter SET n = n + 1; SELECT mindtickle.emit_event('$t', 'a', '{\"n\": 2}')");
$later->query_safe("BEGIN; SELECT mindtickle.emit_event('$t', 'a', '{\"n\": 3}')");
$early->query_safe('COMMIT');
is(publish($t, 10), '2|f', 'those that are committed');
is(published($t), '1 a 1, 2 a 2', 'in the order of writing, not of xids');
emit($node, $t, 'a', 4, 4);
is(publish($t, 10), '1|f', 'one that came later');
$later->query_safe('COMMIT');
is(publish($t, 10), '1|f', 'and the one that was not committed');
is(published($t), '1 a 1, 2 a 2, 3 a 4, 4 a 3', 'which was not skipped');
sql("BEGIN; SAVEPOINT s; SELECT mindtickle.emit_event('$t', 'a', '{\"n\": 5}'); ROLLBACK TO s; SELECT mindtickle.emit_event('$t', 'a', '{\"n\": 6}'); PREPARE TRANSACTION 'p'");
is(publish($t, 10), '0|f', 'one that is prepared is not published');
sql("COMMIT PREPARED 'p'");
is(sql('SELECT mindtickle.tenants_to_publish()'), $t, 'the sweep finds it when it is committed');
is(publish($t, 10), '1|f', 'and then it is');
$_->quit foreach $early, $later;

# One snapshot, many batches, each by a process of its own, which must find out the order again; and by one process that remembers it.
$t = new_tenant();
emit($node, $t, 'a', 1, 5000);
cmp_ok(publish_all($t, 700), '==', 9, 'so many calls, the last to find no more');
is(in_order($t, 5000), '', 'publish all, in order');
is(position($t, 'round, overflow'), '0|0', 'without the overflow');
emit($node, $t, 'a', 5001, 9000);
sql(join("\n", ("SELECT mindtickle.publish('$t', 100) \\g /dev/null") x 17, "BEGIN; SELECT mindtickle.publish('$t', 100) \\g /dev/null", 'ROLLBACK;', ("SELECT mindtickle.publish('$t', 100) \\g /dev/null") x 23));
is(in_order($t, 9000), '', 'the same in one session, of which a transaction was rolled back');

# What a session remembers of the order is worth nothing when its transaction fails, or somebody else has gone on.
my $rememberer = $node->background_psql('postgres', on_error_stop => 0);
$t = new_tenant();
emit($node, $t, 'a', 1, 10);
$rememberer->query_safe("SELECT mindtickle.publish('$t', 3)");
my $locker = held('postgres', 'BEGIN; LOCK TABLE mindtickle.event_position_0, mindtickle.event_position_1 IN SHARE MODE');
$rememberer->query("SET lock_timeout = '100ms'; SELECT mindtickle.publish('$t', 3)");
$rememberer->{stderr} = '';
$locker->quit;
is(position($t, 'last_seq'), 3, 'a publication that cannot write how far it has come');
$rememberer->query_safe("SELECT mindtickle.publish('$t', 3)") foreach 1 .. 3;
is(in_order($t, 10), '', 'is made again, with the same events');
# Nor when somebody has written the table anew and smaller.
$t = new_tenant();
sql("BEGIN; SELECT mindtickle.emit_event('$t', 'a', '{}') FROM generate_series(1, 20000) \\g /dev/null\nROLLBACK");
emit($node, $t, 'a', 1, 10);
$rememberer->query_safe("SELECT mindtickle.publish('$t', 3)");
sql("VACUUM FULL mindtickle.outbox_$_") foreach 0 .. 3;
$rememberer->query("SELECT mindtickle.publish('$t', 3)");
isnt($rememberer->{stderr}, '', 'rows that have moved are not where they are remembered to be');
$rememberer->{stderr} = '';
$rememberer->query_safe("SELECT mindtickle.publish('$t', 3)") foreach 1 .. 3;
is(in_order($t, 10), '', 'and are found again');
$t = new_tenant('{"queue_limit": 100}');
emit($node, $t, 'a', 1, 90);
$rememberer->query_safe("BEGIN; SELECT mindtickle.publish('$t', 10)");
$rememberer->query_safe('ROLLBACK');
emit($node, $t, 'a', 91, 150);
$rememberer->query_safe("SELECT mindtickle.publish('$t', 50)") foreach 1 .. 10;
emit($node, $t, 'a', 151, 160);
$rememberer->query_safe("SELECT mindtickle.publish('$t', 100)") foreach 1 .. 2;
is(in_order($t, 160), '', 'what was remembered before the overflow is not published again after it');
$t = new_tenant();
emit($node, $t, 'a', 1, 50);
$rememberer->query_safe("BEGIN; SELECT mindtickle.publish('$t', 10)");
$rememberer->query_safe('ROLLBACK');
emit($node, $t, 'a', 51, 60);
publish($t, 10);
$rememberer->query_safe("SELECT mindtickle.publish('$t', 100)") foreach 1 .. 2;
is(in_order($t, 60), '', 'nor does a later snapshot of another session lose by it');
$rememberer->quit;

# What waits is changed while a session remembers the order of it.
$t = new_tenant();
emit($node, $t, 'a', 1, 5);
sql("SELECT mindtickle.publish('$t', 2) \\g /dev/null\nBEGIN;\nSELECT mindtickle.hold_events('$t') \\g /dev/null\n"
	  . join("\n", map { "UPDATE mindtickle.outbox_$_ SET payload = payload || '{\"erased\": true}' WHERE tenant_id = '$t';" } 0 .. 3)
	  . "\nCOMMIT;\nSELECT mindtickle.publish('$t', 10) \\g /dev/null");
is(in_order($t, 5), '', 'events that were changed while they waited are published, in order');
is(sql("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM mt_events WHERE tenant_id = '$t' AND payload ? 'erased'"), '3,4,5', 'as they are now');
my $holding = held('postgres', "BEGIN; SELECT mindtickle.hold_events('$t')");
emit($node, $t, 'a', 6, 6);
my ($held_status, $held_output, $held_error) = $node->psql('postgres', "SET lock_timeout = '200ms'; SELECT mindtickle.publish('$t', 10)");
like($held_error, qr/lock timeout/, 'while somebody holds them nobody publishes');
is(sql("SELECT published FROM mindtickle.publish('$t', 10, wait => false)"), -1, 'and who does not wait is told');
$holding->query_safe('COMMIT');
$holding->quit;
is(publish($t, 10), '1|f', 'but afterwards');

# The overflow: in and out, a batch each; killed again and again in its midst; while more is written.
$t = new_tenant('{"queue_limit": 200}');
emit($node, $t, 'a', 1, 200);
is(publish($t, 1000), '200|f', 'as many as may wait go directly');
emit($node, $t, 'a', 201, 1200);
is(publish($t, 300), '0|t', 'more go to the overflow');
is(position($t, 'round, spilling, overflow, last_seq'), '1|t|300|200', 'a batch at a time');
is(sql("SELECT waiting, overflow FROM mt_stat_queue WHERE tenant_id = '$t'"), '700|300', 'mt_stat_queue shows how many wait where');
is(sql("SELECT (SELECT count(*) FROM mindtickle.outbox WHERE tenant_id = '$t'), (SELECT count(*) FROM mindtickle.event_overflow WHERE tenant_id = '$t')"), '700|300', 'so do the views');
emit($node, $t, 'a', 1201, 1300);
my $written = 1300;
for my $round (1 .. 6)
{
	publish($t, 100) foreach 1 .. 2;
	emit($node, $t, 'a', $written + 1, $written + 50);
	$written += 50;
	# Of what was committed without waiting for the disk some is lost; all of it is done again.
	sql("BEGIN; SELECT mindtickle.publish('$t', 100) \\g /dev/null\nROLLBACK") if $round % 2;
	kill_and_start($node);
}
cmp_ok(position($t, 'last_seq'), '<', $written, 'killed six times in its midst');
publish_all($t, 100);
is(in_order($t, $written), '', 'all came back, first in, first out, once each');
is(position($t, 'spilling, overflow, batch IS NULL'), 'f|0|t', 'and the overflow is left');
cmp_ok(position($t, 'round'), '>', 1, 'those that were written meanwhile went through it too');
emit($node, $t, 'a', $written + 1, $written + 1);
is(publish($t, 100), '1|f', 'then events go directly again');

# What somebody has read is on the disk.
$t = new_tenant();
emit($node, $t, 'a', 1, 1);
is(publish($t, 10), '1|f', 'published');
is(sql("SELECT count(*) FROM mt_poll_events('$t', 'c', 10)"), 1, 'polled');
kill_and_start($node);
is(published($t), '1 a 1', 'it is there after kill -9');
emit($node, $t, 'a', 2, 2);
publish($t, 10);
is(published($t), '1 a 1, 2 a 2', 'read through the view');
kill_and_start($node);
is(sql("SELECT last_seq FROM mindtickle.event_position WHERE tenant_id = '$t'"), 2, 'that is there as well');
sql("CREATE ROLE analyst; SELECT mt_grant_tenant('$t', 'analyst', 'reader')");
emit($node, $t, 'a', 3, 3);
publish($t, 10);
is(sql('SET ROLE analyst; SELECT max(seq) FROM (TABLE mindtickle.event_0 UNION ALL TABLE mindtickle.event_1 UNION ALL TABLE mindtickle.event_2 UNION ALL TABLE mindtickle.event_3) AS e'),
	3, 'read by a role of the tenant in the tables themselves');
kill_and_start($node);
is(sql("SELECT last_seq FROM mindtickle.event_position WHERE tenant_id = '$t'"), 3, 'and that');
# Also where commits have to wait for a standby, and the publication's does not because its caller takes the setting back.
emit($node, $t, 'a', 4, 4);
sql(<<"SQL");
CREATE FUNCTION publish_within() RETURNS int8 LANGUAGE sql SET synchronous_commit = off AS 'SELECT published FROM mindtickle.publish(''$t'', 10)';
ALTER SYSTEM SET synchronous_standby_names = 'nobody';
SQL
$node->reload;
$ENV{PGOPTIONS} = '-c synchronous_commit=off';
ok(poll($node, q(SELECT current_setting('synchronous_standby_names') = 'nobody')), 'a standby must have every commit');
is(sql('SELECT publish_within()'), 1, 'published without waiting');
is(sql("SELECT max(seq) FROM mt_events WHERE tenant_id = '$t'"), 4, 'read');
delete $ENV{PGOPTIONS};
append_to_file($node->data_dir . '/postgresql.auto.conf', "synchronous_standby_names = ''\n");
kill_and_start($node);
is(sql("SELECT last_seq FROM mindtickle.event_position WHERE tenant_id = '$t'"), 4, 'it is on this disk at least');

# A snapshot, a write transaction in another database, and one in this that has written an event: tables go round all the same.
$t = new_tenant();
sql("INSERT INTO counter VALUES (1)");
my $snapshot = held('postgres', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM counter');
my $writer = held('other', 'BEGIN; CREATE TABLE held ()');
my $open = held('postgres', "BEGIN; SELECT mindtickle.emit_event('$t', 'late', '{}')");
tend();
emptied('outbox');
my $events = 0;
my $outbox = 0;
sql("SELECT * FROM mt_poll_events('$t', 'c', 1)");
for (1 .. 12)
{
	# Payloads of a kilobyte; a batch and an acknowledgement for a few events each.
	sql("SELECT mindtickle.emit_event('$t', 'a', jsonb_build_object('text', rpad(n::text, 1000, 'x'))) FROM generate_series(1, 9000) AS n \\g /dev/null");
	sql(join("\n", map { "SELECT mindtickle.publish('$t', 30) \\g /dev/null\nSELECT mt_ack_events('$t', 'c', max(seq)) FROM mt_poll_events('$t', 'c', 30) \\g /dev/null" } 1 .. 300));
	$events += 9000;
	tend();
	$outbox += emptied('outbox');
}
is(position($t, 'last_seq'), $events, 'all are published while a snapshot and two write transactions are held');
is(sql("SELECT lag FROM mt_event_consumers WHERE tenant_id = '$t'"), 0, 'and consumed');
cmp_ok($outbox, '>=', 4, 'tables of the outbox were emptied');
cmp_ok(megabytes('outbox'), '<', 50, 'so that they are small: ' . megabytes('outbox') . ' MB of some 140');
is($snapshot->query_safe("SELECT count(*) FROM mindtickle.event_position WHERE tenant_id = '$t'"), 0, 'the old snapshot sees none of it');
$open->query_safe('COMMIT');
is(publish($t, 10), '1|f', 'the event that was not committed is published when it is');
is(sql("SELECT topic FROM mt_events WHERE tenant_id = '$t' AND seq = $events + 1"), 'late', 'with the next number');
like(tend(), qr/emptied outbox_/, 'then its table is emptied too');
$_->query_safe('COMMIT') foreach $writer, $snapshot;
$_->quit foreach $writer, $open, $snapshot;

# What is let go of, where the clock was behind for a while later on, and one is missing.
$t = new_tenant();
emit($node, $t, 'a', 1, 100);
publish_all($t, 100);
foreach my $table (0 .. 3)
{
	sql("UPDATE mindtickle.event_$table SET published_at = now() - interval '2 days' WHERE tenant_id = '$t' AND (seq <= 37 OR seq BETWEEN 60 AND 80)");
	sql("DELETE FROM mindtickle.event_$table WHERE tenant_id = '$t' AND seq = 50");
}
is(sql("SELECT mindtickle.trim_events('$t', now() - interval '1 day', 1000)"), 37, 'events that were published before a moment, and none behind them');
is(sql("SELECT mindtickle.trim_events('$t', now() - interval '1 day', 1000)"), 0, 'nor when it is looked again');
is(sql("SELECT mindtickle.trim_events('$t', now() + interval '1 day', 1000)"), 63, 'all where all are old');

# Tables of positions and of consumers: those in use have grown, so tenants and consumers move to the others.
$t = new_tenant();
emit($node, $t, 'a', 1, 1);
publish_all($t, 10);
sql("SELECT * FROM mt_poll_events('$t', 'c', 1)");
sql("SELECT * FROM mt_poll_events('$t', 'dropped', 1); SELECT mt_drop_consumer('$t', 'dropped')");
my $known = sql('SELECT string_agg(tenant_id || last_seq, \' \' ORDER BY tenant_id) FROM mindtickle.event_position');
my $listed = sql('SELECT string_agg(concat_ws(\' \', tenant_id, consumer, acked_seq), \', \' ORDER BY tenant_id, consumer) FROM mt_event_consumers');
sql("SELECT mindtickle.trim_events('$t', '2000-01-01', 1000)");
$snapshot = held('postgres', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM counter');
foreach my $kind (qw(event_position event_consumer))
{
	emptied($kind);
	# Rows of a tenant that does not exist, to make the table in use large.
	my $in_use = sql("SELECT right(relname, 1) FROM pg_class WHERE relname ~ '^${kind}_[01]\$' AND pg_relation_size(oid) > 0");
	sql($kind eq 'event_position'
		? "INSERT INTO mindtickle.event_position_$in_use SELECT 'nobody', n, 1, 0, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM generate_series(1, 200000) AS n"
		: "INSERT INTO mindtickle.event_consumer_$in_use SELECT 'nobody', 'c', n, 0, now(), NULL, false FROM generate_series(1, 300000) AS n");
	like(tend(), qr/rows go to ${kind}_[01].*moved \d+ rows to ${kind}_[01].*emptied ${kind}_[01]/, "$kind goes over to its other table");
	cmp_ok(emptied($kind), '==', 1, 'and is emptied, whatever snapshot is held');
}
$snapshot->query_safe('COMMIT');
$snapshot->quit;
is(sql('SELECT string_agg(tenant_id || last_seq, \' \' ORDER BY tenant_id) FROM mindtickle.event_position'), $known, 'every tenant stands where it stood');
is(sql('SELECT string_agg(concat_ws(\' \', tenant_id, consumer, acked_seq), \', \' ORDER BY tenant_id, consumer) FROM mt_event_consumers'), $listed, 'and every consumer');

# Published events: a table that holds half of the longest retention is left for another one, and emptied when nobody keeps what is in it.
sql("SELECT mt_configure_tenant(tenant_id, '{\"retain_events\": \"1 hour\"}') FROM mindtickle.tenant \\g /dev/null");
emptied('event');
my $full = sql(q(SELECT right(relname, 1) FROM pg_class WHERE relname ~ '^event_[0-9]$' AND relkind = 'r' ORDER BY pg_relation_size(oid) DESC LIMIT 1));
is(tend(), '', 'what is new stays where it is');
sql("UPDATE mindtickle.event_$full SET published_at = published_at - interval '40 minutes'");
like(tend(), qr/^rows go to event_[0-9]$/, 'after half an hour of an hour events go to another table');
emit($node, $t, 'a', 2, 3);
publish_all($t, 10);
is(in_order($t, 3), '', 'in which they go on');
is(emptied('event'), 0, 'and none is emptied yet');
sql("UPDATE mindtickle.event_$full SET published_at = published_at - interval '40 minutes'");
sql("SELECT mindtickle.trim_events(tenant_id, now() - interval '1 hour', 1000000) FROM mindtickle.tenant WHERE tenant_id <> '$t' \\g /dev/null");
is(tend(), '', 'while one tenant keeps something in it it stays');
sql("SELECT mindtickle.trim_events('$t', now() - interval '1 hour', 1000000)");
is(tend(), "emptied event_$full", 'and is emptied when none does');
is(published($t), '2 a 2, 3 a 3', 'what is kept is there');
is(sql("SELECT seq FROM mt_poll_events('$t', 'new', 1)"), 2, 'and polled');

# No table is free, and one tenant keeps a little in each: it is carried over.
my $step;
for my $n (4 .. 7)
{
	emit($node, $t, 'a', $n, $n);
	publish($t, 10);
	sql("UPDATE mindtickle.event_$_ SET published_at = published_at - interval '40 minutes'") foreach 0 .. 3;
	$step = sql('SELECT mindtickle.tend_events(true)');
}
like($step, qr/^emptied event_[0-3] of all but 1 events$/, 'the table with the fewest is emptied, and what it had carried over');
is(sql(q(SELECT count(*) FROM pg_class WHERE relname ~ '^event_[0-9]$' AND relkind = 'r' AND pg_relation_size(oid) = 0)), 1, 'one table is free');
is(sql("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM mt_events WHERE tenant_id = '$t'"), '2,3,4,5,6,7', 'and every event is there');
is(sql("SELECT string_agg(seq::text, ',') FROM mt_poll_events('$t', 'new', 10)"), '2,3,4,5,6,7', 'in order for who polls');
$node->stop('fast');
done_testing();
