//! The golden traces of `traces/example`: byte for byte what the command writes. `UPDATE=1` writes them anew.

use std::path::Path;

use crate::common::{here, ok};

/// All files below a folder, by their paths from it.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn every_kind_of_trace_is_the_golden_one() {
    let dir = tempfile::tempdir().unwrap();
    let example = here("traces/example");
    let (program, machine) = (format!("{example}/example.s"), format!("{example}/machine.toml"));
    let trace = |args: &[&str]| {
        ok(dir.path(), &[&["trace", &program, "--machine", &machine][..], args].concat());
    };
    trace(&["--timeline", "timeline.json"]);
    trace(&["--log", "log.jsonl", "--digest"]);
    trace(&["--memory", "memory", "--scratchpads", "--dram-levels", "1,2,2,4,4"]);
    trace(&["--waveform", "waveform.vcd", "--pe", "1,2"]);
    trace(&["--golden", "golden", "--stress", "--unit", "array"]);
    let script = format!("{example}/debug.txt");
    let talk = ok(dir.path(), &["debug", &program, "--machine", &machine, "--script", &script]);
    std::fs::write(dir.path().join("debug.out"), talk).unwrap();
    let made = files(dir.path());
    assert!(made.len() > 25, "{made:?}");
    if std::env::var_os("UPDATE").is_some() {
        for name in &made {
            let to = Path::new(&example).join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(dir.path().join(name), to).unwrap();
        }
    }
    for name in &made {
        let (found, golden) = (std::fs::read(dir.path().join(name)).unwrap(), Path::new(&example).join(name));
        let golden = std::fs::read(&golden).unwrap_or_default();
        let at = found.iter().zip(&golden).position(|(a, b)| a != b);
        assert!(
            at.is_none() && found.len() == golden.len(),
            "{name} differs from byte {at:?} on; UPDATE=1 rewrites it"
        );
    }
    // And nothing stands there that is not written any more.
    let kept = files(Path::new(&example));
    let sources = ["example.s", "machine.toml", "debug.txt"];
    let stale: Vec<_> = kept.iter().filter(|f| !made.contains(f) && !sources.contains(&f.as_str())).collect();
    assert!(stale.is_empty(), "{stale:?}");
}
