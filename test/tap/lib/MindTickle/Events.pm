# Writers and consumers of events, and what must come of them. Used by test/tap/03*.pl; asserts nothing itself.
#
#   emit($node, 'acme', 'a', 1, 5)      events of a topic, in one transaction; the payload of each is its number
#   tend_events($node, 'true')          the upkeep of tables until there is nothing to do, large ones included, which is the publisher's and its helper's; 'true':
#                                       those of published events, too. The steps, in words
#   add_events($node)                   tenants "ex-0" and "ex-1" (which has a small queue_limit), and the schema "truth"
#   my $load = start_load($node, 8)     so many writers, which roll back 3 of 10 transactions and wait before they commit, and for each tenant a consumer that
#                                       polls and sometimes forgets to acknowledge and one that reads mt_events; all of them come back when the server has been down
#   stop_load($load)                    ends them
#   event_faults($node, $load)          waits until nothing is left to publish; what is wrong with what was published and seen, '' when nothing is
#
# Every committed event is also a row of truth.fact. Those of one stream take turns by a row lock, so their numbers are the order in which they were committed.

package MindTickle::Events;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use MindTickle::Test;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(add_events emit event_faults start_load stop_load tend_events);

my @tenants = qw(ex-0 ex-1);

sub emit
{
	my ($node, $tenant, $topic, $from, $to) = @_;
	$node->safe_psql('postgres', "SELECT mindtickle.emit_event('$tenant', '$topic', jsonb_build_object('n', n)) FROM generate_series($from, $to) AS n \\g /dev/null");
	return;
}

sub tend_events
{
	my ($node, $events_too) = @_;
	my ($step, @steps);

	while (($step = $node->safe_psql('postgres', "SELECT mindtickle.tend_events($events_too)")) ne '')
	{
		if ($step =~ /^large: (\w+)/)
		{
			die "$1 cannot be emptied" if $node->safe_psql('postgres', "SELECT mindtickle.empty_event_table('$1')") ne 't';
			$step = "emptied $1";
		}
		push @steps, $step;
	}
	return join('; ', @steps);
}

sub add_events
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
SELECT mt_create_tenant('ex-0', 'Exactly'), mt_create_tenant('ex-1', 'Once'), mt_configure_tenant('ex-1', '{"queue_limit": 30}');
CREATE SCHEMA truth;
CREATE TABLE truth.stream (tenant text, stream int, n int8 NOT NULL DEFAULT 0, PRIMARY KEY (tenant, stream)) WITH (fillfactor = 10);
INSERT INTO truth.stream SELECT 'ex-' || t, s FROM generate_series(0, 1) AS t, generate_series(0, 3) AS s;
CREATE TABLE truth.fact (tenant text, stream int, n int8, PRIMARY KEY (tenant, stream, n));
-- Writes events: of a stream, or (stream -1) of nobody's order.
CREATE FUNCTION truth.write(tenant text, stream int, events int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	last int8;
BEGIN
	IF stream < 0 THEN
		last := (random() * 1e15)::int8;
	ELSE
		UPDATE truth.stream AS s SET n = s.n + events WHERE s.tenant = write.tenant AND s.stream = write.stream RETURNING s.n INTO last;
	END IF;
	INSERT INTO truth.fact SELECT tenant, stream, i FROM generate_series(last - events + 1, last) AS i;
	PERFORM mindtickle.emit_event(tenant, CASE WHEN stream < 0 THEN 'free' ELSE 'stream' END, jsonb_build_object('stream', stream, 'n', i)) FROM generate_series(last - events + 1, last) AS i;
END
$$;
SQL
	return;
}

# Runs code in a process of its own until it is told to stop; it comes back whenever it fails.
sub in_background
{
	my ($stop, $code) = @_;
	my $pid = fork() // die "cannot fork: $!";
	return $pid if $pid;
	while (!-e $stop)
	{
		eval { $code->(); 1 } or usleep(100_000);
	}
	POSIX::_exit(0);
}

