//! Which tilings of a product over taps fit, and what each costs, roughly. Boxes of one operand do not depend on the size of the
//! other's: they are worked out once for all tilings that have them.

use std::collections::BTreeMap;

use super::{TapsProduct, TapsTiling, each_run};
use crate::compiler::choice::Candidate;
use crate::compiler::cost::{Cost, Work, halvings, image_tiles};
use crate::compiler::moves::Region3;
use crate::compiler::window::Run;
use crate::isa::Memory;

/// What is loaded of the left operand for a run of units.
struct LeftBoxes {
    units: Run,
    /// Accumulator rows of each image.
    rows: u64,
    /// Boxes of an image, the products a piece has with each, and how many pieces have one that costs the same.
    boxes: Vec<(Region3, u64, u64)>,
}

impl TapsProduct<'_> {
    /// Every tiling that fits the scratchpads.
    pub(in crate::compiler) fn candidates(&self, cost: &Cost<'_>) -> Vec<Candidate<TapsTiling>> {
        let whole = self.rows.units;
        let mut spatial: Vec<(u64, u64)> = image_tiles(self.batch).iter().map(|&n| (n, whole)).collect();
        spatial.extend(halvings(whole, 1).into_iter().filter(|&u| u < whole).map(|u| (1, u)));
        let lengths = halvings(self.window.tap_count(), self.group());
        let columns = self.column_tiles();
        let mut lefts = BTreeMap::new();
        for &(_, units) in &spatial {
            lefts
                .entry(units)
                .or_insert_with(|| lengths.iter().map(|&n| self.left_boxes(units, n)).collect());
        }
        let rights = |&columns: &u64| lengths.iter().map(|&n| self.right_bytes(columns, n)).collect();
        let rights: Vec<Vec<_>> = columns.iter().map(rights).collect();
        let mut found = Vec::new();
        for (images, units) in spatial {
            let lefts: &Vec<_> = &lefts[&units];
            for (&columns, rights) in columns.iter().zip(&rights) {
                for ((&length, left), right) in lengths.iter().zip(lefts).zip(rights) {
                    let tiling = TapsTiling { images, units, columns, length };
                    if let (Some(left), Some(right)) = (left, right) {
                        found.extend(self.candidate(tiling, left, right, cost));
                    }
                }
            }
        }
        found
    }

    /// What is loaded of the left operand, for each run of units and piece of the reduction; none where it cannot be loaded.
    fn left_boxes(&self, units: u64, length: u64) -> Option<Vec<LeftBoxes>> {
        let bits = u64::from(self.left.format.bits());
        let taps = |&piece: &Run| (self.taps_of(piece), piece.count);
        let pieces: Vec<_> = self.pieces(length).iter().map(taps).collect();
        let of_units = |units: Run| {
            let rows = self.unit_rows(units);
            let mut boxes = BTreeMap::new();
            for &(taps, products) in &pieces {
                let region = self.box_view(rows, taps).region;
                if !region.aligned(bits) {
                    return None;
                }
                let (_, times) =
                    boxes.entry((region.elements(), region.instructions(2), products)).or_insert((region, 0));
                *times += 1;
            }
            let boxes =
                boxes.into_iter().map(|((_, _, products), (region, times))| (region, products, times));
            Some(LeftBoxes { units, rows: rows.count, boxes: boxes.collect() })
        };
        each_run(self.rows.units, units).map(of_units).collect()
    }

    /// Bytes of the right operand's tiles, and how many pieces of the reduction have so many; none where they cannot be
    /// loaded.
    fn right_bytes(&self, columns: u64, length: u64) -> Option<BTreeMap<u64, u64>> {
        let mut bytes = BTreeMap::new();
        for piece in self.pieces(length) {
            *bytes.entry(self.right_tile(Run::new(0, columns), piece)?.bytes()).or_default() += 1;
        }
        Some(bytes)
    }

    /// Bytes of the greatest tile in each scratchpad; none where a tile cannot be had or loaded.
    pub(in crate::compiler) fn tile_bytes(&self, t: &TapsTiling) -> Option<[u64; 4]> {
        let (left, right) = (self.left_boxes(t.units, t.length)?, self.right_bytes(t.columns, t.length)?);
        self.bytes(t, &left, &right)
    }

    fn bytes(&self, t: &TapsTiling, left: &[LeftBoxes], right: &BTreeMap<u64, u64>) -> Option<[u64; 4]> {
        let mut bytes = [0; 4];
        let mut most = |memory: Memory, need: u64| {
            let greatest = &mut bytes[memory.index()];
            *greatest = need.next_multiple_of(8).max(*greatest);
        };
        for LeftBoxes { units, rows, boxes } in left {
            let needs = (self.needs)(t.images, *units, Run::new(0, t.columns))?;
            let outputs = t.images * rows * self.window.out[1] * t.columns;
            most(Memory::Accumulator, self.out.bytes(outputs).next_multiple_of(8) + needs.accumulator);
            most(Memory::Mask, needs.mask);
            for (region, ..) in boxes {
                let left = self.left.format.bytes(region.elements() * t.images).next_multiple_of(8);
                most(Memory::Operand, left + needs.operand);
            }
        }
        right.keys().for_each(|&tile| most(Memory::Weight, tile));
        Some(bytes)
    }

    /// What a step's product under a tiling costs, roughly; `None` when it does not fit.
    fn candidate(
        &self,
        t: TapsTiling,
        left: &[LeftBoxes],
        right: &BTreeMap<u64, u64>,
        cost: &Cost<'_>,
    ) -> Option<Candidate<TapsTiling>> {
        let bytes = self.bytes(&t, left, right)?;
        let fits = |m: Memory| bytes[m.index()] <= cost.capacity(m);
        if !Memory::SCRATCHPADS.into_iter().all(fits) {
            return None;
        }
        let (image_tiles, column_tiles) = (self.batch.div_ceil(t.images), self.columns.div_ceil(t.columns));
        let (unit_runs, pieces) = (left.len() as u64, right.values().sum::<u64>());
        let weights = right.iter().fold(Work::default(), |sum, (&b, &times)| sum + cost.bytes(b, 1) * times);
        let (mut work, mut moves) = (Work::default(), 0);
        for LeftBoxes { units, rows, boxes } in left {
            work = work + (self.needs)(t.images, *units, Run::new(0, t.columns))?.work;
            for &(region, products, times) in boxes {
                moves += region.instructions(t.images) * times;
                let rows = t.images * rows * self.window.out[1];
                let product =
                    cost.product([rows, products, t.columns], self.rule.tree, self.weight_stationary);
                let load = cost.transfer(&region, t.images, self.left.format.bits().into());
                work = work + (load + product) * times;
            }
        }
        // One piece stays while images go by; several come with each tile.
        let whole = if pieces > 1 {
            (work + weights * unit_runs) * image_tiles
        } else {
            work * image_tiles + weights
        };
        let side_by_side = Memory::SCRATCHPADS
            .into_iter()
            .all(|m| cost.twice(m, bytes[m.index()]) || m == Memory::Weight && pieces == 1);
        Some(Candidate {
            tiling: t,
            cycles: column_tiles * whole.cycles(side_by_side && unit_runs * image_tiles > 1),
            instructions: column_tiles * image_tiles * (moves + 10 * unit_runs),
        })
    }
}
