//! Threads that share the pieces of one instruction.
//!
//! A helper spins for its next work for some tens of microseconds, then parks. One that has not begun when the pieces are
//! gone is not waited for: its work is taken back. So a processor busy with other things costs the caller nothing but the
//! pieces it then does itself. Knows nothing of what a piece is.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a helper spins before it parks.
const PATIENCE: Duration = Duration::from_micros(60);
/// Turns of a spin between two looks at the clock, and before a caller yields to whoever keeps its helper from ending.
const TURNS: u32 = 64;

/// Nothing to do; awake.
const IDLE: u8 = 0;
/// Work is there, nobody has begun it.
const POSTED: u8 = 1;
/// The helper is at it.
const RUNNING: u8 = 2;
/// Nothing to do; asleep.
const PARKED: u8 = 3;
/// The helper's work panicked.
const FAILED: u8 = 4;
/// No more work comes.
const CLOSED: u8 = 5;

/// Work that is worth a piece of its own, in nanoseconds of one thread: several times what it costs to share it.
const GRAIN: usize = 1500;
/// Pieces for each thread at most: the more, the shorter the wait for the last.
const PIECES: usize = 3;

/// A caller and its helpers.
#[derive(Debug)]
pub(in crate::machine) struct Team {
    helpers: Vec<Helper>,
    grain: usize,
}

#[derive(Debug)]
struct Helper {
    slot: Arc<Slot>,
    thread: Option<JoinHandle<()>>,
}

/// Where a helper finds its work; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Slot {
    state: AtomicU8,
    task: UnsafeCell<Task>,
}

// SAFETY: `task` is written by the caller only while `state` is neither POSTED nor RUNNING, and read by the helper only
// between its change of POSTED to RUNNING and its store of what follows; both orders are by acquire and release.
unsafe impl Sync for Slot {}
// SAFETY: as above; what a task points to is shared by the rules of `Team::each`.
unsafe impl Send for Slot {}

/// A job without its type.
#[derive(Debug, Clone, Copy)]
struct Task {
    job: *const (),
    run: unsafe fn(*const ()),
}

/// Pieces and what is done with each.
struct Job<'a, P, F> {
    next: AtomicUsize,
    pieces: *mut P,
    count: usize,
    work: &'a F,
}

impl<P, F: Fn(&mut P)> Job<'_, P, F> {
    /// Takes piece after piece until none is left.
    fn work(&self) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.count {
                return;
            }
            // SAFETY: the counter gives an index to one thread alone, and `Team::each` holds the only other reference to
            // the pieces, unused until every thread that began has ended.
            (self.work)(unsafe { &mut *self.pieces.add(index) });
        }
    }
}

