#!/bin/sh
# Shows that the models can fail: breaks a copy of the source in one place at a time, and runs on it the models of what
# is broken, under shuttle, or loom where shuttle is blind. Takes half an hour, and is no part of CI.
#
#     tests/models/mutations.sh [NAME ..]
#
# A mutation is a Perl substitution that must match. "caught" is a model that failed, "MISSED" is none.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
target="${MUTATIONS_TARGET_DIR:-$root/target/mutations}"
export MODEL_SCHEDULES="${MODEL_SCHEDULES:-1500}" RUST_BACKTRACE=0 CARGO_PROFILE_DEV_DEBUG=0
only=" $* "
missed=0

# under CHECKER MODULE[::MODEL] ..: which models are run.
under() {
    export RUSTFLAGS="--cfg model=\"$1\"" CARGO_TARGET_DIR="$target/$1"
    shift
    models=$*
    modules=$(for model in "$@"; do echo "${model%%::*}"; done | sort -u | paste -sd '|' -)
}

fresh() {
    rm -rf "$copy/src" "$copy/tests"
    mkdir -p "$copy/tests"
    cp -r "$root/src" "$copy/"
    cp -r "$root/tests/models" "$copy/tests/"
    # Without what is not there.
    perl -0pe 's/^\[\[\w+\]\]\n(\w.*\n)+//mg' "$root/Cargo.toml" >"$copy/Cargo.toml"
    # To compile the others takes longer than to run these.
    perl -0pi -e "s/^(#\[.*\]\n)?mod (?!(checker|$modules);).*\n//mg" "$copy/tests/models/lib.rs"
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
        return 0
    fi
    result=0
    # Most need few schedules.
    for few in 100 ""; do
        [ $result != 0 ] || (
            cd "$copy"
            export MODEL_SCHEDULES="${few:-$MODEL_SCHEDULES}"
            timeout 600 cargo test --quiet --manifest-path tests/models/Cargo.toml -- $models >"$copy/log" 2>&1
        ) || result=$?
    done
    if [ $result = 0 ]; then
        echo "$1: MISSED"
        missed=1
    elif [ $result = 124 ]; then
        echo "$1: takes too long"
        missed=1
    else
        echo "$1: caught by $(grep -c '^    [a-z]*::' "$copy/log" || true) models, $(grep -m1 '^    [a-z]*::' "$copy/log" || echo 'which aborts')"
    fi
}

