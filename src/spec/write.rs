//! The machine as a full, commented file. Owns the file's layout and comments; reading it back gives the same machine.

use std::fmt::{self, Write};

use crate::number::{AccumulatorRule, Overflow, Rounding};
use crate::spec::{Generator, Machine, Order, Packing, Phase, Preset, Scratchpad};

impl Machine {
    /// The full file: every key with its value and what it means.
    ///
    /// # Panics
    /// Never: writing to a string does not fail.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        self.write_toml(&mut text).expect("a string takes all that is written");
        text
    }

    fn write_toml(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "# A machine, complete. A key left out of a machine file has the value of `machines/default.toml`."
        )?;
        line(out, "name", quoted(&self.name), "what reports call it")?;
        line(out, "clock_mhz", self.clock_mhz, "clock, MHz")?;
        if self.energy.is_shipped() {
            let meaning = "the table of picojoules: a name, a file, or [energy] here";
            line(out, "energy", quoted(&self.energy.name), meaning)?;
        }
        self.write_array(out)?;
        self.write_accumulators(out)?;

        writeln!(out, "\n[vector]")?;
        let vector = &self.vector;
        line(out, "lanes", vector.lanes, "elements a cycle")?;
        let meaning = "even (the contract), up or truncate: shifts of activations";
        line(out, "forward_rounding", quoted(rounding(vector.forward_rounding)), meaning)?;
        line(out, "error_rounding", quoted(rounding(vector.error_rounding)), "the same: shifts of errors")?;
        line(out, "zero_gating", vector.zero_gating, "a zero operand gates its multiplier: energy only")?;

        let memory = &self.memory;
        write_scratchpad(out, "operand", memory.operand, "activations and errors, as codes")?;
        write_scratchpad(out, "weight", memory.weight, "weights")?;
        write_scratchpad(out, "accumulator", memory.accumulator, "finished sums")?;
        write_scratchpad(out, "mask", memory.mask, "states of activations, places of pools")?;

        writeln!(out, "\n[dram]")?;
        let dram = &self.dram;
        line(out, "bytes_per_cycle", dram.bytes_per_cycle, "bytes moved in a cycle")?;
        line(out, "latency_cycles", dram.latency_cycles, "cycles before the first byte")?;
        line(out, "burst_bytes", dram.burst_bytes, "least bytes of one access")?;
        line(out, "channels", dram.channels, "1: shared by reads and writes; 2: one each")?;

        writeln!(out, "\n[control]")?;
        let control = &self.control;
        line(out, "loop_depth", control.loop_depth, "hardware loops inside one another")?;
        line(out, "registers", control.registers, "scalar registers")?;
        line(out, "queue_depth", control.queue_depth, "instructions that may wait for each unit")?;

        writeln!(out, "\n[random]")?;
        let generator = match self.random.generator {
            Generator::Philox4x32x10 => "philox4x32-10",
            Generator::Lfsr16 => "lfsr16",
        };
        line(out, "generator", quoted(generator), "or lfsr16, a register a lane; the seed is the run's")?;
        match self.energy.is_shipped() {
            true => Ok(()),
            false => write!(out, "\n{}", energy(&self.energy)),
        }
    }

    fn write_array(&self, out: &mut String) -> fmt::Result {
        let array = &self.array;
        writeln!(out, "\n[array]")?;
        line(out, "rows", array.rows, "rows of processing elements")?;
        line(out, "columns", array.columns, "columns of processing elements")?;
        line(
            out,
            "dataflow",
            quoted(array.dataflow.name()),
            "what stays in place: output- or weight-stationary",
        )?;
        for (phase, own) in Phase::ALL.into_iter().zip([array.forward, array.error, array.gradient]) {
            if let Some(own) = own {
                let key = format!("{}.dataflow", phase.name());
                line(out, &key, quoted(own.name()), "here")?;
            }
        }
        line(
            out,
            "drain",
            quoted(array.drain.name()),
            "overlap, serial or ignore: how moving sums out is paid",
        )?;
        line(out, "shared", array.shared, "one array for all phases, or one each")
    }

    fn write_accumulators(&self, out: &mut String) -> fmt::Result {
        let accumulators = &self.accumulators;
        let general = accumulators.forward;
        writeln!(out, "\n[accumulators]  # all phases; [accumulators.forward], .error, .gradient for one")?;
        line(out, "bits", general.bits, "width of the register, 4 to 64")?;
        line(out, "overflow", quoted(overflow(general.overflow)), "wrap, saturate or trap")?;
        line(out, "tree", general.tree, "products summed exactly before they join")?;
        line(out, "chunk", general.chunk, "steps in an inner register before the outer; 0: none")?;
        line(out, "outer_bits", general.outer_bits, "width of the outer register")?;
        let packing = match accumulators.packing {
            Packing::Bytes => "bytes",
            Packing::Words => "words",
        };
        line(out, "packing", quoted(packing), "bytes: as many as the bits need; words: 1, 2, 4, 8")?;
        let order = match accumulators.order {
            Order::Kernel => "kernel".to_owned(),
            Order::Channels(block) => format!("channels:{block}"),
        };
        line(
            out,
            "order",
            quoted(&order),
            "kernel: row, column, channel; channels:n: in blocks of n channels",
        )?;
        for phase in [Phase::Error, Phase::Gradient] {
            write_rule(out, phase.name(), accumulators.rule(phase), general)?;
        }
        for (&(phase, layer), &rule) in &accumulators.layers {
            write_rule(out, &format!("{}.layer.{layer}", phase.name()), rule, accumulators.rule(phase))?;
        }
        Ok(())
    }
}

