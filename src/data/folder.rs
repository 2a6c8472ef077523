//! A folder of pictures: `train` and `test` (or `val`), and in each a folder for every class, in the order of their names.
//! Pictures are decoded as they are asked for: a set may be larger than memory.

use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use sha2::{Digest, Sha256};

use super::augment::{Draw, Patch};
use super::{DataError, DataSet, Images};
use crate::network::Folder;

/// Pictures on disk and how large they are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pictures {
    files: Vec<PathBuf>,
    /// Pixels of the shorter side before the crop.
    resize: u32,
}

/// Endings of the names of files that are taken for pictures.
const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];

/// Finds the pictures; none is decoded yet.
pub(super) fn read(root: &Path, folder: Folder) -> Result<DataSet, DataError> {
    let part = |names: &[&str]| {
        let found = names.iter().map(|name| root.join(name)).find(|path| path.is_dir());
        found.ok_or_else(|| DataError::Folder {
            path: root.to_owned(),
            what: format!("there is no folder `{}`; a set of pictures has `train` and `test`", names[0]),
        })
    };
    let (train, test) = (part(&["train"])?, part(&["test", "val"])?);
    let classes = entries(&train)?.into_iter().filter(|p| p.is_dir()).filter_map(name).collect::<Vec<_>>();
    if u32::try_from(classes.len()).ok() != Some(folder.classes) {
        let what =
            format!("{} folders of classes, the network has {} outputs", classes.len(), folder.classes);
        return Err(DataError::Folder { path: train, what });
    }
    Ok(DataSet { train: images(&train, &classes, folder)?, test: images(&test, &classes, folder)? })
}

fn name(path: PathBuf) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// What a folder holds, in the order of names.
fn entries(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let read = |error| DataError::Read { path: path.to_owned(), error };
    let entries: Result<Vec<PathBuf>, _> =
        std::fs::read_dir(path).map_err(read)?.map(|entry| entry.map(|e| e.path())).collect();
    let mut entries = entries.map_err(read)?;
    entries.sort();
    Ok(entries)
}

fn images(part: &Path, classes: &[String], folder: Folder) -> Result<Images, DataError> {
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (label, class) in (0..).zip(classes) {
        let dir = part.join(class);
        let pictures = entries(&dir)?.into_iter().filter(|path| {
            let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
        });
        let before = files.len();
        files.extend(pictures);
        if files.len() == before {
            let what = format!("no picture of this class (files ending in {})", ENDINGS.join(", "));
            return Err(DataError::Folder { path: dir, what });
        }
        labels.resize(files.len(), label);
    }
    let shape = [folder.shape.height, folder.shape.width, folder.shape.channels];
    let shape = shape.map(|n| usize::try_from(n).unwrap_or(0));
    Ok(Images::pictures(shape, Pictures { files, resize: folder.resize }, labels))
}

impl Pictures {
    pub(super) fn first(&self, n: usize) -> Self {
        Pictures { files: self.files[..n].to_vec(), resize: self.resize }
    }

    /// Names and lengths.
    pub(super) fn digest(&self, sha: &mut Sha256) {
        for file in &self.files {
            let length = std::fs::metadata(file).map_or(0, |m| m.len());
            let parts: Vec<_> = file.iter().rev().take(2).map(|p| p.to_string_lossy()).collect();
            sha.update(format!("{parts:?} {length} {}\n", self.resize));
        }
    }

    /// Picture `i`: scaled so that its shorter side has `resize` pixels, then a part of it: drawn for training, the middle
    /// without a draw.
    pub(super) fn read(
        &self,
        i: u32,
        [rows, columns, channels]: [usize; 3],
        draw: Option<&Draw>,
        out: &mut [u8],
    ) -> Result<(), DataError> {
        let path = &self.files[usize::try_from(i).unwrap_or(usize::MAX)];
        let fail = |what: String| DataError::Picture { path: path.clone(), what };
        let reader = image::ImageReader::open(path)
            .and_then(image::ImageReader::with_guessed_format)
            .map_err(|error| DataError::Read { path: path.clone(), error })?;
        let picture = reader.decode().map_err(|error| fail(format!("no whole picture ({error})")))?;
        let (width, height) = (picture.width(), picture.height());
        let shorter = u64::from(width.min(height).max(1));
        let scaled = |side: u32| {
            let side = (u64::from(side) * u64::from(self.resize) * 2 + shorter) / (2 * shorter);
            u32::try_from(side).unwrap_or(u32::MAX).max(self.resize)
        };
        let (wide, high) = (scaled(width), scaled(height));
        if u64::from(wide) * u64::from(high) > 1 << 28 {
            return Err(fail(format!("{width} × {height} pixels are too long and narrow to be scaled")));
        }
        let picture = picture.resize_exact(wide, high, FilterType::Triangle);
        let bytes = if channels == 1 { picture.to_luma8().into_raw() } else { picture.to_rgb8().into_raw() };
        let whole = [high, wide].map(|n| usize::try_from(n).unwrap_or(0));
        let middle = |whole: usize, part: usize| isize::try_from((whole - part) / 2).unwrap_or(0);
        let patch = match draw {
            Some(draw) => draw.patch(i, whole, [rows, columns]),
            None => Patch {
                row: middle(whole[0], rows),
                column: middle(whole[1], columns),
                size: [rows, columns],
                mirrored: false,
                channels,
            },
        };
        Patch { channels, ..patch }.cut(&bytes, whole, out);
        Ok(())
    }
}
