//! The accumulator's rules: how products join a register of limited width.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a join does when the sum leaves the register's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// Modulo `2^bits`.
    Wrap,
    /// To the range's nearer end.
    Saturate,
    /// The run stops.
    Trap,
}

impl Overflow {
    /// Every mode, in the order of its encoding.
    pub const ALL: [Self; 3] = [Self::Wrap, Self::Saturate, Self::Trap];

    /// Its name in files and in assembly.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Saturate => "saturate",
            Self::Trap => "trap",
        }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How products join one accumulator of the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccumulatorRule {
    /// Width of the register, 4 to 64; the inner register's where there are chunks.
    pub bits: u32,
    /// What a join does out of range.
    pub overflow: Overflow,
    /// Products summed exactly before they join.
    pub tree: u32,
    /// Joins summed in the inner register before it joins the outer one; 0: there is no inner register.
    pub chunk: u32,
    /// Width of the outer register.
    pub outer_bits: u32,
}

impl Default for AccumulatorRule {
    fn default() -> Self {
        AccumulatorRule { bits: 32, overflow: Overflow::Trap, tree: 1, chunk: 0, outer_bits: 32 }
    }
}

impl AccumulatorRule {
    /// Width of the register that holds the result.
    pub fn result_bits(&self) -> u32 {
        if self.chunk > 0 { self.outer_bits } else { self.bits }
    }
}

/// `x` modulo `2^bits`, as a two's complement number.
pub fn wrap(x: i128, bits: u32) -> i64 {
    let unused = 128 - bits;
    i64::try_from(x << unused >> unused).unwrap_or(0)
}

/// `x` held to the ends of `bits` bits.
pub fn saturate(x: i128, bits: u32) -> i64 {
    let (least, greatest) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
    i64::try_from(x.clamp(least, greatest)).unwrap_or(0)
}

/// Joins `x` to a register: its new value, and whether the exact sum was out of range. A `trap` register keeps
/// the wrapped sum; whoever joins must stop.
pub fn join(register: i64, x: i128, bits: u32, overflow: Overflow) -> (i64, bool) {
    let exact = i128::from(register) + x;
    let wrapped = wrap(exact, bits);
    let out = i128::from(wrapped) != exact;
    match overflow {
        Overflow::Saturate => (saturate(exact, bits), out),
        Overflow::Wrap | Overflow::Trap => (wrapped, out),
    }
}

/// One accumulator, stepped a product at a time: the contract in the plainest form.
#[derive(Debug, Clone)]
pub struct Accumulator {
    rule: AccumulatorRule,
    inner: i64,
    outer: i64,
    exact: i128,
    group: i128,
    in_group: u32,
    in_chunk: u32,
    overflows: u64,
}

/// What an accumulator comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// What the register holds.
    pub register: i64,
    /// The sum it would hold were it wide enough.
    pub exact: i128,
    /// Joins that left the range.
    pub overflows: u64,
}

impl Accumulator {
    /// A register that goes on from `start`, whose exact value would be `exact`.
    pub fn new(rule: AccumulatorRule, start: i64, exact: i128) -> Self {
        let (inner, outer) = if rule.chunk > 0 { (0, start) } else { (start, 0) };
        Accumulator { rule, inner, outer, exact, group: 0, in_group: 0, in_chunk: 0, overflows: 0 }
    }

    /// One product.
    pub fn product(&mut self, product: i64) {
        self.exact += i128::from(product);
        self.group += i128::from(product);
        self.in_group += 1;
        if self.in_group == self.rule.tree {
            self.join_group();
        }
    }

    fn join_group(&mut self) {
        let (inner, out) = join(self.inner, self.group, self.rule.bits, self.rule.overflow);
        self.inner = inner;
        self.overflows += u64::from(out);
        (self.group, self.in_group) = (0, 0);
        self.in_chunk += 1;
        if self.in_chunk == self.rule.chunk {
            self.join_chunk();
        }
    }

    fn join_chunk(&mut self) {
        let (outer, out) = join(self.outer, self.inner.into(), self.rule.outer_bits, self.rule.overflow);
        self.outer = outer;
        self.overflows += u64::from(out);
        (self.inner, self.in_chunk) = (0, 0);
    }

    /// The result: a last short group and a last short chunk join like any other.
    pub fn finish(mut self) -> Sum {
        if self.in_group > 0 {
            self.join_group();
        }
        if self.rule.chunk > 0 && self.in_chunk > 0 {
            self.join_chunk();
        }
        let register = if self.rule.chunk > 0 { self.outer } else { self.inner };
        Sum { register, exact: self.exact, overflows: self.overflows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(rule: AccumulatorRule, products: &[i64]) -> Sum {
        let mut register = Accumulator::new(rule, 0, 0);
        products.iter().for_each(|&p| register.product(p));
        register.finish()
    }

    #[test]
    fn a_tree_hides_what_cancels_within_it() {
        let rule = AccumulatorRule { bits: 4, overflow: Overflow::Saturate, ..AccumulatorRule::default() };
        assert_eq!(sum(rule, &[7, 7, -7, -7]).register, -7);
        assert_eq!(sum(AccumulatorRule { tree: 4, ..rule }, &[7, 7, -7, -7]).register, 0);
    }

    #[test]
    fn a_short_chunk_joins_the_outer_register() {
        let rule =
            AccumulatorRule { bits: 4, overflow: Overflow::Saturate, tree: 1, chunk: 2, outer_bits: 6 };
        // chunks 7+7 -> 7, 7+7 -> 7, 7 -> 7
        assert_eq!(sum(rule, &[7; 5]), Sum { register: 21, exact: 35, overflows: 2 });
    }

    proptest! {
        #[test]
        fn wrapping_is_the_exact_sum_reduced_once(
            products in prop::collection::vec(-20_000i64..20_000, 1..60), bits in 4u32..40, tree in 1u32..5,
        ) {
            let rule = AccumulatorRule { bits, overflow: Overflow::Wrap, tree, chunk: 0, outer_bits: bits };
            let result = sum(rule, &products);
            prop_assert_eq!(result.register, wrap(result.exact, bits));
        }

        #[test]
        fn a_wide_register_is_exact(
            products in prop::collection::vec(any::<i32>(), 1..60), tree in 1u32..5, chunk in 0u32..5,
        ) {
            let rule = AccumulatorRule { bits: 64, overflow: Overflow::Saturate, tree, chunk, outer_bits: 64 };
            let products: Vec<i64> = products.into_iter().map(i64::from).collect();
            let result = sum(rule, &products);
            prop_assert_eq!(i128::from(result.register), result.exact);
            prop_assert_eq!(result.overflows, 0);
        }
    }
}
