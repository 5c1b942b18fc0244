#!/bin/bash
# Readiness: how long mt_readiness takes beside SELECT 1 and beside plain SQL, and what keeping it costs those who write. See readiness.sql for what is
# compared with what.
#
#   READINESS_SIZES    rows of each kind of the measured tenants ("10000 100000 1000000"; with BENCH_LARGE=1 also 10000000, which takes 8 GB and half an hour)
#   READINESS_ROUNDS   rounds of each comparison (3); of what writers pay, where the disk makes more of a difference than what is compared, twice as many and one
#   READINESS_SECONDS  how long one side runs in a round (3)
#   READINESS_HOLD     how long transactions are held open while others write, in seconds (75)

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

read -r -a sizes <<<"${READINESS_SIZES:-10000 100000 1000000${BENCH_LARGE:+ 10000000}}"
rounds=${READINESS_ROUNDS:-3}
seconds=${READINESS_SECONDS:-3}
hold=${READINESS_HOLD:-75}

directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$(mktemp -d)
writers=
holder=
finish() {
	[ -z "$writers" ] || kill "$writers" 2>/dev/null || true
	[ -z "$holder" ] || kill "$holder" 2>/dev/null || true
	rm -rf "$scripts"
}
trap finish EXIT

sql() {
	PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# What pgbench sends. $1 is the tenant.
write_scripts() {
	echo "SELECT 1;" >"$scripts/select_1"
	echo "SELECT * FROM mt_readiness('$1');" >"$scripts/ours"
	cat >"$scripts/plain" <<-END
		SELECT (SELECT round(avg(s.score), 4) FROM mindtickle.quiz_submission AS s WHERE s.tenant_id = '$1'),
			(SELECT round(avg((p.status = 'completed')::int4), 4) FROM mindtickle.course_progress AS p WHERE p.tenant_id = '$1');
	END
	local table
	for table in mindtickle bench; do
		cat >"$scripts/single_$table" <<-END
			\\set person random(1, 1000)
			INSERT INTO $table.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
				VALUES ('$1', 'user-' || :person, 'course-1', 'client-' || :client_id, clock_timestamp(), :person / 10.0, 'sql');
		END
		cat >"$scripts/batch_$table" <<-END
			\\set person random(1, 1000)
			INSERT INTO $table.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source)
				SELECT '$1', 'user-' || (:person + i) % 1000, 'course-1', 'client-' || :client_id, clock_timestamp(), :person / 10.0, 'sql' FROM generate_series(1, 500) AS i;
		END
	done
}

# Waits until the aggregator has had nothing to do for three seconds, so that what one side has left does not burden the other.
settle() {
	sql -f "$directory/readiness_settle.sql"
}

# Reads for a round on one connection of a reader: SELECT 1 and ours in random order, and then plain SQL three times, so that where it takes seconds
# it does not take the time of the others. $1 names what is measured, $2 the tenant, $3 the round, $4 is plain where plain SQL is measured too.
read_round() {
	read_with "$1" "$2" "$3" 0 -T "$seconds" -f "$scripts/select_1" -f "$scripts/ours"
	[ "${4-}" != plain ] || read_with "$1" "$2" "$3" 2 -t 3 -f "$scripts/plain"
}

# Runs pgbench with what follows and stores its latencies. $4 is the number of the first statement.
read_with() {
	local measured=$1 tenant=$2 round=$3 first=$4
	shift 4
	rm -f "$scripts"/log.*
	(cd "$scripts" && PGOPTIONS="-c mindtickle.tenant=$tenant -c jit=off" pgbench -n -M prepared -U bench_reader --log --log-prefix=log "$@" >pgbench.log 2>&1) ||
		{ cat "$scripts/pgbench.log" >&2; return 1; }
	awk -v OFS='\t' -v m="$measured" -v r="$round" -v f="$first" '{ print m, r, f + $4, $3 }' "$scripts"/log.* |
		sql -c 'COPY bench.latency (measured, round, script, microseconds) FROM STDIN'
}

start_writers() {
	pgbench -n -M prepared -c 8 -j 2 -T 36000 -f "$scripts/single_mindtickle" >"$scripts/writers.log" 2>&1 &
	writers=$!
}

