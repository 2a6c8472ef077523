//! Sweeps as their users meet them: points trained side by side, killed and gone on with, shared, and refused with one
//! clear error.
//!
//! `SWEEP_KILLS=30 cargo test --test sweep` for a long look.

mod digits;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const NET: &str = "\
name = \"tiny\"
[data]
set = \"mnist\"
path = \"digits\"
[[layer]]
conv = 4
kernel = 5
pool = 4
[[layer]]
fc = 10
[recipe]
epochs = 6
batch = 8
learning_rate = 8
";

/// The network, and a data set of the first digits: 32 images to train on, 16 to test on.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    digits::write(&dir.path().join("digits"), 32);
    std::fs::write(dir.path().join("net.toml"), NET).unwrap();
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wagesim"));
    command.arg("sweep").args(args).current_dir(dir);
    command
}

fn sweep(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn ok(dir: &Path, args: &[&str]) -> String {
    let out = sweep(dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn refused(dir: &Path, code: i32, args: &[&str]) -> String {
    let out = sweep(dir, args);
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked"), "{args:?}: {error}");
    error
}

fn results(dir: &Path, sweep: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(sweep).join("results.json")).unwrap()).unwrap()
}

/// Sixteen points: eight machines, two seeds.
const SIXTEEN: [&str; 7] = [
    "net.toml",
    "--vary",
    "accumulators.forward.bits=9..12",
    "--vary",
    "accumulators.forward.overflow=wrap,saturate",
    "--seeds",
    "1,2",
];

#[test]
fn a_sweep_killed_at_any_moment_and_started_again_gives_the_same_results() {
    let kills: u64 = std::env::var("SWEEP_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let prepared = prepared();
    let dir = prepared.path();
    ok(dir, &[&SIXTEEN[..], &["--out", "whole", "--jobs", "2"]].concat());
    let again = [&SIXTEEN[..], &["--out", "killed", "--jobs", "2"]].concat();
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..kills {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        let mut child = command(dir, &again).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(word % 400_000));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    ok(dir, &again);
    let read = |sweep: &str, file: &str| std::fs::read(dir.join(sweep).join(file)).unwrap();
    assert!(read("whole", "results.csv") == read("killed", "results.csv"), "results.csv differs");
    assert!(read("whole", "results.json") == read("killed", "results.json"), "results.json differs");
    let points = results(dir, "whole")["points"].as_array().unwrap().clone();
    assert_eq!(points.len(), 16);
    for point in &points {
        let file = format!("points/{}/checkpoint.safetensors", point["point"].as_str().unwrap());
        assert!(read("whole", &file) == read("killed", &file), "{file} differs");
        assert_eq!((point["status"].as_str(), point["epochs"].as_array().unwrap().len()), (Some("done"), 6));
    }
    let wrong = |i: usize| points[i]["wrong_share"]["forward"].as_f64().unwrap();
    assert!(wrong(0) > wrong(12), "9 bits are more often wrong than 12: {} {}", wrong(0), wrong(12));
}

#[test]
fn a_point_is_the_run_that_train_makes() {
    let prepared = prepared();
    let dir = prepared.path();
    ok(
        dir,
        &[
            "net.toml",
            "--vary",
            "accumulators.bits=12",
            "--vary",
            "accumulators.overflow=saturate",
            "--out",
            "s",
        ],
    );
    let sets = ["--set", "accumulators.bits=12", "--set", "accumulators.overflow=saturate"];
    let train = [&["train", "net.toml", "--out", "t"], &sets[..]].concat();
    let out = Command::new(env!("CARGO_BIN_EXE_wagesim")).args(train).current_dir(dir).output().unwrap();
    assert!(out.status.success());
    let point = dir.join("s/points/accumulators.bits=12,accumulators.overflow=saturate,seed=1");
    let same = |file: &str| {
        std::fs::read(point.join(file)).unwrap() == std::fs::read(dir.join("t").join(file)).unwrap()
    };
    for file in ["checkpoint.safetensors", "machine.toml"] {
        assert!(same(file), "{file} differs");
    }
    let report = |path: &Path| {
        let mut report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let report = report.as_object_mut().unwrap();
        report.remove("host");
        report.remove("notes");
        serde_json::to_string(report).unwrap()
    };
    assert!(report(&point.join("report.json")) == report(&dir.join("t/report.json")), "report.json differs");
}

#[test]
fn points_the_data_cannot_tell_apart_are_trained_once_and_priced_each() {
    let prepared = prepared();
    let dir = prepared.path();
    let axes = ["array.rows=8,32", "dram.bytes_per_cycle=4,32", "vector.zero_gating=true,false"];
    let mut args = vec!["net.toml", "--epochs", "1", "--out", "s", "--set", "accumulators.bits=12"];
    args.extend(["--set", "accumulators.overflow=saturate"]);
    axes.iter().for_each(|a| args.extend(["--vary", *a]));
    ok(dir, &args);
    let points = results(dir, "s")["points"].as_array().unwrap().clone();
    assert_eq!(points.len(), 8);
    let trained: Vec<_> = points.iter().filter(|p| p.get("trained_in").is_none()).collect();
    assert_eq!(trained.len(), 1);
    // Each is what a run of its own says.
    for point in &points {
        let name = point["point"].as_str().unwrap();
        let out = format!("own/{name}");
        let mut train =
            vec!["train".to_owned(), "net.toml".to_owned(), "--epochs".to_owned(), "1".to_owned()];
        train.extend([
            "--out".to_owned(),
            out.clone(),
            "--set".to_owned(),
            "accumulators.bits=12".to_owned(),
        ]);
        train.extend(["--set".to_owned(), "accumulators.overflow=saturate".to_owned()]);
        for setting in name.split(',').filter(|s| !s.starts_with("seed")) {
            train.extend(["--set".to_owned(), setting.to_owned()]);
        }
        let run = Command::new(env!("CARGO_BIN_EXE_wagesim")).args(&train).current_dir(dir).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let own: Value =
            serde_json::from_slice(&std::fs::read(dir.join(out).join("report.json")).unwrap()).unwrap();
        let file = dir.join("s/points").join(name).join("report.json");
        let shared: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for part in ["epochs", "statistics", "layers", "phases", "events", "area"] {
            assert_eq!(shared[part], own[part], "{name}: {part}");
        }
        for key in ["cycles", "energy_pj", "wrong_outputs", "saturated_joins", "nonzero_products", "units"] {
            assert_eq!(shared["totals"][key], own["totals"][key], "{name}: {key}");
            assert_eq!(shared["evaluation"][key], own["evaluation"][key], "{name}: evaluation, {key}");
        }
        assert_eq!(point["area_um2"], own["area"]["total_um2"], "{name}");
    }
}

#[test]
fn a_point_beyond_the_bound_stops_and_a_trap_fails_alone() {
    let prepared = prepared();
    let dir = prepared.path();
    let args =
        ["net.toml", "--vary", "accumulators.forward.bits=4,32", "--set", "accumulators.overflow=trap"];
    let error = refused(dir, 1, &[&args[..], &["--out", "t"]].concat());
    assert!(error.contains("1 of 2 points failed") && error.contains("bits=4"), "{error}");
    let points = results(dir, "t")["points"].clone();
    assert_eq!((points[0]["status"].as_str(), points[1]["status"].as_str()), (Some("failed"), Some("done")));
    assert!(points[0]["why"].as_str().unwrap().contains("overflowed"));
    ok(dir, &["net.toml", "--vary", "accumulators.forward.bits=32", "--stop-above", "0", "--out", "d"]);
    let point = results(dir, "d")["points"][0].clone();
    assert_eq!((point["status"].as_str(), point["epochs"].as_array().unwrap().len()), (Some("diverged"), 1));
}

#[test]
fn a_plan_is_carried_out_a_training_at_a_time_anywhere() {
    let prepared = prepared();
    let dir = prepared.path();
    let args =
        ["net.toml", "--epochs", "1", "--vary", "accumulators.bits=31,32", "--vary", "clock_mhz=100,500"];
    let text = ok(dir, &[&args[..], &["--out", "p", "--plan"]].concat());
    assert!(text.starts_with("4 points, 2 trainings"), "{text}");
    ok(dir, &["--out", "p", "--point", "2"]);
    let error = refused(dir, 1, &["--out", "p", "--collect"]);
    assert!(error.contains("2 are missing"), "{error}");
    assert!(refused(dir, 2, &["--out", "p", "--point", "3"]).contains("1 to 2"));
    ok(dir, &["--out", "p", "--point", "1"]);
    ok(dir, &["--out", "p", "--collect"]);
    ok(dir, &[&args[..], &["--out", "w"]].concat());
    assert_eq!(results(dir, "p"), results(dir, "w"));
}

#[test]
fn what_is_wrong_gets_one_clear_error_and_finished_points_stay() {
    let prepared = prepared();
    let dir = prepared.path();
    let one = ["net.toml", "--epochs", "1", "--vary", "accumulators.bits=32", "--out", "s"];
    ok(dir, &one);
    let before = std::fs::read(dir.join("s/results.csv")).unwrap();
    for (args, message) in [
        (["--vary", "acumulators.forward.bits=8..9"], "did you mean `accumulators.forward.bits`?"),
        (["--vary", "accumulators.bits=12..9"], "the range 12..9 is empty"),
        (["--vary", "accumulators.bits=0..9"], "4 to 64"),
        (["--vary", "accumulators.bits=64..65"], "4 to 64"),
        (["--vary", "accumulators.bits"], "no values"),
        (["--vary", "recipe.batch=64"], "no batch of 64"),
        (["--set", "array.rows=8"], "--vary"),
    ] {
        let error = refused(dir, 2, &[&["net.toml"], &args[..], &["--out", "s"]].concat());
        assert!(error.contains(message), "{args:?}: {error}");
    }
    std::fs::write(dir.join("file"), "").unwrap();
    let error = refused(dir, 2, &["net.toml", "--vary", "accumulators.bits=32", "--out", "file"]);
    assert!(error.contains("is a file"), "{error}");
    assert!(refused(dir, 2, &[]).contains("--vary"));
    assert_eq!(std::fs::read(dir.join("s/results.csv")).unwrap(), before);
}

#[test]
fn a_study_is_a_file_of_grids() {
    let prepared = prepared();
    let dir = prepared.path();
    let study = "name = \"both\"\nprogram = \"net.toml\"\nset = [\"recipe.epochs=1\"]\nseeds = [1, 2]\nstop_above = 1.0\n\
        [[grid]]\n[[grid]]\nset = [\"accumulators.overflow=saturate\"]\n\
        vary = [\"accumulators.forward.bits=10..11\"]\n[[grid]]\nvary = [\"accumulators.error.bits=30\"]\nseeds = [3]\n";
    std::fs::write(dir.join("study.toml"), study).unwrap();
    ok(dir, &["study.toml"]);
    let found = results(dir, "runs/both");
    let names: Vec<&str> =
        found["points"].as_array().unwrap().iter().map(|p| p["point"].as_str().unwrap()).collect();
    assert_eq!(names[0], "seed=1");
    assert_eq!(names.len(), 2 + 4 + 1);
    assert_eq!(names[6], "accumulators.error.bits=30,seed=3");
    std::fs::write(dir.join("study.toml"), study.replace("vary", "vari")).unwrap();
    assert!(refused(dir, 2, &["study.toml"]).contains("vari"));
}

#[test]
fn a_search_finds_the_least_width_that_passes_and_says_why() {
    let prepared = prepared();
    let dir = prepared.path();
    let explore = |args: &[&str]| {
        let all = [&["explore", "net.toml", "--epochs", "2", "--seeds", "1"], args].concat();
        let out = Command::new(env!("CARGO_BIN_EXE_wagesim")).args(all).current_dir(dir).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let text = explore(&["--json", "--out", "e"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let bound = found["bound"].as_f64().unwrap();
    let targets = found["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 3);
    for target in targets {
        let measured = target["measured"].as_u64().unwrap();
        let trial = |bits: u64| target["trials"].get(bits.to_string());
        assert_eq!(trial(measured).unwrap()["passed"], true, "{target}");
        assert!(trial(measured).unwrap()["test_errors"][0].as_f64().unwrap() <= bound);
        assert!(measured == 4 || trial(measured - 1).unwrap()["passed"] == false, "{target}");
        assert!(target["predicted"].as_u64().unwrap() >= target["predicted_but_1e3"].as_u64().unwrap());
    }
    // The joint machine is what its settings make, and its file.
    let last = found["joint"].as_array().unwrap().last().unwrap().clone();
    let out = Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(["train", "net.toml", "--epochs", "2", "--machine", "e/machine.toml", "--json", "--out", "t"])
        .current_dir(dir)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["epochs"][1]["test_error"], last[1]["test_errors"][0]);
    assert_eq!(report["area"]["total_um2"], last[1]["area_um2"]);
    let area = |trial: &Value| trial["area_um2"].as_f64().unwrap();
    assert!(area(&last[1]) < area(&found["wide"]), "{found}");
    // Every trial is a row, once.
    let tried: usize = targets.iter().map(|t| t["trials"].as_object().unwrap().len()).sum();
    let joint = found["joint"].as_array().unwrap().len();
    assert_eq!(results(dir, "e")["points"].as_array().unwrap().len(), 1 + tried + joint);
    // Again, from what was kept.
    assert_eq!(explore(&["--json", "--out", "e"]), text);
    let by_layer = explore(&["--by", "layer", "--overflow", "wrap", "--out", "l"]);
    for line in [
        "forward of conv0",
        "error of fc1",
        "gradient of fc1",
        "together",
        "area saved",
        "area is of the logic",
    ] {
        assert!(by_layer.contains(line), "{line}: {by_layer}");
    }
}

#[test]
fn pages_are_whole_in_themselves() {
    let prepared = prepared();
    let dir = prepared.path();
    ok(
        dir,
        &[
            "net.toml",
            "--vary",
            "accumulators.bits=12,32",
            "--set",
            "accumulators.overflow=wrap",
            "--epochs",
            "2",
            "--out",
            "s",
        ],
    );
    let run = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let points = ["s/points/accumulators.bits=12,seed=1", "s/points/accumulators.bits=32,seed=1"];
    assert!(run(&["report", points[0]]).contains("acc_gradient"));
    assert!(run(&["report", "s"]).contains("accumulators.bits"));
    let text = run(&["compare", points[0], points[1], "--html", "c.html"]);
    assert!(text.contains("32x32_os_acc12wrap") && text.contains("wrong outputs, forward"), "{text}");
    for page in ["s/report.html", "c.html", &format!("{}/report.html", points[0])] {
        let html = std::fs::read_to_string(dir.join(page)).unwrap();
        assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"), "{page}");
        assert!(html.contains("<svg") && html.contains("<table>"), "{page}");
        for outside in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!html.contains(outside), "{page} has {outside}");
        }
    }
    // Results of another version are written again, not guessed at.
    let path = dir.join("s/results.json");
    let older = std::fs::read_to_string(&path).unwrap().replacen("\"version\": 2", "\"version\": 1", 1);
    std::fs::write(&path, older).unwrap();
    let out =
        Command::new(env!("CARGO_BIN_EXE_wagesim")).args(["report", "s"]).current_dir(dir).output().unwrap();
    let error = String::from_utf8(out.stderr).unwrap();
    assert!(
        !out.status.success() && error.contains("its version is 1, not 2; `wagesim sweep --collect"),
        "{error}"
    );
    for picture in ["error-by-width.png", "error-by-energy.svg", "error-by-area.png", "curves.png"] {
        assert!(dir.join("s").join(picture).exists(), "{picture}");
    }
    for picture in ["needed-bits.png", "width-map.svg", "training.png"] {
        assert!(dir.join(points[0]).join(picture).exists(), "{picture}");
    }
}
