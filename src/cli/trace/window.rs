//! The window as it is typed: ranges, and names of layers, phases and units.

use anyhow::anyhow;
use clap::Args;

use super::{Failure, given};
use crate::isa::{Unit, nearest};
use crate::program::{Phase, Program};
use crate::trace::{Bounds, Window};

/// What of a run is traced.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Window")]
pub(super) struct Within {
    /// Training steps, from 1; step 1 if left out
    #[arg(long, value_name = "A..B")]
    steps: Option<Bounds>,
    /// Executed instructions, from 0, control left out
    #[arg(long, value_name = "A..B")]
    instructions: Option<Bounds>,
    /// Cycles of the entry, from 0
    #[arg(long, value_name = "A..B")]
    cycles: Option<Bounds>,
    /// Layers, by name or number
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    layer: Vec<String>,
    /// Phases: quantise, forward, loss, error, gradient, update, other
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    phase: Vec<String>,
    /// Units: load, store, array, vector
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    unit: Vec<String>,
}

/// What is executed how often.
pub(in crate::cli) enum Entry<'e> {
    /// An entry of this name, once.
    Once(&'e str),
    /// A training step, again and again from the first on.
    Step,
    /// The training steps behind `done`, up to `last`.
    Run {
        /// Steps done before.
        done: u32,
        /// The last one.
        last: u32,
    },
}

/// The one of `all` that goes by a name.
fn named<T: Copy>(option: &str, name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T, Failure> {
    let found = all.iter().copied().find(|&item| name_of(item) == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|&item| name_of(item)).collect();
        given(anyhow!("--{option}: `{name}` is none of {}", names.join(", ")))
    })
}

impl Within {
    /// The window over an entry of a program.
    pub(super) fn window(&self, program: &Program, entry: &Entry<'_>) -> Result<Window, Failure> {
        let one = Bounds { first: Some(1), last: Some(1) };
        let mut steps = self.steps.unwrap_or(one);
        steps.first = steps.first.or(Some(1));
        match entry {
            _ if steps.first == Some(0) => return Err(given(anyhow!("--steps: steps count from 1"))),
            Entry::Once(name) if steps != one => {
                let what = "is no training step; it is executed once";
                return Err(given(anyhow!("--steps: entry `{name}` {what}")));
            }
            Entry::Step if steps.last.is_none() => {
                let first = steps.first.unwrap_or(1);
                return Err(given(anyhow!("--steps: give a last one, as in {first}..9")));
            }
            Entry::Run { done, last } => {
                let (done, last) = (u64::from(*done), u64::from(*last));
                steps.last = steps.last.or(Some(last));
                if steps.first.is_some_and(|n| n <= done) || steps.last.is_some_and(|n| n > last) {
                    let what = match last > done {
                        true => format!("this command does steps {} to {last}; name some of them", done + 1),
                        false => "this command does no step".to_owned(),
                    };
                    return Err(given(anyhow!("--steps: {what}")));
                }
            }
            _ => {}
        }
        let layer = |name: &String| layer(name, program);
        let phase = |name: &String| named("phase", name, &Phase::ALL, Phase::name);
        let unit = |name: &String| named("unit", name, &Unit::ALL[1..], Unit::name);
        Ok(Window {
            steps,
            instructions: self.instructions.unwrap_or_default(),
            cycles: self.cycles.unwrap_or_default(),
            layers: self.layer.iter().map(layer).collect::<Result<_, _>>()?,
            phases: self.phase.iter().map(phase).collect::<Result<_, _>>()?,
            units: self.unit.iter().map(unit).collect::<Result<_, _>>()?,
        })
    }
}

/// The number of a layer.
fn layer(name: &str, program: &Program) -> Result<u32, Failure> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let layers = program.training.as_ref().map(|t| t.layers.as_slice()).unwrap_or_default();
    let place = layers.iter().position(|layer| layer == name).and_then(|i| u32::try_from(i).ok());
    place.ok_or_else(|| match nearest(name, layers.iter().map(String::as_str)) {
        Some(near) => given(anyhow!("--layer: no layer `{name}`; did you mean `{near}`?")),
        None if layers.is_empty() => given(anyhow!("--layer: the program's layers have numbers, no names")),
        None => given(anyhow!("--layer: no layer `{name}`; there are {}", layers.join(", "))),
    })
}

/// `65536`, `64K`, `64M`, `2G`: bytes, in units of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write bytes, or 64K, 64M, 2G");
    let text = text.trim().trim_end_matches("iB").trim_end_matches('B');
    let unit = text.chars().last().ok_or_else(wrong)?;
    let shift = match unit.to_ascii_uppercase() {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        let sizes = ["65536", "64K", "64KiB", "2M", "1g"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [65536, 65536, 65536, 2 << 20, 1 << 30]);
        for wrong in ["", "M", "-1", "12Q", "99999999999G"] {
            assert!(size(wrong).unwrap_err().contains("is no size"), "{wrong}");
        }
    }
}
