//! A waveform as FST: blocks of changes behind a header that says how many there are. A block goes to disk whole or not at all, so
//! what a full disk ends is a file as far as its last whole block.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use fst_writer::{
    FstBodyWriter, FstFileType, FstHeaderWriter, FstInfo, FstScopeType, FstSignalId, FstSignalType,
    FstVarDirection, FstVarType,
};

use super::file::{Unit, WaveError};
use super::halted;
use super::signals::Signals;
use crate::trace::sink::Ended;
use crate::trace::{Halt, Limits};

/// Bytes of changes kept before the first block goes out; each block after it is of twice as many, up to the most.
const FIRST_BLOCK: usize = 1 << 16;
const MOST_BLOCK: usize = 1 << 23;

/// Where the header has the time of the end and the number of blocks, big-endian (`fstapi.c`: block type, length, start time,
/// end time, five more).
const END_TIME: u64 = 17;
const BLOCKS: u64 = 65;

/// A file to which only whole blocks go: what is written behind them waits to be committed.
struct Blocks {
    file: File,
    /// Bytes of the file.
    whole: u64,
    waiting: Vec<u8>,
    at: u64,
}

/// The writer has it to write to, and its owner to commit.
#[derive(Clone)]
struct Shared(Rc<RefCell<Blocks>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut blocks = self.0.borrow_mut();
        let Blocks { file, whole, waiting, at } = &mut *blocks;
        let length = if let Some(from) = at.checked_sub(*whole) {
            let from = usize::try_from(from).map_err(std::io::Error::other)?;
            waiting.resize(waiting.len().max(from + bytes.len()), 0);
            waiting[from..from + bytes.len()].copy_from_slice(bytes);
            bytes.len()
        } else {
            let length = bytes.len().min(usize::try_from(*whole - *at).unwrap_or(usize::MAX));
            file.seek(SeekFrom::Start(*at))?;
            file.write(&bytes[..length])?
        };
        *at += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let mut blocks = self.0.borrow_mut();
        let end = blocks.whole + blocks.waiting.len() as u64;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => blocks.at.checked_add_signed(by),
        };
        blocks.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(blocks.at)
    }
}

impl Blocks {
    /// Puts what waits into the file, or nothing of it.
    fn commit(&mut self) -> std::io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let put = self.file.seek(SeekFrom::Start(self.whole)).and_then(|_| self.file.write_all(&waiting));
        if put.is_err() {
            self.file.set_len(self.whole)?;
        } else {
            self.whole += waiting.len() as u64;
        }
        put
    }

    fn set(&mut self, place: u64, value: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&value.to_be_bytes())
    }
}

/// An FST file, its header written.
pub(super) struct FstFile {
    body: FstBodyWriter<Shared>,
    blocks: Shared,
    limits: Limits,
    pub(super) unit: Unit,
    clock: FstSignalId,
    ids: Vec<FstSignalId>,
    /// Cycles, blocks and the last time that went to disk.
    kept: [u64; 3],
    /// Cycles and the last time since.
    waiting: [u64; 2],
    /// A block did not go to disk.
    is_cut: bool,
}

impl FstFile {
    pub(super) fn create(
        path: &Path,
        limits: &Limits,
        unit: Unit,
        signals: &Signals,
    ) -> Result<Self, WaveError> {
        let info = FstInfo {
            start_time: 0,
            timescale_exponent: -12 + i8::try_from(unit.exponent).unwrap_or(0),
            version: concat!("wagesim ", env!("CARGO_PKG_VERSION")).to_owned(),
            date: String::new(),
            file_type: FstFileType::Verilog,
        };
        let file = File::create(path)?;
        let blocks = Shared(Rc::new(RefCell::new(Blocks { file, whole: 0, waiting: Vec::new(), at: 0 })));
        let mut header = FstHeaderWriter::new(blocks.clone(), &info)?;
        let var = |header: &mut FstHeaderWriter<Shared>, name: &str, bits: u32| {
            header.var(name, FstSignalType::bit_vec(bits), FstVarType::Wire, FstVarDirection::Implicit, None)
        };
        header.scope("wagesim", "", FstScopeType::Module)?;
        let clock = var(&mut header, "clock", 1)?;
        let mut ids = Vec::new();
        for scope in &signals.scopes {
            header.scope(&scope.name, "", FstScopeType::Module)?;
            for (name, bits) in &scope.vars {
                ids.push(var(&mut header, name, *bits)?);
            }
            header.up_scope()?;
        }
        header.up_scope()?;
        let body = header.finish()?;
        blocks.0.borrow_mut().commit()?;
        Ok(FstFile {
            body,
            blocks,
            limits: limits.clone(),
            unit,
            clock,
            ids,
            kept: [0; 3],
            waiting: [0; 2],
            is_cut: false,
        })
    }

