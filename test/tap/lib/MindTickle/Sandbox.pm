# The stand-in for MindTickle's API as an object: starts test/sandbox/mindtickle-sandbox on a free port of the loopback
# address and talks to its control endpoints. Used by the TAP tests; knows nothing of PostgreSQL.
#
#   my $sandbox = MindTickle::Sandbox->start('--tenant', 'acme,users=39,rps=50,rpm=0');
#   $sandbox->url                      base URL for mt_configure_tenant
#   $sandbox->key('acme')              API key of a tenant
#   $sandbox->host('global')           URL of a host of the live contract: global, us, admin, elsewhere
#   $sandbox->tenant('acme')           all that /sandbox/tenants says of a tenant, a hash
#   $sandbox->stats('acme')            what it counted for a tenant, a hash
#   $sandbox->totals                   what it counted for nobody in particular, a hash
#   $sandbox->get('arrivals')          decoded answer of any control endpoint
#   $sandbox->truth('acme', 'users')   JSON text of the rows that a complete pull must give
#   $sandbox->post('faults', kind => 'error500', percent => 5)
#   $sandbox->stop

package MindTickle::Sandbox;

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(usleep time);

# Until the program listens or has ended.
use constant DEADLINE => 30;

my $started = 0;
my @running;

# Starts the program with these arguments and waits until it listens.
sub start
{
	my ($class, @arguments) = @_;
	my $program = "$FindBin::RealBin/../sandbox/mindtickle-sandbox";
	die "$program is not there: run make -C test/sandbox\n" unless -x $program;

	my $number = ++$started;
	my $base = "$PostgreSQL::Test::Utils::log_path/sandbox_${number}_$$";
	my $self = bless {
		program => $program,
		arguments => \@arguments,
		port => 0,
		hosts => {},
		log => "$base.log",
		port_file => "$base.port",
		http => HTTP::Tiny->new(timeout => DEADLINE, no_proxy => ['127.0.0.1'])
	}, $class;
	push @running, $self;
	$self->launch;
	return $self;
}

# Starts the program again after stop, on the ports it had; its counters begin anew.
sub launch
{
	my ($self) = @_;
	unlink $self->{port_file};

	my $pid = fork();
	die "could not fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->{log});
		open(STDERR, '>>', $self->{log});
		exec($self->{program}, '--port', $self->{port}, '--port-file', $self->{port_file},
			(map { ("--$_-port", $self->{hosts}{$_}) } sort keys %{ $self->{hosts} }), @{ $self->{arguments} })
		  or POSIX::_exit(127);
	}
	$self->{pid} = $pid;

	my $deadline = time() + DEADLINE;
	until ($self->{port} = $self->_listening_port)
	{
		die "the sandbox ended at once, see $self->{log}\n" if waitpid($pid, POSIX::WNOHANG()) != 0;
		die "the sandbox does not listen, see $self->{log}\n" if time() > $deadline;
		usleep(10_000);
	}
	$self->{tenants} = { map { $_->{tenant} => $_ } @{ $self->get('tenants') } };
}

# The port that the program has written, a whole line; else nothing. Further lines name the hosts of the live contract.
sub _listening_port
{
	my ($self) = @_;
	open(my $handle, '<', $self->{port_file}) or return;
	my ($line, @others) = <$handle>;
	$self->{hosts} = { map { split } @others };
	return defined $line && $line =~ /^(\d+)\n/ ? $1 : undef;
}

sub stop
{
	my ($self, $signal) = @_;
	if ($self->{pid})
	{
		kill($signal // 'TERM', $self->{pid});
		waitpid($self->{pid}, 0);
		$self->{pid} = undef;
	}
}

sub url
{
	my ($self) = @_;
	return "http://127.0.0.1:$self->{port}/v2";
}

sub host
{
	my ($self, $host) = @_;
	return 'http://127.0.0.1:' . ($self->{hosts}{$host} // die "the sandbox has no host $host\n");
}

sub tenant
{
	my ($self, $tenant) = @_;
	return $self->{tenants}{$tenant} // die "the sandbox has no tenant $tenant\n";
}

sub key
{
	my ($self, $tenant) = @_;
	return $self->tenant($tenant)->{key};
}

sub stats
{
	my ($self, $tenant) = @_;
	return $self->get('stats', tenant => $tenant)->{tenants}[0];
}

sub totals
{
	my ($self) = @_;
	my $totals = $self->get('stats', tenant => (sort keys %{ $self->{tenants} })[0]);
	delete $totals->{tenants};
	return $totals;
}

sub get
{
	my ($self, $what, %query) = @_;
	return decode_json($self->_request('GET', $what, %query));
}

# $pulled is the rising list of revisions of the complete pulls so far, such as "0,3"; unsaid, the present one.
sub truth
{
	my ($self, $tenant, $table, $pulled) = @_;
	return $self->_request('GET', 'truth', tenant => $tenant, table => $table, defined $pulled ? (pulled => $pulled) : ());
}

# Changes its behaviour: faults, limits, revision.
sub post
{
	my ($self, $what, %query) = @_;
	return $self->_request('POST', $what, %query);
}

sub _request
{
	my ($self, $method, $what, %query) = @_;
	my $address = "http://127.0.0.1:$self->{port}/sandbox/$what?" . $self->{http}->www_form_urlencode(\%query);
	my $answer = $self->{http}->request($method, $address);
	die "$method $address: $answer->{status} $answer->{content}\n" unless $answer->{success};
	return $answer->{content};
}

# A test that dies leaves no program behind; its exit status stays what it is.
END
{
	local $?;
	$_->stop('KILL') foreach @running;
}

1;
