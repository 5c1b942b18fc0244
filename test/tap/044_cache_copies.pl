# The tenant cache where changes come by other ways than a session's commit, and where nothing can be kept: on a hot standby and after its promotion,
# after a crash, by a prepared transaction, by logical replication. No committed change is hidden by a document that was kept before.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = "max_prepared_transactions = 5\nwal_level = logical\n";
my $node = start_node('primary', allows_streaming => 'logical', configuration => $settings);
add_extension($node);
$node->safe_psql('postgres', q(SELECT mt_create_tenant('tc', 'Cache');
	INSERT INTO mindtickle.users (tenant_id, user_id, name) SELECT 'tc', 'u' || i, 'first' FROM generate_series(1, 200) AS i));

# The name of one user as the roster has it; what is kept; and the version, where one is known.
my $name = q(SELECT mt_get_user_roster('tc') -> 'users' -> 0 ->> 'name');
my $kept = q(SELECT count(*) FROM mindtickle.cache_entry WHERE tenant_id = 'tc');
my $version = q(SELECT coalesce(mindtickle.cache_version('tc', 'roster')::text, 'none'));
my $rename = sub { return qq(UPDATE mindtickle.users SET name = '$_[0]' WHERE tenant_id = 'tc') };

# A standby.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
is($node->safe_psql('postgres', "$name; $version") =~ /^first\n\d+$/, 1, 'the primary keeps a roster');
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $name), 'first', 'a standby renders it');
is($standby->safe_psql('postgres', $version), 'none', 'and knows no version of one that is kept');
is($standby->safe_psql('postgres', q(SELECT version FROM mindtickle.cache_document('tc', 'roster'))), $node->safe_psql('postgres', $version), 'though it is the same');
is($standby->safe_psql('postgres', q(SELECT count(*) FROM mt_stat_cache WHERE tenant_id = 'tc' AND renders > 0 AND version IS NULL AND kept = 0)), 1, 'nothing is kept');
$node->safe_psql('postgres', $rename->('second'));
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $name), 'second', 'a change of the primary is seen');
my (undef, undef, $refused) = $standby->psql('postgres', q(SELECT mt_invalidate_tenant('tc')));
like($refused, qr/cannot execute mt_invalidate_tenant\(\) in a read-only transaction/, 'there is nothing to invalidate');
(undef, undef, $refused) = $standby->psql('postgres', q(SELECT mt_erase_user('tc', 'u1')));
like($refused, qr/cannot execute mt_erase_user\(\) in a read-only transaction/, 'nor is anybody erased there');
is($standby->safe_psql('postgres', q(SELECT mt_export_user('tc', 'u1') #>> '{user,name}')), 'second', 'but exported');
$standby->promote;
is($standby->safe_psql('postgres', "$name; $version") =~ /^second\n\d+$/, 1, 'promoted, it keeps one');
$standby->safe_psql('postgres', $rename->('third'));
is($standby->safe_psql('postgres', "$version; $name"), "none\nthird", 'until it changes');
$standby->stop('fast');

# A crash.
is($node->safe_psql('postgres', $name), 'second', 'a roster is kept again');
$node->safe_psql('postgres', "$version");
is($node->safe_psql('postgres', $kept), 1, 'it is there');
my $before = $node->safe_psql('postgres', $version);
kill_and_start($node);
is($node->safe_psql('postgres', $kept), 0, 'after a crash nothing is kept');
is($node->safe_psql('postgres', "$version; $name"), "none\nsecond", 'and the roster is right');
is($node->safe_psql('postgres', $version), $before, 'with the version that it had');
$node->safe_psql('postgres', $rename->('crashed'));
is($node->safe_psql('postgres', "$version; $name"), "none\ncrashed", 'changes are noted again');
$node->restart;
isnt($node->safe_psql('postgres', $version), 'none', 'a restart keeps it');

# A transaction that is prepared in one session and committed in another one, which has none of our callbacks.
$node->safe_psql('postgres', q(BEGIN; ) . $rename->('prepared') . q(; PREPARE TRANSACTION 'rename'));
is($node->safe_psql('postgres', "$name; $version") =~ /^crashed\n\d+$/, 1, 'a prepared change is not seen');
$node->safe_psql('postgres', q(SELECT mt_invalidate_tenant('tc')));
is($node->safe_psql('postgres', "$name; $version") =~ /^crashed\n\d+$/, 1, 'nor when the roster is kept while it waits');
$node->safe_psql('postgres', q(COMMIT PREPARED 'rename'));
is($node->safe_psql('postgres', "$version; $name"), "none\nprepared", 'committed, it is');
$node->safe_psql('postgres', q(BEGIN; ) . $rename->('undone') . q(; PREPARE TRANSACTION 'rename'));
$node->safe_psql('postgres', q(ROLLBACK PREPARED 'rename'));
is($node->safe_psql('postgres', "$name; $version") =~ /^prepared\n\d+$/, 1, 'and one that is rolled back is not');

# Logical replication: the first copy, rows one by one, TRUNCATE.
my $subscriber = start_node('subscriber', configuration => $settings);
add_extension($subscriber);
$subscriber->safe_psql('postgres', q(SELECT mt_create_tenant('tc', 'Cache')));
is($subscriber->safe_psql('postgres', q(SELECT mt_get_user_roster('tc'))), '{"tenantId":"tc","users":[]}', 'a subscriber keeps an empty roster');
$node->safe_psql('postgres', 'CREATE PUBLICATION people FOR TABLE mindtickle.users, mindtickle.course');
$subscriber->safe_psql('postgres', 'CREATE SUBSCRIPTION people CONNECTION ' . quote($node->connstr('postgres')) . ' PUBLICATION people');
$subscriber->wait_for_subscription_sync($node, 'people');
is($subscriber->safe_psql('postgres', $name), 'prepared', 'what is copied is seen');
foreach my $change (
	[ 'an update', $rename->('applied'), 'applied' ],
	[ 'a deletion', q(DELETE FROM mindtickle.users WHERE user_id <> 'u1'; UPDATE mindtickle.users SET name = 'last'), 'last' ],
	[ 'TRUNCATE', q(TRUNCATE mindtickle.users), '' ],
	[ 'an insertion', q(INSERT INTO mindtickle.users (tenant_id, user_id, name) VALUES ('tc', 'n', 'new')), 'new' ])
{
	isnt($subscriber->safe_psql('postgres', "$name; $version"), '', "before $change->[0] a roster is kept");
	$node->safe_psql('postgres', $change->[1]);
	$node->wait_for_catchup('people');
	is($subscriber->safe_psql('postgres', $name), $change->[2], "$change->[0] that is applied is seen");
}
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION people');
$subscriber->stop('fast');
$node->stop('fast');
done_testing();
