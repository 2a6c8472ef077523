//! The command as its users meet it: what is wrong gets one clear error and the right exit code, and loses nothing.

mod digits;

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn wagesim(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir).output().unwrap()
}

fn ok(dir: &Path, args: &[&str]) -> String {
    let out = wagesim(dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The error of a command that fails with this exit code.
fn refused(dir: &Path, code: i32, args: &[&str]) -> String {
    let out = wagesim(dir, args);
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked"), "{args:?}: {error}");
    error
}

/// A data set of the first digits: `train` images to train on, 16 to test on.
fn digits(dir: &Path, train: usize) -> String {
    let folder = dir.join("digits");
    digits::write(&folder, train);
    folder.display().to_string()
}

const SMALL: [&str; 2] = ["--set", "recipe.batch=8"];

#[test]
fn a_run_keeps_what_makes_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 24);
    let mut args = vec!["train", "--data", &data, "--epochs", "2"];
    args.extend(SMALL);
    let text = ok(dir.path(), &[&args[..], &["--out", "a"]].concat());
    assert!(text.contains("epoch   2") && text.contains("acc_gradient"), "{text}");
    for file in
        ["program.toml", "machine.toml", "program.safetensors", "report.json", "training.png", "cycles.svg"]
    {
        assert!(dir.path().join("a").join(file).exists(), "{file}");
    }
    ok(dir.path(), &["train", "a/program.toml", "--data", &data, "--out", "b"]);
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(read("a/checkpoint.safetensors") == read("b/checkpoint.safetensors"));
    let report = |name: &str| -> serde_json::Value {
        let mut report: serde_json::Value = serde_json::from_slice(&read(name)).unwrap();
        report["host"] = serde_json::Value::Null;
        report
    };
    assert!(report("a/report.json") == report("b/report.json"));
    let json: serde_json::Value = serde_json::from_str(&ok(dir.path(), &["report", "a", "--json"])).unwrap();
    assert_eq!(json["epochs"][1]["epoch"], 2);
    assert!(json["totals"]["energy_pj"].as_f64().unwrap() > 0.0);
    assert!(json["layers"][0]["array_cycles"].as_u64().unwrap() > 0);
}

#[test]
fn trained_from_its_own_text_the_bytes_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let mut args = vec!["compile", "-o", "p.safetensors"];
    args.extend(SMALL);
    ok(dir.path(), &args);
    ok(dir.path(), &["disasm", "p.safetensors", "-o", "p.s"]);
    ok(dir.path(), &["asm", "p.s", "-o", "q.safetensors"]);
    for (program, out) in [("p.safetensors", "p"), ("q.safetensors", "q")] {
        ok(dir.path(), &["train", program, "--data", &data, "--epochs", "1", "--out", out]);
    }
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(read("p/checkpoint.safetensors") == read("q/checkpoint.safetensors"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_a_checkpoint_and_a_resumed_run_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 1200);
    let mut args = vec!["train", "--data", &data, "--epochs", "1"];
    args.extend(SMALL);
    let mut child = Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(&args)
        .args(["--out", "stopped"])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The directory's files are written before the first step; the run takes seconds.
    while !dir.path().join("stopped/program.safetensors").exists() {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(dir.path().join("stopped/checkpoint.safetensors").exists());
    ok(dir.path(), &["train", "--resume", "--data", &data, "--out", "stopped"]);
    ok(dir.path(), &[&args[..], &["--out", "whole"]].concat());
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(read("stopped/checkpoint.safetensors") == read("whole/checkpoint.safetensors"));
    let report = |name: &str| -> serde_json::Value {
        let mut report: serde_json::Value = serde_json::from_slice(&read(name)).unwrap();
        report["host"] = serde_json::Value::Null;
        report
    };
    assert!(report("stopped/report.json") == report("whole/report.json"));
}

#[test]
fn what_was_given_wrong_is_named_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(
        at("unknown.toml"),
        "[wage]\nvarient = \"code\"\n[[layer]]\nfc = 10\n[recipe]\nepochs = 1\nlearning_rate = 8\n",
    )
    .unwrap();
    std::fs::write(
        at("shape.toml"),
        "[[layer]]\nconv = 4\nkernel = 40\n[[layer]]\nfc = 10\n[recipe]\nepochs = 1\nlearning_rate = 8\n",
    )
    .unwrap();
    std::fs::write(at("tiny.toml"), "[memory.operand]\nkib = 1\n[memory.weight]\nkib = 1\n[memory.accumulator]\nkib = 1\n[memory.mask]\nkib = 1\n").unwrap();
    std::fs::write(at("outside.s"), "main:\n  v.fill dst=operand[0] dst_format=8 count=300000\n  halt\n")
        .unwrap();
    std::fs::write(at("line.s"), "main:\n  v.fil dst=operand[0] dst_format=8 count=3\n  halt\n").unwrap();
    std::fs::write(at("no.safetensors"), b"no program").unwrap();
    let cases: [(&[&str], &[&str]); 17] = [
        (&["train", "unknown.toml"], &["unknown.toml:2", "varient", "variant"]),
        (&["train", "shape.toml"], &["shape.toml", "kernel"]),
        (&["train", "missing.toml"], &["missing.toml"]),
        (&["train", "--set", "recipe.learning_rate=3"], &["3", "2", "4"]),
        (&["train", "--set", "acumulators.bits=16"], &["accumulators"]),
        (&["train", "--set", "accumulators.forward.bits=65"], &["64"]),
        (&["train", "--set", "energy=\"horowitz54\""], &["horowitz45"]),
        (&["train", "--machine", "tiny.toml"], &["layer", "scratchpad"]),
        (&["train", "--data", "nowhere"], &["nowhere", "--data"]),
        (&["train", "--resume", "--out", "never"], &["never", "--resume"]),
        (&["train", "no.safetensors"], &["no.safetensors"]),
        (&["run", "outside.s"], &["outside.s", "v.fill", "operand", "262144"]),
        (&["run", "line.s"], &["line.s:2:3", "v.fill"]),
        (&["run", "missing.s"], &["missing.s"]),
        (&["asm", "line.s"], &["line.s:2:3"]),
        (&["disasm", "no.safetensors"], &["no.safetensors"]),
        (&["report", "nowhere"], &["nowhere"]),
    ];
    for (args, named) in cases {
        let data_given = args.contains(&"--data");
        let all: Vec<&str> = if args[0] == "train" && !data_given {
            args.iter().copied().chain(["--data", data.as_str()]).collect()
        } else {
            args.to_vec()
        };
        let error = refused(dir.path(), 2, &all);
        for word in named {
            assert!(error.contains(word), "{args:?} names {word}: {error}");
        }
    }
}

