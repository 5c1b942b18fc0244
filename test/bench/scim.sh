#!/bin/bash
# SCIM with 8 clients, over HTTP where the bounds say so: finding a user by name among many beside the gateway's reading of one user's courses, making
# users beside bare inserts of such rows, and adding a member to a large group beside a small one. See scim.sql for what is in the tenants.
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

finish() {
	stop_gateway
	rm -rf "$scripts"
}
trap finish EXIT

sql() {
	PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# A token of the tenant $1.
token_of() {
	psql -X -A -t -c "SELECT mt_create_token('$1', gen_random_uuid()::text, '{scim,read}')"
}

# A script for wrk, told by its name. $1 is its name, $2 the token; standard input makes a request of "n", a number that is new each time, and "pick".
write_http() {
	{
		cat <<-END
			local n, start = 0, os.time() * 1000 % 100000000
			local headers = {Authorization = "Bearer $2", ["Content-Type"] = "application/scim+json"}
			function done(summary, latency)
				local errors = summary.errors
				io.write(string.format("RATE %f %d\n", summary.requests * 1e6 / summary.duration, errors.status + errors.connect + errors.read + errors.timeout))
			end
			function pick(most) return math.random(1, most) end
			function request() n = n + 1; return make("new-" .. start .. "-" .. n) end
		END
		cat
	} >"$scripts/$1.lua"
}

# Finding a user by name, and reading the courses of one. $1 is the tenant, $2 how many users it has, $3 what names begin with.
write_reads() {
	local token
	token=$(token_of "$1")
	write_http "$3 by name" "$token" <<-END
		function make() return wrk.format("GET", "/scim/v2/Users?filter=userName%20eq%20%22USER" .. pick($2) .. "%40example.com%22&startIndex=1&count=100", headers) end
	END
	write_http "$3 courses" "$token" <<-END
		function make() return wrk.format("GET", "/api/tenants/$1/users/user-" .. pick(1000) .. "/progress", headers) end
	END
}

write_scripts() {
	write_reads bench-scim-large "$users" large
	write_reads bench-scim-small $((users / 100)) small
	write_http POST "$(token_of bench-scim-large)" <<-'END'
		local person = [[%s]]
		function make(name) return wrk.format("POST", "/scim/v2/Users", headers, (person:gsub("NAME", name))) end
	END
	sed -i "s|%s|$(psql -X -A -t -c "SELECT convert_from(bench.person('NAME'), 'UTF8')")|" "$scripts/POST.lua"
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

# Requests per second of one side, by wrk or by pgbench. $1 is the script, $2 the role.
rate_of() {
	local rate failed
	if [ -e "$scripts/$1.lua" ]; then
		wrk -t1 "-c$clients" "-d${seconds}s" --timeout 10s -s "$scripts/$1.lua" "http://127.0.0.1:$port/" >"$scripts/log"
		read -r rate failed < <(sed -n 's/^RATE //p' "$scripts/log")
		[ "${failed:-1}" -eq 0 ] || rate=
	else
		PGOPTIONS='-c jit=off' pgbench -n -M prepared -U "$2" -c "$clients" -j 2 -T "$seconds" -f "$scripts/$1" >"$scripts/log" 2>&1 || true
		rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$scripts/log")
	fi
	[ -n "$rate" ] || { cat "$scripts/log" >&2; return 1; }
	printf '%s' "$rate"
}

# One side in one round. $1 names what is measured, $2 the side, which is a script, $3 the round, $4 the role.
run_side() {
	local rate
	rate=$(rate_of "$2" "$4")
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
port=$(free_port)
start_gateway "$port" 2
compare "find a user among $users" 'large by name' 'large courses' - 0.5 1
compare "find a user among $((users / 100))" 'small by name' 'small courses' - 0.5 1
compare "find a user among $users, among $((users / 100))" 'large by name' 'small by name' - 0.8 1
compare "make a user, bare insert" POST INSERT "$PGUSER" 0.5 1
compare "add or remove a member of $members, of 10" 'large group' 'small group' bench_provider 0.5 2

output=$(sql -c 'TABLE bench.report')
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
