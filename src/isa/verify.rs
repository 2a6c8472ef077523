//! Proves of one instruction, addresses absolute, that its fields mean something and that all it touches lies in its memories.
//! What it touches is bounded by boxes in closed form: no element is visited.

use super::field::{Address, Format, Memory};
use super::instr::{Instr, Load, Matrix, Store};
use super::window::{Covered, TapOrder, boxes};

/// Why an instruction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A field without meaning.
    #[error("{field} is {value}; it is {allowed}")]
    Field {
        /// The field.
        field: &'static str,
        /// As it is.
        value: i64,
        /// As it may be.
        allowed: &'static str,
    },
    /// A place outside a memory.
    #[error("{field} reaches {memory} byte {byte}, but {memory} has {size} bytes")]
    Outside {
        /// The address field.
        field: &'static str,
        /// Name of the memory.
        memory: &'static str,
        /// The outermost byte, below 0 or beyond the last.
        byte: i128,
        /// Bytes there are.
        size: u64,
    },
    /// A memory an instruction of this unit cannot touch.
    #[error("{field} lies in {memory}: {allowed}")]
    Memory {
        /// The address field.
        field: &'static str,
        /// Name of the memory.
        memory: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// Sizes of the memories, by [`Memory::index`].
pub type Sizes = [u64; 5];

pub(super) type Checked = Result<(), AccessError>;

fn at_least_one(fields: &[(&'static str, u32)]) -> Checked {
    match fields.iter().find(|(_, v)| *v == 0) {
        Some(&(field, _)) => Err(AccessError::Field { field, value: 0, allowed: "at least 1" }),
        None => Ok(()),
    }
}

fn within(field: &'static str, value: u32, least: u32, greatest: u32, allowed: &'static str) -> Checked {
    if (least..=greatest).contains(&value) {
        Ok(())
    } else {
        Err(AccessError::Field { field, value: value.into(), allowed })
    }
}

/// Walks over what an instruction touches: an address field, and the first and last byte from memory byte 0 on.
struct Walk<'a> {
    touch: &'a mut dyn FnMut(&'static str, Address, i128, i128) -> Checked,
}

/// Proves an instruction.
///
/// # Errors
/// The first field or access that is wrong.
pub fn verify(instr: &Instr, sizes: &Sizes) -> Checked {
    walk(instr, &mut |field, address, first, last| {
        let size = sizes[address.memory.index()];
        if first >= 0 && last < size.into() {
            return Ok(());
        }
        let byte = if first < 0 { first } else { last };
        Err(AccessError::Outside { field, memory: address.memory.name(), byte, size })
    })
}

/// Checks an instruction's fields and tells `touch` of every operand: address field, first and last byte.
///
/// # Errors
/// The first field that means nothing, or what `touch` says.
pub(super) fn walk(
    instr: &Instr,
    touch: &mut dyn FnMut(&'static str, Address, i128, i128) -> Checked,
) -> Checked {
    Walk { touch }.instr(instr)
}

impl Walk<'_> {
    /// Bytes `least..=greatest` from an address.
    fn bytes(&mut self, field: &'static str, address: Address, least: i128, greatest: i128) -> Checked {
        let start = i128::from(address.offset);
        (self.touch)(field, address, start + least, start + greatest)
    }

    /// Elements `least..=greatest` from an address.
    fn elements(
        &mut self,
        field: &'static str,
        address: Address,
        format: Format,
        least: i128,
        greatest: i128,
    ) -> Checked {
        let bits = i128::from(format.bits());
        self.bytes(field, address, (least * bits).div_euclid(8), ((greatest + 1) * bits - 1).div_euclid(8))
    }

    /// `count` elements of a scratchpad.
    fn run(&mut self, field: &'static str, address: Address, format: Format, count: u128) -> Checked {
        self.scratchpad(field, address)?;
        self.elements(field, address, format, 0, i128::try_from(count).unwrap_or(i128::MAX >> 8) - 1)
    }

    fn scratchpad(&self, field: &'static str, address: Address) -> Checked {
        match address.memory {
            Memory::Dram => {
                let allowed = "only load and store touch DRAM; move it to a scratchpad first";
                Err(AccessError::Memory { field, memory: "dram", allowed })
            }
            _ => Ok(()),
        }
    }

    fn instr(&mut self, instr: &Instr) -> Checked {
        let bits = |n: u32| Format::new(n).expect("a fixed width");
        match instr {
            Instr::Load(m) => self.load(m),
            Instr::Store(m) => self.store(m),
            Instr::MTaps(m) => self.matrix(m, false),
            Instr::MPositions(m) => self.matrix(m, true),
            Instr::Mode(m) => {
                const WIDTH: &str = "4 to 64 bits";
                within("bits", m.bits, 4, 64, WIDTH)?;
                within("outer_bits", m.outer_bits, 4, 64, WIDTH)?;
                at_least_one(&[("tree", m.tree)])
            }
            Instr::VFill(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("dst", i.dst, i.dst_format, i.count.into())
            }
            Instr::VLookup(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("src", i.src, bits(8), i.count.into())?;
                self.run("table", i.table, i.dst_format, 256)?;
                self.run("dst", i.dst, i.dst_format, i.count.into())
            }
            Instr::VShift(i) => {
                at_least_one(&[("count", i.count)])?;
                within("bits", i.bits, 2, 32, "2 to 32")?;
                self.run("src", i.src, i.src_format, i.count.into())?;
                self.run("dst", i.dst, i.dst_format, i.count.into())
            }
            Instr::VRelu(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("src", i.src, i.format, i.count.into())?;
                self.run("dst", i.dst, i.format, i.count.into())
            }
            Instr::VState(i) => {
                at_least_one(&[("count", i.count)])?;
                within("bits", i.bits, 2, 32, "2 to 32")?;
                self.run("src", i.src, i.src_format, i.count.into())?;
                self.run("dst", i.dst, bits(2), i.count.into())
            }
            Instr::VMask(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("src", i.src, i.format, i.count.into())?;
                self.run("states", i.states, bits(2), i.count.into())?;
                self.run("dst", i.dst, i.format, i.count.into())
            }
            Instr::VPool(_) | Instr::VUnpool(_) => self.window(instr),
            Instr::VMaxabs(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("src", i.src, i.src_format, i.count.into())
            }
            Instr::VOnehot(i) => {
                at_least_one(&[("rows", i.rows), ("columns", i.columns)])?;
                within("shift", i.shift, 0, 60, "0 to 60")?;
                let elements = u128::from(i.rows) * u128::from(i.columns);
                self.run("src", i.src, i.src_format, elements)?;
                self.run("labels", i.labels, bits(16), i.rows.into())?;
                self.run("dst", i.dst, i.dst_format, elements)
            }
            Instr::VSumsq(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("src", i.src, i.src_format, i.count.into())
            }
            Instr::VArgmax(i) => {
                at_least_one(&[("rows", i.rows), ("columns", i.columns)])?;
                self.run("src", i.src, i.src_format, u128::from(i.rows) * u128::from(i.columns))?;
                self.run("labels", i.labels, bits(16), i.rows.into())?;
                self.run("dst", i.dst, bits(16), i.rows.into())
            }
            Instr::VReduce(i) => {
                at_least_one(&[("rows", i.rows), ("columns", i.columns)])?;
                self.run("src", i.src, i.src_format, u128::from(i.rows) * u128::from(i.columns))?;
                self.run("dst", i.dst, i.dst_format, i.rows.into())
            }
            Instr::VExp(i) => {
                at_least_one(&[("rows", i.rows), ("columns", i.columns)])?;
                within("fraction", i.fraction, 0, 40, "0 to 40")?;
                let elements = u128::from(i.rows) * u128::from(i.columns);
                self.run("src", i.src, i.src_format, elements)?;
                self.run("row", i.row, i.row_format, i.rows.into())?;
                self.run("table", i.table, bits(32), 257)?;
                self.run("dst", i.dst, i.dst_format, elements)
            }
            Instr::VDivide(i) => {
                at_least_one(&[("rows", i.rows), ("columns", i.columns)])?;
                within("shift", i.shift, 0, 32, "0 to 32")?;
                let elements = u128::from(i.rows) * u128::from(i.columns);
                self.run("src", i.src, i.src_format, elements)?;
                self.run("row", i.row, i.row_format, i.rows.into())?;
                self.run("dst", i.dst, i.dst_format, elements)
            }
            Instr::VStochastic(i) => {
                at_least_one(&[("count", i.count)])?;
                within("random_bits", i.random_bits, 1, 32, "1 to 32")?;
                self.run("src", i.src, i.src_format, i.count.into())?;
                self.run("dst", i.dst, i.dst_format, i.count.into())
            }
            Instr::VSub(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("a", i.a, i.format, i.count.into())?;
                self.run("b", i.b, i.b_format, i.count.into())?;
                self.run("dst", i.dst, i.format, i.count.into())
            }
            Instr::VAdd(i) => {
                at_least_one(&[("count", i.count)])?;
                self.run("a", i.a, i.format, i.count.into())?;
                self.run("b", i.b, i.b_format, i.count.into())?;
                self.run("dst", i.dst, i.format, i.count.into())
            }
            _ => Ok(()),
        }
    }

    fn window(&mut self, instr: &Instr) -> Checked {
        const WINDOW: &str = "1 to 16";
        const PLACE: &str = "wide enough for every place of the window, at most 8 bits";
        let place_bits = |window: u32| (window * window).next_power_of_two().trailing_zeros().max(1);
        let n = |v: u32| u128::from(v);
        match instr {
            Instr::VPool(i) => {
                at_least_one(&[
                    ("images", i.images),
                    ("out_rows", i.out_rows),
                    ("out_cols", i.out_cols),
                    ("channels", i.channels),
                    ("step", i.step),
                ])?;
                within("window", i.window, 1, 16, WINDOW)?;
                within("place_format", i.place_format.bits(), place_bits(i.window), 8, PLACE)?;
                let outputs = n(i.images) * n(i.out_rows) * n(i.out_cols) * n(i.channels);
                let rows = n(i.out_rows - 1) * n(i.step) + n(i.window) - 1;
                let columns = n(i.out_cols - 1) * n(i.step) + n(i.window);
                let last =
                    n(i.images - 1) * n(i.image_stride) + rows * n(i.row_stride) + columns * n(i.channels);
                self.run("src", i.src, i.format, last)?;
                self.run("dst", i.dst, i.format, outputs)?;
                self.run("place", i.place, i.place_format, outputs)
            }
            Instr::VUnpool(i) => {
                at_least_one(&[
                    ("images", i.images),
                    ("in_rows", i.in_rows),
                    ("in_cols", i.in_cols),
                    ("channels", i.channels),
                    ("height", i.height),
                    ("width", i.width),
                    ("step", i.step),
                ])?;
                within("window", i.window, 1, 16, WINDOW)?;
                within("bits", i.bits, 2, 32, "2 to 32")?;
                within("place_format", i.place_format.bits(), place_bits(i.window), 8, PLACE)?;
                let sources = n(i.images) * n(i.in_rows) * n(i.in_cols) * n(i.channels);
                self.run("src", i.src, i.format, sources)?;
                self.run("place", i.place, i.place_format, sources)?;
                self.run("dst", i.dst, i.format, n(i.images) * n(i.height) * n(i.width) * n(i.channels))
            }
            _ => Ok(()),
        }
    }

    fn load(&mut self, m: &Load) -> Checked {
        at_least_one(&[("planes", m.planes), ("rows", m.rows), ("bytes", m.bytes)])?;
        self.scratchpad("dst", m.dst)?;
        let planes = i128::from(m.planes - 1);
        let rows = i128::from(m.pad_top) + i128::from(m.rows) + i128::from(m.pad_bottom) - 1;
        let row = i128::from(m.pad_left) + i128::from(m.bytes) + i128::from(m.pad_right);
        let last = planes * i128::from(m.dst_plane) + rows * i128::from(m.dst_row) + row - 1;
        self.bytes("dst", m.dst, 0, last)?;
        let steps = [(planes, m.src_plane), (i128::from(m.rows - 1), m.src_row)];
        let (least, greatest) = corners(&steps);
        self.bytes("src", m.src, least, greatest + i128::from(m.bytes) - 1)
    }

    fn store(&mut self, m: &Store) -> Checked {
        at_least_one(&[("planes", m.planes), ("rows", m.rows), ("bytes", m.bytes)])?;
        self.scratchpad("src", m.src)?;
        let (planes, rows) = (i128::from(m.planes - 1), i128::from(m.rows - 1));
        let last = planes * i128::from(m.src_plane) + rows * i128::from(m.src_row) + i128::from(m.bytes) - 1;
        self.bytes("src", m.src, 0, last)?;
        let (least, greatest) = corners(&[(planes, m.dst_plane), (rows, m.dst_row)]);
        self.bytes("dst", m.dst, least, greatest + i128::from(m.bytes) - 1)
    }

    fn matrix(&mut self, m: &Matrix, positions_reduced: bool) -> Checked {
        at_least_one(&[
            ("images", m.images),
            ("out_rows", m.out_rows),
            ("out_cols", m.out_cols),
            ("tap_rows", m.tap_rows),
            ("tap_cols", m.tap_cols),
            ("channels", m.channels),
            ("rows", m.rows),
            ("columns", m.columns),
            ("length", m.length),
            ("height", m.height),
            ("width", m.width),
            ("step_y", m.step_y),
            ("step_x", m.step_x),
            ("dilate_y", m.dilate_y),
            ("dilate_x", m.dilate_x),
            ("widen_y", m.widen_y),
            ("widen_x", m.widen_x),
        ])?;
        const CODES: &str = "at most 16 bits: operands are codes";
        within("left_format", m.left_format.bits(), 2, 16, CODES)?;
        within("right_format", m.right_format.bits(), 2, 16, CODES)?;
        within("out_format", m.out_format.bits(), 4, 64, "4 to 64 bits")?;
        if positions_reduced {
            const ALL: &str = "0: m.positions reduces over positions, which have no blocks of channels";
            within("channel_block", m.channel_block, 0, 0, ALL)?;
        }
        let positions = u64::from(m.images) * u64::from(m.out_rows) * u64::from(m.out_cols);
        let taps = u64::from(m.tap_rows) * u64::from(m.tap_cols) * u64::from(m.channels);
        let (rows, reduced) = if positions_reduced { (taps, positions) } else { (positions, taps) };
        let numbers = |field, first: u32, count: u32, all: u64, allowed| {
            let last = u64::from(first) + u64::from(count);
            let value = i64::try_from(last).unwrap_or(i64::MAX);
            if last <= all { Ok(()) } else { Err(AccessError::Field { field, value, allowed }) }
        };
        numbers(
            "first_row + rows",
            m.first_row,
            m.rows,
            rows,
            "at most the positions (m.taps) or taps (m.positions) there are",
        )?;
        numbers(
            "first_k + length",
            m.first_k,
            m.length,
            reduced,
            "at most the taps (m.taps) or positions (m.positions) there are",
        )?;
        if m.rows > 1 && m.out_stride < m.columns {
            let value = m.out_stride.into();
            return Err(AccessError::Field {
                field: "out_stride",
                value,
                allowed: "at least columns: rows would overlap",
            });
        }
        let last = i128::from(m.rows - 1) * i128::from(m.out_stride) + i128::from(m.columns) - 1;
        self.elements("out", m.out, m.out_format, 0, last)?;
        let covered = Covered::of(m, positions_reduced);
        self.left(m, &covered)?;
        self.right(m, positions_reduced)
    }

    fn left(&mut self, m: &Matrix, c: &Covered) -> Checked {
        let wide = |n: usize| i128::try_from(n).unwrap_or(i128::MAX >> 8);
        // The first and last row (column) of memory that the reach meets, if any.
        let met = |first: usize, last: usize, pad: i32, widen: u32, size: u32| {
            let (widen, pad) = (i128::from(widen), i128::from(pad));
            let low = (wide(first) - pad).max(0);
            let high = (wide(last) - pad).min((i128::from(size) - 1) * widen);
            let (low, high) = ((low + widen - 1).div_euclid(widen), high.div_euclid(widen));
            (low <= high).then_some((low, high))
        };
        let (y, x) = (
            c.rows.reach(m.step_y, c.tap_rows, m.dilate_y),
            c.columns.reach(m.step_x, c.tap_columns, m.dilate_x),
        );
        let rows = met(y.first, y.last(), m.pad_top, m.widen_y, m.height);
        let columns = met(x.first, x.last(), m.pad_left, m.widen_x, m.width);
        let (Some((y0, y1)), Some((x0, x1))) = (rows, columns) else { return Ok(()) };
        let place = |image: usize, y: i128, x: i128, channel: usize| {
            i128::from(m.left_first)
                + wide(image) * i128::from(m.image_stride)
                + y * i128::from(m.row_stride)
                + x * i128::from(m.pixel_stride)
                + wide(channel)
        };
        let least = place(c.images.first, y0, x0, c.channels.first);
        let greatest = place(c.images.last(), y1, x1, c.channels.last());
        self.elements("left", m.left, m.left_format, least, greatest)
    }

    fn right(&mut self, m: &Matrix, positions_reduced: bool) -> Checked {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let reduced = if positions_reduced {
            boxes(size(m.first_k), size(m.length), [m.images, m.out_rows, m.out_cols].map(size))
        } else {
            TapOrder::of(m).boxes(size(m.first_k), size(m.length))
        };
        let wide = |n: usize| i128::try_from(n).unwrap_or(i128::MAX >> 8);
        let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2];
        let (mut least, mut greatest) = (i128::MAX, i128::MIN);
        for spans in reduced {
            let (mut low, mut high) = (i128::from(m.right_first), i128::from(m.right_first));
            for (span, stride) in spans.into_iter().zip(strides) {
                let ends = [span.first, span.last()].map(|n| wide(n) * i128::from(stride));
                low += ends[0].min(ends[1]);
                high += ends[0].max(ends[1]);
            }
            (least, greatest) = (least.min(low), greatest.max(high));
        }
        let columns = i128::from(m.columns - 1) * i128::from(m.column_stride);
        self.elements("right", m.right, m.right_format, least + columns.min(0), greatest + columns.max(0))
    }
}

/// Least and greatest sum of `0..=count` times each stride.
fn corners(steps: &[(i128, i64)]) -> (i128, i128) {
    let ends = steps.iter().map(|&(count, stride)| count * i128::from(stride));
    ends.fold((0, 0), |(least, greatest), end| (least + end.min(0), greatest + end.max(0)))
}

#[cfg(test)]
mod tests {
    use crate::isa::instr::{Kind, TABLE, Unit};

    /// What makes "no branch on data" hold of every program: control reads neither memory nor what comes from it, and no
    /// other unit writes what control reads.
    #[test]
    fn control_reads_nothing_that_depends_on_data() {
        for spec in TABLE {
            for field in spec.fields {
                let from_data = matches!(field.kind, Kind::Address(_) | Kind::Scale | Kind::Counter);
                let place = format!("{} {}", spec.mnemonic, field.name);
                if spec.unit == Unit::Control {
                    assert!(!from_data, "{place}: control reads data");
                } else {
                    let written = field.kind == Kind::Scalar && field.name == "dst";
                    assert!(!written, "{place}: a scalar register is written");
                }
            }
        }
    }
}
