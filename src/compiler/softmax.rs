//! The loss of softmax: outputs become shares of their row's sum of powers, in place of the differences that the one-hot
//! targets are then subtracted from.

use super::Lowering;
use super::emit::{Emitter, Tile};
use super::forward::units;
use super::layout::{self, POWERS};
use super::taps::narrow;
use crate::isa::{Address, Format, Instr, Memory, VDivide, VExp, VReduce};

/// Bytes of the powers of two, a multiple of 8.
const POWERS_BYTES: u64 = (4 * POWERS).next_multiple_of(8);

/// Bits of fraction of a power.
const POWER_BITS: f64 = 30.0;

/// `2^(30 - i/256)` for `i` from 0 to 256, to the nearest integer.
pub(super) fn powers() -> Vec<i64> {
    let entry = |i: u32| libm::round(libm::exp2(POWER_BITS - f64::from(i) / 256.0));
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers up to 2^30")]
    (0..=256).map(|i| entry(i) as i64).collect()
}

/// Bytes of the operand memory for `images` rows.
pub(super) fn bytes(images: u64) -> u64 {
    POWERS_BYTES + 2 * 8 * images
}

impl Lowering<'_> {
    /// Loads the powers of two to the `scratch` of [`Self::shares`], where softmax is the loss.
    pub(super) fn load_powers(&self, e: &mut Emitter, scratch: Address) {
        if let Some(powers) = self.layout.powers {
            units(powers, scratch, 1).load(e, Tile::once(0, POWERS));
        }
    }

    /// Shares of the outputs `src` of a tile, of [`layout::SHARE_BITS`] bits of fraction, at `dst` in 32 bits; `scratch` has
    /// [`bytes`] bytes and holds the powers.
    pub(super) fn shares(
        &self,
        e: &mut Emitter,
        tile: Tile,
        [dst, src, scratch]: [Address; 3],
        src_format: Format,
    ) {
        let layer = self.network.layers.last().expect("a network has layers");
        let (rows, columns) = (narrow(tile.count), layer.channels);
        let (share, row_format) = (layout::code_format(32), layout::code_format(64));
        let table = scratch;
        let place = |bytes: u64| Address::at(Memory::Operand, scratch.offset + bytes);
        let (greatest, sum) = (place(POWERS_BYTES), place(POWERS_BYTES + 8 * tile.count));
        let reduce = |dst: Address, src: Address, src_format: Format, sum: bool| {
            Instr::VReduce(VReduce { dst, dst_format: row_format, src, src_format, rows, columns, sum })
        };
        e.push(reduce(greatest, src, src_format, false));
        e.push(Instr::VExp(VExp {
            dst,
            dst_format: share,
            src,
            src_format,
            row: greatest,
            row_format,
            table,
            rows,
            columns,
            fraction: layer.input_bits - 1 + layer.bits.w - 1 + layer.scale_log2,
        }));
        e.push(reduce(sum, dst, share, true));
        e.push(Instr::VDivide(VDivide {
            dst,
            dst_format: share,
            src: dst,
            src_format: share,
            row: sum,
            row_format,
            rows,
            columns,
            shift: layout::SHARE_BITS,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_halve_from_one_end_to_the_other() {
        let powers = powers();
        assert_eq!((powers.len(), powers[0], powers[256]), (257, 1 << 30, 1 << 29));
        assert!(powers.windows(2).all(|w| w[0] > w[1]));
        // 2^29.5
        assert_eq!(powers[128], 759_250_125);
    }
}
