//! Pictures of accumulator widths: how many sums need how many bits, and what would have sufficed, by layer and phase.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::figure::{Drawn, Figure, text};
use super::{Report, Statistic};

/// The phases that have accumulators, and their class in statistics.
const PHASES: [(&str, &str); 3] =
    [("forward", "acc_forward"), ("error", "acc_error"), ("gradient", "acc_gradient")];
const GREY: RGBColor = RGBColor(110, 110, 110);
const RED: RGBColor = RGBColor(200, 40, 40);
const LEFT: i32 = 150;
const ROW: i32 = 30;
const TOP: i32 = 92;

fn pixels(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(0)
}

/// From light to dark blue; `level` from 0 to 1.
fn shade(level: f64) -> RGBColor {
    let level = level.clamp(0.0, 1.0);
    let mix = |from: f64, to: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a colour of 0 to 255")]
        let byte = (from + (to - from) * level).round() as u8;
        byte
    };
    RGBColor(mix(232.0, 8.0), mix(241.0, 64.0), mix(250.0, 129.0))
}

/// A row a layer and phase, a column a width: the share of the sums that need it, on a scale of logarithms.
pub(super) struct NeededBitsFigure<'a>(pub(super) &'a Report);

impl NeededBitsFigure<'_> {
    fn lines(&self) -> Vec<(&'static str, &Statistic)> {
        let of = |&(phase, class): &(&'static str, &str)| {
            let found = self
                .0
                .statistics
                .iter()
                .filter(move |s| s.class.name() == class && s.statistics.recount.is_some());
            found.map(move |s| (phase, s)).collect::<Vec<_>>()
        };
        PHASES.iter().flat_map(of).collect()
    }

    /// Whether there is anything to draw.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines().is_empty()
    }
}

impl Figure for NeededBitsFigure<'_> {
    fn name(&self) -> &'static str {
        "needed-bits"
    }

    fn size(&self) -> (u32, u32) {
        (960, u32::try_from(TOP + ROW * pixels(self.lines().len()) + 64).unwrap_or(600))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let lines = self.lines();
        let recount = |s: &Statistic| s.statistics.recount.as_ref().map_or(0, |r| r.worst_case_bits);
        let most = lines.iter().map(|(_, s)| recount(s)).max().unwrap_or(1).max(2);
        let column = (920 - LEFT) / i32::try_from(most).unwrap_or(32);
        let x = |bits: u32| LEFT + column * (i32::try_from(bits).unwrap_or(0) - 1);
        let title = format!(
            "Bits that exact sums need: {} on {}, seed {}",
            self.0.program, self.0.machine, self.0.seed
        );
        text(area, &title, (480, 24), 22, HPos::Center, BLACK)?;
        let key = "blue: share of the sums, from 1 in a million to all;  | fits all,  ¦ all but 1 in 1000,  ▸ any sum with these weights,  ▪ worst case";
        text(area, &key.replace('▸', ">").replace('▪', "#"), (480, 52), 15, HPos::Center, GREY)?;
        for (row, (phase, line)) in (0..).zip(&lines) {
            let top = TOP + ROW * row;
            let middle = top + ROW / 2 - 2;
            text(area, &format!("{phase}  {}", line.layer), (LEFT - 12, middle), 16, HPos::Right, BLACK)?;
            let bits = line.statistics.needed_bits();
            #[expect(clippy::cast_precision_loss, reason = "shares of a picture")]
            let total = bits.total().max(1) as f64;
            for (width, &count) in (1u32..).zip(bits.counts()).filter(|&(_, &n)| n > 0) {
                #[expect(clippy::cast_precision_loss, reason = "shares of a picture")]
                let share = count as f64 / total;
                let cell = Rectangle::new(
                    [(x(width), top), (x(width) + column - 1, top + ROW - 4)],
                    shade(1.0 + share.log10() / 6.0).filled(),
                );
                area.draw(&cell)?;
            }
            let edge = |bits: u32| x(bits) + column - 1;
            if let Some(widths) = line.sufficient {
                let all = edge(widths.all);
                area.draw(&PathElement::new([(all, top - 1), (all, top + ROW - 3)], RED.stroke_width(3)))?;
                let most = edge(widths.but_1e3);
                for part in 0..3 {
                    let from = top + part * 10;
                    area.draw(&PathElement::new([(most, from), (most, from + 5)], RED.stroke_width(2)))?;
                }
            }
            let recount = line.statistics.recount.as_ref();
            if let Some(l1) = recount.and_then(|r| r.l1_bound_bits) {
                text(area, ">", (edge(l1) - 4, middle), 18, HPos::Center, GREY)?;
            }
            if let Some(worst) = recount.map(|r| r.worst_case_bits) {
                text(area, "#", (edge(worst) + 5, middle), 16, HPos::Center, GREY)?;
            }
        }
        let bottom = TOP + ROW * pixels(lines.len());
        for bits in (2..=most).step_by(2) {
            text(area, &bits.to_string(), (x(bits) + column / 2, bottom + 12), 15, HPos::Center, BLACK)?;
        }
        text(
            area,
            "bits",
            (LEFT + column * i32::try_from(most).unwrap_or(0) / 2, bottom + 38),
            16,
            HPos::Center,
            BLACK,
        )
    }
}

