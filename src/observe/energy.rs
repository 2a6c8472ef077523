//! Energy: counts of events times a table of picojoules (`docs/energy.md`). Knows nothing of programs, nor of a machine: an
//! event says all that its price depends on.

use std::collections::BTreeMap;

use super::events::{Component, Event, Events};
use crate::spec::Preset;

impl Preset {
    /// Picojoules of one event.
    pub fn event_pj(&self, event: Event) -> f64 {
        let fj = match event {
            Event::Add { bits } => self.add.fj_per_bit * f64::from(bits),
            Event::Register { bits } => self.register.fj_per_bit * f64::from(bits),
            Event::Compare { bits } => self.compare.fj_per_bit * f64::from(bits),
            Event::Count { bits } => self.count.fj_per_bit * f64::from(bits),
            Event::Multiply { a_bits, b_bits } => {
                self.multiply.fj_per_bit_by_bit * f64::from(a_bits) * f64::from(b_bits)
            }
            Event::Shift { bits } => {
                self.shift.fj_per_bit_and_level * f64::from(bits) * f64::from(levels(bits))
            }
            Event::ScratchpadBit { kib } => {
                let scale = libm::pow(f64::from(kib) / 8.0, self.memory.exponent);
                return self.memory.pj_per_64_bits_at_8_kib * scale / 64.0;
            }
            Event::DramBit => return self.dram.pj_per_bit,
            Event::Cycle => return self.leakage.pj_per_cycle,
        };
        fj / 1000.0
    }

    /// Picojoules of so many of an event.
    pub fn events_pj(&self, event: Event, count: u128) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "energies are estimates")]
        let count = count as f64;
        self.event_pj(event) * count
    }

    /// Picojoules of events, by component.
    pub fn price(&self, events: &Events) -> BTreeMap<Component, f64> {
        let mut parts = BTreeMap::new();
        for (&(component, event), &count) in events {
            *parts.entry(component).or_default() += self.events_pj(event, count);
        }
        parts
    }

    /// What the table and the counts leave out of an energy.
    pub fn not_modelled(&self) -> String {
        let leakage = if self.leakage.pj_per_cycle > 0.0 { "" } else { "leakage, " };
        format!("{leakage}clock tree and instruction fetch")
    }
}

/// Levels of a barrel shifter.
pub(super) fn levels(bits: u32) -> u32 {
    bits.next_power_of_two().trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pj(event: Event) -> f64 {
        Preset::default().event_pj(event)
    }

    fn close(found: f64, published: f64, tolerance: f64) {
        assert!((found / published - 1.0).abs() <= tolerance, "{found} is not {published}");
    }

    #[test]
    fn published_points_are_met() {
        close(pj(Event::Add { bits: 32 }), 0.1, 0.01);
        close(pj(Event::Add { bits: 16 }), 0.05, 0.01);
        close(pj(Event::Add { bits: 8 }), 0.03, 0.21);
        close(pj(Event::Multiply { a_bits: 8, b_bits: 8 }), 0.2, 0.03);
        close(pj(Event::Multiply { a_bits: 32, b_bits: 32 }), 3.1, 0.01);
        for (kib, published) in [(8, 10.0), (32, 20.0), (1024, 100.0)] {
            close(64.0 * pj(Event::ScratchpadBit { kib }), published, 0.04);
        }
        close(64.0 * pj(Event::DramBit), 1300.0, 0.02);
        close(pj(Event::Register { bits: 1 }), 0.009, 0.001);
        close(pj(Event::Shift { bits: 32 }), 0.0026 * 32.0 * 5.0, 1e-9);
        close(pj(Event::Compare { bits: 10 }), 0.0092, 1e-9);
        close(pj(Event::Count { bits: 10 }), 0.078, 1e-9);
        assert!(pj(Event::Cycle) == 0.0);
    }

    #[test]
    fn dram_presets_are_the_published_picojoules_a_bit() {
        for (name, published) in [("lpddr4", 8.0), ("hbm2", 3.9), ("ddr3", 70.0)] {
            let preset = Preset::shipped(&format!("horowitz45-{name}")).expect(name);
            close(preset.event_pj(Event::DramBit), published, 1e-9);
            // All else is the base's.
            close(preset.event_pj(Event::Add { bits: 32 }), pj(Event::Add { bits: 32 }), 1e-12);
        }
    }

    /// Every kind of event at a width; a multiplication's other operand is wide.
    fn widths(bits: u32) -> [Event; 7] {
        [
            Event::Add { bits },
            Event::Register { bits },
            Event::Compare { bits },
            Event::Count { bits },
            Event::Shift { bits },
            Event::Multiply { a_bits: bits, b_bits: 8 },
            Event::Multiply { a_bits: 8, b_bits: bits },
        ]
    }

    #[test]
    fn every_width_costs_more_than_the_one_below() {
        for bits in 2..=64 {
            for (narrow, wide) in widths(bits - 1).into_iter().zip(widths(bits)) {
                assert!(pj(narrow) < pj(wide), "{narrow:?}, {wide:?}");
            }
            assert!(pj(Event::ScratchpadBit { kib: bits - 1 }) < pj(Event::ScratchpadBit { kib: bits }));
        }
    }

    #[test]
    fn adds_are_linear_and_products_quadratic_in_the_width() {
        for bits in 1..=32 {
            for event in [|bits| Event::Add { bits }, |bits| Event::Register { bits }] {
                close(pj(event(2 * bits)), 2.0 * pj(event(bits)), 1e-12);
            }
            let product = |bits| pj(Event::Multiply { a_bits: bits, b_bits: bits });
            close(product(2 * bits), 4.0 * product(bits), 1e-12);
        }
    }

    #[test]
    fn energies_of_events_add_up_and_none_cost_nothing() {
        let preset = Preset::default();
        let (a, b) = ((Component::ArrayAdd, Event::Add { bits: 9 }), (Component::Dram, Event::DramBit));
        let price = |events: &[((Component, Event), u128)]| -> f64 {
            preset.price(&events.iter().copied().collect()).values().sum()
        };
        close(price(&[(a, 3), (b, 5)]), price(&[(a, 3)]) + price(&[(b, 5)]), 1e-12);
        close(price(&[(a, 8)]), price(&[(a, 3)]) + price(&[(a, 5)]), 1e-12);
        assert!(price(&[]) == 0.0 && price(&[(a, 0), (b, 0)]) == 0.0);
    }

    #[test]
    fn leakage_is_told_where_it_is_not_modelled() {
        let mut preset = Preset::default();
        assert!(preset.not_modelled().contains("leakage"));
        preset.leakage.pj_per_cycle = 2.0;
        assert!(!preset.not_modelled().contains("leakage"));
        close(preset.events_pj(Event::Cycle, 3), 6.0, 1e-12);
    }
}
