//! The house keeps its order: a folder of `src/` imports only folders above it.

use std::fs;
use std::path::{Path, PathBuf};

const ORDER: [&str; 13] = [
    "number", "isa", "spec", "network", "program", "timing", "compiler", "machine", "observe", "data",
    "train", "report", "cli",
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

/// Folders a file imports: what follows every `crate::`.
fn imports(text: &str) -> Vec<&str> {
    let names = text.split("crate::").skip(1);
    names.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()).collect()
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
            if let Some(imported) = place(import) {
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
        let barred = imports(&text).into_iter().find(|import| !SHARED.contains(import));
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
            let barred = imports(text).into_iter().find(|&i| i == "number" || i == "kernels");
            assert_eq!(barred, None, "{}", file.display());
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
