# A service that means harm: for each kind of hostile answer a tenant of either contract that gets nothing else. The worker stays the same process
# and small, nothing of it is stored, no redirection is followed, and the tenants beside them are pulled as if nothing were.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my @harm = qw(bomb huge deep many garbage encoding redirect html400 error403 drip hang);
my %live = map { $_ => "live-$_" } @harm, qw(strangers loop endless);
my %reference = map { $_ => "ref-$_" } @harm, 'ahead';
# Reports of rows without anything in them, of which each is refused: fifty thousand wide ones in ten megabytes, a quarter of a million in less than one.
my %empty = (wide => 50_000, hollow => 250_000);
my @well = qw(well-live well-ref);
my $sandbox = MindTickle::Sandbox->start(
	'--seed', 31, '--threads', 2, '--hang-ms', 20000,
	(map { ('--tenant', "$live{$_},contract=live,users=120,courses=12,rps=0,rpm=0") } sort keys %live),
	(map { ('--tenant', "$reference{$_},users=120,rps=0,rpm=0") } sort keys %reference),
	(map { ('--tenant', "live-$_,contract=live,users=20,courses=3,rps=0,rpm=0") } sort keys %empty),
	'--tenant', 'well-live,contract=live,users=120,rps=0,rpm=0',
	'--tenant', 'well-ref,users=120,rps=0,rpm=0');
foreach my $kind (sort keys %live)
{
	$sandbox->post('faults', kind => $kind, percent => 100, tenant => $live{$kind});
	$sandbox->post('faults', kind => $kind, percent => 100, tenant => $reference{$kind}) if exists $reference{$kind};
}
$sandbox->post('faults', kind => 'ahead', percent => 100, tenant => $reference{ahead});
$sandbox->post('faults', kind => 'padded', percent => 100, tenant => 'well-ref');
$sandbox->post('faults', kind => $_, percent => 100, tenant => "live-$_") foreach sort keys %empty;

my $node = start_node('primary');
add_extension($node);
my $pid = worker_pid($node, 'mindtickle sync');

# How many records each transaction adds to those that a pull has refused.
$node->safe_psql('postgres', q{
	CREATE TABLE refused (tenant_id text, records bigint);
	CREATE FUNCTION note_refused() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	BEGIN
		INSERT INTO public.refused VALUES (NEW.tenant_id, NEW.rejected - OLD.rejected);
		RETURN NULL;
	END $$;
	CREATE TRIGGER note_refused AFTER UPDATE ON mindtickle.sync_job FOR EACH ROW WHEN (NEW.rejected > OLD.rejected) EXECUTE FUNCTION note_refused();
});

# Pages that one tenant gets ahead of their turn, and never the one before them, must not keep another, whose answers need room as well, from his.
add_tenant($node, $sandbox, $reference{ahead});
ok(poll($node, "SELECT last_error IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = '$reference{ahead}'"), 'one has pages, and never the one before them');
add_tenant($node, $sandbox, 'well-ref');
ok(wait_for_sync($node, 'well-ref'), 'a tenant beside it is pulled');
add_live_tenant($node, $sandbox, $live{$_}) foreach sort keys %live;
add_tenant($node, $sandbox, $reference{$_}) foreach grep { $_ ne 'ahead' } sort keys %reference;
add_live_tenant($node, $sandbox, "live-$_") foreach 'hollow', 'wide';
add_live_tenant($node, $sandbox, 'well-live');
$node->safe_psql('postgres', q(SELECT mt_sync_tenant('well-ref')));

# The most memory of its own that the worker is seen to have, in kB.
my $peak = 0;

sub look
{
	my ($anonymous) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	$peak = $anonymous if $anonymous > $peak;
}

my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;
until (time() > $deadline || $node->safe_psql('postgres', q(SELECT count(*) = 5 FROM mt_sync_jobs WHERE tenant_id ~ 'well|hollow|wide' AND state NOT IN ('queued', 'running'))) eq 't')
{
	look();
	usleep(20_000);
}
ok(wait_for_sync($node, @well), 'the tenants beside them are pulled');
equals_truth($node, $sandbox, $_) foreach @well;

foreach my $kind (sort keys %empty)
{
	my $reports = $sandbox->stats("live-$kind")->{faults}{$kind};
	cmp_ok($reports, '>=', 1, "$kind was tried");
	# One for which there was no room beside another is asked for again.
	$reports -= $node->safe_psql('postgres', "SELECT broken FROM mt_stat_tenant WHERE tenant_id = 'live-$kind'");
	is($node->safe_psql('postgres', "SELECT state, rejected FROM mt_sync_jobs WHERE tenant_id = 'live-$kind'"), 'done|' . $reports * $empty{$kind}, 'and each of its rows was refused');
	is($node->safe_psql('postgres', "SELECT max(records) FROM refused WHERE tenant_id = 'live-$kind'"), 10_000, 'others had their turn in between');
}

# Each has met its fault several times, and has been told off or made to wait.
my @hostile = sort(values %live, values %reference);
my $names = join(', ', map { quote($_) } grep { !/hang|drip|strangers/ } @hostile);
ok(poll($node, "SELECT bool_and(last_error IS NOT NULL) FROM mindtickle.tenant WHERE tenant_id IN ($names)"), 'every hostile answer is an error that is told');
for (1 .. 200)
{
	look();
	usleep(20_000);
}
foreach my $tenant (qw(live-many ref-many))
{
	like(slurp_file($node->logfile), qr/tenant "$tenant" failed \(.*\): the answer is not usable: it has more records than can be believed/, "$tenant: nobody looks for its end");
}
foreach my $kind (grep { !/hang|drip/ } sort keys %live)
{
	# A key pair that is refused is not tried again.
	is($sandbox->stats($live{$kind})->{faults}{$kind}, 1, "$kind was tried once"), next if $kind =~ /html400|error403/;
	cmp_ok($sandbox->stats($live{$kind})->{faults}{$kind}, '>=', 3, "$kind was tried");
}
is( $node->safe_psql('postgres', "SELECT string_agg(DISTINCT tenant_id, ' ') FROM mindtickle.users WHERE tenant_id IN ($names) AND tenant_id !~ '-(loop|endless|ahead)\$'"),
	'', 'nothing of it is stored');
is($sandbox->totals->{elsewhere}, 0, 'no redirection was followed, and no continuation to another host');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM mindtickle.users WHERE tenant_id = '$live{strangers}'"), '<', 10_000, 'a listing without end has an end');

is(worker_pid($node, 'mindtickle sync'), $pid, 'the worker is the same');
look();
note("at most $peak kB");
cmp_ok($peak, '<', 64 * 1024, 'and was small all the time');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id LIKE 'well-%' AND NOT active AND email LIKE '%nowhere.example')), 0, 'nobody came from elsewhere');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
