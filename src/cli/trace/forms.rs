//! Each form of trace written from beginning to end, and what is told of its files.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::recording::Recording;
use super::stepping::{Stepping, Watcher};
use super::{Failure, Trace, failed, given};
use crate::cli::progress::Steps;
use crate::cli::target::Target;
use crate::trace::{
    DramStreams, Follow, Golden, Halt, Limits, Log, Place, ScratchpadStreams, Stream, Timeline, Timetable,
    Waveform, Window,
};

/// One file that was written.
#[derive(Debug, serde::Serialize)]
pub(super) struct Written {
    pub(super) trace: &'static str,
    pub(super) file: PathBuf,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Of a scratchpad: bits that its accesses moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) moved_bits: Option<u64>,
    /// Why it ends before its run does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<String>,
}

/// What every form is made of.
pub(super) struct Job<'t> {
    pub(super) command: &'t Trace,
    pub(super) limits: &'t Limits,
    pub(super) target: &'t Target,
    pub(super) table: &'t Timetable<'t>,
    pub(super) window: &'t Window,
}

/// A watcher behind its run, what ended it, and what the run came to.
type Watched<W> = (W, Option<Halt>, Result<(), Failure>);

impl Job<'_> {
    pub(super) fn timeline(&self, path: &Path) -> Result<Written, Failure> {
        let mut timeline = match Timeline::create(path, self.limits, self.table, self.window) {
            Ok(timeline) => timeline,
            Err(halt) => return written("timeline", path, 0, Err(halt), None),
        };
        let [first, last] = steps(self.window);
        let halt = passes([first, last], |step| timeline.pass(step));
        let records = timeline.events();
        let end = timeline.finish(halt.as_ref());
        written("timeline", path, records, end, halt)
    }

    pub(super) fn memory(&self, prefix: &Path) -> Result<Vec<Written>, Failure> {
        let mut streams = match DramStreams::create(prefix, self.limits, self.table, self.window) {
            Ok(streams) => streams,
            Err(halt) => return Ok(vec![written("dram", prefix, 0, Err(halt), None)?]),
        };
        let [first, last] = steps(self.window);
        let halt = passes([first, last], |step| streams.pass(step));
        let ended = streams.finish();
        let cut = ended_by(halt)?;
        match ended {
            Ok(streams) => Ok(streams
                .into_iter()
                .map(|Stream { file, accesses, bytes }| Written {
                    trace: "dram",
                    file,
                    records: accesses,
                    bytes,
                    moved_bits: None,
                    cut: cut.clone(),
                })
                .collect()),
            Err(halt) => Ok(vec![written("dram", prefix, 0, Err(halt), None)?]),
        }
    }

    pub(super) fn log(&self, path: &Path) -> Result<Written, Failure> {
        if self.command.engine.is_stepped() {
            let what = "instructions of the stepped engine end out of order; log with fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let mut log = match Log::create(path, self.limits, self.table, self.window, self.command.digest) {
            Ok(log) => log,
            Err(halt) => return written("log", path, 0, Err(halt), None),
        };
        let [first, last] = steps(self.window);
        let (ran, halt) = if self.command.digest || self.command.execute {
            let engine = self.command.engine.on(self.target.machine());
            let ran = self.target.execute(
                &self.command.begin,
                self.command.data.as_deref(),
                engine,
                [first, last],
                &mut log,
            );
            (ran, log.take_halt())
        } else {
            (Ok(()), passes([first, last], |step| log.pass(step)))
        };
        let records = log.records();
        let end = log.finish(halt.as_ref().or(ran.is_err().then_some(&Halt::Stopped)));
        ran?;
        written("log", path, records, end, halt)
    }

    /// Executes on the stepped engine while a watcher looks; the watcher, what ended it, and
    /// what the run came to: the files are closed whatever it was.
    fn watch<'t, W: Watcher + 't>(&self, watcher: W) -> Result<Watched<W>, Failure> {
        let [first, last] = steps(self.window);
        let mut stepping = Stepping::new(watcher, last);
        let engine = stepping.engine(self.target.machine());
        let data = self.command.data.as_deref();
        let ran = self.target.execute(&self.command.begin, data, engine, [first, last], &mut stepping);
        let halt = stepping.take_halt();
        let watcher = stepping.into_watcher().ok_or_else(|| failed(anyhow!("the engine is still there")))?;
        Ok((watcher, halt, ran))
    }

    pub(super) fn scratchpads(&self, prefix: &Path) -> Result<Vec<Written>, Failure> {
        let streams = match ScratchpadStreams::create(prefix, self.limits, self.table, self.window) {
            Ok(streams) => streams,
            Err(halt) => return Ok(vec![written("scratchpads", prefix, 0, Err(halt), None)?]),
        };
        let (streams, halt, ran) = self.watch(streams)?;
        let ended = streams.finish();
        ran?;
        let cut = ended_by(halt)?;
        match ended {
            Ok(moved) => Ok(moved
                .into_iter()
                .map(|m| Written {
                    trace: "scratchpad",
                    file: m.file,
                    records: m.accesses,
                    bytes: m.bytes,
                    moved_bits: Some(m.bits),
                    cut: cut.clone(),
                })
                .collect()),
            Err(halt) => Ok(vec![written("scratchpads", prefix, 0, Err(halt), None)?]),
        }
    }

    pub(super) fn waveform(&self, path: &Path, places: &[Place]) -> Result<Written, Failure> {
        let waveform = match Waveform::create(path, self.limits, self.table, self.window, places) {
            Ok(waveform) => waveform,
            Err(halt) => return written("waveform", path, 0, Err(halt), None),
        };
        let (waveform, halt, ran) = self.watch(waveform)?;
        let cycles = waveform.cycles();
        let end = waveform.finish(path);
        ran?;
        written("waveform", path, cycles, end, halt)
    }

    pub(super) fn golden(&self, dir: &Path) -> Result<Written, Failure> {
        if self.command.engine.is_stepped() {
            let what = "the stepped engine executes instructions side by side; take fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let golden = match Golden::create(dir, self.limits, self.table, self.window, self.command.stress) {
            Ok(golden) => golden,
            Err(halt) => return written("golden", dir, 0, Err(halt), None),
        };
        let mut recording = Recording::new(golden);
        let engine = recording.engine(self.command.engine.on(self.target.machine()));
        let ran = self.target.execute(
            &self.command.begin,
            self.command.data.as_deref(),
            engine,
            steps(self.window),
            &mut recording,
        );
        let halt = recording.take_halt();
        let golden = recording.into_golden().ok_or_else(|| failed(anyhow!("the engine is still there")))?;
        let vectors = golden.vectors();
        let end = golden.finish(halt.as_ref().or(ran.is_err().then_some(&Halt::Stopped)));
        ran?;
        written("golden", dir, vectors, end, halt)
    }
}

