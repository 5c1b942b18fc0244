# A database whose default privileges give rights on whatever a superuser makes, when the extension comes: PUBLIC gets no more than elsewhere,
# and what other roles have got is found and taken back by the remedies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MindTickle::Test;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('primary');
$node->safe_psql('postgres', q(CREATE DATABASE ordinary; CREATE DATABASE generous; CREATE ROLE legacy LOGIN;));
$node->safe_psql('generous', join(' ', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO legacy, PUBLIC;" } qw(TABLES SEQUENCES FUNCTIONS)));
add_extension($node, $_) foreach qw(ordinary generous);

my $rights_of_public = q(SELECT o.name, a.privilege_type FROM (
		SELECT c.oid::regclass::text, c.relacl FROM pg_class AS c WHERE c.relnamespace = 'mindtickle'::regnamespace
		UNION ALL SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc AS p
			WHERE p.pronamespace = 'mindtickle'::regnamespace OR p.proname LIKE 'mt\_%') AS o (name, acl), aclexplode(o.acl) AS a
	WHERE a.grantee = 0 ORDER BY 1, 2);
is($node->safe_psql('generous', $rights_of_public), $node->safe_psql('ordinary', $rights_of_public), 'everyone has the rights that the extension gives');

my $findings = q(SELECT DISTINCT check_name, split_part(detail, ' ', 1) FROM mt_check() WHERE NOT passed ORDER BY 1, 2);
ok(poll($node, q(SELECT bool_and(passed) FROM mt_check()), 'ordinary'), 'nothing is found in an ordinary database');
ok(poll($node, q(SELECT bool_and(passed) FROM mt_check() WHERE check_name = 'workers'), 'generous'), 'the other one has its workers');
is($node->safe_psql('generous', $findings), "internal_functions|legacy\nowner_functions|legacy\nread_rights|legacy\nwrite_rights|PUBLIC\nwrite_rights|legacy", 'what others have got is found');
$node->safe_psql('generous', 'SELECT remedy FROM mt_check() WHERE NOT passed \gexec');
is($node->safe_psql('generous', $findings), '', 'and is gone once the remedies were followed');
is($node->safe_psql('generous', q(SELECT count(*) FROM mt_users), extra_params => [ '-U', 'legacy' ]), '0', 'what everyone may do, the role still may');
$node->stop('fast');
done_testing();