/// Works at a job whose type was left out.
///
/// # Safety
/// `job` points to a `Job<P, F>` that lives as long as the call.
unsafe fn run<P: Send, F: Fn(&mut P) + Sync>(job: *const ()) {
    // SAFETY: the caller's promise.
    unsafe { &*job.cast::<Job<'_, P, F>>() }.work();
}

impl Team {
    /// A caller with `threads - 1` helpers, or as many as the system gives.
    pub(in crate::machine) fn new(threads: usize) -> Team {
        Team { helpers: (1..threads).map_while(Helper::new).collect(), grain: GRAIN }
    }

    /// The same, sharing the least work too: what it does is then slower, and tried on everything.
    pub(in crate::machine) fn sharing_all(self) -> Team {
        Team { grain: 0, ..self }
    }

    /// In how many pieces so many nanoseconds of one thread's work are best done.
    pub(in crate::machine) fn pieces(&self, nanoseconds: usize) -> usize {
        if self.helpers.is_empty() {
            return 1;
        }
        let most = PIECES * self.threads();
        nanoseconds.checked_div(self.grain).unwrap_or(most).clamp(1, most)
    }

    /// The caller and its helpers.
    pub(in crate::machine) fn threads(&self) -> usize {
        1 + self.helpers.len()
    }

    /// Does `work` with every piece, each by one thread; returns when all are done.
    ///
    /// # Panics
    /// When `work` does.
    pub(in crate::machine) fn each<P: Send, F: Fn(&mut P) + Sync>(&mut self, pieces: &mut [P], work: F) {
        let helpers = self.helpers.len().min(pieces.len().saturating_sub(1));
        if helpers == 0 {
            return pieces.iter_mut().for_each(work);
        }
        let job =
            Job { next: AtomicUsize::new(0), pieces: pieces.as_mut_ptr(), count: pieces.len(), work: &work };
        let task = Task { job: (&raw const job).cast(), run: run::<P, F> };
        let called = &self.helpers[..helpers];
        called.iter().for_each(|helper| helper.post(task));
        // Whatever happens here, `job` stays until no helper is at it.
        let done = catch_unwind(AssertUnwindSafe(|| job.work()));
        let failed = called.iter().filter(|helper| !helper.take_back()).count();
        if let Err(panic) = done {
            resume_unwind(panic);
        }
        assert!(failed == 0, "a thread of the team panicked");
    }
}

impl Helper {
    /// A helper; none where the system gives no thread.
    fn new(number: usize) -> Option<Helper> {
        let task = UnsafeCell::new(Task { job: std::ptr::null(), run: nothing });
        let slot = Arc::new(Slot { state: AtomicU8::new(IDLE), task });
        let served = slot.clone();
        let builder = thread::Builder::new().name(format!("team-{number}"));
        let thread = builder.spawn(move || served.serve()).ok()?;
        Some(Helper { slot, thread: Some(thread) })
    }

    /// Puts work where the helper finds it.
    fn post(&self, task: Task) {
        // SAFETY: the helper is idle or parked: every `post` is followed by a `take_back`.
        unsafe { *self.slot.task.get() = task };
        if self.slot.state.swap(POSTED, Ordering::Release) == PARKED
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    /// Takes work back that was not begun, or waits for the end of what was; false where it panicked.
    fn take_back(&self) -> bool {
        let state = &self.slot.state;
        if state.compare_exchange(POSTED, IDLE, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return true;
        }
        let mut turns = 0;
        loop {
            match state.load(Ordering::Acquire) {
                RUNNING if turns < 16 * TURNS => {
                    turns += 1;
                    std::hint::spin_loop();
                }
                RUNNING => thread::yield_now(),
                // It failed, and stays with that until it is told; or it has ended, and may have parked since.
                FAILED => {
                    state.store(IDLE, Ordering::Relaxed);
                    return false;
                }
                _ => return true,
            }
        }
    }
}

unsafe fn nothing(_: *const ()) {}

impl Slot {
    /// A helper's life.
    fn serve(&self) {
        let mut idle = Instant::now();
        loop {
            match self.state.load(Ordering::Relaxed) {
                POSTED => {
                    let begun =
                        self.state.compare_exchange(POSTED, RUNNING, Ordering::Acquire, Ordering::Relaxed);
                    if begun.is_err() {
                        continue;
                    }
                    // SAFETY: RUNNING is this helper's alone, and the caller wrote the task before it posted.
                    let task = unsafe { *self.task.get() };
                    // SAFETY: the job lives until the caller has seen this helper leave RUNNING.
                    let ended = catch_unwind(AssertUnwindSafe(|| unsafe { (task.run)(task.job) }));
                    self.state.store(if ended.is_ok() { IDLE } else { FAILED }, Ordering::Release);
                    idle = Instant::now();
                }
                CLOSED => return,
                PARKED => {
                    thread::park();
                    idle = Instant::now();
                }
                _ => {
                    for _ in 0..TURNS {
                        if matches!(self.state.load(Ordering::Relaxed), POSTED | CLOSED) {
                            break;
                        }
                        std::hint::spin_loop();
                    }
                    if idle.elapsed() > PATIENCE {
                        // Where work came meanwhile it stays awake.
                        let _ =
                            self.state.compare_exchange(IDLE, PARKED, Ordering::Relaxed, Ordering::Relaxed);
                    }
                }
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.slot.state.store(CLOSED, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It catches every panic of its work.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for threads in 1..=4 {
            let mut team = Team::new(threads);
            assert_eq!(team.threads(), threads);
            for count in 0..40 {
                let mut pieces: Vec<usize> = (0..count).collect();
                team.each(&mut pieces, |piece| *piece = *piece * 3 + 1);
                assert!(pieces.iter().enumerate().all(|(i, &piece)| piece == 3 * i + 1));
            }
        }
    }

    #[test]
    fn helpers_that_parked_come_back() {
        let mut team = Team::new(2);
        for _ in 0..5 {
            thread::sleep(3 * PATIENCE);
            // Long enough that a helper that was asleep has a share.
            let mut pieces = vec![None; 2];
            team.each(&mut pieces, |piece| {
                *piece = Some(thread::current().id());
                thread::sleep(Duration::from_millis(2));
            });
            assert!(pieces.iter().all(Option::is_some));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let mut team = Team::new(3);
        for bad in 0..6 {
            let mut pieces: Vec<usize> = (0..6).collect();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                team.each(&mut pieces, |piece| {
                    thread::sleep(Duration::from_micros(50));
                    assert!(*piece != bad, "on purpose");
                });
            }));
            assert!(outcome.is_err());
            let mut pieces = vec![0; 9];
            team.each(&mut pieces, |piece| *piece += 1);
            assert_eq!(pieces, [1; 9]);
        }
    }
}
