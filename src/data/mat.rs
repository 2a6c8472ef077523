//! SVHN's files as published: MATLAB 5 MAT-files with `X` (rows × columns × 3 × n, first index fastest) and `y` (1 to 10, where
//! 10 is the digit 0). Read as a stream, so that memory holds the images and no copy of the file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;

use super::{DataError, Images};

/// Data types of the format that are met here.
const INT32: u32 = 5;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Array class of bytes.
const CLASS_BYTES: u8 = 9;

/// A stream with its place in it.
struct Source<'a> {
    path: &'a Path,
    reader: Box<dyn Read + 'a>,
    at: u64,
    /// Where in the file what is read begins, so that errors in compressed parts can say so.
    part: String,
}

impl Source<'_> {
    fn fail<T>(&self, what: impl std::fmt::Display) -> Result<T, DataError> {
        let what = format!("{what}{}", self.part);
        Err(DataError::Content { path: self.path.to_owned(), byte: self.at, what })
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), DataError> {
        match self.reader.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.fail("the file ends in the middle of its data")
            }
            Err(error) => self.fail(format!("its compressed data are damaged ({error})")),
        }
    }

    fn word(&mut self) -> Result<u32, DataError> {
        let mut word = [0; 4];
        self.exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// A tag: type, bytes of data, and the data where they are within it.
    fn tag(&mut self) -> Result<(u32, u32, Option<[u8; 4]>), DataError> {
        let first = self.word()?;
        if first >> 16 == 0 {
            return Ok((first, self.word()?, None));
        }
        let mut data = [0; 4];
        self.exact(&mut data)?;
        match first >> 16 {
            length @ 1..=4 => Ok((first & 0xffff, length, Some(data))),
            length => self.fail(format!("a small element of {length} bytes")),
        }
    }

    /// An element of at most `most` bytes, its padding skipped.
    fn small(&mut self, what: &str, most: u32) -> Result<(u32, Vec<u8>), DataError> {
        let (kind, length, inside) = self.tag()?;
        if length > most {
            return self.fail(format!("{length} bytes of {what}"));
        }
        let length_bytes = usize::try_from(length).unwrap_or(0);
        if let Some(data) = inside {
            return Ok((kind, data[..length_bytes].to_vec()));
        }
        let mut data = vec![0; length_bytes];
        self.exact(&mut data)?;
        self.exact(&mut vec![0; length_bytes.next_multiple_of(8) - length_bytes])?;
        Ok((kind, data))
    }
}

/// The variables that were found.
#[derive(Default)]
struct Found {
    images: Option<(usize, usize, usize, Vec<u8>)>,
    labels: Option<Vec<u16>>,
}

/// Reads a file.
pub(super) fn images(path: &Path) -> Result<Images, DataError> {
    let fail = |byte, what: String| DataError::Content { path: path.to_owned(), byte, what };
    let file = File::open(path).map_err(|error| DataError::Read { path: path.to_owned(), error })?;
    let mut source = Source { path, reader: Box::new(BufReader::new(file)), at: 0, part: String::new() };
    let mut header = [0; 128];
    source.exact(&mut header)?;
    if header[126..] != *b"IM" {
        return Err(fail(126, "no MAT-file of version 5 with the low byte first".to_owned()));
    }
    let mut found = Found::default();
    while found.images.is_none() || found.labels.is_none() {
        let missing = if found.images.is_none() { "X" } else { "y" };
        let mut first = Vec::new();
        // The file may end here, between variables.
        let read = source.reader.by_ref().take(4).read_to_end(&mut first);
        let Some(first) = read.ok().and_then(|_| first.first_chunk()) else {
            return source.fail(format!("the file ends before the variable `{missing}`"));
        };
        source.at += 4;
        let (kind, length) = (u32::from_le_bytes(*first), source.word()?);
        variable(&mut source, kind, length, &mut found)?;
    }
    let (Some((rows, columns, channels, pixels)), Some(labels)) = (found.images, found.labels) else {
        return source.fail("it has no images");
    };
    let count = pixels.len() / (rows * columns * channels).max(1);
    if labels.len() != count {
        return Err(fail(0, format!("{} labels in `y` for {count} images in `X`", labels.len())));
    }
    Ok(Images::held([rows, columns, channels], pixels, labels))
}

/// One variable, compressed or not.
fn variable(source: &mut Source<'_>, kind: u32, length: u32, found: &mut Found) -> Result<(), DataError> {
    let (path, begin) = (source.path, source.at);
    let mut limited = (&mut source.reader).take(length.into());
    let result = match kind {
        COMPRESSED => {
            let part = format!(" (within the data compressed from byte {begin} on)");
            let reader = Box::new(BufReader::new(ZlibDecoder::new(&mut limited)));
            let mut inner = Source { path, reader, at: 0, part };
            match inner.tag()? {
                (MATRIX, _, None) => matrix(&mut inner, found),
                (kind, ..) => inner.fail(format!("an element of type {kind} where an array should be")),
            }
        }
        MATRIX => {
            let mut inner = Source { path, reader: Box::new(&mut limited), at: begin, part: String::new() };
            matrix(&mut inner, found)
        }
        _ => Ok(()),
    };
    result?;
    // What was not of use, so that the next variable begins.
    let rest = std::io::copy(&mut limited, &mut std::io::sink());
    rest.map_err(|error| DataError::Read { path: PathBuf::from(path), error })?;
    source.at = begin + u64::from(length);
    Ok(())
}

