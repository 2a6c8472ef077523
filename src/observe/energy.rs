//! Energy: counts of events times a table of picojoules (`docs/energy.md`). Knows nothing of programs.

use super::events::{Component, Event, Events};
use crate::spec::{Machine, nearest};

/// A table of energies with the rules that scale a width (`programs/energy/`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name in machine files and reports.
    pub name: String,
    /// Technology and voltage.
    pub technology: String,
    add: PerBit,
    multiply: PerBitByBit,
    memory: MemoryByCapacity,
    register: PerBit,
    shift: PerBitAndLevel,
    compare: PerBit,
    count: PerBit,
    dram: Dram,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PerBit {
    fj_per_bit: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PerBitByBit {
    fj_per_bit_by_bit: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PerBitAndLevel {
    fj_per_bit_and_level: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryByCapacity {
    pj_per_64_bits_at_8_kib: f64,
    exponent: f64,
    source: String,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Dram {
    pj_per_bit: f64,
    source: String,
}

/// Why there is no table of that name.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// No such name.
    #[error("energy = \"{name}\": no table of that name; there {are}", are = match .nearest {
        Some(n) => format!("is \"{n}\""),
        None => "is \"horowitz45\"".to_owned(),
    })]
    Unknown {
        /// As written.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
    },
    /// A shipped file that does not read.
    #[error("energy table {name}: {error}")]
    Content {
        /// Its name.
        name: String,
        /// What is wrong.
        error: toml::de::Error,
    },
}

const SHIPPED: [(&str, &str); 1] = [("horowitz45", include_str!("../../programs/energy/horowitz45.toml"))];

impl Preset {
    /// The table of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Preset, PresetError> {
        let Some((_, text)) = SHIPPED.iter().find(|(n, _)| *n == name) else {
            let names = SHIPPED.iter().map(|(n, _)| *n);
            let nearest = nearest(name, names).map(str::to_owned);
            return Err(PresetError::Unknown { name: name.to_owned(), nearest });
        };
        toml::from_str(text).map_err(|error| PresetError::Content { name: name.to_owned(), error })
    }

    /// Picojoules of one event of a component.
    pub fn event_pj(&self, component: Component, event: Event, machine: &Machine) -> f64 {
        let fj = |per_bit: &PerBit, bits: u32| per_bit.fj_per_bit * f64::from(bits) / 1000.0;
        match event {
            Event::Add { bits } => fj(&self.add, bits),
            Event::Register { bits } => fj(&self.register, bits),
            Event::Compare { bits } => fj(&self.compare, bits),
            Event::Count { bits } => fj(&self.count, bits),
            Event::Multiply { a_bits, b_bits } => {
                self.multiply.fj_per_bit_by_bit * f64::from(a_bits) * f64::from(b_bits) / 1000.0
            }
            Event::Shift { bits } => {
                let levels = bits.next_power_of_two().trailing_zeros();
                self.shift.fj_per_bit_and_level * f64::from(bits) * f64::from(levels) / 1000.0
            }
            Event::MemoryBit => match capacity_kib(component, machine) {
                Some(kib) => {
                    let scale = libm::pow(f64::from(kib) / 8.0, self.memory.exponent);
                    self.memory.pj_per_64_bits_at_8_kib * scale / 64.0
                }
                None => self.dram.pj_per_bit,
            },
        }
    }

    /// Picojoules of events, by component in order.
    pub fn price(&self, events: &Events, machine: &Machine) -> Vec<(Component, f64)> {
        let mut parts: Vec<(Component, f64)> = Vec::new();
        for (&(component, event), &count) in events {
            #[expect(clippy::cast_precision_loss, reason = "energies are estimates")]
            let pj = self.event_pj(component, event, machine) * count as f64;
            match parts.last_mut() {
                Some((last, sum)) if *last == component => *sum += pj,
                _ => parts.push((component, pj)),
            }
        }
        parts
    }
}

/// Size of a scratchpad; none for what is none.
fn capacity_kib(component: Component, machine: &Machine) -> Option<u32> {
    let memory = &machine.memory;
    match component {
        Component::Operand => Some(memory.operand.kib),
        Component::Weight => Some(memory.weight.kib),
        Component::Accumulator => Some(memory.accumulator.kib),
        Component::Mask => Some(memory.mask.kib),
        Component::Array | Component::Vector | Component::Control | Component::Dram => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pj(component: Component, event: Event, machine: &Machine) -> f64 {
        Preset::named("horowitz45").unwrap().event_pj(component, event, machine)
    }

    fn close(found: f64, published: f64, tolerance: f64) {
        assert!((found / published - 1.0).abs() <= tolerance, "{found} is not {published}");
    }

    #[test]
    fn published_points_are_met() {
        let machine = Machine::default();
        let array = |event| pj(Component::Array, event, &machine);
        close(array(Event::Add { bits: 32 }), 0.1, 0.01);
        close(array(Event::Add { bits: 16 }), 0.05, 0.01);
        close(array(Event::Add { bits: 8 }), 0.03, 0.21);
        close(array(Event::Multiply { a_bits: 8, b_bits: 8 }), 0.2, 0.03);
        close(array(Event::Multiply { a_bits: 32, b_bits: 32 }), 3.1, 0.01);
        for (kib, published) in [(8, 10.0), (32, 20.0), (1024, 100.0)] {
            let mut machine = Machine::default();
            machine.memory.weight.kib = kib;
            close(64.0 * pj(Component::Weight, Event::MemoryBit, &machine), published, 0.04);
        }
        close(64.0 * pj(Component::Dram, Event::MemoryBit, &machine), 1300.0, 0.02);
    }

    #[test]
    fn an_unknown_table_names_the_nearest() {
        let error = Preset::named("horowitz54").unwrap_err().to_string();
        assert!(error.contains("horowitz45"), "{error}");
    }
}
