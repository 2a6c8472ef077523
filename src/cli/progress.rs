//! What a terminal shows while runs go on: a bar on the error stream, lines on the output.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, print};
use crate::explore::{Status, Watch};
use crate::train::{Epoch, Run};

/// A line on a terminal's error stream while steps go by; nothing where it is no terminal. It goes when it is dropped.
pub(super) struct Steps(ProgressBar);

impl Steps {
    /// `what` is done to steps up to `last`.
    pub(super) fn new(what: &'static str, last: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(last), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{spinner} {msg} step {pos}/{len}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(what);
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Steps(bar)
    }

    /// A step begins.
    pub(super) fn begin(&self, step: u64) {
        self.0.set_position(step);
    }

    /// The terminal is another's from here on.
    pub(super) fn hide(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The display of one process's part of a run.
pub(super) struct Display {
    bar: ProgressBar,
    began: Instant,
    first: u32,
    batch: u32,
    per_epoch: u32,
    quiet: bool,
    error: std::cell::Cell<Option<f64>>,
}

impl Display {
    /// A display of the steps up to `last`; `quiet` prints no lines. Not a terminal: no bar.
    pub(super) fn new(run: &Run<'_>, last: u32, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(last.into()), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {pos}/{len} left {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(run.step_count().into());
        bar.reset_eta();
        let error = run.epochs().last().map(|e| e.test_error);
        Display {
            bar,
            began: Instant::now(),
            first: run.step_count(),
            batch: run.recipe().batch,
            per_epoch: run.steps_per_epoch(),
            quiet,
            error: error.into(),
        }
    }

    /// A line above the bar.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        self.bar.suspend(|| print(&format!("{text}\n")))
    }

    /// A step is done.
    pub(super) fn step(&self, run: &Run<'_>) {
        let step = run.step_count();
        self.bar.set_position(step.into());
        if self.bar.is_hidden() {
            return;
        }
        let images = f64::from(step - self.first) * f64::from(self.batch);
        let rate = images / self.began.elapsed().as_secs_f64().max(1e-9);
        let error = self.error.get().map_or(String::new(), |e| format!("  error {:.2} %", 100.0 * e));
        let (epoch, place) = (run.epoch(), step % self.per_epoch);
        self.bar.set_message(format!(
            "epoch {epoch} {place}/{}  {rate:.0} images/s  loss {:.4}{error}",
            self.per_epoch,
            run.loss()
        ));
    }

    /// An epoch is evaluated; training went at `rate` images a second.
    pub(super) fn epoch(&self, epoch: &Epoch, rate: f64) -> Result<(), Failure> {
        self.error.set(Some(epoch.test_error));
        self.line(&format!(
            "epoch {:>3}  η {:<6} loss {:.4}  train error {:.2} %  test error {:.2} %{}  {rate:.0} images/s",
            epoch.epoch,
            2f64.powi(epoch.lr_log2),
            epoch.loss,
            100.0 * epoch.train_error,
            100.0 * epoch.test_error,
            epoch.test_error_top5.map_or(String::new(), |e| format!("  top-5 {:.2} %", 100.0 * e)),
        ))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The display of many trainings at once: one bar over all their steps, a line for each that ends.
pub(super) struct SweepDisplay {
    bar: ProgressBar,
    trainings: usize,
    ended: AtomicUsize,
    done_before: AtomicUsize,
    quiet: bool,
}

impl SweepDisplay {
    /// A display of so many trainings; `quiet` prints no lines. Not a terminal: no bar.
    pub(super) fn new(trainings: usize, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
        let style = ProgressStyle::with_template("{msg} {wide_bar:.cyan/dim} {pos}/{len} steps, left {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(format!("0 of {trainings} trainings"));
        SweepDisplay { bar, trainings, ended: AtomicUsize::new(0), done_before: AtomicUsize::new(0), quiet }
    }
}

impl Watch for SweepDisplay {
    fn begins(&self, _: &str, done: u32, steps: u32) {
        let before = self.done_before.fetch_add(usize::from(steps == 0), Ordering::SeqCst);
        // Trainings that have not begun are taken to be as long as those that have.
        let begun = self.bar.length().unwrap_or(0);
        let all = u64::from(steps) * self.trainings.saturating_sub(before) as u64;
        self.bar.set_length(begun.max(all));
        self.bar.inc(done.into());
        if self.bar.position() == u64::from(done) {
            self.bar.reset_eta();
        }
    }

    fn step(&self) {
        self.bar.inc(1);
    }

    fn ends(&self, point: &str, status: &Status, epochs: &[Epoch], left: u32) {
        let ended = self.ended.fetch_add(1, Ordering::SeqCst) + 1;
        self.bar.inc(left.into());
        self.bar.set_message(format!("{ended} of {} trainings", self.trainings));
        if self.quiet {
            return;
        }
        let error =
            epochs.last().map_or(String::new(), |e| format!("  test error {:.2} %", 100.0 * e.test_error));
        let why = match status {
            Status::Failed(why) => format!(": {why}"),
            _ => String::new(),
        };
        // A reader that went away is no reason to stop.
        let line = format!("{ended:>4}/{}  {}{error}  {point}{why}\n", self.trainings, status.name());
        let _ = self.bar.suspend(|| print(&line));
    }
}

impl Drop for SweepDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
