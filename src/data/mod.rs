//! Data sets: reading, checking, order of presentation, augmentation. Knows nothing of machines or training.

mod augment;
mod error;
mod folder;
mod idx;
mod images;
mod mat;
mod records;
mod sets;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::network;
pub use crate::number::permutation as order;
use crate::program::hex;
pub use augment::Draw;
use augment::Patch;
pub use error::DataError;
pub use images::{Batch, Images};
pub use sets::{Found, Published, published};

/// A set to train on and one to test on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Trained on.
    pub train: Images,
    /// Tested on.
    pub test: Images,
}

impl DataSet {
    /// SHA-256 of shapes, pixels and labels (of a folder of pictures: of their names and lengths): what a run's bytes follow
    /// from, wherever the files lie.
    pub fn digest(&self) -> String {
        let mut sha = Sha256::new();
        self.train.digest(&mut sha);
        self.test.digest(&mut sha);
        hex(sha.finalize())
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
        (set, None) => return Err(DataError::NotHere(set.name())),
    };
    let data = match set {
        network::DataSet::Mnist | network::DataSet::FashionMnist => mnist(Some(&folder))?,
        network::DataSet::Cifar10 => sets::cifar10(&folder)?,
        network::DataSet::Svhn => sets::svhn(&folder)?,
        network::DataSet::Images(what) => folder::read(&folder, what)?,
    };
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
