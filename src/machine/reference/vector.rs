//! The vector unit, an element at a time. An instruction reads all it reads before it writes.

use super::elements::{self, Clipped};
use super::{get, get_unsigned, set};
use crate::isa::{Address, Format, Instr, VPool, VStochastic, VUnpool};
use crate::machine::{Fault, Outcome, State};

fn bits(n: u32) -> Format {
    Format::new(n).expect("a fixed width")
}

/// Writes elements 0, 1, …
fn put(state: &mut State, address: Address, format: Format, values: &[i64]) {
    for (index, &value) in (0u64..).zip(values) {
        set(state, address, format, index, value);
    }
}

fn set_scale(state: &mut State, index: u8, value: i64) {
    if index != 0 {
        state.scales[usize::from(index)] = value;
    }
}

pub(super) fn execute(pc: u32, instr: &Instr, state: &mut State) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    match instr {
        Instr::VFill(i) => {
            let values = vec![i64::from(i.value); usize::try_from(i.count).unwrap_or(0)];
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VLookup(i) => {
            let code = |n| get(state, i.table, i.dst_format, get_unsigned(state, i.src, bits(8), n));
            let values: Vec<i64> = (0..u64::from(i.count)).map(code).collect();
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VShift(i) => {
            let scale = state.scales[usize::from(i.scale.0)];
            let shifted = |k| elements::shift(i, scale, get(state, i.src, i.src_format, k));
            let values: Vec<Clipped> = (0..u64::from(i.count)).map(shifted).collect();
            outcome.clipped = put_clipped(state, i.dst, i.dst_format, &values);
        }
        Instr::VRelu(i) => {
            let values: Vec<i64> =
                (0..u64::from(i.count)).map(|n| get(state, i.src, i.format, n).max(0)).collect();
            put(state, i.dst, i.format, &values);
        }
        Instr::VState(i) => {
            let values =
                (0..u64::from(i.count)).map(|n| elements::state(i, get(state, i.src, i.src_format, n)));
            let values: Vec<i64> = values.collect();
            put(state, i.dst, bits(2), &values);
        }
        Instr::VMask(i) => {
            let kept = |n| {
                elements::mask(i, get(state, i.src, i.format, n), get_unsigned(state, i.states, bits(2), n))
            };
            let values: Vec<i64> = (0..u64::from(i.count)).map(kept).collect();
            put(state, i.dst, i.format, &values);
        }
        Instr::VPool(i) => pool(i, state),
        Instr::VUnpool(i) => outcome.clipped = unpool(i, state),
        Instr::VMaxabs(i) => {
            for n in 0..u64::from(i.count) {
                let magnitude = elements::magnitude(get(state, i.src, i.src_format, n));
                set_scale(state, i.dst.0, state.scales[usize::from(i.dst.0)].max(magnitude));
            }
        }
        Instr::VOnehot(i) => {
            let columns = u64::from(i.columns);
            let difference = |n| {
                let label = get_unsigned(state, i.labels, bits(16), n / columns);
                elements::onehot(i, get(state, i.src, i.src_format, n), label, n % columns)
            };
            let values: Vec<i64> = (0..u64::from(i.rows) * columns).map(difference).collect();
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VSumsq(i) => {
            for n in 0..u64::from(i.count) {
                let square = elements::square(get(state, i.src, i.src_format, n));
                let counter = &mut state.counters[usize::from(i.dst.0)];
                *counter = counter.wrapping_add(square);
            }
        }
        Instr::VArgmax(i) => {
            let columns = u64::from(i.columns);
            let mut values = Vec::new();
            for r in 0..u64::from(i.rows) {
                let at = |c| get(state, i.src, i.src_format, r * columns + c);
                let first = (0..columns).fold(0, |best, c| if at(c) > at(best) { c } else { best });
                let label = get_unsigned(state, i.labels, bits(16), r);
                let tied = label < columns && at(label) == at(first);
                state.counters[usize::from(i.first.0)] += u128::from(first == label);
                state.counters[usize::from(i.ties.0)] += u128::from(tied);
                values.push(i64::try_from(first).unwrap_or(0));
            }
            put(state, i.dst, bits(16), &values);
        }
        Instr::VReduce(i) => {
            let columns = u64::from(i.columns);
            let of_row = |r: u64| {
                let first = get(state, i.src, i.src_format, r * columns);
                (1..columns).fold(first, |so_far, c| {
                    elements::reduced(i.sum, so_far, get(state, i.src, i.src_format, r * columns + c))
                })
            };
            let values: Vec<i64> = (0..u64::from(i.rows)).map(of_row).collect();
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VExp(i) => {
            let columns = u64::from(i.columns);
            let power = |n: u64| {
                let x = get(state, i.src, i.src_format, n);
                let greatest = get(state, i.row, i.row_format, n / columns);
                let entry = elements::exp_entry(i, x, greatest);
                let entries = [entry, entry + 1].map(|entry| get(state, i.table, bits(32), entry));
                elements::exp(i, x, greatest, entries)
            };
            let values: Vec<i64> = (0..u64::from(i.rows) * columns).map(power).collect();
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VDivide(i) => {
            let columns = u64::from(i.columns);
            let share = |n: u64| {
                let denominator = get(state, i.row, i.row_format, n / columns);
                elements::divide(i, get(state, i.src, i.src_format, n), denominator)
            };
            let values: Vec<i64> = (0..u64::from(i.rows) * columns).map(share).collect();
            put(state, i.dst, i.dst_format, &values);
        }
        Instr::VStochastic(i) => stochastic(pc, i, state)?,
        Instr::VSub(i) => {
            outcome.clipped = add(state, i.dst, (i.a, i.format), (i.b, i.b_format), -1, i.limit, i.count);
        }
        Instr::VAdd(i) => {
            outcome.clipped = add(state, i.dst, (i.a, i.format), (i.b, i.b_format), 1, i.limit, i.count);
        }
        Instr::XSet(i) => set_scale(state, i.dst.0, i.value.into()),
        Instr::XExponent(i) => {
            let exponent = elements::exponent_of(state.scales[usize::from(i.a.0)]);
            set_scale(state, i.dst.0, exponent);
        }
        Instr::XSub(i) => {
            let difference =
                state.scales[usize::from(i.a.0)].saturating_sub(state.scales[usize::from(i.b.0)]);
            set_scale(state, i.dst.0, difference);
        }
        Instr::CClear(i) => state.counters[usize::from(i.dst.0)] = 0,
        _ => {}
    }
    Ok(outcome)
}

/// Writes elements 0, 1, …; how many of them a clip changed.
fn put_clipped(state: &mut State, address: Address, format: Format, values: &[Clipped]) -> u64 {
    let clipped = values.iter().filter(|(_, clipped)| *clipped).count() as u64;
    let values: Vec<i64> = values.iter().map(|&(value, _)| value).collect();
    put(state, address, format, &values);
    clipped
}

/// `a + sign · b`, held to `±limit`.
fn add(
    state: &mut State,
    dst: Address,
    (a, format): (Address, Format),
    (b, b_format): (Address, Format),
    sign: i128,
    limit: u64,
    count: u32,
) -> u64 {
    let sum = |n| i128::from(get(state, a, format, n)) + sign * i128::from(get(state, b, b_format, n));
    let values: Vec<Clipped> = (0..u64::from(count)).map(|n| elements::held(sum(n), limit)).collect();
    put_clipped(state, dst, format, &values)
}

fn pool(i: &VPool, state: &mut State) {
    let (window, step) = (u64::from(i.window), u64::from(i.step));
    let (mut maxima, mut places) = (Vec::new(), Vec::new());
    for image in 0..u64::from(i.images) {
        for y in 0..u64::from(i.out_rows) {
            for x in 0..u64::from(i.out_cols) {
                for c in 0..u64::from(i.channels) {
                    let at = |w: u64| {
                        let (row, column) = (y * step + w / window, x * step + w % window);
                        let index = image * u64::from(i.image_stride)
                            + row * u64::from(i.row_stride)
                            + column * u64::from(i.channels)
                            + c;
                        get(state, i.src, i.format, index)
                    };
                    let place =
                        (0..window * window).fold(0, |best, w| if at(w) > at(best) { w } else { best });
                    maxima.push(at(place));
                    places.push(i64::try_from(place).unwrap_or(0));
                }
            }
        }
    }
    put(state, i.dst, i.format, &maxima);
    put(state, i.place, i.place_format, &places);
}

fn unpool(i: &VUnpool, state: &mut State) -> u64 {
    let (height, width, channels) = (u64::from(i.height), u64::from(i.width), u64::from(i.channels));
    let (window, step) = (u64::from(i.window), u64::from(i.step));
    let elements = u64::from(i.images) * height * width * channels;
    let mut sums = vec![0i128; usize::try_from(elements).unwrap_or(0)];
    let mut index = 0;
    for image in 0..u64::from(i.images) {
        for y in 0..u64::from(i.in_rows) {
            for x in 0..u64::from(i.in_cols) {
                for c in 0..channels {
                    let place = get_unsigned(state, i.place, i.place_format, index);
                    let value = get(state, i.src, i.format, index);
                    index += 1;
                    let (y, x) = (y * step + place / window, x * step + place % window);
                    if place < window * window && y < height && x < width {
                        let at = ((image * height + y) * width + x) * channels + c;
                        sums[usize::try_from(at).unwrap_or(usize::MAX)] += i128::from(value);
                    }
                }
            }
        }
    }
    let values: Vec<Clipped> = sums.iter().map(|&s| elements::routed(i, s)).collect();
    put_clipped(state, i.dst, i.format, &values)
}

fn stochastic(pc: u32, i: &VStochastic, state: &mut State) -> Result<(), Fault> {
    let scale = state.scales[usize::from(i.scale.0)];
    let mut values = Vec::new();
    for element in 0..u64::from(i.count) {
        let gradient = get(state, i.src, i.src_format, element);
        let step = elements::stochastic(i, state, scale, element, gradient);
        values.push(step.ok_or(Fault::Range { pc, element })?);
    }
    put(state, i.dst, i.dst_format, &values);
    Ok(())
}
