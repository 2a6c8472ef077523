//! What is known of a layer's tensors of one class. Knows no instructions.

use super::super::widths::{NeededBits, Sufficient};
use crate::machine::Recount;
use crate::number::needed_bits;

/// What is known of a layer's tensors of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassStatistics {
    /// Elements written, at all steps.
    pub elements: u64,
    /// Elements looked at for the extremes and zeros; for accumulators all.
    pub looked_at: u64,
    /// The least value.
    pub least: i64,
    /// The greatest value.
    pub greatest: i64,
    /// Zeros among those looked at.
    pub zeros: u64,
    /// Elements a clip changed, at all steps.
    pub clipped: u64,
    /// Accumulators: outputs whose register differs from the exact sum, at all steps.
    pub wrong_outputs: u64,
    /// Accumulators: joins that saturated, at all steps.
    pub saturated_joins: u64,
    /// Accumulators: what a recount of some steps says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recount: Option<RecountStatistics>,
    /// How many values need each number of bits, from 1, by epoch: of codes those looked at, of accumulators the exact sums
    /// recounted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub epochs: Vec<EpochWidths>,
}

/// What the recount of some steps says of accumulators.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecountStatistics {
    /// The least a join would have come to in a register wide enough; at most 0.
    pub peak_least: i64,
    /// The greatest; at least 0.
    pub peak_greatest: i64,
    /// Joins that wrapped.
    pub wrapped_joins: u64,
    /// Bits that hold any sum of so many products of such codes.
    pub worst_case_bits: u32,
    /// Bits that hold any sum with the weights met, whatever the other operand; nothing of gradients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub l1_bound_bits: Option<u32>,
}

impl RecountStatistics {
    fn join(&mut self, other: &RecountStatistics) {
        self.peak_least = self.peak_least.min(other.peak_least);
        self.peak_greatest = self.peak_greatest.max(other.peak_greatest);
        self.wrapped_joins += other.wrapped_joins;
        self.worst_case_bits = self.worst_case_bits.max(other.worst_case_bits);
        self.l1_bound_bits = self.l1_bound_bits.max(other.l1_bound_bits);
    }
}

/// Widths met in one epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochWidths {
    /// The epoch, from 1.
    pub epoch: u32,
    /// How many values need each number of bits, from 1.
    pub needed_bits: NeededBits,
    /// How many sums need each number of bits for all they come to on their way.
    #[serde(skip_serializing_if = "NeededBits::is_empty", default)]
    pub peak_bits: NeededBits,
}

impl ClassStatistics {
    /// The least k with −2^(k−1) ≤ x ≤ 2^(k−1) − 1 for every value looked at.
    pub fn bits(&self) -> u32 {
        needed_bits(self.least).max(needed_bits(self.greatest))
    }

    fn sum(&self, of: impl Fn(&EpochWidths) -> &NeededBits) -> NeededBits {
        let mut sum = NeededBits::default();
        self.epochs.iter().for_each(|epoch| sum.join(of(epoch)));
        sum
    }

    /// How many values need each number of bits, over all epochs.
    pub fn needed_bits(&self) -> NeededBits {
        self.sum(|epoch| &epoch.needed_bits)
    }

    /// How many sums need each number of bits for all they come to on their way, over all epochs.
    pub fn peak_bits(&self) -> NeededBits {
        self.sum(|epoch| &epoch.peak_bits)
    }

    /// The width that would have sufficed for the values: of accumulators, of a register that wraps.
    pub fn sufficient(&self) -> Option<Sufficient> {
        let bits = self.needed_bits();
        (!bits.is_empty()).then(|| Sufficient::of(&bits, self.bits()))
    }

    /// The width that would have sufficed for an accumulator that saturates.
    pub fn sufficient_on_the_way(&self) -> Option<Sufficient> {
        let bits = self.peak_bits();
        (!bits.is_empty()).then(|| Sufficient::of(&bits, self.bits()))
    }

