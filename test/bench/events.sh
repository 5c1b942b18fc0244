#!/bin/bash
# Events: what they cost those who write, beside pg_notify in the transaction; how long a listener waits; that transactions held open stop nothing; and that a
# tenant with very much that waits does not delay another. See events.sql for what is compared with what.
#
#   EVENTS_ROUNDS   rounds of each comparison (5); of what a listener waits, four times as many
#   EVENTS_SECONDS  how long one side runs in a round (5)
#   EVENTS_HOLD     how long transactions are held open, in seconds (60)
#   EVENTS_BACKLOG  events that wait for the tenant that has very many (1000000)

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

rounds=${EVENTS_ROUNDS:-5}
seconds=${EVENTS_SECONDS:-5}
hold=${EVENTS_HOLD:-60}
backlog=${EVENTS_BACKLOG:-1000000}

directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$(mktemp -d)
holder=
finish() {
	[ -z "$holder" ] || kill "$holder" 2>/dev/null || true
	rm -rf "$scripts"
}
trap finish EXIT

sql() {
	PGOPTIONS='-c client_min_messages=warning -c jit=off' psql -X -q -v ON_ERROR_STOP=1 "$@"
}

gcc -O2 -Wall -Wextra -I"$(pg_config --includedir)" "$directory/events_client.c" -L"$(pg_config --libdir)" -lpq -o "$scripts/client"
document="jsonb_build_object('tenantId', 'bench-a', 'userId', 'user-' || :n, 'courseId', 'course-1', 'quizId', 'quiz-1', 'score', 87.5, 'at', (extract(epoch FROM clock_timestamp()) * 1e6)::int8)"
write_script() {
	printf '\\set n random(1, 1000000)\nBEGIN;\nINSERT INTO bench.row (n) VALUES (:n);\nSELECT %s;\nCOMMIT;\n' "$2" >"$scripts/$1"
}
write_script events "mindtickle.emit_event('bench-a', 'quiz.completed', $document)"
write_script other "mindtickle.emit_event('bench-b', 'quiz.completed', $document)"
write_script pg_notify "pg_notify('tenant.bench-a.quiz.completed', ($document)::text)"
write_script neither "($document)::text"

# Runs writers: $1 is the side, $2 the clients, $3 the seconds; further arguments go to pgbench. Prints transactions per second.
write() {
	local side=$1 clients=$2 time=$3
	shift 3
	PGOPTIONS='-c synchronous_commit=on' pgbench -n -M prepared -c "$clients" -j $((clients > 1 ? 2 : 1)) -T "$time" -f "$scripts/$side" "$@" >"$scripts/pgbench.$side.log" 2>&1 ||
		{ cat "$scripts/pgbench.$side.log" >&2; return 1; }
	sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$scripts/pgbench.$side.log"
}

# Waits until everything is published.
settle() {
	until [ "$(sql -At -c 'SELECT count(*) FROM mindtickle.tenants_to_publish()')" = 0 ]; do sleep 0.2; done
}

# Before a side: the disk has done with what was written before, and the log has files to use again, as on a server that has run for a while. Not the disk
# is compared, nor who has to make the next file.
rest() {
	settle
	sql -c CHECKPOINT
}

take_heard() {
	sql -c 'TRUNCATE bench.heard' -c '\copy bench.heard FROM '"$scripts/heard" -c 'REFRESH MATERIALIZED VIEW bench.heard_seq' -c 'ANALYZE bench.heard_seq' -c "CALL bench.take_heard('$1', '$2', $3, '$4')"
}

sql -f "$directory/common.sql" -f "$directory/events.sql"

# What writers pay, while somebody listens.
for ((round = 0; round <= rounds; round++)); do
	sides=(events pg_notify neither)
	[ $((round % 2)) -eq 0 ] || sides=(neither pg_notify events)
	for side in "${sides[@]}"; do
		rest
		"$scripts/client" listen tenant.bench-a.quiz.completed $((seconds + 1)) >/dev/null &
		rate=$(write "$side" 8 "$seconds")
		sql -c "INSERT INTO bench.rate VALUES ('8 writers', '$side', $round, $rate)"
		wait $!
	done
done

