//! One layer, checked: its shapes, constants and counts. Owns what follows from them alone; must not know files.

use serde::Serialize;
use serde_json::{Value, json};

use crate::network::{Bits, Shape, Variant};
use crate::spec::Phase;

/// Convolution or dense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerKind {
    /// A convolution.
    Conv,
    /// Dense: a 1×1 convolution over a 1×1 map of all inputs.
    Fc,
}

impl LayerKind {
    /// As files and dumps write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Fc => "fc",
        }
    }
}

/// How a convolution's borders are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pad {
    /// Not at all.
    Valid,
    /// To ⌈input / stride⌉ outputs.
    Same,
}

/// A max-pool on the accumulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Pool {
    /// Rows and columns of a window.
    pub window: u32,
    /// Rows and columns from one window to the next.
    pub step: u32,
}

/// Counts of products: as the array runs them, and without those of padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Products {
    /// All, padding's zeros among them.
    pub all: u64,
    /// Those whose both factors are real elements.
    pub useful: u64,
}

/// One layer, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Kind and place: `conv0`, `fc2`.
    pub name: String,
    /// Place, from 0.
    pub index: usize,
    /// Convolution or dense.
    pub kind: LayerKind,
    /// The input map; 1 × 1 × all inputs where dense.
    pub input: Shape,
    /// Kernel rows.
    pub kernel_h: u32,
    /// Kernel columns.
    pub kernel_w: u32,
    /// Positions from one window to the next.
    pub stride: u32,
    /// How the borders are padded.
    pub pad: Pad,
    /// Rows of zeros above.
    pub pad_top: u32,
    /// Rows of zeros below.
    pub pad_bottom: u32,
    /// Columns of zeros to the left.
    pub pad_left: u32,
    /// Columns of zeros to the right.
    pub pad_right: u32,
    /// Output rows before pooling.
    pub out_h: u32,
    /// Output columns before pooling.
    pub out_w: u32,
    /// Output channels.
    pub channels: u32,
    /// The max-pool, if there is one.
    pub pool: Option<Pool>,
    /// The output map, after pooling.
    pub output: Shape,
    /// Whether there is a ReLU.
    pub relu: bool,
    /// Whether it is the last layer, whose accumulators are the network's outputs.
    pub last: bool,
    /// The scale exponent `s` (`ARITHMETIC`: forward 5).
    pub scale_log2: u32,
    /// Width of the input's codes.
    pub input_bits: u32,
    /// Its widths: `A` that of its outputs, `E` that of their errors, `W` and `G` those of its weights.
    pub bits: Bits,
    /// The authors' code or the paper: what `L` the initial weights have.
    pub variant: Variant,
}

impl Layer {
    /// Products in one output: kernel height · kernel width · input channels.
    pub fn n_in(&self) -> u64 {
        u64::from(self.kernel_h) * u64::from(self.kernel_w) * u64::from(self.input.channels)
    }

    /// The greatest magnitude a stored weight keeps (`ARITHMETIC`: gradient and update 5), in stored units.
    pub fn stored_weight_limit(&self) -> u64 {
        let Bits { w, g, .. } = self.bits;
        match self.variant {
            Variant::Code => ((1 << (w - 1)) - 1) << (g - w),
            Variant::Paper => (1 << (g - 1)) - 1,
        }
    }

    /// Weights.
    pub fn weights(&self) -> u64 {
        self.n_in() * u64::from(self.channels)
    }

    /// Accumulators of the forward phase for one image: outputs before pooling.
    pub fn accumulators(&self) -> u64 {
        Shape::new(self.out_h, self.out_w, self.channels).elements()
    }

    /// Products of one image in a phase. The first layer passes no error on, so its error phase has none.
    pub fn products(&self, phase: Phase) -> Products {
        let none_below = phase == Phase::Error && self.index == 0;
        if none_below {
            return Products::default();
        }
        let all = match phase {
            Phase::Forward | Phase::Gradient => self.accumulators() * self.n_in(),
            Phase::Error => {
                let window = u64::from(self.kernel_h) * u64::from(self.kernel_w) * u64::from(self.channels);
                self.input.elements() * window
            }
        };
        // Every phase multiplies the same pairs: an input position and an output position a window joins.
        let rows = joined(self.out_h, self.kernel_h, self.stride, self.pad_top, self.input.height);
        let columns = joined(self.out_w, self.kernel_w, self.stride, self.pad_left, self.input.width);
        let useful = rows * columns * u64::from(self.input.channels) * u64::from(self.channels);
        Products { all, useful }
    }

