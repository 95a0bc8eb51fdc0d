//! [`ReadRight`]: which thread reads the mailbox of a worker, and which thread wakes which one for new mail.
//!
//! Two kinds of threads read short replies. The monitor of the worker reads them whenever it is awake. A waiter, which
//! is a thread that waits for the only task that the worker has, looks for up to 50 us before it sleeps on its future:
//! a reply that comes soon goes straight to the thread that wants it, as in a bare ping-pong, and no third thread is
//! woken in between. Only the monitor reads the socket.
//!
//! # The protocol
//!
//! - A thread reads the mailbox only while it holds the right to read. It takes the right with `try_lock`. A thread
//!   that does not get it leaves the mail to the holder, and a waiter then sleeps on its future at once.
//! - A thread that takes the right sets the note to "awake". While it says so, the worker wakes nobody for what it
//!   posts.
//! - A waiter sets the note to "sleeps" *after* it has given the right back, and the monitor sets it before it sleeps.
//!   Each then looks for mail once more. As [`Mailbox`] says, either it sees what was posted, or the worker sees the
//!   note and sends a frame of kind `Bell`, which wakes the monitor.
//! - A waiter that then sees mail wakes the monitor. If it did all this before it gives the right back, the monitor
//!   might wake, find the right taken, and go back to sleep.
//! - A monitor that finds the right taken when it is about to sleep does not set the note: the waiter that holds the
//!   right is going to.
//! - A waiter settles the reply that it has read before it gives the right back. When the worker has ended, the monitor
//!   waits for the right, for as long as a waiter looks. So a reply that was read counts, and its task is not taken for
//!   lost.
//!
//! A look that misses costs the waiter up to 50 us of yielding, and the reply then comes as it would have without a
//! look: the worker sends a `Bell`, the monitor reads, and the future wakes the waiter. Nothing here wakes a thread
//! while nothing is posted. monitor reads, and the future wakes the waiter. Nothing here wakes anybody while nothing is
//! posted.
#![forbid(unsafe_code)]
// The models see it from outside the crate.
#![allow(unreachable_pub)]

use super::mailbox::Mailbox;
use crate::sync::Mutex;

#[derive(Debug)]
pub struct ReadRight(Mutex<()>);

impl Default for ReadRight {
    fn default() -> Self {
        Self(Mutex::new(()))
    }
}

impl ReadRight {
    // The monitor's side.

    /// Says that the monitor is about to sleep. Returns `true` if there is mail, and it must not sleep.
    pub fn set_sleeping(&self, mail: &Mailbox) -> bool {
        self.0.try_lock().is_some_and(|_right| mail.set_sleeping())
    }

    /// Reads the mail. Returns `None` if a waiter holds the right.
    pub fn read<T>(&self, mail: &Mailbox, read: impl FnOnce() -> T) -> Option<T> {
        let _right = self.0.try_lock()?;
        mail.set_awake();
        Some(read())
    }

    /// Reads the mail of a worker that has ended, once no waiter holds the right.
    pub fn read_last<T>(&self, read: impl FnOnce() -> T) -> T {
        let _right = self.0.lock();
        read()
    }

    // The side of a waiter.

    /// Looks for mail in `slot` until there is some or `goes_on` returns `false`, then reads and settles it with
    /// `read`, which returns `None` if it is not what the waiter wants. Calls `wake_monitor` if mail is left.
    pub fn look<T>(
        &self,
        mail: &Mailbox,
        slot: u8,
        mut goes_on: impl FnMut() -> bool,
        read: impl FnOnce() -> Option<T>,
        wake_monitor: impl FnOnce(),
    ) -> Option<T> {
        let right = self.0.try_lock()?;
        mail.set_awake();
        let answer = loop {
            if mail.is_there() {
                // The mail of other slots is left to the monitor.
                break if mail.is_in(slot) { read() } else { None };
            }
            if !goes_on() {
                break None;
            }
        };
        drop(right);
        if mail.set_sleeping() {
            wake_monitor();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn never() {
        unreachable!("the monitor has nothing to do")
    }

    #[test]
    fn a_waiter_reads_its_own_mail_and_wakes_nobody() {
        let (right, mail) = (ReadRight::default(), Mailbox::default());
        assert!(!right.set_sleeping(&mail));
        let posts = || {
            assert!(!mail.post(3), "nobody is rung while somebody looks");
            true
        };
        let read = || {
            mail.clear(3);
            Some(7)
        };
        assert_eq!(right.look(&mail, 3, posts, read, never), Some(7));
        assert!(mail.post(4), "the monitor sleeps");
    }

    #[test]
    fn a_waiter_leaves_what_it_does_not_want_to_the_monitor() {
        for slot in [3, 4] {
            let (right, mail) = (ReadRight::default(), Mailbox::default());
            mail.post(slot);
            let woken = Cell::new(0);
            let wake = || {
                woken.set(woken.get() + 1);
                assert_eq!(right.read(&mail, || mail.take().collect::<Vec<_>>()), Some(vec![slot]));
            };
            assert_eq!(right.look(&mail, 3, || panic!("there is mail"), || None::<()>, wake), None);
            assert_eq!(woken.get(), 1);
        }
    }

    #[test]
    fn one_thread_reads_at_a_time() {
        let (right, mail) = (ReadRight::default(), Mailbox::default());
        let others = || {
            mail.post(5);
            assert!(!right.set_sleeping(&mail), "the waiter says it, and looks");
            assert_eq!(right.read(&mail, || ()), None);
            assert_eq!(right.look(&mail, 5, || true, || Some(()), never), None, "another waiter sleeps");
            false
        };
        let woken = Cell::new(false);
        assert_eq!(right.look(&mail, 3, others, || None::<()>, || woken.set(true)), None);
        assert!(woken.get(), "nobody else has read it");
    }

    #[test]
    fn a_look_that_misses_wakes_nobody() {
        let (right, mail) = (ReadRight::default(), Mailbox::default());
        assert_eq!(right.look(&mail, 3, || false, || Some(()), never), None);
        assert!(mail.post(3), "the next answer is rung for");
    }
}
