//! The two forms of a waveform's file.

use std::path::Path;

use fst_writer::FstWriteError;
use vcd::{IdCode, TimescaleUnit, Value, VarType};

use super::fst::FstFile;
use super::signals::Signals;
use crate::trace::sink::Ended;
use crate::trace::{Halt, Limits, Sink};

/// Why a waveform goes no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum WaveError {
    #[error(transparent)]
    Halt(#[from] Halt),
    #[error(transparent)]
    Write(#[from] std::io::Error),
    #[error(transparent)]
    Fst(#[from] FstWriteError),
}

impl WaveError {
    pub(super) fn into_io(self) -> std::io::Error {
        match self {
            WaveError::Write(error) | WaveError::Fst(FstWriteError::Io(error)) => error,
            other => std::io::Error::other(other.to_string()),
        }
    }
}

/// A waveform's file, its header written.
pub(super) enum Wave {
    Vcd(Box<VcdFile>),
    Fst(Box<FstFile>),
}

/// Units of time of a file: the largest power of ten of picoseconds that half a cycle is a whole number of, so that viewers
/// count few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Power of ten, from picoseconds.
    pub(super) exponent: u8,
    clock_mhz: u32,
}

impl Unit {
    fn of(clock_mhz: u32) -> Self {
        let clock_mhz = clock_mhz.max(1);
        let whole = |exponent: &u8| 500_000 % (u64::from(clock_mhz) * 10u64.pow((*exponent).into())) == 0;
        Unit { exponent: (0..=5).rev().find(whole).unwrap_or(0), clock_mhz }
    }

    /// The beginning of a half cycle.
    fn half(self, cycle: u64, halves: u64) -> u64 {
        let picoseconds = (2 * cycle + halves).saturating_mul(500_000) / u64::from(self.clock_mhz);
        picoseconds / 10u64.pow(self.exponent.into())
    }
}

impl Wave {
    pub(super) fn create(
        path: &Path,
        limits: &Limits,
        clock_mhz: u32,
        signals: &Signals,
    ) -> Result<Self, WaveError> {
        let unit = Unit::of(clock_mhz);
        match path.extension().is_some_and(|e| e == "fst") {
            true => Ok(Wave::Fst(Box::new(FstFile::create(path, limits, unit, signals)?))),
            false => Ok(Wave::Vcd(Box::new(VcdFile::create(path, limits, unit, signals)?))),
        }
    }

    /// A cycle, with what changed in it: the clock rises at its beginning and falls in its middle. One that is not `traced` is no
    /// record.
    pub(super) fn cycle(&mut self, cycle: u64, traced: bool, signals: &mut Signals) -> Result<(), WaveError> {
        match self {
            Wave::Vcd(file) => {
                file.cycle([0, 1].map(|halves| file.unit.half(cycle, halves)), traced, signals)
            }
            Wave::Fst(file) => {
                file.cycle([0, 1].map(|halves| file.unit.half(cycle, halves)), traced, signals)
            }
        }
    }

    pub(super) fn finish(self, path: &Path) -> Ended {
        match self {
            Wave::Vcd(file) => file.sink.finish(true, |_, _| Vec::new()),
            Wave::Fst(file) => file.finish(path),
        }
    }
}

pub(super) struct VcdFile {
    sink: Sink,
    unit: Unit,
    clock: IdCode,
    ids: Vec<IdCode>,
}

impl VcdFile {
    fn create(path: &Path, limits: &Limits, unit: Unit, signals: &Signals) -> Result<Self, WaveError> {
        let mut sink = Sink::create(path, limits, 0).map_err(Halt::Failed)?;
        let mut header = Vec::new();
        let mut writer = vcd::Writer::new(&mut header);
        let (name, digits) = match unit.exponent {
            0..3 => (TimescaleUnit::PS, unit.exponent),
            _ => (TimescaleUnit::NS, unit.exponent - 3),
        };
        writer.timescale(10u32.pow(digits.into()), name)?;
        writer.add_module("wagesim")?;
        let clock = writer.add_var(VarType::Wire, 1, "clock", None)?;
        let mut ids = Vec::new();
        for scope in &signals.scopes {
            writer.add_module(&scope.name)?;
            for (name, bits) in &scope.vars {
                ids.push(writer.add_var(VarType::Wire, *bits, name, None)?);
            }
            writer.upscope()?;
        }
        writer.upscope()?;
        writer.enddefinitions()?;
        sink.records(0, |out| out.extend_from_slice(&header))?;
        Ok(VcdFile { sink, unit, clock, ids })
    }

    fn cycle(
        &mut self,
        [rise, fall]: [u64; 2],
        traced: bool,
        signals: &mut Signals,
    ) -> Result<(), WaveError> {
        let mut text = Vec::new();
        let mut writer = vcd::Writer::new(&mut text);
        writer.timestamp(rise)?;
        writer.change_scalar(self.clock, Value::V1)?;
        for (signal, held) in signals.changes() {
            let value = |&c: &u8| match c {
                b'0' => Value::V0,
                b'1' => Value::V1,
                _ => Value::X,
            };
            match held {
                [only] => writer.change_scalar(self.ids[signal], value(only))?,
                held => writer.change_vector(self.ids[signal], held.iter().map(value))?,
            }
        }
        writer.timestamp(fall)?;
        writer.change_scalar(self.clock, Value::V0)?;
        Ok(self.sink.records(traced.into(), |out| out.extend_from_slice(&text))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cycle_is_a_whole_number_of_units() {
        assert_eq!(Unit::of(500), Unit { exponent: 3, clock_mhz: 500 });
        assert_eq!(Unit::of(250).half(3, 1), 14);
        assert_eq!(Unit::of(1).half(2, 0), 20);
        // 333 MHz: no unit does, picoseconds come nearest.
        assert_eq!((Unit::of(333).exponent, Unit::of(333).half(1, 0)), (0, 3003));
    }
}
