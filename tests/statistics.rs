//! Bit statistics against an independent recount: every tensor of a dumped step, and every join of every sum in plain loops.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wagesim::number::needed_bits;

/// A dumped tensor.
#[derive(Debug, Clone)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<i64>,
}

type Dump = BTreeMap<String, Tensor>;

fn load(path: &Path) -> Dump {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: safetensors::tensor::TensorView<'_>| {
        let size = view.data().len() / view.shape().iter().product::<usize>().max(1);
        let value = |chunk: &[u8]| {
            let sign = if chunk[size - 1] >= 128 { 0xff } else { 0 };
            let mut wide = [sign; 8];
            wide[..size].copy_from_slice(chunk);
            i64::from_le_bytes(wide)
        };
        Tensor { shape: view.shape().to_vec(), values: view.data().chunks(size).map(value).collect() }
    };
    file.tensors().into_iter().map(|(name, view)| (name, tensor(view))).collect()
}

/// A phase's rule, as the test sets it.
#[derive(Debug, Clone, Copy)]
struct Rule {
    bits: u32,
    saturates: bool,
    tree: usize,
    chunk: usize,
}

/// What the joins of many sums come to.
#[derive(Debug, Default, PartialEq)]
struct Count {
    needed: Vec<u64>,
    peaks: Vec<u64>,
    peak_least: i64,
    peak_greatest: i64,
    least: i64,
    greatest: i64,
    zeros: u64,
    wrong: u64,
    wrapped: u64,
    saturated: u64,
}

fn bin(counts: &mut Vec<u64>, bits: u32) {
    let bits = usize::try_from(bits).unwrap();
    counts.resize(counts.len().max(bits), 0);
    counts[bits - 1] += 1;
}

impl Count {
    /// One sum, product by product.
    fn sum(&mut self, rule: Rule, products: &[i64]) {
        let (low, high) = (-(1i64 << (rule.bits - 1)), (1i64 << (rule.bits - 1)) - 1);
        let mut out = 0;
        let mut join = |register: i64, x: i64| {
            let sum = register + x;
            out += u64::from(sum < low || sum > high);
            if rule.saturates { sum.clamp(low, high) } else { (sum - low).rem_euclid(1 << rule.bits) + low }
        };
        let (mut register, mut inner, mut exact, mut exact_inner, mut n) = (0, 0, 0i64, 0i64, 0);
        let (mut least, mut greatest) = (0, 0);
        let mut reached = |sum: i64| {
            least = least.min(sum);
            greatest = greatest.max(sum);
        };
        for group in products.chunks(rule.tree) {
            let group: i64 = group.iter().sum();
            if rule.chunk == 0 {
                register = join(register, group);
                exact += group;
                reached(exact);
                continue;
            }
            inner = join(inner, group);
            exact_inner += group;
            reached(exact_inner);
            n += 1;
            if n == rule.chunk {
                register = join(register, inner);
                exact += exact_inner;
                reached(exact);
                (inner, exact_inner, n) = (0, 0, 0);
            }
        }
        if n > 0 {
            register = join(register, inner);
            exact += exact_inner;
            reached(exact);
        }
        bin(&mut self.needed, needed_bits(exact));
        bin(&mut self.peaks, needed_bits(least).max(needed_bits(greatest)));
        (self.peak_least, self.peak_greatest) =
            (self.peak_least.min(least), self.peak_greatest.max(greatest));
        let first = self.needed.iter().sum::<u64>() == 1;
        (self.least, self.greatest) =
            if first { (exact, exact) } else { (self.least.min(exact), self.greatest.max(exact)) };
        self.zeros += u64::from(exact == 0);
        self.wrong += u64::from(register != exact);
        if rule.saturates { self.saturated += out } else { self.wrapped += out }
    }
}

/// A layer as a window over maps; a dense layer is one of 1×1.
struct Layer {
    input: Tensor,
    weight: Tensor,
    /// The error of its accumulators, after mask and pool.
    error: Tensor,
}

fn at(t: &Tensor, index: [usize; 4]) -> i64 {
    let place = index.iter().zip(&t.shape).fold(0, |sum, (i, n)| sum * n + i);
    t.values[place]
}

fn four(t: &Tensor, dense: bool) -> Tensor {
    let s = &t.shape;
    let shape = match (dense, s.len()) {
        (true, 2) => vec![s[0], 1, 1, s[1]],
        (true, _) => vec![s[0], 1, 1, s[1..].iter().product()],
        _ => s.clone(),
    };
    Tensor { shape, values: t.values.clone() }
}

