//! Why a data set cannot be had: always the user's to mend.

use std::path::PathBuf;

use crate::network::Shape;

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file that cannot be read.
    #[error("{path}: {error}; `--data DIR` names the folder of the set's files, `wagesim data` lists them")]
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
        /// Where; of what is in it, where it is compressed.
        byte: u64,
        /// Expected and found.
        what: String,
    },
    /// A picture that cannot be decoded.
    #[error("{path}: {what}; get the picture again, or take it out of the folder")]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A folder that does not hold what it should.
    #[error("{path}: {what}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Expected and found, and what to do.
        what: String,
    },
    /// No folder holds the set.
    #[error("no data set in {0}: no such folder; `--data DIR` names the folder of the set's files")]
    Missing(String),
    /// A set that does not come with the sources, and no folder of it.
    #[error(
        "{0} is not in the repository; name the folder of its files: `--data DIR`, or path = \"DIR\" under [data]; \
         `wagesim data` says which files, and where they are published"
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
