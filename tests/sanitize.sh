#!/usr/bin/env bash
# The tests under AddressSanitizer, which also looks for objects that nobody can reach any more, here and in worker processes:
# `tests/sanitize.sh`, or `tests/sanitize.sh conformance` for some of them. Needs a nightly toolchain, and minutes to compile.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=("${@:-conformance soak}")
reports=$(mktemp -d)
export RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitize
# What does not fit into memory is an error, and a crash on purpose stays what it is. Every process writes a file of its own. Locals lie on
# the stack, which the crate measures by them.
export ASAN_OPTIONS=allocator_may_return_null=1:handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:detect_stack_use_after_return=0:log_path=$reports/report

failed=0
for target in ${targets[*]}; do
    cargo +nightly test --quiet --target x86_64-unknown-linux-gnu --test "$target" || failed=1
done
if [ -n "$(ls "$reports")" ]; then
    cat "$reports"/*
    failed=1
fi
rm -r "$reports"
exit $failed
