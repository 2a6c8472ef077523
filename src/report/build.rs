//! The report of a run, from its counts.

use std::collections::BTreeMap;

use super::{
    Area, Data, ElementArea, EventCount, Host, Layer, Overflow, Part, Peak, Report, Statistic, Time, Totals,
    VERSION, Whole,
};
use crate::isa::Unit;
use crate::observe::{Ledger, Logic, Tally};
use crate::program::{Phase, Plan, PlanError, Program};
use crate::spec::{self, Machine, Preset};
use crate::timing::{Account, UnitCycles};
use crate::train::{Epoch, Run};

/// The report of a run as it stands. `epochs` may hold one more than the run: an evaluation of an epoch cut short.
pub fn report(run: &Run<'_>, epochs: &[Epoch], machine: &Machine, preset: &Preset, host: Host) -> Report {
    let [quantise, evaluate] = run.evaluation_ledgers();
    let counts = Counts { training: run.training_ledger(), quantise, evaluate };
    build(run, epochs, &Sums { machine, program: run.program() }, counts, preset, host)
}

/// The report that `program` on `machine` would have, where they compute the numbers `run` did: outcomes are the run's,
/// cycles and energy their own.
///
/// # Errors
/// When an entry of `program` cannot be unrolled.
pub fn report_elsewhere(
    run: &Run<'_>,
    program: &Program,
    machine: &Machine,
    preset: &Preset,
    host: Host,
) -> Result<Report, PlanError> {
    let same = program.code == run.program().code;
    let ledger = |entry, of: &Ledger| {
        let plan = Plan::new(program, entry)?;
        let mut ledger = Ledger::new(&plan, machine);
        if !(same && ledger.restore(of.counts())) {
            ledger.stand_in(&plan, of);
        }
        Ok(ledger)
    };
    let [quantise, evaluate] = run.evaluation_ledgers();
    let training = ledger("train", run.training_ledger())?;
    let (quantise, evaluate) = (ledger("quantise", quantise)?, ledger("evaluate", evaluate)?);
    let counts = Counts { training: &training, quantise: &quantise, evaluate: &evaluate };
    Ok(build(run, run.epochs(), &Sums { machine, program }, counts, preset, host))
}

/// What the three entries of a program came to.
struct Counts<'a> {
    training: &'a Ledger,
    quantise: &'a Ledger,
    evaluate: &'a Ledger,
}

fn build(
    run: &Run<'_>,
    epochs: &[Epoch],
    sums: &Sums<'_>,
    counts: Counts<'_>,
    preset: &Preset,
    host: Host,
) -> Report {
    let Sums { machine, program } = *sums;
    let tallies = counts.training.tallies();
    let all = sum(tallies.values());
    let batch = program.training.as_ref().map_or(0, |t| t.batch);
    let steps = u64::from(run.step_count());
    let [quantise, forward] = [counts.quantise, counts.evaluate].map(Ledger::tallies);
    let evaluated = joined([&quantise, &forward]);
    let executed = counts.evaluate.passes() * u64::from(batch);
    let tested = epochs.len() as u64 * run.test_images();
    let mut report = Report {
        version: VERSION,
        wagesim: env!("CARGO_PKG_VERSION").to_owned(),
        program: program.name.clone(),
        machine: machine.short_name(),
        machine_name: machine.name.clone(),
        data: Data { set: run.recipe().data.name().to_owned(), sha256: run.data_digest().to_owned() },
        seed: run.recipe().seed,
        batch,
        time: time(machine),
        energy_preset: preset.name.clone(),
        preset: preset.clone(),
        peak: sums.peak(),
        complete: run.is_done(),
        epochs: epochs.to_vec(),
        totals: Totals {
            first_overflow: overflow(run, counts.training),
            ..sums.totals(&all, steps, [steps * u64::from(batch); 2])
        },
        phases: sums.parts(&tallies, |_| true),
        layers: sums.layers(&tallies),
        evaluation: Totals {
            first_overflow: overflow(run, counts.evaluate),
            ..sums.totals(&sum(evaluated.values()), 0, [tested, executed])
        },
        whole: Whole { test_error: None, seconds: 0.0, energy_pj: 0.0, power_w: 0.0 },
        area: sums.area([counts.training, counts.quantise, counts.evaluate]),
        events: sums.events(&tallies),
        evaluation_events: sums.events(&evaluated),
        statistics: statistics(run),
        notes: notes(run, executed - tested),
        host,
    };
    report.price(preset);
    report
}

