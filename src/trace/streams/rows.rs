//! Tables in SCALE-Sim's form: a row for a cycle with accesses, the cycle and the addresses. All rows are as wide as the first;
//! -1 stands where there is no access, and a cycle with more accesses than that has more rows.

use std::io::Write;
use std::path::Path;

use crate::trace::{Halt, Limits, Sink, Written};

/// One table.
pub(in crate::trace) struct Rows {
    sink: Sink,
    width: usize,
    open: Option<u64>,
    addresses: Vec<u64>,
}

impl Rows {
    /// A table with no row yet; `width`: addresses of a row.
    pub(in crate::trace) fn create(path: &Path, limits: &Limits, width: usize) -> Result<Self, Halt> {
        let (sink, width) = (Sink::create(path, limits, 0)?, width.max(1));
        Ok(Rows { sink, width, open: None, addresses: Vec::new() })
    }

    /// An access; cycles never go back.
    pub(in crate::trace) fn add(&mut self, cycle: u64, address: u64) -> Result<(), Halt> {
        if self.open != Some(cycle) {
            self.row()?;
            self.open = Some(cycle);
        }
        self.addresses.push(address);
        Ok(())
    }

    /// Writes the accesses of the cycle that is over.
    fn row(&mut self) -> Result<(), Halt> {
        let Some(cycle) = self.open.take() else { return Ok(()) };
        let (addresses, width) = (&self.addresses, self.width);
        let count = addresses.len() as u64;
        self.sink.records(count, |out| {
            for row in addresses.chunks(width) {
                // A vector takes all that is written.
                let _ = write!(out, "{cycle}");
                for address in row {
                    let _ = write!(out, ",{address}");
                }
                out.extend(b",-1".repeat(width - row.len()));
                out.push(b'\n');
            }
        })?;
        self.addresses.clear();
        Ok(())
    }

    /// Closes the table.
    pub(in crate::trace) fn finish(mut self, trace: &'static str) -> (Written, Option<Halt>) {
        let halt = self.row().err();
        let file = self.sink.path().to_owned();
        let (written, late) = Written::of(trace, file, self.sink.finish(true, |_, _| Vec::new()));
        (written, halt.or(late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_alike_in_width_and_end_without_a_comma() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let mut rows = Rows::create(&path, &Limits::default(), 2).unwrap();
        for (cycle, address) in [(3, 10), (3, 11), (3, 12), (7, 0)] {
            rows.add(cycle, address).unwrap();
        }
        assert_eq!(rows.finish("t").0.records, 4);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "3,10,11\n3,12,-1\n7,0,-1\n");
    }
}
