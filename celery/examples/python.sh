#!/usr/bin/env bash
# Makes an environment of Python with Celery and its monitor Flower in a folder, and prints the folder of its programs.
#
#   python.sh FOLDER
set -euo pipefail

fail() {
    echo "$*" >&2
    exit 1
}

packages=(celery==5.7.0 flower==2.2.0)

[ $# = 1 ] || fail "say: python.sh FOLDER"
mkdir -p "$1"
folder=$(cd "$1" && pwd)
# The environment is made again if the versions change.
complete="$folder/complete ${packages[*]}"
if [ ! -e "$complete" ]; then
    command -v python3 >/dev/null || fail "Python is missing: install the package python3"
    { python3 -m venv "$folder" && "$folder/bin/pip" install --quiet "${packages[@]}"; } >&2 ||
        fail "Celery is missing, and pip cannot install ${packages[*]} (is the package python3-venv installed?)"
    touch "$complete"
fi
echo "$folder/bin"