# Asks without a word on failure. Returns undef where that failed.
sub ask
{
	my ($node, $query) = @_;
	my ($out, $err) = ('', '');
	my $done = eval { IPC::Run::run([ $node->installed_command('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', $query ], '<', \undef, '>', \$out, '2>', \$err) };
	return $done ? $out : undef;
}

sub start_load
{
	my ($node, $writers) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('events');
	my %load = (stop => "$directory/stop", directory => $directory, pids => []);
	my $script = "$directory/write.sql";

	append_to_file($script, <<'END');
\set tenant random(0, 1)
\set stream random(-1, 3)
\set back random(1, 10)
\set burst random(1, 25)
\set first random(0, 3)
\set last random(0, 6)
\if :burst = 25
\set events 200
\else
\set events random(1, 3)
\endif
BEGIN;
SELECT pg_sleep(:first / 1000.0);
SELECT truth.write('ex-' || :tenant, :stream, :events);
SELECT pg_sleep(:last / 1000.0);
\if :back <= 3
ROLLBACK;
\else
COMMIT;
\endif
END
	push @{ $load{pids} }, in_background($load{stop}, sub
		{
			my @command = ($node->installed_command('pgbench'), '-n', '-c', $writers, '-j', 2, '-T', 2, '-f', $script, $node->connstr('postgres'));
			IPC::Run::run(\@command, '<', \undef, '>', \my $out, '2>', \my $err) or die;
		});
	foreach my $tenant (@tenants)
	{
		push @{ $load{pids} }, in_background($load{stop}, sub
			{
				my $got = ask($node, "SELECT seq, payload FROM mt_poll_events('$tenant', 'poller', 200)") // die;
				append_to_file("$directory/poll.$tenant", $got);
				my ($last) = $got =~ /^(\d+)\|[^\n]*\n\z/m;
				ask($node, "SELECT mt_ack_events('$tenant', 'poller', $last)") if $last && rand() < 0.7;
			});
		my $seen = 0;
		push @{ $load{pids} }, in_background($load{stop}, sub
			{
				my $got = ask($node, "SELECT seq, payload FROM mt_events WHERE tenant_id = '$tenant' AND seq > $seen ORDER BY seq LIMIT 500") // die;
				append_to_file("$directory/view.$tenant", $got);
				$seen = $1 if $got =~ /^(\d+)\|[^\n]*\n\z/m;
			});
	}
	return \%load;
}

sub stop_load
{
	my ($load) = @_;
	append_to_file($load->{stop}, '');
	waitpid($_, 0) foreach @{ $load->{pids} };
	return;
}

# What a consumer has seen: whether two different events bore one number, or any number was left out before the highest.
sub faults_of_consumer
{
	my ($node, $file, $tenant, $complete) = @_;
	my %seen;
	my $faults = '';

	foreach my $line (-e $file ? split(/\n/, slurp_file($file)) : ())
	{
		# The last line may be cut where the consumer was killed.
		my ($seq, $payload) = $line =~ /^(\d+)\|(\{.*\})$/ or next;
		$faults .= "$file: $seq was $seen{$seq} and $payload\n" if exists $seen{$seq} && $seen{$seq} ne $payload;
		$seen{$seq} = $payload;
	}
	my %published = map { /^(\d+)\|(.*)$/ } split(/\n/, $node->safe_psql('postgres', "SELECT seq, payload FROM mt_events WHERE tenant_id = '$tenant'"));
	foreach my $seq (sort { $a <=> $b } keys %seen)
	{
		$faults .= "$file: $seq was $seen{$seq}, and is " . ($published{$seq} // 'nothing') . "\n" if ($published{$seq} // '') ne $seen{$seq};
	}
	my $missing = grep { !exists $seen{$_} } keys %published;
	$faults .= "$file: $missing events were not seen\n" if $complete && $missing;
	return $faults;
}

sub event_faults
{
	my ($node, $load) = @_;
	my $faults = '';

	poll($node, q(SELECT NOT EXISTS (SELECT FROM mindtickle.outbox) AND NOT EXISTS (SELECT FROM mindtickle.event_overflow) AND NOT EXISTS (SELECT FROM mindtickle.tenants_to_publish())))
	  or return 'not everything is published';
	foreach my $tenant (@tenants)
	{
		# The poller sees the rest.
		while (my $got = ask($node, "SELECT seq, payload FROM mt_poll_events('$tenant', 'poller', 10000)"))
		{
			append_to_file("$load->{directory}/poll.$tenant", $got);
			my ($last) = $got =~ /^(\d+)\|[^\n]*\n\z/m;
			$node->safe_psql('postgres', "SELECT mt_ack_events('$tenant', 'poller', $last)");
		}
		$faults .= $node->safe_psql('postgres', <<"END");
WITH event AS (SELECT seq, (payload ->> 'stream')::int AS stream, (payload ->> 'n')::int8 AS n FROM mt_events WHERE tenant_id = '$tenant'),
	fact AS (SELECT stream, n FROM truth.fact WHERE tenant = '$tenant')
SELECT '$tenant: event ' || g.seq || ' is missing' FROM generate_series(1, (SELECT max(seq) FROM event)) AS g (seq) WHERE NOT EXISTS (SELECT FROM event AS e WHERE e.seq = g.seq)
UNION ALL SELECT format('$tenant: %s/%s was published %s times', stream, n, count(*)) FROM event GROUP BY stream, n HAVING count(*) > 1
UNION ALL SELECT format('$tenant: %s/%s was committed, but not published', stream, n) FROM (TABLE fact EXCEPT SELECT stream, n FROM event) AS f
UNION ALL SELECT format('$tenant: %s/%s was published, but not committed', stream, n) FROM (SELECT stream, n FROM event EXCEPT TABLE fact) AS f
UNION ALL SELECT format('$tenant: %s/%s came as %s, out of order', stream, n, seq) FROM (SELECT *, lag(n) OVER (PARTITION BY stream ORDER BY seq) AS previous FROM event WHERE stream >= 0) AS e WHERE previous > n
END
		$faults .= faults_of_consumer($node, "$load->{directory}/poll.$tenant", $tenant, 1);
		$faults .= faults_of_consumer($node, "$load->{directory}/view.$tenant", $tenant, 0);
	}
	return substr($faults, 0, 4000);
}

1;
