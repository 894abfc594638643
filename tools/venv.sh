#!/usr/bin/env bash
# Print the path of a Python with the project's requirements; install them if necessary.
#
# Usage: tools/venv.sh [REQUIREMENTS]     (default: requirements.txt)
#
# The first match is printed:
#   1. PYTHON, if set; it is not checked.
#   2. python, if Paddle is installed there and REQUIREMENTS is requirements.txt.
#   3. .venv in the repository, which is created and updated to the requirements.
# BOOTSTRAP_PYTHON creates .venv. Its default is the first supported version among python3, python3.13, python3.12,
# python3.11 and python3.10.
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

show_progress() {  # reads the output of pip
    while read -r line; do
        case "$line" in
            Downloading*.metadata*) ;;
            Downloading* | "Using cached"*) echo "  $line" >&2 ;;
            "Installing collected packages"*) echo "  Unpacking the packages" >&2 ;;
        esac
    done
}

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
            echo "error: Python 3.10 to 3.13 not found. Found: $(IFS=";"; echo "${found[*]}" | sed 's/;/; /g')." \
                "Install one of them, or pass its path: BOOTSTRAP_PYTHON=/path/to/python bash ..." >&2
            exit 1
        fi
        "$bootstrap" -m venv .venv >&2
    fi
    echo "Installing $requirements into .venv" >&2
    .venv/bin/python -m pip install --disable-pip-version-check -r "$requirements" | show_progress
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps -r requirements-operators.txt \
        | show_progress
    echo "$wanted" > "$stamp"
fi
echo "$PWD/.venv/bin/python"
