#!/bin/bash
# mt_score_quiz over stored answers, against the same score in SQL. See quiz_scoring.sql.

# shellcheck source-path=SCRIPTDIR source=common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

run_benchmark quiz_scoring.sql
