# A user with a past is erased on a server with all its workers: afterwards nothing about her is in any table of the database, and not in a dump of it,
# while the figures are exact and the aggregator goes on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary');
my $dumps = PostgreSQL::Test::Utils::tempdir();
add_extension($node);
$node->safe_psql('postgres', q(SELECT mt_create_tenant('er', 'Erasure')));

# What marks her: none of these words means anything else.
my @words = ('canary-id', 'canary-mindtickle', 'canary-scim', 'canary.login', 'canary.old@example.com', 'canary.new@example.com', 'Canary Maiden', 'Canary Married', 'canary-answer', 'canary-title');
$node->safe_psql('postgres', $_) foreach (
	q(SELECT mt_handle_scim_event('{"tenantId": "er", "operation": "CREATE", "user": {"id": "canary-id", "scimExternalId": "canary-scim", "email": "canary.old@example.com", "name": "Canary Maiden"}}')),
	q(SELECT mt_upsert_progress('er', u, '[{"courseId": "c", "status": "completed", "score": 80}]') FROM unnest('{canary-id,ann}'::text[]) AS u),
	q(SELECT mt_provision_user('er', '{"userId": "ann", "name": "Ann", "managerId": "canary-id", "managerEmail": "canary.old@example.com"}')),
	q(SELECT mt_process_quiz_result('er', jsonb_build_object('userId', u, 'courseId', 'c', 'quizId', 'q', 'submittedAt', '2026-01-01T00:00:00Z', 'score', 50, 'answers', jsonb_build_array(jsonb_build_object('questionId', '1', 'selected', CASE u WHEN 'ann' THEN 'a' ELSE 'canary-answer' END, 'correct', true)))) FROM unnest('{canary-id,ann}'::text[]) AS u));
# The events of that are published, and the deltas folded, before the next ones come.
ok(poll($node, q(SELECT count(*) = 0 FROM mindtickle.outbox WHERE tenant_id = 'er')), 'the first events are published');
is($node->safe_psql('postgres', q(SELECT count(*) > 0, count(DISTINCT e ->> 'createdAt') = count(*) FROM jsonb_array_elements(mt_export_user('er', 'canary-id') -> 'events') AS e)), 't|t', 'an export has each event once');
ok(poll($node, q(SELECT count(*) > 0 FROM mindtickle.readiness_user_0 WHERE user_id = 'canary-id')), 'and the first deltas folded');
$node->safe_psql('postgres', $_) foreach (
	q(SELECT mt_provision_user('er', '{"userId": "canary-id", "mindtickleId": "canary-mindtickle", "userName": "canary.login", "email": "canary.new@example.com", "name": "Canary Married", "title": "canary-title"}')),
	q(INSERT INTO mindtickle.dead_letter (tenant_id, source, resource, reason, raw) VALUES ('er', 'scim', 'user', 'is wrong', convert_to('{"user": {"id": "canary-id", "name": ["Canary Married"]}}', 'UTF8'))),
	q(SELECT mt_get_user_roster('er')),
	q(SELECT mt_aggregate_readiness('er')));

# The words that are in a dump of the database, where bytea is hexadecimal.
sub in_dump
{
	my ($file) = @_;

	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dumps/$file" ], "dumped: $file");
	my $dump = lc slurp_file("$dumps/$file");
	return join ', ', grep { index($dump, lc $_) >= 0 || index($dump, unpack('H*', $_)) >= 0 || index($dump, unpack('H*', lc $_)) >= 0 } @words;
}

# The same for every table of schema mindtickle, also those that are not dumped.
my $tables = $node->safe_psql('postgres', q(SELECT string_agg(format('SELECT %L AS place, t::text FROM %s AS t', c.oid::regclass, c.oid::regclass), ' UNION ALL ') FROM pg_class AS c
	WHERE c.relnamespace = 'mindtickle'::regnamespace AND c.relkind = 'r'));
sub in_tables
{
	my $words = join ', ', map { quote(lc $_) } @words;

	return $node->safe_psql('postgres', "SELECT string_agg(DISTINCT p.place || ' ' || w.word, ', ') FROM ($tables) AS p, unnest(ARRAY[$words]) AS w (word)
		WHERE strpos(lower(p.t), w.word) > 0 OR strpos(p.t, encode(convert_to(w.word, 'UTF8'), 'hex')) > 0");
}

is(in_dump('before.sql'), join(', ', @words), 'all of it is in a dump before');
my $before = in_tables();
like($before, qr/\Qmindtickle.$_\E/, "and in $_") foreach ('cache_entry', 'course_progress', 'dead_letter', 'quiz_submission', 'readiness_delta', 'readiness_user', 'users');

cmp_ok($node->safe_psql('postgres', q(SELECT mt_erase_user('er', 'canary-scim'))), '>', 5, 'she is erased');
is(in_tables(), '', 'nothing is in any table');
is(in_dump('after.sql'), '', 'nor in a dump');
is($node->safe_psql('postgres', q(SELECT bool_and(equal) FROM mt_verify_readiness('er'))), 't', 'readiness is exact');
is($node->safe_psql('postgres', q(SELECT concat_ws(' ', learners, quiz_results, assignments, completed, avg_score) FROM mt_readiness('er'))), '1 1 1 1 50.0000', 'and that of who is left');
ok(poll($node, q(SELECT NOT EXISTS (SELECT FROM mindtickle.outbox WHERE tenant_id = 'er'))), 'the publisher goes on');
ok(poll($node, q(SELECT bool_and(d.entries IS NULL) IS NOT FALSE AND count(*) > 0 FROM mindtickle.readiness_user_0 AS u LEFT JOIN mindtickle.readiness_delta_0 AS d ON d.tenant_id = 'er' WHERE u.tenant_id = 'er')), 'and the aggregator');
is(in_tables(), '', 'and bring nothing back');
is($node->safe_psql('postgres', q(SELECT count(*) FROM (SELECT e.seq - lag(e.seq) OVER (ORDER BY e.seq) AS step FROM mindtickle.event AS e WHERE e.tenant_id = 'er') AS s WHERE s.step <> 1)), 0, 'the events have no gap');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mt_stat_worker WHERE errors > 0)), 0, 'no worker has met an error');
$node->stop('fast');
done_testing();
