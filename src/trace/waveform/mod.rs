//! Waveforms of the stepped engine, cycle by cycle, as VCD or FST: what its registers held when each cycle was over.
//!
//! A scope for each unit; widths are those of the machine and of the formats the program uses. A register that is empty is `x`.
//! Outside the window nothing is written and `traced` is 0.

mod file;
mod fst;
mod signals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use file::{Wave, WaveError};
use signals::{Scope, Signals};

use super::form::together;
use super::{End, Form, Halt, Limits, SinkError, Timetable, Window, Written};
use crate::isa::{Memory, Unit};
use crate::machine::{State, Stepped, View, Watch};

/// The units with queues, in the order of their scopes.
const UNITS: [Unit; 4] = [Unit::Load, Unit::Store, Unit::Array, Unit::Vector];

/// A processing element, by row and column.
pub type Place = (usize, usize);

/// Writes a waveform.
pub struct Waveform<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    path: PathBuf,
    wave: Wave,
    signals: Signals,
    places: Vec<Place>,
    step: u64,
    /// Joins of each instruction that left their range, as far as was seen.
    overflows: BTreeMap<usize, u64>,
    overflowed: u64,
    was_traced: bool,
    halt: Option<Halt>,
}

fn width(most: usize) -> u32 {
    usize::BITS - most.leading_zeros()
}

impl<'a> Waveform<'a> {
    /// A waveform with nothing in it yet, of the elements at these places besides all else; FST where the name ends in
    /// `.fst`, else VCD.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(
        path: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
        places: &[Place],
    ) -> Result<Self, Halt> {
        let signals = Signals::new(scopes(table, places));
        let wave =
            Wave::create(path, limits, table.machine.clock_mhz, &signals).map_err(|e| halted(path, e))?;
        Ok(Waveform {
            table,
            window,
            path: path.to_owned(),
            wave,
            signals,
            places: places.to_owned(),
            step: 1,
            overflows: BTreeMap::new(),
            overflowed: 0,
            was_traced: true,
            halt: None,
        })
    }

    fn is_within(&self, view: &View<'_>) -> bool {
        let takes = |&id: &usize| self.window.takes(id, &self.table.plan.steps[id]);
        self.window.cycles.holds(view.cycle)
            && (self.window.takes_idle(Unit::Array) || view.alive().iter().any(takes))
    }

    fn write(&mut self, view: &View<'_>, traced: bool) -> Result<(), Halt> {
        let cycle = (self.step - 1) * self.table.schedule.cycles + view.cycle;
        self.wave.cycle(cycle, traced, &mut self.signals).map_err(|e| halted(&self.path, e))
    }

    fn note(&mut self, view: &View<'_>, traced: bool) {
        let strobe = self.overflow(view);
        let s = &mut self.signals;
        s.begin();
        s.bit(traced);
        s.number(Some(self.step));
        s.number(Some(view.cycle));
        s.bit(view.issued.is_some());
        s.index(view.issued);
        s.number(view.issued.map(|id| self.table.plan.steps[id].pc.into()));
        s.index(Some(view.alive().len()));
        for memory in Memory::SCRATCHPADS {
            s.index(Some(view.ports_held(memory)));
        }
        for unit in UNITS {
            let occupant = view.occupant(unit);
            s.index(Some(view.waiting(unit)));
            s.bit(occupant.is_some());
            s.index(occupant);
            s.number(occupant.map(|id| self.table.plan.steps[id].pc.into()));
            match unit {
                Unit::Load | Unit::Store => s.index(Some(view.moving(unit).in_flight)),
                Unit::Vector => {
                    for stage in view.vector() {
                        s.index(Some(stage.map_or(0, |stage| stage.lanes)));
                        s.index(stage.map(|stage| stage.seq));
                    }
                }
                _ => array(s, view, &self.table.machine.array, strobe, self.overflowed),
            }
        }
        for &(row, column) in &self.places {
            let element = view.element(row, column);
            s.value(element.left);
            s.value(element.right);
            s.value(element.sum);
            s.value(element.finished);
            s.bit(element.overflow);
        }
    }

    /// Whether a join left its range in this cycle.
    fn overflow(&mut self, view: &View<'_>) -> bool {
        for &id in view.alive() {
            self.overflows.entry(id).or_default();
        }
        let before = self.overflowed;
        self.overflows.retain(|&id, seen| {
            let now = view.overflows_of(id);
            self.overflowed += now - *seen;
            *seen = now;
            view.alive().contains(&id)
        });
        self.overflowed > before
    }
}