# What a listener waits, at half of what eight writers of events reach. In four times as many rounds as elsewhere: how fast the machine is changes from one
# minute to the next, and decides what one in a hundred waits.
half=$(sql -At -c "SELECT greatest(round(percentile_cont(0.5) WITHIN GROUP (ORDER BY per_second) / 2), 10) FROM bench.rate WHERE measured = '8 writers' AND side = 'events' AND round > 0")
for ((round = 0; round <= 4 * rounds; round++)); do
	sides=(events pg_notify)
	[ $((round % 2)) -eq 0 ] || sides=(pg_notify events)
	for side in "${sides[@]}"; do
		rest
		"$scripts/client" listen tenant.bench-a.quiz.completed $((seconds + 2)) >"$scripts/heard" &
		listener=$!
		sleep 0.5
		write "$side" 8 "$seconds" -R "$half" >/dev/null
		wait "$listener"
		settle
		take_heard "8 writers at $half/s" "$side" "$round" bench-a
	done
done

# While transactions are held open: 500 events a second, consumed by polling. $1 names what is measured, $2 is how long.
deliver() {
	"$scripts/client" consume bench-a bench tenant.bench-a.quiz.completed $(($2 + 1)) >"$scripts/delivered" &
	local consumer=$!
	write events 4 "$2" -R 500 >/dev/null
	wait "$consumer"
	sed "s|^|$1\t|" "$scripts/delivered" | sql -c 'COPY bench.delivery FROM STDIN'
}
# Has a session do the statements $1, which begin a transaction, in the database $2, and returns when they are done;
# end_transaction ends it with the statement $1.
begin_transaction() {
	coproc HOLDER { exec psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$2"; }
	holder=$HOLDER_PID
	# shellcheck disable=SC2154
	printf '%s\nSELECT %s;\n' "$1" "'held'" >&"${HOLDER[1]}"
	local line=
	until [ "$line" = held ]; do read -r line <&"${HOLDER[0]}"; done
}
end_transaction() {
	printf '%s;\n\\q\n' "$1" >&"${HOLDER[1]}"
	wait "$holder"
	holder=
}
# $1 names what is held, the rest as begin_transaction has it.
hold_and_deliver() {
	begin_transaction "$2" "$3"
	deliver "with a $1" "$hold"
	end_transaction ROLLBACK
	settle
}
sql -c "SELECT count(*) FROM mt_poll_events('bench-a', 'bench', 1)" -c "SELECT mt_ack_events('bench-a', 'bench', max(seq)) FROM mt_events WHERE tenant_id = 'bench-a'" >/dev/null
deliver 'with nothing held' $((hold < 60 ? hold : 60))
settle
hold_and_deliver snapshot "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM mindtickle.tenant;" "$PGDATABASE"
createdb bench_other
hold_and_deliver 'write transaction in another database' 'BEGIN; CREATE TABLE held (); ' bench_other

# One tenant with very much that waits, and another one at a hundred events a second: while all that goes to the overflow, and while it comes back.
# For four times as long as elsewhere: of a hundred a second, one in a hundred is few. As much is written before either side, and the disk has done
# with it when it begins.
backlog_document="jsonb_build_object('tenantId', 'bench-a', 'n', n) FROM generate_series(1, $backlog) AS n"
of_backlog() {
	sql -At -c "SELECT $1 FROM mt_stat_queue WHERE tenant_id = 'bench-a'"
}
for ((round = 0; round <= rounds; round++)); do
	for side in alone 'beside a backlog' 'beside one that comes back'; do
		if [ "$side" = alone ]; then
			begin_transaction "BEGIN; TRUNCATE bench.backlog; INSERT INTO bench.backlog SELECT 'bench-a', 'readiness.aggregated', $backlog_document;" "$PGDATABASE"
		else
			begin_transaction "BEGIN; SELECT count(mindtickle.emit_event('bench-a', 'readiness.aggregated', d)) FROM (SELECT $backlog_document) AS o (d) \\g /dev/null" "$PGDATABASE"
		fi
		sql -c CHECKPOINT
		end_transaction COMMIT
		waiting=$backlog
		while [ "$side" = 'beside one that comes back' ] && [ "$waiting" -gt 0 ]; do waiting=$(of_backlog waiting); done
		"$scripts/client" listen tenant.bench-b.quiz.completed $((4 * seconds + 2)) >"$scripts/heard" &
		listener=$!
		sleep 0.5
		write other 1 $((4 * seconds)) -R 100 >/dev/null
		wait "$listener"
		if [ "$side" != alone ] && [ "$(of_backlog 'waiting + overflow')" = 0 ]; then
			echo "the backlog was gone before the end of the round: EVENTS_BACKLOG must be larger, or EVENTS_SECONDS smaller" >&2
			exit 1
		fi
		settle
		take_heard 'another tenant at 100/s' "$side" "$round" bench-b
	done
done

output=$(sql -f "$directory/events_report.sql")
printf '%s\n' "$output"
! grep -q 'NOT MET' <<<"$output"
