#!/bin/bash
# What isolation costs: row security on a point select, a context with a token, and whether a refusal tells anything by its time. Writes the
# scripts with which pgbench sends selects, and leaves the rest to isolation.sql.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

BENCH_SCRIPTS=$(mktemp -d)
export BENCH_SCRIPTS
trap 'rm -rf "$BENCH_SCRIPTS"' EXIT

# A pgbench script that sends one select each time, a hundred with row security and a hundred without in turns, and stores the CPU time that the
# backend took for each hundred. $1 is the name of what is measured, $2 the condition on the tenant under row security.
write_script() {
	cat <<-END
		\\set n :n + 1
		\\set block :n / 100
		\\if :n = 1
		SET ROLE bench_reader;
		SELECT bench.cpu_microseconds() AS us \\gset begin_
		\\elif :n % 100 = 0
		SELECT bench.cpu_microseconds() AS us \\gset end_
		SELECT bench.store('$1', :ours, :block - 1, :end_us::float8 - :begin_us::float8);
		SELECT bench.cpu_microseconds() AS us \\gset begin_
		\\endif
		\\set ours case when :block % 4 = 0 or :block % 4 = 3 then 1 else 0 end
		\\if :ours
		SELECT p.status FROM mindtickle.course_progress AS p WHERE $2 p.user_id = :person AND p.course_id = 'course-000250';
		\\else
		SELECT p.status FROM bench.course_progress AS p WHERE p.tenant_id = 'bench' AND p.user_id = :person AND p.course_id = 'course-000250';
		\\endif
	END
}

write_script 'select, tenant_id left to the policy' '' >"$BENCH_SCRIPTS/left"
write_script 'select, tenant_id in WHERE' "p.tenant_id = 'bench' AND" >"$BENCH_SCRIPTS/pinned"
run_benchmark isolation.sql
