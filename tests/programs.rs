//! The programs users start from compute what was worked out outside the simulator (`tests/outside/programs.py`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use wagesim::program::Program;

type Tensors = BTreeMap<String, Vec<i64>>;

fn here(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A file of tensors in the shapes the program gives them.
fn file(program: &Program, tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<(&String, Vec<u8>)> =
        tensors.iter().map(|(name, v)| (name, v.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
    let views = bytes.iter().map(|(name, bytes)| {
        let shape = &program.tensor(name).expect(name).shape;
        let shape = shape.iter().map(|&d| usize::try_from(d).unwrap()).collect();
        (name.as_str(), TensorView::new(Dtype::I64, shape, bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

fn values(file: &[u8], name: &str) -> Vec<i64> {
    let file = SafeTensors::deserialize(file).unwrap();
    let tensor = file.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        Dtype::I8 => data.iter().map(|&b| b.cast_signed().into()).collect(),
        Dtype::U8 => data.iter().map(|&b| b.into()).collect(),
        Dtype::I32 => data.as_chunks::<4>().0.iter().map(|&w| i32::from_le_bytes(w).into()).collect(),
        other => panic!("{name} is {other:?}"),
    }
}

/// Runs a program on its case's inputs, as text and assembled.
fn computes_its_case(name: &str, arguments: &[&str]) {
    let case = std::fs::read_to_string(here(&format!("tests/cases/programs/{name}.json"))).unwrap();
    let case: BTreeMap<String, Tensors> = serde_json::from_str(&case).unwrap();
    let source = here(&format!("programs/{name}.s"));
    let program = Program::from_text(&std::fs::read_to_string(&source).unwrap(), name).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.safetensors"), file(&program, &case["inputs"])).unwrap();
    let wagesim = |args: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir.path()).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && told.is_empty(), "{name}: {told}");
    };
    wagesim(&["asm", &source, "-o", "p.safetensors"]);
    wagesim(&["disasm", "p.safetensors", "-o", "again.s"]);
    for program in [source.as_str(), "p.safetensors", "again.s"] {
        let files = ["--input", "in.safetensors", "--output", "out.safetensors"];
        wagesim(&[&["run", program], &files[..], arguments].concat());
        let out = std::fs::read(dir.path().join("out.safetensors")).unwrap();
        for (tensor, expected) in &case["outputs"] {
            let found = values(&out, tensor);
            let first = found.iter().zip(expected).position(|(a, b)| a != b);
            assert!(found == *expected, "{name}: {tensor} differs first at element {first:?}");
        }
    }
}

#[test]
fn a_convolution_with_pooling_computes_the_codes_and_places_worked_out_outside() {
    computes_its_case("convolution-pool", &[]);
}

#[test]
fn max_shift_round_computes_the_codes_worked_out_outside() {
    computes_its_case("requantise", &[]);
}

#[test]
fn a_dense_training_step_computes_every_tensor_worked_out_outside() {
    computes_its_case("dense-step", &["--seed", "7"]);
}

#[test]
fn every_program_is_read_without_a_warning() {
    for file in std::fs::read_dir(Path::new(&here("programs"))).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|e| e == "s") {
            let text = std::fs::read_to_string(&path).unwrap();
            let assembled = Program::assembled(&text, &path.display().to_string()).unwrap();
            let warnings: Vec<String> = assembled.warnings.iter().map(ToString::to_string).collect();
            assert!(warnings.is_empty(), "{}", warnings.join("\n"));
        }
    }
}

#[test]
fn the_guides_program_runs() {
    let guide = std::fs::read_to_string(here("isa/assembly.md")).unwrap();
    let from = guide.find("; double.s").unwrap();
    let text = &guide[from..from + guide[from..].find("```").unwrap()];
    let program = Program::from_text(text, "double.s").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let inputs = Tensors::from([("x".to_owned(), (-50..50).collect())]);
    std::fs::write(dir.path().join("in.safetensors"), file(&program, &inputs)).unwrap();
    std::fs::write(dir.path().join("double.s"), text).unwrap();
    let args = ["run", "double.s", "--input", "in.safetensors", "--output", "out.safetensors"];
    let out =
        Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let doubled: Vec<i64> = (-50..50).map(|x| 2 * x).collect();
    assert_eq!(values(&std::fs::read(dir.path().join("out.safetensors")).unwrap(), "y"), doubled);
}

/// What `wagesim run` says of inputs that do not fit `programs/requantise-product.s`.
#[test]
fn inputs_that_do_not_fit_are_named_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let source = here("programs/requantise-product.s");
    let (a, b) = (vec![1u8; 16 * 64], vec![1u8; 64 * 32]);
    let view = |dtype, shape: &[usize], bytes: &[u8]| (dtype, shape.to_vec(), bytes.to_vec());
    let good_a = || ("a", view(Dtype::I8, &[16, 64], &a));
    let good_b = || ("b", view(Dtype::I8, &[64, 32], &b));
    let mut loud: Vec<u8> = vec![0; 16 * 64 * 2];
    loud[2 * (64 * 3 + 5)..][..2].copy_from_slice(&257i16.to_le_bytes());
    type Given<'n> = (&'n str, (Dtype, Vec<usize>, Vec<u8>));
    let cases: [(Vec<Given<'_>>, &[&str]); 7] = [
        (vec![good_a(), ("bb", good_b().1)], &["`bb`", "did you mean `b`"]),
        (vec![good_a(), ("weights", good_b().1)], &["`weights`", "a, b, sums, codes"]),
        (vec![good_a(), ("b", view(Dtype::I8, &[32, 64], &b))], &["[32, 64]", "[64, 32]", "reshape"]),
        (vec![good_b(), ("a", view(Dtype::I8, &[64], &a[..64]))], &["[64]", "[16, 64]"]),
        (vec![good_a(), ("b", view(Dtype::F32, &[64, 32], &[0; 4 * 64 * 32]))], &["F32", "astype"]),
        (vec![good_b(), ("a", view(Dtype::I16, &[16, 64], &loud))], &["257 at [3, 5]", "-128 to 127"]),
        (vec![good_a()], &["`b`", "64, 32", "in.safetensors", "--zeros"]),
    ];
    let run = |args: &[&str]| {
        let args = [&["run", source.as_str()], args].concat();
        Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir.path()).output().unwrap()
    };
    for (tensors, named) in cases {
        let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let file = safetensors::serialize(views, None).unwrap();
        std::fs::write(dir.path().join("in.safetensors"), file).unwrap();
        let out = run(&["--input", "in.safetensors"]);
        let error = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{error}");
        named.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
    }
    std::fs::write(dir.path().join("in.safetensors"), b"x").unwrap();
    let error = String::from_utf8(run(&["--input", "in.safetensors"]).stderr).unwrap();
    assert!(error.contains("in.safetensors") && error.contains("save_file"), "{error}");
    let error = String::from_utf8(run(&[]).stderr).unwrap();
    assert!(error.contains("--input FILE"), "{error}");
    let out = run(&["--zeros", "--json"]);
    let counts: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(counts["products"], 16 * 64 * 32);
    assert_eq!(counts["nonzero_products"], 0);
}
