#!/usr/bin/env bash
# Counts what a task costs, and fails if a figure is more than a tenth above the one in kept.txt.
#
#     benches/counts/run.sh             compares
#     benches/counts/run.sh --renew     writes kept.txt anew, for a growth that is intended or a gain that is to be held
#     benches/counts/run.sh --spread    measures ten times, and prints by how much each figure varies
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in valgrind strace objdump; do
    if ! command -v "$tool" >/dev/null; then
        echo "this counts with $tool, which is not installed: apt-get install valgrind strace binutils" >&2
        exit 1
    fi
done
# valgrind before 3.21 has no `pidfd_open`, without which there is no pool of processes on Linux. So this program watches
# its worker processes the way of other Unix systems, which differs in what starting and ending one takes, not a task.
export RUSTFLAGS="--cfg portable" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/counts
cargo build --quiet --release -p counts
exec "$CARGO_TARGET_DIR/release/counts" "$@"
