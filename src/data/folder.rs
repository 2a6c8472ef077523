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
pub(super) fn entries(path: &Path) -> Result<Vec<PathBuf>, DataError> {
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

/// Whether a JPEG has no end behind its last scan, which decoders fill with grey. Within a scan no byte 0xff stands
/// before a marker's code, so an end there is the picture's.
fn is_cut_short(bytes: &[u8]) -> bool {
    const BEGIN: [u8; 2] = [0xff, 0xd8];
    const SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    if !bytes.starts_with(&BEGIN) {
        return false;
    }
    let scan = bytes.windows(2).rposition(|w| w == SCAN).unwrap_or(0);
    !bytes[scan..].windows(2).any(|w| w == END)
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
        let bytes = std::fs::read(path).map_err(|error| DataError::Read { path: path.clone(), error })?;
        if is_cut_short(&bytes) {
            return Err(fail("the picture is cut short".to_owned()));
        }
        let picture =
            image::load_from_memory(&bytes).map_err(|error| fail(format!("no whole picture ({error})")))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Augmentation, Shape};

    const FOLDER: Folder = Folder { shape: Shape::new(4, 4, 3), classes: 2, resize: 4 };

    /// A set of pictures of 8 × 4 pixels: the left half red, the right half green.
    fn set(classes: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (part, class) in ["train", "test"].iter().flat_map(|part| classes.iter().map(move |c| (part, c)))
        {
            let folder = dir.path().join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            let colour = |x: u32, _| image::Rgb(if x < 4 { [255, 0, 0] } else { [0, 255, 0] });
            image::RgbImage::from_fn(8, 4, colour).save(folder.join("a.png")).unwrap();
        }
        dir
    }

    #[test]
    fn classes_are_numbered_by_name_and_the_middle_is_taken_without_a_draw() {
        let dir = set(&["cat", "ant"]);
        let data = read(dir.path(), FOLDER).unwrap();
        assert_eq!(data.train.labels, [0, 1]);
        let batch = data.test.batch(&[1], None).unwrap();
        let row = [255, 0, 0, 255, 0, 0, 0, 255, 0, 0, 255, 0];
        assert_eq!(batch.pixels, row.repeat(4));
    }

    #[test]
    fn training_takes_any_part() {
        let dir = set(&["ant", "cat"]);
        let data = read(dir.path(), FOLDER).unwrap();
        let part = |epoch| {
            let draw = Draw { seed: 1, epoch, augment: Augmentation::default() };
            data.train.batch(&[0], Some(&draw)).unwrap().pixels
        };
        let parts: std::collections::BTreeSet<Vec<u8>> = (1..40).map(part).collect();
        assert_eq!(parts.len(), 5, "five places of 4 columns in 8");
    }

    #[test]
    fn what_is_no_picture_or_no_class_is_named() {
        let dir = set(&["ant", "cat"]);
        let error = |result: Result<DataSet, DataError>| result.unwrap_err().to_string();
        let three = Folder { classes: 3, ..FOLDER };
        assert!(error(read(dir.path(), three)).contains("2 folders of classes, the network has 3 outputs"));
        std::fs::write(dir.path().join("train/cat/a.png"), [1, 2, 3]).unwrap();
        let data = read(dir.path(), FOLDER).unwrap();
        let broken = data.train.batch(&[0, 1], None).unwrap_err().to_string();
        assert!(broken.contains("cat/a.png"), "{broken}");
        let mut jpeg = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(40, 40).write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        std::fs::write(dir.path().join("train/cat/a.png"), &jpeg).unwrap();
        assert!(data.train.batch(&[0, 1], None).is_ok(), "what it holds counts, not its name");
        std::fs::write(dir.path().join("train/cat/a.png"), &jpeg[..jpeg.len() - 9]).unwrap();
        let short = data.train.batch(&[0, 1], None).unwrap_err().to_string();
        assert!(short.contains("cut short"), "{short}");
        std::fs::remove_file(dir.path().join("test/ant/a.png")).unwrap();
        assert!(error(read(dir.path(), FOLDER)).contains("no picture of this class"));
        std::fs::remove_dir_all(dir.path().join("test")).unwrap();
        assert!(error(read(dir.path(), FOLDER)).contains("there is no folder `test`"));
    }
}
