# A client of the live contract that does everything right and nothing twice, for the tests of the sandbox. It speaks through curl, so
# that nothing of the extension is in it, and turns answers into the rows that our tables must hold.
#
#   my $client = MindTickle::LiveClient->new($sandbox, 'acme');
#   $client->sign_in                          walks the hosts and keeps token and host
#   $client->call(GET => '/api/v2/series/list')
#   $client->users, $client->modules, $client->statements($email), $client->report('json')
#   $client->user_rows, $client->progress_rows, ...: what follows from them

package MindTickle::LiveClient;

use strict;
use warnings;

use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Time::Local;

my $json = JSON::PP->new->utf8->allow_nonref;
my $files = 0;

sub new
{
	my ($class, $sandbox, $tenant) = @_;
	return bless { sandbox => $sandbox, name => $tenant, %{ $sandbox->tenant($tenant) } }, $class;
}

# One request, as it is written; returns exit, status, headers, body. Options: header => [], body => text, more => [options of curl].
sub curl
{
	my ($method, $url, %options) = @_;
	my $base = "$PostgreSQL::Test::Utils::tmp_check/curl_" . join("_", $$, ++$files);
	my @command = (
		'curl', '--silent', '--globoff', '--path-as-is', '--noproxy', '*', '--max-time', 20, '--request', $method, '--output',
		"$base.body", '--dump-header', "$base.head", (map { ('--header', $_) } @{ $options{header} // [] }),
		@{ $options{more} // [] });
	my %answer = (status => 0, body => '', headers => {});

	if (defined $options{body})
	{
		append_to_file("$base.sent", $options{body});
		push @command, '--data-binary', "\@$base.sent";
	}
	$answer{exit} = system(@command, $url) >> 8;
	if (-s "$base.head")
	{
		my ($line, @headers) = split /\r\n/, slurp_file("$base.head");
		$answer{status} = $1 if $line =~ m{^HTTP/\S+ (\d+)};
		foreach my $header (@headers)
		{
			$answer{headers}{ lc $1 } = $2 if $header =~ /^([^:]+): *(.*)$/;
		}
	}
	$answer{body} = slurp_file("$base.body") if -e "$base.body";
	unlink "$base.body", "$base.head", "$base.sent";
	return \%answer;
}

sub encode
{
	my ($text) = @_;
	utf8::encode($text) if utf8::is_utf8($text);
	$text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

# Signs in at one host.
sub sign_in_at
{
	my ($self, $host, %changes) = @_;
	my %pair = (api_key => $self->{api_key}, secret_key => $self->{secret_key}, ls_url => $self->{learning_site}, %changes);

	delete $pair{$_} foreach grep { !defined $pair{$_} } keys %pair;
	return curl('POST', "$host/services/data/auth_token", header => ['Content-Type: application/json'], body => $json->encode(\%pair));
}

sub sign_in
{
	my ($self) = @_;
	foreach my $host (@{ $self->{base_urls} })
	{
		my $answer = $self->sign_in_at($host);
		next if $answer->{status} == 404;
		my $object = $json->decode($answer->{body});
		$self->{host} = $host;
		$self->{token} = $object->{token} // $object->{access_token};
		return $answer;
	}
	die "no host knows $self->{learning_site}\n";
}

# A call of the API with the token, a path at the host signed in to. A body is encoded.
sub call
{
	my ($self, $method, $path, $body) = @_;
	return curl($method, $self->{host} . $path,
		header => [ "Authorization: Bearer $self->{token}", 'Content-Type: application/json' ],
		defined $body ? (body => $json->encode($body)) : ());
}

# The object of a good answer.
sub object
{
	my ($answer) = @_;
	die "status $answer->{status}, curl $answer->{exit}: $answer->{body}\n" unless $answer->{status} == 200;
	return $json->decode($answer->{body});
}

# Path and query of a continuation: its host is not to be trusted.
sub path_of
{
	my ($url) = @_;
	return defined $url && $url =~ m{^https?://[^/]+(/.*)$} ? $1 : undef;
}

# All users, each once, in the order of the listing.
sub users
{
	my ($self, $selector) = @_;
	my (@users, %seen);
	my $answer = $self->call(POST => '/services/data/v4.0/mtobjects/Users?limit=50', $selector // {});

	$self->{pages} = [];
	while (1)
	{
		my $page = object($answer);
		push @{ $self->{pages} }, $page;
		push @users, grep { ref $_ ne 'HASH' || !defined $_->{id} || ref $_->{id} || !$seen{ $_->{id} }++ } @{ $page->{users} };
		my $next = path_of($page->{nextRecordsUrl});
		last if $page->{done} || !defined $next || !@{ $page->{users} };
		$answer = $self->call(GET => $next);
	}
	return @users;
}

# All modules by id, and the ids of the series.
sub modules
{
	my ($self) = @_;
	my (%modules, @series);

	foreach my $series (@{ object($self->call(GET => '/api/v2/series/list'))->{hits} })
	{
		push @series, $series->{id};
		my $list = object($self->call(GET => "/api/v2/series/$series->{id}/list"));
		$modules{ $_->{id} } = $_ foreach @{ $list->{hits} };
	}
	$self->{series} = \@series;
	return \%modules;
}

# All statements about a learner.
sub statements
{
	my ($self, $email) = @_;
	my $agent = encode(JSON::PP->new->encode({ mbox => "mailto:$email" }));
	my $answer = $self->call(GET => "/services/data/v4.0/xapi/statements?agent=$agent&limit=20");
	my @statements;

	while (1)
	{
		my $page = object($answer);
		push @statements, @{ $page->{statements} };
		my $next = path_of($page->{more}) // last;
		$answer = $self->call(GET => $next);
	}
	return @statements;
}

# One call of the reporting user.
sub report_call
{
	my ($self, $path, %options) = @_;
	my $pair = encode_base64("$self->{reporting_user}:$self->{reporting_password}", '');
	return curl('GET', $self->{reporting_url} . $path, header => ["Authorization: Basic $pair"], %options);
}

# The rows of a JSON report, and its continuation.
sub json_rows
{
	my ($object) = @_;
	my $next = $object->{__next} // $object->{'@odata.nextLink'};
	foreach my $name (qw(results d value))
	{
		my $inner = $object->{$name} // next;
		return ($inner, $next) if ref $inner eq 'ARRAY';
		return ($inner->{results}, $inner->{__next});
	}
	return ([]);
}

# Takes CSV apart: a list of hashes.
sub csv_rows
{
	my ($text) = @_;
	my (@records, @fields);

	$text =~ s/^\xef\xbb\xbf//;
	while ($text =~ /\G(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r?\n|$)/g)
	{
		my ($quoted, $bare, $end) = ($1, $2, $3);
		last if $end eq '' && !@fields && !defined $quoted && $bare eq '';
		$quoted =~ s/""/"/g if defined $quoted;
		push @fields, $quoted // $bare;
		next if $end eq ',';
		push @records, [@fields];
		@fields = ();
	}
	my @names = @{ shift @records };
	return map { my %row; @row{@names} = @$_; $_ = $_ eq '' ? undef : $_ foreach values %row; \%row } @records;
}

# All rows of LearnerModulePerformances.
sub report
{
	my ($self, $format, $filter) = @_;
	my $query = "/LearnerModulePerformances?\$format=$format" . (defined $filter ? '&$filter=' . encode($filter) : '');
	my $answer = $self->report_call($query);
	my @rows;

	$self->{report_pages} = 0;
	while (1)
	{
		$self->{report_pages}++;
		return csv_rows($answer->{body}) if $format eq 'csv';
		my ($rows, $next) = json_rows(object($answer));
		push @rows, @$rows;
		my $path = path_of($next);
		# What has no host is relative to this set.
		$path = $next =~ /^\?/ ? "/LearnerModulePerformances$next" : "/$next" if !defined $path && defined $next;
		last unless defined $path;
		$path =~ s{^/Odata.svc}{};
		$answer = $self->report_call($path);
	}
	return @rows;
}

# The milliseconds of "2026-09-24T13:10:30.225Z", the fraction optional.
sub millis
{
	my ($text) = @_;
	my ($year, $month, $day, $hour, $minute, $second, $fraction) =
	  $text =~ /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?Z$/
	  or die "no moment: $text\n";
	return timegm($second, $minute, $hour, $day, $month - 1, $year) * 1000 + ($fraction // 0);
}

# Seconds since 1970 as the truth writes them.
sub moment
{
	my ($seconds) = @_;
	my ($second, $minute, $hour, $day, $month, $year) = gmtime $seconds;
	return sprintf '%04d-%02d-%02d %02d:%02d:%02d.000000+00', $year + 1900, $month + 1, $day, $hour, $minute, $second;
}

# When what a statement tells happened, in seconds; undef when it does not say.
sub statement_moment
{
	my ($statement) = @_;
	return undef if !defined $statement->{stored} || $statement->{stored} eq $statement->{timestamp};
	my $stored = millis($statement->{stored});
	my $earliest = millis('2015-01-01T00:00:00Z');
	my $latest = (time() + 86400) * 1000;
	foreach my $millis ($stored, $stored * 1000)
	{
		return int($millis / 1000) if $millis >= $earliest && $millis <= $latest;
	}
	return undef;
}

my %furthest = (not_started => 0, in_progress => 1, completed => 2);
my %spellings = (complete => 'completed', inprogress => 'in_progress', notstarted => 'not_started');

# Status and completion of each module, by id.
sub progress_of_statements
{
	my %progress;
	foreach my $statement (@_)
	{
		my $module = $statement->{object}{id} // next;
		my $verb = $statement->{verb}{display}{'en-US'} // (split m{/}, $statement->{verb}{id})[-1];
		$verb = lc $verb;
		$verb =~ s/[ -]/_/g;
		$verb = $spellings{$verb} // $verb;
		next unless exists $furthest{$verb};
		my $moment = statement_moment($statement);
		my $known = $progress{$module};
		next if $known && $furthest{ $known->{status} } > $furthest{$verb};
		next
		  if $known && $known->{status} eq $verb && (!defined $moment || (defined $known->{moment} && $known->{moment} >= $moment));
		$progress{$module} = { status => $verb, moment => $moment };
	}
	return \%progress;
}

sub is_true { return defined $_[0] && (ref $_[0] ? $_[0] : lc $_[0] eq 'true'); }

sub four_places
{
	my ($value) = @_;
	return defined $value ? sprintf('%.4f', $value) : undef;
}

# Truth rows of users from the listing.
sub user_rows
{
	my (@users) = @_;
	my %named = map { lc $_->{email} => 1 } map { @{ $_->{managers} // [] } } @users;
	my %months = (Jan => 0, Feb => 1, Mar => 2, Apr => 3, May => 4, Jun => 5, Jul => 6, Aug => 7, Sep => 8, Oct => 9, Nov => 10, Dec => 11);

	return map {
		my $user = $_;
		my $profile = $user->{profile} // {};
		my ($manager) = grep { $_->{key} eq 'User_Manager' } @{ $user->{managers} // [] };
		my $hired = $profile->{a_21};
		$hired = moment(timegm(0, $5, $4, $1, $months{$2}, $3)) if defined $hired && $hired =~ /^(\d+) (\w+) (\d+), (\d+):(\d+)$/;
		{
			user_id => "$user->{id}",
			mindtickle_id => "$user->{id}",
			email => $user->{email},
			name => $user->{name},
			role => defined $user->{email} && $named{ lc $user->{email} } ? 'manager' : 'rep',
			active => uc($user->{userState} // '') eq 'DEACTIVATED' ? JSON::PP::false : JSON::PP::true,
			scim_external_id => $user->{externalId},
			title => $profile->{dg},
			department => $profile->{dp},
			location => $profile->{rg},
			hired_at => $hired,
			manager_email => $manager->{email}
		}
	} @users;
}

# Truth rows of progress and of results from the report: the furthest row of each learner and module counts.
sub report_rows
{
	my ($modules, $users, @rows) = @_;
	my %id_of = map { defined $_->{email} ? (lc $_->{email} => "$_->{id}") : () } @$users;
	my (%best, @progress, @results);

	foreach my $row (@rows)
	{
		my $user = $row->{UserId} // $id_of{ lc $row->{LearnerEmailId} };
		$row->{status} = is_true($row->{HasCompleted}) ? 'completed' : is_true($row->{HasStarted}) ? 'in_progress' : 'not_started';
		my $known = \$best{$user}{ $row->{ModuleId} };
		$$known = $row if !$$known || $furthest{ $row->{status} } > $furthest{ $$known->{status} };
	}
	foreach my $user (keys %best)
	{
		foreach my $module (keys %{ $best{$user} })
		{
			my $row = $best{$user}{$module};
			my $scored = $row->{status} ne 'not_started' && defined $row->{Score} && $row->{MaxScore};
			# Rounded as decimals are: half away from zero.
			my $score = $scored && $row->{MaxScore} > 0 ? int(10000 * $row->{Score} / $row->{MaxScore} + 0.5 + 1e-7) / 100 : undef;
			my $completed = $row->{status} eq 'completed' ? moment(millis($row->{EndTime}) / 1000) : undef;
			push @progress,
			  {
				user_id => $user,
				course_id => $module,
				status => $row->{status},
				completed_at => $completed,
				score => four_places($score),
				invited_at => moment(millis($row->{InvitedOn}) / 1000),
				started_at => $row->{status} eq 'not_started' ? undef : moment(millis($row->{StartTime}) / 1000),
				is_overdue => defined $row->{IsOverdue} ? (is_true($row->{IsOverdue}) ? JSON::PP::true : JSON::PP::false) : undef,
				has_failed => defined $row->{HasFailed} ? (is_true($row->{HasFailed}) ? JSON::PP::true : JSON::PP::false) : undef,
				percent_completed => four_places($row->{PercentCompleted}),
				max_score => four_places($row->{MaxScore})
			  };
			next unless defined $score && defined $completed && $modules->{$module}{moduleType} eq 'ASSESSMENT';
			push @results,
			  {
				user_id => $user,
				course_id => $module,
				quiz_id => $module,
				submitted_at => $completed,
				score => four_places($score),
				max_score => four_places($row->{MaxScore}),
				raw_score => four_places($row->{Score})
			  };
		}
	}
	return (\@progress, \@results);
}

# Rows as lines of text in one order, to be compared.
sub lines
{
	my $writer = JSON::PP->new->canonical;
	return join("\n", sort map { $writer->encode($_) } @_);
}

1;
