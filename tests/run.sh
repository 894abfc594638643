#!/usr/bin/env bash
# Sets up what the tests need, lints, and runs the quick suite, on all cores up to four; --all adds the slow tests. Further
# arguments go to pytest (-n 0 --dist no: one test after the other).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

select=(-m "not slow")
if [ "${1:-}" = --all ]; then
    select=()
    shift
fi
python=$(bash tools/venv.sh requirements-dev.txt)
"$python" -m ruff format --check .
"$python" -m ruff check .
"$python" -m pytest -n auto --maxprocesses 4 --dist loadfile "${select[@]}" "$@"
