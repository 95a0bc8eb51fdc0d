#!/bin/sh
# Shows that the models can fail: breaks a copy of the source in one place at a time, and runs the models on it under
# shuttle. Takes minutes, and is no part of CI.
#
#     tests/models/mutations.sh [NAME ..]
#
# A mutation is a Perl substitution that must match. "caught" is a model that failed, "MISSED" is none.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export RUSTFLAGS='--cfg model="shuttle"' CARGO_TARGET_DIR="${MUTATIONS_TARGET_DIR:-$root/target/mutations}"
export MODEL_SCHEDULES="${MODEL_SCHEDULES:-1500}" RUST_BACKTRACE=0 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1
only=" $* "
missed=0

fresh() {
    rm -rf "$copy/src" "$copy/tests"
    mkdir -p "$copy/tests"
    cp -r "$root/src" "$copy/"
    cp -r "$root/tests/models" "$copy/tests/"
    cp "$root/Cargo.toml" "$copy/"
}

# mutate NAME FILE SUBSTITUTION
mutate() {
    case "$only" in "  " | *" $1 "*) ;; *) return 0 ;; esac
    fresh
    perl -0pi -e "\$n = ($3); END { exit(\$n ? 0 : 3) }" "$copy/$2" || { echo "$1: does not match"; missed=1; return 0; }
    if ! (cd "$copy" && cargo test --quiet --manifest-path tests/models/Cargo.toml --no-run >"$copy/log" 2>&1); then
        echo "$1: does not compile"
        tail -20 "$copy/log"
        missed=1
    elif (cd "$copy" && timeout 300 cargo test --quiet --manifest-path tests/models/Cargo.toml >"$copy/log" 2>&1); then
        echo "$1: MISSED"
        missed=1
    else
        echo "$1: caught by $(grep -c '^    [a-z]*::' "$copy/log" || true) models, $(grep -m1 '^    [a-z]*::' "$copy/log" || echo 'which aborts')"
    fi
}

pool=src/thread/pool.rs
queue=src/thread/pool/queue.rs
ending=src/thread/pool/ending.rs
threads=src/thread/pool/threads.rs
hosting=src/thread/pool/hosting.rs
state=src/state.rs
observable=src/state/observable.rs
runnable=src/state/runnable.rs
mutate no-decide-after-pop $pool 's/(queue\.pending -= 1;\n\s+\}\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate no-decide-after-push $pool 's/(push_back\(task\);\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate no-look-after-search $pool 's/(queue\.searching = false;\n\s+)continue;/$1/'
mutate permit-not-taken $pool 's/queue\.permits -= 1;\n\s+break;/break;/'
mutate notify-without-permit $queue 's/self\.permits \+= 1;//'
mutate expiry-before-permit $pool 's/if queue\.permits > 0 \{/if queue.permits > 0 && !expired {/'
mutate no-decide-at-leaving $threads 's/(let action = )queue\.decide\(\)(;\n\s+let over)/$1Action::Nothing$2/'
mutate close-wakes-nobody $ending 's/(let last = queue\.is_last\(\);\n\s+drop\(queue\);\n\s+)self\.work\.notify_all\(\);/$1/'
mutate leaver-wakes-nobody $threads 's/if over \{/if false {/'
mutate close-while-running $queue 's/self\.closed && self\.running == 0/self.closed/'
mutate room-forgotten-at-cancel $hosting 's/queue\.pending -= 1;\n(\s+self\.release\(queue, Action::Nothing\);\n\s+)if self\.is_bounded\(\)/queue.pending -= 1;\n$1if false/'
mutate orphans-left $threads 's/if queue\.workers <= asleep/if false/'
mutate join-not-counted $queue 's/\.max\(self\.waiting \+ 1\)//'
mutate block-starts-nobody $hosting 's/(sleepers\(need\) \+= 1;\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate waiter-not-counted $observable 's/inner\.waiters \+= 1;\n(\s+let timed_out)/$1/'
mutate publish-before-callbacks $state 's/inner = self\.deliver\(inner, &outcome\);\n\s+self\.publish\(inner, outcome\);/drop(inner); self.publish(self.inner.lock(), outcome);/'
mutate listener-on-a-done-cell $observable 's/if snapshot\.state\.is_done\(\) \{\n(\s+drop\(inner\);\n\s+discard\(listener\))/if false {\n$1/'
mutate outcome-kept-for-nobody $state 's/else if inner\.detached/else if false/'
mutate scope-forgets-running src/thread/scope.rs 's/while state\.open > 0/while false/'
mutate scope-guard-before-outcome $runnable 's/let _guard = work\.guard\(\);/drop(work.guard());/'
exit $missed
