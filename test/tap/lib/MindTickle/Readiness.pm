# Readiness under load: writers of two tenants, "rx-0" and "rx-1", and snapshots in which the figures are compared with the rows. Used by
# test/tap/019_*.pl; asserts nothing itself.
#
#   add_readiness($node)                tenants, people, some rows, and what compares, in the schema "checker": it is there on a standby and in a dump, too
#   my $writers = start_writers($node)  six of them, which write until stop_writers($writers), and roll back 3 of 10 transactions, and beside the
#                                       aggregator one that folds without a pause
#   my ($equal, $seen, $differing) = take_snapshots($node, 100)
#                                       how many of so many snapshots were equal, how many different figures they saw, and what was not equal
#   inexact($node)                      what differs now; '' when nothing does

package MindTickle::Readiness;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils;

our @EXPORT = qw(add_readiness inexact parts_differ start_writers stop_writers take_snapshots);

# Bodies of transactions, with how often each is drawn. :tenant is 0 or 1, :person and :other one of 60, :course one of 6.
my @transactions = (
	[ 6, q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		VALUES ('rx-:tenant', 'u:person', 'c:course', 'q', clock_timestamp(), :score / 10000.0, 'sql') ON CONFLICT DO NOTHING;) ],
	[ 3, q(SELECT mt_process_quiz_result('rx-:tenant', jsonb_build_object('userId', 'u:person', 'courseId', 'c:course', 'quizId', 'f', 'score', :score / 10000.0,
		'submittedAt', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));) ],
	[ 3, q(SELECT mt_upsert_progress('rx-:tenant', 'u:person', (SELECT jsonb_agg(jsonb_build_object('courseId', 'c' || i, 'status', (ARRAY['in_progress', 'completed'])[1 + (:score + i) % 2],
		'updatedAt', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'reset', true)) FROM generate_series(1, 6) AS i));) ],
	# 50 rows of both tenants
	[ 2, q(INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status)
		SELECT 'rx-' || i % 2, 'u' || (:person + i) % 60, 'c:course', (ARRAY['not_started', 'in_progress', 'completed'])[1 + (:score + i) % 3] FROM generate_series(1, 50) AS i ORDER BY 1, 2
		ON CONFLICT (tenant_id, user_id, course_id) DO UPDATE SET status = excluded.status;) ],
	[ 2, q(INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		SELECT 'rx-:tenant', 'u' || (:person + i) % 60, 'c:course', 'fixed', '2026-01-01Z', nullif((:score + i * 7919) % 1000001, 0) / 10000.0, 'sql' FROM generate_series(1, 50) AS i ORDER BY 2
		ON CONFLICT (tenant_id, user_id, course_id, quiz_id, submitted_at) DO UPDATE SET score = excluded.score;) ],
	# Users switched on and off, taken from the roster and put onto it, also while their results are recorded
	[ 3, q(SELECT mt_provision_user('rx-:tenant', jsonb_build_object('userId', 'u:person', 'active', :score % 2 = 0));) ],
	[ 2, q(SELECT mt_provision_user('rx-:tenant', jsonb_build_object('userId', 'u:person'));
		SELECT mt_deactivate_user(u.tenant_id, u.user_id) FROM (SELECT tenant_id, user_id FROM mindtickle.users WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person' FOR UPDATE) AS u;
		INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		VALUES ('rx-:tenant', 'u:person', 'c:course', 'q', clock_timestamp(), 100, 'sql') ON CONFLICT DO NOTHING;) ],
	[ 3, q(UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person';) ],
	[ 1, q(UPDATE mindtickle.users SET active = :score % 3 > 0 WHERE user_id IN ('u:person', 'u:other');) ],
	[ 1, q(DELETE FROM mindtickle.users WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person';) ],
	[ 1, q(INSERT INTO mindtickle.users (tenant_id, user_id, active) VALUES ('rx-0', 'u:person', :score % 2 = 0), ('rx-1', 'u:person', true) ON CONFLICT DO NOTHING;) ],
	# Changed, moved, deleted
	[ 2, q(UPDATE mindtickle.quiz_submission SET score = CASE WHEN :course > 1 THEN :score / 10000.0 END WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person';) ],
	[ 1, q(UPDATE mindtickle.quiz_submission SET user_id = 'u:other', quiz_id = 'moved ' || pg_current_xact_id() WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person' AND quiz_id = 'q';) ],
	[ 1, q(DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person';) ],
	[ 3, q(DELETE FROM mindtickle.quiz_submission WHERE tenant_id = 'rx-:tenant' AND user_id IN ('u:person', 'u:other') AND score < 80;) ],
	# In parts
	[ 2, q(SAVEPOINT a; UPDATE mindtickle.users SET active = NOT active WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person';
		DELETE FROM mindtickle.course_progress WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person'; ROLLBACK TO a;
		INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
		VALUES ('rx-:tenant', 'u:person', 'c:course', 'q', clock_timestamp(), 1, 'sql') ON CONFLICT DO NOTHING; SAVEPOINT b;
		UPDATE mindtickle.course_progress SET status = 'completed' WHERE tenant_id = 'rx-:tenant' AND user_id = 'u:person'; RELEASE b;) ]);

# What the functions of include/readiness.sql do not have.
my $checker = <<'SQL';
-- The drill-down adds up to the tenant; '' where it does, or where it is not there.
CREATE FUNCTION checker.parts_differ(VARIADIC tenants text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	tenant text;
	whole text;
	part text;
	result text := '';
BEGIN
	FOREACH tenant IN ARRAY tenants LOOP
		CONTINUE WHEN to_regproc('mt_readiness_by_user') IS NULL;
		SELECT concat_ws(' ', r.learners, r.assignments, r.completed) INTO whole FROM mt_readiness(tenant) AS r;
		EXECUTE 'SELECT concat_ws('' '', count(*), coalesce(sum(assignments), 0), coalesce(sum(completed), 0)) FROM mt_readiness_by_user($1)' INTO part USING tenant;
		result := result || CASE WHEN whole <> part THEN format('%s by user: %s, not %s; ', tenant, part, whole) ELSE '' END;
		SELECT concat_ws(' ', r.quiz_results, r.assignments, r.completed) INTO whole FROM mt_readiness(tenant) AS r;
		EXECUTE 'SELECT concat_ws('' '', coalesce(sum(quiz_results), 0), coalesce(sum(assignments), 0), coalesce(sum(completed), 0)) FROM mt_readiness_by_course($1)' INTO part USING tenant;
		result := result || CASE WHEN whole <> part THEN format('%s by course: %s, not %s; ', tenant, part, whole) ELSE '' END;
	END LOOP;
	RETURN result;
END
$$;

-- Each snapshot is another one than that before. In turns of a transaction, in which the figures and the rows are read by statements of their own, and of a
-- statement that reads both.
CREATE PROCEDURE checker.take_snapshots(amount int4, INOUT equal int4 DEFAULT 0, INOUT seen int4 DEFAULT 0, INOUT differing text DEFAULT '') LANGUAGE plpgsql AS $$
DECLARE
	now text;
	before text := '';
	found text;
	told text;
	wanted text;
	all_told text[] := '{}';
BEGIN
	FOR i IN 1 .. amount LOOP
		-- For the transactions that follow.
		PERFORM set_config('default_transaction_isolation', CASE WHEN i % 2 = 0 THEN 'read committed' ELSE 'repeatable read' END, false);
		FOR attempt IN 1 .. 2000 LOOP
			COMMIT;
			now := pg_current_snapshot()::text;
			EXIT WHEN now <> before;
			PERFORM pg_sleep(0.005);
		END LOOP;
		before := now;
		IF i % 2 = 0 THEN
			found := checker.inexact('rx-0', 'rx-1');
		ELSE
			SELECT string_agg(checker.figures(t), ', ' ORDER BY t) INTO told FROM unnest(ARRAY['rx-0', 'rx-1']) AS t;
			SELECT string_agg(checker.recomputed(t), ', ' ORDER BY t) INTO wanted FROM unnest(ARRAY['rx-0', 'rx-1']) AS t;
			found := CASE WHEN told = wanted THEN '' ELSE format('%s, not %s', told, wanted) END || checker.parts_differ('rx-0', 'rx-1');
			all_told := all_told || told;
		END IF;
		IF found = '' THEN
			equal := equal + 1;
		ELSIF length(differing) < 2000 THEN
			differing := differing || format(E'snapshot %s: %s\n', i, found);
		END IF;
	END LOOP;
	seen := (SELECT count(DISTINCT x) FROM unnest(all_told) AS x);
END
$$;
SQL

sub add_readiness
{
	my ($node) = @_;
	(my $functions = slurp_file("$FindBin::RealBin/../sql/include/readiness.sql")) =~ s/\bpg_temp\./checker./g;

	$node->safe_psql('postgres', "CREATE SCHEMA checker; $functions $checker" . <<'END');
SELECT mt_create_tenant(t, t) FROM unnest('{rx-0,rx-1}'::text[]) AS t;
INSERT INTO mindtickle.users (tenant_id, user_id, active) SELECT t, 'u' || i, i % 5 > 0 FROM unnest('{rx-0,rx-1}'::text[]) AS t, generate_series(0, 40) AS i;
INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status) SELECT t, 'u' || i, 'c1', 'completed' FROM unnest('{rx-0,rx-1}'::text[]) AS t, generate_series(10, 59) AS i;
INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
	SELECT t, 'u' || i, 'c1', 'first', '2025-01-01Z', i, 'sql' FROM unnest('{rx-0,rx-1}'::text[]) AS t, generate_series(10, 59) AS i;
END
}

# Each body in a file, with its beginning and its end.
sub write_scripts
{
	my $directory = PostgreSQL::Test::Utils::tempdir('writers');
	my @arguments;

	foreach my $number (0 .. $#transactions)
	{
		my ($weight, $body) = @{ $transactions[$number] };
		append_to_file("$directory/$number", <<"END");
\\set tenant random(0, 1)
\\set person random(0, 59)
\\set other random(0, 59)
\\set course random(1, 6)
\\set score random(0, 1000000)
\\set ends random(1, 10)
BEGIN;
$body
\\if :ends <= 3
ROLLBACK;
\\else
COMMIT;
\\endif
END
		push @arguments, '-f', "$directory/$number\@$weight";
	}
	return @arguments;
}

# A fold in a tight loop, one in twenty with the summaries of users and courses.
sub write_fold
{
	my $file = PostgreSQL::Test::Utils::tempdir('folds') . '/fold';

	append_to_file($file, <<'END');
\set tenant random(0, 1)
\set turn random(1, 20)
SELECT mindtickle.fold_readiness('rx-:tenant', :turn = 1);
END
	return ('-f', $file);
}

# Starts pgbench, for longer than any test takes.
sub start_pgbench
{
	my ($node, $messages, @arguments) = @_;
	return IPC::Run::start([ 'pgbench', '-n', '-T', '86400', '--max-tries=100', @arguments, $node->connstr('postgres') ],
		'<', \undef, '>', \my $output, '2>', $messages);
}

sub start_writers
{
	my ($node) = @_;
	my $writers = { messages => '' };

	$writers->{processes} = [
		start_pgbench($node, \$writers->{messages}, '-c', '6', '-R', '400', write_scripts()),
		start_pgbench($node, \$writers->{messages}, '-c', '1', write_fold()) ];
	return $writers;
}

# Returns what the writers had to say about transactions that failed, '' when there is nothing. Where their server was killed they say a lot.
sub stop_writers
{
	my ($writers) = @_;

	$_->signal('TERM') foreach @{ $writers->{processes} };
	eval { $_->finish } foreach @{ $writers->{processes} };
	return join("\n", grep { /error|aborted/ } split /\n/, $writers->{messages});
}

sub take_snapshots
{
	my ($node, $amount) = @_;
	return split /\|/, $node->safe_psql('postgres', "CALL checker.take_snapshots($amount)"), 3;
}

sub inexact
{
	my ($node, $database) = @_;
	return $node->safe_psql($database // 'postgres', q(SELECT checker.inexact('rx-0', 'rx-1')));
}

# Where the drill-down does not add up to the tenant.
sub parts_differ
{
	my ($node, $database) = @_;
	return $node->safe_psql($database // 'postgres', q(SELECT checker.parts_differ('rx-0', 'rx-1')));
}

1;
