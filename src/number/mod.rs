//! Codes, shifts, rounding, exponents, stochastic rounding and random streams. Knows nothing else.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
/// o
pub enum Overflow {
    /// w
    Wrap,
    /// s
    Saturate,
    /// t
    Trap,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
/// r
pub enum Rounding {
    /// e
    Even,
    /// u
    Up,
    /// t
    Truncate,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
/// a
pub struct AccumulatorRule {
    /// b
    pub bits: u32,
    /// o
    pub overflow: Overflow,
    /// t
    pub tree: u32,
    /// c
    pub chunk: u32,
    /// o
    pub outer_bits: u32,
}

impl Default for AccumulatorRule {
    fn default() -> Self {
        AccumulatorRule { bits: 32, overflow: Overflow::Trap, tree: 1, chunk: 0, outer_bits: 32 }
    }
}
