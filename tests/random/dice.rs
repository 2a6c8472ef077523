//! Dice: numbers that random cases are made of.

use wagesim::isa::Format;

/// Numbers from a seed; a failing seed is the whole case.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub(crate) fn within(&mut self, least: i64, greatest: i64) -> i64 {
        let span = u64::try_from(greatest - least + 1).unwrap();
        least + i64::try_from(self.word() % span).unwrap()
    }

    pub(crate) fn count(&mut self, least: u32, greatest: u32) -> u32 {
        u32::try_from(self.within(least.into(), greatest.into())).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.word().is_multiple_of(n)
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.word()).unwrap() % all.len()]
    }

    /// A common format, or any.
    pub(crate) fn format(&mut self, most: u32) -> Format {
        let bits = if self.one_in(3) { self.count(1, most) } else { self.of(&[2, 8, 16, 24, 32]).min(most) };
        Format::new(bits).unwrap()
    }
}
