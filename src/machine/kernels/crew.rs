//! Hands that execute a plan's strands side by side on one DRAM, each taking the next that may begin.
//!
//! A hand is given the bytes of DRAM that its step moves and nothing else of it. Knows nothing of what a step does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::ThreadPool;

use crate::program::{Family, Moved, Strands};

/// Turns of a spin before whoever waits sleeps, some 50 microseconds: one who spins on keeps a processor from whoever has what it waits for.
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

/// Who executes strands, each at a site of its own.
pub(in crate::machine) trait Hand: Send {
    /// Why a step failed.
    type Error: Send;

    /// How many sites it has: strands that go abreast at most.
    fn sites(&self) -> usize;

    /// A strand begins at a site: its steps follow, in order.
    fn begin(&mut self, site: usize, strand: usize);

    /// Executes a step of the strand at a site.
    ///
    /// # Errors
    /// What makes the step the last that is executed.
    fn execute(&mut self, site: usize, step: usize, moves: &mut Moves<'_>) -> Result<(), Self::Error>;

    /// All steps of the strand at a site are executed.
    fn end(&mut self, site: usize, moves: &mut Moves<'_>);
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
        let Some(Moved { bytes: Range { start, end }, writes, .. }) = moved else { return Window::Closed };
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

/// The bytes of DRAM that a strand under way moves.
pub(in crate::machine) struct Moves<'a> {
    dram: &'a Dram<'a>,
    strands: &'a Strands,
    strand: usize,
}

impl Moves<'_> {
    /// Those that a step of it moves.
    ///
    /// # Panics
    /// When the strand has no such step, or it leaves DRAM.
    pub(in crate::machine) fn of(&mut self, step: usize) -> Window<'_> {
        let moved = self.strands.moved(step);
        let is_its = || self.strands.all()[self.strand].steps.binary_search(&step).is_ok();
        assert!(moved.is_none() || is_its(), "another strand's step");
        // SAFETY: of two steps that meet in DRAM, one of them writing, the younger's strand comes after the older's end if it is
        // another (`Strands`), so this strand's bytes are its own while it is under way, but for those that go abreast with it; these are
        // executed by the same hand, which has one window at a time.
        unsafe { self.dram.window(moved) }
    }
}

/// Which strands may begin, and what the others still come after.
#[derive(Debug)]
struct Board {
    /// For each hand, those it has made ready, which find in its caches what it has left there; the most urgent first.
    ready: Vec<BinaryHeap<(u64, Reverse<usize>)>>,
    /// How many begins and ends of others each strand still comes after.
    missing: Vec<usize>,
    /// Which have begun: some of them are among the ready ones still.
    has_begun: Vec<bool>,
    /// Strands that may begin and have not.
    open: usize,
    /// Strands that have not begun.
    left: usize,
}

impl Board {
    /// One of a family that may begin.
    fn of(&self, family: &Family) -> Option<usize> {
        let may_begin = |strand: &usize| self.missing[*strand] == 0 && !self.has_begun[*strand];
        family.strands.iter().copied().find(may_begin)
    }

    /// The most urgent one that may begin, and its urgency; of those that are as urgent, one that this hand has made ready.
    fn most_urgent(&mut self, me: usize) -> Option<(u64, usize)> {
        let Board { ready, has_begun, .. } = self;
        for ready in ready.iter_mut() {
            while ready.peek().is_some_and(|(_, Reverse(strand))| has_begun[*strand]) {
                ready.pop();
            }
        }
        let of_hands = ready.iter().enumerate().filter_map(|(hand, ready)| {
            let &(urgency, Reverse(strand)) = ready.peek()?;
            Some((urgency, hand == me, strand))
        });
        of_hands
            .max_by_key(|&(urgency, is_own, _)| (urgency, is_own))
            .map(|(urgency, _, strand)| (urgency, strand))
    }
}

/// A strand at a site, and its steps that are to follow.
type UnderWay<'a> = (usize, Moves<'a>, std::slice::Iter<'a, usize>);

/// What the hands have in common.
struct Crew<'a> {
    strands: &'a Strands,
    urgency: &'a [u64],
    board: Mutex<Board>,
    /// Changes whenever a strand becomes ready.
    news: AtomicUsize,
    /// Hands that sleep on the board, and what wakes them.
    sleepers: AtomicUsize,
    bell: Condvar,
    /// Which of the steps that read or write registers are over.
    over: Vec<AtomicBool>,
    /// The first step that failed: none behind it need be executed. 0 where a hand panicked.
    stopped: AtomicUsize,
    dram: Dram<'a>,
}

