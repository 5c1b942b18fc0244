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
	'--tenant', 'busy,users=3000,courses=2,rps=0,rpm=0',
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

# What transactions of pulls do one after the other: a piece of a report leaves everything but what is stored as it was. Of the other kind are those of other tenants.
$node->safe_psql('postgres', q{
	CREATE TABLE step (step bigserial, tenant_id text, done bool, piece bool);
	CREATE SEQUENCE third_piece;
	CREATE TABLE without_third_piece (tenant_id text);
	CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	BEGIN
		INSERT INTO public.step (tenant_id, done, piece) VALUES (NEW.tenant_id, NEW.done > OLD.done, NEW.phase = 'progress' AND OLD.phase = 'progress' AND NEW.done = OLD.done AND NEW.requests = OLD.requests
			AND NEW.throttled = OLD.throttled AND NEW.errors = OLD.errors AND NEW.state = OLD.state);
		IF EXISTS (SELECT FROM public.without_third_piece AS w WHERE w.tenant_id = NEW.tenant_id) AND NEW.phase = 'progress' AND nextval('public.third_piece') % 3 = 0 THEN
			RAISE 'no room for another piece';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER note_step AFTER UPDATE ON mindtickle.sync_job FOR EACH ROW EXECUTE FUNCTION note_step();
});

# Pages that one tenant gets ahead of their turn, and never the one before them, must not keep another, whose answers need room as well, from his.
add_tenant($node, $sandbox, $reference{ahead});
ok(poll($node, "SELECT last_error IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = '$reference{ahead}'"), 'one has pages, and never the one before them');
add_tenant($node, $sandbox, 'well-ref');
ok(wait_for_sync($node, 'well-ref'), 'a tenant beside it is pulled');
# One that asks for something all the time.
add_tenant($node, $sandbox, 'busy', requests_per_second => 100, requests_per_minute => 6000);
ok(poll($node, q(SELECT phase = 'progress' AND done > 0 FROM mt_sync_jobs WHERE tenant_id = 'busy')), 'another one is being pulled');
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
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM step WHERE tenant_id = 'live-$kind' AND piece"), '>=', $reports * ($empty{$kind} / 10_000 - 1), 'piece by piece');
}

# How many pieces are stored without an answer of another tenant in between.
is($node->safe_psql('postgres', q(SELECT state FROM mt_sync_jobs WHERE tenant_id = 'busy')), 'running', 'there was always somebody else');
cmp_ok($node->safe_psql('postgres', q(SELECT max(pieces) FROM (SELECT count(*) AS pieces FROM (SELECT piece, count(*) FILTER (WHERE NOT piece) OVER (ORDER BY step) AS others FROM step
	WHERE piece AND tenant_id = 'live-hollow' OR done AND tenant_id <> 'live-hollow') AS s WHERE piece GROUP BY others) AS g)), '<=', 4, 'others had their turn in between');
$node->safe_psql('postgres', q(SELECT mt_suspend_tenant('busy')));

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

# A report of which a piece cannot be stored is begun again, after pauses that grow, and its rows are counted once.
my $refused = $node->safe_psql('postgres', q(SELECT rejected FROM mt_sync_jobs WHERE tenant_id = 'live-hollow'));
my $asked = $sandbox->stats('live-hollow')->{faults}{hollow};
$node->safe_psql('postgres', q(INSERT INTO without_third_piece VALUES ('live-hollow'); SELECT mt_sync_tenant('live-hollow')));
my $tries = time() + $PostgreSQL::Test::Utils::timeout_default;
usleep(100_000) until $sandbox->stats('live-hollow')->{faults}{hollow} >= $asked + 3 || time() > $tries;
is(() = slurp_file($node->logfile) =~ /the pull of tenant "live-hollow" is put off: no room for another piece/g, 1, 'of which only the first is logged');
$node->safe_psql('postgres', 'DELETE FROM without_third_piece');
ok(wait_for_sync($node, 'live-hollow'), 'it ends');
is($node->safe_psql('postgres', q(SELECT rejected FROM mt_sync_jobs WHERE tenant_id = 'live-hollow' ORDER BY job_id DESC LIMIT 1)), $refused, 'with as many rows refused');

is(worker_pid($node, 'mindtickle sync'), $pid, 'the worker is the same');
look();
note("at most $peak kB");
cmp_ok($peak, '<', 64 * 1024, 'and was small all the time');
is($node->safe_psql('postgres', q(SELECT count(*) FROM mindtickle.users WHERE tenant_id LIKE 'well-%' AND NOT active AND email LIKE '%nowhere.example')), 0, 'nobody came from elsewhere');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
