//! Bit statistics: for every layer and tensor class the least and greatest value, the bits values need, zeros, clips and
//! overflows; over all and by epoch.
//!
//! Accumulators are counted by their exact sums, whatever the register did: extremes, zeros, wrong outputs and saturated joins
//! at every step, from what the engine says; needed bits, peak partial sums and wrapped joins in a recount of the steps the
//! host chooses. Codes are read from memory at chosen steps too; clips are counted at every step.

mod class;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::yields::Elements;
use crate::isa::Instr;
use crate::machine::{Observer, Outcome, Recounter, State};
use crate::program::{Class, Plan, Probe, Program, Yield};
pub use class::{ClassStatistics, EpochWidths, RecountStatistics};

/// Collects statistics of a program's training steps.
pub struct Statistics<'a> {
    all: Seen<'a>,
    /// What those saw that were told of some instructions each, since a plan began.
    beside: Vec<Seen<'a>>,
}

/// What was seen of some instructions.
struct Seen<'a> {
    probes: &'a [Probe],
    /// Layer and class of each probe that has both.
    places: Arc<[Option<(u32, Class)>]>,
    epoch: u32,
    looking: bool,
    recounter: Option<Recounter>,
    classes: BTreeMap<(u32, Class), ClassStatistics>,
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

/// The layer of a tensor: 3 of `layer.3.acc`.
fn layer_of(tensor: &str) -> Option<u32> {
    tensor.strip_prefix("layer.")?.split('.').next()?.parse().ok()
}

impl<'a> Statistics<'a> {
    /// Nothing collected yet.
    pub fn new(program: &'a Program) -> Self {
        let place = |probe: &Probe| Some((layer_of(&probe.tensor)?, probe.class));
        let places = program.probes.iter().map(|p| place(p).filter(|(_, class)| *class != Class::None));
        let all = Seen {
            probes: &program.probes,
            places: places.collect(),
            epoch: 1,
            looking: false,
            recounter: None,
            classes: BTreeMap::new(),
        };
        Statistics { all, beside: Vec::new() }
    }

    /// A step of an epoch begins: whether codes are read from memory in it, and whether accumulators are recounted.
    pub fn begin(&mut self, epoch: u32, looking: bool, recounting: bool) {
        (self.all.epoch, self.all.looking) = (epoch, looking);
        self.all.recounter = recounting.then(Recounter::default);
    }

    /// What was collected, by layer and class.
    pub fn lines(&self) -> Vec<StatisticsLine> {
        let line = |(&(layer, class), statistics): (&(u32, Class), &ClassStatistics)| StatisticsLine {
            layer,
            class,
            statistics: statistics.clone(),
        };
        self.all.classes.iter().map(line).collect()
    }

    /// Goes on from what was collected before.
    pub fn restore(&mut self, lines: &[StatisticsLine]) {
        self.all.classes = lines.iter().map(|l| ((l.layer, l.class), l.statistics.clone())).collect();
    }
}

impl Observer for Statistics<'_> {
    fn looks(&self) -> bool {
        self.all.looking || self.all.recounter.is_some()
    }

    fn beside(&mut self, hands: usize) -> Vec<&mut (dyn Observer + Send)> {
        self.beside = (0..hands).map(|_| self.all.blank()).collect();
        self.beside.iter_mut().map(|seen| seen as &mut (dyn Observer + Send)).collect()
    }

    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, state: &State) {
        self.all.executed(plan, step, outcome, state);
    }

    fn finished(&mut self, _: &Plan) {
        for seen in self.beside.drain(..) {
            for (place, statistics) in &seen.classes {
                self.all.classes.entry(*place).or_default().join(statistics);
            }
        }
    }
}

impl Seen<'_> {
    /// One that has seen nothing yet, of the same step.
    fn blank(&self) -> Self {
        Seen {
            places: Arc::clone(&self.places),
            recounter: self.recounter.is_some().then(Recounter::default),
            classes: BTreeMap::new(),
            ..*self
        }
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

impl Observer for Seen<'_> {
    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, state: &State) {
        let (step, epoch) = (&plan.steps[step], self.epoch);
        let recount = self.recounter.as_mut().and_then(|recounter| recounter.recount(step, state));
        for named in plan.probes_of(step) {
            let number = usize::try_from(named.probe).unwrap_or(usize::MAX);
            let Some(&Some(place)) = self.places.get(number) else { continue };
            let probe = &self.probes[number];
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
