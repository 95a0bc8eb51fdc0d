//! The plot of speed-up over workers.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::contest::Standing;

const SIZE: (u32, u32) = (720, 480);
const FONT: &str = "sans-serif";
/// Colours that also those can tell apart who see few.
const COLOURS: [RGBColor; 3] = [RGBColor(0x55, 0x55, 0x55), RGBColor(0x00, 0x72, 0xB2), RGBColor(0xD5, 0x5E, 0x00)];

/// Writes the plot as SVG, in a directory that is made if need be.
pub(crate) fn write(path: &Path, standings: &[Standing]) -> Result<(), Box<dyn Error>> {
    let svg = draw(standings).map_err(|error| error.to_string())?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    Ok(fs::write(path, svg)?)
}

/// A line for each kind of executor. The sequential one has no workers: it is a line all the way.
fn draw(standings: &[Standing]) -> Result<String, DrawingAreaErrorKind<std::io::Error>> {
    let most = standings.iter().map(|standing| standing.workers).max().unwrap_or(1) as f64;
    let best = standings.iter().map(|standing| standing.speed_up).fold(1.0, f64::max);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("SHA-256 of many buffers", (FONT, 20))
        .margin(20)
        .x_label_area_size(45)
        .y_label_area_size(55)
        .build_cartesian_2d(0.0..most + 0.5, 0.0..best * 1.15)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels((most as usize + 1).min(17))
        .x_label_formatter(&|workers| format!("{workers:.0}"))
        .y_label_formatter(&|speed_up| format!("{speed_up:.1}"))
        .x_desc("workers")
        .y_desc("speed-up against sequential")
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .draw()?;
    for (group, colour) in standings.chunk_by(|a, b| a.kind == b.kind).zip(COLOURS.iter().cycle()) {
        let mut points: Vec<(f64, f64)> =
            group.iter().map(|standing| (standing.workers as f64, standing.speed_up)).collect();
        let alone = points.len() == 1 && group[0].kind == "sequential";
        if alone {
            points = vec![(0.0, points[0].1), (most + 0.5, points[0].1)];
        }
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(group[0].kind)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        if !alone {
            chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, colour.filled())))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 14))
        .draw()?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(svg)
}

#[cfg(test)]
mod tests {
    //! The plot shows who took part.
    use std::time::Duration;

    use super::{COLOURS, write};
    use crate::contest::Standing;

    #[test]
    fn every_kind_has_a_line() {
        let standing = |kind, workers, speed_up| Standing { kind, workers, time: Duration::from_secs(1), speed_up };
        let standings = [standing("sequential", 1, 1.0), standing("threads", 1, 0.9), standing("threads", 2, 1.9)];
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/plot.svg");
        write(&path, &standings).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        // The line itself and that in the legend; and the points of the threads.
        for colour in COLOURS.iter().take(2) {
            let colour = format!("stroke=\"#{:02X}{:02X}{:02X}\" stroke-width=\"2\"", colour.0, colour.1, colour.2);
            assert_eq!(svg.matches(&colour).count(), 2, "{colour}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        for text in ["sequential", "threads", "workers", "speed-up"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }
}
