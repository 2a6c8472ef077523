//! A data set of the first digits of the repository's MNIST, small enough that an epoch takes milliseconds.

use std::io::Read;
use std::path::Path;

/// Writes `train` images to train on and 16 to test on, with their labels, as plain IDX files into `folder`.
pub(crate) fn write(folder: &Path, train: usize) {
    std::fs::create_dir_all(folder).unwrap();
    for (stem, count) in [("train", train), ("t10k", 16)] {
        for (kind, header, size) in [("images-idx3-ubyte", 16, 784), ("labels-idx1-ubyte", 8, 1)] {
            let name = format!("{stem}-{kind}");
            let path = format!("{}/data/mnist/{name}.gz", env!("CARGO_MANIFEST_DIR"));
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&std::fs::read(path).unwrap()[..]).read_to_end(&mut bytes).unwrap();
            bytes.truncate(header + count * size);
            bytes[4..8].copy_from_slice(&u32::try_from(count).unwrap().to_be_bytes());
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
}
