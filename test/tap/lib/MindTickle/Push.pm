# What the tests of provisioning that goes on to MindTickle share: tenants that push, and comparing who is here with who is there. Used by
# test/tap/023_*.pl.

package MindTickle::Push;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use MindTickle::Test;
use Test::More;

our @EXPORT = qw(add_pushing equals_upstream pushed upstream);

# A tenant that pushes.
sub add_pushing
{
	my ($node, $sandbox, $tenant) = @_;
	add_live_tenant($node, $sandbox, $tenant, requests_per_second => 20, requests_per_minute => 1200, push_users => JSON::PP::true,
		scim_url => $sandbox->tenant($tenant)->{scim_url});
	my $token = $sandbox->tenant($tenant)->{scim_token};
	$node->safe_psql('postgres', qq(SELECT mt_set_credential('$tenant', '{"scim_token": "$token"}')));
}

# What is upstream, by userName.
sub upstream
{
	my ($sandbox, $tenant) = @_;
	my %users;
	foreach my $user (@{ $sandbox->get('provisioned', tenant => $tenant) })
	{
		push @{ $users{ lc $user->{attributes}{userName} } }, { id => $user->{id}, %{ $user->{attributes} } };
	}
	return \%users;
}

# Waits until nobody is queued.
sub pushed
{
	my ($node, $tenant) = @_;
	return poll($node, "SELECT count(*) = 0 FROM mindtickle.push_queue WHERE tenant_id = '$tenant'");
}

# Who is here equals who is there, and nobody is there twice.
sub equals_upstream
{
	my ($node, $sandbox, $tenant, $name) = @_;
	my $there = upstream($sandbox, $tenant);
	my @wrong;
	foreach my $line (split /\n/, $node->safe_psql('postgres', qq(SELECT lower(email) || '|' || coalesce(name, '') || '|' || active FROM mindtickle.users WHERE tenant_id = '$tenant' AND user_id LIKE 'u-%' ORDER BY 1)))
	{
		my ($email, $full_name, $active) = split /\|/, $line;
		my @found = @{ $there->{$email} // [] };
		if (@found != 1) { push @wrong, "$email is there " . @found . ' times' unless $active eq 'false' && !@found; next; }
		my $is_active = $found[0]{active} ? 'true' : 'false';
		# psql gives bytes.
		my $name_there = $found[0]{name}{formatted} // '';
		utf8::encode($name_there);
		push @wrong, "$email: $name_there $is_active" if $name_there ne $full_name || $is_active ne $active;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(!@wrong, $name) or diag(join("\n", @wrong));
}

1;