/// Edges of the array and its overflows.
fn array(s: &mut Signals, view: &View<'_>, array: &crate::spec::Array, strobe: bool, overflowed: u64) {
    s.bit(strobe);
    s.number(Some(overflowed));
    let size = |n: u32| usize::try_from(n).unwrap_or(0);
    let (rows, columns) = (size(array.rows), size(array.columns));
    (0..rows).for_each(|row| s.value(view.element(row, 0).left));
    (0..columns).for_each(|column| s.value(view.element(0, column).right));
    (0..columns).for_each(|column| s.value(view.element(rows - 1, column).finished));
}

fn halted(path: &Path, error: WaveError) -> Halt {
    match error {
        WaveError::Halt(halt) => halt,
        other => {
            let path = path.display().to_string();
            let source = other.into_io();
            match source.kind() {
                std::io::ErrorKind::StorageFull => Halt::Failed(SinkError::Full { path }),
                _ => Halt::Failed(SinkError::Write { path, source }),
            }
        }
    }
}

/// The scopes of a machine, in the order in which `note` sets their signals.
fn scopes(table: &Timetable<'_>, places: &[Place]) -> Vec<Scope> {
    use crate::isa::Instr;
    let steps = &table.plan.steps;
    let products = || {
        steps.iter().filter_map(|step| match &step.instr {
            Instr::MTaps(m) | Instr::MPositions(m) => Some((m, step.rule)),
            _ => None,
        })
    };
    let left = products().map(|(m, _)| m.left_format.bits()).max().unwrap_or(1);
    let right = products().map(|(m, _)| m.right_format.bits()).max().unwrap_or(1);
    let sum = products().map(|(_, rule)| rule.bits).max().unwrap_or(1);
    let result = products().map(|(_, rule)| rule.result_bits().max(rule.bits)).max().unwrap_or(1);
    let seq = width(steps.len());
    let machine = table.machine;
    let size = |n: u32| usize::try_from(n).unwrap_or(0);
    let mut scopes = vec![
        Scope::new("control")
            .var("traced", 1)
            .var("step", 32)
            .var("cycle", 64)
            .var("issue", 1)
            .var("issued_seq", seq)
            .var("issued_pc", 32),
        Scope::new("scoreboard").var("alive", seq),
    ];
    for memory in Memory::SCRATCHPADS {
        scopes[1].add(&format!("{}_ports_held", memory.name()), 3);
    }
    for unit in UNITS {
        let queue = width(size(machine.control.queue_depth));
        let mut scope =
            Scope::new(unit.name()).var("queue", queue).var("busy", 1).var("seq", seq).var("pc", 32);
        match unit {
            Unit::Load | Unit::Store => {
                scope.add("beats_in_flight", width(size(machine.dram.latency_cycles) + 1))
            }
            Unit::Vector => {
                for stage in ["read", "first", "second"] {
                    scope.add(&format!("{stage}_lanes"), width(size(machine.vector.lanes)));
                    scope.add(&format!("{stage}_seq"), seq);
                }
            }
            _ => {
                scope.add("overflow", 1);
                scope.add("overflowed_joins", 64);
                (0..machine.array.rows).for_each(|row| scope.add(&format!("left_{row}"), left));
                (0..machine.array.columns).for_each(|column| scope.add(&format!("top_{column}"), right));
                (0..machine.array.columns).for_each(|column| scope.add(&format!("bottom_{column}"), result));
            }
        }
        scopes.push(scope);
    }
    for (row, column) in places {
        let scope = Scope::new(&format!("pe_{row}_{column}"));
        scopes.push(
            scope
                .var("left", left)
                .var("right", right)
                .var("sum", sum)
                .var("finished", result)
                .var("overflow", 1),
        );
    }
    scopes
}

impl Form for Waveform<'_> {
    fn step(&mut self, step: u64, before: Option<&State>) -> Result<(), End> {
        let Some(before) = before else { return Ok(()) };
        self.step = step;
        self.overflows.clear();
        let mut stepped = Stepped::new(self.table.machine.clone());
        stepped.watched(self.table.plan, &mut before.clone(), &mut [], Some(self))?;
        self.halt.take().map_or(Ok(()), |halt| Err(halt.into()))
    }

    fn finish(self: Box<Self>, _: bool) -> (Vec<Written>, Option<Halt>) {
        let ended = self.wave.finish(&self.path);
        together([Written::of("waveform", self.path, ended)])
    }
}

impl Watch for Waveform<'_> {
    fn cycle(&mut self, view: &View<'_>) -> bool {
        let within = self.halt.is_none() && self.is_within(view);
        // One more cycle tells that nothing is traced from there on.
        if within || self.was_traced {
            self.note(view, within);
            if self.halt.is_none() {
                self.halt = self.write(view, within).err();
            }
        } else {
            self.overflow(view);
        }
        self.was_traced = within;
        let behind = self.window.cycles.last.is_some_and(|last| view.cycle > last);
        !(behind || self.halt.is_some())
    }
}
