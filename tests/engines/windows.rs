//! Windows over images that the fast engine has ways of its own for, with operands to fit.

use wagesim::isa::{
    Address, Footprint, Format, Instr, Load, Matrix, Memory, ModeIndex, Scale, Store, VFill, VMaxabs, XSub,
};
use wagesim::machine::State;
use wagesim::number::{AccumulatorRule, Overflow};

use super::dice::Dice;

/// A gradient whose errors pooling sent back: of each window of two rows and two columns one position at most has a code of each
/// channel that is not zero. `odd` are codes put anywhere.
pub(crate) fn pooled_gradient(d: &mut Dice, odd: u32) -> (State, Matrix) {
    let (images, windows_y, windows_x) = (d.count(1, 5), d.count(1, 3), d.count(1, 4));
    let (out_rows, out_cols) = (2 * windows_y, 2 * windows_x);
    let (channels, columns) = (d.of(&[16, 32, 48]), d.of(&[1, 16, 31, 48, 64, 70]));
    let (tap_cols, dilate_x) = (d.count(1, 4), d.count(1, 3));
    let positions = images * out_rows * out_cols;
    let (height, width) = (out_rows, d.count(1, 10));
    let mut state = State::new([40_000, 40_000, 60_000, 0, 0], 1);
    let code = |d: &mut Dice| u8::try_from(d.word() & 0xff).unwrap();
    state.memory_mut(Memory::Operand).iter_mut().for_each(|b| *b = code(d));
    let size = |n: u32| usize::try_from(n).unwrap();
    let errors = state.memory_mut(Memory::Weight);
    for (n, y, x) in (0..images)
        .flat_map(|n| (0..windows_y).flat_map(move |y| (0..windows_x).map(move |x| (n, 2 * y, 2 * x))))
    {
        for column in 0..columns {
            let (y, x) = (y + d.count(0, 1), x + d.count(0, 1));
            errors[size(((n * out_rows + y) * out_cols + x) * columns + column)] = code(d);
        }
    }
    for _ in 0..odd {
        errors[size(d.count(0, positions * columns - 1))] = code(d);
    }
    let m = Matrix {
        rows: tap_cols * channels,
        columns,
        length: positions,
        height,
        width,
        pad_left: signed(d.count(0, 3)),
        dilate_x,
        image_stride: height * width * channels,
        row_stride: width * channels,
        right_stride_0: signed(out_rows * out_cols * columns),
        right_stride_1: signed(out_cols * columns),
        right_stride_2: signed(columns),
        out_stride: columns,
        ..window(images, [out_rows, out_cols], [1, tap_cols], channels)
    };
    (state, m)
}

fn signed(n: u32) -> i32 {
    i32::try_from(n).unwrap()
}

/// Windows a step apart over images of bytes, each operand where its memory begins; what they cover, the images' size and strides of
/// columns are missing.
pub(crate) fn window(
    images: u32,
    [out_rows, out_cols]: [u32; 2],
    [tap_rows, tap_cols]: [u32; 2],
    channels: u32,
) -> Matrix {
    Matrix {
        out: Address::at(Memory::Accumulator, 0),
        out_format: Format::new(32).unwrap(),
        left: Address::at(Memory::Operand, 0),
        left_format: Format::new(8).unwrap(),
        right: Address::at(Memory::Weight, 0),
        right_format: Format::new(8).unwrap(),
        mode: ModeIndex(0),
        accumulate: false,
        partial: false,
        images,
        out_rows,
        out_cols,
        tap_rows,
        tap_cols,
        channels,
        channel_block: 0,
        first_row: 0,
        rows: 0,
        columns: 0,
        first_k: 0,
        length: 0,
        height: 0,
        width: 0,
        pad_top: 0,
        pad_left: 0,
        step_y: 1,
        step_x: 1,
        dilate_y: 1,
        dilate_x: 1,
        widen_y: 1,
        widen_x: 1,
        left_first: 0,
        image_stride: 0,
        row_stride: 0,
        pixel_stride: channels,
        right_first: 0,
        right_stride_0: 0,
        right_stride_1: 0,
        right_stride_2: 0,
        column_stride: 1,
        out_stride: 0,
    }
}

