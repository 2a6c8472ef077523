//! Programs as text: what is compiled comes back from its own text, what is written by hand computes what it says.

use std::path::Path;
use std::process::Command;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use wagesim::compiler::compile;
use wagesim::network::load;
use wagesim::program::{Plan, Program};
use wagesim::spec::{Machine, Setting};

fn here(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

fn compiled(program: &str, machine: &str, sets: &[&str]) -> (Program, Machine) {
    let (path, machine_path) =
        (here(&format!("programs/{program}.toml")), here(&format!("programs/machines/{machine}.toml")));
    let text = std::fs::read_to_string(&path).unwrap();
    let sets: Vec<Setting> = sets.iter().map(|s| Setting::parse(s).unwrap()).collect();
    let (network, recipe, _) = load(&text, &path, &sets).unwrap();
    let machine =
        Machine::from_toml(&std::fs::read_to_string(&machine_path).unwrap(), &machine_path, &[]).unwrap();
    (compile(&network, &recipe, &machine, &text).unwrap(), machine)
}

#[test]
fn compiled_programs_come_back_from_text_and_file() {
    for (program, machine) in [
        ("lenet5-mnist", "default"),
        ("lenet5-mnist-2017", "tiny-16k"),
        ("lenet5-mnist-paper", "narrow"),
        ("quick", "large-4m"),
    ] {
        let (program, _) = compiled(program, machine, &[]);
        let bytes = program.to_bytes().unwrap();
        let read = Program::from_text(&program.to_text(), "text.s").unwrap();
        assert!(read == program, "{} on {machine} from text", program.name);
        assert!(read.to_bytes().unwrap() == bytes);
        assert!(Program::from_bytes(&bytes).unwrap() == program, "{} from its file", program.name);
    }
}

#[test]
fn compiled_programs_stay_in_their_memories_and_in_no_smaller_ones() {
    for machine in ["default", "tiny-16k", "large-4m", "narrow"] {
        let (program, machine) = compiled("lenet5-mnist", machine, &["recipe.batch=8"]);
        let bytes = machine.memory.bytes();
        for entry in program.entries.keys() {
            let plan = Plan::new(&program, entry).unwrap();
            let [operand, weight, accumulator, mask] = bytes;
            plan.verify(&[operand, weight, accumulator, mask, program.dram_bytes]).unwrap();
            let error = plan.verify(&[16, 16, 16, 0, program.dram_bytes]).unwrap_err().to_string();
            assert!(error.contains("bytes"), "{error}");
        }
    }
}

#[test]
fn a_program_written_by_hand_computes_the_numbers_worked_out_outside() {
    let case: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(here("tests/cases/requantise.json")).unwrap()).unwrap();
    let numbers = |name: &str| -> Vec<i32> { serde_json::from_value(case[name].clone()).unwrap() };
    let bytes = |name: &str| -> Vec<u8> {
        numbers(name).iter().map(|&v| i8::try_from(v).unwrap().cast_unsigned()).collect()
    };
    let (a, b) = (bytes("a"), bytes("b"));
    let views = [
        ("a", TensorView::new(Dtype::I8, vec![16, 64], &a).unwrap()),
        ("b", TensorView::new(Dtype::I8, vec![64, 32], &b).unwrap()),
    ];
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("in.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let wagesim = |args: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let source = here("programs/requantise-product.s");
    wagesim(&["asm", &source, "-o", "p.safetensors"]);
    for program in [source.as_str(), "p.safetensors"] {
        wagesim(&["run", program, "--input", "in.safetensors", "--output", "out.safetensors"]);
        let out = std::fs::read(at("out.safetensors")).unwrap();
        let out = SafeTensors::deserialize(&out).unwrap();
        let sums: Vec<i32> = out
            .tensor("sums")
            .unwrap()
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&w| i32::from_le_bytes(w))
            .collect();
        assert_eq!(sums, numbers("sums"));
        let codes: Vec<i32> =
            out.tensor("codes").unwrap().data().iter().map(|&b| b.cast_signed().into()).collect();
        assert_eq!(codes, numbers("codes"));
    }
}

#[test]
fn a_reduction_over_positions_has_no_blocks_of_channels() {
    let verified = |mnemonic: &str| {
        let text = format!(
            "main:\n{mnemonic} out=accumulator[0] out_format=32 left=operand[0] left_format=8 right=weight[0] \
             right_format=8 mode=m0 channels=2 channel_block=1 rows=1 columns=1 length=1 out_stride=1\nhalt\n"
        );
        let program = Program::from_text(&text, "blocks.s").unwrap();
        Plan::new(&program, "main").unwrap().verify(&[64; 5]).map_err(|e| e.to_string())
    };
    verified("m.taps").unwrap();
    let error = verified("m.positions").unwrap_err();
    assert!(error.contains("channel_block is 1; it is 0: m.positions reduces over positions"), "{error}");
}

#[test]
fn errors_in_text_point_at_their_line() {
    let cases = [
        ("main:\n  loop count=2\n  halt\n", 2, "no `end`"),
        ("main:\n  end\n", 2, "without a `loop`"),
        (".tensr {}\n", 1, "no directive"),
        (".tensor {\"name\":\"a\",\"bits\":80,\"shape\":[1]}\n", 1, "1 to 64 bits"),
        (".tensor {\"name\":\"a\",\"bits\":8,\"shape\":[1]\n", 1, "EOF"),
        ("main:\nmain:\n  halt\n", 2, "twice"),
        (".const N = 3x\nmain:\n  halt\n", 1, "no number"),
        (".phase forwards 1\n", 1, "no phase"),
        ("main:\n\n  v.relu dst=operand[0] src=operand[0] format=8 cnt=1\n", 3, "no field `cnt`"),
        ("  halt\n", 2, "no entry"),
    ];
    for (text, line, message) in cases {
        let errors = Program::from_text(text, "case.s").unwrap_err();
        let error = &errors.all()[0].error;
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint.is_some(), "{error}");
    }
}

#[test]
fn a_damaged_program_file_is_refused() {
    let (program, _) = compiled("quick", "default", &["recipe.batch=4"]);
    let whole = program.to_bytes().unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(Program::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(Program::from_bytes(&whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn the_repositorys_own_text_is_read() {
    let path = here("programs/requantise-product.s");
    let program = Program::from_text(&std::fs::read_to_string(Path::new(&path)).unwrap(), &path).unwrap();
    assert_eq!(program.name, "requantise-product");
    assert!(Program::from_text(&program.to_text(), "again.s").unwrap() == program);
}

#[test]
fn what_is_refused_before_it_runs_shows_its_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("shift.s"),
        ".macro up n\n    v.relu dst=operand[n] src=operand[0] format=8 count=64\n.endm\n",
    )
    .unwrap();
    let refused = |line: &str| {
        std::fs::write(
            dir.path().join("main.s"),
            format!(".include \"shift.s\"\nmain:\n    {line}\n    halt\n"),
        )
        .unwrap();
        let out = Command::new(env!("CARGO_BIN_EXE_wagesim"))
            .args(["run", "main.s"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert_eq!(refused("up n=0").0, Some(0));
    let (code, told) = refused("up n=8");
    assert_eq!(code, Some(2), "{told}");
    for part in ["dst overwrites what is still to be read of src", "shift.s:2:5", "main.s:3:5"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (code, told) = refused("load dst=operand[0] src=dram[0] rows=2 bytes=8 dst_row=4");
    assert_eq!(code, Some(2), "{told}");
    for part in ["dst_row is 4", "rows would overlap", "main.s:3:5"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
