//! Woven products held to loops, under every extension that has them; AMX is emulated where the processor has none.

use proptest::prelude::*;

use super::*;

/// A product over positions: images, rows, columns; rows and columns of taps; channels; columns of the output.
#[derive(Debug, Clone)]
struct Positions {
    images: usize,
    rows: usize,
    across: usize,
    taps: (usize, usize),
    channels: usize,
    columns: usize,
    accumulate: bool,
    seed: u64,
}

/// Random bytes.
fn bytes(mut word: u64) -> impl FnMut() -> u8 {
    move || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    }
}

fn held_to_loops(kernels: Kernels, case: &Positions) -> Result<(), TestCaseError> {
    let &Positions { images, rows, across, taps, channels, columns, .. } = case;
    let mut next = bytes(case.seed);
    let (height, width) = (rows + taps.0 - 1, across + taps.1 - 1);
    let length = images * height * width * channels;
    let left: Vec<u8> = (0..length).map(|_| next()).collect();
    let positions = images * rows * across;
    let codes: Vec<u8> = (0..positions * columns + 64).map(|_| next()).collect();
    let groups = across.div_ceil(GROUP);
    // Every seventh position is none.
    let at = |pixel: usize| if pixel % 7 == 3 { NOWHERE } else { pixel * channels };
    let pixel = |n: usize, y: usize, x: usize| {
        if x < width { at((n * height + y) * width + x) } else { NOWHERE }
    };
    let mut woven = Vec::new();
    for (x, y, n) in
        (0..taps.1).flat_map(|x| (0..height * images).map(move |yn| (x, yn / images, yn % images)))
    {
        woven.extend((0..groups).map(|g| [0, 1, 2, 3].map(|t| pixel(n, y, x + g * GROUP + t))));
    }
    let weave = Weave { groups: woven, planes: taps.1, channels, side_by_side: 1 };
    let mut strips = Vec::new();
    for (tap, (y, x)) in (0..taps.0).flat_map(|y| (0..taps.1).map(move |x| (y, x))).enumerate() {
        for first in (0..channels).step_by(2 * LANES) {
            let at = weave.place(x, first / LANES, y * images * groups);
            let row = tap * channels + first;
            strips.push(Strip { at, rows: row..row + (channels - first).min(2 * LANES) });
        }
    }
    let place =
        |y: usize, n: usize, x: usize| (x < across).then_some(((n * rows + y) * across + x) * columns);
    let run = |y: usize| {
        let positions = (0..images).flat_map(|n| (0..groups * GROUP).map(move |x| place(y, n, x)));
        (y * images * groups, positions.collect())
    };
    let shape = Woven::new(kernels, weave, strips, (0..rows).map(run), columns);
    let row_bytes = 4 * columns + 5;
    let all_rows = taps.0 * taps.1 * channels;
    let before: Vec<u8> = (0..all_rows * row_bytes).map(|_| next()).collect();
    let (mut woven, mut turned, mut out) = (Lines::default(), Lines::default(), before.clone());
    kernels.weave_left(&shape, &left, &mut woven);
    prop_assert!(kernels.weave_right(&shape, &codes, &mut turned));
    let found = kernels.woven_product(&shape, (&woven, &turned), (&mut out, row_bytes), case.accumulate);
    let (mut least, mut greatest, mut zeros) = (i32::MAX, i32::MIN, 0);
    for row in 0..all_rows {
        let (tap, channel) = (row / channels, row % channels);
        let (tap_y, tap_x) = (tap / taps.1, tap % taps.1);
        for column in 0..columns {
            let bytes = row * row_bytes + 4 * column..row * row_bytes + 4 * column + 4;
            let word = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().unwrap());
            let mut sum = if case.accumulate { word(&before[bytes.clone()]) } else { 0 };
            for (n, y, x) in (0..positions).map(|p| (p / across / rows, p / across % rows, p % across)) {
                let first = at((n * height + y + tap_y) * width + x + tap_x);
                let right = codes[((n * rows + y) * across + x) * columns + column].cast_signed();
                let left = if first == NOWHERE { 0 } else { left[first + channel].cast_signed() };
                sum = sum.wrapping_add(i32::from(left) * i32::from(right));
            }
            prop_assert_eq!(word(&out[bytes]), sum, "row {}, column {}", row, column);
            (least, greatest) = (sum.min(least), sum.max(greatest));
            zeros += u64::from(sum == 0);
        }
        let end = row * row_bytes + 4 * columns..(row + 1) * row_bytes;
        prop_assert_eq!(&out[end.clone()], &before[end], "behind row {}", row);
    }
    prop_assert_eq!(found.least.iter().min(), Some(&least));
    prop_assert_eq!(found.greatest.iter().max(), Some(&greatest));
    prop_assert_eq!(found.zeros, zeros);
    Ok(())
}

