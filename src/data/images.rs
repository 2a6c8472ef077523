//! Images with labels, held in memory or read as they are asked for. Owns how an image of the set becomes an image that
//! is presented; must not know files' formats.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::augment::Draw;
use super::folder::Pictures;
use super::{DataError, Patch};

/// Images with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Rows, columns and channels of an image.
    pub shape: [usize; 3],
    /// One an image.
    pub labels: Vec<u16>,
    pixels: Pixels,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pixels {
    /// Bytes, `[n, rows, columns, channels]`.
    Held(Vec<u8>),
    /// Pictures on disk.
    Pictures(Pictures),
}

/// Images as they are presented, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Bytes, `[n, rows, columns, channels]`.
    pub pixels: Vec<u8>,
    /// One an image.
    pub labels: Vec<u16>,
}

impl Images {
    /// Images in memory: `pixels` are `[n, rows, columns, channels]`, as many as there are labels.
    pub fn held(shape: [usize; 3], pixels: Vec<u8>, labels: Vec<u16>) -> Self {
        debug_assert_eq!(pixels.len(), shape.iter().product::<usize>() * labels.len());
        Images { shape, labels, pixels: Pixels::Held(pixels) }
    }

    pub(super) fn pictures(shape: [usize; 3], pictures: Pictures, labels: Vec<u16>) -> Self {
        Images { shape, labels, pixels: Pixels::Pictures(pictures) }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of an image.
    pub fn image_bytes(&self) -> usize {
        self.shape.iter().product()
    }

    /// The first `n`, or all where there are fewer.
    #[must_use]
    pub fn first(&self, n: usize) -> Self {
        let n = n.min(self.len());
        let pixels = match &self.pixels {
            Pixels::Held(bytes) => Pixels::Held(bytes[..n * self.image_bytes()].to_vec()),
            Pixels::Pictures(pictures) => Pixels::Pictures(pictures.first(n)),
        };
        Images { shape: self.shape, labels: self.labels[..n].to_vec(), pixels }
    }

    /// Adds images held in memory to images held in memory, of the same shape.
    pub(super) fn append(&mut self, other: Self) {
        if let (Pixels::Held(bytes), Pixels::Held(mut more)) = (&mut self.pixels, other.pixels) {
            bytes.append(&mut more);
            self.labels.extend(other.labels);
        }
    }

    /// Whether presenting an image is work that is worth a thread of its own.
    pub(crate) fn is_work(&self, draw: Option<&Draw>) -> bool {
        matches!(self.pixels, Pixels::Pictures(_)) || draw.is_some_and(|draw| !draw.augment.is_none())
    }

    /// The images of these indices, augmented as `draw` says; as they are without one.
    ///
    /// # Errors
    /// A picture that cannot be read.
    pub fn batch(&self, indices: &[u32], draw: Option<&Draw>) -> Result<Batch, DataError> {
        let place = |&i: &u32| usize::try_from(i).unwrap_or(usize::MAX);
        let mut pixels = vec![0; indices.len() * self.image_bytes()];
        match &self.pixels {
            Pixels::Held(_) => pixels
                .chunks_mut(self.image_bytes().max(1))
                .zip(indices)
                .for_each(|(out, &i)| self.present(i, draw, out)),
            Pixels::Pictures(pictures) => pixels
                .par_chunks_mut(self.image_bytes().max(1))
                .zip(indices)
                .try_for_each(|(out, &i)| pictures.read(i, self.shape, draw, out))?,
        }
        Ok(Batch { pixels, labels: indices.iter().map(|i| self.labels[place(i)]).collect() })
    }

    /// One image held in memory, as it is presented.
    fn present(&self, i: u32, draw: Option<&Draw>, out: &mut [u8]) {
        let Pixels::Held(bytes) = &self.pixels else { return };
        let first = usize::try_from(i).unwrap_or(usize::MAX) * self.image_bytes();
        let image = &bytes[first..first + self.image_bytes()];
        match draw.filter(|draw| !draw.augment.is_none()) {
            None => out.copy_from_slice(image),
            Some(draw) => {
                let [rows, columns, channels] = self.shape;
                let patch = draw.patch(i, [rows, columns], [rows, columns]);
                Patch { channels, ..patch }.cut(image, [rows, columns], out);
            }
        }
    }

    /// Adds shape, labels and pixels to a digest; of pictures on disk their names and lengths.
    pub(super) fn digest(&self, sha: &mut Sha256) {
        sha.update(format!("{:?} {}\n", self.shape, self.len()));
        match &self.pixels {
            Pixels::Held(bytes) => sha.update(bytes),
            Pixels::Pictures(pictures) => pictures.digest(sha),
        }
        self.labels.iter().for_each(|label| sha.update(label.to_le_bytes()));
    }
}
