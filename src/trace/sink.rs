//! Files that are whole wherever they end: records go out in blocks, and a trace that must stop stops between two of them.
//!
//! With a name that ends in `.zst` each block is a zstd frame of its own; frames behind one another are one file. Knows no
//! form of trace.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{Halt, Limits, SinkError};

enum Out {
    File(File),
    Pipe(std::io::Stdout),
}

impl Out {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Out::File(file) => file.write_all(bytes),
            Out::Pipe(pipe) => pipe.write_all(bytes).and_then(|()| pipe.flush()),
        }
    }
}

/// Bytes of records that go out together.
const BLOCK: usize = 1 << 18;
const ZSTD_LEVEL: i32 = 3;

/// One file of a trace.
pub struct Sink {
    path: PathBuf,
    out: Out,
    compressed: bool,
    limits: Limits,
    /// Bytes of the closing, which are kept free.
    closing: u64,
    buffer: Vec<u8>,
    /// Bytes of the file; only whole blocks.
    written: u64,
    /// The same before the last block.
    before: u64,
    /// Records in whole blocks.
    kept: u64,
    /// The same before the last block.
    kept_before: u64,
    /// Records in the buffer.
    waiting: u64,
    dead: bool,
}

/// A file that was closed.
#[derive(Debug)]
pub struct Ended {
    /// Records in it.
    pub records: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What kept its end from being written.
    pub late: Option<Halt>,
}