#[test]
fn data_files_that_are_damaged_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let images = Path::new(&data).join("train-images-idx3-ubyte");
    let labels = Path::new(&data).join("train-labels-idx1-ubyte");
    let (whole_images, whole_labels) = (std::fs::read(&images).unwrap(), std::fs::read(&labels).unwrap());
    let train = |named: &[&str]| {
        let error = refused(dir.path(), 2, &["train", "--data", &data, "--out", "never"]);
        named.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
    };
    std::fs::write(&images, &whole_images[..1000]).unwrap();
    train(&["train-images-idx3-ubyte", "byte"]);
    std::fs::write(&images, &whole_images[..3]).unwrap();
    train(&["train-images-idx3-ubyte"]);
    let mut wrong = whole_images.clone();
    wrong[3] = 9;
    std::fs::write(&images, &wrong).unwrap();
    train(&["train-images-idx3-ubyte", "magic"]);
    std::fs::write(&images, &whole_images).unwrap();
    let mut wrong = whole_labels.clone();
    wrong[12] = 10;
    std::fs::write(&labels, &wrong).unwrap();
    train(&["train-labels-idx1-ubyte", "10"]);
    std::fs::write(&labels, &whole_labels[..20]).unwrap();
    train(&["train-labels-idx1-ubyte"]);
    assert!(!dir.path().join("never/checkpoint.safetensors").exists());
}

#[test]
fn a_run_that_fails_keeps_its_checkpoint_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let mut args = vec!["train", "--data", &data, "--epochs", "1", "--out", "a"];
    args.extend(SMALL);
    ok(dir.path(), &args);
    let before = std::fs::read(dir.path().join("a/checkpoint.safetensors")).unwrap();
    let error = refused(dir.path(), 2, &args);
    assert!(error.contains("--resume"), "{error}");
    // An accumulator that traps.
    let narrow =
        ["train", "--data", &data, "--out", "b", "--set", "accumulators.forward.bits=8", SMALL[0], SMALL[1]];
    let error = refused(dir.path(), 1, &narrow);
    for word in ["step 1", "forward of layer 0", "row", "accumulators.forward.bits"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    // So does an evaluation on that machine.
    let error = refused(dir.path(), 1, &["eval", "b", "--data", &data]);
    assert!(error.contains("forward of layer 0"), "{error}");
    // Another seed is another run; a damaged checkpoint is none.
    let error = refused(dir.path(), 2, &["train", "--data", &data, "--resume", "--out", "a", "--seed", "5"]);
    assert!(error.contains("seed"), "{error}");
    let mut damaged = before.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(dir.path().join("a/checkpoint.safetensors"), &damaged).unwrap();
    let error =
        refused(dir.path(), 2, &["train", "--data", &data, "--resume", "--out", "a", "--epochs", "2"]);
    assert!(error.contains("checkpoint.safetensors"), "{error}");
    assert!(std::fs::read(dir.path().join("a/checkpoint.safetensors")).unwrap() == damaged);
}

