# Every SQL example of the README is run, in the order in which it stands there, on a server configured as the README says. Nothing goes
# upstream: the examples name the real service.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run ();
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my @examples = $readme =~ /^```sql\n(.*?)^```/gms;
cmp_ok(scalar @examples, '>', 15, 'the README has examples');

my $node = start_node('primary', configuration => "mindtickle.sync_enabled = off\n");
$node->safe_psql('postgres', 'CREATE DATABASE example');
foreach my $example (@examples)
{
	my $as = $example =~ /^-- as (\w+)$/m ? "SET ROLE $1;\n" : '';
	my ($first) = grep { !/^(--|\s*$)/ } split /\n/, $example;
	my ($status, $output, $errors) = $node->psql('example', $as . $example, on_error_stop => 1);

	# These wait for the worker, which sends nothing here.
	if ($example =~ /mt_sync_course_progress|mt_test_connection/)
	{
		like($errors, qr/ERROR:  nothing is pulled while mindtickle\.sync_enabled is off/, $first);
		next;
	}
	is("$status$errors", '0', $first);
	is($output, $1, 'it gives what the README says') if $example =~ /^SELECT mt_score_quiz.*;  -- (\S+)$/m;
}
is($node->safe_psql('example', q(SELECT count(*) FROM mindtickle.tenant WHERE tenant_id LIKE 'company-%')), 300, 'three hundred tenants are there');

# The consumer in C: it gets every event once and in order, also those that come while the server is away.
my ($source) = $readme =~ /^```c\n(.*?)^```/ms;
my $directory = PostgreSQL::Test::Utils::tempdir('follow');
append_to_file("$directory/follow.c", $source);
my ($include, $library) = map { scalar $node->config_data($_) } qw(--includedir --libdir);
command_ok([ 'gcc', '-Wall', '-Wextra', '-Werror', "$directory/follow.c", "-I$include", "-L$library", '-lpq', '-o', "$directory/follow" ], 'the consumer in C is compiled');
my ($followed, $complaints) = ('', '');
my $follower = IPC::Run::start([ "$directory/follow", 'acme', 'follower', $node->connstr('example') . ' user=acme_analyst' ], '<', \undef, '>', \$followed, '2>', \$complaints);
my $last = q(SELECT last_seq FROM mindtickle.event_position WHERE tenant_id = 'acme');
sub follows
{
	my ($what) = @_;
	ok(poll($node, q(SELECT NOT EXISTS (SELECT FROM mindtickle.tenants_to_publish())), 'example'), 'all is published');
	my $seq = $node->safe_psql('example', $last);
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($followed =~ /^$seq /m || time() > $deadline)
	{
		$follower->pump_nb;
		select undef, undef, undef, 0.05;
	}
	like($followed, qr/^$seq /m, $what) or diag($complaints);
	return $seq;
}
my $before = follows('it follows');
cmp_ok($before, '>', 3, 'there was something to follow');
$node->restart;
$node->safe_psql('example', q(SELECT mt_process_quiz_result('acme', jsonb_build_object('userId', 'u123', 'courseId', 'c1', 'quizId', 'q' || n, 'submittedAt', '2026-03-01T00:00:00Z')) FROM generate_series(1, 250) AS n));
my $after = follows('it connects again and catches up');
cmp_ok($after, '>=', $before + 250, 'with what has come');
$follower->kill_kill;
is(join(' ', map { (split / /)[0] } split /\n/, $followed), join(' ', 1 .. $after), 'every event once, in order');

# The README names what there is.
my @documented = sort $readme =~ /^\| `(mindtickle\.\w+)` \|/gm;
my @defined = split /\n/, $node->safe_psql('example', q(SELECT name FROM pg_settings WHERE name LIKE 'mindtickle.%' ORDER BY 1));
is("@documented", "@defined", 'every setting of the server is documented');

my @tenant_settings = split /\n/, $node->safe_psql('example', 'SELECT name FROM mindtickle.setting_definitions()');
my ($table) = $readme =~ /^## Settings of a tenant\n(.*?)^## /ms;
is(join(' ', grep { $table !~ /`$_`/ } @tenant_settings), '', 'every setting of a tenant is documented');

my @functions = split /\n/, $node->safe_psql('example',
	q(SELECT DISTINCT proname FROM pg_proc WHERE proname LIKE 'mt\_%' AND pronamespace = 'public'::regnamespace));
is(join(' ', grep { $readme !~ /`$_\(/ } @functions), '', 'every function is documented');
$node->stop('fast');
done_testing();
