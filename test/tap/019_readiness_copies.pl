# Readiness where the rows came by other ways than a statement: on a hot standby and after its promotion, by logical replication, with
# session_replication_role = replica, from dumps restored into a new cluster, and in an extension that was dropped and created again. The figures equal a
# recomputation from the rows each time; where a rebuild is needed first, it comes by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Readiness;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = "jit = off\ndeadlock_timeout = 50ms\nlog_statement = none\nmax_wal_size = 4GB\n";
my $node = start_node('primary', allows_streaming => 'logical', configuration => $settings);
add_extension($node);
add_readiness($node);
my $figures = q(SELECT string_agg(checker.figures(t), ', ' ORDER BY t) FROM unnest('{rx-0,rx-1}'::text[]) AS t);
my $exact = q(SELECT checker.inexact('rx-0', 'rx-1') || checker.parts_differ('rx-0', 'rx-1') = '');
my ($equal, $seen, $differing);

# Some work of every kind first, so that transaction ids here are far from those of a new cluster.
my $writers = start_writers($node);
($equal, $seen, $differing) = take_snapshots($node, 20);
is($equal, 20, 'the original is exact') or diag($differing);

# A standby, while there is work on the primary.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
($equal, $seen, $differing) = take_snapshots($standby, 40);
is($equal, 40, 'every snapshot on a hot standby is exact') or diag($differing);
cmp_ok($seen, '>', 4, 'and they saw different figures');
is(stop_writers($writers), '', 'no writer failed');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $figures), $node->safe_psql('postgres', $figures), 'once all is replayed the standby has the figures of the primary');
is(inexact($standby) . parts_differ($standby), '', 'which are those of its rows');

# Promoted, with writers of its own.
$standby->promote;
is(inexact($standby), '', 'promoted, it is exact');
$writers = start_writers($standby);
($equal, $seen, $differing) = take_snapshots($standby, 20);
is($equal, 20, 'also when it is written to') or diag($differing);
is(stop_writers($writers), '', 'no writer failed');
$standby->stop('fast');

# Rows that no trigger of the usual kind sees.
$node->safe_psql('postgres', <<'END');
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) SELECT t, 'unseen', 'c1', 'q', now() + i * interval '1 s', 12.3456, 'sql' FROM unnest('{rx-0,rx-1}'::text[]) AS t, generate_series(1, 100) AS i;
UPDATE mindtickle.course_progress SET status = 'not_started' WHERE tenant_id = 'rx-1';
UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-0';
DELETE FROM mindtickle.users WHERE tenant_id = 'rx-1' AND user_id < 'u3';
COMMIT;
END
ok(poll($node, $exact), 'rows written with session_replication_role = replica count');

# A subscriber: the first copy, then changes as they come.
my $subscriber = start_node('subscriber', configuration => $settings);
add_extension($subscriber);
add_readiness($subscriber);
$subscriber->safe_psql('postgres', q(DELETE FROM mindtickle.users; DELETE FROM mindtickle.course_progress; DELETE FROM mindtickle.quiz_submission));
$node->safe_psql('postgres', 'CREATE PUBLICATION readiness FOR TABLE mindtickle.users, mindtickle.course_progress, mindtickle.quiz_submission');
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION readiness CONNECTION ' . quote($node->connstr('postgres')) . ' PUBLICATION readiness');
$subscriber->wait_for_subscription_sync($node, 'readiness');
my $same = sub { return 'SELECT (' . $figures . ') = ' . quote($node->safe_psql('postgres', $figures)) };
ok(poll($subscriber, $exact), 'on a subscriber, what was copied counts');
ok(poll($subscriber, $same->()), 'as on the publisher');
$writers = start_writers($node);
take_snapshots($node, 20);
is(stop_writers($writers), '', 'no writer failed');
$node->safe_psql('postgres', q(UPDATE mindtickle.users SET active = NOT active; TRUNCATE mindtickle.course_progress;
	INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT 'rx-1', 'u' || i, 'c1', 'completed' FROM generate_series(1, 20) AS i));
$node->wait_for_catchup('readiness');
ok(poll($subscriber, $exact), 'what was applied counts');
ok(poll($subscriber, $same->()), 'as on the publisher');
# Local work meets what is applied.
$writers = start_writers($node);
$subscriber->safe_psql('postgres', "INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-0', 'local', 'c1', 'q', clock_timestamp(), 5, 'sql')") foreach 1 .. 30;
is(stop_writers($writers), '', 'no writer failed');
$node->wait_for_catchup('readiness');
ok(poll($subscriber, $exact), 'so it does when there is work on the subscriber, too');
is($subscriber->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.quiz_submission WHERE user_id = 'local')), 30, 'which is there');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION readiness');
$subscriber->stop('fast');

