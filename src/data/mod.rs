//! Data sets: reading, checking, order of presentation. Knows nothing of machines or training.

mod idx;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::network::{self, Shape};
pub use crate::number::permutation as order;

/// Why a data set cannot be had: always the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that cannot be read.
    #[error("{path}: {error}; `--data DIR` names the folder of the four IDX files")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that is not what its name says.
    #[error("{path}, byte {byte}: {what}; get the file again")]
    Content {
        /// The file.
        path: PathBuf,
        /// Where.
        byte: usize,
        /// Expected and found.
        what: String,
    },
    /// No folder holds the set.
    #[error("no data set in {0}: no such folder; `--data DIR` names the folder of the four IDX files")]
    Missing(String),
    /// A set that does not come with the sources, and no folder of it.
    #[error(
        "{0} is not in the repository; name the folder of its four IDX files (named as MNIST's): `--data DIR`, or path = \"DIR\" under [data]"
    )]
    NotHere(&'static str),
    /// Images that are not the network's input.
    #[error(
        "{folder}: the {part} images are {} × {} × {} (rows, columns, channels), the network takes {} × {} × {}; \
         give the folder of another set with `--data DIR`, or a network for these images",
        found[0], found[1], found[2], wanted.height, wanted.width, wanted.channels
    )]
    Shape {
        /// The folder.
        folder: PathBuf,
        /// `training` or `test`.
        part: &'static str,
        /// Rows, columns, channels.
        found: [usize; 3],
        /// One image of the network.
        wanted: Shape,
    },
}

/// Images with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Rows, columns and channels of an image.
    pub shape: [usize; 3],
    /// Bytes, `[n, rows, columns, channels]`.
    pub pixels: Vec<u8>,
    /// One an image.
    pub labels: Vec<u16>,
}

impl Images {
    /// How many.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of image `i`.
    pub fn image(&self, i: usize) -> &[u8] {
        let size: usize = self.shape.iter().product();
        &self.pixels[i * size..(i + 1) * size]
    }
}

/// A set to train on and one to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Trained on.
    pub train: Images,
    /// Tested on.
    pub test: Images,
}

impl DataSet {
    /// SHA-256 of shapes, pixels and labels: what a run's bytes follow from, wherever the files lie.
    pub fn digest(&self) -> String {
        let mut sha = Sha256::new();
        for images in [&self.train, &self.test] {
            sha.update(format!("{:?} {}\n", images.shape, images.len()));
            sha.update(&images.pixels);
            images.labels.iter().for_each(|label| sha.update(label.to_le_bytes()));
        }
        sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads the set a recipe names from `dir`, or from where it comes with the sources; the set, and its folder from the root on.
///
/// # Errors
/// Files that are missing or damaged, a set that is not here, images that are not the network's input.
pub fn read(set: network::DataSet, dir: Option<&Path>) -> Result<(DataSet, PathBuf), DataError> {
    let folder = match (set, dir) {
        (_, Some(dir)) => folder_of(&[dir.to_owned()])?,
        (network::DataSet::Mnist, None) => folder_of(&usual())?,
        (network::DataSet::FashionMnist, None) => return Err(DataError::NotHere(set.name())),
    };
    let data = mnist(Some(&folder))?;
    let wanted = set.shape();
    for (part, images) in [("training", &data.train), ("test", &data.test)] {
        let found = images.shape;
        if found.map(|n| u32::try_from(n).unwrap_or(u32::MAX))
            != [wanted.height, wanted.width, wanted.channels]
        {
            return Err(DataError::Shape { folder, part, found, wanted });
        }
    }
    let folder = folder.canonicalize().map_err(|error| DataError::Read { path: folder, error })?;
    Ok((data, folder))
}

/// Where MNIST is looked for: here, or beside the crate's sources.
fn usual() -> Vec<PathBuf> {
    vec![PathBuf::from("data/mnist"), Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist")]
}

fn folder_of(choices: &[PathBuf]) -> Result<PathBuf, DataError> {
    choices.iter().find(|d| d.is_dir()).cloned().ok_or_else(|| {
        let looked: Vec<String> = choices.iter().map(|d| d.display().to_string()).collect();
        DataError::Missing(looked.join(", "))
    })
}

/// Reads MNIST (or a set in its format) from `dir`, or from `data/mnist` here or beside the crate's sources.
///
/// # Errors
/// Files that are missing, cut short, or not what they should be.
pub fn mnist(dir: Option<&Path>) -> Result<DataSet, DataError> {
    let dir = folder_of(&dir.map_or_else(usual, |dir| vec![dir.to_owned()]))?;
    let dir = dir.as_path();
    Ok(DataSet { train: idx::images(dir, "train", 10)?, test: idx::images(dir, "t10k", 10)? })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repositorys_mnist_is_whole() {
        let set = super::mnist(None).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (60_000, 10_000));
        assert_eq!(set.train.labels[..5], [5, 0, 4, 1, 9]);
        assert_eq!(set.test.labels[..5], [7, 2, 1, 0, 4]);
    }
}
