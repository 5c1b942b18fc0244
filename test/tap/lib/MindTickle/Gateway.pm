# The HTTP gateway as the TAP tests use it: a server whose gateway listens on a free port of the loopback address, requests, and bytes as they are.
#
#   my $node = start_gateway('primary', workers => 2, configuration => '...')    with tenants acme and globex
#   my $token = token($node, 'acme', 'read', 'quiz')
#   my $answer = ask($node, GET => '/api/tenants/acme/readiness', token => $token)     {status, headers, content, json}
#   my $bytes = raw($node, "GET / HTTP/1.1\r\n...")                                what comes back until the connection is closed

package MindTickle::Gateway;

use strict;
use warnings;

use Exporter 'import';
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(ask connect_to gateway_pids gateway_port raw read_until_closed start_gateway token wait_for_gateway);

my %ports;
my $tokens = 0;

# A server with the extension, two tenants and its gateway. Options: workers, configuration, port, tenants => 0.
sub start_gateway
{
	my ($name, %options) = @_;
	my $port = $options{port} // PostgreSQL::Test::Cluster::get_free_port();
	my $workers = $options{workers} // 1;
	my $node = start_node($name,
		configuration => "mindtickle.gateway_port = $port\nmindtickle.gateway_workers = $workers\nmindtickle.gateway_log = all\n"
		  . "mindtickle.gateway_requests_per_second = 0\n" . ($options{configuration} // ''));

	$ports{ $node->name } = $port;
	add_extension($node);
	$node->safe_psql('postgres', "SELECT mt_create_tenant('$_', initcap('$_'))") foreach $options{tenants} // 1 ? qw(acme globex) : ();
	wait_for_gateway($node, $workers) unless $options{silent};
	return $node;
}

sub gateway_port
{
	my ($node, $port) = @_;
	$ports{ $node->name } = $port if defined $port;
	return $ports{ $node->name };
}

# Waits until so many processes listen.
sub wait_for_gateway
{
	my ($node, $workers) = @_;
	poll($node, "SELECT count(*) = $workers FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' AND query = 'serving HTTP'")
	  or die "the gateway does not come up\n";
}

sub gateway_pids
{
	my ($node) = @_;
	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway' ORDER BY pid");
}

# A new token of the tenant, or for 'metrics' of none.
sub token
{
	my ($node, $tenant, @scopes) = @_;
	my $name = 'token ' . ++$tokens;
	my $owner = $scopes[0] eq 'metrics' ? 'NULL' : quote($tenant);

	return $node->safe_psql('postgres', "SELECT mt_create_token($owner, '$name', '{" . join(',', @scopes) . "}')");
}

# A request on a connection of its own, unless http names one that is kept.
sub ask
{
	my ($node, $method, $path, %options) = @_;
	my $http = $options{http} // HTTP::Tiny->new(timeout => 60, keep_alive => 0);
	my %headers = %{ $options{headers} // {} };

	$headers{Authorization} = "Bearer $options{token}" if defined $options{token};
	$headers{'Content-Type'} //= 'application/json' if defined $options{body};
	my $answer = $http->request($method, "http://127.0.0.1:$ports{$node->name}$path",
		{ headers => \%headers, defined $options{body} ? (content => $options{body}) : () });
	$answer->{json} = eval { decode_json($answer->{content}) };
	return $answer;
}

sub connect_to
{
	my ($node) = @_;
	return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ports{ $node->name }, Timeout => 30) // die "no connection: $!\n";
}

# All bytes until the far side closes, or the time is over.
sub read_until_closed
{
	my ($socket, $seconds) = @_;
	my $deadline = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my $bytes = '';

	$socket->blocking(0);
	while (time() < $deadline)
	{
		my $count = sysread($socket, my $piece, 65536);
		if ($count) { $bytes .= $piece }
		elsif (defined $count) { return $bytes }
		elsif ($!{EAGAIN} || $!{EINTR}) { usleep(5_000) }
		else { return $bytes }
	}
	return "$bytes(not closed)";
}

# Sends bytes as they are and returns what comes back. The request should close the connection.
sub raw
{
	my ($node, $bytes) = @_;
	my $socket = connect_to($node);

	local $SIG{PIPE} = 'IGNORE';
	$socket->blocking(1);
	for (my $offset = 0; $offset < length $bytes;)
	{
		my $count = syswrite($socket, $bytes, 65536, $offset);
		last unless defined $count;
		$offset += $count;
	}
	return read_until_closed($socket);
}

1;
