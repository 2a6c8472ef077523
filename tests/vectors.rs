//! The arithmetic is that of `isa/vectors`, which were worked out without it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use wagesim::compiler::compile;
use wagesim::network::load;
use wagesim::number::{
    Accumulator, AccumulatorRule, Rounding, Stream, StreamKind, clip, draw_weight, exponent, permutation,
    rsh, stochastic_step,
};
use wagesim::program::Initial;
use wagesim::spec::{Machine, Setting};

fn cases<T: DeserializeOwned>(name: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct File<T> {
        cases: Vec<T>,
    }
    let path = format!("{}/isa/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: File<T> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!file.cases.is_empty(), "{name} has cases");
    file.cases
}

#[test]
fn shifts_round_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Case {
        x: i64,
        n: i32,
        rounding: String,
        is: String,
    }
    for c in cases::<Case>("shift") {
        let rounding = match c.rounding.as_str() {
            "even" => Rounding::Even,
            "up" => Rounding::Up,
            _ => Rounding::Truncate,
        };
        assert_eq!(rsh(c.x.into(), c.n, rounding).to_string(), c.is, "{} by {} {}", c.x, c.n, c.rounding);
    }
}

#[test]
fn clips_and_exponents_are_the_vectors() {
    #[derive(Deserialize)]
    struct Clip {
        x: i64,
        bits: u32,
        is: i64,
    }
    for c in cases::<Clip>("clip") {
        assert_eq!(clip(c.x.into(), c.bits), c.is, "{} to {} bits", c.x, c.bits);
    }
    #[derive(Deserialize)]
    struct Exponent {
        m: u64,
        is: u32,
    }
    for c in cases::<Exponent>("exponent") {
        assert_eq!(exponent(c.m.into()), Some(c.is), "{}", c.m);
    }
}

#[test]
fn accumulators_join_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Case {
        rule: AccumulatorRule,
        start: i64,
        products: Vec<i64>,
        register: i64,
        exact: i128,
        overflows: u64,
    }
    for c in cases::<Case>("accumulator") {
        let mut accumulator = Accumulator::new(c.rule, c.start, c.start.into());
        c.products.iter().for_each(|&p| accumulator.product(p));
        let sum = accumulator.finish();
        let found = (sum.register, sum.exact, sum.overflows);
        assert_eq!(found, (c.register, c.exact, c.overflows), "{:?} from {}", c.rule, c.start);
    }
}

#[test]
fn random_words_orders_and_weights_are_the_vectors() {
    #[derive(Deserialize)]
    struct Word {
        seed: u64,
        step: u32,
        stream: String,
        index: u64,
        is: u32,
    }
    for c in cases::<Word>("random") {
        let kind = match c.stream.as_str() {
            "rounding" => StreamKind::Rounding,
            "weights" => StreamKind::Weights,
            "order" => StreamKind::Order,
            _ => StreamKind::Augmentation,
        };
        assert_eq!(
            Stream { seed: c.seed, step: c.step, kind }.word(c.index),
            c.is,
            "{} {}",
            c.stream,
            c.index
        );
    }
    #[derive(Deserialize)]
    struct Order {
        seed: u64,
        epoch: u32,
        n: u32,
        is: Vec<u32>,
    }
    for c in cases::<Order>("order") {
        assert_eq!(permutation(c.seed, c.epoch, c.n), c.is);
    }
    #[derive(Deserialize)]
    struct Weight {
        word: u32,
        limit: i64,
        bits: u32,
        is: i64,
    }
    for c in cases::<Weight>("weights") {
        assert_eq!(draw_weight(c.word, c.limit, c.bits), c.is, "word {}", c.word);
    }
}

#[test]
fn gradients_round_stochastically_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct Case {
        g: i64,
        t: i32,
        random: u32,
        random_bits: u32,
        is: i128,
    }
    for c in cases::<Case>("stochastic") {
        assert_eq!(stochastic_step(c.g, c.t, c.random, c.random_bits), c.is, "{} by {}", c.g, c.t);
    }
}

#[test]
fn compiled_programs_carry_the_vectors_input_tables() {
    #[derive(Deserialize)]
    struct Case {
        table: String,
        bits: u32,
        is: Vec<i64>,
    }
    let text = include_str!("../programs/quick.toml");
    for c in cases::<Case>("input") {
        let sets = [format!("data.input=\"{}\"", c.table), format!("wage.bits.A={}", c.bits)];
        let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
        let (network, recipe, _) = load(text, "quick.toml", &sets).unwrap();
        let program = compile(&network, &recipe, &Machine::default(), text).unwrap();
        let tables = program.tensors.iter().filter_map(|t| match &t.initial {
            Initial::Values(values) => Some(values.clone()),
            _ => None,
        });
        assert_eq!(tables.collect::<Vec<_>>(), [c.is], "{} at {} bits", c.table, c.bits);
    }
}
