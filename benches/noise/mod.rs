//! Pictures that the benches train on where the time is what counts.

use wagesim::data::{DataSet, Images};

/// Pictures of no meaning, of CIFAR-10's shape.
pub(crate) fn pictures() -> DataSet {
    let mut word = 1u64;
    let mut byte = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    };
    let mut images = |count: usize| {
        let pixels = (0..32 * 32 * 3 * count).map(|_| byte()).collect();
        Images::held([32, 32, 3], pixels, (0..count).map(|i| u16::try_from(i % 10).unwrap()).collect())
    };
    DataSet { train: images(1280), test: images(128) }
}
