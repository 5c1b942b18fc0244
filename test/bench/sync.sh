#!/bin/bash
# The sync worker with many tenants, against the sandbox: how much of the allowed rate it uses, how fairly, at what cost in CPU and memory; what one tenant's
# faults cost the others; and how many requests come at once after a restart.
#
#   SYNC_TENANTS   tenants, each allowed 60 requests a minute and 3 a second (2000)
#   SYNC_SECONDS   how long each part is measured (60)

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

tenants=${SYNC_TENANTS:-2000}
# Enough that no pull ends before the measuring does.
users=$((3 * ${SYNC_SECONDS:-60} + 60))
seconds=${SYNC_SECONDS:-60}

directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
sandbox=
finish() {
	[ -z "$sandbox" ] || kill "$sandbox" 2>/dev/null || true
	rm -rf "$scratch"
}
trap finish EXIT

sql() {
	PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 "$@"
}

control() {
	curl -sS --fail "http://127.0.0.1:$port/sandbox/$1" "${@:2}"
}

# Stores what the sandbox has counted so far, under a name.
count() {
	control stats >"$scratch/stats"
	sql -v "moment=$1" -v "at=$EPOCHREALTIME" -v "file=$scratch/stats" <<-'END'
		\set stats `cat :file`
		INSERT INTO bench.sync_count (moment, at, tenant, requests, throttled, violations)
			SELECT :'moment', :at, t.tenant, t.requests, t.throttled, t.violations_per_second + t.violations_per_minute
			FROM jsonb_to_recordset(:'stats'::jsonb -> 'tenants')
				AS t (tenant text, requests int8, throttled int8, violations_per_second int8, violations_per_minute int8);
	END
}

# What the processes that have a part in it have used, and the machine as a whole: CPU in ticks, and memory in kilobytes.
cost() {
	local process pid fields idle total
	{
		sql -At -F ' ' -c "SELECT regexp_replace(backend_type, '^mindtickle ', ''), pid FROM pg_stat_activity
			WHERE backend_type IN ('mindtickle sync', 'mindtickle publisher', 'mindtickle aggregator')"
		printf 'sandbox %s\n' "$sandbox"
	} >"$scratch/processes"
	while read -r process pid; do
		read -r -a fields <"/proc/$pid/stat"
		printf '%s\t%s\t%s\t%s\t\\N\n' "$1" "$process" "$((fields[13] + fields[14]))" \
			"$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")"
	done <"$scratch/processes" >"$scratch/costs"
	# user, nice, system, idle, iowait, irq, softirq, steal
	read -r -a fields </proc/stat
	idle=$((fields[4] + fields[5]))
	total=$((fields[1] + fields[2] + fields[3] + idle + fields[6] + fields[7] + fields[8]))
	printf '%s\tmachine\t%s\t\\N\t%s\n' "$1" "$((total - idle))" "$total" >>"$scratch/costs"
	sql -c '\copy bench.sync_cost FROM pstdin' <"$scratch/costs"
}

measure() {
	count "$1 from" && cost "$1 from"
	sleep "$seconds"
	count "$1 to" && cost "$1 to"
}

sql -f "$directory/common.sql" -f "$directory/sync.sql"

"$directory/../sandbox/mindtickle-sandbox" --port 0 --port-file "$scratch/port" --threads 1 --seed 1 \
	--tenants "$tenants,users=$users,courses=6,rps=3,rpm=60" >"$scratch/sandbox.log" 2>&1 &
sandbox=$!
until [ -s "$scratch/port" ]; do
	kill -0 "$sandbox" || { cat "$scratch/sandbox.log" >&2; exit 1; }
	read -r -t 0.1 <> <(:) || true
done
port=$(head -n 1 "$scratch/port")

control tenants >"$scratch/tenants"
sql -v "file=$scratch/tenants" -v "url=http://127.0.0.1:$port/v2" -f "$directory/sync_tenants.sql" >/dev/null

# Until every tenant's pull is past its first pages.
for ((waited = 0; waited < 600; waited += 5)); do
	[ "$(sql -At -c "SELECT count(*) FROM mindtickle.sync_job WHERE state = 'running' AND phase = 'progress'")" -lt $((tenants * 95 / 100)) ] || break
	sleep 5
done
measure steady

# One in a hundred tenants fails in every way.
sql -At -c "SELECT tenant_id FROM mindtickle.tenant WHERE tenant_id LIKE 'tenant-%' ORDER BY tenant_id LIMIT $((tenants / 100 + 1))" >"$scratch/failing"
while read -r tenant; do
	for kind in error500 slow truncated reset; do
		control "faults?kind=$kind&percent=25&tenant=$tenant" -X POST >/dev/null
	done
	sql -c "INSERT INTO bench.sync_failing VALUES ('$tenant')"
done <"$scratch/failing"
measure faults

# The worker is killed, and with it every process of the server: all tenants go on at once.
before=$(control arrivals | sed -n 's/.*"next":\([0-9]*\).*/\1/p')
kill -9 "$(sql -At -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle sync'")"
for ((waited = 0; waited < 60; waited++)); do
	sleep 1
	sql -At -c 'SELECT 1' >/dev/null 2>&1 && break
done
sleep "$seconds"
fullest=$(control "arrivals?from=$before" | sed -n 's/.*"max_in_second":\([0-9]*\).*/\1/p')
count end

output=$(sql -v "fullest=$fullest" -v "hertz=$(getconf CLK_TCK)" -f "$directory/sync_report.sql")
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
