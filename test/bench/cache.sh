#!/bin/bash
# The tenant cache: what a client waits for a roster of 5,000 users, kept and built each time, and what the cache costs those who write. See cache.sql,
# which makes the roster; here the clients are added, and the table shown.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

directory=$(dirname "${BASH_SOURCE[0]}")
scripts=$(mktemp -d)
trap 'rm -rf "$scripts"' EXIT
echo "SELECT mt_get_user_roster('bench');" >"$scripts/cached"
echo "SELECT mindtickle.render_roster('bench');" >"$scripts/built"

# What a client waits for one call, in microseconds: the mean of so many. $1 is the script.
wait_of() {
	pgbench -n -M prepared -t 40 -f "$scripts/$1" 2>/dev/null | awk '/latency average/ {print $4 * 1000}'
}

PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -f "$directory/common.sql" -f "$directory/cache.sql" >/dev/null
for round in 1 2 3 4 5 6 7; do
	for side in cached built; do
		psql -X -q -c "SELECT bench.store('roster of 5,000, with transfer', '$side', $round, $(wait_of "$side"))" >/dev/null
	done
done
output=$(psql -X -q -v ON_ERROR_STOP=1 <<-'END'
	\pset footer off
	INSERT INTO bench.comparison (measured, ours, beside, units, unit, bound) VALUES ('roster of 5,000, with transfer', 'cached', 'built', 1, 'call', 2);
	SELECT e.resource, e.bytes, pg_column_size(e.body) AS stored_bytes, pg_column_compression(e.body) AS compression FROM mindtickle.cache_entry AS e WHERE e.tenant_id = 'bench';
	TABLE bench.report;
END
)
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
