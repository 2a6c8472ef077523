//! A plan in time, with what each instruction costs: all that traces without data are made of. Holds a plan's worth, however
//! often the plan is executed.

use std::collections::HashMap;

use super::Window;
use crate::number::AccumulatorRule;
use crate::observe::Cost;
use crate::program::{Plan, Program, Step};
use crate::spec::{Machine, Preset};
use crate::timing::{Duration, Schedule, Span, Times};

/// What an execution of an instruction costs beside time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Products, padding's zeros among them.
    pub products: u64,
    /// Bytes read from DRAM, whole bursts.
    pub dram_read_bytes: u64,
    /// Bytes written to DRAM, whole bursts.
    pub dram_written_bytes: u64,
    /// Energy, pJ, no operand zero.
    pub energy_pj: f64,
}

/// One entry of a program on a machine: what happens when, and what it costs.
pub struct Timetable<'a> {
    /// The program.
    pub program: &'a Program,
    /// The machine.
    pub machine: &'a Machine,
    /// The entry, unrolled.
    pub plan: &'a Plan,
    /// Its schedule.
    pub schedule: Schedule,
    /// What each unit does, each unit's spans in order of time.
    pub spans: Vec<Span>,
    prices: HashMap<(u32, AccumulatorRule), Price>,
    layers: Vec<String>,
}

impl<'a> Timetable<'a> {
    /// The timetable of a verified plan.
    pub fn new(program: &'a Program, machine: &'a Machine, plan: &'a Plan, preset: &Preset) -> Self {
        let mut spans = Vec::new();
        let schedule = Schedule::watched(plan, machine, &mut |span| spans.push(span));
        let mut prices = HashMap::new();
        for step in plan.steps.iter() {
            prices.entry((step.pc, step.rule)).or_insert_with(|| {
                let cost = Cost::of(step, machine);
                let energy = |events| preset.price(events).values().sum::<f64>();
                Price {
                    products: cost.products,
                    dram_read_bytes: cost.dram_read_bytes,
                    dram_written_bytes: cost.dram_written_bytes,
                    energy_pj: energy(&cost.events) + energy(&cost.gateable),
                }
            });
        }
        let layers = program.training.as_ref().map(|t| t.layers.clone()).unwrap_or_default();
        Timetable { program, machine, plan, schedule, spans, prices, layers }
    }

    /// What a step of the plan costs.
    pub fn price(&self, step: &Step) -> Price {
        self.prices.get(&(step.pc, step.rule)).copied().unwrap_or_default()
    }

    /// The name of a layer; its number where it has none.
    pub fn layer_name(&self, layer: Option<u32>) -> Option<String> {
        let layer = layer?;
        let name = usize::try_from(layer).ok().and_then(|i| self.layers.get(i));
        Some(name.cloned().unwrap_or_else(|| layer.to_string()))
    }

    /// The names of the program's layers.
    pub fn layers(&self) -> &[String] {
        &self.layers
    }

    /// The three durations of a step.
    pub fn duration(&self, step: &Step) -> Duration {
        Duration::of(step, self.machine)
    }

    /// The steps of the plan up to the last of a window.
    pub fn through(&self, window: &Window) -> &'a [Step] {
        let last = self.within(window).last().map_or(0, |(seq, ..)| seq + 1);
        &self.plan.steps[..last]
    }

    /// The steps of a window with their numbers and times.
    pub fn within<'t>(
        &'t self,
        window: &'t Window,
    ) -> impl Iterator<Item = (usize, &'t Step, &'t Times)> + 't {
        let steps = self.plan.steps.iter().zip(&self.schedule.times).enumerate();
        steps
            .filter(|(seq, (step, times))| {
                window.takes(*seq, step) && window.meets(times.issued, times.ended)
            })
            .map(|(seq, (step, times))| (seq, step, times))
    }
}
