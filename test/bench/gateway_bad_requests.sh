#!/bin/bash
# Sends REQUESTS (100000) bad requests to one process of the HTTP gateway and looks at its memory behind the first tenth and behind all of them:
# make bench BENCH=gateway_bad_requests REQUESTS=1000000. Every answer must be one that refuses.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

readonly requests=${REQUESTS:-100000} bound=1024
work=$(mktemp -d)

finish() {
	stop_gateway
	rm -rf "$work"
}
trap finish EXIT

port=$(free_port)
psql -X -q -c "SELECT mt_create_tenant('bench-bad', 'Bench')" >/dev/null
token=$(psql -X -A -t -c "SELECT mt_create_token('bench-bad', 'bench', '{read,quiz}')")
start_gateway "$port" 1
pid=$(psql -X -A -t -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mindtickle gateway'")

cat >"$work/bad.lua" <<END
local good = {Authorization = "Bearer $token", ["Content-Type"] = "application/json"}
local path, quiz, made = "/api/tenants/bench-bad", "/api/tenants/bench-bad/quiz-results", {}
function init()
	for _, b in ipairs({"{", "[]", '{"userId": "u", "userId": "v"}', '{"userId": 1}', string.rep("[", 500), '{"userId": "\\\\u0000"}', "\\255\\254", string.rep("x", 60000)}) do
		table.insert(made, wrk.format("POST", quiz, good, b))
	end
	for _, p in ipairs({path .. "/users/%zz/progress", path .. "/users/%00/progress", path .. "/users/%ff/progress", path .. "/../x", "/nothing", "/api/tenants/other/readiness",
			path .. "/users/" .. string.rep("a", 17000) .. "/progress", path .. "/users/nobody/progress"}) do
		table.insert(made, wrk.format("GET", p, good))
	end
	table.insert(made, wrk.format("TRACE", path .. "/readiness", good))
	table.insert(made, wrk.format("GET", path .. "/readiness", {}))
	table.insert(made, wrk.format("GET", path .. "/readiness", {Authorization = "Bearer mtk_0"}))
	table.insert(made, wrk.format("POST", quiz, {Authorization = "Bearer $token", ["Content-Type"] = "text/plain"}, "{}"))
	table.insert(made, wrk.format("GET", path .. "/readiness", {Authorization = "Bearer $token", ["X-Large"] = string.rep("x", 40000)}))
end
local sent, answered, wanted = 0, 0, tonumber(os.getenv("WANTED"))
function request()
	sent = sent + 1
	return made[sent % #made + 1]
end
function response(status)
	answered = answered + 1
	if status < 400 or status > 499 then print("unexpected status " .. status) end
	if answered == wanted then
		io.open("$work/done", "w"):close()
		wrk.thread:stop()
	end
end
END

# wrk itself knows of a time only, and ends before it when it is interrupted.
send() {
	local wrk_pid
	rm -f "$work/done"
	WANTED=$1 wrk -t1 -c8 -d86400s --timeout 60s -s "$work/bad.lua" "http://127.0.0.1:$port" >"$work/wrk.log" &
	wrk_pid=$!
	until [ -e "$work/done" ]; do
		kill -0 "$wrk_pid" || exit 1
		sleep 0.1
	done
	kill -INT "$wrk_pid"
	wait "$wrk_pid" || true
	if grep -m 3 'unexpected status\|Socket errors' "$work/wrk.log"; then
		exit 1
	fi
}

send $((requests / 10))
before=$(gateway_memory)
send $((requests - requests / 10))
growth=$(($(gateway_memory) - before))
printf '%-50s %8d kB behind %d, %d kB more behind %d, at most %d%s\n' 'memory of the gateway, bad requests' "$before" $((requests / 10)) "$growth" "$requests" "$bound" \
	"$([ "$growth" -lt "$bound" ] || printf '   NOT MET')"
if [ ! -d "/proc/$pid" ]; then
	printf 'the process is another one\n' >&2
	exit 1
fi
[ "$growth" -lt "$bound" ]