/// What a part has otherwise than `general`.
fn write_rule(out: &mut String, part: &str, rule: AccumulatorRule, general: AccumulatorRule) -> fmt::Result {
    if rule == general {
        return Ok(());
    }
    writeln!(out, "\n[accumulators.{part}]")?;
    line(out, "bits", rule.bits, "here")?;
    line(out, "overflow", quoted(overflow(rule.overflow)), "here")?;
    line(out, "tree", rule.tree, "here")?;
    line(out, "chunk", rule.chunk, "here")?;
    line(out, "outer_bits", rule.outer_bits, "here")
}

fn write_scratchpad(out: &mut String, name: &str, scratchpad: Scratchpad, meaning: &str) -> fmt::Result {
    writeln!(out, "\n[memory.{name}]  # {meaning}")?;
    line(out, "kib", scratchpad.kib, "size, KiB")?;
    line(out, "ports", scratchpad.ports, "instructions that may touch it at once")
}

/// A table of the user's, whole: the machine's file needs no other.
fn energy(preset: &Preset) -> String {
    let table = toml::Table::try_from(preset).unwrap_or_default();
    toml::to_string(&toml::Table::from_iter([("energy".to_owned(), table.into())])).unwrap_or_default()
}

fn line(out: &mut String, key: &str, value: impl fmt::Display, meaning: &str) -> fmt::Result {
    let assignment = format!("{key} = {value}");
    writeln!(out, "{assignment:<36}# {meaning}")
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.to_owned())
}

fn overflow(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Wrap => "wrap",
        Overflow::Saturate => "saturate",
        Overflow::Trap => "trap",
    }
}

fn rounding(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Even => "even",
        Rounding::Up => "up",
        Rounding::Truncate => "truncate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Dataflow, Drain};

    #[test]
    fn the_file_reads_back_as_the_same_machine() {
        let default = Machine::default();
        let mut odd = Machine { name: "a \"quoted\" name\\".to_owned(), ..Machine::default() };
        odd.array.gradient = Some(Dataflow::OutputStationary);
        odd.array.drain = Drain::Ignore;
        odd.array.shared = false;
        odd.accumulators.forward.bits = 17;
        odd.accumulators.error.overflow = Overflow::Saturate;
        odd.accumulators.gradient =
            AccumulatorRule { bits: 9, overflow: Overflow::Wrap, tree: 4, chunk: 8, outer_bits: 30 };
        odd.accumulators.packing = Packing::Words;
        odd.vector.forward_rounding = Rounding::Truncate;
        odd.vector.zero_gating = true;
        odd.memory.mask = Scratchpad { kib: 7, ports: 5 };
        odd.dram.channels = 2;
        odd.control.registers = 9;
        odd.random.generator = Generator::Lfsr16;
        odd.energy.dram.pj_per_bit = 0.1;
        for machine in [default, odd] {
            assert_eq!(Machine::from_toml(&machine.to_toml(), "written", &[]), Ok(machine));
        }
    }

    #[test]
    fn the_file_writes_every_key_of_the_default_machine() {
        let table: toml::Table = Machine::default().to_toml().parse().expect("TOML");
        for key in Machine::keys() {
            let one_phase = Phase::ALL.iter().any(|phase| key.contains(&format!(".{}.", phase.name())));
            let mut value = Some(&toml::Value::Table(table.clone())).cloned();
            for segment in key.split('.') {
                value = value.and_then(|value| value.get(segment).cloned());
            }
            // A shipped table is written by its name.
            let within_energy = key.starts_with("energy.");
            assert_eq!(value.is_some(), !one_phase && !within_energy, "{key}");
        }
    }

    #[test]
    fn the_default_machine_file_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/machines/default.toml");
        let fresh = Machine::default().to_toml();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &fresh).expect("the file can be written");
        }
        let found = std::fs::read_to_string(path).expect("the file is there");
        assert_eq!(found, fresh, "run this test with BLESS=1 to write the file again");
    }

    #[test]
    fn the_other_machine_files_of_the_repository_are_read() {
        for (name, text) in [
            ("tiny-16k", include_str!("../../programs/machines/tiny-16k.toml")),
            ("large-4m", include_str!("../../programs/machines/large-4m.toml")),
            ("narrow", include_str!("../../programs/machines/narrow.toml")),
        ] {
            let machine = Machine::from_toml(text, name, &[]).expect(name);
            assert_eq!(machine.name, name);
        }
    }
}