fn matrix(source: &mut Source<'_>, found: &mut Found) -> Result<(), DataError> {
    let (_, flags) = source.small("array flags", 8)?;
    let (kind, dims) = source.small("dimensions", 128)?;
    if kind != INT32 {
        return source.fail("dimensions that are no 32-bit integers");
    }
    let dims: Vec<usize> = dims
        .chunks_exact(4)
        .map(|b| usize::try_from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])).unwrap_or(0))
        .collect();
    let (_, name) = source.small("name", 256)?;
    match &name[..] {
        b"X" => {
            if flags.first() != Some(&CLASS_BYTES) {
                return source.fail("the variable `X` is no array of bytes");
            }
            found.images = Some(pixels(source, &dims)?);
        }
        b"y" => found.labels = Some(labels(source, &dims)?),
        _ => {}
    }
    Ok(())
}

/// `X`: images one after another, each plane after plane, column after column.
fn pixels(source: &mut Source<'_>, dims: &[usize]) -> Result<(usize, usize, usize, Vec<u8>), DataError> {
    let &[rows, columns, channels, count] = dims else {
        return source.fail(format!("`X` has dimensions {dims:?}, not rows, columns, channels and images"));
    };
    let image = rows * columns * channels;
    let (_, length, inside) = source.tag()?;
    let whole = image.checked_mul(count).filter(|&n| n > 0 && u64::from(length) == n as u64);
    if inside.is_some() || whole.is_none() {
        return source.fail(format!("{length} bytes for `X` of dimensions {dims:?}"));
    }
    let mut pixels = Vec::new();
    let mut bytes = vec![0; image];
    for _ in 0..count {
        source.exact(&mut bytes)?;
        for y in 0..rows {
            for x in 0..columns {
                pixels.extend((0..channels).map(|c| bytes[(c * columns + x) * rows + y]));
            }
        }
    }
    Ok((rows, columns, channels, pixels))
}

/// Reads one number of a label's type.
type Number = fn(&[u8]) -> Option<u16>;

/// `y`: numbers of any type, 1 to 10.
fn labels(source: &mut Source<'_>, dims: &[usize]) -> Result<Vec<u16>, DataError> {
    let count: usize = dims.iter().product();
    let (kind, data) = source.small("labels", 1 << 28)?;
    let (size, read): (usize, Number) = match kind {
        1 | 2 => (1, |b| Some(b[0].into())),
        3 | 4 => (2, |b| Some(u16::from_le_bytes(b.try_into().ok()?))),
        5 | 6 => (4, |b| u16::try_from(u32::from_le_bytes(b.try_into().ok()?)).ok()),
        9 => (8, |b| {
            let value = f64::from_le_bytes(b.try_into().ok()?);
            (0..=10).find(|&label| f64::from(label) == value)
        }),
        12 | 13 => (8, |b| u16::try_from(u64::from_le_bytes(b.try_into().ok()?)).ok()),
        _ => return source.fail(format!("labels of data type {kind}")),
    };
    if data.len() != count * size {
        return source.fail(format!("{} bytes for {count} labels of {size}", data.len()));
    }
    let mut labels = Vec::with_capacity(count);
    for (i, bytes) in data.chunks_exact(size).enumerate() {
        match read(bytes) {
            Some(label @ 1..=10) => labels.push(label % 10),
            _ => return source.fail(format!("the label of image {i} is not 1 to 10")),
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by SciPy: two images of 2 × 3 pixels whose bytes count up, labels 10 and 3.
    const FILES: [(&str, &[u8]); 3] = [
        ("compressed", include_bytes!("../../tests/cases/data/two-compressed.mat")),
        ("plain", include_bytes!("../../tests/cases/data/two-plain.mat")),
        ("double labels", include_bytes!("../../tests/cases/data/two-double-labels.mat")),
    ];

    fn read(bytes: &[u8]) -> Result<Images, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train_32x32.mat");
        std::fs::write(&path, bytes).unwrap();
        images(&path)
    }

    #[test]
    fn files_that_scipy_wrote_are_read_and_ten_is_the_digit_0() {
        for (name, bytes) in FILES {
            let expected = Images::held([2, 3, 3], (0..36).collect(), vec![0, 3]);
            assert_eq!(read(bytes).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_by_name() {
        for (name, bytes) in FILES {
            for length in 0..bytes.len() - 8 {
                let error = read(&bytes[..length]).expect_err(name).to_string();
                assert!(error.contains("train_32x32.mat, byte"), "{name} cut to {length}: {error}");
            }
        }
    }

    #[test]
    fn a_file_of_another_kind_says_so() {
        assert!(read(&[b'x'; 300]).unwrap_err().to_string().contains("no MAT-file of version 5"));
        let mut labels = FILES[1].1.to_vec();
        let at = labels.windows(2).rposition(|w| w == [10, 3]).unwrap();
        labels[at] = 11;
        assert!(read(&labels).unwrap_err().to_string().contains("the label of image 0 is not 1 to 10"));
    }
}