/// Images of another size: 27 rows of 28.
fn lower(dir: &Path, digits: &str) -> String {
    let folder = dir.join("lower");
    std::fs::create_dir_all(&folder).unwrap();
    for stem in ["train", "t10k"] {
        let name = format!("{stem}-images-idx3-ubyte");
        let mut bytes = std::fs::read(Path::new(digits).join(&name)).unwrap();
        let images = (bytes.len() - 16) / 784;
        bytes[11] = 27;
        bytes.truncate(16 + images * 27 * 28);
        std::fs::write(folder.join(name), bytes).unwrap();
        let name = format!("{stem}-labels-idx1-ubyte");
        std::fs::copy(Path::new(digits).join(&name), folder.join(name)).unwrap();
    }
    folder.display().to_string()
}

#[test]
fn images_that_are_not_the_networks_input_are_refused_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = lower(dir.path(), &digits(dir.path(), 16));
    let error = refused(dir.path(), 2, &["train", "--data", &data, SMALL[0], SMALL[1], "--out", "a"]);
    for word in [data.as_str(), "27 × 28 × 1", "28 × 28 × 1", "--data"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_set_that_is_not_here_needs_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let fashion = ["train", "--set", "data.set=fashion-mnist", "--epochs", "1", SMALL[0], SMALL[1]];
    let error = refused(dir.path(), 2, &[&fashion[..], &["--out", "a"]].concat());
    for word in ["fashion-mnist", "--data", "path"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!dir.path().join("a/program.safetensors").exists());
    ok(dir.path(), &[&fashion[..], &["--data", &data, "--out", "b"]].concat());
    let report = std::fs::read_to_string(dir.path().join("b/report.json")).unwrap();
    assert!(report.contains("\"set\": \"fashion-mnist\""), "{report}");
}

#[test]
fn a_resumed_run_takes_the_data_it_was_begun_with() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let at = |name: &str| dir.path().join(name);
    let begun = ["train", "--data", "digits", "--epochs", "2", SMALL[0], SMALL[1]];
    ok(dir.path(), &[&begun[..], &["--out", "whole"]].concat());
    ok(dir.path(), &[&begun[..], &["--steps", "3", "--out", "cut"]].concat());
    std::fs::create_dir(at("elsewhere")).unwrap();
    ok(&at("elsewhere"), &["train", "--resume", "--out", "../cut"]);
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    assert!(read("cut/checkpoint.safetensors") == read("whole/checkpoint.safetensors"));
    // The program of the run directory names the data, from anywhere.
    ok(&at("elsewhere"), &["train", "../cut/program.toml", "--out", "again"]);
    assert!(read("elsewhere/again/checkpoint.safetensors") == read("whole/checkpoint.safetensors"));
    let report = String::from_utf8(read("cut/report.json")).unwrap();
    assert!(report.contains("sha256") && !report.contains(&data), "{report}");
    // Other images are another run.
    let labels = at("digits").join("train-labels-idx1-ubyte");
    let mut bytes = std::fs::read(&labels).unwrap();
    bytes[8] = (bytes[8] + 1) % 10;
    std::fs::write(&labels, bytes).unwrap();
    let error = refused(dir.path(), 2, &["train", "--resume", "--out", "cut", "--epochs", "3"]);
    assert!(error.contains("other data") && error.contains("digits"), "{error}");
}

#[test]
fn a_path_in_a_program_file_is_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    digits(dir.path(), 16);
    let text =
        "[data]\npath = \"digits\"\n[[layer]]\nfc = 10\n[recipe]\nepochs = 1\nbatch = 8\nlearning_rate = 8\n";
    std::fs::write(dir.path().join("net.toml"), text).unwrap();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    ok(&dir.path().join("elsewhere"), &["train", "../net.toml", "--out", "a"]);
    ok(&dir.path().join("elsewhere"), &["train", "--resume", "--out", "a", "--epochs", "2"]);
}