# Dumps, taken while the last changes may not be folded yet, and restored where transaction ids start again.
my $dumps = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', q(DROP PUBLICATION readiness; INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('rx-0', 'last', 'c1', 'q', now(), 99.9999, 'sql')));
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dumps/plain.sql" ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fc', '-f', "$dumps/custom" ], 'pg_dump, custom');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fd', '-j2', '-f', "$dumps/directory" ], 'pg_dump, directory, two jobs');
my $wanted = $node->safe_psql('postgres', $figures);
my $copy = start_node('copy', configuration => $settings);
$copy->safe_psql('postgres', 'CREATE ROLE mindtickle_service NOLOGIN');
cmp_ok($copy->safe_psql('postgres', 'SELECT pg_current_xact_id()'), '<', $node->safe_psql('postgres', 'SELECT pg_current_xact_id()'), 'the new cluster has smaller transaction ids');
my %restore = (
	plain => [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dumps/plain.sql" ],
	one_transaction => [ 'pg_restore', '-1', "$dumps/custom" ],
	custom => [ 'pg_restore', "$dumps/custom" ],
	custom_jobs => [ 'pg_restore', '-j2', "$dumps/custom" ],
	directory_jobs => [ 'pg_restore', '-j2', "$dumps/directory" ]);
foreach my $kind (sort keys %restore)
{
	$copy->safe_psql('postgres', "CREATE DATABASE $kind");
	my ($out, $err) = run_command([ @{ $restore{$kind} }, '-d', $copy->connstr($kind) ]);
	is($err, '', "$kind: restored without an error");
	is($copy->safe_psql($kind, $figures), $wanted, "$kind: the figures are those of the original");
	is(inexact($copy, $kind) . parts_differ($copy, $kind), '', "$kind: and of its rows");
}
foreach my $kind (sort keys %restore)
{
	$copy->safe_psql($kind, 'SELECT mt_setup()');
	$copy->safe_psql($kind, "INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-0', 'u' || $_, 'after', 'completed')") foreach 1 .. 20;
	is(inexact($copy, $kind) . parts_differ($copy, $kind), '', "$kind: exact when it is written to");
	is($copy->safe_psql($kind, q(SELECT checker.figures('rx-0') = checker.recomputed('rx-0') AND quiz_results > 0 FROM mt_readiness('rx-0'))), 't', "$kind: and there is something");
}

# The extension created again: nothing of the old figures is left, and new ones come.
$copy->safe_psql('plain', 'DROP EXTENSION mindtickle CASCADE; CREATE EXTENSION mindtickle; SELECT mt_setup()');
$copy->safe_psql('plain', q(SELECT mt_create_tenant('rx-0', 'Again'), mt_create_tenant('rx-1', 'Again')));
is($copy->safe_psql('plain', $figures), '- - 0 0 0 0, - - 0 0 0 0', 'the extension, created again, knows nothing');
$copy->safe_psql('plain', "INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) VALUES ('rx-1', 'u' || $_, 'again', 'completed')") foreach 1 .. 20;
is($copy->safe_psql('plain', $figures), '- - 0 0 0 0, - 1.0000 20 0 20 20', 'but what comes then');
$copy->restart;
is($copy->safe_psql('plain', $figures), '- - 0 0 0 0, - 1.0000 20 0 20 20', 'also after a restart');

# Rows that come before their tenant, as the first copy of a subscription may bring them: of whom there is no tenant the deltas are not kept.
$copy->safe_psql('plain', <<'END');
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) SELECT 'rx-late', 'u' || i, 'c1', 'q', now(), i, 'sql' FROM generate_series(1, 50) AS i;
COMMIT;
TRUNCATE mindtickle.readiness_delta_0, mindtickle.readiness_delta_1, mindtickle.readiness_delta_2, mindtickle.readiness_delta_3;
SELECT mt_create_tenant('rx-late', 'Late');
END
is($copy->safe_psql('plain', q(SELECT checker.figures('rx-late'))), '25.5000 - 50 50 0 0', 'rows that came before their tenant count');
$copy->safe_psql('plain', q(SELECT mindtickle.fold_readiness('rx-late', true)));
is($copy->safe_psql('plain', q(SELECT checker.figures('rx-late') || checker.inexact('rx-late') || checker.parts_differ('rx-late'))), '25.5000 - 50 50 0 0', 'and are folded');
$copy->stop('fast');
$node->stop('fast');
done_testing();
