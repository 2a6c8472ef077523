//! Hands that execute a plan's strands side by side on one DRAM, each taking the next that may begin.
//!
//! A hand is given the bytes of DRAM that its step moves and nothing else of it. Knows nothing of what a step does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::program::{Moved, Strands};

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

/// Who executes strands.
pub(in crate::machine) trait Hand: Send {
    /// Why a step failed.
    type Error: Send;

    /// A strand begins: its steps follow, in order.
    fn begin(&mut self, strand: usize);

    /// Executes a step.
    ///
    /// # Errors
    /// What makes the step the last that is executed.
    fn execute(&mut self, step: usize, window: Window<'_>) -> Result<(), Self::Error>;

    /// All steps of a strand are executed.
    fn end(&mut self, strand: usize);
}

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

/// Which strands may begin, and what the others still come after.
#[derive(Debug)]
struct Board {
    /// The most urgent first.
    ready: BinaryHeap<(u64, Reverse<usize>)>,
    /// How many begins and ends of others each strand still comes after.
    missing: Vec<usize>,
    /// Strands that have not begun.
    left: usize,
}

/// What the hands have in common.
struct Crew<'a> {
    strands: &'a Strands,
    urgency: &'a [u64],
    board: Mutex<Board>,
    /// Changes whenever a strand becomes ready.
    news: AtomicUsize,
    /// Which of the steps that write registers are over.
    over: Vec<AtomicBool>,
    /// The first step that failed: none behind it need be executed. 0 where a hand panicked.
    stopped: AtomicUsize,
    dram: Dram<'a>,
}

/// Has hands execute strands, each the most urgent one that may begin, until all are executed. Where a step fails no step behind it
/// need be executed, all before it are.
///
/// # Errors
/// The first step that failed, and why.
///
/// # Panics
/// When a hand does.
pub(in crate::machine) fn execute<H: Hand>(
    strands: &Strands,
    urgency: &[u64],
    hands: Vec<H>,
    dram: &mut [u8],
) -> Result<(), (usize, H::Error)> {
    let missing: Vec<usize> = strands.all().iter().map(|strand| strand.comes_after).collect();
    let free = (0..missing.len()).filter(|&strand| missing[strand] == 0);
    let ready = free.map(|strand| (urgency[strand], Reverse(strand))).collect();
    let board = Board { ready, left: missing.len(), missing };
    let crew = Crew {
        strands,
        urgency,
        board: Mutex::new(board),
        news: AtomicUsize::new(0),
        over: strands.steps().map(|_| AtomicBool::new(false)).collect(),
        stopped: AtomicUsize::new(usize::MAX),
        dram: Dram::new(dram),
    };
    let crew = &crew;
    let failed = thread::scope(|scope| {
        let mut hands = hands.into_iter();
        let own = hands.next();
        let others: Vec<_> = hands.map(|hand| scope.spawn(move || crew.work(hand))).collect();
        let own = own.and_then(|hand| crew.work(hand));
        let others = others.into_iter().filter_map(|other| match other.join() {
            Ok(failed) => failed,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        own.into_iter().chain(others).min_by_key(|(step, _)| *step)
    });
    failed.map_or(Ok(()), Err)
}

/// Stops all, whatever becomes of a hand.
struct Stop<'a>(&'a AtomicUsize);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Lets time pass, for oneself at first, later for others.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    fn pause(&mut self) {
        self.0 += 1;
        if self.0 < SPINS {
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

impl Crew<'_> {
    /// One hand's work: the first of its steps that failed, and why.
    fn work<H: Hand>(&self, mut hand: H) -> Option<(usize, H::Error)> {
        let stop = Stop(&self.stopped);
        let (mut failed, mut ended) = (None, None);
        while let Some(number) = self.next(ended) {
            // One that failed has ended for others: what comes after it has steps before the failed one.
            ended = Some(number);
            // One that fails later is before the first: none behind that is executed.
            failed = self.strand(&mut hand, number).err().or(failed);
        }
        std::mem::forget(stop);
        failed
    }

    /// The next strand for a hand that has ended one; none where no more begin.
    fn next(&self, mut ended: Option<usize>) -> Option<usize> {
        let mut pause = Pause::default();
        loop {
            let news = {
                let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(ended) = ended.take() {
                    self.frees(&mut board, &self.strands.all()[ended].once_ended);
                }
                if let Some((_, Reverse(strand))) = board.ready.pop() {
                    board.left -= 1;
                    self.frees(&mut board, &self.strands.all()[strand].once_begun);
                    return Some(strand);
                }
                if board.left == 0 {
                    return None;
                }
                self.news.load(Ordering::Relaxed)
            };
            while self.news.load(Ordering::Relaxed) == news {
                if self.stopped.load(Ordering::Relaxed) == 0 {
                    return None;
                }
                pause.pause();
            }
        }
    }

    /// Of what these strands come after, one is over.
    fn frees(&self, board: &mut Board, strands: &[usize]) {
        for &strand in strands {
            board.missing[strand] -= 1;
            if board.missing[strand] == 0 {
                board.ready.push((self.urgency[strand], Reverse(strand)));
                self.news.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The steps of a strand, up to one that stopped all.
    fn strand<H: Hand>(&self, hand: &mut H, strand: usize) -> Result<(), (usize, H::Error)> {
        hand.begin(strand);
        for &step in &self.strands.all()[strand].steps {
            if !self.wait(step) {
                return Ok(());
            }
            // SAFETY: of two steps that meet in DRAM, one of them writing, the younger's strand comes after the older's end if it is
            // another (`Strands`), and with it the older's window; steps of one strand are executed one after the other.
            let window = unsafe { self.dram.window(self.strands.moved(step)) };
            if let Err(error) = hand.execute(step, window) {
                self.stopped.fetch_min(step, Ordering::Relaxed);
                return Err((step, error));
            }
            if !self.strands.registers(step).written.is_empty() {
                self.over[step].store(true, Ordering::Release);
            }
        }
        hand.end(strand);
        Ok(())
    }

    /// Waits for the steps that wrote what a step reads in registers: their strands have begun. False where a step before it stopped all.
    fn wait(&self, step: usize) -> bool {
        let goes_on = || self.stopped.load(Ordering::Relaxed) > step;
        for &older in self.strands.registers_after(step) {
            let mut pause = Pause::default();
            while !self.over[older].load(Ordering::Acquire) {
                if !goes_on() {
                    return false;
                }
                pause.pause();
            }
        }
        goes_on()
    }
}