    /// The bound of the initial weights, `max(L, L_min)` (`ARITHMETIC`: initial weights), in units of 1.
    pub fn weight_limit(&self) -> f64 {
        let fan_in = self.n_in();
        // A fan-in has at most 32 bits: kernels go to 255 × 255, channels to 65 535, dense inputs to 2^32 - 1.
        let fan_in = f64::from(u32::try_from(fan_in).unwrap_or(u32::MAX));
        let numerator = f64::from(u32::try_from(numerator(self.variant)).unwrap_or(u32::MAX));
        let least = 1.5 / f64::from(1_u32 << (self.bits.w - 1));
        (numerator / fan_in).sqrt().max(least)
    }

    /// The same bound in steps of the weight's code, with 24 fraction bits: `round(max(L, L_min) · 2^(k_W-1) · 2^24)`,
    /// computed in integers so that it is the same everywhere.
    pub fn weight_limit_fixed(&self) -> i64 {
        let least = 3_u128 << 23;
        // Twice the value, rounded down; half of it, rounded up, is the nearest.
        let twice_squared =
            (numerator(self.variant) << (2 * (self.bits.w + 23) + 2)) / u128::from(self.n_in());
        let limit = twice_squared.isqrt().div_ceil(2);
        i64::try_from(limit.max(least)).unwrap_or(i64::MAX)
    }

    /// This layer in a tensor dump's `net` metadata.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({
            "kind": self.kind,
            "pad": self.pad,
            "pool": self.pool.map(|pool| pool.window),
            "relu": self.relu,
            "scale_log2": self.scale_log2,
        });
        if self.stride != 1 {
            header["stride"] = json!(self.stride);
        }
        if let Some(pool) = self.pool.filter(|pool| pool.step != pool.window) {
            header["pool_stride"] = json!(pool.step);
        }
        header
    }
}

/// The scale exponent `s = max(0, round(log2(L_min / L)))` of a layer of `n_in` products an output
/// (`ARITHMETIC`: forward 5), in integers: the least `s` with `(L_min / L)² < 2^(2s+1)`. There is never a tie.
pub(crate) fn scale_log2(n_in: u64, weight_bits: u32, variant: Variant) -> u32 {
    // (L_min / L)² = 9·n_in / (numerator · 4^k_W)
    let ratio = 9 * u128::from(n_in);
    let unit = numerator(variant) << (2 * weight_bits);
    let mut scale = 0;
    while ratio > unit << (2 * scale + 1) {
        scale += 1;
    }
    scale
}

/// `L² · n_in`.
const fn numerator(variant: Variant) -> u128 {
    match variant {
        Variant::Code => 3,
        Variant::Paper => 6,
    }
}

/// Pairs of an output position and a kernel position whose input position is no padding, along one axis.
fn joined(outputs: u32, kernel: u32, stride: u32, before: u32, inputs: u32) -> u64 {
    (0..outputs)
        .map(|output| {
            let start = u64::from(output) * u64::from(stride);
            let (first, end) = (u64::from(before), u64::from(before) + u64::from(inputs));
            (start + u64::from(kernel)).min(end).saturating_sub(start.max(first))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_the_rounded_logarithm_of_the_float_rule() {
        for variant in [Variant::Code, Variant::Paper] {
            for weight_bits in 2..=16 {
                for n_in in (1_u32..4000).chain([9_216, 65_535, 4_194_304]) {
                    let squared = (if variant == Variant::Code { 3.0 } else { 6.0 }) / f64::from(n_in);
                    let least = 1.5 * 2_f64.powi(1 - i32::try_from(weight_bits).expect("small"));
                    let wanted = (least / squared.sqrt()).log2().round().max(0.0);
                    let found = f64::from(scale_log2(n_in.into(), weight_bits, variant));
                    assert!((found - wanted).abs() < 0.5, "{variant:?} k_W {weight_bits} n_in {n_in}");
                }
            }
        }
    }

    #[test]
    fn useful_products_leave_out_padding() {
        assert_eq!(joined(4, 3, 1, 1, 4), 10);
        assert_eq!(joined(2, 3, 2, 0, 4), 5);
        assert_eq!(joined(3, 2, 1, 0, 4), 6);
        assert_eq!(joined(1, 7, 1, 3, 1), 1);
    }
}
