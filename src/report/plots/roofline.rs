//! The roofline: what each layer's phases reach beside what array and DRAM allow. Knows no machine: the roofs are the report's.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::prelude::*;

use crate::program::Phase;
use crate::report::figure::{COLOURS, Drawn, Figure, PlotError, save_as};
use crate::report::legend::{Legend, Mark};
use crate::report::{Layer, Peak, Report};

/// A phase of a layer in the roofline.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    name: String,
    phase: usize,
    /// Useful products by byte to or from DRAM.
    intensity: f64,
    /// Useful products by cycle.
    rate: f64,
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn points(layers: &[Layer], peak: Peak) -> Vec<Point> {
    let mut points = Vec::new();
    for layer in layers {
        for part in &layer.phases {
            let phase = Phase::ALL.iter().position(|p| p.name() == part.phase);
            let (Some(phase), true) = (phase, part.useful_products > 0) else { continue };
            let useful = part.useful_products as f64;
            let intensity = useful / part.dram_bytes.max(1) as f64;
            // Loads may run ahead, while the part before still counts the cycles: no more than the roof is reached.
            let rate = (useful / part.cycles.max(1) as f64).min(roof(peak, intensity));
            points.push(Point { name: layer.name.clone(), phase, intensity, rate });
        }
    }
    points
}

/// The most products a cycle at so many products a byte.
#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn roof(peak: Peak, intensity: f64) -> f64 {
    (peak.products_per_cycle as f64).min(peak.dram_bytes_per_cycle as f64 * intensity)
}

/// The roofline of a run's training, or of an estimate.
pub(super) struct Roofline {
    title: String,
    points: Vec<Point>,
    peak: Peak,
}

impl Roofline {
    /// That of a report.
    pub(super) fn of(report: &Report) -> Self {
        let title = format!("Roofline of training, {}", report.machine);
        Roofline { title, points: points(&report.layers, report.peak), peak: report.peak }
    }
}

impl Figure for Roofline {
    fn name(&self) -> &'static str {
        "roofline"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        draw(&self.title, &self.points, self.peak, area)
    }
}