/// A convolution, or an error through one, whose outputs in a row share taps; codes of few kinds, so that sums of two are bytes always,
/// mostly or seldom.
pub(crate) fn convolution(d: &mut Dice) -> (State, Matrix, AccumulatorRule) {
    let (images, out) = (d.count(1, 4), [d.count(1, 5), d.count(2, 9)]);
    let taps = if d.one_in(3) { [3, 3] } else { [d.count(1, 4), d.count(2, 7)] };
    let (channels, columns) = (d.of(&[4, 8, 32, 64, 64, 68]), d.of(&[1, 16, 31, 48, 64, 70]));
    let bits = d.of(&[2, 2, 3, 6]);
    let step_y = d.count(1, 2);
    let [height, width] = [out[0] * step_y + d.count(0, 2), out[1] + d.count(0, 3)];
    let all = taps[0] * taps[1] * channels;
    // All of the reduction, or whole groups of it.
    let first_k = if d.one_in(2) { 0 } else { d.count(0, all / 4 - 1) * 4 };
    let length = if d.one_in(2) { all - first_k } else { d.count(1, (all - first_k) / 4) * 4 };
    // Weights by taps with columns side by side, or turned: by columns, taps from the last, channels side by side.
    let flipped = d.one_in(2);
    let of_tap = channels * columns;
    let strides = [taps[1] * of_tap, of_tap].map(signed);
    let (right_first, sign, [channel, column]) =
        if flipped { (all * columns - of_tap, -1, [1, channels]) } else { (0, 1, [columns, 1]) };
    let mut state = State::new([40_000, 140_000, 60_000, 0, 0], 1);
    let [least, greatest, odd]: [i64; 3] = d.of(&[
        [0, 127, 0],
        [0, 60, 0],
        [0, 50, 60],
        [-30, 30, 0],
        [-60, 60, 0],
        [-30, 30, 60],
        [-60, 60, 3000],
        [-128, 127, 0],
    ]);
    for byte in state.memory_mut(Memory::Operand) {
        let is_odd = odd > 0 && d.one_in(odd.unsigned_abs());
        let (least, greatest) = if is_odd { (least.signum() * 128, 127) } else { (least, greatest) };
        *byte = i8::try_from(d.within(least, greatest)).unwrap().cast_unsigned();
    }
    for memory in [Memory::Weight, Memory::Accumulator] {
        let bytes = state.memory_mut(memory);
        bytes.iter_mut().for_each(|b| *b = u8::try_from(d.word() & 0xff).unwrap());
    }
    let m = Matrix {
        right_format: Format::new(bits).unwrap(),
        accumulate: d.one_in(3),
        rows: images * out[0] * out[1],
        columns,
        first_k,
        length,
        height,
        width,
        pad_top: signed(d.count(0, taps[0])) - 1,
        pad_left: signed(d.count(0, taps[1])) - 1,
        step_y,
        image_stride: height * width * channels,
        row_stride: width * channels,
        right_first: right_first.into(),
        right_stride_0: sign * strides[0],
        right_stride_1: sign * strides[1],
        right_stride_2: signed(channel),
        column_stride: signed(column),
        out_stride: columns + d.count(0, 2),
        ..window(images, out, taps, channels)
    };
    let rule = d.of(&[
        AccumulatorRule { overflow: Overflow::Wrap, ..AccumulatorRule::default() },
        AccumulatorRule { bits: 14, overflow: Overflow::Wrap, ..AccumulatorRule::default() },
        AccumulatorRule { bits: 14, overflow: Overflow::Saturate, ..AccumulatorRule::default() },
    ]);
    (state, m, rule)
}

