//! What of a run is traced. Every form of trace asks the same window; it knows no form.

use crate::isa::Unit;
use crate::program::{Phase, Step};

/// Whole numbers from a first to a last, both among them; a bound left out is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first.
    pub first: Option<u64>,
    /// The last.
    pub last: Option<u64>,
}

impl Bounds {
    /// Whether a number is within.
    pub fn holds(self, number: u64) -> bool {
        self.meets(number, number)
    }

    /// Whether some number from `first` to `last` is within.
    pub fn meets(self, first: u64, last: u64) -> bool {
        self.first.is_none_or(|bound| bound <= last) && self.last.is_none_or(|bound| first <= bound)
    }
}

impl std::str::FromStr for Bounds {
    type Err = String;

    /// `7`, `3..7`, `3..` or `..7`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range; write 7, 3..7 (both among them), 3.. or ..7");
        let number = |part: &str| match part.trim() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| wrong()),
        };
        let bounds = match text.split_once("..") {
            Some((first, last)) => Bounds { first: number(first)?, last: number(last)? },
            None => {
                let only = number(text)?.ok_or_else(wrong)?;
                Bounds { first: Some(only), last: Some(only) }
            }
        };
        match bounds {
            Bounds { first: Some(first), last: Some(last) } if first > last => {
                Err(format!("`{text}` ends before it begins; write {last}..{first}"))
            }
            bounds => Ok(bounds),
        }
    }
}

/// What of a run is traced: what is in every one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Training steps, from 1.
    pub steps: Bounds,
    /// Executed instructions of the entry, from 0, control left out.
    pub instructions: Bounds,
    /// Cycles of the entry, from 0.
    pub cycles: Bounds,
    /// Layers; all where there is none.
    pub layers: Vec<u32>,
    /// Phases; all where there is none.
    pub phases: Vec<Phase>,
    /// Units; all where there is none.
    pub units: Vec<Unit>,
}

fn chosen<T: PartialEq>(list: &[T], item: &T) -> bool {
    list.is_empty() || list.contains(item)
}

impl Window {
    /// Whether instruction number `seq` is within, whatever its cycles.
    pub fn takes(&self, seq: usize, step: &Step) -> bool {
        self.instructions.holds(seq as u64)
            && step.layer.map_or(self.layers.is_empty(), |layer| chosen(&self.layers, &layer))
            && chosen(&self.phases, &step.phase)
            && chosen(&self.units, &step.instr.unit())
    }

    /// Whether time of a unit that belongs to no instruction is within, whatever its cycles.
    pub fn takes_idle(&self, unit: Unit) -> bool {
        let all = self.instructions == Bounds::default() && self.layers.is_empty() && self.phases.is_empty();
        all && chosen(&self.units, &unit)
    }

    /// Whether some of the cycles `from..to` are within.
    pub fn meets(&self, from: u64, to: u64) -> bool {
        self.cycles.meets(from, to.max(from + 1) - 1)
    }

    /// Whether the window leaves out nothing of an entry.
    pub fn is_whole(&self) -> bool {
        *self == Window { steps: self.steps, ..Window::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(text: &str) -> Result<Bounds, String> {
        text.parse()
    }

    #[test]
    fn a_range_has_both_its_ends() {
        let range = bounds("3..7").unwrap();
        assert!(range.holds(3) && range.holds(7) && !range.holds(2) && !range.holds(8));
        assert!(range.meets(0, 3) && range.meets(7, 9) && !range.meets(8, 9));
        assert_eq!(bounds("5").unwrap(), bounds("5..5").unwrap());
        assert!(bounds("..7").unwrap().holds(0) && bounds("3..").unwrap().holds(u64::MAX));
        assert!(bounds("7..3").unwrap_err().contains("write 3..7"));
        for wrong in ["", "a", "1..b", "-1"] {
            assert!(bounds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cycles_of_a_span_end_before_its_to() {
        let window = Window { cycles: bounds("10..19").unwrap(), ..Window::default() };
        assert!(window.meets(0, 11) && window.meets(19, 30) && !window.meets(0, 10) && !window.meets(20, 30));
    }
}