pub(super) fn time(machine: &Machine) -> Time {
    Time {
        drain: machine.array.drain.name().to_owned(),
        dataflow: spec::Phase::ALL.map(|phase| machine.array.dataflow_of(phase).name().to_owned()),
        clock_mhz: machine.clock_mhz,
    }
}

fn notes(run: &Run<'_>, blanks: u64) -> Vec<String> {
    let blank = (blanks > 0).then(|| {
        format!("evaluation: {blanks} blank images fill last batches; its figures count them, those an image are per image executed")
    });
    let mut notes = vec![
        "cycles are the schedule's: units run side by side behind queues; training and evaluation steps follow one another"
            .to_owned(),
        format!(
            "codes (W_stored, W, A, E, G) were looked at in step 1 and every {}th step; clips and accumulators' extremes, zeros, \
             wrong outputs and saturated joins in all; accumulators' needed bits, peaks on the way and wrapped joins were \
             recounted in step 1 and every {}th step, every join of every output",
            run.look_every(),
            run.recount_every()
        ),
    ];
    notes.extend(blank);
    notes
}

pub(super) fn sum<'t>(tallies: impl Iterator<Item = &'t Tally>) -> Tally {
    let mut sum = Tally::default();
    tallies.for_each(|t| sum.add(t));
    sum
}

fn units(account: &Account) -> BTreeMap<Unit, UnitCycles> {
    account.units().map(|(unit, cycles)| (unit, cycles.clone())).collect()
}

pub(super) type Tallies = BTreeMap<(Phase, Option<u32>), Tally>;

/// Tallies of several ledgers as one.
pub(super) fn joined<const N: usize>(all: [&Tallies; N]) -> Tallies {
    let mut joined = Tallies::new();
    for (&label, tally) in all.into_iter().flatten() {
        joined.entry(label).or_default().add(tally);
    }
    joined
}

/// Parts of a report from tallies, not priced yet: every energy and area is 0.
pub(super) struct Sums<'a> {
    pub(super) machine: &'a Machine,
    pub(super) program: &'a Program,
}