/// Where an instruction's operands and its output begin, and their bytes.
fn places(instr: &Instr) -> [(u64, u32); 3] {
    let footprint = Footprint::of(instr);
    let of = |memory: Memory, ranges: &[wagesim::isa::Range]| {
        let range = ranges.iter().find(|range| range.memory == memory);
        range.map_or((0, 1), |range| (range.first, u32::try_from(range.end - range.first).unwrap()))
    };
    let left = of(Memory::Operand, &footprint.reads);
    [left, of(Memory::Weight, &footprint.reads), of(Memory::Accumulator, &footprint.writes)]
}

/// A state with scratchpads as long as another's and so much DRAM, where some codes come first, one of nine of them halved.
fn with_dram(d: &mut Dice, operands: &State, dram: u64, mut codes: Vec<u8>) -> State {
    let mut state = State::new(
        Memory::ALL.map(|memory| match memory {
            Memory::Dram => usize::try_from(dram).unwrap(),
            _ => operands.memory(memory).len(),
        }),
        1,
    );
    for byte in &mut codes {
        if d.one_in(9) {
            *byte /= 2;
        }
    }
    state.memory_mut(Memory::Dram)[..codes.len()].copy_from_slice(&codes);
    state
}

fn bytes_of(state: &State, memory: Memory, (first, count): (u64, u32)) -> &[u8] {
    &state.memory(memory)[usize::try_from(first).unwrap()..][..usize::try_from(count).unwrap()]
}

fn dram(offset: u64) -> Address {
    Address::at(Memory::Dram, offset)
}

fn load(dst: Address, src: Address, bytes: u32) -> Instr {
    Instr::Load(Load {
        dst,
        src,
        planes: 1,
        rows: 1,
        bytes,
        src_row: 0,
        src_plane: 0,
        dst_row: 0,
        dst_plane: 0,
        pad_top: 0,
        pad_bottom: 0,
        pad_left: 0,
        pad_right: 0,
    })
}

/// Rows of bytes, and how far apart they come to lie.
fn store(dst: Address, src: Address, [rows, bytes, dst_row]: [u32; 3]) -> Instr {
    Instr::Store(Store {
        dst,
        src,
        planes: 1,
        rows,
        bytes,
        src_row: bytes,
        src_plane: 0,
        dst_row: dst_row.into(),
        dst_plane: 0,
    })
}

/// Something else put among operands: a fill, or a load from some place.
fn disturbed(d: &mut Dice, [left, right]: [(u64, u32); 2], from: Address) -> Instr {
    let (memory, (first, count)) = d.of(&[(Memory::Operand, left), (Memory::Weight, right)]);
    let (at, value) = (d.count(0, count - 1), d.count(0, 9).cast_signed());
    let dst = Address::at(memory, first + u64::from(at));
    let dst_format = Format::new(8).unwrap();
    let count = d.count(1, count - at);
    d.of(&[Instr::VFill(VFill { dst, dst_format, value, count }), load(dst, from, count)])
}

/// The greatest magnitude of the first row of an instruction's output.
fn greatest(m: &Matrix) -> Instr {
    Instr::VMaxabs(VMaxabs { dst: Scale(1), src: m.out, src_format: m.out_format, count: m.columns })
}

