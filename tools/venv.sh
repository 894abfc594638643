#!/usr/bin/env bash
# Prints a Python that has what the project needs, and installs it first if necessary.
#
#   tools/venv.sh [REQUIREMENTS]     default: requirements.txt
#
# PYTHON, if set, is used as it is. Otherwise `python`, if Paddle is installed there and only requirements.txt is asked
# for; otherwise .venv in the repository, which is created and kept up to date with the requirements. BOOTSTRAP_PYTHON
# creates it; by default the first of python3, python3.13, python3.12, python3.11 and python3.10 that is a supported
# version.
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

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

stamp=.venv/installed-$requirements
wanted=$(cat requirements*.txt)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    if [ ! -x .venv/bin/python ]; then
        found=()
        for bootstrap in ${BOOTSTRAP_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
            if supported "$bootstrap"; then break; fi
            found+=("$bootstrap: $("$bootstrap" --version 2>/dev/null || echo "not found")")
            bootstrap=""
        done
        if [ -z "$bootstrap" ]; then
            echo "error: Python 3.10 to 3.13 is needed. Found: $(IFS=";"; echo "${found[*]}" | sed 's/;/; /g')." \
                "Install one of them, or name it: BOOTSTRAP_PYTHON=/path/to/python bash ..." >&2
            exit 1
        fi
        "$bootstrap" -m venv .venv >&2
    fi
    echo "installing $requirements into .venv" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
    echo "$wanted" > "$stamp"
fi
echo "$PWD/.venv/bin/python"