/// Draws the roofline of layers into a file, PNG or SVG by its name.
///
/// # Errors
/// A name of neither kind, or a picture that cannot be written.
pub fn roofline(title: &str, layers: &[Layer], peak: Peak, path: &Path) -> Result<(), PlotError> {
    save_as(&Roofline { title: title.to_owned(), points: points(layers, peak), peak }, path)
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn draw<B: DrawingBackend>(
    title: &str,
    points: &[Point],
    peak: Peak,
    area: &DrawingArea<B, Shift>,
) -> Drawn<B> {
    let top = peak.products_per_cycle as f64;
    let ridge = top / peak.dram_bytes_per_cycle as f64;
    let ends = |of: &dyn Fn(&Point) -> f64, least: f64, greatest: f64| {
        points.iter().map(of).fold((least, greatest), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (left, right) = ends(&|p| p.intensity, ridge, ridge);
    let (low, _) = ends(&|p| p.rate, top, top);
    let (left, right, low) = (left / 2.0, right * 3.0, low / 2.5);
    let mut legend = Legend::default();
    for (phase, colour) in COLOURS.into_iter().enumerate() {
        if points.iter().any(|p| p.phase == phase) {
            legend.add(Phase::ALL[phase].name(), Mark::Dot, colour);
        }
    }
    let area = &legend.beneath(area)?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 24))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d((left..right).log_scale(), (low..top * 2.0).log_scale())?;
    let number = |v: &f64| if *v < 1.0 { format!("{v:.2}") } else { format!("{v:.0}") };
    chart
        .configure_mesh()
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .x_desc("useful products a byte of DRAM traffic")
        .y_desc("useful products a cycle")
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .draw()?;
    let edge = [(left, roof(peak, left)), (ridge.clamp(left, right), top), (right, top)];
    chart.draw_series(LineSeries::new(edge, BLACK.stroke_width(2)))?;
    for (phase, colour) in COLOURS.into_iter().enumerate() {
        let of_phase = points.iter().filter(|p| p.phase == phase);
        chart.draw_series(of_phase.map(|p| Circle::new((p.intensity, p.rate), 5, colour.filled())))?;
    }
    labels(&chart, points, peak, (left, right))
}

type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<LogCoord<f64>, LogCoord<f64>>>;

/// Width of a label's letters and its height, pixels.
const LETTER: (i32, i32) = (8, 16);

/// Names points and roofs; a name stands where it covers no other point or name, as near as it can.
#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn labels<B: DrawingBackend>(
    chart: &Chart<'_, B>,
    points: &[Point],
    peak: Peak,
    (left, right): (f64, f64),
) -> Drawn<B> {
    let area = chart.plotting_area();
    let at = |x: f64, y: f64| area.map_coordinate(&(x, y));
    let plain = ("sans-serif", 15).into_font();
    let root = area.strip_coord_spec();
    let (origin_x, origin_y) = area.get_base_pixel();
    let inside = |(x, y): (i32, i32)| (x - origin_x, y - origin_y);
    let mut taken: Vec<[i32; 4]> = points
        .iter()
        .map(|p| inside(at(p.intensity, p.rate)))
        .map(|(x, y)| [x - 6, y - 6, x + 6, y + 6])
        .collect();
    let top = peak.products_per_cycle as f64;
    // Names keep off the roof's line too.
    let steps = 200;
    taken.extend((0..=steps).map(|i| {
        let intensity = left * (right / left).powf(f64::from(i) / f64::from(steps));
        let (x, y) = inside(at(intensity, roof(peak, intensity)));
        [x - 1, y - 2, x + 1, y + 2]
    }));
    let (x, y) = inside(at(right, top));
    let array = format!("array: {} products a cycle", peak.products_per_cycle);
    let width = LETTER.0 * i32::try_from(array.len()).unwrap_or(0);
    root.draw_text(&array, &plain.clone().into(), (x - width, y - 22))?;
    taken.push([x - width, y - 24, x, y]);
    // Above the slope, where no point can be.
    let slope = (top / peak.dram_bytes_per_cycle as f64).min(right);
    let middle = left * (slope / left).powf(0.75);
    let (x, y) = inside(at(middle, roof(peak, middle)));
    let dram = format!("DRAM: {} bytes a cycle", peak.dram_bytes_per_cycle);
    let width = LETTER.0 * i32::try_from(dram.len()).unwrap_or(0);
    root.draw_text(&dram, &plain.clone().into(), (x - width - 8, y - 18))?;
    taken.push([x - width - 8, y - 18, x - 8, y - 2]);
    for point in points {
        let (x, y) = inside(at(point.intensity, point.rate));
        let width = LETTER.0 * i32::try_from(point.name.chars().count()).unwrap_or(0);
        let places = [
            (9, -8),
            (-width - 9, -8),
            (-width / 2, 9),
            (-width / 2, -25),
            (9, 8),
            (9, -24),
            (-width - 9, 8),
        ];
        let boxed = |(dx, dy): (i32, i32)| [x + dx, y + dy, x + dx + width, y + dy + LETTER.1];
        let free =
            |b: &[i32; 4]| taken.iter().all(|t| b[2] < t[0] || t[2] < b[0] || b[3] < t[1] || t[3] < b[1]);
        // Where all are taken the first serves.
        let place = places.into_iter().find(|&p| free(&boxed(p))).unwrap_or(places[0]);
        let found = boxed(place);
        root.draw_text(&point.name, &plain.color(&COLOURS[point.phase]), (found[0], found[1]))?;
        taken.push(found);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_is_dram_up_to_the_ridge_and_the_array_beyond() {
        let peak = Peak { products_per_cycle: 1024, dram_bytes_per_cycle: 32 };
        for (intensity, expected) in [(1.0, 32.0), (16.0, 512.0), (32.0, 1024.0), (500.0, 1024.0)] {
            assert!((roof(peak, intensity) - expected).abs() < 1e-9, "{intensity}");
        }
    }

    #[test]
    fn a_picture_is_a_png_or_an_svg() {
        let peak = Peak { products_per_cycle: 4, dram_bytes_per_cycle: 1 };
        let error = roofline("t", &[], peak, Path::new("a.gif")).unwrap_err().to_string();
        assert!(error.contains("a.gif") && error.contains(".svg"), "{error}");
    }
}