/// Tiles of a convolution: three blocks of weights that meet the same two blocks of images, twice, loaded for each from DRAM and stored
/// there; now and then something else is put among the operands, or what they were loaded from is another.
pub(crate) fn tiles(d: &mut Dice) -> (State, Vec<(Instr, AccumulatorRule)>) {
    let (operands, m, rule) = convolution(d);
    let [left, right, out] = places(&Instr::MTaps(m));
    let sizes = [left.1, right.1, out.1].map(u64::from);
    let [lefts, rights, outs] = [0, 2 * sizes[0], 2 * sizes[0] + 3 * sizes[1]];
    let mut codes = bytes_of(&operands, Memory::Operand, left).repeat(2);
    codes.extend_from_slice(&bytes_of(&operands, Memory::Weight, right).repeat(3));
    let state = with_dram(d, &operands, outs + 13 * sizes[2], codes);
    let mut steps = Vec::new();
    for tile in 0..12u32 {
        let (block, images) = (tile / 2 % 3, tile % 2);
        let images_at = dram(lefts + u64::from(images) * sizes[0]);
        steps.push(load(Address::at(Memory::Operand, left.0), images_at, left.1));
        let block_at = dram(rights + u64::from(block) * sizes[1]);
        steps.push(load(Address::at(Memory::Weight, right.0), block_at, right.1));
        if d.one_in(4) {
            steps.push(disturbed(d, [left, right], images_at));
        }
        steps.extend([Instr::MTaps(m), greatest(&m)]);
        if d.one_in(6) {
            steps.push(Instr::XSub(XSub { dst: Scale(2), a: Scale(1), b: Scale(2) }));
        }
        let to = if d.one_in(6) { images_at } else { dram(outs + u64::from(tile) * sizes[2]) };
        let bytes = if to == images_at { left.1.min(out.1) } else { out.1 };
        steps.push(store(to, Address::at(Memory::Accumulator, out.0), [1, bytes, 0]));
    }
    (state, steps.into_iter().map(|instr| (instr, rule)).collect())
}

/// Gradients of one to four taps in blocks of columns, each summed over the tap's four blocks of images and the column's errors, as pooling
/// sent them back or nearly; blocks are stored side by side. Now and then somebody looks at what is not summed yet, something else is put among the operands, a block overwrites another's columns or what images were
/// loaded from.
pub(crate) fn gradients(d: &mut Dice) -> (State, Vec<(Instr, AccumulatorRule)>) {
    const PARTS: u32 = 4;
    let odd = d.of(&[0, 0, 3]);
    let (operands, m) = pooled_gradient(d, odd);
    let [left, right, out] = places(&Instr::MPositions(m));
    let (taps, blocks) = (d.count(1, 4), d.count(2, 6));
    let sizes = [left.1, right.1, out.1].map(u64::from);
    let rights = u64::from(taps * PARTS) * sizes[0];
    let outs = rights + u64::from(blocks * PARTS) * sizes[1];
    let times = |n: u32| usize::try_from(n).unwrap();
    let mut codes = bytes_of(&operands, Memory::Operand, left).repeat(times(taps * PARTS));
    codes.extend_from_slice(&bytes_of(&operands, Memory::Weight, right).repeat(times(blocks * PARTS)));
    let state = with_dram(d, &operands, outs + u64::from(taps * (blocks + 1)) * sizes[2], codes);
    let (row, seldom) = (4 * m.columns, d.of(&[1000, 12]));
    let mut steps = Vec::new();
    for (tap, block) in (0..taps).flat_map(|tap| (0..blocks).map(move |block| (tap, block))) {
        for part in 0..PARTS {
            let images_at = dram(u64::from(tap * PARTS + part) * sizes[0]);
            steps.push(load(Address::at(Memory::Operand, left.0), images_at, left.1));
            let errors_at = dram(rights + u64::from(block * PARTS + part) * sizes[1]);
            steps.push(load(Address::at(Memory::Weight, right.0), errors_at, right.1));
            if d.one_in(3 * seldom) {
                steps.push(disturbed(d, [left, right], images_at));
            }
            let (accumulate, partial) = (part > 0, part + 1 < PARTS);
            steps.push(Instr::MPositions(Matrix { accumulate, partial, ..m }));
            if d.one_in(2 * seldom) {
                steps.push(greatest(&m));
            }
        }
        steps.push(greatest(&m));
        let beside = u64::from(block * row) - u64::from(block > 0 && d.one_in(seldom));
        let of_tap = outs + u64::from(tap * (blocks + 1)) * sizes[2];
        let to = if d.one_in(2 * seldom) { dram(0) } else { dram(of_tap + beside) };
        let rows = if to == dram(0) { 1 } else { m.rows };
        steps.push(store(to, Address::at(Memory::Accumulator, out.0), [rows, row, blocks * row]));
    }
    (state, steps.into_iter().map(|instr| (instr, AccumulatorRule::default())).collect())
}

