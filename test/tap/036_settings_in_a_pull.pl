# What changes while a tenant is pulled: settings and secrets that are stored hold in the pull that is under way; a secret file that cannot be read stops
# no more than needs it, and mended it is read; moments that a clock which was ahead has left behind stop nobody.

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
use Time::HiRes qw(usleep);

# Used of an hour by what is not urgent.
use constant BULK_SHARE => 0.95;

my $secrets = PostgreSQL::Test::Utils::tempdir();
my @seed = ('--seed', 36);
my $sandbox = MindTickle::Sandbox->start(
	@seed,
	'--tenant', 'slowed,users=200,courses=2,rps=0,rpm=0',
	'--tenant', 'other,users=300,courses=2,rps=0,rpm=0',
	'--tenant', 'rotated,contract=live,users=200,courses=2,reporting=no,rps=0,rpm=0',
	'--tenant', 'scored,contract=live,users=20,courses=3,rps=0,rpm=0',
	(map { ('--tenant', "$_,contract=live,users=60,courses=3,rps=0,rpm=0") } qw(mended corrected withdrawn)),
	(map { ('--tenant', "$_,users=8,courses=2,rps=0,rpm=0") } qw(keyed unused troubled next rest budget listed)),
	(map { ('--tenant', "$_,users=400,courses=2,rps=0,rpm=0") } qw(moved undone)));
