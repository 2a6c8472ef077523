//! What instructions of the vector unit touch.

use super::{Checked, Walk, at_least_one, within};
use crate::isa::field::Format;
use crate::isa::instr::Instr;

impl Walk<'_> {
    pub(super) fn vector(&mut self, instr: &Instr) -> Checked {
        let bits = |n: u32| Format::new(n).expect("a fixed width");
        match instr {
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
}
