# What the gateway acknowledges is on disk, also what another process has written and this one only found there; and where a synchronous standby is asked
# for, it is there as well.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IO::Select;
use MindTickle::Gateway;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_gateway('gateway', configuration => <<'END');
wal_level = replica
max_wal_senders = 4
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = '1h'
END
my $token = token($node, 'acme', 'quiz');

sub result { return qq({"userId": "u", "courseId": "c", "quizId": "$_[0]", "submittedAt": "2026-01-01T00:00:00Z", "score": 80}) }

sub post { return ask($node, POST => '/api/tenants/acme/quiz-results', token => $token, body => $_[0]) }

is(post(result('first'))->{status}, 201, 'a result');

# Nobody but the gateway brings anything to disk now: the server's own writer and the other workers stand still.
my @others = split /\n/, $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter' OR (backend_type LIKE 'mindtickle %' AND backend_type <> 'mindtickle gateway')));
cmp_ok(scalar @others, '>=', 4, 'the processes that write by themselves are found');
END { local $?; kill('CONT', @others) }
kill('STOP', @others);

# Where the WAL of a result ends that a session has recorded without waiting for the disk.
sub record_elsewhere
{
	my ($quiz) = @_;
	my ($recorded, $end) = split /\n/,
	  $node->safe_psql('postgres', "SET synchronous_commit = off; SELECT mt_process_quiz_result('acme', '" . result($quiz) . "'); SELECT pg_current_wal_insert_lsn()");

	is($recorded, 't', "result $quiz is recorded by a session that does not wait");
	return $end;
}

sub on_disk { return $node->safe_psql('postgres', "SELECT pg_current_wal_flush_lsn() >= '$_[0]'") }

my $end = record_elsewhere('second');
is(on_disk($end), 'f', 'it is not on disk');
is(post(result('second'))->{status}, 200, 'the gateway finds it there');
is(on_disk($end), 't', 'and has brought it to disk before it says so');
$end = record_elsewhere('third');
is(on_disk($end), 'f', 'another one is not on disk');
is(post(result('fourth'))->{status}, 201, 'what the gateway writes itself');
is(on_disk($end), 't', 'brings to disk what was written before');
kill('CONT', @others);

# A synchronous standby that does not come: nothing is acknowledged. The session that looks on writes nothing.
$node->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$node->restart;
wait_for_gateway($node, 1);
@others = ();
my $waits = q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND wait_event = 'SyncRep');
my $body = result('fifth');
my $socket = connect_to($node);
syswrite($socket, join("\r\n", 'POST /api/tenants/acme/quiz-results HTTP/1.1', 'Host: x', "Authorization: Bearer $token", 'Connection: close', 'Content-Type: application/json', 'Content-Length: ' . length $body, '', $body));
ok(poll($node, $waits), 'a request waits for the standby');
my @answered = IO::Select->new($socket)->can_read(0);
is(scalar @answered, 0, 'and is not answered');
is($node->safe_psql('postgres', $waits), 't', 'as long as it does');
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$node->reload;
like(read_until_closed($socket), qr/^HTTP\/1\.1 201 /, 'it is answered when no standby is asked for any more');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.quiz_submission WHERE tenant_id = 'acme' AND quiz_id = 'fifth')), 1, 'and recorded');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