/// Has hands execute strands, the first on this thread and the others on as many of a pool's, each the most urgent one that may begin, until
/// all are executed. Where a step fails no step behind it
/// need be executed, all before it are.
///
/// # Errors
/// The first step that failed, and why.
///
/// # Panics
/// When a hand does, or there is none.
pub(in crate::machine) fn execute<H: Hand>(
    pool: &ThreadPool,
    strands: &Strands,
    urgency: &[u64],
    hands: Vec<H>,
    dram: &mut [u8],
) -> Result<(), (usize, H::Error)> {
    let missing: Vec<usize> = strands.all().iter().map(|strand| strand.comes_after).collect();
    let free: Vec<usize> = (0..missing.len()).filter(|&strand| missing[strand] == 0).collect();
    let mut ready = vec![BinaryHeap::new(); hands.len()];
    let of_hands = free.chunks(free.len().div_ceil(hands.len()).max(1));
    for (ready, strands) in ready.iter_mut().zip(of_hands) {
        ready.extend(strands.iter().map(|&strand| (urgency[strand], Reverse(strand))));
    }
    let (left, open) = (missing.len(), free.len());
    let board = Board { ready, has_begun: vec![false; left], open, left, missing };
    let crew = Crew {
        strands,
        urgency,
        board: Mutex::new(board),
        news: AtomicUsize::new(0),
        sleepers: AtomicUsize::new(0),
        bell: Condvar::new(),
        over: strands.steps().map(|_| AtomicBool::new(false)).collect(),
        stopped: AtomicUsize::new(usize::MAX),
        dram: Dram::new(dram),
    };
    let hands: Vec<Mutex<Option<H>>> = hands.into_iter().map(|hand| Mutex::new(Some(hand))).collect();
    let failed = Mutex::new(Vec::new());
    let work = |number: usize| {
        let hand = hands.get(number).and_then(|hand| hand.lock().ok()?.take());
        if let Some(first) = hand.and_then(|hand| crew.work(number, hand)) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(first);
        }
    };
    pool.in_place_scope(|scope| {
        scope.spawn_broadcast(|_, thread| work(thread.index() + 1));
        work(0);
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = failed.into_iter().min_by_key(|(step, _)| *step);
    failed.map_or(Ok(()), Err)
}

/// Stops all, whatever becomes of a hand.
struct Stop<'a>(&'a Crew<'a>);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop(0);
    }
}

