#!/bin/bash
# The WAL of progress that changes nothing. See progress_wal.sql.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

run_benchmark progress_wal.sql
