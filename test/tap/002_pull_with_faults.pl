# Twenty tenants at once from an API that fails in every way, with bad records among the good ones: what is stored equals the truth row for
# row, every bad record is a dead letter, and no tenant's limits are exceeded. A second pull changes what changed upstream and nothing else.
#
# Every other tenant has bad records. Some of them have no readable id and may be anybody's, so at such a tenant nobody is deactivated for
# being absent from the listing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use JSON::PP;
use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant TENANTS => 20;

my @tenants = map { sprintf 'company-%02d', $_ } 1 .. TENANTS;
my @flawless = @tenants[ grep { $_ % 2 } 0 .. $#tenants ];
my @flawed = @tenants[ grep { $_ % 2 == 0 } 0 .. $#tenants ];
my %limits = map { $tenants[$_] => 20 + 2 * ($_ % 5) } 0 .. $#tenants;
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 11, '--slow-ms', 400,
	(map { ('--fault', "$_=5") } qw(error500 slow truncated html200 reset)),
	(map { ('--fault', "$_=1") } qw(empty200 wrong429)),
	map {
		my $rps = $limits{ $tenants[$_] };
		('--tenant', "$tenants[$_],users=" . (4 + 3 * $_) . ",courses=8,rps=$rps,rpm=" . 60 * $rps . ',bad=' . ($_ % 2 ? 0 : 8))
	  } 0 .. $#tenants);

my $node = start_node('primary');
add_extension($node);
add_tenant($node, $sandbox, $_, requests_per_second => $limits{$_}, requests_per_minute => 60 * $limits{$_}) foreach @tenants;

# No rows of a tenant among another's are in the comparison, so a mix-up shows as a difference of both.
sub check_truth
{
	my ($what, $pulled, @compared) = @_;

	ok(wait_for_sync($node, @tenants), "$what: all tenants are pulled");
	equals_truth($node, $sandbox, $_, $pulled) foreach @compared;
	my @over = grep { my $s = $sandbox->stats($_); $s->{violations_per_second} + $s->{violations_per_minute} > 0 } @tenants;
	is("@over", '', "$what: no tenant's limits were exceeded");
}

check_truth('first pull', undef, @tenants);
foreach my $tenant (@flawed)
{
	my $rejects = 0;
	$rejects += $_->{count} foreach @{ decode_json($sandbox->truth($tenant, 'rejects')) };
	is($node->safe_psql('postgres', "SELECT count(*) FROM mt_dead_letters WHERE tenant_id = '$tenant' AND reason <> '' AND octet_length(raw) > 0"),
		$rejects, "every bad record of $tenant is kept with its reason");
	cmp_ok($node->safe_psql('postgres', "SELECT sum(rejected) FROM mt_sync_jobs WHERE tenant_id = '$tenant'"),
		'>=', $rejects, "the pull of $tenant reports them");
}
my $faults = 0;
foreach my $tenant (@tenants)
{
	my $given = $sandbox->stats($tenant)->{faults};
	$faults += $_ foreach values %$given;
}
cmp_ok($faults, '>', 100, 'the API was as bad as it was meant to be');

# Nothing has changed upstream: nothing is written.
$node->safe_psql('postgres', "SELECT mt_sync_tenant(t) FROM unnest(ARRAY['company-01', 'company-02', 'company-03']) AS t");
ok(wait_for_sync($node, @tenants[ 0 .. 2 ]), 'three tenants are pulled again');
is( $node->safe_psql('postgres',
		q(SELECT sum(changed) FROM (SELECT DISTINCT ON (tenant_id) tenant_id, changed FROM mt_sync_jobs
		  WHERE tenant_id IN ('company-01', 'company-02', 'company-03') ORDER BY tenant_id, job_id DESC) AS l)),
	0, 'a pull that brings nothing new changes nothing');

# Upstream moves on: people leave, courses are completed, results come in.
$sandbox->post('revision', tenant => $_, revision => 2) foreach @tenants;
$node->safe_psql('postgres', 'SELECT mt_sync_tenant(tenant_id) FROM mindtickle.tenant');
check_truth('second pull', '0,2', @flawless);
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM mt_events WHERE tenant_id IN (' . join(', ', map { quote($_) } @flawed) . q[) AND topic = 'user_changed'
		AND payload ->> 'operation' = 'DELETE' AND NOT EXISTS (SELECT FROM mindtickle.dead_letter)]),
	0, 'where an id could not be read nobody is deactivated for being absent');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
