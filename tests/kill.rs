//! A run that is killed at any moment and resumed each time ends with the bytes of one that was let alone.
//!
//! `KILLS=20 cargo test --test kill` for a long look.

#![cfg(unix)]

mod digits;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wagesim::train::Checkpoint;

/// Small enough that an epoch, and with it a checkpoint, takes milliseconds.
const NET: &str = "\
[data]
set = \"mnist\"
[[layer]]
conv = 4
kernel = 5
pool = 4
[[layer]]
fc = 10
[recipe]
epochs = EPOCHS
batch = 8
learning_rate = 8
";

/// Epochs that one process may finish before it is killed.
const MOST_EPOCHS: u64 = 3;

fn train(dir: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wagesim"))
        .args(["train", "--data", ".", "--threads", "2"])
        .args(args)
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(child: Child) {
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Which file has this name now: another one each time it is written.
fn identity(path: &Path) -> Option<(u64, i64, i64)> {
    std::fs::metadata(path).ok().map(|m| (m.ino(), m.mtime(), m.mtime_nsec()))
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after it began.
    Began(Duration),
    /// So long after it wrote its n-th checkpoint.
    Wrote(u64, Duration),
    /// While a checkpoint is being written.
    Writing,
}

/// Waits for a moment; false when the process ended before it.
fn wait_for(moment: Moment, child: &mut Child, checkpoint: &Path) -> bool {
    let aside = checkpoint.with_extension("safetensors.part");
    let (mut last, mut written) = (identity(checkpoint), 0);
    if let Moment::Began(after) = moment {
        std::thread::sleep(after);
        return child.try_wait().unwrap().is_none();
    }
    while child.try_wait().unwrap().is_none() {
        let now = identity(checkpoint);
        written += u64::from(now != last);
        last = now;
        match moment {
            Moment::Writing if written > 0 && aside.exists() => return true,
            Moment::Wrote(n, after) if written >= n => {
                std::thread::sleep(after);
                return true;
            }
            _ => std::thread::sleep(Duration::from_micros(50)),
        }
    }
    false
}

#[test]
fn a_run_killed_at_any_moment_and_resumed_ends_the_same() {
    let kills: u64 = std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let seed: u64 = std::env::var("KILL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    digits::write(dir, 32);
    let epochs = (MOST_EPOCHS + 2) * kills + 2;
    std::fs::write(dir.join("net.toml"), NET.replace("EPOCHS", &epochs.to_string())).unwrap();
    finish(train(dir, &["net.toml", "--out", "whole"]));

    let (run, checkpoint) = (dir.join("killed"), dir.join("killed/checkpoint.safetensors"));
    let aside = checkpoint.with_extension("safetensors.part");
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |n: u64| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        (word >> 11) % n
    };
    let (mut killed, mut whole_checkpoints, mut while_writing) = (0, 0, 0);
    for kill in 0..kills {
        let moment = match kill % 3 {
            0 => Moment::Began(Duration::from_micros(below(60_000))),
            1 => Moment::Writing,
            _ => Moment::Wrote(below(MOST_EPOCHS), Duration::from_micros(below(20_000))),
        };
        let before = identity(&aside);
        let begun = run.join("program.safetensors").exists();
        let mut child = match begun {
            true => train(dir, &["--resume", "--out", "killed"]),
            false => train(dir, &["net.toml", "--out", "killed"]),
        };
        if !wait_for(moment, &mut child, &checkpoint) {
            finish(child);
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        let after = identity(&aside);
        while_writing += u64::from(after.is_some() && after != before);
        if checkpoint.exists() {
            Checkpoint::load(&checkpoint).unwrap();
            whole_checkpoints += 1;
        }
        if let Ok(report) = std::fs::read(run.join("report.json")) {
            serde_json::from_slice::<serde_json::Value>(&report).unwrap();
        }
    }
    println!(
        "{killed} kills, {while_writing} while a checkpoint was written; all {whole_checkpoints} left are whole"
    );
    assert!(killed == kills, "the run ended after {killed} kills: give it more epochs");
    finish(train(dir, &["--resume", "--out", "killed"]));

    let read = |run: &str, file: &str| std::fs::read(dir.join(run).join(file)).unwrap();
    for file in ["checkpoint.safetensors", "program.safetensors", "program.toml", "machine.toml"] {
        assert!(read("killed", file) == read("whole", file), "{file} differs");
    }
    let report = |run: &str| {
        let mut report: serde_json::Value = serde_json::from_slice(&read(run, "report.json")).unwrap();
        assert!(report.as_object_mut().unwrap().remove("host").is_some());
        serde_json::to_vec(&report).unwrap()
    };
    assert!(report("killed") == report("whole"), "report.json differs");
    let left = std::fs::read_dir(&run).unwrap().map(|f| f.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert!(left.is_empty(), "{left:?} was left behind");
}