pool=src/thread/pool.rs
queue=src/thread/pool/queue.rs
front=src/thread/pool/front.rs
inbox=src/thread/pool/inbox.rs
ending=src/thread/pool/ending.rs
threads=src/thread/pool/threads.rs
expiry=src/thread/pool/expiry.rs
expired=src/thread/pool/expired.rs
compensation=src/thread/pool/compensation.rs
under shuttle queue
mutate no-decide-after-pop $pool 's/(queue\.pending -= 1;\n\s+\}\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate no-decide-after-push $pool 's/(queue\.insert\([^\n]*, task\);\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate no-look-after-search $pool 's/(queue\.searching = false;\n\s+)continue;/$1/'
mutate permit-not-taken $pool 's/queue\.permits -= 1;\n\s+break;/break;/'
mutate notify-without-permit $queue 's/self\.permits \+= 1;//'
mutate coming-not-counted $queue 's/self\.live\(\) > self\.coming/self.live() > 0/'
mutate coming-for-ever $pool 's/queue\.arrive\(\);//'
mutate coming-after-a-failed-start $threads 's/queue\.coming -= 1;//'
mutate expiry-before-permit $pool 's/if queue\.permits > 0 \{/if queue.permits > 0 && !expired {/'
mutate room-forgotten-at-cancel $compensation 's/queue\.pending -= 1;\n(\s+self\.release\(queue, Action::Nothing\);\n\s+)if self\.is_bounded\(\)/queue.pending -= 1;\n$1if false/'
mutate unstarted-tasks-left $threads 's/if queue\.workers <= asleep/if false/'
mutate room-forgotten-at-refusal $compensation 's/(fn refused\(&self\) \{\n[^\n]*\n\s+)self\.left_pending\(self\.lock\(\)\);/$1self.queue.lock().pending -= 1;/'
under shuttle front
mutate front-left-to-a-spare $compensation 's/queue\.drain_front\(\);//'
mutate front-filled-for-a-spare $queue 's/self\.blocked \+ self\.waiting == 0/true/'
mutate front-left-at-a-shutdown $ending 's/queue\.drain_front\(\);//'
mutate front-drained-backwards $front 's/left\.into_iter\(\)\.rev\(\)/left.into_iter()/'
mutate front-not-counted-when-drained $queue 's/self\.pending \+= self\.front\.drain/let _ = self.front.drain/'
under shuttle inbox queue
mutate inbox-open-at-sleep $pool 's/(queue\.idle \+= 1;\n\s+)queue\.shut_inbox_if_needed\(\);/$1/'
mutate inbox-open-beside-a-sleeper $pool 's/queue\.shut_inbox_if_needed\(\);(\n\s+if let Some\(task\))/$1/'
mutate inbox-open-before-a-start $queue 's/self\.workers >= self\.limit\(\)/true/'
mutate inbox-open-at-a-wait $compensation 's/let mut queue = self\.lock\(\);\n(\s+queue\.arrive)/let mut queue = self.queue.lock();\n$1/'
mutate inbox-open-at-a-close $ending 's/let mut queue = self\.lock\(\);\n(\s+queue\.closed)/let mut queue = self.queue.lock();\n$1/'
mutate inbox-open-after-a-close $queue 's/if self\.accepts_all\(\) && /if /'
mutate inbox-left-at-a-shutdown $ending 's/let mut queue = self\.lock\(\);\n(\s+queue\.cancelling)/let mut queue = self.queue.lock();\n$1/'
mutate inbox-not-counted $queue 's/self\.pending \+= (self\.inbox\.drain)/let _ = $1/'
mutate push-into-a-shut-inbox $inbox 's/(self\.tasks\.lock\(\);\n\s+)if !self\.is_open\(\) \{/$1if false {/'
under shuttle ending
mutate close-wakes-no-worker $ending 's/(let last = queue\.is_last\(\);\n\s+drop\(queue\);\n\s+)self\.work\.notify_all\(\);/$1/'
mutate leaver-wakes-no-worker $threads 's/if over \{/if false {/'
mutate close-while-running $queue 's/self\.closed && self\.running == 0/self.closed/'
mutate timer-left-at-a-refusal $pool 's/if last \{(\n\s+\/\/)/if false {$1/'
mutate timer-left-at-a-failed-start $threads 's/(let last = queue\.is_last\(\);\n\s+drop\(queue\);\n\s+)if last \{/$1if false {/'
mutate timer-left-at-a-close $ending 's/if last \{/if false {/'
mutate expired-on-the-timer $expiry 's/let spawned = [^;]*;/let spawned = Err::<crate::sync::thread::JoinHandle<()>, _>(());/'
mutate expired-left-at-a-failed-start $expiry 's/if is_left \{/if false {/'
mutate expiries-not-waited-for $expired 's/self\.threads == 0/true/'
mutate expiry-coming-for-ever $expiry 's/usize::from\(comes\)/0/'
under shuttle nesting
mutate join-not-counted $queue 's/\.max\(self\.waiting \+ 1\)//'
mutate block-starts-no-worker $compensation 's/(sleepers\(reason\) \+= 1;\n\s+let action = )queue\.decide\(\)/$1Action::Nothing/'
mutate coming-while-asleep $compensation 's/queue\.arrive\(\);//'
mutate claim-takes-the-newest $compensation 's/let newest = [^;]*;/let newest = !queue.tasks.is_empty();/'
mutate claim-makes-no-room $compensation 's/(queue\.sweep\(\)\n\s+\};\n\s+)self\.left_pending\(queue\);/$1queue.pending -= 1;\ndrop(queue);/'
mutate hastened-hides-a-task $queue 's/(self\.hastened\.push\(task\);\n\s+self\.dead \+= )1/${1}2/'
mutate hastened-not-first $queue 's/(if let Some\(task\) = self\.hastened\.pop\(\))/if self.len() == self.hastened.len() \&\& let Some(task) = self.hastened.pop()/'
mutate hastened-without-a-second-entry $compensation 's/let swept = queue\.hasten\(task\);/let swept = task;/'
# Two have to sleep while a third one goes.
under loom nesting::spare_worker_that_goes_against_push
mutate no-decide-at-leaving $threads 's/(let action = )queue\.decide\(\)(;\n\s+let over)/$1super::queue::Action::Nothing$2/'

state=src/task/state.rs
handle=src/task/handle.rs
runner=src/task/runner.rs
shared=src/future/shared.rs
under shuttle task
mutate waiters-not-notified $state 's/(self\.published\.store\(true, Ordering::Relaxed\);\n\s+)self\.changed\.notify_all\(\);/$1/'
mutate publish-before-callbacks $state 's/inner = self\.deliver\(inner, &mut outcome\);\n\s+self\.publish\(inner, outcome\);/drop(inner); self.publish(self.inner.lock(), outcome);/'
mutate abort-that-a-cancel-forestalled $handle 's/ended \|\| self\.was_cancelled\(\)/ended/'
mutate second-waker-forgotten $handle 's/Some\(std::mem::replace\(slot, listener\)\)/{ let _ = slot; Some(listener) }/'
mutate abort-forgets-its-hook $state 's/if aborts \{ \(hook, None\) \}/if false { (hook, None) }/'
mutate hook-after-an-abort-lost $runner 's/if self\.marks\.has\(Mark::Aborted\) \{/if false {/'
mutate late-callbacks-left $shared 's/if callback\.is_none\(\) \{/if false {/'
under shuttle waiting
mutate listener-on-a-done-task $handle 's/if let Some\(end\) = snapshot\.end\(\) \{\n(\s+drop\(inner\);\n\s+drop_caught\(listener\))/if let Some(end) = None {\n$1/'
under shuttle scope
mutate outcome-kept-without-a-handle $state 's/else if self\.marks\.has\(Mark::Released\)/else if false/'
mutate scope-forgets-running src/thread/scope.rs 's/while self\.open\.load\(Ordering::Acquire\) > 0/while false/'
mutate scope-end-between-check-and-sleep src/thread/scope.rs 's/drop\(self\.0\.state\.lock\(\)\);//'
mutate scope-guard-before-outcome $runner 's/let _guard = call\.guard\(\);/drop(call.guard());/'

local=src/map/local.rs
source=src/map/source.rs
range=src/map/range.rs
under shuttle sharing ending
mutate nothing-refused-after-a-close $compensation 's/(fn admit\(&self\) -> Result<Ticket, Error> \{\n\s+)if self\.closing\.load\(Ordering::Relaxed\) \{/$1if false {/'
mutate refusal-before-what-was-pulled $source 's/(Err\(error\) => \{\n\s+)self\.flush\(items\);/$1/'
mutate worker-refused-after-a-close $compensation 's/(self\.push_if\(task, Some\(ticket\), Room::NotReserved, \|\| )true\);/$1self.owns_thread());/'
mutate buffer-not-looked-into $local 's/(queue\.sent = None;\n\s+drop\(queue\);\n\s+)self\.input\.flush\(self\);/$1/'
mutate comes-no-more-after-the-look $local 's/(self\.is_coming\.store\(false, Ordering::Relaxed\);)\n(\s+queue\.sent = None;\n\s+drop\(queue\);\n\s+self\.input\.flush\(self\);)/$2\n$1/'
mutate no-worker-for-the-rest $local 's/(Some\(range\) = self\.next_range\(finished\.take\(\)\) \{\n\s+)self\.recruit\(\);/$1/'
mutate items-of-a-lost-worker-left $local 's/if is_awaited \{\n(\s+self\.call_off)/if false {\n$1/'
mutate listener-told-once $range 's/state\.told = false;//'
mutate part-without-listener $range 's/Self::with_listener\(items, state\.listener\.clone\(\)\)/Self::new(items)/'
mutate asleep-at-the-range $range 's/Some\(\(_, part\)\) if state\.own_left\(\) == 0 => part\.awaited\(\)/Some((_, part)) if false => part.awaited()/'
mutate shutdown-forgets-maps $ending 's/self\.shared\(\)\.iter\(\)\.map\(\|shared\| shared\.call_off\(&Error::Cancelled\)\)\.sum\(\)/0/'

# It takes a schedule that shuttle seldom hits upon. The second name is a function that its module imports.
under loom sharing::cancel_pending_against_a_worker_that_sends_for_another ending::broken_by_the_second_worker
mutate held-back-without-a-worker $local 's/(\} else if is_called_off \{\n\s+drop\(queue\);\n(?:\s+\/\/[^\n]*\n)*\s+)self\.input\.flush\(self\);/$1/'

attempts=src/retry/attempts.rs
pauses=src/pauses.rs
under loom retry
mutate pause-begins-after-a-close $pauses 's/if state\.is_closed \{/if false {/'
mutate pause-left-by-a-cancel $attempts 's/self\.pauses\.remove\(key\);\n(\s+drop_caught)/$1/'
mutate pause-begins-after-a-cancel $attempts 's/\} else if !matches!\(&\*self\.stage\.lock\(\), Stage::Paused \{ key: own, \.\. \} if \*own == key\) \{/} else if false {/'
mutate timer-sleeps-on $pauses 's/if was_first \{\n\s+self\.changed\.notify_one\(\);/if was_first {/'
mutate attempt-after-a-cancel $attempts 's/\(_, unwanted\) => unwanted,/(_, next) => {\n*stage = next;\nreturn true;\n}/'
mutate attempt-that-runs-is-cancelled $attempts 's/Stage::Attempt \{ task, is_curtailed, \.\. \} if !aborts =>/Stage::Attempt { task, is_curtailed, .. } if false =>/'
mutate value-against-a-late-cancel $attempts 's/Stage::Driving \{ is_curtailed, \.\. \} if !aborts =>/Stage::Driving { is_curtailed, .. } if false =>/'

slots=src/process/shm/table/slots.rs
mailbox=src/process/shm/table/mailbox.rs
# Shuttle does not know that two sides may see what is written in another order.
under loom chunks mailbox slots
mutate start-with-a-plain-store $slots 's/self\.swap\(slot, sequence, READY, RUNNING\)/{ self.word(slot).store(sequence << 3 | RUNNING, Ordering::Release); true }/'
mutate start-looks-and-stores $slots 's/self\.swap\(slot, sequence, READY, RUNNING\)/{ let is_ready = self.word(slot).load(Ordering::Acquire) == sequence << 3 | READY; if is_ready { self.word(slot).store(sequence << 3 | RUNNING, Ordering::Release); } is_ready }/'
mutate finish-with-a-plain-store $slots 's/self\.swap\(slot, sequence, RUNNING, DONE\)/{ self.word(slot).store(sequence << 3 | DONE, Ordering::Release); true }/'
mutate revoke-of-what-runs $slots 's/(self\.swap\(slot, sequence, READY, REVOKED\))/$1 || self.swap(slot, sequence, RUNNING, REVOKED)/'
mutate swap-of-any-task $slots 's/(let tagged = )/let sequence = self.word(slot).load(Ordering::Acquire) >> 3;\n$1/'
mutate ready-releases-nothing $slots 's/(sequence << 3 \| READY, )Ordering::Release/$1Ordering::Relaxed/'
mutate start-acquires-nothing $slots 's/(tagged\(to\), )Ordering::AcqRel, Ordering::Acquire/$1Ordering::Release, Ordering::Relaxed/'
mutate time-before-the-word $slots 's/(let word = self\.word\(slot\)\.load\(Ordering::Acquire\);\n)(.*?)Progress::Running\(self\.started_at\.load\(Ordering::Relaxed\)\)/let time = self.started_at.load(Ordering::Relaxed);\n$1$2Progress::Running(time)/s'
mutate time-after-the-start $slots 's/(self\.started_at\.store\(now, Ordering::Relaxed\);)\n\s+(self\.swap\(slot, sequence, READY, RUNNING\))/let won = $2;\n$1\nwon/'
mutate halve-of-any-task $slots 's/if !matches!\(self\.progress\(slot, sequence\), [^{]*\{/if false {/'
mutate halve-takes-the-next $slots 's/if first_of\(word\) > known \{ left \/ 2 \} else \{ left\.div_ceil\(2\) \}/left \/ 2/'
mutate halve-with-a-plain-store $slots 's/self\.items\(slot\)\.fetch_update\(Ordering::AcqRel, Ordering::Acquire, lower\)\.ok\(\)\?;/self.items(slot).load(Ordering::Acquire); self.items(slot).store(lower(word)?, Ordering::Release);/'
mutate curtail-with-a-plain-store $slots 's/let _ = self\.items\(slot\)\.fetch_update\(Ordering::Relaxed, Ordering::Relaxed, lower\);/let word = lower(self.items(slot).load(Ordering::Acquire)); self.items(slot).store(word.unwrap_or(0), Ordering::Release);/'
mutate item-taken-with-a-plain-store $slots 's/self\.items\(slot\)\.fetch_update\(Ordering::AcqRel, Ordering::Acquire, raise\)\.ok\(\)\.map\(first_of\)/{ let word = self.items(slot).load(Ordering::Acquire); self.items(slot).store(raise(word)?, Ordering::Release); Some(first_of(word)) }/'
mutate no-fence-before-sleep $mailbox 's/(self\.sleeps\.swap\(1, Ordering::Relaxed\);\n\s+)fence\(Ordering::SeqCst\);/$1/'
mutate no-fence-at-post $mailbox 's/(Ordering::Release\);\n\s+)fence\(Ordering::SeqCst\);/$1/'
mutate look-before-the-note $mailbox 's/self\.sleeps\.swap\(1, Ordering::Relaxed\);\n(\s+fence\(Ordering::SeqCst\);\n\s+)self\.has_any\(\)/let has_any = self.has_any();\n$1 self.sleeps.swap(1, Ordering::Relaxed);\nhas_any/'
mutate note-kept-while-awake $mailbox 's/self\.sleeps\.swap\(0, Ordering::Relaxed\);//'
mutate note-left $mailbox 's/note != 0 && [^\n]*/note != 0/'
mutate reader-not-woken $mailbox 's/note != 0 && [^\n]*/note > 1/'
mutate flag-with-a-plain-store $mailbox 's/self\.flags\.fetch_or\(flag\(slot\), Ordering::Release\)/self.flags.store(flag(slot), Ordering::Release)/'
mutate post-releases-nothing $mailbox 's/(fetch_or\(flag\(slot\), )Ordering::Release/$1Ordering::Relaxed/'
mutate take-acquires-nothing $mailbox 's/(swap\(0, )Ordering::Acquire/$1Ordering::Relaxed/'
mutate look-at-one-slot-acquires-nothing $mailbox 's/(load\()Ordering::Acquire(\) & flag)/$1Ordering::Relaxed$2/'
mutate clear-of-all $mailbox 's/self\.flags\.fetch_and\(!flag\(slot\), Ordering::Relaxed\)/self.flags.store(u64::from(slot) * 0, Ordering::Relaxed)/'

right=src/process/shm/table/read_right.rs
help=src/process/pool/help.rs
under shuttle read_right
mutate monitor-does-not-say-that-it-sleeps $right 's/\|_right\| mailbox\.set_sleeping\(\)/|_right| mailbox.has_any()/'
mutate waiter-does-not-say-that-the-reader-sleeps $right 's/if mailbox\.set_sleeping\(\)/if mailbox.has_any()/'
mutate reply-left $right 's/wake_monitor\(\);//'
mutate last-reading-not-told $help 's/self\.ended\.notify_all\(\);//'
# It takes one of few schedules, which shuttle does not always hit upon.
under loom read_right::a_waiter_against_the_monitor read_right::a_waiter_against_the_end_of_the_worker read_right::a_waiter_against_another_waiter
mutate last-look-with-the-right $right 's/drop\(right\);\n\s+if mailbox\.set_sleeping\(\) \{\n\s+wake_monitor\(\);/let left = mailbox.set_sleeping();\ndrop(right);\nif left {\nwake_monitor();/'
mutate monitor-woken-with-the-right $right 's/drop\(right\);\n(\s+if mailbox\.set_sleeping\(\) \{\n\s+wake_monitor\(\);\n\s+\})/$1\ndrop(right);/'
mutate last-reply-without-the-right $right 's/let _right = self\.0\.lock\(\);//'
exit $missed
