//! The picture: for each executor a line for each task that waits, and below them a row of bars for each worker.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;

use crate::bars::Bar;
use crate::rows::Row;
use crate::trace_file::title;

const WIDTH: u32 = 900;
const FONT: &str = "sans-serif";
const LEFT: i32 = 190;
const RIGHT: i32 = 20;
/// The height of a row of bars, and of a line for a task that waits.
const ROW: i32 = 20;
const LINE: i32 = 4;
/// The height of the name of an executor, and of the axis.
const HEAD: i32 = 34;
const AXIS: i32 = 40;
/// Colours that colour-blind readers can tell apart.
const COLOURS: [RGBColor; 3] = [RGBColor(0x00, 0x72, 0xB2), RGBColor(0xD5, 0x5E, 0x00), RGBColor(0x00, 0x9E, 0x73)];

type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// Writes the picture as SVG.
pub(crate) fn write(path: &Path, rows: &[Row<'_>]) -> io::Result<()> {
    fs::write(path, draw(rows).map_err(|error| io::Error::other(error.to_string()))?)
}

fn draw(rows: &[Row<'_>]) -> Result<String, DrawingAreaErrorKind<io::Error>> {
    let groups: Vec<&[Row<'_>]> = rows.chunk_by(|one, next| one.executor == next.executor).collect();
    let height = groups.iter().map(|group| height_of(group)).sum::<i32>() + AXIS;
    let end = rows.iter().flat_map(|row| &row.bars).map(|bar| bar.ended()).max().unwrap_or_default();
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height.unsigned_abs())).into_drawing_area();
    area.fill(&WHITE)?;
    let canvas = Canvas { area: &area, end: end.max(Duration::from_millis(1)) };
    canvas.axis(height - AXIS)?;
    let mut top = 0;
    for (group, colour) in groups.iter().zip(COLOURS.iter().cycle()) {
        canvas.executor(group, *colour, top)?;
        top += height_of(group);
    }
    area.present()?;
    drop(area);
    Ok(svg)
}

/// Returns the height of an executor: its name, a line for each task and a row for each worker.
fn height_of(group: &[Row<'_>]) -> i32 {
    HEAD + LINE * tasks(group).len() as i32 + ROW * group.len() as i32
}

/// Returns the tasks of an executor, in the order of submission.
fn tasks<'a>(group: &[Row<'a>]) -> Vec<&'a Bar> {
    let mut tasks: Vec<&Bar> = group.iter().flat_map(|row| row.bars.iter().copied()).collect();
    tasks.sort_by_key(|bar| bar.submitted);
    tasks
}

struct Canvas<'a, 'b> {
    area: &'a DrawingArea<SVGBackend<'b>, plotters::coord::Shift>,
    end: Duration,
}

impl Canvas<'_, '_> {
    fn x(&self, at: Duration) -> i32 {
        let width = f64::from(WIDTH as i32 - LEFT - RIGHT);
        LEFT + (at.as_secs_f64() / self.end.as_secs_f64() * width).round() as i32
    }

    fn axis(&self, bottom: i32) -> Drawn {
        let end = self.end.as_secs_f64();
        let steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
        let step = steps.into_iter().find(|step| end / step <= 10.0).unwrap_or(100.0);
        for tick in (0..).map(|tick| f64::from(tick) * step).take_while(|at| *at <= end) {
            let x = self.x(Duration::from_secs_f64(tick));
            self.area.draw(&PathElement::new([(x, 6), (x, bottom)], BLACK.mix(0.12)))?;
            let text = format!("{} s", (tick * 1000.0).round() / 1000.0);
            self.text(text, (x - 10, bottom + 6), 12)?;
        }
        Ok(())
    }

    fn executor(&self, group: &[Row<'_>], colour: RGBColor, top: i32) -> Drawn {
        self.text(group[0].executor.to_owned(), (10, top + 12), 15)?;
        let tasks = tasks(group);
        if !tasks.is_empty() {
            self.text("in the queue".to_owned(), (26, top + HEAD - 4), 12)?;
        }
        let mut y = top + HEAD;
        for bar in tasks {
            let line = [(self.x(bar.submitted), y + 1), (self.x(bar.started()), y + 1)];
            self.area.draw(&PathElement::new(line, colour.mix(0.45).stroke_width(2)))?;
            y += LINE;
        }
        for row in group {
            self.text(row.worker.to_owned(), (26, y + 5), 12)?;
            for bar in &row.bars {
                let (left, right) = (self.x(bar.started()), self.x(bar.ended()));
                let corners = [(left, y + 2), (right.max(left + 2), y + ROW - 2)];
                self.area.draw(&Rectangle::new(corners, colour.mix(0.85).filled()))?;
                self.area.draw(&PathElement::new([(left, y + 2), (left, y + ROW - 2)], WHITE))?;
                let short = title(bar).rsplit([' ', ':']).next().unwrap_or_default();
                if right - left > 8 * short.len() as i32 {
                    let style = TextStyle::from((FONT, 11).into_font()).color(&WHITE);
                    self.area.draw(&Text::new(short.to_owned(), (left + 4, y + 6), style))?;
                }
            }
            y += ROW;
        }
        Ok(())
    }

    fn text(&self, text: String, at: (i32, i32), size: i32) -> Drawn {
        let grey = BLACK.mix(0.8);
        let style = TextStyle::from((FONT, size).into_font()).color(&grey);
        self.area.draw(&Text::new(text, at, style))
    }
}
