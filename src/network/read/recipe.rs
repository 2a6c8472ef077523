//! The `[recipe]` table. Owns its keys, ranges and reasons; must not know layers.

use super::data::Data;
use crate::network::recipe::exact_log2;
use crate::network::{Rate, Recipe};
use crate::spec::{Section, SourceError};

/// Greatest |λ|: beyond it every update is all or nothing for any code.
const LR_LOG2_MOST: i32 = 32;

pub(super) fn recipe(mut section: Section<'_>, data: &Data) -> Result<Recipe, SourceError> {
    let batch = section.integer("batch", 1..=65_536, "a step takes 1 to 65536 images")?.unwrap_or(128);
    let epochs = section.integer("epochs", 1..=1_000_000, "a run has 1 to 1000000 epochs")?;
    let seed = section.integer("seed", 0..=i64::MAX, "any number from 0 on")?.unwrap_or(1);
    let schedule = schedule(&mut section)?;
    section.finish()?;
    let missing = |key: &str, example: &str| {
        section
            .refuse(key, format!("`recipe.{key}` is missing"))
            .with_hint(format!("write {example} under [recipe]"))
    };
    Ok(Recipe {
        data: data.set,
        data_path: data.path.clone(),
        augment: data.augment,
        batch,
        epochs: epochs.ok_or_else(|| missing("epochs", "epochs = 6"))?,
        schedule: schedule.ok_or_else(|| missing("learning_rate", "learning_rate = 8"))?,
        seed,
    })
}

/// `learning_rate = 8`, or a list of `{ epoch = 1, eta = 8 }`.
fn schedule(section: &mut Section<'_>) -> Result<Option<Vec<Rate>>, SourceError> {
    const KEY: &str = "learning_rate";
    if !section.is_list(KEY) {
        let Some(rate) = section.number(KEY)? else { return Ok(None) };
        let lr_log2 = lr_log2(section, KEY, rate)?;
        return Ok(Some(vec![Rate { from_epoch: 1, lr_log2 }]));
    }
    let mut schedule: Vec<Rate> = Vec::new();
    for mut part in section.sections(KEY)? {
        let from_epoch: Option<u32> = part.integer("epoch", 1..=1_000_000, "epochs count from 1")?;
        let eta = part.number("eta")?;
        part.finish()?;
        let (Some(from_epoch), Some(eta)) = (from_epoch, eta) else {
            return Err(part
                .refuse("", "a learning rate needs the epoch it begins with, and its value")
                .with_hint("write { epoch = 1, eta = 8 }"));
        };
        let wanted = schedule.last().map_or(1, |rate| rate.from_epoch + 1);
        if schedule.is_empty() && from_epoch != 1 {
            return Err(part.refuse("epoch", "the first learning rate must begin with epoch 1"));
        }
        if from_epoch < wanted {
            return Err(
                part.refuse("epoch", format!("this learning rate must begin with epoch {wanted} or later"))
            );
        }
        schedule.push(Rate { from_epoch, lr_log2: lr_log2(&part, "eta", eta)? });
    }
    if schedule.is_empty() {
        return Err(section
            .refuse(KEY, "the list of learning rates is empty")
            .with_hint("write learning_rate = 8"));
    }
    Ok(Some(schedule))
}

fn lr_log2(section: &Section<'_>, key: &str, rate: f64) -> Result<i32, SourceError> {
    let error = match exact_log2(rate) {
        Ok(log2) if log2.abs() <= LR_LOG2_MOST => return Ok(log2),
        Ok(_) => {
            let hint = format!("2^-{LR_LOG2_MOST} to 2^{LR_LOG2_MOST} are allowed");
            section.refuse(key, format!("the learning rate {rate} is out of range")).with_hint(hint)
        }
        Err(Some((below, above))) => section
            .refuse(key, format!("the learning rate {rate} is not a power of two"))
            .with_hint(format!("updates are shifts; the nearest are {below} and {above}")),
        Err(None) => section.refuse(key, "a learning rate must be a positive number"),
    };
    Err(error)
}
