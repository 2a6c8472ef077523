//! Test error by what a machine costs, and the Pareto front.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Results, Row, axis, colours, percents, places, room, words};
use crate::report::figure::{Drawn, Figure, chart};
use crate::report::legend::{Legend, Mark};

const GREY: RGBColor = RGBColor(90, 90, 90);

/// What a machine costs.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    /// Name of the picture's files.
    file: &'static str,
    /// Title of the picture.
    pub(super) title: &'static str,
    /// Its axis, with the unit.
    axis: &'static str,
    of: fn(&Row) -> f64,
}

/// Costs that are drawn.
pub(super) const COSTS: [Cost; 2] = [
    Cost {
        file: "error-by-energy",
        title: "Energy and test error",
        axis: "training energy an image, µJ",
        of: |row| 1e-6 * row.energy_per_image_pj(),
    },
    Cost {
        file: "error-by-area",
        title: "Area and test error",
        axis: "area of the logic of array and vector unit, mm²",
        of: |row| 1e-6 * row.area_um2,
    },
];

/// A dot a place of settings, and the Pareto front: those that no other beats in both.
pub(super) struct ErrorByCost<'a> {
    /// What is drawn.
    pub(super) results: &'a Results,
    /// Across.
    pub(super) cost: Cost,
}

impl Figure for ErrorByCost<'_> {
    fn name(&self) -> &'static str {
        self.cost.file
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let places = places(self.results);
        let mut groups: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for place in &places {
            let name = words(place.settings, |value| value.parse::<f64>().is_err());
            groups.entry(name).or_default().push((place.mean(self.cost.of), place.error()));
        }
        let mut legend = Legend::default();
        let colours = colours(groups.len());
        for (name, &colour) in groups.keys().zip(&colours) {
            legend.add(name, Mark::Dot, colour);
        }
        legend.add("Pareto front", Mark::Line, GREY);
        let area = legend.beneath(area)?;
        let all = || groups.values().flatten().copied();
        let least = all().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
        let most = all().map(|(x, _)| x).fold(0.0, f64::max);
        let margin = 0.05 * (most - least).max(0.01 * most);
        let mut chart = chart(&area, &format!("{}, {}", self.cost.title, self.results.name))
            .build_cartesian_2d(least - margin..most + margin, axis(room(all().map(|(_, y)| y))))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(self.cost.axis)
            .y_desc("test error, %")
            .y_label_formatter(&|y| percents(*y))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            .draw()?;
        chart.draw_series(LineSeries::new(steps(&front(all().collect())), GREY.stroke_width(1)))?;
        for (points, colour) in groups.values().zip(&colours) {
            chart.draw_series(points.iter().map(|&at| Circle::new(at, 5, colour.filled())))?;
        }
        Ok(())
    }
}

/// Of points of cost and error those that no other beats in both, by cost.
fn front(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for (cost, error) in points {
        if front.last().is_none_or(|&(_, best)| error < best) {
            front.push((cost, error));
        }
    }
    front
}

/// A front as a line: an error can be had at every cost from its point's on.
fn steps(front: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let corner = |pair: &[(f64, f64)]| [(pair[1].0, pair[0].1), pair[1]];
    front.first().copied().into_iter().chain(front.windows(2).flat_map(corner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_no_point_beats_in_both() {
        let points = vec![(3.0, 1.0), (1.0, 9.0), (2.0, 9.0), (1.0, 8.0), (2.5, 4.0), (4.0, 1.0), (3.0, 2.0)];
        let front = front(points);
        assert_eq!(front, [(1.0, 8.0), (2.5, 4.0), (3.0, 1.0)]);
        assert_eq!(steps(&front), [(1.0, 8.0), (2.5, 8.0), (2.5, 4.0), (3.0, 4.0), (3.0, 1.0)]);
    }
}
