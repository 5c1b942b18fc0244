# Alerts of databases in which no publisher runs: they wait for one and are then counted exactly, with each database's own in it; however many roles
# of whichever databases are refused, another database still tells its own apart; and those of a database that is dropped give up their room.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant NAMES => 70;

my $node = start_node('primary', configuration => "mindtickle.databases = 'none'\nlog_statement = none\nlog_min_duration_statement = -1\n");
my @roles = map { "role_$_" } 1 .. 20;
$node->safe_psql('postgres', join(';', map { "CREATE ROLE $_" } @roles));
add_extension($node);
$node->safe_psql('postgres', 'CREATE DATABASE model');
add_extension($node, 'model');

# Refuses to each role so many tenants as there are NAMES.
sub refuse
{
	my ($database, @to) = @_;
	my $names = NAMES;
	my $do = "DO \$\$ BEGIN FOR n IN 1..$names LOOP BEGIN PERFORM mt_readiness('guess-' || n); EXCEPTION WHEN insufficient_privilege THEN NULL; END; END LOOP; END \$\$";
	$node->safe_psql($database, join('', map { "SET SESSION AUTHORIZATION $_;\n$do;\nRESET SESSION AUTHORIZATION;\n" } @to));
}

sub make_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE model");
}

# Databases that come and go, so many that they would leave no room for the last of three that stay.
foreach my $round (1 .. 5)
{
	make_database("gone_$round");
	refuse("gone_$round", @roles);
	$node->safe_psql('postgres', "DROP DATABASE gone_$round");
}
make_database($_) foreach qw(first second third);
refuse($_, @roles) foreach qw(first second);
refuse('third', 'role_1');
refuse('postgres', 'role_1');

# A publisher comes.
is($node->safe_psql('first', 'SELECT count(*) FROM mindtickle.security_alert'), 0, 'nothing is stored without a publisher');
$node->append_conf('postgresql.conf', "mindtickle.databases = ''");
$node->reload;
my $each = 'sum(count), sum(count) FILTER (WHERE session_role = \'role_1\'), count(*) FILTER (WHERE session_role = \'role_1\')';
foreach my $case ([ 'first', 20 * NAMES ], [ 'second', 20 * NAMES ], [ 'third', NAMES ], [ 'postgres', NAMES ])
{
	my ($database, $attempts) = @$case;
	ok(poll($node, "SELECT coalesce(sum(count), 0) >= $attempts FROM mindtickle.security_alert", $database), "the alerts of $database are stored once it has a publisher");
	is($node->safe_psql($database, "SELECT $each FROM mindtickle.security_alert"), "$attempts|" . NAMES . '|65', 'exactly, and told apart as far as a role\'s are');
}
cmp_ok($node->safe_psql('first', 'SELECT count(*) FROM mindtickle.security_alert'), '<', 600, 'those of many roles take bounded room');
is($node->safe_psql('first', q(SELECT count(*) FROM mindtickle.security_alert WHERE session_role = '' AND "current_role" IS NULL AND tenant_asked IS NULL)), 1,
	'what does not fit is one row that names nobody');

# Room is made of what has been stored.
refuse('first', reverse @roles);
ok(poll($node, 'SELECT sum(count) = ' . 40 * NAMES . ' FROM mindtickle.security_alert', 'first'), 'further attempts are counted exactly');
is($node->safe_psql('first', q(SELECT count(*) > 1 FROM mindtickle.security_alert WHERE session_role = 'role_20')), 't', 'also of a role that had no room before');

$node->stop;
ok(!$node->log_contains('was terminated by signal'), 'no process has died');
done_testing();
