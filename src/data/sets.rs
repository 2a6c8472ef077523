//! Which files make a set, where its authors publish them and what they should be. Owns names and checksums; the forms of
//! files are read elsewhere.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use md5::{Digest, Md5};

use super::folder::entries;
use super::records::{CIFAR, Reader};
use super::{DataError, DataSet, Images, mat};
use crate::network;
use crate::program::hex;

/// A set as its authors publish it.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// The set.
    pub set: network::DataSet,
    /// Where it is published.
    pub page: &'static str,
    /// Its files and their MD5 sums (of IDX files: unpacked, since they are packed anew by many): those of one list.
    pub files: &'static [&'static [(&'static str, &'static str)]],
}

const MNIST: &[(&str, &str)] = &[
    ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
];
const FASHION: &[(&str, &str)] = &[
    ("train-images-idx3-ubyte", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
    ("train-labels-idx1-ubyte", "9018921c3c673c538a1fc5bad174d6f9"),
    ("t10k-images-idx3-ubyte", "8181f5470baa50b63fa0f6fddb340f0a"),
    ("t10k-labels-idx1-ubyte", "15d484375f8d13e6eb1aabb0c3f46965"),
];
const CIFAR_ARCHIVE: &[(&str, &str)] = &[("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")];
const CIFAR_FILES: &[(&str, &str)] = &[
    ("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
    ("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
    ("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
    ("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
    ("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
    ("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
];
/// What the archive and its folder are called.
const CIFAR_FOLDER: &str = "cifar-10-batches-bin";
const SVHN: &[(&str, &str)] = &[
    ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
    ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
];
/// SVHN's easier images, trained on as well where they are there.
const SVHN_EXTRA: &str = "extra_32x32.mat";

/// Every set that can be named, as published.
pub fn published() -> [Published; 4] {
    use network::DataSet::{Cifar10, FashionMnist, Mnist, Svhn};
    [
        Published { set: Mnist, page: "http://yann.lecun.com/exdb/mnist/", files: &[MNIST] },
        Published {
            set: FashionMnist,
            page: "https://github.com/zalandoresearch/fashion-mnist",
            files: &[FASHION],
        },
        Published {
            set: Cifar10,
            page: "https://www.cs.toronto.edu/~kriz/cifar.html",
            files: &[CIFAR_ARCHIVE, CIFAR_FILES],
        },
        Published { set: Svhn, page: "http://ufldl.stanford.edu/housenumbers/", files: &[SVHN] },
    ]
}

/// What was found of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// As published.
    Whole,
    /// Not as published.
    Other,
    /// Not there.
    Missing,
}

impl Found {
    /// Reads a file and compares its MD5 sum.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn of(folder: &Path, name: &str, md5: &str) -> Result<Self, DataError> {
        let packed = format!("{name}.gz");
        let found =
            [name, &packed].into_iter().flat_map(|name| places(folder, name)).find(|path| path.is_file());
        let Some(path) = found else { return Ok(Found::Missing) };
        let failed = |error| DataError::Read { path: path.clone(), error };
        let file = File::open(&path).map_err(failed)?;
        let mut file: Box<dyn Read> = match path.ends_with(&packed) {
            true => Box::new(GzDecoder::new(BufReader::new(file))),
            false => Box::new(file),
        };
        let mut sum = Md5::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => sum.update(&buffer[..n]),
                Err(error) if damaged(&error) => return Ok(Found::Other),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(if hex(sum.finalize()) == md5 { Found::Whole } else { Found::Other })
    }
}

/// Whether a packed file is there but cannot be unpacked: it is not what was published.
fn damaged(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// Where a file of a set may lie in its folder.
fn places(folder: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    [folder.join(name), folder.join(CIFAR_FOLDER).join(name)].into_iter()
}

/// CIFAR-10: its six files of records in `folder` or in the folder its archive makes, or the archive.
pub(super) fn cifar10(folder: &Path) -> Result<DataSet, DataError> {
    let here = |name: &str| places(folder, name).find(|path| path.is_file());
    let first = CIFAR_FILES[0].0;
    if here(first).is_none() {
        let (archive, _) = CIFAR_ARCHIVE[0];
        let path = folder.join(archive);
        return if path.is_file() { from_archive(&path) } else { Err(not_there(folder, first, archive)) };
    }
    let (mut train, mut test) = (Reader::default(), Reader::default());
    for (name, _) in CIFAR_FILES {
        let path = here(name).unwrap_or_else(|| folder.join(name));
        let file = File::open(&path).map_err(|error| DataError::Read { path: path.clone(), error })?;
        reader_of(name, &mut train, &mut test).add(CIFAR, &path, BufReader::new(file))?;
    }
    Ok(DataSet { train: train.images(CIFAR), test: test.images(CIFAR) })
}

fn reader_of<'a>(name: &str, train: &'a mut Reader, test: &'a mut Reader) -> &'a mut Reader {
    if name.starts_with("test") { test } else { train }
}

/// The files within the archive, in any order.
fn from_archive(path: &Path) -> Result<DataSet, DataError> {
    let read = |error| DataError::Read { path: path.to_owned(), error };
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).map_err(read)?));
    let mut readers: Vec<Option<Reader>> = CIFAR_FILES.iter().map(|_| None).collect();
    for entry in archive.entries().map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.path().map_err(read)?.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(place) = CIFAR_FILES.iter().position(|(file, _)| name.as_deref() == Some(file)) else {
            continue;
        };
        let inside = path.join(CIFAR_FILES[place].0);
        readers[place].insert(Reader::default()).add(CIFAR, &inside, BufReader::new(entry))?;
    }
    let (mut train, mut test) = (Reader::default(), Reader::default());
    for ((name, _), reader) in CIFAR_FILES.iter().zip(readers) {
        let Some(reader) = reader else {
            let what = format!("the archive has no {name}; get it again");
            return Err(DataError::Folder { path: path.to_owned(), what });
        };
        reader_of(name, &mut train, &mut test).append(reader);
    }
    Ok(DataSet { train: train.images(CIFAR), test: test.images(CIFAR) })
}

fn not_there(folder: &Path, file: &str, other: &str) -> DataError {
    let what = format!("neither {file} nor {other} is there; `wagesim data` says where the set is published");
    DataError::Folder { path: folder.to_owned(), what }
}

/// SVHN: its MAT-files, or files of records named `train….bin` and `test….bin`.
pub(super) fn svhn(folder: &Path) -> Result<DataSet, DataError> {
    let [train, test] = [SVHN[0].0, SVHN[1].0].map(|name| folder.join(name));
    if train.is_file() || test.is_file() {
        let mut data = DataSet { train: mat::images(&train)?, test: mat::images(&test)? };
        let extra = folder.join(SVHN_EXTRA);
        if extra.is_file() {
            data.train.append(mat::images(&extra)?);
        }
        return Ok(data);
    }
    Ok(DataSet { train: svhn_records(folder, "train")?, test: svhn_records(folder, "test")? })
}

/// The records of the files whose names begin so, in the order of names.
fn svhn_records(folder: &Path, begin: &str) -> Result<Images, DataError> {
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(begin) && name.ends_with(".bin")
    };
    let files: Vec<PathBuf> = entries(folder)?.into_iter().filter(named).collect();
    if files.is_empty() {
        return Err(not_there(
            folder,
            &format!("{begin}_32x32.mat"),
            &format!("a file {begin}….bin of records"),
        ));
    }
    let mut reader = Reader::default();
    for path in &files {
        let file = File::open(path).map_err(|error| DataError::Read { path: path.clone(), error })?;
        reader.add(CIFAR, path, BufReader::new(file))?;
    }
    Ok(reader.images(CIFAR))
}
