#!/bin/bash
# SCIM requests through mt_scim_request, with 8 clients: finding a user by name among many beside reading the same user by id, making users beside
# bare inserts of such rows, and adding a member to a large group beside a small one. See scim.sql for what is in the tenants.
#
#   SCIM_USERS     users of the large tenant (100000); the small one has a hundredth
#   SCIM_MEMBERS   members of the large groups (10000); the small ones have ten
#   SCIM_ROUNDS    rounds of each comparison (5)
#   SCIM_SECONDS   how long one side runs in a round (4)

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

users=${SCIM_USERS:-100000}
members=${SCIM_MEMBERS:-10000}
rounds=${SCIM_ROUNDS:-5}
seconds=${SCIM_SECONDS:-4}
clients=8

directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$(mktemp -d)
trap 'rm -rf "$scripts"' EXIT

sql() {
	PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# What pgbench sends. $1 is the tenant, $2 how many users it has, $3 what files begin with.
write_reads() {
	cat >"$scripts/$3 by name" <<-END
		\\set n random(1, $2)
		SELECT * FROM mt_scim_request('$1', 'GET', '/Users', 'filter=userName%20eq%20%22USER' || :n || '%40example.com%22&startIndex=1&count=100', NULL, NULL::bytea);
	END
	cat >"$scripts/$3 by id" <<-END
		\\set n random(1, $2)
		SELECT * FROM mt_scim_request('$1', 'GET', '/Users/user-' || :n, NULL, NULL, NULL::bytea);
	END
}

write_scripts() {
	write_reads bench-scim-large "$users" large
	write_reads bench-scim-small $((users / 100)) small
	cat >"$scripts/POST" <<-'END'
		SELECT * FROM mt_scim_request('bench-scim-large', 'POST', '/Users', NULL, '{"Content-Type": "application/scim+json"}', bench.person('new-' || gen_random_uuid()));
	END
	cat >"$scripts/INSERT" <<-'END'
		INSERT INTO bench.users (tenant_id, user_id, user_name, scim_external_id, email, name, role, active, title, department, attributes)
			SELECT 'bench-scim-large', gen_random_uuid(), n || '@example.com', n, n || '@example.com', 'Given Family', 'rep', true, 'Title', 'Sales', bench.attributes(n)
			FROM (SELECT 'new-' || gen_random_uuid() AS n) AS n;
	END
	local size
	for size in large small; do
		cat >"$scripts/$size group" <<-END
			SELECT * FROM mt_scim_request('bench-scim-large', 'PATCH', '/Groups/$size-' || :client_id, NULL, NULL, bench.member('add', 'user-' || $users - :client_id));
			SELECT * FROM mt_scim_request('bench-scim-large', 'PATCH', '/Groups/$size-' || :client_id, NULL, NULL, bench.member('remove', 'user-' || $users - :client_id));
		END
	done
}

# One side in one round. $1 names what is measured, $2 the side, which is a script, $3 the round, $4 the role.
run_side() {
	local rate
	PGOPTIONS='-c jit=off' pgbench -n -M prepared -U "$4" -c "$clients" -j 2 -T "$seconds" -f "$scripts/$2" >"$scripts/pgbench.log" 2>&1 ||
		{ cat "$scripts/pgbench.log" >&2; return 1; }
	rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$scripts/pgbench.log")
	# The first round fills caches.
	[ "$3" -eq 0 ] || sql -c "INSERT INTO bench.sample VALUES ('$1', '$2', $3, 1000000 / $rate)"
}

# Both sides in turns. $1 names what is measured, $2 our side, $3 the other, $4 the other's role, $5 the least ratio, $6 requests in a transaction.
compare() {
	local round
	for ((round = 0; round <= rounds; round++)); do
		if [ $((round % 2)) -eq 0 ]; then
			run_side "$1" "$2" "$round" bench_provider
			run_side "$1" "$3" "$round" "$4"
		else
			run_side "$1" "$3" "$round" "$4"
			run_side "$1" "$2" "$round" bench_provider
		fi
	done
	sql -c "INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound) VALUES ('$1', '$2', '$3', $6, 'request', $5)"
}

sql -f "$directory/common.sql" -v users="$users" -v members="$members" -f "$directory/scim.sql"
write_scripts
compare "find a user among $users" 'large by name' 'large by id' bench_provider 0.5 1
compare "find a user among $((users / 100))" 'small by name' 'small by id' bench_provider 0.5 1
compare "find a user among $users, among $((users / 100))" 'large by name' 'small by name' bench_provider 0.8 1
compare "make a user, bare insert" POST INSERT "$PGUSER" 0.5 1
compare "add or remove a member of $members, of 10" 'large group' 'small group' bench_provider 0.5 2

output=$(sql -c 'TABLE bench.report')
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