    pub(super) fn range(&mut self, least: i64, greatest: i64) {
        if self.looked_at == 0 {
            (self.least, self.greatest) = (least, greatest);
        }
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
    }

    fn widths(&mut self, epoch: u32) -> &mut EpochWidths {
        if self.epochs.last().is_none_or(|last| last.epoch != epoch) {
            self.epochs.push(EpochWidths { epoch, ..EpochWidths::default() });
        }
        let last = self.epochs.len() - 1;
        &mut self.epochs[last]
    }

    pub(super) fn code(&mut self, epoch: u32, value: i64, count: u64) {
        self.range(value, value);
        self.looked_at += count;
        self.zeros += if value == 0 { count } else { 0 };
        self.widths(epoch).needed_bits.add(value, count);
    }

    pub(super) fn recounted(&mut self, epoch: u32, found: &Recount) {
        let widths = self.widths(epoch);
        let (mut least, mut greatest) = (0, 0);
        for output in &found.outputs {
            widths.needed_bits.add(output.exact, 1);
            widths.peak_bits.add_bits(needed_bits(output.least).max(needed_bits(output.greatest)), 1);
            (least, greatest) = (output.least.min(least), output.greatest.max(greatest));
        }
        // Both ends of a bound are met by sums: a register of k bits holds -2^(k-1) but not 2^(k-1).
        self.recount.get_or_insert_default().join(&RecountStatistics {
            peak_least: least,
            peak_greatest: greatest,
            wrapped_joins: found.wrapped_joins,
            worst_case_bits: needed_bits(found.worst_case),
            l1_bound_bits: found.l1_bound.map(needed_bits),
        });
    }

    /// Adds what was seen elsewhere.
    pub(super) fn join(&mut self, other: &ClassStatistics) {
        if other.looked_at > 0 {
            self.range(other.least, other.greatest);
        }
        self.elements += other.elements;
        self.looked_at += other.looked_at;
        self.zeros += other.zeros;
        self.clipped += other.clipped;
        self.wrong_outputs += other.wrong_outputs;
        self.saturated_joins += other.saturated_joins;
        if let Some(recount) = &other.recount {
            self.recount.get_or_insert_default().join(recount);
        }
        for EpochWidths { epoch, needed_bits, peak_bits } in &other.epochs {
            let widths = self.widths(*epoch);
            widths.needed_bits.join(needed_bits);
            widths.peak_bits.join(peak_bits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Recounted;

    #[test]
    fn codes_are_counted_by_the_bits_they_need() {
        let mut statistics = ClassStatistics::default();
        for (value, count) in [(0, 3), (-1, 2), (1, 5), (127, 1), (-128, 4)] {
            statistics.code(1, value, count);
        }
        assert_eq!((statistics.least, statistics.greatest), (-128, 127));
        assert_eq!((statistics.looked_at, statistics.zeros, statistics.bits()), (15, 3, 8));
        assert_eq!(statistics.needed_bits().counts(), [5, 5, 0, 0, 0, 0, 0, 5]);
    }

    #[test]
    fn what_is_seen_apart_comes_to_what_is_seen_together() {
        let values = [(1, 5, 3), (1, -9, 1), (2, 0, 7), (2, 300, 2)];
        let see = |values: &[(u32, i64, u64)]| {
            let mut seen = ClassStatistics::default();
            for &(epoch, value, count) in values {
                seen.elements += count;
                seen.code(epoch, value, count);
                let output = Recounted { exact: value, least: value.min(0) - 1, greatest: value.max(0) + 1 };
                let l1_bound = (value > 0).then_some(value);
                let outputs = vec![output];
                seen.recounted(
                    epoch,
                    &Recount { outputs, wrapped_joins: count, worst_case: value.abs(), l1_bound },
                );
            }
            seen
        };
        let together = see(&values);
        for cut in 0..=values.len() {
            let mut joined = see(&values[..cut]);
            joined.join(&see(&values[cut..]));
            assert_eq!(joined, together);
        }
    }
}
