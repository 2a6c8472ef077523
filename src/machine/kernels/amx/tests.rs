//! Tiles held to the portable kernel. Where the processor has no AMX its instructions are emulated: the machine code is the
//! kernel's own.

use std::cell::Cell;

use proptest::prelude::*;

use super::instructions::SIDE;
use super::*;
use crate::machine::kernels::lines::LINE;
use crate::machine::kernels::product::{Class, GROUP, Operands, Out, PANELS_SLACK, Segment, Shape, Target};
use crate::machine::kernels::{Extension, Kernels, portable};

/// A product as the fast engine has them: rows of images a pixel apart, segments of rows of taps, classes that leave some out.
#[derive(Debug, Clone)]
struct Case {
    columns: usize,
    /// Rows of each class, and a bit for each segment that it leaves out.
    classes: Vec<(usize, u8)>,
    /// Groups of each segment.
    groups: Vec<usize>,
    /// Bytes from row to row, rows that lie so, and what is left out then.
    pitch: (usize, usize, usize),
    /// Bytes between some segments.
    gap: usize,
    accumulate: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    // Sixteens of rows of whole lines, which are found in place.
    let in_place = (
        1usize..150,
        prop::collection::vec((1usize..5, any::<u8>()), 1..4),
        prop::collection::vec(1usize..4, 1..6),
        (0usize..4, 1usize..3, 0usize..3),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(columns, classes, blocks, (step, run, skip), accumulate, seed)| Case {
            columns,
            classes: classes.into_iter().map(|(sixteens, left_out)| (SIDE * sixteens, left_out)).collect(),
            groups: blocks.into_iter().map(|n| GROUPS * n).collect(),
            pitch: (LINE * step, SIDE * run, LINE * skip),
            gap: LINE,
            accumulate,
            seed,
        });
    // Segments that fill blocks, short ones, and others.
    let groups = prop_oneof![Just(16usize), Just(48), 1usize..5, 1usize..40];
    let any = (
        1usize..150,
        prop::collection::vec((1usize..70, any::<u8>()), 1..4),
        prop_oneof![
            prop::collection::vec(Just(16usize), 1..5),
            prop::collection::vec(1usize..5, 4..20),
            prop::collection::vec(groups, 1..6),
        ],
        (prop_oneof![Just(64usize), 1usize..100], 1usize..40, 0usize..50),
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(|(columns, classes, groups, pitch, accumulate, seed)| Case {
            columns,
            classes,
            groups,
            pitch,
            gap: 9,
            accumulate,
            seed,
        });
    prop_oneof![2 => any, 1 => in_place]
}

/// The case's shape; left operand, panels, corrections and the output before.
fn made(case: &Case) -> (Shape, Vec<u8>, Vec<u8>, Vec<i32>, Vec<u8>) {
    let mut word = case.seed;
    let mut next = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    };
    let (mut segments, mut classes, mut first_row) = (Vec::new(), Vec::new(), 0);
    for &(rows, left_out) in &case.classes {
        let first_segment = segments.len();
        let (mut offset, mut first_group) = (0, 0);
        for (i, &groups) in case.groups.iter().enumerate() {
            if left_out.checked_shr(u32::try_from(i).unwrap()).is_none_or(|bits| bits & 1 == 0) || i == 0 {
                segments.push(Segment { offset, groups, first_group });
            }
            // Pixels lie side by side; a row of them may not.
            offset += GROUP * groups + if i % 4 == 0 { 0 } else { case.gap };
            first_group += groups;
        }
        classes.push(Class { first_row, rows, first_segment, segments: segments.len() - first_segment });
        first_row += rows;
    }
    let (step, run, skip) = case.pitch;
    let bases: Vec<usize> = (0..first_row).map(|r| r * step + r / run * skip).collect();
    let ends = segments.iter().map(|s| s.offset + GROUP * s.groups).max().unwrap();
    let left: Vec<u8> = (0..bases[first_row - 1] + ends).map(|_| next()).collect();
    let places = (0..first_row).rev().collect();
    let shape = Shape::new(bases, places, classes, segments, case.columns);
    let lanes = shape.registers() * LANES;
    let panels = (0..shape.groups() * GROUP * lanes + PANELS_SLACK).map(|_| next()).collect();
    let corrections = (0..lanes * case.classes.len()).map(|_| i32::from(next()) << 20).collect();
    let before = (0..first_row * (4 * case.columns + 3)).map(|_| next()).collect();
    (shape, left, panels, corrections, before)
}

/// Both runs of a class end near the end of the panels, where tiles would leave them.
#[test]
fn several_blocks_may_lie_at_the_end_of_the_panels() {
    for left_out in [0b010, 0b0110, 0b1010] {
        let case = Case {
            columns: 40,
            classes: vec![(20, left_out), (40, 0)],
            groups: vec![3, 2, 4, 1, 3],
            pitch: (7, 9, 5),
            gap: 9,
            accumulate: false,
            seed: 1,
        };
        held_to_portable(&case).unwrap();
    }
}

fn same(found: &Extremes, expected: &Extremes) -> bool {
    found.least.iter().min() == expected.least.iter().min()
        && found.greatest.iter().max() == expected.greatest.iter().max()
        && found.zeros == expected.zeros
}

/// All of a case by tiles, and as the engine goes: by what pays.
fn held_to_portable(case: &Case) -> Result<(), TestCaseError> {
    let Some(kernels) = Kernels::emulated_amx() else { return Ok(()) };
    let (shape, left, panels, corrections, before) = made(case);
    let operands = Operands { left: &left, panels: &panels, corrections: &corrections };
    let row_bytes = 4 * case.columns + 3;
    let (mut expected, mut out) = (before.clone(), before.clone());
    let product = |out| {
        let target = Target { out, row_bytes, accumulate: case.accumulate };
        Product { shape: &shape, operands, target }
    };
    let (mut plain, mut found) = (Extremes::default(), Extremes::default());
    // SAFETY: the operands are of the shape; the output is this thread's; AMX is there or emulated.
    unsafe {
        portable::product(&product(Out::new(&mut expected)), &mut plain);
        product_of(&product(Out::new(&mut out)), &mut found, |_, _| true);
    }
    prop_assert!(out == expected, "all by tiles");
    prop_assert!(same(&found, &plain));
    out.copy_from_slice(&before);
    let found = kernels.product(&shape, operands, (&mut out[..], row_bytes), case.accumulate);
    prop_assert!(out == expected, "by what pays");
    prop_assert!(same(&found, &plain));
    Ok(())
}

#[test]
fn tiles_give_the_portable_sums() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(360));
    let ways = Cell::new([0; 3]);
    let outcome = runner.run(&cases(), |case| {
        for blocks in made(&case).0.blocks() {
            let (before, more) = (ways.get(), blocks.ways());
            ways.set(std::array::from_fn(|way| before[way] + more[way]));
        }
        held_to_portable(&case)
    });
    outcome.unwrap();
    assert!(ways.get().iter().all(|&n| n > 20), "{ways:?}");
    let has_avx512 = Extension::Avx512Vnni.is_available();
    assert!(is_available() || !has_avx512 || emulated_products() > 1000);
}

#[test]
fn amx_is_named_and_honest() {
    assert_eq!(Extension::Amx.name(), "amx");
    assert_eq!(Extension::named("amx").is_ok(), is_available());
    // An emulator changes nothing of what the processor has.
    let _ = Kernels::emulated_amx();
    assert_eq!(Extension::available().any(|e| e == Extension::Amx), is_available());
    assert!(Kernels::of(Extension::Amx).extension() <= Extension::available().next_back().unwrap());
}
