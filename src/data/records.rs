//! Files of records, as CIFAR-10 publishes them: one byte of label, then the planes of an image, row after row. Owns the form;
//! must not know which files make a set.

use std::io::Read;
use std::path::Path;

use super::{DataError, Images};

/// What a record holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) channels: usize,
    pub(super) classes: u16,
}

/// 32 × 32 colour images of ten classes: CIFAR-10's records.
pub(super) const CIFAR: Record = Record { rows: 32, columns: 32, channels: 3, classes: 10 };

/// Images read one after another.
#[derive(Default)]
pub(super) struct Reader {
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Reader {
    /// Adds the records of a file; `path` is how errors name it.
    pub(super) fn add(&mut self, record: Record, path: &Path, mut file: impl Read) -> Result<(), DataError> {
        let plane = record.rows * record.columns;
        let length = 1 + plane * record.channels;
        let mut bytes = Vec::with_capacity(length);
        for number in 0_u64.. {
            bytes.clear();
            let read = file.by_ref().take(length as u64).read_to_end(&mut bytes);
            let read = read.map_err(|error| DataError::Read { path: path.to_owned(), error })?;
            let at = number * length as u64;
            let fail = |byte: u64, what| Err(DataError::Content { path: path.to_owned(), byte, what });
            match read {
                0 if number == 0 => return fail(0, "the file is empty".to_owned()),
                0 => return Ok(()),
                n if n < length => {
                    let what = format!("record {number} ends after {n} of {length} bytes");
                    return fail(at + n as u64, what);
                }
                _ => {}
            }
            if u16::from(bytes[0]) >= record.classes {
                let what = format!("label {} of image {number}, beyond {}", bytes[0], record.classes - 1);
                return fail(at, what);
            }
            self.labels.push(bytes[0].into());
            let planes = &bytes[1..];
            self.pixels
                .extend((0..plane).flat_map(|i| (0..record.channels).map(move |c| planes[c * plane + i])));
        }
        Ok(())
    }

    /// Adds what another read.
    pub(super) fn append(&mut self, mut other: Reader) {
        self.pixels.append(&mut other.pixels);
        self.labels.append(&mut other.labels);
    }

    /// What was read.
    pub(super) fn images(self, record: Record) -> Images {
        Images::held([record.rows, record.columns, record.channels], self.pixels, self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Record = Record { rows: 1, columns: 2, channels: 3, classes: 10 };

    fn read(bytes: &[u8]) -> Result<Images, DataError> {
        let mut reader = Reader::default();
        reader.add(SMALL, Path::new("x.bin"), bytes)?;
        Ok(reader.images(SMALL))
    }

    #[test]
    fn planes_become_pixels() {
        let images = read(&[7, 1, 2, 3, 4, 5, 6, 0, 11, 12, 13, 14, 15, 16]).unwrap();
        assert_eq!(images.labels, [7, 0]);
        let batch = images.batch(&[0, 1], None).unwrap();
        assert_eq!(batch.pixels, [1, 3, 5, 2, 4, 6, 11, 13, 15, 12, 14, 16]);
    }

    #[test]
    fn a_file_cut_short_and_a_label_too_large_are_named_with_their_place() {
        let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(error(&[7, 1, 2, 3]).starts_with("x.bin, byte 4: record 0 ends after 4 of 7 bytes"));
        assert!(error(&[1, 1, 1, 1, 1, 1, 1, 10, 1, 1, 1, 1, 1, 1]).contains("byte 7: label 10 of image 1"));
        assert!(error(&[]).contains("the file is empty"));
    }
}