/// Tiles of a convolution whose reduction is two instructions' halves, each of which has its operands loaded: three blocks of weights that
/// meet the same two blocks of images, which halves share or have each. Now and then somebody looks at what a first half leaves, or
/// something else is put among the operands.
pub(crate) fn halves(d: &mut Dice) -> (State, Vec<(Instr, AccumulatorRule)>) {
    let (operands, m, rule) = convolution(d);
    let all = m.tap_rows * m.tap_cols * m.channels;
    let cut = d.count(1, all / 4 - 1) * 4;
    let first = Matrix { first_k: 0, length: cut, accumulate: d.one_in(12), partial: true, ..m };
    let second = Matrix { first_k: cut, length: all - cut, accumulate: !d.one_in(12), partial: false, ..m };
    let [whole, one, other] =
        [Matrix { first_k: 0, length: all, ..m }, first, second].map(|m| places(&Instr::MTaps(m)));
    let [left, right, out] = whole;
    let sizes = [left.1, right.1, out.1].map(u64::from);
    let [lefts, rights, outs] = [0, 2 * sizes[0], 2 * sizes[0] + 3 * sizes[1]];
    let mut codes = bytes_of(&operands, Memory::Operand, left).repeat(2);
    codes.extend_from_slice(&bytes_of(&operands, Memory::Weight, right).repeat(3));
    let state = with_dram(d, &operands, outs + 12 * sizes[2], codes);
    // The second half's operands beside the first's, or in their place.
    let [beside_left, beside_right] =
        [left.0 + sizes[0], right.0 + sizes[1]].map(|b| if d.one_in(4) { 0 } else { b });
    let seldom = d.of(&[1000, 10]);
    let cut = d.of(&[left.1, left.1, m.channels, left.1.saturating_sub(m.channels)]).clamp(1, left.1);
    let parts = [(0, cut), (cut, left.1 - cut)].into_iter().filter(|(_, count)| *count > 0);
    let mut steps = Vec::new();
    for tile in 0..12u32 {
        let (block, images) = (tile / 2 % 3, tile % 2);
        let images_at = dram(lefts + u64::from(images) * sizes[0]);
        let block_at = rights + u64::from(block) * sizes[1];
        for (m, of_half, [to_left, to_right]) in
            [(first, one[1], [0, 0]), (second, other[1], [beside_left, beside_right])]
        {
            let other_images = if d.one_in(seldom) { dram(sizes[0] - images_at.offset) } else { images_at };
            // In one load, or two: codes near either end only the other half may meet.
            for (first, count) in parts.clone() {
                let at = left.0 + to_left + u64::from(first);
                let from = dram(other_images.offset + u64::from(first));
                steps.push(load(Address::at(Memory::Operand, at), from, count));
            }
            // What of the block's codes the half has.
            let from = dram(block_at + of_half.0 - right.0);
            steps.push(load(Address::at(Memory::Weight, of_half.0 + to_right), from, of_half.1));
            if d.one_in(2 * seldom) {
                steps.push(disturbed(d, [left, right], images_at));
            }
            let [m_left, m_right] = [m.left.offset + to_left, m.right.offset + to_right];
            let places = [Address::at(Memory::Operand, m_left), Address::at(Memory::Weight, m_right)];
            steps.push(Instr::MTaps(Matrix { left: places[0], right: places[1], ..m }));
            if d.one_in(seldom) {
                steps.push(greatest(&m));
            }
        }
        steps.push(greatest(&m));
        let to = dram(outs + u64::from(tile) * sizes[2]);
        steps.push(store(to, Address::at(Memory::Accumulator, out.0), [1, out.1, 0]));
    }
    (state, steps.into_iter().map(|instr| (instr, rule)).collect())
}
