#!/usr/bin/env bash
# An environment of Python with Celery, in the folder given. Prints where its programs are.
#
#   python.sh FOLDER
set -euo pipefail

fail() {
    echo "$*" >&2
    exit 1
}

[ $# = 1 ] || fail "say: python.sh FOLDER"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
if [ ! -e "$folder/complete" ]; then
    command -v python3 >/dev/null || fail "Python is missing: install the package python3"
    { python3 -m venv "$folder" && "$folder/bin/pip" install --quiet celery==5.7.0; } >&2 ||
        fail "Celery is missing, and pip cannot install celery==5.7.0 (is the package python3-venv installed?)"
    touch "$folder/complete"
fi
echo "$folder/bin"
