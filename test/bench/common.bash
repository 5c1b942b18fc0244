# shellcheck shell=bash
# What the benchmarks share. Each one is an SQL file that measures and ends with a table; this runs it. Sourced by the scripts
# of this folder, which "make bench" calls with PGHOST, PGPORT, PGUSER (a superuser) and PGDATABASE set. The database has the
# extension and its service role; everything else a benchmark makes for itself, in the schema "bench".

set -euo pipefail

# Runs the SQL file $1 of this folder and shows its tables. False where a bound is not met, or where it fails.
run_benchmark() {
	local directory output
	directory=$(dirname "${BASH_SOURCE[0]}")
	output=$(PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -f "$directory/common.sql" -f "$directory/$1") ||
		return 1
	printf '%s\n' "$output"
	! grep -q 'NOT MET' <<<"$output"
}
