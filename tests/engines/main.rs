//! The fast engine is the reference engine: the same state, the same outcome, on random instructions of every kind.

#[path = "../random/dice.rs"]
mod dice;
mod instructions;
mod strands;
mod windows;

use dice::Dice;
use instructions::{case, step};
use proptest::prelude::*;
use proptest::test_runner::Config;
use wagesim::isa::{Instr, Memory, verify};
use wagesim::machine::{Engine, Extension, Fast, Reference};
use wagesim::number::AccumulatorRule;
use windows::{convolution, pooled_gradient};

/// Executes the same on both; how many instructions were valid.
fn agree(seed: u64, mut fast: Fast) -> Result<usize, TestCaseError> {
    let (mut state, steps) = case(seed, 3);
    let mut other_state = state.clone();
    let mut reference = Reference::new();
    for (pc, &(instr, rule)) in (0u32..).zip(&steps) {
        let step = step(pc, instr, rule);
        let found = fast.execute(&step, &mut state);
        let expected = reference.execute(&step, &mut other_state);
        prop_assert_eq!(&found, &expected, "seed {}, {} with {:?}", seed, instr, rule);
        if found.is_err() {
            break;
        }
        for memory in Memory::ALL {
            let (a, b) = (state.memory(memory), other_state.memory(memory));
            let first = a.iter().zip(b).position(|(a, b)| a != b);
            prop_assert_eq!(
                first,
                None,
                "seed {}: {} differs after {} with {:?}",
                seed,
                memory.name(),
                instr,
                rule
            );
        }
        prop_assert_eq!(
            (state.scales, state.counters),
            (other_state.scales, other_state.counters),
            "{}",
            instr
        );
    }
    Ok(steps.len())
}

fn cases() -> u32 {
    std::env::var("ENGINE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn engines_agree(seed in any::<u64>()) {
        for extension in Extension::available() {
            agree(seed, Fast::with(extension, 1))?;
        }
    }
}

// What takes longer: products that fill tiles.
proptest! {
    #![proptest_config(Config { cases: cases() / 5, failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn engines_agree_on_errors_that_pooling_sent_back(seed in 1u64.., odd in 0u32..3) {
        let mut d = Dice(seed);
        let (state, m) = pooled_gradient(&mut d, odd);
        let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
        let step = step(0, Instr::MPositions(m), AccumulatorRule::default());
        prop_assert_eq!(verify(&step.instr, &sizes), Ok(()));
        let mut expected = state.clone();
        let outcome = Reference::new().execute(&step, &mut expected);
        for extension in Extension::available() {
            let mut found = state.clone();
            prop_assert_eq!(&Fast::with(extension, 1).execute(&step, &mut found), &outcome);
            prop_assert!(found == expected, "seed {}, {}", seed, step.instr);
        }
    }

    #[test]
    fn engines_agree_on_outputs_that_share_taps(seed in 1u64..) {
        let (state, m, rule) = convolution(&mut Dice(seed));
        let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
        let step = step(0, Instr::MTaps(m), rule);
        prop_assume!(verify(&step.instr, &sizes) == Ok(()));
        let mut expected = state.clone();
        let outcome = Reference::new().execute(&step, &mut expected);
        for extension in Extension::available() {
            let mut fast = Fast::with(extension, 1);
            // Again: what is known of weights stays.
            for _ in 0..2 {
                let mut found = state.clone();
                prop_assert_eq!(&fast.execute(&step, &mut found), &outcome);
                prop_assert!(found == expected, "seed {}, {}", seed, step.instr);
            }
        }
    }
}

#[test]
fn most_random_instructions_are_valid() {
    let valid: usize =
        (1..500u64).map(|s| agree(s * 7919, Fast::with(Extension::chosen(), 1)).unwrap()).sum();
    assert!(valid > 800, "{valid} of about 2000");
}
