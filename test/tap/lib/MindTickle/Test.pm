# What the TAP tests share: servers with the extension, tenants that pull from the sandbox, waiting for a state, and comparing
# our tables with the sandbox's truth row for row. Used by test/tap/*.pl.

package MindTickle::Test;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  add_extension
  add_live_tenant
  add_tenant
  equals_truth
  kill_and_start
  quote
  poll
  start_node
  truth_differences
  wait_for_notification
  wait_for_sync
  worker_pid
);

# The columns that the sandbox tells of each table, and where ours are.
my %tables = (
	users => {
		columns => 'user_id text, mindtickle_id text, email text, name text, role text, active bool, scim_external_id text',
		ours => 'SELECT user_id, mindtickle_id, email, name, role, active, scim_external_id FROM mindtickle.users'
	},
	courses => {
		columns => 'course_id text, title text',
		ours => 'SELECT course_id, title FROM mindtickle.course'
	},
	progress => {
		columns => 'user_id text, course_id text, status text, score numeric, completed_at timestamptz, updated_at timestamptz',
		ours => 'SELECT user_id, course_id, status, score, completed_at, updated_at FROM mindtickle.course_progress'
	},
	quiz_results => {
		columns => 'user_id text, course_id text, quiz_id text, submitted_at timestamptz, score numeric, attempt int, passed bool, '
		  . 'max_score numeric, raw_score numeric, answer_count int, computed_score numeric',
		ours => 'SELECT user_id, course_id, quiz_id, submitted_at, score, attempt, passed, max_score, raw_score, '
		  . 'coalesce(jsonb_array_length(answers), 0), computed_score FROM mindtickle.quiz_submission'
	},
	quizzes => {
		columns => 'quiz_id text, course_id text, max_score numeric',
		ours => 'SELECT quiz_id, course_id, max_score FROM mindtickle.quiz'
	});

# The same for tenants of the live contract.
my %live_tables = (
	users => {
		columns => 'user_id text, mindtickle_id text, email text, name text, role text, active bool, scim_external_id text, title text, '
		  . 'department text, location text, hired_at timestamptz, manager_email text',
		ours => 'SELECT user_id, mindtickle_id, email, name, role, active, scim_external_id, title, department, location, hired_at, '
		  . 'manager_email FROM mindtickle.users'
	},
	teams => { columns => 'team_id text, name text', ours => 'SELECT team_id, name FROM mindtickle.team' },
	team_members => { columns => 'team_id text, user_id text', ours => 'SELECT team_id, user_id FROM mindtickle.team_member' },
	courses => {
		columns => 'course_id text, title text, kind text',
		ours => 'SELECT course_id, title, kind FROM mindtickle.course'
	},
	progress => {
		columns => 'user_id text, course_id text, status text, completed_at timestamptz, score numeric, invited_at timestamptz, '
		  . 'started_at timestamptz, is_overdue bool, has_failed bool, percent_completed numeric, max_score numeric',
		ours => 'SELECT user_id, course_id, status, completed_at, score, invited_at, started_at, is_overdue, has_failed, '
		  . 'percent_completed, max_score FROM mindtickle.course_progress'
	},
	quiz_results => {
		columns => 'user_id text, course_id text, quiz_id text, submitted_at timestamptz, score numeric, max_score numeric, raw_score numeric',
		ours => 'SELECT user_id, course_id, quiz_id, submitted_at, score, max_score, raw_score FROM mindtickle.quiz_submission'
	},
	quizzes => $tables{quizzes});

# The tables of a tenant of the sandbox, by its contract.
sub tables_of
{
	my ($sandbox, $tenant) = @_;
	return $sandbox->tenant($tenant)->{contract} eq 'live' ? \%live_tables : \%tables;
}

# A running server with the library preloaded. Options: configuration => lines for postgresql.conf, preload => 0, allows_streaming => 1.
sub start_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => $options{allows_streaming}, extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mindtickle'") if $options{preload} // 1;
	$node->append_conf('postgresql.conf', "max_worker_processes = 32\n");
	# A test of the gateway gives it a port; the others leave the default one alone.
	$node->append_conf('postgresql.conf', 'mindtickle.gateway_port = 0');
	$node->append_conf('postgresql.conf', $options{configuration} // '');
	$node->start;
	return $node;
}

