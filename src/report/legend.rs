//! Legends: what a picture's marks mean, in rows beneath its chart, where no data can be. Must not know what is drawn.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::figure::{Drawn, text};

/// Pixels: a mark's width, from a mark to its name, from a name to the next mark, a row's height, letters.
const MARK: i32 = 20;
const GAP: i32 = 6;
const APART: i32 = 22;
const ROW: i32 = 22;
const LETTERS: u32 = 15;

/// How an entry is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A line across.
    Line,
    /// A line upright.
    Upright,
    /// A filled circle.
    Dot,
    /// An empty circle.
    Ring,
    /// A filled bar.
    Bar,
}

/// Names of what a picture shows, in order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Legend(Vec<(String, Mark, RGBColor)>);

impl Legend {
    /// A name more; one without letters is left out.
    pub(crate) fn add(&mut self, name: impl Into<String>, mark: Mark, colour: RGBColor) {
        let entry = (name.into(), mark, colour);
        if !entry.0.is_empty() && !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    /// Draws the legend at the bottom of an area; what is left of it above.
    pub(crate) fn beneath<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
    ) -> Result<DrawingArea<B, Shift>, DrawingAreaErrorKind<B::ErrorType>> {
        if self.0.is_empty() {
            return Ok(area.clone());
        }
        let style = ("sans-serif", LETTERS).into_text_style(area);
        let widths: Result<Vec<i32>, _> = self.0.iter().map(|(name, ..)| width(area, name, &style)).collect();
        let (wide, high) = area.dim_in_pixel();
        let rows = rows(&widths?, pixels(wide) - APART);
        let height = pixels(rows.len().try_into().unwrap_or(u32::MAX)) * ROW + GAP;
        let (above, below) = area.split_vertically(pixels(high) - height);
        let mut entries = self.0.iter();
        for (row, widths) in (0..).zip(rows) {
            let mut x = (pixels(wide) - (widths.iter().sum::<i32>() - APART)) / 2;
            let y = row * ROW + ROW / 2;
            for (width, (name, kind, colour)) in widths.into_iter().zip(&mut entries) {
                mark(&below, *kind, *colour, (x, y))?;
                text(&below, name, (x + MARK + GAP, y + 2), LETTERS, HPos::Left, BLACK)?;
                x += width;
            }
        }
        Ok(above)
    }
}

fn pixels(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Width of an entry and its distance to the next; a page's font may be wider than the picture's.
fn width<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    name: &str,
    style: &TextStyle<'_>,
) -> Result<i32, DrawingAreaErrorKind<B::ErrorType>> {
    let (letters, _) = area.estimate_text_size(name, style)?;
    Ok(MARK + GAP + pixels(letters) * 11 / 10 + APART)
}

/// Entries in rows of at most `most` pixels, an entry that is wider in a row of its own.
fn rows(widths: &[i32], most: i32) -> Vec<Vec<i32>> {
    let mut rows: Vec<Vec<i32>> = Vec::new();
    for &width in widths {
        match rows.last_mut() {
            Some(row) if row.iter().sum::<i32>() + width <= most => row.push(width),
            _ => rows.push(vec![width]),
        }
    }
    rows
}

fn mark<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    mark: Mark,
    colour: RGBColor,
    (x, y): (i32, i32),
) -> Drawn<B> {
    let middle = x + MARK / 2;
    match mark {
        Mark::Line => area.draw(&PathElement::new([(x, y), (x + MARK, y)], colour.stroke_width(2))),
        Mark::Upright => {
            area.draw(&PathElement::new([(middle, y - 7), (middle, y + 7)], colour.stroke_width(2)))
        }
        Mark::Dot => area.draw(&Circle::new((middle, y), 5, colour.filled())),
        Mark::Ring => area.draw(&Circle::new((middle, y), 4, colour.stroke_width(2))),
        Mark::Bar => area.draw(&Rectangle::new([(middle - 7, y - 5), (middle + 7, y + 5)], colour.filled())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_fill_rows_in_order() {
        assert_eq!(rows(&[40, 50, 20, 90], 100), [vec![40, 50], vec![20], vec![90]]);
        assert_eq!(rows(&[200, 10], 100), [vec![200], vec![10]]);
        assert!(rows(&[], 100).is_empty());
    }

    #[test]
    fn a_name_stands_once_and_one_without_letters_not_at_all() {
        let mut legend = Legend::default();
        for name in ["wrap", "", "wrap"] {
            legend.add(name, Mark::Dot, BLACK);
        }
        assert_eq!(legend.0.len(), 1);
    }
}