impl Layer {
    fn forward(&self, rule: Rule) -> Count {
        let mut count = Count::default();
        let (x, w, out) = (&self.input.shape, &self.weight.shape, &self.error.shape);
        for (n, r, c, o) in places(out) {
            let mut products = Vec::new();
            for (i, j, k) in
                (0..w[0]).flat_map(|i| (0..w[1]).flat_map(move |j| (0..w[2]).map(move |k| (i, j, k))))
            {
                products.push(at(&self.input, [n, r + i, c + j, k]) * at(&self.weight, [i, j, k, o]));
            }
            assert_eq!(products.len(), w[0] * w[1] * x[3]);
            count.sum(rule, &products);
        }
        count
    }

    fn error(&self, rule: Rule) -> Count {
        let mut count = Count::default();
        let (x, w, e) = (&self.input.shape, &self.weight.shape, &self.error.shape);
        for (n, r, c, k) in places(x) {
            let mut products = Vec::new();
            for (i, j, o) in
                (0..w[0]).flat_map(|i| (0..w[1]).flat_map(move |j| (0..w[3]).map(move |o| (i, j, o))))
            {
                // The window over the error map, its kernel flipped; outside it are zeros.
                let (y, z) = ((r + i).checked_sub(w[0] - 1), (c + j).checked_sub(w[1] - 1));
                products.push(match (y.filter(|&y| y < e[1]), z.filter(|&z| z < e[2])) {
                    (Some(y), Some(z)) => {
                        at(&self.error, [n, y, z, o]) * at(&self.weight, [w[0] - 1 - i, w[1] - 1 - j, k, o])
                    }
                    _ => 0,
                });
            }
            count.sum(rule, &products);
        }
        count
    }

    fn gradient(&self, rule: Rule) -> Count {
        let mut count = Count::default();
        let (w, e) = (&self.weight.shape, &self.error.shape);
        for (i, j, k, o) in places(w) {
            let mut products = Vec::new();
            for (n, r, c) in
                (0..e[0]).flat_map(|n| (0..e[1]).flat_map(move |r| (0..e[2]).map(move |c| (n, r, c))))
            {
                products.push(at(&self.input, [n, r + i, c + j, k]) * at(&self.error, [n, r, c, o]));
            }
            count.sum(rule, &products);
        }
        count
    }
}