impl Crew<'_> {
    /// One hand's work: the first of its steps that failed, and why.
    fn work<H: Hand>(&self, me: usize, mut hand: H) -> Option<(usize, H::Error)> {
        let stop = Stop(self);
        // One that failed has ended for others: what comes after it has steps before the failed one.
        let (mut failed, mut strands, mut under_way) = (None, Vec::new(), Vec::new());
        while self.next((me, hand.sites()), &mut strands) {
            // One that fails later is before the first: none behind that is executed.
            failed = self.abreast(&mut hand, &strands, &mut under_way).or(failed);
        }
        std::mem::forget(stop);
        failed
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a hand the next strands for those that it has ended, several if they go abreast; false where no more begin.
    fn next(&self, (me, sites): (usize, usize), strands: &mut Vec<usize>) -> bool {
        let family = strands.first().and_then(|&ended| self.family(ended));
        loop {
            let news = {
                let mut board = self.board();
                for ended in strands.drain(..) {
                    self.frees(&mut board, me, &self.strands.all()[ended].once_ended);
                }
                let next = board.most_urgent(me).map(|(urgency, strand)| {
                    // What one of a family has read is at hand for the others; they wait for what has become more urgent than any of them.
                    let is_urgent =
                        |of: &&Family| of.strands.iter().any(|&strand| self.urgency[strand] >= urgency);
                    let follows = family.filter(|family| !family.goes_abreast).filter(is_urgent);
                    follows.and_then(|family| board.of(family)).unwrap_or(strand)
                });
                if let Some(strand) = next {
                    self.take_beside(&board, strand, sites, strands);
                }
                for &strand in &*strands {
                    board.has_begun[strand] = true;
                    board.open -= usize::from(board.missing[strand] == 0);
                    board.left -= 1;
                }
                for &strand in &*strands {
                    self.frees(&mut board, me, &self.strands.all()[strand].once_begun);
                }
                // There is something for others, or nothing any more.
                if board.open > 0 || board.left == 0 {
                    self.news.fetch_add(1, Ordering::Relaxed);
                    self.ring(&board);
                }
                if next.is_some() || board.left == 0 {
                    return next.is_some();
                }
                self.news.load(Ordering::Relaxed)
            };
            let is_stopped = || self.stopped.load(Ordering::Relaxed) == 0;
            self.wait_until(|| self.news.load(Ordering::Relaxed) != news || is_stopped());
            if is_stopped() {
                return false;
            }
        }
    }

    /// The family of a strand.
    fn family(&self, strand: usize) -> Option<&Family> {
        self.strands.all()[strand].family.map(|family| &self.strands.families()[family])
    }

    /// Takes a strand that may begin and those that go abreast with it, so many in all: others of its family that come after nothing but
    /// these, and which no other hand wants.
    fn take_beside(&self, board: &Board, strand: usize, most: usize, strands: &mut Vec<usize>) {
        strands.push(strand);
        let share = board.open / board.ready.len();
        let family = self.family(strand).filter(|family| family.goes_abreast);
        for &other in family.iter().flat_map(|family| &family.strands) {
            if strands.len() >= most {
                break;
            }
            if other == strand || board.has_begun[other] {
                continue;
            }
            let comes_after = |&&before: &&usize| self.strands.all()[before].once_ended.contains(&other);
            let among = strands.iter().filter(comes_after).count();
            if board.missing[other] == among && (among > 0 || strands.len() < share) {
                strands.push(other);
            }
        }
    }

    /// Of what these strands come after, one is over by a hand's doing.
    fn frees(&self, board: &mut Board, hand: usize, strands: &[usize]) {
        for &strand in strands {
            board.missing[strand] -= 1;
            if board.missing[strand] == 0 && !board.has_begun[strand] {
                board.open += 1;
                board.ready[hand].push((self.urgency[strand], Reverse(strand)));
            }
        }
    }

    /// No step behind this one need be executed.
    fn stop(&self, step: usize) {
        self.stopped.fetch_min(step, Ordering::Relaxed);
        self.tell();
    }

    /// Something has come to be that hands may wait for, since the board was taken.
    fn ring(&self, _: &MutexGuard<'_, Board>) {
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.bell.notify_all();
        }
    }

    /// Something has come to be that hands may wait for.
    fn tell(&self) {
        // Whoever is not seen to sleep sees what was done before this.
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            self.ring(&self.board());
        }
    }

    /// Waits until something is so that hands are [told](Crew::tell) of.
    fn wait_until(&self, is_so: impl Fn() -> bool) {
        for _ in 0..SPINS {
            if is_so() {
                return;
            }
            std::hint::spin_loop();
        }
        let mut board = self.board();
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        while !is_so() {
            board = self.bell.wait(board).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    /// The steps of strands abreast, up to one that stopped all: the first that failed, and why.
    fn abreast<'a, H: Hand>(
        &'a self,
        hand: &mut H,
        strands: &[usize],
        under_way: &mut Vec<UnderWay<'a>>,
    ) -> Option<(usize, H::Error)> {
        let mut failed = None;
        for (site, &strand) in strands.iter().enumerate() {
            hand.begin(site, strand);
            let moves = Moves { dram: &self.dram, strands: self.strands, strand };
            under_way.push((site, moves, self.strands.all()[strand].steps.iter()));
        }
        while !under_way.is_empty() {
            under_way.retain_mut(|(site, moves, steps)| {
                let Some(&step) = steps.next() else {
                    hand.end(*site, moves);
                    return false;
                };
                if !self.wait(step) {
                    return false;
                }
                if let Err(error) = hand.execute(*site, step, moves) {
                    self.stop(step);
                    // None behind one that failed before is executed.
                    failed = Some((step, error));
                    return false;
                }
                if !self.strands.registers(step).is_empty() {
                    self.over[step].store(true, Ordering::Release);
                    self.tell();
                }
                true
            });
        }
        failed
    }

    /// Waits for the steps after which what a step reads in registers is there: their strands have begun before its own. False where a step before it stopped all.
    fn wait(&self, step: usize) -> bool {
        let goes_on = || self.stopped.load(Ordering::Relaxed) > step;
        for &older in self.strands.registers_after(step) {
            let is_over = || self.over[older].load(Ordering::Acquire);
            self.wait_until(|| is_over() || !goes_on());
            if !is_over() {
                return false;
            }
        }
        goes_on()
    }
}