impl Sums<'_> {
    /// Products that the array's multipliers can make in a cycle.
    fn multipliers(&self) -> u64 {
        let array = &self.machine.array;
        let trees = spec::Phase::ALL.map(|phase| self.machine.accumulators.rule(phase).tree);
        trees.into_iter().max().map_or(0, u64::from) * u64::from(array.rows) * u64::from(array.columns)
    }

    pub(super) fn peak(&self) -> Peak {
        let dram = &self.machine.dram;
        let dram_bytes_per_cycle = u64::from(dram.bytes_per_cycle) * u64::from(dram.channels);
        Peak { products_per_cycle: self.multipliers(), dram_bytes_per_cycle }
    }

    /// Useful products of those the array's multipliers could have made in the part's cycles.
    fn utilisation(&self, tally: &Tally) -> f64 {
        match tally.account.cycles {
            0 => 0.0,
            #[expect(clippy::cast_precision_loss, reason = "a share to be read")]
            cycles => tally.useful_products as f64 / (self.multipliers() * cycles) as f64,
        }
    }

    pub(super) fn totals(&self, tally: &Tally, steps: u64, [images, executed_images]: [u64; 2]) -> Totals {
        let cycles = tally.account.cycles;
        #[expect(clippy::cast_precision_loss, reason = "seconds to be read")]
        let seconds = cycles as f64 / (f64::from(self.machine.clock_mhz) * 1e6);
        Totals {
            steps,
            images,
            executed_images,
            instructions: tally.instructions,
            cycles,
            units: units(&tally.account),
            seconds,
            energy_pj: 0.0,
            component_pj: BTreeMap::new(),
            power_w: 0.0,
            image_pj: 0.0,
            image_seconds: 0.0,
            products: tally.products,
            useful_products: tally.useful_products,
            nonzero_products: tally.nonzero_products,
            utilisation: self.utilisation(tally),
            wrong_outputs: tally.wrong_outputs,
            saturated_joins: tally.saturated_joins,
            first_overflow: None,
            dram_read_bytes: tally.dram_read_bytes,
            dram_written_bytes: tally.dram_written_bytes,
        }
    }

    pub(super) fn parts(&self, tallies: &Tallies, wanted: impl Fn(Option<u32>) -> bool) -> Vec<Part> {
        let of = |phase: Phase| {
            let tally = sum(tallies.iter().filter(|((p, l), _)| *p == phase && wanted(*l)).map(|(_, t)| t));
            (tally.instructions > 0).then(|| Part {
                phase: phase.name().to_owned(),
                cycles: tally.account.cycles,
                array_cycles: tally.account.unit(Unit::Array).busy,
                units: units(&tally.account),
                energy_pj: 0.0,
                component_pj: BTreeMap::new(),
                dram_bytes: tally.dram_read_bytes + tally.dram_written_bytes,
                products: tally.products,
                useful_products: tally.useful_products,
                nonzero_products: tally.nonzero_products,
                utilisation: self.utilisation(&tally),
                wrong_outputs: tally.wrong_outputs,
                saturated_joins: tally.saturated_joins,
            })
        };
        Phase::ALL.into_iter().filter_map(of).collect()
    }

    pub(super) fn layers(&self, tallies: &Tallies) -> Vec<Layer> {
        let names = self.program.training.iter().flat_map(|t| &t.layers);
        (0u32..)
            .zip(names)
            .map(|(index, name)| {
                let tally = sum(tallies.iter().filter(|((_, l), _)| *l == Some(index)).map(|(_, t)| t));
                Layer {
                    name: name.clone(),
                    cycles: tally.account.cycles,
                    array_cycles: tally.account.unit(Unit::Array).busy,
                    energy_pj: 0.0,
                    component_pj: BTreeMap::new(),
                    utilisation: self.utilisation(&tally),
                    phases: self.parts(tallies, |l| l == Some(index)),
                }
            })
            .collect()
    }

    pub(super) fn events(&self, tallies: &Tallies) -> Vec<EventCount> {
        let of = |(&(phase, layer), tally): (&(Phase, Option<u32>), &Tally)| {
            let layer = layer.map(|layer| layer_name(self.program, layer));
            let each = |(&(component, event), &count): (&(_, _), &u128)| EventCount {
                phase: phase.name().to_owned(),
                layer: layer.clone(),
                component,
                event,
                count,
                energy_pj: 0.0,
            };
            tally.events.iter().map(each).collect::<Vec<_>>()
        };
        tallies.iter().flat_map(of).collect()
    }

    /// The logic that plans of these ledgers ask for together.
    pub(super) fn area<const N: usize>(&self, ledgers: [&Ledger; N]) -> Area {
        let mut logic = Logic::default();
        ledgers.into_iter().for_each(|ledger| logic.and(ledger.logic()));
        let elements = logic.elements(self.machine).into_iter();
        let elements = elements.map(|element| ElementArea { element, um2: 0.0 }).collect();
        Area { total_um2: 0.0, place_um2: BTreeMap::new(), elements }
    }
}

fn layer_name(program: &Program, layer: u32) -> String {
    let names = program.training.as_ref().map(|t| t.layers.as_slice()).unwrap_or_default();
    let index = usize::try_from(layer).unwrap_or(usize::MAX);
    names.get(index).cloned().unwrap_or_else(|| format!("layer {layer}"))
}

fn overflow(run: &Run<'_>, ledger: &Ledger) -> Option<Overflow> {
    ledger.first_overflow().map(|first| Overflow {
        step: first.pass,
        phase: first.phase.name().to_owned(),
        layer: first.layer.map_or_else(String::new, |layer| layer_name(run.program(), layer)),
        instruction: first.instruction,
        row: first.row,
        column: first.column,
    })
}

fn statistics(run: &Run<'_>) -> Vec<Statistic> {
    let lines = run.statistics().into_iter();
    lines
        .map(|line| Statistic {
            layer: layer_name(run.program(), line.layer),
            class: line.class,
            bits: line.statistics.bits(),
            sufficient: line.statistics.sufficient(),
            sufficient_on_the_way: line.statistics.sufficient_on_the_way(),
            statistics: line.statistics,
        })
        .collect()
}
