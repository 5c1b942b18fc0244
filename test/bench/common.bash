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

free_port() {
	local port
	while true; do
		port=$((20000 + RANDOM % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			printf '%s' "$port"
			return
		fi
	done
}

wait_for_port() {
	local deadline=$((SECONDS + 30))
	until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || { printf 'nothing listens on port %s\n' "$1" >&2; exit 1; }
		sleep 0.1
	done
}

# Has the gateway listen on port $1 with $2 processes, without budgets; returns when it does.
start_gateway() {
	psql -X -q -v ON_ERROR_STOP=1 -v "port=$1" -v "workers=$2" <<-'END'
		ALTER SYSTEM SET mindtickle.gateway_port = :port;
		ALTER SYSTEM SET mindtickle.gateway_workers = :workers;
		ALTER SYSTEM SET mindtickle.gateway_requests_per_second = 0;
		SELECT pg_reload_conf() \g /dev/null
	END
	wait_for_port "$1"
}

stop_gateway() {
	psql -X -q -c 'ALTER SYSTEM RESET mindtickle.gateway_port' -c 'ALTER SYSTEM RESET mindtickle.gateway_workers' \
		-c 'ALTER SYSTEM RESET mindtickle.gateway_requests_per_second' -c 'SELECT pg_reload_conf()' >/dev/null || true
}

# Memory of the largest process of the gateway, in kB: what it has resident, but for pages of the server's shared memory, which are counted once in
# the server however many processes have touched them, and grow with what tables hold.
gateway_memory() {
	local pid largest=0 size
	for pid in $(psql -X -A -t -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway'"); do
		size=$(awk '/^Rss(Anon|File)/ {size += $2} END {print size}' "/proc/$pid/status")
		largest=$((size > largest ? size : largest))
	done
	printf '%s' "$largest"
}
