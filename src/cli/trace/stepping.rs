//! Traces that watch the stepped engine: waveforms and the streams of the scratchpads. Steps before the window, and entries that
//! are not traced, are executed by the fast engine.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::cli::instead::Instead;
use crate::machine::{Engine, Observer, Outcome, State, Stepped, Watch};
use crate::program::{Plan, Step};
use crate::spec::Machine;
use crate::trace::{Follow, Halt, ScratchpadStreams, Waveform};

/// What watches: told of steps, shown cycles.
pub(super) trait Watcher: Watch {
    fn begin(&mut self, step: u64, last: bool);
    fn take_halt(&mut self) -> Option<Halt>;
}

impl Watcher for Waveform<'_> {
    fn begin(&mut self, step: u64, last: bool) {
        Waveform::begin(self, step, last);
    }

    fn take_halt(&mut self) -> Option<Halt> {
        Waveform::take_halt(self)
    }
}

impl Watcher for ScratchpadStreams<'_> {
    fn begin(&mut self, step: u64, last: bool) {
        ScratchpadStreams::begin(self, step, last);
    }

    fn take_halt(&mut self) -> Option<Halt> {
        ScratchpadStreams::take_halt(self)
    }
}

/// What engine and follower share.
struct Shared<W> {
    watcher: RefCell<W>,
    /// The next plan executed is watched.
    active: Rc<Cell<bool>>,
    halt: RefCell<Option<Halt>>,
}

/// Goes along with the run and says when the watcher looks.
pub(super) struct Stepping<W> {
    shared: Rc<Shared<W>>,
    last: u64,
    ended: bool,
}

impl<W: Watcher> Stepping<W> {
    /// A follower of a run up to step `last`.
    pub(super) fn new(watcher: W, last: u64) -> Self {
        let shared = Shared { watcher: watcher.into(), active: Rc::default(), halt: RefCell::new(None) };
        Stepping { shared: Rc::new(shared), last, ended: false }
    }

    /// The engine it watches.
    pub(super) fn engine<'w>(&self, machine: &Machine) -> Box<dyn Engine + 'w>
    where
        W: 'w,
    {
        let (shared, mut stepped) = (Rc::clone(&self.shared), Stepped::new(machine.clone()));
        let asked = Rc::clone(&shared.active);
        let watched = move |plan: &Plan, state: &mut State, observers: &mut [&mut dyn Observer]| {
            let mut watcher = shared.watcher.borrow_mut();
            stepped.watched(plan, state, observers, Some(&mut *watcher))?;
            *shared.halt.borrow_mut() = watcher.take_halt();
            Ok(())
        };
        Box::new(Instead::new("stepped", asked, watched))
    }

    /// The watcher, when the engine is gone.
    pub(super) fn into_watcher(self) -> Option<W> {
        Rc::into_inner(self.shared).map(|shared| shared.watcher.into_inner())
    }
}

impl<W: Watcher> Observer for Stepping<W> {
    fn executed(&mut self, _: &Plan, _: &Step, _: &Outcome, _: &State) {}

    fn finished(&mut self, _: &Plan) {
        self.ended = self.shared.halt.borrow().is_some();
    }
}

impl<W: Watcher> Follow for Stepping<W> {
    fn begin(&mut self, step: u64) {
        self.shared.active.set(true);
        self.shared.watcher.borrow_mut().begin(step, step == self.last);
    }

    fn has_ended(&self) -> bool {
        self.ended
    }

    fn take_halt(&mut self) -> Option<Halt> {
        self.shared.halt.borrow_mut().take()
    }
}
