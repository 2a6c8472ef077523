//! The random words of stochastic rounding, by the generator that the machine has.

use std::sync::OnceLock;

use super::random::{Stream, StreamKind};

/// Where the words come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WordSource {
    /// Philox: word `i` is word `i` of the step's stream, whatever the machine.
    #[default]
    Philox,
    /// A 16-bit shift register in each lane, stepped once a word: cheap, and poor. The only words that depend on lanes.
    Lfsr16 {
        /// Lanes of the vector unit.
        lanes: u32,
    },
}

/// The words of one step.
#[derive(Debug, Clone, Copy)]
pub struct RoundingWords {
    stream: Stream,
    source: WordSource,
}

/// States of a register before it comes round: all but zero.
const PERIOD: usize = (1 << 16) - 1;

/// The states in order, from 1 on, and the place of each.
struct Cycle {
    states: Vec<u16>,
    places: Vec<usize>,
}

/// The register of Galois's form with the polynomial x^16 + x^14 + x^13 + x^11 + 1, moved right.
fn next(state: u16) -> u16 {
    let taps = if state & 1 == 1 { 0xB400 } else { 0 };
    state >> 1 ^ taps
}

fn cycle() -> &'static Cycle {
    static CYCLE: OnceLock<Cycle> = OnceLock::new();
    CYCLE.get_or_init(|| {
        let states: Vec<u16> = std::iter::successors(Some(1), |&s| Some(next(s))).take(PERIOD).collect();
        let mut places = vec![0; PERIOD + 1];
        states.iter().enumerate().for_each(|(place, &state)| places[usize::from(state)] = place);
        Cycle { states, places }
    })
}

impl RoundingWords {
    /// The words of a training step.
    pub fn new(source: WordSource, seed: u64, step: u32) -> RoundingWords {
        RoundingWords { stream: Stream { seed, step, kind: StreamKind::Rounding }, source }
    }

    /// Word number `index`.
    pub fn word(&self, index: u64) -> u32 {
        match self.source {
            WordSource::Philox => self.stream.word(index),
            WordSource::Lfsr16 { lanes } => self.register(index % u64::from(lanes), index / u64::from(lanes)),
        }
    }

    /// Words `first`, `first + 1`, … into `out`.
    #[inline(always)]
    pub fn fill(&self, first: u64, out: &mut [u32]) {
        match self.source {
            WordSource::Philox => self.stream.fill(first, out),
            WordSource::Lfsr16 { .. } => {
                (first..).zip(out).for_each(|(index, word)| *word = self.word(index));
            }
        }
    }

    /// A lane's register after its words number 0 to `number`, as the top 16 bits of a word. It begins each step with the low 16
    /// bits of the lane's word of the step's stream, or with 1 where they are 0.
    fn register(&self, lane: u64, number: u64) -> u32 {
        let [low, high, ..] = self.stream.word(lane).to_le_bytes();
        let Cycle { states, places } = cycle();
        let first = places[usize::from(u16::from_le_bytes([low, high]).max(1))];
        let moved = usize::try_from(number % PERIOD as u64).unwrap_or(0) + 1;
        u32::from(states[(first + moved) % PERIOD]) << 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_goes_through_all_states() {
        let Cycle { states, places } = cycle();
        assert_eq!(next(*states.last().unwrap()), 1);
        assert!((1..=u16::MAX).all(|state| states[places[usize::from(state)]] == state));
    }

    #[test]
    fn a_lane_is_a_register_stepped_once_a_word() {
        let (lanes, seed, step) = (5, 9, 3);
        let words = RoundingWords::new(WordSource::Lfsr16 { lanes }, seed, step);
        let stream = Stream { seed, step, kind: StreamKind::Rounding };
        let low = |word: u32| u16::try_from(word & 0xFFFF).unwrap().max(1);
        let mut registers: Vec<u16> = (0..lanes).map(|lane| low(stream.word(lane.into()))).collect();
        let mut expected = Vec::new();
        for _ in 0..40 {
            registers.iter_mut().for_each(|r| *r = next(*r));
            expected.extend(registers.iter().map(|&r| u32::from(r) << 16));
        }
        let mut filled = vec![0; expected.len() - 7];
        words.fill(7, &mut filled);
        assert_eq!(filled, expected[7..]);
        // Where the register has come round.
        let far = 5 * PERIOD as u64;
        assert_eq!(words.word(far + 2), expected[2]);
    }

    #[test]
    fn neighbours_of_a_register_correlate() {
        let words = RoundingWords::new(WordSource::Lfsr16 { lanes: 1 }, 1, 1);
        // A bit moves right by one a word, but where taps change it: this one they do not.
        let bit = |index: u64, place: u32| words.word(index) >> place & 1;
        assert!((1..10_000).all(|i| bit(i - 1, 28) == bit(i, 27)));
        let ones: u32 = (0..10_000).map(|i| bit(i, 31)).sum();
        assert!((4_500..5_500).contains(&ones));
    }
}
