//! [`Contest`]: contestants take turns, round after round, so that whatever else the machine does falls on all of them alike.

use std::fmt;
use std::time::{Duration, Instant};

/// Does its work so many times over, and says how long that took.
type Run<'a> = Box<dyn FnMut(u64) -> Duration + 'a>;

#[derive(Default)]
pub(crate) struct Contest<'a> {
    contestants: Vec<Contestant<'a>>,
}

pub(crate) struct Contestant<'a> {
    name: &'static str,
    /// How often a round does it.
    times: u64,
    scale: Scale,
    /// Whose time its own is compared to.
    against: Option<&'static str>,
    target: Option<Target>,
    run: Run<'a>,
    /// Seconds that one took, a figure a round.
    seconds: Vec<f64>,
}

/// How a figure is shown.
#[derive(Clone, Copy)]
pub(crate) enum Scale {
    Micros,
    Millis,
    /// One is so many bytes.
    Gigabytes(u64),
}

/// What the median is to be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many microseconds.
    Micros(f64),
    /// At most so many milliseconds.
    Millis(f64),
    /// At least so many gigabytes a second.
    Gigabytes(f64),
    /// At most so many times what the other contestant takes.
    Times(f64),
}

impl<'a> Contest<'a> {
    pub(crate) fn enter(
        &mut self,
        name: &'static str,
        times: u64,
        scale: Scale,
        run: impl FnMut(u64) -> Duration + 'a,
    ) -> &mut Contestant<'a> {
        let (run, seconds) = (Box::new(run), Vec::new());
        self.contestants.push(Contestant { name, times, scale, against: None, target: None, run, seconds });
        self.contestants.last_mut().expect("it was entered a moment ago")
    }

    /// A round to warm up, then `rounds` that count.
    pub(crate) fn run(&mut self, rounds: usize) {
        for round in 0..=rounds {
            for contestant in &mut self.contestants {
                let took = (contestant.run)(contestant.times);
                if round > 0 {
                    contestant.seconds.push(took.as_secs_f64() / contestant.times as f64);
                }
            }
        }
    }

    /// The median of what it is in times of the other, round by round.
    fn ratio(&self, contestant: &Contestant<'_>) -> Option<f64> {
        let against = contestant.against?;
        let other = self.contestants.iter().find(|other| other.name == against).expect("a contestant of this name");
        let ratios = contestant.seconds.iter().zip(&other.seconds).map(|(own, other)| own / other);
        Some(Spread::of(ratios).median)
    }
}

/// A target, and whether it is met.
pub(crate) fn verdict(target: &str, met: bool) -> String {
    format!("{target}: {}", if met { "met" } else { "not met" })
}

impl Contestant<'_> {
    pub(crate) fn against(&mut self, other: &'static str) -> &mut Self {
        self.against = Some(other);
        self
    }

    pub(crate) fn target(&mut self, target: Target) -> &mut Self {
        self.target = Some(target);
        self
    }
}

impl Target {
    /// `figure` is in the unit of the target.
    fn judge(self, figure: f64, ratio: Option<f64>) -> String {
        match self {
            Self::Micros(limit) => verdict(&format!("<= {limit} us"), figure <= limit),
            Self::Millis(limit) => verdict(&format!("<= {limit} ms"), figure <= limit),
            Self::Gigabytes(limit) => verdict(&format!(">= {limit} GB/s"), figure >= limit),
            Self::Times(limit) => verdict(&format!("<= {limit} x"), ratio.is_some_and(|ratio| ratio <= limit)),
        }
    }
}

struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Self { min: figures[0], median: figures[figures.len() / 2], max: figures[figures.len() - 1] }
    }
}

impl Scale {
    fn of(self, seconds: f64) -> f64 {
        match self {
            Self::Micros => seconds * 1e6,
            Self::Millis => seconds * 1e3,
            Self::Gigabytes(bytes) => bytes as f64 / seconds / 1e9,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Gigabytes(_) => "GB/s",
        }
    }
}

/// A table in Markdown.
impl fmt::Display for Contest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| {:<29} | {:>10} | {:>16} | {:<34} | {:<18} |",
            "what", "median", "min .. max", "time", "target"
        )?;
        writeln!(f, "|{:-<31}|{:->11}:|{:->17}:|{:-<36}|{:-<20}|", "", "", "", "", "")?;
        for contestant in &self.contestants {
            let scale = contestant.scale;
            let Spread { min, median, max } = Spread::of(contestant.seconds.iter().map(|seconds| scale.of(*seconds)));
            let (median_text, spread) = (format!("{median:.2} {}", scale.unit()), format!("{min:.2} .. {max:.2}"));
            let ratio = self.ratio(contestant);
            let against = ratio.zip(contestant.against).map(|(ratio, other)| format!("{ratio:.2} x {other}"));
            let against = against.unwrap_or_default();
            let target = contestant.target.map(|target| target.judge(median, ratio)).unwrap_or_default();
            let name = contestant.name;
            writeln!(f, "| {name:<29} | {median_text:>10} | {spread:>16} | {against:<34} | {target:<18} |")?;
        }
        Ok(())
    }
}

/// How long this takes. What it returns is dropped off the clock.
pub(crate) fn time<R>(work: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    drop(std::hint::black_box(result));
    took
}