#[test]
fn a_run_without_its_checkpoint_is_refused_and_one_at_its_beginning_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let narrow =
        ["train", "--data", &data, "--out", "a", "--set", "accumulators.forward.bits=8", SMALL[0], SMALL[1]];
    refused(dir.path(), 1, &narrow);
    let out = wagesim(dir.path(), &["train", "--resume", "--out", "a"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.code() == Some(1) && text.contains("begins with step 1"), "{text}");
    std::fs::remove_file(dir.path().join("a/checkpoint.safetensors")).unwrap();
    let error = refused(dir.path(), 2, &["train", "--resume", "--out", "a"]);
    for word in ["a/checkpoint.safetensors", "another `--out`"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    std::fs::write(dir.path().join("file"), b"").unwrap();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["--threads", "3000"], &["--threads", "256"]),
        (&["--threads", "0"], &["--threads"]),
        (&["--steps", "0"], &["--steps"]),
        (&["--dump-tensors", "d", "--dump-steps", "0"], &["--dump-steps"]),
        (&["--dump-tensors", "d", "--dump-steps", "3"], &["--dump-steps 3", "1 to 2"]),
        (&["--dump-steps", "2"], &["--dump-tensors"]),
        (&["--dump-tensors", "file"], &["--dump-tensors file", "folder"]),
        (&["--out", "file"], &["file", "--out"]),
    ];
    for (args, named) in cases {
        let base = ["train", "--data", &data, "--epochs", "1", SMALL[0], SMALL[1]];
        let error = refused(dir.path(), 2, &[&base[..], args].concat());
        named.iter().for_each(|word| assert!(error.contains(word), "{args:?} names {word}: {error}"));
        assert!(error.matches("(os error").count() < 2, "{error}");
    }
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let error = refused(dir.path(), 2, &["train", "--data", "empty"]);
    assert_eq!(error.matches("(os error").count(), 1, "{error}");
}

#[test]
fn a_setting_that_is_wrong_is_shown_as_it_was_typed() {
    let dir = tempfile::tempdir().unwrap();
    for set in ["recipe.batch=100000", "wage.bits.W=99", "array.rows=0"] {
        let error = refused(dir.path(), 2, &["train", "--set", set]);
        assert!(error.contains("--set:1:") && error.contains(set), "{error}");
    }
    let error = refused(dir.path(), 2, &["train", "--set", "recipe.batch=99999999999999999999"]);
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn asm_and_disasm_say_what_they_wrote_as_json() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.s"), "main:\n nop\n halt\n").unwrap();
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&ok(dir.path(), args)).unwrap() };
    let asm = json(&["asm", "a.s", "--json"]);
    assert_eq!((asm["file"].as_str(), asm["instructions"].as_u64()), (Some("a.safetensors"), Some(2)));
    let text = json(&["disasm", "a.safetensors", "--json"]);
    assert!(text["text"].as_str().unwrap().contains("halt"));
    let file = json(&["disasm", "a.safetensors", "-o", "b.s", "--json"]);
    assert_eq!((file["file"].as_str(), file.get("text")), (Some("b.s"), None));
}

