//! Instruction logs: a reader that refuses lines it does not know, the sums of what it read, and where two logs part.

use serde_json::Value;

use crate::common::{SMALL, estimate, here, ok, refused, wagesim};

const FIELDS: [&str; 28] = [
    "step",
    "seq",
    "pc",
    "loops",
    "phase",
    "layer",
    "unit",
    "encoding",
    "text",
    "scalars",
    "registers_read",
    "registers_written",
    "issued",
    "started",
    "unit_free",
    "ended",
    "reads",
    "writes",
    "products",
    "dram_read_bytes",
    "dram_written_bytes",
    "nonzero_products",
    "wrong_outputs",
    "saturated_joins",
    "clipped",
    "first_overflow",
    "registers",
    "digest",
];

/// The instructions of a whole log.
fn read(text: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (head, end) = (lines.remove(0), lines.pop().unwrap());
    assert!(head["log"] == "wagesim" && head["version"] == 1, "{head}");
    assert!(end["end"] == lines.len() && end["complete"] == true, "{end}");
    for line in &lines {
        let unknown = line.as_object().unwrap().keys().find(|key| !FIELDS.contains(&key.as_str()));
        assert!(unknown.is_none(), "{unknown:?} in {line}");
        let time = |key: &str| line[key].as_u64().unwrap();
        assert!(time("issued") < time("started") && time("started") < time("unit_free"), "{line}");
        assert!(time("unit_free") <= time("ended"), "{line}");
        let words = line["encoding"].as_str().unwrap();
        assert!(words.split(' ').all(|w| w.len() == 16 && u64::from_str_radix(w, 16).is_ok()), "{line}");
    }
    lines
}

fn sum(lines: &[Value], key: &str) -> u64 {
    lines.iter().map(|line| line[key].as_u64().unwrap_or(0)).sum()
}

#[test]
fn the_sums_of_a_log_are_the_report_s() {
    let dir = tempfile::tempdir().unwrap();
    let report = estimate(dir.path());
    let log = read(&ok(dir.path(), &[&["trace", "--log", "-"][..], &SMALL].concat()));
    let totals = &report["totals"];
    for key in ["products", "dram_read_bytes", "dram_written_bytes"] {
        assert_eq!(sum(&log, key), totals[key].as_u64().unwrap(), "{key}");
    }
    for (unit, cycles) in totals["units"].as_object().unwrap() {
        let busy = |line: &&Value| line["unit"] == **unit;
        let lines = log.iter().filter(busy);
        let occupied: u64 =
            lines.map(|l| l["unit_free"].as_u64().unwrap() - l["started"].as_u64().unwrap()).sum();
        assert_eq!(occupied, cycles["busy"].as_u64().unwrap(), "{unit}");
    }
    assert!(log.iter().enumerate().all(|(seq, line)| line["seq"] == seq));
}

#[test]
fn what_a_run_came_to_is_in_its_log() {
    let dir = tempfile::tempdir().unwrap();
    // Sums of 64 products of 100 leave 13 bits.
    let text = std::fs::read_to_string(here("programs/requantise-product.s")).unwrap();
    let narrow = text.replace("overflow=trap", "overflow=saturate").replace("bits=32", "bits=13");
    assert!(narrow != text);
    std::fs::write(dir.path().join("p.s"), narrow).unwrap();
    let (a, b) = (vec![100u8; 16 * 64], vec![1u8; 64 * 32]);
    let view = |shape: [usize; 2], data| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::I8, shape.to_vec(), data).unwrap()
    };
    let tensors = [("a", view([16, 64], &a)), ("b", view([64, 32], &b))];
    let bytes = safetensors::serialize(tensors, None).unwrap();
    std::fs::write(dir.path().join("in.safetensors"), bytes).unwrap();
    let run = ok(dir.path(), &["run", "p.s", "--input", "in.safetensors", "--json"]);
    let run: Value = serde_json::from_str(&run).unwrap();
    let log =
        read(&ok(dir.path(), &["trace", "p.s", "--input", "in.safetensors", "--execute", "--log", "-"]));
    for key in ["products", "saturated_joins", "wrong_outputs", "nonzero_products", "clipped"] {
        assert_eq!(sum(&log, key), run[key].as_u64().unwrap(), "{key}");
    }
    assert!(sum(&log, "saturated_joins") > 0, "{run}");
}

