//! [`Target`]: a figure that this crate should reach, and whether it does.

use serde::{Deserialize, Serialize};

use crate::contest::{Contestant, Role};
use crate::spread::Spread;
use crate::unit::Unit;

#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most this many times the time of the fastest peer in Rust.
    BestPeer(f64),
    /// At most this many times the time of the contestant of this name.
    Times(&'static str, f64),
    /// At most this many times the time of the contestant of this name, in nine of ten rounds.
    NeverAbove(&'static str, f64),
    /// At least this part of the speed of the contestant of this name.
    Share(&'static str, f64),
    /// At most this, in the unit of the contest.
    AtMost(f64),
    /// At least this, in the unit of the contest.
    AtLeast(f64),
}

/// Whether a target is met, or how a contestant without one compares with the fastest peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Judgement {
    /// The contestant that it was compared with.
    pub(crate) against: Option<String>,
    /// The ratios of the rounds: own time to theirs, and for a share theirs to the own.
    pub(crate) ratio: Option<Spread>,
    pub(crate) target: Option<String>,
    pub(crate) met: Option<bool>,
    /// `true` if `ratio` is one of speeds.
    pub(crate) of_speed: bool,
}

impl Target {
    /// Returns `None` if there is nothing to compare with, because the command line left it out.
    fn judge(self, own: &Contestant, all: &[Contestant], unit: Unit) -> Option<Judgement> {
        let of_figure = |sign: &str, limit: f64, met: bool| {
            let target = format!("{sign} {limit} {}", unit.name());
            Some(Judgement { target: Some(target.trim_end().into()), met: Some(met), ..Judgement::default() })
        };
        match self {
            Self::BestPeer(limit) => Some(Judgement::at_most(own, best_peer(all)?, limit, |ratio| ratio.median)),
            Self::Times(name, limit) => Some(Judgement::at_most(own, named(name, all)?, limit, |ratio| ratio.median)),
            Self::NeverAbove(name, limit) => {
                let judgement = Judgement::at_most(own, named(name, all)?, limit, |ratio| ratio.p90);
                let target = judgement.target.map(|target| format!("{target} in 9 of 10"));
                Some(Judgement { target, ..judgement })
            }
            Self::Share(name, limit) => {
                let other = named(name, all)?;
                let judgement = Judgement::of_ratio(other, own);
                let target = Some(format!(">= {limit} of its speed"));
                let met = judgement.ratio.map(|ratio| ratio.median >= limit);
                Some(Judgement { against: Some(other.name.into()), target, met, of_speed: true, ..judgement })
            }
            Self::AtMost(limit) => of_figure("<=", limit, unit.of(own.median()?) <= limit),
            Self::AtLeast(limit) => of_figure(">=", limit, unit.of(own.median()?) >= limit),
        }
    }
}

impl Judgement {
    /// Compares the two figures of each round with each other, because a disturbance of a round affects both.
    fn of_ratio(own: &Contestant, other: &Contestant) -> Self {
        let ratios = own.figures.iter().zip(&other.figures).map(|(own, other)| own / other);
        // There is no ratio of two zeros.
        let ratio = Spread::of(ratios).filter(|ratio| ratio.median.is_finite());
        Self { against: Some(other.name.into()), ratio, ..Self::default() }
    }

    fn at_most(own: &Contestant, other: &Contestant, limit: f64, judged: fn(&Spread) -> f64) -> Self {
        let judgement = Self::of_ratio(own, other);
        let met = judgement.ratio.map(|ratio| judged(&ratio) <= limit);
        Self { target: Some(format!("<= {limit} x")), met, ..judgement }
    }
}

/// Judges all targets of one contestant.
pub(crate) fn judge(own: &Contestant, all: &[Contestant], unit: Unit) -> Vec<Judgement> {
    let mut judgements: Vec<_> = own.targets.iter().filter_map(|target| target.judge(own, all, unit)).collect();
    let peer = best_peer(all).filter(|_| own.role == Role::Ours);
    if let Some(peer) = peer
        && judgements.iter().all(|judgement| judgement.against.as_deref() != Some(peer.name))
    {
        judgements.extend(Some(Judgement::of_ratio(own, peer)).filter(|judgement| judgement.ratio.is_some()));
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
