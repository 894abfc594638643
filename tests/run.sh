#!/usr/bin/env bash
# Install the test requirements, lint, and run the quick tests on up to four cores.
#
#     bash tests/run.sh [--all] [PYTEST_ARGUMENT ...]
#
# --all adds the slow tests. Further arguments are passed to pytest; -n 0 --dist no runs the tests sequentially.
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
