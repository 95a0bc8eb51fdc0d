//! [`Settings`]: how much work is done, and which peers take part.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) effort: Effort,
    /// Parts of the names of peers that take part. If it is empty, all do.
    pub(crate) peers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Effort {
    Full,
    /// A tenth of the work, in fewer rounds.
    Quick,
}

impl Settings {
    /// Returns `times`, or in a quick run a tenth of it.
    pub(crate) fn scaled(&self, times: u64) -> u64 {
        let part = match self.effort {
            Effort::Full => 1,
            Effort::Quick => 10,
        };
        (times / part).max(1)
    }

    /// Returns `true` if a peer of this name takes part.
    pub(crate) fn invites(&self, peer: &str) -> bool {
        picks(&self.peers, peer)
    }
}

/// Returns `true` if the name contains one of the parts, without regard to case, or if there are no parts.
pub(crate) fn picks(parts: &[String], name: &str) -> bool {
    let name = name.to_lowercase();
    parts.is_empty() || parts.iter().any(|part| name.contains(&part.to_lowercase()))
}

impl Effort {
    /// Returns the least and the greatest number of rounds.
    pub(crate) fn rounds(self) -> (usize, usize) {
        match self {
            Self::Full => (3, 31),
            Self::Quick => (3, 9),
        }
    }

    /// Returns the time after which no further round begins once the least number is reached, because some machines are
    /// slow and some contests are long.
    pub(crate) fn budget(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(8),
            Self::Quick => Duration::from_millis(400),
        }
    }
}
