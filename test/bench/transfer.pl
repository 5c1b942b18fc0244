#!/usr/bin/perl
# How long a client waits for a document, asked for again and again on one connection: the median, in microseconds.
#
#   transfer.pl <port> <times> <request>        the request without its last line break, which the sort of request asks for: HTTP's, or Redis'
#
# Called by gateway.sh for the gateway and for Redis, which have the same bytes. Each has a load generator of its own, but these take a document from the
# kernel in pieces of different size, which makes more of a difference than the servers do.

use strict;
use warnings;

use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my ($port, $times, $request) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) // die "no connection: $!\n";
setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
$request .= $request =~ /HTTP/ ? "\r\n\r\n" : "\r\n";

# How many bytes the answer has that begins like this; undef while that cannot be told.
sub whole
{
	my ($head) = @_;
	return $+[0] + $1 + 2 if $head =~ /^\$(\d+)\r\n/;
	my $body = index($head, "\r\n\r\n") + 4;
	return if $body < 4;
	# Of the header alone: to look through what follows would take longer than to get it.
	die "not an answer: $head\n" unless substr($head, 0, $body) =~ /^HTTP\/1\.1 200 .*^Content-Length: (\d+)\r$/ims;
	return $body + $1;
}

my @waits;
foreach (1 .. $times)
{
	my ($begun, $got, $head, $whole, $piece) = (time(), 0, '');

	syswrite($socket, $request) == length $request or die "not sent: $!\n";
	while (!defined $whole || $got < $whole)
	{
		$got += sysread($socket, $piece, 65536) || die "no answer: $!\n";
		$whole //= whole($head .= $piece);
	}
	push @waits, time() - $begun;
}
printf "%d\n", 1e6 * (sort { $a <=> $b } @waits)[ @waits / 2 ];
