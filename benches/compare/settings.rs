//! [`Settings`]: how much is done, and who takes part.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) effort: Effort,
    /// Parts of the names of peers; empty for all of them.
    pub(crate) peers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effort {
    Full,
    /// For a look.
    Quick,
}

impl Settings {
    /// As many as asked for, or some part of them.
    pub(crate) fn scaled(&self, times: u64) -> u64 {
        let part = match self.effort {
            Effort::Full => 1,
            Effort::Quick => 10,
        };
        (times / part).max(1)
    }

    /// Does a peer of this name take part?
    pub(crate) fn invites(&self, peer: &str) -> bool {
        picks(&self.peers, peer)
    }
}

/// Does a name contain one of these, in capitals or not? There being none picks all.
pub(crate) fn picks(parts: &[String], name: &str) -> bool {
    let name = name.to_lowercase();
    parts.is_empty() || parts.iter().any(|part| name.contains(&part.to_lowercase()))
}

impl Effort {
    /// How many rounds there are at least, and at most.
    pub(crate) fn rounds(self) -> (usize, usize) {
        match self {
            Self::Full => (3, 31),
            Self::Quick => (3, 9),
        }
    }

    /// After how long no further round begins, if there were enough: some machines are slow, and some contests long.
    pub(crate) fn budget(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(8),
            Self::Quick => Duration::from_millis(400),
        }
    }
}