/// A cell a layer and phase: the width that would have sufficed.
pub(super) struct WidthMap<'a>(pub(super) &'a Report);

impl Figure for WidthMap<'_> {
    fn name(&self) -> &'static str {
        "width-map"
    }

    fn size(&self) -> (u32, u32) {
        (760, u32::try_from(TOP + 64 * pixels(self.0.layers.len()) + 60).unwrap_or(600))
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let title =
            format!("Accumulator widths that would have sufficed: {}, seed {}", self.0.program, self.0.seed);
        text(area, &title, (380, 24), 22, HPos::Center, BLACK)?;
        let widths = self.0.statistics.iter().filter(|s| s.statistics.recount.is_some());
        let widths: Vec<u32> = widths.filter_map(|s| s.sufficient.map(|w| w.all)).collect();
        let (least, most) =
            (widths.iter().min().copied().unwrap_or(0), widths.iter().max().copied().unwrap_or(1));
        for (i, (phase, _)) in (0..).zip(PHASES) {
            text(area, phase, (140 + 200 * i + 98, TOP - 22), 18, HPos::Center, BLACK)?;
        }
        for (row, layer) in (0..).zip(&self.0.layers) {
            let top = TOP + 64 * row;
            text(area, &layer.name, (128, top + 30), 18, HPos::Right, BLACK)?;
            for (i, (_, class)) in (0..).zip(PHASES) {
                let left = 140 + 200 * i;
                let found =
                    self.0.statistics.iter().find(|s| s.class.name() == class && s.layer == layer.name);
                let Some((line, widths)) = found.and_then(|s| Some((s, s.sufficient?))) else { continue };
                let level = f64::from(widths.all - least) / f64::from((most - least).max(1));
                let cell = Rectangle::new([(left, top), (left + 196, top + 60)], shade(0.9 * level).filled());
                area.draw(&cell)?;
                let ink = if level > 0.5 { WHITE } else { BLACK };
                text(area, &widths.all.to_string(), (left + 98, top + 22), 26, HPos::Center, ink)?;
                let way = line.sufficient_on_the_way.map_or(0, |w| w.all);
                let small = format!("but 1e-3: {}   on the way: {way}", widths.but_1e3);
                text(area, &small, (left + 98, top + 46), 14, HPos::Center, ink)?;
            }
        }
        let words = "large: holds every exact sum; on the way: holds every partial sum too; an error's sums stand at the layer they are for";
        text(area, words, (380, TOP + 64 * pixels(self.0.layers.len()) + 24), 14, HPos::Center, GREY)
    }
}