impl Sink {
    /// A new file, or the output for `-`; at its end `closing` bytes at most follow the records.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path, limits: &Limits, closing: usize) -> Result<Self, SinkError> {
        let out = if path == Path::new("-") {
            Out::Pipe(std::io::stdout())
        } else {
            let file = File::create(path);
            Out::File(file.map_err(|source| SinkError::Write { path: path.display().to_string(), source })?)
        };
        Ok(Sink {
            path: path.to_owned(),
            out,
            compressed: path.extension().is_some_and(|e| e == "zst"),
            limits: limits.clone(),
            closing: closing as u64,
            buffer: Vec::with_capacity(BLOCK + BLOCK / 4),
            written: 0,
            before: 0,
            kept: 0,
            kept_before: 0,
            waiting: 0,
            dead: false,
        })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a record, which `write` appends to what it is given.
    ///
    /// # Errors
    /// When the trace must end; the record is then not in it.
    pub fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        self.records(1, write)
    }

    /// Adds so many records that stay together, or what is none (0).
    ///
    /// # Errors
    /// As [`Sink::record`].
    pub fn records(&mut self, count: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        if self.limits.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        let first = self.buffer.len();
        write(&mut self.buffer);
        if let Some(most) = self.limits.most_bytes
            && !self.has_room(most)
        {
            // Compressed, what waits may take less room than it seems to.
            let record = self.buffer.split_off(first);
            self.flush()?;
            self.buffer.extend_from_slice(&record);
            if !self.has_room(most) {
                self.buffer.clear();
                return Err(Halt::Limit);
            }
        }
        self.waiting += count;
        if self.buffer.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    fn has_room(&self, most: u64) -> bool {
        // A frame of bytes that do not compress is a little longer than they are.
        let frame = if self.compressed { 64 } else { 0 };
        self.written + self.buffer.len() as u64 + self.closing + 2 * frame <= most
    }

    /// Writes out what waits.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Halt> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = if self.compressed {
            zstd::bulk::compress(&self.buffer, ZSTD_LEVEL).map_err(|e| self.failed(e))?
        } else {
            std::mem::take(&mut self.buffer)
        };
        if let Err(error) = self.out.write_all(&bytes) {
            self.dead = true;
            return Err(match error.kind() {
                ErrorKind::BrokenPipe => Halt::Closed,
                _ => Halt::Failed(self.failed(error)),
            });
        }
        (self.before, self.kept_before) = (self.written, self.kept);
        self.written += bytes.len() as u64;
        self.kept += std::mem::take(&mut self.waiting);
        self.buffer = bytes;
        self.buffer.clear();
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> SinkError {
        let path = self.path.display().to_string();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SinkError::Full { path },
            _ => SinkError::Write { path, source },
        }
    }

    /// Ends the file with its closing, which `closing` makes of the records that are in it and of whether they are all.
    pub fn finish(mut self, complete: bool, closing: impl Fn(u64, bool) -> Vec<u8>) -> Ended {
        let mut late = None;
        if !self.dead {
            self.buffer.extend(closing(self.kept + self.waiting, complete));
            late = self.flush().err();
        }
        match self.dead {
            true => self.repair(&|records| closing(records, false), late),
            false => Ended { records: self.kept, bytes: self.written, late },
        }
    }

    /// Closes what a full disk cut: behind the last block if there is room now, or in the place of the last.
    fn repair(&mut self, closing: &dyn Fn(u64) -> Vec<u8>, late: Option<Halt>) -> Ended {
        let whole = Ended { records: self.kept, bytes: self.written, late };
        let Out::File(file) = &mut self.out else { return whole };
        for (end, records) in [(self.written, self.kept), (self.before, self.kept_before)] {
            let mut closing = closing(records);
            if self.compressed {
                closing = zstd::bulk::compress(&closing, ZSTD_LEVEL).unwrap_or_default();
            }
            let closed = file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)).map(|_| ()));
            if closed.and_then(|()| file.write_all(&closing)).is_ok() {
                return Ended { records, bytes: end + closing.len() as u64, ..whole };
            }
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(most_bytes: u64) -> Limits {
        Limits { most_bytes: Some(most_bytes), ..Limits::default() }
    }

    /// Writes numbered lines until the sink stops; the file and what stopped it.
    fn lines(name: &str, limits: &Limits) -> (Vec<u8>, Option<Halt>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let mut sink = Sink::create(&path, limits, 4).unwrap();
        let halt = (0..200_000).find_map(|i| sink.record(|out| writeln!(out, "line {i}").unwrap()).err());
        let ended = sink.finish(halt.is_none(), |_, _| b"end\n".to_vec());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(ended.bytes, bytes.len() as u64);
        let text = if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes.clone() };
        let mut seen = 0;
        for (i, line) in text.strip_suffix(b"end\n").unwrap().split_inclusive(|&b| b == b'\n').enumerate() {
            assert_eq!(line, format!("line {i}\n").as_bytes());
            seen = i + 1;
        }
        assert!(seen > 0 && ended.records == seen as u64 && ended.late.is_none());
        (bytes, halt)
    }

    #[test]
    fn a_file_is_no_longer_than_its_limit_and_ends_with_its_closing() {
        for most in [100, 5_000, 1_000_000] {
            for name in ["t.txt", "t.txt.zst"] {
                let (bytes, halt) =
                    lines(name, &limits(most.max(if name.ends_with("zst") { 300 } else { 0 })));
                assert!(bytes.len() as u64 <= most.max(300), "{name}: {} of {most}", bytes.len());
                assert!(matches!(halt, Some(Halt::Limit)) || name.ends_with("zst"), "{name}, {most}");
            }
        }
        let (bytes, halt) = lines("t.zst", &Limits::default());
        assert!(halt.is_none() && bytes.len() < 800_000);
    }

    #[test]
    fn a_trace_stopped_from_outside_ends_between_records() {
        let stop = Limits::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let mut sink = Sink::create(&path, &stop, 0).unwrap();
        sink.record(|out| out.extend(b"one")).unwrap();
        stop.stop.store(true, Ordering::Relaxed);
        assert!(matches!(sink.record(|out| out.extend(b"two")), Err(Halt::Stopped)));
        assert_eq!(sink.finish(false, |_, _| b"!".to_vec()).records, 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"one!");
    }

    #[test]
    fn what_a_full_disk_cut_is_closed_behind_the_last_whole_block() {
        for name in ["t", "t.zst"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let mut sink = Sink::create(&path, &Limits::default(), 4).unwrap();
            let line = [b'a'; 1000];
            (0..600).for_each(|_| sink.record(|out| out.extend(line)).unwrap());
            // A block of which only a part went out.
            let Out::File(file) = &mut sink.out else { panic!("a file") };
            file.write_all(b"part of a block").unwrap();
            sink.dead = true;
            let ended = sink.finish(true, |records, complete| format!("{records}{complete}").into());
            let bytes = std::fs::read(&path).unwrap();
            let text = if name == "t" { bytes } else { zstd::decode_all(&bytes[..]).unwrap() };
            // Records that waited for the next block are lost, and the closing says how many are there.
            let closing = format!("a{}false", ended.records);
            assert!(text.ends_with(closing.as_bytes()), "{ended:?}");
            assert_eq!(text.len() as u64, ended.records * 1000 + closing.len() as u64 - 1);
            assert!(text.len() > 2 * BLOCK && ended.records < 600);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_says_so() {
        let mut sink = Sink::create(Path::new("/dev/full"), &Limits::default(), 0).unwrap();
        sink.record(|out| out.extend(b"one")).unwrap();
        let ended = sink.finish(true, |_, _| Vec::new());
        let error = ended.late.unwrap().to_string();
        assert!(error.contains("disk is full") && error.contains("/dev/full"), "{error}");
    }
}
