# Attacks on one tenant by random queries of roles of another, and what came of them. Used by test/tap/012_fuzz.pl; asserts nothing itself.
#
#   my $fuzz = MindTickle::Fuzz->new($node, seed => 1);    $node runs, with the extension in database "postgres", and is used for nothing else
#   $fuzz->round(250)         that many queries by each attacker; can be called again and again
#   $fuzz->changes            what attackers must not change and have changed
#   $fuzz->query($role, $sql) one query of our own, treated like those of a round
#   $fuzz->{queries}          and other figures, see new
#
# sqlsmith looks up which tables and functions there are, makes queries of them and runs them as an attacker. It does not show what they return
# and rolls back what they do. So psql runs each query once more as the same attacker, and what it prints is searched. Of a round nothing stays
# on the disk but the server log.

package MindTickle::Fuzz;

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

# Only the rows of the other tenant hold these. The rows are numbered, so each value is the beginning of some.
use constant WORD => 'xylocanarybee731';
use constant NUMBER => 7319462857100;
use constant MOMENT => '2171-03-14 05:06:07.891234Z';
use constant DAY => '2171-03-14';

# What text with such a value looks like: as it is, reversed, in hexadecimal, as a digest, divided, in another time zone.
my $trace = join('|', WORD, scalar reverse(WORD), unpack('H*', WORD), sha256_hex(WORD), '7319462857\.?[12]', ':06:07\.891234', '2171-03-1[345]');

# In front of the output of each query that is run again.
use constant MARK => '-- output of query';

# So many lines of each kind are kept.
use constant KEPT => 20;

# What a test that is itself killed leaves running ends some time.
my @backstop = ('timeout', '-k', '5', '3600');

our @attackers = map { "fuzz_$_" } qw(reader writer admin careless pooled);

# Configuration for the server. Everything else that has to do with the log is left at its default, which is what must not tell secrets.
# Compiling queries that run once takes most of the time.
sub configuration
{
	return <<'END';
max_connections = 50
jit = off
mindtickle.sync_enabled = off
log_statement = none
log_error_verbosity = verbose
log_line_prefix = '%m [%p] %q%u/%a '
END
}

sub new
{
	my ($class, $node, %options) = @_;
	my $self = bless {
		node => $node,
		seed => $options{seed},
		directory => PostgreSQL::Test::Utils::tempdir('fuzz'),
		rounds => 0,
		queries => 0,		# that sqlsmith has run
		answered => 0,		# that psql has run again
		bytes => 0,			# that this printed
		own_rows => 0,		# lines of it with values of the attackers' own tenant
		errors => 0,		# in the log
		timeouts => 0,		# of these, queries that took longer than they may
		refusals => 0,		# of these, those that name the other tenant
		searched => 0,		# how far the log has been searched
		traces => [],		# lines with values of the other tenant, in output, messages or log
		alarms => [],		# of the triggers of tenants.sql
		crashes => [],
		internal_errors => 0,	# of these, errors that should never be seen
		internal => [],		# those of them that are ours
	}, $class;

	$self->_run_file('tenants.sql', word => WORD, number => NUMBER, moment => MOMENT, day => DAY);
	$self->{state} = $self->_run_file('state.sql');
	$self->_search_log;
	return $self;
}

# Runs a file as a superuser and returns what it prints.
sub _run_file
{
	my ($self, $name, %variables) = @_;
	my $settings = join('', map { "\\set $_ '$variables{$_}'\n" } sort keys %variables);
	return $self->{node}->safe_psql('postgres', "$settings\\i '$FindBin::RealBin/fuzz/$name'\n");
}

sub changes
{
	my ($self) = @_;
	my %before = map { $_ => 1 } split /\n/, $self->{state};
	my @now = grep { !delete $before{$_} } split /\n/, $self->_run_file('state.sql');
	return join("\n", @now, sort keys %before);
}

