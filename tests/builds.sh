#!/usr/bin/env bash
# Builds a small program (tests/builds) in many ways, runs it, and says in a table which worked.
#
#     tests/builds.sh          all of them
#     tests/builds.sh quick    those that are cheap, for CI: what a debug build can tell (debug, without `auto-entry`,
#                              without `process`, tests, doctest, example, mistakes, executors of somebody else), one release
#                              build, the shared library, and whether functions with names are found in a release build
set -uo pipefail
cd "$(dirname "$0")/builds"
target=${BUILDS_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$target CARGO_TERM_COLOR=never RUST_BACKTRACE=0
# The C library can be linked in only where the programs that run during the build are told apart from the result.
host=$(rustc -vV | sed -n 's/^host: //p')
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

row() {
    printf '%-44s %-7s %4ss\n' "$1" "$2" "$3"
}

# build NAME COMMAND ..: a row of the table, and on failure what was said.
build() {
    local name=$1 start=$SECONDS
    shift
    if timeout 600 bash -c '"$@"' bash "$@" >"$log" 2>&1; then
        row "$name" ok $((SECONDS - start))
    else
        row "$name" FAILED $((SECONDS - start))
        tail -30 "$log" | sed 's/^/    /'
        failed=1
    fi
}

absent() {
    row "$1" absent 0
}

program() {
    cargo run --quiet --bin builds "$@"
}

# flags DIRECTORY FLAGS [ARGUMENT ..]: with compiler flags, which need a directory of their own.
flags() {
    local directory=$1 flags=$2
    shift 2
    RUSTFLAGS=$flags CARGO_TARGET_DIR=$target/$directory cargo run --quiet --bin builds --target "$host" "$@"
}

# Each worker that reaches `main` is a start: that of the program itself, and one of a worker, of which the pool learns enough.
without_entry() {
    local starts
    starts=$(mktemp)
    BUILDS_STARTS=$starts program --no-default-features --features process
    local status=$? count
    count=$(wc -l <"$starts")
    rm -f "$starts"
    echo "$count starts"
    [ "$status" -eq 0 ] && [ "$count" -eq 2 ]
}

# Each file of `mistakes` is refused, in the words of its first lines: those that the documentation of `Executor` explains.
mistakes() {
    local file said line
    for file in mistakes/*.rs; do
        said=$(cargo check --quiet --features mistakes --example "$(basename "$file" .rs)" 2>&1) && echo "$file compiles" && return 1
        while read -r line; do
            grep -qF -- "$line" <<<"$said" || { printf '%s does not say: %s\n%s\n' "$file" "$line" "$said"; return 1; }
        done < <(sed -n 's|^//~ ||p' "$file")
    done
}

# Has each function with a name one address, though optimisation copies and merges functions?
names() {
    CARGO_PROFILE_RELEASE_LTO=$1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$2 cargo run --quiet --package names --release
}

shared_library() {
    cargo build --quiet --package library && python3 library/load.py "$target/debug/liblibrary.so"
}

# All other builds use the compiler's own choice, which on x86-64 Linux is the lld that it brings along.
# Is there a linker of this name, for the compiler driver that links?
has_linker() {
    echo 'int main(void) { return 0; }' | cc "-fuse-ld=$1" -x c -o /dev/null - 2>/dev/null
}

export -f program without_entry shared_library flags mistakes names
export target host

build "debug" program
build "debug, init() instead of auto-entry" program --no-default-features --features init
build "debug, neither" without_entry
build "debug, no features" program --no-default-features
build "debug, init() and auto-entry" program --features init
build "cargo test" cargo test --quiet --test test
build "doctest" cargo test --quiet --doc
build "example" cargo run --quiet --example example
build "release" program --release
build "mistakes" mistakes
build "executors of somebody else" cargo test --quiet --package author
build "names, release" names off 16
if command -v python3 >/dev/null; then
    build "shared library in python3" shared_library
else
    absent "shared library in python3"
fi

if [ "${1:-}" != quick ]; then
    if cargo nextest --version >/dev/null 2>&1; then
        build "cargo nextest" cargo nextest run
    else
        absent "cargo nextest"
    fi
    build "names, debug" cargo run --quiet --package names
    # Without `off 16`, which is above.
    for lto_units in "off 1" "thin 1" "thin 16" "fat 1" "fat 16"; do
        read -r lto units <<<"$lto_units"
        build "names, lto=$lto, codegen-units=$units" names "$lto" "$units"
    done
    build "panic=abort" program --profile aborting
    build "release, init() instead of auto-entry" program --release --no-default-features --features init
    build "bench" cargo bench --quiet --bench bench
    build "lto=fat" program --profile fat
    build "opt-level=z, strip" program --profile small
    build "static-pie" flags static-pie "-C target-feature=+crt-static" --release
    build "static, not pie" flags static "-C target-feature=+crt-static -C relocation-model=static" --release
    build "static, not pie, init()" flags static "-C target-feature=+crt-static -C relocation-model=static" \
        --release --no-default-features --features init
    build "not pie" flags not-pie "-C relocation-model=static" --release
    for linker in bfd gold lld mold; do
        if has_linker $linker; then
            build "linker $linker" flags $linker "-C link-arg=-fuse-ld=$linker" --release
        else
            absent "linker $linker"
        fi
    done
fi
exit $failed
