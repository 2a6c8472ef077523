//! What all forms of trace have in common: they are shown the training steps of one window, and closed into whole files.
//!
//! A form that needs data is given the machine as it stands before the step and executes the step on a copy of it, as far as
//! the window goes. So no trace is in a run's way: what is traced is what the run then does, and a run that traces nothing in
//! a step does nothing for traces there.

use std::path::PathBuf;

use super::sink::Ended;
use super::{Halt, Window};
use crate::machine::{Fault, State};

/// Why a form takes no more steps.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// Its file goes no further.
    #[error(transparent)]
    Halt(#[from] Halt),
    /// The machine stopped.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A file, or a folder of files, that was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The form.
    pub trace: &'static str,
    /// Its name.
    pub file: PathBuf,
    /// Records in it: events, instructions, accesses, cycles or vectors.
    pub records: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Of a scratchpad's stream: bits of all accesses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_bits: Option<u64>,
}

impl Written {
    /// What became of a sink, and what kept its end from being written.
    pub(super) fn of(
        trace: &'static str,
        file: PathBuf,
        Ended { records, bytes, late }: Ended,
    ) -> (Written, Option<Halt>) {
        (Written { trace, file, records, bytes, moved_bits: None }, late)
    }
}

/// Several files, and the first thing that kept an end from being written.
pub(super) fn together(
    files: impl IntoIterator<Item = (Written, Option<Halt>)>,
) -> (Vec<Written>, Option<Halt>) {
    let (written, late): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    (written, late.into_iter().flatten().next())
}

/// A form of trace under way.
pub trait Form {
    /// The next step of the window, by its number from 1; `before` is the machine before it, where there are data.
    ///
    /// # Errors
    /// When it takes no more.
    fn step(&mut self, step: u64, before: Option<&State>) -> Result<(), End>;

    /// Closes every file; `complete` where nothing ended them early. What is in them, and what kept their ends from being
    /// written, if something did.
    fn finish(self: Box<Self>, complete: bool) -> (Vec<Written>, Option<Halt>);
}

/// The forms of one window, side by side.
pub struct Traces<'a> {
    window: &'a Window,
    forms: Vec<(Box<dyn Form + 'a>, Option<End>)>,
    /// The last step shown.
    shown: u64,
}

/// What a form came to: its files, and what ended them early.
pub struct Closed {
    /// The files.
    pub written: Vec<Written>,
    /// What ended them before their window.
    pub end: Option<End>,
}

impl<'a> Traces<'a> {
    /// Traces that have seen nothing yet.
    pub fn new(window: &'a Window, forms: Vec<Box<dyn Form + 'a>>) -> Self {
        Traces { window, forms: forms.into_iter().map(|form| (form, None)).collect(), shown: 0 }
    }

    /// The first and the last step they are to be shown.
    pub fn steps(&self) -> [u64; 2] {
        [self.window.steps.first.unwrap_or(1), self.window.steps.last.unwrap_or(1)]
    }

    /// Whether a step is to be shown to them.
    pub fn takes(&self, step: u64) -> bool {
        self.window.steps.holds(step) && self.forms.iter().any(|(_, end)| end.is_none())
    }

    /// Whether a step to come is to be shown to them.
    pub fn go_on(&self) -> bool {
        self.shown < self.steps()[1] && self.forms.iter().any(|(_, end)| end.is_none())
    }

    /// Shows a step to every form that goes on.
    pub fn step(&mut self, step: u64, before: Option<&State>) {
        self.shown = step;
        for (form, end) in self.forms.iter_mut().filter(|(_, end)| end.is_none()) {
            *end = form.step(step, before).err();
        }
    }

    /// Closes every file; those that were not shown all of their window say so.
    pub fn close(self) -> Vec<Closed> {
        let seen_all = self.shown >= self.steps()[1];
        let close = |(form, end): (Box<dyn Form + 'a>, Option<End>)| {
            let end = end.or_else(|| (!seen_all).then_some(Halt::Stopped.into()));
            let (written, late) = form.finish(end.is_none());
            Closed { written, end: end.or(late.map(End::Halt)) }
        };
        self.forms.into_iter().map(close).collect()
    }
}