sub round
{
	my ($self, $queries) = @_;
	my %statements = map { $_ => [] } @attackers;
	my %process;

	$self->{rounds}++;
	foreach my $place (0 .. $#attackers)
	{
		my $role = $attackers[$place];
		# Two times of three it keeps to the tables and views that are not the server's own.
		my @choice = ($self->{rounds} + $place) % 3 ? ('--exclude-catalog') : ();
		my $seed = 10 * ($self->{seed} + 1000 * $self->{rounds}) + $place;

		$process{$role} = IPC::Run::start(
			[
				@backstop, 'sqlsmith', '--target=' . $self->{node}->connstr('postgres') . " user=$role",
				"--seed=$seed", "--max-queries=$queries", '--dump-all-queries', '--verbose', @choice
			],
			'<', '/dev/null', '>', $self->_file($role, 'queries'), '2>', $self->_file($role, 'messages'));
	}
	$self->_finish(\%process, qw(queries messages));
	foreach my $role (@attackers)
	{
		# It begins each query on a line of its own and ends it with a semicolon.
		$statements{$role} = [ grep { /\S/ } split /;\n/, slurp_file($self->_file($role, 'queries')) ];
		$self->{queries} += @{ $statements{$role} };
		$self->_search_file($self->_file($role, $_)) foreach qw(queries messages);
	}
	$self->_end_sessions;
	$self->_run_again(%statements);
	$self->_end_sessions;
	$self->_search_log;
}

sub query
{
	my ($self, $role, $sql) = @_;
	$self->_run_again($role => [$sql]);
	$self->_search_log;
}

# Waits for the processes of the roles, as long as the files of these names grow: how long they take altogether is the machine's, but a query ends
# after a second. What does not go on is stopped; returns the roles of these.
sub _finish
{
	my ($self, $processes, @names) = @_;
	my %stopped;
	my %size = map { $_ => 0 } keys %$processes;
	my %grown = map { $_ => time() } keys %$processes;

	while (my @running = grep { $processes->{$_}->pumpable } sort keys %$processes)
	{
		foreach my $role (@running)
		{
			my $size = 0;
			$size += -s $self->_file($role, $_) // 0 foreach @names;
			$grown{$role} = time() if $size != $size{$role};
			$size{$role} = $size;
			next if time() < $grown{$role} + $PostgreSQL::Test::Utils::timeout_default;
			$stopped{$role} = 1;
			$processes->{$role}->kill_kill(grace => 5);
		}
		usleep(50_000);
	}
	$processes->{$_}->finish foreach grep { !$stopped{$_} } keys %$processes;
	return %stopped;
}

sub _file
{
	my ($self, $role, $name) = @_;
	return "$self->{directory}/$role.$name";
}

# Runs the statements of each role by psql, all roles at once, and searches what it prints. A query can end its own session: then another psql
# goes on after it.
sub _run_again
{
	my ($self, %rest) = @_;

	while (%rest)
	{
		my %process;
		foreach my $role (keys %rest)
		{
			$self->_write_script($role, $rest{$role});
			$process{$role} = IPC::Run::start(
				[
					@backstop, 'psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose',
					'-d', $self->{node}->connstr('postgres') . " user=$role", '-f', $self->_file($role, 'script')
				],
				'<', '/dev/null', '>', $self->_file($role, 'output'), '2>', $self->_file($role, 'messages'));
		}
		my %stopped = $self->_finish(\%process, qw(output messages));
		foreach my $role (keys %process)
		{
			my $done = $self->_search_file($self->_file($role, 'output'));
			$self->_search_file($self->_file($role, 'messages'));
			$self->{answered} += $done;
			$self->{bytes} += -s $self->_file($role, 'output');
			splice @{ $rest{$role} }, 0, $done;
			# Where one had to be stopped, the rest is left out.
			delete $rest{$role} if !$done || !@{ $rest{$role} } || $stopped{$role};
		}
	}
}

# What is no query is rolled back: the triggers tell what it did.
sub _write_script
{
	my ($self, $role, $statements) = @_;
	open(my $script, '>', $self->_file($role, 'script')) or die "could not write a script: $!\n";
	foreach my $statement (@$statements)
	{
		my $is_query = $statement =~ /^\s*(select|with)\b/i;
		print $script '\echo ', MARK, "\n", $is_query ? "$statement;\n" : "BEGIN;\n$statement;\nROLLBACK;\n";
	}
	close($script) or die "could not write a script: $!\n";
}

# Keeps the lines with traces of the other tenant and returns how many marks there are.
sub _search_file
{
	my ($self, $file) = @_;
	my $marks = 0;

	open(my $handle, '<:raw', $file) or die "could not read $file: $!\n";
	while (my $line = <$handle>)
	{
		$marks++ if $line eq MARK . "\n";
		$self->{own_rows}++ if $line =~ /own row \d/;
		$self->_keep('traces', $line) if $line =~ /$trace/oi;
	}
	return $marks;
}

# What the server has logged since the last time. A message is several lines, first the error, then where it arose; sqlsmith brings about some
# internal errors of the server itself, of which only those that our code raises, or runs into, are kept.
sub _search_log
{
	my ($self) = @_;

	open(my $handle, '<:raw', $self->{node}->logfile) or die "could not read the server log: $!\n";
	seek($handle, $self->{searched}, 0);
	my $internal;
	while (my $line = <$handle>)
	{
		$self->_keep('traces', $line) if $line =~ /$trace/oi;
		$self->_keep('crashes', $line) if $line =~ /was terminated by signal|TRAP: |PANIC: /;
		if ($line =~ m{^[^\t]* (?:ERROR|FATAL):  (\w{5}): (.*)})
		{
			my ($state, $message) = ($1, $2);
			$self->{errors}++;
			$self->{timeouts}++ if $state eq '57014';
			$self->{refusals}++ if $message eq 'permission denied for tenant "fuzz-b"';
			$self->_keep('alarms', $line) if $message =~ /^ALARM: /;
			$self->{internal_errors} += $state eq 'XX000';
			$internal = $state eq 'XX000' ? $line : undef;
		}
		elsif ($line =~ /^[^\t]* [A-Z]+[1-5]?:  \w{5}: /)
		{
			# Another message begins, and what follows is of that one.
			$internal = undef;
		}
		elsif ($internal && $line =~ /^[^\t]* (?:CONTEXT|LOCATION):  (.*)/ && is_ours($1))
		{
			$self->_keep('internal', $internal . $line);
		}
	}
	$self->{searched} = tell($handle);
}

# Is this a place in a source file of ours (some names of files are the server's as well), or inside one of our functions?
sub is_ours
{
	my ($place) = @_;
	return 1 if $place =~ /\b(mt_|mindtickle\.)/;
	return 0 unless $place =~ /^(\w+), (\w+\.c):\d+$/;
	my ($function, $file) = ($1, "$FindBin::RealBin/../../src/$2");
	return -e $file && slurp_file($file) =~ /^$function\(/m;
}

sub _keep
{
	my ($self, $kind, $line) = @_;
	push @{ $self->{$kind} }, substr($line, 0, 500) if @{ $self->{$kind} } < KEPT;
}

# What a program that was stopped has left running.
sub _end_sessions
{
	my ($self) = @_;
	$self->{node}->safe_psql('postgres', q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename LIKE 'fuzz\_%'));
}

1;
