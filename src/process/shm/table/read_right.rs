//! [`ReadRight`]: which thread reads the mailbox of a worker, and which thread wakes which one for a new reply.
//!
//! Two kinds of threads read short replies. The monitor of the worker reads them whenever it is awake. A waiter, which
//! is a thread that waits for the only task that the worker has, looks for up to 50 us before it sleeps on its future:
//! a reply that comes soon goes straight to the thread that wants it, as in a bare ping-pong, and no third thread is
//! woken in between. Only the monitor reads the socket.
//!
//! # The protocol
//!
//! - A thread reads the mailbox only while it holds the right to read. It takes the right with `try_lock`. A thread
//!   that does not get it leaves the replies to the holder, and a waiter then sleeps on its future at once.
//! - A thread that takes the right sets the note to "awake". While it says so, the worker wakes no thread for what it
//!   posts.
//! - A waiter sets the note to "sleeps" *after* it has given the right back, and the monitor sets it before it sleeps.
//!   Each then looks for replies once more. As [`Mailbox`] says, either it sees what was posted, or the worker sees the
//!   note and sends a frame of kind `Bell`, which wakes the monitor.
//! - A waiter that then sees a reply wakes the monitor. If it did all this before it gives the right back, the monitor
//!   might wake, find the right taken, and go back to sleep.
//! - A monitor that finds the right taken when it is about to sleep does not set the note: the waiter that holds the
//!   right is going to.
//! - A waiter settles the reply that it has read before it gives the right back. When the worker has ended, the monitor
//!   waits for the right, for as long as a waiter looks. So a reply that was read counts, and its task is not taken for
//!   lost.
//!
//! A look that misses costs the waiter up to 50 us of yielding, and the reply then comes as it would have without a
//! look: the worker sends a `Bell`, the monitor reads, and the future wakes the waiter. Nothing here wakes a thread
//! while nothing is posted.
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

    /// Says that the monitor is about to sleep. Returns `true` if there is a reply, and it must not sleep.
    pub fn set_sleeping(&self, mailbox: &Mailbox) -> bool {
        self.0.try_lock().is_some_and(|_right| mailbox.set_sleeping())
    }

    /// Reads the replies. Returns `None` if a waiter holds the right.
    pub fn read<T>(&self, mailbox: &Mailbox, read: impl FnOnce() -> T) -> Option<T> {
        let _right = self.0.try_lock()?;
        mailbox.set_awake();
        Some(read())
    }

    /// Reads the replies of a worker that has ended, once no waiter holds the right.
    pub fn read_last<T>(&self, read: impl FnOnce() -> T) -> T {
        let _right = self.0.lock();
        read()
    }

    // The side of a waiter.

    /// Looks for a reply in `slot` until there is one or `goes_on` returns `false`, then reads and settles it with
    /// `read`, which returns `None` if it is not what the waiter wants. Calls `wake_monitor` if a reply is left.
    pub fn look<T>(
        &self,
        mailbox: &Mailbox,
        slot: u8,
        mut goes_on: impl FnMut() -> bool,
        read: impl FnOnce() -> Option<T>,
        wake_monitor: impl FnOnce(),
    ) -> Option<T> {
        let right = self.0.try_lock()?;
        mailbox.set_awake();
        let answer = loop {
            if mailbox.has_any() {
                // The replies in other slots are left to the monitor.
                break if mailbox.has(slot) { read() } else { None };
            }
            if !goes_on() {
                break None;
            }
        };
        drop(right);
        if mailbox.set_sleeping() {
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
    fn a_waiter_that_reads_its_reply_wakes_no_thread() {
        let (right, mailbox) = (ReadRight::default(), Mailbox::default());
        assert!(!right.set_sleeping(&mailbox));
        let posts = || {
            assert!(!mailbox.post(3), "the worker wakes no thread while a waiter looks");
            true
        };
        let read = || {
            mailbox.clear(3);
            Some(7)
        };
        assert_eq!(right.look(&mailbox, 3, posts, read, never), Some(7));
        assert!(mailbox.post(4), "the monitor sleeps");
    }

    #[test]
    fn a_waiter_leaves_other_replies_to_the_monitor() {
        for slot in [3, 4] {
            let (right, mailbox) = (ReadRight::default(), Mailbox::default());
            mailbox.post(slot);
            let woken = Cell::new(0);
            let wake = || {
                woken.set(woken.get() + 1);
                assert_eq!(right.read(&mailbox, || mailbox.take().collect::<Vec<_>>()), Some(vec![slot]));
            };
            assert_eq!(right.look(&mailbox, 3, || panic!("a reply is there"), || None::<()>, wake), None);
            assert_eq!(woken.get(), 1);
        }
    }

    #[test]
    fn one_thread_reads_at_a_time() {
        let (right, mailbox) = (ReadRight::default(), Mailbox::default());
        let others = || {
            mailbox.post(5);
            assert!(!right.set_sleeping(&mailbox), "the waiter sets the note, and looks");
            assert_eq!(right.read(&mailbox, || ()), None);
            assert_eq!(right.look(&mailbox, 5, || true, || Some(()), never), None, "another waiter sleeps");
            false
        };
        let woken = Cell::new(false);
        assert_eq!(right.look(&mailbox, 3, others, || None::<()>, || woken.set(true)), None);
        assert!(woken.get(), "no other thread has read it");
    }

    #[test]
    fn a_look_that_finds_no_reply_wakes_no_thread() {
        let (right, mailbox) = (ReadRight::default(), Mailbox::default());
        assert_eq!(right.look(&mailbox, 3, || false, || Some(()), never), None);
        assert!(mailbox.post(3), "the monitor is woken for the next reply");
    }
}
