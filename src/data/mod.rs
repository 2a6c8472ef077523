//! Data sets: reading, checking, order of presentation. Knows nothing of machines or training.

mod idx;

use std::path::{Path, PathBuf};

pub use crate::number::permutation as order;

/// Why a data set cannot be had: always the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that cannot be read.
    #[error("{path}: {source}; `--data DIR` names the folder of the four MNIST files")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
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
    #[error("no MNIST in {0}; `--data DIR` names the folder of the four IDX files")]
    Missing(String),
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

/// Reads MNIST (or a set in its format) from `dir`, or from `data/mnist` here or beside the crate's sources.
///
/// # Errors
/// Files that are missing, cut short, or not what they should be.
pub fn mnist(dir: Option<&Path>) -> Result<DataSet, DataError> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/mnist");
    let choices = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => vec![PathBuf::from("data/mnist"), built_from],
    };
    let found = choices.iter().find(|d| d.is_dir());
    let dir = found.ok_or_else(|| {
        let looked: Vec<String> = choices.iter().map(|d| d.display().to_string()).collect();
        DataError::Missing(looked.join(", "))
    })?;
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
