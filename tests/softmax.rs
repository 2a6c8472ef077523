//! Softmax in integers: a program as the compiler writes it, held to real numbers.

use wagesim::compiler::compile;
use wagesim::isa::Memory;
use wagesim::machine::{Engine, Fast, Reference, State, run};
use wagesim::network;
use wagesim::program::{Plan, Program};
use wagesim::spec::Machine;

const ROWS: usize = 64;
const COLUMNS: usize = 10;

/// The powers of two that a compiled network carries.
fn powers() -> Vec<u8> {
    let net =
        "wage = { loss = \"softmax\" }\nlayer = [{ fc = 10 }]\nrecipe = { epochs = 1, learning_rate = 1 }";
    let (network, recipe, _) = network::load(net, "net.toml", &[]).unwrap();
    let program = compile(&network, &recipe, &Machine::default(), net).unwrap();
    let range = program.tensor("powers").unwrap().range();
    let mut dram = vec![0; usize::try_from(program.dram_bytes).unwrap()];
    program.fill_dram(1, &mut dram);
    dram[range].to_vec()
}

/// Shares of the outputs, with so many bits of fraction.
fn shares(outputs: &[i32], fraction: u32, engine: &mut dyn Engine) -> Vec<i32> {
    let text = format!(
        "main:
            v.reduce dst=operand[2048] dst_format=64 src=accumulator[0] src_format=32 rows={ROWS} columns={COLUMNS}
            v.exp dst=accumulator[4096] dst_format=32 src=accumulator[0] src_format=32 row=operand[2048] row_format=64 table=operand[0] rows={ROWS} columns={COLUMNS} fraction={fraction}
            v.reduce dst=operand[4096] dst_format=64 src=accumulator[4096] src_format=32 rows={ROWS} columns={COLUMNS} sum=1
            v.divide dst=accumulator[4096] dst_format=32 src=accumulator[4096] src_format=32 row=operand[4096] row_format=64 rows={ROWS} columns={COLUMNS} shift=16
            halt\n"
    );
    let program = Program::from_text(&text, "softmax.s").unwrap();
    let plan = Plan::new(&program, "main").unwrap();
    plan.verify(&[8192, 64, 8192, 64, 64]).unwrap();
    let mut state = State::new([8192, 64, 8192, 64, 64], 1);
    let powers = powers();
    state.memory_mut(Memory::Operand)[..powers.len()].copy_from_slice(&powers);
    for (to, from) in state.memory_mut(Memory::Accumulator).chunks_exact_mut(4).zip(outputs) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    run(&plan, engine, &mut state, &mut []).unwrap();
    let bytes = &state.memory(Memory::Accumulator)[4096..][..4 * outputs.len()];
    bytes.as_chunks::<4>().0.iter().map(|&b| i32::from_le_bytes(b)).collect()
}

#[test]
fn shares_are_within_two_to_the_minus_twelve_of_softmax_in_real_numbers() {
    let mut word = 1_u64;
    let mut next = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i32::try_from(word >> 40).unwrap() - (1 << 23)
    };
    let mut worst = 0_f64;
    for fraction in [0, 4, 11, 20] {
        for spread in [3, 8, 12, 20] {
            let outputs: Vec<i32> = (0..ROWS * COLUMNS).map(|_| next() >> (23 - spread)).collect();
            let found = shares(&outputs, fraction, &mut Fast::new());
            assert_eq!(found, shares(&outputs, fraction, &mut Reference::new()));
            for (row, found) in outputs.chunks(COLUMNS).zip(found.chunks(COLUMNS)) {
                let real = |&x: &i32| f64::from(x) / f64::from(1_u32 << fraction);
                let greatest = row.iter().map(real).fold(f64::MIN, f64::max);
                let sum: f64 = row.iter().map(|x| (real(x) - greatest).exp()).sum();
                for (x, &share) in row.iter().zip(found) {
                    let expected = (real(x) - greatest).exp() / sum;
                    worst = worst.max((f64::from(share) / 65_536.0 - expected).abs());
                }
            }
        }
    }
    assert!(worst <= 2_f64.powi(-12), "{worst}");
    assert!(worst <= 2_f64.powi(-16), "{worst}: what the manual says as a rule");
}
