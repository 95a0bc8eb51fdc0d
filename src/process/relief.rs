//! [`Relief`]: whom the end of a task wakes, because he [receives](super::receiver) in the place of another thread while he waits for it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::connection::Connection;
use crate::sync::Mutex;

#[derive(Default)]
pub(super) struct Relief(Mutex<Help>);

/// Does a thread that waits for the task sleep where its end must wake it?
#[derive(Default)]
enum Help {
    #[default]
    No,
    By(Arc<Connection>),
    /// It has ended, and nobody has to be woken any more.
    Over,
}

impl Relief {
    /// The end of the task is to relieve the helper of this connection. `false`: it has ended, or relieves another one, who waits at
    /// a worker that it was taken back from.
    pub(super) fn expect(&self, connection: &Arc<Connection>) -> bool {
        let mut help = self.0.lock();
        let open = matches!(*help, Help::No);
        if open {
            *help = Help::By(Arc::clone(connection));
        }
        open
    }

    /// The helper leaves. Was he relieved?
    pub(super) fn end(&self) -> bool {
        let mut help = self.0.lock();
        let relieved = matches!(*help, Help::Over);
        if !relieved {
            *help = Help::No;
        }
        relieved
    }

    /// The task has come to its end, however it did.
    pub(super) fn ring(&self) {
        let mut help = self.0.lock();
        // Under the lock: who finds `Done` there is to find that relief was rung.
        if let Help::By(connection) = std::mem::replace(&mut *help, Help::Over) {
            connection.receiver.relieve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Relief;
    use crate::process::receiver::tests::Desk;

    #[test]
    fn the_end_of_a_task_relieves_who_helps_then() {
        let (desk, relief) = (Desk::new(), Relief::default());
        assert!(relief.expect(&desk.connection));
        assert!(!relief.expect(&desk.connection), "one at a time");
        assert!(!relief.end(), "he leaves before");
        assert!(relief.expect(&desk.connection));
        relief.ring();
        assert!(desk.is_relieved());
        assert!(relief.end());
        assert!(!relief.expect(&desk.connection), "it is over");
    }

    #[test]
    fn the_end_of_a_task_relieves_nobody_who_has_left() {
        let (desk, relief) = (Desk::new(), Relief::default());
        assert!(relief.expect(&desk.connection));
        assert!(!relief.end());
        relief.ring();
        assert!(!desk.is_relieved());
        assert!(!relief.expect(&desk.connection), "it is over");
    }
}
