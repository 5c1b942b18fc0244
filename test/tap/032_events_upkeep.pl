# What the upkeep of events may not do: bring back what belonged to a dropped tenant, let a dump come out with a part missing, be stopped by one tenant's
# consumers or by one table. And what is read meanwhile: payloads of a table that is emptied, events that a standby must have before anybody sees them, gaps.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Events;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# mindtickle.databases: no workers here. Few locks, so that a transaction that takes very many of them fails.
my $node = start_node('primary', configuration => "log_statement = none\nmindtickle.databases = 'nowhere'\nfsync = off\nautovacuum = off\n"
	  . "max_connections = 20\nmax_locks_per_transaction = 10\nmax_pred_locks_per_transaction = 10\nwal_level = replica\nmax_wal_senders = 1\n");
add_extension($node);

sub sql
{
	my ($query) = @_;
	return $node->safe_psql('postgres', $query);
}
# What a query says that fails.
sub refusal
{
	my ($query) = @_;
	my ($status, $output, $error) = $node->psql('postgres', $query);
	return $status == 0 ? "no error: $output" : $error;
}
sub held
{
	my ($begin) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe($begin);
	return $session;
}
# Begins a statement in a session, and returns when it has ended or waits for a lock; wait_event may name what else it may wait for.
sub begin_statement
{
	my ($session, $statement, $wait_event) = @_;
	my ($pid) = $session->query_safe('SELECT pg_backend_pid()') =~ /(\d+)/;
	$session->query_until(qr/begun/, "\\echo begun\n$statement;\n");
	ok(poll($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND query LIKE " . quote(substr($statement, 0, 20) . '%')
		  . " AND (state <> 'active' OR wait_event_type = 'Lock' OR wait_event = " . quote($wait_event // '') . ')'), "begun: $statement");
	return $pid;
}
sub waits
{
	my ($pid) = @_;
	return sql("SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid");
}
sub published
{
	my ($tenant, $count) = @_;
	emit($node, $tenant, 'a', 1, $count);
	return sql("SELECT published FROM mindtickle.publish('$tenant', 1000)");
}
sub tend_once
{
	my ($too) = @_;
	return sql('SELECT mindtickle.tend_events(' . ($too // 'false') . ')');
}
sub tend
{
	return tend_events($node, 'false');
}
# Makes the table in use of positions or consumers so large that the other one is taken, by rows of a tenant that does not exist, and returns its number.
my $rows_left = 0;
sub leave_table
{
	my ($kind) = @_;
	tend();
	my $in_use = sql("SELECT right(relname, 1) FROM pg_class WHERE relname ~ '^${kind}_[01]\$' AND pg_relation_size(oid) > 0");
	sql($kind eq 'event_position'
		? "INSERT INTO mindtickle.event_position_$in_use SELECT 'nobody', n, 1, 0, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM generate_series($rows_left + 1, $rows_left + 200000) AS n"
		: "INSERT INTO mindtickle.event_consumer_$in_use SELECT 'nobody', rpad('c', 1000, md5(n::text)), n, 0, now(), NULL, false FROM generate_series($rows_left + 1, $rows_left + 20000) AS n");
	$rows_left += 200000;
	like(tend_once(), qr/^rows go to ${kind}_/, "$kind: another table is taken");
	return $in_use;
}
sub new_tenant
{
	my ($tenant) = @_;
	sql("SELECT mt_create_tenant('$tenant', '$tenant'), mt_configure_tenant('$tenant', '{\"retain_events\": \"1 hour\"}')");
	return;
}

# A tenant is dropped while its position is moved, and while it is dropped its position is not.
new_tenant('x');
is(published('x', 5), 5, 'a tenant with events');
leave_table('event_position');
my $upkeep = held('BEGIN');
like($upkeep->query_safe('SELECT mindtickle.tend_events(false)'), qr/^moved \d+ rows to event_position/, 'its position is moved');
my $dropping = held('SELECT 1');
my $pid = begin_statement($dropping, "SELECT mt_drop_tenant('x')");
is(waits($pid), 't', 'dropping it waits for that');
$upkeep->query_safe('COMMIT');
ok(poll($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'and ends');
is(sql(q(SELECT count(*) FROM mindtickle.event_position WHERE tenant_id = 'x')), 0, 'nothing of it is left');
new_tenant('x');
is(published('x', 1), 1, 'the next tenant of its name publishes');
is(sql(q(SELECT string_agg(seq::text, ',') FROM mt_events WHERE tenant_id = 'x')), 1, 'from 1 on');
leave_table('event_position');
$dropping->query_safe(q(BEGIN; SELECT mt_drop_tenant('x')));
is(tend_once(), '', 'while a tenant is being dropped none is moved');
$dropping->query_safe('COMMIT');
is(sql(q(SELECT count(*) FROM mindtickle.event_position WHERE tenant_id = 'x')), 0, 'nothing of it is left then either');

# The same with a consumer.
new_tenant('x');
published('x', 5);
sql(q(SELECT mt_poll_events('x', 'c', 5); SELECT mt_ack_events('x', 'c', 4)));
leave_table('event_consumer');
$upkeep->query_safe('BEGIN');
like($upkeep->query_safe('SELECT mindtickle.tend_events(false)'), qr/^moved 1 rows to event_consumer/, 'a consumer is moved');
$pid = begin_statement($dropping, "SELECT mt_drop_tenant('x')");
is(waits($pid), 't', 'dropping its tenant waits for that');
$upkeep->query_safe('COMMIT');
ok(poll($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'and ends');
new_tenant('x');
is(sql(q(SELECT count(*) FROM mt_event_consumers WHERE tenant_id = 'x')), 0, 'the next tenant of its name has no consumer');

# And with events that are carried over, where no table is free and each has some that are kept.
tend();
for my $n (1 .. 6)
{
	# The sixth step carries over from the second table to the first: a drop, which goes by their names, has then passed by the first.
	if ($n != 5)
	{
		published('x', $n <= 2 ? 1 : 2);
		sql("UPDATE mindtickle.event_$_ SET published_at = published_at - interval '40 minutes'") foreach 0 .. 3;
	}
	next if $n == 6;
	like(tend_once('true'), $n == 4 ? qr/^emptied event_0 of all but 1 events$/ : qr/^rows go to event_/, $n == 4 ? 'where none is free one is emptied' : 'another table of events is taken');
}
$upkeep->query_safe('BEGIN');
like($upkeep->query_safe('SELECT mindtickle.tend_events(true)'), qr/^emptied event_1 of all but 1 events$/, 'an event is carried over');
$pid = begin_statement($dropping, "SELECT mt_drop_tenant('x')");
is(waits($pid), 't', 'dropping its tenant waits for that');
$upkeep->query_safe('COMMIT');
ok(poll($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'and ends');
new_tenant('x');
is(sql(q(SELECT string_agg(payload::text, ',') FROM mt_events WHERE tenant_id = 'x')), '', 'the next tenant of its name does not see them');
is(published('x', 1), 1, 'and publishes its own');
is(sql(q(SELECT seq FROM mt_poll_events('x', 'c', 10))), 1, 'with the first number');

# A dump whose snapshot is older than the emptying of a table.
my $dumps = PostgreSQL::Test::Utils::tempdir('dumps');
my $exporting = held('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $snapshot = $exporting->query_safe('SELECT pg_export_snapshot()');
published('x', 2);
leave_table('event_position');
like(tend(), qr/moved \d+ rows to event_position_[01]; emptied event_position_[01]/, 'positions are moved after a snapshot was taken');
command_fails_like([ 'pg_dump', '-d', $node->connstr('postgres'), "--snapshot=$snapshot", '-f', "$dumps/late.sql" ],
	qr/ERROR:  could not serialize access: tables of events were emptied after this transaction began/, 'a dump of that snapshot fails');
my $waiting = $exporting->query('SELECT count(*) FROM mindtickle.outbox');
is($waiting, '', 'nor does the snapshot say which events wait');
$exporting->{stderr} = '';
$exporting->query_safe('ROLLBACK');
$exporting->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT mt_provision_user(\'x\', \'{"userId": "u", "name": "U", "email": "u@x.example"}\')');
$exporting->query_safe('SELECT mt_export_user(\'x\', \'u\')');
published('x', 2);
leave_table('event_position');
like(tend(), qr/emptied event_position_[01]/, 'positions are moved again');
like($exporting->query("\\set VERBOSITY sqlstate\nSELECT mt_export_user('x', 'u')\n;\\echo :SQLSTATE"), qr/40001/, 'nor is a user exported with a part missing');
$exporting->quit;
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dumps/new.sql" ], 'the next one does not');
like(slurp_file("$dumps/new.sql"), qr/^x\t/m, 'and has the tenant');

# A tenant with very many consumers that are dropped: it is refused more, others are not, and when the upkeep has passed there is room again.
new_tenant('many');
new_tenant('other');
published('many', 1);
sql(q(SELECT mt_poll_events('many', 'kept', 1)));
my ($status, $output, $error) = $node->psql('postgres', <<'SQL', on_error_stop => 0);
SELECT format('SELECT count(*) FROM mt_poll_events(''many'', ''c%1$s'', 1)', n), format('SELECT mt_drop_consumer(''many'', ''c%1$s'')', n) FROM generate_series(1, 1010) AS n \gexec
SQL
like($error, qr/ERROR:  tenant "many" has had 1000 consumers lately, dropped ones included$/m, 'names of consumers are bounded');
like(refusal(q(SELECT mt_poll_events('many', 'more', 1))), qr/has had 1000 consumers/, 'until a table is emptied');
is(sql(q(SELECT seq FROM mt_poll_events('many', 'kept', 1))), 1, 'those that are there go on');
sql(q(SELECT mt_poll_events('other', 'c', 1)));
like(tend(), qr/emptied event_consumer_/, 'the upkeep does that');
is(sql(q(SELECT seq FROM mt_poll_events('many', 'more', 1))), 1, 'and there is room again');
my $in_use = leave_table('event_consumer');
sql("INSERT INTO mindtickle.event_consumer_$in_use SELECT 'many', 'd' || n, 1, 0, now(), NULL, true FROM generate_series(1, 5000) AS n");
like(tend(), qr/emptied event_consumer_/, 'more dropped ones than a transaction may take locks do not keep a table from being emptied');
is(sql(q(SELECT string_agg(consumer, ',' ORDER BY consumer) FROM mt_event_consumers WHERE tenant_id IN ('many', 'other'))), 'c,kept,more', 'those that are not dropped are there');

# A consumer that begins anew while what it was is moved.
$in_use = leave_table('event_consumer');
sql("INSERT INTO mindtickle.event_consumer_" . (1 - $in_use) . " VALUES ('other', 'again', 1, 0, now(), NULL, false)");
sql("INSERT INTO mindtickle.event_consumer_$in_use VALUES ('other', 'again', 2, 0, now(), NULL, true)");
$upkeep->query_safe('BEGIN');
like($upkeep->query_safe('SELECT mindtickle.tend_events(false)'), qr/^moved \d+ rows to event_consumer/, 'a consumer that is dropped is moved');
my $polling = held('SELECT 1');
$pid = begin_statement($polling, "SELECT mt_poll_events('other', 'again', 1)");
$upkeep->query_safe('COMMIT');
ok(poll($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), 'one that polls by its name meanwhile');
is(sql(q(SELECT count(*) FROM mt_event_consumers WHERE tenant_id = 'other' AND consumer = 'again')), 1, 'begins');
$polling->quit;

# One table that cannot be emptied does not keep the others from it.
tend();
sql(<<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER refuse BEFORE TRUNCATE ON mindtickle.event_overflow_0 EXECUTE FUNCTION refuse();
INSERT INTO mindtickle.event_overflow_0 VALUES ('nobody', 1, 1, 'a', '{}', now());
INSERT INTO mindtickle.event_position_0 SELECT 'nobody', n, 1, 0, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM generate_series(-150000, -100000) AS n;
INSERT INTO mindtickle.event_position_1 SELECT 'nobody', n, 1, 0, NULL, NULL, 0, '0', 0, 0, false, 0, 0, 0 FROM generate_series(-200000, -150001) AS n;
SQL
($status, $output, $error) = $node->psql('postgres', "SELECT mindtickle.tend_events(true);\n" x 4, on_error_stop => 0);
like($error, qr/ERROR:  refused/, 'one table cannot be emptied');
like($output, qr/emptied event_position_/, 'another one is');
sql('DROP TRIGGER refuse ON mindtickle.event_overflow_0');
like(tend(), qr/emptied event_overflow_0/, 'and the first one when it can');

# A cursor that is read after the table of its events was emptied.
new_tenant('large');
sql(q(SELECT mindtickle.emit_event('large', 'a', '{}'), mindtickle.emit_event('large', 'a', (SELECT jsonb_object_agg(n, md5(n::text)) FROM generate_series(1, 1000) AS n))));
sql(q(SELECT mindtickle.publish('large', 10)));
sql(q(SELECT mt_poll_events('large', 'c', 1)));
my $reading = held('BEGIN');
$reading->query_safe(q(DECLARE c CURSOR FOR SELECT payload FROM mt_poll_events('large', 'c', 10)));
is($reading->query_safe('FETCH c'), '{}', 'a first event');
sql('TRUNCATE mindtickle.event_0, mindtickle.event_1, mindtickle.event_2, mindtickle.event_3');
like($reading->query('FETCH c'), qr/"1000": "a9b7ba70783b617e9998dc4dd82eb3c5"/, 'the second one is there although its table was emptied meanwhile');
$reading->quit;

# What waits in a table of the outbox is found without looking at all that was taken from it.
new_tenant('much');
tend();
sql("SELECT mindtickle.emit_event('much', 'a', to_jsonb(repeat('x', 300))) FROM generate_series(1, 60000) \\g /dev/null\n"
	  . "SELECT mindtickle.publish('much', 10000) \\g /dev/null\n" x 7);
my ($left) = grep { sql("SELECT count(*) > 0 FROM mindtickle.outbox_$_ WHERE tenant_id = 'much'") eq 't' } 0 .. 3;
emit($node, 'much', 'a', 1, 1);
like(tend(), qr/^rows go to outbox_[0-9]$/, 'another table is taken, and the one in which an event waits stays');
my $looked_at = sql("BEGIN; SELECT mindtickle.tend_events(false) \\g /dev/null\nSELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relname = 'outbox_$left'");
cmp_ok($looked_at, '<', 100, "that takes a look at $looked_at of its 60001 rows");
sql(q(SELECT mindtickle.publish('much', 10)));
is(tend(), "emptied outbox_$left", 'when nothing waits it is emptied');

# Events that somebody has deleted.
new_tenant('gap');
published('gap', 6);
sql("DELETE FROM mindtickle.event_$_ WHERE tenant_id = 'gap' AND seq IN (3, 4)") foreach 0 .. 3;
is(sql(q(SELECT string_agg(seq::text, ',') FROM mt_poll_events('gap', 'c', 10))), '1,2', 'what is before a gap');
sql(q(SELECT mt_ack_events('gap', 'c', 2)));
like(refusal(q(SELECT mt_poll_events('gap', 'c', 10))), qr/ERROR:  events 3 to 4 of tenant "gap" are missing/, 'then the gap is an error');
sql(q(SELECT mt_ack_events('gap', 'c', 4)));
is(sql(q(SELECT string_agg(seq::text, ',') FROM mt_poll_events('gap', 'c', 10))), '5,6', 'behind which it goes on');

# A position of another cluster, as a restore without triggers brings it.
new_tenant('foreign');
published('foreign', 2);
emit($node, 'foreign', 'a', 3, 3);
sql("UPDATE mindtickle.event_position_$_ SET cursor = '900000000000:900000000000:' WHERE tenant_id = 'foreign'") foreach 0 .. 1;
like(refusal(q(SELECT mindtickle.publish('foreign', 10))), qr/ERROR:  the position of tenant "foreign" in its events is another cluster's/, 'nothing is lost by a position of another cluster');
my ($outbox) = grep { sql("SELECT count(*) > 0 FROM mindtickle.outbox_$_ WHERE tenant_id = 'foreign'") eq 't' } 0 .. 3;
sql("INSERT INTO mindtickle.outbox_$outbox SELECT 'nobody', '0', n, 'a', to_jsonb(repeat('x', 300)), now() FROM generate_series(1, 60000) AS n");
my $steps = tend();
like($steps, qr/rows go to outbox_/, 'another table is taken');
unlike($steps, qr/emptied outbox_$outbox/, 'and the one in which it waits stays');
sql("UPDATE mindtickle.event_position_$_ SET cursor = NULL WHERE tenant_id = 'foreign'") foreach 0 .. 1;
sql("DELETE FROM mindtickle.outbox_$outbox WHERE tenant_id = 'foreign' AND (payload ->> 'n')::int4 < 3");
is(sql(q(SELECT published FROM mindtickle.publish('foreign', 10))), 1, 'which is published when that is mended');
like(tend(), qr/emptied outbox_$outbox/, 'then the table is emptied');

# A restore that is under way: events, and no position yet.
sql("DELETE FROM mindtickle.event_position_$_ WHERE tenant_id = 'gap'") foreach 0 .. 1;
emit($node, 'gap', 'a', 1, 1);
like(refusal(q(SELECT mindtickle.publish('gap', 10))), qr/ERROR:  tenant "gap" has events, but no position/, 'nothing is numbered where the position is missing');

# A consumer of which a restore knows more than of its tenant's events.
new_tenant('ahead');
published('ahead', 2);
sql(q(INSERT INTO mindtickle.event_consumer_0 VALUES ('ahead', 'restored', 1, 500, now(), now(), false)));
like(refusal(q(SELECT mt_poll_events('ahead', 'restored', 10))), qr/ERROR:  consumer "restored" has acknowledged event 500, which is yet to come\n.*mt_drop_consumer\('ahead', 'restored'\)/s,
	'a consumer that would miss what comes is told so');
is(sql(q(SELECT acked_seq, lag, lost FROM mt_event_consumers WHERE tenant_id = 'ahead')), '500||0', 'nobody knows how far it is behind');
is(sql(q(SELECT longest_lag FROM mt_stat_queue WHERE tenant_id = 'ahead')), 0, 'nor does it count as behind');
sql(q(SELECT mt_drop_consumer('ahead', 'restored')));
is(sql(q(SELECT string_agg(seq::text, ',') FROM mt_poll_events('ahead', 'restored', 10))), '1,2', 'when it was dropped it begins anew');
my $keeping = held('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM mt_event_consumers');
published('ahead', 1);
$keeping->query_safe(q(SELECT mt_ack_events('ahead', 'restored', 3)));
is($keeping->query_safe(q(SELECT count(*) FROM mt_poll_events('ahead', 'restored', 10))), 0, 'a transaction may have acknowledged more than its own snapshot shows');
$keeping->query_safe('COMMIT');
$keeping->quit;

# A large table is emptied by whoever is told to, so that the publisher can have another process do it.
sql(q(SELECT mt_drop_tenant('gap')));
new_tenant('bulky');
sub write_much
{
	sql("SELECT count(mindtickle.emit_event('bulky', 'a', jsonb_build_object('text', repeat(md5(n::text), 50)))) FROM generate_series(1, 12000) AS n");
	return;
}
# The largest table of a ring.
sub largest
{
	my ($ring) = @_;
	return sql("SELECT relname FROM pg_class WHERE relname ~ '^${ring}_[0-9]\$' AND relkind = 'r' ORDER BY pg_relation_size(oid) DESC LIMIT 1");
}
sub table_size
{
	my ($table) = @_;
	return sql("SELECT pg_relation_size('mindtickle.$table')");
}
sub empty_table
{
	my ($table) = @_;
	return sql("SELECT mindtickle.empty_event_table('$table')");
}
write_much();
my $large = largest('outbox');
cmp_ok(table_size($large), '>', 16 << 20, 'a large table of the outbox');
like(tend(), qr/rows go to outbox_/, 'which another one follows');
is(empty_table($large), 'f', 'it is not emptied while its events wait');
sql(q(SELECT mindtickle.publish('bulky', 10000))) foreach 1 .. 2;
is(tend_once(), "large: $large", 'it is to be emptied') foreach 1 .. 2;
cmp_ok(table_size($large), '>', 0, 'which tend_events leaves to others');
my $toast = sql("SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'mindtickle.$large'::regclass");
foreach my $read ("mindtickle.$large", $toast)
{
	my $reader = held("BEGIN; SELECT count(*) FROM $read");
	is(tend_once(), '', "not while somebody reads $read");
	is(empty_table($large), 'f', 'who is not waited for long');
	$reader->query_safe('COMMIT');
	$reader->quit;
}
is(empty_table($large), 't', 'it is emptied');
is(table_size($large), 0, 'as a whole');
is(tend_once(), '', 'and no more is to be done');
is(empty_table($large), 'f', 'nor is it done twice');
my $writing = held("BEGIN; SELECT mindtickle.emit_event('bulky', 'a', '{}')");
my ($written) = $writing->query_safe(q(SELECT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation::regclass::text ~ 'outbox_[0-9]$')) =~ /(outbox_[0-9])/;
is(empty_table($written), 'f', 'nor a table that somebody has written to');
$writing->query_safe('COMMIT');
$writing->quit;
is(empty_table($written), 'f', 'or that has events which wait');
is(sql(q(SELECT published FROM mindtickle.publish('bulky', 10000))), 1, 'none is lost');

# One that is not emptied keeps nothing else from its turn, nor another large one.
sub next_steps
{
	my ($count) = @_;
	return join('; ', map { $upkeep->query_safe('SELECT mindtickle.tend_events(false)') } 1 .. $count);
}
write_much();
$large = largest('outbox');
sql(q(SELECT mindtickle.publish('bulky', 10000))) foreach 1 .. 2;
like(next_steps(2), qr/^rows go to outbox_\d; large: $large$/, 'a large table is to be emptied');
sql("INSERT INTO mindtickle.event_overflow_$_ SELECT 'nobody', n, n, 'a', '{}', now() FROM generate_series(1, 10) AS n") foreach 0 .. 1;
is(next_steps(3), "emptied event_overflow_0; emptied event_overflow_1; large: $large", 'after all that is small');
sql(q(SELECT mt_configure_tenant('bulky', '{"queue_limit": 1000}')));
write_much();
my $second = sql("SELECT relname FROM pg_class WHERE relname ~ '^outbox_[0-9]\$' AND relname <> '$large' ORDER BY pg_relation_size(oid) DESC LIMIT 1");
like(next_steps(1), qr/^rows go to outbox_\d$/, 'another large table');
sql(q(SELECT mindtickle.publish('bulky', 10000))) foreach 1 .. 2;
my $overflow = largest('event_overflow');
cmp_ok(table_size($overflow), '>', 16 << 20, 'and one of the overflow');
like(next_steps(1), qr/^rows go to event_overflow_\d$/, 'which is no longer written to');
is(empty_table($overflow), 'f', 'it is not emptied while it has events');
sql(q(SELECT mindtickle.publish('bulky', 10000))) foreach 1 .. 3;
is(sql(q(SELECT waiting + overflow FROM mt_stat_queue WHERE tenant_id = 'bulky')), 0, 'until all is published');
is(join('; ', sort split(/; /, next_steps(3))), join('; ', sort map { "large: $_" } $large, $second, $overflow), 'each of the three has its turn');
is(empty_table($_), 't', "$_ is emptied") foreach $large, $second;
is(next_steps(1), "large: $overflow", 'then the one of the overflow');
is(empty_table($overflow), 't', 'is emptied, too');
is(next_steps(1), '', 'and nothing is left');

# Tables of positions and of consumers are, too, but not the one in which somebody stands.
foreach my $kind ('event_position', 'event_consumer')
{
	my $left_table = leave_table($kind);
	my $step;
	is(empty_table("${kind}_$left_table"), 'f', "a table of ${kind}s is not emptied before all have moved");
	do { $step = tend_once() } while ($step =~ /^moved/);
	is($step, "large: ${kind}_$left_table", 'it is to be emptied when they have');
	is(empty_table("${kind}_" . (1 - $left_table)), 'f', 'the other one is not emptied');
	is(empty_table("${kind}_$left_table"), 't', 'it is');
}

# What is kept out of line counts; and a part of upkeep that fails keeps no large table from its turn.
sql(<<"SQL") foreach 0 .. 1;
INSERT INTO mindtickle.event_overflow_$_ SELECT 'nobody', n, n, 'a', jsonb_build_object('text', (SELECT string_agg(md5(n || '.' || i), '') FROM generate_series(1, 150) AS i)), now()
FROM generate_series(1, 5000) AS n
SQL
($large) = next_steps(1) =~ /^large: (event_overflow_\d)$/;
cmp_ok(table_size($large), '<', 1 << 20, 'a small table with much out of line is a large one');
sql(<<'SQL');
CREATE TRIGGER refuse BEFORE TRUNCATE ON mindtickle.event_consumer_0 EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE TRUNCATE ON mindtickle.event_consumer_1 EXECUTE FUNCTION refuse();
INSERT INTO mindtickle.event_consumer_0 VALUES ('nobody', 'c', 1, 1, now(), NULL, false);
INSERT INTO mindtickle.event_consumer_1 VALUES ('nobody', 'c', 2, 1, now(), NULL, false);
SQL
($status, $output, $error) = $node->psql('postgres', "SELECT mindtickle.tend_events(false);\n" x 6, on_error_stop => 0);
like($error, qr/ERROR:  refused/, 'tables of consumers cannot be emptied');
like($output, qr/large: $large/, 'the large one is told');
sql("DROP TRIGGER refuse ON mindtickle.event_consumer_$_") foreach 0 .. 1;
is(empty_table($large), 't', 'and emptied');
my ($other) = grep { $_ ne $large } 'event_overflow_0', 'event_overflow_1';
like(next_steps(4), qr/rows go to $large; .*large: $other$/, 'then the one in use is left');
is(empty_table($other), 't', 'and emptied, too');

# Events that are published.
my $kept = largest('event');
cmp_ok(table_size($kept), '>', 16 << 20, 'a large table of published events');
is(empty_table($kept), 'f', 'it is not emptied while they are kept');
sql(q(SELECT mindtickle.trim_events(tenant_id, now() + interval '1 hour', 1000000) FROM mindtickle.tenant));
is(empty_table($kept), 't', 'nor left when they are not');
is(sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'bulky')), 0, 'nobody sees them any more');
like(refusal("SELECT mindtickle.empty_event_table('$_')"), qr/ERROR:  "$_" is no table of events$/m, "$_ is not emptied that way")
	foreach 'tenant', '';

# A standby that must have every commit, and does not exist.
new_tenant('safe');
$ENV{PGOPTIONS} = '-c synchronous_commit=local';
emit($node, 'safe', 'a', 1, 1);
my $publication = $node->background_psql('postgres', on_error_stop => 0);
$publication->query_safe('SET synchronous_commit = on');
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->reload;
ok(poll($node, q(SELECT current_setting('synchronous_standby_names') = 'nobody')), 'a standby must have every commit');
$pid = begin_statement($publication, q(SELECT published FROM mindtickle.publish('safe', 1)), 'SyncRep');
is(sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $pid AND state = 'active'"), 'SyncRep', 'a publication waits for it as any writer does');
is(sql(q(SELECT count(*) FROM mt_events WHERE tenant_id = 'safe')), 0, 'so that nobody sees what it has not');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
ok(poll($node, q(SELECT count(*) = 1 FROM mt_events WHERE tenant_id = 'safe')), 'and ends when it needs not');
delete $ENV{PGOPTIONS};
$_->quit foreach $publication, $upkeep, $dropping;
$node->stop('fast');
done_testing();
