# Readiness under six writers of two tenants: the figures of every snapshot equal a recomputation from the rows in that snapshot, while the aggregator
# and another process fold, while snapshots and write transactions are held open, across kills of the postmaster, and for transactions that are
# prepared before a kill and committed after it.
#
# READINESS_SNAPSHOTS (150) is the number of snapshots. READINESS_KILLS (3) is how often the postmaster is killed; as many snapshots are taken again,
# spread over the kills where these are 10 or more. Many of both take longer than a suite may by itself, which TEST_SECONDS of "make test" changes:
#
#   READINESS_SNAPSHOTS=1000 READINESS_KILLS=20 TEST_SECONDS=20000 make test TESTS=tap/019_readiness_exact

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use List::Util qw(max min);
use MindTickle::Readiness;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $snapshots = $ENV{READINESS_SNAPSHOTS} // 150;
my $kills = $ENV{READINESS_KILLS} // 3;
my $before_kill = max(10, int($snapshots / max($kills, 10)));
# While transactions are prepared nothing can be vacuumed, and each snapshot takes longer than the one before.
use constant KILLS_WHILE_PREPARED => 3;

my $node = start_node('primary', configuration => "max_prepared_transactions = 4\njit = off\ndeadlock_timeout = 50ms\nlog_statement = none\nmax_wal_size = 4GB\n");
add_extension($node);
add_readiness($node);
is(inexact($node), '', 'the figures before any writer');

# A result recorded, and a user switched off, in a transaction that ends later.
sub left_open
{
	my ($quiz, $tenant, $person) = @_;
	return "INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		SELECT '$tenant', 'held ' || i, 'c1', '$quiz', '2026-01-01Z', i, 'sql' FROM generate_series(0, 100) AS i;
		UPDATE mindtickle.course_progress SET status = 'completed' WHERE tenant_id = '$tenant' AND user_id = '$person';
		INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('$tenant', '$quiz', false), ('$tenant', 'held " . length($quiz) . "', false)";
}
my $figures = q(SELECT string_agg(checker.figures(t), ', ' ORDER BY t) FROM unnest('{rx-0,rx-1}'::text[]) AS t);
my $held = q(SELECT count(*) FROM mindtickle.quiz_submission WHERE user_id LIKE 'held %');

# What is held open from here on.
my $reader = $node->background_psql('postgres', on_error_stop => 1);
$reader->set_query_timer_restart;
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $as_read = $reader->query_safe($figures);
my $writer = $node->background_psql('postgres', on_error_stop => 1);
$writer->set_query_timer_restart;
$writer->query_safe('BEGIN');
$writer->query_safe(left_open('open', 'rx-0', 'busy'));
$node->safe_psql('postgres', 'BEGIN; ' . left_open('prepared', 'rx-1', 'busy') . q(; PREPARE TRANSACTION 'committed'));
$node->safe_psql('postgres', 'BEGIN; ' . left_open('given up', 'rx-0', 'busy') . q(; PREPARE TRANSACTION 'rolled back'));

my $writers = start_writers($node);
my ($equal, $seen, $differing) = take_snapshots($node, $snapshots);
is($equal, $snapshots, 'every snapshot is exact') or diag($differing);
cmp_ok($seen, '>', $snapshots / 10, 'and they saw many different figures');

is($reader->query_safe($figures), $as_read, 'a snapshot that was held all the time has the figures it had');
is($reader->query_safe(q(SELECT checker.inexact('rx-0', 'rx-1'))), '', 'which are those of its rows');
$reader->quit;
is($writer->query_safe(q(SELECT checker.inexact('rx-0', 'rx-1'))), '', 'a transaction that was open all the time sees what it wrote itself and what others committed');
$writer->query_safe(q(SAVEPOINT a; DELETE FROM mindtickle.quiz_submission WHERE user_id = 'held 7'));
is($writer->query_safe(q(SELECT checker.inexact('rx-0', 'rx-1'))), '', 'also when it goes on');
$writer->query_safe('ROLLBACK TO a');
$writer->query_safe('COMMIT');
$writer->quit;
is($node->safe_psql('postgres', $held), 101, 'what it wrote is committed');
($equal, $seen, $differing) = take_snapshots($node, 20);
is($equal, 20, 'and counts from then on') or diag($differing);
is(stop_writers($writers), '', 'no writer failed');
is(inexact($node), '', 'the figures are exact once all is quiet');
is(parts_differ($node), '', 'and so does the drill-down add up');

# Killed again and again.
sub kill_in_mid_write
{
	my ($round) = @_;
	$writers = start_writers($node);
	($equal, $seen, $differing) = take_snapshots($node, $before_kill);
	is($equal, $before_kill, "round $round: every snapshot is exact") or diag($differing);
	kill_and_start($node);
	stop_writers($writers);
	is(inexact($node), '', "round $round: the figures are exact after kill -9 of the postmaster");
}
kill_in_mid_write($_) foreach 1 .. min($kills, KILLS_WHILE_PREPARED);

# Prepared before all that.
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), 2, 'two transactions are still prepared');
$writers = start_writers($node);
($equal, $seen, $differing) = take_snapshots($node, 10);
$node->safe_psql('postgres', q(COMMIT PREPARED 'committed'));
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'rolled back'));
is($equal, 10, 'snapshots before they end are exact') or diag($differing);
($equal, $seen, $differing) = take_snapshots($node, 20);
is($equal, 20, 'and after it') or diag($differing);
is($node->safe_psql('postgres', $held), 202, 'one of them was committed');
is(stop_writers($writers), '', 'no writer failed');
is(inexact($node) . parts_differ($node), '', 'all is exact in the end');

foreach my $round (KILLS_WHILE_PREPARED + 1 .. $kills)
{
	$node->safe_psql('postgres', 'VACUUM');
	kill_in_mid_write($round);
}

# With nothing to be called by, what is left is folded, and the figures stay.
my $in_the_end = $node->safe_psql('postgres', $figures);
$node->restart;
is($node->safe_psql('postgres', $figures), $in_the_end, 'and after a restart');
$node->stop('fast');
done_testing();
