# shellcheck shell=bash
# What the scripts of this folder share: messages, rights, building and installing, and private clusters.
# Sourced by install-packages, run-tests, demo, demo-stop, bench and fuzz; does nothing by itself.
#
# A private cluster lives in one directory made by mktemp, with mode 700 and without TCP: whoever may enter the directory
# may connect. PostgreSQL refuses to run as root, so root runs it as the system user "postgres", to whom the directory then
# belongs; anybody else runs it as himself. Every process started for such a directory carries MINDTICKLE_WORK=<directory>
# in its environment, which is how end_processes finds it again, and no other.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly top

# A caller's connection settings and make's own must not steer what runs here.
unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGOPTIONS PGDATA PSQLRC
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
export LC_ALL=C.UTF-8

# The Makefile asks the same program, so both build for the same server.
PG_CONFIG=${PG_CONFIG:-pg_config}

say() {
	printf '%s\n' "$*"
}

# A heading before a step that takes a while.
step() {
	printf '\n== %s\n' "$*"
}

fail() {
	printf '%s: error: %s\n' "$(basename "$0")" "$1" >&2
	shift
	local line
	for line in "$@"; do
		printf '%s\n' "$line" >&2
	done
	exit 1
}

# Runs a command with root's rights.
as_root() {
	if [ "$EUID" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Fails with a clear message where as_root would not work. $1 tells what needs it.
require_root() {
	if [ "$EUID" -eq 0 ]; then
		return
	fi
	command -v sudo >/dev/null || fail "$1 needs root, and there is no sudo" "Run this as root, or install sudo."
	sudo true || fail "$1 needs root, and sudo does not let $(id -un)" "Run this as root, or as a user with sudo."
}

# Runs a command and keeps its output for the case that it fails. $1 is the log file.
run_logged() {
	local log=$1
	shift
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 60 "$log" >&2
		fail "failed: ${*/#run_make/make}" "the lines above are the end of its output"
	fi
}

# True where extensions can be built for the server that PG_CONFIG names.
can_build_extensions() {
	local pgxs
	pgxs=$("$PG_CONFIG" --pgxs 2>/dev/null) && [ -f "$pgxs" ]
}

# The server's major version: of the one PG_CONFIG names, else the one that would be installed.
postgres_major() {
	local version
	if can_build_extensions && version=$("$PG_CONFIG" --version); then
		version=${version#PostgreSQL }
		say "${version%%[!0-9]*}"
	else
		say "${PG_MAJOR:-15}"
	fi
}

run_make() {
	make --no-print-directory -C "$top" -j "$(nproc)" "PG_CONFIG=$PG_CONFIG" "$@"
}

# Builds both libraries and the sandbox in the tree. $1 is the log file; further arguments go to make.
build_project() {
	local log=$1
	shift
	run_logged "$log" run_make "$@" all
	run_logged "$log" run_make -C test/sandbox "$@" all
}

# Installs both libraries and the install script into the server's directories. $1 is the log file.
install_project() {
	local log=$1 library_directory
	library_directory=$("$PG_CONFIG" --pkglibdir)
	if [ -w "$library_directory" ]; then
		run_logged "$log" run_make -j1 install
	else
		require_root "installing into $library_directory"
		run_logged "$log" as_root make --no-print-directory -C "$top" "PG_CONFIG=$PG_CONFIG" install
	fi
}

# The user who runs servers, tests of servers and the sandbox.
server_user() {
	if [ "$EUID" -eq 0 ]; then say postgres; else id -un; fi
}

# Makes a directory for the server user and sets the variable "work" to it. $1 is a word for its name.
make_work_directory() {
	local parent=${TMPDIR:-/tmp}
	# A socket's path must stay below 108 bytes, and TAP tests make sockets two levels further down.
	if [ "${#parent}" -gt 40 ]; then
		parent=/tmp
	fi
	if [ "$EUID" -eq 0 ] && ! id postgres >/dev/null 2>&1; then
		fail "there is no user \"postgres\" to run a server as (PostgreSQL does not run as root)"
	fi
	work=$(mktemp -d "$parent/mindtickle-$1.XXXXXX")
	if [ "$EUID" -eq 0 ]; then
		chown postgres: "$work"
	fi
}

# Runs a command as the server user, inside the work directory and marked as belonging to it.
as_server_user() {
	local run=(env "MINDTICKLE_WORK=$work" "HOME=$work" "TMPDIR=$work")
	if [ "$EUID" -eq 0 ]; then
		run=(setpriv --reuid=postgres --regid=postgres --init-groups "${run[@]}" USER=postgres LOGNAME=postgres)
	fi
	(cd "$work" && exec "${run[@]}" "$@")
}

# Copies what the server user needs of the tree: a clone may lie where he cannot read.
copy_for_server_user() {
	local target=$work/tree
	as_server_user mkdir -p "$target"
	tar -C "$top" -cf - "$@" | as_server_user tar -C "$target" -xf -
}

# Runs TAP files as the server user from a copy of the tree. $1 is the longest time in seconds; further arguments go to tap-files. Afterwards
# $work/tap has "count" and the logs, in tmp_check/log.
run_tap_files() {
	local seconds=$1 directory=$work/tap pgxs_directory jobs
	shift
	copy_for_server_user --exclude='*.o' README.md src worker/gateway_route.c test/tap test/setup test/sandbox test/sql/include
	as_server_user mkdir -p "$directory/tmp_check/log"
	pgxs_directory=$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")
	# Most files wait most of the time.
	jobs=$(nproc)
	if [ "$jobs" -gt 4 ]; then
		jobs=4
	fi
	as_server_user timeout --foreground "$seconds" env -C "$work/tree" \
		"PATH=$("$PG_CONFIG" --bindir):$PATH" \
		"TESTDIR=$directory" "TESTDATADIR=$directory/tmp_check" "TESTLOGDIR=$directory/tmp_check/log" \
		"PG_REGRESS=$pgxs_directory/test/regress/pg_regress" PGPORT=65432 \
		perl test/setup/tap-files --lib "$pgxs_directory/test/perl" --lib test/tap/lib \
		--logs "$directory/tmp_check/log" --count "$directory/count" --jobs "$jobs" "$@" </dev/null
}

# A TCP port of the loopback address on which nobody listens.
free_port() {
	local port attempt
	for ((attempt = 0; attempt < 200; attempt++)); do
		port=$((20000 + RANDOM % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			say "$port"
			return
		fi
	done
	fail "found no free TCP port between 20000 and 32000"
}

# Makes a cluster in the subdirectory $1 of the work directory and starts it; sets the variable "cluster_port".
# Lines of configuration come from standard input. Connect with host $work/$1, that port and user postgres.
start_cluster() {
	local directory=$work/$1 bin
	bin=$("$PG_CONFIG" --bindir)
	cluster_port=$(free_port)
	as_server_user mkdir -m 700 "$directory"
	as_server_user "$bin/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
		>"$directory/initdb.log" 2>&1 </dev/null || { cat "$directory/initdb.log" >&2; fail "initdb failed"; }
	{
		printf "listen_addresses = ''\n"
		printf 'port = %s\n' "$cluster_port"
		printf "unix_socket_directories = '%s'\n" "$directory"
		printf "unix_socket_permissions = 0700\n"
		printf "log_line_prefix = '%%m [%%p] %%b %%q%%u@%%d '\n"
		cat
	} | as_server_user tee -a "$directory/data/postgresql.conf" >/dev/null
	if ! as_server_user "$bin/pg_ctl" -D "$directory/data" -l "$directory/server.log" -w -t 60 start \
		>"$directory/start.log" 2>&1 </dev/null; then
		tail -n 30 "$directory/server.log" >&2
		fail "the server in $directory did not start; the lines above are the end of its log"
	fi
}

# Ends every process that was started for the work directory, except servers, which stop_clusters shuts down properly.
# $1 is the signal. The server user looks for them, because in a container root may not read their environment.
end_processes() {
	local file pid
	while IFS= read -r file; do
		pid=${file//[!0-9]/}
		if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != postgres ]; then
			kill -s "$1" "$pid" 2>/dev/null || true
		fi
	done < <(as_server_user env -u MINDTICKLE_WORK grep -lszxF "MINDTICKLE_WORK=$work" /proc/[0-9]*/environ)
}

# Stops every server whose data directory lies in the work directory. $1 is pg_ctl's mode.
stop_clusters() {
	local bin pid_file
	bin=$("$PG_CONFIG" --bindir)
	while IFS= read -r -d '' pid_file; do
		as_server_user "$bin/pg_ctl" -D "$(dirname "$pid_file")" -m "$1" -w -t 60 stop >/dev/null 2>&1 ||
			as_server_user "$bin/pg_ctl" -D "$(dirname "$pid_file")" -m immediate -w stop >/dev/null 2>&1 || true
	done < <(find "$work" -name postmaster.pid -print0 2>/dev/null)
}

# Stops everything that was started in the work directory and removes it. $1 is pg_ctl's mode.
remove_work_directory() {
	if [ -n "${work:-}" ] && [ -d "$work" ]; then
		end_processes TERM
		stop_clusters "$1"
		end_processes KILL
		rm -rf "$work"
	fi
}
