# What the aggregator does with nobody asking, beside a tenant that is pulled: a report made before the first pull is renewed after it, once; and a day that
# ends is closed, as are those that were missed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Sandbox;
use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = start_node('primary', configuration => "mindtickle.sync_enabled = off\n");
add_extension($node);
my $sandbox = MindTickle::Sandbox->start('--seed', 11, '--tenant', 'acme,users=25,rps=50,rpm=0', '--tenant', 'globex,users=3,rps=50,rpm=0');
add_tenant($node, $sandbox, $_) foreach qw(acme globex);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# The figures of the tenant now, as those of its newest report and those of its day in the history are written.
sub figures
{
	return sql("SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness('$_[0]')");
}

sub newest_report
{
	return sql('SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness_reports '
		  . "WHERE tenant_id = '$_[0]' ORDER BY computed_at DESC LIMIT 1");
}

# Of the figures in mt_verify_readiness, how many were compared and how many differ.
sub verified
{
	return sql("SELECT count(*) >= 8, count(*) FILTER (WHERE NOT equal) FROM mt_verify_readiness('$_[0]')");
}

# A report before the first pull, and another one.
is( sql(q(SELECT provisional, provisional_reason FROM mt_aggregate_readiness('acme'))),
	't|roster not pulled yet; progress not pulled yet; quiz results not pulled yet', 'a report before the first pull is provisional');
sql(q(SELECT mt_aggregate_readiness('acme')));
sleep 2;
is(sql(q(SELECT count(*) FROM mt_readiness_reports)), 2, 'and stays so while nothing is pulled');

# The pull, and the report of it.
$node->append_conf('postgresql.conf', 'mindtickle.sync_enabled = on');
$node->reload;
sql(qq(SELECT mt_sync_tenant('$_'))) foreach qw(acme globex);
ok(wait_for_sync($node, qw(acme globex)), 'the tenants are pulled');
ok(poll($node, q(SELECT count(*) = 1 FROM mt_readiness_reports WHERE NOT provisional)), 'then a report that is not provisional comes by itself');
equals_truth($node, $sandbox, 'acme');
is(newest_report('acme'), figures('acme'), 'it has the figures of what was pulled');
is(verified('acme'), 't|0', 'which are those of the rows');
like(newest_report('acme'), qr/^\d+\.\d{4}\|[01]\.\d{4}\|\d+\|\d+\|\d+\|\d+$/, 'and there is something to them');
ok( poll($node, q(SELECT string_agg(payload ->> 'provisional', ' ' ORDER BY seq) = 'true true false' FROM mt_events WHERE tenant_id = 'acme' AND topic = 'readiness.aggregated')),
	'every report was told');
is(sql(q(SELECT data_as_of IS NOT NULL AND provisional_reason IS NULL FROM mt_readiness_reports WHERE NOT provisional)), 't', 'with the date of its data');
sql(q(SELECT mt_sync_tenant('acme')));
ok(wait_for_sync($node, 'acme'), 'another pull');
sleep 2;
is(sql(q(SELECT string_agg(tenant_id || ' ' || provisional, ', ' ORDER BY computed_at) FROM mt_readiness_reports)), 'acme true, acme true, acme false', 'renews nothing, for none was asked');
is(sql('SELECT count(*) FROM mindtickle.readiness_rerun'), 0, 'and none waits');

# Days that were missed: the settings of any tenant have the aggregator look when days end.
sql(q(UPDATE mindtickle.tenant SET created_at = now() - interval '3 days', closed_day = (now() AT TIME ZONE 'UTC')::date - 3 WHERE tenant_id = 'acme';
	SELECT mt_configure_tenant('globex', '{"ready_score": 75}')));
ok(poll($node, q(SELECT count(*) = 2 FROM mindtickle.readiness_daily WHERE tenant_id = 'acme' AND scope = 'tenant')), 'two days that were missed are closed by themselves');
is(sql(q(SELECT string_agg(((now() AT TIME ZONE 'UTC')::date - day)::text, ' ' ORDER BY day) FROM mt_readiness_trend('acme', NULL, NULL))), '2 1', 'yesterday and the day before')
  or diag('did a day of UTC begin meanwhile?');
is(sql(q(SELECT DISTINCT avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness_trend('acme', NULL, NULL))), figures('acme'), 'with the figures of the tenant');
is(sql(q(SELECT count(*) FROM mindtickle.readiness_daily WHERE scope = 'course' AND tenant_id = 'acme')), 2 * sql(q(SELECT count(*) FROM mt_readiness_by_course('acme'))), 'and of its courses');
is(sql(q(SELECT count(*) FROM mindtickle.readiness_daily WHERE tenant_id = 'globex')), 0, 'a tenant made today has none');

# A day that ends while it waits: midnight of a time zone of our own is in six seconds. It is told when the day ends, not that it has.
my $zone = sql(<<'END');
WITH ahead AS (SELECT 86394 - extract(epoch FROM date_trunc('second', now() AT TIME ZONE 'UTC')::time)::int4 AS seconds)
SELECT CASE WHEN seconds < 43200 THEN '<mine>-' ELSE '<mine>+' END || make_interval(secs => CASE WHEN seconds < 43200 THEN seconds ELSE 86400 - seconds END)::time FROM ahead
END
sql(qq(UPDATE mindtickle.tenant SET settings = settings || jsonb_build_object('timezone', '$zone'), created_at = now() WHERE tenant_id = 'globex';
	SELECT mt_configure_tenant('acme', '{"ready_score": 75}')));
my $today = sql(qq(SELECT (now() AT TIME ZONE '$zone')::date));
ok(poll($node, q(SELECT count(*) = 1 FROM mindtickle.readiness_daily WHERE tenant_id = 'globex' AND scope = 'tenant')), 'a day that ends is closed by itself');
is(sql(qq(SELECT day, closed_day, (clock_timestamp() AT TIME ZONE '$zone')::date - day FROM mindtickle.readiness_daily JOIN mindtickle.tenant USING (tenant_id) WHERE tenant_id = 'globex' AND scope = 'tenant')),
	"$today|$today|1", 'once it is over');
is(sql(q(SELECT avg_score, completion_rate, learners, quiz_results, assignments, completed FROM mt_readiness_trend('globex', NULL, NULL))), figures('globex'), 'with the figures of the tenant');
is(sql(q(SELECT errors FROM mt_stat_worker WHERE database = current_database() AND kind = 'aggregator')), 0, 'the aggregator met no error');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
