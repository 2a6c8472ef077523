//! Traces beside a training run: shown the steps of their windows, closed behind the last of them. A trace that cannot be
//! written is told of at once and fails the command at its end; the training goes on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::order::{File, Order, files};
use super::{Failure, failed};
use crate::machine::{Engine, State};
use crate::trace::{Timetable, Traces, Window};

/// The traces of a run.
pub(in crate::cli) struct Tracing<'a> {
    open: Vec<Traces<'a>>,
    ended: Result<(), Failure>,
}

impl<'a> Tracing<'a> {
    /// Every order's traces over its window, with nothing in them yet.
    pub(in crate::cli) fn open(
        orders: &[Order],
        windows: &'a [Window],
        table: &'a Timetable<'a>,
        stop: &Arc<AtomicBool>,
        engine: &dyn Fn() -> Box<dyn Engine>,
    ) -> Result<Self, Failure> {
        let open = orders.iter().zip(windows).map(|(order, window)| order.open(table, window, stop, engine));
        Ok(Tracing { open: open.collect::<Result<_, _>>()?, ended: Ok(()) })
    }

    /// Of a run that is not traced.
    pub(in crate::cli) fn none() -> Self {
        Tracing { open: Vec::new(), ended: Ok(()) }
    }

    /// Whether a step is to be shown to a trace.
    pub(in crate::cli) fn takes(&self, step: u64) -> bool {
        self.open.iter().any(|traces| traces.takes(step))
    }

    /// Shows a step, by the machine before it; the files that are closed now.
    pub(in crate::cli) fn step(&mut self, step: u64, before: &State) -> Vec<File> {
        for traces in self.open.iter_mut().filter(|traces| traces.takes(step)) {
            traces.step(step, Some(before));
        }
        self.close_those(|traces| !traces.go_on())
    }

    /// Closes what is open; its files.
    pub(in crate::cli) fn close(&mut self) -> Vec<File> {
        self.close_those(|_| true)
    }

    fn close_those(&mut self, over: impl Fn(&Traces<'a>) -> bool) -> Vec<File> {
        let mut written = Vec::new();
        for traces in self.open.extract_if(.., |traces| over(traces)) {
            let (closed, ended) = files(traces.close());
            written.extend(closed);
            if let Err(Failure::Run(error)) = ended {
                eprintln!("note: a trace has ended: {error:#}");
                if self.ended.is_ok() {
                    self.ended = Err(failed(error));
                }
            }
        }
        written
    }

    /// What the traces came to.
    pub(in crate::cli) fn ended(self) -> Result<(), Failure> {
        self.ended
    }
}
