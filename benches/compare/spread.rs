//! [`Spread`]: the median, the 10th and the 90th percentile of some figures, and whether the figures have two modes.

use serde::{Deserialize, Serialize};
use statrs::statistics::{Data, OrderStatistics as _};

/// Two neighbouring figures that differ by this factor, with enough figures on both sides, separate two modes.
const GAP: f64 = 1.5;
/// The part of the figures that each of two modes has at least.
const PART: f64 = 0.2;
/// Figures whose 90th percentile is more than this many times the 10th are called wide.
const WIDE: f64 = 2.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) p10: f64,
    pub(crate) median: f64,
    pub(crate) p90: f64,
    /// The medians of the two modes, if there are two.
    pub(crate) modes: Option<[f64; 2]>,
}

impl Spread {
    /// Returns `None` if there are no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let modes = two_modes(&figures);
        let mut figures = Data::new(figures);
        // Percentiles by the method R-8, which Hyndman and Fan (1996) recommend: between two figures, it interpolates.
        (!figures.is_empty()).then(|| Self {
            p10: figures.percentile(10),
            median: figures.median(),
            p90: figures.percentile(90),
            modes,
        })
    }

    /// Returns `true` if the 90th percentile is more than twice the 10th.
    pub(crate) fn is_wide(&self) -> bool {
        self.p90.max(self.p10) > WIDE * self.p90.min(self.p10)
    }
}

pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    Some(Spread::of(figures)?.median)
}

/// Splits sorted figures at the widest gap that leaves a fifth of them on each side. If that gap is wide, returns the
/// medians of both sides.
fn two_modes(sorted: &[f64]) -> Option<[f64; 2]> {
    let least = ((sorted.len() as f64 * PART).ceil() as usize).max(2);
    let gap = |at: usize| sorted[at] / sorted[at - 1];
    let at = (least..=sorted.len().checked_sub(least)?).max_by(|a, b| gap(*a).total_cmp(&gap(*b)))?;
    // There is no ratio of two zeros.
    (gap(at).is_finite() && gap(at) >= GAP).then(|| {
        let (below, above) = sorted.split_at(at);
        [below, above].map(|side| Data::new(side.to_vec()).median())
    })
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn percentiles_lie_between_the_figures() {
        let spread = Spread::of((1..=11).map(f64::from)).unwrap();
        assert_eq!(spread.median, 6.0);
        assert!((1.0..2.0).contains(&spread.p10) && (10.0..11.0).contains(&spread.p90), "{spread:?}");
        assert_eq!((spread.modes, spread.is_wide()), (None, true));
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([0.0; 5]).unwrap().modes, None);
    }

    #[test]
    fn two_modes_are_told_from_one_wide_one_and_from_an_outlier() {
        let modes = |figures: &[f64]| Spread::of(figures.iter().copied()).unwrap().modes;
        assert_eq!(modes(&[8.0, 1.4, 1.5, 8.2, 1.3, 8.1]), Some([1.4, 8.1]));
        assert_eq!(modes(&[1.0, 1.3, 1.7, 2.2, 2.8, 3.6]), None);
        assert_eq!(modes(&[1.4, 1.5, 1.3, 1.4, 1.5, 1.4, 1.3, 9.0]), None);
    }
}
