#!/bin/bash
# What row security, the context and a readiness report cost. See call_overhead.sql.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

run_benchmark call_overhead.sql
