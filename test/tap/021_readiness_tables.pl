# The tables of readiness stay small while somebody holds a snapshot, or a write transaction, and others write: deltas go round their ring, summaries and
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

my $node = start_node('primary', configuration => "jit = off\nmax_wal_size = 8GB\nfsync = off\n");
add_extension($node);
$node->safe_psql('postgres', q(SELECT mt_create_tenant('rt-a', 'A'), mt_create_tenant('rt-b', 'B');
	CREATE FUNCTION long(text, int4) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT rpad($1 || $2, 200, ''x'')';
	INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT 'rt-a', long('u', i), i % 10 > 0 FROM generate_series(1, 8000) AS i;
	INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rt-a', long('u', i), long('c', i % 20), 'in_progress' FROM generate_series(1, 8000) AS i;
	INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-b', 'only', 'c', 'q', '2026-01-01Z', 50, 'sql')));

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

# Waits until everything is folded, and tables that could be emptied are.
sub settle
{
	my ($what) = @_;
	ok(poll($node, q(SELECT count(*) = 0 FROM mindtickle.tenants_to_fold())), "$what: everything is folded");
}

emptied($_) foreach qw(delta summary user);

# Two who hold something: one a snapshot, one a transaction that has written deltas.
my $reader = $node->background_psql('postgres', on_error_stop => 1);
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $as_read = $reader->query_safe($figures);
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->query_safe('BEGIN');
$writer->query_safe(q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rt-a', long('u', 1), 'c', 'held', '2026-01-01Z', 100, 'sql')));
my $emptied = 0;
for (1 .. 6)
{
	write_batches(60);
	$emptied += poll($node, q(SELECT count(*) < 3 FROM pg_class WHERE relname ~ '^readiness_delta_[0-9]$' AND pg_relation_size(oid) > 0)) ? emptied('delta') : 0;
}
cmp_ok($emptied, '>=', 3, 'delta tables are emptied while a snapshot and a write transaction are held');
cmp_ok(megabytes('delta'), '<', 48, 'and stay small: ' . megabytes('delta') . ' MB of some 70');
settle('with both held');
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
$reader->quit;

# A statement of very many users and courses asks for a new count, and gets it.
$node->safe_psql('postgres', q(INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rt-b', 'u' || i, 'c' || j, 'completed' FROM generate_series(1, 3000) AS i, generate_series(1, 40) AS j));
is($node->safe_psql('postgres', q(SELECT assignments FROM mt_readiness('rt-b'))), 120000, 'a large statement counts at once');
settle('after it');
is($node->safe_psql('postgres', $wrong), '', 'the figures are exact');
ok(poll($node, q(SELECT count(*) = 0 FROM mindtickle.readiness_delta_0 AS d WHERE d.entries IS NULL AND d.xid >= pg_snapshot_xmax(pg_current_snapshot()))), 'and no count is asked for any more');

# Nobody keeps the others waiting: a reader and a writer of readiness in the middle of their transactions, and a lock of somebody else's on the tables.
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE mindtickle.readiness_delta_0, mindtickle.readiness_delta_1, mindtickle.readiness_delta_2, mindtickle.readiness_delta_3 IN ACCESS SHARE MODE');
emptied('delta');
write_batches(100);
is(emptied('delta'), 0, 'tables that are locked are not emptied');
settle('while they are locked');
is($node->safe_psql('postgres', $wrong), '', 'and the figures are exact');
$locker->query_safe('COMMIT');
$locker->quit;
write_batches(10);
ok(poll($node, q(SELECT count(*) < 3 FROM pg_class WHERE relname ~ '^readiness_delta_[0-9]$' AND pg_relation_size(oid) > 0)), 'they are when they can be');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_stat_worker WHERE errors > 0)), 0, 'and no worker has met an error');
$node->stop('fast');
done_testing();
