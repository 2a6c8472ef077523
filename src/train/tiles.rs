//! Tests: a network trained by the machine code of the AMX kernel, emulated where the processor has no AMX, is the network
//! trained by the plainest kernels.

use super::Run;
use crate::compiler::compile;
use crate::data::{DataSet, Images};
use crate::machine::{Engine, Extension, Fast};
use crate::network::load;
use crate::spec::{Machine, Setting};

/// Pictures of no meaning.
fn noise(count: usize) -> Images {
    let mut word = 1u64;
    let mut byte = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.to_be_bytes()[0]
    };
    let pixels = (0..28 * 28 * count).map(|_| byte()).collect();
    Images::held([28, 28, 1], pixels, (0..count).map(|i| u16::try_from(i % 10).unwrap()).collect())
}

#[test]
fn tiles_train_what_plain_loops_train() {
    let Some(tiles) = Fast::emulated_amx() else { return };
    let text = include_str!("../../programs/quick.toml");
    let settings = ["recipe.batch=32"].map(|s| Setting::parse(s).unwrap());
    let routed = crate::network::route(&settings).unwrap();
    let (network, recipe, _) = load(text, "quick.toml", &routed.program).unwrap();
    let machine = Machine::from_toml("", "default machine", &routed.machine).unwrap();
    let program = compile(&network, &recipe, &machine, text).unwrap();
    let data = DataSet { train: noise(64), test: noise(32) };
    let folder = tempfile::tempdir().unwrap();
    let trained = |engine: Box<dyn Engine>, name: &str| {
        let mut run = Run::new(&program, &machine, &recipe, &data, engine).unwrap();
        (0..2).for_each(|_| run.step(&mut []).unwrap());
        let file = folder.path().join(name);
        run.checkpoint().save(&file).unwrap();
        std::fs::read(file).unwrap()
    };
    let by_tiles = trained(Box::new(tiles), "tiles");
    assert!(by_tiles == trained(Box::new(Fast::with(Extension::Portable, 1)), "plain"));
    assert!(Fast::emulated_products().is_none_or(|products| products > 10_000));
}
