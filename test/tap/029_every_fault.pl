# Twenty tenants of each contract from a service that fails in every way it can: each kind of fault is met by several of them, with 5 % of their requests,
# four kinds at a time. What is stored equals the truth row for row, no limit is exceeded, no wrong host is called, and no credential is used for another
# tenant. Some kinds say untruly that something is not there or not allowed, which is believed for that pull: there the next one must mend it.
# (Strangers, which are people made up, are in 027_hostile_answers.pl.)

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
use constant KINDS => 4;

my @common = qw(error500 wrong429 odd429 redirect html200 empty200 garbage deep huge bomb encoding gzip truncated reset slow hang drip);
my @lies = qw(html400 error403 error404);
my %kinds = (ref => [ @common, @lies ], live => [ @common, qw(revoked loop endless), @lies ]);
my (@tenants, %faults);
foreach my $contract (sort keys %kinds)
{
	my @of_contract = @{ $kinds{$contract} };
	foreach my $number (0 .. TENANTS - 1)
	{
		my $tenant = sprintf '%s-%02d', $contract, $number + 1;
		push @tenants, $tenant;
		$faults{$tenant} = [ map { $of_contract[ (KINDS * $number + $_) % @of_contract ] } 0 .. KINDS - 1 ];
	}
}
my @deceived = grep { my $tenant = $_; grep { my $kind = $_; grep { $_ eq $kind } @lies } @{ $faults{$tenant} } } @tenants;

my $sandbox = MindTickle::Sandbox->start(
	'--seed', 47, '--threads', 2, '--slow-ms', 100, '--hang-ms', 2000,
	map { ('--tenant', "$_,users=24,courses=9,rps=20,rpm=1200,contract=" . (/^live/ ? 'live,token=30,page=40,reporting=' . (/[05]$/ ? 'no' : 'yes') : 'reference')) } @tenants);
foreach my $tenant (@tenants)
{
	# Few requests can meet these two.
	$sandbox->post('faults', kind => $_, percent => /loop|endless/ ? 20 : 5, tenant => $tenant) foreach @{ $faults{$tenant} };
}

my $node = start_node('primary');
add_extension($node);
my %budget = (requests_per_second => 20, requests_per_minute => 1200);
foreach my $tenant (@tenants)
{
	$tenant =~ /^live/ ? add_live_tenant($node, $sandbox, $tenant, %budget) : add_tenant($node, $sandbox, $tenant, %budget);
}

my $names = join(', ', map { quote($_) } @tenants);
my %is_deceived = map { $_ => 1 } @deceived;
my $honest = join(', ', map { quote($_) } grep { !$is_deceived{$_} } @tenants);
ok(poll($node, "SELECT count(*) = 0 FROM mt_sync_jobs WHERE state IN ('queued', 'running') AND tenant_id IN ($names)"), 'all pulls come to an end');
is($node->safe_psql('postgres', "SELECT string_agg(format('%s: %s', tenant_id, error), ', ') FROM mt_sync_jobs WHERE state <> 'done' AND tenant_id IN ($honest)"),
	'', 'none fails that is not told that it must');

# What was believed is mended: a credential that is stored again is tried again.
my %met;
foreach my $tenant (@tenants)
{
	my $given = $sandbox->stats($tenant)->{faults};
	$met{$_} += $given->{$_} foreach keys %$given;
}
is(join(' ', grep { !$met{$_} } @common, @lies, qw(revoked loop endless)), '', 'every kind of fault was met');
foreach my $tenant (@deceived)
{
	$sandbox->post('faults', kind => $_, percent => 0, tenant => $tenant) foreach @lies;
	my $live = $sandbox->tenant($tenant);
	my %credential = map { $_ => $live->{$_} } grep { defined $live->{$_} } $tenant =~ /^live/ ? qw(api_key secret_key reporting_user reporting_password) : ();
	%credential = (api_key => $sandbox->key($tenant)) unless %credential;
	$node->safe_psql('postgres', sprintf('SELECT mt_set_credential(%s, %s), mt_sync_tenant(%s)', quote($tenant), quote(JSON::PP->new->encode(\%credential)), quote($tenant)));
}
ok(wait_for_sync($node, @deceived), 'where the service told untruths the next pull succeeds');
equals_truth($node, $sandbox, $_) foreach @tenants;

my @crimes = qw(violations_per_second violations_per_minute wrong_hosts foreign_ids foreign_credentials company_mismatches refused_sign_ins);
foreach my $tenant (@tenants)
{
	my $stats = $sandbox->stats($tenant);
	is(join(', ', map { "$_ $stats->{$_}" } grep { $stats->{$_} } @crimes), '', "$tenant: no limit exceeded, no wrong host called, no credential used for another tenant");
}
my $totals = $sandbox->totals;
is(join(', ', map { "$_ $totals->{$_}" } grep { $totals->{$_} } qw(elsewhere wrong_keys missing_keys shared_connections)), '', 'nothing went where it must not');
$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