fn places(shape: &[usize]) -> impl Iterator<Item = (usize, usize, usize, usize)> + use<> {
    let [a, b, c, d] = [shape[0], shape[1], shape[2], shape[3]];
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// The error of a layer's accumulators: where ReLU passes it, at the first greatest of each pool window.
fn routed(acc: &Tensor, error: &Tensor, pool: usize) -> Tensor {
    let mut out = Tensor { shape: acc.shape.clone(), values: vec![0; acc.values.len()] };
    for (n, r, c, k) in places(&error.shape) {
        let mut best = (i64::MIN, 0);
        for (y, x) in (0..pool).flat_map(|y| (0..pool).map(move |x| (y, x))) {
            let index = [n, r * pool + y, c * pool + x, k];
            let place = index.iter().zip(&acc.shape).fold(0, |sum, (i, n)| sum * n + i);
            if acc.values[place] > best.0 {
                best = (acc.values[place], place);
            }
        }
        if best.0 > 0 {
            out.values[best.1] = at(error, [n, r, c, k]);
        }
    }
    out
}

const NET: &str = "\
[data]
set = \"mnist\"
[[layer]]
conv = 4
kernel = 5
pool = 2
[[layer]]
conv = 6
kernel = [3, 2]
pool = 5
[[layer]]
fc = 12
[[layer]]
fc = 10
[recipe]
epochs = 1
batch = 4
learning_rate = 8
";

/// Trains one step and recounts it; `keys` are settings of the three phases, in their order.
fn check(name: &str, rules: [Rule; 3], more: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("net.toml"), NET).unwrap();
    let mut args: Vec<String> =
        ["train", "net.toml", "--steps", "1", "--out", "run", "--dump-tensors", "dump"]
            .map(str::to_owned)
            .to_vec();
    for (phase, rule) in ["forward", "error", "gradient"].iter().zip(rules) {
        let overflow = if rule.saturates { "saturate" } else { "wrap" };
        let (bits, tree, chunk) = (rule.bits, rule.tree, rule.chunk);
        for setting in [
            format!("bits={bits}"),
            format!("overflow={overflow}"),
            format!("tree={tree}"),
            format!("chunk={chunk}"),
        ] {
            args.extend(["--set".to_owned(), format!("accumulators.{phase}.{setting}")]);
        }
    }
    more.iter().for_each(|set| args.extend(["--set".to_owned(), (*set).to_owned()]));
    let out =
        Command::new(env!("CARGO_BIN_EXE_wagesim")).args(&args).current_dir(dir.path()).output().unwrap();
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
    let report: Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("run/report.json")).unwrap()).unwrap();
    let dump = load(&dir.path().join("dump/step-000001.safetensors"));
    let found = |layer: usize, class: &str| -> Value {
        let name = ["conv0", "conv1", "fc2", "fc3"][layer];
        let lines = report["statistics"].as_array().unwrap();
        let line = lines.iter().find(|l| l["layer"] == name && l["class"] == class);
        line.unwrap_or_else(|| panic!("{name} has no {class}")).clone()
    };
    for (class, tensor, layers) in [
        ("W_stored", "weight", 0..4),
        ("W", "weight_q", 0..4),
        ("A", "activation", 0..3),
        ("E", "error", 0..4),
        ("G", "delta", 0..4),
    ] {
        for layer in layers {
            let line = found(layer, class);
            let values = &dump[&format!("layer.{layer}.{tensor}")].values;
            let mut needed = Vec::new();
            values.iter().for_each(|&v| bin(&mut needed, needed_bits(v)));
            assert_eq!(
                line["epochs"][0]["needed_bits"],
                serde_json::json!(needed),
                "{name}: {class} of {layer}"
            );
            assert_eq!(line["least"], *values.iter().min().unwrap(), "{name}: {class} of {layer}");
            assert_eq!(line["greatest"], *values.iter().max().unwrap(), "{name}: {class} of {layer}");
            assert_eq!(
                line["zeros"],
                values.iter().filter(|&&v| v == 0).count(),
                "{name}: {class} of {layer}"
            );
        }
    }
    for layer in 0..4 {
        let get = |tensor: &str| &dump[&format!("layer.{layer}.{tensor}")];
        let dense = layer >= 2;
        let input =
            if layer == 0 { &dump["input"] } else { &dump[&format!("layer.{}.activation", layer - 1)] };
        let weight = get("weight_q");
        let weight = if dense {
            Tensor { shape: vec![1, 1, weight.shape[0], weight.shape[1]], ..weight.clone() }
        } else {
            weight.clone()
        };
        let error = match layer {
            0 | 1 => routed(get("acc"), get("error"), [2, 5][layer]),
            2 => routed(&four(get("acc"), true), &four(get("error"), true), 1),
            _ => four(get("error"), true),
        };
        let layer_of = Layer { input: four(input, dense), weight, error };
        let mut counts = vec![
            ("acc_forward", layer, layer_of.forward(rules[0])),
            ("acc_gradient", layer, layer_of.gradient(rules[2])),
        ];
        if layer > 0 {
            counts.push(("acc_error", layer - 1, layer_of.error(rules[1])));
        }
        for (class, layer, count) in counts {
            let line = found(layer, class);
            let at = format!("{name}: {class} of {layer}");
            assert_eq!(line["epochs"][0]["needed_bits"], serde_json::json!(count.needed), "{at}");
            assert_eq!(line["epochs"][0]["peak_bits"], serde_json::json!(count.peaks), "{at}");
            for (key, value) in [("least", count.least), ("greatest", count.greatest)] {
                assert_eq!(line[key], value, "{at}: {key}");
            }
            for (key, value) in
                [("zeros", count.zeros), ("wrong_outputs", count.wrong), ("saturated_joins", count.saturated)]
            {
                assert_eq!(line[key], value, "{at}: {key}");
            }
            let recount = &line["recount"];
            assert_eq!(recount["peak_least"], count.peak_least, "{at}");
            assert_eq!(recount["peak_greatest"], count.peak_greatest, "{at}");
            assert_eq!(recount["wrapped_joins"], count.wrapped, "{at}: joins that wrapped");
            let worst = recount["worst_case_bits"].as_u64().unwrap();
            let reached = needed_bits(count.peak_least).max(needed_bits(count.peak_greatest));
            assert!(u64::from(reached) <= worst, "{at}: {reached} bits, the worst case {worst}");
            if let Some(l1) = recount.get("l1_bound_bits").and_then(Value::as_u64) {
                assert!(u64::from(reached) <= l1 && l1 <= worst, "{at}: {reached}, {l1}, {worst}");
            }
        }
    }
}

const WIDE: Rule = Rule { bits: 32, saturates: false, tree: 1, chunk: 0 };

#[test]
fn statistics_are_an_independent_recount() {
    check("wide", [WIDE; 3], &[]);
    let narrow = |bits, saturates| Rule { bits, saturates, ..WIDE };
    check("narrow", [narrow(10, false), narrow(9, true), narrow(13, false)], &[]);
    let grouped = |bits, saturates, tree, chunk| Rule { bits, saturates, tree, chunk };
    check("grouped", [grouped(10, true, 3, 0), grouped(9, false, 2, 5), grouped(12, true, 4, 7)], &[]);
}

#[test]
fn statistics_survive_tiles_that_split_reductions() {
    let tiles =
        ["memory.operand.kib=2", "memory.weight.kib=1", "memory.accumulator.kib=4", "memory.mask.kib=1"];
    let narrow = |bits, saturates| Rule { bits, saturates, ..WIDE };
    check("tiled", [narrow(10, false), narrow(9, true), narrow(13, false)], &tiles);
}
