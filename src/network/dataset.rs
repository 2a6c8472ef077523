//! What a network may be trained on: sets, the form of their images, input tables, augmentation. Owns what the program
//! file can name; must not know where data lies nor how it is read.

use serde::Serialize;

use crate::network::Shape;

/// The data sets that can be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSet {
    /// Handwritten digits.
    Mnist,
    /// Clothes, in MNIST's form.
    FashionMnist,
    /// Small colour pictures of ten kinds of things.
    Cifar10,
    /// House numbers, cropped to digits.
    Svhn,
    /// A folder of pictures, a folder for each class.
    Images(Folder),
}

/// What the pictures of a folder are made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Folder {
    /// One image.
    pub shape: Shape,
    /// Classes: folders.
    pub classes: u32,
    /// Pixels of the shorter side a picture is scaled to before it is cropped.
    pub resize: u32,
}

impl DataSet {
    /// Every set that says its own shape.
    pub const NAMED: [Self; 4] = [Self::Mnist, Self::FashionMnist, Self::Cifar10, Self::Svhn];
    /// How files name a folder of pictures.
    pub const IMAGES: &'static str = "images";

    /// As files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
            Self::Svhn => "svhn",
            Self::Images(_) => Self::IMAGES,
        }
    }

    /// One image.
    pub const fn shape(self) -> Shape {
        match self {
            Self::Mnist | Self::FashionMnist => Shape::new(28, 28, 1),
            Self::Cifar10 | Self::Svhn => Shape::new(32, 32, 3),
            Self::Images(folder) => folder.shape,
        }
    }

    /// Classes.
    pub const fn classes(self) -> u32 {
        match self {
            Self::Mnist | Self::FashionMnist | Self::Cifar10 | Self::Svhn => 10,
            Self::Images(folder) => folder.classes,
        }
    }
}

/// How an input byte becomes a code (`ARITHMETIC`: initial weights and inputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum InputTable {
    /// From 0 to 1, as the authors read MNIST.
    #[serde(rename = "p/256")]
    By256,
    /// From −1 to 1, as the authors read SVHN.
    #[serde(rename = "p/128-1")]
    By128Less1,
    /// From −1 to 1 with both ends, as the authors read CIFAR-10.
    #[serde(rename = "p/127.5-1")]
    By127Point5Less1,
}

impl InputTable {
    /// Every table.
    pub const ALL: [Self; 3] = [Self::By256, Self::By128Less1, Self::By127Point5Less1];

    /// As files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::By256 => "p/256",
            Self::By128Less1 => "p/128-1",
            Self::By127Point5Less1 => "p/127.5-1",
        }
    }
}

/// What is done to training images as they are presented, drawn from the run's seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Augmentation {
    /// Bytes 0 put around an image, of which a crop of the image's size is taken at random; 0 for none.
    pub pad: u32,
    /// Whether half of the images are mirrored, left to right.
    pub flip: bool,
}

impl Augmentation {
    /// Whether images stay as they are.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}