/// What a trace came to, as its user is told; an error where it cannot be written.
fn ended_by(halt: Option<Halt>) -> Result<Option<String>, Failure> {
    match halt {
        None | Some(Halt::Closed) => Ok(None),
        Some(Halt::Limit) => {
            Ok(Some("it has come to --max-size; give it more, or a smaller window".to_owned()))
        }
        Some(Halt::Stopped) => Ok(Some("stopped".to_owned())),
        Some(Halt::Failed(error)) => Err(failed(error)),
    }
}

/// Traces steps one after another; what ended it early.
fn passes([first, last]: [u64; 2], mut pass: impl FnMut(u64) -> Result<(), Halt>) -> Option<Halt> {
    let display = Steps::new("tracing", last);
    (first..=last).find_map(|step| {
        display.begin(step);
        pass(step).err()
    })
}

/// The training steps of a window.
fn steps(window: &Window) -> [u64; 2] {
    [window.steps.first.unwrap_or(1), window.steps.last.unwrap_or(1)]
}

/// What is told of a file that ended so, cut short by `halt` if it was.
fn written(
    trace: &'static str,
    path: &Path,
    records: u64,
    end: Result<u64, Halt>,
    halt: Option<Halt>,
) -> Result<Written, Failure> {
    let (bytes, late) = end.map_or_else(|halt| (0, Some(halt)), |bytes| (bytes, None));
    let cut = ended_by(halt.or(late))?;
    Ok(Written { trace, file: path.to_owned(), records, bytes, moved_bits: None, cut })
}
