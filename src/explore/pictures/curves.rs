//! Training curves.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{LEAST, Results, axis, colours, percents, places, room, words};
use crate::report::figure::{Drawn, Figure, chart};
use crate::report::legend::{Legend, Mark};

/// Many lines cannot be told apart by a legend: it names at most so many.
const NAMED: usize = 12;

/// Test error by epoch, a line a point.
pub(super) struct Curves<'a>(pub(super) &'a Results);

impl Figure for Curves<'_> {
    fn name(&self) -> &'static str {
        "curves"
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let places = places(self.0);
        let epochs = self.0.points.iter().map(|r| r.epochs.len()).max().unwrap_or(1).max(2);
        let every =
            self.0.points.iter().flat_map(|r| r.epochs.iter().map(|e| 100.0 * e.test_error.max(LEAST)));
        let range = room(every);
        let colours = colours(places.len());
        let mut legend = Legend::default();
        if places.len() <= NAMED {
            let names = places.iter().map(|place| words(place.settings, |_| true));
            names.zip(&colours).for_each(|(name, &colour)| legend.add(name, Mark::Line, colour));
        }
        let area = legend.beneath(area)?;
        let mut chart = chart(&area, &format!("Test error by epoch, {}", self.0.name))
            .build_cartesian_2d(1..epochs, axis(range))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(epochs.min(12))
            .x_desc("epoch")
            .y_desc("test error, %")
            .y_label_formatter(&|y| percents(*y))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        for (place, colour) in places.iter().zip(&colours) {
            for row in &place.rows {
                let points = (1..).zip(&row.epochs).map(|(n, e)| (n, 100.0 * e.test_error.max(LEAST)));
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
            }
        }
        Ok(())
    }
}
