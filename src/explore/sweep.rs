//! The trainings of a plan, side by side within the cores and memory there are. Owns how many go at once; must not know
//! what a point holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{ExploreError, Plan, Watch, point};
use crate::data::{self, DataSet};
use crate::network;

/// Images by set and folder, read once and shared.
type Images = HashMap<(network::DataSet, Option<PathBuf>), (DataSet, PathBuf)>;

/// How a sweep came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Every training ended.
    Whole,
    /// It was told to stop; the same call goes on.
    Stopped,
}

/// Trainings that fit side by side: one a core, and no more than memory holds.
pub fn jobs(plan: &Plan) -> Result<usize, ExploreError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut most = 0;
    for training in &plan.trainings {
        if let Some(point) = training.first().map(|&i| &plan.points[i]).filter(|_| most == 0) {
            let inputs = plan.base.inputs(&point.all_settings()?)?;
            most = inputs.compile().map_or(0, |p| p.dram_bytes);
        }
    }
    // The machine's DRAM, the engine's scratch about as large, and what is left of the host.
    let each = 3 * most + (128 << 20);
    let fits = available_bytes().map_or(usize::MAX, |free| usize::try_from(free / each).unwrap_or(1));
    Ok(cores.min(fits).min(plan.trainings.len()).max(1))
}

/// Memory that is free, where the host says so.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Carries out the trainings `wanted` of a plan (by index) in a folder, `jobs` at a time, each on its share of the cores.
///
/// # Errors
/// The first that stopped a training for another reason than the machine it simulates; what was finished stays.
pub fn sweep(
    plan: &Plan,
    wanted: &[usize],
    dir: &Path,
    jobs: usize,
    stop: &AtomicBool,
    watch: &dyn Watch,
) -> Result<Finish, ExploreError> {
    let images = images(plan, wanted)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / jobs.max(1)).max(1);
    let (next, broken) = (AtomicUsize::new(0), Mutex::new(None));
    let worker = || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| ExploreError::Plain(format!("no threads to work with: {e}")))?;
        while !stop.load(Ordering::SeqCst) && broken.lock().is_ok_and(|b| b.is_none()) {
            let Some(&training) = wanted.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
            let training = &plan.trainings[training];
            let (data, folder) = &images[&set_of(plan, training)?];
            pool.install(|| point::train(plan, training, (data, folder), dir, stop, watch))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                if let (Err(error), Ok(mut broken)) = (worker(), broken.lock()) {
                    broken.get_or_insert(error);
                }
            });
        }
    });
    match broken.into_inner() {
        Ok(Some(error)) => Err(error),
        _ if stop.load(Ordering::SeqCst) => Ok(Finish::Stopped),
        _ => Ok(Finish::Whole),
    }
}

/// Which images a training takes.
fn set_of(plan: &Plan, training: &[usize]) -> Result<(network::DataSet, Option<PathBuf>), ExploreError> {
    let first = training.first().map_or(0, |&i| i);
    let recipe = plan.base.inputs(&plan.points[first].all_settings()?)?.recipe;
    Ok((recipe.data, recipe.data_path))
}

fn images(plan: &Plan, wanted: &[usize]) -> Result<Images, ExploreError> {
    let mut images = Images::new();
    for &training in wanted {
        let key = set_of(plan, &plan.trainings[training])?;
        if let Entry::Vacant(place) = images.entry(key) {
            let read = data::read(place.key().0, place.key().1.as_deref())?;
            place.insert(read);
        }
    }
    Ok(images)
}
