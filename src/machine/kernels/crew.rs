//! Workers that execute a plan's strands side by side, each in its turns, on one DRAM.
//!
//! A worker is handed the bytes of DRAM that its step moves and nothing else of it. Knows nothing of what a step does.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::program::{Moved, Shares, Turn};

/// Turns of a spin before whoever waits lets others have the processor.
const SPINS: u32 = 2000;

/// The bytes of DRAM that a step moves, and the address of the first.
#[derive(Debug)]
pub(in crate::machine) enum Window<'a> {
    /// It moves none.
    Closed,
    /// It reads them.
    Read(&'a [u8], usize),
    /// It writes them.
    Write(&'a mut [u8], usize),
}

/// How many turns of a worker are over; on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Over(AtomicUsize);

/// Bytes shared by threads.
struct Dram<'a> {
    first: *mut u8,
    length: usize,
    bytes: PhantomData<&'a mut [u8]>,
}

// SAFETY: bytes are handed out by `Dram::window` alone, whose callers keep its promise.
unsafe impl Sync for Dram<'_> {}

impl<'a> Dram<'a> {
    fn new(bytes: &'a mut [u8]) -> Self {
        Dram { first: bytes.as_mut_ptr(), length: bytes.len(), bytes: PhantomData }
    }

    /// The bytes that a step moves.
    ///
    /// # Safety
    /// While the window lives nobody has one that writes any of its bytes, and nobody has one with any of them if it writes.
    ///
    /// # Panics
    /// When they are not all in memory: the step was not verified for it.
    unsafe fn window(&self, moved: Option<&Moved>) -> Window<'a> {
        let Some(Moved { bytes: Range { start, end }, writes }) = moved else { return Window::Closed };
        assert!(start <= end && *end <= self.length, "a step leaves DRAM");
        // SAFETY: the bytes are in memory, and by the caller's promise this thread's to read or to write.
        unsafe {
            let first = self.first.add(*start);
            if *writes {
                Window::Write(std::slice::from_raw_parts_mut(first, end - start), *start)
            } else {
                Window::Read(std::slice::from_raw_parts(first, end - start), *start)
            }
        }
    }
}

/// A step that stopped all, by its number; it is told whatever became of the worker.
struct Stop<'a> {
    stopped: &'a AtomicUsize,
    step: usize,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.stopped.fetch_min(self.step, Ordering::Relaxed);
    }
}

/// Has each worker execute its turns on a thread of its own; `work` executes a step. Where a step fails no step behind it need
/// be executed, all before it are: the first that failed and why.
///
/// # Errors
/// The first step whose `work` failed, and what it said.
///
/// # Panics
/// When `work` does, or when there are fewer workers than shares.
pub(in crate::machine) fn execute<W: Send, E: Send>(
    shares: &Shares,
    workers: &mut [W],
    dram: &mut [u8],
    work: impl Fn(&mut W, usize, Window<'_>) -> Result<(), E> + Sync,
) -> Result<(), (usize, E)> {
    let turns = shares.turns();
    assert!(workers.len() >= turns.len(), "a share without a worker");
    let (over, stopped) =
        (turns.iter().map(|_| Over::default()).collect::<Vec<_>>(), AtomicUsize::new(usize::MAX));
    let dram = Dram::new(dram);
    let crew = Crew { shares, over: &over, stopped: &stopped, dram: &dram };
    let (crew, work) = (&crew, &work);
    let failed = thread::scope(|scope| {
        let mut shared = workers.iter_mut().enumerate().take(turns.len());
        let own = shared.next();
        let others: Vec<_> =
            shared.map(|(n, worker)| scope.spawn(move || crew.share(n, worker, work))).collect();
        let own = own.and_then(|(n, worker)| crew.share(n, worker, work).err());
        let others = others.into_iter().filter_map(|other| match other.join() {
            Ok(done) => done.err(),
            Err(panic) => std::panic::resume_unwind(panic),
        });
        own.into_iter().chain(others).min_by_key(|(step, _)| *step)
    });
    failed.map_or(Ok(()), Err)
}

/// What the workers have in common.
struct Crew<'a> {
    shares: &'a Shares,
    over: &'a [Over],
    stopped: &'a AtomicUsize,
    dram: &'a Dram<'a>,
}

impl Crew<'_> {
    /// One worker's turns.
    fn share<W, E>(
        &self,
        number: usize,
        worker: &mut W,
        work: &(impl Fn(&mut W, usize, Window<'_>) -> Result<(), E> + Sync),
    ) -> Result<(), (usize, E)> {
        for (over, turn) in (1..).zip(&self.shares.turns()[number]) {
            if !self.wait(turn) {
                return Ok(());
            }
            let moved = self.shares.strands().moved()[turn.step].as_ref();
            // SAFETY: of two steps that meet in DRAM, one of them writing, the younger comes after the older (`Strands`); here
            // that turn is over, being this worker's own or waited for, and with it its window.
            let window = unsafe { self.dram.window(moved) };
            let stop = Stop { stopped: self.stopped, step: turn.step };
            work(worker, turn.step, window).map_err(|error| (turn.step, error))?;
            std::mem::forget(stop);
            self.over[number].0.store(over, Ordering::Release);
        }
        Ok(())
    }

    /// Waits for all that a turn comes after; false where a step before it stopped all.
    fn wait(&self, turn: &Turn) -> bool {
        let goes_on = || self.stopped.load(Ordering::Relaxed) > turn.step;
        for &(worker, count) in &turn.waits {
            let mut spins = 0;
            while self.over[worker].0.load(Ordering::Acquire) < count {
                if !goes_on() {
                    return false;
                }
                spins += 1;
                if spins < SPINS {
                    std::hint::spin_loop();
                } else {
                    thread::yield_now();
                }
            }
        }
        goes_on()
    }
}
