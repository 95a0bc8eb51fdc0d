//! [`StartFailure`]: why a process that was started as a worker did not become one, reported by its exit code.
#![forbid(unsafe_code)]

/// Why a process with a mark must not become a worker. It exits with a code of its own, before `main`: no socket can be
/// trusted then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) enum StartFailure {
    /// The system gives it other rights than those of the process that started it.
    Rights,
    /// Its mark is not one that a pool writes.
    Unreadable,
    /// The mark is for another program, or another build of this one.
    Program,
    /// Its parent is not the pool's process.
    Parent,
    /// Descriptor 0 is not a socket.
    Socket,
}

impl StartFailure {
    const ALL: [Self; 5] = [Self::Rights, Self::Unreadable, Self::Program, Self::Parent, Self::Socket];

    /// Returns the exit code. It is far from those that programs and shells use.
    pub(in crate::process) fn code(self) -> i32 {
        match self {
            Self::Rights => 231,
            Self::Unreadable => 232,
            Self::Program => 233,
            Self::Parent => 234,
            Self::Socket => 235,
        }
    }

    /// Returns the failure of a process that exited with this code before it said hello.
    pub(in crate::process) fn of(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.code() == code)
    }

    /// Returns the reason and the remedy.
    pub(in crate::process) fn reason(self) -> &'static str {
        match self {
            Self::Rights => {
                "the system gives this program's worker processes other rights than those of who starts them (set-user-ID, \
                 set-group-ID, file capabilities, or effective ids that differ from the real ones), so that anyone could give them \
                 orders: let real and effective ids be the same (`setresuid`, `setresgid`) and the program's file have no such \
                 rights, or use `ThreadPoolExecutor`"
            }
            Self::Unreadable => {
                "a worker process was started with other arguments than the pool gave it: what starts this program's processes in its \
                 place (a wrapper, an emulator) has to hand on their arguments"
            }
            Self::Program => {
                "another program, or another build of this one, was started in place of a worker process: the program's file was \
                 replaced while it ran, and there is no /proc to find the file that runs: mount /proc, or restart the program"
            }
            Self::Parent => {
                "a worker process is not a child of the process that has its pool: what starts this program's processes in its place (a \
                 wrapper, an emulator) must not put another one in between"
            }
            Self::Socket => {
                "a worker process did not find the socket of its pool as its standard input: what runs before it (a wrapper, a preloaded \
                 library, an initialiser of the program) must leave descriptor 0 alone"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::worker::exit::LOST;

    #[test]
    fn each_code_belongs_to_one_failure() {
        for failure in StartFailure::ALL {
            assert_eq!(StartFailure::of(failure.code()), Some(failure));
            assert!(!failure.reason().contains("  "), "{failure:?}");
        }
        for code in [0, 1, 2, LOST, 101, 126, 127, 128 + 9, 255] {
            assert_eq!(StartFailure::of(code), None, "{code}");
        }
    }
}
