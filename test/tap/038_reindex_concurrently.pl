# Every table's indexes are built anew while it is written to and read. Our own code appends rows without the executor, and must do for an index that is about to take another
# one's place what the executor does; and whoever knew the old index must find the new one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Events;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# mindtickle.databases: no workers here.
my $node = start_node('primary', configuration => "log_statement = none\nmindtickle.databases = 'nowhere'\nfsync = off\nautovacuum = off\n");
add_extension($node);
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');
$node->safe_psql('postgres', q(SELECT mt_create_tenant('t', 'T')));
my $round = 0;

# A session that has known the tables all along.
my $old = $node->background_psql('postgres');

# Writes to as many tables as it can, and reads them; each statement is a transaction.
sub use_tables
{
	$round++;
	$old->query_safe($_) foreach (
		"SELECT mt_provision_user('t', '{\"userId\": \"u$round\", \"email\": \"u$round\@t.example\", \"name\": \"U\"}')",
		"SELECT mt_upsert_progress('t', 'u$round', '[{\"courseId\": \"c\", \"status\": \"completed\"}]')",
		"SELECT mindtickle.emit_event('t', 'a', to_jsonb($round))",
		"SELECT mindtickle.publish('t', 1000)",
		"SELECT mt_ack_events('t', 'c', (SELECT max(seq) FROM mt_poll_events('t', 'c', 1000)))",
		"SELECT mt_get_user_roster('t')",
		"SELECT mt_readiness('t')");
}

use_tables();
my @tables = split /\n/, $node->safe_psql('postgres', q(SELECT relname FROM pg_class WHERE relnamespace = 'mindtickle'::regnamespace AND relkind = 'r' AND relhasindex ORDER BY 1));
cmp_ok(scalar @tables, '>', 40, 'there are tables');
foreach my $table (@tables)
{
	# The new index is complete but for what comes now, and waits for transactions that are older.
	my $holding = $node->background_psql('postgres');
	$holding->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	my $reindexing = $node->background_psql('postgres');
	$reindexing->query_until(qr/begun/, "\\echo begun\nREINDEX TABLE CONCURRENTLY mindtickle.$table;\n");
	poll($node, "SELECT phase = 'waiting for old snapshots' FROM pg_stat_progress_create_index WHERE relid = 'mindtickle.$table'::regclass") or BAIL_OUT("$table is not built anew");
	use_tables();
	$holding->query_safe('COMMIT');
	$holding->quit;
	$reindexing->query_safe('SELECT 1');
	$reindexing->quit;
}
use_tables();
is($node->safe_psql('postgres', q(SELECT count(*) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relnamespace = 'mindtickle'::regnamespace AND NOT i.indisvalid)), 0,
	'no index is left invalid');
my ($status, $output, $error) = $node->psql('postgres', q(SELECT bt_index_check(indexrelid, true) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relnamespace = 'mindtickle'::regnamespace));
is($error, '', 'every row is in its indexes');
is($node->safe_psql('postgres', q(SELECT string_agg(payload::text, ',' ORDER BY seq) FROM mt_events WHERE tenant_id = 't' AND topic = 'a')), join(',', 1 .. $round), 'every event was published once');
is($node->safe_psql('postgres', q(SELECT acked_seq = (SELECT max(seq) FROM mt_events) FROM mt_event_consumers WHERE tenant_id = 't')), 't', 'and acknowledged');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_verify_readiness('t') AS v WHERE NOT v.equal)), 0, 'readiness is what the rows say');
$old->quit;
$node->stop('fast');

done_testing();
