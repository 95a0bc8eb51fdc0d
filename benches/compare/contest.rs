//! [`Contest`]: the contestants of one workload take turns, round after round, so that other load on the machine slows
//! all of them alike.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::python;
use crate::settings::Settings;
use crate::spread::{Spread, median};
use crate::surroundings::Surroundings;
use crate::target::{Judgement, Target, judge};
use crate::unit::Unit;

/// Does its work the given number of times, and returns the figure for all of it: the seconds that it took, unless the
/// [`Unit`] is one of something else.
type Run = Box<dyn FnMut(u64) -> f64>;

pub(crate) struct Contest<'s> {
    name: String,
    pub(crate) unit: Unit,
    pub(crate) surroundings: Surroundings,
    pub(crate) settings: &'s Settings,
    once: bool,
    contestants: Vec<Contestant>,
}

pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) targets: Vec<Target>,
    /// The figure of one task, item or future, for each round.
    pub(crate) figures: Vec<f64>,
    /// How many of them there are in a round.
    times: u64,
    /// The work, or the reason why the contestant cannot take part.
    run: Result<Run, &'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// This crate.
    Ours,
    /// A crate that users would pick instead.
    Peer,
    /// An executor of Python.
    Python,
    /// Handwritten code that does the least that the workload needs.
    Limit,
}

impl<'s> Contest<'s> {
    pub(crate) fn new(name: &str, unit: Unit, surroundings: Surroundings, settings: &'s Settings) -> Self {
        Self { name: surroundings.name(name), unit, surroundings, settings, once: false, contestants: Vec::new() }
    }

    /// Runs one round only, without one to warm up, for figures that hardly vary or that take long.
    pub(crate) fn once(&mut self) {
        self.once = true;
    }

    /// Enters a contestant of this crate.
    pub(crate) fn ours(
        &mut self,
        name: &'static str,
        times: u64,
        run: impl FnMut(u64) -> f64 + 'static,
    ) -> &mut Contestant {
        self.enter(name, Role::Ours, times, Ok(Box::new(run)))
    }

    /// Enters a limit.
    pub(crate) fn limit(&mut self, name: &'static str, times: u64, run: impl FnMut(u64) -> f64 + 'static) {
        self.enter(name, Role::Limit, times, Ok(Box::new(run)));
    }

    /// Enters a peer, unless the command line leaves it out.
    pub(crate) fn peer(&mut self, name: &'static str, times: u64, run: impl FnMut(u64) -> f64 + 'static) {
        if self.settings.invites(name) {
            self.enter(name, Role::Peer, times, Ok(Box::new(run)));
        }
    }

    /// Enters a workload of `peers.py`, unless the command line leaves it out. If it cannot run here, its row says why.
    pub(crate) fn python(&mut self, name: &'static str, times: u64, workload: &'static str) {
        if self.settings.invites(name) {
            self.enter(name, Role::Python, times, python::run(workload).map(|run| Box::new(run) as _));
        }
    }

    fn enter(&mut self, name: &'static str, role: Role, times: u64, run: Result<Run, &'static str>) -> &mut Contestant {
        self.contestants.push(Contestant { name, role, targets: Vec::new(), figures: Vec::new(), times, run });
        self.contestants.last_mut().expect("it was entered a moment ago")
    }

    /// Runs all rounds, and judges the targets.
    pub(crate) fn run(mut self) -> Standings {
        let _neighbour = self.surroundings.enter();
        let effort = self.settings.effort;
        let ((at_least, at_most), warm_up) = if self.once { ((1, 1), 0) } else { (effort.rounds(), 1) };
        (0..warm_up).for_each(|_| drop(self.round()));
        let start = Instant::now();
        for round in 1..=at_most {
            let figures = self.round();
            for (contestant, figure) in self.contestants.iter_mut().zip(figures) {
                contestant.figures.extend(figure);
            }
            if round >= at_least && start.elapsed() >= effort.budget() {
                break;
            }
        }
        let Self { name, unit, contestants, .. } = self;
        let standing = |contestant: &Contestant| Standing {
            name: contestant.name.to_owned(),
            role: contestant.role,
            absent: contestant.run.as_ref().err().map(|why| (*why).to_owned()),
            figure: contestant.median(),
            shown: Spread::of(contestant.figures.iter().map(|figure| unit.of(*figure))),
            judgements: judge(contestant, &contestants, unit),
        };
        Standings { workload: name, unit, contestants: contestants.iter().map(standing).collect() }
    }

    /// Runs one round: the contestants one after the other. Returns the figure of each.
    fn round(&mut self) -> Vec<Option<f64>> {
        let turn = |contestant: &mut Contestant| {
            let run = contestant.run.as_mut().ok()?;
            Some(run(contestant.times) / contestant.times as f64)
        };
        self.contestants.iter_mut().map(turn).collect()
    }
}

impl Contestant {
    pub(crate) fn target(&mut self, target: Target) -> &mut Self {
        self.targets.push(target);
        self
    }

    /// Returns the median over the rounds, in seconds or in what the unit is of.
    pub(crate) fn median(&self) -> Option<f64> {
        median(self.figures.iter().copied())
    }
}

/// How a contest ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standings {
    pub(crate) workload: String,
    pub(crate) unit: Unit,
    pub(crate) contestants: Vec<Standing>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The reason why the contestant did not take part.
    pub(crate) absent: Option<String>,
    /// The median, in seconds or in what the unit is of.
    pub(crate) figure: Option<f64>,
    /// The figures in the unit of the workload.
    pub(crate) shown: Option<Spread>,
    pub(crate) judgements: Vec<Judgement>,
}

/// Returns how many seconds `work` takes. The drop of its result is not measured.
pub(crate) fn time<R>(work: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    drop(std::hint::black_box(result));
    took.as_secs_f64()
}
