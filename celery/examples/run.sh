#!/usr/bin/env bash
# Runs the example `cluster` on a cluster of one machine: a private broker, two workers in Rust and, if Python is installed,
# one in Python. It ends everything that it has started. Its files are in target/celery.
set -euo pipefail
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-$(cd ../.. && pwd)/target}
folder=$target/celery
mkdir -p "$folder"
pids=()

# Waits until the log of a process has a text. Fails if the process ends before.
wait_for() {
    local pid=$1 text=$2 log=$3 line reader
    exec 5< <(exec tail -n +1 -f --pid="$pid" "$log" 2>/dev/null)
    reader=$!
    while read -r line <&5; do
        if [[ $line == *"$text"* ]]; then
            kill "$reader"
            return
        fi
    done
    cat "$log" >&2
    return 1
}

finish() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    ./broker.sh stop "$folder/broker"
}
trap finish EXIT

echo "== the program"
cargo build --quiet --package concurrent-futures-celery --example cluster
program=$target/debug/examples/cluster

echo "== a broker"
CELERY_BROKER_URL=$(./broker.sh start "$folder/broker")
export CELERY_BROKER_URL

echo "== workers"
for number in 1 2; do
    "$program" worker 2>"$folder/rust-$number.log" &
    pids+=($!)
done
if bin=$(./python.sh "$folder/python"); then
    : >"$folder/python.log"
    (cd python && exec env C_FORCE_ROOT=1 "$bin/celery" -A tasks worker -Q python -c 2 -n python@%h -l info) \
        >"$folder/python.log" 2>&1 &
    pids+=($!)
    wait_for "${pids[-1]}" "ready." "$folder/python.log"
fi

echo "== the example"
"$program"
