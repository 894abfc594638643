#!/usr/bin/env bash
# Sets up what the tests need, lints, and runs the quick suite; --all adds the slow tests. Further arguments go to pytest.
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
"$python" -m pytest "${select[@]}" "$@"
