#!/usr/bin/env bash
# Prints a Python that has what the project needs, installing it first where it must.
#
#   tools/venv.sh [REQUIREMENTS]     default: requirements.txt
#
# PYTHON, if set, is taken as it is. Else `python`, if Paddle is installed there and nothing more is asked for; else .venv
# in the repository, made by BOOTSTRAP_PYTHON (default python3), and brought up to date when the requirements change.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
requirements=${1:-requirements.txt}

if [ -n "${PYTHON:-}" ]; then
    echo "$PYTHON"
    exit
fi
if [ "$requirements" = requirements.txt ] \
    && python -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("paddle"))' 2>/dev/null; then
    command -v python
    exit
fi
bootstrap=${BOOTSTRAP_PYTHON:-python3}
if ! "$bootstrap" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))'; then
    echo "error: $("$bootstrap" --version) found, Python 3.10 to 3.12 needed; name one by BOOTSTRAP_PYTHON" >&2
    exit 1
fi
stamp=.venv/installed-$requirements
wanted=$(cat requirements*.txt)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "installing $requirements into .venv" >&2
    [ -x .venv/bin/python ] || "$bootstrap" -m venv .venv >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
    echo "$wanted" > "$stamp"
fi
echo "$PWD/.venv/bin/python"
