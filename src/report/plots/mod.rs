//! Plots of a run's report.

mod roofline;

pub use roofline::roofline;

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

use super::figure::{COLOURS, Drawn, Figure, PlotError, chart, inline, save};
use super::legend::{Legend, Mark};
use super::widths::{NeededBitsFigure, WidthMap};
use super::{Layer, Report};
use roofline::Roofline;

/// Draws `training` (error and loss by epoch), `cycles` (by layer and phase), `roofline`, `needed-bits` and `width-map` into a folder;
/// what was drawn.
///
/// # Errors
/// When a picture cannot be written.
pub fn plots(report: &Report, dir: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let mut drawn = Vec::new();
    drawn.extend(save(&Training(report), dir)?);
    drawn.extend(save(&Cycles(report), dir)?);
    drawn.extend(save(&Roofline::of(report), dir)?);
    if NeededBitsFigure(report).has_lines() {
        drawn.extend(save(&NeededBitsFigure(report), dir)?);
        drawn.extend(save(&WidthMap(report), dir)?);
    }
    Ok(drawn)
}

/// The same as elements of a page, each with its title.
pub(super) fn elements(report: &Report) -> Result<Vec<(&'static str, String)>, PlotError> {
    let mut elements = vec![
        ("Error by epoch", inline(&Training(report))?),
        ("Cycles by layer and phase", inline(&Cycles(report))?),
        ("Roofline", inline(&Roofline::of(report))?),
    ];
    if NeededBitsFigure(report).has_lines() {
        elements.push(("Bits that exact sums need", inline(&NeededBitsFigure(report))?));
        elements.push(("Widths that would have sufficed", inline(&WidthMap(report))?));
    }
    Ok(elements)
}

struct Training<'a>(&'a Report);

impl Figure for Training<'_> {
    fn name(&self) -> &'static str {
        "training"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let report = self.0;
        let last = report.epochs.last().map_or(1, |e| e.epoch).max(2);
        let errors = report.epochs.iter().flat_map(|e| [e.test_error, e.train_error]);
        let top = 110.0 * errors.fold(0.001, f64::max);
        let title = format!("{} on {}, seed {}", report.program, report.machine, report.seed);
        let lines = [("test error", COLOURS[3]), ("training error, as seen", COLOURS[1])];
        let mut legend = Legend::default();
        lines.into_iter().for_each(|(name, colour)| legend.add(name, Mark::Line, colour));
        let area = legend.beneath(area)?;
        let mut chart = chart(&area, &title).build_cartesian_2d(1..last, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(usize::try_from(last).unwrap_or(10).min(12))
            .x_desc("epoch")
            .y_desc("error, %")
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        for (i, (_, colour)) in lines.into_iter().enumerate() {
            let points = report
                .epochs
                .iter()
                .map(move |e| (e.epoch, 100.0 * if i == 0 { e.test_error } else { e.train_error }));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))?;
        }
        Ok(())
    }
}

struct Cycles<'a>(&'a Report);

impl Figure for Cycles<'_> {
    fn name(&self) -> &'static str {
        "cycles"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let report = self.0;
        #[expect(clippy::cast_precision_loss, reason = "shares of a picture")]
        let share = |cycles: u64| 100.0 * cycles as f64 / report.totals.cycles.max(1) as f64;
        let top = 1.05 * report.layers.iter().map(|l| share(l.cycles)).fold(1.0, f64::max);
        let title = format!("Cycles of training by layer and phase, {}", report.machine);
        let count = report.layers.len().max(1);
        let right = i32::try_from(count).unwrap_or(i32::MAX);
        let names = crate::program::Phase::ALL.map(crate::program::Phase::name);
        let cycles = |layer: &Layer, name: &str| -> u64 {
            layer.phases.iter().filter(|p| p.phase == name).map(|p| p.cycles).sum()
        };
        let mut legend = Legend::default();
        for (name, colour) in names.into_iter().zip(COLOURS) {
            if report.layers.iter().any(|layer| cycles(layer, name) > 0) {
                legend.add(name, Mark::Bar, colour);
            }
        }
        let area = legend.beneath(area)?;
        let mut chart = chart(&area, &title).build_cartesian_2d((0..right - 1).into_segmented(), 0.0..top)?;
        let label = |place: &SegmentValue<i32>| match place {
            SegmentValue::CenterOf(i) => {
                let layer = usize::try_from(*i).ok().and_then(|i| report.layers.get(i));
                layer.map_or(String::new(), |l| l.name.clone())
            }
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(count)
            .x_label_formatter(&label)
            .y_desc("share of all cycles, %")
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        let mut bases = vec![0.0; report.layers.len()];
        for (name, colour) in names.into_iter().zip(COLOURS) {
            let mut bars = Vec::new();
            for ((i, layer), base) in (0i32..).zip(&report.layers).zip(&mut bases) {
                let height = share(cycles(layer, name));
                if height > 0.0 {
                    let (left, right) = (SegmentValue::Exact(i), SegmentValue::Exact(i + 1));
                    let mut bar = Rectangle::new([(left, *base), (right, *base + height)], colour.filled());
                    bar.set_margin(0, 0, 24, 24);
                    bars.push(bar);
                    *base += height;
                }
            }
            chart.draw_series(bars)?;
        }
        Ok(())
    }
}
