# The tables of readiness stay small while somebody holds a snapshot, or a write transaction, in this database or another, and others write: deltas go round their ring, summaries and
# figures of users and courses go over to their other table, and each is emptied without waiting for anybody. Whoever has a snapshot from before that
# still gets the figures of his snapshot.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary', configuration => "jit = off\nmax_wal_size = 8GB\nfsync = off\nmax_prepared_transactions = 20\n");
add_extension($node);
$node->safe_psql('postgres', q(SELECT mt_create_tenant('rt-a', 'A'), mt_create_tenant('rt-b', 'B');
	CREATE FUNCTION long(text, int4) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT rpad($1 || $2, 200, ''x'')';
	INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT 'rt-a', long('u', i), i % 10 > 0 FROM generate_series(1, 8000) AS i;
	INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rt-a', long('u', i), long('c', i % 20), 'in_progress' FROM generate_series(1, 8000) AS i;
	INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-b', 'only', 'c', 'q', '2026-01-01Z', 50, 'sql')));

# A reader of readiness looks at six tables with an index each, and at some rows of the tenant's and its users'.
use constant READ_BLOCKS => 60;

my $figures = q(SELECT concat_ws(' ', avg_score, completion_rate, learners, quiz_results, assignments, completed) FROM mt_readiness('rt-a'));
my $wrong = q(SELECT coalesce(string_agg(format('%s %s: %s, not %s', scope, figure, kept, recomputed), E'\n'), '') FROM unnest('{rt-a,rt-b}'::text[]) AS t, mt_verify_readiness(t) WHERE NOT equal);

# How often tables of this kind were emptied: each time they get a new file.
my %files;
sub emptied
{
	my ($kind) = @_;
	my $files = $node->safe_psql('postgres', "SELECT string_agg(relname || '=' || relfilenode, ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^readiness_${kind}_[0-9]\$'");
	my %now = map { split /=/ } split / /, $files;
	my $changed = grep { ($files{$kind}{$_} // $now{$_}) ne $now{$_} } keys %now;
	$files{$kind} = \%now;
	return $changed;
}

sub megabytes
{
	my ($kind) = @_;
	return $node->safe_psql('postgres', "SELECT ceil(sum(pg_total_relation_size(oid)) / 1e6) FROM pg_class WHERE relname ~ '^readiness_${kind}_[0-9]\$'");
}

# Statements of 500 rows each, in transactions of their own: with such long ids about 200 kB of deltas a statement.
sub write_batches
{
	my ($statements) = @_;
	$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1 .. $statements LOOP
		UPDATE mindtickle.course_progress SET status = CASE status WHEN 'completed' THEN 'in_progress' ELSE 'completed' END
			WHERE tenant_id = 'rt-a' AND user_id IN (SELECT long('u', 1 + (i * 500 + j) % 8000) FROM generate_series(1, 500) AS j);
		COMMIT; END LOOP; END \$\$");
}

# Writes several times as many deltas as a table may have, and returns how often one was emptied meanwhile.
sub write_much
{
	my ($times) = @_;
	my $count = 0;
	for (1 .. $times)
	{
		write_batches(60);
		$count += poll($node, q(SELECT count(*) < 3 FROM pg_class WHERE relname ~ '^readiness_delta_[0-9]$' AND pg_relation_size(oid) > 0)) ? emptied('delta') : 0;
	}
	return $count;
}

sub blocks_in
{
	my ($plan) = @_;
	return $plan =~ /Buffers: shared hit=(\d+)(?: read=(\d+))?/ ? $1 + ($2 // 0) : die "no count of blocks in: $plan";
}

# How many blocks a reader of a tenant's readiness looks at, who has read it before.
sub blocks_read
{
	my ($tenant) = @_;
	my @plans = split /^(?=Result)/m, $node->safe_psql('postgres', join('; ', ("EXPLAIN (ANALYZE, BUFFERS) SELECT mt_readiness('$tenant')") x 3));
	return blocks_in($plans[2]);
}

# Waits until everything is folded, and tables that could be emptied are.
sub settle
{
	my ($what) = @_;
	ok(poll($node, q(SELECT count(*) = 0 FROM mindtickle.tenants_to_fold())), "$what: everything is folded");
}

emptied($_) foreach qw(delta summary user);

# Two who hold something: one a snapshot, one a transaction that has written deltas.
my $reader = $node->background_psql('postgres', on_error_stop => 1);
$reader->set_query_timer_restart;
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $as_read = $reader->query_safe($figures);
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->set_query_timer_restart;
$writer->query_safe('BEGIN');
$writer->query_safe(q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-a', long('u', 1), 'c', 'held', '2026-01-01Z', 100, 'sql')));
my $emptied = write_much(6);
cmp_ok($emptied, '>=', 3, 'delta tables are emptied while a snapshot and a write transaction are held');
cmp_ok(megabytes('delta'), '<', 48, 'and stay small: ' . megabytes('delta') . ' MB of some 70');
settle('with both held');
cmp_ok(blocks_read('rt-a'), '<', READ_BLOCKS, 'a reader looks at few blocks: ' . blocks_read('rt-a'));
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
is($reader->query_safe($figures), $as_read, 'and those of the snapshot are as they were');
is($reader->query_safe($wrong), '', 'as its rows say');
is($writer->query_safe($wrong), '', 'the writer sees its own');
is($writer->query_safe($figures), $node->safe_psql('postgres', $figures) =~ s/^(\S+ \S+) 0 /100.0000 $1 1 /r, 'and nobody else does');

# Figures of users are updated for the same users again and again, and nothing of it can be vacuumed.
$emptied = emptied('user');
for (1 .. 20)
{
	write_batches(16);
	$node->safe_psql('postgres', q(SELECT mindtickle.fold_readiness('rt-a', true)));
	$emptied += emptied('user');
}
ok(poll($node, q(SELECT count(*) = 1 FROM pg_class WHERE relname ~ '^readiness_user_[0-9]$' AND pg_relation_size(oid) > 0)), 'they are in one table');
$emptied += emptied('user');
cmp_ok($emptied, '>=', 1, 'to which they went over');
cmp_ok(megabytes('user'), '<', 50, 'and which is small: ' . megabytes('user') . ' MB');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
is($reader->query_safe($wrong), '', 'also those of the old snapshot');

# A summary for each fold, of a tenant that is written to in small transactions; some of them are folded by the aggregator together.
my $script = PostgreSQL::Test::Utils::tempdir('folds') . '/fold.sql';
append_to_file($script, q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-b', 'u', 'c', 'q', clock_timestamp(), 1, 'sql') ON CONFLICT DO NOTHING;
SELECT mindtickle.fold_readiness('rt-b', false);
));
emptied('summary');
$node->command_ok([ 'pgbench', '-n', '-c', '1', '-t', '40000', '-f', $script, $node->connstr('postgres') ], 'many folds');
ok(poll($node, q(SELECT count(*) = 1 FROM pg_class WHERE relname ~ '^readiness_summary_[0-9]$' AND pg_relation_size(oid) > 0)), 'summaries are in one table');
cmp_ok(emptied('summary'), '>=', 1, 'to which they went over');
cmp_ok(megabytes('summary'), '<', 6, 'and which is small: ' . megabytes('summary') . ' MB');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
is($reader->query_safe($figures), $as_read, 'those of the old snapshot as well');
is($reader->query_safe($wrong), '', 'as its rows say');

# What was held comes to its end.
$writer->query_safe('COMMIT');
$writer->quit;
settle('once the writer has committed');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
is($node->safe_psql('postgres', q(SELECT quiz_results FROM mt_readiness('rt-a'))), 1, 'with what it wrote');
$reader->query_safe('COMMIT');
$reader->quit;

# The same is held in another database.
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
my $other_reader = $node->background_psql('elsewhere', on_error_stop => 1);
$other_reader->set_query_timer_restart;
$other_reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$other_reader->query_safe('SELECT count(*) FROM pg_class');
my $other_writer = $node->background_psql('elsewhere', on_error_stop => 1);
$other_writer->set_query_timer_restart;
$other_writer->query_safe('BEGIN');
$other_writer->query_safe('CREATE TABLE held ()');
emptied('delta');
cmp_ok(write_much(6), '>=', 3, 'delta tables are emptied while a snapshot and a write transaction are held in another database');
cmp_ok(megabytes('delta'), '<', 48, 'and stay small: ' . megabytes('delta') . ' MB of some 70');
settle('with both held in another database');
cmp_ok(megabytes($_), '<', 50, "those of the kind $_ as well: " . megabytes($_) . ' MB') foreach qw(summary user course);
cmp_ok(blocks_read('rt-a'), '<', READ_BLOCKS, 'a reader looks at few blocks: ' . blocks_read('rt-a'));
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
$other_writer->query_safe('COMMIT');
$other_writer->quit;
$other_reader->query_safe('COMMIT');
$other_reader->quit;

# Many write transactions, which the next fold takes note of, and which then end: the notes go without the tenant being changed. An aggregator that starts
# looks at all tenants, as it does once a minute.
my $listed = q(SELECT count(*) FROM (SELECT s.cursor FROM (TABLE mindtickle.readiness_summary_0 UNION ALL TABLE mindtickle.readiness_summary_1) AS s
	WHERE s.tenant_id = 'rt-b' ORDER BY s.fold DESC LIMIT 1) AS newest, pg_snapshot_xip(newest.cursor));
$node->safe_psql('postgres', "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'open $_'") foreach 1 .. 8;
$node->safe_psql('postgres', q(DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$));
$node->safe_psql('postgres', q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-b', 'only', 'c', 'q', '2026-01-02Z', 60, 'sql')));
settle('with many write transactions open');
cmp_ok($node->safe_psql('postgres', $listed), '>=', 8, 'a fold notes them');
ok(poll($node, q(SELECT detail_cursor::text = cursor::text FROM (TABLE mindtickle.readiness_summary_0 UNION ALL TABLE mindtickle.readiness_summary_1) AS s
	WHERE tenant_id = 'rt-b' ORDER BY fold DESC LIMIT 1)), 'figures of users and courses are folded');
# Not while many others are under way: what would be noted then is no better, and so on as long as they follow each other.
my $worn = q(SELECT count(*) FROM mindtickle.tenants_to_fold() AS t (tenant_id) WHERE tenant_id = 'rt-b');
$node->safe_psql('postgres', "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'next $_'") foreach 1 .. 8;
$node->safe_psql('postgres', q(DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$));
$node->safe_psql('postgres', "ROLLBACK PREPARED 'open $_'") foreach 1 .. 8;
is($node->safe_psql('postgres', $worn), 0, 'while as many others are open the notes stay');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'next $_'") foreach 1 .. 8;
$node->safe_psql('postgres', q(SELECT pg_terminate_backend(pid) FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator'));
ok(poll($node, "SELECT ($listed) < 4"), 'and they are not noted any more after they have ended');
settle('after them');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');

# A statement of very many users and courses asks for a new count, and gets it: from a process of its own, as there are many rows, so that the aggregator goes
# on with others. Somebody holds rows that the count must replace; it gives up after a while, and is begun again.
ok(poll($node, q(SELECT detail_cursor::text = cursor::text FROM (TABLE mindtickle.readiness_summary_0 UNION ALL TABLE mindtickle.readiness_summary_1) AS s
	WHERE tenant_id = 'rt-b' ORDER BY fold DESC LIMIT 1)), 'figures of users and courses are folded');
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->set_query_timer_restart;
$holder->query_safe('BEGIN');
$holder->query_safe("SELECT user_id FROM mindtickle.readiness_user_$_ WHERE tenant_id = 'rt-b' FOR UPDATE") foreach 0 .. 1;
$node->safe_psql('postgres', q(INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rt-b', 'u' || i, 'c' || j, 'completed' FROM generate_series(1, 3000) AS i, generate_series(1, 40) AS j));
is($node->safe_psql('postgres', q(SELECT assignments FROM mt_readiness('rt-b'))), 120000, 'a large statement counts at once');
my $counting = q(EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'mindtickle helper' AND wait_event_type = 'Lock'));
ok(poll($node, "SELECT $counting"), 'it is counted in a process of its own, which waits');
$node->safe_psql('postgres', q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-a', long('u', 1), 'c', 'meanwhile', '2026-01-01Z', 100, 'sql')));
ok(poll($node, "SELECT $counting AND 'rt-a' NOT IN (SELECT mindtickle.tenants_to_fold()) AND 'rt-b' IN (SELECT mindtickle.tenants_to_fold())"), 'and another tenant is folded meanwhile');
my $in_vain = q(SELECT last_error LIKE 'the rows of tenant "rt-b" must be counted anew once more: %' FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator');
ok(poll($node, $in_vain), 'a count that fails shows in mt_stat_worker');
$holder->query_safe('COMMIT');
$holder->quit;
settle('after it');
ok(poll($node, q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mindtickle helper')), 'the process has ended');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
ok(poll($node, q(SELECT count(*) = 0 FROM mindtickle.readiness_delta_0 AS d WHERE d.entries IS NULL AND d.xid >= pg_snapshot_xmax(pg_current_snapshot()))), 'and no count is asked for any more');

# Figures of courses grow: as long as they are there they stay where they are. When most of them are gone, the others go over to the other tables, with those of users.
my $used = q(SELECT string_agg(relname, ' ') FROM pg_class WHERE relname ~ '^readiness_course_[0-9]$' AND pg_relation_size(oid) > 0);
my $folded = q(SELECT detail_cursor::text = cursor::text FROM (TABLE mindtickle.readiness_summary_0 UNION ALL TABLE mindtickle.readiness_summary_1) AS s
	WHERE tenant_id = 'rt-b' ORDER BY fold DESC LIMIT 1);
my $used_before = $node->safe_psql('postgres', $used);
like($used_before, qr/^readiness_course_[0-9]$/, 'figures of courses are in one table');
$node->safe_psql('postgres', q(INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rt-b', 'scholar', long('k', i), 'completed' FROM generate_series(1, 75000) AS i));
settle('with many courses');
ok(poll($node, $folded), 'and so are the figures of courses');
cmp_ok(megabytes('course'), '>', 17, 'they have grown: ' . megabytes('course') . ' MB');
my $looked = $node->safe_psql('postgres', q(SELECT rounds FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator'));
$node->safe_psql('postgres', q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-a', long('u', 1), 'c', 'later', '2026-01-01Z', 100, 'sql')));
ok(poll($node, "SELECT rounds > $looked + 1 AND 'rt-a' NOT IN (SELECT mindtickle.tenants_to_fold()) FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator'"), 'the aggregator has looked at them');
is($node->safe_psql('postgres', $used), $used_before, 'and stay where they are');
# As these are many, that is done by a process of its own. Meanwhile totals are folded, however long it takes: somebody has a lock on one of the tables.
my $other = 1 - ($used_before =~ /(\d)$/)[0];
$holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->set_query_timer_restart;
$holder->query_safe("BEGIN; LOCK TABLE mindtickle.readiness_user_$other IN SHARE MODE");
$node->safe_psql('postgres', q(DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rt-b' AND user_id = 'scholar' AND course_id < long('k7', 0)));
ok(poll($node, "SELECT $counting"), 'figures are moved in a process of its own, which waits');
$node->safe_psql('postgres', q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-b', 'only', 'c', 'q', '2026-01-03Z', 70, 'sql')));
ok(poll($node, "SELECT $counting AND 'rt-b' NOT IN (SELECT mindtickle.tenants_to_fold())"), 'and its totals are folded meanwhile');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
$holder->query_safe('COMMIT');
$holder->quit;
ok(poll($node, "SELECT ($used) ~ '^readiness_course_[0-9]\$' AND ($used) <> '$used_before'"), 'and go over to the other one when most of them are gone');
settle('after that');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');

# Nobody keeps the others waiting: a reader and a writer of readiness in the middle of their transactions, and a lock of somebody else's on the tables.
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->set_query_timer_restart;
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE mindtickle.readiness_delta_0, mindtickle.readiness_delta_1, mindtickle.readiness_delta_2, mindtickle.readiness_delta_3 IN ACCESS SHARE MODE');
emptied('delta');
write_batches(100);
is(emptied('delta'), 0, 'tables that are locked are not emptied');
settle('while they are locked');
is($node->safe_psql('postgres', $wrong), '', 'and the figures are exact');

# It is known which of them are not needed any more, before they are emptied. Whoever has a snapshot from between does not open them then, nor count rows because they are new.
my $in_use = $node->safe_psql('postgres', 'SELECT tableoid::regclass FROM (' . join(' UNION ALL ', map { "SELECT tableoid, xid FROM mindtickle.readiness_delta_$_" } 0 .. 3) . ') AS d ORDER BY xid DESC LIMIT 1');
my $grown = $node->safe_psql('postgres', "SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relname ~ '^readiness_delta_[0-9]\$' AND pg_relation_size(oid) > 0 AND oid <> '$in_use'::regclass");
like($grown, qr/,/, 'tables of deltas are waiting to be emptied');
$reader = $node->background_psql('postgres', on_error_stop => 0);
$reader->query_safe('BEGIN');
$reader->set_query_timer_restart;
my $between;
foreach (1 .. $PostgreSQL::Test::Utils::timeout_default)
{
	sleep(1);
	$locker->query_safe("SAVEPOINT here; LOCK TABLE $grown IN ACCESS EXCLUSIVE MODE");
	$between = $reader->query("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL lock_timeout = '100ms'; $figures");
	last if $between ne '';
	$locker->query_safe('ROLLBACK TO SAVEPOINT here');
}
emptied('delta');
$locker->query_safe('COMMIT');
$locker->quit;
ok(poll($node, "SELECT bool_and(pg_relation_size(oid) = 0) FROM pg_class WHERE oid = ANY (string_to_array('$grown', ', ')::regclass[])"), 'then they are emptied');
write_batches(1);
is($reader->query($figures), $between, 'a snapshot from before that shows the same');
cmp_ok(blocks_in($reader->query("EXPLAIN (ANALYZE, BUFFERS) SELECT mt_readiness('rt-a')")), '<', READ_BLOCKS, 'and looks at few blocks');
is($reader->query_safe($wrong), '', 'as its rows say');
$reader->query_safe('COMMIT');
$reader->quit;
write_batches(10);
ok(poll($node, q(SELECT count(*) < 3 FROM pg_class WHERE relname ~ '^readiness_delta_[0-9]$' AND pg_relation_size(oid) > 0)), 'they are when they can be');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_stat_worker WHERE errors > 0 AND last_error NOT LIKE 'the rows of tenant "rt-b" must be counted anew once more: %')), 0, 'and no worker has met another error');

# Tables that are empty are known soon after a start, and who reads opens none of them: not even somebody's lock is in the way.
$node->restart;
my $empty = $node->safe_psql('postgres', q(SELECT string_agg('mindtickle.' || relname, ', ') FROM pg_class WHERE relname ~ '^readiness_delta_[1-9]$' AND pg_relation_size(oid) = 0));
like($empty, qr/,/, 'some tables of deltas are empty');
my $reads;
foreach (1 .. $PostgreSQL::Test::Utils::timeout_default)
{
	# After a fold the aggregator looks at the tables once more, should it have met the lock.
	write_batches(1);
	sleep(1);
	$locker = $node->background_psql('postgres', on_error_stop => 1);
	$locker->query_safe("BEGIN; LOCK TABLE $empty IN ACCESS EXCLUSIVE MODE");
	$reads = $node->psql('postgres', "SET lock_timeout = '100ms'; $figures") == 0;
	$locker->query_safe('ROLLBACK');
	$locker->quit;
	last if $reads;
}
ok($reads, 'a reader does not open those that are known to be empty');
write_batches(60);
settle('in the next ones');
is($node->safe_psql('postgres', $wrong), '', 'and finds what is written to them afterwards');
$node->stop('fast');
done_testing();