stop_writers() {
	kill -0 "$writers" 2>/dev/null || { cat "$scripts/writers.log" >&2; return 1; }
	kill "$writers"
	wait "$writers" 2>/dev/null || true
	writers=
}

# One side of a comparison of rates. $1 names what is measured, $2 is single or batch, $3 the schema, $4 the round, $5 the number of clients, $6 synchronous_commit.
write_round() {
	local rate
	PGOPTIONS="-c synchronous_commit=$6" pgbench -n -M prepared -c "$5" -j $(($5 > 1 ? 2 : 1)) -T "$seconds" -f "$scripts/$2_$3" >"$scripts/pgbench.log" 2>&1 ||
		{ cat "$scripts/pgbench.log" >&2; return 1; }
	rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$scripts/pgbench.log")
	sql -c "INSERT INTO bench.rate VALUES ('$1', '$3', $4, $rate)"
}

storage() {
	sql -c "INSERT INTO bench.storage SELECT '$1', * FROM bench.storage_now()"
}

sql -f "$directory/common.sql" -f "$directory/readiness.sql"

# Every size, with all of them in the same tables, and twenty tenants more.
for size in "${sizes[@]}"; do
	sql -c "CALL bench.fill('bench-$size', $size)"
done
for i in {1..20}; do
	sql -c "CALL bench.fill('bench-other-$i', 5000)"
done
# What loading has left to be written would go on for minutes beside what is measured.
sql -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
settle
for size in "${sizes[@]}"; do
	write_scripts "bench-$size"
	for ((round = 0; round <= rounds; round++)); do
		read_round "idle, $size rows" "bench-$size" "$round" plain
	done
done
storage 'after loading'

# Under eight writers of the same tenant.
for size in "${sizes[@]}"; do
	write_scripts "bench-$size"
	start_writers
	for ((round = 0; round <= rounds; round++)); do
		read_round "8 writers, $size rows" "bench-$size" "$round" plain
	done
	stop_writers
	settle
done
storage 'after 8 writers of each'

# What writers pay, where both tables have the same rows.
sql -c 'INSERT INTO bench.quiz_submission TABLE mindtickle.quiz_submission' -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
write_scripts bench-other-1
for kind in single batch; do
	for commit in on off; do
		for clients in 1 8; do
			for ((round = 0; round <= 2 * rounds + 1; round++)); do
				sides=(mindtickle bench)
				[ $((round % 2)) -eq 0 ] || sides=(bench mindtickle)
				for side in "${sides[@]}"; do
					write_round "$kind, synchronous_commit $commit, $clients" "$kind" "$side" "$round" "$clients" "$commit"
					settle
				done
			done
		done
	done
done
storage 'after the write rates'

# While a transaction is held open, on the largest tenant but for the one of 10 million.
size=${sizes[0]}
for candidate in "${sizes[@]}"; do
	[ "$candidate" -gt 1000000 ] || size=$candidate
done
write_scripts "bench-$size"
# $1 names what is held, $2 is what the transaction begins with.
hold_and_read() {
	coproc HOLDER { exec psql -X -q -A -t; }
	holder=$HOLDER_PID
	# shellcheck disable=SC2154
	printf '%s\nSELECT %s;\n' "$2" "'held'" >&"${HOLDER[1]}"
	local line=
	until [ "$line" = held ]; do read -r line <&"${HOLDER[0]}"; done
	start_writers
	sleep "$hold"
	for ((round = 0; round <= rounds; round++)); do
		read_round "$1 held $hold s, 8 writers, $size rows" "bench-$size" "$round"
	done
	stop_writers
	settle
	for ((round = 0; round <= rounds; round++)); do
		read_round "$1 held $hold s, then idle, $size rows" "bench-$size" "$round"
	done
	storage "while a $1 is held"
	printf 'ROLLBACK;\n\\q\n' >&"${HOLDER[1]}"
	wait "$holder" || true
	holder=
	settle
	storage "once the $1 has ended"
}
hold_and_read snapshot "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM mt_readiness('bench-$size');"
hold_and_read 'write transaction' "BEGIN; INSERT INTO mindtickle.quiz_submission (tenant_id, user_id, course_id, quiz_id, submitted_at, score, source) VALUES ('bench-$size', 'user-1', 'course-1', 'held', now(), 50, 'sql');"

output=$(sql -f "$directory/readiness_report.sql")
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
