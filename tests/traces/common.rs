//! The command on small networks, and what the report says of the same.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The quick network with so few images that a step takes no time.
pub(crate) const SMALL: [&str; 2] = ["--set", "recipe.batch=4"];

pub(crate) fn here(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn wagesim(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wagesim")).args(args).current_dir(dir).output().unwrap()
}

pub(crate) fn ok(dir: &Path, args: &[&str]) -> String {
    let out = wagesim(dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The error of a command that fails with this exit code.
pub(crate) fn refused(dir: &Path, code: i32, args: &[&str]) -> String {
    let out = wagesim(dir, args);
    let error = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {error}");
    assert!(error.contains("error: ") && !error.contains("panicked"), "{args:?}: {error}");
    error
}

/// `wagesim estimate --json` of the small network: one training step.
pub(crate) fn estimate(dir: &Path) -> Value {
    let text = ok(dir, &[&["estimate", "--json"][..], &SMALL].concat());
    serde_json::from_str(&text).unwrap()
}
