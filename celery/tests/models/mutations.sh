#!/bin/sh
# Shows that the models can fail: breaks a copy of the client in one place at a time, and runs the models on it. The table in
# lib.rs says what each mutation means. Takes some minutes, and is no part of CI.
#
#     celery/tests/models/mutations.sh [NAME ..]
#
# A mutation is a Perl substitution that must match. "caught" is a model that failed, "MISSED" is none.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
export CARGO_TARGET_DIR="${MUTATIONS_TARGET_DIR:-$root/target/mutations}" RUSTFLAGS='--cfg model="shuttle"' RUST_BACKTRACE=0
only=" $* "
missed=0

mkdir -p "$copy/celery/tests" "$copy/tests/models"
cp -r "$root/src" "$root/macros" "$root/build.rs" "$copy/"
cp -r "$root/celery/tests/models" "$copy/celery/tests/"
cp "$root/tests/models/checker.rs" "$copy/tests/models/"
# Without what is not there.
perl -0pe 's/^\[\[\w+\]\]\n(\w.*\n)+//mg' "$root/Cargo.toml" >"$copy/Cargo.toml"
cd "$copy"

# mutate NAME FILE SUBSTITUTION
mutate() {
    case "$only" in "  " | *" $1 "*) ;; *) return 0 ;; esac
    rm -rf celery/src
    cp -r "$root/celery/src" celery/
    perl -0pi -e "\$n = ($3); END { exit(\$n ? 0 : 3) }" "$2" || { echo "$1: does not match"; missed=1; return 0; }
    if ! cargo test --quiet --release --manifest-path celery/tests/models/Cargo.toml --no-run >log 2>&1; then
        echo "$1: does not compile"
        tail -20 log
        missed=1
    elif timeout 600 cargo test --quiet --release --manifest-path celery/tests/models/Cargo.toml -- model:: >log 2>&1; then
        echo "$1: MISSED"
        missed=1
    else
        echo "$1: caught by $(grep -c '^    model::' log || true) models, $(grep -m1 '^    model::' log || echo 'which aborts')"
    fi
}

window=celery/src/client/window.rs
shared=celery/src/client/shared.rs
mutate answer-before-confirm-lost $window 's/(let \(task, item\) = self\.remove_message)/if self.messages.get(&id)?.place == Place::Sent { return None; }\n$1/'
mutate cancel-wins-twice $window 's/\.filter\(\|_\| !task\.is_revoked\)//'
mutate cancel-of-what-was-sent $window 's/\(Place::Sent, true\)/(Place::Sent, false)/'
mutate reconnect-forgets $window 's/self\.not_taken\(id\);/self.remove_message(id);/'
mutate confirmed-sent-again $window 's/message\.place = Place::Confirmed;//'
mutate room-freed-twice $window 's/Place::Waiting => drop\(self\.waiting\.remove\(&message\.ticket\)\),/Place::Waiting => { self.waiting.remove(&message.ticket); self.out = self.out.saturating_sub(1); }/'
mutate answer-while-the-job-is-away $window 's/Ok\(self\.finish\(id\)\)/Ok(None)/'
mutate job-away-dropped $shared 's/Err\(job\) => job\.fail\([^\n]*\),/Err(job) => drop(job),/'
mutate end-before-the-last-job $window 's/ && self\.leaving == 0//'
mutate last-job-wakes-nobody $shared 's/if state\.is_over\(\) \{/if false {/'
mutate link-left-asleep $shared 's/let link = state\.link\.take\(\);/let link = None::<Waker>;/'
mutate callers-left-asleep $shared 's/(drop\(state\);\n\s+)self\.changed\.notify_all\(\);/$1/'
exit $missed