#[test]
fn a_run_is_priced_again_without_running() {
    let dir = tempfile::tempdir().unwrap();
    let data = digits(dir.path(), 16);
    let table = "base = \"horowitz45\"\nname = \"mine\"\n[dram]\npj_per_bit = 40\nsource = \"a guess\"\n";
    std::fs::write(dir.path().join("mine.toml"), table).unwrap();
    std::fs::create_dir(dir.path().join("machines")).unwrap();
    std::fs::write(dir.path().join("machines/leaky.toml"), "energy = \"tables/leaky.toml\"\n").unwrap();
    std::fs::create_dir(dir.path().join("machines/tables")).unwrap();
    let leaky =
        format!("{}[leakage]\npj_per_cycle = 100\nsource = \"a guess\"\n", table.replace("mine", "leaky"));
    std::fs::write(dir.path().join("machines/tables/leaky.toml"), leaky).unwrap();
    let base = ["train", "--data", &data, "--epochs", "1", SMALL[0], SMALL[1]];
    ok(dir.path(), &[&base[..], &["--out", "a"]].concat());
    ok(dir.path(), &[&base[..], &["--set", "energy=mine.toml", "--out", "b"]].concat());
    ok(dir.path(), &[&base[..], &["--machine", "machines/leaky.toml", "--out", "c"]].concat());
    let json = |args: &[&str]| -> serde_json::Value {
        let mut report: serde_json::Value = serde_json::from_str(&ok(dir.path(), args)).unwrap();
        report["host"] = serde_json::Value::Null;
        report
    };
    // Its own table gives the very same figures; another table the figures of a run under it.
    let (a, b, c) = (
        json(&["report", "a", "--json"]),
        json(&["report", "b", "--json"]),
        json(&["report", "c", "--json"]),
    );
    assert!(json(&["price", "a", "--json"]) == a && json(&["price", "b", "--json"]) == b);
    assert!(json(&["price", "a", "--preset", "mine.toml", "--json"])["layers"] == b["layers"]);
    assert!(json(&["price", "a", "--preset", "mine.toml", "--json"]) == b);
    assert!(json(&["price", "b", "--preset", "horowitz45", "--json"]) == a);
    assert!(json(&["price", "c", "--preset", "horowitz45", "--json"])["totals"] == a["totals"]);
    let pj = |r: &serde_json::Value, c: &str| r["totals"]["component_pj"][c].as_f64().unwrap();
    assert!((pj(&b, "dram") / pj(&a, "dram") - 2.0).abs() < 1e-9);
    let cycles = a["totals"]["cycles"].as_f64().unwrap();
    assert!((pj(&c, "leakage") / cycles - 100.0).abs() < 1e-9 && pj(&a, "leakage") == 0.0);
    // The table is in the run directory, whole: the run is made again where the file is gone.
    std::fs::remove_dir_all(dir.path().join("machines")).unwrap();
    ok(dir.path(), &["train", "c/program.toml", "--out", "d"]);
    assert!(json(&["report", "d", "--json"]) == c);
    ok(dir.path(), &["train", "--resume", "--out", "c", "--epochs", "2"]);
    assert_eq!(json(&["report", "c", "--json"])["preset"], c["preset"]);
    let text = ok(dir.path(), &["price", "a", "--preset", "horowitz45-hbm2"]);
    for word in ["horowitz45-hbm2", "array multiply", "not modelled: leakage", "area, logic only", "accuracy"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    let error = refused(dir.path(), 2, &["price", "a", "--preset", "horowitz54"]);
    assert!(error.contains("did you mean `horowitz45`?"), "{error}");
    std::fs::write(dir.path().join("mine.toml"), table.replace("[dram]", "[drem]")).unwrap();
    let error = refused(dir.path(), 2, &["price", "a", "--preset", "mine.toml"]);
    assert!(error.contains("mine.toml:3") && error.contains("`dram`"), "{error}");
    let error = refused(dir.path(), 2, &[&base[..], &["--set", "energy=mine.toml", "--out", "e"]].concat());
    assert!(error.contains("mine.toml:3"), "{error}");
}

#[test]
fn a_topology_is_estimated_and_a_roofline_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let header =
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,";
    std::fs::write(dir.path().join("t.csv"), format!("{header}\nConv1, 28, 28, 5, 5, 1, 32, 1,\n")).unwrap();
    std::fs::write(dir.path().join("g.csv"), "Layer, M, N, K,\nfc, 128, 512, 3136,\n").unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&ok(dir.path(), &["estimate", "g.csv", "--json"])).unwrap();
    let layer = &json["layers"][0];
    assert_eq!((layer["m"].as_u64(), layer["k"].as_u64()), (Some(128), Some(3136)));
    assert_eq!(layer["output_stationary"]["cycles"]["ignore"], 204_672);
    assert_eq!(layer["weight_stationary"]["cycles"]["ignore"], 348_096);
    let text = ok(dir.path(), &["estimate", "t.csv", "--set", "array.rows=16"]);
    assert!(text.contains("16×32") && text.contains("Conv1"), "{text}");
    std::fs::write(dir.path().join("bad.csv"), format!("{header}\nConv1, 28, 28, 5, five, 1, 32, 1,\n"))
        .unwrap();
    for (args, word) in [
        (&["estimate", "bad.csv"][..], "bad.csv:2:19"),
        (&["estimate", "t.csv", "--roofline", "r.png"], "DRAM"),
        (&["estimate", "--layout", "gemm"], "--layout"),
        (&["estimate", "--roofline", "r.gif", SMALL[0], SMALL[1]], "r.gif"),
    ] {
        let error = refused(dir.path(), 2, args);
        assert!(error.contains(word), "{word}: {error}");
    }
    ok(dir.path(), &["estimate", "--roofline", "r.svg", SMALL[0], SMALL[1]]);
    let picture = std::fs::read_to_string(dir.path().join("r.svg")).unwrap();
    assert!(picture.contains("conv1") && picture.contains("array: 1024"), "{picture}");
}
