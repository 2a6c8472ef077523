//! The house keeps its order: a folder of `src/` imports only folders above it.

use std::fs;
use std::path::{Path, PathBuf};

const ORDER: [&str; 16] = [
    "number", "isa", "spec", "network", "program", "timing", "compiler", "machine", "observe", "trace",
    "debug", "data", "train", "report", "explore", "cli",
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The path that a text begins with, or every path of its braces: `{a, b::{c, d}}` is `a`, `b::c` and `b::d`.
fn paths(text: &str) -> (Vec<String>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut found = Vec::new();
        loop {
            let (inner, after) = paths(rest);
            found.extend(inner);
            // Up to the next path of these braces: over `as name`, `*` and the comma.
            let Some(end) = after.find([',', '}']) else { return (found, "") };
            rest = &after[end + 1..];
            if after[end..].starts_with('}') {
                return (found, rest);
            }
        }
    }
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(length);
    if name.is_empty() {
        return (Vec::new(), rest);
    }
    match rest.strip_prefix("::") {
        Some(below) => {
            let (inner, rest) = paths(below);
            let whole = inner.iter().map(|path| format!("{name}::{path}")).collect::<Vec<_>>();
            (if whole.is_empty() { vec![name.to_owned()] } else { whole }, rest)
        }
        None => (vec![name.to_owned()], rest),
    }
}

/// Paths a file imports: what follows every `crate::`.
fn imported(text: &str) -> Vec<String> {
    text.split("crate::").skip(1).flat_map(|rest| paths(rest).0).collect()
}

/// Folders a file imports.
fn imports(text: &str) -> Vec<String> {
    let first = |path: String| path.split("::").next().unwrap_or_default().to_owned();
    imported(text).into_iter().map(first).collect()
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::machine::kernels::portable;\nuse crate::{number, isa::{Instr, Unit as U}, spec::*};\n\
        fn f() { crate::data::order(1) }\nuse crate::{\n    program::Plan,\n    machine::{\n        kernels,\n    },\n};";
    let expected = [
        "machine::kernels::portable",
        "number",
        "isa::Instr",
        "isa::Unit",
        "spec",
        "data::order",
        "program::Plan",
        "machine::kernels",
    ];
    assert_eq!(imported(text), expected);
    assert_eq!(imports("use crate::{number, data};"), ["number", "data"]);
    assert!(barred_to_the_host("use crate::machine::kernels;").is_some());
    assert!(barred_to_the_host("use crate::{data, number};").is_some());
    assert!(barred_to_the_host("use crate::machine::Engine;").is_none());
}

/// What of arithmetic a text of the host imports.
fn barred_to_the_host(text: &str) -> Option<String> {
    let barred = |path: &String| path.split("::").any(|name| name == "number" || name == "kernels");
    imported(text).into_iter().find(barred)
}

fn each(check: impl Fn(&str, &str, &Path)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in ORDER {
        let files = sources(&root.join(folder));
        assert!(!files.is_empty(), "{folder} has sources");
        files.iter().for_each(|file| check(folder, &fs::read_to_string(file).unwrap(), file));
    }
}

#[test]
fn a_folder_imports_only_folders_above_it() {
    let place = |name: &str| ORDER.iter().position(|&f| f == name);
    each(|folder, text, file| {
        for import in imports(text) {
            if let Some(imported) = place(&import) {
                assert!(imported <= place(folder).unwrap(), "{} imports {import}", file.display());
            }
        }
    });
}

#[test]
fn the_stepped_engine_and_the_schedule_share_no_code() {
    const SHARED: [&str; 5] = ["number", "isa", "spec", "program", "machine"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let stepped = sources(&root.join("machine/stepped"));
    assert!(stepped.len() > 5, "the engine has files");
    for file in stepped {
        let text = fs::read_to_string(&file).unwrap();
        let barred = imports(&text).into_iter().find(|import| !SHARED.contains(&import.as_str()));
        assert_eq!(barred, None, "{}", file.display());
        let others = ["machine::fast", "machine::kernels", "machine::vector", "machine::matrix", "Cost"];
        let engine = others.iter().find(|other| text.contains(**other));
        assert_eq!(engine, None, "{}", file.display());
    }
}

#[test]
fn the_host_does_no_arithmetic_of_training() {
    each(|folder, text, file| {
        if folder == "train" {
            assert_eq!(barred_to_the_host(text), None, "{}", file.display());
        }
    });
}

#[test]
fn unsafe_code_stands_in_the_kernels_only() {
    each(|_, text, file| {
        let kernels = file.components().any(|c| c.as_os_str() == "kernels");
        assert!(kernels || !text.contains("unsafe "), "{}", file.display());
    });
}