    pub(super) fn cycle(
        &mut self,
        [rise, fall]: [u64; 2],
        traced: bool,
        signals: &mut Signals,
    ) -> Result<(), WaveError> {
        if self.limits.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped.into());
        }
        // A block has tables beside its changes: of its times, and of where each signal's begin.
        let tables = 1024 + 16 * self.ids.len() as u64;
        let full = |file: &Self| {
            let held = 2 * file.body.size() as u64;
            file.limits.most_bytes.is_some_and(|most| file.blocks.0.borrow().whole + held + tables > most)
        };
        let blocks = u32::try_from(self.kept[1]).unwrap_or(u32::MAX).min(16);
        // What is kept is compressed when it goes out, so it may have room after all.
        if self.body.size() > (FIRST_BLOCK << blocks).min(MOST_BLOCK) || full(self) {
            self.body.flush()?;
            self.commit()?;
            if full(self) {
                return Err(Halt::Limit.into());
            }
        }
        self.body.time_change(rise)?;
        self.body.signal_change(self.clock, b"1")?;
        for (signal, held) in signals.changes() {
            self.body.signal_change(self.ids[signal], held)?;
        }
        self.body.time_change(fall)?;
        self.body.signal_change(self.clock, b"0")?;
        self.waiting = [self.waiting[0] + u64::from(traced), fall];
        Ok(())
    }

    /// Puts a block that is whole to disk.
    fn commit(&mut self) -> std::io::Result<()> {
        let [cycles, time] = std::mem::take(&mut self.waiting);
        self.is_cut = true;
        self.blocks.0.borrow_mut().commit()?;
        self.is_cut = false;
        self.kept = [self.kept[0] + cycles, self.kept[1] + 1, time.max(self.kept[2])];
        Ok(())
    }

    pub(super) fn finish(self, path: &Path) -> Ended {
        let ([mut cycles, mut blocks, mut time], [waiting, last]) = (self.kept, self.waiting);
        let finished = self.body.finish().map_err(WaveError::from);
        let mut file = self.blocks.0.borrow_mut();
        let late = finished.and_then(|_| Ok(file.commit()?)).err();
        if late.is_none() {
            (cycles, blocks, time) = (cycles + waiting, blocks + 1, time.max(last));
        }
        if late.is_some() || self.is_cut {
            // The header is to tell of the blocks that are there; it has its room.
            let _ = file.set(END_TIME, time).and_then(|()| file.set(BLOCKS, blocks));
        }
        Ended { records: cycles, bytes: file.whole, late: late.map(|error| halted(path, error)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_not_whole_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blocks");
        let file = File::create(&path).unwrap();
        let shared = Shared(Rc::new(RefCell::new(Blocks { file, whole: 0, waiting: Vec::new(), at: 0 })));
        let mut writer = shared.clone();
        writer.write_all(b"header..").unwrap();
        shared.0.borrow_mut().commit().unwrap();
        writer.write_all(b"block").unwrap();
        // Back into the header and over its end, as a writer does that fills in what it learns later.
        writer.seek(SeekFrom::Start(6)).unwrap();
        writer.write_all(b"::B").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"header::");
        shared.0.borrow_mut().commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"header::Block");
    }
}