/// A pooled product of windows that have one code of each column at most; with a second code somewhere there is none.
fn windows_held_to_loops(
    kernels: Kernels,
    (windows, channels, columns): (usize, usize, usize),
    seed: u64,
) -> Result<(), TestCaseError> {
    let mut next = bytes(seed);
    let positions = windows * GROUP;
    let left: Vec<u8> = (0..positions * channels).map(|_| next()).collect();
    let mut codes = vec![0; positions * columns + 64];
    for (window, column) in (0..windows).flat_map(|w| (0..columns).map(move |c| (w, c))) {
        let place = window * GROUP + usize::from(next()) % GROUP;
        codes[place * columns + column] = next();
    }
    let mut groups: Vec<[usize; GROUP]> =
        (0..windows).map(|w| [0, 1, 2, 3].map(|which| (w * GROUP + which) * channels)).collect();
    groups.resize(windows.next_multiple_of(WINDOWS), [NOWHERE; GROUP]);
    let weave = Weave { groups, planes: 1, channels, side_by_side: WINDOWS };
    let strip = |first: usize| Strip {
        at: weave.place(0, first / LANES, 0),
        rows: first..channels.min(first + 2 * LANES),
    };
    let strips = (0..channels).step_by(2 * LANES).map(strip).collect();
    let run = (0, (0..positions).map(|position| Some(position * columns)).collect());
    let shape = Woven::new(kernels, weave, strips, std::iter::once(run), columns);
    let (mut woven, mut panels, mut out) =
        (Lines::default(), Lines::default(), vec![0; 4 * channels * columns]);
    kernels.weave_left(&shape, &left, &mut woven);
    prop_assert!(kernels.weave_right(&shape, &codes, &mut panels));
    kernels.woven_product(&shape, (&woven, &panels), (&mut out, 4 * columns), false);
    for (channel, column) in (0..channels).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        let product = |position: usize| {
            let (left, right) = (left[position * channels + channel], codes[position * columns + column]);
            i32::from(left.cast_signed()) * i32::from(right.cast_signed())
        };
        let sum: i32 = (0..positions).map(product).sum();
        let found = out[4 * (channel * columns + column)..].first_chunk().unwrap();
        prop_assert_eq!(i32::from_le_bytes(*found), sum, "channel {}, column {}", channel, column);
    }
    let (window, column) = (usize::from(next()) % windows, usize::from(next()) % columns);
    codes[window * GROUP * columns + column] = 1;
    codes[(window * GROUP + 1) * columns + column] = 1;
    prop_assert!(!kernels.weave_right(&shape, &codes, &mut panels));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn pooled_products_are_what_loops_sum(
        windows in 1usize..20,
        channels in prop_oneof![Just(16usize), Just(32), Just(48), Just(80)],
        columns in prop_oneof![Just(16usize), Just(64), 1usize..100],
        seed in any::<u64>(),
    ) {
        let vnni = Extension::Avx512Vnni;
        if vnni.is_available() {
            windows_held_to_loops(Kernels::of(vnni), (windows, channels, columns), seed)?;
        }
    }

    #[test]
    fn woven_products_are_what_loops_sum(
        (images, rows, across) in (1usize..4, 1usize..5, 1usize..10),
        taps in (1usize..4, 1usize..4),
        channels in prop_oneof![Just(16usize), Just(32), Just(48), Just(80)],
        columns in prop_oneof![Just(16usize), Just(64), 1usize..100],
        accumulate in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let case = Positions { images, rows, across, taps, channels, columns, accumulate, seed };
        let vnni = Extension::Avx512Vnni;
        let kernels = [vnni.is_available().then(|| Kernels::of(vnni)), Kernels::emulated_amx()];
        for kernels in kernels.into_iter().flatten() {
            held_to_loops(kernels, &case)?;
        }
    }
}
