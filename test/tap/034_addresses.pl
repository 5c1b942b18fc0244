# Where the sync worker connects to: not to this machine, private networks or a metadata service, however a tenant's URL spells them; to loopback alone
# where allow_http says so; and to nobody whose certificate does not hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Takes connections, should there be any.
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "cannot listen: $!\n";
my $port = $listener->sockport;

my @refused = (
	"127.0.0.1:$port", "localhost:$port", "LOCALHOST:$port", "127.1:$port", "2130706433:$port", "0x7f000001:$port", "0177.0.0.1:$port", "127.200.0.1:$port",
	"0.0.0.0:$port", qw(10.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1 169.254.169.254 2852039166 100.64.0.1 224.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1));

my $sandbox = MindTickle::Sandbox->start('--tenant', 'here,users=5,courses=2,rps=0,rpm=0');
my $node = start_node('primary');
add_extension($node);
my %url;
foreach my $number (0 .. $#refused)
{
	$url{ sprintf 'strict-%02d', $number } = { base_urls => [ "https://$refused[$number]/v2" ], allow_http => JSON::PP::false };
	# Loopback is accepted here, the others are not.
	$url{ sprintf 'lax-%02d', $number } = { base_urls => [ "https://$refused[$number]/v2" ] } unless $refused[$number] =~ /:$port$/;
}
foreach my $tenant (sort keys %url)
{
	MindTickle::Test::create_tenant($node, $tenant, { %{ $url{$tenant} } }, { api_key => 'a' });
}
ok(poll($node, 'SELECT count(*) = ' . keys(%url) . q( FROM mt_sync_jobs WHERE state = 'failed')), 'no pull from such a place succeeds');
is($node->safe_psql('postgres', q(SELECT string_agg(format('%s: %s', t.settings #>> '{base_urls,0}', j.error), E'\n') FROM mt_sync_jobs AS j JOIN mindtickle.tenant AS t USING (tenant_id)
	WHERE j.error <> 'the base URL may not be called: the host''s address is private, link-local or loopback; http and loopback need allow_http')), '', 'all are refused for their address');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mt_sync_jobs WHERE requests > 1'), 0, 'none is tried again');

# The same goes for the other URLs.
MindTickle::Test::create_tenant($node, 'reporting', { contract => 'live', base_urls => [ $sandbox->url ], learning_site => 'x', reporting_url => 'https://169.254.169.254' },
	{ api_key => 'a', secret_key => 'b', reporting_user => 'c', reporting_password => 'd' });
like($node->safe_psql('postgres', q(SELECT detail FROM mt_test_connection('reporting') WHERE step = 'sign-in')), qr/404|401|400/, 'a tenant whose reporting is elsewhere');
ok(!IO::Select->new($listener)->can_read(0), 'nobody has connected to this machine');

# With allow_http loopback is called, by its name too.
my $here = $sandbox->url =~ s/127\.0\.0\.1/localhost/r;
add_tenant($node, $sandbox, 'here', base_urls => [$here]);
ok(wait_for_sync($node, 'here'), 'with allow_http this machine is called');
equals_truth($node, $sandbox, 'here');

# A certificate that nobody vouches for.
SKIP:
{
	my $directory = PostgreSQL::Test::Utils::tempdir;
	skip('there is no openssl', 3) if system("command -v openssl >$directory/out 2>&1") != 0;
	my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "cannot listen: $!\n";
	my $secure = $server->sockport;
	$server->close;
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
		'-keyout', "$directory/key", '-out', "$directory/certificate");
	my $pid = fork();
	die "cannot fork: $!\n" unless defined $pid;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$directory/heard");
		open(STDERR, '>&', \*STDOUT);
		exec('openssl', 's_server', '-accept', "127.0.0.1:$secure", '-cert', "$directory/certificate", '-key', "$directory/key", '-www') or exit 1;
	}
	my $listens = 0;
	for (1 .. 100)
	{
		$listens = defined IO::Socket::INET->new(PeerAddr => "127.0.0.1:$secure") and last;
		select(undef, undef, undef, 0.1);
	}
	ok($listens, 'a server with a certificate of its own making');
	MindTickle::Test::create_tenant($node, 'unknown', { base_urls => ["https://localhost:$secure/v2"] }, { api_key => 'secret-of-unknown' });
	like($node->safe_psql('postgres', q(SELECT detail FROM mt_test_connection('unknown') WHERE step = 'users')), qr/certificate/, 'is not believed');
	kill('TERM', $pid);
	waitpid($pid, 0);
	unlike(slurp_file("$directory/heard"), qr/GET|secret-of-unknown/, 'and told nothing');
}

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
