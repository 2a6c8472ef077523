//! `wagesim train --trace`: the traces of a real run are those of `wagesim trace`, and the run is as it is without.

use std::path::Path;

use serde_json::Value;

use crate::common::{SMALL, ok, refused, wagesim};

fn bytes(dir: &Path, name: &str) -> Vec<u8> {
    std::fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The report without what the host decides.
fn report(dir: &Path, run: &str) -> Value {
    let mut report: Value = serde_json::from_slice(&bytes(dir, &format!("{run}/report.json"))).unwrap();
    report.as_object_mut().unwrap().remove("host");
    report
}

fn train(dir: &Path, run: &str, more: &[&str]) -> String {
    ok(dir, &[&["train", "--steps", "5", "--out", run][..], &SMALL, more].concat())
}

#[test]
fn traces_of_a_run_are_those_of_the_command_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let orders = [
        "--log L.jsonl --digest --timeline T.json --steps 2..3",
        "--waveform W.vcd --golden G --memory M --scratchpads --steps 4 --instructions 0..3 --cycles 0..600",
    ];
    let named = |prefix: &str, order: &str| {
        ["L.jsonl", "T.json", "W.vcd", "G ", "M "].iter().fold(order.to_owned(), |order, name| {
            order.replace(&format!(" {name}"), &format!(" {prefix}{name}"))
        })
    };
    let [a, b] = orders.map(|order| named("run-", order));
    let told = train(dir, "traced", &["--trace", &a, "--trace", &b]);
    assert!(told.contains("timeline run-T.json: ") && told.contains("golden run-G: "), "{told}");
    train(dir, "plain", &[]);
    assert_eq!(report(dir, "traced"), report(dir, "plain"));
    for order in orders {
        let order = named("alone-", order);
        let words: Vec<&str> = order.split(' ').collect();
        ok(dir, &[&["trace"][..], &SMALL, &words].concat());
    }
    for name in ["L.jsonl", "T.json", "W.vcd", "G/manifest.jsonl", "M.dram.trace", "M.operand_read.csv"] {
        let [run, alone] = ["run-", "alone-"].map(|prefix| bytes(dir, &format!("{prefix}{name}")));
        assert!(run == alone && run.len() > 100, "{name}");
    }
    let log = String::from_utf8(bytes(dir, "run-L.jsonl")).unwrap();
    assert!(log.lines().filter(|line| line.contains("\"digest\"")).count() == log.lines().count() - 2);
}

#[test]
fn a_run_that_goes_on_traces_what_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    ok(dir, &[&["train", "--steps", "2", "--out", "run"][..], &SMALL].concat());
    let go_on = |order: &str| -> Vec<String> {
        let args = ["train", "--steps", "4", "--out", "run", "--resume", "--trace", order];
        args.map(str::to_owned).to_vec()
    };
    let error =
        refused(dir, 2, &go_on("--log l.jsonl --steps 2..3").iter().map(String::as_str).collect::<Vec<_>>());
    assert!(error.contains("this command does steps 3 to 4"), "{error}");
    ok(dir, &go_on("--log l.jsonl --execute --steps 3..").iter().map(String::as_str).collect::<Vec<_>>());
    ok(dir, &[&["trace", "--log", "whole.jsonl", "--execute", "--steps", "3..4"][..], &SMALL].concat());
    assert!(bytes(dir, "l.jsonl") == bytes(dir, "whole.jsonl"));
}

#[test]
fn an_order_that_is_wrong_is_refused_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (order, wanted) in [
        ("--log l.jsonl --steps 6", "this command does steps 1 to 5"),
        ("--log l.jsonl --phase forwards", "`forwards` is none of"),
        ("--steps 2", "name a trace"),
        ("--logs l.jsonl", "--logs"),
        ("--log 'l.jsonl", "a quote in it is not closed"),
        ("--log -", "name a file"),
        ("--log l.jsonl --cycles 999999999..", "the window holds nothing"),
        ("--timeline none/t.json", "none/t.json"),
    ] {
        let args = ["train", "--steps", "5", "--out", "run", "--trace", order];
        let out = wagesim(dir, &[&args[..], &SMALL].concat());
        let error = String::from_utf8(out.stderr).unwrap();
        assert!(
            !out.status.success() && error.contains(wanted) && !error.contains("panicked"),
            "{order}: {error}"
        );
        assert!(!dir.join("run/report.json").exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_trace_that_cannot_be_written_fails_the_command_but_not_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let order = "--log /dev/full --steps 1..4";
    let error =
        refused(dir, 1, &[&["train", "--steps", "5", "--out", "run", "--trace", order][..], &SMALL].concat());
    assert!(error.contains("disk is full"), "{error}");
    train(dir, "plain", &[]);
    assert_eq!(report(dir, "run"), report(dir, "plain"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_checkpoint_and_a_log_whole_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(["train", "--out", "run", "--trace", "--log l.jsonl --digest --steps 1.."])
        .args(SMALL)
        .current_dir(dir)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while std::fs::metadata(dir.join("l.jsonl")).map_or(0, |m| m.len()) == 0 {
        std::thread::yield_now();
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let text = String::from_utf8(bytes(dir, "l.jsonl")).unwrap();
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(end["complete"] == false && end["end"] == text.lines().count() - 2, "{end}");
    assert!(dir.join("run/checkpoint.safetensors").exists());
}
