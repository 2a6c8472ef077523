//! IDX files, plain or gzipped (told by their first bytes, not by name).

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DataError, Images};

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn open(dir: &Path, stem: &str) -> Result<Self, DataError> {
        let plain = dir.join(stem);
        let path = if plain.exists() { plain } else { dir.join(format!("{stem}.gz")) };
        let read = |error| DataError::Read { path: path.clone(), error };
        let raw = std::fs::read(&path).map_err(read)?;
        let bytes = if raw.starts_with(&[0x1f, 0x8b]) {
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(&raw[..]).read_to_end(&mut bytes).map_err(read)?;
            bytes
        } else {
            raw
        };
        Ok(File { path, bytes })
    }

    fn fail(&self, byte: usize, what: String) -> DataError {
        DataError::Content { path: self.path.clone(), byte: byte as u64, what }
    }

    fn number(&self, at: usize) -> Result<usize, DataError> {
        let word = self.bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        let word =
            word.ok_or_else(|| self.fail(at, format!("the header ends after {} bytes", self.bytes.len())))?;
        Ok(usize::try_from(u32::from_be_bytes(word)).unwrap_or(usize::MAX))
    }

    /// Checks the magic number and lengths; the dimensions and the bytes behind the header.
    fn body<const D: usize>(&self, magic: usize) -> Result<([usize; D], &[u8]), DataError> {
        let found = self.number(0)?;
        if found != magic {
            return Err(self.fail(0, format!("expected magic number {magic:#010x}, found {found:#010x}")));
        }
        let mut dims = [0; D];
        for (i, dim) in dims.iter_mut().enumerate() {
            *dim = self.number(4 + 4 * i)?;
        }
        let header = 4 + 4 * D;
        let expected = dims.iter().try_fold(1usize, |p, &d| p.checked_mul(d)).unwrap_or(usize::MAX);
        let body = &self.bytes[header..];
        if body.len() != expected {
            let what = format!("the header promises {expected} bytes {dims:?}, the file has {}", body.len());
            return Err(self.fail(header, what));
        }
        Ok((dims, body))
    }
}

/// The images and labels of one part (`train`, `t10k`).
pub(super) fn images(dir: &Path, part: &str, classes: u16) -> Result<Images, DataError> {
    let pictures = File::open(dir, &format!("{part}-images-idx3-ubyte"))?;
    let names = File::open(dir, &format!("{part}-labels-idx1-ubyte"))?;
    let ([count, rows, columns], pixels) = pictures.body(0x803)?;
    let ([labelled], labels) = names.body(0x801)?;
    if labelled != count {
        return Err(names.fail(4, format!("{labelled} labels for {count} images")));
    }
    if let Some(i) = labels.iter().position(|&l| u16::from(l) >= classes) {
        return Err(names.fail(8 + i, format!("label {} of image {i}, beyond {}", labels[i], classes - 1)));
    }
    let labels = labels.iter().map(|&l| l.into()).collect();
    Ok(Images::held([rows, columns, 1], pixels.to_vec(), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("train-images-idx3-ubyte"), images).unwrap();
        std::fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        dir
    }

    const IMAGE: [u8; 18] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9];

    #[test]
    fn one_image_is_read() {
        let dir = folder(&IMAGE, &[0, 0, 8, 1, 0, 0, 0, 1, 3]);
        let images = images(dir.path(), "train", 10).unwrap();
        assert_eq!(images, Images::held([1, 2, 1], vec![7, 9], vec![3]));
    }

    #[test]
    fn a_short_file_a_wrong_magic_and_a_label_too_large_are_named() {
        let error = |images_file: &[u8], labels: &[u8]| {
            images(folder(images_file, labels).path(), "train", 10).unwrap_err().to_string()
        };
        let label = [0, 0, 8, 1, 0, 0, 0, 1, 3];
        assert!(error(&IMAGE[..17], &label).contains("promises 2 bytes [1, 1, 2], the file has 1"));
        assert!(error(&label, &label).contains("expected magic number 0x00000803, found 0x00000801"));
        assert!(error(&IMAGE, &[0, 0, 8, 1, 0, 0, 0, 1, 10]).contains("label 10 of image 0"));
    }
}
