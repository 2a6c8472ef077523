//! The `[data]` table. Owns its keys, ranges and reasons; must not know layers, nor where data lies.

use std::path::PathBuf;

use crate::network::{Augmentation, DataSet, Folder, InputTable, Shape};
use crate::spec::{Section, SourceError};

/// What the table says.
pub(super) struct Data {
    pub(super) set: DataSet,
    pub(super) input: InputTable,
    pub(super) path: Option<PathBuf>,
    pub(super) augment: Augmentation,
}

/// Which sets there are, by name; a folder's shape and classes are filled in from its own keys.
#[derive(Clone, Copy)]
enum Kind {
    Named(DataSet),
    Folder,
}

pub(super) fn data(mut section: Section<'_>) -> Result<Data, SourceError> {
    let kinds = DataSet::NAMED.map(|set| (set.name(), Kind::Named(set)));
    let kinds: Vec<(&str, Kind)> = kinds.into_iter().chain([(DataSet::IMAGES, Kind::Folder)]).collect();
    let kind = section.choice("set", &kinds)?.unwrap_or(Kind::Named(DataSet::Mnist));
    let input = section.choice("input", &InputTable::ALL.map(|table| (table.name(), table)))?;
    let path = section.text("path")?.map(PathBuf::from);
    let folder = folder(&mut section, matches!(kind, Kind::Folder))?;
    let augment = augment(section.section("augment")?)?;
    section.finish()?;
    let set = match kind {
        Kind::Named(set) => set,
        Kind::Folder => DataSet::Images(folder),
    };
    let shape = set.shape();
    if augment.pad > 0 && augment.pad >= shape.height.min(shape.width) {
        let message = format!("a border of {} is as large as the images", augment.pad);
        return Err(section.refuse("augment", message).with_hint("the authors pad CIFAR-10 by 4"));
    }
    Ok(Data { set, input: input.unwrap_or(InputTable::By256), path, augment })
}

/// The keys that only a folder of images has: what its pictures are made into, and how many classes it has.
fn folder(section: &mut Section<'_>, is_folder: bool) -> Result<Folder, SourceError> {
    let pixels = "an image has 1 to 4096 rows and columns";
    let size: Option<(u32, u32)> = section.integer_or_pair("size", 1..=4096, pixels)?;
    let channels: Option<u32> = section.integer("channels", 1..=3, "1 is grey, 3 is red, green and blue")?;
    let classes = section.integer("classes", 2..=65_534, "a network tells at least two classes apart")?;
    let resize: Option<u32> =
        section.integer("resize", 1..=8192, "pixels of the shorter side before the crop")?;
    if !is_folder {
        let keys = ["size", "channels", "classes", "resize"];
        return match keys.into_iter().find(|key| section.has(key)) {
            Some(key) => Err(section
                .refuse(key, format!("`data.{key}` is for set = \"images\" only"))
                .with_hint("leave it out: the set itself says it")),
            None => Ok(Folder { shape: Shape::new(1, 1, 1), classes: 2, resize: 1 }),
        };
    }
    let missing = |key: &str, example: &str| {
        section
            .refuse(key, format!("`data.{key}` is missing"))
            .with_hint(format!("write {example} under [data]"))
    };
    let (height, width) = size.ok_or_else(|| missing("size", "size = 224"))?;
    let classes = classes.ok_or_else(|| missing("classes", "classes = 1000"))?;
    let channels = channels.unwrap_or(3);
    if channels == 2 {
        return Err(section.refuse("channels", "an image has 1 or 3 channels, not 2"));
    }
    let longer = height.max(width);
    let resize = resize.unwrap_or(longer);
    if resize < longer {
        let message = format!("images of a shorter side of {resize} hold no crop of {height} × {width}");
        return Err(section.refuse("resize", message).with_hint(format!("use {longer} or more")));
    }
    Ok(Folder { shape: Shape::new(height, width, channels), classes, resize })
}

fn augment(mut section: Section<'_>) -> Result<Augmentation, SourceError> {
    let pad = section.integer("pad", 0..=64, "bytes 0 around an image before a crop of its size")?;
    let flip = section.boolean("flip")?;
    section.finish()?;
    Ok(Augmentation { pad: pad.unwrap_or(0), flip: flip.unwrap_or(false) })
}
