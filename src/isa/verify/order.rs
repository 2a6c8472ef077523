//! What an instruction of the vector unit may overwrite of its own operands.
//!
//! Elements pass its lanes in order, and how many pass together is the machine's. An instruction that is right on any machine is
//! right where each element is written before the next is read: no destination may reach what is read later.

use super::{AccessError, Checked, walk};
use crate::isa::field::{Address, Format};
use crate::isa::instr::{Access, Instr, Unit};

/// Elements in the order of lane elements.
#[derive(Debug, Clone, Copy)]
struct Operand {
    field: &'static str,
    address: Address,
    format: Format,
    count: u64,
    /// Lane elements that belong to each: a row's columns for a value of the row, else 1.
    each: u64,
}

impl Operand {
    /// Place of element `k`'s first bit.
    fn bit(&self, k: u64) -> u128 {
        u128::from(self.address.offset) * 8 + u128::from(k) * u128::from(self.format.bits())
    }
}

/// An operand that an instruction touches: field, memory, first and last byte.
#[derive(Debug, Clone, Copy)]
struct Touched {
    field: &'static str,
    address: Address,
    first: i128,
    last: i128,
}

impl Touched {
    fn meets(&self, other: &Touched) -> bool {
        self.address.memory == other.address.memory && self.first <= other.last && other.first <= self.last
    }
}

/// Proves that an instruction whose fields mean something overwrites nothing that it has still to read, and nothing twice.
pub(super) fn check(instr: &Instr) -> Checked {
    if instr.unit() != Unit::Vector {
        return Ok(());
    }
    let fields = instr.spec().fields;
    let (mut written, mut read) = (Vec::new(), Vec::new());
    walk(instr, &mut |field, address, first, last| {
        let access = fields.iter().find(|f| f.name == field).and_then(|f| f.access);
        let of = if access == Some(Access::Write) { &mut written } else { &mut read };
        of.push(Touched { field, address, first, last });
        Ok(())
    })?;
    if let [one, other] = written[..]
        && one.meets(&other)
    {
        return Err(AccessError::Meets { written: one.field, other: other.field });
    }
    let meeting = written.iter().flat_map(|w| read.iter().filter(|r| w.meets(r)).map(move |r| (w, r)));
    let mut meeting = meeting.peekable();
    if meeting.peek().is_none() {
        return Ok(());
    }
    let in_order = in_order(instr);
    let of = |field| in_order.iter().find(|operand| operand.field == field);
    for (w, r) in meeting {
        let (written, read) = (w.field, r.field);
        let Some((target, source)) = of(written).zip(of(read)) else {
            return Err(AccessError::Meets { written, other: read });
        };
        if overtakes(target, source) {
            return Err(AccessError::Overtakes { written, read });
        }
    }
    Ok(())
}

/// Whether elements of `target` reach into elements of `source` that are read later; the two meet.
fn overtakes(target: &Operand, source: &Operand) -> bool {
    // Elements written before element k is read for the last time.
    let written = |k: u64| ((k + 1) * source.each - 1) / target.each;
    // What is written grows by as much from element to element, or from row to row: the extremes are at the ends.
    let last = source.count - 1;
    let ends = [0, 1, target.each, last / target.each * target.each, last];
    let ends = ends.into_iter().filter(|&k| k <= last && written(k) > 0);
    ends.into_iter().any(|k| target.bit(written(k)) > source.bit(k))
}

