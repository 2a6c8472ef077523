//! Bit statistics: for every layer and tensor class the least and greatest value, the bits values need, zeros, clips and
//! overflows.
//!
//! Accumulators are counted by their exact sums, at every step, from what the engine says. Codes are read from
//! memory at the steps the host chooses; clips are counted at every step.

use std::collections::BTreeMap;

use super::yields::Elements;
use crate::isa::Instr;
use crate::machine::{Observer, Outcome, State};
use crate::number::needed_bits;
use crate::program::{Class, Plan, Program, Step, Yield};

/// Collects statistics of a program's training steps.
pub struct Statistics<'a> {
    program: &'a Program,
    looking: bool,
    classes: BTreeMap<(u32, Class), ClassStatistics>,
}

/// What is known of a layer's tensors of one class.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassStatistics {
    /// Elements written, at all steps.
    pub elements: u64,
    /// Elements looked at for the extremes, zeros and bits; for accumulators all.
    pub looked_at: u64,
    /// The least value.
    pub least: i64,
    /// The greatest value.
    pub greatest: i64,
    /// Zeros among those looked at.
    pub zeros: u64,
    /// Elements a clip changed, at all steps.
    pub clipped: u64,
    /// Accumulators: outputs whose register differs from the exact sum.
    pub wrong_outputs: u64,
    /// Accumulators: joins that saturated.
    pub saturated_joins: u64,
    /// Codes: how many of those looked at need each number of bits, from 1.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub needed_bits: Vec<u64>,
}

impl ClassStatistics {
    /// The least k with −2^(k−1) ≤ x ≤ 2^(k−1) − 1 for every value looked at.
    pub fn bits(&self) -> u32 {
        needed_bits(self.least).max(needed_bits(self.greatest))
    }

    fn range(&mut self, least: i64, greatest: i64) {
        if self.looked_at == 0 {
            (self.least, self.greatest) = (least, greatest);
        }
        self.least = self.least.min(least);
        self.greatest = self.greatest.max(greatest);
    }

    fn code(&mut self, value: i64, count: u64) {
        self.range(value, value);
        self.looked_at += count;
        self.zeros += if value == 0 { count } else { 0 };
        let bin = usize::try_from(needed_bits(value)).unwrap_or(1) - 1;
        if self.needed_bits.len() <= bin {
            self.needed_bits.resize(bin + 1, 0);
        }
        self.needed_bits[bin] += count;
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
        Statistics { program, looking: false, classes: BTreeMap::new() }
    }

    /// Whether codes are read from memory from now on.
    pub fn look(&mut self, looking: bool) {
        self.looking = looking;
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

    fn accumulators(&mut self, place: (u32, Class), outcome: &Outcome, outputs: u64) {
        let statistics = self.classes.entry(place).or_default();
        statistics.saturated_joins += outcome.saturated_joins;
        statistics.wrong_outputs += outcome.wrong_outputs;
        if let Some(exact) = outcome.exact {
            statistics.range(exact.least, exact.greatest);
            statistics.elements += outputs;
            statistics.looked_at += outputs;
            statistics.zeros += exact.zeros;
        }
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
    fn executed(&mut self, plan: &Plan, step: &Step, outcome: &Outcome, state: &State) {
        for named in plan.probes_of(step) {
            let probe = usize::try_from(named.probe).ok().and_then(|i| self.program.probes.get(i));
            let Some(probe) = probe.filter(|p| p.class != Class::None) else { continue };
            let Some(layer) = layer_of(&probe.tensor) else { continue };
            let (place, elements) = ((layer, probe.class), probe.extents.iter().product());
            if let Instr::MTaps(_) | Instr::MPositions(_) = step.instr {
                self.accumulators(place, outcome, elements);
                continue;
            }
            let looking = self.looking;
            let clipped = if probe.what == Yield::Output { outcome.clipped } else { 0 };
            let statistics = self.codes(place, elements, clipped);
            if let (true, Some(from)) = (looking, Elements::of(&step.instr, probe.what)) {
                from.tally(state, elements, |value, count| statistics.code(value, count));
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
            statistics.code(value, count);
        }
        assert_eq!((statistics.least, statistics.greatest), (-128, 127));
        assert_eq!((statistics.looked_at, statistics.zeros, statistics.bits()), (15, 3, 8));
        assert_eq!(statistics.needed_bits, [5, 5, 0, 0, 0, 0, 0, 5]);
    }
}