# The same tenant with other people.
my $elsewhere = MindTickle::Sandbox->start('--seed', 37, '--tenant', 'moved,users=400,courses=2,rps=0,rpm=0');
my $node = start_node('primary', configuration => "mindtickle.secret_directory = '$secrets'\nmindtickle.databases = 'postgres'\n");
add_extension($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub configure
{
	my ($tenant, %settings) = @_;
	return "mt_configure_tenant('$tenant', " . quote(encode_json(\%settings)) . ')';
}

sub credential
{
	my ($tenant, %secrets) = @_;
	return "mt_set_credential('$tenant', " . quote(encode_json(\%secrets)) . ')';
}

# Of the tenant's last pull.
sub last_job
{
	my ($tenant, $columns) = @_;
	return sql("SELECT $columns FROM mt_sync_jobs WHERE tenant_id = '$tenant' ORDER BY job_id DESC LIMIT 1");
}

sub pull_ends
{
	my ($tenant) = @_;
	return poll($node, "SELECT count(*) > 0 AND bool_and(state IN ('done', 'failed', 'cancelled')) FROM mt_sync_jobs WHERE tenant_id = '$tenant'");
}

# A credential that is stored within a pull brings another one after it.
sub pulled_twice
{
	my ($tenant) = @_;
	return poll($node, "SELECT count(*) = 2 AND bool_and(state = 'done') FROM mt_sync_jobs WHERE tenant_id = '$tenant'");
}

# The part of a pull that asks for one user after the other.
sub in_progress
{
	my ($tenant) = @_;
	return poll($node, "SELECT phase = 'progress' AND done > 3 FROM mt_sync_jobs WHERE tenant_id = '$tenant' AND state = 'running'");
}

sub write_secret
{
	my ($tenant, $name, $secret, $mode) = @_;
	my $file = "$secrets/$tenant/$name";

	mkdir "$secrets/$tenant";
	unlink $file;
	append_to_file($file, $secret);
	chmod $mode // 0600, $file;
}

# What is missing of a tenant, and why.
sub failing
{
	my ($tenant) = @_;
	return sql("SELECT array_to_string(failing, '; ') FROM mt_stat_tenant WHERE tenant_id = '$tenant'");
}

sub troubled_by
{
	my ($why) = @_;
	return poll($node, "SELECT last_error LIKE '%$why%' FROM mindtickle.tenant WHERE tenant_id = 'troubled'");
}

# A pull is asked for, with the key's file of a mode, after some statements.
sub asked_with_key
{
	my ($mode, @before) = @_;
	chmod $mode, "$secrets/troubled/key";
	sql(join '; ', @before, "SELECT mt_sync_tenant('troubled')");
}

sub times_logged
{
	my ($line) = @_;
	my @found = slurp_file($node->logfile) =~ /$line/g;
	return scalar @found;
}

# A statement's rows, or its error with the code.
sub attempt
{
	my ($statement) = @_;
	my ($status, $output, $error) = $node->psql('postgres', $statement, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $error =~ /ERROR:  (\w{5}: [^\n]*)/ ? $1 : $output;
}

# Another tenant is pulled at the same pace, with more requests than the first one would need.
sub time_passes
{
	my $before = $sandbox->stats('other')->{requests};
	sql("SELECT mt_sync_tenant('other')");
	return wait_for_sync($node, 'other') && $sandbox->stats('other')->{requests} >= $before + 250;
}

# Until the sandbox has seen so many sign-ins of the tenant.
sub signs_in
{
	my ($tenant, $wanted) = @_;
	my $deadline = time() + $PostgreSQL::Test::Utils::timeout_default;

	usleep(50_000) while $sandbox->stats($tenant)->{sign_ins} < $wanted && time() < $deadline;
	return $sandbox->stats($tenant)->{sign_ins} == $wanted;
}

# A lower rate holds in the pull that is under way, and so does a higher one.
add_tenant($node, $sandbox, 'other', requests_per_second => 25, requests_per_minute => 1500);
ok(wait_for_sync($node, 'other'), 'a tenant to tell the time by');
add_tenant($node, $sandbox, 'slowed', requests_per_second => 25, requests_per_minute => 1500);
ok(in_progress('slowed'), 'a pull is under way');
sql('SELECT ' . configure('slowed', requests_per_hour => 5));
ok(poll($node, "SELECT hour_left = 0 FROM mt_stat_tenant WHERE tenant_id = 'slowed'"), 'a lower rate has used up the hour');
ok(time_passes(), 'time passes');
my $requests = $sandbox->stats('slowed')->{requests};
cmp_ok($requests, '<', 200, 'the pull has stopped before its end');
is(last_job('slowed', 'state'), 'running', 'and waits');
ok(time_passes(), 'time passes');
is($sandbox->stats('slowed')->{requests}, $requests, 'nothing more is sent');
sql('SELECT ' . configure('slowed', requests_per_hour => undef));
ok(wait_for_sync($node, 'slowed'), 'without that limit it goes on to its end');
equals_truth($node, $sandbox, 'slowed');
is(last_job('slowed', "count(*) OVER ()"), 1, 'it was one pull');

# A key that is refused ends it.
sql("SELECT mt_sync_tenant('slowed')");
ok(in_progress('slowed'), 'another pull is under way');
sql('SELECT ' . credential('slowed', api_key => 'wrong'));
ok(pull_ends('slowed'), 'it gets another key');
like(last_job('slowed', 'error'), qr/MindTickle refuses the api_key \(401\)/, 'and uses it');

# A key pair that was replaced is used for the rest of the pull, though the token of the old one is still good.
add_live_tenant($node, $sandbox, 'rotated', requests_per_second => 10, requests_per_minute => 600);
ok(in_progress('rotated'), 'a pull of the live contract is under way');
is($sandbox->stats('rotated')->{sign_ins}, 1, 'it has signed in');
my $pair = decode_json($sandbox->post('rotate', tenant => 'rotated'));
sql('SELECT ' . credential('rotated', map { $_ => $pair->{$_} } qw(api_key secret_key)));
ok(signs_in('rotated', 2), 'with another key pair it signs in again');
is(sql("SELECT string_agg(state, ' ') FROM mt_sync_jobs WHERE tenant_id = 'rotated'"), 'running', 'in the same pull');
sql('SELECT ' . configure('rotated', requests_per_second => 100, requests_per_minute => 6000));
ok(pulled_twice('rotated'), 'which goes on to its end');
is($sandbox->stats('rotated')->{refused_sign_ins}, 0, 'the old pair was not used any more');
equals_truth($node, $sandbox, 'rotated');

# A listing of another source begins at its start. The hour allows one page of the first one.
add_tenant($node, $sandbox, 'moved');
ok(wait_for_sync($node, 'moved'), 'a tenant that will be moved is pulled');
my $everybody = "SELECT count(*), count(*) FILTER (WHERE active) FROM mindtickle.users WHERE tenant_id = 'moved' AND mindtickle_id IN (SELECT id FROM known)";
sql("CREATE TABLE known AS SELECT mindtickle_id AS id FROM mindtickle.users WHERE tenant_id = 'moved'");
my $known = sql($everybody);
my $listed = $sandbox->stats('moved')->{routes}{users};
my $limit = int(($sandbox->stats('moved')->{requests} + 1) / BULK_SHARE) + 1;
sql('SELECT ' . configure('moved', base_urls => [ $elsewhere->url ], requests_per_hour => $limit) . ', ' . credential('moved', api_key => $elsewhere->key('moved')) . ", mt_sync_tenant('moved')");
ok(poll($node, q(SELECT count(*) > 0 FROM mindtickle.users WHERE tenant_id = 'moved' AND mindtickle_id NOT IN (SELECT id FROM known))), 'one page of another source');
my $job = last_job('moved', 'job_id');
sql('SELECT ' . configure('moved', base_urls => [ $sandbox->url ], requests_per_hour => undef));
ok(wait_for_sync($node, 'moved'), 'moved back within the listing it is pulled');
is(last_job('moved', 'job_id'), $job, 'by the same pull');
is($elsewhere->stats('moved')->{requests}, 1, 'which had begun elsewhere');
is($sandbox->stats('moved')->{routes}{users}, 2 * $listed, 'whose listing has begun again');
is(sql($everybody), $known, 'nobody is deactivated for half a listing');

# Also where the other source cannot be reached, and nothing of it is stored before all is as it was.
add_tenant($node, $sandbox, 'undone');
ok(wait_for_sync($node, 'undone'), 'another tenant is pulled');
$everybody =~ s/moved/undone/;
sql("TRUNCATE known; INSERT INTO known SELECT mindtickle_id FROM mindtickle.users WHERE tenant_id = 'undone'");
$known = sql($everybody);
$listed = $sandbox->stats('undone')->{routes}{users};
$limit = int(($sandbox->stats('undone')->{requests} + 1) / BULK_SHARE) + 1;
sql('SELECT ' . configure('undone', requests_per_hour => $limit) . ", mt_sync_tenant('undone')");
ok(poll($node, q(SELECT (position ->> 'seen')::int8 BETWEEN 1 AND 399 FROM mindtickle.sync_job WHERE tenant_id = 'undone' ORDER BY job_id DESC LIMIT 1)), 'the first page of its next pull');
sql('SELECT ' . configure('undone', base_urls => ['http://127.0.0.1:1'], requests_per_hour => undef));
ok(poll($node, q(SELECT backoff_until IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = 'undone')), 'in which it is given a URL where nobody answers');
sql('SELECT ' . configure('undone', base_urls => [ $sandbox->url ]));
ok(wait_for_sync($node, 'undone'), 'which is taken back');
is(sql($everybody), $known, 'nobody is deactivated for half a listing');
is(last_job('undone', 'changed'), 0, 'nor was for a while');

# What is set to what it is already changes nothing of a pull.
my $version = q(SELECT source_version FROM mindtickle.tenant WHERE tenant_id = 'undone');
my $before = sql($version);
sql('SELECT ' . configure('undone', base_urls => [ $sandbox->url ]));
is(sql($version), $before, 'the same settings are no change');
sql('SELECT ' . configure('undone', base_urls => [ $sandbox->url ], requests_per_hour => 1000));
is(sql($version), $before + 1, 'others are');

# Keeps what was missing, for a later pull that misses nothing forgets it.
sql(<<'END');
CREATE TABLE was_missing (tenant_id text, resource text, error text);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.was_missing VALUES (new.tenant_id, new.resource, new.error); RETURN NULL; END';
CREATE TRIGGER keep AFTER UPDATE ON mindtickle.sync_resource FOR EACH ROW WHEN (new.error IS NOT NULL AND old.error IS NULL) EXECUTE FUNCTION keep();
GRANT INSERT ON was_missing TO PUBLIC;
END

# Secret files. One that only scores need.
my $live = $sandbox->tenant('scored');
add_live_tenant($node, $sandbox, 'scored');
ok(wait_for_sync($node, 'scored'), 'a tenant with a reporting user is pulled');
my $results_at = sql("SELECT quiz_results_at FROM mt_stat_tenant WHERE tenant_id = 'scored'");
sql('SELECT ' . credential('scored', reporting_password => { file => 'password' }) . ", mt_sync_tenant('scored')");
ok(pull_ends('scored'), 'his password cannot be read');
my $unreadable = 'could not read a credential of tenant "%s" from file "%s"';
my $why = sprintf $unreadable, 'scored', 'password';
like(last_job('scored', "state || ' ' || error"), qr/^failed progress: .*reporting_password: $why \(the tenant has no directory .*mt_set_credential/, 'the pull says why');
like(failing('scored'), qr/^progress: scores were not pulled: reporting_password: .*; quiz_results: scores were not pulled: reporting_password: [^;]*; mend that, [^;]*$/, 'as do what is missing, and nothing else');
is(sql("SELECT quiz_results_at FROM mt_stat_tenant WHERE tenant_id = 'scored'"), $results_at, 'the results of quizzes are as old as they were');
is(sql("SELECT backoff_until IS NULL OR backoff_until < now() FROM mindtickle.tenant WHERE tenant_id = 'scored'"), 't', 'and the tenant does not rest');
is(sql("SELECT string_agg(step || ' ' || ok, ', ') FROM mt_test_connection('scored') WHERE step IN ('settings', 'secrets', 'sign-in', 'users', 'reports')"),
	'settings true, secrets false, sign-in true, users true', 'a test of the connection does what it can');
like(sql("SELECT concat_ws(' | ', detail, remedy) FROM mt_test_connection('scored') WHERE step = 'secrets'"), qr/^reporting_password: $why .* \| Mend the file/, 'and tells what it cannot');
is(sql("SELECT detail FROM mt_test_connection('scored') WHERE step = 'reports'"), 'there is no reporting_user that can be read, so scores are not pulled', 'and because of it');
write_secret('scored', 'password', "$live->{reporting_password}\n");
sql("SELECT mt_sync_tenant('scored')");
ok(wait_for_sync($node, 'scored'), 'once it can be read the next pull is complete');
equals_truth($node, $sandbox, 'scored');
is(failing('scored'), '', 'nothing is missing');
is(sql("SELECT quiz_results_at > '$results_at' FROM mt_stat_tenant WHERE tenant_id = 'scored'"), 't', 'and the results of quizzes are new');
is(sql("SELECT count(*) FROM mt_test_connection('scored') WHERE NOT ok"), 0, 'the test finds nothing');

# Results that are missing because the reports that bring them were refused.
$results_at = sql("SELECT quiz_results_at FROM mt_stat_tenant WHERE tenant_id = 'scored'");
$sandbox->post('faults', kind => 'html400', percent => 100, tenant => 'scored');
sql("SELECT mt_sync_tenant('scored')");
ok(pull_ends('scored'), 'a pull whose reports are refused');
like(failing('scored'), qr/progress: items that could not be read \([a-z ]*reports\): \d+; quiz_results: items that could not be read \([a-z ]*reports\): \d+/, 'lacks progress and the results of quizzes');
is(sql("SELECT quiz_results_at FROM mt_stat_tenant WHERE tenant_id = 'scored'"), $results_at, 'which are as old as they were');
$sandbox->post('faults', kind => 'html400', percent => 0, tenant => 'scored');
sql("SELECT mt_sync_tenant('scored')");
ok(wait_for_sync($node, 'scored'), 'and has them when they are not');
is(failing('scored'), '', 'so that nothing is missing');

# A reporting user who comes back within the part of the pull that he was missed in: half of the scores is not all of them.
foreach my $case ([ 'mended', { file => 'password' }, 'reporting_password: could not read' ], [ 'corrected', 'wrong', 'the reporting_user is refused' ])
{
	my ($tenant, $password, $reason) = @$case;
	my $right = $sandbox->tenant($tenant)->{reporting_password};
	add_live_tenant($node, $sandbox, $tenant);
	ok(wait_for_sync($node, $tenant), "$tenant: a tenant with a reporting user is pulled");
	sql('SELECT ' . credential($tenant, reporting_password => $password) . ', ' . configure($tenant, requests_per_second => 5, requests_per_minute => 300) . ", mt_sync_tenant('$tenant')");
	ok(in_progress($tenant), "$tenant: without him progress is asked for in another way");
	my $job = last_job($tenant, 'job_id');
	write_secret($tenant, 'password', $right);
	sql('SELECT ' . credential($tenant, reporting_password => ref $password ? $password : $right) . ', ' . configure($tenant, requests_per_second => 100, requests_per_minute => 6000));
	ok(poll($node, "SELECT state <> 'running' FROM mt_sync_jobs WHERE tenant_id = '$tenant' AND job_id = $job"), "$tenant: he is back, and the pull goes on to its end");
	is(sql("SELECT state FROM mt_sync_jobs WHERE tenant_id = '$tenant' AND job_id = $job"), 'failed', "$tenant: it has failed");
	like(sql("SELECT string_agg(topic || ' ' || (payload ->> 'error'), ' ') FROM mt_events WHERE tenant_id = '$tenant' AND topic = 'sync.failed'"), qr/^sync.failed progress: .*reporting/, "$tenant: and says why");
	like(sql("SELECT string_agg(resource || ': ' || error, ' ') FROM was_missing WHERE tenant_id = '$tenant'"), qr/^progress: scores were not pulled.*$reason.* quiz_results: scores were not pulled.*$reason/, "$tenant: what it lacks is known");
	ok(poll($node, "SELECT count(*) = 3 AND bool_and(state IN ('done', 'failed')) FROM mt_sync_jobs WHERE tenant_id = '$tenant'"), "$tenant: the next pull follows");
	is(last_job($tenant, 'state'), 'done', "$tenant: and has them");
	is(failing($tenant), '', "$tenant: nothing is missing any more");
	equals_truth($node, $sandbox, $tenant);
}

# One who is taken away meanwhile is missed by nobody.
add_live_tenant($node, $sandbox, 'withdrawn');
ok(wait_for_sync($node, 'withdrawn'), 'a tenant with a reporting user is pulled');
sql('SELECT ' . credential('withdrawn', reporting_password => { file => 'password' }) . ', ' . configure('withdrawn', requests_per_second => 5, requests_per_minute => 300) . ", mt_sync_tenant('withdrawn')");
ok(in_progress('withdrawn'), 'his password cannot be read, and progress is asked for in another way');
$job = last_job('withdrawn', 'job_id');
sql('SELECT ' . credential('withdrawn', reporting_user => undef, reporting_password => undef) . ', ' . configure('withdrawn', requests_per_second => 100, requests_per_minute => 6000));
ok(poll($node, "SELECT state <> 'running' FROM mt_sync_jobs WHERE tenant_id = 'withdrawn' AND job_id = $job"), 'he is taken away, and the pull goes on to its end');
is(sql("SELECT concat_ws(' ', state, error) FROM mt_sync_jobs WHERE tenant_id = 'withdrawn' AND job_id = $job"), 'done', 'which is a good one');
is(failing('withdrawn'), '', 'nothing is missing');

# Those that no pull needs: no text, besides.
write_secret('unused', 'token', "\xff\xfe\n");
add_tenant($node, $sandbox, 'unused');
ok(wait_for_sync($node, 'unused'), 'a tenant without provisioning is pulled');
sql('SELECT ' . credential('unused', map { $_ => { file => 'token' } } qw(scim_token secret_key reporting_user reporting_password)) . ", mt_sync_tenant('unused')");
ok(pulled_twice('unused'), 'secrets that neither its contract nor its settings use cannot be read, and it is pulled');
is(last_job('unused', 'error'), '', 'without a word of them');
is(sql("SELECT last_error FROM mt_stat_tenant WHERE tenant_id = 'unused'"), '', 'nor is there one elsewhere');
equals_truth($node, $sandbox, 'unused');
like(sql("SELECT detail FROM mt_test_connection('unused') WHERE step = 'secrets'"), qr/^(?:\w+: could not read [^;]*; ){4}mend that/, 'but in a test of the connection');
sql('SELECT ' . configure('unused', push_users => JSON::PP::true, scim_url => $sandbox->url) . ", mt_sync_tenant('unused')");
ok(pull_ends('unused'), 'with provisioning the token is used');
like(last_job('unused', "state || ' ' || error"), qr/^failed scim_token: could not read [^;]* \(the file is no text in the encoding of the database\); mend that, [^;]*$/, 'and the pull says so');
is(failing('unused'), '', 'while it has everything');
sql('SELECT ' . credential('rotated', reporting_user => { file => 'nowhere' }) . ", mt_sync_tenant('rotated')");
ok(wait_for_sync($node, 'rotated'), 'half of a reporting user is none');
sql('SELECT ' . credential('rotated', secret_key => { file => 'nowhere' }) . ", mt_sync_tenant('rotated')");
ok(poll($node, "SELECT last_error LIKE 'secret_key: could not read %' FROM mt_stat_tenant WHERE tenant_id = 'rotated'"), 'of a pair that signs in both are needed');

# The key: nothing is sent, and the pull waits for it.
write_secret('keyed', 'key', $sandbox->key('keyed') . "\n");
add_tenant($node, $sandbox, 'keyed');
ok(wait_for_sync($node, 'keyed'), 'a tenant is pulled');
sql('SELECT ' . credential('keyed', api_key => { file => 'key' }));
ok(pulled_twice('keyed'), 'and again, once its key is in a file');
my $user = sql("SELECT max(user_id) FROM mindtickle.users WHERE tenant_id = 'keyed' AND active AND mindtickle_id IS NOT NULL");
chmod 0644, "$secrets/keyed/key";
$requests = $sandbox->stats('keyed')->{requests};
$why = 'api_key: ' . sprintf($unreadable, 'keyed', 'key') . ' \(the file must be a plain file that only its owner can read';
like(attempt("SELECT mt_sync_course_progress('keyed', '$user')"), qr/^HV000: $why/, 'who asks for a user while it cannot be read is told');
is(sql("SELECT backoff_until <= now() + interval '2 minutes' FROM mindtickle.tenant WHERE tenant_id = 'keyed'"), 't', 'it is read again soon');
sql("SELECT mt_sync_tenant('keyed')");
like(attempt("SELECT mt_sync_course_progress('keyed', '$user')"), qr/^HV000: nothing is pulled for tenant "keyed" until .*: $why/, 'until then there is no wait');
like(sql("SELECT concat_ws(' | ', ok, detail) FROM mt_test_connection('keyed')"), qr/^f \| $why/, 'a test of the connection says the same');
# The pause is over.
sql("UPDATE mindtickle.tenant SET backoff_until = now(), last_error = NULL WHERE tenant_id = 'keyed'");
sql("SELECT mt_sync_tenant('keyed')");
ok(poll($node, "SELECT last_error IS NOT NULL FROM mindtickle.tenant WHERE tenant_id = 'keyed'"), 'a pull is asked for');
like(sql("SELECT last_error FROM mt_stat_tenant WHERE tenant_id = 'keyed'"), qr/^$why/, 'it says why it does not come');
is(last_job('keyed', "state IN ('queued', 'running')"), 't', 'and stays open');
$job = last_job('keyed', 'job_id');
is($sandbox->stats('keyed')->{requests}, $requests, 'nothing was sent');
chmod 0600, "$secrets/keyed/key";
sql("UPDATE mindtickle.tenant SET backoff_until = now() WHERE tenant_id = 'keyed'");
sql("SELECT mt_sync_tenant('keyed')");
ok(wait_for_sync($node, 'keyed'), 'once it can be read the pull goes on');
is(last_job('keyed', 'job_id'), $job, 'the same one');
equals_truth($node, $sandbox, 'keyed');

# A database that does not take what it is given is one thing, a key that cannot be read another: each is told, whatever the other has done before.
write_secret('troubled', 'key', $sandbox->key('troubled') . "\n");
add_tenant($node, $sandbox, 'troubled');
ok(wait_for_sync($node, 'troubled'), 'another tenant is pulled');
sql('SELECT ' . credential('troubled', api_key => { file => 'key' }));
ok(pulled_twice('troubled'), 'and again, once its key is in a file');
my $told = qr/the pull of tenant "troubled" is put off: api_key/;
my $trouble = "CREATE TRIGGER trouble BEFORE UPDATE ON mindtickle.sync_job FOR EACH ROW WHEN (new.tenant_id = 'troubled') EXECUTE FUNCTION trouble()";
my $no_rest = "UPDATE mindtickle.tenant SET backoff_until = now(), last_error = NULL WHERE tenant_id = 'troubled'";
sql(q(CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''there is no room''; END'));
sql($trouble);
sql("SELECT mt_sync_tenant('troubled')");
ok(troubled_by('there is no room'), 'the database does not take a pull');
asked_with_key(0644, 'DROP TRIGGER trouble ON mindtickle.sync_job', $no_rest);
ok(troubled_by('api_key: '), 'it would now, and the key cannot be read');
is(times_logged($told), 1, 'which the log tells');
asked_with_key(0600, $no_rest);
ok(wait_for_sync($node, 'troubled'), 'once both are well the pull goes on');
asked_with_key(0644);
ok(troubled_by('api_key: '), 'the key cannot be read once more');
is(times_logged($told), 2, 'and the log tells once more');
asked_with_key(0600, $trouble, $no_rest);
ok(troubled_by('there is no room'), 'it can, and the database does not take the pull: that is told');
is(times_logged(qr/the pull of tenant "troubled" is put off: .*there is no room/), 2, 'as the first time');
asked_with_key(0600, 'DROP TRIGGER trouble ON mindtickle.sync_job', $no_rest);
ok(wait_for_sync($node, 'troubled'), 'when it does the pull goes on');
equals_truth($node, $sandbox, 'troubled');

# A clock that was ahead and is right again: pulls come, are accounted for, and ask for everything.
my @ahead = qw(next rest budget listed);
add_tenant($node, $sandbox, $_) foreach @ahead;
ok(wait_for_sync($node, @ahead), 'tenants are pulled');
$node->append_conf('postgresql.conf', 'mindtickle.sync_enabled = off');
$node->restart;
sql(<<'END');
UPDATE mindtickle.tenant SET next_sync_at = now() + interval '1 year' WHERE tenant_id = 'next';
UPDATE mindtickle.tenant SET backoff_until = now() + interval '1 year' WHERE tenant_id = 'rest';
UPDATE mindtickle.sync_budget SET budget_until = now() + interval '1 year' WHERE tenant_id = 'budget';
UPDATE mindtickle.sync_resource SET listed_at = now() + interval '1 year' WHERE tenant_id = 'listed';
UPDATE mindtickle.tenant SET next_sync_at = now() WHERE tenant_id IN ('rest', 'budget', 'listed');
END
my $filtered = $sandbox->stats('listed')->{filtered};
$node->append_conf('postgresql.conf', 'mindtickle.sync_enabled = on');
$node->restart;
ok(pulled_twice($_), "with a moment of '$_' far ahead the tenant is pulled") foreach @ahead;
is(sql("SELECT bool_and(next_sync_at < now() + interval '1 day' AND backoff_until IS NULL) FROM mindtickle.tenant WHERE tenant_id IN ('next', 'rest')"), 't', 'none is left of the tenant');
is(sql("SELECT budget_until < now() + interval '10 minutes' AND noted_at > pg_postmaster_start_time() FROM mindtickle.sync_budget WHERE tenant_id = 'budget'"), 't', 'its requests are accounted for');
is($sandbox->stats('listed')->{filtered}, $filtered, 'a listing of a time to come is no reason to ask for changes alone');

$node->stop('fast');
is($node->log_contains('PANIC|was terminated by signal'), '', 'no server process died');
done_testing();
