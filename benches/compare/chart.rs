//! The chart: the figure of each contestant as a multiple of the figure of this crate, on a logarithmic scale. There is
//! one group of bars for each workload.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contest::{Role, Standing, Standings};
use crate::report::number;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

const WIDTH: i32 = 1000;
/// The columns between which the bars are drawn. Names are to the left of them, figures to the right.
const BARS: (i32, i32) = (250, 860);
const TOP: i32 = 90;
const LINE: i32 = 17;
const FONT: &str = "sans-serif";

/// Draws a title, and a group for each workload that has at least two contestants with a figure. Returns the SVG.
pub(crate) fn draw(workloads: &[Standings]) -> Result<String, String> {
    let groups: Vec<Group<'_>> = workloads.iter().filter_map(Group::of).collect();
    let lines: usize = groups.iter().map(|group| group.bars.len() + 2).sum();
    let height = TOP + LINE * lines as i32 + LINE;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
        draw_on(&area, &groups, height).map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// A workload, and its contestants that have a bar.
struct Group<'a> {
    workload: &'a Standings,
    /// Each with the ratio of its figure to the first figure of this crate.
    bars: Vec<(&'a Standing, f64)>,
}

impl<'a> Group<'a> {
    fn of(workload: &'a Standings) -> Option<Self> {
        // There is no ratio to zero.
        let positive = |standing: &Standing| standing.figure.filter(|figure| *figure > 0.0);
        let ours = workload.contestants.iter().find(|standing| standing.role == Role::Ours)?;
        let ours = positive(ours)?;
        let bars = workload.contestants.iter().filter_map(|standing| Some((standing, positive(standing)? / ours)));
        let bars: Vec<_> = bars.collect();
        (bars.len() > 1).then_some(Self { workload, bars })
    }
}

/// The powers of ten between which all ratios are.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    fn of(groups: &[Group<'_>]) -> Self {
        let ratios = groups.iter().flat_map(|group| &group.bars).map(|(_, ratio)| ratio.log10());
        let (least, greatest) = ratios.fold((0.0, 0.0), |(a, b): (f64, f64), ratio| (a.min(ratio), b.max(ratio)));
        Self { from: (least.floor() as i32).min(-1), to: (greatest.ceil() as i32).max(1) }
    }

    /// Returns the column of a ratio.
    fn x(&self, ratio: f64) -> i32 {
        let part = (ratio.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        BARS.0 + (part * f64::from(BARS.1 - BARS.0)).round() as i32
    }
}

/// Returns the colour of a role. Colour-blind readers can tell these colours apart.
fn colour(role: Role) -> RGBColor {
    match role {
        Role::Ours => RGBColor(0x00, 0x72, 0xB2),
        Role::Peer => RGBColor(0xE6, 0x9F, 0x00),
        Role::Python => RGBColor(0x00, 0x9E, 0x73),
        Role::Limit => RGBColor(0x99, 0x99, 0x99),
    }
}

fn draw_on(area: &Area<'_>, groups: &[Group<'_>], height: i32) -> Drawn {
    let at = |x: HPos, size: i32| (FONT, size).into_font().color(&BLACK).pos(Pos::new(x, VPos::Center));
    let axis = Axis::of(groups);
    area.fill(&WHITE)?;
    let title =
        "Time or memory in times of this crate's: what goes to the right takes more, what goes to the left takes less";
    area.draw_text(title, &at(HPos::Left, 16), (20, 20))?;
    let legend = [("this crate", Role::Ours), ("peer", Role::Peer), ("Python", Role::Python), ("limit", Role::Limit)];
    for (x, (name, role)) in (20..).step_by(110).zip(legend) {
        area.draw(&Rectangle::new([(x, 40), (x + 12, 52)], colour(role).filled()))?;
        area.draw_text(name, &at(HPos::Left, 13), (x + 18, 46))?;
    }
    for power in axis.from..=axis.to {
        let x = axis.x(10_f64.powi(power));
        let line = if power == 0 { BLACK.mix(0.6) } else { BLACK.mix(0.12) };
        area.draw(&PathElement::new([(x, TOP - 10), (x, height - 10)], line))?;
        area.draw_text(&format!("{} x", 10_f64.powi(power)), &at(HPos::Center, 12), (x, TOP - 20))?;
    }
    let mut y = TOP;
    for Group { workload, bars } in groups {
        let bold = (FONT, 13).into_font().style(FontStyle::Bold).color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&workload.workload, &bold, (20, y))?;
        for (standing, ratio) in bars {
            y += LINE;
            let (one, end) = (axis.x(1.0), axis.x(*ratio));
            // The bar of this crate has no length, so it gets some.
            let corners = [(one.min(end) - 1, y - 5), (one.max(end) + 1, y + 5)];
            area.draw(&Rectangle::new(corners, colour(standing.role).filled()))?;
            area.draw_text(&standing.name, &at(HPos::Right, 12), (BARS.0 - 10, y))?;
            let median = standing.shown.map(|shown| number(shown.median)).unwrap_or_default();
            let figure = format!("{median} {}", workload.unit.name());
            area.draw_text(&figure, &at(HPos::Right, 12), (WIDTH - 20, y))?;
        }
        y += 2 * LINE;
    }
    area.present()
}
