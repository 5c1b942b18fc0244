#!/bin/bash
# mt_upsert_progress, against a bare INSERT ... ON CONFLICT DO UPDATE. See progress_upsert.sql.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

run_benchmark progress_upsert.sql