# The extension, set up, in a database that exists.
sub add_extension
{
	my ($node, $database) = @_;
	my $known = $node->safe_psql('postgres', q(SELECT count(*) FROM pg_roles WHERE rolname = 'mindtickle_service'));

	$node->safe_psql('postgres', 'CREATE ROLE mindtickle_service NOLOGIN') unless $known;
	$node->safe_psql($database // 'postgres', 'CREATE EXTENSION mindtickle; SELECT mt_setup();');
}

# A tenant that pulls from the sandbox's tenant of the same name. Further settings override these.
sub add_tenant
{
	my ($node, $sandbox, $tenant, %settings) = @_;
	create_tenant($node, $tenant, { contract => 'reference', base_urls => [ $sandbox->url ], %settings }, { api_key => $sandbox->key($tenant) });
}

# The same for a tenant of the live contract, with everything that the sandbox says of it.
sub add_live_tenant
{
	my ($node, $sandbox, $tenant, %settings) = @_;
	my $live = $sandbox->tenant($tenant);
	my %credential = map { $_ => $live->{$_} } grep { defined $live->{$_} } qw(api_key secret_key reporting_user reporting_password);
	my %given = map { $_ => $live->{$_} } grep { defined $live->{$_} } qw(base_urls learning_site reporting_url);
	my @groups = map { $_->{name} } @{ decode_json($sandbox->truth($tenant, 'teams')) };

	create_tenant($node, $tenant,
		{ contract => 'live', groups => \@groups, profile_map => { hired_at => 'a_21', manager_name => 'a_0' }, %given, %settings },
		\%credential);
}

sub create_tenant
{
	my ($node, $tenant, $settings, $credential) = @_;
	my $database = delete $settings->{database} // 'postgres';
	my $json = JSON::PP->new->canonical->ascii;
	my ($name, $configuration, $secrets) = map { quote($_) } (
		$tenant,
		$json->encode({ allow_http => JSON::PP::true, requests_per_second => 50, requests_per_minute => 3000, %$settings }),
		$json->encode($credential));

	$node->safe_psql($database,
		"SELECT mt_create_tenant($name, $name); SELECT mt_configure_tenant($name, $configuration); SELECT mt_set_credential($name, $secrets);");
}

# An SQL literal.
sub quote
{
	my ($text) = @_;
	$text =~ s/(['\\])/$1$1/g;
	return "E'$text'";
}

# Waits until a query says "t", at most as long as poll_query_until would, but no longer than the server lives.
sub poll
{
	my ($node, $query, $database) = @_;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
	my ($output, $error);

	while (time() < $deadline && -e $node->data_dir . '/postmaster.pid')
	{
		# Where the server ends in the same moment psql may be gone before it has read the query.
		eval { $node->psql($database // 'postgres', $query, stdout => \$output, stderr => \$error); 1 }
		  or $@ =~ /Broken pipe/ or die $@;
		return 1 if defined $output && $output eq 't';
		usleep(50_000);
	}
	diag("waited in vain for: $query", 'last answer: ' . ($output // ''), $error // '');
	return 0;
}

# Waits until these tenants have no pull under way; true when the last full pull of each has ended well.
sub wait_for_sync
{
	my ($node, @tenants) = @_;
	my $names = join(', ', map { quote($_) } @tenants);
	my $last = "SELECT DISTINCT ON (tenant_id) tenant_id, state, error FROM mt_sync_jobs "
	  . "WHERE kind = 'full' AND tenant_id IN ($names) ORDER BY tenant_id, job_id DESC";

	if (!poll($node,
			"SELECT count(*) = " . @tenants . " AND bool_and(state IN ('done', 'failed', 'cancelled')) FROM ($last) AS l"))
	{
		$node->psql('postgres', 'SELECT tenant_id, state, phase, done, total, error FROM mt_sync_jobs ORDER BY job_id',
			stdout => \my $jobs);
		diag($jobs // '');
		return 0;
	}
	my $bad = $node->safe_psql('postgres', "SELECT tenant_id, state, error FROM ($last) AS l WHERE state <> 'done'");
	diag($bad) if $bad ne '';
	return $bad eq '';
}

# What a session of background_psql that listens has heard, once it has heard something, else what it said so far. $answer is
# the answer to its query before: the publisher may have been faster than that.
sub wait_for_notification
{
	my ($session, $answer) = @_;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default / 2;
	my $heard = "$answer\n";

	# psql prints a notification with the answer to a query that follows its arrival. Half the time, as the session's own
	# timer, which runs since it was opened, would end the test file.
	until ($heard =~ /Asynchronous notification/ || time() > $deadline)
	{
		$heard .= $session->query_safe('SELECT pg_sleep(0.05)');
	}
	return $heard;
}

# What differs between a table of ours and the truth, at most ten rows as text; '' when nothing does. $pulled: see
# MindTickle::Sandbox::truth.
sub truth_differences
{
	my ($node, $sandbox, $tenant, $table, $pulled) = @_;
	my ($columns, $ours) = @{ tables_of($sandbox, $tenant)->{$table} }{qw(columns ours)};
	my $rows = $sandbox->truth($tenant, $table, $pulled);
	my $name = quote($tenant);

	return $node->safe_psql('postgres', <<"END");
WITH truth AS (SELECT * FROM jsonb_to_recordset(\$truth_of_sandbox\$$rows\$truth_of_sandbox\$) AS t ($columns)),
	ours AS ($ours WHERE tenant_id = $name)
SELECT * FROM (
	SELECT 'missing', m::text FROM (TABLE truth EXCEPT ALL TABLE ours) AS m
	UNION ALL
	SELECT 'not true', u::text FROM (TABLE ours EXCEPT ALL TABLE truth) AS u
) AS d ORDER BY 2, 1 LIMIT 10
END
}

# One assertion: all tables of the tenant are what the sandbox says.
sub equals_truth
{
	my ($node, $sandbox, $tenant, $pulled) = @_;
	my @differing;

	foreach my $table (sort keys %{ tables_of($sandbox, $tenant) })
	{
		my $differences = truth_differences($node, $sandbox, $tenant, $table, $pulled);
		push @differing, "$table:\n$differences" if $differences ne '';
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!@differing, "the rows of $tenant equal the truth") or diag(join("\n", @differing));
}

# Kills the postmaster and starts the server again once nothing of the killed one is left.
sub kill_and_start
{
	my ($node) = @_;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	$node->kill9;
	while (kill(0, $postmaster) || !$node->start(fail_ok => 1))
	{
		die "the server does not start again\n" if time() > $deadline;
		$node->{_pid} = undef;
		usleep(50_000);
	}
}

# The process of a worker, by its backend_type, once it is there and other than $before.
sub worker_pid
{
	my ($node, $type, $before) = @_;
	my $query = 'SELECT pid FROM pg_stat_activity WHERE backend_type = ' . quote($type) . ' AND pid <> ' . ($before // 0);

	poll($node, "SELECT count(*) = 1 FROM ($query) AS w") or return;
	return $node->safe_psql('postgres', $query);
}

1;