/// Destination and sources of which elements are written and read in order; none for windows, whose elements are read as
/// windows come.
fn in_order(instr: &Instr) -> Vec<Operand> {
    let bits = |n: u32| Format::new(n).expect("a fixed width");
    let of = |field, address, format, count: u64, each: u64| Operand { field, address, format, count, each };
    let run = |field, address, format, count: u32| of(field, address, format, count.into(), 1);
    let rows = |field, address, format, rows: u32, columns: u32| {
        of(field, address, format, rows.into(), columns.into())
    };
    let all = |field, address, format, rows: u32, columns: u32| {
        of(field, address, format, u64::from(rows) * u64::from(columns), 1)
    };
    match instr {
        Instr::VLookup(i) => {
            vec![run("dst", i.dst, i.dst_format, i.count), run("src", i.src, bits(8), i.count)]
        }
        Instr::VShift(i) => {
            vec![run("dst", i.dst, i.dst_format, i.count), run("src", i.src, i.src_format, i.count)]
        }
        Instr::VRelu(i) => {
            vec![run("dst", i.dst, i.format, i.count), run("src", i.src, i.format, i.count)]
        }
        Instr::VState(i) => {
            vec![run("dst", i.dst, bits(2), i.count), run("src", i.src, i.src_format, i.count)]
        }
        Instr::VMask(i) => vec![
            run("dst", i.dst, i.format, i.count),
            run("src", i.src, i.format, i.count),
            run("states", i.states, bits(2), i.count),
        ],
        Instr::VStochastic(i) => {
            vec![run("dst", i.dst, i.dst_format, i.count), run("src", i.src, i.src_format, i.count)]
        }
        Instr::VSub(i) => vec![
            run("dst", i.dst, i.format, i.count),
            run("a", i.a, i.format, i.count),
            run("b", i.b, i.b_format, i.count),
        ],
        Instr::VAdd(i) => vec![
            run("dst", i.dst, i.format, i.count),
            run("a", i.a, i.format, i.count),
            run("b", i.b, i.b_format, i.count),
        ],
        Instr::VOnehot(i) => vec![
            all("dst", i.dst, i.dst_format, i.rows, i.columns),
            all("src", i.src, i.src_format, i.rows, i.columns),
            rows("labels", i.labels, bits(16), i.rows, i.columns),
        ],
        Instr::VExp(i) => vec![
            all("dst", i.dst, i.dst_format, i.rows, i.columns),
            all("src", i.src, i.src_format, i.rows, i.columns),
            rows("row", i.row, i.row_format, i.rows, i.columns),
        ],
        Instr::VDivide(i) => vec![
            all("dst", i.dst, i.dst_format, i.rows, i.columns),
            all("src", i.src, i.src_format, i.rows, i.columns),
            rows("row", i.row, i.row_format, i.rows, i.columns),
        ],
        Instr::VArgmax(i) => vec![
            rows("dst", i.dst, bits(16), i.rows, i.columns),
            all("src", i.src, i.src_format, i.rows, i.columns),
            rows("labels", i.labels, bits(16), i.rows, i.columns),
        ],
        Instr::VReduce(i) => vec![
            rows("dst", i.dst, i.dst_format, i.rows, i.columns),
            all("src", i.src, i.src_format, i.rows, i.columns),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Names, Scope, assemble, verify};

    fn checked(line: &str) -> Checked {
        let (names, macros) = (Names::default(), std::iter::empty());
        let read = assemble(line, Scope::new(&names), macros);
        verify(&read.expect("a line").expect("an instruction"), &[4096; 5])
    }

    /// Whether an element is written before it was read for the last time, one lane element after the other, bit by bit.
    fn overtaken(target: &Operand, source: &Operand) -> bool {
        let end = |operand: &Operand| operand.count * operand.each;
        let mut written = std::collections::BTreeSet::new();
        for lane in 0..end(target).max(end(source)) {
            let element = lane / source.each;
            let bits = source.bit(element)..source.bit(element + 1);
            if element < source.count && bits.into_iter().any(|bit| written.contains(&bit)) {
                return true;
            }
            if (lane + 1) % target.each == 0 && lane / target.each < target.count {
                let element = lane / target.each;
                written.extend(target.bit(element)..target.bit(element + 1));
            }
        }
        false
    }

    #[test]
    fn what_is_let_pass_overwrites_nothing_still_to_be_read() {
        let operand = |offset: u64, bits: u32, count: u64, each: u64| Operand {
            field: "",
            address: Address::at(crate::isa::Memory::Operand, offset),
            format: Format::new(bits).expect("a width"),
            count,
            each,
        };
        let (mut passed, mut refused, mut too_many) = (0, 0, 0);
        for (rows, columns) in [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (2, 7)] {
            for (target_each, source_each) in [(1, 1), (1, columns), (columns, 1), (columns, columns)] {
                for (target_bits, source_bits) in [(8, 8), (4, 8), (8, 4), (2, 12), (12, 2), (16, 16), (5, 3)]
                {
                    for offset in 0..24 {
                        let target = operand(offset, target_bits, rows * columns / target_each, target_each);
                        let source = operand(12, source_bits, rows * columns / source_each, source_each);
                        let apart = target.bit(target.count) <= source.bit(0)
                            || source.bit(source.count) <= target.bit(0);
                        let says = !apart && overtakes(&target, &source);
                        let is = overtaken(&target, &source);
                        assert!(says || !is, "{target:?} overtakes {source:?}");
                        (passed, refused) = (passed + u32::from(!apart && !says), refused + u32::from(is));
                        too_many += u32::from(says && !is);
                    }
                }
            }
        }
        assert!(passed > 300 && refused > 300, "{passed} pass, {refused} overtake");
        assert!(too_many * 20 < refused, "{too_many} refused that would be right, {refused} that would not");
    }

    #[test]
    fn a_destination_begins_no_later_than_its_source_and_in_no_wider_format() {
        let relu = |dst: u32| format!("v.relu dst=operand[{dst}] src=operand[16] format=8 count=32");
        for dst in [0, 8, 16, 48] {
            assert_eq!(checked(&relu(dst)), Ok(()), "{dst}");
        }
        for dst in [17, 47] {
            let error = AccessError::Overtakes { written: "dst", read: "src" };
            assert_eq!(checked(&relu(dst)), Err(error), "{dst}");
        }
        let shift = |bits: u32| {
            format!("v.shift dst=operand[16] dst_format={bits} src=operand[16] src_format=16 bits=8 count=9")
        };
        assert_eq!((checked(&shift(8)), checked(&shift(16))), (Ok(()), Ok(())));
        let message = checked(&shift(32)).expect_err("wider").to_string();
        assert!(message.contains("dst overwrites what is still to be read of src"), "{message}");
    }

    #[test]
    fn one_element_overtakes_nothing() {
        let line = "v.shift dst=operand[16] dst_format=32 src=operand[16] src_format=16 bits=8 count=1";
        assert_eq!(checked(line), Ok(()));
    }

    #[test]
    fn the_value_of_a_row_is_read_to_the_end_of_the_row() {
        let divide = |row: u32| {
            format!(
                "v.divide dst=operand[0] dst_format=8 src=operand[100] src_format=8 row=operand[{row}] row_format=16 \
                 rows=2 columns=4 shift=7"
            )
        };
        let error = AccessError::Overtakes { written: "dst", read: "row" };
        assert_eq!(checked(&divide(2)), Err(error));
        // Three of a row's quotients are written before it was read for the last time, seven at the second's end.
        assert_eq!(checked(&divide(5)), Ok(()));
        assert_eq!(checked(&divide(4)), Err(AccessError::Overtakes { written: "dst", read: "row" }));
    }

    #[test]
    fn tables_and_windows_are_not_overwritten() {
        let lookup = "v.lookup dst=operand[250] dst_format=8 src=operand[600] table=operand[0] count=3";
        let meets = |written, other| Err(AccessError::Meets { written, other });
        assert_eq!(checked(lookup), meets("dst", "table"));
        let pool = |dst: u32, place: u32| {
            format!(
                "v.pool dst=operand[{dst}] src=operand[0] format=8 place=operand[{place}] place_format=4 images=1 \
                 out_rows=2 out_cols=2 channels=1 window=2 step=2 row_stride=4 image_stride=16"
            )
        };
        assert_eq!(checked(&pool(0, 100)), meets("dst", "src"));
        assert_eq!(checked(&pool(100, 3)), meets("place", "src"));
        assert_eq!(checked(&pool(100, 102)), meets("dst", "place"));
        assert_eq!(checked(&pool(100, 104)), Ok(()));
    }

    #[test]
    fn rows_of_a_load_lie_apart() {
        let load = |row: u32, plane: u32| {
            format!(
                "load dst=operand[0] src=dram[0] planes=2 rows=3 bytes=4 pad_right=2 dst_row={row} dst_plane={plane}"
            )
        };
        // Planes one behind the other, or their rows by turns.
        for (row, plane) in [(6, 18), (10, 26), (12, 6)] {
            assert_eq!(checked(&load(row, plane)), Ok(()), "{row}, {plane}");
        }
        for (row, plane, field) in [(5, 18, "dst_row"), (6, 17, "dst_plane"), (11, 6, "dst_plane")] {
            let message = checked(&load(row, plane)).expect_err("rows overlap").to_string();
            assert!(message.starts_with(field) && message.contains("would overlap"), "{message}");
        }
    }
}
