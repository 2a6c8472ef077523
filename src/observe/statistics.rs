//! Bit statistics: for every layer and tensor class the least and greatest value, the bits values need, zeros, clips and
//! overflows; over all and by epoch.
//!
//! Accumulators are counted by their exact sums, whatever the register did: extremes, zeros, wrong outputs and saturated joins
//! at every step, from what the engine says; needed bits, peak partial sums and wrapped joins in a recount of the steps the
//! host chooses. Codes are read from memory at chosen steps too; clips are counted at every step.

use std::collections::BTreeMap;

use super::widths::{NeededBits, Sufficient};
use super::yields::Elements;
use crate::isa::Instr;
use crate::machine::{Observer, Outcome, Recount, Recounter, State};
use crate::number::needed_bits;
use crate::program::{Class, Plan, Probe, Program, Step, Yield};

/// Collects statistics of a program's training steps.
pub struct Statistics<'a> {
    program: &'a Program,
    /// Layer and class of each probe that has both.
    places: Vec<Option<(u32, Class)>>,
    epoch: u32,
    looking: bool,
    recounter: Option<Recounter>,
    classes: BTreeMap<(u32, Class), ClassStatistics>,
}

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

    fn range(&mut self, least: i64, greatest: i64) {
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

    fn code(&mut self, epoch: u32, value: i64, count: u64) {
        self.range(value, value);
        self.looked_at += count;
        self.zeros += if value == 0 { count } else { 0 };
        self.widths(epoch).needed_bits.add(value, count);
    }

    fn recounted(&mut self, epoch: u32, found: &Recount) {
        let widths = self.widths(epoch);
        let (mut least, mut greatest) = (0, 0);
        for output in &found.outputs {
            widths.needed_bits.add(output.exact, 1);
            widths.peak_bits.add_bits(needed_bits(output.least).max(needed_bits(output.greatest)), 1);
            (least, greatest) = (output.least.min(least), output.greatest.max(greatest));
        }
        let recount = self.recount.get_or_insert_default();
        recount.peak_least = recount.peak_least.min(least);
        recount.peak_greatest = recount.peak_greatest.max(greatest);
        recount.wrapped_joins += found.wrapped_joins;
        // Both ends of a bound are met by sums: a register of k bits holds -2^(k-1) but not 2^(k-1).
        recount.worst_case_bits = recount.worst_case_bits.max(needed_bits(found.worst_case));
        let l1 = found.l1_bound.map(needed_bits);
        recount.l1_bound_bits = recount.l1_bound_bits.max(l1);
    }
}

/// One line of the statistics, as a checkpoint keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsLine {
    /// The layer, from 0.
    pub layer: u32,
    /// The class.
    pub class: Class,
    /// What is known.
    pub statistics: ClassStatistics,
}

impl<'a> Statistics<'a> {
    /// Nothing collected yet.
    pub fn new(program: &'a Program) -> Self {
        let place = |probe: &Probe| Some((layer_of(&probe.tensor)?, probe.class));
        let places = program.probes.iter().map(|p| place(p).filter(|(_, class)| *class != Class::None));
        let places = places.collect();
        Statistics { program, places, epoch: 1, looking: false, recounter: None, classes: BTreeMap::new() }
    }

    /// A step of an epoch begins: whether codes are read from memory in it, and whether accumulators are recounted.
    pub fn begin(&mut self, epoch: u32, looking: bool, recounting: bool) {
        (self.epoch, self.looking) = (epoch, looking);
        self.recounter = recounting.then(Recounter::default);
    }

    /// What was collected, by layer and class.
    pub fn lines(&self) -> Vec<StatisticsLine> {
        let line = |(&(layer, class), statistics): (&(u32, Class), &ClassStatistics)| StatisticsLine {
            layer,
            class,
            statistics: statistics.clone(),
        };
        self.classes.iter().map(line).collect()
    }

    /// Goes on from what was collected before.
    pub fn restore(&mut self, lines: &[StatisticsLine]) {
        self.classes = lines.iter().map(|l| ((l.layer, l.class), l.statistics.clone())).collect();
    }

    fn accumulators(&mut self, place: (u32, Class), outcome: &Outcome, outputs: u64) -> &mut ClassStatistics {
        let statistics = self.classes.entry(place).or_default();
        statistics.saturated_joins += outcome.saturated_joins;
        statistics.wrong_outputs += outcome.wrong_outputs;
        if let Some(exact) = outcome.exact {
            statistics.range(exact.least, exact.greatest);
            statistics.elements += outputs;
            statistics.looked_at += outputs;
            statistics.zeros += exact.zeros;
        }
        statistics
    }

    fn codes(&mut self, place: (u32, Class), elements: u64, clipped: u64) -> &mut ClassStatistics {
        let statistics = self.classes.entry(place).or_default();
        statistics.elements += elements;
        statistics.clipped += clipped;
        statistics
    }
}

/// The layer of a tensor: 3 of `layer.3.acc`.
fn layer_of(tensor: &str) -> Option<u32> {
    tensor.strip_prefix("layer.")?.split('.').next()?.parse().ok()
}

impl Observer for Statistics<'_> {
    fn looks(&self) -> bool {
        self.looking || self.recounter.is_some()
    }

    fn executed(&mut self, plan: &Plan, step: &Step, outcome: &Outcome, state: &State) {
        let epoch = self.epoch;
        let recount = self.recounter.as_mut().and_then(|recounter| recounter.recount(step, state));
        for named in plan.probes_of(step) {
            let number = usize::try_from(named.probe).unwrap_or(usize::MAX);
            let Some(&Some(place)) = self.places.get(number) else { continue };
            let probe = &self.program.probes[number];
            let elements = probe.extents.iter().product();
            if let Instr::MTaps(_) | Instr::MPositions(_) = step.instr {
                let statistics = self.accumulators(place, outcome, elements);
                if let Some(recount) = &recount {
                    statistics.recounted(epoch, recount);
                }
                continue;
            }
            let looking = self.looking;
            let clipped = if probe.what == Yield::Output { outcome.clipped } else { 0 };
            let statistics = self.codes(place, elements, clipped);
            if let (true, Some(from)) = (looking, Elements::of(&step.instr, probe.what)) {
                from.tally(state, elements, |value, count| statistics.code(epoch, value, count));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
