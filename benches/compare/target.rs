//! [`Target`]: what this crate is to reach, and whether it does.

use serde::Serialize;

use crate::contest::{Contestant, Role};
use crate::spread::median;
use crate::unit::Unit;

#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times what the best peer in Rust takes.
    BestPeer(f64),
    /// At most so many times what the contestant of this name takes.
    Times(&'static str, f64),
    /// At least so much of the speed of the contestant of this name.
    Share(&'static str, f64),
    /// At most so much, in the unit of the contest.
    AtMost(f64),
    /// At least so much, in the unit of the contest.
    AtLeast(f64),
}

/// What came of a target, or how a contestant without one did against the best peer.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Judgement {
    /// Who it was compared with.
    pub(crate) against: Option<&'static str>,
    /// The median of what each round came to: of own time to theirs, but for a share the other way round.
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<String>,
    pub(crate) met: Option<bool>,
    /// Is `ratio` one of speeds?
    pub(crate) of_speed: bool,
}

impl Target {
    /// `None` if there is nobody to compare with: the command line left them out.
    fn judge(self, own: &Contestant, all: &[Contestant], unit: Unit) -> Option<Judgement> {
        let (other, limit, of_speed) = match self {
            Self::BestPeer(limit) => (best_peer(all)?, limit, false),
            Self::Times(name, limit) => (named(name, all)?, limit, false),
            Self::Share(name, limit) => (named(name, all)?, limit, true),
            Self::AtMost(limit) => {
                return Some(Judgement::of_figure("<=", limit, unit, unit.of(own.median()?) <= limit));
            }
            Self::AtLeast(limit) => {
                return Some(Judgement::of_figure(">=", limit, unit, unit.of(own.median()?) >= limit));
            }
        };
        let ratio = if of_speed { ratio(other, own)? } else { ratio(own, other)? };
        let (target, met) = if of_speed {
            (format!(">= {limit} of its speed"), ratio >= limit)
        } else {
            (format!("<= {limit} x"), ratio <= limit)
        };
        Some(Judgement {
            against: Some(other.name),
            ratio: Some(ratio),
            target: Some(target),
            met: Some(met),
            of_speed,
        })
    }
}

impl Judgement {
    fn of_figure(sign: &str, limit: f64, unit: Unit, met: bool) -> Self {
        let target = format!("{sign} {limit} {}", unit.name());
        Self { target: Some(target.trim_end().into()), met: Some(met), ..Self::default() }
    }
}

/// What came of all targets of one contestant.
pub(crate) fn judge(own: &Contestant, all: &[Contestant], unit: Unit) -> Vec<Judgement> {
    let mut judgements: Vec<_> = own.targets.iter().filter_map(|target| target.judge(own, all, unit)).collect();
    let peer = best_peer(all).filter(|_| own.role == Role::Ours);
    if let Some(peer) = peer
        && judgements.iter().all(|judgement| judgement.against != Some(peer.name))
    {
        // None of two zeros.
        let ratio = ratio(own, peer).filter(|ratio| ratio.is_finite());
        judgements.extend(ratio.map(|_| Judgement { against: Some(peer.name), ratio, ..Judgement::default() }));
    }
    judgements
}

fn named<'c>(name: &str, all: &'c [Contestant]) -> Option<&'c Contestant> {
    all.iter().find(|contestant| contestant.name == name)
}

fn best_peer(all: &[Contestant]) -> Option<&Contestant> {
    let peers = all.iter().filter(|contestant| contestant.role == Role::Peer);
    let medians = peers.filter_map(|peer| Some((peer, peer.median()?)));
    Some(medians.min_by(|(_, a), (_, b)| a.total_cmp(b))?.0)
}

/// The median of the ratios of the rounds: what disturbs a round disturbs both.
fn ratio(own: &Contestant, other: &Contestant) -> Option<f64> {
    median(own.figures.iter().zip(&other.figures).map(|(own, other)| own / other))
}
