# Random queries of one tenant's roles find nothing of another tenant, change nothing of it, and crash nothing. "make test" asks a few hundred,
# "make fuzz" goes on for FUZZ_MINUTES. Queries follow from FUZZ_SEED and the catalogs; which of them time out is the machine's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Fuzz;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $seconds = 60 * ($ENV{FUZZ_MINUTES} // 0);
my $seed = $ENV{FUZZ_SEED} // 1;
my $queries = $seconds ? 5000 : 200;

my $node = start_node('primary', configuration => MindTickle::Fuzz::configuration());
add_extension($node);
my $fuzz = MindTickle::Fuzz->new($node, seed => $seed);
is($fuzz->changes, '', 'nothing changes by itself');

my $began = time();
my $took;
do
{
	my $round_began = time();
	$fuzz->round($queries);
	$took = time() - $round_began;
	note(sprintf '%4d s: %d queries, %d errors, %d traces of the other tenant', time() - $began, @$fuzz{qw(queries errors)}, scalar @{ $fuzz->{traces} });
} while (time() + $took / 2 < $began + $seconds && -e $node->data_dir . '/postmaster.pid');

note(sprintf "seed %d, %d roles: %d queries run, %d of them again with their output searched (%.1f MB, %d lines with own rows); "
	  . '%d errors, of these %d timeouts, %d refusals of the other tenant, %d internal errors of the server',
	$seed, scalar @MindTickle::Fuzz::attackers, @$fuzz{qw(queries answered)}, $fuzz->{bytes} / 1e6, @$fuzz{qw(own_rows errors timeouts refusals internal_errors)});

my $wanted = $fuzz->{rounds} * @MindTickle::Fuzz::attackers * $queries;
cmp_ok($fuzz->{queries}, '>=', 0.9 * $wanted, 'queries were run');
cmp_ok($fuzz->{answered}, '>=', 0.9 * $wanted, 'and run again');
cmp_ok($fuzz->{own_rows}, '>', $wanted / 50, 'they read rows of the own tenant');
# Of a few hundred perhaps none does.
cmp_ok($fuzz->{refusals}, '>=', int($wanted / 5000), 'and asked for the other one');
is(join('', @{ $fuzz->{traces} }), '', 'nothing of the other tenant is in any output, message or log line');
is(join('', @{ $fuzz->{alarms} }), '', 'no row of it was written');
is($fuzz->changes, '', 'its rows and all rights are as they were');
is(join('', @{ $fuzz->{crashes} }), '', 'no server process died');
is(join('', @{ $fuzz->{internal} }), '', 'no internal error is ours');
my $refused = $fuzz->{refusals};
$fuzz->query('fuzz_reader', q(SELECT * FROM mt_readiness('fuzz-b')));
is($fuzz->{refusals}, $refused + 1, 'the server answers');
ok(poll($node, q(SELECT count(*) > 0 FROM mt_security_alerts WHERE session_role = 'fuzz_reader' AND tenant_asked = 'fuzz-b')), 'and those who watch it are told');

# The same search does find what is there: rows, values in messages and in the log, and rows that are written although it is rolled back.
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$fuzz->{traces} = [];
$fuzz->query($superuser, q(SELECT * FROM mindtickle.quiz WHERE tenant_id = 'fuzz-b' ORDER BY quiz_id LIMIT 1));
like(join('', @{ $fuzz->{traces} }), qr/^fuzz-b\|\S+\n$/, 'a query of its rows by a superuser is found out');
$fuzz->{traces} = [];
$fuzz->query($superuser, q(SELECT title::int FROM mindtickle.course WHERE tenant_id = 'fuzz-b' ORDER BY course_id LIMIT 1));
is(scalar(grep { /ERROR:  22P02: invalid input syntax for type integer: "/ } @{ $fuzz->{traces} }), 2, 'so is a value in a message, and in the log');
$fuzz->query($superuser, q(UPDATE mindtickle.users SET name = '' WHERE tenant_id = 'fuzz-b'));
like(join('', @{ $fuzz->{alarms} }), qr/ALARM: UPDATE of the other tenant in mindtickle\.users\n$/, 'so is a write that is rolled back');
$node->safe_psql('postgres', q(REVOKE SELECT ON mt_users FROM PUBLIC));
like($fuzz->changes, qr/^relations\|/, 'so is a right that has changed');
$node->stop('fast');
done_testing();