#[test]
fn a_step_on_real_data_has_a_digest_of_every_instruction() {
    let dir = tempfile::tempdir().unwrap();
    let log = |seed: &str| {
        let args = ["trace", "--log", "-", "--digest", "--seed", seed, "--instructions", "0..40"];
        read(&ok(dir.path(), &[&args[..], &SMALL].concat()))
    };
    let (one, two) = (log("1"), log("2"));
    assert!(one.iter().all(|line| line["digest"].as_str().unwrap().len() == 16) && one.len() == 41);
    assert!(one.iter().zip(&two).any(|(a, b)| a["digest"] != b["digest"]) && one == log("1"));
}

#[test]
fn two_engines_write_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let program = here("programs/dense-step.s");
    for (name, engine) in [("a.jsonl.zst", "fast"), ("b.jsonl", "reference")] {
        ok(
            dir.path(),
            &["trace", &program, "--zeros", "--seed", "3", "--log", name, "--digest", "--engine", engine],
        );
    }
    let text = ok(dir.path(), &["trace", "--diff", "a.jsonl.zst", "b.jsonl"]);
    assert!(text.starts_with("the same: "), "{text}");
}

#[test]
fn the_first_instruction_where_two_runs_part_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let program = |value: &str| {
        format!(
            "main:\n x.set dst=x1 value=3\n loop count=2\n v.fill dst=operand[0] dst_format=8 count=4 value={value}\n end\n x.set dst=x2\n halt\n"
        )
    };
    for (name, value) in [("a", "5"), ("b", "6")] {
        std::fs::write(dir.path().join(format!("{name}.s")), program(value)).unwrap();
        ok(dir.path(), &["trace", &format!("{name}.s"), "--log", &format!("{name}.jsonl"), "--digest"]);
    }
    let out = wagesim(dir.path(), &["trace", "--diff", "a.jsonl", "b.jsonl"]);
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("1 instructions are the same") && text.contains("instruction 1 (pc 2"), "{text}");
    assert!(text.contains("value=5") && text.contains("value=6") && text.contains("digest"), "{text}");
    let fields = ["--ignore", "text,encoding,digest"];
    let text = ok(dir.path(), &[&["trace", "--diff", "a.jsonl", "b.jsonl"][..], &fields].concat());
    assert!(text.starts_with("the same: 4"), "{text}");
    // A machine of one lane takes other cycles, and writes the same.
    ok(dir.path(), &["trace", "a.s", "--set", "vector.lanes=1", "--log", "c.jsonl", "--digest"]);
    let out = wagesim(dir.path(), &["trace", "--diff", "a.jsonl", "c.jsonl", "--json"]);
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(
        json["result"] == "parts" && json["fields"].as_array().unwrap().contains(&"unit_free".into()),
        "{json}"
    );
    ok(dir.path(), &["trace", "--diff", "a.jsonl", "c.jsonl", "--ignore", "cycles"]);
}

#[test]
fn a_log_cut_in_half_or_none_at_all_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let program = here("programs/requantise.s");
    ok(dir.path(), &["trace", &program, "--log", "a.jsonl"]);
    ok(dir.path(), &["trace", &program, "--log", "a.jsonl.zst"]);
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let whole = std::fs::read(dir.path().join(name)).unwrap();
        let cut = format!("cut-{name}");
        std::fs::write(dir.path().join(&cut), &whole[..whole.len() / 2]).unwrap();
        let error = refused(dir.path(), 2, &["trace", "--diff", "a.jsonl", &cut]);
        assert!(
            error.contains(&cut) && (error.contains("cut within line") || error.contains("incomplete")),
            "{error}"
        );
    }
    std::fs::write(dir.path().join("other"), "{}\n").unwrap();
    let error = refused(dir.path(), 2, &["trace", "--diff", "other", "a.jsonl"]);
    assert!(error.contains("line 1 is no line of an instruction log"), "{error}");
    let error = refused(dir.path(), 2, &["trace", "--diff", "none", "a.jsonl"]);
    assert!(error.contains("none: "), "{error}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_log_that_is_whole_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.jsonl");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(["trace", "--steps", "1..1000000", "--log"])
        .arg(&path)
        .args(SMALL)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while std::fs::metadata(&path).map_or(0, |m| m.len()) == 0 {
        std::thread::yield_now();
    }
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let text = std::fs::read_to_string(&path).unwrap();
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(end["complete"] == false && end["end"] == text.lines().count() - 2, "{end}");
}
