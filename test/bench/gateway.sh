#!/bin/bash
# What the HTTP gateway costs beside the same thing over PostgreSQL's own protocol, both over TCP: reads of one user's courses, quiz results, a roster of
# 5,000 people beside Redis, who has the roster already, and other requests while 1,000 connections do nothing or next to nothing. Load by wrk and pgbench,
# in turns, and for the roster by one client for both; each figure is the median of three rounds, the 99th percentile that of seven, as it varies most.
# SECONDS_EACH says how long a round takes (3).

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

readonly seconds=${SECONDS_EACH:-3} rounds=3
directory=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d)
redis_pid=
holders=()

finish() {
	local pid
	for pid in "${holders[@]}" $redis_pid; do
		kill "$pid" 2>/dev/null || true
	done
	wait 2>/dev/null || true
	stop_gateway
	rm -rf "$work"
}
trap finish EXIT

median() {
	sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

# A tenant with 2,000 people who have progress in five courses, of 5,000 in all, and who may write.
set_up() {
	psql -X -q -v ON_ERROR_STOP=1 <<-'END'
		SET client_min_messages = warning;
		SELECT mt_create_tenant('bench-http', 'Bench') \g /dev/null
		INSERT INTO mindtickle.users (tenant_id, user_id, mindtickle_id, user_name, email, name, role, title, department)
			SELECT 'bench-http', 'user-' || i, 'mt-' || i, 'user.name.' || i, 'user.name.' || i || '@bench.example', 'Name of User ' || i, 'rep', 'Account Executive', 'Sales'
			FROM generate_series(1, 5000) AS i;
		INSERT INTO mindtickle.course_progress (tenant_id, user_id, course_id, status, score, completed_at)
			SELECT 'bench-http', 'user-' || i, 'course-' || c, 'completed', 80, now() FROM generate_series(1, 2000) AS i, generate_series(1, 5) AS c;
		VACUUM ANALYZE mindtickle.users, mindtickle.course_progress;
		CREATE ROLE bench_http LOGIN;
		SELECT mt_grant_tenant('bench-http', 'bench_http', 'writer') \g /dev/null
		GRANT EXECUTE ON FUNCTION mindtickle.user_courses TO bench_http;
	END
	token=$(psql -X -A -t -c "SELECT mt_create_token('bench-http', 'bench', '{read,quiz}')")
	start_gateway "$port" 2
}

write_scripts() {
	cat >"$work/report.lua" <<-'END'
		function done(summary, latency)
			io.write(string.format("RESULT %d %d %d %d\n", summary.requests * 1e6 / summary.duration, latency:percentile(50), latency:percentile(99),
				summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
		end
	END
	{
		cat "$work/report.lua"
		printf 'local n = 0\nfunction request() n = n %% 2000 + 1; return wrk.format("GET", "/api/tenants/bench-http/users/user-" .. n .. "/progress", {Authorization = "Bearer %s"}) end\n' "$token"
	} >"$work/read.lua"
	{
		cat "$work/report.lua"
		cat <<-END
			local n, start = 0, os.time() * 1000000
			local headers = {Authorization = "Bearer $token", ["Content-Type"] = "application/json"}
			function request()
				n = n + 1
				return wrk.format("POST", "/api/tenants/bench-http/quiz-results", headers, string.format(
					'{"userId": "user-%d", "courseId": "course-1", "quizId": "quiz-%.0f", "submittedAt": "2026-01-01T00:00:00Z", "score": %d, "maxScore": 100}', n % 2000 + 1, start + n, n % 100))
			end
		END
	} >"$work/quiz.lua"
	printf '\\set i random(1, 2000)\nSELECT mindtickle.user_courses('\''bench-http'\'', '\''user-'\'' || :i);\n' >"$work/read.sql"
	cat >"$work/quiz.sql" <<-'END'
		\set i random(1, 2000)
		\set q random(1, 1000000000000)
		SELECT mt_process_quiz_result('bench-http', format('{"userId": "user-%s", "courseId": "course-1", "quizId": "quiz-%s", "submittedAt": "2026-01-01T00:00:00Z", "score": %s, "maxScore": 100}', :i::int, :q::bigint, :i::int % 100)::jsonb);
	END
}

# Requests per second, p50 and p99 in microseconds. $1 is the script, $2 how many connections, $3 the path; further arguments go to wrk.
load() {
	local script=$1 connections=$2 path=$3 result
	shift 3
	result=$(wrk -t1 "-c$connections" "-d${seconds}s" --timeout 10s -s "$script" "$@" "http://127.0.0.1:$port$path" | sed -n 's/^RESULT //p')
	if [ "$(cut -d' ' -f4 <<<"$result")" != 0 ]; then
		printf 'wrk met errors: %s\n' "$result" >&2
		exit 1
	fi
	cut -d' ' -f1-3 <<<"$result"
}

# Transactions per second. $1 is the script, $2 how many clients, $3 the host. What they take to connect counts towards pgbench's time, though not in its
# rate: where it left nothing, they get more.
pgbench_load() {
	local rate=0 connecting
	for connecting in $(($2 / 16)) 20 60; do
		rate=$(pgbench -n -M prepared -f "$1" -c "$2" -j 1 -T $((seconds + connecting)) -h "$3" -U bench_http 2>&1 | tee "$work/pgbench.log" | sed -n -E 's/^tps = ([0-9]+).*/\1/p')
		[ "${rate:-0}" -eq 0 ] || break
	done
	if [ "${rate:-0}" -eq 0 ]; then
		cat "$work/pgbench.log" >&2
		exit 1
	fi
	printf '%s\n' "$rate"
}

missed=
# A row of the table. $1 what, $2 ours, $3 beside it, $4 their ratio's bound, $5 "least" or "most", or "any" where there is no bound.
row() {
	awk -v what="$1" -v ours="$2" -v other="$3" -v bound="$4" -v side="$5" 'BEGIN {
		ratio = ours / other
		met = side == "any" || (side == "least" ? ratio >= bound : ratio <= bound)
		said = side == "any" ? "" : (side == "least" ? "at least " : "at most ") bound
		printf "%-66s %10d %10d %8.2f   %s%s\n", what, ours, other, ratio, said, met ? "" : "   NOT MET"
		exit !met
	}' || missed=yes
}

compare_with_pgbench() {
	local what=$1 name=$2 connections=$3 bound=$4 side=${5:-least} host=${6:-127.0.0.1} round
	: >"$work/ours"
	: >"$work/other"
	for ((round = 0; round < rounds; round++)); do
		load "$work/$name.lua" "$connections" / | cut -d' ' -f1 >>"$work/ours"
		pgbench_load "$work/$name.sql" "$connections" "$host" >>"$work/other"
	done
	row "$what, $connections connections, requests/s beside pgbench" "$(median <"$work/ours")" "$(median <"$work/other")" "$bound" "$side"
}

compare_memory() {
	row 'memory of the largest gateway process, kB, beside 40 MiB' "$(gateway_memory)" 40960 1 most
}

compare_roster() {
	local round etag path=/api/tenants/bench-http/roster header="Authorization: Bearer $token"
	redis_port=$(free_port)
	redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >"$work/redis.log" 2>&1 &
	redis_pid=$!
	wait_for_port "$redis_port"
	curl -sf -H "$header" "http://127.0.0.1:$port$path" -o "$work/roster" -D "$work/roster.headers"
	redis-cli -p "$redis_port" -x SET roster <"$work/roster" >/dev/null
	etag=$(sed -n -E 's/^ETag: ("[^"]*").*/\1/ip' "$work/roster.headers")
	for name in roster other match health; do : >"$work/$name.p50"; done
	for ((round = 0; round < rounds; round++)); do
		"$directory/transfer.pl" "$port" $((seconds * 300)) "GET $path HTTP/1.1"$'\r\n'"Host: x"$'\r\n'"$header" >>"$work/roster.p50"
		"$directory/transfer.pl" "$redis_port" $((seconds * 300)) 'GET roster' >>"$work/other.p50"
		load "$work/report.lua" 1 "$path" -H "$header" -H "If-None-Match: $etag" | cut -d' ' -f2 >>"$work/match.p50"
		load "$work/report.lua" 1 /healthz | cut -d' ' -f2 >>"$work/health.p50"
	done
	row "roster of $(wc -c <"$work/roster") bytes, p50 us beside Redis" "$(median <"$work/roster.p50")" "$(median <"$work/other.p50")" 2 most
	row 'roster that the client has (304), p50 us beside /healthz' "$(median <"$work/match.p50")" "$(median <"$work/health.p50")" 2 most
}

# Opens 1,000 connections: half of them never send a byte, the others a byte now and then.
hold_connections() {
	perl -MIO::Socket::INET -e '
		$| = 1;
		my ($port, $count) = @ARGV;
		my @sockets = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) // die "$!\n" } 1 .. $count;
		my @slow = @sockets[0 .. $count / 2 - 1];
		syswrite($_, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ") foreach @slow;
		print "ready\n";
		$SIG{PIPE} = "IGNORE";
		for (my $i = 0; ; $i++) { select(undef, undef, undef, 0.01); syswrite($slow[$i % @slow], "x") }' "$port" 1000 >"$work/held" &
	holders+=($!)
	until grep -q ready "$work/held"; do sleep 0.1; done
}

compare_idle() {
	local round
	: >"$work/alone"
	: >"$work/crowded"
	for ((round = 0; round < 2 * rounds + 1; round++)); do
		load "$work/read.lua" 8 / | cut -d' ' -f3 >>"$work/alone"
		hold_connections
		load "$work/read.lua" 8 / | cut -d' ' -f3 >>"$work/crowded"
		kill "${holders[@]}"
		wait "${holders[@]}" 2>/dev/null || true
		holders=()
		sleep 1
	done
	row 'reads beside 1,000 idle and slow connections, p99 us beside none' "$(median <"$work/crowded")" "$(median <"$work/alone")" 1.5 most
}

port=$(free_port)
set_up
write_scripts
printf '%-66s %10s %10s %8s   %s\n' '' gateway 'beside it' ratio bound
compare_with_pgbench "a user's courses" read 8 1.0
compare_with_pgbench "a user's courses" read 64 1.0
compare_with_pgbench 'the same, to a Unix socket' read 8 0 any "$PGHOST"
compare_memory
compare_with_pgbench 'quiz results' quiz 8 0.6
compare_roster
compare_idle
[ -z "$missed" ]
